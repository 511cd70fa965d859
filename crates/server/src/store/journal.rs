//! The journal: every batch that the core was given, in order, hash-chained, one commit each.
//!
//! A row is one step, not one input, because a step decides on its whole batch: the replay must cut time where life
//! did. An empty row says that only time passed. The chain is `hash = SHA-256(previous hash | seq | at | body)`.
//!
//! A row that does not fit its hash stops the opening, the last one included: SQLite's own log already takes away
//! what a crash left half-written, so a bad last row is damage to something that somebody was told is safe.

use super::keep::{self, Kept};
use super::{connect, sick};
use crate::trouble::Trouble;
use madang_centre::input::Signed;
use madang_model::Time;
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// The format of the journal that this release writes, and the newest it reads.
pub const FORMAT: u32 = 1;

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
    db: Connection,
    path: PathBuf,
    head: Head,
}

impl Journal {
    /// Opens the journal of a folder, or makes a new one, and finds its head.
    pub fn open(folder: &Path) -> Result<Journal, Trouble> {
        let path = folder.join("journal.db");
        let mut db = connect(&path)?;
        prepare(&mut db, &path)?;
        let head = read_head(&db).map_err(|error| sick("read", &path, &error))?;
        Ok(Journal { db, path, head })
    }

    /// Where it stands.
    pub fn head(&self) -> Head {
        self.head
    }

    /// Where its file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Puts one step, the launches it names and projections of steps before on the disk: all of it or nothing.
    pub fn append(&mut self, batch: &Batch<'_>, keeps: &[Kept]) -> Result<(), Trouble> {
        assert!(batch.now >= self.head.at, "the journal's moments do not decrease");
        let body = serde_json::to_string(batch.inputs)
            .map_err(|error| Trouble::new(format!("failed to write an input as JSON: {error}")))?;
        let next = self.head.next(batch.now, batch.inputs.len() as u64, &body);
        self.commit(|db| {
            for blob in batch.blobs {
                db.prepare_cached("INSERT OR IGNORE INTO blobs VALUES (?1, ?2)")?
                    .execute(params![blob.name, blob.body])?;
            }
            db.prepare_cached("INSERT INTO journal VALUES (?1, ?2, ?3, ?4, ?5)")?.execute(params![
                next.seq.cast_signed(),
                next.at.millis().cast_signed(),
                next.inputs.cast_signed(),
                body,
                next.hash
            ])?;
            keep::write(db, keeps)
        })?;
        self.head = next;
        Ok(())
    }

    /// Puts projections on the disk without a step.
    pub fn keep(&mut self, keeps: &[Kept]) -> Result<(), Trouble> {
        match keeps {
            [] => Ok(()),
            _ => self.commit(|db| keep::write(db, keeps)),
        }
    }

    /// At most `rows` steps after `from`, checked against the chain; none at the end.
    pub fn page(&self, from: Head, rows: u32) -> Result<Vec<Step>, Trouble> {
        let (mut head, mut steps) = (from, Vec::new());
        walk(&self.db, &self.path, &mut head, rows.into(), &mut |next, body| {
            let inputs =
                serde_json::from_str(body).map_err(|error| damaged(&self.path, next.seq, &error.to_string()))?;
            steps.push(Step { head: next, inputs });
            Ok(())
        })?;
        Ok(steps)
    }

    /// Checks the last `rows` rows against the chain, without looking into them.
    pub fn verify_last(&self, rows: u64) -> Result<(), Trouble> {
        let from = match self.head.seq.saturating_sub(rows) {
            0 => Some(Head::START),
            seq => self.head_at(seq)?,
        };
        let from = from.ok_or_else(|| damaged(&self.path, self.head.seq.saturating_sub(rows), "it is missing"))?;
        verify(&self.db, &self.path, from, self.head.seq).map(drop)
    }

    /// The head as it was after row `seq`, as far as the row itself says.
    pub fn head_at(&self, seq: u64) -> Result<Option<Head>, Trouble> {
        let read = self.db.query_row(
            "SELECT seq, at_ms, inputs, hash FROM journal WHERE seq = ?1",
            [seq.cast_signed()],
            head_of,
        );
        read.optional().map_err(|error| sick("read", &self.path, &error))
    }

    /// The bytes of a launch.
    pub fn blob(&self, name: &str) -> Result<Option<Vec<u8>>, Trouble> {
        blob(&self.db, name).map_err(|error| sick("read", &self.path, &error))
    }

    /// Bounds the file to this many pages, so that a test can fill the disk.
    pub fn limit_pages(&self, pages: u32) -> Result<(), Trouble> {
        self.db.pragma_update(None, "max_page_count", pages).map_err(|error| sick("bound", &self.path, &error))
    }

