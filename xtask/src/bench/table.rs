//! The tables of figures: each group's on the page of benchmarks, and the rows of them all in the README.
use super::GROUPS;
use anyhow::{Context, Result};
use std::path::Path;

const PAGE: &str = "docs/benchmarks.md";
/// What the line of a table's machine begins with.
const MEASURED: &str = "Measured on ";
const HEAD: &str = "| measure | Madang | beside it |\n|---|---|---|\n";

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
    let mut text = String::from(HEAD);
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
    let release = read("/proc/sys/kernel/osrelease");
    let kernel = release.split('.').take(2).collect::<Vec<_>>().join(".");
    let load = read("/proc/loadavg").split(' ').next().unwrap_or("?").to_owned();
    let model = field(&read("/proc/cpuinfo"), "model name");
    let model = if model.is_empty() { String::new() } else { format!(" of {model}") };
    format!("{MEASURED}{cores} cores{model}, {gib} GiB of memory, Linux {kernel}; load average at the end {load}.")
}

/// What an aim says and whether it is met.
pub fn aim(text: &str, met: bool) -> String {
    format!("aim {text}: {}", if met { "met" } else { "**missed**" })
}

/// Puts a group's table on the page of benchmarks, and the rows of all groups that the page has into the README, with
/// the machines that they were measured on.
pub fn write(root: &Path, group: &str, table: &str) -> Result<()> {
    let page = put(root, PAGE, group, table)?;
    put(root, "README.md", "all", &whole(&page, &GROUPS.map(|group| group.name)))?;
    Ok(())
}

/// One table of these groups' rows on the page, and a line for each machine: which groups it measured, if not all.
fn whole(page: &str, groups: &[&str]) -> String {
    let found: Vec<(&str, &str)> =
        groups.iter().filter_map(|group| cut(page, group).map(|(_, table, _)| (*group, table))).collect();
    let mut text = String::from(HEAD);
    let mut machines: Vec<(&str, Vec<&str>)> = Vec::new();
    for (group, table) in &found {
        let rows = table.lines().filter(|line| line.starts_with("| ") && !HEAD.starts_with(line));
        rows.for_each(|row| text += &format!("{row}\n"));
        // The load is each table's own.
        let line = table.lines().find(|line| line.starts_with(MEASURED)).unwrap_or_default();
        let machine = line.split(';').next().unwrap_or_default().trim_end_matches('.');
        match machines.iter_mut().find(|(known, _)| *known == machine) {
            Some((_, on_it)) => on_it.push(*group),
            None => machines.push((machine, vec![*group])),
        }
    }
    for (machine, on_it) in machines.iter().filter(|(machine, _)| !machine.is_empty()) {
        let which = if on_it.len() == found.len() { String::new() } else { format!(" ({})", on_it.join(", ")) };
        text += &format!("\n{machine}{which}.\n");
    }
    text
}

fn put(root: &Path, page: &str, group: &str, table: &str) -> Result<String> {
    let path = root.join(page);
    let text = std::fs::read_to_string(&path).with_context(|| format!("failed to read {page}"))?;
    let (before, _, after) = cut(&text, group).with_context(|| format!("{page} has no marks for {group}"))?;
    let new = format!("{before}{table}{after}");
    std::fs::write(&path, &new).with_context(|| format!("failed to write {page}"))?;
    Ok(new)
}

/// A page before, between and after a group's marks.
fn cut<'a>(text: &'a str, group: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let begin = format!("<!-- bench:{group}:begin -->\n");
    let from = text.find(&begin)? + begin.len();
    let to = from + text[from..].find(&format!("<!-- bench:{group}:end -->"))?;
    Some((&text[..from], &text[from..to], &text[to..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_says_which_rows_are_of_which_machine() {
        let group = |name: &str, machine: &str| {
            let row = Row::new(name, "1/s", "");
            let table = format!(
                "{HEAD}| {} | {} |  |\n\n{MEASURED}{machine}; load average at the end 1.0.\n",
                row.measure, row.madang
            );
            format!("<!-- bench:{name}:begin -->\n{table}<!-- bench:{name}:end -->\n")
        };
        let rows = |names: &[&str]| names.iter().map(|name| format!("| {name} | 1/s |  |\n")).collect::<String>();
        let same = group("a", "2 cores") + &group("b", "2 cores");
        assert_eq!(whole(&same, &["a", "b"]), format!("{HEAD}{}\nMeasured on 2 cores.\n", rows(&["a", "b"])));
        let two = same + &group("c", "4 cores");
        assert_eq!(
            whole(&two, &["a", "b", "c", "absent"]),
            format!("{HEAD}{}\nMeasured on 2 cores (a, b).\n\nMeasured on 4 cores (c).\n", rows(&["a", "b", "c"]))
        );
        assert!(machine().starts_with(MEASURED) && machine().contains(", Linux "), "{}", machine());
    }

    #[test]
    fn numbers_and_marks() {
        assert_eq!([3.25, 42.4, 1_234_567.0].map(number), ["3.2", "42", "1,234,567"]);
        let page = "a\n<!-- bench:x:begin -->\nold\n<!-- bench:x:end -->\nb\n";
        assert_eq!(
            cut(page, "x").map(|(_, between, after)| (between, after)),
            Some(("old\n", "<!-- bench:x:end -->\nb\n"))
        );
        assert_eq!(cut("no marks", "x"), None);
    }
}
