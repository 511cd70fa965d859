//! Snapshots: the centre's state at a row of the journal, the newest two kept.
//!
//! The first line is a header with the hash of the journal's row and of the body; one that fits neither is passed over
//! for the one before, and at worst for a replay from the beginning. Where the bytes are is a [`Shelf`]'s matter.

use super::journal::{Head, Journal, hex};
use super::rows::{Shelf, Slot};
use crate::trouble::Trouble;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// How many are kept.
const KEPT: usize = 2;

/// A centre's snapshots.
#[derive(Clone)]
pub struct Snapshots {
    shelf: Arc<dyn Shelf>,
}

#[derive(Serialize, Deserialize)]
struct Header {
    seq: u64,
    head: String,
    body: String,
}

impl Snapshots {
    /// The snapshots of a store.
    pub fn new(shelf: Arc<dyn Shelf>) -> Snapshots {
        Snapshots { shelf }
    }

    /// Where the bytes are.
    pub(super) fn shelf(&self) -> &dyn Shelf {
        &*self.shelf
    }

    /// Writes one, whole or not at all, and drops the oldest.
    pub fn write(&self, head: Head, state: &impl Serialize) -> Result<(), Trouble> {
        let unwritable = |error: serde_json::Error| Trouble::new(format!("failed to write a snapshot: {error}"));
        let body = serde_json::to_vec(state).map_err(unwritable)?;
        let header = Header { seq: head.seq, head: hex(&head.hash), body: hex(&Sha256::digest(&body)) };
        let header = serde_json::to_string(&header).map_err(unwritable)?;
        self.shelf.write(head.seq, &[header.as_bytes(), b"\n", &body])?;
        self.shelf.list()?.iter().skip(KEPT).try_for_each(|old| self.shelf.remove(old))
    }

    /// The newest that fits the journal: its head and the state.
    pub fn newest<S: DeserializeOwned>(&self, journal: &Journal) -> Result<Option<(Head, S)>, Trouble> {
        for slot in self.shelf.list()? {
            match self.read(&slot, journal)? {
                Ok(found) => return Ok(Some(found)),
                Err(why) => tracing::warn!("the snapshot {} is passed over: {why}", slot.name),
            }
        }
        Ok(None)
    }

    /// Every snapshot was made of entries that were durable before it: one ahead of the journal means that entries
    /// were lost, which must not go unnoticed.
    pub fn none_is_ahead(&self, journal: &Journal) -> Result<(), Trouble> {
        let newest = self.shelf.list()?.into_iter().find_map(|slot| slot.seq.map(|seq| (slot, seq)));
        let Some((newest, seq)) = newest else { return Ok(()) };
        let last = journal.head().seq;
        if seq <= last {
            return Ok(());
        }
        let (journal, newest) = (journal.name(), newest.name);
        Err(Trouble::new(format!(
            "the journal {journal} ends at entry {last}, but {newest} was made at entry {seq}: entries are lost"
        ))
        .hint(format!(
            "restore all of it from a backup; or, to go on as things stood at entry {last}, move the snapshots away"
        )))
    }

    fn read<S: DeserializeOwned>(&self, slot: &Slot, journal: &Journal) -> Result<Result<(Head, S), String>, Trouble> {
        let bytes = match self.shelf.read(slot)? {
            Ok(bytes) => bytes,
            Err(why) => return Ok(Err(why)),
        };
        let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else { return Ok(Err("it has no header".into())) };
        let (header, body) = (&bytes[..end], &bytes[end + 1..]);
        let header: Header = match serde_json::from_slice(header) {
            Ok(header) => header,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let head = match journal.head_at(header.seq)? {
            Some(head) if hex(&head.hash) == header.head => head,
            _ => return Ok(Err(format!("the journal has no entry {} of its hash", header.seq))),
        };
        if hex(&Sha256::digest(body)) != header.body {
            return Ok(Err("its body does not fit its hash".into()));
        }
        Ok(serde_json::from_slice(body).map(|state| (head, state)).map_err(|error| error.to_string()))
    }
}
