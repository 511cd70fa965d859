//! What is kept of agents, beside tokens and sessions.

use super::{connect, sick};
use crate::trouble::Trouble;
use madang_agent::{Fault, Keep};
use parking_lot::Mutex;
use rusqlite::Connection;
use std::path::{Path, PathBuf};

/// The file of passes, for agents.
pub struct Agents {
    db: Mutex<Connection>,
    path: PathBuf,
}

impl Agents {
    /// Opens what a folder keeps of agents.
    pub fn open(folder: &Path) -> Result<Agents, Trouble> {
        let path = folder.join("access.db");
        let db = connect(&path)?;
        let made =
            db.execute_batch("CREATE TABLE IF NOT EXISTS agents (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT");
        made.map_err(|error| sick("open", &path, &error))?;
        Ok(Agents { db: Mutex::new(db), path })
    }

    fn write(&self, sql: &str, values: impl rusqlite::Params) -> Result<usize, Fault> {
        self.db.lock().execute(sql, values).map_err(|error| self.fault("write", &error))
    }

    fn fault(&self, verb: &str, error: &rusqlite::Error) -> Fault {
        Fault::new("internal", sick(verb, &self.path, error).to_string())
    }
}

impl Keep for Agents {
    fn all(&self) -> Result<Vec<(String, String)>, Fault> {
        let read = || -> rusqlite::Result<Vec<(String, String)>> {
            let db = self.db.lock();
            let mut rows = db.prepare("SELECT key, value FROM agents")?;
            rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        };
        read().map_err(|error| self.fault("read", &error))
    }

    fn put(&self, key: &str, text: &str) -> Result<(), Fault> {
        let sql = "INSERT INTO agents VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
        self.write(sql, [key, text]).map(drop)
    }

    fn take(&self, key: &str) -> Result<bool, Fault> {
        Ok(self.write("DELETE FROM agents WHERE key = ?1", [key])? > 0)
    }
}
