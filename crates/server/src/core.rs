//! The core thread: the one place where the centre changes.
//!
//! It collects inputs, puts them on the disk in one commit, steps, and hands the effects over: starts and stops to
//! engines, answers to callers, changes to whoever watches, records to the projections. Readers look at the centre
//! through a lock that is only ever written for the length of a step.
//!
//! Invariants: journal before step before effects; a commit that fails, or a step that panics, ends the thread and
//! with it the server, so that nobody is told of what is not safe; nothing in here waits for an engine or a caller.

use crate::bug::{self, Entry};
use crate::chart::Chart;
use crate::clock::Clock;
use crate::engines::Engines;
use crate::metrics::Metrics;
use crate::queue::{Answer, Found, Queue, Seen};
use crate::store::journal::Step;
use crate::store::pg::Lease;
use crate::store::{Batch, Head, Journal, Kept, Snapshots};
use crate::trouble::Trouble;
use madang_centre::{Centre, Effect, Input, Keep, Notice, Report, Signed};
use madang_ledger::{Posting, Transaction};
use madang_model::{AwardId, Job, JobId, JobState, NodeId, RunId, Time};
use madang_sim::Load;
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{broadcast, oneshot};

/// Inputs between two snapshots, besides one for each job that waits or runs: a snapshot costs by those, a replay by
/// inputs, so neither gets out of proportion to the other.
const SNAPSHOT_EVERY: u64 = 20_000;
/// The longest wait without looking around.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// How long records may wait for a commit to ride in when nothing else happens.
const KEEP_WITHIN: Duration = Duration::from_millis(20);
/// The least time between two steps in which only time passed.
const TICK: Duration = Duration::from_millis(5);
/// Most submissions of the demo's load in one batch.
const LOAD_BATCH: usize = 256;
/// Waiting jobs of a partition at which the demo's load holds back, so that its queue is long and stays that long.
const LOAD_QUEUE: usize = 40;
/// Steps that a slow watcher may be behind.
const CHANGES_KEPT: usize = 1_024;
/// Rows read at a time in a replay.
pub(crate) const PAGE: u32 = 1_024;

/// What changed in one step.
#[derive(Debug, Default)]
pub struct Changes {
    /// Jobs.
    pub jobs: Vec<JobId>,
    /// Nodes.
    pub nodes: Vec<NodeId>,
}

/// What the core thread and the rest share.
pub struct Shared {
    /// The centre, for reading.
    pub centre: RwLock<Centre>,
    /// The way to change it.
    pub queue: Arc<Queue>,
    /// What changed, step by step.
    pub changes: broadcast::Sender<Arc<Changes>>,
    /// GPUs held over time.
    pub chart: Mutex<Chart>,
    /// The journal's head.
    pub head: Mutex<Head>,
    /// What is counted.
    pub metrics: Metrics,
    /// True while the core takes inputs, or stands by to.
    pub is_up: AtomicBool,
    /// The lease of a store that servers share.
    pub lease: Option<Arc<Lease>>,
    /// While this server stands by: where the active one answers.
    pub active: Mutex<Option<String>>,
    now: AtomicU64,
}

impl Changes {
    /// Takes the notices out of a step's effects.
    pub fn note(&mut self, notice: &Notice) {
        match notice {
            Notice::Job(id) => self.jobs.push(*id),
            Notice::Node(id) => self.nodes.push(*id),
            Notice::Project(_) => {}
        }
    }

    /// Tells whoever watches.
    pub fn tell(self, shared: &Shared) {
        if !(self.jobs.is_empty() && self.nodes.is_empty()) {
            drop(shared.changes.send(Arc::new(self))); // nobody watches: nobody is told
        }
    }
}

impl Shared {
    /// A centre, as restored, its journal's head, and the lease that it is led under, if any.
    pub fn new(centre: Centre, head: Head, lease: Option<Arc<Lease>>) -> Shared {
        let (sites, parties) = centre.founding().map_or((0, 0), |base| (base.sites.len(), base.parties.len()));
        Shared {
            metrics: Metrics::new(sites, parties),
            lease,
            active: Mutex::new(None),
            chart: Mutex::new(Chart::new(head.at)),
            centre: RwLock::new(centre),
            queue: Arc::new(Queue::default()),
            changes: broadcast::Sender::new(CHANGES_KEPT),
            head: Mutex::new(head),
            is_up: AtomicBool::new(true),
            now: AtomicU64::new(head.at.millis()),
        }
    }

