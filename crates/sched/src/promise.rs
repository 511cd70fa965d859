//! When not now: start times given to blocked jobs, and what they keep others from; `ready` looks for them.
//!
//! A promise sets capacity aside on named nodes from its start until its job would be gone. What a node has free at a
//! later moment is its total less the runs that are not gone by then and the promises that cover that moment. A run is
//! gone [`GRACE`] after its limit; one that is still there is expected to be gone in another [`GRACE`].
//!
//! Invariants: at the start of every promise its nodes can hold it beside everything else that is due to be there then;
//! `on_node` lists exactly the promises that are not lifted. So a job can start at its promise whatever backfill did.
//!
//! Margin: a start that lies more than [`FAR`] ahead is told from limits that hardly any run takes, and to hold nodes
//! empty for it keeps long work from starting that would mostly be gone by then. So it is promised later by as much as it
//! lies beyond that, [`MARGIN`] at most, and backfill may use the time between. The margin is given up as soon as the job
//! can be placed, and in part each time that an earlier start is found.
//!
//! Bound: with Q promises standing, L the longest limit, G the grace and M the margin, a promise lies at most
//! (Q + 1)(L + G + M) ahead when it is given; what follows for who starts by when is in
//! `docs/design/0008-no-starvation.md`.
use crate::api::{BrokenBy, Promise};
use crate::cluster::{Cluster, Hold, amount_of};
use crate::estate::Amount;
use crate::parts::{More, Rooms, Stay};
use crate::queue::Rank;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::ops::Bound;
use fixedbitset::FixedBitSet;
use madang_model::id::seat;
use madang_model::{Allocation, Held, JobId, NodeId, ReservationId, RunId, Span, Time};
use serde::{Deserialize, Serialize};

/// What a run is given to be gone after its limit: the warning, the kill, the clean-up.
pub(crate) const GRACE: Span = Span::from_mins(1);

/// A start that lies farther ahead is promised with a margin.
pub(crate) const FAR: Span = Span::from_days(2);

/// The longest margin.
pub(crate) const MARGIN: Span = Span::from_days(14);

/// When a start is promised that could be had at that moment.
pub(crate) fn with_margin(now: Time, at: Time) -> Time {
    let beyond = at.since(now.after(FAR));
    at.after(beyond.min(MARGIN))
}

/// The last moment that would be promised no later than that.
pub(crate) fn without_margin(now: Time, start: Time) -> Time {
    let far = now.after(FAR);
    let beyond = start.since(far).millis();
    start.before(Span::from_millis(beyond - beyond / 2).min(MARGIN))
}

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
    /// The start of the first promise whose place it took over, if it took one over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heir_of: Option<Time>,
    /// Set when the promise no longer holds as it stands.
    pub shaken: Option<BrokenBy>,
    /// Nodes that could hold a part of it when it was last tried.
    pub fitting: u32,
    /// The reservation whose windows alone stood in the way then.
    #[serde(default)]
    pub window: Option<ReservationId>,
}

impl Pledge {
    /// Milli-GPUs of its gang.
    pub fn gpus(&self) -> u64 {
        u64::from(self.promise.on.gpus().milli())
    }

    /// True when a more urgent job of its leaf may take its place: others make no room for it, and a place that went from
    /// one to the next has not been kept beyond the start that it was given for.
    pub fn may_be_overtaken(&self, now: Time) -> bool {
        !self.taken && self.heir_of.is_none_or(|start| now < start)
    }

    /// When the job would be gone, started as promised.
    pub fn end(&self) -> Time {
        self.promise.start.after(self.limit).after(GRACE)
    }
}

/// What is set aside for a job on one node, and from when until when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Aside {
    pub job: JobId,
    pub start: Time,
    pub end: Time,
    /// Without a device of which a part is promised.
    pub amount: Amount,
    pub devices: u32,
    pub part: Option<(u32, Held)>,
}

impl Aside {
    /// What it takes at most: for a part of a device, all of one.
    pub fn most(&self) -> Amount {
        Amount { gpus: self.amount.gpus + u32::from(self.part.is_some()), ..self.amount }
    }
}

/// Where a job goes on once its run is gone: set aside like a promise until the job is queued again (see `kept`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub run: RunId,
    pub on: Allocation,
    /// From when nobody else may be there; in older snapshots only places were written that are free.
    #[serde(default)]
    pub start: Time,
    /// When the next run would be gone.
    #[serde(alias = "until")]
    pub end: Time,
}

