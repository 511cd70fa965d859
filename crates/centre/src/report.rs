//! What engines report, and what time brings. A report that does not fit is an anomaly: counted, kept, survived.
use crate::effect::{Effect, Notice};
use crate::input::Report;
use crate::state::{Centre, Todo};
use alloc::format;
use madang_model::{JobState, Outcome, RunId, StopCause, Time};
use madang_sched::Event;

/// When the core stops waiting for the engine to end a run by itself.
pub(crate) fn last_call(until: Time) -> Time {
    until + crate::GRACE + crate::PATIENCE
}

impl Centre {
    /// What the clock alone brings: begin times, deadlines, awards that begin or end, runs that outlive their limit.
    pub(crate) fn let_time_pass(&mut self) {
        while let Some(&(at, id)) = self.index.begins.first().filter(|(at, _)| *at <= self.now) {
            self.index.begins.remove(&(at, id));
            self.todo.push_back(Todo::Gate(id));
        }
        while let Some(&(at, id)) = self.index.deadlines.first().filter(|(at, _)| *at <= self.now) {
            self.index.deadlines.remove(&(at, id));
            self.todo.push_back(Todo::Gate(id));
        }
        while let Some(&(at, project)) = self.index.award_edges.first().filter(|(at, _)| *at <= self.now) {
            self.index.award_edges.remove(&(at, project));
            self.dirty.push(project);
        }
        while let Some(&(at, run)) = self.index.overdue.first().filter(|(at, _)| *at <= self.now) {
            self.index.overdue.remove(&(at, run));
            self.give_up_on(run);
        }
        self.fail_over_due();
        self.end_reservations();
        self.settle();
    }

    fn give_up_on(&mut self, run: RunId) {
        if self.current(run).is_some() && self.fence_if_lost(run.job) {
            return;
        }
        match self.current(run) {
            Some(JobState::Running { .. }) => self.stop_run(run.job, StopCause::Limit),
            // The lost node takes no work while it is down, so nothing can be placed on what it may still run.
            Some(JobState::Completing { cause: StopCause::NodeLost, .. }) => {
                self.end_run(run.job, Outcome::NodeFailed, self.now);
            }
            // Cancelled first, and its node lost before the engine could say that it is gone.
            Some(JobState::Completing { cause: StopCause::Cancelled, .. }) => {
                self.end_run(run.job, Outcome::Cancelled, self.now);
            }
            _ => {}
        }
    }

    pub(crate) fn report(&mut self, report: Report) {
        match report {
            Report::Started { run, at } => self.started(run, at),
            Report::Ended { run, at, outcome } => self.run_ended(run, at, outcome),
            Report::Checkpoint { run, at } => self.saved(run, at),
            Report::Unknown { run } => self.unknown(run),
            Report::NodeUp { node } => self.node_up(&node),
            Report::NodeDown { node, why } => self.node_down(&node, why),
        }
    }

    /// The run a job is at, if it is at one.
    fn current(&self, run: RunId) -> Option<&JobState> {
        let state = &self.jobs.get(&run.job)?.state;
        state.holding().is_some_and(|(now, _)| now == run).then_some(state)
    }

    fn started(&mut self, run: RunId, at: Time) {
        let owner_of = |centre: &Centre| centre.projects[centre.jobs[&run.job].spec.project.index()].owner;
        match self.current(run) {
            None => self.stale_start(run),
            Some(JobState::Starting { on, since: sent, .. }) => {
                let since = at.clamp(*sent, self.now);
                self.flow(owner_of(self), on.gpus().milli(), since, true);
                self.cut_at_deadline(run.job, since);
                let job = self.jobs.get_mut(&run.job).expect("a current run has a job");
                let until = since + job.limit();
                if let JobState::Starting { on, .. } = &mut job.state {
                    let on = core::mem::take(on);
                    self.fleet.flow(&on, since, true);
                    job.state = JobState::Running { run, on, since, until };
                }
                self.index.overdue.insert((last_call(until), run));
                self.wake_waiters(run.job);
                self.notice(Notice::Job(run.job));
            }
            Some(JobState::Completing { on, since: None, .. }) => {
                let gpus = on.gpus().milli();
                let job = self.jobs.get_mut(&run.job).expect("a current run has a job");
                let began = at.clamp(job.sent.unwrap_or(self.now), self.now);
                if let JobState::Completing { since, on, .. } = &mut job.state {
                    *since = Some(began);
                    self.fleet.flow(on, began, true);
                }
                self.flow(owner_of(self), gpus, began, true);
            }
            Some(_) => self.anomaly(format!("{run} reported its start twice")),
        }
    }

