//! Looking at a centre without changing it.
use crate::array::ArrayRecord;
use crate::input::Target;
use crate::state::{Centre, Counts};
use alloc::vec::Vec;
use madang_ledger::Book;
use madang_model::{
    Blocked, Founding, GpuTime, Health, Job, JobId, JobState, NodeId, PartyId, Project, ProjectId, Reservation,
    ReservationId, Span, Time, User, UserId,
};
use madang_sched::{Explanation, Order, Promise, Scheduler, Standing};

impl Centre {
    /// What it was founded as.
    pub fn founding(&self) -> Option<&Founding> {
        self.founding.as_ref()
    }
    /// The time of the last step.
    pub fn now(&self) -> Time {
        self.now
    }
    /// A job that is live, or ended a short while ago.
    pub fn job(&self, id: JobId) -> Option<&Job> {
        self.jobs.get(&id)
    }
    /// All of them, by id.
    pub fn jobs(&self) -> impl DoubleEndedIterator<Item = &Job> {
        self.jobs.values()
    }
    /// Those from an id on, by id.
    pub fn jobs_from(&self, id: JobId) -> impl DoubleEndedIterator<Item = &Job> {
        self.jobs.from(id)
    }
    /// The live jobs that a target means; an array's tasks that are jobs already.
    pub fn resolve(&self, target: Target) -> Vec<JobId> {
        match (target.task, self.arrays.get(&target.job)) {
            (Some(task), Some(record)) => {
                let id = record.order_of(task).map(|order| record.job_at(order));
                id.into_iter().filter(|id| self.jobs.contains_key(id)).collect()
            }
            (None, Some(_)) => self.live_tasks(target.job),
            (None, None) if self.jobs.contains_key(&target.job) => alloc::vec![target.job],
            _ => Vec::new(),
        }
    }
    /// An array, until the last of its tasks has left.
    pub fn array(&self, id: JobId) -> Option<&ArrayRecord> {
        self.arrays.get(&id)
    }
    /// All of them, by id.
    pub fn arrays(&self) -> impl Iterator<Item = &ArrayRecord> {
        self.arrays.values()
    }
    /// Why a job waits, or why an array's tasks that are not jobs yet wait. [`Blocked::Fresh`] for one that does not.
    pub fn why(&self, id: JobId) -> Blocked {
        match self.jobs.get(&id).map(|job| &job.state) {
            Some(JobState::Pending { why: Blocked::Fresh }) => {
                self.sched.as_ref().and_then(|sched| sched.why(id)).unwrap_or(Blocked::Fresh)
            }
            Some(JobState::Pending { why }) => why.clone(),
            Some(_) => Blocked::Fresh,
            None if self.arrays.contains_key(&id) => self.array_why(id),
            None => Blocked::Fresh,
        }
    }
    /// All that blocks a waiting job, its promise, and the smallest change that would start it.
    pub fn explain(&self, now: Time, id: JobId) -> Option<Explanation> {
        let job = self.jobs.get(&id)?;
        match &job.state {
            JobState::Pending { why: Blocked::Fresh } => self.sched.as_ref()?.explain(now, id),
            JobState::Pending { why } => {
                Some(Explanation { why: alloc::vec![why.clone()], promise: None, ahead: 0, change: None })
            }
            _ => None,
        }
    }
    /// How long a waiting job is expected to run, where short jobs go first by that.
    pub fn expected_in_order(&self, id: JobId) -> Option<Span> {
        let sched = self.sched.as_ref()?;
        let config = sched.config();
        let counts = config.prediction && config.backfill == Order::ShortestFirst;
        sched.expected(id).filter(|_| counts)
    }
    /// A job's promise.
    pub fn promise(&self, id: JobId) -> Option<&Promise> {
        self.sched.as_ref()?.promise(id)
    }
    /// Promises kept and broken since opening.
    pub fn promises_kept(&self) -> (u64, u64) {
        self.promises
    }
    /// What scheduling cycles did since this centre was made or restored.
    pub fn work(&self) -> crate::cycle::Work {
        self.work
    }
    /// Reservations that are not over, by id.
    pub fn reservations(&self) -> impl Iterator<Item = &Reservation> {
        self.reservations.values()
    }
    /// A reservation by id, until it is over.
    pub fn reservation(&self, id: ReservationId) -> Option<&Reservation> {
        self.reservations.get(&id)
    }
    /// Everyone.
    pub fn users(&self) -> &[User] {
        &self.users
    }
    /// Someone by login name.
    pub fn user(&self, name: &str) -> Option<&User> {
        self.index.users.get(name).map(|id| &self.users[id.index()])
    }
    /// Someone by id; ids come from this centre.
    pub fn user_by_id(&self, id: UserId) -> &User {
        &self.users[id.index()]
    }
    /// All projects; a [`ProjectId`] is a place in this list.
    pub fn projects(&self) -> &[Project] {
        &self.projects
    }
    /// A project by name.
    pub fn project(&self, name: &str) -> Option<&Project> {
        self.index.projects.get(name).map(|id| &self.projects[id.index()])
    }
    /// Jobs of a project that (wait, run).
    pub fn project_load(&self, id: ProjectId) -> (u32, u32) {
        self.index.by_project.get(id.index()).copied().unwrap_or_default()
    }
    /// A node by name.
    pub fn node(&self, name: &str) -> Option<NodeId> {
        self.index.nodes.get(name).copied()
    }
    /// A node's health.
    pub fn health(&self, id: NodeId) -> &Health {
        &self.health[id.index()]
    }
    /// What is held of a node: devices as a mask, CPUs, memory in MiB.
    pub fn node_load(&self, id: NodeId) -> (u32, u32, u64) {
        self.sched.as_ref().map_or((0, 0, 0), |sched| sched.node_load(id))
    }
    /// Jobs that hold something of a node.
    pub fn node_jobs(&self, id: NodeId) -> Vec<JobId> {
        self.index.jobs_on(id).to_vec()
    }
    /// GPU time delivered to an owner's projects, running jobs counted up to the last step.
    pub fn delivered(&self, owner: PartyId) -> GpuTime {
        let ended = self.delivered.get(owner.index()).copied().unwrap_or_default();
        let (gpus, weighted) = self.index.flowing.get(owner.index()).copied().unwrap_or_default();
        let running = (u128::from(gpus) * u128::from(self.now.millis())).saturating_sub(weighted);
        let running = GpuTime::from_micro_secs(i64::try_from(running).unwrap_or(i64::MAX));
        ended.checked_add(running).unwrap_or(GpuTime::from_micro_secs(i64::MAX))
    }
    /// Numbers for people.
    pub fn counts(&self) -> Counts {
        self.counts
    }
    /// The ledger.
    pub fn book(&self) -> &Book {
        &self.book
    }
    /// The scheduler.
    pub fn scheduler(&self) -> Option<&Scheduler> {
        self.sched.as_ref()
    }
    /// Every share's standing.
    pub fn standing(&self, now: Time) -> Vec<Standing> {
        self.sched.as_ref().map(|sched| sched.standing(now)).unwrap_or_default()
    }
}
