//! What the disk may do to a centre: restarts, damage, no room, a second server, a clock that steps back.
mod common;

use common::{Client, Dir, ON_POSTGRES, Up, copy, execute, job, number, settings};
use madang_server::store::Place;
use serde_json::{Value, json};
use std::path::Path;

/// Everything a caller can see of what happened.
fn everything(root: &Client) -> Value {
    let jobs = root.get("/api/v1/jobs?state=all&full=true").ok();
    let projects = root.get("/api/v1/projects").ok();
    let statement = root.get("/api/v1/projects/alpha/statement?until_ms=253402300799000").ok();
    json!({ "jobs": jobs, "projects": projects, "statement": statement })
}

fn some_work(up: &Up) -> u64 {
    let ann = up.client("ann");
    let done = ann.submit(job(2, 20));
    ann.until(&format!("/api/v1/jobs/{done}"), |job| job["state"] == "COMPLETED");
    let runs = ann.submit(job(4, 600_000));
    ann.until(&format!("/api/v1/jobs/{runs}"), |job| job["state"] == "RUNNING");
    let mut held = job(1, 1);
    held["held"] = json!(true);
    held["array"] = json!("0-9");
    ann.submit(held);
    up.client("otto").post("/api/v1/nodes/b4/drain", &json!({ "reason": "test" })).ok();
    runs
}

#[test]
fn a_restart_keeps_everything() {
    let dir = Dir::new();
    let up = Up::start(&dir.0);
    let runs = some_work(&up);
    let (root, token) = (up.client("root"), up.token("root"));
    let before = everything(&root);
    up.stop().expect("a clean stop");
    let up = Up::start(&dir.0);
    let again = Client { base: up.base.clone(), token: Some(token) };
    assert_eq!(everything(&again), before);
    assert_eq!(again.get("/api/v1/nodes?names=b4").ok()["items"][0]["state"], "DRAINED");
    let ann = up.client("ann");
    ann.call("DELETE", &format!("/api/v1/jobs/{runs}"), None).ok();
    ann.until(&format!("/api/v1/jobs/{runs}"), |job| job["state"] == "CANCELLED");
    let audit = again.get("/api/v1/audit").ok();
    assert_eq!((&audit["violations"], &audit["anomalies"]), (&json!([]), &json!(0)));
    up.stop().expect("a clean stop");
}

#[test]
fn the_past_can_be_tried_again() {
    if ON_POSTGRES {
        return; // it is read from a folder
    }
    use madang_sim::trial::{Policy, figures, past};
    let dir = Dir::new();
    let up = Up::start(&dir.0);
    let ann = up.client("ann");
    for (gpus, runtime) in [(2, 40), (8, 20)] {
        let done = ann.submit(job(gpus, runtime));
        ann.until(&format!("/api/v1/jobs/{done}"), |job| job["state"] == "COMPLETED");
    }
    let mut held = job(1, 1);
    held["held"] = json!(true);
    let held = ann.submit(held);
    ann.call("DELETE", &format!("/api/v1/jobs/{held}"), None).ok();
    ann.until(&format!("/api/v1/jobs/{held}"), |job| job["state"] == "CANCELLED");
    up.stop().expect("a clean stop");
    let read = madang_server::store::past::read(&dir.0).unwrap_or_else(|trouble| panic!("{trouble}"));
    let workload = past::workload("past", &read.founding, &read.owners, &read.jobs);
    let gangs: Vec<u64> = workload.jobs.iter().map(madang_sim::trial::Job::gang).collect();
    assert_eq!(gangs, [2, 8]);
    assert!(workload.jobs[0].runtime.millis() >= 40, "as long as it ran: {:?}", workload.jobs[0]);
    assert_eq!(workload.owners[workload.jobs[0].owner as usize].name, "public");
    assert!(workload.notes[1].contains("1 that never ran"), "{:?}", workload.notes);
    let machine = past::machine(&read.founding);
    let outcome = Policy::Madang.run(&workload, &machine, &mut |_| ()).expect("it can be tried");
    assert_eq!(figures(&workload, &machine, &outcome).all.jobs, 2);
    let nowhere = madang_server::store::past::read(Path::new("/nonexistent")).expect_err("there is none");
    assert!(nowhere.fact.contains("is no data folder"), "{nowhere}");
}

#[test]
fn a_crash_loses_nothing_that_was_answered() {
    let (dir, crashed) = (Dir::new(), Dir::new());
    let up = Up::start(&dir.0);
    some_work(&up);
    let before = everything(&up.client("root"));
    // What the disk holds at this moment is what a crash would leave: no snapshot, SQLite's log not folded.
    copy(&dir.0, &crashed.0);
    let other = Up::start(&crashed.0);
    assert_eq!(everything(&other.client("root")), before);
    other.stop().expect("a clean stop");
    up.stop().expect("a clean stop");
}

