//! Gates: what keeps a job from even queueing — a hold, a begin time, other jobs.
//!
//! Everything that opens a gate names the job on a list ([`Todo`]) and [`Centre::settle`] works it off, so that long
//! chains of dependents cost no stack.
use crate::foresight::Like;
use crate::state::{Centre, Todo};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use madang_model::{
    Blocked, Dependency, DependencyKind, Health, Job, JobId, JobSpec, JobState, Outcome, Request, RunId, Span, Time,
    Topology, UserId,
};
use madang_sched::{Ask, Event};

/// What is known of a job or an array as something to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Never seen, or long forgotten.
    Unknown,
    /// Not started.
    Waiting,
    /// Started then.
    Started(Time),
    /// Ended so.
    Ended(Outcome),
}

/// Whether a wait is over.
enum Verdict {
    Met,
    NotYet { look_at: Option<Time> },
    Never,
}

/// A gate: open, or shut for a reason and perhaps until a moment.
enum Gate {
    Open,
    Shut { why: Blocked, look_at: Option<Time> },
}

impl Centre {
    /// Work off the list of what is to be looked at.
    pub(crate) fn settle(&mut self) {
        while let Some(todo) = self.todo.pop_front() {
            match todo {
                Todo::Gate(id) if self.arrays.contains_key(&id) => self.fill_array(id),
                Todo::Gate(id) => self.look_at_gate(id),
                Todo::Fill(id) => self.fill_array(id),
            }
        }
    }

    /// A job begins to wait: enter it wherever something may wake it, and look at its gate.
    pub(crate) fn enter_queue(&mut self, id: JobId) {
        let job = &self.jobs[&id];
        for wait in &job.spec.after {
            self.index.waiters.entry(wait.on).or_default().insert(id);
        }
        self.enter_name(id);
        self.watch_deadline(id);
        self.todo.push_back(Todo::Gate(id));
    }

    /// An active job enters the list of its name. The lists are made when the first job comes that heeds them.
    pub(crate) fn enter_name(&mut self, id: JobId) {
        let spec = &self.jobs[&id].spec;
        if self.index.named.is_none() && spec.singleton {
            self.index.named = Some(self.names());
        } else if let Some(named) = &mut self.index.named {
            named.entry((spec.user, spec.name.clone())).or_default().insert(id);
        }
    }

    /// The active jobs by user and name.
    pub(crate) fn names(&self) -> BTreeMap<(UserId, String), BTreeSet<JobId>> {
        let mut named: BTreeMap<_, BTreeSet<JobId>> = BTreeMap::new();
        for job in self.jobs.values().filter(|job| !matches!(job.state, JobState::Ended { .. })) {
            named.entry((job.spec.user, job.spec.name.clone())).or_default().insert(job.id);
        }
        named
    }

    /// An active job leaves the list of its name; the next of that name may be free to go. Only one that heeds the list is
    /// looked at: whether there are lists depends on when the core was last restored.
    pub(crate) fn unname(&mut self, id: JobId) {
        let Some(named) = &mut self.index.named else { return };
        let spec = &self.jobs[&id].spec;
        let name = (spec.user, spec.name.clone());
        let Some(ids) = named.get_mut(&name) else { return };
        ids.remove(&id);
        match ids.first().copied() {
            Some(next) if self.jobs[&next].spec.singleton => self.todo.push_back(Todo::Gate(next)),
            Some(_) => {}
            None => {
                named.remove(&name);
            }
        }
    }

    /// A job no longer waits: nothing need wake it.
    pub(crate) fn leave_queue(&mut self, id: JobId) {
        self.unwatch_deadline(id);
        let job = &self.jobs[&id];
        for on in job.spec.after.iter().map(|wait| wait.on) {
            if let Some(waiting) = self.index.waiters.get_mut(&on) {
                waiting.remove(&id);
                if waiting.is_empty() {
                    self.index.waiters.remove(&on);
                }
            }
        }
    }

    /// Whoever waits for this job or array is to be looked at.
    pub(crate) fn wake_waiters(&mut self, id: JobId) {
        if let Some(waiting) = self.index.waiters.get(&id) {
            self.todo.extend(waiting.iter().copied().map(Todo::Gate));
        }
    }

    /// Open or shut a waiting job's gate.
    pub(crate) fn look_at_gate(&mut self, id: JobId) {
        let Some(job) = self.jobs.get(&id) else { return };
        let JobState::Pending { .. } = job.state else { return };
        if self.is_too_late(job.last_start()) {
            return self.end_waiting(id, Outcome::Deadline);
        }
        let queued = job.eligible.is_some();
        match self.gate(job) {
            Gate::Open if queued => self.lose_patience(id),
            Gate::Open => self.ask(id),
            Gate::Shut { why, look_at } => {
                self.index.begins.extend(look_at.map(|at| (at, id)));
                let never = matches!(why, Blocked::DependencyNever { .. });
                let job = self.jobs.get_mut(&id).expect("looked up above");
                job.state = JobState::Pending { why };
                job.eligible = None;
                if queued {
                    self.events.push(Event::Withdrawn(id));
                }
                if never && self.jobs[&id].spec.kill_on_invalid {
                    self.end_waiting(id, Outcome::Cancelled);
                }
            }
        }
    }

