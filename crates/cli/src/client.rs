//! The way to the server: where it is, who asks, one call at a time.
//!
//! Where: `--server` or `MADANG_URL`, else `server.json` in the data folder. Who: `MADANG_TOKEN`, the file that
//! `MADANG_TOKEN_FILE` names, else `admin.token` in the data folder. Nothing else in this crate opens a connection.
use crate::fail::{Fail, NO_SERVER};
use madang_api::{Page, Problem};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(60);
/// The longest answer that is read.
const MOST_BYTES: u64 = 512 << 20;
/// Items to a page of a list.
const PAGE: &str = "1000";

/// A server and the caller's token.
pub struct Client {
    agent: ureq::Agent,
    url: String,
    token: String,
}

/// What was said on the command line about where the server is.
#[derive(Clone, Debug, Default)]
pub struct Where {
    /// `--server`.
    pub server: Option<String>,
    /// `--data`.
    pub data: Option<PathBuf>,
}

/// The data folder: as told, `MADANG_DATA`, `./madang-data` if there is one, else `madang` in the user's data folder.
pub fn data_folder(told: Option<&Path>) -> PathBuf {
    if let Some(told) = told {
        return told.to_owned();
    }
    if let Some(folder) = filled("MADANG_DATA") {
        return folder.into();
    }
    let here = PathBuf::from("madang-data");
    if here.is_dir() {
        return here;
    }
    let home = || filled("HOME").map(|home| PathBuf::from(home).join(".local/share"));
    let base = filled("XDG_DATA_HOME").map(PathBuf::from).or_else(home);
    base.map_or(here, |base| base.join("madang"))
}

fn filled(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

impl Client {
    /// Finds the server and the token.
    pub fn find(place: &Where) -> Result<Client, Fail> {
        let data = data_folder(place.data.as_deref());
        let told = place.server.clone().or_else(|| filled("MADANG_URL").filter(|_| place.data.is_none()));
        let url = match told {
            Some(url) => url,
            None => address(&data)?,
        };
        let config = ureq::Agent::config_builder()
            .timeout_connect(Some(CONNECT))
            .timeout_global(Some(ANSWER))
            .http_status_as_error(false)
            .proxy(None)
            .user_agent(concat!("madang/", env!("CARGO_PKG_VERSION")))
            .build();
        let url = url.trim_end_matches('/').to_owned();
        Ok(Client { agent: config.new_agent(), url, token: token(&data)? })
    }

    /// The server's address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// `GET path`.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Fail> {
        let request = self.agent.get(self.address(path)).header("Authorization", self.bearer());
        self.answer(request.call())
    }

    /// `GET path` as text.
    pub fn get_text(&self, path: &str) -> Result<String, Fail> {
        let request = self.agent.get(self.address(path)).header("Authorization", self.bearer());
        self.body(request.call())
    }

    /// All pages of a list; `path` may carry a query. Only jobs are so many that their pages have a size.
    pub fn list<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, Fail> {
        let join = if path.contains('?') { '&' } else { '?' };
        let size = if path.starts_with("/jobs") { format!("{join}limit={PAGE}") } else { String::new() };
        let mut page: Page<T> = self.get(&format!("{path}{size}"))?;
        let mut items = std::mem::take(&mut page.items);
        while let Some(next) = page.next.take() {
            let join = if size.is_empty() { join } else { '&' };
            page = self.get(&format!("{path}{size}{join}after={}", escape(&next)))?;
            items.append(&mut page.items);
        }
        Ok(items)
    }

    /// `POST path`.
    pub fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Fail> {
        let request = self.agent.post(self.address(path)).header("Authorization", self.bearer());
        self.answer(request.send_json(body))
    }

    /// `POST path` without a body.
    pub fn ask<T: DeserializeOwned>(&self, path: &str) -> Result<T, Fail> {
        let request = self.agent.post(self.address(path)).header("Authorization", self.bearer());
        self.answer(request.send_empty())
    }

    /// `PATCH path`.
    pub fn patch<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Fail> {
        let request = self.agent.patch(self.address(path)).header("Authorization", self.bearer());
        self.answer(request.send_json(body))
    }

    /// `DELETE path`.
    pub fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, Fail> {
        let request = self.agent.delete(self.address(path)).header("Authorization", self.bearer());
        self.answer(request.call())
    }

    /// `POST path` that may be sent twice: under one key, and once again when the answer was lost.
    pub fn post_once<T: DeserializeOwned>(&self, path: &str, key: &str, body: &impl Serialize) -> Result<T, Fail> {
        let send = || {
            let request = self.agent.post(self.address(path)).header("Authorization", self.bearer());
            request.header("Idempotency-Key", key).send_json(body)
        };
        match send() {
            Err(error) if was_lost(&error) => self.answer(send()),
            result => self.answer(result),
        }
    }

    fn address(&self, path: &str) -> String {
        format!("{}/api/v1{path}", self.url)
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.token)
    }

    fn answer<T: DeserializeOwned>(&self, sent: Sent) -> Result<T, Fail> {
        let text = self.body(sent)?;
        let text = if text.is_empty() { "null" } else { &text };
        let wrong = |error| Fail::new(format!("failed to read the answer of {}: {error}", self.url));
        serde_json::from_str(text)
            .map_err(wrong)
            .map_err(|fail| fail.hint("is the server of another release than this command?"))
    }

    fn body(&self, sent: Sent) -> Result<String, Fail> {
        let answer = sent.map_err(|error| self.unreachable(&error))?;
        let status = answer.status().as_u16();
        let body = answer.into_body().into_with_config().limit(MOST_BYTES).read_to_string();
        let text = body.map_err(|error| self.unreachable(&error))?;
        if status < 400 { Ok(text) } else { Err(self.refused(status, &text)) }
    }

    fn refused(&self, status: u16, text: &str) -> Fail {
        let Ok(problem) = serde_json::from_str::<Problem>(text) else {
            return Fail::new(format!("{} answered {status}", self.url)).hint("is this a madang server?");
        };
        let hint = problem.hint.or_else(|| {
            let advice = "give a token with MADANG_TOKEN or MADANG_TOKEN_FILE";
            (problem.code == "unauthenticated").then(|| advice.to_owned())
        });
        Fail { fact: problem.detail, hint, code: Some(problem.code), exit: 1 }
    }

    fn unreachable(&self, error: &ureq::Error) -> Fail {
        let fail = match error {
            ureq::Error::ConnectionFailed | ureq::Error::HostNotFound => format!("no server answers at {}", self.url),
            ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                format!("no server answers at {}", self.url)
            }
            ureq::Error::Timeout(_) => format!("the server at {} does not answer in time", self.url),
            error => format!("failed to talk to {}: {error}", self.url),
        };
        Fail::new(fail).hint("start one with madang up, or name another with --server or MADANG_URL").exit(NO_SERVER)
    }
}

