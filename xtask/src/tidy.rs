//! The house rules that no compiler checks: sizes, module comments, purity, links, plain text.
//!
//! A rule looks at one file and says what is wrong at which line; it never changes anything. Rules run as a test of
//! this package too, so that `cargo test` alone finds what they find.
mod functions;
mod links;
mod mask;

use anyhow::{Context, Result, bail};
use std::fmt;
use std::path::{Path, PathBuf};

/// Lines of a Rust file without its tests.
const FILE_WALL: usize = 800;
/// Lines of a function.
const FUNCTION_WALL: usize = 70;
/// Lines of a file of the console.
const WEB_WALL: usize = 400;
/// Rooms that have neither clock nor files nor hash order.
const PURE: [&str; 4] = ["crates/model/", "crates/ledger/", "crates/sched/", "crates/centre/"];
/// Rooms that may not hold a floating-point number.
const EXACT: [&str; 2] = ["crates/model/", "crates/ledger/"];
/// Files that are text and ours.
const TEXT: [&str; 12] = ["rs", "toml", "md", "js", "css", "html", "txt", "py", "sh", "json", "svg", "sql"];
/// Folders that are not ours or are built.
const PASSED_BY: [&str; 5] = ["target", "node_modules", "venv", "madang-data", "shared"];

/// Something wrong at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file, from the root.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.what)
    }
}

/// Prints every finding; an error when there is one.
pub fn run(root: &Path) -> Result<()> {
    let findings = check(root)?;
    findings.iter().for_each(|finding| println!("{finding}"));
    if !findings.is_empty() {
        bail!("tidy found {} things to mend", findings.len());
    }
    Ok(())
}

/// Every finding in the tree, by file and line.
pub fn check(root: &Path) -> Result<Vec<Finding>> {
    let mut files = Vec::new();
    walk(root, root, &mut files)?;
    files.sort();
    let mut findings = Vec::new();
    for file in &files {
        let path = root.join(file);
        let bytes = std::fs::read(&path).with_context(|| format!("failed to read {}", path.display()))?;
        let Ok(text) = String::from_utf8(bytes) else {
            findings.push(Finding { file: file.clone(), line: 1, what: "is not UTF-8".into() });
            continue;
        };
        let mut say = |line: usize, what: String| findings.push(Finding { file: file.clone(), line, what });
        look_at_text(file, &text, &mut say);
        match extension(file) {
            "rs" => look_at_rust(file, &text, &mut say),
            "md" => links::look(root, file, &text, &mut say),
            "js" | "css" | "html" if file.starts_with("web/") => look_at_web(&text, &mut say),
            _ => {}
        }
    }
    Ok(findings)
}

fn walk(root: &Path, folder: &Path, files: &mut Vec<String>) -> Result<()> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("failed to list {}", folder.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("failed to list {}", folder.display()))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type().with_context(|| format!("failed to look at {name}"))?;
        if kind.is_dir() && !name.starts_with('.') && !PASSED_BY.contains(&name.as_str()) {
            walk(root, &entry.path(), files)?;
        } else if kind.is_file() && TEXT.contains(&extension(&name)) {
            let path: PathBuf = entry.path().strip_prefix(root).context("walked from the root")?.to_path_buf();
            files.push(path.to_string_lossy().replace('\\', "/"));
        }
    }
    Ok(())
}

fn extension(file: &str) -> &str {
    file.rsplit_once('.').map_or("", |(_, extension)| extension)
}

fn look_at_text(file: &str, text: &str, say: &mut impl FnMut(usize, String)) {
    // Expected outputs are what a program wrote, blanks included.
    let expected = file.contains("tests/") && extension(file) == "txt";
    for (index, line) in text.lines().enumerate() {
        if !expected && line.ends_with([' ', '\t', '\r']) {
            say(index + 1, "blanks at the end of the line".into());
        }
        for folder in personal_folders() {
            if line.contains(&folder) {
                say(index + 1, format!("names somebody's own folder, {folder}"));
            }
        }
    }
    if !text.is_empty() && !text.ends_with('\n') {
        say(text.lines().count(), "does not end with a line end".into());
    }
}

/// Paths that exist on one person's machine only; put together here so that this file does not hold them.
fn personal_folders() -> [String; 2] {
    [["/ro", "ot/"].concat(), ["/Us", "ers/"].concat()]
}

fn look_at_web(text: &str, say: &mut impl FnMut(usize, String)) {
    let lines = text.lines().count();
    if lines > WEB_WALL {
        say(WEB_WALL, format!("{lines} lines, the wall is {WEB_WALL}"));
    }
}

