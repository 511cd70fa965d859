//! What a job takes of a node, and what a node has left: whole GPUs, GPUs that jobs hold parts of, CPUs, memory.
//!
//! A GPU that a job holds a part of is *open*: others may hold what is left of it, and to whoever wants whole GPUs it is
//! gone until the last part is given back. This is how the centre counts, and Slurm's `gres/shard`, where a GPU in use
//! for shards is in use to `gres/gpu` too. A part goes to the open GPU that it fills most (best fit), as GPU-sharing
//! schedulers of Kubernetes do by bin packing; Slurm takes a node's first that serves, or with `LL_SHARED_GRES` the least
//! loaded, which packs worse.
//!
//! Invariants: an open GPU has less than a whole left; numbers of open GPUs differ within a node.
use super::workload::Job;
use madang_model::Slot;
use madang_model::share::WHOLE;

/// What a job takes of each of its nodes. CPUs and memory are zero where the workload does not tell them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Need {
    /// Whole GPUs.
    pub gpus: u32,
    /// Thousandths of one more GPU; 0 for none.
    pub share: u32,
    /// Thousandths of a CPU.
    pub cpu_milli: u32,
    /// MiB.
    pub memory_mib: u32,
}

impl Need {
    /// So many whole GPUs and nothing else.
    pub fn gpus(gpus: u32) -> Need {
        Need { gpus, ..Need::default() }
    }

    /// What a job takes.
    pub fn of(job: &Job) -> Need {
        let gpus = if job.share > 0 { 0 } else { job.gpus };
        let (cpu_milli, memory_mib) = job.beside.map_or((0, 0), |beside| (beside.cpu_milli, beside.memory_mib));
        Need { gpus, share: job.share, cpu_milli, memory_mib }
    }

    /// True if it is a matter of whole GPUs alone.
    pub fn is_plain(&self) -> bool {
        (self.share, self.cpu_milli, self.memory_mib) == (0, 0, 0)
    }
}

/// The GPUs of a node that a job holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Taken {
    /// So many whole ones.
    Whole(u32),
    /// A part of one.
    Part {
        /// Its number on the node while it is open.
        device: u8,
        /// Thousandths.
        milli: u16,
    },
}

impl Taken {
    /// What a run of the centre holds of a node.
    pub fn of(slot: &Slot) -> Taken {
        match slot.share {
            None => Taken::Whole(slot.devices.count_ones()),
            Some(held) => Taken::Part { device: slot.devices.trailing_zeros() as u8, milli: held.milli },
        }
    }

    /// In thousandths of a GPU.
    pub fn milli(self) -> u64 {
        match self {
            Taken::Whole(gpus) => u64::from(gpus) * u64::from(WHOLE),
            Taken::Part { milli, .. } => u64::from(milli),
        }
    }
}

/// A GPU that jobs hold parts of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Open {
    /// Thousandths left.
    pub left: u16,
    /// Its number on the node.
    pub device: u8,
}

/// What is left on a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// Whole GPUs.
    pub gpus: u32,
    /// Open GPUs, in no order.
    pub open: Vec<Open>,
    /// Thousandths of a CPU.
    pub cpu_milli: u32,
    /// MiB.
    pub memory_mib: u32,
}

impl Room {
    /// True if the need is met here.
    pub fn fits(&self, need: &Need) -> bool {
        let gpus = match need.share {
            0 => self.gpus >= need.gpus,
            share => self.gpus > 0 || self.best(share).is_some(),
        };
        gpus && self.fits_beside(need)
    }

    /// True if CPUs and memory are there.
    pub fn fits_beside(&self, need: &Need) -> bool {
        self.cpu_milli >= need.cpu_milli && self.memory_mib >= need.memory_mib
    }

    /// The open GPU that so many thousandths fill most.
    pub fn best(&self, share: u32) -> Option<Open> {
        self.open.iter().filter(|open| u32::from(open.left) >= share).min().copied()
    }

    /// What the need would take here.
    pub fn seat(&self, need: &Need) -> Taken {
        if need.share == 0 {
            return Taken::Whole(need.gpus);
        }
        let unused = || (0..=u8::MAX).find(|device| self.open.iter().all(|open| open.device != *device));
        let device = self.best(need.share).map(|open| open.device).or_else(unused);
        Taken::Part { device: device.expect("a node has fewer GPUs than numbers"), milli: need.share as u16 }
    }

    /// Takes what is seated here.
    pub fn take(&mut self, need: &Need, taken: Taken) {
        assert!(self.fits_beside(need), "what is taken fits beside the GPUs");
        (self.cpu_milli, self.memory_mib) = (self.cpu_milli - need.cpu_milli, self.memory_mib - need.memory_mib);
        match taken {
            Taken::Whole(gpus) => self.take_whole(gpus),
            Taken::Part { device, milli } => match self.open.iter_mut().find(|open| open.device == device) {
                Some(open) => open.left = open.left.checked_sub(milli).expect("what is left of a GPU holds a part"),
                None => {
                    self.take_whole(1);
                    self.open.push(Open { left: WHOLE as u16 - milli, device });
                }
            },
        }
    }

    fn take_whole(&mut self, gpus: u32) {
        self.gpus = self.gpus.checked_sub(gpus).expect("whole GPUs are free where they are taken");
    }

    /// Gives back what was taken.
    pub fn give(&mut self, need: &Need, taken: Taken) {
        (self.cpu_milli, self.memory_mib) = (self.cpu_milli + need.cpu_milli, self.memory_mib + need.memory_mib);
        match taken {
            Taken::Whole(gpus) => self.gpus += gpus,
            Taken::Part { device, milli } => {
                let at =
                    self.open.iter().position(|open| open.device == device).expect("a held part is of an open GPU");
                self.open[at].left += milli;
                if u32::from(self.open[at].left) == WHOLE {
                    self.open.swap_remove(at);
                    self.gpus += 1;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_fill_open_gpus_first() {
        let mut room = Room { gpus: 2, cpu_milli: 8000, memory_mib: 64, ..Room::default() };
        let share = |share: u32| Need { share, cpu_milli: 1500, ..Need::default() };
        let mut held = Vec::new();
        for milli in [600, 500, 400, 450] {
            let taken = room.seat(&share(milli));
            room.take(&share(milli), taken);
            held.push((milli, taken));
        }
        let devices: Vec<u8> =
            held.iter().map(|(_, taken)| if let Taken::Part { device, .. } = taken { *device } else { 9 }).collect();
        assert_eq!(devices, [0, 1, 0, 1], "400 fills the first GPU to the brim, 450 has room on the second alone");
        assert!(
            !room.fits(&share(51)) && room.fits(&Need { share: 50, ..Need::default() }) && !room.fits(&Need::gpus(1))
        );
        assert!(!room.fits(&Need { share: 50, cpu_milli: 2001, ..Need::default() }), "6 of 8 CPUs are held");
        held.into_iter().for_each(|(milli, taken)| room.give(&share(milli), taken));
        assert_eq!(room, Room { gpus: 2, cpu_milli: 8000, memory_mib: 64, ..Room::default() });
    }
}
