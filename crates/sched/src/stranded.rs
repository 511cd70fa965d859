//! Stranded GPUs: what is idle on an island, and how much of it no gang of whole nodes can use.
//!
//! A node is whole when it takes work and nothing is held on it. Idle GPUs of a node that is partly used are stranded.
//! The packed gang is a bound, not a plan: the whole nodes there would be if what is free on partly used nodes could be
//! moved together, as GPUs, CPUs and memory allow; runs that cannot be cut or moved may leave fewer.
//!
//! Promises and windows are not looked at: this says what is idle now, not who may have it.
//!
//! Invariants: integers only; stranded <= idle; gang <= packed; one look at each node.
use crate::estate::Amount;
use crate::scheduler::Scheduler;
use alloc::vec::Vec;
use madang_model::{IslandId, SiteId};

/// What is idle on one island, in whole GPUs and whole nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stranded {
    /// The site.
    pub site: SiteId,
    /// The island.
    pub island: IslandId,
    /// GPUs of nodes that take work.
    pub gpus: u64,
    /// Those that no run holds.
    pub idle: u64,
    /// Idle ones on partly used nodes.
    pub stranded: u64,
    /// Whole nodes: they take work and hold none.
    pub whole: u64,
    /// Nodes of the largest gang of whole, like nodes that fits now.
    pub gang: u64,
    /// The most that gang could be if partial work were packed.
    pub packed: u64,
}

/// The same for like nodes of one pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    gpus: u64,
    idle: u64,
    stranded: u64,
    gang: u64,
    packed: u64,
}

impl Scheduler {
    /// What is idle and what of it is stranded, by island; islands without GPUs are left out.
    pub fn fragmentation(&self) -> Vec<Stranded> {
        let islands = (0u32..).zip(&self.estate.islands);
        let measured = islands.map(|(index, site)| {
            let island = IslandId::new(index);
            let none = Stranded { site: *site, island, gpus: 0, idle: 0, stranded: 0, whole: 0, gang: 0, packed: 0 };
            let pools = self.estate.pools.iter().filter(|pool| pool.island == island && pool.total.gpus > 0);
            pools.fold(none, |sum, pool| {
                let states = pool.nodes.iter().map(|node| &self.cluster.nodes[node.index()]);
                let tally = tally(pool.total, states.filter(|state| state.up).map(|state| state.used));
                Stranded {
                    gpus: sum.gpus + tally.gpus,
                    idle: sum.idle + tally.idle,
                    stranded: sum.stranded + tally.stranded,
                    whole: sum.whole + tally.gang,
                    gang: sum.gang.max(tally.gang),
                    packed: sum.packed.max(tally.packed),
                    ..sum
                }
            })
        });
        measured.filter(|island| island.gpus > 0).collect()
    }
}

/// Counts nodes of one kind by what is used on each.
fn tally(total: Amount, used: impl Iterator<Item = Amount>) -> Tally {
    let mut tally = Tally::default();
    let (mut cpus, mut memory) = (0_u64, 0_u64);
    for used in used {
        let free = total.minus(used);
        tally.gpus += u64::from(total.gpus);
        tally.idle += u64::from(free.gpus);
        if used == Amount::default() {
            tally.gang += 1;
        } else {
            tally.stranded += u64::from(free.gpus);
            cpus += u64::from(free.cpus);
            memory += free.memory;
        }
    }
    let per = |free: u64, each: u64| free.checked_div(each).unwrap_or(u64::MAX);
    let more = per(tally.stranded, u64::from(total.gpus));
    let more = more.min(per(cpus, u64::from(total.cpus))).min(per(memory, total.memory));
    tally.packed = tally.gang + more;
    tally
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nodes of 8 GPUs, 64 CPUs and 512 MiB; each used as said: GPUs, CPUs, memory.
    fn of(used: &[(u32, u32, u64)]) -> (u64, u64, u64, u64) {
        let total = Amount { gpus: 8, cpus: 64, memory: 512 };
        let used = used.iter().map(|(gpus, cpus, memory)| Amount { gpus: *gpus, cpus: *cpus, memory: *memory });
        let tally = tally(total, used);
        (tally.idle, tally.stranded, tally.gang, tally.packed)
    }

    #[test]
    fn idle_gpus_of_partly_used_nodes_are_stranded() {
        assert_eq!(of(&[]), (0, 0, 0, 0));
        assert_eq!(of(&[(0, 0, 0), (8, 64, 512)]), (8, 0, 1, 1));
        assert_eq!(of(&[(4, 32, 256), (4, 32, 256)]), (8, 8, 0, 1));
        assert_eq!(of(&[(1, 8, 64), (6, 48, 384), (0, 0, 0)]), (17, 9, 1, 2));
    }

    #[test]
    fn cpus_and_memory_bound_what_packing_could_free() {
        // A run without GPUs leaves a node's GPUs stranded; two such nodes have no node's CPUs or memory together.
        assert_eq!(of(&[(0, 1, 1)]), (8, 8, 0, 0));
        assert_eq!(of(&[(0, 60, 1), (0, 60, 1)]), (16, 16, 0, 0));
        assert_eq!(of(&[(0, 1, 500), (0, 1, 500)]), (16, 16, 0, 0));
    }
}
