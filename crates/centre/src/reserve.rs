//! Reservations: made and cancelled by operators, over by themselves.
//!
//! Whether a reservation may be made is decided here, once: names, nodes, overlaps, runs in its way. The scheduler is told
//! of it and keeps to it. `Centre::audit` compares the two.
use crate::effect::Reply;
use crate::input::{Booking, NodesWanted, Wanted};
use crate::people::check_name;
use crate::refusal::{Code, Refusal};
use crate::rows::overlap;
use crate::state::Centre;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use madang_model::{
    IslandId, JobState, Node, NodeId, PartyId, ProjectId, Purpose, Request, Reservation, ReservationId, RunId, SiteId,
    Span, Time, Window,
};
use madang_sched::Event;

/// Most reservations at a time.
const MOST: usize = 1_000;
/// The shortest window.
const SHORTEST: Span = Span::from_mins(1);
/// The latest end of a last window, from now.
const HORIZON: Span = Span::from_days(3_660);

impl Centre {
    pub(crate) fn reserve(&mut self, by: &str, booking: Booking) -> Result<Reply, Refusal> {
        self.check_booking(&booking)?;
        let id = ReservationId::new(self.next_reservation);
        let mut reservation = Reservation {
            id,
            purpose: Purpose::Maintenance { nodes: Vec::new() },
            first: Window { from: booking.from, until: booking.until },
            every: booking.every,
            reason: booking.reason,
            by: by.into(),
            name: booking.name,
        };
        reservation.purpose = self.purpose(&reservation, booking.what)?;
        self.check_overlap(&reservation)?;
        if !booking.ignore_running {
            self.check_runs(&reservation)?;
        }
        self.next_reservation += 1;
        self.events.push(Event::Reserved(reservation.clone()));
        self.reservations.insert(id, reservation);
        Ok(Reply::Reservation(id))
    }

    pub(crate) fn unreserve(&mut self, name: &str) -> Result<Reply, Refusal> {
        let id = self.reservation_named(name)?.id;
        self.let_go(id);
        Ok(Reply::Done)
    }

    /// Reservations whose last window has ended leave.
    pub(crate) fn end_reservations(&mut self) {
        let over = self.reservations.values().filter(|reservation| reservation.next(self.now).is_none());
        let over: Vec<ReservationId> = over.map(|reservation| reservation.id).collect();
        over.into_iter().for_each(|id| self.let_go(id));
    }

    fn let_go(&mut self, id: ReservationId) {
        self.reservations.remove(&id);
        self.events.push(Event::Unreserved(id));
    }

    /// When the next reservation is over.
    pub(crate) fn next_reservation_end(&self) -> Option<Time> {
        self.reservations.values().map(Reservation::ends).min()
    }

    pub(crate) fn reservation_named(&self, name: &str) -> Result<&Reservation, Refusal> {
        let found = self.reservations.values().find(|reservation| reservation.name == name);
        found.ok_or_else(|| {
            Refusal::new(Code::NotFound, format!("no reservation is named {name}"))
                .hint("see what there is with: madang reserve list")
        })
    }

    /// The reservation that a job of this project names, if it may.
    pub(crate) fn own_reservation(&self, name: &str, project: ProjectId) -> Result<ReservationId, Refusal> {
        let reservation = self.reservation_named(name)?;
        let of = &self.projects[project.index()];
        match &reservation.purpose {
            Purpose::Maintenance { .. } => {
                Err(Refusal::new(Code::NotAllowed, format!("{name} is for maintenance, so that no job runs in it")))
            }
            Purpose::Cap { .. } => {
                Err(Refusal::new(Code::NotAllowed, format!("{name} is a cap and keeps no nodes for anyone")))
            }
            Purpose::Projects { projects, owners, .. } if projects.contains(&project) || owners.contains(&of.owner) => {
                Ok(reservation.id)
            }
            Purpose::Projects { .. } => {
                Err(Refusal::new(Code::NotAllowed, format!("{name} is not for project {}", of.name)))
            }
        }
    }

