//! A job's environment: what Slurm sets for a batch script, for scripts and frameworks that read it, and
//! `MADANG_ALLOCATION` for our own `srun`.
//!
//! What a submitter's own job left behind (a step's id, another array's index) is taken out first: a variable set
//! here or by no one. Devices are named even when none is held, so that a job without GPUs sees none.
use crate::hostlist;
use crate::order::{NodeShare, Order, PartInfo};
use crate::tasks::{counts_text, layout};
use madang_model::{RunId, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is the same for every job of this machine and server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Surroundings {
    /// User id that jobs run as.
    pub uid: u32,
    /// Group id that jobs run as.
    pub gid: u32,
    /// Login name, home and shell of that user, for a job that brings none.
    pub login: Option<(String, String, String)>,
    /// Set for every job, last.
    pub extra: Vec<(String, String)>,
    /// Folder put first on `PATH`.
    pub path_prefix: Option<String>,
}

/// What a job holds, as `MADANG_ALLOCATION` says in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllocationText {
    /// The run.
    pub run: RunId,
    /// Nodes and devices, ascending by part.
    pub nodes: Vec<NodeShare>,
    /// How the tasks of each part are laid out.
    pub parts: Vec<PartInfo>,
}

/// The variable that marks every process of a run, so that strays are found.
pub const MARK: &str = "MADANG_RUN";

/// The variable that names the nodes held for the case that another is lost: the last of the job's list.
pub const SPARES: &str = "MADANG_SPARE_NODES";

/// The variables of a gang whose size may differ: its fewest and most nodes, and how many the run before had.
pub const SIZES: [&str; 3] = ["MADANG_NODES_LEAST", "MADANG_NODES_MOST", "MADANG_RESIZED_FROM"];

/// The variable that every process of a step has and the batch script has not.
pub const STEP: &str = "SLURM_STEP_ID";

/// Beginnings of names that describe one job and must not pass from one job to the next.
const OURS: [&str; 7] =
    ["SLURM_ARRAY_", "SLURM_HET_", "SLURM_JOB_", "SLURM_STEP", "SLURM_SRUN_", "SLURMD_", "SLURM_TASK_PID"];

/// Names of the same kind.
const OURS_TOO: [&str; 26] = [
    "SLURM_JOBID",
    "SLURM_NODELIST",
    "SLURM_NNODES",
    "SLURM_NTASKS",
    "SLURM_NPROCS",
    "SLURM_NTASKS_PER_NODE",
    "SLURM_TASKS_PER_NODE",
    "SLURM_CPUS_PER_TASK",
    "SLURM_CPUS_ON_NODE",
    "SLURM_GPUS_ON_NODE",
    "SLURM_MEM_PER_NODE",
    "SLURM_RESTART_COUNT",
    "SLURM_PROCID",
    "SLURM_LOCALID",
    "SLURM_NODEID",
    "SLURM_GTIDS",
    "SLURM_LAUNCH_NODE_IPADDR",
    "CUDA_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES",
    "MADANG_PRETEND_GPUS",
    "MADANG_ALLOCATION",
    SPARES,
    SIZES[0],
    SIZES[1],
    SIZES[2],
    MARK,
];

/// The environment of a run's batch script, ascending by name.
pub fn environment(order: &Order, here: &Surroundings, mark: &str, start: Time) -> Vec<(String, String)> {
    let mut env = Env::of(order);
    login(&mut env, here);
    identity(&mut env, order, here, start);
    for (number, part) in order.parts.iter().enumerate() {
        let nodes = nodes_of(order, number);
        if number == 0 {
            part_variables(&mut env, "", part, &nodes);
        }
        if order.parts.len() > 1 {
            let suffix = format!("_HET_GROUP_{number}");
            env.set(&format!("SLURM_JOB_ID{suffix}"), order.run.job.number());
            part_variables(&mut env, &suffix, part, &nodes);
        }
    }
    if order.parts.len() > 1 {
        env.set("SLURM_HET_SIZE", order.parts.len());
    }
    spares(&mut env, order);
    sizes(&mut env, order);
    array(&mut env, order);
    memory(&mut env, order);
    devices(&mut env, order);
    env.set(MARK, mark);
    let allocation = AllocationText { run: order.run, nodes: order.nodes.clone(), parts: order.parts.clone() };
    env.set("MADANG_ALLOCATION", serde_json::to_string(&allocation).expect("plain data has a JSON form"));
    for (name, value) in &here.extra {
        env.set(name, value);
    }
    env.0.into_iter().collect()
}

/// Beginnings of names that Slurm sets for a job and its own commands rely on within it.
const SLURMS: [&str; 8] = [
    "SLURM_",
    "SLURMD_",
    "CUDA_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES",
    "ZE_AFFINITY_MASK",
    "GPU_DEVICE_ORDINAL",
    "TMPDIR",
    "PMIX_",
];

