//! What is said of a replay, as the literature defines it, in integers.
//!
//! A mean is rounded once, at the end; a job's bounded slowdown is kept in thousand-millionths, so a mean over any
//! number of jobs is right to eight decimals.

use super::Job;

/// Run times below this many seconds count as this many in bounded slowdown.
pub const SLOWDOWN_BOUND: u64 = 10;

/// Parts of one in [`Measures::slowdown`].
const PARTS: u128 = 1_000_000_000;

/// The figures of one replay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measures {
    /// Jobs.
    pub jobs: u64,
    /// Mean wait in microseconds.
    pub mean_wait: u64,
    /// Mean of max(1, (wait + run) / max(run, 10 s)), in thousand-millionths.
    pub slowdown: u64,
    /// The wait that 99 of 100 jobs do not exceed, in seconds (nearest rank).
    pub p99_wait: u64,
    /// The longest wait, in seconds.
    pub longest_wait: u64,
    /// Processor time used of that there was from the first submission to the last end, in millionths.
    pub utilisation: u64,
    /// Seconds from the first submission to the last end.
    pub makespan: u64,
}

impl Measures {
    /// Measures starts, one for each job.
    pub fn of(jobs: &[Job], starts: &[u64], procs: u32) -> Measures {
        assert!(jobs.len() == starts.len(), "a start for each job");
        let Some(first) = jobs.iter().map(|job| job.submit).min() else {
            return Measures::default();
        };
        let mut waits: Vec<u64> = jobs.iter().zip(starts).map(|(job, start)| start - job.submit).collect();
        let slowdowns: u128 = jobs.iter().zip(&waits).map(|(job, &wait)| slowdown(job, wait)).sum();
        let used: u128 = jobs.iter().map(|job| u128::from(job.run) * u128::from(job.procs)).sum();
        let last = jobs.iter().zip(starts).map(|(job, start)| start + u64::from(job.run)).max().unwrap_or(first);
        let makespan = last - first;
        let count = jobs.len() as u128;
        let total: u128 = waits.iter().map(|&wait| u128::from(wait)).sum();
        waits.sort_unstable();
        Measures {
            jobs: jobs.len() as u64,
            mean_wait: rounded(total * 1_000_000, count),
            slowdown: rounded(slowdowns, count),
            p99_wait: waits[(waits.len() * 99).div_ceil(100) - 1],
            longest_wait: waits[waits.len() - 1],
            utilisation: rounded(used * 1_000_000, u128::from(procs) * u128::from(makespan)),
            makespan,
        }
    }
}

/// One job's bounded slowdown in thousand-millionths.
fn slowdown(job: &Job, wait: u64) -> u128 {
    let run = u64::from(job.run);
    (u128::from(wait + run) * PARTS / u128::from(run.max(SLOWDOWN_BOUND))).max(PARTS)
}

fn rounded(sum: u128, by: u128) -> u64 {
    u64::try_from((sum + by / 2) / by).expect("a mean is no larger than what it is of")
}

/// A figure kept in parts of `10^kept`, as text with `shown` decimals, rounded half up.
pub fn decimal(figure: u64, kept: u32, shown: u32) -> String {
    let cut = 10u64.pow(kept.saturating_sub(shown));
    let rounded = (figure + cut / 2) / cut;
    let one = 10u64.pow(shown);
    let (whole, part) = (rounded / one, rounded % one);
    if shown == 0 { whole.to_string() } else { format!("{whole}.{part:0width$}", width = shown as usize) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_two_jobs() {
        let job = |number, run, procs| Job { number, submit: 100, run, estimate: run, procs };
        // The second waits 20 s for the first and runs 1 s: (20 + 1) / 10; the first did not wait: 1.
        let measures = Measures::of(&[job(1, 20, 2), job(2, 1, 1)], &[100, 120], 2);
        assert_eq!(decimal(measures.mean_wait, 6, 3), "10.000");
        assert_eq!(decimal(measures.slowdown, 9, 4), "1.5500");
        assert_eq!((measures.p99_wait, measures.makespan), (20, 21));
        assert_eq!(decimal(measures.utilisation, 4, 2), "97.62");
    }

    #[test]
    fn short_jobs_are_never_below_one() {
        let job = Job { number: 1, submit: 0, run: 1, estimate: 1, procs: 1 };
        assert_eq!(Measures::of(&[job], &[0], 1).slowdown, 1_000_000_000);
        assert_eq!(Measures::of(&[], &[], 1), Measures::default());
    }

    #[test]
    fn decimals_are_rounded_half_up() {
        assert_eq!(decimal(92_576_539_734, 9, 4), "92.5765");
        assert_eq!(decimal(49_999_950, 6, 4), "50.0000");
        assert_eq!(decimal(7, 0, 0), "7");
    }
}
