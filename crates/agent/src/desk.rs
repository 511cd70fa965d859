//! A site's side at the server: what the core wants of it, until the agent has answered.
//!
//! To the core it is an engine like any other. It keeps what is wanted, not what was said: whenever a link begins, all
//! that is still wanted is said again, and the agent says again where each of its runs stands. So nothing depends on
//! which byte a link broke at, and a server that has just taken over needs nothing from the one before but the journal.
//!
//! Invariants: numbers of notes rise by one within a term; a run that was never started here is not believed to have
//! ended here unless its site says so, and only of nodes and runs of its own is a site believed at all.
use crate::output::{Piece, Sent};
use crate::wire::{Deed, Note, Sample, Serve};
use madang_engine::{Engine, EngineReport, Expected, Order};
use madang_model::{Health, RunId, Span, StopCause};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

/// Whether a site is heard of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It is linked.
    Linked,
    /// It has not been heard of for longer than it may be silent.
    Silent {
        /// Last heard of, in milliseconds; 0 for never.
        since_ms: u64,
        /// The same for people.
        why: String,
    },
}

/// Where it goes whether a site is heard of, told again and again, changed or not.
pub type Hear = Box<dyn Fn(Heard) + Send + Sync>;
/// How often what is known of nodes is told again, changed or not.
const AGAIN: Duration = Duration::from_secs(5);
/// How long a piece of a job's output is waited for.
const READING: Duration = Duration::from_secs(5);
/// Most signals that wait for a link.
const SIGNALS: usize = 1_000;

/// A site that an agent serves.
#[derive(Clone, Debug)]
pub struct Site {
    /// Its name.
    pub name: String,
    /// Its nodes, as the centre file promises them.
    pub nodes: Vec<Expected>,
    /// How long it may be silent before its nodes take no new work.
    pub silent_after: Duration,
    /// When its agent was last heard of, by the register, in milliseconds; 0 for never.
    pub seen_ms: u64,
}

/// What is wanted of a run.
#[derive(Default)]
struct Told {
    order: Option<Box<Order>>,
    started: bool,
    ended: bool,
    asked: bool,
    limit: Option<Span>,
    release: Option<i32>,
    stop: Option<StopCause>,
}

impl Told {
    /// What is still to be said, once a link begins with an agent that knows this run or does not.
    fn again(&self, run: RunId, is_known: bool) -> Vec<Deed> {
        if self.ended {
            return Vec::new();
        }
        let start = self.order.clone().map(Deed::Start);
        let is_lost = start.is_none() && !is_known;
        let limit = self.limit.map(|limit| Deed::Limit(run, limit));
        let release = self.release.map(|exit| Deed::Release(run, exit));
        let stop = self.stop.map(|cause| Deed::Stop(run, cause));
        let confirm = ((self.asked || is_lost) && stop.is_none()).then_some(Deed::Confirm(run));
        [start, limit, release, stop, confirm].into_iter().flatten().collect()
    }
}

/// The way to the agent while a link stands.
struct Line {
    id: u64,
    link: String,
    card: u64,
    since_ms: u64,
    version: String,
    out: UnboundedSender<Note>,
}

struct Inner {
    term: u64,
    number: u64,
    told: BTreeMap<RunId, Told>,
    known: BTreeSet<RunId>,
    signals: VecDeque<(u64, RunId, i32, bool)>,
    words: BTreeMap<String, Health>,
    line: Option<Line>,
    lines: u64,
    heard: Instant,
    heard_ms: u64,
    silent: Option<String>,
    told_at: Instant,
    sample: Option<Sample>,
    asks: BTreeMap<u64, oneshot::Sender<Piece>>,
    asked: u64,
}

/// A site's side at the server.
pub struct Desk {
    /// The site.
    pub site: Site,
    names: BTreeSet<String>,
    inner: Mutex<Inner>,
    reports: Mutex<Sender<EngineReport>>,
    hear: Hear,
}

/// How a site's agent stands, for people.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The certificate it came with, while it is linked.
    pub card: Option<u64>,
    /// Linked since.
    pub since_ms: u64,
    /// Its release.
    pub version: String,
    /// When it was last heard of; 0 for never.
    pub heard_ms: u64,
    /// Why its nodes take no new work, if they do not.
    pub silent: Option<String>,
    /// How its machine fared last.
    pub sample: Option<Sample>,
}

/// The engine that the core sees.
pub struct Far(pub Arc<Desk>);

impl Desk {
    /// The desk of a site under this term; what its agent reports goes to `reports`, whether it is heard of to `hear`.
    pub fn open(site: Site, term: u64, reports: Sender<EngineReport>, hear: Hear) -> Arc<Desk> {
        let names = site.nodes.iter().map(|node| node.name.clone()).collect();
        let (now, heard_ms) = (Instant::now(), site.seen_ms);
        let inner = Inner {
            term,
            number: 0,
            told: BTreeMap::new(),
            known: BTreeSet::new(),
            signals: VecDeque::new(),
            words: BTreeMap::new(),
            line: None,
            lines: 0,
            heard: now,
            heard_ms,
            silent: None,
            told_at: now,
            sample: None,
            asks: BTreeMap::new(),
            asked: 0,
        };
        let desk = Desk { site, names, inner: Mutex::new(inner), reports: Mutex::new(reports), hear };
        desk.tick();
        Arc::new(desk)
    }

