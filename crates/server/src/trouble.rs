//! What stops a server, told so that a person can mend it: the fact on the first line, advice on its own.

use std::fmt;

/// A failure at the edge with advice. Prints as the fact, then `hint: …` on its own line where there is advice.
#[derive(Debug)]
pub struct Trouble {
    /// What went wrong, with names and numbers; lower case, no full stop.
    pub fact: String,
    /// What to do about it; empty when there is nothing to say.
    pub hint: String,
}

impl Trouble {
    /// A failure without advice.
    pub fn new(fact: impl Into<String>) -> Trouble {
        Trouble { fact: fact.into(), hint: String::new() }
    }
    /// The same with advice.
    pub fn hint(mut self, hint: impl Into<String>) -> Trouble {
        self.hint = hint.into();
        self
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.hint.as_str() {
            "" => f.write_str(&self.fact),
            hint => write!(f, "{}\nhint: {hint}", self.fact),
        }
    }
}

impl std::error::Error for Trouble {}
