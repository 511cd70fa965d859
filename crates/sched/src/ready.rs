//! When at last: the earliest moment from which something can be placed for good.
//!
//! A node is *ready* for a need from the end of the last stretch in which what is held and set aside there leaves no room
//! for it. A start is looked for among the moments at which nodes get ready; around windows and caps it is looked for in
//! gaps between them (see `gaps`).
use crate::cluster::{Cluster, Hold};
use crate::estate::Amount;
use crate::gaps::{self, Ready};
use crate::parts;
use crate::place::{Candidate, Pick, assemble, enough, first_that_holds, pick, with_devices};
use crate::promise::{Near, Promises, gone};
use crate::shape::{Fitting, Shape};
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use fixedbitset::FixedBitSet;
use madang_model::{Allocation, Held, JobId, NodeId, Span, Time};

/// What a node's hold or promise does at a moment: it ends or begins, with this amount.
type Edge = (Time, bool, Amount);

/// Room to work in, and the job whose promise is not in its own way.
#[derive(Default)]
struct Desk {
    edges: Vec<Edge>,
    own: Option<JobId>,
}

impl Promises {
    /// From when on the node can take this for ever.
    fn ready(&self, cluster: &Cluster, node: NodeId, need: Amount, now: Time, desk: &mut Desk) -> Time {
        let aside = self.aside(node);
        if aside.is_empty() && need.within(cluster.free_of(node)) {
            return now;
        }
        let (edges, own) = (&mut desk.edges, desk.own);
        let holds = &cluster.nodes[node.index()].holds;
        if let ([hold], []) = (holds.as_slice(), aside) {
            return gone(hold.until, now);
        }
        edges.clear();
        edges.extend(holds.iter().map(|hold| (gone(hold.until, now), true, hold.amount)));
        if cluster.nodes[node.index()].shared != 0 {
            edges.extend(last_of_parts(holds).map(|until| (gone(until, now), true, ONE)));
        }
        for aside in aside.iter().filter(|aside| aside.end > now && Some(aside.job) != own) {
            edges.push((aside.end, true, aside.most()));
            edges.push((aside.start.max(now), false, aside.most()));
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
        let (start, node) = self.first_ready(cluster, shape, now, nodes, &mut Desk::default())?;
        let pick = pick(0, fit_on(cluster, shape, node)?, node);
        Some((start, with_devices(&[pick], &cluster.estate, |pick| self.later(cluster, pick, now, start))))
    }

    /// Which of these nodes is ready first for a job of one node, and when. What counts is when its data are there too; of
    /// equals the site that is reached best, then the first by id.
    fn first_ready(
        &self,
        cluster: &Cluster,
        shape: &Shape,
        now: Time,
        nodes: impl Iterator<Item = NodeId>,
        desk: &mut Desk,
    ) -> Option<(Time, NodeId)> {
        let (request, alike) = (&shape.request, shape.request.reach.is_empty());
        let mut first: Option<(Time, u32, Time, NodeId)> = None;
        for node in nodes.filter(|node| cluster.nodes[node.index()].up && shape.allows(*node)) {
            let Some(fit) = fit_on(cluster, shape, node) else { continue };
            let is_full = |at: Time| self.is_full_at(cluster, node, fit.need, (now, at), desk.own);
            if alike && first.is_some_and(|(.., time, _)| is_full(time)) {
                // What has no room then is ready later.
                continue;
            }
            let (time, site) = (self.ready(cluster, node, fit.need, now, desk), cluster.site(node));
            let there = if time < Time::MAX { time.after(request.delay_to(site)) } else { time };
            first = first.into_iter().chain([(there, request.rank_of(site), time, node)]).min();
        }
        first.map(|(.., time, node)| (time, node)).filter(|(time, _)| *time < Time::MAX)
    }

    /// True if a job of one node would be ready on one of these nodes before then; its promise does not stand in its way.
    pub fn comes_forward(
        &self,
        cluster: &Cluster,
        shape: &Shape,
        (now, before): (Time, Time),
        (job, nodes): (JobId, &[NodeId]),
    ) -> bool {
        let mut desk = Desk { own: Some(job), ..Desk::default() };
        let first = self.first_ready(cluster, shape, now, nodes.iter().copied(), &mut desk);
        first.is_some_and(|(time, _)| time < before)
    }

    /// True if what is held and set aside on a node leaves no room for this from that moment on. A sum that is made
    /// without putting anything in order: enough to pass a node over, and never more than [`Promises::ready`] finds.
    fn is_full_at(
        &self,
        cluster: &Cluster,
        node: NodeId,
        need: Amount,
        (now, at): (Time, Time),
        own: Option<JobId>,
    ) -> bool {
        let holds = cluster.nodes[node.index()].holds.iter().filter(|hold| gone(hold.until, now) > at);
        let sum = holds.fold(need, |sum, hold| sum.plus(hold.amount));
        let aside = self.aside(node).iter().filter(|aside| aside.start <= at && at < aside.end);
        let sum = aside.filter(|aside| Some(aside.job) != own).fold(sum, |sum, aside| sum.plus(aside.most()));
        !sum.within(cluster.estate.total(node))
    }

    /// The earliest moment from which the shape can be placed on nodes that stay free for it, and where; a gang without
    /// windows only if that is before `before`, and on nodes that are let through.
    pub fn earliest(
        &self,
        cluster: &Cluster,
        shape: &Shape,
        limit: Span,
        (now, before): (Time, Time),
        lets: impl Fn(NodeId) -> bool,
    ) -> Option<(Time, Allocation)> {
        let estate = &cluster.estate;
        if cluster.leaves_alone(shape) && shape.is_single() {
            let pools = shape.parts[0].fitting.iter().map(|fit| &estate.pools[fit.pool]);
            return self.earliest_of(cluster, shape, now, pools.flat_map(|pool| pool.nodes.iter().copied()));
        }
        let mut delays: Vec<Span> = shape.request.reach.iter().map(|reach| reach.delay).collect();
        delays.sort_unstable();
        delays.dedup();
        if delays.len() < 2 {
            return self.earliest_within(cluster, shape, limit, (now, before), lets);
        }
        // Sites that the data reach at another time are looked at by themselves: what counts is when both are there.
        let of_delay = |delay: Span| {
            let near = |node: NodeId| shape.request.delay_to(cluster.site(node)) == delay && lets(node);
            let (start, on) = self.earliest_within(cluster, shape, limit, (now, before), near)?;
            Some(((start.after(delay), delay), (start, on)))
        };
        delays.into_iter().filter_map(of_delay).min_by_key(|(key, _)| *key).map(|(_, found)| found)
    }

    fn earliest_within(
        &self,
        cluster: &Cluster,
        shape: &Shape,
        limit: Span,
        (now, before): (Time, Time),
        lets: impl Fn(NodeId) -> bool,
    ) -> Option<(Time, Allocation)> {
        let estate = &cluster.estate;
        let mut ready = Ready::new();
        let mut desk = Desk::default();
        for (part, plan) in (0u32..).zip(&shape.parts) {
            for fit in &plan.fitting {
                let nodes = estate.pools[fit.pool].nodes.iter().copied().filter(|node| lets(*node));
                let usable = nodes.filter(|node| cluster.nodes[node.index()].up && shape.allows(*node));
                let mut ready_at = |node: NodeId| (self.ready(cluster, node, fit.need, now, &mut desk), node);
                ready.insert((part, fit.pool), usable.map(&mut ready_at).collect());
            }
        }
        if !cluster.calendar.is_empty() || shape.request.reservation.is_some() {
            let (start, picks) = gaps::earliest(cluster, self, shape, (limit, now), &ready)?;
            return Some((start, with_devices(&picks, estate, |pick| self.later(cluster, pick, now, start))));
        }
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
        let times = ready.values().flatten().map(|(time, _)| *time).filter(|time| *time < before);
        let (start, picks) = first_that_holds(times, enough, attempt).filter(|(start, _)| *start < Time::MAX)?;
        Some((start, with_devices(&picks, &cluster.estate, |pick| self.later(cluster, pick, now, start))))
    }

    /// The devices of a pick that starts at that moment.
    fn later(&self, cluster: &Cluster, pick: &Pick, now: Time, at: Time) -> (u32, Option<Held>) {
        parts::from_free(pick, cluster, self.busy(cluster, pick.node, pick.need.gpus, now, at))
    }

    /// Jobs of one node that may have an earlier start on these nodes, which have grown: those with something set aside
    /// there, and those for which a node is ready sooner than they start. Who could start now is left to the pass.
    pub fn hopeful<'a>(
        &self,
        cluster: &Cluster,
        facts: impl Fn(usize) -> &'a Shape,
        now: Time,
        grown: &[NodeId],
    ) -> BTreeSet<JobId> {
        let beside = grown.iter().flat_map(|node| self.aside(*node)).map(|aside| aside.job);
        let mut jobs: BTreeSet<JobId> = beside.filter(|job| !self.gangs.contains(job)).collect();
        let mut desk = Desk::default();
        for (shape, starts) in &self.by_shape {
            let shape = facts(*shape);
            if shape.is_free() {
                let ready = grown.iter().filter_map(|node| self.soonest(cluster, shape, *node, now, &mut desk)).min();
                let Some(ready) = ready.filter(|ready| *ready > now) else { continue };
                let later = starts.range((ready.after(Span::from_millis(1)), JobId::new(0))..);
                jobs.extend(later.map(|(_, job)| *job));
            }
        }
        jobs
    }

