//! A job's life: queued, started, stopped, ended, queued again; and what people may do to it on the way.
use crate::effect::{Effect, Keep, Notice, Reply};
use crate::input::{Alteration, Target};
use crate::refusal::{Code, Refusal};
use crate::state::{Centre, Todo};
use alloc::format;
use alloc::vec::Vec;
use madang_ledger::Posting;
use madang_model::{
    Allocation, Blocked, EndedRun, GpuTime, Job, JobId, JobState, Outcome, ProjectId, RunId, SiteId, StopCause, Time,
    Won,
};
use madang_sched::Event;

/// Ended runs kept with a job.
const RUNS_KEPT: usize = 16;
/// Launch failures in a row after which a job is not tried again.
const LAUNCH_TRIES: usize = 3;

/// What a target means.
enum Picked {
    Array(JobId),
    Job(JobId),
    /// A task that is not a job yet: its array and order.
    Task(JobId, u32),
}

impl Centre {
    // ---- what people do ----

    pub(crate) fn cancel(&mut self, target: Target) -> Result<Reply, Refusal> {
        let done = match self.pick(target)? {
            Picked::Array(array) => {
                let rest = self.array_cancel_rest(array);
                let live = self.live_tasks(array);
                rest + live.into_iter().map(|id| self.cancel_job(id)).sum::<u32>()
            }
            Picked::Job(id) => self.cancel_job(id),
            Picked::Task(array, order) => {
                self.array_skip(array, order);
                1
            }
        };
        if done == 0 {
            return Err(self.over(target));
        }
        Ok(Reply::Jobs(done))
    }

    fn cancel_job(&mut self, id: JobId) -> u32 {
        match self.jobs[&id].state {
            JobState::Pending { .. } => self.end_waiting(id, Outcome::Cancelled),
            JobState::Starting { .. } | JobState::Running { .. } => self.stop_run(id, StopCause::Cancelled),
            JobState::Completing { .. } => {
                if let Some(job) = self.jobs.get_mut(&id)
                    && let JobState::Completing { cause, .. } = &mut job.state
                    && *cause == StopCause::Requeue
                {
                    *cause = StopCause::Cancelled;
                }
            }
            JobState::Ended { .. } => return 0,
        }
        1
    }

    pub(crate) fn hold(&mut self, target: Target) -> Result<Reply, Refusal> {
        self.set_held(target, true)
    }

    pub(crate) fn release(&mut self, target: Target) -> Result<Reply, Refusal> {
        self.set_held(target, false)
    }

    fn set_held(&mut self, target: Target, held: bool) -> Result<Reply, Refusal> {
        let ids = match self.pick(target)? {
            Picked::Array(array) => {
                if let Some(record) = self.arrays.get_mut(&array) {
                    record.held = held;
                }
                self.todo.push_back(Todo::Fill(array));
                let waiting = |id: &JobId| matches!(self.jobs[id].state, JobState::Pending { .. });
                let ids: Vec<JobId> = self.live_tasks(array).into_iter().filter(waiting).collect();
                self.todo.extend(ids.iter().copied().map(Todo::Gate));
                return Ok(Reply::Jobs(ids.len().max(1) as u32));
            }
            Picked::Job(id) => [id],
            Picked::Task(..) => {
                let fact = "this task is not a job of its own yet";
                return Err(Refusal::new(Code::WrongState, fact).hint("hold or release the whole array"));
            }
        };
        for id in ids {
            let job = self.jobs.get_mut(&id).expect("picked jobs are there");
            match job.state {
                // A running job that is held waits when it comes back: requeuehold.
                JobState::Ended { .. } => return Err(self.over(target)),
                _ => job.held = held,
            }
            self.todo.push_back(Todo::Gate(id));
            self.notice(Notice::Job(id));
        }
        Ok(Reply::Jobs(1))
    }

    pub(crate) fn requeue(&mut self, target: Target) -> Result<Reply, Refusal> {
        let ids = match self.pick(target)? {
            Picked::Array(array) => self.live_tasks(array),
            Picked::Job(id) => alloc::vec![id],
            Picked::Task(..) => Vec::new(),
        };
        let mut done = 0;
        for id in ids {
            if matches!(self.jobs[&id].state, JobState::Starting { .. } | JobState::Running { .. }) {
                self.stop_run(id, StopCause::Requeue);
                done += 1;
            }
        }
        if done == 0 {
            let fact = format!("{} does not run", target.job);
            return Err(Refusal::new(Code::WrongState, fact));
        }
        Ok(Reply::Jobs(done))
    }

