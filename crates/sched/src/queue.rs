//! Waiting jobs, by leaf and class.
//!
//! A class is a shape with a limit. Each leaf keeps one line for each class and urgency, in rank order, so that a cycle
//! looks at the head of a line and not at the jobs behind it. Lines stand by urgency and limit, their heads also by
//! rank, so that whichever goes first is found without a look at the others, however many limits somebody asks for.
//!
//! Invariants: a job is in exactly one line; `fronts` has exactly the head of each; a class counts the jobs in its lines and goes with the last of them; shapes
//! outlive their jobs for a while, because the next job often asks for the same.
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
}

/// A shape with a limit.
#[derive(Clone, Debug)]
pub(crate) struct Class {
    pub shape: usize,
    pub limit: Span,
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
    /// The first of each line, by shape and rank, with limit and class.
    fronts: BTreeSet<(usize, Rank, Span, usize)>,
    /// How many there are of each urgency.
    pub by_urgency: BTreeMap<Urgency, u32>,
}

impl Lines {
    /// The first line at this shape or after it.
    pub fn next_shape(&self, shape: usize) -> Option<usize> {
        self.by_seat.range((shape, FIRST, Span::ZERO, 0)..).next().map(|((shape, ..), _)| *shape)
    }

    /// The first line of a shape, or the first after this seat.
    pub fn after(&self, shape: usize, seat: Option<Seat>) -> Option<(&Seat, &BTreeSet<Rank>)> {
        let from = seat.map_or(Bound::Included((shape, FIRST, Span::ZERO, 0)), Bound::Excluded);
        self.by_seat.range((from, Bound::Unbounded)).next().filter(|(seat, _)| seat.0 == shape)
    }

    /// The lines of a shape, by the rank of their first.
    pub fn by_front(&self, shape: usize) -> impl Iterator<Item = (Rank, Seat, &BTreeSet<Rank>)> {
        let least = (FIRST.0, FIRST.1, Due::default(), JobId::new(0));
        let fronts = self.fronts.range((shape, least, Span::ZERO, 0)..).take_while(move |front| front.0 == shape);
        fronts.map(|(shape, rank, limit, class)| {
            let seat = (*shape, urgency(rank), *limit, *class);
            (*rank, seat, &self.by_seat[&seat])
        })
    }

    fn push(&mut self, seat: Seat, rank: Rank) {
        let line = self.by_seat.entry(seat).or_default();
        let before = line.first().copied();
        line.insert(rank);
        let front = line.first().copied();
        self.front(seat, before, front);
        *self.by_urgency.entry(urgency(&rank)).or_insert(0) += 1;
    }

    /// Another is the first of a line.
    fn front(&mut self, seat: Seat, before: Option<Rank>, front: Option<Rank>) {
        if before != front {
            before.map(|rank| self.fronts.remove(&(seat.0, rank, seat.2, seat.3)));
            front.map(|rank| self.fronts.insert((seat.0, rank, seat.2, seat.3)));
        }
    }

    fn remove(&mut self, seat: Seat, rank: &Rank) {
        let line = self.by_seat.get_mut(&seat).expect("a waiting job is in its line");
        let before = line.first().copied();
        line.remove(rank);
        let front = line.first().copied();
        if front.is_none() {
            self.by_seat.remove(&seat);
        }
        self.front(seat, before, front);
        let count = self.by_urgency.get_mut(&urgency(rank)).expect("a waiting job's urgency is counted");
        *count -= 1;
        if *count == 0 {
            self.by_urgency.remove(&urgency(rank));
        }
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
    by_limit: BTreeMap<(usize, Span), usize>,
    /// How many shapes there were after the last sweep.
    pub swept: usize,
}

impl Queue {
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
        let used: BTreeSet<usize> = self.by_limit.keys().map(|(shape, _)| *shape).collect();
        let shapes = &mut self.shapes;
        self.by_request.retain(|_, shape| {
            let keep = used.contains(shape);
            if !keep {
                shapes.remove(*shape);
            }
            keep
        });
        self.swept = self.by_request.len();
    }

    /// Puts a job in its leaf's line.
    pub fn push(&mut self, ask: &Ask, leaf: usize, shape: usize) {
        let limit = ask.limit_min.map_or(ask.limit, |least| least.min(ask.limit));
        let class = *self.by_limit.entry((shape, limit)).or_insert_with(|| {
            let need = need(&self.shapes[shape].request, limit);
            self.classes.insert(Class { shape, limit, need, count: 0 })
        });
        self.classes[class].count += 1;
        let rank = (Reverse(ask.qos), ask.nice, Due::new(ask, limit), ask.run.job);
        if self.leaves.len() <= leaf {
            self.leaves.resize_with(leaf + 1, Lines::default);
        }
        self.leaves[leaf].push((shape, urgency(&rank), limit, class), rank);
        let (run, every, limit, deadline) = (ask.run, ask.checkpoint, ask.limit, ask.deadline);
        self.jobs.insert(run.job, Waiting { run, leaf, class, rank, every, limit, deadline });
    }

    /// Takes a job out.
    pub fn remove(&mut self, job: JobId) -> Option<Waiting> {
        let waiting = self.jobs.remove(&job)?;
        let class = &self.classes[waiting.class];
        let seat = (class.shape, urgency(&waiting.rank), class.limit, waiting.class);
        self.leaves[waiting.leaf].remove(seat, &waiting.rank);
        let class = &mut self.classes[waiting.class];
        class.count -= 1;
        if class.count == 0 {
            self.by_limit.remove(&(class.shape, class.limit));
            self.classes.remove(waiting.class);
        }
        Some(waiting)
    }

    /// The shortest limit of the jobs of a shape, if there are any.
    pub fn shortest(&self, shape: usize) -> Option<Span> {
        let first = self.by_limit.range((shape, Span::ZERO)..).next();
        first.filter(|((of, _), _)| *of == shape).map(|((_, limit), _)| *limit)
    }

    /// The shortest limit that a job takes, where that is shorter than the one it asks for.
    pub fn least(&self, waiting: &Waiting) -> Option<Span> {
        Some(self.classes[waiting.class].limit).filter(|limit| *limit < waiting.limit)
    }

    /// A job's class and shape.
    pub fn kind(&self, waiting: &Waiting) -> (&Class, &Shape) {
        let class = &self.classes[waiting.class];
        (class, &self.shapes[class.shape])
    }
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
    /// Those at this index and after it.
    pub fn iter_from(&self, from: usize) -> impl Iterator<Item = (usize, &T)> {
        let items = self.items.iter().enumerate().skip(from);
        items.filter_map(|(index, item)| item.as_ref().map(|item| (index, item)))
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
