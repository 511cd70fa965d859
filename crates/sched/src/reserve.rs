//! What a reservation does to the scheduler's state when it comes, goes, begins and ends.
//!
//! A new reservation is never refused here: whoever sends it asked first ([`Scheduler::crossing`]). Runs that it finds in
//! its way are excused, and promises that it shakes are given anew or broken with it as the cause.
use crate::api::{Anomaly, BrokenBy};
use crate::caps::{self, Load};
use crate::place::feasible;
use crate::promise::GRACE;
use crate::scheduler::{Run, Scheduler};
use crate::shape::{Fitting, Shape};
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use madang_model::{Blocked, JobId, NodeId, Purpose, Reservation, ReservationId, RunId, Span, Time, Topology};

impl Scheduler {
    /// All reservations that are not over, by id.
    pub fn reservations(&self) -> impl Iterator<Item = &Reservation> {
        self.cluster.calendar.all.values().map(AsRef::as_ref)
    }

    /// The first run that this reservation, were it made now, would find in its way, with the end of its limit.
    pub fn crossing(&self, reservation: &Reservation) -> Option<(RunId, Time)> {
        let found = self.in_the_way(reservation).first().copied()?;
        Some((found, self.runs[&found].until))
    }

    /// The runs of these nodes that would be in the way of windows there; by node, so that a choice can be made.
    pub fn nodes_in_the_way(&self, reservation: &Reservation, nodes: &[NodeId]) -> BTreeSet<NodeId> {
        let crosses = |node: &NodeId| {
            let holds = self.cluster.nodes[node.index()].holds.iter();
            let mut held = holds.map(|hold| hold.until.after(GRACE));
            held.any(|gone| reservation.meets(self.now, gone).is_some())
        };
        nodes.iter().copied().filter(crosses).collect()
    }

    /// What a later end of a run would run into: the reservation, and when its window begins.
    pub fn runs_into(&self, run: RunId, until: Time) -> Option<(ReservationId, Time)> {
        let held = self.runs.get(&run)?;
        let gone = until.after(GRACE);
        let bars =
            held.on.slots.iter().filter_map(|slot| self.cluster.calendar.bar(slot.node, held.own, self.now, gone));
        let own = held.own.and_then(|id| self.cluster.calendar.all.get(&id));
        let own = own.and_then(|own| own.next(self.now)).filter(|window| window.until.after(GRACE) < until);
        let own = held.own.zip(own).map(|(id, window)| (id, window.until));
        let site = self.cluster.site_of(&held.on);
        let caps = self.cluster.calendar.caps.iter().filter(|load| Some(load.site) == site);
        let full = caps.flat_map(|load| {
            let pledged = load.pledged(&self.cluster, &self.promises, self.now);
            load.full(&pledged, load.adds(&held.on), held.until.after(GRACE), gone, |end| end.after(GRACE))
        });
        bars.chain(full).min().map(|bar| (bar.by, bar.from)).or(own)
    }

    /// Takes a reservation in, in the place of one of the same id.
    pub(crate) fn reserved(&mut self, now: Time, reservation: Reservation) {
        let id = reservation.id;
        self.cluster.unbook(id);
        let found = self.in_the_way(&reservation);
        self.book(reservation);
        self.cluster.calendar.excused.extend(found);
        self.look_again(id);
        self.shake_crossing(now, BrokenBy::Reserved(id));
    }

    fn book(&mut self, reservation: Reservation) {
        let id = reservation.id;
        let nodes = self.cluster.nodes.len();
        self.cluster.calendar.insert(reservation, nodes);
        if self.cluster.calendar.caps.iter().any(|load| load.id() == id) {
            (0..nodes as u32).for_each(|node| self.cluster.recount(NodeId::new(node)));
        }
    }

    /// Lets a reservation go.
    pub(crate) fn unreserved(&mut self, id: ReservationId) -> Option<Anomaly> {
        if !self.cluster.unbook(id) {
            return Some(Anomaly::UnknownReservation(id));
        }
        self.look_again(id);
        let names = |job: &JobId| self.queue.kind(&self.queue.jobs[job]).1.request.reservation == Some(id);
        let named: Vec<JobId> = self.promises.iter().map(|(job, _)| job).filter(names).collect();
        named.into_iter().for_each(|job| self.shake(job, BrokenBy::Reserved(id)));
        None
    }

    /// Matches the shapes that name a reservation against its nodes anew, and forgets what could not be promised.
    fn look_again(&mut self, id: ReservationId) {
        self.barren.clear();
        let cluster = &self.cluster;
        for (_, shape) in self.queue.shapes.iter_mut().filter(|(_, shape)| shape.request.reservation == Some(id)) {
            match_shape(shape, cluster);
            shape.memo = None;
        }
        self.shares.owners.iter_mut().for_each(|owner| owner.unpromised = true);
    }

