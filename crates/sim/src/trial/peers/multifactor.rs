//! Slurm's `priority/multifactor` with `sched/backfill`, for one partition over the whole machine.
//!
//! After Slurm's own pages "Multifactor Priority Plugin", "Fair Tree Fairshare Algorithm", "Scheduling Configuration
//! Guide" and the manual of `slurm.conf`. Kept:
//! - priority is the weighted sum of age (full at `PriorityMaxAge`), fair share (Fair Tree, owners as accounts), size and
//!   QOS, a whole number; all are calculated anew every `PriorityCalcPeriod`, a new job at once; ties go by submission;
//! - the main scheduler tries jobs in strict order after each event and stops at the first that does not fit;
//! - backfill looks every `bf_interval`, if anything happened, at the first `bf_max_job_test` jobs: one that can start
//!   without delaying any before it starts, the others plan *whole nodes* for their limit, no further ahead than
//!   `bf_window`, on a grid of `bf_resolution`.
//!
//! Parts of GPUs are shards (`gres/shard`), as many as thousandths: within one GPU, and a GPU in use for shards is in use
//! to `gres/gpu`. Use and size are billed by GPUs in thousandths, as by `TRESBillingWeights` for GPUs alone.
//!
//! Simplified: no pre-emption, no partitions, no limits of associations; the main scheduler has no
//! `default_queue_depth`; size is GPUs of all GPUs; a pass takes no time, where Slurm's may be cut short by
//! `bf_max_time`. Integers throughout.
use super::super::machine::Machine;
use super::super::record::How;
use super::super::room::Need;
use super::super::workload::{Job, Workload};
use super::drive::{Ground, Policy};
use super::fair::{PARTS, Shares};
use super::timeline::Timeline;
use madang_model::share::WHOLE;
use madang_model::{Qos, Span, Time};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Settings by their names in `slurm.conf`.
///
/// By default the weights, and the half-life of 14 days, are those of the configuration example in Slurm's
/// "Multifactor Priority Plugin", which templates for GPU sites share in the main; the example gives QOS no weight, here
/// it weighs what fair share does, as in the template of AWS for clusters under Slurm. `PriorityMaxAge`, `bf_interval` and
/// `bf_resolution` are Slurm's defaults; `bf_max_job_test` (500 there) and `bf_window` (a day) are raised, as the guide
/// advises.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `PriorityWeightAge`.
    pub weight_age: u32,
    /// `PriorityWeightFairshare`.
    pub weight_fair_share: u32,
    /// `PriorityWeightJobSize`.
    pub weight_job_size: u32,
    /// `PriorityWeightQOS`; low, normal and high count for nothing, half and all of it.
    pub weight_qos: u32,
    /// `PriorityMaxAge`.
    pub max_age: Span,
    /// `PriorityDecayHalfLife`.
    pub half_life: Span,
    /// `PriorityCalcPeriod`.
    pub calc_period: Span,
    /// `bf_interval`.
    pub interval: Span,
    /// `bf_max_job_test`.
    pub max_job_test: usize,
    /// `bf_window`; by default 7 days, or the longest limit of the workload if that is more, as the guide advises.
    pub window: Option<Span>,
    /// `bf_resolution`.
    pub resolution: Span,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            weight_age: 1000,
            weight_fair_share: 10_000,
            weight_job_size: 1000,
            weight_qos: 10_000,
            max_age: Span::from_days(7),
            half_life: Span::from_days(14),
            calc_period: Span::from_mins(5),
            interval: Span::from_secs(30),
            max_job_test: 1000,
            window: None,
            resolution: Span::from_secs(60),
        }
    }
}

/// `bf_window` where none is set.
const WINDOW: Span = Span::from_days(7);

