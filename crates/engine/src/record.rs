//! The files of one run, all in one folder:
//!
//! | file | holds |
//! |---|---|
//! | `job-42.1.record` | lines of JSON: who shepherds it, when it began, how it ended |
//! | `job-42.1.script` | what runs |
//! | `job-42.1.ctl` | the socket on which a shepherd without a server listens for the next one |
//! | `spare-7.record`, `spare-7.script` | files of a forgotten run, to be used again |
//!
//! Invariant: a run has at most one record, ever, because a record is linked into place with its first line in it and
//! a link never replaces. So a run starts at most once, whoever is killed and whatever is sent twice. Nothing is synced
//! on the way in: after a loss of power nothing runs, and the boot id tells. The end is synced when no server is there
//! to hear of it; one that hears it journals it, and if the power fails in between the run counts as lost with its
//! machine.
//!
//! Files are used again because making and removing them by the hundred each second is what costs most here: ext4
//! does not hand out an inode for a minute after its removal and steps over each such one at every creation.
use crate::order::Order;
use crate::procfs::Identity;
use madang_model::{Outcome, RunId, Span, Time};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// An order with what the engine adds; it travels in memory.
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
    /// The number of the spare files to use.
    pub spare: u64,
    /// The longest time between signals where somebody else than the engine ends the run.
    #[serde(default)]
    pub outside_grace: Span,
}

/// One line of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// The first line: the right to start is taken.
    Claimed(Claim),
    /// The script began, or failed to.
    Started(StartRecord),
    /// Nothing of the run is left.
    Ended(EndRecord),
}

/// Who took the right to start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The shepherd.
    pub shepherd: Identity,
    /// CPUs that the run stays on.
    pub cpus: Vec<usize>,
    /// The number of its spare files, which it may not have used up yet.
    pub spare: u64,
    /// The Slurm job that it is, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slurm_job: Option<String>,
    /// The run by whose name that job goes, where it is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carrier: Option<RunId>,
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
    /// True when neither the run nor the engine ended it: Slurm did, and knows why.
    #[serde(default, skip_serializing_if = "is_false")]
    pub outside: bool,
}

fn is_false(flag: &bool) -> bool {
    !*flag
}

impl EndRecord {
    /// The end of a run that this machine could not begin.
    pub fn never_began(note: String) -> EndRecord {
        let (started, at, outcome) = (None, now(), Outcome::LaunchFailed);
        let outside = false;
        EndRecord { started, at, outcome, exit: 0, signal: 0, peak_bytes: 0, cpu: Span::ZERO, note, outside }
    }
}

/// All that a record says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Who shepherds it; `None` only if the record is damaged.
    pub claim: Option<Claim>,
    /// When it began.
    pub started: Option<StartRecord>,
    /// How it ended.
    pub ended: Option<EndRecord>,
}

/// Where a run's files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    dir: PathBuf,
    run: RunId,
}

impl Files {
    /// The files of a run in a folder.
    pub fn new(dir: &Path, run: RunId) -> Files {
        Files { dir: dir.to_owned(), run }
    }
    /// The record.
    pub fn record(&self) -> PathBuf {
        self.dir.join(format!("{}.record", self.run))
    }
    /// The script.
    pub fn script(&self) -> PathBuf {
        self.dir.join(format!("{}.script", self.run))
    }
    /// The socket's name within the folder; the whole path may be too long for a socket.
    pub fn socket_name(&self) -> String {
        format!("{}.ctl", self.run)
    }
    fn spare(&self, number: u64, kind: &str) -> PathBuf {
        self.dir.join(format!("spare-{number}.{kind}"))
    }

    /// Reads the record; `None` when there is none. Lines that are torn, strange or another run's are passed over.
    pub fn read(&self) -> Option<Record> {
        let bytes = fs::read(self.record()).ok()?;
        let mut record = Record::default();
        let lines = bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
        for (_, line) in lines.filter(|(run, _): &(RunId, Line)| *run == self.run) {
            match line {
                Line::Claimed(claim) => record.claim = record.claim.or(Some(claim)),
                Line::Started(started) => record.started = record.started.or(Some(started)),
                Line::Ended(ended) => record.ended = record.ended.or(Some(ended)),
            }
        }
        Some(record)
    }

    /// Takes the right to start: a record with its first line appears, only if none was there; else `AlreadyExists`.
    pub fn claim(&self, claim: Claim) -> io::Result<Writer> {
        let temporary = self.spare(claim.spare, "record");
        let bytes = line(self.run, &Line::Claimed(claim))?;
        let file = overwrite(&temporary, &bytes, 0o600)?;
        let linked = fs::hard_link(&temporary, self.record());
        fs::remove_file(&temporary)?;
        linked.map(|()| Writer { file, run: self.run, end: bytes.len() as u64 })
    }

    /// Writes the script to where it runs from.
    pub fn write_script(&self, spare: u64, text: &str) -> io::Result<()> {
        let temporary = self.spare(spare, "script");
        overwrite(&temporary, text.as_bytes(), 0o700)?;
        fs::rename(temporary, self.script())
    }

