//! `scancel`: end jobs, or send them a signal, by id or by what they have in common.
use super::jobs::{self, Wanted};
use super::options::{Arg, Operands, Opt, Parsed, SBATCH, opt, parse};
use super::values;
use crate::client::Client;
use crate::fail::Fail;
use madang_api::{Changed, SignalSpec};

const TABLE: &[Opt] = &[
    opt("account", 'A', Arg::Needed),
    opt("batch", 'b', Arg::No),
    opt("clusters", 'M', Arg::Needed).refused("this is one centre"),
    opt("cron", 'c', Arg::No),
    opt("ctld", '\0', Arg::No),
    opt("full", 'f', Arg::No),
    opt("help", '\0', Arg::No),
    opt("hurry", 'H', Arg::No),
    opt("interactive", 'i', Arg::No),
    opt("jobname", '\0', Arg::Needed),
    opt("me", '\0', Arg::No),
    opt("name", 'n', Arg::Needed),
    opt("nodelist", 'w', Arg::Needed),
    opt("partition", 'p', Arg::Needed),
    opt("qos", 'q', Arg::Needed),
    opt("quiet", 'Q', Arg::No),
    opt("reservation", 'R', Arg::Needed).refused("there are no reservations here"),
    opt("sibling", '\0', Arg::Needed).refused("this is one centre"),
    opt("signal", 's', Arg::Needed),
    opt("state", 't', Arg::Needed),
    opt("usage", '\0', Arg::No),
    opt("user", 'u', Arg::Needed),
    opt("verbose", 'v', Arg::No),
    opt("version", 'V', Arg::No),
    opt("wckey", '\0', Arg::Needed).refused("there are no such keys here"),
];

/// Runs the command.
pub fn run(args: &[String]) -> Result<u8, Fail> {
    let parsed = parse(TABLE, SBATCH, args, Operands::Mix)?;
    if let Some(exit) = super::about("scancel", TABLE, SBATCH, &parsed.given) {
        return Ok(exit);
    }
    super::refuse(TABLE, &parsed)?;
    let signal = match parsed.value("signal") {
        None => None,
        Some(text) => Some(values::signal(text).ok_or_else(|| Fail::new(format!("Unknown job signal: {text}")))?),
    };
    let ids = operands(&parsed)?;
    let filters = ["account", "jobname", "me", "name", "nodelist", "partition", "qos", "state", "user"];
    let filtered = filters.iter().any(|name| parsed.has(name));
    if ids.is_empty() && !filtered {
        return Err(Fail::new("No job identification provided"));
    }
    let client = Client::find(&Default::default())?;
    let targets = if filtered { select(&client, &parsed, ids)? } else { ids };
    let mut exit = 0;
    for id in targets {
        if parsed.has("interactive") && !agreed(&id) {
            continue;
        }
        if parsed.has("verbose") {
            eprintln!("scancel: Terminating job {id}");
        }
        if let Err(fail) = end(&client, &parsed, &id, signal) {
            // As Slurm: what is over already is no error, what is not there is one.
            let over = fail.is("wrong_state");
            let known = !fail.is("not_found");
            if over && !parsed.has("verbose") {
                continue;
            }
            if !parsed.has("quiet") {
                let reason = if known { fail.fact.clone() } else { "Invalid job id specified".to_owned() };
                eprintln!("scancel: error: Kill job error on job id {id}: {reason}");
            }
            exit = if over { exit } else { 1 };
        }
    }
    Ok(exit)
}

fn operands(parsed: &Parsed) -> Result<Vec<String>, Fail> {
    let mut ids = Vec::new();
    for item in parsed.operands.iter().flat_map(|operand| values::split_ids(operand)) {
        let (item, step) = item.split_once('.').map_or((item.as_str(), None), |(job, step)| (job, Some(step)));
        if step.is_some_and(|step| step != "batch" && step != "0") {
            return Err(Fail::new(format!("Invalid job id {item}: steps cannot be ended one by one here")));
        }
        let found = values::job_ids(item).ok_or_else(|| Fail::new(format!("Invalid job id {item}")))?;
        ids.extend(found);
    }
    Ok(ids)
}

fn select(client: &Client, parsed: &Parsed, ids: Vec<String>) -> Result<Vec<String>, Fail> {
    let mut names = parsed.list("name");
    names.extend(parsed.list("jobname"));
    let mut wanted = Wanted {
        ids,
        names,
        projects: parsed.list("account"),
        partitions: parsed.list("partition"),
        qos: parsed.list("qos"),
        users: jobs::users(client, &parsed.list("user"))?,
        ..Wanted::default()
    };
    if parsed.has("me") {
        wanted.users.push(jobs::me(client)?.name);
    }
    for text in parsed.list("nodelist") {
        wanted.nodes.extend(madang_engine::hostlist::expand(&text).map_err(|error| error.to_string())?);
    }
    let states = parsed.list("state");
    if !states.is_empty() {
        wanted.states = Some(jobs::states(&states)?);
    }
    let mut targets = Vec::new();
    for job in wanted.fetch(client)? {
        if job.state.is_over() {
            continue;
        }
        match job.array.as_ref() {
            // The record that stands for what has not started: its tasks, not the array.
            Some(array) if array.task.is_none() => {
                let tasks = array.tasks.as_deref().unwrap_or_default();
                targets.extend(values::job_ids(&format!("{}_[{tasks}]", array.job)).unwrap_or_default());
            }
            Some(array) => targets.push(format!("{}_{}", array.job, array.task.unwrap_or(0))),
            None => targets.push(job.id.to_string()),
        }
    }
    Ok(targets)
}

fn agreed(id: &str) -> bool {
    eprint!("Cancel job_id={id} [y/n]? ");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).is_ok() && line.trim().eq_ignore_ascii_case("y")
}

/// Ends one job. Slurm sends other signals than KILL to steps, with `-b` to the batch shell, with `-f` to both; a job
/// that waits is not running anything to signal, and is cancelled only without one.
fn end(client: &Client, parsed: &Parsed, id: &str, signal: Option<i32>) -> Result<(), Fail> {
    const KILL: i32 = 9;
    match signal {
        None | Some(KILL) => {
            let _: Changed = client.delete(&format!("/jobs/{id}"))?;
        }
        Some(signal) => {
            let spec = SignalSpec { signal, shell: parsed.has("batch") };
            let _: Changed = client.post(&format!("/jobs/{id}/signal"), &spec)?;
            if parsed.has("full") && !spec.shell {
                let _: Changed = client.post(&format!("/jobs/{id}/signal"), &SignalSpec { signal, shell: true })?;
            }
        }
    }
    Ok(())
}
