//! Sites with agents, on real processes: cut links, killed servers and agents, rogues, a paused leader. No job is lost,
//! started twice or killed, and nothing can be read on the wire.
#[path = "../../../server/tests/common/postgres.rs"]
mod postgres;
mod process;
mod proxy;
mod rogue;

use nix::sys::signal::Signal;
use postgres::Postgres;
use process::{Client, Server, agent, eventually, folder, free_address};
use proxy::Wire;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

fn job(site: &str, work: &Path, script: &str) -> Value {
    json!({
        "name": "apart", "partition": site, "limit_secs": 600,
        "parts": [{ "cpus_per_task": 1, "memory_mib": 1 }],
        "batch": {
            "script": format!("#!/bin/sh\n{script}\n"), "cwd": work.display().to_string(), "stdout": "/dev/null",
            "env": [["PATH", "/usr/bin:/bin"]],
        },
    })
}

fn submit(client: &Client, job: &Value) -> u64 {
    client.post("/jobs", job)["job"].as_u64().expect("an id")
}

#[test]
fn a_site_that_is_cut_off_goes_on_and_is_settled_when_it_is_back() {
    let folder = folder("cut");
    let (work, at) = (folder.join("work"), free_address());
    let server = Server::start(&folder.join("server"), at, &[]);
    let (client, wire) = (server.client(), Wire::to(at));
    let waits = submit(&client, &job("busan", &work, "echo canary-of-the-script; exit 3"));
    let why = client.get(&format!("/jobs/{waits}/why")).to_string();
    assert!(why.contains("has not been heard of yet"), "{why}");
    let invitation = client.invite("busan");
    let site = agent(&folder.join("agent"), "busan", &wire.address.to_string(), Some(&invitation));
    let first = client.job_until(waits, |job| job["state"] == "FAILED");
    assert_eq!(first["exit"], 3, "{first}");

    let mut writes = job("busan", &work, "echo written at the site");
    writes["batch"]["stdout"] = json!("out");
    let writes = submit(&client, &writes);
    client.job_until(writes, |job| job["state"] == "COMPLETED");
    let log = format!("/jobs/{writes}/log");
    assert_eq!(client.get(&log)["text"], "written at the site\n");

    // Cut off, one job ends and one goes on; nothing new starts there.
    let ends = submit(&client, &job("busan", &work, "touch began; while ! test -e go; do sleep 0.05; done; exit 4"));
    let stays = submit(&client, &job("busan", &work, "while ! test -e stop; do sleep 0.05; done"));
    for id in [ends, stays] {
        client.job_until(id, |job| job["state"] == "RUNNING");
    }
    wire.darken();
    std::fs::write(work.join("go"), "").expect("writable");
    let went = now_ms();
    client.until_linked("busan", false);
    let says = |path: &str| client.get(path).to_string().contains("busan has been silent since");
    eventually("the nodes say that their site is silent", || says("/nodes").then_some(()));
    let after = submit(&client, &job("busan", &work, "true"));
    eventually("the job says that its site is silent", || says(&format!("/jobs/{after}/why")).then_some(()));
    assert_eq!(client.get(&format!("/jobs/{ends}"))["state"], "RUNNING", "nobody could know better");
    // The server could read the file of that name here, which need not be the job's.
    assert_eq!(client.get(&log)["code"], "site_away");
    wire.mend();
    let ended = client.job_until(ends, |job| job["state"] == "FAILED");
    let late = ended["ends_ms"].as_u64().expect("a moment").saturating_sub(went);
    assert!(ended["exit"] == 4 && late < 1_500, "it ended when it ended, not {late} ms later: {ended}");
    client.job_until(after, |job| job["state"] == "COMPLETED");
    assert_eq!(client.get(&format!("/jobs/{stays}"))["state"], "RUNNING");
    std::fs::write(work.join("stop"), "").expect("writable");
    client.job_until(stays, |job| job["state"] == "COMPLETED");

    // What crossed the wire says nothing to whoever has it, and a used invitation is worth nothing.
    assert!(wire.crossed() > 10_000, "only {} bytes crossed", wire.crossed());
    let secret = invitation.split('.').next().expect("a secret");
    for word in ["canary-of-the-script", "busan", secret, "welcome", "Started"] {
        assert!(!wire.has_seen(word.as_bytes()), "{word} crossed the wire in the clear");
    }
    let mut late = agent(&folder.join("late"), "busan", &wire.address.to_string(), Some(&invitation));
    assert!(!late.wait().success());
    assert!(late.said().contains("not, or no longer, good"), "{}", late.said());
    assert_eq!(client.get("/audit")["violations"], json!([]));
    drop((site, server));
    drop(std::fs::remove_dir_all(&folder));
}

