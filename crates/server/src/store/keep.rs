//! Writing the projections: ended jobs, the ledger's transactions, anomalies. Twice is the same as once.

use madang_ledger::{Account, Transaction};
use madang_model::{Job, JobState, RunId, Span, Time};
use rusqlite::{Connection, params};
use std::sync::Arc;

/// One day in milliseconds.
const DAY: u64 = 86_400_000;

/// One thing to keep, with the names that the tables are asked by.
#[derive(Clone, Debug)]
pub enum Kept {
    /// A job that ended.
    Job {
        /// Its user's name.
        user: String,
        /// Its project's name.
        project: String,
        /// Its whole record.
        job: Arc<Job>,
    },
    /// A transaction of the ledger.
    Ledger {
        /// The project's name.
        project: String,
        /// What was posted.
        transaction: Transaction,
    },
    /// What an engine had to say about the end of a run. Not derived from the journal: it rides in the commit of the
    /// report itself.
    Note {
        /// Which run.
        run: RunId,
        /// Why it failed, where the outcome does not say; else empty.
        note: String,
        /// Peak memory in MiB.
        peak_mib: u64,
        /// CPU time of all its processes.
        cpu: Span,
    },
    /// Something that did not fit.
    Anomaly {
        /// The journal's row that brought it.
        seq: u64,
        /// Its place among that row's.
        nth: u32,
        /// When.
        at: Time,
        /// What.
        text: String,
    },
}

/// Writes them all, within the transaction at hand.
pub(super) fn write(db: &Connection, keeps: &[Kept]) -> rusqlite::Result<()> {
    for kept in keeps {
        match kept {
            Kept::Job { user, project, job } => write_job(db, user, project, job)?,
            Kept::Ledger { project, transaction } => write_transaction(db, project, transaction)?,
            Kept::Note { run, note, peak_mib, cpu } => {
                db.prepare_cached("INSERT OR IGNORE INTO notes VALUES (?1, ?2, ?3, ?4, ?5)")?.execute(params![
                    run.job.number().cast_signed(),
                    run.attempt,
                    note,
                    peak_mib.cast_signed(),
                    cpu.millis().cast_signed()
                ])?;
            }
            Kept::Anomaly { seq, nth, at, text } => {
                db.prepare_cached("INSERT OR IGNORE INTO anomalies VALUES (?1, ?2, ?3, ?4)")?.execute(params![
                    seq.cast_signed(),
                    nth,
                    at.millis().cast_signed(),
                    text
                ])?;
            }
        }
    }
    Ok(())
}

fn write_job(db: &Connection, user: &str, project: &str, job: &Job) -> rusqlite::Result<()> {
    let JobState::Ended { at, .. } = &job.state else { return Ok(()) };
    let (array, task) = job.task.map(|(array, task)| (array.number().cast_signed(), task)).unzip();
    db.prepare_cached("INSERT OR REPLACE INTO jobs VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?.execute(params![
        job.id.number().cast_signed(),
        user,
        project,
        array,
        task,
        job.submitted.millis().cast_signed(),
        at.millis().cast_signed(),
        to_json(job)?
    ])?;
    Ok(())
}

fn write_transaction(db: &Connection, project: &str, transaction: &Transaction) -> rusqlite::Result<()> {
    let new = db.prepare_cached("INSERT OR IGNORE INTO ledger VALUES (?1, ?2, ?3, ?4)")?.execute(params![
        transaction.id.number().cast_signed(),
        project,
        transaction.at.millis().cast_signed(),
        to_json(transaction)?
    ])?;
    let spent = spent(transaction);
    if new == 0 || spent == 0 {
        return Ok(()); // kept before, and the day's sum with it
    }
    let day = transaction.at.millis() / DAY * DAY;
    db.prepare_cached("INSERT INTO burn VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET spent = spent + excluded.spent")?
        .execute(params![project, day.cast_signed(), spent])?;
    Ok(())
}

/// GPU time that a transaction adds to what is spent, in micro-GPU-seconds.
fn spent(transaction: &Transaction) -> i64 {
    let lines = transaction.lines.iter().filter(|line| matches!(line.account, Account::Spent(_)));
    lines.map(|line| line.time.micro_secs()).sum()
}

fn to_json(value: &impl serde::Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}
