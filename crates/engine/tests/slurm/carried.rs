//! Runs that follow another in its Slurm job: in the same one, each with its own figures and its own end; and what
//! becomes of one whose carrier has gone.
use crate::contract::{Bench, Case, lives, run};
use madang_model::{Outcome, StopCause};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::time::Instant;

pub const CASES: &[Case] = &[
    ("runs_follow_in_one_slurm_job", runs_follow_in_one_slurm_job),
    ("a_carried_run_is_stopped_alone", a_carried_run_is_stopped_alone),
    ("a_carried_run_outlives_the_server", a_carried_run_outlives_the_server),
    ("a_carrier_that_was_killed_is_missed", a_carrier_that_was_killed_is_missed),
];

/// The node of these cases; others leave half of it free.
const NODE: &str = "n2";

fn start(bench: &mut Bench<'_>, number: u64, script: &str) {
    let mut order = bench.order(number, script);
    order.nodes[0].name = NODE.to_owned();
    bench.engine().start(order);
}

fn number(bench: &Bench<'_>, name: &str) -> i32 {
    bench.line(name).trim().parse().expect("a number")
}

/// Runs one script after another until two are in the same Slurm job: on a busy machine a carrier may have gone.
fn follow(bench: &mut Bench<'_>, script: &str) -> u64 {
    for first in (1..40).step_by(2) {
        start(bench, first, &format!("echo $SLURM_JOB_ID > job{first}; echo $PPID > shepherd{first}"));
        assert_eq!(bench.ended(run(first)).outcome, Outcome::Completed);
        let next = first + 1;
        start(bench, next, &format!("echo $SLURM_JOB_ID > job{next}; echo $$ > script{next}; {script}"));
        if number(bench, &format!("job{first}")) == number(bench, &format!("job{next}")) {
            return next;
        }
        bench.engine().stop(run(next), StopCause::Cancelled);
        bench.ended(run(next));
    }
    panic!("no run followed another");
}

fn runs_follow_in_one_slurm_job(bench: &mut Bench<'_>) {
    let large = "python3 -c 'x = bytearray(200 << 20); sum(range(3_000_000))'";
    let second = follow(bench, large);
    let heavy = bench.ended(run(second));
    assert_eq!(heavy.outcome, Outcome::Completed);
    start(bench, 50, "echo $SLURM_JOB_ID $SLURM_JOB_NAME $MADANG_JOB_ID > job50; exit 3");
    let light = bench.ended(run(50));
    assert_eq!(light.outcome, Outcome::Failed { exit: 3, signal: 0 });
    assert!(heavy.peak_mib >= 200 && light.peak_mib < 100, "{heavy:?} {light:?}");
    assert!(light.cpu < heavy.cpu, "{heavy:?} {light:?}");
    assert!(bench.line("job50").ends_with(" train 50\n"));
    let mut other = bench.order(51, "echo $SLURM_JOB_ID > job51");
    other.nodes[0].name = NODE.to_owned();
    other.user_name = "lee".to_owned();
    bench.engine().start(other);
    assert_eq!(bench.ended(run(51)).outcome, Outcome::Completed);
    let job = bench.line("job50");
    assert_ne!(job.split(' ').next(), Some(bench.line("job51").trim()), "another user's");
}

fn a_carried_run_is_stopped_alone(bench: &mut Bench<'_>) {
    let second = follow(bench, "trap 'echo asked > asked; exit 0' TERM; while :; do sleep 0.1; done");
    bench.started(run(second));
    for number in 1..second {
        bench.engine().forget(run(number));
    }
    let asked = Instant::now();
    bench.engine().stop(run(second), StopCause::Cancelled);
    assert_eq!(bench.ended(run(second)).outcome, Outcome::Cancelled);
    assert_eq!((bench.line("asked").as_str(), asked.elapsed().as_secs() < 15), ("asked\n", true));
}

fn a_carried_run_outlives_the_server(bench: &mut Bench<'_>) {
    let second = follow(bench, "exec sleep 300");
    bench.started(run(second));
    bench.close();
    bench.reopen();
    bench.started(run(second));
    let script = number(bench, &format!("script{second}"));
    bench.engine().forget(run(second - 1));
    // Longer than an unknown job of ours would be left alone.
    let quiet = bench.within(std::time::Duration::from_secs(5));
    assert!(lives(script) && !format!("{quiet:?}").contains("Ended { run: RunId { job: JobId(2)"), "{quiet:?}");
    bench.engine().stop(run(second), StopCause::Cancelled);
    assert_eq!(bench.ended(run(second)).outcome, Outcome::Cancelled);
    assert!(!lives(script));
}

fn a_carrier_that_was_killed_is_missed(bench: &mut Bench<'_>) {
    start(bench, 1, "echo $PPID > shepherd; echo $SLURM_JOB_ID > job1");
    assert_eq!(bench.ended(run(1)).outcome, Outcome::Completed);
    kill(Pid::from_raw(number(bench, "shepherd")), Signal::SIGKILL).ok();
    start(bench, 2, "echo $SLURM_JOB_ID > job2");
    assert_eq!(bench.ended(run(2)).outcome, Outcome::Completed);
    assert_ne!(number(bench, "job1"), number(bench, "job2"));
}
