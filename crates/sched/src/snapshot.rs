//! The scheduler's state on paper: what cannot be derived from the rest, in a form that has a version.
use crate::api::{Ask, Budget, Config};
use crate::prey::Life;
use crate::promise::{Kept, Pledge};
use crate::reserve::match_shape;
use crate::scheduler::{Run, Scheduler};
use crate::shape::{Memo, Shape};
use crate::share::{Look, Meter};
use crate::typical::{Habits, Seen};
use alloc::boxed::Box;
use alloc::vec::Vec;
use madang_model::{
    Allocation, Founding, JobId, NodeId, PartyId, ProjectId, Request, Reservation, ReservationId, RunId, Span, Time,
    UserId,
};
use serde::{Deserialize, Serialize};

/// The version that [`Scheduler::snapshot`] writes.
const VERSION: u32 = 1;

/// A scheduler on paper. Restored with the same founding and settings it goes on as if nothing had happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    version: u32,
    now: Time,
    unfinished: bool,
    down: Vec<NodeId>,
    owners: Vec<(PartyId, Meter, bool)>,
    projects: Vec<SavedProject>,
    leaves: Vec<SavedLeaf>,
    shapes: Vec<(Request, Option<Memo>)>,
    swept: usize,
    jobs: Vec<SavedJob>,
    runs: Vec<SavedRun>,
    pledges: Vec<Pledge>,
    turn: Option<JobId>,
    #[serde(default)]
    reservations: Vec<Reservation>,
    #[serde(default)]
    excused: Vec<RunId>,
    #[serde(default)]
    barren: Vec<(Request, Span)>,
    /// As the owners.
    #[serde(default)]
    looks: Vec<Look>,
    /// As the owners: promises given by standing since the last one by turns.
    #[serde(default)]
    by_standing: Vec<u32>,
    /// As the owners: since when each stands in line.
    #[serde(default)]
    lined: Vec<Time>,
    /// Promises given by standing since the last one to owners by turns.
    #[serde(default)]
    all_by_standing: u32,
    #[serde(default)]
    taken: Vec<(JobId, Vec<Time>)>,
    #[serde(default)]
    rest: Vec<(JobId, Span)>,
    #[serde(default)]
    put_off: Vec<(JobId, u32)>,
    #[serde(default)]
    given_up: Vec<(PartyId, UserId, Time)>,
    #[serde(default, skip_serializing_if = "Seen::is_empty")]
    seen: Seen,
    #[serde(default)]
    kept: Vec<Kept>,
    /// What older releases wrote apart: places of runs that are resized.
    #[serde(default, skip_serializing)]
    moves: Vec<Kept>,
    /// Nodes whose growth the next step looks at: a plan of moves is carried out between two steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    grown: Vec<NodeId>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SavedProject {
    id: ProjectId,
    owner: PartyId,
    weight: u32,
    budget: Budget,
    meter: Meter,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SavedLeaf {
    project: usize,
    user: UserId,
    meter: Meter,
    #[serde(default)]
    lined: Time,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SavedJob {
    run: RunId,
    leaf: usize,
    /// Index into the snapshot's shapes.
    shape: usize,
    limit: Span,
    qos: madang_model::Qos,
    nice: i32,
    since: Time,
    #[serde(default)]
    every: Option<Span>,
    #[serde(default)]
    limit_min: Option<Span>,
    #[serde(default)]
    deadline: Option<Time>,
    #[serde(default)]
    expected: Option<Span>,
    /// True of a job that is not looked at yet.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    behind: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SavedRun {
    run: RunId,
    on: Allocation,
    until: Time,
    leaf: usize,
    rate: u64,
    #[serde(default)]
    own: Option<ReservationId>,
    #[serde(default)]
    life: Life,
    #[serde(default)]
    request: Option<Request>,
    #[serde(default)]
    expected: Option<Span>,
}

fn saved_run((id, run): (&RunId, &Run)) -> SavedRun {
    SavedRun {
        run: *id,
        on: run.on.clone(),
        until: run.until,
        leaf: run.leaf,
        rate: run.rate,
        own: run.own,
        life: run.life,
        request: run.request.as_deref().cloned(),
        expected: run.expected,
    }
}

impl Scheduler {
    /// The state on paper.
    pub fn snapshot(&self) -> Snapshot {
        let shares = &self.shares;
        let mut order: Vec<usize> = self.queue.shapes.iter().map(|(index, _)| index).collect();
        order.sort_by_key(|index| &self.queue.shapes[*index].request);
        let mut places = alloc::vec![0; order.iter().max().map_or(0, |last| last + 1)];
        order.iter().enumerate().for_each(|(place, index)| places[*index] = place);
        let nodes = (0..).zip(&self.cluster.nodes).filter(|(_, state)| !state.up);
        let save_job = |waiting: &crate::queue::Waiting| SavedJob {
            run: waiting.run,
            leaf: waiting.leaf,
            shape: places[self.queue.classes[waiting.class].shape],
            limit: waiting.limit,
            limit_min: self.queue.least(waiting),
            deadline: waiting.deadline,
            qos: waiting.rank.0.0,
            nice: waiting.rank.1,
            since: waiting.rank.2.since,
            every: waiting.every,
            expected: waiting.expected,
            behind: self.queue.is_behind(waiting),
        };
        let save_project = |project: &crate::share::Project| SavedProject {
            id: project.id,
            owner: shares.owners[project.owner].id,
            weight: project.weight,
            budget: project.budget,
            meter: project.meter,
        };
        let save_leaf = |leaf: &crate::share::Leaf| SavedLeaf {
            project: leaf.project,
            user: leaf.user,
            meter: leaf.meter,
            lined: leaf.lined,
        };
        Snapshot {
            version: VERSION,
            now: self.now,
            unfinished: self.unfinished,
            down: nodes.map(|(index, _)| NodeId::new(index)).collect(),
            owners: shares.owners.iter().map(|owner| (owner.id, owner.meter, owner.unpromised)).collect(),
            projects: shares.projects.iter().map(save_project).collect(),
            leaves: shares.leaves.iter().map(save_leaf).collect(),
            shapes: order
                .iter()
                .map(|index| (self.queue.shapes[*index].request.clone(), self.queue.shapes[*index].memo))
                .collect(),
            swept: self.queue.swept,
            jobs: self.queue.jobs.values().map(save_job).collect(),
            runs: self.runs.iter().map(saved_run).collect(),
            pledges: self.promises.iter().map(|(_, pledge)| pledge.clone()).collect(),
            turn: self.promises.turn,
            reservations: self.reservations().cloned().collect(),
            excused: self.cluster.calendar.excused.iter().copied().collect(),
            barren: self.barren.iter().map(|(request, limit)| (request.clone(), *limit)).collect(),
            looks: shares.owners.iter().map(|owner| owner.look).collect(),
            by_standing: shares.owners.iter().map(|owner| owner.by_standing).collect(),
            lined: shares.owners.iter().map(|owner| owner.lined).collect(),
            all_by_standing: self.by_standing,
            taken: self.taken.iter().map(|(job, times)| (*job, times.clone())).collect(),
            put_off: self.put_off.iter().map(|(job, times)| (*job, *times)).collect(),
            given_up: self.given_up.iter().map(|((owner, user), until)| (*owner, *user, *until)).collect(),
            rest: self.rest.iter().map(|(job, span)| (*job, *span)).collect(),
            seen: self.cluster.habits.seen(),
            kept: self.promises.kept.values().cloned().collect(),
            moves: Vec::new(),
            grown: self.cluster.grown.ones().map(|index| NodeId::new(index as u32)).collect(),
        }
    }

    /// The scheduler that the snapshot was taken of. The founding must be the one it was made with.
    pub fn restore(config: Config, founding: &Founding, from: Snapshot) -> Scheduler {
        assert_eq!(from.version, VERSION, "a scheduler snapshot of a version that this release does not read");
        let mut sched = Scheduler::new(config, founding);
        for node in &from.down {
            sched.cluster.set_up(*node, false);
        }
        for index in 0..sched.cluster.nodes.len() {
            let node = NodeId::new(index as u32);
            if !from.down.contains(&node) && !sched.cluster.nodes[index].up {
                sched.cluster.set_up(node, true);
            }
        }
        sched.restore_shares(&from);
        for reservation in &from.reservations {
            sched.cluster.calendar.insert(reservation.clone(), sched.cluster.nodes.len());
        }
        sched.cluster.calendar.excused = from.excused.iter().copied().collect();
        sched.barren = from.barren.iter().cloned().collect();
        let grown = from.grown.clone();
        sched.restore_work(from);
        sched.cluster.end_round();
        grown.into_iter().for_each(|node| sched.cluster.grow(node));
        sched
    }

    fn restore_shares(&mut self, from: &Snapshot) {
        // Owners come in the order in which they became known, so that every index is as it was.
        for (owner, _, _) in &from.owners {
            self.shares.owner(*owner, 1);
        }
        for project in &from.projects {
            self.shares.set_project(project.id, project.owner, project.weight);
        }
        for leaf in &from.leaves {
            self.shares.leaf(leaf.project, leaf.user);
        }
        for (owner, (_, meter, unpromised)) in self.shares.owners.iter_mut().zip(&from.owners) {
            (owner.meter, owner.unpromised) = (*meter, *unpromised);
        }
        for (owner, look) in self.shares.owners.iter_mut().zip(&from.looks) {
            owner.look = *look;
        }
        for (owner, count) in self.shares.owners.iter_mut().zip(&from.by_standing) {
            owner.by_standing = *count;
        }
        for (owner, lined) in self.shares.owners.iter_mut().zip(&from.lined) {
            owner.lined = *lined;
        }
        self.by_standing = from.all_by_standing;
        for (project, saved) in self.shares.projects.iter_mut().zip(&from.projects) {
            (project.meter, project.budget) = (saved.meter, saved.budget);
        }
        for (leaf, saved) in self.shares.leaves.iter_mut().zip(&from.leaves) {
            (leaf.meter, leaf.lined) = (saved.meter, saved.lined);
        }
    }

    fn restore_work(&mut self, from: Snapshot) {
        let mut shapes = Vec::new();
        for (request, memo) in from.shapes {
            let mut shape = Shape::new(request.clone(), &self.estate);
            match_shape(&mut shape, &self.cluster);
            shape.memo = memo;
            let index = self.queue.restore_shape(request.clone(), shape);
            if memo.is_some() {
                self.queue.noted.insert(index);
            }
            shapes.push((index, request));
        }
        self.queue.swept = from.swept;
        for job in from.jobs {
            let leaf = &self.shares.leaves[job.leaf];
            let (shape, request) = &shapes[job.shape];
            let ask = Ask {
                run: job.run,
                project: self.shares.projects[leaf.project].id,
                user: leaf.user,
                request: request.clone(),
                limit: job.limit,
                limit_min: job.limit_min,
                deadline: job.deadline,
                qos: job.qos,
                nice: job.nice,
                since: job.since,
                checkpoint: job.every,
                expected: job.expected,
            };
            let length = self.length(&ask);
            if job.behind {
                self.queue.push_behind(&ask, job.leaf, *shape, length);
            } else {
                self.queue.push(&ask, job.leaf, *shape, length);
            }
            self.shares.wait(job.leaf, true);
        }
        self.queue.fresh.clear();
        for run in from.runs {
            self.cluster.take(run.run, run.until, &run.on);
            let SavedRun { run, on, until, leaf, rate, own, life, request, expected } = run;
            let request = request.map(Box::new);
            self.resizable.extend(request.iter().filter(|request| request.resizes()).map(|_| run));
            let gpus = u64::from(on.gpus().milli());
            let spared = Time::default();
            self.runs.insert(run, Run { on, until, leaf, gpus, rate, own, life, spared, request, expected });
        }
        for pledge in from.pledges {
            let form = self.queue.form(&self.queue.jobs[&pledge.promise.job]);
            self.promises.insert(pledge, form);
        }
        from.kept.into_iter().chain(from.moves).for_each(|place| self.promises.keep(place));
        self.promises.turn = from.turn;
        self.poorer = (0..self.shares.projects.len()).collect();
        self.taken = from.taken.into_iter().collect();
        self.rest = from.rest.into_iter().collect();
        self.put_off = from.put_off.into_iter().collect();
        self.given_up = from.given_up.into_iter().map(|(owner, user, until)| ((owner, user), until)).collect();
        self.cluster.habits = Habits::restore(from.seen);
        self.recount();
        (self.now, self.unfinished) = (from.now, from.unfinished);
        let spared = self.runs.iter().map(|(id, run)| self.run_spared_until(self.now, *id, &run.life));
        let spared: Vec<Time> = spared.collect();
        self.runs.values_mut().zip(spared).for_each(|(run, until)| run.spared = until);
    }
}
