//! The folder that server and nodes share, and the engine's name in it.
//!
//! `SPOOL/TAG/` belongs to one engine, by a tag that its own folder keeps: another centre, or a new one with the same
//! run ids, has another. In it `runs/` holds orders, records, scripts and mail, `news/` what shepherds announce,
//! `carriers/` what jobs are told that stay for another run, `bin/` the program that the nodes run.
use crate::environ::Surroundings;
use crate::record::{Files, Sealed};
use crate::slurm::SlurmError;
use crate::slurm::mail;
use crate::wire::Command;
use madang_model::RunId;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What a shepherd in a Slurm job is given: in a file, for it is on another machine.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Parcel {
    pub sealed: Sealed,
    pub surroundings: Surroundings,
    /// True for a shepherd that stays for another run when this one has ended by itself.
    #[serde(default)]
    pub stays: bool,
}

/// The shared folder of one engine.
#[derive(Debug)]
pub(crate) struct Spool {
    /// `SPOOL/TAG`.
    pub dir: PathBuf,
    /// The engine's name: eight hexadecimal digits.
    pub tag: String,
    /// The program that nodes run.
    pub helper: PathBuf,
    _lock: File,
}

/// How long a former server that is ending is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// The folder of the runs' files.
const RUNS: &str = "runs";
/// The folder of what carriers are told.
pub(crate) const CARRIERS: &str = "carriers";
/// The folder of announcements.
const NEWS: &str = "news";

impl Spool {
    /// Opens the shared folder as the engine that `own` belongs to.
    pub fn open(own: &Path, shared: &Path, helper: &Path) -> Result<Spool, SlurmError> {
        let in_own = |source| SlurmError::Folder { path: own.to_owned(), source };
        make(own).map_err(in_own)?;
        let lock = File::options().create(true).append(true).open(own.join("engine.lock")).map_err(in_own)?;
        hold(&lock).map_err(|()| SlurmError::Busy { path: own.to_owned() })?;
        let tag = tag(&own.join("tag")).map_err(in_own)?;
        let in_shared = |source| SlurmError::Folder { path: shared.to_owned(), source };
        let dir = shared.join(&tag);
        for folder in [RUNS, NEWS, CARRIERS, "bin"] {
            make(&dir.join(folder)).map_err(in_shared)?;
        }
        let helper = install(helper, &dir.join("bin"))
            .map_err(|source| SlurmError::Folder { path: helper.to_owned(), source })?;
        Ok(Spool { dir, tag, helper, _lock: lock })
    }

    /// The name of a run's Slurm job, by which it is found again.
    pub fn key(&self, run: RunId) -> String {
        format!("{}{run}", self.prefix())
    }

    /// The run whose key this is, if it is one of this engine's.
    pub fn run_of(&self, name: &str) -> Option<RunId> {
        name.strip_prefix(&self.prefix())?.parse().ok()
    }

    fn prefix(&self) -> String {
        format!("madang-{}-", self.tag)
    }

    /// A run's record and script.
    pub fn files(&self, run: RunId) -> Files {
        Files::new(&self.dir.join(RUNS), run)
    }

    /// What marks a run's processes.
    pub fn mark(&self, run: RunId) -> String {
        format!("{run}@{}", self.dir.display())
    }

    /// A run's file of another kind.
    pub fn path(&self, run: RunId, kind: &str) -> PathBuf {
        run_file(&self.dir, run, kind)
    }

    /// Leaves an order for the node; whole or not at all.
    pub fn write_order(&self, run: RunId, parcel: &Parcel) -> io::Result<()> {
        replace(&self.path(run, "order"), &serde_json::to_vec(parcel)?)
    }

    /// Leaves commands for a run's shepherd: all that it was ever told.
    pub fn write_mail(&self, run: RunId, commands: &[Command]) -> io::Result<()> {
        replace(&self.path(run, "mail"), &mail::text(commands))
    }

    /// What a run's shepherd was told.
    pub fn mail(&self, run: RunId) -> Vec<Command> {
        mail::parse(&fs::read(self.path(run, "mail")).unwrap_or_default())
    }

    /// Removes all of a run. The order goes first: a job that starts later finds none and does nothing.
    pub fn clear(&self, run: RunId) {
        fs::remove_file(self.path(run, "order")).ok();
        self.files(run).clear(None);
        for kind in ["mail", "log"] {
            fs::remove_file(self.path(run, kind)).ok();
        }
        fs::remove_file(news_file(&self.dir, run)).ok();
    }

    /// Runs that have an order or a record here.
    pub fn scan(&self) -> io::Result<Vec<RunId>> {
        let mut runs = Vec::new();
        for entry in fs::read_dir(self.dir.join(RUNS))? {
            let name = entry?.file_name();
            let Some((stem, kind)) = name.to_str().and_then(|name| name.rsplit_once('.')) else { continue };
            if let (Ok(run), "order" | "record") = (stem.parse::<RunId>(), kind) {
                runs.push(run);
            }
        }
        runs.sort_unstable();
        runs.dedup();
        Ok(runs)
    }

    /// Runs whose shepherds have announced something since the last call.
    pub fn take_news(&self) -> Vec<RunId> {
        let Ok(entries) = fs::read_dir(self.dir.join(NEWS)) else { return Vec::new() };
        let mut runs = Vec::new();
        for entry in entries.flatten() {
            // Removed before the record is read: what is announced in between is announced anew.
            fs::remove_file(entry.path()).ok();
            runs.extend(entry.file_name().to_str().and_then(|name| name.parse::<RunId>().ok()));
        }
        runs
    }
}

/// A run's file below an engine's part of the shared folder.
pub(crate) fn run_file(dir: &Path, run: RunId, kind: &str) -> PathBuf {
    dir.join(RUNS).join(format!("{run}.{kind}"))
}

/// A run's record and script below an engine's part of the shared folder.
pub(crate) fn run_files(dir: &Path, run: RunId) -> Files {
    Files::new(&dir.join(RUNS), run)
}

/// Where a run's news are announced.
pub(crate) fn news_file(dir: &Path, run: RunId) -> PathBuf {
    dir.join(NEWS).join(run.to_string())
}

/// Takes a lock, within the time that a former server may need to end.
fn hold(lock: &File) -> Result<(), ()> {
    let until = Instant::now() + PATIENCE;
    while lock.try_lock().is_err() {
        if Instant::now() > until {
            return Err(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn make(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// The engine's name, made at its first start.
fn tag(path: &Path) -> io::Result<String> {
    if let Ok(text) = fs::read_to_string(path)
        && let tag = text.trim()
        && tag.len() == 8
        && tag.bytes().all(|b| b.is_ascii_hexdigit())
    {
        return Ok(tag.to_owned());
    }
    let mut random = [0_u8; 4];
    io::Read::read_exact(&mut File::open("/dev/urandom")?, &mut random)?;
    let tag = format!("{:08x}", u32::from_be_bytes(random));
    replace(path, tag.as_bytes())?;
    Ok(tag)
}

/// The program where nodes see it, named by what it is, so that a new release never changes one that runs.
fn install(helper: &Path, bin: &Path) -> io::Result<PathBuf> {
    let meta = fs::metadata(helper)?;
    let path = bin.join(format!("madang-{:x}-{:x}", meta.len(), meta.mtime()));
    if fs::metadata(&path).is_ok_and(|there| there.len() == meta.len()) {
        return Ok(path);
    }
    let temporary = bin.join("madang.new");
    fs::copy(helper, &temporary)?;
    fs::rename(temporary, &path)?;
    Ok(path)
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    fs::rename(temporary, path)
}
