//! What `/proc` says about processes: who they are, whose children, how much memory.
//!
//! A pid alone names nobody: numbers are used again. A process is named by (boot, pid, start time), see [`Identity`].
//! Everything read here may be gone or changed a moment later; callers loop until the kernel says "no child left".
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// A process, unmistakably.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The kernel's id of this boot.
    pub boot: String,
    /// Process id.
    pub pid: i32,
    /// Start time in clock ticks since boot.
    pub start: u64,
}

impl Identity {
    /// This process.
    pub fn own() -> Option<Identity> {
        Identity::of(i32::try_from(std::process::id()).ok()?)
    }
    /// The living process with this pid.
    pub fn of(pid: i32) -> Option<Identity> {
        Some(Identity { boot: boot_id(), pid, start: Stat::of(pid)?.start })
    }
    /// True while this very process exists and is no zombie.
    pub fn lives(&self) -> bool {
        self.boot == boot_id() && Stat::of(self.pid).is_some_and(|stat| stat.start == self.start && stat.state != 'Z')
    }
}

/// The kernel's id of this boot; empty where there is none.
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// When this boot began, in milliseconds since 1970.
pub fn boot_millis() -> Option<u64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let secs: u64 = stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Some(secs * 1000)
}

/// The fields of `/proc/PID/stat` that matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// One letter; `Z` is a zombie.
    pub state: char,
    /// Parent.
    pub parent: i32,
    /// Session.
    pub session: i32,
    /// Start time in clock ticks since boot.
    pub start: u64,
}

impl Stat {
    /// The process with this pid.
    pub fn of(pid: i32) -> Option<Stat> {
        Stat::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }
    /// The name stands in parentheses and may itself hold spaces and parentheses: fields count from the last one.
    fn parse(text: &str) -> Option<Stat> {
        let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        let session = fields.nth(1)?.parse().ok()?;
        let start = fields.nth(15)?.parse().ok()?;
        Some(Stat { state, parent, session, start })
    }
}

/// All processes.
pub fn all() -> BTreeMap<i32, Stat> {
    let Ok(entries) = fs::read_dir("/proc") else { return BTreeMap::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, Stat::of(pid)?)))
        .collect()
}

/// Everything below these processes, themselves not included.
pub fn descendants(of: i32) -> Vec<i32> {
    if !std::path::Path::new("/proc/thread-self/children").exists() {
        let all = all();
        let mut found = closure(&all, BTreeSet::from([of]));
        found.remove(&of);
        return found.into_iter().collect();
    }
    let mut found = Vec::new();
    let mut next = vec![of];
    while let Some(pid) = next.pop() {
        let children = children(pid);
        found.extend(&children);
        next.extend(children);
    }
    found
}

fn children(pid: i32) -> Vec<i32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok())
        .flat_map(|text| text.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

/// These processes and everything below them.
pub fn closure(all: &BTreeMap<i32, Stat>, mut found: BTreeSet<i32>) -> BTreeSet<i32> {
    loop {
        let more: Vec<i32> = all
            .iter()
            .filter(|(pid, stat)| !found.contains(pid) && found.contains(&stat.parent))
            .map(|(pid, _)| *pid)
            .collect();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

/// True when the process began with this variable in its environment, whatever its value if none is given.
pub fn has_variable(pid: i32, name: &str, value: Option<&str>) -> bool {
    let Ok(environ) = fs::read(format!("/proc/{pid}/environ")) else { return false };
    environ.split(|byte| *byte == 0).any(|entry| {
        let rest = entry.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b"="));
        rest.is_some_and(|found| value.is_none_or(|value| found == value.as_bytes()))
    })
}

/// Resident memory in bytes; pages shared between processes are counted in each.
pub fn resident(pid: i32) -> u64 {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    let pages: u64 = statm.split_ascii_whitespace().nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * 4096
}

/// Resident memory in bytes, each shared page divided among its holders. Dear: the kernel walks the page tables.
pub fn proportional(pid: i32) -> u64 {
    let Ok(rollup) = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")) else { return resident(pid) };
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kib.map_or_else(|| resident(pid), |kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_survives_hostile_names() {
        let text = "42 (a) R 1 (b) S 7 8 9 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 123456 99 1";
        assert_eq!(Stat::parse(text), Some(Stat { state: 'S', parent: 7, session: 9, start: 123_456 }));
        assert_eq!(Stat::parse("42 (x"), None);
    }

    #[test]
    fn this_process_is_itself() {
        let own = Identity::own().expect("this process exists");
        assert!(own.lives());
        assert!(!Identity { start: own.start + 1, ..own.clone() }.lives());
        assert!(!Identity { boot: "another".into(), ..own.clone() }.lives());
        assert!(resident(own.pid) > 0);
        assert!(boot_millis().is_some_and(|at| at > 0));
    }

    #[test]
    fn a_closure_holds_whole_trees() {
        let stat = |parent| Stat { state: 'S', parent, session: 1, start: 1 };
        let all = BTreeMap::from([(10, stat(1)), (11, stat(10)), (12, stat(11)), (20, stat(1))]);
        assert_eq!(closure(&all, BTreeSet::from([10])), BTreeSet::from([10, 11, 12]));
    }
}
