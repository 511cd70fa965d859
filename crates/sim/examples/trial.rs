//! Trials on a public trace under the centre and the field's policies, side by side and timed; on so many nodes of 8 GPUs, or
//! on a public list of nodes: `cargo run --release -p madang-sim --example trial -- FILE [NODES [POLICY,... [exact]]]`.
use madang_sim::trial::peers::{self, Peer};
use madang_sim::trial::reader::{self, Reading};
use madang_sim::trial::{self, Figures, Machine, Outcome, Settings, Workload, philly};
use std::time::Instant;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let (file, nodes) = (&args[1], args.get(2).map_or("72", String::as_str));
    let read = |file: &str| std::fs::read(file).expect("the file can be read");
    let exact = args.get(4).is_some_and(|word| word == "exact");
    let limits = if exact { philly::Limits::Exact } else { philly::Limits::OverAsked(1) };
    let reading = Reading { limits, ..Reading::default() };
    let workload = reader::read(file, &read(file), &reading).unwrap_or_else(|wrong| panic!("{wrong}"));
    let machine = match nodes.parse() {
        Ok(nodes) => Machine::plain_for(nodes, 8, &workload),
        Err(_) => reader::machine(nodes, &read(nodes)).unwrap_or_else(|wrong| panic!("{wrong}")),
    };
    let all: Vec<&str> = std::iter::once("madang").chain(Peer::ALL.map(Peer::name)).collect();
    let policies = args.get(3).map_or(all, |list| list.split(',').collect());
    println!("{} jobs on {}", workload.jobs.len(), machine.name);
    println!(
        "{:<12} {:>10} {:>10} {:>9} {:>6} {:>6} {:>11} {:>6} {:>9} {:>9} {:>8} {:>7}",
        "policy",
        "mean s",
        "P99 s",
        "slowdown",
        "use %",
        "good %",
        "unmet GPUh",
        "back",
        "lost GPUh",
        "stall GPUh",
        "strand %",
        "took s"
    );
    for policy in policies {
        let begun = Instant::now();
        let outcome = tried(&workload, &machine, policy);
        let secs = begun.elapsed().as_secs_f64();
        show(&trial::figures(&workload, &machine, &outcome), secs);
        let jobs = workload.jobs.len();
        println!("trial policy={policy} jobs={jobs} per_sec={:.0}", jobs as f64 / secs);
    }
}

fn tried(workload: &Workload, machine: &Machine, policy: &str) -> Outcome {
    match Peer::named(policy) {
        Some(peer) => peers::run(workload, machine, peer, &mut |_| ()).expect("it can be tried"),
        None if policy == "madang" => {
            let settings = Settings { name: policy.into(), config: madang_sched::Config::default() };
            trial::madang::run(workload, machine, &settings, &mut |_| ()).expect("it can be tried")
        }
        None => panic!("no policy is called {policy}"),
    }
}

fn show(figures: &Figures, secs: f64) {
    let parts = |figure: u64| figure as f64 / 1e6;
    println!(
        "{:<12} {:>10} {:>10} {:>9.2} {:>6.2} {:>6.2} {:>11} {:>6} {:>9} {:>10} {:>8.2} {:>7.2}",
        figures.policy,
        figures.all.mean_wait.secs(),
        figures.all.p99_wait.secs(),
        parts(figures.all.slowdown),
        100.0 * parts(figures.utilisation),
        100.0 * parts(figures.goodput),
        figures.unmet / 3600,
        figures.taken_back,
        (figures.lost_back + figures.lost_nodes) / 3600,
        figures.stalled / 3600,
        100.0 * parts(figures.stranded),
        secs,
    );
}
