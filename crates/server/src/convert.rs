//! From a request on the wire to what the core takes: defaults filled in, every bound checked, every name looked at.
//!
//! Invariant: nothing that passes can overflow in the core: nodes, GPUs and limits are bounded here by counts far
//! above any estate. Whether an estate could ever hold the job is the core's to say.

use crate::estate::{Estate, Shape};
use crate::fault::Fault;
use crate::launch::Launched;
use crate::ranges;
use madang_api::{After, Batch, DataSpec, ElasticSpec, PartSpec, QosName, Submit, TopologySpec, WaitSpec, WarnSpec};
use madang_centre::{DataAt, Submission, Target, Wait};
use madang_engine::{Kind, LaunchSpec, PartInfo};
use madang_model::reach::SiteList;
use madang_model::share::WHOLE;
use madang_model::{
    Choice, DependencyKind, Elastic, JobId, ModelRun, Part, Partition, Qos, Share, SiteId, Span, Time, Topology,
    Warning,
};

/// Bounds of a request.
mod most {
    pub const PARTS: usize = 64;
    pub const NODES: u32 = 65_536;
    pub const TASKS: u32 = 4_194_304;
    pub const CPUS: u32 = 65_536;
    pub const GPUS: u32 = 32;
    pub const MEMORY_MIB: u64 = 1 << 40;
    pub const LIMIT_SECS: u64 = 10 * 366 * 86_400;
    pub const NICE: i32 = 10_000;
    pub const WAITS: usize = 1_000;
    pub const PARTITIONS: usize = 64;
    pub const WORDS: usize = 32;
    pub const NAMES: usize = 4_096;
    pub const NAME: usize = 1_024;
    pub const COMMENT: usize = 4_096;
    pub const SCRIPT: usize = 4 << 20;
    pub const PATH: usize = 4_096;
    pub const ARGS: usize = 1_024;
    pub const ENV: usize = 4_096;
    pub const ENV_BYTES: usize = 1 << 20;
    /// The end of the year 9999.
    pub const MOMENT: u64 = 253_402_300_799_000;
}

/// The least memory that a job gets which asks for none.
const LEAST_MEMORY_MIB: u64 = 1_024;

