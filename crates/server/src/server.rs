//! A server in one piece: the folder, the core's thread, the engines, HTTP. What `up` runs, and what tests start.

use crate::auth::Passes;
use crate::bug::{self, Entry};
use crate::clock::{Clock, Wall};
use crate::core::{Core, Parts, Shared, named, restore};
use crate::engines::Engines;
use crate::estate::Estate;
use crate::http::{self, App};
use crate::queue::{Queue, Seen};
use crate::store::{Batch, Folder, Journal, Kept, Readers, Snapshots};
use crate::trouble::Trouble;
use madang_centre::{Centre, Effect, Input, Report, Signed};
use madang_engine::{EngineReport, LocalEngine, Options};
use madang_model::{EngineKind, Founding, Time};
use madang_sim::Load;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::thread::JoinHandle;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};

/// Rows at the journal's end whose hashes are checked whenever it is opened; an audit checks all.
const CHECKED: u64 = 100_000;

/// Makes the generated load of a centre that stands; true for one just founded.
pub type Loads = fn(&Centre, bool) -> Vec<Load>;

/// What a server is made of.
pub struct Settings {
    /// The data folder.
    pub data: PathBuf,
    /// Where it answers; port 0 is any free one.
    pub listen: SocketAddr,
    /// What to found the centre as when the folder is new.
    pub founding: Founding,
    /// What to do right after the founding, as the centre itself.
    pub first: Vec<Input>,
    /// How this machine's processes are run; `None` for a server without real processes.
    pub local: Option<Options>,
    /// Generated load for modelled sites.
    pub loads: Loads,
    /// Where wall time comes from.
    pub wall: Wall,
    /// Bounds the journal to this many pages of 4 KiB, so that a test can fill the disk.
    pub most_pages: Option<u32>,
}

/// A server that runs.
pub struct Server {
    /// What its HTTP side works with.
    pub app: Arc<App>,
    /// Where it answers.
    pub address: SocketAddr,
    /// True when this start founded the centre.
    pub is_new: bool,
    /// Tells when the core has ended by itself.
    pub ended: Option<oneshot::Receiver<()>>,
    folder: Folder,
    core: JoinHandle<Result<(), Trouble>>,
    serving: tokio::task::JoinHandle<()>,
    stop: watch::Sender<bool>,
}

impl Server {
    /// Opens the folder, puts the centre together, and serves. Call it on a tokio runtime.
    pub async fn start(settings: Settings) -> Result<Server, Trouble> {
        let folder = Folder::take(&settings.data)?;
        let listener = listen(settings.listen).await?;
        let address = listener.local_addr().map_err(|error| unreachable_address(settings.listen, &error))?;
        let url = format!("http://{}", visible(address));
        folder.sign(&url)?;
        let Settings { local, founding, first, loads, wall, most_pages, .. } = settings;
        let mut journal = Journal::open(folder.path())?;
        journal.verify_last(CHECKED)?;
        if let Some(pages) = most_pages {
            journal.limit_pages(pages)?;
        }
        let snapshots = Snapshots::open(folder.path())?;
        let (mut centre, snapshot_at) = restore(&mut journal, &snapshots)?;
        let mut clock = Clock::new(wall, journal.head().at);
        let is_new = centre.founding().is_none();
        if is_new {
            found(&mut centre, &mut journal, clock.now(), (founding, first))?;
        }
        let loads = loads(&centre, is_new);
        let estate = Estate::new(centre.founding().cloned().ok_or_else(|| Trouble::new("the centre was not founded"))?);
        let shared = Arc::new(Shared::new(centre, journal.head()));
        let local = match local {
            Some(options) if estate.local_site().is_some() => Some(open_engine(&folder, options, &shared.queue)?),
            _ => None,
        };
        let engines = Engines::new(&estate.founding, local, Arc::clone(&shared.queue));
        let readers = Arc::new(Readers::open(folder.path())?);
        let passes = Passes::open(folder.path())?;
        let (stop, stopping) = watch::channel(false);
        let app = App::new(Arc::clone(&shared), Arc::new(estate), (readers, passes), url, stopping.clone());
        let app = Arc::new(app);
        let core = Core::new(Parts { shared, journal, snapshots, clock, engines, loads, snapshot_at });
        let (core, ended) = spawn(core)?;
        let serving = tokio::spawn(http::serve(listener, http::router(&app), stopping));
        Ok(Server { app, address, is_new, ended: Some(ended), folder, core, serving, stop })
    }

