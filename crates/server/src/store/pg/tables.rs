//! Reading what is over, each reader over a connection of its own.

use super::link::{Address, Link, Session};
use super::rows;
use crate::store::rows::{Raw, Tables, Value};
use crate::trouble::Trouble;
use ::postgres::types::ToSql;
use ::postgres::{Error, Row};
use parking_lot::Mutex;

/// Most connections kept open for the next reader.
const IDLE: usize = 4;

/// Connections for reading.
pub struct Readers {
    address: Address,
    idle: Mutex<Vec<Link>>,
}

impl Readers {
    /// Readers of a database.
    pub fn new(address: &Address) -> Readers {
        Readers { address: address.clone(), idle: Mutex::default() }
    }

    fn with<T>(&self, work: impl FnOnce(&Link) -> Result<T, Trouble>) -> Result<T, Trouble> {
        let idle = self.idle.lock().pop();
        let link = idle.unwrap_or_else(|| Link::new(&self.address));
        let done = work(&link);
        let mut idle = self.idle.lock();
        if idle.len() < IDLE {
            idle.push(link);
        }
        done
    }

    fn rows(&self, sql: &str, values: &[Value]) -> Result<Vec<Row>, Trouble> {
        let sql = numbered(sql);
        let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(as_value).collect();
        let ask = |session: &mut Session| -> Result<Vec<Row>, Error> { session.query(&sql, &values) };
        self.with(|link| link.read("read", ask))
    }
}

impl Tables for Readers {
    fn name(&self) -> &str {
        self.address.name()
    }

    fn texts(&self, sql: &str, values: &[Value]) -> Result<Vec<String>, Trouble> {
        Ok(self.rows(sql, values)?.iter().map(|row| row.get(0)).collect())
    }

    fn pairs(&self, sql: &str, values: &[Value]) -> Result<Vec<(i64, i64)>, Trouble> {
        Ok(self.rows(sql, values)?.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    fn blob(&self, name: &str) -> Result<Option<Vec<u8>>, Trouble> {
        self.with(|link| rows::blob(link, name))
    }

    fn page(&self, after: u64, rows: u32) -> Result<Vec<Raw>, Trouble> {
        self.with(|link| rows::page(link, after, rows))
    }
}

fn as_value(value: &Value) -> &(dyn ToSql + Sync) {
    match value {
        Value::Integer(number) => number,
        Value::Text(text) => text,
    }
}

/// `?` for each value becomes `$1`, `$2` and so on, which is how PostgreSQL wants them; no question holds a quoted `?`.
pub(super) fn numbered(sql: &str) -> String {
    let mut pieces = sql.split('?');
    let mut numbered = pieces.next().unwrap_or_default().to_owned();
    for (at, piece) in pieces.enumerate() {
        numbered.push_str(&format!("${}{piece}", at + 1));
    }
    numbered
}
