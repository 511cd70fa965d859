//! The server under test as a child process, and a client that may lose it at any moment.
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A server on a port of its own.
pub struct Server {
    child: Child,
    client: Client,
}

impl Server {
    /// Start on this data folder and wait until it serves.
    pub fn start(data: &Path) -> Server {
        let mut child = Command::new(env!("CARGO_BIN_EXE_madang"))
            .args(["up", "--listen", "127.0.0.1:0", "--pretend-nodes", "4", "--pretend-gpus", "8", "--data"])
            .arg(data)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary under test runs");
        let out = BufReader::new(child.stdout.take().expect("its output is piped"));
        let mut lines = out.lines();
        let root = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let at = line.find("http://")?;
            let end = line[at + 7..].find(['/', ' ']).map_or(line.len(), |end| at + 7 + end);
            Some(line[at..end].to_string())
        });
        std::thread::spawn(move || lines.for_each(drop));
        let token = std::fs::read_to_string(data.join("admin.token")).expect("made at first start");
        let config = ureq::Agent::config_builder().http_status_as_error(false);
        let agent = config.timeout_global(Some(Duration::from_secs(5))).build().into();
        let client = Client { root: root.expect("`up` prints its address"), token: token.trim().into(), agent };
        Server { child, client }
    }

    /// As a client.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().expect("it was alive");
        self.child.wait().expect("it is ours");
    }

    /// In good order.
    pub fn stop(mut self) {
        let pid = nix::unistd::Pid::from_raw(self.child.id() as i32);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("it was alive");
        let status = self.child.wait().expect("it is ours");
        assert!(status.success(), "the server stopped with {status}");
    }
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
    pub fn post(&self, path: &str, key: &str, body: &Value) -> Option<(u16, Value)> {
        let request = self.agent.post(format!("{}{path}", self.root));
        let request = request.header("authorization", format!("Bearer {}", self.token));
        let answer = request.header("idempotency-key", key).send_json(body).ok()?;
        let status = answer.status().as_u16();
        let body = answer.into_body().read_json().ok()?;
        Some((status, body))
    }

    /// The answer to a question that must be answered.
    pub fn get(&self, path: &str) -> Value {
        let request = self.agent.get(format!("{}{path}", self.root));
        let answer = request.header("authorization", format!("Bearer {}", self.token)).call();
        let answer = answer.unwrap_or_else(|error| panic!("{path}: {error}"));
        answer.into_body().read_json().expect("the server speaks JSON")
    }
}
