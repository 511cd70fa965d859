//! Jobs for people: the queue, why and when, output, cancel and hold.
use super::Context;
use crate::client::Client;
use crate::fail::{Fail, print};
use crate::slurm::jobfields::reason;
use crate::slurm::jobs::{Wanted, display_id, elapsed, long, me, states};
use crate::slurm::values;
use crate::table::Table;
use crate::time::{local, now_ms, short_length};
use madang_api::{
    Changed, Estimate, EstimateOn, JobView, LogPiece, RunView, SiteStandingView, StateName, StopsView, When, Why,
};
use madang_model::Span;
use std::time::Duration;

/// Options of `queue`.
#[derive(Debug, clap::Args)]
pub struct Queue {
    /// Only mine
    #[arg(long)]
    me: bool,
    /// Only of this user
    #[arg(long, short, value_name = "NAME")]
    user: Option<String>,
    /// Only of this project
    #[arg(long, short, value_name = "NAME")]
    project: Option<String>,
    /// In these states (PENDING,RUNNING,…), or all
    #[arg(long, short, value_name = "STATES", value_delimiter = ',')]
    state: Vec<String>,
    /// Tasks of arrays one by one
    #[arg(long, short = 'r')]
    expand: bool,
}

/// One job.
#[derive(Debug, clap::Args)]
pub struct One {
    /// Its id: 42, job-42, 42_3
    job: String,
}

/// Several jobs.
#[derive(Debug, clap::Args)]
pub struct Many {
    /// Their ids: 42, 42_3, 42_[1-4]
    #[arg(required = true)]
    jobs: Vec<String>,
}

/// Options of `logs`.
#[derive(Debug, clap::Args)]
pub struct Logs {
    /// Its id: 42, 42_3
    job: String,
    /// Go on until the job ends
    #[arg(long, short)]
    follow: bool,
    /// The error file instead of the output
    #[arg(long)]
    stderr: bool,
}

/// The job whose checkpoint is reported.
#[derive(Debug, clap::Args)]
pub struct Saved {
    /// Its id: 42, 42_3 [default: the job that this runs in]
    #[arg(env = "SLURM_JOB_ID", hide_env_values = true)]
    job: String,
    /// How many seconds writing it took: what the advice on how often to write one goes by
    #[arg(long, value_name = "SECONDS")]
    took: Option<u64>,
}

/// Lists jobs.
pub fn queue(context: &Context, queue: &Queue) -> Result<u8, Fail> {
    let client = context.client()?;
    let mut wanted = Wanted { expand: queue.expand, ..Wanted::default() };
    wanted.users.extend(queue.user.clone());
    wanted.projects.extend(queue.project.clone());
    if queue.me {
        wanted.users.push(me(&client)?.name);
    }
    if !queue.state.is_empty() {
        wanted.states = Some(states(&queue.state)?);
    }
    let now = now_ms();
    context.show(&wanted.fetch(&client)?, |jobs| {
        let mut table = Table::new(&["JOB", "NAME", "USER", "PROJECT", "STATE", ">TIME", ">GPUS", "WHERE OR WHY"]);
        for job in jobs {
            let place = if job.node_list.is_empty() { reason(job) } else { job.node_list.clone() };
            let mark = if job.modelled { " (modelled)" } else { "" };
            let time = short_length(elapsed(job, now));
            let (name, state) = (job.name.chars().take(20).collect(), long(job.state).to_owned());
            let gpus = job.gpus.to_string();
            let place = format!("{place}{mark}");
            table.row(vec![display_id(job), name, job.user.clone(), job.project.clone(), state, time, gpus, place]);
        }
        table.text()
    })
}

fn id(text: &str) -> Result<String, Fail> {
    match values::job_ids(text).as_deref() {
        Some([id]) => Ok(id.clone()),
        _ => Err(Fail::new(format!("{text} is not a job's id")).hint("write it as 42, or 42_3 for a task").exit(2)),
    }
}

/// Everything of one job.
pub fn show(context: &Context, one: &One) -> Result<u8, Fail> {
    let job: JobView = context.client()?.get(&format!("/jobs/{}", id(&one.job)?))?;
    let now = now_ms();
    context.show(&job, |job| {
        let shown = crate::slurm::show::job(job, now, false, true);
        let told = shown.trim_end().to_owned() + "\n" + &runs(job) + &sites(&job.sites, 3);
        told + &job.stops.as_ref().map_or_else(String::new, |told| stops(told, job.limit_secs))
    })
}

