//! Jobs: submit, see, change.
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A block of equal nodes within a gang.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PartSpec {
    /// Nodes. Absent: as few as hold `gpus_total`, else 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<u32>,
    /// GPUs on each node; not together with `gpus_total`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpus_per_node: Option<u32>,
    /// GPUs over all nodes of the part (Slurm's `--gpus`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpus_total: Option<u32>,
    /// GPU model, as a GRES type; or several with a bar between (`h200|h100`), of which one is taken for all nodes: the
    /// first that can start now, else the one that can start first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_model: Option<String>,
    /// Each node may have another of the models.
    #[serde(default, skip_serializing_if = "is_false")]
    pub mixed: bool,
    /// A share of one GPU on each node in thousandths, 1 to 999. Others use the same GPU: neither its memory nor its
    /// compute is isolated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_milli: Option<u32>,
    /// The same in shards (Slurm's `--gres=shard`); the site says how many a GPU has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_shards: Option<u32>,
    /// A slice of one GPU on each node, by its profile (`1g.18gb`), isolated by the hardware.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_profile: Option<String>,
    /// Tasks over all nodes of the part; default one per node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks: Option<u32>,
    /// Tasks on each node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks_per_node: Option<u32>,
    /// CPUs for each task; default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus_per_task: Option<u32>,
    /// CPUs on each node, overriding what tasks add up to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus_per_node: Option<u32>,
    /// Memory on each node in MiB; 0 is all of it. Absent: the node's share of memory that goes with the CPUs held,
    /// but at least 1 GiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<u64>,
    /// Whole nodes, no sharing.
    #[serde(default, skip_serializing_if = "is_false")]
    pub exclusive: bool,
    /// Features every node must have. `a|b` is one of them on each node, `[a|b]` one of them on all nodes alike.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
}

fn is_false(value: &bool) -> bool {
    !*value
}

/// What to run on a site that runs real processes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// The script, at most 4 MiB; run directly when it begins with `#!`, else by `/bin/sh`.
    pub script: String,
    /// Arguments of the script.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// The job's environment before the `SLURM_*` variables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<(String, String)>,
    /// Working folder, absolute.
    pub cwd: String,
    /// Output pattern; default `slurm-%j.out`, in arrays `slurm-%A_%a.out`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdout: Option<String>,
    /// Error pattern; default the output's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stderr: Option<String>,
    /// Input file; default `/dev/null`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin: Option<String>,
    /// Append to the output instead of starting it anew.
    #[serde(default, skip_serializing_if = "is_false")]
    pub append: bool,
    /// Hold the nodes and run nothing, until cancelled (`salloc`).
    #[serde(default, skip_serializing_if = "is_false")]
    pub hold_only: bool,
    /// Host it was submitted from.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub submit_host: String,
    /// Folder it was submitted from (`SLURM_SUBMIT_DIR`); default the working folder.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub submit_dir: String,
    /// File mode mask of the submitter; default 0022.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub umask: Option<u32>,
}

/// Which end of another job lets this one start: Slurm's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum After {
    /// Once it has started.
    After,
    /// Once it has ended well.
    AfterOk,
    /// Once it has ended badly.
    AfterNotOk,
    /// Once it has ended.
    AfterAny,
    /// Task by task of another array.
    AfterCorr,
}

/// A wait for another job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WaitSpec {
    /// Which end.
    pub kind: After,
    /// The job or array.
    pub job: u64,
    /// One task of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<u32>,
    /// For `after`: how long after, in seconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub delay_secs: u64,
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// Urgency within a share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum QosName {
    /// After everything else.
    Low,
    /// The usual.
    #[default]
    Normal,
    /// Before normal work.
    High,
}

/// A signal before the limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WarnSpec {
    /// Signal number, 1 to 64.
    pub signal: i32,
    /// How long before the limit.
    pub before_secs: u64,
    /// The batch shell alone, not its steps.
    #[serde(default, skip_serializing_if = "is_false")]
    pub shell: bool,
}

/// How a modelled run behaves; only on modelled sites.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelSpec {
    /// How long it would run, in milliseconds.
    pub runtime_ms: u64,
    /// Exit code it would end with.
    #[serde(default)]
    pub exit: i32,
}

