//! `sacct`: jobs that ran, with their batch steps.
use super::format::{Style, columns, mib};
use super::jobfields::reason;
use super::jobs::{self, TresOrder, Wanted, display_id, elapsed};
use super::options::{Arg, Operands, Opt, Parsed, SBATCH, opt, parse};
use super::{json, values};
use crate::client::Client;
use crate::fail::{Fail, print};
use crate::time::{local, long_length, now_ms, past_moment};
use madang_api::{JobView, RoleName, RunView, StateName};

const TABLE: &[Opt] = &[
    opt("accounts", 'A', Arg::Needed),
    opt("allclusters", 'L', Arg::No),
    opt("allocations", 'X', Arg::No),
    opt("allusers", 'a', Arg::No),
    opt("array", '\0', Arg::No),
    opt("batch-script", 'B', Arg::No),
    opt("brief", 'b', Arg::No),
    opt("clusters", 'M', Arg::Needed),
    opt("completion", 'c', Arg::No).refused("there is one record of jobs"),
    opt("delimiter", '\0', Arg::Needed),
    opt("duplicates", 'D', Arg::No),
    opt("endtime", 'E', Arg::Needed),
    opt("env-vars", '\0', Arg::No).refused("environments are not shown"),
    opt("federation", '\0', Arg::No),
    opt("format", 'o', Arg::Needed),
    opt("gid", 'g', Arg::Needed).refused("groups are not recorded; give --accounts"),
    opt("group", '\0', Arg::Needed).refused("groups are not recorded; give --accounts"),
    opt("help", 'h', Arg::No),
    opt("helpformat", 'e', Arg::No),
    opt("jobs", 'j', Arg::Needed),
    opt("json", '\0', Arg::Maybe),
    opt("local", '\0', Arg::No),
    opt("long", 'l', Arg::No),
    opt("name", '\0', Arg::Needed),
    opt("ncpus", 'I', Arg::Needed).refused("select by --jobs, --name, --state or --nodelist"),
    opt("nnodes", 'i', Arg::Needed).refused("select by --jobs, --name, --state or --nodelist"),
    opt("noconvert", '\0', Arg::No),
    opt("nodelist", 'N', Arg::Needed),
    opt("noheader", 'n', Arg::No),
    opt("parsable", 'p', Arg::No),
    opt("parsable2", 'P', Arg::No),
    opt("partition", 'r', Arg::Needed),
    opt("qos", 'q', Arg::Needed),
    opt("reason", 'R', Arg::Needed).refused("select by --jobs, --name, --state or --nodelist"),
    opt("starttime", 'S', Arg::Needed),
    opt("state", 's', Arg::Needed),
    opt("timelimit-max", 'K', Arg::Needed).refused("select by --jobs, --name, --state or --nodelist"),
    opt("timelimit-min", 'k', Arg::Needed).refused("select by --jobs, --name, --state or --nodelist"),
    opt("truncate", 'T', Arg::No),
    opt("uid", '\0', Arg::Needed),
    opt("units", '\0', Arg::Needed),
    opt("usage", '\0', Arg::No),
    opt("use-local-uid", '\0', Arg::No),
    opt("user", 'u', Arg::Needed),
    opt("verbose", 'v', Arg::No),
    opt("version", 'V', Arg::No),
    opt("wckeys", 'W', Arg::Needed).refused("there are no such keys here"),
    opt("whole-hetjob", '\0', Arg::Maybe),
    opt("yaml", '\0', Arg::No).refused("give --json"),
];

const DEFAULT: &str = "jobid,jobname,partition,account,alloccpus,state,exitcode";
const BRIEF: &str = "jobid,state,exitcode";
const LONG: &str = "jobid,jobidraw,jobname,partition,maxvmsize,maxrss,averss,ntasks,alloccpus,elapsed,state,exitcode,\
                    reqmem,reqtres,alloctres";

