//! The form of a recipe: plain data, so that a new cluster is a new table and no new code.
use super::quantiles::{Quantiles, Table};
use super::summary::Summary;
use crate::rng::Rng;

/// How a job ends that nobody takes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// Well.
    Completed,
    /// Its own user ended it.
    Cancelled,
    /// With a failure of its own.
    Failed,
}

impl End {
    /// All of them, in the order of a kind's tables.
    pub const ALL: [End; 3] = [End::Completed, End::Cancelled, End::Failed];
}

/// A kind of work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind {
    /// What it is.
    pub name: &'static str,
    /// Of a million jobs, how many are of it.
    pub share: u32,
    /// (GPUs, how often) of its gangs.
    pub sizes: &'static [(u32, u32)],
    /// For each [`End`]: how often, and run times in seconds.
    pub ends: [(u32, Table); 3],
    /// Jobs that a user submits in one session, in the mean; at least 1.
    pub session: u32,
    /// Seconds between two checkpoints; 0 for never.
    pub checkpoint_secs: u32,
    /// How often low, normal and high urgency.
    pub qos: [u32; 3],
    /// How often each owner; empty for the owners' own demand.
    pub demand: &'static [u32],
}

/// Somebody who submits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asker {
    /// Short name.
    pub name: String,
    /// Weight of its share.
    pub weight: u32,
    /// How often it submits, against the others.
    pub demand: u32,
    /// How many people; the k-th submits a k-th as often as the first.
    pub users: u32,
}

/// What breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breaks {
    /// GPU-hours of the estate between two faults.
    pub gpu_hours: u32,
    /// Seconds until a node is mended.
    pub repairs: Table,
}

/// Where a recipe's figures come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// What and from whom.
    pub what: &'static str,
    /// Under what licence.
    pub licence: &'static str,
}

/// A recipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// What it is called on a command line.
    pub name: &'static str,
    /// What it is, for people.
    pub title: &'static str,
    /// What in it is fitted to a source.
    pub fitted: &'static str,
    /// What in it is assumed.
    pub assumed: &'static str,
    /// The sources.
    pub sources: Vec<Source>,
    /// Who submits.
    pub askers: Vec<Asker>,
    /// What is submitted.
    pub kinds: Vec<Kind>,
    /// How often in each hour of the day, in the mean of its week.
    pub hours: [u32; 24],
    /// How often on each day of the week, Monday first.
    pub days: [u32; 7],
    /// What breaks.
    pub breaks: Breaks,
    /// What was published of the cluster that it stands for.
    pub published: Option<Summary>,
}

/// What every fitted recipe assumes, since no source tells.
pub(super) const ASSUMED: &str = "days of the week where not fitted, sessions, users, limits, urgency, checkpoints; one \
                                  node breaks in 50,700 GPU-hours, as in the training of Llama 3; repair times";

/// A fault in 50,700 GPU-hours; half of the repairs take two hours, a few take days.
pub(super) fn breaks() -> Breaks {
    Breaks { gpu_hours: 50_700, repairs: [600, 1200, 1800, 3600, 7200, 21_600, 86_400, 259_200, 604_800, 1_209_600] }
}

/// A choice among weights, by bisection.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    /// Sums of the weights up to and with each.
    sums: Vec<u64>,
}

impl Choice {
    /// Of weights with a sum of at least 1.
    pub fn of(weights: impl Iterator<Item = u64>) -> Choice {
        let add = |sum: &mut u64, weight: u64| {
            *sum += weight;
            Some(*sum)
        };
        Choice { sums: weights.scan(0, add).collect() }
    }

    /// The index of one of them.
    pub fn draw(&self, rng: &mut Rng) -> usize {
        let at = rng.below(self.sums.last().copied().unwrap_or(0));
        self.sums.partition_point(|sum| *sum <= at)
    }
}

/// A kind made ready to draw from.
pub(super) struct Ready<'a> {
    pub kind: &'a Kind,
    sizes: Choice,
    ends: Choice,
    times: [Quantiles; 3],
    pub askers: Choice,
    pub qos: Choice,
}

impl<'a> Ready<'a> {
    /// A recipe's kinds made ready.
    pub fn all(recipe: &'a Recipe) -> Vec<Ready<'a>> {
        let ready = |kind: &'a Kind| Ready {
            kind,
            sizes: Choice::of(kind.sizes.iter().map(|(_, often)| u64::from(*often))),
            ends: Choice::of(kind.ends.iter().map(|(often, _)| u64::from(*often))),
            times: [0, 1, 2].map(|end: usize| Quantiles::of(&kind.ends[end].1)),
            askers: match kind.demand {
                [] => Choice::of(recipe.askers.iter().map(|asker| u64::from(asker.demand))),
                demand => Choice::of(demand.iter().map(|often| u64::from(*often))),
            },
            qos: Choice::of(kind.qos.iter().map(|often| u64::from(*often))),
        };
        recipe.kinds.iter().map(ready).collect()
    }

    /// Draws a gang's GPUs, its run time in milliseconds and its end.
    pub fn draw(&self, rng: &mut Rng) -> (u32, u64, End) {
        let gpus = self.kind.sizes[self.sizes.draw(rng)].0;
        let end = End::ALL[self.ends.draw(rng)];
        (gpus, self.times[end as usize].draw(rng).max(1000), end)
    }

    /// Draws how long such a job would have run had all gone well, in milliseconds.
    pub fn draw_whole(&self, rng: &mut Rng) -> u64 {
        self.times[End::Completed as usize].draw(rng)
    }

    /// Of a million million jobs of the recipe, how many are of this kind and end so.
    pub fn share(&self, end: End) -> u128 {
        let often: u128 = self.kind.ends.iter().map(|(often, _)| u128::from(*often)).sum();
        u128::from(self.kind.share) * 1_000_000 * u128::from(self.kind.ends[end as usize].0) / often
    }

    /// Run times of those that end so.
    pub fn times(&self, end: End) -> &Quantiles {
        &self.times[end as usize]
    }

    /// Mean GPUs of a job, in millionths.
    pub fn mean_gpus(&self) -> u128 {
        let often: u128 = self.kind.sizes.iter().map(|(_, often)| u128::from(*often)).sum();
        let gpus = self.kind.sizes.iter().map(|(gpus, often)| u128::from(*gpus) * u128::from(*often));
        gpus.sum::<u128>() * 1_000_000 / often
    }
}

/// A choice of the kind of a session, so that jobs come by the kinds' shares.
pub(super) fn sessions(recipe: &Recipe) -> Choice {
    let weight = |kind: &Kind| u64::from(kind.share) * 1000 / u64::from(kind.session.max(1));
    Choice::of(recipe.kinds.iter().map(weight))
}

/// Draws the jobs of one session of this mean: half are single, the rest have up to nearly four times the mean.
pub(super) fn session_length(rng: &mut Rng, mean: u32) -> u32 {
    if rng.per_mille(500) { 1 } else { rng.range(1, u64::from(4 * mean.max(1) - 3)) as u32 }
}
