//! What is free node by node: the ground that peers place on, and that every trial is measured by. Sums are in thousandths
//! of a GPU.
use super::machine::Machine;
use super::room::{Need, Room, Taken};
use fixedbitset::FixedBitSet;
use madang_model::share::WHOLE;
use std::collections::BTreeSet;

/// Some nodes of one fabric.
#[derive(Clone, Debug)]
struct Crowd {
    /// The fabric's first node.
    first: u32,
    /// Counted from it.
    nodes: FixedBitSet,
    count: usize,
}

impl Crowd {
    fn new(first: u32, nodes: u32) -> Crowd {
        Crowd { first, nodes: FixedBitSet::with_capacity(nodes as usize), count: 0 }
    }

    fn insert(&mut self, node: u32) {
        self.count += usize::from(!self.nodes.put((node - self.first) as usize));
    }

    fn remove(&mut self, node: u32) {
        let at = (node - self.first) as usize;
        self.count -= usize::from(self.nodes.contains(at));
        self.nodes.remove(at);
    }

    fn len(&self) -> usize {
        self.count
    }

    /// Ascending.
    fn iter(&self) -> impl DoubleEndedIterator<Item = u32> {
        self.nodes.ones().map(|at| self.first + at as u32)
    }
}

/// One of two iterators: the short way for whole GPUs alone must not pay for the long one.
enum Either<A, B> {
    One(A),
    Other(B),
}

impl<A: Iterator<Item = u32>, B: Iterator<Item = u32>> Iterator for Either<A, B> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        match self {
            Either::One(one) => one.next(),
            Either::Other(other) => other.next(),
        }
    }

    fn fold<T, F: FnMut(T, u32) -> T>(self, first: T, each: F) -> T {
        match self {
            Either::One(one) => one.fold(first, each),
            Either::Other(other) => other.fold(first, each),
        }
    }
}

impl<A: DoubleEndedIterator<Item = u32>, B: DoubleEndedIterator<Item = u32>> DoubleEndedIterator for Either<A, B> {
    fn next_back(&mut self) -> Option<u32> {
        match self {
            Either::One(one) => one.next_back(),
            Either::Other(other) => other.next_back(),
        }
    }
}

/// Nodes of a machine and what is free on them.
#[derive(Clone, Debug)]
pub struct Floor {
    /// What is left on each node.
    rooms: Vec<Room>,
    /// GPUs of each node.
    total: Vec<u32>,
    /// The fabric of each node.
    fabric: Vec<u32>,
    down: Vec<bool>,
    /// By fabric, by whole free GPUs: the nodes that are up.
    ready: Vec<Vec<Crowd>>,
    /// By fabric: open GPUs of nodes that are up, as (thousandths left, node, device).
    open: Vec<BTreeSet<(u16, u32, u8)>>,
    busy: u64,
    lost: u64,
}

impl Floor {
    /// An empty machine.
    pub fn new(machine: &Machine) -> Floor {
        let mut floor = Floor {
            rooms: Vec::new(),
            total: Vec::new(),
            fabric: Vec::new(),
            down: Vec::new(),
            ready: Vec::new(),
            open: vec![BTreeSet::new(); machine.fabrics.len()],
            busy: 0,
            lost: 0,
        };
        for (index, fabric) in (0..).zip(&machine.fabrics) {
            let first = floor.rooms.len() as u32;
            let mut ready = vec![Crowd::new(first, fabric.nodes); fabric.gpus as usize + 1];
            (first..first + fabric.nodes).for_each(|node| ready[fabric.gpus as usize].insert(node));
            floor.ready.push(ready);
            for node in first..first + fabric.nodes {
                floor.rooms.push(machine.room(fabric, node));
                floor.total.push(fabric.gpus);
                floor.fabric.push(index);
                floor.down.push(false);
            }
        }
        floor
    }

    /// GPUs held, in thousandths.
    pub fn busy(&self) -> u64 {
        self.busy
    }

    /// GPUs of nodes that are down, in thousandths.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// What is left on a node, whether it is up or not.
    pub fn room(&self, node: u32) -> &Room {
        &self.rooms[node as usize]
    }

    /// The nodes for a gang: all of one fabric, each the fullest that fits; the fabric with the fewest to spare. A single
    /// part of a GPU goes to the open GPU that it fills most, wherever that is. Work without GPUs that tells its CPUs goes
    /// to a fabric without GPUs if it can, as a partition of its own has it.
    pub fn find(&self, nodes: u32, need: &Need) -> Option<Vec<u32>> {
        if need.share > 0 {
            return self.find_where(nodes, need, |_| true);
        }
        let counts = (0..self.ready.len()).map(|fabric| (self.fitting(fabric, need), fabric));
        let enough = counts.filter(|(count, _)| *count >= nodes as usize);
        let (_, fabric) = enough.min_by_key(|(count, fabric)| (self.spoils(*fabric, need), *count))?;
        Some(self.ready(fabric, need).take(nodes as usize).collect())
    }

