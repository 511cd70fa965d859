//! FIFO: strictly in order of submission; the head of the queue blocks everybody behind it.
//!
//! The textbook's FCFS, and what Slurm does with `sched/builtin` and `priority/basic`. Kept: one queue for all owners, a
//! gang starts whole in one fabric. A job that lost a node waits again in its old place.
use super::super::record::How;
use super::drive::{Ground, Policy};
use std::collections::BTreeSet;

/// The queue.
#[derive(Default)]
pub(super) struct Fifo {
    /// Who waits; jobs are numbered in order of submission.
    waiting: BTreeSet<usize>,
}

impl Policy for Fifo {
    fn waits(&mut self, _ground: &mut Ground, job: usize) {
        self.waiting.insert(job);
    }

    fn withdrawn(&mut self, _ground: &mut Ground, job: usize) {
        self.waiting.remove(&job);
    }

    fn gone(&mut self, _ground: &mut Ground, _job: usize, _on: &[u32], _how: How) {}

    fn decide(&mut self, ground: &mut Ground) {
        while let Some(head) = self.waiting.first().copied() {
            let job = ground.job(head);
            let Some(on) = ground.floor().find(job.nodes, &job.need()) else { return };
            self.waiting.remove(&head);
            ground.start(head, on);
        }
    }
}
