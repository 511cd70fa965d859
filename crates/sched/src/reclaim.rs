//! Taking back: an owner below its guarantee gets back what it lent, and urgent work pre-empts what can wait.
//!
//! Intuition: for each node it is worked out what it would cost to make room there for a part of the gang, and the gang
//! is then placed on the cheapest nodes by the same code that places it on free ones. What that placement needs gone is
//! tried on a draft, and every run that turns out not to be needed is let go again. Only then is anybody told to stop,
//! and in the same moment the job has a promise on the nodes, so that nothing else gets into the room.
//!
//! Invariants: no run is stopped unless the job was placed without it; a gang goes whole; an owner that gives back stays
//! at or above its guarantee, unless what it gives is one gang larger than that, and one that takes stays within it; a job
//! that lost work is left alone until it has done twice as much, so that it comes to its end however long it is; a look
//! that found nothing is not repeated until something changed.
use crate::api::{BrokenBy, Step, Stop, VictimOrder};
use crate::cluster::amount_of;
use crate::draft::Draft;
use crate::estate::Amount;
use crate::lend::gpus_of;
use crate::parts::Stay;
use crate::place::{Candidate, Pick, assemble, enough, first_that_holds};
use crate::prey::{Found, Leaving, Prey};
use crate::promise::{GRACE, Pledge, Promises};
use crate::queue::Rank;
use crate::scheduler::{Run, Scheduler};
use crate::shape::{Fitting, PartPlan, Shape};
use crate::share::Look;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use fixedbitset::FixedBitSet;
use madang_model::{Allocation, JobId, NodeId, Qos, RunId, Time};

/// Most times that a promise is put off while its job waits.
const PUT_OFF: u32 = 2;
/// Most placements that are tried to find runs that need not go.
const TRIALS: usize = 64;
/// Most times that a choice is made again because it would take too much from one owner.
const ROUNDS: usize = 8;

/// A job for which something may be taken back.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub job: JobId,
    pub owner: usize,
    pub qos: Qos,
    /// Milli-GPUs that it asks for.
    gpus: u64,
    /// With it the owner stays within its guarantee, so that borrowers give back.
    pub within: bool,
    /// It may take the place of less urgent work of its owner.
    pub urgent: bool,
    /// When it could start, and be gone for certain.
    pub start: Time,
    end: Time,
    /// Most work that one run may lose for it, in milli-GPUs x milliseconds.
    pub most: u128,
}

/// What is taken for a claim.
struct Taken {
    victims: Vec<RunId>,
    on: Allocation,
    /// When its job can start there.
    start: Time,
    /// Some of them are left alone until then.
    settled: Option<Time>,
}

impl Scheduler {
    /// Takes nodes back for one job, if that helps one. True if it did: others may then be looked at.
    pub(crate) fn take_back(&mut self, now: Time, step: &mut Step) -> bool {
        for owner in 0..self.shares.owners.len() {
            let look = self.shares.owners[owner].look;
            if !look.due && look.at.is_none_or(|at| at > now) {
                continue;
            }
            let mut later = None;
            let claims = self.claims(owner);
            let yielding = if claims.iter().any(|claim| claim.within) { self.yielding(owner) } else { Vec::new() };
            for claim in claims {
                let yielding = if claim.within { yielding.as_slice() } else { &[] };
                match self.find(now, &claim, yielding) {
                    Ok(taken) => {
                        self.take(now, &claim, taken, yielding, step);
                        return true;
                    }
                    Err(time) => later = later.into_iter().chain(time).min(),
                }
            }
            self.shares.owners[owner].look = Look { due: false, at: later };
        }
        false
    }

    /// The owner's promised jobs that may claim something, in rank order.
    fn claims(&self, owner: usize) -> Vec<Claim> {
        let room = self.guarantee(owner).checked_sub(self.expects(owner)).filter(|_| self.config.taking.reclaim);
        let open = self.promises.of_owner(owner).filter(|pledge| !pledge.taken);
        let mut claims: Vec<(Rank, Claim)> =
            open.filter_map(|pledge| Some((pledge.rank, self.claim(pledge, room)?))).collect();
        claims.sort_by_key(|(rank, _)| *rank);
        claims.into_iter().map(|(_, claim)| claim).collect()
    }

