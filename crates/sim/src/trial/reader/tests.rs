//! Tiny files of every kind, and the public ones where they lie beside the repository.
use super::*;
use crate::trial::generate::summary;
use crate::trial::{Beside, Machine};
use std::path::Path;

/// Pods, one of which shares a GPU and one of which has none.
const PODS: &str =
    "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time
p0,12500,16384,1,460,,LS,Running,100,400,110
p1,6000,12288,0,0,,BE,Running,100,400,110
p2,6000,12288,8,1000,A|B,BE,Failed,90,150,
";
const INSTANCES: &str = "instance_sn,role,app_name,cpu_request,cpu_limit,gpu_request,gpu_limit,rdma_request,rdma_limit,memory_request,memory_limit,disk_request,disk_limit,max_instance_per_node,creation_time,scheduled_time,deletion_time
i0,HN,app_0,12,12,1,1,25,25,120.0,120.0,640.0,800.0,8,,,
i1,CN,app_0,12,12,0,0,25,25,120.0,120.0,640.0,800.0,8,,,
i2,HN,app_1,12,12,2,2,25,25,120.0,120.0,640.0,800.0,8,475.00000000000006,623.0,1000.5
";
const SPOT: &str = "job_name,organization,job_type,duration,gpu_request,cpu_request,worker_num,gpu_seconds,submit_time
371183,57,HP,342519.0,8.0,184.0,176,482266752.0,521463.0
1,3,Spot,60.0,0.5,4.0,1,30.0,521400.0
";
const SWF: &str = "; Computer: KTH SP2
1 10 0 100 12 -1 -1 12 200 -1 1 3 1 -1 -1 -1 -1 -1
2 11 0 300 1 -1 -1 -1 200 -1 0 4 2 -1 -1 -1 -1 -1
3 12 0 -1 1 -1 -1 1 200 -1 5 4 2 -1 -1 -1 -1 -1
4 13 0 50 1 -1 -1 1 -1 -1 1 4 2 -1 -1 -1 -1 -1
";

/// A workload in a line per job.
fn shown(workload: &Workload) -> String {
    let mut out = String::new();
    for job in &workload.jobs {
        let (owner, fails) = (&workload.owners[job.owner as usize].name, if job.fails { " fails" } else { "" });
        let (number, submit, nodes, gpus) = (job.number, job.submit.millis(), job.nodes, job.gpus);
        let (run, limit) = (job.runtime.millis(), job.limit.millis());
        let share = if job.share > 0 { format!("*0.{:03}", job.share) } else { String::new() };
        let beside = |beside: Beside| format!(" {}mCPU {}MiB", beside.cpu_milli, beside.memory_mib);
        let beside = job.beside.map(beside).unwrap_or_default();
        out += &format!(
            "{number} at {submit}: {nodes}x{gpus}{share}{beside} {run} of {limit} {owner} {:?}{fails}\n",
            job.qos
        );
    }
    out
}

