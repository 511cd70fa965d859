//! From what is asked to what is sent: parts with nodes, tasks, GPUs, CPUs and memory resolved as Slurm's manual says.
//!
//! Invariant: the same options give the same submission. The size of a partition's nodes is asked for only when the
//! options leave the number of nodes open.
use super::ask::{Asked, Memory, PartAsk};
use super::values::{GpuPart, Gpus};
use crate::time::Limit;
use madang_api::{ElasticSpec, PartSpec, Submit, TopologySpec};

/// What a node of the partition has, on average.
#[derive(Clone, Copy, Debug)]
pub struct NodeSize {
    /// CPUs.
    pub cpus: u32,
    /// GPUs.
    pub gpus: u32,
    /// The partition's longest limit.
    pub max_limit_secs: u64,
}

/// Everything but the batch itself. `size` is asked at most once a part.
pub fn submit(asked: &mut Asked, size: &dyn Fn() -> Result<NodeSize, String>) -> Result<Submit, String> {
    let mut parts = Vec::new();
    let asks = asked.parts.clone();
    let elastic = elastic(&asks, asked)?;
    for ask in &asks {
        parts.push(part(ask, size)?);
    }
    let mut include = Vec::new();
    let mut exclude = Vec::new();
    for ask in &asks {
        include.extend(ask.nodelist.iter().cloned());
        exclude.extend(ask.exclude.iter().cloned());
    }
    let job = &asked.job;
    let limit_secs = match job.limit {
        None => None,
        Some(Limit::Secs(secs)) => Some(secs),
        Some(Limit::Longest) => Some(size()?.max_limit_secs),
    };
    Ok(Submit {
        name: job.name.clone().unwrap_or_default(),
        project: job.account.clone(),
        partition: Some(job.partitions.join(",")).filter(|names| !names.is_empty()),
        sites: job.sites.clone(),
        data: job.data.clone(),
        parts,
        include,
        exclude,
        topology: Some(job.topology.clone()).filter(|topology| *topology != TopologySpec::default()),
        elastic,
        limit_secs,
        limit_min_secs: job.limit_min,
        deadline_ms: job.deadline_ms,
        checkpoint_secs: job.checkpoint,
        qos: job.qos.unwrap_or_default(),
        nice: job.nice.unwrap_or(0),
        begin_ms: job.begin_ms,
        after: job.waits.after.clone(),
        after_any: job.waits.any,
        singleton: job.waits.singleton,
        kill_on_invalid: job.kill_on_invalid,
        requeue: job.requeue,
        held: job.hold,
        warning: job.signal.clone(),
        array: job.array.clone(),
        comment: job.comment.clone().unwrap_or_default(),
        reservation: job.reservation.clone(),
        ..Submit::default()
    })
}

/// More nodes than the fewest, where each has its own tasks and GPUs, so that more of them do more; in `--nodes`.
fn elastic(asks: &[PartAsk], asked: &mut Asked) -> Result<Option<ElasticSpec>, String> {
    let ranged = asks.iter().find_map(|ask| ask.nodes.filter(|(least, most)| most > least));
    let Some((least, most)) = ranged else {
        return match asked.job.elastic {
            Some(_) => Err("--elastic needs fewest and most nodes, as in --nodes=4-8".to_owned()),
            None => Ok(None),
        };
    };
    let fixed = match asks {
        [one] if one.gpus.is_some() => Some("--gpus counts them over all nodes; give --gpus-per-node"),
        [one] if one.ntasks.is_some() => Some("--ntasks counts them over all nodes; give --ntasks-per-node"),
        [one] if one.nodelist.len() > least as usize => Some("--nodelist names more"),
        [_] => None,
        _ => Some("a heterogeneous job has parts of fixed size"),
    };
    match (fixed, asked.job.elastic) {
        (Some(why), Some(_)) => Err(format!("--elastic does not go with nodes of a fixed number: {why}")),
        (Some(why), None) => {
            asked.notes.push(format!("using {least} of {least}-{most} nodes: {why}"));
            Ok(None)
        }
        (None, restart_secs) => Ok(Some(ElasticSpec { most_nodes: most, restart_secs })),
    }
}