    fn ask(&mut self, id: JobId) {
        let now = self.now;
        let job = self.jobs.get_mut(&id).expect("asked for a job that is there");
        job.eligible = Some(now);
        job.state = JobState::Pending { why: Blocked::Fresh };
        let since = if job.attempts == 0 { now } else { job.submitted };
        self.index.begins.extend(job.spec.request.topology.patience.map(|patience| (now.after(patience), id)));
        let ask = self.ask_of(&self.jobs[&id], since);
        self.events.push(Event::Queued(ask));
    }

    /// What the scheduler is told of a job. Its limits are what the hold covers, so promises count on the grace too.
    pub(crate) fn ask_of(&self, job: &Job, since: Time) -> Ask {
        // How long it waits for its level is for the centre to know; jobs that ask for the same are of one shape.
        let request = self.request_of(job);
        let topology = Topology { patience: None, ..request.topology.clone() };
        let reach = self.reach_of(&job.spec.data, &request);
        Ask {
            run: RunId { job: job.id, attempt: job.attempts + 1 },
            project: job.spec.project,
            user: job.spec.user,
            request: Request { topology, reach, ..request },
            limit: self.covered(job.left()),
            limit_min: job.spec.limit_min.map(|least| self.covered(least.min(job.left()))),
            deadline: job.spec.deadline.map(|deadline| deadline + crate::GRACE),
            checkpoint: job.spec.checkpoint,
            expected: self.expected(&job.spec),
            qos: job.spec.qos,
            nice: job.spec.nice,
            since,
        }
    }

    /// What keeps a job from queueing, if anything does.
    pub(crate) fn shut(&self, job: &Job) -> Option<Blocked> {
        match self.gate(job) {
            Gate::Open => None,
            Gate::Shut { why, .. } => Some(why),
        }
    }

    /// What a job asks for now: after the loss of no more nodes than it had spares it goes on without these, and with no
    /// more nodes than it has left.
    fn request_of(&self, job: &Job) -> Request {
        let request = &job.spec.request;
        let spares = request.topology.spares;
        let Some(last) = job.runs.last().filter(|run| run.outcome == Outcome::NodeFailed && spares > 0) else {
            return request.clone();
        };
        let up = last.on.slots.iter().filter(|slot| self.health[slot.node.index()] == Health::Up);
        let (first, others) = up.fold((0, 0), |(first, others), slot| match slot.part {
            0 => (first + 1, others),
            _ => (first, others + 1),
        });
        let lost = request.parts[0].nodes.saturating_sub(first);
        if lost == 0 || lost > spares || others != request.nodes() - request.parts[0].nodes {
            return request.clone();
        }
        let mut fewer = request.clone();
        fewer.topology.spares -= lost;
        fewer.parts[0].nodes -= lost;
        // How many of more nodes are spares is told from what was asked for at first.
        fewer.elastic = None;
        fewer
    }

    /// How long a job is expected to run, if anything is known.
    pub(crate) fn expected(&self, spec: &JobSpec) -> Option<Span> {
        self.foresight.predict(&Like::of(spec))
    }

    fn gate(&self, job: &Job) -> Gate {
        if job.held {
            return Gate::Shut { why: Blocked::Held, look_at: None };
        }
        if let Some(at) = job.spec.begin.filter(|at| *at > self.now) {
            return Gate::Shut { why: Blocked::Begin { at }, look_at: Some(at) };
        }
        if let shut @ Gate::Shut { .. } = self.waits(&job.spec.after, job.spec.after_any) {
            return shut;
        }
        if job.spec.singleton {
            let name = (job.spec.user, job.spec.name.clone());
            let named = self.index.named.as_ref().and_then(|named| named.get(&name));
            let before = named.and_then(|ids| ids.first().copied());
            if let Some(on) = before.filter(|first| *first < job.id) {
                return Gate::Shut { why: Blocked::Dependency { on }, look_at: None };
            }
        }
        Gate::Open
    }

    /// Whether an array may turn tasks into jobs, as far as its own waits go. One that has none left is not looked at: a core
    /// that was restored does not know what it once waited for.
    pub(crate) fn array_gate_is_open(&mut self, id: JobId) -> bool {
        let Some(record) = self.arrays.get(&id).filter(|record| record.waiting() > 0) else { return false };
        if let Some(at) = record.spec.begin.filter(|at| *at > self.now) {
            self.index.begins.insert((at, id));
            return false;
        }
        match self.array_waits(id) {
            Gate::Open => true,
            Gate::Shut { why, look_at } => {
                self.index.begins.extend(look_at.map(|at| (at, id)));
                let never = matches!(why, Blocked::DependencyNever { .. });
                if never && self.arrays[&id].spec.kill_on_invalid {
                    self.array_end_rest(id, Outcome::Cancelled);
                }
                false
            }
        }
    }

