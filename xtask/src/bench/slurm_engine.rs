//! Jobs through Madang's server and engine and a real Slurm, against that Slurm alone with the same jobs.
//!
//! Rounds of each take turns on one cluster, and the middle one counts: other work on the machine then falls on all. What
//! each had of the processor is counted beside the clock, for both are bound by it.
use super::client::post_many;
use super::lodge::{Lodge, Spent};
use super::peers::{conf_of, drained, slurm_command, slurm_version};
use super::served::Served;
use super::table::{Row, aim, number};
use super::{Bench, rows_of};
use anyhow::{Context, Result, bail};
use serde_json::json;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Rounds of each.
const ROUNDS: usize = 3;
/// What Madang is to reach of Slurm's own throughput.
const PART: f64 = 0.9;
const PATIENCE: Duration = Duration::from_secs(300);

/// The group's rows.
pub fn measure(bench: &Bench) -> Vec<Row> {
    let Some(script) = &bench.slurm_start else {
        return vec![Row::new("jobs through Slurm", "skipped: no --slurm-start", "")];
    };
    rows_of("jobs through Slurm", || measured(bench, script))
}

/// A cluster, and a centre that has it.
struct Site<'b> {
    bench: &'b Bench,
    lodge: Lodge,
    conf: PathBuf,
}

/// One round: jobs a second, and milliseconds of the processor a job, where they went.
#[derive(Clone, Copy, Debug, Default)]
struct Round {
    per_sec: f64,
    server: f64,
    commands: f64,
    controller: f64,
    nodes: f64,
    jobs: f64,
}

impl Round {
    fn processor(&self) -> f64 {
        self.server + self.commands + self.controller + self.nodes + self.jobs
    }

    fn shown(&self) -> String {
        let Round { server, commands, controller, nodes, jobs, .. } = self;
        let server = if *server > 0.0 { format!("server {server:.1}, ") } else { String::new() };
        format!(
            "{:.1} ms: {server}commands {commands:.1}, slurmctld {controller:.1}, slurmd and munge {nodes:.1}, \
             slurmstepd and what it runs {jobs:.1}",
            self.processor()
        )
    }
}

/// Who runs the jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Alone,
    /// A Slurm job carries several.
    Carried,
    /// Each is a Slurm job.
    Each,
}

fn measured(bench: &Bench, script: &Path) -> Result<Vec<Row>> {
    let folder = bench.scratch.join("under");
    let shown = folder.to_string_lossy().into_owned();
    let sizes = ["--no-db", "--no-rest", "--nodes", "4", "--cpus", "32", "--gpus", "8"];
    let lodge = Lodge::start(script, &[&[shown.as_str()], &sizes[..]].concat())?;
    let stop = Stop(script.with_file_name("stop"), folder.clone());
    let site = Site { bench, lodge, conf: conf_of(&folder)? };
    let version = slurm_version(slurm_command(bench, &site.conf, "sinfo"))?;
    let mut rows = Vec::new();
    for gpus in [0, 1] {
        rows.extend(compared(&site, gpus, &version)?);
    }
    drop(stop);
    Ok(rows)
}

/// Ends the cluster by the script beside the one that started it, while its daemons still have who waits for them.
struct Stop(PathBuf, PathBuf);

impl Drop for Stop {
    fn drop(&mut self) {
        let Stop(script, folder) = self;
        Command::new(script).arg(folder).arg("--wipe").stdout(Stdio::null()).stderr(Stdio::null()).status().ok();
    }
}

fn compared(site: &Site<'_>, gpus: u64, version: &str) -> Result<[Row; 2]> {
    let mut rounds: [Vec<Round>; 3] = Default::default();
    for _ in 0..ROUNDS {
        for (way, rounds) in [Way::Alone, Way::Carried, Way::Each].into_iter().zip(&mut rounds) {
            let round = site.round(way, gpus)?;
            eprintln!("bench: {way:?} {gpus} GPUs: {:.1}/s, {}", round.per_sec, round.shown());
            rounds.push(round);
        }
    }
    let [alone, carried, each] = rounds.map(middle);
    let what = if gpus == 0 { "one CPU each" } else { "one GPU each" };
    let part = carried.per_sec / alone.per_sec;
    let aim = aim(&format!("≥ {:.0}% of it", PART * 100.0), part >= PART);
    Ok([
        Row::new(
            format!("jobs of no length, {what}, 128 CPUs and 32 GPUs, through Slurm, submitted to finished"),
            format!(
                "{}/s ({:.0}%); with a Slurm job for each {}/s ({:.0}%)",
                number(carried.per_sec),
                part * 100.0,
                number(each.per_sec),
                each.per_sec / alone.per_sec * 100.0
            ),
            format!("{version} alone {}/s; {aim}", number(alone.per_sec)),
        ),
        Row::new(
            format!("the same, processor's time a job, {what}"),
            format!("{}; with a Slurm job for each {}", carried.shown(), each.shown()),
            format!("{version} alone {}", alone.shown()),
        ),
    ])
}

/// The round in the middle by throughput.
fn middle(mut rounds: Vec<Round>) -> Round {
    rounds.sort_by(|one, other| one.per_sec.total_cmp(&other.per_sec));
    rounds.get(rounds.len() / 2).copied().unwrap_or_default()
}

