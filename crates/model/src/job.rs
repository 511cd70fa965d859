//! Jobs: what is asked for, where it stands, how it ended.
use crate::choice::Choice;
use crate::id::{JobId, NodeId, PartitionId, ProjectId, ReservationId, RunId, SiteId, UserId};
use crate::reach::{DataHint, Reach};
use crate::share::{Held, Share, WHOLE};
use crate::topology::Topology;
use crate::units::{GpuTime, MilliGpus, Span, Time};
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// A block of equal nodes within a gang. Most jobs have one part; a heterogeneous job has several.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Part {
    /// How many nodes, at least 1.
    pub nodes: u32,
    /// GPUs on each node; 1 where a share is asked.
    pub gpus: u32,
    /// CPUs on each node, at least 1.
    pub cpus: u32,
    /// Memory on each node in MiB; 0 is all that the node has.
    pub memory_mib: u64,
    /// GPU model asked for, as a GRES type, or several of which one will do.
    pub model: Option<Choice>,
    /// True to hold whole nodes: all CPUs and memory, no sharing; GPUs as asked.
    pub exclusive: bool,
    /// Features every node must have: all of these, of each choice one word.
    pub features: Vec<Choice>,
    /// The part of the one GPU on each node that is asked, where that is not all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<Share>,
}

impl Part {
    /// GPUs on each node, in thousandths.
    pub fn milli(&self) -> u64 {
        self.share.as_ref().map_or(u64::from(self.gpus) * u64::from(WHOLE), |share| u64::from(share.milli()))
    }
}

/// How far a gang of one part may be larger than the part says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Elastic {
    /// Most nodes; what the part says are the fewest.
    pub most: u32,
    /// What starting again costs a job that may be resized at its checkpoints; `None` where the size that it starts with
    /// stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<Span>,
}

/// What the scheduler looks at. Equal requests form one class, so a cycle costs by classes and not by jobs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Request {
    /// The gang's parts, at least one; placed together or not at all.
    pub parts: Vec<Part>,
    /// Sites allowed, ascending; never empty (the core fills in the partition's).
    pub sites: Vec<SiteId>,
    /// Nodes the gang must include, ascending.
    pub include: Vec<NodeId>,
    /// Nodes the gang must avoid, ascending.
    pub exclude: Vec<NodeId>,
    /// True when the gang may span islands of one site.
    pub across_islands: bool,
    /// What it asks of the tree of domains.
    #[serde(default, skip_serializing_if = "Topology::is_default")]
    pub topology: Topology,
    /// The reservation whose nodes and windows alone it may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reservation: Option<ReservationId>,
    /// How much larger the gang may be; a gang of one part only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elastic: Option<Elastic>,
    /// How it reaches each of its sites; empty where all are reached alike (see [`crate::reach`]). The core fills it in
    /// when the job queues.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reach: Vec<Reach>,
}

impl Request {
    /// The site's place among those it may use, 0 for the best.
    pub fn rank_of(&self, site: SiteId) -> u32 {
        self.reach_of(site).map_or(0, |reach| reach.rank)
    }
    /// How long its data take to be at the site.
    pub fn delay_to(&self, site: SiteId) -> Span {
        self.reach_of(site).map_or(Span::ZERO, |reach| reach.delay)
    }
    fn reach_of(&self, site: SiteId) -> Option<&Reach> {
        self.reach.iter().find(|reach| reach.site == site)
    }
    /// GPUs of the whole gang.
    pub fn gpus(&self) -> MilliGpus {
        let milli = |part: &Part| u64::from(part.nodes).saturating_mul(part.milli());
        let sum = self.parts.iter().fold(0_u64, |sum, part| sum.saturating_add(milli(part)));
        MilliGpus::new(u32::try_from(sum).unwrap_or(u32::MAX))
    }
    /// Nodes of the whole gang; of an elastic one the fewest.
    pub fn nodes(&self) -> u32 {
        self.parts.iter().map(|part| part.nodes).sum()
    }
    /// Most nodes of the whole gang.
    pub fn most_nodes(&self) -> u32 {
        self.nodes().max(self.elastic.map_or(0, |elastic| elastic.most))
    }
    /// Nodes by which an elastic gang may be larger: whole segments, where it asks for these.
    pub fn unit(&self) -> u32 {
        self.topology.segment.unwrap_or(1).max(1)
    }
    /// The same with exactly so many nodes.
    pub fn sized(&self, nodes: u32) -> Request {
        let mut sized = Request { elastic: None, ..self.clone() };
        sized.parts.iter_mut().take(1).for_each(|part| part.nodes = nodes);
        sized
    }
    /// Spares of so many nodes of the first part: where a gang goes on after a loss it has fewer.
    pub fn spares_of(&self, nodes: u32) -> u32 {
        let lost = self.parts.first().map_or(0, |part| part.nodes).saturating_sub(nodes);
        self.topology.spares.saturating_sub(lost)
    }
    /// True when a run of it that loses nodes may go on with those that are left.
    pub fn goes_on(&self) -> bool {
        self.topology.spares > 0 || self.resizes()
    }
    /// True when a run of it may grow and shrink at its checkpoints.
    pub fn resizes(&self) -> bool {
        self.elastic.is_some_and(|elastic| elastic.restart.is_some())
    }
}