#[test]
fn an_agent_that_lost_its_folder_has_lost_its_runs_and_serves_again() {
    let folder = folder("lost");
    let (work, at) = (folder.join("work"), free_address());
    let server = Server::start(&folder.join("server"), at, &[]);
    let client = server.client();
    let mut first = agent(&folder.join("first"), "busan", &at.to_string(), Some(&client.invite("busan")));
    let mut lost = job("busan", &work, "while ! test -e stop; do sleep 0.05; done");
    lost["requeue"] = json!(false);
    let lost = submit(&client, &lost);
    client.job_until(lost, |job| job["state"] == "RUNNING");
    first.kill();
    // Another machine: what ran on the first one is out of everybody's sight.
    let second = agent(&folder.join("second"), "busan", &at.to_string(), Some(&client.invite("busan")));
    client.job_until(lost, |job| job["state"] == "NODE_FAIL");
    let next = submit(&client, &job("busan", &work, "true"));
    client.job_until(next, |job| job["state"] == "COMPLETED");
    // The first machine comes back: its certificate is as good as the other's, but the site is served.
    let mut late = agent(&folder.join("first"), "busan", &at.to_string(), None);
    eventually("the first agent is told", || {
        late.said().contains("site busan is served by the agent with certificate 2").then_some(())
    });
    std::fs::write(work.join("stop"), "").expect("writable");
    late.kill();
    assert_eq!(client.get("/audit")["violations"], json!([]));
    drop((second, server));
    drop(std::fs::remove_dir_all(&folder));
}

fn now_ms() -> u64 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().expect("it is after 1970").as_millis() as u64
}

/// Faults in this test; `MADANG_FAULTS` asks for more or fewer.
const FAULTS: u32 = 24;

#[test]
fn whatever_is_killed_or_cut_at_whatever_moment_every_job_runs_once() {
    let faults = std::env::var("MADANG_FAULTS").ok().and_then(|text| text.parse().ok()).unwrap_or(FAULTS);
    let folder = folder("faults");
    let (work, at) = (folder.join("work"), free_address());
    let mut server = Server::start(&folder.join("server"), at, &[]);
    let (mut client, wire) = (server.client(), Wire::to(at));
    let to = wire.address.to_string();
    let mut site = agent(&folder.join("agent"), "busan", &to, Some(&client.invite("busan")));
    client.until_linked("busan", true);
    let mut random = Random::fresh();
    println!("seed {}", random.0);
    let mut keys: BTreeMap<u64, Option<u64>> = BTreeMap::new();
    for round in 0..faults {
        for nth in 0..3 {
            keys.insert(u64::from(round) * 3 + nth, None);
        }
        hand_in(&client, &work, &mut keys);
        std::thread::sleep(Duration::from_millis(random.below(300)));
        match random.below(4) {
            0 => {
                server.process.kill();
                std::thread::sleep(Duration::from_millis(random.below(300)));
                server = Server::start(&folder.join("server"), at, &[]);
                client = server.client();
            }
            1 => {
                site.kill();
                std::thread::sleep(Duration::from_millis(random.below(300)));
                site = agent(&folder.join("agent"), "busan", &to, None);
            }
            2 => {
                wire.cut();
                std::thread::sleep(Duration::from_millis(random.below(300)));
                wire.mend();
            }
            _ => {
                site.signal(Signal::SIGSTOP);
                std::thread::sleep(Duration::from_millis(random.below(300)));
                site.signal(Signal::SIGCONT);
            }
        }
    }
    hand_in(&client, &work, &mut keys);
    settle_accounts(&client, &work, &keys);
    drop((site, server));
    drop(std::fs::remove_dir_all(&folder));
}