    fn array_waits(&self, id: JobId) -> Gate {
        let spec = &self.arrays[&id].spec;
        let whole = spec.after.iter().filter(|wait| wait.kind != DependencyKind::Corresponding);
        let whole: Vec<Dependency> = whole.cloned().collect();
        self.waits(&whole, spec.after_any)
    }

    /// Why an array's tasks that are not jobs yet wait.
    pub(crate) fn array_why(&self, id: JobId) -> Blocked {
        let record = &self.arrays[&id];
        if record.held {
            return Blocked::Held;
        }
        if let Some(at) = record.spec.begin.filter(|at| *at > self.now) {
            return Blocked::Begin { at };
        }
        match self.array_waits(id) {
            Gate::Shut { why, .. } => why,
            Gate::Open if record.at_once.is_some_and(|most| record.live >= most) => Blocked::ArrayLimit,
            Gate::Open => Blocked::Priority { behind: None },
        }
    }

    fn waits(&self, waits: &[Dependency], any: bool) -> Gate {
        let mut shut = None;
        let mut met = 0;
        for wait in waits {
            match self.verdict(wait) {
                Verdict::Met if any => return Gate::Open,
                Verdict::Met => met += 1,
                Verdict::Never if any => {
                    shut.get_or_insert(Gate::Shut { why: Blocked::DependencyNever { on: wait.on }, look_at: None });
                }
                Verdict::Never => {
                    return Gate::Shut { why: Blocked::DependencyNever { on: wait.on }, look_at: None };
                }
                Verdict::NotYet { look_at } => {
                    shut = Some(Gate::Shut { why: Blocked::Dependency { on: wait.on }, look_at });
                }
            }
        }
        if met == waits.len() { Gate::Open } else { shut.unwrap_or(Gate::Open) }
    }

    fn verdict(&self, wait: &Dependency) -> Verdict {
        const NOT_YET: Verdict = Verdict::NotYet { look_at: None };
        match (wait.kind, self.fate(wait.on)) {
            (_, Fate::Unknown) => Verdict::Never,
            (DependencyKind::Started, Fate::Started(at)) if self.now < at + wait.delay => {
                Verdict::NotYet { look_at: Some(at + wait.delay) }
            }
            (DependencyKind::Started, Fate::Started(_) | Fate::Ended(_)) => Verdict::Met,
            (_, Fate::Waiting | Fate::Started(_)) => NOT_YET,
            (DependencyKind::Ended, Fate::Ended(_)) => Verdict::Met,
            (DependencyKind::Succeeded | DependencyKind::Corresponding, Fate::Ended(outcome)) => {
                if outcome.is_success() { Verdict::Met } else { Verdict::Never }
            }
            (DependencyKind::Failed, Fate::Ended(outcome)) => {
                if outcome.is_success() {
                    Verdict::Never
                } else {
                    Verdict::Met
                }
            }
        }
    }

    /// What became of a job, an array, or a task that is not a job yet.
    pub(crate) fn fate(&self, id: JobId) -> Fate {
        if let Some(job) = self.jobs.get(&id) {
            return match job.state {
                JobState::Pending { .. } => Fate::Waiting,
                JobState::Starting { since, .. } | JobState::Running { since, .. } => Fate::Started(since),
                JobState::Completing { since, .. } => Fate::Started(since.unwrap_or(job.submitted)),
                JobState::Ended { outcome, .. } => Fate::Ended(outcome),
            };
        }
        if let Some(outcome) = self.outcomes.get(&id) {
            return Fate::Ended(*outcome);
        }
        let Some((_, record)) = self.arrays.range(..=id).next_back() else { return Fate::Unknown };
        let order = id.number() - record.id.number();
        match order {
            0 if record.is_over() && (record.failed > 0 || record.cancelled) => {
                Fate::Ended(Outcome::Failed { exit: 1, signal: 0 })
            }
            0 if record.is_over() => Fate::Ended(Outcome::Completed),
            0 if record.waiting() == 0 && record.queued == 0 => Fate::Started(record.submitted),
            0 => Fate::Waiting,
            _ if order > u64::from(record.count) => Fate::Unknown,
            _ if record.cancelled || record.skipped.contains(&(order as u32 - 1)) => Fate::Ended(Outcome::Cancelled),
            _ if order as u32 > record.first_waiting => Fate::Waiting,
            _ => Fate::Unknown,
        }
    }
}
