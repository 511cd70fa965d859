//! Snapshots: a centre as data, from which the same centre is made again.
//!
//! Look-ups are derived anew; what is not derivable is stored. A restored centre takes the same inputs to the same
//! effects as the one it was made from.
use crate::array::ArrayRecord;
use crate::deadline::too_late_from;
use crate::effect::Reply;
use crate::foresight::Foresight;
use crate::input::Key;
use crate::keys::Keys;
use crate::lost::{Fenced, Lost};
use crate::refusal::{Code, Refusal};
use crate::state::{Centre, Counts, Index};
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use madang_ledger::Book;
use madang_model::id::seat;
use madang_model::{
    Founding, GpuTime, Health, Job, JobId, JobState, Outcome, Project, ProjectId, Reservation, RunId, SiteId, Time,
    User,
};
use madang_sched::{Event, Scheduler};
use serde::{Deserialize, Serialize};

/// The version written by this release; a restore refuses newer ones.
pub const VERSION: u32 = 1;

/// A centre as data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Layout of what follows.
    pub version: u32,
    now: Time,
    founding: Option<Founding>,
    sched: Option<madang_sched::Snapshot>,
    book: Book,
    health: Vec<Health>,
    users: Vec<User>,
    projects: Vec<Project>,
    next_award: u32,
    next_job: u64,
    jobs: Vec<Job>,
    arrays: Vec<ArrayRecord>,
    ended: Vec<(Time, JobId)>,
    outcomes: Vec<(JobId, Outcome)>,
    keys: Vec<(String, String, String, Reply)>,
    delivered: Vec<GpuTime>,
    counts: Counts,
    promises: (u64, u64),
    begins: Vec<(Time, JobId)>,
    overdue: Vec<(Time, RunId)>,
    wake: Option<Time>,
    events: Vec<Event>,
    dirty: Vec<ProjectId>,
    #[serde(default)]
    next_reservation: u32,
    #[serde(default)]
    reservations: Vec<Reservation>,
    #[serde(default)]
    foresight: Foresight,
    #[serde(default)]
    growth: Vec<crate::growth::Growth>,
    #[serde(default)]
    growth_look: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    lost: Vec<(SiteId, Lost)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    fenced: Vec<(RunId, Fenced)>,
    #[serde(default)]
    blame: crate::blame::Blame,
    #[serde(default)]
    signs: BTreeMap<madang_model::NodeId, VecDeque<crate::signs::Seen>>,
    #[serde(default)]
    spares: BTreeSet<madang_model::NodeId>,
    #[serde(default)]
    served: Vec<crate::fleet::Served>,
}

impl Centre {
    /// This centre as data.
    pub fn snapshot(&self) -> Snapshot {
        let key = |(by, name, print, reply): (&str, &str, &str, &Reply)| {
            (by.to_string(), name.to_string(), print.to_string(), reply.clone())
        };
        Snapshot {
            version: VERSION,
            now: self.now,
            founding: self.founding.clone(),
            sched: self.sched.as_ref().map(Scheduler::snapshot),
            book: self.book.clone(),
            health: self.health.clone(),
            users: self.users.clone(),
            projects: self.projects.clone(),
            next_award: self.next_award,
            next_job: self.next_job,
            jobs: self.jobs.values().cloned().collect(),
            arrays: self.arrays.values().cloned().collect(),
            ended: self.ended.iter().copied().collect(),
            outcomes: self.outcomes.iter().map(|(id, outcome)| (*id, *outcome)).collect(),
            keys: self.keys.list().map(key).collect(),
            delivered: self.delivered.clone(),
            counts: self.counts,
            promises: self.promises,
            begins: self.index.begins.iter().copied().collect(),
            overdue: self.index.overdue.iter().copied().collect(),
            wake: self.wake,
            events: self.events.clone(),
            dirty: self.dirty.iter().copied().collect::<BTreeSet<_>>().into_iter().collect(),
            next_reservation: self.next_reservation,
            reservations: self.reservations.values().cloned().collect(),
            foresight: self.foresight.clone(),
            growth: self.growth.clone(),
            growth_look: self.growth_look,
            lost: self.lost.iter().map(|(site, lost)| (*site, lost.clone())).collect(),
            fenced: self.fenced.iter().map(|(run, fenced)| (*run, fenced.clone())).collect(),
            blame: self.blame.clone(),
            signs: self.signs.clone(),
            spares: self.spares.clone(),
            served: self.fleet.served.clone(),
        }
    }

