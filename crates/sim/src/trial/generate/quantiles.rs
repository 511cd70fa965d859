//! Quantile tables: how long things take, from the shortest to the longest, even on the logarithm between two points.
//!
//! Spreads of run times reach over six decades, so a line between two quantiles would put nearly everything near the
//! upper one. Here each step is cut into equal ratios by integer square roots, and only within a ratio of a few per
//! cent lies a line. The mean is then a sum of trapezes: exact, which is what calibration and load are reckoned with.
use crate::rng::Rng;

/// How many in a million lie at or below each entry of a table.
pub const POINTS: [u32; 10] = [0, 50_000, 100_000, 250_000, 500_000, 750_000, 900_000, 970_000, 995_000, 1_000_000];
/// All of a million.
const MILLION: u64 = 1_000_000;
/// Equal ratios that a step is cut into, as a power of two.
const CUTS: u32 = 6;

/// Seconds at each of [`POINTS`].
pub type Table = [u32; POINTS.len()];

/// A table made ready to draw from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quantiles {
    /// For each step the milliseconds at its cuts, both ends included.
    steps: Vec<Vec<u64>>,
}

impl Quantiles {
    /// Makes a table ready; its entries do not fall, and zero counts as one millisecond.
    pub fn of(table: &Table) -> Quantiles {
        let millis = |secs: u32| (u64::from(secs) * 1000).max(1);
        assert!(table.windows(2).all(|pair| pair[0] <= pair[1]), "quantiles do not fall: {table:?}");
        let steps = table.windows(2).map(|pair| cut(millis(pair[0]), millis(pair[1]), CUTS)).collect();
        Quantiles { steps }
    }

    /// Draws milliseconds.
    pub fn draw(&self, rng: &mut Rng) -> u64 {
        self.at(rng.below(MILLION << 32))
    }

    /// Milliseconds below which lie so many of a million, in parts of 2^32.
    fn at(&self, rank: u64) -> u64 {
        let part = (rank >> 32) as u32;
        let step = POINTS.partition_point(|point| *point <= part) - 1;
        let (low, high) = (u64::from(POINTS[step]) << 32, u64::from(POINTS[step + 1]) << 32);
        // The place within the step, in parts of 2^32, then the cut and the place within it.
        let within = (u128::from(rank - low) << 32) / u128::from(high - low);
        let cuts = &self.steps[step];
        let place = (within << CUTS) as u64;
        let (index, rest) = ((place >> 32) as usize, place & 0xffff_ffff);
        let (from, to) = (cuts[index], cuts[index + 1]);
        from + ((u128::from(to - from) * u128::from(rest)) >> 32) as u64
    }

    /// How many in a million lie at or below so many milliseconds.
    pub fn below(&self, millis: u64) -> u64 {
        let (mut low, mut high) = (0, MILLION);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.at(middle << 32) <= millis { low = middle + 1 } else { high = middle }
        }
        low
    }

    /// The mean in microseconds.
    pub fn mean_micros(&self) -> u64 {
        let step = |(cuts, points): (&Vec<u64>, &[u32])| {
            let doubled: u64 = cuts.windows(2).map(|pair| pair[0] + pair[1]).sum();
            u128::from(doubled) * u128::from(points[1] - points[0]) * 1000
        };
        let sum: u128 = self.steps.iter().zip(POINTS.windows(2)).map(step).sum();
        (sum / (u128::from(MILLION) << (CUTS + 1))) as u64
    }
}

/// Cuts from `low` to `high` into `2^depth` about equal ratios.
fn cut(low: u64, high: u64, depth: u32) -> Vec<u64> {
    if depth == 0 {
        return vec![low, high];
    }
    let middle = (u128::from(low) * u128::from(high)).isqrt() as u64;
    let mut cuts = cut(low, middle, depth - 1);
    cuts.extend(cut(middle, high, depth - 1).into_iter().skip(1));
    cuts
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDE: Table = [1, 10, 20, 50, 200, 2_000, 20_000, 100_000, 400_000, 4_000_000];

    #[test]
    fn points_are_met_and_steps_are_even_on_the_logarithm() {
        let quantiles = Quantiles::of(&WIDE);
        for (point, secs) in POINTS.iter().zip(WIDE).take(POINTS.len() - 1) {
            assert_eq!(quantiles.at(u64::from(*point) << 32), u64::from(secs) * 1000);
        }
        assert_eq!(
            [0, 200_000, 632_455, u64::MAX].map(|millis| quantiles.below(millis)),
            [0, 500_001, 625_001, 1_000_000]
        );
        // Half way from 200 s to 2000 s is 200 s times the root of ten.
        assert_eq!(quantiles.at(625_000 << 32), 632_455);
    }

    #[test]
    fn the_mean_is_that_of_many_draws() {
        let (quantiles, mut rng) = (Quantiles::of(&WIDE), Rng::new(4));
        let drawn: u64 = (0..200_000).map(|_| quantiles.draw(&mut rng)).sum::<u64>() / 200;
        let mean = quantiles.mean_micros();
        assert!(drawn.abs_diff(mean) * 20 < mean, "drawn {drawn}, reckoned {mean}");
    }
}
