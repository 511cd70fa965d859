//! Servers under test as child processes that may be killed and paused, and a client that tries one after another.
use nix::sys::signal::Signal;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to answer after its start.
const START: Duration = Duration::from_secs(30);

/// A server on a port of its own.
pub struct Server {
    child: Child,
    folder: PathBuf,
    /// Where it answers.
    pub root: String,
}

/// How a server is started.
#[derive(Clone, Copy)]
pub struct Start<'a> {
    /// Its data folder.
    pub folder: &'a Path,
    /// The store.
    pub store: &'a str,
    /// The centre file; this machine alone without.
    pub centre: Option<&'a Path>,
    /// Where it answers, and the network namespace it is in.
    pub within: Option<(&'a str, &'a str)>,
}

impl Server {
    /// Starts one and waits until it answers.
    pub fn start(start: Start<'_>) -> Server {
        let Start { folder, store, centre, within } = start;
        drop(std::fs::remove_file(folder.join("server.json")));
        std::fs::create_dir_all(folder).expect("the temporary folder is writable");
        let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("stderr"));
        let binary = env!("CARGO_BIN_EXE_madang");
        let mut command = Command::new(if within.is_some() { "ip" } else { binary });
        if let Some((namespace, _)) = within {
            command.args(["netns", "exec", namespace, binary]);
        }
        let listen = within.map_or("127.0.0.1:0", |(_, listen)| listen);
        command.args(["up", "--listen", listen, "--store", store]);
        command.args(centre.map(|centre| ["--centre".as_ref(), centre.as_os_str()]).into_iter().flatten());
        command.arg("--data").arg(folder).stdout(Stdio::null());
        let child = command.stderr(log.expect("the temporary folder is writable")).spawn();
        let child = child.expect("the binary under test runs");
        let deadline = Instant::now() + START;
        let mut server = Server { child, folder: folder.to_owned(), root: String::new() };
        loop {
            let text = std::fs::read_to_string(folder.join("server.json")).unwrap_or_default();
            if let Ok(file) = serde_json::from_str::<Value>(&text) {
                server.root = file["address"].as_str().expect("an address").to_owned();
                return server;
            }
            assert!(Instant::now() < deadline, "it does not start: {}", server.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).expect("a process id"));
        nix::sys::signal::kill(pid, signal).expect("it was alive");
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + START;
        loop {
            if let Some(status) = self.child.try_wait().expect("it is ours") {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end: {}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What it wrote to standard error, in all its lives.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.folder.join("stderr")).unwrap_or_default()
    }

    /// The administrator's token, once it leads.
    pub fn token(&self) -> String {
        let deadline = Instant::now() + START;
        loop {
            if let Ok(token) = std::fs::read_to_string(self.folder.join("admin.token")) {
                return token.trim().to_owned();
            }
            assert!(Instant::now() < deadline, "it does not come to lead: {}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Whoever asks, with a token and little patience.
#[derive(Clone)]
pub struct Client {
    token: String,
    agent: ureq::Agent,
}

impl Client {
    /// Asks with this token.
    pub fn new(token: &str) -> Client {
        let config = ureq::Agent::config_builder().http_status_as_error(false);
        let agent = config.timeout_global(Some(Duration::from_secs(1))).build().into();
        Client { token: token.to_owned(), agent }
    }

    /// `None` when no answer came, whatever may have happened.
    pub fn post(&self, url: &str, key: &str, body: &Value) -> Option<(u16, Value)> {
        let request = self.agent.post(url).header("authorization", format!("Bearer {}", self.token));
        let answer = request.header("idempotency-key", key).send_json(body).ok()?;
        let status = answer.status().as_u16();
        Some((status, answer.into_body().read_json().ok()?))
    }

    /// The status and the text of an answer; `None` when none came.
    pub fn get(&self, url: &str) -> Option<(u16, String)> {
        let answer = self.agent.get(url).header("authorization", format!("Bearer {}", self.token)).call().ok()?;
        let status = answer.status().as_u16();
        Some((status, answer.into_body().read_to_string().ok()?))
    }

    /// The answer to a question that must be answered.
    pub fn ask(&self, url: &str) -> Value {
        let (status, text) = self.get(url).unwrap_or_else(|| panic!("{url} does not answer"));
        assert_eq!(status, 200, "{url}: {text}");
        serde_json::from_str(&text).expect("the server speaks JSON")
    }
}
