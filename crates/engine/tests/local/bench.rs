//! A bench to try runs on: an engine in a folder of its own, orders with sensible fields, reports awaited by run.
use madang_engine::{Engine, EngineReport, LaunchSpec, LocalEngine, NodeShare, Options, Order, PartInfo};
use madang_model::{JobId, Outcome, RunId, Span, Time};
use nix::sys::signal::Signal;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Longer than anything here takes, on a loaded machine too.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// An engine in a folder that goes with it.
pub struct Bench {
    pub dir: PathBuf,
    pub engine: Option<LocalEngine>,
    reports: Receiver<EngineReport>,
    seen: Vec<EngineReport>,
}

/// How a run ended.
#[derive(Debug)]
pub struct End {
    pub at: Time,
    pub outcome: Outcome,
    pub peak_mib: u64,
    pub cpu: Span,
    pub note: String,
}

pub fn options() -> Options {
    Options { helper: PathBuf::from(env!("CARGO_BIN_EXE_madang-nursery")), ..Options::default() }
}

pub fn run(number: u64) -> RunId {
    RunId { job: JobId::new(number), attempt: 1 }
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
        Bench { dir, engine: Some(engine), reports, seen: Vec::new() }
    }

    /// What a server's death and its successor do: the engine goes without a word, another opens the folder.
    pub fn reopen(&mut self) {
        self.engine = None;
        let (sender, reports) = channel();
        let engine = LocalEngine::open(&self.dir.join("engine"), options(), sender).expect("the folder is free again");
        self.engine = Some(engine);
        self.reports = reports;
        self.seen.clear();
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

    pub fn started(&mut self, run: RunId) -> Time {
        self.find(|report| match report {
            EngineReport::Started { run: found, at } if *found == run => Some(*at),
            _ => None,
        })
    }

    pub fn ended(&mut self, run: RunId) -> End {
        self.find(|report| match report {
            EngineReport::Ended { run: found, at, outcome, peak_mib, cpu, note } if *found == run => {
                Some(End { at: *at, outcome: *outcome, peak_mib: *peak_mib, cpu: *cpu, note: note.clone() })
            }
            _ => None,
        })
    }

    pub fn unknown(&mut self, run: RunId) {
        self.find(|report| (*report == EngineReport::Unknown { run }).then_some(()));
    }

    /// Everything reported until nothing comes for a while.
    pub fn quiet(&mut self) -> Vec<EngineReport> {
        while let Ok(report) = self.reports.recv_timeout(Duration::from_millis(200)) {
            self.seen.push(report);
        }
        std::mem::take(&mut self.seen)
    }

    fn find<T>(&mut self, wanted: impl Fn(&EngineReport) -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.seen.iter().position(|report| wanted(report).is_some()) {
                return wanted(&self.seen.remove(at)).expect("just found");
            }
            match self.reports.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(report) => self.seen.push(report),
                Err(RecvTimeoutError::Timeout) => panic!("not reported in time; seen: {:?}", self.seen),
                Err(RecvTimeoutError::Disconnected) => panic!("the engine is gone; seen: {:?}", self.seen),
            }
        }
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
    let cwd = dir.display().to_string();
    Order {
        run: run(number),
        spec: LaunchSpec {
            script: format!("#!/bin/bash\n{script}\n"),
            env: vec![("PATH".to_owned(), std::env::var("PATH").unwrap_or_default())],
            cwd: cwd.clone(),
            submit_dir: cwd,
            submit_host: "login1".to_owned(),
            ..LaunchSpec::default()
        },
        job_name: "train".to_owned(),
        user_name: "kim".to_owned(),
        project: "vision".to_owned(),
        partition: "here".to_owned(),
        qos: "normal".to_owned(),
        comment: String::new(),
        cluster: "madang".to_owned(),
        nodes: vec![NodeShare { name: "here".to_owned(), cpus: 1, memory_mib: 4096, ..NodeShare::default() }],
        parts: vec![PartInfo::default()],
        limit: Span::from_mins(10),
        warning: None,
        array: None,
        restart_count: 0,
        spares: 0,
        sizes: None,
        resized_from: 0,
        grace: Span::from_secs(20),
    }
}

/// Polls for what no report tells: files that scripts write, processes that go.
pub fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        match look() {
            Some(found) => return found,
            None if Instant::now() > until => panic!("it never came to be"),
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    }
}

/// True while a process exists and is no zombie.
pub fn lives(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

pub fn kill_now(pid: i32) {
    signal(pid, Signal::SIGKILL);
}

pub fn signal(pid: i32, signal: Signal) {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).expect("it lives");
}
