//! Elastic gangs: as large as can be had when they start, and larger at a checkpoint where nobody else can use the nodes.
//!
//! A promise is on the fewest nodes, and so is everything that is said of a waiting job. When its turn comes it is placed
//! on these, and then on as many more as are free, that delay no promise and that its budget and its owner's limits
//! allow. A run that may be resized grows right after a checkpoint by being told to leave for a larger place of its own
//! (see `kept`), if the time it saves pays for the restart. It shrinks when nodes are taken back (see `reclaim`).
//!
//! Invariants: a gang holds no fewer nodes than its fewest and no more than its most; it grows at most once in
//! `Config::growth`, counted from its start, so that nothing goes back and forth; nothing grows while anybody who waits
//! may start.
use crate::api::Step;
use crate::draft::Draft;
use crate::place::{self, Now, Short};
use crate::promise::{GRACE, Kept};
use crate::queue;
use crate::scheduler::{Run, Scheduler};
use crate::shape::Shape;
use alloc::vec::Vec;
use madang_model::{Allocation, GpuTime, JobId, Request, RunId, Span, Time};

/// A run that could not grow is looked at again after so long.
const AGAIN: Span = Span::from_mins(10);
/// Most runs that are looked at in one step.
const LOOKS: usize = 4;
/// How many times the cost of a restart the limit must leave room to save: people ask for twice what they need.
const WORTH: u128 = 2;

impl Scheduler {
    /// Where the job could be promised to start now with its fewest nodes.
    pub(crate) fn place_least(&self, now: Time, job: JobId) -> Result<Allocation, Short> {
        let (class, shape) = self.queue.kind(&self.queue.jobs[&job]);
        place::now(shape, &Now { rides: false, ..self.begun_now(now, class.limit) })
    }

    /// Where a job that could start there now starts: with as many nodes as there are for it.
    pub(crate) fn place_most(&self, now: Time, job: JobId, least: Allocation, limit: Span) -> Allocation {
        let waiting = &self.queue.jobs[&job];
        let shape = self.queue.kind(waiting).1;
        let project = self.shares.leaves[waiting.leaf].project;
        let at = self.begun_now(now, limit);
        let sizes = self.sizes(&shape.request, shape.nodes(), project, limit);
        let found = largest(&sizes, |nodes| place::now(&self.shape_of(&shape.request, nodes), &at).ok());
        found.unwrap_or(least)
    }

