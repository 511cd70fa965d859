//! Reading what is over. Each reader is a connection of its own, so that a long list never waits for a commit nor
//! holds one up.

use super::{blob, connect, page, sick};
use crate::store::rows::{Raw, Tables, Value};
use crate::trouble::Trouble;
use parking_lot::Mutex;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Row, ToSql, params_from_iter};
use std::path::{Path, PathBuf};

/// Most connections kept open for the next reader.
const IDLE: usize = 8;

/// Connections for reading.
pub struct Readers {
    path: PathBuf,
    name: String,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    /// Readers of a folder's journal.
    pub fn open(folder: &Path) -> Result<Readers, Trouble> {
        let path = folder.join("journal.db");
        let first = connect(&path)?;
        let name = path.display().to_string();
        Ok(Readers { path, name, idle: Mutex::new(vec![first]) })
    }

    fn with<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, Trouble> {
        let idle = self.idle.lock().pop();
        let db = idle.map_or_else(|| connect(&self.path), Ok)?;
        let done = work(&db).map_err(|error| sick("read", &self.path, &error));
        let mut idle = self.idle.lock();
        if idle.len() < IDLE {
            idle.push(db);
        }
        done
    }

    fn rows<T>(
        &self,
        sql: &str,
        values: &[Value],
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, Trouble> {
        self.with(|db| db.prepare_cached(sql)?.query_map(params_from_iter(values), |row| read(row))?.collect())
    }
}

impl Tables for Readers {
    fn name(&self) -> &str {
        &self.name
    }

    fn texts(&self, sql: &str, values: &[Value]) -> Result<Vec<String>, Trouble> {
        self.rows(sql, values, |row| row.get(0))
    }

    fn pairs(&self, sql: &str, values: &[Value]) -> Result<Vec<(i64, i64)>, Trouble> {
        self.rows(sql, values, |row| Ok((row.get(0)?, row.get(1)?)))
    }

    fn blob(&self, name: &str) -> Result<Option<Vec<u8>>, Trouble> {
        self.with(|db| blob(db, name))
    }

    fn page(&self, after: u64, rows: u32) -> Result<Vec<Raw>, Trouble> {
        self.with(|db| page(db, after, rows))
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Integer(number) => ValueRef::Integer(*number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}