/// Submits what is not acknowledged yet, under its key.
fn hand_in(client: &Client, work: &Path, keys: &mut BTreeMap<u64, Option<u64>>) {
    for (key, id) in keys.iter_mut().filter(|(_, id)| id.is_none()) {
        let sleep = if key.is_multiple_of(3) { "sleep 0.4; " } else { "" };
        let script = format!("echo begin {key} $SLURM_JOB_ID >> evidence; {sleep}echo end {key} >> evidence");
        if let Some((201 | 200, answer)) = client.try_post("/jobs", &format!("key-{key}"), &job("busan", work, &script))
        {
            *id = answer["job"].as_u64();
        }
    }
}

fn settle_accounts(client: &Client, work: &Path, keys: &BTreeMap<u64, Option<u64>>) {
    eventually("all jobs are over", || {
        let overview = client.get("/overview");
        (overview["running"] == 0 && overview["waiting"] == 0).then_some(())
    });
    let evidence = std::fs::read_to_string(work.join("evidence")).expect("jobs wrote evidence");
    let count = |line: String| evidence.lines().filter(|found| *found == line).count();
    for (key, id) in keys {
        let id = id.expect("every submission was acknowledged in the end");
        let view = client.get(&format!("/jobs/{id}"));
        assert_eq!((&view["state"], &view["attempts"]), (&json!("COMPLETED"), &json!(1)), "key {key}: {view}");
        assert_eq!((count(format!("begin {key} {id}")), count(format!("end {key}"))), (1, 1), "key {key}, job {id}");
    }
    assert_eq!(evidence.lines().count(), keys.len() * 2, "processes began that nobody asked for");
    let audit = client.get("/audit");
    assert_eq!(audit["violations"], json!([]));
    println!("{} jobs accounted for, {} anomalies", keys.len(), audit["anomalies"]);
}

#[test]
fn a_paused_leader_is_not_obeyed_and_the_agent_follows_the_next_one() {
    let Some(postgres) = Postgres::start("agents", &[]) else { postgres::skip() };
    let folder = folder("leaders");
    let (work, at) = (folder.join("work"), [free_address(), free_address()]);
    let store = ["--store".to_owned(), postgres.database("centre")];
    let store: Vec<&str> = store.iter().map(String::as_str).collect();
    let mut first = Server::start(&folder.join("a"), at[0], &store);
    let client = first.client();
    let second = Server::start(&folder.join("b"), at[1], &store);
    let to = format!("{},{}", at[1], at[0]);
    let site = agent(&folder.join("agent"), "busan", &to, Some(&client.invite("busan")));
    client.until_linked("busan", true);
    let script = "echo begin >> evidence; while ! test -e go; do sleep 0.05; done; exit 5";
    let runs = submit(&client, &job("busan", &work, script));
    client.job_until(runs, |job| job["state"] == "RUNNING");
    first.process.signal(Signal::SIGSTOP);
    let paused = Instant::now();
    let other = second.client();
    other.until_linked("busan", true);
    println!("the agent serves the other server after {} ms", paused.elapsed().as_millis());
    let next = submit(&other, &job("busan", &work, "echo begin >> evidence"));
    other.job_until(next, |job| job["state"] == "COMPLETED");
    first.process.signal(Signal::SIGCONT);
    assert!(!first.process.wait().success(), "one that was paused for longer than its lease ends");
    std::fs::write(work.join("go"), "").expect("writable");
    let ended = other.job_until(runs, |job| job["state"] == "FAILED");
    assert_eq!((&ended["exit"], &ended["attempts"]), (&json!(5), &json!(1)), "{ended}");
    let evidence = std::fs::read_to_string(work.join("evidence")).expect("jobs wrote evidence");
    assert_eq!(evidence, "begin\nbegin\n");
    assert_eq!(other.get("/audit")["violations"], json!([]));
    drop((site, first, second));
    drop(std::fs::remove_dir_all(&folder));
}

/// A small generator: the seed is printed so that a failure can be looked at again.
struct Random(u64);

impl Random {
    fn fresh() -> Random {
        let seed = std::env::var("MADANG_SEED").ok().and_then(|text| text.parse().ok());
        Random(seed.unwrap_or_else(now_ms))
    }
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}
