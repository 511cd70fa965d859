//! One line in the log for each request: number, method, path, who, status, time. Never a query (it may hold a
//! sign-in code), a header or a body.

use crate::fault::Fault;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Who a request came from, told by the gate to the log.
#[derive(Clone)]
pub struct User(pub Option<String>);

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
fn as_problem(response: Response) -> Response {
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
    fault.into_response()
}

/// Numbers the request, serves it, adds what every answer carries, and writes the line.
pub async fn log(State(count): State<Arc<AtomicU64>>, request: Request, next: Next) -> Response {
    let number = count.fetch_add(1, Ordering::Relaxed);
    let began = Instant::now();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = next.run(request).await;
    let user = response.extensions_mut().remove::<User>().and_then(|User(name)| name).unwrap_or_default();
    let millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(request = number, %method, path, user, status = response.status().as_u16(), millis, "request");
    response = as_problem(response);
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert("x-request-id", HeaderValue::from(number));
    response
}
