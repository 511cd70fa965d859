//! What happened: events change the state and leave the deciding to the cycle.
use crate::api::{Anomaly, Ask, BrokenBy, Budget, Event, PromiseEnd, Step};
use crate::prey::Leaving;
use crate::queue::stepped;
use crate::reserve::match_shape;
use crate::scheduler::Scheduler;
use crate::shape::Shape;
use alloc::vec::Vec;
use madang_model::{Health, JobId, NodeId, PartyId, ProjectId, RunId, Span, Time};

impl Scheduler {
    pub(crate) fn apply(&mut self, now: Time, event: Event, step: &mut Step) {
        let anomaly = match event {
            Event::Project { id, owner, weight } => {
                self.project(id, owner, weight);
                None
            }
            Event::Budget(id, budget) => match self.shares.project(id) {
                Some(project) => {
                    self.set_budget(project, budget);
                    None
                }
                None => Some(Anomaly::UnknownProject(id)),
            },
            Event::Queued(ask) => self.queued(ask, step),
            Event::Withdrawn(job) => (!self.withdrawn(job, step)).then_some(Anomaly::UnknownJob(job)),
            Event::Ended(run) => self.ended(now, run),
            Event::Extended(run, until) => self.extended(now, run, until),
            Event::Node(node, health) => self.node(node, &health),
            Event::Relieved { lost, by } => {
                let unknown = self.node(by, &Health::Up);
                if unknown.is_none() {
                    self.go_on_with(lost, by);
                }
                unknown
            }
            Event::Reserved(reservation) => {
                self.reserved(now, reservation);
                None
            }
            Event::Unreserved(id) => self.unreserved(id),
            Event::Saved(run, at) => self.saved(run, at),
            Event::Leaving(run) => self.leaving(run),
        };
        step.anomalies.extend(anomaly);
    }

    fn set_budget(&mut self, project: usize, budget: Budget) {
        let before = core::mem::replace(&mut self.shares.projects[project].budget, budget);
        if budget < before {
            self.poorer.insert(project);
        }
        let owner = self.shares.projects[project].owner;
        self.shares.owners[owner].unpromised = true;
        self.shares.owners[owner].look.due = true;
    }

    fn project(&mut self, id: ProjectId, owner: PartyId, weight: u32) {
        let before = self.shares.project(id).map(|project| self.shares.projects[project].owner);
        self.shares.set_project(id, owner, weight);
        let after = self.shares.project(id).map(|project| self.shares.projects[project].owner);
        // A project that holds nothing yet changes nobody's guarantee, nor what anybody holds.
        if before.is_some() && before != after {
            self.promises.rehome(|leaf| self.shares.owner_of(leaf));
            self.recount();
            self.look_for_prey();
        }
    }

    fn queued(&mut self, ask: Ask, step: &mut Step) -> Option<Anomaly> {
        let Some(project) = self.shares.project(ask.project) else {
            return Some(Anomaly::UnknownProject(ask.project));
        };
        if self.runs.contains_key(&ask.run) {
            return Some(Anomaly::UnknownRun(ask.run));
        }
        let leaf = self.shares.leaf(project, ask.user);
        let owner = self.shares.owner_of(leaf);
        let owner_waited = self.shares.owners[owner].waiting > 0;
        let waited = self.shares.leaves[leaf].waiting > 0;
        self.withdrawn(ask.run.job, step);
        if !waited {
            self.shares.leaves[leaf].lined = self.now;
        }
        if !owner_waited {
            self.shares.owners[owner].lined = self.now;
        }
        if self.estate.sharing {
            self.cluster.habits.learn(&ask.request);
        }
        let (cluster, round) = (&self.cluster, self.queue.round);
        let shape = self.queue.shape(ask.request.clone(), |request| {
            let mut shape = Shape::new(request, &cluster.estate);
            match_shape(&mut shape, cluster);
            shape.matched = round;
            shape
        });
        let length = self.length(&ask);
        self.queue.push(&ask, leaf, shape, length);
        self.unfinished |= self.overtaken_by(leaf, &self.queue.jobs[&ask.run.job].rank).is_some();
        self.shares.wait(leaf, true);
        let owner = self.shares.owner_of(leaf);
        self.shares.owners[owner].unpromised = true;
        self.shares.owners[owner].look.due = true;
        None
    }

    /// What short jobs go first by. Only the order of backfill depends on it.
    pub(crate) fn length(&self, ask: &Ask) -> Span {
        let expected = ask.expected.filter(|_| self.config.prediction);
        expected.map_or(ask.limit, |expected| stepped(expected).min(ask.limit))
    }

    /// True if the job was waiting.
    fn withdrawn(&mut self, job: JobId, step: &mut Step) -> bool {
        self.give_up(job);
        self.break_promise(job, BrokenBy::Withdrawn, step);
        let Some(waiting) = self.queue.remove(job) else { return false };
        self.shares.wait(waiting.leaf, false);
        true
    }

    fn ended(&mut self, now: Time, id: RunId) -> Option<Anomaly> {
        let Some(run) = self.runs.remove(&id) else { return Some(Anomaly::UnknownRun(id)) };
        self.cluster.release(id, &run.on);
        self.resizable.remove(&id);
        self.cluster.calendar.excused.remove(&id);
        self.shares.hold(run.leaf, run.rate, now, false);
        let owner = self.shares.owner_of(run.leaf);
        let (owner, gpus) = (&mut self.shares.owners[owner], run.gpus);
        owner.held -= gpus;
        owner.leaving -= if run.life.leaving.is_some() { gpus } else { 0 };
        None
    }

