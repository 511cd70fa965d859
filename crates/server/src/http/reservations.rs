//! Operations on reservations.

use super::answer::{SMALL, body, json, json_with};
use super::guard::Caller;
use super::{App, blocking};
use crate::convert;
use crate::fault::Fault;
use crate::view;
use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use madang_api::{Page, ReservationKind, ReservationSpec};
use madang_centre::{Booking, Input, NodesWanted, Reply, Wanted};
use madang_model::{Cap, Recurrence, Span};
use std::sync::Arc;

/// How long a row of windows goes on that names no last one.
const ROW: Span = Span::from_days(365);
/// Most nodes that are named one by one.
const NAMES: usize = 4_096;

pub(super) async fn list(State(app): State<Arc<App>>, Extension(caller): Extension<Caller>) -> Result<Response, Fault> {
    let work = move || {
        let (centre, now) = (app.centre(), app.now());
        let all = centre.reservations();
        let items = all.map(|one| view::reservation::reservation(&centre, &app.estate, &caller, one, now));
        Ok(Page { items: items.collect(), next: None })
    };
    blocking(work).await.map(|page| json(&page))
}

pub(super) async fn make(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Fault> {
    let spec: ReservationSpec = body(request, SMALL).await?;
    let booking = booking(&app, spec)?;
    let made = app.ask(&caller.name, None, Input::Reserve(booking), None).await?;
    let Reply::Reservation(id) = made else { return Err(Fault::internal()) };
    let work = move || {
        let (centre, now) = (app.centre(), app.now());
        let made = centre.reservation(id);
        Ok(made.map(|one| view::reservation::reservation(&centre, &app.estate, &caller, one, now)))
    };
    let view = blocking(work).await?.ok_or_else(Fault::internal)?;
    Ok(json_with(StatusCode::CREATED, &view))
}

pub(super) async fn cancel(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<Response, Fault> {
    app.ask(&caller.name, None, Input::Unreserve { name }, None).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn booking(app: &App, spec: ReservationSpec) -> Result<Booking, Fault> {
    convert::text("reason", &spec.reason, 1_024)?;
    if spec.nodes.len() > NAMES {
        return Err(Fault::invalid("nodes", format!("has {} entries, at most {NAMES}", spec.nodes.len())));
    }
    let from = spec.from_ms.map(|millis| convert::moment("from_ms", millis)).transpose()?.unwrap_or(app.now());
    let until = convert::moment("until_ms", spec.until_ms)?;
    if until <= from {
        return Err(Fault::invalid("until_ms", "is not after the begin"));
    }
    let last = spec.last_ms.map(|millis| convert::moment("last_ms", millis)).transpose()?;
    let every = match (spec.every_secs, last) {
        (None, Some(_)) => return Err(Fault::invalid("last_ms", "needs every_secs")),
        (None, None) => None,
        (Some(secs), last) => Some(Recurrence { every: Span::from_secs(secs), last: last.unwrap_or(from + ROW) }),
    };
    let (name, reason, ignore_running) = (spec.name.clone(), spec.reason.clone(), spec.ignore_running);
    Ok(Booking { name, what: wanted(spec)?, from, until, every, reason, ignore_running })
}

fn wanted(spec: ReservationSpec) -> Result<Wanted, Fault> {
    let alien = |field: &str| Err(Fault::invalid(field, "means nothing for this kind of reservation"));
    let for_some = !spec.projects.is_empty() || !spec.owners.is_empty();
    if spec.kind != ReservationKind::Projects && for_some {
        return alien(if spec.projects.is_empty() { "owners" } else { "projects" });
    }
    if spec.kind != ReservationKind::Cap && (spec.most_nodes.is_some() || spec.most_gpus.is_some()) {
        return alien(if spec.most_nodes.is_some() { "most_nodes" } else { "most_gpus" });
    }
    let (named, count) = (spec.nodes, spec.count);
    let (island, model) = (spec.island, spec.gpu_model);
    match spec.kind {
        ReservationKind::Cap => {
            if !named.is_empty() || count.is_some() || island.is_some() || model.is_some() {
                return alien("nodes").map_err(|fault: Fault| fault.hint("a cap is of a whole site"));
            }
            let most = match (spec.most_nodes, spec.most_gpus) {
                (Some(most), None) => Cap::Nodes(most),
                (None, Some(most)) => Cap::Gpus(most),
                _ => return Err(Fault::invalid("most_gpus", "or most_nodes is needed, one of them")),
            };
            let site = spec.site.ok_or_else(|| Fault::invalid("site", "is needed: a cap is of a site"))?;
            Ok(Wanted::Cap { site, most })
        }
        kind => {
            let nodes = NodesWanted { named, count, site: spec.site, island, model };
            Ok(match kind {
                ReservationKind::Projects => Wanted::Projects { nodes, projects: spec.projects, owners: spec.owners },
                _ => Wanted::Maintenance { nodes },
            })
        }
    }
}
