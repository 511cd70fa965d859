//! What each node holds now, and the index of free capacity.
//!
//! For every pool there is one bitset for each number of free GPUs: bit k of `free[pool][n]` says that the pool's node k
//! takes work and has exactly n GPUs free. CPUs and memory are looked at only for nodes that the bitsets offer.
//!
//! Invariants (see [`Cluster::audit`]): a device is held by one run at most, or by several that hold parts of it as
//! `parts` allows; held CPUs and memory are within the node;
//! a node that takes work is in exactly one bitset of its pool, any other in none.
use crate::calendar::Calendar;
use crate::estate::{Amount, Estate};
use crate::shape::Shape;
use crate::typical::Habits;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use fixedbitset::FixedBitSet;
use madang_model::share::WHOLE;
use madang_model::{Allocation, Held, NodeId, RunId, Slot, Time};

/// A run's part of one node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hold {
    pub run: RunId,
    pub until: Time,
    pub devices: u32,
    /// What it holds wholly: a device that it holds a part of is not counted.
    pub amount: Amount,
    /// What it holds of its one device, where that is not all of it.
    pub share: Option<Held>,
}

impl Hold {
    /// Milli-GPUs held.
    pub fn milli(&self) -> u32 {
        self.share.map_or(self.devices.count_ones() * WHOLE, |held| u32::from(held.milli))
    }
}

/// One node now.
#[derive(Clone, Debug)]
pub(crate) struct NodeState {
    /// True when it takes work.
    pub up: bool,
    /// Devices held, wholly or partly.
    pub busy: u32,
    /// Those of them that are held partly.
    pub shared: u32,
    /// What is held; a device that is partly held counts as one.
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
    /// How often what had grown was looked at, in which of these rounds each node grew last, and which grew in the last
    /// rounds.
    pub round: u64,
    grown_in: Vec<u64>,
    lately: VecDeque<(u64, NodeId)>,
    /// When nodes and capacity are kept for something.
    pub calendar: Calendar,
    /// By site: GPUs of the nodes that take work.
    pub up: Vec<u64>,
    /// By pool: the nodes that take work and have a device that is partly held.
    pub open: Vec<FixedBitSet>,
    /// What jobs of one node typically ask.
    pub habits: Habits,
}

impl Cluster {
    pub fn new(estate: Arc<Estate>) -> Cluster {
        let idle = NodeState { up: true, busy: 0, shared: 0, used: Amount::default(), holds: Vec::new() };
        let free = estate.pools.iter().map(|pool| {
            let mut counts = alloc::vec![FixedBitSet::with_capacity(pool.nodes.len()); pool.total.gpus as usize + 1];
            counts[pool.total.gpus as usize].insert_range(..);
            counts
        });
        let mut up = alloc::vec![0; estate.sites.len()];
        estate.pools.iter().for_each(|pool| up[pool.site.index()] += pool.gpus());
        let open = estate.pools.iter().map(|pool| FixedBitSet::with_capacity(pool.nodes.len()));
        Cluster {
            up,
            open: open.collect(),
            habits: Habits::default(),
            nodes: alloc::vec![idle; estate.nodes.len()],
            free: free.collect(),
            grown: FixedBitSet::with_capacity(estate.nodes.len()),
            round: 1,
            grown_in: alloc::vec![0; estate.nodes.len()],
            lately: VecDeque::new(),
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
                let beside = if slot.share.is_some() { node.shared } else { 0 };
                assert_eq!(node.busy & !beside & slot.devices, 0, "device held twice on {}", slot.node);
                node.busy |= slot.devices;
                node.shared |= if slot.share.is_some() { slot.devices } else { 0 };
                node.used = Amount { gpus: node.busy.count_ones(), ..node.used.plus(amount) };
                node.holds.push(Hold { run, until, devices: slot.devices, amount, share: slot.share });
            });
            let (used, total) = (self.nodes[slot.node.index()].used, self.estate.total(slot.node));
            assert!(used.within(total), "{} overfull: {used:?} of {total:?} with {slot:?}", slot.node);
        }
    }

    /// Frees what a run holds.
    pub fn release(&mut self, run: RunId, on: &Allocation) {
        self.lift(run, on);
        on.slots.iter().for_each(|slot| self.grow(slot.node));
    }

    /// As [`Cluster::release`], for the moment: nothing has grown by it.
    pub fn lift(&mut self, run: RunId, on: &Allocation) {
        for slot in &on.slots {
            self.change(slot.node, |node| {
                node.holds.retain(|hold| hold.run != run);
                let beside = |mask: u32, hold: &Hold| mask | (hold.devices & slot.devices);
                let kept = if slot.share.is_some() { node.holds.iter().fold(0, beside) } else { 0 };
                node.busy &= !slot.devices | kept;
                node.shared &= !slot.devices | kept;
                node.used = Amount { gpus: node.busy.count_ones(), ..node.used.minus(amount_of(slot)) };
            });
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
        if core::mem::replace(&mut self.grown_in[node.index()], self.round) < self.round {
            self.lately.push_back((self.round, node));
            if self.lately.len() > self.nodes.len() {
                self.lately.pop_front();
            }
        }
    }

    /// What has grown so far was looked at.
    pub fn end_round(&mut self) {
        self.grown.clear();
        self.round += 1;
    }

    /// The nodes that may have grown in this round or after it.
    pub fn grown_since(&self, round: u64) -> Vec<NodeId> {
        let known = self.lately.front().is_none_or(|(first, _)| *first < round) && round > 0;
        if known {
            let lately = self.lately.iter().rev().take_while(|(in_round, _)| *in_round >= round);
            return lately.map(|(_, node)| *node).collect();
        }
        let all = (0..).zip(&self.grown_in).filter(|(_, in_round)| **in_round >= round);
        all.map(|(index, _)| NodeId::new(index)).collect()
    }

    fn change(&mut self, node: NodeId, change: impl FnOnce(&mut NodeState)) {
        let facts = &self.estate.nodes[node.index()];
        let state = &mut self.nodes[node.index()];
        let before = state.up.then(|| facts.total.gpus - state.used.gpus);
        change(state);
        let after = state.up.then(|| facts.total.gpus.saturating_sub(state.used.gpus));
        self.open[facts.pool].set(facts.slot, state.up && state.shared != 0);
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
            let mut sum = state.holds.iter().fold(Amount::default(), |sum, hold| sum.plus(hold.amount));
            sum.gpus += state.shared.count_ones();
            if sum != state.used || state.busy.count_ones() != state.used.gpus {
                wrong.push(format!("{} says {:?} is used, its runs hold {sum:?}", facts.name, state.used));
            }
            if !state.used.within(facts.total) {
                wrong.push(format!("{} has {:?}, {:?} is used", facts.name, facts.total, state.used));
            }
            if self.open[facts.pool].contains(facts.slot) != (state.up && state.shared != 0) {
                wrong.push(format!("{} is wrongly listed for its parts of devices", facts.name));
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

/// What a slot holds wholly.
pub(crate) fn amount_of(slot: &Slot) -> Amount {
    let gpus = if slot.share.is_some() { 0 } else { slot.devices.count_ones() };
    Amount { gpus, cpus: slot.cpus, memory: slot.memory_mib }
}
