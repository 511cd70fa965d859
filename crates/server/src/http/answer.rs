//! Requests in, answers out: JSON read with the place of a mistake, every failure as a problem document.

use crate::fault::Fault;
use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::{FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio_stream::{Stream, StreamExt};

/// The longest body of an operation that takes no script.
pub const SMALL: usize = 64 << 10;
/// The longest body of a submission: a script of 4 MiB whose every line end is escaped, and its environment.
pub const LARGE: usize = 12 << 20;

impl IntoResponse for Fault {
    /// Without the request's id: the log knows it, and makes the document anew from the fault that goes with it.
    fn into_response(self) -> Response {
        let fault = self.clone();
        let mut response = self.answer("");
        response.extensions_mut().insert(fault);
        response
    }
}

impl Fault {
    /// The problem document of a request.
    pub fn answer(self, request: &str) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self.problem(request)).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match status {
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            _ => {}
        }
        response
    }
}

/// A JSON answer.
pub fn json(value: &impl Serialize) -> Response {
    json_with(StatusCode::OK, value)
}

/// A JSON answer with another status.
pub fn json_with(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => (status, [(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(error) => {
            tracing::error!("failed to write an answer as JSON: {error}");
            Fault::internal().into_response()
        }
    }
}

/// An answer without a body.
pub fn nothing() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// The most that is read and thrown away, so that a caller who sends too much hears why before the line is cut.
const THROWN_AWAY: usize = 64 << 20;

/// Reads a body of at most `most` bytes.
pub async fn bytes(request: Request, most: usize) -> Result<Vec<u8>, Fault> {
    let mut stream = request.into_body().into_data_stream();
    let (mut kept, mut length) = (Vec::new(), 0);
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(|_| Fault::bad("the body could not be read to its end"))?;
        length += piece.len();
        if length <= most {
            kept.extend_from_slice(&piece);
        } else if length > THROWN_AWAY {
            break;
        }
    }
    if length > most {
        return Err(Fault::new(413, "too_large", format!("the body is longer than {most} bytes")));
    }
    Ok(kept)
}

/// What of a request's body nobody has read. A line that is cut with bytes still to come may cost the caller its answer.
pub struct Rest(Arc<Mutex<BodyDataStream>>);

impl Rest {
    /// Lets the request's body be read as before, and keeps hold of it.
    pub fn of(request: Request) -> (Request, Rest) {
        let (parts, body) = request.into_parts();
        let rest = Rest(Arc::new(Mutex::new(body.into_data_stream())));
        let body = Body::from_stream(Rest(Arc::clone(&rest.0)));
        (Request::from_parts(parts, body), rest)
    }

    /// Reads what is left and forgets it.
    pub async fn throw_away(mut self) {
        let mut length = 0;
        while let Some(Ok(piece)) = self.next().await {
            length += piece.len();
            if length > THROWN_AWAY {
                return;
            }
        }
    }
}

impl Stream for Rest {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut *self.0.lock()).poll_next(context)
    }
}

/// Reads a JSON body; the error names the field.
pub async fn body<T: DeserializeOwned>(request: Request, most: usize) -> Result<T, Fault> {
    let said = is_json(request.headers());
    let bytes = bytes(request, most).await?;
    said?;
    parse(&bytes)
}

/// Refuses what does not say that it is JSON: a form of another site could not say so.
pub fn is_json(headers: &HeaderMap) -> Result<(), Fault> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Fault::new(415, "bad_request", format!("the body is of type {kind:?}"))
        .hint("send JSON with `Content-Type: application/json`"))
}

/// Reads JSON; the error names the field.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value: T = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let at = if path == "." { String::new() } else { format!("{path}: ") };
        Fault::bad(format!("the body does not fit: {at}{}", error.inner()))
    })?;
    reader.end().map_err(|error| Fault::bad(format!("the body has more than one value: {error}")))?;
    Ok(value)
}

/// Reads the query; the error names the field.
pub fn query<T: DeserializeOwned>(parts: &Parts) -> Result<T, Fault> {
    let found = Query::<T>::try_from_uri(&parts.uri);
    found
        .map(|Query(value)| value)
        .map_err(|error| Fault::bad(format!("the query does not fit: {}", error.body_text())))
}

/// A query as an argument of a handler.
pub struct Ask<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Ask<T> {
    type Rejection = Fault;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        query(parts).map(Ask)
    }
}
