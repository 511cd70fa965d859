//! A server in this process, on an ephemeral port of loopback and a folder of its own, and a plain client.
#![expect(dead_code, reason = "each test file uses a part of this")]

pub mod postgres;

use madang_centre::Input;
use madang_charter::Machine;
use madang_model::{Founding, GpuTime, Role, Time};
use madang_server::server::{Server, Settings};
use madang_server::store::Place;
use madang_server::trouble::Trouble;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A modelled centre of eight four-GPU nodes in two islands, two owners, two classes.
const CENTRE: &str = r#"
[centre]
name = "test"
title = "Test centre"
title_ko = "시험 센터"
founded = 2025-01-01

[[party]]
name = "public"
title = "Public"
[[party.share]]
from = 2025-01-01
share = "60%"
reason = "test"
approver = "test"
source = "test"

[[party]]
name = "private"
title = "Private"
[[party.share]]
from = 2025-01-01
share = "40%"
reason = "test"
approver = "test"
source = "test"

[[class]]
name = "research"
target = "50%"
rate = "0%"
source = "test"

[[class]]
name = "industry"
target = "50%"
rate = "10%"
source = "test"

[[site]]
name = "big"
title = "Big"
operator = "public"
engine = "model"
shares = { public = "60%", private = "40%" }
source = "test"

[[site.island]]
name = "big-a"
nodes = 4
names = "a{1}"
nodes_per_rack = 2
gpus_per_node = 4
gpu = "h200"
gpu_memory = "143771 MiB"
cpus_per_node = 64
memory_per_node = "512 GiB"
features = ["nvlink"]
source = "test"

[[site.island]]
name = "big-b"
nodes = 4
names = "b{1}"
nodes_per_rack = 2
gpus_per_node = 4
gpu = "h200"
gpu_memory = "143771 MiB"
cpus_per_node = 64
memory_per_node = "512 GiB"
features = ["nvlink"]
source = "test"

[[price]]
gpu = "h200"
from = 2025-01-01
won_per_gpu_hour = 6_000
source = "test"

[[partition]]
name = "gpu"
sites = ["big"]
max_limit = "7d"
default_limit = "1h"
"#;

pub fn founding() -> Founding {
    let machine = Machine {
        host: "here".into(),
        cpus: 4,
        memory_mib: 8_192,
        gpus: Vec::new(),
        pretend: false,
        pretend_nodes: 1,
        numa: Vec::new(),
    };
    madang_charter::load(CENTRE, "test.toml", &machine).unwrap_or_else(|problems| panic!("{problems}"))
}

/// People by role, and two projects with awards.
fn first() -> Vec<Input> {
    let mut inputs = Vec::new();
    for (name, role) in [
        ("root", Role::Admin),
        ("ann", Role::Researcher),
        ("bo", Role::Researcher),
        ("olga", Role::Owner),
        ("olaf", Role::Officer),
        ("otto", Role::Operator),
    ] {
        inputs.push(Input::User { name: name.into(), role });
    }
    for (project, owner, class, member) in
        [("alpha", "public", "research", "ann"), ("beta", "private", "industry", "bo")]
    {
        inputs.push(Input::Project {
            name: project.into(),
            title: format!("Project {project}"),
            owner: owner.into(),
            class: class.into(),
        });
        inputs.push(Input::Member { project: project.into(), user: member.into() });
        inputs.push(Input::Award {
            project: project.into(),
            granted: GpuTime::from_hours(1_000_000),
            from: Time::from_millis(0),
            until: Time::from_millis(4_000_000_000_000),
        });
    }
    inputs.push(Input::Member { project: "alpha".into(), user: "root".into() });
    inputs
}

static COUNT: AtomicU64 = AtomicU64::new(0);

/// A folder of this test alone; removed at its end.
pub struct Dir(pub PathBuf);

