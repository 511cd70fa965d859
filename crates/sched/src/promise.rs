//! When not now: start times given to blocked jobs, and what they keep others from.
//!
//! A promise sets capacity aside on named nodes from its start until its job would be gone. What a node has free at a
//! later moment is its total less the runs that are not gone by then and the promises that cover that moment. A run is
//! gone [`GRACE`] after its limit; one that is still there is expected to be gone in another [`GRACE`].
//!
//! Invariants: at the start of every promise its nodes can hold it beside everything else that is due to be there then;
//! `on_node` lists exactly the promises that are not lifted. So a job can start at its promise whatever backfill did.
//!
//! Bound: with Q promises standing, L the longest limit and G the grace, a promise lies at most (Q + 1)(L + G) ahead when
//! it is given; what follows for who starts by when is in `docs/design/0008-no-starvation.md`.
use crate::api::{BrokenBy, Promise};
use crate::cluster::{Cluster, Hold, amount_of};
use crate::estate::Amount;
use crate::gaps::{self, Ready};
use crate::parts::{self, More, Rooms, Stay};
use crate::place::{Candidate, Pick, assemble, enough, first_that_holds, pick, with_devices};
use crate::queue::Rank;
use crate::shape::{Fitting, Shape};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use madang_model::{Allocation, Held, JobId, NodeId, ReservationId, RunId, Slot, Span, Time};
use serde::{Deserialize, Serialize};

/// What a run is given to be gone after its limit: the warning, the kill, the clean-up.
pub(crate) const GRACE: Span = Span::from_mins(1);

/// A promise and what the scheduler needs to keep it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pledge {
    pub promise: Promise,
    pub limit: Span,
    pub leaf: usize,
    pub owner: usize,
    pub rank: Rank,
    /// True when the job cannot start before something grows.
    pub settled: bool,
    /// True when others were told to make room for it.
    #[serde(default)]
    pub taken: bool,
    /// Set when the promise no longer holds as it stands.
    pub shaken: Option<BrokenBy>,
    /// Nodes that could hold a part of it when it was last tried.
    pub fitting: u32,
    /// The reservation whose windows alone stood in the way then.
    #[serde(default)]
    pub window: Option<ReservationId>,
}

impl Pledge {
    /// When the job would be gone, started as promised.
    pub fn end(&self) -> Time {
        self.promise.start.after(self.limit).after(GRACE)
    }
}

/// What is set aside for a job on one node.
#[derive(Clone, Copy, Debug)]
struct Aside {
    job: JobId,
    /// Without a device of which a part is promised.
    amount: Amount,
    part: Option<(u32, Held)>,
}

impl Aside {
    /// What it takes at most: for a part of a device, all of one.
    fn most(&self) -> Amount {
        Amount { gpus: self.amount.gpus + u32::from(self.part.is_some()), ..self.amount }
    }
}

/// Where a job goes on once its run is gone: set aside like a promise until the job is queued again (see `moves`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Move {
    pub run: RunId,
    pub on: Allocation,
    /// When the run is gone for certain, and when the next one would be.
    pub start: Time,
    pub end: Time,
}

/// All standing promises.
#[derive(Clone, Debug, Default)]
pub(crate) struct Promises {
    pub by_job: BTreeMap<JobId, Pledge>,
    on_node: BTreeMap<NodeId, Vec<Aside>>,
    /// The promised jobs of each leaf of the share tree.
    by_leaf: BTreeMap<usize, BTreeSet<JobId>>,
    /// The promised jobs of each owner.
    by_owner: BTreeMap<usize, BTreeSet<JobId>>,
    /// Where jobs go on whose runs were told to leave; a job has a promise or a move, not both.
    pub moves: BTreeMap<JobId, Move>,
    /// The job whose promise was looked at last for an earlier start.
    pub turn: Option<JobId>,
}

/// When a run is gone for certain, as far as can be told now.
pub(crate) fn gone(until: Time, now: Time) -> Time {
    let due = until.after(GRACE);
    if due <= now { now.after(GRACE) } else { due }
}

/// What a node's hold or promise does at a moment: it ends or begins, with this amount.
type Edge = (Time, bool, Amount);

impl Promises {
    pub fn insert(&mut self, pledge: Pledge) {
        let job = pledge.promise.job;
        self.by_leaf.entry(pledge.leaf).or_default().insert(job);
        self.by_owner.entry(pledge.owner).or_default().insert(job);
        self.by_job.insert(job, pledge);
        self.lower(job);
    }

    pub fn remove(&mut self, job: JobId) -> Option<Pledge> {
        self.lift(job);
        let pledge = self.by_job.remove(&job)?;
        strike(&mut self.by_leaf, pledge.leaf, job);
        strike(&mut self.by_owner, pledge.owner, job);
        Some(pledge)
    }

