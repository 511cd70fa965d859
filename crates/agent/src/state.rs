//! What an agent keeps: its certificate, how far it has taken notes, its site's nodes. One small database, one agent.
//!
//! Invariant: how far notes are taken is written down before one is acted upon.
use crate::register::Fault;
use nix::fcntl::{Flock, FlockArg};
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// An agent's identity. All but the moments is hexadecimal.
#[derive(Clone, Serialize, Deserialize)]
pub struct Identity {
    /// The site.
    pub site: String,
    /// Its private key, PKCS 8.
    pub key: String,
    /// Its certificate.
    pub certificate: String,
    /// Its site's authority.
    pub authority: String,
    /// The key that notes are signed with.
    pub voice: String,
    /// Made when.
    pub made_ms: u64,
    /// When the certificate ends.
    pub until_ms: u64,
}

/// An agent's folder, held by it alone.
pub struct State {
    db: Mutex<Connection>,
    path: PathBuf,
    _lock: Flock<File>,
}

impl State {
    /// Opens an agent's folder; fails when another agent holds it.
    pub fn open(dir: &Path) -> Result<State, Fault> {
        let unusable = |error: &dyn std::fmt::Display| {
            Fault::new("folder", format!("failed to use the agent's folder {}: {error}", dir.display()))
        };
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| unusable(&error))?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(dir.join("lock"));
        let lock = Flock::lock(lock.map_err(|error| unusable(&error))?, FlockArg::LockExclusiveNonblock);
        let lock = lock.map_err(|_| Fault::new("busy", format!("another agent holds {}", dir.display())))?;
        let path = dir.join("agent.db");
        // Made here first, so that it is its owner's alone from its first byte.
        let made = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
        made.map_err(|error| unusable(&error))?;
        let open = || -> rusqlite::Result<Connection> {
            let db = Connection::open(&path)?;
            db.pragma_update(None, "journal_mode", "WAL")?;
            // What a killed process wrote is there; a machine that lost its power has lost its runs as well, and a note
            // is worth nothing on another link.
            db.pragma_update(None, "synchronous", "NORMAL")?;
            db.execute_batch("CREATE TABLE IF NOT EXISTS kept (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT")?;
            Ok(db)
        };
        let db = open().map_err(|error| unusable(&error))?;
        Ok(State { db: Mutex::new(db), path, _lock: lock })
    }

    /// What is kept under a key.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, Fault> {
        let find = || {
            let db = self.db.lock();
            let mut statement = db.prepare_cached("SELECT value FROM kept WHERE key = ?1")?;
            statement.query_row([key], |row| row.get::<_, String>(0)).optional()
        };
        let text = find().map_err(|error| self.sick("read", &error))?;
        text.map(|text| serde_json::from_str(&text)).transpose().map_err(|error| self.sick("read", &error))
    }

    /// Keeps something under a key.
    pub fn put(&self, key: &str, value: &impl Serialize) -> Result<(), Fault> {
        let text = serde_json::to_string(value).map_err(|error| self.sick("write", &error))?;
        let write = || {
            let sql = "INSERT INTO kept VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
            self.db.lock().prepare_cached(sql)?.execute([key, &text])
        };
        write().map(drop).map_err(|error| self.sick("write", &error))
    }

    fn sick(&self, verb: &str, error: &dyn std::fmt::Display) -> Fault {
        Fault::new("folder", format!("failed to {verb} {}: {error}", self.path.display()))
    }
}
