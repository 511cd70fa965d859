//! The embedded store: one folder, one writer.
//!
//! `journal.db` (SQLite) holds the journal of inputs, the launch blobs they name and the projections; `snapshots/`
//! the centre's state now and then; `access.db` tokens and sessions, apart so that signing in never waits for, nor
//! delays, a commit of the journal.
//!
//! Invariants: an input is on the disk, with the blobs it names, before the core sees it; rows are hash-chained;
//! projections only ever follow the journal and writing one twice is the same as once.

pub mod folder;
pub mod history;
pub mod journal;
pub mod keep;
pub mod past;
pub mod snapshots;

pub use folder::Folder;
pub use history::{JobFilter, Readers};
pub use journal::{Batch, Blob, Head, Journal};
pub use keep::Kept;
pub use snapshots::Snapshots;

use crate::trouble::Trouble;
use rusqlite::{Connection, ErrorCode};
use std::path::Path;

/// Opens a database of the folder the way every connection here must be: WAL, and every commit on the disk.
pub(crate) fn connect(path: &Path) -> Result<Connection, Trouble> {
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
pub(crate) fn sick(verb: &str, path: &Path, error: &rusqlite::Error) -> Trouble {
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