    /// A job that names a reservation fits into a window of it.
    pub(crate) fn check_own_window(&self, request: &Request, limit: Span) -> Result<(), Refusal> {
        let Some(own) = request.reservation.and_then(|id| self.reservations.get(&id)) else { return Ok(()) };
        // Of a window that is open only the rest counts; every later one is whole.
        let open = own.next(self.now);
        let later = open.and_then(|window| own.next(window.until));
        let lasts = |window: Window| window.until.since(window.from.max(self.now));
        let longest = open.into_iter().chain(later).map(lasts).max().unwrap_or(Span::ZERO);
        if limit > longest {
            let fact = format!(
                "asks for {limit}, no window of reservation {} lasts longer than {longest} from now on",
                own.name
            );
            return Err(Refusal::new(Code::Impossible, fact));
        }
        Ok(())
    }

    fn check_booking(&self, booking: &Booking) -> Result<(), Refusal> {
        check_name("reservation", &booking.name)?;
        crate::submit::check_text("reason", &booking.reason, crate::submit::NAME_MOST)?;
        if booking.reason.trim().is_empty() {
            let fact = format!("reservation {} needs a reason", booking.name);
            return Err(Refusal::new(Code::Invalid, fact).hint("say why, for those who wait for it"));
        }
        if self.reservation_named(&booking.name).is_ok() {
            return Err(Refusal::new(Code::Exists, format!("a reservation is named {} already", booking.name)));
        }
        if self.reservations.len() >= MOST {
            let fact = format!("there are {MOST} reservations, the most there may be");
            return Err(Refusal::new(Code::TooMany, fact).hint("cancel some that are not needed"));
        }
        let invalid = |fact: &str| Err(Refusal::new(Code::Invalid, fact));
        let length = booking.until.since(booking.from);
        if booking.until <= self.now {
            return invalid("the window is over already");
        }
        if length < SHORTEST {
            return invalid("the window is shorter than a minute");
        }
        let mut last = booking.until;
        if let Some(row) = booking.every {
            if row.every < length {
                return invalid("a window lasts longer than the time from one to the next");
            }
            if row.last < booking.from {
                return invalid("the last window begins before the first");
            }
            last = last.max(row.last);
        }
        if last > self.now.after(HORIZON) {
            return invalid("the last window is more than ten years away");
        }
        Ok(())
    }

    fn purpose(&self, draft: &Reservation, what: Wanted) -> Result<Purpose, Refusal> {
        match what {
            Wanted::Maintenance { nodes } => Ok(Purpose::Maintenance { nodes: self.choose_nodes(draft, &nodes)? }),
            Wanted::Projects { nodes, projects, owners } => {
                if projects.is_empty() && owners.is_empty() {
                    return Err(Refusal::new(Code::Invalid, "names neither a project nor an owner that it is for"));
                }
                let projects = projects.iter().map(|name| self.project_named(name)).collect::<Result<Vec<_>, _>>()?;
                let owners = owners.iter().map(|name| self.party_named(name)).collect::<Result<Vec<_>, _>>()?;
                let nodes = self.choose_nodes(draft, &nodes)?;
                Ok(Purpose::Projects { nodes, projects: sorted(projects), owners: sorted(owners) })
            }
            Wanted::Cap { site, most } => Ok(Purpose::Cap { site: self.site_named(&site)?, most }),
        }
    }

    fn party_named(&self, name: &str) -> Result<PartyId, Refusal> {
        let found = self.base().parties.iter().find(|party| party.name == name);
        found.map(|party| party.id).ok_or_else(|| {
            let names: Vec<&str> = self.base().parties.iter().map(|party| party.name.as_str()).collect();
            Refusal::new(Code::NotFound, format!("no owner is named {name}"))
                .hint(format!("owners are {}", names.join(", ")))
        })
    }