fn look_at_rust(file: &str, text: &str, say: &mut impl FnMut(usize, String)) {
    let masked = mask::mask(text);
    let tests_from = first_test_line(text);
    let product = !file.contains("/tests/");
    if !text.trim_start().starts_with("//!") {
        say(1, "does not open with what it is for (`//!`)".into());
    }
    if product && tests_from > FILE_WALL {
        say(FILE_WALL, format!("{tests_from} lines without tests, the wall is {FILE_WALL}"));
    }
    for (index, line) in masked.lines().enumerate() {
        if line.contains("#[allow(") || line.contains("#![allow(") {
            say(index + 1, "`#[allow]`; write `#[expect(…, reason = \"…\")]`".into());
        }
        if product && index < tests_from {
            look_at_purity(file, line, &mut |what| say(index + 1, what));
        }
    }
    if product {
        for function in functions::find(&masked) {
            if function.line < tests_from && function.lines > FUNCTION_WALL {
                say(
                    function.line,
                    format!("{} lines in {}, the wall is {FUNCTION_WALL}", function.lines, function.name),
                );
            }
        }
    }
    if PURE.iter().any(|room| file == format!("{room}src/lib.rs")) && !masked.contains("#![no_std]") {
        say(1, "a pure room without `#![no_std]`".into());
    }
}

fn look_at_purity(file: &str, line: &str, say: &mut impl FnMut(String)) {
    // Examples may read a clock: they are no part of a room.
    let within =
        |rooms: &[&str]| rooms.iter().any(|room| file.strip_prefix(room).is_some_and(|rest| rest.starts_with("src/")));
    let mut refuse = |words: &[&str], why: &str| {
        words.iter().filter(|word| has_word(line, word)).for_each(|word| say(format!("{word} in {why}")));
    };
    if within(&EXACT) {
        refuse(&["f32", "f64"], "a room that is exact");
    }
    if within(&PURE) || file.starts_with("crates/sim/src/") {
        refuse(&["HashMap", "HashSet", "SystemTime", "Instant"], "a room that is deterministic");
    }
}

fn has_word(line: &str, word: &str) -> bool {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        !line[..at].chars().next_back().is_some_and(part_of_word)
            && !line[at + word.len()..].chars().next().is_some_and(part_of_word)
    })
}

/// The number of lines before the tests at the file's end; all of them when it has none.
fn first_test_line(text: &str) -> usize {
    text.lines().position(|line| line == "#[cfg(test)]").unwrap_or_else(|| text.lines().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_house_is_tidy() {
        let findings =
            check(&crate::shell::root().expect("the package lies in the root")).expect("the tree is readable");
        let text: Vec<String> = findings.iter().map(Finding::to_string).collect();
        assert!(text.is_empty(), "{}", text.join("\n"));
    }

    fn found(file: &str, text: &str) -> Vec<String> {
        let mut findings = Vec::new();
        let mut say = |line: usize, what: String| findings.push(format!("{line}: {what}"));
        look_at_text(file, text, &mut say);
        look_at_rust(file, text, &mut say);
        findings
    }

    #[test]
    fn each_rule_finds_what_it_is_for() {
        let quiet = "//! What.\nfn f() {}\n";
        assert!(found("crates/x/src/a.rs", quiet).is_empty());
        let long = format!("//! What.\nfn f() {{\n{}}}\n", "    g();\n".repeat(70));
        let cases = [
            ("fn f() {}\n", "1: does not open"),
            ("//! What.\nfn f() {} \n", "2: blanks at the end"),
            ("//! What.\nfn f() {}", "2: does not end"),
            ("//! What.\n#[allow(dead_code)]\nfn f() {}\n", "2: `#[allow]`"),
            (long.as_str(), "2: 72 lines in f"),
            ("//! What.\nuse std::time::Instant;\n", "2: Instant in a room that is deterministic"),
            ("//! What.\nlet x: f64 = 1.0;\n", "2: f64 in a room that is exact"),
        ];
        for (text, expected) in cases {
            let findings = found("crates/ledger/src/a.rs", text);
            assert!(findings.len() == 1 && findings[0].starts_with(expected), "{expected}: {findings:?}");
        }
    }

    #[test]
    fn words_in_comments_strings_and_tests_are_no_findings() {
        let text = "//! No f64 here.\n/// Nor #[allow(x)].\nconst A: &str = \"f64\";\n#[cfg(test)]\nmod tests { type F = f64; }\n";
        assert!(found("crates/ledger/src/a.rs", text).is_empty());
    }
}
