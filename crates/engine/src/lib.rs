//! Engines carry out effects and report back: real processes on this machine, or on the nodes of a Slurm cluster.
//!
//! On this machine there are three kinds of process, each with one task, so that none has to be trusted to live:
//!
//! - the **server** holds a [`LocalEngine`], which writes orders and reads reports;
//! - the **nursery** ([`nursery_main`]) forks a shepherd for each order, because forking something small is cheap;
//! - a **shepherd** starts one run's script, watches its limits, ends its whole tree and writes down how it ended.
//!
//! Invariants: a run starts at most once; its end is written before it is told; jobs outlive the server; nothing of a
//! run outlives its end. An order leaves no choice open: engines do not decide.
pub mod cgroup;
pub mod detect;
pub mod environ;
pub mod hostlist;
pub mod order;
pub mod pattern;
pub mod tasks;

mod cpus;
mod keeper;
mod launch;
mod local;
mod nursery;
mod procfs;
mod reader;
mod record;
mod shepherd;
mod slurm;
mod spares;
mod strays;
mod sys;
mod tree;
mod wire;

pub use local::{Error, LocalEngine, Options};
pub use nursery::nursery_main;
pub use order::{ArrayInfo, Engine, EngineReport, Kind, LaunchSpec, NodeShare, Order, PartInfo};
pub use slurm::{Asked, Expected, Inventory, NoInventory, SAYS, SlurmEngine, SlurmOptions, inventory, slurm_run_main};
