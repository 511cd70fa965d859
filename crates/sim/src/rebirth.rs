//! The simulator's journal, and what a restart makes of it.
//!
//! Invariant, and the point of it all: snapshot + tail replayed = live state, byte for byte, and the same effects on
//! the way. The snapshot passes through text as it does on a real disk.
use crate::oracle::Oracle;
use madang_centre::input::{Input, Signed};
use madang_centre::{Centre, Effect, Reply, Snapshot};
use madang_model::{JobId, Time};
use std::collections::BTreeSet;

/// Batches between two snapshots.
const BETWEEN_SNAPSHOTS: usize = 60;

/// Everything that was ever put in, and what is needed to come back.
pub struct Journal {
    batches: Vec<(Time, Vec<Signed>)>,
    snapshot: Option<Vec<u8>>,
    /// Batches since the snapshot, with what came of them.
    tail: Vec<(usize, Vec<Effect>)>,
    /// Requests whose answers were lost with the server and which nobody repeats.
    pub unanswered: BTreeSet<u64>,
    /// Effects of a replay that were lost before it.
    found: Vec<Effect>,
}

impl Journal {
    /// An empty journal.
    pub fn new() -> Journal {
        Journal {
            batches: Vec::new(),
            snapshot: None,
            tail: Vec::new(),
            unanswered: BTreeSet::new(),
            found: Vec::new(),
        }
    }

    /// How many inputs it holds.
    pub fn inputs(&self) -> usize {
        self.batches.iter().map(|(_, batch)| batch.len()).sum()
    }

    /// A batch is written, before the core sees it.
    pub fn append(&mut self, now: Time, batch: &[Signed]) {
        self.batches.push((now, batch.to_vec()));
    }

    /// What came of the batch written last.
    pub fn follow(&mut self, effects: &[Effect]) {
        self.tail.push((self.batches.len() - 1, effects.to_vec()));
    }

    /// Take a snapshot now and then.
    pub fn perhaps_snapshot(&mut self, centre: &Centre) {
        if self.tail.len() >= BETWEEN_SNAPSHOTS {
            self.snapshot = Some(text_of(centre));
            self.tail.clear();
        }
    }

    /// The core as a restarted server has it, which must be the live one again.
    pub fn restart(&mut self, live: &Centre) -> Result<Centre, String> {
        let mut centre = match &self.snapshot {
            Some(text) => centre_of(text)?,
            None => Centre::new(),
        };
        self.found.clear();
        for (place, effects) in &self.tail {
            let (now, batch) = &self.batches[*place];
            let again = centre.step(*now, batch.clone());
            if again != *effects {
                return Err(differing("a replayed batch had other effects", &debug(effects), &debug(&again)));
            }
            self.found.extend(again);
        }
        same(&centre, live, "a restart made another centre")?;
        // Once more, from a snapshot of this very moment.
        same(&centre_of(&text_of(live))?, live, "a snapshot gave another centre")?;
        Ok(centre)
    }

    /// After a restart: what replay gave again and is safe to repeat, and the jobs that nobody was told of.
    pub fn recover(&mut self, oracle: &mut Oracle, jobs: &mut Vec<JobId>) -> Result<(), String> {
        for effect in std::mem::take(&mut self.found) {
            match effect {
                Effect::Keep(keep) => oracle.keep(keep)?,
                Effect::Reply { ticket, answer: Ok(Reply::Job(id)) } if self.unanswered.remove(&ticket) => {
                    oracle.accept(id, self.tasks_of(ticket));
                    jobs.push(id);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn tasks_of(&self, ticket: u64) -> u32 {
        let all = self.batches.iter().rev().flat_map(|(_, batch)| batch);
        let asked = all.filter(|signed| signed.ticket == ticket).find_map(|signed| match &signed.input {
            Input::Submit(submission) => submission.array.as_ref(),
            _ => None,
        });
        asked.map_or(1, |array| array.ranges.iter().map(|(first, last, step)| (last - first) / step + 1).sum())
    }

    /// The whole history from the founding on makes the live centre.
    pub fn replay_all(&self, live: &Centre) -> Result<(), String> {
        let mut centre = Centre::new();
        for (now, batch) in &self.batches {
            centre.step(*now, batch.clone());
        }
        same(&centre, live, "a replay of the whole journal made another centre")
    }
}

impl Default for Journal {
    fn default() -> Journal {
        Journal::new()
    }
}

fn text_of(centre: &Centre) -> Vec<u8> {
    serde_json::to_vec(&centre.snapshot()).expect("a snapshot has string keys only and goes into memory")
}

fn centre_of(text: &[u8]) -> Result<Centre, String> {
    let snapshot: Snapshot =
        serde_json::from_slice(text).map_err(|error| format!("a snapshot is unreadable: {error}"))?;
    Centre::restore(snapshot).map_err(|refusal| format!("a snapshot was refused: {refusal}"))
}

fn same(made: &Centre, live: &Centre, what: &str) -> Result<(), String> {
    let (made, live) = (text_of(made), text_of(live));
    if made == live {
        return Ok(());
    }
    Err(differing(what, &String::from_utf8_lossy(&live), &String::from_utf8_lossy(&made)))
}

fn debug(effects: &[Effect]) -> String {
    format!("{effects:?}")
}

/// Two texts around the first place where they differ.
fn differing(what: &str, live: &str, made: &str) -> String {
    let place = live.bytes().zip(made.bytes()).position(|(a, b)| a != b).unwrap_or(live.len().min(made.len()));
    let around = |text: &str| {
        let (from, to) = (place.saturating_sub(300), (place + 200).min(text.len()));
        String::from_utf8_lossy(&text.as_bytes()[from.min(to)..to]).into_owned()
    };
    format!("{what}\n  live: …{}…\n  made: …{}…", around(live), around(made))
}
