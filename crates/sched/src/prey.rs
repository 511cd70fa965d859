//! Who may be taken back, and at what price.
//!
//! A run may be taken for a job within its owner's guarantee if its own owner stays at or above its guarantee without
//! it; so nobody takes back what was just taken from them. A gang larger than all that its owner is due borrows as a
//! whole, and may be taken while its owner holds more than that; it cannot be claimed again. Within one owner an urgent
//! job may take what asked for little urgency. Either way a run is left alone at first, and a job suffers only so often
//! ([`crate::Taking`]). A run that is left alone for the moment is weighed with the others: where it will be the better
//! choice, it is waited for.
use crate::api::VictimOrder;
use crate::promise::gone;
use crate::reclaim::Claim;
use crate::scheduler::{Run, Scheduler};
use alloc::vec::Vec;
use madang_model::{Allocation, Checkpoints, JobId, Qos, RunId, Span, Time};
use serde::{Deserialize, Serialize};

/// What taking a run back depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Life {
    /// When it was started.
    pub since: Time,
    /// When its job was asked for.
    #[serde(default)]
    pub asked: Time,
    pub qos: Qos,
    /// How often it says that it writes a checkpoint.
    pub every: Option<Span>,
    /// The last checkpoint that was reported.
    pub saved: Option<Time>,
    pub leaving: Option<Leaving>,
    /// Until when no growth is looked for.
    #[serde(default)]
    pub quiet: Time,
}

impl Life {
    /// What is lost if the run ends now, at most `cap`.
    pub fn lost(self, now: Time, cap: Span) -> Span {
        Checkpoints { since: self.since, saved: self.saved, every: self.every }.lost(now, cap)
    }
}

/// Why a run is on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Leaving {
    /// This job takes its place.
    For(JobId),
    /// Its job goes on elsewhere, in a place that is kept for it.
    Moved,
    /// Cancelled, requeued, out of time.
    Otherwise,
}

/// A run that may be taken back.
#[derive(Clone, Debug)]
pub(crate) struct Prey {
    pub run: RunId,
    pub owner: usize,
    /// Milli-GPUs that count against what its owner may lose.
    pub gpus: u64,
    /// What it costs; less is taken first.
    pub price: u128,
    /// Nodes that it holds, or that it would give.
    pub nodes: u64,
    /// What it would give of an allocation too large to be taken whole; its job goes on with the rest.
    pub part: Option<Allocation>,
    /// Until when it is left alone because it has just started; its price is what it will be then.
    pub settles: Option<Time>,
}

/// What there is to take for a claim.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    /// Ascending by run.
    pub prey: Vec<Prey>,
    /// Runs that will be gone by the claim's start anyway.
    pub going: Vec<RunId>,
    /// When a job's bound lets a run be taken that may not be now.
    pub later: Option<Time>,
    /// By owner: milli-GPUs that it may lose.
    pub excess: Vec<u64>,
}

/// The last nodes of a run that may go on smaller, as many as come to no more than this many milli-GPUs.
fn spare_part(run: &Run, most: u64) -> Option<Allocation> {
    let request = run.request.as_deref().filter(|request| request.resizes())?;
    let each = u64::from(request.parts.first()?.gpus) * 1000;
    let more = (run.on.slots.len() as u64).saturating_sub(u64::from(request.nodes()));
    let gives = more.min(most.checked_div(each)?) as usize;
    let slots = run.on.slots[run.on.slots.len() - gives..].to_vec();
    (gives > 0).then_some(Allocation { slots })
}

impl Scheduler {
    /// All runs that may be taken for the claim. Nothing if nobody has anything to give.
    pub(crate) fn prey(&self, now: Time, claim: &Claim) -> Found {
        if !claim.within && self.staying(claim.owner) == 0 {
            return Found::default();
        }
        let owners = 0..self.shares.owners.len();
        let excess: Vec<u64> = owners.map(|owner| self.excess(owner, claim)).collect();
        let mut found = Found { excess, ..Found::default() };
        if !claim.urgent && found.excess.iter().all(|excess| *excess == 0) {
            return found;
        }
        for (id, run) in &self.runs {
            if gone(run.until, now) <= claim.start {
                found.going.push(*id);
            } else if run.life.leaving.is_none() {
                self.look_at(now, claim, (*id, run), &mut found);
            }
        }
        found
    }

    /// What an owner holds beyond its guarantee, if that is what the claim is for.
    fn excess(&self, owner: usize, claim: &Claim) -> u64 {
        let borrowed = self.staying(owner).saturating_sub(self.guarantee(owner));
        if claim.within && owner != claim.owner { borrowed } else { 0 }
    }