    /// The centre's clock, as of the core's last look at it.
    pub fn now(&self) -> Time {
        Time::from_millis(self.now.load(Ordering::Relaxed))
    }

    /// Sets the centre's clock.
    pub fn set_now(&self, now: Time) {
        self.now.store(now.millis(), Ordering::Relaxed);
    }
}

/// A centre put together again.
pub struct Restored {
    /// The centre.
    pub centre: Centre,
    /// The last row it has seen.
    pub head: Head,
    /// Inputs that the snapshot stood for.
    pub snapshot_at: u64,
    /// What the last rows want kept, which whoever wrote them may not have got to.
    pub keeps: Vec<Kept>,
}

/// Puts a centre together again: the newest snapshot that fits, and the journal's tail. What each page of the tail wants
/// kept is handed to `keep`.
pub fn restore(
    journal: &Journal,
    snapshots: &Snapshots,
    keep: &mut dyn FnMut(&[Kept]) -> Result<(), Trouble>,
) -> Result<Restored, Trouble> {
    snapshots.none_is_ahead(journal)?;
    let (mut head, mut centre) = match snapshots.newest::<madang_centre::Snapshot>(journal)? {
        Some((head, state)) => {
            (head, Centre::restore(state).map_err(|refusal| Trouble::new(refusal.fact).hint(refusal.hint))?)
        }
        None => (Head::START, Centre::new()),
    };
    let (snapshot_at, mut keeps) = (head.inputs, Vec::new());
    let mut records = Records::default();
    loop {
        let steps = journal.page(head, PAGE)?;
        let Some(last) = steps.last() else { return Ok(Restored { centre, head, snapshot_at, keeps }) };
        head = last.head;
        keeps.clear();
        for step in steps {
            let is_last = step.head.seq == journal.head().seq;
            records.replay(&mut centre, step, is_last, (&mut keeps, &mut Changes::default()))?;
        }
        keep(&keeps)?;
    }
}

/// The core thread's own.
pub struct Core {
    shared: Arc<Shared>,
    journal: Journal,
    snapshots: Snapshots,
    clock: Clock,
    engines: Engines,
    loads: Vec<Load>,
    records: Records,
    answers: HashMap<u64, Answer>,
    next_ticket: u64,
    keeps: Vec<Kept>,
    snapshot_at: u64,
    first: Vec<Input>,
    writing: Option<std::thread::JoinHandle<()>>,
}

/// What a core is made of.
pub struct Parts {
    /// Shared with the rest.
    pub shared: Arc<Shared>,
    /// The writer.
    pub journal: Journal,
    /// Where snapshots go.
    pub snapshots: Snapshots,
    /// The clock.
    pub clock: Clock,
    /// The engines.
    pub engines: Engines,
    /// Generated load.
    pub loads: Vec<Load>,
    /// Inputs that the newest snapshot stands for.
    pub snapshot_at: u64,
    /// What the core says to itself before anything else.
    pub first: Vec<Input>,
}

impl Core {
    /// A core ready to run.
    pub fn new(parts: Parts) -> Core {
        let Parts { shared, journal, snapshots, clock, engines, loads, snapshot_at, first } = parts;
        Core {
            shared,
            journal,
            snapshots,
            clock,
            engines,
            loads,
            records: Records::default(),
            answers: HashMap::new(),
            next_ticket: 1,
            keeps: Vec::new(),
            snapshot_at,
            first,
            writing: None,
        }
    }

