//! `squeue`: jobs that wait and run.
use super::format::{self, Piece};
use super::jobfields::{self, Field};
use super::jobs::{self, Wanted};
use super::options::{Arg, Operands, Opt, Parsed, SBATCH, opt, parse};
use super::{json, values};
use crate::client::Client;
use crate::fail::{Fail, print};
use crate::time::{banner, now_ms};
use madang_api::{JobView, StateName};

const NO_FEDERATION: &str = "this is one centre";

const TABLE: &[Opt] = &[
    opt("account", 'A', Arg::Needed),
    opt("all", 'a', Arg::No),
    opt("array", 'r', Arg::No),
    opt("array-unique", '\0', Arg::No),
    opt("clusters", 'M', Arg::Needed).refused(NO_FEDERATION),
    opt("federation", '\0', Arg::No),
    opt("format", 'o', Arg::Needed),
    opt("Format", 'O', Arg::Needed),
    opt("help", '\0', Arg::No),
    opt("hide", '\0', Arg::No),
    opt("iterate", 'i', Arg::Needed),
    opt("jobs", 'j', Arg::Maybe),
    opt("json", '\0', Arg::Maybe),
    opt("licenses", 'L', Arg::Needed).refused("there are no licences here"),
    opt("local", '\0', Arg::No),
    opt("long", 'l', Arg::No),
    opt("me", '\0', Arg::No),
    opt("name", 'n', Arg::Needed),
    opt("noconvert", '\0', Arg::No),
    opt("nodelist", 'w', Arg::Needed),
    opt("noheader", 'h', Arg::No),
    opt("partition", 'p', Arg::Needed),
    opt("qos", 'q', Arg::Needed),
    opt("reservation", 'R', Arg::Needed),
    opt("sibling", '\0', Arg::No),
    opt("sort", 'S', Arg::Needed),
    opt("start", '\0', Arg::No),
    opt("states", 't', Arg::Needed),
    opt("steps", 's', Arg::Maybe).refused("steps are not listed here"),
    opt("usage", '\0', Arg::No),
    opt("user", 'u', Arg::Needed),
    opt("verbose", 'v', Arg::No),
    opt("version", 'V', Arg::No),
    opt("yaml", '\0', Arg::No).refused("give --json"),
];

const DEFAULT: &str = "%.18i %.9P %.8j %.8u %.2t %.10M %.6D %R";
const LONG: &str = "%.18i %.9P %.8j %.8u %.8T %.10M %.9l %.6D %R";
const START: &str = "%.18i %.9P %.8j %.8u %.2t %.19S %.6D %20Y %R";

/// Runs the command.
pub fn run(args: &[String]) -> Result<u8, Fail> {
    // `-j 12` takes a value after a blank, bare `-j` none: getopt cannot say so.
    let parsed = parse(TABLE, SBATCH, &join_jobs(args), Operands::Mix)?;
    if let Some(exit) = super::about("squeue", TABLE, SBATCH, &parsed.given) {
        return Ok(exit);
    }
    super::refuse(TABLE, &parsed)?;
    if let Some(stray) = parsed.operands.first() {
        return Err(Fail::new(format!("Unrecognized option: {stray}")));
    }
    let client = Client::find(&Default::default())?;
    let pause = parsed.value("iterate").map(|text| values::count("iterate", text)).transpose()?;
    loop {
        once(&client, &parsed, pause.is_some())?;
        match pause {
            None => return Ok(0),
            Some(secs) => std::thread::sleep(std::time::Duration::from_secs(secs.into())),
        }
    }
}

fn join_jobs(args: &[String]) -> Vec<String> {
    let mut joined: Vec<String> = Vec::new();
    for arg in args {
        let number = arg.starts_with(|c: char| c.is_ascii_digit());
        match joined.last_mut() {
            Some(last) if number && (last == "-j" || last == "--job" || last == "--jobs") => {
                *last = format!("--jobs={arg}");
            }
            _ => joined.push(arg.clone()),
        }
    }
    joined
}

fn once(client: &Client, parsed: &Parsed, dated: bool) -> Result<(), Fail> {
    let mut jobs = fetch(client, parsed)?;
    if let Some(name) = parsed.value("reservation") {
        jobs.retain(|job| job.reservation == name);
    }
    let now = now_ms();
    if parsed.has("json") {
        print(&json::jobs(&jobs));
        return Ok(());
    }
    if parsed.has("start") {
        jobs.retain(|job| job.state == StateName::Pending);
    }
    let pieces = pieces(parsed)?;
    sort(&mut jobs, parsed.value("sort"), parsed.has("start"), now)?;
    let mut text = String::new();
    if parsed.has("long") || dated {
        text = format!("{}\n", banner(now));
    }
    let value = |field: Field, job: &JobView| jobfields::value(field, job, now);
    text.push_str(&format::table(&pieces, !parsed.has("noheader"), &jobs, value));
    print(&text);
    Ok(())
}