/// One part.
fn part(ask: &PartAsk, size: &dyn Fn() -> Result<NodeSize, String>) -> Result<PartSpec, String> {
    let gpu_model = model(ask)?;
    let (tasks, tasks_per_node) = tasks(ask);
    let total = total_gpus(ask, tasks);
    let nodes = match nodes(ask, tasks, tasks_per_node, total) {
        Some(nodes) => Some(nodes),
        None if tasks.unwrap_or(1) <= 1 && total.unwrap_or(0) <= 1 => None,
        None => {
            let size = size()?;
            let by_gpus = total.map_or(1, |total| total.div_ceil(size.gpus.max(1)));
            let here = (size.cpus / ask.cpus_per_task.unwrap_or(1)).max(1);
            let by_cpus = if ask.overcommit { 1 } else { tasks.unwrap_or(1).div_ceil(here) };
            Some(by_gpus.max(by_cpus).max(1))
        }
    };
    let count = nodes.unwrap_or(1);
    let on_node = tasks_per_node.unwrap_or_else(|| tasks.unwrap_or(count).div_ceil(count)).max(1);
    let asked_per_node = ask.gpus_per_node.as_ref().map(|gpus| gpus.count);
    let per_task = ask.gpus_per_task.as_ref().filter(|_| ask.gpus.is_none()).map(|gpus| gpus.count * on_node);
    let even = total.filter(|total| total % count == 0).map(|total| total / count);
    let gpus_per_node = asked_per_node.or(per_task).or(even);
    let gpus_here = gpus_per_node.or(total.map(|total| total.div_ceil(count))).unwrap_or(0);
    let cpus_per_node = cpus(ask, on_node, gpus_here);
    let memory_mib = match ask.memory {
        None => None,
        Some((_, Memory::Node(mib))) => Some(mib),
        Some((_, Memory::Cpu(mib))) => {
            let cpus = cpus_per_node.unwrap_or(ask.cpus_per_task.unwrap_or(1) * on_node);
            Some(mib.saturating_mul(u64::from(cpus)))
        }
        Some((_, Memory::Gpu(_))) if gpus_here == 0 => return Err("--mem-per-gpu without GPUs".to_owned()),
        Some((_, Memory::Gpu(mib))) => Some(mib.saturating_mul(u64::from(gpus_here))),
    };
    let share = gpu_part(ask)?;
    let whole = |gpus: Option<u32>| gpus.filter(|_| share.is_none());
    let (gpu_milli, gpu_shards, gpu_profile) = match share.clone() {
        None => (None, None, None),
        Some(GpuPart::Milli(milli)) => (Some(milli), None, None),
        Some(GpuPart::Shards(shards)) => (None, Some(shards), None),
        Some(GpuPart::Profile(name)) => (None, None, Some(name)),
    };
    Ok(PartSpec {
        nodes,
        gpus_per_node: whole(gpus_per_node),
        gpus_total: whole(total.filter(|_| gpus_per_node.is_none())),
        mixed: ask.mixed && gpu_model.is_some(),
        gpu_model,
        gpu_milli,
        gpu_shards,
        gpu_profile,
        tasks,
        tasks_per_node,
        cpus_per_task: ask.cpus_per_task,
        cpus_per_node,
        memory_mib,
        exclusive: ask.exclusive,
        features: ask.features.clone(),
    })
}

/// The one model that a part names, in whichever option.
fn model(ask: &PartAsk) -> Result<Option<String>, String> {
    let named = [&ask.gpus_per_node, &ask.gpus, &ask.gpus_per_task].into_iter().flatten();
    let mut models: Vec<&str> = named.filter_map(|gpus| gpus.model.as_deref()).chain(ask.model.as_deref()).collect();
    models.sort_unstable();
    models.dedup();
    match models[..] {
        [] => Ok(None),
        [model] => Ok(Some(model.to_owned())),
        _ => Err(format!("one part asks for GPUs of several types: {}", models.join(", "))),
    }
}

/// The part of a GPU on each node that is asked, in whichever option.
fn gpu_part(ask: &PartAsk) -> Result<Option<GpuPart>, String> {
    let given = [&ask.gpus_per_node, &ask.gpus, &ask.gpus_per_task].into_iter().flatten();
    let mut parts: Vec<&GpuPart> = given.filter_map(|gpus| gpus.part.as_ref()).collect();
    parts.dedup();
    match parts[..] {
        [] => Ok(None),
        [part] if ask.gpus_per_task.is_none() => Ok(Some(part.clone())),
        [_] => Err("--gpus-per-task: a part of a GPU is asked for a node; give --gres or --gpus-per-node".to_owned()),
        _ => Err("one part asks for different parts of a GPU".to_owned()),
    }
}

/// Tasks in all and on each node, where GPUs decide them too.
fn tasks(ask: &PartAsk) -> (Option<u32>, Option<u32>) {
    let count = |gpus: &Option<Gpus>| gpus.as_ref().map(|gpus| gpus.count);
    let mut total = ask.ntasks;
    let mut per_node = ask.ntasks_per_node;
    if let (None, None, Some(each)) = (total, per_node, ask.ntasks_per_gpu) {
        total = count(&ask.gpus).map(|gpus| gpus * each);
        per_node = count(&ask.gpus_per_node).map(|gpus| gpus * each);
    }
    if let (None, None, Some(gpus), Some(each)) = (total, per_node, count(&ask.gpus), count(&ask.gpus_per_task)) {
        total = Some((gpus / each.max(1)).max(1));
    }
    (total, per_node)
}

