//! Nodes: drained and resumed by operators, lost and found by engines.
use crate::effect::Reply;
use crate::refusal::{Code, Refusal};
use crate::state::Centre;
use alloc::format;
use alloc::string::String;
use madang_model::{Health, NodeId};

impl Centre {
    pub(crate) fn drain(&mut self, node: &str, why: String) -> Result<Reply, Refusal> {
        let id = self.node_named(node)?;
        crate::submit::check_text("reason", &why, crate::submit::NAME_MOST)?;
        if why.trim().is_empty() {
            return Err(Refusal::new(Code::Invalid, format!("draining {node} needs a reason"))
                .hint("say why, for those who wait for it"));
        }
        if let Health::Down { .. } = self.health[id.index()] {
            return Err(Refusal::new(Code::WrongState, format!("{node} is down already")));
        }
        self.set_health(id, Health::Drain { why });
        Ok(Reply::Done)
    }

    pub(crate) fn resume(&mut self, node: &str) -> Result<Reply, Refusal> {
        let id = self.node_named(node)?;
        if self.is_spare(id) {
            self.spend_spare(id);
            return Ok(Reply::Done);
        }
        let site = &self.base().sites[self.base().nodes[id.index()].site.index()];
        if self.lost(site.id).is_some() && self.health[id.index()] == Health::Up {
            let fact = format!("{node} is of site {}, which is lost", site.name);
            return Err(Refusal::new(Code::WrongState, fact).hint(format!("madang site back {}", site.name)));
        }
        if self.health[id.index()] == Health::Up && self.index.closed.contains_key(&id) {
            let fact = format!("{node} waits for the end of a run that was given up there");
            let hint = format!("once nothing of it is left there: madang node clear {node}");
            return Err(Refusal::new(Code::WrongState, fact).hint(hint));
        }
        if self.health[id.index()] == Health::Up {
            return Err(Refusal::new(Code::WrongState, format!("{node} takes work already")));
        }
        self.blame.pardon(id);
        self.signs.remove(&id);
        self.set_health(id, Health::Up);
        Ok(Reply::Done)
    }

    /// An operator has looked, and answers for it that nothing of what was given up still runs on the node. Never done by
    /// the way: whoever undoes a drain has not looked for that.
    pub(crate) fn clear(&mut self, node: &str) -> Result<Reply, Refusal> {
        let id = self.node_named(node)?;
        if self.unfence_node(id) {
            return Ok(Reply::Done);
        }
        Err(Refusal::new(Code::WrongState, format!("nothing that was given up is thought to be on {node}")))
    }

    pub(crate) fn node_up(&mut self, node: &str) {
        match self.node_named(node) {
            Ok(id) if matches!(self.health[id.index()], Health::Down { .. }) => {
                let health = self.returns_as(id);
                self.set_health(id, health);
            }
            Ok(_) => {}
            Err(refusal) => self.anomaly(format!("a node came back that is not known: {refusal}")),
        }
    }

    /// What runs there is lost and told to stop wherever it can still be reached.
    pub(crate) fn node_down(&mut self, node: &str, why: String) {
        match self.node_named(node) {
            Ok(id) => {
                self.leave_drained(id);
                self.fleet_stop(id);
                self.hold_loss_against(id);
                self.set_health(id, Health::Down { why });
                self.relieve(id);
                self.stop_all_on(id);
            }
            Err(refusal) => self.anomaly(format!("a node was lost that is not known: {refusal}")),
        }
    }

    pub(crate) fn set_health(&mut self, id: NodeId, health: Health) {
        if self.health[id.index()] != health {
            let is_up = health == Health::Up;
            self.health[id.index()] = health;
            self.spares.remove(&id);
            self.tell_node(id);
            if is_up {
                self.take_up(id);
            }
        }
    }
}
