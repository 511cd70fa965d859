//! The wire: what goes in and out of `/api/v1`, as types. `openapi.json` is made from these.
//!
//! Conventions: names, not numbers, for sites, nodes, projects, owners and users; numbers for jobs. Moments are
//! `*_ms`, milliseconds since 1970 UTC; lengths are `*_secs`; GPU time is `*_gpu_us`, micro-GPU-seconds (3.6e9 to the
//! GPU-hour); money is `*_won`, whole won; shares are `*_bp`, basis points. Absent means not known or not so.
//! Every failure is a [`Problem`] (RFC 9457, `application/problem+json`) with a stable `code`.
//!
//! Invariant: nothing here decides anything; unknown fields in requests are refused by name.

pub mod agent;
pub mod centre;
pub mod defrag;
pub mod estate;
pub mod health;
pub mod job;
pub mod page;
pub mod problem;
pub mod project;
pub mod reservation;
pub mod routes;
pub mod session;

pub use agent::*;
pub use centre::*;
pub use defrag::*;
pub use estate::*;
pub use health::*;
pub use job::*;
pub use page::*;
pub use problem::*;
pub use project::*;
pub use reservation::*;
pub use session::*;
