//! The share tree: owner, project, user; and how much each has used of late.
//!
//! Past use fades with a half-life. A meter's figure after a span of any length is exact up to rounding: use held at a
//! constant rate is integrated in closed form, so it does not matter how often a meter is read. All of it is integer
//! arithmetic with a table of powers of two; the same history gives the same figures everywhere.
//!
//! Intuition: at each level the child goes first that has least use for its weight. What a child holds now counts as if
//! held for a further [`AHEAD`], so that a share that has just been served lets others go first.
use crate::api::Budget;
use crate::estate::Estate;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use madang_model::{PartyId, ProjectId, Span, Time, UserId};
use serde::{Deserialize, Serialize};

/// How long what is held now counts in advance.
const AHEAD: u128 = Span::from_hours(1).millis() as u128;
/// One, in the fixed point of [`Decay`].
const ONE: u128 = 1 << 63;
/// Bits of the exponent that the table resolves.
const BITS: u32 = 48;
/// Entry k is two to the power of minus two to the power of minus (k + 1).
const ROOTS: [u64; BITS as usize] = [
    0x5a827999fcef3242,
    0x6ba27e656b4eb57a,
    0x75606373ee921c97,
    0x7a92be8a92436616,
    0x7d41d96db915019d,
    0x7e9f06067a4360ba,
    0x7f4f08ae3dc7c426,
    0x7fa765aca88f6453,
    0x7fd3ab290e46d769,
    0x7fe9d3a8e07bf086,
    0x7ff4e9597bed93ab,
    0x7ffa748dff8dc61f,
    0x7ffd3a3f50020332,
    0x7ffe9d1dbc0a75aa,
    0x7fff4e8e6306ed59,
    0x7fffa74712c3cdfd,
    0x7fffd3a381b1fa29,
    0x7fffe9d1beed018a,
    0x7ffff4e8defb81d7,
    0x7ffffa746f5f012f,
    0x7ffffd3a37a7d0a8,
    0x7ffffe9d1bd1fc58,
    0x7fffff4e8de8832d,
    0x7fffffa746f422d7,
    0x7fffffd3a37a09bb,
    0x7fffffe9d1bd02f2,
    0x7ffffff4e8de80fe,
    0x7ffffffa746f4060,
    0x7ffffffd3a37a028,
    0x7ffffffe9d1bd012,
    0x7fffffff4e8de809,
    0x7fffffffa746f404,
    0x7fffffffd3a37a02,
    0x7fffffffe9d1bd01,
    0x7ffffffff4e8de81,
    0x7ffffffffa746f40,
    0x7ffffffffd3a37a0,
    0x7ffffffffe9d1bd0,
    0x7fffffffff4e8de8,
    0x7fffffffffa746f4,
    0x7fffffffffd3a37a,
    0x7fffffffffe9d1bd,
    0x7ffffffffff4e8df,
    0x7ffffffffffa746f,
    0x7ffffffffffd3a38,
    0x7ffffffffffe9d1c,
    0x7fffffffffff4e8e,
    0x7fffffffffffa747,
];

/// How past use fades.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decay {
    half_life: u64,
    /// The use that a rate of one comes to after a time without end: half-life over the natural logarithm of two.
    endless: u128,
    /// The last span asked for and its factor: most meters are read at the same moments.
    last: (u64, u128),
}

impl Decay {
    /// A half-life between one second and ten years; beyond that it is taken as the nearer of the two.
    pub fn new(half_life: Span) -> Decay {
        let bounds = (Span::from_secs(1).millis(), Span::from_days(3650).millis());
        let half_life = half_life.millis().clamp(bounds.0, bounds.1);
        let endless = u128::from(half_life) * 1_442_695_041 / 1_000_000_000;
        Decay { half_life, endless, last: (0, ONE) }
    }

    /// What is left of one after this many milliseconds, in fixed point.
    fn factor(&mut self, millis: u64) -> u128 {
        if self.last.0 == millis {
            return self.last.1;
        }
        let halvings = millis / self.half_life;
        let part = (u128::from(millis % self.half_life) << BITS) / u128::from(self.half_life);
        let mut factor = if halvings < 63 { ONE >> halvings } else { 0 };
        for (k, root) in (0u32..).zip(ROOTS) {
            if part >> (BITS - 1 - k) & 1 == 1 {
                factor = (factor * u128::from(root)) >> 63;
            }
        }
        self.last = (millis, factor);
        factor
    }
}

