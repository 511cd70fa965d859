//! Caps: no more than so much of a site is in use while a window lasts.
//!
//! What a run adds counts for as long as it would last. For every cap there is one list of when what is in use now will be
//! gone; with the promises of the site it tells what is in use at any later moment, if nothing more is started.
//!
//! Invariants: a cap's list says what its site's nodes hold (checked by the audit); outside of what [`Load::full`] gives
//! back, this much more is within the cap. Nodes that a promise shares with a run count twice, so that a cap is kept
//! rather than filled.
use crate::calendar::{Bar, LOOK};
use crate::cluster::{Cluster, Hold};
use crate::promise::{Promises, gone};
use crate::shape::Shape;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use madang_model::share::WHOLE;
use madang_model::{Allocation, Cap, NodeId, Part, Reservation, ReservationId, SiteId, Time};

/// A cap, and what is in use of its site now.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    reservation: Arc<Reservation>,
    pub site: SiteId,
    pub most: Cap,
    /// By the limits that end it: what is in use.
    ends: BTreeMap<Time, u64>,
    /// What each node has in `ends`.
    of_node: BTreeMap<NodeId, Vec<(Time, u64)>>,
}

/// What promises add: from, until, how much.
type Pledged = Vec<(Time, Time, u64)>;

impl Load {
    pub fn new(reservation: Arc<Reservation>, site: SiteId, most: Cap) -> Load {
        Load { reservation, site, most, ends: BTreeMap::new(), of_node: BTreeMap::new() }
    }

    pub fn id(&self) -> ReservationId {
        self.reservation.id
    }

    /// Counts a node of the site anew.
    pub fn recount(&mut self, node: NodeId, holds: &[Hold]) {
        for (end, amount) in self.of_node.remove(&node).into_iter().flatten() {
            if let Some(sum) = self.ends.get_mut(&end) {
                *sum -= amount;
                if *sum == 0 {
                    self.ends.remove(&end);
                }
            }
        }
        let fresh = self.count(holds);
        for (end, amount) in &fresh {
            *self.ends.entry(*end).or_insert(0) += amount;
        }
        if !fresh.is_empty() {
            self.of_node.insert(node, fresh);
        }
    }

    /// What a node's runs use, by the limits that end it.
    fn count(&self, holds: &[Hold]) -> Vec<(Time, u64)> {
        match self.most {
            Cap::Nodes(_) => holds.iter().map(|hold| hold.until).max().map(|end| (end, 1)).into_iter().collect(),
            Cap::Gpus(_) => {
                let with_gpus = holds.iter().filter(|hold| hold.devices != 0);
                with_gpus.map(|hold| (hold.until, u64::from(hold.milli()))).collect()
            }
        }
    }

    /// What a placed gang adds, at most.
    pub fn adds(&self, on: &Allocation) -> u64 {
        match self.most {
            Cap::Nodes(_) => on.slots.len() as u64,
            Cap::Gpus(_) => u64::from(on.gpus().milli()),
        }
    }

    /// What a gang of this shape adds, at most.
    pub fn asks(&self, shape: &Shape) -> u64 {
        let parts = shape.request.parts.iter();
        let each = |part: &Part| if matches!(self.most, Cap::Nodes(_)) { 1 } else { part.milli() };
        parts.fold(0, |sum: u64, part| sum.saturating_add(u64::from(part.nodes).saturating_mul(each(part))))
    }

    /// As much as may be in use: nodes, or milli-GPUs.
    fn bound(&self) -> u64 {
        match self.most {
            Cap::Nodes(most) => u64::from(most),
            Cap::Gpus(most) => u64::from(most) * u64::from(WHOLE),
        }
    }

    /// What the site's promises and kept places add.
    pub fn pledged(&self, cluster: &Cluster, promises: &Promises, now: Time) -> Pledged {
        let standing = promises.iter().map(|(job, _)| job).filter(|job| promises.is_down(*job));
        let terms = standing.chain(promises.kept.keys().copied()).filter_map(|job| promises.term(job));
        let here = terms.filter(|(on, ..)| cluster.site_of(on) == Some(self.site));
        here.map(|(on, start, end)| (start.max(now), end, self.adds(on))).collect()
    }

    /// The stretches of its windows from one moment until another in which this much more would be too much, when runs
    /// are gone as `gone` says by their limits. Beyond [`LOOK`] windows all that follow count as one.
    pub fn full(&self, pledged: &Pledged, more: u64, from: Time, until: Time, gone: impl Fn(Time) -> Time) -> Vec<Bar> {
        let mut bars = Vec::new();
        let mut at = from;
        for index in 0..=LOOK {
            let Some(window) = self.reservation.meets(at, until) else { break };
            let last = if index == LOOK { self.reservation.ends() } else { window.until };
            let (from, until) = (window.from.max(from), last.min(until));
            if more > self.bound() {
                bars.push(Bar { from, until, by: self.id() });
            } else {
                self.full_within(pledged, more, Bar { from, until, by: self.id() }, &gone, &mut bars);
            }
            at = window.until;
        }
        bars
    }