/// How each of a job's sites stands, so deep within a text.
fn sites(sites: &[SiteStandingView], deep: usize) -> String {
    let line = |site: &SiteStandingView| format!("{:deep$}site {}: {}\n", "", site.site, site.text);
    sites.iter().map(line).collect()
}

/// A length to three figures or so: nobody plans by the seconds of a day.
fn coarse(secs: u64) -> Span {
    Span::from_secs(match secs {
        0..600 => secs,
        600..86_400 => secs - secs % 60,
        _ => secs - secs % 3_600,
    })
}

/// How likely the fleet stops it, and what that advises.
fn stops(stops: &StopsView, limit_secs: u64) -> String {
    let length = coarse;
    let best = match stops.checkpoint_every_secs < limit_secs {
        true => format!("best every {}", length(stops.checkpoint_every_secs)),
        false => "not needed before its limit,".into(),
    };
    let (chance, mean) = (f64::from(stops.chance_per_mille) / 10.0, length(stops.mean_secs));
    let by = if stops.checkpoint_cost_known { "as it said" } else { "assumed" };
    let said = stops.declared_every_secs.map_or("none declared".into(), |secs| format!("{} declared", length(secs)));
    format!(
        "   Stops: {chance:.1}% before its limit, on average one in {mean} ({} seen in {} GPU-hours here, one in {} \
         GPU-hours expected)\n   Checkpoints: {best} at a cost of {} {by}; {said}\n",
        stops.seen,
        stops.gpu_hours_served,
        stops.gpu_hours_between,
        length(stops.checkpoint_cost_secs),
    )
}

/// Runs that ended, where there was more than the present one or the last.
fn runs(job: &JobView) -> String {
    let now = u32::from(!job.state.is_over());
    if job.runs.len() as u32 + now < 2 {
        return String::new();
    }
    let line = |run: &RunView| {
        let (state, started) = (long(run.state), run.started_ms.map_or("None".to_owned(), local));
        let (attempt, ended, nodes) = (run.attempt, local(run.ended_ms), &run.nodes);
        format!("   Run={attempt} State={state} StartTime={started} EndTime={ended} NodeList={nodes}\n")
    };
    job.runs.iter().map(line).collect()
}

/// Why it waits.
pub fn why(context: &Context, one: &One) -> Result<u8, Fail> {
    let client = context.client()?;
    let id = id(&one.job)?;
    let why: Why = client.get(&format!("/jobs/{id}/why"))?;
    if context.json {
        return context.show(&why, |_| String::new());
    }
    if why.blocks.is_empty() {
        let job: JobView = client.get(&format!("/jobs/{id}"))?;
        let is_bare = job.reason == "None" || job.reason_text.is_empty();
        let text = if is_bare { String::new() } else { format!(": {}", job.reason_text) };
        print(&format!("job {id} does not wait; it is {}{text}\n", long(job.state)));
        return Ok(0);
    }
    context.show(&why, |why| {
        let mut text = format!("job {id} waits\n");
        for block in &why.blocks {
            text.push_str(&format!("  {}: {}\n", block.reason, block.text));
        }
        text.push_str(&sites(&why.sites, 2));
        if why.ahead > 0 {
            let jobs = if why.ahead == 1 { "job ranks" } else { "jobs rank" };
            text.push_str(&format!("  {} {jobs} before it\n", why.ahead));
        }
        if let Some(secs) = why.expected_secs {
            let length = Span::from_secs(secs);
            text.push_str(&format!("  expected to run for {length}; without a promise the shortest goes first\n"));
        }
        if let Some(at) = why.promised_ms {
            let on = if why.promised_nodes.is_empty() { String::new() } else { format!(" on {}", why.promised_nodes) };
            text.push_str(&format!("promised to start by {}{on}\n", local(at)));
        }
        if let Some(warning) = &why.warning {
            text.push_str(&format!("warning: {warning}\n"));
        }
        match &why.change {
            Some(change) => text.push_str(&format!("smallest change: {change}\n")),
            None => text.push_str("no small change was found that would start it now\n"),
        }
        text
    })
}

