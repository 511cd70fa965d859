//! The loop that a policy of the field runs in: virtual time, ends, faults, submissions, then one decision.
//!
//! At one moment ends come first, then faults and repairs, then submissions and withdrawals; the policy decides once after all of them,
//! as schedulers do that wake up to a batch of news.
//!
//! Invariants: a run ends at its run time or its limit, whichever is first, unless it is taken back or loses a node;
//! whatever ended by itself at the moment of a fault has ended well.
use super::super::Refusal;
use super::super::floor::Floor;
use super::super::machine::Machine;
use super::super::madang::Seen;
use super::super::record::{How, Outcome, Recorder};
use super::super::room::Taken;
use super::super::workload::{Job, Workload};
use madang_model::Time;
use std::collections::BTreeSet;

/// Ends between two reports of progress.
const EVERY: usize = 4096;

/// A policy of the field.
pub(super) trait Policy {
    /// A job waits from now on, for the first time or again.
    fn waits(&mut self, ground: &mut Ground, job: usize);

    /// A run is gone whose nodes were these. Unless it came to its end the job waits again, of which it is told next.
    fn gone(&mut self, ground: &mut Ground, job: usize, on: &[u32], how: How);

    /// A job that waits is withdrawn.
    fn withdrawn(&mut self, ground: &mut Ground, job: usize);

    /// A node went down or came back.
    fn node(&mut self, _ground: &mut Ground, _node: u32) {}

    /// All news of this moment is told: start what may start.
    fn decide(&mut self, ground: &mut Ground);

    /// When it wants to decide again though nothing happens; later than now.
    fn wake(&self) -> Option<Time> {
        None
    }
}

/// What a policy sees and does.
pub(super) struct Ground<'a> {
    /// The present.
    pub now: Time,
    workload: &'a Workload,
    recorder: Recorder<'a>,
    /// The nodes of each run, by job.
    on: Vec<Vec<u32>>,
    /// Ends to come, by (when, job).
    ends: BTreeSet<(Time, usize)>,
    /// When each run ends.
    end_of: Vec<Time>,
    /// Nodes that are mended then.
    mends: BTreeSet<(Time, u32)>,
    /// How many faults lie on each node.
    faults_on: Vec<u32>,
    /// The next job to submit, and the next fault.
    next: usize,
    fault: usize,
    /// What is withdrawn and when, and which of it is next.
    withdrawals: Vec<(Time, usize)>,
    withdrawal: usize,
}

impl<'a> Ground<'a> {
    fn new(workload: &'a Workload, machine: &Machine) -> Ground<'a> {
        Ground {
            now: Time::default(),
            workload,
            recorder: Recorder::new(workload, machine),
            on: vec![Vec::new(); workload.jobs.len()],
            ends: BTreeSet::new(),
            end_of: vec![Time::default(); workload.jobs.len()],
            mends: BTreeSet::new(),
            faults_on: vec![0; machine.nodes() as usize],
            next: 0,
            fault: 0,
            withdrawals: workload.withdrawals(),
            withdrawal: 0,
        }
    }

    /// A job of the workload.
    pub fn job(&self, job: usize) -> &'a Job {
        &self.workload.jobs[job]
    }

    /// What is free.
    pub fn floor(&self) -> &Floor {
        &self.recorder.floor
    }

    /// What a job that runs holds, node by node.
    pub fn held(&self, job: usize) -> &[(u32, Taken)] {
        self.recorder.held(job)
    }

    /// Starts a job on these nodes.
    pub fn start(&mut self, job: usize, on: Vec<u32>) {
        let spec = self.job(job);
        assert!(on.len() == spec.nodes as usize, "a gang starts whole");
        self.recorder.starts_on(self.now, job, &on);
        let end = self.now.after(self.recorder.left(job).min(spec.limit));
        self.ends.insert((end, job));
        self.end_of[job] = end;
        self.on[job] = on;
    }

    /// Takes a run back; the job waits again, of which the policy is not told. Gives the nodes that it had.
    pub fn take_back(&mut self, job: usize) -> Vec<u32> {
        let on = self.end(job, How::TakenBack);
        self.recorder.waits(job);
        on
    }

    /// A node's part of a gang takes its place before the rest; what it takes.
    pub fn hold(&mut self, job: usize, node: u32) -> Taken {
        let need = self.job(job).need();
        let taken = self.recorder.floor.room(node).seat(&need);
        self.recorder.floor.take(node, &need, taken);
        taken
    }

