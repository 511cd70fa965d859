//! What a store of a centre can do, whatever keeps it: SQLite in the data folder, or PostgreSQL.
//!
//! Four small parts, because they are used from different threads: [`Rows`] is the core's, [`Tables`] is for whoever
//! reads what is over, [`Shelf`] holds snapshots, [`PassRows`] holds tokens and sessions.
//!
//! Invariants: each writing call is durable, whole or not done at all when it returns; in a store that several servers
//! share, each one is refused once another server has taken over.

use super::{Blob, Head, Kept};
use crate::trouble::Trouble;

/// A row of the journal as it was read, not yet checked; or how it could not be read.
pub type Raw = Result<(Head, String), String>;

/// A row of the journal to be written: the head it makes and its body.
pub struct NewRow<'a> {
    /// The head after it.
    pub head: Head,
    /// What the step was given, as JSON.
    pub body: &'a str,
    /// Launches that it names.
    pub blobs: &'a [Blob],
}

/// The writer of the journal and of what is kept beside it.
pub trait Rows: Send {
    /// What the store is called in messages.
    fn name(&self) -> &str;
    /// The last row's head.
    fn last(&self) -> Result<Head, Trouble>;
    /// The head that a row says it makes.
    fn head_at(&self, seq: u64) -> Result<Option<Head>, Trouble>;
    /// At most so many rows after this one, ascending.
    fn page(&self, after: u64, rows: u32) -> Result<Vec<Raw>, Trouble>;
    /// Writes a row and what is kept with it.
    fn append(&self, row: &NewRow<'_>, keeps: &[Kept]) -> Result<(), Trouble>;
    /// Writes what is kept, without a row.
    fn keep(&self, keeps: &[Kept]) -> Result<(), Trouble>;
    /// The bytes of a launch.
    fn blob(&self, name: &str) -> Result<Option<Vec<u8>>, Trouble>;
    /// At most so many rows of a table after the row of this key (none: from the first), ascending by key.
    fn dump(&self, table: &Table, after: Option<&[Cell]>, rows: u32) -> Result<Vec<Vec<Cell>>, Trouble>;
    /// Writes rows of a table, in place of those of the same key.
    fn load(&self, table: &Table, rows: Vec<Vec<Cell>>) -> Result<(), Trouble>;
    /// What is said of the store itself under this key.
    fn meta(&self, key: &str) -> Result<Option<String>, Trouble>;
    /// Says something of the store itself; nothing at all for `None`.
    fn set_meta(&self, key: &str, value: Option<&str>) -> Result<(), Trouble>;
    /// Fails when another server has taken over.
    fn check(&self) -> Result<(), Trouble> {
        Ok(())
    }
    /// Nothing is written from now on: leaves the store as the next server likes to find it.
    fn close(&self);
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Whole numbers.
    Integers,
    /// Texts.
    Texts,
    /// Bytes.
    Bytes,
}

/// A table that both stores have, with the same columns in the same order.
#[derive(Debug)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// Its columns, those of the key first.
    pub columns: &'static [(&'static str, Kind)],
    /// How many columns the key has.
    pub keys: usize,
}

impl Table {
    /// The names of its columns, quoted, for one of them is a word of SQL.
    pub fn names(&self) -> String {
        quoted(self.columns)
    }

    /// The question of [`Rows::dump`] as SQL with a `?` for each value.
    pub fn page(&self, is_first: bool) -> String {
        let (names, keys) = (self.names(), quoted(&self.columns[..self.keys]));
        let marks = vec!["?"; self.keys].join(", ");
        let after = if is_first { String::new() } else { format!("WHERE ({keys}) > ({marks}) ") };
        format!("SELECT {names} FROM {} {after}ORDER BY {keys} LIMIT ?", self.name)
    }
}

fn quoted(columns: &[(&str, Kind)]) -> String {
    columns.iter().map(|(name, _)| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
}

/// What is in one column of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// Nothing.
    Null,
    /// A whole number.
    Integer(i64),
    /// A text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// A value in a question to [`Tables`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A whole number.
    Integer(i64),
    /// A text.
    Text(String),
}

impl From<u64> for Value {
    fn from(number: u64) -> Value {
        Value::Integer(number.cast_signed())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}

/// Reading what is over. Questions are SQL that both stores understand, with a `?` for each value.
pub trait Tables: Send + Sync {
    /// What the store is called in messages.
    fn name(&self) -> &str;
    /// The first column of each row, a text.
    fn texts(&self, sql: &str, values: &[Value]) -> Result<Vec<String>, Trouble>;
    /// The first two columns of each row, whole numbers.
    fn pairs(&self, sql: &str, values: &[Value]) -> Result<Vec<(i64, i64)>, Trouble>;
    /// The bytes of a launch.
    fn blob(&self, name: &str) -> Result<Option<Vec<u8>>, Trouble>;
    /// At most so many rows of the journal after this one, ascending.
    fn page(&self, after: u64, rows: u32) -> Result<Vec<Raw>, Trouble>;
}

/// A snapshot that a shelf holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// What it is called in messages.
    pub name: String,
    /// The entry that its name says it was made at.
    pub seq: Option<u64>,
}

/// Snapshots as bytes.
pub trait Shelf: Send + Sync {
    /// Writes one made at this row, whole or not at all, from its pieces.
    fn write(&self, seq: u64, pieces: &[&[u8]]) -> Result<(), Trouble>;
    /// All of them, newest first.
    fn list(&self) -> Result<Vec<Slot>, Trouble>;
    /// The bytes of one, or why it cannot be read.
    fn read(&self, slot: &Slot) -> Result<Result<Vec<u8>, String>, Trouble>;
    /// Removes one.
    fn remove(&self, slot: &Slot) -> Result<(), Trouble>;
}

/// A token, session or code as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassRow {
    /// Its public number.
    pub id: u64,
    /// Its kind, by number.
    pub kind: i64,
    /// SHA-256 of its secret.
    pub hash: [u8; 32],
    /// Login name of its user.
    pub user: String,
    /// What it is for.
    pub note: String,
    /// Made when, in milliseconds.
    pub made_ms: u64,
    /// Good until, in milliseconds.
    pub until_ms: u64,
}

/// Tokens, sessions and codes.
pub trait PassRows: Send {
    /// All of them.
    fn all(&self) -> Result<Vec<PassRow>, Trouble>;
    /// Adds one.
    fn insert(&self, row: &PassRow) -> Result<(), Trouble>;
    /// Removes one.
    fn delete(&self, id: u64) -> Result<(), Trouble>;
    /// Removes those that are not good after this moment.
    fn delete_ended(&self, now_ms: u64) -> Result<(), Trouble>;
}