/// Fields with their widths; negative is left-justified. Those that this centre cannot fill are empty.
const FIELDS: &[(&str, i32)] = &[
    ("Account", 10),
    ("AdminComment", 19),
    ("AllocCPUS", 10),
    ("AllocNodes", 10),
    ("AllocTRES", 10),
    ("AssocID", 7),
    ("AveCPU", 10),
    ("AveRSS", 10),
    ("AveVMSize", 10),
    ("Cluster", 10),
    ("Comment", 14),
    ("Constraints", 19),
    ("ConsumedEnergy", 14),
    ("CPUTime", 10),
    ("CPUTimeRAW", 10),
    ("DerivedExitCode", 15),
    ("Elapsed", 10),
    ("ElapsedRaw", 10),
    ("Eligible", 19),
    ("End", 19),
    ("ExitCode", 8),
    ("Flags", 20),
    ("GID", 6),
    ("Group", 9),
    ("JobID", -12),
    ("JobIDRaw", -12),
    ("JobName", 10),
    ("MaxDiskRead", 12),
    ("MaxDiskWrite", 12),
    ("MaxRSS", 10),
    ("MaxVMSize", 10),
    ("NCPUS", 10),
    ("NNodes", 8),
    ("NodeList", 15),
    ("NTasks", 8),
    ("Partition", 10),
    ("Planned", 10),
    ("Priority", 10),
    ("QOS", 10),
    ("Reason", 22),
    ("ReqCPUS", 8),
    ("ReqMem", 10),
    ("ReqNodes", 8),
    ("ReqTRES", 10),
    ("Reservation", 20),
    ("Reserved", 10),
    ("Restarts", 8),
    ("Start", 19),
    ("State", 10),
    ("StdErr", 20),
    ("StdIn", 20),
    ("StdOut", 20),
    ("Submit", 19),
    ("SubmitLine", 20),
    ("Suspended", 10),
    ("SystemComment", 14),
    ("SystemCPU", 10),
    ("Timelimit", 10),
    ("TimelimitRaw", 10),
    ("TotalCPU", 10),
    ("TRESUsageInTot", 14),
    ("UID", 6),
    ("User", 9),
    ("UserCPU", 10),
    ("WCKey", 10),
    ("WorkDir", 20),
];

/// A row: a job, or its batch step.
struct Row<'a> {
    job: &'a JobView,
    batch: bool,
}

/// Runs the command.
pub fn run(args: &[String]) -> Result<u8, Fail> {
    let parsed = parse(TABLE, SBATCH, args, Operands::Mix)?;
    if let Some(exit) = super::about("sacct", TABLE, SBATCH, &parsed.given) {
        return Ok(exit);
    }
    super::refuse(TABLE, &parsed)?;
    // All clusters are this one; a name could mean another.
    if let Some(name) = parsed.value("clusters").filter(|name| *name != "all") {
        return Err(Fail::new(format!("--clusters={name} is not supported: this is one centre")));
    }
    if parsed.has("helpformat") {
        print(&help_format());
        return Ok(0);
    }
    let header = header(&parsed)?;
    let client = Client::find(&Default::default())?;
    if parsed.has("batch-script") {
        return script(&client, &parsed);
    }
    let jobs = fetch(&client, &parsed)?;
    if parsed.has("json") {
        print(&json::accounts(&jobs, now_ms()));
        return Ok(0);
    }
    let now = now_ms();
    let mut rows = Vec::new();
    for job in &jobs {
        rows.push(Row { job, batch: false });
        // A job that never started has no step; neither has one that only holds nodes, or a modelled one.
        if !parsed.has("allocations") && job.started_ms.is_some() && !job.cwd.is_empty() && !job.modelled {
            rows.push(Row { job, batch: true });
        }
    }
    let cells: Vec<Vec<String>> =
        rows.iter().map(|row| header.iter().map(|(name, _)| value(name, row, now)).collect()).collect();
    let mark = parsed.value("delimiter").unwrap_or("|").to_owned();
    let style = if parsed.has("parsable2") {
        Style::Between(mark)
    } else if parsed.has("parsable") {
        Style::Ended(mark)
    } else {
        Style::Padded
    };
    print(&columns(&header, &cells, &style, !parsed.has("noheader")));
    Ok(0)
}