impl Dir {
    pub fn new() -> Dir {
        // Test files that run in one process each have a count of their own.
        let file = module_path!().replace("::", "-");
        let name = format!("madang-test-{file}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        Dir(std::env::temp_dir().join(name))
    }
}
impl Drop for Dir {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
        if ON_POSTGRES {
            postgres::shared().drop_database(&database(&self.0));
        }
    }
}

/// True in the binary that runs these tests again with PostgreSQL as the store.
pub const ON_POSTGRES: bool = matches!(env!("CARGO_CRATE_NAME").as_bytes(), b"on_postgres");

/// The database that goes with a folder.
pub fn database(dir: &Path) -> String {
    let name = dir.file_name().and_then(|name| name.to_str()).unwrap_or("none");
    name.replace(|c: char| !c.is_ascii_alphanumeric(), "_")
}

/// Where the tests of this binary keep their centres.
pub fn place(dir: &Path) -> Place {
    if !ON_POSTGRES {
        return Place::Folder(None);
    }
    let url = postgres::shared().database(&database(dir));
    Place::parse(&url).unwrap_or_else(|trouble| panic!("{trouble}"))
}

/// Does something to a folder's store behind a server's back; gives the rows changed.
pub fn execute(dir: &Path, sql: &str) -> usize {
    if ON_POSTGRES {
        let changed = postgres::shared().client(&database(dir)).execute(sql, &[]).expect("good SQL");
        return usize::try_from(changed).expect("few");
    }
    let db = rusqlite::Connection::open(dir.join("journal.db")).expect("a database");
    db.execute(sql, []).expect("good SQL")
}

/// A number from a folder's store.
pub fn number(dir: &Path, sql: &str) -> i64 {
    if ON_POSTGRES {
        return postgres::shared().client(&database(dir)).query_one(sql, &[]).expect("good SQL").get(0);
    }
    let db = rusqlite::Connection::open(dir.join("journal.db")).expect("a database");
    db.query_row(sql, [], |row| row.get(0)).expect("good SQL")
}

/// Copies a folder as it is at this moment, and the database that goes with it.
pub fn copy(from: &Path, to: &Path) {
    copy_files(from, to);
    if ON_POSTGRES {
        postgres::shared().copy_database(&database(from), &database(to));
    }
}

fn copy_files(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("writable");
    for entry in std::fs::read_dir(from).expect("listed").flatten() {
        match entry.path().is_dir() {
            true => copy_files(&entry.path(), &to.join(entry.file_name())),
            false => drop(std::fs::copy(entry.path(), to.join(entry.file_name())).expect("copied")),
        }
    }
}

pub struct Up {
    runtime: tokio::runtime::Runtime,
    pub server: Option<Server>,
    pub base: String,
    pub wall: Arc<AtomicU64>,
}

/// A wall clock in the hand of the test, from the present on.
pub fn settings(dir: &Path) -> (Settings, Arc<AtomicU64>) {
    let now = madang_server::clock::system().millis();
    let wall = Arc::new(AtomicU64::new(0));
    let hand = Arc::clone(&wall);
    let began = Instant::now();
    let settings = Settings {
        data: dir.to_owned(),
        store: place(dir),
        listen: ([127, 0, 0, 1], 0).into(),
        founding: founding(),
        first: first(),
        local: None,
        loads: |_, _| Vec::new(),
        // The hand adds to (or, wrapping, takes from) what has really passed.
        wall: Box::new(move || {
            let passed = u64::try_from(began.elapsed().as_millis()).expect("short");
            Time::from_millis((now + passed).wrapping_add(hand.load(Ordering::Relaxed)))
        }),
        metrics: Some(([127, 0, 0, 1], 0).into()),
        agents: Some(([127, 0, 0, 1], 0).into()),
    };
    (settings, wall)
}

/// How long a server may take to lead.
const LEAD: Duration = Duration::from_secs(15);

