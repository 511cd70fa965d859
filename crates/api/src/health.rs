//! How nodes and the fleet fare: what is held against a node, and what stops mean for a job.
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How likely a job is stopped by a fault of the fleet, and what that advises.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StopsView {
    /// GPU-hours between two stops of the GPUs that it holds or may get: (prior + served) / (1 + seen).
    pub gpu_hours_between: u64,
    /// Stops of these seen since the centre opened.
    pub seen: u64,
    /// GPU-hours that they served in that time.
    pub gpu_hours_served: u64,
    /// Mean time to a stop of the whole job, in seconds.
    pub mean_secs: u64,
    /// How likely it is stopped before its limit, in thousandths.
    pub chance_per_mille: u32,
    /// What writing a checkpoint costs it, in seconds.
    pub checkpoint_cost_secs: u64,
    /// Whether the job itself said so; else it is the centre's setting.
    pub checkpoint_cost_known: bool,
    /// How often it should write one, in seconds: sqrt(2 x cost x mean).
    pub checkpoint_every_secs: u64,
    /// How often it said that it writes one, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared_every_secs: Option<u64>,
    /// When its present run last reported one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_checkpoint_ms: Option<u64>,
}

/// A run that failed, and for which a node may be to blame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FaultView {
    /// When.
    pub at_ms: u64,
    /// Its job; absent where it is not the caller's to see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<u64>,
    /// Which attempt.
    pub attempt: u32,
    /// `lost` with its node, or `launch`: could not be started.
    pub how: String,
    /// How many nodes may be to blame for it, this one included.
    pub suspects: u32,
}

/// `POST /nodes/{name}/signs`: one of `xid`, `celsius` and `note`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignSpec {
    /// The number of an error that NVIDIA's driver reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xid: Option<u32>,
    /// A GPU's temperature. One that weighs the same as the last of that GPU changes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub celsius: Option<u32>,
    /// Anything else, in words; it is shown and does nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Of which GPU, where it is of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<u32>,
}

/// Something that was seen on a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignView {
    /// When it was told.
    pub at_ms: u64,
    /// What it is, in words.
    pub text: String,
    /// What it is worth: `note`, `warn`, `drain`.
    pub weight: String,
}
