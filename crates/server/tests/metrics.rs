//! The page that Prometheus reads, by a strict small parser: it is what the format says, it has every family of the
//! table and no other, counters never fall, it can be read without a token at its own address only, and it names nobody.
mod common;

use common::{Client, Dir, Up, job};
use madang_server::metrics::families::{FAMILIES, Kind};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Samples by name and labels.
type Samples = BTreeMap<String, f64>;

/// Reads a page; panics at what Prometheus would refuse, and at what this server promises not to write.
fn parse(text: &str) -> (BTreeMap<String, String>, Samples) {
    let (mut kinds, mut samples, mut family) = (BTreeMap::new(), Samples::new(), String::new());
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a help");
            assert!(help.ends_with('.') && !kinds.contains_key(name), "{line}");
            family = name.to_owned();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a kind");
            assert!(name == family && ["counter", "gauge", "histogram"].contains(&kind), "{line}");
            kinds.insert(name.to_owned(), kind.to_owned());
        } else {
            let (key, value) = line.rsplit_once(' ').expect("a value");
            let (name, labels) = key.split_once('{').unwrap_or((key, "}"));
            let suffixes: &[&str] = if kinds[&family] == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            assert!(suffixes.contains(&name.strip_prefix(&family).expect("of its family")), "{line}");
            let labels = labels.strip_suffix('}').expect("closed");
            for pair in labels.split("\",").filter(|pair| !pair.is_empty()) {
                let (label, value) = pair.split_once("=\"").expect("a quoted value");
                assert!(label.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{line}");
                assert!(!value.trim_end_matches('"').contains(['"', '\\']), "{line}");
            }
            let value: f64 = value.parse().expect("a number");
            assert!(value.is_finite() && value >= 0.0, "{line}");
            assert!(samples.insert(key.to_owned(), value).is_none(), "twice: {line}");
        }
    }
    (kinds, samples)
}

fn scrape(client: &Client) -> (BTreeMap<String, String>, Samples) {
    let answer = client.get("/metrics");
    assert_eq!(
        (answer.status, &answer.headers["content-type"]),
        (200, &"text/plain; version=0.0.4; charset=utf-8".parse().expect("text"))
    );
    parse(&answer.text)
}

/// Whether a sample may never fall.
fn only_grows(kinds: &BTreeMap<String, String>, key: &str) -> bool {
    let name = key.split('{').next().unwrap_or(key);
    kinds.get(name).is_none_or(|kind| kind == "counter")
}

