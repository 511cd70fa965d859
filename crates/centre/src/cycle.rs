//! The scheduling cycle: tell the scheduler what happened, hold budgets for what it starts, hand the starts over.
use crate::input::Report;
use crate::state::Centre;
use alloc::format;
use alloc::vec::Vec;
use madang_model::{Blocked, JobId, JobState, StopCause};
use madang_sched::{Anomaly, Budget, CycleReport, Event, PromiseEnd, Start};

/// Most rounds in one step: a start may make room for another task of its array, which may start at once too.
const ROUNDS: u32 = 8;

/// What scheduling cycles did since this centre was made or restored: for whoever watches, never for a decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Cycles.
    pub cycles: u64,
    /// Placements tried.
    pub tries: u64,
    /// Runs started.
    pub starts: u64,
    /// Of these, ahead of a blocked job of higher rank.
    pub backfilled: u64,
    /// Runs told to stop for another job.
    pub stops: u64,
}

impl Work {
    fn add(&mut self, report: &CycleReport) {
        self.cycles += 1;
        self.tries += u64::from(report.tries);
        self.starts += u64::from(report.starts);
        self.backfilled += u64::from(report.backfilled);
        self.stops += u64::from(report.stops);
    }
}

impl Centre {
    pub(crate) fn run_cycle(&mut self) {
        self.tell_budgets();
        // Between what happens and what the scheduler waits for, nothing can be decided differently.
        if self.events.is_empty() && self.wake.is_none_or(|at| at > self.now) {
            return;
        }
        for _ in 0..ROUNDS {
            let events = core::mem::take(&mut self.events);
            let now = self.now;
            let Some(sched) = self.sched.as_mut() else { return };
            let step = sched.step(now, events);
            self.work.add(&step.report);
            self.wake = step.wake;
            self.heed(step.anomalies, step.promises);
            for stop in step.stops {
                self.stop_run(stop.run.job, StopCause::Preempted { by: stop.by, grace: stop.grace });
            }
            for start in step.starts {
                self.begin(start);
            }
            self.settle();
            if self.events.is_empty() {
                return;
            }
            self.tell_budgets();
        }
        self.wake = Some(self.now);
    }

    /// Tells the scheduler what has happened in this step so far. The cycle that decides what comes of it is at its end.
    pub(crate) fn tell_scheduler(&mut self) {
        self.tell_budgets();
        let events = core::mem::take(&mut self.events);
        let Some(sched) = self.sched.as_mut() else { return };
        let step = sched.tell(self.now, events);
        self.wake = Some(self.now);
        self.heed(step.anomalies, step.promises);
    }

    /// What the scheduler says of what it was told.
    fn heed(&mut self, anomalies: Vec<Anomaly>, promises: Vec<(JobId, PromiseEnd)>) {
        for anomaly in anomalies {
            self.anomaly(format!("the scheduler was told of something it does not know: {anomaly:?}"));
        }
        for (job, end) in promises {
            match end {
                PromiseEnd::Kept { .. } => self.promises.0 += 1,
                PromiseEnd::Broken { .. } => {
                    self.promises.1 += 1;
                    self.notice(crate::effect::Notice::Job(job));
                }
            }
        }
    }

    /// Tells the scheduler what projects may still hold, where that is not what it knows: of what it starts itself it
    /// keeps count.
    fn tell_budgets(&mut self) {
        self.dirty.sort_unstable();
        self.dirty.dedup();
        for project in core::mem::take(&mut self.dirty) {
            let budget = self.budget(project);
            let known = self.sched.as_ref().and_then(|sched| sched.left(project));
            if known.map_or(Budget::NoAward, Budget::Left) != budget {
                self.events.push(Event::Budget(project, budget));
            }
        }
    }

    fn begin(&mut self, start: Start) {
        let Start { run, on, until } = start;
        let job = match self.jobs.get(&run.job) {
            Some(job) if matches!(job.state, JobState::Pending { .. }) => job,
            _ => {
                self.events.push(Event::Ended(run));
                return self.anomaly(format!("the scheduler started {run}, which does not wait"));
            }
        };
        let limit = until.before(crate::GRACE).since(self.now).min(job.left());
        let (project, gpus) = (job.spec.project, on.gpus());
        if self.hold_budget(run, project, gpus, limit) {
            return self.start_run(run, on, limit);
        }
        self.events.push(Event::Ended(run));
        self.anomaly(format!("the scheduler started {run} beyond its budget; the job is held"));
        if let Some(job) = self.jobs.get_mut(&run.job) {
            job.held = true;
            job.eligible = None;
            job.state = JobState::Pending { why: Blocked::Held };
        }
    }

    /// When the core wants to be stepped again if nothing happens before.
    pub fn wake(&self) -> Option<madang_model::Time> {
        let begins = self.index.begins.first().map(|(at, _)| *at);
        let edges = self.index.award_edges.first().map(|(at, _)| *at);
        let overdue = self.index.overdue.first().map(|(at, _)| *at);
        let deadlines = self.index.deadlines.first().map(|(at, _)| *at);
        let failover = self.next_failover();
        [self.wake, begins, edges, overdue, deadlines, failover, self.next_reservation_end()]
            .into_iter()
            .flatten()
            .min()
    }
}

impl From<Report> for crate::input::Signed {
    fn from(report: Report) -> Self {
        crate::input::Signed::own(crate::input::Input::Report(report))
    }
}
