//! A job's life: sent to an engine, stopped, ended, queued again; and what each end means for the books.
use crate::effect::{Effect, Keep, Notice};
use crate::state::Centre;
use alloc::format;
use madang_ledger::Posting;
use madang_model::id::seat;
use madang_model::policy::Refund;
use madang_model::{
    Allocation, Blocked, Checkpoints, EndedRun, GpuTime, Job, JobId, JobState, Outcome, Progress, ProjectId, RunId,
    SiteId, Span, StopCause, Time, Won,
};
use madang_sched::Event;

/// Ended runs kept with a job.
const RUNS_KEPT: usize = 16;
/// Launch failures in a row after which a job is not tried again.
const LAUNCH_TRIES: usize = 3;

impl Centre {
    /// Send a run to its engine, with the limit that it was granted.
    pub(crate) fn start_run(&mut self, run: RunId, on: Allocation, limit: Span) {
        self.leave_queue(run.job);
        let site = self.site_of(&on);
        for slot in &on.slots {
            self.index.enter_node(slot.node, run.job);
            self.out.push(Effect::Notice(Notice::Node(slot.node)));
        }
        let now = self.now;
        let job = self.jobs.get_mut(&run.job).expect("the scheduler starts jobs that are there");
        job.attempts = run.attempt;
        job.note_size(&on);
        job.sent = Some(now);
        job.saved = None;
        job.granted = Some(limit).filter(|limit| *limit != job.left());
        job.state = JobState::Starting { run, on: on.clone(), since: now };
        let (task, project) = (job.task, job.spec.project);
        self.counts.waiting -= 1;
        self.counts.running += 1;
        self.count_project(project, -1, 1);
        if let Some((array, _)) = task {
            self.array_started(array);
        }
        self.wake_waiters(run.job);
        self.notice(Notice::Job(run.job));
        self.out.push(Effect::Start { site, run, on, limit });
    }

    /// Tell a run to stop; its nodes stay held until the engine says that it is gone.
    pub(crate) fn stop_run(&mut self, id: JobId, cause: StopCause) {
        let job = self.jobs.get_mut(&id).expect("stopped jobs are there");
        let state = core::mem::replace(&mut job.state, JobState::Pending { why: Blocked::Fresh });
        let (run, on, since) = match state {
            JobState::Starting { run, on, .. } => (run, on, None),
            JobState::Running { run, on, since, until } => {
                self.index.overdue.remove(&(crate::report::last_call(until), run));
                (run, on, Some(since))
            }
            other => {
                job.state = other;
                return;
            }
        };
        job.state = JobState::Completing { run, on: on.clone(), since, cause };
        if cause == StopCause::NodeLost {
            self.index.overdue.insert((crate::report::last_call(self.now), run));
        }
        if !matches!(cause, StopCause::Preempted { .. } | StopCause::Moved { .. }) {
            self.events.push(Event::Leaving(run));
        }
        let site = self.site_of(&on);
        if cause != StopCause::Limit && self.lost(site).is_some_and(|lost| lost.failed_over) {
            // Nobody answers there: the run is fenced off when time passes next.
            self.index.overdue.insert((self.now, run));
        }
        self.notice(Notice::Job(id));
        self.out.push(Effect::Stop { site, run, cause });
    }