    /// From when on the node could take some part of the shape, if it is one that suits it.
    fn soonest(&self, cluster: &Cluster, shape: &Shape, node: NodeId, now: Time, desk: &mut Desk) -> Option<Time> {
        if !cluster.nodes[node.index()].up || !shape.allows(node) {
            return None;
        }
        let pool = cluster.estate.nodes[node.index()].pool;
        let fits = shape.parts.iter().flat_map(|part| &part.fitting).filter(|fit| fit.pool == pool);
        fits.map(|fit| self.ready(cluster, node, fit.need, now, desk)).min()
    }

    /// Brings up to now what is known of the nodes that the gang could have before its promised start, where there are
    /// no windows. True if there are enough of them. A node is only ready sooner than before if it has grown.
    pub fn draws_near(&mut self, cluster: &Cluster, shape: &Shape, job: JobId, now: Time) -> bool {
        let Some(start) = self.get(job).map(|pledge| pledge.promise.start) else { return false };
        let known = self.near.remove(&job);
        let (round, mut nodes) = known.map_or((0, FixedBitSet::new()), |near| (near.round, near.nodes));
        nodes.grow(cluster.nodes.len());
        let mut desk = Desk { own: Some(job), ..Desk::default() };
        let mut sooner =
            |node: NodeId| self.soonest(cluster, shape, node, now, &mut desk).is_some_and(|ready| ready < start);
        let uses = |node: &NodeId| shape.uses(cluster.estate.nodes[node.index()].pool);
        let known: Vec<NodeId> = nodes.ones().map(|index| NodeId::new(index as u32)).collect();
        let grown = cluster.grown_since(round).into_iter().filter(|node| !nodes.contains(node.index()) && uses(node));
        for node in grown.collect::<Vec<_>>().into_iter().chain(known) {
            nodes.set(node.index(), sooner(node));
        }
        let enough = nodes.count_ones(..) >= shape.nodes() as usize;
        self.near.insert(job, Near { round: cluster.round, nodes });
        enough
    }