/// Faded use in milli-GPU x milliseconds, and the milli-GPUs held now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Meter {
    pub usage: u64,
    pub rate: u64,
    pub at: Time,
}

impl Meter {
    /// Brings the figure up to now.
    pub fn advance(&mut self, now: Time, decay: &mut Decay) {
        let span = now.since(self.at).millis();
        if span == 0 {
            return;
        }
        self.at = now;
        if self.usage == 0 && self.rate == 0 {
            return;
        }
        let left = decay.factor(span);
        let kept = (u128::from(self.usage) * left) >> 63;
        let added = (u128::from(self.rate) * decay.endless * (ONE - left)) >> 63;
        self.usage = u64::try_from(kept + added).unwrap_or(u64::MAX);
    }

    /// What its standing goes by.
    pub fn level(&self) -> u128 {
        u128::from(self.usage) + u128::from(self.rate) * AHEAD
    }
}

/// An owner's share.
#[derive(Clone, Debug)]
pub(crate) struct Owner {
    pub id: PartyId,
    pub weight: u64,
    pub meter: Meter,
    pub waiting: u32,
    /// Indices of its projects, ascending by id.
    pub projects: Vec<usize>,
    /// True when a blocked job of it may want a promise that was not looked at yet.
    pub unpromised: bool,
    /// Milli-GPUs that its runs hold, and those of them that are leaving.
    pub held: u64,
    pub leaving: u64,
    /// Milli-GPUs that are guaranteed to it now.
    pub guaranteed: u64,
    /// When to look again for something to take back for it.
    pub look: Look,
    /// Promises given by standing since one was given by turns.
    pub by_standing: u32,
    /// None of its leaves with something waiting stands in line since an earlier moment.
    pub first_lined: Time,
    /// Since when it stands in line for a promise among owners; see [`crate::turns`].
    pub lined: Time,
}

/// When to look again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Look {
    /// Something changed since the last look.
    pub due: bool,
    /// A run may be taken from then on that may not be before.
    pub at: Option<Time>,
}

/// A project's share.
#[derive(Clone, Debug)]
pub(crate) struct Project {
    pub id: ProjectId,
    pub owner: usize,
    pub weight: u32,
    pub budget: Budget,
    pub meter: Meter,
    pub waiting: u32,
    /// Indices of its leaves, ascending by user.
    pub leaves: Vec<usize>,
}

/// A user within a project: a leaf of the tree.
#[derive(Clone, Debug)]
pub(crate) struct Leaf {
    pub user: UserId,
    pub project: usize,
    pub meter: Meter,
    pub waiting: u32,
    /// Since when it stands in line for a promise by turns; see [`crate::turns`].
    pub lined: Time,
}

/// The tree.
#[derive(Clone, Debug)]
pub(crate) struct Shares {
    pub decay: Decay,
    pub owners: Vec<Owner>,
    pub projects: Vec<Project>,
    pub leaves: Vec<Leaf>,
    by_owner: BTreeMap<PartyId, usize>,
    by_project: BTreeMap<ProjectId, usize>,
    by_leaf: BTreeMap<(usize, UserId), usize>,
}

impl Shares {
    pub fn new(half_life: Span, estate: &Estate) -> Shares {
        let mut shares = Shares {
            decay: Decay::new(half_life),
            owners: Vec::new(),
            projects: Vec::new(),
            leaves: Vec::new(),
            by_owner: BTreeMap::new(),
            by_project: BTreeMap::new(),
            by_leaf: BTreeMap::new(),
        };
        for (id, weight) in &estate.owners {
            shares.owner(*id, *weight);
        }
        shares
    }

