//! Where: a gang is placed whole or not at all.
//!
//! [`assemble`] picks nodes out of candidates, wherever these come from: what is free now ([`now`]), what will be free
//! at a later moment (see `promise`), or the estate as if it were empty ([`feasible`]). Parts are placed one after
//! another on distinct nodes, in one island, or in one site where the request allows that.
//!
//! Intuition: whole nodes are taken where they stand closest together and break up the smallest gap; parts of nodes go
//! to the fullest node that still has room, so that empty nodes stay empty.
use crate::cluster::Cluster;
use crate::estate::{Amount, Estate};
use crate::promise::Promises;
use crate::shape::{Fitting, Shape};
use alloc::vec::Vec;
use madang_model::{Allocation, IslandId, JobId, NodeId, SiteId, Slot, Time};

/// A node that could serve a part; less `left` is better for parts of nodes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    pub node: NodeId,
    pub left: u32,
}

/// Lists a pool's candidates for a part of the gang.
pub(crate) type Offer<'a> = dyn FnMut(u32, &Fitting, &mut Vec<Candidate>) + 'a;

/// A node chosen for a part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pick {
    pub part: u32,
    pub node: NodeId,
    pub need: Amount,
}

/// Why nothing was found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Short {
    /// Nodes that could serve, in the best island.
    pub fitting: u32,
    /// A job whose promise keeps further nodes from serving.
    pub behind: Option<JobId>,
}

/// What is free now and stays free for the whole of a limit.
pub(crate) struct Now<'a> {
    pub cluster: &'a Cluster,
    pub promises: &'a Promises,
    pub now: Time,
    /// When a run started now is gone for certain.
    pub end: Time,
}

/// Places a shape on what is free now.
pub(crate) fn now(shape: &Shape, at: &Now) -> Result<Allocation, Short> {
    let mut behind = None;
    let found = match shape.parts.as_slice() {
        _ if shape.is_single() => single(shape, at, &mut behind),
        _ => assemble(shape, &at.cluster.estate, &mut |_, fit, list| free_nodes(shape, fit, at, &mut behind, list)),
    };
    match found {
        Ok(picks) => Ok(with_devices(&picks, |node, _| at.cluster.nodes[node.index()].busy)),
        Err(fitting) => Err(Short { fitting, behind }),
    }
}

/// True when the nodes that are let through could hold the shape, were they empty.
pub(crate) fn feasible(shape: &Shape, estate: &Estate, lets: impl Fn(NodeId) -> bool) -> bool {
    let mut all = |_: u32, fit: &Fitting, list: &mut Vec<Candidate>| {
        let nodes = estate.pools[fit.pool].nodes.iter().copied();
        list.extend(nodes.filter(|node| lets(*node)).map(|node| Candidate { node, left: 0 }));
    };
    let asks = !shape.parts.is_empty() && shape.parts.iter().all(|part| part.nodes > 0);
    asks && assemble(shape, estate, &mut all).is_ok()
}

/// One node for one part: the fullest that fits; whole nodes from the rack with the fewest to spare.
fn single(shape: &Shape, at: &Now, behind: &mut Option<JobId>) -> Result<Vec<Pick>, u32> {
    let part = &shape.parts[0];
    if part.fitting.iter().any(|fit| fit.whole) {
        return assemble(shape, &at.cluster.estate, &mut |_, fit, list| free_nodes(shape, fit, at, behind, list));
    }
    let most = part.fitting.iter().map(|fit| at.cluster.estate.pools[fit.pool].total.gpus).max().unwrap_or(0);
    for gpus in 0..=most as usize {
        for fit in part.fitting.iter().filter(|fit| fit.need.gpus as usize <= gpus) {
            let Some(nodes) = at.cluster.free[fit.pool].get(gpus) else { continue };
            for slot in nodes.ones() {
                let node = at.cluster.estate.pools[fit.pool].nodes[slot];
                if serves(shape, fit, node, at, behind) {
                    return Ok(alloc::vec![Pick { part: 0, node, need: fit.need }]);
                }
            }
        }
    }
    Err(0)
}

/// The nodes of a pool that can take a part now, fullest first.
fn free_nodes(shape: &Shape, fit: &Fitting, at: &Now, behind: &mut Option<JobId>, list: &mut Vec<Candidate>) {
    let pool = &at.cluster.estate.pools[fit.pool];
    for (gpus, nodes) in at.cluster.free[fit.pool].iter().enumerate().skip(fit.need.gpus as usize) {
        for slot in nodes.ones() {
            if serves(shape, fit, pool.nodes[slot], at, behind) {
                list.push(Candidate { node: pool.nodes[slot], left: gpus as u32 });
            }
        }
    }
}

fn serves(shape: &Shape, fit: &Fitting, node: NodeId, at: &Now, behind: &mut Option<JobId>) -> bool {
    if !fit.need.within(at.cluster.free_of(node)) || !shape.allows(node) {
        return false;
    }
    match at.promises.conflict(at.cluster, node, fit.need, at.now, at.end) {
        Some(job) => {
            *behind = Some(behind.map_or(job, |known| known.min(job)));
            false
        }
        None => true,
    }
}

/// Gives each pick the lowest devices that are not busy.
pub(crate) fn with_devices(picks: &[Pick], busy: impl Fn(NodeId, u32) -> u32) -> Allocation {
    let mut slots: Vec<Slot> = picks
        .iter()
        .map(|pick| Slot {
            node: pick.node,
            part: pick.part,
            devices: lowest(!busy(pick.node, pick.need.gpus), pick.need.gpus),
            cpus: pick.need.cpus,
            memory_mib: pick.need.memory,
        })
        .collect();
    slots.sort_by_key(|slot| (slot.part, slot.node));
    Allocation { slots }
}