/// What a submission comes to.
pub struct Converted {
    /// For the core; its launch is still to be named.
    pub submission: Submission,
    /// For the engine.
    pub launched: Option<Launched>,
    /// Number of tasks; 1 for a plain job.
    pub tasks: u32,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// Fills in, checks and resolves a submission by `user`; `may_hurry` for those who may go below nice 0.
pub fn submission(estate: &Estate, user: &str, may_hurry: bool, submit: Submit) -> Result<Converted, Fault> {
    text("name", &submit.name, most::NAME)?;
    text("comment", &submit.comment, most::COMMENT)?;
    let limit_asked = submit.limit_secs.map(limit).transpose()?;
    let (partitions, notes) = partitions(estate, &submit, limit_asked)?;
    let name = partitions.iter().map(|partition| partition.name.as_str()).collect::<Vec<_>>().join(",");
    let sites = sites(estate, &partitions, &submit)?;
    let shapes: Vec<&Shape> = sites.iter().flat_map(|site| &estate.shapes[site.index()]).collect();
    let specs = if submit.parts.is_empty() { vec![PartSpec::default()] } else { submit.parts };
    if specs.len() > most::PARTS {
        return Err(Fault::invalid("parts", format!("has {} entries, at most {}", specs.len(), most::PARTS)));
    }
    let mut parts = Vec::new();
    let mut layouts = Vec::new();
    for (at, spec) in specs.iter().enumerate() {
        parts.push(part(&format!("parts[{at}]"), spec, &shapes, &name)?);
        layouts.push(PartInfo {
            ntasks: spec.tasks,
            ntasks_per_node: spec.tasks_per_node,
            cpus_per_task: spec.cpus_per_task,
        });
    }
    for (field, names) in [("include", &submit.include), ("exclude", &submit.exclude)] {
        node_names(estate, field, names)?;
    }
    let (array, tasks) = array(submit.array.as_deref())?;
    let launched = match submit.batch {
        Some(batch) => Some(Launched::new(launch(batch)?, layouts)),
        None => None,
    };
    let topology = topology(submit.topology)?;
    add_spares(&mut parts[0], &topology)?;
    let elastic = submit.elastic.map(|asked| elastic(&asked, topology.spares)).transpose()?;
    let submission = Submission {
        user: user.to_owned(),
        name: submit.name,
        project: submit.project,
        partition: Some(partitions[0].name.clone()),
        also: partitions[1..].iter().map(|partition| partition.name.clone()).collect(),
        sites: sites.iter().map(|site| estate.founding.sites[site.index()].name.clone()).collect(),
        data: submit.data.into_iter().map(|DataSpec { site, gb }| DataAt { site, gb }).collect(),
        parts,
        include: submit.include,
        exclude: submit.exclude,
        across_islands: submit.across_islands,
        topology,
        elastic,
        limit: limit_asked,
        limit_min: submit.limit_min_secs.map(limit).transpose()?,
        deadline: submit.deadline_ms.map(|millis| moment("deadline_ms", millis)).transpose()?,
        qos: qos(submit.qos),
        nice: nice(submit.nice, may_hurry)?,
        begin: submit.begin_ms.map(|millis| moment("begin_ms", millis)).transpose()?,
        after: waits(&submit.after)?,
        after_any: submit.after_any,
        singleton: submit.singleton,
        kill_on_invalid: submit.kill_on_invalid,
        requeue: submit.requeue.unwrap_or(true),
        checkpoint: submit.checkpoint_secs.map(checkpoint).transpose()?,
        held: submit.held,
        warning: submit.warning.as_ref().map(warning).transpose()?,
        array,
        launch: None,
        model: submit.model.map(|model| ModelRun { runtime: Span::from_millis(model.runtime_ms), exit: model.exit }),
        comment: submit.comment,
        reservation: submit.reservation,
    };
    Ok(Converted { submission, launched, tasks, notes })
}

/// An array's indices and how many they are; one task without an array.
fn array(text: Option<&str>) -> Result<(Option<madang_centre::Array>, u32), Fault> {
    let wrong = |fact| Fault::invalid("array", fact).hint("write it as `0-11%4`, `1,3,5` or `0-20:5`");
    let array = text.map(ranges::parse).transpose().map_err(wrong)?;
    let count =
        |array: &madang_centre::Array| array.ranges.iter().map(|(first, last, step)| (last - first) / step + 1).sum();
    let tasks = array.as_ref().map_or(1, count);
    Ok((array, tasks))
}

/// A new limit, for a submission or a change.
pub fn limit(secs: u64) -> Result<Span, Fault> {
    match secs {
        0 => Err(Fault::invalid("limit_secs", "is 0, at least 1")),
        secs if secs > most::LIMIT_SECS => {
            Err(Fault::invalid("limit_secs", format!("is {secs}, at most {}", most::LIMIT_SECS)))
        }
        secs => Ok(Span::from_secs(secs)),
    }
}

/// How much larger a gang may be; spares come on top.
fn elastic(asked: &ElasticSpec, spares: u32) -> Result<Elastic, Fault> {
    let ElasticSpec { most_nodes, restart_secs } = *asked;
    if !(1..=most::NODES).contains(&most_nodes) {
        return Err(Fault::invalid("elastic.most_nodes", format!("is {most_nodes}, from 1 to {}", most::NODES)));
    }
    if let Some(secs) = restart_secs.filter(|secs| *secs > most::LIMIT_SECS) {
        return Err(Fault::invalid("elastic.restart_secs", format!("is {secs}, at most {}", most::LIMIT_SECS)));
    }
    Ok(Elastic { most: most_nodes.saturating_add(spares), restart: restart_secs.map(Span::from_secs) })
}

/// What was seen on a node: one thing at a time.
pub fn sign(spec: madang_api::SignSpec) -> Result<madang_centre::Sign, Fault> {
    use madang_centre::Sign;
    const DEGREES_MOST: u32 = 1_000;
    let madang_api::SignSpec { xid, celsius, note, gpu } = spec;
    match (xid, celsius, note) {
        (Some(code), None, None) => Ok(Sign::Xid { code, gpu }),
        (None, Some(degrees), None) if degrees <= DEGREES_MOST => Ok(Sign::Celsius { degrees, gpu }),
        (None, Some(degrees), None) => Err(Fault::invalid("celsius", format!("is {degrees}, at most {DEGREES_MOST}"))),
        (None, None, Some(note)) => {
            text("note", &note, 1_024)?;
            Ok(Sign::Note { text: note })
        }
        _ => Err(Fault::bad("a sign is one of xid, celsius and note")),
    }
}

/// How often a job says that it writes a checkpoint.
fn checkpoint(secs: u64) -> Result<Span, Fault> {
    match secs {
        0 => Err(Fault::invalid("checkpoint_secs", "is 0, at least 1")),
        secs if secs > most::LIMIT_SECS => {
            Err(Fault::invalid("checkpoint_secs", format!("is {secs}, at most {}", most::LIMIT_SECS)))
        }
        secs => Ok(Span::from_secs(secs)),
    }
}

/// A nice within its range and the caller's right.
pub fn nice(nice: i32, may_hurry: bool) -> Result<i32, Fault> {
    if nice.unsigned_abs() > most::NICE.unsigned_abs() {
        return Err(Fault::invalid("nice", format!("is {nice}, from -{0} to {0}", most::NICE)));
    }
    if nice < 0 && !may_hurry {
        return Err(Fault::forbidden(format!("nice {nice} is below 0, which needs the operator's role")));
    }
    Ok(nice)
}

/// The core's word for an urgency.
pub fn qos(name: QosName) -> Qos {
    match name {
        QosName::Low => Qos::Low,
        QosName::Normal => Qos::Normal,
        QosName::High => Qos::High,
    }
}

/// A moment that fits every clock and format.
pub fn moment(field: &str, millis: u64) -> Result<Time, Fault> {
    if millis > most::MOMENT {
        return Err(Fault::invalid(field, format!("is {millis}, at most {} (the year 9999)", most::MOMENT)));
    }
    Ok(Time::from_millis(millis))
}

/// Free text for people: bounded, without control characters.
pub fn text(field: &str, text: &str, most: usize) -> Result<(), Fault> {
    if text.len() > most {
        return Err(Fault::invalid(field, format!("has {} bytes, at most {most}", text.len())));
    }
    match text.chars().find(|c| c.is_control() && *c != '\n' && *c != '\t') {
        Some(control) => Err(Fault::invalid(field, format!("holds the control character {control:?}"))),
        None => Ok(()),
    }
}

fn partition<'a>(estate: &'a Estate, name: Option<&str>) -> Result<&'a Partition, Fault> {
    estate.partition(name).ok_or_else(|| {
        let names: Vec<&str> = estate.founding.partitions.iter().map(|known| known.name.as_str()).collect();
        Fault::invalid("partition", format!("is {:?}, which is not a partition here", name.unwrap_or_default()))
            .hint(format!("partitions are {}", names.join(", ")))
    })
}