    fn look_at(&self, now: Time, claim: &Claim, (id, run): (RunId, &Run), found: &mut Found) {
        let owner = self.shares.owner_of(run.leaf);
        let lesser = claim.urgent && owner == claim.owner && run.life.qos <= self.config.taking.preemptible;
        let lesser = lesser && run.life.qos < claim.qos;
        if !lesser && found.excess[owner] == 0 {
            return;
        }
        let whole = run.gpus;
        let excess = found.excess[owner];
        let part = (!lesser && whole > excess).then(|| spare_part(run, excess)).flatten();
        let mut gpus = part.as_ref().map_or(whole, |part| u64::from(part.gpus().milli()));
        let larger = excess > 0 && gpus > self.guarantee(owner);
        if larger {
            // Nothing else of its owner goes with it.
            gpus = gpus.min(excess);
        }
        let lent = excess > 0 && gpus <= excess;
        if !(lent || lesser) || self.loses(now, run) > claim.most {
            return;
        }
        let mut spared = run.spared;
        if larger && !lesser {
            // What waited long for so many nodes at once is not sent back to that at once, nor does it keep what others are
            // guaranteed from them for as long as it waited.
            let (waited, taking) = (run.life.since.since(run.life.asked), &self.config.taking);
            let part = Span::from_millis(taking.window.millis() / u64::from(taking.times.max(1)));
            spared = spared.max(run.life.since.after(waited.min(part)));
        }
        if spared > now {
            found.later = found.later.into_iter().chain(Some(spared).filter(|until| *until < Time::MAX)).min();
            return;
        }
        let settles = Some(run.life.since.after(self.config.taking.settle)).filter(|until| *until > now);
        let nodes = part.as_ref().unwrap_or(&run.on).slots.len() as u64;
        let price = self.price(settles.unwrap_or(now), run);
        found.prey.push(Prey { run: id, owner, gpus, price, nodes, part, settles });
    }

    /// Until when a run is left alone for what its job suffered and lost before.
    pub(crate) fn run_spared_until(&self, now: Time, id: RunId, life: &Life) -> Time {
        let rests = life.since.after(self.rest.get(&id.job).copied().unwrap_or_default());
        self.spared_until(now, id.job).max(rests)
    }

    /// Until when a job is neither taken back nor put off again.
    pub(crate) fn spared_until(&self, now: Time, job: JobId) -> Time {
        let taking = &self.config.taking;
        let Some(first) = (taking.times as usize).checked_sub(1) else { return Time::MAX };
        let times = self.taken.get(&job).into_iter().flatten().rev();
        let bound = times.copied().nth(first).map(|time| time.after(taking.window));
        bound.filter(|until| *until > now).unwrap_or_default()
    }

    /// What taking the run costs. Equal losses go by all the work done so far, so that of two runs that say nothing the
    /// one that did less is taken.
    fn price(&self, now: Time, run: &Run) -> u128 {
        const BITS: u32 = 56;
        let ran = now.since(run.life.since);
        let work = |span: Span| u128::from(span.millis()) * u128::from(run.rate.max(1));
        match self.config.taking.order {
            VictimOrder::LeastLost => {
                let lost = run.life.lost(now, self.config.taking.cap);
                // What can go on smaller loses nothing but that.
                let ran = if run.request.as_ref().is_some_and(|request| request.resizes()) { Span::ZERO } else { ran };
                (work(lost) << BITS) + work(ran).min((1 << BITS) - 1)
            }
            VictimOrder::Youngest => u128::from(ran.millis()),
            VictimOrder::Largest => u128::from(u64::MAX - run.rate),
        }
    }

    /// Notes what a run will have lost when it is gone: its job's next run is left alone for twice as long. Each try of
    /// a job that saves nothing then lasts at least twice as long as the one before, until one lasts to its end.
    pub(crate) fn note_lost(&mut self, id: RunId, gone: Time) {
        let lost = self.runs[&id].life.lost(gone, Span::MAX);
        let (jobs, runs) = (&self.queue.jobs, &self.runs);
        let runs_now = |job: JobId| {
            let (first, last) = (RunId { job, attempt: 0 }, RunId { job, attempt: u32::MAX });
            runs.range(first..=last).next().is_some()
        };
        self.rest.retain(|job, _| jobs.contains_key(job) || runs_now(*job));
        self.rest.insert(id.job, Span::from_millis(lost.millis().saturating_mul(2)));
    }

    /// Notes that a job was taken back or put off, and forgets what lies outside the window.
    pub(crate) fn note_taken(&mut self, now: Time, job: JobId) {
        self.taken.entry(job).or_default().push(now);
        let window = self.config.taking.window;
        self.taken.retain(|_, times| {
            times.retain(|time| time.after(window) > now);
            !times.is_empty()
        });
    }
}
