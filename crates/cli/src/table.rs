//! Tables for people: columns as wide as their widest cell, two blanks between, no line wider than needed.

/// How a column is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Left.
    Left,
    /// Right, for numbers.
    Right,
}

/// Rows under a header.
pub struct Table {
    header: Vec<(String, Side)>,
    rows: Vec<Vec<String>>,
}

/// The widest that a cell is shown; longer ones end in `…`.
const WIDEST: usize = 48;

impl Table {
    /// An empty table; a header that begins with `>` is set right.
    pub fn new(header: &[impl AsRef<str>]) -> Table {
        let side = |name: &str| match name.strip_prefix('>') {
            Some(name) => (name.to_owned(), Side::Right),
            None => (name.to_owned(), Side::Left),
        };
        Table { header: header.iter().map(|name| side(name.as_ref())).collect(), rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The table as text.
    pub fn text(&self) -> String {
        let names: Vec<String> = self.header.iter().map(|(name, _)| name.clone()).collect();
        let all = || std::iter::once(&names).chain(&self.rows);
        let width = |at: usize| all().map(|row| cut(&row[at]).chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.header.len()).map(width).collect();
        let mut out = String::new();
        for row in all() {
            let mut line = String::new();
            for (at, cell) in row.iter().enumerate() {
                let cell = cut(cell);
                let pad = " ".repeat(widths[at].saturating_sub(cell.chars().count()));
                let gap = if at == 0 { "" } else { "  " };
                match self.header[at].1 {
                    Side::Left => line.push_str(&format!("{gap}{cell}{pad}")),
                    Side::Right => line.push_str(&format!("{gap}{pad}{cell}")),
                }
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }
}

fn cut(cell: &str) -> String {
    if cell.chars().count() <= WIDEST {
        return cell.to_owned();
    }
    cell.chars().take(WIDEST - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_as_wide_as_needed() {
        let mut table = Table::new(&["JOB", ">GPUS", "NAME"]);
        table.row(vec!["7".into(), "16".into(), "train".into()]);
        table.row(vec!["1234".into(), "8".into(), "x".repeat(60)]);
        let want = format!("JOB   GPUS  NAME\n7       16  train\n1234     8  {}…\n", "x".repeat(47));
        assert_eq!(table.text(), want);
    }
}
