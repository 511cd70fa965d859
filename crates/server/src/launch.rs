//! A launch: what the core need not know of a job and its engine must, kept as a blob beside the journal.

use madang_engine::{LaunchSpec, PartInfo};
use madang_model::{Job, Launch};
use serde::{Deserialize, Serialize};

/// The bytes of a launch blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launched {
    /// Format of the blob; 1.
    pub version: u32,
    /// What to run.
    pub spec: LaunchSpec,
    /// How tasks are laid out, one for each part.
    pub parts: Vec<PartInfo>,
}

impl Launched {
    /// The format that this release writes.
    pub const VERSION: u32 = 1;

    /// A launch of this release's format.
    pub fn new(spec: LaunchSpec, parts: Vec<PartInfo>) -> Launched {
        Launched { version: Launched::VERSION, spec, parts }
    }
}

/// The name of a job's launch.
pub fn name_of(job: &Job) -> Option<&str> {
    job.spec.launch.as_ref().map(|Launch(name)| name.as_str())
}
