//! Tables of comma-separated values as public traces have them: a header, then rows; no quotes.
use std::fmt;
use std::str::FromStr;

/// What is wrong with a table, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// The line, from 1.
    pub line: usize,
    /// The fact.
    pub fact: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.fact)
    }
}

impl std::error::Error for Wrong {}

/// A table.
pub struct Table<'a> {
    columns: Vec<&'a str>,
    rows: Vec<(usize, Vec<&'a str>)>,
}

/// One row of a table.
pub struct Row<'a> {
    columns: &'a [&'a str],
    line: usize,
    cells: &'a [&'a str],
}

impl<'a> Table<'a> {
    /// Reads a table that begins with this header.
    pub fn read(text: &'a str, header: &str) -> Result<Table<'a>, Wrong> {
        let mut lines = (1..).zip(text.lines().map(|line| line.trim_end_matches('\r')));
        let first = lines.next().map_or("", |(_, line)| line.trim_start_matches('\u{feff}'));
        if first != header {
            let shown: String = first.chars().take(80).collect();
            return Err(Wrong { line: 1, fact: format!("the columns are {shown}, expected {header}") });
        }
        let columns: Vec<&str> = first.split(',').collect();
        let mut rows = Vec::new();
        for (line, text) in lines.filter(|(_, text)| !text.is_empty()) {
            let cells: Vec<&str> = text.split(',').collect();
            if cells.len() != columns.len() {
                let fact = format!("it has {} columns, expected {}", cells.len(), columns.len());
                return Err(Wrong { line, fact });
            }
            rows.push((line, cells));
        }
        Ok(Table { columns, rows })
    }

    /// The rows, in order.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(|(line, cells)| Row { columns: &self.columns, line: *line, cells })
    }
}

impl Row<'_> {
    /// The cell of a column.
    pub fn text(&self, column: &str) -> Result<&str, Wrong> {
        let at = self.columns.iter().position(|name| *name == column);
        let cell = at.map(|at| self.cells[at]);
        cell.ok_or_else(|| Wrong { line: self.line, fact: format!("there is no column {column}") })
    }

    /// A whole number.
    pub fn number<T: FromStr>(&self, column: &str) -> Result<T, Wrong> {
        self.text(column)?.parse().map_err(|_| self.wrong(column, "a whole number"))
    }

    /// A decimal number that is not negative, in parts of `10^places`; further decimals are dropped.
    pub fn decimal(&self, column: &str, places: usize) -> Result<u64, Wrong> {
        let text = self.text(column)?;
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let digits: String = part.chars().chain(std::iter::repeat('0')).take(places).collect();
        let plain = !whole.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let number = if plain { format!("{whole}{digits}").parse().ok() } else { None };
        number.ok_or_else(|| self.wrong(column, "a number that is not negative"))
    }

    /// A moment without a zone, `2017-10-09 07:01:55`, in seconds since 1970 were it UTC.
    pub fn date_time(&self, column: &str) -> Result<u64, Wrong> {
        let wrong = || self.wrong(column, "a moment such as 2017-10-09 07:01:55");
        let text = self.text(column)?;
        let parts: Vec<u64> =
            text.split(['-', ' ', ':']).map(str::parse).collect::<Result<_, _>>().map_err(|_| wrong())?;
        let [year, month, day, hour, minute, second] = parts[..] else { return Err(wrong()) };
        let sound = (1970..3000).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
        if !sound || hour > 23 || minute > 59 || second > 60 {
            return Err(wrong());
        }
        Ok(days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
    }

    /// What is wrong with a cell.
    pub fn wrong(&self, column: &str, expected: &str) -> Wrong {
        let shown: String = self.text(column).unwrap_or("missing").chars().take(80).collect();
        Wrong { line: self.line, fact: format!("{column} is {shown}, expected {expected}") }
    }
}

/// Days since 1970 in the Gregorian calendar: years begin in March, so that a leap day is a year's last.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_count_from_1970() {
        assert_eq!([days(1970, 1, 1), days(2000, 2, 29), days(2017, 10, 9)], [0, 11_016, 17_448]);
    }

    #[test]
    fn decimals_are_exact() {
        let table = Table::read("a\n66.0\n0.25\n7\n-1\n.5\n", "a").expect("it is a table");
        let read: Vec<Option<u64>> = table.rows().map(|row| row.decimal("a", 3).ok()).collect();
        assert_eq!(read, [Some(66_000), Some(250), Some(7000), None, None]);
    }
}
