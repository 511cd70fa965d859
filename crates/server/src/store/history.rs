//! Reading what is over: ended jobs, the ledger, launches. Each reader is a connection of its own, so that a long
//! list never waits for a commit nor holds one up.

use super::journal::{self, Head};
use super::{connect, sick};
use crate::trouble::Trouble;
use madang_ledger::Transaction;
use madang_model::{Job, JobId, Time};
use parking_lot::Mutex;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params_from_iter};
use std::path::{Path, PathBuf};

/// Connections for reading.
pub struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

/// Most connections kept open for the next reader.
const IDLE: usize = 8;

/// Which ended jobs.
#[derive(Clone, Debug, Default)]
pub struct JobFilter {
    /// Only these projects; `None` for all.
    pub projects: Option<Vec<String>>,
    /// Only this user's.
    pub user: Option<String>,
    /// Ended at or after.
    pub since: Option<Time>,
    /// Submitted at or before.
    pub until: Option<Time>,
    /// Only these jobs, arrays or tasks; `None` for all.
    pub ids: Option<Vec<(u64, Option<u32>)>>,
    /// Ids above this one.
    pub after: u64,
    /// At most so many.
    pub limit: usize,
}

impl Readers {
    /// Readers of a folder's journal.
    pub fn open(folder: &Path) -> Result<Readers, Trouble> {
        let path = folder.join("journal.db");
        let first = connect(&path)?;
        Ok(Readers { path, idle: Mutex::new(vec![first]) })
    }

    /// An ended job.
    pub fn job(&self, id: JobId) -> Result<Option<Job>, Trouble> {
        let sql = "SELECT body FROM jobs WHERE id = ?1";
        self.one(sql, vec![Value::Integer(id.number().cast_signed())])
    }

    /// An ended task of an array.
    pub fn task(&self, array: JobId, task: u32) -> Result<Option<Job>, Trouble> {
        let sql = "SELECT body FROM jobs WHERE array_id = ?1 AND task = ?2";
        self.one(sql, vec![Value::Integer(array.number().cast_signed()), Value::Integer(task.into())])
    }

    /// The first ended task of an array.
    pub fn any_task(&self, array: JobId) -> Result<Option<Job>, Trouble> {
        let sql = "SELECT body FROM jobs WHERE array_id = ?1 ORDER BY task LIMIT 1";
        self.one(sql, vec![Value::Integer(array.number().cast_signed())])
    }

    /// Ended jobs, ascending by id.
    pub fn jobs(&self, filter: &JobFilter) -> Result<Vec<Job>, Trouble> {
        let mut sql = String::from("SELECT body FROM jobs WHERE id > ?");
        let mut values = vec![Value::Integer(filter.after.cast_signed())];
        if let Some(user) = &filter.user {
            sql.push_str(" AND user = ?");
            values.push(Value::Text(user.clone()));
        }
        if let Some(since) = filter.since {
            sql.push_str(" AND ended_ms >= ?");
            values.push(Value::Integer(since.millis().cast_signed()));
        }
        if let Some(until) = filter.until {
            sql.push_str(" AND submitted_ms <= ?");
            values.push(Value::Integer(until.millis().cast_signed()));
        }
        if let Some(projects) = &filter.projects {
            let marks = vec!["?"; projects.len()].join(", ");
            sql.push_str(&format!(" AND project IN ({marks})"));
            values.extend(projects.iter().cloned().map(Value::Text));
        }
        if let Some(ids) = &filter.ids {
            let number = |id: &u64| Value::Integer(id.cast_signed());
            let whole: Vec<Value> = ids.iter().filter(|(_, task)| task.is_none()).map(|(id, _)| number(id)).collect();
            let tasks: Vec<(&u64, u32)> = ids.iter().filter_map(|(id, task)| Some((id, (*task)?))).collect();
            let marks = vec!["?"; whole.len()].join(", ");
            let mut wanted = format!("id IN ({marks}) OR array_id IN ({marks})");
            values.extend(whole.iter().cloned().chain(whole.iter().cloned()));
            if !tasks.is_empty() {
                let pairs = vec!["(?, ?)"; tasks.len()].join(", ");
                wanted.push_str(&format!(" OR (array_id, task) IN (VALUES {pairs})"));
                values.extend(tasks.into_iter().flat_map(|(id, task)| [number(id), Value::Integer(task.into())]));
            }
            sql.push_str(&format!(" AND ({wanted})"));
        }
        sql.push_str(" ORDER BY id LIMIT ?");
        values.push(Value::Integer(i64::try_from(filter.limit).unwrap_or(i64::MAX)));
        self.all(&sql, values)
    }

