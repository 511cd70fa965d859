//! One pass over the queue in rank order: start, or promise, or pass over.
//!
//! Of each shape a leaf has one head: its oldest job while the owner may be given promises, so that promises go by age.
//! Once it may be given no more, what is left is backfill, and the head is the job that is expected to be the shortest
//! (see `queue` for its turn): the promises that stand are what keeps long jobs from starving. A shape that is known to
//! fail has no head, unless one of its jobs may be promised a start.
use crate::api::{BrokenBy, Order, Step};
use crate::queue::{Due, Lines, Rank, Seat, Urgency, urgency};
use crate::rank::Ranking;
use crate::scheduler::Scheduler;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::cmp::Reverse;
use fixedbitset::FixedBitSet;
use madang_model::{JobId, Qos, Span, Time};

/// A rank with the turn by which backfill goes before age; zero where age alone counts.
type Key = (Reverse<Qos>, i32, Span, Due, JobId);

/// What a leaf has to try: one head of each shape, and its promised jobs, by key; with their class.
struct Heads {
    merged: BTreeSet<(Key, usize)>,
    /// True when the owner can be given no more promises, so that this is about backfill alone.
    backfill: bool,
}

/// What a leaf may try next.
struct Turn {
    head: (Key, usize),
    rank: Rank,
    job: JobId,
    shape: usize,
    kind: Kind,
}

#[derive(PartialEq)]
enum Kind {
    /// A job with a promise, tried for itself.
    Promised,
    /// The head of a shape.
    Head,
    /// The head of a shape that is known to fail, so that all it can get is a promise.
    Blocked,
}

/// Most promises that are looked for around windows in vain in one pass; the next goes on from there.
const FUTILE: u32 = 4;

/// What is known while a pass runs.
pub(crate) struct Pass {
    ranking: Ranking,
    heads: BTreeMap<usize, Heads>,
    /// Promises that each owner may still be given. One that ends in this pass leaves its place to the next pass, whose
    /// first blocked job gets it.
    pub places: Vec<u32>,
    /// Of all places, those that are not given by standing.
    pub kept_back: u32,
    /// Shapes for which no promise could be computed.
    barren: BTreeSet<usize>,
    /// How many promises were looked for around windows in vain.
    futile: u32,
    /// The first shape that may start as far as is known; those before it do not while the pass runs.
    live: Option<usize>,
    /// True once only leaves with promises are left in the ranking.
    pledged_only: bool,
    /// Owners up to this one have no job for a promise, or no promise for a job.
    full: usize,
}

/// What there is in a line.
enum Look {
    Head((Key, usize)),
    Nothing,
    /// Nothing, nor is there in a line of the same shape and urgency with a longer limit.
    NorLonger,
    /// Nothing, nor is there in any line after it.
    NorLater,
}

/// Most lines in which nothing is found that are looked at in order of turn; then limits decide.
const FRUITLESS: usize = 256;

/// The first head of a shape by urgency, turn and age.
fn soonest(lines: &Lines, shape: usize, look: impl Fn(&Seat) -> Look) -> Option<(Key, usize)> {
    for seat in lines.by_turn(shape).take(FRUITLESS) {
        match look(&seat) {
            Look::Head(head) => return Some(head),
            Look::Nothing | Look::NorLonger => {}
            Look::NorLater => return None,
        }
    }
    shortest(lines, shape, look)
}

/// The first head of a shape by urgency, limit and age. Several lines may have one limit; which of them is met first must
/// not matter.
fn shortest(lines: &Lines, shape: usize, look: impl Fn(&Seat) -> Look) -> Option<(Key, usize)> {
    let (mut last, mut best): (Option<Seat>, Option<(Key, usize)>) = (None, None);
    while let Some(seat) = lines.after(shape, last) {
        let alike = last.is_some_and(|last| (last.1, last.2) == (seat.1, seat.2));
        if best.is_some() && !alike {
            break;
        }
        last = Some(*seat);
        match look(seat) {
            Look::Head(head) => best = best.into_iter().chain([head]).min(),
            Look::Nothing => {}
            Look::NorLonger => last = Some((seat.0, seat.1, Span::MAX, usize::MAX)),
            Look::NorLater => break,
        }
    }
    best
}

