//! Slurm's two format languages, `%.18i %.9P` and `jobid:18,name:.20`, and the table that sacct prints.
//!
//! Invariant: a field's text is cut to its width, never the row's shape; what is unknown is refused, not left out.

/// A piece of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece<F> {
    /// Text as it stands.
    Text(String),
    /// A field.
    Field(Column<F>),
}

/// A field with its shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column<F> {
    /// Which.
    pub field: F,
    /// What the header says.
    pub header: String,
    /// Characters; `None` for as many as there are.
    pub width: Option<usize>,
    /// Right-justified.
    pub right: bool,
    /// As wide as the widest value (`%#N`).
    pub widest: bool,
}

/// Parses `%[.][width]letter` pieces. The error is what is not understood.
pub fn percent<F>(text: &str, lookup: impl Fn(char) -> Option<(F, &'static str)>) -> Result<Vec<Piece<F>>, String> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            plain.push(c);
            continue;
        }
        if chars.next_if_eq(&'%').is_some() {
            plain.push('%');
            continue;
        }
        let right = chars.next_if_eq(&'.').is_some();
        let widest = chars.next_if_eq(&'#').is_some();
        let mut digits = String::new();
        while let Some(digit) = chars.next_if(char::is_ascii_digit) {
            digits.push(digit);
        }
        let letter = chars.next().ok_or("%")?;
        let (field, header) = lookup(letter).ok_or_else(|| letter.to_string())?;
        if !plain.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut plain)));
        }
        let width = digits.parse().ok().filter(|width| *width > 0);
        pieces.push(Piece::Field(Column { field, header: header.to_owned(), width, right, widest }));
    }
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    Ok(pieces)
}

/// Parses `name[:[.][width][suffix]],…`; twenty characters unless told.
pub fn named<F>(text: &str, lookup: impl Fn(&str) -> Option<(F, &'static str)>) -> Result<Vec<Piece<F>>, String> {
    let mut pieces = Vec::new();
    for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        let (name, shape) = item.split_once(':').unwrap_or((item, ""));
        let (field, header) = lookup(&name.to_ascii_lowercase()).ok_or_else(|| name.to_owned())?;
        let (right, rest) = match shape.strip_prefix('.') {
            Some(rest) => (true, rest),
            None => (false, shape),
        };
        let at = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let width = if rest[..at].is_empty() { 20 } else { rest[..at].parse().map_err(|_| item.to_owned())? };
        let width = Some(width).filter(|width| *width > 0);
        pieces.push(Piece::Field(Column { field, header: header.to_owned(), width, right, widest: false }));
        if at < rest.len() {
            pieces.push(Piece::Text(rest[at..].to_owned()));
        }
    }
    Ok(pieces)
}

/// Text cut and padded to a width.
pub fn fit(text: &str, width: Option<usize>, right: bool) -> String {
    let Some(width) = width else { return text.to_owned() };
    let count = text.chars().count();
    if count > width {
        return text.chars().take(width).collect();
    }
    let pad = " ".repeat(width - count);
    if right { pad + text } else { text.to_owned() + &pad }
}

/// A column as wide as its widest value is never narrower than this.
const LEAST_WIDEST: usize = 9;

/// Rows under an optional header, each ended by a line break.
pub fn table<F: Copy, R>(pieces: &[Piece<F>], header: bool, rows: &[R], value: impl Fn(F, &R) -> String) -> String {
    let mut cells: Vec<Vec<String>> = Vec::with_capacity(rows.len() + 1);
    if header {
        cells.push(line(pieces, |column| column.header.clone()));
    }
    cells.extend(rows.iter().map(|row| line(pieces, |column| value(column.field, row))));
    let width_of = |at: usize| cells.iter().map(|line| line[at].chars().count()).chain([LEAST_WIDEST]).max();
    let widths: Vec<Option<usize>> = (0..pieces.len())
        .map(|at| match &pieces[at] {
            Piece::Field(column) if column.widest => width_of(at),
            Piece::Field(column) => column.width,
            Piece::Text(_) => None,
        })
        .collect();
    let mut out = String::new();
    for line in &cells {
        for (at, piece) in pieces.iter().enumerate() {
            let right = matches!(piece, Piece::Field(column) if column.right);
            out.push_str(&fit(&line[at], widths[at], right));
        }
        out.push('\n');
    }
    out
}

fn line<F>(pieces: &[Piece<F>], value: impl Fn(&Column<F>) -> String) -> Vec<String> {
    let cell = |piece: &Piece<F>| match piece {
        Piece::Text(text) => text.clone(),
        Piece::Field(column) => value(column),
    };
    pieces.iter().map(cell).collect()
}

/// How sacct separates its columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Style {
    /// Padded, cut with a `+`, a line of dashes under the header.
    Padded,
    /// `a|b|c|`.
    Ended(String),
    /// `a|b|c`.
    Between(String),
}

