//! Slurm's commands by their own names: their options, their outputs, their exit codes.
//!
//! Each command turns options into calls of the HTTP API and answers into the bytes that other programs parse. Nothing
//! here decides what runs.
pub mod ask;
pub mod directives;
pub mod export;
pub mod format;
pub mod jobfields;
pub mod jobs;
pub mod jobtable;
pub mod json;
pub mod options;
pub mod reservations;
pub mod sacct;
pub mod salloc;
pub mod sbatch;
pub mod scancel;
pub mod scontrol;
#[cfg(test)]
mod shapes;
pub mod show;
pub mod sinfo;
pub mod squeue;
pub mod srun;
pub mod submission;
pub mod topology;
pub mod values;

use crate::fail::{Fail, print};
use options::{Arg, Does, Given, Opt, Parsed};

/// The commands, as `madang shims` installs them.
pub const NAMES: &[&str] = &["sbatch", "squeue", "scancel", "sinfo", "sacct", "srun", "salloc", "scontrol"];

/// The release of Slurm whose manual these commands follow; what `--version` says, for programs that compare it.
const VERSION: &str = "slurm 22.05.8";

/// Runs one of [`NAMES`].
pub fn run(name: &str, args: &[String]) -> u8 {
    let result = match name {
        "sbatch" => sbatch::run(args),
        "squeue" => squeue::run(args),
        "scancel" => scancel::run(args),
        "sinfo" => sinfo::run(args),
        "sacct" => sacct::run(args),
        "srun" => srun::run(args),
        "salloc" => salloc::run(args),
        _ => scontrol::run(args),
    };
    result.unwrap_or_else(|fail| {
        complain(name, &fail);
        let submits = matches!(name, "sbatch" | "srun" | "salloc");
        if fail.exit == options::MISUSE && !submits { 1 } else { fail.exit }
    })
}

/// A failure as Slurm's commands print one.
pub fn complain(name: &str, fail: &Fail) {
    for line in fail.fact.lines() {
        eprintln!("{name}: error: {line}");
    }
    if let Some(hint) = &fail.hint {
        eprintln!("{name}: hint: {hint}");
    }
}

/// Refuses by name what a table refuses.
pub fn refuse(table: &[Opt], parsed: &Parsed) -> Result<(), Fail> {
    for given in &parsed.given {
        let opt = table.iter().find(|opt| opt.name == given.name);
        if let Some(Does::Refused(why)) = opt.map(|opt| opt.does) {
            return Err(Fail::new(format!("--{} is not supported: {why}", given.name)));
        }
    }
    Ok(())
}

/// Answers `--help`, `--usage` and `--version`; the exit code if one was asked for.
pub fn about(name: &str, table: &[Opt], on: u8, given: &[Given]) -> Option<u8> {
    let has = |wanted: &str| given.iter().any(|given| given.name == wanted);
    if has("version") {
        print(&format!("{VERSION} (madang {})\n", env!("CARGO_PKG_VERSION")));
        return Some(0);
    }
    if !has("help") && !has("usage") {
        return None;
    }
    let mut text = format!("Usage: {name} [OPTIONS]\n\nOptions, with the meaning that Slurm's manual gives them:\n");
    for opt in table.iter().filter(|opt| opt.on & on != 0) {
        let short = if opt.short == '\0' { "    ".to_owned() } else { format!("-{}, ", opt.short) };
        let arg = match opt.arg {
            Arg::No => "",
            Arg::Needed => "=VALUE",
            Arg::Maybe => "[=VALUE]",
        };
        let fate = match opt.does {
            options::Does::Means => String::new(),
            options::Does::Hint => "  (ignored here)".to_owned(),
            options::Does::Refused(why) => format!("  (refused: {why})"),
        };
        text.push_str(&format!("  {short}--{}{arg}{fate}\n", opt.name));
    }
    print(&text);
    Some(0)
}
