//! What jobs of one node typically ask, learnt from those that come, for placing by worth (see [`crate::worth`]).
//!
//! It is learnt only where devices are shared. What is worth what is worked out anew when a quarter more jobs have been
//! seen, so that it costs little and a restart goes on with the same prices. Counts are halved now and then: what nobody
//! asks any more is forgotten.
use crate::cluster::Cluster;
use crate::frag::{Ask as Typical, GpuAsk, Models, WHOLE};
use crate::parts::Room;
use crate::shape::{Fitting, Shape};
use crate::worth::Worth;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use madang_model::{NodeId, Request, Share};
use serde::{Deserialize, Serialize};

/// Jobs that are remembered before counts are halved.
const MOST_JOBS: u32 = 16_384;
/// Different asks that are remembered.
const MOST_KINDS: usize = 512;

/// What a job of one node asks: CPUs, thousandths of a GPU, MiB; and how many did.
type Row = (u32, u32, u32, u32);

/// What has been seen, on paper.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    rows: Vec<Row>,
    /// What the present prices were worked out from.
    basis: Vec<Row>,
}

impl Seen {
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// What has been seen, and what that makes things worth.
#[derive(Clone, Debug, Default)]
pub(crate) struct Habits {
    counts: BTreeMap<(u32, u32, u32), u32>,
    total: u32,
    basis: Vec<Row>,
    /// How many jobs the present prices were worked out from.
    known: u32,
    pub worth: Option<Worth>,
}

impl Habits {
    /// A job has come.
    pub fn learn(&mut self, request: &Request) {
        let [part] = request.parts.as_slice() else { return };
        if part.nodes != 1 || part.exclusive || matches!(part.share, Some(Share::Slice(_))) {
            return;
        }
        let memory = u32::try_from(part.memory_mib).unwrap_or(u32::MAX);
        let milli = u32::try_from(part.milli()).unwrap_or(u32::MAX);
        *self.counts.entry((part.cpus, milli, memory)).or_insert(0) += 1;
        self.total += 1;
        if self.total >= MOST_JOBS || self.counts.len() > MOST_KINDS {
            self.halve();
        }
        if self.total > self.known + self.known / 4 {
            self.basis = self.rows();
            self.price();
        }
    }

    fn halve(&mut self) {
        self.counts.values_mut().for_each(|count| *count /= 2);
        self.counts.retain(|_, count| *count > 0);
        self.total = self.counts.values().sum();
        self.known = self.known.min(self.total);
    }

    fn rows(&self) -> Vec<Row> {
        self.counts.iter().map(|((cpus, milli, memory), count)| (*cpus, *milli, *memory, *count)).collect()
    }

    fn price(&mut self) {
        self.known = self.basis.iter().map(|(.., count)| count).sum();
        let asks = self.basis.iter().flat_map(|(cpus, milli, memory, count)| {
            let gpus = match milli {
                0 => GpuAsk::None,
                share if *share < u32::from(WHOLE) => GpuAsk::Share(*share as u16),
                whole => GpuAsk::Whole(u8::try_from(whole / u32::from(WHOLE)).unwrap_or(u8::MAX)),
            };
            let ask = Typical { cpu_milli: cpus.saturating_mul(1000), gpus, models: Models::ANY };
            core::iter::repeat_n((ask, *memory), *count as usize)
        });
        self.worth = self.basis.iter().any(|(_, milli, ..)| *milli > 0).then(|| Worth::new(asks));
    }

    pub fn seen(&self) -> Seen {
        Seen { rows: self.rows(), basis: self.basis.clone() }
    }

    pub fn restore(seen: Seen) -> Habits {
        let counts = seen.rows.iter().map(|(cpus, milli, memory, count)| ((*cpus, *milli, *memory), *count));
        let counts: BTreeMap<_, _> = counts.collect();
        let mut habits = Habits { total: counts.values().sum(), counts, basis: seen.basis, ..Habits::default() };
        habits.price();
        habits.known = habits.known.min(habits.total);
        habits
    }
}

impl Cluster {
    /// True if placement by worth has a say in where the shape goes.
    pub fn weighs(&self, shape: &Shape) -> bool {
        let pools = || shape.parts.iter().flat_map(|part| &part.fitting);
        let shared = |fit: &Fitting| self.estate.pools[fit.pool].parts.shards > 0;
        self.habits.worth.is_some() && pools().any(shared) && !pools().all(|fit| fit.whole)
    }

    /// What a node would be worth less with the part on it: for a piece, on this device. Where nothing is known of what is
    /// typical, whether it takes a free device.
    pub fn loss(&self, node: NodeId, fit: &Fitting, device: u32) -> u64 {
        let (state, total) = (&self.nodes[node.index()], self.estate.total(node));
        let Some(worth) = &self.habits.worth else { return u64::from(device & !state.busy != 0) };
        let mut left = [0_u16; 32];
        let gpus = total.gpus as usize;
        let mut rooms = [Room::default(); 32];
        for hold in state.holds.iter() {
            let Some(held) = hold.share else { continue };
            rooms[hold.devices.trailing_zeros() as usize & 31].add(held);
        }
        for (at, left) in left.iter_mut().enumerate().take(gpus) {
            *left = match (state.busy >> at & 1, state.shared >> at & 1) {
                (0, _) => WHOLE,
                (_, 0) => 0,
                _ => rooms[at].left() as u16,
            };
        }
        let free = total.minus(state.used);
        let of = |free: crate::estate::Amount, left: &[u16]| {
            worth.of(free.cpus.saturating_mul(1000), u32::try_from(free.memory).unwrap_or(u32::MAX), left)
        };
        let before = of(free, &left[..gpus]);
        match fit.piece {
            Some(crate::parts::Piece::Milli(milli)) => left[device.trailing_zeros() as usize & 31] -= milli,
            Some(crate::parts::Piece::Slice(_)) => left[device.trailing_zeros() as usize & 31] = 0,
            None => {
                let whole = left.iter_mut().filter(|left| **left == WHOLE);
                whole.take(fit.need.gpus as usize).for_each(|left| *left = 0);
            }
        }
        before - of(free.minus(fit.need), &left[..gpus]).min(before)
    }
}
