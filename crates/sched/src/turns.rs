//! Promises by turns: of the places that an owner has for them every fourth that is given goes to whoever of its leaves
//! waits in line the longest, whatever it has used.
//!
//! Intuition: by use alone the next is whoever has used the least, and who withdraws its promised jobs, or ends them as
//! they start, uses nothing: a few users who agree would keep all places of their owner in turn. In the line nobody comes
//! before who stood there already: a leaf joins it behind all others when it begins to wait, and again each time that one
//! of its jobs is promised a start. So every leaf has its turn after those that stood there when it came, once each.
//!
//! Invariant: no act of a user takes its leaf forward in the line.
use crate::api::Step;
use crate::pass::Pass;
use crate::scheduler::Scheduler;
use alloc::collections::BinaryHeap;
use core::cmp::Reverse;
use madang_model::Time;

/// One of so many places goes by turns.
pub(crate) const TURN: u32 = 4;

impl Scheduler {
    /// How many more promises the owner may be given by standing: one place is left out when it is to go by turns.
    pub(crate) fn places_by_standing(&self, owner: usize) -> u32 {
        let due = self.shares.owners[owner].by_standing >= TURN - 1;
        self.places(owner).saturating_sub(u32::from(due))
    }

    /// A job of the leaf was promised a start by its standing.
    pub(crate) fn stands_behind(&mut self, now: Time, leaf: usize) {
        self.shares.leaves[leaf].lined = now;
        let owner = self.shares.owner_of(leaf);
        let count = &mut self.shares.owners[owner].by_standing;
        *count = count.saturating_add(1);
    }

    /// Gives the places that are left to go by turns, after a pass in which all that may start was tried.
    pub(crate) fn take_turns(&mut self, now: Time, pass: &mut Pass, step: &mut Step) {
        for owner in 0..self.shares.owners.len() {
            let promised = self.promises.count_of(owner) as u32;
            let share = &self.shares.owners[owner];
            if share.by_standing < TURN - 1 || self.places(owner) == 0 || share.waiting <= promised {
                continue;
            }
            let leaves = share.projects.iter().flat_map(|project| &self.shares.projects[*project].leaves).copied();
            let waits = |leaf: &usize| self.shares.leaves[*leaf].waiting > 0 && !self.pauses(*leaf);
            let place = |leaf: usize| (self.shares.leaves[leaf].lined, self.shares.leaves[leaf].user, leaf);
            let mut line: BinaryHeap<_> = leaves.filter(waits).map(|leaf| Reverse(place(leaf))).collect();
            pass.places[owner] += 1;
            while let Some(Reverse((.., leaf))) = line.pop() {
                if self.promise_first(now, leaf, pass, step) {
                    self.shares.owners[owner].by_standing = 0;
                    break;
                }
            }
        }
    }
}
