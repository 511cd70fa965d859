//! Real processes on this machine, and the demo at full size. This program is its own nursery, so it has a `main` of
//! its own instead of the usual harness.
mod common;

use common::{Client, Dir, Up, settings};
use madang_charter::{Machine, Order};
use madang_model::{Device, Founding, IslandId, NodeId, SiteId};
use madang_server::{CentreChoice, UpOptions};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.iter().any(|argument| argument == "nursery") {
        madang_engine::nursery_main();
    }
    if arguments.iter().any(|argument| argument == "--list") {
        return;
    }
    let filter = arguments.iter().skip(1).find(|argument| !argument.starts_with('-'));
    let tests: [(&str, fn()); 4] = [
        ("scripts_run_and_leave_their_output", scripts_run_and_leave_their_output),
        ("jobs_outlive_the_server", jobs_outlive_the_server),
        ("a_job_outlives_its_site_and_runs_once", a_job_outlives_its_site_and_runs_once),
        ("the_demo_comes_up_at_full_size", the_demo_comes_up_at_full_size),
    ];
    for (name, test) in tests {
        if filter.is_none_or(|filter| name.contains(filter.as_str())) {
            print!("test {name} ... ");
            test();
            println!("ok");
        }
    }
}

/// The test centre with this machine beside it, two made-up GPUs.
fn start(dir: &Path) -> Up {
    start_with(dir, |_| {})
}

fn start_with(dir: &Path, change: impl FnOnce(&mut Founding)) -> Up {
    let (mut settings, wall) = settings(dir);
    let machine = Machine {
        host: "here".into(),
        cpus: 4,
        memory_mib: 8_192,
        gpus: vec![Device { model: "pretend".into(), memory_mib: 1_024, parts: Default::default() }; 2],
        pretend: true,
        pretend_nodes: 1,
        numa: Vec::new(),
    };
    // The test centre's own partition is called `gpu`, as this machine's would be.
    settings.founding.partitions[0].name = "modelled".into();
    madang_charter::add_site(&mut settings.founding, &machine, Order::First).expect("no clash");
    change(&mut settings.founding);
    settings.local = Some(madang_engine::Options {
        helper: std::env::current_exe().expect("a path"),
        ..madang_engine::Options::default()
    });
    Up::with(settings, wall).unwrap_or_else(|trouble| panic!("{trouble}"))
}

fn batch(dir: &Path, script: &str) -> Value {
    json!({ "name": "real", "limit_secs": 60, "batch": { "script": script, "cwd": dir.display().to_string(),
        "env": [["PATH", std::env::var("PATH").expect("a path")]] } })
}

fn ended(client: &Client, id: u64) -> Value {
    client.until(&format!("/api/v1/jobs/{id}"), |job| {
        job["exit"] != 0 || job["state"] == "COMPLETED" || job["signal"] != 0
    })
}

fn scripts_run_and_leave_their_output() {
    let (dir, work) = (Dir::new(), Dir::new());
    std::fs::create_dir_all(&work.0).expect("writable");
    let up = start(&dir.0);
    let ann = up.client("ann");
    let mut spec =
        batch(&work.0, "#!/bin/sh\necho gpus $CUDA_VISIBLE_DEVICES of $SLURM_JOB_ACCOUNT\necho 안녕 >&2\nexit 3\n");
    spec["parts"] = json!([{ "gpus_total": 2, "cpus_per_task": 2 }]);
    let id = ann.submit(spec);
    let job = ended(&ann, id);
    assert_eq!((&job["state"], &job["exit"], &job["reason"]), (&json!("FAILED"), &json!(3), &json!("NonZeroExitCode")));
    assert_eq!((&job["slots"][0]["devices"], &job["modelled"]), (&json!([0, 1]), &json!(false)));
    let log = ann.get(&format!("/api/v1/jobs/{id}/log")).ok();
    assert_eq!((&log["text"], &log["complete"]), (&json!("gpus 0,1 of alpha\n안녕\n"), &json!(true)));
    assert_eq!(log["path"], json!(work.0.join(format!("slurm-{id}.out")).display().to_string()));
    let piece = ann.get(&format!("/api/v1/jobs/{id}/log?offset=5&limit=4")).ok();
    assert_eq!((&piece["text"], &piece["next"]), (&json!("0,1 "), &json!(9)));
    let script = ann.get(&format!("/api/v1/jobs/{id}/script"));
    assert!(script.text.starts_with("#!/bin/sh\necho gpus"), "{}", script.text);
    let lost = ended_badly(&ann, ann.submit(batch(Path::new("/nowhere/at/all"), "#!/bin/sh\n")));
    assert!(lost["reason_text"].as_str().expect("text").contains("/nowhere/at/all"), "{lost}");
    let audit = up.client("root").get("/api/v1/audit").ok();
    assert_eq!((&audit["violations"], &audit["anomalies"]), (&json!([]), &json!(0)));
    up.stop().expect("a clean stop");
}

