//! Peers, measured in the same run on the same machine with the same work: Slurm and HyperQueue, where they are there.
use super::Bench;
use crate::shell;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Processes at a time, for everybody.
pub const SLOTS: u64 = 128;

/// What one peer did.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    /// Its name and version.
    pub name: String,
    /// What its submissions are made by.
    pub submits_by: String,
    /// Submissions accepted a second by its fastest way in.
    pub submitted_per_sec: Option<f64>,
    /// `sbatch` calls a second.
    pub sbatch_per_sec: Option<f64>,
    /// Real processes a second, submitted to finished.
    pub finished_per_sec: Option<f64>,
}

/// All peers, and why others are absent.
#[derive(Clone, Debug, Default)]
pub struct Peers {
    there: Vec<Peer>,
    absent: Vec<String>,
}

impl Peers {
    /// One figure of each peer that has it, and who is absent.
    pub fn line(&self, figure: impl Fn(&Peer) -> Option<String>) -> String {
        let figures = self.there.iter().filter_map(figure);
        figures.chain(self.absent.iter().cloned()).collect::<Vec<_>>().join("; ")
    }
}

/// Measures every peer that is there.
pub fn measure(bench: &Bench) -> Peers {
    let mut peers = Peers::default();
    for (name, measure) in [("Slurm", slurm as fn(&Bench) -> Result<Peer>), ("HyperQueue", hyperqueue)] {
        eprintln!("bench: {name}");
        match measure(bench) {
            Ok(peer) => peers.there.push(peer),
            Err(error) => {
                eprintln!("bench: {name} is absent: {error:#}");
                peers.absent.push(format!("{name} absent"));
            }
        }
    }
    peers
}

/// Calls `sbatch` many times, four at a time, for jobs of no length; gives calls a second.
pub fn sbatch_rate(count: u64, sbatch: impl Fn() -> Command + Sync) -> Result<f64> {
    let left = AtomicU64::new(count);
    let begun = Instant::now();
    let work = || -> Result<()> {
        while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
            let output = sbatch().args(["-o", "/dev/null", "-n", "1", "--mem", "16", "--wrap", "true"]).output()?;
            if !output.status.success() {
                bail!("sbatch failed: {}", String::from_utf8_lossy(&output.stderr).trim());
            }
        }
        Ok(())
    };
    let done: Vec<Result<()>> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        handles.into_iter().map(|handle| handle.join().expect("a caller does not panic")).collect()
    });
    done.into_iter().collect::<Result<()>>()?;
    Ok(count as f64 / begun.elapsed().as_secs_f64())
}

// ---- Slurm ----

/// A Slurm that we started is stopped again by the script beside the one that started it.
pub struct Started {
    script: PathBuf,
    folder: PathBuf,
}

impl Started {
    /// Has the script start one in a folder of its own; its configuration is the second.
    pub fn start(bench: &Bench, script: &Path, name: &str, options: &[&str]) -> Result<(Started, PathBuf)> {
        let started = Started { script: script.to_path_buf(), folder: bench.scratch.join(name) };
        let mut start = Command::new(script);
        start.arg(&started.folder).args(["--no-db", "--no-rest"]).args(options);
        shell::run(start.stdout(Stdio::null()).stderr(Stdio::null()))?;
        let conf = conf_of(&started.folder)?;
        Ok((started, conf))
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let stop = self.script.with_file_name("stop");
        Command::new(stop).arg(&self.folder).arg("--wipe").stdout(Stdio::null()).stderr(Stdio::null()).status().ok();
    }
}

fn slurm(bench: &Bench) -> Result<Peer> {
    let (conf, _started) = match &bench.slurm_start {
        Some(script) => {
            let (started, conf) = Started::start(bench, script, "slurm", &["--nodes", "4", "--cpus", "32"])?;
            (conf, Some(started))
        }
        None => {
            (std::env::var_os("SLURM_CONF").map(PathBuf::from).context("no SLURM_CONF and no --slurm-start")?, None)
        }
    };
    let call = |name: &str| slurm_command(bench, &conf, name);
    let version = slurm_version(call("sinfo"))?;
    if !call("sinfo").arg("-h").output()?.status.success() {
        bail!("its controller does not answer");
    }
    let count = bench.amount(400);
    let rate = sbatch_rate(count, || call("sbatch"))?;
    drained(|| call("squeue"))?;
    let begun = Instant::now();
    let array = format!("0-{}", count - 1);
    let mut batch = call("sbatch");
    batch.args(["-o", "/dev/null", "-n", "1", "--mem", "16", "--array", &array, "--wrap", "true"]);
    shell::run(batch.stdout(Stdio::null()))?;
    drained(|| call("squeue"))?;
    let finished = count as f64 / begun.elapsed().as_secs_f64();
    Ok(Peer {
        name: version,
        submits_by: "Slurm's `sbatch`".into(),
        submitted_per_sec: Some(rate),
        sbatch_per_sec: Some(rate),
        finished_per_sec: Some(finished),
    })
}

