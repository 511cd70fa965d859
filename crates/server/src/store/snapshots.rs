//! Snapshots: the centre's state at a row of the journal, one file each, the newest two kept.
//!
//! Files rather than rows: a hundred megabytes written through the journal's one writer would hold up every commit.
//! The first line is a header with the hash of the journal's row and of the body; a file that fits neither is passed
//! over for the one before, and at worst for a replay from the beginning.

use super::folder::unusable;
use super::journal::{Head, Journal, hex};
use crate::trouble::Trouble;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// How many are kept.
const KEPT: usize = 2;

/// The folder of snapshots.
#[derive(Clone, Debug)]
pub struct Snapshots {
    folder: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Header {
    seq: u64,
    head: String,
    body: String,
}

impl Snapshots {
    /// The snapshots of a data folder.
    pub fn open(data: &Path) -> Result<Snapshots, Trouble> {
        let folder = data.join("snapshots");
        match DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(unusable(&folder, &error)),
            _ => Ok(Snapshots { folder }),
        }
    }

    /// Writes one, whole or not at all, and drops the oldest.
    pub fn write(&self, head: Head, state: &impl Serialize) -> Result<(), Trouble> {
        let failed = |error: std::io::Error| unusable(&self.folder, &error);
        let body = serde_json::to_vec(state).map_err(|error| failed(error.into()))?;
        let header = Header { seq: head.seq, head: hex(&head.hash), body: hex(&Sha256::digest(&body)) };
        let header = serde_json::to_string(&header).map_err(|error| failed(error.into()))?;
        let (target, draft) = (self.folder.join(format!("{:020}.json", head.seq)), self.folder.join("draft"));
        let write = || -> std::io::Result<()> {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
            file.write_all(header.as_bytes())?;
            file.write_all(b"\n")?;
            file.write_all(&body)?;
            file.sync_all()?;
            std::fs::rename(&draft, &target)?;
            File::open(&self.folder)?.sync_all()
        };
        write().map_err(failed)?;
        for old in self.list().into_iter().skip(KEPT) {
            std::fs::remove_file(old).map_err(failed)?;
        }
        Ok(())
    }

    /// The newest that fits the journal: its head and the state.
    pub fn newest<S: DeserializeOwned>(&self, journal: &Journal) -> Result<Option<(Head, S)>, Trouble> {
        for path in self.list() {
            match read(&path, journal)? {
                Ok(found) => return Ok(Some(found)),
                Err(why) => tracing::warn!("the snapshot {} is passed over: {why}", path.display()),
            }
        }
        Ok(None)
    }

    /// Every snapshot was made of entries that were on the disk before it: one ahead of the journal means that entries
    /// were lost, which must not go unnoticed.
    pub fn none_is_ahead(&self, journal: &Journal) -> Result<(), Trouble> {
        let Some((newest, seq)) = self.list().into_iter().find_map(|path| seq_of(&path).map(|seq| (path, seq))) else {
            return Ok(());
        };
        let last = journal.head().seq;
        if seq <= last {
            return Ok(());
        }
        let (journal, newest) = (journal.path().display(), newest.display());
        Err(Trouble::new(format!(
            "the journal {journal} ends at entry {last}, but {newest} was made at entry {seq}: entries are lost"
        ))
        .hint(format!(
            "restore the whole folder from a backup; or, to go on as things stood at entry {last}, move the folder's \
                 snapshots away"
        )))
    }

    /// Newest first.
    fn list(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut files: Vec<PathBuf> =
            entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|is| is == "json")).collect();
        files.sort_unstable_by(|a, b| b.cmp(a));
        files
    }
}

/// The entry that a snapshot's name says it was made at.
fn seq_of(path: &Path) -> Option<u64> {
    path.file_stem()?.to_str()?.parse().ok()
}

fn read<S: DeserializeOwned>(path: &Path, journal: &Journal) -> Result<Result<(Head, S), String>, Trouble> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => return Ok(Err(error.to_string())),
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