/// The queue, who used what, and what runs until when.
pub(super) struct Multifactor {
    config: Config,
    window: Span,
    /// All GPUs, in thousandths.
    milli: u64,
    shares: Shares,
    timeline: Timeline,
    /// The shape of each job: its nodes and what it takes of each, counted from 0.
    shapes: Vec<u32>,
    /// How many shapes there are.
    kinds: usize,
    /// Who waits, the highest priority first, then in order of submission.
    queue: Vec<(Reverse<u32>, usize)>,
    next_calc: Time,
    /// When backfill looks next; `None` while nothing happened since it last did.
    backfill_at: Option<Time>,
}

impl Multifactor {
    /// For a workload on a machine; nobody waits.
    pub fn new(workload: &Workload, machine: &Machine, mut config: Config) -> Multifactor {
        let longest = workload.jobs.iter().map(|job| job.limit).max().unwrap_or_default();
        let window = config.window.unwrap_or_else(|| longest.max(WINDOW));
        let mut known: BTreeMap<(u32, Need), u32> = BTreeMap::new();
        let mut shape = |job: &Job| {
            let next = known.len() as u32;
            *known.entry((job.nodes, job.need())).or_insert(next)
        };
        let shapes = workload.jobs.iter().map(&mut shape).collect();
        config.calc_period = config.calc_period.max(Span::from_millis(1));
        Multifactor {
            milli: (machine.gpus() * u64::from(WHOLE)).max(1),
            shares: Shares::new(workload, config.half_life, config.calc_period),
            timeline: Timeline::new(machine),
            shapes,
            kinds: known.len(),
            queue: Vec::new(),
            next_calc: Time::default().after(config.calc_period),
            backfill_at: None,
            window,
            config,
        }
    }

    fn priority(&self, ground: &Ground, index: usize) -> u32 {
        let (job, config) = (ground.job(index), &self.config);
        let max_age = config.max_age.millis().max(1);
        let age = ground.now.since(job.submit).millis().min(max_age);
        let qos = match job.qos {
            Qos::Low => 0,
            Qos::Normal => PARTS / 2,
            Qos::High => PARTS,
        };
        let sum = u128::from(config.weight_age) * u128::from(age) * u128::from(PARTS) / u128::from(max_age)
            + u128::from(config.weight_fair_share) * u128::from(self.shares.factor(index))
            + u128::from(config.weight_job_size) * u128::from(job.milli() * PARTS / self.milli)
            + u128::from(config.weight_qos) * u128::from(qos);
        u32::try_from(sum / u128::from(PARTS)).unwrap_or(u32::MAX)
    }

    /// Something happened: backfill looks at its next turn.
    fn happened(&mut self, now: Time) {
        if self.backfill_at.is_none() {
            let interval = self.config.interval.millis().max(1);
            self.backfill_at = Some(Time::from_millis(now.millis().next_multiple_of(interval)));
        }
    }

    fn calculate(&mut self, ground: &Ground) {
        if ground.now < self.next_calc {
            return;
        }
        let period = self.config.calc_period;
        let periods = ground.now.since(self.next_calc).millis() / period.millis() + 1;
        self.next_calc = self.next_calc.after(Span::from_millis(period.millis() * periods));
        self.shares.calculate(ground.now, periods);
        let mut queue = std::mem::take(&mut self.queue);
        for (priority, job) in &mut queue {
            *priority = Reverse(self.priority(ground, *job));
        }
        // Stable on purpose: little has changed places, and such a sort makes use of it.
        queue.sort();
        self.queue = queue;
        self.happened(ground.now);
    }

    fn start(&mut self, ground: &mut Ground, index: usize, on: Vec<u32>) {
        let job = ground.job(index);
        self.shares.hold(ground.now, index, |held| held + job.milli());
        ground.start(index, on);
        let end = ground.now.after(job.limit);
        self.timeline.start(ground.floor(), ground.held(index), index, job, end);
    }

    /// The main scheduler: strictly by priority, until one does not fit.
    fn main(&mut self, ground: &mut Ground) {
        let mut started = 0;
        while let Some((_, index)) = self.queue.get(started).copied() {
            let job = ground.job(index);
            let Some(on) = ground.floor().find(job.nodes, &job.need()) else { break };
            self.start(ground, index, on);
            started += 1;
        }
        self.queue.drain(..started);
    }

