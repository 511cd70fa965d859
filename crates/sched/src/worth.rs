//! Worth: what could still be made of what a node has left. A pod goes where the node loses the least of it.
//!
//! A node's worth, in GPUs, is the least of three:
//! - what its GPUs are worth, each by what is left on it, at the prices of shares (see [`crate::prices`]): 190 thousandths
//!   that nobody asks are worth nothing, 530 are worth a half if shares of 470 abound;
//! - the GPUs its CPU could carry, at the CPU a typical GPU's worth of pods asks;
//! - the GPUs its memory could carry, likewise.
//!
//! It is counted twice and added up: for typical pods, and for lean ones that ask a quarter of their CPU and memory. The
//! second matters once CPU runs short everywhere: it keeps some beside every idle GPU, since lean pods will still come.
//!
//! Intuition: fragmentation counts what the *next* pod cannot use; worth counts what *all that come* can. A pod of 12 cores
//! without GPUs costs nothing on a node that has cores to spare and a whole GPU on one that needs them for its GPUs. A
//! share goes where its remainder is of use, and a pod of few cores where cores are what is short. Where nothing is lost,
//! or the same everywhere, the first node serves, so that nodes fill up one after another and whole ones stay whole.
//!
//! Invariants: integers only; the worth of each resource is exactly linear in it, so equal losses compare equal; a node
//! never gains worth by serving.
use crate::frag::{Ask, GpuAsk, WHOLE};
use crate::prices::{PARTS, prices, worths};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// Worth is counted in 2^-20 of a [`PARTS`]th of a GPU.
const SHIFT: u32 = 20;

/// The worth of one GPU: it is counted for each of [`ASKED`].
pub const GPU: u64 = ((PARTS as u64) << SHIFT) * ASKED.len() as u64;

/// What pods may ask of CPU and memory, in percent of what typical ones do.
const ASKED: [u32; 2] = [100, 25];

/// What a list of typical pods makes things worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Worth {
    /// By thousandths left on a GPU.
    gpu: Vec<u64>,
    /// One for each of [`ASKED`].
    rates: [Rate; ASKED.len()],
    /// What all the list's pods together are worth.
    list: u64,
}

/// What CPU and memory are worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rate {
    /// Of a thousandth of a core.
    cpu: u64,
    /// Of a MiB.
    memory: u64,
}

impl Worth {
    /// For pods that ask this, and so many MiB of memory.
    pub fn new(pods: impl Iterator<Item = (Ask, u32)>) -> Worth {
        let mut shares: BTreeMap<u16, u32> = BTreeMap::new();
        let (mut whole, mut cpu, mut memory) = (0_u64, 0_u64, 0_u64);
        for (ask, memory_mib) in pods {
            match ask.gpus {
                GpuAsk::None => continue,
                GpuAsk::Share(milli) => *shares.entry(milli).or_default() += 1,
                GpuAsk::Whole(gpus) => whole += u64::from(gpus),
            }
            cpu += u64::from(ask.cpu_milli);
            memory += u64::from(memory_mib);
        }
        let shares: Vec<(u16, u32)> = shares.into_iter().collect();
        let prices = prices(&shares);
        let priced = shares.iter().zip(&prices).map(|((_, count), price)| u64::from(*count) * u64::from(*price));
        let all = u128::from(whole * u64::from(PARTS) + priced.sum::<u64>()) << SHIFT;
        // What nobody asks is no limit: the worth of any of it is beyond any GPU's.
        let each = |asked: u64, percent: u32| {
            (all * 100).checked_div(u128::from(asked) * u128::from(percent)).map_or(u64::MAX, |worth| worth as u64)
        };
        let rates = ASKED.map(|percent| Rate { cpu: each(cpu, percent), memory: each(memory, percent) });
        let gpu = worths(&shares, &prices).into_iter().map(|parts| u64::from(parts) << SHIFT).collect();
        let list = (all as u64) * ASKED.len() as u64;
        Worth { gpu, rates, list }
    }

    /// What all the list's pods together are worth. No cluster with fewer GPUs, times [`GPU`], could hold them all.
    pub fn of_list(&self) -> u64 {
        self.list
    }

    /// The worth of a node with this left: thousandths of a core, MiB, thousandths of each GPU.
    pub fn of(&self, cpu_milli: u32, memory_mib: u32, left: &[u16]) -> u64 {
        let gpus: u64 = left.iter().map(|milli| self.gpu[usize::from((*milli).min(WHOLE))]).sum();
        let carried = |rate: &Rate| {
            let cpu = u64::from(cpu_milli).saturating_mul(rate.cpu);
            let memory = u64::from(memory_mib).saturating_mul(rate.memory);
            gpus.min(cpu).min(memory)
        };
        self.rates.iter().map(carried).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frag::Models;

    fn ask(cpu_milli: u32, gpus: GpuAsk) -> (Ask, u32) {
        (Ask { cpu_milli, gpus, models: Models::ANY }, 1024)
    }

    /// Worth in tenths of a GPU.
    fn tenths(worth: u64) -> u64 {
        (worth * 10 + GPU / 2) / GPU
    }

    #[test]
    fn a_node_is_worth_the_least_of_what_it_has() {
        // A GPU goes with 10 cores and 1 GiB, with a quarter of that for lean pods; shares of 810 are alone on theirs.
        let pods = [ask(10_000, GpuAsk::Whole(1)), ask(10_000, GpuAsk::Share(810)), ask(64_000, GpuAsk::None)];
        let worth = Worth::new(pods.into_iter());
        assert_eq!(tenths(worth.of_list()), 20);
        let check = |cpu, memory, left: &[u16], want: u64| {
            assert_eq!(tenths(worth.of(cpu, memory, left)), want, "{cpu} {memory} {left:?}");
        };
        check(20_000, 2048, &[1000, 1000], 20);
        check(20_000, 2048, &[190, 1000], 10);
        check(20_000, 2048, &[810, 1000], 20);
        // 1 for typical pods, 2 for lean ones: 1.5.
        check(10_000, 2048, &[1000, 1000], 15);
        check(20_000, 512, &[1000, 1000], 13);
        check(0, 2048, &[1000, 1000], 0);
        check(96_000, 8192, &[], 0);
    }

    #[test]
    fn what_nobody_asks_is_no_limit() {
        let worth = Worth::new([(ask(0, GpuAsk::Whole(1)).0, 0)].into_iter());
        assert_eq!(tenths(worth.of(1, 1, &[1000])), 10);
        assert_eq!(Worth::new([ask(5, GpuAsk::None)].into_iter()).of(1000, 1000, &[1000, 0]), GPU);
    }
}
