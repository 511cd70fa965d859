//! `madang store`: moving a centre between its data folder and PostgreSQL, without a server.
use super::Context;
use super::up::split;
use crate::fail::Fail;
use madang_server::store::copy::{End, copy};
use serde::Serialize;

/// What may be done with a store.
#[derive(Debug, clap::Subcommand)]
pub enum Store {
    /// Copy a centre, stopped, from one store into another that is empty; again goes on where it was interrupted
    Copy {
        /// Data folder, or postgres://USER@HOST/DATABASE
        from: String,
        /// The same of where it goes
        to: String,
    },
}

#[derive(Serialize)]
struct Done {
    entries: u64,
    rows: u64,
    passes: u64,
}

/// Does it.
pub fn store(context: &Context, command: Store) -> Result<u8, Fail> {
    let Store::Copy { from, to } = command;
    let done = || copy(&End::parse(&from)?, &End::parse(&to)?);
    let copied = done().map_err(|trouble| split(&trouble.to_string()))?;
    let done = Done { entries: copied.entries, rows: copied.rows, passes: copied.passes };
    context.show(&done, |done| {
        format!(
            "copied {} entries of the journal, {} rows beside it, {} tokens and sessions\n",
            done.entries, done.rows, done.passes
        )
    })
}