    fn full_within(
        &self,
        pledged: &Pledged,
        more: u64,
        within: Bar,
        gone: &impl Fn(Time) -> Time,
        bars: &mut Vec<Bar>,
    ) {
        let (mut used, mut peak) = (more, 0);
        let mut edges: Vec<(Time, bool, u64)> = Vec::new();
        let ends = self.ends.iter().map(|(end, amount)| (gone(*end), *amount));
        for (end, amount) in ends.filter(|(end, _)| *end > within.from) {
            used += amount;
            edges.push((end, false, amount));
        }
        for (start, end, amount) in pledged.iter().filter(|(start, end, _)| *end > within.from && *start < within.until)
        {
            if *start <= within.from {
                used += amount;
            } else {
                peak += amount;
                edges.push((*start, true, *amount));
            }
            edges.push((*end, false, *amount));
        }
        let most = self.bound();
        if used + peak <= most {
            return;
        }
        edges.retain(|(time, _, _)| *time < within.until);
        edges.sort_unstable();
        let mut since = (used > most).then_some(within.from);
        for (time, begins, amount) in edges {
            used = if begins { used + amount } else { used - amount };
            match since {
                None if used > most => since = Some(time),
                Some(from) if used <= most => {
                    if from < time {
                        bars.push(Bar { from, until: time, by: within.by });
                    }
                    since = None;
                }
                _ => {}
            }
        }
        bars.extend(since.map(|from| Bar { from, ..within }));
    }
}

/// A cap of a site that leaves no room for a gang, and when.
#[derive(Clone, Debug)]
pub(crate) struct Full {
    pub site: SiteId,
    /// A node that is in use all the while adds nothing to a cap of nodes.
    pub of_nodes: bool,
    pub bars: Vec<Bar>,
}

/// Where and when caps leave no room for a shape on top of what runs and is promised.
pub(crate) fn full(cluster: &Cluster, promises: &Promises, shape: &Shape, now: Time, until: Time) -> Vec<Full> {
    let mut list = Vec::new();
    for load in cluster.calendar.caps.iter().filter(|load| shape.request.sites.contains(&load.site)) {
        let more = load.asks(shape);
        if more > 0 {
            let pledged = load.pledged(cluster, promises, now);
            let full = |more: u64| load.full(&pledged, more, now, until, |end| gone(end, now));
            let of_nodes = matches!(load.most, Cap::Nodes(_));
            let bars = full(more);
            if !bars.is_empty() {
                // Where too much is in use already, a node in use is no excuse.
                let over = if of_nodes { full(0) } else { Vec::new() };
                list.push(Full { site: load.site, of_nodes, bars });
                list.push(Full { site: load.site, of_nodes: false, bars: over });
            }
        }
    }
    list
}

/// The caps that are planned to be exceeded, with the first moment of it; in the audit's and the operator's eyes a run is
/// gone when it should be.
pub(crate) fn exceeded<'a>(
    cluster: &'a Cluster,
    promises: &'a Promises,
    now: Time,
) -> impl Iterator<Item = (&'a Load, Vec<Bar>)> {
    cluster.calendar.caps.iter().filter_map(move |load| {
        let planned = load.pledged(cluster, promises, now);
        let bars = load.full(&planned, 0, now, Time::MAX, |end| end.after(crate::promise::GRACE));
        (!bars.is_empty()).then_some((load, bars))
    })
}

impl Cluster {
    /// The site of a gang.
    pub fn site_of(&self, on: &Allocation) -> Option<SiteId> {
        on.slots.first().map(|slot| self.site(slot.node))
    }

    pub fn site(&self, node: NodeId) -> SiteId {
        self.estate.pools[self.estate.nodes[node.index()].pool].site
    }

    /// Counts a node whose holds have changed for the caps of its site.
    pub fn recount(&mut self, node: NodeId) {
        if self.calendar.caps.is_empty() {
            return;
        }
        let site = self.site(node);
        let holds = &self.nodes[node.index()].holds;
        for load in self.calendar.caps.iter_mut().filter(|load| load.site == site) {
            load.recount(node, holds);
        }
    }

    /// What leaves anywhere in a capped site makes room everywhere in it.
    pub fn spread_growth(&mut self) {
        let sites: BTreeSet<SiteId> = self.calendar.caps.iter().map(|load| load.site).collect();
        for site in sites {
            if self.grown.ones().any(|node| self.site(NodeId::new(node as u32)) == site) {
                self.grow_site(site);
            }
        }
    }

    /// Notes that something may fit anywhere in a site.
    pub fn grow_site(&mut self, site: SiteId) {
        let pools = self.estate.pools.iter().filter(|pool| pool.site == site);
        self.grown.extend(pools.flat_map(|pool| &pool.nodes).map(|node| node.index()));
    }

    /// A cap that has counted all nodes of its site.
    pub fn counted(&self, mut load: Load) -> Load {
        let site = load.site;
        let nodes = (0u32..).map(NodeId::new).zip(&self.nodes);
        nodes.filter(|(id, _)| self.site(*id) == site).for_each(|(id, state)| load.recount(id, &state.holds));
        load
    }

    /// What every cap's list says against what the nodes hold.
    pub fn caps_agree(&self) -> bool {
        self.calendar.caps.iter().all(|load| {
            let fresh = self.counted(Load::new(load.reservation.clone(), load.site, load.most));
            fresh.ends == load.ends
        })
    }
}
