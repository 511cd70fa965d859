//! A trial of Madang itself: the very centre that serves, driven by the very loop, with the model engine as its site.
//!
//! The centre is founded on the trial's machine, each owner with a project of its own and an award that no trial can
//! spend; jobs are submitted as people would submit them, and what the centre tells its engine is carried out in
//! virtual time.
use super::Refusal;
use super::machine::Machine;
use super::record::{How, Outcome, Recorder};
use super::room::Taken;
use super::stretch::{RESTART, Stretch};
use super::workload::{Job, Workload};
use crate::model_engine::ModelEngine;
use madang_centre::input::{Input, Report, Signed, Submission};
use madang_centre::{Centre, Effect, Reply, World, drive};
use madang_model::{
    Elastic, Founding, GpuTime, JobId, ModelRun, Outcome as End, Part, Role, RunId, Span, StopCause, Time,
};
use madang_sched::{Forecast, Lasting};

/// Told now and then how many jobs have come to their end.
pub type Seen<'a> = dyn FnMut(usize) + 'a;

/// When a step of the centre begins and ends, for whoever times it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// The step begins.
    Begins,
    /// It has ended.
    Ends,
}

/// Ends between two reports of progress.
const EVERY: usize = 4096;

/// What was told of the start of a job that waits, right after it was submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// Index of the job in the workload.
    pub job: u32,
    /// When it was asked.
    pub asked: Time,
    /// Its promise.
    pub promise: Option<Time>,
    /// The present state run forward on limits.
    pub limits: Forecast,
    /// The same on expected lengths.
    pub predicted: Forecast,
}

/// Tries a workload on a machine under the centre's own scheduler.
pub fn run(
    workload: &Workload,
    machine: &Machine,
    policy: &super::Settings,
    seen: &mut Seen,
) -> Result<Outcome, Refusal> {
    run_stretched(workload, machine, (policy, Stretch::default()), seen)
}

/// The same with a share of the gangs elastic.
pub fn run_stretched(
    workload: &Workload,
    machine: &Machine,
    (policy, stretch): (&super::Settings, Stretch),
    seen: &mut Seen,
) -> Result<Outcome, Refusal> {
    Ok(tried(workload, machine, (policy, stretch), Looking { every: usize::MAX, seen, watch: &mut |_| () })?.0)
}

/// As [`run`]; tells when each step begins and ends.
pub fn watched(
    workload: &Workload,
    machine: &Machine,
    policy: &super::Settings,
    watch: &mut dyn FnMut(Edge),
) -> Result<Outcome, Refusal> {
    let looking = Looking { every: usize::MAX, seen: &mut |_| (), watch };
    Ok(tried(workload, machine, (policy, Stretch::default()), looking)?.0)
}

/// As [`run`]; moreover each job whose index is a multiple of `every` asks when it starts, if it does not at once.
pub fn told(
    workload: &Workload,
    machine: &Machine,
    policy: &super::Settings,
    every: usize,
) -> Result<(Outcome, Vec<Told>), Refusal> {
    let looking = Looking { every: every.max(1), seen: &mut |_| (), watch: &mut |_| () };
    tried(workload, machine, (policy, Stretch::default()), looking)
}

/// Who looks on at a trial.
struct Looking<'a> {
    /// See [`told`].
    every: usize,
    seen: &'a mut Seen<'a>,
    watch: &'a mut dyn FnMut(Edge),
}

