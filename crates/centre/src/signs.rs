//! What is seen on nodes from outside: errors of the driver, temperatures, words; and what drains a node at once.
//!
//! Whoever watches a node tells; the core keeps the last few, weighs each by the policy and drains by rule what weighs
//! that much, within the same bounds as a node that kills jobs.
use crate::effect::{Notice, Reply};
use crate::input::Sign;
use crate::refusal::Refusal;
use crate::state::Centre;
use alloc::format;
use alloc::string::String;
use madang_model::policy::NodeRules;
use madang_model::{NodeId, Time};
use serde::{Deserialize, Serialize};

/// Signs kept of each node.
const KEPT: usize = 16;

/// A sign, and when it was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// When.
    pub at: Time,
    /// What.
    pub sign: Sign,
}

/// What a sign is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// It is shown.
    Note,
    /// People should look.
    Warn,
    /// Its node takes no more work.
    Drain,
}

impl Sign {
    /// What it is worth by these rules.
    pub fn weight(&self, rules: &NodeRules) -> Weight {
        match self {
            Sign::Xid { code, .. } if rules.xids.contains(code) => Weight::Drain,
            Sign::Celsius { degrees, .. } if *degrees >= rules.hot => Weight::Drain,
            Sign::Celsius { degrees, .. } if *degrees >= rules.warm => Weight::Warn,
            Sign::Celsius { .. } | Sign::Note { .. } => Weight::Note,
            Sign::Xid { .. } => Weight::Warn,
        }
    }

    /// In words.
    pub fn words(&self) -> String {
        let of = |gpu: &Option<u32>| gpu.map_or_else(String::new, |gpu| format!(" on GPU {gpu}"));
        match self {
            Sign::Xid { code, gpu } => format!("Xid {code}{}", of(gpu)),
            Sign::Celsius { degrees, gpu } => format!("{degrees} degrees Celsius{}", of(gpu)),
            Sign::Note { text } => text.clone(),
        }
    }
}

impl Centre {
    /// Whether a sign says something that the last like it did not: a temperature that weighs the same does not.
    pub fn is_news(&self, node: NodeId, sign: &Sign) -> bool {
        let Sign::Celsius { gpu, .. } = sign else { return true };
        let Some(rules) = self.founding.as_ref().map(|base| &base.policy.nodes) else { return true };
        let alike = |seen: &&Seen| matches!(&seen.sign, Sign::Celsius { gpu: other, .. } if other == gpu);
        let last = self.signs_of(node).rev().find(alike);
        last.map_or(Weight::Note, |seen| seen.sign.weight(rules)) != sign.weight(rules)
    }

    pub(crate) fn sign(&mut self, node: &str, sign: Sign) -> Result<Reply, Refusal> {
        let id = self.node_named(node)?;
        if let Sign::Note { text } = &sign {
            crate::submit::check_text("text", text, crate::submit::NAME_MOST)?;
        }
        let (weight, words) = (sign.weight(&self.base().policy.nodes), sign.words());
        let signs = self.signs.entry(id).or_default();
        signs.push_back(Seen { at: self.now, sign });
        if signs.len() > KEPT {
            signs.pop_front();
        }
        self.notice(Notice::Node(id));
        if weight == Weight::Drain {
            self.drain_by_rule(id, format!("by rule: {words}"));
        }
        Ok(Reply::Done)
    }

    /// The last signs of a node, oldest first.
    pub fn signs_of(&self, node: NodeId) -> impl DoubleEndedIterator<Item = &Seen> {
        self.signs.get(&node).into_iter().flatten()
    }
}
