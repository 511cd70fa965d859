//! Jobs per second from the order to the report of the end: `cargo run --release --example throughput [JOBS [AT_ONCE]]`.
//!
//! Each job is a shell script of one line, run with everything a real one has: folder, output file, environment, limits,
//! records of its start and end.
use madang_engine::{Engine, EngineReport, LaunchSpec, LocalEngine, NodeShare, Options, Order, PartInfo, nursery_main};
use madang_model::{JobId, Outcome, RunId, Span};
use std::sync::mpsc::channel;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let first = args.next();
    if first.as_deref() == Some("nursery") {
        nursery_main();
    }
    let jobs: u64 = first.map_or(Ok(3000), |text| text.parse())?;
    let at_once: u64 = args.next().map_or(Ok(8), |text| text.parse())?;
    let dir = std::env::temp_dir().join(format!("madang-throughput-{}", std::process::id()));
    let (reports, received) = channel();
    let options = Options { helper: std::env::current_exe()?, ..Options::default() };
    let mut engine = LocalEngine::open(&dir, options, reports)?;
    let begun = Instant::now();
    let (mut sent, mut ended) = (0, 0);
    while ended < jobs {
        while sent < jobs && sent < ended + at_once {
            sent += 1;
            engine.start(order(sent, &dir.display().to_string()));
        }
        if let EngineReport::Ended { run, outcome, note, .. } = received.recv()? {
            assert_eq!(outcome, Outcome::Completed, "{run} {note}");
            engine.forget(run);
            ended += 1;
        }
    }
    let secs = begun.elapsed().as_secs_f64();
    println!(
        "{jobs} jobs, {at_once} at once: {:.0} jobs/s, {:.2} ms each",
        jobs as f64 / secs,
        secs * 1e3 / jobs as f64
    );
    drop(engine);
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}

fn order(number: u64, cwd: &str) -> Order {
    let node = NodeShare { name: "here".to_owned(), cpus: 1, memory_mib: 1000, ..NodeShare::default() };
    Order {
        run: RunId { job: JobId::new(number), attempt: 1 },
        spec: LaunchSpec {
            script: "#!/bin/sh\nexec /bin/true\n".to_owned(),
            env: std::env::vars().collect(),
            cwd: cwd.to_owned(),
            ..LaunchSpec::default()
        },
        job_name: "quick".to_owned(),
        user_name: "user".to_owned(),
        project: "project".to_owned(),
        partition: "here".to_owned(),
        qos: "normal".to_owned(),
        comment: String::new(),
        cluster: "here".to_owned(),
        nodes: vec![node],
        parts: vec![PartInfo::default()],
        limit: Span::from_mins(10),
        warning: None,
        array: None,
        restart_count: 0,
        spares: 0,
        sizes: None,
        resized_from: 0,
        grace: Span::from_secs(30),
    }
}
