//! The charges that can still be refunded: the last one of each run, the oldest forgotten first.
//!
//! The book must not grow with history, and a refund follows its charge soon (a lost node is known when the run ends;
//! an operator's decision comes within days). So the newest [`KEPT_CHARGES`] are kept; a refund of an older one is
//! refused as not charged. The bound is a count and not an age, so that memory and snapshots stay bounded under any
//! load.
//!
//! Invariant: `runs` holds for each run of `by_age` its one entry there.
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
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

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Charge>", into = "Vec<Charge>")]
pub(crate) struct Charges {
    by_age: BTreeMap<EntryId, Charge>,
    runs: BTreeMap<RunId, EntryId>,
}

impl Charges {
    /// The last charge of a run, if it is still kept.
    pub fn of(&self, run: RunId) -> Option<&Charge> {
        self.by_age.get(self.runs.get(&run)?)
    }

    /// Keeps a charge in place of the run's older one, and forgets the oldest beyond the bound.
    pub fn keep(&mut self, charge: Charge) {
        if let Some(older) = self.runs.insert(charge.run, charge.entry) {
            self.by_age.remove(&older);
        }
        self.by_age.insert(charge.entry, charge);
        while self.by_age.len() > KEPT_CHARGES
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.runs.remove(&oldest.run);
        }
    }

    /// Marks a run's last charge as given back.
    pub fn mark_refunded(&mut self, run: RunId) {
        if let Some(charge) = self.runs.get(&run).and_then(|entry| self.by_age.get_mut(entry)) {
            charge.refunded = true;
        }
    }
}

impl From<Vec<Charge>> for Charges {
    fn from(kept: Vec<Charge>) -> Charges {
        let mut charges = Charges::default();
        for charge in kept {
            charges.keep(charge);
        }
        charges
    }
}

impl From<Charges> for Vec<Charge> {
    fn from(charges: Charges) -> Vec<Charge> {
        charges.by_age.into_values().collect()
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
        assert_eq!(charges.by_age.len(), KEPT_CHARGES);
        assert_eq!(charges.runs.len(), KEPT_CHARGES);
    }
}
