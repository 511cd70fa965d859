//! An HTTP client for measuring: keep-alive connections, one request after the other on each, nothing parsed twice.
//!
//! It runs as its own process (`xtask bench-client`), so that it shares nothing with the server but the machine.
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What many requests came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Answered {
    /// Answered otherwise than 2xx.
    pub other: u64,
    /// How long all took.
    pub secs: f64,
    /// Half were answered within.
    pub p50_ms: f64,
    /// All but one in a hundred were answered within.
    pub p99_ms: f64,
}

/// One connection.
pub struct Connection {
    stream: BufReader<TcpStream>,
    token: String,
}

impl Connection {
    /// Connects.
    pub fn open(address: &str, token: &str) -> Result<Connection> {
        let stream = TcpStream::connect(address).with_context(|| format!("failed to connect to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(Connection { stream: BufReader::new(stream), token: token.to_owned() })
    }

    /// One request and its answer: status and body.
    pub fn request(&mut self, method: &str, path: &str, body: &str) -> Result<(u16, Vec<u8>)> {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.token,
            body.len()
        );
        self.stream.get_mut().write_all(request.as_bytes())?;
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.with_context(|| format!("the answer begins with {line:?}"))?;
        let mut length = 0;
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            let header = line.trim_end().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok((status, body))
    }

    /// The answer to a question that must be answered well.
    pub fn get(&mut self, path: &str) -> Result<Value> {
        let (status, body) = self.request("GET", path, "")?;
        if status != 200 {
            bail!("GET {path} got {status}: {}", String::from_utf8_lossy(&body));
        }
        Ok(serde_json::from_slice(&body)?)
    }
}

/// Has a process of its own post a body many times over many connections.
pub fn post_many(address: &str, token: &Path, body: &Value, count: u64, connections: u64) -> Result<Answered> {
    let me = std::env::current_exe().context("failed to find this program")?;
    let mut command = Command::new(me);
    command.args(["bench-client", address]).arg(token).arg(body.to_string());
    let output = command.args([count.to_string(), connections.to_string()]).output()?;
    if !output.status.success() {
        bail!("the client failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let said: Value = serde_json::from_slice(&output.stdout).context("failed to read what the client measured")?;
    let figure = |name: &str| said[name].as_f64().unwrap_or(0.0);
    let answered = Answered {
        other: said["other"].as_u64().unwrap_or(0),
        secs: figure("secs"),
        p50_ms: figure("p50_ms"),
        p99_ms: figure("p99_ms"),
    };
    if answered.other > 0 {
        bail!("{} of {count} requests were refused, the first so: {}", answered.other, said["first"]);
    }
    Ok(answered)
}

/// `xtask bench-client ADDRESS TOKEN_FILE BODY COUNT CONNECTIONS`.
pub fn client(args: &[String]) -> Result<()> {
    let [address, token, body, count, connections] = args else { bail!("wants five arguments") };
    let token = std::fs::read_to_string(token).with_context(|| format!("failed to read {token}"))?;
    let (count, connections): (u64, u64) = (count.parse()?, connections.parse()?);
    let left = AtomicU64::new(count);
    let begun = Instant::now();
    let work = || -> Result<(Vec<u32>, u64, String)> {
        let mut connection = Connection::open(address, token.trim())?;
        let (mut times, mut other, mut first) = (Vec::new(), 0, String::new());
        while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
            let asked = Instant::now();
            let (status, answer) = connection.request("POST", "/api/v1/jobs", body)?;
            if status / 100 == 2 {
                times.push(u32::try_from(asked.elapsed().as_micros()).unwrap_or(u32::MAX));
            } else {
                other += 1;
                first = String::from_utf8_lossy(&answer).into_owned();
            }
        }
        Ok((times, other, first))
    };
    let threads: Vec<Result<(Vec<u32>, u64, String)>> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..connections).map(|_| scope.spawn(work)).collect();
        handles.into_iter().map(|handle| handle.join().expect("a client thread does not panic")).collect()
    });
    let secs = begun.elapsed().as_secs_f64();
    let (mut times, mut other, mut first) = (Vec::new(), 0, String::new());
    for thread in threads {
        let (some, bad, said) = thread?;
        times.extend(some);
        other += bad;
        if !said.is_empty() {
            first = said;
        }
    }
    times.sort_unstable();
    let at = |part: usize| times.get(times.len().saturating_sub(1) * part / 100).map_or(0.0, |us| f64::from(*us) / 1e3);
    let (p50_ms, p99_ms) = (at(50), at(99));
    println!("{}", json!({"other": other, "secs": secs, "p50_ms": p50_ms, "p99_ms": p99_ms, "first": first}));
    Ok(())
}
