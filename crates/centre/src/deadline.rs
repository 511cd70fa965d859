//! Deadlines and patience: what a waiting job gives up at a moment.
//!
//! A job with a deadline is removed at the first moment at which it could no longer end by it, whatever it waits for. One
//! that would wait only so long for its nodes to stand together is then asked for anew without that wish.
//!
//! Invariant: `index.deadlines` lists exactly the jobs that wait with a deadline, and the arrays with one whose moment is
//! still to come.
use crate::effect::Effect;
use crate::refusal::{Code, Refusal};
use crate::state::Centre;
use alloc::format;
use madang_model::{Job, JobId, JobSpec, JobState, Outcome, Span, Time};
use madang_sched::Event;

/// The smallest step of time.
const TICK: Span = Span::from_millis(1);
/// The shortest limit that an engine is given.
const SHORTEST: Span = Span::from_secs(1);

/// The first moment at which what may start no later than this can no longer end by its deadline.
pub(crate) fn too_late_from(last_start: Option<Time>) -> Option<Time> {
    Some(last_start?.after(TICK))
}

impl Centre {
    /// True when it can no longer end by its deadline, started now.
    pub(crate) fn is_too_late(&self, last_start: Option<Time>) -> bool {
        too_late_from(last_start).is_some_and(|at| at <= self.now)
    }

    /// Notes when it becomes too late for what waits; where it is already, its gate says so.
    pub(crate) fn watch_deadline(&mut self, id: JobId) {
        let at = self.too_late_at(id).filter(|at| *at > self.now);
        self.index.deadlines.extend(at.map(|at| (at, id)));
    }

    pub(crate) fn unwatch_deadline(&mut self, id: JobId) {
        if let Some(at) = self.too_late_at(id) {
            self.index.deadlines.remove(&(at, id));
        }
    }

    fn too_late_at(&self, id: JobId) -> Option<Time> {
        let array = || self.arrays.get(&id).and_then(|record| record.spec.last_start());
        too_late_from(self.jobs.get(&id).map_or_else(array, Job::last_start))
    }

    /// What was submitted or altered must be able to end by its deadline at all.
    pub(crate) fn check_deadline(&self, spec: &JobSpec) -> Result<(), Refusal> {
        let Some(deadline) = spec.deadline else { return Ok(()) };
        let (start, least) = (self.now.max(spec.begin.unwrap_or_default()), spec.least());
        if start.after(least) <= deadline {
            return Ok(());
        }
        let from = if start > self.now { "its begin" } else { "now" };
        if deadline <= start {
            return Err(Refusal::new(Code::Impossible, format!("its deadline is not after {from}")));
        }
        let (left, what) = (deadline.since(start), if spec.limit_min.is_some() { "shortest limit" } else { "limit" });
        let fact = format!("its {what} is {least}, its deadline is {left} after {from}");
        Err(Refusal::new(Code::Impossible, fact).hint("ask for a shorter limit, or allow one with --time-min"))
    }

    /// A run that began is cut so that it ends by its deadline: the way to its engine took its time.
    pub(crate) fn cut_at_deadline(&mut self, id: JobId, since: Time) {
        let job = self.jobs.get_mut(&id).expect("a job that began is there");
        let (Some(deadline), Some((run, on))) = (job.spec.deadline, job.state.holding()) else { return };
        if since.after(job.limit()) <= deadline {
            return;
        }
        let (limit, on) = (deadline.since(since).max(SHORTEST), on.clone());
        job.granted = Some(limit);
        let site = self.site_of(&on);
        self.out.push(Effect::Limit { site, run, limit });
    }

    /// What is asked for no longer requires its level once the job has waited for that as long as it would.
    pub(crate) fn lose_patience(&mut self, id: JobId) {
        let now = self.now;
        let job = self.jobs.get_mut(&id).expect("looked up before");
        let (Some(since), Some(patience)) = (job.eligible, job.spec.request.topology.patience) else { return };
        if since.after(patience) > now {
            return;
        }
        job.spec.request.topology = job.spec.request.topology.relaxed();
        self.ask_anew(id, since);
    }

    /// The scheduler is told of a waiting job again, because what it asks for has changed.
    pub(crate) fn ask_anew(&mut self, id: JobId, since: Time) {
        self.events.push(Event::Withdrawn(id));
        let ask = self.ask_of(&self.jobs[&id], since);
        self.events.push(Event::Queued(ask));
    }
}

/// How a run ended that ended as told: out of time at its deadline is what the deadline did.
pub(crate) fn ended_as(job: &Job, outcome: Outcome, at: Time) -> Outcome {
    let ran = matches!(job.state, JobState::Running { .. } | JobState::Completing { .. });
    match job.spec.deadline {
        Some(deadline) if ran && outcome == Outcome::TimedOut && at >= deadline => Outcome::Deadline,
        _ => outcome,
    }
}
