//! Places that are kept for jobs that go on elsewhere: a run leaves, and its job has a place the moment it is queued again.
//!
//! Whoever stops a run so that its job goes on with other nodes names these at once: a plan of moves (see `moving`), a run
//! that grows (see `elastic`), one of which nodes are taken back, one that has lost a node. The place is set aside like a
//! promise: from now on where it is free, from when the run is gone where the run itself holds some of it. When the job is
//! queued again it starts before all others, there if it can; the place is what is kept free for it, not where it must go.
//! If it cannot start at all, it waits like any other.
//!
//! Invariants: a kept place is of a run that holds nodes and leaves; a job has such a place or a promise, not both; no
//! promise is delayed by one, and no cap exceeded; it is let go when the run is gone, or [`LATE`].
use crate::api::{BrokenBy, Step};
use crate::caps;
use crate::cluster::amount_of;
use crate::place;
use crate::promise::{GRACE, Kept, Promises};
use crate::scheduler::{Run, Scheduler};
use crate::shape::Shape;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use madang_model::{Allocation, JobId, NodeId, Request, RunId, Slot, Span, Time};

/// How long a place is kept beyond the moment at which its run should be gone.
const LATE: Span = Span::from_mins(10);

impl Promises {
    /// Sets a place aside, instead of one that its job had.
    pub fn keep(&mut self, place: Kept) {
        let job = place.run.job;
        self.let_go(job);
        self.kept.insert(job, place);
        self.lower(job);
    }

    /// Lets a job's place go.
    pub fn let_go(&mut self, job: JobId) -> Option<Kept> {
        if !self.kept.contains_key(&job) {
            return None;
        }
        self.lift(job);
        self.kept.remove(&job)
    }

