//! Starts a step's tasks, forwards signals, waits for all, and says how they ended.
//!
//! Every task leads a process group of its own, so that ending one ends what it started.
use super::exec;
use super::layout::{Step, StepNode};
use super::pump::{self, Input, Manner, Outlet, Outputs, Sink, Target};
use crate::fail::Fail;
use madang_engine::hostlist;
use madang_engine::pattern::Names;
use madang_engine::tasks::counts_text;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

/// How a step runs.
pub struct Plan {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Environment before the task's own variables.
    pub env: Vec<(String, String)>,
    /// Working folder.
    pub folder: Option<String>,
    /// The step's number.
    pub step: u32,
    /// The job, for patterns and messages.
    pub names: Names,
    /// `--output`.
    pub output: Target,
    /// `--error`; the output's where not given.
    pub error: Option<Target>,
    /// `--input`.
    pub input: Input,
    /// Labels and buffering.
    pub manner: Manner,
    /// End all tasks when one ends badly.
    pub kill_on_bad_exit: bool,
    /// Task 0 has the terminal.
    pub pty: bool,
    /// CPUs for each task, if said.
    pub cpus_per_task: Option<u32>,
    /// No messages.
    pub quiet: bool,
    /// How long tasks may take to end once told.
    pub grace: Duration,
}

/// Process groups of the tasks that still run, for whoever has to signal them.
#[derive(Clone, Default)]
pub struct Running(Arc<Mutex<Tasks>>);

#[derive(Default)]
struct Tasks {
    groups: Vec<Pid>,
    /// A signal came before there was a task to be told.
    told: bool,
}

impl Running {
    fn tasks(&self) -> MutexGuard<'_, Tasks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Signals every task.
    pub fn signal(&self, signal: Signal) {
        for group in &self.tasks().groups {
            // A group that is gone has nobody to be told.
            let _ = killpg(*group, signal);
        }
    }

    /// `TERM`, a grace period, `KILL`; on a thread of its own.
    pub fn end(&self, grace: Duration) {
        self.signal(Signal::SIGTERM);
        let running = self.clone();
        std::thread::spawn(move || {
            std::thread::sleep(grace);
            running.signal(Signal::SIGKILL);
        });
    }

    /// True when no task runs.
    pub fn is_empty(&self) -> bool {
        self.tasks().groups.is_empty()
    }

    /// If no task runs, true, and those that are about to start are told to end as they do.
    pub fn end_those_to_come(&self) -> bool {
        let mut tasks = self.tasks();
        tasks.told |= tasks.groups.is_empty();
        tasks.groups.is_empty()
    }

    fn add(&self, pid: Pid) {
        let mut tasks = self.tasks();
        tasks.groups.push(pid);
        if tasks.told {
            let _ = killpg(pid, Signal::SIGTERM);
        }
    }

    fn remove(&self, pid: Pid) {
        self.tasks().groups.retain(|known| *known != pid);
    }
}

/// A task that ended.
struct Ended {
    rank: u32,
    node: String,
    status: ExitStatus,
}

/// Runs the step to its end; the largest exit code.
pub fn run(plan: &Plan, step: &Step, running: &Running) -> Result<u8, Fail> {
    let (done, ends) = mpsc::channel();
    let mut outputs = Outputs::new(plan.manner);
    let (out, err) = (pump::own_stdout(), pump::own_stderr());
    let mut pumps = Vec::new();
    let mut inputs = Vec::new();
    let mut started = 0;
    for (number, node) in step.nodes.iter().enumerate() {
        for (local, rank) in node.ranks.iter().enumerate() {
            let names =
                pump::names(&plan.names, &node.share.name, plan.step, u32::try_from(number).unwrap_or(0), *rank);
            let mut command = exec::command(&plan.command)?;
            command.env_clear().envs(plan.env.iter().map(|(name, value)| (name, value)));
            command.envs(variables(plan, step, node, number, local));
            if let Some(folder) = &plan.folder {
                command.current_dir(folder);
            }
            let child = start(plan, &mut command, &mut outputs, &names, &out, &err);
            let mut child = match child {
                Ok(child) => child,
                Err(fail) => {
                    running.end(Duration::from_millis(100));
                    return Err(fail);
                }
            };
            let sinks = (child.1.take(), child.2.take());
            let mut child = child.0;
            let pid = Pid::from_raw(i32::try_from(child.id()).unwrap_or(0));
            if !(plan.pty && *rank == 0) {
                running.add(pid);
            }
            pumps.extend(connect(&mut child, sinks, *rank, plan.manner));
            inputs.extend(child.stdin.take());
            started += 1;
            wait(child, pid, running.clone(), done.clone(), (*rank, node.share.name.clone()));
        }
    }
    drop(done);
    if !inputs.is_empty() {
        pump::feed(inputs);
    }
    let exit = collect(plan, running, &ends, started);
    pumps.into_iter().for_each(|pump| {
        // A pump that panicked has nothing more to say.
        let _ = pump.join();
    });
    Ok(exit)
}

