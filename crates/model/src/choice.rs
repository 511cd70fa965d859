//! One word of several: what a part takes where more than one GPU model or feature would do.
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use serde::{Deserialize, Serialize};

/// Most ways in which one request may choose between words by which all nodes of a part go alike.
pub const MOST_KINDS: u32 = 32;

/// Words of which one is enough, the most wanted first; never empty.
///
/// All nodes of a part go by the same word, so that a gang is of one kind, unless the choice is mixed. A choice of one
/// word reads and writes as that word alone, as every journal of before has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct Choice {
    words: Vec<String>,
    mixed: bool,
}

impl Choice {
    /// One of these for all nodes of a part alike; `None` of no words. Repeated words count once.
    pub fn same(words: impl IntoIterator<Item = String>) -> Option<Choice> {
        let mut kept: Vec<String> = Vec::new();
        for word in words {
            if !kept.contains(&word) {
                kept.push(word);
            }
        }
        (!kept.is_empty()).then_some(Choice { words: kept, mixed: false })
    }

    /// The same words, chosen for each node by itself.
    pub fn mixed(self) -> Choice {
        Choice { mixed: self.words.len() > 1, ..self }
    }

    /// The words, the most wanted first.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// True when each node may go by another word.
    pub fn is_mixed(&self) -> bool {
        self.mixed
    }

    /// True when there is something to choose and all nodes of the part must go by one word.
    pub fn binds(&self) -> bool {
        self.words.len() > 1 && !self.mixed
    }

    /// True when this word is among them.
    pub fn allows(&self, word: &str) -> bool {
        self.words.iter().any(|known| known == word)
    }

    /// The words between bars, as Slurm writes alternatives.
    pub fn bars(&self) -> String {
        self.words.join("|")
    }
}

/// As people read it: `h200 or h100`.
impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words.join(" or "))
    }
}

impl From<&str> for Choice {
    fn from(word: &str) -> Choice {
        Choice::from(word.to_string())
    }
}

impl From<String> for Choice {
    fn from(word: String) -> Choice {
        Choice { words: alloc::vec![word], mixed: false }
    }
}

/// The forms on paper.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    One(String),
    Same(Vec<String>),
    Mixed { mixed: Vec<String> },
}

impl From<Written> for Choice {
    fn from(written: Written) -> Choice {
        let (words, mixed) = match written {
            Written::One(word) => return Choice::from(word),
            Written::Same(words) => (words, false),
            Written::Mixed { mixed } => (mixed, true),
        };
        // What was written by this release has a word; no word at all is one that no node has.
        let choice = Choice::same(words).unwrap_or_else(|| Choice::from(String::new()));
        if mixed { choice.mixed() } else { choice }
    }
}

impl From<Choice> for Written {
    fn from(choice: Choice) -> Written {
        let Choice { mut words, mixed } = choice;
        match words.len() {
            1 => Written::One(words.swap_remove(0)),
            _ if mixed => Written::Mixed { mixed: words },
            _ => Written::Same(words),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_word_is_written_as_before() {
        let words = |words: &[&str]| words.iter().map(|word| word.to_string()).collect::<Vec<_>>();
        let same = Choice::same(words(&["h200", "h100", "h200"])).expect("there are words");
        let cases = [
            (Choice::from("h200"), r#""h200""#),
            (Choice::from("h200").mixed(), r#""h200""#),
            (same.clone(), r#"["h200","h100"]"#),
            (same.clone().mixed(), r#"{"mixed":["h200","h100"]}"#),
        ];
        for (choice, written) in cases {
            assert_eq!(serde_json::to_string(&choice).expect("plain data"), written);
            assert_eq!(serde_json::from_str::<Choice>(written).expect("just written"), choice);
        }
        assert_eq!((same.to_string(), same.bars()), ("h200 or h100".to_string(), "h200|h100".to_string()));
        assert_eq!(Choice::same(words(&[])), None);
    }
}
