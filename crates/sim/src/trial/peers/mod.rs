//! The policies of the field, written from their documents, on the ground that the centre is tried on.
//!
//! Each says in its own module which documents it follows, which of their rules are kept and which are simplified. They
//! meet the same workload and machine as the centre and leave an [`Outcome`] of the same form.
//!
//! Parts of GPUs, and CPUs and memory where a workload tells them, all of them place in one plain way, by best fit on the
//! floor: how that compares with what Slurm and GPU-sharing extenders of Kubernetes do stands in `room`.
//!
//! Invariants: a policy sees limits, never run times; nothing of a node is ever held twice; integers only, and
//! every order ends in the number of a job or node.
mod drive;
pub mod easy;
mod fair;
mod fifo;
pub mod kueue;
mod line;
pub mod multifactor;
mod pods;
mod timeline;

use super::Refusal;
use super::machine::Machine;
use super::madang::Seen;
use super::record::Outcome;
use super::workload::Workload;

/// A policy of the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// In order of submission; nobody overtakes.
    Fifo,
    /// FIFO where the head has a reservation, and others overtake if they do not delay it.
    Easy,
    /// Slurm's multifactor priority with its backfill.
    Multifactor,
    /// Quotas in Kueue's manner, pods placed one by one.
    Kueue,
}

impl Peer {
    /// Every one.
    pub const ALL: [Peer; 4] = [Peer::Fifo, Peer::Easy, Peer::Multifactor, Peer::Kueue];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Peer::Fifo => "fifo",
            Peer::Easy => "easy",
            Peer::Multifactor => "multifactor",
            Peer::Kueue => "kueue",
        }
    }

    /// The policy of that name.
    pub fn named(name: &str) -> Option<Peer> {
        Peer::ALL.into_iter().find(|peer| peer.name() == name)
    }

    /// What it does, in a line.
    pub fn about(self) -> &'static str {
        match self {
            Peer::Fifo => "one queue in order of submission; the head blocks all behind it",
            Peer::Easy => "EASY: one queue, a reservation for its head, others overtake if they do not delay it",
            Peer::Multifactor => {
                "Slurm-like: priority/multifactor (age, Fair Tree, size, QOS) with sched/backfill, no pre-emption"
            }
            Peer::Kueue => {
                "quota only, in Kueue's manner: admitted by count with borrowing and reclaim, then placed pod by pod"
            }
        }
    }
}

/// A policy of the field with its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tuned {
    /// [`Peer::Fifo`], which has none.
    Fifo,
    /// [`Peer::Easy`].
    Easy(easy::Config),
    /// [`Peer::Multifactor`].
    Multifactor(multifactor::Config),
    /// [`Peer::Kueue`].
    Kueue(kueue::Config),
}

impl From<Peer> for Tuned {
    /// With its default settings.
    fn from(peer: Peer) -> Tuned {
        match peer {
            Peer::Fifo => Tuned::Fifo,
            Peer::Easy => Tuned::Easy(easy::Config::default()),
            Peer::Multifactor => Tuned::Multifactor(multifactor::Config::default()),
            Peer::Kueue => Tuned::Kueue(kueue::Config::default()),
        }
    }
}

/// Tries a workload on a machine under a policy of the field with its default settings.
pub fn run(workload: &Workload, machine: &Machine, peer: Peer, seen: &mut Seen) -> Result<Outcome, Refusal> {
    run_tuned(workload, machine, (peer.name(), &Tuned::from(peer)), seen)
}

/// The same with settings of its own, and under a name.
pub fn run_tuned(
    workload: &Workload,
    machine: &Machine,
    (name, tuned): (&str, &Tuned),
    seen: &mut Seen,
) -> Result<Outcome, Refusal> {
    match tuned {
        Tuned::Fifo => drive::run(workload, machine, fifo::Fifo::default(), name, seen),
        Tuned::Easy(config) => drive::run(workload, machine, easy::Easy::new(workload, *config), name, seen),
        Tuned::Multifactor(config) => {
            let policy = multifactor::Multifactor::new(workload, machine, config.clone());
            drive::run(workload, machine, policy, name, seen)
        }
        Tuned::Kueue(config) => match kueue::never(workload, machine, config) {
            Some(fact) => Err(Refusal::Never(fact)),
            None => drive::run(workload, machine, kueue::Kueue::new(workload, machine, *config), name, seen),
        },
    }
}
