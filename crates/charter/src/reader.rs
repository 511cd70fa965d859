//! Reads TOML tables key by key, and collects problems with their places instead of stopping at the first.
//!
//! The tree is walked by hand rather than derived, because a derived reader stops at the first error and cannot place
//! what is wrong later, in the second pass.
//!
//! Invariant: [`Fields::finish`] is called on every table that was opened, so that no key goes unread in silence.
use crate::problem::{Problem, Problems};
use crate::values::quoted;
use std::cell::RefCell;
use toml::de::{DeTable, DeValue};

/// As many problems as are told one by one; a file with more is better begun anew.
const MOST_PROBLEMS: usize = 100;

/// A place in the file: its path for people and its byte offset.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spot {
    pub path: String,
    pub offset: usize,
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct At<T> {
    pub value: T,
    pub spot: Spot,
}

/// Why a value is not taken; completed by the key's name in front.
pub(crate) struct Wrong {
    pub fact: String,
    pub hint: Option<String>,
}

impl Wrong {
    pub fn new(fact: impl Into<String>) -> Wrong {
        Wrong { fact: fact.into(), hint: None }
    }
    pub fn hint(self, hint: impl Into<String>) -> Wrong {
        Wrong { hint: Some(hint.into()), ..self }
    }
}

/// The file being read and what was found wrong so far.
pub(crate) struct Sheet<'a> {
    file: &'a str,
    text: &'a str,
    wrong: RefCell<Vec<(Spot, Wrong)>>,
}

impl<'a> Sheet<'a> {
    pub fn new(file: &'a str, text: &'a str) -> Sheet<'a> {
        Sheet { file, text, wrong: RefCell::default() }
    }

    pub fn text(&self) -> &'a str {
        self.text
    }

    pub fn wrong(&self, spot: &Spot, wrong: Wrong) {
        self.wrong.borrow_mut().push((spot.clone(), wrong));
    }

    pub fn is_wrong(&self) -> bool {
        !self.wrong.borrow().is_empty()
    }

    /// The result, unless something is wrong.
    pub fn finish<T>(self, result: Option<T>) -> Result<T, Problems> {
        let mut wrong = self.wrong.into_inner();
        match result {
            Some(result) if wrong.is_empty() => return Ok(result),
            None if wrong.is_empty() => return Err(Problems::one(self.file, "the file could not be read".into())),
            _ => {}
        }
        wrong.sort_by_key(|(spot, _)| spot.offset);
        if let Some(more) = wrong.len().checked_sub(MOST_PROBLEMS).filter(|more| *more > 0) {
            wrong.truncate(MOST_PROBLEMS + 1);
            wrong[MOST_PROBLEMS].1 = Wrong::new(format!("and {more} more problems from here on"));
        }
        let problem = |(spot, wrong): (Spot, Wrong)| {
            let (line, column) = line_and_column(self.text, spot.offset);
            Problem { file: self.file.into(), line, column, path: spot.path, fact: wrong.fact, hint: wrong.hint }
        };
        Err(Problems(wrong.into_iter().map(problem).collect()))
    }
}

/// Line and column from 1, the column in characters.
fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.char_indices().take_while(|(place, _)| *place < offset);
    before.fold((1, 1), |(line, column), (_, letter)| if letter == '\n' { (line + 1, 1) } else { (line, column + 1) })
}

