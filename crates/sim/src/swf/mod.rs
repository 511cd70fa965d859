//! Standard Workload Format: the field's common language for job logs, as the Parallel Workloads Archive keeps them.
//!
//! A log is a header of `;` comments and one line of eighteen whole numbers a job, `-1` where a figure is unknown.
//! [`Log::parse`] and [`Log::text`] are each other's inverse: header lines, rows and their order are kept as found.
//! Bytes that begin as gzip does are unpacked first, since the archive ships nothing else.

use std::fmt;
use std::io::Read;

/// One job of a log, column by column; `-1` is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// Its number.
    pub job: i64,
    /// When it was submitted, in seconds from the log's start.
    pub submit: i64,
    /// How long it waited, in seconds.
    pub wait: i64,
    /// How long it ran, in seconds.
    pub run: i64,
    /// Processors it held.
    pub allocated: i64,
    /// Mean processor time used, in seconds.
    pub cpu_time: i64,
    /// Memory used per processor, in KB.
    pub memory: i64,
    /// Processors it asked for.
    pub requested: i64,
    /// Time it asked for, in seconds.
    pub time_requested: i64,
    /// Memory it asked for per processor, in KB.
    pub memory_requested: i64,
    /// 1 done, 0 failed, 5 cancelled.
    pub status: i64,
    /// Whose it is.
    pub user: i64,
    /// The user's group.
    pub group: i64,
    /// The program.
    pub executable: i64,
    /// The queue.
    pub queue: i64,
    /// The partition.
    pub partition: i64,
    /// The job it had to wait for.
    pub preceding: i64,
    /// Seconds between that job's end and this one's submission.
    pub think: i64,
}

/// Columns of the format, by name, in order.
pub const FIELDS: [&str; 18] = [
    "job",
    "submit",
    "wait",
    "run",
    "allocated processors",
    "processor time",
    "memory",
    "requested processors",
    "requested time",
    "requested memory",
    "status",
    "user",
    "group",
    "executable",
    "queue",
    "partition",
    "preceding job",
    "think time",
];

impl Row {
    fn from_fields(at: [i64; 18]) -> Row {
        let [job, submit, wait, run, allocated, cpu_time, memory, requested, time_requested, ..] = at;
        let [.., memory_requested, status, user, group, executable, queue, partition, preceding, think] = at;
        Row {
            job,
            submit,
            wait,
            run,
            allocated,
            cpu_time,
            memory,
            requested,
            time_requested,
            memory_requested,
            status,
            user,
            group,
            executable,
            queue,
            partition,
            preceding,
            think,
        }
    }

    /// The eighteen figures in the format's order.
    pub fn fields(&self) -> [i64; 18] {
        [
            self.job,
            self.submit,
            self.wait,
            self.run,
            self.allocated,
            self.cpu_time,
            self.memory,
            self.requested,
            self.time_requested,
            self.memory_requested,
            self.status,
            self.user,
            self.group,
            self.executable,
            self.queue,
            self.partition,
            self.preceding,
            self.think,
        ]
    }
}

/// A log: its header and its jobs, as found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// Comment lines without their `;`.
    pub header: Vec<String>,
    /// Jobs in file order.
    pub rows: Vec<Row>,
}

/// What is wrong with a log, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// Line, from 1; 0 if it is not about one line.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.what),
            line => write!(f, "line {line}, column {}: {}", self.column, self.what),
        }
    }
}

impl std::error::Error for Wrong {}

impl Log {
    /// Reads a log, plain or packed with gzip.
    pub fn read(bytes: &[u8]) -> Result<Log, Wrong> {
        let whole = |what: String| Wrong { line: 0, column: 0, what };
        let mut unpacked = Vec::new();
        let plain = if bytes.starts_with(&[0x1f, 0x8b]) {
            let mut packed = flate2::read::MultiGzDecoder::new(bytes);
            packed.read_to_end(&mut unpacked).map_err(|error| whole(format!("the gzip data is damaged: {error}")))?;
            &unpacked
        } else {
            bytes
        };
        Log::parse(&String::from_utf8_lossy(plain))
    }