/// The first head of a shape by urgency and age. The first of a line may be passed over, so that a later line's is older.
fn oldest(lines: &Lines, shape: usize, look: impl Fn(&Seat) -> Look) -> Option<(Key, usize)> {
    let mut best: Option<(Key, usize)> = None;
    for (rank, seat) in lines.by_front(shape) {
        let front = (rank.0, rank.1, Span::ZERO, rank.2, rank.3);
        if best.is_some_and(|(key, _)| key < front) {
            break;
        }
        match look(&seat) {
            Look::Head(head) => best = best.into_iter().chain([head]).min(),
            Look::Nothing | Look::NorLonger => {}
            Look::NorLater => break,
        }
    }
    best
}

/// For what no promise is looked for.
struct Hopeless<'a> {
    /// These shapes.
    barren: &'a BTreeSet<usize>,
    /// Anything: enough was looked for in vain.
    all: bool,
}

impl Scheduler {
    /// One pass in rank order; false when a bound was met.
    pub(crate) fn pass(&mut self, now: Time, step: &mut Step) -> bool {
        let places: Vec<u32> = (0..self.shares.owners.len()).map(|owner| self.places_by_standing(now, owner)).collect();
        let leaves = self.worth_a_turn(&places);
        let ranking = Ranking::new(&mut self.shares, now, &leaves);
        let (heads, barren, live) = (BTreeMap::new(), BTreeSet::new(), self.live_from(0));
        let kept_back = self.owners_turns();
        let mut pass =
            Pass { ranking, heads, places, kept_back, barren, futile: 0, live, pledged_only: false, full: 0 };
        loop {
            self.leave_pledged(&mut pass);
            let Some(leaf) = pass.ranking.next() else {
                debug_assert!(
                    pass.pledged_only || self.nobody_has_a_turn(&mut pass),
                    "a leaf that was passed over has something to try"
                );
                self.take_turns(now, &mut pass, step);
                return pass.futile < FUTILE;
            };
            let Some(turn) = self.turn(leaf, &mut pass) else {
                pass.ranking.drop_next();
                continue;
            };
            if turn.kind == Kind::Blocked {
                self.promise_next(now, leaf, &turn, &mut pass, step);
            } else if step.report.tries >= self.config.tries || step.starts.len() >= self.config.starts as usize {
                return false;
            } else {
                self.try_next(now, leaf, &turn, &mut pass, step);
            }
        }
    }

    /// The leaves that may have something to try in a pass with so many places for promises; all others are passed over.
    ///
    /// What may start is of a shape that is not known to fail, or promised and not tried since something grew; what may
    /// be promised a start waits without a promise for an owner that has a place, or is more urgent than a promised job
    /// of its own leaf. While a pass runs only what is listed here changes for the better: shapes are found to fail,
    /// places go, and nothing grows before it has ended. So a leaf that is left out would have had no turn.
    fn worth_a_turn(&self, places: &[u32]) -> FixedBitSet {
        let live = self.live_shapes(0).flat_map(|shape| &self.queue.seated[&shape]).copied();
        let waits = |leaf: &usize| self.shares.leaves[*leaf].waiting > 0;
        let open = places.iter().enumerate().filter(|(owner, places)| {
            **places > 0 && self.shares.owners[*owner].waiting as usize > self.promises.count_of(*owner)
        });
        let projects = open.flat_map(|(owner, _)| &self.shares.owners[owner].projects);
        let promisable = projects.flat_map(|project| &self.shares.projects[*project].leaves).copied().filter(waits);
        let mixed = self.promises.leaves().filter(|leaf| self.queue.leaves[*leaf].by_urgency.len() > 1);
        let mut leaves = FixedBitSet::with_capacity(self.shares.leaves.len());
        leaves.extend(live.chain(self.promises.unsettled_leaves()).chain(promisable).chain(mixed));
        leaves
    }

