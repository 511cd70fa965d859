//! Two servers on one PostgreSQL: the one that leads is killed, paused and stopped, again and again, under load; the
//! other takes over in under five seconds, no acknowledged submission is lost, none is there twice, no run begins twice.
//!
//! Clients submit with idempotency keys and retry whatever was not answered, so at the end every key must be one job.
mod network;
#[path = "../../../server/tests/common/postgres.rs"]
mod postgres;
mod server;

use network::Network;
use nix::sys::signal::Signal;
use postgres::Postgres;
use serde_json::{Value, json};
use server::{Client, Server, Start};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Take-overs in this test; `MADANG_TAKEOVERS` asks for more or fewer.
const TAKEOVERS: usize = 5;
/// The longest that one may take: from the signal to the first submission that the other server acknowledges.
const MOST: Duration = Duration::from_secs(5);

/// What clients know: key to the answer, `None` while unanswered.
type Log = Arc<Mutex<BTreeMap<u64, Option<Answer>>>>;

/// An acknowledged submission.
#[derive(Clone, Copy)]
struct Answer {
    job: u64,
    at: Instant,
    /// Which server gave it.
    by: usize,
}

/// What clients share.
#[derive(Clone)]
struct Load {
    client: Client,
    log: Log,
    roots: Arc<Mutex<[String; 2]>>,
    done: Arc<AtomicBool>,
}

#[test]
fn the_one_that_leads_is_killed_paused_and_stopped() {
    let Some(postgres) = Postgres::start("takeover", &["-c", "fsync=on"]) else { postgres::skip() };
    let takeovers = std::env::var("MADANG_TAKEOVERS").ok().and_then(|text| text.parse().ok()).unwrap_or(TAKEOVERS);
    let folder = std::env::temp_dir().join(format!("madang-takeover-{}", std::process::id()));
    drop(std::fs::remove_dir_all(&folder));
    let store = postgres.database("centre");
    let centre = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/takeover/centre.toml");
    let start = |at: usize| {
        let folder = folder.join(["a", "b"][at]);
        Server::start(Start { folder: &folder, store: &store, centre: Some(&centre), within: None })
    };
    let mut servers = [start(0), start(1)];
    let (load, clients) = Load::begin(&servers);
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(300));
        let cut = postgres.sql("postgres", CUT);
        assert_ne!(cut, "0", "no connection was cut");
    }
    assert_eq!(servers[0].said().matches("has taken over").count(), 0, "{}", servers[0].said());
    for round in 0..takeovers {
        std::thread::sleep(Duration::from_millis(600 + 137 * (round as u64 % 7)));
        let leader = round % 2;
        let signal = [Signal::SIGKILL, Signal::SIGSTOP, Signal::SIGSTOP, Signal::SIGTERM][round % 4];
        let took = take_over(&load, &mut servers[leader], leader, signal);
        println!("{signal} of the active server: the other one acknowledges after {} ms", took.as_millis());
        assert!(took < MOST, "it took {took:?}");
        servers[leader] = start(leader);
        load.roots.lock().expect("no client panics")[leader] = servers[leader].root.clone();
        stands_by(&load.client, &servers[leader].root, &servers[1 - leader].root);
    }
    let [active, standby] = if takeovers.is_multiple_of(2) { [0, 1] } else { [1, 0] };
    load.end(clients, &servers[active].root, &postgres);
    for which in [standby, active] {
        servers[which].signal(Signal::SIGTERM);
        assert!(servers[which].wait().success(), "{}", servers[which].said());
    }
    drop(servers);
    drop(std::fs::remove_dir_all(&folder));
}