fn tried<'a>(
    workload: &'a Workload,
    machine: &'a Machine,
    (policy, stretch): (&super::Settings, Stretch),
    looking: Looking<'a>,
) -> Result<(Outcome, Vec<Told>), Refusal> {
    machine.holds(workload)?;
    let mut centre = Centre::new();
    let founding = Founding { policy: policy.config.clone(), ..machine.founding_for(workload) };
    let mut trial = Trial {
        workload,
        sizes: workload.jobs.iter().map(|job| stretch.of(job, machine)).collect(),
        leaving: std::collections::BTreeSet::new(),
        recorder: Recorder::new(workload, machine),
        engine: ModelEngine::new(),
        names: founding.nodes.iter().map(|node| node.name.clone()).collect(),
        users: users(workload),
        now: Time::default(),
        next: 0,
        faults: 0,
        withdrawals: workload.withdrawals(),
        withdrawal: 0,
        ids: std::collections::BTreeMap::new(),
        mends: std::collections::BTreeSet::new(),
        jobs: Vec::new(),
        refused: None,
        reported: 0,
        told: Vec::new(),
        looking,
    };
    let mut opening = vec![Input::Found(founding)];
    opening.extend(people(workload, &trial.users));
    let effects = centre.step(Time::default(), opening.into_iter().map(Signed::own).collect());
    trial.perform(Time::default(), effects, &centre);
    drive(&mut centre, &mut trial);
    let Trial { recorder, refused, told, .. } = trial;
    if let Some(fact) = refused {
        return Err(Refusal::Centre(fact));
    }
    assert!(recorder.finished() == workload.jobs.len(), "every job has come to its end");
    Ok((recorder.close(policy.name.clone(), centre.promises_kept()), told))
}

/// Who submits, as (owner, user), ascending, with a login name each.
fn users(workload: &Workload) -> Vec<((u32, u32), String)> {
    let mut users: Vec<(u32, u32)> = workload.jobs.iter().map(|job| (job.owner, job.user)).collect();
    users.sort_unstable();
    users.dedup();
    let named = |(owner, user): (u32, u32)| {
        let name = format!("{}-{user}", workload.owners[owner as usize].name);
        ((owner, user), name)
    };
    users.into_iter().map(named).collect()
}

/// Projects, users and awards of the owners.
fn people(workload: &Workload, users: &[((u32, u32), String)]) -> Vec<Input> {
    let mut inputs = Vec::new();
    for owner in &workload.owners {
        let project = Input::Project {
            name: owner.name.clone(),
            title: owner.name.clone(),
            owner: owner.name.clone(),
            class: "all".into(),
        };
        // Half of what can be counted at all, so that holds and what is left add up within the range.
        let granted = GpuTime::from_micro_secs(i64::MAX / 2 / workload.owners.len() as i64);
        let award = Input::Award { project: owner.name.clone(), granted, from: Time::default(), until: Time::MAX };
        inputs.extend([project, award]);
    }
    for ((owner, _), name) in users {
        inputs.push(Input::User { name: name.clone(), role: Role::Researcher });
        inputs.push(Input::Member { project: workload.owners[*owner as usize].name.clone(), user: name.clone() });
    }
    inputs
}

struct Trial<'a> {
    workload: &'a Workload,
    /// Of the elastic ones the fewest nodes, and how many more.
    sizes: Vec<Option<(u32, Elastic)>>,
    /// Runs that leave to go on with more nodes.
    leaving: std::collections::BTreeSet<RunId>,
    recorder: Recorder<'a>,
    engine: ModelEngine,
    names: Vec<String>,
    users: Vec<((u32, u32), String)>,
    now: Time,
    /// The next job to submit, and the next fault.
    next: usize,
    faults: usize,
    /// What is withdrawn and when, and which of it is next.
    withdrawals: Vec<(Time, usize)>,
    withdrawal: usize,
    /// The ids of jobs that may be withdrawn.
    ids: std::collections::BTreeMap<usize, JobId>,
    /// Nodes that are mended then.
    mends: std::collections::BTreeSet<(Time, u32)>,
    /// The job of each id handed out by the centre.
    jobs: Vec<u32>,
    refused: Option<String>,
    reported: usize,
    told: Vec<Told>,
    looking: Looking<'a>,
}