/// How close together a gang's nodes must or should stand: the names are those of the islands' levels (`rack`, `leaf`),
/// or `island`. What is not asked for is still placed as close together as can be had.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TopologySpec {
    /// The gang, or each segment of it, stays within one domain of this level; it waits until that is possible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required: Option<String>,
    /// The gang stays within one domain of this level where that is possible now, else in as few as can be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preferred: Option<String>,
    /// Nodes in each segment: that many consecutive ranks stay within one domain of the required level, or without one
    /// of the lowest level whose domains can hold all segments. It divides the nodes of each part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment: Option<u32>,
    /// Nodes held beside those of the first part, to be used when one is lost; they come last in rank order.
    #[serde(default, skip_serializing_if = "is_none_asked")]
    pub spares: u32,
    /// How long it waits for the required level, in seconds from when it may start; then the level is only preferred.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patience_secs: Option<u64>,
}

fn is_none_asked(number: &u32) -> bool {
    *number == 0
}

/// A gang of one part that may have more nodes than the part says, which are then its fewest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ElasticSpec {
    /// Most nodes. It starts with as many as are free then, and its limit is for the fewest.
    pub most_nodes: u32,
    /// What starting again costs, in seconds. Given, the job grows and shrinks at its checkpoints: it is told to leave
    /// and starts again with other nodes. Absent, it stays as large as it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart_secs: Option<u64>,
}

/// Where data are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DataSpec {
    /// The site.
    pub site: String,
    /// How much, in gigabytes; 1 where only the place matters.
    #[serde(default = "one_gb")]
    pub gb: u32,
}

fn one_gb() -> u32 {
    1
}

/// One of a job's sites, and how it stands; figures are by hints and prices, not measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SiteStandingView {
    /// The site.
    pub site: String,
    /// Its place in the order in which sites are tried, 0 for the best.
    pub rank: u32,
    /// How long the job's data take to be there, by the hints, in seconds.
    pub data_secs: u64,
    /// What an hour of the gang costs there at the prices that rule now, in won, before rates; absent without such GPUs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub won_per_hour: Option<i64>,
    /// `chosen`, `promised`, `farther`, `dearer`, `even`, `was_full`, `full`, `never` or `lost`.
    pub verdict: String,
    /// The same in a sentence, English.
    pub text: String,
    /// The same in Korean.
    pub text_ko: String,
}

/// `POST /jobs`. Give an `Idempotency-Key` header to make a retry safe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Submit {
    /// Name for people; at most 1,024 bytes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Who pays; default the caller's first project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Where to queue; default the centre's first partition. Several names with commas between: it goes wherever it can
    /// start first, among those that allow its limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
    /// Sites allowed: names, `any` for all that can carry it, `-name` for all but one; default all of the partition's.
    /// Without a partition the sites choose it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sites: Vec<String>,
    /// Where its data are: a hint by which sites are put in order; default what its project says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data: Vec<DataSpec>,
    /// The gang; empty is one part of one node and one CPU.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<PartSpec>,
    /// Nodes the gang must include, one by one (`here1`, not `here[1-4]`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
    /// Nodes the gang must avoid.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// May span islands of one site.
    #[serde(default, skip_serializing_if = "is_false")]
    pub across_islands: bool,
    /// How close together its nodes must or should stand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topology: Option<TopologySpec>,
    /// How much larger the gang may be than its one part says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elastic: Option<ElasticSpec>,
    /// The reservation whose nodes it uses, within its windows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reservation: Option<String>,
    /// How long it may run; default that of the partition, or of the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_secs: Option<u64>,
    /// The shortest limit that it takes: it starts as soon as this fits, with the longest that does, up to `limit_secs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_min_secs: Option<u64>,
    /// When it must have ended: while it waits it is removed at the first moment at which it no longer can, and its limit
    /// is cut so that it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    /// Urgency.
    #[serde(default)]
    pub qos: QosName,
    /// Larger is later, from -10,000 to 10,000; below 0 needs the operator's role.
    #[serde(default)]
    pub nice: i32,
    /// Not before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begin_ms: Option<u64>,
    /// Waits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<WaitSpec>,
    /// Any one wait is enough.
    #[serde(default, skip_serializing_if = "is_false")]
    pub after_any: bool,
    /// One at a time of the same name and user.
    #[serde(default, skip_serializing_if = "is_false")]
    pub singleton: bool,
    /// Cancel when a wait can never be met.
    #[serde(default, skip_serializing_if = "is_false")]
    pub kill_on_invalid: bool,
    /// Start again after a lost node or when its nodes were taken back; default true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requeue: Option<bool>,
    /// How often the job writes a checkpoint, in seconds. Of two jobs whose nodes may be taken back, the one that loses
    /// less is; a job that says nothing is taken to write none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_secs: Option<u64>,
    /// Start held.
    #[serde(default, skip_serializing_if = "is_false")]
    pub held: bool,
    /// Signal before the limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<WarnSpec>,
    /// Array tasks as Slurm writes them: `0-11%4`, `1,3,5`, `0-20:5`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub array: Option<String>,
    /// What to run; needed for a site that runs real processes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<Batch>,
    /// How a modelled run behaves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelSpec>,
    /// Free text, at most 4,096 bytes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comment: String,
    /// Check and forecast only: nothing is submitted. What would be refused is refused.
    #[serde(default, skip_serializing_if = "is_false")]
    pub dry_run: bool,
}