    /// What it shares with the rest.
    pub fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Runs until told to stop, or until a commit fails.
    pub fn run(mut self) -> Result<(), Trouble> {
        let done = self.turn_until_stopped();
        self.shared.is_up.store(false, Ordering::Relaxed);
        self.shared.queue.close();
        self.answers.clear();
        if let Some(writing) = self.writing.take() {
            drop(writing.join());
        }
        done?;
        self.journal.keep(&std::mem::take(&mut self.keeps))?;
        let state = self.shared.centre.read().snapshot();
        self.snapshots.write(self.journal.head(), &state)?;
        self.journal.close();
        Ok(())
    }

    fn turn_until_stopped(&mut self) -> Result<(), Trouble> {
        self.shared.metrics.snapshot_found(self.snapshot_at);
        let now = self.clock.now();
        self.engines.take_up(now, &self.shared.centre.read(), &self.journal)?;
        let first: Vec<Signed> = std::mem::take(&mut self.first).into_iter().map(Signed::own).collect();
        if !first.is_empty() {
            self.step(now, first, &[])?;
        }
        loop {
            self.journal.check()?;
            let patience = self.patience();
            let found = self.shared.queue.take(patience);
            let stop = found.stop;
            let idle = found.asks.is_empty() && found.reports.is_empty();
            self.turn(found, idle)?;
            if stop {
                return Ok(());
            }
        }
    }

    /// How long to wait for inputs.
    fn patience(&mut self) -> Duration {
        let now = self.clock.now();
        let centre = self.shared.centre.read().wake().map(|at| at.max(now + millis(TICK)));
        let load = self.loads.iter().map(Load::next_at).min();
        let next = [centre, self.engines.next_due(), load].into_iter().flatten().min();
        let until = next.map_or(LONGEST_WAIT, |at| Duration::from_millis(at.since(now).millis()));
        let most = if self.keeps.is_empty() { LONGEST_WAIT } else { KEEP_WITHIN };
        until.min(most)
    }

    /// One round: what was found, what is due, one commit, one step.
    fn turn(&mut self, found: Found, idle: bool) -> Result<(), Trouble> {
        let now = self.clock.now();
        self.shared.set_now(now);
        let mut inputs = self.news(found.reports);
        {
            let centre = self.shared.centre.read();
            // What an engine says of a node comes after its site's return, and stays.
            let heard =
                found.sites.into_iter().flat_map(|(site, heard)| self.engines.hears(now, &centre, site, &heard));
            inputs.extend(heard.map(Signed::own));
            let told = found.nodes.into_iter().flat_map(|(node, health)| self.engines.fares(&centre, node, health));
            inputs.extend(told.map(Signed::own));
        }
        inputs.extend(self.engines.due(now).into_iter().map(|report| Signed::own(Input::Report(report))));
        self.add_load(now, &mut inputs);
        let mut blobs = Vec::new();
        for ask in found.asks {
            let mut signed = ask.signed;
            signed.ticket = self.next_ticket;
            self.next_ticket += 1;
            self.answers.insert(signed.ticket, ask.answer);
            blobs.extend(ask.blob);
            inputs.push(signed);
        }
        let is_due = self.shared.centre.read().wake().is_some_and(|at| at <= now);
        if !inputs.is_empty() || is_due {
            self.step(now, inputs, &blobs)?;
        }
        if !found.flushes.is_empty() || (idle && !self.keeps.is_empty()) {
            self.journal.keep(&std::mem::take(&mut self.keeps))?;
        }
        tell_all(found.flushes);
        self.shared.chart.lock().sample(now, &self.shared.centre.read());
        Ok(())
    }

