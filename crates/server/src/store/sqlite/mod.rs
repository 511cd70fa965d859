//! The embedded store: one folder, one writer.
//!
//! `journal.db` holds the journal of inputs, the launch blobs they name and the projections; `snapshots/` the centre's
//! state now and then; `access.db` tokens and sessions, apart so that signing in never waits for, nor delays, a commit
//! of the journal.

mod agents;
mod keep;
mod passes;
pub mod past;
mod rows;
mod shelf;
mod tables;

pub use agents::Agents;
pub use passes::Passes;
pub use rows::File;
pub use shelf::Files;
pub use tables::Readers;

use super::rows::Raw;
use super::{Head, journal};
use crate::trouble::Trouble;
use madang_model::Time;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, params};
use std::path::Path;

/// Opens a database of the folder the way every connection here must be: WAL, and every commit on the disk.
fn connect(path: &Path) -> Result<Connection, Trouble> {
    let open = || -> rusqlite::Result<Connection> {
        let db = Connection::open(path)?;
        db.pragma_update(None, "journal_mode", "WAL")?;
        db.pragma_update(None, "synchronous", "FULL")?;
        db.busy_timeout(std::time::Duration::from_secs(5))?;
        db.set_prepared_statement_cache_capacity(64);
        Ok(db)
    };
    open().map_err(|error| sick("open", path, &error))
}

/// An error of SQLite in words, with what a person can do about it.
fn sick(verb: &str, path: &Path, error: &rusqlite::Error) -> Trouble {
    let hint = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "the disk is full: make room and start again; nothing that was answered is lost",
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            "the file is damaged: restore the folder from a backup, or move it away to start anew"
        }
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
            "give yourself the right to write there, or name another folder with --data"
        }
        Some(ErrorCode::SystemIoFailure) => {
            "the disk failed: look at the system's log; nothing that was answered is lost"
        }
        _ => "",
    };
    Trouble::new(format!("failed to {verb} {}: {error}", path.display())).hint(hint)
}

/// The bytes of a launch.
fn blob(db: &Connection, name: &str) -> rusqlite::Result<Option<Vec<u8>>> {
    db.prepare_cached("SELECT body FROM blobs WHERE name = ?1")?.query_row([name], |row| row.get(0)).optional()
}

/// A page of the journal.
fn page(db: &Connection, after: u64, rows: u32) -> rusqlite::Result<Vec<Raw>> {
    let sql = "SELECT seq, at_ms, inputs, hash, body FROM journal WHERE seq > ?1 ORDER BY seq LIMIT ?2";
    let mut statement = db.prepare_cached(sql)?;
    let mut found = statement.query(params![after.cast_signed(), rows])?;
    let mut page = Vec::new();
    while let Some(row) = found.next()? {
        let read = head_of(row).and_then(|head| Ok((head, row.get(4)?)));
        page.push(read.map_err(|error| error.to_string()));
    }
    Ok(page)
}

fn head_of(row: &Row<'_>) -> rusqlite::Result<Head> {
    let number = |index| row.get::<_, i64>(index).map(i64::cast_unsigned);
    Ok(Head { seq: number(0)?, at: Time::from_millis(number(1)?), inputs: number(2)?, hash: row.get(3)? })
}
