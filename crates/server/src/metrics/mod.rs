//! What the server counts of itself, and the page that Prometheus reads.
//!
//! Counters are kept here from the core's effects and the requests served, since this process began; what the core
//! knows anyway is read off it when the page is asked for. Labels are sites, owners, states, outcomes and routes of the
//! table of operations, never a job, a project or a person: the page's length is bounded by the estate.
//!
//! Invariants: counting never waits and never fails; a counter never falls while the process lives.

pub mod families;
mod gather;
pub mod histogram;
mod text;

pub use gather::page;
pub use text::CONTENT_TYPE;

use histogram::{Counter, Histogram, QUICK, SLOW};
use madang_api::routes::OPERATIONS;
use madang_centre::{Centre, Effect, Keep};
use madang_ledger::Posting;
use madang_model::{EndedRun, GpuTime, Job, JobState, Outcome, RunId, Span, StopCause, Time};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Names of outcomes.
pub const OUTCOMES: [&str; 10] = [
    "completed",
    "failed",
    "timed_out",
    "cancelled",
    "node_failed",
    "out_of_memory",
    "launch_failed",
    "requeued",
    "preempted",
    "deadline",
];
/// Names of causes of stops.
pub const CAUSES: [&str; 7] = ["cancelled", "limit", "requeue", "node_lost", "stale", "preempted", "moved"];
/// Classes of statuses.
pub const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// What one site has done.
struct OfSite {
    starts: Counter,
    wait: Histogram,
    stops: [Counter; CAUSES.len()],
    ended: [Counter; OUTCOMES.len()],
    lost_micros: [Counter; OUTCOMES.len()],
}

/// What one route has served.
struct OfRoute {
    classes: [Counter; CLASSES.len()],
    took: Histogram,
}

/// All counters of a server.
pub struct Metrics {
    began: Instant,
    sites: Vec<OfSite>,
    owners: Vec<[Counter; OUTCOMES.len()]>,
    /// One for each operation, and one for everything else.
    routes: Vec<OfRoute>,
    step: Histogram,
    append: Histogram,
    commit: Histogram,
    snapshot_failures: Counter,
    /// Milliseconds from `began` to the last snapshot, plus one; 0 before there is one.
    snapshot_at: AtomicU64,
    /// Inputs that the newest snapshot stands for.
    snapshot_inputs: AtomicU64,
    /// Milliseconds from `began` to the begin of the step at work, plus one; 0 between steps.
    at_work: AtomicU64,
}

impl Metrics {
    /// All at zero, for a centre of so many sites and parties.
    pub fn new(sites: usize, parties: usize) -> Metrics {
        let site = |_| OfSite {
            starts: Counter::default(),
            wait: Histogram::new(SLOW),
            stops: Default::default(),
            ended: Default::default(),
            lost_micros: Default::default(),
        };
        let route = |_| OfRoute { classes: Default::default(), took: Histogram::new(QUICK) };
        Metrics {
            began: Instant::now(),
            sites: (0..sites).map(site).collect(),
            owners: (0..parties).map(|_| Default::default()).collect(),
            routes: (0..=OPERATIONS.len()).map(route).collect(),
            step: Histogram::new(QUICK),
            append: Histogram::new(QUICK),
            commit: Histogram::new(QUICK),
            snapshot_failures: Counter::default(),
            snapshot_at: AtomicU64::new(0),
            snapshot_inputs: AtomicU64::new(0),
            at_work: AtomicU64::new(0),
        }
    }

    /// A step begins: its inputs go to the disk.
    pub fn step_begins(&self) {
        self.at_work.store(self.stamp(), Ordering::Relaxed);
    }

    /// A step's inputs are on the disk.
    pub fn appended(&self, took: Duration, commit: Duration) {
        self.append.observe(took);
        self.commit.observe(commit);
    }

    /// A step is done.
    pub fn step_ends(&self, took: Duration) {
        self.step.observe(took);
        self.at_work.store(0, Ordering::Relaxed);
    }

    /// How long the step at work has taken so far, if there is one.
    pub fn at_work(&self) -> Option<Duration> {
        self.since(self.at_work.load(Ordering::Relaxed))
    }

    /// What the newest snapshot stands for was found at the start.
    pub fn snapshot_found(&self, inputs: u64) {
        self.snapshot_inputs.store(inputs, Ordering::Relaxed);
    }

