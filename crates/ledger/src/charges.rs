//! The charges that can still be refunded: the last one of each run, the oldest forgotten first.
//!
//! The book must not grow with history, and a refund follows its charge soon (a lost node is known when the run ends;
//! an operator's decision comes within days). So the newest [`KEPT_CHARGES`] are kept; a refund of an older one is
//! refused as not charged. The bound is a count and not an age, so that memory and snapshots stay bounded under any
//! load.
//!
//! A run is charged once, unless it is held for anew: its older charge then ages out as others do.
use alloc::collections::VecDeque;
use madang_model::{AwardId, EntryId, GpuTime, PartyId, ProjectId, RunId, Won};
use serde::{Deserialize, Serialize};

/// How many charges the book keeps for refunds: days of work of a large centre, a few megabytes.
pub const KEPT_CHARGES: usize = 65_536;

/// What a refund has to give back, and to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Charge {
    pub entry: EntryId,
    pub run: RunId,
    pub award: AwardId,
    pub used: GpuTime,
    pub won: Won,
    pub project: ProjectId,
    pub party: PartyId,
    pub refunded: bool,
}

/// Ascending by entry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Charges(VecDeque<Charge>);

impl Charges {
    /// The last charge of a run, if it is still kept. Looked for from the youngest, as a refund follows soon.
    pub fn of(&self, run: RunId) -> Option<&Charge> {
        self.0.iter().rev().find(|charge| charge.run == run)
    }

    /// Keeps a charge, and forgets the oldest beyond the bound.
    pub fn keep(&mut self, charge: Charge) {
        self.0.push_back(charge);
        if self.0.len() > KEPT_CHARGES {
            self.0.pop_front();
        }
    }

    /// Marks a run's last charge as given back.
    pub fn mark_refunded(&mut self, run: RunId) {
        if let Some(charge) = self.0.iter_mut().rev().find(|charge| charge.run == run) {
            charge.refunded = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use madang_model::JobId;

    fn charge(entry: u64, job: u64) -> Charge {
        Charge {
            entry: EntryId::new(entry),
            run: RunId { job: JobId::new(job), attempt: 1 },
            award: AwardId::new(1),
            used: GpuTime::ZERO,
            won: Won::ZERO,
            project: ProjectId::new(1),
            party: PartyId::new(0),
            refunded: false,
        }
    }

    #[test]
    fn the_oldest_charge_is_forgotten_first() {
        let mut charges = Charges::default();
        for number in 0..KEPT_CHARGES as u64 {
            charges.keep(charge(number, number));
        }
        let first = RunId { job: JobId::new(0), attempt: 1 };
        let second = RunId { job: JobId::new(1), attempt: 1 };
        charges.keep(charge(1_000_000, 0)); // charged again: young now
        charges.keep(charge(1_000_001, 1_000_001));
        assert_eq!(charges.of(first).map(|kept| kept.entry), Some(EntryId::new(1_000_000)));
        assert_eq!(charges.of(second), None);
        assert_eq!(charges.0.len(), KEPT_CHARGES);
    }
}
