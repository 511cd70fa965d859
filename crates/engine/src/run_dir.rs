//! The folder of one run: what was ordered, who shepherds it, when it began and how it ended.
//!
//! | file | written by | when |
//! |---|---|---|
//! | `order.json` | engine | before anything starts |
//! | `shepherd.json` | shepherd | first thing, exclusively: the run's only right to start |
//! | `script` | shepherd | what runs |
//! | `ctl.sock` | shepherd | listens for a restarted server |
//! | `started.json` | shepherd | once the script's process exists |
//! | `ended.json` | shepherd, or the engine for a shepherd that died | when nothing of the run is left |
//!
//! Invariant: a folder has at most one shepherd, ever, because the file is linked into place and a link never
//! replaces. So a run starts at most once, whoever is killed and whatever is sent twice. Nothing is synced on the way
//! in: after a loss of power nothing runs, and the boot id tells. The end is synced before it is told.
use crate::order::Order;
use crate::procfs::Identity;
use madang_model::{Outcome, RunId, Span, Time};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Names within a run's folder.
pub const ORDER: &str = "order.json";
/// See the module's table.
pub const SHEPHERD: &str = "shepherd.json";
/// See the module's table.
pub const SCRIPT: &str = "script";
/// See the module's table.
pub const SOCKET: &str = "ctl.sock";
/// See the module's table.
pub const STARTED: &str = "started.json";
/// See the module's table.
pub const ENDED: &str = "ended.json";

/// An order with what the engine adds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sealed {
    /// The order.
    pub order: Order,
    /// Value of the mark that all processes of this run bear.
    pub mark: String,
    /// CPUs to stay on; empty for any.
    pub cpus: Vec<usize>,
    /// The group to make for its processes, where groups are used.
    pub cgroup: Option<PathBuf>,
}

/// When and as what the script began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartRecord {
    /// When.
    pub at: Time,
    /// The script's process; `None` for a held allocation or one that could not start.
    pub process: Option<Identity>,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndRecord {
    /// When it began; `None` when it never did.
    pub started: Option<Time>,
    /// When nothing of it was left: start plus time by a clock that nobody sets.
    pub at: Time,
    /// How.
    pub outcome: Outcome,
    /// Exit code of the script, whatever the outcome.
    pub exit: i32,
    /// Signal that ended the script.
    pub signal: i32,
    /// Peak memory in bytes.
    pub peak_bytes: u64,
    /// CPU time of all its processes.
    pub cpu: Span,
    /// What people should know.
    pub note: String,
}

/// Makes the folder of a run; `AlreadyExists` means that it was told before.
pub fn create(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().mode(0o700).create(path)
}

/// The run that a folder is named for.
pub fn run_of(path: &Path) -> Option<RunId> {
    let run: RunId = path.file_name()?.to_str()?.parse().ok()?;
    (path.file_name()?.to_str()? == run.to_string()).then_some(run)
}

/// Reads a record; `None` when it is absent or not whole.
pub fn read<T: DeserializeOwned>(dir: &Path, name: &str) -> Option<T> {
    serde_json::from_slice(&fs::read(dir.join(name)).ok()?).ok()
}

/// Writes a record in place: for files that nobody reads before a later file says so.
pub fn write<T: Serialize>(dir: &Path, name: &str, record: &T) -> io::Result<()> {
    private(&dir.join(name))?.write_all(&serde_json::to_vec(record)?)
}

/// Writes a record that appears whole or not at all, and stays through a loss of power.
pub fn replace<T: Serialize>(dir: &Path, name: &str, record: &T) -> io::Result<()> {
    let temporary = dir.join(format!("{name}.tmp"));
    let mut file = private(&temporary)?;
    file.write_all(&serde_json::to_vec(record)?)?;
    file.sync_data()?;
    fs::rename(&temporary, dir.join(name))
}

/// Writes a record that appears whole, and only if none was there; else `AlreadyExists`.
pub fn claim<T: Serialize>(dir: &Path, name: &str, record: &T) -> io::Result<()> {
    let temporary = dir.join(format!("{name}.{}", std::process::id()));
    private(&temporary)?.write_all(&serde_json::to_vec(record)?)?;
    let linked = fs::hard_link(&temporary, dir.join(name));
    fs::remove_file(&temporary)?;
    linked
}

fn private(path: &Path) -> io::Result<File> {
    File::options().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// The present by the wall clock.
pub fn now() -> Time {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Time::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