fn fetch(client: &Client, parsed: &Parsed) -> Result<Vec<JobView>, Fail> {
    let mut wanted = Wanted {
        projects: parsed.list("account"),
        partitions: parsed.list("partition"),
        names: parsed.list("name"),
        qos: parsed.list("qos"),
        expand: parsed.has("array") || parsed.has("array-unique"),
        full: parsed.has("json"),
        ..Wanted::default()
    };
    for text in parsed.list("nodelist") {
        wanted.nodes.extend(madang_engine::hostlist::expand(&text).map_err(|error| error.to_string())?);
    }
    wanted.users = jobs::users(client, &parsed.list("user"))?;
    if parsed.has("me") {
        wanted.users.push(jobs::me(client)?.name);
    }
    let lists = parsed.given.iter().filter(|given| given.name == "jobs");
    for given in lists {
        wanted.take_ids(&values::split_ids(given.text()))?;
    }
    let states = parsed.list("states");
    if !states.is_empty() {
        wanted.states = Some(jobs::states(&states)?);
    }
    // An id that nobody knows is an error, one that is over is only not listed.
    let single = wanted.ids.len() == 1;
    let listed = wanted.fetch(client)?;
    if single && listed.is_empty() {
        let any = Wanted { ids: wanted.ids.clone(), states: Some(Vec::new()), ..Wanted::default() };
        if any.fetch(client)?.is_empty() {
            return Err(Fail::new("Invalid job id specified"));
        }
    }
    Ok(listed)
}

fn pieces(parsed: &Parsed) -> Result<Vec<Piece<Field>>, Fail> {
    let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let last = parsed.given.iter().rev().find(|given| given.name == "format" || given.name == "Format");
    let named = match last {
        Some(given) if given.name == "Format" => Some(given.text().to_owned()),
        Some(_) => None,
        None => variable("SQUEUE_FORMAT2"),
    };
    let wrong = |what: String| Fail::new(format!("Invalid job format specification: {what}"));
    if let Some(text) = named {
        return format::named(&text, jobfields::by_name).map_err(wrong);
    }
    let text = match last {
        Some(given) => given.text().to_owned(),
        None if parsed.has("start") => START.to_owned(),
        None if parsed.has("long") => LONG.to_owned(),
        None => variable("SQUEUE_FORMAT").unwrap_or_else(|| DEFAULT.to_owned()),
    };
    format::percent(&text, jobfields::by_letter).map_err(wrong)
}

/// Sorts by letters of fields, each with `-` for downwards; without any by partition, then what waits before what runs.
fn sort(jobs: &mut [JobView], keys: Option<&str>, by_start: bool, now: u64) -> Result<(), Fail> {
    let Some(keys) = keys else {
        if by_start {
            jobs.sort_by_key(|job| (job.promised_ms.is_none(), job.promised_ms, job.id));
        } else {
            jobs.sort_by(|a, b| (&a.partition, a.state, a.id).cmp(&(&b.partition, b.state, b.id)));
        }
        return Ok(());
    };
    // The first key matters most, so it is applied last; the sort is stable.
    let fields: Vec<&str> = keys.split(',').map(str::trim).filter(|key| !key.is_empty()).collect();
    for key in fields.iter().rev() {
        let (down, letter) = match key.strip_prefix('-') {
            Some(letter) => (true, letter),
            None => (false, key.trim_start_matches('+')),
        };
        let field = letter.chars().next().and_then(jobfields::by_letter);
        let Some((field, _)) = field else { return Err(Fail::new(format!("Invalid sort specification: {key}"))) };
        jobs.sort_by_cached_key(|job| sort_key(field, job, now));
        if down {
            jobs.reverse();
        }
    }
    Ok(())
}

/// Numbers and moments sort as numbers, all else as text.
fn sort_key(field: Field, job: &JobView, now: u64) -> (u64, String) {
    let number = match field {
        Field::Id | Field::RawId => job.id,
        Field::ArrayId => job.array.as_ref().map_or(job.id, |array| array.job),
        Field::Used => jobs::elapsed(job, now),
        Field::Limit => job.limit_secs,
        Field::Left => job.limit_secs.saturating_sub(jobs::elapsed(job, now)),
        Field::Nodes => job.nodes.into(),
        Field::Cpus => job.cpus.into(),
        Field::MinMemory => job.memory_mib,
        Field::Start => jobfields::start(job).unwrap_or(u64::MAX),
        Field::End => job.ends_ms.unwrap_or(u64::MAX),
        Field::Deadline => job.deadline_ms.unwrap_or(u64::MAX),
        Field::Submit => job.submitted_ms,
        Field::State | Field::StateShort => job.state as u64,
        _ => return (0, jobfields::value(field, job, now)),
    };
    (number, String::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_header_is_slurms() {
        let pieces = format::percent(DEFAULT, jobfields::by_letter).expect("sound");
        let header = format::table(&pieces, true, &[], |_, _: &()| String::new());
        assert_eq!(header, "             JOBID PARTITION     NAME     USER ST       TIME  NODES NODELIST(REASON)\n");
        let pieces = format::percent(LONG, jobfields::by_letter).expect("sound");
        let header = format::table(&pieces, true, &[], |_, _: &()| String::new());
        let want =
            "             JOBID PARTITION     NAME     USER    STATE       TIME TIME_LIMI  NODES NODELIST(REASON)\n";
        assert_eq!(header, want);
    }

    #[test]
    fn job_lists_after_a_blank() {
        let args: Vec<String> = ["-h", "-j", "12,13", "-o", "%i"].map(str::to_owned).to_vec();
        assert_eq!(join_jobs(&args), ["-h", "--jobs=12,13", "-o", "%i"]);
    }
}
