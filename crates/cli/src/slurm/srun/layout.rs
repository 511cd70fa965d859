//! Which task of a step runs on which node with which devices.
//!
//! Invariant: pure; the same allocation and wishes give the same tasks, ranks ascending node by node.
use madang_engine::NodeShare;
use madang_engine::tasks::layout;

/// What a step wants, options over variables over what the job said.
#[derive(Clone, Debug, Default)]
pub struct StepWish {
    /// Nodes.
    pub nodes: Option<u32>,
    /// Tasks.
    pub ntasks: Option<u32>,
    /// Tasks on each node.
    pub per_node: Option<u32>,
    /// CPUs for each task.
    pub cpus_per_task: Option<u32>,
    /// Devices for each task.
    pub gpus_per_task: Option<u32>,
    /// Devices of each node for the step; `None` for all that the job holds.
    pub gpus_per_node: Option<u32>,
    /// Every task sees all of its node's devices (`--gpu-bind=none`).
    pub unbound: bool,
    /// Nodes to use.
    pub include: Vec<String>,
    /// Nodes to avoid.
    pub exclude: Vec<String>,
    /// First node of the allocation to use.
    pub relative: usize,
    /// More tasks than CPUs are fine.
    pub overcommit: bool,
}

/// A node of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepNode {
    /// What the job holds of it.
    pub share: NodeShare,
    /// Ranks of its tasks.
    pub ranks: Vec<u32>,
    /// Devices of each task, in the order of `ranks`.
    pub devices: Vec<Vec<u32>>,
    /// Devices of the step.
    pub step_devices: Vec<u32>,
}

/// A step laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its nodes.
    pub nodes: Vec<StepNode>,
    /// Warnings for standard error.
    pub warnings: Vec<String>,
}

impl Step {
    /// Tasks in all.
    pub fn tasks(&self) -> u32 {
        self.nodes.iter().map(|node| u32::try_from(node.ranks.len()).unwrap_or(0)).sum()
    }
}

/// Lays a step out over what the job holds.
pub fn lay_out(held: &[NodeShare], wish: &StepWish, first_rank: u32) -> Result<Step, String> {
    let mut warnings = Vec::new();
    let nodes = choose(held, wish, &mut warnings)?;
    let count = u32::try_from(nodes.len()).unwrap_or(u32::MAX);
    let mut per_node = wish.per_node;
    if let (Some(tasks), Some(each)) = (wish.ntasks, per_node)
        && u64::from(tasks) > u64::from(each) * u64::from(count)
    {
        warnings.push(format!(
            "Warning: can't honor --ntasks-per-node set to {each} which doesn't match the requested tasks {tasks} with \
             the number of requested nodes {count}. Ignoring --ntasks-per-node."
        ));
        per_node = None;
    }
    let counts = layout(nodes.len(), wish.ntasks, per_node);
    let mut step = Step { nodes: Vec::new(), warnings };
    let mut rank = first_rank;
    for (share, count) in nodes.into_iter().zip(counts) {
        let cpus = u64::from(count) * u64::from(wish.cpus_per_task.unwrap_or(1));
        if cpus > u64::from(share.cpus) && !wish.overcommit {
            return Err("Unable to create step: More processors requested than permitted".to_owned());
        }
        let (devices, step_devices) = devices(&share, count, wish)?;
        step.nodes.push(StepNode { share, ranks: (rank..rank + count).collect(), devices, step_devices });
        rank += count;
    }
    Ok(step)
}

/// The nodes used, in the allocation's order.
fn choose(held: &[NodeShare], wish: &StepWish, warnings: &mut Vec<String>) -> Result<Vec<NodeShare>, String> {
    if let Some(stray) = wish.include.iter().find(|name| !held.iter().any(|node| node.name == **name)) {
        return Err(format!("Unable to create step: node {stray} is not in the job's allocation"));
    }
    let mut usable: Vec<&NodeShare> = held
        .iter()
        .skip(wish.relative)
        .filter(|node| wish.include.is_empty() || wish.include.contains(&node.name))
        .filter(|node| !wish.exclude.contains(&node.name))
        .collect();
    let here = u32::try_from(usable.len()).unwrap_or(u32::MAX);
    let mut count = wish.nodes.unwrap_or(here);
    if count > here {
        // Nodes that must be used need not be all: the rest comes from the allocation.
        let others = held.iter().filter(|node| !wish.exclude.contains(&node.name));
        for node in others.filter(|_| !wish.include.is_empty()) {
            if u32::try_from(usable.len()).unwrap_or(u32::MAX) < count && !usable.contains(&node) {
                usable.push(node);
            }
        }
        let here = usable.len();
        if (here as u64) < u64::from(count) {
            return Err(format!("Only allocated {here} nodes asked for {count}"));
        }
    }
    if let Some(tasks) = wish.ntasks.filter(|tasks| *tasks < count) {
        if wish.nodes.is_some() {
            warnings.push(format!("Warning: can't run {tasks} processes on {count} nodes, setting nnodes to {tasks}"));
        }
        count = tasks;
    }
    if count == 0 {
        return Err("Unable to create step: no node is left of the job's allocation".to_owned());
    }
    usable.truncate(count as usize);
    Ok(usable.into_iter().cloned().collect())
}

