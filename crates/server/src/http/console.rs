//! The console's files, carried inside the server. The page's own script does the rest through the API.

use super::App;
use crate::fault::Fault;
use crate::store::journal::hex;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

include!(concat!(env!("OUT_DIR"), "/console_files.rs"));

struct File {
    bytes: &'static [u8],
    kind: &'static str,
    tag: HeaderValue,
}

static TABLE: LazyLock<HashMap<&'static str, File>> = LazyLock::new(|| {
    let file = |(name, bytes): &(&'static str, &'static [u8])| {
        let tag = format!("\"{}\"", &hex(&Sha256::digest(bytes))[..32]);
        let tag = HeaderValue::from_str(&tag).unwrap_or(HeaderValue::from_static("\"\""));
        (*name, File { bytes, kind: kind(name), tag })
    };
    FILES.iter().map(file).collect()
});

fn kind(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, kind)| kind) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        Some("json" | "webmanifest") => "application/json",
        _ => "application/octet-stream",
    }
}

/// Serves a file of the console; anything else is a problem document.
pub(super) async fn file(State(_): State<Arc<App>>, request: Request) -> Response {
    let path = request.uri().path();
    let name = match path {
        "/" | "/signin" => "index.html",
        "/favicon.ico" => "icon.svg",
        other => other.trim_start_matches('/'),
    };
    match TABLE.get(name) {
        Some(_) if request.method() != Method::GET && request.method() != Method::HEAD => {
            Fault::new(405, "method_not_allowed", "this method is not for this path").into_response()
        }
        Some(file) => send(file, request.headers()),
        None => Fault::new(404, "not_found", format!("there is nothing at {path}")).into_response(),
    }
}

fn send(file: &File, headers: &HeaderMap) -> Response {
    let same = headers.get(header::IF_NONE_MATCH).is_some_and(|tag| *tag == file.tag);
    let mut response = if same { StatusCode::NOT_MODIFIED.into_response() } else { file.bytes.into_response() };
    let answer = response.headers_mut();
    answer.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.kind));
    answer.insert(header::ETAG, file.tag.clone());
    answer.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