fn help_format() -> String {
    let mut text = String::new();
    for names in FIELDS.chunks(4) {
        for (name, _) in names {
            text.push_str(&format!("{name:<20}"));
        }
        text.push('\n');
    }
    text
}

/// The columns: names in any case, unique beginnings, `%width` after them.
fn header(parsed: &Parsed) -> Result<Vec<(&'static str, i32)>, Fail> {
    let mut given = parsed.list("format");
    if given.is_empty() {
        let variable = std::env::var("SACCT_FORMAT").ok().filter(|text| !text.is_empty());
        let text = match (parsed.has("long"), parsed.has("brief"), &variable) {
            (true, _, _) => LONG,
            (_, true, _) => BRIEF,
            (_, _, Some(text)) => text,
            _ => DEFAULT,
        };
        given = text.split(',').map(str::to_owned).collect();
    }
    let mut columns = Vec::new();
    for item in &given {
        if item.eq_ignore_ascii_case("all") {
            columns.extend_from_slice(FIELDS);
            continue;
        }
        let (name, width) = item.split_once('%').unwrap_or((item, ""));
        let lower = name.trim().to_ascii_lowercase();
        let exact = FIELDS.iter().find(|(known, _)| known.to_ascii_lowercase() == lower);
        let begins = || FIELDS.iter().find(|(known, _)| known.to_ascii_lowercase().starts_with(&lower));
        let found = exact.or_else(|| begins().filter(|_| !lower.is_empty()));
        let Some((name, usual)) = found else { return Err(Fail::new(format!("Invalid field requested: \"{name}\""))) };
        let width = match width {
            "" => *usual,
            text => text.parse().map_err(|_| Fail::new(format!("Invalid field requested: \"{item}\"")))?,
        };
        columns.push((*name, width));
    }
    Ok(columns)
}

fn fetch(client: &Client, parsed: &Parsed) -> Result<Vec<JobView>, Fail> {
    let now = now_ms();
    let moment = |name: &str| match parsed.value(name) {
        None => Ok(None),
        Some(text) => match past_moment(text, now) {
            Some(ms) => Ok(Some(ms)),
            None => Err(Fail::new(format!("Invalid time specification (pos=0): {text}"))),
        },
    };
    let mut wanted = Wanted {
        projects: parsed.list("accounts"),
        partitions: parsed.list("partition"),
        names: parsed.list("name"),
        qos: parsed.list("qos"),
        states: Some(jobs::states(&parsed.list("state"))?),
        full: true,
        expand: parsed.has("array"),
        until_ms: moment("endtime")?,
        since_ms: moment("starttime")?,
        ..Wanted::default()
    };
    for text in parsed.list("nodelist") {
        wanted.nodes.extend(madang_engine::hostlist::expand(&text).map_err(|error| error.to_string())?);
    }
    for given in parsed.given.iter().filter(|given| given.name == "jobs") {
        let items = values::split_ids(given.text());
        // A step is part of its job's rows.
        let items: Vec<String> = items.iter().map(|item| item.split('.').next().unwrap_or(item).to_owned()).collect();
        wanted.take_ids(&items)?;
    }
    let mut named = parsed.list("user");
    named.extend(parsed.list("uid"));
    if !named.is_empty() {
        wanted.users = jobs::users(client, &named)?;
    } else if wanted.ids.is_empty() && !parsed.has("allusers") {
        let me = jobs::me(client)?;
        if me.role < RoleName::Operator {
            wanted.users.push(me.name);
        }
    }
    if let Some(states) = wanted.states.as_mut().filter(|states| states.contains(&StateName::Running)) {
        states.extend([StateName::Configuring, StateName::Completing]);
    }
    // Without ids, and without states that ask for more, the day so far.
    if wanted.ids.is_empty() && wanted.since_ms.is_none() {
        wanted.since_ms = past_moment("today", now);
    }
    let found = wanted.fetch(client)?;
    Ok(if parsed.has("duplicates") { with_runs(found) } else { found })
}

