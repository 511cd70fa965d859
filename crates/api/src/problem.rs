//! What a failure looks like.
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A failure, as RFC 9457 has it, with a stable code and advice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `about:blank#CODE`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The HTTP status again.
    pub status: u16,
    /// Short title of the status.
    pub title: String,
    /// Stable code in snake case: those of the core's refusals (`not_found`, `impossible`, …) and the edge's own
    /// (`bad_request`, `unauthenticated`, `forbidden`, `too_large`, `busy`, `internal`).
    pub code: String,
    /// The fact, with names and numbers.
    pub detail: String,
    /// What to do about it, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The request's id, as in the header `x-request-id` and in the server's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
}
