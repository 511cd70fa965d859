//! The journal: every batch that the core was given, in order, hash-chained, one commit each.
//!
//! A row is one step, not one input, because a step decides on its whole batch: the replay must cut time where life
//! did. An empty row says that only time passed. The chain is `hash = SHA-256(previous hash | seq | at | body)`.
//!
//! A row that does not fit its hash stops the opening, the last one included: the database's own log already takes
//! away what a crash left half-written, so a bad last row is damage to something that somebody was told is safe.
//!
//! Chaining and checking are here, the same for every store; what writes and reads the rows is a [`Rows`].

use super::kept::Kept;
use super::rows::{NewRow, Raw, Rows};
use crate::trouble::Trouble;
use madang_centre::input::Signed;
use madang_model::Time;
use sha2::{Digest, Sha256};
use std::time::{Duration, Instant};

/// The format of the journal that this release writes, and the newest it reads.
pub const FORMAT: u32 = 1;
/// Rows read at a time while the chain is checked.
const CHECKED_AT_A_TIME: u32 = 256;

/// What a launch is stored as: a name (its SHA-256 in hex) and its bytes.
#[derive(Clone, Debug)]
pub struct Blob {
    /// What an input calls it.
    pub name: String,
    /// The bytes.
    pub body: Vec<u8>,
}

impl Blob {
    /// Named by its content.
    pub fn of(body: Vec<u8>) -> Blob {
        Blob { name: hex(&Sha256::digest(&body)), body }
    }
}

/// Bytes in lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]])
        .map(char::from)
        .collect()
}

/// Where the journal stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The last row; 0 when there is none.
    pub seq: u64,
    /// Its moment.
    pub at: Time,
    /// Inputs so far.
    pub inputs: u64,
    /// Its hash; zeros when there is none.
    pub hash: [u8; 32],
}

impl Head {
    /// Before the first row.
    pub const START: Head = Head { seq: 0, at: Time::from_millis(0), inputs: 0, hash: [0; 32] };

    /// What the head is after one more row with this body.
    fn next(&self, at: Time, inputs: u64, body: &str) -> Head {
        let mut hash = Sha256::new();
        let seq = self.seq + 1;
        hash.update(self.hash);
        hash.update(seq.to_be_bytes());
        hash.update(at.millis().to_be_bytes());
        hash.update(body.as_bytes());
        Head { seq, at, inputs: self.inputs + inputs, hash: hash.finalize().into() }
    }
}

/// What goes to the disk in one commit.
pub struct Batch<'a> {
    /// The moment of the step.
    pub now: Time,
    /// What the step is given.
    pub inputs: &'a [Signed],
    /// Launches that these inputs name.
    pub blobs: &'a [Blob],
}

/// One row as read back.
pub struct Step {
    /// The head after it.
    pub head: Head,
    /// What the step was given.
    pub inputs: Vec<Signed>,
}

/// The writer.
pub struct Journal {
    rows: Box<dyn Rows>,
    head: Head,
    last_commit: Duration,
}

impl Journal {
    /// The journal that a store's rows are, and its head.
    pub fn open(rows: Box<dyn Rows>) -> Result<Journal, Trouble> {
        let head = rows.last()?;
        Ok(Journal { rows, head, last_commit: Duration::ZERO })
    }

    /// Where it stands.
    pub fn head(&self) -> Head {
        self.head
    }

    /// Looks again where it stands, after another server wrote it.
    pub fn refresh(&mut self) -> Result<Head, Trouble> {
        self.head = self.rows.last()?;
        Ok(self.head)
    }

    /// How long the last commit took, the wait for the disk included.
    pub fn last_commit(&self) -> Duration {
        self.last_commit
    }

    /// What writes and reads its rows.
    pub(super) fn rows(&self) -> &dyn Rows {
        &*self.rows
    }

    /// What its store is called in messages.
    pub fn name(&self) -> &str {
        self.rows.name()
    }

    /// Makes one step, the launches it names and projections of steps before durable: all of it or nothing.
    pub fn append(&mut self, batch: &Batch<'_>, keeps: &[Kept]) -> Result<(), Trouble> {
        assert!(batch.now >= self.head.at, "the journal's moments do not decrease");
        let body = serde_json::to_string(batch.inputs)
            .map_err(|error| Trouble::new(format!("failed to write an input as JSON: {error}")))?;
        let head = self.head.next(batch.now, batch.inputs.len() as u64, &body);
        let began = Instant::now();
        self.rows.append(&NewRow { head, body: &body, blobs: batch.blobs }, keeps)?;
        self.last_commit = began.elapsed();
        self.head = head;
        Ok(())
    }

