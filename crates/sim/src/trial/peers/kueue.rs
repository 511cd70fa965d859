//! Quotas in Kueue's manner: admitted by count, then placed pod by pod by a scheduler that knows nothing of gangs.
//!
//! After Kueue's pages "Cluster Queue", "Preemption", "Workload", "All-or-nothing Scheduling" and "Setup All-or-nothing
//! with ready Pods", without Topology Aware Scheduling and with fair sharing off, as by default. Kept:
//! - each owner is a ClusterQueue of one cohort, its nominal quota its weight's part of all GPUs, with nothing to limit
//!   borrowing unless that is set; `BestEffortFIFO`: by priority, then age; whoever cannot be admitted blocks nobody;
//! - in each cycle the heads of all queues are taken, those within their nominal quota before those that borrow, then
//!   by priority, then age;
//! - `reclaimWithinCohort: Any`: who stays within its nominal quota takes back from queues that borrow, the lowest
//!   priority first, then the newest admitted, and spares again whom it turns out not to need;
//!   `withinClusterQueue: Never`;
//! - a quota counts GPUs, in thousandths as of an extended resource for shares, not nodes, CPUs or memory: what is
//!   admitted may have no place, and a node that is down lessens no quota;
//! - `waitForPodsReady`: if not all pods of a gang have a place by the timeout it is evicted, and comes back after a
//!   backoff that doubles, now ordered by its eviction; until then it holds its quota and the places its pods took.
//!
//! Simplified: whoever reclaims is admitted in the same cycle instead of the next; backoff has no jitter; a gang that
//! loses a node is evicted at once and waits again in its old place. Of the scheduler beneath only this is modelled:
//! pods are taken by priority, then age, each to the node that scores best; the first pod of a gang goes only where the
//! fabric could hold the gang were it empty, as a node selector has it, and the others follow it into its fabric, as
//! pod affinity has it, since a gang cannot span fabrics here. Pods of a gang may share a node.
use super::super::machine::Machine;
use super::super::record::How;
use super::super::workload::Workload;
use super::drive::{Ground, Policy};
use super::pods::Pods;
use madang_model::share::WHOLE;
use madang_model::{Qos, Span, Time};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Which node the scheduler beneath takes for a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scoring {
    /// The fullest on which it fits, as sites with GPUs configure it.
    MostAllocated,
    /// The emptiest, which is the default of `kube-scheduler`.
    LeastAllocated,
}

/// From whom a queue within its nominal quota takes back what others borrow: `preemption.reclaimWithinCohort`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reclaim {
    /// Whoever borrows.
    Any,
    /// Whoever borrows with a lower priority.
    LowerPriority,
    /// Nobody, which is Kueue's default.
    Never,
}

/// Which of a queue's jobs are looked at: `queueingStrategy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queueing {
    /// Whoever cannot be admitted blocks nobody.
    BestEffortFifo,
    /// The first blocks the others.
    StrictFifo,
}

/// Settings by their names in Kueue's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// `waitForPodsReady.timeout`: 5 minutes, the default of earlier releases. Since then it is 30 minutes, with
    /// `unscheduledTimeout: 5m` as the example for pods without a place.
    pub timeout: Span,
    /// `requeuingStrategy.backoffBaseSeconds`: 60 s by default.
    pub backoff_base: Span,
    /// `requeuingStrategy.backoffMaxSeconds`: an hour by default.
    pub backoff_max: Span,
    /// `NodeResourcesFit` of the scheduler beneath; most allocated by default here.
    pub scoring: Scoring,
    /// `preemption.reclaimWithinCohort`: any by default here, since quotas stand for guarantees; in Kueue it is never.
    pub reclaim: Reclaim,
    /// `borrowingLimit`, in GPUs, of each queue; none by default, as in Kueue.
    pub borrowing: Option<u64>,
    /// `queueingStrategy`.
    pub queueing: Queueing,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            timeout: Span::from_mins(5),
            backoff_base: Span::from_secs(60),
            backoff_max: Span::from_hours(1),
            scoring: Scoring::MostAllocated,
            reclaim: Reclaim::Any,
            borrowing: None,
            queueing: Queueing::BestEffortFifo,
        }
    }
}

