//! Counters and histograms that many threads add to and one reads. Both only ever grow.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds in microseconds for what takes from a tenth of a millisecond to half a minute.
pub const QUICK: &[u64] = &[
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000, 30_000_000,
];
/// Upper bounds in microseconds for what takes from a second to two weeks.
pub const SLOW: &[u64] = &[
    1_000_000,
    10_000_000,
    60_000_000,
    300_000_000,
    900_000_000,
    3_600_000_000,
    7_200_000_000,
    14_400_000_000,
    28_800_000_000,
    86_400_000_000,
    172_800_000_000,
    345_600_000_000,
    604_800_000_000,
    1_209_600_000_000,
];

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }
    /// What it has come to.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How often something took how long.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64],
    counts: Vec<Counter>,
    micros: Counter,
}

impl Histogram {
    /// An empty one with these upper bounds, ascending, in microseconds.
    pub fn new(bounds: &'static [u64]) -> Histogram {
        let counts = (0..=bounds.len()).map(|_| Counter::default()).collect();
        Histogram { bounds, counts, micros: Counter::default() }
    }

    /// Takes one in.
    pub fn observe(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let at = self.bounds.partition_point(|bound| *bound < micros);
        self.counts[at].add(1);
        self.micros.add(micros);
    }

    /// How many took at most so long, bound by bound; the last, without a bound, is all of them.
    pub fn cumulative(&self) -> Vec<(Option<u64>, u64)> {
        let mut sum = 0;
        let bounds = self.bounds.iter().copied().map(Some).chain([None]);
        let add = |(bound, count): (Option<u64>, &Counter)| {
            sum += count.get();
            (bound, sum)
        };
        bounds.zip(&self.counts).map(add).collect()
    }

    /// All of them together, in microseconds.
    pub fn micros(&self) -> u64 {
        self.micros.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_holds_what_equals_it_and_the_last_bucket_holds_all() {
        let histogram = Histogram::new(&[100, 250]);
        for micros in [1, 100, 101, 250, 251, 9_999] {
            histogram.observe(Duration::from_micros(micros));
        }
        assert_eq!(histogram.cumulative(), [(Some(100), 2), (Some(250), 4), (None, 6)]);
        assert_eq!(histogram.micros(), 1 + 100 + 101 + 250 + 251 + 9_999);
    }
}
