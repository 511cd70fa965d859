//! What a caller is told when something cannot be done: a status, a stable code, the fact and a mend.

use crate::trouble::Trouble;
use madang_api::Problem;
use madang_centre::{Code, Refusal};

/// A failure as a caller sees it; becomes a problem document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// HTTP status.
    pub status: u16,
    /// Stable code in snake case.
    pub code: &'static str,
    /// The fact, with names and numbers.
    pub detail: String,
    /// What to do about it; empty when there is nothing to say.
    pub hint: String,
}

impl Fault {
    /// Any failure.
    pub fn new(status: u16, code: &'static str, detail: impl Into<String>) -> Fault {
        Fault { status, code, detail: detail.into(), hint: String::new() }
    }
    /// The request does not read as what the operation takes.
    pub fn bad(detail: impl Into<String>) -> Fault {
        Fault::new(400, "bad_request", detail)
    }
    /// A value is out of its range: names the field.
    pub fn invalid(field: &str, fact: impl std::fmt::Display) -> Fault {
        Fault::new(422, "invalid", format!("{field} {fact}"))
    }
    /// No such object, or none that the caller may see.
    pub fn not_found(what: impl std::fmt::Display) -> Fault {
        Fault::new(404, "not_found", format!("there is no {what}, or none that you may see"))
    }
    /// The caller may see the object, but not do this.
    pub fn forbidden(detail: impl Into<String>) -> Fault {
        Fault::new(403, "forbidden", detail)
    }
    /// Nobody is signed in.
    pub fn unauthenticated(detail: impl Into<String>) -> Fault {
        Fault::new(401, "unauthenticated", detail)
            .hint("send `Authorization: Bearer TOKEN`, or sign in with a link from `madang signin`")
    }
    /// Too much at once; come again.
    pub fn busy(detail: impl Into<String>) -> Fault {
        Fault::new(503, "busy", detail).hint("try again in a second")
    }
    /// This server stands by for another.
    pub fn standby(active: &str) -> Fault {
        let fault = Fault::new(503, "standby", format!("this server stands by: the centre is led by {active}"));
        fault.hint("send it there; reading is answered here as well")
    }
    /// The server failed; its log says how.
    pub fn internal() -> Fault {
        Fault::new(500, "internal", "the server failed to do this; its log says why")
    }
    /// The same with advice.
    pub fn hint(mut self, hint: impl Into<String>) -> Fault {
        self.hint = hint.into();
        self
    }
    /// The document, of the request with this id; empty where it has none.
    pub fn problem(self, request: &str) -> Problem {
        Problem {
            kind: format!("about:blank#{}", self.code),
            status: self.status,
            title: title(self.status).into(),
            code: self.code.into(),
            detail: self.detail,
            hint: Some(self.hint).filter(|hint| !hint.is_empty()),
            request: Some(request.to_owned()).filter(|request| !request.is_empty()),
        }
    }
}

fn title(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Fault {
        let (status, code) = match refusal.code {
            Code::WrongTime => (409, "wrong_time"),
            Code::NotFound => (404, "not_found"),
            Code::NotAllowed => (403, "not_allowed"),
            Code::Exists => (409, "exists"),
            Code::Invalid => (422, "invalid"),
            Code::Impossible => (422, "impossible"),
            Code::WrongState => (409, "wrong_state"),
            Code::KeyReused => (422, "key_reused"),
            Code::TooMany => (429, "too_many"),
        };
        Fault { status, code, detail: refusal.fact, hint: refusal.hint }
    }
}

impl From<Trouble> for Fault {
    fn from(trouble: Trouble) -> Fault {
        tracing::error!("{trouble}");
        Fault::internal()
    }
}
