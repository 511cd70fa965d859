//! What a centre holds, and the step that changes it.
use crate::array::ArrayRecord;
use crate::effect::{Effect, Keep, Notice, Reply};
use crate::foresight::Foresight;
use crate::input::{Input, Signed};
use crate::keys::Keys;
use crate::lost::{Fenced, Lost};
use crate::refusal::{Code, Refusal};
use crate::shelf::Shelf;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use madang_ledger::Book;
use madang_model::id::seat;
use madang_model::{
    Founding, GpuTime, Health, JobId, NodeId, Outcome, Project, ProjectId, Reservation, ReservationId, RunId, SiteId,
    Time, User, UserId,
};
use madang_sched::{Event, Scheduler};

/// The state machine.
pub struct Centre {
    pub(crate) now: Time,
    pub(crate) founding: Option<Founding>,
    pub(crate) sched: Option<Scheduler>,
    pub(crate) book: Book,
    pub(crate) health: Vec<Health>,
    pub(crate) users: Vec<User>,
    pub(crate) projects: Vec<Project>,
    pub(crate) next_award: u32,
    pub(crate) next_job: u64,
    pub(crate) next_reservation: u32,
    /// Those that are not over.
    pub(crate) reservations: BTreeMap<ReservationId, Reservation>,
    pub(crate) jobs: Shelf,
    pub(crate) arrays: BTreeMap<JobId, ArrayRecord>,
    /// Ended jobs in the order of their ends; they leave after [`crate::RETAIN`].
    pub(crate) ended: VecDeque<(Time, JobId)>,
    /// How jobs that left ended, for dependencies; bounded.
    pub(crate) outcomes: BTreeMap<JobId, Outcome>,
    pub(crate) keys: Keys,
    pub(crate) delivered: Vec<GpuTime>,
    pub(crate) counts: Counts,
    /// Promises kept and broken since opening.
    pub(crate) promises: (u64, u64),
    /// Not kept in snapshots.
    pub(crate) work: crate::cycle::Work,
    /// How long jobs like others ran.
    pub(crate) foresight: Foresight,
    /// Which nodes killed which runs, and what came of it.
    pub(crate) blame: crate::blame::Blame,
    /// The last signs of each node, oldest first.
    pub(crate) signs: BTreeMap<NodeId, VecDeque<crate::signs::Seen>>,
    /// Nodes kept idle for gangs that lose one.
    pub(crate) spares: BTreeSet<NodeId>,
    /// GPU time served, and stops, of each kind of GPU at each site.
    pub(crate) fleet: crate::fleet::Fleet,
    /// By site: how much was stranded, hour by hour.
    pub(crate) growth: Vec<crate::growth::Growth>,
    /// When that was looked at last, in looks since 1970.
    pub(crate) growth_look: u64,
    /// Sites that are lost.
    pub(crate) lost: BTreeMap<SiteId, Lost>,
    /// Runs that were given up there.
    pub(crate) fenced: BTreeMap<RunId, Fenced>,
    pub(crate) index: Index,
    pub(crate) wake: Option<Time>,
    /// What this step has produced so far.
    pub(crate) out: Vec<Effect>,
    /// What the scheduler is to be told.
    pub(crate) events: Vec<Event>,
    /// Projects whose budget may have changed in this step.
    pub(crate) dirty: Vec<ProjectId>,
    /// What is to be looked at before the step ends. A list and not recursion: a chain of a hundred thousand
    /// dependents must not grow the stack.
    pub(crate) todo: VecDeque<Todo>,
}

/// Something to look at before the step ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Todo {
    /// A waiting job's gate, or an array's.
    Gate(JobId),
    /// An array that may have room for another task.
    Fill(JobId),
}

/// Numbers for people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Counts {
    /// Jobs sent to an engine and not ended.
    pub running: u32,
    /// Jobs and array tasks that wait.
    pub waiting: u32,
    /// Jobs ended since opening.
    pub ended: u64,
    /// Reports that did not fit since opening.
    pub anomalies: u64,
}

