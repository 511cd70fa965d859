//! The centre.
#![no_std]
extern crate alloc;

pub mod effect;
pub mod input;
pub mod refusal;
