//! What `scontrol show` prints: jobs, nodes and partitions, as blocks of lines or on one line each.
use super::format::mib;
use super::jobfields::{first_node, reason, start, tres_per_node};
use super::jobs::{self, TresOrder, elapsed, slot_gres};
use super::sinfo::{base_state, gres};
use crate::time::{local, long_length};
use madang_api::{JobView, NodeView, PartitionView};

/// Lines of a block joined as wanted.
fn block(lines: &[String], one_line: bool) -> String {
    if one_line { format!("{}\n", lines.join(" ")) } else { format!("{}\n\n", lines.join("\n   ")) }
}

fn null(text: &str) -> &str {
    if text.is_empty() { "(null)" } else { text }
}

fn moment(ms: Option<u64>) -> String {
    ms.map_or("Unknown".to_owned(), local)
}

/// `scontrol show job`.
pub fn job(job: &JobView, now_ms: u64, one_line: bool, detail: bool) -> String {
    let uid = jobs::uid(&job.user);
    let mut lines = vec![
        format!("{}JobName={}", identity(job), job.name),
        format!("UserId={}({uid}) GroupId={}({uid}) MCS_label=N/A", job.user, job.user),
        format!("Priority=0 Nice={} Account={} QOS={}", job.nice, job.project, jobs::qos(job)),
        format!("JobState={} Reason={} Dependency={}", jobs::long(job.state), reason(job), null(&job.dependency)),
        format!(
            "Requeue={} Restarts={} BatchFlag={} Reboot=0 ExitCode={}:{}",
            u8::from(job.requeue),
            job.attempts.saturating_sub(1),
            u8::from(!job.cwd.is_empty()),
            job.exit,
            job.signal
        ),
        format!(
            "RunTime={} TimeLimit={} TimeMin={}",
            long_length(elapsed(job, now_ms)),
            long_length(job.limit_secs),
            job.limit_min_secs.map_or("N/A".to_owned(), long_length)
        ),
        format!("SubmitTime={} EligibleTime={}", local(job.submitted_ms), moment(job.eligible_ms)),
        format!("AccrueTime={}", moment(job.eligible_ms)),
        format!(
            "StartTime={} EndTime={} Deadline={}",
            moment(start(job)),
            moment(end(job)),
            job.deadline_ms.map_or("N/A".to_owned(), local)
        ),
        format!("Partition={} AllocNode:Sid={}:0", job.partition, job.site.as_deref().unwrap_or("none")),
        "ReqNodeList=(null) ExcNodeList=(null)".to_owned(),
        format!("NodeList={}", job.node_list),
    ];
    lines.extend(first_node(job).map(|node| format!("BatchHost={node}")));
    lines.extend(resources(job));
    lines.extend(size(job));
    if detail {
        lines.extend(job.slots.iter().map(|slot| {
            let gpus = slot_gres(job, slot).unwrap_or_default();
            format!("  Nodes={} CPUs={} Mem={} GRES={gpus}", slot.node, slot.cpus, slot.memory_mib)
        }));
    }
    lines.extend(files(job));
    block(&lines, one_line)
}

/// How its size may differ and did: a line of our own.
fn size(job: &JobView) -> Option<String> {
    let size = job.elastic.as_ref()?;
    let restart = size.restart_secs.map_or("at its start".to_owned(), |secs| {
        format!("at its start and at checkpoints, starting again costs {}", long_length(secs))
    });
    let range = match size.most_nodes > size.least_nodes {
        true => format!("Elastic={}-{} nodes, chosen {restart}", size.least_nodes, size.most_nodes),
        false => format!("Elastic={} nodes", size.least_nodes),
    };
    let resized = match (size.resized, size.from_nodes) {
        (0, _) => String::new(),
        (times, from) => format!(" Resized={times} (the run before had {from} nodes)"),
    };
    let kept = match size.kept_secs {
        0 => String::new(),
        secs => format!(" Kept={} of its limit, up to the last checkpoints of earlier runs", long_length(secs)),
    };
    Some(format!("{range}{resized}{kept}"))
}

fn identity(job: &JobView) -> String {
    match &job.array {
        None => format!("JobId={} ", job.id),
        Some(array) => {
            let task = array.task.map(|task| task.to_string()).or_else(|| array.tasks.clone()).unwrap_or_default();
            let throttle = task.split_once('%').map_or(String::new(), |(_, most)| format!("ArrayTaskThrottle={most} "));
            format!("JobId={} ArrayJobId={} ArrayTaskId={task} {throttle}", job.id, array.job)
        }
    }
}

/// The end by its limit, or the real one; a job that waits has one only with a promise.
fn end(job: &JobView) -> Option<u64> {
    job.ends_ms.or_else(|| job.promised_ms.map(|at| at + job.limit_secs * 1000))
}

