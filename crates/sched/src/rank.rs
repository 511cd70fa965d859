//! Who is next: the leaves that still have something to try in this pass, as a tree in order of standing.
//!
//! Owners below their guarantee come before all others; what is lent and borrowed goes by standing.
//!
//! Intuition: a pass looks at the first few of the leaves that it is told of, so siblings stand in heaps, which are made in
//! one go and put in order only as far as somebody asks. A leaf that is left out changes nothing for the others: a place
//! goes by the meters along its own path and by what was served there.
//!
//! Invariants: a branch without leaves is not in the tree; ties go to the smaller id.
use crate::share::{Meter, Owner, Shares};
use alloc::collections::BinaryHeap;
use alloc::collections::binary_heap::PeekMut;
use alloc::vec::Vec;
use core::cmp::Ordering;
use fixedbitset::FixedBitSet;
use madang_model::{PartyId, ProjectId, Span, Time, UserId};

/// Binary places of a key, so that small differences in use count beside large weights.
const PLACES: u32 = 20;

/// More than any owner's standing comes to.
const BORROWS: u128 = 1 << 126;

/// Siblings, the one with the least use for its weight at the top.
type Siblings<Id, Child> = BinaryHeap<Place<Id, Child>>;

/// A child by (use for its weight, id); the least is the greatest, as heaps have it.
#[derive(Debug)]
struct Place<Id, Child> {
    key: (u128, Id),
    child: Child,
}

impl<Id: Ord, Child> Ord for Place<Id, Child> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.key.cmp(&self.key)
    }
}

impl<Id: Ord, Child> PartialOrd for Place<Id, Child> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<Id: Ord, Child> PartialEq for Place<Id, Child> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl<Id: Ord, Child> Eq for Place<Id, Child> {}

#[derive(Debug)]
struct Limb {
    project: usize,
    /// What was charged in this pass beside the meter.
    extra: u128,
    leaves: Siblings<UserId, usize>,
}

#[derive(Debug)]
struct Bough {
    owner: usize,
    extra: u128,
    limbs: Siblings<ProjectId, Limb>,
}

/// The tree of one pass.
#[derive(Debug)]
pub(crate) struct Ranking {
    boughs: Siblings<PartyId, Bough>,
}

/// An owner's key: whoever is below its guarantee goes before whoever would borrow.
fn owner_key(owner: &Owner, extra: u128) -> u128 {
    let promised = extra / u128::from(Span::from_hours(1).millis());
    let borrows = u128::from(owner.held) + promised >= u128::from(owner.guaranteed);
    key(&owner.meter, extra, owner.weight).min(BORROWS - 1) + if borrows { BORROWS } else { 0 }
}

fn key(meter: &Meter, extra: u128, weight: u64) -> u128 {
    let level = (meter.level() + extra) << PLACES;
    if weight == 1 { level } else { level / u128::from(weight) }
}

impl Ranking {
    /// These leaves, their meters brought up to now.
    pub fn new(shares: &mut Shares, now: Time, listed: &FixedBitSet) -> Ranking {
        let mut projects = FixedBitSet::with_capacity(shares.projects.len());
        projects.extend(listed.ones().map(|leaf| shares.leaves[leaf].project));
        let mut boughs = Vec::new();
        for owner in 0..shares.owners.len() {
            let limbs = limbs(shares, now, owner, (&projects, listed));
            if !limbs.is_empty() {
                shares.owners[owner].meter.advance(now, &mut shares.decay);
                let share = &shares.owners[owner];
                let bough = Bough { owner, extra: 0, limbs: limbs.into() };
                boughs.push(Place { key: (owner_key(share, 0), share.id), child: bough });
            }
        }
        Ranking { boughs: boughs.into() }
    }

    /// What serving a job that would hold this many milli-GPUs counts for within a pass.
    pub fn charge(rate: u64) -> u128 {
        u128::from(rate) * u128::from(Span::from_hours(1).millis())
    }

    /// The leaf whose turn it is.
    pub fn next(&self) -> Option<usize> {
        let limb = self.boughs.peek()?.child.limbs.peek()?;
        limb.child.leaves.peek().map(|leaf| leaf.child)
    }

    /// The leaf whose turn it is has nothing more to try.
    pub fn drop_next(&mut self) {
        let Some(mut bough) = self.boughs.peek_mut() else { return };
        let Some(mut limb) = bough.child.limbs.peek_mut() else { return };
        limb.child.leaves.pop();
        if limb.child.leaves.is_empty() {
            PeekMut::pop(limb);
        } else {
            drop(limb);
        }
        if bough.child.limbs.is_empty() {
            PeekMut::pop(bough);
        }
    }

    /// Leaves that are not let through have nothing more to try.
    pub fn retain(&mut self, lets: impl Fn(usize) -> bool) {
        for mut bough in core::mem::take(&mut self.boughs) {
            for mut limb in core::mem::take(&mut bough.child.limbs) {
                limb.child.leaves.retain(|leaf| lets(leaf.child));
                if !limb.child.leaves.is_empty() {
                    bough.child.limbs.push(limb);
                }
            }
            if !bough.child.limbs.is_empty() {
                self.boughs.push(bough);
            }
        }
    }

    /// The leaf whose turn it is was served: puts it where it belongs by the shares' meters, and by `charge` beside
    /// them (milli-GPU x milliseconds, for this pass only).
    pub fn served(&mut self, shares: &Shares, charge: u128) {
        let Some(mut bough) = self.boughs.peek_mut() else { return };
        if let Some(mut limb) = bough.child.limbs.peek_mut() {
            if let Some(mut leaf) = limb.child.leaves.peek_mut() {
                let fresh = key(&shares.leaves[leaf.child].meter, 0, 1);
                leaf.key.0 = if charge == 0 { fresh } else { leaf.key.0 + (charge << PLACES) };
            }
            limb.child.extra += charge;
            let project = &shares.projects[limb.child.project];
            limb.key.0 = key(&project.meter, limb.child.extra, u64::from(project.weight));
        }
        bough.child.extra += charge;
        bough.key.0 = owner_key(&shares.owners[bough.child.owner], bough.child.extra);
    }
}

/// The projects of an owner with the leaves that are listed.
fn limbs(
    shares: &mut Shares,
    now: Time,
    owner: usize,
    (projects, listed): (&FixedBitSet, &FixedBitSet),
) -> Vec<Place<ProjectId, Limb>> {
    let mut limbs = Vec::new();
    for place in 0..shares.owners[owner].projects.len() {
        let project = shares.owners[owner].projects[place];
        if !projects.contains(project) {
            continue;
        }
        let mut leaves = Vec::new();
        for place in 0..shares.projects[project].leaves.len() {
            let leaf = shares.projects[project].leaves[place];
            if listed.contains(leaf) {
                let share = &mut shares.leaves[leaf];
                share.meter.advance(now, &mut shares.decay);
                leaves.push(Place { key: (key(&share.meter, 0, 1), share.user), child: leaf });
            }
        }
        shares.projects[project].meter.advance(now, &mut shares.decay);
        let share = &shares.projects[project];
        let key = (key(&share.meter, 0, u64::from(share.weight)), share.id);
        limbs.push(Place { key, child: Limb { project, extra: 0, leaves: leaves.into() } });
    }
    limbs
}