    pub(crate) fn signal(&mut self, target: Target, signal: i32, shell: bool) -> Result<Reply, Refusal> {
        if !(1..=64).contains(&signal) {
            return Err(Refusal::new(Code::Invalid, format!("{signal} is not a signal number")).hint("1 to 64"));
        }
        let ids = match self.pick(target)? {
            Picked::Array(array) => self.live_tasks(array),
            Picked::Job(id) => alloc::vec![id],
            Picked::Task(..) => Vec::new(),
        };
        let mut done = 0;
        for id in ids {
            if let JobState::Running { run, on, .. } = &self.jobs[&id].state {
                let site = self.site_of(on);
                self.out.push(Effect::Signal { site, run: *run, signal, shell });
                done += 1;
            }
        }
        if done == 0 {
            return Err(Refusal::new(Code::WrongState, format!("{} does not run", target.job)));
        }
        Ok(Reply::Jobs(done))
    }

    pub(crate) fn alter(&mut self, target: Target, change: &Alteration) -> Result<Reply, Refusal> {
        let ids = match self.pick(target)? {
            Picked::Array(array) => {
                self.check_alteration(&self.arrays[&array].spec.clone(), change)?;
                let record = self.arrays.get_mut(&array).expect("picked arrays are there");
                apply_alteration(&mut record.spec, change);
                self.live_tasks(array)
            }
            Picked::Job(id) => alloc::vec![id],
            Picked::Task(..) => {
                let fact = "this task is not a job of its own yet";
                return Err(Refusal::new(Code::WrongState, fact).hint("alter the whole array"));
            }
        };
        for id in &ids {
            if matches!(self.jobs[id].state, JobState::Ended { .. } | JobState::Completing { .. }) {
                return Err(self.over(target));
            }
            self.check_alteration(&self.jobs[id].spec.clone(), change)?;
        }
        for id in &ids {
            self.alter_job(*id, change);
        }
        Ok(Reply::Jobs(ids.len().max(1) as u32))
    }

    fn check_alteration(&self, spec: &madang_model::JobSpec, change: &Alteration) -> Result<(), Refusal> {
        let partition = &self.base().partitions[spec.partition.index()];
        if let Some(limit) = change.limit {
            crate::submit::check_limit(limit, partition)?;
        }
        if let Some(name) = &change.name {
            crate::submit::check_text("name", name, crate::submit::NAME_MOST)?;
        }
        if let Some(comment) = &change.comment {
            crate::submit::check_text("comment", comment, crate::submit::COMMENT_MOST)?;
        }
        Ok(())
    }

    fn alter_job(&mut self, id: JobId, change: &Alteration) {
        let named = change.name.is_some();
        if named {
            self.unname(id);
        }
        let job = self.jobs.get_mut(&id).expect("altered jobs are there");
        apply_alteration(&mut job.spec, change);
        let limit = job.spec.limit;
        if let JobState::Running { run, since, until, .. } = &mut job.state {
            let (run, before) = (*run, *until);
            *until = *since + limit;
            let after = *until;
            self.index.overdue.remove(&(crate::report::last_call(before), run));
            self.index.overdue.insert((crate::report::last_call(after), run));
            self.events.push(Event::Extended(run, after + crate::GRACE));
        } else if let (JobState::Pending { .. }, Some(since)) = (&job.state, job.eligible) {
            self.events.push(Event::Withdrawn(id));
            let ask = self.ask_of(&self.jobs[&id], since);
            self.events.push(Event::Queued(ask));
        }
        if named {
            let job = &self.jobs[&id];
            let name = (job.spec.user, job.spec.name.clone());
            self.index.named.entry(name).or_default().insert(id);
        }
        self.notice(Notice::Job(id));
    }

