//! When a waiting job will start: the present state run forward by the very step that decides.
//!
//! What is run forward is a copy, so that nothing happens. Nobody else asks for anything, no node breaks, nothing is taken
//! back, and every run lasts as said: to its limit, or as long as it is expected to. A run that has outlived what was
//! expected of it is expected to last twice as long, as often as it takes, up to its limit. What an early end leaves of a
//! budget is there again.
//!
//! Bounds: starts, tries and steps are counted, so that a forecast costs no more than a few seconds whatever waits;
//! beyond them it says how far it came.
use crate::api::{Budget, Event, Start};
use crate::scheduler::{Run, Scheduler};
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use madang_model::{GpuTime, JobId, RunId, Span, Time};

/// Most starts that are run through.
const STARTS: usize = 20_000;
/// Most jobs that are tried in all.
const TRIES: u64 = 200_000;
/// Most windows in a row that begin or end while nothing starts or ends.
const QUIET: u32 = 512;

/// How long runs last in a forecast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasting {
    /// To their limits.
    Limits,
    /// As long as they are expected to, where that is known; to their limits where not.
    Expected,
}

/// What came of running forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forecast {
    /// The job starts then.
    Starts(Time),
    /// It has not started by then, and no further was looked.
    NotBy(Time),
    /// It waits for something that no end of a run brings.
    Never,
}

impl Forecast {
    /// The start, where one was found.
    pub fn start(self) -> Option<Time> {
        match self {
            Forecast::Starts(at) => Some(at),
            Forecast::NotBy(_) | Forecast::Never => None,
        }
    }
}

/// A copy on its way, with the ends that are to come.
struct Course {
    sched: Scheduler,
    lasting: Lasting,
    ends: BTreeSet<(Time, RunId)>,
}

impl Scheduler {
    /// When the job starts if every run lasts as said and nothing else comes; `None` if it does not wait here.
    pub fn forecast(&self, now: Time, job: JobId, lasting: Lasting) -> Option<Forecast> {
        Some(if self.hopes(job)? { self.clone().run_forward(now, job, lasting) } else { Forecast::Never })
    }

    /// Whether an end of a run may let the job start; `None` if it does not wait here.
    pub(crate) fn hopes(&self, job: JobId) -> Option<bool> {
        self.queue.jobs.get(&job).map(|waiting| self.outside(waiting).is_none())
    }

    /// The forecast for a job that hopes, of a copy that is of no further use.
    pub(crate) fn run_forward(self, now: Time, job: JobId, lasting: Lasting) -> Forecast {
        let now = now.max(self.now);
        Course::new(self, now, lasting).until(now, job)
    }

    /// When the job will start if every run lasts to its limit and nothing else comes; `None` if that is not known
    /// within a bounded look ahead.
    pub fn when(&self, now: Time, job: JobId) -> Option<Time> {
        self.forecast(now, job, Lasting::Limits)?.start()
    }

    /// How long a waiting job or a run is expected to last, where anything is known.
    pub fn expected(&self, job: JobId) -> Option<Span> {
        match self.queue.jobs.get(&job) {
            Some(waiting) => waiting.expected,
            None => {
                let runs = RunId { job, attempt: 0 }..=RunId { job, attempt: u32::MAX };
                self.runs.range(runs).next_back().and_then(|(_, run)| run.expected)
            }
        }
    }
}

impl Course {
    fn new(mut sched: Scheduler, now: Time, lasting: Lasting) -> Course {
        // What would be taken back would have to be queued again, and of that no more is known than its limit.
        sched.config.taking.jobs = 0;
        let ends = sched.runs.iter().map(|(id, run)| (end(lasting, run, now), *id)).collect();
        Course { sched, lasting, ends }
    }

    fn until(mut self, mut now: Time, job: JobId) -> Forecast {
        let (mut events, mut started, mut tries, mut quiet) = (Vec::new(), 0, 0, 0);
        loop {
            let step = self.sched.step(now, core::mem::take(&mut events));
            if step.starts.iter().any(|start| start.run.job == job) {
                return Forecast::Starts(now);
            }
            started += step.starts.len();
            tries += u64::from(step.report.tries);
            if started > STARTS || tries > TRIES || quiet > QUIET {
                return Forecast::NotBy(now);
            }
            step.starts.iter().for_each(|start| self.begun(now, start));
            let next = self.ends.first().map(|(time, _)| *time).into_iter().chain(step.wake).min();
            let Some(next) = next.filter(|next| *next < Time::MAX) else { return Forecast::Never };
            now = next.max(now);
            while let Some((at, run)) = self.ends.first().copied().filter(|(at, _)| *at <= now) {
                self.ends.remove(&(at, run));
                self.over(now, run, &mut events);
            }
            quiet = if step.starts.is_empty() && events.is_empty() { quiet + 1 } else { 0 };
        }
    }

    fn begun(&mut self, now: Time, start: &Start) {
        if let Some(run) = self.sched.runs.get(&start.run) {
            self.ends.insert((end(self.lasting, run, now), start.run));
        }
    }

    /// A run ends, and the rest of what was held for it is the project's again.
    fn over(&self, now: Time, id: RunId, events: &mut Vec<Event>) {
        events.push(Event::Ended(id));
        let Some(run) = self.sched.runs.get(&id) else { return };
        let rest = GpuTime::checked_of(run.on.gpus(), run.until.since(now)).unwrap_or(GpuTime::ZERO);
        let project = &self.sched.shares.projects[self.sched.shares.leaves[run.leaf].project];
        let earlier = events.iter().rev().find_map(|event| match event {
            Event::Budget(id, budget) if *id == project.id => Some(*budget),
            _ => None,
        });
        if let Budget::Left(left) = earlier.unwrap_or(project.budget)
            && rest > GpuTime::ZERO
            && let Some(left) = left.checked_add(rest)
        {
            events.push(Event::Budget(project.id, Budget::Left(left)));
        }
    }
}

/// When a run ends in a forecast, as seen from now.
fn end(lasting: Lasting, run: &Run, now: Time) -> Time {
    let until = run.until.max(now);
    let Some(expected) = run.expected.filter(|_| lasting == Lasting::Expected) else { return until };
    let ran = now.since(run.life.since);
    let mut length = expected.max(Span::from_millis(1));
    while length < ran && length < Span::MAX {
        length = Span::from_millis(length.millis().saturating_mul(2));
    }
    run.life.since.after(length).clamp(now, until)
}