/// A named level of urgency, as in Slurm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Qos {
    /// After everything else.
    Low,
    /// What a job gets that asks for none.
    #[default]
    Normal,
    /// Before normal work of the same share.
    High,
}

/// Which end of another job lets this one start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DependencyKind {
    /// Once it has started or ended (`after`), plus a delay.
    Started,
    /// Once it has ended well (`afterok`).
    Succeeded,
    /// Once it has ended badly (`afternotok`).
    Failed,
    /// Once it has ended (`afterany`).
    Ended,
    /// Task k once the other array's task k has ended well (`aftercorr`).
    Corresponding,
}

/// A wait for another job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// The job waited for; an array's id means all its tasks.
    pub on: JobId,
    /// Which end of it.
    pub kind: DependencyKind,
    /// For [`DependencyKind::Started`]: how long after.
    pub delay: Span,
}

/// A signal sent before the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// Signal number.
    pub signal: i32,
    /// How long before the limit.
    pub before: Span,
    /// True to signal the batch shell alone (`B:`), else its steps.
    pub shell: bool,
}

/// What an engine needs to carry out a run and the core need not know: a name for a blob kept beside the journal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Launch(pub String);

/// How a modelled run behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelRun {
    /// How long it would run.
    pub runtime: Span,
    /// The exit code it would end with.
    pub exit: i32,
}

/// What was submitted, names resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSpec {
    /// Free text, for people.
    pub name: String,
    /// Who submitted it.
    pub user: UserId,
    /// Who pays.
    pub project: ProjectId,
    /// The partition it was sent to, or the first of several.
    pub partition: PartitionId,
    /// Further partitions that it may go to, in the order named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<PartitionId>,
    /// What it needs.
    pub request: Request,
    /// How long it may run, at least one second.
    pub limit: Span,
    /// The shortest limit that it takes where that lets it start earlier; `None` for its limit alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_min: Option<Span>,
    /// When it must have ended: it is removed once it no longer can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Time>,
    /// Urgency within its share.
    pub qos: Qos,
    /// Slurm's nice: larger is later.
    pub nice: i32,
    /// Not to start before.
    pub begin: Option<Time>,
    /// Other jobs it waits for.
    pub after: Vec<Dependency>,
    /// True when any one of `after` is enough (`?`), else all are needed (`,`).
    pub after_any: bool,
    /// True to wait until no other job of the same name, user and project is waiting before it or running.
    pub singleton: bool,
    /// True to be cancelled when a dependency can never be met.
    pub kill_on_invalid: bool,
    /// True to start again after a lost node, a pre-emption or a requeue.
    pub requeue: bool,
    /// How often it says that it writes a checkpoint, counted from its start; `None` says nothing.
    #[serde(default)]
    pub checkpoint: Option<Span>,
    /// Signal before the limit.
    pub warning: Option<Warning>,
    /// What to run; `None` for a modelled job.
    pub launch: Option<Launch>,
    /// How a modelled run behaves; `None` runs to the limit.
    pub model: Option<ModelRun>,
    /// Free text of the user.
    pub comment: String,
    /// Where its data are, as a hint; its project's default where it says nothing itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data: Vec<DataHint>,
}