    /// Reads a log. Blank lines are passed over; figures after the eighteenth, which some logs add, are too.
    pub fn parse(text: &str) -> Result<Log, Wrong> {
        let mut log = Log::default();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim_end();
            if let Some(comment) = line.trim_start().strip_prefix(';') {
                log.header.push(comment.to_owned());
            } else if !line.is_empty() {
                let row = row(line).map_err(|(column, what)| Wrong { line: at + 1, column, what })?;
                log.rows.push(row);
            }
        }
        Ok(log)
    }

    /// The log as text.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for line in &self.header {
            out.push(';');
            out.push_str(line);
            out.push('\n');
        }
        for row in &self.rows {
            let cells = row.fields().map(|figure| figure.to_string());
            out.push_str(&cells.join(" "));
            out.push('\n');
        }
        out
    }

    /// A figure of the header: `MaxProcs: 128`. Several names are tried in order; -1 counts as unknown.
    pub fn figure(&self, names: &[&str]) -> Option<u64> {
        let of = |name: &&str| {
            self.header.iter().find_map(|line| line.trim().strip_prefix(*name)?.trim_start().strip_prefix(':'))
        };
        names.iter().filter_map(of).find_map(|value| value.split_whitespace().next()?.parse().ok())
    }
}

fn row(line: &str) -> Result<Row, (usize, String)> {
    let mut figures = [0i64; 18];
    let mut from = 0;
    for (at, name) in FIELDS.iter().enumerate() {
        let rest = &line[from..];
        let Some(skip) = rest.find(|c: char| !c.is_whitespace()) else {
            return Err((line.chars().count() + 1, format!("a job has 18 figures, this line has {at}: no {name}")));
        };
        let word = &rest[skip..];
        let word = &word[..word.find(char::is_whitespace).unwrap_or(word.len())];
        figures[at] = figure(word).ok_or_else(|| {
            let column = line[..from + skip].chars().count() + 1;
            (column, format!("{name} is not a number: {word:?}"))
        })?;
        from += skip + word.len();
    }
    Ok(Row::from_fields(figures))
}

/// Whole numbers; a fraction, as some logs have in processor time and memory, is cut.
fn figure(word: &str) -> Option<i64> {
    if let Ok(figure) = word.parse() {
        return Some(figure);
    }
    let (whole, fraction) = word.split_once('.')?;
    let digits = !fraction.is_empty() && fraction.bytes().all(|digit| digit.is_ascii_digit());
    if digits { whole.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "1 0 5 10 4 -1 -1 4 20 -1 1 7 -1 -1 -1 -1 -1 -1\n";

    #[test]
    fn text_and_log_are_inverse() {
        let text = format!("; MaxProcs: 128\n;  MaxNodes: -1\n{ONE}");
        let log = Log::parse(&text).expect("a good log");
        assert_eq!(log.text(), text);
        assert_eq!(log.figure(&["MaxNodes", "MaxProcs"]), Some(128));
        assert_eq!(log.rows[0].user, 7);
        assert_eq!(log.rows[0].think, -1);
        assert_eq!(log.rows[0].memory_requested, -1);
    }

    #[test]
    fn odd_white_space_and_fractions_are_read() {
        let log = Log::parse("\n\t1\t0 5 10 4 2.75 -1 4 20 -1 1 7 -1 -1 -1 -1 -1 -1 extra\r\n").expect("a good log");
        assert_eq!(log.rows[0].cpu_time, 2);
    }

    #[test]
    fn wrong_lines_are_named() {
        let said = |text: &str| Log::parse(text).expect_err("a bad log").to_string();
        assert_eq!(said("; a\n1 0 x"), "line 2, column 5: wait is not a number: \"x\"");
        assert_eq!(said("1 0 3"), "line 1, column 6: a job has 18 figures, this line has 3: no run");
        assert_eq!(said("1 1.5.2"), "line 1, column 3: submit is not a number: \"1.5.2\"");
    }

    #[test]
    fn gzip_is_unpacked_and_damage_is_said() {
        use std::io::Write;
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(ONE.as_bytes()).expect("memory takes it");
        let mut packed = packed.finish().expect("memory takes it");
        assert_eq!(Log::read(&packed).expect("a good log").rows.len(), 1);
        packed.truncate(20);
        assert!(Log::read(&packed).expect_err("cut off").to_string().starts_with("the gzip data is damaged"));
    }
}
