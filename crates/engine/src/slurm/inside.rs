//! What a Slurm job of ours runs: the shepherd, on the first of the run's nodes.
//!
//! It does nothing unless it can claim the run. One that cannot is a double of a job that was submitted twice, and goes;
//! or the very job, started again by a controller that had lost it: then it ends what is left of the first start. When
//! the run has ended by itself it may stay for another one ([`carrier`](crate::slurm::carrier)).
use crate::procfs::Identity;
use crate::record::{Claim, EndRecord, Files, Record};
use crate::shepherd;
use crate::slurm::carrier::Seat;
use crate::slurm::mail::Mailbox;
use crate::slurm::spool::{self, Parcel};
use crate::strays;
use crate::sys::{self, SingleThread};
use madang_model::{Outcome, RunId};
use nix::libc;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The whole of `madang slurm-run SPOOL RUN`. Call it before any thread is started.
pub fn slurm_run_main(words: &[String]) -> ! {
    let told = match words {
        [dir, run] => run.parse().ok().map(|run: RunId| (PathBuf::from(dir), run)),
        _ => None,
    };
    let Some((dir, run)) = told else {
        eprintln!("madang slurm-run: called by the Slurm engine's jobs only: slurm-run FOLDER RUN");
        std::process::exit(2)
    };
    match attend(&dir, run) {
        Ok(code) => std::process::exit(code),
        Err(error) => {
            eprintln!("madang slurm-run: {run}: {error}");
            std::process::exit(1)
        }
    }
}

/// The exit code to give Slurm: the last run's.
fn attend(dir: &Path, first: RunId) -> io::Result<i32> {
    let single = SingleThread::prove().ok_or_else(|| io::Error::other("it must have one thread"))?;
    sys::close_on_exec_from_3();
    let mut run = first;
    loop {
        let (code, seat) = attend_one(single, dir, (run, first))?;
        let Some(next) = seat.map(|seat| seat.wait()).transpose()?.flatten() else { return Ok(code) };
        run = next;
    }
}

/// One run's life in the job of the first: its exit code, and where to wait for another, if that is to be done.
fn attend_one(single: SingleThread, dir: &Path, (run, first): (RunId, RunId)) -> io::Result<(i32, Option<Seat>)> {
    let order = spool::run_file(dir, run, "order");
    let Ok(bytes) = fs::read(&order) else {
        eprintln!("madang slurm-run: {run}: nothing is ordered any more");
        return Ok((0, None));
    };
    let Parcel { mut sealed, surroundings, stays } = serde_json::from_slice(&bytes)?;
    sealed.spare = own_number();
    let shepherd = Identity::own().ok_or_else(|| io::Error::other("/proc does not know this process"))?;
    let files = spool::run_files(dir, run);
    let carrier = (run != first).then_some(first);
    let claim = Claim { shepherd, cpus: Vec::new(), spare: sealed.spare, slurm_job: own_job(), carrier };
    let record = match files.claim(claim) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            repeated(&files, dir, (run, &sealed.mark));
            return Ok((0, None));
        }
        other => other?,
    };
    // Only now: a double must not touch what the other is told.
    let seat = if stays { Some(Seat::prepare(dir, first)?) } else { None };
    if !order.exists() {
        // Forgotten in the moment before the claim: the run was over already.
        files.clear(None);
        return Ok((0, None));
    }
    let mailbox = Mailbox::new(spool::run_file(dir, run, "mail"), spool::news_file(dir, run));
    let record = shepherd::live_in_slurm(single, (files, record), sealed, (mailbox, &surroundings))?;
    Ok((exit_code(&record), seat.filter(|_| ended_by_itself(&record))))
}

/// True when nobody wanted the run to end, so that nobody wants its job to end either.
pub(crate) fn ended_by_itself(record: &EndRecord) -> bool {
    let by_itself = matches!(record.outcome, Outcome::Completed | Outcome::Failed { .. });
    by_itself && !record.outside && record.started.is_some()
}

/// Slurm's own records show the script's exit code, or that something ended it.
fn exit_code(record: &EndRecord) -> i32 {
    match record.outcome {
        Outcome::Completed => 0,
        Outcome::Failed { exit, signal: 0 } => exit,
        Outcome::Failed { signal, .. } => 128 + signal,
        _ => 1,
    }
}

/// The Slurm job that this process is.
fn own_job() -> Option<String> {
    std::env::var("SLURM_JOB_ID").ok()
}

/// Someone has the run already. Another Slurm job is left to it: this one is a double. The same job was started again,
/// so Slurm has given up the first start: if that was on this machine, what is left of it is ended and its end written.
fn repeated(files: &Files, dir: &Path, (run, mark): (RunId, &str)) {
    let Some(record) = files.read() else { return };
    let Some(claim) = record.claim.clone().filter(|_| record.ended.is_none()) else { return };
    if claim.slurm_job != own_job() || claim.shepherd.boot != crate::procfs::boot_id() {
        return;
    }
    let mut rounds = 0;
    while claim.shepherd.lives() {
        let signal = if rounds < ROUNDS { libc::SIGTERM } else { libc::SIGKILL };
        sys::kill(claim.shepherd.pid, signal).ok();
        std::thread::sleep(Duration::from_millis(100));
        rounds += 1;
    }
    // Read once more: it may have written its last line by now.
    let record: Record = files.read().unwrap_or_default();
    if record.ended.is_none() {
        files.append_end(&strays::bury(&record, mark)).ok();
    }
    Mailbox::new(PathBuf::new(), spool::news_file(dir, run)).announce();
}

/// Tenths of a second that a first start has to end in good order.
const ROUNDS: u32 = 50;

/// Signals the run's steps on all its nodes: Slurm knows them, this process does not.
pub(crate) fn signal_steps(signal: i32) {
    let Ok(job) = std::env::var("SLURM_JOB_ID") else { return };
    let mut scancel = Command::new("scancel");
    scancel.arg(format!("--signal={signal}")).arg(job);
    // Not waited for here: the shepherd takes the status of whatever child ends.
    scancel.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok();
}

/// A number for temporary files that no other start of the same run has, wherever it is.
fn own_number() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut random = [0_u8; 8];
    let read = fs::File::open("/dev/urandom").and_then(|mut file| io::Read::read_exact(&mut file, &mut random));
    let noise = if read.is_ok() { u64::from_le_bytes(random) } else { u64::from(std::process::id()) << 32 };
    noise ^ since.as_nanos() as u64
}
