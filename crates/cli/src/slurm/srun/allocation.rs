//! An allocation of one's own: a job that holds nodes and runs nothing, for `salloc` and for `srun` outside a job.
//!
//! Invariant: whoever made the job ends it, whichever way the command ends; while it lives a watcher notices when the
//! job ends first (its limit, a cancel).
use crate::client::Client;
use crate::fail::Fail;
use crate::slurm::ask::{Asked, Source, variables};
use crate::slurm::options::Given;
use crate::slurm::{export, sbatch, submission};
use crate::time::now_ms;
use madang_api::{Batch, Changed, JobView, NodeView, StateName, Submit, Submitted};
use madang_engine::environ::{Surroundings, environment};
use madang_engine::{LaunchSpec, NodeShare, Order, PartInfo};
use madang_model::{JobId, RunId, Span, Time};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A job that runs, seen from outside.
pub struct Held {
    /// What it holds.
    pub nodes: Vec<NodeShare>,
    /// Its environment, as its batch script would have it.
    pub env: Vec<(String, String)>,
}

/// Folds variables and the command line of `salloc` or `srun`.
pub fn gather(on: u8, prefix: &str, parts: &[Vec<Given>]) -> Result<Asked, Fail> {
    let mut asked = Asked::new(now_ms());
    let set = variables(on, prefix, |name| std::env::var(name).ok());
    asked.take_all(0, Source::Variable, on, &set)?;
    for (number, given) in parts.iter().enumerate() {
        asked.take_all(number, Source::Line, on, given)?;
    }
    Ok(asked)
}

/// Submits the holding job; its id.
pub fn submit(client: &Client, asked: &mut Asked, name: &str) -> Result<u64, Fail> {
    let submit = holding(client, asked, name)?;
    send(client, asked, name, &submit).map(|done| done.job)
}

/// What would become of the holding job; nothing is submitted.
pub fn try_out(client: &Client, asked: &mut Asked, name: &str) -> Result<Submitted, Fail> {
    let submit = holding(client, asked, name)?;
    send(client, asked, name, &Submit { dry_run: true, ..submit })
}

fn holding(client: &Client, asked: &mut Asked, name: &str) -> Result<Submit, Fail> {
    let mut submit = sbatch::sized(client, asked)?;
    if submit.elastic.take().is_some() {
        eprintln!("{name}: using the fewest of --nodes; sbatch takes as many as are free");
    }
    let here = sbatch::text_of(&sbatch::current_folder()?)?;
    if submit.name.is_empty() {
        submit.name = name.to_owned();
    }
    // Nobody restarts a shell.
    submit.requeue = Some(false);
    submit.batch = Some(Batch { hold_only: true, cwd: here, submit_host: sbatch::host(), ..Batch::default() });
    Ok(submit)
}

fn send(client: &Client, asked: &Asked, name: &str, submit: &Submit) -> Result<Submitted, Fail> {
    sbatch::send(client, asked, name, submit).map_err(|fail| {
        let fail = sbatch::refusal(fail);
        let fact = fail.fact.replacen("Batch job submission failed", "Unable to allocate resources", 1);
        Fail { fact, ..fail }
    })
}

/// Waits until the job runs. Gives up when it ends, when `stopped` says so, or after `most`.
pub fn wait(
    client: &Client,
    command: &str,
    id: u64,
    quiet: bool,
    most: Option<Duration>,
    stopped: &AtomicBool,
) -> Result<JobView, Fail> {
    let begun = std::time::Instant::now();
    let mut told = false;
    let mut pause = Duration::from_millis(20);
    loop {
        let job: JobView = client.get(&format!("/jobs/{id}"))?;
        if job.state == StateName::Running {
            if told && !quiet {
                eprintln!("{command}: job {id} has been allocated resources");
            }
            return Ok(job);
        }
        if job.state.is_over() {
            eprintln!("{command}: Job allocation {id} has been revoked");
            return Err(Fail::new(format!("job {id} ended before it began: {}", job.reason_text)));
        }
        if stopped.load(Ordering::SeqCst) {
            return Err(Fail::new("interrupted").exit(130));
        }
        if most.is_some_and(|most| begun.elapsed() > most) {
            return Err(Fail::new("Unable to allocate resources: Requested nodes are busy"));
        }
        if !told && begun.elapsed() > Duration::from_millis(500) {
            told = true;
            if !quiet {
                eprintln!("{command}: job {id} queued and waiting for resources");
            }
        }
        std::thread::sleep(pause);
        pause = (pause * 3 / 2).min(Duration::from_millis(500));
    }
}