    /// One pass of backfill.
    ///
    /// Within a pass there is ever less room now. Who cannot start now therefore cannot later in the pass, and plans need
    /// to be made only for those who stand before somebody who still can.
    fn backfill(&mut self, ground: &mut Ground) {
        self.timeline.clear();
        let tested: Vec<usize> = self.queue.iter().take(self.config.max_job_test).map(|(_, job)| *job).collect();
        let mut full = Full(vec![Span::MAX; self.kinds]);
        let mut started = Vec::new();
        let mut planned = 0;
        for (place, index) in tested.iter().enumerate() {
            let Some(mut on) = self.room(ground, &mut full, *index) else { continue };
            let mut can = true;
            while can && planned < place {
                if !started.contains(&tested[planned]) {
                    self.plan(ground, tested[planned]);
                    match self.room(ground, &mut full, *index) {
                        Some(other) => on = other,
                        None => can = false,
                    }
                }
                planned += 1;
            }
            if can {
                self.start(ground, *index, on);
                started.push(*index);
            }
        }
        started.sort_unstable();
        self.queue.retain(|(_, job)| started.binary_search(job).is_err());
    }

    /// The place of a job that can start now without delaying a plan.
    fn room(&self, ground: &Ground, full: &mut Full, index: usize) -> Option<Vec<u32>> {
        let (job, floor) = (ground.job(index), ground.floor());
        let need = job.need();
        let full = &mut full.0[self.shapes[index] as usize];
        if job.limit >= *full {
            return None;
        }
        let until = ground.now.after(job.limit);
        let on = match self.timeline.has_plans() {
            true => floor.find_where(job.nodes, &need, |node| self.timeline.is_open(node, until)),
            false => floor.find(job.nodes, &need),
        };
        if on.is_none() {
            // Without plans in the way not even the shortest has a place.
            let least = if floor.fits(job.nodes, &need) { job.limit } else { Span::ZERO };
            *full = least;
        }
        on
    }

    /// Plans the nodes of a job that has to wait.
    fn plan(&mut self, ground: &Ground, index: usize) {
        let (job, now) = (ground.job(index), ground.now);
        let last = now.after(self.window);
        let Some((at, on)) = self.timeline.earliest(ground.floor(), job, now, last) else { return };
        let grid = self.config.resolution.millis().max(1);
        let down = |time: Time| Time::from_millis(time.millis() - time.millis() % grid);
        self.timeline.plan(&on, down(at), down(at.after(job.limit)));
    }
}

/// By shape, the least limit for which it is known that there is no place now; the longest span for none.
struct Full(Vec<Span>);

impl Policy for Multifactor {
    fn waits(&mut self, ground: &mut Ground, job: usize) {
        let entry = (Reverse(self.priority(ground, job)), job);
        let place = self.queue.partition_point(|other| *other < entry);
        self.queue.insert(place, entry);
        self.happened(ground.now);
    }

    fn withdrawn(&mut self, ground: &mut Ground, job: usize) {
        self.queue.retain(|(_, other)| *other != job);
        self.happened(ground.now);
    }

    fn gone(&mut self, ground: &mut Ground, job: usize, on: &[u32], _how: How) {
        let gang = ground.job(job).milli();
        self.shares.hold(ground.now, job, |held| held - gang);
        self.timeline.gone(on, job);
        self.happened(ground.now);
    }

    fn node(&mut self, ground: &mut Ground, _node: u32) {
        self.happened(ground.now);
    }

    fn decide(&mut self, ground: &mut Ground) {
        self.calculate(ground);
        self.main(ground);
        if self.backfill_at.is_some_and(|at| at <= ground.now) {
            self.backfill_at = None;
            self.backfill(ground);
        }
    }

    fn wake(&self) -> Option<Time> {
        if self.queue.is_empty() {
            return None;
        }
        Some(self.backfill_at.map_or(self.next_calc, |at| at.min(self.next_calc)))
    }
}
