//! Which of the nodes on offer: the lowest domain that holds the gang, else the fewest domains with equal shares.
//!
//! The offered nodes, in the order of the tree, are cut into *branches*: one for each domain that has any of them. A
//! branch that holds the gang is *narrowed* to the lowest branch below it that still does, and among equals to the one
//! with the fewest to spare, so that large domains stay whole. Where no single one does, its branches *split* the gang:
//! as few of them as can be, in shares as equal as can be, each share in the smallest branch that has room for it. Each
//! share is then settled in the same way.
//!
//! Segments are counted whole down to the required level; below it nodes are counted. Nodes that must be included are a
//! floor under the share of the branch that they are in.
//!
//! Invariants: what is found has exactly the nodes asked for; a required level is never left; the search finds something
//! whenever there is something to find.
use crate::estate::Estate;
use crate::place::Candidate;
use crate::shape::Fitting;
use crate::wish::{AT_ISLAND, Wish};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::ops::Range;
use madang_model::{IslandId, NodeId};

/// A node on offer, and what the part takes of it.
pub(crate) type Seat<'a> = (Candidate, &'a Fitting);

/// How far apart chosen nodes stand; less is better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Spread {
    /// Levels from the lowest (or the preferred one) up to the domain that holds all.
    pub height: usize,
    /// Domains of the lowest (or the preferred) level.
    pub domains: usize,
}

/// What is asked of the offered nodes.
pub(crate) struct Call<'a> {
    pub estate: &'a Estate,
    pub wish: &'a Wish,
    /// Nodes that are no spares: a multiple of the wish's unit.
    pub gang: usize,
    pub spares: usize,
    pub include: &'a [NodeId],
}

/// Chosen seats with their spread; true for a spare.
pub(crate) type Chosen<'a> = (Spread, Vec<(Seat<'a>, bool)>);

/// The nodes of one domain that are on offer.
#[derive(Clone, Debug)]
struct Branch {
    depth: usize,
    seats: Range<usize>,
    parent: usize,
    below: Range<usize>,
    /// Levels below it.
    height: usize,
    /// Segments (or nodes) that there is room for, and how many of these the included nodes make.
    units: usize,
    floor: usize,
    /// Included nodes.
    must: usize,
    /// The depth down to which segments are counted whole.
    cut: usize,
    preferred: Option<usize>,
}

struct Tree<'a, 'b> {
    call: &'b Call<'b>,
    seats: Vec<Seat<'a>>,
    must: Vec<bool>,
    branches: Vec<Branch>,
    /// By seat: taken, and if so whether as a spare.
    taken: Vec<Option<bool>>,
}

/// Chooses seats, or says how many nodes the best domain has (with segments: for how many there is room).
pub(crate) fn choose<'a>(call: &Call<'_>, mut seats: Vec<Seat<'a>>) -> Result<Chosen<'a>, u32> {
    seats.sort_by_key(|(candidate, _)| call.estate.nodes[candidate.node.index()].place);
    if let Some(chosen) = neighbours(call, &seats) {
        return Ok(chosen);
    }
    let mut tree = Tree::new(call, seats);
    let holder = tree.holder()?;
    let beside = if call.wish.segmented { 0 } else { call.spares };
    tree.settle(holder, call.gang + beside, beside);
    if call.wish.segmented {
        tree.spare_beside(holder, call.spares);
    }
    let spread = tree.spread(holder);
    let taken = tree.seats.into_iter().zip(tree.taken);
    Ok((spread, taken.filter_map(|(seat, spare)| Some((seat, spare?))).collect()))
}

