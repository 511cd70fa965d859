//! From an order to a running script: its files, its command line, its process.
//!
//! What is wrong with a job's own files is told as Slurm tells it: the job fails with exit code 1, and the reason is
//! noted. What is wrong with the script itself (no such interpreter) is written to the job's error file.
use crate::order::Order;
use crate::pattern::{self, Names};
use crate::sys::{self, SingleThread};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{ForkResult, Pid, dup2_stderr, dup2_stdin, dup2_stdout, execve, getppid, setsid};
use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Everything a script's process starts with.
#[derive(Debug)]
pub struct Launch {
    /// Program and arguments.
    pub argv: Vec<CString>,
    /// `NAME=value`.
    pub env: Vec<CString>,
    /// Working folder.
    pub cwd: PathBuf,
    /// Standard input.
    pub stdin: File,
    /// Standard output.
    pub stdout: File,
    /// Standard error; `None` for the same as the output.
    pub stderr: Option<File>,
    /// File mode mask.
    pub umask: u32,
    /// CPUs to stay on; empty for any.
    pub cpus: Vec<usize>,
    /// The group to join.
    pub joining: Option<PathBuf>,
}

/// The folder a job runs in.
pub fn working_folder(order: &Order) -> PathBuf {
    let named = [&order.spec.cwd, &order.spec.submit_dir].into_iter().find(|dir| !dir.is_empty());
    Path::new("/").join(named.map_or("/", String::as_str))
}

/// Opens a job's files; the error is what people should know.
pub fn open_files(order: &Order, cwd: &Path) -> Result<(File, File, Option<File>), String> {
    if !cwd.is_dir() {
        return Err(format!("working folder {} does not exist", cwd.display()));
    }
    let names = names(order);
    let path = |pattern: &str| cwd.join(pattern::expand(pattern, &names));
    let spec = &order.spec;
    let out = path(spec.stdout.as_deref().unwrap_or(pattern::default_stdout(order.array.is_some())));
    let stdout = open_output(&out, spec.append)?;
    let err = spec.stderr.as_deref().map(path).filter(|err| *err != out);
    let stderr = err.map(|err| open_output(&err, spec.append)).transpose()?;
    let input = spec.stdin.as_deref().map_or_else(|| PathBuf::from("/dev/null"), path);
    let stdin = File::options().read(true).custom_flags(nix::libc::O_NOCTTY | nix::libc::O_NONBLOCK).open(&input);
    let stdin = stdin.and_then(blocking).map_err(|error| format!("could not read {}: {error}", input.display()))?;
    Ok((stdin, stdout, stderr))
}

fn names(order: &Order) -> Names {
    Names {
        job: order.run.job.number(),
        array: order.array.map(|array| (array.job, array.task)),
        job_name: order.job_name.clone(),
        user: order.user_name.clone(),
        node: order.nodes.first().map(|node| node.name.clone()).unwrap_or_default(),
        task: None,
    }
}

/// Never waits: a pipe that nobody reads is an error, not a shepherd that hangs.
fn open_output(path: &Path, append: bool) -> Result<File, String> {
    // Programs that name the folder by the job's id can only make it once they know the id, and a job here may begin
    // before that. What stands in the way of making it stands in the way of opening, which says so.
    if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
        let _ = std::fs::create_dir_all(folder);
    }
    let flags = nix::libc::O_NOCTTY | nix::libc::O_NONBLOCK;
    let mut options = File::options();
    options.create(true).custom_flags(flags).mode(0o666);
    let options = if append { options.append(true) } else { options.write(true).truncate(true) };
    let file = options.open(path).and_then(blocking);
    file.map_err(|error| format!("could not write {}: {error}", path.display()))
}

fn blocking(file: File) -> io::Result<File> {
    let mut flags = OFlag::from_bits_retain(fcntl(&file, FcntlArg::F_GETFL)?);
    flags.remove(OFlag::O_NONBLOCK);
    fcntl(&file, FcntlArg::F_SETFL(flags))?;
    Ok(file)
}

/// The command line that the kernel would make of a script: interpreter, its one argument, the script, arguments. It is
/// made here so that a folder mounted without execution does no harm and a script without `#!` is a shell script.
pub fn argv(script: &str, path: &Path, args: &[String]) -> Vec<String> {
    let first = script.lines().next().unwrap_or_default();
    let line = first.strip_prefix("#!").unwrap_or_default().trim_matches([' ', '\t']);
    let (program, argument) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    let mut argv = vec![if program.is_empty() { "/bin/sh".to_owned() } else { program.to_owned() }];
    let argument = argument.trim_matches([' ', '\t']);
    argv.extend((!argument.is_empty()).then(|| argument.to_owned()));
    argv.push(path.display().to_string());
    argv.extend(args.iter().cloned());
    argv
}

/// Starts the script as a child of this process, in a session of its own.
pub fn spawn(single: SingleThread, launch: &Launch) -> nix::Result<i32> {
    let shepherd = nix::unistd::getpid();
    match single.fork()? {
        ForkResult::Parent { child } => Ok(child.as_raw()),
        ForkResult::Child => become_job(launch, shepherd),
    }
}

fn become_job(launch: &Launch, shepherd: Pid) -> ! {
    if let Err(error) = settle(launch, shepherd) {
        eprintln!("madang: error: failed to set up the job: {error}");
        std::process::exit(1);
    }
    if let Err(error) = std::env::set_current_dir(&launch.cwd) {
        eprintln!("madang: error: couldn't chdir to `{}': {error}", launch.cwd.display());
        std::process::exit(1);
    }
    sys::default_signals();
    let unmasked = SigSet::empty().thread_set_mask();
    let Err(error) = unmasked.and_then(|()| execve(&launch.argv[0], &launch.argv, &launch.env));
    eprintln!("madang: error: execve(): {}: {}", launch.argv[0].to_string_lossy(), error.desc());
    std::process::exit(error as i32)
}

/// A shepherd that is killed takes the script with it, by the kernel's hand; the rest of the tree is the engine's.
fn settle(launch: &Launch, shepherd: Pid) -> nix::Result<()> {
    dup2_stdin(launch.stdin.as_fd())?;
    dup2_stdout(launch.stdout.as_fd())?;
    dup2_stderr(launch.stderr.as_ref().unwrap_or(&launch.stdout).as_fd())?;
    setsid()?;
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    if getppid() != shepherd {
        std::process::exit(1);
    }
    umask(Mode::from_bits_truncate(launch.umask & 0o777));
    if let Some(joining) = &launch.joining {
        fs::write(joining, "0").ok();
    }
    if !launch.cpus.is_empty() {
        let mut set = CpuSet::new();
        for cpu in &launch.cpus {
            set.set(*cpu)?;
        }
        sched_setaffinity(Pid::from_raw(0), &set).ok();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_becomes_a_command_line() {
        for (script, want) in [
            ("#!/bin/bash\necho", "/bin/bash /run/script a"),
            ("#! /usr/bin/env  python3 -u \nx", "/usr/bin/env|python3 -u|/run/script a"),
            ("#!/bin/sh\t-e\n", "/bin/sh -e /run/script a"),
            ("echo hi\n", "/bin/sh /run/script a"),
            ("#!\n", "/bin/sh /run/script a"),
            ("", "/bin/sh /run/script a"),
        ] {
            let got = argv(script, Path::new("/run/script"), &["a".to_owned()]);
            assert_eq!(got.join(" "), want.replace('|', " "), "{script:?}");
        }
        assert_eq!(argv("#!/usr/bin/env -S a b\n", Path::new("s"), &[])[1], "-S a b");
    }
}
