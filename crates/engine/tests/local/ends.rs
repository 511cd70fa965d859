//! How runs end: by themselves, at the limit, by order, for want of memory, or before they begin.
use crate::bench::{Bench, lives, options, run};
use madang_engine::{EngineReport, Kind, Options};
use madang_model::{Outcome, Span, StopCause, Warning};

#[test]
fn exit_codes_and_signals_are_kept() {
    let mut bench = Bench::new();
    let cases = [
        ("true", Outcome::Completed),
        ("exit 7", Outcome::Failed { exit: 7, signal: 0 }),
        ("kill -SEGV $$", Outcome::Failed { exit: 0, signal: 11 }),
        ("kill -40 $$", Outcome::Failed { exit: 0, signal: 40 }),
    ];
    for (number, (script, _)) in (1..).zip(&cases) {
        bench.start(number, script);
    }
    for (number, (script, want)) in (1..).zip(&cases) {
        let began = bench.started(run(number));
        let end = bench.ended(run(number));
        assert_eq!(end.outcome, *want, "{script}");
        assert!(end.at >= began && end.peak_mib > 0, "{script}: {end:?}");
    }
}

#[test]
fn the_end_tells_cpu_time() {
    let mut bench = Bench::new();
    let run = bench.start(1, "for ((i = 0; i < 100000; i++)); do :; done");
    let end = bench.ended(run);
    assert!(end.cpu > Span::from_millis(20) && end.cpu < Span::from_secs(10), "{end:?}");
}

#[test]
fn at_the_limit_term_then_kill() {
    let mut bench = Bench::new();
    let mut order = bench.order(1, "trap 'echo term >> told' TERM; echo ready > ready; while :; do sleep 0.05; done");
    order.limit = Span::from_millis(400);
    order.grace = Span::from_millis(300);
    bench.engine().start(order);
    let began = bench.started(run(1));
    let end = bench.ended(run(1));
    assert_eq!(end.outcome, Outcome::TimedOut);
    let ran = end.at.since(began);
    assert!(ran >= Span::from_millis(690) && ran < Span::from_secs(5), "{ran}");
    assert_eq!(bench.read("told"), "term\n");
}

#[test]
fn a_limit_can_be_moved() {
    let mut bench = Bench::new();
    bench.start(1, "sleep 60");
    bench.started(run(1));
    bench.engine().set_limit(run(1), Span::from_millis(50));
    assert_eq!(bench.ended(run(1)).outcome, Outcome::TimedOut);
}

#[test]
fn the_warning_reaches_the_shell_alone() {
    let mut bench = Bench::new();
    let mut order = bench.order(
        1,
        "trap 'echo warned > told; exit 3' USR1\nSLURM_STEP_ID=0 bash -c 'trap \"echo step > step\" USR1; sleep 0.1; sleep 30' &\nwait",
    );
    order.limit = Span::from_secs(20);
    order.warning = Some(Warning { signal: 10, before: Span::from_millis(19_700), shell: true });
    bench.engine().start(order);
    assert_eq!(bench.ended(run(1)).outcome, Outcome::Failed { exit: 3, signal: 0 });
    assert_eq!(bench.read("told"), "warned\n");
    assert!(!bench.dir.join("step").exists());
}

#[test]
fn the_warning_reaches_steps_and_not_the_shell() {
    let mut bench = Bench::new();
    let script = "sleep 30 & beside=$!\nSLURM_STEP_ID=0 bash -c 'trap \"echo step > told; exit 4\" USR2; while :; do sleep 0.02; done'\ncode=$?\nkill -0 $beside && echo beside >> told\nexit $code";
    let mut order = bench.order(1, script);
    order.limit = Span::from_secs(20);
    order.warning = Some(Warning { signal: 12, before: Span::from_millis(19_600), shell: false });
    bench.engine().start(order);
    assert_eq!(bench.ended(run(1)).outcome, Outcome::Failed { exit: 4, signal: 0 });
    assert_eq!(bench.read("told"), "step\nbeside\n");
}

#[test]
fn a_signal_on_demand() {
    let mut bench = Bench::new();
    bench.start(1, "trap 'exit 5' USR1; echo ready > ready; while :; do sleep 0.02; done");
    bench.line("ready");
    bench.engine().signal(run(1), 10, false);
    bench.engine().signal(run(1), 10, true);
    assert_eq!(bench.ended(run(1)).outcome, Outcome::Failed { exit: 5, signal: 0 });
}

