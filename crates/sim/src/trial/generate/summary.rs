//! What clusters publish of their jobs, said of drawn ones: the two stand side by side where a recipe is calibrated.
use super::recipe::{End, Ready, Recipe, session_length, sessions};
use crate::rng::Rng;
use crate::trial::Workload;

/// Figures of a set of jobs, of those that authors publish of a cluster; times in milliseconds, shares in thousandths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Mean run time.
    pub mean_run: u64,
    /// Median run time.
    pub median_run: u64,
    /// Mean GPUs of a job, in thousandths.
    pub mean_gpus: u64,
    /// Median GPUs of a job.
    pub median_gpus: u64,
    /// Most GPUs of a job.
    pub max_gpus: u64,
    /// Of jobs: completed, cancelled, failed.
    pub rates: [u64; 3],
    /// Of GPU time: of jobs that completed, were cancelled, failed.
    pub gpu_time: [u64; 3],
    /// Mean GPU-seconds of a job.
    pub mean_gpu_secs: u64,
}

impl Summary {
    /// Of jobs that are (GPUs, run time in milliseconds, end).
    pub fn of(jobs: &[(u32, u64, End)]) -> Summary {
        let count = jobs.len().max(1) as u128;
        let mut times: Vec<u64> = jobs.iter().map(|(_, time, _)| *time).collect();
        let mut sizes: Vec<u32> = jobs.iter().map(|(gpus, _, _)| *gpus).collect();
        times.sort_unstable();
        sizes.sort_unstable();
        let (mut ends, mut gpu_millis) = ([0u128; 3], [0u128; 3]);
        for (gpus, time, end) in jobs {
            ends[*end as usize] += 1;
            gpu_millis[*end as usize] += u128::from(*gpus) * u128::from(*time);
        }
        let all: u128 = gpu_millis.iter().sum();
        Summary {
            mean_run: (times.iter().map(|time| u128::from(*time)).sum::<u128>() / count) as u64,
            median_run: times.get(times.len() / 2).copied().unwrap_or(0),
            mean_gpus: (sizes.iter().map(|gpus| u128::from(*gpus)).sum::<u128>() * 1000 / count) as u64,
            median_gpus: sizes.get(sizes.len() / 2).copied().unwrap_or(0).into(),
            max_gpus: sizes.last().copied().unwrap_or(0).into(),
            rates: ends.map(|end| (end * 1000 / count) as u64),
            gpu_time: gpu_millis.map(|time| (time * 1000 / all.max(1)) as u64),
            mean_gpu_secs: (all / count / 1000) as u64,
        }
    }

    /// What a recipe's tables come to, exactly, before any machine cuts its jobs.
    pub fn expected(recipe: &Recipe) -> Summary {
        let ready = Ready::all(recipe);
        let (mut ends, mut micros, mut gpus, mut time) = ([0u128; 3], [0u128; 3], 0u128, 0u128);
        for kind in &ready {
            gpus += kind.mean_gpus() * u128::from(kind.kind.share);
            for end in End::ALL {
                let (share, mean) = (kind.share(end), u128::from(kind.times(end).mean_micros()));
                ends[end as usize] += share;
                time += share * mean;
                micros[end as usize] += share * mean / 1_000_000 * kind.mean_gpus() / 1_000_000;
            }
        }
        let (all, gpu_micros): (u128, u128) = (ends.iter().sum(), micros.iter().sum());
        let kinds = recipe.kinds.iter().map(|kind| u128::from(kind.share)).sum::<u128>().max(1);
        let sizes = recipe.kinds.iter().flat_map(|kind| kind.sizes);
        Summary {
            mean_run: (time / all / 1000) as u64,
            median_run: median_run(&ready, all),
            mean_gpus: (gpus / kinds / 1000) as u64,
            median_gpus: median_gpus(recipe),
            max_gpus: sizes.map(|(gpus, _)| u64::from(*gpus)).max().unwrap_or(0),
            rates: ends.map(|end| (end * 1000 / all) as u64),
            gpu_time: micros.map(|part| (part * 1000 / gpu_micros.max(1)) as u64),
            mean_gpu_secs: (gpu_micros * 1_000_000 / all / 1_000_000) as u64,
        }
    }

    /// Of so many jobs drawn from a recipe, before any machine cuts them.
    pub fn drawn(recipe: &Recipe, seed: u64, jobs: usize) -> Summary {
        let (ready, sessions, mut rng) = (Ready::all(recipe), sessions(recipe), Rng::new(seed));
        let mut drawn = Vec::with_capacity(jobs);
        while drawn.len() < jobs {
            let kind = sessions.draw(&mut rng);
            let length = session_length(&mut rng, ready[kind].kind.session) as usize;
            drawn.extend((0..length.min(jobs - drawn.len())).map(|_| ready[kind].draw(&mut rng)));
        }
        Summary::of(&drawn)
    }
}

/// Gini coefficient of these, in thousandths: 0 where all have the same, near 1000 where one has all.
pub fn gini(values: impl IntoIterator<Item = u128>) -> u64 {
    let mut values: Vec<u128> = values.into_iter().collect();
    values.sort_unstable();
    let (count, sum) = (values.len() as u128, values.iter().sum::<u128>());
    let ranked: u128 = (1..).zip(&values).map(|(rank, value): (u128, _)| rank * value).sum();
    // 2 * ranked / (n * sum) - (n + 1) / n
    let above = (2 * ranked).saturating_sub((count + 1) * sum);
    (above * 1000 / (count * sum).max(1)) as u64
}