    /// The data folder.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Stops: no new requests, what was taken is answered, a snapshot is written. Jobs go on. What the core ended
    /// with, if it ended by itself, is the error.
    pub async fn stop(self) -> Result<(), Trouble> {
        self.stop.send_replace(true);
        if let Err(error) = self.serving.await {
            tracing::warn!("serving ended badly: {error}");
        }
        self.app.shared.queue.stop();
        let core = self.core;
        let joined = tokio::task::spawn_blocking(move || core.join()).await;
        match joined {
            Ok(Ok(done)) => done,
            _ => Err(Trouble::new("the core stopped on a bug; the log above says which")
                .hint("nothing that was answered is lost: start it again, and report the lines above")),
        }
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, Trouble> {
    TcpListener::bind(address).await.map_err(|error| unreachable_address(address, &error))
}

fn unreachable_address(address: SocketAddr, error: &std::io::Error) -> Trouble {
    Trouble::new(format!("failed to listen on {address}: {error}"))
        .hint("name another address with --listen; port 0 takes any free one")
}

/// An address that a browser on this machine can open.
fn visible(address: SocketAddr) -> SocketAddr {
    let mut visible = address;
    if address.ip().is_unspecified() {
        visible.set_ip(if address.is_ipv4() {
            std::net::Ipv4Addr::LOCALHOST.into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        });
    }
    visible
}

/// The first step of a new centre: founded, with its first people and projects, in one commit.
fn found(
    centre: &mut Centre,
    journal: &mut Journal,
    now: Time,
    (founding, first): (Founding, Vec<Input>),
) -> Result<(), Trouble> {
    let inputs: Vec<Signed> = [Input::Found(founding)].into_iter().chain(first).enumerate().map(numbered).collect();
    journal.append(&Batch { now, inputs: &inputs, blobs: &[] }, &[])?;
    let mut kept = Vec::new();
    let entry = Entry { seq: journal.head().seq, kinds: &bug::kinds(&inputs), is_replay: false, is_last: true };
    for effect in bug::caught(entry, || centre.step(now, inputs))? {
        match effect {
            Effect::Reply { answer: Err(refusal), .. } => {
                let fact = format!("failed to set the new centre up: {}", refusal.fact);
                return Err(Trouble::new(fact).hint(refusal.hint));
            }
            Effect::Keep(keep) => kept.push(keep),
            _ => {}
        }
    }
    journal.keep(&named(centre, journal.head().seq, kept))
}

/// With a ticket, so that a refusal is seen.
fn numbered((at, input): (usize, Input)) -> Signed {
    Signed { ticket: at as u64 + 1, ..Signed::own(input) }
}

fn open_engine(folder: &Folder, options: Options, queue: &Arc<Queue>) -> Result<LocalEngine, Trouble> {
    let (reports, seen) = std::sync::mpsc::channel();
    let dir = folder.path().join("engine");
    let engine = LocalEngine::open(&dir, options, reports).map_err(|error| {
        let cause = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
        Trouble::new(format!("{error}{cause}"))
    })?;
    let queue = Arc::clone(queue);
    let bridge = std::thread::Builder::new().name("reports".into()).spawn(move || pass_on(&seen, &queue));
    bridge.map_err(|error| Trouble::new(format!("failed to start the thread of reports: {error}")))?;
    Ok(engine)
}

/// Hands the local engine's reports to the core until the engine is closed.
fn pass_on(seen: &Receiver<EngineReport>, queue: &Queue) {
    while let Ok(report) = seen.recv() {
        queue.report(match report {
            EngineReport::Started { run, at } => Report::Started { run, at }.into(),
            EngineReport::Unknown { run } => Report::Unknown { run }.into(),
            EngineReport::Ended { run, at, outcome, peak_mib, cpu, note } => {
                Seen { report: Report::Ended { run, at, outcome }, note: Some(Kept::Note { run, note, peak_mib, cpu }) }
            }
        });
    }
}

/// A core's thread, and what is told when it ends.
type Spawned = (JoinHandle<Result<(), Trouble>>, oneshot::Receiver<()>);

fn spawn(core: Core) -> Result<Spawned, Trouble> {
    let (end, ended) = oneshot::channel();
    let work = move || {
        // Dropped last, whether the core ends well, on an error or on a bug: nobody is left waiting.
        let _end = End { shared: core.shared(), _told: end };
        let done = core.run();
        if let Err(error) = &done {
            tracing::error!("the server stops: {error}");
        }
        done
    };
    let thread = std::thread::Builder::new().name("core".into()).stack_size(16 << 20).spawn(work);
    let thread = thread.map_err(|error| Trouble::new(format!("failed to start the core's thread: {error}")))?;
    Ok((thread, ended))
}

/// Closes the core's queue and tells whoever waits for the core's end.
struct End {
    shared: Arc<Shared>,
    _told: oneshot::Sender<()>,
}

impl Drop for End {
    fn drop(&mut self) {
        self.shared.is_up.store(false, Ordering::Relaxed);
        self.shared.queue.close();
    }
}

/// True when a founding has a site of real processes.
pub fn has_local_site(founding: &Founding) -> bool {
    founding.sites.iter().any(|site| site.engine == EngineKind::Local)
}