    /// A start of a try that is not the present one: it must not go on.
    fn stale_start(&mut self, run: RunId) {
        self.anomaly(format!("{run} reported a start, but is not the present try of its job"));
        let former = self.jobs.get(&run.job).and_then(|job| job.runs.iter().find(|ended| ended.run == run));
        if let Some(site) = former.map(|ended| self.site_of(&ended.on)) {
            self.out.push(Effect::Stop { site, run, cause: StopCause::Stale });
        }
    }

    fn run_ended(&mut self, run: RunId, at: Time, outcome: Outcome) {
        let (outcome, lost_start) = match self.current(run) {
            None => {
                self.unfence(run);
                return self.anomaly(format!("{run} reported an end, but is not the present try of its job"));
            }
            Some(JobState::Starting { since, .. }) => (outcome, (outcome != Outcome::LaunchFailed).then_some(*since)),
            Some(JobState::Completing { cause, .. }) => (stopped_as(*cause, outcome), None),
            Some(_) => (outcome, None),
        };
        if let Some(sent) = lost_start {
            self.anomaly(format!("{run} reported an end without a start; it is taken to have begun when it was sent"));
            self.started(run, sent);
        }
        let since = match self.current(run) {
            Some(JobState::Running { since, .. }) => *since,
            _ => Time::default(),
        };
        self.hold_to_account(run, outcome);
        self.end_run(run.job, outcome, at.clamp(since, self.now.max(since)));
    }

    /// A run wrote a checkpoint. What is reported late counts from when it was written.
    pub(crate) fn saved(&mut self, run: RunId, at: Time) {
        if self.current(run).is_none() {
            return self.anomaly(format!("{run} reported a checkpoint, but is not the present try of its job"));
        }
        let now = self.now;
        let job = self.jobs.get_mut(&run.job).expect("a current run has a job");
        job.saved = job.saved.max(Some(at.min(now)));
        self.events.extend(job.saved.map(|saved| Event::Saved(run, saved)));
    }

    /// The engine has never heard of a run.
    fn unknown(&mut self, run: RunId) {
        let outcome = match self.current(run) {
            None => return self.unfence(run),
            Some(JobState::Completing { cause, .. }) => stopped_as(*cause, Outcome::Cancelled),
            Some(JobState::Starting { .. }) => Outcome::Requeued,
            Some(_) => Outcome::NodeFailed,
        };
        self.anomaly(format!("the engine does not know {run}"));
        self.end_run(run.job, outcome, self.now);
    }

    pub(crate) fn stop_all_on(&mut self, node: madang_model::NodeId) {
        let jobs = self.index.jobs_on(node).to_vec();
        for id in jobs {
            match self.jobs[&id].state {
                JobState::Starting { .. } | JobState::Running { .. } => self.stop_run(id, StopCause::NodeLost),
                JobState::Completing { run, .. } => {
                    self.index.overdue.insert((last_call(self.now), run));
                    if let Some(job) = self.jobs.get_mut(&id)
                        && let JobState::Completing { cause, .. } = &mut job.state
                        && *cause != StopCause::Cancelled
                    {
                        *cause = StopCause::NodeLost;
                    }
                }
                _ => {}
            }
        }
    }
}

/// How a run that was told to stop ended: as told, unless it came to its own end at its limit.
pub(crate) fn stopped_as(cause: StopCause, reported: Outcome) -> Outcome {
    match (cause, reported) {
        (StopCause::Limit, Outcome::Completed) => Outcome::Completed,
        (StopCause::Limit, _) => Outcome::TimedOut,
        (StopCause::Cancelled, _) => Outcome::Cancelled,
        (StopCause::Requeue, _) => Outcome::Requeued,
        (StopCause::Preempted { .. } | StopCause::Moved { .. }, Outcome::Completed) => Outcome::Completed,
        (StopCause::Preempted { .. } | StopCause::Moved { .. }, _) => Outcome::Preempted,
        (StopCause::NodeLost | StopCause::Stale, _) => Outcome::NodeFailed,
    }
}
