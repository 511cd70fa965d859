//! What is left on a node, and what a pod takes of it.
use super::{GpuAsk, MOST_GPUS, Node, Pod, WHOLE};

/// What a node has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct State {
    /// Thousandths of a core left.
    pub cpu_milli: u32,
    /// MiB left.
    pub memory_mib: u32,
    /// Thousandths left on each GPU; 0 beyond the last.
    pub left: [u16; MOST_GPUS],
    /// GPUs it has.
    pub gpus: u8,
    /// Their model.
    pub model: u8,
    /// Kinds of GPU pods on it: bit 0 shares, bit n pods of n whole GPUs.
    pub kinds: u32,
}

impl State {
    /// An empty node.
    pub fn empty(node: &Node) -> State {
        let mut left = [0; MOST_GPUS];
        left[..usize::from(node.gpus)].fill(WHOLE);
        State {
            cpu_milli: node.cpu_milli,
            memory_mib: node.memory_mib,
            left,
            gpus: node.gpus,
            model: node.model,
            kinds: 0,
        }
    }

    /// Thousandths left on each of its GPUs.
    pub fn left(&self) -> &[u16] {
        &self.left[..usize::from(self.gpus)]
    }

    /// All that is left on its GPUs, in thousandths.
    pub fn idle(&self) -> u32 {
        self.left().iter().map(|left| u32::from(*left)).sum()
    }

    /// GPUs nobody uses.
    pub fn free(&self) -> u32 {
        self.left().iter().map(|left| u32::from(*left == WHOLE)).sum()
    }

    /// True if a pod fits.
    pub fn fits(&self, pod: &Pod) -> bool {
        self.cpu_milli >= pod.ask.cpu_milli && self.memory_mib >= pod.memory_mib && self.gpus_fit(pod)
    }

    fn gpus_fit(&self, pod: &Pod) -> bool {
        match pod.ask.gpus {
            GpuAsk::None => true,
            GpuAsk::Share(milli) => pod.ask.models.serve(self.model) && self.left().iter().any(|left| *left >= milli),
            GpuAsk::Whole(gpus) => pod.ask.models.serve(self.model) && self.free() >= u32::from(gpus),
        }
    }

    /// GPUs a share could go to, one for each amount left.
    pub fn seats(&self, milli: u16) -> impl Iterator<Item = usize> {
        let left = self.left();
        (0..left.len()).filter(move |at| left[*at] >= milli && !left[..*at].contains(&left[*at]))
    }

    /// What is left once a pod that fits is on it; a share goes to the GPU named, whole ones to the first free.
    pub fn with(&self, pod: &Pod, gpu: usize) -> State {
        let mut state = *self;
        state.cpu_milli -= pod.ask.cpu_milli;
        state.memory_mib -= pod.memory_mib;
        state.kinds |= kind(pod.ask.gpus);
        match pod.ask.gpus {
            GpuAsk::None => (),
            GpuAsk::Share(milli) => state.left[gpu] -= milli,
            GpuAsk::Whole(gpus) => {
                let free = state.left.iter_mut().filter(|left| **left == WHOLE);
                free.take(usize::from(gpus)).for_each(|left| *left = 0);
            }
        }
        state
    }
}

/// The bit of a pod's kind; none for pods without GPUs.
pub fn kind(gpus: GpuAsk) -> u32 {
    match gpus {
        GpuAsk::None => 0,
        GpuAsk::Share(_) => 1,
        GpuAsk::Whole(gpus) => 1 << gpus.min(31),
    }
}
