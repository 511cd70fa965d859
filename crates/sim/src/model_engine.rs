//! The model engine: runs that take the time they say, while nothing runs.
//!
//! It has the face of an engine without its threads: effects go in as calls, and what is due by a moment comes out as
//! reports. The live server asks it with the wall clock, the simulator with virtual time.
//!
//! Invariants: a run id is started at most once, whatever is called how often and in which order; each started run
//! gives one `Started` and one `Ended`, the first not later than the second; reports come out in order of time.
use crate::model_engine::Phase::{Ended, Running, Sent};
use madang_centre::input::Report;
use madang_model::{ModelRun, Outcome, RunId, Span, StopCause, Time};
use std::cmp::Reverse;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

/// How many ended runs are remembered, so that a doubled effect of one of them does nothing.
const REMEMBERED: usize = 65_536;

/// Signals that end a modelled run; it takes no notice of others.
const DEADLY: [i32; 3] = [2, 9, 15];

/// Modelled runs of one or many sites.
#[derive(Clone, Debug, Default)]
pub struct ModelEngine {
    runs: BTreeMap<RunId, Phase>,
    /// When each run next has something to report, and moments that no longer hold; the first one does.
    due: BinaryHeap<Reverse<(Time, RunId)>>,
    /// How many of them no longer hold.
    stale: usize,
    ended: VecDeque<RunId>,
    ready: Vec<Report>,
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Told to start; the start is not reported yet.
    Sent { at: Time, end: Time, outcome: Outcome },
    /// Its start is reported; it ends by itself at `end`.
    Running { end: Time, outcome: Outcome },
    /// Its end is reported, or ready to be.
    Ended,
}

impl Phase {
    /// When the run next has something to report.
    fn next(self) -> Option<Time> {
        match self {
            Sent { at, .. } => Some(at),
            Running { end, .. } => Some(end),
            Ended => None,
        }
    }

    /// Whether it has something to report at this very moment.
    fn is_due(self, when: Time) -> bool {
        self.next() == Some(when)
    }
}

impl ModelEngine {
    /// An engine that knows no run.
    pub fn new() -> ModelEngine {
        ModelEngine::default()
    }

    /// Starts a run now. A run known already stays as it is.
    pub fn start(&mut self, now: Time, run: RunId, limit: Span, model: Option<ModelRun>) {
        if let Entry::Vacant(place) = self.runs.entry(run) {
            let (end, outcome) = fate(now, limit, model);
            place.insert(Sent { at: now, end, outcome });
            self.due.push(Reverse((now, run)));
        }
    }

    /// Takes up a run that an earlier engine started and reported, after a restart. Its end may lie in the past; it is
    /// then due at once and still reported with its own time.
    pub fn adopt(&mut self, run: RunId, since: Time, limit: Span, model: Option<ModelRun>) {
        if let Entry::Vacant(place) = self.runs.entry(run) {
            let (end, outcome) = fate(since, limit, model);
            place.insert(Running { end, outcome });
            self.due.push(Reverse((end, run)));
        }
    }

    /// Ends a run for this cause: now, or when the grace of a pre-emption is over. Of an unknown run it reports just
    /// that; of an ended one nothing.
    pub fn stop(&mut self, now: Time, run: RunId, cause: StopCause) {
        match (self.runs.get(&run), cause) {
            (None, _) => self.ready.push(Report::Unknown { run }),
            (Some(_), StopCause::Preempted { grace, .. } | StopCause::Moved { grace }) => {
                self.end_by(now.after(grace), run, outcome_of(cause))
            }
            (Some(_), _) => self.end(now, run, outcome_of(cause)),
        }
    }

    /// A run that goes on until then ends then: it makes use of all its grace.
    fn end_by(&mut self, last: Time, run: RunId, outcome: Outcome) {
        match self.runs.get_mut(&run) {
            Some(Sent { end, outcome: by_itself, .. }) if *end > last => (*end, *by_itself) = (last, outcome),
            Some(Running { end, outcome: by_itself }) if *end > last => {
                self.stale += 1;
                self.due.push(Reverse((last, run)));
                (*end, *by_itself) = (last, outcome);
            }
            _ => {}
        }
        self.drop_stale();
    }

    /// Delivers a signal: those that kill by default end the run as failed, others pass by.
    pub fn signal(&mut self, now: Time, run: RunId, signal: i32) {
        if DEADLY.contains(&signal) {
            self.end(now, run, Outcome::Failed { exit: 0, signal });
        }
    }

    /// Ends runs now because their node is lost.
    pub fn lose(&mut self, now: Time, runs: impl IntoIterator<Item = RunId>) {
        for run in runs {
            self.end(now, run, Outcome::NodeFailed);
        }
    }

