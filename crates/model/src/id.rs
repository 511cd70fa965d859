//! Ids: small numbers handed out by the core, one type each.
//!
//! ```compile_fail
//! # use madang_model::{JobId, NodeId};
//! let job: JobId = NodeId::new(3); // two ids do not mix
//! ```
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;
use serde::{Deserialize, Serialize};

/// The place of a dense id in a list that grows as far as it is asked for.
pub fn seat<T: Default>(list: &mut Vec<T>, at: usize) -> &mut T {
    if list.len() <= at {
        list.resize_with(at + 1, T::default);
    }
    &mut list[at]
}

/// Text that is not an id of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a {kind} id; write it as {kind}-42 or 42")]
pub struct NotAnId {
    kind: &'static str,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $raw:ty, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name($raw);

        impl $name {
            /// The id with this number.
            pub const fn new(number: $raw) -> Self {
                Self(number)
            }
            /// The bare number, for the wire and for indexing.
            pub const fn number(self) -> $raw {
                self.0
            }
            /// The number as an index into a dense table.
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "-{}"), self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
        impl FromStr for $name {
            type Err = NotAnId;
            fn from_str(text: &str) -> Result<Self, NotAnId> {
                let digits = text.strip_prefix(concat!($prefix, "-")).unwrap_or(text);
                let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
                let number = if plain { digits.parse().ok() } else { None };
                number.map(Self).ok_or(NotAnId { kind: $prefix })
            }
        }
    };
}

id!(/** What is submitted. Never reused. An array's tasks have the ids that follow the array's own. */ JobId, u64, "job");
id!(/** Who spends: the account that Slurm's `--account` names. */ ProjectId, u32, "project");
id!(/** A person or a service that signs in. */ UserId, u32, "user");
id!(/** An owner, operator or holder of the right of use. */ PartyId, u32, "party");
id!(/** One administrative domain with one engine. Dense from 0. */ SiteId, u32, "site");
id!(/** A fabric that gangs do not cross. Dense from 0 over the whole estate. */ IslandId, u32, "island");
id!(/** A machine. Dense from 0 over the whole estate. */ NodeId, u32, "node");
id!(/** A named set of sites with limits, as in Slurm. Dense from 0. */ PartitionId, u32, "partition");
id!(/** GPU time granted to a project for a period. */ AwardId, u32, "award");
id!(/** An operator's booking of nodes or capacity in time. */ ReservationId, u32, "reservation");
id!(/** One transaction in the ledger. */ EntryId, u64, "entry");

/// One try at a job; reports of an older try are stale. Prints as `job-42.1`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RunId {
    /// The job tried.
    pub job: JobId,
    /// 1 for the first try.
    pub attempt: u32,
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.job, self.attempt)
    }
}
impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl FromStr for RunId {
    type Err = NotAnId;
    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let (job, attempt) = text.rsplit_once('.').ok_or(NotAnId { kind: "run" })?;
        let attempt = attempt.parse().map_err(|_| NotAnId { kind: "run" })?;
        Ok(RunId { job: job.parse()?, attempt })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn ids_print_and_parse() {
        assert_eq!(JobId::new(42).to_string(), "job-42");
        assert_eq!("job-42".parse(), Ok(JobId::new(42)));
        assert_eq!("42".parse(), Ok(JobId::new(42)));
        let run = RunId { job: JobId::new(7), attempt: 2 };
        assert_eq!(run.to_string().parse(), Ok(run));
        for bad in ["", "job-", "node-3", "+4", "-4", "4 ", "job-99999999999999999999"] {
            assert!(bad.parse::<JobId>().is_err(), "{bad}");
        }
    }
}
