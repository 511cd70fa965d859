//! Real-life shapes of batch scripts, and what they come to: only compiled for tests.
use super::ask::Asked;
use super::options::SBATCH;
use super::sbatch::{Script, gather};
use super::submission::{self, NodeSize};

/// What a script's header and a command line come to, in one line.
fn submission_of(header: &str, line: &[&str]) -> String {
    let script = Script { name: "script".into(), text: format!("#!/bin/bash\n{header}\nrun\n"), args: Vec::new() };
    let args: Vec<String> = line.iter().map(|arg| (*arg).to_owned()).collect();
    let size = || Ok(NodeSize { cpus: 32, gpus: 8, max_limit_secs: 604_800 });
    let asked = super::ask::line_parts(SBATCH, &args)
        .map_err(|wrong| wrong.0)
        .and_then(|(parts, _)| gather(&script, &parts, false).map_err(|fail| fail.fact));
    let mut asked: Asked = match asked {
        Ok(asked) => asked,
        Err(error) => return error,
    };
    match submission::submit(&mut asked, &size) {
        Err(error) => error,
        Ok(submit) => {
            let mut value = serde_json::to_value(&submit).expect("plain data");
            let object = value.as_object_mut().expect("a record");
            object.retain(|name, value| !["qos", "nice"].contains(&name.as_str()) || (value != "normal" && value != 0));
            let ignored = asked.ignored.iter().map(|name| format!(" ~{name}")).collect::<String>();
            format!("{value}{ignored}").replace('"', "")
        }
    }
}

fn check(header: &str, line: &[&str], want: &str) {
    assert_eq!(submission_of(header, line), want, "{header} {line:?}");
}

#[test]
fn single_node_shapes() {
    check(
        "#SBATCH --job-name=tune\n#SBATCH --partition=gpu\n#SBATCH --gres=gpu:1\n#SBATCH --cpus-per-task=8\n\
         #SBATCH --mem=32G\n#SBATCH --time=02:00:00\nset -e\n#SBATCH --nodes=9",
        &[],
        "{limit_secs:7200,name:tune,partition:gpu,parts:[{cpus_per_task:8,gpus_per_node:1,memory_mib:32768,nodes:1}]}",
    );
    check(
        "#SBATCH -J ddp\n#SBATCH -N 1 --ntasks-per-node=1\n#SBATCH --gpus-per-node=8 --cpus-per-gpu=3\n\
         #SBATCH --mem=0 --exclusive\n#SBATCH -t 1-00:00:00",
        &[],
        "{limit_secs:86400,name:ddp,parts:[{cpus_per_node:24,exclusive:true,gpus_per_node:8,memory_mib:0,nodes:1,tasks_per_node:1}]}",
    );
    check(
        "#SBATCH --array=0-11%4\n#SBATCH --gres=gpu:h200:1 -c4\n#SBATCH --mem-per-cpu=4G",
        &[],
        "{array:0-11%4,parts:[{cpus_per_task:4,gpu_model:h200,gpus_per_node:1,memory_mib:16384,nodes:1}]}",
    );
    check(
        "#SBATCH --nodes=1 --gres=gpu:4 --requeue\n#SBATCH --signal=B:USR1@60\n#SBATCH --mail-type=END,FAIL --mail-user=a@b",
        &["--no-requeue"],
        "{parts:[{gpus_per_node:4,nodes:1}],requeue:false,warning:{before_secs:60,shell:true,signal:10}} ~mail-type ~mail-user",
    );
}