    /// Gives a run another limit, counted from its start; of a run that is over it changes nothing.
    pub fn relimit(&mut self, run: RunId, since: Time, limit: Span, model: Option<ModelRun>) {
        let (new_end, new_outcome) = fate(since, limit, model);
        match self.runs.get_mut(&run) {
            Some(Sent { end, outcome, .. }) => (*end, *outcome) = (new_end, new_outcome),
            Some(Running { end, outcome }) => {
                self.stale += 1;
                self.due.push(Reverse((new_end, run)));
                (*end, *outcome) = (new_end, new_outcome);
            }
            Some(Ended) | None => {}
        }
        self.drop_stale();
    }

    /// When it next has something to report; `None` for never.
    pub fn next_due(&self) -> Option<Time> {
        let first = self.due.peek().map(|Reverse((at, _))| *at);
        if self.ready.is_empty() { first } else { Some(Time::default()) }
    }

    /// Everything that is to be reported by now, in order.
    pub fn due(&mut self, now: Time) -> Vec<Report> {
        let mut reports = std::mem::take(&mut self.ready);
        while let Some(Reverse((at, run))) = self.due.peek().copied().filter(|Reverse((at, _))| *at <= now) {
            self.due.pop();
            let Some(phase) = self.runs.get_mut(&run).filter(|phase| phase.is_due(at)) else {
                self.stale -= 1;
                continue;
            };
            match *phase {
                Sent { at, end, outcome } => {
                    reports.push(Report::Started { run, at });
                    *phase = Running { end, outcome };
                    self.due.push(Reverse((end, run)));
                }
                Running { outcome, .. } => {
                    reports.push(Report::Ended { run, at, outcome });
                    *phase = Ended;
                    self.remember_ended(run);
                }
                Ended => {}
            }
        }
        self.drop_stale();
        reports
    }

    /// Moments that no longer hold are dropped once they come first, or when they are many.
    fn drop_stale(&mut self) {
        if self.stale > self.due.len() / 2 + 1024 {
            let next = |(run, phase): (&RunId, &Phase)| Some(Reverse((phase.next()?, *run)));
            self.due = self.runs.iter().filter_map(next).collect();
            self.stale = 0;
        }
        while self.stale > 0
            && let Some(Reverse((at, run))) = self.due.peek()
            && self.runs.get(run).is_none_or(|phase| !phase.is_due(*at))
        {
            self.due.pop();
            self.stale -= 1;
        }
    }

    /// The runs that are not over, ascending.
    pub fn known(&self) -> impl Iterator<Item = RunId> {
        self.runs.iter().filter(|(_, phase)| **phase != Ended).map(|(run, _)| *run)
    }

    /// True of a run that was ever started here, as far as it is remembered.
    pub fn knows(&self, run: RunId) -> bool {
        self.runs.contains_key(&run)
    }

    fn end(&mut self, now: Time, run: RunId, outcome: Outcome) {
        match self.runs.get(&run).copied() {
            Some(Sent { at, .. }) => {
                self.ready.push(Report::Started { run, at });
                self.ready.push(Report::Ended { run, at: now.max(at), outcome });
            }
            // What was over before it was stopped ended by itself, though nobody asked in between.
            Some(Running { end, outcome: by_itself }) => {
                let (at, outcome) = if end <= now { (end, by_itself) } else { (now, outcome) };
                self.ready.push(Report::Ended { run, at, outcome });
            }
            Some(Ended) | None => return,
        }
        self.runs.insert(run, Ended);
        self.stale += 1;
        self.remember_ended(run);
        self.drop_stale();
    }

    fn remember_ended(&mut self, run: RunId) {
        self.ended.push_back(run);
        if self.ended.len() > REMEMBERED
            && let Some(oldest) = self.ended.pop_front()
        {
            self.runs.remove(&oldest);
        }
    }
}

/// When and how a run ends that nobody stops.
fn fate(since: Time, limit: Span, model: Option<ModelRun>) -> (Time, Outcome) {
    match model {
        Some(ModelRun { runtime, exit: 0 }) if runtime <= limit => (since.after(runtime), Outcome::Completed),
        Some(ModelRun { runtime, exit }) if runtime <= limit => {
            (since.after(runtime), Outcome::Failed { exit, signal: 0 })
        }
        _ => (since.after(limit), Outcome::TimedOut),
    }
}

