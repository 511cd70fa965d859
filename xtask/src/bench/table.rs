//! The table of figures: made, printed, put between the marks in the README and in the page of benchmarks.
use anyhow::{Context, Result};
use std::path::Path;

const BEGIN: &str = "<!-- bench:begin -->";
const END: &str = "<!-- bench:end -->";

/// One measure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What was measured.
    pub measure: String,
    /// Ours.
    pub madang: String,
    /// Peers', in the same run; empty where there is none.
    pub beside: String,
}

impl Row {
    /// A row of the table.
    pub fn new(measure: impl Into<String>, madang: impl Into<String>, beside: impl Into<String>) -> Row {
        Row { measure: measure.into(), madang: madang.into(), beside: beside.into() }
    }
}

/// A number with commas between thousands, rounded as one reads it.
pub fn number(value: f64) -> String {
    if value < 10.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The table in Markdown, with the machine under it.
pub fn markdown(rows: &[Row]) -> String {
    let mut text = String::from("| measure | Madang | beside it |\n|---|---|---|\n");
    for row in rows {
        text += &format!("| {} | {} | {} |\n", row.measure, row.madang, row.beside);
    }
    text + "\n" + &machine() + "\n"
}

/// The machine in one line.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or("").to_owned();
        line.split_once(':').map_or(String::new(), |(_, value)| value.trim().to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = field(&read("/proc/meminfo"), "MemTotal");
    let gib = memory.split(' ').next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) >> 20;
    let load = read("/proc/loadavg").split(' ').next().unwrap_or("?").to_owned();
    let model = field(&read("/proc/cpuinfo"), "model name");
    let model = if model.is_empty() { String::new() } else { format!(" of {model}") };
    format!("Measured on {cores} cores{model}, {gib} GiB of memory; load average at the end {load}.")
}

/// Puts the table between the marks of both pages.
pub fn write(root: &Path, table: &str) -> Result<()> {
    for page in ["README.md", "docs/benchmarks.md"] {
        let path = root.join(page);
        let text = std::fs::read_to_string(&path).with_context(|| format!("failed to read {page}"))?;
        let new = between(&text, table).with_context(|| format!("{page} has no {BEGIN} and {END}"))?;
        std::fs::write(&path, new).with_context(|| format!("failed to write {page}"))?;
    }
    Ok(())
}

fn between(text: &str, table: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{table}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_marks() {
        assert_eq!([3.25, 42.4, 1_234_567.0].map(number), ["3.2", "42", "1,234,567"]);
        let page = format!("a\n{BEGIN}\nold\n{END}\nb\n");
        assert_eq!(between(&page, "new\n"), Some(format!("a\n{BEGIN}\nnew\n{END}\nb\n")));
        assert_eq!(between("no marks", "new"), None);
    }
}
