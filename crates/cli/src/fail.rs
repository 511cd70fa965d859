//! How a command fails: the fact, advice on its own line, and an exit code.
use std::fmt;

/// A failure for a person to read.
#[derive(Debug)]
pub struct Fail {
    /// What went wrong; lower case, no full stop.
    pub fact: String,
    /// What to do about it, if anything.
    pub hint: Option<String>,
    /// The API's stable code, when the server refused.
    pub code: Option<String>,
    /// Exit code of the command.
    pub exit: u8,
}

/// Exit code for wrong usage.
pub const USAGE: u8 = 2;
/// Exit code when no server answers.
pub const NO_SERVER: u8 = 3;

impl Fail {
    /// A failure with exit code 1.
    pub fn new(fact: impl Into<String>) -> Fail {
        Fail { fact: fact.into(), hint: None, code: None, exit: 1 }
    }
    /// The same with advice.
    pub fn hint(mut self, hint: impl Into<String>) -> Fail {
        self.hint = Some(hint.into());
        self
    }
    /// The same with another exit code.
    pub fn exit(mut self, exit: u8) -> Fail {
        self.exit = exit;
        self
    }
    /// True if the server refused with this code.
    pub fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }
}

impl fmt::Display for Fail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fact)
    }
}

impl From<String> for Fail {
    fn from(fact: String) -> Fail {
        Fail::new(fact)
    }
}

/// Writes text to standard output. A reader that has gone away (`| head`) is no failure.
pub fn print(text: &str) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}
