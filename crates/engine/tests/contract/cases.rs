//! The promises, each as something that happens to a run and what must be reported of it.
use super::{Bench, Case, eventually, lives, run};
use madang_engine::{ArrayInfo, EngineReport};
use madang_model::{Outcome, Span, StopCause, Warning};
use std::time::Duration;

macro_rules! cases {
    ($($name:ident)*) => {
        /// All of them.
        pub const CASES: &[Case] = &[$((stringify!($name), $name)),*];
    };
}

cases! {
    exit_codes_and_signals_are_kept
    at_the_limit_term_then_kill
    a_limit_can_be_moved
    the_warning_reaches_the_shell_alone
    a_signal_on_demand
    the_first_reason_to_stop_counts
    nothing_of_the_tree_is_left
    files_that_cannot_be_fail_the_job
    a_script_that_cannot_run_says_so_in_its_output
    output_goes_where_patterns_say
    told_twice_it_starts_once
    what_is_not_known_is_reported_so
    a_new_server_takes_up_what_runs
    a_new_server_can_stop_what_it_took_up
    an_end_without_a_server_is_told_exactly
    the_order_can_stop_before_the_start_is_told
}

fn exit_codes_and_signals_are_kept(bench: &mut Bench<'_>) {
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
        assert!(end.at >= began, "{script}: {end:?}");
        // What it used is told too: some memory, and no more of a processor than it can have had.
        assert!((1..1024).contains(&end.peak_mib) && end.cpu < Span::from_mins(1), "{script}: {end:?}");
    }
}