    /// What windows that began or ended since the last step make possible.
    pub(crate) fn pass_edges(&mut self, since: Time, now: Time) {
        if self.cluster.pass_edges(since, now) {
            self.barren.clear();
            self.shares.owners.iter_mut().for_each(|owner| owner.unpromised = true);
        }
    }

    /// The runs that are in the way of a reservation, excused or not.
    fn in_the_way(&self, reservation: &Reservation) -> Vec<RunId> {
        if let Purpose::Cap { site, most } = reservation.purpose {
            return self.over_cap(&self.cluster.counted(Load::new(Arc::new(reservation.clone()), site, most)));
        }
        let crosses = |run: &Run| {
            let there = run.on.slots.iter().any(|slot| reservation.books(slot.node));
            there && run.own != Some(reservation.id) && reservation.meets(self.now, run.until.after(GRACE)).is_some()
        };
        self.runs.iter().filter(|(_, run)| crosses(run)).map(|(id, _)| *id).collect()
    }

    /// The runs that last into a stretch in which runs alone are too much for a cap.
    fn over_cap(&self, load: &Load) -> Vec<RunId> {
        let bars = load.full(&Vec::new(), 0, self.now, Time::MAX, |end| end.after(GRACE));
        let lasts = |run: &Run| bars.iter().any(|bar| run.until.after(GRACE) > bar.from);
        let here = self.runs.iter().filter(|(_, run)| self.cluster.site_of(&run.on) == Some(load.site));
        here.filter(|(_, run)| load.adds(&run.on) > 0 && lasts(run)).map(|(id, _)| *id).collect()
    }

    /// Excuses a run whose end was put into a window, and shakes the promises that this is too much for.
    pub(crate) fn excuse(&mut self, now: Time, id: RunId) {
        if self.cluster.calendar.is_empty() {
            return;
        }
        let run = &self.runs[&id];
        let gone = run.until.after(GRACE);
        let calendar = &self.cluster.calendar;
        let barred = run.on.slots.iter().any(|slot| calendar.bar(slot.node, run.own, now, gone).is_some());
        if barred || calendar.caps.iter().any(|load| self.over_cap(load).contains(&id)) {
            self.cluster.calendar.excused.insert(id);
        }
        self.shake_crossing(now, BrokenBy::Extended(id));
    }

    /// Shakes the promises that cross a window or are too much for a cap, to which kept places give way before.
    fn shake_crossing(&mut self, now: Time, cause: BrokenBy) {
        self.let_go_beyond_caps();
        let crosses = |job: &JobId| !self.admitted(*job, now);
        let mut shaken: BTreeSet<JobId> = self.promises.iter().map(|(job, _)| job).filter(crosses).collect();
        for (load, bars) in caps::exceeded(&self.cluster, &self.promises, now) {
            let here = self.promises.iter().map(|(_, pledge)| pledge).filter(|pledge| {
                self.cluster.site_of(&pledge.promise.on) == Some(load.site)
                    && bars.iter().any(|bar| pledge.promise.start < bar.until && bar.from < pledge.end())
            });
            shaken.extend(here.map(|pledge| pledge.promise.job));
        }
        shaken.into_iter().for_each(|job| self.shake(job, cause));
    }

    /// True if a promise, started when it is due, keeps out of all windows that are not its own.
    fn admitted(&self, job: JobId, now: Time) -> bool {
        let Some(pledge) = self.promises.get(job) else { return true };
        let own = self.queue.kind(&self.queue.jobs[&job]).1.request.reservation;
        let (start, gone) = (pledge.promise.start.max(now), pledge.end().max(now));
        let calendar = &self.cluster.calendar;
        pledge.promise.on.slots.iter().all(|slot| calendar.admits(slot.node, own, start, gone).is_ok())
    }

    /// True when a promise of the class was looked for in vain, and no window has begun or ended since.
    pub(crate) fn is_barren(&self, class: usize) -> bool {
        if self.barren.is_empty() {
            return false;
        }
        let class = &self.queue.classes[class];
        let known = self.barren.get(&self.queue.shapes[class.shape].request);
        known.is_some_and(|limit| class.limit >= *limit)
    }

    /// Notes that no promise could be found for a class around windows; false if there are none to blame.
    pub(crate) fn note_barren(&mut self, class: usize) -> bool {
        if self.cluster.calendar.is_empty() {
            return false;
        }
        let class = &self.queue.classes[class];
        let request = self.queue.shapes[class.shape].request.clone();
        let least: &mut Span = self.barren.entry(request).or_insert(class.limit);
        *least = class.limit.min(*least);
        true
    }

