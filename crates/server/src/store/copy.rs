//! Moving a centre from one store to another: all of it, checked on the way, and again after an interruption.
//!
//! Invariants: neither store is written by a server meanwhile; what is not copied whole is not opened by a server; the
//! journal that arrives ends in the hash that the one copied ends in.

use super::rows::{Kind, Slot, Table};
use super::{Folder, Journal, Place, Store};
use crate::trouble::Trouble;
use std::path::{Path, PathBuf};

/// What marks a store that a copy is on its way into.
const MARK: &str = "copying";
/// Rows read and written at a time.
const AT_A_TIME: u32 = 256;
/// The same of launches, of which one may have four million bytes.
const BLOBS_AT_A_TIME: u32 = 16;

use Kind::{Bytes, Integers, Texts};

/// All tables, the journal last.
const TABLES: [Table; 7] = [
    Table { name: "blobs", columns: &[("name", Texts), ("body", Bytes)], keys: 1 },
    Table {
        name: "jobs",
        columns: &[
            ("id", Integers),
            ("user", Texts),
            ("project", Texts),
            ("array_id", Integers),
            ("task", Integers),
            ("submitted_ms", Integers),
            ("ended_ms", Integers),
            ("body", Texts),
        ],
        keys: 1,
    },
    Table {
        name: "notes",
        columns: &[
            ("job", Integers),
            ("attempt", Integers),
            ("note", Texts),
            ("peak_mib", Integers),
            ("cpu_ms", Integers),
        ],
        keys: 2,
    },
    Table {
        name: "ledger",
        columns: &[("id", Integers), ("project", Texts), ("at_ms", Integers), ("body", Texts)],
        keys: 1,
    },
    Table { name: "burn", columns: &[("project", Texts), ("day_ms", Integers), ("spent", Integers)], keys: 2 },
    Table {
        name: "anomalies",
        columns: &[("seq", Integers), ("nth", Integers), ("at_ms", Integers), ("body", Texts)],
        keys: 2,
    },
    Table {
        name: "journal",
        columns: &[("seq", Integers), ("at_ms", Integers), ("inputs", Integers), ("body", Texts), ("hash", Bytes)],
        keys: 1,
    },
];

/// One end of a copy: a data folder, or a database.
#[derive(Clone)]
pub struct End {
    text: String,
    place: Place,
}

impl End {
    /// Reads what a person wrote: `postgres://…`, or the path of a data folder.
    pub fn parse(text: &str) -> Result<End, Trouble> {
        let place = if text.contains("://") { Place::parse(text)? } else { Place::Folder(None) };
        Ok(End { text: text.to_owned(), place })
    }

    /// Opens it and keeps servers out while it is held.
    fn open(&self) -> Result<(Store, Option<Folder>), Trouble> {
        match &self.place {
            Place::Folder(most_pages) => {
                let folder = Folder::take(Path::new(&self.text))?;
                Ok((Store::in_folder(folder.path(), *most_pages)?, Some(folder)))
            }
            Place::Postgres(address) => {
                let identity = format!("madang store copy, process {}", std::process::id());
                let store = Store::in_postgres(address, &identity, "a copy that is being made")?;
                if store.try_lead()? {
                    return Ok((store, None));
                }
                let active = store.lease.as_ref().map(|lease| lease.active()).transpose()?.unwrap_or_default();
                Err(Trouble::new(format!("the centre in {} is led by {active}", address.name()))
                    .hint("stop it and those that stand by first"))
            }
        }
    }

    fn is_missing(&self) -> bool {
        matches!(self.place, Place::Folder(_)) && !PathBuf::from(&self.text).join("journal.db").is_file()
    }
}

/// What was copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Entries of the journal.
    pub entries: u64,
    /// Rows of all other tables.
    pub rows: u64,
    /// Tokens, sessions and codes.
    pub passes: u64,
}

/// Copies a centre. A copy that was interrupted goes on when it is asked for again.
pub fn copy(from: &End, to: &End) -> Result<Copied, Trouble> {
    if from.is_missing() {
        return Err(Trouble::new(format!("{} is no data folder: it has no journal.db", from.text))
            .hint("name the folder that was given to madang up with --data, or postgres://USER@HOST/DATABASE"));
    }
    let (source, _source_folder) = from.open()?;
    none_is_half_done(&source.journal)?;
    if source.journal.head().seq == 0 {
        return Err(Trouble::new(format!("{} holds no centre", source.journal.name())));
    }
    let (mut target, _target_folder) = to.open()?;
    fits(&source.journal, &target.journal)?;
    target.journal.rows().set_meta(MARK, Some(source.journal.name()))?;
    let mut rows = 0;
    for table in &TABLES {
        rows += copy_table(&source.journal, &target.journal, table)?;
    }
    let passes = copy_passes(&source, &target)?;
    source.agents.copy_to(&target.agents).map_err(super::trouble)?;
    let head = target.journal.refresh()?;
    target.journal.verify_last(u64::MAX)?;
    if head != source.journal.head() {
        return Err(Trouble::new(format!("the journal {} did not arrive whole", source.journal.name())));
    }
    copy_snapshots(&source, &target)?;
    target.journal.rows().set_meta(MARK, None)?;
    target.journal.close();
    source.journal.close();
    Ok(Copied { entries: head.seq, rows: rows - head.seq, passes })
}

/// Refuses a store that a copy was on its way into and did not finish.
pub(super) fn none_is_half_done(journal: &Journal) -> Result<(), Trouble> {
    match journal.rows().meta(MARK)? {
        None => Ok(()),
        Some(from) => Err(Trouble::new(format!("the copy of {from} into {} was not finished", journal.name()))
            .hint("make it again with: madang store copy FROM TO")),
    }
}

/// A target is empty, or holds the beginning of what is copied.
fn fits(source: &Journal, target: &Journal) -> Result<(), Trouble> {
    let head = target.head();
    if head.seq == 0 || source.head_at(head.seq)? == Some(head) {
        return Ok(());
    }
    Err(Trouble::new(format!("{} holds another centre already, of {} entries", target.name(), head.seq))
        .hint("name an empty folder or database"))
}

fn copy_table(source: &Journal, target: &Journal, table: &Table) -> Result<u64, Trouble> {
    let at_a_time = if table.name == "blobs" { BLOBS_AT_A_TIME } else { AT_A_TIME };
    let (mut after, mut count) = (None, 0);
    loop {
        let rows = source.rows().dump(table, after.as_deref(), at_a_time)?;
        let Some(last) = rows.last() else { return Ok(count) };
        after = Some(last[..table.keys].to_vec());
        count += rows.len() as u64;
        target.rows().load(table, rows)?;
    }
}

fn copy_passes(source: &Store, target: &Store) -> Result<u64, Trouble> {
    source.passes.copy_to(&target.passes)
}

fn copy_snapshots(source: &Store, target: &Store) -> Result<(), Trouble> {
    // Oldest first, so that one that is written is never ahead of its elder.
    for slot in source.snapshots.shelf().list()?.iter().rev() {
        let Slot { seq: Some(seq), .. } = slot else { continue };
        match source.snapshots.shelf().read(slot)? {
            Ok(bytes) => target.snapshots.shelf().write(*seq, &[&bytes])?,
            Err(why) => tracing::warn!("the snapshot {} is passed over: {why}", slot.name),
        }
    }
    Ok(())
}
