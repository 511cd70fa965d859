//! Measures the server alone: submissions accepted per second over HTTP with the durable journal, and how long a
//! restart takes. `cargo run --release -p madang-server --example submissions -- [submissions] [connections]`, with
//! `MADANG_STORE=postgres://USER@HOST/EMPTY_DATABASE` for a store there.
//!
//! The clients run in the same process and share its processors, as they would on one machine.

use madang_centre::Input;
use madang_charter::Machine;
use madang_model::{Role, Span};
use madang_server::server::{Server, Settings};
use madang_server::store::Place;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1).filter_map(|argument| argument.parse::<usize>().ok());
    let (count, connections) = (arguments.next().unwrap_or(50_000), arguments.next().unwrap_or(32));
    let dir = std::env::temp_dir().join(format!("madang-bench-{}", std::process::id()));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let server = runtime.block_on(Server::start(settings(&dir)?))?;
    let (address, token) = (server.address, token(&server)?);
    let began = Instant::now();
    let each = count / connections;
    let threads: Vec<_> = (0..connections)
        .map(|_| {
            let token = token.clone();
            std::thread::spawn(move || client(address, &token, each).unwrap_or_else(|error| panic!("{error}")))
        })
        .collect();
    let mut times: Vec<u128> =
        threads.into_iter().flat_map(|thread| thread.join().expect("a client that ends")).collect();
    let passed = began.elapsed();
    times.sort_unstable();
    let at = |share: usize| times[(times.len() - 1) * share / 100];
    println!(
        "submissions       {} in {:.2} s: {:.0}/s",
        times.len(),
        passed.as_secs_f64(),
        times.len() as f64 / passed.as_secs_f64()
    );
    println!("answer, us        p50 {}, p99 {}, most {}", at(50), at(99), at(100));
    let began = Instant::now();
    runtime.block_on(server.stop())?;
    println!("clean stop        {:.2} s, with a snapshot", began.elapsed().as_secs_f64());
    let began = Instant::now();
    let server = runtime.block_on(Server::start(settings(&dir)?))?;
    println!("restart           {:.2} s, from that snapshot", began.elapsed().as_secs_f64());
    runtime.block_on(server.stop())?;
    if std::env::var_os("MADANG_STORE").is_none() {
        std::fs::remove_dir_all(dir.join("snapshots"))?;
        let began = Instant::now();
        let server = runtime.block_on(Server::start(settings(&dir)?))?;
        println!("restart           {:.2} s, from the first input", began.elapsed().as_secs_f64());
        runtime.block_on(server.stop())?;
    }
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}

fn settings(dir: &Path) -> Result<Settings, Box<dyn std::error::Error>> {
    let machine = Machine {
        host: "here".into(),
        cpus: 1,
        memory_mib: 1_024,
        gpus: Vec::new(),
        pretend: false,
        pretend_nodes: 1,
        numa: Vec::new(),
    };
    let founding = madang_charter::load(madang_server::demo::CENTRE, "korea-2025.toml", &machine)?;
    let mut first = madang_server::demo::first(&founding, "bench");
    first.push(Input::User { name: "bench".into(), role: Role::Admin });
    Ok(Settings {
        store: std::env::var("MADANG_STORE").map_or(Ok(Place::Folder(None)), |url| Place::parse(&url))?,
        data: dir.to_owned(),
        listen: ([127, 0, 0, 1], 0).into(),
        founding,
        first,
        local: None,
        loads: |_, _| Vec::new(),
        wall: Box::new(madang_server::clock::system),
        metrics: None,
        agents: None,
    })
}

fn token(server: &Server) -> Result<String, Box<dyn std::error::Error>> {
    let now = server.app.now();
    let (_, secret) = server.app.passes.make_token(now, "bench", "bench", now + Span::from_days(1))?;
    Ok(secret.reveal().to_owned())
}

/// Submits one after the other on one connection; gives the time of each in microseconds.
fn client(address: SocketAddr, token: &str, count: usize) -> std::io::Result<Vec<u128>> {
    let mut stream = BufReader::new(TcpStream::connect(address)?);
    stream.get_ref().set_nodelay(true)?;
    let body = r#"{"name":"bench","project":"demo-foundation","partition":"naic","parts":[{"gpus_total":8}],"limit_secs":3600,"model":{"runtime_ms":1800000}}"#;
    let request = format!(
        "POST /api/v1/jobs HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let began = Instant::now();
        stream.get_mut().write_all(request.as_bytes())?;
        let (mut line, mut length) = (String::new(), 0);
        stream.read_line(&mut line)?;
        if !line.contains(" 201 ") {
            return Err(std::io::Error::other(line));
        }
        loop {
            line.clear();
            stream.read_line(&mut line)?;
            match line.trim_end().split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.parse().unwrap_or(0)
                }
                Some(_) => {}
                None => break,
            }
        }
        stream.read_exact(&mut vec![0; length])?;
        times.push(began.elapsed().as_micros());
    }
    Ok(times)
}