/// Where a job stands in its queue: the most urgent first, then by creation or eviction, then by number.
type Rank = (Reverse<Qos>, Time, usize);

/// An owner's queue; GPUs in thousandths.
#[derive(Default)]
struct Queue {
    nominal: u64,
    used: u64,
    /// Who waits, by GPUs asked for: whether one can be admitted depends on nothing else.
    pending: BTreeMap<u64, BTreeSet<Rank>>,
}

/// The cohort.
pub(super) struct Kueue {
    config: Config,
    queues: Vec<Queue>,
    total: u64,
    used: u64,
    /// What each job is ordered by while it waits: its submission or its eviction.
    stamps: Vec<Time>,
    /// Admitted jobs in the order in which they would be taken back.
    admitted: BTreeSet<(Qos, Reverse<Time>, usize)>,
    admitted_at: Vec<Time>,
    /// Evictions for want of a place, in a row.
    evictions: Vec<u32>,
    /// When jobs come back after a backoff.
    returns: BTreeSet<(Time, usize)>,
    pods: Pods,
}

impl Kueue {
    /// For a workload on a machine; nobody waits.
    pub fn new(workload: &Workload, machine: &Machine, config: Config) -> Kueue {
        let quotas = quotas(workload, machine.gpus());
        let queue = |gpus| Queue { nominal: gpus * u64::from(WHOLE), ..Queue::default() };
        Kueue {
            config,
            total: machine.gpus() * u64::from(WHOLE),
            used: 0,
            queues: quotas.into_iter().map(queue).collect(),
            stamps: workload.jobs.iter().map(|job| job.submit).collect(),
            admitted: BTreeSet::new(),
            admitted_at: vec![Time::default(); workload.jobs.len()],
            evictions: vec![0; workload.jobs.len()],
            returns: BTreeSet::new(),
            pods: Pods::new(machine, config.scoring),
        }
    }

    fn rank(&self, ground: &Ground, job: usize) -> Rank {
        (Reverse(ground.job(job).qos), self.stamps[job], job)
    }

    fn enqueue(&mut self, ground: &Ground, job: usize) {
        let (spec, rank) = (ground.job(job), self.rank(ground, job));
        self.queues[spec.owner as usize].pending.entry(spec.milli()).or_default().insert(rank);
    }

    /// A job gives its quota back.
    fn discharge(&mut self, ground: &Ground, job: usize) {
        let spec = ground.job(job);
        self.admitted.remove(&(spec.qos, Reverse(self.admitted_at[job]), job));
        self.queues[spec.owner as usize].used -= spec.milli();
        self.used -= spec.milli();
    }

    /// Admitted gangs whose pods have found no place in time.
    fn expire(&mut self, ground: &mut Ground) {
        let late = ground.now.before(self.config.timeout);
        for job in self.pods.older(late) {
            self.pods.withdraw(ground, job);
            self.discharge(ground, job);
            let doubled = self.config.backoff_base.millis() << self.evictions[job].min(20);
            let backoff = Span::from_millis(doubled).min(self.config.backoff_max);
            self.evictions[job] += 1;
            self.stamps[job] = ground.now;
            self.returns.insert((ground.now.after(backoff), job));
        }
    }

    fn come_back(&mut self, ground: &Ground) {
        while let Some((at, job)) = self.returns.first().copied().filter(|(at, _)| *at <= ground.now) {
            self.returns.remove(&(at, job));
            self.enqueue(ground, job);
        }
    }

    fn fits(&self, gang: u64) -> bool {
        self.used + gang <= self.total
    }

    fn borrows(&self, owner: usize, gang: u64) -> bool {
        let queue = &self.queues[owner];
        queue.used + gang > queue.nominal
    }

    /// Whether a queue may hold so much more, were it there.
    fn may(&self, owner: usize, gang: u64) -> bool {
        let queue = &self.queues[owner];
        self.config.borrowing.is_none_or(|gpus| queue.used + gang <= queue.nominal + gpus * u64::from(WHOLE))
    }