    fn pick(&self, target: Target) -> Result<Picked, Refusal> {
        let unknown = || Refusal::new(Code::NotFound, format!("{} is not known", target.job));
        if let Some(task) = target.task {
            let record = self.arrays.get(&target.job).ok_or_else(unknown)?;
            let order = record
                .order_of(task)
                .ok_or_else(|| Refusal::new(Code::NotFound, format!("{} has no task {task}", target.job)))?;
            let id = record.job_at(order);
            return match self.jobs.contains_key(&id) {
                true => Ok(Picked::Job(id)),
                false if order >= record.first_waiting => Ok(Picked::Task(target.job, order)),
                false => Err(self.over(target)),
            };
        }
        if self.jobs.contains_key(&target.job) {
            return Ok(Picked::Job(target.job));
        }
        if self.arrays.contains_key(&target.job) {
            return Ok(Picked::Array(target.job));
        }
        if self.outcomes.contains_key(&target.job) {
            return Err(self.over(target));
        }
        let (_, record) = self.arrays.range(..target.job).next_back().ok_or_else(unknown)?;
        let order = (target.job.number() - record.id.number() - 1) as u32;
        if order < record.count && order >= record.first_waiting {
            return Ok(Picked::Task(record.id, order));
        }
        Err(unknown())
    }

    fn over(&self, target: Target) -> Refusal {
        Refusal::new(Code::WrongState, format!("{} is over", target.job))
    }

    /// Tasks of an array that are jobs and not ended.
    pub(crate) fn live_tasks(&self, array: JobId) -> Vec<JobId> {
        let Some(record) = self.arrays.get(&array) else { return Vec::new() };
        let last = record.job_at(record.count);
        let live = |(id, job): (&JobId, &alloc::boxed::Box<Job>)| {
            (!matches!(job.state, JobState::Ended { .. })).then_some(*id)
        };
        self.jobs.range(record.job_at(0)..last).filter_map(live).collect()
    }

    // ---- what becomes of runs ----