/// Look-ups derived from the rest; rebuilt by a restore, never stored.
#[derive(Default, PartialEq, Eq, Debug)]
pub(crate) struct Index {
    /// When something waits for that moment alone.
    pub begins: BTreeSet<(Time, JobId)>,
    /// When a job or an array that waits can no longer end by its deadline.
    pub deadlines: BTreeSet<(Time, JobId)>,
    /// Who waits for a job's (or array's) start or end.
    pub waiters: BTreeMap<JobId, BTreeSet<JobId>>,
    /// When the core stops waiting for the engine to end a run.
    pub overdue: BTreeSet<(Time, RunId)>,
    /// Waiting and running jobs by user and name, for those that are one at a time; from when there is the first such.
    pub named: Option<BTreeMap<(UserId, String), BTreeSet<JobId>>>,
    /// Names of users and projects.
    pub users: BTreeMap<String, UserId>,
    /// See `users`.
    pub projects: BTreeMap<String, ProjectId>,
    /// Names of nodes.
    pub nodes: BTreeMap<String, NodeId>,
    /// Jobs on each node, ascending; as far as a node has had one.
    pub on_node: Vec<Vec<JobId>>,
    /// Moments at which awards begin or end.
    pub award_edges: BTreeSet<(Time, ProjectId)>,
    /// For each owner, as far as one has held any: GPUs held now, and the sum of GPUs x start of those runs.
    pub flowing: Vec<(u64, u128)>,
    /// By site: models of the GPUs there.
    pub models: Vec<Vec<String>>,
    /// The nodes that were the first spares of their islands.
    pub first_spares: BTreeSet<NodeId>,
    /// Nodes of fenced runs, with how many there are.
    pub closed: BTreeMap<NodeId, u32>,
    /// Waiting and running jobs of each project, as far as one has had any.
    pub by_project: Vec<(u32, u32)>,
}

impl Index {
    /// A job holds something of a node.
    pub fn enter_node(&mut self, node: NodeId, job: JobId) {
        let jobs = seat(&mut self.on_node, node.index());
        if let Err(place) = jobs.binary_search(&job) {
            jobs.insert(place, job);
        }
    }

    /// A job holds nothing of a node any more.
    pub fn leave_node(&mut self, node: NodeId, job: JobId) {
        let jobs = seat(&mut self.on_node, node.index());
        if let Ok(place) = jobs.binary_search(&job) {
            jobs.remove(place);
        }
    }

    /// Jobs that hold something of a node, ascending.
    pub fn jobs_on(&self, node: NodeId) -> &[JobId] {
        self.on_node.get(node.index()).map_or(&[], Vec::as_slice)
    }
}

impl Centre {
    /// A centre that waits to be founded.
    pub fn new() -> Centre {
        Centre {
            now: Time::default(),
            founding: None,
            sched: None,
            book: Book::new(),
            health: Vec::new(),
            users: Vec::new(),
            projects: Vec::new(),
            next_award: 1,
            next_job: 1,
            next_reservation: 1,
            reservations: BTreeMap::new(),
            jobs: Shelf::default(),
            arrays: BTreeMap::new(),
            ended: VecDeque::new(),
            outcomes: BTreeMap::new(),
            keys: Keys::default(),
            delivered: Vec::new(),
            counts: Counts::default(),
            promises: (0, 0),
            work: crate::cycle::Work::default(),
            foresight: Foresight::default(),
            blame: crate::blame::Blame::default(),
            signs: BTreeMap::new(),
            spares: BTreeSet::new(),
            fleet: crate::fleet::Fleet::default(),
            growth: Vec::new(),
            growth_look: 0,
            lost: BTreeMap::new(),
            fenced: BTreeMap::new(),
            index: Index::default(),
            wake: None,
            out: Vec::new(),
            events: Vec::new(),
            dirty: Vec::new(),
            todo: VecDeque::new(),
        }
    }

    /// Take what happened, decide, and say what is to be done.
    ///
    /// `now` must not be before the last step's; that is the caller's promise and is asserted.
    pub fn step(&mut self, now: Time, inputs: Vec<Signed>) -> Vec<Effect> {
        assert!(now >= self.now, "time went back from {:?} to {now:?}", self.now);
        self.now = now;
        self.out.reserve(inputs.len() * 4);
        self.let_time_pass();
        for signed in inputs {
            self.take(signed);
        }
        self.run_cycle();
        self.note_growth();
        self.keep_records();
        core::mem::take(&mut self.out)
    }

    fn take(&mut self, signed: Signed) {
        let Signed { ticket, by, key, input } = signed;
        let answer = match key.as_ref().and_then(|key| self.keys.answered(&by, key)) {
            Some(before) => before,
            None => {
                let answer = self.apply(&by, input);
                self.settle();
                if let (Some(key), Ok(reply)) = (key, &answer) {
                    self.keys.remember(by, key, reply.clone());
                }
                answer
            }
        };
        if ticket != 0 {
            self.out.push(Effect::Reply { ticket, answer });
        }
    }

    pub(crate) fn check_founded(&self) -> Result<(), Refusal> {
        let fact = "the centre is not founded yet";
        self.founding.as_ref().map(|_| ()).ok_or_else(|| Refusal::new(Code::WrongTime, fact))
    }

