//! What is asked of an estate over a time: owners, jobs, and what breaks.
use super::room::Need;
use madang_model::share::WHOLE;
use madang_model::{Qos, Span, Time};
use std::collections::BTreeMap;

/// Somebody with a share of the estate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Short name.
    pub name: String,
    /// Weight of its share; the shares are these weights of their sum.
    pub weight: u32,
}

/// CPUs and memory that a job's source tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beside {
    /// Thousandths of a CPU on each node.
    pub cpu_milli: u32,
    /// MiB on each node.
    pub memory_mib: u32,
}

/// One job of a workload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Job {
    /// Its number in its source.
    pub number: u64,
    /// When it is submitted.
    pub submit: Time,
    /// How long it runs if nobody stops it; at most the limit.
    pub runtime: Span,
    /// How long it says it may run.
    pub limit: Span,
    /// Nodes of the gang.
    pub nodes: u32,
    /// GPUs on each node; 0 for work without any.
    pub gpus: u32,
    /// Thousandths of the one GPU that it asks for on each node, 1 to 999; 0 where it asks for whole ones.
    pub share: u32,
    /// CPUs on each node, at least 1.
    pub cpus: u32,
    /// CPUs and memory where its source tells them: then peers heed them as the centre does, else nobody is short of any.
    pub beside: Option<Beside>,
    /// Index into the workload's owners.
    pub owner: u32,
    /// Who submits it, within the owner.
    pub user: u32,
    /// Urgency within its owner's share.
    pub qos: Qos,
    /// True when it ends with a failure of its own.
    pub fails: bool,
    /// How often it saves its work; zero for never, so that a run taken back has lost all.
    pub checkpoint: Span,
}

impl Job {
    /// GPUs of the gang; one of which it asks for a part counts as one.
    pub fn gang(&self) -> u64 {
        u64::from(self.nodes) * u64::from(self.gpus)
    }

    /// GPUs of the gang in thousandths.
    pub fn milli(&self) -> u64 {
        let each = if self.share > 0 { u64::from(self.share) } else { u64::from(self.gpus) * u64::from(WHOLE) };
        u64::from(self.nodes) * each
    }

    /// What it takes of each node.
    pub fn need(&self) -> Need {
        Need::of(self)
    }
}

/// A node breaks and is mended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// When.
    pub at: Time,
    /// Which node of the machine, counted over all fabrics.
    pub node: u32,
    /// For how long.
    pub lasts: Span,
}

/// A workload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workload {
    /// What it is called.
    pub name: String,
    /// Where it comes from and what of it is modelled, a sentence each: whoever reads a report must see them.
    pub notes: Vec<String>,
    /// Whose jobs they are.
    pub owners: Vec<Owner>,
    /// The jobs, by (submit, number).
    pub jobs: Vec<Job>,
    /// What breaks, by time.
    pub faults: Vec<Fault>,
    /// Jobs by their number that are withdrawn at that moment, unless they run by then.
    pub withdrawn: BTreeMap<u64, Time>,
}

impl Workload {
    /// Whether any job asks for a part of a GPU.
    pub fn has_parts(&self) -> bool {
        self.jobs.iter().any(|job| job.share > 0)
    }

    /// Whether its jobs tell CPUs and memory: all do or none.
    pub fn tells(&self) -> bool {
        self.jobs.first().is_some_and(|job| job.beside.is_some())
    }

    /// Puts jobs and faults into their order, which every reader and generator ends with.
    pub fn in_order(mut self) -> Workload {
        self.jobs.sort_by_key(|job| (job.submit, job.number));
        self.faults.sort_by_key(|fault| (fault.at, fault.node));
        self
    }

    /// What is withdrawn, as (when, index of the job), by time.
    pub fn withdrawals(&self) -> Vec<(Time, usize)> {
        let given_up = |(index, job): (usize, &Job)| Some((*self.withdrawn.get(&job.number)?, index));
        let mut list: Vec<(Time, usize)> = match self.withdrawn.is_empty() {
            true => Vec::new(),
            false => self.jobs.iter().enumerate().filter_map(given_up).collect(),
        };
        list.sort_unstable();
        list
    }
}
