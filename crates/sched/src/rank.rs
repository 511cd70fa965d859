//! Who is next: the leaves that still have something to try in this cycle, as a tree in order of standing.
//!
//! Invariants: a branch without leaves is not in the tree; ties go to the smaller id.
use crate::share::{Meter, Shares};
use alloc::vec::Vec;
use madang_model::{PartyId, ProjectId, Span, Time, UserId};

/// Binary places of a key, so that small differences in use count beside large weights.
const PLACES: u32 = 20;

#[derive(Debug)]
struct Twig {
    key: (u128, UserId),
    leaf: usize,
}

#[derive(Debug)]
struct Limb {
    key: (u128, ProjectId),
    project: usize,
    extra: u128,
    twigs: Vec<Twig>,
}

#[derive(Debug)]
struct Bough {
    key: (u128, PartyId),
    owner: usize,
    extra: u128,
    limbs: Vec<Limb>,
}

/// Where a leaf is in the tree.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    pub leaf: usize,
    at: (usize, usize, usize),
}

/// The tree of one pass.
#[derive(Debug)]
pub(crate) struct Ranking {
    boughs: Vec<Bough>,
}

fn key(meter: &Meter, extra: u128, weight: u64) -> u128 {
    ((meter.level() + extra) << PLACES) / u128::from(weight)
}

impl Ranking {
    /// All leaves with something waiting, their meters brought up to now.
    pub fn new(shares: &mut Shares, now: Time) -> Ranking {
        let mut boughs = Vec::new();
        for owner in 0..shares.owners.len() {
            if shares.owners[owner].waiting > 0 {
                shares.owners[owner].meter.advance(now, &mut shares.decay);
                let limbs = limbs(shares, owner, now);
                let share = &shares.owners[owner];
                boughs.push(Bough { key: (key(&share.meter, 0, share.weight), share.id), owner, extra: 0, limbs });
            }
        }
        Ranking { boughs }
    }

    /// What serving a job that would hold this many milli-GPUs counts for within a pass.
    pub fn charge(rate: u64) -> u128 {
        u128::from(rate) * u128::from(Span::from_hours(1).millis())
    }

    /// The leaf whose turn it is.
    pub fn next(&self) -> Option<Turn> {
        let first = |keys: &mut dyn Iterator<Item = (u128, u32)>| keys.enumerate().min_by_key(|(_, key)| *key);
        let (o, _) = first(&mut self.boughs.iter().map(|bough| (bough.key.0, bough.key.1.number())))?;
        let limbs = &self.boughs[o].limbs;
        let (p, _) = first(&mut limbs.iter().map(|limb| (limb.key.0, limb.key.1.number())))?;
        let twigs = &limbs[p].twigs;
        let (u, _) = first(&mut twigs.iter().map(|twig| (twig.key.0, twig.key.1.number())))?;
        Some(Turn { leaf: twigs[u].leaf, at: (o, p, u) })
    }

    /// The leaf has nothing more to try.
    pub fn drop(&mut self, turn: Turn) {
        let (o, p, u) = turn.at;
        let bough = &mut self.boughs[o];
        bough.limbs[p].twigs.swap_remove(u);
        if bough.limbs[p].twigs.is_empty() {
            bough.limbs.swap_remove(p);
        }
        if bough.limbs.is_empty() {
            self.boughs.swap_remove(o);
        }
    }

    /// Puts the leaf's path where it belongs after it was served, by the shares' meters and by `charge` beside them
    /// (milli-GPU x milliseconds, for this pass only).
    pub fn served(&mut self, turn: Turn, shares: &Shares, charge: u128) {
        let (o, p, u) = turn.at;
        let bough = &mut self.boughs[o];
        bough.extra += charge;
        bough.key.0 = key(&shares.owners[bough.owner].meter, bough.extra, shares.owners[bough.owner].weight);
        let limb = &mut bough.limbs[p];
        limb.extra += charge;
        let project = &shares.projects[limb.project];
        limb.key.0 = key(&project.meter, limb.extra, u64::from(project.weight));
        let twig = &mut limb.twigs[u];
        twig.key.0 =
            if charge == 0 { key(&shares.leaves[twig.leaf].meter, 0, 1) } else { twig.key.0 + (charge << PLACES) };
    }
}

fn limbs(shares: &mut Shares, owner: usize, now: Time) -> Vec<Limb> {
    let mut limbs = Vec::new();
    for place in 0..shares.owners[owner].projects.len() {
        let project = shares.owners[owner].projects[place];
        if shares.projects[project].waiting == 0 {
            continue;
        }
        shares.projects[project].meter.advance(now, &mut shares.decay);
        let mut twigs = Vec::new();
        for place in 0..shares.projects[project].leaves.len() {
            let index = shares.projects[project].leaves[place];
            let leaf = &mut shares.leaves[index];
            if leaf.waiting > 0 {
                leaf.meter.advance(now, &mut shares.decay);
                twigs.push(Twig { key: (key(&leaf.meter, 0, 1), leaf.user), leaf: index });
            }
        }
        let share = &shares.projects[project];
        let key = (key(&share.meter, 0, u64::from(share.weight)), share.id);
        limbs.push(Limb { key, project, extra: 0, twigs });
    }
    limbs
}