impl JobSpec {
    /// The partitions it may go to, in the order named.
    pub fn partitions(&self) -> impl Iterator<Item = PartitionId> + '_ {
        core::iter::once(self.partition).chain(self.also.iter().copied())
    }
    /// The shortest limit with which it may start.
    pub fn least(&self) -> Span {
        self.limit_min.map_or(self.limit, |least| least.min(self.limit))
    }
    /// The last moment at which it may start and still end by its deadline.
    pub fn last_start(&self) -> Option<Time> {
        Some(self.deadline?.before(self.least()))
    }
}

/// Nodes and devices held by one run on one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Slot {
    /// The node.
    pub node: NodeId,
    /// Index of the [`Part`] it serves.
    pub part: u32,
    /// Devices held: bit k is device k.
    pub devices: u32,
    /// CPUs held.
    pub cpus: u32,
    /// Memory held in MiB.
    pub memory_mib: u64,
    /// What is held of the one device, where that is not all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<Held>,
}

impl Slot {
    /// GPUs held, in thousandths.
    pub fn milli(&self) -> u32 {
        self.share.map_or(self.devices.count_ones() * WHOLE, |held| u32::from(held.milli))
    }
}

/// Nodes and devices held by one run, in rank order: by part, then along the tree of domains, spare nodes last.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Allocation {
    /// One for each node.
    pub slots: Vec<Slot>,
}

impl Allocation {
    /// GPUs held in all.
    pub fn gpus(&self) -> MilliGpus {
        MilliGpus::new(self.slots.iter().map(Slot::milli).sum())
    }
}

/// How a run or a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Exit code 0. Slurm: `COMPLETED`.
    Completed,
    /// Another exit code, or a signal. Slurm: `FAILED`.
    Failed {
        /// Exit code, 0 when a signal ended it.
        exit: i32,
        /// Signal, 0 when it exited.
        signal: i32,
    },
    /// Out of time. Slurm: `TIMEOUT`.
    TimedOut,
    /// Somebody's wish. Slurm: `CANCELLED`.
    Cancelled,
    /// A node was lost. Slurm: `NODE_FAIL`. The provider's fault: its hours are refunded.
    NodeFailed,
    /// Over its memory limit. Slurm: `OUT_OF_MEMORY`.
    OutOfMemory,
    /// The engine could not start it. Slurm: `BOOT_FAIL`. The provider's fault.
    LaunchFailed,
    /// Ended to run again. Slurm: `REQUEUED`.
    Requeued,
    /// Its nodes were taken back for another job. Slurm: `PREEMPTED`. What was lost since its last checkpoint is not
    /// charged, up to a cap.
    Preempted,
    /// Its deadline came: it could no longer have ended by it, or did not. Slurm: `DEADLINE`.
    Deadline,
}

impl Outcome {
    /// True when the provider was at fault, so that the hours are given back.
    pub fn is_providers_fault(self) -> bool {
        matches!(self, Outcome::NodeFailed | Outcome::LaunchFailed)
    }
    /// True for exit code 0.
    pub fn is_success(self) -> bool {
        self == Outcome::Completed
    }
}

/// Why a run is told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopCause {
    /// Somebody's wish.
    Cancelled,
    /// Out of time.
    Limit,
    /// To run again later.
    Requeue,
    /// Its node is lost; engines that still reach it must end it.
    NodeLost,
    /// The core does not know this run, or a later attempt took its place.
    Stale,
    /// Its nodes are taken back for another job.
    Preempted {
        /// Who is to have them.
        by: JobId,
        /// From the first signal to the last: how long it has to leave.
        grace: Span,
    },
    /// Its job goes on in another place, which is kept for it.
    Moved {
        /// From the first signal to the last.
        grace: Span,
    },
}

