//! One self-contained page of what came of trials: for somebody who was not there.
//!
//! The page is text with drawings in it; it loads nothing, runs nothing and says the same in the dark, on paper and to
//! a screen reader. It opens with what was simulated and that all of it is modelled, ends with every figure in a table
//! and the command that makes it again.
//!
//! Invariants: the same trials give the same bytes; a page refers to nothing outside itself.
mod compared;
mod layers;
mod page;
mod plots;
mod scale;
mod series;
mod svg;
pub mod words;

pub use compared::frontier;
pub use layers::{BUCKETS, Layers};
pub use page::html;

use crate::trial::{Figures, Machine, Outcome, Workload};
use madang_model::Time;

/// One seed: its workload and the machine that it meets.
#[derive(Clone, Debug)]
pub struct Case {
    /// The seed.
    pub seed: u64,
    /// What is asked.
    pub workload: Workload,
    /// Of what.
    pub machine: Machine,
}

impl Case {
    /// When the last job is submitted: up to then the estate is looked at.
    pub fn until(&self) -> Time {
        let last = self.workload.jobs.last().map_or(Time::default(), |job| job.submit);
        last.max(Time::from_millis(1000))
    }
}

/// One policy, tried on each case.
#[derive(Clone, Debug)]
pub struct Tried {
    /// Its name.
    pub name: String,
    /// What it does, in a line.
    pub about: String,
    /// What came of each case, in their order.
    pub outcomes: Vec<Outcome>,
    /// The figures of each.
    pub figures: Vec<Figures>,
}

/// What a page is made of.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// The seeds; at least one.
    pub cases: &'a [Case],
    /// The policies; at least one.
    pub tried: &'a [Tried],
    /// How to make it again.
    pub command: &'a str,
    /// The version that made it.
    pub version: &'a str,
}

#[cfg(test)]
mod tests;
