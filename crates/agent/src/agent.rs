//! The daemon at a site: dials out to whichever server leads, carries out its notes, reports.
//!
//! Nothing of a run depends on it: shepherds, or Slurm, keep runs going and write down how they end, whether it lives or
//! not and whether its link stands or not.
//!
//! Invariants: it listens nowhere; it does what is signed for its own site, for the link it has just made, in its turn,
//! under a leader no older than the last, and nothing else.
use crate::identity::{agent_key, fingerprint, hex, server_name, unhex};
use crate::output::{self, Sent};
use crate::register::Fault;
use crate::session::{DEAD, PING};
use crate::state::{Identity, State};
use crate::tls;
use crate::wire::{self, Deed, LONGEST, Opening, Sample, Serve, Tell, Turn, Word};
use crate::works::Works;
use madang_engine::{EngineReport, Expected};
use madang_model::SlurmSite;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{Receiver, UnboundedReceiver, UnboundedSender, channel, unbounded_channel};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How long a server may take to answer.
const DIAL: Duration = Duration::from_secs(5);
/// The shortest and the longest time between two rounds over all servers.
const ROUNDS: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// The time between two rounds while the certificate is refused.
const REFUSED: Duration = Duration::from_secs(15);
/// Most bytes of a job's output that are read at a time.
const MOST_READ: u64 = 1 << 20;
/// How often a sample is sent.
const SAMPLE: Duration = Duration::from_secs(10);
/// Refusals that another round does not change: an operator has to.
const LASTING: [&str; 5] = ["revoked", "unknown", "ended", "foreign_site", "no_site"];

/// What an agent runs its site's work on.
#[derive(Clone, Debug)]
pub enum WorksKind {
    /// This machine.
    Local(madang_engine::Options),
    /// A Slurm cluster.
    Slurm {
        /// How it is reached.
        site: SlurmSite,
        /// The program that shepherds runs on its nodes.
        helper: PathBuf,
        /// Set in every job's environment, last.
        extra_env: Vec<(String, String)>,
    },
}

/// How an agent is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// The site it serves.
    pub site: String,
    /// Where servers take links, `HOST:PORT`, tried in turn.
    pub servers: Vec<String>,
    /// Its own folder.
    pub dir: PathBuf,
    /// An operator's invitation, for as long as it has no certificate that is good.
    pub invitation: Option<String>,
    /// What it runs its site's work on.
    pub works: WorksKind,
    /// This host, for people.
    pub host: String,
}

/// Why an agent ended.
pub type Error = Fault;

type Reading = ReadHalf<TlsStream<TcpStream>>;
type Writing = WriteHalf<TlsStream<TcpStream>>;

/// An agent.
struct Agent {
    options: Options,
    state: State,
    works: Option<Works>,
    taken: (u64, u64),
    told: String,
    pause: Duration,
    pieces: (UnboundedSender<Sent>, UnboundedReceiver<Sent>),
}

/// A link that stands.
struct Link {
    writing: Writing,
    words: Receiver<io::Result<Word>>,
    name: String,
    term: u64,
    heard: Instant,
    /// The private half of the key that a new certificate was asked for.
    renewing: Option<String>,
}

/// Why a link ended, or did not begin.
struct Broken {
    code: String,
    fact: String,
}

impl<E: std::fmt::Display> From<E> for Broken {
    fn from(error: E) -> Broken {
        Broken { code: String::new(), fact: error.to_string() }
    }
}

/// Serves a site until `stops` ends. Running jobs go on.
pub async fn run(options: Options, stops: impl Future<Output = ()>) -> Result<(), Error> {
    let state = State::open(&options.dir)?;
    let nodes: Option<Vec<Expected>> = state.get("nodes")?;
    let taken = state.get("taken")?.unwrap_or_default();
    if state.get::<Identity>("identity")?.is_none() && options.invitation.is_none() {
        let fact = format!("this agent has no certificate for site {} and no invitation", options.site);
        return Err(Fault::new("not_invited", fact));
    }
    // Runs of the agent before are taken up at once, whether a server answers or not.
    let works = nodes.map(|nodes| Works::open(&options, &nodes)).transpose()?;
    let mut agent =
        Agent { options, state, works, taken, told: String::new(), pause: ROUNDS.0, pieces: unbounded_channel() };
    tokio::select! {
        () = stops => Ok(()),
        ended = agent.serve() => ended,
    }
}