/// What is chosen where all on offer is in one lowest domain and no node is named: what leaves least.
fn neighbours<'a>(call: &Call<'_>, seats: &[Seat<'a>]) -> Option<Chosen<'a>> {
    let path = |seat: &Seat| &call.estate.nodes[seat.0.node.index()].path;
    let (first, last, nodes) = (seats.first()?, seats.last()?, call.gang + call.spares);
    let required = call.wish.of(call.estate.pools[first.1.pool].island).map_or(0, |bounds| bounds.required);
    let plain = call.include.is_empty() && !call.wish.segmented && required <= path(first).len();
    if !plain || path(first) != path(last) || nodes == 0 || nodes > seats.len() {
        return None;
    }
    let mut order: Vec<usize> = (0..seats.len()).collect();
    order.sort_by_key(|seat| (seats[*seat].0.left, *seat));
    order.truncate(nodes);
    order.sort_unstable();
    let chosen = order.into_iter().enumerate().map(|(index, seat)| (seats[seat], index >= call.gang));
    Some((Spread { height: 0, domains: 1 }, chosen.collect()))
}

impl<'a, 'b> Tree<'a, 'b> {
    fn new(call: &'b Call<'b>, seats: Vec<Seat<'a>>) -> Tree<'a, 'b> {
        let most = call.gang + if call.wish.segmented { 0 } else { call.spares };
        let mut left = most;
        let must = seats.iter().map(|(candidate, _)| {
            let included = left > 0 && call.include.binary_search(&candidate.node).is_ok();
            left -= usize::from(included);
            included
        });
        let must = must.collect();
        let taken = alloc::vec![None; seats.len()];
        let mut tree = Tree { call, seats, must, branches: Vec::new(), taken };
        tree.grow();
        tree.count();
        tree
    }

    fn path(&self, seat: usize) -> &[u32] {
        &self.call.estate.nodes[self.seats[seat].0.node.index()].path
    }

    fn island(&self, seat: usize) -> IslandId {
        self.call.estate.pools[self.seats[seat].1.pool].island
    }

    /// Cuts the seats into branches, level by level, so that the branches of a level below any one are a range.
    fn grow(&mut self) {
        let all = 0..self.seats.len();
        let root = Branch {
            depth: 0,
            seats: all,
            parent: 0,
            below: 0..0,
            height: 0,
            units: 0,
            floor: 0,
            must: 0,
            cut: if self.call.wish.segmented { usize::MAX } else { 0 },
            preferred: None,
        };
        self.branches.push(root);
        let mut next = 0;
        while next < self.branches.len() {
            let begin = self.branches.len();
            let (depth, seats) = (self.branches[next].depth, self.branches[next].seats.clone());
            let mut from = seats.start;
            for seat in seats.clone().skip(1).chain([seats.end]) {
                let apart = seat == seats.end || self.path(seat).get(depth) != self.path(from).get(depth);
                if apart && from < seats.end && self.path(from).len() > depth {
                    self.sprout(next, from..seat);
                    from = seat;
                }
            }
            self.branches[next].below = begin..self.branches.len();
            next += 1;
        }
    }

    fn sprout(&mut self, parent: usize, seats: Range<usize>) {
        let bounds = self.call.wish.of(self.island(seats.start));
        let branch = Branch {
            depth: self.branches[parent].depth + 1,
            cut: bounds.filter(|_| self.call.wish.segmented).map_or(0, |bounds| bounds.required),
            preferred: bounds.and_then(|bounds| bounds.preferred),
            seats,
            parent,
            ..self.branches[parent].clone()
        };
        self.branches.push(branch);
    }

    /// Counts what there is room for, from the bottom up.
    fn count(&mut self) {
        for index in (0..self.branches.len()).rev() {
            let branch = &self.branches[index];
            let below = &self.branches[branch.below.clone()];
            let must = self.must[branch.seats.clone()].iter().filter(|must| **must).count();
            let (units, floor) = if branch.depth >= branch.cut {
                (branch.seats.len() / self.call.wish.unit, must.div_ceil(self.call.wish.unit))
            } else {
                (below.iter().map(|one| one.units).sum(), below.iter().map(|one| one.floor).sum())
            };
            let height = below.iter().map(|one| one.height + 1).max().unwrap_or(0);
            self.branches[index] = Branch { must, units, floor, height, ..branch.clone() };
        }
    }

    /// Nodes that a branch has room for and must give, in whole segments as far down as these are counted.
    fn room(&self, branch: &Branch) -> (usize, usize) {
        let unit = self.call.wish.unit;
        if branch.depth <= branch.cut {
            (branch.units * unit, branch.floor * unit)
        } else {
            (branch.seats.len(), branch.must)
        }
    }

    /// The lowest branch that holds everything, or what the best one has.
    fn holder(&self) -> Result<usize, u32> {
        let (call, segmented) = (self.call, self.call.wish.segmented);
        let whole = self.branches.iter().all(|branch| branch.depth != branch.cut || branch.floor <= branch.units);
        let hold = |branch: &Branch| {
            if segmented || branch.seats.is_empty() {
                return 0;
            }
            call.wish.of(self.island(branch.seats.start)).map_or(0, |bounds| bounds.required)
        };
        let need = call.gang + if segmented { 0 } else { call.spares };
        let holds = |branch: &Branch| {
            let (room, floor) = self.room(branch);
            branch.depth >= hold(branch)
                && branch.must == self.branches[0].must
                && room >= need
                && floor <= need
                && branch.seats.len() >= call.gang + call.spares
        };
        if whole && let Some(found) = self.lowest(0, &holds) {
            return Ok(found);
        }
        let tried = self.branches.iter().filter(|branch| branch.depth >= hold(branch));
        let best = tried.map(|branch| if segmented { branch.units } else { branch.seats.len() }).max();
        Err(u32::try_from(best.unwrap_or(0)).unwrap_or(u32::MAX))
    }

    /// The lowest branch within one for which this holds; of several the one with the fewest seats, then the one in the
    /// smaller domain above, then the first.
    fn lowest(&self, within: usize, holds: &dyn Fn(&Branch) -> bool) -> Option<usize> {
        let mut best: Option<usize> = None;
        let mut level = within..within + 1;
        while !level.is_empty() {
            for index in level.clone().filter(|index| holds(&self.branches[*index])) {
                if best.is_none_or(|known| self.better(index, known)) {
                    best = Some(index);
                }
            }
            level = self.branches[level.start].below.start..self.branches[level.end - 1].below.end;
        }
        best
    }

    fn better(&self, one: usize, other: usize) -> bool {
        let height = |index: usize| self.branches[index].height;
        if height(one) != height(other) {
            return height(one) < height(other);
        }
        let (mut a, mut b) = (one, other);
        while a != b {
            let (x, y) = (&self.branches[a], &self.branches[b]);
            if x.seats.len() != y.seats.len() {
                return x.seats.len() < y.seats.len();
            }
            (a, b) = (x.parent, y.parent);
        }
        one < other
    }

    /// Takes so many nodes within a branch that has room for them, the spares among them.
    fn settle(&mut self, within: usize, nodes: usize, spares: usize) {
        let must = self.branches[within].must;
        let holds = |branch: &Branch| {
            let (room, floor) = self.room(branch);
            room >= nodes && floor <= nodes && branch.must == must
        };
        let at = self.lowest(within, &holds).unwrap_or(within);
        let branch = &self.branches[at];
        if branch.below.is_empty() {
            let seats = branch.seats.clone();
            return self.take(seats, nodes, spares);
        }
        let unit = if branch.depth < branch.cut { self.call.wish.unit } else { 1 };
        let groups: Vec<usize> = self.groups(at).collect();
        let rooms: Vec<(usize, usize)> = groups.iter().map(|index| self.room(&self.branches[*index])).collect();
        let rooms: Vec<(usize, usize)> =
            rooms.iter().map(|(room, floor)| (room / unit, floor.div_ceil(unit))).collect();
        let shares = split(&rooms, nodes / unit);
        let limits: Vec<(usize, usize)> = shares.iter().map(|share| (share * unit, 0)).collect();
        let working = level(&limits, nodes - spares);
        for ((group, share), work) in groups.into_iter().zip(shares).zip(working) {
            if share > 0 {
                self.settle(group, share * unit, share * unit - work);
            }
        }
    }

    /// The branches that split what a branch holds: those of the preferred level where that lies deeper, else the next.
    fn groups(&self, at: usize) -> Range<usize> {
        let branch = &self.branches[at];
        let deepest = if branch.depth < branch.cut { branch.cut } else { usize::MAX };
        let depth = branch.preferred.map_or(0, |preferred| preferred.min(deepest)).max(branch.depth + 1);
        let mut level = branch.below.clone();
        while self.branches[level.start].depth < depth && !self.branches[level.start].below.is_empty() {
            level = self.branches[level.start].below.start..self.branches[level.end - 1].below.end;
        }
        level
    }

    /// Takes nodes of one lowest domain: the included ones, then those that leave least.
    fn take(&mut self, seats: Range<usize>, nodes: usize, spares: usize) {
        let mut order: Vec<usize> = seats.collect();
        order.sort_by_key(|seat| (!self.must[*seat], self.seats[*seat].0.left, *seat));
        order.truncate(nodes);
        order.sort_unstable();
        for (index, seat) in order.iter().enumerate() {
            self.taken[*seat] = Some(index >= nodes - spares);
        }
    }

    /// Takes spares out of what the holder has left, first where segments stand.
    fn spare_beside(&mut self, holder: usize, spares: usize) {
        let depth = |seat: usize| self.call.wish.of(self.island(seat)).map_or(AT_ISLAND, |bounds| bounds.required);
        let domain = |seat: usize| self.path(seat)[depth(seat) - AT_ISLAND];
        let seats = self.branches[holder].seats.clone();
        let used: BTreeSet<u32> = seats.clone().filter(|seat| self.taken[*seat].is_some()).map(domain).collect();
        let mut free: Vec<(bool, usize)> = seats
            .filter(|seat| self.taken[*seat].is_none())
            .map(|seat| (!used.contains(&domain(seat)), seat))
            .collect();
        free.sort_unstable();
        for (_, seat) in free.into_iter().take(spares) {
            self.taken[seat] = Some(true);
        }
    }

    fn spread(&self, holder: usize) -> Spread {
        let taken = (0..self.seats.len()).filter(|seat| self.taken[*seat].is_some());
        let preferred = |seat: usize| self.call.wish.of(self.island(seat)).and_then(|bounds| bounds.preferred);
        let counted = |seat: usize| preferred(seat).map_or(self.path(seat).len(), |depth| depth) - AT_ISLAND;
        let domains: BTreeSet<u32> = taken
            .map(|seat| {
                let path = self.path(seat);
                path[counted(seat).min(path.len() - 1)]
            })
            .collect();
        let branch = &self.branches[holder];
        let lowest = self.path(branch.seats.start).len();
        let above = branch.preferred.map_or(0, |preferred| lowest.saturating_sub(preferred));
        Spread { height: branch.height.saturating_sub(above), domains: domains.len() }
    }
}

/// Shares of an amount over rooms given as (most, least): over the fewest rooms, as equal as can be, each share in the
/// smallest room that holds it. There must be room enough, and least together no more than the amount.
fn split(rooms: &[(usize, usize)], amount: usize) -> Vec<usize> {
    let mut optional: Vec<usize> = (0..rooms.len()).filter(|index| rooms[*index].1 == 0).collect();
    optional.sort_by_key(|index| (usize::MAX - rooms[*index].0, *index));
    let mut chosen: Vec<usize> = (0..rooms.len()).filter(|index| rooms[*index].1 > 0).collect();
    let fixed = chosen.len();
    let mut room: usize = chosen.iter().map(|index| rooms[*index].0).sum();
    for index in &optional {
        if room >= amount {
            break;
        }
        chosen.push(*index);
        room += rooms[*index].0;
    }
    let limits: Vec<(usize, usize)> = chosen.iter().map(|index| rooms[*index]).collect();
    let levelled = level(&limits, amount);
    let mut shares = alloc::vec![0; rooms.len()];
    for (index, share) in chosen.iter().zip(&levelled).take(fixed) {
        shares[*index] = *share;
    }
    let mut movable: Vec<usize> = levelled[fixed..].to_vec();
    movable.sort_unstable();
    let mut free: BTreeSet<(usize, usize)> = optional.iter().map(|index| (rooms[*index].0, *index)).collect();
    for share in movable.into_iter().rev() {
        if let Some(found) = free.range((share, 0)..).next().copied() {
            free.remove(&found);
            shares[found.1] = share;
        }
    }
    shares
}

/// An amount over all of these limits (most, least), as equal as can be.
fn level(limits: &[(usize, usize)], amount: usize) -> Vec<usize> {
    let at = |water: usize| limits.iter().map(move |(most, least)| water.clamp(*least, (*most).max(*least)));
    let (mut low, mut high) = (0, amount);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if at(middle).sum::<usize>() <= amount { low = middle } else { high = middle - 1 }
    }
    let mut shares: Vec<usize> = at(low).collect();
    let mut rest = amount.saturating_sub(shares.iter().sum());
    for (share, next) in shares.iter_mut().zip(at(low + 1)) {
        if rest > 0 && next > *share {
            *share = next;
            rest -= 1;
        }
    }
    shares
}

/// The seats of each part by the domain they are in at this depth, for a gang of several parts.
pub(crate) fn regions<'a>(
    lists: &[(u32, u32, Vec<Seat<'a>>)],
    depth: usize,
    estate: &Estate,
) -> BTreeMap<u32, Vec<(u32, u32, Vec<Seat<'a>>)>> {
    let mut regions: BTreeMap<u32, Vec<(u32, u32, Vec<Seat<'a>>)>> = BTreeMap::new();
    let empty = || lists.iter().map(|(part, nodes, _)| (*part, *nodes, Vec::new())).collect();
    for (place, (_, _, list)) in lists.iter().enumerate() {
        for seat in list {
            if let Some(domain) = estate.nodes[seat.0.node.index()].path.get(depth - AT_ISLAND) {
                regions.entry(*domain).or_insert_with(empty)[place].2.push(*seat);
            }
        }
    }
    regions
}