    /// Appends the end to a record whose shepherd could not.
    pub fn append_end(&self, record: &EndRecord) -> io::Result<()> {
        let file = File::options().write(true).open(self.record())?;
        let end = file.metadata()?.len();
        // What a dying shepherd may have written of a line is closed off first.
        file.write_all_at(b"\n", end)?;
        Writer { file, run: self.run, end: end + 1 }.append(&Line::Ended(record.clone()), Keeping::Cached)
    }

    /// Clears the files away, keeping two of them as spare ones under a number if one is given.
    pub fn clear(&self, spare: Option<u64>) {
        for (path, kind) in [(self.record(), "record"), (self.script(), "script")] {
            // A file that is not there (a held allocation has no script) is cleared already.
            match spare {
                Some(number) => fs::rename(path, self.spare(number, kind)).ok(),
                None => fs::remove_file(path).ok(),
            };
        }
    }
}

/// What a folder holds: runs with a record, and numbers of spare files.
pub fn scan(dir: &Path) -> io::Result<(Vec<RunId>, Vec<u64>)> {
    let (mut runs, mut spares) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let Some((stem, kind)) = name.to_str().and_then(|name| name.rsplit_once('.')) else { continue };
        if let Some(number) = stem.strip_prefix("spare-").and_then(|number| number.parse::<u32>().ok()) {
            spares.push(u64::from(number));
        } else if let (Ok(run), "record") = (stem.parse::<RunId>(), kind)
            && run.to_string() == stem
        {
            runs.push(run);
        }
    }
    spares.sort_unstable();
    spares.dedup();
    runs.sort_unstable();
    Ok((runs, spares))
}

/// Whether a line stays through a loss of power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeping {
    /// It does.
    Synced,
    /// It stays through any process's death but not that.
    Cached,
}

/// The one who writes a record.
#[derive(Debug)]
pub struct Writer {
    file: File,
    run: RunId,
    end: u64,
}

impl Writer {
    /// Adds a line. One that did not fit on the disk may be added again: it takes the same place.
    pub fn append(&mut self, added: &Line, keeping: Keeping) -> io::Result<()> {
        let bytes = line(self.run, added)?;
        self.file.write_all_at(&bytes, self.end)?;
        if keeping == Keeping::Synced {
            self.file.sync_data()?;
        }
        self.end += bytes.len() as u64;
        Ok(())
    }
}

/// Each line names its run, so that a line in a file used again is nobody else's.
fn line(run: RunId, line: &Line) -> io::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(&(run, line))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Fills a file, new or spare. It is cut after it is written, never emptied: ext4 writes a file that was emptied to the
/// disk at once.
fn overwrite(path: &Path, bytes: &[u8], mode: u32) -> io::Result<File> {
    let file = File::options().write(true).create(true).truncate(false).mode(mode).open(path)?;
    file.write_all_at(bytes, 0)?;
    file.set_len(bytes.len() as u64)?;
    Ok(file)
}

/// The present by the wall clock.
pub fn now() -> Time {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Time::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use madang_model::JobId;

    fn claim(spare: u64) -> Claim {
        Claim {
            shepherd: Identity { boot: "b".into(), pid: 10, start: 1 },
            cpus: vec![1],
            spare,
            slurm_job: None,
            carrier: None,
        }
    }

    #[test]
    fn a_record_is_claimed_once_and_read_whole() {
        let dir = std::env::temp_dir().join(format!("madang-record-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("the temporary folder is writable");
        let files = Files::new(&dir, RunId { job: JobId::new(4), attempt: 2 });
        assert_eq!(files.read(), None);
        fs::write(files.spare(3, "record"), "what a former run left, longer than a claim ".repeat(9))
            .expect("writable");
        let mut writer = files.claim(claim(3)).expect("the first");
        let second = files.claim(claim(4)).map(drop).map_err(|error| error.kind());
        assert_eq!(second, Err(io::ErrorKind::AlreadyExists));
        writer.append(&Line::Started(StartRecord { at: Time::MAX, process: None }), Keeping::Cached).expect("writable");
        writer.file.write_all_at(b"{\"ended\":{\"sta", writer.end).expect("writable");
        let record = files.read().expect("it is there");
        assert_eq!((record.claim, record.ended), (Some(claim(3)), None), "a torn line is no line");
        let strange = line(RunId { attempt: 9, ..files.run }, &Line::Ended(EndRecord::never_began(String::new())));
        writer.file.write_all_at(&strange.expect("plain data"), writer.end).expect("writable");
        assert_eq!(files.read().and_then(|record| record.ended), None, "another run's line");
        let ended = EndRecord::never_began("note".into());
        files.append_end(&ended).expect("writable");
        assert_eq!(files.read().and_then(|record| record.ended), Some(ended));
        assert_eq!(scan(&dir).ok(), Some((vec![files.run], vec![])));
        files.clear(Some(8));
        assert_eq!(scan(&dir).ok(), Some((vec![], vec![8])));
        fs::remove_dir_all(&dir).expect("ours");
    }
}
