//! The tree of processes below a shepherd: signalled, measured, ended to the last one.
//!
//! The shepherd is the tree's subreaper: whatever loses its parent, even in a session of its own, becomes the
//! shepherd's child. So the kernel's answer "no child at all" is exact: then nothing of the job is left.
use crate::cgroup::Cgroup;
use crate::environ::STEP;
use crate::procfs;
use crate::sys::{self, Reaped};
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signalfd::SignalFd;
use std::os::fd::AsFd;

/// Processes below this one.
fn below() -> Vec<i32> {
    i32::try_from(std::process::id()).map(procfs::descendants).unwrap_or_default()
}

/// Signals every process of the job.
pub fn signal_all(signal: i32) {
    for pid in below() {
        sys::kill(pid, signal).ok();
    }
}

/// Signals the processes of the job's steps, not the script nor what it runs beside them.
pub fn signal_steps(signal: i32) {
    for pid in below().into_iter().filter(|pid| procfs::has_variable(*pid, STEP, None)) {
        sys::kill(pid, signal).ok();
    }
}

/// Memory of the job in bytes. Above the limit the sum is made again with shared pages counted once, so that workers
/// forked from one parent are not charged for each other's pages.
pub fn memory(limit: u64) -> u64 {
    let tree = below();
    let sum = tree.iter().map(|pid| procfs::resident(*pid)).sum();
    if limit > 0 && sum > limit { tree.iter().map(|pid| procfs::proportional(*pid)).sum() } else { sum }
}

/// Takes the status of all children that have ended, as long as there are any; false when no child is left.
pub fn reap(mut each: impl FnMut(Reaped)) -> bool {
    loop {
        match sys::reap() {
            Ok(Some(reaped)) => each(reaped),
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}

/// Kills until nothing is left. What the kernel cannot kill yet (it waits for a disk) is waited for.
pub fn end_all(signals: &SignalFd, cgroup: Option<&Cgroup>, mut each: impl FnMut(Reaped)) {
    let mut wait_millis = 1_u16;
    while reap(&mut each) {
        if let Some(cgroup) = cgroup {
            cgroup.kill();
        }
        freeze();
        signal_all(libc::SIGKILL);
        let mut ready = [PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        if poll(&mut ready, PollTimeout::from(wait_millis)) != Err(Errno::EINTR) {
            while let Ok(Some(_)) = signals.read_signal() {}
        }
        wait_millis = (wait_millis * 2).min(500);
    }
}

/// Stops a tree that may be growing: rounds until no new process appears, a few at most.
fn freeze() {
    let mut known = 0;
    for _ in 0..8 {
        let tree = below();
        if tree.len() <= known {
            return;
        }
        known = tree.len();
        for pid in tree {
            sys::kill(pid, libc::SIGSTOP).ok();
        }
    }
}
