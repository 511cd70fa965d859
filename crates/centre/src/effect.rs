//! Effects: everything that a centre wants done. Engines carry out the first kind; the second kind keeps the
//! projections (history and statements) and is safe to repeat.
use crate::refusal::Refusal;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use madang_ledger::Transaction;
use madang_model::{
    Allocation, AwardId, Job, JobId, NodeId, ProjectId, ReservationId, RunId, SiteId, Span, StopCause, Time, UserId,
};

/// What a centre wants done. Idempotent by run id. Replay drops all but [`Effect::Keep`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Start a run. Everything else the engine needs it finds by the job and its [`madang_model::Launch`].
    Start {
        /// The site whose engine it is for.
        site: SiteId,
        /// The run.
        run: RunId,
        /// Nodes and devices.
        on: Allocation,
        /// How long it may run.
        limit: Span,
    },
    /// End a run: warn, wait the grace period, kill.
    Stop {
        /// The site.
        site: SiteId,
        /// The run.
        run: RunId,
        /// Why.
        cause: StopCause,
    },
    /// A run's limit was changed.
    Limit {
        /// The site.
        site: SiteId,
        /// The run.
        run: RunId,
        /// How long it may run, counted from its start.
        limit: Span,
    },
    /// The holder of an allocation without a process of its own is done with it. Other runs are not touched.
    Release {
        /// The site.
        site: SiteId,
        /// The run.
        run: RunId,
        /// The exit code it ends with.
        exit: i32,
    },
    /// Send a signal to a run.
    Signal {
        /// The site.
        site: SiteId,
        /// The run.
        run: RunId,
        /// Signal number.
        signal: i32,
        /// True for the batch shell alone.
        shell: bool,
    },
    /// Answer a caller.
    Reply {
        /// The caller's ticket.
        ticket: u64,
        /// The answer.
        answer: Result<Reply, Refusal>,
    },
    /// Tell whoever watches that something changed.
    Notice(Notice),
    /// Keep this in the projections; doing it twice is the same as once.
    Keep(Keep),
}

/// A good answer.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// Done; nothing more to say.
    Done,
    /// A job, or an array under its first id, was accepted.
    Job(JobId),
    /// How many jobs were changed.
    Jobs(u32),
    /// A project was made.
    Project(ProjectId),
    /// A user was made or changed.
    User(UserId),
    /// An award was granted.
    Award(AwardId),
    /// A reservation was made.
    Reservation(ReservationId),
}

/// What changed; look it up for the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A job's state.
    Job(JobId),
    /// A node's state or load.
    Node(NodeId),
    /// A project, its award or its members.
    Project(ProjectId),
}

/// What the projections hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keep {
    /// A job that ended: its whole record, by id.
    Job(Arc<Job>),
    /// Transactions posted to the ledger, by entry id.
    Ledger(Vec<Transaction>),
    /// Something that did not fit, for operators.
    Anomaly(Time, String),
}