impl Agent {
    async fn serve(&mut self) -> Result<(), Error> {
        loop {
            let mut refused = None;
            for server in self.options.servers.clone() {
                let Err(broken) = self.one(&server).await else { continue };
                self.say(&server, &broken);
                if LASTING.contains(&broken.code.as_str()) || broken.code == "not_invited" {
                    refused = Some(broken);
                }
            }
            match refused {
                Some(broken) if broken.code == "not_invited" => return Err(Fault::new("not_invited", broken.fact)),
                Some(_) => self.wait(REFUSED).await,
                None => self.wait(self.pause).await,
            }
            self.pause = (self.pause * 2).min(ROUNDS.1);
        }
    }

    /// Says why there is no link, once for each reason.
    fn say(&mut self, server: &str, broken: &Broken) {
        let text = format!("{server}: {}", broken.fact);
        if text != self.told && broken.code != "not_leading" {
            tracing::warn!("no link with {text}");
            self.told = text;
        }
    }

    /// Waits, and keeps book of what the engine says meanwhile.
    async fn wait(&mut self, pause: Duration) {
        let until = tokio::time::Instant::now() + pause;
        while let Some(report) = tokio::select! {
            () = tokio::time::sleep_until(until) => None,
            report = next(&mut self.works) => Some(report),
        } {
            if let Some(works) = &mut self.works {
                works.note(&report);
            }
        }
    }

    /// Enrols if need be, then serves on one link until it breaks.
    async fn one(&mut self, server: &str) -> Result<(), Broken> {
        let identity: Option<Identity> = self.state.get("identity")?;
        let (identity, is_new) = match identity {
            Some(identity) if identity.site == self.options.site => (identity, false),
            _ => (self.enrol(server).await?, true),
        };
        match self.link(server, &identity).await {
            Err(broken) if !is_new && LASTING.contains(&broken.code.as_str()) && self.options.invitation.is_some() => {
                // An invitation that was used up long ago does not hide why the certificate is refused.
                let identity = self.enrol(server).await.map_err(|_| broken)?;
                self.link(server, &identity).await
            }
            other => other,
        }
    }

    /// Swaps the invitation for a certificate.
    async fn enrol(&mut self, server: &str) -> Result<Identity, Broken> {
        let invitation = self.options.invitation.clone().unwrap_or_default();
        let lasting = |fact: &str| Broken { code: "not_invited".into(), fact: fact.into() };
        let (secret, pin) = tls::invitation(&invitation).ok_or_else(|| lasting("the invitation is not whole"))?;
        let (key, public) = agent_key()?;
        let (mut reading, mut writing) = dial(server, tls::newcomer(pin)?, &server_name(pin)).await?;
        let host = self.options.host.clone();
        wire::write(&mut writing, &Opening::Enrol { token: secret.to_owned(), key: public, host }).await?;
        let word: Word = timeout(DIAL, wire::read(&mut reading, LONGEST)).await??;
        let identity = match word {
            Word::Card { authority, .. } if !is_pinned(&authority, pin) => {
                return Err(Broken::from("the server's authority is not the one of the invitation"));
            }
            Word::Card { site, .. } if site != self.options.site => {
                return Err(lasting(&format!("the invitation is for site {site}, not for site {}", self.options.site)));
            }
            word => identity_of(word, key)?,
        };
        self.state.put("identity", &identity)?;
        tracing::info!("enrolled for site {}", identity.site);
        Ok(identity)
    }

