//! Tokens and sessions, in a file of their own.

use super::{connect, sick};
use crate::store::rows::{PassRow, PassRows};
use crate::trouble::Trouble;
use rusqlite::{Connection, params};
use std::path::{Path, PathBuf};

/// The file of passes.
pub struct Passes {
    db: Connection,
    path: PathBuf,
}

impl Passes {
    /// Opens the passes of a folder.
    pub fn open(folder: &Path) -> Result<Passes, Trouble> {
        let path = folder.join("access.db");
        let db = connect(&path)?;
        let made = db.execute_batch(
            "CREATE TABLE IF NOT EXISTS passes (id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, hash BLOB NOT NULL UNIQUE,
             user TEXT NOT NULL, note TEXT NOT NULL, made_ms INTEGER NOT NULL, until_ms INTEGER NOT NULL) STRICT",
        );
        made.map_err(|error| sick("open", &path, &error))?;
        Ok(Passes { db, path })
    }

    fn write(&self, sql: &str, values: impl rusqlite::Params) -> Result<(), Trouble> {
        self.db.execute(sql, values).map(drop).map_err(|error| sick("write", &self.path, &error))
    }
}

impl PassRows for Passes {
    fn all(&self) -> Result<Vec<PassRow>, Trouble> {
        let read = || -> rusqlite::Result<Vec<PassRow>> {
            let mut rows = self.db.prepare("SELECT id, kind, hash, user, note, made_ms, until_ms FROM passes")?;
            let rows = rows.query_map([], |row| {
                let number = |index| row.get::<_, i64>(index).map(i64::cast_unsigned);
                Ok(PassRow {
                    id: number(0)?,
                    kind: row.get(1)?,
                    hash: row.get(2)?,
                    user: row.get(3)?,
                    note: row.get(4)?,
                    made_ms: number(5)?,
                    until_ms: number(6)?,
                })
            })?;
            rows.collect()
        };
        read().map_err(|error| sick("open", &self.path, &error))
    }

    fn insert(&self, row: &PassRow) -> Result<(), Trouble> {
        let values = params![
            row.id.cast_signed(),
            row.kind,
            row.hash,
            row.user,
            row.note,
            row.made_ms.cast_signed(),
            row.until_ms.cast_signed()
        ];
        self.write("INSERT INTO passes VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)", values)
    }

    fn delete(&self, id: u64) -> Result<(), Trouble> {
        self.write("DELETE FROM passes WHERE id = ?1", [id.cast_signed()])
    }

    fn delete_ended(&self, now_ms: u64) -> Result<(), Trouble> {
        self.write("DELETE FROM passes WHERE until_ms <= ?1", [now_ms.cast_signed()])
    }
}