fn resources(job: &JobView) -> Vec<String> {
    let tasks: u32 = job.parts.iter().map(|part| part.tasks).sum();
    let first = job.parts.first();
    let per_task = first.map_or(1, |part| part.cpus_per_task);
    let whole = job.parts.iter().any(|part| part.exclusive);
    let features = first.map_or(String::new(), |part| part.features.join("&"));
    vec![
        format!("NumNodes={} NumCPUs={} NumTasks={tasks} CPUs/Task={per_task} ReqB:S:C:T=0:0:*:*", job.nodes, job.cpus),
        format!("TRES={}", jobs::tres(job, TresOrder::Fixed)),
        "Socks/Node=* NtasksPerN:B:S:C=0:0:*:* CoreSpec=*".to_owned(),
        format!(
            "MinCPUsNode={} MinMemoryNode={} MinTmpDiskNode=0",
            first.map_or(1, |part| part.cpus),
            mib(job.memory_mib)
        ),
        format!("Features={} DelayBoot=00:00:00", null(&features)),
        format!("OverSubscribe={} Contiguous=0 Licenses=(null) Network=(null)", if whole { "NO" } else { "OK" }),
    ]
}

fn files(job: &JobView) -> Vec<String> {
    let mut lines = vec!["Command=(null)".to_owned(), format!("WorkDir={}", job.cwd)];
    if !job.comment.is_empty() {
        lines.push(format!("Comment={} ", job.comment));
    }
    if !job.reservation.is_empty() {
        lines.push(format!("Reservation={}", job.reservation));
    }
    lines.push(format!("StdErr={}", job.stderr));
    lines.push("StdIn=/dev/null".to_owned());
    lines.push(format!("StdOut={}", job.stdout));
    lines.push("Power=".to_owned());
    lines.extend(tres_per_node(job).map(|gres| format!("TresPerNode={gres}")));
    lines
}

/// `scontrol show node`.
pub fn node(node: &NodeView, one_line: bool) -> String {
    let features = node.features.join(",");
    let drained = if node.state.starts_with("DRAIN") { "+DRAIN" } else { "" };
    let memory = |mib_held: u64| if mib_held > 0 { format!(",mem={}", mib(mib_held)) } else { String::new() };
    let gpus = |count: u32| if count > 0 { format!(",gres/gpu={count}") } else { String::new() };
    let mut lines = vec![
        format!("NodeName={} CoresPerSocket={} ", node.name, node.cpus),
        format!("CPUAlloc={} CPUEfctv={} CPUTot={}", node.cpus_busy, node.cpus, node.cpus),
        format!("AvailableFeatures={}", null(&features)),
        format!("ActiveFeatures={}", null(&features)),
        format!("Gres={}", gres(node)),
        format!("NodeAddr={} NodeHostName={}", node.name, node.name),
        format!(
            "RealMemory={} AllocMem={} FreeMem={} Sockets=1 Boards=1",
            node.memory_mib,
            node.memory_busy_mib,
            node.memory_mib.saturating_sub(node.memory_busy_mib)
        ),
        format!("State={}{drained} ThreadsPerCore=1 TmpDisk=0 Weight=1 Owner=N/A MCS_label=N/A", base_state(node)),
        format!("Partitions={} ", node.partitions.join(",")),
        format!("CfgTRES=cpu={}{},billing={}{}", node.cpus, memory(node.memory_mib), node.cpus, gpus(node.gpus)),
    ];
    lines.push(match node.cpus_busy {
        0 => "AllocTRES=".to_owned(),
        busy => {
            format!("AllocTRES=cpu={busy}{}{}", memory(node.memory_busy_mib), gpus(node.gpus_busy_mask.count_ones()))
        }
    });
    if node.pretend || node.modelled {
        lines.push(format!("Comment={}", if node.modelled { "modelled" } else { "pretend devices" }));
    }
    if !node.reason.is_empty() {
        lines.push(format!("Reason={}", node.reason));
    }
    block(&lines, one_line)
}

/// `scontrol show partition`.
pub fn partition(partition: &PartitionView, nodes: &[NodeView], one_line: bool) -> String {
    let mine = nodes.iter().filter(|node| node.partitions.contains(&partition.name));
    let names: Vec<String> = mine.map(|node| node.name.clone()).collect();
    let default = if partition.is_default { "YES" } else { "NO" };
    let gpus = if partition.gpus > 0 { format!(",gres/gpu={}", partition.gpus) } else { String::new() };
    let lines = [
        format!("PartitionName={}", partition.name),
        "AllowGroups=ALL AllowAccounts=ALL AllowQos=ALL".to_owned(),
        format!("AllocNodes=ALL Default={default} QoS=N/A"),
        format!(
            "DefaultTime={} DisableRootJobs=NO ExclusiveUser=NO GraceTime=0 Hidden=NO",
            long_length(partition.default_limit_secs)
        ),
        format!(
            "MaxNodes=UNLIMITED MaxTime={} MinNodes=0 LLN=NO MaxCPUsPerNode=UNLIMITED",
            long_length(partition.max_limit_secs)
        ),
        format!("Nodes={}", madang_engine::hostlist::compress(&names)),
        "PriorityJobFactor=1 PriorityTier=1 RootOnly=NO ReqResv=NO OverSubscribe=NO".to_owned(),
        format!("State=UP TotalCPUs={} TotalNodes={} SelectTypeParameters=NONE", partition.cpus, partition.nodes),
        format!("TRES=cpu={},node={},billing={}{gpus}", partition.cpus, partition.nodes, partition.cpus),
    ];
    block(&lines, one_line)
}
