//! A process below which a Slurm's daemons and all that they leave behind stay, so that what they have had of the
//! processor can be told from everything else that runs on the machine.
use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Milliseconds in one of the kernel's ticks, as `/proc` counts the processor's time.
const TICK_MS: u64 = 10;

/// The process, as its parent sees it.
pub struct Lodge(Child);

/// What processes have had of the processor, in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spent {
    /// By themselves.
    pub own: u64,
    /// By those of their children that have ended and were waited for, with theirs.
    pub children: u64,
}

impl Spent {
    /// Of a process; nothing when there is none.
    pub fn of(process: &str) -> Spent {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        // After the name in brackets; the times are the 14th to 17th of all.
        let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
        let ticks: Vec<u64> = fields.skip(11).take(4).filter_map(|field| field.parse().ok()).collect();
        let [user, system, waited_user, waited_system] = ticks[..] else { return Spent::default() };
        Spent { own: (user + system) * TICK_MS, children: (waited_user + waited_system) * TICK_MS }
    }

    /// Both.
    pub fn all(self) -> u64 {
        self.own + self.children
    }
}

impl Lodge {
    /// Has a script that starts daemons run below a process of its own, to its end.
    pub fn start(script: &Path, args: &[&str]) -> Result<Lodge> {
        let me = std::env::current_exe().context("failed to find this program")?;
        let mut command = Command::new(me);
        command.arg("bench-lodge").arg(script).args(args);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let output = child.stdout.take().context("its output is piped")?;
        let said = BufReader::new(output).lines().map_while(Result::ok).find(|line| !line.is_empty());
        let lodge = Lodge(child);
        if said.as_deref() != Some("ready") {
            bail!("{} did not start a Slurm", script.display());
        }
        Ok(lodge)
    }

    /// What has ended below it and belonged to nobody else: Slurm's own processes of jobs, and the jobs.
    pub fn orphans(&self) -> u64 {
        Spent::of(&self.0.id().to_string()).children
    }

    /// Its daemons, with what they waited for: the one of this name, or all others.
    pub fn daemons(&self, is_wanted: impl Fn(&str) -> bool) -> u64 {
        let id = self.0.id();
        let text = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        let name = |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        let wanted = text.split_whitespace().filter(|pid| is_wanted(name(pid).trim()));
        wanted.map(|pid| Spent::of(pid).all()).sum()
    }
}

impl Drop for Lodge {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// `xtask bench-lodge SCRIPT ARGUMENTS`: runs the script, then takes in what is left without a parent until it is killed.
pub fn lodge(args: &[String]) -> Result<()> {
    let [script, rest @ ..] = args else { bail!("wants a script") };
    nix::sys::prctl::set_child_subreaper(true)?;
    let mut start = Command::new(script);
    let status = start.args(rest).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    if !status.success() {
        bail!("{script} ended with {status}");
    }
    println!("ready");
    loop {
        if nix::sys::wait::wait() == Err(Errno::ECHILD) {
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}
