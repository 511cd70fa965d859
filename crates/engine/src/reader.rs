//! The reader thread: waits on all shepherds at once, turns their notices and their ends into reports.
use crate::local::{Inner, State, WAKE};
use crate::procfs::Identity;
use crate::record::{self, EndRecord};
use crate::strays;
use crate::sys;
use crate::wire::{Look, Notice};
use madang_model::RunId;
use nix::libc;
use nix::sys::epoll::{EpollEvent, EpollTimeout};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// How often a run that found no shepherd is handed over again.
const TRIES: u32 = 4;

/// How long a living shepherd may take to let a new server in, on a machine that hardly moves.
const PATIENCE: Duration = Duration::from_secs(30);

/// Reads until told to end.
pub(crate) fn read(inner: &Inner, _wake: UnixStream) {
    let mut events = [EpollEvent::empty(); 64];
    loop {
        let count = match inner.epoll.wait(&mut events, EpollTimeout::NONE) {
            Ok(count) => count,
            Err(nix::errno::Errno::EINTR) => 0,
            Err(_) => return,
        };
        for event in &events[..count] {
            if event.data() == WAKE {
                return;
            }
            let closed = look(&mut inner.state(), event.data());
            if let Some(run) = closed {
                resolve(inner, run);
            }
        }
    }
}

/// Takes in what a shepherd says; gives the run back when its stream ended without the end having been told.
fn look(state: &mut State, token: u64) -> Option<RunId> {
    let run = *state.by_token.get(&token)?;
    loop {
        let link = state.runs.get_mut(&run)?.link.as_mut()?;
        match link.lines.next(&link.stream) {
            Look::Message(Notice::Started(at)) => state.begin(run, at),
            Look::Message(Notice::Ended(record)) => {
                state.settle(run, record);
                return None;
            }
            Look::Nothing => return None,
            Look::Closed => {
                state.unlink(run);
                return Some(run);
            }
        }
    }
}

/// What became of a run to whose shepherd there is no stream.
fn resolve(inner: &Inner, run: RunId) {
    let files = inner.files(run);
    let Some(record) = files.read() else { return again(inner, run) };
    if let Some(ended) = record.ended {
        return inner.state().settle(run, ended);
    }
    if let Some(claim) = &record.claim
        && find(inner, run, &claim.shepherd)
    {
        return;
    }
    // Read once more: a shepherd that was ending when it was looked for has written its last line by now.
    let record = files.read().unwrap_or_default();
    let ended = record.ended.clone().unwrap_or_else(|| {
        let ended = strays::bury(&record, &inner.mark(run));
        // On a full disk the same is found out again by the next server.
        files.append_end(&ended).ok();
        ended
    });
    inner.state().settle(run, ended);
}

/// Finds the way to a living shepherd; false when it is dead. One that lives but lets nobody in is killed: what it
/// cannot be told it cannot do.
fn find(inner: &Inner, run: RunId, shepherd: &Identity) -> bool {
    let until = Instant::now() + PATIENCE;
    while shepherd.lives() {
        if let Ok(stream) = connect(inner, run)
            && inner.watch(&mut inner.state(), run, stream).is_ok()
        {
            return true;
        }
        if Instant::now() > until {
            sys::kill(shepherd.pid, libc::SIGKILL).ok();
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    false
}

/// No shepherd ever claimed this run, and none can any more, as its stream has ended: handing it over again is safe.
fn again(inner: &Inner, run: RunId) {
    let mut state = inner.state();
    let tries = state.runs.get(&run).map_or(0, |known| known.tries);
    let full = || io::Error::other("no shepherd came to be; shepherds.log may say why");
    let sent = if tries < TRIES { inner.hand_over(&mut state, run) } else { Err(full()) };
    if let Err(error) = sent {
        state.settle(run, EndRecord::never_began(format!("this machine could not start it: {error}")));
    }
}

/// Takes up what a former server left. The nursery holds the folder's lock, so nothing is being started: what has no
/// record never began and now cannot, and whoever asks for it hears that it is unknown.
pub(crate) fn adopt(inner: &Inner) -> io::Result<()> {
    let (runs, spares) = record::scan(&inner.runs_dir)?;
    inner.state().spares.keep(spares);
    for run in runs {
        let Some(record) = inner.files(run).read() else { continue };
        if record.ended.is_none() {
            let mut state = inner.state();
            state.runs.entry(run).or_default().spare = record.claim.as_ref().map(|claim| claim.spare);
            if let Some(claim) = record.claim {
                state.spares.reserve(claim.spare);
                state.cpus.keep(run, claim.cpus);
            }
            if let Some(started) = record.started {
                state.begin(run, started.at);
            }
        }
        resolve(inner, run);
    }
    Ok(())
}

/// Connects to a shepherd. The way through the folder's descriptor keeps the name short enough for a socket.
fn connect(inner: &Inner, run: RunId) -> io::Result<UnixStream> {
    let folder = File::options().read(true).custom_flags(libc::O_PATH | libc::O_DIRECTORY).open(&inner.runs_dir)?;
    UnixStream::connect(format!("/proc/self/fd/{}/{}", folder.as_raw_fd(), inner.files(run).socket_name()))
}
