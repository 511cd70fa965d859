//! Servers and agents under test as processes that may be killed and paused, and a client of servers.
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Longer than anything here takes, on a loaded machine too.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A process of ours; killed when dropped.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `madang` with these words; its messages go to a file in the folder.
    pub fn start(folder: &Path, words: &[&str]) -> Process {
        std::fs::create_dir_all(folder).expect("the temporary folder is writable");
        let log = folder.join("stderr");
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&log);
        let mut command = Command::new(env!("CARGO_BIN_EXE_madang"));
        command.args(words).arg("--data").arg(folder).stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.stderr(file.expect("the temporary folder is writable")).spawn();
        Process { child: child.expect("the binary under test runs"), log }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).expect("it was alive");
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        eventually("it ends", || self.child.try_wait().expect("it is ours"))
    }

    /// What it wrote to standard error, in all its lives.
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A server.
pub struct Server {
    /// Its process.
    pub process: Process,
    folder: PathBuf,
    root: String,
}

impl Server {
    /// Starts one that takes agents' links at this address, and waits until it answers.
    pub fn start(folder: &Path, agents: SocketAddr, more: &[&str]) -> Server {
        drop(std::fs::remove_file(folder.join("server.json")));
        let centre = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/agents/centre.toml");
        let (centre, agents) = (centre.display().to_string(), agents.to_string());
        let words = ["up", "--listen", "127.0.0.1:0", "--centre", &centre, "--agents", &agents];
        let process = Process::start(folder, &[&words, more].concat());
        let root = eventually("the server answers", || {
            let file = std::fs::read_to_string(folder.join("server.json")).ok()?;
            let file: Value = serde_json::from_str(&file).ok()?;
            file["address"].as_str().map(str::to_owned)
        });
        Server { process, folder: folder.to_owned(), root }
    }

    /// As its administrator, once it leads.
    pub fn client(&self) -> Client {
        let token = eventually("the server leads", || std::fs::read_to_string(self.folder.join("admin.token")).ok());
        let config = ureq::Agent::config_builder().http_status_as_error(false);
        let agent = config.timeout_global(Some(Duration::from_secs(5))).build().into();
        Client { root: self.root.clone(), token: token.trim().to_owned(), agent }
    }
}

/// Starts an agent that dials there.
pub fn agent(folder: &Path, site: &str, to: &str, invitation: Option<&str>) -> Process {
    let mut words = vec!["agent", "--site", site, "--to", to];
    words.extend(invitation.map(|text| ["--invitation", text]).into_iter().flatten());
    Process::start(folder, &words)
}

/// A client of one server.
#[derive(Clone)]
pub struct Client {
    root: String,
    token: String,
    agent: ureq::Agent,
}

impl Client {
    /// `None` when no answer came, whatever may have happened.
    pub fn try_post(&self, path: &str, key: &str, body: &Value) -> Option<(u16, Value)> {
        let request = self.agent.post(format!("{}/api/v1{path}", self.root));
        let request = request.header("authorization", format!("Bearer {}", self.token));
        let answer = request.header("idempotency-key", key).send_json(body).ok()?;
        let status = answer.status().as_u16();
        Some((status, answer.into_body().read_json().ok()?))
    }

    /// The answer to something that must be done.
    pub fn post(&self, path: &str, body: &Value) -> Value {
        let request = self.agent.post(format!("{}/api/v1{path}", self.root));
        let answer = request.header("authorization", format!("Bearer {}", self.token)).send_json(body);
        let answer = answer.unwrap_or_else(|error| panic!("{path}: {error}"));
        let status = answer.status().as_u16();
        let body: Value = answer.into_body().read_json().expect("the server speaks JSON");
        assert!((200..300).contains(&status), "{path}: {status} {body}");
        body
    }

    /// The answer to a question that must be answered.
    pub fn get(&self, path: &str) -> Value {
        let request = self.agent.get(format!("{}/api/v1{path}", self.root));
        let answer = request.header("authorization", format!("Bearer {}", self.token)).call();
        let answer = answer.unwrap_or_else(|error| panic!("{path}: {error}"));
        answer.into_body().read_json().expect("the server speaks JSON")
    }

    /// Revokes a certificate or an invitation.
    pub fn revoke(&self, number: &Value) {
        let request = self.agent.delete(format!("{}/api/v1/agents/{number}", self.root));
        let answer = request.header("authorization", format!("Bearer {}", self.token)).call();
        assert_eq!(answer.expect("an answer").status().as_u16(), 204);
    }

    /// An invitation for a site.
    pub fn invite(&self, site: &str) -> String {
        let made = self.post("/agents/invitations", &serde_json::json!({ "site": site }));
        made["invitation"].as_str().expect("an invitation").to_owned()
    }

    /// Waits until a job looks so, and gives it.
    pub fn job_until(&self, job: u64, looks: impl Fn(&Value) -> bool) -> Value {
        eventually("the job comes to look so", || Some(self.get(&format!("/jobs/{job}"))).filter(|job| looks(job)))
    }

    /// Waits until a site's agent is linked, or is not.
    pub fn until_linked(&self, site: &str, is_linked: bool) {
        eventually("the site's agent is linked, or not", || {
            let agents = self.get("/agents");
            let mut agents = agents["items"].as_array().expect("a list").iter();
            let linked = agents.any(|agent| agent["site"] == site && agent["state"] == "linked");
            (linked == is_linked).then_some(())
        });
    }
}

/// An address that nobody listens at.
pub fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port")
}

/// A folder of a test's own.
pub fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("madang-agents-{name}-{}", std::process::id()));
    drop(std::fs::remove_dir_all(&folder));
    std::fs::create_dir_all(folder.join("work")).expect("the temporary folder is writable");
    folder
}

/// Waits for what has to come.
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "in {} s it never came to be that {what}", PATIENCE.as_secs());
        std::thread::sleep(Duration::from_millis(20));
    }
}
