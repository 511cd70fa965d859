//! What the engine, the nursery and the shepherds say to each other.
//!
//! Engine and shepherd speak JSON, one line each, over a stream that the engine makes before the start or connects
//! after a restart of its own; the stream's end is the shepherd's end. The nursery gets one message per run, its
//! name, with the shepherd's end of that stream and the order in a file of memory.
use crate::record::EndRecord;
use crate::sys;
use madang_model::{Span, StopCause, Time};
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use serde::{Deserialize, Serialize};
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

/// Engine to shepherd.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// End it: `TERM`, the grace period, `KILL`.
    Stop(StopCause),
    /// Signal the script alone, or its steps.
    Signal {
        /// Signal number.
        signal: i32,
        /// True for the script alone.
        shell: bool,
    },
    /// It may run this long, counted from its start.
    Limit(Span),
    /// A held allocation ended well, or with this exit code.
    Release(i32),
}

/// Shepherd to engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notice {
    /// It began.
    Started(Time),
    /// It is over.
    Ended(EndRecord),
}

/// A line longer than this is no message of ours.
const MAX_LINE: usize = 64 * 1024;

/// Lines that have come in and not been looked at.
#[derive(Debug, Default)]
pub struct Lines {
    bytes: Vec<u8>,
}

/// What one look at a stream brought.
#[derive(Debug, PartialEq, Eq)]
pub enum Look<T> {
    /// A message.
    Message(T),
    /// Nothing yet.
    Nothing,
    /// The other side is gone.
    Closed,
}

impl Lines {
    /// The next message of a stream that does not block. Lines that are no message are passed over.
    pub fn next<T: for<'a> Deserialize<'a>>(&mut self, mut stream: &UnixStream) -> Look<T> {
        loop {
            while let Some(end) = self.bytes.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.bytes.drain(..=end).collect();
                if let Ok(message) = serde_json::from_slice(&line) {
                    return Look::Message(message);
                }
            }
            let mut chunk = [0; 4096];
            match stream.read(&mut chunk) {
                Ok(0) => return Look::Closed,
                Ok(count) if self.bytes.len() + count <= MAX_LINE => self.bytes.extend_from_slice(&chunk[..count]),
                Ok(_) => return Look::Closed,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Look::Nothing,
                Err(_) => return Look::Closed,
            }
        }
    }
}

/// Sends one message whole. The stream does not block: a peer that reads nothing for hundreds of messages is an error.
pub fn say<T: Serialize>(mut stream: &UnixStream, message: &T) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    stream.write_all(&line)
}

/// What the engine tells a new nursery first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hello {
    /// The engine's folder.
    pub dir: std::path::PathBuf,
    /// What is the same for all jobs.
    pub surroundings: crate::environ::Surroundings,
    /// The limit on open files that jobs get, soft.
    pub files: u64,
}

/// Sends one datagram, with the descriptors given.
pub fn send(socket: impl AsFd, bytes: &[u8], carried: &[BorrowedFd<'_>]) -> nix::Result<()> {
    let raw: Vec<RawFd> = carried.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let control = if raw.is_empty() { &[][..] } else { &rights[..] };
    let part = [IoSlice::new(bytes)];
    sendmsg::<()>(socket.as_fd().as_raw_fd(), &part, control, MsgFlags::MSG_NOSIGNAL, None).map(drop)
}

/// Waits for one datagram and at most two descriptors; an empty one means that the other side is gone.
pub fn receive(socket: impl AsFd) -> nix::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let mut bytes = vec![0; MAX_LINE];
    let mut space = nix::cmsg_space!([RawFd; 2]);
    let (length, carried) = {
        let mut part = [IoSliceMut::new(&mut bytes)];
        let message =
            recvmsg::<()>(socket.as_fd().as_raw_fd(), &mut part, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC)?;
        let carried = message.cmsgs()?.find_map(|control| match control {
            ControlMessageOwned::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        });
        (message.bytes, carried.unwrap_or_default().into_iter().map(sys::own).collect())
    };
    bytes.truncate(length);
    Ok((bytes, carried))
}
