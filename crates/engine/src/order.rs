//! What the engine is told: a run, what to run, and on which nodes and devices. An order leaves no choice open.
use madang_model::{Health, Outcome, RunId, Span, StopCause, Time, Warning};
use serde::{Deserialize, Serialize};

/// What to run; kept by the server beside the journal and named there by [`madang_model::Launch`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LaunchSpec {
    /// Whether there is a process at all.
    pub kind: Kind,
    /// The batch script; without a `#!` line it is `/bin/sh`'s.
    pub script: String,
    /// The script's arguments.
    pub args: Vec<String>,
    /// The job's environment before the engine adds what it knows.
    pub env: Vec<(String, String)>,
    /// Working folder.
    pub cwd: String,
    /// Pattern of the output file; `None` for Slurm's default.
    pub stdout: Option<String>,
    /// Pattern of the error file; `None` for the same as the output.
    pub stderr: Option<String>,
    /// Pattern of the input file; `None` for nothing to read.
    pub stdin: Option<String>,
    /// True to append to output files, else they are emptied.
    pub append: bool,
    /// File mode mask of the submitter; `None` for 022.
    pub umask: Option<u32>,
    /// Folder it was submitted from.
    pub submit_dir: String,
    /// Host it was submitted from.
    pub submit_host: String,
}

/// Whether a run has a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A batch script.
    #[default]
    Batch,
    /// Nothing runs: the allocation is held until released, stopped or out of time (`salloc`).
    Hold,
}

/// One run, told completely.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The run. Told twice it is started once.
    pub run: RunId,
    /// What to run.
    pub spec: LaunchSpec,
    /// The job's name.
    pub job_name: String,
    /// Login name of its user.
    pub user_name: String,
    /// Its project, Slurm's account.
    pub project: String,
    /// Its partition.
    pub partition: String,
    /// Its QOS by name.
    pub qos: String,
    /// The user's free text.
    pub comment: String,
    /// The centre's short name.
    pub cluster: String,
    /// What it holds, in rank order: by part, then along the tree of domains.
    pub nodes: Vec<NodeShare>,
    /// How its tasks are laid out, one for each part.
    pub parts: Vec<PartInfo>,
    /// How long it may run.
    pub limit: Span,
    /// Signal before the limit.
    pub warning: Option<Warning>,
    /// Its place in an array.
    pub array: Option<ArrayInfo>,
    /// How often it was started before.
    pub restart_count: u32,
    /// How many of the first part's nodes, its last ones, are held for the case that another is lost.
    #[serde(default)]
    pub spares: u32,
    /// Fewest and most nodes of a gang whose size may differ.
    #[serde(default)]
    pub sizes: Option<(u32, u32)>,
    /// Nodes of the run before, if that had more or fewer; else 0.
    #[serde(default)]
    pub resized_from: u32,
    /// Time between `TERM` and `KILL`.
    pub grace: Span,
}

/// What a run holds of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeShare {
    /// The node's name.
    pub name: String,
    /// The part of the job it serves.
    pub part: u32,
    /// Indices of its devices held.
    pub devices: Vec<u32>,
    /// Thousandths held of its one device, where others use it too; 0 for whole ones.
    #[serde(skip_serializing_if = "is_zero")]
    pub gpu_milli: u32,
    /// CPUs held.
    pub cpus: u32,
    /// Memory held in MiB; 0 for no limit.
    pub memory_mib: u64,
    /// The devices' GRES type.
    pub model: Option<String>,
    /// True for devices that are made up.
    pub pretend: bool,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// How one part's tasks are laid out; what the user did not say is `None`, as in Slurm's environment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PartInfo {
    /// Tasks in all.
    pub ntasks: Option<u32>,
    /// Tasks on each node.
    pub ntasks_per_node: Option<u32>,
    /// CPUs for each task.
    pub cpus_per_task: Option<u32>,
}

/// A task's place in its array.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArrayInfo {
    /// The array's id.
    pub job: u64,
    /// The task's index.
    pub task: u32,
    /// How many tasks.
    pub count: u32,
    /// The least index.
    pub min: u32,
    /// The largest index.
    pub max: u32,
    /// The step between indices.
    pub step: u32,
}

/// What the engine saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EngineReport {
    /// A run began. Told again after a restart of the server; the same moment each time.
    Started {
        /// Which.
        run: RunId,
        /// When, as noted by its shepherd.
        at: Time,
    },
    /// A run is over and nothing of it is left. Told again after a restart until the run is forgotten.
    Ended {
        /// Which.
        run: RunId,
        /// When, as noted by its shepherd.
        at: Time,
        /// How.
        outcome: Outcome,
        /// Peak memory in MiB, rounded up.
        peak_mib: u64,
        /// CPU time of all its processes.
        cpu: Span,
        /// Why it failed, where the outcome does not say; else empty.
        note: String,
    },
    /// The engine has never started this run and now never will of itself.
    Unknown {
        /// Which.
        run: RunId,
    },
    /// How a node fares by the engine's word. Told again and again, changed or not.
    Node {
        /// The node's name.
        node: String,
        /// Whether it takes work, and why not.
        health: Health,
    },
}

/// What every engine does for the server. Calls hand over and never wait; answers are reports.
pub trait Engine: Send {
    /// Runs that are here: told to start, running, or ended and not yet forgotten.
    fn known(&self) -> Vec<RunId>;
    /// Starts a run, unless it was started before. What stands in the way is reported as its end.
    fn start(&mut self, order: Order);
    /// Ends a run: `TERM`, its grace period, `KILL`. Always answered.
    fn stop(&mut self, run: RunId, cause: StopCause);
    /// Signals a run's script alone, or its steps.
    fn signal(&mut self, run: RunId, signal: i32, shell_only: bool);
    /// Changes how long a run may run, counted from its start.
    fn set_limit(&mut self, run: RunId, limit: Span);
    /// Ends a held allocation as its user's shell ended.
    fn release(&mut self, run: RunId, exit: i32);
    /// Reports again where a run stands, or that it is unknown.
    fn confirm(&mut self, run: RunId);
    /// Cleans up after a run whose end is journalled. A run that has not ended is left alone.
    fn forget(&mut self, run: RunId);
}