/// The partitions named that allow the limit, with a word on each that does not; all of them where none does, so that the
/// core says what is wrong. Where sites alone are named, theirs.
fn partitions<'a>(
    estate: &'a Estate,
    submit: &Submit,
    limit: Option<Span>,
) -> Result<(Vec<&'a Partition>, Vec<String>), Fault> {
    let names = submit.partition.as_deref();
    if names.is_none() && !submit.sites.is_empty() {
        return Ok((partitions_with(estate, &submit.sites, limit)?, Vec::new()));
    }
    let mut named: Vec<&Partition> = Vec::new();
    for name in names.map_or(vec![None], |names| names.split(',').map(|name| Some(name.trim())).collect()) {
        let found = partition(estate, name)?;
        if named.iter().all(|known| known.id != found.id) {
            named.push(found);
        }
    }
    if named.len() > most::PARTITIONS {
        return Err(Fault::invalid(
            "partition",
            format!("names {} partitions, at most {}", named.len(), most::PARTITIONS),
        ));
    }
    let limit = limit.unwrap_or(named[0].default_limit);
    let (allow, short): (Vec<&Partition>, Vec<&Partition>) =
        named.iter().partition(|partition| limit <= partition.max_limit);
    if allow.is_empty() {
        return Ok((named, Vec::new()));
    }
    let word = |left: &&Partition| {
        let Partition { name, max_limit, .. } = left;
        format!("partition {name} is left out: it allows {max_limit}, the job asks for {limit}")
    };
    Ok((allow, short.iter().map(word).collect()))
}