/// Nodes that a gang could have before its promised start, as far as is known: all that it could, and maybe others.
#[derive(Clone, Debug)]
pub(crate) struct Near {
    /// The cluster's round when it was last looked at.
    pub round: u64,
    pub nodes: FixedBitSet,
}

/// All standing promises. What they are looked for by is kept beside them, so that a step that changes none of them does
/// not walk through them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Promises {
    by_job: BTreeMap<JobId, Pledge>,
    /// By node, ascending by job.
    on_node: Vec<Vec<Aside>>,
    /// The promised jobs of each leaf of the share tree, and of each owner, as far as one has had any.
    by_leaf: Vec<BTreeSet<JobId>>,
    by_owner: Vec<BTreeSet<JobId>>,
    /// Where jobs go on whose runs leave; a job has a promise or such a place, not both.
    pub kept: BTreeMap<JobId, Kept>,
    /// The promised jobs of each shape, by start.
    pub by_shape: BTreeMap<usize, BTreeSet<(Time, JobId)>>,
    by_start: BTreeSet<(Time, JobId)>,
    /// The shape of each promised job; and whether it is of one node and may be on any that suits it.
    shapes: BTreeMap<JobId, (usize, bool)>,
    /// Those that are not of one node, or may not be on any.
    pub gangs: BTreeSet<JobId>,
    pub near: BTreeMap<JobId, Near>,
    unsettled: BTreeSet<JobId>,
    shaken: BTreeSet<JobId>,
    /// By owner, as far as one has had any: milli-GPUs that others make room for, and for how many promises.
    coming: Vec<(u64, usize)>,
    /// The job whose promise was looked at last for an earlier start.
    pub turn: Option<JobId>,
}

/// When a run is gone for certain, as far as can be told now.
pub(crate) fn gone(until: Time, now: Time) -> Time {
    let due = until.after(GRACE);
    if due <= now { now.after(GRACE) } else { due }
}

impl Promises {
    /// Enters the promise of a job of this shape, which may be free to be on any one node.
    pub fn insert(&mut self, pledge: Pledge, (shape, free): (usize, bool)) {
        let (job, start) = (pledge.promise.job, pledge.promise.start);
        seat(&mut self.by_leaf, pledge.leaf).insert(job);
        seat(&mut self.by_owner, pledge.owner).insert(job);
        self.by_shape.entry(shape).or_default().insert((start, job));
        self.shapes.insert(job, (shape, free));
        if !free {
            self.gangs.insert(job);
        }
        self.by_start.insert((start, job));
        if !pledge.settled {
            self.unsettled.insert(job);
        }
        if pledge.shaken.is_some() {
            self.shaken.insert(job);
        }
        if pledge.taken {
            come(&mut self.coming, &pledge);
        }
        self.by_job.insert(job, pledge);
        self.lower(job);
    }

    pub fn remove(&mut self, job: JobId) -> Option<Pledge> {
        self.lift(job);
        let pledge = self.by_job.remove(&job)?;
        let start = pledge.promise.start;
        self.by_leaf[pledge.leaf].remove(&job);
        self.by_owner[pledge.owner].remove(&job);
        self.gangs.remove(&job);
        self.near.remove(&job);
        if let Some((shape, _)) = self.shapes.remove(&job) {
            strike(&mut self.by_shape, shape, &(start, job));
        }
        self.by_start.remove(&(start, job));
        self.unsettled.remove(&job);
        self.shaken.remove(&job);
        if pledge.taken {
            let coming = &mut self.coming[pledge.owner];
            *coming = (coming.0 - pledge.gpus(), coming.1 - 1);
        }
        Some(pledge)
    }

    /// Gives a job whose promise is lifted another start, and other nodes; gives the old ones back.
    pub fn move_to(&mut self, job: JobId, start: Time, on: Allocation) -> Option<Allocation> {
        let pledge = self.by_job.get_mut(&job)?;
        let old = core::mem::replace(&mut pledge.promise.start, start);
        self.by_start.remove(&(old, job));
        self.by_start.insert((start, job));
        if let Some(jobs) = self.shapes.get(&job).and_then(|(shape, _)| self.by_shape.get_mut(shape)) {
            jobs.remove(&(old, job));
            jobs.insert((start, job));
        }
        Some(core::mem::replace(&mut pledge.promise.on, on))
    }

