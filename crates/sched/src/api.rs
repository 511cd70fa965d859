//! What goes in and what comes out of the scheduler. The types here are its whole face.
use alloc::vec::Vec;
use madang_model::{
    Allocation, Blocked, GpuTime, Health, JobId, NodeId, PartyId, ProjectId, Qos, Request, Reservation, ReservationId,
    RunId, Span, Time, UserId,
};
use serde::{Deserialize, Serialize};

pub use madang_model::policy::{Lending, Order, Policy as Config, Taking, VictimOrder};

/// One job that may start as far as everything but capacity, share and budget goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// The run to start: the job and its next attempt.
    pub run: RunId,
    /// Who pays: its leaf in the share tree is (owner, project, user).
    pub project: ProjectId,
    /// Who asks.
    pub user: UserId,
    /// What it needs.
    pub request: Request,
    /// How long it may run; with the gang's GPUs this is what the budget must cover.
    pub limit: Span,
    /// The shortest limit that it takes: it starts as soon as this fits, with the longest that does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_min: Option<Span>,
    /// By when its limit must end it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Time>,
    /// How long it is expected to run, if anything is known; only what goes first in backfill depends on it.
    #[serde(default)]
    pub expected: Option<Span>,
    /// Urgency within its share.
    pub qos: Qos,
    /// Larger is later, within the urgency.
    pub nice: i32,
    /// How often it says that it writes a checkpoint.
    #[serde(default)]
    pub checkpoint: Option<Span>,
    /// Since when it could have started: its age.
    pub since: Time,
}

/// What a project may still hold; nothing is the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Budget {
    /// No award covers the present: nothing of it starts.
    NoAward,
    /// GPU time not yet held or spent.
    Left(GpuTime),
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A project exists, under this owner's share.
    Project {
        /// The project.
        id: ProjectId,
        /// The owner out of whose share it computes.
        owner: PartyId,
        /// Weight among the owner's projects, at least 1.
        weight: u32,
    },
    /// A project's budget is now this. The scheduler deducts what it starts by itself in between.
    Budget(ProjectId, Budget),
    /// A job may start.
    Queued(Ask),
    /// A waiting job may no longer start: cancelled, held or changed.
    Withdrawn(JobId),
    /// A run is over, or never came to be: what it held is free.
    Ended(RunId),
    /// A run's limit was changed.
    Extended(RunId, Time),
    /// A node's health changed.
    Node(NodeId, Health),
    /// A node was lost, and another of the same kind that was kept idle comes up in its place for the gangs that ran there.
    Relieved {
        /// The one that was lost.
        lost: NodeId,
        /// The other.
        by: NodeId,
    },
    /// A reservation was made, or changed.
    Reserved(Reservation),
    /// A reservation is over or was cancelled.
    Unreserved(ReservationId),
    /// A run wrote a checkpoint then.
    Saved(RunId, Time),
    /// A run was told to stop, for whatever reason but a [`Stop`].
    Leaving(RunId),
}

/// Start this run on these nodes and devices. Its budget is already deducted in the scheduler's own figure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// The run.
    pub run: RunId,
    /// What it holds.
    pub on: Allocation,
    /// When its limit ends it.
    pub until: Time,
}

/// Tell this run to stop, so that another job can have its nodes. It holds them until it is reported ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// The run.
    pub run: RunId,
    /// Who is to have its nodes; that job has a promise on them.
    pub by: JobId,
    /// From the first signal to the last.
    pub grace: Span,
}

/// A start time given to a blocked job, which backfill must not delay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promise {
    /// The job.
    pub job: JobId,
    /// It starts no later than this, unless a cause is recorded. Every run before it is given a minute after its limit to
    /// be gone.
    pub start: Time,
    /// Where.
    pub on: Allocation,
    /// When it was first given.
    pub given: Time,
}

