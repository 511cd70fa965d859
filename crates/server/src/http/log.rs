//! One line in the log for each request: its id, method, route, the number of the token or session, status, time; the
//! same counted for the metrics. Never a name, a path (it may hold one), a query (it may hold a sign-in code), a header or
//! a body. The id is also in the answer's header and in its problem document.

use super::App;
use crate::fault::Fault;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use madang_api::routes::OPERATIONS;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Number of the token or session that a request came with, told by the gate to the log.
#[derive(Clone)]
pub struct Pass(pub Option<u64>);

/// What numbers requests and counts them.
pub struct Log {
    app: Arc<App>,
    /// Drawn at the start, so that ids of two starts, or of two servers, do not meet.
    start: u32,
    count: AtomicU64,
}

impl Log {
    /// The log of a server.
    pub fn new(app: &Arc<App>) -> Arc<Log> {
        let start = getrandom::u32().unwrap_or_else(|_| std::process::id());
        Arc::new(Log { app: Arc::clone(app), start, count: AtomicU64::new(1) })
    }

    fn next_id(&self) -> String {
        format!("{:08x}-{}", self.start, self.count.fetch_add(1, Ordering::Relaxed))
    }
}

/// What every answer carries, so that a browser does nothing with it that was not meant.
const HEADERS: [(HeaderName, &str); 5] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'",
    ),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// A failure that came from elsewhere (a path that is not UTF-8, say) as a problem document like all others.
fn as_problem(mut response: Response, id: &str) -> Response {
    if let Some(fault) = response.extensions_mut().remove::<Fault>() {
        return fault.answer(id);
    }
    let status = response.status();
    let kind = response.headers().get(header::CONTENT_TYPE);
    let is_problem = kind.is_some_and(|kind| kind == "application/problem+json");
    if is_problem || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let fault = match status.as_u16() {
        404 => Fault::new(404, "not_found", "there is nothing at this path"),
        405 => Fault::new(405, "method_not_allowed", "this method is not for this path"),
        status if status < 500 => Fault::new(status, "bad_request", "the request could not be read"),
        _ => Fault::internal(),
    };
    fault.answer(id)
}

/// Numbers the request, serves it, adds what every answer carries, writes the line and counts.
pub async fn log(State(log): State<Arc<Log>>, request: Request, next: Next) -> Response {
    let (id, began, method) = (log.next_id(), Instant::now(), request.method().clone());
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let path = matched.as_ref().map_or("other", MatchedPath::as_str);
    let route = OPERATIONS.iter().position(|operation| operation.path == path && operation.method == method.as_str());
    let mut response = next.run(request).await;
    let pass = response.extensions_mut().remove::<Pass>().and_then(|Pass(number)| number);
    response = as_problem(response, &id);
    let (status, took) = (response.status().as_u16(), began.elapsed());
    log.app.shared.metrics.served(route, status, took);
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    tracing::info!(request = id, %method, route = path, pass, status, micros, "request");
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert("x-request-id", id);
    }
    response
}
