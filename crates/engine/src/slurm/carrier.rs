//! Slurm jobs that carry more than one run, one after another.
//!
//! What Slurm does for a job of its own costs some 30 ms of processor, and a GPU that is free here is free there only
//! a moment later, when its next job may have to wait for Slurm to look at its queue again. So a job whose run has
//! ended by itself stays for [`STAY`]: a run of the same user that is to hold just the same of the same nodes goes to
//! it, and starts at once. Any other run that is placed on those nodes sends it away first.
//!
//! A job that carries is called a carrier and goes by its first run's name, in Slurm and here. Its file in `carriers/` is
//! there while it lives; the engine writes into it, never makes it. What is written too late is read by nobody: the run
//! has then no record after [`HANDED`] and is submitted as any other. The claim sees to it that it starts once.
use crate::slurm::spool;
use madang_model::RunId;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a carrier stays without a run: long enough for a core that has just heard of an end to place the next run, on
/// a busy machine too; short enough for Slurm to have its nodes back before people notice.
const STAY: Duration = Duration::from_secs(1);
/// How long one is reckoned to stay, from when its run's end is seen.
const RECKONED: Duration = Duration::from_millis(800);
/// How long a run that was handed over may have no record.
pub(crate) const HANDED: Duration = Duration::from_secs(2);
/// After so long, in milliseconds, a carrier looks for its next run; then seldomer, each time by as much, up to
/// [`SELDOM`].
const LOOK: u8 = 5;
/// The longest that it looks away, in milliseconds.
const SELDOM: u8 = 40;
/// What sends a carrier away.
const GO: &str = "go";

/// What a run must have in common with another to follow it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Likeness {
    /// All that Slurm is told of it but names and times, and whose it is.
    pub words: Vec<String>,
    /// The nodes that it is on.
    pub nodes: BTreeSet<String>,
}

/// One that waits for a run.
#[derive(Clone, Debug)]
pub(crate) struct Carrier {
    /// Its first run, by whose name it goes.
    pub run: RunId,
    pub likeness: Likeness,
    /// When Slurm ends it at the earliest.
    pub ends: Instant,
    until: Instant,
}

/// Those that wait.
#[derive(Debug, Default)]
pub(crate) struct Carriers(Vec<Carrier>);

impl Carriers {
    /// Notes one whose run's end was seen now.
    pub fn add(&mut self, run: RunId, likeness: Likeness, ends: Instant) {
        self.0.push(Carrier { run, likeness, ends, until: Instant::now() + RECKONED });
    }

    /// Takes one for a run like this that may need so long.
    pub fn take(&mut self, likeness: &Likeness, needs: Duration) -> Option<Carrier> {
        let now = Instant::now();
        self.0.retain(|carrier| carrier.until > now);
        let fits = |carrier: &Carrier| {
            carrier.likeness == *likeness && now.checked_add(needs).is_some_and(|at| at < carrier.ends)
        };
        let found = self.0.iter().position(fits)?;
        Some(self.0.swap_remove(found))
    }

    /// Takes all that are on these nodes.
    pub fn take_from(&mut self, nodes: &BTreeSet<String>) -> Vec<RunId> {
        let is_there = |carrier: &mut Carrier| !carrier.likeness.nodes.is_disjoint(nodes);
        self.0.extract_if(.., is_there).map(|carrier| carrier.run).collect()
    }
}

/// A carrier's file below an engine's part of the shared folder.
pub(crate) fn file(dir: &Path, carrier: RunId) -> PathBuf {
    dir.join(spool::CARRIERS).join(carrier.to_string())
}

/// Tells a carrier its next run; an error when it has gone.
pub(crate) fn hand(dir: &Path, carrier: RunId, run: RunId) -> io::Result<()> {
    tell(dir, carrier, &run.to_string())
}

/// Sends a carrier away, unless it has gone.
pub(crate) fn send_away(dir: &Path, carrier: RunId) {
    tell(dir, carrier, GO).ok();
}

fn tell(dir: &Path, carrier: RunId, word: &str) -> io::Result<()> {
    // In one write to a file that is there: a name that appears is seen late on a file system of many machines.
    File::options().write(true).open(file(dir, carrier))?.write_all(format!("{word}\n").as_bytes())
}

