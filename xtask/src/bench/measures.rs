//! What is measured of Madang, each from a fresh data folder.
use super::client::post_many;
use super::peers::Peers;
use super::served::{Served, size_mib};
use super::table::{Row, number};
use super::{Bench, peers};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::process::Command;
use std::time::{Duration, Instant};

/// One group of rows.
pub type Measure = fn(&Bench, &Peers) -> Result<Vec<Row>>;

/// Connections that submit at a time.
const CONNECTIONS: u64 = 64;
/// The plan's two sites, 18,000 modelled GPUs, nothing else.
const PLAN: [&str; 2] = ["--centre", "centres/korea-2025.toml"];
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(300);

fn modelled_job(runtime_ms: u64) -> Value {
    let part = json!({"nodes": 1, "gpus_per_node": 1, "cpus_per_node": 1, "memory_mib": 1024});
    json!({"parts": [part], "limit_secs": 3600, "model": {"runtime_ms": runtime_ms}})
}

/// Submissions over HTTP into the durable journal, and modelled jobs from submission to end.
pub fn modelled(bench: &Bench, peers: &Peers) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let count = bench.amount(50_000);
    let served = Served::start(bench, "submit", &PLAN)?;
    let answered = post_many(&served.address, &served.token(), &modelled_job(3_600_000), count, CONNECTIONS)?;
    rows.push(Row::new(
        format!("submissions accepted over HTTP, durable, {CONNECTIONS} connections"),
        format!(
            "{}/s (p50 {:.1} ms, p99 {:.1} ms)",
            number(count as f64 / answered.secs),
            answered.p50_ms,
            answered.p99_ms
        ),
        peers.line(|peer| peer.submitted_per_sec.map(|rate| format!("{} {}/s", peer.submits_by, number(rate)))),
    ));
    drop(served);
    let served = Served::start(bench, "finish", &PLAN)?;
    let begun = Instant::now();
    post_many(&served.address, &served.token(), &modelled_job(0), count, CONNECTIONS)?;
    served.wait_ended(count, PATIENCE)?;
    let secs = begun.elapsed().as_secs_f64();
    rows.push(Row::new(
        "modelled jobs, one request each, submitted to finished",
        format!("{}/s", number(count as f64 / secs)),
        "",
    ));
    let begun = Instant::now();
    let mut array = modelled_job(0);
    array["array"] = json!(format!("0-{}", count - 1));
    post_many(&served.address, &served.token(), &array, 1, 1)?;
    served.wait_ended(2 * count, PATIENCE)?;
    let secs = begun.elapsed().as_secs_f64();
    rows.push(Row::new(
        "modelled jobs, one array, submitted to finished",
        format!("{}/s", number(count as f64 / secs)),
        "",
    ));
    Ok(rows)
}

/// Real processes of no length on this machine, as many at a time as the peers have.
pub fn processes(bench: &Bench, peers: &Peers) -> Result<Vec<Row>> {
    let count = bench.amount(5_000);
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let nodes = (peers::SLOTS / cores).clamp(1, 64).to_string();
    let served = Served::start(bench, "local", &["--pretend-nodes", &nodes])?;
    let batch = json!({"script": "#!/bin/sh\n", "cwd": bench.scratch, "stdout": "/dev/null"});
    let part = json!({"nodes": 1, "cpus_per_node": 1, "memory_mib": 16});
    let job = json!({"parts": [part], "limit_secs": 600, "batch": batch});
    let begun = Instant::now();
    post_many(&served.address, &served.token(), &job, count, 16)?;
    served.wait_ended(count, PATIENCE)?;
    let secs = begun.elapsed().as_secs_f64();
    let slots = peers::SLOTS;
    Ok(vec![Row::new(
        format!("real processes on this machine, up to {slots} at a time, submitted to finished"),
        format!("{}/s", number(count as f64 / secs)),
        peers.line(|peer| peer.finished_per_sec.map(|rate| format!("{} {}/s", peer.name, number(rate)))),
    )])
}

/// Our `sbatch` as a user calls it: a process each.
pub fn commands(bench: &Bench, peers: &Peers) -> Result<Vec<Row>> {
    let served = Served::start(bench, "commands", &["--pretend-nodes", "64"])?;
    let folder = bench.scratch.join("shims");
    std::fs::create_dir_all(&folder)?;
    let sbatch = folder.join("sbatch");
    std::os::unix::fs::symlink(&bench.madang, &sbatch).context("failed to make the shim")?;
    let data = served.data.clone();
    let rate = peers::sbatch_rate(bench.amount(400), || {
        let mut command = Command::new(&sbatch);
        command.env("MADANG_DATA", &data).current_dir(&bench.scratch);
        command
    })?;
    Ok(vec![Row::new(
        "`sbatch` calls, a process each, four at a time",
        format!("{}/s", number(rate)),
        peers.line(|peer| peer.sbatch_per_sec.map(|rate| format!("{} {}/s", peer.name, number(rate)))),
    )])
}

/// A journal of a million inputs, a killed server, and how soon it is back; memory on the way.
pub fn restart(bench: &Bench, _: &Peers) -> Result<Vec<Row>> {
    let served = Served::start(bench, "restart", &PLAN)?;
    let empty = served.memory_mib();
    let arrays = bench.amount(50).div_ceil(10);
    let tasks = bench.amount(100_000);
    for round in 1..=arrays {
        let mut array = modelled_job(0);
        array["array"] = json!(format!("0-{}", tasks - 1));
        post_many(&served.address, &served.token(), &array, 1, 1)?;
        served.wait_ended(round * tasks, PATIENCE)?;
    }
    let waiting = bench.amount(118_000);
    post_many(&served.address, &served.token(), &modelled_job(86_400_000), waiting, CONNECTIONS)?;
    let busy = served.memory_mib();
    let inputs = served.connect()?.get("/api/v1/audit")?["inputs"].as_u64().unwrap_or(0);
    let journal = size_mib(&served.data);
    served.kill();
    let again = Served::start(bench, "restart", &[])?;
    let overview = again.connect()?.get("/api/v1/overview")?;
    let back = overview["running"].as_u64().unwrap_or(0) + overview["waiting"].as_u64().unwrap_or(0);
    if back != waiting {
        bail!("{waiting} jobs waited or ran before the kill, {back} after");
    }
    let inputs = number(inputs as f64);
    Ok(vec![
        Row::new(
            format!(
                "ready again after `kill -9`, journal of {inputs} inputs ({journal} MiB), {} jobs live",
                number(waiting as f64)
            ),
            format!("{:.1} s", again.ready.as_secs_f64()),
            "",
        ),
        Row::new("memory, 18,000 GPUs and no job", format!("{empty} MiB"), ""),
        Row::new(
            format!("memory, {} jobs live and {} ended", number(waiting as f64), number((arrays * tasks) as f64)),
            format!("{busy} MiB"),
            "",
        ),
    ])
}