type Started = (Child, Option<Sink>, Option<Sink>);

fn start(
    plan: &Plan,
    command: &mut Command,
    outputs: &mut Outputs,
    names: &Names,
    out: &Sink,
    err: &Sink,
) -> Result<Started, Fail> {
    let rank = names.task.map_or(0, |task| task.rank);
    let mut sinks = (None, None);
    if plan.pty && rank == 0 {
        // The terminal is this one: every node of the allocation is this machine.
        command.stdin(Stdio::inherit()).stdout(Stdio::inherit()).stderr(Stdio::inherit());
    } else {
        command.process_group(0);
        command.stdin(stdin(&plan.input, names)?);
        let outlet = outputs.outlet(&plan.output, names, out)?;
        let error = match (&plan.error, &plan.output) {
            (Some(target), _) | (None, target @ Target::Files(_)) => outputs.outlet(target, names, err)?,
            (None, target) => outputs.outlet(target, names, err)?,
        };
        let stdio = |outlet: Outlet, sink: &mut Option<Sink>| match outlet {
            Outlet::Direct(stdio) => stdio,
            Outlet::Through(to) => {
                *sink = Some(to);
                Stdio::piped()
            }
        };
        command.stdout(stdio(outlet, &mut sinks.0)).stderr(stdio(error, &mut sinks.1));
    }
    let child = command.spawn().map_err(|error| Fail::new(format!("failed to start task {rank}: {error}")))?;
    Ok((child, sinks.0, sinks.1))
}

fn stdin(input: &Input, names: &Names) -> Result<Stdio, Fail> {
    let rank = names.task.map_or(0, |task| task.rank);
    match input {
        Input::All => Ok(Stdio::piped()),
        Input::One(wanted) if *wanted == rank => Ok(Stdio::piped()),
        Input::One(_) | Input::Nothing => Ok(Stdio::null()),
        Input::Files(pattern) => {
            let path = madang_engine::pattern::expand(pattern, names);
            let file = std::fs::File::open(&path);
            file.map(Stdio::from).map_err(|error| Fail::new(format!("Could not open stdin file {path}: {error}")))
        }
    }
}

fn connect(
    child: &mut Child,
    sinks: (Option<Sink>, Option<Sink>),
    rank: u32,
    manner: Manner,
) -> Vec<std::thread::JoinHandle<()>> {
    let mut pumps = Vec::new();
    if let (Some(stream), Some(sink)) = (child.stdout.take(), sinks.0) {
        pumps.push(pump::copy(stream, sink, rank, manner));
    }
    if let (Some(stream), Some(sink)) = (child.stderr.take(), sinks.1) {
        pumps.push(pump::copy(stream, sink, rank, manner));
    }
    pumps
}

fn wait(mut child: Child, pid: Pid, running: Running, done: mpsc::Sender<Ended>, who: (u32, String)) {
    std::thread::spawn(move || {
        let status = child.wait().unwrap_or_else(|_| ExitStatus::from_raw(1 << 8));
        running.remove(pid);
        // Nobody listens any more when the step was given up.
        let _ = done.send(Ended { rank: who.0, node: who.1, status });
    });
}

fn collect(plan: &Plan, running: &Running, ends: &mpsc::Receiver<Ended>, started: usize) -> u8 {
    let mut exit = 0;
    let mut ending = false;
    for ended in ends.iter().take(started) {
        let code = crate::slurm::salloc::exit_of(ended.status);
        if code == 0 {
            continue;
        }
        exit = exit.max(code);
        if !plan.quiet {
            let how = match ended.status.signal() {
                Some(signal) => name(signal),
                None => format!("Exited with exit code {code}"),
            };
            eprintln!("srun: error: {}: task {}: {how}", ended.node, ended.rank);
        }
        if plan.kill_on_bad_exit && !ending && !running.is_empty() {
            ending = true;
            eprintln!("srun: Terminating StepId={}.{}", plan.names.job, plan.step);
            running.end(plan.grace.min(Duration::from_secs(5)));
        }
    }
    exit
}