/// What would become of a job that is not asked for yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outlook {
    /// When it would start if every run lasts to its limit and nothing else comes, as far as that can be told.
    pub start: Option<Time>,
    /// Where, if that is known by now.
    pub on: Option<Allocation>,
    /// What it would wait for, unless it would start at once.
    pub why: Option<Blocked>,
}

/// What became of a promise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PromiseEnd {
    /// Started in time.
    Kept {
        /// The promised start.
        promised: Time,
    },
    /// Put off or given up, with the cause.
    Broken {
        /// The promised start.
        promised: Time,
        /// Why.
        cause: BrokenBy,
    },
}

/// Why a promise was not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BrokenBy {
    /// A promised node was drained or lost.
    Node(NodeId),
    /// The promised job was withdrawn.
    Withdrawn,
    /// A run was given a later limit.
    Extended(RunId),
    /// A run did not end at its limit.
    Overrun(RunId),
    /// A more urgent job (by QOS or nice) of the same user and project took its place among the promises.
    Overtaken(JobId),
    /// The project's budget no longer covers it.
    Budget,
    /// A window of this reservation is in its way, or its own reservation is over.
    Reserved(ReservationId),
    /// The owner's lending or borrowing limit no longer allows it.
    OwnerLimit,
    /// With it its owner would borrow, and a job of an owner below its guarantee took its place.
    Reclaimed(JobId),
}

/// A report that does not fit; counted, never a panic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Anomaly {
    /// No such run holds anything.
    UnknownRun(RunId),
    /// No such job waits.
    UnknownJob(JobId),
    /// No such project.
    UnknownProject(ProjectId),
    /// No such node.
    UnknownNode(NodeId),
    /// No such reservation.
    UnknownReservation(ReservationId),
}

/// What one cycle did, in counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CycleReport {
    /// Jobs waiting after the cycle.
    pub pending: u32,
    /// (Leaf, class) pairs tried.
    pub tries: u32,
    /// Jobs started.
    pub starts: u32,
    /// Of these, started ahead of a blocked job of higher rank.
    pub backfilled: u32,
    /// Promises standing after the cycle.
    pub promises: u32,
    /// Runs told to stop for another job.
    #[serde(default)]
    pub stops: u32,
}

/// Everything that a step gives back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Runs to start, in order of decision.
    pub starts: Vec<Start>,
    /// Runs to stop so that others can start, in order of decision.
    pub stops: Vec<Stop>,
    /// When to step again if nothing happens before; `None` for never.
    pub wake: Option<Time>,
    /// Promises that ended in this step.
    pub promises: Vec<(JobId, PromiseEnd)>,
    /// Reports that did not fit.
    pub anomalies: Vec<Anomaly>,
    /// Counts.
    pub report: CycleReport,
}

/// Why a job waits, in full.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// All that blocks it now, the most binding first; never empty.
    pub why: Vec<Blocked>,
    /// Its promise, if it has one.
    pub promise: Option<Promise>,
    /// Jobs that rank before it.
    pub ahead: u32,
    /// The smallest change found that would start it now, verified on a draft.
    pub change: Option<Change>,
}

/// A change to one job that would start it at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// Ask for at most this limit.
    Limit(Span),
    /// Ask for this many nodes (of a one-part gang).
    Nodes(u32),
    /// Ask for this many GPUs on each node (of a one-part gang).
    Gpus(u32),
    /// Allow the gang to span islands.
    AcrossIslands,
}

/// A share's standing, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The owner.
    pub owner: PartyId,
    /// The project, or `None` for the owner's total.
    pub project: Option<ProjectId>,
    /// Entitled share of its siblings, in basis points.
    pub entitled: u32,
    /// Decayed past use, as a share of its siblings' in basis points.
    pub used: u32,
    /// GPUs held now.
    pub gpus: u32,
    /// GPUs guaranteed now, rounded down; 0 for a project.
    pub guaranteed: u32,
    /// Jobs waiting.
    pub waiting: u32,
}
