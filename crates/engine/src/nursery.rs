//! The nursery: a small process that forks one shepherd for each run told to it.
//!
//! Forking this process is cheap where forking the server is not, and safe where forking a server with threads is not.
//! It holds a lock on the engine's folder; a new server waits for that lock, and so knows that no start told to an
//! earlier nursery is still under way.
//!
//! Invariants: one thread; it never waits for a shepherd; when the engine is gone it is gone, and shepherds go on.
use crate::shepherd::{self, Told};
use crate::sys::{self, SingleThread};
use crate::wire::{self, Hello};
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{ForkResult, dup2_stdin, setsid};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// What the nursery answers once the folder is its own.
pub(crate) const READY: &[u8] = b"ready";

/// The folder within the engine's that holds the runs' files.
pub(crate) const RUNS: &str = "runs";

/// The whole of `madang nursery`: standard input is a socket to the engine. Call it before any thread is started.
pub fn nursery_main() -> ! {
    match tend() {
        Ok(()) => std::process::exit(0),
        Err(error) => {
            eprintln!("madang nursery: {error}");
            std::process::exit(1);
        }
    }
}

fn tend() -> io::Result<()> {
    let single = SingleThread::prove().ok_or_else(|| io::Error::other("the nursery must have one thread"))?;
    // A session of its own keeps it out of the way of a Ctrl-C meant for the server.
    setsid().ok();
    sys::close_on_exec_from_3();
    let engine = io::stdin().as_fd().try_clone_to_owned()?;
    dup2_stdin(File::open("/dev/null")?.as_fd())?;
    let (hello, _) = wire::receive(&engine)?;
    let hello: Hello = serde_json::from_slice(&hello)?;
    let lock = File::options().create(true).append(true).open(hello.dir.join("nursery.lock"))?;
    lock.lock()?;
    limit_files(hello.files);
    sys::ignore_children();
    wire::send(&engine, READY, &[])?;
    serve(single, engine, lock, &hello)
}

fn serve(single: SingleThread, engine: OwnedFd, lock: File, hello: &Hello) -> io::Result<()> {
    loop {
        let (name, carried) = match wire::receive(&engine) {
            Err(Errno::EINTR) => continue,
            other => other?,
        };
        if name.is_empty() {
            return Ok(());
        }
        let run = String::from_utf8(name).ok().and_then(|name| name.parse().ok());
        let (Some(run), Ok([stream, order])) = (run, <[OwnedFd; 2]>::try_from(carried)) else { continue };
        if let Ok(ForkResult::Child) = fork(single) {
            drop(engine);
            let (engine, order, lock) = (Some(stream.into()), order.into(), Some(lock));
            let told = Told { run, dir: hello.dir.join(RUNS), engine, order, lock };
            shepherd::main(single, told, hello);
        }
        // A fork that failed is told by the stream's end: the engine finds no shepherd and tells the run again.
    }
}

/// Tries for a while when the machine has no room for one more process.
fn fork(single: SingleThread) -> nix::Result<ForkResult> {
    for _ in 0..20 {
        match single.fork() {
            Err(Errno::EAGAIN | Errno::ENOMEM) => std::thread::sleep(Duration::from_millis(50)),
            other => return other,
        }
    }
    single.fork()
}

/// Jobs get the limit that the server was started with, whatever it has raised its own to.
fn limit_files(soft: u64) {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        setrlimit(Resource::RLIMIT_NOFILE, soft.min(hard), hard).ok();
    }
}
