//! Reading what is over: ended jobs, the ledger, launches. One text of SQL for every store.

use super::journal::{self, Head};
use super::rows::{Tables, Value};
use crate::trouble::Trouble;
use madang_ledger::Transaction;
use madang_model::{Job, JobId, Time};

/// The past, for reading.
pub struct Readers {
    tables: Box<dyn Tables>,
}

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
    /// Readers of a store's tables.
    pub fn new(tables: Box<dyn Tables>) -> Readers {
        Readers { tables }
    }

    /// An ended job.
    pub fn job(&self, id: JobId) -> Result<Option<Job>, Trouble> {
        self.one("SELECT body FROM jobs WHERE id = ?", &[id.number().into()])
    }

    /// An ended task of an array.
    pub fn task(&self, array: JobId, task: u32) -> Result<Option<Job>, Trouble> {
        let sql = "SELECT body FROM jobs WHERE array_id = ? AND task = ?";
        self.one(sql, &[array.number().into(), u64::from(task).into()])
    }

    /// The first ended task of an array.
    pub fn any_task(&self, array: JobId) -> Result<Option<Job>, Trouble> {
        self.one("SELECT body FROM jobs WHERE array_id = ? ORDER BY task LIMIT 1", &[array.number().into()])
    }

    /// Ended jobs, ascending by id.
    pub fn jobs(&self, filter: &JobFilter) -> Result<Vec<Job>, Trouble> {
        let mut sql = String::from("SELECT body FROM jobs WHERE id > ?");
        let mut values = vec![Value::from(filter.after)];
        if let Some(user) = &filter.user {
            sql.push_str(" AND \"user\" = ?");
            values.push(user.as_str().into());
        }
        if let Some(since) = filter.since {
            sql.push_str(" AND ended_ms >= ?");
            values.push(since.millis().into());
        }
        if let Some(until) = filter.until {
            sql.push_str(" AND submitted_ms <= ?");
            values.push(until.millis().into());
        }
        if let Some(projects) = &filter.projects {
            // A caller who sees no project sees no job; PostgreSQL has no empty list.
            let marks = if projects.is_empty() { "NULL".into() } else { vec!["?"; projects.len()].join(", ") };
            sql.push_str(&format!(" AND project IN ({marks})"));
            values.extend(projects.iter().map(|project| project.as_str().into()));
        }
        if let Some(ids) = &filter.ids {
            let whole: Vec<Value> = ids.iter().filter(|(_, task)| task.is_none()).map(|(id, _)| (*id).into()).collect();
            let tasks: Vec<(u64, u32)> = ids.iter().filter_map(|(id, task)| Some((*id, (*task)?))).collect();
            // Without its type, PostgreSQL would take a value in these lists for a text.
            let marks = vec!["CAST(? AS BIGINT)"; whole.len()].join(", ");
            let mut wanted =
                if whole.is_empty() { "1 = 0".into() } else { format!("id IN ({marks}) OR array_id IN ({marks})") };
            values.extend(whole.iter().cloned().chain(whole.iter().cloned()));
            if !tasks.is_empty() {
                let pairs = vec!["(CAST(? AS BIGINT), CAST(? AS BIGINT))"; tasks.len()].join(", ");
                wanted.push_str(&format!(" OR (array_id, task) IN (VALUES {pairs})"));
                values.extend(tasks.into_iter().flat_map(|(id, task)| [id.into(), u64::from(task).into()]));
            }
            sql.push_str(&format!(" AND ({wanted})"));
        }
        sql.push_str(" ORDER BY id LIMIT ?");
        values.push(Value::Integer(i64::try_from(filter.limit).unwrap_or(i64::MAX)));
        self.all(&sql, &values)
    }

    /// A project's transactions, oldest first.
    pub fn transactions(&self, project: &str) -> Result<Vec<Transaction>, Trouble> {
        self.all("SELECT body FROM ledger WHERE project = ? ORDER BY id", &[project.into()])
    }

    /// GPU time spent by day, oldest first, at most the newest sixty days.
    pub fn burn(&self, project: &str) -> Result<Vec<(u64, i64)>, Trouble> {
        let sql = "SELECT day_ms, spent FROM burn WHERE project = ? ORDER BY day_ms DESC LIMIT 60";
        let days = self.tables.pairs(sql, &[project.into()])?;
        Ok(days.into_iter().rev().map(|(day, spent)| (day.cast_unsigned(), spent)).collect())
    }

    /// What the engine had to say about the end of a job's last run.
    pub fn note(&self, job: JobId) -> Result<Option<String>, Trouble> {
        let sql = "SELECT note FROM notes WHERE job = ? ORDER BY attempt DESC LIMIT 1";
        Ok(self.tables.texts(sql, &[job.number().into()])?.pop())
    }

    /// The bytes of a launch.
    pub fn blob(&self, name: &str) -> Result<Option<Vec<u8>>, Trouble> {
        self.tables.blob(name)
    }

    /// Checks the chain from the first row to row `seq`; gives its head.
    pub fn verify(&self, seq: u64) -> Result<Head, Trouble> {
        journal::verify(self.tables.name(), Head::START, seq, &mut |after, rows| self.tables.page(after, rows))
    }

    fn one<T: serde::de::DeserializeOwned>(&self, sql: &str, values: &[Value]) -> Result<Option<T>, Trouble> {
        self.all(sql, values).map(|mut found| found.pop())
    }

    fn all<T: serde::de::DeserializeOwned>(&self, sql: &str, values: &[Value]) -> Result<Vec<T>, Trouble> {
        let bodies = self.tables.texts(sql, values)?;
        bodies.iter().map(|body| self.parse(body)).collect()
    }

    fn parse<T: serde::de::DeserializeOwned>(&self, body: &str) -> Result<T, Trouble> {
        serde_json::from_str(body)
            .map_err(|error| Trouble::new(format!("failed to read a record of {}: {error}", self.tables.name())))
    }
}
