//! What moving runs would gain: a costed plan that makes room for waiting jobs and whole nodes out of strewn idle GPUs.
//!
//! Intuition: the plan is made on a copy of the scheduler by the very code that carries it out (`moving`), so what it
//! says holds for as long as nothing changes. First come the promised jobs that would start much later: the search of
//! taking back finds the runs whose leaving makes the cheapest room, and each of these must find another place. Then
//! nodes that are partly used are emptied onto other partly used nodes, the best gain for its cost first.
//!
//! Cost: what a run holds times the work that is lost since its last checkpoint, without a cap, and the time from being
//! told to stop until it is gone, in which its next place lies idle. Gain: for a job, its GPUs times the time it starts
//! sooner, at most its limit; for nodes, their GPUs times the time that they are whole before their runs would have left
//! them by their limits. From both is taken what the nodes that runs move to are whole later: there a run may last to its
//! limit again. Nothing is counted beyond the horizon. Docs: `docs/design/0007-defragmentation.md`.
//!
//! Invariants: nothing is changed; integers only; a group of moves gains more than it costs; work is bounded by counts.
use crate::api::{Ask, Event, Step};
use crate::kept::nodes_of;
use crate::moving::{Clearing, Move, Unmovable, keeps_size};
use crate::place;
use crate::prey::{Found, Prey};
use crate::promise::{GRACE, gone};
use crate::scheduler::{Run, Scheduler};
use crate::shape::Shape;
use crate::stranded::Stranded;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use madang_model::policy::VictimOrder;
use madang_model::{Allocation, GpuTime, JobId, NodeId, RunId, SiteId, Span, Time};

/// Most waiting jobs for which room is looked for.
const TARGETS: usize = 32;
/// Most times that room for one job is looked for again because a run that would leave finds no other place.
const ROUNDS: usize = 8;
/// Most nodes that are tried to be emptied.
const NODES: usize = 2048;

/// What a plan may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Of this site alone.
    pub site: Option<SiteId>,
    /// No gain is counted beyond this.
    pub horizon: Span,
    /// Most moves.
    pub most: usize,
}

/// A costed plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Groups of moves, in the order in which they are to be carried out.
    pub groups: Vec<Group>,
    /// What is idle now, by island.
    pub before: Vec<Stranded>,
    /// What would be idle once all that moves is in its new place, and nothing else has started.
    pub after: Vec<Stranded>,
    /// Waiting jobs that would start then, and that would not without the plan; found by the scheduler itself.
    pub starts: Vec<JobId>,
    /// What was left alone, and why.
    pub left: Left,
}

/// Moves that belong together, with what they cost and gain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The waiting job that is promised the room; `None` where whole nodes become free.
    pub room_for: Option<JobId>,
    /// The moves.
    pub moves: Vec<Moved>,
    /// Nodes that become whole.
    pub emptied: Vec<NodeId>,
    /// GPU time gained, by the formula above.
    pub gained: GpuTime,
}

/// A run with its place and the next one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The run.
    pub run: RunId,
    /// What it holds.
    pub from: Allocation,
    /// Where it goes on; devices are chosen again when it gets there.
    pub to: Allocation,
    /// GPU time that moving it costs.
    pub lost: GpuTime,
}

/// Runs that are left alone, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Their jobs would not start again by themselves, or have not begun yet.
    pub not_requeued: u32,
    /// In their first minutes, disturbed too often, or losing too much of late.
    pub spared: u32,
    /// Leaving, or ending within minutes.
    pub going: u32,
    /// Their projects could not pay for a new start.
    pub budget: u32,
    /// Groups for which some run finds no other place.
    pub nowhere: u32,
    /// Groups that would cost as much as they gain, or more.
    pub dear: u32,
    /// Groups beyond the most moves that were asked for.
    pub beyond: u32,
}

impl Plan {
    /// What is to be carried out.
    pub fn clearings(&self) -> Vec<Clearing> {
        self.groups.iter().map(Group::clearing).collect()
    }
}

impl Group {
    /// GPU time that it costs.
    pub fn lost(&self) -> GpuTime {
        self.moves.iter().map(|each| each.lost).sum()
    }

    /// What is to be carried out.
    pub fn clearing(&self) -> Clearing {
        let moves = self.moves.iter().map(|each| Move { run: each.run, to: nodes_of(&each.to) });
        Clearing { room_for: self.room_for, moves: moves.collect() }
    }
}