    /// A run is gone: settle it, free what it held, and end or queue its job again.
    pub(crate) fn end_run(&mut self, id: JobId, outcome: Outcome, at: Time) {
        let job = self.jobs.get_mut(&id).expect("ended jobs are there");
        let outcome = crate::deadline::ended_as(job, outcome, at);
        let state = core::mem::replace(&mut job.state, JobState::Pending { why: Blocked::Fresh });
        let (run, on, started) = match state {
            JobState::Starting { run, on, .. } => (run, on, None),
            JobState::Running { run, on, since, until } => {
                self.index.overdue.remove(&(crate::report::last_call(until), run));
                // Where its node is known to be lost, that was counted then.
                if let (Outcome::NodeFailed, Some(slot)) = (outcome, on.slots.first()) {
                    self.fleet.stop(slot.node);
                }
                (run, on, Some(since))
            }
            JobState::Completing { run, on, since, cause } => {
                if cause == StopCause::NodeLost {
                    self.index.overdue.retain(|(_, other)| *other != run);
                }
                (run, on, since)
            }
            other => {
                job.state = other;
                return;
            }
        };
        let sent = job.sent.take().unwrap_or(at);
        let saved = job.saved.take();
        let known = started.map(|since| Checkpoints { since, saved, every: self.jobs[&id].spec.checkpoint });
        let safe = known.map(|known| known.last(at).since(known.since));
        let lost = known.map_or(Span::ZERO, |known| self.lost_by(outcome, known, at));
        self.keep_progress(id, &on, outcome, safe);
        let ended = EndedRun { run, on, sent, started, ended: at, outcome, lost };
        self.settle_run(id, &ended);
        self.release_nodes(id, &ended.on);
        self.events.push(Event::Ended(run));
        let job = self.jobs.get_mut(&id).expect("ended jobs are there");
        self.foresight.note(job, &ended);
        if job.runs.len() >= RUNS_KEPT {
            job.runs.remove(0);
        }
        // Nearly all jobs have one run, and the record stays for years.
        job.runs.reserve_exact(1);
        job.runs.push(ended);
        job.eligible = None;
        let again = match outcome {
            Outcome::Requeued => true,
            Outcome::NodeFailed | Outcome::Preempted => job.spec.requeue,
            Outcome::LaunchFailed => job.spec.requeue && !keeps_failing(job),
            _ => false,
        };
        let (project, task) = (job.spec.project, job.task);
        self.counts.running -= 1;
        if again {
            job.granted = None;
            self.counts.waiting += 1;
            self.count_project(project, 1, -1);
            if let Some((array, _)) = task {
                self.array_requeued(array);
            }
            self.enter_queue(id);
            self.notice(Notice::Job(id));
        } else {
            self.count_project(project, 0, -1);
            self.end_job(id, outcome, false);
        }
    }

    /// End a job that waits.
    pub(crate) fn end_waiting(&mut self, id: JobId, outcome: Outcome) {
        self.leave_queue(id);
        let job = self.jobs.get_mut(&id).expect("ended jobs are there");
        if job.eligible.take().is_some() {
            self.events.push(Event::Withdrawn(id));
        }
        let project = job.spec.project;
        self.counts.waiting -= 1;
        self.count_project(project, -1, 0);
        self.end_job(id, outcome, true);
    }

    fn end_job(&mut self, id: JobId, outcome: Outcome, was_queued: bool) {
        let at = self.now;
        self.unname(id);
        let job = self.jobs.get_mut(&id).expect("ended jobs are there");
        job.state = JobState::Ended { outcome, at };
        let task = job.task;
        let record = self.jobs.shared(id).expect("ended jobs are there");
        self.out.push(Effect::Keep(Keep::Job(record)));
        self.counts.ended += 1;
        self.ended.push_back((at, id));
        self.notice(Notice::Job(id));
        if let Some((array, _)) = task {
            self.array_ended(array, outcome, was_queued);
        }
        self.wake_waiters(id);
    }

    fn release_nodes(&mut self, id: JobId, on: &Allocation) {
        for slot in &on.slots {
            self.index.leave_node(slot.node, id);
            self.out.push(Effect::Notice(Notice::Node(slot.node)));
        }
    }

    /// Charge what a run used, give back what of it the provider's fault has lost, release the rest.
    fn settle_run(&mut self, id: JobId, ended: &EndedRun) {
        let project = self.jobs[&id].spec.project;
        self.dirty.push(project);
        let run = ended.run;
        let Some(started) = ended.started else {
            self.post(Posting::Void { run });
            return;
        };
        let gpus = ended.on.gpus();
        let owner = self.projects[project.index()].owner;
        self.flow(owner, gpus.milli(), started, false);
        self.fleet.flow(&ended.on, started, false);
        self.fleet.serve(&ended.on, ended.ended.since(started));
        // What a pre-emption lost is the centre's doing and is not charged. What a fault lost is, and is given back, so
        // that a statement shows both.
        let kept = Span::from_millis(ended.ended.since(started).millis().saturating_sub(ended.lost.millis()));
        let is_fault = ended.outcome.is_providers_fault();
        let charged = if is_fault { ended.ended.since(started) } else { kept };
        let Some(used) = GpuTime::checked_of(gpus, charged) else {
            self.anomaly(format!("{run} used more GPU time than can be counted; its hold is released"));
            self.post(Posting::Void { run });
            return;
        };
        let site = self.site_of(&ended.on);
        let party = self.base().sites[site.index()].operator;
        let class = self.projects[project.index()].class as usize;
        let rate = self.base().classes[class].rate;
        let price = self.price_of(&ended.on, started);
        if !self.post(Posting::Charge { run, used, price, rate, project, party }) {
            // What cannot be charged is not held for ever either; the anomaly says what was let go.
            self.post(Posting::Void { run });
        } else if !is_fault {
            self.deliver(owner, used);
        } else if kept == Span::ZERO || self.base().policy.refund == Refund::Whole {
            self.post(Posting::Refund { run });
        } else {
            let safe = GpuTime::checked_of(gpus, kept).unwrap_or(used).min(used);
            self.post(Posting::RefundPart { run, back: used - safe });
            self.deliver(owner, safe);
        }
    }

