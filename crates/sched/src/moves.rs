//! Moves: a run is told to leave, and its job has a place the moment it is queued again.
//!
//! Whoever stops a run so that its job goes on with other nodes names these at once. Until the run is gone they are set
//! aside like a promise, so that nothing else gets into the room; when the job is queued again it is due to start there
//! and then, and takes what it finds: the place is what is kept free for it, not where it must go.
//!
//! Invariants: a move's run holds nodes; a job has a move or a promise, not both; no promise is delayed by one.
use crate::api::{BrokenBy, Promise};
use crate::cluster::amount_of;
use crate::promise::{GRACE, Move, Pledge, Promises};
use crate::scheduler::{Run, Scheduler};
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use madang_model::{Allocation, JobId, NodeId, RunId, Span, Time};

impl Promises {
    /// Takes a move in.
    pub fn put(&mut self, place: Move) {
        let job = place.run.job;
        self.moves.insert(job, place);
        self.lower(job);
    }

    /// Lets a job's move go.
    pub fn take(&mut self, job: JobId) -> Option<Move> {
        if !self.moves.contains_key(&job) {
            return None;
        }
        self.lift(job);
        self.moves.remove(&job)
    }
}

impl Run {
    /// What its job would still have to do, were it stopped now: the rest of its limit, and what would be lost.
    pub fn rest(&self, now: Time) -> Span {
        let lost = self.life.lost(now, Span::MAX);
        Span::from_millis(self.until.since(now).millis().saturating_add(lost.millis()))
    }
}

impl Scheduler {
    /// Sets a place aside for the job of a run that leaves, unless that would delay a promise: one gives way only where
    /// something befell the run that is a cause to break it.
    pub(crate) fn set_aside(&mut self, now: Time, place: Move, cause: Option<BrokenBy>) {
        let job = place.run.job;
        self.promises.take(job);
        let nodes: Vec<NodeId> = place.on.slots.iter().map(|slot| slot.node).collect();
        self.promises.put(place);
        let beside: BTreeSet<JobId> = nodes.into_iter().flat_map(|node| self.promises.on(node)).collect();
        let short = |other: &JobId| !self.promises.holds(&self.cluster, *other, now);
        let short: Vec<JobId> = beside.into_iter().filter(short).collect();
        match cause {
            Some(cause) if short.iter().all(|other| self.promises.has(*other)) => {
                short.into_iter().for_each(|other| self.shake(other, cause));
            }
            _ if short.is_empty() => {}
            _ => drop(self.promises.take(job)),
        }
    }

    /// The job of a move is queued again: if it can start now, it is due.
    pub(crate) fn arrive(&mut self, now: Time, job: JobId) {
        let Some(place) = self.promises.take(job) else { return };
        place.on.slots.iter().for_each(|slot| self.cluster.grow(slot.node));
        let Ok(on) = self.place_least(now, job) else { return };
        let waiting = &self.queue.jobs[&job];
        let (limit, leaf, rank) = (self.queue.kind(waiting).0.limit, waiting.leaf, waiting.rank);
        let owner = self.shares.owner_of(leaf);
        let form = self.queue.form(waiting);
        let promise = Promise { job, start: now, on, given: now };
        let (settled, taken, shaken, fitting, window) = (false, true, None, 0, None);
        self.promises
            .insert(Pledge { promise, limit, leaf, owner, rank, settled, taken, shaken, fitting, window }, form);
    }

    /// Runs that are over and whose jobs were not queued again go nowhere.
    pub(crate) fn drop_moves(&mut self) {
        let over = |place: &&Move| !self.runs.contains_key(&place.run);
        let gone: Vec<JobId> = self.promises.moves.values().filter(over).map(|place| place.run.job).collect();
        for job in gone {
            let place = self.promises.take(job).expect("listed above");
            place.on.slots.iter().for_each(|slot| self.cluster.grow(slot.node));
        }
    }

    /// A node is lost: the runs on it that may go on without it keep their other nodes.
    pub(crate) fn go_on_without(&mut self, now: Time, node: NodeId) {
        let holds = self.cluster.nodes[node.index()].holds.iter().map(|hold| hold.run);
        for id in holds.collect::<Vec<RunId>>() {
            // What is held in the name of a run that is to come is not lost with it.
            let Some(run) = self.runs.get(&id) else { continue };
            let Some(request) = run.request.as_deref().filter(|_| run.life.leaving.is_none()) else { continue };
            let up = run.on.slots.iter().filter(|slot| self.cluster.nodes[slot.node.index()].up);
            let slots: Vec<_> = up.copied().collect();
            if (slots.len() as u32) < request.nodes() - request.topology.spares {
                continue;
            }
            let (start, end) = (now.after(GRACE), now.after(GRACE).after(run.rest(now)).after(GRACE));
            let on = run.on.clone();
            let run = self.runs.get_mut(&id).expect("looked up above");
            // What is lost is as good as gone: it need not wait for its limit.
            run.until = run.until.min(now);
            let until = run.until;
            self.cluster.extend(id, until, &on);
            self.set_aside(now, Move { run: id, on: Allocation { slots }, start, end }, Some(BrokenBy::Node(node)));
        }
    }

    /// What is left to a victim that may go on smaller when these nodes go to another.
    pub(crate) fn rest_of(&self, now: Time, id: RunId, to: &Allocation) -> Option<Move> {
        let run = &self.runs[&id];
        let request = run.request.as_deref().filter(|request| request.resizes())?;
        let taken: BTreeSet<NodeId> = to.slots.iter().map(|slot| slot.node).collect();
        let mut slots: Vec<_> = run.on.slots.iter().filter(|slot| !taken.contains(&slot.node)).copied().collect();
        let more = (slots.len() as u32).checked_sub(request.nodes())?;
        slots.truncate((request.nodes() + more - more % request.unit()) as usize);
        let start = self.gone_if_told();
        Some(Move { run: id, on: Allocation { slots }, start, end: start.after(run.rest(now)).after(GRACE) })
    }

    /// What does not hold of moves.
    pub(crate) fn audit_moves(&self, wrong: &mut Vec<String>) {
        for (job, place) in &self.promises.moves {
            if !self.runs.contains_key(&place.run) || self.promises.has(*job) {
                wrong.push(format!("{job} is to go on elsewhere, but does not leave"));
            }
            let listed = |slot: &madang_model::Slot| {
                self.promises.on(slot.node).contains(job) && amount_of(slot).within(self.estate.total(slot.node))
            };
            if !place.on.slots.iter().all(listed) {
                wrong.push(format!("what is set aside for {job} is not kept free"));
            }
        }
    }
}
