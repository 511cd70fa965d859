//! The promises that all engines make, kept by a local engine behind an agent, and by a real Slurm behind one where that is
//! installed: each order and each report crosses a link of mutual TLS on this machine.
#[path = "../../engine/tests/slurm/cluster.rs"]
mod cluster;
mod common;
#[path = "../../engine/tests/contract/mod.rs"]
mod promises;

use cluster::Cluster;
use common::{Memory, site};
use madang_agent::{Desk, Far, Hub, Options, Register, WorksKind};
use madang_engine::{Engine, EngineReport, Order};
use madang_model::{RunId, SlurmSite, Span, StopCause};
use promises::{CASES, Place, eventually, try_all};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

fn main() -> ExitCode {
    // The nursery forks, so it is entered before anything starts a thread.
    if std::env::args().nth(1).as_deref() == Some("nursery") {
        madang_engine::nursery_main();
    }
    // So does the shepherd of a run on a node of Slurm's.
    if std::env::args().nth(1).as_deref() == Some("slurm-run") {
        let words: Vec<String> = std::env::args().skip(2).collect();
        madang_engine::slurm_run_main(&words);
    }
    if std::env::args().any(|argument| argument == "--list") {
        return ExitCode::SUCCESS;
    }
    let here = Behind { works: |_: &Path| local(), node: "here", known: Mutex::default() };
    let mut failed = try_all(&here, CASES, 4);
    match Cluster::start("agent") {
        None => println!("{}", cluster::MISSING),
        Some(cluster) => {
            println!("behind an agent, on Slurm:");
            let conf = cluster.conf().display().to_string();
            let works = |dir: &Path| slurm(&conf, dir);
            failed.extend(try_all(&Behind { works, node: "n1", known: Mutex::default() }, CASES, 4));
        }
    }
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn helper() -> PathBuf {
    std::env::current_exe().expect("it runs")
}

fn local() -> WorksKind {
    WorksKind::Local(madang_engine::Options { helper: helper(), ..madang_engine::Options::default() })
}

fn slurm(conf: &str, dir: &Path) -> WorksKind {
    let site = SlurmSite {
        partition: "gpu".to_owned(),
        spool: dir.join("spool").display().to_string(),
        conf: Some(conf.to_owned()),
        commands: None,
        account: None,
        qos: None,
        carry: true,
    };
    WorksKind::Slurm { site, helper: helper(), extra_env: Vec::new() }
}

/// Agents with works of one kind, and what the store of each one's server knows.
struct Behind<W> {
    works: W,
    node: &'static str,
    known: Mutex<BTreeMap<PathBuf, Memory>>,
}

impl<W: Fn(&Path) -> WorksKind + Sync> Place for Behind<W> {
    fn open(&self, dir: &Path, reports: Sender<EngineReport>) -> Box<dyn Engine> {
        let memory = self.known.lock().expect("nobody panics").entry(dir.to_owned()).or_default().clone();
        let register = Arc::new(Register::open(Box::new(memory)).expect("memory does not fail"));
        let desk = Desk::open(
            site("busan", self.node),
            register.next_term().expect("memory does not fail"),
            reports,
            Box::new(|_| {}),
        );
        let runtime = Runtime::new().expect("threads");
        let (_, invitation) = register.invite("busan", "otto", Duration::from_secs(60)).expect("no fault");
        let hub = Hub::new(register, Box::new(|| true));
        hub.lead(vec![Arc::clone(&desk)]);
        let (stop, stopping) = watch::channel(false);
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let options = Options {
            site: "busan".to_owned(),
            servers: vec![listener.local_addr().expect("bound").to_string()],
            dir: dir.join("agent"),
            invitation: Some(invitation),
            works: (self.works)(dir),
            host: "here".to_owned(),
        };
        runtime.spawn(Arc::clone(&hub).serve(listener, stopping));
        let (end, ends) = oneshot::channel::<()>();
        let agent = runtime.spawn(async move {
            madang_agent::run(options, async { drop(ends.await) }).await.expect("it serves until it is told to stop");
        });
        eventually(|| desk.standing().card);
        Box::new(Linked { far: Far(desk), runtime: Some(runtime), ends: Some((stop, end, agent)) })
    }

    fn node(&self) -> &str {
        self.node
    }
}

/// The core's side of it all; goes with the server and the agent.
struct Linked {
    far: Far,
    runtime: Option<Runtime>,
    ends: Option<(watch::Sender<bool>, oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Drop for Linked {
    fn drop(&mut self) {
        let (Some(runtime), Some((stop, end, agent))) = (self.runtime.take(), self.ends.take()) else { return };
        stop.send_replace(true);
        drop(end);
        runtime.block_on(agent).expect("the agent does not panic");
        runtime.shutdown_timeout(Duration::from_secs(5));
    }
}

impl Engine for Linked {
    fn known(&self) -> Vec<RunId> {
        self.far.known()
    }
    fn start(&mut self, order: Order) {
        self.far.start(order);
    }
    fn stop(&mut self, run: RunId, cause: StopCause) {
        self.far.stop(run, cause);
    }
    fn signal(&mut self, run: RunId, signal: i32, shell_only: bool) {
        self.far.signal(run, signal, shell_only);
    }
    fn set_limit(&mut self, run: RunId, limit: Span) {
        self.far.set_limit(run, limit);
    }
    fn release(&mut self, run: RunId, exit: i32) {
        self.far.release(run, exit);
    }
    fn confirm(&mut self, run: RunId) {
        self.far.confirm(run);
    }
    fn forget(&mut self, run: RunId) {
        self.far.forget(run);
    }
}