fn outcome_of(cause: StopCause) -> Outcome {
    match cause {
        StopCause::Cancelled | StopCause::Stale => Outcome::Cancelled,
        StopCause::Limit => Outcome::TimedOut,
        StopCause::Requeue => Outcome::Requeued,
        StopCause::Preempted { .. } | StopCause::Moved { .. } => Outcome::Preempted,
        StopCause::NodeLost => Outcome::NodeFailed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use madang_model::JobId;

    fn run(job: u64) -> RunId {
        RunId { job: JobId::new(job), attempt: 1 }
    }
    fn at(secs: u64) -> Time {
        Time::from_millis(secs * 1000)
    }
    fn takes(secs: u64, exit: i32) -> Option<ModelRun> {
        Some(ModelRun { runtime: Span::from_secs(secs), exit })
    }
    const MINUTE: Span = Span::from_secs(60);

    #[test]
    fn runs_end_as_they_say_in_order_of_time() {
        let mut engine = ModelEngine::new();
        engine.start(at(0), run(1), MINUTE, takes(30, 0));
        engine.start(at(0), run(2), MINUTE, takes(10, 3));
        engine.start(at(0), run(3), MINUTE, None);
        engine.start(at(0), run(4), MINUTE, takes(61, 0));
        assert_eq!(engine.next_due(), Some(at(0)));
        assert_eq!(engine.due(at(0)).len(), 4);
        assert_eq!(engine.next_due(), Some(at(10)));
        let ends = engine.due(at(100));
        let expected = [
            (2, 10, Outcome::Failed { exit: 3, signal: 0 }),
            (1, 30, Outcome::Completed),
            (3, 60, Outcome::TimedOut),
            (4, 60, Outcome::TimedOut),
        ];
        assert_eq!(ends, expected.map(|(job, secs, outcome)| Report::Ended { run: run(job), at: at(secs), outcome }));
        assert_eq!((engine.next_due(), engine.known().count()), (None, 0));
    }

    #[test]
    fn doubled_effects_change_nothing() {
        let mut engine = ModelEngine::new();
        engine.start(at(0), run(1), MINUTE, takes(30, 0));
        engine.start(at(5), run(1), MINUTE, takes(90, 0));
        assert_eq!(engine.due(at(5)), [Report::Started { run: run(1), at: at(0) }]);
        engine.stop(at(7), run(1), StopCause::Cancelled);
        engine.stop(at(8), run(1), StopCause::Limit);
        engine.signal(at(8), run(1), 9);
        engine.start(at(9), run(1), MINUTE, takes(30, 0));
        engine.adopt(run(1), at(0), MINUTE, None);
        assert_eq!(engine.next_due(), Some(Time::default()));
        assert_eq!(engine.due(at(9)), [Report::Ended { run: run(1), at: at(7), outcome: Outcome::Cancelled }]);
        assert!(engine.due(Time::MAX).is_empty());
    }

    #[test]
    fn a_stop_is_answered_whatever_it_finds() {
        let mut engine = ModelEngine::new();
        engine.stop(at(1), run(9), StopCause::Stale);
        assert_eq!(engine.due(at(1)), [Report::Unknown { run: run(9) }]);
        engine.start(at(2), run(1), MINUTE, None);
        engine.stop(at(2), run(1), StopCause::Requeue);
        let both = [
            Report::Started { run: run(1), at: at(2) },
            Report::Ended { run: run(1), at: at(2), outcome: Outcome::Requeued },
        ];
        assert_eq!(engine.due(at(2)), both);
        engine.adopt(run(2), at(0), MINUTE, takes(5, 0));
        engine.lose(at(20), [run(2)]);
        assert_eq!(engine.due(at(20)), [Report::Ended { run: run(2), at: at(5), outcome: Outcome::Completed }]);
    }

    #[test]
    fn an_adopted_run_ends_when_it_would_have() {
        let mut engine = ModelEngine::new();
        engine.adopt(run(1), at(0), MINUTE, takes(30, 0));
        engine.adopt(run(2), at(0), MINUTE, None);
        engine.relimit(run(2), at(0), MINUTE + MINUTE, None);
        assert_eq!(engine.due(at(50)), [Report::Ended { run: run(1), at: at(30), outcome: Outcome::Completed }]);
        assert_eq!(engine.next_due(), Some(at(120)));
        engine.signal(at(60), run(2), 10);
        engine.signal(at(61), run(2), 15);
        let killed = Outcome::Failed { exit: 0, signal: 15 };
        assert_eq!(engine.due(at(61)), [Report::Ended { run: run(2), at: at(61), outcome: killed }]);
    }

    #[test]
    fn the_memory_of_ended_runs_is_bounded() {
        let mut engine = ModelEngine::new();
        for job in 0..REMEMBERED as u64 + 100 {
            engine.start(at(job), run(job), MINUTE, takes(0, 0));
            engine.due(at(job));
        }
        assert_eq!(engine.runs.len(), REMEMBERED);
    }
}