fn ended_badly(client: &Client, id: u64) -> Value {
    client.until(&format!("/api/v1/jobs/{id}"), |job| job["state"] == "BOOT_FAIL" || job["state"] == "FAILED")
}

fn jobs_outlive_the_server() {
    let (dir, work) = (Dir::new(), Dir::new());
    std::fs::create_dir_all(&work.0).expect("writable");
    let up = start(&dir.0);
    let ann = up.client("ann");
    let wait = |name: &str| format!("#!/bin/sh\nwhile [ ! -e {name} ]; do sleep 0.05; done\nexit 7\n");
    let (during, after) = (ann.submit(batch(&work.0, &wait("one"))), ann.submit(batch(&work.0, &wait("two"))));
    for id in [during, after] {
        ann.until(&format!("/api/v1/jobs/{id}"), |job| job["state"] == "RUNNING");
    }
    up.stop().expect("a clean stop");
    std::fs::write(work.0.join("one"), "").expect("written");
    std::thread::sleep(std::time::Duration::from_millis(300)); // nobody is there to tell when the first has ended
    let up = start(&dir.0);
    let ann = up.client("ann");
    assert_eq!(ended(&ann, during)["exit"], 7);
    assert_eq!(ann.get(&format!("/api/v1/jobs/{after}")).ok()["state"], "RUNNING");
    std::fs::write(work.0.join("two"), "").expect("written");
    let job = ended(&ann, after);
    assert_eq!((&job["exit"], &job["attempts"]), (&json!(7), &json!(1)));
    let audit = up.client("root").get("/api/v1/audit").ok();
    assert_eq!((&audit["violations"], &audit["anomalies"]), (&json!([]), &json!(0)));
    up.stop().expect("a clean stop");
}

/// A second site with an engine of its own on this machine, in the partition of the first.
fn add_there(founding: &mut Founding) {
    let mut site = founding.sites.last().expect("the first").clone();
    let mut island = founding.islands.last().expect("the first").clone();
    let mut node = founding.nodes.last().expect("the first").clone();
    founding.partitions[0].sites.push(SiteId::new(site.id.number() + 1));
    (site.id, site.name) = (SiteId::new(site.id.number() + 1), "there".into());
    (island.id, island.site, island.name) = (IslandId::new(island.id.number() + 1), site.id, "there".into());
    (node.id, node.site, node.island) = (NodeId::new(node.id.number() + 1), site.id, island.id);
    node.name = "there".into();
    founding.sites.push(site);
    founding.islands.push(island);
    founding.nodes.push(node);
}

