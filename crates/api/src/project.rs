//! Projects, awards, statements, owners.
use crate::job::DataSpec;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A project with its budget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProjectView {
    /// Short name.
    pub name: String,
    /// Full name.
    pub title: String,
    /// Owner out of whose share it computes.
    pub owner: String,
    /// Class.
    pub class: String,
    /// What the class pays of the market price, in basis points.
    pub rate_bp: u32,
    /// Members.
    pub members: Vec<String>,
    /// Awards.
    pub awards: Vec<AwardView>,
    /// Granted by awards in force now.
    pub granted_gpu_us: i64,
    /// Set aside for running jobs.
    pub held_gpu_us: i64,
    /// Spent.
    pub spent_gpu_us: i64,
    /// Still free.
    pub free_gpu_us: i64,
    /// Owed.
    pub owed_won: i64,
    /// GPUs held now.
    pub gpus: u32,
    /// Jobs running.
    pub running: u32,
    /// Jobs waiting.
    pub waiting: u32,
    /// GPU time spent per day, oldest first: (day's begin, GPU time), at most 60 days.
    pub burn: Vec<(u64, i64)>,
}

/// An award.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AwardView {
    /// Number.
    pub id: u32,
    /// Granted.
    pub granted_gpu_us: i64,
    /// Held.
    pub held_gpu_us: i64,
    /// Spent.
    pub spent_gpu_us: i64,
    /// Free.
    pub free_gpu_us: i64,
    /// From.
    pub from_ms: u64,
    /// Until.
    pub until_ms: u64,
}

/// `POST /projects`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewProject {
    /// Short name: lower-case letters, digits, `-`, `_`, at most 63.
    pub name: String,
    /// Full name.
    #[serde(default)]
    pub title: String,
    /// Owner out of whose share it computes.
    pub owner: String,
    /// Class.
    pub class: String,
}

/// `POST /projects/{name}/data`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProjectData {
    /// Where the project's data are, for its jobs that do not say; `null` for nothing known.
    pub data: Option<DataSpec>,
}

/// `POST /projects/{name}/awards`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAward {
    /// GPU-hours granted.
    pub gpu_hours: u64,
    /// From; now when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_ms: Option<u64>,
    /// Until; a year after `from` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
}

/// `POST /projects/{name}/members`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMember {
    /// Login name.
    pub user: String,
}

/// `GET /projects/{name}/statement`: read from the ledger, line by line; it balances or says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Statement {
    /// The project.
    pub project: String,
    /// Its full name.
    pub title: String,
    /// From.
    pub from_ms: u64,
    /// Until.
    pub until_ms: u64,
    /// Free before the first line.
    pub opening_gpu_us: i64,
    /// The lines, oldest first.
    pub lines: Vec<StatementLine>,
    /// Granted in the period.
    pub granted_gpu_us: i64,
    /// Spent in the period, refunds taken off.
    pub spent_gpu_us: i64,
    /// Refunded in the period.
    pub refunded_gpu_us: i64,
    /// Still held at the end.
    pub held_gpu_us: i64,
    /// Free at the end.
    pub closing_gpu_us: i64,
    /// Owed for the period.
    pub won: i64,
    /// True when opening + granted - spent - change in held = closing, and the centre's books sum to zero.
    pub balances: bool,
}

/// A line of a statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatementLine {
    /// Ledger entry.
    pub entry: u64,
    /// When.
    pub at_ms: u64,
    /// `grant`, `hold`, `extend`, `charge`, `void`, `refund`.
    pub kind: String,
    /// Award.
    pub award: Option<u32>,
    /// Job.
    pub job: Option<u64>,
    /// Attempt.
    pub attempt: Option<u32>,
    /// Change of what is free.
    pub free_gpu_us: i64,
    /// Change of what is held.
    pub held_gpu_us: i64,
    /// Change of what is spent.
    pub spent_gpu_us: i64,
    /// Change of what is owed.
    pub won: i64,
    /// For a charge: won per GPU-hour and what the class pays in basis points, so that the line can be replayed.
    pub price_won: Option<i64>,
    /// See `price_won`.
    pub rate_bp: Option<u32>,
}

/// An owner's standing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OwnerView {
    /// Short name.
    pub name: String,
    /// Full name in English.
    pub title: String,
    /// Full name in Korean.
    pub title_ko: String,
    /// Share of the estate's GPUs it is entitled to, in basis points.
    pub entitled_bp: u32,
    /// Share of the GPU time delivered since opening, in basis points; 0 when none was.
    pub delivered_bp: u32,
    /// GPU time delivered to its projects.
    pub delivered_gpu_us: i64,
    /// GPUs its projects hold now.
    pub gpus: u32,
    /// Jobs of its projects waiting.
    pub waiting: u32,
}
