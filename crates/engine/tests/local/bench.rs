//! A bench to try runs on: an engine in a folder of its own, orders with sensible fields, reports awaited by run.
use crate::promises::{self, Reports};
pub use crate::promises::{lives, run};
use madang_engine::{Engine, EngineReport, LocalEngine, Options, Order};
use madang_model::RunId;
use nix::sys::signal::Signal;
use std::fs;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// Longer than anything here takes, on a loaded machine too.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// An engine in a folder that goes with it.
pub struct Bench {
    pub dir: PathBuf,
    pub engine: Option<LocalEngine>,
    reports: Reports,
}

pub fn options() -> Options {
    Options { helper: PathBuf::from(env!("CARGO_BIN_EXE_madang-nursery")), ..Options::default() }
}

impl Deref for Bench {
    type Target = Reports;
    fn deref(&self) -> &Reports {
        &self.reports
    }
}

impl DerefMut for Bench {
    fn deref_mut(&mut self) -> &mut Reports {
        &mut self.reports
    }
}

impl Bench {
    pub fn new() -> Bench {
        Bench::with(options())
    }

    pub fn with(options: Options) -> Bench {
        Bench::at(fresh_dir(), options)
    }

    pub fn at(dir: PathBuf, options: Options) -> Bench {
        fs::create_dir_all(&dir).expect("the temporary folder is writable");
        let (sender, reports) = channel();
        let engine = LocalEngine::open(&dir.join("engine"), options, sender).expect("the folder is free");
        Bench { dir, engine: Some(engine), reports: Reports::new(reports, PATIENCE) }
    }

    /// What a server's death and its successor do: the engine goes without a word, another opens the folder.
    pub fn reopen(&mut self) {
        self.engine = None;
        let (sender, reports) = channel();
        let engine = LocalEngine::open(&self.dir.join("engine"), options(), sender).expect("the folder is free again");
        self.engine = Some(engine);
        self.reports = Reports::new(reports, PATIENCE);
    }

    pub fn engine(&mut self) -> &mut LocalEngine {
        self.engine.as_mut().expect("open")
    }

    /// An order for a script in this bench's folder.
    pub fn order(&self, number: u64, script: &str) -> Order {
        order(&self.dir, number, script)
    }

    pub fn start(&mut self, number: u64, script: &str) -> RunId {
        let order = self.order(number, script);
        self.engine().start(order);
        run(number)
    }

    /// Everything reported until nothing comes for a while.
    pub fn quiet(&mut self) -> Vec<EngineReport> {
        while let Ok(report) = self.receiver.recv_timeout(Duration::from_millis(200)) {
            self.seen.push(report);
        }
        std::mem::take(&mut self.seen)
    }

    /// Waits until a file of this bench's folder holds a whole line, and gives the text.
    pub fn line(&self, name: &str) -> String {
        eventually(|| fs::read_to_string(self.dir.join(name)).ok().filter(|text| text.ends_with('\n')))
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.dir.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Where a run's record is.
    pub fn record(&self, run: RunId) -> PathBuf {
        self.dir.join(format!("engine/runs/{run}.record"))
    }

    /// Process id of a run's shepherd.
    pub fn shepherd(&self, run: RunId) -> i32 {
        let text = eventually(|| fs::read_to_string(self.record(run)).ok());
        let (_, rest) = text.split_once("\"pid\":").expect("a record of a process");
        rest.split(',').next().and_then(|pid| pid.parse().ok()).expect("a number")
    }
}

impl Drop for Bench {
    /// Whatever a failing test leaves must not run on.
    fn drop(&mut self) {
        if let Some(engine) = &mut self.engine {
            let known = engine.known();
            for run in &known {
                engine.signal(*run, 9, false);
            }
            for run in known {
                let record = || fs::read_to_string(self.record(run)).unwrap_or_default();
                let gone = || record().contains("ended");
                let until = Instant::now() + Duration::from_secs(2);
                while !gone() && Instant::now() < until {
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        }
        self.engine = None;
        fs::remove_dir_all(&self.dir).ok();
    }
}

pub fn fresh_dir() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("madang-engine-{}-{number}", std::process::id()))
}

pub fn order(dir: &Path, number: u64, script: &str) -> Order {
    let mut order = promises::order(dir, "here", number, script);
    order.partition = "here".to_owned();
    order.nodes[0].memory_mib = 4096;
    order
}

/// Polls for what no report tells: files that scripts write, processes that go.
pub fn eventually<T>(look: impl FnMut() -> Option<T>) -> T {
    promises::eventually_within(PATIENCE, look)
}

pub fn kill_now(pid: i32) {
    signal(pid, Signal::SIGKILL);
}

pub fn signal(pid: i32, signal: Signal) {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).expect("it lives");
}
