//! Waiting jobs, by leaf and class.
//!
//! A class is a shape with a limit and what its jobs are expected to take, in steps. Each leaf keeps one line for each
//! class and urgency, in rank order, so that a cycle looks at the head of a line and not at the jobs behind it. Lines
//! stand by urgency and limit, their heads also by rank and by turn, so that whichever goes first is found without a look
//! at the others, however many limits somebody asks for.
//!
//! A turn is what short jobs go first by: the expected length, or with patience the moment until which a job lets shorter
//! ones pass, its age plus so many times that length. It never changes while the job waits, and of jobs of a line without
//! a deadline the oldest has the first.
//!
//! A leaf has at most [`VIEW`] shapes in its lines: so many different things of one user are looked at. Jobs with others
//! stand behind until one of these shapes has no job left, and then come in by rank, so that whoever asks for a hundred
//! thousand different things does not make a cycle cost by them.
//!
//! Invariants: a job is in exactly one line or stands behind; `fronts` and `turns` have exactly the head of each line; a
//! shape of the lines has nobody behind, and nobody is behind while there is room; a class counts its jobs and goes with
//! the last of them; shapes outlive their jobs for a while, because the next job often asks for the same.
use crate::api::Ask;
use crate::shape::Shape;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::ops::Bound;
use madang_model::{GpuTime, JobId, Qos, Request, RunId, Span, Time};
use serde::{Deserialize, Serialize};

/// Order within a leaf: urgency, nice, turn, id.
pub(crate) type Rank = (Reverse<Qos>, i32, Due, JobId);

/// What a job's turn goes by among its user's own of the same urgency: jobs with a deadline come first, by their last
/// possible start, then the others by age.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub(crate) struct Due {
    /// The end of time without a deadline.
    last: Time,
    pub since: Time,
}

impl Due {
    fn new(ask: &Ask, limit: Span) -> Due {
        Due { last: ask.deadline.map_or(Time::MAX, |deadline| deadline.before(limit)), since: ask.since }
    }
}

/// A turn on paper: an age alone is how snapshots of before have it.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Age(Time),
    Deadline(Time, Time),
}

impl From<Written> for Due {
    fn from(written: Written) -> Due {
        match written {
            Written::Age(since) => Due { last: Time::MAX, since },
            Written::Deadline(last, since) => Due { last, since },
        }
    }
}

impl From<Due> for Written {
    fn from(Due { last, since }: Due) -> Written {
        if last == Time::MAX { Written::Age(since) } else { Written::Deadline(last, since) }
    }
}

/// What a submitter chose of a rank: the rest is its turn.
pub(crate) type Urgency = (Reverse<Qos>, i32);

/// A rank's urgency.
pub(crate) fn urgency(rank: &Rank) -> Urgency {
    (rank.0, rank.1)
}

/// Shapes without jobs are dropped when there are this many shapes, and then whenever their number has doubled.
const SHAPES: usize = 512;

/// Most shapes of one leaf that are looked at.
pub(crate) const VIEW: usize = 1024;

/// A waiting job.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub run: RunId,
    pub leaf: usize,
    pub class: usize,
    pub rank: Rank,
    /// How often it says that it writes a checkpoint.
    pub every: Option<Span>,
    /// The limit that it would like; its class goes by the shortest that it takes.
    pub limit: Span,
    /// By when its limit must end it.
    pub deadline: Option<Time>,
    /// How long it was expected to run when it was queued.
    pub expected: Option<Span>,
}

/// A shape with a limit and an expected length.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Class {
    pub shape: usize,
    pub limit: Span,
    /// What short jobs go first by: the expected length in steps, or the limit.
    pub length: Span,
    /// What a start with this limit takes from its project's budget.
    pub need: GpuTime,
    pub count: u32,
}

/// A line's place: shape, urgency, limit and class.
pub(crate) type Seat = (usize, Urgency, Span, usize);

/// The first urgency there is.
const FIRST: Urgency = (Reverse(Qos::High), i32::MIN);

/// Waiting jobs of one leaf.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lines {
    /// One line for each seat: of a shape the most urgent come first, and of these the shortest limit.
    pub by_seat: BTreeMap<Seat, BTreeSet<Rank>>,
    /// The shapes of its lines, ascending, and how many each has.
    pub shapes: Vec<(usize, u32)>,
    /// The first of each line, by shape and rank, with limit and class.
    fronts: BTreeSet<(usize, Rank, Span, usize)>,
    /// The first of each line, by shape, urgency, turn and age, with limit and class.
    turns: BTreeSet<(usize, Urgency, Span, Rank, Span, usize)>,
    /// How many there are of each urgency.
    pub by_urgency: BTreeMap<Urgency, u32>,
    /// Jobs of further shapes: by shape, and the first of each by rank.
    behind: BTreeMap<usize, BTreeSet<Rank>>,
    heads_behind: BTreeSet<(Rank, usize)>,
}