    /// What a promised job may claim whose owner has this much of its guarantee left.
    fn claim(&self, pledge: &Pledge, room: Option<u64>) -> Option<Claim> {
        let (taking, job, owner) = (&self.config.taking, pledge.promise.job, pledge.owner);
        let start = self.gone_if_told();
        if pledge.promise.start <= start || pledge.promise.start < start.after(taking.gain) {
            return None;
        }
        let qos = pledge.rank.0.0;
        let urgent = taking.preempts.is_some_and(|least| qos >= least);
        if room.is_none() && !urgent {
            return None;
        }
        let gpus = pledge.gpus();
        let within = gpus > 0 && room.is_some_and(|room| gpus <= room);
        if !within && !urgent {
            return None;
        }
        let end = start.after(pledge.limit).after(GRACE);
        let claims = self.queue.kind(&self.queue.jobs[&job]).1.possible && self.affordable(job);
        let saved = pledge.promise.start.since(start);
        let most = if urgent { u128::MAX } else { u128::from(gpus) * u128::from(saved.millis()) };
        claims.then_some(Claim { job, owner, qos, gpus, within, urgent, start, end, most })
    }

    /// Milli-GPUs that the owner holds and will go on to hold, and those that are being taken back for it.
    fn expects(&self, owner: usize) -> u64 {
        self.staying(owner) + self.promises.coming(owner)
    }

    /// Promises that give way to an owner's claims within its guarantee: their owners would borrow with them and are served
    /// better than it is, and they did not give way too often. So a gang larger than its owner's guarantee starts all the
    /// same.
    fn yielding(&self, owner: usize) -> Vec<JobId> {
        let (ours, due) = (self.expects(owner), self.guarantee(owner));
        let most = PUT_OFF.min(self.config.taking.times);
        let often = |job: JobId| self.put_off.get(&job).copied().unwrap_or(0) >= most;
        let mut yielding = Vec::new();
        for other in self.promises.owners().filter(|other| *other != owner) {
            let (theirs, their_due) = (self.expects(other), self.guarantee(other));
            if u128::from(theirs) * u128::from(due) > u128::from(ours) * u128::from(their_due) {
                let open = self.promises.of_owner(other).filter(|pledge| !pledge.taken);
                let borrows = open.filter(|pledge| theirs + pledge.gpus() > their_due);
                yielding.extend(borrows.map(|pledge| pledge.promise.job).filter(|job| !often(*job)));
            }
        }
        yielding.sort_unstable();
        yielding
    }

    /// Whom to stop for the claim and where its job then goes, or when to look again.
    fn find(&mut self, now: Time, claim: &Claim, yielding: &[JobId]) -> Result<Taken, Option<Time>> {
        let found = self.prey(now, claim);
        let later = found.later;
        if found.prey.is_empty() && yielding.is_empty() {
            return Err(later);
        }
        self.promises.lift(claim.job);
        yielding.iter().for_each(|job| self.promises.lift(*job));
        let mut taken = if yielding.is_empty() { None } else { self.at_once(now, claim) };
        if taken.is_none() {
            taken = self.with_victims(now, claim, found).filter(|taken| {
                // What only yields to it is worth a promise of its own, what is there anyway is not.
                (!taken.victims.is_empty() || !yielding.is_empty()) && (claim.urgent || self.pays(now, claim, taken))
            });
        }
        self.promises.lower(claim.job);
        yielding.iter().for_each(|job| self.promises.lower(*job));
        match taken {
            None => Err(later),
            Some(Taken { settled: Some(until), .. }) => Err(later.into_iter().chain([until]).min()),
            Some(taken) => Ok(taken),
        }
    }

    /// True if the GPU time that the victims lose is no more than what the job's gang would otherwise have waited for.
    fn pays(&self, now: Time, claim: &Claim, taken: &Taken) -> bool {
        let Some(pledge) = self.promises.get(claim.job) else { return false };
        let saved = pledge.promise.start.since(taken.start);
        let lost: u128 = taken.victims.iter().map(|id| self.loses(now, &self.runs[id])).sum();
        lost <= u128::from(claim.gpus) * u128::from(saved.millis())
    }

    /// What the run would lose now, in milli-GPUs x milliseconds.
    pub(crate) fn loses(&self, now: Time, run: &Run) -> u128 {
        u128::from(run.gpus) * u128::from(run.life.lost(now, self.config.taking.cap).millis())
    }

    /// Where the job could start now, were it not for promises that yield to it. It is a promise until it does, and what
    /// starts before it may leave it no other place than that.
    fn at_once(&self, now: Time, claim: &Claim) -> Option<Taken> {
        let on = self.place_least(now, claim.job).ok()?;
        Some(Taken { victims: Vec::new(), on, start: now, settled: None })
    }