/// The sites that the job may go to. What has a script goes where real processes run, what has none where they do
/// not; only where a partition offers no choice does a script go to a modelled site, where it is kept but not run.
fn sites(estate: &Estate, partitions: &[&Partition], submit: &Submit) -> Result<Vec<SiteId>, Fault> {
    let all = || partitions.iter().flat_map(|partition| &partition.sites);
    let partition = || partitions.iter().map(|partition| partition.name.as_str()).collect::<Vec<_>>().join(",");
    let list = site_list(estate, &submit.sites)?;
    let name = |site: &SiteId| estate.founding.sites[site.index()].name.as_str();
    if let Some(stray) = list.named.iter().find(|named| !all().any(|site| name(site) == **named)) {
        let fact = format!("names {stray:?}, which is not a site of partition {}", partition());
        return Err(Fault::invalid("sites", fact).hint("without a partition the sites choose it"));
    }
    let mut sites: Vec<SiteId> =
        all().copied().filter(|site| submit.sites.is_empty() || list.takes(name(site))).collect();
    if sites.is_empty() {
        let fact = format!("leave none of partition {}", partition());
        return Err(Fault::invalid("sites", fact));
    }
    sites.sort_unstable();
    sites.dedup();
    let (modelled, real): (Vec<SiteId>, Vec<SiteId>) = sites.iter().partition(|site| estate.is_modelled(**site));
    match (&submit.batch, &submit.model) {
        (Some(_), Some(_)) => Err(Fault::invalid("batch", "and model do not go together: a job is run or modelled")),
        (Some(_), None) if !real.is_empty() => Ok(real),
        (Some(_), None) => Ok(modelled),
        (None, _) if !modelled.is_empty() => Ok(modelled),
        (None, Some(_)) => {
            Err(Fault::invalid("model", format!("is given, yet partition {} has no modelled site", partition())))
        }
        (None, None) => Err(Fault::invalid("batch", format!("is missing: partition {} runs real jobs", partition()))
            .hint("give a script in batch.script and an absolute folder in batch.cwd")),
    }
}

/// A list of sites, of which each is one.
fn site_list<'a>(estate: &Estate, words: &'a [String]) -> Result<SiteList<'a>, Fault> {
    if words.len() > most::NAMES {
        return Err(Fault::invalid("sites", format!("has {} entries, at most {}", words.len(), most::NAMES)));
    }
    let list = SiteList::read(words);
    match list.unknown(&estate.founding.sites) {
        None => Ok(list),
        Some(name) => {
            let names: Vec<&str> = estate.founding.sites.iter().map(|site| site.name.as_str()).collect();
            let fault = Fault::invalid("sites", format!("names {name:?}, which is no site here"));
            Err(fault.hint(format!("sites are {}; any is all of them, -NAME all but one", names.join(", "))))
        }
    }
}

/// The partitions of a job that names sites and no partition.
fn partitions_with<'a>(estate: &'a Estate, words: &[String], limit: Option<Span>) -> Result<Vec<&'a Partition>, Fault> {
    let found = site_list(estate, words)?.partitions(&estate.founding, limit);
    if found.is_empty() {
        return Err(Fault::invalid("sites", format!("{} are in no partition", words.join(","))));
    }
    Ok(found)
}

