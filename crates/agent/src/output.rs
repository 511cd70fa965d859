//! Reading a piece of what a job wrote, on the machine where it lies.
use crate::identity::{hex, unhex};
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

/// A piece of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Piece {
    /// Where it begins.
    pub start: u64,
    /// What is there.
    pub bytes: Vec<u8>,
    /// How long the file is.
    pub length: u64,
}

/// The same as it crosses the link.
#[derive(Debug, Serialize, Deserialize)]
pub struct Sent {
    /// The question that it answers.
    pub ask: u64,
    start: u64,
    bytes: String,
    length: u64,
}

/// Reads a piece of a regular file; what cannot be read is an empty piece, for the job may not have written yet.
pub fn read(path: &str, offset: u64, limit: u64) -> Piece {
    let read = || -> io::Result<Piece> {
        // Not to wait on a pipe that a job names as its output.
        let flags = nix::libc::O_NONBLOCK | nix::libc::O_NOCTTY;
        let mut file = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path)?;
        let about = file.metadata()?;
        if !about.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        let start = offset.min(about.len());
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.take(limit).read_to_end(&mut bytes)?;
        Ok(Piece { start, bytes, length: about.len() })
    };
    read().unwrap_or(Piece { start: offset, bytes: Vec::new(), length: offset })
}

impl Piece {
    /// Ready to cross the link, as the answer to this question.
    pub fn send(&self, ask: u64) -> Sent {
        Sent { ask, start: self.start, bytes: hex(&self.bytes), length: self.length }
    }
}

impl Sent {
    /// What crossed the link; nothing at all if it is damaged.
    pub fn piece(&self) -> Option<Piece> {
        Some(Piece { start: self.start, bytes: unhex(&self.bytes)?, length: self.length })
    }
}
