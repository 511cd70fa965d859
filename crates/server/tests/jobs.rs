//! Jobs over HTTP: submit, see, change, list, watch.
mod common;

use common::{Dir, Up, job};
use madang_model::{PartitionId, Span};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::time::Duration;

fn ids(page: &Value) -> Vec<u64> {
    page["items"].as_array().expect("items").iter().map(|item| item["id"].as_u64().expect("an id")).collect()
}

#[test]
fn a_job_runs_and_its_statement_balances() {
    let dir = Dir::new();
    let up = Up::start(&dir.0);
    let ann = up.client("ann");
    let id = ann.submit(job(8, 50));
    let view = ann.until(&format!("/api/v1/jobs/{id}"), |job| job["state"] == "COMPLETED");
    assert_eq!((&view["nodes"], &view["gpus"], &view["project"]), (&json!(2), &json!(8), &json!("alpha")));
    assert_eq!((&view["user"], &view["site"], &view["modelled"]), (&json!("ann"), &json!("big"), &json!(true)));
    let statement = ann.get("/api/v1/projects/alpha/statement").ok();
    assert_eq!(statement["balances"], true);
    let lines = statement["lines"].as_array().expect("lines").iter();
    let kinds: Vec<&str> = lines.filter_map(|line| line["kind"].as_str()).collect();
    assert_eq!(kinds, ["grant", "hold", "charge"]);
    assert_eq!(statement["spent_gpu_us"], json!(8 * 1000 * 50));
    assert_eq!(ids(&ann.get("/api/v1/jobs?state=all").ok()), [id]);
    assert_eq!(ids(&ann.get("/api/v1/jobs?state=COMPLETED").ok()), [id]);
    assert_eq!(ids(&ann.get("/api/v1/jobs").ok()), Vec::<u64>::new());
    let audit = up.client("root").get("/api/v1/audit").ok();
    assert_eq!((&audit["violations"], &audit["anomalies"]), (&json!([]), &json!(0)));
    up.stop().expect("a clean stop");
}

#[test]
fn what_is_absent_is_filled_in() {
    let dir = Dir::new();
    let up = Up::start(&dir.0);
    let ann = up.client("ann");
    let check = |part: Value, nodes: u64, gpus: u64, cpus: u64, memory: u64| {
        let id = ann.submit(json!({ "held": true, "parts": [part.clone()] }));
        let view = ann.get(&format!("/api/v1/jobs/{id}")).ok();
        let part_view = &view["parts"][0];
        let found = ["nodes", "gpus", "cpus", "memory_mib"].map(|field| part_view[field].as_u64().expect("a number"));
        assert_eq!(found, [nodes, gpus, cpus, memory], "{part}");
        assert_eq!(
            (&view["state"], &view["reason"], &view["limit_secs"]),
            (&json!("PENDING"), &json!("JobHeldUser"), &json!(3600))
        );
    };
    check(json!({}), 1, 0, 1, 8 * 1024);
    check(json!({ "gpus_total": 6 }), 2, 3, 1, 8 * 1024);
    check(json!({ "gpus_total": 8, "nodes": 4 }), 4, 2, 1, 8 * 1024);
    check(json!({ "gpus_per_node": 4, "nodes": 2, "cpus_per_task": 16 }), 2, 4, 16, 128 * 1024);
    check(json!({ "tasks": 100 }), 2, 0, 50, 400 * 1024);
    check(json!({ "tasks": 6, "tasks_per_node": 2 }), 3, 0, 2, 16 * 1024);
    check(json!({ "memory_mib": 0, "cpus_per_node": 3 }), 1, 0, 3, 0);
    let refuse = |body: Value, code: &str, told: &str| {
        let answer = ann.post("/api/v1/jobs", &body);
        assert_eq!(answer.problem(422), code, "{body}");
        assert!(answer.json()["detail"].as_str().expect("detail").contains(told), "{}", answer.text);
    };
    refuse(json!({ "parts": [{ "gpus_total": 7, "nodes": 2 }] }), "invalid", "parts[0].gpus_total is 7");
    refuse(json!({ "parts": [{ "gpus_total": 1, "gpu_model": "b200" }] }), "impossible", "no GPUs of model b200");
    refuse(json!({ "parts": [{ "gpus_per_node": 4, "nodes": 9 }] }), "impossible", "");
    refuse(json!({ "partition": "nope" }), "invalid", "\"nope\"");
    refuse(json!({ "array": "3-1" }), "invalid", "goes backwards");
    refuse(json!({ "limit_secs": 0 }), "invalid", "limit_secs");
    refuse(json!({ "parts": [{ "nodes": 0 }] }), "invalid", "parts[0].nodes is 0");
    refuse(json!({ "batch": { "script": "#!/bin/sh\n", "cwd": "relative" } }), "invalid", "not absolute");
    let spared = json!({ "parts": [{ "nodes": 65_536 }], "topology": { "spares": 65_536 } });
    refuse(spared, "invalid", "topology.spares is 65536");
    assert_eq!(ann.post("/api/v1/jobs", &json!({ "nice": -5 })).problem(403), "forbidden");
    assert_eq!(ann.post("/api/v1/jobs", &json!({ "project": "beta" })).problem(404), "not_found");
    let answer = ann.post("/api/v1/jobs", &json!({ "parts": [{ "gpu": 1 }] }));
    assert_eq!(answer.problem(400), "bad_request");
    assert!(answer.json()["detail"].as_str().expect("detail").contains("parts[0]"), "{}", answer.text);
    up.stop().expect("a clean stop");
}