    fn saved(&mut self, id: RunId, at: Time) -> Option<Anomaly> {
        let Some(run) = self.runs.get_mut(&id) else { return Some(Anomaly::UnknownRun(id)) };
        run.life.saved = run.life.saved.max(Some(at));
        None
    }

    /// What is leaving anyway is not taken back, and no longer counts as borrowed.
    fn leaving(&mut self, id: RunId) -> Option<Anomaly> {
        let Some(run) = self.runs.get_mut(&id) else { return Some(Anomaly::UnknownRun(id)) };
        if run.life.leaving.is_none() {
            run.life.leaving = Some(Leaving::Otherwise);
            let owner = self.shares.owner_of(run.leaf);
            self.shares.owners[owner].leaving += run.gpus;
        }
        None
    }

    /// Whoever waits may find something to take back now.
    fn look_for_prey(&mut self) {
        self.shares.owners.iter_mut().for_each(|owner| owner.look.due = true);
    }

    fn extended(&mut self, now: Time, id: RunId, until: Time) -> Option<Anomaly> {
        let Some(run) = self.runs.get_mut(&id) else { return Some(Anomaly::UnknownRun(id)) };
        run.until = until;
        let on = run.on.clone();
        self.cluster.extend(id, until, &on);
        for slot in &on.slots {
            for job in self.promises.on(slot.node) {
                if !self.promises.holds(&self.cluster, job, now) {
                    self.shake(job, BrokenBy::Extended(id));
                }
            }
        }
        self.excuse(now, id);
        None
    }

    fn node(&mut self, node: NodeId, health: &Health) -> Option<Anomaly> {
        let Some(facts) = self.estate.nodes.get(node.index()) else { return Some(Anomaly::UnknownNode(node)) };
        let up = *health == Health::Up;
        if self.cluster.nodes[node.index()].up == up {
            return None;
        }
        self.health.insert(facts.pool);
        self.cluster.set_up(node, up);
        if !up {
            for job in self.promises.on(node) {
                self.shake(job, BrokenBy::Node(node));
            }
            if matches!(health, Health::Down { .. }) {
                self.go_on_without(node);
            }
        }
        None
    }

    pub(crate) fn shake(&mut self, job: JobId, cause: BrokenBy) {
        self.promises.shake(job, cause);
    }

    /// Ends the job's promise, if it has one, and says so.
    pub(crate) fn break_promise(&mut self, job: JobId, cause: BrokenBy, step: &mut Step) {
        if let Some(promised) = self.drop_promise(job) {
            step.promises.push((job, PromiseEnd::Broken { promised, cause }));
        }
    }

    /// Takes the promise away; what was set aside may let others start.
    pub(crate) fn drop_promise(&mut self, job: JobId) -> Option<Time> {
        let full = self.promises_left() == 0;
        let pledge = self.promises.remove(job)?;
        if full {
            self.shares.owners.iter_mut().for_each(|owner| owner.unpromised = true);
        }
        for slot in &pledge.promise.on.slots {
            self.cluster.grow(slot.node);
        }
        self.shares.owners[pledge.owner].unpromised = true;
        Some(pledge.promise.start)
    }

    /// Shapes that have come into the lines of a leaf may start or be promised a start.
    pub(crate) fn look_at_fresh(&mut self) {
        for (leaf, index) in core::mem::take(&mut self.queue.fresh) {
            let owner = self.shares.owner_of(leaf);
            self.shares.owners[owner].unpromised = true;
            if self.queue.seated.contains_key(&index) && self.queue.shapes[index].matched != self.queue.round {
                match_shape(&mut self.queue.shapes[index], &self.cluster);
                self.queue.shapes[index].matched = self.queue.round;
            }
        }
    }

    /// Counts guarantees again if nodes came or went, and forgets what was found out about shapes for which something has
    /// grown since; gives the nodes that have.
    pub(crate) fn refresh(&mut self) -> Vec<NodeId> {
        if self.health.count_ones(..) > 0 {
            let pools: Vec<usize> = self.health.ones().collect();
            self.health.clear();
            self.recount_guarantees();
            let before = self.queue.round;
            self.queue.round += 1;
            for index in self.queue.seated.keys() {
                let shape = &mut self.queue.shapes[*index];
                // One that has just come in may not have been matched in the rounds before.
                if shape.matched != before || pools.iter().any(|pool| shape.uses(*pool)) {
                    match_shape(shape, &self.cluster);
                }
                shape.matched = self.queue.round;
            }
            self.barren.clear();
            self.shares.owners.iter_mut().for_each(|owner| owner.unpromised = true);
        }
        if self.cluster.grown.is_clear() {
            return Vec::new();
        }
        self.cluster.spread_growth();
        let grown: Vec<NodeId> = self.cluster.grown.ones().map(|index| NodeId::new(index as u32)).collect();
        self.look_for_prey();
        self.cluster.end_round();
        let shapes = &mut self.queue.shapes;
        self.queue.noted.retain(|index| {
            let shape = &mut shapes[*index];
            if shape.memo.is_some() && shape.wakes(&self.cluster, &grown) {
                shape.memo = None;
            }
            shape.memo.is_some()
        });
        let (shapes, cluster) = (&self.queue.shapes, &self.cluster);
        self.promises.unsettle_shapes(|shape| shapes[shape].served_by(cluster, &grown) > 0);
        grown
    }
}
