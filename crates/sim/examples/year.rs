//! The national centre's days under the centre's full policy, timed:
//! `cargo run --release -p madang-sim --example year -- [DAYS [LOAD]]`. Days default to 365, the load to 85 (per cent).
use madang_sim::trial::generate::{Amount, Order, generate, named};
use madang_sim::trial::{self, Machine, Settings};
use std::time::Instant;

/// Nodes of the national centre, with 8 GPUs each.
const NODES: u32 = 2250;

fn main() {
    let mut args = std::env::args().skip(1).map(|text| text.parse::<u32>().expect("days and load are numbers"));
    let (days, load_percent) = (args.next().unwrap_or(365), args.next().unwrap_or(85));
    let machine = Machine::plain(NODES, 8);
    let order = Order { seed: 1, amount: Amount::Days(days), machine: &machine, load_percent };
    let workload = generate(&named("national").expect("it is a recipe"), &order).expect("the order is for something");
    let settings = Settings { name: "madang".into(), config: madang_sched::Config::default() };
    println!("{} jobs of {days} days at {load_percent}% on {}", workload.jobs.len(), machine.name);
    let begun = Instant::now();
    let outcome = trial::madang::run(&workload, &machine, &settings, &mut |_| ()).expect("it can be tried");
    let secs = begun.elapsed().as_secs_f64();
    let (jobs, mib) = (workload.jobs.len(), peak_kib().unwrap_or(0) / 1024);
    let rate = jobs as f64 / secs;
    println!("year days={days} load={load_percent} jobs={jobs} secs={secs:.2} per_sec={rate:.0} mib={mib}");
    let figures = trial::figures(&workload, &machine, &outcome);
    println!(
        "mean wait {} s, utilisation {} ppm, unmet {} GPUh, taken back {}",
        figures.all.mean_wait.secs(),
        figures.utilisation,
        figures.unmet / 3600,
        figures.taken_back
    );
}

/// The most memory this process has held, where the system tells.
fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}