    /// True when no leaf at all has anything left to try.
    fn nobody_has_a_turn(&self, pass: &mut Pass) -> bool {
        let waits = |leaf: &usize| self.shares.leaves[*leaf].waiting > 0;
        (0..self.shares.leaves.len()).filter(waits).all(|leaf| self.turn(leaf, pass).is_none())
    }

    /// When nothing more can start and nobody may be given a promise, only what is promised is worth a turn: thousands
    /// of projects that wait cost no more than being put in order.
    fn leave_pledged(&self, pass: &mut Pass) {
        if pass.pledged_only || pass.live.is_some() {
            return;
        }
        let none_left = self.promises_left() <= pass.kept_back;
        let full = |(owner, places): (usize, &u32)| {
            none_left
                || *places == 0
                || self.shares.owners[owner].waiting <= self.config.promises.saturating_sub(self.places(owner))
        };
        let rest = pass.places.iter().enumerate().skip(pass.full);
        pass.full += rest.take_while(|(owner, places)| full((*owner, *places))).count();
        if pass.full == pass.places.len() {
            pass.ranking.retain(|leaf| self.promises.of_leaf(leaf).next().is_some());
            pass.pledged_only = true;
        }
    }

    /// The first shape with jobs, from this one on, that may start as far as is known.
    pub(crate) fn live_from(&self, from: usize) -> Option<usize> {
        self.live_shapes(from).next()
    }