    async fn link(&mut self, server: &str, identity: &Identity) -> Result<(), Broken> {
        let bytes = |text: &str| unhex(text).ok_or_else(|| Broken::from("the agent's identity is damaged"));
        let authority = bytes(&identity.authority)?;
        let config = tls::agent(&authority, &bytes(&identity.certificate)?, &bytes(&identity.key)?)?;
        let voice = bytes(&identity.voice)?;
        let name = server_name(&hex(&fingerprint(&authority)));
        let (mut reading, mut writing) = dial(server, config, &name).await?;
        let name = wire::draw()?;
        let serve = Serve {
            site: self.options.site.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            link: name.clone(),
            taken: self.taken,
            known: self.works.as_ref().map(|works| works.engine.known()).unwrap_or_default(),
            nodes: self.works.as_ref().map(Works::words).unwrap_or_default(),
        };
        wire::write(&mut writing, &Opening::Serve(Box::new(serve))).await?;
        let first: Word = timeout(DIAL, wire::read(&mut reading, LONGEST)).await??;
        let (said, words) = channel(256);
        let _reader = Reader(tokio::spawn(read_on(reading, said)));
        let mut link = Link { writing, words, name, term: 0, heard: Instant::now(), renewing: None };
        self.hear(&mut link, first, &voice).await?;
        tracing::info!("linked with {server}");
        self.told.clear();
        self.pause = ROUNDS.0;
        let again = self.works.as_mut().map(Works::again).unwrap_or_default();
        for report in again {
            link.tell(&Tell::Report(report)).await?;
        }
        self.renew(&mut link, identity).await?;
        self.tend(&mut link, &voice).await
    }

    /// Asks for another certificate when two thirds of this one's time are over.
    async fn renew(&mut self, link: &mut Link, identity: &Identity) -> Result<(), Broken> {
        let (now, lasts) = (crate::register::now_ms(), identity.until_ms.saturating_sub(identity.made_ms));
        if now > identity.made_ms + lasts / 3 * 2 {
            let (key, public) = agent_key()?;
            link.renewing = Some(key);
            link.tell(&Tell::Renew(public)).await?;
        }
        Ok(())
    }

    async fn tend(&mut self, link: &mut Link, voice: &[u8]) -> Result<(), Broken> {
        let (mut ping, mut sample) = (tokio::time::interval(PING), tokio::time::interval(SAMPLE));
        loop {
            tokio::select! {
                word = link.words.recv() => {
                    let word = word.ok_or("the link was lost")??;
                    link.heard = Instant::now();
                    self.hear(link, word, voice).await?;
                }
                report = next(&mut self.works) => {
                    if self.works.as_mut().is_some_and(|works| works.note(&report)) {
                        link.tell(&Tell::Report(report)).await?;
                    }
                }
                Some(piece) = self.pieces.1.recv() => link.tell(&Tell::Piece(piece)).await?,
                _ = ping.tick() => {
                    if link.heard.elapsed() > DEAD {
                        return Err(Broken::from("nothing came from the server any more"));
                    }
                    link.tell(&Tell::Pong).await?;
                }
                _ = sample.tick() => {
                    let runs = self.works.as_ref().map_or(0, |works| works.engine.known().len());
                    link.tell(&Tell::Sample(measure(runs))).await?;
                }
            }
        }
    }

    async fn hear(&mut self, link: &mut Link, word: Word, voice: &[u8]) -> Result<(), Broken> {
        match word {
            Word::Ping => Ok(()),
            Word::Refused { code, fact } => Err(Broken { code, fact }),
            card @ Word::Card { .. } => {
                let key = link.renewing.take().ok_or("the server sent a certificate that was not asked for")?;
                self.state.put("identity", &identity_of(card, key)?)?;
                Err(Broken::from("the certificate is renewed"))
            }
            Word::Note { body, seal } => {
                let note = wire::open(&body, &seal, voice).map_err(|why| format!("a note is refused: {why}"))?;
                let turn = Turn { site: &self.options.site, link: &link.name, term: link.term, taken: self.taken };
                turn.check(&note).map_err(|why| format!("note {} is refused: {why}", note.number))?;
                (link.term, self.taken) = (note.term, (note.term, note.number));
                self.state.put("taken", &self.taken)?;
                if let Some(answer) = self.act(note.deed)? {
                    link.tell(&Tell::Report(answer)).await?;
                }
                link.tell(&Tell::Taken(note.number)).await
            }
        }
    }