    /// The nodes for a gang as [`Floor::find`] has them, of those that are allowed.
    pub fn find_where(&self, nodes: u32, need: &Need, allowed: impl Fn(u32) -> bool) -> Option<Vec<u32>> {
        if nodes == 1 && need.share > 0 {
            let first = |fabric| self.ready(fabric, need).find(|node| allowed(*node));
            let best = (0..self.ready.len()).filter_map(first);
            return best.min_by_key(|node| (self.fullness(*node, need), *node)).map(|node| vec![node]);
        }
        let mut best: Option<(bool, Vec<u32>)> = None;
        for fabric in 0..self.ready.len() {
            let (spoils, mut fitting) = (self.spoils(fabric, need), Vec::new());
            self.ready(fabric, need).filter(|node| allowed(*node)).for_each(|node| fitting.push(node));
            let better = |(bad, other): &(bool, Vec<u32>)| (spoils, fitting.len()) < (*bad, other.len());
            if fitting.len() >= nodes as usize && best.as_ref().is_none_or(better) {
                best = Some((spoils, fitting));
            }
        }
        best.map(|(_, mut fitting)| {
            fitting.truncate(nodes as usize);
            fitting
        })
    }

    /// Work that needs no GPU but tells its CPUs would take them from beside this fabric's GPUs.
    fn spoils(&self, fabric: usize, need: &Need) -> bool {
        need.gpus == 0 && need.share == 0 && !need.is_plain() && self.ready[fabric].len() > 1
    }

    /// Whether a gang has a place now.
    pub fn fits(&self, nodes: u32, need: &Need) -> bool {
        let nodes = nodes as usize;
        let enough = |fabric| match need.is_plain() {
            true => self.fitting(fabric, need) >= nodes,
            false => self.ready(fabric, need).take(nodes).count() == nodes,
        };
        (0..self.ready.len()).any(enough)
    }

    /// Nodes of a fabric on which the need is met.
    fn fitting(&self, fabric: usize, need: &Need) -> usize {
        match need.is_plain() {
            true => self.ready[fabric].iter().skip(need.gpus as usize).map(Crowd::len).sum(),
            false => self.ready(fabric, need).count(),
        }
    }

    /// How many fabrics there are.
    pub fn fabrics(&self) -> usize {
        self.ready.len()
    }

    /// The fabric of a node.
    pub fn fabric(&self, node: u32) -> usize {
        self.fabric[node as usize] as usize
    }

    /// GPUs of a node, held or not.
    pub fn total(&self, node: u32) -> u32 {
        self.total[node as usize]
    }

    /// Whether a node takes no work.
    pub fn is_down(&self, node: u32) -> bool {
        self.down[node as usize]
    }

    /// How many nodes there are.
    pub fn nodes(&self) -> u32 {
        self.rooms.len() as u32
    }

    /// Nodes of a fabric that are up and meet a need, the fullest first: for a part of a GPU those whose open GPUs it
    /// fills most, then those where it would open one.
    pub fn ready(&self, fabric: usize, need: &Need) -> impl DoubleEndedIterator<Item = u32> {
        match need.is_plain() {
            true => Either::One(self.with_whole(fabric, need.gpus)),
            false => Either::Other(self.with_room(fabric, *need)),
        }
    }

    /// Nodes of a fabric with so many whole GPUs free, the fullest first.
    fn with_whole(&self, fabric: usize, gpus: u32) -> impl DoubleEndedIterator<Item = u32> {
        self.ready[fabric].iter().skip(gpus as usize).flat_map(Crowd::iter)
    }

    /// [`Floor::ready`] of any need.
    fn with_room(&self, fabric: usize, need: Need) -> impl DoubleEndedIterator<Item = u32> {
        let best = move |node: u32| self.rooms[node as usize].best(need.share);
        let open = (need.share > 0).then(|| self.open[fabric].range((need.share as u16, 0, 0)..)).into_iter().flatten();
        // A node with several open GPUs stands where the fullest of them that serves does.
        let open = open.filter(move |(_, node, device)| best(*node).is_some_and(|open| open.device == *device));
        let whole = self.with_whole(fabric, need.gpus.max(u32::from(need.share > 0)));
        let whole = whole.filter(move |node| need.share == 0 || best(*node).is_none());
        open.map(|(_, node, _)| *node).chain(whole).filter(move |node| self.rooms[*node as usize].fits_beside(&need))
    }

    /// Where a node that meets a need stands in [`Floor::ready`]: the fuller, the less.
    pub fn fullness(&self, node: u32, need: &Need) -> (bool, u32) {
        let room = &self.rooms[node as usize];
        match (need.share, room.best(need.share)) {
            (0, _) | (_, None) => (true, room.gpus),
            (_, Some(open)) => (false, u32::from(open.left)),
        }
    }

    /// Holds what is seated on a node.
    pub fn take(&mut self, node: u32, need: &Need, taken: Taken) {
        self.change(node, taken, |room| room.take(need, taken));
        self.busy += taken.milli();
    }

    /// Gives it back.
    pub fn give(&mut self, node: u32, need: &Need, taken: Taken) {
        self.change(node, taken, |room| room.give(need, taken));
        assert!(self.room(node).gpus <= self.total(node), "node {node} got back more than it has");
        self.busy -= taken.milli();
    }