impl Lines {
    /// True when a line has this shape.
    fn has(&self, shape: usize) -> bool {
        self.shapes.binary_search_by_key(&shape, |(known, _)| *known).is_ok()
    }

    /// Jobs that stand behind, with their shapes.
    pub fn behind(&self) -> impl Iterator<Item = (&Rank, usize)> {
        self.behind.iter().flat_map(|(shape, jobs)| jobs.iter().map(|rank| (rank, *shape)))
    }

    /// True when a job of this shape is not in a line.
    pub fn is_behind(&self, shape: usize) -> bool {
        self.behind.contains_key(&shape)
    }

    /// True when a job of this shape is for the lines.
    fn takes(&self, shape: usize) -> bool {
        self.shapes.len() < VIEW || self.has(shape)
    }

    fn put_behind(&mut self, shape: usize, rank: Rank) {
        let jobs = self.behind.entry(shape).or_default();
        jobs.first().map(|first| self.heads_behind.remove(&(*first, shape)));
        jobs.insert(rank);
        jobs.first().map(|first| self.heads_behind.insert((*first, shape)));
    }

    /// True if the job was behind.
    fn take_from_behind(&mut self, shape: usize, rank: &Rank) -> bool {
        let Some(jobs) = self.behind.get_mut(&shape) else { return false };
        jobs.first().map(|first| self.heads_behind.remove(&(*first, shape)));
        jobs.remove(rank);
        match jobs.first() {
            Some(first) => drop(self.heads_behind.insert((*first, shape))),
            None => drop(self.behind.remove(&shape)),
        }
        true
    }

    /// The jobs of the shape that comes into the lines next.
    fn next_behind(&mut self) -> BTreeSet<Rank> {
        let next = if self.shapes.len() < VIEW { self.heads_behind.pop_first() } else { None };
        next.and_then(|(_, shape)| self.behind.remove(&shape)).unwrap_or_default()
    }

    /// The first line of a shape, or the first after this seat.
    pub fn after(&self, shape: usize, seat: Option<Seat>) -> Option<&Seat> {
        let from = seat.map_or(Bound::Included((shape, FIRST, Span::ZERO, 0)), Bound::Excluded);
        self.by_seat.range((from, Bound::Unbounded)).next().map(|(seat, _)| seat).filter(|seat| seat.0 == shape)
    }

    /// The first of each line.
    pub fn fronts(&self) -> impl Iterator<Item = &Rank> {
        self.fronts.iter().map(|(_, rank, ..)| rank)
    }

    /// The lines of a shape, by the rank of their first.
    pub fn by_front(&self, shape: usize) -> impl Iterator<Item = (Rank, Seat)> {
        let least = (FIRST.0, FIRST.1, Due::default(), JobId::new(0));
        let fronts = self.fronts.range((shape, least, Span::ZERO, 0)..).take_while(move |front| front.0 == shape);
        fronts.map(|(shape, rank, limit, class)| (*rank, (*shape, urgency(rank), *limit, *class)))
    }

    /// The lines of a shape, by urgency and the turn of their first.
    pub fn by_turn(&self, shape: usize) -> impl Iterator<Item = Seat> {
        let least = (FIRST.0, FIRST.1, Due::default(), JobId::new(0));
        let turns = self.turns.range((shape, FIRST, Span::ZERO, least, Span::ZERO, 0)..);
        let turns = turns.take_while(move |front| front.0 == shape);
        turns.map(|(shape, urgency, _, _, limit, class)| (*shape, *urgency, *limit, *class))
    }

