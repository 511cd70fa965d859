//! Windows: when nodes are kept for something, and for whom.
//!
//! A run is on its nodes from its start until it is gone for certain. It may be on a node only if no window of that node
//! has a moment in common with this stretch, but for windows of the reservation that it names; and a run that names one
//! is only on that one's nodes and within one of its windows. So maintenance finds its nodes empty, because nothing was
//! started that would cross its begin.
//!
//! Invariants: `on_node` lists exactly what `all` books, ascending by id; without reservations both are empty, and every
//! question here is answered by looking at that alone. What caps leave is in `caps`.
use crate::caps::Load;
use crate::promise::GRACE;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use madang_model::{NodeId, Purpose, Reservation, ReservationId, RunId, Span, Time};

/// How many windows in a row are looked at before something counts as not to be told.
pub(crate) const LOOK: usize = 64;
/// How many stretches of possible starts are kept for one node.
const SPELLS: usize = 8;

/// A stretch of time in which something may not be, and by whose word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Bar {
    pub from: Time,
    pub until: Time,
    pub by: ReservationId,
}

/// Moments at which a run may begin: from the first to the last, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spell {
    pub first: Time,
    pub last: Time,
}

/// All reservations that are not over.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calendar {
    pub all: BTreeMap<ReservationId, Arc<Reservation>>,
    on_node: Vec<Vec<Arc<Reservation>>>,
    pub caps: Vec<Load>,
    /// Runs that were there when a window was laid over them, or were given an end in one.
    pub excused: BTreeSet<RunId>,
}

impl Calendar {
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Enters a reservation; the caller counts what its cap, if it is one, finds in use.
    pub fn insert(&mut self, reservation: Reservation, nodes: usize) {
        let reservation = Arc::new(reservation);
        self.on_node.resize_with(nodes, Vec::new);
        for node in reservation.nodes() {
            let list = &mut self.on_node[node.index()];
            let at = list.partition_point(|other| other.id < reservation.id);
            list.insert(at, reservation.clone());
        }
        if let Purpose::Cap { site, most } = reservation.purpose {
            let at = self.caps.partition_point(|other| other.id() < reservation.id);
            self.caps.insert(at, Load::new(reservation.clone(), site, most));
        }
        self.all.insert(reservation.id, reservation);
    }

    pub fn remove(&mut self, id: ReservationId) -> Option<Arc<Reservation>> {
        let reservation = self.all.remove(&id)?;
        for node in reservation.nodes() {
            self.on_node[node.index()].retain(|other| other.id != id);
        }
        self.caps.retain(|load| load.id() != id);
        Some(reservation)
    }

    /// The next moment at which a window begins or ends.
    pub fn next_edge(&self, at: Time) -> Option<Time> {
        self.all.values().filter_map(|reservation| reservation.edge_after(at)).min()
    }

    /// True if the node is among those that a job naming this reservation, or none, could ever use.
    pub fn lists(&self, own: Option<ReservationId>, node: NodeId) -> bool {
        own.is_none_or(|id| self.all.get(&id).is_some_and(|own| own.books(node)))
    }

    /// The first stretch of others' windows on the node that has a moment in common with this one.
    pub fn bar(&self, node: NodeId, own: Option<ReservationId>, from: Time, until: Time) -> Option<Bar> {
        let others = self.on_node.get(node.index())?.iter().filter(|other| Some(other.id) != own);
        let met = others.filter_map(|other| {
            let window = other.meets(from, until)?;
            Some(Bar { from: window.from, until: window.until, by: other.id })
        });
        met.min()
    }

    /// Whether a run that names this reservation, or none, may be on the node from its start until it is gone; else what
    /// keeps it off.
    pub fn admits(
        &self,
        node: NodeId,
        own: Option<ReservationId>,
        from: Time,
        gone: Time,
    ) -> Result<(), ReservationId> {
        if let Some(id) = own {
            let own = self.all.get(&id).filter(|own| own.books(node)).ok_or(id)?;
            let window = own.meets(from, gone).filter(|window| window.from <= from).ok_or(id)?;
            if gone > leave(window.until) {
                return Err(id);
            }
        }
        self.bar(node, own, from, gone).map_or(Ok(()), |bar| Err(bar.by))
    }

    /// When a run that needs the node for `len` in all may begin there, from `ready` on and outside of `full`; as far as
    /// is looked ahead.
    pub fn spells(&self, node: NodeId, own: Option<ReservationId>, len: Span, ready: Time, full: &[Bar]) -> Vec<Spell> {
        let mut spells = Vec::new();
        let mut at = ready;
        for _ in 0..LOOK {
            let mut last = Time::MAX;
            if let Some(id) = own {
                let Some(window) = self.all.get(&id).filter(|own| own.books(node)).and_then(|own| own.next(at)) else {
                    break;
                };
                at = at.max(window.from);
                if at.after(len) > leave(window.until) {
                    at = window.until;
                    continue;
                }
                last = leave(window.until).before(len);
            }
            let ahead = full.iter().copied().filter(|bar| bar.until > at).min();
            let bar = self.bar(node, own, at, Time::MAX).into_iter().chain(ahead).min();
            if let Some(bar) = bar.filter(|bar| bar.from < at.after(len)) {
                at = bar.until;
                continue;
            }
            let last = bar.map_or(last, |bar| last.min(bar.from.before(len)));
            spells.push(Spell { first: at, last });
            if last == Time::MAX || spells.len() == SPELLS {
                break;
            }
            at = last.after(Span::from_millis(1));
        }
        spells
    }
}

/// By when a run has to be gone that may stay until the end of its window: it is given the time to leave that every run
/// has after its limit, so that a job as long as the window fits.
pub(crate) fn leave(until: Time) -> Time {
    until.after(GRACE).after(GRACE)
}
