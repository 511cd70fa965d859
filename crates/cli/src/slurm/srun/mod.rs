//! `srun`: tasks over an allocation. Inside a job over what the job holds, outside over a job of its own.
//!
//! The nodes of an allocation here are all this machine, so tasks are children of this process; they carry
//! `SLURM_STEP_ID`, by which the engine tells a job's steps from its batch script.
pub mod allocation;
pub mod exec;
pub mod layout;
pub mod pump;
pub mod run;
pub mod signals;

use super::ask::{Asked, Source, line_parts, variables};
use super::options::{Given, SRUN};
use super::{export, jobtable, salloc, sbatch};
use crate::client::Client;
use crate::fail::Fail;
use layout::StepWish;
use madang_api::JobView;
use madang_engine::NodeShare;
use madang_engine::environ::AllocationText;
use madang_engine::pattern::Names;
use nix::sys::signal::Signal;
use pump::Manner;
use run::{Plan, Running};
use signals::Signals;
use std::io::{IsTerminal, Read, Seek, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long tasks inside a job may take to end once told; the engine's own grace is shorter.
const GRACE_INSIDE: Duration = Duration::from_secs(30);
/// How long they may take outside one.
const GRACE_OUTSIDE: Duration = Duration::from_secs(5);

/// Runs the command.
pub fn run(args: &[String]) -> Result<u8, Fail> {
    let (parts, operands) = line_parts(SRUN, args)?;
    let given = &parts[0];
    if let Some(exit) = super::about("srun", jobtable::TABLE, SRUN, given) {
        return Ok(exit);
    }
    if operands.is_empty() {
        return Err(Fail::new("No command given to execute."));
    }
    if operands.iter().any(|word| word == ":") {
        return Err(Fail::new("several commands divided by : are not supported")
            .hint("start one srun for each, with --het-group"));
    }
    if given.iter().any(|given| given.name == "multi-prog") {
        return Err(Fail::new("--multi-prog is not supported").hint("branch on SLURM_PROCID in a script"));
    }
    let inside = std::env::var("SLURM_JOB_ID").ok().filter(|id| !id.is_empty());
    let allocation = std::env::var("MADANG_ALLOCATION").ok().filter(|text| !text.is_empty());
    let jobid = given.iter().rev().find(|given| given.name == "jobid").map(|given| given.text().to_owned());
    match (jobid, inside, allocation) {
        (Some(id), inside, _) if inside.as_deref() != Some(&id) => attach(given, operands, &id),
        (_, Some(_), Some(text)) => {
            let held: AllocationText = serde_json::from_str(&text)
                .map_err(|error| Fail::new(format!("failed to read MADANG_ALLOCATION: {error}")))?;
            step_inside(given, operands, &held.nodes)
        }
        (_, Some(id), None) => attach(given, operands, &id),
        _ => outside(&parts, operands),
    }
}

/// What the command line and the variables ask for, apart: some of the first override some of the second.
struct Wishes {
    line: Asked,
    env: Asked,
}

fn wishes(given: &[Given], get: impl Fn(&str) -> Option<String>) -> Result<Wishes, Fail> {
    let mut line = Asked::new(crate::time::now_ms());
    line.take_all(0, Source::Line, SRUN, given)?;
    let mut env = Asked::new(crate::time::now_ms());
    env.take_all(0, Source::Variable, SRUN, &variables(SRUN, "SLURM_", get))?;
    Ok(Wishes { line, env })
}

/// A step's wish, with Slurm's rules on what overrides what.
fn wish(wishes: &Wishes, group_is_first: bool) -> StepWish {
    let (line, env) = (&wishes.line.parts[0], &wishes.env.parts[0]);
    let per_node = line.ntasks_per_node.or(env.ntasks_per_node.filter(|_| group_is_first && line.ntasks.is_none()));
    // A count for each node on the command line outdoes the whole job's count in the environment.
    let from_env = env.ntasks.filter(|_| group_is_first && line.ntasks_per_node.is_none());
    let bind = wishes.line.job.flags.get("gpu-bind").or(wishes.env.job.flags.get("gpu-bind"));
    let own_gpus = line.gpus_per_node.is_some() || line.gpus.is_some();
    let per_task = line.gpus_per_task.as_ref().or(env.gpus_per_task.as_ref().filter(|_| !own_gpus));
    StepWish {
        nodes: line.nodes.map(|(least, _)| least),
        ntasks: line.ntasks.or(from_env),
        per_node,
        cpus_per_task: line.cpus_per_task,
        gpus_per_task: per_task.map(|gpus| gpus.count),
        gpus_per_node: line.gpus_per_node.as_ref().map(|gpus| gpus.count),
        unbound: bind.is_some_and(|bind| bind.trim_start_matches("verbose,") == "none"),
        include: line.nodelist.clone(),
        exclude: line.exclude.clone(),
        relative: wishes.line.job.flags.get("relative").and_then(|text| text.parse().ok()).unwrap_or(0),
        overcommit: line.overcommit || env.overcommit,
    }
}

/// A step of the job that this process is in.
fn step_inside(given: &[Given], operands: Vec<String>, held: &[NodeShare]) -> Result<u8, Fail> {
    let wishes = wishes(given, |name| std::env::var(name).ok())?;
    say_ignored(&wishes);
    let env: Vec<(String, String)> = export::environment().collect();
    let signals = listen()?;
    let running = Running::default();
    forward(signals, running.clone(), GRACE_INSIDE, None);
    let env = export::apply(wishes.line.job.export.as_deref(), env.into_iter())?;
    start(&wishes, operands, held, env, &running, GRACE_INSIDE)
}

/// A step of another job that runs: its nodes and environment come from the server.
fn attach(given: &[Given], operands: Vec<String>, id: &str) -> Result<u8, Fail> {
    let client = Client::find(&Default::default())?;
    let job: JobView = client.get(&format!("/jobs/{id}"))?;
    if job.state != madang_api::StateName::Running {
        return Err(Fail::new(format!("Unable to create step for job {id}: it is {}", super::jobs::long(job.state))));
    }
    let held = allocation::enter(&client, job, None)?;
    let get = |name: &str| held.env.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    let wishes = wishes(given, get)?;
    say_ignored(&wishes);
    let running = Running::default();
    forward(listen()?, running.clone(), GRACE_OUTSIDE, None);
    start(&wishes, operands, &held.nodes, held.env.clone(), &running, GRACE_OUTSIDE)
}

/// A job of its own for the step.
fn outside(parts: &[Vec<Given>], operands: Vec<String>) -> Result<u8, Fail> {
    let mut asked = allocation::gather(SRUN, "SLURM_", parts)?;
    let place = Default::default();
    let client = Client::find(&place)?;
    sbatch::say(&asked, "srun");
    let name = operands[0].rsplit('/').next().unwrap_or("srun").to_owned();
    if asked.has("test-only") {
        let done = allocation::try_out(&client, &mut asked, &name)?;
        eprintln!("srun: {}", done.outlook.as_ref().map_or(String::new(), sbatch::foretold));
        return Ok(0);
    }
    let signals = listen()?;
    let id = allocation::submit(&client, &mut asked, &name)?;
    let stopped = Arc::new(AtomicBool::new(false));
    let running = Running::default();
    forward(signals, running.clone(), GRACE_OUTSIDE, Some(stopped.clone()));
    let most = asked.has("immediate").then(|| salloc::immediate(&asked));
    let done = Arc::new(AtomicBool::new(false));
    let result = allocation::wait(&client, "srun", id, asked.has("quiet"), most, &stopped).and_then(|job| {
        let held = allocation::enter(&client, job, Some(&asked))?;
        let tasks = running.clone();
        allocation::watch(Client::find(&place)?, id, done.clone(), move |_| {
            eprintln!("srun: Job allocation {id} has been revoked");
            tasks.end(GRACE_OUTSIDE);
        });
        let get = |name: &str| held.env.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        let wishes = wishes(&parts[0], get)?;
        let env = export::apply(wishes.line.job.export.as_deref(), held.env.clone().into_iter())?;
        start(&wishes, operands, &held.nodes, env, &running, GRACE_OUTSIDE)
    });
    done.store(true, Ordering::SeqCst);
    let exit = result.as_ref().map_or_else(|fail| fail.exit, |exit| *exit);
    allocation::end(&client, id, exit);
    result
}

fn say_ignored(wishes: &Wishes) {
    if !wishes.line.ignored.is_empty() && !wishes.line.has("quiet") {
        let names: Vec<String> = wishes.line.ignored.iter().map(|name| format!("--{name}")).collect();
        eprintln!("srun: ignored here: {}", names.join(", "));
    }
}

fn listen() -> Result<Signals, Fail> {
    Signals::block().map_err(|error| Fail::new(format!("failed to listen for signals: {error}")))
}

/// Lays the step out and runs it.
fn start(
    wishes: &Wishes,
    operands: Vec<String>,
    held: &[NodeShare],
    env: Vec<(String, String)>,
    running: &Running,
    grace: Duration,
) -> Result<u8, Fail> {
    let line = &wishes.line;
    let groups = groups(line)?;
    let nodes: Vec<NodeShare> = held.iter().filter(|node| groups.contains(&node.part)).cloned().collect();
    if nodes.is_empty() {
        return Err(Fail::new(format!("Unable to create step: the job has no group {groups:?}")));
    }
    let mut wish = wish(wishes, groups.contains(&0));
    let get = |name: &str| env.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    if !groups.contains(&0) && wish.ntasks.is_none() && wish.per_node.is_none() {
        let group = groups.first().copied().unwrap_or(0);
        wish.ntasks = get(&format!("SLURM_NTASKS_HET_GROUP_{group}")).and_then(|text| text.parse().ok());
    }
    if let Some(total) = line.parts[0].gpus.as_ref().map(|gpus| gpus.count) {
        let count = wish.nodes.map_or(nodes.len(), |count| count as usize).max(1);
        wish.gpus_per_node = Some(total.div_ceil(u32::try_from(count).unwrap_or(1)));
    }
    let step = layout::lay_out(&nodes, &wish, 0)?;
    if !line.has("quiet") {
        step.warnings.iter().for_each(|warning| eprintln!("srun: {warning}"));
    }
    let option = |name: &str| line.job.flags.get(name).or(wishes.env.job.flags.get(name)).map(String::as_str);
    let last = step.tasks().saturating_sub(1);
    let label = option("label").filter(|text| *text != "0").map(|_| last.to_string().len());
    let number = |name: &str| get(name).and_then(|text| text.parse::<u64>().ok());
    let array = number("SLURM_ARRAY_JOB_ID").zip(number("SLURM_ARRAY_TASK_ID"));
    let job = number("SLURM_JOB_ID").unwrap_or(0);
    let restarts = number("SLURM_RESTART_COUNT").unwrap_or(0);
    let pty = line.has("pty") && std::io::stdin().is_terminal();
    let output = line.job.output.clone().or(wishes.env.job.output.clone());
    let error = line.job.error.clone().or(wishes.env.job.error.clone());
    let plan = Plan {
        command: operands,
        folder: line.job.chdir.clone(),
        step: next_step(job, restarts),
        names: Names {
            job,
            array: array.map(|(job, task)| (job, u32::try_from(task).unwrap_or(0))),
            job_name: get("SLURM_JOB_NAME").unwrap_or_default().to_owned(),
            user: get("SLURM_JOB_USER").or(get("USER")).unwrap_or_default().to_owned(),
            ..Names::default()
        },
        output: pump::target(output.as_deref()),
        error: error.as_deref().map(|text| pump::target(Some(text))),
        input: pump::input(line.job.input.as_deref().or(wishes.env.job.input.as_deref())),
        manner: Manner {
            label,
            unbuffered: option("unbuffered").is_some(),
            append: line.job.append.or(wishes.env.job.append).unwrap_or(false),
        },
        kill_on_bad_exit: option("kill-on-bad-exit").is_some_and(|text| text != "0"),
        pty,
        cpus_per_task: wish.cpus_per_task,
        quiet: line.has("quiet"),
        grace,
        env,
    };
    run::run(&plan, &step, running)
}

/// The parts of a heterogeneous job to use; the first unless told.
fn groups(line: &Asked) -> Result<Vec<u32>, Fail> {
    let Some(text) = line.job.flags.get("het-group").or(line.job.flags.get("pack-group")) else { return Ok(vec![0]) };
    let wrong = || Fail::new(super::values::invalid("het-group", text));
    let mut groups = Vec::new();
    for item in text.split(',') {
        let (first, last) = item.split_once('-').unwrap_or((item, item));
        let (first, last): (u32, u32) = (first.parse().map_err(|_| wrong())?, last.parse().map_err(|_| wrong())?);
        if last < first || last - first > 1000 {
            return Err(wrong());
        }
        groups.extend(first..=last);
    }
    Ok(groups)
}

/// Steps of a run are numbered from 0. The count is kept in a small file of the user's own, because steps are started
/// by processes that do not know of each other; without it every step is 0.
fn next_step(job: u64, restarts: u64) -> u32 {
    let count = || -> std::io::Result<u32> {
        let folder = std::env::temp_dir().join(format!("madang-steps-{}", nix::unistd::getuid()));
        use std::os::unix::fs::{DirBuilderExt, MetadataExt};
        std::fs::DirBuilder::new().mode(0o700).recursive(true).create(&folder)?;
        if std::fs::symlink_metadata(&folder)?.uid() != nix::unistd::getuid().as_raw() {
            return Ok(0);
        }
        let run = std::env::var(madang_engine::environ::MARK).unwrap_or_default();
        let clean: String = run.chars().filter(char::is_ascii_alphanumeric).take(64).collect();
        let path = folder.join(format!("{job}-{restarts}-{clean}"));
        let mut file = std::fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        file.lock()?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let step = text.trim().parse().unwrap_or(0);
        file.rewind()?;
        file.set_len(0)?;
        write!(file, "{}", step + 1)?;
        Ok(step)
    };
    count().unwrap_or(0)
}

/// Hands signals to the tasks. `INT` at a terminal asks twice, as Slurm's does. While there are no tasks yet, a signal
/// ends the wait for them, and those that start in that moment.
fn forward(signals: Signals, running: Running, grace: Duration, stopped: Option<Arc<AtomicBool>>) {
    std::thread::spawn(move || {
        let mut asked: Option<Instant> = None;
        for signal in signals {
            if let Some(stopped) = &stopped
                && running.end_those_to_come()
            {
                stopped.store(true, Ordering::SeqCst);
                continue;
            }
            match signal {
                Signal::SIGINT if std::io::stdin().is_terminal() => {
                    if asked.is_some_and(|at| at.elapsed() < Duration::from_secs(1)) {
                        eprintln!("srun: sending Ctrl-C to the tasks");
                        running.signal(Signal::SIGINT);
                        running.end(grace);
                    } else {
                        eprintln!("srun: interrupt (one more within 1 sec to abort)");
                        asked = Some(Instant::now());
                    }
                }
                Signal::SIGINT => running.signal(Signal::SIGINT),
                Signal::SIGTERM | Signal::SIGHUP | Signal::SIGQUIT => {
                    eprintln!("srun: forcing job termination");
                    running.end(grace);
                }
                Signal::SIGTSTP => {}
                signal => running.signal(signal),
            }
        }
    });
}