fn at_the_limit_term_then_kill(bench: &mut Bench<'_>) {
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

fn a_limit_can_be_moved(bench: &mut Bench<'_>) {
    bench.start(1, "sleep 60");
    bench.started(run(1));
    bench.engine().set_limit(run(1), Span::from_millis(50));
    assert_eq!(bench.ended(run(1)).outcome, Outcome::TimedOut);
}

fn the_warning_reaches_the_shell_alone(bench: &mut Bench<'_>) {
    let script = "trap 'echo warned > told; exit 3' USR1
SLURM_STEP_ID=0 bash -c 'trap \"echo step > step\" USR1; sleep 0.1; sleep 30' &
wait";
    let mut order = bench.order(1, script);
    order.limit = Span::from_secs(20);
    order.warning = Some(Warning { signal: 10, before: Span::from_millis(19_400), shell: true });
    bench.engine().start(order);
    assert_eq!(bench.ended(run(1)).outcome, Outcome::Failed { exit: 3, signal: 0 });
    assert_eq!(bench.read("told"), "warned\n");
    assert!(!bench.dir.join("step").exists());
}

fn a_signal_on_demand(bench: &mut Bench<'_>) {
    bench.start(1, "trap 'exit 5' USR1; echo ready > ready; while :; do sleep 0.02; done");
    bench.line("ready");
    bench.engine().signal(run(1), 10, false);
    bench.engine().signal(run(1), 10, true);
    assert_eq!(bench.ended(run(1)).outcome, Outcome::Failed { exit: 5, signal: 0 });
}

fn the_first_reason_to_stop_counts(bench: &mut Bench<'_>) {
    let cases = [
        (1, StopCause::Cancelled, Outcome::Cancelled),
        (2, StopCause::Requeue, Outcome::Requeued),
        (3, StopCause::Limit, Outcome::TimedOut),
        (4, StopCause::NodeLost, Outcome::NodeFailed),
        (5, StopCause::Stale, Outcome::Cancelled),
    ];
    for (number, _, _) in cases {
        bench.start(number, &format!("trap 'exit 0' TERM; echo ready > ready{number}; while :; do sleep 0.05; done"));
    }
    for (number, cause, _) in cases {
        bench.line(&format!("ready{number}"));
        bench.engine().stop(run(number), cause);
        bench.engine().stop(run(number), StopCause::Cancelled);
    }
    for (number, _, want) in cases {
        assert_eq!(bench.ended(run(number)).outcome, want);
    }
}

fn nothing_of_the_tree_is_left(bench: &mut Bench<'_>) {
    let script =
        "(setsid bash -c 'echo $$ > deep; trap \"\" TERM HUP; sleep 300 & echo $! >> deep; echo end >> deep; wait' &)
while ! grep -q end deep 2>/dev/null; do sleep 0.01; done
exit 2";
    bench.start(1, script);
    assert_eq!(bench.ended(run(1)).outcome, Outcome::Failed { exit: 2, signal: 0 });
    for pid in bench.read("deep").lines().filter_map(|line| line.parse().ok()) {
        assert!(!lives(pid), "{pid}");
    }
}

fn files_that_cannot_be_fail_the_job(bench: &mut Bench<'_>) {
    let mut missing = bench.order(1, "true");
    missing.spec.cwd = "/nowhere/at/all".to_owned();
    let mut unwritable = bench.order(2, "true");
    // A folder that is missing is made; one whose parent is a file cannot be.
    bench.write("a-file");
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

fn a_script_that_cannot_run_says_so_in_its_output(bench: &mut Bench<'_>) {
    let mut order = bench.order(1, "");
    order.spec.script = "#!/no/such/interpreter\n".to_owned();
    bench.engine().start(order);
    assert_eq!(bench.ended(run(1)).outcome, Outcome::Failed { exit: 2, signal: 0 });
    assert!(bench.read("slurm-1.out").contains("/no/such/interpreter"));
}

fn output_goes_where_patterns_say(bench: &mut Bench<'_>) {
    let plain = bench.order(1, "echo out; echo err >&2");
    let mut array = bench.order(2, "echo task $SLURM_ARRAY_JOB_ID $SLURM_ARRAY_TASK_ID $SLURM_JOB_NAME");
    array.array = Some(ArrayInfo { job: 2, task: 3, count: 4, min: 0, max: 3, step: 1 });
    let mut apart = bench.order(3, "cat; echo err >&2");
    std::fs::write(bench.dir.join("in-train"), "read\n").expect("writable");
    apart.spec.stdin = Some("in-%x".to_owned());
    apart.spec.stdout = Some("%x-%04j-%N.out".to_owned());
    apart.spec.stderr = Some("%u.err".to_owned());
    let mut same = bench.order(4, "echo one; echo two >&2; echo three");
    same.spec.stdout = Some("same-%j".to_owned());
    same.spec.stderr = Some("same-4".to_owned());
    let node = plain.nodes[0].name.clone();
    for order in [plain, array, apart, same] {
        bench.engine().start(order);
    }
    for number in 1..=4 {
        assert_eq!(bench.ended(run(number)).outcome, Outcome::Completed, "{number}");
    }
    assert_eq!(bench.read("slurm-1.out"), "out\nerr\n");
    assert_eq!(bench.read("slurm-2_3.out"), "task 2 3 train\n");
    assert_eq!(bench.read(&format!("train-0003-{node}.out")), "read\n");
    assert_eq!(bench.read("kim.err"), "err\n");
    assert_eq!(bench.read("same-4"), "one\ntwo\nthree\n");
}

fn told_twice_it_starts_once(bench: &mut Bench<'_>) {
    let order = bench.order(1, "echo once >> count");
    bench.engine().start(order.clone());
    bench.engine().start(order.clone());
    bench.ended(run(1));
    bench.engine().start(order.clone());
    bench.reopen();
    bench.engine().start(order);
    let again = bench.within(Duration::from_secs(3));
    assert_eq!(again.len(), 2, "the start and the end, told again: {again:?}");
    assert_eq!(bench.read("count"), "once\n");
    bench.engine().forget(run(1));
    eventually(|| bench.engine().known().is_empty().then_some(()));
    bench.engine().confirm(run(1));
    bench.unknown(run(1));
}

fn what_is_not_known_is_reported_so(bench: &mut Bench<'_>) {
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

fn a_new_server_takes_up_what_runs(bench: &mut Bench<'_>) {
    bench.start(1, "echo ready > ready; while ! test -e go; do sleep 0.02; done; exit 6");
    let began = bench.started(run(1));
    bench.line("ready");
    bench.reopen();
    assert_eq!(bench.engine().known(), [run(1)]);
    assert_eq!(bench.started(run(1)), began);
    bench.write("go");
    assert_eq!(bench.ended(run(1)).outcome, Outcome::Failed { exit: 6, signal: 0 });
}

fn a_new_server_can_stop_what_it_took_up(bench: &mut Bench<'_>) {
    bench.start(1, "sleep 300");
    bench.started(run(1));
    bench.reopen();
    bench.reopen();
    bench.engine().stop(run(1), StopCause::Cancelled);
    assert_eq!(bench.ended(run(1)).outcome, Outcome::Cancelled);
}

fn an_end_without_a_server_is_told_exactly(bench: &mut Bench<'_>) {
    bench.start(1, "while ! test -e go; do sleep 0.02; done; date +%s%3N > over; exit 8");
    let began = bench.started(run(1));
    bench.close();
    bench.write("go");
    let over: u64 = bench.line("over").trim().parse().expect("milliseconds");
    std::thread::sleep(Duration::from_secs(1));
    bench.reopen();
    assert_eq!(bench.started(run(1)), began);
    let end = bench.ended(run(1));
    assert_eq!(end.outcome, Outcome::Failed { exit: 8, signal: 0 });
    assert!(end.at.millis().abs_diff(over) < 500, "{} and {over}", end.at.millis());
}

fn the_order_can_stop_before_the_start_is_told(bench: &mut Bench<'_>) {
    for number in 1..=8 {
        bench.start(number, "exec sleep 300");
        bench.engine().stop(run(number), StopCause::Cancelled);
    }
    for number in 1..=8 {
        assert_eq!(bench.ended(run(number)).outcome, Outcome::Cancelled);
    }
    let left = bench.within(Duration::from_secs(1));
    assert!(left.iter().all(|report| matches!(report, EngineReport::Started { .. })), "{left:?}");
}
