//! The book: double entry in GPU time and won, append only.
#![no_std]
extern crate alloc;

mod entry;
pub use entry::*;