    /// An owner's projects got GPU time that counts.
    fn deliver(&mut self, owner: madang_model::PartyId, used: GpuTime) {
        let delivered = &mut self.delivered[owner.index()];
        *delivered = delivered.checked_add(used).unwrap_or(GpuTime::from_micro_secs(i64::MAX));
    }

    /// A run that lost nodes, or was resized: what is safe of it counts for the job. One that is to begin anew has it all
    /// before it again.
    fn keep_progress(&mut self, id: JobId, on: &Allocation, outcome: Outcome, safe: Option<Span>) {
        let job = self.jobs.get_mut(&id).expect("ended jobs are there");
        let request = &job.spec.request;
        let goes_on = match outcome {
            Outcome::Preempted => request.resizes(),
            Outcome::NodeFailed => request.goes_on(),
            _ => false,
        };
        if let (true, Some(safe)) = (goes_on, safe) {
            job.keep(on, safe);
        }
        if outcome == Outcome::Requeued {
            job.progress = Progress::default();
        }
    }

    /// The time of a run that its end has lost since its last checkpoint and that is not paid for: of a pre-emption by the
    /// scheduler's own rule, of a fault of the provider as the policy says.
    fn lost_by(&self, outcome: Outcome, known: Checkpoints, at: Time) -> Span {
        let cap = match outcome {
            Outcome::Preempted => self.sched.as_ref().map_or(Span::ZERO, |sched| sched.config().taking.cap),
            fault if fault.is_providers_fault() && self.base().policy.refund == Refund::Lost => Span::MAX,
            _ => Span::ZERO,
        };
        known.lost(at, cap)
    }

    /// False when the ledger refused, which is an anomaly.
    fn post(&mut self, posting: Posting) -> bool {
        let refused = self.book.post(self.now, posting).err();
        if let Some(refusal) = &refused {
            self.anomaly(format!("the ledger refused {}: {refusal}", madang_ledger::describe(&posting)));
        }
        refused.is_none()
    }

    /// The market price of a GPU-hour that ruled at a moment for what is held; zero without GPUs or price. Of several
    /// models it is their mean by GPUs, rounded half up.
    fn price_of(&self, on: &Allocation, at: Time) -> Won {
        let (mut gpus, mut sum) = (0i64, 0i64);
        for slot in &on.slots {
            let held = i64::from(slot.devices.count_ones());
            let device = self.base().nodes[slot.node.index()].device.as_ref().filter(|_| held > 0);
            let price = device.map_or(Won::ZERO, |device| self.ruling_price(&device.model, at));
            gpus += held;
            sum = sum.saturating_add(price.won().saturating_mul(held));
        }
        if gpus == 0 { Won::ZERO } else { Won::new(sum.saturating_add(gpus / 2) / gpus) }
    }

    /// The price of a model that ruled at a moment.
    pub(crate) fn ruling_price(&self, model: &str, at: Time) -> Won {
        let ruling = self.base().prices.iter().filter(|price| price.model == model && price.from <= at);
        ruling.max_by_key(|price| price.from).map_or(Won::ZERO, |price| price.won_per_gpu_hour)
    }

    pub(crate) fn site_of(&self, on: &Allocation) -> SiteId {
        on.slots.first().map_or(SiteId::new(0), |slot| self.base().nodes[slot.node.index()].site)
    }

    /// A run's GPUs begin or cease to flow to an owner.
    pub(crate) fn flow(&mut self, owner: madang_model::PartyId, milli: u32, since: Time, begins: bool) {
        let (gpus, weighted) = seat(&mut self.index.flowing, owner.index());
        let part = u128::from(milli) * u128::from(since.millis());
        if begins {
            *gpus += u64::from(milli);
            *weighted += part;
        } else {
            *gpus -= u64::from(milli);
            *weighted -= part;
        }
    }

    pub(crate) fn count_project(&mut self, project: ProjectId, waiting: i64, running: i64) {
        let counts = seat(&mut self.index.by_project, project.index());
        counts.0 = (i64::from(counts.0) + waiting) as u32;
        counts.1 = (i64::from(counts.1) + running) as u32;
    }
}

fn keeps_failing(job: &Job) -> bool {
    let last = job.runs.iter().rev().take(LAUNCH_TRIES);
    last.filter(|run| run.outcome == Outcome::LaunchFailed).count() >= LAUNCH_TRIES
}