/// A carrier's own side. Its file goes when it does.
#[derive(Debug)]
pub(crate) struct Seat(PathBuf);

impl Seat {
    /// Ready for what will be told after the run that begins now.
    pub fn prepare(dir: &Path, carrier: RunId) -> io::Result<Seat> {
        let path = file(dir, carrier);
        File::create(&path)?;
        Ok(Seat(path))
    }

    /// Waits for the next run; `None` when there is none, or Slurm wants the job to end.
    pub fn wait(&self) -> io::Result<Option<RunId>> {
        // The thread's mask keeps these for whoever reads them: what was meant for the last run is not the next one's.
        let mask = crate::slurm::mail::FROM_SLURM.into_iter().chain([Signal::SIGTERM]).collect();
        let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        let until = Instant::now() + STAY;
        let mut away = LOOK;
        loop {
            let is_last = Instant::now() > until;
            let told = if is_last { self.close() } else { fs::read_to_string(&self.0).ok() };
            let word = told.as_deref().and_then(|told| told.strip_suffix('\n'));
            match (word, told.is_none() || is_last) {
                (Some(word), _) => return Ok(word.parse().ok()),
                (None, true) => return Ok(None),
                (None, false) => {}
            }
            poll(&mut [PollFd::new(signals.as_fd(), PollFlags::POLLIN)], PollTimeout::from(away)).ok();
            away = (away + LOOK).min(SELDOM);
            while let Ok(Some(info)) = signals.read_signal() {
                if info.ssi_signo == Signal::SIGTERM as u32 {
                    return Ok(None);
                }
            }
        }
    }

    /// From now on nothing can be told; what was told before is read.
    fn close(&self) -> Option<String> {
        let file = File::open(&self.0).ok()?;
        fs::remove_file(&self.0).ok();
        io::read_to_string(file).ok()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        fs::remove_file(&self.0).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use madang_model::JobId;

    fn run(job: u64) -> RunId {
        RunId { job: JobId::new(job), attempt: 1 }
    }

    #[test]
    fn only_a_run_of_its_like_follows() {
        let like =
            |words: &str, node: &str| Likeness { words: vec![words.into()], nodes: BTreeSet::from([node.into()]) };
        let mut carriers = Carriers::default();
        let ends = Instant::now() + Duration::from_secs(100);
        carriers.add(run(1), like("a", "n1"), ends);
        carriers.add(run(2), like("b", "n2"), ends);
        let minute = Duration::from_secs(60);
        assert!(carriers.take(&like("a", "n1"), 2 * minute).is_none(), "Slurm would end it");
        assert!(carriers.take(&like("b", "n1"), minute).is_none());
        let taken = carriers.take(&like("a", "n1"), minute).map(|carrier| carrier.run);
        assert_eq!((taken, carriers.0.len()), (Some(run(1)), 1));
        assert_eq!(carriers.take_from(&BTreeSet::from(["n2".into(), "n3".into()])), [run(2)]);
        carriers.add(run(3), like("a", "n1"), ends);
        carriers.0[0].until = Instant::now();
        assert!(carriers.take(&like("a", "n1"), minute).is_none(), "it will have gone");
    }

    #[test]
    fn a_carrier_hears_of_one_run_or_goes() {
        let dir = std::env::temp_dir().join(format!("madang-carrier-{}", std::process::id()));
        fs::create_dir_all(dir.join(spool::CARRIERS)).expect("the temporary folder is writable");
        assert!(hand(&dir, run(1), run(2)).is_err(), "nobody is there");
        let seat = Seat::prepare(&dir, run(1)).expect("writable");
        hand(&dir, run(1), run(2)).expect("it is there");
        assert_eq!(seat.wait().ok(), Some(Some(run(2))));
        let seat = Seat::prepare(&dir, run(1)).expect("writable");
        send_away(&dir, run(1));
        assert_eq!(seat.wait().ok(), Some(None));
        let seat = Seat::prepare(&dir, run(1)).expect("writable");
        assert_eq!(seat.wait().ok(), Some(None), "nothing came");
        assert!(hand(&dir, run(1), run(3)).is_err(), "it has gone");
        fs::remove_dir_all(&dir).expect("ours");
    }
}
