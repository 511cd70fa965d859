//! Where: a gang is placed whole or not at all.
//!
//! [`assemble`] picks nodes out of candidates, wherever these come from: what is free now ([`now`]), what will be free
//! at a later moment (see `promise`), or the estate as if it were empty ([`feasible`]). Parts are placed one after
//! another on distinct nodes, in one island, or in one site where the request allows that.
//!
//! Intuition: whole nodes are taken where they stand closest together in the tree and break up the smallest domain (see
//! `topology`); parts of nodes go to the fullest node that still has room, so that empty nodes stay empty.
use crate::caps::{self, Full};
use crate::cluster::Cluster;
use crate::devices;
use crate::estate::{Amount, Estate};
use crate::parts::{self, Piece, Seat, Stay};
use crate::promise::{Promises, gone};
use crate::shape::{Fitting, PartPlan, Shape};
use crate::topology::{self, Call, Chosen, Seat as Choice, Spread, regions};
use crate::wish::AT_ISLAND;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use fixedbitset::FixedBitSet;
use madang_model::{Allocation, Held, IslandId, JobId, NodeId, ReservationId, SiteId, Slot, Time};

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
    /// What is asked of its one GPU, where that is not all of it.
    pub piece: Option<Piece>,
    /// Where that is, if it was chosen already.
    pub seat: Seat,
    /// Held beside the gang.
    pub spare: bool,
}

impl Pick {
    /// What is asked of the node, whatever its pool.
    pub fn asks(&self) -> Fitting {
        Fitting { pool: 0, need: self.need, piece: self.piece, whole: false, kinds: 0 }
    }
}

/// Why nothing was found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Short {
    /// Nodes that could serve, in the best island or the best domain of a required level; segments where these count.
    pub fitting: u32,
    /// A job whose promise keeps further nodes from serving.
    pub behind: Option<JobId>,
    /// A reservation without whose windows it would have been placed.
    pub window: Option<ReservationId>,
}

/// What kept nodes from serving.
#[derive(Default)]
struct Met {
    behind: Option<JobId>,
    window: Option<ReservationId>,
    /// True where windows count.
    heeds: bool,
    full: Vec<Full>,
}

/// What is free now and stays free for the whole of a limit.
pub(crate) struct Now<'a> {
    pub cluster: &'a Cluster,
    pub promises: &'a Promises,
    pub now: Time,
    /// When a run started now is gone for certain.
    pub end: Time,
    /// True when it would start now, on nodes that are in use and so count for a cap of nodes already, and with its part
    /// of a device open to others. A promise counts for itself, even one that is due now.
    pub rides: bool,
}

/// Places a shape on what is free now.
pub(crate) fn now(shape: &Shape, at: &Now) -> Result<Allocation, Short> {
    let heeds = !at.cluster.leaves_alone(shape);
    let full = if heeds { caps::full(at.cluster, at.promises, shape, at.now, at.end) } else { Vec::new() };
    let mut met = Met { heeds, full, ..Met::default() };
    let found = match search(shape, at, &mut met) {
        // What fails without windows too is short of capacity, whatever the windows.
        Err(_) if met.window.is_some() => {
            let mut plain = Met::default();
            match search(shape, at, &mut plain) {
                Err(fitting) => Err(Short { fitting, behind: plain.behind, window: None }),
                Ok(_) => Err(Short { fitting: 0, behind: met.behind, window: met.window }),
            }
        }
        found => found.map_err(|fitting| Short { fitting, behind: met.behind, window: None }),
    };
    found.map(|picks| with_devices(&picks, &at.cluster.estate, |pick| parts::from_now(pick, at)))
}

fn search(shape: &Shape, at: &Now, met: &mut Met) -> Result<Vec<Pick>, u32> {
    if shape.is_single() {
        single(shape, at, met)
    } else {
        let most = if takes_the_first(shape, &at.cluster.estate) { shape.nodes() as usize } else { usize::MAX };
        assemble(shape, &at.cluster.estate, &mut |_, fit, list| free_nodes(shape, fit, at, met, most, list))
    }
}

/// True of a gang of equal nodes of one pool, all of them neighbours: it takes the fullest, of equals those that come
/// first, so that no more of them need be listed than it has nodes.
fn takes_the_first(shape: &Shape, estate: &Estate) -> bool {
    let [part] = shape.parts.as_slice() else { return false };
    flat(part, estate) && shape.request.include.is_empty() && !shape.wish.close && shape.wish.spares == 0
}

