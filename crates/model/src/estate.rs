//! The estate: sites, islands, nodes and their devices, and the partitions laid over them.
use crate::id::{IslandId, NodeId, PartitionId, PartyId, SiteId};
use crate::share::Parts;
use crate::units::Span;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// What carries out a site's effects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineKind {
    /// Real processes on this machine.
    Local,
    /// Modelled: jobs take the time they say, nothing runs. Labelled so everywhere a person sees it.
    Model,
    /// Real processes on the nodes of a Slurm cluster: the core places, Slurm launches and contains.
    Slurm(SlurmSite),
    /// Whatever its agent has beside it: the site is another domain, and dials in.
    Agent(AgentSite),
}

impl EngineKind {
    /// True where something really runs.
    pub fn is_real(&self) -> bool {
        *self != EngineKind::Model
    }

    /// True where one machine's server alone can reach what runs.
    pub fn is_bound(&self) -> bool {
        matches!(self, EngineKind::Local | EngineKind::Slurm(_))
    }
}

/// A site whose agent carries out its effects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentSite {
    /// How long it may be silent before its nodes take no new work.
    pub silent_after: Span,
}

/// The Slurm cluster that carries out a site's effects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlurmSite {
    /// Slurm's partition that jobs are sent to.
    pub partition: String,
    /// A folder that this server and every node see under the same path.
    pub spool: String,
    /// Slurm's configuration file; `None` for where Slurm looks by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conf: Option<String>,
    /// The folder of Slurm's commands; `None` for those on the `PATH`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commands: Option<String>,
    /// Slurm's account that jobs are charged to; `None` for the default of the user that serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Slurm's QOS; `None` for the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qos: Option<String>,
    /// True where a Slurm job whose run has ended may carry another run of the same kind.
    #[serde(default, skip_serializing_if = "is_false")]
    pub carry: bool,
}

fn is_false(flag: &bool) -> bool {
    !*flag
}

/// One administrative domain with one engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Site {
    /// Its place in [`crate::Founding::sites`].
    pub id: SiteId,
    /// Short name, as in `--partition` and on the command line.
    pub name: String,
    /// Full name in English, for people.
    pub title: String,
    /// Full name in Korean; the English one where a centre file gives none.
    pub title_ko: String,
    /// Who runs it.
    pub operator: PartyId,
    /// What carries out its effects.
    pub engine: EngineKind,
    /// Each owner's share of its capacity, in basis points; the sum is 10,000.
    pub shares: Vec<(PartyId, u32)>,
    /// Where the figures come from.
    pub source: String,
}

/// A fabric that a gang does not cross unless it says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Island {
    /// Its place in [`crate::Founding::islands`].
    pub id: IslandId,
    /// The site it stands at.
    pub site: SiteId,
    /// Name within the centre.
    pub name: String,
    /// Names of the levels of its tree, from the top down (`pod`, `leaf`, `rack`); empty for `rack` alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub levels: Vec<String>,
}

/// The kind of GPU device in a node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Device {
    /// The GRES type, lower case: `h200`, `gh200`, `pretend`.
    pub model: String,
    /// Device memory in MiB.
    pub memory_mib: u32,
    /// What parts of it jobs may hold.
    #[serde(default, skip_serializing_if = "Parts::is_none")]
    pub parts: Parts,
}

/// A machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its place in [`crate::Founding::nodes`].
    pub id: NodeId,
    /// Host name, unique in the centre.
    pub name: String,
    /// The site it stands at.
    pub site: SiteId,
    /// Its fabric.
    pub island: IslandId,
    /// Rack within the island, from 0, as people see it; its domain at the lowest level where no level is called so.
    pub rack: u32,
    /// Number of its domain at each of the island's levels, from the top down; empty where the rack says it all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub path: Vec<u32>,
    /// Its GPUs' kind; `None` when it has none.
    pub device: Option<Device>,
    /// Number of GPU devices, at most 32; device k is bit k of a [`crate::Slot`]'s mask.
    pub gpus: u32,
    /// The devices of each NUMA domain, as masks; empty when all are alike near.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub numa: Vec<u32>,
    /// Number of CPUs that jobs may hold.
    pub cpus: u32,
    /// Memory that jobs may hold, in MiB.
    pub memory_mib: u64,
    /// Words that `--constraint` may ask for.
    pub features: Vec<String>,
    /// True for devices that are not there but made up so that GPU scripts run; labelled so wherever seen.
    pub pretend: bool,
    /// Whether it takes work. At founding always [`Health::Up`].
    pub health: Health,
}

/// Whether a node takes work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// Takes work. Slurm: `IDLE`, `MIXED` or `ALLOCATED`.
    Up,
    /// Finishes what it runs, starts nothing. Slurm: `DRAINING` or `DRAINED`.
    Drain {
        /// The operator's reason.
        why: String,
    },
    /// Lost: what ran there has failed. Slurm: `DOWN`.
    Down {
        /// What is known of the cause.
        why: String,
    },
}

/// A named set of sites with limits, as in Slurm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    /// Its place in [`crate::Founding::partitions`].
    pub id: PartitionId,
    /// What `--partition` names.
    pub name: String,
    /// The sites whose nodes it holds.
    pub sites: Vec<SiteId>,
    /// The longest limit a job may ask for.
    pub max_limit: Span,
    /// The limit of a job that asks for none.
    pub default_limit: Span,
}