/// GPUs over all nodes, where that is what is asked.
fn total_gpus(ask: &PartAsk, tasks: Option<u32>) -> Option<u32> {
    if let Some(gpus) = &ask.gpus {
        return Some(gpus.count);
    }
    if ask.gpus_per_node.is_some() {
        return None;
    }
    let by_task = ask.gpus_per_task.as_ref().filter(|_| ask.ntasks_per_node.is_none());
    let by_gpu = ask.ntasks_per_gpu.and_then(|each| tasks.map(|tasks| tasks.div_ceil(each)));
    by_task.map(|gpus| gpus.count * tasks.or(ask.nodes.map(|(least, _)| least)).unwrap_or(1)).or(by_gpu)
}

/// Nodes, where the options decide them.
fn nodes(ask: &PartAsk, tasks: Option<u32>, per_node: Option<u32>, total: Option<u32>) -> Option<u32> {
    let named = u32::try_from(ask.nodelist.len()).unwrap_or(u32::MAX);
    if let Some((least, _)) = ask.nodes {
        return Some(least.max(named));
    }
    let by_tasks = match (tasks, per_node) {
        (Some(tasks), Some(each)) => Some(tasks.div_ceil(each)),
        _ => None,
    };
    let by_gpus = match (total, &ask.gpus_per_node) {
        (Some(total), Some(each)) => Some(total.div_ceil(each.count.max(1))),
        _ => None,
    };
    let one = || (ask.gpus_per_node.is_some() && tasks.is_none() || per_node.is_some()).then_some(1);
    by_tasks.or(by_gpus).or((named > 0).then_some(named)).or_else(one)
}

/// CPUs on each node, where tasks alone do not decide them.
fn cpus(ask: &PartAsk, on_node: u32, gpus: u32) -> Option<u32> {
    let by_tasks = ask.cpus_per_task.unwrap_or(1).saturating_mul(on_node);
    let least = ask.mincpus.unwrap_or(0);
    match ask.cpus_per_gpu {
        Some(each) => {
            let for_tasks = if ask.cpus_per_task.is_some() { by_tasks } else { 1 };
            Some(each.saturating_mul(gpus).max(for_tasks).max(least))
        }
        None if ask.overcommit && ask.cpus_per_task.is_none() => Some(least.max(1)),
        None => (least > 0).then(|| by_tasks.max(least)),
    }
}

/// Variables that tell the job how it was asked for, beside those that the engine sets.
pub fn variables(ask: &PartAsk) -> Vec<(String, String)> {
    let text = |gpus: &Gpus| match &gpus.model {
        Some(model) => format!("{model}:{}", gpus.count),
        None => gpus.count.to_string(),
    };
    let mut set = Vec::new();
    let mut put = |name: &str, value: Option<String>| set.extend(value.map(|value| (name.to_owned(), value)));
    put("SLURM_GPUS", ask.gpus.as_ref().map(text));
    put("SLURM_GPUS_PER_NODE", ask.gpus_per_node.as_ref().map(text));
    put("SLURM_GPUS_PER_TASK", ask.gpus_per_task.as_ref().map(text));
    put("SLURM_CPUS_PER_GPU", ask.cpus_per_gpu.map(|count| count.to_string()));
    put("SLURM_NTASKS_PER_GPU", ask.ntasks_per_gpu.map(|count| count.to_string()));
    match ask.memory {
        Some((_, Memory::Cpu(mib))) => put("SLURM_MEM_PER_CPU", Some(mib.to_string())),
        Some((_, Memory::Gpu(mib))) => put("SLURM_MEM_PER_GPU", Some(mib.to_string())),
        _ => {}
    }
    set
}

/// Names that [`variables`] sets: left behind by an outer job, they must not pass into an inner one.
pub const STALE: &[&str] = &[
    "SLURM_GPUS",
    "SLURM_GPUS_PER_NODE",
    "SLURM_GPUS_PER_TASK",
    "SLURM_CPUS_PER_GPU",
    "SLURM_NTASKS_PER_GPU",
    "SLURM_MEM_PER_CPU",
    "SLURM_MEM_PER_GPU",
    "SLURM_MEM_PER_NODE",
    "SLURM_OPEN_MODE",
    "SLURM_GPU_BIND",
];
