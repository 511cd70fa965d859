//! Every policy that a trial can be run under, by its name.
use super::madang::Seen;
use super::peers::{self, Peer};
use super::{Machine, Outcome, Refusal, Settings, Workload};

/// A policy of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The centre itself, with the settings of the machine it is on.
    Madang,
    /// One of the field.
    Peer(Peer),
}

impl Policy {
    /// Every one.
    pub fn all() -> impl Iterator<Item = Policy> {
        std::iter::once(Policy::Madang).chain(Peer::ALL.into_iter().map(Policy::Peer))
    }

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Policy::Madang => "madang",
            Policy::Peer(peer) => peer.name(),
        }
    }

    /// What it does, in a line.
    pub fn about(self) -> &'static str {
        match self {
            Policy::Madang => "the very scheduler that serves a centre",
            Policy::Peer(peer) => peer.about(),
        }
    }

    /// The policy of that name.
    pub fn named(name: &str) -> Option<Policy> {
        Policy::all().find(|policy| policy.name() == name)
    }

    /// Tries a workload on a machine.
    pub fn run(self, workload: &Workload, machine: &Machine, seen: &mut Seen) -> Result<Outcome, Refusal> {
        match self {
            Policy::Madang => {
                let settings = Settings { name: self.name().into(), config: machine.policy(&workload.owners) };
                super::madang::run(workload, machine, &settings, seen)
            }
            Policy::Peer(peer) => peers::run(workload, machine, peer, seen),
        }
    }
}
