//! Spare nodes of an island: kept idle, so that a gang that loses a node starts again at once with one of them.
//!
//! To the scheduler a spare is a node that takes no work. When a node is lost on which a gang runs, a spare like it takes
//! its place: the scheduler keeps that, with the gang's other nodes, for the gang's next run. A node that comes back to
//! an island that is short of spares, and holds nothing, is a spare from then on.
//!
//! Invariants: a spare is up and holds nothing; an island has no more of them than its centre file says.
use crate::effect::Notice;
use crate::state::Centre;
use alloc::borrow::Cow;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use madang_model::{Founding, Health, IslandId, JobState, NodeId, Request};
use madang_sched::Event;

impl Centre {
    /// An island's last nodes are its first spares.
    pub(crate) fn set_spares_aside(&mut self) {
        self.index.first_spares.clone().into_iter().for_each(|node| self.set_aside(node));
    }

    /// A request as what it can count on: the last nodes of islands with spares are not for it, unless it names them.
    pub(crate) fn without_spares<'a>(&self, request: &'a Request) -> Cow<'a, Request> {
        let all = &self.index.first_spares;
        if all.is_empty() {
            return Cow::Borrowed(request);
        }
        let mut exclude: BTreeSet<NodeId> =
            all.iter().filter(|node| !request.include.contains(node)).copied().collect();
        exclude.extend(&request.exclude);
        Cow::Owned(Request { exclude: exclude.into_iter().collect(), ..request.clone() })
    }

    /// An operator gives a spare to work.
    pub(crate) fn spend_spare(&mut self, node: NodeId) {
        self.spares.remove(&node);
        self.tell_node(node);
    }

    fn set_aside(&mut self, node: NodeId) {
        self.spares.insert(node);
        self.tell_node(node);
    }

    fn island_of(&self, node: NodeId) -> IslandId {
        self.base().nodes[node.index()].island
    }

    fn spares_in(&self, island: IslandId) -> impl Iterator<Item = NodeId> {
        self.spares.iter().copied().filter(move |node| self.island_of(*node) == island)
    }

    /// A node takes work again: as a spare, if its island is short of them and nothing is held of it.
    pub(crate) fn take_up(&mut self, node: NodeId) {
        let island = self.island_of(node);
        let most = self.base().policy.nodes.spares.get(&island).copied().unwrap_or(0);
        let is_short = self.spares_in(island).count() < most as usize;
        if is_short && self.index.jobs_on(node).is_empty() && !self.spares.contains(&node) {
            self.set_aside(node);
        }
    }

    /// A node is lost: a spare like it takes its place for the gangs on it.
    pub(crate) fn relieve(&mut self, lost: NodeId) {
        let is_gang = |id: &madang_model::JobId| match &self.jobs[id].state {
            JobState::Starting { on, .. } | JobState::Running { on, .. } => on.slots.len() > 1,
            _ => false,
        };
        let is_lost = self.lost(self.base().nodes[lost.index()].site).is_some();
        if self.spares.is_empty() || is_lost || !self.index.jobs_on(lost).iter().any(is_gang) {
            return;
        }
        let of = |id: NodeId| {
            let node = &self.base().nodes[id.index()];
            (&node.device, node.gpus, node.cpus, node.memory_mib, &node.features)
        };
        let island = self.island_of(lost);
        let serves = |spare: &NodeId| !self.index.closed.contains_key(spare) && of(*spare) == of(lost);
        let Some(by) = self.spares_in(island).find(serves) else { return };
        self.spares.remove(&by);
        self.notice(Notice::Node(by));
        self.events.push(Event::Relieved { lost, by });
    }

    /// Whether a node is kept idle for gangs that lose one.
    pub fn is_spare(&self, node: NodeId) -> bool {
        self.spares.contains(&node)
    }

    /// What does not hold of spares.
    pub(crate) fn audit_spares(&self, wrong: &mut Vec<String>) {
        for node in &self.spares {
            let name = &self.base().nodes[node.index()].name;
            if self.health[node.index()] != Health::Up || !self.index.jobs_on(*node).is_empty() {
                wrong.push(format!("{name} is a spare, but is not up or holds something"));
            }
        }
        for (island, most) in self.founding.iter().flat_map(|base| &base.policy.nodes.spares) {
            if self.spares_in(*island).count() > *most as usize {
                wrong.push(format!("{island} has more than {most} spares"));
            }
        }
    }
}

/// The last nodes of each island that has spares.
pub(crate) fn first(base: &Founding) -> BTreeSet<NodeId> {
    let mut chosen: BTreeSet<NodeId> = BTreeSet::new();
    for (island, count) in &base.policy.nodes.spares {
        let nodes = base.nodes.iter().rev().filter(|node| node.island == *island);
        chosen.extend(nodes.take(*count as usize).map(|node| node.id));
    }
    chosen
}
