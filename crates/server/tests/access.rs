//! Who may do what: every operation as everybody, against a checked-in table; browsers' sessions; nothing leaks.
mod common;

use common::{Answer, Client, Dir, Up, job};
use expect_test::expect_file;
use madang_api::routes::OPERATIONS;
use serde_json::{Value, json};

const CALLERS: [(&str, &str); 7] = [
    ("nobody", ""),
    ("foreign", "bo"),
    ("member", "ann"),
    ("owner", "olga"),
    ("officer", "olaf"),
    ("operator", "otto"),
    ("admin", "root"),
];

/// A good request for an operation on an object of project alpha, made anew for each caller.
fn request(up: &Up, ann: &Client, (method, path): (&str, &str), nth: usize) -> (String, Option<Value>) {
    let held = || {
        ann.submit(json!({ "name": "canary-alpha", "held": true, "batch": { "script": "#!/bin/sh\n", "cwd": "/" } }))
    };
    let name = path.strip_prefix("/api/v1").unwrap_or(path);
    let body = match (method, name) {
        ("POST", "/session") => {
            let app = &up.server.as_ref().expect("up").app;
            let code = app.passes.make_code(app.now(), "ann").unwrap_or_else(|no| panic!("{no}"));
            Some(json!({ "code": code.reveal() }))
        }
        ("POST", "/nodes/{name}/drain") => Some(json!({ "reason": "test" })),
        ("POST", "/nodes/{name}/signs") => Some(json!({ "xid": 31 })),
        ("POST", "/reservations") => Some(reservation(&format!("new-{nth}"))),
        // Nobody has a plan here: whoever may is told that its move no longer holds.
        ("POST", "/defrag") => Some(json!({ "groups": [{ "moves": [{ "job": 9_000, "attempt": 1, "to": ["a1"] }] }] })),
        ("DELETE", "/reservations/{name}") => {
            up.client("otto").post("/api/v1/reservations", &reservation("alpha"));
            None
        }
        ("POST", "/jobs") => Some(json!({ "held": true, "project": "alpha" })),
        ("PATCH", _) => Some(json!({ "comment": "changed" })),
        ("POST", "/jobs/{id}/signal") => Some(json!({ "signal": 10 })),
        ("POST", "/nodes/{name}/resume") => {
            up.client("otto").post("/api/v1/nodes/a1/drain", &json!({ "reason": "test" })).ok();
            None
        }
        ("POST", "/sites/{name}/lost") => {
            up.client("otto").post("/api/v1/sites/big/back", &json!({}));
            Some(json!({ "reason": "test" }))
        }
        ("POST", "/sites/{name}/back") => {
            up.client("otto").post("/api/v1/sites/big/lost", &json!({ "reason": "test" }));
            None
        }
        // Nothing was given up there: whoever may is told so.
        ("POST", "/projects/{name}/data") => Some(json!({ "data": null })),
        ("POST", "/jobs/{id}/finish") => Some(json!({ "exit": 0 })),
        ("POST", "/projects") => Some(json!({ "name": format!("new-{nth}"), "owner": "public", "class": "research" })),
        ("POST", "/projects/{name}/awards") => Some(json!({ "gpu_hours": 1 })),
        ("POST", "/projects/{name}/members") => Some(json!({ "user": "ann" })),
        ("POST", "/users") => Some(json!({ "name": "newcomer", "role": "researcher" })),
        ("POST", "/tokens") => Some(json!({ "user": "ann", "note": "test" })),
        // No site of this centre has an agent: whoever may is told so.
        ("POST", "/agents/invitations") => Some(json!({ "site": "big" })),
        _ => None,
    };
    let id = match name {
        _ if name.starts_with("/tokens/") => {
            let made = ann.post("/api/v1/tokens", &json!({ "user": "ann", "note": "test" })).ok();
            made["id"].to_string()
        }
        _ if !name.contains("{id}") => String::new(),
        _ if name.starts_with("/agents/") => "9000".to_owned(),
        "/jobs/{id}/requeue" | "/jobs/{id}/signal" | "/jobs/{id}/checkpoint" => {
            let id = ann.submit(job(1, 600_000));
            ann.until(&format!("/api/v1/jobs/{id}"), |job| job["state"] == "RUNNING");
            id.to_string()
        }
        _ => held().to_string(),
    };
    let object = match name {
        _ if name.starts_with("/nodes") => "a1",
        _ if name.starts_with("/sites") => "big",
        _ => "alpha",
    };
    (path.replace("{id}", &id).replace("{name}", object), body)
}

