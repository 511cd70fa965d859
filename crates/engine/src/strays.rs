//! After a shepherd that was killed: finds what its run has left and ends it.
//!
//! The script itself went with its shepherd, by the kernel's hand. Others are known by the mark in their environment,
//! by the script's session, or by their parents. Nothing is killed on the word of a bare pid.
use crate::environ::MARK;
use crate::procfs::{self, Identity, Stat};
use crate::record::{EndRecord, Record, StartRecord, now};
use crate::sys;
use madang_model::{Outcome, Span, Time};
use nix::libc;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// How long the last processes of a run may take to die.
const PATIENCE: Duration = Duration::from_secs(5);

/// Ends whatever is left of a run whose shepherd is dead, and makes the record that the shepherd could not.
pub(crate) fn bury(record: &Record, mark: &str) -> EndRecord {
    let other_boot = record.claim.as_ref().is_some_and(|claim| claim.shepherd.boot != procfs::boot_id());
    let (at, note) = if other_boot {
        let boot = procfs::boot_millis().map_or_else(now, Time::from_millis);
        (boot, "the machine was started again while this run was on it".to_owned())
    } else {
        let left = end_strays(mark, record.started.as_ref());
        let left = if left.is_empty() { String::new() } else { format!("; still there: {left:?}") };
        (now(), format!("the shepherd of this run was killed{left}"))
    };
    let began = record.started.as_ref().map(|started| started.at);
    EndRecord {
        started: began,
        at: at.max(began.unwrap_or_default()),
        outcome: if began.is_some() { Outcome::NodeFailed } else { Outcome::LaunchFailed },
        exit: 0,
        signal: libc::SIGKILL,
        peak_bytes: 0,
        cpu: Span::ZERO,
        note,
        outside: false,
    }
}

/// Kills until none is found; gives back those that did not die in time.
fn end_strays(mark: &str, started: Option<&StartRecord>) -> Vec<i32> {
    let script = started.and_then(|record| record.process.as_ref());
    let until = Instant::now() + PATIENCE;
    loop {
        let all = procfs::all();
        let found = strays(&all, mark, script);
        if found.is_empty() || Instant::now() > until {
            return found;
        }
        for pid in found {
            sys::kill(pid, libc::SIGKILL).ok();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn strays(all: &BTreeMap<i32, Stat>, mark: &str, script: Option<&Identity>) -> Vec<i32> {
    let marked = |pid: i32| procfs::has_variable(pid, MARK, Some(mark));
    // While a session has members the kernel gives its number to no new process, so the script's session is its own as
    // long as its leader is the script itself or nobody.
    let session = script.filter(|script| all.get(&script.pid).is_none_or(|stat| stat.start == script.start));
    let in_session =
        |stat: &Stat| session.is_some_and(|script| stat.session == script.pid && stat.start >= script.start);
    let found: BTreeSet<i32> =
        all.iter().filter(|(pid, stat)| in_session(stat) || marked(**pid)).map(|(pid, _)| *pid).collect();
    let found = procfs::closure(all, found);
    found.into_iter().filter(|pid| all.get(pid).is_some_and(|stat| stat.state != 'Z')).collect()
}