/// Before each job the runs of it that are over and were not the last.
fn with_runs(jobs: Vec<JobView>) -> Vec<JobView> {
    let mut all = Vec::new();
    for job in jobs {
        let last = if job.state.is_over() { job.attempts } else { u32::MAX };
        let earlier = job.runs.iter().filter(|run| run.attempt < last && run.attempt < job.attempts.max(1));
        all.extend(earlier.map(|run| as_run(&job, run)));
        all.push(job);
    }
    all
}

fn as_run(job: &JobView, run: &RunView) -> JobView {
    JobView {
        state: run.state,
        exit: run.exit,
        signal: run.signal,
        started_ms: run.started_ms,
        ends_ms: Some(run.ended_ms),
        node_list: run.nodes.clone(),
        ..job.clone()
    }
}

fn script(client: &Client, parsed: &Parsed) -> Result<u8, Fail> {
    let ids = parsed.list("jobs");
    if ids.is_empty() {
        return Err(Fail::new("This option requires a job list to be specified with -j"));
    }
    for id in ids {
        let text = client.get_text(&format!("/jobs/{id}/script"))?;
        print(&format!("Batch Script for {id}\n{}\n{text}\n", "-".repeat(80)));
    }
    Ok(0)
}

/// A field's text.
fn value(name: &str, row: &Row, now: u64) -> String {
    if row.batch { of_batch(name, row.job, now) } else { of_job(name, row.job, now) }
}

fn moment(ms: Option<u64>) -> String {
    ms.map_or("Unknown".to_owned(), local)
}

fn of_job(name: &str, job: &JobView, now: u64) -> String {
    let ran = elapsed(job, now);
    match name {
        "Account" => job.project.clone(),
        "AllocCPUS" if job.started_ms.is_none() => "0".to_owned(),
        "AllocCPUS" | "NCPUS" | "ReqCPUS" => job.cpus.to_string(),
        "AllocNodes" if job.started_ms.is_none() => "0".to_owned(),
        "AllocNodes" | "NNodes" | "ReqNodes" => job.nodes.to_string(),
        "AllocTRES" if job.started_ms.is_none() => String::new(),
        "AllocTRES" | "ReqTRES" => jobs::tres(job, TresOrder::ByName),
        "Cluster" => job.site.clone().unwrap_or_default(),
        "Comment" => job.comment.clone(),
        "Constraints" => job.parts.first().map_or(String::new(), |part| part.features.join("&")),
        "CPUTime" => long_length(ran * u64::from(job.cpus)),
        "CPUTimeRAW" => (ran * u64::from(job.cpus)).to_string(),
        "DerivedExitCode" | "ExitCode" => exit_code(job),
        "Elapsed" => long_length(ran),
        "ElapsedRaw" => ran.to_string(),
        "Eligible" => moment(job.eligible_ms),
        "End" => moment(job.ends_ms.filter(|_| job.state.is_over())),
        "JobID" => display_id(job),
        "JobIDRaw" => job.id.to_string(),
        "JobName" => job.name.clone(),
        "NodeList" if job.node_list.is_empty() => "None assigned".to_owned(),
        "NodeList" => job.node_list.clone(),
        "Partition" => job.partition.clone(),
        "Planned" | "Reserved" => {
            let until = job.started_ms.or(job.ends_ms.filter(|_| job.state.is_over())).unwrap_or(now);
            long_length(job.eligible_ms.map_or(0, |since| until.saturating_sub(since) / 1000))
        }
        "QOS" => jobs::qos(job).to_owned(),
        "Reason" => reason(job),
        "ReqMem" => mib(job.memory_mib * u64::from(job.nodes)),
        "Restarts" => job.attempts.saturating_sub(1).to_string(),
        "Start" if job.started_ms.is_none() && job.state.is_over() => "None".to_owned(),
        "Start" => moment(job.started_ms),
        "State" if job.state == StateName::Cancelled => format!("CANCELLED by {}", jobs::uid(&job.user)),
        "State" => state(job.state).to_owned(),
        "StdErr" => job.stderr.clone(),
        "StdOut" => job.stdout.clone(),
        "Submit" => local(job.submitted_ms),
        "Suspended" => "00:00:00".to_owned(),
        "Timelimit" => long_length(job.limit_secs),
        "TimelimitRaw" => (job.limit_secs / 60).to_string(),
        "UID" => jobs::uid(&job.user).to_string(),
        "User" => job.user.clone(),
        "WorkDir" => job.cwd.clone(),
        _ => String::new(),
    }
}

