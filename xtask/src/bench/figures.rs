//! What our examples print: lines of a word and `name=value` pairs.

/// One line.
#[derive(Clone, Copy, Debug)]
pub struct Figures<'a>(&'a str);

impl<'a> Figures<'a> {
    /// Every line that begins with this word.
    pub fn all(text: &'a str, word: &str) -> impl Iterator<Item = Figures<'a>> {
        text.lines().filter(move |line| line.split(' ').next() == Some(word)).map(Figures)
    }

    /// The value of a name.
    pub fn word(self, name: &str) -> Option<&'a str> {
        self.0.split(' ').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }

    /// The value of a name as a number; zero when there is none.
    pub fn number(self, name: &str) -> f64 {
        self.word(name).and_then(|value| value.parse().ok()).unwrap_or(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_their_whole_name() {
        let text = "churn p50=1.5 beside_p50=2\nchurned p50=9\n";
        let lines: Vec<Figures> = Figures::all(text, "churn").collect();
        assert_eq!(lines.len(), 1);
        assert_eq!((lines[0].number("p50"), lines[0].number("p99"), lines[0].word("p5")), (1.5, 0.0, None));
    }
}