    pub(crate) fn site_named(&self, name: &str) -> Result<SiteId, Refusal> {
        let found = self.base().sites.iter().find(|site| site.name == name);
        found.map(|site| site.id).ok_or_else(|| {
            let names: Vec<&str> = self.base().sites.iter().map(|site| site.name.as_str()).collect();
            Refusal::new(Code::NotFound, format!("no site is named {name}"))
                .hint(format!("sites are {}", names.join(", ")))
        })
    }

    /// The nodes meant: named ones, all that are alike, or so many of these, healthy and free of others first.
    fn choose_nodes(&self, draft: &Reservation, wanted: &NodesWanted) -> Result<Vec<NodeId>, Refusal> {
        let alike = wanted.site.is_some() || wanted.island.is_some() || wanted.model.is_some();
        if !wanted.named.is_empty() {
            if alike || wanted.count.is_some() {
                return Err(Refusal::new(
                    Code::Invalid,
                    "names nodes, and asks for a number or a kind of them besides",
                ));
            }
            let nodes = wanted.named.iter().map(|name| self.node_named(name)).collect::<Result<Vec<_>, _>>()?;
            return Ok(sorted(nodes));
        }
        if !alike && wanted.count.is_none() {
            return Err(Refusal::new(Code::Invalid, "says nothing about its nodes")
                .hint("name nodes, or say how many, or of which site, island or model"));
        }
        let pool = self.nodes_alike(wanted)?;
        let Some(count) = wanted.count else { return Ok(pool) };
        if count == 0 || count as usize > pool.len() {
            let fact = format!("asks for {count} nodes, there are {} of them", pool.len());
            return Err(Refusal::new(Code::Impossible, fact));
        }
        Ok(self.best_of(draft, pool, count as usize))
    }

    fn nodes_alike(&self, wanted: &NodesWanted) -> Result<Vec<NodeId>, Refusal> {
        let base = self.base();
        let site = wanted.site.as_deref().map(|name| self.site_named(name)).transpose()?;
        let fits = |node: &&Node| {
            site.is_none_or(|site| node.site == site)
                && wanted.island.as_ref().is_none_or(|name| base.islands[node.island.index()].name == *name)
                && wanted
                    .model
                    .as_ref()
                    .is_none_or(|name| node.device.as_ref().is_some_and(|device| device.model == *name))
        };
        let nodes: Vec<NodeId> = base.nodes.iter().filter(fits).map(|node| node.id).collect();
        if nodes.is_empty() {
            return Err(Refusal::new(Code::NotFound, "no node is of this site, island and model")
                .hint("see what there is with: madang node list"));
        }
        Ok(nodes)
    }

    /// So many of these nodes: in the first island that has enough of which nothing is in the way, else wherever.
    fn best_of(&self, draft: &Reservation, pool: Vec<NodeId>, count: usize) -> Vec<NodeId> {
        let sched = self.sched.as_ref().expect("founded: apply refuses everything else before");
        let held = sched.nodes_in_the_way(draft, &pool);
        let others: Vec<_> = self.reservations.values().filter(|other| overlap(draft, other, self.now)).collect();
        let booked = |node: NodeId| others.iter().any(|other| other.books(node));
        let healthy = |node: NodeId| self.health[node.index()] == madang_model::Health::Up;
        let rank = |node: NodeId| (booked(node), held.contains(&node), !healthy(node));
        let mut ranked: Vec<_> = pool.into_iter().map(|node| (rank(node), node)).collect();
        ranked.sort_unstable();
        let clean = |island: IslandId| {
            let nodes = ranked.iter().filter(|(rank, node)| {
                *rank == (false, false, false) && self.base().nodes[node.index()].island == island
            });
            nodes.map(|(_, node)| *node).take(count).collect::<Vec<_>>()
        };
        let together = self.base().islands.iter().map(|island| clean(island.id)).find(|nodes| nodes.len() == count);
        sorted(together.unwrap_or_else(|| ranked.iter().take(count).map(|(_, node)| *node).collect()))
    }