/// Devices of each task, and of the step, on one node.
fn devices(share: &NodeShare, tasks: u32, wish: &StepWish) -> Result<(Vec<Vec<u32>>, Vec<u32>), String> {
    let held = &share.devices;
    let few = |wanted: usize| {
        let held = held.len();
        Err(format!("Unable to create step: {wanted} GPUs are wanted on {}, the job holds {held} there", share.name))
    };
    let tasks = tasks as usize;
    if let Some(each) = wish.gpus_per_task.map(|each| each as usize) {
        if each * tasks > held.len() {
            return few(each * tasks);
        }
        let step: Vec<u32> = held[..each * tasks].to_vec();
        let own = |task: usize| if wish.unbound { step.clone() } else { step[task * each..(task + 1) * each].to_vec() };
        return Ok(((0..tasks).map(own).collect(), step));
    }
    let wanted = wish.gpus_per_node.map_or(held.len(), |count| count as usize);
    if wanted > held.len() {
        return few(wanted);
    }
    let step = held[..wanted].to_vec();
    Ok((vec![step.clone(); tasks], step))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held() -> Vec<NodeShare> {
        let node = |name: &str, devices: &[u32]| NodeShare {
            name: name.to_owned(),
            devices: devices.to_vec(),
            cpus: 4,
            ..NodeShare::default()
        };
        vec![node("n1", &[0, 1, 2, 3]), node("n2", &[4, 5, 6, 7])]
    }

    fn check(wish: StepWish, want: &str) {
        let got = match lay_out(&held(), &wish, 0) {
            Err(error) => error,
            Ok(step) => {
                let node = |node: &StepNode| {
                    let tasks = node.ranks.iter().zip(&node.devices);
                    let tasks: Vec<String> = tasks.map(|(rank, devices)| format!("{rank}{devices:?}")).collect();
                    format!("{}: {}", node.share.name, tasks.join(" "))
                };
                step.nodes.iter().map(node).collect::<Vec<_>>().join("; ")
            }
        };
        assert_eq!(got, want, "{wish:?}");
    }

    #[test]
    fn steps_are_laid_out() {
        let wish = StepWish::default;
        check(wish(), "n1: 0[0, 1, 2, 3]; n2: 1[4, 5, 6, 7]");
        check(StepWish { ntasks: Some(1), ..wish() }, "n1: 0[0, 1, 2, 3]");
        check(StepWish { ntasks: Some(3), gpus_per_task: Some(1), ..wish() }, "n1: 0[0] 1[1]; n2: 2[4]");
        check(
            StepWish { per_node: Some(2), gpus_per_task: Some(2), unbound: true, ..wish() },
            "n1: 0[0, 1, 2, 3] 1[0, 1, 2, 3]; n2: 2[4, 5, 6, 7] 3[4, 5, 6, 7]",
        );
        check(StepWish { nodes: Some(1), relative: 1, gpus_per_node: Some(1), ..wish() }, "n2: 0[4]");
        check(StepWish { include: vec!["n2".into()], gpus_per_node: Some(0), ..wish() }, "n2: 0[]");
        check(StepWish { exclude: vec!["n1".into()], ntasks: Some(2), ..wish() }, "n2: 0[4, 5, 6, 7] 1[4, 5, 6, 7]");
        check(StepWish { nodes: Some(3), ..wish() }, "Only allocated 2 nodes asked for 3");
        check(
            StepWish { ntasks: Some(9), ..wish() },
            "Unable to create step: More processors requested than permitted",
        );
        check(
            StepWish { per_node: Some(3), gpus_per_task: Some(2), ..wish() },
            "Unable to create step: 6 GPUs are wanted on n1, the job holds 4 there",
        );
        check(
            StepWish { include: vec!["x".into()], ..wish() },
            "Unable to create step: node x is not in the job's allocation",
        );
    }
}
