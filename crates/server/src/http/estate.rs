//! Operations on sites, partitions, nodes and the floor.

use super::answer::{Ask, SMALL, body, json};
use super::guard::Caller;
use super::{App, blocking};
use crate::convert;
use crate::fault::Fault;
use crate::view;
use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use madang_api::{DrainSpec, LostSpec, NodeView, Page, SignSpec};
use madang_centre::{Failover, Input};
use madang_model::{JobId, Node};
use serde::Deserialize;
use std::sync::Arc;

pub(super) async fn sites(State(app): State<Arc<App>>) -> Result<Response, Fault> {
    let work = move || Ok(view::estate::sites(&app.centre(), &app.estate));
    blocking(work).await.map(|items| json(&Page { items, next: None }))
}

pub(super) async fn partitions(State(app): State<Arc<App>>) -> Response {
    json(&Page { items: view::estate::partitions(&app.estate), next: None })
}

pub(super) async fn floor(State(app): State<Arc<App>>) -> Result<Response, Fault> {
    let work = move || Ok(view::estate::floor(&app.centre(), &app.estate));
    blocking(work).await.map(|floor| json(&floor))
}

/// Which nodes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    site: Option<String>,
    partition: Option<String>,
    names: Option<String>,
}

pub(super) async fn nodes(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Ask(which): Ask<Which>,
) -> Result<Response, Fault> {
    let work = move || Ok(nodes_of(&app, &caller, &which));
    blocking(work).await.map(|items| json(&Page { items, next: None }))
}

fn nodes_of(app: &App, caller: &Caller, which: &Which) -> Vec<NodeView> {
    let (centre, founding) = (app.centre(), &app.estate.founding);
    let names: Option<Vec<&str>> = which.names.as_deref().map(|names| names.split(',').collect());
    let sites = which.partition.as_deref().map(|name| app.estate.partition(Some(name)).map(|found| &found.sites));
    let sees = |id: JobId| centre.job(id).is_some_and(|job| caller.sees(job.spec.project));
    let wanted = |node: &&Node| {
        which.site.as_ref().is_none_or(|site| founding.sites[node.site.index()].name == *site)
            && names.as_ref().is_none_or(|names| names.contains(&node.name.as_str()))
            && sites.as_ref().is_none_or(|sites| sites.is_some_and(|sites| sites.contains(&node.site)))
    };
    let nodes = founding.nodes.iter().filter(wanted);
    nodes.map(|node| view::estate::node(&centre, &app.estate, node, &sees)).collect()
}

pub(super) async fn drain(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Fault> {
    let spec: DrainSpec = body(request, SMALL).await?;
    convert::text("reason", &spec.reason, 1_024)?;
    app.ask(&caller.name, None, Input::Drain { node: name.clone(), why: spec.reason }, None).await?;
    one(&app, &name)
}

pub(super) async fn sign(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Fault> {
    let spec: SignSpec = body(request, SMALL).await?;
    let sign = convert::sign(spec)?;
    let is_news = app.estate.node(&name).is_none_or(|node| app.centre().is_news(node.id, &sign));
    if is_news {
        app.ask(&caller.name, None, Input::Sign { node: name.clone(), sign }, None).await?;
    }
    one(&app, &name)
}

pub(super) async fn resume(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<Response, Fault> {
    app.ask(&caller.name, None, Input::Resume { node: name.clone() }, None).await?;
    one(&app, &name)
}

pub(super) async fn clear(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<Response, Fault> {
    app.ask(&caller.name, None, Input::Clear { node: name.clone() }, None).await?;
    one(&app, &name)
}

pub(super) async fn lost(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(site): Path<String>,
    request: Request,
) -> Result<Response, Fault> {
    let LostSpec { reason, at_once } = body(request, SMALL).await?;
    convert::text("reason", &reason, 1_024)?;
    let failover = if at_once { Failover::AtOnce } else { Failover::AfterPolicy };
    app.ask(&caller.name, None, Input::SiteLost { site: site.clone(), why: reason, failover }, None).await?;
    one_site(app, site).await
}

pub(super) async fn back(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(site): Path<String>,
) -> Result<Response, Fault> {
    app.ask(&caller.name, None, Input::SiteBack { site: site.clone() }, None).await?;
    one_site(app, site).await
}

async fn one_site(app: Arc<App>, name: String) -> Result<Response, Fault> {
    let work = move || {
        let mut sites = view::estate::sites(&app.centre(), &app.estate).into_iter();
        Ok(sites.find(|site| site.name == name))
    };
    blocking(work).await?.map(|site| json(&site)).ok_or_else(Fault::internal)
}

fn one(app: &App, name: &str) -> Result<Response, Fault> {
    let node = app.estate.node(name).ok_or_else(|| Fault::not_found(format!("node {name}")))?;
    Ok(json(&view::estate::node(&app.centre(), &app.estate, node, &|_| true)))
}
