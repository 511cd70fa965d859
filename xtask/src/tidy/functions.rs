//! Finding functions and their lengths in masked Rust, by counting brackets.

/// A function with a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// The line of its `fn`, from 1.
    pub line: usize,
    /// Lines from `fn` to the closing bracket.
    pub lines: usize,
}

/// Every function of a masked file, nested ones too.
pub fn find(masked: &str) -> Vec<Function> {
    let mut found = Vec::new();
    for (at, _) in masked.match_indices("fn ") {
        let starts_word = !masked[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_');
        let rest = &masked[at + 3..];
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if starts_word
            && !name.is_empty()
            && let Some(length) = body_end(rest)
        {
            let line = masked[..at].matches('\n').count() + 1;
            found.push(Function { name, line, lines: rest[..length].matches('\n').count() + 1 });
        }
    }
    found
}

/// The length up to the bracket that closes the body; `None` where a `;` ends the signature.
fn body_end(rest: &str) -> Option<usize> {
    let (mut curly, mut round) = (0_u32, 0_u32);
    for (at, c) in rest.char_indices() {
        match c {
            '(' | '[' => round += 1,
            ')' | ']' => round = round.checked_sub(1)?,
            '{' => curly += 1,
            '}' if curly == 1 => return Some(at),
            '}' => curly = curly.checked_sub(1)?,
            ';' if curly == 0 && round == 0 => return None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_run_from_the_word_to_the_bracket() {
        let text = "trait T {\n    fn a(&self, x: [u8; 4]);\n    fn b() -> u8 {\n        { 3 }\n    }\n}\nfn c() {}\n";
        let found: Vec<(String, usize, usize)> = find(text).into_iter().map(|f| (f.name, f.line, f.lines)).collect();
        assert_eq!(found, [("b".into(), 3, 3), ("c".into(), 7, 1)]);
    }
}
