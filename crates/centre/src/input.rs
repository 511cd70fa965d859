//! Inputs: everything that can change a centre. The journal holds these and nothing else.
use crate::lost::Failover;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use madang_model::{
    Cap, DependencyKind, Elastic, Founding, GpuTime, JobId, Launch, ModelRun, Outcome, Part, Qos, Recurrence, Role,
    RunId, Span, Time, Topology, Warning,
};
use serde::{Deserialize, Serialize};

/// One input with where it came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// The caller waits for a [`crate::effect::Effect::Reply`] with this number; 0 when nobody waits.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub ticket: u64,
    /// Login name of the one who asks; empty for the centre itself (engines, the demo's load, the clock).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub by: String,
    /// The caller's own key: the same key again gives the first answer again and changes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Key>,
    /// What is asked or reported.
    pub input: Input,
}

/// What makes a retry safe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// The caller's own name for the request; keys of different callers never meet.
    pub name: String,
    /// A hash of the request by the edge: the same name with another hash is refused.
    pub print: String,
}

impl Signed {
    /// An input of the centre itself, for which nobody waits.
    pub fn own(input: Input) -> Signed {
        Signed { ticket: 0, by: String::new(), key: None, input }
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What is asked or reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// Found the centre. The first input, once.
    Found(Founding),
    /// Make a user, or change the role of one.
    User {
        /// Login name.
        name: String,
        /// What they may do.
        role: Role,
    },
    /// Make a project.
    Project {
        /// Short name.
        name: String,
        /// Full name.
        title: String,
        /// Short name of the owner out of whose share it computes.
        owner: String,
        /// Name of its class.
        class: String,
    },
    /// Make a user a member of a project.
    Member {
        /// The project's name.
        project: String,
        /// The user's name.
        user: String,
    },
    /// Grant GPU time to a project for a period.
    Award {
        /// The project's name.
        project: String,
        /// How much.
        granted: GpuTime,
        /// From when.
        from: Time,
        /// Until when.
        until: Time,
    },
    /// Submit a job, or an array of them.
    Submit(Box<Submission>),
    /// Cancel a job, an array, or one task of it.
    Cancel {
        /// Which.
        job: Target,
    },
    /// Keep a waiting job from starting.
    Hold {
        /// Which.
        job: Target,
    },
    /// Undo a hold.
    Release {
        /// Which.
        job: Target,
    },
    /// End a run and queue the job again.
    Requeue {
        /// Which.
        job: Target,
    },
    /// Give back an allocation that runs nothing of its own (`salloc`), with the exit code of what was done in it.
    Finish {
        /// Which.
        job: Target,
        /// Exit code.
        exit: i32,
    },
    /// Change a job.
    Alter {
        /// Which.
        job: Target,
        /// What to change.
        change: Alteration,
    },
    /// Send a signal to a running job.
    Signal {
        /// Which.
        job: Target,
        /// Signal number.
        signal: i32,
        /// True for the batch shell alone.
        shell: bool,
    },
    /// The job itself says that it wrote a checkpoint just now.
    Checkpoint {
        /// Which.
        job: Target,
        /// How long writing it took, if the job says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        took: Option<Span>,
    },
    /// Stop giving work to a node.
    Drain {
        /// The node's name.
        node: String,
        /// Why.
        why: String,
    },
    /// Something was seen on a node.
    Sign {
        /// The node's name.
        node: String,
        /// What.
        sign: Sign,
    },
    /// Give work to a node again.
    Resume {
        /// The node's name.
        node: String,
    },
    /// An operator says that a site is lost: nothing new goes there.
    SiteLost {
        /// The site's name.
        site: String,
        /// What is known of the cause.
        why: String,
        /// When its jobs are to go on elsewhere.
        failover: Failover,
    },
    /// A site has not been heard of; the same as lost, until it is heard of again.
    SiteSilent {
        /// The site's name.
        site: String,
        /// Since when, as far as that is known.
        since: Time,
        /// The same for people.
        why: String,
    },
    /// A site that was silent is heard of again.
    SiteHeard {
        /// The site's name.
        site: String,
    },
    /// An operator says that a lost site is back.
    SiteBack {
        /// The site's name.
        site: String,
    },
    /// An operator's word that nothing of what was given up at a lost site still runs on a node.
    Clear {
        /// The node's name.
        node: String,
    },
    /// Say where a project's data are, for its jobs that do not say; or that nothing is known.
    ProjectData {
        /// The project's name.
        project: String,
        /// Where, if anywhere.
        data: Option<DataAt>,
    },
    /// Book nodes, or a part of a site's capacity, in time.
    Reserve(Booking),
    /// Cancel a reservation.
    Unreserve {
        /// Its name.
        name: String,
    },
    /// Move runs so that strewn idle GPUs come together: all of it, or nothing if some of it no longer holds.
    Defrag {
        /// Groups of moves, in order.
        groups: Vec<MoveGroup>,
    },
    /// What an engine saw.
    Report(Report),
    /// Time passes; nothing else happened.
    Tick,
}

/// What was seen on a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sign {
    /// An error that NVIDIA's driver reported.
    Xid {
        /// Its number.
        code: u32,
        /// Of which device.
        gpu: Option<u32>,
    },
    /// A device's temperature.
    Celsius {
        /// Degrees.
        degrees: u32,
        /// Of which device.
        gpu: Option<u32>,
    },
    /// Anything else, in words; it is shown and does nothing.
    Note {
        /// The words.
        text: String,
    },
}

/// One job, one array, or one task of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The job's id; an array's id means all of it.
    pub job: JobId,
    /// The task index within the array.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<u32>,
}