    pub fn get(&self, job: JobId) -> Option<&Pledge> {
        self.by_job.get(&job)
    }

    /// True if the job has a promise.
    pub fn has(&self, job: JobId) -> bool {
        self.by_job.contains_key(&job)
    }

    pub fn len(&self) -> usize {
        self.by_job.len()
    }

    /// The job took over the place of a promise.
    pub fn take_over(&mut self, job: JobId, start: Time) {
        if let Some(pledge) = self.by_job.get_mut(&job) {
            pledge.heir_of = Some(start);
        }
    }

    /// All of them, by job.
    pub fn iter(&self) -> impl Iterator<Item = (JobId, &Pledge)> {
        self.by_job.iter().map(|(job, pledge)| (*job, pledge))
    }

    /// The promised job whose turn it is to be looked at as a gang. Around windows all are looked at in this way.
    pub fn next_gang(&self, windows: bool) -> Option<JobId> {
        let after = self.turn.map_or(Bound::Unbounded, Bound::Excluded);
        if windows {
            let first = || self.by_job.keys().next();
            return self.by_job.range((after, Bound::Unbounded)).next().map(|(job, _)| job).or_else(first).copied();
        }
        self.gangs.range((after, Bound::Unbounded)).next().or(self.gangs.first()).copied()
    }

    /// The promised jobs of one node that may be on any, after this one.
    pub fn singles_after(&self, job: JobId) -> BTreeSet<JobId> {
        let after = self.shapes.range((Bound::Excluded(job), Bound::Unbounded));
        after.filter(|(_, (_, free))| *free).map(|(job, _)| *job).collect()
    }

    /// Starts that are due by then, the first first.
    pub fn due(&self, now: Time) -> Vec<JobId> {
        self.by_start.iter().take_while(|(start, _)| *start <= now).map(|(_, job)| *job).collect()
    }

    /// The first start, and the first after `now`.
    pub fn next_starts(&self, now: Time) -> (Option<Time>, Option<Time>) {
        let first = self.by_start.first().map(|(start, _)| *start);
        let later = self.by_start.range((now.after(Span::from_millis(1)), JobId::new(0))..).next();
        (first, later.map(|(start, _)| *start))
    }

    /// Notes why the promise no longer holds as it stands.
    pub fn shake(&mut self, job: JobId, cause: BrokenBy) {
        if let Some(pledge) = self.by_job.get_mut(&job) {
            pledge.shaken.get_or_insert(cause);
            self.shaken.insert(job);
        }
    }

    /// Those that no longer hold as they stand, by start.
    pub fn shaken(&self) -> Vec<(Time, JobId, BrokenBy)> {
        let pledges = self.shaken.iter().map(|job| &self.by_job[job]);
        let mut list: Vec<_> =
            pledges.filter_map(|p| p.shaken.map(|cause| (p.promise.start, p.promise.job, cause))).collect();
        list.sort_by_key(|(start, job, _)| (*start, *job));
        list
    }

    /// The leaves with a job that may start at last.
    pub fn unsettled_leaves(&self) -> impl Iterator<Item = usize> {
        self.unsettled.iter().map(|job| self.by_job[job].leaf)
    }

    /// The leaf of each promise.
    pub fn leaves(&self) -> impl Iterator<Item = usize> {
        self.by_job.values().map(|pledge| pledge.leaf)
    }

    /// How many promises an owner has.
    pub fn count_of(&self, owner: usize) -> usize {
        self.by_owner.get(owner).map_or(0, BTreeSet::len)
    }

    /// True when a job may start at last.
    pub fn any_unsettled(&self) -> bool {
        !self.unsettled.is_empty()
    }

    /// The job cannot start before something grows, for this reason.
    pub fn settle(&mut self, job: JobId, fitting: u32, window: Option<ReservationId>) {
        if let Some(pledge) = self.by_job.get_mut(&job) {
            (pledge.settled, pledge.fitting, pledge.window) = (true, fitting, window);
            self.unsettled.remove(&job);
        }
    }

    /// No job can start before something grows.
    pub fn settle_all(&mut self) {
        for job in core::mem::take(&mut self.unsettled) {
            if let Some(pledge) = self.by_job.get_mut(&job) {
                pledge.settled = true;
            }
        }
    }

