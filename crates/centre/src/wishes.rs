//! What people may do to a job: cancel, hold, release, requeue, signal, alter.
use crate::effect::{Effect, Notice, Reply};
use crate::input::{Alteration, Target};
use crate::refusal::{Code, Refusal};
use crate::state::{Centre, Todo};
use alloc::format;
use alloc::vec::Vec;
use madang_ledger::{Account, Posting};
use madang_model::{AwardId, GpuTime, JobId, JobSpec, JobState, Outcome, RunId, Span, StopCause};
use madang_sched::Event;

/// What a target means.
enum Picked {
    Array(JobId),
    Job(JobId),
    /// A task that is not a job yet: its array and order.
    Task(JobId, u32),
}

impl Centre {
    pub(crate) fn cancel(&mut self, target: Target) -> Result<Reply, Refusal> {
        let done = match self.pick(target)? {
            Picked::Array(array) => {
                let rest = self.array_end_rest(array, Outcome::Cancelled);
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
                    && matches!(cause, StopCause::Requeue | StopCause::Preempted { .. } | StopCause::Moved { .. })
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
                for id in self.live_tasks(array) {
                    self.jobs.get_mut(&id).expect("live tasks are there").held = held;
                }
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
        let ids = self.jobs_meant(target)?;
        let mut done = 0;
        for id in ids {
            if matches!(self.jobs[&id].state, JobState::Starting { .. } | JobState::Running { .. }) {
                self.stop_run(id, StopCause::Requeue);
                done += 1;
            }
        }
        if done == 0 {
            return Err(does_not_run(target));
        }
        Ok(Reply::Jobs(done))
    }

    /// A run says that what it did until now is safe.
    pub(crate) fn checkpoint(&mut self, target: Target, took: Option<Span>) -> Result<Reply, Refusal> {
        let runs: Vec<RunId> = self.jobs_meant(target)?.iter().filter_map(|id| self.running(*id)).collect();
        if runs.is_empty() {
            return Err(does_not_run(target));
        }
        let now = self.now;
        for run in &runs {
            self.saved(*run, now);
            let job = self.jobs.get_mut(&run.job).expect("a running run has a job");
            job.saving = took.or(job.saving);
        }
        Ok(Reply::Jobs(runs.len() as u32))
    }

    fn running(&self, id: JobId) -> Option<RunId> {
        match self.jobs[&id].state {
            JobState::Running { run, .. } => Some(run),
            _ => None,
        }
    }

    pub(crate) fn finish(&mut self, target: Target, exit: i32) -> Result<Reply, Refusal> {
        if let Picked::Job(id) = self.pick(target)?
            && let JobState::Running { run, on, .. } = &self.jobs[&id].state
        {
            let site = self.site_of(on);
            self.out.push(Effect::Release { site, run: *run, exit });
            return Ok(Reply::Jobs(1));
        }
        Err(does_not_run(target))
    }

    pub(crate) fn signal(&mut self, target: Target, signal: i32, shell: bool) -> Result<Reply, Refusal> {
        if !(1..=64).contains(&signal) {
            return Err(Refusal::new(Code::Invalid, format!("{signal} is not a signal number")).hint("1 to 64"));
        }
        let ids = self.jobs_meant(target)?;
        let mut done = 0;
        for id in ids {
            if let JobState::Running { run, on, .. } = &self.jobs[&id].state {
                let site = self.site_of(on);
                self.out.push(Effect::Signal { site, run: *run, signal, shell });
                done += 1;
            }
        }
        if done == 0 {
            return Err(does_not_run(target));
        }
        Ok(Reply::Jobs(done))
    }

    pub(crate) fn alter(&mut self, target: Target, change: &Alteration) -> Result<Reply, Refusal> {
        let ids = match self.pick(target)? {
            Picked::Array(array) => {
                self.check_alteration(&self.arrays[&array].spec, change)?;
                if change.limit.is_some() {
                    self.check_deadline(&altered(&self.arrays[&array].spec, change))?;
                }
                self.unwatch_deadline(array);
                let record = self.arrays.get_mut(&array).expect("picked arrays are there");
                apply_alteration(&mut record.spec, change);
                self.watch_deadline(array);
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
            self.check_alteration(&self.jobs[id].spec, change)?;
            self.check_extension(*id, change)?;
            self.check_windows(*id, change)?;
        }
        for id in &ids {
            self.alter_job(*id, change);
        }
        Ok(Reply::Jobs(ids.len().max(1) as u32))
    }

    fn check_alteration(&self, spec: &JobSpec, change: &Alteration) -> Result<(), Refusal> {
        for id in change.limit.iter().flat_map(|_| spec.partitions()) {
            let partition = &self.base().partitions[id.index()];
            crate::submit::check_limit(change.limit.unwrap_or_default(), partition)?;
        }
        if let Some(name) = &change.name {
            crate::submit::check_text("name", name, crate::submit::NAME_MOST)?;
        }
        if let Some(comment) = &change.comment {
            crate::submit::check_text("comment", comment, crate::submit::COMMENT_MOST)?;
        }
        Ok(())
    }

    /// A raised limit of a run must be covered by the award that its hold is out of.
    fn check_extension(&self, id: JobId, change: &Alteration) -> Result<(), Refusal> {
        let Some((award, more)) = self.extension(id, change) else { return Ok(()) };
        let free = self.book.balance(Account::Free(award)).0;
        if more <= free {
            return Ok(());
        }
        Err(Refusal::new(Code::WrongState, format!("{id} would hold {more} more, {award} has {free} left"))
            .hint("ask for a shorter limit, or for a larger award"))
    }

    /// A raised limit of a run must not take it into a window that is not its own.
    fn check_windows(&self, id: JobId, change: &Alteration) -> Result<(), Refusal> {
        let (job, Some(limit)) = (&self.jobs[&id], change.limit) else { return Ok(()) };
        let (run, since) = match &job.state {
            JobState::Starting { run, since, .. } | JobState::Running { run, since, .. } => (*run, *since),
            JobState::Pending { .. } => {
                let altered = altered(&job.spec, change);
                self.check_deadline(&altered)?;
                return self.check_own_window(&job.spec.request, altered.least());
            }
            JobState::Completing { .. } | JobState::Ended { .. } => return Ok(()),
        };
        if limit <= job.limit() {
            return Ok(());
        }
        if job.spec.deadline.is_some_and(|deadline| since.after(limit) > deadline) {
            let fact = format!("{id} has to end by its deadline, with a limit of {limit} it would not");
            return Err(Refusal::new(Code::Invalid, fact));
        }
        self.check_runs_into(run, since + self.covered(limit))
    }

    /// What a raised limit adds to the hold of a run, and out of which award.
    fn extension(&self, id: JobId, change: &Alteration) -> Option<(AwardId, GpuTime)> {
        let job = &self.jobs[&id];
        let (JobState::Starting { run, on, .. } | JobState::Running { run, on, .. }) = &job.state else { return None };
        let (award, held) = self.book.hold_of(*run)?;
        let all = GpuTime::checked_of(on.gpus(), self.covered(change.limit?))?;
        (all > held).then(|| (award, all - held))
    }

    fn alter_job(&mut self, id: JobId, change: &Alteration) {
        let named = change.name.is_some();
        let more = self.extension(id, change);
        if named {
            self.unname(id);
        }
        let waits = matches!(self.jobs[&id].state, JobState::Pending { .. });
        if waits {
            self.unwatch_deadline(id);
        }
        let job = &self.jobs[&id];
        let asked = job.eligible.map(|since| self.ask_of(job, since));
        let job = self.jobs.get_mut(&id).expect("altered jobs are there");
        apply_alteration(&mut job.spec, change);
        if change.limit.is_some() {
            job.granted = None;
        }
        let limit = job.limit();
        if waits {
            self.watch_deadline(id);
        }
        self.follow_limit(id, change.limit.map(|_| limit), more);
        let job = self.jobs.get_mut(&id).expect("altered jobs are there");
        if let JobState::Running { run, since, until, .. } = &mut job.state {
            let (run, before) = (*run, *until);
            *until = *since + limit;
            let after = *until;
            self.index.overdue.remove(&(crate::report::last_call(before), run));
            self.index.overdue.insert((crate::report::last_call(after), run));
            self.events.push(Event::Extended(run, after + crate::GRACE));
        } else if let (JobState::Pending { .. }, Some(since)) = (&job.state, job.eligible) {
            // What changes nothing for the scheduler does not cost the job its promise.
            if asked != Some(self.ask_of(&self.jobs[&id], since)) {
                self.ask_anew(id, since);
            }
        }
        if named {
            self.enter_name(id);
            // Under another name a singleton waits for others, or for nobody.
            self.todo.push_back(Todo::Gate(id));
        }
        self.notice(Notice::Job(id));
    }

    /// A run's engine and its hold follow a changed limit. Several tasks of an array may raise theirs at once, each
    /// checked alone: one that the award no longer covers keeps its hold, and its charge takes the rest out of what is
    /// free.
    fn follow_limit(&mut self, id: JobId, limit: Option<Span>, more: Option<(AwardId, GpuTime)>) {
        let job = &self.jobs[&id];
        let (JobState::Starting { run, on, .. } | JobState::Running { run, on, .. }) = &job.state else { return };
        let (run, project) = (*run, job.spec.project);
        if let Some(limit) = limit {
            let site = self.site_of(on);
            self.out.push(Effect::Limit { site, run, limit });
        }
        if let Some((_, amount)) = more {
            self.dirty.push(project);
            if let Err(refusal) = self.book.post(self.now, Posting::Extend { run, amount }) {
                self.anomaly(format!("the hold of {run} was not extended: {refusal}"));
            }
        }
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
        let order = u32::try_from(target.job.number() - record.id.number() - 1).map_err(|_| unknown())?;
        if order < record.count && order >= record.first_waiting {
            return Ok(Picked::Task(record.id, order));
        }
        Err(unknown())
    }

    /// The jobs that a target means; none for a task that is not a job yet.
    fn jobs_meant(&self, target: Target) -> Result<Vec<JobId>, Refusal> {
        Ok(match self.pick(target)? {
            Picked::Array(array) => self.live_tasks(array),
            Picked::Job(id) => alloc::vec![id],
            Picked::Task(..) => Vec::new(),
        })
    }

    fn over(&self, target: Target) -> Refusal {
        Refusal::new(Code::WrongState, format!("{} is over", target.job))
    }

    /// Tasks of an array that are jobs and not ended.
    pub(crate) fn live_tasks(&self, array: JobId) -> Vec<JobId> {
        let Some(record) = self.arrays.get(&array) else { return Vec::new() };
        let last = record.job_at(record.count);
        let tasks = self.jobs.from(record.job_at(0)).take_while(|job| job.id < last);
        tasks.filter(|job| !matches!(job.state, JobState::Ended { .. })).map(|job| job.id).collect()
    }
}

fn does_not_run(target: Target) -> Refusal {
    Refusal::new(Code::WrongState, format!("{} does not run", target.job))
}

fn altered(spec: &JobSpec, change: &Alteration) -> JobSpec {
    let mut spec = spec.clone();
    apply_alteration(&mut spec, change);
    spec
}

fn apply_alteration(spec: &mut JobSpec, change: &Alteration) {
    if let Some(limit) = change.limit {
        spec.limit = limit;
    }
    if let Some(qos) = change.qos {
        spec.qos = qos;
    }
    if let Some(nice) = change.nice {
        spec.nice = crate::submit::nice(nice);
    }
    if let Some(name) = &change.name {
        spec.name.clone_from(name);
    }
    if let Some(comment) = &change.comment {
        spec.comment.clone_from(comment);
    }
}
