//! The estate: sites, nodes, partitions, the floor.
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A site with its capacity and load.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SiteView {
    /// Short name.
    pub name: String,
    /// Full name in English.
    pub title: String,
    /// Full name in Korean.
    pub title_ko: String,
    /// Who runs it.
    pub operator: String,
    /// Their full name in English.
    pub operator_title: String,
    /// Their full name in Korean.
    pub operator_title_ko: String,
    /// True when nothing there is real: its jobs take the time they say.
    pub modelled: bool,
    /// True when its GPUs are made up so that scripts run.
    pub pretend: bool,
    /// GPU models there.
    pub models: Vec<String>,
    /// Islands.
    pub islands: u32,
    /// Nodes.
    pub nodes: u32,
    /// Nodes drained.
    pub nodes_drained: u32,
    /// Nodes down.
    pub nodes_down: u32,
    /// GPUs.
    pub gpus: u32,
    /// GPUs held by runs.
    pub gpus_busy: u32,
    /// GPUs on nodes that are drained or down and hold no run.
    pub gpus_out: u32,
    /// Idle GPUs on nodes that hold something already: of no use to a gang of whole nodes.
    pub gpus_stranded: u32,
    /// Set when many more GPUs are stranded than in the best hour of the last day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stranded_growth: Option<StrandedGrowth>,
    /// Nodes of the largest gang of whole nodes that one island has idle.
    pub largest_gang: u32,
    /// The most that gang could be if what holds parts of nodes were packed; a bound, not a plan.
    pub largest_gang_packed: u32,
    /// CPUs.
    pub cpus: u32,
    /// Jobs running.
    pub running: u32,
    /// Where the figures come from.
    pub source: String,
    /// Set while it is lost: nothing new starts there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<LostView>,
}

/// A site that is lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LostView {
    /// Since when.
    pub since_ms: u64,
    /// What is known of the cause.
    pub reason: String,
    /// True when an operator said so; else it is silent.
    pub by_operator: bool,
    /// When its jobs go on elsewhere, or did; absent for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failover_ms: Option<u64>,
    /// True when they have.
    pub failed_over: bool,
    /// Runs that were given up there and may still live.
    pub fenced: u32,
}

/// `POST /sites/{name}/lost`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LostSpec {
    /// Why, for everyone to read.
    pub reason: String,
    /// True to have its jobs go on elsewhere at once, not only after the time that the policy sets.
    #[serde(default)]
    pub at_once: bool,
}

/// How much worse a site's fragmentation has become: told from a twentieth of its GPUs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StrandedGrowth {
    /// When the best hour of the last day ended.
    pub since_ms: u64,
    /// The most GPUs that were stranded in that hour.
    pub from: u64,
    /// The least that were stranded in the last full hour.
    pub to: u64,
}

/// A domain of an island's tree: one pod, leaf, rack or NVLink domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DomainView {
    /// The level's name, as `--topology` takes it.
    pub level: String,
    /// The domain's name, unique in the centre.
    pub name: String,
}

/// `GET /nodes` items.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeView {
    /// Name.
    pub name: String,
    /// Site.
    pub site: String,
    /// Island.
    pub island: String,
    /// Rack within the island.
    pub rack: u32,
    /// The domains of the island's tree that it is in, from the top down.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<DomainView>,
    /// Partitions that hold it.
    pub partitions: Vec<String>,
    /// Slurm's name of its state: `IDLE`, `MIXED`, `ALLOCATED`, `DRAINING`, `DRAINED`, `DOWN`.
    pub state: String,
    /// Why it is drained or down.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// GPU model.
    pub gpu_model: Option<String>,
    /// GPUs.
    pub gpus: u32,
    /// Devices held, wholly or partly: bit k is device k.
    pub gpus_busy_mask: u32,
    /// Shards that each of its GPUs counts as; 0 where they are not shared.
    #[serde(default)]
    pub gpu_shards: u32,
    /// Profiles by which its GPUs may be cut into slices.
    #[serde(default)]
    pub gpu_profiles: Vec<String>,
    /// CPUs.
    pub cpus: u32,
    /// CPUs held.
    pub cpus_busy: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Memory held in MiB.
    pub memory_busy_mib: u64,
    /// Features.
    pub features: Vec<String>,
    /// Made-up devices.
    pub pretend: bool,
    /// Modelled.
    pub modelled: bool,
    /// Jobs on it.
    pub jobs: Vec<u64>,
    /// True where it was drained because it killed runs; the faults are then those that it was drained for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drained_by_rule: bool,
    /// Faults that are held against it, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<crate::FaultView>,
    /// The last signs that were told of it, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signs: Vec<crate::SignView>,
}

/// `POST /nodes/{name}/drain`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DrainSpec {
    /// Why, for everyone to read.
    pub reason: String,
}

/// `GET /partitions` items.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PartitionView {
    /// Name.
    pub name: String,
    /// True for the one that a job gets that names none.
    pub is_default: bool,
    /// Sites.
    pub sites: Vec<String>,
    /// Longest limit.
    pub max_limit_secs: u64,
    /// Limit of a job that asks for none.
    pub default_limit_secs: u64,
    /// Nodes.
    pub nodes: u32,
    /// GPUs.
    pub gpus: u32,
    /// CPUs.
    pub cpus: u32,
}

/// `GET /floor`: every node and GPU, small enough to draw all of 18,000 at once. Layout first, then one entry a node
/// in the same order; the stream of events sends changes of single nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Floor {
    /// Sites in order.
    pub sites: Vec<FloorSite>,
    /// State of every node, in the order in which the islands list them.
    pub nodes: Vec<FloorNode>,
}

/// A site on the floor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FloorSite {
    /// Short name.
    pub name: String,
    /// Full name in English.
    pub title: String,
    /// Full name in Korean.
    pub title_ko: String,
    /// Modelled.
    pub modelled: bool,
    /// Pretend GPUs.
    pub pretend: bool,
    /// Its islands.
    pub islands: Vec<FloorIsland>,
}

/// An island on the floor: nodes `first .. first + nodes` of [`Floor::nodes`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FloorIsland {
    /// Name.
    pub name: String,
    /// Index of its first node.
    pub first: u32,
    /// Number of nodes.
    pub nodes: u32,
    /// GPUs on each node (the largest, if they differ).
    pub gpus: u32,
    /// GPU model.
    pub gpu_model: Option<String>,
}

/// A node on the floor, short names to keep 3,250 of them small.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FloorNode {
    /// Name.
    pub n: String,
    /// Rack within its island.
    pub r: u32,
    /// GPUs.
    pub g: u32,
    /// Devices held, as a mask.
    pub b: u32,
    /// `u` up, `d` draining or drained, `x` down.
    pub s: String,
    /// Colour group of each device's job: index of the owner in [`crate::Overview::owners`] plus 1, 0 for free.
    pub o: Vec<u8>,
}