    /// Promises count for the owner that their leaf belongs to now.
    pub fn rehome(&mut self, owner_of: impl Fn(usize) -> usize) {
        self.by_owner.clear();
        for (job, pledge) in &mut self.by_job {
            pledge.owner = owner_of(pledge.leaf);
            self.by_owner.entry(pledge.owner).or_default().insert(*job);
        }
    }

    /// The promised jobs of a leaf, ascending.
    pub fn of_leaf(&self, leaf: usize) -> impl Iterator<Item = JobId> + '_ {
        self.by_leaf.get(&leaf).into_iter().flatten().copied()
    }

    /// The promises of an owner, by job.
    pub fn of_owner(&self, owner: usize) -> impl Iterator<Item = &Pledge> {
        self.by_owner.get(&owner).into_iter().flatten().map(|job| &self.by_job[job])
    }

    /// What is set aside for a job, from when, and until when.
    pub fn term(&self, job: JobId) -> Option<(&Allocation, Time, Time)> {
        let promised = self.by_job.get(&job).map(|pledge| (&pledge.promise.on, pledge.promise.start, pledge.end()));
        promised.or_else(|| self.moves.get(&job).map(|place| (&place.on, place.start, place.end)))
    }

    /// Frees what is set aside for the job, until [`Promises::lower`].
    pub fn lift(&mut self, job: JobId) {
        let Promises { by_job, moves, on_node, .. } = self;
        for slot in set_aside(by_job, moves, job) {
            if let Some(list) = on_node.get_mut(&slot.node) {
                list.retain(|aside| aside.job != job);
                if list.is_empty() {
                    on_node.remove(&slot.node);
                }
            }
        }
    }

    /// Sets aside again what was lifted.
    pub fn lower(&mut self, job: JobId) {
        let Promises { by_job, moves, on_node, .. } = self;
        for slot in set_aside(by_job, moves, job) {
            let list = on_node.entry(slot.node).or_default();
            let at = list.partition_point(|other| other.job < job);
            let part = slot.share.map(|held| (slot.devices, held));
            list.insert(at, Aside { job, amount: amount_of(slot), part });
        }
    }

    /// True unless what is set aside for the job is lifted.
    pub fn is_down(&self, job: JobId) -> bool {
        let first = self.by_job.get(&job).and_then(|pledge| pledge.promise.on.slots.first());
        let list = first.and_then(|slot| self.on_node.get(&slot.node));
        list.is_some_and(|list| list.binary_search_by_key(&job, |other| other.job).is_ok())
    }

    /// Jobs with something set aside on this node.
    pub fn on(&self, node: NodeId) -> Vec<JobId> {
        self.on_node.get(&node).into_iter().flatten().map(|aside| aside.job).collect()
    }

    /// True when something is set aside on this node.
    pub fn are_on(&self, node: NodeId) -> bool {
        self.on_node.contains_key(&node)
    }

    /// What is held or set aside on the node at a moment with one more part of a device held, when runs are gone as `gone`
    /// says by their limits.
    fn occupied(
        &self,
        cluster: &Cluster,
        node: NodeId,
        (at, more): (Time, More),
        gone: impl Fn(Time) -> Time,
    ) -> Amount {
        let (mut sum, mut rooms) = (Amount::default(), Rooms::default());
        for hold in cluster.nodes[node.index()].holds.iter().filter(|hold| gone(hold.until) > at) {
            sum = sum.plus(hold.amount);
            if let Some(held) = hold.share {
                rooms.hold(hold.devices, held);
            }
        }
        match more {
            More::Nothing => {}
            More::Run((device, held)) => rooms.hold(device, held),
            More::Promise((device, held)) => rooms.promise(device, held),
        }
        let pledges = self.on_node.get(&node).into_iter().flatten();
        let due = |aside: &&Aside| self.term(aside.job).is_some_and(|(_, start, end)| start <= at && at < end);
        for aside in pledges.filter(due) {
            sum = sum.plus(aside.amount);
            if let Some((device, held)) = aside.part {
                rooms.promise(device, held);
            }
        }
        sum.gpus = sum.gpus.saturating_add(rooms.devices());
        sum
    }

    /// The first job whose promise this would delay, were it on the node from now until then.
    pub fn conflict(
        &self,
        cluster: &Cluster,
        node: NodeId,
        (need, more): (Amount, More),
        Stay { now, end, .. }: Stay,
    ) -> Option<JobId> {
        let list = self.on_node.get(&node)?;
        let total = cluster.estate.total(node);
        let need = if matches!(more, More::Nothing) { need } else { Amount { gpus: 0, ..need } };
        let starts = list.iter().filter_map(|aside| Some((aside.job, self.term(aside.job)?)));
        starts
            .filter(|(_, (_, start, over))| *start < end && *over > now)
            .find(|(_, (_, start, _))| {
                let at = (*start).max(now);
                !self.occupied(cluster, node, (at, more), |until| gone(until, now)).plus(need).within(total)
            })
            .map(|(job, _)| job)
    }

    /// True when the promise's nodes can hold it at its start beside all else that is due there then. A run that is
    /// overdue already breaks it only if it is still there at the start.
    pub fn holds(&self, cluster: &Cluster, job: JobId, now: Time) -> bool {
        let Some((on, start, _)) = self.term(job) else { return true };
        let at = start.max(now);
        on.slots.iter().all(|slot| {
            cluster.nodes[slot.node.index()].up
                && self
                    .occupied(cluster, slot.node, (at, More::Nothing), |until| until.after(GRACE))
                    .within(cluster.estate.total(slot.node))
        })
    }

    /// From when on the node can take this for ever; `edges` is room to work in.
    fn ready(&self, cluster: &Cluster, node: NodeId, need: Amount, now: Time, edges: &mut Vec<Edge>) -> Time {
        let pledges = self.on_node.get(&node);
        if pledges.is_none() && need.within(cluster.free_of(node)) {
            return now;
        }
        let holds = &cluster.nodes[node.index()].holds;
        if let ([hold], None) = (holds.as_slice(), pledges) {
            return gone(hold.until, now);
        }
        edges.clear();
        edges.extend(holds.iter().map(|hold| (gone(hold.until, now), true, hold.amount)));
        if cluster.nodes[node.index()].shared != 0 {
            edges.extend(last_of_parts(holds).map(|until| (gone(until, now), true, ONE)));
        }
        for aside in pledges.into_iter().flatten() {
            if let Some((_, start, end)) = self.term(aside.job).filter(|(_, _, end)| *end > now) {
                edges.push((end, true, aside.most()));
                edges.push((start.max(now), false, aside.most()));
            }
        }
        last_conflict(edges, need, cluster.estate.total(node)).map_or(now, |end| end.max(now))
    }

    /// As [`Promises::earliest`], for a job of one node on these nodes alone.
    pub fn earliest_of(
        &self,
        cluster: &Cluster,
        shape: &Shape,
        now: Time,
        nodes: impl Iterator<Item = NodeId>,
    ) -> Option<(Time, Allocation)> {
        let fit_of = |node: NodeId| {
            let pool = cluster.estate.nodes[node.index()].pool;
            shape.parts[0].fitting.iter().find(|fit| fit.pool == pool)
        };
        let usable = nodes.filter(|node| cluster.nodes[node.index()].up && shape.allows(*node));
        let mut edges = Vec::new();
        let mut ready_at = |node: NodeId| Some((self.ready(cluster, node, fit_of(node)?.need, now, &mut edges), node));
        let ready = usable.filter_map(&mut ready_at);
        let (start, node) = ready.min().filter(|(start, _)| *start < Time::MAX)?;
        let pick = pick(0, fit_of(node)?, node);
        Some((start, with_devices(&[pick], &cluster.estate, |pick| self.later(cluster, pick, now, start))))
    }

    /// The earliest moment from which the shape can be placed on nodes that stay free for it, and where; a gang without
    /// windows only if that is before `before`.
    pub fn earliest(
        &self,
        cluster: &Cluster,
        shape: &Shape,
        limit: Span,
        (now, before): (Time, Time),
    ) -> Option<(Time, Allocation)> {
        let estate = &cluster.estate;
        if cluster.leaves_alone(shape) && shape.is_single() {
            let pools = shape.parts[0].fitting.iter().map(|fit| &estate.pools[fit.pool]);
            return self.earliest_of(cluster, shape, now, pools.flat_map(|pool| pool.nodes.iter().copied()));
        }
        let mut ready = Ready::new();
        let (mut times, mut edges) = (Vec::new(), Vec::new());
        for (part, plan) in (0u32..).zip(&shape.parts) {
            for fit in &plan.fitting {
                let nodes = estate.pools[fit.pool].nodes.iter().copied();
                let usable = nodes.filter(|node| cluster.nodes[node.index()].up && shape.allows(*node));
                let mut ready_at = |node: NodeId| (self.ready(cluster, node, fit.need, now, &mut edges), node);
                let list: Vec<_> = usable.map(&mut ready_at).collect();
                times.extend(list.iter().map(|(time, _)| *time));
                ready.insert((part, fit.pool), list);
            }
        }
        if !cluster.calendar.is_empty() || shape.request.reservation.is_some() {
            let (start, picks) = gaps::earliest(cluster, self, shape, (limit, now), &ready)?;
            return Some((start, with_devices(&picks, estate, |pick| self.later(cluster, pick, now, start))));
        }
        times.retain(|time| *time < before);
        times.sort_unstable();
        times.dedup();
        let attempt = |at: Time| {
            let mut offer = |part: u32, fit: &Fitting, list: &mut Vec<Candidate>| {
                let nodes = ready[&(part, fit.pool)].iter().filter(|(time, _)| *time <= at);
                // A node that is ready later is the better choice: the early ones stay open for backfill.
                let left = |time: Time| u32::MAX - u32::try_from(time.since(now).secs()).unwrap_or(u32::MAX);
                list.extend(nodes.map(|(time, node)| Candidate { node: *node, left: left(*time) }));
            };
            assemble(shape, estate, &mut offer).ok()
        };
        // What only ends with time itself is no start to promise.
        let enough = enough(shape, |part, pool| &ready[&(part, pool)]).filter(|start| *start < before)?;
        let (start, picks) = first_that_holds(&times, enough, attempt).filter(|(start, _)| *start < Time::MAX)?;
        Some((start, with_devices(&picks, &cluster.estate, |pick| self.later(cluster, pick, now, start))))
    }

    /// The devices of a pick that starts at that moment.
    fn later(&self, cluster: &Cluster, pick: &Pick, now: Time, at: Time) -> (u32, Option<Held>) {
        parts::from_free(pick, cluster, self.busy(cluster, pick.node, pick.need.gpus, now, at))
    }

    /// Devices that are likely held at that moment; the choice among them is made again at the start.
    fn busy(&self, cluster: &Cluster, node: NodeId, need: u32, now: Time, at: Time) -> u32 {
        let holds = cluster.nodes[node.index()].holds.iter().filter(|hold| gone(hold.until, now) > at);
        let held = holds.fold(0, |mask, hold| mask | hold.devices);
        let others = self.on_node.get(&node).into_iter().flatten().filter_map(|aside| self.term(aside.job));
        let set_aside = others.filter(|(_, _, end)| *end > at).flat_map(|(on, ..)| &on.slots);
        let mask = set_aside.filter(|slot| slot.node == node).fold(held, |mask, slot| mask | slot.devices);
        let spare = |mask: u32| cluster.estate.total(node).gpus.saturating_sub(mask.count_ones()) >= need;
        if spare(mask) {
            mask
        } else if spare(held) {
            held
        } else {
            0
        }
    }

    /// A run on the promise's nodes that should have been gone by now.
    pub fn overrun(&self, cluster: &Cluster, job: JobId, now: Time) -> Option<RunId> {
        let slots = &self.by_job[&job].promise.on.slots;
        let holds = slots.iter().flat_map(|slot| &cluster.nodes[slot.node.index()].holds);
        let late = |hold: &&Hold| hold.until.after(GRACE) <= now;
        holds.filter(late).map(|hold| hold.run).min()
    }
}

