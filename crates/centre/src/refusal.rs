//! Refusals: the rules say no. Each has a stable code, a fact with names and numbers, and where it helps a hint.
use alloc::string::String;
use serde::{Deserialize, Serialize};

/// The rules say no.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{fact}")]
pub struct Refusal {
    /// Stable code.
    pub code: Code,
    /// The fact, with names and numbers; lower case, no full stop.
    pub fact: String,
    /// What to do about it, if anything; empty otherwise.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hint: String,
}

/// The stable codes; their names in snake case are what a client sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The centre is not founded yet, or is founded already.
    WrongTime,
    /// No object of that name or number (or none that the caller may see).
    NotFound,
    /// The caller may see the object but not do this.
    NotAllowed,
    /// The name is taken.
    Exists,
    /// A value is out of its range.
    Invalid,
    /// No nodes of the estate could ever hold it.
    Impossible,
    /// The object is in a state in which this cannot be done.
    WrongState,
    /// The same key was used for something else.
    KeyReused,
    /// A bound on the number of objects is reached.
    TooMany,
}

impl Refusal {
    /// A refusal without a hint.
    pub fn new(code: Code, fact: impl Into<String>) -> Refusal {
        Refusal { code, fact: fact.into(), hint: String::new() }
    }
    /// The same with advice.
    pub fn hint(mut self, hint: impl Into<String>) -> Refusal {
        self.hint = hint.into();
        self
    }
}