    /// The shapes with jobs, from this one on, that may start as far as is known.
    fn live_shapes(&self, from: usize) -> impl Iterator<Item = usize> + '_ {
        let live = |index: &usize| {
            let shape = &self.queue.shapes[*index];
            shape.live_at_all() && self.queue.shortest(*index).is_some_and(|limit| !shape.failed(limit))
        };
        self.queue.seated.range(from..).map(|(index, _)| *index).filter(live)
    }

    /// The first job of the leaf that may start or be promised a start.
    fn turn(&self, leaf: usize, pass: &mut Pass) -> Option<Turn> {
        let places =
            pass.places[self.shares.owner_of(leaf)] > 0 && self.promises_left() > pass.kept_back && !self.pauses(leaf);
        let promises = places && pass.futile < FUTILE;
        if !promises && pass.live.is_none() && self.promises.of_leaf(leaf).next().is_none() {
            return None;
        }
        let hopeless = Hopeless { barren: &pass.barren, all: pass.futile >= FUTILE };
        let heads = pass.heads.entry(leaf).or_insert_with(|| self.heads(leaf, promises, &hopeless));
        if !promises && !heads.backfill {
            *heads = self.heads(leaf, promises, &hopeless);
        }
        while let Some(head) = heads.merged.first().copied() {
            let (job, class) = (head.0.4, &self.queue.classes[head.1]);
            let rank = (head.0.0, head.0.1, head.0.3, job);
            let turn = |kind| Some(Turn { head, rank, job, shape: class.shape, kind });
            let promised = self.promises.has(job);
            if promised && self.queue.shapes[class.shape].possible && self.affordable(job) {
                return turn(Kind::Promised);
            }
            // What was found out since the head was chosen may have changed whose turn it is.
            let best = self.best(leaf, class.shape, heads.backfill, &hopeless).filter(|_| !promised);
            if best == Some(head) {
                let live = !self.queue.shapes[class.shape].failed(class.limit);
                return turn(if live { Kind::Head } else { Kind::Blocked });
            }
            heads.merged.remove(&head);
            heads.merged.extend(best);
        }
        None
    }

    /// The jobs of a leaf that are blocked and may be promised a start, in order, for a pass that has tried all others.
    fn blocked(&self, leaf: usize, pass: &Pass) -> Vec<Turn> {
        let hopeless = Hopeless { barren: &pass.barren, all: pass.futile >= FUTILE };
        let turn = |head: (Key, usize)| {
            let (job, class) = (head.0.4, &self.queue.classes[head.1]);
            let blocked = self.queue.shapes[class.shape].failed(class.limit) && !self.promises.has(job);
            let rank = (head.0.0, head.0.1, head.0.3, job);
            blocked.then_some(Turn { head, rank, job, shape: class.shape, kind: Kind::Blocked })
        };
        self.heads(leaf, true, &hopeless).merged.into_iter().filter_map(turn).collect()
    }

    /// Promises the first blocked job of a leaf a start, if there is one that can be told; true if there was.
    pub(crate) fn promise_first(&mut self, now: Time, leaf: usize, pass: &mut Pass, step: &mut Step) -> bool {
        let owner = self.shares.owner_of(leaf);
        let before = pass.places[owner];
        for turn in self.blocked(leaf, pass) {
            self.promise_next(now, leaf, &turn, pass, step);
            if pass.places[owner] < before || pass.futile >= FUTILE {
                break;
            }
        }
        pass.places[owner] < before
    }

    /// A leaf's heads when its first turn comes, or when its owner may be given no more promises.
    fn heads(&self, leaf: usize, promises: bool, hopeless: &Hopeless) -> Heads {
        let backfill = !promises;
        let mut merged = BTreeSet::new();
        for (shape, _) in &self.queue.leaves[leaf].shapes {
            merged.extend(self.best(leaf, *shape, backfill, hopeless));
        }
        for job in self.promises.of_leaf(leaf) {
            if let Some(pledge) = self.promises.get(job).filter(|pledge| !pledge.settled) {
                merged.insert((self.key(&pledge.rank, Span::ZERO, backfill), self.queue.jobs[&job].class));
            }
        }
        Heads { merged, backfill }
    }

    /// The job of a shape whose turn it is in a leaf: one without a promise that can be paid for, and that may start or
    /// be promised a start.
    fn best(&self, leaf: usize, shape: usize, backfill: bool, hopeless: &Hopeless) -> Option<(Key, usize)> {
        let facts = &self.queue.shapes[shape];
        let lines = &self.queue.leaves[leaf];
        // Where all are as urgent, nobody may overtake a promise.
        let alike = lines.by_urgency.len() < 2;
        if !facts.possible || (backfill && alike && !facts.live_at_all()) {
            return None;
        }
        let least = if backfill && !alike { self.overtakable(leaf) } else { None };
        if backfill && least.is_none() && !facts.live_at_all() {
            return None;
        }
        let project = self.shares.leaves[leaf].project;
        if !self.may_hold(project, &facts.request) {
            return None;
        }
        let fresh = !hopeless.all && !hopeless.barren.contains(&shape);
        let dead = self.queue.shortest(shape).is_none_or(|limit| facts.failed(limit));
        let look = |seat: &Seat| -> Look {
            let (_, urgency, limit, class) = *seat;
            // Lines stand by urgency first, so that where one may not be promised anything, no later one may.
            let promise = fresh && (!backfill || Some(urgency) < least);
            if !promise && dead {
                return Look::NorLater;
            }
            let fails = facts.failed(limit) && (!promise || self.is_barren(class));
            if fails || !self.covers(project, self.queue.classes[class].need) {
                return Look::NorLonger;
            }
            let open = lines.by_seat[seat].iter().find(|rank| !self.promises.has(rank.3));
            open.map_or(Look::Nothing, |rank| {
                Look::Head((self.key(rank, self.queue.turn(class, rank), backfill), class))
            })
        };
        if backfill && self.config.backfill == Order::ShortestFirst {
            if self.config.prediction || self.config.patience.is_some() {
                soonest(lines, shape, look)
            } else {
                shortest(lines, shape, look)
            }
        } else {
            oldest(lines, shape, look)
        }
    }

    /// The least urgency of a leaf's promises that may be overtaken, if something more urgent waits.
    fn overtakable(&self, leaf: usize) -> Option<Urgency> {
        let pledges = self.promises.of_leaf(leaf).filter_map(|job| self.promises.get(job));
        let open = pledges.filter(|pledge| pledge.may_be_overtaken(self.now));
        let least = open.map(|pledge| urgency(&pledge.rank)).max();
        let (most, _) = self.queue.leaves[leaf].by_urgency.first_key_value()?;
        least.filter(|least| most < least)
    }

    /// What a job's turn goes by.
    fn key(&self, rank: &Rank, turn: Span, backfill: bool) -> Key {
        let short_first = backfill && self.config.backfill == Order::ShortestFirst;
        (rank.0, rank.1, if short_first { turn } else { Span::ZERO }, rank.2, rank.3)
    }

    /// The promise that goes to a job of this rank when its owner may be given no more: the last of its own leaf whose
    /// urgency is less, and that may be overtaken.
    pub(crate) fn overtaken_by(&self, leaf: usize, rank: &Rank) -> Option<JobId> {
        let open = self.promises.of_leaf(leaf).filter_map(|job| Some((self.promises.get(job)?, job)));
        let less =
            open.filter(|(pledge, _)| pledge.may_be_overtaken(self.now) && urgency(rank) < urgency(&pledge.rank));
        less.max_by_key(|(pledge, _)| pledge.rank).map(|(_, job)| job)
    }

    fn promise_next(&mut self, now: Time, leaf: usize, turn: &Turn, pass: &mut Pass, step: &mut Step) {
        let owner = self.shares.owner_of(leaf);
        let full = pass.places[owner] == 0 || self.promises_left() <= pass.kept_back || self.pauses(leaf);
        let overtaken = if full { self.overtaken_by(leaf, &turn.rank) } else { None };
        // Lifted and not yet broken: whoever overtakes may find no start around windows.
        overtaken.into_iter().for_each(|job| self.promises.lift(job));
        let (memo, rate) = (self.queue.shapes[turn.shape].memo, self.queue.shapes[turn.shape].rate);
        if self.give_promise(now, turn.job, memo.map_or(0, |memo| memo.fitting), Time::MAX).is_some() {
            match overtaken {
                Some(job) => {
                    let first = self.promises.get(job).map(|pledge| pledge.heir_of.unwrap_or(pledge.promise.start));
                    first.into_iter().for_each(|start| self.promises.take_over(turn.job, start));
                    self.break_promise(job, BrokenBy::Overtaken(turn.job), step);
                }
                None => {
                    pass.places[owner] -= 1;
                    self.stands_behind(now, leaf);
                }
            }
            self.move_on(leaf, turn, pass);
            pass.ranking.served(&self.shares, Ranking::charge(rate));
            return;
        }
        overtaken.into_iter().for_each(|job| self.promises.lower(job));
        if self.note_barren(turn.head.1) {
            pass.futile += 1;
        } else {
            pass.barren.insert(turn.shape);
        }
    }

    fn try_next(&mut self, now: Time, leaf: usize, turn: &Turn, pass: &mut Pass, step: &mut Step) {
        step.report.tries += 1;
        let promised = turn.kind == Kind::Promised;
        let overtakes = self.promises.len() > usize::from(promised);
        match self.try_start(now, turn.job, step) {
            Ok(()) => {
                step.report.backfilled += u32::from(overtakes && !promised);
                self.move_on(leaf, turn, pass);
                pass.ranking.served(&self.shares, 0);
            }
            Err(_) if promised => self.move_on(leaf, turn, pass),
            Err(short) => {
                self.note(turn.job, turn.shape, short);
                pass.live = pass.live.and_then(|from| self.live_from(from));
            }
        }
    }

    /// Puts the next job of the same shape in the place of one that is done with.
    fn move_on(&self, leaf: usize, turn: &Turn, pass: &mut Pass) {
        let Some(heads) = pass.heads.get_mut(&leaf) else { return };
        heads.merged.remove(&turn.head);
        if turn.kind != Kind::Promised {
            let hopeless = Hopeless { barren: &pass.barren, all: pass.futile >= FUTILE };
            heads.merged.extend(self.best(leaf, turn.shape, heads.backfill, &hopeless));
        }
    }
}
