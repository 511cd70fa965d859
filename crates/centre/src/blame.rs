//! Nodes that kill jobs: what is held against each, and the rule that drains one.
//!
//! A fault is a run that a node lost, or that an engine could not start. It is held against the node that was lost; where
//! none was, against every node of the run, and then only until other work comes to a good end there. A job is evidence
//! against a node only if each of its faults has that node in it: what fails elsewhere too is the job's own doing, and no
//! user's mistake drains a node. What happened at one moment is one incident, however many jobs it took along.
//!
//! Invariants: no more nodes of an island are drained by rule than the policy lets, and never all; what an operator
//! resumes starts with a clean sheet; at most [`FAULTS`] are remembered, none for longer than the policy's window.
use crate::state::Centre;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use madang_model::policy::NodeRules;
use madang_model::{Allocation, Health, JobId, JobState, NodeId, Outcome, RunId, Time, UserId};
use serde::{Deserialize, Serialize};

/// Most faults that are remembered.
const FAULTS: usize = 1024;

/// How a run failed for which a node may be to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// Its node was lost.
    Lost,
    /// Its engine could not start it.
    Launch,
}

/// A run that failed, and the nodes that may be to blame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// When.
    pub at: Time,
    /// Which run.
    pub run: RunId,
    /// Whose.
    pub user: UserId,
    /// How.
    pub how: How,
    /// One of these, ascending.
    pub on: Vec<NodeId>,
}

/// What is held against nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Blame {
    /// By age.
    faults: VecDeque<Fault>,
    /// Nodes that the rule drained, why in words, and for which faults.
    drained: BTreeMap<NodeId, (String, Vec<Fault>)>,
    /// What an operator said of a drained node that was lost meanwhile.
    left_drained: BTreeMap<NodeId, String>,
}

/// What counts against one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Tally {
    times: BTreeSet<Time>,
    users: BTreeSet<UserId>,
}

impl Tally {
    fn add(&mut self, fault: &Fault) {
        self.times.insert(fault.at);
        self.users.insert(fault.user);
    }

    fn is_enough(&self, rules: &NodeRules) -> bool {
        self.times.len() >= rules.times as usize && self.users.len() >= rules.users as usize
    }
}

/// What counts against a node: where it alone can be to blame, and in all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Sheet {
    alone: Tally,
    all: Tally,
}

impl Blame {
    fn forget_before(&mut self, then: Time) {
        while self.faults.front().is_some_and(|fault| fault.at < then) || self.faults.len() > FAULTS {
            self.faults.pop_front();
        }
    }

    /// By job: the nodes that all its faults have in common.
    fn common(&self) -> BTreeMap<JobId, Vec<NodeId>> {
        let mut common: BTreeMap<JobId, Vec<NodeId>> = BTreeMap::new();
        for fault in &self.faults {
            let nodes = common.entry(fault.run.job).or_insert_with(|| fault.on.clone());
            nodes.retain(|node| fault.on.binary_search(node).is_ok());
        }
        common
    }

    /// What counts against each node.
    fn sheets(&self, common: &BTreeMap<JobId, Vec<NodeId>>) -> BTreeMap<NodeId, Sheet> {
        let mut sheets: BTreeMap<NodeId, Sheet> = BTreeMap::new();
        for fault in &self.faults {
            let nodes = &common[&fault.run.job];
            for node in nodes {
                let sheet = sheets.entry(*node).or_default();
                sheet.all.add(fault);
                if nodes.len() == 1 {
                    sheet.alone.add(fault);
                }
            }
        }
        sheets
    }

    /// The nodes, of these, that the rule drains, the worst first.
    fn guilty(&self, among: &[NodeId], rules: &NodeRules) -> Vec<NodeId> {
        let common = self.common();
        let sheets = self.sheets(&common);
        let weight =
            |node: &NodeId| sheets.get(node).map_or((0, 0), |sheet| (sheet.alone.times.len(), sheet.all.times.len()));
        let stands_out = |node: &NodeId| {
            let suspects = common.values().filter(|nodes| nodes.binary_search(node).is_ok()).flatten();
            suspects.filter(|other| *other != node).all(|other| weight(other).1 < weight(node).1)
        };
        let is_guilty = |node: &&NodeId| {
            let Some(sheet) = sheets.get(node) else { return false };
            sheet.alone.is_enough(rules) || (sheet.all.is_enough(rules) && stands_out(node))
        };
        let mut guilty: Vec<NodeId> = among.iter().filter(is_guilty).copied().collect();
        guilty.sort_by_key(|node| (core::cmp::Reverse(weight(node)), *node));
        guilty
    }

    /// What counts against a node.
    fn against(&self, node: NodeId) -> Vec<Fault> {
        let common = self.common();
        let counts = |fault: &&Fault| common[&fault.run.job].binary_search(&node).is_ok();
        self.faults.iter().filter(counts).cloned().collect()
    }

    /// Work came to a good end there: what the node was only suspected of along with others is held against the others.
    fn clear(&mut self, on: &Allocation) {
        for fault in self.faults.iter_mut().filter(|fault| fault.on.len() > 1) {
            fault.on.retain(|node| on.slots.iter().all(|slot| slot.node != *node));
        }
        self.faults.retain(|fault| !fault.on.is_empty());
    }

    /// Nothing is held against a node any more.
    pub fn pardon(&mut self, node: NodeId) {
        self.drained.remove(&node);
        self.left_drained.remove(&node);
        self.faults.iter_mut().for_each(|fault| fault.on.retain(|other| *other != node));
        self.faults.retain(|fault| !fault.on.is_empty());
    }
}