#[test]
fn a_dry_run_refuses_what_a_submission_would_and_tells_what_would_become_of_it() {
    let dir = Dir::new();
    let up = Up::start(&dir.0);
    let ann = up.client("ann");
    let dry = |mut body: Value| {
        body["dry_run"] = json!(true);
        ann.post("/api/v1/jobs", &body)
    };
    for body in [
        json!({ "limit_secs": 400 * 86_400 }),
        json!({ "after": [{ "job": "99", "kind": "any" }] }),
        json!({ "reservation": "none" }),
        json!({ "name": "two\nlines" }),
        json!({ "parts": [{ "nodes": 9 }] }),
        json!({ "parts": [{ "nodes": 2, "gpus_per_node": 4 }], "topology": { "required": "rack", "segment": 3 } }),
        json!({ "include": ["a1", "b1"], "parts": [{ "nodes": 2 }] }),
        json!({ "project": "beta" }),
    ] {
        let (real, dry) = (ann.post("/api/v1/jobs", &body), dry(body.clone()));
        assert!(real.status >= 400, "{body}: {}", real.text);
        assert_eq!(dry.told(), real.told(), "{body}");
    }
    let outlook = |body: Value| dry(body).ok()["outlook"].clone();
    let four = json!({ "array": "0-3", "parts": [{ "nodes": 2, "gpus_per_node": 4, "cpus_per_node": 8 }] });
    let answer = dry(four.clone()).ok();
    assert_eq!((&answer["job"], &answer["tasks"]), (&json!(0), &json!(4)));
    let at_once = &answer["outlook"];
    assert_eq!(
        (&at_once["cpus"], &at_once["node_list"], &at_once["waits"]),
        (&json!(16), &json!("a[1-2]"), &Value::Null)
    );
    // Every node is taken for an hour; what comes then starts as that hour ends.
    ann.submit(json!({ "parts": [{ "nodes": 8, "gpus_per_node": 4 }], "across_islands": true, "model": { "runtime_ms": 3_600_000 } }));
    let later = outlook(four);
    let ahead = later["start_ms"].as_u64().expect("a start") - at_once["start_ms"].as_u64().expect("a start");
    assert!((3_600_000..3_900_000).contains(&ahead), "{ahead} ms: {later}");
    assert_eq!(later["waits"]["reason"], "Resources", "{later}");
    let held = outlook(json!({ "held": true }));
    assert_eq!((&held["start_ms"], &held["waits"]["reason"]), (&Value::Null, &json!("JobHeldUser")));
    assert_eq!(ids(&ann.get("/api/v1/jobs?state=all").ok()).len(), 1, "nothing else was submitted");
    up.stop().expect("a clean stop");
}

#[test]
fn the_same_key_submits_once_also_after_a_restart() {
    let dir = Dir::new();
    let up = Up::start(&dir.0);
    let (ann, body) = (up.client("ann"), job(1, 50).to_string());
    let submit = |client: &common::Client, body: &str| {
        client.call_with("POST", "/api/v1/jobs", Some(body), &[("idempotency-key", "k1")])
    };
    let first = submit(&ann, &body).ok();
    assert_eq!(submit(&ann, &body).ok(), first);
    assert_eq!(submit(&ann, &job(2, 50).to_string()).problem(422), "key_reused");
    assert_ne!(submit(&up.client("bo"), &body).ok(), first, "keys of two callers never meet");
    up.stop().expect("a clean stop");
    let up = Up::start(&dir.0);
    assert_eq!(submit(&up.client("ann"), &body).ok(), first);
    up.stop().expect("a clean stop");
}