impl Site<'_> {
    fn round(&self, way: Way, gpus: u64) -> Result<Round> {
        // A tenth would end before the cluster is full.
        let count = if self.bench.quick { 200 } else { 600 };
        let served = if way == Way::Alone { None } else { Some(self.serve(way)?) };
        let id = served.as_ref().map_or_else(|| "self".to_owned(), Served::id);
        let parts = || {
            let caller = Spent::of(&id);
            let own = if served.is_some() { caller.own } else { 0 };
            let controller = self.lodge.daemons(|name| name == "slurmctld");
            let nodes = self.lodge.daemons(|name| name != "slurmctld");
            [own, caller.children, controller, nodes, self.lodge.orphans()]
        };
        let (before, begun) = (parts(), Instant::now());
        match &served {
            Some(served) => through(served, count, gpus)?,
            None => self.alone(count, gpus)?,
        }
        let secs = begun.elapsed().as_secs_f64();
        drained(|| slurm_command(self.bench, &self.conf, "squeue"))?;
        let after = parts();
        let mut each = before.iter().zip(after).map(|(before, after)| (after - before) as f64 / count as f64);
        let mut next = || each.next().unwrap_or_default();
        let per_sec = count as f64 / secs;
        Ok(Round { per_sec, server: next(), commands: next(), controller: next(), nodes: next(), jobs: next() })
    }

    /// A fresh server on a centre that is this cluster.
    fn serve(&self, way: Way) -> Result<Served> {
        for folder in ["over", "spool"] {
            std::fs::remove_dir_all(self.bench.scratch.join(folder)).ok();
        }
        let here = std::fs::read_to_string(self.bench.root.join("centres/here.toml"))?;
        let (head, rest) = here.split_once("[[site]]").context("the centre of this machine has a site")?;
        let (_, partitions) = rest.split_once("[[partition]]").context("it has partitions")?;
        let partitions = partitions.replace("[\"here\"]", "[\"cluster\"]");
        let site = format!(
            "[[site]]\nname = \"cluster\"\ntitle = \"Cluster\"\noperator = \"owner\"\nengine = \"slurm\"\n\
             shares = {{ owner = \"100%\" }}\nsource = \"started for a measurement\"\n\n\
             [site.slurm]\npartition = \"gpu\"\nspool = \"{}\"\nconf = \"{}\"\ncommands = \"/usr/bin\"\ncarry = {}\n\n\
             [[site.island]]\nname = \"cluster\"\nnodes = 4\nnames = \"n{{1}}\"\nnodes_per_rack = 4\ngpus_per_node = 8\n\
             gpu = \"h200\"\ngpu_memory = \"141 GiB\"\ncpus_per_node = 32\nmemory_per_node = \"240 GiB\"\n",
            self.bench.scratch.join("spool").display(),
            self.conf.display(),
            way == Way::Carried
        );
        let file = self.bench.scratch.join("cluster.toml");
        std::fs::write(&file, format!("{head}{site}\n[[partition]]{partitions}"))?;
        let served = Served::start(self.bench, "over", &["--centre", &file.to_string_lossy()])?;
        // Its nodes take work once Slurm has told of them.
        let begun = Instant::now();
        loop {
            let nodes = served.connect()?.get("/api/v1/nodes")?;
            if nodes.to_string().matches("\"IDLE\"").count() >= 4 {
                return Ok(served);
            }
            if begun.elapsed() > Duration::from_secs(30) {
                bail!("its nodes take no work: {nodes}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn alone(&self, count: u64, gpus: u64) -> Result<()> {
        let left = AtomicU64::new(count);
        let work = || -> Result<()> {
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                let mut sbatch = slurm_command(self.bench, &self.conf, "sbatch");
                sbatch.args(["-o", "/dev/null", "-D", "/", "-N1", "-n1", "-c1", "--mem", "1024", "-t", "12"]);
                if gpus > 0 {
                    sbatch.arg(format!("--gres=gpu:{gpus}"));
                }
                let mut child = sbatch.stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
                child.stdin.take().context("its input is piped")?.write_all(b"#!/bin/sh\n")?;
                if !child.wait()?.success() {
                    bail!("sbatch failed");
                }
            }
            Ok(())
        };
        let done: Vec<Result<()>> = std::thread::scope(|scope| {
            let handles: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
            handles.into_iter().map(|handle| handle.join().expect("a caller does not panic")).collect()
        });
        done.into_iter().collect::<Result<()>>()?;
        drained(|| slurm_command(self.bench, &self.conf, "squeue"))
    }
}

fn through(served: &Served, count: u64, gpus: u64) -> Result<()> {
    let batch = json!({"script": "#!/bin/sh\n", "cwd": "/", "stdout": "/dev/null"});
    let part = json!({"nodes": 1, "cpus_per_node": 1, "memory_mib": 1024, "gpus_per_node": gpus});
    let job = json!({"parts": [part], "limit_secs": 600, "batch": batch});
    post_many(&served.address, &served.token(), &job, count, 16)?;
    served.wait_ended(count, PATIENCE)?;
    // An end is an end of any kind; these must have been good ones.
    let jobs = served.connect()?.get("/api/v1/jobs?state=COMPLETED&limit=1000")?.to_string();
    let completed = jobs.matches("\"COMPLETED\"").count() as u64;
    if completed < count.min(100) {
        bail!("only {completed} jobs completed");
    }
    Ok(())
}
