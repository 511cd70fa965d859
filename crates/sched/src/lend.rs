//! What an owner is guaranteed, what it lends, and what it may borrow.
//!
//! A guarantee is a number of GPUs: the owner's share of what takes work at each site. What of it is idle is lent by
//! itself, because whoever comes first may start on it; [`crate::Lending`] says who keeps some back or may not borrow
//! without end. Within its guarantee an owner is never held up by these limits.
use crate::queue::Waiting;
use crate::scheduler::Scheduler;
use alloc::collections::BTreeMap;
use madang_model::{Blocked, MilliGpus, PartyId, Request};

/// One, in basis points.
const WHOLE: u64 = 10_000;

/// Milli-GPUs of the whole gang, however absurd the request.
pub(crate) fn gpus_of(request: &Request) -> u64 {
    request.parts.iter().fold(0u64, |sum, part| sum.saturating_add(u64::from(part.nodes).saturating_mul(part.milli())))
}

impl Scheduler {
    /// Milli-GPUs guaranteed to the owner now.
    pub(crate) fn guarantee(&self, owner: usize) -> u64 {
        self.shares.owners[owner].guaranteed
    }

    /// Milli-GPUs that the owner's runs hold and will go on to hold.
    pub(crate) fn staying(&self, owner: usize) -> u64 {
        let owner = &self.shares.owners[owner];
        owner.held - owner.leaving
    }

    /// Milli-GPUs of its guarantee that the owner does not lend, even when idle.
    fn kept(&self, owner: usize) -> u64 {
        let lending = self.config.lending.get(&self.shares.owners[owner].id);
        lending.map_or(0, |lending| self.guarantee(owner) * u64::from(lending.keep).min(WHOLE) / WHOLE)
    }

    /// Milli-GPUs that the owner may hold now.
    fn most(&self, owner: usize) -> u64 {
        if self.config.lending.is_empty() {
            return u64::MAX;
        }
        let own = self.guarantee(owner);
        let lending = self.config.lending.get(&self.shares.owners[owner].id);
        let borrow = lending.and_then(|lending| lending.borrow);
        let most = borrow.map_or(u64::MAX, |points| own + own * u64::from(points) / WHOLE);
        let owners = 0..self.shares.owners.len();
        let unlent = |other: usize| self.kept(other).saturating_sub(self.shares.owners[other].held);
        let unlent: u64 = owners.filter(|other| *other != owner).map(unlent).sum();
        if unlent == 0 {
            return most;
        }
        let up = self.cluster.up.iter().sum::<u64>() * 1000;
        let held: u64 = self.shares.owners.iter().map(|owner| owner.held).sum();
        let free = up.saturating_sub(held).saturating_sub(unlent);
        most.min(own.max(self.shares.owners[owner].held + free))
    }

    /// True if the project's owner may hold what the request asks for besides what it holds.
    pub(crate) fn may_hold(&self, project: usize, request: &Request) -> bool {
        if self.config.lending.is_empty() {
            return true;
        }
        let (owner, gpus) = (self.shares.projects[project].owner, gpus_of(request));
        gpus == 0 || self.shares.owners[owner].held.saturating_add(gpus) <= self.most(owner)
    }

    /// What an owner's limit has to say about a waiting job.
    pub(crate) fn owner_limit(&self, waiting: &Waiting) -> Option<Blocked> {
        let project = self.shares.leaves[waiting.leaf].project;
        if self.may_hold(project, &self.queue.kind(waiting).1.request) {
            return None;
        }
        let owner = self.shares.projects[project].owner;
        let milli = |gpus: u64| MilliGpus::new(u32::try_from(gpus).unwrap_or(u32::MAX));
        Some(Blocked::OwnerLimit { holds: milli(self.shares.owners[owner].held), most: milli(self.most(owner)) })
    }

    /// Counts again what each owner is guaranteed: a node has come or gone.
    pub(crate) fn recount_guarantees(&mut self) {
        self.shares.owners.iter_mut().for_each(|owner| owner.guaranteed = 0);
        for (shares, up) in self.estate.shares.iter().zip(&self.cluster.up) {
            let mut points: BTreeMap<PartyId, u64> = BTreeMap::new();
            for (id, share) in shares {
                *points.entry(*id).or_insert(0) += u64::from(*share);
            }
            for (id, points) in points {
                if let Some(owner) = self.shares.known_owner(id) {
                    self.shares.owners[owner].guaranteed += points * up * 1000 / WHOLE;
                }
            }
        }
    }

    /// Counts again what each owner is guaranteed and holds: a project has moved.
    pub(crate) fn recount(&mut self) {
        self.recount_guarantees();
        for owner in &mut self.shares.owners {
            (owner.held, owner.leaving) = (0, 0);
        }
        for run in self.runs.values() {
            let owner = self.shares.owner_of(run.leaf);
            let (owner, gpus) = (&mut self.shares.owners[owner], run.gpus);
            owner.held += gpus;
            owner.leaving += if run.life.leaving.is_some() { gpus } else { 0 };
        }
    }
}