    pub(crate) fn begun_now(&self, now: Time, limit: Span) -> Now<'_> {
        let end = now.after(limit).after(GRACE);
        Now { cluster: &self.cluster, promises: &self.promises, now, end, rides: true }
    }

    fn shape_of(&self, request: &Request, nodes: u32) -> Shape {
        Shape::new(request.sized(nodes), &self.estate)
    }

    /// The sizes above this one that an elastic gang may have and that its project may pay for and hold, ascending.
    fn sizes(&self, request: &Request, nodes: u32, project: usize, limit: Span) -> Vec<u32> {
        let most = request.most_nodes().min(self.estate.nodes.len() as u32);
        let sizes: Vec<u32> = (nodes..=most).step_by(request.unit() as usize).skip(1).collect();
        let allowed = |nodes: &u32| {
            let sized = request.sized(*nodes);
            self.covers(project, queue::need(&sized, limit)) && self.may_hold(project, &sized)
        };
        let count = sizes.partition_point(allowed);
        sizes[..count].to_vec()
    }

    /// What a start on these nodes takes from its project's budget.
    pub(crate) fn need_on(shape: &Shape, on: &Allocation, limit: Span) -> GpuTime {
        match shape.request.elastic {
            Some(_) => queue::need(&shape.request.sized(on.slots.len() as u32), limit),
            None => queue::need(&shape.request, limit),
        }
    }

    /// Lets runs grow that have just written a checkpoint, where nobody who waits can use the nodes.
    pub(crate) fn grow(&mut self, now: Time, step: &mut Step) {
        if self.resizable.is_empty() || self.unfinished || self.live_from(0).is_some() {
            return;
        }
        let due = |id: &&RunId| {
            let run = &self.runs[*id];
            grows(run)
                && run.life.since.after(self.config.growth).max(run.life.quiet) <= now
                && run.life.lost(now, Span::MAX) <= GRACE
        };
        let due: Vec<RunId> = self.resizable.iter().filter(due).copied().take(LOOKS).collect();
        for id in due {
            let found = self.larger(now, id);
            self.runs.get_mut(&id).expect("listed above").life.quiet = now.after(AGAIN);
            let Some(place) = found else { continue };
            self.send_away(now, id, id.job, step);
            self.keep(place, None);
        }
        self.refresh();
    }

    /// A larger place for a run, if there is one that pays.
    fn larger(&mut self, now: Time, id: RunId) -> Option<Kept> {
        let run = &self.runs[&id];
        let request = run.request.as_deref()?;
        let (held, rest) = (run.on.slots.len() as u32, run.rest(now));
        let project = self.shares.leaves[run.leaf].project;
        let mut sizes = self.sizes(request, held, project, rest);
        sizes.retain(|nodes| self.growth_pays(run, *nodes, rest));
        let shapes: Vec<Shape> = sizes.iter().map(|nodes| self.shape_of(request, *nodes)).collect();
        let start = self.gone_if_told();
        let end = start.after(rest).after(GRACE);
        let mut draft = Draft::new(&mut self.cluster);
        draft.vacate(id, run.until, &run.on);
        let first = sizes.first().copied()?;
        let place = |nodes: u32| {
            let shape = &shapes[sizes.binary_search(&nodes).ok()?];
            draft.place(shape, &self.promises, now, end)
        };
        // Mostly there is nothing at all, which the smallest size tells.
        place(first)?;
        let on = largest(&sizes, place)?;
        Some(Kept { run: id, on, start, end })
    }

    /// True if a run that goes on with so many nodes saves more time than starting again costs.
    fn growth_pays(&self, run: &Run, nodes: u32, rest: Span) -> bool {
        let Some(restart) = run.request.as_ref().and_then(|request| request.elastic?.restart) else { return false };
        let cost = u128::from(restart.millis()) + u128::from(self.config.taking.grace.millis());
        let more = u128::from(nodes).saturating_sub(run.on.slots.len() as u128);
        u128::from(rest.millis()) * more >= WORTH * cost * u128::from(nodes)
    }

    /// When a declared checkpoint next lets a run grow.
    pub(crate) fn next_growth(&self, now: Time) -> Option<Time> {
        let next = |id: &RunId| {
            let run = &self.runs[id];
            let every = run.life.every.map(Span::millis).filter(|every| *every > 0 && run.life.saved.is_none())?;
            let from =
                run.life.since.after(self.config.growth).max(run.life.quiet).max(Time::from_millis(now.millis() + 1));
            let at =
                run.life.since.after(Span::from_millis(from.since(run.life.since).millis().next_multiple_of(every)));
            let most = run.request.as_ref().map_or(0, |request| request.most_nodes());
            (grows(run) && at < run.until && self.growth_pays(run, most, run.until.since(at))).then_some(at)
        };
        self.resizable.iter().filter_map(next).min()
    }
}

/// True of a run that is not as large as it may be and stays.
fn grows(run: &Run) -> bool {
    let most = run.request.as_ref().map_or(0, |request| request.most_nodes());
    run.life.leaving.is_none() && (run.on.slots.len() as u32) < most
}

/// What the largest of ascending sizes yields that yields anything, where none above it does.
fn largest<T>(sizes: &[u32], attempt: impl Fn(u32) -> Option<T>) -> Option<T> {
    let last = attempt(*sizes.last()?);
    if last.is_some() {
        return last;
    }
    let count = sizes.partition_point(|nodes| attempt(*nodes).is_some());
    attempt(*sizes.get(count.checked_sub(1)?)?)
}
