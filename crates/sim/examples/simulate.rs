//! `cargo xtask sim`: simulates seeds and says what they lived through; the first failing seed ends it.
use madang_sim::faults::Fault;
use madang_sim::run::{Failure, Plan, Summary, Wishes, run_plan};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str, default: u64| match args.iter().position(|arg| arg == name) {
        Some(at) => args.get(at + 1).and_then(|value| value.parse().ok()).ok_or(format!("{name} wants a number")),
        None => Ok(default),
    };
    let (first, count, steps) = match (number("--seed", 1), number("--seeds", 1), number("--steps", 400)) {
        (Ok(first), Ok(count), Ok(steps)) => (first, count, steps),
        (Err(wrong), ..) | (_, Err(wrong), _) | (.., Err(wrong)) => {
            eprintln!("error: {wrong}");
            return ExitCode::FAILURE;
        }
    };
    let verbose = args.iter().any(|arg| arg == "--verbose");
    let begun = Instant::now();
    match all(first, count, Plan { seed: first, steps, verbose }) {
        Ok(sum) => report(first, count, &sum, begun),
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

/// Every seed on as many threads as there are cores; a seed's own course does not depend on the others.
fn all(first: u64, count: u64, plan: Plan) -> Result<Summary, Failure> {
    let next = AtomicU64::new(first);
    let worker = || {
        let mut sum = Summary::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + count {
                return Ok(sum);
            }
            match run_plan(Plan { seed, ..plan }) {
                Ok(summary) => sum.add(&summary),
                Err(failure) => {
                    next.store(first + count, Ordering::Relaxed);
                    return Err(failure);
                }
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let sums: Vec<Result<Summary, Failure>> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        handles.into_iter().map(|handle| handle.join().expect("a worker catches its simulation's panics")).collect()
    });
    let mut all = Summary::default();
    for sum in sums {
        all.add(&sum?);
    }
    Ok(all)
}

fn report(first: u64, count: u64, sum: &Summary, begun: Instant) -> ExitCode {
    let last = first + count - 1;
    println!("seeds {first} to {last}: {} steps, {} inputs, {} s", sum.steps, sum.inputs, begun.elapsed().as_secs());
    let Summary { accepted, ended, starts, taken, .. } = sum;
    println!("{accepted} submissions accepted, {ended} jobs ended, {starts} runs begun, {taken} taken back");
    let [fenced, beside] = sum.fenced;
    println!("{fenced} stops of runs given up at lost sites, {beside} jobs begun again while such a run lived");
    let [left, larger, smaller] = sum.resized;
    println!("{left} left to grow; begun again with more nodes {larger}, with fewer {smaller}");
    let Wishes { deadlines, shortest, choices, elastic } = sum.wishes;
    println!(
        "asked for: {deadlines} deadlines, {shortest} shortest limits, {choices} choices, {elastic} elastic sizes"
    );
    println!("deadlines missed: {} as jobs waited, {} as they ran", sum.missed[0], sum.missed[1]);
    println!("{} anomalies survived", sum.anomalies);
    println!("faults: {}", sum.strikes);
    let missing: Vec<Fault> = sum.strikes.missing();
    if count > 1 && !missing.is_empty() {
        eprintln!("void: {missing:?} never struck, so nothing is proved about it; take more seeds or steps");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
