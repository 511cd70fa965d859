//! The scheduler: who is next, where, and when not now.
#![no_std]
extern crate alloc;

mod api;
pub use api::*;
