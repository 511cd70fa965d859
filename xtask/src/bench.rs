//! `cargo xtask bench`: the README's figures, measured on this machine, with peers in the same run.
//!
//! Everything is measured from outside, on the release binary and over HTTP, by clients in another process; peers get
//! the same work and the same number of slots. What is not installed is said to be absent, never left out in silence.
mod client;
mod measures;
mod peers;
mod served;
mod table;

pub use client::client;

use crate::shell;
use anyhow::Result;
use std::path::{Path, PathBuf};
use table::Row;

/// What to measure and how much of it.
pub struct Bench {
    /// The repository's root.
    pub root: PathBuf,
    /// The program under test.
    pub madang: PathBuf,
    /// A folder that is ours and gone afterwards.
    pub scratch: PathBuf,
    /// A tenth of everything, for a first look.
    pub quick: bool,
    /// A script that starts a real Slurm in the folder it is given.
    pub slurm_start: Option<PathBuf>,
}

impl Bench {
    /// A number of things to do, a tenth of it when quick.
    pub fn amount(&self, full: u64) -> u64 {
        if self.quick { full / 10 } else { full }
    }
}

/// Builds in release, then measures in a process of that build.
pub fn run(root: &Path, args: &[String]) -> Result<()> {
    shell::run(shell::cargo(root).args(["build", "--release", "--quiet", "-p", "madang-cli", "-p", "xtask"]))?;
    shell::run(shell::cargo(root).args(["build", "--release", "--quiet", "-p", "madang-sched", "--example", "cycle"]))?;
    let release = shell::target(root).join("release");
    shell::run(std::process::Command::new(release.join("xtask")).arg("bench-here").args(args).current_dir(root))
}

/// Measures; runs in release.
pub fn run_here(root: &Path, args: &[String]) -> Result<()> {
    let has = |word: &str| args.iter().any(|arg| arg == word);
    let scratch = std::env::temp_dir().join(format!("madang-bench-{}", std::process::id()));
    std::fs::create_dir_all(&scratch)?;
    let bench = Bench {
        root: root.to_path_buf(),
        madang: shell::target(root).join("release/madang"),
        scratch: scratch.clone(),
        quick: has("--quick"),
        slurm_start: shell::option(args, "--slurm-start")?,
    };
    let rows = if has("--no-peers") { measure(&bench, &peers::Peers::default()) } else { with_peers(&bench) };
    std::fs::remove_dir_all(&scratch).ok();
    let text = table::markdown(&rows);
    println!("{text}");
    if !has("--no-write") && !bench.quick {
        table::write(root, &text)?;
    }
    Ok(())
}

/// Peers first, so that nothing of ours runs beside them.
fn with_peers(bench: &Bench) -> Vec<Row> {
    let peers = peers::measure(bench);
    measure(bench, &peers)
}

/// Every measure; one that fails says so in its row and does not keep the others from running.
fn measure(bench: &Bench, peers: &peers::Peers) -> Vec<Row> {
    let mut rows = Vec::new();
    let measures: [(&str, measures::Measure); 5] = [
        ("submissions and modelled jobs", measures::modelled),
        ("real processes", measures::processes),
        ("commands", measures::commands),
        ("scheduling cycle", measures::cycle),
        ("restart and memory", measures::restart),
    ];
    for (name, measure) in measures {
        eprintln!("bench: {name}");
        match measure(bench, peers) {
            Ok(more) => rows.extend(more),
            Err(error) => {
                eprintln!("bench: {name} failed: {error:#}");
                let error = error.to_string();
                rows.push(Row::new(name, format!("failed: {}", error.lines().next().unwrap_or("")), ""));
            }
        }
    }
    rows
}
