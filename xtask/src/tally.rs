//! Counting what `cargo test` says while it says it.
use anyhow::{Context, Result};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// Tests and checks that passed and failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many passed.
    pub passed: u64,
    /// How many failed.
    pub failed: u64,
    /// How many were ignored by their own wish.
    pub ignored: u64,
    /// Names of what failed.
    pub failures: Vec<String>,
    /// Lines in which a test says that it was skipped.
    pub skipped: Vec<String>,
    /// True within what passing tests printed.
    within_passed: bool,
}

impl Tally {
    /// Takes in one line of a test binary's output; true when it is worth showing.
    pub fn line(&mut self, line: &str) -> bool {
        if line == "successes:" {
            self.within_passed = true;
        } else if line == "failures:" || line.starts_with("test result: ") {
            self.within_passed = false;
        }
        if let Some(rest) = line.strip_prefix("test result: ") {
            self.passed += number_before(rest, " passed");
            self.failed += number_before(rest, " failed");
            self.ignored += number_before(rest, " ignored");
        } else if let Some(name) = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED")) {
            self.failures.push(name.to_owned());
        } else if line.trim_start().to_ascii_lowercase().starts_with("skipped:") {
            self.skipped.push(line.trim().to_owned());
        }
        !self.within_passed
    }

    /// Counts a check that is no test binary.
    pub fn check(&mut self, name: &str, outcome: &Result<()>) {
        match outcome {
            Ok(()) => self.passed += 1,
            Err(error) => {
                eprintln!("error: {error:#}");
                self.failed += 1;
                self.failures.push(name.to_owned());
            }
        }
    }
}

/// The number that stands before this word.
fn number_before(text: &str, word: &str) -> u64 {
    let before = text.split(word).next().unwrap_or("");
    before.rsplit([' ', '.']).next().and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// Runs a command that runs test binaries, shows its output as it comes and counts it.
pub fn count(command: &mut Command, tally: &mut Tally) -> Result<()> {
    let shown = crate::shell::words(command);
    let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| format!("failed to run {shown}"))?;
    let output = child.stdout.take().context("a piped output is there to take")?;
    let failed_before = tally.failed;
    for line in BufReader::new(output).split(b'\n') {
        let line = line.with_context(|| format!("failed to read from {shown}"))?;
        let line = String::from_utf8_lossy(&line);
        if tally.line(&line) {
            println!("{line}");
        }
    }
    let status = child.wait().with_context(|| format!("failed to wait for {shown}"))?;
    if !status.success() && tally.failed == failed_before {
        // Nothing was counted: it did not compile, or a test binary died.
        tally.failed += 1;
        tally.failures.push(format!("{shown} ended with {status}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_summed_and_failures_named() {
        let mut tally = Tally::default();
        for line in [
            "test a::b ... ok",
            "test a::c ... FAILED",
            "test result: FAILED. 12 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.10s",
            "test result: ok. 30 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s",
            "successes:",
            "skipped: no chromium on this machine",
            "test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s",
            "a log line that mentions 7 passed",
        ] {
            tally.line(line);
        }
        assert_eq!((tally.passed, tally.failed, tally.ignored), (42, 1, 2));
        assert_eq!(tally.failures, ["a::c"]);
        assert_eq!(tally.skipped.len(), 1);
    }
}
