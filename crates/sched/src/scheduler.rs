//! The scheduler's state, and what can be read from it at any time.
use crate::api::{Budget, Config, Promise, Standing};
use crate::cluster::Cluster;
use crate::estate::Estate;
use crate::place::feasible;
use crate::prey::{Leaving, Life};
use crate::promise::Promises;
use crate::queue::Queue;
use crate::reserve::match_shape;
use crate::shape::{Shape, shortage};
use crate::share::{Meter, Shares};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use fixedbitset::FixedBitSet;
use madang_model::{
    Allocation, Founding, GpuTime, JobId, NodeId, PartyId, ProjectId, Request, ReservationId, RunId, Span, Time, UserId,
};

/// Most promises that are given: every further one costs by those that stand on its nodes, so that thousands of owners who
/// ask for gangs would make a cycle cost by the square of their number. The owners come to a place by their standing.
pub(crate) const MOST_PROMISES: u32 = 512;

/// A run that holds something.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub on: Allocation,
    pub until: Time,
    pub leaf: usize,
    /// Milli-GPUs that it holds.
    pub gpus: u64,
    /// Milli-GPUs it counts for in its share.
    pub rate: u64,
    /// The reservation whose nodes it is on.
    pub own: Option<ReservationId>,
    pub life: Life,
    /// Until when it is left alone for what its job suffered and lost before. Neither changes while it stays.
    pub spared: Time,
    /// What it asked for, where a next run may go on with other nodes.
    pub request: Option<Box<Request>>,
    /// How long it was expected to run when it was queued.
    pub expected: Option<Span>,
}

/// Orders, places, promises, backfills, explains.
#[derive(Clone, Debug)]
pub struct Scheduler {
    pub(crate) config: Config,
    pub(crate) estate: Arc<Estate>,
    pub(crate) cluster: Cluster,
    pub(crate) shares: Shares,
    pub(crate) queue: Queue,
    pub(crate) runs: BTreeMap<RunId, Run>,
    pub(crate) promises: Promises,
    pub(crate) now: Time,
    /// Pools with a node whose health changed since the last cycle.
    pub(crate) health: FixedBitSet,
    /// True when a pass is due whatever else is known: the last one stopped at a bound, or a promise may be overtaken.
    pub(crate) unfinished: bool,
    /// Projects whose budgets have fallen since their promises were last looked at.
    pub(crate) poorer: BTreeSet<usize>,
    /// Requests for which no promise could be found around windows, with the least limit tried; until one begins or ends.
    pub(crate) barren: BTreeMap<Request, Span>,
    /// When each job was taken back or put off, within the window, oldest first.
    pub(crate) taken: BTreeMap<JobId, Vec<Time>>,
    /// How long the next run of a job that was taken back is left alone: twice what it lost.
    pub(crate) rest: BTreeMap<JobId, Span>,
    /// How often each waiting job's promise was put off by taking back.
    pub(crate) put_off: BTreeMap<JobId, u32>,
    /// Promises given by standing since one went to owners by turns; see [`crate::turns`].
    pub(crate) by_standing: u32,
    /// Until when a user's claims to an owner's promises pause; see [`crate::given_up`].
    pub(crate) given_up: BTreeMap<(PartyId, UserId), Time>,
    /// Runs that may grow and shrink at their checkpoints.
    pub(crate) resizable: BTreeSet<RunId>,
}

impl Scheduler {
    /// A scheduler for this estate, with nothing waiting and nothing running. Its owners' shares are those of the sites.
    pub fn new(config: Config, founding: &Founding) -> Scheduler {
        let estate = Arc::new(Estate::new(founding));
        let mut cluster = Cluster::new(estate.clone());
        for node in founding.nodes.iter().filter(|node| node.health != madang_model::Health::Up) {
            cluster.set_up(node.id, false);
        }
        let mut sched = Scheduler {
            shares: Shares::new(config.half_life, &estate),
            health: FixedBitSet::with_capacity(estate.pools.len()),
            cluster,
            queue: Queue::new(config.patience),
            config,
            estate,
            runs: BTreeMap::new(),
            promises: Promises::default(),
            now: Time::default(),
            unfinished: false,
            poorer: BTreeSet::new(),
            barren: BTreeMap::new(),
            taken: BTreeMap::new(),
            rest: BTreeMap::new(),
            put_off: BTreeMap::new(),
            by_standing: 0,
            given_up: BTreeMap::new(),
            resizable: BTreeSet::new(),
        };
        sched.recount();
        sched
    }

    /// Whether some set of nodes, all healthy and empty, could hold it; else what is short, in names and numbers.
    pub fn fits_ever(&self, request: &Request) -> Result<(), String> {
        if self.queue.known(request).is_some_and(|shape| !shape.never) {
            return Ok(());
        }
        let mut shape = Shape::new(request.clone(), &self.estate);
        match_shape(&mut shape, &self.cluster);
        if !shape.never {
            return Ok(());
        }
        let anywhere = Request { reservation: None, ..request.clone() };
        if request.reservation.is_some() && feasible(&Shape::new(anywhere, &self.estate), &self.estate, |_| true) {
            let own = request.reservation.and_then(|id| self.cluster.calendar.all.get(&id));
            let count = own.map_or(0, |own| own.nodes().len());
            return Err(format!("asks for {} nodes, the {count} of its reservation cannot hold it", shape.nodes()));
        }
        Err(shortage(request, &self.estate))
    }

