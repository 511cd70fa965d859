//! Moving runs: a plan of moves is carried out, whole or not at all.
//!
//! Intuition: the place to which a run moves must be free now, beside the run that is to leave, and is kept from now on (see
//! `kept`). What is freed is promised to the waiting job that it is freed for in the moment in which the runs are told to
//! stop.
//!
//! Invariant: a plan that does not hold changes nothing.
use crate::api::{Ask, Budget, Promise};
use crate::draft::Draft;
use crate::place::{self, Now};
use crate::prey::Leaving;
use crate::promise::{GRACE, Kept, Pledge, gone};
use crate::scheduler::{Run, Scheduler};
use crate::shape::{Shape, nodes};
use alloc::vec::Vec;
use madang_model::{Allocation, JobId, NodeId, Request, RunId, Span, Time};
use serde::{Deserialize, Serialize};

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

    /// Carries out some moves, or changes nothing.
    pub(crate) fn clear(&mut self, clearing: &Clearing, asks: &dyn Fn(JobId) -> Option<Ask>) -> Result<(), Stale> {
        let mut kept = Vec::new();
        let mut stale = None;
        for each in &clearing.moves {
            match self.keep_target(each, asks) {
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
        if life.leaving.is_some() || self.is_moving(id) {
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
        let moving = self.promises.kept.values().filter_map(|place| self.runs.get(&place.run));
        let moving = moving.filter(|other| self.shares.leaves[other.leaf].project == project);
        let charged: u128 = moving.map(charge).sum::<u128>() + charge(run);
        let Budget::Left(left) = self.shares.projects[project].budget else { return false };
        u128::try_from(left.micro_secs()).is_ok_and(|left| charged <= left)
    }

    /// Keeps a run's new place.
    fn keep_target(&mut self, each: &Move, asks: &dyn Fn(JobId) -> Option<Ask>) -> Result<(), Stale> {
        let Some(run) = self.runs.get(&each.run) else { return Err(Stale::Run(each.run, Unmovable::Gone)) };
        self.movable(each.run, run).map_err(|why| Stale::Run(each.run, why))?;
        let next = RunId { attempt: each.run.attempt + 1, ..each.run };
        let ask = asks(each.run.job).filter(|ask| ask.run == next);
        let ask = ask.ok_or(Stale::Run(each.run, Unmovable::NotRequeued))?;
        let request = self.at_its_site(&ask.request, &run.on);
        let named = each.to.len() as u64 == u64::from(nodes(&request)) && each.to.is_sorted() && keeps_size(&ask, run);
        let kept = named && self.keep_anywhere(each.run, &self.shape_on(&request, &each.to), ask.limit).is_some();
        if kept { Ok(()) } else { Err(Stale::Place(each.run)) }
    }

    /// A request that stays where the run's files are.
    pub(crate) fn at_its_site(&self, request: &Request, on: &Allocation) -> Request {
        let sites = self.cluster.site_of(on).into_iter().collect();
        Request { sites, ..request.clone() }
    }

    /// Keeps a place of this shape that is free from now on and delays no promise, and says where.
    pub(crate) fn keep_anywhere(&mut self, run: RunId, shape: &Shape, limit: Span) -> Option<Allocation> {
        let (start, end) = (self.now, self.gone_if_told().after(limit).after(GRACE));
        let (cluster, promises) = (&self.cluster, &self.promises);
        let on = place::now(shape, &Now { cluster, promises, now: start, end, rides: false }).ok()?;
        self.promises.keep(Kept { run, on: on.clone(), start, end });
        Some(on)
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
}
