//! Logs in the Standard Workload Format as GPU jobs: a processor counts as a GPU.
use super::super::workload::{Job, Workload};
use super::{Owners, Reading, Wrong, dice};
use crate::swf::{Log, Row};
use madang_model::{Qos, Span, Time};
use std::collections::BTreeSet;

/// Most owners that a column may come to before it no longer fits.
const MOST_OWNERS: usize = 64;
/// Most processors of a job, so that GPUs can be counted.
const MOST: i64 = 10_000_000;

/// A column of a log that says whose a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// The first of group, queue, partition and user that names 2 to 64 owners; where none does, all jobs have one.
    Fitting,
    /// The user's group.
    Group,
    /// The user.
    User,
    /// The queue.
    Queue,
    /// The partition.
    Partition,
}

impl Column {
    fn of(self, row: &Row) -> i64 {
        match self {
            Column::Fitting => -1,
            Column::Group => row.group,
            Column::User => row.user,
            Column::Queue => row.queue,
            Column::Partition => row.partition,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Column::Fitting => "all",
            Column::Group => "group",
            Column::User => "user",
            Column::Queue => "queue",
            Column::Partition => "partition",
        }
    }

    /// The column itself, or the first that fits the rows.
    fn settled(self, rows: &[Row]) -> Column {
        if self != Column::Fitting {
            return self;
        }
        let fits = |column: &Column| {
            let seen: BTreeSet<i64> = rows.iter().map(|row| column.of(row)).filter(|name| *name >= 0).collect();
            (2..=MOST_OWNERS).contains(&seen.len())
        };
        let columns = [Column::Group, Column::Queue, Column::Partition, Column::User];
        columns.into_iter().find(fits).unwrap_or(Column::Fitting)
    }
}

/// Reads a log.
pub(super) fn read(name: &str, text: &str, reading: &Reading) -> Result<Workload, Wrong> {
    let wrong = |fact: String| Wrong { name: name.into(), fact, hint: "" };
    let log = Log::parse(text).map_err(|error| wrong(error.to_string()))?;
    let procs = |row: &Row| if row.requested > 0 { row.requested } else { row.allocated };
    let can = |row: &&Row| row.run > 0 && procs(row) > 0 && row.submit >= 0;
    let rows: Vec<Row> = log.rows.iter().filter(can).copied().collect();
    if let Some(row) = rows.iter().find(|row| procs(row) > MOST || row.run > 1_000_000_000) {
        return Err(wrong(format!(
            "job {}: {} processors for {} s are more than can be counted",
            row.job,
            procs(row),
            row.run
        )));
    }
    let (column, first) = (reading.owners.settled(&rows), rows.iter().map(|row| row.submit).min().unwrap_or(0));
    let (mut owners, mut rng, mut jobs) = (Owners::default(), dice(reading.limits), Vec::with_capacity(rows.len()));
    let (mut open, mut over) = (0, 0);
    for row in &rows {
        let (gang, asked) = (procs(row) as u32, Span::from_secs(row.time_requested.max(0) as u64));
        let ran = Span::from_secs(row.run as u64);
        let limit = if asked > Span::ZERO { asked } else { reading.limits.of(&mut rng, ran) };
        (open, over) = (open + u32::from(asked == Span::ZERO), over + u32::from(ran > limit));
        let nodes = gang.div_ceil(reading.node.max(1));
        let gpus = gang.div_ceil(nodes);
        let owner = match column {
            Column::Fitting => "all".to_owned(),
            column => format!("{}-{}", column.name(), column.of(row)),
        };
        jobs.push(Job {
            number: u64::try_from(row.job).unwrap_or(0),
            submit: Time::from_millis((row.submit - first) as u64 * 1000),
            runtime: ran.min(limit),
            limit,
            nodes,
            gpus,
            share: 0,
            cpus: gpus,
            beside: None,
            owner: owners.asks(&owner, u64::from(gang), ran),
            user: u32::try_from(row.user).unwrap_or(0),
            qos: Qos::Normal,
            fails: row.status == 0,
            checkpoint: Span::ZERO,
        });
    }
    let mut notes = vec![
        "A log in the Standard Workload Format; acknowledge the archive and the people that its header names".into(),
        format!(
            "Modelled: each processor is a GPU, gangs are spread evenly over as few nodes of {} as hold them",
            reading.node
        ),
        format!(
            "{} of {} jobs are left out: they never ran or say no size",
            log.rows.len() - rows.len(),
            log.rows.len()
        ),
        match column {
            Column::Fitting => "No column names few enough owners: all jobs have one".into(),
            column => format!("Owners are by {}, weighted by the time that they ask for", column.name()),
        },
    ];
    if over > 0 {
        notes.push(format!("{over} jobs ran longer than they asked for and are ended at their limit"));
    }
    if open > 0 {
        notes.push(format!("{open} jobs: {}", reading.limits.note()));
    }
    let name = title(name, &log);
    Ok(Workload { name, notes, owners: owners.list(), jobs, ..Workload::default() }.in_order())
}

/// What the header calls the machine, or the file's name.
fn title(name: &str, log: &Log) -> String {
    let says = |line: &String| line.trim().strip_prefix("Computer:").map(|rest| rest.trim().to_owned());
    let said = log.header.iter().find_map(says).filter(|said| !said.is_empty());
    let file = name.rsplit('/').next().unwrap_or(name);
    said.map_or_else(|| file.to_owned(), |said| format!("{said} ({file})"))
}
