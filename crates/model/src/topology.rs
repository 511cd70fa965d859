//! Topology: what an island's tree of domains looks like, and what a job asks of it.
//!
//! An island is a tree: pods of leaves of racks of NVLink domains, as deep as its centre file says. A level is one
//! storey of it, a domain one box of a level. An island that names no levels has one, `rack`.
use crate::estate::{Island, Node};
use crate::units::Span;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// The level of an island that names none.
pub const RACK: &str = "rack";
/// What a request calls the island itself.
pub const ISLAND: &str = "island";

/// What a job asks of the tree. Nothing asked for still means as close together as can be had now.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Topology {
    /// The level whose domains the gang, or each segment of it, must not leave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required: Option<String>,
    /// The level whose domains it would like not to leave; it never waits for that, and spreads over the fewest of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preferred: Option<String>,
    /// Nodes of each segment, at least 1: consecutive ranks that stay within one domain of the required level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment: Option<u32>,
    /// Nodes of the first part that are held beside the gang for the case that one is lost: its last ones in rank order.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub spares: u32,
    /// How long it waits for the required level, from when it may start; then the level is only preferred.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patience: Option<Span>,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Topology {
    /// True when nothing is asked for.
    pub fn is_default(&self) -> bool {
        *self == Topology::default()
    }
    /// The same, once its patience is over: what it required it would still like.
    pub fn relaxed(&self) -> Topology {
        let preferred = self.required.clone().or_else(|| self.preferred.clone());
        Topology { required: None, preferred, patience: None, ..self.clone() }
    }
}

impl Island {
    /// Names of its levels from the top down; never empty.
    pub fn level_names(&self) -> Vec<&str> {
        if self.levels.is_empty() { alloc::vec![RACK] } else { self.levels.iter().map(String::as_str).collect() }
    }
}

impl Node {
    /// The number of its domain at each level of its island, from the top down; one for each of the island's levels.
    pub fn domain_path(&self) -> &[u32] {
        if self.path.is_empty() { core::slice::from_ref(&self.rack) } else { &self.path }
    }
}

/// What people call a domain: `naic-a.leaf3`.
pub fn domain_name(island: &str, level: &str, number: u32) -> String {
    format!("{island}.{level}{number}")
}