    /// The words for a job that a window keeps from starting now.
    pub(crate) fn reserved_by(&self, by: ReservationId) -> Option<Blocked> {
        let window = self.cluster.calendar.all.get(&by)?.next(self.now)?;
        Some(Blocked::Reserved { by, from: window.from })
    }

    /// What does not hold of windows and caps.
    pub(crate) fn audit_windows(&self, wrong: &mut Vec<String>) {
        let calendar = &self.cluster.calendar;
        if calendar.is_empty() {
            return;
        }
        for (id, run) in self.runs.iter().filter(|(id, _)| !calendar.excused.contains(id)) {
            for slot in &run.on.slots {
                if let Some(bar) = calendar.bar(slot.node, run.own, self.now, run.until.after(GRACE)) {
                    wrong.push(format!("{id} is on {} into a window of {}", slot.node, bar.by));
                }
            }
        }
        for (job, pledge) in self.promises.iter().filter(|(_, pledge)| pledge.promise.start > self.now) {
            if !self.admitted(job, self.now) {
                wrong.push(format!("{job} was promised {:?} and would cross a window", pledge.promise.start));
            }
        }
        if !self.cluster.caps_agree() {
            wrong.push("a cap does not count what its site holds".into());
        }
        let late = self.promises.iter().any(|(_, pledge)| pledge.promise.start <= self.now);
        let excused = |load: &Load| {
            let here = |run: &Run| self.cluster.site_of(&run.on) == Some(load.site);
            calendar.excused.iter().filter_map(|id| self.runs.get(id)).any(here)
        };
        for (load, bars) in caps::exceeded(&self.cluster, &self.promises, self.now).filter(|_| !late) {
            if !excused(load) {
                wrong.push(format!("{} is planned to be exceeded from {:?} on", load.id(), bars[0].from));
            }
        }
    }
}

/// Matches a shape against the nodes that exist, that it may use, and that take work.
pub(crate) fn match_shape(shape: &mut Shape, cluster: &crate::cluster::Cluster) {
    if plainly_fits(shape, cluster) {
        (shape.possible, shape.never) = (true, false);
        return;
    }
    let own = shape.request.reservation;
    let lists = |node: NodeId| cluster.calendar.lists(own, node);
    shape.possible = feasible(shape, &cluster.estate, |node| lists(node) && cluster.nodes[node.index()].up);
    shape.never = !shape.possible && !feasible(shape, &cluster.estate, lists);
}

/// True if it asks for nothing but a number of nodes, and an island has that many that take work.
fn plainly_fits(shape: &Shape, cluster: &crate::cluster::Cluster) -> bool {
    let request = &shape.request;
    let plain = cluster.leaves_alone(shape) && request.topology == Topology::default() && shape.kinds == 1;
    let [part] = shape.parts.as_slice() else { return false };
    if !plain || part.nodes == 0 || !request.include.is_empty() || !request.exclude.is_empty() {
        return false;
    }
    let takes_work = |fit: &Fitting| cluster.free[fit.pool].iter().map(|nodes| nodes.count_ones(..)).sum::<usize>();
    let island = |fit: &Fitting| cluster.estate.pools[fit.pool].island;
    shape.islands.iter().any(|known| {
        let there = part.fitting.iter().filter(|fit| island(fit) == *known);
        there.map(takes_work).sum::<usize>() >= part.nodes as usize
    })
}

impl crate::cluster::Cluster {
    /// Takes a reservation out; what it kept may be of use now. False if it was not in.
    fn unbook(&mut self, id: ReservationId) -> bool {
        let Some(reservation) = self.calendar.remove(id) else { return false };
        self.grow_for(&reservation);
        true
    }

    /// Notes that something may fit wherever this reservation reaches.
    fn grow_for(&mut self, reservation: &Reservation) {
        match &reservation.purpose {
            Purpose::Cap { site, .. } => self.grow_site(*site),
            Purpose::Maintenance { nodes } | Purpose::Projects { nodes, .. } => {
                nodes.iter().for_each(|node| self.grow(*node));
            }
        }
    }

    /// True if a window began or ended since then.
    fn pass_edges(&mut self, since: Time, now: Time) -> bool {
        let passed = |reservation: &Reservation| reservation.edge_after(since).is_some_and(|edge| edge <= now);
        let met: Vec<_> = self.calendar.all.values().filter(|one| passed(one)).cloned().collect();
        met.iter().for_each(|reservation| self.grow_for(reservation));
        !met.is_empty()
    }
}
