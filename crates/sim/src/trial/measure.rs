//! What is said of a trial, in integers: the same figures for every policy, from its runs alone.
//!
//! - *Wait* is the time from submission to the end less the run time: what the job's owner loses to others, to runs
//!   that were taken back and to broken nodes.
//! - *Bounded slowdown* is max(1, (wait + run time) / max(run time, 10 s)), as the literature has it.
//! - *Goodput* is GPU time that counted in the end; *lost* is GPU time of runs that were taken back or broke, beyond
//!   what they had saved.
//! - *Unmet* is GPU time by which owners held less than their guarantee while they had jobs waiting for it: the
//!   integral of min(guarantee - held, wanted).
//!
//! A job that was withdrawn as it waited counts for no wait, and for *unmet* as long as it waited.
//!
//! Use of the estate is measured over the time in which jobs are submitted, so that the tail says nothing.
use super::machine::Machine;
use super::record::{How, Outcome, Run};
use super::workload::{Job, Owner, Workload};
use madang_model::share::WHOLE;
use madang_model::{Qos, Span, Time};

/// Run times below this count as this in bounded slowdown.
const BOUND: Span = Span::from_secs(10);
/// Parts of one in slowdowns and shares.
pub const PARTS: u64 = 1_000_000;
/// Groups of sizes, by the most thousandths of a GPU of each.
const SIZES: [(u64, &str); 8] = [
    (0, "no GPU"),
    (999, "part of a GPU"),
    (1000, "1 GPU"),
    (7999, "2-7 GPUs"),
    (8000, "8 GPUs"),
    (63_999, "9-63 GPUs"),
    (255_999, "64-255 GPUs"),
    (u64::MAX, "256 or more"),
];

/// Waits of some jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// Whose.
    pub name: String,
    /// How many.
    pub jobs: u64,
    /// Mean wait.
    pub mean_wait: Span,
    /// The wait that half of them do not exceed (nearest rank).
    pub median_wait: Span,
    /// The wait that 99 of 100 do not exceed (nearest rank).
    pub p99_wait: Span,
    /// The longest wait.
    pub longest_wait: Span,
    /// Mean bounded slowdown, in millionths.
    pub slowdown: u64,
}

/// One owner's share.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// The owner.
    pub name: String,
    /// Its guarantee in GPUs.
    pub guarantee: u64,
    /// GPU-seconds that its weight gives it of the whole.
    pub entitled: u64,
    /// GPU-seconds that it held.
    pub delivered: u64,
    /// GPU-seconds below its guarantee while it had jobs waiting for them.
    pub unmet: u64,
}

/// The figures of one trial.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// The policy.
    pub policy: String,
    /// All jobs.
    pub all: Group,
    /// By size of gang.
    pub by_size: Vec<Group>,
    /// By urgency within the owner's share.
    pub by_class: Vec<Group>,
    /// By owner.
    pub by_owner: Vec<Group>,
    /// Owners' shares.
    pub shares: Vec<Share>,
    /// GPU time held of all there was, in millionths.
    pub utilisation: u64,
    /// GPU time that counted in the end of all there was, in millionths.
    pub goodput: u64,
    /// Runs taken back.
    pub taken_back: u64,
    /// Runs that left to go on with more nodes.
    pub resized: u64,
    /// GPU-seconds lost to runs taken back, and to those that left for more nodes.
    pub lost_back: u64,
    /// GPU-seconds lost to broken nodes.
    pub lost_nodes: u64,
    /// GPU-seconds held by parts of gangs that waited for the rest of theirs.
    pub stalled: u64,
    /// GPU-seconds by which guarantees were unmet, over all owners.
    pub unmet: u64,
    /// Mean of the largest gang of whole nodes that could start, in GPUs.
    pub largest_gang: u64,
    /// Mean of free GPUs on nodes that hold something, of all GPUs, in millionths.
    pub stranded: u64,
    /// Mean of what is free of GPUs that jobs hold parts of, of all GPUs, in millionths.
    pub slivers: u64,
    /// Promises kept and broken.
    pub promises: (u64, u64),
    /// From the first submission to the last end.
    pub makespan: Span,
}

