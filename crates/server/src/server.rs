//! A server in one piece: the folder, the core's thread, the engines, HTTP. What `up` runs, and what tests start.

use crate::bug::{self, Entry};
use crate::clock::{Clock, Wall};
use crate::core::{Core, Parts, Restored, Shared, named, restore};
use crate::engines::{Engines, Real};
use crate::estate::Estate;
use crate::follow::{Follower, Stood};
use crate::http::{self, App};
use crate::queue::{Queue, Seen};
use crate::store::{self, Batch, Folder, Journal, Kept, Place, Snapshots, Store, pg};
use crate::trouble::Trouble;
use madang_agent::{Desk, Far, Hub, Register, Site as Served};
use madang_centre::{Centre, Effect, Input, Report, Signed};
use madang_engine::{Engine, EngineReport, Expected, LocalEngine, Options, SlurmEngine, SlurmOptions};
use madang_model::{EngineKind, Founding, Health, Node, Site, SiteId, SlurmSite, Span, Time};
use madang_sim::Load;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender};
use std::thread::JoinHandle;
use std::time::Duration;
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
    /// Where the journal, snapshots, projections and tokens are.
    pub store: Place,
    /// Where it answers; port 0 is any free one.
    pub listen: SocketAddr,
    /// Where it answers metrics and probes without sign-in, if anywhere.
    pub metrics: Option<SocketAddr>,
    /// Where it takes the links of sites' agents, if anywhere.
    pub agents: Option<SocketAddr>,
    /// What to found the centre as when the folder is new.
    pub founding: Founding,
    /// What to do right after the founding, as the centre itself.
    pub first: Vec<Input>,
    /// How real processes are run, here and by way of Slurm; `None` for a server without any.
    pub local: Option<Options>,
    /// Generated load for modelled sites.
    pub loads: Loads,
    /// Where wall time comes from.
    pub wall: Wall,
}

/// A server that runs.
pub struct Server {
    /// What its HTTP side works with.
    pub app: Arc<App>,
    /// Where it answers.
    pub address: SocketAddr,
    /// True when this start founded the centre.
    pub is_new: bool,
    /// True once this server leads: at once, unless another one does.
    pub leads: watch::Receiver<bool>,
    /// Tells when the core has ended by itself.
    pub ended: Option<oneshot::Receiver<()>>,
    folder: Folder,
    core: JoinHandle<Result<(), Trouble>>,
    serving: tokio::task::JoinHandle<()>,
    /// Where metrics are answered without sign-in.
    pub scraped: Option<SocketAddr>,
    /// Where agents link.
    pub linked: Option<SocketAddr>,
    stop: watch::Sender<bool>,
}

