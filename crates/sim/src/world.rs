//! The simulated world: virtual time, modelled engines, people, and disasters; it drives the same core as the server.
//!
//! One batch after the other: the world draws what comes next (reports that are due, an act of somebody, a fault),
//! writes it to its journal, lets the core step, and looks at what came of it through the [`Oracle`] and the core's own
//! audit. Restarts restore the last snapshot and replay the journal's tail; the outcome must be the live core, byte
//! for byte. At last faults heal, and every job must come to its end.
mod cutoff;

use crate::acts::{self, Knowledge};
use crate::estate;
use crate::faults::{Fault, Strikes};
use crate::model_engine::ModelEngine;
use crate::oracle::Oracle;
use crate::rearrange::Operator;
use crate::rebirth::Journal;
use crate::rng::Rng;
use crate::run::Wishes;
use madang_centre::input::{Input, Key, Report, Signed};
use madang_centre::{Centre, Code, Effect, Refusal, Reply, Target, World};
use madang_model::{Allocation, Blocked, GpuTime, JobId, JobState, NodeId, Outcome, RunId, Span, StopCause, Time};
use std::collections::{BTreeMap, BTreeSet};

/// When every simulation begins: a moment in 2027.
pub const DAWN: Time = Time::from_millis(1_800_000_000_000);
/// How many times as long nobody asks for anything in a calm world.
const CALM: u64 = 12;
/// Batches within which a healed centre must have ended all jobs.
const PATIENCE: u64 = 100_000;

/// What a caller may be answered.
#[derive(Clone, Debug)]
enum Expect {
    Anything,
    Refused,
    /// What this key was answered before, if it was accepted.
    Same(String),
    /// A refusal, if this key was accepted before.
    KeyReused(String),
}

/// What comes at a moment.
enum Coming {
    Input(Box<Signed>),
    /// A node works again; its report follows.
    Rise(NodeId),
}

impl Coming {
    /// True of the report that this run began.
    fn starts(&self, run: RunId) -> bool {
        let Coming::Input(signed) = self else { return false };
        matches!(&signed.input, Input::Report(Report::Started { run: other, .. }) if *other == run)
    }
}

/// Why the core's loop was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// The server is restarted.
    Restart,
    /// The simulation is over.
    Over,
}

/// The world of one seed.
pub struct Sim {
    rng: Rng,
    now: Time,
    engine: ModelEngine,
    pub(crate) oracle: Oracle,
    pub(crate) journal: Journal,
    pub(crate) strikes: Strikes,
    pub(crate) pause: Option<Pause>,
    pub(crate) failure: Option<String>,
    /// Batches so far.
    pub(crate) steps: u64,
    chaos_steps: u64,
    healing: bool,
    coming: BTreeMap<(Time, u64), Coming>,
    next_act: Time,
    batch: Vec<Signed>,
    counter: u64,
    open: BTreeMap<u64, (Expect, Signed)>,
    answers: BTreeMap<String, (Signed, Reply)>,
    jobs: Vec<JobId>,
    node_names: Vec<String>,
    most_gpus: u32,
    dead: BTreeSet<NodeId>,
    drained: BTreeSet<String>,
    refused: BTreeSet<RunId>,
    past: Vec<RunId>,
    late: BTreeSet<RunId>,
    /// Runs told to make room for another job.
    pub(crate) taken: u64,
    /// See [`crate::Summary`].
    pub(crate) resized: [u64; 3],
    /// Runs told to go on elsewhere.
    pub(crate) moved: u64,
    /// Runs given up at lost sites; and of these, begun again while the old one really lived.
    pub(crate) fenced: [u64; 2],
    /// See [`crate::run::Wishes`].
    pub(crate) wishes: Wishes,
    operator: Operator,
    sites: cutoff::Sites,
    unstuck: BTreeSet<(JobId, bool)>,
    /// People ask for so little that nodes stand idle.
    calm: bool,
    live: u32,
    verbose: bool,
}