/// sacct's table: columns of a name and a width, negative for left-justified.
pub fn columns(header: &[(&str, i32)], rows: &[Vec<String>], style: &Style, with_header: bool) -> String {
    let mut out = String::new();
    let names: Vec<String> = header.iter().map(|(name, _)| (*name).to_owned()).collect();
    if with_header {
        push_row(&mut out, header, &names, style);
        if *style == Style::Padded {
            for (_, width) in header {
                out.push_str(&"-".repeat(width.unsigned_abs() as usize));
                out.push(' ');
            }
            out.push('\n');
        }
    }
    for row in rows {
        push_row(&mut out, header, row, style);
    }
    out
}

fn push_row(out: &mut String, header: &[(&str, i32)], cells: &[String], style: &Style) {
    match style {
        Style::Padded => {
            for ((_, width), cell) in header.iter().zip(cells) {
                let size = width.unsigned_abs() as usize;
                let cut = match cell.chars().count() > size && size > 0 {
                    true => cell.chars().take(size - 1).chain(['+']).collect(),
                    false => cell.clone(),
                };
                out.push_str(&fit(&cut, Some(size), *width > 0));
                out.push(' ');
            }
        }
        Style::Ended(mark) => cells.iter().for_each(|cell| {
            out.push_str(cell);
            out.push_str(mark);
        }),
        Style::Between(mark) => out.push_str(&cells.join(mark)),
    }
    out.push('\n');
}

/// MiB as Slurm writes memory: `4G`, `8000M`, `1T`.
pub fn mib(mib: u64) -> String {
    match mib {
        0 => "0".to_owned(),
        mib if mib % (1 << 20) == 0 => format!("{}T", mib >> 20),
        mib if mib % 1024 == 0 => format!("{}G", mib >> 10),
        mib => format!("{mib}M"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letters(letter: char) -> Option<(char, &'static str)> {
        match letter {
            'i' => Some(('i', "JOBID")),
            'T' => Some(('T', "STATE")),
            'N' => Some(('N', "NODELIST")),
            _ => None,
        }
    }

    fn value(field: char, row: &(u32, &str)) -> String {
        if field == 'i' { row.0.to_string() } else { row.1.to_owned() }
    }

    #[test]
    fn percent_formats() {
        let rows = [(12, "PENDING"), (345, "RUNNING")];
        for (format, want) in [
            ("%i %T", "JOBID STATE\n12 PENDING\n345 RUNNING\n"),
            ("%.6i|%4T|", " JOBID|STAT|\n    12|PEND|\n   345|RUNN|\n"),
            ("%6i%%%.9T", "JOBID %    STATE\n12    %  PENDING\n345   %  RUNNING\n"),
            ("%#N!", "NODELIST !\nPENDING  !\nRUNNING  !\n"),
            ("%.#N!", " NODELIST!\n  PENDING!\n  RUNNING!\n"),
        ] {
            let pieces = percent(format, letters).expect("sound");
            assert_eq!(table(&pieces, true, &rows, value), want, "{format}");
        }
        assert_eq!(percent("%i %z", letters), Err("z".to_owned()));
        assert_eq!(percent("%", letters), Err("%".to_owned()));
    }

    #[test]
    fn named_formats() {
        let lookup = |name: &str| match name {
            "jobid" => Some(('i', "JOBID")),
            "state" => Some(('T', "STATE")),
            _ => None,
        };
        let pieces = named("JobID:.6,state:5|", lookup).expect("sound");
        assert_eq!(table(&pieces, true, &[(12, "PENDING")], value), " JOBIDSTATE|\n    12PENDI|\n");
        assert_eq!(named("jobid,foo", lookup), Err("foo".to_owned()));
        let plain = table(&named("jobid,state", lookup).expect("sound"), false, &[(12, "PENDING")], value);
        assert_eq!(plain, format!("{:20}{:20}\n", "12", "PENDING"));
    }

    #[test]
    fn accounting_tables() {
        let header = [("JobID", -6), ("State", 6)];
        let rows = [vec!["12".to_owned(), "CANCELLED".to_owned()]];
        let show = |style| columns(&header, &rows, &style, true);
        assert_eq!(show(Style::Padded), "JobID   State \n------ ------ \n12     CANCE+ \n");
        assert_eq!(show(Style::Between("|".into())), "JobID|State\n12|CANCELLED\n");
        assert_eq!(show(Style::Ended("|".into())), "JobID|State|\n12|CANCELLED|\n");
    }

    #[test]
    fn memory_text() {
        for (value, want) in [(0, "0"), (4096, "4G"), (8000, "8000M"), (1 << 20, "1T")] {
            assert_eq!(mib(value), want);
        }
    }
}
