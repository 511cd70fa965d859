//! The Slurm engine against a real Slurm, which this program starts: the promises of every engine, and what only Slurm
//! can do to a run. It has a `main` of its own, so that the cluster is started once and ended whatever fails.
mod carried;
mod cluster;
#[path = "../contract/mod.rs"]
mod contract;
mod faults;

use cluster::Cluster;
use contract::{CASES, Place};
use madang_engine::{Engine, EngineReport, Expected, SlurmEngine, SlurmOptions};
use madang_model::SlurmSite;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;

/// A place of its own for each bench on one cluster.
pub struct OnSlurm {
    /// Slurm's configuration file.
    pub conf: String,
    /// Stands before Slurm's own commands, to get in their way.
    pub commands: Option<String>,
    /// Slurm's partition.
    pub partition: String,
}

impl OnSlurm {
    /// Slurm's own commands and the cluster's one partition.
    pub fn new(cluster: &Cluster) -> OnSlurm {
        let conf = cluster.conf().display().to_string();
        OnSlurm { conf, commands: None, partition: "gpu".to_owned() }
    }
}

impl Place for OnSlurm {
    fn open(&self, dir: &Path, reports: Sender<EngineReport>) -> Box<dyn Engine> {
        let node = |number: usize| Expected {
            name: format!("n{number}"),
            gpus: cluster::GPUS as u32,
            cpus: 64,
            memory_mib: 256_000,
        };
        let options = SlurmOptions {
            site: SlurmSite {
                partition: self.partition.clone(),
                spool: dir.join("spool").display().to_string(),
                conf: Some(self.conf.clone()),
                commands: self.commands.clone(),
                account: None,
                qos: None,
                carry: true,
            },
            nodes: (1..=cluster::NODES).map(node).collect(),
            helper: PathBuf::from(env!("CARGO_BIN_EXE_madang-nursery")),
            extra_env: Vec::new(),
        };
        Box::new(SlurmEngine::open(dir, options, reports).expect("the folder is free"))
    }

    fn node(&self) -> &str {
        "n1"
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        return;
    }
    let filter = arguments.iter().find(|argument| !argument.starts_with('-'));
    let is_wanted = |name: &str| filter.is_none_or(|filter| name.contains(filter.as_str()));
    let Some(mut cluster) = Cluster::start("engine") else {
        println!("{}", cluster::MISSING);
        return;
    };
    let cases: Vec<_> =
        CASES.iter().chain(faults::CASES).chain(carried::CASES).copied().filter(|(name, _)| is_wanted(name)).collect();
    let mut failed = contract::try_all(&OnSlurm::new(&cluster), &cases, 6);
    let mut tried = cases.len();
    // Those that end daemons have the cluster to themselves.
    for (name, case) in faults::ALONE.iter().filter(|(name, _)| is_wanted(name)) {
        tried += 1;
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| case(&mut cluster)));
        println!("case {name} ... {}", if outcome.is_ok() { "ok" } else { "FAILED" });
        failed.extend(outcome.is_err().then_some(*name));
    }
    drop(cluster);
    failed.iter().for_each(|name| println!("test {name} ... FAILED"));
    let word = if failed.is_empty() { "ok" } else { "FAILED" };
    println!("test result: {word}. {} passed; {} failed; 0 ignored", tried - failed.len(), failed.len());
    std::process::exit(i32::from(!failed.is_empty()));
}