#[test]
fn the_first_reason_to_stop_counts() {
    let mut bench = Bench::new();
    for (number, cause, want) in [
        (1, StopCause::Cancelled, Outcome::Cancelled),
        (2, StopCause::Requeue, Outcome::Requeued),
        (3, StopCause::Limit, Outcome::TimedOut),
        (4, StopCause::NodeLost, Outcome::NodeFailed),
        (5, StopCause::Stale, Outcome::Cancelled),
    ] {
        bench.start(number, "trap 'exit 0' TERM; echo ready > ready; while :; do sleep 0.02; done");
        bench.line("ready");
        bench.engine().stop(run(number), cause);
        bench.engine().stop(run(number), StopCause::Cancelled);
        assert_eq!(bench.ended(run(number)).outcome, want);
        std::fs::remove_file(bench.dir.join("ready")).expect("it was written");
    }
}

#[test]
fn nothing_of_the_tree_is_left() {
    let mut bench = Bench::new();
    let script = "(setsid bash -c 'echo $$ > deep; trap \"\" TERM HUP; sleep 300 & echo $! >> deep; echo end >> deep; wait' &) \nwhile ! grep -q end deep 2>/dev/null; do sleep 0.01; done\nexit 2";
    bench.start(1, script);
    assert_eq!(bench.ended(run(1)).outcome, Outcome::Failed { exit: 2, signal: 0 });
    for pid in bench.read("deep").lines().filter_map(|line| line.parse().ok()) {
        assert!(!lives(pid), "{pid}");
    }
}

#[test]
fn what_keeps_forking_is_ended_too() {
    let mut bench = Bench::new();
    let hop = "test -e stop && exit\necho $$ >> hops\n(setsid bash ./hop &)\n";
    std::fs::write(bench.dir.join("hop"), hop).expect("writable");
    bench.start(1, "bash ./hop; while ! test \"$(wc -l < hops)\" -gt 20; do sleep 0.01; done; exit 3");
    assert_eq!(bench.ended(run(1)).outcome, Outcome::Failed { exit: 3, signal: 0 });
    let hops = bench.read("hops");
    std::thread::sleep(std::time::Duration::from_millis(100));
    let more = bench.read("hops");
    std::fs::write(bench.dir.join("stop"), "").expect("writable");
    assert_eq!(hops, more, "nobody hops any more");
}

#[test]
fn a_control_group_is_used_where_there_is_one() {
    let Some(root) = writable_cgroup() else {
        println!("this machine has no writable cgroup v2 folder; nothing to see");
        return;
    };
    let mut bench = Bench::with(Options { cgroup: Some(root.clone()), ..options() });
    bench.start(1, "cat /proc/self/cgroup; (setsid sleep 300 &); echo ready > ready; sleep 300");
    bench.line("ready");
    bench.engine().stop(run(1), StopCause::Cancelled);
    assert_eq!(bench.ended(run(1)).outcome, Outcome::Cancelled);
    assert!(bench.read("slurm-1.out").contains("/madang.job-1.1\n"));
    assert!(!root.join("madang.job-1.1").exists());
    std::fs::remove_dir(root).expect("it is empty");
}

/// A folder for groups, made for one test.
fn writable_cgroup() -> Option<std::path::PathBuf> {
    ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].into_iter().find_map(|mount| {
        std::fs::metadata(format!("{mount}/cgroup.controllers")).ok()?;
        let dir = std::path::Path::new(mount).join(format!("madang-test-{}", std::process::id()));
        std::fs::create_dir(&dir).ok()?;
        Some(dir)
    })
}

#[test]
fn memory_is_limited() {
    let mut bench = Bench::new();
    let mut order = bench.order(1, "(head -c 200M /dev/zero; sleep 20) | tail -c 200M > /dev/null");
    order.nodes[0].memory_mib = 100;
    bench.engine().start(order);
    let end = bench.ended(run(1));
    assert_eq!(end.outcome, Outcome::OutOfMemory);
    assert!(end.note.contains("its limit is 100 MiB") && end.peak_mib > 100, "{end:?}");
}