/// Measures an outcome.
pub fn figures(workload: &Workload, machine: &Machine, outcome: &Outcome) -> Figures {
    let ends = ends(workload, outcome);
    let window = window(workload);
    let capacity = u128::from(milli(machine.gpus())) * u128::from(window.1.since(window.0).millis());
    let mut figures = Figures { policy: outcome.policy.clone(), promises: outcome.promises, ..Figures::default() };
    figures.stalled = outcome.stalled;
    figures.makespan = outcome.end.since(window.0);
    (figures.all, figures.by_size, figures.by_owner) = groups(workload, &ends);
    figures.by_class = classes(workload, &ends);
    figures.shares = shares(workload, machine, outcome, window);
    figures.unmet = figures.shares.iter().map(|share| share.unmet).sum();
    let (mut held, mut useful, mut back, mut nodes) = (0u128, 0u128, 0u128, 0u128);
    for run in &outcome.runs {
        let gang = u128::from(run.milli);
        held += gang * within(run.start, run.end, window);
        useful += gang * within(run.start, run.start.after(run.kept), window);
        let lost = gang * u128::from(run.end.since(run.start).millis().saturating_sub(run.kept.millis()));
        match run.how {
            How::TakenBack | How::Resized => back += lost,
            How::NodeLost => nodes += lost,
            How::Ended | How::TimedOut => {}
        }
    }
    figures.utilisation = ratio(held, capacity);
    figures.goodput = ratio(useful, capacity);
    figures.resized = outcome.runs.iter().filter(|run| run.how == How::Resized).count() as u64;
    figures.taken_back = outcome.runs.iter().filter(|run| run.how == How::TakenBack).count() as u64;
    (figures.lost_back, figures.lost_nodes) = (gpu_secs(back), gpu_secs(nodes));
    let frames = outcome.frames.iter().filter(|frame| frame.at <= window.1);
    let count = frames.clone().count().max(1) as u64;
    figures.largest_gang = frames.clone().map(|frame| frame.largest_gang).sum::<u64>() / count / u64::from(WHOLE);
    let sums = frames.fold((0, 0), |sums, frame| (sums.0 + frame.stranded, sums.1 + frame.slivers));
    let all = u128::from(milli(machine.gpus()) * count);
    (figures.stranded, figures.slivers) = (ratio(u128::from(sums.0), all), ratio(u128::from(sums.1), all));
    figures
}

/// GPUs in thousandths.
fn milli(gpus: u64) -> u64 {
    gpus * u64::from(WHOLE)
}

/// Thousandths of a GPU times milliseconds as GPU-seconds, rounded down.
fn gpu_secs(time: u128) -> u64 {
    u64::try_from(time / 1_000_000).unwrap_or(u64::MAX)
}

/// Waits of some of the jobs.
pub fn waits(workload: &Workload, outcome: &Outcome, keep: impl Fn(&Job) -> bool) -> Group {
    let all = workload.jobs.iter().zip(ends(workload, outcome));
    group("some", all.filter(|(job, _)| keep(job)))
}

/// When each job came to its end, if it did.
fn ends(workload: &Workload, outcome: &Outcome) -> Vec<Option<Time>> {
    let mut ends = vec![None; workload.jobs.len()];
    for run in outcome.runs.iter().filter(|run| is_last(run)) {
        ends[run.job as usize] = Some(run.end);
    }
    ends
}

fn is_last(run: &Run) -> bool {
    matches!(run.how, How::Ended | How::TimedOut)
}

/// From the first submission to the last.
fn window(workload: &Workload) -> (Time, Time) {
    let first = workload.jobs.first().map_or(Time::default(), |job| job.submit);
    let last = workload.jobs.last().map_or(first, |job| job.submit);
    (first, last.max(first.after(Span::from_millis(1))))
}