impl Trial<'_> {
    fn job_of(&self, id: JobId) -> usize {
        self.jobs[id.index()] as usize
    }

    /// What is left of the work, on so many nodes; an elastic gang that starts again first pays for that.
    fn model(&mut self, run: RunId, nodes: usize) -> ModelRun {
        let job = self.job_of(run.job);
        let own = u64::from(self.workload.jobs[job].nodes);
        let left = (self.recorder.left(job).millis() * own).div_ceil((nodes as u64).max(1));
        let restart = self.sizes[job].filter(|_| run.attempt > 1).map_or(Span::ZERO, |_| RESTART);
        self.recorder.restarts(job, restart);
        ModelRun { runtime: Span::from_millis(left + restart.millis()), exit: i32::from(self.workload.jobs[job].fails) }
    }

    fn submit(&self, index: usize) -> Signed {
        let job = &self.workload.jobs[index];
        let user = self.users.binary_search_by_key(&(job.owner, job.user), |(user, _)| *user);
        let user = user.expect("whoever submits is among the users");
        let submission = submission(self.workload, job, self.users[user].1.clone(), self.sizes[index]);
        Signed { ticket: index as u64 + 1, ..Signed::own(Input::Submit(Box::new(submission))) }
    }

    /// A report reaches the centre; the end of a run is written down.
    fn report(&mut self, report: Report) -> Signed {
        if let Report::Ended { run, outcome, .. } = &report {
            let how = match outcome {
                End::TimedOut => How::TimedOut,
                End::NodeFailed => How::NodeLost,
                End::Completed | End::Failed { .. } => How::Ended,
                _ if self.leaving.remove(run) => How::Resized,
                _ => How::TakenBack,
            };
            let job = self.job_of(run.job);
            self.recorder.ends(self.now, job, how);
            if matches!(how, How::NodeLost | How::TakenBack | How::Resized) {
                self.recorder.waits(job);
            }
        }
        Signed::own(Input::Report(report))
    }

    /// Reports reach the centre.
    fn tell(&mut self, reports: Vec<Report>, inputs: &mut Vec<Signed>) {
        for report in reports {
            let signed = self.report(report);
            inputs.push(signed);
        }
    }

    /// Asks when a job starts that was submitted just now.
    fn ask(&mut self, now: Time, id: JobId, centre: &Centre) {
        let job = self.job_of(id);
        if self.looking.every == usize::MAX || !job.is_multiple_of(self.looking.every) {
            return;
        }
        let Some(sched) = centre.scheduler() else { return };
        let forecast = |lasting| sched.forecast(now, id, lasting);
        if let (Some(limits), Some(predicted)) = (forecast(Lasting::Limits), forecast(Lasting::Expected)) {
            let promise = sched.promise(id).map(|promise| promise.start);
            self.told.push(Told { job: job as u32, asked: now, promise, limits, predicted });
        }
    }

    /// Withdraws what is due to be and does not run. What was submitted in the same moment is withdrawn after it.
    fn give_up(&mut self, inputs: &mut Vec<Signed>) {
        while let Some((_, job)) = self.withdrawals.get(self.withdrawal).copied().filter(|(at, _)| *at <= self.now) {
            let Some(id) = self.ids.get(&job).copied() else { return };
            self.withdrawal += 1;
            if !self.recorder.is_running(job) && !self.recorder.is_over(job) {
                self.recorder.withdraws(self.now, job);
                let job = madang_centre::input::Target { job: id, task: None };
                inputs.push(Signed::own(Input::Cancel { job }));
            }
        }
    }

    fn breaks(&mut self, inputs: &mut Vec<Signed>) {
        while let Some(fault) = self.workload.faults.get(self.faults).filter(|fault| fault.at <= self.now) {
            self.faults += 1;
            let name = self.names[fault.node as usize].clone();
            let lost: Vec<usize> = self.recorder.on(fault.node);
            let runs: Vec<RunId> = self.engine.known().filter(|run| lost.contains(&self.job_of(run.job))).collect();
            self.engine.lose(self.now, runs);
            self.recorder.floor.set_down(fault.node, true);
            self.mends.insert((self.now.after(fault.lasts), fault.node));
            let why = "fault of the workload".into();
            inputs.push(Signed::own(Input::Report(Report::NodeDown { node: name, why })));
            let lost = self.engine.due(self.now);
            self.tell(lost, inputs);
        }
        while let Some((at, node)) = self.mends.first().copied().filter(|(at, _)| *at <= self.now) {
            self.mends.remove(&(at, node));
            self.recorder.floor.set_down(node, false);
            inputs.push(Signed::own(Input::Report(Report::NodeUp { node: self.names[node as usize].clone() })));
        }
    }
}

