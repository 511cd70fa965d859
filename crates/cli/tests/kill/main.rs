//! `kill -9` of the real server, again and again, under load with real jobs: no accepted job lost, none started twice,
//! the books balance, running jobs taken up again.
//!
//! Clients submit with idempotency keys and retry whatever was not answered, so at the end every key must be one job,
//! and every job must have left exactly one line of evidence that its process began and one that it ended.
mod server;

use serde_json::{Value, json};
use server::{Client, Server};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Kills in this test; `MADANG_KILLS` asks for more or fewer.
const KILLS: u32 = 100;
/// Submissions between two kills below which a kill proves nothing.
const LOAD: u64 = 3;

/// What clients know: key to job id, `None` while unanswered.
type Log = Arc<Mutex<BTreeMap<u64, Option<u64>>>>;

#[test]
fn a_hundred_kills_lose_nothing_and_double_nothing() {
    let kills = std::env::var("MADANG_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS);
    let folder = std::env::temp_dir().join(format!("madang-kill-{}", std::process::id()));
    drop(std::fs::remove_dir_all(&folder));
    std::fs::create_dir_all(folder.join("work")).expect("the temporary folder is writable");
    let mut random = Random::fresh();
    println!("seed {}", random.0);

    let log: Log = Log::default();
    let done = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicU64::new(0));
    let address = Arc::new(Mutex::new(None));
    let mut server = Server::start(&folder.join("data"));
    *address.lock().expect("no client panics") = Some(server.client());
    let clients: Vec<_> = (0..4)
        .map(|lane| {
            let (log, done, answered, address) = (log.clone(), done.clone(), answered.clone(), address.clone());
            let work = folder.join("work");
            std::thread::spawn(move || submit_for_ever(lane, &work, &log, &done, &answered, &address))
        })
        .collect();

    let mut loaded = 0;
    for _ in 0..kills {
        let before = answered.load(Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(50 + random.below(250)));
        server.kill();
        loaded += u32::from(answered.load(Ordering::SeqCst) >= before + LOAD);
        server = Server::start(&folder.join("data"));
        *address.lock().expect("no client panics") = Some(server.client());
    }
    done.store(true, Ordering::SeqCst);
    for client in clients {
        client.join().expect("clients end in good order");
    }
    assert!(loaded * 2 > kills, "only {loaded} of {kills} kills fell into load: the test is void");
    settle_accounts(&server.client(), &log, &folder.join("work"));
    server.stop();
    drop(std::fs::remove_dir_all(&folder));
}

/// One client: a new key each time, the same key until it is answered.
fn submit_for_ever(
    lane: u64,
    work: &Path,
    log: &Log,
    done: &AtomicBool,
    answered: &AtomicU64,
    address: &Mutex<Option<Client>>,
) {
    let mut count = 0;
    while !done.load(Ordering::SeqCst) {
        let key = lane * 1_000_000 + count;
        count += 1;
        log.lock().expect("no client panics").insert(key, None);
        let job = loop {
            let client = address.lock().expect("no client panics").clone().expect("set before clients start");
            match client.post("/api/v1/jobs", &format!("kill-{key}"), &job(key, work)) {
                Some((201 | 200, answer)) => break answer["job"].as_u64().expect("an id"),
                Some((503, _)) | None => std::thread::sleep(Duration::from_millis(20)),
                Some((status, answer)) => panic!("submission refused: {status} {answer}"),
            }
        };
        log.lock().expect("no client panics").insert(key, Some(job));
        answered.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(15));
    }
}

/// Most jobs are short; every tenth is likely to be running when a kill comes.
fn job(key: u64, work: &Path) -> Value {
    let sleep = if key.is_multiple_of(10) { "sleep 0.6; " } else { "" };
    let script = format!("echo begin {key} $SLURM_JOB_ID >> evidence; {sleep}echo end {key} >> evidence\n");
    json!({
        "name": format!("kill-{key}"),
        "limit_secs": 600,
        "parts": [{"cpus_per_task": 1, "memory_mib": 1}],
        "batch": {
            "script": script,
            "cwd": work.display().to_string(),
            "stdout": "/dev/null",
            "env": [["PATH", "/usr/bin:/bin"]],
        },
    })
}

fn settle_accounts(client: &Client, log: &Log, work: &Path) {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let overview = client.get("/api/v1/overview");
        if overview["running"] == 0 && overview["waiting"] == 0 {
            break;
        }
        assert!(Instant::now() < deadline, "jobs did not end in 120 s: {overview}");
        std::thread::sleep(Duration::from_millis(200));
    }
    let evidence = std::fs::read_to_string(work.join("evidence")).expect("jobs wrote evidence");
    let (mut begun, mut ended): (BTreeMap<u64, Vec<u64>>, BTreeMap<u64, u32>) = Default::default();
    for line in evidence.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |at: usize| words[at].parse::<u64>().expect("evidence holds numbers");
        match words[0] {
            "begin" => begun.entry(number(1)).or_default().push(number(2)),
            _ => *ended.entry(number(1)).or_default() += 1,
        }
    }
    let log = log.lock().expect("no client panics");
    for (key, job) in log.iter() {
        let job = job.expect("clients retry until they are answered");
        assert_eq!(begun.get(key), Some(&vec![job]), "key {key}, job {job}: its process began once under this id");
        assert_eq!(ended.get(key), Some(&1), "key {key}, job {job}: its process ended once");
        let view = client.get(&format!("/api/v1/jobs/{job}"));
        assert_eq!(view["state"], "COMPLETED", "key {key}: {view}");
        assert_eq!(view["attempts"], 1, "key {key}: {view}");
    }
    assert_eq!(begun.len(), log.len(), "processes began that nobody asked for");
    let audit = client.get("/api/v1/audit");
    assert_eq!(audit["violations"], json!([]));
    println!("{} jobs accounted for, {} anomalies", log.len(), audit["anomalies"]);
}

/// A small generator: the seed is printed so that a failure can be looked at again.
struct Random(u64);

impl Random {
    fn fresh() -> Random {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let seed = std::env::var("MADANG_SEED").ok().and_then(|text| text.parse().ok());
        Random(seed.unwrap_or_else(|| now.map_or(1, |age| age.as_nanos() as u64)))
    }
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}