    /// Whether a job of this size could be admitted, if need be by taking back.
    fn admits(&self, owner: usize, gang: u64) -> bool {
        match self.fits(gang) {
            true => self.may(owner, gang),
            false => self.config.reclaim != Reclaim::Never && !self.borrows(owner, gang),
        }
    }

    /// Whether there is enough to take back for it, where it is not there.
    fn reaches(&self, ground: &Ground, owner: usize, gang: u64, (Reverse(qos), ..): Rank) -> bool {
        self.fits(gang) || self.config.reclaim == Reclaim::Any || self.targets(ground, owner, gang, qos).is_some()
    }

    /// The first of a queue that can be admitted, be it by taking back.
    fn head(&self, ground: &Ground, owner: usize) -> Option<(bool, Rank, usize)> {
        let strict = self.config.queueing == Queueing::StrictFifo;
        let lines = self.queues[owner].pending.iter().filter(|(gang, _)| strict || self.admits(owner, **gang));
        let firsts = lines.filter_map(|(gang, line)| Some((*line.first()?, *gang)));
        let can = |(rank, gang): &(Rank, u64)| self.reaches(ground, owner, *gang, *rank);
        let (rank, gang) = match strict {
            true => firsts.min().filter(|first| self.admits(owner, first.1) && can(first))?,
            false => firsts.filter(can).min()?,
        };
        Some((self.borrows(owner, gang), rank, owner))
    }

    /// Cycles until nobody can be admitted.
    fn admit(&mut self, ground: &mut Ground) {
        loop {
            let mut heads: Vec<(bool, Rank, usize)> =
                (0..self.queues.len()).filter_map(|owner| self.head(ground, owner)).collect();
            if heads.is_empty() {
                return;
            }
            heads.sort_unstable();
            for (_, (qos, stamp, job), owner) in heads {
                let gang = ground.job(job).milli();
                // Others of this cycle may have taken what was there.
                if !self.admits(owner, gang) || !self.reaches(ground, owner, gang, (qos, stamp, job)) {
                    continue;
                }
                if !self.fits(gang) {
                    self.reclaim(ground, owner, gang, qos.0);
                }
                self.take(ground, owner, (qos, stamp, job));
            }
        }
    }

    fn take(&mut self, ground: &Ground, owner: usize, rank: Rank) {
        let (job, spec) = (rank.2, ground.job(rank.2));
        self.dequeue(owner, spec.milli(), rank);
        self.queues[owner].used += spec.milli();
        self.used += spec.milli();
        self.admitted_at[job] = ground.now;
        self.admitted.insert((spec.qos, Reverse(ground.now), job));
        self.pods.create(ground, job);
    }

    /// Takes a job out of its queue's line.
    fn dequeue(&mut self, owner: usize, gang: u64, rank: Rank) {
        let line = self.queues[owner].pending.get_mut(&gang).expect("who waits stands in its line");
        line.remove(&rank);
        if line.is_empty() {
            self.queues[owner].pending.remove(&gang);
        }
    }

    /// Whom to take back from queues that borrow until a gang within its own nominal quota fits; `None` if that is not
    /// enough.
    fn targets(&self, ground: &Ground, owner: usize, gang: u64, qos: Qos) -> Option<Vec<usize>> {
        let needed = self.used + gang - self.total;
        let mut over: Vec<u64> = self.queues.iter().map(|queue| queue.used.saturating_sub(queue.nominal)).collect();
        over[owner] = 0;
        let (mut targets, mut freed) = (Vec::new(), 0);
        for (theirs, _, job) in &self.admitted {
            if freed >= needed || self.config.reclaim == Reclaim::LowerPriority && *theirs >= qos {
                break;
            }
            let (theirs, of) = (ground.job(*job).milli(), ground.job(*job).owner as usize);
            if over[of] > 0 && theirs > 0 {
                over[of] = over[of].saturating_sub(theirs);
                freed += theirs;
                targets.push(*job);
            }
        }
        for at in (0..targets.len()).rev() {
            let theirs = ground.job(targets[at]).milli();
            if freed >= needed + theirs {
                freed -= theirs;
                targets.remove(at);
            }
        }
        (freed >= needed).then_some(targets)
    }

