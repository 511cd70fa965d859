//! `scontrol`: show, create, delete, hold, release, requeue, update, ping. What it cannot do here it refuses by name.
use super::options::{Arg, Operands, Opt, SBATCH, opt, parse};
use super::{reservations, show, topology, values};
use crate::client::{Client, escape};
use crate::fail::{Fail, print};
use crate::time::{self, Limit, now_ms};
use madang_api::{Alter, Changed, DrainSpec, JobView, NodeView, PartitionView, QosName};
use madang_engine::hostlist;
use std::collections::BTreeSet;

const TABLE: &[Opt] = &[
    opt("all", 'a', Arg::No),
    opt("clusters", 'M', Arg::Needed).refused("this is one centre"),
    opt("details", 'd', Arg::No),
    opt("help", 'h', Arg::No),
    opt("hide", '\0', Arg::No),
    opt("json", '\0', Arg::Maybe),
    opt("oneliner", 'o', Arg::No),
    opt("quiet", 'Q', Arg::No),
    opt("usage", '\0', Arg::No),
    opt("verbose", 'v', Arg::No),
    opt("version", 'V', Arg::No),
];

/// Runs the command.
pub fn run(args: &[String]) -> Result<u8, Fail> {
    let parsed = parse(TABLE, SBATCH, args, Operands::Mix)?;
    if let Some(exit) = super::about("scontrol", TABLE, SBATCH, &parsed.given) {
        return Ok(exit);
    }
    super::refuse(TABLE, &parsed)?;
    let words: Vec<&str> = parsed.operands.iter().map(String::as_str).collect();
    let Some((verb, rest)) = words.split_first() else { return Err(Fail::new("too few arguments for keyword:")) };
    let shape = Shape { one_line: parsed.has("oneliner"), detail: parsed.has("details"), json: parsed.has("json") };
    match verb.to_ascii_lowercase().as_str() {
        "show" | "sho" | "sh" => show_entity(&shape, rest),
        "hold" | "uhold" => each(rest, |client, id| change(client, id, "hold")),
        "release" => each(rest, |client, id| change(client, id, "release")),
        "requeue" => each(rest, |client, id| change(client, id, "requeue")),
        "requeuehold" => each(rest, |client, id| {
            change(client, id, "requeue")?;
            change(client, id, "hold")
        }),
        "create" => match rest.split_first() {
            Some((entity, words)) if entity.eq_ignore_ascii_case("reservation") => reservations::create(words),
            Some((entity, _)) if entity.to_ascii_lowercase().starts_with("reservation") => reservations::create(rest),
            _ => Err(Fail::new("only reservations are created here: scontrol create reservation ...")),
        },
        "delete" => reservations::delete(rest),
        "update" => update(rest),
        "ping" => ping(),
        "version" => {
            print(&format!("{}\n", super::VERSION));
            Ok(0)
        }
        "suspend" | "resume" => Err(Fail::new(format!("{verb} is not supported: a job here runs or waits"))),
        verb => Err(Fail::new(format!("invalid keyword: {verb}"))),
    }
}

struct Shape {
    one_line: bool,
    detail: bool,
    json: bool,
}

fn show_entity(shape: &Shape, words: &[&str]) -> Result<u8, Fail> {
    // `show job 12`, `show job=12`.
    let words: Vec<&str> = words.iter().flat_map(|word| word.splitn(2, '=')).collect();
    let Some((entity, rest)) = words.split_first() else { return Err(Fail::new("too few arguments for keyword:show")) };
    let name = rest.first().copied();
    match entity.to_ascii_lowercase().as_str() {
        "hostnames" | "hostname" => {
            let variable = std::env::var("SLURM_JOB_NODELIST").or_else(|_| std::env::var("SLURM_NODELIST")).ok();
            let text = match (name, &variable) {
                (Some(name), _) if !name.is_empty() => name,
                (None, Some(variable)) if !variable.is_empty() => variable,
                _ => return Err(Fail::new("host list is empty")),
            };
            let names = hostlist::expand(text).map_err(|error| error.to_string())?;
            print(&names.iter().map(|name| format!("{name}\n")).collect::<String>());
            Ok(0)
        }
        "hostlist" | "hostlistsorted" => {
            let text = rest.join(",");
            let mut names = hostlist::expand(&text).map_err(|error| error.to_string())?;
            let mut seen = BTreeSet::new();
            names.retain(|name| seen.insert(name.clone()));
            print(&format!("{}\n", hostlist::compress(&names)));
            Ok(0)
        }
        "job" | "jobs" | "jobid" => show_jobs(shape, name),
        "node" | "nodes" => show_nodes(shape, name),
        "partition" | "partitions" | "part" | "partitionname" => show_partitions(shape, name),
        "topology" | "topo" => show_topology(name),
        "reservation" | "reservations" | "reservationname" | "res" => reservations::show(name, shape.one_line),
        "config" => config(),
        entity => Err(Fail::new(format!("invalid entity:{entity} for keyword:show"))),
    }
}