fn refused(dir: &Path) -> String {
    let (settings, wall) = settings(dir);
    match Up::with(settings, wall) {
        Ok(_) => panic!("it started"),
        Err(trouble) => trouble.to_string(),
    }
}

/// A hash that is none.
const HASH: &str = if ON_POSTGRES { "hash = decode(repeat('00', 32), 'hex')" } else { "hash = zeroblob(32)" };

#[test]
fn a_damaged_journal_is_refused_with_its_place() {
    let dir = Dir::new();
    let up = Up::start(&dir.0);
    some_work(&up);
    up.stop().expect("a clean stop");
    let rows = number(&dir.0, "SELECT max(seq) FROM journal");
    for seq in [2, rows] {
        for damage in ["body = replace(body, 'a', 'b') || ' '", "at_ms = at_ms + 1", HASH] {
            let copied = Dir::new();
            copy(&dir.0, &copied.0);
            assert_eq!(execute(&copied.0, &format!("UPDATE journal SET {damage} WHERE seq = {seq}")), 1);
            let told = refused(&copied.0);
            assert!(told.contains(&format!("damaged at entry {seq}")) && told.contains("\nhint: "), "{told}");
        }
    }
    let copied = Dir::new();
    copy(&dir.0, &copied.0);
    execute(&copied.0, &format!("DELETE FROM journal WHERE seq = {}", rows - 1));
    let told = refused(&copied.0);
    assert!(told.contains(&format!("damaged at entry {}", rows - 1)), "{told}");
}

#[test]
fn what_is_no_journal_or_of_a_newer_release_is_refused() {
    let dir = Dir::new();
    let up = Up::start(&dir.0);
    up.stop().expect("a clean stop");
    let newer = Dir::new();
    copy(&dir.0, &newer.0);
    execute(&newer.0, "UPDATE meta SET value = '2' WHERE key = 'format'");
    let told = refused(&newer.0);
    assert!(told.contains("is of format 2, this release reads 1") && told.contains("\nhint: "), "{told}");
    if ON_POSTGRES {
        return; // there is no file to be garbage
    }
    let garbage = Dir::new();
    copy(&dir.0, &garbage.0);
    std::fs::write(garbage.0.join("journal.db"), [7; 10_000]).expect("written");
    let told = refused(&garbage.0);
    assert!(told.contains("journal.db") && told.contains("hint: the file is damaged"), "{told}");
}

fn damage_snapshots(dir: &Path) {
    if ON_POSTGRES {
        let middle = "octet_length(body) / 2";
        let flipped = format!("set_byte(body, {middle}, get_byte(body, {middle}) # 1)");
        assert_eq!(execute(dir, &format!("UPDATE snapshots SET body = {flipped}")), 1);
        return;
    }
    let snapshots = std::fs::read_dir(dir.join("snapshots")).expect("listed").flatten();
    let path = snapshots.map(|entry| entry.path()).next().expect("a snapshot");
    let mut bytes = std::fs::read(&path).expect("readable");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).expect("written");
}

#[test]
fn a_damaged_snapshot_is_passed_over() {
    let dir = Dir::new();
    let up = Up::start(&dir.0);
    some_work(&up);
    let before = everything(&up.client("root"));
    up.stop().expect("a clean stop");
    damage_snapshots(&dir.0);
    let up = Up::start(&dir.0);
    assert_eq!(everything(&up.client("root")), before);
    up.stop().expect("a clean stop");
}

#[test]
fn a_second_server_is_told_who_holds_the_folder() {
    let dir = Dir::new();
    let up = Up::start(&dir.0);
    let told = refused(&dir.0);
    let wanted = format!("held by another server, process {}, which answers at {}", std::process::id(), up.base);
    assert!(told.contains(&wanted), "{told}");
    up.stop().expect("a clean stop");
    let told = refused(Path::new("/dev/null/madang"));
    assert!(told.contains("failed to write in the data folder /dev/null/madang"), "{told}");
}

