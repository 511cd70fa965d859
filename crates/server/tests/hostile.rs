//! Hostile requests: refused with place and mend, never a failure of the server, and the books still balance.
mod common;

use common::{Client, Dir, Up};
use madang_api::routes::OPERATIONS;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::io::{Read, Write};

fn survives(client: &Client, method: &str, path: &str, body: Option<&str>) {
    let answer = client.call(method, path, body);
    assert!(answer.status < 500, "{method} {path} {:?}: {}", body.map(|body| body.len()), answer.text);
    if answer.status >= 400 {
        answer.problem(answer.status);
    }
}

fn nasty_bodies() -> Vec<String> {
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(100_000), close.repeat(100_000));
    let mut bodies = vec![
        String::new(),
        "{".into(),
        "null".into(),
        "[]".into(),
        "\"text\"".into(),
        "1e999".into(),
        "{}{}".into(),
        "{\"name\":\"\\u0000\"}".into(),
        "{\"name\":\"\\ud800\"}".into(),
        "\u{feff}{}".into(),
        deep("[", "]"),
        deep("{\"a\":", "}"),
        format!("{{\"name\":\"{}\"}}", "a".repeat(60_000)),
        format!("{{\"{}\":1}}", "k".repeat(60_000)),
    ];
    for field in ["name", "user", "code", "reason", "note", "title", "owner", "class", "comment"] {
        for value in
            [json!(-1), json!(null), json!([]), json!({}), json!("\0"), json!("x".repeat(5_000)), json!("../../etc")]
        {
            bodies.push(json!({ field: value }).to_string());
        }
    }
    for field in ["gpu_hours", "from_ms", "until_ms", "days", "signal", "limit_secs", "nice"] {
        for value in ["-1", "0", "1.5", "18446744073709551615", "99999999999999999999", "\"1\"", "9223372036854775807"]
        {
            bodies.push(format!("{{\"{field}\":{value}}}"));
        }
    }
    bodies
}

#[test]
fn no_body_breaks_any_operation() {
    let dir = Dir::new();
    let up = Up::start(&dir.0);
    let root = up.client("root");
    let job = up.client("ann").submit(json!({ "held": true, "project": "alpha" }));
    for operation in OPERATIONS.iter().filter(|operation| ["POST", "PATCH"].contains(&operation.method)) {
        let path = operation.path.replace("{id}", &job.to_string()).replace("{name}", "alpha");
        for body in nasty_bodies() {
            survives(&root, operation.method, &path, Some(&body));
        }
    }
    assert_eq!(root.get("/api/v1/audit").ok()["violations"], json!([]));
    up.stop().expect("a clean stop");
}

#[test]
fn no_path_or_query_breaks_any_operation() {
    let dir = Dir::new();
    let up = Up::start(&dir.0);
    let root = up.client("root");
    let names = [
        "0",
        "-1",
        "18446744073709551615",
        "9223372036854775808",
        "99999999999999999999999",
        "1_",
        "_1",
        "1_4294967296",
        "job-",
        "%00",
        "%ff",
        "%2e%2e%2f",
        "a%20b",
        "%F0%9F%A6%80",
        "1%3B%20DROP%20TABLE%20jobs",
    ];
    for operation in OPERATIONS.iter().filter(|operation| operation.path.contains('{')) {
        for name in names {
            survives(&root, operation.method, &operation.path.replace("{id}", name).replace("{name}", name), None);
        }
    }
    for query in [
        "after=-1",
        "after=18446744073709551615",
        "limit=0",
        "limit=99999999999999999999",
        "ids=",
        "ids=1,,2",
        "ids=1_4294967295",
        "since_ms=18446744073709551615",
        "until_ms=253402300799001",
        "state=",
        "state=x",
        "user=%00",
        "full=maybe",
        "expand=1",
        "name=%ff",
        "ids=18446744073709551615",
        "a=1&a=1",
        "state=all&project=%27%20OR%201=1--",
        "=",
        "%",
        "&&&",
    ] {
        survives(&root, "GET", &format!("/api/v1/jobs?{query}"), None);
    }
    let many = (0..1_000).map(|id| format!("{id}_1")).collect::<Vec<_>>().join(",");
    root.get(&format!("/api/v1/jobs?state=all&ids={many}")).ok();
    up.stop().expect("a clean stop");
}

#[test]
fn a_body_that_is_too_long_is_refused() {
    let dir = Dir::new();
    let up = Up::start(&dir.0);
    let ann = up.client("ann");
    let long = |bytes: usize| json!({ "batch": { "script": "x".repeat(bytes), "cwd": "/" } }).to_string();
    assert_eq!(ann.call("POST", "/api/v1/jobs", Some(&long(13 << 20))).problem(413), "too_large");
    assert_eq!(ann.call("POST", "/api/v1/jobs", Some(&long((4 << 20) + 1))).problem(422), "invalid");
    ann.call("POST", "/api/v1/jobs", Some(&long(4 << 20))).ok();
    assert_eq!(ann.call("POST", "/api/v1/tokens", Some(&"x".repeat(65_537))).problem(413), "too_large");
    up.stop().expect("a clean stop");
}