/// One table being read.
pub(crate) struct Fields<'a> {
    sheet: &'a Sheet<'a>,
    spot: Spot,
    table: &'a DeTable<'a>,
    known: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    pub fn new(sheet: &'a Sheet<'a>, spot: Spot, table: &'a DeTable<'a>) -> Fields<'a> {
        Fields { sheet, spot, table, known: Vec::new() }
    }

    pub fn spot(&self) -> &Spot {
        &self.spot
    }

    /// A value that may be left out.
    pub fn may<T>(&mut self, key: &'static str, parse: impl Fn(&DeValue) -> Result<T, Wrong>) -> Option<At<T>> {
        let (spot, value) = self.look(key)?;
        match parse(value) {
            Ok(value) => Some(At { value, spot }),
            Err(wrong) => {
                let fact = format!("{key} {}", wrong.fact);
                self.sheet.wrong(&spot, Wrong { fact, ..wrong });
                None
            }
        }
    }

    /// A value that must be there.
    pub fn need<T>(&mut self, key: &'static str, parse: impl Fn(&DeValue) -> Result<T, Wrong>) -> Option<At<T>> {
        if self.look(key).is_none() {
            self.missing(key, "key");
        }
        self.may(key, parse)
    }

    /// The tables of `[[key]]`; none when left out.
    pub fn tables(&mut self, key: &'static str) -> Vec<Fields<'a>> {
        let Some((spot, value)) = self.look(key) else { return Vec::new() };
        let DeValue::Array(items) = value else {
            // Within a list of tables the bare key says more than a path with numbers in it.
            let path = if spot.path.contains('[') { key } else { &spot.path };
            let hint = format!("write [[{path}]]");
            self.sheet.wrong(&spot, Wrong::new(format!("{key} is not a list of tables")).hint(hint));
            return Vec::new();
        };
        let mut tables = Vec::new();
        for (place, item) in items.iter().enumerate() {
            let spot = Spot { path: format!("{}[{place}]", spot.path), offset: item.span().start };
            match item.get_ref() {
                DeValue::Table(table) => tables.push(Fields::new(self.sheet, spot, table)),
                _ => self.sheet.wrong(&spot, Wrong::new(format!("{} is not a table", spot.path))),
            }
        }
        tables
    }

    /// As [`Fields::tables`], at least one.
    pub fn need_tables(&mut self, key: &'static str) -> Vec<Fields<'a>> {
        match self.look(key) {
            None => self.missing(key, "table"),
            Some((spot, DeValue::Array(items))) if items.is_empty() => {
                self.sheet.wrong(&spot, Wrong::new(format!("{key} is empty")));
            }
            Some(_) => {}
        }
        self.tables(key)
    }

    /// The table of `[key]`; `None` when left out.
    pub fn may_table(&mut self, key: &'static str) -> Option<Fields<'a>> {
        self.look(key)?;
        self.need_table(key)
    }

    /// The table of `[key]`, which must be there.
    pub fn need_table(&mut self, key: &'static str) -> Option<Fields<'a>> {
        match self.look(key) {
            None => {
                self.missing(key, "table");
                None
            }
            Some((spot, DeValue::Table(table))) => Some(Fields::new(self.sheet, spot, table)),
            Some((spot, _)) => {
                let hint = match self.spot.path.as_str() {
                    "" => format!("write [{key}]"),
                    _ => format!("write {key} = {{ … }}"),
                };
                self.sheet.wrong(&spot, Wrong::new(format!("{key} is not a table")).hint(hint));
                None
            }
        }
    }

    /// The items of a list; none when left out.
    pub fn may_list<T>(&mut self, key: &'static str, parse: impl Fn(&DeValue) -> Result<T, Wrong>) -> Vec<At<T>> {
        let Some((spot, value)) = self.look(key) else { return Vec::new() };
        let DeValue::Array(items) = value else {
            self.sheet.wrong(&spot, Wrong::new(format!("{key} is not a list")).hint(format!("write {key} = [\"…\"]")));
            return Vec::new();
        };
        let mut list = Vec::new();
        for (place, item) in items.iter().enumerate() {
            let spot = Spot { path: format!("{}[{place}]", spot.path), offset: item.span().start };
            match parse(item.get_ref()) {
                Ok(value) => list.push(At { value, spot }),
                Err(wrong) => {
                    self.sheet.wrong(&spot, Wrong { fact: format!("{key}[{place}] {}", wrong.fact), ..wrong })
                }
            }
        }
        list
    }

    /// As [`Fields::may_list`], which must be there and have an item.
    pub fn need_list<T>(&mut self, key: &'static str, parse: impl Fn(&DeValue) -> Result<T, Wrong>) -> Vec<At<T>> {
        match self.look(key) {
            None => self.missing(key, "key"),
            Some((spot, DeValue::Array(items))) if items.is_empty() => {
                self.sheet.wrong(&spot, Wrong::new(format!("{key} is empty")));
            }
            Some(_) => {}
        }
        self.may_list(key, parse)
    }

    /// The entries of a table whose keys are names, which must be there; each key with its value, in file order.
    pub fn need_map<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&DeValue) -> Result<T, Wrong>,
    ) -> Vec<(At<String>, T)> {
        let Some(fields) = self.need_table(key) else { return Vec::new() };
        let mut entries: Vec<_> = fields.table.iter().collect();
        entries.sort_by_key(|(name, _)| name.span().start);
        let mut map = Vec::new();
        for (name, value) in entries {
            let name_text = name.get_ref().clone().into_owned();
            let path = join(&fields.spot.path, &name_text);
            match parse(value.get_ref()) {
                Ok(value) => {
                    let spot = Spot { path, offset: name.span().start };
                    map.push((At { value: name_text, spot }, value));
                }
                Err(wrong) => {
                    let fact = format!("{} {}", join(key, &name_text), wrong.fact);
                    self.sheet.wrong(&Spot { path, offset: value.span().start }, Wrong { fact, ..wrong });
                }
            }
        }
        map
    }

    /// Reports the keys that nobody asked for.
    pub fn finish(self) {
        for (key, _) in self.table {
            let name = key.get_ref().as_ref();
            if self.known.contains(&name) {
                continue;
            }
            let spot = Spot { path: join(&self.spot.path, name), offset: key.span().start };
            let hint = match nearest(name, self.known.iter().copied()) {
                Some(meant) => format!("did you mean {meant}?"),
                None => format!("known here: {}", self.known.join(", ")),
            };
            self.sheet
                .wrong(&spot, Wrong::new(format!("unknown key {}{}", join("", name), self.whereabouts())).hint(hint));
        }
    }

    fn look(&mut self, key: &'static str) -> Option<(Spot, &'a DeValue<'a>)> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        let (_, value) = self.table.iter().find(|(name, _)| name.get_ref() == key)?;
        Some((Spot { path: join(&self.spot.path, key), offset: value.span().start }, value.get_ref()))
    }

    fn missing(&self, key: &str, kind: &str) {
        self.sheet.wrong(&self.spot, Wrong::new(format!("missing {kind} {key}{}", self.whereabouts())));
    }

    fn whereabouts(&self) -> String {
        if self.spot.path.is_empty() { String::new() } else { format!(" in {}", self.spot.path) }
    }
}

/// A path and one more key, which is quoted where it is not plain: a file's bytes never reach a terminal as they are.
fn join(path: &str, key: &str) -> String {
    let plain =
        !key.is_empty() && key.len() <= 40 && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    let key = if plain { key.to_owned() } else { quoted(key) };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

/// The candidate that a misspelt word most likely stands for: at most a third of its letters away.
pub(crate) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if word.chars().count() > 64 {
        return None;
    }
    let scored = candidates.map(|candidate| (distance(word, candidate), candidate));
    let (steps, best) = scored.min()?;
    (steps <= best.chars().count().div_ceil(3)).then_some(best)
}

/// Letters to add, drop or change to turn one word into the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (up, letter) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = up + 1;
        for (left, &wanted) in other.iter().enumerate() {
            let change = diagonal + usize::from(letter != wanted);
            diagonal = row[left + 1];
            row[left + 1] = change.min(diagonal + 1).min(row[left] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_near() {
        let keys = ["name", "nodes", "gpus_per_node"];
        for (word, meant) in [("nodse", Some("nodes")), ("gpus_per_nodes", Some("gpus_per_node")), ("colour", None)] {
            assert_eq!(nearest(word, keys.into_iter()), meant, "{word}");
        }
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn places_count_characters() {
        let text = "가 = 1\n마당 = 2\n";
        assert_eq!(line_and_column(text, text.find('2').expect("in the text")), (2, 6));
        assert_eq!(line_and_column(text, 1000), (3, 1));
    }
}
