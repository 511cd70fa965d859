//! The shared store: PostgreSQL, for a centre with servers that stand in for each other.
//!
//! All is in the schema `madang` of one database. Every write is one statement that commits by itself and looks at the
//! [lease](Lease) first: it is done whole under the writer's epoch, or not at all. One statement rather than a
//! transaction of several, because a server that is paused amid a transaction would hold its locks and with them keep
//! the next one from taking over; and because it costs one round trip.
//!
//! Invariants: a commit that was reported is on the database's disk (`synchronous_commit` is never `off` here); nothing
//! leans on the servers' clocks, only on the database's.

mod agents;
mod bulk;
mod columns;
mod lease;
mod link;
mod passes;
mod rows;
mod shelf;
mod tables;

pub use agents::Agents;
pub use lease::{LEASE, Lease};
pub use link::Address;
pub use passes::Passes;
pub use rows::Central;
pub use shelf::Pieces;
pub use tables::Readers;

use super::journal;
use crate::trouble::Trouble;
use link::Link;

/// What keeps two servers from making the tables at once.
const MAKING: i64 = 0x6d61_6461_6e67;

/// What is kept of agents.
const AGENTS: &str = "CREATE TABLE IF NOT EXISTS madang.agents (key TEXT PRIMARY KEY, value TEXT NOT NULL)";

/// Makes the tables of a new database; refuses one of a newer format.
pub fn prepare(address: &Address) -> Result<(), Trouble> {
    let link = Link::new(address);
    let (encoding, fsync) = link.read("prepare", |session| {
        let row = session.one("SELECT current_setting('server_encoding'), current_setting('fsync')", &[])?;
        Ok((row.get::<_, String>(0), row.get::<_, String>(1)))
    })?;
    if encoding != "UTF8" {
        return Err(Trouble::new(format!("the database {} is encoded as {encoding}", address.name()))
            .hint("make one with: createdb --encoding UTF8 --template template0 NAME"));
    }
    let format = link.read("prepare", |session| {
        let mut transaction = session.transaction()?;
        transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&MAKING])?;
        let made: bool = transaction.query_one("SELECT to_regclass('madang.meta') IS NOT NULL", &[])?.get(0);
        if !made {
            transaction.batch_execute(include_str!("schema.sql"))?;
            let format = journal::FORMAT.to_string();
            transaction.execute("INSERT INTO madang.meta VALUES ('format', $1)", &[&format])?;
        }
        // Later than the first databases of this format, and apart from what the format is of.
        transaction.batch_execute(AGENTS)?;
        let format: String = transaction.query_one("SELECT value FROM madang.meta WHERE key = 'format'", &[])?.get(0);
        transaction.commit()?;
        Ok(format)
    })?;
    journal::check_format(address.name(), &format)?;
    if fsync != "on" {
        tracing::warn!("{} runs with fsync = {fsync}: a loss of power may take back what was answered", address.name());
    }
    Ok(())
}

/// What is only in this database: the folder whose machine a centre's local site is. The first to ask gets it.
pub fn local_owner(address: &Address, identity: &str) -> Result<String, Trouble> {
    Link::new(address).read("read", |session| {
        let sql = "INSERT INTO meta VALUES ('local_site', $1) ON CONFLICT DO NOTHING";
        session.execute(sql, &[&identity])?;
        Ok(session.one("SELECT value FROM meta WHERE key = 'local_site'", &[])?.get(0))
    })
}