/// The number of a job with the centre, where `SLURM_JOB_ID` is another one.
const OWN_JOB: &str = "MADANG_JOB_ID";

/// The environment of a batch script that Slurm has started: the user's own, over it what Slurm has set in
/// `inherited` (its ids, its nodes, the devices that it really gave), over that what only the centre knows.
pub fn within_slurm(
    order: &Order,
    here: &Surroundings,
    mark: &str,
    inherited: Vec<(String, String)>,
) -> Vec<(String, String)> {
    let mut env = Env::of(order);
    login(&mut env, here);
    for (name, value) in inherited.iter().filter(|(name, _)| SLURMS.iter().any(|start| name.starts_with(start))) {
        env.set(name, value);
    }
    let devices = env.0.get("CUDA_VISIBLE_DEVICES").cloned().unwrap_or_default();
    if order.nodes.iter().all(|node| node.devices.is_empty()) {
        // Slurm names no devices to a job that has none, which would leave it all of them where nothing contains it.
        for name in ["CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL"] {
            env.set(name, "");
        }
    }
    env.set("NVIDIA_VISIBLE_DEVICES", if devices.is_empty() { "void" } else { &devices });
    env.set("SLURM_JOB_NAME", &order.job_name);
    env.set("SLURM_SUBMIT_DIR", &order.spec.submit_dir);
    env.set("SLURM_SUBMIT_HOST", &order.spec.submit_host);
    env.set("SLURM_RESTART_COUNT", order.restart_count);
    env.set("ENVIRONMENT", "BATCH");
    env.set(OWN_JOB, order.run.job.number());
    spares(&mut env, order);
    sizes(&mut env, order);
    array(&mut env, order);
    env.set(MARK, mark);
    for (name, value) in &here.extra {
        env.set(name, value);
    }
    env.0.into_iter().collect()
}

/// Variables by name. A name that no environment can hold is dropped.
struct Env(BTreeMap<String, String>);

impl Env {
    fn of(order: &Order) -> Env {
        let mut env = Env(BTreeMap::new());
        for (name, value) in &order.spec.env {
            let stale = OURS.iter().any(|start| name.starts_with(start)) || OURS_TOO.contains(&name.as_str());
            if !stale {
                env.set(name, value);
            }
        }
        env
    }
    fn set(&mut self, name: &str, value: impl ToString) {
        let value = value.to_string();
        if !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0') {
            self.0.insert(name.to_owned(), value);
        }
    }
    fn set_if_missing(&mut self, name: &str, value: &str) {
        if !self.0.contains_key(name) {
            self.set(name, value);
        }
    }
}

fn login(env: &mut Env, here: &Surroundings) {
    if let Some((user, home, shell)) = &here.login {
        for (name, value) in [("USER", user), ("LOGNAME", user), ("HOME", home), ("SHELL", shell)] {
            env.set_if_missing(name, value);
        }
    }
    env.set_if_missing("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    if let Some(prefix) = &here.path_prefix {
        let path = format!("{prefix}:{}", env.0["PATH"]);
        env.set("PATH", path);
    }
}

fn identity(env: &mut Env, order: &Order, here: &Surroundings, start: Time) {
    let job = order.run.job.number();
    env.set("SLURM_JOB_ID", job);
    env.set("SLURM_JOBID", job);
    env.set("SLURM_JOB_NAME", &order.job_name);
    env.set("SLURM_JOB_USER", &order.user_name);
    env.set("SLURM_JOB_UID", here.uid);
    env.set("SLURM_JOB_GID", here.gid);
    env.set("SLURM_JOB_ACCOUNT", &order.project);
    env.set("SLURM_JOB_PARTITION", &order.partition);
    env.set("SLURM_JOB_QOS", &order.qos);
    if !order.comment.is_empty() {
        env.set("SLURM_JOB_COMMENT", &order.comment);
    }
    env.set("SLURM_CLUSTER_NAME", &order.cluster);
    env.set("SLURM_SUBMIT_DIR", &order.spec.submit_dir);
    env.set("SLURM_SUBMIT_HOST", &order.spec.submit_host);
    env.set("SLURM_JOB_START_TIME", start.secs());
    env.set("SLURM_JOB_END_TIME", start.after(order.limit).secs());
    env.set("SLURM_RESTART_COUNT", order.restart_count);
    for name in ["SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID", "SLURM_GTIDS"] {
        env.set(name, 0);
    }
    env.set("ENVIRONMENT", "BATCH");
    if let Some(first) = order.nodes.first() {
        env.set("SLURMD_NODENAME", &first.name);
        env.set("SLURM_TOPOLOGY_ADDR", &first.name);
        env.set("SLURM_TOPOLOGY_ADDR_PATTERN", "node");
    }
}

