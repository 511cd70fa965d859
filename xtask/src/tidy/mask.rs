//! Blanking out comments and literals, so that what remains of a Rust file is code; lines keep their places.

/// Where in the text we are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum In {
    Code,
    Line,
    Block(u32),
    Text,
    Raw(usize),
}

/// The text with comments, strings and characters turned into blanks.
pub fn mask(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut state = In::Code;
    let mut at = 0;
    while at < chars.len() {
        let (next, taken, keep) = step(state, &chars[at..], at.checked_sub(1).map(|before| chars[before]));
        for &c in &chars[at..at + taken] {
            out.push(if c == '\n' || keep { c } else { ' ' });
        }
        state = next;
        at += taken;
    }
    out
}

/// The next state, how many characters this step takes, and whether they are code.
fn step(state: In, rest: &[char], before: Option<char>) -> (In, usize, bool) {
    let second = rest.get(1).copied();
    match (state, rest[0]) {
        (In::Code, '/') if second == Some('/') => (In::Line, 2, false),
        (In::Code, '/') if second == Some('*') => (In::Block(1), 2, false),
        (In::Code, '"') => (In::Text, 1, false),
        (In::Code, 'r') if !before.is_some_and(|c| c.is_alphanumeric() && c != 'b' || c == '_') => {
            match raw_opening(rest) {
                Some(hashes) => (In::Raw(hashes), hashes + 2, false),
                None => (In::Code, 1, true),
            }
        }
        (In::Code, '\'') => match character(rest) {
            Some(length) => (In::Code, length, false),
            None => (In::Code, 1, true),
        },
        (In::Code, _) => (In::Code, 1, true),
        (In::Line, '\n') => (In::Code, 1, false),
        (In::Block(depth), '/') if second == Some('*') => (In::Block(depth + 1), 2, false),
        (In::Block(depth), '*') if second == Some('/') => {
            (if depth == 1 { In::Code } else { In::Block(depth - 1) }, 2, false)
        }
        (In::Text, '\\') => (In::Text, rest.len().min(2), false),
        (In::Text, '"') => (In::Code, 1, false),
        (In::Raw(hashes), '"') if rest[1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes => {
            (In::Code, hashes + 1, false)
        }
        (state, _) => (state, 1, false),
    }
}

/// The number of hashes of a raw string that opens here.
fn raw_opening(rest: &[char]) -> Option<usize> {
    let hashes = rest[1..].iter().take_while(|c| **c == '#').count();
    (rest.get(hashes + 1) == Some(&'"')).then_some(hashes)
}

/// The length of a character literal that opens here; `None` for a lifetime.
fn character(rest: &[char]) -> Option<usize> {
    match (rest.get(1), rest.get(2)) {
        (Some('\\'), _) => rest.iter().skip(3).position(|c| *c == '\'').map(|at| at + 4),
        (Some(_), Some('\'')) => Some(3),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_remains() {
        for (text, expected) in [
            ("a // b\nc", "a     \nc"),
            ("a /* b /* c */ d */ e", "a                   e"),
            (r#"x("a\"b") y"#, "x(      ) y"),
            ("r#\"a\"b\"# c", "         c"),
            ("br\"a{\" c", "b      c"),
            ("'{' '\\'' 'a: b<'a>", "         'a: b<'a>"),
            ("for x", "for x"),
        ] {
            assert_eq!(mask(text), expected, "{text}");
        }
    }
}