fn part(at: &str, spec: &PartSpec, shapes: &[&Shape], partition: &str) -> Result<Part, Fault> {
    check_numbers(at, spec)?;
    let model = spec.gpu_model.as_ref().map(|model| model.to_ascii_lowercase());
    let model = model.map(|model| choice(&format!("{at}.gpu_model"), &model)).transpose()?;
    let model = if spec.mixed { model.map(Choice::mixed) } else { model };
    if spec.features.len() > 32 {
        return Err(Fault::invalid(
            &format!("{at}.features"),
            format!("has {} entries, at most 32", spec.features.len()),
        ));
    }
    let features = spec.features.iter().map(|text| feature(&format!("{at}.features"), text));
    let features = features.collect::<Result<Vec<Choice>, Fault>>()?;
    let suits = |shape: &&Shape| model.as_ref().is_none_or(|model| model.allows(&shape.model));
    let fitting: Vec<&Shape> = shapes.iter().copied().filter(suits).collect();
    let share = share(at, spec, &fitting, partition)?;
    let (nodes, gpus) = spread(at, spec, &fitting, partition)?;
    let gpus = if share.is_some() || spec.gpu_shards.is_some() { 1 } else { gpus };
    let cpus = spec.cpus_per_node.unwrap_or_else(|| cpus_of(spec, nodes));
    if cpus > most::CPUS {
        return Err(Fault::invalid(at, format!("comes to {cpus} CPUs on each node, at most {}", most::CPUS)));
    }
    let memory_mib = spec.memory_mib.unwrap_or_else(|| memory_of(&fitting, gpus, cpus));
    Ok(Part { nodes, gpus, cpus, memory_mib, model, exclusive: spec.exclusive, features, share })
}

/// The part of one GPU on each node that is asked, in one of three ways; `None` for whole ones.
fn share(at: &str, spec: &PartSpec, shapes: &[&Shape], partition: &str) -> Result<Option<Share>, Fault> {
    let given = [
        ("gpu_milli", spec.gpu_milli.is_some()),
        ("gpu_shards", spec.gpu_shards.is_some()),
        ("gpu_profile", spec.gpu_profile.is_some()),
    ];
    let mut given = given.into_iter().filter(|(_, given)| *given).map(|(name, _)| name);
    let Some(first) = given.next() else { return Ok(None) };
    let field = |name: &str| format!("{at}.{name}");
    if let Some(other) = given.next() {
        return Err(Fault::invalid(&field(other), format!("and {first} do not go together")));
    }
    if spec.gpus_total.is_some() || spec.gpus_per_node.is_some_and(|gpus| gpus != 1) {
        let fact = "is a part of one GPU on each node, so that no number of GPUs goes with it";
        return Err(Fault::invalid(&field(first), fact).hint("for several parts, ask for several nodes or jobs"));
    }
    if let Some(milli) = spec.gpu_milli {
        if !(1..WHOLE).contains(&milli) {
            let fault = Fault::invalid(&field("gpu_milli"), format!("is {milli}, from 1 to 999 thousandths of a GPU"));
            return Err(fault.hint("ask for whole GPUs with gpus_per_node"));
        }
        return Ok(Some(Share::Milli(milli)));
    }
    if let Some(name) = &spec.gpu_profile {
        word(&field("gpu_profile"), name)?;
        return Ok(Some(Share::Slice(name.to_ascii_lowercase())));
    }
    let shards = spec.gpu_shards.unwrap_or(0);
    let Some(of) = shapes.iter().map(|shape| shape.shards).find(|of| *of > 0) else {
        let fact =
            format!("{} is {shards}, but partition {partition} has no GPUs that are shared", field("gpu_shards"));
        return Err(Fault::new(422, "impossible", fact));
    };
    match shards {
        0 => Err(Fault::invalid(&field("gpu_shards"), "is 0, at least 1")),
        all if all == of => Ok(None),
        more if more > of => {
            let fault = Fault::invalid(&field("gpu_shards"), format!("is {more}, a GPU has {of} shards here"));
            Err(fault.hint("ask for whole GPUs with gpus_per_node"))
        }
        _ => Ok(Some(Share::Milli((shards * WHOLE / of).max(1)))),
    }
}

