//! Windows and caps the slow obvious way: every window written out, every instant looked at.
use madang_model::{
    Allocation, Cap, NodeId, ProjectId, Purpose, Recurrence, Request, Reservation, ReservationId, RunId, SiteId, Span,
    Time, Window,
};
use madang_sched::Scheduler;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const GRACE: Span = Span::from_mins(1);

/// A reservation to be made, in minutes from then.
#[derive(Clone, Debug)]
pub struct Booked {
    pub kind: usize,
    pub first: u32,
    pub count: u32,
    pub from: u64,
    pub len: u64,
    pub every: Option<(u64, u64)>,
}

pub fn booked() -> impl Strategy<Value = Booked> {
    let every = proptest::option::of((0..60u64, 0..5u64));
    (0..4usize, 0..14u32, 1..7u32, 0..120u64, 1..90u64, every)
        .prop_map(|(kind, first, count, from, len, every)| Booked { kind, first, count, from, len, every })
}

#[derive(Default)]
pub struct Book {
    pub all: BTreeMap<ReservationId, Reservation>,
    /// Runs that nobody promised to keep out of anything.
    pub excused: BTreeSet<RunId>,
    pub own: BTreeMap<RunId, ReservationId>,
    next: u32,
}

impl Book {
    pub fn make(&mut self, booked: Booked, now: Time) -> Reservation {
        let Booked { kind, first, count, from, len, every } = booked;
        let nodes = (first..(first + count).min(14)).map(NodeId::new).collect();
        self.next += 1;
        let purpose = match kind {
            0 => Purpose::Maintenance { nodes },
            1 => Purpose::Projects { nodes, projects: vec![ProjectId::new(1)], owners: vec![] },
            2 => Purpose::Cap { site: SiteId::new(0), most: Cap::Gpus(first * 5) },
            _ => Purpose::Cap { site: SiteId::new(0), most: Cap::Nodes(first) },
        };
        let from = now.after(Span::from_mins(from));
        let until = from.after(Span::from_mins(len));
        let every = every.map(|(gap, more)| {
            let every = Span::from_mins(len + gap);
            Recurrence { every, last: from.after(Span::from_millis(every.millis() * more)) }
        });
        let id = ReservationId::new(self.next);
        let (name, reason, by) = (format!("r{id}"), String::new(), String::new());
        Reservation { id, name, purpose, first: Window { from, until }, every, reason, by }
    }

    /// The runs in the way of a reservation, by id.
    pub fn crossing(&self, one: &Reservation, now: Time, runs: Vec<(RunId, Allocation, Time)>) -> Vec<RunId> {
        let windows = windows(one);
        let mut found = Vec::new();
        for (run, on, until) in &runs {
            let gone = until.after(GRACE);
            let there = on.slots.iter().any(|slot| one.nodes().contains(&slot.node));
            let overlaps = windows.iter().any(|w| w.from < gone && now < w.until);
            let too_much = windows.iter().any(|w| {
                // In use only ever becomes less, so that the first moment in the window is the worst.
                let at = w.from.max(now);
                let still = runs.iter().filter(|(_, _, until)| until.after(GRACE) > at);
                let still: Vec<_> = still.map(|(_, on, _)| on.clone()).collect();
                at < w.until && at < gone && over(one, &still)
            });
            let adds = !matches!(one.purpose, Purpose::Cap { most: Cap::Gpus(_), .. }) || on.gpus().milli() > 0;
            if (there && overlaps) || (too_much && adds) {
                found.push(*run);
            }
        }
        found
    }

    /// No window that is not its own has a moment in common with the run, and what is its own holds it.
    pub fn check_start(&self, own: Option<ReservationId>, on: &Allocation, now: Time, until: Time) {
        for slot in &on.slots {
            assert!(self.allows(own, slot.node, now, until.after(GRACE)), "{} is kept for others", slot.node);
        }
    }

    pub fn allows(&self, own: Option<ReservationId>, node: NodeId, now: Time, gone: Time) -> bool {
        let others = self.all.values().filter(|one| Some(one.id) != own && one.nodes().contains(&node));
        let barred = others.flat_map(windows).any(|window| window.from < gone && now < window.until);
        let inside = own.is_none_or(|id| {
            self.all.get(&id).is_some_and(|own| {
                let stays = |w: &Window| w.from <= now && now < w.until && gone <= w.until.after(GRACE).after(GRACE);
                own.nodes().contains(&node) && windows(own).iter().any(stays)
            })
        });
        inside && !barred
    }

    /// At this instant no cap is exceeded by runs that are in time and that nobody excused.
    pub fn check_now(&self, sched: &Scheduler, now: Time) {
        if sched.runs().any(|(run, _, until)| self.excused.contains(&run) || until.after(GRACE) <= now) {
            return;
        }
        let runs: Vec<(Allocation, Time)> = sched.runs().map(|(_, on, until)| (on.clone(), until)).collect();
        for one in self.all.values() {
            for window in windows(one).iter().filter(|window| window.until > now) {
                let at = window.from.max(now);
                let still = runs.iter().filter(|(_, until)| until.after(GRACE) > at).map(|(on, _)| on.clone());
                assert!(!over(one, &still.collect::<Vec<_>>()), "{} is exceeded at {at:?}", one.id);
            }
        }
    }

    /// Whether caps leave room for a request until it is gone; for caps of nodes only a sure yes counts.
    pub fn caps_allow(&self, sched: &Scheduler, request: &Request, now: Time, gone: Time) -> bool {
        let runs: Vec<(Allocation, Time)> =
            sched.runs().chain(sched.kept_places()).map(|(_, on, until)| (on.clone(), until)).collect();
        self.all.values().all(|one| {
            let Purpose::Cap { most, .. } = one.purpose else { return true };
            let mut ahead = windows(one).into_iter().filter(|w| w.from < gone && now < w.until);
            ahead.all(|window| {
                let at = window.from.max(now);
                let late = |until: Time| if until.after(GRACE) <= now { now.after(GRACE) } else { until.after(GRACE) };
                let still: Vec<_> = runs.iter().filter(|(_, until)| late(*until) > at).map(|(on, _)| on).collect();
                match most {
                    Cap::Nodes(most) => {
                        still.iter().map(|on| on.slots.len() as u32).sum::<u32>() + request.nodes() <= most
                    }
                    Cap::Gpus(most) => {
                        let more = request.gpus().milli();
                        more == 0 || still.iter().map(|on| on.gpus().milli()).sum::<u32>() + more <= most * 1000
                    }
                }
            })
        })
    }
}

/// Every window there is.
fn windows(one: &Reservation) -> Vec<Window> {
    let mut list = vec![one.first];
    if let Some(row) = one.every {
        let mut window = one.first;
        loop {
            window = Window { from: window.from.after(row.every), until: window.until.after(row.every) };
            if window.from > row.last {
                break;
            }
            list.push(window);
        }
    }
    list
}

/// True when this much at once is more than a cap allows.
fn over(one: &Reservation, held: &[Allocation]) -> bool {
    match one.purpose {
        Purpose::Cap { most: Cap::Gpus(most), .. } => {
            held.iter().map(|on| u64::from(on.gpus().milli())).sum::<u64>() > u64::from(most) * 1000
        }
        Purpose::Cap { most: Cap::Nodes(most), .. } => {
            let nodes: BTreeSet<NodeId> = held.iter().flat_map(|on| &on.slots).map(|slot| slot.node).collect();
            nodes.len() > most as usize
        }
        _ => false,
    }
}
