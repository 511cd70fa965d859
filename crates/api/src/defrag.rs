//! Defragmentation: a costed plan of moves, and the order to make some of them.
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /defrag`: moves that gain more than they cost, as of now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DefragPlan {
    /// No gain is counted beyond this.
    pub horizon_secs: u64,
    /// How long a run that is told to stop has to leave.
    pub grace_secs: u64,
    /// Groups of moves, in the order in which they are to be made.
    pub groups: Vec<DefragGroup>,
    /// What is idle before and after, by site.
    pub sites: Vec<DefragSite>,
    /// Waiting jobs that would start once all is moved, and that would not without.
    pub starts: Vec<u64>,
    /// What the plan comes to, and what was left alone and why, in sentences.
    pub notes: Vec<String>,
}

/// Moves that belong together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DefragGroup {
    /// The waiting job that is promised the room; absent where whole nodes become free for whatever comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room_for: Option<u64>,
    /// The moves.
    pub moves: Vec<DefragMove>,
    /// Nodes that become whole.
    pub emptied: Vec<String>,
    /// GPU time that the moves cost.
    pub lost_gpu_us: i64,
    /// GPU time that they gain within the horizon.
    pub gained_gpu_us: i64,
}

/// A run and where its job would go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DefragMove {
    /// The job.
    pub job: u64,
    /// Its attempt.
    pub attempt: u32,
    /// Whose it is.
    pub user: String,
    /// Who pays.
    pub project: String,
    /// GPUs that it holds.
    pub gpus: u32,
    /// Nodes that it holds.
    pub from: Vec<String>,
    /// Nodes on which it goes on.
    pub to: Vec<String>,
    /// GPU time that moving it costs: work since its last checkpoint, and the time of the move.
    pub lost_gpu_us: i64,
}

/// A site before and after.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DefragSite {
    /// Short name.
    pub site: String,
    /// Idle GPUs on partly used nodes.
    pub gpus_stranded: BeforeAfter,
    /// Nodes that take work and hold none.
    pub whole_nodes: BeforeAfter,
    /// Nodes of the largest gang of whole nodes that one island has idle.
    pub largest_gang: BeforeAfter,
}

/// A figure before and after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BeforeAfter {
    /// Now.
    pub before: u64,
    /// Once all is moved and nothing else has started.
    pub after: u64,
}

/// `POST /defrag`: all of it is done, or nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DefragSpec {
    /// Groups of moves, as a plan has them and in its order.
    pub groups: Vec<MoveGroup>,
}

/// Moves that belong together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveGroup {
    /// The waiting job that is promised the room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room_for: Option<u64>,
    /// The moves.
    pub moves: Vec<MoveSpec>,
}

/// A run and where its job is to go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveSpec {
    /// The job.
    pub job: u64,
    /// The attempt that is to be stopped.
    pub attempt: u32,
    /// All nodes on which the job goes on.
    pub to: Vec<String>,
}