#[test]
fn the_one_that_leads_is_cut_off_from_the_database() {
    if postgres::programs().is_none() {
        postgres::skip(); // before there is a network to take away
    }
    let Some(network) = Network::make() else {
        return println!("skipped: network namespaces need root and ip (Debian: apt-get install iproute2)");
    };
    let listen = format!("listen_addresses={}", network.database);
    let Some(postgres) = Postgres::start("cut", &["-c", &listen]) else { postgres::skip() };
    let folder = std::env::temp_dir().join(format!("madang-cut-{}", std::process::id()));
    drop(std::fs::remove_dir_all(&folder));
    postgres.database("centre");
    let store = format!("postgres://madang@{}/centre", network.database);
    let centre = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/takeover/centre.toml");
    let listen = format!("{}:0", network.server);
    let start = |name: &str, within| {
        Server::start(Start { folder: &folder.join(name), store: &store, centre: Some(&centre), within })
    };
    let first = start("a", Some((network.name.as_str(), listen.as_str())));
    first.token();
    let mut servers = [first, start("b", None)];
    let (load, clients) = Load::begin(&servers);
    std::thread::sleep(Duration::from_millis(800));
    let began = Instant::now();
    network.cut();
    let took = load.taken_over(0, began);
    println!("the active server is cut off: the other one acknowledges after {} ms", took.as_millis());
    assert!(took < MOST, "it took {took:?}");
    network.mend();
    assert!(!servers[0].wait().success(), "one that was cut off ends when it is back");
    assert!(servers[0].said().contains("has taken over"), "{}", servers[0].said());
    load.end(clients, &servers[1].root, &postgres);
    drop(servers);
    drop(std::fs::remove_dir_all(&folder));
}

#[test]
fn the_database_crashes_under_load() {
    let Some(postgres) = Postgres::start("crash", &["-c", "fsync=on"]) else { postgres::skip() };
    let folder = std::env::temp_dir().join(format!("madang-crash-{}", std::process::id()));
    drop(std::fs::remove_dir_all(&folder));
    let store = postgres.database("centre");
    let centre = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/takeover/centre.toml");
    let start = Start { folder: &folder, store: &store, centre: Some(&centre), within: None };
    let mut server = Server::start(start);
    let client = Client::new(&server.token());
    let (load, clients) = Load::on(client, [server.root.clone(), server.root.clone()]);
    for _ in 0..3 {
        let before = load.log.lock().expect("no client panics").len();
        std::thread::sleep(Duration::from_millis(500));
        postgres.crash();
        let after = load.log.lock().expect("no client panics").len();
        assert!(after > before + 4, "the crash fell into no load");
    }
    std::thread::sleep(Duration::from_millis(500));
    load.end(clients, &server.root, &postgres);
    // Killed and started again on its own folder it need not wait for the lease of its former life.
    server.signal(Signal::SIGKILL);
    server.wait();
    let began = Instant::now();
    let server = Server::start(start);
    until(&load.client, &format!("{}/readyz", server.root), |ready| ready.is_string());
    assert!(began.elapsed() < Duration::from_millis(2_500), "it took {:?}", began.elapsed());
    drop(server);
    drop(std::fs::remove_dir_all(&folder));
}

#[test]
fn what_runs_on_a_machine_waits_for_its_server() {
    let Some(postgres) = Postgres::start("machine", &[]) else { postgres::skip() };
    let folder = std::env::temp_dir().join(format!("madang-machine-{}", std::process::id()));
    drop(std::fs::remove_dir_all(&folder));
    let store = postgres.database("centre");
    let start =
        |name: &str| Server::start(Start { folder: &folder.join(name), store: &store, centre: None, within: None });
    let mut here = start("here");
    let client = Client::new(&here.token());
    let mut other = start("other");
    stands_by(&client, &other.root, &here.root);
    let first = real_job(&client, &here.root, "first", &folder);
    until(&client, &format!("{}/api/v1/jobs/{first}", here.root), |job| job["state"] == "RUNNING");

    here.signal(Signal::SIGKILL);
    here.wait();
    until(&client, &format!("{}/readyz", other.root), |ready| ready.is_string());
    let away = |node: &Value| node["items"][0]["state"].as_str().is_some_and(|state| state.starts_with("DRAIN"));
    until(&client, &format!("{}/api/v1/nodes", other.root), away);
    let second = real_job(&client, &other.root, "second", &folder);
    let ended = |job: &Value| job["state"] == "COMPLETED";
    let evidence = || std::fs::read_to_string(folder.join("evidence")).unwrap_or_default();
    let deadline = Instant::now() + Duration::from_secs(30);
    while !evidence().contains("end first") {
        assert!(Instant::now() < deadline, "the job goes on without its server: {}", evidence());
        std::thread::sleep(Duration::from_millis(50));
    }
    for (job, state) in [(first, "RUNNING"), (second, "PENDING")] {
        let view = client.ask(&format!("{}/api/v1/jobs/{job}", other.root));
        assert_eq!(view["state"], state, "{view}");
    }

    let here = start("here");
    stands_by(&client, &here.root, &other.root);
    other.signal(Signal::SIGTERM);
    assert!(other.wait().success());
    until(&client, &format!("{}/readyz", here.root), |ready| ready.is_string());
    for job in [first, second] {
        let view = until(&client, &format!("{}/api/v1/jobs/{job}", here.root), ended);
        assert_eq!(view["attempts"], 1, "{view}");
    }
    assert_eq!(evidence(), "begin first\nend first\nbegin second\nend second\n");
    let audit = client.ask(&format!("{}/api/v1/audit", here.root));
    assert_eq!((&audit["violations"], &audit["anomalies"]), (&json!([]), &json!(0)), "{audit}");
    drop(here);
    drop(std::fs::remove_dir_all(&folder));
}

