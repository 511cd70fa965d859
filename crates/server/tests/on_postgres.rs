//! The tests of the server once more, with PostgreSQL as the store: same tests, same behaviour.
//!
//! Where PostgreSQL is not installed this binary says so and tests nothing.
#![expect(clippy::duplicate_mod, reason = "each of these files brings the common part along, as it does alone")]

#[path = "access.rs"]
mod access;
#[path = "hostile.rs"]
mod hostile;
#[path = "jobs.rs"]
mod jobs;
#[path = "store.rs"]
mod store;