#[test]
fn jobs_are_held_released_altered_signalled_requeued_and_cancelled() {
    let dir = Dir::new();
    let up = Up::start(&dir.0);
    let ann = up.client("ann");
    let id = ann.submit(job(4, 600_000));
    let at = format!("/api/v1/jobs/{id}");
    ann.until(&at, |job| job["state"] == "RUNNING");
    let longer = json!({ "limit_secs": 7200 });
    assert_eq!(ann.call("PATCH", &at, Some(&longer.to_string())).problem(403), "forbidden");
    up.client("otto").call("PATCH", &at, Some(&longer.to_string())).ok();
    assert_eq!(ann.get(&at).ok()["limit_secs"], 7200);
    assert_eq!(ann.post(&format!("{at}/signal"), &json!({ "signal": 99 })).problem(422), "invalid");
    ann.post(&format!("{at}/signal"), &json!({ "signal": 10 })).ok();
    ann.call("POST", &format!("{at}/requeue"), None).ok();
    let again = ann.until(&at, |job| job["state"] == "RUNNING" && job["attempts"] == 2);
    assert_eq!(again["runs"].as_array().map(Vec::len), Some(1));
    assert_eq!(ann.call("DELETE", &at, None).ok(), json!({ "jobs": 1 }));
    ann.until(&at, |job| job["state"] == "CANCELLED");
    let held = ann.submit(json!({ "held": true, "model": { "runtime_ms": 1 } }));
    let at = format!("/api/v1/jobs/{held}");
    assert_eq!(ann.get(&format!("{at}/why")).ok()["blocks"][0]["reason"], "JobHeldUser");
    ann.call("POST", &format!("{at}/release"), None).ok();
    ann.until(&at, |job| job["state"] == "COMPLETED");
    assert!(ann.call("DELETE", &at, None).status >= 400 || ann.get(&at).ok()["state"] == "COMPLETED");
    up.stop().expect("a clean stop");
}

#[test]
fn an_array_is_one_record_until_its_tasks_start() {
    let dir = Dir::new();
    let up = Up::start(&dir.0);
    let ann = up.client("ann");
    let mut spec = job(1, 600_000);
    spec["array"] = json!("1-9:2%2");
    let answer = ann.post("/api/v1/jobs", &spec).ok();
    assert_eq!(answer["tasks"], 5);
    let array = answer["job"].as_u64().expect("an id");
    ann.until("/api/v1/jobs", |page| {
        let running = page["items"].as_array().expect("items").iter().filter(|job| job["state"] == "RUNNING");
        running.count() == 2
    });
    let page = ann.get("/api/v1/jobs").ok();
    let rest = page["items"].as_array().expect("items").iter().find(|job| job["id"] == array).expect("the rest");
    assert_eq!(rest["array"]["tasks"], "5-9:2%2");
    assert_eq!(ids(&ann.get("/api/v1/jobs?expand=true").ok()).len(), 5);
    let third = ann.get(&format!("/api/v1/jobs/{array}_5")).ok();
    assert_eq!((&third["state"], &third["array"]["task"]), (&json!("PENDING"), &json!(5)));
    assert_eq!(ids(&ann.get(&format!("/api/v1/jobs?ids={array}_1,{array}_3")).ok()).len(), 2);
    ann.call("DELETE", &format!("/api/v1/jobs/{array}_1"), None).ok();
    ann.until(&format!("/api/v1/jobs/{array}_5"), |job| job["state"] == "RUNNING");
    assert_eq!(ann.get(&format!("/api/v1/jobs/{array}_1")).ok()["state"], "CANCELLED");
    assert_eq!(ann.get(&format!("/api/v1/jobs/{array}_2")).problem(404), "not_found");
    ann.call("DELETE", &format!("/api/v1/jobs/{array}"), None).ok();
    ann.until("/api/v1/jobs", |page| page["items"] == json!([]));
    let past = ann.get(&format!("/api/v1/jobs?state=all&ids={array}")).ok();
    assert!(past["items"].as_array().expect("items").iter().all(|job| job["state"] == "CANCELLED"), "{past}");
    assert_eq!(up.client("root").get("/api/v1/audit").ok()["violations"], json!([]));
    up.stop().expect("a clean stop");
}

