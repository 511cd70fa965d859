//! Who may be killed: the server, the nursery, a shepherd. Nothing starts twice, no end is lost, nothing runs on.
use crate::bench::{Bench, eventually, fresh_dir, kill_now, lives, options, order, run, signal};
use madang_engine::{Engine, Error, LocalEngine};
use madang_model::{Outcome, Span, StopCause};
use nix::sys::signal::Signal;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;

#[test]
fn an_end_without_a_server_is_told_exactly() {
    let mut bench = Bench::new();
    bench.start(1, "while ! test -e go; do sleep 0.02; done; exit 8");
    let began = bench.started(run(1));
    bench.engine = None;
    fs::write(bench.dir.join("go"), "").expect("writable");
    let record = bench.record(run(1));
    eventually(|| fs::read_to_string(&record).ok().filter(|text| text.contains("ended")));
    let noted = fs::metadata(&record).and_then(|meta| meta.modified()).expect("it exists");
    std::thread::sleep(std::time::Duration::from_millis(300));
    bench.reopen();
    assert_eq!(bench.started(run(1)), began);
    let end = bench.ended(run(1));
    assert_eq!(end.outcome, Outcome::Failed { exit: 8, signal: 0 });
    let noted = noted.duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis() as u64;
    assert!(end.at.millis().abs_diff(noted) < 250, "{} and {noted}", end.at.millis());
}

/// Not a test by itself: the server of the next one, killed there.
#[test]
fn as_a_server_to_be_killed() {
    let Ok(dir) = std::env::var("MADANG_TEST_SERVER") else { return };
    let dir = std::path::Path::new(&dir);
    let (sender, reports) = channel();
    let mut engine = LocalEngine::open(&dir.join("engine"), options(), sender).expect("the folder is free");
    for number in 1..=20 {
        engine.start(order(dir, number, "echo $SLURM_JOB_ID >> starts; while ! test -e go; do sleep 0.05; done"));
    }
    println!("\nhanded over");
    for report in reports {
        println!("{report:?}");
    }
}

#[test]
fn a_killed_server_loses_and_doubles_nothing() {
    let dir = fresh_dir();
    fs::create_dir_all(&dir).expect("writable");
    let mut server = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "kills::as_a_server_to_be_killed", "--nocapture"])
        .env("MADANG_TEST_SERVER", &dir)
        .stdout(Stdio::piped())
        .spawn()
        .expect("this test runs again");
    let mut lines = BufReader::new(server.stdout.take().expect("piped")).lines();
    assert!(lines.any(|line| line.is_ok_and(|line| line == "handed over")));
    server.kill().expect("it runs");
    server.wait().expect("it is ours");
    let mut bench = Bench::at(dir, options());
    for number in 1..=20 {
        // What the dead server may or may not have got through: told again, as the journal would have it.
        let again = bench.order(number, "echo $SLURM_JOB_ID >> starts; while ! test -e go; do sleep 0.05; done");
        bench.engine().start(again);
        bench.started(run(number));
    }
    fs::write(bench.dir.join("go"), "").expect("writable");
    for number in 1..=20 {
        assert_eq!(bench.ended(run(number)).outcome, Outcome::Completed);
    }
    let mut starts: Vec<u64> = bench.read("starts").lines().filter_map(|line| line.parse().ok()).collect();
    starts.sort_unstable();
    assert_eq!(starts, (1..=20).collect::<Vec<_>>());
}

/// Not a test by itself: a server in a hurry. It notes a job before it starts it, as the journal does, and takes up
/// where the last one was killed.
#[test]
fn as_a_server_in_a_hurry() {
    let Ok(dir) = std::env::var("MADANG_TEST_HURRY") else { return };
    let dir = std::path::Path::new(&dir);
    let (sender, _reports) = channel();
    let mut engine = LocalEngine::open(&dir.join("engine"), options(), sender).expect("the folder is free");
    let journal = dir.join("journal");
    let noted = fs::read_to_string(&journal).unwrap_or_default().lines().count() as u64;
    let mut journal = fs::File::options().create(true).append(true).open(journal).expect("writable");
    for number in noted + 1.. {
        writeln!(journal, "{number}").expect("writable");
        engine.start(order(dir, number, "echo $SLURM_JOB_ID >> starts"));
        // A little slower than jobs are done, so that a round kills at every stage of some job's life.
        std::thread::sleep(std::time::Duration::from_millis(3));
    }
}