impl Centre {
    fn node_rules(&self) -> &NodeRules {
        &self.base().policy.nodes
    }

    /// A run has ended by its engine's word: held against its nodes if the engine is at fault, and for them if it is not.
    pub(crate) fn hold_to_account(&mut self, run: RunId, outcome: Outcome) {
        if self.node_rules().times == 0 {
            return;
        }
        let Some((_, on)) = self.jobs.get(&run.job).and_then(|job| job.state.holding()) else { return };
        let how = match outcome {
            Outcome::NodeFailed => How::Lost,
            Outcome::LaunchFailed => How::Launch,
            Outcome::Completed | Outcome::TimedOut | Outcome::Preempted => return self.blame.clear(on),
            _ => return,
        };
        let mut nodes: Vec<NodeId> = on.slots.iter().map(|slot| slot.node).collect();
        nodes.sort_unstable();
        nodes.dedup();
        self.hold_against(&nodes, &[run], how);
    }

    /// A node was lost with these runs on it.
    pub(crate) fn hold_loss_against(&mut self, node: NodeId) {
        if self.node_rules().times == 0 {
            return;
        }
        let running = |id: &JobId| match &self.jobs[id].state {
            JobState::Starting { run, .. } | JobState::Running { run, .. } => Some(*run),
            _ => None,
        };
        let runs: Vec<RunId> = self.index.jobs_on(node).iter().filter_map(running).collect();
        self.hold_against(&[node], &runs, How::Lost);
    }

    fn hold_against(&mut self, nodes: &[NodeId], runs: &[RunId], how: How) {
        // What is lost with a whole site says nothing of one of its nodes.
        if nodes.iter().any(|node| self.lost(self.base().nodes[node.index()].site).is_some()) {
            return;
        }
        let (at, rules) = (self.now, self.node_rules().clone());
        for run in runs {
            // What a lost node took along is known from then on.
            if self.blame.faults.iter().any(|fault| fault.run == *run) {
                continue;
            }
            let user = self.jobs[&run.job].spec.user;
            self.blame.faults.push_back(Fault { at, run: *run, user, how, on: nodes.to_vec() });
        }
        self.blame.forget_before(at.before(rules.window));
        for node in self.blame.guilty(nodes, &rules) {
            let why = self.verdict_on(node);
            self.drain_by_rule(node, why);
        }
    }

    /// Drains a node, unless it is or its island has had its part.
    pub(crate) fn drain_by_rule(&mut self, node: NodeId, why: String) {
        let is_drained = matches!(self.health[node.index()], Health::Drain { .. });
        if is_drained || self.blame.drained.contains_key(&node) || !self.may_drain(node) {
            return;
        }
        self.blame.drained.insert(node, (why.clone(), self.blame.against(node)));
        if self.health[node.index()] == Health::Up {
            self.set_health(node, Health::Drain { why });
        }
    }

    /// Whether another node of its island may be drained by rule.
    fn may_drain(&self, node: NodeId) -> bool {
        let island = |id: NodeId| self.base().nodes[id.index()].island;
        let here = self.base().nodes.iter().filter(|other| other.island == island(node)).count() as u64;
        let most = (here * u64::from(self.node_rules().most)).div_ceil(100).min(here.saturating_sub(1));
        let drained = self.blame.drained.keys().filter(|other| island(**other) == island(node)).count() as u64;
        drained < most
    }

    /// What is held against a node, in words.
    fn verdict_on(&self, node: NodeId) -> String {
        let faults = self.blame.against(node);
        let mut tally = Tally::default();
        faults.iter().for_each(|fault| tally.add(fault));
        let last = faults.last().map_or_else(String::new, |fault| format!(", last {}", fault.run));
        let (times, users, window) = (tally.times.len(), tally.users.len(), self.node_rules().window);
        format!("by rule: killed runs of {users} users {times} times within {window}{last}")
    }

    /// A node is lost: what its operator said of it is kept for its return.
    pub(crate) fn leave_drained(&mut self, node: NodeId) {
        if let Health::Drain { why } = &self.health[node.index()]
            && self.node_rules().lasting
        {
            self.blame.left_drained.insert(node, why.clone());
        }
    }

    /// A node that was lost is back: as what.
    pub(crate) fn returns_as(&mut self, node: NodeId) -> Health {
        let why = self.blame.left_drained.remove(&node).or_else(|| Some(self.blame.drained.get(&node)?.0.clone()));
        why.map_or(Health::Up, |why| Health::Drain { why })
    }

    /// What a node was drained for by rule; `None` where it was not.
    pub fn drained_by_rule(&self, node: NodeId) -> Option<&[Fault]> {
        self.blame.drained.get(&node).map(|(_, faults)| faults.as_slice())
    }

    /// What counts against a node now, by age.
    pub fn faults_of(&self, node: NodeId) -> Vec<Fault> {
        let since =
            self.now.before(self.founding.as_ref().map_or_else(Default::default, |base| base.policy.nodes.window));
        let mut faults = self.blame.against(node);
        faults.retain(|fault| fault.at >= since);
        faults
    }

    /// What does not hold of nodes drained by rule.
    pub(crate) fn audit_blame(&self, wrong: &mut Vec<String>) {
        for node in self.blame.drained.keys() {
            if self.health[node.index()] == Health::Up {
                wrong.push(format!("{} is drained by rule, but takes work", self.base().nodes[node.index()].name));
            }
        }
        for fault in &self.blame.faults {
            if fault.on.is_empty() || !fault.on.is_sorted() {
                wrong.push(format!("nobody is to blame for {}", fault.run));
            }
        }
    }
}
