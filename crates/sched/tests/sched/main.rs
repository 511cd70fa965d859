//! The scheduler seen from outside.
#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing has failed")]
mod cases;
mod common;
mod defrag;
mod elastic;
mod foresight;
mod hostile;
mod model;
mod parts;
mod random;
mod several;
mod sites;
mod starving;
mod taking;
mod topology;
mod windows;
