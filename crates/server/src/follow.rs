//! Standing by: a server that does not lead follows the journal, answers readers, and takes over when the lease runs out.
//!
//! Its centre is stepped with every row as the active one's was, so that taking over costs the few rows that it has not
//! seen yet, not a restart. Nothing of what a step wants done is done, for the active server did it.
//!
//! Invariants: it writes nothing before it holds the lease; once it holds it, no row of another server can follow the
//! ones that it reads then.

use crate::auth::Passes;
use crate::clock::Clock;
use crate::core::{Changes, PAGE, Records, Shared, tell_all};
use crate::store::pg::Lease;
use crate::store::{Head, Journal, Kept};
use crate::trouble::Trouble;
use madang_agent::Register;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often the journal and the lease are looked at.
const LOOK: Duration = Duration::from_millis(200);
/// How often tokens are read anew: what is revoked at the active server is good here for no longer.
const PASSES: Duration = Duration::from_secs(1);

/// How standing by ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stood {
    /// This server leads.
    Leads,
    /// It was told to stop.
    Stopped,
}

/// A server that stands by.
pub struct Follower {
    /// What it shares with those who read.
    pub shared: Arc<Shared>,
    /// Tokens and sessions.
    pub passes: Arc<Passes>,
    /// Agents' invitations and certificates.
    pub agents: Arc<Register>,
    /// What it waits for.
    pub lease: Arc<Lease>,
    /// The last row it has seen.
    pub head: Head,
    /// What the rows seen last want kept: the active server keeps it with the row that comes next.
    pub keeps: Vec<Kept>,
}

impl Follower {
    /// Follows until it leads or is told to stop.
    pub fn stand_by(&mut self, journal: &mut Journal, clock: &mut Clock) -> Result<Stood, Trouble> {
        let (mut records, mut told, mut refreshed) = (Records::default(), String::new(), Instant::now());
        loop {
            let found = self.shared.queue.take(LOOK);
            tell_all(found.flushes);
            if found.stop {
                return Ok(Stood::Stopped);
            }
            self.shared.set_now(clock.now());
            let looked = self.look(journal, &mut records, &mut refreshed);
            match looked {
                Ok(true) => return self.take_over(journal, clock),
                Ok(false) => told.clear(),
                // Whoever holds the lease and cannot read what the one before wrote may not go on.
                Err(error) if self.lease.epoch() != 0 => return Err(error),
                Err(error) => {
                    let text = error.to_string();
                    if text != told {
                        tracing::warn!("standing by, {text}");
                        told = text;
                    }
                }
            }
        }
    }

    /// Takes the lease if it has run out, and reads what is new; true when this server leads.
    fn look(&mut self, journal: &Journal, records: &mut Records, refreshed: &mut Instant) -> Result<bool, Trouble> {
        let taken = self.lease.try_take()?;
        self.read_on(journal, records)?;
        if !taken && refreshed.elapsed() >= PASSES {
            *refreshed = Instant::now();
            self.passes.refresh()?;
            self.agents.refresh().map_err(crate::store::trouble)?;
            *self.shared.active.lock() = Some(self.lease.active()?);
        }
        self.shared.chart.lock().sample(self.shared.now(), &self.shared.centre.read());
        Ok(taken)
    }

    fn read_on(&mut self, journal: &Journal, records: &mut Records) -> Result<(), Trouble> {
        loop {
            let steps = journal.page(self.head, PAGE)?;
            let is_all = steps.len() < PAGE as usize;
            let mut changes = Changes::default();
            for step in steps {
                let head = step.head;
                // With a row goes what the rows before it want kept.
                self.keeps.clear();
                let mut centre = self.shared.centre.write();
                // Whether rows follow it that somebody was answered for is not known here.
                records.replay(&mut centre, step, false, (&mut self.keeps, &mut changes))?;
                self.head = head;
            }
            *self.shared.head.lock() = self.head;
            changes.tell(&self.shared);
            if is_all {
                return Ok(());
            }
        }
    }

    fn take_over(&mut self, journal: &mut Journal, clock: &mut Clock) -> Result<Stood, Trouble> {
        let last = journal.refresh()?;
        if last != self.head {
            return Err(Trouble::new(format!(
                "the journal {} ends at entry {}, this server has seen {}",
                journal.name(),
                last.seq,
                self.head.seq
            )));
        }
        journal.keep(&self.keeps)?;
        self.passes.refresh()?;
        clock.not_before(last.at);
        *self.shared.active.lock() = None;
        tracing::warn!("this server leads now, from entry {} on", last.seq);
        Ok(Stood::Leads)
    }
}