impl Sim {
    /// The world of a seed, before its first moment.
    pub fn new(seed: u64, chaos_steps: u64, verbose: bool) -> Sim {
        let mut rng = Rng::new(seed);
        let founding = estate::founding(&mut rng);
        let mut sim = Sim {
            now: DAWN,
            engine: ModelEngine::new(),
            oracle: Oracle::default(),
            journal: Journal::new(),
            strikes: Strikes::default(),
            pause: None,
            failure: None,
            steps: 0,
            chaos_steps,
            healing: false,
            coming: BTreeMap::new(),
            next_act: DAWN.after(Span::from_secs(1)),
            batch: Vec::new(),
            counter: 0,
            open: BTreeMap::new(),
            answers: BTreeMap::new(),
            jobs: Vec::new(),
            node_names: founding.nodes.iter().map(|node| node.name.clone()).collect(),
            most_gpus: founding.nodes.iter().map(|node| node.gpus).max().unwrap_or(0).max(1),
            dead: BTreeSet::new(),
            drained: BTreeSet::new(),
            refused: BTreeSet::new(),
            past: Vec::new(),
            late: BTreeSet::new(),
            taken: 0,
            resized: [0; 3],
            moved: 0,
            fenced: [0; 2],
            wishes: Wishes::default(),
            operator: Operator::new(seed),
            sites: cutoff::Sites::new(seed, &founding),
            unstuck: BTreeSet::new(),
            calm: rng.per_mille(300),
            live: 0,
            verbose,
            rng: rng.fork(),
        };
        sim.comes(DAWN, Signed::own(Input::Found(founding)));
        for input in estate::setting_up(&mut rng, DAWN) {
            sim.comes(DAWN, Signed::own(input));
        }
        sim
    }

    fn strikes(&mut self, fault: Fault) -> bool {
        let struck = !self.healing && self.rng.per_mille(fault.per_mille());
        if struck {
            self.strikes.count(fault);
        }
        struck
    }

    fn comes(&mut self, at: Time, signed: Signed) {
        self.counter += 1;
        self.coming.insert((at, self.counter), Coming::Input(Box::new(signed)));
    }

    fn fail(&mut self, what: impl Into<String>) {
        self.failure.get_or_insert(what.into());
    }

    /// Go to the moment when something is due, and collect it.
    fn gather(&mut self, wake: Option<Time>) -> bool {
        let acts = (!self.healing).then_some(self.next_act);
        let first = self.coming.first_key_value().map(|((at, _), _)| *at);
        let Some(soonest) = [acts, first, self.engine.next_due(), wake].into_iter().flatten().min() else {
            return false;
        };
        self.now = self.now.max(soonest);
        if self.strikes(Fault::Jump) {
            self.now = self.now.after(Span::from_secs(self.rng.range(3_600, 5 * 86_400)));
        } else if self.rng.per_mille(300) {
            self.now = self.now.after(Span::from_millis(self.rng.below(2_000)));
        }
        for report in self.engine.due(self.now) {
            self.hand_over(report);
        }
        if !self.healing && self.next_act <= self.now {
            for _ in 0..self.rng.range(1, 3) {
                self.somebody_acts();
            }
            self.pass_time();
        }
        while let Some(entry) = self.coming.first_entry().filter(|entry| entry.key().0 <= self.now) {
            match entry.remove() {
                Coming::Input(signed) => self.batch.push(*signed),
                Coming::Rise(node) => self.rise(node),
            }
        }
        true
    }

    fn pass_time(&mut self) {
        let slow = if self.calm { CALM } else { 1 };
        let gap = match self.rng.below(10) {
            _ if self.strikes(Fault::Frozen) => 0,
            0..=4 => self.rng.below(5_000),
            5..=8 => self.rng.below(180_000),
            _ => self.rng.below(3_600_000),
        };
        self.next_act = self.now.after(Span::from_millis(slow * gap));
    }