    /// Makes projections durable without a step.
    pub fn keep(&self, keeps: &[Kept]) -> Result<(), Trouble> {
        match keeps {
            [] => Ok(()),
            _ => self.rows.keep(keeps),
        }
    }

    /// At most `rows` steps after `from`, checked against the chain; none at the end.
    pub fn page(&self, from: Head, rows: u32) -> Result<Vec<Step>, Trouble> {
        let (mut head, mut steps) = (from, Vec::new());
        for raw in self.rows.page(from.seq, rows)? {
            let body = follow(self.name(), &mut head, raw)?;
            let inputs =
                serde_json::from_str(&body).map_err(|error| damaged(self.name(), head.seq, &error.to_string()))?;
            steps.push(Step { head, inputs });
        }
        Ok(steps)
    }

    /// Checks the last `rows` rows against the chain, without looking into them.
    pub fn verify_last(&self, rows: u64) -> Result<(), Trouble> {
        let from = match self.head.seq.saturating_sub(rows) {
            0 => Some(Head::START),
            seq => self.head_at(seq)?,
        };
        let from = from.ok_or_else(|| damaged(self.name(), self.head.seq.saturating_sub(rows), "it is missing"))?;
        verify(self.name(), from, self.head.seq, &mut |after, rows| self.rows.page(after, rows)).map(drop)
    }

    /// The head as it was after row `seq`, as far as the row itself says.
    pub fn head_at(&self, seq: u64) -> Result<Option<Head>, Trouble> {
        self.rows.head_at(seq)
    }

    /// The bytes of a launch.
    pub fn blob(&self, name: &str) -> Result<Option<Vec<u8>>, Trouble> {
        self.rows.blob(name)
    }

    /// Fails when another server has taken over.
    pub fn check(&self) -> Result<(), Trouble> {
        self.rows.check()
    }

    /// Nothing is appended from now on.
    pub fn close(&self) {
        self.rows.close();
    }
}

/// Reads a page of rows after one.
pub(super) type Pages<'a> = &'a mut dyn FnMut(u64, u32) -> Result<Vec<Raw>, Trouble>;

/// Checks the chain of rows after `from` up to row `seq` without looking into them; gives the head reached.
pub(super) fn verify(name: &str, from: Head, seq: u64, pages: Pages<'_>) -> Result<Head, Trouble> {
    let mut head = from;
    while head.seq < seq {
        let left = u32::try_from(seq - head.seq).unwrap_or(u32::MAX);
        let page = pages(head.seq, left.min(CHECKED_AT_A_TIME))?;
        if page.is_empty() {
            break;
        }
        for raw in page {
            follow(name, &mut head, raw)?;
        }
    }
    Ok(head)
}

/// Takes a head one row further, if the row fits the chain; gives the row's body.
fn follow(name: &str, head: &mut Head, raw: Raw) -> Result<String, Trouble> {
    let wanted = head.seq + 1;
    let (said, body) = raw.map_err(|how| damaged(name, wanted, &how))?;
    if said.seq != wanted {
        return Err(damaged(name, wanted, &format!("it is missing, the next is {}", said.seq)));
    }
    let found = head.next(said.at, said.inputs.saturating_sub(head.inputs), &body);
    if found != said || said.at < head.at {
        return Err(damaged(name, wanted, "it does not fit its hash"));
    }
    *head = found;
    Ok(body)
}

fn damaged(name: &str, seq: u64, how: &str) -> Trouble {
    Trouble::new(format!("the journal {name} is damaged at entry {seq}: {how}")).hint(format!(
        "entries before {seq} are intact and nothing was changed; restore it from a backup, or move it away to start \
         anew"
    ))
}

/// Says whether a store of this format can be read by this release.
pub(super) fn check_format(name: &str, format: &str) -> Result<(), Trouble> {
    match format.parse::<u32>() {
        Ok(FORMAT) => Ok(()),
        Ok(newer) if newer > FORMAT => {
            Err(Trouble::new(format!("{name} is of format {newer}, this release reads {FORMAT}"))
                .hint("start it with the release that wrote it, or a later one"))
        }
        _ => Err(Trouble::new(format!("{name} is of an unknown format, `{format}`"))),
    }
}