/// A running job's nodes and environment; `asked` adds what only the command line knows.
pub fn enter(client: &Client, job: JobView, asked: Option<&Asked>) -> Result<Held, Fail> {
    let names: Vec<String> = job.slots.iter().map(|slot| slot.node.clone()).collect();
    let known: Vec<NodeView> = client.list(&format!("/nodes?names={}", crate::client::escape(&names.join(","))))?;
    let share = |slot: &madang_api::SlotView| {
        let node = known.iter().find(|node| node.name == slot.node);
        NodeShare {
            name: slot.node.clone(),
            part: slot.part,
            devices: slot.devices.clone(),
            gpu_milli: slot.gpu_milli.unwrap_or(0),
            cpus: slot.cpus,
            memory_mib: slot.memory_mib,
            model: node.and_then(|node| node.gpu_model.clone()),
            pretend: node.is_some_and(|node| node.pretend),
        }
    };
    let nodes: Vec<NodeShare> = job.slots.iter().map(share).collect();
    let cluster = client.get::<madang_api::Overview>("/overview").map(|overview| overview.name).unwrap_or_default();
    let env = variables_of(&job, &nodes, asked, cluster, client.url())?;
    Ok(Held { nodes, env })
}

/// The environment, made by the engine's own rules.
fn variables_of(
    job: &JobView,
    nodes: &[NodeShare],
    asked: Option<&Asked>,
    cluster: String,
    url: &str,
) -> Result<Vec<(String, String)>, Fail> {
    let mut env: Vec<(String, String)> = export::for_job(None, export::environment())?;
    env.extend(asked.map(|asked| submission::variables(&asked.parts[0])).unwrap_or_default());
    let here = sbatch::text_of(&sbatch::current_folder()?)?;
    let parts = job.parts.iter().enumerate().map(|(number, part)| {
        let ask = asked.and_then(|asked| asked.parts.get(number));
        PartInfo {
            ntasks: ask.map_or(Some(part.tasks), |ask| ask.ntasks),
            ntasks_per_node: ask.and_then(|ask| ask.ntasks_per_node),
            cpus_per_task: ask.map_or(Some(part.cpus_per_task), |ask| ask.cpus_per_task),
        }
    });
    let order = Order {
        run: RunId { job: JobId::new(job.id), attempt: job.attempts.max(1) },
        spec: LaunchSpec {
            env,
            cwd: here.clone(),
            submit_dir: here,
            submit_host: sbatch::host(),
            ..LaunchSpec::default()
        },
        job_name: job.name.clone(),
        user_name: job.user.clone(),
        project: job.project.clone(),
        partition: job.partition.clone(),
        qos: crate::slurm::jobs::qos(job).to_owned(),
        comment: job.comment.clone(),
        cluster,
        nodes: nodes.to_vec(),
        parts: parts.collect(),
        limit: Span::from_secs(job.limit_secs),
        warning: None,
        array: None,
        restart_count: job.attempts.saturating_sub(1),
        spares: job.topology.as_ref().map_or(0, |topology| topology.spares),
        sizes: job.elastic.as_ref().map(|size| (size.least_nodes, size.most_nodes)),
        resized_from: 0,
        grace: Span::ZERO,
    };
    let around = Surroundings {
        uid: nix::unistd::getuid().as_raw(),
        gid: nix::unistd::getgid().as_raw(),
        extra: vec![("MADANG_URL".to_owned(), url.to_owned())],
        ..Surroundings::default()
    };
    let start = Time::from_millis(job.started_ms.unwrap_or_else(now_ms));
    // A marked process would be swept away with the job's own; this command ends its tasks itself.
    let env = environment(&order, &around, "", start);
    Ok(env.into_iter().filter(|(name, _)| name != madang_engine::environ::MARK && name != "ENVIRONMENT").collect())
}

/// Gives the allocation back with the exit code of what was done in it, so that the job's record tells how it went. A
/// job that never ran, or a server that knows no such thing, is told to cancel it. That it may be over already is no
/// matter.
pub fn end(client: &Client, id: u64, exit: u8) {
    let finish = serde_json::json!({ "exit": exit });
    if client.post::<Changed>(&format!("/jobs/{id}/finish"), &finish).is_err() {
        let _: Result<Changed, Fail> = client.delete(&format!("/jobs/{id}"));
    }
}

/// Looks at the job once a second on a thread of its own; calls `gone` once when it is over. Stops when `done`.
pub fn watch(client: Client, id: u64, done: Arc<AtomicBool>, gone: impl FnOnce(JobView) + Send + 'static) {
    std::thread::spawn(move || {
        loop {
            for _ in 0..10 {
                std::thread::sleep(Duration::from_millis(100));
                if done.load(Ordering::SeqCst) {
                    return;
                }
            }
            // A server that restarts is not the end of the job.
            if let Ok(job) = client.get::<JobView>(&format!("/jobs/{id}"))
                && (job.state.is_over() || job.state == StateName::Completing)
            {
                return gone(job);
            }
        }
    });
}