    /// The jobs of these shapes may start at last.
    pub fn unsettle_shapes(&mut self, grows: impl Fn(usize) -> bool) {
        for (_, jobs) in self.by_shape.iter().filter(|(shape, _)| grows(**shape)) {
            for (_, job) in jobs {
                if self.unsettled.insert(*job)
                    && let Some(pledge) = self.by_job.get_mut(job)
                {
                    pledge.settled = false;
                }
            }
        }
    }

    /// A promise given anew to a job is as old as the one that it replaces, and is to be tried again.
    pub fn stands_since(&mut self, job: JobId, given: Time) {
        if let Some(pledge) = self.by_job.get_mut(&job) {
            (pledge.promise.given, pledge.settled) = (given, false);
            self.unsettled.insert(job);
        }
    }

    /// Promises count for the owner that their leaf belongs to now.
    pub fn rehome(&mut self, owner_of: impl Fn(usize) -> usize) {
        self.by_owner.clear();
        self.coming.clear();
        for (job, pledge) in &mut self.by_job {
            pledge.owner = owner_of(pledge.leaf);
            seat(&mut self.by_owner, pledge.owner).insert(*job);
            if pledge.taken {
                come(&mut self.coming, pledge);
            }
        }
    }

    /// Milli-GPUs that others make room for, for this owner.
    pub fn coming(&self, owner: usize) -> u64 {
        self.coming.get(owner).map_or(0, |(gpus, _)| *gpus)
    }

    /// How many promises an owner has, beside those that others make room for.
    pub fn open(&self, owner: usize) -> usize {
        self.count_of(owner) - self.coming.get(owner).map_or(0, |(_, count)| *count)
    }

    /// The owners of promises, ascending.
    pub fn owners(&self) -> impl Iterator<Item = usize> {
        let promised = self.by_owner.iter().enumerate().filter(|(_, jobs)| !jobs.is_empty());
        promised.map(|(owner, _)| owner)
    }