fn check_numbers(at: &str, spec: &PartSpec) -> Result<(), Fault> {
    let numbers = [
        ("nodes", spec.nodes, 1, most::NODES),
        ("gpus_per_node", spec.gpus_per_node, 0, most::GPUS),
        ("gpus_total", spec.gpus_total, 0, most::NODES * most::GPUS),
        ("tasks", spec.tasks, 1, most::TASKS),
        ("tasks_per_node", spec.tasks_per_node, 1, most::CPUS),
        ("cpus_per_task", spec.cpus_per_task, 1, most::CPUS),
        ("cpus_per_node", spec.cpus_per_node, 1, most::CPUS),
    ];
    for (name, number, least, most) in numbers {
        if let Some(number) = number.filter(|number| !(least..=most).contains(number)) {
            return Err(Fault::invalid(&format!("{at}.{name}"), format!("is {number}, from {least} to {most}")));
        }
    }
    if let Some(memory) = spec.memory_mib.filter(|memory| *memory > most::MEMORY_MIB) {
        return Err(Fault::invalid(&format!("{at}.memory_mib"), format!("is {memory}, at most {}", most::MEMORY_MIB)));
    }
    if spec.gpus_per_node.is_some() && spec.gpus_total.is_some() {
        return Err(Fault::invalid(&format!("{at}.gpus_total"), "and gpus_per_node do not go together"));
    }
    Ok(())
}

/// Nodes and GPUs on each: as few nodes as hold what is asked for, evenly.
fn spread(at: &str, spec: &PartSpec, shapes: &[&Shape], partition: &str) -> Result<(u32, u32), Fault> {
    let per_node = spec.gpus_per_node.unwrap_or(0);
    let largest_gpus = shapes.iter().map(|shape| shape.gpus).max().unwrap_or(0);
    let largest_cpus = shapes.iter().map(|shape| shape.cpus).max().unwrap_or(1).max(1);
    let total = spec.gpus_total.unwrap_or(0);
    if let Some(nodes) = spec.nodes {
        if !total.is_multiple_of(nodes) {
            let fact = format!("is {total}, which does not divide evenly over {nodes} nodes");
            return Err(
                Fault::invalid(&format!("{at}.gpus_total"), fact).hint("ask for gpus_per_node, or change nodes")
            );
        }
        return Ok((nodes, if spec.gpus_total.is_some() { total / nodes } else { per_node }));
    }
    if total > 0 && largest_gpus == 0 {
        let of = spec.gpu_model.as_ref().map(|model| format!(" of model {model}")).unwrap_or_default();
        let fact = format!("is {total}, but partition {partition} has no GPUs{of}");
        return Err(Fault::new(422, "impossible", format!("{at}.gpus_total {fact}")));
    }
    let by_cpus = |nodes: u32| match (spec.tasks, spec.tasks_per_node) {
        (Some(tasks), Some(each)) => tasks.div_ceil(nodes) <= each,
        (Some(tasks), None) => {
            u64::from(tasks.div_ceil(nodes)) * u64::from(spec.cpus_per_task.unwrap_or(1)) <= u64::from(largest_cpus)
        }
        (None, _) => true,
    };
    let by_gpus = |nodes: u32| total.is_multiple_of(nodes) && total / nodes <= largest_gpus.max(1);
    // A total has a divisor that fits (itself, one GPU on each node); tasks alone fit at one task on each node at last.
    let bound = total.max(spec.tasks.unwrap_or(1)).clamp(1, most::NODES);
    let nodes =
        (1..=bound).find(|nodes| by_gpus(*nodes) && by_cpus(*nodes)).or((1..=bound).find(|nodes| by_gpus(*nodes)));
    let nodes = nodes.unwrap_or(1);
    Ok((nodes, if spec.gpus_total.is_some() { total / nodes } else { per_node }))
}

fn cpus_of(spec: &PartSpec, nodes: u32) -> u32 {
    let tasks = match (spec.tasks, spec.tasks_per_node) {
        (_, Some(each)) => each,
        (Some(tasks), None) => tasks.div_ceil(nodes),
        (None, None) => 1,
    };
    tasks.saturating_mul(spec.cpus_per_task.unwrap_or(1))
}

/// The memory that goes with the CPUs held, on the node that gives least, so that the job fits all of them.
fn memory_of(shapes: &[&Shape], gpus: u32, cpus: u32) -> u64 {
    let holding = shapes.iter().filter(|shape| shape.gpus >= gpus && shape.cpus >= cpus);
    let shares = holding.map(|shape| {
        let share = shape.memory_mib * u64::from(cpus) / u64::from(shape.cpus.max(1));
        share.max(LEAST_MEMORY_MIB).min(shape.memory_mib)
    });
    shares.min().unwrap_or(LEAST_MEMORY_MIB)
}