#[test]
fn shapes_over_several_nodes() {
    check(
        "#SBATCH --nodes=2\n#SBATCH --ntasks-per-node=1\n#SBATCH --gres=gpu:8\n#SBATCH --cpus-per-task=32 # all\n#SBATCH --open-mode=append",
        &[],
        "{parts:[{cpus_per_task:32,gpus_per_node:8,nodes:2,tasks_per_node:1}]}",
    );
    check(
        "#SBATCH --nodes=2 --ntasks-per-node=4\n#SBATCH --gpus-per-task=1 --cpus-per-task=4\n#SBATCH --gpu-bind=none --hint=nomultithread",
        &[],
        "{parts:[{cpus_per_task:4,gpus_per_node:4,nodes:2,tasks_per_node:4}]} ~hint",
    );
    check("#SBATCH -n 16 --gpus-per-task=1", &[], "{parts:[{gpus_per_node:8,nodes:2,tasks:16}]}");
    check("#SBATCH -G 12 -N 2", &[], "{parts:[{gpus_per_node:6,nodes:2}]}");
    check("#SBATCH -G 4", &[], "{parts:[{gpus_per_node:4,nodes:1}]}");
    check("#SBATCH -n 64 -c 2", &[], "{parts:[{cpus_per_task:2,nodes:4,tasks:64}]}");
    check(
        "#SBATCH -N2-4",
        &["-n", "4", "--mem-per-gpu=10G", "--gpus-per-node=2"],
        "{parts:[{gpus_per_node:2,memory_mib:20480,nodes:2,tasks:4}]}",
    );
    check(
        "#SBATCH -w n[1-2] -x n3,n4 -C 'a&b'",
        &[],
        "{exclude:[n3,n4],include:[n1,n2],parts:[{features:[a,b],nodes:2}]}",
    );
    check(
        "#SBATCH --dependency=singleton --exclude=n3 --nodes=2 --gpus-per-node=8 --time=UNLIMITED",
        &[],
        "{exclude:[n3],limit_secs:604800,parts:[{gpus_per_node:8,nodes:2}],singleton:true}",
    );
    check(
        "#SBATCH --account=lab --qos=normal\n#SBATCH --comment=\"project=alignment run=7\"\n#SBATCH --nodes=1 --ntasks=1 \
         --gpus=8 --cpus-per-task=16 --mem=64G\n#SBATCH hetjob\n#SBATCH --nodes=1 --ntasks=4 --cpus-per-task=2 --mem=8G",
        &[],
        "{comment:project=alignment run=7,parts:[{cpus_per_task:16,gpus_per_node:8,memory_mib:65536,nodes:1,tasks:1},\
         {cpus_per_task:2,memory_mib:8192,nodes:1,tasks:4}],project:lab}",
    );
}

#[test]
fn shapes_that_leave_a_choice() {
    check(
        "#SBATCH -p gpu,short --gres=gpu:h200|gb200:4 --time=1-00:00:00 --time-min=2:00:00",
        &[],
        "{limit_min_secs:7200,limit_secs:86400,partition:gpu,short,parts:[{gpu_model:h200|gb200,gpus_per_node:4,nodes:1}]}",
    );
    check(
        "#SBATCH -N 2 --gpus-per-node=h200|h100:8 --constraint=nvlink&[ib|roce]",
        &["--mixed"],
        "{parts:[{features:[nvlink,[ib|roce]],gpu_model:h200|h100,gpus_per_node:8,mixed:true,nodes:2}]}",
    );
    check(
        "#SBATCH -G 4 -C h200|h100 --checkpoint=90",
        &["--model", "h200,h100"],
        "{checkpoint_secs:5400,parts:[{features:[h200|h100],gpu_model:h200|h100,gpus_per_node:4,nodes:1}]}",
    );
    check(
        "#SBATCH --deadline=2030-01-01T00:00:00 --switches=1@2:00:00",
        &["--deadline=1970-01-02T00:00:00"],
        &format!(
            "{{deadline_ms:{},parts:[{{}}],topology:{{patience_secs:7200,preferred:leaf,required:leaf}}}}",
            crate::time::moment("1970-01-02T00:00:00", 0).expect("a moment")
        ),
    );
}