/// The answer to a submission.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Submitted {
    /// The job's id; an array's first.
    pub job: u64,
    /// Number of tasks; 1 for a plain job.
    pub tasks: u32,
    /// Of a dry run: what would become of the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outlook: Option<Outlook>,
    /// What a person should know: partitions that were left out, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// What would become of a job, or of an array's first task, if it was submitted now. Nothing is kept for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Outlook {
    /// The id that it would have now.
    pub job: u64,
    /// When it would start if every run takes its whole limit and nothing else is submitted; absent if that cannot be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_ms: Option<u64>,
    /// CPUs that it would hold in all.
    pub cpus: u64,
    /// Its nodes in Slurm's compressed form, if they are known by now.
    pub node_list: String,
    /// Its partition.
    pub partition: String,
    /// What it would wait for; absent if it would start at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<Block>,
}

/// Slurm's names of states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum StateName {
    /// Waits.
    Pending,
    /// Sent to its engine.
    Configuring,
    /// Runs.
    Running,
    /// Told to stop, not yet gone.
    Completing,
    /// Exit code 0.
    Completed,
    /// Another exit code, or a signal.
    Failed,
    /// Out of time.
    Timeout,
    /// Somebody's wish.
    Cancelled,
    /// A node was lost.
    NodeFail,
    /// Over its memory limit.
    OutOfMemory,
    /// Could not be started.
    BootFail,
    /// Ended to run again (in the list of runs).
    Requeued,
    /// Its nodes were taken back for another job.
    Preempted,
    /// Its deadline came before its end.
    Deadline,
}

impl StateName {
    /// True once nothing will change any more.
    pub fn is_over(self) -> bool {
        self > StateName::Completing
    }
}

/// One node of an allocation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SlotView {
    /// Node name.
    pub node: String,
    /// Index of the part it serves.
    pub part: u32,
    /// Device indices held.
    pub devices: Vec<u32>,
    /// CPUs held.
    pub cpus: u32,
    /// Memory held in MiB.
    pub memory_mib: u64,
    /// Thousandths held of the one device, where that is not all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_milli: Option<u32>,
    /// Its memory slices held, of eight, where it is cut.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub memory_slices: Vec<u32>,
}

/// A run that is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunView {
    /// Attempt, from 1.
    pub attempt: u32,
    /// Slurm's name of how it ended.
    pub state: StateName,
    /// Exit code.
    pub exit: i32,
    /// Signal, 0 for none.
    pub signal: i32,
    /// When sent to its engine.
    pub sent_ms: u64,
    /// When it began.
    pub started_ms: Option<u64>,
    /// When it ended.
    pub ended_ms: u64,
    /// Node names in Slurm's compressed form: `here[1-4]`.
    pub nodes: String,
}

