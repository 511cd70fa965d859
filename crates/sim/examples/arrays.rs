//! An array of tasks against as many single jobs, through the very centre, on the plan's 18,000 GPUs:
//! `cargo run --release -p madang-sim --example arrays -- array|single [TASKS]`.
//!
//! What is submitted waits or starts at once; the runs then take half an hour to an hour and a half. Time is the
//! processor's, of this thread; `journal` is what the server would write down of the submissions.
use madang_centre::input::{Array, Input, Signed, Submission};
use madang_centre::{Centre, Effect};
use madang_model::{Founding, GpuTime, ModelRun, Part, Role, RunId, Span, Time};
use madang_sim::model_engine::ModelEngine;
use madang_sim::trial::{Machine, Owner};
use nix::time::{ClockId, clock_gettime};

/// Nodes with 8 GPUs each.
const NODES: u32 = 2250;
/// Submissions that come in one step, as the server takes them.
const BATCH: usize = 100;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let mode = args.get(1).map_or("array", String::as_str);
    let tasks: u32 = args.get(2).map_or(100_000, |text| text.parse().expect("tasks are a number"));
    let mut bench =
        Bench { centre: Centre::new(), engine: ModelEngine::new(), now: Time::default(), ended: 0, steps: 0 };
    bench.step(opening());
    let submissions = match mode {
        "array" => vec![submission(Some(Array { ranges: vec![(0, tasks - 1, 1)], at_once: None }))],
        "single" => (0..tasks).map(|_| submission(None)).collect(),
        other => panic!("array or single, not {other}"),
    };
    let journal: usize = submissions.iter().map(|one| serde_json::to_vec(one).expect("inputs serialise").len()).sum();
    let (before, begun) = (resident(), cpu());
    let mut left = submissions.into_iter().peekable();
    while left.peek().is_some() {
        bench.step(left.by_ref().take(BATCH).collect());
        bench.now = bench.now.after(Span::from_millis(1));
    }
    bench.fill();
    let (submitted, steps, kib) = (cpu() - begun, bench.steps - 1, resident().saturating_sub(before));
    while bench.ended < tasks {
        let next = [bench.engine.next_due(), bench.centre.wake()].into_iter().flatten().min();
        bench.now = bench.now.max(next.expect("something runs until all have ended"));
        bench.fill();
    }
    let rest = cpu() - begun - submitted;
    assert!(bench.centre.audit().is_empty(), "the audit is clean");
    println!(
        "arrays mode={mode} tasks={tasks} submit_ms={:.1} submit_steps={steps} journal_bytes={journal} kib={kib} \
         rest_ms={:.1} steps={} peak_mib={}",
        submitted as f64 / 1e6,
        rest as f64 / 1e6,
        bench.steps,
        status("VmHWM:") / 1024
    );
}

struct Bench {
    centre: Centre,
    engine: ModelEngine,
    now: Time,
    ended: u32,
    steps: u32,
}

impl Bench {
    fn step(&mut self, inputs: Vec<Signed>) {
        self.steps += 1;
        for effect in self.centre.step(self.now, inputs) {
            if let Effect::Start { run, limit, .. } = effect {
                self.engine.start(self.now, run, limit, Some(model(run)));
            }
        }
    }

    /// Reports and cycles of this moment, until nothing more comes of it.
    fn fill(&mut self) {
        loop {
            let reports = self.engine.due(self.now);
            let due = self.centre.wake().is_some_and(|at| at <= self.now);
            if reports.is_empty() && !due {
                return;
            }
            let ended = |report: &&madang_centre::Report| matches!(report, madang_centre::Report::Ended { .. });
            self.ended += reports.iter().filter(ended).count() as u32;
            self.step(reports.into_iter().map(Signed::from).collect());
        }
    }
}

/// Half an hour to an hour and a half, by the run's number.
fn model(run: RunId) -> ModelRun {
    ModelRun { runtime: Span::from_secs(1800 + run.job.number() * 7919 % 3600), exit: 0 }
}

fn opening() -> Vec<Signed> {
    let machine = Machine::plain(NODES, 8);
    let founding: Founding = machine.founding(&[Owner { name: "public".into(), weight: 1 }]);
    let project = Input::Project {
        name: "p".into(),
        title: "P".into(),
        owner: "public".into(),
        class: founding.classes[0].name.clone(),
    };
    let granted = GpuTime::from_hours(100_000_000);
    let award = Input::Award { project: "p".into(), granted, from: Time::default(), until: Time::MAX };
    let user = Input::User { name: "u".into(), role: Role::Researcher };
    let member = Input::Member { project: "p".into(), user: "u".into() };
    [Input::Found(founding), project, award, user, member].into_iter().map(Signed::own).collect()
}

fn submission(array: Option<Array>) -> Signed {
    let (model, features, share) = (None, Vec::new(), None);
    let part = Part { nodes: 1, gpus: 1, cpus: 1, memory_mib: 1, model, exclusive: false, features, share };
    let limit = Some(Span::from_hours(2));
    let submission =
        Submission { name: "sweep".into(), parts: vec![part], limit, array, ..madang_sim::load::plain("u".into()) };
    Signed::own(Input::Submit(Box::new(submission)))
}

/// Nanoseconds of the processor that this thread has had.
fn cpu() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("the thread's clock can be read");
    time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
}

fn resident() -> u64 {
    status("VmRSS:")
}

/// A figure of this process in KiB, where the system tells.
fn status(name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("");
    line.split_whitespace().next().and_then(|kib| kib.parse().ok()).unwrap_or(0)
}
