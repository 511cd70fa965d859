//! What is kept of agents in the database, so that whichever server leads can serve them.

use super::lease::Lease;
use super::link::{Address, Link};
use super::rows::FENCE;
use ::postgres::Row;
use ::postgres::types::ToSql;
use madang_agent::{Fault, Keep};
use std::sync::Arc;

/// What a database keeps of agents.
pub struct Agents {
    link: Link,
    lease: Arc<Lease>,
}

impl Agents {
    /// Of a database whose tables are made.
    pub fn new(address: &Address, lease: &Arc<Lease>) -> Agents {
        Agents { link: Link::new(address), lease: Arc::clone(lease) }
    }

    /// Does something if the lease is held, and gives how many rows it changed. It may be done twice, when the answer to
    /// the first try gets lost: then the second finds nothing left to do.
    fn write(&self, change: &str, values: &[&(dyn ToSql + Sync)]) -> Result<i64, Fault> {
        let sql =
            format!("{FENCE}, change AS ({change} RETURNING key) SELECT (SELECT count(*) FROM change) FROM fence");
        let epoch = self.lease.epoch();
        let values = [&[&epoch as &(dyn ToSql + Sync)], values].concat();
        let done: Option<Row> =
            self.link.read("write", |session| session.maybe(&sql, &values)).map_err(|error| fault(&error))?;
        done.map(|row| row.get(0)).ok_or_else(|| fault(&self.lease.taken_over()))
    }
}

fn fault(trouble: &crate::trouble::Trouble) -> Fault {
    Fault::new("internal", trouble.to_string())
}

impl Keep for Agents {
    fn all(&self) -> Result<Vec<(String, String)>, Fault> {
        let rows = self.link.read("read", |session| session.query("SELECT key, value FROM agents", &[]));
        Ok(rows.map_err(|error| fault(&error))?.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    fn put(&self, key: &str, text: &str) -> Result<(), Fault> {
        let change = "INSERT INTO agents SELECT $2::text, $3::text FROM fence \
            ON CONFLICT (key) DO UPDATE SET value = excluded.value";
        self.write(change, &[&key, &text]).map(drop)
    }

    fn take(&self, key: &str) -> Result<bool, Fault> {
        let change = "DELETE FROM agents WHERE key = $2::text AND EXISTS (SELECT 1 FROM fence)";
        Ok(self.write(change, &[&key])? > 0)
    }
}