    /// The owner's index; an owner without a share of any site weighs one.
    pub fn owner(&mut self, id: PartyId, weight: u64) -> usize {
        *self.by_owner.entry(id).or_insert_with(|| {
            let (weight, meter) = (weight.max(1), Meter::default());
            let look = Look::default();
            let projects = Vec::new();
            self.owners.push(Owner {
                id,
                weight,
                meter,
                waiting: 0,
                projects,
                unpromised: false,
                held: 0,
                leaving: 0,
                guaranteed: 0,
                look,
                by_standing: 0,
                first_lined: Time::default(),
                lined: Time::default(),
            });
            self.owners.len() - 1
        })
    }

    /// The index of an owner that is known.
    pub fn known_owner(&self, id: PartyId) -> Option<usize> {
        self.by_owner.get(&id).copied()
    }

    /// Makes the project known, or changes its weight or owner.
    pub fn set_project(&mut self, id: ProjectId, owner: PartyId, weight: u32) {
        let owner = self.owner(owner, 1);
        if let Some(index) = self.project(id) {
            self.projects[index].weight = weight.max(1);
            self.move_project(index, owner);
            return;
        }
        let index = self.projects.len();
        let weight = weight.max(1);
        let (budget, meter) = (Budget::NoAward, Meter::default());
        self.projects.push(Project { id, owner, weight, budget, meter, waiting: 0, leaves: Vec::new() });
        self.by_project.insert(id, index);
        self.adopt(owner, index);
    }

    /// What the project holds and waits for counts for its new owner from now on; past use stays with the old.
    fn move_project(&mut self, index: usize, to: usize) {
        let from = self.projects[index].owner;
        if from == to {
            return;
        }
        let (rate, waiting) = (self.projects[index].meter.rate, self.projects[index].waiting);
        self.owners[from].projects.retain(|project| *project != index);
        self.owners[from].meter.rate -= rate;
        self.owners[from].waiting -= waiting;
        self.owners[to].meter.rate += rate;
        self.owners[to].waiting += waiting;
        self.projects[index].owner = to;
        self.adopt(to, index);
    }

    fn adopt(&mut self, owner: usize, project: usize) {
        let id = self.projects[project].id;
        // Its leaves may stand in line for longer than what was found out of the owner's others.
        self.owners[owner].first_lined = Time::default();
        let at = self.owners[owner].projects.partition_point(|other| self.projects[*other].id < id);
        self.owners[owner].projects.insert(at, project);
    }

    pub fn project(&self, id: ProjectId) -> Option<usize> {
        self.by_project.get(&id).copied()
    }

    /// The leaf of a user in a project, made when it is first wanted.
    pub fn leaf(&mut self, project: usize, user: UserId) -> usize {
        if let Some(leaf) = self.by_leaf.get(&(project, user)) {
            return *leaf;
        }
        let index = self.leaves.len();
        self.leaves.push(Leaf { user, project, meter: Meter::default(), waiting: 0, lined: Time::default() });
        self.by_leaf.insert((project, user), index);
        let at = self.projects[project].leaves.partition_point(|other| self.leaves[*other].user < user);
        self.projects[project].leaves.insert(at, index);
        index
    }

    pub fn owner_of(&self, leaf: usize) -> usize {
        self.projects[self.leaves[leaf].project].owner
    }

    /// Counts one more (or one less) waiting job along the leaf's path.
    pub fn wait(&mut self, leaf: usize, more: bool) {
        let project = self.leaves[leaf].project;
        let owner = self.projects[project].owner;
        let counts =
            [&mut self.leaves[leaf].waiting, &mut self.projects[project].waiting, &mut self.owners[owner].waiting];
        for count in counts {
            *count = if more { *count + 1 } else { *count - 1 };
        }
    }

    /// Counts a rate held from now on (or no longer) along the leaf's path.
    pub fn hold(&mut self, leaf: usize, rate: u64, now: Time, more: bool) {
        let project = self.leaves[leaf].project;
        let owner = self.projects[project].owner;
        let meters = [&mut self.leaves[leaf].meter, &mut self.projects[project].meter, &mut self.owners[owner].meter];
        for meter in meters {
            meter.advance(now, &mut self.decay);
            meter.rate = if more { meter.rate + rate } else { meter.rate - rate };
        }
    }
}