fn nodes_of(order: &Order, part: usize) -> Vec<&NodeShare> {
    order.nodes.iter().filter(|node| node.part as usize == part).collect()
}

fn part_variables(env: &mut Env, suffix: &str, part: &PartInfo, nodes: &[&NodeShare]) {
    let names: Vec<String> = nodes.iter().map(|node| node.name.clone()).collect();
    let list = hostlist::in_order(&names);
    let cpus: Vec<u32> = nodes.iter().map(|node| node.cpus).collect();
    let tasks = layout(nodes.len(), part.ntasks, part.ntasks_per_node);
    let mut set = |name: &str, value: String| env.set(&format!("{name}{suffix}"), value);
    set("SLURM_JOB_NODELIST", list.clone());
    set("SLURM_NODELIST", list);
    set("SLURM_JOB_NUM_NODES", nodes.len().to_string());
    set("SLURM_NNODES", nodes.len().to_string());
    set("SLURM_JOB_CPUS_PER_NODE", counts_text(&cpus));
    set("SLURM_CPUS_ON_NODE", cpus.first().copied().unwrap_or(0).to_string());
    set("SLURM_TASKS_PER_NODE", counts_text(&tasks));
    if part.ntasks.is_some() || part.ntasks_per_node.is_some() {
        let count: u32 = tasks.iter().sum();
        set("SLURM_NTASKS", count.to_string());
        set("SLURM_NPROCS", count.to_string());
    }
    if let Some(count) = part.ntasks_per_node {
        set("SLURM_NTASKS_PER_NODE", count.to_string());
    }
    if let Some(count) = part.cpus_per_task {
        set("SLURM_CPUS_PER_TASK", count.to_string());
    }
}

fn spares(env: &mut Env, order: &Order) {
    if order.spares > 0 {
        let names: Vec<String> = nodes_of(order, 0).into_iter().map(|node| node.name.clone()).collect();
        let first = names.len().saturating_sub(order.spares as usize);
        env.set(SPARES, hostlist::in_order(&names[first..]));
    }
}

fn sizes(env: &mut Env, order: &Order) {
    if let Some((least, most)) = order.sizes {
        env.set(SIZES[0], least);
        env.set(SIZES[1], most);
    }
    if order.resized_from > 0 {
        env.set(SIZES[2], order.resized_from);
    }
}

fn array(env: &mut Env, order: &Order) {
    let Some(array) = order.array else { return };
    env.set("SLURM_ARRAY_JOB_ID", array.job);
    env.set("SLURM_ARRAY_TASK_ID", array.task);
    env.set("SLURM_ARRAY_TASK_COUNT", array.count);
    env.set("SLURM_ARRAY_TASK_MIN", array.min);
    env.set("SLURM_ARRAY_TASK_MAX", array.max);
    env.set("SLURM_ARRAY_TASK_STEP", array.step);
}

/// Slurm has one of three memory variables, by what was asked; the submitting side sets the other two.
fn memory(env: &mut Env, order: &Order) {
    let other = ["SLURM_MEM_PER_CPU", "SLURM_MEM_PER_GPU"].iter().any(|name| env.0.contains_key(*name));
    if let Some(first) = order.nodes.first().filter(|node| node.memory_mib > 0 && !other) {
        env.set("SLURM_MEM_PER_NODE", first.memory_mib);
    }
}

fn devices(env: &mut Env, order: &Order) {
    let held = order.nodes.first().map(|node| node.devices.as_slice()).unwrap_or_default();
    let list = held.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    env.set("CUDA_VISIBLE_DEVICES", &list);
    env.set("ROCR_VISIBLE_DEVICES", &list);
    env.set("GPU_DEVICE_ORDINAL", &list);
    env.set("NVIDIA_VISIBLE_DEVICES", if held.is_empty() { "void" } else { &list });
    if !held.is_empty() {
        env.set("SLURM_JOB_GPUS", &list);
        env.set("SLURM_GPUS_ON_NODE", held.len());
    }
    if let Some(milli) = order.nodes.first().map(|node| node.gpu_milli).filter(|milli| *milli > 0) {
        // A hint: only processes that run under CUDA's MPS heed it, and then it bounds compute alone, not memory.
        env.set("CUDA_MPS_ACTIVE_THREAD_PERCENTAGE", milli.div_ceil(10));
        env.set("MADANG_GPU_MILLI", milli);
    }
    if order.nodes.iter().any(|node| node.pretend) {
        env.set("MADANG_PRETEND_GPUS", 1);
    }
}
