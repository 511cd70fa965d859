//! Fair Tree: who is served next by what each has used, as Slurm's "Fair Tree Fairshare Algorithm" has it.
//!
//! Owners are the accounts under the root, their users stand below them with a share each. *Level fair share* is
//! LF = S / U among siblings; the tree is walked from the highest to the lowest, and a user's factor is its rank over the
//! number of users. Use fades with a half-life, once every period of calculation. Kept: users of an owner all stand before
//! those of an owner with a lower LF, and ties of users share a rank. Simplified: owners with the same LF and some use
//! stand in their own order instead of having their users merged.
use super::super::workload::Workload;
use madang_model::{Span, Time};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// One in fixed point.
const ONE: u128 = 1 << 63;
/// The natural logarithm of two, in thousand-millionths of thousand-millionths.
const LN_2: u128 = 693_147_180_559_945_309;
/// Parts of one in a factor.
pub(super) const PARTS: u64 = 1_000_000;

/// A user of an owner.
#[derive(Clone, Copy)]
struct User {
    owner: usize,
    /// Faded use of periods that are over, in thousandths of a GPU times milliseconds.
    usage: u64,
    /// The same of this period, up to `at`.
    period: u64,
    at: Time,
    /// GPUs held, in thousandths.
    held: u64,
    /// Its factor in [`PARTS`].
    factor: u64,
}

/// The tree of shares.
pub(super) struct Shares {
    weights: Vec<u64>,
    users: Vec<User>,
    /// The user of each job.
    of: Vec<u32>,
    /// What is left of one after a period, in fixed point.
    fade: u128,
}

impl Shares {
    /// Of a workload's owners and users, none of whom has used anything.
    pub fn new(workload: &Workload, half_life: Span, period: Span) -> Shares {
        let mut known: BTreeMap<(u32, u32), u32> = workload.jobs.iter().map(|job| ((job.owner, job.user), 0)).collect();
        let mut users = Vec::new();
        for (index, ((owner, _), place)) in (0..).zip(&mut known) {
            *place = index;
            let owner = *owner as usize;
            users.push(User { owner, usage: 0, period: 0, at: Time::default(), held: 0, factor: PARTS });
        }
        Shares {
            weights: workload.owners.iter().map(|owner| u64::from(owner.weight)).collect(),
            users,
            of: workload.jobs.iter().map(|job| known[&(job.owner, job.user)]).collect(),
            fade: fade(half_life, period),
        }
    }

    /// A job takes its GPUs, or gives them back.
    pub fn hold(&mut self, now: Time, job: usize, change: impl Fn(u64) -> u64) {
        let user = &mut self.users[self.of[job] as usize];
        user.period += user.held * now.since(user.at).millis();
        user.at = now;
        user.held = change(user.held);
    }

    /// The fair-share factor of whoever submitted a job.
    pub fn factor(&self, job: usize) -> u64 {
        self.users[self.of[job] as usize].factor
    }

    /// So many periods are over: use fades, and users are ranked anew.
    pub fn calculate(&mut self, now: Time, periods: u64) {
        let left = power(self.fade, periods);
        let mut used = vec![0u64; self.weights.len()];
        for user in &mut self.users {
            user.period += user.held * now.since(user.at).millis();
            user.at = now;
            user.usage = ((u128::from(user.usage) * left) >> 63) as u64 + std::mem::take(&mut user.period);
            used[user.owner] += user.usage;
        }
        self.rank(&used);
    }

    fn rank(&mut self, used: &[u64]) {
        let weights = &self.weights;
        // The higher level fair share first: w / U is larger where w times the other's U is.
        let level = |a: usize, b: usize| -> Ordering {
            let of = |own: usize, other: usize| u128::from(weights[own]) * u128::from(used[other]);
            match (used[a], used[b]) {
                (0, 0) => Ordering::Equal,
                (0, _) => Ordering::Less,
                (_, 0) => Ordering::Greater,
                _ => of(b, a).cmp(&of(a, b)),
            }
        };
        let users = &self.users;
        let compare = |a: &usize, b: &usize| {
            let (a, b) = (&users[*a], &users[*b]);
            let unused = used[a.owner] == 0 && used[b.owner] == 0;
            let apart = if unused { Ordering::Equal } else { a.owner.cmp(&b.owner) };
            level(a.owner, b.owner).then(apart).then(a.usage.cmp(&b.usage))
        };
        let mut order: Vec<usize> = (0..users.len()).collect();
        order.sort_by(|a, b| compare(a, b).then(a.cmp(b)));
        let count = order.len() as u64;
        let mut factors = vec![0; order.len()];
        let mut rank = count;
        for (place, at) in order.iter().enumerate() {
            if place > 0 && compare(&order[place - 1], at) != Ordering::Equal {
                rank = count - place as u64;
            }
            factors[*at] = rank * PARTS / count;
        }
        self.users.iter_mut().zip(factors).for_each(|(user, factor)| user.factor = factor);
    }
}

/// What is left of one after a period: 2^(-period / half-life), by the series of the exponential function.
fn fade(half_life: Span, period: Span) -> u128 {
    let half_life = u128::from(half_life.millis().max(1));
    let x = ((LN_2 * u128::from(period.millis()) / half_life) << 63) / 1_000_000_000_000_000_000;
    // Beyond a half-life in one period the series would need more terms than it has.
    if x > ONE {
        return 0;
    }
    let (mut sum, mut term, mut minus) = (ONE, ONE, true);
    for k in 1..24 {
        term = ((term * x) >> 63) / k;
        sum = if minus { sum - term } else { sum + term };
        minus = !minus;
    }
    sum
}

fn power(factor: u128, mut times: u64) -> u128 {
    let (mut result, mut square) = (ONE, factor);
    while times > 0 {
        if times % 2 == 1 {
            result = (result * square) >> 63;
        }
        square = (square * square) >> 63;
        times /= 2;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn use_halves_in_a_half_life() {
        let left = power(fade(Span::from_days(7), Span::from_mins(5)), 7 * 288);
        assert!(left.abs_diff(ONE / 2) < ONE / 1_000_000_000, "{left} is not half of {ONE}");
    }
}