    /// What is kept on this node.
    pub fn kept_on(&self, node: NodeId) -> impl Iterator<Item = &Kept> {
        self.on(node).into_iter().filter_map(|job| self.kept.get(&job))
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
    /// Places that are kept for jobs whose runs are leaving, and when the next run would be gone from there.
    pub fn kept_places(&self) -> impl Iterator<Item = (RunId, &Allocation, Time)> {
        self.promises.kept.values().map(|place| (place.run, &place.on, place.end))
    }

    /// True of a run that leaves so that its job goes on elsewhere.
    pub fn is_moving(&self, run: RunId) -> bool {
        self.promises.kept.get(&run.job).is_some_and(|place| place.run == run)
    }

    /// When a run that is told to stop now is gone for certain.
    pub(crate) fn gone_if_told(&self) -> Time {
        self.now.after(self.config.taking.grace).after(GRACE)
    }

    /// Keeps a place unless that would delay a promise or exceed a cap: a promise gives way only where something befell
    /// the run that is a cause to break it.
    pub(crate) fn keep(&mut self, place: Kept, cause: Option<BrokenBy>) {
        let (now, job) = (self.now, place.run.job);
        let nodes: Vec<NodeId> = place.on.slots.iter().map(|slot| slot.node).collect();
        self.promises.keep(place);
        let beside: BTreeSet<JobId> = nodes.into_iter().flat_map(|node| self.promises.on(node)).collect();
        let short = |other: &JobId| !self.promises.holds(&self.cluster, *other, now);
        let short: Vec<JobId> = beside.into_iter().filter(short).collect();
        match cause {
            Some(cause) if short.iter().all(|other| self.promises.has(*other)) => {
                short.into_iter().for_each(|other| self.shake(other, cause));
            }
            _ if short.is_empty() => {}
            _ => drop(self.promises.let_go(job)),
        }
        self.let_go_beyond_caps();
    }

    /// Lets a place go, which others may use then.
    pub(crate) fn let_go(&mut self, job: JobId) -> Option<Kept> {
        let place = self.promises.let_go(job)?;
        place.on.slots.iter().for_each(|slot| self.cluster.grow(slot.node));
        Some(place)
    }

    /// Lets the places go that are too much for a cap.
    pub(crate) fn let_go_beyond_caps(&mut self) {
        let mut beyond = Vec::new();
        for (load, bars) in caps::exceeded(&self.cluster, &self.promises, self.now) {
            let here = |place: &&Kept| self.cluster.site_of(&place.on) == Some(load.site);
            let meets = |place: &&Kept| bars.iter().any(|bar| place.start < bar.until && bar.from < place.end);
            beyond.extend(self.promises.kept.values().filter(here).filter(meets).map(|place| place.run.job));
        }
        beyond.into_iter().for_each(|job| drop(self.let_go(job)));
    }

    /// Until when a place is kept; it is of no use any more when its run is gone.
    pub(crate) fn kept_until(&self, place: &Kept) -> Time {
        self.runs.get(&place.run).map_or(self.now, |run| run.until.after(GRACE).after(LATE))
    }

    /// Starts the jobs that are queued again for which a place was kept, and lets go what is kept for nobody.
    pub(crate) fn go_on(&mut self, step: &mut Step) {
        let now = self.now;
        let due = self.promises.kept.values().filter(|place| self.kept_until(place) <= now);
        let due: Vec<JobId> = due.map(|place| place.run.job).collect();
        for job in due {
            let Some(place) = self.let_go(job) else { continue };
            if !self.queue.jobs.contains_key(&job) || !self.affordable(job) {
                continue;
            }
            let there = self.longest_there(job, &place.on);
            if let Some((on, limit)) = there.or_else(|| self.longest(now, job).ok()) {
                let on = self.place_most(now, job, on, limit);
                self.start(now, job, (on, limit), step);
            }
        }
    }

    /// Where a waiting job could start now on these nodes, and with which limit.
    fn longest_there(&self, job: JobId, on: &Allocation) -> Option<(Allocation, Span)> {
        let waiting = &self.queue.jobs[&job];
        let (class, shape) = self.queue.kind(waiting);
        let shape = self.shape_on(&shape.request, &nodes_of(on));
        let limits = [self.wished(self.now, waiting, class.limit), class.limit];
        let there = |limit: Span| Some((place::now(&shape, &self.begun_now(self.now, limit)).ok()?, limit));
        limits.into_iter().find_map(there)
    }

    /// A request that goes nowhere but on these nodes, which are ascending.
    pub(crate) fn shape_on(&self, request: &Request, nodes: &[NodeId]) -> Shape {
        let barred = |node: &NodeId| nodes.binary_search(node).is_err() || request.exclude.binary_search(node).is_ok();
        let all = (0..self.estate.nodes.len() as u32).map(NodeId::new);
        Shape::new(Request { exclude: all.filter(barred).collect(), ..request.clone() }, &self.estate)
    }

    /// A node is lost: the runs on it that may go on without it keep their other nodes.
    pub(crate) fn go_on_without(&mut self, node: NodeId) {
        let holds = self.cluster.nodes[node.index()].holds.iter().map(|hold| hold.run);
        for id in holds.collect::<Vec<RunId>>() {
            let (now, run) = (self.now, &self.runs[&id]);
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
            self.keep(Kept { run: id, on: Allocation { slots }, start, end }, Some(BrokenBy::Node(node)));
        }
    }

    /// A node is lost and another comes up for it: the gangs on it that cannot go on without keep their other nodes and
    /// have this one in its place. They begin anew, so it is kept for as long as they ask.
    pub(crate) fn go_on_with(&mut self, lost: NodeId, by: NodeId) {
        let Some(node) = self.cluster.nodes.get(lost.index()) else { return };
        let runs: BTreeSet<RunId> = node.holds.iter().map(|hold| hold.run).collect();
        for id in runs {
            let (now, run) = (self.now, &self.runs[&id]);
            if run.on.slots.len() < 2 || run.life.leaving.is_some() || self.promises.kept.contains_key(&id.job) {
                continue;
            }
            let with = |slot: &Slot| Slot { node: if slot.node == lost { by } else { slot.node }, ..*slot };
            let slots: Vec<Slot> = run.on.slots.iter().map(with).collect();
            if !slots.iter().all(|slot| self.cluster.nodes[slot.node.index()].up) {
                continue;
            }
            let (start, length, on) = (now.after(GRACE), run.until.since(run.life.since), run.on.clone());
            let run = self.runs.get_mut(&id).expect("looked up above");
            run.until = run.until.min(now);
            let until = run.until;
            self.cluster.extend(id, until, &on);
            let end = start.after(length).after(GRACE);
            self.keep(Kept { run: id, on: Allocation { slots }, start, end }, Some(BrokenBy::Node(lost)));
            if !self.promises.holds(&self.cluster, id.job, now) {
                drop(self.let_go(id.job));
            }
        }
    }

    /// What is left to a victim that may go on smaller when these nodes go to another.
    pub(crate) fn rest_of(&self, id: RunId, to: &Allocation) -> Option<Kept> {
        let run = &self.runs[&id];
        let request = run.request.as_deref().filter(|request| request.resizes())?;
        let taken = nodes_of(to);
        let left = run.on.slots.iter().filter(|slot| taken.binary_search(&slot.node).is_err());
        let mut slots: Vec<Slot> = left.copied().collect();
        let more = (slots.len() as u32).checked_sub(request.nodes())?;
        slots.truncate((request.nodes() + more - more % request.unit()) as usize);
        let start = self.gone_if_told();
        Some(Kept { run: id, on: Allocation { slots }, start, end: start.after(run.rest(self.now)).after(GRACE) })
    }

    /// What does not hold of kept places.
    pub(crate) fn audit_kept(&self, wrong: &mut Vec<String>) {
        for (job, place) in &self.promises.kept {
            if place.run.job != *job || !self.runs.contains_key(&place.run) || self.promises.has(*job) {
                wrong.push(format!("{job} is to go on elsewhere, but does not leave"));
            }
            let listed = |slot: &Slot| {
                self.promises.on(slot.node).contains(job) && amount_of(slot).within(self.estate.total(slot.node))
            };
            let up = |slot: &Slot| self.cluster.nodes[slot.node.index()].up;
            let (begun, due) = (place.start <= self.now, self.now < self.kept_until(place).before(LATE));
            let there = !begun || !due || self.promises.holds(&self.cluster, *job, self.now);
            if !place.on.slots.iter().all(listed) || (!there && place.on.slots.iter().all(up)) {
                wrong.push(format!("what is set aside for {job} is not kept free"));
            }
        }
    }
}

/// The nodes of an allocation, ascending.
pub(crate) fn nodes_of(on: &Allocation) -> Vec<NodeId> {
    let mut nodes: Vec<NodeId> = on.slots.iter().map(|slot| slot.node).collect();
    nodes.sort_unstable();
    nodes
}
