//! Keeps a nursery alive: starts it, hands it runs, starts another when it dies.
use crate::nursery::READY;
use crate::wire::{self, Hello};
use madang_model::Span;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What a nursery is started with.
#[derive(Debug)]
pub(crate) struct Keeper {
    pub helper: PathBuf,
    hello: Hello,
    patience: Span,
    nursery: Option<Nursery>,
}

#[derive(Debug)]
struct Nursery {
    child: Child,
    socket: OwnedFd,
}

impl Keeper {
    /// No nursery is started yet. One may wait that long for the folder's lock.
    pub fn new(helper: PathBuf, hello: Hello, patience: Span) -> Keeper {
        Keeper { helper, hello, patience, nursery: None }
    }

    /// Starts a nursery if none is there. `WouldBlock` means that another engine holds the folder.
    pub fn ensure(&mut self) -> io::Result<()> {
        if self.nursery.is_none() {
            self.nursery = Some(Nursery::start(&self.helper, &self.hello, self.patience)?);
        }
        Ok(())
    }

    /// Hands over a run's name, the shepherd's end of its stream and the order.
    pub fn hand_over(&mut self, name: &str, stream: &UnixStream, order: &File) -> io::Result<()> {
        let carried = [stream.as_fd(), order.as_fd()];
        self.ensure()?;
        let nursery = self.nursery.as_ref().expect("ensured above");
        if wire::send(&nursery.socket, name.as_bytes(), &carried).is_ok() {
            return Ok(());
        }
        // It died. What it had not forked yet is found by the ends of those streams.
        self.nursery = None;
        self.ensure()?;
        let nursery = self.nursery.as_ref().expect("ensured above");
        Ok(wire::send(&nursery.socket, name.as_bytes(), &carried)?)
    }

    /// Process id of the nursery.
    pub fn pid(&self) -> Option<u32> {
        self.nursery.as_ref().map(|nursery| nursery.child.id())
    }
}

impl Nursery {
    fn start(helper: &Path, hello: &Hello, patience: Span) -> io::Result<Nursery> {
        let (socket, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
        let log = File::options().create(true).append(true).open(hello.dir.join("shepherds.log"))?;
        let child = Command::new(helper)
            .arg("nursery")
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(log)
            .current_dir("/")
            .spawn()?;
        let nursery = Nursery { child, socket };
        wire::send(&nursery.socket, &serde_json::to_vec(hello)?, &[])?;
        let mut ready = [PollFd::new(nursery.socket.as_fd(), PollFlags::POLLIN)];
        if poll(&mut ready, PollTimeout::from(u16::try_from(patience.millis()).unwrap_or(u16::MAX)))? == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let (answer, _) = wire::receive(&nursery.socket)?;
        if answer != READY {
            return Err(io::Error::other("the nursery ended at once; shepherds.log may say why"));
        }
        Ok(nursery)
    }
}

impl Drop for Nursery {
    /// The nursery ends when its socket does. One that hangs, waiting for a lock, is killed: it has forked nothing.
    fn drop(&mut self) {
        nix::sys::socket::shutdown(std::os::fd::AsRawFd::as_raw_fd(&self.socket), nix::sys::socket::Shutdown::Both)
            .ok();
        let until = Instant::now() + Duration::from_secs(1);
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(2));
        }
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
