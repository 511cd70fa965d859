//! Slurm's own figure for its backfill cycle, on a real controller with a full estate and a deep queue.
//!
//! The controller has real node daemons on this machine, so it is smaller than the plan's estate; the scheduler's
//! example measures ours at this very size too. Requests are drawn from the same kinds.
use super::Bench;
use super::peers::{Started, slurm_command, slurm_version};
use super::table::number;
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Nodes of eight GPUs.
const NODES: u64 = 64;
/// GPUs of the controller.
pub const GPUS: u64 = 8 * NODES;
/// Jobs that wait.
pub const WAITING: u64 = 5_000;

/// Every job is looked at in a cycle, as ours does; by default it would be the first 500.
const CONF: &str =
    "SchedulerParameters=bf_max_job_test=100000,bf_max_time=600,bf_interval=5,bf_continue,defer\nMaxJobCount=100000\n";

/// What Slurm says of itself, or why it is absent.
pub fn measure(bench: &Bench) -> String {
    if !bench.peers {
        return String::new();
    }
    eprintln!("bench: Slurm's backfill");
    run(bench).unwrap_or_else(|error| {
        eprintln!("bench: Slurm is absent: {error:#}");
        "Slurm absent".to_owned()
    })
}

fn run(bench: &Bench) -> Result<String> {
    let script = bench.slurm_start.as_ref().context("no --slurm-start")?;
    let lines = bench.scratch.join("backfill.conf");
    std::fs::write(&lines, CONF).context("failed to write lines for Slurm")?;
    let (nodes, lines) = (NODES.to_string(), lines.to_string_lossy().into_owned());
    let options = ["--nodes", &nodes, "--gpus", "8", "--cpus", "64", "--slurm-conf", &lines];
    let (_started, conf) = Started::start(bench, script, "backfill", &options)?;
    fill(bench, &conf)?;
    submit(bench, &conf)?;
    slurm_stats(bench, &conf, &["-r"])?;
    let begun = Instant::now();
    // Time on the processor is counted from the end of one cycle to the end of the second after it.
    let mut first = None;
    loop {
        std::thread::sleep(Duration::from_secs(1));
        let said = backfill(&slurm_stats(bench, &conf, &[])?).unwrap_or_default();
        let spent = processor_ms(&conf)?;
        if said.cycles > 0 && first.is_none() {
            first = Some((said.cycles, spent));
        }
        if let Some((cycles, before)) = first.filter(|(cycles, _)| said.cycles >= cycles + 2) {
            let name = slurm_version(slurm_command(bench, &conf, "sinfo"))?;
            let on_processor = number((spent - before) as f64 / (said.cycles - cycles) as f64);
            let (mean, depth) = (number(said.mean_us as f64 / 1e3), number(said.depth as f64));
            return Ok(format!(
                "{name}: backfill cycle {on_processor} ms on the processor ({mean} ms by its own clock), {depth} jobs deep"
            ));
        }
        if begun.elapsed() > Duration::from_secs(300) {
            bail!("its backfill has not made three cycles in five minutes");
        }
    }
}

/// What the controller's backfill thread has had of the processor, in milliseconds.
fn processor_ms(conf: &Path) -> Result<u64> {
    let text = std::fs::read_to_string(conf).context("failed to read Slurm's configuration")?;
    let file = text.lines().find_map(|line| line.strip_prefix("SlurmctldPidFile="));
    let pid = std::fs::read_to_string(file.context("no SlurmctldPidFile")?).context("failed to read its id")?;
    let tasks = std::fs::read_dir(format!("/proc/{}/task", pid.trim())).context("the controller is gone")?;
    let read = |path: &Path, name: &str| std::fs::read_to_string(path.join(name)).unwrap_or_default();
    let thread = tasks.flatten().map(|task| task.path()).find(|task| read(task, "comm").trim() == "bckfl");
    let stat = read(&thread.context("the controller has no backfill thread")?, "stat");
    // After the name in brackets; user's and system's time are the 14th and 15th of all, in hundredths of a second.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().skip(11).take(2);
    Ok(fields.filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>() * 10)
}