    fn with_victims(&mut self, now: Time, claim: &Claim, mut found: Found) -> Option<Taken> {
        let (expects, guarantee) = (self.expects(claim.owner), self.guarantee(claim.owner));
        // Where it takes no part in what is lent, its owner is not to hold more than before.
        let least = if claim.within { 0 } else { (expects + claim.gpus).saturating_sub(guarantee.max(expects)) };
        let mut draft = Draft::new(&mut self.cluster);
        for run in core::mem::take(&mut found.going) {
            draft.vacate(run, self.runs[&run].until, &self.runs[&run].on);
        }
        let shape = self.queue.kind(&self.queue.jobs[&claim.job]).1;
        let (order, promises, runs) = (self.config.taking.order, &self.promises, &self.runs);
        let here = Here::new(&found, runs, self.estate.nodes.len());
        let search = Search { draft, promises, runs, shape, claim, now, order, found, here, banned: BTreeSet::new() };
        search.run().filter(|taken| {
            let own = |run: &&RunId| self.shares.owner_of(runs[*run].leaf) == claim.owner;
            let freed = taken.victims.iter().filter(own).map(|run| runs[run].gpus);
            freed.sum::<u64>() >= least
        })
    }

    /// Out of these runs, those whose leaving costs least to make room for a promised job, and where it then goes.
    pub(crate) fn cheapest_room(&mut self, now: Time, job: JobId, found: Found) -> Option<(Vec<RunId>, Allocation)> {
        let pledge = self.promises.get(job)?;
        let (start, owner, qos) = (self.gone_if_told(), pledge.owner, pledge.rank.0.0);
        let gpus = gpus_of(&self.queue.kind(&self.queue.jobs[&job]).1.request);
        let end = start.after(pledge.limit).after(GRACE);
        let claim = Claim { job, owner, qos, gpus, within: true, urgent: false, start, end, most: u128::MAX };
        self.promises.lift(job);
        let taken = self.with_victims(now, &claim, found);
        self.promises.lower(job);
        taken.map(|taken| (taken.victims, taken.on))
    }

    /// Stops the victims, and promises the job their place for when they are gone.
    fn take(&mut self, now: Time, claim: &Claim, taken: Taken, yielding: &[JobId], step: &mut Step) {
        let mut smaller = Vec::new();
        for id in taken.victims {
            smaller.extend(self.rest_of(id, &taken.on));
            self.note_taken(now, id.job);
            self.send_away(now, id, claim.job, step);
        }
        yielding.iter().for_each(|job| self.promises.lift(*job));
        self.promise_room(claim.job, taken.start, taken.on);
        self.give_way(now, claim.job, yielding, step);
        smaller.into_iter().for_each(|place| self.keep(place, None));
    }

    /// Tells a run to stop so that the job can have its nodes, or go on elsewhere if it is its own.
    pub(crate) fn send_away(&mut self, now: Time, id: RunId, by: JobId, step: &mut Step) {
        self.send_off(now, id, Leaving::For(by));
        let grace = self.config.taking.grace;
        step.stops.push(Stop { run: id, by, grace });
    }

    /// Of promises that are lifted, those stand again that are compatible with the job's; the others are given anew.
    fn give_way(&mut self, now: Time, job: JobId, yielding: &[JobId], step: &mut Step) {
        let mut displaced = Vec::new();
        for other in yielding.iter().copied() {
            self.promises.lower(other);
            let slots = self.promises.get(other).into_iter().flat_map(|pledge| &pledge.promise.on.slots);
            let nodes = slots.map(|slot| slot.node);
            let beside: BTreeSet<JobId> = nodes.flat_map(|node| self.promises.on(node)).collect();
            // What a cap still allows depends on all promises of its site together.
            let capped = !self.cluster.calendar.caps.is_empty();
            if capped || !beside.into_iter().all(|beside| self.promises.holds(&self.cluster, beside, now)) {
                self.promises.lift(other);
                displaced.push(other);
            }
        }
        for other in displaced {
            let before = step.promises.len();
            self.promise_anew(now, other, BrokenBy::Reclaimed(job), step);
            if step.promises.len() > before {
                self.note_put_off(other);
            }
        }
    }