#[test]
fn a_list_read_page_by_page_has_everything_once() {
    let dir = Dir::new();
    let up = Up::start(&dir.0);
    let ann = up.client("ann");
    let (mut all, mut spec) = (BTreeSet::new(), job(1, 1));
    for nth in 0..25 {
        spec["held"] = json!(nth % 3 == 0);
        all.insert(ann.submit(spec.clone()));
    }
    ann.until("/api/v1/overview", |view| view["ended"] == 16 && view["waiting"] == 9);
    for limit in [1, 7, 25, 200] {
        let (mut seen, mut after) = (Vec::new(), String::new());
        loop {
            let page = ann.get(&format!("/api/v1/jobs?state=all&limit={limit}{after}")).ok();
            seen.extend(ids(&page));
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => break,
            }
        }
        assert_eq!(seen, all.iter().copied().collect::<Vec<_>>(), "limit {limit}");
    }
    assert_eq!(ann.get("/api/v1/jobs?limit=1001").problem(422), "invalid");
    assert_eq!(ann.get("/api/v1/jobs?nonsense=1").problem(400), "bad_request");
    assert_eq!(ids(&up.client("bo").get("/api/v1/jobs?state=all").ok()), Vec::<u64>::new());
    up.stop().expect("a clean stop");
}

#[test]
fn events_tell_of_one_s_own_jobs_only() {
    let dir = Dir::new();
    let up = Up::start(&dir.0);
    let (ann, bo) = (up.client("ann"), up.client("bo"));
    let agent: ureq::Agent = ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(10))).build().into();
    let token = ann.token.clone().expect("a token");
    let request = agent.get(format!("{}/api/v1/events", ann.base)).header("authorization", format!("Bearer {token}"));
    let response = request.call().expect("a stream");
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut lines = BufReader::new(response.into_body().into_reader()).lines().map_while(Result::ok);
    let foreign = bo.submit(job(4, 20));
    bo.until(&format!("/api/v1/jobs/{foreign}"), |job| job["state"] == "COMPLETED");
    let own = ann.submit(job(4, 20));
    let (mut kinds, mut told) = (BTreeSet::new(), Vec::new());
    while !(told.iter().any(|(_, state)| state == "COMPLETED") && kinds.contains("nodes") && kinds.contains("pulse")) {
        let line = lines.next().expect("the stream goes on");
        if let Some(kind) = line.strip_prefix("event: ") {
            kinds.insert(kind.to_owned());
        }
        let Some(data) = line.strip_prefix("data: ") else { continue };
        let event: Value = serde_json::from_str(data).expect("JSON");
        if event["event"] == "job" {
            told.push((event["id"].as_u64().expect("an id"), event["state"].as_str().expect("a state").to_owned()));
        }
    }
    assert!(told.iter().all(|(id, _)| *id == own), "{told:?} tells of {foreign}");
    drop(lines);
    up.stop().expect("a clean stop with a stream open");
}

