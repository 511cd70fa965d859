//! Which CPUs a run stays on: as many as it holds, and none that another run was given.
use madang_model::RunId;
use std::collections::{BTreeMap, BTreeSet};

/// The machine's CPUs and who has which.
#[derive(Debug, Default)]
pub(crate) struct Cpus {
    all: BTreeSet<usize>,
    given: BTreeMap<RunId, Vec<usize>>,
}

impl Cpus {
    pub fn new(all: impl IntoIterator<Item = usize>) -> Cpus {
        Cpus { all: all.into_iter().collect(), given: BTreeMap::new() }
    }

    /// The CPUs that this process may use.
    pub fn of_this_process() -> Cpus {
        let set = nix::sched::sched_getaffinity(nix::unistd::Pid::from_raw(0)).unwrap_or_default();
        Cpus::new((0..nix::sched::CpuSet::count()).filter(|cpu| set.is_set(*cpu).unwrap_or(false)))
    }

    /// CPUs for a run. None at all when it holds the whole machine or more CPUs are held than exist: then the kernel
    /// shares them out.
    pub fn give(&mut self, run: RunId, count: usize) -> Vec<usize> {
        if count == 0 || count >= self.all.len() {
            return Vec::new();
        }
        let taken: BTreeSet<usize> = self.given.values().flatten().copied().collect();
        let free: Vec<usize> = self.all.difference(&taken).copied().take(count).collect();
        if free.len() < count {
            return Vec::new();
        }
        self.given.insert(run, free.clone());
        free
    }

    /// A run of a former server has these.
    pub fn keep(&mut self, run: RunId, cpus: Vec<usize>) {
        self.given.insert(run, cpus);
    }

    pub fn take_back(&mut self, run: RunId) {
        self.given.remove(&run);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use madang_model::JobId;

    #[test]
    fn no_cpu_is_given_twice() {
        let run = |number| RunId { job: JobId::new(number), attempt: 1 };
        let mut cpus = Cpus::new([0, 1, 4, 5]);
        assert_eq!(cpus.give(run(1), 2), [0, 1]);
        assert_eq!(cpus.give(run(2), 1), [4]);
        assert_eq!(cpus.give(run(3), 2), [0; 0], "only one is free");
        cpus.take_back(run(1));
        assert_eq!(cpus.give(run(3), 3), [0, 1, 5]);
        assert_eq!(cpus.give(run(4), 4), [0; 0], "the whole machine");
    }
}