    /// A promise is put off only so often while its job waits, so that a gang that borrows starts in the end.
    fn note_put_off(&mut self, job: JobId) {
        let jobs = &self.queue.jobs;
        self.put_off.retain(|job, _| jobs.contains_key(job));
        *self.put_off.entry(job).or_insert(0) += 1;
    }

    /// True if some owner may find something to take back that was not looked at yet.
    pub(crate) fn looks_are_due(&self) -> bool {
        self.shares.owners.iter().any(|owner| owner.look.due)
    }

    /// A run may be taken once it is settled: whoever waits looks again then.
    pub(crate) fn note_prey(&mut self, now: Time, leaf: usize, qos: Qos) {
        let owner = self.shares.owner_of(leaf);
        let lends = self.staying(owner) > self.guarantee(owner);
        let at = now.after(self.config.taking.settle);
        for (other, share) in self.shares.owners.iter_mut().enumerate().filter(|(_, share)| share.waiting > 0) {
            let lesser = other == owner && qos <= self.config.taking.preemptible;
            if lesser || (lends && other != owner) {
                share.look.at = share.look.at.into_iter().chain(Some(at)).min();
            }
        }
    }

    /// When a look falls due that nothing but time brings.
    pub(crate) fn next_look(&self, now: Time) -> Option<Time> {
        let waiting = self.shares.owners.iter().filter(|owner| owner.waiting > 0);
        waiting.filter_map(|owner| owner.look.at).filter(|at| *at > now).min()
    }
}

/// The search for one claim.
struct Search<'a> {
    draft: Draft<'a>,
    promises: &'a Promises,
    runs: &'a BTreeMap<RunId, Run>,
    shape: &'a Shape,
    claim: &'a Claim,
    now: Time,
    order: VictimOrder,
    found: Found,
    here: Here,
    /// Prey that is let go because its owner would lose too much.
    banned: BTreeSet<usize>,
}

/// The prey on each node, in the order of nodes.
struct Here {
    /// Where each node's begins in the list, and where the last one's ends.
    begins: Vec<usize>,
    list: Vec<(usize, Amount)>,
}

impl Here {
    fn new(found: &Found, runs: &BTreeMap<RunId, Run>, nodes: usize) -> Here {
        let mut strewn = Vec::new();
        let mut begins = alloc::vec![0; nodes + 1];
        for (at, prey) in found.prey.iter().enumerate() {
            for slot in &prey.part.as_ref().unwrap_or(&runs[&prey.run].on).slots {
                strewn.push((slot.node, at, amount_of(slot)));
                begins[slot.node.index() + 1] += 1;
            }
        }
        (0..nodes).for_each(|node| begins[node + 1] += begins[node]);
        let mut next = begins.clone();
        let mut list = alloc::vec![(0, Amount::default()); strewn.len()];
        for (node, at, amount) in strewn {
            list[next[node.index()]] = (at, amount);
            next[node.index()] += 1;
        }
        Here { begins, list }
    }

    fn on(&self, node: NodeId) -> impl Iterator<Item = (usize, Amount)> + Clone + '_ {
        self.list[self.begins[node.index()]..self.begins[node.index() + 1]].iter().copied()
    }

    /// The nodes with any.
    fn nodes(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.begins.len() - 1).filter(|node| self.begins[*node] < self.begins[node + 1])
    }
}

