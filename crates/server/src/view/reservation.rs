//! Reservations as a caller sees them.
use crate::estate::Estate;
use crate::http::Caller;
use madang_api::{ReservationKind, ReservationView};
use madang_centre::Centre;
use madang_model::{Cap, Purpose, Reservation, Time};

/// One that is not over.
pub fn reservation(centre: &Centre, estate: &Estate, caller: &Caller, of: &Reservation, now: Time) -> ReservationView {
    let founding = &estate.founding;
    let window = of.next(now).unwrap_or(of.first);
    let mut view = ReservationView {
        name: of.name.clone(),
        kind: kind(of),
        reason: of.reason.clone(),
        active: window.from <= now && now < window.until,
        from_ms: window.from.millis(),
        until_ms: window.until.millis(),
        every_secs: of.every.map(|row| row.every.secs()),
        ends_ms: of.ends().millis(),
        nodes: of.nodes().iter().map(|node| founding.nodes[node.index()].name.clone()).collect(),
        site: None,
        most_nodes: None,
        most_gpus: None,
        projects: Vec::new(),
        owners: Vec::new(),
        jobs: Vec::new(),
    };
    match &of.purpose {
        Purpose::Maintenance { .. } => {}
        Purpose::Projects { projects, owners, .. } => {
            let seen = projects.iter().filter(|project| caller.sees(**project));
            view.projects = seen.map(|project| centre.projects()[project.index()].name.clone()).collect();
            view.owners = owners.iter().map(|owner| founding.parties[owner.index()].name.clone()).collect();
            let mut on: Vec<_> = of.nodes().iter().flat_map(|node| centre.node_jobs(*node)).collect();
            on.sort_unstable();
            on.dedup();
            let jobs = on.into_iter().filter_map(|id| centre.job(id));
            let own = jobs.filter(|job| job.spec.request.reservation == Some(of.id) && caller.sees(job.spec.project));
            view.jobs = own.map(|job| job.id.number()).collect();
        }
        Purpose::Cap { site, most } => {
            view.site = Some(founding.sites[site.index()].name.clone());
            match most {
                Cap::Nodes(most) => view.most_nodes = Some(*most),
                Cap::Gpus(most) => view.most_gpus = Some(*most),
            }
        }
    }
    view
}

fn kind(of: &Reservation) -> ReservationKind {
    match of.purpose {
        Purpose::Maintenance { .. } => ReservationKind::Maintenance,
        Purpose::Projects { .. } => ReservationKind::Projects,
        Purpose::Cap { .. } => ReservationKind::Cap,
    }
}