type Sent = Result<ureq::http::Response<ureq::Body>, ureq::Error>;

/// True when the request may have arrived although no answer did.
fn was_lost(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::Io(error) => error.kind() != std::io::ErrorKind::ConnectionRefused,
        ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => false,
        ureq::Error::Timeout(_) | ureq::Error::Protocol(_) => true,
        _ => false,
    }
}

fn address(data: &Path) -> Result<String, Fail> {
    let none = || {
        Fail::new(format!("no server is known: {} is not there", data.join("server.json").display()))
            .hint("start one with madang up, or name one with --server or MADANG_URL")
            .exit(NO_SERVER)
    };
    let text = std::fs::read_to_string(data.join("server.json")).map_err(|_| none())?;
    let value: serde_json::Value = serde_json::from_str(&text).map_err(|_| none())?;
    let known = value["address"].as_str().or(value["url"].as_str());
    known.map(str::to_owned).ok_or_else(none)
}

fn token(data: &Path) -> Result<String, Fail> {
    if let Some(token) = filled("MADANG_TOKEN") {
        return Ok(token.trim().to_owned());
    }
    let named = filled("MADANG_TOKEN_FILE").map(PathBuf::from);
    let path = named.unwrap_or_else(|| data.join("admin.token"));
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(error) => Err(Fail::new(format!("failed to read the token in {}: {error}", path.display()))
            .hint("give one with MADANG_TOKEN or MADANG_TOKEN_FILE")),
    }
}

/// Percent-escapes text for a path or query.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// A key that no other submission has.
pub fn fresh_key() -> String {
    use std::hash::{BuildHasher, Hasher, RandomState};
    // Two hashers of the standard library, each seeded by the system's random source.
    let half = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:08x}{:012x}", half(), std::process::id(), crate::time::now_ms())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes() {
        assert_eq!(escape("a b&c=가"), "a%20b%26c%3D%EA%B0%80");
        assert_ne!(fresh_key(), fresh_key());
    }
}
