//! What-if on the cluster: runs are taken off it, a gang is tried, and everything is as before when the draft is dropped.
//!
//! Invariant: the cluster after a draft is the cluster before it.
use crate::cluster::Cluster;
use crate::place::{self, Now};
use crate::promise::Promises;
use crate::shape::Shape;
use alloc::borrow::Cow;
use alloc::vec::Vec;
use madang_model::{Allocation, RunId, Time};

/// A draft of the cluster.
pub(crate) struct Draft<'a> {
    cluster: &'a mut Cluster,
    vacated: Vec<(RunId, Time, Cow<'a, Allocation>)>,
}

/// How far a draft had come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark(usize);

impl<'a> Draft<'a> {
    pub fn new(cluster: &'a mut Cluster) -> Draft<'a> {
        Draft { cluster, vacated: Vec::new() }
    }

    pub fn cluster(&self) -> &Cluster {
        self.cluster
    }

    /// Looks at the cluster without these runs' parts of one node, and puts them back.
    pub fn without<T>(&mut self, parts: &[(RunId, Time, Allocation)], look: impl FnOnce(&Cluster) -> T) -> T {
        for (run, _, on) in parts {
            self.cluster.lift(*run, on);
        }
        let seen = look(self.cluster);
        for (run, until, on) in parts {
            self.cluster.take(*run, *until, on);
        }
        seen
    }

    /// Takes a run off.
    pub fn vacate(&mut self, run: RunId, until: Time, on: &'a Allocation) {
        self.cluster.lift(run, on);
        self.vacated.push((run, until, Cow::Borrowed(on)));
    }

    /// Takes a part of a run off.
    pub fn vacate_part(&mut self, run: RunId, until: Time, on: &Allocation) {
        self.cluster.lift(run, on);
        self.vacated.push((run, until, Cow::Owned(on.clone())));
    }

    /// The place to come back to.
    pub fn mark(&self) -> Mark {
        Mark(self.vacated.len())
    }

    /// Puts back what was taken off since the mark.
    pub fn rewind(&mut self, to: Mark) {
        for (run, until, on) in self.vacated.drain(to.0..).rev() {
            self.cluster.take(run, until, &on);
        }
    }

    /// Where the gang would go, were it started now and gone at `end`.
    pub fn place(&self, shape: &Shape, promises: &Promises, now: Time, end: Time) -> Option<Allocation> {
        place::now(shape, &Now { cluster: self.cluster, promises, now, end, rides: false }).ok()
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        self.rewind(Mark(0));
    }
}