    fn apply(&mut self, by: &str, input: Input) -> Result<Reply, Refusal> {
        let input = match input {
            Input::Found(founding) => return self.found(founding),
            Input::Tick => return Ok(Reply::Done),
            other => other,
        };
        self.check_founded()?;
        match input {
            Input::Found(_) | Input::Tick => Ok(Reply::Done),
            Input::User { name, role } => self.set_user(name, role),
            Input::Project { name, title, owner, class } => self.make_project(name, title, &owner, &class),
            Input::Member { project, user } => self.add_member(&project, &user),
            Input::Award { project, granted, from, until } => self.grant(&project, granted, from, until),
            Input::Submit(submission) => self.submit(by, *submission),
            Input::Cancel { job } => self.cancel(job),
            Input::Hold { job } => self.hold(job),
            Input::Release { job } => self.release(job),
            Input::Requeue { job } => self.requeue(job),
            Input::Finish { job, exit } => self.finish(job, exit),
            Input::Alter { job, change } => self.alter(job, &change),
            Input::Signal { job, signal, shell } => self.signal(job, signal, shell),
            Input::Checkpoint { job, took } => self.checkpoint(job, took),
            Input::Drain { node, why } => self.drain(&node, why),
            Input::Sign { node, sign } => self.sign(&node, sign),
            Input::Resume { node } => self.resume(&node),
            Input::SiteLost { site, why, failover } => self.site_lost(&site, why, failover),
            Input::SiteSilent { site, since, why } => self.site_silent(&site, since, why),
            Input::SiteHeard { site } => self.site_heard(&site),
            Input::SiteBack { site } => self.site_back(&site),
            Input::Clear { node } => self.clear(&node),
            Input::ProjectData { project, data } => self.set_project_data(&project, data),
            Input::Reserve(booking) => self.reserve(by, booking),
            Input::Unreserve { name } => self.unreserve(&name),
            Input::Defrag { groups } => self.move_runs(&groups),
            Input::Report(report) => {
                self.report(report);
                Ok(Reply::Done)
            }
        }
    }

    fn found(&mut self, founding: Founding) -> Result<Reply, Refusal> {
        if self.founding.is_some() {
            return Err(Refusal::new(Code::WrongTime, "the centre is founded already"));
        }
        self.sched = Some(Scheduler::new(founding.policy.clone(), &founding));
        self.health = founding.nodes.iter().map(|_| Health::Up).collect();
        self.delivered = founding.parties.iter().map(|_| GpuTime::ZERO).collect();
        self.index.models = crate::reach::models(&founding);
        self.index.first_spares = crate::spares::first(&founding);
        self.index.nodes = founding.nodes.iter().map(|node| (node.name.clone(), node.id)).collect();
        self.fleet = crate::fleet::Fleet::of(&founding);
        self.founding = Some(founding);
        self.set_spares_aside();
        Ok(Reply::Done)
    }

    /// What a founded centre was founded as; called only behind `apply`'s check.
    pub(crate) fn base(&self) -> &Founding {
        self.founding.as_ref().expect("founded: apply refuses everything else before")
    }

    pub(crate) fn notice(&mut self, notice: Notice) {
        self.out.push(Effect::Notice(notice));
    }

    pub(crate) fn anomaly(&mut self, text: String) {
        self.counts.anomalies += 1;
        self.out.push(Effect::Keep(Keep::Anomaly(self.now, text)));
    }

    /// Ledger entries and ended jobs go to the projections; old jobs leave.
    fn keep_records(&mut self) {
        let posted = self.book.take_new();
        if !posted.is_empty() {
            self.out.push(Effect::Keep(Keep::Ledger(posted)));
        }
        while let Some(&(at, id)) = self.ended.front() {
            if self.ended.len() <= crate::RETAIN_MOST && self.now < at + crate::RETAIN {
                break;
            }
            self.ended.pop_front();
            self.forget(id);
        }
    }

    fn forget(&mut self, id: JobId) {
        const OUTCOMES: usize = 1_000_000;
        let Some(job) = self.jobs.remove(id) else { return };
        if let madang_model::JobState::Ended { outcome, .. } = job.state {
            self.outcomes.insert(id, outcome);
        }
        if let Some((array, _)) = job.task {
            self.array_lost_sight(array);
        }
        if self.outcomes.len() > OUTCOMES {
            self.outcomes.pop_first();
        }
    }

    pub(crate) fn node_named(&self, name: &str) -> Result<NodeId, Refusal> {
        let found = self.index.nodes.get(name).copied();
        found.ok_or_else(|| Refusal::new(Code::NotFound, format!("no node is named {name}")))
    }
}

impl Default for Centre {
    fn default() -> Centre {
        Centre::new()
    }
}