#[test]
fn the_page_counts_what_happens_and_its_counters_never_fall() {
    let dir = Dir::new();
    let up = Up::start(&dir.0);
    let (ann, bo) = (up.client("ann"), up.client("bo"));
    let at = up.server.as_ref().expect("up").scraped.expect("asked for");
    let scraper = Client { base: format!("http://{at}"), token: None };
    let (kinds, mut before) = scrape(&scraper);
    let named: BTreeSet<&str> = FAMILIES.iter().map(|family| family.name).collect();
    assert_eq!(kinds.keys().map(String::as_str).collect::<BTreeSet<_>>(), named);
    for family in FAMILIES {
        let kind = format!("{:?}", family.kind).to_lowercase();
        assert_eq!(kinds[family.name], kind);
        assert!(family.kind != Kind::Counter || family.name.ends_with("_total"), "{}", family.name);
    }
    let mut check = || {
        let (kinds, after) = scrape(&scraper);
        for (key, was) in before.iter().filter(|(key, _)| only_grows(&kinds, key)) {
            assert!(after.get(key).is_some_and(|is| is >= was), "{key} fell from {was}");
        }
        before.clone_from(&after);
        after
    };
    let short = ann.submit(job(4, 1));
    ann.until(&format!("/api/v1/jobs/{short}"), |job| job["state"] == "COMPLETED");
    check();
    let long = ann.submit(job(8, 600_000));
    ann.until(&format!("/api/v1/jobs/{long}"), |job| job["state"] == "RUNNING");
    up.client("otto").post("/api/v1/nodes/b4/drain", &json!({ "reason": "fan" })).ok();
    assert_eq!(bo.get("/api/v1/jobs/4242").status, 404);
    assert_eq!(bo.get("/nowhere").status, 404);
    let held = bo.submit(json!({ "name": "t", "held": true }));
    let now = check();
    let expected = [
        ("madang_gpus{site=\"big\",state=\"busy\"}", 8.0),
        ("madang_gpus{site=\"big\",state=\"out\"}", 4.0),
        ("madang_nodes{site=\"big\",health=\"up\"}", 7.0),
        ("madang_nodes{site=\"big\",health=\"drain\"}", 1.0),
        ("madang_jobs{state=\"waiting\"}", 1.0),
        ("madang_jobs{state=\"running\"}", 1.0),
        ("madang_owner_gpus{owner=\"public\"}", 8.0),
        ("madang_starts_total{site=\"big\"}", 2.0),
        ("madang_queue_wait_seconds_count{site=\"big\"}", 2.0),
        ("madang_owner_jobs_ended_total{owner=\"public\",outcome=\"completed\"}", 1.0),
        ("madang_runs_ended_total{site=\"big\",outcome=\"completed\"}", 1.0),
        ("madang_cycle_starts_total", 2.0),
        ("madang_http_requests_total{method=\"GET\",route=\"/api/v1/jobs/{id}\",status=\"4xx\"}", 1.0),
        ("madang_http_requests_total{method=\"any\",route=\"other\",status=\"4xx\"}", 1.0),
        ("madang_ready", 1.0),
    ];
    for (key, value) in expected {
        assert_eq!(now.get(key), Some(&value), "{key}");
    }
    let gpus: f64 = now.iter().filter(|(key, _)| key.starts_with("madang_gpus{")).map(|(_, value)| value).sum();
    assert_eq!(gpus, 32.0, "every GPU is in one state");
    assert!(now["madang_journal_commit_seconds_sum"] <= now["madang_journal_append_seconds_sum"]);
    for id in [long, held] {
        ann.call("DELETE", &format!("/api/v1/jobs/{id}"), None);
    }
    ann.until(&format!("/api/v1/jobs/{long}"), |job| job["state"] == "CANCELLED");
    let now = check();
    assert_eq!(now["madang_stops_total{site=\"big\",cause=\"cancelled\"}"], 1.0);
    let text = scraper.get("/metrics").text;
    assert!(!["ann", "alpha", "job-"].iter().any(|word| text.contains(word)), "it names somebody");
    assert_eq!([scraper.get("/healthz").status, scraper.get("/readyz").status], [200, 200]);
    assert_eq!(scraper.get("/api/v1/overview").problem(404), "not_found");
    assert_eq!(up.anonymous().get("/metrics").problem(401), "unauthenticated");
    up.stop().unwrap_or_else(|trouble| panic!("{trouble}"));
}

#[test]
fn a_problem_says_which_request_it_was() {
    let dir = Dir::new();
    let up = Up::start(&dir.0);
    for path in ["/api/v1/me", "/nowhere", "/api/v1/jobs/%ff"] {
        let answer = up.anonymous().get(path);
        let id = answer.headers["x-request-id"].to_str().expect("text").to_owned();
        assert_eq!(answer.json()["request"], json!(id), "{path}");
        assert_eq!(id.split('-').next().map(str::len), Some(8));
    }
}

/// Names of metrics in a text, by their prefixes.
fn named_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("madang_") || word.starts_with("process_")).map(str::to_owned).collect()
}

fn is_exported(name: &str) -> bool {
    FAMILIES.iter().any(|family| match family.kind {
        Kind::Histogram => ["_bucket", "_sum", "_count"].iter().any(|end| name == format!("{}{end}", family.name)),
        _ => name == family.name,
    })
}

#[test]
fn dashboard_and_alerts_use_only_what_is_exported() {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy");
    let read =
        |name: &str| std::fs::read_to_string(deploy.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let board: serde_json::Value = serde_json::from_str(&read("grafana/madang.json")).expect("JSON");
    assert!(board["schemaVersion"].as_u64().is_some_and(|version| version >= 36) && board["uid"].is_string());
    let (mut ids, mut asked) = (BTreeSet::new(), BTreeSet::new());
    for panel in board["panels"].as_array().expect("panels") {
        assert!(ids.insert(panel["id"].as_u64().expect("an id")), "two panels with one id");
        assert!(panel["type"].is_string() && panel["gridPos"]["w"].is_u64(), "{panel}");
        for target in panel["targets"].as_array().expect("targets") {
            let names = named_in(target["expr"].as_str().expect("a query"));
            assert!(!names.is_empty(), "{target}");
            asked.extend(names);
        }
    }
    let alerts = read("prometheus/alerts.yml");
    let rules: Vec<&str> = alerts.lines().filter_map(|line| line.trim().strip_prefix("expr: ")).collect();
    assert!(rules.len() > 5);
    asked.extend(rules.iter().flat_map(|rule| named_in(rule)));
    let missing: Vec<&String> = asked.iter().filter(|name| !is_exported(name)).collect();
    assert!(missing.is_empty(), "not exported: {missing:?}");
    assert!(!is_exported("madang_gpu") && !is_exported("madang_step_seconds"), "a slip is found");
}