/// One word, or several with bars between.
fn choice(field: &str, text: &str) -> Result<Choice, Fault> {
    let words: Vec<&str> = text.split('|').collect();
    if words.len() > most::WORDS {
        return Err(Fault::invalid(field, format!("names {} alternatives, at most {}", words.len(), most::WORDS)));
    }
    words.iter().try_for_each(|one| word(field, one))?;
    Choice::same(words.into_iter().map(str::to_owned)).ok_or_else(|| Fault::invalid(field, "is empty"))
}

/// `a`; `a|b`, one of them on each node; `[a|b]`, one of them on all nodes alike.
fn feature(field: &str, text: &str) -> Result<Choice, Fault> {
    match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inside) => choice(field, inside),
        None => choice(field, text).map(Choice::mixed),
    }
}

fn word(field: &str, text: &str) -> Result<(), Fault> {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:+=".contains(&byte);
    if !text.is_empty() && text.len() <= 128 && text.bytes().all(fine) {
        return Ok(());
    }
    Err(Fault::invalid(field, format!("holds {text:?}, which is not a word of letters, digits and -_.:+=")))
}

fn node_names(estate: &Estate, field: &str, names: &[String]) -> Result<(), Fault> {
    if names.len() > most::NAMES {
        return Err(Fault::invalid(field, format!("has {} entries, at most {}", names.len(), most::NAMES)));
    }
    match names.iter().find(|name| estate.node(name).is_none()) {
        Some(name) => Err(Fault::invalid(field, format!("names {name:?}, which is not a node here"))),
        None => Ok(()),
    }
}

/// Spares are counted among the first part's nodes.
fn add_spares(first: &mut Part, topology: &Topology) -> Result<(), Fault> {
    let (nodes, spares) = (first.nodes.saturating_add(topology.spares), topology.spares);
    if nodes > most::NODES {
        let fact = format!("is {spares}: parts[0] asks for {nodes} nodes with them, at most {}", most::NODES);
        return Err(Fault::invalid("topology.spares", fact));
    }
    first.nodes = nodes;
    Ok(())
}

/// Whether the levels exist, and the segments divide, the scheduler says by what fits.
fn topology(spec: Option<TopologySpec>) -> Result<Topology, Fault> {
    let spec = spec.unwrap_or_default();
    for (field, level) in [("topology.required", &spec.required), ("topology.preferred", &spec.preferred)] {
        level.as_ref().map_or(Ok(()), |level| word(field, level))?;
    }
    if spec.segment.is_some_and(|nodes| nodes == 0 || nodes > most::NODES) {
        return Err(Fault::invalid("topology.segment", format!("is a number of nodes from 1 to {}", most::NODES)));
    }
    if spec.spares > most::NODES {
        return Err(Fault::invalid("topology.spares", format!("is {}, at most {}", spec.spares, most::NODES)));
    }
    if spec.patience_secs.is_some() && spec.required.is_none() {
        return Err(Fault::invalid("topology.patience_secs", "waits for a required level, and none is required"));
    }
    let patience = spec.patience_secs.map(|secs| Span::from_secs(secs.min(most::LIMIT_SECS)));
    let TopologySpec { required, preferred, segment, spares, .. } = spec;
    Ok(Topology { required, preferred, segment, spares, patience })
}

fn waits(specs: &[WaitSpec]) -> Result<Vec<Wait>, Fault> {
    if specs.len() > most::WAITS {
        return Err(Fault::invalid("after", format!("has {} entries, at most {}", specs.len(), most::WAITS)));
    }
    let wait = |spec: &WaitSpec| {
        let kind = match spec.kind {
            After::After => DependencyKind::Started,
            After::AfterOk => DependencyKind::Succeeded,
            After::AfterNotOk => DependencyKind::Failed,
            After::AfterAny => DependencyKind::Ended,
            After::AfterCorr => DependencyKind::Corresponding,
        };
        let delay = Span::from_secs(spec.delay_secs.min(most::LIMIT_SECS));
        Wait { on: Target { job: JobId::new(spec.job), task: spec.task }, kind, delay }
    };
    Ok(specs.iter().map(wait).collect())
}