/// One of Slurm's own commands, not a shim of ours that may be on the path.
pub fn slurm_command(bench: &Bench, conf: &Path, name: &str) -> Command {
    let mut command = Command::new(Path::new("/usr/bin").join(name));
    command.env("SLURM_CONF", conf).current_dir(&bench.scratch);
    command
}

/// What it calls itself, as in `Slurm 22.05.8`.
pub fn slurm_version(mut sinfo: Command) -> Result<String> {
    let version = sinfo.arg("--version").output().context("failed to run sinfo")?;
    Ok(String::from_utf8_lossy(&version.stdout).trim().replace("slurm", "Slurm").replace("-wlm", ""))
}

/// What the environment file of a started Slurm says.
pub fn conf_of(folder: &Path) -> Result<PathBuf> {
    let path = folder.join("env");
    let text = std::fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
    let line = text.lines().find_map(|line| line.trim_start_matches("export ").strip_prefix("SLURM_CONF="));
    let value = line.context("the environment file names no SLURM_CONF")?;
    Ok(PathBuf::from(value.trim_matches(['"', '\''])))
}

/// Waits until nothing is queued.
pub fn drained(squeue: impl Fn() -> Command) -> Result<()> {
    let begun = Instant::now();
    while !squeue().arg("-h").output()?.stdout.trim_ascii().is_empty() {
        if begun.elapsed() > Duration::from_secs(300) {
            bail!("its queue is not empty after five minutes");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

// ---- from Python's registry ----

/// One job of many tasks on a cluster of its own, timed inside so that its own start does not count.
const HYPERQUEUE: &str = r#"
import sys, time
from hyperqueue import LocalCluster, Job
from hyperqueue.cluster import WorkerConfig
count, slots = int(sys.argv[1]), int(sys.argv[2])
with LocalCluster() as cluster:
    cluster.start_worker(WorkerConfig(cores=slots))
    client = cluster.client()
    def run(number):
        job = Job()
        for _ in range(number):
            job.program(["true"], stdout=None, stderr=None)
        begun = time.time()
        submitted = client.submit(job)
        accepted = time.time() - begun
        client.wait_for_jobs([submitted], raise_on_error=True)
        return accepted, time.time() - begun
    run(100)
    accepted, finished = run(count)
    print(count / accepted, count / finished)
"#;

/// A Python that has this package, installed by name where it is not yet, and the package's version.
pub fn python_with(bench: &Bench, package: &str) -> Result<(PathBuf, String)> {
    let venv = shell::target(&bench.root).join("bench-venv");
    let python = venv.join("bin/python");
    let version = || {
        let ask = format!("import importlib.metadata as m; print(m.version('{package}'))");
        let output = Command::new(&python).args(["-c", &ask]).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    if let Some(version) = version() {
        return Ok((python, version));
    }
    if !python.is_file() {
        shell::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
    }
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", package];
    shell::run(Command::new(&python).args(install))?;
    let version = version().with_context(|| format!("{package} is not there after its installation"))?;
    Ok((python, version))
}

fn hyperqueue(bench: &Bench) -> Result<Peer> {
    let (python, version) = python_with(bench, "hyperqueue")?;
    let count = bench.amount(5_000).to_string();
    let mut script = Command::new(&python);
    script.args(["-c", HYPERQUEUE, &count, &SLOTS.to_string()]).current_dir(&bench.scratch);
    let output = script.output().context("failed to run HyperQueue")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // Its server speaks first; the figures are the last line.
    let last = text.lines().next_back().unwrap_or("");
    let figures: Vec<f64> = last.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [_, finished] = figures[..] else {
        bail!("HyperQueue said {text:?} and {}", String::from_utf8_lossy(&output.stderr).trim());
    };
    Ok(Peer { name: format!("HyperQueue {version}"), finished_per_sec: Some(finished), ..Peer::default() })
}
