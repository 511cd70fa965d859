//! The writer: one statement a commit, refused under an epoch that is over.

use super::bulk;
use super::columns::Columns;
use super::lease::Lease;
use super::link::{Address, Failure, Link, Session};
use crate::store::rows::{Cell, NewRow, Raw, Rows, Table};
use crate::store::{Head, Kept};
use crate::trouble::Trouble;
use ::postgres::types::ToSql;
use ::postgres::{Error, Row};
use madang_model::Time;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a write waits for a database that went away before the server gives up.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(100);

/// What every write begins with: a row if the epoch is still the newest. The lock on it makes a taker wait for the end of
/// this statement, and this statement for the end of a taker's.
pub(super) const FENCE: &str = "WITH fence AS (SELECT epoch FROM lease WHERE epoch = $1 FOR SHARE)";
/// What is kept beside the journal.
const KEEP: &str = ",
    new_blobs AS (INSERT INTO blobs SELECT new.* FROM fence, unnest($2::text[], $3::bytea[]) AS new
        ON CONFLICT DO NOTHING),
    new_jobs AS (INSERT INTO jobs SELECT new.* FROM fence, unnest($4::bigint[], $5::text[], $6::text[], $7::bigint[],
            $8::bigint[], $9::bigint[], $10::bigint[], $11::text[]) AS new
        ON CONFLICT (id) DO UPDATE SET \"user\" = excluded.\"user\", project = excluded.project,
            array_id = excluded.array_id, task = excluded.task, submitted_ms = excluded.submitted_ms,
            ended_ms = excluded.ended_ms, body = excluded.body),
    new_notes AS (INSERT INTO notes SELECT new.* FROM fence, unnest($12::bigint[], $13::bigint[], $14::text[],
            $15::bigint[], $16::bigint[]) AS new
        ON CONFLICT DO NOTHING),
    posted AS (INSERT INTO ledger SELECT new.* FROM fence, unnest($17::bigint[], $18::text[], $19::bigint[],
            $20::text[]) AS new
        ON CONFLICT DO NOTHING RETURNING id),
    burnt AS (INSERT INTO burn SELECT new.project, new.day, CAST(sum(new.spent) AS BIGINT)
        FROM posted JOIN unnest($17::bigint[], $18::text[], $21::bigint[], $22::bigint[])
            AS new (id, project, day, spent) USING (id)
        WHERE new.spent <> 0 GROUP BY new.project, new.day
        ON CONFLICT (project, day_ms) DO UPDATE SET spent = burn.spent + excluded.spent),
    new_anomalies AS (INSERT INTO anomalies SELECT new.* FROM fence, unnest($23::bigint[], $24::bigint[], $25::bigint[],
            $26::text[]) AS new
        ON CONFLICT DO NOTHING)";
/// What a write that is only kept ends with: one row if the fence let it through.
pub(super) const ALONE: &str = " SELECT epoch FROM fence";
/// What a step ends with.
const STEP: &str = " INSERT INTO journal SELECT $27::bigint, $28::bigint, $29::bigint, $30::text, $31::bytea FROM fence
    RETURNING seq";

/// The journal in the database.
pub struct Central {
    link: Link,
    lease: Arc<Lease>,
    keep: String,
    append: String,
}

impl Central {
    /// The journal of a database whose tables are made.
    pub fn new(address: &Address, lease: &Arc<Lease>) -> Central {
        let (keep, append) = (format!("{FENCE}{KEEP}{ALONE}"), format!("{FENCE}{KEEP}{STEP}"));
        Central { link: Link::new(address), lease: Arc::clone(lease), keep, append }
    }

    /// Writes until it is known whether it is written. `is_there` looks whether an earlier try was, when its answer was
    /// lost on the way.
    fn write(
        &self,
        work: impl Fn(&mut Session) -> Result<Option<Row>, Error>,
        is_there: impl Fn() -> Result<bool, Trouble>,
    ) -> Result<(), Trouble> {
        let began = Instant::now();
        let mut was_lost = false;
        loop {
            match self.link.once("write", &work) {
                Ok(Some(_)) => return Ok(()),
                Ok(None) => return Err(self.lease.taken_over()),
                Err(Failure::Refused(trouble)) if !was_lost => return Err(trouble),
                // What was sent before may just be committing, and this try have met it.
                Err(Failure::Refused(trouble)) => return if is_there()? { Ok(()) } else { Err(trouble) },
                Err(Failure::Lost(trouble)) if began.elapsed() > PATIENCE => return Err(trouble),
                Err(Failure::Lost(trouble)) => {
                    if !std::mem::replace(&mut was_lost, true) {
                        tracing::warn!("a write waits: {trouble}");
                    }
                }
            }
            std::thread::sleep(PAUSE);
            if is_there().unwrap_or(false) {
                return Ok(());
            }
        }
    }
}

impl Drop for Central {
    fn drop(&mut self) {
        self.lease.let_go();
    }
}

impl Rows for Central {
    fn name(&self) -> &str {
        self.link.name()
    }

