//! The core's queue: what came since the last step. Callers' inputs are bounded (beyond that they are told to come
//! again); engines' reports are not, for a report may not be lost and there are never more than two for each run.

use crate::store::{Blob, Kept};
use madang_agent::Heard;
use madang_centre::{Refusal, Reply, Report, Signed};
use madang_model::{Health, SiteId};
use parking_lot::{Condvar, Mutex};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use tokio::sync::oneshot;

/// Most callers' inputs that wait for the core.
pub const BOUND: usize = 8_192;
/// Most inputs in one batch, that is in one commit and one step.
pub const BATCH: usize = 1_024;

/// Where an answer goes.
pub type Answer = oneshot::Sender<Result<Reply, Refusal>>;

/// One caller's input.
pub struct Ask {
    /// The input; its ticket is given by the core.
    pub signed: Signed,
    /// The launch it names, if any.
    pub blob: Option<Blob>,
    /// Where the answer goes.
    pub answer: Answer,
}

/// What an engine saw.
pub struct Seen {
    /// For the core.
    pub report: Report,
    /// For people, kept beside it.
    pub note: Option<Kept>,
    /// The site whose agent says so, if it is an agent's.
    pub by: Option<SiteId>,
}

impl From<Report> for Seen {
    fn from(report: Report) -> Seen {
        Seen { report, note: None, by: None }
    }
}

/// What a look into the queue found.
#[derive(Default)]
pub struct Found {
    /// Callers' inputs, oldest first.
    pub asks: Vec<Ask>,
    /// Reports, oldest first.
    pub reports: Vec<Seen>,
    /// How nodes fare by their engines' last word.
    pub nodes: BTreeMap<String, Health>,
    /// Whether sites are heard of by their desks' last word.
    pub sites: BTreeMap<SiteId, Heard>,
    /// Callers that wait until everything answered so far is in the projections.
    pub flushes: Vec<oneshot::Sender<()>>,
    /// True when the core is to stop.
    pub stop: bool,
}

#[derive(Default)]
struct Waiting {
    asks: VecDeque<Ask>,
    reports: VecDeque<Seen>,
    nodes: BTreeMap<String, Health>,
    sites: BTreeMap<SiteId, Heard>,
    flushes: Vec<oneshot::Sender<()>>,
    stop: bool,
    closed: bool,
}

/// The queue.
#[derive(Default)]
pub struct Queue {
    waiting: Mutex<Waiting>,
    bell: Condvar,
}

/// Why an input was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotTaken {
    /// Too many wait already.
    Full,
    /// The core has stopped.
    Closed,
}

impl Queue {
    /// Hands an input to the core.
    pub fn ask(&self, ask: Ask) -> Result<(), NotTaken> {
        let mut waiting = self.waiting.lock();
        if waiting.closed {
            return Err(NotTaken::Closed);
        }
        if waiting.asks.len() >= BOUND {
            return Err(NotTaken::Full);
        }
        waiting.asks.push_back(ask);
        drop(waiting);
        self.bell.notify_one();
        Ok(())
    }

    /// Hands what an engine saw to the core.
    pub fn report(&self, seen: Seen) {
        self.waiting.lock().reports.push_back(seen);
        self.bell.notify_one();
    }

    /// Hands to the core how a node fares; a later word takes an earlier one's place.
    pub fn node(&self, node: String, health: Health) {
        self.waiting.lock().nodes.insert(node, health);
        self.bell.notify_one();
    }

    /// Hands to the core whether a site is heard of; a later word takes an earlier one's place.
    pub fn site(&self, site: SiteId, heard: Heard) {
        self.waiting.lock().sites.insert(site, heard);
        self.bell.notify_one();
    }

    /// Asks to be told once everything answered so far is in the projections.
    pub fn flush(&self, done: oneshot::Sender<()>) {
        let mut waiting = self.waiting.lock();
        if !waiting.closed {
            waiting.flushes.push(done);
        }
        drop(waiting);
        self.bell.notify_one();
    }

    /// Tells the core to stop after what it has taken.
    pub fn stop(&self) {
        self.waiting.lock().stop = true;
        self.bell.notify_one();
    }

    /// Takes no more; whoever still waits learns it by the loss of their answer's sender.
    pub fn close(&self) {
        let mut waiting = self.waiting.lock();
        waiting.closed = true;
        waiting.asks.clear();
        waiting.flushes.clear();
    }

    /// Waits until there is something or the time is up, and takes at most one batch.
    pub fn take(&self, at_most: Duration) -> Found {
        let mut waiting = self.waiting.lock();
        let empty = |waiting: &Waiting| {
            let is_quiet = waiting.asks.is_empty() && waiting.reports.is_empty() && waiting.nodes.is_empty();
            is_quiet && waiting.sites.is_empty() && waiting.flushes.is_empty() && !waiting.stop
        };
        if empty(&waiting) {
            self.bell.wait_for(&mut waiting, at_most);
        }
        let reports = waiting.reports.len().min(BATCH);
        let asks = waiting.asks.len().min(BATCH - reports.min(BATCH / 2));
        let all_taken = asks == waiting.asks.len() && reports == waiting.reports.len();
        let flushes = std::mem::take(&mut waiting.flushes);
        Found {
            nodes: std::mem::take(&mut waiting.nodes),
            sites: std::mem::take(&mut waiting.sites),
            asks: waiting.asks.drain(..asks).collect(),
            reports: waiting.reports.drain(..reports).collect(),
            flushes,
            stop: waiting.stop && all_taken,
        }
    }
}
