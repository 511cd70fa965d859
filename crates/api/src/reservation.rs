//! Reservations: nodes, or a part of a site's capacity, booked in time.
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a reservation's windows mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReservationKind {
    /// Nobody's runs are on its nodes.
    #[default]
    Maintenance,
    /// Only jobs that name it are on its nodes.
    Projects,
    /// No more than so much of a site is in use.
    Cap,
}

/// `POST /reservations`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReservationSpec {
    /// Its name: lower-case letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// What its windows mean.
    pub kind: ReservationKind,
    /// Why, for everyone to read.
    pub reason: String,
    /// Nodes by name, one by one; instead of the four that follow.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<String>,
    /// How many nodes of the site, island and model, chosen once; absent: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// The nodes' site; for a cap the site that it caps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// The nodes' island.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub island: Option<String>,
    /// The nodes' GPU model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_model: Option<String>,
    /// For `projects`: whose jobs may name it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub projects: Vec<String>,
    /// For `projects`: owners all of whose projects' jobs may name it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owners: Vec<String>,
    /// For `cap`: most nodes in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most_nodes: Option<u32>,
    /// For `cap`: most GPUs in use; one of the two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most_gpus: Option<u32>,
    /// Begin of the first window; default now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_ms: Option<u64>,
    /// End of the first window.
    pub until_ms: u64,
    /// From one begin to the next; absent for a single window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every_secs: Option<u64>,
    /// No window begins after this; with `every_secs`, default a year after the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_ms: Option<u64>,
    /// Make it although runs are in its way; they are left alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ignore_running: bool,
}

/// `GET /reservations` items: those that are not over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReservationView {
    /// Name.
    pub name: String,
    /// What its windows mean.
    pub kind: ReservationKind,
    /// Why.
    pub reason: String,
    /// True while a window is open.
    pub active: bool,
    /// Begin of the window that is open, or of the next.
    pub from_ms: u64,
    /// Its end.
    pub until_ms: u64,
    /// From one begin to the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every_secs: Option<u64>,
    /// End of the last window.
    pub ends_ms: u64,
    /// Nodes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<String>,
    /// The site that a cap caps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// Most nodes in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most_nodes: Option<u32>,
    /// Most GPUs in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most_gpus: Option<u32>,
    /// Projects whose jobs may name it, of those that the caller may see.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub projects: Vec<String>,
    /// Owners all of whose projects' jobs may name it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owners: Vec<String>,
    /// Jobs that name it and hold something now, of those that the caller may see.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<u64>,
}