/// Milliseconds of a stretch that lie within a window.
fn within(start: Time, end: Time, window: (Time, Time)) -> u128 {
    u128::from(end.min(window.1).since(start.max(window.0)).millis())
}

fn ratio(part: u128, whole: u128) -> u64 {
    u64::try_from(part * u128::from(PARTS) / whole.max(1)).unwrap_or(u64::MAX)
}

fn groups(workload: &Workload, ends: &[Option<Time>]) -> (Group, Vec<Group>, Vec<Group>) {
    let all = || workload.jobs.iter().zip(ends.iter().copied());
    let some = |name: &str, keep: &dyn Fn(&Job) -> bool| group(name, all().filter(|(job, _)| keep(job)));
    let mut from = 0;
    let mut by_size = Vec::new();
    for (most, name) in SIZES {
        by_size.push(some(name, &|job| job.milli() >= from && job.milli() <= most));
        from = most.saturating_add(1);
    }
    by_size.retain(|group| group.jobs > 0);
    let owners = (0..).zip(&workload.owners);
    let by_owner = owners.map(|(index, owner)| some(&owner.name, &|job| job.owner == index)).collect();
    (some("all", &|_| true), by_size, by_owner)
}

fn classes(workload: &Workload, ends: &[Option<Time>]) -> Vec<Group> {
    let all = || workload.jobs.iter().zip(ends.iter().copied());
    let classes = [(Qos::Low, "low"), (Qos::Normal, "normal"), (Qos::High, "high")];
    let mut groups: Vec<Group> =
        classes.iter().map(|(qos, name)| group(name, all().filter(|(job, _)| job.qos == *qos))).collect();
    groups.retain(|group| group.jobs > 0);
    groups
}

fn group<'a>(name: &str, jobs: impl Iterator<Item = (&'a Job, Option<Time>)>) -> Group {
    let (mut waits, mut slowdowns) = (Vec::new(), 0u128);
    for (job, end) in jobs.filter_map(|(job, end)| Some((job, end?))) {
        let turnaround = end.since(job.submit).millis();
        waits.push(turnaround.saturating_sub(job.runtime.millis()));
        let bound = u128::from(job.runtime.max(BOUND).millis());
        slowdowns += (u128::from(turnaround) * u128::from(PARTS) / bound).max(u128::from(PARTS));
    }
    if waits.is_empty() {
        return Group { name: name.into(), ..Group::default() };
    }
    let count = waits.len() as u64;
    let mean = waits.iter().sum::<u64>() / count;
    waits.sort_unstable();
    let rank = |per_cent: usize| Span::from_millis(waits[(waits.len() * per_cent).div_ceil(100).max(1) - 1]);
    Group {
        name: name.into(),
        jobs: count,
        mean_wait: Span::from_millis(mean),
        median_wait: rank(50),
        p99_wait: rank(99),
        longest_wait: rank(100),
        slowdown: u64::try_from(slowdowns / u128::from(count)).unwrap_or(u64::MAX),
    }
}

/// An owner's account while time is swept over; GPUs in thousandths.
#[derive(Clone, Copy, Default)]
struct Account {
    at: Time,
    held: u64,
    wanted: u64,
    delivered: u128,
    unmet: u128,
}

impl Account {
    fn advance(&mut self, now: Time, guarantee: u64, window: (Time, Time)) {
        let span = within(self.at, now, window);
        self.delivered += u128::from(self.held) * span;
        self.unmet += u128::from(guarantee.saturating_sub(self.held).min(self.wanted)) * span;
        self.at = now;
    }
}

/// The owners' accounts, swept over time.
struct Sweep {
    accounts: Vec<Account>,
    guarantees: Vec<u64>,
    window: (Time, Time),
}

impl Sweep {
    /// An owner's account, brought up to a moment.
    fn at(&mut self, now: Time, owner: u32) -> &mut Account {
        let account = &mut self.accounts[owner as usize];
        account.advance(now, self.guarantees[owner as usize], self.window);
        account
    }

