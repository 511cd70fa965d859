//! The engine's thread: takes what the server tells, asks Slurm, reads records, reports.
//!
//! One pass does, in this order: what was told, among it what Slurm said of jobs and nodes; what shepherds have
//! announced; what is to be submitted. It reads and writes files in the shared folder and never waits for Slurm; nothing
//! in here is decided by a job id or by the order of answers.
use crate::environ::Surroundings;
use crate::order::{EngineReport, Order};
use crate::procfs::Identity;
use crate::record::{Claim, EndRecord, Keeping, Line, Record, Sealed};
use crate::slurm::Known;
use crate::slurm::carrier::{self, Carriers};
use crate::slurm::command::{Failure, Slurm};
use crate::slurm::errands::{self, Errand, Errands, Look};
use crate::slurm::fitness::{self, Fitness};
use crate::slurm::listing::{JobLine, JobWord, NodeLine};
use crate::slurm::nodes::{self, Expected};
use crate::slurm::run::{Phase, Verdict, Watched};
use crate::slurm::spool::{Parcel, Spool};
use crate::slurm::{inside, mail, submission};
use crate::wire::Command;
use madang_model::{Health, Outcome, RunId, SlurmSite, Span, StopCause, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

/// What the server tells.
#[derive(Debug)]
pub(crate) enum Call {
    Start(Box<Order>),
    Tell(RunId, Command),
    Confirm(RunId),
    Forget(RunId),
    /// An answer to a submission, and when it came.
    Submitted {
        run: RunId,
        at: Instant,
        answer: Result<(), Failure>,
    },
    /// What Slurm has.
    Looked(Look),
    /// Slurm's time between `TERM` and `KILL`, where it was told.
    KillWait(Option<Span>),
    /// What the partition is like.
    Partition(Fitness),
    Close,
}

/// How long a pass waits for something to be told: as late as an announced end is noticed.
const TICK: Duration = Duration::from_millis(50);
/// The same with nothing under way.
const IDLE: Duration = Duration::from_millis(500);
/// How long the controller may be silent before nothing new is placed on its nodes.
const SILENCE: Duration = Duration::from_secs(30);
/// What a job must last beyond its next run's limit: the way there, and what the shepherd needs to end it.
const SPARE: Duration = Duration::from_secs(30);
/// How often a run is submitted before it is given up.
const TRIES: u32 = 5;
/// After so many answers about nodes all are told again, changed or not.
const TELL_ALL: u32 = 10;
/// Looks after which a job of a run that nobody knows is taken out of Slurm.
const LEFTOVER: u32 = 3;
/// Grace of a run whose order is not known any more.
const GRACE: Span = Span::from_secs(30);
/// How long a run has to end that Slurm ends, where its `KillWait` is not known.
const OUTSIDE: Span = Span::from_secs(4);

/// All jobs, as Slurm told them.
#[derive(Debug)]
struct Jobs {
    asked: Instant,
    ours: BTreeMap<RunId, Vec<JobLine>>,
    foreign: BTreeMap<String, Vec<String>>,
}

/// The engine's thread's own.
#[derive(Debug)]
pub(crate) struct Tender {
    slurm: Slurm,
    errands: Errands,
    spool: Spool,
    site: SlurmSite,
    nodes: Vec<Expected>,
    surroundings: Surroundings,
    known: Known,
    reports: Sender<EngineReport>,
    runs: BTreeMap<RunId, Watched>,
    /// How long a run has to end that Slurm ends: a moment less than until it kills, to write the end down.
    outside_grace: Span,
    heard: Instant,
    trouble: String,
    /// Why the cluster cannot serve at all.
    unfit: Option<String>,
    /// The longest job that the partition takes.
    most_minutes: u64,
    told: BTreeMap<String, Health>,
    answers: u32,
    leftovers: BTreeMap<RunId, u32>,
    carriers: Carriers,
}

impl Tender {
    pub fn new(
        (slurm, errands, spool): (Slurm, Errands, Spool),
        (site, nodes): (SlurmSite, Vec<Expected>),
        surroundings: Surroundings,
        known: Known,
        reports: Sender<EngineReport>,
    ) -> Tender {
        Tender {
            slurm,
            errands,
            spool,
            site,
            nodes,
            surroundings,
            known,
            reports,
            runs: BTreeMap::new(),
            outside_grace: OUTSIDE,
            heard: Instant::now(),
            trouble: String::new(),
            unfit: None,
            most_minutes: u64::MAX,
            told: BTreeMap::new(),
            answers: 0,
            leftovers: BTreeMap::new(),
            carriers: Carriers::default(),
        }
    }

    /// Takes up what a former server left in the shared folder.
    pub fn adopt(&mut self) -> io::Result<()> {
        for run in self.spool.scan()? {
            let mail = self.spool.mail(run);
            let mut watched = Watched::default();
            if let Some(Command::Stop(cause)) = mail.iter().find(|told| matches!(told, Command::Stop(_))) {
                watched.note_stop(*cause, GRACE);
            }
            watched.mail = mail;
            self.runs.insert(run, watched);
            self.known.set().insert(run);
            let record = self.spool.files(run).read();
            self.look(run, record.as_ref());
        }
        Ok(())
    }

    /// Works until told to close.
    pub fn tend(&mut self, told: &Receiver<Call>) {
        loop {
            let busy = self.runs.values().any(|watched| watched.ended.is_none());
            self.errands.set_busy(busy);
            match told.recv_timeout(if busy { TICK } else { IDLE }) {
                Ok(Call::Close) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(call) => self.take(call),
                Err(RecvTimeoutError::Timeout) => {}
            }
            while let Ok(call) = told.try_recv() {
                if matches!(call, Call::Close) {
                    return;
                }
                self.take(call);
            }
            self.pass();
        }
    }

    fn pass(&mut self) {
        for run in self.spool.take_news() {
            if self.runs.contains_key(&run) {
                let record = self.spool.files(run).read();
                self.look(run, record.as_ref());
            }
        }
        self.miss_handed();
        let due = |(_, watched): &(&RunId, &Watched)| watched.phase == Phase::Send && watched.ended.is_none();
        let runs: Vec<RunId> = self.runs.iter().filter(due).map(|(run, _)| *run).collect();
        let sending = self.runs.values().filter(|watched| watched.phase == Phase::Sending).count();
        let mut hands = errands::HANDS.saturating_sub(sending);
        for run in runs {
            // One that waits for a hand may still find a job to follow in.
            if !self.follow(run) && hands > 0 {
                self.submit(run);
                hands -= 1;
            }
        }
    }

    fn take(&mut self, call: Call) {
        match call {
            Call::Start(order) => self.start(order),
            Call::Tell(run, command) => self.tell(run, command),
            Call::Confirm(run) => self.confirm(run),
            Call::Forget(run) => self.forget(run),
            Call::Submitted { run, at, answer } => self.submitted(run, at, answer),
            Call::Looked(look) => self.looked(look),
            Call::KillWait(told) => {
                let less = |told: Span| Span::from_secs(told.secs().saturating_sub(1));
                self.outside_grace = told.map_or(OUTSIDE, less);
            }
            Call::Partition(told) => (self.unfit, self.most_minutes) = (told.unfit, told.most_minutes),
            Call::Close => {}
        }
    }

    fn start(&mut self, order: Box<Order>) {
        let run = order.run;
        if let Some(watched) = self.runs.get_mut(&run) {
            // A former server's that may not have left: Slurm is asked before it is submitted again.
            if watched.phase == Phase::Adopted && watched.started.is_none() && watched.ended.is_none() {
                watched.phase = Phase::LookUp(Instant::now());
                watched.order = Some(order);
            }
            return;
        }
        let watched = Watched { phase: Phase::Send, ..Watched::default() };
        self.runs.insert(run, watched);
        if let Some(wrong) = submission::cannot(&order) {
            return self.never(run, EndRecord::never_began(wrong));
        }
        match self.write_order(&order) {
            Ok(()) => {
                let watched = self.runs.entry(run).or_default();
                watched.likeness = self.site.carry.then(|| submission::likeness(&order, &self.site));
                watched.order = Some(order);
            }
            Err(error) => {
                let note = format!("failed to write to the shared folder {}: {error}", self.spool.dir.display());
                self.never(run, EndRecord::never_began(note));
            }
        }
    }

    /// Hands a run that was never submitted to a job that has stayed for its like; false where there is none.
    fn follow(&mut self, run: RunId) -> bool {
        let Some(watched) = self.runs.get_mut(&run).filter(|watched| watched.tries == 0) else { return false };
        let (Some(order), Some(likeness)) = (&watched.order, &watched.likeness) else { return false };
        let needs = Duration::from_millis((order.limit + order.grace).millis()) + SPARE;
        let Some(found) = self.carriers.take(likeness, needs) else { return false };
        if carrier::hand(&self.spool.dir, found.run, run).is_err() {
            return false;
        }
        watched.phase = Phase::Handed(Instant::now());
        (watched.carrier, watched.ends) = (Some(found.run), Some(found.ends));
        true
    }

    /// A run that was handed over and has no record: its carrier had gone.
    fn miss_handed(&mut self) {
        let is_late = |watched: &Watched| match watched.phase {
            Phase::Handed(at) => watched.ended.is_none() && at.elapsed() > carrier::HANDED,
            _ => false,
        };
        let late: Vec<RunId> = self.runs.iter().filter(|(_, one)| is_late(one)).map(|(run, _)| *run).collect();
        for run in late {
            let record = self.spool.files(run).read();
            self.look(run, record.as_ref());
            if let Some(watched) = self.runs.get_mut(&run).filter(|watched| watched.ended.is_none()) {
                let (phase, carrier) = match record {
                    Some(_) => (Phase::Sent(Instant::now()), watched.carrier),
                    None => (Phase::Send, None),
                };
                (watched.phase, watched.carrier) = (phase, carrier);
                (watched.over, watched.waits) = (None, None);
            }
        }
    }

    fn write_order(&self, order: &Order) -> io::Result<()> {
        let sealed = Sealed {
            order: order.clone(),
            mark: self.spool.mark(order.run),
            cpus: Vec::new(),
            cgroup: None,
            spare: 0,
            outside_grace: self.outside_grace,
        };
        self.spool
            .write_order(order.run, &Parcel { sealed, surroundings: self.surroundings.clone(), stays: self.site.carry })
    }

    fn tell(&mut self, run: RunId, command: Command) {
        let Some(watched) = self.runs.get_mut(&run) else {
            return self.report(EngineReport::Unknown { run });
        };
        if let Some(ended) = &watched.ended {
            let report = end_of(run, ended);
            return self.report(report);
        }
        if let Command::Stop(cause) = command {
            let grace = watched.order.as_ref().map_or(GRACE, |order| order.grace);
            watched.note_stop(cause, grace);
            if self.prevent(run, &Watched::never(cause)) {
                return;
            }
        }
        self.post(run, command);
    }

    /// Leaves a command for a run's shepherd and pokes it.
    fn post(&mut self, run: RunId, command: Command) {
        let Some(watched) = self.runs.get_mut(&run) else { return };
        watched.mail.push(command);
        // What cannot be written now is in the next mail, and for a stop Slurm is asked in the end.
        self.spool.write_mail(run, &watched.mail).ok();
        let poke = format!("--signal={}", mail::POKE as i32);
        self.cancel(run, &["--batch".to_owned(), poke]);
    }

    /// Makes sure that a run will never begin, if it has not: the right to start it is taken here.
    fn prevent(&mut self, run: RunId, ended: &EndRecord) -> bool {
        let Some(shepherd) = Identity::own() else { return false };
        let spare = u64::from(std::process::id());
        let claim =
            self.spool.files(run).claim(Claim { shepherd, cpus: Vec::new(), spare, slurm_job: None, carrier: None });
        let Ok(mut record) = claim else { return false };
        // Without its end on the disk the next server would take it for a run that was killed: the same to the core.
        record.append(&Line::Ended(ended.clone()), Keeping::Synced).ok();
        // A carrier that finds its next run over goes by itself.
        if self.runs.get(&run).is_none_or(|watched| watched.carrier.is_none()) {
            self.cancel(run, &[]);
        }
        self.settle(run, ended.clone());
        true
    }

    fn never(&mut self, run: RunId, ended: EndRecord) {
        if !self.prevent(run, &ended) {
            let record = self.spool.files(run).read();
            match record {
                Some(record) => self.look(run, Some(&record)),
                // The folder cannot be written, so nothing can begin there either.
                None => self.settle(run, ended),
            }
        }
    }

    fn confirm(&mut self, run: RunId) {
        let report = match self.runs.get(&run) {
            None => EngineReport::Unknown { run },
            Some(Watched { ended: Some(ended), .. }) => end_of(run, ended),
            Some(Watched { started: Some(at), .. }) => EngineReport::Started { run, at: *at },
            Some(_) => return,
        };
        self.report(report);
    }

    fn forget(&mut self, run: RunId) {
        if self.runs.get(&run).is_some_and(|watched| watched.ended.is_some()) {
            self.runs.remove(&run);
            self.known.set().remove(&run);
            self.spool.clear(run);
        }
    }

    fn submit(&mut self, run: RunId) {
        let Some(watched) = self.runs.get_mut(&run) else { return };
        let Some(order) = &watched.order else { return };
        if watched.tries >= TRIES {
            let note = format!("Slurm was told it {TRIES} times and knows nothing of it; {}", self.trouble);
            return self.never(run, EndRecord::never_began(note));
        }
        watched.tries += 1;
        for carrier in watched.likeness.iter().flat_map(|likeness| self.carriers.take_from(&likeness.nodes)) {
            carrier::send_away(&self.spool.dir, carrier);
        }
        let minutes = submission::minutes(order, &self.site, self.most_minutes);
        watched.ends = Instant::now().checked_add(Duration::from_secs(60 * minutes));
        let (key, log) = (self.spool.key(run), self.spool.path(run, "log"));
        let arguments = submission::arguments(order, &self.site, minutes, (&key, &log));
        let commands = self.slurm.commands().map(std::path::PathBuf::as_path);
        let script = submission::script(&self.spool.helper, commands, &self.spool.dir, run);
        watched.phase = Phase::Sending;
        self.errands.hand(Errand::Submit { run, arguments, script });
    }

    fn submitted(&mut self, run: RunId, at: Instant, answer: Result<(), Failure>) {
        let Some(watched) = self.runs.get_mut(&run).filter(|watched| watched.ended.is_none()) else { return };
        match answer {
            Ok(()) => watched.phase = Phase::Sent(at),
            Err(Failure::Unsure(what)) => {
                watched.phase = Phase::LookUp(at);
                self.trouble = what;
            }
            Err(Failure::Refused(what)) => {
                let hint = fitness::hint(&what).map_or(String::new(), |hint| format!("; hint: {hint}"));
                self.never(run, EndRecord::never_began(what + &hint));
            }
        }
    }

    fn looked(&mut self, look: Look) {
        match look.jobs {
            Ok(text) => {
                let jobs = self.sort(look.asked, &text);
                self.judge_all(&jobs);
                self.remove_leftovers(&jobs);
                self.tell_of_nodes(look.nodes, &jobs.foreign);
            }
            Err(failure) => {
                self.trouble = failure.text().to_owned();
                self.tell_of_nodes(Err(failure), &BTreeMap::new());
            }
        }
    }

    fn sort(&self, asked: Instant, text: &str) -> Jobs {
        let mut jobs = Jobs { asked, ours: BTreeMap::new(), foreign: BTreeMap::new() };
        for job in text.lines().filter_map(JobLine::parse) {
            match self.spool.run_of(&job.name) {
                Some(run) => jobs.ours.entry(run).or_default().push(job),
                None if job.is_on_nodes() => {
                    for node in &job.nodes {
                        let named = format!("{} ({})", job.id, job.user);
                        jobs.foreign.entry(node.clone()).or_default().push(named);
                    }
                }
                None => {}
            }
        }
        jobs
    }

    fn judge_all(&mut self, jobs: &Jobs) {
        let open: Vec<RunId> =
            self.runs.iter().filter(|(_, watched)| watched.ended.is_none()).map(|(run, _)| *run).collect();
        for run in open {
            let name = self.name_of(run);
            let told = jobs.ours.get(&name).map(Vec::as_slice).unwrap_or_default();
            self.cancel_doubles(told);
            let job = told.iter().find(|job| !matches!(job.state, JobWord::Over(_))).or(told.last());
            let record = if self.may_be_news(run, job) { self.spool.files(run).read() } else { None };
            if let Some(at) = record.as_ref().and_then(|record| record.started.as_ref()).map(|started| started.at) {
                self.begin(run, at);
            }
            let Some(watched) = self.runs.get_mut(&run) else { continue };
            if let Some(claim) = record.as_ref().and_then(|record| record.claim.as_ref()) {
                watched.carrier = claim.carrier;
            }
            if job.is_some() && matches!(watched.phase, Phase::LookUp(_) | Phase::Adopted) {
                watched.phase = Phase::Sent(jobs.asked);
            }
            let verdict = watched.judge(record.as_ref(), job, jobs.asked);
            self.carry_out(run, verdict);
            self.harden(run, job);
        }
    }

    /// False while Slurm's word and what is known already fit: then no record need be read, of thousands.
    fn may_be_news(&self, run: RunId, job: Option<&JobLine>) -> bool {
        // A job that stays for another run is active after its run has ended, and the end's announcement may get lost.
        if self.site.carry && self.answers.is_multiple_of(TELL_ALL) {
            return true;
        }
        let has_begun = self.runs.get(&run).is_some_and(|watched| watched.started.is_some());
        match job.map(|job| job.state) {
            Some(JobWord::Pending) => has_begun,
            Some(JobWord::Active) => !has_begun,
            _ => true,
        }
    }

    fn carry_out(&mut self, run: RunId, verdict: Verdict) {
        match verdict {
            Verdict::Wait => {}
            Verdict::Settle(ended) => self.settle(run, ended),
            Verdict::Submit => {
                if let Some(watched) = self.runs.get_mut(&run) {
                    watched.phase = Phase::Send;
                }
            }
            Verdict::Fence => {
                let is_told = self.runs.get(&run).is_some_and(|watched| watched.mail.iter().any(is_stop));
                if !is_told {
                    self.post(run, Command::Stop(StopCause::NodeLost));
                }
            }
            Verdict::Bury(ended) if ended.started.is_none() && self.prevent(run, &ended) => {}
            Verdict::Bury(ended) => {
                self.spool.files(run).append_end(&ended).ok();
                self.cancel(run, &[]);
                self.settle(run, ended);
            }
            Verdict::Fail(note) => self.never(run, EndRecord::never_began(note)),
            Verdict::TakeBack(note) => {
                let ended = EndRecord { outcome: Outcome::Requeued, ..EndRecord::never_began(note) };
                self.never(run, ended);
            }
        }
    }

    /// A run that was told to end long ago and has not: now Slurm ends it.
    fn harden(&mut self, run: RunId, job: Option<&JobLine>) {
        let Some(watched) = self.runs.get(&run).filter(|watched| watched.ended.is_none()) else { return };
        let is_due = watched.stop.is_some_and(|stop| Instant::now() >= stop.cancel_at);
        // Its job may carry another run by now, where its end was missed.
        let has_ended = || self.spool.files(run).read().is_some_and(|record| record.ended.is_some());
        if is_due && !has_ended() && job.is_some_and(|job| matches!(job.state, JobWord::Active | JobWord::Pending)) {
            self.cancel(run, &[]);
        }
    }

    /// Submitted twice, after an answer that got lost: one is enough.
    fn cancel_doubles(&self, told: &[JobLine]) {
        let waiting: Vec<&JobLine> = told.iter().filter(|job| !matches!(job.state, JobWord::Over(_))).collect();
        let keep = waiting.iter().position(|job| job.is_on_nodes()).unwrap_or(0);
        for (number, job) in waiting.iter().enumerate() {
            if number != keep && job.state == JobWord::Pending {
                let arguments = vec![format!("--name={}", job.name), job.id.clone()];
                self.errands.hand(Errand::Cancel(arguments));
            }
        }
    }

    /// Jobs of runs that are forgotten, or of a folder that was lost: nobody waits for them.
    fn remove_leftovers(&mut self, jobs: &Jobs) {
        let live = |told: &[JobLine]| told.iter().any(|job| matches!(job.state, JobWord::Pending | JobWord::Active));
        let carry = |watched: &Watched| watched.carrier.filter(|_| watched.ended.is_none());
        let carry: BTreeSet<RunId> = self.runs.values().filter_map(carry).collect();
        let found: Vec<RunId> = jobs
            .ours
            .iter()
            .filter(|(run, told)| !self.runs.contains_key(run) && live(told) && !carry.contains(run))
            .map(|(run, _)| *run)
            .collect();
        self.leftovers.retain(|run, _| found.contains(run));
        for run in found {
            let seen = self.leftovers.entry(run).or_default();
            *seen += 1;
            if *seen >= LEFTOVER {
                self.cancel(run, &[]);
            }
        }
    }

    fn tell_of_nodes(&mut self, nodes: Result<String, Failure>, foreign: &BTreeMap<String, Vec<String>>) {
        match nodes {
            Ok(text) => {
                self.heard = Instant::now();
                let lines = text.lines().filter_map(NodeLine::parse);
                let lines: BTreeMap<String, NodeLine> = lines.map(|node| (node.name.clone(), node)).collect();
                let fares = |node: &Expected| {
                    let health = nodes::health(node, &self.site.partition, lines.get(&node.name), foreign);
                    let unfit = self.unfit.as_deref().filter(|_| health == Health::Up);
                    (node.name.clone(), unfit.map_or(health, nodes::unfit))
                };
                let told = self.nodes.iter().map(fares).collect();
                self.tell_nodes(told);
            }
            Err(_) if self.heard.elapsed() < SILENCE => {}
            Err(failure) => {
                let unheard = nodes::unheard(failure.text());
                let told = self.nodes.iter().map(|node| (node.name.clone(), unheard.clone())).collect();
                self.tell_nodes(told);
            }
        }
    }

    /// Tells what has changed, and now and then everything: what the core makes of it may have changed meanwhile.
    fn tell_nodes(&mut self, told: BTreeMap<String, Health>) {
        let all = self.answers.is_multiple_of(TELL_ALL);
        self.answers = self.answers.wrapping_add(1);
        for (node, health) in &told {
            if all || self.told.get(node) != Some(health) {
                self.report(EngineReport::Node { node: node.clone(), health: health.clone() });
            }
        }
        self.told = told;
    }

    /// What a record says, without Slurm's word. An end that Slurm brought about waits for that.
    fn look(&mut self, run: RunId, record: Option<&Record>) {
        let Some(record) = record else { return };
        if let (Some(claim), Some(watched)) = (&record.claim, self.runs.get_mut(&run)) {
            watched.carrier = claim.carrier;
        }
        if let Some(started) = &record.started {
            self.begin(run, started.at);
        }
        match &record.ended {
            Some(ended) if !ended.outside => self.settle(run, ended.clone()),
            _ => {}
        }
    }

    fn begin(&mut self, run: RunId, at: Time) {
        let watched = self.runs.entry(run).or_default();
        if let Phase::Handed(handed) = watched.phase {
            watched.phase = Phase::Sent(handed);
        }
        if watched.started.replace(at).is_none() {
            self.report(EngineReport::Started { run, at });
        }
    }

    fn settle(&mut self, run: RunId, mut ended: EndRecord) {
        if ended.outcome == Outcome::NodeFailed && ended.note.is_empty() {
            ended.note = "its node or its Slurm job was lost, so it was told to end".to_owned();
        }
        if self.runs.get(&run).is_some_and(|watched| watched.ended.is_some()) {
            return;
        }
        if let Some(at) = ended.started {
            self.begin(run, at);
        }
        self.report(end_of(run, &ended));
        let watched = self.runs.entry(run).or_default();
        let stays = inside::ended_by_itself(&ended);
        if let (true, Some(likeness), Some(ends)) = (stays, watched.likeness.take(), watched.ends) {
            self.carriers.add(watched.carrier.unwrap_or(run), likeness, ends);
        }
        watched.ended = Some(ended);
        watched.order = None;
    }

    /// The run by whose name a run's Slurm job goes.
    fn name_of(&self, run: RunId) -> RunId {
        self.runs.get(&run).and_then(|watched| watched.carrier).unwrap_or(run)
    }

    /// Ends or signals a run's Slurm jobs, found by their name.
    fn cancel(&self, run: RunId, how: &[String]) {
        let mut arguments = vec!["--quiet".to_owned(), format!("--name={}", self.spool.key(self.name_of(run)))];
        arguments.extend_from_slice(how);
        self.errands.hand(Errand::Cancel(arguments));
    }

    /// A server that no longer listens is ending; the report is made again when the next one opens.
    fn report(&self, report: EngineReport) {
        self.reports.send(report).ok();
    }
}

fn is_stop(command: &Command) -> bool {
    matches!(command, Command::Stop(_))
}

fn end_of(run: RunId, ended: &EndRecord) -> EngineReport {
    EngineReport::Ended {
        run,
        at: ended.at,
        outcome: ended.outcome,
        peak_mib: ended.peak_bytes.div_ceil(1 << 20),
        cpu: ended.cpu,
        note: ended.note.clone(),
    }
}
