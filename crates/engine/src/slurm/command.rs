//! Calls of Slurm's commands: which program, with what environment, and what a failure means.
//!
//! The commands, not the REST interface: they can say all that is needed, are there on every cluster, and their plain
//! text formats have been stable for longer than any of the REST versions.
use madang_model::SlurmSite;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a command may take: longer than Slurm's own patience with its controller.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why a command gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Slurm said no.
    Refused(String),
    /// No answer came, whatever was done.
    Unsure(String),
}

impl Failure {
    /// What was said.
    pub fn text(&self) -> &str {
        match self {
            Failure::Refused(text) | Failure::Unsure(text) => text,
        }
    }
}

/// What Slurm's commands say when they could not ask, or did not hear the answer.
const UNHEARD: [&str; 14] = [
    "unable to contact slurm controller",
    "timed out",
    "timeout",
    "zero bytes were transmitted",
    "connection refused",
    "connection reset",
    "connection failure",
    "temporarily unable",
    "transport endpoint",
    "in standby mode",
    "unexpected message",
    "broken pipe",
    "authentication",
    "munge",
];

/// A cluster, as its commands reach it.
#[derive(Clone, Debug)]
pub(crate) struct Slurm {
    conf: Option<String>,
    commands: Option<PathBuf>,
}

impl Slurm {
    /// The cluster that a centre file names.
    pub fn new(site: &SlurmSite) -> Slurm {
        Slurm { conf: site.conf.clone(), commands: site.commands.as_ref().map(PathBuf::from) }
    }

    /// The folder of the commands, where one is named.
    pub fn commands(&self) -> Option<&PathBuf> {
        self.commands.as_ref()
    }

    /// Calls a command and gives its output.
    pub fn call(&self, program: &str, arguments: &[String], input: &str) -> Result<String, Failure> {
        let path = self.commands.as_ref().map_or_else(|| PathBuf::from(program), |dir| dir.join(program));
        let mut command = Command::new(&path);
        // A clean environment: the server's own variables neither change what a command does nor reach a job.
        command.env_clear().env("LC_ALL", "C.UTF-8").args(arguments);
        if program == "squeue" {
            command.env("SLURM_TIME_FORMAT", "%s");
        }
        let search = std::env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".to_owned());
        command.env("PATH", search);
        command.envs(self.conf.iter().map(|conf| ("SLURM_CONF", conf)));
        command.envs(std::env::var("HOME").iter().map(|home| ("HOME", home)));
        command.current_dir("/").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn();
        let child = child.map_err(|error| Failure::Unsure(format!("failed to call {}: {error}", path.display())))?;
        finish(child, program, input)
    }
}

fn finish(mut child: Child, program: &str, input: &str) -> Result<String, Failure> {
    let unsure = |error: std::io::Error| Failure::Unsure(format!("{program}: {error}"));
    let output = reader(child.stdout.take());
    let errors = reader(child.stderr.take());
    if let Some(mut stdin) = child.stdin.take() {
        // A command that does not read its input says why by itself.
        stdin.write_all(input.as_bytes()).ok();
    }
    let until = Instant::now() + PATIENCE;
    let mut pause = Duration::from_millis(1);
    let status = loop {
        if let Some(status) = child.try_wait().map_err(unsure)? {
            break status;
        }
        if Instant::now() > until {
            child.kill().ok();
            child.wait().ok();
            return Err(Failure::Unsure(format!("{program} gave no answer within {} s", PATIENCE.as_secs())));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    };
    let output = output.join().unwrap_or_default();
    let errors = errors.join().unwrap_or_default();
    if status.success() { Ok(output) } else { Err(failure(program, errors.trim())) }
}

fn failure(program: &str, errors: &str) -> Failure {
    let told =
        if errors.is_empty() { format!("{program} failed and said nothing") } else { errors.replace('\n', "; ") };
    let lower = told.to_lowercase();
    if UNHEARD.iter().any(|part| lower.contains(part)) { Failure::Unsure(told) } else { Failure::Refused(told) }
}

fn reader(pipe: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            pipe.read_to_end(&mut bytes).ok();
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_refused_is_told_from_what_was_not_heard() {
        for (said, is_unsure) in [
            ("sbatch: error: Batch job submission failed: Invalid partition name specified", false),
            ("sbatch: error: Batch job submission failed: Requested node configuration is not available", false),
            ("sbatch: error: Batch job submission failed: Socket timed out on send/recv operation", true),
            ("sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)", true),
            ("slurm_load_jobs error: Zero Bytes were transmitted or received", true),
        ] {
            assert_eq!(matches!(failure("sbatch", said), Failure::Unsure(_)), is_unsure, "{said}");
        }
    }
}
