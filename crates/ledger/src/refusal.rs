//! Why a posting is not taken.
use madang_model::{AwardId, GpuTime, RunId};
use serde::{Deserialize, Serialize};

/// The rules say no; the book is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The award has less free than the hold needs.
    #[error("{award} has {free} free, the hold needs {needs}")]
    Overdrawn {
        /// Out of which award.
        award: AwardId,
        /// How much was to be set aside.
        needs: GpuTime,
        /// How much is free.
        free: GpuTime,
    },
    /// The run has an open hold already.
    #[error("{run} has a hold already")]
    AlreadyHeld {
        /// Which run.
        run: RunId,
    },
    /// The run has no open hold to settle or release.
    #[error("{run} has no hold")]
    NoHold {
        /// Which run.
        run: RunId,
    },
    /// The run was not charged, or so long ago that the book no longer keeps the charge.
    #[error("{run} has no charge that can be refunded")]
    NotCharged {
        /// Which run.
        run: RunId,
    },
    /// The run's charge was given back before.
    #[error("{run} was refunded before")]
    AlreadyRefunded {
        /// Which run.
        run: RunId,
    },
    /// A grant of nothing or less, or a hold, a use or a price below zero.
    #[error("a grant must be more than zero; a hold, a use and a price zero or more")]
    NotPositive,
    /// An amount or a balance would leave the range of its unit.
    #[error("the amount is beyond what the book can count")]
    OutOfRange,
}

impl Refusal {
    /// The stable code, for the wire.
    pub const fn code(&self) -> &'static str {
        match self {
            Refusal::Overdrawn { .. } => "overdrawn",
            Refusal::AlreadyHeld { .. } => "already_held",
            Refusal::NoHold { .. } => "no_hold",
            Refusal::NotCharged { .. } => "not_charged",
            Refusal::AlreadyRefunded { .. } => "already_refunded",
            Refusal::NotPositive => "not_positive",
            Refusal::OutOfRange => "out_of_range",
        }
    }
}
