//! Writing the projections. Twice is the same as once.

use crate::store::kept::{Kept, day, spent};
use madang_ledger::Transaction;
use madang_model::{Job, JobState};
use rusqlite::{Connection, params};

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
    db.prepare_cached("INSERT INTO burn VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET spent = spent + excluded.spent")?
        .execute(params![project, day(transaction).cast_signed(), spent])?;
    Ok(())
}

fn to_json(value: &impl serde::Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}
