//! `madang simulate` as a user runs it, on a log small enough to work out by hand.
#![expect(clippy::expect_used, reason = "a test that cannot go on says why and stops")]
mod common;

use common::{Folder, text};

/// Four processors; the second job needs all of them, the third may go ahead of it, the fourth may not.
const LOG: &str = "; MaxProcs: 4
1 0 -1 10 -1 -1 -1 3 10 -1 1 7 -1 -1 -1 -1 -1 -1
2 1 -1 5 -1 -1 -1 4 5 -1 1 7 -1 -1 -1 -1 -1 -1
3 2 -1 4 -1 -1 -1 1 4 -1 1 8 -1 -1 -1 -1 -1 -1
4 2 -1 9 -1 -1 -1 1 9 -1 1 8 -1 -1 -1 -1 -1 -1
";

fn folder(name: &str) -> Folder {
    Folder::new("simulate", name, &[("in.swf", LOG)])
}

#[test]
fn policies_are_summed_up_and_written_out() {
    let folder = folder("sum");
    let out = folder.madang(&["in.swf", "--policy", "easy,fcfs", "--csv", "out.csv", "--swf", "out.swf"]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    assert_eq!(text(&out.stderr), "", "no progress where there is no terminal");
    let said = text(&out.stdout);
    assert!(said.starts_with("machine of interchangeable processors: 4; 4 jobs; one pass per event\n"), "{said}");
    // EASY starts them at 0, 10, 2 and 15; FCFS at 0, 10, 15 and 15.
    assert!(said.lines().any(|line| line.starts_with("easy ") && line.contains(" 5.500 ")), "{said}");
    assert!(said.lines().any(|line| line.starts_with("fcfs ") && line.contains(" 8.750 ")), "{said}");
    let csv = folder.read("out.csv");
    assert!(csv.starts_with("policy,job,submit,start,end,wait,run,estimate,procs\neasy,1,0,0,10,0,10,10,3\n"), "{csv}");
    assert!(csv.contains("\nfcfs,3,2,15,19,13,4,4,1\n"), "{csv}");
    let swf = folder.read("out.easy.swf");
    assert!(swf.contains("\n; MaxProcs: 4\n"), "{swf}");
    assert!(swf.ends_with("\n4 2 13 9 1 -1 -1 1 9 -1 1 8 -1 -1 -1 -1 -1 -1\n"), "{swf}");
    assert_eq!(folder.read("out.fcfs.swf").lines().count(), swf.lines().count());
}

#[test]
fn policies_stand_side_by_side_and_as_json() {
    let folder = folder("side");
    let out = folder.madang(&["in.swf", "--policy", "fcfs,easy", "--compare", "--pass", "instant"]);
    let said = text(&out.stdout);
    assert!(said.contains("FCFS") && said.contains("5.500 (-37.1%)"), "{said}");
    let json = text(&folder.madang(&["in.swf", "--json"]).stdout);
    assert!(json.contains("\"mean_wait_micros\": 5500000"), "{json}");
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let folder = folder("wrong");
    folder.write("bad.swf", "; a log\n1 0 x\n");
    folder.write("mute.swf", &LOG.replace("MaxProcs", "Note"));
    let said = |args: &[&str]| {
        let out = folder.madang(args);
        (out.status.code(), text(&out.stderr))
    };
    let bad = said(&["bad.swf"]);
    assert_eq!(bad, (Some(1), "error: bad.swf: line 2, column 5: wait is not a number: \"x\"\n".into()));
    let (exit, mute) = said(&["mute.swf"]);
    assert!(exit == Some(2) && mute.contains("hint: say it: --procs N"), "{mute}");
    let (exit, small) = said(&["in.swf", "--procs", "3"]);
    assert!(exit == Some(1) && small.contains("job 2 asks for 4 processors, the machine has 3"), "{small}");
}

/// Two owners on two nodes of eight; the second gang needs both nodes.
const PHILLY: &str = "timestamp,duration,num_gpus,gpu_time,cluster
2017-10-09 07:00:00,3600.0,8,28800.0,a
2017-10-09 07:00:10,1800.0,16,28800.0,b
2017-10-09 07:00:20,600.0,4,2400.0,a
2017-10-09 07:10:00,60.0,1,60.0,b
";

#[test]
fn gpu_traces_meet_nodes_and_leave_a_page() {
    let folder = folder("estate");
    folder.write("in.csv", PHILLY);
    folder.write("vc.csv", "vc,node num\na,1\nb,1\n");
    let args = ["in.csv", "--nodes", "2", "--owners", "vc.csv", "--limits", "exact", "--seeds", "2"];
    let out = ["--policy", "madang,fifo", "--report", "out.html", "--csv", "out.csv", "--swf", "out.swf"];
    let run = || folder.madang(&[&args[..], &out[..]].concat());
    let first = run();
    assert_eq!((first.status.code(), text(&first.stderr)), (Some(0), String::new()));
    let said = text(&first.stdout);
    assert!(said.starts_with("2 nodes of 8 GPUs in one island; 16 GPUs; 4 jobs; 2 seeds from 1"), "{said}");
    assert!(
        said.contains("everything is modelled") && said.contains("\nmadang ") && said.contains("\nfifo "),
        "{said}"
    );
    let csv = folder.read("out.csv");
    assert_eq!(csv.lines().count(), 1 + 2 * 2 * 4, "{csv}");
    // In order of submission the gang of both nodes waits an hour for the first, and all behind it wait for the gang.
    assert!(csv.contains("\nfifo,1,2,b,10,3600,5400,3590,1800,2,8,0,2.9944\n"), "{csv}");
    assert!(csv.contains("\nfifo,2,3,a,20,5400,6000,5380,600,1,4,0,9.9666\n"), "{csv}");
    let log = folder.read("out.fifo-2.swf");
    assert!(log.contains("; MaxProcs: 16\n") && log.contains("\n2 10 3590 1800 16 -1 -1 16 1800 -1 1 0 1 "), "{log}");
    let page = folder.read("out.html");
    assert!(page.contains("Modelled") && page.contains("<svg") && page.contains("madang simulate in.csv"), "{page}");
    assert!(!page.contains("http") && !page.contains("src="), "the page refers to nothing outside itself");
    run();
    assert_eq!(folder.read("out.html"), page, "the same bytes twice");
}

/// A whole GPU, two halves, and work without GPUs, on two nodes one of which has none.
const PODS: &str =
    "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time
p0,4000,4096,1,500,,LS,Running,0,100,0
p1,4500,4096,1,500,,LS,Running,0,100,0
p2,4000,4096,1,1000,,LS,Running,10,60,10
p3,2000,4096,0,0,,BE,Succeeded,20,90,20
";
const NODES: &str = "sn,cpu_milli,memory_mib,gpu,model\nn0,16000,65536,2,T4\nn1,2000,8192,0,\n";

#[test]
fn parts_of_gpus_are_counted_as_parts() {
    let folder = folder("parts");
    folder.write("pods.csv", PODS);
    folder.write("nodes.csv", NODES);
    let args =
        ["pods.csv", "--machine", "nodes.csv", "--limits", "exact", "--compare", "madang", "easy:depth=9", "kueue"];
    let out = folder.madang(&[&args[..], &["--csv", "out.csv", "--swf", "out.swf", "--report", "out.html"]].concat());
    assert_eq!((out.status.code(), text(&out.stderr)), (Some(0), String::new()));
    let said = text(&out.stdout);
    assert!(said.starts_with("Alibaba openb 2023; 2 GPUs; 4 jobs, 2 of them of a part of a GPU; seed 1"), "{said}");
    let (csv, log) = (folder.read("out.csv"), folder.read("out.easy:depth=9.swf"));
    for policy in ["madang", "easy:depth=9", "kueue"] {
        // The halves share a GPU, the whole one has the other: nobody waits.
        assert!(csv.contains(&format!("{policy},1,1,openb,0,0,100,0,100,1,0.5,0,1.0000\n")), "{csv}");
        assert!(csv.contains(&format!("{policy},1,3,openb,10,10,60,0,50,1,1,0,1.0000\n")), "{csv}");
        assert!(csv.contains(&format!("{policy},1,4,openb,20,20,90,0,70,1,0,0,1.0000\n")), "{csv}");
    }
    assert!(log.contains("a processor is a thousandth of a GPU") && log.contains("; MaxProcs: 2000\n"), "{log}");
    assert!(log.contains("\n1 0 0 100 500 -1 -1 500 100 ") && log.contains("\n3 10 0 50 1000 "), "{log}");
    assert!(folder.read("out.html").contains("2 jobs ask for a part of one GPU"));
    // Of twelve CPUs the halves leave too few for the whole one.
    folder.write("nodes.csv", &NODES.replace("16000", "12000"));
    let tight = folder.madang(&[
        "pods.csv",
        "--machine",
        "nodes.csv",
        "--limits",
        "exact",
        "--policy",
        "fifo",
        "--csv",
        "tight.csv",
    ]);
    assert_eq!(text(&tight.stderr), "");
    let tight = folder.read("tight.csv");
    assert!(tight.contains("fifo,1,3,openb,10,100,150,90,50,1,1,0,"), "{tight}");
}

#[test]
fn logs_and_recipes_meet_nodes_and_centres() {
    let folder = folder("sources");
    let json = |args: &[&str]| {
        let out = folder.madang(&[args, &["--json"]].concat());
        assert_eq!(text(&out.stderr), "", "{args:?}");
        serde_json::from_slice::<serde_json::Value>(&out.stdout).expect("the output is JSON")
    };
    let log = json(&["in.swf", "--nodes", "2", "--gpus-per-node", "2", "--compare", "madang", "easy"]);
    assert_eq!((&log["modelled"], &log["gpus"], &log["jobs"]), (&true.into(), &4.into(), &4.into()));
    assert_eq!(log["policies"][1]["policy"], "easy");
    let made = json(&["generate:philly", "--nodes", "2", "--days", "1", "--load", "50", "--seed", "7"]);
    assert_eq!((&made["policies"][0]["seeds"][0]["seed"], &made["nodes"]), (&7.into(), &2.into()));
    let centre = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../centres/korea-2025.toml");
    let centre = json(&["in.swf", "--centre", &centre.display().to_string()]);
    assert!(centre["gpus"].as_u64() > Some(1000), "{centre}");
}

#[test]
fn what_does_not_fit_together_is_said_with_its_mend() {
    let folder = folder("unfit");
    folder.write("in.csv", PHILLY);
    folder.write("odd.csv", "when,what\n1,2\n");
    let table: [(&[&str], i32, &str); 6] = [
        (&["in.csv", "--policy", "conservative"], 2, "hint: on nodes there are madang, fifo, easy, multifactor, kueue"),
        (&["in.csv", "--nodes", "1"], 1, "hint: a larger machine: --nodes N and --gpus-per-node G"),
        (&["in.csv", "--procs", "4"], 2, "hint: say which machine: --nodes N, or --centre FILE"),
        (&["in.swf", "--policy", "madang"], 2, "hint: say which machine: --nodes N, or --centre FILE"),
        (&["in.swf", "--report", "x.html"], 2, "hint: say which machine: --nodes N"),
        (&["generate:nothing"], 2, "hint: known are acme, helios"),
    ];
    for (args, exit, hint) in table {
        let out = folder.madang(args);
        assert_eq!(out.status.code(), Some(exit), "{args:?}: {}", text(&out.stderr));
        assert!(text(&out.stderr).contains(hint), "{args:?}: {}", text(&out.stderr));
    }
    let odd = text(&folder.madang(&["odd.csv"]).stderr);
    assert!(
        odd.contains("odd.csv: line 1: not a trace that is known here") && odd.contains("hint: known are"),
        "{odd}"
    );
}