    // ---- reports ----

    /// A report leaves the engine: what is true is noted, what arrives may be late, doubled or off.
    fn hand_over(&mut self, mut report: Report) {
        let (run, ended) = match &report {
            Report::Started { run, .. } => (*run, None),
            Report::Ended { run, at, .. } => (*run, Some(*at)),
            _ => return self.comes(self.now, Signed::own(Input::Report(report))),
        };
        if let Some(at) = ended {
            self.oracle.end(run, at);
            self.past.push(run);
        }
        if self.strikes(Fault::Skewed) {
            self.oracle.muddy(run);
            let off = Span::from_millis(self.rng.below(60_000));
            let ahead = self.rng.per_mille(500);
            if let Report::Started { at, .. } | Report::Ended { at, .. } = &mut report {
                *at = if ahead { at.after(off) } else { at.before(off) };
            }
        }
        let mut at = self.now;
        if self.strikes(Fault::Late) {
            at = at.after(Span::from_millis(self.rng.range(1, 600_000)));
            self.late.insert(run);
        }
        if ended.is_some() && self.coming.range((at, u64::MAX)..).any(|(_, coming)| coming.starts(run)) {
            self.strikes.count(Fault::Swapped);
            self.oracle.muddy(run);
        }
        if let Some(back) = self.run_cut_off(run) {
            at = at.max(back);
        }
        if self.strikes(Fault::Doubled) {
            let again = at.after(Span::from_millis(self.rng.below(60_000)));
            self.comes(again, Signed::own(Input::Report(report.clone())));
        }
        self.comes(at, Signed::own(Input::Report(report)));
    }

    fn report(&mut self, after: Span, report: Report) {
        self.comes(self.now.after(after), Signed::own(Input::Report(report)));
    }

    // ---- people and faults ----

    fn somebody_acts(&mut self) {
        for fault in [Fault::NodeLost, Fault::Drained, Fault::Stale, Fault::Strange, Fault::Repeated, Fault::KeyReused]
        {
            if self.strikes(fault) {
                self.strike(fault);
            }
        }
        self.perhaps_lose_site();
        if self.rng.per_mille(400) {
            self.save_something();
        }
        let known = Knowledge { now: self.now, jobs: &self.jobs, nodes: &self.node_names, gpus: self.most_gpus };
        if !self.healing && self.rng.per_mille(Fault::Nonsense.per_mille()) {
            let input = acts::nonsense(&mut self.rng, &known);
            self.strikes.count(Fault::Nonsense);
            return self.ask(Expect::Refused, Signed::own(input));
        }
        let mut input = acts::act(&mut self.rng, &known);
        if let Input::Submit(submission) = &mut input {
            self.hint_at_data(submission);
        }
        let by = match &input {
            Input::Submit(submission) => submission.user.clone(),
            _ => String::new(),
        };
        let mut signed = Signed { by, ..Signed::own(input) };
        if self.rng.per_mille(300) {
            self.counter += 1;
            signed.key = Some(Key { name: format!("key{}", self.counter), print: "first".into() });
        }
        self.ask(Expect::Anything, signed);
    }

    /// Whatever runs on some node has written a checkpoint.
    fn save_something(&mut self) {
        let node = NodeId::new(self.rng.below(self.node_names.len() as u64) as u32);
        if self.is_cut_off(node) {
            return;
        }
        for run in self.oracle.on(node) {
            self.report(Span::ZERO, Report::Checkpoint { run, at: self.now });
        }
    }

    fn ask(&mut self, expect: Expect, mut signed: Signed) {
        self.counter += 1;
        signed.ticket = self.counter;
        self.open.insert(signed.ticket, (expect, signed.clone()));
        self.comes(self.now, signed);
    }

