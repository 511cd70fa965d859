//! `madang placement` as a user runs it, on a cluster small enough to work out by hand.
#![expect(clippy::expect_used, reason = "a test that cannot go on says why and stops")]
mod common;

use common::{Folder, text};

/// One node is short of CPU, the other is not.
const NODES: &str = "sn,cpu_milli,memory_mib,gpu,model\na,2000,8192,2,G2\nb,8000,8192,2,T4\n";
const PODS: &str =
    "cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec\n1000,1024,1,1000,\n6000,1024,0,0,\n1000,1024,2,1000,T4\n";

fn folder(name: &str) -> Folder {
    Folder::new("placement", name, &[("nodes.csv", NODES), ("pods.csv", PODS)])
}

#[test]
fn policies_are_summed_up_and_written_out() {
    let folder = folder("sum");
    let out =
        folder.madang(&["nodes.csv", "pods.csv", "--policy", "fgd,worth,fgd", "--seeds", "2", "--csv", "out.csv"]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    assert_eq!(text(&out.stderr), "", "no progress where there is no terminal");
    let said = text(&out.stdout);
    let head = "modelled: 2 nodes, 4 GPUs; arrivals ask 130% of the GPUs; means of 2 runs from seed 42\n\n";
    assert!(said.starts_with(head), "{said}");
    assert_eq!(said.lines().filter(|line| line.starts_with("pods  ")).count(), 2, "a policy once: {said}");
    let csv = folder.read("out.csv");
    assert!(csv.starts_with("list,policy,seed,arrived_percent,allocated,fragmented,fragmented_of_idle\n"), "{csv}");
    assert!(csv.contains("\npods,worth,43,75,"), "{csv}");
    let out = folder.madang(&["nodes.csv", "pods.csv", "--compare", "--policy", "best-fit,worth"]);
    assert!(text(&out.stdout).contains("\nLIST  BEST-FIT  "), "{}", text(&out.stdout));
    let out = folder.madang(&["nodes.csv", "pods.csv", "--json", "--seeds", "1"]);
    let json: serde_json::Value = serde_json::from_slice(&out.stdout).expect("JSON");
    assert_eq!(json["gpus"], 4);
    assert_eq!(json["lists"][0]["policies"][2]["policy"], "worth");
}

#[test]
fn wrong_lists_are_named() {
    let folder = folder("wrong");
    let out = folder.madang(&["pods.csv", "nodes.csv"]);
    assert_eq!(out.status.code(), Some(2));
    let want = "error: pods.csv: line 1: the header has no column sn\n\
                hint: the columns needed are sn,cpu_milli,memory_mib,gpu,model\n";
    assert_eq!(text(&out.stderr), want);
    let out = folder.madang(&["nodes.csv", "none.csv"]);
    assert!(text(&out.stderr).starts_with("error: failed to read none.csv: "), "{}", text(&out.stderr));
}
