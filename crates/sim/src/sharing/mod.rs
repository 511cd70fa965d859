//! GPU sharing: pods that take a share of a GPU, whole ones or several, arrive one by one and never leave.
//!
//! This is the experiment of FGD (Weng et al., "Beware of Fragmentation", USENIX ATC 2023) on the public openb traces:
//! how much of a cluster's GPUs can be handed out before what is left is of no use to anyone? [`read`] takes the traces'
//! CSV files, [`arrivals`] makes a run of a pod list and a seed, a [`Study`] places it under a [`Policy`] and measures.
//! Published policies are here by their published rules, so that our own stands beside numbers of others.
//!
//! Invariants: a pod that fits somewhere is placed; arrivals come in one order, the same for every policy of a seed;
//! a policy knows the list's typical mix, never what arrives next; integers only, and the same on every platform.

pub mod arrivals;
pub mod cluster;
pub mod core;
pub mod draws;
pub mod policy;
pub mod read;
pub mod replay;

pub use arrivals::Arrivals;
pub use cluster::State;
pub use madang_sched::frag::{Ask, Fragmentation, GpuAsk, Mix, Models, WHOLE};
pub use madang_sched::worth::{self, Worth};
pub use policy::Policy;
pub use replay::{Curve, Outcome, Study};

/// GPUs a node has at most.
pub const MOST_GPUS: usize = 16;

/// A node as it stands empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Thousandths of a core.
    pub cpu_milli: u32,
    /// Memory, in MiB.
    pub memory_mib: u32,
    /// GPUs.
    pub gpus: u8,
    /// Index of their model in [`Estate::models`].
    pub model: u8,
}

/// Nodes and the GPU models among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Estate {
    /// Models by index; the last is what no node has.
    pub models: Vec<String>,
    /// Nodes in file order.
    pub nodes: Vec<Node>,
}

impl Estate {
    /// All GPUs, in thousandths.
    pub fn gpu_milli(&self) -> u64 {
        self.nodes.iter().map(|node| u64::from(node.gpus) * u64::from(WHOLE)).sum()
    }
}

/// What a pod asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pod {
    /// CPU, GPUs, models.
    pub ask: Ask,
    /// Memory, in MiB.
    pub memory_mib: u32,
}

/// A list of pods: the distinct ones, and which of them stands where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pods {
    /// Distinct pods, ascending.
    pub shapes: Vec<Pod>,
    /// For each pod in file order, its shape.
    pub list: Vec<u32>,
}

impl Pods {
    /// A list of these pods.
    pub fn new(pods: &[Pod]) -> Pods {
        let mut shapes = pods.to_vec();
        shapes.sort_unstable();
        shapes.dedup();
        let list = pods.iter().map(|pod| shapes.partition_point(|shape| shape < pod) as u32).collect();
        Pods { shapes, list }
    }

    /// The pods in file order.
    pub fn iter(&self) -> impl Iterator<Item = &Pod> {
        self.list.iter().map(|at| &self.shapes[*at as usize])
    }

    /// The typical mix: the most frequent asks that cover 95% of the list, as published.
    pub fn mix(&self) -> Mix {
        Mix::typical(self.iter().map(|pod| pod.ask), 95)
    }

    /// All GPUs asked, in thousandths.
    pub fn gpu_milli(&self) -> u64 {
        self.iter().map(|pod| u64::from(pod.ask.gpus.milli())).sum()
    }

    /// What the list makes things worth.
    pub fn worth(&self) -> Worth {
        Worth::new(self.iter().map(|pod| (pod.ask, pod.memory_mib)))
    }
}