    fn strike(&mut self, fault: Fault) {
        match fault {
            Fault::NodeLost => self.lose_node(),
            Fault::Drained => self.drain_node(),
            Fault::Stale => {
                let Some(&run) = self.rng.pick(&self.past) else { return };
                self.oracle.muddy(run);
                let (at, outcome) = (self.now, Outcome::Completed);
                let report = if self.rng.per_mille(500) {
                    Report::Ended { run, at, outcome }
                } else {
                    Report::Started { run, at }
                };
                self.report(Span::ZERO, report);
            }
            Fault::Strange => {
                let run = RunId { job: JobId::new(8_000_000 + self.rng.below(10)), attempt: 1 };
                let reports = [
                    Report::Started { run, at: self.now },
                    Report::Ended { run, at: self.now, outcome: Outcome::TimedOut },
                    Report::Unknown { run },
                    Report::NodeDown { node: "nowhere".into(), why: "never was".into() },
                    Report::NodeUp { node: "nowhere".into() },
                ];
                let report = self.rng.pick(&reports).cloned().expect("the list is not empty");
                self.report(Span::ZERO, report);
            }
            Fault::Repeated | Fault::KeyReused => self.use_key_again(fault),
            _ => unreachable!("only what strikes at an act is drawn there"),
        }
    }

    fn use_key_again(&mut self, fault: Fault) {
        let recent: Vec<&String> = self.answers.keys().rev().take(20).collect();
        let Some(name) = self.rng.pick(&recent).map(|name| (*name).clone()) else { return };
        let (mut signed, _) = self.answers[&name].clone();
        if fault == Fault::Repeated {
            return self.ask(Expect::Same(name), signed);
        }
        signed.key = Some(Key { name: name.clone(), print: "other".into() });
        self.ask(Expect::KeyReused(name), signed);
    }

    fn lose_node(&mut self) {
        let number = self.rng.below(self.node_names.len() as u64) as u32;
        let node = NodeId::new(number);
        if self.is_cut_off(node) || !self.dead.insert(node) {
            return;
        }
        let lost = self.oracle.on(node);
        // Whose end is still on its way may be given up by the core, which then has to guess when that was.
        let late = std::mem::take(&mut self.late);
        late.iter().chain(&lost).for_each(|run| self.oracle.muddy(*run));
        self.engine.lose(self.now, lost.iter().copied());
        let silent = self.rng.per_mille(500);
        for report in self.engine.due(self.now) {
            match &report {
                // A dead node's daemon says nothing; the core has to find out by the node's own loss.
                Report::Ended { run, at, .. } if silent && lost.contains(run) => {
                    self.oracle.end(*run, *at);
                }
                _ => self.hand_over(report),
            }
        }
        let name = self.node_names[number as usize].clone();
        let noticed = Span::from_millis(self.rng.below(120_000));
        self.report(noticed, Report::NodeDown { node: name, why: "lost".into() });
        let back = self.now.after(noticed).after(Span::from_secs(self.rng.range(1, 7_200)));
        self.counter += 1;
        self.coming.insert((back, self.counter), Coming::Rise(node));
    }

    fn rise(&mut self, node: NodeId) {
        if self.dead.remove(&node) {
            let node = self.node_names[node.index()].clone();
            self.batch.push(Signed::own(Input::Report(Report::NodeUp { node })));
        }
    }

    fn drain_node(&mut self) {
        let Some(node) = self.rng.pick(&self.node_names).cloned() else { return };
        self.drained.insert(node.clone());
        self.comes(self.now, Signed::own(Input::Drain { node: node.clone(), why: "maintenance".into() }));
        let back = self.now.after(Span::from_secs(self.rng.range(60, 20_000)));
        self.comes(back, Signed::own(Input::Resume { node }));
    }
}

