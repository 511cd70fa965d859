//! `cargo xtask bench`: the README's figures, measured on this machine, with peers in the same run.
//!
//! Everything is measured from outside, on the release binary and over HTTP, by clients in another process; peers get
//! the same work and the same number of slots. What is not installed is said to be absent, never left out in silence.
//!
//! Measures stand in groups, each a table of its own on the page with the machine it was measured on; a new group is a
//! line in [`GROUPS`] and a pair of marks on the page. The README's table has the rows of all groups.
mod accasim;
mod backfill;
mod client;
mod figures;
mod lab;
mod lodge;
mod measures;
mod peers;
mod plot;
mod scheduler;
mod served;
mod slurm_engine;
mod table;
mod trial;

pub use client::client;
pub use lodge::lodge;

use crate::shell;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;
use table::Row;

/// What to measure and how much of it.
pub struct Bench {
    /// The repository's root.
    pub root: PathBuf,
    /// The program under test.
    pub madang: PathBuf,
    /// A folder that is ours and gone afterwards.
    pub scratch: PathBuf,
    /// A tenth of everything, for a first look; nothing is written down.
    pub quick: bool,
    /// False to measure ours alone.
    pub peers: bool,
    /// A script that starts a real Slurm in the folder it is given.
    pub slurm_start: Option<PathBuf>,
    /// A folder with the traces that the repository does not have.
    pub traces: PathBuf,
}

impl Bench {
    /// A number of things to do, a tenth of it when quick.
    pub fn amount(&self, full: u64) -> u64 {
        if self.quick { full / 10 } else { full }
    }

    /// Runs an example of ours and gives what it printed.
    pub fn example(&self, name: &str, args: &[&str]) -> Result<String> {
        let mut command = Command::new(shell::target(&self.root).join("release/examples").join(name));
        let output = command.args(args).output().with_context(|| format!("failed to run the example {name}"))?;
        if !output.status.success() {
            bail!("the example {name} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// Measures that are made together.
pub struct Group {
    /// Its name after `--only` and in the marks of the page.
    pub name: &'static str,
    measure: fn(&Bench) -> Vec<Row>,
}

/// All groups, in the order of the README's table.
pub const GROUPS: [Group; 5] = [
    Group { name: "served", measure: served_rows },
    Group { name: "scheduler", measure: scheduler::measure },
    Group { name: "lab", measure: lab::measure },
    Group { name: "trial", measure: trial::measure },
    Group { name: "slurm-engine", measure: slurm_engine::measure },
];

/// Examples that measure.
const EXAMPLES: [(&str, &str); 6] = [
    ("madang-sched", "cycle"),
    ("madang-sim", "easy"),
    ("madang-sim", "placement"),
    ("madang-sim", "trial"),
    ("madang-sim", "year"),
    ("madang-sim", "arrays"),
];

/// Builds in release, then measures in a process of that build.
pub fn run(root: &Path, args: &[String]) -> Result<()> {
    shell::run(shell::cargo(root).args(["build", "--release", "--quiet", "-p", "madang-cli", "-p", "xtask"]))?;
    for (package, example) in EXAMPLES {
        shell::run(shell::cargo(root).args(["build", "--release", "--quiet", "-p", package, "--example", example]))?;
    }
    let release = shell::target(root).join("release");
    shell::run(Command::new(release.join("xtask")).arg("bench-here").args(args).current_dir(root))
}

/// Measures; runs in release.
pub fn run_here(root: &Path, args: &[String]) -> Result<()> {
    let has = |word: &str| args.iter().any(|arg| arg == word);
    let only: Option<String> = shell::option(args, "--only")?;
    let wanted = |group: &&Group| only.as_ref().is_none_or(|only| only.split(',').any(|name| name == group.name));
    let groups: Vec<&Group> = GROUPS.iter().filter(wanted).collect();
    if groups.is_empty() {
        bail!("--only takes {}, with commas between", GROUPS.map(|group| group.name).join(", "));
    }
    let scratch = std::env::temp_dir().join(format!("madang-bench-{}", std::process::id()));
    std::fs::create_dir_all(&scratch)?;
    let traces: Option<PathBuf> = shell::option(args, "--traces")?;
    let bench = Bench {
        root: root.to_path_buf(),
        madang: shell::target(root).join("release/madang"),
        scratch: scratch.clone(),
        quick: has("--quick"),
        peers: !has("--no-peers"),
        slurm_start: shell::option(args, "--slurm-start")?,
        traces: traces.unwrap_or_else(|| root.join("../shared/traces")),
    };
    for group in groups {
        let rows = (group.measure)(&bench);
        let text = table::markdown(&rows);
        println!("{text}");
        if !has("--no-write") && !bench.quick {
            table::write(root, group.name, &text)?;
        }
    }
    std::fs::remove_dir_all(&scratch).ok();
    Ok(())
}

/// What is measured from outside on the served program. Peers first, so that nothing of ours runs beside them.
fn served_rows(bench: &Bench) -> Vec<Row> {
    let peers = if bench.peers { peers::measure(bench) } else { peers::Peers::default() };
    let measures: [(&str, measures::Measure); 4] = [
        ("submissions and modelled jobs", measures::modelled),
        ("real processes", measures::processes),
        ("commands", measures::commands),
        ("restart and memory", measures::restart),
    ];
    measures.iter().flat_map(|(name, measure)| rows_of(name, || measure(bench, &peers))).collect()
}

/// The rows of one measure; one that fails says so in its row and does not keep the others from running.
fn rows_of(name: &str, measure: impl FnOnce() -> Result<Vec<Row>>) -> Vec<Row> {
    eprintln!("bench: {name}");
    measure().unwrap_or_else(|error| {
        eprintln!("bench: {name} failed: {error:#}");
        let error = error.to_string();
        vec![Row::new(name, format!("failed: {}", error.lines().next().unwrap_or("")), "")]
    })
}