#[test]
fn what_is_not_http_is_survived() {
    let dir = Dir::new();
    let up = Up::start(&dir.0);
    let address = up.base.strip_prefix("http://").expect("an address");
    for bytes in [&b"\0\0\0\0"[..], b"GET", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00", &[b'A'; 100_000]] {
        let mut stream = std::net::TcpStream::connect(address).expect("connected");
        stream.set_read_timeout(Some(std::time::Duration::from_millis(200))).expect("set");
        // Either side may hang up at once.
        drop(stream.write_all(bytes));
        drop(stream.read(&mut [0; 1_024]));
    }
    assert_eq!(up.anonymous().get("/readyz").status, 200);
    up.stop().expect("a clean stop");
}

#[test]
fn a_body_that_nobody_asked_for_costs_no_answer() {
    let dir = Dir::new();
    let up = Up::start(&dir.0);
    let (address, root) = (up.base.strip_prefix("http://").expect("an address"), up.client("root"));
    let token = root.token.as_deref().expect("root has a token");
    let mut stream = std::net::TcpStream::connect(address).expect("connected");
    stream.set_read_timeout(Some(std::time::Duration::from_secs(20))).expect("set");
    let head = format!(
        "POST /api/v1/signin-links HTTP/1.1\r\nhost: here\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\
         content-length: 400000\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).expect("it listens");
    for _ in 0..4 {
        // Time for an answer that does not wait for the rest.
        std::thread::sleep(std::time::Duration::from_millis(50));
        stream.write_all(&[b' '; 100_000]).expect("it reads on");
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    up.stop().expect("a clean stop");
}

/// Anything at all, with a liking for edges.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        prop_oneof![Just(0_i64), Just(1), Just(-1), Just(i64::MAX), Just(i64::MIN), Just(4_294_967_295), any::<i64>()]
            .prop_map(Value::from),
        (0_i64..40).prop_map(Value::from),
        prop_oneof![
            Just("gpu"),
            Just("alpha"),
            Just("big"),
            Just("a1"),
            Just("0-3%2"),
            Just("1-99999"),
            Just("h200"),
            Just("")
        ]
        .prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key(), inner), 0..4)
                .prop_map(|pairs| pairs.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

fn key() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "name",
        "project",
        "partition",
        "sites",
        "parts",
        "include",
        "exclude",
        "across_islands",
        "topology",
        "required",
        "preferred",
        "segment",
        "spares",
        "reservation",
        "limit_secs",
        "qos",
        "nice",
        "begin_ms",
        "after",
        "after_any",
        "singleton",
        "kill_on_invalid",
        "requeue",
        "held",
        "warning",
        "array",
        "batch",
        "model",
        "comment",
        "dry_run",
        "nodes",
        "gpus_per_node",
        "gpus_total",
        "gpu_model",
        "tasks",
        "tasks_per_node",
        "cpus_per_task",
        "cpus_per_node",
        "memory_mib",
        "exclusive",
        "features",
        "script",
        "cwd",
        "env",
        "args",
        "kind",
        "job",
        "task",
        "delay_secs",
        "signal",
        "before_secs",
        "shell",
        "runtime_ms",
        "exit",
    ])
    .prop_map(str::to_owned)
}

/// A submission that mostly fits its types, so that what lies behind the reading is reached.
fn submission() -> impl Strategy<Value = Value> {
    let number =
        || prop_oneof![0_u64..10, Just(65_536), Just(4_294_967_295), Just(u64::MAX), Just(i64::MAX.unsigned_abs())];
    let optional = move || prop::option::weighted(0.3, number());
    let part = (optional(), optional(), optional(), optional(), optional(), optional(), optional()).prop_map(
        |(nodes, gpus, total, tasks, per, cpus, memory)| {
            json!({ "nodes": nodes, "gpus_per_node": gpus, "gpus_total": total, "tasks": tasks, "tasks_per_node": per,
                "cpus_per_task": cpus, "memory_mib": memory })
        },
    );
    let after = (
        prop::sample::select(vec!["after", "afterok", "afternotok", "afterany", "aftercorr"]),
        number(),
        optional(),
        number(),
    )
        .prop_map(|(kind, job, task, delay)| json!({ "kind": kind, "job": job, "task": task, "delay_secs": delay }));
    (
        prop::collection::vec(part, 0..4),
        prop::collection::vec(after, 0..4),
        (optional(), optional(), -20_000_i32..20_000, any::<bool>(), any::<bool>()),
        prop::option::of(prop::sample::select(vec!["0-3", "0-99999", "5%1", "1-1000000:1000", "0-4294967295"])),
        number(),
    )
        .prop_map(|(parts, after, (limit, begin, nice, held, singleton), array, runtime)| {
            json!({ "parts": parts, "after": after, "limit_secs": limit, "begin_ms": begin, "nice": nice, "held": held,
                "singleton": singleton, "array": array, "model": { "runtime_ms": runtime, "exit": -1 } })
        })
}

#[test]
fn no_submission_breaks_the_core() {
    let dir = Dir::new();
    let up = Up::start(&dir.0);
    let root = up.client("root");
    let config = ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(body in prop_oneof![value(), submission()])| {
        survives(&root, "POST", "/api/v1/jobs", Some(&body.to_string()));
    });
    assert_eq!(root.get("/readyz").status, 200);
    assert_eq!(root.get("/api/v1/audit").ok()["violations"], json!([]));
    root.get("/api/v1/jobs?limit=1000&full=true").ok();
    up.stop().expect("a clean stop");
}
