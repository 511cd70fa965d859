//! Sites' agents: invitations, certificates, how each one stands.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /agents/invitations`: lets one agent enrol for a site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewInvitation {
    /// The site.
    pub site: String,
    /// How long it is good for; 24 hours when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hours: Option<u32>,
}

/// An invitation just made. It is good once; its secret is shown once and stored only as a hash.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct InvitationMade {
    /// Its number, for revoking it.
    pub id: u64,
    /// The site.
    pub site: String,
    /// What the agent is told: the secret and, after a dot, the fingerprint of the site's authority.
    pub invitation: String,
    /// Good until.
    pub until_ms: u64,
}

/// What a card of an agent is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AgentState {
    /// An invitation that nobody has used yet.
    Invited,
    /// A certificate whose agent is linked now.
    Linked,
    /// A certificate that is good, but whose agent is not linked.
    Away,
    /// A certificate that was revoked, or replaced by a later one.
    Revoked,
    /// A certificate that has ended.
    Ended,
}

/// An invitation, or the certificate that was made of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentView {
    /// Its number.
    pub id: u64,
    /// The one site that it is good for.
    pub site: String,
    /// What it is.
    pub state: AgentState,
    /// Who invited it, or which certificate it came after.
    pub by: String,
    /// The agent's host, by its own word.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub host: String,
    /// Made when.
    pub made_ms: u64,
    /// Good until.
    pub until_ms: u64,
    /// When its agent was last heard of, to the minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_ms: Option<u64>,
    /// Linked since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linked_ms: Option<u64>,
    /// The release that its agent is of, while it is linked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// How its machine fares, while it is linked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<AgentSample>,
    /// Why its site takes no new work, if it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent: Option<String>,
}

/// How an agent's machine fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentSample {
    /// Runs that are there.
    pub runs: u32,
    /// Load of the last minute, in hundredths.
    pub load_centi: u32,
    /// Memory free for use, in MiB.
    pub free_mib: u64,
    /// Memory in all, in MiB.
    pub memory_mib: u64,
}