    /// True when the head of each line stands where it is looked for.
    pub fn is_sound(&self, turn: impl Fn(usize, &Rank) -> Span) -> bool {
        let stands = |(seat, line): (&Seat, &BTreeSet<Rank>)| {
            let (shape, urgency, limit, class) = *seat;
            line.first().is_some_and(|rank| {
                self.fronts.contains(&(shape, *rank, limit, class))
                    && self.turns.contains(&(shape, urgency, turn(class, rank), *rank, limit, class))
            })
        };
        let lines = self.by_seat.len();
        let mut shapes: BTreeMap<usize, u32> = BTreeMap::new();
        self.by_seat.keys().for_each(|seat| *shapes.entry(seat.0).or_insert(0) += 1);
        let firsts = self.behind.iter().filter_map(|(shape, jobs)| Some((*jobs.first()?, *shape)));
        self.fronts.len() == lines
            && self.turns.len() == lines
            && self.by_seat.iter().all(stands)
            && shapes.iter().map(|(shape, lines)| (*shape, *lines)).eq(self.shapes.iter().copied())
            && (self.behind.is_empty() || self.shapes.len() == VIEW)
            && !self.behind.keys().any(|shape| shapes.contains_key(shape))
            && firsts.collect::<BTreeSet<_>>() == self.heads_behind
    }

    /// True if it is the first of its shape.
    fn push(&mut self, seat: Seat, rank: Rank, turn: impl Fn(&Rank) -> Span) -> bool {
        let first = !self.has(seat.0);
        let line = self.by_seat.entry(seat).or_default();
        let before = line.first().copied();
        if before.is_none() {
            match self.shapes.binary_search_by_key(&seat.0, |(shape, _)| *shape) {
                Ok(at) => self.shapes[at].1 += 1,
                Err(at) => self.shapes.insert(at, (seat.0, 1)),
            }
        }
        line.insert(rank);
        let front = line.first().copied();
        self.front(seat, before, front, turn);
        *self.by_urgency.entry(urgency(&rank)).or_insert(0) += 1;
        first
    }

    /// Another is the first of a line.
    fn front(&mut self, seat: Seat, before: Option<Rank>, front: Option<Rank>, turn: impl Fn(&Rank) -> Span) {
        let (shape, urgency, limit, class) = seat;
        let by_turn = |rank: Rank| (shape, urgency, turn(&rank), rank, limit, class);
        if before != front {
            if let Some(rank) = before {
                self.fronts.remove(&(shape, rank, limit, class));
                self.turns.remove(&by_turn(rank));
            }
            if let Some(rank) = front {
                self.fronts.insert((shape, rank, limit, class));
                self.turns.insert(by_turn(rank));
            }
        }
    }

    /// True if it was the last of its shape.
    fn remove(&mut self, seat: Seat, rank: &Rank, turn: impl Fn(&Rank) -> Span) -> bool {
        let line = self.by_seat.get_mut(&seat).expect("a waiting job is in its line");
        let before = line.first().copied();
        line.remove(rank);
        let front = line.first().copied();
        if front.is_none() {
            self.by_seat.remove(&seat);
            if let Ok(at) = self.shapes.binary_search_by_key(&seat.0, |(shape, _)| *shape) {
                self.shapes[at].1 -= 1;
                if self.shapes[at].1 == 0 {
                    self.shapes.remove(at);
                }
            }
        }
        self.front(seat, before, front, turn);
        let count = self.by_urgency.get_mut(&urgency(rank)).expect("a waiting job's urgency is counted");
        *count -= 1;
        if *count == 0 {
            self.by_urgency.remove(&urgency(rank));
        }
        !self.has(seat.0)
    }
}

/// All waiting jobs, by leaf and otherwise.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue {
    pub shapes: Slab<Shape>,
    pub classes: Slab<Class>,
    pub jobs: BTreeMap<JobId, Waiting>,
    pub leaves: Vec<Lines>,
    by_request: BTreeMap<Request, usize>,
    by_limit: BTreeMap<(usize, Span, Span), usize>,
    /// By shape: the shortest limit of its jobs.
    least: Vec<Option<Span>>,
    /// The leaves in the lines of which each shape is, if it is in any.
    pub seated: BTreeMap<usize, BTreeSet<usize>>,
    /// Shapes that came into the lines of a leaf, with the leaf, since that was last looked at.
    pub fresh: Vec<(usize, usize)>,
    /// Shapes that may be known to fail.
    pub noted: BTreeSet<usize>,
    /// How often the health of nodes has changed; see [`Shape::matched`].
    pub round: u64,
    /// See [`madang_model::Policy::patience`].
    patience: Option<u32>,
    /// How many shapes there were after the last sweep.
    pub swept: usize,
}

impl Queue {
    /// Nobody waits.
    pub fn new(patience: Option<u32>) -> Queue {
        Queue { patience, ..Queue::default() }
    }

