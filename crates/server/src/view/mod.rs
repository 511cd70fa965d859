//! What callers see: the core's state in the wire's words. Nothing here decides or changes anything.

pub mod defrag;
pub mod estate;
pub mod health;
pub mod job;
pub mod list;
pub mod overview;
pub mod project;
pub mod reservation;
pub mod sites;
pub mod when;
pub mod words;
