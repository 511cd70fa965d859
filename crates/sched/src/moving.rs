//! Moving runs: a run is stopped, and its job goes on in another place that is kept for it until it is there.
//!
//! Intuition: the place must be free now, beside the run that is to leave, and it is held at once in the name of the
//! job's next attempt. So nothing else can get into it, no promise needs to know of it, and when the run is gone and its
//! job is queued again, that attempt starts there in the same step. What is freed is promised to the waiting job that it
//! is freed for in the moment in which the runs are told to stop.
//!
//! Invariants: a plan is carried out whole or changes nothing; a kept place is a run's that holds nodes and was told to
//! leave; it is let go when the run's job does not come back, may not start there, or is [`LATE`].
use crate::api::{Ask, Budget, Promise};
use crate::draft::Draft;
use crate::place::{self, Now};
use crate::prey::Leaving;
use crate::promise::{GRACE, Pledge, gone};
use crate::scheduler::{Run, Scheduler};
use crate::shape::{Shape, nodes};
use alloc::vec::Vec;
use madang_model::{Allocation, JobId, NodeId, Purpose, Request, Reservation, RunId, Span, Time};
use serde::{Deserialize, Serialize};

/// How long a place is kept beyond the moment at which its job should be there.
const LATE: Span = Span::from_mins(10);

/// A run, and where its job is to go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// The run that is to leave.
    pub run: RunId,
    /// The nodes on which its job goes on, ascending.
    pub to: Vec<NodeId>,
}

/// Moves that belong together, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clearing {
    /// The waiting job that is promised the room; `None` where whole nodes become free for whatever comes.
    pub room_for: Option<JobId>,
    /// Who leaves for it.
    pub moves: Vec<Move>,
}

/// Why a run is not moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmovable {
    /// It holds nothing, or not any more.
    Gone,
    /// It was told to stop already.
    Leaving,
    /// It ends by its limit before a move would be over.
    Ending,
    /// It is in its first minutes, until then.
    Settling(Time),
    /// Its job was disturbed too often or lost too much of late, until then; [`Time::MAX`] where nothing is ever moved.
    Spared(Time),
    /// Its job would not start again by itself.
    NotRequeued,
    /// Its project could not pay for a new start.
    Budget,
}

/// What no longer holds of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stale {
    /// This run may not be moved.
    Run(RunId, Unmovable),
    /// This run's job could not start now on the nodes that the plan names.
    Place(RunId),
    /// This job does not wait for room, or would not get enough.
    Room(JobId),
}

/// A place that is kept for a run's job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// The run that is to leave.
    pub run: RunId,
    /// Where its job goes on.
    pub on: Allocation,
    /// Until when it would be there by its limit.
    pub until: Time,
    /// When the place is let go.
    pub last: Time,
}

impl Kept {
    /// In whose name it is held.
    pub fn holder(&self) -> RunId {
        RunId { attempt: self.run.attempt + 1, ..self.run }
    }
}

/// True of a run that would be as large again: a gang may start larger than it must be.
pub(crate) fn keeps_size(ask: &Ask, run: &Run) -> bool {
    nodes(&ask.request) as usize == run.on.slots.len()
}

impl Scheduler {
    /// Carries out a plan: gives the runs to stop, each with the grace of the settings. `asks` says what a run's job
    /// would ask for when it is queued again; nothing for one that would not be.
    pub fn relocate(&mut self, plan: &[Clearing], asks: &dyn Fn(JobId) -> Option<Ask>) -> Result<Vec<RunId>, Stale> {
        let mut draft = self.clone();
        for clearing in plan {
            draft.clear(clearing, asks)?;
        }
        *self = draft;
        Ok(plan.iter().flat_map(|clearing| &clearing.moves).map(|each| each.run).collect())
    }

    /// Places that are kept for jobs whose runs are leaving, and when the limit of who is to come would end there.
    pub fn kept_places(&self) -> impl Iterator<Item = (RunId, &Allocation, Time)> {
        self.kept.values().map(|kept| (kept.run, &kept.on, kept.until))
    }

    /// True of a run that was told to stop so that its job goes on elsewhere.
    pub fn is_moving(&self, run: RunId) -> bool {
        self.kept.get(&run.job).is_some_and(|kept| kept.run == run)
    }

    /// When a run that is told to stop now is gone for certain.
    pub(crate) fn gone_if_told(&self) -> Time {
        self.now.after(self.config.taking.grace).after(GRACE)
    }