/// A change to a job. Absent fields stay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alteration {
    /// A new limit.
    pub limit: Option<Span>,
    /// A new urgency.
    pub qos: Option<Qos>,
    /// A new nice.
    pub nice: Option<i32>,
    /// A new name.
    pub name: Option<String>,
    /// A new comment.
    pub comment: Option<String>,
}

/// Moves that belong together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveGroup {
    /// The waiting job that is promised the room, if they are for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room_for: Option<JobId>,
    /// The moves, in order.
    pub moves: Vec<MoveOrder>,
}

/// A run, and where its job is to go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveOrder {
    /// The run that is to leave.
    pub run: RunId,
    /// Names of all nodes on which its job goes on.
    pub to: Vec<String>,
}

/// A job as submitted, by names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submission {
    /// Who it runs for; only an operator may name another than themselves.
    pub user: String,
    /// Free text.
    pub name: String,
    /// The project's name; `None` for the user's only (or first) one.
    pub project: Option<String>,
    /// The partition's name; `None` for the default.
    pub partition: Option<String>,
    /// Names of further partitions that it may go to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
    /// Sites allowed by name, `any` for all that can carry it, `-name` for all of these but one; empty for the partition's.
    pub sites: Vec<String>,
    /// Where its data are, as a hint; empty for where its project says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data: Vec<DataAt>,
    /// The gang.
    pub parts: Vec<Part>,
    /// Names of nodes to include.
    pub include: Vec<String>,
    /// Names of nodes to avoid.
    pub exclude: Vec<String>,
    /// True when it may span islands.
    pub across_islands: bool,
    /// What it asks of the tree of domains; spares are counted among the first part's nodes.
    #[serde(default, skip_serializing_if = "Topology::is_default")]
    pub topology: Topology,
    /// How much larger the gang may be than its one part says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elastic: Option<Elastic>,
    /// Limit; `None` for the default of the first partition.
    pub limit: Option<Span>,
    /// The shortest limit that it takes where that lets it start earlier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_min: Option<Span>,
    /// When it must have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Time>,
    /// Urgency.
    pub qos: Qos,
    /// Slurm's nice.
    pub nice: i32,
    /// Not before.
    pub begin: Option<Time>,
    /// Waits: task targets name a task of an array.
    pub after: Vec<Wait>,
    /// True when one of them is enough.
    pub after_any: bool,
    /// Wait for others of the same name.
    pub singleton: bool,
    /// Cancel when a wait can never be met.
    pub kill_on_invalid: bool,
    /// Start again after a lost node or a pre-emption.
    pub requeue: bool,
    /// How often the job says that it writes a checkpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Span>,
    /// Start held.
    pub held: bool,
    /// Signal before the limit.
    pub warning: Option<Warning>,
    /// Array, if it is one.
    pub array: Option<Array>,
    /// What to run.
    pub launch: Option<Launch>,
    /// How a modelled run behaves.
    pub model: Option<ModelRun>,
    /// Free text.
    pub comment: String,
    /// The name of the reservation that it uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reservation: Option<String>,
}

/// Where data are, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataAt {
    /// The site's name.
    pub site: String,
    /// How much, in gigabytes; 1 where only the place matters.
    pub gb: u32,
}

/// A reservation as asked for, by names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Booking {
    /// Its name.
    pub name: String,
    /// Of what, for whom.
    pub what: Wanted,
    /// Begin of the first window.
    pub from: Time,
    /// End of the first window.
    pub until: Time,
    /// How it repeats.
    pub every: Option<Recurrence>,
    /// Why, for everyone to read.
    pub reason: String,
    /// True to make it although runs are in its way; they are left alone.
    pub ignore_running: bool,
}

/// What a reservation is to be of, and for whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wanted {
    /// Nodes, for nobody.
    Maintenance {
        /// Which.
        nodes: NodesWanted,
    },
    /// Nodes, for some.
    Projects {
        /// Which.
        nodes: NodesWanted,
        /// Names of projects.
        projects: Vec<String>,
        /// Names of owners: all their projects.
        owners: Vec<String>,
    },
    /// No more than so much of a site.
    Cap {
        /// The site's name.
        site: String,
        /// How much.
        most: Cap,
    },
}

/// Named nodes; or all of a site, island and model; or so many of these, chosen once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodesWanted {
    /// Names.
    pub named: Vec<String>,
    /// How many; `None` for all.
    pub count: Option<u32>,
    /// Of this site.
    pub site: Option<String>,
    /// Of this island.
    pub island: Option<String>,
    /// With GPUs of this model.
    pub model: Option<String>,
}

/// A wait for another job, as submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// The job, array or task.
    pub on: Target,
    /// Which end of it.
    pub kind: DependencyKind,
    /// For `Started`: how long after.
    pub delay: Span,
}

/// Task indices and how many may run at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Array {
    /// Ascending ranges (first, last, step), not overlapping.
    pub ranges: Vec<(u32, u32, u32)>,
    /// Most tasks at once; `None` for no limit.
    pub at_once: Option<u32>,
}

/// What an engine saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// A run began.
    Started {
        /// Which.
        run: RunId,
        /// When, by the engine's clock.
        at: Time,
    },
    /// A run is over.
    Ended {
        /// Which.
        run: RunId,
        /// When, by the engine's clock.
        at: Time,
        /// How.
        outcome: Outcome,
    },
    /// A run wrote a checkpoint: what it did before is safe.
    Checkpoint {
        /// Which.
        run: RunId,
        /// When.
        at: Time,
    },
    /// After a reconnect: the engine has never heard of this run, which therefore never began.
    Unknown {
        /// Which.
        run: RunId,
    },
    /// A node answers again.
    NodeUp {
        /// The node's name.
        node: String,
    },
    /// A node is lost.
    NodeDown {
        /// The node's name.
        node: String,
        /// What is known of the cause.
        why: String,
    },
}
