//! Promises by turns: of the places that an owner has for them every fourth that is given goes to whoever of its leaves
//! stands in line the longest, whatever it has used, if it has stood there and one of its jobs has waited for a week.
//!
//! Intuition: by use alone the next is whoever has used the least, and who withdraws its promised jobs, or ends them as
//! they start, uses nothing: a few users who agree would keep all places of their owner in turn. In the line nobody comes
//! before who stood there already: a leaf joins it behind all others when it begins to wait, and again each time that one
//! of its jobs is promised a start. So every leaf has its turn after those that stood there when it came, once each. Who
//! has not waited for long is left to fair share, which in ordinary times is the better judge.
//!
//! The same among owners where they are so many that not all may have their promises at once: of all places every fourth
//! goes to the owner that stands in line the longest, and in it to the leaf that does. Else whoever has used much would
//! wait until others have used as much, and owners that are founded meanwhile have used nothing.
//!
//! Invariant: no act of a user takes its leaf forward in the line, and none of an owner's people their owner.
use crate::api::Step;
use crate::pass::Pass;
use crate::scheduler::{MOST_PROMISES, Scheduler};
use alloc::collections::BinaryHeap;
use alloc::vec::Vec;
use core::cmp::Reverse;
use madang_model::{Span, Time};

/// One of so many places goes by turns.
const TURN: u32 = 4;
/// Who has waited for so long has a turn.
const LONG: Span = Span::from_days(7);

impl Scheduler {
    /// How many more promises the owner may be given by standing: one place is left out when it is to go by turns.
    pub(crate) fn places_by_standing(&self, now: Time, owner: usize) -> u32 {
        let places = self.places(owner);
        places - u32::from(places > 0 && self.in_line(now, owner).next().is_some())
    }

    /// Who may have the place that is to go by turns, if one is.
    fn in_line(&self, now: Time, owner: usize) -> impl Iterator<Item = usize> + '_ {
        let share = &self.shares.owners[owner];
        let long = move |since: Time| since.after(LONG) <= now;
        let may = share.by_standing >= TURN - 1 && long(share.first_lined);
        let projects: &[usize] = if may { &share.projects } else { &[] };
        let leaves = projects.iter().flat_map(|project| &self.shares.projects[*project].leaves).copied();
        leaves.filter(move |leaf| {
            let share = &self.shares.leaves[*leaf];
            share.waiting > 0
                && long(share.lined)
                && self.queue.leaves[*leaf].fronts().any(|rank| long(rank.2.since) && !self.promises.has(rank.3))
                && !self.pauses(*leaf)
        })
    }

    /// How many places of all are to go to owners by turns: a quarter of those that were given, while there are too many
    /// owners for all of their promises.
    pub(crate) fn owners_turns(&mut self) -> u32 {
        let each = self.config.promises.max(1);
        let most = (MOST_PROMISES / each) as usize;
        let waiting = self.shares.owners.iter().filter(|owner| owner.waiting > 0);
        if waiting.take(most + 1).count() <= most {
            self.by_standing = 0;
        }
        self.by_standing / (TURN - 1)
    }

    /// A job of the leaf was promised a start by its standing.
    pub(crate) fn stands_behind(&mut self, now: Time, leaf: usize) {
        self.shares.leaves[leaf].lined = now;
        let owner = self.shares.owner_of(leaf);
        let share = &mut self.shares.owners[owner];
        share.lined = now;
        share.by_standing = share.by_standing.saturating_add(1);
        self.by_standing = self.by_standing.saturating_add(1);
    }

    /// Gives places that were kept back to the owners whose turn it is. Who has nothing to promise stands behind.
    fn take_owners_turns(&mut self, now: Time, pass: &mut Pass, step: &mut Step) {
        let mut turns = core::mem::take(&mut pass.kept_back);
        if turns == 0 || self.promises_left() == 0 {
            return;
        }
        let asks = |owner: &usize| {
            self.places(*owner) > 0 && self.shares.owners[*owner].waiting as usize > self.promises.open(*owner)
        };
        let place = |owner: usize| Reverse((self.shares.owners[owner].lined, self.shares.owners[owner].id, owner));
        let mut line: BinaryHeap<_> = (0..self.shares.owners.len()).filter(asks).map(place).collect();
        while turns > 0 && self.promises_left() > 0 {
            let Some(Reverse((.., owner))) = line.pop() else {
                self.by_standing = 0;
                return;
            };
            let given = self.by_standing;
            pass.places[owner] = 1;
            if self.promise_longest(now, owner, pass, step) {
                (self.by_standing, turns) = (given.saturating_sub(TURN - 1), turns - 1);
            } else {
                self.shares.owners[owner].lined = now;
            }
            pass.places[owner] = 0;
        }
    }

    /// Promises a start to that of the owner's leaves with something to promise that stands in line the longest.
    fn promise_longest(&mut self, now: Time, owner: usize, pass: &mut Pass, step: &mut Step) -> bool {
        let projects = self.shares.owners[owner].projects.iter();
        let leaves = projects.flat_map(|project| &self.shares.projects[*project].leaves);
        let asks = |leaf: &&usize| self.shares.leaves[**leaf].waiting > 0 && !self.pauses(**leaf);
        let place = |leaf: &usize| (self.shares.leaves[*leaf].lined, self.shares.leaves[*leaf].user, *leaf);
        let mut line: Vec<_> = leaves.filter(asks).map(place).collect();
        line.sort_unstable();
        line.into_iter().any(|(.., leaf)| self.promise_first(now, leaf, pass, step))
    }

    /// Finds out anew since when the first of an owner's leaves stands in line, once that is long as far as is known. A
    /// leaf only ever goes to the end of the line, so that what was found holds until then.
    fn look_along(&mut self, now: Time, owner: usize) {
        let share = &self.shares.owners[owner];
        if share.by_standing >= TURN - 1 && share.first_lined.after(LONG) <= now {
            let projects = self.shares.owners[owner].projects.iter();
            let leaves = projects.flat_map(|project| &self.shares.projects[*project].leaves);
            let shares = leaves.map(|leaf| &self.shares.leaves[*leaf]).filter(|share| share.waiting > 0);
            self.shares.owners[owner].first_lined = shares.map(|share| share.lined).min().unwrap_or(now);
        }
    }

    /// Gives the places that are left to go by turns, after a pass in which all that may start was tried.
    pub(crate) fn take_turns(&mut self, now: Time, pass: &mut Pass, step: &mut Step) {
        self.take_owners_turns(now, pass, step);
        for owner in 0..self.shares.owners.len() {
            self.look_along(now, owner);
            if self.places(owner) == 0 {
                continue;
            }
            let place = |leaf: usize| (self.shares.leaves[leaf].lined, self.shares.leaves[leaf].user, leaf);
            let mut line: BinaryHeap<_> = self.in_line(now, owner).map(|leaf| Reverse(place(leaf))).collect();
            pass.places[owner] = u32::from(!line.is_empty());
            while let Some(Reverse((.., leaf))) = line.pop() {
                if self.promise_first(now, leaf, pass, step) {
                    self.shares.owners[owner].by_standing = 0;
                    break;
                }
            }
        }
    }
}