/// Maintenance that begins a day after the test.
fn reservation(name: &str) -> Value {
    let (kind, reason) = ("maintenance", "test");
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("it is after 1970").as_millis() as u64;
    let (from, until) = (now + 86_400_000, now + 90_000_000);
    json!({ "name": name, "kind": kind, "reason": reason, "nodes": ["a1"], "from_ms": from, "until_ms": until })
}

fn call(client: &Client, method: &str, path: &str, body: Option<&Value>) -> u16 {
    if path == "/api/v1/events" {
        // A stream has no end: its status is all.
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut request = agent.get(format!("{}{path}", client.base));
        if let Some(token) = &client.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        return request.call().expect("an answer").status().as_u16();
    }
    let answer = client.call(method, path, body.map(Value::to_string).as_deref());
    if answer.status >= 400 {
        answer.problem(answer.status);
    }
    answer.status
}

#[test]
fn every_operation_as_everybody() {
    let dir = Dir::new();
    let up = Up::start(&dir.0);
    let ann = up.client("ann");
    let mut table = format!("{:<52}", "operation on an object of project alpha");
    for (caller, _) in CALLERS {
        table.push_str(&format!("{caller:>9}"));
    }
    table.push('\n');
    for operation in OPERATIONS {
        table.push_str(&format!("{:<52}", format!("{} {}", operation.method, operation.path)));
        for (nth, (_, user)) in CALLERS.iter().enumerate() {
            let (path, body) = request(&up, &ann, (operation.method, operation.path), nth);
            let client = if user.is_empty() { up.anonymous() } else { up.client(user) };
            let status = call(&client, operation.method, &path, body.as_ref());
            table.push_str(&format!("{status:>9}"));
        }
        table.push('\n');
    }
    expect_file!["./access.txt"].assert_eq(&table);
    up.stop().expect("a clean stop");
}

#[test]
fn what_is_foreign_leaves_no_trace() {
    let dir = Dir::new();
    let up = Up::start(&dir.0);
    let (ann, bo) = (up.client("ann"), up.client("bo"));
    let id = ann.submit(json!({ "name": "canary-alpha", "comment": "canary-alpha", "parts": [{ "gpus_total": 4 }],
        "limit_secs": 600, "model": { "runtime_ms": 600_000 } }));
    ann.until(&format!("/api/v1/jobs/{id}"), |job| job["state"] == "RUNNING");
    for path in [
        "/overview",
        "/sites",
        "/partitions",
        "/floor",
        "/nodes",
        "/reservations",
        "/jobs?state=all",
        "/jobs?user=ann&expand=true&full=true",
        "/jobs?project=alpha",
        "/projects",
        "/owners",
        "/me",
        "/tokens",
    ] {
        let text = bo.get(&format!("/api/v1{path}")).text;
        for canary in ["canary-alpha", "\"alpha\"", "\"ann\""] {
            assert!(!text.contains(canary), "{path} shows {canary}: {text}");
        }
    }
    // What is foreign and what is not there are told apart by nothing but the number asked for (and the request's id).
    for tail in ["", "/why", "/when", "/log", "/script"] {
        let told = |id: &str| {
            let mut problem = bo.get(&format!("/api/v1/jobs/{id}{tail}")).json();
            problem.as_object_mut().expect("a problem").remove("request").expect("each has an id of its own");
            problem.to_string().replace(id, "N")
        };
        let (foreign, absent) = (told(&id.to_string()), told("999999"));
        assert_eq!(foreign, absent);
    }
    let nodes = bo.get("/api/v1/nodes").ok();
    assert!(nodes["items"].as_array().expect("items").iter().all(|node| node["jobs"] == json!([])));
    up.stop().expect("a clean stop");
}

fn cookie(answer: &Answer) -> String {
    let value = answer.headers["set-cookie"].to_str().expect("text");
    assert!(value.contains("HttpOnly") && value.contains("SameSite=Strict"), "{value}");
    value.split(';').next().expect("a pair").to_owned()
}