/// A job. In lists `slots`, `runs` and `batch` are left out unless `?full=true`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobView {
    /// Its id.
    pub id: u64,
    /// The array it is a task of, and its task index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub array: Option<ArrayView>,
    /// Name.
    pub name: String,
    /// Who submitted it.
    pub user: String,
    /// Who pays.
    pub project: String,
    /// The owner out of whose share it computes.
    pub owner: String,
    /// Where it runs or ran; while it waits all partitions that it may go to, with commas between.
    pub partition: String,
    /// Urgency.
    pub qos: QosName,
    /// Nice.
    pub nice: i32,
    /// State by Slurm's name.
    pub state: StateName,
    /// Slurm's reason while pending (`Resources`, `Priority`, …), or after an end what was noted.
    pub reason: String,
    /// The reason in a sentence, in English.
    pub reason_text: String,
    /// True for a job on a modelled site.
    pub modelled: bool,
    /// The reservation that it names.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reservation: String,
    /// Nodes asked for; of an elastic gang those it holds, or its fewest while it waits.
    pub nodes: u32,
    /// GPUs of these in all, begun ones counted.
    pub gpus: u32,
    /// The same in thousandths.
    #[serde(default)]
    pub gpu_milli: u32,
    /// CPUs asked for in all.
    pub cpus: u32,
    /// Memory asked for on each node of the first part, MiB; 0 is all.
    pub memory_mib: u64,
    /// The gang, part by part, as resolved.
    pub parts: Vec<PartView>,
    /// Limit: the one granted once it has started, else the one asked for. Of a job that goes on where an earlier run left
    /// off it is what is left.
    pub limit_secs: u64,
    /// The shortest limit that it takes, where it said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_min_secs: Option<u64>,
    /// When it must have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    /// How its size may differ and did, for a gang that is elastic or has gone on with other nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elastic: Option<ElasticView>,
    /// Submitted.
    pub submitted_ms: u64,
    /// Could have queued since.
    pub eligible_ms: Option<u64>,
    /// Not before.
    pub begin_ms: Option<u64>,
    /// Began (this attempt).
    pub started_ms: Option<u64>,
    /// Ends by its limit, or ended.
    pub ends_ms: Option<u64>,
    /// Promised to start by.
    pub promised_ms: Option<u64>,
    /// Exit code once ended.
    pub exit: i32,
    /// Signal once ended, 0 for none.
    pub signal: i32,
    /// Attempts so far.
    pub attempts: u32,
    /// Starts again after a lost node.
    pub requeue: bool,
    /// Held.
    pub held: bool,
    /// Site it runs or ran at.
    pub site: Option<String>,
    /// Of a job that may go to several sites: how each stands, the best first; only in full.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sites: Vec<SiteStandingView>,
    /// Node names in Slurm's compressed form, in rank order; empty while pending.
    pub node_list: String,
    /// How close together its nodes must or should stand, where it asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topology: Option<TopologySpec>,
    /// Comment.
    pub comment: String,
    /// Waits as Slurm writes them: `afterok:42(unfulfilled)`; empty for none.
    pub dependency: String,
    /// Working folder.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cwd: String,
    /// Output file, patterns expanded, absolute.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stdout: String,
    /// Error file.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stderr: String,
    /// Nodes and devices held, now or last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slots: Vec<SlotView>,
    /// Runs that are over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<RunView>,
    /// How likely the fleet stops it, and how often it should write a checkpoint; of a job with GPUs that is not over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stops: Option<crate::StopsView>,
}

/// How the size of a gang may differ, and did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ElasticView {
    /// Fewest nodes.
    pub least_nodes: u32,
    /// Most nodes.
    pub most_nodes: u32,
    /// What starting again costs; absent for a gang that stays as large as it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart_secs: Option<u64>,
    /// How often it went on with more or fewer nodes than before.
    pub resized: u32,
    /// Nodes of the run before; 0 for none.
    pub from_nodes: u32,
    /// What earlier runs used of its limit up to their last checkpoints.
    pub kept_secs: u64,
}

/// A part as resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PartView {
    /// Nodes.
    pub nodes: u32,
    /// GPUs on each.
    pub gpus: u32,
    /// GPU model: where several were asked for, all with bars between until it has started, then the one it got.
    pub gpu_model: Option<String>,
    /// The share of its one GPU in thousandths, where others use it too: not isolated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_milli: Option<u32>,
    /// The same in shards, where it is so many of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_shards: Option<u32>,
    /// The profile of the slice asked of its one GPU: isolated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_profile: Option<String>,
    /// CPUs on each.
    pub cpus: u32,
    /// Memory on each, MiB; 0 is all.
    pub memory_mib: u64,
    /// Tasks over all nodes.
    pub tasks: u32,
    /// CPUs for each task.
    pub cpus_per_task: u32,
    /// Whole nodes.
    pub exclusive: bool,
    /// Features asked for.
    pub features: Vec<String>,
}