    /// How its agent stands.
    pub fn standing(&self) -> Standing {
        let inner = self.inner.lock();
        let line = inner.line.as_ref();
        Standing {
            card: line.map(|line| line.card),
            since_ms: line.map_or(0, |line| line.since_ms),
            version: line.map(|line| line.version.clone()).unwrap_or_default(),
            heard_ms: inner.heard_ms,
            silent: inner.silent.clone(),
            sample: inner.sample,
        }
    }

    /// Begins a link, in place of the one before; gives its number and the notes to be sent on it.
    pub(crate) fn link(&self, card: u64, serve: Serve) -> (u64, UnboundedReceiver<Note>) {
        let mut inner = self.inner.lock();
        let (out, notes) = unbounded_channel();
        let since_ms = crate::register::now_ms();
        inner.lines += 1;
        let id = inner.lines;
        inner.line = Some(Line { id, link: serve.link, card, since_ms, version: serve.version, out });
        inner.known = serve.known.into_iter().collect();
        let is_own = |(name, _): &(String, Health)| self.names.contains(name);
        inner.words = serve.nodes.into_iter().filter(is_own).collect();
        inner.hear();
        inner.silent = None;
        let taken = if serve.taken.0 == inner.term { serve.taken.1 } else { 0 };
        inner.signals.retain(|(number, ..)| *number > taken);
        inner.push(&self.site.name, Deed::Welcome { nodes: self.site.nodes.clone() });
        let again: Vec<Deed> =
            inner.told.iter().flat_map(|(run, told)| told.again(*run, inner.known.contains(run))).collect();
        for deed in again {
            inner.push(&self.site.name, deed);
        }
        for (_, run, signal, shell) in std::mem::take(&mut inner.signals) {
            let number = inner.push(&self.site.name, Deed::Signal(run, signal, shell));
            inner.signals.push_back((number, run, signal, shell));
        }
        drop(inner);
        self.tell();
        (id, notes)
    }

    /// Ends a link, unless another has begun since.
    pub(crate) fn unlink(&self, id: u64) {
        let mut inner = self.inner.lock();
        if inner.line.as_ref().is_some_and(|line| line.id == id) {
            inner.line = None;
        }
    }

    /// Ends the link of a certificate that is good no longer.
    pub(crate) fn cut(&self, card: u64) {
        let mut inner = self.inner.lock();
        if inner.line.as_ref().is_some_and(|line| line.card == card) {
            inner.line = None;
        }
    }

    /// The certificate whose agent is linked now.
    pub(crate) fn served_by(&self) -> Option<u64> {
        self.inner.lock().line.as_ref().map(|line| line.card)
    }

    /// The agent was heard of.
    pub(crate) fn heard(&self) {
        self.inner.lock().hear();
    }

    /// All notes up to this number are taken.
    pub(crate) fn taken(&self, number: u64) {
        self.inner.lock().signals.retain(|(sent, ..)| *sent > number);
    }

    /// How the agent's machine fares.
    pub(crate) fn sample(&self, sample: Sample) {
        self.inner.lock().sample = Some(sample);
    }

    /// A piece of what a job wrote at the site; `None` when the site does not answer.
    pub async fn read(&self, path: &str, offset: u64, limit: u64) -> Option<Piece> {
        let (answer, answered) = oneshot::channel();
        let ask = {
            let mut inner = self.inner.lock();
            inner.line.as_ref()?;
            inner.asked += 1;
            let ask = inner.asked;
            inner.asks.insert(ask, answer);
            inner.push(&self.site.name, Deed::Read { ask, path: path.to_owned(), offset, limit });
            ask
        };
        let piece = tokio::time::timeout(READING, answered).await;
        self.inner.lock().asks.remove(&ask);
        piece.ok()?.ok()
    }

    /// What was asked for has come.
    pub(crate) fn piece(&self, sent: &Sent) {
        let asker = self.inner.lock().asks.remove(&sent.ask);
        if let (Some(asker), Some(piece)) = (asker, sent.piece()) {
            drop(asker.send(piece)); // whoever asked may have left
        }
    }