#[test]
fn a_server_killed_at_any_moment_starts_each_job_once() {
    let dir = fresh_dir();
    fs::create_dir_all(&dir).expect("writable");
    for round in 0..10 {
        let mut server = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "kills::as_a_server_in_a_hurry", "--nocapture"])
            .env("MADANG_TEST_HURRY", &dir)
            .stdout(Stdio::null())
            .spawn()
            .expect("this test runs again");
        std::thread::sleep(std::time::Duration::from_millis(23 + 13 * round));
        server.kill().expect("it runs");
        server.wait().expect("it is ours");
    }
    let mut bench = Bench::at(dir, options());
    let noted = bench.read("journal").lines().count() as u64;
    assert!(noted > 50, "the load was too small to mean anything: {noted}");
    for number in 1..=noted {
        let again = bench.order(number, "echo $SLURM_JOB_ID >> starts");
        bench.engine().start(again);
    }
    for number in 1..=noted {
        assert_eq!(bench.ended(run(number)).outcome, Outcome::Completed);
    }
    let mut starts: Vec<u64> = bench.read("starts").lines().filter_map(|line| line.parse().ok()).collect();
    starts.sort_unstable();
    assert_eq!(starts, (1..=noted).collect::<Vec<_>>());
}

#[test]
fn a_killed_nursery_is_replaced() {
    let mut bench = Bench::new();
    bench.start(1, "while ! test -e go; do sleep 0.02; done");
    bench.started(run(1));
    for number in 2..=11 {
        if number % 3 == 0 {
            kill_now(bench.engine().nursery_pid().expect("it was started") as i32);
        }
        bench.start(number, "echo $SLURM_JOB_ID >> starts");
    }
    for number in 2..=11 {
        assert_eq!(bench.ended(run(number)).outcome, Outcome::Completed, "{number}");
    }
    fs::write(bench.dir.join("go"), "").expect("writable");
    assert_eq!(bench.ended(run(1)).outcome, Outcome::Completed);
    let mut starts: Vec<u64> = bench.read("starts").lines().filter_map(|line| line.parse().ok()).collect();
    starts.sort_unstable();
    assert_eq!(starts, (2..=11).collect::<Vec<_>>());
}

#[test]
fn a_stop_told_to_a_dead_nursery_is_kept() {
    let mut bench = Bench::new();
    for number in 1..=5 {
        kill_now(bench.engine().nursery_pid().expect("it was started") as i32);
        bench.start(number, "exec sleep 300");
        bench.engine().stop(run(number), StopCause::Cancelled);
    }
    for number in 1..=5 {
        assert_eq!(bench.ended(run(number)).outcome, Outcome::Cancelled);
    }
}

#[test]
fn a_shepherd_told_to_end_gives_its_run_back() {
    let mut bench = Bench::new();
    bench.start(1, "echo $PPID > shepherd; exec sleep 300");
    assert_eq!(bench.line("shepherd").trim().parse(), Ok(bench.shepherd(run(1))));
    signal(bench.shepherd(run(1)), Signal::SIGTERM);
    assert_eq!(bench.ended(run(1)).outcome, Outcome::NodeFailed);
}