    fn step(&mut self, now: Time, inputs: Vec<Signed>, blobs: &[crate::store::Blob]) -> Result<(), Trouble> {
        let keeps = std::mem::take(&mut self.keeps);
        let (shared, began) = (Arc::clone(&self.shared), Instant::now());
        shared.metrics.step_begins();
        self.journal.append(&Batch { now, inputs: &inputs, blobs }, &keeps)?;
        shared.metrics.appended(began.elapsed(), self.journal.last_commit());
        let ended = |signed: &Signed| match signed.input {
            Input::Report(Report::Ended { run, .. }) => Some(run),
            _ => None,
        };
        let over: Vec<RunId> = inputs.iter().filter_map(ended).collect();
        let (head, kinds) = (self.journal.head(), bug::kinds(&inputs));
        let entry = Entry { seq: head.seq, kinds: &kinds, is_replay: false, is_last: true };
        let began = Instant::now();
        let effects = bug::caught(entry, || self.shared.centre.write().step(now, inputs))?;
        shared.metrics.step_ends(began.elapsed());
        shared.metrics.saw(&shared.centre.read(), now, &effects);
        over.into_iter().for_each(|run| self.engines.let_go(run));
        *self.shared.head.lock() = head;
        self.perform(now, effects)?;
        let counts = self.shared.centre.read().counts();
        let live = u64::from(counts.waiting) + u64::from(counts.running);
        if head.inputs - self.snapshot_at >= SNAPSHOT_EVERY + live {
            self.snapshot();
        }
        Ok(())
    }

    /// Reports that are not repetitions.
    fn news(&mut self, reports: Vec<Seen>) -> Vec<Signed> {
        let shared = Arc::clone(&self.shared);
        let centre = shared.centre.read();
        let news = self.engines.sift(&centre, reports);
        let mut inputs = Vec::new();
        for seen in news {
            self.keeps.extend(seen.note);
            inputs.push(Signed::own(Input::Report(seen.report)));
        }
        inputs
    }

    fn perform(&mut self, now: Time, effects: Vec<Effect>) -> Result<(), Trouble> {
        let shared = Arc::clone(&self.shared);
        let centre = shared.centre.read();
        let mut changes = Changes::default();
        let mut kept = Vec::new();
        for effect in effects {
            match effect {
                Effect::Start { site, run, on, limit } => {
                    self.engines.start(now, &centre, (site, run, &on, limit), &self.journal)?;
                }
                Effect::Stop { site, run, cause } => self.engines.stop(now, site, run, cause),
                Effect::Limit { site, run, limit } => self.engines.limit(&centre, site, run, limit),
                Effect::Release { site, run, exit } => self.engines.release(site, run, exit),
                Effect::Signal { site, run, signal, shell } => self.engines.signal(now, site, run, (signal, shell)),
                Effect::Reply { ticket, answer } => {
                    if let Some(caller) = self.answers.remove(&ticket) {
                        drop(caller.send(answer)); // a caller who left in between hears nothing
                    }
                }
                Effect::Notice(notice) => changes.note(&notice),
                Effect::Keep(keep) => kept.push(keep),
            }
        }
        self.records.name(&centre, self.journal.head().seq, kept, &mut self.keeps);
        changes.tell(&shared);
        Ok(())
    }

    fn add_load(&mut self, now: Time, inputs: &mut Vec<Signed>) {
        for load in &mut self.loads {
            if load.next_at() > now {
                continue;
            }
            if !load.is_opening() && waiting(&self.shared.centre.read(), load.partition()) >= LOAD_QUEUE {
                load.hold_back(now);
                continue;
            }
            for _ in 0..LOAD_BATCH {
                if load.next_at() > now {
                    break;
                }
                let (_, submission) = load.submit();
                inputs.push(Signed::own(Input::Submit(Box::new(submission))));
            }
        }
    }

    /// Writes a snapshot beside the core's work; when the one before is still being written, a little later.
    fn snapshot(&mut self) {
        if self.writing.as_ref().is_some_and(|writing| !writing.is_finished()) {
            return;
        }
        let (head, snapshots, shared) = (self.journal.head(), self.snapshots.clone(), self.shared());
        let state = self.shared.centre.read().snapshot();
        let write = move || {
            let began = Instant::now();
            match snapshots.write(head, &state) {
                Ok(()) => {
                    shared.metrics.snapshot_written(head.inputs);
                    let millis = began.elapsed().as_millis() as u64;
                    tracing::info!(entry = head.seq, inputs = head.inputs, millis, "a snapshot was written");
                }
                Err(error) => {
                    shared.metrics.snapshot_failed();
                    tracing::warn!("no snapshot was written, the journal is longer to replay: {error}");
                }
            }
        };
        let thread = std::thread::Builder::new().name("snapshot".into()).spawn(write);
        self.writing = thread.map_err(|error| tracing::warn!("failed to start the snapshot's thread: {error}")).ok();
        self.snapshot_at = head.inputs;
    }
}