/// A state as accounting knows it: what begins or ends is running there. Programs take any other word for an end.
pub fn state(state: StateName) -> &'static str {
    match state {
        StateName::Configuring | StateName::Completing => "RUNNING",
        state => jobs::long(state),
    }
}

/// The batch step holds what the first node has.
fn of_batch(name: &str, job: &JobView, now: u64) -> String {
    let first = job.slots.first();
    let cpus = first.map_or(job.cpus / job.nodes.max(1), |slot| slot.cpus);
    match name {
        "JobID" => format!("{}.batch", display_id(job)),
        "JobIDRaw" => format!("{}.batch", job.id),
        "JobName" => "batch".to_owned(),
        "AllocCPUS" | "NCPUS" | "ReqCPUS" => cpus.to_string(),
        "AllocNodes" | "NNodes" | "ReqNodes" | "NTasks" => "1".to_owned(),
        "AllocTRES" => {
            let memory = first.map_or(job.memory_mib, |slot| slot.memory_mib);
            let gpus = first.map_or(0, |slot| slot.devices.len());
            let part = super::jobs::gres(job).filter(|_| !job.gpu_milli.is_multiple_of(1000));
            let whole = || (gpus > 0).then(|| format!("gres/gpu={gpus}"));
            let gres = part.or_else(whole).map_or(String::new(), |gres| format!(",{gres}"));
            format!("cpu={cpus}{gres},mem={},node=1", mib(memory))
        }
        "CPUTime" => long_length(elapsed(job, now) * u64::from(cpus)),
        "CPUTimeRAW" => (elapsed(job, now) * u64::from(cpus)).to_string(),
        "State" => match job.state {
            StateName::Timeout => "CANCELLED".to_owned(),
            known => state(known).to_owned(),
        },
        "ExitCode" => format!("{}:{}", job.exit, job.signal),
        "DerivedExitCode" => String::new(),
        "NodeList" => super::jobfields::first_node(job).unwrap_or_default(),
        "Account" | "Elapsed" | "ElapsedRaw" | "Start" | "End" | "Submit" | "Cluster" | "Suspended" => {
            of_job(name, job, now)
        }
        _ => String::new(),
    }
}

/// `code:signal`. A job that was stopped did not exit of itself.
fn exit_code(job: &JobView) -> String {
    match job.state {
        StateName::Timeout | StateName::Cancelled => "0:0".to_owned(),
        _ => format!("{}:{}", job.exit, job.signal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_header_is_slurms() {
        let parsed = parse(TABLE, SBATCH, &[], Operands::Mix).expect("empty");
        let text = columns(&header(&parsed).expect("sound"), &[], &Style::Padded, true);
        assert_eq!(
            text,
            "JobID           JobName  Partition    Account  AllocCPUS      State ExitCode \n\
             ------------ ---------- ---------- ---------- ---------- ---------- -------- \n"
        );
    }

    #[test]
    fn columns_by_name_and_width() {
        let args = ["-o".to_owned(), "JobID%20,state%-30,jobn".to_owned()];
        let parsed = parse(TABLE, SBATCH, &args, Operands::Mix).expect("sound");
        assert_eq!(header(&parsed).expect("sound"), [("JobID", 20), ("State", -30), ("JobName", 10)]);
        let args = ["-o".to_owned(), "foo".to_owned()];
        let parsed = parse(TABLE, SBATCH, &args, Operands::Mix).expect("sound");
        assert_eq!(header(&parsed).expect_err("unknown").fact, "Invalid field requested: \"foo\"");
    }
}
