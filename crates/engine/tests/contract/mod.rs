//! What every engine promises, tried on the real thing: one suite for all of them.
//!
//! A [`Place`] opens an engine in a folder; a [`Bench`] gives it orders and awaits reports; [`CASES`] are the promises.
pub mod cases;

use madang_engine::{Engine, EngineReport, LaunchSpec, NodeShare, Order, PartInfo};
use madang_model::{JobId, Outcome, RunId, Span, Time};
use std::fs;
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

pub use cases::CASES;

/// Longer than anything here takes, on a loaded machine too.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where engines of one kind are tried.
pub trait Place: Sync {
    /// Opens an engine in this folder, or the former one's successor.
    fn open(&self, dir: &Path, reports: Sender<EngineReport>) -> Box<dyn Engine>;
    /// The node that an order names.
    fn node(&self) -> &str;
}

/// An engine in a folder that goes with it.
pub struct Bench<'p> {
    pub dir: PathBuf,
    place: &'p dyn Place,
    engine: Option<Box<dyn Engine>>,
    reports: Reports,
}

/// What an engine reports, awaited by what is looked for.
pub struct Reports {
    pub receiver: Receiver<EngineReport>,
    /// What came and was not looked for yet.
    pub seen: Vec<EngineReport>,
    /// How long one is waited for.
    patience: Duration,
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

pub fn run(number: u64) -> RunId {
    RunId { job: JobId::new(number), attempt: 1 }
}

impl Reports {
    pub fn new(receiver: Receiver<EngineReport>, patience: Duration) -> Reports {
        Reports { receiver, seen: Vec::new(), patience }
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

    /// Awaits a report that is looked for.
    pub fn find<T>(&mut self, wanted: impl Fn(&EngineReport) -> Option<T>) -> T {
        let until = Instant::now() + self.patience;
        loop {
            if let Some(at) = self.seen.iter().position(|report| wanted(report).is_some()) {
                return wanted(&self.seen.remove(at)).expect("just found");
            }
            match self.receiver.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(report) => self.seen.push(report),
                Err(RecvTimeoutError::Timeout) => panic!("not reported in time; seen: {:?}", self.seen),
                Err(RecvTimeoutError::Disconnected) => panic!("the engine is gone; seen: {:?}", self.seen),
            }
        }
    }
}

impl Deref for Bench<'_> {
    type Target = Reports;
    fn deref(&self) -> &Reports {
        &self.reports
    }
}

impl DerefMut for Bench<'_> {
    fn deref_mut(&mut self) -> &mut Reports {
        &mut self.reports
    }
}

impl<'p> Bench<'p> {
    pub fn new(place: &'p dyn Place) -> Bench<'p> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("madang-contract-{}-{number}", std::process::id()));
        fs::create_dir_all(&dir).expect("the temporary folder is writable");
        let (sender, reports) = channel();
        let engine = place.open(&dir.join("engine"), sender);
        Bench { dir, place, engine: Some(engine), reports: Reports::new(reports, PATIENCE) }
    }

    /// What a server's death does: the engine goes without a word.
    pub fn close(&mut self) {
        self.engine = None;
    }

    /// What its successor does: another opens the folder.
    pub fn reopen(&mut self) {
        self.engine = None;
        let (sender, reports) = channel();
        self.engine = Some(self.place.open(&self.dir.join("engine"), sender));
        self.reports = Reports::new(reports, PATIENCE);
    }

    pub fn engine(&mut self) -> &mut dyn Engine {
        self.engine.as_deref_mut().expect("open")
    }

    /// An order for a script in this bench's folder.
    pub fn order(&self, number: u64, script: &str) -> Order {
        order(&self.dir, self.place.node(), number, script)
    }

    pub fn start(&mut self, number: u64, script: &str) -> RunId {
        let order = self.order(number, script);
        self.engine().start(order);
        run(number)
    }

    /// Everything reported of runs within so long.
    pub fn within(&mut self, time: Duration) -> Vec<EngineReport> {
        let until = Instant::now() + time;
        while let Ok(report) = self.receiver.recv_timeout(until.saturating_duration_since(Instant::now())) {
            self.seen.push(report);
        }
        let seen = std::mem::take(&mut self.seen);
        seen.into_iter().filter(|report| !matches!(report, EngineReport::Node { .. })).collect()
    }

    /// Waits until a file of this bench's folder holds a whole line, and gives the text.
    pub fn line(&self, name: &str) -> String {
        eventually(|| fs::read_to_string(self.dir.join(name)).ok().filter(|text| text.ends_with('\n')))
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.dir.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub fn write(&self, name: &str) {
        fs::write(self.dir.join(name), "").expect("writable");
    }
}

impl Drop for Bench<'_> {
    /// Whatever a failing test leaves must not run on.
    fn drop(&mut self) {
        if let Some(engine) = &mut self.engine {
            let known = engine.known();
            known.iter().for_each(|run| engine.signal(*run, 9, false));
            known.iter().for_each(|run| engine.stop(*run, madang_model::StopCause::Stale));
            let mut left = known.len();
            let until = Instant::now() + Duration::from_secs(5);
            while left > 0
                && let Ok(report) = self.receiver.recv_timeout(until.saturating_duration_since(Instant::now()))
            {
                left -= usize::from(matches!(report, EngineReport::Ended { .. } | EngineReport::Unknown { .. }));
            }
        }
        self.engine = None;
        fs::remove_dir_all(&self.dir).ok();
    }
}

pub fn order(dir: &Path, node: &str, number: u64, script: &str) -> Order {
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
        partition: "gpu".to_owned(),
        qos: "normal".to_owned(),
        comment: String::new(),
        cluster: "madang".to_owned(),
        nodes: vec![NodeShare { name: node.to_owned(), cpus: 1, memory_mib: 1024, ..NodeShare::default() }],
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
pub fn eventually<T>(look: impl FnMut() -> Option<T>) -> T {
    eventually_within(PATIENCE, look)
}

/// The same with another patience.
pub fn eventually_within<T>(patience: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + patience;
    loop {
        match look() {
            Some(found) => return found,
            None if Instant::now() > until => panic!("it never came to be"),
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// True while a process exists and is no zombie.
pub fn lives(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// A promise and its trial.
pub type Case = (&'static str, fn(&mut Bench<'_>));

/// Tries cases on benches of their own, a few at once; the names of those that failed.
pub fn try_all(place: &dyn Place, cases: &[Case], at_once: usize) -> Vec<&'static str> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut failed = Vec::new();
        while let Some((name, case)) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            let began = Instant::now();
            let tried = catch_unwind(AssertUnwindSafe(|| case(&mut Bench::new(place))));
            let word = if tried.is_ok() { "ok" } else { "FAILED" };
            println!("case {name} ... {word} ({:.1} s)", began.elapsed().as_secs_f32());
            failed.extend(tried.is_err().then_some(*name));
        }
        failed
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..at_once).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a failing case is caught")).collect()
    })
}