fn show_jobs(shape: &Shape, id: Option<&str>) -> Result<u8, Fail> {
    let client = Client::find(&Default::default())?;
    let query = match id {
        None => "state=active".to_owned(),
        Some(id) => {
            let ids = values::job_ids(id).ok_or_else(|| Fail::new("Invalid job id specified"))?;
            format!("state=all&ids={}", escape(&ids.join(",")))
        }
    };
    let found: Vec<JobView> = client.list(&format!("/jobs?full=true&{query}"))?;
    if found.is_empty() && id.is_some() {
        return Err(Fail::new("Invalid job id specified"));
    }
    if shape.json {
        print(&super::json::jobs(&found));
        return Ok(0);
    }
    if found.is_empty() {
        print("No jobs in the system\n");
    }
    let now = now_ms();
    print(&found.iter().map(|job| show::job(job, now, shape.one_line, shape.detail)).collect::<String>());
    Ok(0)
}

fn show_nodes(shape: &Shape, names: Option<&str>) -> Result<u8, Fail> {
    let client = Client::find(&Default::default())?;
    let query = match names {
        None => String::new(),
        Some(text) => {
            let names = hostlist::expand(text).map_err(|error| error.to_string())?;
            format!("?names={}", escape(&names.join(",")))
        }
    };
    let found: Vec<NodeView> = client.list(&format!("/nodes{query}"))?;
    for name in names.and_then(|text| hostlist::expand(text).ok()).unwrap_or_default() {
        if !found.iter().any(|node| node.name == name) {
            print(&format!("Node {name} not found\n"));
            return Ok(1);
        }
    }
    if shape.json {
        print(&super::json::nodes(&found));
        return Ok(0);
    }
    print(&found.iter().map(|node| show::node(node, shape.one_line)).collect::<String>());
    Ok(0)
}

/// The whole tree, or the switches above one node or of one name.
fn show_topology(name: Option<&str>) -> Result<u8, Fail> {
    let client = Client::find(&Default::default())?;
    let nodes: Vec<NodeView> = client.list("/nodes")?;
    let name = name.map(|name| name.rsplit('=').next().unwrap_or(name));
    let tree = topology::show(&nodes);
    let above = |name: &str, line: &&str| {
        let field = |key: &str| line.split(' ').find_map(|word| word.strip_prefix(key)).unwrap_or("");
        let listed = hostlist::expand(field("Nodes=")).unwrap_or_default();
        field("SwitchName=") == name || listed.iter().any(|node| node == name)
    };
    let lines: Vec<&str> = tree.lines().filter(|line| name.is_none_or(|name| above(name, line))).collect();
    if let (true, Some(name)) = (lines.is_empty(), name) {
        print(&format!("Switch or node {name} not found\n"));
        return Ok(1);
    }
    print(&lines.iter().map(|line| format!("{line}\n")).collect::<String>());
    Ok(0)
}

fn show_partitions(shape: &Shape, name: Option<&str>) -> Result<u8, Fail> {
    let client = Client::find(&Default::default())?;
    let mut found: Vec<PartitionView> = client.list("/partitions")?;
    found.retain(|partition| name.is_none_or(|name| partition.name == name));
    if let (true, Some(name)) = (found.is_empty(), name) {
        print(&format!("Partition {name} not found\n"));
        return Ok(1);
    }
    let nodes: Vec<NodeView> = client.list("/nodes")?;
    print(&found.iter().map(|partition| show::partition(partition, &nodes, shape.one_line)).collect::<String>());
    Ok(0)
}

fn config() -> Result<u8, Fail> {
    let client = Client::find(&Default::default())?;
    let overview: madang_api::Overview = client.get("/overview")?;
    print(&format!(
        "Configuration data as of {}\nClusterName             = {}\nSLURM_VERSION           = 22.05.8\n\
         MadangVersion           = {}\nControlMachine          = {}\n",
        time::local(now_ms()),
        overview.name,
        overview.version,
        client.url()
    ));
    Ok(0)
}

fn ping() -> Result<u8, Fail> {
    let client = Client::find(&Default::default())?;
    let up = client.get::<serde_json::Value>("/me").is_ok();
    print(&format!("Slurmctld(primary) at {} is {}\n", client.url(), if up { "UP" } else { "DOWN" }));
    Ok(u8::from(!up))
}

/// Does something to every job of a list; goes on after a failure and ends with exit code 1.
fn each(words: &[&str], act: impl Fn(&Client, &str) -> Result<(), Fail>) -> Result<u8, Fail> {
    let items: Vec<String> = words.iter().flat_map(|word| values::split_ids(word)).collect();
    let mut ids = Vec::new();
    for item in &items {
        let item = item.strip_prefix("jobid=").or_else(|| item.strip_prefix("JobId=")).unwrap_or(item);
        ids.extend(values::job_ids(item).ok_or_else(|| Fail::new(format!("Invalid job id specified for job {item}")))?);
    }
    if ids.is_empty() {
        return Err(Fail::new("too few arguments for keyword"));
    }
    let client = Client::find(&Default::default())?;
    let mut exit = 0;
    for id in ids {
        if let Err(fail) = act(&client, &id) {
            if fail.exit != 1 {
                return Err(fail);
            }
            let text = if fail.is("not_found") { "Invalid job id specified".to_owned() } else { fail.fact };
            eprintln!("{text} for job {id}");
            exit = 1;
        }
    }
    Ok(exit)
}