#[test]
fn a_browser_signs_in_once_and_changes_things_only_from_our_own_pages() {
    let dir = Dir::new();
    let up = Up::start(&dir.0);
    let (ann, browser) = (up.client("ann"), up.anonymous());
    let url = ann.call("POST", "/api/v1/signin-links", None).ok()["url"].as_str().expect("a link").to_owned();
    let (page, code) = url.split_once("?code=").expect("a code");
    assert_eq!(page, format!("{}/signin", up.base));
    let signed = browser.post("/api/v1/session", &json!({ "code": code }));
    let cookie = cookie(&signed);
    assert_eq!(signed.ok()["name"], "ann");
    assert_eq!(browser.post("/api/v1/session", &json!({ "code": code })).problem(401), "unauthenticated");
    let with = |method: &str, path: &str, body: Option<&str>, more: &[(&str, &str)]| {
        let mut headers = vec![("cookie", cookie.as_str())];
        headers.extend(more);
        browser.call_with(method, path, body, &headers)
    };
    assert_eq!(with("GET", "/api/v1/me", None, &[]).ok()["name"], "ann");
    let body = job(1, 1).to_string();
    let submit = |more: &[(&str, &str)]| with("POST", "/api/v1/jobs", Some(&body), more);
    assert_eq!(submit(&[("sec-fetch-site", "cross-site")]).problem(403), "forbidden");
    assert_eq!(submit(&[("sec-fetch-site", "same-site")]).problem(403), "forbidden");
    assert_eq!(submit(&[("origin", "http://evil.example")]).problem(403), "forbidden");
    assert_eq!(submit(&[("origin", "null")]).problem(403), "forbidden");
    submit(&[("sec-fetch-site", "same-origin")]).ok();
    submit(&[("origin", up.base.as_str())]).ok();
    assert_eq!(
        with("POST", "/api/v1/jobs", Some(&body), &[("content-type", "text/plain")]).problem(415),
        "bad_request"
    );
    with("DELETE", "/api/v1/session", None, &[]).ok();
    assert_eq!(with("GET", "/api/v1/me", None, &[]).problem(401), "unauthenticated");
    up.stop().expect("a clean stop");
}

#[test]
fn a_token_ends_when_it_is_revoked() {
    let dir = Dir::new();
    let up = Up::start(&dir.0);
    let (ann, bo) = (up.client("ann"), up.client("bo"));
    let made = ann.post("/api/v1/tokens", &json!({ "user": "ann", "note": "laptop" })).ok();
    let laptop = Client { base: up.base.clone(), token: made["token"].as_str().map(str::to_owned) };
    laptop.get("/api/v1/me").ok();
    assert!(!ann.get("/api/v1/tokens").text.contains(laptop.token.as_deref().expect("a token")));
    let at = format!("/api/v1/tokens/{}", made["id"]);
    assert_eq!(bo.call("DELETE", &at, None).problem(404), "not_found");
    laptop.call("DELETE", &at, None).ok();
    assert_eq!(laptop.get("/api/v1/me").problem(401), "unauthenticated");
    for bad in ["", "x", "mdg_", "mdg_0000"] {
        let client = Client { base: up.base.clone(), token: Some(bad.into()) };
        assert_eq!(client.get("/api/v1/me").problem(401), "unauthenticated");
    }
    up.stop().expect("a clean stop");
}

#[test]
fn the_console_is_served_with_strict_headers() {
    let dir = Dir::new();
    let up = Up::start(&dir.0);
    let browser = up.anonymous();
    let page = browser.get("/");
    assert_eq!((page.status, page.headers["content-type"].to_str().ok()), (200, Some("text/html; charset=utf-8")));
    let policy = page.headers["content-security-policy"].to_str().expect("text");
    assert!(policy.contains("default-src 'self'") && !policy.contains("unsafe"), "{policy}");
    let tag = page.headers["etag"].to_str().expect("text");
    assert_eq!(browser.call_with("GET", "/", None, &[("if-none-match", tag)]).status, 304);
    assert_eq!(browser.get("/signin?code=x").text, page.text);
    for (path, status) in [("/nothing", 404), ("/api/v1/nothing", 404), ("/../Cargo.toml", 404), ("/%ff", 404)] {
        browser.get(path).problem(status);
    }
    browser.call("POST", "/", None).problem(405);
    browser.call("PUT", "/api/v1/jobs", None).problem(405);
    up.stop().expect("a clean stop");
}
