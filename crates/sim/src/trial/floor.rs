//! Free GPUs node by node: the ground that peers place on, and that every trial is measured by.
use super::machine::Machine;
use fixedbitset::FixedBitSet;

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

/// Nodes of a machine and what is free on them.
#[derive(Clone, Debug)]
pub struct Floor {
    /// Free GPUs of each node.
    free: Vec<u32>,
    /// GPUs of each node.
    total: Vec<u32>,
    /// The fabric of each node.
    fabric: Vec<u32>,
    down: Vec<bool>,
    /// By fabric, by free GPUs: the nodes that are up.
    ready: Vec<Vec<Crowd>>,
    busy: u64,
    lost: u64,
}

impl Floor {
    /// An empty machine.
    pub fn new(machine: &Machine) -> Floor {
        let mut floor = Floor {
            free: Vec::new(),
            total: Vec::new(),
            fabric: Vec::new(),
            down: Vec::new(),
            ready: Vec::new(),
            busy: 0,
            lost: 0,
        };
        for (index, fabric) in (0..).zip(&machine.fabrics) {
            let first = floor.free.len() as u32;
            let mut ready = vec![Crowd::new(first, fabric.nodes); fabric.gpus as usize + 1];
            (first..first + fabric.nodes).for_each(|node| ready[fabric.gpus as usize].insert(node));
            floor.ready.push(ready);
            for _ in 0..fabric.nodes {
                floor.free.push(fabric.gpus);
                floor.total.push(fabric.gpus);
                floor.fabric.push(index);
                floor.down.push(false);
            }
        }
        floor
    }

    /// GPUs held.
    pub fn busy(&self) -> u64 {
        self.busy
    }

    /// GPUs of nodes that are down.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Free GPUs of a node, whether it is up or not.
    pub fn free(&self, node: u32) -> u32 {
        self.free[node as usize]
    }

    /// The nodes for a gang: all of one fabric, each the fullest that fits; the fabric with the fewest to spare.
    pub fn find(&self, nodes: u32, gpus: u32) -> Option<Vec<u32>> {
        let fitting = |ready: &[Crowd]| -> usize { ready.iter().skip(gpus as usize).map(Crowd::len).sum() };
        let enough =
            self.ready.iter().map(|ready| (fitting(ready), ready)).filter(|(count, _)| *count >= nodes as usize);
        let (_, ready) = enough.min_by_key(|(count, _)| *count)?;
        Some(ready.iter().skip(gpus as usize).flat_map(Crowd::iter).take(nodes as usize).collect())
    }

    /// The nodes for a gang as [`Floor::find`] has them, of those that are allowed.
    pub fn find_where(&self, nodes: u32, gpus: u32, allowed: impl Fn(u32) -> bool) -> Option<Vec<u32>> {
        let mut best: Option<Vec<u32>> = None;
        for fabric in 0..self.ready.len() {
            let fitting: Vec<u32> = self.ready(fabric, gpus).filter(|node| allowed(*node)).collect();
            if fitting.len() >= nodes as usize && best.as_ref().is_none_or(|other| fitting.len() < other.len()) {
                best = Some(fitting);
            }
        }
        best.map(|mut fitting| {
            fitting.truncate(nodes as usize);
            fitting
        })
    }

    /// Whether a gang has a place now.
    pub fn fits(&self, nodes: u32, gpus: u32) -> bool {
        let fitting = |ready: &Vec<Crowd>| -> usize { ready.iter().skip(gpus as usize).map(Crowd::len).sum() };
        self.ready.iter().any(|ready| fitting(ready) >= nodes as usize)
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

    /// How many nodes there are, up or not.
    pub fn nodes(&self) -> u32 {
        self.free.len() as u32
    }

    /// Nodes of a fabric that are up with so many GPUs free, the fullest first.
    pub fn ready(&self, fabric: usize, gpus: u32) -> impl DoubleEndedIterator<Item = u32> {
        self.ready[fabric].iter().skip(gpus as usize).flat_map(Crowd::iter)
    }

    /// Holds so many GPUs on a node.
    pub fn take(&mut self, node: u32, gpus: u32) {
        assert!(self.free[node as usize] >= gpus, "node {node} has no {gpus} GPUs free");
        self.set(node, self.free[node as usize] - gpus);
        self.busy += u64::from(gpus);
    }

    /// Gives them back.
    pub fn give(&mut self, node: u32, gpus: u32) {
        self.set(node, self.free[node as usize] + gpus);
        assert!(self.free[node as usize] <= self.total[node as usize], "node {node} got back more than it has");
        self.busy -= u64::from(gpus);
    }

    /// Whether a node takes work from now on.
    pub fn set_down(&mut self, node: u32, down: bool) {
        let at = node as usize;
        if self.down[at] == down {
            return;
        }
        let ready = &mut self.ready[self.fabric[at] as usize][self.free[at] as usize];
        if down {
            ready.remove(node);
            self.lost += u64::from(self.total[at]);
        } else {
            ready.insert(node);
            self.lost -= u64::from(self.total[at]);
        }
        self.down[at] = down;
    }

    fn set(&mut self, node: u32, free: u32) {
        let at = node as usize;
        if !self.down[at] {
            let ready = &mut self.ready[self.fabric[at] as usize];
            ready[self.free[at] as usize].remove(node);
            ready[free as usize].insert(node);
        }
        self.free[at] = free;
    }

    /// GPUs of the largest gang of whole nodes that could start now.
    pub fn largest_gang(&self) -> u64 {
        let whole = |ready: &Vec<Crowd>| (ready.len() as u64 - 1) * ready.last().map_or(0, |all| all.len() as u64);
        self.ready.iter().map(whole).max().unwrap_or(0)
    }

    /// GPUs that are free on nodes which hold something already: no use to a gang of whole nodes.
    pub fn stranded(&self) -> u64 {
        let partly = |ready: &Vec<Crowd>| -> u64 {
            let parts = ready.iter().enumerate().take(ready.len() - 1);
            parts.map(|(free, nodes)| free as u64 * nodes.len() as u64).sum()
        };
        self.ready.iter().map(partly).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gangs_take_the_fullest_nodes_that_fit() {
        let mut floor = Floor::new(&Machine::plain(4, 8));
        floor.take(2, 3);
        assert_eq!(floor.find(1, 4), Some(vec![2]));
        assert_eq!(floor.find(3, 8), Some(vec![0, 1, 3]));
        assert_eq!(floor.find(4, 8), None);
        assert_eq!((floor.busy(), floor.stranded(), floor.largest_gang()), (3, 5, 24));
        floor.set_down(0, true);
        assert_eq!((floor.lost(), floor.largest_gang(), floor.find(3, 8)), (8, 16, None));
        floor.give(2, 3);
        floor.set_down(0, false);
        assert_eq!((floor.stranded(), floor.largest_gang()), (0, 32));
    }
}
