//! The project's own chores, run as `cargo xtask NAME`.
//!
//! `test` is all that a change must pass, on a bare machine too; `.ci/run` calls it and nothing else. Chores are Rust
//! so that they need no other tool, and each does one thing that its usage line says.
mod bench;
mod instructions;
mod prepare;
mod shell;
mod tally;
mod test;
mod tidy;

use anyhow::{Result, bail};
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask CHORE

  test [--no-prepare]   prepare what tests need, then everything CI runs; ends with `N passed, N failed`
  ci                    the same
  prepare               the first step of `test` alone
  tidy                  the house rules that no compiler checks
  sim [--seed N] [--seeds K] [--steps S] [--verbose]
                        simulate with faults: K seeds from N on, S steps each
  openapi               write openapi.json anew from the wire's types
  bench [--only GROUP,GROUP] [--quick] [--no-peers] [--no-write] [--slurm-start SCRIPT] [--traces FOLDER]
                        measure the README's figures, with peers in the same run, and write them down;
                        groups are served, scheduler, lab, trial and slurm-engine
  instructions [--bless]
                        instructions per decision under valgrind, against the counts that are checked in
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match chore(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn chore(args: &[String]) -> Result<()> {
    let root = shell::root()?;
    let (name, rest) = args.split_first().map_or(("", args), |(name, rest)| (name.as_str(), rest));
    match name {
        "test" | "ci" => test::run(&root, rest),
        "prepare" => {
            prepare::everything(&root).missing.iter().for_each(|what| println!("missing: {what}"));
            Ok(())
        }
        "tidy" => tidy::run(&root),
        "bench" => bench::run(&root, rest),
        "bench-here" => bench::run_here(&root, rest),
        "instructions" => instructions::chore(&root, rest),
        "bench-client" => bench::client(rest),
        "bench-lodge" => bench::lodge(rest),
        "openapi" => test::openapi(&root),
        "sim" => test::simulate(&root, rest),
        "" | "help" | "-h" | "--help" => {
            print!("{USAGE}");
            Ok(())
        }
        other => bail!("no chore is named {other}\n{USAGE}"),
    }
}
