//! Who waits, in the order in which they may overtake, and a fast answer to "who is next that fits".
//!
//! Every job has a fixed place; a tree over the places keeps the smallest size and the shortest estimate of those that
//! wait below each of its nodes, so that stretches where nobody fits are passed over in one step.

/// Size and estimate of one who waits, or the least of each below a node.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Least {
    procs: u32,
    estimate: u32,
}

/// A place where nobody waits: sizes are at most the machine's, and the machine is below this.
const NOBODY: Least = Least { procs: u32::MAX, estimate: u32::MAX };

/// Those who wait, by place.
pub(super) struct Queue {
    /// A complete binary tree: the root at 1, leaves from `leaves` on.
    nodes: Vec<Least>,
    leaves: usize,
}

/// What may start beside the promise to the head.
#[derive(Clone, Copy)]
pub(super) struct Room {
    /// Processors free now.
    pub free: u32,
    /// Of them, those the head will not need.
    pub extra: u32,
    /// Seconds until the head's promise.
    pub until: u64,
}

impl Room {
    fn may_fit(&self, least: Least) -> bool {
        least.procs <= self.free && (least.procs <= self.extra || u64::from(least.estimate) <= self.until)
    }
}

impl Queue {
    /// An empty queue of so many places.
    pub fn new(places: usize) -> Queue {
        let leaves = places.next_power_of_two();
        Queue { nodes: vec![NOBODY; 2 * leaves], leaves }
    }

    /// Somebody waits at a place.
    pub fn add(&mut self, place: usize, procs: u32, estimate: u32) {
        self.set(place, Least { procs, estimate });
    }

    /// Nobody waits there any more.
    pub fn remove(&mut self, place: usize) {
        self.set(place, NOBODY);
    }

    /// The size of the smallest.
    pub fn smallest(&self) -> u32 {
        self.nodes[1].procs
    }

    fn set(&mut self, place: usize, least: Least) {
        let mut node = self.leaves + place;
        self.nodes[node] = least;
        while node > 1 {
            node /= 2;
            let (left, right) = (self.nodes[2 * node], self.nodes[2 * node + 1]);
            let least = Least { procs: left.procs.min(right.procs), estimate: left.estimate.min(right.estimate) };
            if self.nodes[node] == least {
                return;
            }
            self.nodes[node] = least;
        }
    }

    /// The first from a place on who fits.
    pub fn next(&self, from: usize, room: Room) -> Option<usize> {
        let mut node = self.leaves + from;
        if from >= self.leaves {
            return None;
        }
        loop {
            if room.may_fit(self.nodes[node]) {
                if node >= self.leaves {
                    return Some(node - self.leaves);
                }
                node *= 2;
                continue;
            }
            // To the next subtree on the right: up while this is a right child.
            while node % 2 == 1 {
                if node == 1 {
                    return None;
                }
                node /= 2;
            }
            node += 1;
        }
    }
}