    /// True if the gang could have the node before its promised start, or nothing is known of that.
    pub fn is_near(&self, job: JobId, node: NodeId) -> bool {
        self.near.get(&job).is_none_or(|near| near.nodes.contains(node.index()))
    }

    /// Devices that are likely held at that moment; the choice among them is made again at the start.
    fn busy(&self, cluster: &Cluster, node: NodeId, need: u32, now: Time, at: Time) -> u32 {
        let holds = cluster.nodes[node.index()].holds.iter().filter(|hold| gone(hold.until, now) > at);
        let held = holds.fold(0, |mask, hold| mask | hold.devices);
        let others = self.aside(node).iter().filter(|aside| aside.end > at);
        let mask = others.fold(held, |mask, aside| mask | aside.devices);
        let spare = |mask: u32| cluster.estate.total(node).gpus.saturating_sub(mask.count_ones()) >= need;
        if spare(mask) {
            mask
        } else if spare(held) {
            held
        } else {
            0
        }
    }
}

/// What a job of one node takes of this node, if it is one that suits it.
fn fit_on<'a>(cluster: &Cluster, shape: &'a Shape, node: NodeId) -> Option<&'a Fitting> {
    let pool = cluster.estate.nodes[node.index()].pool;
    shape.parts[0].fitting.iter().find(|fit| fit.pool == pool)
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

/// The end of the last stretch in which the need does not fit beside what the edges bring and take away.
fn last_conflict(edges: &mut [Edge], need: Amount, total: Amount) -> Option<Time> {
    // Within a moment what ends is added before what begins is taken off, so that no sum is cut off at nothing.
    edges.sort_unstable_by_key(|(time, ends, _)| core::cmp::Reverse((*time, *ends)));
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