#[test]
fn a_full_disk_stops_the_server_and_loses_nothing_that_was_answered() {
    if ON_POSTGRES {
        return; // its disk cannot be bounded from here
    }
    let dir = Dir::new();
    let up = Up::start(&dir.0);
    up.stop().expect("a clean stop");
    let pages = u32::try_from(number(&dir.0, "SELECT page_count FROM pragma_page_count")).expect("few");
    let (mut limited, wall) = settings(&dir.0);
    limited.store = Place::Folder(Some(pages + 40));
    let mut up = Up::with(limited, wall).unwrap_or_else(|trouble| panic!("{trouble}"));
    let ann = up.client("ann");
    let mut accepted = Vec::new();
    let refusal = loop {
        let mut body = job(1, 600_000);
        body["comment"] = json!("x".repeat(2_000));
        let answer = ann.post("/api/v1/jobs", &body);
        match answer.status {
            201 => accepted.push(answer.json()["job"].as_u64().expect("an id")),
            _ => break answer,
        }
        assert!(accepted.len() < 10_000, "the bound does not bind");
    };
    assert_eq!(refusal.problem(503), "busy");
    let mut ended = up.server.as_mut().expect("up").ended.take().expect("not taken before");
    while matches!(ended.try_recv(), Err(tokio::sync::oneshot::error::TryRecvError::Empty)) {
        std::thread::yield_now();
    }
    let told = up.stop().expect_err("it stopped by itself").to_string();
    assert!(told.contains("full") && told.contains("hint: the disk is full"), "{told}");
    let up = Up::start(&dir.0);
    let ann = up.client("ann");
    for id in &accepted {
        ann.get(&format!("/api/v1/jobs/{id}")).ok();
    }
    assert_eq!(up.client("root").get("/api/v1/audit").ok()["violations"], json!([]));
    up.stop().expect("a clean stop");
}

#[test]
fn a_journal_that_lost_its_end_is_refused() {
    let dir = Dir::new();
    let up = Up::start(&dir.0);
    some_work(&up);
    up.stop().expect("a clean stop");
    let rows = number(&dir.0, "SELECT max(seq) FROM journal");
    execute(&dir.0, &format!("DELETE FROM journal WHERE seq = {rows}"));
    let told = refused(&dir.0);
    let wanted = format!("ends at entry {}, but ", rows - 1);
    assert!(told.contains(&wanted) && told.contains(&format!("was made at entry {rows}")), "{told}");
    match ON_POSTGRES {
        true => drop(execute(&dir.0, "DELETE FROM journal")),
        false => std::fs::remove_file(dir.0.join("journal.db")).expect("removed"),
    }
    let told = refused(&dir.0);
    assert!(told.contains("ends at entry 0, but ") && told.contains("\nhint: "), "{told}");
}

#[test]
fn a_bug_in_the_core_is_told_with_its_entry_and_again_at_the_next_start() {
    let dir = Dir::new();
    let (mut broken, wall) = settings(&dir.0);
    broken.founding.nodes.reverse(); // a node's id is its place: no centre file comes to this
    broken.founding.nodes.truncate(1);
    let told = match Up::with(broken, wall) {
        Ok(_) => panic!("it started"),
        Err(trouble) => trouble.to_string(),
    };
    assert!(told.contains("a bug stopped the core at journal entry 1") && told.contains("\nhint: "), "{told}");
    let told = refused(&dir.0);
    assert!(told.contains("replaying journal entry 1 (") && told.contains("WHERE seq = 1"), "{told}");
    execute(&dir.0, "DELETE FROM journal WHERE seq = 1");
    Up::start(&dir.0).stop().expect("a clean stop");
}

#[test]
fn a_clock_that_steps_back_stands_still() {
    let dir = Dir::new();
    let up = Up::start(&dir.0);
    let ann = up.client("ann");
    let first = ann.submit(job(1, 10));
    ann.until(&format!("/api/v1/jobs/{first}"), |job| job["state"] == "COMPLETED");
    let before = ann.get("/api/v1/overview").ok()["now_ms"].as_u64().expect("a number");
    up.wall.store(0_u64.wrapping_sub(3_600_000), std::sync::atomic::Ordering::Relaxed);
    let second = ann.submit(job(1, 600_000));
    let view = ann.until(&format!("/api/v1/jobs/{second}"), |job| job["state"] == "RUNNING");
    assert!(view["submitted_ms"].as_u64().expect("a number") >= before);
    up.wall.store(0, std::sync::atomic::Ordering::Relaxed);
    let third = ann.submit(job(1, 10));
    ann.until(&format!("/api/v1/jobs/{third}"), |job| job["state"] == "COMPLETED");
    assert_eq!(up.client("root").get("/api/v1/audit").ok()["violations"], json!([]));
    up.stop().expect("a clean stop");
    let back = number(
        &dir.0,
        "SELECT count(*) FROM journal AS one JOIN journal AS next ON next.seq = one.seq + 1 WHERE next.at_ms < one.at_ms",
    );
    assert_eq!(back, 0);
}