    /// Two reservations for projects do not share a node at a time; maintenance and caps may lie over anything.
    fn check_overlap(&self, reservation: &Reservation) -> Result<(), Refusal> {
        let for_projects = |one: &Reservation| matches!(one.purpose, Purpose::Projects { .. });
        if !for_projects(reservation) {
            return Ok(());
        }
        for other in self.reservations.values().filter(|other| for_projects(other)) {
            let shared = reservation.nodes().iter().find(|node| other.books(**node));
            if let Some(node) = shared.filter(|_| overlap(reservation, other, self.now)) {
                let node = &self.base().nodes[node.index()].name;
                let fact = format!("{node} is kept for reservation {} then", other.name);
                return Err(Refusal::new(Code::WrongState, fact).hint("name other nodes, or another time"));
            }
        }
        Ok(())
    }

    /// Nothing that runs is in its way.
    fn check_runs(&self, reservation: &Reservation) -> Result<(), Refusal> {
        let sched = self.sched.as_ref().expect("founded: apply refuses everything else before");
        let Some((run, until)) = sched.crossing(reservation) else { return Ok(()) };
        let job = run.job;
        let left = until.since(self.now);
        let begins = begins_in(reservation.next(self.now).map_or(Span::ZERO, |window| window.from.since(self.now)));
        let fact = match &reservation.purpose {
            Purpose::Cap { .. } => {
                format!(
                    "{job} and others may run for another {left} and use more, {} begins {begins}",
                    reservation.name
                )
            }
            _ => format!("{job} may run there for another {left}, {} begins {begins}", reservation.name),
        };
        Err(Refusal::new(Code::WrongState, fact)
            .hint("let it begin later, name other nodes, or make it all the same with --ignore-running"))
    }

    /// A raised limit does not run into a window.
    pub(crate) fn check_runs_into(&self, run: RunId, until: Time) -> Result<(), Refusal> {
        let sched = self.sched.as_ref().expect("founded: apply refuses everything else before");
        let Some((by, from)) = sched.runs_into(run, until) else { return Ok(()) };
        let name = self.reservations.get(&by).map_or("a reservation", |reservation| &reservation.name);
        let begins = begins_in(from.since(self.now));
        let fact = format!("{} would run into {name}, which begins {begins}", run.job);
        Err(Refusal::new(Code::WrongState, fact).hint("ask for a limit that ends before"))
    }

    /// The scheduler keeps to the reservations there are, and names are unique.
    pub(crate) fn audit_reservations(&self, wrong: &mut Vec<String>) {
        let Some(sched) = &self.sched else { return };
        if !self.events.is_empty() {
            return;
        }
        if !sched.reservations().eq(self.reservations.values()) {
            wrong.push("the scheduler keeps to other reservations than there are".into());
        }
        let names: alloc::collections::BTreeSet<&str> =
            self.reservations.values().map(|one| one.name.as_str()).collect();
        if names.len() != self.reservations.len() {
            wrong.push("two reservations have one name".into());
        }
        for job in self.jobs.values() {
            let own = job.spec.request.reservation.and_then(|id| self.reservations.get(&id));
            if let (Some(own), JobState::Starting { on, .. } | JobState::Running { on, .. }) = (own, &job.state)
                && let Some(slot) = on.slots.iter().find(|slot| !own.books(slot.node))
            {
                wrong.push(format!("{} is on {}, which its reservation does not book", job.id, slot.node));
            }
        }
    }
}

fn begins_in(span: Span) -> String {
    if span == Span::ZERO { "at once".into() } else { format!("in {span}") }
}

fn sorted<T: Ord>(mut list: Vec<T>) -> Vec<T> {
    list.sort_unstable();
    list.dedup();
    list
}