    /// Does what a note asks for; gives an end that was known already, where that is the answer.
    fn act(&mut self, deed: Deed) -> Result<Option<EngineReport>, Broken> {
        if let Deed::Welcome { nodes } = deed {
            return self.prepare(nodes).map(|()| None);
        }
        let works = self.works.as_mut().ok_or("a note came before the site's nodes")?;
        match deed {
            Deed::Welcome { .. } => {}
            Deed::Start(order) => works.engine.start(*order),
            Deed::Stop(run, cause) => {
                works.engine.stop(run, cause);
                return Ok(works.answer(run));
            }
            Deed::Signal(run, signal, shell) => works.engine.signal(run, signal, shell),
            Deed::Limit(run, limit) => works.engine.set_limit(run, limit),
            Deed::Release(run, exit) => works.engine.release(run, exit),
            Deed::Confirm(run) => match works.answer(run) {
                None => works.engine.confirm(run),
                answer => return Ok(answer),
            },
            Deed::Forget(run) => works.forget(run),
            Deed::Read { ask, path, offset, limit } => self.read(ask, path, offset, limit),
        }
        Ok(None)
    }

    /// Reads beside everything else: a file system that hangs holds up nobody but who asked.
    fn read(&self, ask: u64, path: String, offset: u64, limit: u64) {
        let pieces = self.pieces.0.clone();
        let limit = limit.min(MOST_READ);
        tokio::task::spawn_blocking(move || drop(pieces.send(output::read(&path, offset, limit).send(ask))));
    }

    /// Opens the engine when its site's nodes are told the first time, or are others than before.
    fn prepare(&mut self, nodes: Vec<Expected>) -> Result<(), Broken> {
        if self.works.is_some() && self.state.get::<Vec<Expected>>("nodes")?.is_some_and(|known| known == nodes) {
            return Ok(());
        }
        self.works = None;
        self.works = Some(Works::open(&self.options, &nodes)?);
        Ok(self.state.put("nodes", &nodes)?)
    }
}

impl Link {
    async fn tell(&mut self, tell: &Tell) -> Result<(), Broken> {
        let written = timeout(DEAD, wire::write(&mut self.writing, tell)).await;
        Ok(written.map_err(|_| "the server does not read")??)
    }
}

/// What the engine says next; never, without one.
async fn next(works: &mut Option<Works>) -> EngineReport {
    match works {
        Some(works) => match works.reports.recv().await {
            Some(report) => report,
            None => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}

/// What reads a link; ends with it.
struct Reader(tokio::task::JoinHandle<()>);

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn read_on(mut reading: Reading, said: tokio::sync::mpsc::Sender<io::Result<Word>>) {
    loop {
        let word = wire::read(&mut reading, LONGEST).await;
        let is_last = word.is_err();
        if said.send(word).await.is_err() || is_last {
            return;
        }
    }
}

async fn dial(server: &str, config: Arc<ClientConfig>, name: &str) -> Result<(Reading, Writing), Broken> {
    let name = ServerName::try_from(name.to_owned())?;
    let connect = async {
        let stream = TcpStream::connect(server).await?;
        stream.set_nodelay(true)?;
        TlsConnector::from(config).connect(name, stream).await
    };
    Ok(tokio::io::split(timeout(DIAL, connect).await??))
}

fn is_pinned(authority: &str, pin: &str) -> bool {
    unhex(authority).is_some_and(|der| hex(&fingerprint(&der)) == pin)
}

/// The identity that a server's answer makes with this private key.
fn identity_of(word: Word, key: String) -> Result<Identity, Broken> {
    match word {
        Word::Card { certificate, authority, voice, site, until_ms } => {
            let made_ms = crate::register::now_ms();
            Ok(Identity { site, key, certificate, authority, voice, made_ms, until_ms })
        }
        Word::Refused { code, fact } => Err(Broken { code, fact }),
        _ => Err(Broken::from("the server answers something else than was asked")),
    }
}

/// How this machine fares; zero where the system does not say.
fn measure(runs: usize) -> Sample {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().and_then(|first| first.parse::<f64>().ok()).unwrap_or(0.0);
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let mib = |name: &str| {
        let line = memory.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).map_or(0, |kib| kib >> 10)
    };
    Sample {
        runs: u32::try_from(runs).unwrap_or(u32::MAX),
        load_centi: (load * 100.0) as u32,
        free_mib: mib("MemAvailable:"),
        memory_mib: mib("MemTotal:"),
    }
}
