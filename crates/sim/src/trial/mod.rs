//! Trials: a workload on an estate under a policy, and what came of it.
//!
//! The same [`Workload`] meets the centre itself ([`madang`]: the very `Centre` and `drive` that serve) and the policies
//! of the field ([`peers`]), on the same [`Machine`], and each leaves an [`Outcome`] of the same form, so that figures
//! stand side by side. Run times are the workload's own: nothing runs, and everything here is modelled.
//!
//! Invariants: a trial depends on workload, machine, policy and settings alone; no clock, no hash order. Time begins at
//! [`Time`] 0 with the workload.

mod floor;
pub mod generate;
mod machine;
pub mod madang;
mod measure;
pub mod past;
pub mod peers;
pub mod philly;
mod policy;
pub mod reader;
mod record;
mod room;
pub mod stretch;
pub mod table;
mod workload;

pub use floor::Floor;
pub use machine::{Fabric, Machine};
pub use measure::{Bands, Figures, Group, Share, figures, waits};
pub use policy::Policy;
pub use record::{Frame, How, Outcome, Recorder, Run};
pub use room::{Need, Open, Room, Taken};
pub use workload::{Beside, Fault, Job, Owner, Workload};

use madang_sched::Config;
use std::fmt;

/// The centre's scheduler under a name and with settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What the policy is called.
    pub name: String,
    /// Its settings.
    pub config: Config,
}

/// Why a workload cannot be tried on a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A gang that no fabric could ever hold.
    TooLarge {
        /// Its number in the workload.
        job: u64,
        /// Nodes asked for.
        nodes: u32,
        /// GPUs asked for on each.
        gpus: u32,
        /// CPUs and memory asked for on each, where that is told.
        beside: Option<Beside>,
        /// What the largest fabric has.
        largest: String,
    },
    /// The centre said no to something that the workload asks for.
    Centre(String),
    /// A job that a policy with these settings would leave waiting for ever.
    Never(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::TooLarge { job, nodes, gpus, beside, largest } => {
                write!(f, "job {job} asks for {nodes} nodes with {gpus} GPUs")?;
                if let Some(Beside { cpu_milli, memory_mib }) = beside {
                    write!(f, ", {} CPUs and {memory_mib} MiB", cpu_milli.div_ceil(1000))?;
                }
                write!(f, " each, the largest island has {largest}")
            }
            Refusal::Centre(fact) | Refusal::Never(fact) => f.write_str(fact),
        }
    }
}

impl std::error::Error for Refusal {}
