//! Slurm's compressed host names: `n[01-03,7]` for `n01,n02,n03,n7`.
//!
//! Scripts pass such text to `scontrol show hostnames`, so both directions must agree with Slurm. Text comes from
//! users; expansion is bounded by [`MAX_HOSTS`] whatever the text says.
//!
//! Invariants: `expand(&compress(names))` is `names`, each once, grouped by prefix and ascending within a group;
//! `expand(&in_order(names))` is `names`.
use std::collections::BTreeSet;

/// A name's trailing digits: their value and themselves.
type Number<'a> = (u64, &'a str);

/// Numbers that follow each other: the first and the last.
type Run<'a> = (Number<'a>, Number<'a>);

/// The most names that one text may stand for.
pub const MAX_HOSTS: usize = 65_536;

/// The longest name that an expansion may make.
const MAX_NAME: usize = 1024;

/// Text that is not a host list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAHostlist {
    /// A bracket without its partner.
    #[error("brackets do not match in host list {0:?}")]
    Brackets(String),
    /// Something between brackets that is no range.
    #[error("{0:?} is no range of numbers; write it as 1-4,7")]
    Range(String),
    /// It stands for too much.
    #[error("host list stands for more than {MAX_HOSTS} names or for names over {MAX_NAME} bytes")]
    TooMany,
}

