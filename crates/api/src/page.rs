//! Pages of long lists.
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One page of a list. `next` goes back as `?after=` for the page that follows; absent on the last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// The objects.
    pub items: Vec<T>,
    /// Where the next page begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