    /// From the first submission to the last end. Jobs stand by their submission and runs by their end.
    fn over(&mut self, jobs: &[Job], runs: &[Run], mut withdrawn: &[(Time, u32)]) {
        debug_assert!(runs.is_sorted_by_key(|run| run.end));
        let mut starts: Vec<u32> = (0..runs.len() as u32).collect();
        starts.sort_unstable_by_key(|run| (runs[*run as usize].start, *run));
        let mut starts = starts.into_iter().map(|run| &runs[run as usize]).peekable();
        let (mut submits, mut ends) = (jobs.iter().peekable(), runs);
        let of = |run: &Run| (jobs[run.job as usize].owner, jobs[run.job as usize].milli(), run.milli);
        loop {
            let first = (submits.peek().map(|job| job.submit), starts.peek().map(|run| run.start));
            let next = [first.0, first.1, ends.first().map(|run| run.end), withdrawn.first().map(|(at, _)| *at)];
            let Some(now) = next.into_iter().flatten().min() else { return };
            let (gone, later) = ends.split_at(ends.partition_point(|run| run.end <= now));
            ends = later;
            // Within a moment what is given comes before what is taken, so that sums stay positive.
            while let Some(job) = submits.next_if(|job| job.submit == now) {
                self.at(now, job.owner).wanted += job.milli();
            }
            for (owner, gang, _) in gone.iter().filter(|run| !is_last(run)).map(of) {
                self.at(now, owner).wanted += gang;
            }
            while let Some(((_, job), rest)) = withdrawn.split_first().filter(|((at, _), _)| *at == now) {
                let job = &jobs[*job as usize];
                self.at(now, job.owner).wanted -= job.milli();
                withdrawn = rest;
            }
            while let Some((owner, gang, held)) = starts.next_if(|run| run.start == now).map(of) {
                let account = self.at(now, owner);
                (account.held, account.wanted) = (account.held + held, account.wanted - gang);
            }
            for (owner, _, held) in gone.iter().map(of) {
                self.at(now, owner).held -= held;
            }
        }
    }
}

fn shares(workload: &Workload, machine: &Machine, outcome: &Outcome, window: (Time, Time)) -> Vec<Share> {
    let weights: u64 = workload.owners.iter().map(|owner| u64::from(owner.weight)).sum::<u64>().max(1);
    let part = |weight: u32, whole: u64| u128::from(weight) * u128::from(whole) / u128::from(weights);
    let whole = |owner: &Owner| part(owner.weight, machine.gpus()) as u64;
    // A guarantee is of whole GPUs, as people write it down.
    let guarantees = workload.owners.iter().map(|owner| milli(whole(owner))).collect();
    let mut sweep = Sweep { accounts: vec![Account::default(); workload.owners.len()], guarantees, window };
    sweep.over(&workload.jobs, &outcome.runs, &outcome.withdrawn);
    let length = window.1.since(window.0).millis();
    let share = |(owner, account): (&Owner, &Account)| Share {
        name: owner.name.clone(),
        guarantee: whole(owner),
        entitled: u64::try_from(part(owner.weight, machine.gpus()) * u128::from(length) / 1000).unwrap_or(u64::MAX),
        delivered: gpu_secs(account.delivered),
        unmet: gpu_secs(account.unmet),
    };
    workload.owners.iter().zip(&sweep.accounts).map(share).collect()
}

/// A figure over seeds: the least, the mean, the most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bands {
    /// The least.
    pub least: u64,
    /// The mean, rounded down.
    pub mean: u64,
    /// The most.
    pub most: u64,
}

impl Bands {
    /// Of these; all zero of none.
    pub fn of(values: impl IntoIterator<Item = u64>) -> Bands {
        let values: Vec<u64> = values.into_iter().collect();
        let sum: u128 = values.iter().map(|value| u128::from(*value)).sum();
        Bands {
            least: values.iter().min().copied().unwrap_or(0),
            mean: u64::try_from(sum / values.len().max(1) as u128).unwrap_or(u64::MAX),
            most: values.iter().max().copied().unwrap_or(0),
        }
    }
}
