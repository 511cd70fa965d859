//! The server: journal, clock, event loop, HTTP, sign-in, console.
//!
//! One thread (`core`) owns the centre: it collects inputs, appends them to the journal in one commit, steps, and
//! hands the effects over. HTTP runs beside it on tokio and only reads the centre, or asks through the core's queue.
//!
//! Invariants: nothing is answered before it is on the disk; a failed commit stops the server; every operation goes
//! through one `authorize`; secrets are stored hashed and never logged.

pub mod auth;
pub mod bug;
pub mod chart;
pub mod clock;
pub mod convert;
pub mod core;
pub mod demo;
pub mod engines;
pub mod estate;
pub mod fault;
pub mod follow;
pub mod http;
pub mod launch;
pub mod metrics;
pub mod queue;
pub mod ranges;
pub mod server;
pub mod store;
pub mod trouble;
pub mod up;
pub mod view;

pub use up::{CentreChoice, ServerFile, UpOptions, up};
