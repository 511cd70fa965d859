//! Between a launcher and its task: a launcher blocks signals to read them as a stream, and what it starts inherits
//! that. So a task is started through this program, which lets signals through again and becomes the task.
use crate::fail::Fail;
use nix::sys::signal::SigSet;
use std::ffi::CString;
use std::process::Command;

/// The first word by which this program knows that it is in between.
pub const WORD: &str = "become-task";

/// A command that becomes `words` with all signals let through.
pub fn command(words: &[String]) -> Result<Command, Fail> {
    let program =
        std::env::current_exe().map_err(|error| Fail::new(format!("failed to find this program: {error}")))?;
    let mut command = Command::new(program);
    command.arg(WORD).args(words);
    Ok(command)
}

/// Becomes the task. Returns only on failure: with the errno for an exit code, as Slurm does.
pub fn become_task(words: &[String]) -> u8 {
    let text = |text: String| CString::new(text).ok();
    let args: Option<Vec<CString>> = words.iter().cloned().map(text).collect();
    let pid = format!("SLURM_TASK_PID={}", std::process::id());
    let env = std::env::vars_os().filter(|(name, _)| name != "SLURM_TASK_PID").map(|(name, value)| {
        let mut pair = name;
        pair.push("=");
        pair.push(value);
        CString::new(std::os::unix::ffi::OsStringExt::into_vec(pair)).ok()
    });
    let env: Vec<CString> = env.flatten().chain(text(pid)).collect();
    let Some(args) = args.filter(|args| !args.is_empty()) else { return 1 };
    // Failing to unblock would leave a task that cannot be ended gently; it is started all the same.
    let _ = SigSet::all().thread_unblock();
    let Err(errno) = nix::unistd::execvpe(&args[0], &args, &env);
    let node = std::env::var("SLURMD_NODENAME").map_or(String::new(), |node| format!("-{node}"));
    eprintln!("slurmstepd{node}: error: execve(): {}: {}", words[0], errno.desc());
    u8::try_from(errno as i32).unwrap_or(1)
}