    /// What the engine at the site saw.
    pub(crate) fn report(&self, report: EngineReport) {
        let mut inner = self.inner.lock();
        match &report {
            EngineReport::Started { run, .. } => {
                inner.known.insert(*run);
                let told = inner.told.entry(*run).or_default();
                (told.started, told.asked, told.order) = (true, false, None);
            }
            EngineReport::Ended { run, .. } => {
                inner.known.insert(*run);
                let told = inner.told.entry(*run).or_default();
                (told.ended, told.asked, told.order) = (true, false, None);
                inner.signals.retain(|(_, signalled, ..)| signalled != run);
            }
            EngineReport::Unknown { run } => {
                // It was said before the start that is on its way.
                if inner.told.get(run).is_some_and(|told| told.order.is_some()) {
                    return;
                }
                inner.told.remove(run);
                inner.known.remove(run);
            }
            EngineReport::Node { node, .. } if !self.names.contains(node) => return,
            EngineReport::Node { node, health } => drop(inner.words.insert(node.clone(), health.clone())),
        }
        drop(inner);
        self.say(report);
    }

    /// Looks at the time: tells the core when the site has been silent for too long, and again and again what is known of
    /// its nodes.
    pub(crate) fn tick(&self) {
        let mut inner = self.inner.lock();
        let never = inner.heard_ms == 0;
        if inner.line.is_none() && inner.silent.is_none() && (never || inner.heard.elapsed() > self.site.silent_after) {
            let name = &self.site.name;
            inner.silent = Some(match never {
                true => format!("site {name} has not been heard of yet"),
                false => format!("site {name} has been silent since {}", moment(inner.heard_ms)),
            });
            tracing::warn!("{}", inner.silent.as_deref().unwrap_or_default());
        } else if inner.told_at.elapsed() < AGAIN {
            return;
        }
        inner.told_at = Instant::now();
        drop(inner);
        self.tell();
    }

    /// Tells the core whether the site is heard of, and how its nodes fare by its engine's word.
    fn tell(&self) {
        let inner = self.inner.lock();
        let heard = match (&inner.silent, &inner.line) {
            (Some(why), _) => Heard::Silent { since_ms: inner.heard_ms, why: why.clone() },
            (None, Some(_)) => Heard::Linked,
            (None, None) => return,
        };
        let words = if heard == Heard::Linked { inner.words.clone() } else { BTreeMap::new() };
        drop(inner);
        (self.hear)(heard);
        words.into_iter().for_each(|(node, health)| self.say(EngineReport::Node { node, health }));
    }

    /// A core that no longer listens is ending.
    fn say(&self, report: EngineReport) {
        drop(self.reports.lock().send(report));
    }

    fn want(&self, run: RunId, want: impl FnOnce(&mut Told), deed: Deed) {
        let mut inner = self.inner.lock();
        want(inner.told.entry(run).or_default());
        inner.push(&self.site.name, deed);
    }
}

impl Inner {
    fn hear(&mut self) {
        self.heard = Instant::now();
        self.heard_ms = crate::register::now_ms();
    }

    /// Says something on the link, if there is one; gives its number. What is not said now is said when the next begins.
    fn push(&mut self, site: &str, deed: Deed) -> u64 {
        let Some(line) = &self.line else { return u64::MAX };
        self.number += 1;
        let note = Note { site: site.to_owned(), link: line.link.clone(), term: self.term, number: self.number, deed };
        drop(line.out.send(note)); // a link that has just broken: the next one says it again
        self.number
    }
}

fn moment(ms: u64) -> String {
    let at = jiff::Timestamp::from_millisecond(ms.cast_signed()).unwrap_or_default();
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

impl Engine for Far {
    fn known(&self) -> Vec<RunId> {
        self.0.inner.lock().known.iter().copied().collect()
    }

    fn start(&mut self, order: Order) {
        let run = order.run;
        let mut inner = self.0.inner.lock();
        let told = inner.told.entry(run).or_default();
        if told.started || told.ended {
            return;
        }
        let order = Box::new(order);
        told.order = Some(order.clone());
        inner.known.insert(run);
        inner.push(&self.0.site.name, Deed::Start(order));
    }

    fn stop(&mut self, run: RunId, cause: StopCause) {
        self.0.want(run, |told| told.stop = told.stop.or(Some(cause)), Deed::Stop(run, cause));
    }

    fn signal(&mut self, run: RunId, signal: i32, shell_only: bool) {
        let mut inner = self.0.inner.lock();
        let number = inner.push(&self.0.site.name, Deed::Signal(run, signal, shell_only));
        if inner.signals.len() < SIGNALS {
            inner.signals.push_back((number, run, signal, shell_only));
        }
    }

    fn set_limit(&mut self, run: RunId, limit: Span) {
        self.0.want(run, |told| told.limit = Some(limit), Deed::Limit(run, limit));
    }

    fn release(&mut self, run: RunId, exit: i32) {
        self.0.want(run, |told| told.release = Some(exit), Deed::Release(run, exit));
    }

    fn confirm(&mut self, run: RunId) {
        self.0.want(run, |told| told.asked = true, Deed::Confirm(run));
    }

    fn forget(&mut self, run: RunId) {
        let mut inner = self.0.inner.lock();
        if inner.told.get(&run).is_some_and(|told| told.ended) {
            inner.told.remove(&run);
            inner.known.remove(&run);
            inner.push(&self.0.site.name, Deed::Forget(run));
        }
    }
}