    /// The promised jobs of a leaf, ascending.
    pub fn of_leaf(&self, leaf: usize) -> impl Iterator<Item = JobId> + '_ {
        self.by_leaf.get(leaf).into_iter().flatten().copied()
    }

    /// The promises of an owner, by job.
    pub fn of_owner(&self, owner: usize) -> impl Iterator<Item = &Pledge> {
        self.by_owner.get(owner).into_iter().flatten().map(|job| &self.by_job[job])
    }

    /// What is set aside for a job, from when, and until when.
    pub fn term(&self, job: JobId) -> Option<(&Allocation, Time, Time)> {
        term(&self.by_job, &self.kept, job)
    }

    /// Frees what is set aside for the job, until [`Promises::lower`].
    pub fn lift(&mut self, job: JobId) {
        let Promises { by_job, kept, on_node, .. } = self;
        let Some((on, ..)) = term(by_job, kept, job) else { return };
        for slot in &on.slots {
            let list = &mut on_node[slot.node.index()];
            if let Ok(at) = list.binary_search_by_key(&job, |aside| aside.job) {
                list.remove(at);
            }
        }
    }

    /// Sets aside again what was lifted.
    pub fn lower(&mut self, job: JobId) {
        let Promises { by_job, kept, on_node, .. } = self;
        let Some((on, start, end)) = term(by_job, kept, job) else { return };
        for slot in &on.slots {
            if on_node.len() <= slot.node.index() {
                on_node.resize_with(slot.node.index() + 1, Vec::new);
            }
            let list = &mut on_node[slot.node.index()];
            let at = list.partition_point(|aside| aside.job < job);
            let part = slot.share.map(|held| (slot.devices, held));
            list.insert(at, Aside { job, start, end, amount: amount_of(slot), devices: slot.devices, part });
        }
    }

    /// True unless what is set aside for the job is lifted.
    pub fn is_down(&self, job: JobId) -> bool {
        let first = self.by_job.get(&job).and_then(|pledge| pledge.promise.on.slots.first());
        first.is_some_and(|slot| self.aside(slot.node).binary_search_by_key(&job, |aside| aside.job).is_ok())
    }

    /// What is set aside on this node.
    pub fn aside(&self, node: NodeId) -> &[Aside] {
        self.on_node.get(node.index()).map_or(&[], Vec::as_slice)
    }

    /// Jobs with something set aside on this node.
    pub fn on(&self, node: NodeId) -> Vec<JobId> {
        self.aside(node).iter().map(|aside| aside.job).collect()
    }

    /// True when something is set aside on this node.
    pub fn are_on(&self, node: NodeId) -> bool {
        !self.aside(node).is_empty()
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
        for aside in self.aside(node).iter().filter(|aside| aside.start <= at && at < aside.end) {
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
        if !self.are_on(node) {
            return None;
        }
        let total = cluster.estate.total(node);
        let whole =
            cluster.nodes[node.index()].shared == 0 && self.aside(node).iter().all(|aside| aside.part.is_none());
        if matches!(more, More::Nothing) && whole && self.aside(node).len() > FEW {
            return self.conflict_of_many(cluster, node, need, (now, end));
        }
        let need = if matches!(more, More::Nothing) { need } else { Amount { gpus: 0, ..need } };
        let mut met = self.aside(node).iter().filter(|aside| aside.start < end && aside.end > now);
        let delayed = met.find(|aside| {
            let at = (aside.start.max(now), more);
            !self.occupied(cluster, node, at, |until| gone(until, now)).plus(need).within(total)
        });
        delayed.map(|aside| aside.job)
    }

    /// The same where nothing is a part of a device, in one walk over the starts instead of a sum for each.
    fn conflict_of_many(
        &self,
        cluster: &Cluster,
        node: NodeId,
        need: Amount,
        (now, end): (Time, Time),
    ) -> Option<JobId> {
        let total = cluster.estate.total(node);
        let holds = &cluster.nodes[node.index()].holds;
        let mut gone: Vec<(Time, Amount)> = holds.iter().map(|hold| (gone(hold.until, now), hold.amount)).collect();
        // What is there now is in the sum until it is gone.
        let mut sum = gone.iter().fold(need, |sum, (_, amount)| sum.plus(*amount));
        let aside = || self.aside(node).iter().filter(|aside| aside.end > now);
        gone.extend(aside().map(|aside| (aside.end, aside.amount)));
        let mut starts: Vec<&Aside> = aside().filter(|aside| aside.start < end).collect();
        gone.sort_unstable_by_key(|(at, _)| *at);
        starts.sort_unstable_by_key(|aside| (aside.start.max(now), aside.job));
        let (mut first, mut left) = (None, gone.iter().peekable());
        for same in starts.chunk_by(|one, other| one.start.max(now) == other.start.max(now)) {
            let at = same[0].start.max(now);
            sum = same.iter().fold(sum, |sum, aside| sum.plus(aside.amount));
            while let Some((_, amount)) = left.next_if(|(gone, _)| *gone <= at) {
                sum = sum.minus(*amount);
            }
            if !sum.within(total) {
                first = first.into_iter().chain([same[0].job]).min();
            }
        }
        first
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

    /// A run on the promise's nodes that should have been gone by now.
    pub fn overrun(&self, cluster: &Cluster, job: JobId, now: Time) -> Option<RunId> {
        let slots = &self.by_job[&job].promise.on.slots;
        let holds = slots.iter().flat_map(|slot| &cluster.nodes[slot.node.index()].holds);
        let late = |hold: &&Hold| hold.until.after(GRACE) <= now;
        holds.filter(late).map(|hold| hold.run).min()
    }
}

/// Promises on a node that are so few that each is summed up by itself.
const FEW: usize = 4;

/// What is set aside for a job, from when, and until when.
fn term<'a>(
    by_job: &'a BTreeMap<JobId, Pledge>,
    kept: &'a BTreeMap<JobId, Kept>,
    job: JobId,
) -> Option<(&'a Allocation, Time, Time)> {
    let promised = by_job.get(&job).map(|pledge| (&pledge.promise.on, pledge.promise.start, pledge.end()));
    promised.or_else(|| kept.get(&job).map(|place| (&place.on, place.start, place.end)))
}

/// Counts what others make room for.
fn come(coming: &mut Vec<(u64, usize)>, pledge: &Pledge) {
    let (gpus, count) = seat(coming, pledge.owner);
    (*gpus, *count) = (*gpus + pledge.gpus(), *count + 1);
}

/// Takes a job out of what is kept by shape.
fn strike<T: Ord>(by: &mut BTreeMap<usize, BTreeSet<T>>, key: usize, job: &T) {
    if let Some(jobs) = by.get_mut(&key) {
        jobs.remove(job);
        if jobs.is_empty() {
            by.remove(&key);
        }
    }
}
