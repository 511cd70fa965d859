//! What a job sees: its environment, its files, its arguments.
use crate::bench::{Bench, options, run};
use expect_test::expect;
use madang_engine::{ArrayInfo, Engine, LocalEngine, NodeShare, Order, PartInfo};
use madang_model::{Outcome, RunId};
use std::path::PathBuf;

#[test]
fn output_is_emptied_or_appended_to() {
    let mut bench = Bench::new();
    for (number, append, want) in [(1, false, "1\n"), (2, true, "1\n2\n"), (3, false, "3\n")] {
        let mut order = bench.order(number, "echo $SLURM_JOB_ID");
        order.spec.stdout = Some("out".to_owned());
        order.spec.append = append;
        bench.engine().start(order);
        bench.ended(run(number));
        assert_eq!(bench.read("out"), want);
    }
}

#[test]
fn arguments_working_folder_mask_and_session() {
    let mut bench = Bench::new();
    let mut order =
        bench.order(1, "echo \"$0|$1|$2|$#\"; pwd -P; umask; ulimit -n; ps -o sid= -p $$ | tr -d ' '; echo $$");
    order.spec.args = vec!["a b".to_owned(), "$HOME".to_owned()];
    order.spec.umask = Some(0o077);
    bench.engine().start(order);
    assert_eq!(bench.ended(run(1)).outcome, Outcome::Completed);
    let text = bench.read("slurm-1.out");
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].ends_with("/runs/job-1.1.script|a b|$HOME|2"), "{text}");
    assert_eq!(lines[1], bench.dir.canonicalize().expect("it exists").display().to_string());
    assert_eq!(lines[2], "0077");
    assert_eq!(lines[4], lines[5], "a session of its own");
}

#[test]
fn no_descriptor_of_ours_reaches_a_job() {
    let mut bench = Bench::new();
    bench.start(1, "exec ls -l /proc/self/fd > fds");
    bench.ended(run(1));
    let fds: Vec<String> =
        bench.read("fds").lines().filter_map(|line| Some(line.split(" -> ").nth(1)?.to_owned())).collect();
    let foreign: Vec<&String> = fds.iter().filter(|fd| fd.contains("socket") || fd.contains("engine/")).collect();
    assert!(foreign.is_empty() && fds.len() <= 4, "{fds:?}");
}

#[test]
fn signals_have_their_default_effect() {
    let mut bench = Bench::new();
    bench.start(1, "grep -E '^Sig(Ign|Blk)' /proc/self/status");
    bench.ended(run(1));
    for line in bench.read("slurm-1.out").lines() {
        let (name, bits) = line.split_once(":\t").expect("two columns");
        let bits = u64::from_str_radix(bits, 16).expect("a mask");
        // Signals 32 and 33 belong to the C library, which sets them for nobody.
        assert_eq!(bits & !0x1_8000_0000, 0, "{name}");
    }
}

#[test]
fn a_long_folder_is_no_hindrance() {
    let long = crate::bench::fresh_dir();
    let mut bench = Bench::at(long.join("d".repeat(120)).join("e".repeat(120)), options());
    bench.start(1, "while ! test -e go; do sleep 0.02; done");
    bench.started(run(1));
    bench.reopen();
    bench.started(run(1));
    std::fs::write(bench.dir.join("go"), "").expect("writable");
    assert_eq!(bench.ended(run(1)).outcome, Outcome::Completed);
    drop(bench);
    std::fs::remove_dir_all(long).expect("it was made");
}

/// The job's own `env`, without what differs between machines.
fn variables(bench: &mut Bench, order: Order) -> String {
    let run: RunId = order.run;
    bench.engine().start(order);
    let end = bench.ended(run);
    assert_eq!(end.outcome, Outcome::Completed, "{end:?}");
    let dir = bench.dir.display().to_string();
    let shell = ["PATH=", "SHLVL=", "PWD=", "OLDPWD=", "_=", "HOME=", "USER=", "LOGNAME=", "SHELL="];
    let machine = ["SLURM_JOB_UID=", "SLURM_JOB_GID=", "SLURM_JOB_START_TIME=", "SLURM_JOB_END_TIME=", "MADANG_RUN="];
    let text = bench.read("env");
    let mut lines: Vec<String> = text
        .lines()
        .filter(|line| !shell.iter().chain(&machine).any(|start| line.starts_with(start)))
        .map(|line| line.replace(&dir, "DIR"))
        .collect();
    lines.sort();
    lines.join("\n")
}

