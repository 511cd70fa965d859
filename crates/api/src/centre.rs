//! The centre as a whole.
use crate::estate::SiteView;
use crate::project::OwnerView;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /overview`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Overview {
    /// Short name of the centre.
    pub name: String,
    /// Full name in English.
    pub title: String,
    /// Full name in Korean.
    pub title_ko: String,
    /// The server's clock.
    pub now_ms: u64,
    /// The server's version.
    pub version: String,
    /// Sites.
    pub sites: Vec<SiteView>,
    /// Owners.
    pub owners: Vec<OwnerView>,
    /// Jobs running.
    pub running: u32,
    /// Jobs waiting.
    pub waiting: u32,
    /// Jobs ended since opening.
    pub ended: u64,
    /// GPUs held over time: (moment, GPUs held per site in the order of `sites`), oldest first, at most 240 points.
    pub history: Vec<(u64, Vec<u32>)>,
    /// Figures of the plan's money.
    pub money: Vec<MoneyView>,
}

/// One figure of the plan's money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MoneyView {
    /// What for, in English.
    pub title: String,
    /// What for, in Korean.
    pub title_ko: String,
    /// How much.
    pub won: i64,
    /// From when.
    pub from_ms: u64,
    /// Where the figure comes from.
    pub source: String,
}

/// `GET /audit`: every invariant checked now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Audit {
    /// What is wrong; empty when all holds.
    pub violations: Vec<String>,
    /// Inputs in the journal.
    pub inputs: u64,
    /// Hash of the journal's head.
    pub head: String,
    /// Reports that did not fit, since opening.
    pub anomalies: u64,
}

/// One server-sent event of `GET /events`; its `event:` field is the variant's name in snake case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum Event {
    /// A job changed; look it up for the rest. Only jobs that the caller may see.
    Job {
        /// Its id.
        id: u64,
        /// Its state.
        state: crate::job::StateName,
    },
    /// Nodes changed: index in [`crate::estate::Floor::nodes`] and the new entry.
    Nodes {
        /// (index, entry).
        nodes: Vec<(u32, crate::estate::FloorNode)>,
    },
    /// Figures for the overview, about once a second while something changes.
    Pulse {
        /// The server's clock.
        now_ms: u64,
        /// Running.
        running: u32,
        /// Waiting.
        waiting: u32,
        /// GPUs held per site, in the overview's order.
        gpus_busy: Vec<u32>,
    },
}
