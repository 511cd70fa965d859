//! Stories told as text: what is typed stands beside all that comes of it.
//!
//! A line that begins with `> ` is a command, one with `#` is for people, everything else is output. The test plays
//! the commands and compares; with `BLESS=1` it writes what it got, and the diff is there to be read. `teller.rs` has
//! the commands.
mod show;
mod teller;

use std::path::PathBuf;
use teller::Teller;

#[test]
fn stories_end_as_written() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let entries = std::fs::read_dir(&folder).expect("the folder of this test is there");
    let mut stories: Vec<PathBuf> = entries.map(|entry| entry.expect("a readable entry").path()).collect();
    stories.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    stories.sort();
    assert!(stories.len() >= 8, "the stories are there: {stories:?}");
    let mut wrong = Vec::new();
    for path in stories {
        let written = std::fs::read_to_string(&path).expect("a story is readable");
        let told = tell(&written);
        if told == written {
            continue;
        }
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, told).expect("a story can be written");
        } else {
            wrong.push(format!("{}\n{}", path.display(), first_difference(&written, &told)));
        }
    }
    assert!(wrong.is_empty(), "{}\nBLESS=1 takes what came", wrong.join("\n"));
}

/// The story with the output that its commands give now.
fn tell(written: &str) -> String {
    let mut teller = Teller::default();
    let mut told = String::new();
    for line in written.lines() {
        if let Some(command) = line.strip_prefix("> ") {
            told += &format!("{line}\n");
            for output in teller.command(command) {
                told += &format!("{}\n", format!("  {output}").trim_end());
            }
        } else if line.starts_with('#') || line.is_empty() {
            told += &format!("{line}\n");
        }
    }
    told
}

fn first_difference(written: &str, told: &str) -> String {
    let (mut left, mut right) = (written.lines(), told.lines());
    let mut number = 0;
    loop {
        number += 1;
        match (left.next(), right.next()) {
            (None, None) => return "  they differ in line ends only".into(),
            (before, after) if before != after => {
                let show = |line: Option<&str>| line.unwrap_or("(the end)").to_owned();
                return format!("  line {number}\n  written: {}\n  told:    {}", show(before), show(after));
            }
            _ => {}
        }
    }
}