/// Why a job waits: the binding limit found in the last cycle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Blocked {
    /// Not looked at yet. Slurm: `None`.
    Fresh,
    /// Not enough free capacity now. Slurm: `Resources`.
    Resources {
        /// Nodes that could hold a part of it now.
        fitting: u32,
        /// Nodes it asks for.
        wanted: u32,
    },
    /// Not enough free capacity within one domain of the level it requires. Slurm: `Resources`.
    Domain {
        /// The level, or `None` where each segment takes the lowest level that can hold it.
        level: Option<String>,
        /// Nodes in each segment, `None` when the whole gang stays together.
        segment: Option<u32>,
        /// Nodes that the best domain has for it now; with segments, the segments there is room for in all.
        fitting: u32,
        /// Nodes, or segments, it asks for.
        wanted: u32,
    },
    /// Others of equal or higher rank come first. Slurm: `Priority`.
    Priority {
        /// The job whose promise it must not delay, if one is known.
        behind: Option<JobId>,
    },
    /// The project's awards cannot cover its limit. Slurm: `AssocGrpGRESMinutes`.
    Budget {
        /// What it would hold.
        needs: GpuTime,
        /// What is left.
        left: GpuTime,
    },
    /// No award covers the present. Slurm: `AssocGrpGRESMinutes`.
    NoAward,
    /// No set of nodes of the estate could ever hold it. Slurm: `BadConstraints`.
    Never,
    /// Enough nodes exist, but too many are drained or down. Slurm: `ReqNodeNotAvail`.
    NodesUnavailable,
    /// It would start but for a window: of maintenance (Slurm: `ReqNodeNotAvail`), of others' reservation (`Reserved`), of
    /// a cap (`PowerReserved`), or of its own reservation, which it must wait for (`Reservation`).
    Reserved {
        /// The reservation.
        by: ReservationId,
        /// When its next window begins, or began.
        from: Time,
    },
    /// The reservation that it names is over or was cancelled. Slurm: `ReservationDeleted`.
    ReservationOver {
        /// The reservation.
        by: ReservationId,
    },
    /// Waits for other jobs. Slurm: `Dependency`.
    Dependency {
        /// The first of them.
        on: JobId,
    },
    /// A dependency can never be met. Slurm: `DependencyNeverSatisfied`.
    DependencyNever {
        /// The job that ended otherwise.
        on: JobId,
    },
    /// Not before its begin time. Slurm: `BeginTime`.
    Begin {
        /// When that is.
        at: Time,
    },
    /// Held by its user or an operator. Slurm: `JobHeldUser`.
    Held,
    /// The array's `%limit` is reached. Slurm: `JobArrayTaskLimit`.
    ArrayLimit,
    /// Its owner may not hold that much: it would borrow more than it may, or what others do not lend. Slurm:
    /// `AssocGrpGRES`.
    OwnerLimit {
        /// What the owner holds now.
        holds: MilliGpus,
        /// What it may hold now.
        most: MilliGpus,
    },
}

/// Where a job stands; a state carries exactly what it needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Waits. Slurm: `PENDING`.
    Pending {
        /// Why, as of the last cycle.
        why: Blocked,
    },
    /// Sent to its engine. Slurm: `CONFIGURING`.
    Starting {
        /// The attempt.
        run: RunId,
        /// What it holds.
        on: Allocation,
        /// When it was sent.
        since: Time,
    },
    /// Runs. Slurm: `RUNNING`.
    Running {
        /// The attempt.
        run: RunId,
        /// What it holds.
        on: Allocation,
        /// When the engine started it.
        since: Time,
        /// When its limit ends it.
        until: Time,
    },
    /// Told to stop, not yet gone. Slurm: `COMPLETING`.
    Completing {
        /// The attempt.
        run: RunId,
        /// What it still holds.
        on: Allocation,
        /// When the engine started it; `None` if it never reported a start.
        since: Option<Time>,
        /// Why it was told to stop.
        cause: StopCause,
    },
    /// Over. Never changes again.
    Ended {
        /// How.
        outcome: Outcome,
        /// When.
        at: Time,
    },
}

impl JobState {
    /// The run that holds nodes and what it holds; `None` while pending and once ended.
    pub fn holding(&self) -> Option<(RunId, &Allocation)> {
        match self {
            JobState::Starting { run, on, .. }
            | JobState::Running { run, on, .. }
            | JobState::Completing { run, on, .. } => Some((*run, on)),
            JobState::Pending { .. } | JobState::Ended { .. } => None,
        }
    }
}

/// A run that is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedRun {
    /// Which attempt.
    pub run: RunId,
    /// What it held.
    pub on: Allocation,
    /// When it was sent to its engine.
    pub sent: Time,
    /// When the engine started it; `None` if it never did.
    pub started: Option<Time>,
    /// When it ended.
    pub ended: Time,
    /// How.
    pub outcome: Outcome,
    /// The time that a pre-emption lost and that is not charged: since the last checkpoint, up to a cap. Of a run that a fault
    /// of the provider ended the time that is given back, where the policy does not give back all.
    #[serde(default)]
    pub lost: Span,
}