/// Where a task belongs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ArrayView {
    /// The array's id.
    pub job: u64,
    /// The task index; absent in the one record that stands for all tasks not yet started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<u32>,
    /// In that record: the tasks it stands for, as Slurm writes them: `4-11%4`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks: Option<String>,
}

/// `GET /jobs/{id}/why`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Why {
    /// The job.
    pub job: u64,
    /// All that blocks it, the most binding first, each with Slurm's reason and a sentence with names and numbers.
    pub blocks: Vec<Block>,
    /// Jobs that rank before it.
    pub ahead: u32,
    /// Promised to start by.
    pub promised_ms: Option<u64>,
    /// On which nodes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub promised_nodes: String,
    /// What will happen to it if nothing changes: a deadline that it will miss; English.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
    /// The same in Korean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning_ko: Option<String>,
    /// How long it is expected to run, from its owner's like jobs, where the order of backfill goes by that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_secs: Option<u64>,
    /// Of a job that may go to several sites: how each stands, the best first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sites: Vec<SiteStandingView>,
    /// The smallest change found that would start it now, tried on a draft; English.
    pub change: Option<String>,
    /// The same in Korean.
    pub change_ko: Option<String>,
}

/// One thing that blocks a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Block {
    /// Slurm's reason.
    pub reason: String,
    /// The fact in a sentence, English.
    pub text: String,
    /// The fact in a sentence, Korean.
    pub text_ko: String,
}

/// `GET /jobs/{id}/when`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct When {
    /// The job.
    pub job: u64,
    /// Promised to start by, if it has a promise.
    pub promised_ms: Option<u64>,
    /// Forecast: the present state run forward on limits by the scheduler itself; absent beyond its bound.
    pub forecast_ms: Option<u64>,
    /// What the forecast leans on, in a sentence, English.
    pub basis: String,
    /// The same in Korean.
    pub basis_ko: String,
    /// How long it is expected to run, from its owner's like jobs, where anything is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_secs: Option<u64>,
    /// All that can be said of its start, each with what it leans on; empty for a job that does not wait.
    #[serde(default)]
    pub estimates: Vec<Estimate>,
}

/// One thing that can be said of a start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Estimate {
    /// What it goes by.
    pub on: EstimateOn,
    /// The start; absent where none was found.
    pub start_ms: Option<u64>,
    /// Where none was found: it has not started by then, and no further was looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_by_ms: Option<u64>,
    /// What it leans on, or why there is none, English.
    pub text: String,
    /// The same in Korean.
    pub text_ko: String,
}

/// What an estimate of a start goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EstimateOn {
    /// A promise: no later than this.
    Promise,
    /// Every run lasts to its limit.
    Limits,
    /// Every run lasts as long as it is expected to.
    Predicted,
}

/// `PATCH /jobs/{id}`. Absent fields stay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Alter {
    /// New limit; raising that of a running job needs the operator's role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_secs: Option<u64>,
    /// New urgency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qos: Option<QosName>,
    /// New nice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nice: Option<i32>,
    /// New name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// New comment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// `POST /jobs/{id}/signal`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignalSpec {
    /// Signal number, 1 to 64.
    pub signal: i32,
    /// The batch shell alone.
    #[serde(default)]
    pub shell: bool,
}

/// `POST /jobs/{id}/finish`: give back an allocation that was held only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FinishSpec {
    /// Exit code of what was done in it.
    #[serde(default)]
    pub exit: i32,
}

/// The answer to cancel, hold, release, requeue, alter, signal, checkpoint, finish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Changed {
    /// How many jobs were changed.
    pub jobs: u32,
}

/// `GET /jobs/{id}/log`: a piece of a job's output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogPiece {
    /// The file.
    pub path: String,
    /// Where the piece begins, in bytes.
    pub offset: u64,
    /// Where the next piece begins.
    pub next: u64,
    /// The text; bytes that are not UTF-8 are replaced.
    pub text: String,
    /// True when the job is over and nothing follows.
    pub complete: bool,
}