    fn last(&self) -> Result<Head, Trouble> {
        let sql = "SELECT seq, at_ms, inputs, hash FROM journal ORDER BY seq DESC LIMIT 1";
        let row = self.link.read("read", |session| session.maybe(sql, &[]))?;
        row.map_or(Ok(Head::START), |row| head_of(&row).map_err(Trouble::new))
    }

    fn head_at(&self, seq: u64) -> Result<Option<Head>, Trouble> {
        let sql = "SELECT seq, at_ms, inputs, hash FROM journal WHERE seq = $1";
        let row = self.link.read("read", |session| session.maybe(sql, &[&seq.cast_signed()]))?;
        row.map(|row| head_of(&row).map_err(Trouble::new)).transpose()
    }

    fn page(&self, after: u64, rows: u32) -> Result<Vec<Raw>, Trouble> {
        page(&self.link, after, rows)
    }

    fn append(&self, row: &NewRow<'_>, keeps: &[Kept]) -> Result<(), Trouble> {
        let columns = Columns::of(row.blobs, keeps)?;
        let (epoch, head) = (self.lease.epoch(), row.head);
        let (seq, at, inputs) = (head.seq.cast_signed(), head.at.millis().cast_signed(), head.inputs.cast_signed());
        let hash = head.hash.as_slice();
        let mut values = columns.values(&epoch);
        values.extend([&seq as &(dyn ToSql + Sync), &at, &inputs, &row.body, &hash]);
        let is_there = || Ok(self.head_at(head.seq)? == Some(head));
        self.write(|session| session.maybe(&self.append, &values), is_there)
    }

    fn keep(&self, keeps: &[Kept]) -> Result<(), Trouble> {
        let columns = Columns::of(&[], keeps)?;
        let epoch = self.lease.epoch();
        let values = columns.values(&epoch);
        // Writing it twice is the same as once, so it is never looked for.
        self.write(|session| session.maybe(&self.keep, &values), || Ok(false))
    }

    fn blob(&self, name: &str) -> Result<Option<Vec<u8>>, Trouble> {
        blob(&self.link, name)
    }

    fn dump(&self, table: &Table, after: Option<&[Cell]>, rows: u32) -> Result<Vec<Vec<Cell>>, Trouble> {
        bulk::dump(&self.link, table, after, rows)
    }

    fn load(&self, table: &Table, rows: Vec<Vec<Cell>>) -> Result<(), Trouble> {
        let (sql, columns) = bulk::load(table, rows);
        let epoch = self.lease.epoch();
        let mut values: Vec<&(dyn ToSql + Sync)> = vec![&epoch];
        values.extend(columns.iter().map(|column| &**column));
        self.write(|session| session.maybe(&sql, &values), || Ok(false))
    }

    fn meta(&self, key: &str) -> Result<Option<String>, Trouble> {
        let sql = "SELECT value FROM meta WHERE key = $1";
        let row = self.link.read("read", |session| session.maybe(sql, &[&key]))?;
        Ok(row.map(|row| row.get(0)))
    }

    fn set_meta(&self, key: &str, value: Option<&str>) -> Result<(), Trouble> {
        let change = match value {
            Some(_) => {
                "INSERT INTO meta SELECT $2::text, $3::text FROM fence ON CONFLICT (key) DO UPDATE SET value = \
                 excluded.value"
            }
            None => "DELETE FROM meta WHERE key = $2::text AND $3::text IS NULL AND EXISTS (SELECT 1 FROM fence)",
        };
        let sql = format!("{FENCE}, change AS ({change}){ALONE}");
        let epoch = self.lease.epoch();
        self.write(|session| session.maybe(&sql, &[&epoch, &key, &value]), || Ok(false))
    }

    fn check(&self) -> Result<(), Trouble> {
        self.lease.check()
    }

    fn close(&self) {
        self.lease.release();
    }
}

pub(super) fn blob(link: &Link, name: &str) -> Result<Option<Vec<u8>>, Trouble> {
    let row = link.read("read", |session| session.maybe("SELECT body FROM blobs WHERE name = $1", &[&name]))?;
    Ok(row.map(|row| row.get(0)))
}

pub(super) fn page(link: &Link, after: u64, rows: u32) -> Result<Vec<Raw>, Trouble> {
    let sql = "SELECT seq, at_ms, inputs, hash, body FROM journal WHERE seq > $1 ORDER BY seq LIMIT $2";
    let rows = link.read("read", |session| session.query(sql, &[&after.cast_signed(), &i64::from(rows)]))?;
    Ok(rows.iter().map(|row| head_of(row).map(|head| (head, row.get(4)))).collect())
}

fn head_of(row: &Row) -> Result<Head, String> {
    let number = |at: usize| row.get::<_, i64>(at).cast_unsigned();
    let hash = row.get::<_, Vec<u8>>(3).try_into().map_err(|_| "its hash is not one".to_owned())?;
    Ok(Head { seq: number(0), at: Time::from_millis(number(1)), inputs: number(2), hash })
}
