//! Virtual time, modelled runs, generated load and faults around the one core.
//!
//! - [`model_engine`] carries out effects of modelled sites: the live server and the simulator use the same code.
//! - [`world`] is the simulator: it drives the same core as the server through load and disasters.
//! - [`load`] makes up submissions that look like those of a real GPU centre: the demo and the simulator use it.
//! - [`trial`] puts a workload before the centre, and before the field's policies, on the same machine.
//! - [`report`] makes one page of what came of trials, for people.
//! - [`swf`] reads and writes job logs; [`lab`] replays them under textbook policies, to meet published results.
//! - [`sharing`] fills a cluster of shared GPUs under placement policies, likewise.
//!
//! Invariants: no clock, no threads, no I/O and no hash order in here; every choice comes from a seeded [`rng::Rng`],
//! and none of them from floating point, so a seed gives the same bytes on every platform.

pub mod acts;
pub mod estate;
pub mod faults;
pub mod lab;
pub mod load;
pub mod model_engine;
pub mod oracle;
pub mod rearrange;
mod rebirth;
pub mod report;
pub mod rng;
pub mod run;
pub mod sharing;
pub mod swf;
pub mod trial;
pub mod world;

pub use load::{Load, LoadSpec, Payer};
pub use model_engine::ModelEngine;
pub use run::{Failure, Summary, run};
