//! A centre as it is founded: what a centre file says, checked, with every name resolved to an id.
use crate::estate::{Island, Node, Partition, Site};
use crate::policy::Policy;
use crate::project::{Class, Party, Price};
use crate::reach::Link;
use crate::units::{Time, Won};
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// All that a centre starts from. Ids are places in these lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Founding {
    /// Short name of the centre, as in Slurm's `ClusterName`.
    pub name: String,
    /// Full name in English.
    pub title: String,
    /// Full name in Korean.
    pub title_ko: String,
    /// Owners, operators, holders of rights.
    pub parties: Vec<Party>,
    /// User classes with targets and rates.
    pub classes: Vec<Class>,
    /// Sites.
    pub sites: Vec<Site>,
    /// Fabrics.
    pub islands: Vec<Island>,
    /// Machines.
    pub nodes: Vec<Node>,
    /// Partitions; the first is the default.
    pub partitions: Vec<Partition>,
    /// Dated market prices, any order.
    pub prices: Vec<Price>,
    /// Money of the plan, for people to read: what, how much, from when, by whom.
    pub money: Vec<Money>,
    /// How its scheduler is set; centres founded before this was written down have the defaults.
    #[serde(default)]
    pub policy: Policy,
    /// Lines between sites, by the two sites; what is not listed is as [`crate::reach::UNLINKED_MS_PER_GB`] says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
}

/// One figure of the plan's money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Money {
    /// What it is for, in English.
    pub title: String,
    /// What it is for, in Korean.
    pub title_ko: String,
    /// How much.
    pub won: Won,
    /// From when.
    pub from: Time,
    /// Where the figure comes from.
    pub source: String,
}
