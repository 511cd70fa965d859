//! Defragmentation: the plan that moving runs would make, and carrying one out.
//!
//! A plan is of the moment in which it was made. When it comes to be carried out it is held against what is true then,
//! and refused whole, naming the first move that no longer holds. What was told before in the same step counts; what comes
//! of all of it is decided by the cycle at the end of the step, as ever.
use crate::effect::Reply;
use crate::input::{MoveGroup, MoveOrder};
use crate::refusal::{Code, Refusal};
use crate::state::Centre;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use madang_model::{JobId, JobState, NodeId, RunId, StopCause, Time};
use madang_sched::defrag::{Bounds, Plan};
use madang_sched::{Ask, Clearing, Move, Stale, Unmovable};

/// Most moves in one plan.
pub const MOVES_MOST: usize = 1_000;

impl Centre {
    /// The moves that would gain more than they cost now; nothing before the centre is founded.
    pub fn defrag(&self, now: Time, bounds: &Bounds) -> Option<Plan> {
        Some(self.sched.as_ref()?.defrag(now, bounds, &|job| self.ask_again(job)))
    }

    /// The input that carries out a plan.
    pub fn move_groups(&self, plan: &Plan) -> Vec<MoveGroup> {
        let name = |node: &NodeId| self.base().nodes[node.index()].name.clone();
        let order = |each: &Move| MoveOrder { run: each.run, to: each.to.iter().map(name).collect() };
        let group = |one: Clearing| MoveGroup { room_for: one.room_for, moves: one.moves.iter().map(order).collect() };
        plan.clearings().into_iter().map(group).collect()
    }

    /// What a running job would ask for, were it stopped now and queued again; nothing if it would not be.
    fn ask_again(&self, id: JobId) -> Option<Ask> {
        let job = self.jobs.get(&id)?;
        let comes_back = matches!(job.state, JobState::Running { .. }) && job.spec.requeue && !job.held;
        comes_back.then(|| self.ask_of(job, job.submitted))
    }

    /// Carries out a plan, or refuses it whole.
    pub(crate) fn move_runs(&mut self, groups: &[MoveGroup]) -> Result<Reply, Refusal> {
        let count: usize = groups.iter().map(|group| group.moves.len()).sum();
        if count == 0 || count > MOVES_MOST {
            let fact = format!("asks for {count} moves, 1 to {MOVES_MOST} can be made at once");
            return Err(Refusal::new(Code::Invalid, fact));
        }
        let plan = groups.iter().map(|group| self.clearing(group)).collect::<Result<Vec<Clearing>, Refusal>>()?;
        self.tell_scheduler();
        let Some(mut sched) = self.sched.take() else {
            return Err(Refusal::new(Code::WrongTime, "the centre is not founded yet"));
        };
        let told = sched.relocate(&plan, &|job| self.ask_again(job));
        let grace = sched.config().taking.grace;
        self.sched = Some(sched);
        let told = told.map_err(|stale| self.stale(stale, &plan))?;
        told.iter().for_each(|run| self.stop_run(run.job, StopCause::Moved { grace }));
        Ok(Reply::Jobs(told.len() as u32))
    }

    fn clearing(&self, group: &MoveGroup) -> Result<Clearing, Refusal> {
        let mut moves = Vec::new();
        for each in &group.moves {
            let mut to = each.to.iter().map(|name| self.node_named(name)).collect::<Result<Vec<NodeId>, Refusal>>()?;
            to.sort_unstable();
            moves.push(Move { run: each.run, to });
        }
        Ok(Clearing { room_for: group.room_for, moves })
    }

    /// The first thing that no longer holds, in names.
    fn stale(&self, stale: Stale, plan: &[Clearing]) -> Refusal {
        let fact = match stale {
            Stale::Run(run, why) => self.unmovable(run, why),
            Stale::Place(run) => {
                let moves = plan.iter().flat_map(|clearing| &clearing.moves);
                let to = moves.filter(|each| each.run == run).flat_map(|each| &each.to);
                let names: Vec<&str> = to.map(|node| self.base().nodes[node.index()].name.as_str()).collect();
                format!("{run} cannot be moved to {}: its job could not start there now", names.join(", "))
            }
            Stale::Room(job) => format!("{job} would start no sooner by these moves"),
        };
        Refusal::new(Code::WrongState, fact).hint("nothing was moved; ask for a new plan")
    }

    fn unmovable(&self, run: RunId, why: Unmovable) -> String {
        let minutes = |until: Time| until.since(self.now).secs().div_ceil(60);
        let why = match why {
            Unmovable::Gone => "does not run any more".to_string(),
            Unmovable::Leaving => "was told to stop already".to_string(),
            Unmovable::Ending => "ends by its limit before it could be moved".to_string(),
            Unmovable::Settling(until) => {
                format!("has just started and is left alone for another {} min", minutes(until))
            }
            Unmovable::Spared(Time::MAX) => "is never moved: the policy disturbs no job".to_string(),
            Unmovable::Spared(until) => {
                format!("was disturbed of late and is left alone for another {} min", minutes(until))
            }
            Unmovable::NotRequeued => "is of a job that would not start again by itself".to_string(),
            Unmovable::Budget => "is of a project that could not pay for its new start".to_string(),
        };
        format!("{run} {why}")
    }
}
