//! How an island's nodes are named: by a first number that counts up, or by a list of names with ranges as Slurm writes
//! them, for clusters whose numbers have gaps.
use crate::reader::Wrong;
use crate::values::{Parsed, quoted, text};
use toml::de::DeValue;

/// Names of the nodes of one island, by place.
#[derive(Clone, Debug)]
pub(crate) enum NodeNames {
    /// A first number in braces, as `"na{0001}"`, which keeps its width.
    Counted(Numbered),
    /// `"a[01-03,7],b[2]"`.
    Listed(Vec<(Numbered, u32)>),
}

/// Names that differ by a number.
#[derive(Clone, Debug)]
pub(crate) struct Numbered {
    prefix: String,
    first: u32,
    /// Digits at least; 0 for a name without a number.
    width: usize,
    suffix: String,
}

impl Numbered {
    fn nth(&self, place: u32) -> String {
        if self.width == 0 {
            return self.prefix.clone();
        }
        format!("{}{:0width$}{}", self.prefix, self.first + place, self.suffix, width = self.width)
    }
}

impl NodeNames {
    /// The name of the node with this place, from 0; `None` past the end of a list.
    pub fn nth(&self, place: u32) -> Option<String> {
        match self {
            NodeNames::Counted(numbered) => Some(numbered.nth(place)),
            NodeNames::Listed(runs) => {
                let mut left = place;
                for (numbered, count) in runs {
                    if left < *count {
                        return Some(numbered.nth(left));
                    }
                    left -= count;
                }
                None
            }
        }
    }

    /// How many names there are, where they are listed.
    pub fn listed(&self) -> Option<u32> {
        match self {
            NodeNames::Counted(_) => None,
            NodeNames::Listed(runs) => Some(runs.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))),
        }
    }
}

/// The longest text of a list.
const LONGEST: usize = 20_000;

/// Names of nodes as a centre file has them.
pub(crate) fn names(value: &DeValue) -> Parsed<NodeNames> {
    let text = text(value)?;
    if text.contains('[') { listed(text) } else { counted(text) }
}

fn counted(text: &str) -> Parsed<NodeNames> {
    let wrong = || {
        Wrong::new(format!("is not a pattern for host names: {}", quoted(text)))
            .hint("put the first node's number in braces, as \"na{0001}\"")
    };
    let (prefix, rest) = text.split_once('{').ok_or_else(wrong)?;
    let (number, suffix) = rest.split_once('}').ok_or_else(wrong)?;
    match digits(number) {
        Some(first) if is_prefix(prefix) && letters(suffix) && text.len() <= 50 => Ok(NodeNames::Counted(Numbered {
            prefix: prefix.into(),
            first,
            width: number.len(),
            suffix: suffix.into(),
        })),
        _ => Err(wrong()),
    }
}

fn listed(text: &str) -> Parsed<NodeNames> {
    let wrong = || {
        Wrong::new(format!("is not a list of host names: {}", quoted(text)))
            .hint("write it as Slurm does, as \"a[01-03,7],b[2]\"")
    };
    let mut runs = Vec::new();
    let mut rest = if text.len() <= LONGEST { text } else { return Err(wrong()) };
    while !rest.is_empty() {
        let end = rest.find(['[', ',']).unwrap_or(rest.len());
        let (prefix, more) = rest.split_at(end);
        rest = match more.strip_prefix('[') {
            None => {
                is_prefix(prefix).then_some(()).ok_or_else(wrong)?;
                let name = Numbered { prefix: prefix.into(), first: 0, width: 0, suffix: String::new() };
                runs.push((name, 1));
                more
            }
            Some(more) => {
                let (ranges, more) = more.split_once(']').ok_or_else(wrong)?;
                let (suffix, more) = more.split_at(more.find(',').unwrap_or(more.len()));
                (is_prefix(prefix) && letters(suffix)).then_some(()).ok_or_else(wrong)?;
                for range in ranges.split(',') {
                    runs.push(run(prefix, range, suffix).ok_or_else(wrong)?);
                }
                more
            }
        };
        if let Some(more) = rest.strip_prefix(',') {
            rest = if more.is_empty() { return Err(wrong()) } else { more };
        }
    }
    Ok(NodeNames::Listed(runs))
}

fn run(prefix: &str, range: &str, suffix: &str) -> Option<(Numbered, u32)> {
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let (from, to) = (digits(first)?, digits(last)?);
    let numbered = Numbered { prefix: prefix.into(), first: from, width: first.len(), suffix: suffix.into() };
    (from <= to).then(|| (numbered, to - from + 1))
}

fn is_prefix(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic()) && letters(text)
}

fn letters(text: &str) -> bool {
    text.len() <= 50 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
}

fn digits(text: &str) -> Option<u32> {
    let plain = !text.is_empty() && text.len() <= 8 && text.bytes().all(|b| b.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> String {
        match names(&DeValue::String(text.into())) {
            Ok(names) => {
                (0..names.listed().unwrap_or(3)).filter_map(|place| names.nth(place)).collect::<Vec<_>>().join(" ")
            }
            Err(_) => "wrong".into(),
        }
    }

    #[test]
    fn nodes_are_named_by_a_count_or_a_list() {
        for (text, want) in [
            ("na{0009}", "na0009 na0010 na0011"),
            ("a[01-03,7],b[12]", "a01 a02 a03 a7 b12"),
            ("a[9-11]-ib,login,c[1]", "a9-ib a10-ib a11-ib login c1"),
            ("n1", "wrong"),
            ("a[3-1]", "wrong"),
            ("a[1", "wrong"),
            ("a[1],", "wrong"),
            ("[1-3]", "wrong"),
            ("a[1][2]", "wrong"),
        ] {
            assert_eq!(all(text), want, "{text}");
        }
    }
}
