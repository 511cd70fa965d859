//! What only Slurm can do to a run: lose it, start it twice, end it by itself, lose its node, run others beside it.
use crate::OnSlurm;
use crate::cluster::Cluster;
use crate::contract::{Bench, Case, eventually, lives, run};
use madang_engine::EngineReport;
use madang_model::{Health, Outcome, StopCause};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

/// Those that leave the daemons alone.
pub const CASES: &[Case] = &[
    ("several_nodes_and_their_devices", several_nodes_and_their_devices),
    ("what_slurm_cannot_do_is_refused", what_slurm_cannot_do_is_refused),
    ("cancelled_in_slurm_is_told_so", cancelled_in_slurm_is_told_so),
    ("a_killed_shepherd_is_a_lost_run", a_killed_shepherd_is_a_lost_run),
    ("a_stop_of_what_waits_in_slurm", a_stop_of_what_waits_in_slurm),
    ("a_start_told_again_by_the_next_server", a_start_told_again_by_the_next_server),
];

/// One that needs the cluster for itself.
type Alone = (&'static str, fn(&mut Cluster));

/// Those that end daemons, or look at what else runs on nodes.
pub const ALONE: &[Alone] = &[
    ("an_answer_that_got_lost", an_answer_that_got_lost),
    ("a_job_submitted_twice_starts_once", a_job_submitted_twice_starts_once),
    ("a_partition_that_is_none", a_partition_that_is_none),
    ("jobs_of_others_keep_a_node_out", jobs_of_others_keep_a_node_out),
    ("a_dead_controller_holds_no_end_up", a_dead_controller_holds_no_end_up),
    ("a_controller_killed_after_its_answer", a_controller_killed_after_its_answer),
    ("a_lost_node_loses_its_runs", a_lost_node_loses_its_runs),
];

fn several_nodes_and_their_devices(bench: &mut Bench<'_>) {
    let script = "echo $SLURM_JOB_NUM_NODES $SLURM_JOB_NODELIST $CUDA_VISIBLE_DEVICES $MADANG_JOB_ID
srun bash -c 'echo $SLURMD_NODENAME:$SLURM_GPUS_ON_NODE' | sort";
    let mut order = bench.order(1, script);
    order.nodes[0].name = "n2".to_owned();
    order.nodes[0].devices = vec![0, 1, 2];
    order.nodes[0].cpus = 4;
    let mut second = order.nodes[0].clone();
    second.name = "n4".to_owned();
    order.nodes.push(second);
    bench.engine().start(order);
    assert_eq!(bench.ended(run(1)).outcome, Outcome::Completed);
    let text = bench.read("slurm-1.out");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[1..], ["n2:3", "n4:3"], "{text}");
    // Which three is Slurm's choice.
    assert!(lines[0].starts_with("2 n[2,4] ") && lines[0].ends_with(" 1"), "{text}");
    assert_eq!(lines[0].split(' ').nth(2).map(|devices| devices.split(',').count()), Some(3), "{text}");
}

fn what_slurm_cannot_do_is_refused(bench: &mut Bench<'_>) {
    let mut held = bench.order(1, "");
    held.spec.kind = madang_engine::Kind::Hold;
    let mut large = bench.order(2, "true");
    large.nodes[0].cpus = 65;
    let mut nowhere = bench.order(3, "true");
    nowhere.nodes[0].name = "n9".to_owned();
    for order in [held, large, nowhere] {
        bench.engine().start(order);
    }
    for (number, note) in [(1, "scripts only"), (2, "configuration is not available"), (3, "nvalid node name")] {
        let end = bench.ended(run(number));
        assert_eq!(end.outcome, Outcome::LaunchFailed, "{end:?}");
        assert!(end.note.contains(note), "{end:?}");
    }
}

/// How many jobs of this name Slurm has in these states.
fn count(conf: &str, name: &str, states: &str) -> usize {
    let mut squeue = Command::new("squeue");
    squeue.env("SLURM_CONF", conf).args(["-h", "-t", states, "-o", "%j"]);
    let text = String::from_utf8(squeue.output().expect("it was found").stdout).expect("plain text");
    text.lines().filter(|line| *line == name).count()
}