fn change(client: &Client, id: &str, verb: &str) -> Result<(), Fail> {
    let _: Changed = client.ask(&format!("/jobs/{id}/{verb}"))?;
    Ok(())
}

/// `update JobId=12 TimeLimit=30`, `update NodeName=n1 State=DRAIN Reason="bad fan"`.
fn update(words: &[&str]) -> Result<u8, Fail> {
    let mut pairs = Vec::new();
    for word in words {
        let Some((name, value)) = word.split_once('=') else {
            return Err(Fail::new(format!("Invalid input: {word}")));
        };
        pairs.push((name.to_ascii_lowercase(), value));
    }
    let of = |name: &str| pairs.iter().find(|(known, _)| known == name).map(|(_, value)| *value);
    if let Some(names) = of("nodename") {
        return update_node(names, &pairs);
    }
    let Some(ids) = of("jobid").or_else(|| of("job")) else {
        return Err(Fail::new("No valid entity in update command\nInput line must include \"NodeName\" or \"JobId\""));
    };
    each(&[ids], |client, id| update_job(client, id, &pairs))
}

fn update_job(client: &Client, id: &str, pairs: &[(String, &str)]) -> Result<(), Fail> {
    let mut alter = Alter::default();
    for (name, value) in pairs {
        match name.as_str() {
            "jobid" | "job" => {}
            "timelimit" => alter.limit_secs = Some(new_limit(client, id, value)?),
            "qos" => {
                alter.qos = Some(match value.to_ascii_lowercase().as_str() {
                    "low" => QosName::Low,
                    "normal" => QosName::Normal,
                    "high" => QosName::High,
                    _ => return Err(Fail::new("Invalid qos specification")),
                });
            }
            "nice" => alter.nice = Some(value.parse().map_err(|_| Fail::new(format!("Invalid Nice value: {value}")))?),
            "jobname" | "name" => alter.name = Some((*value).to_owned()),
            "comment" => alter.comment = Some((*value).to_owned()),
            name => return Err(Fail::new(format!("Update of this parameter is not supported: {name}"))),
        }
    }
    let _: Changed = client.patch(&format!("/jobs/{id}"), &alter)?;
    Ok(())
}

/// `30`, `+10`, `-5`, `1:00:00`.
fn new_limit(client: &Client, id: &str, text: &str) -> Result<u64, Fail> {
    let wrong = || Fail::new(format!("Invalid TimeLimit value: {text}"));
    let (sign, rest) = match text.as_bytes().first() {
        Some(b'+') => (1, &text[1..]),
        Some(b'-') if text != "-1" => (-1, &text[1..]),
        _ => (0, text),
    };
    let secs = match time::limit(rest).ok_or_else(wrong)? {
        Limit::Secs(secs) => secs,
        Limit::Longest => {
            let job: JobView = client.get(&format!("/jobs/{id}"))?;
            let partitions: Vec<PartitionView> = client.list("/partitions")?;
            // Of several partitions all must allow it.
            let mine = partitions.iter().filter(|one| job.partition.split(',').any(|name| name == one.name));
            return Ok(mine.map(|one| one.max_limit_secs).min().unwrap_or(job.limit_secs));
        }
    };
    if sign == 0 {
        return Ok(secs);
    }
    let job: JobView = client.get(&format!("/jobs/{id}"))?;
    if sign > 0 {
        Ok(job.limit_secs + secs)
    } else {
        job.limit_secs.checked_sub(secs).filter(|secs| *secs > 0).ok_or_else(wrong)
    }
}

fn update_node(names: &str, pairs: &[(String, &str)]) -> Result<u8, Fail> {
    let names = hostlist::expand(names).map_err(|error| error.to_string())?;
    let (mut state, mut reason) = (None, None);
    for (name, value) in pairs {
        match name.as_str() {
            "nodename" => {}
            "state" => state = Some(value.to_ascii_lowercase()),
            "reason" => reason = Some((*value).to_owned()),
            name => return Err(Fail::new(format!("Update of this parameter is not supported: {name}"))),
        }
    }
    let client = Client::find(&Default::default())?;
    for name in &names {
        let path = format!("/nodes/{}", escape(name));
        match state.as_deref() {
            Some("drain" | "drng") => {
                let Some(reason) = reason.clone() else {
                    return Err(Fail::new("You must specify a reason when DOWNING a node.  Update denied."));
                };
                let _: serde_json::Value = client.post(&format!("{path}/drain"), &DrainSpec { reason })?;
            }
            Some("resume" | "undrain" | "idle") => {
                let _: serde_json::Value = client.ask(&format!("{path}/resume"))?;
            }
            Some(other) => {
                return Err(Fail::new(format!("Invalid node state specified: {other} (only drain and resume here)")));
            }
            None => return Err(Fail::new("No changes specified")),
        }
    }
    Ok(0)
}
