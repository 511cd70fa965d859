//! `cargo xtask instructions`: how many instructions a decision takes, against counts that are checked in.
//!
//! Instructions of a fixed piece of work are the same on a busy machine as on an idle one, so that a small regression
//! shows where a time would not. Each scenario is run twice under valgrind's cachegrind, once with its work and once
//! without; the difference over the decisions is the figure. Other compilers make other code: their counts are held to
//! a wider bound, and other processors' to none.
use crate::shell;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The counts that are checked in.
const BASELINE: &str = "xtask/instructions.txt";
/// A rise of this many percent fails, with the compiler that the counts were made with.
const RISE: u64 = 10;
/// With another compiler: releases have moved such counts by a few percent, a lost optimisation by far more.
const RISE_ELSEWHERE: u64 = 30;

/// A fixed piece of work.
struct Scenario {
    name: &'static str,
    package: &'static str,
    example: &'static str,
    /// Its arguments, before the amount.
    args: &'static [&'static str],
    amount: &'static str,
}

const SCENARIOS: [Scenario; 4] = [
    sched("cycle under steady churn", &["count", "churn"], "200"),
    sched("whole-estate gang, promised and withdrawn, with six cycles", &["count", "gang"], "20"),
    sched("one-GPU job started on an empty estate", &["count", "place"], "20"),
    Scenario {
        name: "job replayed under EASY",
        package: "madang-sim",
        example: "easy",
        args: &["count"],
        amount: "20000",
    },
];

const fn sched(name: &'static str, args: &'static [&'static str], amount: &'static str) -> Scenario {
    Scenario { name, package: "madang-sched", example: "cycle", args, amount }
}

/// Counts by scenario, and what they were made with.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Counts {
    /// The compiler's version line.
    compiler: String,
    /// The processor's architecture.
    processor: String,
    per_decision: BTreeMap<String, u64>,
}

/// The chore: compares and says so, or with `--bless` writes the counts anew.
pub fn chore(root: &Path, args: &[String]) -> Result<()> {
    let bless = args.iter().any(|arg| arg == "--bless");
    match check(root, bless)? {
        Some(why) => println!("skipped: {why}"),
        None => println!("instructions: {}", if bless { "written" } else { "within bounds" }),
    }
    Ok(())
}

/// Counts and compares; says why when there is nothing to count with.
pub fn check(root: &Path, bless: bool) -> Result<Option<String>> {
    let Some(valgrind) = shell::find(&["valgrind"]) else {
        return Ok(Some("instruction counts: no valgrind on this machine".into()));
    };
    for scenario in &SCENARIOS {
        let mut build = shell::cargo(root);
        build.args(["build", "--release", "--quiet", "-p", scenario.package, "--example", scenario.example]);
        shell::run(&mut build)?;
    }
    let mut now =
        Counts { compiler: compiler()?, processor: std::env::consts::ARCH.into(), per_decision: BTreeMap::new() };
    for scenario in &SCENARIOS {
        now.per_decision.insert(scenario.name.into(), count(root, &valgrind, scenario)?);
    }
    let path = root.join(BASELINE);
    if bless {
        std::fs::write(&path, now.text()).with_context(|| format!("failed to write {BASELINE}"))?;
        return Ok(None);
    }
    let text = std::fs::read_to_string(&path).with_context(|| format!("failed to read {BASELINE}"))?;
    let known = Counts::read(&text).with_context(|| format!("{BASELINE} is not what --bless writes"))?;
    if known.processor != now.processor {
        return Ok(Some(format!("instruction counts: made on {}, this is {}", known.processor, now.processor)));
    }
    let (lines, risen) = compare(&known, &now);
    print!("{lines}");
    if risen > 0 {
        bail!(
            "{risen} of {} counts rose too far; cargo xtask instructions --bless where that is meant",
            SCENARIOS.len()
        );
    }
    Ok(None)
}

fn compiler() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output().context("failed to ask the compiler's version")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Instructions per decision.
fn count(root: &Path, valgrind: &Path, scenario: &Scenario) -> Result<u64> {
    let (before, _) = counted(root, valgrind, scenario, "0")?;
    let (after, decisions) = counted(root, valgrind, scenario, scenario.amount)?;
    if decisions == 0 {
        bail!("{}: no decision was made", scenario.name);
    }
    Ok(after.saturating_sub(before) / decisions)
}