#[test]
fn a_killed_shepherd_leaves_nothing() {
    let mut bench = Bench::new();
    let script = "echo $$ > tree\nsleep 300 & echo $! >> tree\n(setsid bash -c 'echo $$ >> tree; sleep 300 & echo $! >> tree; echo end >> tree; wait' &)\nwait";
    bench.start(1, script);
    let began = bench.started(run(1));
    eventually(|| bench.line("tree").contains("end").then_some(()));
    kill_now(bench.shepherd(run(1)));
    let end = bench.ended(run(1));
    assert_eq!(end.outcome, Outcome::NodeFailed);
    assert!(end.at >= began && !end.note.is_empty(), "{end:?}");
    let tree: Vec<i32> = bench.read("tree").lines().filter_map(|line| line.parse().ok()).collect();
    assert_eq!(tree.len(), 4);
    assert!(tree.iter().all(|pid| !lives(*pid)), "{tree:?}");
    bench.reopen();
    assert_eq!(bench.ended(run(1)).outcome, Outcome::NodeFailed, "the same after a restart");
}

#[test]
fn a_shepherd_killed_while_no_server_looks() {
    let mut bench = Bench::new();
    bench.start(1, "(setsid bash -c 'echo $$ > tree; exec sleep 300' &) ; sleep 300");
    bench.started(run(1));
    let pid: i32 = bench.line("tree").trim().parse().expect("a pid");
    let shepherd = bench.shepherd(run(1));
    bench.engine = None;
    kill_now(shepherd);
    bench.reopen();
    assert_eq!(bench.ended(run(1)).outcome, Outcome::NodeFailed);
    eventually(|| (!lives(pid)).then_some(()));
}

#[test]
fn a_run_of_another_boot_is_lost() {
    let mut bench = Bench::new();
    bench.start(1, "exec sleep 300");
    bench.started(run(1));
    let shepherd = bench.shepherd(run(1));
    bench.engine = None;
    kill_now(shepherd);
    let record = bench.record(run(1));
    let text = fs::read_to_string(&record).expect("it exists");
    let (start, rest) = text.split_once("\"boot\":\"").expect("a record");
    fs::write(&record, format!("{start}\"boot\":\"another-{rest}")).expect("writable");
    bench.reopen();
    let end = bench.ended(run(1));
    assert_eq!(end.outcome, Outcome::NodeFailed);
    assert!(end.note.contains("started again"), "{end:?}");
}

#[test]
fn what_was_ordered_but_never_begun_is_unknown() {
    let mut bench = Bench::new();
    bench.engine = None;
    fs::write(bench.dir.join("engine/runs/spare-3.record"), "{half").expect("writable");
    fs::write(bench.dir.join("engine/runs/something-else"), "").expect("writable");
    bench.reopen();
    assert_eq!(bench.engine().known(), []);
    bench.engine().confirm(run(5));
    bench.unknown(run(5));
    bench.start(5, "exit 3");
    assert_eq!(bench.ended(run(5)).outcome, Outcome::Failed { exit: 3, signal: 0 });
}

#[test]
fn a_damaged_record_is_an_end() {
    let mut bench = Bench::new();
    bench.start(1, "(setsid bash -c 'echo $$ > tree; exec sleep 300' &) ; exec sleep 300");
    bench.started(run(1));
    let pid: i32 = bench.line("tree").trim().parse().expect("a pid");
    let shepherd = bench.shepherd(run(1));
    bench.engine = None;
    kill_now(shepherd);
    fs::write(bench.record(run(1)), [0; 100]).expect("writable");
    bench.reopen();
    assert_eq!(bench.ended(run(1)).outcome, Outcome::LaunchFailed);
    assert!(!lives(pid));
}

#[test]
fn a_folder_has_one_engine() {
    let bench = Bench::new();
    let (sender, _reports) = channel();
    let mut impatient = options();
    impatient.patience = Span::from_millis(50);
    let second = LocalEngine::open(&bench.dir.join("engine"), impatient, sender);
    assert!(matches!(second, Err(Error::Busy { .. })), "{second:?}");
}

#[test]
fn a_helper_that_is_none_is_an_error() {
    let (sender, _reports) = channel();
    for helper in ["/no/such/program", "/bin/true"] {
        let mut wrong = options();
        wrong.helper = helper.into();
        let dir = fresh_dir();
        let engine = LocalEngine::open(&dir, wrong, sender.clone());
        assert!(matches!(engine, Err(Error::Nursery { .. })), "{engine:?}");
        fs::remove_dir_all(dir).expect("it was made");
    }
}
