//! The one place with `unsafe`: six system calls that the safe wrappers of `nix` do not cover.
//!
//! Why it is sound: `fork` is only reached with a [`SingleThread`], proof that this process has one thread, so the
//! child may run any code. Signal dispositions are set to the kernel's own two handlers, never to a function.
//! A descriptor is taken over only when the kernel has just made it for us. `kill` and `wait4` touch no memory of
//! ours but locals.
#![expect(unsafe_code, reason = "fork, wait4, kill and signal have no safe form; see the module's reasoning")]
use nix::errno::Errno;
use nix::libc;
use nix::unistd::ForkResult;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// Proof that this process has exactly one thread. Not `Send`: it cannot go where a second thread would be.
#[derive(Clone, Copy)]
pub struct SingleThread(PhantomData<*const ()>);

impl SingleThread {
    /// The proof, or `None` when there are more threads. Whoever holds it starts none.
    pub fn prove() -> Option<SingleThread> {
        let threads = std::fs::read_dir("/proc/self/task").ok()?.count();
        (threads == 1).then_some(SingleThread(PhantomData))
    }

    /// Forks. The child may go on as any process.
    pub fn fork(self) -> nix::Result<ForkResult> {
        // SAFETY: this process has one thread, so no lock is held by a thread that the child lacks.
        unsafe { nix::unistd::fork() }
    }
}

/// How a child ended, by the kernel's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reaped {
    /// Which.
    pub pid: i32,
    /// Exit code, 0 when a signal ended it.
    pub exit: i32,
    /// Signal, 0 when it exited. Also real-time signals, which `nix` has no names for.
    pub signal: i32,
    /// What it used.
    pub used: Used,
}

/// What processes that have ended used, with what each had below it and waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// CPU time in microseconds.
    pub cpu_us: u64,
    /// The most memory that one of them had at a time.
    pub peak_bytes: u64,
}

impl Used {
    /// With another's.
    pub fn and(self, other: Used) -> Used {
        let cpu_us = self.cpu_us.saturating_add(other.cpu_us);
        Used { cpu_us, peak_bytes: self.peak_bytes.max(other.peak_bytes) }
    }

    fn of(usage: &libc::rusage) -> Used {
        let micros = |time: libc::timeval| {
            let secs = u64::try_from(time.tv_sec).unwrap_or(0);
            secs.saturating_mul(1_000_000).saturating_add(u64::try_from(time.tv_usec).unwrap_or(0))
        };
        let peak = u64::try_from(usage.ru_maxrss).unwrap_or(0);
        Used { cpu_us: micros(usage.ru_utime) + micros(usage.ru_stime), peak_bytes: peak.saturating_mul(1024) }
    }
}

/// Takes the status of one child that has ended: `Ok(None)` when none has, `ECHILD` when there is no child at all.
pub fn reap() -> nix::Result<Option<Reaped>> {
    loop {
        let mut status = 0;
        let mut usage = MaybeUninit::<libc::rusage>::zeroed();
        // SAFETY: both are valid places for the one integer and the one record that are written.
        let pid = unsafe { libc::wait4(-1, &mut status, libc::WNOHANG, usage.as_mut_ptr()) };
        // SAFETY: a record of integers, which are zero where the kernel wrote nothing.
        let used = Used::of(unsafe { usage.assume_init_ref() });
        match pid {
            0 => return Ok(None),
            -1 if Errno::last() == Errno::EINTR => {}
            -1 => return Err(Errno::last()),
            _ if libc::WIFEXITED(status) => {
                return Ok(Some(Reaped { pid, exit: libc::WEXITSTATUS(status), signal: 0, used }));
            }
            _ => return Ok(Some(Reaped { pid, exit: 0, signal: libc::WTERMSIG(status), used })),
        }
    }
}

/// Sends a signal to one process, real-time signals included. Pids below 2 are refused: they mean groups or init.
pub fn kill(pid: i32, signal: i32) -> nix::Result<()> {
    if pid < 2 {
        return Err(Errno::ESRCH);
    }
    // SAFETY: plain integers; no memory is touched.
    Errno::result(unsafe { libc::kill(pid, signal) }).map(drop)
}

/// Lets the kernel forget children as they end.
pub fn ignore_children() {
    set_disposition(libc::SIGCHLD, libc::SIG_IGN);
}

/// Keeps ended children until [`reap`] takes them, as is the default.
pub fn keep_children() {
    set_disposition(libc::SIGCHLD, libc::SIG_DFL);
}

/// Gives every signal its default effect again, as a program expects at its start.
pub fn default_signals() {
    for signal in 1..=libc::SIGRTMAX() {
        set_disposition(signal, libc::SIG_DFL);
    }
}

/// Errors are of no consequence: `KILL`, `STOP` and the C library's own signals cannot be set.
fn set_disposition(signal: i32, handler: libc::sighandler_t) {
    // SAFETY: the handler is one of the kernel's own, so no code of ours runs in a signal's context.
    unsafe { libc::signal(signal, handler) };
}

/// Marks every descriptor from 3 on to be closed by `exec`, so that none of the caller's leaks into jobs.
pub fn close_on_exec_from_3() {
    // SAFETY: only a flag of descriptors changes; nothing is closed here. Older kernels refuse, which leaves things
    // as the caller made them.
    unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
}

/// Takes over a descriptor that a message has just brought.
pub fn own(received: RawFd) -> OwnedFd {
    // SAFETY: the kernel made this descriptor for us with the message; nobody else owns it.
    unsafe { OwnedFd::from_raw_fd(received) }
}