/// GPU-milliseconds that each owner's jobs ask for.
pub fn by_owner(workload: &Workload) -> Vec<u128> {
    let mut asked = vec![0; workload.owners.len()];
    for job in &workload.jobs {
        asked[job.owner as usize] += u128::from(job.gang()) * u128::from(job.runtime.millis());
    }
    asked
}

/// The run time in milliseconds that half of all jobs do not exceed.
fn median_run(ready: &[Ready], all: u128) -> u64 {
    let below = |millis: u64| -> u128 {
        let part = |kind: &Ready, end: End| kind.share(end) * u128::from(kind.times(end).below(millis)) / 1_000_000;
        ready.iter().flat_map(|kind| End::ALL.map(|end| part(kind, end))).sum()
    };
    let (mut low, mut high) = (0, u64::from(u32::MAX));
    while low < high {
        let middle = low + (high - low) / 2;
        if below(middle) * 2 >= all { high = middle } else { low = middle + 1 }
    }
    low
}

/// The GPUs that half of all jobs do not exceed.
fn median_gpus(recipe: &Recipe) -> u64 {
    let mut sizes: Vec<(u32, u128)> = Vec::new();
    for kind in &recipe.kinds {
        let often: u128 = kind.sizes.iter().map(|(_, often)| u128::from(*often)).sum();
        let share = |often_this: u32| u128::from(kind.share) * 1_000_000 * u128::from(often_this) / often;
        sizes.extend(kind.sizes.iter().map(|(gpus, often)| (*gpus, share(*often))));
    }
    sizes.sort_unstable();
    let half = sizes.iter().map(|(_, often)| often).sum::<u128>() / 2;
    let mut sum = 0;
    let reached = |(_, often): &&(u32, u128)| {
        sum += often;
        sum >= half
    };
    sizes.iter().find(reached).map_or(0, |(gpus, _)| u64::from(*gpus))
}

#[cfg(test)]
mod tests {
    use super::super::recipes;
    use super::*;

    /// Whether a figure is within so many hundredths of another.
    fn near(ours: u64, published: u64, percent: u64) -> bool {
        ours.abs_diff(published) * 100 <= published * percent
    }

    #[test]
    fn recipes_come_to_what_was_published() {
        for recipe in recipes() {
            let Some(published) = recipe.published else { continue };
            let (ours, name) = (Summary::expected(&recipe), recipe.name);
            assert!(near(ours.mean_run, published.mean_run, 1), "{name} {ours:?}");
            // Of Philly the quantiles are taken, not the median.
            assert!(
                near(ours.median_run, published.median_run, if name == "philly" { 7 } else { 1 }),
                "{name} {ours:?}"
            );
            assert!(near(ours.mean_gpus, published.mean_gpus, 1), "{name} {ours:?}");
            assert!(near(ours.mean_gpu_secs, published.mean_gpu_secs, 1), "{name} {ours:?}");
            assert_eq!([ours.median_gpus, ours.max_gpus], [published.median_gpus, published.max_gpus], "{name}");
            for end in 0..3 {
                assert!(ours.rates[end].abs_diff(published.rates[end]) <= 3, "{name} {ours:?}");
                assert!(ours.gpu_time[end].abs_diff(published.gpu_time[end]) <= 5, "{name} {ours:?}");
            }
        }
    }

    #[test]
    fn drawn_jobs_come_to_what_is_expected() {
        for recipe in recipes() {
            let (drawn, expected) = (Summary::drawn(&recipe, 11, 200_000), Summary::expected(&recipe));
            let name = recipe.name;
            assert!(near(drawn.mean_run, expected.mean_run, 10), "{name} {drawn:?}");
            assert!(near(drawn.median_run, expected.median_run, 3), "{name} {drawn:?}");
            assert!(near(drawn.mean_gpus, expected.mean_gpus, 10), "{name} {drawn:?}");
            assert!(near(drawn.mean_gpu_secs, expected.mean_gpu_secs, 40), "{name} {drawn:?}");
            assert_eq!(drawn.median_gpus, expected.median_gpus, "{name}");
            (0..3).for_each(|end| assert!(drawn.rates[end].abs_diff(expected.rates[end]) <= 6, "{name} {drawn:?}"));
        }
    }

    #[test]
    fn gini_is_nought_of_equals_and_near_one_of_one() {
        assert_eq!([gini([5, 5, 5]), gini([0, 0, 0, 8]), gini([1, 2, 3, 4]), gini([])], [0, 750, 250, 0]);
    }

    #[test]
    fn figures_are_those_of_the_jobs() {
        let jobs =
            [(1, 1000, End::Completed), (1, 2000, End::Failed), (8, 4000, End::Cancelled), (2, 1000, End::Completed)];
        let expected = Summary {
            mean_run: 2000,
            median_run: 2000,
            mean_gpus: 3000,
            median_gpus: 2,
            max_gpus: 8,
            rates: [500, 250, 250],
            gpu_time: [81, 864, 54],
            mean_gpu_secs: 9,
        };
        assert_eq!(Summary::of(&jobs), expected);
    }
}
