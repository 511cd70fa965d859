//! Who is next: the leaves that still have something to try in this pass, as a tree in order of standing.
//!
//! Invariants: a branch without leaves is not in the tree; ties go to the smaller id.
use crate::share::{Meter, Shares};
use alloc::collections::BTreeMap;
use madang_model::{PartyId, ProjectId, Span, Time, UserId};

/// Binary places of a key, so that small differences in use count beside large weights.
const PLACES: u32 = 20;

/// Children in order of (use for their weight, id).
type Ordered<Id, Child> = BTreeMap<(u128, Id), Child>;

#[derive(Debug)]
struct Limb {
    project: usize,
    /// What was charged in this pass beside the meter.
    extra: u128,
    leaves: Ordered<UserId, usize>,
}

#[derive(Debug)]
struct Bough {
    owner: usize,
    extra: u128,
    limbs: Ordered<ProjectId, Limb>,
}

/// The tree of one pass.
#[derive(Debug)]
pub(crate) struct Ranking {
    boughs: Ordered<PartyId, Bough>,
}

fn key(meter: &Meter, extra: u128, weight: u64) -> u128 {
    ((meter.level() + extra) << PLACES) / u128::from(weight)
}

impl Ranking {
    /// All leaves with something waiting, their meters brought up to now.
    pub fn new(shares: &mut Shares, now: Time) -> Ranking {
        let mut boughs = BTreeMap::new();
        for owner in 0..shares.owners.len() {
            if shares.owners[owner].waiting > 0 {
                shares.owners[owner].meter.advance(now, &mut shares.decay);
                let limbs = limbs(shares, owner, now);
                let share = &shares.owners[owner];
                boughs.insert((key(&share.meter, 0, share.weight), share.id), Bough { owner, extra: 0, limbs });
            }
        }
        Ranking { boughs }
    }

    /// What serving a job that would hold this many milli-GPUs counts for within a pass.
    pub fn charge(rate: u64) -> u128 {
        u128::from(rate) * u128::from(Span::from_hours(1).millis())
    }

    /// The leaf whose turn it is.
    pub fn next(&self) -> Option<usize> {
        let bough = self.boughs.first_key_value()?.1;
        let limb = bough.limbs.first_key_value()?.1;
        limb.leaves.first_key_value().map(|(_, leaf)| *leaf)
    }

    /// The leaf whose turn it is has nothing more to try.
    pub fn drop_next(&mut self) {
        let Some(mut bough) = self.boughs.first_entry() else { return };
        let Some(mut limb) = bough.get_mut().limbs.first_entry() else { return };
        limb.get_mut().leaves.pop_first();
        if limb.get().leaves.is_empty() {
            limb.remove();
        }
        if bough.get().limbs.is_empty() {
            bough.remove();
        }
    }

    /// Leaves that are not let through have nothing more to try.
    pub fn retain(&mut self, lets: impl Fn(usize) -> bool) {
        self.boughs.retain(|_, bough| {
            bough.limbs.retain(|_, limb| {
                limb.leaves.retain(|_, leaf| lets(*leaf));
                !limb.leaves.is_empty()
            });
            !bough.limbs.is_empty()
        });
    }

    /// The leaf whose turn it is was served: puts it where it belongs by the shares' meters, and by `charge` beside
    /// them (milli-GPU x milliseconds, for this pass only).
    pub fn served(&mut self, shares: &Shares, charge: u128) {
        let Some(((_, party), mut bough)) = self.boughs.pop_first() else { return };
        if let Some(((_, id), mut limb)) = bough.limbs.pop_first() {
            if let Some(((old, user), leaf)) = limb.leaves.pop_first() {
                let fresh = key(&shares.leaves[leaf].meter, 0, 1);
                limb.leaves.insert((if charge == 0 { fresh } else { old + (charge << PLACES) }, user), leaf);
            }
            limb.extra += charge;
            let project = &shares.projects[limb.project];
            bough.limbs.insert((key(&project.meter, limb.extra, u64::from(project.weight)), id), limb);
        }
        bough.extra += charge;
        let owner = &shares.owners[bough.owner];
        self.boughs.insert((key(&owner.meter, bough.extra, owner.weight), party), bough);
    }
}

fn limbs(shares: &mut Shares, owner: usize, now: Time) -> Ordered<ProjectId, Limb> {
    let mut limbs = BTreeMap::new();
    for place in 0..shares.owners[owner].projects.len() {
        let project = shares.owners[owner].projects[place];
        if shares.projects[project].waiting == 0 {
            continue;
        }
        shares.projects[project].meter.advance(now, &mut shares.decay);
        let mut leaves = BTreeMap::new();
        for place in 0..shares.projects[project].leaves.len() {
            let index = shares.projects[project].leaves[place];
            let leaf = &mut shares.leaves[index];
            if leaf.waiting > 0 {
                leaf.meter.advance(now, &mut shares.decay);
                leaves.insert((key(&leaf.meter, 0, 1), leaf.user), index);
            }
        }
        let share = &shares.projects[project];
        let key = key(&share.meter, 0, u64::from(share.weight));
        limbs.insert((key, share.id), Limb { project, extra: 0, leaves });
    }
    limbs
}