impl World for Sim {
    fn next(&mut self, wake: Option<Time>) -> Option<(Time, Vec<Signed>)> {
        if self.pause.is_some() || self.failure.is_some() {
            return None;
        }
        if !self.healing && self.steps >= self.chaos_steps {
            self.heal();
        }
        loop {
            if !self.gather(wake) {
                self.pause = Some(Pause::Over);
                if self.live > 0 {
                    self.fail(format!("{} jobs are left and nothing is to come", self.live));
                }
                return None;
            }
            if !self.batch.is_empty() || wake.is_some_and(|at| at <= self.now) {
                break;
            }
        }
        let batch = std::mem::take(&mut self.batch);
        if self.steps > 0 && self.strikes(Fault::CrashBefore) {
            // Nothing of it was written: whoever sent it, sends it again.
            for signed in batch {
                let again = self.now.after(Span::from_millis(self.rng.below(5_000)));
                self.comes(again, signed);
            }
            self.pause = Some(Pause::Restart);
            return None;
        }
        self.journal.append(self.now, &batch);
        if self.verbose {
            batch.iter().for_each(|signed| eprintln!("{:>6} {:?} < {signed:?}", self.steps, self.now));
        }
        Some((self.now, batch))
    }

    fn perform(&mut self, _: Time, effects: Vec<Effect>, centre: &Centre) {
        self.steps += 1;
        self.journal.follow(&effects);
        let wrong = centre.audit();
        if !wrong.is_empty() {
            self.fail(format!("the audit found: {}", wrong.join("; ")));
        }
        if self.strikes(Fault::CrashAfter) {
            return self.lose_effects();
        }
        for effect in effects {
            if self.verbose && !matches!(effect, Effect::Notice(_)) {
                eprintln!("{:>6} {:?} > {effect:?}", self.steps, self.now);
            }
            self.perform_one(effect, centre);
        }
        if let Some((ticket, (_, signed))) = self.open.iter().find(|(ticket, _)| !self.is_coming(**ticket)) {
            self.fail(format!("ticket {ticket} got no answer: {signed:?}"));
        }
        let counts = centre.counts();
        self.live = counts.running + counts.waiting;
        if self.healing {
            self.unstick(centre);
        } else if let Some((after, input)) = self.operator.rearranges(centre) {
            self.comes(self.now.after(after), Signed::own(input));
        }
        self.journal.perhaps_snapshot(centre);
        if self.strikes(Fault::Restart) {
            self.pause = Some(Pause::Restart);
        }
    }
}

impl Sim {
    /// True while a request is on its way: late, or sent again after a crash.
    fn is_coming(&self, ticket: u64) -> bool {
        self.coming.values().any(|coming| matches!(coming, Coming::Input(signed) if signed.ticket == ticket))
    }

    /// The server died before it did anything of a batch. Callers with a key ask again, others give up.
    fn lose_effects(&mut self) {
        let unanswered: Vec<u64> = self.open.keys().copied().filter(|ticket| !self.is_coming(*ticket)).collect();
        for ticket in unanswered {
            let Some((expect, signed)) = self.open.remove(&ticket) else { continue };
            if signed.key.is_some() {
                self.ask(expect, signed);
            } else {
                self.journal.unanswered.insert(ticket);
            }
        }
        self.pause = Some(Pause::Restart);
    }

    fn perform_one(&mut self, effect: Effect, centre: &Centre) {
        let done = match effect {
            Effect::Start { run, on, limit, .. } => self.start(centre, run, &on, limit),
            Effect::Stop { run, cause, .. } => {
                self.taken += u64::from(matches!(cause, StopCause::Preempted { by, .. } if by != run.job));
                self.resized[0] += u64::from(matches!(cause, StopCause::Preempted { by, .. } if by == run.job));
                self.moved += u64::from(matches!(cause, StopCause::Moved { .. }));
                self.fenced[0] += u64::from(cause == StopCause::Stale && centre.is_fenced(run));
                if !self.refused.contains(&run) && self.run_cut_off(run).is_none() {
                    self.engine.stop(self.now, run, cause);
                    self.collect_ends();
                    self.answer_for_ended(centre, run);
                }
                Ok(())
            }
            Effect::Limit { run, limit, .. } => {
                if self.run_cut_off(run).is_none()
                    && let Some(job) = centre.job(run.job)
                    && let JobState::Starting { since, on, .. } | JobState::Running { since, on, .. } = &job.state
                {
                    self.engine.relimit(run, *since, limit, job.model_on(on));
                }
                Ok(())
            }
            Effect::Release { .. } => Ok(()),
            Effect::Signal { run, .. } if self.run_cut_off(run).is_some() => Ok(()),
            Effect::Signal { run, signal, .. } => {
                self.engine.signal(self.now, run, signal);
                self.collect_ends();
                Ok(())
            }
            Effect::Reply { ticket, answer } => self.answered(ticket, answer),
            Effect::Keep(keep) => self.oracle.keep(keep),
            Effect::Notice(_) => Ok(()),
        };
        if let Err(wrong) = done {
            self.fail(wrong);
        }
    }

