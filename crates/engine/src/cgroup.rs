//! Containment by cgroup v2, where a folder of the tree is ours to divide; without it the shepherd watches by itself.
//!
//! One group per run, made by its shepherd, holding the run's processes but not the shepherd. The kernel then limits
//! memory and CPU, counts both exactly, and kills the whole group at one word.
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The group of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cgroup(PathBuf);

impl Cgroup {
    /// Makes a group with these limits; 0 is none. A limit that this tree does not offer is passed over.
    pub fn create(path: &Path, memory_mib: u64, cpus: u32) -> io::Result<Cgroup> {
        fs::create_dir(path)?;
        let set = |file: &str, value: String| fs::write(path.join(file), value).ok();
        if memory_mib > 0 {
            set("memory.max", memory_mib.saturating_mul(1 << 20).to_string());
            set("memory.swap.max", "0".to_owned());
            set("memory.oom.group", "1".to_owned());
        }
        if cpus > 0 {
            set("cpu.max", format!("{} 100000", u64::from(cpus) * 100_000));
        }
        Ok(Cgroup(path.to_owned()))
    }

    /// The file that a process writes `0` to in order to join.
    pub fn joining(&self) -> PathBuf {
        self.0.join("cgroup.procs")
    }

    /// True when the kernel enforces the memory limit.
    pub fn limits_memory(&self) -> bool {
        self.number("memory.max").is_some()
    }

    /// True when the kernel has killed for want of memory.
    pub fn out_of_memory(&self) -> bool {
        self.field("memory.events", "oom_kill").is_some_and(|count| count > 0)
    }

    /// Peak memory in bytes.
    pub fn peak_bytes(&self) -> Option<u64> {
        self.number("memory.peak")
    }

    /// CPU time of all that ran in it.
    pub fn cpu(&self) -> Option<Duration> {
        self.field("cpu.stat", "usage_usec").map(Duration::from_micros)
    }

    /// Kills all that is in it.
    pub fn kill(&self) {
        // Kernels before 5.14 have no such file; the caller's own walk over the tree does it there.
        fs::write(self.0.join("cgroup.kill"), "1").ok();
    }

    /// Removes the empty group; one that is not empty stays.
    pub fn remove(&self) {
        fs::remove_dir(&self.0).ok();
    }

    fn number(&self, file: &str) -> Option<u64> {
        fs::read_to_string(self.0.join(file)).ok()?.trim().parse().ok()
    }

    fn field(&self, file: &str, name: &str) -> Option<u64> {
        let text = fs::read_to_string(self.0.join(file)).ok()?;
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    }
}

/// A folder in which groups with a memory limit may be made, if this process was given one (`Delegate=yes` of
/// systemd, or a container's own tree). May move this process into a group of its own, as the kernel demands that
/// a divided group hold no processes; so call it once, early.
pub fn find() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let mount = mounts.lines().find_map(|line| {
        let mut fields = line.split(' ');
        let path = fields.nth(1)?;
        (fields.next()? == "cgroup2").then_some(path)
    })?;
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let leaf = Path::new(mount).join(own);
    let dir = if leaf.ends_with("madang.server") { leaf.parent()?.to_owned() } else { leaf };
    prepare(&dir).then_some(dir)
}

fn prepare(dir: &Path) -> bool {
    let has_memory = |file: &str| {
        fs::read_to_string(dir.join(file)).is_ok_and(|text| text.split_ascii_whitespace().any(|word| word == "memory"))
    };
    if !has_memory("cgroup.controllers") {
        return false;
    }
    if !has_memory("cgroup.subtree_control") {
        let pid = std::process::id().to_string();
        let alone = fs::read_to_string(dir.join("cgroup.procs")).is_ok_and(|text| text.trim() == pid);
        let home = dir.join("madang.server");
        let moved = alone
            && (home.exists() || fs::create_dir(&home).is_ok())
            && fs::write(home.join("cgroup.procs"), &pid).is_ok()
            && fs::write(dir.join("cgroup.subtree_control"), "+memory +cpu").is_ok();
        if !moved {
            return false;
        }
    }
    let trial = dir.join("madang.trial");
    let offered = fs::create_dir(&trial).is_ok() && trial.join("memory.max").exists();
    fs::remove_dir(&trial).ok();
    offered
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kernel's files, played by plain ones.
    #[test]
    fn limits_are_written_and_counts_are_read() {
        let root = std::env::temp_dir().join(format!("madang-cgroup-{}", std::process::id()));
        fs::create_dir_all(&root).expect("the temporary folder is writable");
        let path = root.join("run");
        let group = Cgroup::create(&path, 3, 2).expect("a new folder");
        assert_eq!(group.number("memory.max"), Some(3 << 20));
        assert_eq!(fs::read_to_string(path.join("cpu.max")).ok().as_deref(), Some("200000 100000"));
        fs::write(path.join("memory.events"), "low 0\noom 1\noom_kill 2\n").expect("writable");
        fs::write(path.join("cpu.stat"), "usage_usec 1500000\nuser_usec 1\n").expect("writable");
        assert!(group.out_of_memory() && group.limits_memory());
        assert_eq!(group.cpu(), Some(Duration::from_millis(1500)));
        assert_eq!(group.peak_bytes(), None);
        assert!(Cgroup::create(&path, 0, 0).is_err(), "a group is made once");
        fs::remove_dir_all(&root).expect("ours");
    }
}