fn sbatch(bench: &Bench, conf: &Path, nodes: u64, gpus: u64, minutes: u64, wrap: &str) -> Result<()> {
    let mut command: Command = slurm_command(bench, conf, "sbatch");
    command.args(["-Q", "-o", "/dev/null", "--mem", "1000", "--wrap", wrap]);
    command.arg(format!("--gres=gpu:{gpus}")).arg(format!("-c{}", 8 * gpus));
    command.arg(format!("-N{nodes}")).arg(format!("-t{minutes}"));
    let output = command.output().context("failed to run sbatch")?;
    if !output.status.success() {
        bail!("sbatch failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// A job on every node, each with an end of its own.
fn fill(bench: &Bench, conf: &Path) -> Result<()> {
    (0..NODES).try_for_each(|node| sbatch(bench, conf, 1, 8, 600 + 7 * node, "sleep 100000"))?;
    let begun = Instant::now();
    loop {
        let mut squeue = slurm_command(bench, conf, "squeue");
        let running = squeue.args(["-h", "-t", "R"]).output().context("failed to run squeue")?;
        if running.stdout.iter().filter(|byte| **byte == b'\n').count() as u64 == NODES {
            return Ok(());
        }
        if begun.elapsed() > Duration::from_secs(60) {
            bail!("its nodes are not full after a minute");
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// The jobs that wait: the scheduler's example draws from the same kinds.
fn submit(bench: &Bench, conf: &Path) -> Result<()> {
    let next = AtomicU64::new(0);
    let work = || -> Result<()> {
        loop {
            let job = next.fetch_add(1, Ordering::Relaxed);
            if job >= WAITING {
                return Ok(());
            }
            let (nodes, gpus) = match job % 10 {
                0..4 => (1, 1),
                4 => (1, 2),
                5..7 => (1, 4),
                7 => (1, 8),
                8 => (4, 8),
                _ => ([16, 64][(job / 10 % 2) as usize], 8),
            };
            let hours = [1, 4, 8, 12, 24][(job / 7 % 5) as usize];
            sbatch(bench, conf, nodes, gpus, 60 * hours, "true")?;
        }
    };
    let done: Vec<Result<()>> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        handles.into_iter().map(|handle| handle.join().expect("a caller does not panic")).collect()
    });
    done.into_iter().collect()
}

fn slurm_stats(bench: &Bench, conf: &Path, args: &[&str]) -> Result<String> {
    let output = slurm_command(bench, conf, "sdiag").args(args).output().context("failed to run sdiag")?;
    if !output.status.success() {
        bail!("sdiag failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What `sdiag` says of backfill.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Backfill {
    cycles: u64,
    mean_us: u64,
    /// Jobs looked at in a cycle, on average.
    depth: u64,
}

/// Nothing as long as there was no cycle.
fn backfill(said: &str) -> Option<Backfill> {
    let (_, rest) = said.split_once("Backfilling stats")?;
    let value = |name: &str| {
        let line = rest.lines().find_map(|line| line.trim_start().strip_prefix(name))?;
        line.trim_start_matches(':').trim().parse().ok()
    };
    Some(Backfill { cycles: value("Total cycles:")?, mean_us: value("Mean cycle:")?, depth: value("Depth Mean:")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backfill_is_read_out_of_all_that_is_said() {
        let said = "Main schedule statistics (microseconds):\n\tMean cycle:   16862\n\n\
                    Backfilling stats (WARNING: data obtained in the middle of backfilling execution.)\n\
                    \tTotal cycles: 2\n\tLast cycle: 11571114\n\tMean cycle: 14204325\n\
                    \tDepth Mean: 4436\n\tDepth Mean (try depth): 3148\n";
        assert_eq!(backfill(said), Some(Backfill { cycles: 2, mean_us: 14_204_325, depth: 4436 }));
        assert_eq!(backfill("nothing"), None);
    }
}