/// A run that may be moved: what its job would ask for, and what moving it costs in micro-GPU-seconds.
struct Candidate {
    ask: Ask,
    cost: u128,
}

/// A plan under way.
struct Planner<'a> {
    draft: Scheduler,
    bounds: Bounds,
    asks: &'a dyn Fn(JobId) -> Option<Ask>,
    candidates: BTreeMap<RunId, Candidate>,
    groups: Vec<Group>,
    left: Left,
    /// Nodes of the draft that are to stay as they are: nothing is moved there.
    closed: BTreeSet<NodeId>,
}

impl Scheduler {
    /// The moves that gain more than they cost. `asks` says what a run's job would ask for when it is queued again;
    /// nothing for one that would not be, or that has not begun.
    pub fn defrag(&self, now: Time, bounds: &Bounds, asks: &dyn Fn(JobId) -> Option<Ask>) -> Plan {
        let mut draft = self.clone();
        draft.tell(now.max(self.now), Vec::new());
        draft.config.taking.order = VictimOrder::LeastLost;
        let mut planner = Planner {
            draft,
            bounds: *bounds,
            asks,
            candidates: BTreeMap::new(),
            groups: Vec::new(),
            left: Left::default(),
            closed: BTreeSet::new(),
        };
        planner.find_candidates();
        planner.make_room();
        planner.empty_nodes();
        let moved = planner.moved();
        let after = moved.fragmentation();
        let starts = planner.starts(self, moved);
        let Planner { groups, left, .. } = planner;
        let of_site = |all: Vec<Stranded>| -> Vec<Stranded> {
            all.into_iter().filter(|island| bounds.site.is_none_or(|site| site == island.site)).collect()
        };
        let (before, after) = (of_site(self.fragmentation()), of_site(after));
        Plan { groups, before, after, starts, left }
    }
}