/// What earlier runs did of a job that goes on where they left off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Time up to their last checkpoints: it counts against the limit.
    pub kept: Span,
    /// The same as work: time that the fewest nodes would have taken, if work goes by nodes.
    pub work: Span,
    /// How often the job went on with other nodes than before.
    pub resized: u32,
    /// Nodes of the run before the present one.
    pub from: u32,
}

impl Progress {
    fn is_none(&self) -> bool {
        *self == Progress::default()
    }
}

/// A job in the centre.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// What was submitted.
    pub spec: JobSpec,
    /// When.
    pub submitted: Time,
    /// When the last of begin time, dependencies and hold let it queue; ageing starts here.
    pub eligible: Option<Time>,
    /// Array and task index, for a task of an array.
    pub task: Option<(JobId, u32)>,
    /// True while held.
    pub held: bool,
    /// Where it stands.
    pub state: JobState,
    /// Runs that are over, oldest first; only the last sixteen are kept.
    pub runs: Vec<EndedRun>,
    /// Attempts so far.
    pub attempts: u32,
    /// When the present attempt was sent to its engine.
    pub sent: Option<Time>,
    /// When the present attempt last reported a checkpoint.
    #[serde(default)]
    pub saved: Option<Time>,
    /// What writing a checkpoint costs it, by its own word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saving: Option<Span>,
    /// The limit of the present or last attempt, where it is shorter than the one asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted: Option<Span>,
    /// What earlier runs did, where the next one goes on from there.
    #[serde(default, skip_serializing_if = "Progress::is_none")]
    pub progress: Progress,
}

impl Job {
    /// How long the present attempt may run; of a job that waits, how long it asks to.
    pub fn limit(&self) -> Span {
        self.granted.unwrap_or(self.left())
    }

    /// The shortest limit with which it may start now.
    pub fn least(&self) -> Span {
        self.spec.least().min(self.left())
    }

    /// The last moment at which it may start now and still end by its deadline.
    pub fn last_start(&self) -> Option<Time> {
        Some(self.spec.deadline?.before(self.least()))
    }

    /// How long a run of it asks to last now: the limit less what earlier runs kept of it.
    pub fn left(&self) -> Span {
        let left = self.spec.limit.millis().saturating_sub(self.progress.kept.millis());
        Span::from_millis(left).max(Span::from_secs(1))
    }

    /// Nodes of an allocation that work, against the fewest that do: how many times the work of these it does.
    fn pace(&self, on: &Allocation) -> (u64, u64) {
        let request = &self.spec.request;
        let fewest = request.nodes().saturating_sub(request.topology.spares).max(1);
        let held = u32::try_from(on.slots.len()).unwrap_or(u32::MAX);
        let nodes = held.saturating_sub(request.topology.spares).max(fewest);
        (u64::from(nodes), u64::from(fewest))
    }

    /// How a modelled run of it behaves on these nodes: the work that is left, which goes by nodes.
    pub fn model_on(&self, on: &Allocation) -> Option<ModelRun> {
        let (nodes, fewest) = self.pace(on);
        self.spec.model.map(|model| {
            let left = model.runtime.millis().saturating_sub(self.progress.work.millis());
            ModelRun { runtime: Span::from_millis((left * fewest).div_ceil(nodes)), ..model }
        })
    }

    /// A run starts on these nodes: the size of the one before is remembered, where the job goes on from it.
    pub fn note_size(&mut self, on: &Allocation) {
        let last = self.runs.last().filter(|_| self.spec.request.goes_on());
        let before = last.map_or(0, |run| run.on.slots.len());
        self.progress.from = u32::try_from(before).unwrap_or(u32::MAX);
        self.progress.resized += u32::from(before != 0 && before != on.slots.len());
    }

    /// A run on these nodes is over of which this much is safe, and the next one goes on from there.
    pub fn keep(&mut self, on: &Allocation, safe: Span) {
        let (nodes, fewest) = self.pace(on);
        let add = |sum: Span, more: u64| Span::from_millis(sum.millis().saturating_add(more));
        self.progress.kept = add(self.progress.kept, safe.millis());
        self.progress.work = add(self.progress.work, safe.millis() * nodes / fewest);
    }
}