#[test]
fn files_that_cannot_be_fail_the_job_as_in_slurm() {
    let mut bench = Bench::new();
    let mut missing = bench.order(1, "true");
    missing.spec.cwd = "/nowhere/at/all".to_owned();
    let mut unwritable = bench.order(2, "true");
    // A folder that is missing is made; one whose parent is a file cannot be.
    std::fs::write(bench.dir.join("a-file"), "").expect("the bench is writable");
    unwritable.spec.stdout = Some("a-file/folder/out".to_owned());
    let mut unreadable = bench.order(3, "true");
    unreadable.spec.stdin = Some("no-such-file".to_owned());
    let mut pipe = bench.order(4, "true");
    nix::unistd::mkfifo(&bench.dir.join("pipe"), nix::sys::stat::Mode::S_IRWXU).expect("a new name");
    pipe.spec.stdout = Some("pipe".to_owned());
    for order in [missing, unwritable, unreadable, pipe] {
        bench.engine().start(order);
    }
    for (number, note) in [(1, "/nowhere/at/all"), (2, "a-file/folder/out"), (3, "no-such-file"), (4, "pipe")] {
        let end = bench.ended(run(number));
        assert_eq!(end.outcome, Outcome::Failed { exit: 1, signal: 0 });
        assert!(end.note.contains(note), "{end:?}");
    }
}

#[test]
fn a_script_that_cannot_run_says_so_in_its_output() {
    let mut bench = Bench::new();
    let mut order = bench.order(1, "");
    order.spec.script = "#!/no/such/interpreter\n".to_owned();
    bench.engine().start(order);
    assert_eq!(bench.ended(run(1)).outcome, Outcome::Failed { exit: 2, signal: 0 });
    assert!(bench.read("slurm-1.out").contains("/no/such/interpreter"));
}

#[test]
fn a_held_allocation_waits_and_is_released() {
    let mut bench = Bench::new();
    for number in 1..=4 {
        let mut order = bench.order(number, "");
        order.spec.kind = Kind::Hold;
        order.limit = if number == 4 { Span::from_millis(50) } else { Span::from_mins(1) };
        bench.engine().start(order);
        bench.started(run(number));
    }
    bench.engine().release(run(1), 0);
    bench.engine().release(run(2), 9);
    bench.engine().stop(run(3), StopCause::Cancelled);
    let want = [Outcome::Completed, Outcome::Failed { exit: 9, signal: 0 }, Outcome::Cancelled, Outcome::TimedOut];
    for (number, want) in (1..).zip(want) {
        assert_eq!(bench.ended(run(number)).outcome, want);
    }
}

#[test]
fn told_twice_it_starts_once() {
    let mut bench = Bench::new();
    let order = bench.order(1, "echo once >> count");
    bench.engine().start(order.clone());
    bench.engine().start(order.clone());
    bench.ended(run(1));
    bench.engine().start(order.clone());
    bench.reopen();
    bench.engine().start(order);
    let again = bench.quiet();
    assert_eq!(again.len(), 2, "the start and the end, told again: {again:?}");
    assert_eq!(bench.read("count"), "once\n");
    bench.engine().forget(run(1));
    assert_eq!(bench.engine().known(), []);
    assert!(!bench.record(run(1)).exists());
}

#[test]
fn what_is_not_known_is_reported_so() {
    let mut bench = Bench::new();
    bench.engine().confirm(run(8));
    bench.unknown(run(8));
    bench.engine().stop(run(9), StopCause::Cancelled);
    bench.unknown(run(9));
    bench.start(1, "sleep 60");
    let began = bench.started(run(1));
    bench.engine().forget(run(1));
    bench.engine().confirm(run(1));
    assert_eq!(bench.started(run(1)), began, "a run that has not ended is not forgotten");
}

#[test]
fn two_hundred_quick_jobs() {
    let mut bench = Bench::new();
    for number in 1..=200 {
        bench.start(number, "exit $((SLURM_JOB_ID % 3))");
    }
    for number in 1..=200 {
        let exit = (number % 3) as i32;
        let want = if exit == 0 { Outcome::Completed } else { Outcome::Failed { exit, signal: 0 } };
        assert_eq!(bench.ended(run(number)).outcome, want);
        bench.engine().forget(run(number));
    }
    let left = bench.quiet();
    assert!(left.iter().all(|report| matches!(report, EngineReport::Started { .. })), "{left:?}");
    assert_eq!(left.len(), 200);
    let files = std::fs::read_dir(bench.dir.join("engine/runs")).expect("it is there");
    let names = files.flatten().map(|entry| entry.file_name().into_string().expect("our own"));
    assert_eq!(names.filter(|name| !name.starts_with("spare-")).collect::<Vec<_>>(), [""; 0]);
}