impl World for Trial<'_> {
    fn next(&mut self, wake: Option<Time>) -> Option<(Time, Vec<Signed>)> {
        if self.refused.is_some() || self.recorder.finished() == self.workload.jobs.len() {
            return None;
        }
        let submit = self.workload.jobs.get(self.next).map(|job| job.submit);
        let fault = self.workload.faults.get(self.faults).map(|fault| fault.at);
        let mend = self.mends.first().map(|(at, _)| *at);
        let withdrawal = self.withdrawals.get(self.withdrawal).map(|(at, _)| *at);
        let soonest = [submit, fault, mend, withdrawal, self.engine.next_due(), wake].into_iter().flatten().min()?;
        self.now = self.now.max(soonest);
        self.recorder.pass(self.now);
        let reports = self.engine.due(self.now);
        let come = self.workload.jobs[self.next..].iter().take_while(|job| job.submit <= self.now).count();
        let mut inputs = Vec::with_capacity(reports.len() + come);
        // What ended by itself at the moment of a fault has ended well, and is told before it.
        self.tell(reports, &mut inputs);
        self.breaks(&mut inputs);
        for index in self.next..self.next + come {
            inputs.push(self.submit(index));
            self.recorder.waits(index);
        }
        self.next += come;
        self.give_up(&mut inputs);
        if self.recorder.finished() >= self.reported + EVERY {
            self.reported = self.recorder.finished();
            (self.looking.seen)(self.reported);
        }
        (self.looking.watch)(Edge::Begins);
        Some((self.now, inputs))
    }

    fn perform(&mut self, now: Time, effects: Vec<Effect>, centre: &Centre) {
        (self.looking.watch)(Edge::Ends);
        for effect in effects {
            match effect {
                Effect::Reply { ticket, answer: Ok(Reply::Job(id)) } => {
                    self.jobs.resize(self.jobs.len().max(id.index() + 1), u32::MAX);
                    self.jobs[id.index()] = ticket as u32 - 1;
                    if self.workload.withdrawn.contains_key(&self.workload.jobs[ticket as usize - 1].number) {
                        self.ids.insert(ticket as usize - 1, id);
                    }
                    self.ask(now, id, centre);
                }
                Effect::Reply { answer: Err(refusal), .. } => self.refused = Some(refusal.fact),
                Effect::Start { run, on, limit, .. } => {
                    let held = |slot: &madang_model::Slot| (slot.node.number(), Taken::of(slot));
                    let job = self.job_of(run.job);
                    self.recorder.starts(now, job, on.slots.iter().map(held));
                    let model = self.model(run, on.slots.len());
                    self.engine.start(now, run, limit, Some(model));
                }
                Effect::Stop { run, cause, .. } => {
                    if matches!(cause, StopCause::Preempted { by, .. } if by == run.job) {
                        self.leaving.insert(run);
                    }
                    self.engine.stop(now, run, cause);
                }
                _ => {}
            }
        }
    }
}

/// The job as its owner's people would submit it.
fn submission(workload: &Workload, job: &Job, user: String, size: Option<(u32, Elastic)>) -> Submission {
    let part = Part {
        nodes: size.map_or(job.nodes, |(least, _)| least),
        gpus: job.gpus,
        // A centre that counts thousandths of a CPU: see Machine::founding_for.
        cpus: job.beside.map_or(job.cpus, |beside| beside.cpu_milli).max(1),
        memory_mib: job.beside.map_or(1, |beside| u64::from(beside.memory_mib.max(1))),
        model: None,
        exclusive: false,
        features: Vec::new(),
        share: (job.share > 0).then_some(madang_model::Share::Milli(job.share)),
    };
    Submission {
        project: Some(workload.owners[job.owner as usize].name.clone()),
        parts: vec![part],
        limit: Some(size.map_or(job.limit, |(least, _)| Stretch::limit(job, least))),
        elastic: size.map(|(_, elastic)| elastic),
        qos: job.qos,
        requeue: true,
        checkpoint: (job.checkpoint > Span::ZERO).then_some(job.checkpoint),
        ..crate::load::plain(user)
    }
}
