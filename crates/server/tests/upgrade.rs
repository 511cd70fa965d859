//! Journals of former releases: this one opens each, replays it to what it was, audits it and goes on with it.
//!
//! A file `journals/NAME.sql` is what `sqlite3 journal.db .dump` says of a folder that a former release left behind; its
//! `NAME.txt` is what a replay decides, line by line. What that release itself kept of ended jobs and of the ledger is in
//! the dump, and a replay must come to the same. A change that makes these tests fail would give another past to centres
//! that exist: keep the old behaviour for foundings that do not ask for the new one, as the defaults of `Policy` do, or
//! raise `store::journal::FORMAT` and convert.
mod common;

use common::{Dir, Up, settings};
use expect_test::expect_file;
use madang_centre::{Centre, Effect, Keep};
use madang_ledger::Transaction;
use madang_model::{Job, JobState};
use madang_server::core::restore;
use madang_server::store::{Head, Store};
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// The dumps, by name.
fn dumps() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/journals");
    let files = std::fs::read_dir(folder).expect("the folder is there").map(|entry| entry.expect("listed").path());
    let mut dumps: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|kind| kind == "sql")).collect();
    dumps.sort();
    assert!(dumps.len() >= 2, "former releases have left journals");
    dumps
}

/// A folder as the former release left it, without its tokens and snapshots.
fn folder(dump: &Path) -> Dir {
    let dir = Dir::new();
    std::fs::create_dir_all(&dir.0).expect("writable");
    let db = rusqlite::Connection::open(dir.0.join("journal.db")).expect("a new database");
    db.execute_batch(&std::fs::read_to_string(dump).expect("a dump")).expect("SQL of a dump");
    dir
}

/// What a replay comes to.
#[derive(Default)]
struct Past {
    text: String,
    jobs: BTreeMap<u64, Job>,
    ledger: BTreeMap<u64, Transaction>,
    anomalies: usize,
}

impl Past {
    fn note(&mut self, seq: u64, effect: Effect) {
        let line = match effect {
            Effect::Start { run, on, limit, .. } => {
                let nodes: Vec<String> =
                    on.slots.iter().map(|slot| format!("{}:{:x}", slot.node.number(), slot.devices)).collect();
                format!("start {run} for {limit} on {}", nodes.join(" "))
            }
            Effect::Stop { run, cause, .. } => format!("stop {run} {cause:?}"),
            Effect::Keep(Keep::Job(job)) => {
                let JobState::Ended { outcome, .. } = &job.state else { panic!("{} is kept before its end", job.id) };
                let line = format!("ended {} {outcome:?}", job.id);
                self.jobs.insert(job.id.number(), Job::clone(&job));
                line
            }
            Effect::Keep(Keep::Ledger(posted)) => {
                for transaction in posted {
                    let lines = transaction
                        .lines
                        .iter()
                        .map(|line| format!("{:?} {} {}", line.account, line.time.micro_secs(), line.won.won()));
                    let lines = lines.collect::<Vec<_>>().join(", ");
                    writeln!(self.text, "{seq} entry {} {lines}", transaction.id.number()).expect("text grows");
                    self.ledger.insert(transaction.id.number(), transaction);
                }
                return;
            }
            Effect::Keep(Keep::Anomaly(_, text)) => {
                self.anomalies += 1;
                format!("anomaly {text}")
            }
            _ => return,
        };
        writeln!(self.text, "{seq} {line}").expect("text grows");
    }
}

/// Replays all of a folder's journal.
fn replayed(store: &Store) -> (Centre, Past) {
    let (mut centre, mut past, mut head) = (Centre::new(), Past::default(), Head::START);
    loop {
        let steps = store.journal.page(head, 256).unwrap_or_else(|trouble| panic!("{trouble}"));
        let Some(last) = steps.last() else { break };
        head = last.head;
        for step in steps {
            let seq = step.head.seq;
            for effect in centre.step(step.head.at, step.inputs) {
                past.note(seq, effect);
            }
            assert_eq!(centre.audit(), Vec::<String>::new(), "at entry {seq}");
        }
    }
    for job in centre.jobs().filter(|job| !matches!(job.state, JobState::Ended { .. })) {
        writeln!(past.text, "at last {} {:?}", job.id, job.state).expect("text grows");
    }
    (centre, past)
}

/// The rows of a table of bodies, by id.
fn kept<T: serde::de::DeserializeOwned>(dir: &Dir, table: &str) -> BTreeMap<u64, T> {
    let db = rusqlite::Connection::open(dir.0.join("journal.db")).expect("a database");
    let mut rows = db.prepare(&format!("SELECT id, body FROM {table}")).expect("good SQL");
    let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?));
    let rows = rows.query_map([], row).expect("good SQL").map(|row| row.expect("two columns"));
    rows.map(|(id, body)| (id.cast_unsigned(), serde_json::from_str(&body).expect("this release reads it"))).collect()
}

#[test]
fn journals_of_former_releases_are_replayed_to_what_they_were() {
    for dump in dumps() {
        let dir = folder(&dump);
        let store = Store::in_folder(&dir.0, None).unwrap_or_else(|trouble| panic!("{}: {trouble}", dump.display()));
        let (centre, past) = replayed(&store);
        assert!(past.jobs.len() >= 3 && past.ledger.len() >= 20 && centre.counts().running > 0, "it tells something");
        assert_eq!(past.jobs, kept(&dir, "jobs"), "{}", dump.display());
        assert_eq!(past.ledger, kept(&dir, "ledger"), "{}", dump.display());
        expect_file![dump.with_extension("txt")].assert_eq(&past.text);
    }
}

#[test]
fn a_centre_goes_on_from_the_journal_of_a_former_release() {
    for dump in dumps() {
        let dir = folder(&dump);
        let (user, project, last) = {
            let store = Store::in_folder(&dir.0, None).unwrap_or_else(|trouble| panic!("{trouble}"));
            let restored = restore(&store.journal, &store.snapshots, &mut |_| Ok(()));
            let restored = restored.unwrap_or_else(|trouble| panic!("{}: {trouble}", dump.display()));
            let project = &restored.centre.projects()[0];
            (restored.centre.users()[0].name.clone(), project.name.clone(), restored.head.at)
        };
        // A server opens it, does new work, writes a snapshot as it stops, and starts again from that.
        let (settings, wall) = settings(&dir.0);
        let ahead = last.since(madang_server::clock::system()).millis();
        wall.store(ahead, std::sync::atomic::Ordering::Relaxed);
        let up = Up::with(settings, wall).unwrap_or_else(|trouble| panic!("{trouble}"));
        let root = up.client(&user);
        let job = json!({ "name": "new", "project": project, "parts": [{ "gpus_total": 1 }], "limit_secs": 60,
                          "model": { "runtime_ms": 50 } });
        let done = root.submit(job);
        root.until(&format!("/api/v1/jobs/{done}"), |job| job["state"] == "COMPLETED");
        assert_eq!(root.get("/api/v1/audit").ok()["violations"], json!([]));
        let jobs = root.get("/api/v1/jobs?state=all").ok();
        up.stop().expect("a clean stop");
        let up = Up::start(&dir.0);
        let root = up.client(&user);
        assert_eq!(
            root.get("/api/v1/jobs?state=all").ok()["items"].as_array().map(Vec::len),
            jobs["items"].as_array().map(Vec::len)
        );
        assert_eq!(root.get("/api/v1/audit").ok()["violations"], json!([]));
        up.stop().expect("a clean stop");
    }
}
