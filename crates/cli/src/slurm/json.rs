//! Slurm's JSON of jobs and nodes, as releases up to 22.05 shape it (strings and numbers, no `{set, number}` objects),
//! with every field that this centre knows.
use super::jobfields::{reason, start, tres_per_node};
use super::jobs::{self, TresOrder};
use madang_api::{JobView, NodeView, StateName};
use serde_json::{Value, json};

fn document(name: &str, items: Vec<Value>) -> String {
    let meta = json!({
        "plugin": { "type": "madang", "name": "Madang" },
        "Slurm": { "version": { "major": 22, "micro": 8, "minor": 5 }, "release": "22.05.8" },
    });
    let value = json!({ "meta": meta, "errors": [], name: items });
    let mut text = serde_json::to_string_pretty(&value).expect("plain data has a JSON form");
    text.push('\n');
    text
}

fn secs(ms: Option<u64>) -> u64 {
    ms.map_or(0, |ms| ms / 1000)
}

/// The raw status that `wait` would give.
fn wait_status(job: &JobView) -> i32 {
    (job.exit << 8) | job.signal
}

/// `squeue --json`.
pub fn jobs(list: &[JobView]) -> String {
    document("jobs", list.iter().map(job).collect())
}

fn job(job: &JobView) -> Value {
    let array = job.array.as_ref();
    let part = job.parts.first();
    let tres = jobs::tres(job, TresOrder::Fixed);
    let mut value = json!({
        "account": job.project,
        "accrue_time": secs(job.eligible_ms),
        "array_job_id": array.map_or(0, |array| array.job),
        "array_task_id": array.and_then(|array| array.task),
        "array_task_string": array.and_then(|array| array.tasks.clone()).unwrap_or_default(),
        "batch_flag": !job.cwd.is_empty(),
        "batch_host": super::jobfields::first_node(job).unwrap_or_default(),
        "cluster": job.site,
        "comment": job.comment,
        "cpus": job.cpus,
        "cpus_per_task": part.map(|part| part.cpus_per_task),
        "current_working_directory": job.cwd,
        "deadline": secs(job.deadline_ms),
        "dependency": job.dependency,
        "derived_exit_code": wait_status(job),
        "eligible_time": secs(job.eligible_ms),
        "end_time": secs(job.ends_ms),
        "exit_code": wait_status(job),
        "features": part.map_or(String::new(), |part| part.features.join("&")),
        "gres_detail": gres_detail(job),
        "job_id": job.id,
        "job_state": jobs::long(job.state),
        "licenses": "",
        "memory_per_node": job.memory_mib,
        "name": job.name,
        "nice": job.nice,
        "node_count": job.nodes,
        "nodes": job.node_list,
        "partition": job.partition,
        "qos": jobs::qos(job),
        "requeue": job.requeue,
    });
    let more = json!({
        "restart_cnt": job.attempts.saturating_sub(1),
        "standard_error": job.stderr,
        "standard_input": "/dev/null",
        "standard_output": job.stdout,
        "start_time": secs(start(job)),
        "state_description": job.reason_text,
        "state_reason": reason(job),
        "submit_time": secs(Some(job.submitted_ms)),
        "tasks": job.parts.iter().map(|part| part.tasks).sum::<u32>(),
        "time_limit": job.limit_secs.div_ceil(60),
        "time_minimum": job.limit_min_secs.map_or(0, |secs| secs.div_ceil(60)),
        "tres_alloc_str": if job.started_ms.is_some() { tres.clone() } else { String::new() },
        "tres_per_node": tres_per_node(job).unwrap_or_default(),
        "tres_req_str": tres,
        "user_id": jobs::uid(&job.user),
        "user_name": job.user,
    });
    if let (Value::Object(value), Value::Object(more)) = (&mut value, more) {
        value.extend(more);
    }
    value
}

/// `gpu:2(IDX:0-1)` for each node.
fn gres_detail(job: &JobView) -> Vec<String> {
    job.slots.iter().filter_map(|slot| super::jobs::slot_gres(job, slot)).collect()
}

/// `0-1,3`.
pub fn ranges(numbers: &[u32]) -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for &number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => runs.push((number, number)),
        }
    }
    let texts: Vec<String> = runs
        .iter()
        .map(|(first, last)| if first == last { first.to_string() } else { format!("{first}-{last}") })
        .collect();
    texts.join(",")
}

/// `sacct --json`.
pub fn accounts(list: &[JobView], now_ms: u64) -> String {
    let status = |job: &JobView| match (job.state, job.signal) {
        (StateName::Pending | StateName::Configuring | StateName::Running, _) => "PENDING",
        (_, 1..) => "SIGNALED",
        _ if job.exit == 0 => "SUCCESS",
        _ => "ERROR",
    };
    let one = |job: &JobView| {
        let array = job.array.as_ref();
        json!({
            "account": job.project,
            "allocation_nodes": job.nodes,
            "array": { "job_id": array.map_or(0, |array| array.job), "task_id": array.and_then(|array| array.task),
                       "task": array.and_then(|array| array.tasks.clone()) },
            "association": { "account": job.project, "cluster": job.site, "partition": null, "user": job.user },
            "cluster": job.site,
            "comment": { "administrator": null, "job": job.comment, "system": null },
            "exit_code": { "status": status(job), "return_code": job.exit,
                           "signal": { "signal_id": job.signal } },
            "derived_exit_code": { "status": status(job), "return_code": job.exit },
            "job_id": job.id,
            "name": job.name,
            "nodes": job.node_list,
            "partition": job.partition,
            "qos": jobs::qos(job),
            "required": { "CPUs": job.cpus, "memory": job.memory_mib },
            "state": { "current": super::sacct::state(job.state), "reason": reason(job) },
            "time": { "elapsed": jobs::elapsed(job, now_ms), "eligible": secs(job.eligible_ms),
                      "end": secs(job.ends_ms.filter(|_| job.state.is_over())), "start": secs(job.started_ms),
                      "submission": secs(Some(job.submitted_ms)), "suspended": 0,
                      "limit": job.limit_secs.div_ceil(60) },
            "user": job.user,
            "working_directory": job.cwd,
        })
    };
    document("jobs", list.iter().map(one).collect())
}

/// `sinfo --json`.
pub fn nodes(list: &[NodeView]) -> String {
    let one = |node: &NodeView| {
        json!({
            "name": node.name,
            "hostname": node.name,
            "address": node.name,
            "state": super::sinfo::base_state(node).to_lowercase(),
            "state_flags": if node.state.starts_with("DRAIN") { vec!["DRAIN"] } else { vec![] },
            "reason": node.reason,
            "partitions": node.partitions,
            "cpus": node.cpus,
            "alloc_cpus": node.cpus_busy,
            "idle_cpus": node.cpus.saturating_sub(node.cpus_busy),
            "real_memory": node.memory_mib,
            "alloc_memory": node.memory_busy_mib,
            "gres": super::sinfo::gres(node),
            "gres_used": super::sinfo::gres_used(node),
            "features": node.features.join(","),
            "active_features": node.features.join(","),
            "comment": if node.modelled { "modelled" } else if node.pretend { "pretend devices" } else { "" },
        })
    };
    document("nodes", list.iter().map(one).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_ranges() {
        for (devices, want) in [(&[][..], ""), (&[3], "3"), (&[0, 1], "0-1"), (&[0, 1, 3, 5, 6], "0-1,3,5-6")] {
            assert_eq!(ranges(devices), want);
        }
    }
}
