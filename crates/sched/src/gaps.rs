//! Promises around windows: the earliest moment at which enough nodes are open together.
//!
//! Without windows a node that is free once stays free, and a search by halves finds the earliest start. With them each
//! node has *spells*, stretches of moments at which the run may begin there. A sweep over all spells counts the open
//! nodes of each island, and only where they may be enough a placement is tried.
//!
//! Work is bounded by counts: windows and spells of a node (`calendar`), trials here.
use crate::calendar::{Bar, Spell};
use crate::caps;
use crate::cluster::Cluster;
use crate::place::{Candidate, Pick, assemble};
use crate::promise::{GRACE, Promises};
use crate::shape::{Fitting, Shape};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use madang_model::{NodeId, SiteId, Span, Time};

/// Most moments at which a placement is tried.
const TRIALS: u32 = 32;

/// By (part, pool): from when on each node could be had, were there no windows.
pub(crate) type Ready = BTreeMap<(u32, usize), Vec<(Time, NodeId)>>;

/// A node with the spells in which it can be had.
struct Open {
    node: NodeId,
    ready: Time,
    spells: Vec<Spell>,
}

/// A node begins or ceases to be open to a part.
type Edge = (Time, bool, u32, usize);

/// How many nodes are open to each part, by island.
struct Tally<'a> {
    shape: &'a Shape,
    cluster: &'a Cluster,
    open: BTreeMap<(u32, usize), u32>,
}

/// The earliest start around windows, and where.
pub(crate) fn earliest(
    cluster: &Cluster,
    promises: &Promises,
    shape: &Shape,
    (limit, now): (Span, Time),
    ready: &Ready,
) -> Option<(Time, Vec<Pick>)> {
    let len = Span::from_millis(limit.millis().saturating_add(GRACE.millis()));
    let full = caps::full(cluster, promises, shape, now, Time::MAX);
    let bars = |site: SiteId| -> Vec<Bar> {
        full.iter().filter(|full| full.site == site).flat_map(|full| full.bars.iter().copied()).collect()
    };
    let mut open: BTreeMap<(u32, usize), Vec<Open>> = BTreeMap::new();
    let mut edges: Vec<Edge> = Vec::new();
    for ((part, pool), nodes) in ready {
        let bars = bars(cluster.estate.pools[*pool].site);
        let island = cluster.estate.pools[*pool].island.index();
        let nodes = nodes.iter().map(|(ready, node)| {
            let spells = cluster.calendar.spells(*node, shape.request.reservation, len, *ready, &bars);
            for spell in &spells {
                edges.push((spell.first, false, *part, island));
                if spell.last < Time::MAX {
                    edges.push((spell.last.after(Span::from_millis(1)), true, *part, island));
                }
            }
            Open { node: *node, ready: *ready, spells }
        });
        let nodes = nodes.collect();
        open.insert((*part, *pool), nodes);
    }
    let mut tally = Tally { shape, cluster, open: BTreeMap::new() };
    tally.sweep(edges, |at| attempt(cluster, shape, &open, at, now))
}

/// A placement on what is open at that moment.
fn attempt(
    cluster: &Cluster,
    shape: &Shape,
    open: &BTreeMap<(u32, usize), Vec<Open>>,
    at: Time,
    now: Time,
) -> Option<Vec<Pick>> {
    let mut offer = |part: u32, fit: &Fitting, list: &mut Vec<Candidate>| {
        let nodes = open[&(part, fit.pool)].iter();
        let nodes = nodes.filter(|open| open.spells.iter().any(|spell| spell.first <= at && at <= spell.last));
        // A node that is ready later is the better choice: the early ones stay open for backfill.
        let left = |time: Time| u32::MAX - u32::try_from(time.since(now).secs()).unwrap_or(u32::MAX);
        list.extend(nodes.map(|open| Candidate { node: open.node, left: left(open.ready) }));
    };
    assemble(shape, &cluster.estate, &mut offer).ok()
}

impl Tally<'_> {
    /// Goes through the moments at which a node opens, and tries where enough are open.
    fn sweep(
        &mut self,
        mut edges: Vec<Edge>,
        attempt: impl Fn(Time) -> Option<Vec<Pick>>,
    ) -> Option<(Time, Vec<Pick>)> {
        edges.sort_unstable_by_key(|(time, shuts, part, island)| (*time, !*shuts, *part, *island));
        let mut rest = edges.as_slice();
        let mut trials = 0;
        while let Some((at, ..)) = rest.first().copied() {
            let same = rest.partition_point(|(time, ..)| *time == at);
            let mut opens = false;
            for (_, shuts, part, island) in &rest[..same] {
                let count = self.open.entry((*part, *island)).or_insert(0);
                *count = if *shuts { *count - 1 } else { *count + 1 };
                opens |= !shuts;
            }
            rest = &rest[same..];
            // What only ends with time itself is no start to promise.
            if opens && at < Time::MAX && self.may_be_enough() {
                if let Some(picks) = attempt(at) {
                    return Some((at, picks));
                }
                trials += 1;
                if trials == TRIALS {
                    return None;
                }
            }
        }
        None
    }

    /// True when some island, or some site for a gang that may span islands, has as many nodes open as each part needs.
    fn may_be_enough(&self) -> bool {
        let open = |part: u32, island: usize| self.open.get(&(part, island)).copied().unwrap_or(0);
        let parts = || (0u32..).zip(&self.shape.parts);
        let mut islands = self.shape.islands.iter().map(|island| island.index());
        if islands.any(|island| parts().all(|(index, part)| open(index, island) >= part.nodes)) {
            return true;
        }
        let of_site = |index: u32, site: SiteId| -> u32 {
            let islands =
                self.shape.islands.iter().filter(|island| self.cluster.estate.islands[island.index()] == site);
            islands.map(|island| open(index, island.index())).sum()
        };
        self.shape.request.across_islands
            && self
                .shape
                .request
                .sites
                .iter()
                .any(|site| parts().all(|(index, part)| of_site(index, *site) >= part.nodes))
    }
}