/// Writes names in Slurm's compressed form, as in `SLURM_JOB_NODELIST`.
pub fn compress(names: &[String]) -> String {
    let mut groups: Vec<(&str, BTreeSet<Number<'_>>)> = Vec::new();
    for name in names {
        let (prefix, digits) = split(name);
        let number = (digits.parse().unwrap_or(0), digits);
        match groups.iter_mut().find(|(known, numbers)| {
            *known == prefix && numbers.first().is_some_and(|(_, text)| text.is_empty() == digits.is_empty())
        }) {
            Some((_, numbers)) => drop(numbers.insert(number)),
            None => groups.push((prefix, BTreeSet::from([number]))),
        }
    }
    let texts: Vec<String> = groups.iter().map(|(prefix, numbers)| group_text(prefix, numbers)).collect();
    texts.join(",")
}

/// The same for names whose order means something: ranks follow it.
pub fn in_order(names: &[String]) -> String {
    let mut groups: Vec<(&str, bool, Vec<Run<'_>>)> = Vec::new();
    for name in names {
        let (prefix, digits) = split(name);
        let number = (digits.parse().unwrap_or(0), digits);
        match groups.last_mut() {
            Some((known, numbered, runs)) if *known == prefix && *numbered && !digits.is_empty() => add(runs, number),
            _ => groups.push((prefix, !digits.is_empty(), vec![(number, number)])),
        }
    }
    let texts: Vec<String> = groups.iter().map(|(prefix, _, runs)| runs_text(prefix, runs)).collect();
    texts.join(",")
}

/// Lengthens the last run by a number that follows it, or begins another.
fn add<'a>(runs: &mut Vec<Run<'a>>, number: Number<'a>) {
    let (value, text) = number;
    match runs.last_mut() {
        Some((first, last)) if value == last.0 + 1 && padded(value, first.1.len()) == text => *last = number,
        _ => runs.push((number, number)),
    }
}

/// A name's text before its trailing digits, and those digits; a name with too many digits has none.
fn split(name: &str) -> (&str, &str) {
    let at = name.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    if name.len() - at > 18 { (name, "") } else { name.split_at(at) }
}

fn group_text(prefix: &str, numbers: &BTreeSet<Number<'_>>) -> String {
    let mut runs = Vec::new();
    numbers.iter().for_each(|number| add(&mut runs, *number));
    runs_text(prefix, &runs)
}

fn runs_text(prefix: &str, runs: &[Run<'_>]) -> String {
    if let [(first, last)] = runs
        && first == last
    {
        return format!("{prefix}{}", first.1);
    }
    let texts: Vec<String> = runs
        .iter()
        .map(|(first, last)| if first == last { first.1.to_owned() } else { format!("{}-{}", first.1, last.1) })
        .collect();
    format!("{prefix}[{}]", texts.join(","))
}

fn padded(value: u64, width: usize) -> String {
    format!("{value:0width$}")
}

/// The names that a host list stands for, in the order written.
pub fn expand(text: &str) -> Result<Vec<String>, NotAHostlist> {
    let mut names = Vec::new();
    for item in items(text)? {
        expand_item(item, &mut names)?;
    }
    Ok(names)
}

/// The text between those commas that stand outside brackets.
fn items(text: &str) -> Result<Vec<&str>, NotAHostlist> {
    let mut items = Vec::new();
    let (mut start, mut open) = (0, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'[' if !open => open = true,
            b']' if open => open = false,
            b'[' | b']' => return Err(NotAHostlist::Brackets(text.to_owned())),
            b',' if !open => {
                items.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    if open {
        return Err(NotAHostlist::Brackets(text.to_owned()));
    }
    items.push(text[start..].trim());
    items.retain(|item| !item.is_empty());
    Ok(items)
}

fn expand_item(item: &str, names: &mut Vec<String>) -> Result<(), NotAHostlist> {
    let mut heads = vec![String::new()];
    let mut rest = item;
    while let Some((plain, bracketed)) = rest.split_once('[') {
        let (ranges, tail) = bracketed.split_once(']').ok_or_else(|| NotAHostlist::Brackets(item.to_owned()))?;
        let mut grown = Vec::new();
        for head in &heads {
            for range in ranges.split(',') {
                let (first, last, width) = parse_range(range.trim())?;
                for number in first..=last {
                    if names.len() + grown.len() >= MAX_HOSTS || head.len() + plain.len() + width > MAX_NAME {
                        return Err(NotAHostlist::TooMany);
                    }
                    grown.push(format!("{head}{plain}{}", padded(number, width)));
                }
            }
        }
        heads = grown;
        rest = tail;
    }
    if names.len() + heads.len() > MAX_HOSTS || heads.iter().any(|head| head.len() + rest.len() > MAX_NAME) {
        return Err(NotAHostlist::TooMany);
    }
    names.extend(heads.into_iter().map(|head| head + rest));
    Ok(())
}

/// First, last and the width that the first is written with.
fn parse_range(text: &str) -> Result<(u64, u64, usize), NotAHostlist> {
    let wrong = || NotAHostlist::Range(text.to_owned());
    let number = |digits: &str| -> Result<u64, NotAHostlist> {
        let plain = !digits.is_empty() && digits.len() <= 18 && digits.bytes().all(|b| b.is_ascii_digit());
        if plain { digits.parse().map_err(|_| wrong()) } else { Err(wrong()) }
    };
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(low)?, number(high)?);
    if first > last { Err(wrong()) } else { Ok((first, last, low.len())) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    fn check_compress(names: &str, want: Expect) {
        let names: Vec<String> = names.split_whitespace().map(str::to_owned).collect();
        want.assert_eq(&compress(&names));
    }

    #[test]
    fn compresses_as_slurm() {
        check_compress("", expect![[""]]);
        check_compress("here", expect![["here"]]);
        check_compress("here1", expect![["here1"]]);
        check_compress("here1 here2 here3 here4", expect![["here[1-4]"]]);
        check_compress("n3 n1 n2 n7", expect![["n[1-3,7]"]]);
        check_compress("n08 n09 n10 n11", expect![["n[08-11]"]]);
        check_compress("n9 n10 n09", expect![["n[09,9-10]"]]);
        check_compress("a1 b1 a2 login", expect![["a[1-2],b1,login"]]);
        check_compress("n n1 n2", expect![["n,n[1-2]"]]);
        check_compress("n1 n1", expect![["n1"]]);
        check_compress("1 2 3", expect![["[1-3]"]]);
        check_compress("gpu-1-07 gpu-1-08", expect![["gpu-1-[07-08]"]]);
        check_compress("n123456789012345678901 n1", expect![["n123456789012345678901,n1"]]);
    }

    #[test]
    fn keeps_an_order_that_means_something() {
        for (names, want) in [
            ("n1 n2 n3 n7", "n[1-3,7]"),
            ("n3 n1 n2 n7", "n[3,1-2,7]"),
            ("a1 b1 a2 login", "a1,b1,a2,login"),
            ("n08 n09 n10 n9", "n[08-10,9]"),
            ("n n1 n2", "n,n[1-2]"),
            ("", ""),
        ] {
            let names: Vec<String> = names.split_whitespace().map(str::to_owned).collect();
            assert_eq!(in_order(&names), want);
            assert_eq!(expand(want).as_ref(), Ok(&names));
        }
    }

    #[test]
    fn expands_as_slurm() {
        for (text, want) in [
            ("", ""),
            ("here", "here"),
            ("n[01-03,7]", "n01 n02 n03 n7"),
            ("n[8-11]", "n8 n9 n10 n11"),
            ("a[1-2],b, c[3]", "a1 a2 b c3"),
            ("r[1-2]n[01-02]-ib", "r1n01-ib r1n02-ib r2n01-ib r2n02-ib"),
        ] {
            assert_eq!(expand(text).map(|names| names.join(" ")).as_deref(), Ok(want), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_wrong_or_too_much() {
        for text in ["n[1-2", "n1]", "n[[1]]", "n[]", "n[a]", "n[3-1]", "n[1-]", "n[-1]", "n[1,,2]", "n[+1]"] {
            assert!(expand(text).is_err(), "{text}");
        }
        for text in ["n[1-65537]", "n[0-999999999999999999]", "[1-300][1-300]", "[1-9][1-9][1-9][1-9][1-9][1-9][1-9]"] {
            assert_eq!(expand(text), Err(NotAHostlist::TooMany), "{text}");
        }
        assert_eq!(expand(&"[1]".repeat(5_000)), Err(NotAHostlist::TooMany));
        assert_eq!(expand("n[1-65536]").map(|names| names.len()), Ok(65_536));
    }

    proptest! {
        #[test]
        fn round_trips(names in proptest::collection::btree_set("[a-c]{0,2}[0-9]{0,3}", 0..40)) {
            let names: Vec<String> = names.into_iter().filter(|name| !name.is_empty()).collect();
            let mut back = expand(&compress(&names)).expect("our own text");
            back.sort();
            prop_assert_eq!(back, names);
        }

        #[test]
        fn order_round_trips(names in proptest::collection::vec("[a-c]{0,2}[0-9]{0,3}", 0..40)) {
            let names: Vec<String> = names.into_iter().filter(|name| !name.is_empty()).collect();
            prop_assert_eq!(expand(&in_order(&names)), Ok(names));
        }

        #[test]
        fn any_text_is_expanded_or_refused(text in "[-n0-9,\\[\\] ]{0,40}") {
            if let Ok(names) = expand(&text) {
                prop_assert!(names.len() <= MAX_HOSTS);
            }
        }
    }
}