impl Planner<'_> {
    fn in_scope(&self, on: &Allocation) -> bool {
        let site = self.draft.cluster.site_of(on);
        self.bounds.site.is_none_or(|wanted| site == Some(wanted))
    }

    /// The runs that may be moved as far as they go themselves.
    fn find_candidates(&mut self) {
        let mut found = BTreeMap::new();
        for (id, run) in &self.draft.runs {
            if !self.in_scope(&run.on) {
                continue;
            }
            match self.draft.movable(*id, run) {
                Ok(()) => match (self.asks)(id.job) {
                    Some(ask) if !keeps_size(&ask, run) => self.left.spared += 1,
                    Some(ask) => drop(found.insert(*id, Candidate { ask, cost: self.cost(run) })),
                    None => self.left.not_requeued += 1,
                },
                Err(Unmovable::Settling(_) | Unmovable::Spared(_)) => self.left.spared += 1,
                Err(Unmovable::Budget) => self.left.budget += 1,
                Err(_) => self.left.going += 1,
            }
        }
        self.candidates = found;
    }

    /// What moving a run costs: the work that is lost, and the time in which its next place waits for it.
    fn cost(&self, run: &Run) -> u128 {
        let (now, last) = (self.draft.now, self.draft.now.after(self.draft.config.taking.grace));
        let lost = run.life.lost(now, Span::MAX).max(run.life.lost(last, Span::MAX));
        let waits = self.draft.gone_if_told().since(now);
        u128::from(run.rate) * (u128::from(lost.millis()) + u128::from(waits.millis()))
    }

    /// Moves left of those that were asked for.
    fn spare(&self) -> usize {
        self.bounds.most.saturating_sub(self.groups.iter().map(|group| group.moves.len()).sum())
    }

    // ---- room for promised jobs ----

    /// Room for promised jobs, the best gain for its cost first.
    fn make_room(&mut self) {
        let (start, gain) = (self.draft.gone_if_told(), self.draft.config.taking.gain);
        let waits = self.draft.promises.iter().map(|(_, pledge)| pledge).filter(|pledge| !pledge.taken);
        let waits = waits.filter(|pledge| pledge.promise.start > start.after(gain));
        let mut targets: Vec<_> = waits.map(|pledge| (pledge.rank, pledge.promise.job)).collect();
        targets.sort_unstable();
        targets.truncate(TARGETS);
        let mut worth: Vec<(u128, u128, JobId)> = Vec::new();
        for (_, job) in targets {
            if let Some((runs, _)) = self.cheapest_room(job, &BTreeSet::new()) {
                worth.push((self.gain_of(job), self.cost_of(&runs), job));
            }
        }
        sort_by_worth(&mut worth, |one| (one.0, one.1), |one| one.2);
        for (gain, _, job) in worth {
            self.make_room_for(job, gain);
        }
    }

    /// What a promised job gains by starting as soon as room could be made.
    fn gain_of(&self, job: JobId) -> u128 {
        let Some(pledge) = self.draft.promises.get(job) else { return 0 };
        let sooner = pledge.promise.start.since(self.draft.gone_if_told());
        let counted = sooner.min(pledge.limit).min(self.bounds.horizon);
        u128::from(pledge.promise.on.gpus().milli()) * u128::from(counted.millis())
    }

    fn cost_of(&self, runs: &[RunId]) -> u128 {
        runs.iter().map(|run| self.candidates[run].cost).sum()
    }

    /// Who would leave for the job, and where it would go, without runs that find no other place.
    fn cheapest_room(&mut self, job: JobId, banned: &BTreeSet<RunId>) -> Option<(Vec<RunId>, Allocation)> {
        let now = self.draft.now;
        if !self.draft.affordable(job) {
            return None;
        }
        let start = self.draft.gone_if_told();
        let mut found = Found { excess: alloc::vec![u64::MAX; self.draft.shares.owners.len()], ..Found::default() };
        for (id, run) in &self.draft.runs {
            let candidate = self.candidates.get(id).filter(|_| run.life.leaving.is_none() && !banned.contains(id));
            if gone(run.until, now) <= start {
                found.going.push(*id);
            } else if let Some(candidate) = candidate {
                let (owner, gpus) = (self.draft.shares.owner_of(run.leaf), u64::from(run.on.gpus().milli()));
                let nodes = run.on.slots.len() as u64;
                found.prey.push(Prey {
                    run: *id,
                    owner,
                    gpus,
                    price: candidate.cost,
                    nodes,
                    part: None,
                    settles: None,
                });
            }
        }
        let room = self.draft.cheapest_room(now, job, found)?;
        (!room.0.is_empty() && self.in_scope(&room.1)).then_some(room)
    }

    fn make_room_for(&mut self, job: JobId, gain: u128) {
        let mut banned = BTreeSet::new();
        for _ in 0..ROUNDS {
            let Some((runs, room)) = self.cheapest_room(job, &banned) else { break };
            if self.cost_of(&runs) >= gain {
                self.left.dear += 1;
                return;
            }
            if runs.len() > self.spare() {
                self.left.beyond += 1;
                return;
            }
            match self.elsewhere(&runs, nodes_of(&room)) {
                Ok(moves) => {
                    self.carry_out(Some(job), moves, gain);
                    return;
                }
                Err(stuck) => drop(banned.insert(stuck)),
            }
        }
        self.left.nowhere += 1;
    }

    // ---- whole nodes ----

    /// Empties partly used nodes onto others, the best gain for its cost first.
    fn empty_nodes(&mut self) {
        let mut worth: Vec<(u128, u128, NodeId)> = Vec::new();
        let pools = self.draft.estate.clone();
        let pools = pools.pools.iter().filter(|pool| pool.total.gpus > 0);
        let pools = pools.filter(|pool| self.bounds.site.is_none_or(|site| site == pool.site));
        for node in pools.flat_map(|pool| &pool.nodes) {
            let state = &self.draft.cluster.nodes[node.index()];
            if state.up && state.holds.is_empty() && !self.is_kept(*node) {
                // What is whole stays whole.
                self.closed.insert(*node);
            } else if state.up
                && let Some(runs) = self.all_on(*node)
            {
                worth.push((self.gain_by(&[*node]), self.cost_of(&runs), *node));
            }
        }
        self.closed.iter().for_each(|node| self.draft.cluster.set_up(*node, false));
        sort_by_worth(&mut worth, |one| (one.0, one.1), |one| one.2);
        worth.truncate(NODES);
        for (_, _, node) in worth {
            self.empty(node);
        }
        self.closed.iter().for_each(|node| self.draft.cluster.set_up(*node, true));
    }

    /// The runs of a node, ascending, if all of them may be moved and nothing is promised there.
    fn all_on(&self, node: NodeId) -> Option<Vec<RunId>> {
        if self.draft.promises.are_on(node) || self.closed.contains(&node) {
            return None;
        }
        let mut runs: Vec<RunId> = self.draft.cluster.nodes[node.index()].holds.iter().map(|hold| hold.run).collect();
        runs.sort_unstable();
        let may = |run: &RunId| {
            self.candidates.contains_key(run) && self.draft.runs.get(run).is_some_and(|run| run.life.leaving.is_none())
        };
        runs.iter().all(may).then_some(runs)
    }

    /// True if a place on the node is kept for a run that moves there.
    fn is_kept(&self, node: NodeId) -> bool {
        self.draft.promises.kept_on(node).next().is_some()
    }

    /// What nodes gain by being whole as soon as their runs have left.
    fn gain_by(&self, nodes: &[NodeId]) -> u128 {
        nodes.iter().map(|node| self.until_whole(*node, Time::default())).sum()
    }

    /// What the nodes of new places lose by being whole later.
    fn loss_by(&self, moves: &[(RunId, Allocation)]) -> u128 {
        let mut ends: BTreeMap<NodeId, Time> = BTreeMap::new();
        for (run, on) in moves {
            let end = self.draft.gone_if_told().after(self.candidates[run].ask.limit).after(GRACE);
            for slot in &on.slots {
                let last = ends.entry(slot.node).or_insert(end);
                *last = end.max(*last);
            }
        }
        let loss =
            |(node, end): (&NodeId, &Time)| self.until_whole(*node, *end) - self.until_whole(*node, Time::default());
        ends.iter().map(loss).sum()
    }

    /// A node's GPUs times the time until it is whole by its runs' limits, or by this moment if that is later.
    fn until_whole(&self, node: NodeId, end: Time) -> u128 {
        let holds = self.draft.cluster.nodes[node.index()].holds.iter();
        let kept = self.draft.promises.kept_on(node).map(|place| place.end);
        let last = holds.map(|hold| gone(hold.until, self.draft.now)).chain(kept).max().unwrap_or_default().max(end);
        let counted = last.since(self.draft.gone_if_told()).min(self.bounds.horizon);
        u128::from(self.draft.estate.total(node).gpus) * 1000 * u128::from(counted.millis())
    }

    fn empty(&mut self, node: NodeId) {
        let Some(runs) = self.all_on(node) else { return };
        let emptied = self.emptied_by(&runs);
        let gain = self.gain_by(&emptied);
        if self.cost_of(&runs) >= gain {
            self.left.dear += 1;
            return;
        }
        if runs.len() > self.spare() {
            self.left.beyond += 1;
            return;
        }
        match self.elsewhere(&runs, emptied.clone()) {
            Ok(moves) => {
                if self.carry_out(None, moves, gain) {
                    emptied.iter().for_each(|node| self.draft.cluster.set_up(*node, false));
                    self.closed.extend(emptied);
                }
            }
            Err(_) => self.left.nowhere += 1,
        }
    }

    /// The nodes on which there is nothing but these runs.
    fn emptied_by(&self, runs: &[RunId]) -> Vec<NodeId> {
        let slots = runs.iter().flat_map(|run| &self.draft.runs[run].on.slots);
        let nodes: BTreeSet<NodeId> = slots.map(|slot| slot.node).collect();
        let alone = |node: &NodeId| {
            let state = &self.draft.cluster.nodes[node.index()];
            let gpus = self.draft.estate.total(*node).gpus;
            gpus > 0 && state.up && state.holds.iter().all(|hold| runs.contains(&hold.run)) && !self.is_kept(*node)
        };
        nodes.into_iter().filter(alone).collect()
    }

    // ---- both ----

    /// Where these runs could go on, each beside all others, off these nodes; or the first that could nowhere.
    fn elsewhere(&mut self, runs: &[RunId], off: Vec<NodeId>) -> Result<Vec<(RunId, Allocation)>, RunId> {
        let shut: Vec<NodeId> = off.into_iter().filter(|node| self.draft.cluster.nodes[node.index()].up).collect();
        shut.iter().for_each(|node| self.draft.cluster.set_up(*node, false));
        let mut order = runs.to_vec();
        order.sort_by_key(|run| (core::cmp::Reverse(self.draft.runs[run].rate), *run));
        let mut moves = Vec::new();
        let mut stuck = None;
        for run in order {
            let ask = &self.candidates[&run].ask;
            let request = self.draft.at_its_site(&ask.request, &self.draft.runs[&run].on);
            let (limit, shape) = (ask.limit, Shape::new(request, &self.draft.estate));
            match self.draft.keep_anywhere(run, &shape, limit) {
                Some(on) => moves.push((run, on)),
                None => {
                    stuck = Some(run);
                    break;
                }
            }
        }
        moves.iter().for_each(|(run, _)| drop(self.draft.let_go(run.job)));
        shut.iter().for_each(|node| self.draft.cluster.set_up(*node, true));
        stuck.map_or(Ok(moves), Err)
    }

    /// Moves the runs on the draft by the code that will, and notes the group; false if it does not pay after all.
    fn carry_out(&mut self, room_for: Option<JobId>, moves: Vec<(RunId, Allocation)>, gain: u128) -> bool {
        let runs: Vec<RunId> = moves.iter().map(|(run, _)| *run).collect();
        let gain = gain.saturating_sub(self.loss_by(&moves));
        if gain <= self.cost_of(&runs) {
            self.left.dear += 1;
            return false;
        }
        // A node that one of them leaves may be where another goes.
        let taken: BTreeSet<NodeId> = moves.iter().flat_map(|(_, to)| nodes_of(to)).collect();
        let moved = moves.into_iter().map(|(run, to)| Moved {
            run,
            from: self.draft.runs[&run].on.clone(),
            to,
            lost: gpu_time(self.candidates[&run].cost),
        });
        let emptied = self.emptied_by(&runs).into_iter().filter(|node| !taken.contains(node)).collect();
        let group = Group { room_for, moves: moved.collect(), emptied, gained: gpu_time(gain) };
        let done = self.draft.clear(&group.clearing(), self.asks).is_ok();
        if done {
            self.groups.push(group);
        } else {
            self.left.nowhere += 1;
        }
        done
    }

    /// The draft with all that moves in its new place, held by nobody: who moves there is no waiting job.
    fn moved(&self) -> Scheduler {
        let (mut sched, mut step) = (self.draft.clone(), Step::default());
        let moves = || self.groups.iter().flat_map(|group| &group.moves);
        moves().for_each(|each| sched.apply(sched.now, Event::Ended(each.run), &mut step));
        for each in moves() {
            sched.let_go(each.run.job);
            let ask = &self.candidates[&each.run].ask;
            let shape = sched.shape_on(&ask.request, &nodes_of(&each.to));
            if let Ok(on) = place::now(&shape, &sched.begun_now(sched.now, ask.limit)) {
                sched.cluster.take(ask.run, sched.gone_if_told().after(ask.limit), &on);
            }
        }
        sched
    }

    /// Waiting jobs that the scheduler starts when the moves are over, and would not start then without them. What
    /// would be taken back in the meantime is not looked at.
    fn starts(&self, before: &Scheduler, moved: Scheduler) -> Vec<JobId> {
        if self.groups.is_empty() {
            return Vec::new();
        }
        let started = |mut sched: Scheduler| -> BTreeSet<JobId> {
            sched.config.taking.jobs = 0;
            let step = sched.step(self.draft.gone_if_told(), Vec::new());
            step.starts.iter().map(|start| start.run.job).collect()
        };
        started(moved).difference(&started(before.clone())).copied().collect()
    }
}

/// The best gain for its cost first.
fn sort_by_worth<T, K: Ord>(list: &mut [T], worth: impl Fn(&T) -> (u128, u128), id: impl Fn(&T) -> K) {
    list.sort_by(|one, other| {
        let ((gain, cost), (gain_of_other, cost_of_other)) = (worth(one), worth(other));
        let (ours, theirs) = (gain.saturating_mul(cost_of_other), gain_of_other.saturating_mul(cost));
        theirs.cmp(&ours).then_with(|| id(one).cmp(&id(other)))
    });
}

fn gpu_time(micro: u128) -> GpuTime {
    GpuTime::from_micro_secs(i64::try_from(micro).unwrap_or(i64::MAX))
}