/// What a step wants kept, named for the projections.
pub fn named(centre: &Centre, seq: u64, keeps: Vec<Keep>) -> Vec<Kept> {
    let mut kept = Vec::new();
    Records::default().name(centre, seq, keeps, &mut kept);
    kept
}

/// Names what is kept, so that the tables can be asked by project and user.
#[derive(Default)]
pub(crate) struct Records {
    awards: HashMap<AwardId, String>,
}

impl Records {
    /// Steps a centre as the journal says it was stepped; gives what that wants kept and what it changed.
    pub(crate) fn replay(
        &mut self,
        centre: &mut Centre,
        step: Step,
        is_last: bool,
        (keeps, changes): (&mut Vec<Kept>, &mut Changes),
    ) -> Result<(), Trouble> {
        let (seq, kinds) = (step.head.seq, bug::kinds(&step.inputs));
        bug::caught(Entry { seq, kinds: &kinds, is_replay: true, is_last }, || {
            let mut kept = Vec::new();
            for effect in centre.step(step.head.at, step.inputs) {
                match effect {
                    Effect::Keep(keep) => kept.push(keep),
                    Effect::Notice(notice) => changes.note(&notice),
                    _ => {}
                }
            }
            self.name(centre, seq, kept, keeps);
        })
    }

    fn name(&mut self, centre: &Centre, seq: u64, keeps: impl IntoIterator<Item = Keep>, into: &mut Vec<Kept>) {
        let mut nth = 0;
        for keep in keeps {
            match keep {
                Keep::Job(job) => {
                    let user = centre.user_by_id(job.spec.user).name.clone();
                    let project = centre.projects()[job.spec.project.index()].name.clone();
                    into.push(Kept::Job { user, project, job });
                }
                Keep::Ledger(transactions) => {
                    for transaction in transactions {
                        let project = self.payer(centre, &transaction);
                        into.push(Kept::Ledger { project, transaction });
                    }
                }
                Keep::Anomaly(at, text) => {
                    tracing::warn!("anomaly: {text}");
                    into.push(Kept::Anomaly { seq, nth, at, text });
                    nth += 1;
                }
            }
        }
    }

    /// The project that a transaction belongs to: its job's, or its award's.
    fn payer(&mut self, centre: &Centre, transaction: &Transaction) -> String {
        let run = match transaction.posting {
            Posting::Grant { award, .. } => return self.granted(centre, award),
            Posting::Hold { run, .. }
            | Posting::Extend { run, .. }
            | Posting::Charge { run, .. }
            | Posting::Void { run }
            | Posting::Refund { run }
            | Posting::RefundPart { run, .. } => run,
        };
        let project = centre.job(run.job).map(|job| job.spec.project);
        project.map(|id| centre.projects()[id.index()].name.clone()).unwrap_or_default()
    }

    fn granted(&mut self, centre: &Centre, award: AwardId) -> String {
        if !self.awards.contains_key(&award) {
            let all = centre.projects().iter();
            self.awards =
                all.flat_map(|project| project.awards.iter().map(|award| (award.id, project.name.clone()))).collect();
        }
        self.awards.get(&award).cloned().unwrap_or_default()
    }
}

pub(crate) fn tell_all(flushes: Vec<oneshot::Sender<()>>) {
    for flush in flushes {
        flush.send(()).ok(); // a caller who left in between needs no telling
    }
}

/// How many jobs wait in a partition, or in all.
fn waiting(centre: &Centre, partition: Option<&str>) -> usize {
    let partitions = centre.founding().map_or(&[][..], |founding| &founding.partitions);
    let id = partition.and_then(|name| partitions.iter().find(|found| found.name == name)).map(|found| found.id);
    let waits = |job: &&Job| matches!(job.state, JobState::Pending { .. });
    centre.jobs().filter(waits).filter(|job| id.is_none_or(|id| job.spec.partition == id)).count()
}

fn millis(duration: Duration) -> madang_model::Span {
    madang_model::Span::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}