#[test]
fn every_kind_is_known_by_its_columns() {
    let exact = Reading { limits: Limits::Exact, ..Reading::default() };
    let cases = [
        (
            PODS,
            "3 at 0: 1x8 6000mCPU 12288MiB 60000 of 60000 openb Low fails\n\
             1 at 10000: 1x1*0.460 12500mCPU 16384MiB 290000 of 290000 openb High\n\
             2 at 10000: 1x0 6000mCPU 12288MiB 290000 of 290000 openb Low\n",
        ),
        (INSTANCES, "1 at 0: 1x1 1000500 of 1000500 app_0 Normal\n3 at 475000: 1x2 377500 of 377500 app_1 Normal\n"),
        (SPOT, "2 at 0: 1x1*0.500 60000 of 60000 org-3 Low\n1 at 63000: 176x8 342519000 of 342519000 org-57 Normal\n"),
        (
            SWF,
            "1 at 0: 2x6 100000 of 200000 group-1 Normal\n2 at 1000: 1x1 200000 of 200000 group-2 Normal fails\n\
             4 at 3000: 1x1 50000 of 50000 group-2 Normal\n",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(shown(&read("file", text.as_bytes(), &exact).expect("it is well formed")), expected);
    }
}

#[test]
fn notes_say_what_was_left_out() {
    let notes =
        |text: &str| read("file", text.as_bytes(), &Reading::default()).expect("it is well formed").notes.join("\n");
    assert!(notes(PODS).contains("1 pods ask for a part of one GPU, 1 for none, each with its CPUs and memory"));
    assert!(notes(INSTANCES).contains("1 instances older than the trace come at its start, 1 that outlive it"));
    assert!(notes(SWF).contains("1 of 4 jobs are left out") && notes(SWF).contains("1 jobs ran longer"));
    assert!(notes(SWF).contains("1 jobs: Modelled: limits are"));
}

#[test]
fn owners_names_are_such_as_a_centre_takes() {
    let spelt = [spelt("app_0", 0), spelt("App 0", 1), spelt("", 2), spelt("-x", 3)];
    assert_eq!(spelt, ["app_0", "owner1-app-0", "owner2-", "owner3--x"]);
}

#[test]
fn node_lists_become_fabrics() {
    let openb = "sn,cpu_milli,memory_mib,gpu,model\nn0,64000,2048,2,P100\nn1,64000,2048,2,P100\nn2,96000,2048,8,G2\nn3,32000,1024,0,\nn4,64000,4096,2,P100\n";
    let spot = "gpu_model,gpu_capacity_num,cpu_num,node_name\nA10,1,128,0\nH800,8,192,1\nA10,1,128,2\n";
    let fabrics = |text: &str| {
        let machine = machine("file", text.as_bytes()).expect("it is well formed");
        let show = |fabric: &crate::trial::Fabric| format!("{} of {}", fabric.nodes, fabric.name);
        machine.fabrics.iter().map(show).collect::<Vec<_>>()
    };
    let expected = [
        "1 of G2 8x 96 CPUs 2 GiB",
        "2 of P100 2x 64 CPUs 2 GiB",
        "1 of P100 2x 64 CPUs 4 GiB",
        "1 of no GPU 32 CPUs 1 GiB",
    ];
    assert_eq!(fabrics(openb), expected);
    assert_eq!(fabrics(spot), ["1 of H800 8x 192 CPUs", "2 of A10 1x 128 CPUs"]);
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let swap = |text: &str, from: &str, to: &str| text.replacen(from, to, 1);
    let cases = [
        (String::new(), "f: line 1: not a trace that is known here, it begins with \"\""),
        ("a,b\n1,2\n".into(), "f: line 1: not a trace that is known here, it begins with \"a,b\""),
        (swap(PODS, ",1,460", ",x,460"), "f: line 2: num_gpu is x, expected a whole number from 0 to 64"),
        (swap(PODS, ",1,460", ",1,1460"), "f: line 2: gpu_milli is 1460, expected a whole number from 0 to 1000"),
        (
            swap(PODS, ",8,1000", ",8,500"),
            "f: line 4: gpu_milli is 500, expected 1000, since several GPUs are asked for whole",
        ),
        (swap(PODS, ",LS,", ",XX,"), "f: line 2: qos is XX, expected LS, BE, Burstable or Guaranteed"),
        (
            swap(PODS, "100,400,110", "100,50,110"),
            "f: line 2: deletion_time is 50, expected creation, scheduling and deletion in this order",
        ),
        (swap(PODS, "100,400,110", "100,,110"), "f: line 2: deletion_time is , expected a time in seconds"),
        (swap(INSTANCES, "623.0", "soon"), "f: line 4: scheduled_time is soon, expected a number that is not negative"),
        (swap(SPOT, ",0.5,", ",0.0,"), "f: line 3: gpu_request is 0.0, expected more than 0 GPUs, at most 64"),
        (swap(SPOT, "Spot", "Sport"), "f: line 3: job_type is Sport, expected HP or Spot"),
        (swap(SWF, "100 12", "100 twelve"), "f: line 2, column 12: allocated processors is not a number: \"twelve\""),
        (
            swap(SWF, "-1 12 200", "-1 99999999999 200"),
            "f: job 1: 99999999999 processors for 100 s are more than can be counted",
        ),
        ("; nothing\n".into(), "f: no job in it can be tried"),
        ("time,total_job_num,x\n".into(), "f: a cluster's state minute by minute, not jobs"),
        (
            "name,cpu_milli,memory_mib,num_gpu,gpu_milli\n".into(),
            "f: pods without times: nothing says when they come and how long they stay",
        ),
        ("sn,cpu_milli,memory_mib,gpu,model\n".into(), "f: a list of nodes, not jobs"),
    ];
    for (text, expected) in cases {
        let said = read("f", text.as_bytes(), &Reading::default()).map_err(|wrong| wrong.to_string());
        assert_eq!(said.err().as_deref(), Some(expected));
    }
    let damaged = read("f", &[0x1f, 0x8b, 8, 0], &Reading::default()).map_err(|wrong| wrong.fact);
    assert!(damaged.err().is_some_and(|fact| fact.starts_with("the gzip data is damaged")));
    let said = |text: &str| machine("f", text.as_bytes()).map_err(|wrong| wrong.to_string()).err();
    assert_eq!(said(SPOT).as_deref(), Some("f: jobs, not a list of nodes"));
    assert_eq!(
        said("sn,cpu_milli,memory_mib,gpu,model\nn,1,1,99,A\n").as_deref(),
        Some("f: line 2: gpu is 99, expected at most 64")
    );
}

/// A public file that lies beside or above the repository, or a line that says it is not there.
fn beside(file: &str) -> Option<Vec<u8>> {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let bytes = above.map(|folder| folder.join("shared/traces").join(file)).find_map(|path| std::fs::read(path).ok());
    if bytes.is_none() {
        println!("skipped: no shared/traces/{file} beside the repository");
    }
    bytes
}

#[test]
fn public_traces_are_read_whole() {
    let cases = [
        ("openb-2023/openb_pod_list_default.csv.gz", 8152, 1),
        ("dlrm-2025/disaggregated_DLRM_trace.csv.gz", 7386, 156),
        ("spot-2026/derived/heaviest_gpu_jobs_top200.csv", 200, 13),
        ("spot-2026/derived/longest_jobs_top200.csv", 200, 17),
        ("philly/philly_jobs_2017-09-04_2017-11-07.csv.gz", 56_720, 13),
        ("swf/DOST-ASTI_COARE-Saliksik-2020-cln.swf.gz", 19_760, 4),
        ("swf/wagap-2013.swf.gz", 17_898, 1),
        ("swf/KTH-SP2-1996_unfiltered.swf.gz", 28_481, 1),
    ];
    for (file, jobs, owners) in cases {
        let Some(bytes) = beside(file) else { continue };
        let workload = read(file, &bytes, &Reading::default()).expect("a public trace is well formed");
        assert_eq!((workload.jobs.len(), workload.owners.len()), (jobs, owners), "{file}");
        assert!(workload.jobs.iter().all(|job| job.runtime <= job.limit), "{file}");
        if workload.name == "Philly" {
            // docs/workloads.md puts this beside what the recipe comes to.
            assert_eq!(summary::gini(summary::by_owner(&workload)), 531);
        }
    }
    let gpus = |file| {
        beside(file)
            .map(|bytes| machine(file, &bytes).expect("a public list is well formed"))
            .as_ref()
            .map(Machine::gpus)
    };
    assert!([None, Some(6212)].contains(&gpus("openb-2023/openb_node_list_gpu_node.csv.gz")));
    assert!([None, Some(10_412)].contains(&gpus("spot-2026/node_info_df.csv.gz")));
}