/// All instructions of one run, and its decisions.
fn counted(root: &Path, valgrind: &Path, scenario: &Scenario, amount: &str) -> Result<(u64, u64)> {
    let example: PathBuf = shell::target(root).join("release/examples").join(scenario.example);
    let mut command = Command::new(valgrind);
    command.args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]);
    command.arg(example).args(scenario.args).arg(amount);
    // The environment lies on the stack, and its size moves what lies below it.
    command.env_clear().current_dir(root);
    let output = command.output().context("failed to run valgrind")?;
    let (said, counts) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        bail!("{} under valgrind ended with {}: {}", scenario.name, output.status, counts.trim());
    }
    let decisions = said.split_whitespace().find_map(|word| word.strip_prefix("decisions=")?.parse().ok());
    let refs =
        counts.lines().find_map(|line| line.split_once("refs:").map(|(_, number)| number.trim().replace(',', "")));
    let refs = refs.and_then(|digits| digits.parse().ok());
    refs.zip(decisions).with_context(|| format!("{} said neither counts nor decisions: {counts}", scenario.name))
}

/// A line for each count, and how many rose too far.
fn compare(known: &Counts, now: &Counts) -> (String, usize) {
    let (mut lines, mut risen) = (String::new(), 0);
    let same = known.compiler == now.compiler;
    if !same {
        let bound = format!("counts may rise by {RISE_ELSEWHERE}%");
        lines += &format!("note: {} here, {} when they were made: {bound}\n", now.compiler, known.compiler);
    }
    let bound = if same { RISE } else { RISE_ELSEWHERE };
    for (name, count) in &now.per_decision {
        let Some(before) = known.per_decision.get(name) else {
            risen += 1;
            lines += &format!("{name}: {count} instructions, not in the list yet\n");
            continue;
        };
        let percent = (*count as f64 / *before as f64 - 1.0) * 100.0;
        let over = count * 100 > before * (100 + bound);
        risen += usize::from(over);
        let verdict = if over { " TOO FAR" } else { "" };
        lines += &format!("{name}: {count} instructions, {before} known, {percent:+.1}%{verdict}\n");
    }
    (lines, risen)
}

impl Counts {
    fn text(&self) -> String {
        let mut text =
            String::from("# Instructions per decision; `cargo xtask instructions --bless` writes this file.\n");
        writeln!(text, "compiler: {}\nprocessor: {}", self.compiler, self.processor).expect("text can be written");
        for (name, count) in &self.per_decision {
            writeln!(text, "{name}: {count}").expect("text can be written");
        }
        text
    }

    fn read(text: &str) -> Option<Counts> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let mut values: BTreeMap<&str, &str> = lines.filter_map(|line| line.split_once(": ")).collect();
        let (compiler, processor) = (values.remove("compiler")?.to_owned(), values.remove("processor")?.to_owned());
        let counts = values.into_iter().map(|(name, count)| Some((name.to_owned(), count.parse().ok()?)));
        Some(Counts { compiler, processor, per_decision: counts.collect::<Option<_>>()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(compiler: &str, count: u64) -> Counts {
        let per_decision = [("a cycle".to_owned(), count)].into();
        Counts { compiler: compiler.into(), processor: "x86_64".into(), per_decision }
    }

    #[test]
    fn a_tenth_more_fails_and_another_compiler_gets_more_room() {
        let known = counts("rustc 1", 1000);
        let risen = |now: &Counts| compare(&known, now).1;
        assert_eq!(risen(&counts("rustc 1", 1100)), 0);
        assert_eq!(risen(&counts("rustc 1", 1101)), 1);
        assert_eq!(risen(&counts("rustc 1", 10)), 0);
        assert_eq!(risen(&counts("rustc 2", 1300)), 0);
        assert_eq!(risen(&counts("rustc 2", 1301)), 1);
        assert!(compare(&known, &counts("rustc 2", 1000)).0.starts_with("note: rustc 2 here"));
        let unlisted = Counts { per_decision: BTreeMap::new(), ..known.clone() };
        assert_eq!(compare(&unlisted, &known).1, 1, "what has no count yet must be blessed");
    }

    #[test]
    fn counts_are_read_back_as_written() {
        let known = counts("rustc 1.95.0 (abc)", 12_345);
        assert_eq!(Counts::read(&known.text()), Some(known));
        assert_eq!(Counts::read("compiler: x\nprocessor: y\na: b\n"), None);
    }
}
