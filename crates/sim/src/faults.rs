//! The disasters that a simulation has in store, how often each strikes, and the proof that it did.
use std::fmt;

/// A kind of disaster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A node is lost with all that runs on it.
    NodeLost,
    /// An operator drains a node.
    Drained,
    /// A report comes minutes late.
    Late,
    /// A run's end is reported before its start.
    Swapped,
    /// A report comes twice.
    Doubled,
    /// A report of an earlier attempt, or of a run that ended long ago.
    Stale,
    /// A report of a run or node that never was.
    Strange,
    /// A start never reaches the engine, which says so when asked.
    LostStart,
    /// The engine cannot start a run.
    FailedLaunch,
    /// The engine's clock is off from the core's.
    Skewed,
    /// The server dies between a batch's journal entry and its effects.
    CrashAfter,
    /// The server dies before a batch reaches the journal; its senders try again.
    CrashBefore,
    /// The server is restarted in good order.
    Restart,
    /// The clock stands still over several batches.
    Frozen,
    /// The clock jumps ahead by hours or days.
    Jump,
    /// A client that got no answer asks again with the same key.
    Repeated,
    /// A client uses a key for something else.
    KeyReused,
    /// A request for things that are not there or cannot be.
    Nonsense,
    /// A site is lost, cut off or dead, and comes back.
    SiteLost,
}

impl Fault {
    /// All kinds.
    pub const ALL: [Fault; 19] = [
        Fault::NodeLost,
        Fault::Drained,
        Fault::Late,
        Fault::Swapped,
        Fault::Doubled,
        Fault::Stale,
        Fault::Strange,
        Fault::LostStart,
        Fault::FailedLaunch,
        Fault::Skewed,
        Fault::CrashAfter,
        Fault::CrashBefore,
        Fault::Restart,
        Fault::Frozen,
        Fault::Jump,
        Fault::Repeated,
        Fault::KeyReused,
        Fault::Nonsense,
        Fault::SiteLost,
    ];

    /// How often in a thousand opportunities; what an opportunity is differs by kind.
    pub const fn per_mille(self) -> u64 {
        match self {
            Fault::Late => 60,
            Fault::Doubled | Fault::Skewed | Fault::NodeLost | Fault::Drained => 20,
            Fault::LostStart | Fault::FailedLaunch => 25,
            Fault::CrashAfter | Fault::CrashBefore | Fault::Restart => 3,
            Fault::Stale | Fault::Strange | Fault::KeyReused => 10,
            Fault::Repeated | Fault::Nonsense | Fault::Frozen => 20,
            Fault::Jump => 4,
            Fault::SiteLost => 8,
            // Comes of itself when a start is later than its run is long.
            Fault::Swapped => 0,
        }
    }

    const fn place(self) -> usize {
        self as usize
    }
}

/// How often each fault struck.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Strikes([u64; Fault::ALL.len()]);

impl Strikes {
    /// One more.
    pub fn count(&mut self, fault: Fault) {
        self.0[fault.place()] += 1;
    }
    /// How often this one struck.
    pub fn of(&self, fault: Fault) -> u64 {
        self.0[fault.place()]
    }
    /// Those of another simulation besides.
    pub fn add(&mut self, other: &Strikes) {
        self.0.iter_mut().zip(other.0).for_each(|(sum, more)| *sum += more);
    }
    /// Kinds that never struck: a run without one of them proves nothing about it.
    pub fn missing(&self) -> Vec<Fault> {
        Fault::ALL.into_iter().filter(|fault| self.of(*fault) == 0).collect()
    }
}

impl fmt::Display for Strikes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in Fault::ALL.into_iter().enumerate() {
            let gap = if index == 0 { "" } else { ", " };
            write!(f, "{gap}{fault:?} {}", self.of(fault))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_listed_in_its_place() {
        assert!(Fault::ALL.iter().enumerate().all(|(place, fault)| fault.place() == place));
        let mut strikes = Strikes::default();
        strikes.count(Fault::Late);
        assert_eq!((strikes.of(Fault::Late), strikes.missing().len()), (1, Fault::ALL.len() - 1));
    }
}