fn lowest(mut free: u32, count: u32) -> u32 {
    let mut taken = 0;
    for _ in 0..count {
        let bit = free & free.wrapping_neg();
        taken |= bit;
        free ^= bit;
    }
    taken
}

/// Picks a gang's nodes out of what `offer` lists for each pool, or says how many nodes the best island has.
pub(crate) fn assemble(shape: &Shape, estate: &Estate, offer: &mut Offer) -> Result<Vec<Pick>, u32> {
    let mut best: Option<((u32, usize), Vec<Pick>)> = None;
    let mut fitting = 0;
    for island in &shape.islands {
        match gather(shape, estate, core::slice::from_ref(island), offer) {
            Ok((score, picks)) => {
                if best.as_ref().is_none_or(|(least, _)| score < *least) {
                    best = Some((score, picks));
                }
            }
            Err(count) => fitting = fitting.max(count),
        }
    }
    if let Some((_, picks)) = best {
        return Ok(picks);
    }
    if shape.request.across_islands {
        for site in &shape.request.sites {
            let islands = islands_of(shape, estate, *site);
            match gather(shape, estate, &islands, offer) {
                Ok((_, picks)) => return Ok(picks),
                Err(count) => fitting = fitting.max(count),
            }
        }
    }
    Err(fitting)
}

fn islands_of(shape: &Shape, estate: &Estate, site: SiteId) -> Vec<IslandId> {
    shape.islands.iter().copied().filter(|island| estate.islands[island.index()] == site).collect()
}

/// Places all parts within these islands; the score is (GPUs left on the fullest kind of node, nodes offered), less is
/// better.
fn gather(
    shape: &Shape,
    estate: &Estate,
    islands: &[IslandId],
    offer: &mut Offer,
) -> Result<((u32, usize), Vec<Pick>), u32> {
    let include = &shape.request.include;
    if !include.iter().all(|node| node.index() < estate.nodes.len() && islands.contains(&estate.island(*node))) {
        return Err(0);
    }
    let mut lists = Vec::new();
    let mut fresh = Vec::new();
    for (index, part) in (0u32..).zip(&shape.parts) {
        let mut list: Vec<(Candidate, &Fitting)> = Vec::new();
        for fit in part.fitting.iter().filter(|fit| islands.contains(&estate.pools[fit.pool].island)) {
            offer(index, fit, &mut fresh);
            list.extend(fresh.drain(..).filter(|one| shape.allows(one.node)).map(|one| (one, fit)));
        }
        lists.push((index, part.nodes, list));
    }
    let offered = lists.iter().map(|(_, _, list)| list.len()).sum();
    let served = lists.iter().map(|(_, nodes, list)| (list.len() as u32).min(*nodes)).sum();
    // The part with the fewest candidates chooses first: what serves a demanding part serves the others too.
    lists.sort_by_key(|(index, _, list)| (list.len(), *index));
    let mut picks: Vec<Pick> = Vec::new();
    let mut left = 0;
    for (part, nodes, mut list) in lists {
        list.retain(|(candidate, _)| !picks.iter().any(|pick| pick.node == candidate.node));
        let chosen = choose(nodes as usize, include, list, estate).ok_or(served)?;
        left = left.max(chosen.iter().map(|(candidate, _)| candidate.left).max().unwrap_or(0));
        picks.extend(chosen.iter().map(|(candidate, fit)| Pick { part, node: candidate.node, need: fit.need }));
    }
    let complete = include.iter().all(|node| picks.iter().any(|pick| pick.node == *node));
    if complete { Ok(((left, offered), picks)) } else { Err(served) }
}

/// Chooses this many, the included ones first; `None` when there are too few.
fn choose<'a>(
    count: usize,
    include: &[NodeId],
    list: Vec<(Candidate, &'a Fitting)>,
    estate: &Estate,
) -> Option<Vec<(Candidate, &'a Fitting)>> {
    if list.len() < count {
        return None;
    }
    let whole = list.iter().all(|(_, fit)| fit.whole);
    let (mut chosen, mut rest): (Vec<_>, Vec<_>) =
        list.into_iter().partition(|(candidate, _)| include.binary_search(&candidate.node).is_ok());
    chosen.truncate(count);
    let wanted = count - chosen.len();
    if whole {
        rest.sort_by_key(|(candidate, _)| estate.nodes[candidate.node.index()].place);
        let start = closest(wanted, &rest, estate);
        chosen.extend(rest.into_iter().skip(start).take(wanted));
    } else {
        rest.sort_by_key(|(candidate, _)| (candidate.left, candidate.node));
        chosen.extend(rest.into_iter().take(wanted));
    }
    (chosen.len() == count).then_some(chosen)
}

/// Where the window of `count` nodes begins that spans the fewest racks, then the fewest places, then breaks up the
/// rack with the fewest nodes to offer.
fn closest(count: usize, list: &[(Candidate, &Fitting)], estate: &Estate) -> usize {
    if count == 0 || list.len() <= count {
        return 0;
    }
    let facts = |index: usize| &estate.nodes[list[index].0.node.index()];
    let mut in_rack = alloc::vec![0usize; list.len()];
    let mut first = 0;
    for index in 0..=list.len() {
        let same = |a: usize, b: usize| facts(a).rack == facts(b).rack && facts(a).pool == facts(b).pool;
        if index == list.len() || !same(index, first) {
            in_rack[first..index].fill(index - first);
            first = index;
        }
    }
    let key = |start: usize| {
        let (a, b) = (facts(start), facts(start + count - 1));
        (a.rack.abs_diff(b.rack), b.place - a.place, in_rack[start])
    };
    (0..=list.len() - count).min_by_key(|start| (key(*start), *start)).unwrap_or(0)
}
