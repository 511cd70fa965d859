//! Reading what is over, each reader over a connection of its own.

use super::link::{Address, Link, Session};
use super::rows;
use crate::store::rows::{Raw, Tables, Value};
use crate::trouble::Trouble;
use ::postgres::types::ToSql;
use ::postgres::{Error, Row};
use parking_lot::{Condvar, Mutex};

/// Connections for reading; who comes when all are busy waits, for the database has room for so many only.
const READERS: usize = 6;

/// Connections for reading.
pub struct Readers {
    address: Address,
    idle: Mutex<Vec<Link>>,
    bell: Condvar,
}

impl Readers {
    /// Readers of a database.
    pub fn new(address: &Address) -> Readers {
        let idle = (0..READERS).map(|_| Link::new(address)).collect();
        Readers { address: address.clone(), idle: Mutex::new(idle), bell: Condvar::new() }
    }

    fn with<T>(&self, work: impl FnOnce(&Link) -> Result<T, Trouble>) -> Result<T, Trouble> {
        let mut idle = self.idle.lock();
        let link = loop {
            match idle.pop() {
                Some(link) => break link,
                None => self.bell.wait(&mut idle),
            }
        };
        drop(idle);
        let lent = Lent { to: self, link: Some(link) };
        work(lent.link.as_ref().expect("it is taken when it goes back, not before"))
    }

    fn rows(&self, sql: &str, values: &[Value]) -> Result<Vec<Row>, Trouble> {
        let sql = numbered(sql);
        let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(as_value).collect();
        let ask = |session: &mut Session| -> Result<Vec<Row>, Error> { session.query(&sql, &values) };
        self.with(|link| link.read("read", ask))
    }
}

/// A connection that goes back when its user is done, in whatever way.
struct Lent<'a> {
    to: &'a Readers,
    link: Option<Link>,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.to.idle.lock().extend(self.link.take());
        self.to.bell.notify_one();
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