    /// The centre that a snapshot was made from.
    pub fn restore(from: Snapshot) -> Result<Centre, Refusal> {
        if from.version != VERSION {
            let fact = format!("the snapshot has version {}, this release reads {VERSION}", from.version);
            return Err(Refusal::new(Code::Invalid, fact).hint("use the release that wrote it, or a newer one"));
        }
        let sched = match (&from.founding, from.sched) {
            (Some(founding), Some(sched)) => Some(Scheduler::restore(founding.policy.clone(), founding, sched)),
            _ => None,
        };
        let mut centre = Centre::new();
        let mut keys = Keys::default();
        for (by, name, print, reply) in from.keys {
            keys.remember(by, Key { name, print }, reply);
        }
        centre.now = from.now;
        centre.founding = from.founding;
        centre.sched = sched;
        centre.book = from.book;
        centre.health = from.health;
        centre.users = from.users;
        centre.projects = from.projects;
        centre.next_award = from.next_award;
        centre.next_job = from.next_job;
        from.jobs.into_iter().for_each(|job| centre.jobs.insert(job));
        centre.arrays = from.arrays.into_iter().map(|record| (record.id, record)).collect();
        centre.ended = from.ended.into_iter().collect();
        centre.outcomes = from.outcomes.into_iter().collect();
        centre.keys = keys;
        centre.delivered = from.delivered;
        centre.counts = from.counts;
        centre.promises = from.promises;
        centre.wake = from.wake;
        centre.events = from.events;
        centre.dirty = from.dirty;
        centre.growth = from.growth;
        centre.growth_look = from.growth_look;
        centre.lost = from.lost.into_iter().collect();
        centre.fenced = from.fenced.into_iter().collect();
        centre.blame = from.blame;
        centre.signs = from.signs;
        centre.spares = from.spares;
        centre.fleet = centre.founding.as_ref().map(crate::fleet::Fleet::of).unwrap_or_default();
        centre.fleet.served.iter_mut().zip(from.served).for_each(|(place, served)| *place = served);
        centre.next_reservation = from.next_reservation.max(1);
        centre.reservations = from.reservations.into_iter().map(|one| (one.id, one)).collect();
        centre.foresight = from.foresight;
        centre.derive_index();
        centre.index.begins = from.begins.into_iter().collect();
        centre.index.overdue = from.overdue.into_iter().collect();
        Ok(centre)
    }

    fn derive_index(&mut self) {
        self.index = Index::default();
        self.index.users = self.users.iter().map(|user| (user.name.clone(), user.id)).collect();
        self.index.projects = self.projects.iter().map(|project| (project.name.clone(), project.id)).collect();
        self.index.models = self.founding.as_ref().map(crate::reach::models).unwrap_or_default();
        self.index.first_spares = self.founding.as_ref().map(crate::spares::first).unwrap_or_default();
        for slot in self.fenced.values().flat_map(|fenced| &fenced.on.slots) {
            *self.index.closed.entry(slot.node).or_insert(0) += 1;
        }
        let nodes = self.founding.iter().flat_map(|base| &base.nodes);
        self.index.nodes = nodes.map(|node| (node.name.clone(), node.id)).collect();
        for project in &self.projects {
            let edges = project.awards.iter().flat_map(|award| [award.from, award.until]);
            let coming = edges.filter(|at| *at > self.now).map(|at| (at, project.id));
            self.index.award_edges.extend(coming);
        }
        let jobs = core::mem::take(&mut self.jobs);
        for job in jobs.values() {
            self.derive_job(job);
        }
        self.jobs = jobs;
        if self.jobs.values().any(|job| job.spec.singleton && !matches!(job.state, JobState::Ended { .. })) {
            self.index.named = Some(self.names());
        }
        for record in self.arrays.values() {
            let waiting = record.waiting();
            seat(&mut self.index.by_project, record.spec.project.index()).0 += waiting;
            if waiting > 0 {
                for wait in &record.spec.after {
                    self.index.waiters.entry(wait.on).or_default().insert(record.id);
                }
            }
            let late = too_late_from(record.spec.last_start()).filter(|at| *at > self.now);
            self.index.deadlines.extend(late.map(|at| (at, record.id)));
        }
    }

    fn derive_job(&mut self, job: &Job) {
        let counts = seat(&mut self.index.by_project, job.spec.project.index());
        let (on, since) = match &job.state {
            JobState::Ended { .. } => return,
            JobState::Pending { .. } => {
                counts.0 += 1;
                self.index.deadlines.extend(too_late_from(job.last_start()).map(|at| (at, job.id)));
                for wait in &job.spec.after {
                    self.index.waiters.entry(wait.on).or_default().insert(job.id);
                }
                (None, None)
            }
            JobState::Starting { on, .. } => (Some(on), None),
            JobState::Running { on, since, .. } => (Some(on), Some(*since)),
            JobState::Completing { on, since, .. } => (Some(on), *since),
        };
        let Some(on) = on else { return };
        seat(&mut self.index.by_project, job.spec.project.index()).1 += 1;
        for slot in &on.slots {
            self.index.enter_node(slot.node, job.id);
        }
        if let Some(since) = since {
            let owner = self.projects[job.spec.project.index()].owner;
            self.flow(owner, on.gpus().milli(), since, true);
            self.fleet.flow(on, since, true);
        }
    }
}
