//! The reader thread: waits on all shepherds at once, turns their notices and their ends into reports.
use crate::local::{Inner, State, WAKE};
use crate::procfs::Identity;
use crate::run_dir::{self, EndRecord, Sealed, StartRecord, now};
use crate::strays;
use crate::wire::{Look, Notice};
use madang_model::{Outcome, RunId, Span};
use nix::libc;
use nix::sys::epoll::{EpollEvent, EpollTimeout};
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// How often a run that found no shepherd is handed over again.
const TRIES: u32 = 4;

/// How long a dying shepherd's stream may end before the shepherd does.
const DYING: Duration = Duration::from_secs(1);

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
    let dir = inner.dir_of(run);
    if let Some(record) = run_dir::read(&dir, run_dir::ENDED) {
        return inner.state().settle(run, record);
    }
    let Some(shepherd) = run_dir::read::<Identity>(&dir, run_dir::SHEPHERD) else {
        return again(inner, run);
    };
    let until = Instant::now() + DYING;
    while shepherd.lives() && Instant::now() < until {
        if let Ok(stream) = connect(&dir) {
            let watched = inner.watch(&mut inner.state(), run, stream);
            if watched.is_ok() {
                return;
            }
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    // A shepherd that lives but listens no more has nothing left to do but to write its record.
    let record = run_dir::read(&dir, run_dir::ENDED).unwrap_or_else(|| {
        let record = strays::bury(&dir);
        run_dir::replace(&dir, run_dir::ENDED, &record).ok();
        record
    });
    inner.state().settle(run, record);
}

/// No shepherd ever claimed this run, and none can any more, as its stream has ended: handing it over again is safe.
fn again(inner: &Inner, run: RunId) {
    let mut state = inner.state();
    let tries = state.runs.get(&run).map_or(0, |known| known.tries);
    let sent = if tries < TRIES { inner.hand_over(&mut state, run) } else { Err(io::Error::other("no room for it")) };
    if let Err(error) = sent {
        let note = format!("this machine could not start it: {error}");
        let record = EndRecord {
            started: None,
            at: now(),
            outcome: Outcome::LaunchFailed,
            exit: 0,
            signal: 0,
            peak_bytes: 0,
            cpu: Span::ZERO,
            note,
        };
        fs::remove_dir_all(inner.dir_of(run)).ok();
        state.settle(run, record);
    }
}

/// Takes up what a former server left. The nursery holds the folder's lock, so nothing is being started.
pub(crate) fn adopt(inner: &Inner) -> io::Result<()> {
    for entry in fs::read_dir(&inner.runs_dir)? {
        let dir = entry?.path();
        let Some(run) = run_dir::run_of(&dir) else { continue };
        if !dir.join(run_dir::SHEPHERD).exists() {
            // It never began and now cannot: whoever asks for it hears that it is unknown.
            fs::remove_dir_all(&dir)?;
            continue;
        }
        adopt_one(inner, run, &dir);
    }
    Ok(())
}

fn adopt_one(inner: &Inner, run: RunId, dir: &Path) {
    if let Some(record) = run_dir::read(dir, run_dir::ENDED) {
        return inner.state().settle(run, record);
    }
    {
        let mut state = inner.state();
        state.runs.entry(run).or_default();
        if let Some(sealed) = run_dir::read::<Sealed>(dir, run_dir::ORDER) {
            state.cpus.keep(run, sealed.cpus);
        }
        if let Some(record) = run_dir::read::<StartRecord>(dir, run_dir::STARTED) {
            state.begin(run, record.at);
        }
    }
    resolve(inner, run);
}

/// Connects to a shepherd. The way through the folder's descriptor keeps the name short enough for a socket.
fn connect(dir: &Path) -> io::Result<UnixStream> {
    let folder = File::options().read(true).custom_flags(libc::O_PATH | libc::O_DIRECTORY).open(dir)?;
    UnixStream::connect(format!("/proc/self/fd/{}/{}", folder.as_raw_fd(), run_dir::SOCKET))
}