    /// Carries out some moves, or changes nothing.
    pub(crate) fn clear(&mut self, clearing: &Clearing, asks: &dyn Fn(JobId) -> Option<Ask>) -> Result<(), Stale> {
        let mut kept = Vec::new();
        let mut stale = None;
        for each in &clearing.moves {
            match self.keep(each, asks) {
                Ok(()) => kept.push(each.run),
                Err(why) => {
                    stale = Some(why);
                    break;
                }
            }
        }
        let mut room = None;
        if let (None, Some(job)) = (stale, clearing.room_for) {
            room = self.room_without(job, &kept);
            stale = room.is_none().then_some(Stale::Room(job));
        }
        if let Some(stale) = stale {
            kept.iter().for_each(|run| drop(self.let_go(run.job)));
            return Err(stale);
        }
        for run in kept {
            self.note_taken(self.now, run.job);
            self.send_off(self.now, run, Leaving::Moved);
        }
        if let Some((job, on)) = clearing.room_for.zip(room) {
            self.promise_room(job, self.gone_if_told(), on);
        }
        Ok(())
    }

    /// Whether a run may be moved as far as it goes itself.
    pub(crate) fn movable(&self, id: RunId, run: &Run) -> Result<(), Unmovable> {
        let (now, life) = (self.now, &run.life);
        if life.leaving.is_some() || self.kept.contains_key(&id.job) {
            return Err(Unmovable::Leaving);
        }
        // What changes its size by itself goes where there is room at its checkpoints.
        if self.resizable.contains(&id) {
            return Err(Unmovable::Spared(Time::MAX));
        }
        if gone(run.until, now) <= self.gone_if_told() {
            return Err(Unmovable::Ending);
        }
        let spared = self.run_spared_until(now, id, life);
        if spared > now {
            return Err(Unmovable::Spared(spared));
        }
        let settled = life.since.after(self.config.taking.settle);
        if settled > now {
            return Err(Unmovable::Settling(settled));
        }
        if self.can_pay_again(run) { Ok(()) } else { Err(Unmovable::Budget) }
    }

    /// True if the run's project could pay for a new start: at its end a run is charged what it ran, and what it held is
    /// free again for the next attempt. Others of the project that are being moved are counted too.
    fn can_pay_again(&self, run: &Run) -> bool {
        let (gone, project) = (self.gone_if_told(), self.shares.leaves[run.leaf].project);
        let charge = |run: &Run| u128::from(run.gpus) * u128::from(gone.since(run.life.since).millis());
        let moving = self.kept.values().filter_map(|kept| self.runs.get(&kept.run));
        let moving = moving.filter(|other| self.shares.leaves[other.leaf].project == project);
        let charged: u128 = moving.map(charge).sum::<u128>() + charge(run);
        let Budget::Left(left) = self.shares.projects[project].budget else { return false };
        u128::try_from(left.micro_secs()).is_ok_and(|left| charged <= left)
    }

    /// Keeps a run's new place.
    fn keep(&mut self, each: &Move, asks: &dyn Fn(JobId) -> Option<Ask>) -> Result<(), Stale> {
        let Some(run) = self.runs.get(&each.run) else { return Err(Stale::Run(each.run, Unmovable::Gone)) };
        self.movable(each.run, run).map_err(|why| Stale::Run(each.run, why))?;
        let next = RunId { attempt: each.run.attempt + 1, ..each.run };
        let ask = asks(each.run.job).filter(|ask| ask.run == next);
        let Some(ask) = ask else { return Err(Stale::Run(each.run, Unmovable::NotRequeued)) };
        let request = self.at_its_site(&ask.request, &run.on);
        if !keeps_size(&ask, run) {
            return Err(Stale::Place(each.run));
        }
        let on = self.place_there(&request, &each.to, self.gone_if_told().after(ask.limit));
        self.hold_for(each.run, on.ok_or(Stale::Place(each.run))?, ask.limit);
        Ok(())
    }

    /// A request that stays where the run's files are.
    pub(crate) fn at_its_site(&self, request: &Request, on: &Allocation) -> Request {
        let sites = self.cluster.site_of(on).into_iter().collect();
        Request { sites, ..request.clone() }
    }

    /// Holds a place in the name of the job's next attempt.
    pub(crate) fn hold_for(&mut self, run: RunId, on: Allocation, limit: Span) {
        let start = self.gone_if_told();
        let kept = Kept { run, on, until: start.after(limit), last: start.after(LATE) };
        self.cluster.take(kept.holder(), kept.until, &kept.on);
        self.kept.insert(run.job, kept);
    }

    /// Frees the place that is kept for a job.
    pub(crate) fn let_go(&mut self, job: JobId) -> Option<Kept> {
        let kept = self.kept.remove(&job)?;
        self.cluster.release(kept.holder(), &kept.on);
        Some(kept)
    }

    /// The place of a request on exactly these nodes, from now until then.
    fn place_there(&self, request: &Request, to: &[NodeId], until: Time) -> Option<Allocation> {
        if to.len() as u64 != u64::from(nodes(request)) || !to.is_sorted() {
            return None;
        }
        let barred = |node: &NodeId| to.binary_search(node).is_err() || request.exclude.binary_search(node).is_ok();
        let all = (0..self.estate.nodes.len() as u32).map(NodeId::new);
        let shape = Shape::new(Request { exclude: all.filter(barred).collect(), ..request.clone() }, &self.estate);
        self.place_until(&shape, until)
    }