#[test]
fn reservations_are_made_seen_used_and_cancelled() {
    let dir = Dir::new();
    let up = Up::start(&dir.0);
    let (otto, ann, bo) = (up.client("otto"), up.client("ann"), up.client("bo"));
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("it is after 1970").as_millis() as u64;
    let make = |kind: &str, more: Value| {
        let mut spec = json!({ "name": "course", "kind": kind, "reason": "test", "until_ms": now + 7_200_000 });
        spec.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        otto.post("/api/v1/reservations", &spec)
    };
    // What makes no sense is refused by the field.
    assert_eq!(make("maintenance", json!({ "nodes": ["a1"], "projects": ["alpha"] })).problem(422), "invalid");
    assert_eq!(make("cap", json!({ "site": "big", "most_gpus": 8, "most_nodes": 1 })).problem(422), "invalid");
    assert_eq!(make("cap", json!({ "most_gpus": 8 })).problem(422), "invalid");
    assert_eq!(make("projects", json!({ "nodes": ["a1"] })).problem(422), "invalid");
    assert_eq!(make("maintenance", json!({ "nodes": ["nowhere"] })).problem(404), "not_found");
    assert_eq!(make("maintenance", json!({ "nodes": ["a1"], "from_ms": now + 8_000_000 })).problem(422), "invalid");
    let made = make("projects", json!({ "count": 1, "site": "big", "projects": ["alpha"] })).ok();
    assert_eq!((&made["active"], &made["projects"]), (&json!(true), &json!(["alpha"])));
    assert_eq!(make("projects", json!({ "count": 1, "site": "big", "projects": ["alpha"] })).problem(409), "exists");
    // Who may use it is not told to those who may not see the project.
    let seen = bo.get("/api/v1/reservations").ok();
    assert_eq!((&seen["items"][0]["name"], &seen["items"][0]["projects"]), (&json!("course"), &Value::Null));
    let id = ann.submit(json!({ "reservation": "course", "limit_secs": 600, "model": { "runtime_ms": 600_000 } }));
    let job = ann.until(&format!("/api/v1/jobs/{id}"), |job| job["state"] == "RUNNING");
    assert_eq!((&job["reservation"], &job["node_list"]), (&json!("course"), &made["nodes"][0]));
    let refused = bo.post("/api/v1/jobs", &json!({ "reservation": "course", "model": { "runtime_ms": 1 } }));
    assert_eq!(refused.problem(403), "not_allowed");
    assert_eq!(otto.call("DELETE", "/api/v1/reservations/course", None).status, 204);
    assert_eq!(ann.get("/api/v1/reservations").ok()["items"], json!([]));
    up.stop().expect("a clean stop");
}

/// The test's centre with GPUs of another model in its second island, and a partition that allows half an hour.
fn varied(dir: &Dir) -> Up {
    let (mut settings, wall) = common::settings(&dir.0);
    for node in settings.founding.nodes.iter_mut().filter(|node| node.name.starts_with('b')) {
        node.device.as_mut().expect("it has GPUs").model = "h100".into();
    }
    let mut short = settings.founding.partitions[0].clone();
    (short.id, short.name, short.max_limit) = (PartitionId::new(1), "short".into(), Span::from_mins(30));
    settings.founding.partitions.push(short);
    Up::with(settings, wall).unwrap_or_else(|trouble| panic!("{trouble}"))
}

#[test]
fn a_job_may_go_to_several_partitions_and_take_several_models() {
    let dir = Dir::new();
    let up = varied(&dir);
    let ann = up.client("ann");
    let spec = |limit: u64| {
        let parts = json!([{ "gpus_per_node": 4, "gpu_model": "H100|h200", "features": ["nvlink", "[h200|h100]"] }]);
        json!({ "held": true, "partition": "short,gpu", "limit_secs": limit, "parts": parts, "model": { "runtime_ms": 600_000 } })
    };
    let long = ann.post("/api/v1/jobs", &spec(3600)).ok();
    assert_eq!(long["notes"], json!(["partition short is left out: it allows 30m, the job asks for 1h"]));
    let at = |id: &Value| format!("/api/v1/jobs/{id}");
    assert_eq!(ann.get(&at(&long["job"])).ok()["partition"], "gpu");
    let answer = ann.post("/api/v1/jobs", &spec(8 * 86_400));
    assert!(answer.text.contains("partition gpu allows 7d"), "{}", answer.text);
    assert!(ann.post("/api/v1/jobs", &json!({ "partition": "gpu,nope" })).text.contains("nope"));

    let id = ann.post("/api/v1/jobs", &spec(600)).ok()["job"].clone();
    let view = ann.get(&at(&id)).ok();
    let part = &view["parts"][0];
    assert_eq!((&view["partition"], &part["gpu_model"]), (&json!("short,gpu"), &json!("h100|h200")));
    assert_eq!(part["features"], json!(["nvlink", "[h200|h100]"]));
    let listed = |partition: &str| ids(&ann.get(&format!("/api/v1/jobs?partition={partition}")).ok());
    let number = id.as_u64().expect("an id");
    assert!(listed("short").contains(&number) && listed("gpu").contains(&number));
    ann.call("POST", &format!("{}/release", at(&id)), None).ok();
    let view = ann.until(&at(&id), |job| job["state"] == "RUNNING");
    assert_eq!((&view["partition"], &view["parts"][0]["gpu_model"]), (&json!("short"), &json!("h100")));
    assert!(listed("short").contains(&number) && !listed("gpu").contains(&number));

    // What is short names every alternative.
    let wide = json!([{ "nodes": 4, "gpus_per_node": 4, "gpu_model": "h100|h200" }]);
    ann.submit(json!({ "parts": [{ "gpus_per_node": 4, "gpu_model": "h200" }], "model": { "runtime_ms": 600_000 } }));
    let waits = ann.submit(json!({ "parts": wide, "model": { "runtime_ms": 1 } }));
    ann.until(&format!("/api/v1/jobs/{waits}"), |job| job["reason"] == "Resources");
    let text = ann.get(&format!("/api/v1/jobs/{waits}/why")).ok()["blocks"][0]["text"].to_string();
    assert!(text.contains("it would take h100 or h200"), "{text}");
    assert_eq!(up.client("root").get("/api/v1/audit").ok()["violations"], json!([]));
    up.stop().expect("a clean stop");
}

