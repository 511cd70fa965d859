//! Prices of shares: what part of a GPU a share really costs.
//!
//! A share of 810 leaves 190 that hardly anyone asks, so it costs a whole GPU; a share of 470 goes twice on a GPU, so it
//! costs a half, not 0.47. The prices are those of the cutting stock problem: cut as few GPUs as possible into the shares
//! of a typical list. Its dual says what each share adds to that number. No set of shares that fits a GPU costs more than
//! 1, and the prices of the whole list add up to the fewest GPUs that could carry it.
//!
//! Solved by column generation (Gilmore and Gomory, 1961): a basis of cuttings, prices from the basis, the best cutting at
//! those prices by knapsack, until none is worth more than a GPU. Whole numbers throughout: the inverse of the basis is kept
//! times its determinant, and each pivot divides evenly (Bareiss), so that a list gives the same prices on every machine.
use crate::frag::WHOLE;
use alloc::vec;
use alloc::vec::Vec;

/// Parts a GPU's price is counted in: halves, thirds, up to tenths are whole numbers of them.
pub const PARTS: u32 = 5040;

/// Cuttings looked at, at most; far more than lists of a few dozen shares need.
const MOST_STEPS: usize = 2000;

/// Numbers stay below this, so that their sums and products with counts and parts fit.
const LARGEST: i128 = 1 << 100;

/// The first determinant stays below this: it leaves room to grow.
const LARGEST_FIRST: i128 = 1 << 60;

/// Shares solved for at most.
const MOST_SHARES: usize = 40;

/// The price of each share in [`PARTS`] of a GPU, for shares (thousandths, how many of them), each named once.
///
/// A list of very many different shares is solved for those that ask the most; each of the others costs what the dearest
/// of these would that fit in its place.
pub fn prices(shares: &[(u16, u32)]) -> Vec<u32> {
    let mut heaviest: Vec<(u16, u32)> = shares.to_vec();
    heaviest.sort_by_key(|(milli, count)| (core::cmp::Reverse(u64::from(*milli) * u64::from(*count)), *milli));
    let mut first: i128 = 1;
    let fitting = heaviest.iter().take(MOST_SHARES).take_while(|(milli, _)| {
        first *= i128::from(WHOLE / milli);
        first < LARGEST_FIRST
    });
    let fitting = fitting.count();
    heaviest.truncate(fitting);
    heaviest.sort_unstable();
    let solved = solve(&heaviest);
    let worths = worths(&heaviest, &solved);
    let price = |milli: u16| match heaviest.iter().position(|(known, _)| *known == milli) {
        Some(at) => solved[at],
        None => worths[usize::from(milli)],
    };
    shares.iter().map(|(milli, _)| price(*milli)).collect()
}

fn solve(shares: &[(u16, u32)]) -> Vec<u32> {
    let mut basis = Basis::new(shares);
    for _ in 0..MOST_STEPS {
        let Some(entering) = basis.entering(shares) else { break };
        if basis.pivot(&entering, shares).is_none() {
            break;
        }
    }
    let det = basis.det;
    let price = |times_det: i128| (times_det.clamp(0, det) * i128::from(PARTS) / det) as u32;
    basis.duals().into_iter().map(price).collect()
}

/// What a GPU with so many thousandths left is worth at prices, in [`PARTS`]: the dearest shares that fit it.
pub fn worths(shares: &[(u16, u32)], prices: &[u32]) -> Vec<u32> {
    let mut worths = vec![0; usize::from(WHOLE) + 1];
    for left in 1..worths.len() {
        worths[left] = worths[left - 1];
        for ((milli, _), price) in shares.iter().zip(prices) {
            if usize::from(*milli) <= left {
                worths[left] = worths[left].max(worths[left - usize::from(*milli)] + price);
            }
        }
    }
    // A whole GPU serves a pod that asks one.
    worths[usize::from(WHOLE)] = PARTS;
    worths
}

/// A column of the problem: how often each share is cut, and whether it costs a GPU or lets a surplus go.
struct Column {
    cut: Vec<i128>,
    cost: i128,
}

struct Basis {
    costs: Vec<i128>,
    /// The inverse times the determinant.
    inverse: Vec<Vec<i128>>,
    det: i128,
}

impl Basis {
    /// Each share cut as often as it goes on a GPU.
    fn new(shares: &[(u16, u32)]) -> Basis {
        let times = |at: usize| i128::from(WHOLE / shares[at].0);
        let det: i128 = (0..shares.len()).map(times).product();
        let row = |at: usize| (0..shares.len()).map(|to| if to == at { det / times(at) } else { 0 }).collect();
        Basis { costs: vec![1; shares.len()], inverse: (0..shares.len()).map(row).collect(), det }
    }