#[test]
fn parts_of_gpus() {
    check("#SBATCH --gres=shard:1", &[], "{parts:[{gpu_shards:1,nodes:1}]}");
    check("#SBATCH --gres=gpu:1g.18gb:1 -N 2", &[], "{parts:[{gpu_profile:1g.18gb,nodes:2}]}");
    check("#SBATCH --gpus=h200:0.25", &[], "{parts:[{gpu_milli:250,gpu_model:h200}]}");
    check("#SBATCH -G 4", &["--gpus=0.5"], "{parts:[{gpu_milli:500}]}");
    check("#SBATCH --gres=shard:1 -G 0.5", &[], "one part asks for different parts of a GPU");
}

#[test]
fn a_range_of_nodes_is_an_elastic_gang_where_more_of_them_do_more() {
    let part = "parts:[{gpus_per_node:8,nodes:4}]";
    check("#SBATCH --nodes=4-8 --gpus-per-node=8", &[], &format!("{{elastic:{{most_nodes:8}},{part}}}"));
    check(
        "#SBATCH --nodes=4-8 --gpus-per-node=8 --checkpoint=30",
        &["--elastic"],
        &format!("{{checkpoint_secs:1800,elastic:{{most_nodes:8,restart_secs:300}},{part}}}"),
    );
    check(
        "#SBATCH --nodes=4-8 --gpus-per-node=8 --elastic=2",
        &[],
        &format!("{{elastic:{{most_nodes:8,restart_secs:120}},{part}}}"),
    );
    check("#SBATCH -N 4-8 --gpus=32", &[], "{parts:[{gpus_per_node:8,nodes:4}]}");
    for (header, want) in [
        ("#SBATCH -N 4 --elastic", "--elastic needs fewest and most nodes, as in --nodes=4-8"),
        ("#SBATCH -N 4-8 --elastic=soon", "Invalid --elastic specification: soon"),
        (
            "#SBATCH -N 4-8 -n 8 --elastic",
            "--elastic does not go with nodes of a fixed number: --ntasks counts them over all nodes; give --ntasks-per-node",
        ),
    ] {
        check(header, &[], want);
    }
}

#[test]
fn the_command_line_wins() {
    check(
        "#SBATCH -t 10 -N 1 --mem=4G",
        &["-t", "20", "--mem-per-cpu=1G"],
        "{limit_secs:1200,parts:[{memory_mib:1024,nodes:1}]}",
    );
    check("#SBATCH --mem=4G --mem-per-cpu=1G", &[], "--mem, --mem-per-cpu, and --mem-per-gpu are mutually exclusive.");
    check(
        "#SBATCH -p gpu\n#SBATCH hetjob\n#SBATCH -p cpu",
        &[],
        "--partition must be the same for all parts of a heterogeneous job",
    );
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    for (header, want) in [
        ("#SBATCH -L matlab:1", "--licenses=matlab:1 is not supported: there are no licences here"),
        ("#SBATCH --frob", "unrecognized option '--frob'"),
        ("#SBATCH --nodes", "option '--nodes' requires an argument"),
        ("#SBATCH -N 1 stray", "Invalid directive found in batch script: stray"),
        ("#SBATCH --gres=gpu:a:1 -G b:2", "one part asks for GPUs of several types: a, b"),
        ("#SBATCH --gres=gpu:a:1 --model=b", "one part asks for GPUs of several types: a, b"),
        ("#SBATCH --time-min=UNLIMITED", "Invalid --time-min specification: UNLIMITED"),
        ("#SBATCH --deadline=soon", "Invalid --deadline specification: soon"),
        (
            "#SBATCH --switches=2@60",
            "--switches=2@60 is not supported: only one leaf is waited for; give --switches=1@TIME, or --switches=2 to take \
             as few as are free",
        ),
        ("#SBATCH --mem-per-gpu=1G", "--mem-per-gpu without GPUs"),
        ("#SBATCH --exclusive=foo", "Invalid --exclusive specification: foo"),
        ("#SBATCH --begin=xx", "Invalid --begin specification: xx"),
        (
            "#SBATCH --container-image=x",
            "--container-image=x is not supported: there is no container runtime here; run the image with your own tool in the script",
        ),
    ] {
        check(header, &[], want);
    }
}
