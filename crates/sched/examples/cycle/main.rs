//! Times the scheduler: cycles under steady churn, a gang as large as the estate, and how cost grows with size.
//!
//! Without arguments: the plan's 18,000 GPUs with 10,000 and 100,000 jobs waiting, of 1,000 projects; a gang of 18,000
//! GPUs; one-GPU jobs on an empty estate. `scale` goes over sizes instead; `floods` over queues made on purpose; `count
//! SCENARIO STEPS` does a fixed piece of work, for counting instructions. Every line is a word and `name=value` pairs; times are microseconds on the
//! processor, in a middle run of several.
mod count;
mod floods;
mod scale;
mod world;

use std::process::ExitCode;
use world::{Shape, World, part_of};

/// The estate of the 2025 plan.
const PLAN: u32 = 18_000;
const PROJECTS: u64 = 1000;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        [] => usual(),
        ["scale"] => scale::all(),
        ["floods"] => floods::all(None),
        ["floods", name] => floods::all(Some(name)),
        ["count", scenario, steps] => {
            let Some(decisions) = steps.parse().ok().and_then(|steps| count::run(scenario, steps)) else {
                eprintln!("usage: cycle count churn|gang|place STEPS");
                return ExitCode::from(2);
            };
            println!("count scenario={scenario} decisions={decisions}");
        }
        _ => {
            eprintln!("usage: cycle [scale | floods [NAME] | count SCENARIO STEPS]");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

fn usual() {
    for waiting in [10_000, 100_000] {
        let shape = Shape { gpus: None, projects: PROJECTS, waiting, seed: 0 };
        Churn::several(shape).print(&format!("churn gpus={PLAN} waiting={waiting} projects={PROJECTS}"));
    }
    // A controller of the size that a real Slurm can be started with on one machine.
    let small = Shape { gpus: Some(512), projects: 100, waiting: 5_000, seed: 0 };
    Churn::several(small).print("churn gpus=512 waiting=5000 projects=100");
    let shape = Shape { gpus: Some(PLAN), projects: PROJECTS, waiting: 100_000, seed: 0 };
    let gang = Gang::measure(&mut World::full(shape), 100);
    gang.print(&format!("gang gpus={PLAN} waiting=100000 projects={PROJECTS}"));
    empty();
}

/// Runs of the usual measures, each with dice of its own.
const RUNS: u64 = 3;
/// Steps of a run.
const STEPS: u64 = 3000;

/// Times of steps under steady churn, sorted, in nanoseconds.
struct Churn {
    times: Vec<u64>,
    /// A step in which nothing happened.
    idle: u64,
    /// A step in which everything is looked at anew.
    anew: u64,
    tries: u64,
    /// The slowest run's middle step over the fastest's.
    spread: f64,
}

impl Churn {
    fn measure(world: &mut World, steps: u64) -> Churn {
        let (mut times, mut tries) = (Vec::new(), 0);
        for round in 0..steps {
            let events = world.churn(round);
            let (step, took) = world.timed(events);
            tries += u64::from(step.report.tries);
            times.push(took);
        }
        let (step, idle) = world.timed(Vec::new());
        assert_eq!(step.report.tries, 0, "nothing happened, so nothing is looked at");
        let events = world.shake();
        let (_, anew) = world.timed(events);
        assert!(world.sched.audit().is_empty(), "{:?}", world.sched.audit());
        times.sort_unstable();
        Churn { times, idle, anew, tries, spread: 1.0 }
    }

    /// The run whose middle step is the middle one.
    fn several(shape: Shape) -> Churn {
        let run = |seed| Churn::measure(&mut World::full(Shape { seed, ..shape }), STEPS);
        let mut runs: Vec<Churn> = (0..RUNS).map(run).collect();
        let middle = |run: &Churn| part_of(&run.times, 50);
        runs.sort_by_key(middle);
        let spread = middle(&runs[runs.len() - 1]) as f64 / middle(&runs[0]) as f64;
        Churn { spread, ..runs.swap_remove(runs.len() / 2) }
    }

    fn print(&self, what: &str) {
        let us = |part: usize| part_of(&self.times, part) as f64 / 1e3;
        println!(
            "{what} p50={:.1} p99={:.1} max={:.1} idle={:.2} anew={:.1} tries={} steps={} spread={:.2}",
            us(50),
            us(99),
            us(100),
            self.idle as f64 / 1e3,
            self.anew as f64 / 1e3,
            self.tries,
            self.times.len(),
            self.spread
        );
    }
}

/// Times of the step in which a gang as large as the estate comes, is found not to start and is promised a start; and
/// of the cycles while it waits.
struct Gang {
    promised: Vec<u64>,
    beside: Vec<u64>,
}

impl Gang {
    fn measure(world: &mut World, rounds: u64) -> Gang {
        let (mut promised, mut beside) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            let (job, ask) = world.whole_estate();
            let (step, took) = world.timed(vec![ask]);
            assert!(step.starts.iter().all(|start| start.run.job != job), "a full estate has no room");
            assert!(world.sched.promise(job).is_some(), "a gang that waits alone in its share is promised a start");
            promised.push(took);
            for more in 0..4 {
                let events = world.churn(round + more);
                beside.push(world.timed(events).1);
            }
            world.step(vec![madang_sched::Event::Withdrawn(job)]);
            let events = world.churn(round);
            world.step(events);
        }
        assert!(world.sched.audit().is_empty(), "{:?}", world.sched.audit());
        promised.sort_unstable();
        beside.sort_unstable();
        Gang { promised, beside }
    }

    fn print(&self, what: &str) {
        let us = |times: &[u64], part: usize| part_of(times, part) as f64 / 1e3;
        println!(
            "{what} p50={:.1} max={:.1} beside_p50={:.1} beside_p99={:.1} rounds={}",
            us(&self.promised, 50),
            us(&self.promised, 100),
            us(&self.beside, 50),
            us(&self.beside, 99),
            self.promised.len()
        );
    }
}

/// An empty estate: a thousand one-GPU jobs at a time, until nothing is left.
fn empty() {
    let mut world = World::empty(Shape { gpus: None, projects: PROJECTS, waiting: 0, seed: 0 });
    let (mut started, mut spent) = (0, 0);
    for _ in 0..17 {
        let events = (0..1000).map(|_| world.ask(1, 1, 3600)).collect();
        let (step, took) = world.timed(events);
        spent += took;
        started += step.starts.len() as u64;
    }
    println!("starts gpus={PLAN} jobs={started} per_sec={:.0}", started as f64 * 1e9 / spent as f64);
}
