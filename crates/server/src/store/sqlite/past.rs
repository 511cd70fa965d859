//! A centre's past, for whoever tries it again under another policy: its founding, its projects, its ended jobs.
//!
//! Nothing is written and the folder is not taken, so the centre may be serving meanwhile.
use super::sick;
use crate::trouble::Trouble;
use madang_centre::input::{Input, Signed};
use madang_model::{Founding, Job};
use rusqlite::{Connection, OpenFlags};
use std::collections::BTreeMap;
use std::path::Path;

/// What a folder says of the past.
#[derive(Debug)]
pub struct Past {
    /// What the centre was founded as.
    pub founding: Founding,
    /// The owner's short name for each project's.
    pub owners: BTreeMap<String, String>,
    /// Ended jobs, array tasks each, by id, with their user's and project's names.
    pub jobs: Vec<(String, String, Job)>,
}

/// Rows in which the centre was founded, or a project was made: what is within a JSON text has its quotes escaped.
const FOUNDING: &str = "SELECT body FROM journal WHERE instr(body, '\"input\":{\"found\":') > 0 \
                        OR instr(body, '\"input\":{\"project\":') > 0 ORDER BY seq";

/// Reads the past of a data folder.
pub fn read(folder: &Path) -> Result<Past, Trouble> {
    let path = folder.join("journal.db");
    if !path.is_file() {
        return Err(Trouble::new(format!("{} is no data folder: it has no journal.db", folder.display()))
            .hint("name the folder that was given to madang up with --data"));
    }
    let failed = |error: rusqlite::Error| sick("read", &path, &error);
    let strange = |error: serde_json::Error| Trouble::new(format!("failed to read {}: {error}", path.display()));
    let db = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(failed)?;
    let (mut founding, mut owners) = (None, BTreeMap::new());
    for body in texts(&db, FOUNDING).map_err(failed)? {
        for Signed { input, .. } in serde_json::from_str::<Vec<Signed>>(&body).map_err(strange)? {
            match input {
                Input::Found(first) => founding = founding.or(Some(first)),
                // A second project of a name was refused.
                Input::Project { name, owner, .. } => drop(owners.entry(name).or_insert(owner)),
                _ => {}
            }
        }
    }
    let founding = founding.ok_or_else(|| Trouble::new(format!("{} has no founding", path.display())))?;
    let mut query = db.prepare("SELECT user, project, body FROM jobs ORDER BY id").map_err(failed)?;
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?))).map_err(failed)?;
    let mut jobs = Vec::new();
    for row in rows {
        let (user, project, body) = row.map_err(failed)?;
        jobs.push((user, project, serde_json::from_str(&body).map_err(strange)?));
    }
    Ok(Past { founding, owners, jobs })
}

fn texts(db: &Connection, sql: &str) -> rusqlite::Result<Vec<String>> {
    db.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
}