    /// A snapshot was written.
    pub fn snapshot_written(&self, inputs: u64) {
        self.snapshot_found(inputs);
        self.snapshot_at.store(self.stamp(), Ordering::Relaxed);
    }

    /// A snapshot could not be written.
    pub fn snapshot_failed(&self) {
        self.snapshot_failures.add(1);
    }

    /// A request was answered: `route` is its place in the table of operations.
    pub fn served(&self, route: Option<usize>, status: u16, took: Duration) {
        let Some(route) = self.routes.get(route.unwrap_or(OPERATIONS.len())) else { return };
        let class = usize::from(status / 100).clamp(1, CLASSES.len()) - 1;
        route.classes[class].add(1);
        route.took.observe(took);
    }

    /// Counts what a step did.
    pub fn saw(&self, centre: &Centre, now: Time, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::Start { site, run, .. } => {
                    if let (Some(of), Some(job)) = (self.sites.get(site.index()), centre.job(run.job)) {
                        let waited = now.since(job.eligible.unwrap_or(job.submitted));
                        of.starts.add(1);
                        of.wait.observe(Duration::from_millis(waited.millis()));
                    }
                }
                Effect::Stop { site, cause, .. } => {
                    if let Some(of) = self.sites.get(site.index()) {
                        of.stops[cause_at(*cause)].add(1);
                    }
                }
                Effect::Keep(Keep::Job(job)) => self.job_ended(centre, job),
                Effect::Keep(Keep::Ledger(transactions)) => {
                    for transaction in transactions {
                        // A run that started is charged at its end, once.
                        if let Posting::Charge { run, .. } = transaction.posting {
                            self.run_ended(centre, run);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn job_ended(&self, centre: &Centre, job: &Job) {
        let JobState::Ended { outcome, .. } = job.state else { return };
        let owner = centre.projects().get(job.spec.project.index()).map(|project| project.owner);
        if let Some(of) = owner.and_then(|owner| self.owners.get(owner.index())) {
            of[outcome_at(outcome)].add(1);
        }
    }

    fn run_ended(&self, centre: &Centre, run: RunId) {
        let ended = centre.job(run.job).and_then(|job| job.runs.iter().rev().find(|ended| ended.run == run));
        let Some(ended) = ended else { return };
        let Some(of) = self.sites.get(crate::engines::site_of(centre, &ended.on).index()) else { return };
        let outcome = outcome_at(ended.outcome);
        of.ended[outcome].add(1);
        of.lost_micros[outcome].add(lost_micros(ended));
    }

    fn stamp(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1)
    }

    fn since(&self, stamp: u64) -> Option<Duration> {
        (stamp > 0).then(|| Duration::from_millis(self.stamp().saturating_sub(stamp)))
    }
}

/// GPU time of a run that counts for nothing, in micro-GPU-seconds.
fn lost_micros(ended: &EndedRun) -> u64 {
    let Some(started) = ended.started else { return 0 };
    let lost = match ended.lost {
        // A policy that gives back all of a run does not say what was lost of it.
        Span::ZERO if ended.outcome.is_providers_fault() => ended.ended.since(started),
        lost => lost,
    };
    let lost = GpuTime::checked_of(ended.on.gpus(), lost).map_or(0, GpuTime::micro_secs);
    u64::try_from(lost).unwrap_or(0)
}

fn outcome_at(outcome: Outcome) -> usize {
    match outcome {
        Outcome::Completed => 0,
        Outcome::Failed { .. } => 1,
        Outcome::TimedOut => 2,
        Outcome::Cancelled => 3,
        Outcome::NodeFailed => 4,
        Outcome::OutOfMemory => 5,
        Outcome::LaunchFailed => 6,
        Outcome::Requeued => 7,
        Outcome::Preempted => 8,
        Outcome::Deadline => 9,
    }
}

fn cause_at(cause: StopCause) -> usize {
    match cause {
        StopCause::Cancelled => 0,
        StopCause::Limit => 1,
        StopCause::Requeue => 2,
        StopCause::NodeLost => 3,
        StopCause::Stale => 4,
        StopCause::Preempted { .. } => 5,
        StopCause::Moved { .. } => 6,
    }
}