/// One GPU.
const ONE: Amount = Amount { gpus: 1, cpus: 0, memory: 0 };

/// By the runs that hold parts of devices: the limits that end the last on each device.
fn last_of_parts(holds: &[Hold]) -> impl Iterator<Item = Time> {
    let parts = || holds.iter().filter(|hold| hold.share.is_some());
    let last = move |hold: &&Hold| {
        !parts().any(|other| other.devices == hold.devices && (other.until, other.run) > (hold.until, hold.run))
    };
    holds.iter().filter(|hold| hold.share.is_some()).filter(last).map(|hold| hold.until)
}

/// The slots that a job's promise or move sets aside.
fn set_aside<'a>(
    by_job: &'a BTreeMap<JobId, Pledge>,
    moves: &'a BTreeMap<JobId, Move>,
    job: JobId,
) -> impl Iterator<Item = &'a Slot> {
    let promised = by_job.get(&job).map(|pledge| &pledge.promise.on);
    promised.or_else(|| moves.get(&job).map(|place| &place.on)).into_iter().flat_map(|on| &on.slots)
}

/// Takes a job out of what is kept by leaf or by owner.
fn strike(by: &mut BTreeMap<usize, BTreeSet<JobId>>, key: usize, job: JobId) {
    if let Some(jobs) = by.get_mut(&key) {
        jobs.remove(&job);
        if jobs.is_empty() {
            by.remove(&key);
        }
    }
}

/// The end of the last stretch in which the need does not fit beside what the edges bring and take away.
fn last_conflict(edges: &mut [Edge], need: Amount, total: Amount) -> Option<Time> {
    edges.sort_unstable_by(|a, b| b.cmp(a));
    let mut sum = need;
    let mut rest = &*edges;
    while let Some((time, _, _)) = rest.first() {
        let same = rest.partition_point(|(other, _, _)| other == time);
        for (_, ends, amount) in &rest[..same] {
            sum = if *ends { sum.plus(*amount) } else { sum.minus(*amount) };
        }
        if !sum.within(total) {
            return Some(*time);
        }
        rest = &rest[same..];
    }
    None
}
