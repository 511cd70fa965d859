//! Threads that call Slurm's commands, so that the engine's own never waits for a controller that is slow or dead: some
//! that submit and signal, and one that looks at what Slurm has.
//!
//! What they bring back comes to the engine's thread as calls like the server's. None of them decides anything.
use crate::slurm::command::{Failure, Slurm};
use crate::slurm::fitness::Fitness;
use crate::slurm::listing::{JOBS, NODES};
use crate::slurm::tend::Call;
use madang_model::{RunId, Span};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Commands under way at once: about as many as a controller takes in with gain.
pub(crate) const HANDS: usize = 4;
/// How often Slurm is looked at while runs are under way.
const EVERY: Duration = Duration::from_secs(1);
/// The same while none is: a node's failure and others' jobs are seen that late.
const IDLE: Duration = Duration::from_secs(4);

/// So many looks at jobs and nodes for one at the partition.
const SELDOM: u32 = 10;

/// One command to call.
#[derive(Debug)]
pub(crate) enum Errand {
    /// Submit a run's job.
    Submit { run: RunId, arguments: Vec<String>, script: String },
    /// End or signal jobs. A job that is not there needs no signal; a controller that does not answer is asked again.
    Cancel(Vec<String>),
}

/// What one look at Slurm brought.
#[derive(Debug)]
pub(crate) struct Look {
    /// When it began: what was done before is seen in it.
    pub asked: Instant,
    pub jobs: Result<String, Failure>,
    pub nodes: Result<String, Failure>,
}

/// The way to the threads. When it goes, they go, each after what it is at.
#[derive(Debug)]
pub(crate) struct Errands {
    to: Sender<Errand>,
    busy: Arc<AtomicBool>,
    open: Arc<AtomicBool>,
}

impl Errands {
    /// Starts the threads; what they bring back goes to `back`.
    pub fn start(slurm: &Slurm, partition: &str, back: &Sender<Call>) -> io::Result<Errands> {
        let (to, errands) = channel();
        let errands = Arc::new(Mutex::new(errands));
        for _ in 0..HANDS {
            let (slurm, back, errands) = (slurm.clone(), back.clone(), Arc::clone(&errands));
            spawn("slurm-errands", move || run_errands(&slurm, &errands, &back))?;
        }
        let (busy, open) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(true)));
        let (slurm, partition, back) = (slurm.clone(), partition.to_owned(), back.clone());
        let (is_busy, is_open) = (Arc::clone(&busy), Arc::clone(&open));
        spawn("slurm-lookout", move || look_out(&slurm, &partition, &back, (&is_busy, &is_open)))?;
        Ok(Errands { to, busy, open })
    }

    /// Hands over a command; its turn comes.
    pub fn hand(&self, errand: Errand) {
        self.to.send(errand).ok();
    }

    /// Whether runs are under way, so that Slurm is looked at often.
    pub fn set_busy(&self, busy: bool) {
        self.busy.store(busy, Ordering::Relaxed);
    }
}

impl Drop for Errands {
    fn drop(&mut self) {
        self.open.store(false, Ordering::Relaxed);
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}

fn run_errands(slurm: &Slurm, errands: &Mutex<Receiver<Errand>>, back: &Sender<Call>) {
    loop {
        // The lock is held while waiting and given up before the call.
        let errand = errands.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match errand {
            Ok(Errand::Submit { run, arguments, script }) => {
                let answer = slurm.call("sbatch", &arguments, &script).map(drop);
                back.send(Call::Submitted { run, at: Instant::now(), answer }).ok();
            }
            Ok(Errand::Cancel(arguments)) => drop(slurm.call("scancel", &arguments, "")),
            Err(_) => return,
        }
    }
}

fn look_out(slurm: &Slurm, partition: &str, back: &Sender<Call>, (busy, open): (&AtomicBool, &AtomicBool)) {
    let ask = |what: &[&str], program: &str| {
        let arguments: Vec<String> = what.iter().map(|word| (*word).to_owned()).collect();
        slurm.call(program, &arguments, "")
    };
    let mut config = String::new();
    let mut looks = 0_u32;
    while open.load(Ordering::Relaxed) {
        let asked = Instant::now();
        let jobs = ask(&JOBS, "squeue");
        let nodes = if jobs.is_ok() { ask(&NODES, "scontrol") } else { jobs.clone() };
        if config.is_empty() {
            config = ask(&["show", "config"], "scontrol").unwrap_or_default();
            back.send(Call::KillWait(kill_wait(&config))).ok();
        }
        if looks.is_multiple_of(SELDOM)
            && let Ok(line) = ask(&["-o", "show", "partition", partition], "scontrol")
        {
            back.send(Call::Partition(Fitness::read(&config, &line))).ok();
        }
        looks = looks.wrapping_add(1);
        if back.send(Call::Looked(Look { asked, jobs, nodes })).is_err() {
            return;
        }
        // In short sleeps, so that neither an end nor a first run waits for a long one.
        while open.load(Ordering::Relaxed) && asked.elapsed() < if busy.load(Ordering::Relaxed) { EVERY } else { IDLE }
        {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Slurm's time between `TERM` and `KILL`.
fn kill_wait(config: &str) -> Option<Span> {
    let line = config.lines().find_map(|line| line.strip_prefix("KillWait")?.split_once('='));
    let secs = line?.1.trim().split(' ').next()?.parse::<u64>().ok()?;
    Some(Span::from_secs(secs))
}