impl Server {
    /// Opens the folder, puts the centre together, and serves. Call it on a tokio runtime.
    pub async fn start(settings: Settings) -> Result<Server, Trouble> {
        let folder = Folder::take(&settings.data)?;
        let listener = listen(settings.listen).await?;
        let (scraping, scraped) = listen_if_asked(settings.metrics).await?;
        let (linking, linked) = listen_if_asked(settings.agents).await?;
        let address = listener.local_addr().map_err(|error| unreachable_address(settings.listen, &error))?;
        let url = format!("http://{}", visible(address));
        folder.sign(&url)?;
        let Settings { store: place, local, founding, first, loads, wall, .. } = settings;
        let mut store = Store::open(&place, &folder, &url)?;
        store.journal.verify_last(CHECKED)?;
        let began = std::time::Instant::now();
        let (mut restored, leads) = stand(&mut store).await?;
        let (entry, millis) = (restored.head.seq, began.elapsed().as_millis() as u64);
        let replayed = restored.head.inputs - restored.snapshot_at;
        tracing::info!(entry, replayed, millis, leads, "the centre is restored");
        let mut clock = Clock::new(wall, restored.head.at);
        let is_new = restored.centre.founding().is_none();
        if is_new {
            found(&mut restored.centre, &mut store.journal, clock.now(), (founding, first))?;
            restored.head = store.journal.head();
        }
        let Restored { centre, head, snapshot_at, keeps } = restored;
        let estate = Estate::new(centre.founding().cloned().ok_or_else(|| Trouble::new("the centre was not founded"))?);
        let estate = Arc::new(estate);
        let Store { journal, snapshots, readers, passes, agents, lease } = store;
        let (readers, passes) = (Arc::new(readers), Arc::new(passes));
        let hub = hub(agents, lease.clone());
        let shared = Arc::new(Shared::new(centre, head, lease.clone()));
        let lead =
            Lead { dir: folder.path().to_owned(), identity: folder.identity()?, place, local, loads, is_new, hub };
        let (stop, stopping) = watch::channel(false);
        let kept = (readers, Arc::clone(&passes), Arc::clone(&lead.hub));
        let app = Arc::new(App::new(Arc::clone(&shared), Arc::clone(&estate), kept, url, stopping.clone()));
        let parts = Unled { shared, estate, journal, snapshots, clock, snapshot_at };
        let (leading, led) = watch::channel(leads);
        let role = match (leads, lease) {
            (false, Some(lease)) => {
                *parts.shared.active.lock() = Some(lease.active()?);
                let shared = Arc::clone(&parts.shared);
                let agents = Arc::clone(&lead.hub.register);
                let follower = Follower { shared, passes, agents, lease, head, keeps };
                Role::Stands(Box::new((parts, lead, follower)), leading)
            }
            _ => Role::Leads(Box::new(lead.core(parts)?), leading),
        };
        let hub = Arc::clone(&app.hub);
        let (core, ended) = spawn(Arc::clone(&app.shared), role)?;
        if let Some(listener) = scraping {
            tokio::spawn(http::serve(listener, http::scraped(&app), stopping.clone()));
        }
        if let Some(listener) = linking {
            tokio::spawn(hub.serve(listener, stopping.clone()));
        }
        let serving = tokio::spawn(http::serve(listener, http::router(&app), stopping));
        tracing::info!(%address, is_new, version = env!("CARGO_PKG_VERSION"), "the server answers");
        Ok(Server {
            app,
            address,
            is_new,
            leads: led,
            ended: Some(ended),
            folder,
            core,
            serving,
            scraped,
            linked,
            stop,
        })
    }