    /// What a stop or signal ended is over at once: its devices are free before the core hears of it.
    fn collect_ends(&mut self) {
        for report in self.engine.due(self.now) {
            self.hand_over(report);
        }
    }

    fn start(&mut self, centre: &Centre, run: RunId, on: &Allocation, limit: Span) -> Result<(), String> {
        if self.oracle.truth(run).is_some() || self.refused.contains(&run) {
            return Err(format!("{run} was started twice"));
        }
        if let Some(back) = self.cut_off(on) {
            self.report(back.since(self.now), Report::Unknown { run });
            return Ok(());
        }
        if self.strikes(Fault::LostStart) {
            let asked = Span::from_millis(self.rng.below(120_000));
            self.report(asked, Report::Unknown { run });
            return Ok(());
        }
        let on_dead = on.slots.iter().any(|slot| self.dead.contains(&slot.node));
        if on_dead || self.strikes(Fault::FailedLaunch) {
            self.refused.insert(run);
            let tried = Span::from_millis(self.rng.below(30_000));
            let at = self.now.after(tried);
            self.report(tried, Report::Ended { run, at, outcome: Outcome::LaunchFailed });
            return Ok(());
        }
        self.fenced[1] += u64::from(self.oracle.lives(run.job));
        self.oracle.begin(centre, self.now, run, on)?;
        let model = centre.job(run.job).and_then(|job| job.model_on(on));
        let before = centre.job(run.job).map_or(0, |job| job.progress.from as usize);
        self.resized[1] += u64::from(before > 0 && on.slots.len() > before);
        self.resized[2] += u64::from(before > 0 && on.slots.len() < before);
        self.engine.start(self.now, run, limit, model);
        Ok(())
    }

    fn answered(&mut self, ticket: u64, answer: Result<Reply, Refusal>) -> Result<(), String> {
        let Some((expect, signed)) = self.open.remove(&ticket) else {
            return Err(format!("ticket {ticket} was answered, and nobody asks"));
        };
        let before = |name: &String| self.answers.get(name).map(|(_, reply)| reply.clone());
        match (&expect, &answer) {
            (Expect::Refused, Ok(reply)) => return Err(format!("{signed:?} makes no sense and got {reply:?}")),
            (Expect::Same(name), answer) if before(name).map(Ok).as_ref() != Some(answer) => {
                return Err(format!("{name} was answered {:?} first and {answer:?} now", before(name)));
            }
            (Expect::KeyReused(name), answer) if !matches!(answer, Err(refusal) if refusal.code == Code::KeyReused) => {
                return Err(format!("{name} was used for something else and got {answer:?}"));
            }
            _ => {}
        }
        let Ok(reply) = answer else { return Ok(()) };
        if let (Some(key), Expect::Anything) = (&signed.key, &expect) {
            self.answers.insert(key.name.clone(), (signed.clone(), reply.clone()));
        }
        if let (Reply::Job(id), Input::Submit(submission)) = (&reply, &signed.input) {
            let tasks = |(first, last, step): &(u32, u32, u32)| (last - first) / step + 1;
            let jobs = submission.array.as_ref().map_or(1, |array| array.ranges.iter().map(tasks).sum());
            self.oracle.accept(*id, jobs);
            self.wishes.count(submission);
            if !matches!(expect, Expect::Same(_)) {
                self.jobs.push(*id);
            }
        }
        Ok(())
    }