/// True when the nodes that are let through could hold the shape, were they empty.
pub(crate) fn feasible(shape: &Shape, estate: &Estate, lets: impl Fn(NodeId) -> bool) -> bool {
    let asks = !shape.parts.is_empty() && shape.parts.iter().all(|part| part.nodes > 0);
    asks && on_empty(shape, estate, lets).is_ok()
}

/// What the best domain or island has for a shape that never fits, were all nodes empty (see [`Short::fitting`]).
pub(crate) fn best(shape: &Shape, estate: &Estate) -> u32 {
    on_empty(shape, estate, |_| true).err().unwrap_or(0)
}

fn on_empty(shape: &Shape, estate: &Estate, lets: impl Fn(NodeId) -> bool) -> Result<Vec<Pick>, u32> {
    let mut all = |_: u32, fit: &Fitting, list: &mut Vec<Candidate>| {
        let nodes = estate.pools[fit.pool].nodes.iter().copied();
        list.extend(nodes.filter(|node| lets(*node)).map(|node| Candidate { node, left: 0 }));
    };
    assemble(shape, estate, &mut all)
}

/// One node for one part, of the most wanted kind that is free: the fullest that fits, and of these one whose free devices lie in the fewest NUMA domains;
/// whole nodes from the lowest domain with the fewest to spare.
fn single(shape: &Shape, at: &Now, met: &mut Met) -> Result<Vec<Pick>, u32> {
    let part = &shape.parts[0];
    if at.cluster.weighs(shape) || part.fitting.iter().any(|fit| fit.piece.is_some()) {
        return least_loss(shape, at, met);
    }
    if part.fitting.iter().any(|fit| fit.whole) && !flat(part, &at.cluster.estate) {
        let all = usize::MAX;
        return assemble(shape, &at.cluster.estate, &mut |_, fit, list| free_nodes(shape, fit, at, met, all, list));
    }
    let turns = (0..shape.kinds).flat_map(|kind| shape.ranks().map(move |rank| (kind, rank)));
    turns.into_iter().find_map(|turn| single_of(shape, turn, at, met)).map_or(Err(0), |pick| Ok(alloc::vec![pick]))
}

/// True where all nodes that could hold the part are alike and neighbours of each other.
fn flat(part: &PartPlan, estate: &Estate) -> bool {
    matches!(part.fitting.as_slice(), [fit] if estate.levels[estate.pools[fit.pool].island.index()].is_empty())
}

fn single_of(shape: &Shape, (kind, rank): (u32, u32), at: &Now, met: &mut Met) -> Option<Pick> {
    let estate = &at.cluster.estate;
    let serves_turn = |fit: &&Fitting| fit.kinds >> kind & 1 == 1 && shape.is_ranked(rank, estate.pools[fit.pool].site);
    let fitting = || shape.parts[0].in_turn(estate).filter(serves_turn);
    let most = fitting().map(|fit| estate.pools[fit.pool].total.gpus).max().unwrap_or(0);
    for gpus in 0..=most as usize {
        let mut split = None;
        for fit in fitting().filter(|fit| fit.need.gpus as usize <= gpus) {
            let pool = &estate.pools[fit.pool];
            let nodes = at.cluster.free[fit.pool].get(gpus).filter(|_| shape.wish.of(pool.island).is_some());
            let Some(nodes) = nodes else { continue };
            let fewest = devices::spread(u32::MAX, fit.need.gpus, &pool.numa);
            for node in nodes.ones().map(|slot| pool.nodes[slot]) {
                let free = !at.cluster.nodes[node.index()].busy;
                let near = devices::spread(free, fit.need.gpus, &pool.numa) == fewest;
                if (near || split.is_none()) && serves(shape, fit, node, at, met) {
                    let pick = pick(0, fit, node);
                    if near {
                        return Some(pick);
                    }
                    split = Some(pick);
                }
            }
        }
        if split.is_some() {
            return split;
        }
    }
    None
}

