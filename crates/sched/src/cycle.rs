//! One step: what happened, then one cycle.
use crate::api::{BrokenBy, Budget, Event, Promise, PromiseEnd, Start, Step};
use crate::place::Short;
use crate::prey::Life;
use crate::promise::{GRACE, Pledge, with_margin, without_margin};
use crate::scheduler::{Run, Scheduler};
use crate::shape::Memo;
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use madang_model::{Allocation, JobId, NodeId, SiteId, Span, Time};

impl Scheduler {
    /// Takes in what happened and decides nothing; that is for the next step.
    pub fn tell(&mut self, now: Time, events: Vec<Event>) -> Step {
        assert!(now >= self.now, "time does not go back");
        self.pass_edges(self.now, now);
        self.now = now;
        let mut step = Step::default();
        for event in events {
            self.apply(now, event, &mut step);
        }
        step
    }

    /// Applies what happened, then runs one cycle.
    pub fn step(&mut self, now: Time, events: Vec<Event>) -> Step {
        // 1. What happened.
        let mut step = self.tell(now, events);
        self.end_pauses();
        self.go_on(&mut step);
        let grown = self.refresh();
        // 2. Promises that no longer hold as they stand are given anew.
        self.mend(now, &mut step);
        // 3. Promises that are due are kept.
        self.honour(now, &mut step);
        // 4. Promises are looked at for an earlier start where something has grown.
        self.improve(now, &grown);
        let (most, mut taken, mut vain) = (self.config.taking.jobs, 0, 0);
        loop {
            // 5. What is lent is taken back for whoever is below its guarantee, what can wait for what is urgent.
            let took = most > 0 && self.take_back(now, &mut step);
            (taken, vain) = if took { (taken + 1, vain) } else { (taken, vain + 1) };
            // 6. In rank order: start, or promise, or pass over. Who is promised something may then claim it.
            self.fill(now, &mut step);
            self.refresh();
            if taken == most || vain > most || !(took || self.looks_are_due()) {
                break;
            }
        }
        // Those for whom there was no turn left come next. That ends: a run that was told to leave is not told again, and a
        // job for which room is made claims no more.
        let more = most > 0 && taken == most && self.looks_are_due();
        // 7. What nobody can use lets a run grow that has just written a checkpoint.
        self.grow(now, &mut step);
        self.look_at_fresh();
        // 8. What came of it.
        step.report.pending = self.pending();
        step.report.starts = step.starts.len() as u32;
        step.report.stops = step.stops.len() as u32;
        step.report.promises = self.promises.len() as u32;
        step.wake = if more { Some(now) } else { self.wake(now) };
        step
    }

    fn wake(&self, now: Time) -> Option<Time> {
        if self.unfinished {
            return Some(now);
        }
        let (first, later) = self.promises.next_starts(now);
        let late = first.filter(|start| *start <= now).map(|_| now.after(GRACE));
        let pauses =
            self.given_up.values().copied().chain(self.promises.kept.values().map(|place| self.kept_until(place)));
        let looks = self.next_look(now).into_iter().chain(self.next_growth(now));
        let starts = later.into_iter().chain(late);
        starts.chain(pauses).chain(looks).chain(self.cluster.calendar.next_edge(now)).min()
    }

    /// Gives shaken promises anew: unnoticed if no later than promised, else broken with the cause.
    pub(crate) fn mend(&mut self, now: Time, step: &mut Step) {
        self.drop_uncovered(step);
        for (_, job, cause) in self.promises.shaken() {
            self.promise_anew(now, job, cause, step);
        }
    }

    /// Ends the promises that their projects' budgets or their owners' limits no longer cover. Without such limits only
    /// those of projects whose budgets have fallen can be among them.
    fn drop_uncovered(&mut self, step: &mut Step) {
        let poorer = core::mem::take(&mut self.poorer);
        let mut short: Vec<JobId> = if self.config.lending.is_empty() {
            let owners: BTreeSet<usize> = poorer.iter().map(|project| self.shares.projects[*project].owner).collect();
            let pledges = owners.into_iter().flat_map(|owner| self.promises.of_owner(owner));
            let poor = pledges.filter(|pledge| poorer.contains(&self.shares.leaves[pledge.leaf].project));
            poor.map(|pledge| pledge.promise.job).collect()
        } else {
            self.promises.iter().map(|(job, _)| job).collect()
        };
        short.retain(|job| !self.affordable(*job));
        short.sort_unstable();
        for job in short {
            let waiting = &self.queue.jobs[&job];
            let paid = self.covers(self.shares.leaves[waiting.leaf].project, self.queue.kind(waiting).0.need);
            self.break_promise(job, if paid { BrokenBy::OwnerLimit } else { BrokenBy::Budget }, step);
        }
    }