/// When it starts.
pub fn when(context: &Context, one: &One) -> Result<u8, Fail> {
    let id = id(&one.job)?;
    let when: When = context.client()?.get(&format!("/jobs/{id}/when"))?;
    let now = now_ms();
    let at = |ms: u64| format!("{} (in {})", local(ms), Span::from_millis(ms.saturating_sub(now)));
    context.show(&when, |when| {
        if when.estimates.is_empty() {
            return format!("no forecast: {}\n", when.basis);
        }
        let mut text: String = when.estimates.iter().map(|one| estimate(one, &at)).collect();
        if let Some(secs) = when.expected_secs {
            text.push_str(&format!("expected to run for {}\n", Span::from_secs(secs)));
        }
        text
    })
}

fn estimate(one: &Estimate, at: &dyn Fn(u64) -> String) -> String {
    let on = match one.on {
        EstimateOn::Promise => "no later than",
        EstimateOn::Limits => "on limits",
        EstimateOn::Predicted => "on predicted times",
    };
    let start = match (one.start_ms, one.not_by_ms) {
        (Some(ms), _) => at(ms),
        (None, Some(ms)) => format!("not by {}", at(ms)),
        (None, None) => "unknown".into(),
    };
    format!("{on:<20}{start}\n{:<20}{}\n", "", one.text)
}

/// Does something to each; goes on after a failure.
fn each(
    context: &Context,
    many: &Many,
    done: &str,
    act: impl Fn(&Client, &str) -> Result<Changed, Fail>,
) -> Result<u8, Fail> {
    let client = context.client()?;
    let mut total = Changed { jobs: 0 };
    let mut exit = 0;
    for text in &many.jobs {
        let wrong = || Fail::new(format!("{text} is not a job's id")).exit(2);
        for id in values::job_ids(text).ok_or_else(wrong)? {
            match act(&client, &id) {
                Ok(changed) => total.jobs += changed.jobs,
                Err(fail) if fail.code.is_some() => {
                    eprintln!("error: {fail}");
                    exit = 1;
                }
                Err(fail) => return Err(fail),
            }
        }
    }
    context.show(&total, |total| format!("{} {done}\n", total.jobs))?;
    Ok(exit)
}

/// Ends jobs.
pub fn cancel(context: &Context, many: &Many) -> Result<u8, Fail> {
    each(context, many, "cancelled", |client, id| client.delete(&format!("/jobs/{id}")))
}

/// Holds or releases jobs.
pub fn change(context: &Context, many: &Many, verb: &str, done: &str) -> Result<u8, Fail> {
    each(context, many, done, |client, id| client.ask(&format!("/jobs/{id}/{verb}")))
}

/// Tells the centre that a job wrote a checkpoint.
pub fn checkpoint(context: &Context, saved: &Saved) -> Result<u8, Fail> {
    let took = saved.took.map_or_else(String::new, |secs| format!("?took_secs={secs}"));
    let changed: Changed = context.client()?.ask(&format!("/jobs/{}/checkpoint{took}", id(&saved.job)?))?;
    context.show(&changed, |changed| format!("{} saved\n", changed.jobs))
}

/// Prints output.
pub fn logs(context: &Context, logs: &Logs) -> Result<u8, Fail> {
    let stream = if logs.stderr { "stderr" } else { "stdout" };
    follow(&context.client()?, &id(&logs.job)?, stream, logs.follow)?;
    Ok(0)
}

/// Prints a stream from its beginning; on and on until the job is over if told so.
pub fn follow(client: &Client, id: &str, stream: &str, to_the_end: bool) -> Result<(), Fail> {
    let mut offset = 0;
    let mut pause = Duration::from_millis(50);
    loop {
        let piece = client.get::<LogPiece>(&format!("/jobs/{id}/log?stream={stream}&offset={offset}&limit=1048576"));
        let piece = match piece {
            Ok(piece) => piece,
            // Before it starts a job has no output yet.
            Err(fail) if to_the_end && fail.code.is_some() => {
                let job: JobView = client.get(&format!("/jobs/{id}"))?;
                if job.state.is_over() {
                    return if job.state == StateName::Completed { Err(fail) } else { Ok(()) };
                }
                std::thread::sleep(pause);
                pause = (pause * 3 / 2).min(Duration::from_secs(1));
                continue;
            }
            Err(fail) => return Err(fail),
        };
        if !piece.text.is_empty() {
            print(&piece.text);
            pause = Duration::from_millis(50);
        }
        let moved = piece.next > offset;
        offset = piece.next;
        if !moved && (piece.complete || !to_the_end) {
            return Ok(());
        }
        if !moved {
            std::thread::sleep(pause);
            pause = (pause * 3 / 2).min(Duration::from_secs(1));
        }
    }
}
