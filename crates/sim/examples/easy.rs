//! How fast the laboratory replays a job log under EASY, on one core: `easy LOG PROCESSORS` prints jobs a second of
//! the replay alone, and of reading the log and replaying it, each the middle one of several runs, and the memory
//! that all of it took; times on the processor, so that other work on the machine counts little. `easy count JOBS` replays made-up jobs, for counting instructions.
use madang_sim::lab::{Input, Job, Passes, Policy, replay};
use madang_sim::swf::Log;
use nix::time::{ClockId, clock_gettime};
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

const RUNS: usize = 11;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["count", jobs] => count(jobs),
        [log, procs] => timed(Path::new(log), procs),
        _ => Err("usage: easy LOG PROCESSORS | easy count JOBS".into()),
    };
    match done {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn timed(path: &Path, procs: &str) -> Result<String, Box<dyn Error>> {
    let procs = procs.parse()?;
    let (mut alone, mut whole, mut jobs) = (Vec::new(), Vec::new(), 0);
    for _ in 0..RUNS {
        let begun = processor();
        let input = Input::of(&Log::read(&std::fs::read(path)?)?)?;
        let read = processor();
        replay(&input.jobs, procs, Policy::Easy, Passes::EachEvent, &mut |_| ())?;
        let done = processor();
        alone.push(done - read);
        whole.push(done - begun);
        jobs = input.jobs.len();
    }
    alone.sort_unstable();
    whole.sort_unstable();
    let per_sec = |nanos: u64| jobs as f64 * 1e9 / nanos as f64;
    Ok(format!(
        "easy jobs={jobs} per_sec={:.0} low={:.0} high={:.0} read_per_sec={:.0} mib={}",
        per_sec(alone[RUNS / 2]),
        per_sec(alone[RUNS - 1]),
        per_sec(alone[0]),
        per_sec(whole[RUNS / 2]),
        peak_mib()
    ))
}

/// Nanoseconds that this thread has had the processor.
fn processor() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("the thread's clock can be read");
    time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
}

/// The most memory that this process ever had, as the kernel counts it.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("");
    line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0).div_ceil(1024)
}

/// Jobs that arrive a little faster than 128 processors can serve them: a queue forms, and backfill has work to do.
fn count(jobs: &str) -> Result<String, Box<dyn Error>> {
    let jobs: i64 = jobs.parse()?;
    let (mut dice, mut submit) = (88_172_645_463_325_252u64, 0);
    let mut roll = |sides: u64| {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        dice % sides
    };
    let mut made = Vec::new();
    for number in 0..jobs {
        submit += roll(300);
        let estimate = 60 * (1 + roll(120)) as u32;
        let run = 1 + roll(u64::from(estimate)) as u32;
        let procs = 1 << roll(6);
        made.push(Job { number, submit, run, estimate, procs });
    }
    let starts = replay(&made, 128, Policy::Easy, Passes::EachEvent, &mut |_| ())?;
    let waited = made.iter().zip(&starts).filter(|(job, start)| **start > job.submit).count();
    Ok(format!("count scenario=easy decisions={jobs} waited={waited}"))
}