/// The name that a bench's engine gives a run's job.
fn key(bench: &Bench<'_>, number: u64) -> String {
    let tag = fs::read_to_string(bench.dir.join("engine/tag")).expect("the engine has a name");
    format!("madang-{tag}-job-{number}.1")
}

fn conf_of(bench: &Bench<'_>) -> String {
    let text = bench.read("conf");
    text.trim().to_owned()
}

/// A script that also tells where the cluster's configuration is.
const TELLS: &str = "echo $SLURM_CONF > conf; ";

fn cancelled_in_slurm_is_told_so(bench: &mut Bench<'_>) {
    bench.start(1, &format!("{TELLS} exec sleep 300"));
    bench.started(run(1));
    bench.line("conf");
    let name = format!("--name={}", key(bench, 1));
    let conf = conf_of(bench);
    Command::new("scancel").env("SLURM_CONF", conf).arg(name).status().expect("it was found");
    let end = bench.ended(run(1));
    assert_eq!(end.outcome, Outcome::Cancelled);
    assert!(end.note.contains("cancelled in Slurm"), "{end:?}");
}

fn a_killed_shepherd_is_a_lost_run(bench: &mut Bench<'_>) {
    // What else it left is Slurm's to end, by control groups; here there are none.
    let script = "echo $PPID > shepherd; echo $$ > script; exec sleep 300";
    bench.start(1, script);
    let began = bench.started(run(1));
    let script: i32 = bench.line("script").trim().parse().expect("a pid");
    let shepherd: i32 = bench.line("shepherd").trim().parse().expect("a pid");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(shepherd), nix::sys::signal::Signal::SIGKILL).expect("it lives");
    let end = bench.ended(run(1));
    assert_eq!(end.outcome, Outcome::NodeFailed);
    assert!(end.at >= began && end.note.contains("shepherd was killed"), "{end:?}");
    assert!(!lives(script));
}

fn a_stop_of_what_waits_in_slurm(bench: &mut Bench<'_>) {
    let whole = |mut order: madang_engine::Order| {
        order.nodes[0].name = "n3".to_owned();
        order.nodes[0].cpus = 64;
        order
    };
    let first = whole(bench.order(1, &format!("{TELLS} while ! test -e go; do sleep 0.05; done")));
    let second = whole(bench.order(2, "echo twice > told"));
    bench.engine().start(first);
    bench.started(run(1));
    bench.engine().start(second);
    bench.line("conf");
    let conf = conf_of(bench);
    let second = key(bench, 2);
    eventually(|| (count(&conf, &second, "PD") == 1).then_some(()));
    bench.engine().stop(run(2), StopCause::Cancelled);
    let end = bench.ended(run(2));
    assert_eq!(end.outcome, Outcome::Cancelled);
    bench.write("go");
    assert_eq!(bench.ended(run(1)).outcome, Outcome::Completed);
    let left = bench.within(Duration::from_secs(3));
    assert_eq!(left, [], "it never begins");
    assert!(!bench.dir.join("told").exists());
}