    /// True when the waiting job's project can pay for it, and its owner may hold it.
    pub(crate) fn affordable(&self, job: JobId) -> bool {
        let waiting = &self.queue.jobs[&job];
        let (project, (class, shape)) = (self.shares.leaves[waiting.leaf].project, self.queue.kind(waiting));
        self.covers(project, class.need) && self.may_hold(project, &shape.request)
    }

    /// A promise from scratch for a job whose promise cannot stand.
    pub(crate) fn promise_anew(&mut self, now: Time, job: JobId, cause: BrokenBy, step: &mut Step) {
        let Some(old) = self.promises.get(job).cloned() else { return };
        self.drop_promise(job);
        let given = self.give_promise(now, job, old.fitting, old.promise.start).map(|start| start <= old.promise.start);
        old.heir_of.into_iter().for_each(|start| self.promises.take_over(job, start));
        if given == Some(true) {
            self.promises.stands_since(job, old.promise.given);
        } else {
            let promised = old.promise.start;
            step.promises.push((job, PromiseEnd::Broken { promised, cause }));
        }
    }

    /// Starts the jobs whose promise is due.
    fn honour(&mut self, now: Time, step: &mut Step) {
        for job in self.promises.due(now) {
            if !self.affordable(job) {
                continue;
            }
            let Err(short) = self.try_start(now, job, step) else { continue };
            let overrun = self.promises.overrun(&self.cluster, job, now).map(BrokenBy::Overrun);
            if let Some(cause) = overrun.or(short.window.map(BrokenBy::Reserved)) {
                self.promise_anew(now, job, cause, step);
            }
        }
    }

    /// Passes over the queue until nothing more can start, or a bound is met.
    fn fill(&mut self, now: Time, step: &mut Step) {
        loop {
            self.refresh();
            self.look_at_fresh();
            if !self.awake() {
                self.unfinished = false;
                return;
            }
            self.unfinished = !self.pass(now, step);
            if self.unfinished {
                return;
            }
            self.drop_uncovered(step);
            self.promises.settle_all();
            self.shares.owners.iter_mut().for_each(|owner| owner.unpromised = false);
            if self.cluster.grown.count_ones(..) == 0 && self.queue.fresh.is_empty() {
                return;
            }
        }
    }

    /// True when a job may start or may be given a promise that was not looked at yet.
    fn awake(&self) -> bool {
        self.unfinished
            || self.promises.any_unsettled()
            || (0..)
                .zip(&self.shares.owners)
                .any(|(index, owner)| owner.unpromised && owner.waiting > 0 && self.places(index) > 0)
            || self.live_from(0).is_some()
    }

    /// Starts the job if it can be placed now; its own promise does not stand in its way.
    pub(crate) fn try_start(&mut self, now: Time, job: JobId, step: &mut Step) -> Result<(), Short> {
        self.promises.lift(job);
        let placed = self.longest(now, job).map(|(on, limit)| (self.place_most(now, job, on, limit), limit));
        self.promises.lower(job);
        match placed {
            Ok((on, limit)) => {
                if let Some(promised) = self.drop_promise(job) {
                    step.promises.push((job, PromiseEnd::Kept { promised }));
                }
                self.start(now, job, (on, limit), step);
                Ok(())
            }
            Err(short) => {
                self.promises.settle(job, short.fitting, short.window);
                Err(short)
            }
        }
    }

    pub(crate) fn start(&mut self, now: Time, job: JobId, (on, limit): (Allocation, Span), step: &mut Step) {
        let shape = self.queue.kind(&self.queue.jobs[&job]).1;
        let need = Scheduler::need_on(shape, &on, limit);
        let (until, own) = (now.after(limit), shape.request.reservation);
        let request = shape.request.goes_on().then(|| Box::new(shape.request.clone()));
        let waiting = self.queue.remove(job).expect("a job that starts was waiting");
        let (run, leaf) = (waiting.run, waiting.leaf);
        let (qos, asked) = (waiting.rank.0.0, waiting.rank.2.since);
        let life = Life { since: now, asked, qos, every: waiting.every, ..Life::default() };
        let project = self.shares.leaves[leaf].project;
        if let Budget::Left(left) = &mut self.shares.projects[project].budget {
            *left -= need;
            self.poorer.insert(project);
        }
        let rate = self.rate(&on);
        self.shares.wait(leaf, false);
        self.shares.hold(leaf, rate, now, true);
        self.cluster.take(run, until, &on);
        let owner = self.shares.owner_of(leaf);
        let gpus = u64::from(on.gpus().milli());
        self.shares.owners[owner].held += gpus;
        self.resizable.extend(request.iter().filter(|request| request.resizes()).map(|_| run));
        let expected = waiting.expected;
        let spared = self.run_spared_until(now, run, &life);
        self.runs.insert(run, Run { on: on.clone(), until, leaf, gpus, rate, own, life, spared, request, expected });
        self.note_prey(now, leaf, life.qos);
        step.starts.push(Start { run, on, until });
    }

