//! Operations on plans of moves.
use super::answer::{Ask, LARGE, body, json};
use super::guard::Caller;
use super::{App, blocking};
use crate::fault::Fault;
use crate::view;
use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;
use madang_api::{Changed, DefragSpec};
use madang_centre::{Input, MoveGroup, MoveOrder, Reply};
use madang_model::{JobId, RunId, Span};
use madang_sched::defrag::Bounds;
use serde::Deserialize;
use std::sync::Arc;

/// The horizon and the most moves of who names none.
const HORIZON: Span = Span::from_hours(24);
const MOST: u32 = 32;
/// The longest horizon.
const LONGEST: Span = Span::from_days(365);

/// What a plan may do.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    site: Option<String>,
    horizon_secs: Option<u64>,
    most: Option<u32>,
}

pub(super) async fn plan(State(app): State<Arc<App>>, Ask(which): Ask<Which>) -> Result<Response, Fault> {
    let bounds = bounds(&app, which)?;
    let work = move || {
        let centre = app.centre();
        let plan = centre.defrag(app.now(), &bounds);
        Ok(plan.map(|plan| view::defrag::plan(&centre, &app.estate, &bounds, &plan)))
    };
    blocking(work).await?.map(|plan| json(&plan)).ok_or_else(|| Fault::busy("the centre is not founded yet"))
}

pub(super) async fn run(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Fault> {
    let spec: DefragSpec = body(request, LARGE).await?;
    let order = |one: madang_api::MoveSpec| {
        let run = RunId { job: JobId::new(one.job), attempt: one.attempt };
        MoveOrder { run, to: one.to }
    };
    let group = |one: madang_api::MoveGroup| {
        let moves = one.moves.into_iter().map(order).collect();
        MoveGroup { room_for: one.room_for.map(JobId::new), moves }
    };
    let groups = spec.groups.into_iter().map(group).collect();
    match app.ask(&caller.name, None, Input::Defrag { groups }, None).await? {
        Reply::Jobs(jobs) => Ok(json(&Changed { jobs })),
        _ => Err(Fault::internal()),
    }
}

fn bounds(app: &App, which: Which) -> Result<Bounds, Fault> {
    let site = which.site.map(|name| {
        let found = app.estate.founding.sites.iter().find(|site| site.name == name);
        found.map(|site| site.id).ok_or_else(|| Fault::not_found(format!("site {name}")))
    });
    let horizon = which.horizon_secs.map_or(HORIZON, Span::from_secs);
    if horizon == Span::ZERO || horizon > LONGEST {
        return Err(Fault::invalid("horizon_secs", format!("is not from 1 to {}", LONGEST.secs())));
    }
    let most = which.most.unwrap_or(MOST);
    if most == 0 || most as usize > madang_centre::MOVES_MOST {
        return Err(Fault::invalid("most", format!("is not from 1 to {}", madang_centre::MOVES_MOST)));
    }
    Ok(Bounds { site: site.transpose()?, horizon, most: most as usize })
}
