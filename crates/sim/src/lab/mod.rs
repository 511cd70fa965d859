//! The laboratory: textbook policies on a machine of interchangeable processors, for comparison with the literature.
//!
//! Nothing here runs a centre. The same jobs meet FCFS, EASY or conservative backfill under rules that are written
//! down, so that published results are met job by job before anything is claimed beyond them. Time is whole seconds.
//!
//! Invariants: jobs are ordered by (submit, number); a processor serves one job at a time; a job starts once, not before
//! it is submitted, and runs to its end. Integers only.

mod conservative;
mod easy;
mod machine;
mod measure;
mod queue;

pub use measure::{Measures, decimal};

use crate::swf::{Log, Row};
use std::fmt;

/// One job, as a policy sees it; only the machine knows `run` before the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its number in the log.
    pub number: i64,
    /// When it is submitted, in seconds.
    pub submit: u64,
    /// How long it runs, in seconds; at least 1, at most the estimate.
    pub run: u32,
    /// How long it says it runs, in seconds.
    pub estimate: u32,
    /// Processors it needs, all at once; at least 1.
    pub procs: u32,
}

/// Who goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Policy {
    /// In order of submission, nobody overtakes.
    Fcfs,
    /// The head has a promise; others overtake if they do not delay it.
    Easy,
    /// EASY with the exact run times as estimates.
    EasyClairvoyant,
    /// EASY where the shortest overtake first.
    EasySjbf,
    /// EASY where the shortest overtake first, with the exact run times as estimates.
    EasySjbfClairvoyant,
    /// Every job has a promise; nobody overtakes at another's cost.
    Conservative,
}

impl Policy {
    /// Every policy.
    pub const ALL: [Policy; 6] = [
        Policy::Fcfs,
        Policy::Easy,
        Policy::EasyClairvoyant,
        Policy::EasySjbf,
        Policy::EasySjbfClairvoyant,
        Policy::Conservative,
    ];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Policy::Fcfs => "fcfs",
            Policy::Easy => "easy",
            Policy::EasyClairvoyant => "easy-clairvoyant",
            Policy::EasySjbf => "easy-sjbf",
            Policy::EasySjbfClairvoyant => "easy-sjbf-clairvoyant",
            Policy::Conservative => "conservative",
        }
    }

    /// The policy of that name.
    pub fn named(name: &str) -> Option<Policy> {
        Policy::ALL.into_iter().find(|policy| policy.name() == name)
    }

    fn knows_run_times(self) -> bool {
        matches!(self, Policy::EasyClairvoyant | Policy::EasySjbfClairvoyant)
    }
}

/// When the policy looks at the queue: engines in the field differ, and so do their results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Passes {
    /// After each submission that would fit and after each end, one by one; as in SC'15.
    #[default]
    EachEvent,
    /// Once after all events of a moment, as real schedulers do.
    EachMoment,
}

/// Jobs that a machine can be given, in order of (submit, number).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Input {
    /// The jobs.
    pub jobs: Vec<Job>,
    /// The row of each job in its log.
    pub rows: Vec<usize>,
    /// Rows left out, since they never ran or say no size.
    pub left_out: usize,
    /// Jobs that ran longer than they asked for: cut off at their limit.
    pub cut: usize,
}

/// Why jobs cannot be replayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A job that is larger than the machine.
    TooLarge {
        /// The job.
        job: i64,
        /// What it asks for.
        asks: u32,
        /// What the machine has.
        has: u32,
    },
    /// A figure that no machine here can hold.
    OutOfRange {
        /// The job.
        job: i64,
        /// The column.
        column: &'static str,
        /// The figure.
        figure: i64,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::TooLarge { job, asks, has } => {
                write!(f, "job {job} asks for {asks} processors, the machine has {has}")
            }
            Refusal::OutOfRange { job, column, figure } => write!(f, "job {job} has {column} {figure}, out of range"),
        }
    }
}

impl std::error::Error for Refusal {}

impl Input {
    /// The jobs of a log: sizes as requested, else as allocated; estimates as requested, else the run time.
    pub fn of(log: &Log) -> Result<Input, Refusal> {
        let mut input = Input::default();
        let mut jobs = Vec::with_capacity(log.rows.len());
        for (at, row) in log.rows.iter().enumerate() {
            match job(row)? {
                Some(job) => {
                    input.cut += usize::from(i64::from(job.run) < row.run);
                    jobs.push((job, at));
                }
                None => input.left_out += 1,
            }
        }
        jobs.sort_by_key(|(job, at)| (job.submit, job.number, *at));
        (input.jobs, input.rows) = jobs.into_iter().unzip();
        Ok(input)
    }

    /// The outcome as a log: the jobs in the order of their submission, with the waits of this replay.
    pub fn log(&self, from: &Log, starts: &[u64], notes: &[String]) -> Log {
        let header = notes.iter().map(|note| format!(" {note}")).chain(from.header.iter().cloned()).collect();
        let rows = self.jobs.iter().zip(&self.rows).zip(starts).map(|((job, &at), &start)| Row {
            wait: (start - job.submit).cast_signed(),
            run: i64::from(job.run),
            allocated: i64::from(job.procs),
            ..from.rows[at]
        });
        Log { header, rows: rows.collect() }
    }
}

fn job(row: &Row) -> Result<Option<Job>, Refusal> {
    let procs = if row.requested > 0 { row.requested } else { row.allocated };
    if row.run <= 0 || procs <= 0 {
        return Ok(None);
    }
    let wrong = |column, figure| Refusal::OutOfRange { job: row.job, column, figure };
    let estimate = if row.time_requested > 0 { row.time_requested } else { row.run };
    Ok(Some(Job {
        number: row.job,
        submit: u64::try_from(row.submit).map_err(|_| wrong("submit", row.submit))?,
        run: u32::try_from(row.run.min(estimate)).map_err(|_| wrong("run", row.run))?,
        estimate: u32::try_from(estimate).map_err(|_| wrong("requested time", estimate))?,
        procs: u32::try_from(procs).map_err(|_| wrong("requested processors", procs))?,
    }))
}

/// Runs the jobs on a machine of so many processors and gives the start of each, in their order. `seen` is told
/// now and then how many jobs have ended.
pub fn replay(
    jobs: &[Job],
    procs: u32,
    policy: Policy,
    passes: Passes,
    seen: &mut dyn FnMut(usize),
) -> Result<Vec<u64>, Refusal> {
    assert!(jobs.is_sorted_by_key(|job| (job.submit, job.number)), "jobs are in the order of their submission");
    if let Some(job) = jobs.iter().find(|job| job.procs > procs) {
        return Err(Refusal::TooLarge { job: job.number, asks: job.procs, has: procs });
    }
    assert!(jobs.iter().all(|job| job.procs > 0 && job.run > 0 && job.run <= job.estimate), "jobs are well formed");
    let known: Vec<Job>;
    let jobs = if policy.knows_run_times() {
        known = jobs.iter().map(|job| Job { estimate: job.run, ..*job }).collect();
        &known
    } else {
        jobs
    };
    Ok(match policy {
        Policy::Fcfs => easy::replay(jobs, procs, easy::Overtaking::Nobody, passes, seen),
        Policy::Easy | Policy::EasyClairvoyant => easy::replay(jobs, procs, easy::Overtaking::InOrder, passes, seen),
        Policy::EasySjbf | Policy::EasySjbfClairvoyant => {
            easy::replay(jobs, procs, easy::Overtaking::ShortestFirst, passes, seen)
        }
        Policy::Conservative => conservative::replay(jobs, procs, passes, seen),
    })
}