impl Up {
    pub fn start(dir: &Path) -> Up {
        let (settings, wall) = settings(dir);
        Up::with(settings, wall).unwrap_or_else(|trouble| panic!("{trouble}"))
    }
    pub fn with(settings: Settings, wall: Arc<AtomicU64>) -> Result<Up, Trouble> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("runtime");
        let server = runtime.block_on(Server::start(settings))?;
        let mut leads = server.leads.clone();
        // A copy of a centre that is led still holds its lease, until that runs out.
        let led = runtime.block_on(async { tokio::time::timeout(LEAD, leads.wait_for(|leads| *leads)).await.is_ok() });
        assert!(led, "it does not come to lead");
        let base = format!("http://{}", server.address);
        Ok(Up { runtime, server: Some(server), base, wall })
    }
    pub fn stop(mut self) -> Result<(), Trouble> {
        let server = self.server.take().expect("not stopped before");
        self.runtime.block_on(server.stop())
    }
    /// Submits the demo's own scripts.
    pub fn submit_demo(&self, dir: &Path, user: &str) {
        let app = &self.server.as_ref().expect("up").app;
        self.runtime.block_on(madang_server::demo::submit_scripts(app, dir, user));
    }
    pub fn token(&self, user: &str) -> String {
        let app = &self.server.as_ref().expect("up").app;
        let now = app.now();
        let made = app.passes.make_token(now, user, "test", now + madang_model::Span::from_days(1));
        made.unwrap_or_else(|no| panic!("{no}")).1.reveal().to_owned()
    }
    pub fn client(&self, user: &str) -> Client {
        Client { base: self.base.clone(), token: Some(self.token(user)) }
    }
    pub fn anonymous(&self) -> Client {
        Client { base: self.base.clone(), token: None }
    }
}

pub struct Client {
    pub base: String,
    pub token: Option<String>,
}

pub struct Answer {
    pub status: u16,
    pub headers: ureq::http::HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
    /// Status and body without what is each request's own.
    pub fn told(&self) -> (u16, Value) {
        let mut body = self.json();
        body.as_object_mut().and_then(|body| body.remove("request"));
        (self.status, body)
    }
    pub fn ok(self) -> Value {
        assert!((200..300).contains(&self.status), "{}: {}", self.status, self.text);
        if self.text.is_empty() { Value::Null } else { self.json() }
    }
    /// A refusal with this status, as a problem document; gives its code.
    pub fn problem(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.headers["content-type"], "application/problem+json", "{}", self.text);
        let body = self.json();
        assert_eq!(body["status"], json!(status));
        assert!(body["detail"].as_str().is_some_and(|text| !text.is_empty()), "{}", self.text);
        body["code"].as_str().expect("a code").to_owned()
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(20)))
        .build()
        .into()
}

impl Client {
    pub fn call(&self, method: &str, path: &str, body: Option<&str>) -> Answer {
        self.call_with(method, path, body, &[])
    }
    pub fn call_with(&self, method: &str, path: &str, body: Option<&str>, headers: &[(&str, &str)]) -> Answer {
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if body.is_some() && !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.unwrap_or_default().as_bytes().to_vec()).expect("a good request");
        let mut response = agent().run(request).unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        let text = response.body_mut().read_to_string().unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        Answer { status: response.status().as_u16(), headers: response.headers().clone(), text }
    }
    pub fn get(&self, path: &str) -> Answer {
        self.call("GET", path, None)
    }
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.call("POST", path, Some(&body.to_string()))
    }
    /// Submits a modelled job; gives its id.
    pub fn submit(&self, spec: Value) -> u64 {
        self.post("/api/v1/jobs", &spec).ok()["job"].as_u64().expect("an id")
    }
    /// Asks until the answer fits, for at most ten seconds.
    pub fn until(&self, path: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            let answer = self.get(path).ok();
            if fits(&answer) {
                return answer;
            }
            assert!(Instant::now() < end, "{path} stayed at {answer}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A job of so many GPUs that runs so long.
pub fn job(gpus: u32, runtime_ms: u64) -> Value {
    json!({ "name": "t", "parts": [{ "gpus_total": gpus }], "limit_secs": 3600, "model": { "runtime_ms": runtime_ms } })
}