fn a_start_told_again_by_the_next_server(bench: &mut Bench<'_>) {
    let script = "echo $MADANG_JOB_ID >> starts; while ! test -e go; do sleep 0.05; done";
    for number in 1..=5 {
        bench.start(number, script);
    }
    // Somewhere between the first submission and the last.
    std::thread::sleep(Duration::from_millis(60));
    bench.reopen();
    for number in 1..=5 {
        bench.start(number, script);
    }
    for number in 1..=5 {
        bench.started(run(number));
    }
    bench.write("go");
    for number in 1..=5 {
        assert_eq!(bench.ended(run(number)).outcome, Outcome::Completed);
    }
    assert_eq!(sorted(&bench.read("starts")), ["1", "2", "3", "4", "5"]);
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

/// Awaits what the engine says of a node.
fn node(bench: &mut Bench<'_>, name: &str, wanted: impl Fn(&Health) -> bool) {
    bench.find(|report| match report {
        EngineReport::Node { node, health } if node == name && wanted(health) => Some(()),
        _ => None,
    });
}

/// A place whose `sbatch` is a script of ours; `$REAL` is Slurm's.
fn with_sbatch(cluster: &Cluster, script: &str) -> OnSlurm {
    let dir = cluster.dir.join("commands");
    fs::create_dir_all(&dir).expect("writable");
    for name in ["squeue", "scancel", "scontrol"] {
        let path = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
            .map(|folder| folder.join(name))
            .find(|path| path.is_file())
            .expect("Slurm is installed");
        fs::remove_file(dir.join(name)).ok();
        std::os::unix::fs::symlink(path, dir.join(name)).expect("a new name");
    }
    let path = dir.join("sbatch");
    let text = format!("#!/bin/sh\nDIR={}\nPATH=/usr/local/bin:/usr/bin:/bin\nexport PATH\n{script}\n", dir.display());
    fs::write(&path, text).expect("writable");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("ours");
    OnSlurm { commands: Some(dir.display().to_string()), ..OnSlurm::new(cluster) }
}

fn an_answer_that_got_lost(cluster: &mut Cluster) {
    let place = with_sbatch(
        cluster,
        "test -e $DIR/once && exec sbatch \"$@\"
touch $DIR/once
sbatch \"$@\" > /dev/null
echo 'sbatch: error: Batch job submission failed: Socket timed out on send/recv operation' >&2
exit 1",
    );
    let mut bench = Bench::new(&place);
    bench.start(1, "echo once >> count; sleep 1");
    assert_eq!(bench.ended(run(1)).outcome, Outcome::Completed);
    assert_eq!(bench.read("count"), "once\n");
    let told = count(&place.conf, &key(&bench, 1), "all");
    assert_eq!(told, 1, "it was looked up, not submitted again");
}

fn a_job_submitted_twice_starts_once(cluster: &mut Cluster) {
    // As when an answer got lost and the first request was only late.
    let place =
        with_sbatch(cluster, "script=$(cat); echo \"$script\" | sbatch \"$@\"; echo \"$script\" | sbatch \"$@\"");
    let mut bench = Bench::new(&place);
    bench.start(1, "echo once >> count; sleep 2; exit 4");
    assert_eq!(bench.ended(run(1)).outcome, Outcome::Failed { exit: 4, signal: 0 });
    let left = bench.within(Duration::from_secs(2));
    assert!(left.iter().all(|report| matches!(report, EngineReport::Started { .. })), "{left:?}");
    assert_eq!(bench.read("count"), "once\n");
}

fn a_partition_that_is_none(cluster: &mut Cluster) {
    let place = OnSlurm { partition: "nowhere".to_owned(), ..OnSlurm::new(cluster) };
    let mut bench = Bench::new(&place);
    bench.start(1, "true");
    let end = bench.ended(run(1));
    assert_eq!(end.outcome, Outcome::LaunchFailed);
    assert!(end.note.contains("nvalid partition"), "{end:?}");
    node(
        &mut bench,
        "n1",
        |health| matches!(health, Health::Drain { why } if why.contains("not in partition nowhere")),
    );
}

fn jobs_of_others_keep_a_node_out(cluster: &mut Cluster) {
    let place = OnSlurm::new(cluster);
    let mut bench = Bench::new(&place);
    node(&mut bench, "n2", |health| *health == Health::Up);
    let id = cluster.ask("sbatch", &["--parsable", "-w", "n2", "-o", "/dev/null", "--wrap", "sleep 300"]);
    node(&mut bench, "n2", |health| matches!(health, Health::Drain { why } if why.contains(id.trim())));
    cluster.ask("scancel", &[id.trim()]);
    node(&mut bench, "n2", |health| *health == Health::Up);
    cluster.ask("scontrol", &["update", "nodename=n3", "state=drain", "reason=bad fan"]);
    node(&mut bench, "n3", |health| matches!(health, Health::Drain { why } if why == "slurm: drained, bad fan"));
    cluster.ask("scontrol", &["update", "nodename=n3", "state=resume"]);
    node(&mut bench, "n3", |health| *health == Health::Up);
}

fn a_controller_killed_after_its_answer(cluster: &mut Cluster) {
    let place = OnSlurm::new(cluster);
    // At moments that leave the job unknown, forgotten while it runs, or pending again while it runs.
    // On a node each: Slurm gives job ids out twice then, which a node that knows one refuses.
    for (node, wait) in [("n1", 0), ("n2", 300), ("n3", 1500)] {
        let mut bench = Bench::new(&place);
        let mut order = bench.order(1, "echo begun >> starts; sleep 8; echo done >> starts");
        order.nodes[0].name = node.to_owned();
        bench.engine().start(order);
        let tag = key(&bench, 1);
        eventually(|| cluster.ask("squeue", &["-h", "-t", "all", "-o", "%j"]).contains(&tag).then_some(()));
        std::thread::sleep(Duration::from_millis(wait));
        cluster.kill_controller();
        std::thread::sleep(Duration::from_millis(500));
        cluster.start_controller();
        resume(cluster);
        let end = bench.ended(run(1));
        let starts = fs::read_to_string(bench.dir.join("starts")).unwrap_or_default();
        // Slurm may have killed what it had lost. Then that is a lost run, told once and never begun a second time.
        match end.outcome {
            Outcome::Completed => assert_eq!(starts, "begun\ndone\n", "{wait}"),
            Outcome::NodeFailed => assert_eq!(starts, "begun\n", "{wait}: {end:?}"),
            _ => panic!("{wait}: {end:?}"),
        }
        let left = bench.within(Duration::from_secs(2));
        assert!(left.iter().all(|report| matches!(report, EngineReport::Started { .. })), "{left:?}");
        println!("  killed {wait} ms after it was known: {end:?}");
    }
}

/// What drained a node before, or what a killed controller remembers of that, is over.
fn resume(cluster: &Cluster) {
    for node in ["nodename=n1", "nodename=n2", "nodename=n3"] {
        cluster.ask("scontrol", &["update", node, "state=resume"]);
    }
}

fn a_dead_controller_holds_no_end_up(cluster: &mut Cluster) {
    resume(cluster);
    let place = OnSlurm::new(cluster);
    let mut bench = Bench::new(&place);
    bench.start(1, "while ! test -e go; do sleep 0.02; done; exit 9");
    bench.start(2, "exec sleep 300");
    bench.started(run(1));
    bench.started(run(2));
    // Long enough for Slurm to have written down that they run.
    std::thread::sleep(Duration::from_secs(7));
    cluster.kill_controller();
    std::thread::sleep(Duration::from_secs(2));
    let since = Instant::now();
    bench.start(3, "echo once >> count");
    bench.write("go");
    assert_eq!(bench.ended(run(1)).outcome, Outcome::Failed { exit: 9, signal: 0 });
    bench.engine().stop(run(2), StopCause::Cancelled);
    assert_eq!(bench.ended(run(2)).outcome, Outcome::Cancelled);
    let took = since.elapsed();
    assert!(took < Duration::from_secs(8), "{took:?}: each call of a command waits nine seconds");
    cluster.start_controller();
    resume(cluster);
    assert_eq!(bench.ended(run(3)).outcome, Outcome::Completed);
    assert_eq!(bench.read("count"), "once\n");
}

fn a_lost_node_loses_its_runs(cluster: &mut Cluster) {
    let place = OnSlurm::new(cluster);
    let mut bench = Bench::new(&place);
    let mut order = bench.order(1, "echo $$ > pid; exec sleep 300");
    order.nodes[0].name = "n4".to_owned();
    bench.engine().start(order);
    bench.started(run(1));
    let pid: i32 = bench.line("pid").trim().parse().expect("a pid");
    cluster.kill_node(3);
    node(&mut bench, "n4", |health| matches!(health, Health::Down { .. }));
    // What the core then says. The run still lives, out of Slurm's reach, and reads it.
    bench.engine().stop(run(1), StopCause::NodeLost);
    assert_eq!(bench.ended(run(1)).outcome, Outcome::NodeFailed);
    assert!(!lives(pid));
    cluster.start_node(3);
    node(&mut bench, "n4", |health| *health == Health::Up);
}
