//! Operations on projects, awards, statements and owners.

use super::answer::{Ask, SMALL, body, json, json_with};
use super::guard::{Caller, Object};
use super::{App, blocking};
use crate::convert;
use crate::fault::Fault;
use crate::view;
use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use madang_api::{DataSpec, NewAward, NewMember, NewProject, Page, ProjectData, ProjectView};
use madang_centre::{DataAt, Input, Reply};
use madang_model::{GpuTime, ProjectId, Span};
use serde::Deserialize;
use std::sync::Arc;

/// How long an award lasts that names no end.
const AWARD: Span = Span::from_days(365);
/// The most GPU-hours of one award: a million GPUs for a decade would not fit the ledger's range.
const MOST_HOURS: u64 = 1_000_000_000;

pub(super) async fn list(State(app): State<Arc<App>>, Extension(caller): Extension<Caller>) -> Result<Response, Fault> {
    app.flush().await?;
    let work = move || {
        let mut views: Vec<ProjectView> = {
            let (centre, now) = (app.centre(), app.now());
            let standing = centre.standing(now);
            let seen = centre.projects().iter().filter(|project| caller.sees(project.id));
            seen.map(|project| view::project::project(&centre, &app.estate, project, now, &standing)).collect()
        };
        for view in &mut views {
            view.burn = app.readers.burn(&view.name)?;
        }
        Ok(Page { items: views, next: None })
    };
    blocking(work).await.map(|page| json(&page))
}

pub(super) async fn show(State(app): State<Arc<App>>, Extension(object): Extension<Object>) -> Result<Response, Fault> {
    app.flush().await?;
    let project = project_of(&object)?;
    view_of(app, project).await.map(|view| json(&view))
}

async fn view_of(app: Arc<App>, project: ProjectId) -> Result<ProjectView, Fault> {
    let work = move || {
        let mut view = {
            let (centre, now) = (app.centre(), app.now());
            let standing = centre.standing(now);
            view::project::project(&centre, &app.estate, &centre.projects()[project.index()], now, &standing)
        };
        view.burn = app.readers.burn(&view.name)?;
        Ok(view)
    };
    blocking(work).await
}

fn project_of(object: &Object) -> Result<ProjectId, Fault> {
    match object {
        Object::Project(project) => Ok(*project),
        Object::Job(_) => Err(Fault::internal()),
    }
}

pub(super) async fn make(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Fault> {
    let NewProject { name, title, owner, class } = body(request, SMALL).await?;
    convert::text("title", &title, 1_024)?;
    let made = app.ask(&caller.name, None, Input::Project { name, title, owner, class }, None).await?;
    let Reply::Project(project) = made else { return Err(Fault::internal()) };
    view_of(app, project).await.map(|view| json_with(StatusCode::CREATED, &view))
}

pub(super) async fn award(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Fault> {
    let award: NewAward = body(request, SMALL).await?;
    if award.gpu_hours == 0 || award.gpu_hours > MOST_HOURS {
        return Err(Fault::invalid("gpu_hours", format!("is {}, from 1 to {MOST_HOURS}", award.gpu_hours)));
    }
    let from = award.from_ms.map(|millis| convert::moment("from_ms", millis)).transpose()?.unwrap_or(app.now());
    let until = award.until_ms.map(|millis| convert::moment("until_ms", millis)).transpose()?.unwrap_or(from + AWARD);
    let granted = GpuTime::from_hours(award.gpu_hours.cast_signed());
    app.ask(&caller.name, None, Input::Award { project: name.clone(), granted, from, until }, None).await?;
    changed(app, &name, StatusCode::CREATED).await
}

pub(super) async fn add_member(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Fault> {
    let NewMember { user } = body(request, SMALL).await?;
    app.ask(&caller.name, None, Input::Member { project: name.clone(), user }, None).await?;
    changed(app, &name, StatusCode::OK).await
}

pub(super) async fn set_data(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Fault> {
    let ProjectData { data } = body(request, SMALL).await?;
    let data = data.map(|DataSpec { site, gb }| DataAt { site, gb });
    app.ask(&caller.name, None, Input::ProjectData { project: name.clone(), data }, None).await?;
    changed(app, &name, StatusCode::OK).await
}

async fn changed(app: Arc<App>, name: &str, status: StatusCode) -> Result<Response, Fault> {
    let project = app.centre().project(name).map(|project| project.id).ok_or_else(Fault::internal)?;
    view_of(app, project).await.map(|view| json_with(status, &view))
}

/// The period of a statement.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Period {
    from_ms: Option<u64>,
    until_ms: Option<u64>,
}

pub(super) async fn statement(
    State(app): State<Arc<App>>,
    Extension(object): Extension<Object>,
    Ask(period): Ask<Period>,
) -> Result<Response, Fault> {
    app.flush().await?;
    let project = project_of(&object)?;
    let from = convert::moment("from_ms", period.from_ms.unwrap_or(0))?;
    let until = period.until_ms.map(|millis| convert::moment("until_ms", millis)).transpose()?.unwrap_or(app.now());
    if until < from {
        return Err(Fault::invalid("until_ms", "is before from_ms"));
    }
    let work = move || {
        let (name, title, balance) = {
            let centre = app.centre();
            let project = &centre.projects()[project.index()];
            (project.name.clone(), project.title.clone(), centre.book().audit().is_empty())
        };
        view::project::statement(&app.readers, (&name, &title), (from, until), balance)
    };
    blocking(work).await.map(|statement| json(&statement))
}

pub(super) async fn owners(State(app): State<Arc<App>>) -> Result<Response, Fault> {
    let work = move || Ok(view::overview::owners(&app.centre(), &app.estate, app.now()));
    blocking(work).await.map(|items| json(&Page { items, next: None }))
}
