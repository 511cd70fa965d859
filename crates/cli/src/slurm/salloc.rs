//! `salloc`: nodes of one's own for a shell or a command, given back when it ends.
use super::ask::line_parts;
use super::options::SALLOC;
use super::srun::signals::Signals;
use super::srun::{allocation, exec};
use super::{jobtable, sbatch};
use crate::client::Client;
use crate::fail::Fail;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Duration;

/// How long a command may take to end after its allocation is gone.
const GRACE: Duration = Duration::from_secs(5);

/// Runs the command.
pub fn run(args: &[String]) -> Result<u8, Fail> {
    let (parts, operands) = line_parts(SALLOC, args)?;
    if let Some(exit) = super::about("salloc", jobtable::TABLE, SALLOC, &parts[0]) {
        return Ok(exit);
    }
    let mut asked = allocation::gather(SALLOC, "SALLOC_", &parts)?;
    let place = Default::default();
    let client = Client::find(&place)?;
    sbatch::say(&asked, "salloc");
    let signals = Signals::block().map_err(|error| Fail::new(format!("failed to listen for signals: {error}")))?;
    let id = allocation::submit(&client, &mut asked, "interactive")?;
    let quiet = asked.has("quiet");
    if !quiet {
        eprintln!("salloc: Pending job allocation {id}");
    }
    let stopped = Arc::new(AtomicBool::new(false));
    let child = Arc::new(AtomicI32::new(0));
    listen(signals, stopped.clone(), child.clone());
    let most = asked.has("immediate").then(|| immediate(&asked));
    let entered = allocation::wait(&client, "salloc", id, quiet, most, &stopped)
        .and_then(|job| allocation::enter(&client, job, Some(&asked)));
    let held = match entered {
        Ok(held) => held,
        Err(fail) => {
            allocation::end(&client, id, fail.exit);
            return Err(fail);
        }
    };
    if !quiet {
        eprintln!("salloc: Granted job allocation {id}");
    }
    if asked.has("no-shell") {
        return Ok(0);
    }
    let done = Arc::new(AtomicBool::new(false));
    let revoked = Arc::new(AtomicBool::new(false));
    let (target, gone) = (child.clone(), revoked.clone());
    allocation::watch(Client::find(&place)?, id, done.clone(), move |_| {
        gone.store(true, Ordering::SeqCst);
        eprintln!("salloc: Job allocation {id} has been revoked.");
        end_child(&target);
    });
    let exit = run_command(&operands, held.env, asked.job.chdir.as_deref(), &child);
    done.store(true, Ordering::SeqCst);
    if !revoked.load(Ordering::SeqCst) {
        if !quiet {
            eprintln!("salloc: Relinquishing job allocation {id}");
        }
        allocation::end(&client, id, exit);
    }
    Ok(exit)
}

/// `--immediate[=seconds]`.
pub fn immediate(asked: &super::ask::Asked) -> Duration {
    let text = asked.job.flags.get("immediate").map(String::as_str).unwrap_or_default();
    Duration::from_secs(text.parse().unwrap_or(1))
}

fn run_command(operands: &[String], env: Vec<(String, String)>, folder: Option<&str>, child: &AtomicI32) -> u8 {
    let shell =
        || std::env::var("SHELL").ok().filter(|shell| !shell.is_empty()).unwrap_or_else(|| "/bin/sh".to_owned());
    let words = if operands.is_empty() { vec![shell()] } else { operands.to_vec() };
    let mut command = match exec::command(&words) {
        Ok(command) => command,
        Err(fail) => {
            eprintln!("salloc: error: {fail}");
            return 1;
        }
    };
    command.env_clear().envs(env);
    if let Some(folder) = folder {
        command.current_dir(folder);
    }
    let mut running = match command.spawn() {
        Ok(running) => running,
        Err(error) => {
            eprintln!("salloc: error: failed to run {}: {error}", words[0]);
            return 1;
        }
    };
    child.store(i32::try_from(running.id()).unwrap_or(0), Ordering::SeqCst);
    let status = running.wait();
    child.store(0, Ordering::SeqCst);
    match status {
        Ok(status) => exit_of(status),
        Err(_) => 1,
    }
}

/// A status as a shell's exit code.
pub fn exit_of(status: std::process::ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    u8::try_from(code & 0xff).unwrap_or(1)
}

/// Signals end the wait, or go to the command. Those of the terminal's keys reach the command by themselves.
fn listen(signals: Signals, stopped: Arc<AtomicBool>, child: Arc<AtomicI32>) {
    std::thread::spawn(move || {
        for signal in signals {
            let pid = child.load(Ordering::SeqCst);
            if pid == 0 {
                stopped.store(true, Ordering::SeqCst);
            } else if matches!(signal, Signal::SIGTERM | Signal::SIGHUP) {
                let child = child.clone();
                std::thread::spawn(move || end_child(&child));
            } else if matches!(signal, Signal::SIGUSR1 | Signal::SIGUSR2) {
                // The command may be over by now; then nobody is there to be told.
                let _ = kill(Pid::from_raw(pid), signal);
            }
        }
    });
}

/// `HUP` and `TERM`, then `KILL`: interactive shells pass over `TERM`.
fn end_child(child: &AtomicI32) {
    for (signal, pause) in [(Signal::SIGHUP, 0), (Signal::SIGTERM, 1), (Signal::SIGKILL, 0)] {
        let pid = child.load(Ordering::SeqCst);
        if pid == 0 {
            return;
        }
        let _ = kill(Pid::from_raw(pid), signal);
        for _ in 0..pause * 50 {
            std::thread::sleep(GRACE / 50);
            if child.load(Ordering::SeqCst) == 0 {
                return;
            }
        }
    }
}