    /// The shape's index, made by `make` when it is new.
    pub fn shape(&mut self, request: Request, make: impl FnOnce(Request) -> Shape) -> usize {
        if let Some(shape) = self.by_request.get(&request) {
            return *shape;
        }
        if self.by_request.len() >= SHAPES.max(2 * self.swept) {
            self.sweep();
        }
        let index = self.shapes.insert(make(request.clone()));
        self.by_request.insert(request, index);
        index
    }

    /// The shape of a request that was asked for of late.
    pub fn known(&self, request: &Request) -> Option<&Shape> {
        self.by_request.get(request).map(|shape| &self.shapes[*shape])
    }

    /// Puts a shape back as it was, without a sweep.
    pub fn restore_shape(&mut self, request: Request, shape: Shape) -> usize {
        let index = self.shapes.insert(shape);
        self.by_request.insert(request, index);
        index
    }

    fn sweep(&mut self) {
        let used: BTreeSet<usize> = self.by_limit.keys().map(|(shape, ..)| *shape).collect();
        let (shapes, noted) = (&mut self.shapes, &mut self.noted);
        self.by_request.retain(|_, shape| {
            let keep = used.contains(shape);
            if !keep {
                shapes.remove(*shape);
                noted.remove(shape);
            }
            keep
        });
        self.swept = self.by_request.len();
    }

    /// Puts a job in its leaf's line, among those of this length, or behind where there is no room.
    pub fn push(&mut self, ask: &Ask, leaf: usize, shape: usize, length: Span) {
        self.enter(ask, leaf, (shape, length), false);
    }

    /// Puts a job back behind the lines.
    pub fn push_behind(&mut self, ask: &Ask, leaf: usize, shape: usize, length: Span) {
        self.enter(ask, leaf, (shape, length), true);
    }

    fn enter(&mut self, ask: &Ask, leaf: usize, (shape, length): (usize, Span), behind: bool) {
        let limit = ask.limit_min.map_or(ask.limit, |least| least.min(ask.limit));
        if self.least.len() <= shape {
            self.least.resize(shape + 1, None);
        }
        self.least[shape] = Some(self.least[shape].map_or(limit, |least| least.min(limit)));
        let class = *self.by_limit.entry((shape, limit, length)).or_insert_with(|| {
            let need = need(&self.shapes[shape].request, limit);
            self.classes.insert(Class { shape, limit, length, need, count: 0 })
        });
        self.classes[class].count += 1;
        let rank = (Reverse(ask.qos), ask.nice, Due::new(ask, limit), ask.run.job);
        if self.leaves.len() <= leaf {
            self.leaves.resize_with(leaf + 1, Lines::default);
        }
        if !behind && self.leaves[leaf].takes(shape) {
            self.seat(leaf, class, rank);
        } else {
            self.leaves[leaf].put_behind(shape, rank);
        }
        let (run, every, limit, deadline, expected) = (ask.run, ask.checkpoint, ask.limit, ask.deadline, ask.expected);
        self.jobs.insert(run.job, Waiting { run, leaf, class, rank, every, limit, deadline, expected });
    }

    fn seat(&mut self, leaf: usize, class: usize, rank: Rank) {
        let (patience, Class { shape, limit, length, .. }) = (self.patience, self.classes[class]);
        if self.leaves[leaf].push((shape, urgency(&rank), limit, class), rank, |rank| turn(patience, length, rank)) {
            self.seated.entry(shape).or_default().insert(leaf);
            self.fresh.push((leaf, shape));
        }
    }

    /// When it is the turn of a job of this class.
    pub fn turn(&self, class: usize, rank: &Rank) -> Span {
        turn(self.patience, self.classes[class].length, rank)
    }

    /// Takes a job out.
    pub fn remove(&mut self, job: JobId) -> Option<Waiting> {
        let waiting = self.jobs.remove(&job)?;
        let Class { shape, limit, length, .. } = self.classes[waiting.class];
        let (patience, leaf) = (self.patience, &mut self.leaves[waiting.leaf]);
        if !leaf.take_from_behind(shape, &waiting.rank) {
            let seat = (shape, urgency(&waiting.rank), limit, waiting.class);
            if leaf.remove(seat, &waiting.rank, |rank| turn(patience, length, rank)) {
                strike(&mut self.seated, shape, waiting.leaf);
                self.let_in(waiting.leaf);
            }
        }
        let class = &mut self.classes[waiting.class];
        class.count -= 1;
        if class.count == 0 {
            let shape = class.shape;
            self.by_limit.remove(&(shape, class.limit, class.length));
            self.classes.remove(waiting.class);
            let first = self.by_limit.range((shape, Span::ZERO, Span::ZERO)..).next();
            self.least[shape] = first.filter(|((of, ..), _)| *of == shape).map(|((_, limit, _), _)| *limit);
        }
        Some(waiting)
    }

