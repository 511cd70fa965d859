//! The book: double entry in GPU time and won, append only.
//!
//! Every [`Posting`] becomes one [`Transaction`] whose lines sum to zero in GPU time and in won, or is refused and
//! changes nothing. A correction is a new posting: nothing is ever taken out or rewritten.
//!
//! Invariants, checked by [`Book::audit`]: all balances sum to zero in each unit; what an award has set aside is the
//! sum of its open holds; a hold never takes an award's free time below zero. No floating point, no panic on any
//! amount, no clock: the moment of a posting is given.
#![no_std]
#![deny(clippy::float_arithmetic)]
extern crate alloc;

mod book;
mod charges;
mod entry;
mod money;
mod pairs;
mod refusal;

pub use book::Book;
pub use charges::KEPT_CHARGES;
pub use entry::*;
pub use money::charge_of;
pub use refusal::Refusal;