    /// A node's part of a gang that was held since then gives its place back, to run or to wait.
    pub fn release(&mut self, job: usize, (node, taken): (u32, Taken), since: Time) {
        self.recorder.floor.give(node, &self.workload.jobs[job].need(), taken);
        self.recorder.stalls(taken, self.now.since(since));
    }

    fn end(&mut self, job: usize, how: How) -> Vec<u32> {
        self.ends.remove(&(self.end_of[job], job));
        self.recorder.ends(self.now, job, how);
        std::mem::take(&mut self.on[job])
    }

    fn soonest(&self, wake: Option<Time>) -> Option<Time> {
        let submit = self.workload.jobs.get(self.next).map(|job| job.submit);
        let fault = self.workload.faults.get(self.fault).map(|fault| fault.at);
        let mend = self.mends.first().map(|(at, _)| *at);
        let end = self.ends.first().map(|(at, _)| *at);
        let withdrawal = self.withdrawals.get(self.withdrawal).map(|(at, _)| *at);
        [submit, fault, mend, end, withdrawal, wake].into_iter().flatten().min()
    }

    fn ended(&mut self, policy: &mut impl Policy) {
        while let Some((_, job)) = self.ends.first().copied().filter(|(at, _)| *at <= self.now) {
            let how = if self.recorder.left(job) > self.job(job).limit { How::TimedOut } else { How::Ended };
            let on = self.end(job, how);
            policy.gone(self, job, &on, how);
        }
    }

    fn broken(&mut self, policy: &mut impl Policy) {
        while let Some(fault) = self.workload.faults.get(self.fault).filter(|fault| fault.at <= self.now) {
            self.fault += 1;
            self.mends.insert((self.now.after(fault.lasts), fault.node));
            self.faults_on[fault.node as usize] += 1;
            self.recorder.floor.set_down(fault.node, true);
            for job in self.recorder.on(fault.node) {
                let on = self.end(job, How::NodeLost);
                policy.gone(self, job, &on, How::NodeLost);
                self.recorder.waits(job);
                policy.waits(self, job);
            }
            policy.node(self, fault.node);
        }
    }

    fn mended(&mut self, policy: &mut impl Policy) {
        while let Some((at, node)) = self.mends.first().copied().filter(|(at, _)| *at <= self.now) {
            self.mends.remove(&(at, node));
            self.faults_on[node as usize] -= 1;
            if self.faults_on[node as usize] == 0 {
                self.recorder.floor.set_down(node, false);
                policy.node(self, node);
            }
        }
    }

    fn submitted(&mut self, policy: &mut impl Policy) {
        while self.workload.jobs.get(self.next).is_some_and(|job| job.submit <= self.now) {
            self.recorder.waits(self.next);
            policy.waits(self, self.next);
            self.next += 1;
        }
    }
}

impl Ground<'_> {
    fn given_up(&mut self, policy: &mut impl Policy) {
        while let Some((_, job)) = self.withdrawals.get(self.withdrawal).copied().filter(|(at, _)| *at <= self.now) {
            self.withdrawal += 1;
            // Whoever has run to its end is not withdrawn, nor is a run.
            if !self.recorder.is_running(job) && !self.recorder.is_over(job) {
                policy.withdrawn(self, job);
                self.recorder.withdraws(self.now, job);
            }
        }
    }
}

/// Tries a workload on a machine under a policy.
pub(super) fn run(
    workload: &Workload,
    machine: &Machine,
    mut policy: impl Policy,
    name: &str,
    seen: &mut Seen,
) -> Result<Outcome, Refusal> {
    machine.holds(workload)?;
    let mut ground = Ground::new(workload, machine);
    let mut told = 0;
    while ground.recorder.finished() < workload.jobs.len() {
        let soonest = ground.soonest(policy.wake()).expect("whoever waits is started in the end, or is woken for");
        ground.now = ground.now.max(soonest);
        ground.recorder.pass(ground.now);
        ground.ended(&mut policy);
        ground.broken(&mut policy);
        ground.mended(&mut policy);
        ground.submitted(&mut policy);
        ground.given_up(&mut policy);
        policy.decide(&mut ground);
        if ground.recorder.finished() >= told + EVERY {
            told = ground.recorder.finished();
            seen(told);
        }
    }
    Ok(ground.recorder.close(name.into(), (0, 0)))
}