    /// Where a shape has left a leaf's lines, the next one comes in.
    fn let_in(&mut self, leaf: usize) {
        for rank in self.leaves[leaf].next_behind() {
            self.seat(leaf, self.jobs[&rank.3].class, rank);
        }
    }

    /// True when a waiting job is not looked at yet.
    pub fn is_behind(&self, waiting: &Waiting) -> bool {
        self.leaves[waiting.leaf].is_behind(self.classes[waiting.class].shape)
    }

    /// The shortest limit of the jobs of a shape, if there are any.
    pub fn shortest(&self, shape: usize) -> Option<Span> {
        self.least.get(shape).copied().flatten()
    }

    /// The shortest limit that a job takes, where that is shorter than the one it asks for.
    pub fn least(&self, waiting: &Waiting) -> Option<Span> {
        Some(self.classes[waiting.class].limit).filter(|limit| *limit < waiting.limit)
    }

    /// What promises are kept by: a job's shape, and whether it is free to be on any one node.
    pub fn form(&self, waiting: &Waiting) -> (usize, bool) {
        let shape = self.classes[waiting.class].shape;
        (shape, self.shapes[shape].is_free())
    }

    /// A job's class and shape.
    pub fn kind(&self, waiting: &Waiting) -> (&Class, &Shape) {
        let class = &self.classes[waiting.class];
        (class, &self.shapes[class.shape])
    }
}

/// A shape is in the lines of a leaf no more.
fn strike(seated: &mut BTreeMap<usize, BTreeSet<usize>>, shape: usize, leaf: usize) {
    if let Some(leaves) = seated.get_mut(&shape) {
        leaves.remove(&leaf);
        if leaves.is_empty() {
            seated.remove(&shape);
        }
    }
}

/// See the top of this file.
fn turn(patience: Option<u32>, length: Span, rank: &Rank) -> Span {
    match patience {
        None => length,
        Some(times) => {
            let pass = length.millis().saturating_mul(u64::from(times));
            Span::from_millis(rank.2.since.millis().saturating_add(pass))
        }
    }
}

/// An expected length in steps: the powers of the square root of two seconds, so that classes stay few.
pub(crate) fn stepped(expected: Span) -> Span {
    let secs = expected.secs().max(1);
    let power = 1u64 << secs.ilog2();
    // 181 / 128 is the root of two, rounded down.
    let upper = power.saturating_add(power / 128 * 53 + power % 128 * 53 / 128);
    Span::from_secs(if secs >= upper { upper } else { power })
}

/// GPU time that a start holds; beyond the range it is more than any budget.
pub(crate) fn need(request: &Request, limit: Span) -> GpuTime {
    let milli: u128 = request.parts.iter().map(|part| u128::from(part.nodes) * u128::from(part.milli())).sum();
    let micro = milli.saturating_mul(u128::from(limit.millis()));
    GpuTime::from_micro_secs(i64::try_from(micro).unwrap_or(i64::MAX))
}

/// Values with stable small indices.
#[derive(Clone, Debug)]
pub(crate) struct Slab<T> {
    items: Vec<Option<T>>,
    vacant: Vec<usize>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Slab { items: Vec::new(), vacant: Vec::new() }
    }
}

impl<T> Slab<T> {
    pub fn insert(&mut self, item: T) -> usize {
        match self.vacant.pop() {
            Some(index) => {
                self.items[index] = Some(item);
                index
            }
            None => {
                self.items.push(Some(item));
                self.items.len() - 1
            }
        }
    }
    pub fn remove(&mut self, index: usize) {
        if self.items[index].take().is_some() {
            self.vacant.push(index);
        }
    }
    pub fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        self.items.iter().enumerate().filter_map(|(index, item)| item.as_ref().map(|item| (index, item)))
    }
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut T)> {
        self.items.iter_mut().enumerate().filter_map(|(index, item)| item.as_mut().map(|item| (index, item)))
    }
}

impl<T> core::ops::Index<usize> for Slab<T> {
    type Output = T;
    fn index(&self, index: usize) -> &T {
        self.items[index].as_ref().expect("the index was handed out and not given back")
    }
}

impl<T> core::ops::IndexMut<usize> for Slab<T> {
    fn index_mut(&mut self, index: usize) -> &mut T {
        self.items[index].as_mut().expect("the index was handed out and not given back")
    }
}
