//! How runs end: by themselves, at the limit, by order, for want of memory, or before they begin.
use crate::bench::{Bench, options, run};
use madang_engine::{Engine, EngineReport, Kind, Options};
use madang_model::{Outcome, Span, StopCause, Warning};

#[test]
fn the_end_tells_cpu_time() {
    let mut bench = Bench::new();
    let run = bench.start(1, "for ((i = 0; i < 100000; i++)); do :; done");
    let end = bench.ended(run);
    assert!(end.cpu > Span::from_millis(20) && end.cpu < Span::from_secs(10), "{end:?}");
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