#[test]
fn a_deadline_is_kept_and_told() {
    let dir = Dir::new();
    let up = Up::start(&dir.0);
    let ann = up.client("ann");
    let now = || std::time::SystemTime::UNIX_EPOCH.elapsed().expect("it is after 1970").as_millis() as u64;
    let whole = |more: Value| {
        let mut spec = job(32, 600_000);
        spec["parts"] = json!([{ "nodes": 4, "gpus_per_node": 4 }]);
        spec.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        spec
    };
    let hour = 3_600_000;
    let runs =
        ann.submit(whole(json!({ "limit_secs": 10_800, "limit_min_secs": 600, "deadline_ms": now() + 2 * hour })));
    let view = ann.until(&format!("/api/v1/jobs/{runs}"), |job| job["state"] == "RUNNING");
    let limit = view["limit_secs"].as_u64().expect("a limit");
    assert!((7_100..=7_200).contains(&limit) && view["limit_min_secs"] == 600, "{view}");
    ann.submit(whole(json!({ "limit_secs": 7_200 })));
    let waits = ann.submit(whole(json!({ "limit_secs": 3_600, "deadline_ms": now() + 2 * hour })));
    ann.until(&format!("/api/v1/jobs/{waits}"), |job| job["promised_ms"].is_u64());
    let why = ann.get(&format!("/api/v1/jobs/{waits}/why")).ok();
    let warning = why["warning"].as_str().expect("a warning");
    assert!(warning.starts_with("it will miss its deadline by "), "{warning}");

    let late = json!({ "held": true, "limit_secs": 1, "deadline_ms": now() + 1_200, "model": { "runtime_ms": 1 } });
    let late = ann.submit(late);
    let view = ann.until(&format!("/api/v1/jobs/{late}"), |job| job["state"] == "DEADLINE");
    assert_eq!((&view["reason"], &view["started_ms"]), (&json!("DeadLine"), &Value::Null));
    assert!(view["reason_text"].as_str().expect("a text").contains("could no longer end by its deadline"), "{view}");
    assert_eq!(ids(&ann.get("/api/v1/jobs?state=DEADLINE").ok()), [late]);
    let never = ann.post("/api/v1/jobs", &json!({ "limit_secs": 60, "deadline_ms": now() + 59_000 }));
    assert_eq!(never.problem(422), "impossible");
    up.stop().expect("a clean stop");
}

#[test]
fn a_checkpoint_is_reported_by_the_one_whose_job_it_is() {
    let dir = Dir::new();
    let up = Up::start(&dir.0);
    let (ann, root, otto) = (up.client("ann"), up.client("root"), up.client("otto"));
    up.client("olaf").post("/api/v1/projects/alpha/members", &json!({ "user": "bo" })).ok();
    let id = ann.submit(job(4, 600_000));
    let at = format!("/api/v1/jobs/{id}");
    ann.until(&at, |job| job["state"] == "RUNNING");
    let save = |client: &common::Client| client.call("POST", &format!("{at}/checkpoint"), None);
    for client in [&ann, &root, &otto] {
        assert_eq!(save(client).ok(), json!({ "jobs": 1 }));
    }
    assert_eq!(save(&up.client("bo")).problem(403), "forbidden");
    ann.call("DELETE", &at, None).ok();
    ann.until(&at, |job| job["state"] == "CANCELLED");
    assert_eq!(save(&ann).problem(409), "wrong_state");
    up.stop().expect("a clean stop");
}