/// The site goes silent with all its shepherds: none of them hears or says anything until it goes on.
fn a_job_outlives_its_site_and_runs_once() {
    let (dir, work) = (Dir::new(), Dir::new());
    std::fs::create_dir_all(&work.0).expect("writable");
    let up = start_with(&dir.0, add_there);
    let (ann, otto) = (up.client("ann"), up.client("otto"));
    let script = "#!/bin/sh\nif [ $SLURMD_NODENAME = there ]; then echo $PPID > shepherd; sleep 0.3; kill -STOP $PPID; \
                  touch silent; fi\nwhile [ ! -e go ]; do sleep 0.05; done\necho $SLURMD_NODENAME >> done\n";
    let mut spec = batch(&work.0, script);
    spec["sites"] = json!(["any"]);
    spec["data"] = json!([{ "site": "there", "gb": 100 }]);
    let id = ann.submit(spec);
    let path = format!("/api/v1/jobs/{id}");
    let job = ann.until(&path, |job| job["state"] == "RUNNING");
    let verdict = |job: &Value, site: &str| {
        let sites = job["sites"].as_array().expect("sites");
        sites.iter().find(|one| one["site"] == site).map(|one| one["verdict"].clone())
    };
    assert_eq!((&job["site"], verdict(&job, "here")), (&json!("there"), Some(json!("farther"))));
    until_there(&work.0.join("silent"));
    otto.post("/api/v1/sites/there/lost", &json!({ "reason": "no power", "at_once": true })).ok();
    let job = ann.until(&path, |job| job["state"] == "RUNNING" && job["attempts"] == 2);
    assert_eq!((&job["site"], &job["runs"][0]["state"]), (&json!("here"), &json!("NODE_FAIL")));
    // The site is back, its shepherd is not: nobody may have the node.
    let site = otto.post("/api/v1/sites/there/back", &json!({})).ok();
    assert_eq!((&site["lost"], &site["nodes_drained"]), (&Value::Null, &json!(1)));
    let shepherd = std::fs::read_to_string(work.0.join("shepherd")).expect("it said");
    let told = std::process::Command::new("kill").args(["-CONT", shepherd.trim()]).status();
    assert!(told.is_ok_and(|status| status.success()));
    ann.until("/api/v1/nodes?site=there", |nodes| nodes["items"][0]["state"] == "IDLE");
    std::fs::write(work.0.join("go"), "").expect("written");
    let job = ann.until(&path, |job| job["state"] == "COMPLETED");
    assert_eq!((&job["attempts"], &job["site"]), (&json!(2), &json!("here")));
    assert_eq!(std::fs::read_to_string(work.0.join("done")).expect("it said"), "here\n");
    assert_eq!(up.client("root").get("/api/v1/audit").ok()["violations"], json!([]));
    up.stop().expect("a clean stop");
}

fn until_there(path: &Path) {
    let end = Instant::now() + Duration::from_secs(10);
    while !path.exists() {
        assert!(Instant::now() < end, "{} does not come", path.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn the_demo_comes_up_at_full_size() {
    let dir = Dir::new();
    let options = UpOptions {
        store: None,
        metrics: None,
        agents: None,
        data: dir.0.clone(),
        listen: ([127, 0, 0, 1], 0).into(),
        centre: CentreChoice::Here,
        demo: true,
        pretend_gpus: 2,
        pretend_nodes: 0,
        helper: std::env::current_exe().expect("a path"),
        shims: None,
    };
    let settings = madang_server::up::settings(&options).expect("the demo's own centre");
    let admin = settings.first.iter().find_map(|input| match input {
        madang_centre::Input::User { name, role: madang_model::Role::Admin } => Some(name.clone()),
        _ => None,
    });
    let admin = admin.expect("an administrator");
    let up = Up::with(settings, Arc::new(AtomicU64::new(0))).unwrap_or_else(|trouble| panic!("{trouble}"));
    let root = up.client(&admin);
    let overview = root.until("/api/v1/overview", |view| {
        let busy = |site: &Value| site["gpus_busy"].as_u64() > site["gpus"].as_u64().map(|gpus| gpus / 2);
        view["sites"].as_array().is_some_and(|sites| sites.iter().filter(|site| busy(site)).count() >= 2)
    });
    assert_eq!(overview["sites"].as_array().map(Vec::len), Some(3));
    let floor = root.get("/api/v1/floor").ok();
    let gpus: u64 = floor["nodes"].as_array().expect("nodes").iter().filter_map(|node| node["g"].as_u64()).sum();
    assert_eq!(gpus, 18_002);
    up.submit_demo(&dir.0, &admin);
    let done = root.until("/api/v1/jobs?state=COMPLETED&project=demo-here", |page| {
        let items = page["items"].as_array().expect("items");
        ["primes", "prepare"].iter().all(|name| items.iter().any(|job| job["name"] == *name))
    });
    let primes = done["items"].as_array().expect("items").iter().find(|job| job["name"] == "primes").expect("it");
    let log = root.get(&format!("/api/v1/jobs/{}/log", primes["id"])).ok();
    assert!(log["text"].as_str().expect("text").contains("17984 primes up to 200000"), "{log}");
    for job in root.get("/api/v1/jobs?project=demo-here").ok()["items"].as_array().expect("items") {
        root.call(
            "DELETE",
            &format!(
                "/api/v1/jobs/{}",
                job["array"]["job"].as_u64().unwrap_or_else(|| job["id"].as_u64().expect("an id"))
            ),
            None,
        );
    }
    root.until("/api/v1/jobs?project=demo-here", |page| page["items"] == json!([]));
    assert_eq!(root.get("/api/v1/audit").ok()["violations"], json!([]));
    up.stop().expect("a clean stop");
}