impl Search<'_> {
    fn run(mut self) -> Option<Taken> {
        for _ in 0..ROUNDS {
            let picks = self.cheapest()?;
            let mut victims = BTreeSet::new();
            for pick in &picks {
                victims.extend(self.room_on(pick.node, &pick.asks())?.1);
            }
            match self.too_much(&victims) {
                Some(worst) => {
                    self.banned.insert(worst);
                }
                None => return self.pruned(victims),
            }
        }
        None
    }

    /// The nodes whose most expensive costs least, as far as they can hold the gang together.
    fn cheapest(&mut self) -> Option<Vec<Pick>> {
        let mut offers: BTreeMap<(u32, usize), Vec<(u128, NodeId)>> = BTreeMap::new();
        let estate = self.draft.cluster().estate.clone();
        let shape = self.shape;
        if !shape.parts.iter().all(|plan| self.may_be_made(plan)) {
            return None;
        }
        for (part, plan) in (0u32..).zip(&shape.parts) {
            for fit in &plan.fitting {
                let nodes = self.hopeful(fit);
                let cost = |node: NodeId| Some((self.room_on(node, fit)?.0, node));
                offers.insert((part, fit.pool), nodes.into_iter().filter_map(cost).collect());
            }
        }
        let enough = enough(shape, |part, pool| &offers[&(part, pool)])?;
        let mut costs: Vec<u128> = offers.values().flatten().map(|(cost, _)| *cost).collect();
        costs.sort_unstable();
        costs.dedup();
        let rank = |cost: u128| costs.partition_point(|other| *other < cost) as u32;
        let attempt = |most: u128| {
            let mut offer = |part: u32, fit: &Fitting, list: &mut Vec<Candidate>| {
                let within = offers[&(part, fit.pool)].iter().filter(|(cost, _)| *cost <= most);
                list.extend(within.map(|(cost, node)| Candidate { node: *node, left: rank(*cost) }));
            };
            assemble(shape, &estate, &mut offer).ok()
        };
        first_that_holds(costs.iter().copied(), enough, attempt).map(|(_, picks)| picks)
    }

    /// The nodes of a pool that have room for the part, or prey, in their order.
    fn hopeful(&self, fit: &Fitting) -> Vec<NodeId> {
        let (cluster, pool) = (self.draft.cluster(), &self.draft.cluster().estate.pools[fit.pool]);
        let mut slots = FixedBitSet::with_capacity(pool.nodes.len());
        let least = if fit.piece.is_some() { 0 } else { fit.need.gpus as usize };
        cluster.free[fit.pool].iter().skip(least).for_each(|nodes| slots.union_with(nodes));
        let facts = self.here.nodes().map(|node| &cluster.estate.nodes[node]);
        facts.filter(|facts| facts.pool == fit.pool).for_each(|facts| slots.insert(facts.slot));
        slots.ones().map(|slot| pool.nodes[slot]).filter(|node| cluster.nodes[node.index()].up).collect()
    }

    /// True if enough nodes could be had for the part, were all their prey gone and were there no promises.
    fn may_be_made(&self, plan: &PartPlan) -> bool {
        let cluster = self.draft.cluster();
        let lets = |fit: &Fitting, node: NodeId| {
            let here = self.here.on(node);
            let free = here.clone().fold(cluster.free_of(node), |sum, (_, amount)| sum.plus(amount));
            self.fits(node, fit, free, here.map(|(at, _)| at))
        };
        let nodes =
            plan.fitting.iter().flat_map(|fit| self.hopeful(fit).into_iter().filter(move |node| lets(fit, *node)));
        nodes.take(plan.nodes as usize).count() == plan.nodes as usize
    }

    /// True if the part fits with this free on the node, these of the prey gone. Who gives back a part of a device frees
    /// none as long as others hold parts of it, so that it is not enough to add up.
    fn fits(&self, node: NodeId, fit: &Fitting, free: Amount, gone: impl Iterator<Item = usize> + Clone) -> bool {
        let cluster = self.draft.cluster();
        if fit.piece.is_none() && cluster.nodes[node.index()].shared == 0 {
            return fit.need.within(free);
        }
        cluster.fits_without(node, fit, &|run| gone.clone().any(|at| self.found.prey[at].run == run))
    }

    /// What it costs to make room on the node, and whose going makes it; `None` if nothing does.
    fn room_on(&mut self, node: NodeId, fit: &Fitting) -> Option<(u128, Vec<usize>)> {
        let cluster = self.draft.cluster();
        if !cluster.nodes[node.index()].up || !self.shape.allows(node) {
            return None;
        }
        let free = cluster.free_of(node);
        let mut gone: Vec<(u128, usize, Amount)> = Vec::new();
        if !self.fits(node, fit, free, core::iter::empty()) {
            let here = self.here.on(node).filter(|(at, _)| !self.banned.contains(at));
            let all = here.clone().fold(free, |sum, (_, amount)| sum.plus(amount));
            if !self.fits(node, fit, all, here.clone().map(|(at, _)| at)) {
                return None;
            }
            let mut here: Vec<(u128, usize, Amount)> =
                here.map(|(at, amount)| (self.part_of(&self.found.prey[at]), at, amount)).collect();
            here.sort_unstable();
            gone = self.cheapest_here(node, fit, here);
        }
        self.is_clear(node, fit, &gone).then(|| {
            let parts = gone.iter().map(|(part, ..)| *part);
            let cost = if self.order == VictimOrder::LeastLost { parts.sum() } else { parts.max().unwrap_or(0) };
            (cost, gone.into_iter().map(|(_, at, _)| at).collect())
        })
    }

    /// Of the prey on a node, all of which would make room, the cheapest first until there is room, and of these only
    /// what is needed.
    fn cheapest_here(
        &self,
        node: NodeId,
        fit: &Fitting,
        here: Vec<(u128, usize, Amount)>,
    ) -> Vec<(u128, usize, Amount)> {
        let mut free = self.draft.cluster().free_of(node);
        let mut gone: Vec<(u128, usize, Amount)> = Vec::new();
        for one in here {
            free = free.plus(one.2);
            gone.push(one);
            if self.fits(node, fit, free, gone.iter().map(|(_, at, _)| *at)) {
                break;
            }
        }
        for index in (0..gone.len()).rev() {
            let mut fewer = gone.clone();
            let (_, _, amount) = fewer.remove(index);
            if self.fits(node, fit, free.minus(amount), fewer.iter().map(|(_, at, _)| *at)) {
                (free, gone) = (free.minus(amount), fewer);
            }
        }
        gone
    }

    /// True if no promise of others would be delayed there with these gone.
    fn is_clear(&mut self, node: NodeId, fit: &Fitting, gone: &[(u128, usize, Amount)]) -> bool {
        if !self.promises.are_on(node) {
            return true;
        }
        let part = |at: usize| {
            let id = self.found.prey[at].run;
            let run = &self.runs[&id];
            let slots = run.on.slots.iter().filter(|slot| slot.node == node).copied().collect();
            (id, run.until, Allocation { slots })
        };
        let parts: Vec<_> = gone.iter().map(|(_, at, _)| part(*at)).collect();
        let (promises, stay) = (self.promises, Stay { now: self.now, end: self.claim.end, starts: false });
        self.draft.without(&parts, |cluster| promises.seat(cluster, node, fit, stay).is_ok())
    }

    /// A run's price as far as one node goes: a gang that makes room on several nodes is paid for once.
    fn part_of(&self, prey: &Prey) -> u128 {
        let nodes = prey.nodes.min(u64::from(self.shape.nodes()));
        match self.order {
            VictimOrder::LeastLost if nodes > 1 => prey.price / u128::from(nodes),
            VictimOrder::LeastLost => prey.price,
            VictimOrder::Youngest | VictimOrder::Largest => prey.price,
        }
    }

    /// The most expensive run of an owner that would lose more than it may.
    fn too_much(&self, victims: &BTreeSet<usize>) -> Option<usize> {
        let prey = |at: &usize| &self.found.prey[*at];
        let lost = |owner: usize| -> u64 {
            victims.iter().map(prey).filter(|prey| prey.owner == owner).map(|prey| prey.gpus).sum()
        };
        let others = (0..self.found.excess.len()).filter(|owner| *owner != self.claim.owner);
        let poorer = others.into_iter().find(|owner| lost(*owner) > self.found.excess[*owner])?;
        let own = victims.iter().filter(|at| prey(at).owner == poorer);
        own.copied().max_by_key(|at| (prey(at).price, *at))
    }

    /// Lets every run go that the gang does not need gone, the most expensive first.
    fn pruned(&mut self, victims: BTreeSet<usize>) -> Option<Taken> {
        let base = self.draft.mark();
        let mut needed: Vec<usize> = victims.into_iter().collect();
        needed.sort_by_key(|at| core::cmp::Reverse((self.found.prey[*at].price, *at)));
        let mut on = self.placed_without(&needed)?;
        let mut at = 0;
        for _ in 0..TRIALS.min(needed.len()) {
            self.draft.rewind(base);
            let mut fewer = needed.clone();
            fewer.remove(at);
            match self.placed_without(&fewer) {
                Some(other) => (needed, on) = (fewer, other),
                None => at += 1,
            }
        }
        self.draft.rewind(base);
        let victims: Vec<RunId> = needed.iter().map(|at| self.found.prey[*at].run).collect();
        let settled = needed.iter().filter_map(|at| self.found.prey[*at].settles).max();
        Some(Taken { victims, on, start: self.claim.start, settled })
    }

    fn placed_without(&mut self, victims: &[usize]) -> Option<Allocation> {
        for at in victims {
            let Prey { run, part, .. } = &self.found.prey[*at];
            match part {
                Some(part) => self.draft.vacate_part(*run, self.runs[run].until, part),
                None => self.draft.vacate(*run, self.runs[run].until, &self.runs[run].on),
            }
        }
        self.draft.place(self.shape, self.promises, self.now, self.claim.end)
    }
}
