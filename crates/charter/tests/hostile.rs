//! No input makes the reader panic, and what it accepts keeps its promises.
use madang_charter::{MOST_NODES, Machine, Order, add_site, describe, load, read};
use madang_model::{Device, Founding};
use proptest::prelude::*;
use proptest::sample::Index;
use std::collections::BTreeSet;

const FILES: [&str; 2] = [include_str!("../../../centres/korea-2025.toml"), include_str!("../../../centres/here.toml")];

fn machine() -> Machine {
    let gpus = vec![Device { model: "a100".into(), memory_mib: 40_960, parts: Default::default() }];
    Machine {
        host: "box".into(),
        cpus: 4,
        memory_mib: 16_000,
        gpus,
        pretend: false,
        pretend_nodes: 1,
        numa: Vec::new(),
    }
}

fn keeps_its_promises(founding: &Founding) {
    assert!(founding.nodes.len() <= MOST_NODES);
    assert!(founding.nodes.iter().all(|node| node.gpus <= 32 && node.cpus > 0));
    assert!(founding.nodes.iter().all(|node| node.device.is_some() == (node.gpus > 0)));
    for site in &founding.sites {
        assert_eq!(site.shares.iter().map(|(_, share)| share).sum::<u32>(), 10_000);
        assert!(founding.nodes.iter().any(|node| node.site == site.id));
    }
    let names: BTreeSet<&str> = founding.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names.len(), founding.nodes.len());
    let places = founding.nodes.iter().enumerate();
    assert!(places.into_iter().all(|(place, node)| node.id.index() == place));
    assert!(!founding.partitions.is_empty() && !founding.classes.is_empty() && !founding.parties.is_empty());
}

fn try_it(text: &str) {
    match read(text, "x.toml", &machine()) {
        Ok(mut charter) => {
            keeps_its_promises(&charter.founding);
            charter.describe();
            if add_site(&mut charter.founding, &machine(), Order::First).is_ok() {
                keeps_its_promises(&charter.founding);
                describe(&charter.founding);
            }
        }
        Err(problems) => {
            assert!(!problems.0.is_empty());
            assert!(problems.0.iter().all(|problem| problem.line >= 1 && problem.column >= 1));
            assert!(problems.to_string().starts_with("x.toml:"));
        }
    }
}

/// What stands in a centre file, and what should not.
fn scrap() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "0",
            "-1",
            "33",
            "200_000",
            "9223372036854775807",
            "99999999999999999999",
            "0x7f",
            "1e9",
            "nan",
            "true",
            "\"\"",
            "\"51%\"",
            "\"100%\"",
            "\"0%\"",
            "\"4294967295%\"",
            "\"n{1}\"",
            "\"{99999999}\"",
            "\"a{}\"",
            "\"7d\"",
            "\"99999999999999d\"",
            "\"한\"",
            "\"1 TiB\"",
            "2025-02-29",
            "0000-01-01",
            "9999-12-31T23:59:60+23:59",
            "1970-01-01T00:00:00+09:00",
            "07:32:00",
            "[]",
            "{}",
            "[[]]",
            "[{}]",
            "{ a = 1 }",
            "\"this machine\"",
            "\"local\"",
            "\n",
            "[[site]]\n",
            "[[site.island]]\n",
            "[[party.share]]\n",
            "[x]\n",
            "# ",
            "=",
            ".",
            "\"",
            "'''",
            "\u{0}",
            "\u{feff}",
        ])
        .prop_map(str::to_owned),
        ".{0,12}",
    ]
}

fn key() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["name", "nodes", "site", "party.share", "centre.name", "\"\"", "shares.x"])
}

#[derive(Clone, Debug)]
enum Change {
    /// A line goes.
    Drop(Index),
    /// A line is there twice.
    Double(Index),
    /// What stands right of a line's equals sign becomes something else.
    Value(Index, String),
    /// Something is put in anywhere.
    Insert(Index, String),
    /// The rest is cut off.
    Cut(Index),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        2 => any::<Index>().prop_map(Change::Drop),
        2 => any::<Index>().prop_map(Change::Double),
        8 => (any::<Index>(), scrap()).prop_map(|(place, scrap)| Change::Value(place, scrap)),
        1 => (any::<Index>(), scrap()).prop_map(|(place, scrap)| Change::Insert(place, scrap)),
        1 => any::<Index>().prop_map(Change::Cut),
    ]
}

fn apply(text: &str, change: &Change) -> String {
    let mut lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
    match change {
        Change::Drop(place) => {
            lines.remove(place.index(lines.len()));
        }
        Change::Double(place) => {
            let place = place.index(lines.len());
            lines.insert(place, lines[place].clone());
        }
        Change::Value(place, scrap) => {
            let settings: Vec<usize> = (0..lines.len()).filter(|&line| lines[line].contains(" = ")).collect();
            if !settings.is_empty() {
                let line = &mut lines[settings[place.index(settings.len())]];
                let key = line.split(" = ").next().expect("a split has a first part").to_owned();
                *line = format!("{key} = {scrap}");
            }
        }
        Change::Insert(place, scrap) => {
            let letters: Vec<char> = text.chars().collect();
            let (head, tail) = letters.split_at(place.index(letters.len() + 1));
            return head.iter().collect::<String>() + scrap + &tail.iter().collect::<String>();
        }
        Change::Cut(place) => {
            let keep = place.index(text.chars().count() + 1);
            return text.chars().take(keep).collect();
        }
    }
    lines.join("\n")
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "(?s).{0,200}") {
        try_it(&text);
    }

    #[test]
    fn toml_of_any_kind_is_read_or_refused(lines in prop::collection::vec((key(), scrap()), 0..12)) {
        let text: String = lines.iter().map(|(key, scrap)| format!("{key} = {scrap}\n")).collect();
        try_it(&text);
    }

    #[test]
    fn a_changed_centre_file_is_read_or_refused(
        file in 0..FILES.len(), changes in prop::collection::vec(change(), 1..4),
    ) {
        let text = changes.iter().fold(FILES[file].to_owned(), |text, change| apply(&text, change));
        try_it(&text);
    }
}

#[test]
fn depth_is_refused() {
    for (open, close) in [("[", "]"), ("{a=", "}")] {
        let text = format!("x = {}1{}", open.repeat(100_000), close.repeat(100_000));
        assert!(load(&text, "x.toml", &machine()).is_err());
    }
    let dotted = format!("{}a = 1", "a.".repeat(100_000));
    assert!(load(&dotted, "x.toml", &machine()).is_err());
}
