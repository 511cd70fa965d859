//! What each node holds now, and the index of free capacity.
//!
//! For every pool there is one bitset for each number of free GPUs: bit k of `free[pool][n]` says that the pool's node k
//! takes work and has exactly n GPUs free. CPUs and memory are looked at only for nodes that the bitsets offer.
//!
//! Invariants (see [`Cluster::audit`]): a device is held by one run at most; held CPUs and memory are within the node;
//! a node that takes work is in exactly one bitset of its pool, any other in none.
use crate::calendar::Calendar;
use crate::estate::{Amount, Estate};
use crate::shape::Shape;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use fixedbitset::FixedBitSet;
use madang_model::{Allocation, NodeId, RunId, Slot, Time};

/// A run's part of one node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hold {
    pub run: RunId,
    pub until: Time,
    pub devices: u32,
    pub amount: Amount,
}

/// One node now.
#[derive(Clone, Debug)]
pub(crate) struct NodeState {
    /// True when it takes work.
    pub up: bool,
    /// Devices held.
    pub busy: u32,
    pub used: Amount,
    pub holds: Vec<Hold>,
}

/// All nodes now.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    pub estate: Arc<Estate>,
    pub nodes: Vec<NodeState>,
    /// By pool, by number of free GPUs: the nodes.
    pub free: Vec<Vec<FixedBitSet>>,
    /// Nodes on which something may fit that did not before.
    pub grown: FixedBitSet,
    /// When nodes and capacity are kept for something.
    pub calendar: Calendar,
    /// By site: GPUs of the nodes that take work.
    pub up: Vec<u64>,
}

impl Cluster {
    pub fn new(estate: Arc<Estate>) -> Cluster {
        let idle = NodeState { up: true, busy: 0, used: Amount::default(), holds: Vec::new() };
        let free = estate.pools.iter().map(|pool| {
            let mut counts = alloc::vec![FixedBitSet::with_capacity(pool.nodes.len()); pool.total.gpus as usize + 1];
            counts[pool.total.gpus as usize].insert_range(..);
            counts
        });
        let mut up = alloc::vec![0; estate.sites.len()];
        estate.pools.iter().for_each(|pool| up[pool.site.index()] += pool.gpus());
        Cluster {
            up,
            nodes: alloc::vec![idle; estate.nodes.len()],
            free: free.collect(),
            grown: FixedBitSet::with_capacity(estate.nodes.len()),
            calendar: Calendar::default(),
            estate,
        }
    }

    /// True when neither windows nor caps nor a reservation of its own have a say in where the shape goes.
    pub fn leaves_alone(&self, shape: &Shape) -> bool {
        self.calendar.is_empty() && shape.request.reservation.is_none()
    }

    /// What the node has free, whether it takes work or not.
    pub fn free_of(&self, node: NodeId) -> Amount {
        self.estate.total(node).minus(self.nodes[node.index()].used)
    }

    /// Holds these slots for a run.
    pub fn take(&mut self, run: RunId, until: Time, on: &Allocation) {
        for slot in &on.slots {
            let amount = amount_of(slot);
            self.change(slot.node, |node| {
                assert_eq!(node.busy & slot.devices, 0, "device held twice on {}", slot.node);
                node.busy |= slot.devices;
                node.used = node.used.plus(amount);
                node.holds.push(Hold { run, until, devices: slot.devices, amount });
            });
            assert!(self.nodes[slot.node.index()].used.within(self.estate.total(slot.node)), "{} overfull", slot.node);
        }
    }

    /// Frees what a run holds.
    pub fn release(&mut self, run: RunId, on: &Allocation) {
        for slot in &on.slots {
            self.change(slot.node, |node| {
                node.busy &= !slot.devices;
                node.used = node.used.minus(amount_of(slot));
                node.holds.retain(|hold| hold.run != run);
            });
            self.grow(slot.node);
        }
    }

    /// Gives a run another end.
    pub fn extend(&mut self, run: RunId, until: Time, on: &Allocation) {
        for slot in &on.slots {
            for hold in self.nodes[slot.node.index()].holds.iter_mut().filter(|hold| hold.run == run) {
                hold.until = until;
            }
            self.recount(slot.node);
            self.grow(slot.node);
        }
    }

    /// Whether the node takes work from now on.
    pub fn set_up(&mut self, node: NodeId, up: bool) {
        if self.nodes[node.index()].up != up {
            let facts = &self.estate.nodes[node.index()];
            let gpus = &mut self.up[self.estate.pools[facts.pool].site.index()];
            *gpus = if up { *gpus + u64::from(facts.total.gpus) } else { *gpus - u64::from(facts.total.gpus) };
        }
        self.change(node, |state| state.up = up);
        self.grow(node);
    }

    /// Notes that something may fit on this node that did not before.
    pub fn grow(&mut self, node: NodeId) {
        self.grown.insert(node.index());
    }

    fn change(&mut self, node: NodeId, change: impl FnOnce(&mut NodeState)) {
        let facts = &self.estate.nodes[node.index()];
        let state = &mut self.nodes[node.index()];
        let before = state.up.then(|| facts.total.gpus - state.used.gpus);
        change(state);
        let after = state.up.then(|| facts.total.gpus.saturating_sub(state.used.gpus));
        if before != after {
            if let Some(gpus) = before {
                self.free[facts.pool][gpus as usize].remove(facts.slot);
            }
            if let Some(gpus) = after {
                self.free[facts.pool][gpus as usize].insert(facts.slot);
            }
        }
        self.recount(node);
    }

    /// Everything that does not hold of the invariants above.
    pub fn audit(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for (facts, state) in self.estate.nodes.iter().zip(&self.nodes) {
            let sum = state.holds.iter().fold(Amount::default(), |sum, hold| sum.plus(hold.amount));
            if sum != state.used || state.busy.count_ones() != state.used.gpus {
                wrong.push(format!("{} says {:?} is used, its runs hold {sum:?}", facts.name, state.used));
            }
            if !state.used.within(facts.total) {
                wrong.push(format!("{} has {:?}, {:?} is used", facts.name, facts.total, state.used));
            }
            for (gpus, nodes) in self.free[facts.pool].iter().enumerate() {
                let listed = nodes.contains(facts.slot);
                if listed != (state.up && gpus as u32 + state.used.gpus == facts.total.gpus) {
                    wrong.push(format!("{} is wrongly listed with {gpus} free GPUs: {listed}", facts.name));
                }
            }
        }
        wrong
    }
}

/// What a slot holds.
pub(crate) fn amount_of(slot: &Slot) -> Amount {
    Amount { gpus: slot.devices.count_ones(), cpus: slot.cpus, memory: slot.memory_mib }
}
