//! The tests of the server once more, with PostgreSQL as the store: same tests, same behaviour.
//!
//! Where PostgreSQL is not installed this binary says so and tests nothing.

#[path = "access.rs"]
mod access;
#[path = "hostile.rs"]
mod hostile;
#[path = "jobs.rs"]
mod jobs;
#[path = "store.rs"]
mod store;
