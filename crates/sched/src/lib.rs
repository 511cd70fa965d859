//! The scheduler: who is next, where, and when not now.
//!
//! One way in ([`Scheduler::step`]), everything out by value. A step applies what happened and runs one cycle; the
//! cycle reads as numbered steps in `cycle.rs`. The order comes from a tree of shares (`share`, `rank`), the place from
//! an index of free capacity (`cluster`, `place`) and the tree of domains (`wish`, `topology`), the time from promises
//! (`promise`), around windows that are kept for something (`calendar`, `caps`, `gaps`, `reserve`). What an owner lent it
//! takes back (`lend`, `prey`, `reclaim`). What is strewn an operator may have moved together (`defrag`, `moving`); whoever
//! leaves to go on elsewhere has a place there (`kept`). Equal requests form shapes (`shape`), and jobs stand in lines by
//! class and urgency (`queue`), so that a cycle costs by classes and not by jobs.
//!
//! Invariants: same events, same steps, byte for byte; every sort key ends in an id; work is bounded by counts, never by
//! elapsed time; a promise ends kept, or broken with its cause. [`Scheduler::audit`] says what does not hold.
#![no_std]
extern crate alloc;

mod api;
mod audit;
mod calendar;
mod caps;
mod cluster;
mod cycle;
pub mod defrag;
mod devices;
mod draft;
mod elastic;
mod estate;
mod events;
mod explain;
mod forward;
pub mod frag;
mod gaps;
mod given_up;
mod kept;
mod lend;
mod limit;
mod moving;
mod outlook;
mod parts;
mod pass;
mod place;
mod prey;
pub mod prices;
mod promise;
mod queue;
mod rank;
mod ready;
mod reclaim;
mod reserve;
mod scheduler;
mod shape;
mod share;
mod snapshot;
mod stranded;
mod topology;
mod turns;
mod typical;
mod wish;
pub mod worth;

pub use api::*;
pub use forward::{Forecast, Lasting};
pub use moving::{Clearing, Move, Stale, Unmovable};
pub use scheduler::Scheduler;
pub use snapshot::Snapshot;
pub use stranded::Stranded;
