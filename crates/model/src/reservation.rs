//! Reservations: nodes, or a part of a site's capacity, as resources in time.
//!
//! A reservation is one window or a row of equal windows. What a window means is its [`Purpose`]: nobody starts on its
//! nodes, only some projects may, or no more than so much of a site is in use.
//!
//! Invariants, kept by whoever makes one: a window is not empty; windows of one row do not overlap.
use crate::id::{NodeId, PartyId, ProjectId, ReservationId, SiteId};
use crate::units::{Span, Time};
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// From a moment on, until just before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Window {
    /// Its first moment.
    pub from: Time,
    /// The first moment after it.
    pub until: Time,
}

/// How windows repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recurrence {
    /// From one begin to the next; no shorter than the window.
    pub every: Span,
    /// No window begins after this.
    pub last: Time,
}

/// How much of a site may be in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cap {
    /// Nodes that hold a run.
    Nodes(u32),
    /// GPUs held.
    Gpus(u32),
}

impl Cap {
    /// The bare number.
    pub fn most(self) -> u32 {
        match self {
            Cap::Nodes(most) | Cap::Gpus(most) => most,
        }
    }
}

/// What its windows mean.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Nobody's runs are on these nodes. Slurm: `Flags=MAINT`.
    Maintenance {
        /// The nodes, ascending.
        nodes: Vec<NodeId>,
    },
    /// Only jobs that name the reservation are on these nodes. Slurm: `Accounts=`.
    Projects {
        /// The nodes, ascending.
        nodes: Vec<NodeId>,
        /// Projects whose jobs may name it, ascending.
        projects: Vec<ProjectId>,
        /// Owners all of whose projects' jobs may name it, ascending.
        owners: Vec<PartyId>,
    },
    /// No more than this of a site is in use.
    Cap {
        /// The site.
        site: SiteId,
        /// How much.
        most: Cap,
    },
}

/// An operator's booking.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// Its id; never reused.
    pub id: ReservationId,
    /// What `--reservation` names; unique among those that are not over.
    pub name: String,
    /// What its windows mean.
    pub purpose: Purpose,
    /// The first window.
    pub first: Window,
    /// How it repeats, if it does.
    pub every: Option<Recurrence>,
    /// The operator's reason, for everyone to read.
    pub reason: String,
    /// Who made it; empty for the centre itself.
    pub by: String,
}

impl Reservation {
    /// The nodes that it books; none for a cap.
    pub fn nodes(&self) -> &[NodeId] {
        match &self.purpose {
            Purpose::Maintenance { nodes } | Purpose::Projects { nodes, .. } => nodes,
            Purpose::Cap { .. } => &[],
        }
    }

    /// True when it books this node.
    pub fn books(&self, node: NodeId) -> bool {
        self.nodes().binary_search(&node).is_ok()
    }

    /// The first window that is not over at this moment.
    pub fn next(&self, at: Time) -> Option<Window> {
        if self.first.until > at {
            return Some(self.first);
        }
        let row = self.every?;
        let every = row.every.millis().max(1);
        let shift = Span::from_millis((at.since(self.first.until).millis() / every + 1).saturating_mul(every));
        let window = Window { from: self.first.from.after(shift), until: self.first.until.after(shift) };
        (window.from <= row.last && window.until > at).then_some(window)
    }

    /// The first window that has a moment of this stretch in it.
    pub fn meets(&self, from: Time, until: Time) -> Option<Window> {
        self.next(from).filter(|window| window.from < until)
    }

    /// The next moment at which a window begins or ends.
    pub fn edge_after(&self, at: Time) -> Option<Time> {
        self.next(at).map(|window| if window.from > at { window.from } else { window.until })
    }

    /// The end of its last window.
    pub fn ends(&self) -> Time {
        let Some(row) = self.every else { return self.first.until };
        let rows = row.last.since(self.first.from).millis() / row.every.millis().max(1);
        self.first.until.after(Span::from_millis(rows.saturating_mul(row.every.millis())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn nightly(last: u64) -> Reservation {
        let time = Time::from_millis;
        Reservation {
            id: ReservationId::new(1),
            name: "night".to_string(),
            purpose: Purpose::Maintenance { nodes: Vec::new() },
            first: Window { from: time(100), until: time(130) },
            every: Some(Recurrence { every: Span::from_millis(50), last: time(last) }),
            reason: String::new(),
            by: String::new(),
        }
    }

    #[test]
    fn windows_come_in_a_row_until_the_last() {
        let row = nightly(205);
        assert_eq!(row.ends(), Time::from_millis(230));
        // The slow obvious way: try all windows.
        for at in 0..300 {
            let at = Time::from_millis(at);
            let all = [(100, 130), (150, 180), (200, 230)];
            let all =
                all.map(|(from, until)| Window { from: Time::from_millis(from), until: Time::from_millis(until) });
            assert_eq!(row.next(at), all.into_iter().find(|window| window.until > at), "{at:?}");
            let edges = all.into_iter().flat_map(|window| [window.from, window.until]);
            assert_eq!(row.edge_after(at), edges.into_iter().find(|edge| *edge > at), "{at:?}");
        }
        assert_eq!(row.meets(Time::from_millis(130), Time::from_millis(150)), None);
        assert!(row.meets(Time::from_millis(130), Time::from_millis(151)).is_some());
    }

    #[test]
    fn a_row_at_the_end_of_time_ends() {
        let row = nightly(u64::MAX);
        assert_eq!(row.next(Time::MAX), None);
        assert!(row.next(Time::from_millis(u64::MAX - 100)).is_some());
    }
}
