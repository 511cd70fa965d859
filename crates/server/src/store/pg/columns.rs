//! What a write carries, column by column: a statement takes each column of a table as one array.
//!
//! The order of [`Columns::values`] is the order of the values in `rows.rs`.

use crate::store::Blob;
use crate::store::kept::{Kept, day, spent};
use crate::trouble::Trouble;
use ::postgres::types::ToSql;
use madang_model::{Job, JobState};
use std::collections::BTreeMap;

/// Launches and what is kept, for one statement.
#[derive(Default)]
pub(super) struct Columns<'a> {
    blob_names: Vec<&'a str>,
    blob_bodies: Vec<&'a [u8]>,
    jobs: Jobs<'a>,
    notes: Notes,
    ledger: Ledger<'a>,
    anomalies: Anomalies,
}

#[derive(Default)]
struct Jobs<'a> {
    ids: Vec<i64>,
    users: Vec<&'a str>,
    projects: Vec<&'a str>,
    arrays: Vec<Option<i64>>,
    tasks: Vec<Option<i64>>,
    submitted: Vec<i64>,
    ended: Vec<i64>,
    bodies: Vec<String>,
}

#[derive(Default)]
struct Notes {
    jobs: Vec<i64>,
    attempts: Vec<i64>,
    notes: Vec<String>,
    peaks: Vec<i64>,
    cpus: Vec<i64>,
}

#[derive(Default)]
struct Ledger<'a> {
    ids: Vec<i64>,
    projects: Vec<&'a str>,
    moments: Vec<i64>,
    bodies: Vec<String>,
    days: Vec<i64>,
    spent: Vec<i64>,
}

#[derive(Default)]
struct Anomalies {
    rows: Vec<i64>,
    places: Vec<i64>,
    moments: Vec<i64>,
    bodies: Vec<String>,
}

impl<'a> Columns<'a> {
    /// The columns of these.
    pub(super) fn of(blobs: &'a [Blob], keeps: &'a [Kept]) -> Result<Columns<'a>, Trouble> {
        let mut columns = Columns::default();
        // One statement may write a row once only: of a job that is kept twice, the last counts.
        let mut jobs = BTreeMap::new();
        for blob in blobs {
            columns.blob_names.push(&blob.name);
            columns.blob_bodies.push(&blob.body);
        }
        for kept in keeps {
            match kept {
                Kept::Job { user, project, job } => drop(jobs.insert(job.id, (user, project, job))),
                Kept::Note { run, note, peak_mib, cpu } => {
                    let notes = &mut columns.notes;
                    notes.jobs.push(run.job.number().cast_signed());
                    notes.attempts.push(run.attempt.into());
                    notes.notes.push(text(note));
                    notes.peaks.push(peak_mib.cast_signed());
                    notes.cpus.push(cpu.millis().cast_signed());
                }
                Kept::Ledger { project, transaction } => {
                    let ledger = &mut columns.ledger;
                    ledger.ids.push(transaction.id.number().cast_signed());
                    ledger.projects.push(project);
                    ledger.moments.push(transaction.at.millis().cast_signed());
                    ledger.bodies.push(json(transaction)?);
                    ledger.days.push(day(transaction).cast_signed());
                    ledger.spent.push(spent(transaction));
                }
                Kept::Anomaly { seq, nth, at, text: said } => {
                    let anomalies = &mut columns.anomalies;
                    anomalies.rows.push(seq.cast_signed());
                    anomalies.places.push((*nth).into());
                    anomalies.moments.push(at.millis().cast_signed());
                    anomalies.bodies.push(text(said));
                }
            }
        }
        for (user, project, job) in jobs.into_values() {
            columns.jobs.push(user, project, job)?;
        }
        Ok(columns)
    }

    /// The values of a statement that writes them under an epoch.
    pub(super) fn values<'b>(&'b self, epoch: &'b i64) -> Vec<&'b (dyn ToSql + Sync)> {
        let Columns { blob_names, blob_bodies, jobs, notes, ledger, anomalies } = self;
        vec![
            epoch,
            blob_names,
            blob_bodies,
            &jobs.ids,
            &jobs.users,
            &jobs.projects,
            &jobs.arrays,
            &jobs.tasks,
            &jobs.submitted,
            &jobs.ended,
            &jobs.bodies,
            &notes.jobs,
            &notes.attempts,
            &notes.notes,
            &notes.peaks,
            &notes.cpus,
            &ledger.ids,
            &ledger.projects,
            &ledger.moments,
            &ledger.bodies,
            &ledger.days,
            &ledger.spent,
            &anomalies.rows,
            &anomalies.places,
            &anomalies.moments,
            &anomalies.bodies,
        ]
    }
}

impl<'a> Jobs<'a> {
    fn push(&mut self, user: &'a str, project: &'a str, job: &Job) -> Result<(), Trouble> {
        let JobState::Ended { at, .. } = &job.state else { return Ok(()) };
        self.ids.push(job.id.number().cast_signed());
        self.users.push(user);
        self.projects.push(project);
        self.arrays.push(job.task.map(|(array, _)| array.number().cast_signed()));
        self.tasks.push(job.task.map(|(_, task)| task.into()));
        self.submitted.push(job.submitted.millis().cast_signed());
        self.ended.push(at.millis().cast_signed());
        self.bodies.push(json(job)?);
        Ok(())
    }
}

/// What a process wrote may hold a NUL, which PostgreSQL's texts may not.
fn text(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

fn json(value: &impl serde::Serialize) -> Result<String, Trouble> {
    serde_json::to_string(value).map_err(|error| Trouble::new(format!("failed to write a record as JSON: {error}")))
}