    /// Prices times the determinant.
    fn duals(&self) -> Vec<i128> {
        let dual = |column: usize| self.inverse.iter().zip(&self.costs).map(|(row, cost)| row[column] * cost).sum();
        (0..self.costs.len()).map(dual).collect()
    }

    /// A column that makes the whole cheaper.
    fn entering(&self, shares: &[(u16, u32)]) -> Option<Column> {
        let duals = self.duals();
        if let Some(at) = duals.iter().position(|dual| *dual < 0) {
            let cut = (0..duals.len()).map(|to| -i128::from(to == at)).collect();
            return Some(Column { cut, cost: 0 });
        }
        let mut best = vec![(0_i128, None); usize::from(WHOLE) + 1];
        for left in 1..best.len() {
            best[left] = (best[left - 1].0, None);
            for (at, (milli, _)) in shares.iter().enumerate().filter(|(_, (milli, _))| usize::from(*milli) <= left) {
                let worth = best[left - usize::from(*milli)].0 + duals[at];
                if worth > best[left].0 {
                    best[left] = (worth, Some(at));
                }
            }
        }
        let mut left = usize::from(WHOLE);
        if best[left].0 <= self.det {
            return None;
        }
        let mut cut = vec![0; shares.len()];
        while left > 0 {
            match best[left].1 {
                Some(at) => {
                    cut[at] += 1;
                    left -= usize::from(shares[at].0);
                }
                None => left -= 1,
            }
        }
        Some(Column { cut, cost: 1 })
    }

    /// Takes a column in for the one that runs out first. `None` if numbers grow too large or none runs out.
    fn pivot(&mut self, entering: &Column, shares: &[(u16, u32)]) -> Option<()> {
        let times = |row: &Vec<i128>, of: &dyn Fn(usize) -> i128| -> Option<i128> {
            row.iter().enumerate().try_fold(0_i128, |sum, (at, cell)| sum.checked_add(cell.checked_mul(of(at))?))
        };
        let mut steps = Vec::new();
        let mut out: Option<(usize, i128, i128)> = None;
        for (at, row) in self.inverse.iter().enumerate() {
            let step = times(row, &|to| entering.cut[to])?;
            let level = times(row, &|to| i128::from(shares[to].1))?;
            let sooner = match out {
                None => true,
                Some((_, least, by)) => level.checked_mul(by)? < least.checked_mul(step)?,
            };
            if step > 0 && sooner {
                out = Some((at, level, step));
            }
            steps.push(step);
        }
        let (out, _, pivot) = out?;
        let leaving = self.inverse[out].clone();
        let mut inverse = self.inverse.clone();
        for (at, row) in inverse.iter_mut().enumerate().filter(|(at, _)| *at != out) {
            for (cell, gone) in row.iter_mut().zip(&leaving) {
                *cell = cell.checked_mul(pivot)?.checked_sub(steps[at].checked_mul(*gone)?)? / self.det;
                if cell.abs() > LARGEST {
                    return None;
                }
            }
        }
        self.inverse = inverse;
        self.costs[out] = entering.cost;
        self.det = pivot;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_cost_what_they_keep_others_from() {
        let check = |shares: &[(u16, u32)], want: &[(u32, u32)]| {
            let want: Vec<u32> = want.iter().map(|(part, of)| PARTS * part / of).collect();
            assert_eq!(prices(shares), want, "{shares:?}");
        };
        check(&[(500, 10)], &[(1, 2)]);
        check(&[(510, 10)], &[(1, 1)]);
        check(&[(810, 10), (470, 10)], &[(1, 1), (1, 2)]);
        // As many small ones as large ones leave room for: they ride along.
        check(&[(810, 10), (190, 5)], &[(1, 1), (0, 1)]);
        // More than that, and it is the large ones that ride along: five small ones take a GPU.
        check(&[(810, 10), (190, 50)], &[(4, 5), (1, 5)]);
        check(&[(650, 10), (320, 100)], &[(2, 3), (1, 3)]);
    }

    #[test]
    fn very_many_shares_are_priced_too() {
        let shares: Vec<(u16, u32)> = (1..WHOLE).map(|milli| (milli, 1 + u32::from(milli) * 7919 % 97)).collect();
        let prices = prices(&shares);
        let worths = worths(&shares, &prices);
        assert!(prices.iter().all(|price| *price <= PARTS));
        assert!(worths.is_sorted(), "more left is worth no less");
        assert_eq!(worths[999], worths[1000], "no shares that fit a GPU cost more than one");
    }
}
