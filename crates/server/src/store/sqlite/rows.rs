//! The writer: one connection, one transaction a commit.

use super::{blob, connect, head_of, journal, keep, page, sick};
use crate::store::rows::{Cell, NewRow, Raw, Rows, Table};
use crate::store::{Head, Kept};
use crate::trouble::Trouble;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, ToSql, Transaction, TransactionBehavior, params, params_from_iter};
use std::path::{Path, PathBuf};

/// The journal's file.
pub struct File {
    db: Connection,
    path: PathBuf,
    name: String,
}

impl File {
    /// Opens the journal of a folder, or makes a new one.
    pub fn open(folder: &Path) -> Result<File, Trouble> {
        let path = folder.join("journal.db");
        let mut db = connect(&path)?;
        prepare(&mut db, &path)?;
        let name = path.display().to_string();
        Ok(File { db, path, name })
    }

    /// Bounds the file to this many pages, so that a test can fill the disk.
    pub fn limit_pages(&self, pages: u32) -> Result<(), Trouble> {
        self.db.pragma_update(None, "max_page_count", pages).map_err(|error| sick("bound", &self.path, &error))
    }

    /// Does something in one transaction.
    fn commit(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<()>) -> Result<(), Trouble> {
        let all = || -> rusqlite::Result<()> {
            // Nothing else uses this connection meanwhile: it is the core's alone.
            let transaction = Transaction::new_unchecked(&self.db, TransactionBehavior::Immediate)?;
            work(&transaction)?;
            transaction.commit()
        };
        all().map_err(|error| sick("write", &self.path, &error))
    }

    fn failed(&self, error: rusqlite::Error) -> Trouble {
        sick("read", &self.path, &error)
    }
}

impl Rows for File {
    fn name(&self) -> &str {
        &self.name
    }

    fn last(&self) -> Result<Head, Trouble> {
        let sql = "SELECT seq, at_ms, inputs, hash FROM journal ORDER BY seq DESC LIMIT 1";
        let last = self.db.query_row(sql, [], head_of).optional();
        Ok(last.map_err(|error| self.failed(error))?.unwrap_or(Head::START))
    }

    fn head_at(&self, seq: u64) -> Result<Option<Head>, Trouble> {
        let sql = "SELECT seq, at_ms, inputs, hash FROM journal WHERE seq = ?1";
        let read = self.db.query_row(sql, [seq.cast_signed()], head_of);
        read.optional().map_err(|error| self.failed(error))
    }

    fn page(&self, after: u64, rows: u32) -> Result<Vec<Raw>, Trouble> {
        page(&self.db, after, rows).map_err(|error| self.failed(error))
    }

    fn append(&self, row: &NewRow<'_>, keeps: &[Kept]) -> Result<(), Trouble> {
        self.commit(|db| {
            for blob in row.blobs {
                db.prepare_cached("INSERT OR IGNORE INTO blobs VALUES (?1, ?2)")?
                    .execute(params![blob.name, blob.body])?;
            }
            db.prepare_cached("INSERT INTO journal VALUES (?1, ?2, ?3, ?4, ?5)")?.execute(params![
                row.head.seq.cast_signed(),
                row.head.at.millis().cast_signed(),
                row.head.inputs.cast_signed(),
                row.body,
                row.head.hash
            ])?;
            keep::write(db, keeps)
        })
    }

    fn keep(&self, keeps: &[Kept]) -> Result<(), Trouble> {
        self.commit(|db| keep::write(db, keeps))
    }

    fn blob(&self, name: &str) -> Result<Option<Vec<u8>>, Trouble> {
        blob(&self.db, name).map_err(|error| self.failed(error))
    }

    fn dump(&self, table: &Table, after: Option<&[Cell]>, rows: u32) -> Result<Vec<Vec<Cell>>, Trouble> {
        let read = || -> rusqlite::Result<Vec<Vec<Cell>>> {
            let mut statement = self.db.prepare_cached(&table.page(after.is_none()))?;
            let limit = Cell::Integer(rows.into());
            let values = after.unwrap_or_default().iter().chain([&limit]);
            let row = |row: &Row<'_>| (0..table.columns.len()).map(|at| Ok(cell(row.get_ref(at)?))).collect();
            statement.query_map(params_from_iter(values), row)?.collect()
        };
        read().map_err(|error| self.failed(error))
    }

    fn load(&self, table: &Table, rows: Vec<Vec<Cell>>) -> Result<(), Trouble> {
        let marks = vec!["?"; table.columns.len()].join(", ");
        let sql = format!("INSERT OR REPLACE INTO {} ({}) VALUES ({marks})", table.name, table.names());
        self.commit(|db| {
            let mut statement = db.prepare_cached(&sql)?;
            rows.iter().try_for_each(|row| statement.execute(params_from_iter(row)).map(drop))
        })
    }

    fn meta(&self, key: &str) -> Result<Option<String>, Trouble> {
        let read = self.db.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0));
        read.optional().map_err(|error| self.failed(error))
    }

    fn set_meta(&self, key: &str, value: Option<&str>) -> Result<(), Trouble> {
        self.commit(|db| {
            match value {
                Some(value) => db.execute("INSERT OR REPLACE INTO meta VALUES (?1, ?2)", [key, value]),
                None => db.execute("DELETE FROM meta WHERE key = ?1", [key]),
            }
            .map(drop)
        })
    }

    /// Folds SQLite's log into the file, so that a stopped centre is one file.
    fn close(&self) {
        if let Err(error) = self.db.pragma_update(None, "wal_checkpoint", "TRUNCATE") {
            tracing::debug!("failed to fold the log of {}: {error}", self.name);
        }
    }
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
        transaction.execute("INSERT INTO meta VALUES ('format', ?1)", [journal::FORMAT.to_string()]).map_err(failed)?;
        return transaction.commit().map_err(failed);
    }
    let format: String =
        db.query_row("SELECT value FROM meta WHERE key = 'format'", [], |row| row.get(0)).map_err(failed)?;
    journal::check_format(&path.display().to_string(), &format)
}

fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Null | ValueRef::Real(_) => Cell::Null, // no column is of real numbers
        ValueRef::Integer(number) => Cell::Integer(number),
        ValueRef::Text(text) => Cell::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Cell::Bytes(bytes.to_vec()),
    }
}

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Cell::Null => ValueRef::Null,
            Cell::Integer(number) => ValueRef::Integer(*number),
            Cell::Text(text) => ValueRef::Text(text.as_bytes()),
            Cell::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}
