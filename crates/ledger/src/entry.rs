//! What is posted and what is kept.
use alloc::vec::Vec;
use madang_model::{AwardId, EntryId, GpuTime, PartyId, ProjectId, RunId, Time, Won};
use serde::{Deserialize, Serialize};

/// Where an amount sits. Every transaction's lines sum to zero in each unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Account {
    /// GPU time the centre has granted: the other side of every grant (its balance is minus what was granted).
    Centre,
    /// GPU time an award may still hold.
    Free(AwardId),
    /// GPU time an award has set aside for runs.
    Held(AwardId),
    /// GPU time an award has spent.
    Spent(AwardId),
    /// Won a project owes (positive) for what it was charged.
    Owes(ProjectId),
    /// Won a party has earned (its balance is minus the earnings).
    Earned(PartyId),
}

/// One side of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Where.
    pub account: Account,
    /// GPU time; zero for a money line.
    pub time: GpuTime,
    /// Money; zero for a GPU time line.
    pub won: Won,
}

/// What to post.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Posting {
    /// Grant GPU time: Centre to Free.
    Grant {
        /// To which award.
        award: AwardId,
        /// How much, more than zero.
        amount: GpuTime,
    },
    /// Set aside at start: Free to Held.
    Hold {
        /// For which run.
        run: RunId,
        /// Out of which award.
        award: AwardId,
        /// How much; zero is allowed (a job without GPUs).
        amount: GpuTime,
    },
    /// Set aside more for a run whose limit was raised: Free to Held, out of the same award.
    Extend {
        /// For which run; it has a hold.
        run: RunId,
        /// How much more, more than zero.
        amount: GpuTime,
    },
    /// Settle at end: Held to Spent for what was used, the rest back to Free; won from the project to the party.
    Charge {
        /// Which run.
        run: RunId,
        /// What it used. May exceed the hold (a run that outlived its limit); the excess comes out of Free, which may go below zero.
        used: GpuTime,
        /// At which price: won per GPU-hour.
        price: Won,
        /// What the class pays of it, in basis points.
        rate: u32,
        /// Who owes.
        project: ProjectId,
        /// Who earns.
        party: PartyId,
    },
    /// Release a hold whole: Held to Free.
    Void {
        /// Which run.
        run: RunId,
    },
    /// Give back a charge, in time and won, because the provider was at fault.
    Refund {
        /// Which run; it must have been charged and not refunded.
        run: RunId,
    },
    /// The same for a part of it, where the rest was not lost. The won go by time, rounded half up.
    RefundPart {
        /// Which run; it must have been charged and not refunded.
        run: RunId,
        /// How much of it; no more than was charged.
        back: GpuTime,
    },
}

/// A transaction as posted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    /// Its number, from 1, without gaps.
    pub id: EntryId,
    /// When.
    pub at: Time,
    /// What was posted.
    pub posting: Posting,
    /// Its lines; they sum to zero in each unit.
    pub lines: Vec<Line>,
}

/// The stable name of a posting's kind, for the wire and for people.
pub const fn describe(posting: &Posting) -> &'static str {
    match posting {
        Posting::Grant { .. } => "grant",
        Posting::Hold { .. } => "hold",
        Posting::Extend { .. } => "extend",
        Posting::Charge { .. } => "charge",
        Posting::Void { .. } => "void",
        Posting::Refund { .. } | Posting::RefundPart { .. } => "refund",
    }
}
