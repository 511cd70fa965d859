//! Tokens and sessions in the database, so that they are good at whichever server answers.

use super::lease::Lease;
use super::link::{Address, Link, Values};
use super::rows::{ALONE, FENCE};
use crate::store::rows::{PassRow, PassRows};
use crate::trouble::Trouble;
use std::sync::Arc;

/// The passes of a database.
pub struct Passes {
    link: Link,
    lease: Arc<Lease>,
}

impl Passes {
    /// The passes of a database whose tables are made.
    pub fn new(address: &Address, lease: &Arc<Lease>) -> Passes {
        Passes { link: Link::new(address), lease: Arc::clone(lease) }
    }

    /// Does something if the lease is held; it may be done twice.
    fn write(&self, change: &str, values: Values<'_>) -> Result<(), Trouble> {
        let sql = format!("{FENCE}, change AS ({change}){ALONE}");
        let epoch = self.lease.epoch();
        let values = [&[&epoch as &(dyn ::postgres::types::ToSql + Sync)], values].concat();
        let done = self.link.read("write", |session| session.maybe(&sql, &values))?;
        done.map(drop).ok_or_else(|| self.lease.taken_over())
    }
}

impl PassRows for Passes {
    fn all(&self) -> Result<Vec<PassRow>, Trouble> {
        let sql = "SELECT id, kind, hash, \"user\", note, made_ms, until_ms FROM passes";
        let rows = self.link.read("read", |session| session.query(sql, &[]))?;
        let pass = |row: &::postgres::Row| {
            let number = |at: usize| row.get::<_, i64>(at).cast_unsigned();
            let hash = row.get::<_, Vec<u8>>(2).try_into().ok()?;
            let (user, note) = (row.get(3), row.get(4));
            Some(PassRow { id: number(0), kind: row.get(1), hash, user, note, made_ms: number(5), until_ms: number(6) })
        };
        Ok(rows.iter().filter_map(pass).collect())
    }

    fn insert(&self, row: &PassRow) -> Result<(), Trouble> {
        let hash = row.hash.as_slice();
        let (id, made, until) = (row.id.cast_signed(), row.made_ms.cast_signed(), row.until_ms.cast_signed());
        self.write(
            "INSERT INTO passes SELECT $2::bigint, $3::bigint, $4::bytea, $5::text, $6::text, $7::bigint, $8::bigint \
             FROM fence ON CONFLICT (hash) DO NOTHING",
            &[&id, &row.kind, &hash, &row.user, &row.note, &made, &until],
        )
    }

    fn delete(&self, id: u64) -> Result<(), Trouble> {
        let sql = "DELETE FROM passes WHERE id = $2 AND EXISTS (SELECT 1 FROM fence)";
        self.write(sql, &[&id.cast_signed()])
    }

    fn delete_ended(&self, now_ms: u64) -> Result<(), Trouble> {
        let sql = "DELETE FROM passes WHERE until_ms <= $2 AND EXISTS (SELECT 1 FROM fence)";
        self.write(sql, &[&now_ms.cast_signed()])
    }
}