    /// Send a run to its engine.
    pub(crate) fn start_run(&mut self, run: RunId, on: Allocation) {
        self.leave_queue(run.job);
        let site = self.site_of(&on);
        for slot in &on.slots {
            self.index.on_node.entry(slot.node).or_default().insert(run.job);
            self.out.push(Effect::Notice(Notice::Node(slot.node)));
        }
        let now = self.now;
        let job = self.jobs.get_mut(&run.job).expect("the scheduler starts jobs that are there");
        job.attempts = run.attempt;
        job.sent = Some(now);
        job.state = JobState::Starting { run, on: on.clone(), since: now };
        let (limit, task, project) = (job.spec.limit, job.task, job.spec.project);
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
            self.index.overdue.insert((self.now + crate::GRACE + crate::PATIENCE, run));
        }
        let site = self.site_of(&on);
        self.notice(Notice::Job(id));
        self.out.push(Effect::Stop { site, run, cause });
    }

    /// A run is gone: settle it, free what it held, and end or queue its job again.
    pub(crate) fn end_run(&mut self, id: JobId, outcome: Outcome, at: Time) {
        let job = self.jobs.get_mut(&id).expect("ended jobs are there");
        let state = core::mem::replace(&mut job.state, JobState::Pending { why: Blocked::Fresh });
        let (run, on, started) = match state {
            JobState::Starting { run, on, .. } => (run, on, None),
            JobState::Running { run, on, since, until } => {
                self.index.overdue.remove(&(crate::report::last_call(until), run));
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
        let ended = EndedRun { run, on, sent, started, ended: at, outcome };
        self.settle_run(id, &ended);
        self.release_nodes(id, &ended.on);
        self.events.push(Event::Ended(run));
        let job = self.jobs.get_mut(&id).expect("ended jobs are there");
        job.runs.push(ended);
        if job.runs.len() > RUNS_KEPT {
            job.runs.remove(0);
        }
        job.eligible = None;
        let again = match outcome {
            Outcome::Requeued => true,
            Outcome::NodeFailed => job.spec.requeue,
            Outcome::LaunchFailed => job.spec.requeue && !keeps_failing(job),
            _ => false,
        };
        let (project, task) = (job.spec.project, job.task);
        self.counts.running -= 1;
        if again {
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
        self.out.push(Effect::Keep(Keep::Job(job.clone())));
        self.counts.ended += 1;
        self.ended.push_back((at, id));
        self.notice(Notice::Job(id));
        if let Some((array, _)) = task {
            self.array_ended(array, outcome, was_queued);
        }
        self.wake_waiters(id);
    }

    /// An active job leaves the list of its name; the next of that name may be free to go.
    fn unname(&mut self, id: JobId) {
        let job = &self.jobs[&id];
        let name = (job.spec.user, job.spec.name.clone());
        let Some(ids) = self.index.named.get_mut(&name) else { return };
        ids.remove(&id);
        match ids.first().copied() {
            Some(next) => self.todo.push_back(Todo::Gate(next)),
            None => {
                self.index.named.remove(&name);
            }
        }
    }

    fn release_nodes(&mut self, id: JobId, on: &Allocation) {
        for slot in &on.slots {
            if let Some(jobs) = self.index.on_node.get_mut(&slot.node) {
                jobs.remove(&id);
                if jobs.is_empty() {
                    self.index.on_node.remove(&slot.node);
                }
            }
            self.out.push(Effect::Notice(Notice::Node(slot.node)));
        }
    }

    /// Charge what a run used, give it back where the provider was at fault, release the rest.
    fn settle_run(&mut self, id: JobId, ended: &EndedRun) {
        let project = self.jobs[&id].spec.project;
        self.dirty.insert(project);
        let run = ended.run;
        let Some(started) = ended.started else {
            return self.post(Posting::Void { run });
        };
        let gpus = ended.on.gpus();
        let owner = self.projects[project.index()].owner;
        self.flow(owner, gpus.milli(), started, false);
        let Some(used) = GpuTime::checked_of(gpus, ended.ended.since(started)) else {
            self.anomaly(format!("{run} used more GPU time than can be counted; its hold is released"));
            return self.post(Posting::Void { run });
        };
        let site = self.site_of(&ended.on);
        let party = self.base().sites[site.index()].operator;
        let class = self.projects[project.index()].class as usize;
        let rate = self.base().classes[class].rate;
        let price = self.price_of(&ended.on, started);
        self.post(Posting::Charge { run, used, price, rate, project, party });
        if ended.outcome.is_providers_fault() {
            self.post(Posting::Refund { run });
        } else {
            self.delivered[owner.index()] += used;
        }
    }

    fn post(&mut self, posting: Posting) {
        if let Err(refusal) = self.book.post(self.now, posting) {
            self.anomaly(format!("the ledger refused {}: {refusal}", madang_ledger::describe(&posting)));
        }
    }

    /// The market price that ruled at a moment for the GPU model of an allocation; zero without GPUs or price.
    fn price_of(&self, on: &Allocation, at: Time) -> Won {
        let base = self.base();
        let with_gpu = on.slots.iter().find(|slot| slot.devices != 0);
        let device = with_gpu.and_then(|slot| base.nodes[slot.node.index()].device.as_ref());
        let Some(device) = device else { return Won::ZERO };
        let ruling = base.prices.iter().filter(|price| price.model == device.model && price.from <= at);
        ruling.max_by_key(|price| price.from).map_or(Won::ZERO, |price| price.won_per_gpu_hour)
    }

    pub(crate) fn site_of(&self, on: &Allocation) -> SiteId {
        on.slots.first().map_or(SiteId::new(0), |slot| self.base().nodes[slot.node.index()].site)
    }

    /// A run's GPUs begin or cease to flow to an owner.
    pub(crate) fn flow(&mut self, owner: madang_model::PartyId, milli: u32, since: Time, begins: bool) {
        let (gpus, weighted) = self.index.flowing.entry(owner.number()).or_default();
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
        let counts = self.index.by_project.entry(project).or_default();
        counts.0 = (i64::from(counts.0) + waiting) as u32;
        counts.1 = (i64::from(counts.1) + running) as u32;
    }
}

fn keeps_failing(job: &Job) -> bool {
    let last = job.runs.iter().rev().take(LAUNCH_TRIES);
    last.filter(|run| run.outcome == Outcome::LaunchFailed).count() >= LAUNCH_TRIES
}

fn apply_alteration(spec: &mut madang_model::JobSpec, change: &Alteration) {
    if let Some(limit) = change.limit {
        spec.limit = limit;
    }
    if let Some(qos) = change.qos {
        spec.qos = qos;
    }
    if let Some(nice) = change.nice {
        spec.nice = nice;
    }
    if let Some(name) = &change.name {
        spec.name.clone_from(name);
    }
    if let Some(comment) = &change.comment {
        spec.comment.clone_from(comment);
    }
}