fn warning(spec: &WarnSpec) -> Result<Warning, Fault> {
    signal_number("warning.signal", spec.signal)?;
    if spec.before_secs > most::LIMIT_SECS {
        return Err(Fault::invalid(
            "warning.before_secs",
            format!("is {}, at most {}", spec.before_secs, most::LIMIT_SECS),
        ));
    }
    Ok(Warning { signal: spec.signal, before: Span::from_secs(spec.before_secs), shell: spec.shell })
}

/// A signal's number.
pub fn signal_number(field: &str, signal: i32) -> Result<i32, Fault> {
    if (1..=64).contains(&signal) {
        return Ok(signal);
    }
    Err(Fault::invalid(field, format!("is {signal}, from 1 to 64")))
}

fn launch(batch: Batch) -> Result<LaunchSpec, Fault> {
    if batch.script.is_empty() && !batch.hold_only {
        return Err(Fault::invalid("batch.script", "is empty").hint("begin it with a line like `#!/bin/sh`"));
    }
    if batch.script.len() > most::SCRIPT {
        return Err(Fault::invalid(
            "batch.script",
            format!("has {} bytes, at most {}", batch.script.len(), most::SCRIPT),
        ));
    }
    whole("batch.script", &batch.script)?;
    path("batch.cwd", &batch.cwd)?;
    if !batch.cwd.starts_with('/') {
        return Err(Fault::invalid("batch.cwd", format!("is {:?}, which is not absolute", batch.cwd)));
    }
    for (field, pattern) in [("stdout", &batch.stdout), ("stderr", &batch.stderr), ("stdin", &batch.stdin)] {
        pattern.as_deref().map_or(Ok(()), |pattern| path(&format!("batch.{field}"), pattern))?;
    }
    path("batch.submit_host", &batch.submit_host)?;
    arguments(&batch)?;
    Ok(LaunchSpec {
        kind: if batch.hold_only { Kind::Hold } else { Kind::Batch },
        script: batch.script,
        args: batch.args,
        env: batch.env,
        submit_dir: if batch.submit_dir.is_empty() { batch.cwd.clone() } else { batch.submit_dir },
        cwd: batch.cwd,
        stdout: batch.stdout,
        stderr: batch.stderr,
        stdin: batch.stdin,
        append: batch.append,
        umask: batch.umask.map(|mask| mask & 0o777),
        submit_host: batch.submit_host,
    })
}

fn arguments(batch: &Batch) -> Result<(), Fault> {
    if batch.args.len() > most::ARGS {
        return Err(Fault::invalid("batch.args", format!("has {} entries, at most {}", batch.args.len(), most::ARGS)));
    }
    if batch.env.len() > most::ENV {
        return Err(Fault::invalid("batch.env", format!("has {} entries, at most {}", batch.env.len(), most::ENV)));
    }
    let bytes: usize = batch.env.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
    if bytes > most::ENV_BYTES {
        return Err(Fault::invalid("batch.env", format!("has {bytes} bytes, at most {}", most::ENV_BYTES))
            .hint("export fewer variables, for instance with --export=NONE"));
    }
    batch.args.iter().try_for_each(|arg| whole("batch.args", arg))?;
    for (name, value) in &batch.env {
        if name.is_empty() || name.contains('=') {
            return Err(Fault::invalid("batch.env", format!("has the name {name:?}, which no variable can have")));
        }
        whole("batch.env", name)?;
        whole("batch.env", value)?;
    }
    Ok(())
}

fn path(field: &str, path: &str) -> Result<(), Fault> {
    if path.len() > most::PATH {
        return Err(Fault::invalid(field, format!("has {} bytes, at most {}", path.len(), most::PATH)));
    }
    whole(field, path)
}

/// No process can be given a NUL.
fn whole(field: &str, text: &str) -> Result<(), Fault> {
    if text.contains('\0') {
        return Err(Fault::invalid(field, "holds a NUL byte, which no program can be given"));
    }
    Ok(())
}