    /// A project's transactions, oldest first.
    pub fn transactions(&self, project: &str) -> Result<Vec<Transaction>, Trouble> {
        self.all("SELECT body FROM ledger WHERE project = ?1 ORDER BY id", vec![Value::Text(project.to_owned())])
    }

    /// GPU time spent by day, oldest first, at most the newest sixty days.
    pub fn burn(&self, project: &str) -> Result<Vec<(u64, i64)>, Trouble> {
        self.with(|db| {
            let sql = "SELECT day_ms, spent FROM burn WHERE project = ?1 ORDER BY day_ms DESC LIMIT 60";
            let mut statement = db.prepare_cached(sql)?;
            let rows =
                statement.query_map([project], |row| Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get(1)?)))?;
            let mut days = rows.collect::<rusqlite::Result<Vec<_>>>()?;
            days.reverse();
            Ok(days)
        })
    }

    /// What the engine had to say about the end of a job's last run.
    pub fn note(&self, job: JobId) -> Result<Option<String>, Trouble> {
        self.with(|db| {
            let sql = "SELECT note FROM notes WHERE job = ?1 ORDER BY attempt DESC LIMIT 1";
            db.prepare_cached(sql)?.query_row([job.number().cast_signed()], |row| row.get(0)).optional()
        })
    }

    /// The bytes of a launch.
    pub fn blob(&self, name: &str) -> Result<Option<Vec<u8>>, Trouble> {
        self.with(|db| journal::blob(db, name))
    }

    /// Checks the chain from the first row to row `seq`; gives its head.
    pub fn verify(&self, seq: u64) -> Result<Head, Trouble> {
        let db = self.take()?;
        let head = journal::verify(&db, &self.path, Head::START, seq);
        self.give(db);
        head
    }

    fn one<T: serde::de::DeserializeOwned>(&self, sql: &str, values: Vec<Value>) -> Result<Option<T>, Trouble> {
        let body: Option<String> =
            self.with(|db| db.prepare_cached(sql)?.query_row(params_from_iter(values), |row| row.get(0)).optional())?;
        body.map(|body| self.parse(&body)).transpose()
    }

    fn all<T: serde::de::DeserializeOwned>(&self, sql: &str, values: Vec<Value>) -> Result<Vec<T>, Trouble> {
        let bodies: Vec<String> =
            self.with(|db| db.prepare_cached(sql)?.query_map(params_from_iter(values), |row| row.get(0))?.collect())?;
        bodies.iter().map(|body| self.parse(body)).collect()
    }

    fn parse<T: serde::de::DeserializeOwned>(&self, body: &str) -> Result<T, Trouble> {
        serde_json::from_str(body)
            .map_err(|error| Trouble::new(format!("failed to read a record of {}: {error}", self.path.display())))
    }

    fn with<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, Trouble> {
        let db = self.take()?;
        let done = work(&db).map_err(|error| sick("read", &self.path, &error));
        self.give(db);
        done
    }

    fn take(&self) -> Result<Connection, Trouble> {
        let idle = self.idle.lock().pop();
        idle.map_or_else(|| connect(&self.path), Ok)
    }

    fn give(&self, db: Connection) {
        let mut idle = self.idle.lock();
        if idle.len() < IDLE {
            idle.push(db);
        }
    }
}