    /// Takes back until the gang fits.
    fn reclaim(&mut self, ground: &mut Ground, owner: usize, gang: u64, qos: Qos) {
        let targets = self.targets(ground, owner, gang, qos);
        let targets = targets.expect("nominal quotas sum to all GPUs: what one lacks others borrow");
        for job in targets {
            if self.pods.is_waiting(job) {
                self.pods.withdraw(ground, job);
            } else {
                ground.take_back(job);
            }
            self.discharge(ground, job);
            self.enqueue(ground, job);
        }
    }

    /// Pods find places; gangs whose pods all have one run.
    fn place(&mut self, ground: &mut Ground) {
        for job in self.pods.place(ground) {
            self.evictions[job] = 0;
        }
    }
}

impl Policy for Kueue {
    fn waits(&mut self, ground: &mut Ground, job: usize) {
        self.stamps[job] = ground.job(job).submit;
        self.enqueue(ground, job);
    }

    fn withdrawn(&mut self, ground: &mut Ground, job: usize) {
        if self.pods.is_waiting(job) {
            self.pods.withdraw(ground, job);
            self.discharge(ground, job);
            return;
        }
        let before = self.returns.len();
        self.returns.retain(|(_, other)| *other != job);
        if self.returns.len() == before {
            let (spec, rank) = (ground.job(job), self.rank(ground, job));
            self.dequeue(spec.owner as usize, spec.milli(), rank);
        }
    }

    fn gone(&mut self, ground: &mut Ground, job: usize, _on: &[u32], _how: How) {
        self.discharge(ground, job);
    }

    fn node(&mut self, ground: &mut Ground, node: u32) {
        if ground.floor().is_down(node) {
            self.pods.lose(ground, node);
        }
    }

    fn decide(&mut self, ground: &mut Ground) {
        self.place(ground);
        self.expire(ground);
        self.come_back(ground);
        self.admit(ground);
        self.place(ground);
    }

    fn wake(&self) -> Option<Time> {
        let timeout = self.pods.oldest().map(|at| at.after(self.config.timeout));
        let back = self.returns.first().map(|(at, _)| *at);
        timeout.into_iter().chain(back).min()
    }
}

/// The first job that its owner's queue may never hold.
pub(super) fn never(workload: &Workload, machine: &Machine, config: &Config) -> Option<String> {
    let (quotas, borrowing) = (quotas(workload, machine.gpus()), config.borrowing?);
    let most = |owner: u32| quotas[owner as usize] + borrowing;
    let job = workload.jobs.iter().find(|job| job.milli() > most(job.owner) * u64::from(WHOLE))?;
    let (nominal, owner) = (quotas[job.owner as usize], &workload.owners[job.owner as usize].name);
    Some(format!(
        "job {} asks for {} GPUs, {owner} has a quota of {nominal} and may borrow {borrowing}",
        job.number,
        job.gang()
    ))
}

/// Each owner's part of all GPUs by weight; the largest remainders are rounded up, so that they sum to all.
fn quotas(workload: &Workload, gpus: u64) -> Vec<u64> {
    let sum: u64 = workload.owners.iter().map(|owner| u64::from(owner.weight)).sum::<u64>().max(1);
    let scaled: Vec<u64> = workload.owners.iter().map(|owner| u64::from(owner.weight) * gpus).collect();
    let mut quotas: Vec<u64> = scaled.iter().map(|scaled| scaled / sum).collect();
    let mut order: Vec<usize> = (0..quotas.len()).collect();
    order.sort_by_key(|index| (Reverse(scaled[*index] % sum), *index));
    let short = gpus.saturating_sub(quotas.iter().sum());
    order.iter().take(short as usize).for_each(|index| quotas[*index] += 1);
    quotas
}