/// One node for one part where devices are shared: of the best site the one that loses the least worth by it, and of equals
/// the first.
fn least_loss(shape: &Shape, at: &Now, met: &mut Met) -> Result<Vec<Pick>, u32> {
    let mut best: Option<((u32, u64), Pick)> = None;
    for fit in shape.parts[0].in_turn(&at.cluster.estate) {
        let pool = &at.cluster.estate.pools[fit.pool];
        if shape.wish.of(pool.island).is_none() {
            continue;
        }
        let mut nodes = FixedBitSet::with_capacity(pool.nodes.len());
        at.cluster.free[fit.pool].iter().skip(fit.need.gpus as usize).for_each(|free| nodes.union_with(free));
        if fit.piece.is_some() {
            nodes.union_with(&at.cluster.open[fit.pool]);
        }
        for node in nodes.ones().map(|slot| pool.nodes[slot]) {
            let rank = shape.request.rank_of(pool.site);
            let fewer = |loss: u64| best.is_none_or(|(least, _)| (rank, loss) < least);
            let found = parts::least_loss(fit, node, at);
            // Where no seat is left by promises, it is noted whose they are.
            if found.is_none_or(|(loss, _)| fewer(loss))
                && serves(shape, fit, node, at, met)
                && let Some((loss, seat)) = found
            {
                best = Some(((rank, loss), Pick { seat, ..pick(0, fit, node) }));
            }
        }
    }
    best.map(|(_, pick)| alloc::vec![pick]).ok_or(0)
}

/// A node chosen for a part, nothing else said.
pub(crate) fn pick(part: u32, fit: &Fitting, node: NodeId) -> Pick {
    Pick { part, node, need: fit.need, piece: fit.piece, seat: None, spare: false }
}

/// The nodes of a pool that can take a part now, fullest first, and no more than so many.
fn free_nodes(shape: &Shape, fit: &Fitting, at: &Now, met: &mut Met, most: usize, list: &mut Vec<Candidate>) {
    let pool = &at.cluster.estate.pools[fit.pool];
    let least = if fit.piece.is_some() { 0 } else { fit.need.gpus as usize };
    // What asks for no GPU goes first where there are none.
    let beside = u32::from(fit.need.gpus == 0 && pool.total.gpus > 0);
    for (gpus, nodes) in at.cluster.free[fit.pool].iter().enumerate().skip(least) {
        for slot in nodes.ones() {
            if list.len() == most {
                return;
            }
            if serves(shape, fit, pool.nodes[slot], at, met) {
                list.push(Candidate { node: pool.nodes[slot], left: gpus as u32 + beside });
            }
        }
    }
}

fn serves(shape: &Shape, fit: &Fitting, node: NodeId, at: &Now, met: &mut Met) -> bool {
    if !at.cluster.fits(node, fit) || !shape.allows(node) {
        return false;
    }
    if met.heeds
        && let Err(by) = opens(shape, node, at, met)
    {
        met.window = Some(met.window.map_or(by, |known| known.min(by)));
        return false;
    }
    match at.promises.seat(at.cluster, node, fit, Stay::of(at)) {
        Err(job) => {
            met.behind = Some(met.behind.map_or(job, |known| known.min(job)));
            false
        }
        Ok(_) => true,
    }
}

/// Whether windows and caps let a run be on the node from now until it is gone; else which of them does not.
fn opens(shape: &Shape, node: NodeId, at: &Now, met: &Met) -> Result<(), ReservationId> {
    at.cluster.calendar.admits(node, shape.request.reservation, at.now, at.end)?;
    if met.full.is_empty() {
        return Ok(());
    }
    let site = at.cluster.site(node);
    // A run that was there before the cap may leave early, and what rode on its node would exceed the cap by itself.
    let excused = &at.cluster.calendar.excused;
    let holds = at.cluster.nodes[node.index()].holds.iter().filter(|hold| !excused.contains(&hold.run));
    let in_use = holds.map(|hold| gone(hold.until, at.now)).max().unwrap_or(at.now);
    for full in met.full.iter().filter(|full| full.site == site) {
        if let Some(bar) = full.bars.iter().find(|bar| !(full.of_nodes && at.rides) || in_use < bar.until.min(at.end)) {
            return Err(bar.by);
        }
    }
    Ok(())
}

/// Gives each pick the devices that are chosen for it, and puts the slots in rank order.
pub(crate) fn with_devices(
    picks: &[Pick],
    estate: &Estate,
    choose: impl Fn(&Pick) -> (u32, Option<Held>),
) -> Allocation {
    let slot = |pick: &Pick| {
        let facts = &estate.nodes[pick.node.index()];
        let (devices, share) = choose(pick);
        let slot = Slot {
            node: pick.node,
            part: pick.part,
            devices,
            cpus: pick.need.cpus,
            memory_mib: pick.need.memory,
            share,
        };
        ((pick.part, pick.spare, facts.place), slot)
    };
    let mut slots: Vec<((u32, bool, u32), Slot)> = picks.iter().map(slot).collect();
    slots.sort_by_key(|(rank, _)| *rank);
    Allocation { slots: slots.into_iter().map(|(_, slot)| slot).collect() }
}