    /// After a restart the engine and the core compare: what the one never had, the other is told.
    pub(crate) fn reconcile(&mut self, centre: &Centre) -> Result<(), String> {
        let mut stops = Vec::new();
        let mut unknown = Vec::new();
        for job in centre.jobs() {
            let (run, stop) = match &job.state {
                JobState::Starting { run, .. } | JobState::Running { run, .. } => (*run, None),
                JobState::Completing { run, cause, .. } => (*run, Some(*cause)),
                _ => continue,
            };
            if self.oracle.truth(run).is_none() && !self.refused.contains(&run) {
                unknown.push(run);
            } else if let Some(cause) = stop {
                stops.push((run, cause));
            }
        }
        for run in unknown {
            self.report(self.asked_after(centre, run), Report::Unknown { run });
        }
        for (run, cause) in stops {
            if self.engine.knows(run) && self.run_cut_off(run).is_none() {
                self.engine.stop(self.now, run, cause);
            }
        }
        self.reconcile_fenced(centre);
        self.collect_ends();
        self.journal.recover(&mut self.oracle, &mut self.jobs)
    }

    // ---- healing ----

    fn heal(&mut self) {
        self.healing = true;
        self.chaos_steps = self.steps;
        self.dead.clear();
        for node in self.node_names.clone() {
            self.report(Span::from_secs(300), Report::NodeUp { node: node.clone() });
            self.comes(self.now.after(Span::from_secs(301)), Signed::own(Input::Resume { node }));
        }
        for name in acts::RESERVATIONS {
            self.comes(self.now, Signed::own(Input::Unreserve { name: name.into() }));
        }
        for (project, ..) in estate::PROJECTS {
            let granted = GpuTime::from_hours(1_000_000);
            let (from, until) = (self.now, self.now.after(Span::from_days(100_000)));
            self.comes(self.now, Signed::own(Input::Award { project: project.into(), granted, from, until }));
        }
    }

    /// What waits for something that never comes is let go, each once.
    fn unstick(&mut self, centre: &Centre) {
        if self.steps > self.chaos_steps + PATIENCE {
            return self.fail(format!("{} jobs are left {PATIENCE} batches after healing", self.live));
        }
        // A spare, or what a rule has drained, is given to work too: gangs may wait for all of an island.
        let nodes = centre.founding().into_iter().flat_map(|base| &base.nodes);
        for node in nodes.filter(|node| centre.is_spare(node.id) || centre.drained_by_rule(node.id).is_some()) {
            self.comes(self.now, Signed::own(Input::Resume { node: node.name.clone() }));
        }
        let arrays = centre.arrays().filter(|record| record.waiting() > 0).map(|record| record.id);
        let waiting = |job: &&madang_model::Job| matches!(job.state, JobState::Pending { .. });
        let ids: Vec<JobId> = centre.jobs().filter(waiting).map(|job| job.id).chain(arrays).collect();
        for id in ids {
            let job = Target { job: id, task: None };
            // A task is held by itself or by its array.
            let array = centre.job(id).and_then(|job| job.task).map(|(array, _)| Target { job: array, task: None });
            let input = match centre.why(id) {
                Blocked::Held => {
                    self.comes(self.now, Signed::own(Input::Release { job: array.unwrap_or(job) }));
                    Input::Release { job }
                }
                Blocked::Never | Blocked::DependencyNever { .. } | Blocked::ReservationOver { .. } => {
                    Input::Cancel { job }
                }
                _ => continue,
            };
            if self.unstuck.insert((id, matches!(input, Input::Cancel { .. }))) {
                self.comes(self.now, Signed::own(input));
            }
        }
    }
}