#[test]
fn the_environment_of_a_small_job() {
    let mut bench = Bench::new();
    let mut order = bench.order(7, "env > env");
    for (name, value) in [
        ("LANG", "ko_KR.UTF-8"),
        ("SLURM_STEP_ID", "3"),
        ("SLURM_ARRAY_TASK_ID", "9"),
        ("SLURM_MEM_PER_CPU", "2000"),
        ("bad=name", "x"),
    ] {
        order.spec.env.push((name.to_owned(), value.to_owned()));
    }
    expect![[r#"
        CUDA_VISIBLE_DEVICES=
        ENVIRONMENT=BATCH
        GPU_DEVICE_ORDINAL=
        LANG=ko_KR.UTF-8
        MADANG_ALLOCATION={"run":{"job":7,"attempt":1},"nodes":[{"name":"here","part":0,"devices":[],"cpus":1,"memory_mib":4096,"model":null,"pretend":false}],"parts":[{"ntasks":null,"ntasks_per_node":null,"cpus_per_task":null}]}
        NVIDIA_VISIBLE_DEVICES=void
        ROCR_VISIBLE_DEVICES=
        SLURMD_NODENAME=here
        SLURM_CLUSTER_NAME=madang
        SLURM_CPUS_ON_NODE=1
        SLURM_GTIDS=0
        SLURM_JOBID=7
        SLURM_JOB_ACCOUNT=vision
        SLURM_JOB_CPUS_PER_NODE=1
        SLURM_JOB_ID=7
        SLURM_JOB_NAME=train
        SLURM_JOB_NODELIST=here
        SLURM_JOB_NUM_NODES=1
        SLURM_JOB_PARTITION=here
        SLURM_JOB_QOS=normal
        SLURM_JOB_USER=kim
        SLURM_LOCALID=0
        SLURM_MEM_PER_CPU=2000
        SLURM_NNODES=1
        SLURM_NODEID=0
        SLURM_NODELIST=here
        SLURM_PROCID=0
        SLURM_RESTART_COUNT=0
        SLURM_SUBMIT_DIR=DIR
        SLURM_SUBMIT_HOST=login1
        SLURM_TASKS_PER_NODE=1
        SLURM_TOPOLOGY_ADDR=here
        SLURM_TOPOLOGY_ADDR_PATTERN=node"#]]
    .assert_eq(&variables(&mut bench, order));
}

#[test]
fn a_share_of_a_device_comes_with_a_hint_for_mps() {
    let mut bench = Bench::new();
    let mut order = bench.order(14, "env > env");
    order.nodes[0].devices = vec![2];
    order.nodes[0].gpu_milli = 255;
    let got = variables(&mut bench, order);
    for line in ["CUDA_VISIBLE_DEVICES=2", "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE=26", "MADANG_GPU_MILLI=255"] {
        assert!(got.lines().any(|found| found == line), "{line} is missing of {got}");
    }
}

#[test]
fn the_environment_of_a_gang_of_parts_in_an_array() {
    let mut options = options();
    options.extra_env = vec![("MADANG_URL".to_owned(), "http://127.0.0.1:1".to_owned())];
    options.path_prefix = Some(PathBuf::from("/shims"));
    let mut bench = Bench::with(options);
    let mut order = bench.order(12, "env > env; case $PATH in /shims:*) ;; *) exit 1;; esac");
    let node = |name: &str, part, devices: &[u32]| NodeShare {
        name: name.to_owned(),
        part,
        devices: devices.to_vec(),
        gpu_milli: 0,
        cpus: 16,
        memory_mib: 0,
        model: Some("h200".to_owned()),
        pretend: true,
    };
    order.nodes = vec![node("here1", 0, &[0, 3]), node("here2", 0, &[1, 2]), node("here4", 1, &[])];
    order.parts = vec![
        PartInfo { ntasks: None, ntasks_per_node: Some(2), cpus_per_task: Some(8) },
        PartInfo { ntasks: Some(3), ntasks_per_node: None, cpus_per_task: None },
    ];
    order.array = Some(ArrayInfo { job: 10, task: 2, count: 3, min: 0, max: 2, step: 1 });
    order.restart_count = 1;
    order.comment = "second try".to_owned();
    expect![[r#"
        CUDA_VISIBLE_DEVICES=0,3
        ENVIRONMENT=BATCH
        GPU_DEVICE_ORDINAL=0,3
        MADANG_ALLOCATION={"run":{"job":12,"attempt":1},"nodes":[{"name":"here1","part":0,"devices":[0,3],"cpus":16,"memory_mib":0,"model":"h200","pretend":true},{"name":"here2","part":0,"devices":[1,2],"cpus":16,"memory_mib":0,"model":"h200","pretend":true},{"name":"here4","part":1,"devices":[],"cpus":16,"memory_mib":0,"model":"h200","pretend":true}],"parts":[{"ntasks":null,"ntasks_per_node":2,"cpus_per_task":8},{"ntasks":3,"ntasks_per_node":null,"cpus_per_task":null}]}
        MADANG_PRETEND_GPUS=1
        MADANG_URL=http://127.0.0.1:1
        NVIDIA_VISIBLE_DEVICES=0,3
        ROCR_VISIBLE_DEVICES=0,3
        SLURMD_NODENAME=here1
        SLURM_ARRAY_JOB_ID=10
        SLURM_ARRAY_TASK_COUNT=3
        SLURM_ARRAY_TASK_ID=2
        SLURM_ARRAY_TASK_MAX=2
        SLURM_ARRAY_TASK_MIN=0
        SLURM_ARRAY_TASK_STEP=1
        SLURM_CLUSTER_NAME=madang
        SLURM_CPUS_ON_NODE=16
        SLURM_CPUS_ON_NODE_HET_GROUP_0=16
        SLURM_CPUS_ON_NODE_HET_GROUP_1=16
        SLURM_CPUS_PER_TASK=8
        SLURM_CPUS_PER_TASK_HET_GROUP_0=8
        SLURM_GPUS_ON_NODE=2
        SLURM_GTIDS=0
        SLURM_HET_SIZE=2
        SLURM_JOBID=12
        SLURM_JOB_ACCOUNT=vision
        SLURM_JOB_COMMENT=second try
        SLURM_JOB_CPUS_PER_NODE=16(x2)
        SLURM_JOB_CPUS_PER_NODE_HET_GROUP_0=16(x2)
        SLURM_JOB_CPUS_PER_NODE_HET_GROUP_1=16
        SLURM_JOB_GPUS=0,3
        SLURM_JOB_ID=12
        SLURM_JOB_ID_HET_GROUP_0=12
        SLURM_JOB_ID_HET_GROUP_1=12
        SLURM_JOB_NAME=train
        SLURM_JOB_NODELIST=here[1-2]
        SLURM_JOB_NODELIST_HET_GROUP_0=here[1-2]
        SLURM_JOB_NODELIST_HET_GROUP_1=here4
        SLURM_JOB_NUM_NODES=2
        SLURM_JOB_NUM_NODES_HET_GROUP_0=2
        SLURM_JOB_NUM_NODES_HET_GROUP_1=1
        SLURM_JOB_PARTITION=here
        SLURM_JOB_QOS=normal
        SLURM_JOB_USER=kim
        SLURM_LOCALID=0
        SLURM_NNODES=2
        SLURM_NNODES_HET_GROUP_0=2
        SLURM_NNODES_HET_GROUP_1=1
        SLURM_NODEID=0
        SLURM_NODELIST=here[1-2]
        SLURM_NODELIST_HET_GROUP_0=here[1-2]
        SLURM_NODELIST_HET_GROUP_1=here4
        SLURM_NPROCS=4
        SLURM_NPROCS_HET_GROUP_0=4
        SLURM_NPROCS_HET_GROUP_1=3
        SLURM_NTASKS=4
        SLURM_NTASKS_HET_GROUP_0=4
        SLURM_NTASKS_HET_GROUP_1=3
        SLURM_NTASKS_PER_NODE=2
        SLURM_NTASKS_PER_NODE_HET_GROUP_0=2
        SLURM_PROCID=0
        SLURM_RESTART_COUNT=1
        SLURM_SUBMIT_DIR=DIR
        SLURM_SUBMIT_HOST=login1
        SLURM_TASKS_PER_NODE=2(x2)
        SLURM_TASKS_PER_NODE_HET_GROUP_0=2(x2)
        SLURM_TASKS_PER_NODE_HET_GROUP_1=3
        SLURM_TOPOLOGY_ADDR=here1
        SLURM_TOPOLOGY_ADDR_PATTERN=node"#]].assert_eq(&variables(&mut bench, order));
}

#[test]
fn dropping_an_engine_leaves_its_jobs() {
    let mut bench = Bench::new();
    bench.start(1, "sleep 0.3; echo done > done");
    bench.started(run(1));
    let engine: Option<LocalEngine> = bench.engine.take();
    drop(engine);
    assert_eq!(bench.line("done"), "done\n");
    bench.reopen();
    assert_eq!(bench.ended(run(1)).outcome, Outcome::Completed);
}