/// How good a placement is; less is better: how far apart, GPUs left on the fullest kind of node, nodes offered.
type Score = (Spread, u32, usize);

/// Picks a gang's nodes out of what `offer` lists for each pool, of the most wanted kind that can be had, at the site that
/// is reached best, or says what the best island or domain has.
pub(crate) fn assemble(shape: &Shape, estate: &Estate, offer: &mut Offer) -> Result<Vec<Pick>, u32> {
    let mut fitting = 0;
    for kind in 0..shape.kinds {
        for rank in shape.ranks() {
            match assemble_of(shape, (kind, rank), estate, offer) {
                Ok(picks) => return Ok(picks),
                Err(count) => fitting = fitting.max(count),
            }
        }
    }
    Err(fitting)
}

fn assemble_of(shape: &Shape, (kind, rank): (u32, u32), estate: &Estate, offer: &mut Offer) -> Result<Vec<Pick>, u32> {
    let mut best: Option<(Score, Vec<Pick>)> = None;
    let mut fitting = 0;
    for island in shape.islands.iter().filter(|island| shape.is_ranked(rank, estate.islands[island.index()])) {
        match gather(shape, kind, estate, core::slice::from_ref(island), offer) {
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
        for site in shape.request.sites.iter().filter(|site| shape.is_ranked(rank, **site)) {
            let islands = islands_of(shape, estate, *site);
            match gather(shape, kind, estate, &islands, offer) {
                Ok((_, picks)) => return Ok(picks),
                Err(count) => fitting = fitting.max(count),
            }
        }
    }
    Err(fitting)
}

/// The least limit up to which each part is listed for as many nodes as it has: below it no gang can be assembled.
pub(crate) fn enough<'a, T: Copy + Ord + 'a>(
    shape: &Shape,
    listed: impl Fn(u32, usize) -> &'a Vec<(T, NodeId)>,
) -> Option<T> {
    let mut least = None;
    for (index, part) in (0u32..).zip(&shape.parts) {
        let lists = part.fitting.iter().map(|fit| listed(index, fit.pool));
        let mut limits: Vec<T> = lists.flatten().map(|(limit, _)| *limit).collect();
        let last = (part.nodes as usize).checked_sub(1).filter(|last| *last < limits.len())?;
        least = least.max(Some(*limits.select_nth_unstable(last).1));
    }
    least
}

/// What the first of the limits yields that yields anything, where none below `from` does and every one after the first
/// does. It is mostly `from` itself.
pub(crate) fn first_that_holds<T: Copy + Ord, F>(
    limits: impl Iterator<Item = T>,
    from: T,
    attempt: impl Fn(T) -> Option<F>,
) -> Option<(T, F)> {
    if let Some(found) = attempt(from) {
        return Some((from, found));
    }
    let mut after: Vec<T> = limits.filter(|limit| *limit > from).collect();
    after.sort_unstable();
    after.dedup();
    let first = *after.get(after.partition_point(|limit| attempt(*limit).is_none()))?;
    Some((first, attempt(first)?))
}

fn islands_of(shape: &Shape, estate: &Estate, site: SiteId) -> Vec<IslandId> {
    shape.islands.iter().copied().filter(|island| estate.islands[island.index()] == site).collect()
}

/// Places all parts of one kind of gang within these islands.
fn gather(
    shape: &Shape,
    kind: u32,
    estate: &Estate,
    islands: &[IslandId],
    offer: &mut Offer,
) -> Result<(Score, Vec<Pick>), u32> {
    let include = &shape.request.include;
    if !include.iter().all(|node| node.index() < estate.nodes.len() && islands.contains(&estate.island(*node))) {
        return Err(0);
    }
    let mut lists = Vec::new();
    let mut fresh = Vec::new();
    for (index, part) in (0u32..).zip(&shape.parts) {
        let mut list: Vec<Choice> = Vec::new();
        let serves = |fit: &&Fitting| fit.kinds >> kind & 1 == 1 && islands.contains(&estate.pools[fit.pool].island);
        for fit in part.fitting.iter().filter(serves) {
            offer(index, fit, &mut fresh);
            list.extend(fresh.drain(..).filter(|one| shape.allows(one.node)).map(|one| (one, fit)));
        }
        lists.push((index, part.nodes, list));
    }
    let close = shape.wish.close || lists.iter().any(|(_, _, list)| whole(list));
    if lists.len() > 1 && close { closest(shape, estate, &lists) } else { compose(shape, estate, lists) }
}

/// Several parts in the lowest domain that holds them all.
fn closest(shape: &Shape, estate: &Estate, lists: &[(u32, u32, Vec<Choice>)]) -> Result<(Score, Vec<Pick>), u32> {
    let depths = lists.iter().flat_map(|(_, _, list)| list);
    let deepest = depths.map(|(one, _)| estate.nodes[one.node.index()].path.len()).max().unwrap_or(0);
    let required = shape.wish.bounds.iter().map(|bounds| bounds.required).min().filter(|_| !shape.wish.segmented);
    let mut best = 0;
    for depth in (required.unwrap_or(0).max(AT_ISLAND)..=deepest).rev() {
        let mut open = Vec::new();
        for (domain, lists) in regions(lists, depth, estate) {
            let offered: usize = lists.iter().map(|(_, _, list)| list.len()).sum();
            let served: u32 = lists.iter().map(|(_, nodes, list)| (list.len() as u32).min(*nodes)).sum();
            let nodes: BTreeSet<NodeId> = lists.iter().flat_map(|(_, _, list)| list).map(|(one, _)| one.node).collect();
            best = best.max(served.min(nodes.len() as u32));
            if lists.iter().all(|(_, nodes, list)| list.len() >= *nodes as usize) {
                open.push((offered, domain, lists));
            }
        }
        open.sort_by_key(|(offered, domain, _)| (*offered, *domain));
        for (_, _, lists) in open {
            if let Ok(((spread, left, offered), picks)) = compose(shape, estate, lists) {
                let spread = Spread { height: spread.height.max(deepest - depth), ..spread };
                return Ok(((spread, left, offered), picks));
            }
        }
    }
    if required.is_some_and(|depth| depth > 0) { Err(best) } else { compose(shape, estate, lists.to_vec()) }
}

/// Places each part on what is listed for it.
fn compose(shape: &Shape, estate: &Estate, mut lists: Vec<(u32, u32, Vec<Choice>)>) -> Result<(Score, Vec<Pick>), u32> {
    let include = &shape.request.include;
    let offered = lists.iter().map(|(_, _, list)| list.len()).sum();
    let served = lists.iter().map(|(_, nodes, list)| (list.len() as u32).min(*nodes)).sum();
    // The part with the fewest candidates chooses first: what serves a demanding part serves the others too.
    lists.sort_by_key(|(index, _, list)| (list.len(), *index));
    let mut taken: BTreeSet<NodeId> = BTreeSet::new();
    let mut picks: Vec<Pick> = Vec::new();
    let (mut spread, mut left) = (Spread::default(), 0);
    let single = lists.len() == 1;
    for (part, nodes, mut list) in lists {
        if !taken.is_empty() {
            list.retain(|(candidate, _)| !taken.contains(&candidate.node));
        }
        let chosen = choose(shape, (part, nodes as usize), list, estate);
        let (apart, chosen) = chosen.map_err(|best| if single { best } else { served })?;
        spread = spread.max(apart);
        for ((candidate, fit), spare) in chosen {
            left = left.max(candidate.left);
            taken.insert(candidate.node);
            picks.push(Pick { spare, ..pick(part, fit, candidate.node) });
        }
    }
    let complete = include.iter().all(|node| taken.contains(node));
    if complete { Ok(((spread, left, offered), picks)) } else { Err(served) }
}

fn whole(list: &[Choice]) -> bool {
    !list.is_empty() && list.iter().all(|(_, fit)| fit.whole)
}

/// Chooses a part's nodes, the included ones first; or says how many there are.
fn choose<'a>(
    shape: &Shape,
    (part, count): (u32, usize),
    mut list: Vec<Choice<'a>>,
    estate: &Estate,
) -> Result<Chosen<'a>, u32> {
    let (include, wish) = (&shape.request.include, &shape.wish);
    let Some(gang) = wish.gang(part, count) else { return Err(0) };
    if shape.parts.len() == 1 && include.len() > gang {
        // A node that is named is wanted for work, not as a spare.
        return Err(0);
    }
    let spares = count - gang;
    if wish.close || whole(&list) {
        return topology::choose(&Call { estate, wish, gang, spares, include }, list);
    }
    if list.len() < count {
        return Err(list.len() as u32);
    }
    let included = |candidate: &Candidate| include.binary_search(&candidate.node).is_ok();
    list.sort_by_key(|(candidate, _)| (!included(candidate), candidate.left, candidate.node));
    list.truncate(count);
    Ok((Spread::default(), (0..).zip(list).map(|(index, seat)| (seat, index >= gang)).collect()))
}