    fn change(&mut self, node: u32, taken: Taken, change: impl FnOnce(&mut Room)) {
        let (at, before) = (node as usize, self.rooms[node as usize].gpus);
        let parts = matches!(taken, Taken::Part { .. }) && !self.down[at];
        if parts {
            self.list_open(node, false);
        }
        change(&mut self.rooms[at]);
        if parts {
            self.list_open(node, true);
        }
        let after = self.rooms[at].gpus;
        if !self.down[at] && after != before {
            let ready = &mut self.ready[self.fabric[at] as usize];
            ready[before as usize].remove(node);
            ready[after as usize].insert(node);
        }
    }

    /// Lists a node's open GPUs, or takes them off the list.
    fn list_open(&mut self, node: u32, listed: bool) {
        let list = &mut self.open[self.fabric[node as usize] as usize];
        for open in &self.rooms[node as usize].open {
            let entry = (open.left, node, open.device);
            if listed {
                list.insert(entry)
            } else {
                list.remove(&entry)
            };
        }
    }

    /// Whether a node takes work from now on.
    pub fn set_down(&mut self, node: u32, down: bool) {
        let at = node as usize;
        if self.down[at] == down {
            return;
        }
        let ready = &mut self.ready[self.fabric[at] as usize][self.rooms[at].gpus as usize];
        let gpus = Taken::Whole(self.total[at]).milli();
        if down {
            ready.remove(node);
            self.lost += gpus;
        } else {
            ready.insert(node);
            self.lost -= gpus;
        }
        self.list_open(node, !down);
        self.down[at] = down;
    }

    /// GPUs of the largest gang of whole nodes that could start now, in thousandths.
    pub fn largest_gang(&self) -> u64 {
        let whole = |ready: &Vec<Crowd>| (ready.len() as u64 - 1) * ready.last().map_or(0, |all| all.len() as u64);
        self.ready.iter().map(whole).max().unwrap_or(0) * u64::from(WHOLE)
    }

    /// What is free on nodes some GPU of which is held, in thousandths: no use to a gang of whole nodes.
    pub fn stranded(&self) -> u64 {
        let partly = |ready: &Vec<Crowd>| -> u64 {
            let parts = ready.iter().enumerate().take(ready.len() - 1);
            parts.map(|(free, nodes)| free as u64 * nodes.len() as u64).sum()
        };
        self.ready.iter().map(partly).sum::<u64>() * u64::from(WHOLE) + self.slivers()
    }

    /// What is free of open GPUs, in thousandths: no use to whoever asks for a whole one.
    pub fn slivers(&self) -> u64 {
        self.open.iter().flatten().map(|(left, ..)| u64::from(*left)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gangs_take_the_fullest_nodes_that_fit() {
        let mut floor = Floor::new(&Machine::plain(4, 8));
        let plain = Need::gpus;
        floor.take(2, &plain(3), Taken::Whole(3));
        assert_eq!(floor.find(1, &plain(4)), Some(vec![2]));
        assert_eq!(floor.find(3, &plain(8)), Some(vec![0, 1, 3]));
        assert_eq!(floor.find(4, &plain(8)), None);
        assert_eq!((floor.busy(), floor.stranded(), floor.largest_gang()), (3000, 5000, 24_000));
        floor.set_down(0, true);
        assert_eq!((floor.lost(), floor.largest_gang(), floor.find(3, &plain(8))), (8000, 16_000, None));
        floor.give(2, &plain(3), Taken::Whole(3));
        floor.set_down(0, false);
        assert_eq!((floor.stranded(), floor.largest_gang()), (0, 32_000));
    }

    #[test]
    fn parts_fill_the_open_gpu_with_least_left_and_whole_gpus_pass_it_by() {
        let mut floor = Floor::new(&Machine::plain(3, 2));
        let share = |share| Need { share, ..Need::default() };
        let start = |floor: &mut Floor, need: Need| {
            let node = floor.find(1, &need)?[0];
            floor.take(node, &need, floor.room(node).seat(&need));
            Some(node)
        };
        floor.take(1, &Need::gpus(1), Taken::Whole(1));
        // 700 opens a GPU on the fullest node; 400 has no room there and opens one on an empty node; 300 fills the first.
        let nodes = [700, 400, 300, 500].map(|milli| start(&mut floor, share(milli)));
        assert_eq!(nodes, [Some(1), Some(0), Some(1), Some(0)]);
        assert_eq!((floor.busy(), floor.stranded(), floor.slivers(), floor.largest_gang()), (2900, 1100, 100, 2000));
        assert_eq!([101, 100].map(|milli| floor.find(1, &share(milli))), [Some(vec![0]), Some(vec![0])]);
        assert_eq!((floor.find(1, &Need::gpus(2)), floor.find(2, &Need::gpus(1))), (Some(vec![2]), Some(vec![0, 2])));
        floor.set_down(0, true);
        assert_eq!((floor.slivers(), floor.find(1, &share(100))), (0, Some(vec![2])));
    }
}
