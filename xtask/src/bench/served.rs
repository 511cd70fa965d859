//! The server under test: started on a folder of its own, asked, killed, looked at.
use super::Bench;
use super::client::Connection;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running `madang up`.
pub struct Served {
    child: Child,
    /// Host and port.
    pub address: String,
    /// Its data folder.
    pub data: PathBuf,
    /// From the start of the process to its first good answer.
    pub ready: Duration,
}

impl Served {
    /// Starts on a folder under the scratch folder, with more arguments, and waits until it serves.
    pub fn start(bench: &Bench, name: &str, more: &[&str]) -> Result<Served> {
        let data = bench.scratch.join(name);
        let begun = Instant::now();
        let mut command = Command::new(&bench.madang);
        command.args(["up", "--listen", "127.0.0.1:0", "--data"]).arg(&data).args(more).current_dir(&bench.root);
        let log = bench.scratch.join(format!("{name}.log"));
        command.stdout(Stdio::piped()).stderr(std::fs::File::create(&log).context("failed to make a log")?);
        let mut child = command.spawn().context("failed to start madang")?;
        let output = child.stdout.take().context("its output is piped")?;
        let mut lines = BufReader::new(output).lines();
        let address = lines.by_ref().map_while(Result::ok).find_map(|line| host_of(&line));
        // The rest is read so that the server never waits for us.
        std::thread::spawn(move || lines.for_each(drop));
        let Some(address) = address else {
            child.kill().ok();
            child.wait().ok();
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            bail!("madang up ended without saying where it serves, but: {}", said.trim());
        };
        let mut served = Served { child, address, data, ready: Duration::ZERO };
        while served
            .connect()
            .and_then(|mut connection| connection.request("GET", "/readyz", ""))
            .map(|(status, _)| status)
            .unwrap_or(0)
            != 200
        {
            if begun.elapsed() > Duration::from_secs(300) {
                bail!("madang up is not ready after five minutes");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        served.ready = begun.elapsed();
        Ok(served)
    }

    /// Its process.
    pub fn id(&self) -> String {
        self.child.id().to_string()
    }

    /// Where its administrator's token is.
    pub fn token(&self) -> PathBuf {
        self.data.join("admin.token")
    }

    /// A connection as its administrator.
    pub fn connect(&self) -> Result<Connection> {
        let path = self.token();
        let token = std::fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
        Connection::open(&self.address, token.trim())
    }

    /// Waits until so many jobs have ended since opening; gives how long that took.
    pub fn wait_ended(&self, count: u64, patience: Duration) -> Result<Duration> {
        let begun = Instant::now();
        let mut connection = self.connect()?;
        loop {
            let overview: Value = connection.get("/api/v1/overview")?;
            let ended = overview["ended"].as_u64().unwrap_or(0);
            if ended >= count {
                return Ok(begun.elapsed());
            }
            if begun.elapsed() > patience {
                bail!("only {ended} of {count} jobs ended within {} s", patience.as_secs());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Memory in use, in MiB.
    pub fn memory_mib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|rest| rest.split_whitespace().next()).and_then(|kib| kib.parse::<u64>().ok());
        kib.unwrap_or(0) >> 10
    }

    /// `kill -9`; the folder stays.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.end();
    }
}

/// The host and port of the first address in a line.
fn host_of(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("http://")?;
    Some(rest.split(['/', ' ']).next()?.to_owned())
}

/// The size of everything under a folder, in MiB.
pub fn size_mib(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(data) if data.is_file() => data.len(),
        Ok(data) if data.is_dir() => size_mib(&entry.path()) << 20,
        _ => 0,
    };
    entries.filter_map(Result::ok).map(size).sum::<u64>() >> 20
}