/// What the C library calls a signal.
fn name(signal: i32) -> String {
    match Signal::try_from(signal) {
        Ok(Signal::SIGKILL) => "Killed".to_owned(),
        Ok(Signal::SIGTERM) => "Terminated".to_owned(),
        Ok(Signal::SIGINT) => "Interrupt".to_owned(),
        Ok(Signal::SIGSEGV) => "Segmentation fault".to_owned(),
        Ok(Signal::SIGABRT) => "Aborted".to_owned(),
        Ok(Signal::SIGBUS) => "Bus error".to_owned(),
        Ok(Signal::SIGFPE) => "Floating point exception".to_owned(),
        Ok(Signal::SIGUSR1) => "User defined signal 1".to_owned(),
        Ok(Signal::SIGUSR2) => "User defined signal 2".to_owned(),
        Ok(Signal::SIGHUP) => "Hangup".to_owned(),
        _ => format!("Signal {signal}"),
    }
}

/// The variables of one task.
fn variables(plan: &Plan, step: &Step, node: &StepNode, number: usize, local: usize) -> Vec<(String, String)> {
    let mut set: Vec<(String, String)> = Vec::new();
    let mut put = |name: &str, value: String| set.push((name.to_owned(), value));
    let comma = |numbers: &[u32]| numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    let nodes: Vec<String> = step.nodes.iter().map(|node| node.share.name.clone()).collect();
    let counts: Vec<u32> = step.nodes.iter().map(|node| u32::try_from(node.ranks.len()).unwrap_or(0)).collect();
    let list = hostlist::in_order(&nodes);
    let tasks = step.tasks().to_string();
    put("SLURM_PROCID", node.ranks[local].to_string());
    put("SLURM_LOCALID", local.to_string());
    put("SLURM_NODEID", number.to_string());
    put("SLURM_GTIDS", comma(&node.ranks));
    for name in ["SLURM_NTASKS", "SLURM_NPROCS", "SLURM_STEP_NUM_TASKS"] {
        put(name, tasks.clone());
    }
    for name in ["SLURM_NNODES", "SLURM_STEP_NUM_NODES"] {
        put(name, nodes.len().to_string());
    }
    for name in ["SLURM_STEP_ID", "SLURM_STEPID"] {
        put(name, plan.step.to_string());
    }
    for name in ["SLURM_NODELIST", "SLURM_STEP_NODELIST"] {
        put(name, list.clone());
    }
    for name in ["SLURM_TASKS_PER_NODE", "SLURM_STEP_TASKS_PER_NODE"] {
        put(name, counts_text(&counts));
    }
    put("SLURMD_NODENAME", node.share.name.clone());
    put("SLURM_TOPOLOGY_ADDR", node.share.name.clone());
    put("SLURM_CPUS_ON_NODE", node.share.cpus.to_string());
    put("SLURM_LAUNCH_NODE_IPADDR", "127.0.0.1".to_owned());
    put("SLURM_SRUN_COMM_HOST", "127.0.0.1".to_owned());
    if let Some(count) = plan.cpus_per_task {
        put("SLURM_CPUS_PER_TASK", count.to_string());
    }
    let devices = comma(&node.devices[local]);
    for name in ["CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL"] {
        put(name, devices.clone());
    }
    put("NVIDIA_VISIBLE_DEVICES", if devices.is_empty() { "void".to_owned() } else { devices });
    put("SLURM_STEP_GPUS", comma(&node.step_devices));
    put("SLURM_GPUS_ON_NODE", node.step_devices.len().to_string());
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_that_starts_after_the_signal_ends_by_it() {
        let task = || Command::new("sleep").arg("60").process_group(0).spawn().expect("it runs");
        let pid = |child: &Child| Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
        let (running, mut first, mut second) = (Running::default(), task(), task());
        running.add(pid(&first));
        assert!(!running.end_those_to_come(), "who runs is told by the signal itself");
        first.kill().and_then(|()| first.wait()).expect("ours");
        running.remove(pid(&first));
        assert!(running.end_those_to_come());
        running.add(pid(&second));
        assert_eq!(second.wait().expect("ours").signal(), Some(Signal::SIGTERM as i32));
    }
}
