//! Operations on the centre as a whole.

use super::answer::json;
use super::{App, blocking};
use crate::fault::Fault;
use crate::metrics;
use crate::store::journal::hex;
use crate::view;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use madang_api::Audit;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

pub(super) async fn healthz() -> Response {
    ([(header::CONTENT_TYPE, "text/plain")], "ok\n").into_response()
}

pub(super) async fn readyz(State(app): State<Arc<App>>) -> Result<Response, Fault> {
    ready(&app)?;
    Ok(([(header::CONTENT_TYPE, "text/plain")], "ready\n").into_response())
}

/// The longest that a step and its commit may take before this server is not called ready.
const STUCK: Duration = Duration::from_secs(5);

/// Whether the core takes inputs and its journal can be written; else why not.
pub(crate) fn ready(app: &App) -> Result<(), Fault> {
    app.leads()?;
    if app.shared.lease.as_ref().is_some_and(|lease| !lease.is_sure()) {
        return Err(Fault::busy("the store does not answer: the lease on the centre is not renewed"));
    }
    if !app.shared.is_up.load(Ordering::Relaxed) {
        return Err(Fault::busy("the core has stopped"));
    }
    match app.shared.metrics.at_work() {
        Some(long) if long >= STUCK => Err(Fault::busy(format!(
            "the core has been at one step for {} s: the disk does not take its journal, or a cycle takes long",
            long.as_secs()
        ))),
        _ => Ok(()),
    }
}

pub(super) async fn metrics(State(app): State<Arc<App>>) -> Result<Response, Fault> {
    let page = blocking(move || Ok(metrics::page(&app))).await?;
    Ok(([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], page).into_response())
}

pub(super) async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], super::openapi::openapi()).into_response()
}

pub(super) async fn overview(State(app): State<Arc<App>>) -> Result<Response, Fault> {
    let work = move || {
        let chart = app.shared.chart.lock();
        Ok(view::overview::overview(&app.centre(), &app.estate, app.now(), &chart))
    };
    blocking(work).await.map(|overview| json(&overview))
}

/// Checks the core's invariants and the journal's whole chain.
pub(super) async fn audit(State(app): State<Arc<App>>) -> Result<Response, Fault> {
    let work = move || {
        let (mut violations, anomalies) = {
            let centre = app.centre();
            (centre.audit(), centre.counts().anomalies)
        };
        let head = *app.shared.head.lock();
        match app.readers.verify(head.seq) {
            Ok(found) if found == head => {}
            Ok(found) => violations.push(format!(
                "the journal's entry {} has the hash {}, the server wrote {}",
                found.seq,
                hex(&found.hash),
                hex(&head.hash)
            )),
            Err(damage) => violations.push(damage.fact),
        }
        Ok(Audit { violations, inputs: head.inputs, head: hex(&head.hash), anomalies })
    };
    blocking(work).await.map(|audit| json(&audit))
}