/// A job with a process, long enough to be running when its server is killed.
fn real_job(client: &Client, root: &str, name: &str, folder: &Path) -> u64 {
    let script = format!("echo begin {name} >> evidence; sleep 2; echo end {name} >> evidence\n");
    let body = json!({
        "name": name,
        "limit_secs": 600,
        "parts": [{"cpus_per_task": 1, "memory_mib": 1}],
        "batch": {
            "script": script,
            "cwd": folder.display().to_string(),
            "stdout": "/dev/null",
            "env": [["PATH", "/usr/bin:/bin"]],
        },
    });
    let (status, answer) = client.post(&format!("{root}/api/v1/jobs"), name, &body).expect("it answers");
    assert_eq!(status, 201, "{answer}");
    answer["job"].as_u64().expect("an id")
}

/// Asks until the answer fits, for at most twenty seconds.
fn until(client: &Client, url: &str, fits: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let (status, text) = client.get(url).unwrap_or_default();
        let answer = serde_json::from_str(&text).unwrap_or_else(|_| json!(text));
        if status == 200 && fits(&answer) {
            return answer;
        }
        assert!(Instant::now() < deadline, "{url} stayed at {status} {text}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Cuts every connection of the servers, amid commits too.
const CUT: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'madang'";

/// Runs that the journal says began more than once.
const STARTED_TWICE: &str = "SELECT run FROM (SELECT jsonb_path_query(body::jsonb, '$[*].input.report.started.run') AS run \
                             FROM madang.journal) AS started GROUP BY run HAVING count(*) > 1";

/// Ends or pauses the server that leads; gives the time until the other one acknowledged a submission.
fn take_over(load: &Load, leader: &mut Server, which: usize, signal: Signal) -> Duration {
    let began = Instant::now();
    leader.signal(signal);
    let took = load.taken_over(which, began);
    if signal == Signal::SIGSTOP {
        leader.signal(Signal::SIGCONT);
        assert!(!leader.wait().success(), "one that was paused ends when it wakes");
        let said = leader.said();
        assert!(said.contains("has taken over") && said.contains("hint: "), "{said}");
    } else {
        assert_eq!(leader.wait().success(), signal == Signal::SIGTERM, "{}", leader.said());
    }
    took
}

/// A server that stands by answers readers, refuses writers, and says who leads.
fn stands_by(client: &Client, standby: &str, active: &str) {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let (status, text) = client.get(&format!("{standby}/readyz")).unwrap_or_default();
        if status == 503 && text.contains(active) {
            break;
        }
        assert!(Instant::now() < deadline, "{status} {text}");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(client.get(&format!("{standby}/healthz")).map(|(status, _)| status), Some(200));
    client.ask(&format!("{standby}/api/v1/overview"));
    let refused = client.post(&format!("{standby}/api/v1/jobs"), "refused", &job(0));
    let (status, problem) = refused.expect("it answers");
    assert_eq!((status, &problem["code"]), (503, &json!("standby")), "{problem}");
}

impl Load {
    /// Four clients of two servers, the first of which leads.
    fn begin(servers: &[Server; 2]) -> (Load, Vec<JoinHandle<()>>) {
        let client = Client::new(&servers[0].token());
        stands_by(&client, &servers[1].root, &servers[0].root);
        Load::on(client, servers.each_ref().map(|server| server.root.clone()))
    }

    fn on(client: Client, roots: [String; 2]) -> (Load, Vec<JoinHandle<()>>) {
        let load = Load { client, log: Log::default(), roots: Arc::new(Mutex::new(roots)), done: Arc::default() };
        let client = |lane| {
            let load = load.clone();
            std::thread::spawn(move || load.submit_for_ever(lane))
        };
        let clients = (0..4).map(client).collect();
        (load, clients)
    }

    /// Ends the clients and settles accounts with the server that leads.
    fn end(&self, clients: Vec<JoinHandle<()>>, root: &str, postgres: &Postgres) {
        self.done.store(true, Ordering::SeqCst);
        clients.into_iter().for_each(|client| client.join().expect("clients end in good order"));
        settle_accounts(self, root);
        assert_eq!(postgres.sql("centre", STARTED_TWICE), "", "runs began twice");
    }

    /// Waits until another server than this one acknowledged a submission after that moment; gives how long it took.
    fn taken_over(&self, from: usize, began: Instant) -> Duration {
        loop {
            let log = self.log.lock().expect("no client panics");
            let by_other = log.values().flatten().filter(|answer| answer.by != from && answer.at > began);
            let first = by_other.map(|answer| answer.at).min();
            drop(log);
            if let Some(first) = first {
                return first - began;
            }
            assert!(began.elapsed() < MOST * 4, "nobody takes over");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// One client: a new key each time, the same key until it is answered, at one server after the other.
    fn submit_for_ever(&self, lane: u64) {
        let mut at = 0;
        for count in 0.. {
            if self.done.load(Ordering::SeqCst) {
                return;
            }
            let key = lane * 1_000_000 + count;
            self.log.lock().expect("no client panics").insert(key, None);
            let id = loop {
                let root = self.roots.lock().expect("no client panics")[at].clone();
                match self.client.post(&format!("{root}/api/v1/jobs"), &format!("key-{key}"), &job(key)) {
                    Some((201 | 200, answer)) => break answer["job"].as_u64().expect("an id"),
                    Some((503, _)) | None => {
                        at = 1 - at;
                        std::thread::sleep(Duration::from_millis(20));
                    }
                    Some((status, answer)) => panic!("submission refused: {status} {answer}"),
                }
            };
            self.log
                .lock()
                .expect("no client panics")
                .insert(key, Some(Answer { job: id, at: Instant::now(), by: at }));
            std::thread::sleep(Duration::from_millis(15));
        }
    }
}

/// Most jobs are short; every tenth runs over a take-over.
fn job(key: u64) -> Value {
    let runtime = if key.is_multiple_of(10) { 6_000 } else { 40 };
    json!({
        "name": format!("key-{key}"),
        "limit_secs": 600,
        "parts": [{"gpus_total": 1}],
        "model": {"runtime_ms": runtime},
    })
}

fn settle_accounts(load: &Load, root: &str) {
    let (client, deadline) = (&load.client, Instant::now() + Duration::from_secs(120));
    loop {
        let overview = client.ask(&format!("{root}/api/v1/overview"));
        if overview["running"] == 0 && overview["waiting"] == 0 {
            break;
        }
        assert!(Instant::now() < deadline, "jobs did not end in 120 s: {overview}");
        std::thread::sleep(Duration::from_millis(200));
    }
    let log = load.log.lock().expect("no client panics");
    for (key, answered) in log.iter() {
        let job = answered.expect("clients retry until they are answered").job;
        let view = client.ask(&format!("{root}/api/v1/jobs/{job}"));
        assert_eq!(view["name"], format!("key-{key}"));
        assert_eq!(view["state"], "COMPLETED", "key {key}: {view}");
        assert_eq!(view["attempts"], 1, "key {key}: {view}");
    }
    let audit = client.ask(&format!("{root}/api/v1/audit"));
    assert_eq!((&audit["violations"], &audit["anomalies"]), (&json!([]), &json!(0)), "{audit}");
    let ids: std::collections::BTreeSet<u64> = log.values().flatten().map(|answer| answer.job).collect();
    assert_eq!(ids.len(), log.len(), "two keys are one job");
    let mut count = 0;
    let mut after = String::new();
    loop {
        let page = client.ask(&format!("{root}/api/v1/jobs?state=all&limit=1000{after}"));
        count += page["items"].as_array().expect("a list").len();
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(count, log.len(), "jobs are there that nobody asked for");
    println!("{} jobs accounted for", log.len());
}
