//! The centre: people, projects, awards, jobs, the ledger and the scheduler as one deterministic state machine.
//!
//! [`Centre::step`] is the only way in. It is handed the time and what happened since, and gives back what it wants
//! done; it reads no clock and does no I/O, so the server, the simulator and a replay drive the very same code.
//!
//! Invariants, all checked by [`Centre::audit`]: a device is held by one run at most; a gang is whole; every run has
//! one open hold in the ledger and every hold a run; a job's end never changes; the books sum to zero.
//! Deliberately absent: a clock, threads, randomness, hash order, secrets, roles' rights (the edge's).
#![no_std]
extern crate alloc;

mod array;
mod audit;
mod blame;
mod cycle;
mod deadline;
mod defrag;
pub mod effect;
mod fleet;
pub mod foresight;
mod gate;
mod growth;
pub mod input;
mod keys;
mod lifecycle;
mod lost;
mod nodes;
mod outlook;
mod people;
mod reach;
pub mod refusal;
mod report;
mod reserve;
mod rows;
mod shelf;
mod signs;
mod snapshot;
mod spares;
mod state;
mod submit;
mod view;
mod wishes;
mod world;

pub use array::ArrayRecord;
pub use blame::{Fault, How};
pub use cycle::Work;
pub use defrag::MOVES_MOST;
pub use effect::{Effect, Keep, Notice, Reply};
pub use fleet::{Advice, Served};
pub use growth::Grown;
pub use input::{
    Alteration, Array, Booking, DataAt, Input, Key, MoveGroup, MoveOrder, NodesWanted, Report, Sign, Signed,
    Submission, Target, Wait, Wanted,
};
pub use lost::{Failover, Fenced, Lost};
pub use reach::{SiteStanding, Verdict};
pub use refusal::{Code, Refusal};
pub use signs::{Seen, Weight};
pub use snapshot::Snapshot;
pub use state::{Centre, Counts};
pub use world::{World, drive};

use madang_model::Span;

/// From the first signal of a stop to the last: how long a run may take to leave. Every hold covers it besides the
/// limit, so that a run that leaves slowly is never short.
pub const GRACE: Span = Span::from_secs(30);
/// How long the core waits beyond limit and grace for the engine to end a run by itself before it says stop.
pub const PATIENCE: Span = Span::from_secs(30);
/// How long an ended job stays in the core after its record is kept elsewhere.
pub const RETAIN: Span = Span::from_mins(5);
/// Most ended jobs in the core, however young.
pub const RETAIN_MOST: usize = 20_000;
/// Most jobs and array tasks that may wait or run.
pub const MOST_JOBS: u64 = 2_000_000;