    /// Where a shape fits from now until then, beside all that runs and is promised.
    pub(crate) fn place_until(&self, shape: &Shape, until: Time) -> Option<Allocation> {
        let (cluster, promises, end) = (&self.cluster, &self.promises, until.after(GRACE));
        place::now(shape, &Now { cluster, promises, now: self.now, end, rides: true }).ok()
    }

    /// Where a promised job fits once these runs, and those that end by then anyway, are gone; nothing if it could
    /// start no earlier than promised.
    fn room_without(&mut self, job: JobId, leaving: &[RunId]) -> Option<Allocation> {
        let (now, start) = (self.now, self.gone_if_told());
        let pledge = self.promises.get(job)?;
        if pledge.taken || pledge.promise.start <= start || !self.affordable(job) {
            return None;
        }
        let end = start.after(pledge.limit).after(GRACE);
        self.promises.lift(job);
        let mut draft = Draft::new(&mut self.cluster);
        for (id, run) in &self.runs {
            if gone(run.until, now) <= start || leaving.contains(id) {
                draft.vacate(*id, run.until, &run.on);
            }
        }
        let shape = self.queue.kind(&self.queue.jobs[&job]).1;
        let on = draft.place(shape, &self.promises, now, end);
        drop(draft);
        self.promises.lower(job);
        on
    }

    /// Promises a job the room that others make for it, in place of the promise that it has.
    pub(crate) fn promise_room(&mut self, job: JobId, start: Time, on: Allocation) {
        let old = self.promises.remove(job).expect("room is made for promised jobs");
        old.promise.on.slots.iter().for_each(|slot| self.cluster.grow(slot.node));
        let promise = Promise { start, on, ..old.promise };
        let form = self.queue.form(&self.queue.jobs[&job]);
        self.promises.insert(Pledge { promise, taken: true, settled: false, shaken: None, ..old }, form);
    }

    /// Has a run leave within the grace.
    pub(crate) fn send_off(&mut self, now: Time, id: RunId, leaving: Leaving) {
        let last = now.after(self.config.taking.grace);
        let run = self.runs.get_mut(&id).expect("who is sent off runs");
        run.until = run.until.min(last);
        run.life.leaving = Some(leaving);
        self.cluster.extend(id, run.until, &run.on);
        let owner = self.shares.owner_of(run.leaf);
        self.shares.owners[owner].leaving += run.gpus;
        self.note_lost(id, last);
    }

    /// Starts the jobs that are queued again where a place is kept for them, and lets go what is kept for nobody.
    pub(crate) fn start_moved(&mut self, step: &mut crate::api::Step) {
        let now = self.now;
        let due = self.kept.iter().filter(|(_, kept)| !self.runs.contains_key(&kept.run) || kept.last <= now);
        let due: Vec<JobId> = due.map(|(job, _)| *job).collect();
        for job in due {
            let Some(kept) = self.let_go(job) else { continue };
            let Some(waiting) = self.queue.jobs.get(&job) else { continue };
            if waiting.run != kept.holder() || !self.affordable(job) {
                continue;
            }
            let (class, shape) = self.queue.kind(waiting);
            let mut to: Vec<NodeId> = kept.on.slots.iter().map(|slot| slot.node).collect();
            to.sort_unstable();
            let limits = [self.wished(now, waiting, class.limit), class.limit];
            let there = |limit: Span| Some((self.place_there(&shape.request, &to, now.after(limit))?, limit));
            if let Some(place) = limits.into_iter().find_map(there) {
                self.start(now, job, place, step);
            }
        }
    }

    /// Lets go the kept places that a new booking reaches: what it says of them is looked at when their jobs wait.
    pub(crate) fn make_way(&mut self, reservation: &Reservation) {
        let reaches = |on: &Allocation| match reservation.purpose {
            Purpose::Cap { site, .. } => self.cluster.site_of(on) == Some(site),
            _ => on.slots.iter().any(|slot| reservation.books(slot.node)),
        };
        let reached: Vec<JobId> = self.kept.iter().filter(|(_, kept)| reaches(&kept.on)).map(|(job, _)| *job).collect();
        reached.into_iter().for_each(|job| drop(self.let_go(job)));
    }

    /// What does not hold of kept places.
    pub(crate) fn audit_kept(&self, wrong: &mut Vec<alloc::string::String>) {
        for (job, kept) in &self.kept {
            let told = self.runs.get(&kept.run).is_some_and(|run| run.life.leaving.is_some());
            if kept.run.job != *job || !told {
                wrong.push(alloc::format!("a place is kept for {job}, whose run {} does not leave", kept.run));
            }
        }
    }
}
