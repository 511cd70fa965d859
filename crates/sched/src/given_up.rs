//! Promises that were given up: who withdraws a promised job wants no new place for as long as it kept that one.
//!
//! An owner has few places for promises. Who withdraws its promised jobs just before they start and asks again uses
//! nothing, so fair share would hand it the free place every time. Its claims pause instead, in all its projects of that
//! owner, and the place goes to who is next. What may start at once starts all the same.
use crate::scheduler::Scheduler;
use madang_model::{JobId, PartyId, Span, UserId};

impl Scheduler {
    /// The job's promise, if it has one, is given up by its own user.
    pub(crate) fn give_up(&mut self, job: JobId) {
        let Some(pledge) = self.promises.get(job) else { return };
        let kept = self.now.since(pledge.promise.given);
        if kept == Span::ZERO {
            return;
        }
        let until = self.given_up.entry(self.claimant(pledge.leaf)).or_default();
        *until = (*until).max(self.now.after(kept));
    }

    /// True while the leaf's user may be given no promise out of its owner's places.
    pub(crate) fn pauses(&self, leaf: usize) -> bool {
        !self.given_up.is_empty() && self.given_up.get(&self.claimant(leaf)).is_some_and(|until| *until > self.now)
    }

    /// Whose pause is over may be given promises again.
    pub(crate) fn end_pauses(&mut self) {
        let now = self.now;
        self.given_up.retain(|(owner, _), until| {
            if *until <= now
                && let Some(owner) = self.shares.known_owner(*owner)
            {
                self.shares.owners[owner].unpromised = true;
            }
            *until > now
        });
    }

    fn claimant(&self, leaf: usize) -> (PartyId, UserId) {
        (self.shares.owners[self.shares.owner_of(leaf)].id, self.shares.leaves[leaf].user)
    }
}
