//! `cargo xtask test`: everything that a change must pass, in the order in which it is cheapest to fail.
use crate::tally::{self, Tally};
use crate::{instructions, prepare, shell, tidy};
use anyhow::Result;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// Seeds that CI simulates. Fixed, so that a red run is the change's fault.
const SEEDS: [&str; 4] = ["--seed", "1", "--seeds", "200"];

/// Runs everything and prints the closing line; an error when anything failed.
pub fn run(root: &Path, args: &[String]) -> Result<()> {
    let begun = Instant::now();
    let prepared = if args.iter().any(|arg| arg == "--no-prepare") {
        prepare::Prepared::default()
    } else {
        prepare::everything(root)
    };
    let mut tally = Tally::default();
    let mut checked = |name: &str, run: &mut dyn FnMut() -> Result<()>| {
        eprintln!("== {name} ({} s)", begun.elapsed().as_secs());
        tally.check(name, &run());
    };
    checked("fmt", &mut || shell::run(shell::cargo(root).args(["fmt", "--all", "--check"])));
    checked("tidy", &mut || tidy::run(root));
    checked("clippy", &mut || shell::run(&mut clippy(root)));
    checked("release build", &mut || shell::run(shell::cargo(root).args(["build", "--release", "-p", "madang-cli"])));
    eprintln!("== tests ({} s)", begun.elapsed().as_secs());
    let mut tests = shell::cargo(root);
    // What passing tests print is wanted for one thing: to know which of them were skipped.
    tests.args(["test", "--workspace", "--no-fail-fast", "--", "--show-output"]);
    prepared.tell(&mut tests);
    tally::count(&mut tests, &mut tally)?;
    eprintln!("== instructions ({} s)", begun.elapsed().as_secs());
    let counted = instructions::check(root, false).map(|skipped| {
        tally.skipped.extend(skipped.map(|why| format!("skipped: {why}")));
    });
    tally.check("instructions", &counted);
    eprintln!("== sim ({} s)", begun.elapsed().as_secs());
    tally.check("sim", &simulate(root, &SEEDS.map(String::from)));
    close(&tally, &prepared.missing, begun)
}

/// Builds and runs the simulator in release.
pub fn simulate(root: &Path, args: &[String]) -> Result<()> {
    let mut command = shell::cargo(root);
    command.args(["run", "--quiet", "--release", "-p", "madang-sim", "--example", "simulate", "--"]).args(args);
    shell::run(&mut command)
}

/// Writes `openapi.json` anew; the server's own test makes it and compares it otherwise.
pub fn openapi(root: &Path) -> Result<()> {
    let mut command = shell::cargo(root);
    command.args(["test", "--quiet", "-p", "madang-server", "--lib", "openapi"]).env("UPDATE_EXPECT", "1");
    shell::run(&mut command)
}

fn clippy(root: &Path) -> Command {
    let mut command = shell::cargo(root);
    command.args(["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]);
    command
}

fn close(tally: &Tally, missing: &[String], begun: Instant) -> Result<()> {
    println!("== {} s", begun.elapsed().as_secs());
    tally.failures.iter().for_each(|name| println!("failed: {name}"));
    tally.skipped.iter().for_each(|line| println!("{line}"));
    missing.iter().for_each(|line| println!("missing: {line}"));
    println!("{} passed, {} failed", tally.passed, tally.failed);
    if tally.failed > 0 {
        anyhow::bail!("{} of {} failed", tally.failed, tally.passed + tally.failed);
    }
    Ok(())
}