    /// Remembers that a shape failed at the job's limit.
    pub(crate) fn note(&mut self, job: JobId, shape: usize, short: Short) {
        let limit = self.queue.kind(&self.queue.jobs[&job]).0.limit;
        let Short { fitting, behind, window } = short;
        let limit = if behind.is_some() || window.is_some() { limit } else { Span::ZERO };
        // Of what fails by windows alone it is not known how many nodes are short.
        let most = if window.is_some() { u32::MAX } else { fitting };
        self.queue.noted.insert(shape);
        self.queue.shapes[shape].memo = Some(Memo { limit, fitting, behind, window, most });
    }

    /// Promises the job the earliest start that can be told now; with its margin no later than `by` if that can be.
    pub(crate) fn give_promise(&mut self, now: Time, job: JobId, fitting: u32, by: Time) -> Option<Time> {
        let waiting = &self.queue.jobs[&job];
        let (class, shape) = self.queue.kind(waiting);
        let (first, on) = self.promises.earliest(&self.cluster, shape, class.limit, (now, Time::MAX), |_| true)?;
        // Around windows a later moment need not do where an earlier one does.
        let margin = self.cluster.leaves_alone(shape);
        let start = if margin { with_margin(now, first).min(by.max(first)) } else { first };
        let (limit, leaf, rank) = (class.limit, waiting.leaf, waiting.rank);
        let owner = self.shares.owner_of(leaf);
        let promise = Promise { job, start, on, given: now };
        let (window, form) = (shape.memo.and_then(|memo| memo.window), self.queue.form(waiting));
        let (settled, taken, heir_of, shaken) = (true, false, None, None);
        let pledge = Pledge { promise, limit, leaf, owner, rank, settled, taken, heir_of, shaken, fitting, window };
        self.promises.insert(pledge, form);
        self.shares.owners[owner].look.due = true;
        Some(start)
    }

    /// Looks whether promises can be made earlier now that these nodes have grown: those of one node on the grown nodes
    /// alone, and one gang, each time the next, on all that suits it.
    fn improve(&mut self, now: Time, grown: &[NodeId]) {
        if grown.is_empty() {
            return;
        }
        let windows = !self.cluster.calendar.is_empty();
        let shapes = &self.queue.shapes;
        let facts = |shape: usize| &shapes[shape];
        let mut hopeful =
            if windows { BTreeSet::new() } else { self.promises.hopeful(&self.cluster, facts, now, grown) };
        while let Some(job) = hopeful.pop_first() {
            if self.bring_forward(now, job, Some(grown)) {
                // What moved left room and took some: all after it may have another start now.
                hopeful = self.promises.singles_after(job);
            }
        }
        if let Some(job) = self.promises.next_gang(windows) {
            self.promises.turn = Some(job);
            let facts = self.queue.kind(&self.queue.jobs[&job]).1;
            if !self.cluster.leaves_alone(facts) || self.promises.draws_near(&self.cluster, facts, job, now) {
                self.bring_forward(now, job, None);
            }
        }
    }

    /// Gives the job an earlier promise if there is one, and says so; a job of one node looks at the named nodes only.
    fn bring_forward(&mut self, now: Time, job: JobId, nodes: Option<&[NodeId]>) -> bool {
        let Some(pledge) = self.promises.get(job) else { return false };
        let (old, site) = (pledge.promise.start, self.cluster.site_of(&pledge.promise.on));
        let (class, shape) = self.queue.kind(&self.queue.jobs[&job]);
        let margin = self.cluster.leaves_alone(shape);
        let before = if margin { without_margin(now, old) } else { old };
        let comes = |nodes| self.promises.comes_forward(&self.cluster, shape, (now, before), (job, nodes));
        if nodes.is_some_and(|nodes| !comes(nodes)) {
            return false;
        }
        self.promises.lift(job);
        let earliest = match nodes {
            Some(nodes) => self.promises.earliest_of(&self.cluster, shape, now, nodes.iter().copied()),
            None => {
                let near = |node: NodeId| !margin || self.promises.is_near(job, node);
                self.promises.earliest(&self.cluster, shape, class.limit, (now, before), near)
            }
        };
        // An earlier start that the data reach later is none.
        let there = |start: Time, site: Option<SiteId>| {
            start.after(site.map_or(Span::ZERO, |site| shape.request.delay_to(site)))
        };
        let sooner = |start: Time, on: &Allocation| {
            start < before && there(start, self.cluster.site_of(on)) <= there(before, site)
        };
        let better = earliest.filter(|(start, on)| *start > now && sooner(*start, on));
        let moves = better.is_some();
        if let Some((first, on)) = better {
            let start = if margin { with_margin(now, first) } else { first };
            let left = self.promises.move_to(job, start, on);
            left.iter().flat_map(|on| &on.slots).for_each(|slot| self.cluster.grow(slot.node));
        }
        self.promises.lower(job);
        moves
    }
}
