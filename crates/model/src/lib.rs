//! The words of Madang: ids, units, time, the estate, jobs, projects.
//!
//! Every other room speaks with these types. Nothing here decides anything; what has an invariant keeps it by
//! construction, so the rooms that decide need not check twice.
//!
//! Invariants: no clock, no I/O, no floating point; two ids or two units never mix (see [`id`] and [`units`]).
#![no_std]
extern crate alloc;

pub mod checkpoint;
pub mod choice;
pub mod estate;
pub mod founding;
pub mod id;
pub mod job;
pub mod policy;
pub mod project;
pub mod reach;
pub mod reservation;
pub mod share;
pub mod topology;
pub mod units;

pub use checkpoint::Checkpoints;
pub use choice::Choice;
pub use estate::{AgentSite, Device, EngineKind, Health, Island, Node, Partition, Site, SlurmSite};
pub use founding::Founding;
pub use id::{
    AwardId, EntryId, IslandId, JobId, NodeId, PartitionId, PartyId, ProjectId, ReservationId, RunId, SiteId, UserId,
};
pub use job::{
    Allocation, Blocked, Dependency, DependencyKind, Elastic, EndedRun, Job, JobSpec, JobState, Launch, ModelRun,
    Outcome, Part, Progress, Qos, Request, Slot, StopCause, Warning,
};
pub use policy::Policy;
pub use project::{Award, Class, Party, Price, Project, Role, User};
pub use reach::{DataHint, Link, Reach};
pub use reservation::{Cap, Purpose, Recurrence, Reservation, Window};
pub use share::{Held, Parts, Profile, Share};
pub use topology::Topology;
pub use units::{GpuTime, MilliGpus, Span, Time, Won};