    /// Folds SQLite's log into the file, so that a stopped centre is one file.
    pub fn fold(&self) {
        if let Err(error) = self.db.pragma_update(None, "wal_checkpoint", "TRUNCATE") {
            tracing::debug!("failed to fold the log of {}: {error}", self.path.display());
        }
    }

    fn commit(&mut self, work: impl FnOnce(&Connection) -> rusqlite::Result<()>) -> Result<(), Trouble> {
        let path = &self.path;
        let all = || -> rusqlite::Result<()> {
            let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            work(&transaction)?;
            transaction.commit()
        };
        all().map_err(|error| sick("write", path, &error))
    }
}

/// Checks the chain of rows after `from` up to row `seq` without looking into them; gives the head reached.
pub fn verify(db: &Connection, path: &Path, from: Head, seq: u64) -> Result<Head, Trouble> {
    let mut head = from;
    let rows = i64::try_from(seq.saturating_sub(from.seq)).unwrap_or(i64::MAX);
    walk(db, path, &mut head, rows, &mut |_, _| Ok(()))?;
    Ok(head)
}

/// The bytes of a launch.
pub(super) fn blob(db: &Connection, name: &str) -> rusqlite::Result<Option<Vec<u8>>> {
    db.prepare_cached("SELECT body FROM blobs WHERE name = ?1")?.query_row([name], |row| row.get(0)).optional()
}

/// What is done with each good row: the head it makes and its body.
type Visit<'a> = &'a mut dyn FnMut(Head, &str) -> Result<(), Trouble>;

fn walk(db: &Connection, path: &Path, head: &mut Head, rows: i64, visit: Visit<'_>) -> Result<(), Trouble> {
    let failed = |error: rusqlite::Error| sick("read", path, &error);
    let mut found = db
        .prepare("SELECT seq, at_ms, inputs, hash, body FROM journal WHERE seq > ?1 ORDER BY seq LIMIT ?2")
        .map_err(failed)?;
    let mut rows = found.query(params![head.seq.cast_signed(), rows]).map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        let wanted = head.seq + 1;
        let said = head_of(row).map_err(|error| damaged(path, wanted, &error.to_string()))?;
        let body =
            row.get_ref(4).map_err(failed)?.as_str().map_err(|error| damaged(path, wanted, &error.to_string()))?;
        if said.seq != wanted {
            return Err(damaged(path, wanted, &format!("it is missing, the next is {}", said.seq)));
        }
        let count = said.inputs.saturating_sub(head.inputs);
        let found = head.next(said.at, count, body);
        if found != said || said.at < head.at {
            return Err(damaged(path, wanted, "it does not fit its hash"));
        }
        *head = found;
        visit(found, body)?;
    }
    Ok(())
}

fn damaged(path: &Path, seq: u64, how: &str) -> Trouble {
    Trouble::new(format!("the journal {} is damaged at entry {seq}: {how}", path.display())).hint(format!(
        "entries before {seq} are intact and nothing was changed; restore the folder from a backup, or move it away to \
         start anew"
    ))
}

fn head_of(row: &Row<'_>) -> rusqlite::Result<Head> {
    let number = |index| row.get::<_, i64>(index).map(i64::cast_unsigned);
    Ok(Head { seq: number(0)?, at: Time::from_millis(number(1)?), inputs: number(2)?, hash: row.get(3)? })
}

fn read_head(db: &Connection) -> rusqlite::Result<Head> {
    let last = db.query_row("SELECT seq, at_ms, inputs, hash FROM journal ORDER BY seq DESC LIMIT 1", [], head_of);
    Ok(last.optional()?.unwrap_or(Head::START))
}

/// Makes the tables of a new file; refuses one of a newer format.
fn prepare(db: &mut Connection, path: &Path) -> Result<(), Trouble> {
    let failed = |error: rusqlite::Error| sick("prepare", path, &error);
    let made: bool = db
        .query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'meta'", [], |row| row.get::<_, i64>(0))
        .map_err(failed)?
        > 0;
    if !made {
        let transaction = db.transaction().map_err(failed)?;
        transaction.execute_batch(include_str!("schema.sql")).map_err(failed)?;
        transaction.execute("INSERT INTO meta VALUES ('format', ?1)", [FORMAT.to_string()]).map_err(failed)?;
        return transaction.commit().map_err(failed);
    }
    let format: String =
        db.query_row("SELECT value FROM meta WHERE key = 'format'", [], |row| row.get(0)).map_err(failed)?;
    match format.parse::<u32>() {
        Ok(FORMAT) => Ok(()),
        Ok(newer) if newer > FORMAT => {
            Err(Trouble::new(format!("{} is of format {newer}, this release reads {FORMAT}", path.display()))
                .hint("start it with the release that wrote it, or a later one"))
        }
        _ => Err(Trouble::new(format!("{} is of an unknown format, `{format}`", path.display()))),
    }
}