    /// The data folder.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Stops: no new requests, what was taken is answered, a snapshot is written. Jobs go on. What the core ended
    /// with, if it ended by itself, is the error.
    pub async fn stop(self) -> Result<(), Trouble> {
        tracing::info!("the server stops");
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

/// How often a new store is looked at that another server is just founding.
const FOUNDING: Duration = Duration::from_millis(100);

/// Puts the centre together to be led, or, while another server leads, to be followed; true when it is to be led.
async fn stand(store: &mut Store) -> Result<(Restored, bool), Trouble> {
    loop {
        let leads = store.try_lead()?;
        store.journal.refresh()?;
        let journal = &store.journal;
        let mut keep = |keeps: &[Kept]| if leads { journal.keep(keeps) } else { Ok(()) };
        let restored = restore(journal, &store.snapshots, &mut keep)?;
        if leads || restored.centre.founding().is_some() {
            return Ok((restored, leads));
        }
        tokio::time::sleep(FOUNDING).await;
    }
}

/// A centre put together, before anybody leads it.
struct Unled {
    shared: Arc<Shared>,
    estate: Arc<Estate>,
    journal: Journal,
    snapshots: Snapshots,
    clock: Clock,
    snapshot_at: u64,
}

/// What is only needed once this server leads.
struct Lead {
    dir: PathBuf,
    identity: String,
    place: Place,
    local: Option<Options>,
    loads: Loads,
    is_new: bool,
    hub: Arc<Hub>,
}

impl Lead {
    /// The core of a centre that this server leads.
    fn core(self, parts: Unled) -> Result<Core, Trouble> {
        let Unled { shared, estate, journal, snapshots, clock, snapshot_at } = parts;
        let bound = || estate.founding.sites.iter().filter(|site| site.engine.is_bound());
        let is_away = match &self.place {
            Place::Postgres(address) if bound().next().is_some() => {
                pg::local_owner(address, &self.identity)? != self.identity
            }
            _ => false,
        };
        let mut real = Real::default();
        match &self.local {
            _ if is_away => real.away = bound().map(|site| site.id).collect(),
            Some(options) => real.engines = open_engines(&self.dir, &estate.founding, options, &shared.queue)?,
            None => {}
        }
        let desks = open_desks(&estate.founding, &self.hub, &shared.queue)?;
        real.engines.extend(desks.iter().map(|(site, desk)| (*site, far(desk))));
        self.hub.lead(desks.into_iter().map(|(_, desk)| desk).collect());
        let first = farewell_or_welcome(&shared.centre.read(), &estate, is_away);
        let loads = (self.loads)(&shared.centre.read(), self.is_new);
        let engines = Engines::new(&estate.founding, real, Arc::clone(&shared.queue));
        Ok(Core::new(Parts { shared, journal, snapshots, clock, engines, loads, snapshot_at, first }))
    }
}

/// Why a node takes no work while its machine's server does not lead.
const AWAY: &str = "the server on this machine does not lead the centre";

/// Nodes of sites that one machine's server alone reaches take no work while it does not lead, and take it again when it
/// does.
fn farewell_or_welcome(centre: &Centre, estate: &Estate, is_away: bool) -> Vec<Input> {
    let is_bound = |node: &&Node| estate.founding.sites[node.site.index()].engine.is_bound();
    let nodes = estate.founding.nodes.iter().filter(is_bound);
    let change = |node: &madang_model::Node| match centre.health(node.id) {
        Health::Up if is_away => Some(Input::Drain { node: node.name.clone(), why: AWAY.into() }),
        Health::Drain { why } if !is_away && why == AWAY => Some(Input::Resume { node: node.name.clone() }),
        _ => None,
    };
    nodes.filter_map(change).collect()
}

/// What the core's thread begins as.
enum Role {
    /// It leads.
    Leads(Box<Core>, watch::Sender<bool>),
    /// It stands by, and leads when the lease is its own.
    Stands(Box<(Unled, Lead, Follower)>, watch::Sender<bool>),
}

impl Role {
    fn run(self) -> Result<(), Trouble> {
        match self {
            Role::Leads(core, _leading) => core.run(),
            Role::Stands(standby, leading) => {
                let (mut parts, lead, mut follower) = *standby;
                if follower.stand_by(&mut parts.journal, &mut parts.clock)? == Stood::Stopped {
                    return Ok(());
                }
                let core = lead.core(parts)?;
                leading.send_replace(true);
                core.run()
            }
        }
    }
}

/// A listener where one is asked for, and where it is.
async fn listen_if_asked(asked: Option<SocketAddr>) -> Result<(Option<TcpListener>, Option<SocketAddr>), Trouble> {
    let Some(asked) = asked else { return Ok((None, None)) };
    let listener = listen(asked).await?;
    let at = listener.local_addr().map_err(|error| unreachable_address(asked, &error))?;
    Ok((Some(listener), Some(at)))
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

/// An engine for each site where something really runs.
fn open_engines(dir: &Path, founding: &Founding, options: &Options, queue: &Arc<Queue>) -> Result<Reached, Trouble> {
    let mut real = Reached::new();
    let mut locals = 0;
    for site in founding.sites.iter().filter(|site| site.engine.is_bound()) {
        let reports = reports_to(queue, None)?;
        let engine: Box<dyn Engine> = match &site.engine {
            EngineKind::Model | EngineKind::Agent(_) => continue,
            EngineKind::Local => {
                // Each has a folder of its own; the only one of a centre file has had this one from the first.
                let dir = if locals == 0 { dir.join("engine") } else { dir.join("engines").join(&site.name) };
                locals += 1;
                Box::new(LocalEngine::open(&dir, options.clone(), reports).map_err(|error| unopened(&error))?)
            }
            EngineKind::Slurm(slurm) => {
                let dir = dir.join("slurm").join(&site.name);
                let options = slurm_options(founding, site.id, slurm, options);
                Box::new(SlurmEngine::open(&dir, options, reports).map_err(|error| unopened(&error))?)
            }
        };
        real.insert(site.id, engine);
    }
    Ok(real)
}

/// Engines that are reached from here.
type Reached = BTreeMap<SiteId, Box<dyn Engine>>;

/// The door for agents: it says nothing in the name of a lease that may have run out.
fn hub(agents: Register, lease: Option<Arc<pg::Lease>>) -> Arc<Hub> {
    Hub::new(Arc::new(agents), Box::new(move || lease.as_ref().is_none_or(|lease| lease.is_sure())))
}

/// A desk for each site that an agent serves, under a term that no leader had before.
fn open_desks(founding: &Founding, hub: &Hub, queue: &Arc<Queue>) -> Result<Vec<(SiteId, Arc<Desk>)>, Trouble> {
    let sites = founding.sites.iter().filter_map(|site| match &site.engine {
        EngineKind::Agent(agent) => Some((site, agent.silent_after)),
        _ => None,
    });
    let sites: Vec<_> = sites.collect();
    if sites.is_empty() {
        return Ok(Vec::new());
    }
    let term = hub.register.next_term().map_err(store::trouble)?;
    let open = |(site, silent_after): (&Site, Span)| {
        let seen = hub.register.cards().into_iter().filter(|card| card.site == site.name).map(|card| card.seen_ms);
        let served = Served {
            name: site.name.clone(),
            nodes: expected(founding, site.id),
            silent_after: Duration::from_millis(silent_after.millis()),
            seen_ms: seen.max().unwrap_or(0),
        };
        let (id, told) = (site.id, Arc::clone(queue));
        let hear = Box::new(move |heard| told.site(id, heard));
        Ok((id, Desk::open(served, term, reports_to(queue, Some(id))?, hear)))
    };
    sites.into_iter().map(open).collect()
}

fn far(desk: &Arc<Desk>) -> Box<dyn Engine> {
    Box::new(Far(Arc::clone(desk)))
}

/// The nodes of a site as the centre file promises them.
fn expected(founding: &Founding, site: SiteId) -> Vec<Expected> {
    let nodes = founding.nodes.iter().filter(|node| node.site == site);
    let expected = |node: &Node| Expected {
        name: node.name.clone(),
        gpus: node.gpus,
        cpus: node.cpus,
        memory_mib: node.memory_mib,
    };
    nodes.map(expected).collect()
}

fn slurm_options(founding: &Founding, site: SiteId, slurm: &SlurmSite, options: &Options) -> SlurmOptions {
    SlurmOptions {
        site: slurm.clone(),
        nodes: expected(founding, site),
        helper: options.helper.clone(),
        extra_env: options.extra_env.clone(),
    }
}

fn unopened(error: &dyn std::error::Error) -> Trouble {
    let cause = error.source().map(|source| format!(": {source}")).unwrap_or_default();
    Trouble::new(format!("{error}{cause}"))
}

/// Where an engine's reports go, an agent's under its site: through a thread into the core's queue.
fn reports_to(queue: &Arc<Queue>, by: Option<SiteId>) -> Result<Sender<EngineReport>, Trouble> {
    let (reports, seen) = std::sync::mpsc::channel();
    let queue = Arc::clone(queue);
    let bridge = std::thread::Builder::new().name("reports".into()).spawn(move || pass_on(&seen, &queue, by));
    bridge.map_err(|error| Trouble::new(format!("failed to start the thread of reports: {error}")))?;
    Ok(reports)
}

/// Hands an engine's reports to the core until the engine is closed.
fn pass_on(seen: &Receiver<EngineReport>, queue: &Queue, by: Option<SiteId>) {
    while let Ok(report) = seen.recv() {
        let (report, note) = match report {
            EngineReport::Started { run, at } => (Report::Started { run, at }, None),
            EngineReport::Unknown { run } => (Report::Unknown { run }, None),
            EngineReport::Node { node, health } => {
                queue.node(node, health);
                continue;
            }
            EngineReport::Ended { run, at, outcome, peak_mib, cpu, note } => {
                (Report::Ended { run, at, outcome }, Some(Kept::Note { run, note, peak_mib, cpu }))
            }
        };
        queue.report(Seen { report, note, by });
    }
}

/// A core's thread, and what is told when it ends.
type Spawned = (JoinHandle<Result<(), Trouble>>, oneshot::Receiver<()>);

fn spawn(shared: Arc<Shared>, role: Role) -> Result<Spawned, Trouble> {
    let (end, ended) = oneshot::channel();
    let work = move || {
        // Dropped last, whether the core ends well, on an error or on a bug: nobody is left waiting.
        let _end = End { shared, _told: end };
        let done = role.run();
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