    /// The job's promise, if it has one.
    pub fn promise(&self, job: JobId) -> Option<&Promise> {
        self.promises.get(job).map(|pledge| &pledge.promise)
    }

    /// All standing promises, by job.
    pub fn promises(&self) -> impl Iterator<Item = &Promise> {
        self.promises.iter().map(|(_, pledge)| &pledge.promise)
    }

    /// What a run holds.
    pub fn held(&self, run: RunId) -> Option<&Allocation> {
        self.runs.get(&run).map(|run| &run.on)
    }

    /// Devices held (bit k is device k), CPUs held and memory held in MiB on a node; nothing for an unknown node.
    pub fn node_load(&self, node: NodeId) -> (u32, u32, u64) {
        self.cluster.nodes.get(node.index()).map_or((0, 0, 0), |state| (state.busy, state.used.cpus, state.used.memory))
    }

    /// Every run that holds something: what it holds and when its limit ends it.
    pub fn runs(&self) -> impl Iterator<Item = (RunId, &Allocation, Time)> {
        self.runs.iter().map(|(id, run)| (*id, &run.on, run.until))
    }

    /// For which job the run was told to make room.
    pub fn makes_room(&self, run: RunId) -> Option<JobId> {
        match self.runs.get(&run)?.life.leaving {
            Some(Leaving::For(job)) => Some(job),
            _ => None,
        }
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Jobs waiting.
    pub fn pending(&self) -> u32 {
        self.queue.jobs.len() as u32
    }

    /// What the scheduler believes that a project has left, or `None` when no award covers the present or the project
    /// is not known.
    pub fn left(&self, project: ProjectId) -> Option<GpuTime> {
        match self.shares.projects[self.shares.project(project)?].budget {
            Budget::NoAward => None,
            Budget::Left(left) => Some(left),
        }
    }

    /// How owners, and projects within each owner, stand: entitled and used.
    pub fn standing(&self, now: Time) -> Vec<Standing> {
        let mut decay = self.shares.decay;
        let mut fresh = |meter: Meter| {
            let mut meter = meter;
            meter.advance(now, &mut decay);
            meter
        };
        let owners: Vec<(u128, Meter)> =
            self.shares.owners.iter().map(|owner| (u128::from(owner.weight), fresh(owner.meter))).collect();
        let mut gpus: BTreeMap<usize, u32> = BTreeMap::new();
        for run in self.runs.values() {
            *gpus.entry(self.shares.leaves[run.leaf].project).or_insert(0) += run.on.gpus().milli();
        }
        let held = |project: &usize| gpus.get(project).copied().unwrap_or(0);
        let mut rows = Vec::new();
        for (index, owner) in self.shares.owners.iter().enumerate() {
            let (entitled, used) = parts(&owners, index);
            let gpus = owner.projects.iter().map(held).sum::<u32>() / 1000;
            let guaranteed = u32::try_from(self.guarantee(index) / 1000).unwrap_or(u32::MAX);
            let (project, waiting) = (None, owner.waiting);
            rows.push(Standing { owner: owner.id, project, entitled, used, gpus, guaranteed, waiting });
            let projects = owner.projects.iter().map(|project| (held(project), &self.shares.projects[*project]));
            let meters: Vec<(u128, Meter)> =
                projects.clone().map(|(_, project)| (u128::from(project.weight), fresh(project.meter))).collect();
            for (place, (gpus, project)) in projects.enumerate() {
                let (entitled, used) = parts(&meters, place);
                let (project, waiting, gpus) = (Some(project.id), project.waiting, gpus / 1000);
                rows.push(Standing { owner: owner.id, project, entitled, used, gpus, guaranteed: 0, waiting });
            }
        }
        rows
    }

    /// Milli-GPUs that an allocation counts for: its GPUs, or for a node without any its part of the node's CPUs.
    pub(crate) fn rate(&self, on: &Allocation) -> u64 {
        let slot_rate = |slot: &madang_model::Slot| match slot.milli() {
            0 => (u64::from(slot.cpus) * 1000 / u64::from(self.estate.total(slot.node).cpus.max(1))).max(1),
            milli => u64::from(milli),
        };
        on.slots.iter().map(slot_rate).sum()
    }

    /// What a project may still hold, against what a class needs.
    pub(crate) fn covers(&self, project: usize, need: GpuTime) -> bool {
        matches!(self.shares.projects[project].budget, Budget::Left(left) if need <= left)
    }

    /// How many more promises the owner may be given, beside those that others make room for already.
    pub(crate) fn places(&self, owner: usize) -> u32 {
        let own = self.config.promises.saturating_sub(self.promises.open(owner) as u32);
        own.min(self.promises_left())
    }

    /// How many more promises may stand, over all owners.
    pub(crate) fn promises_left(&self) -> u32 {
        MOST_PROMISES.saturating_sub(self.promises.len() as u32)
    }
}

/// A sibling's weight and use, in basis points of all siblings'.
fn parts(siblings: &[(u128, Meter)], index: usize) -> (u32, u32) {
    let points = |part: u128, whole: u128| u32::try_from((part * 10_000).checked_div(whole).unwrap_or(0)).unwrap_or(0);
    let weights = siblings.iter().map(|(weight, _)| weight).sum();
    let uses = siblings.iter().map(|(_, meter)| u128::from(meter.usage)).sum();
    (points(siblings[index].0, weights), points(u128::from(siblings[index].1.usage), uses))
}
