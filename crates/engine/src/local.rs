//! The local engine: real processes on this machine.
//!
//! The server's thread tells it what to start and stop; one reader thread watches all shepherds and sends reports.
//! A run is known here from its order until it is forgotten.
//!
//! Invariants: a run is started at most once, ever (see [`crate::record`]); every run that was started is reported
//! ended exactly as its shepherd noted, however often the server or the nursery is killed; a report is sent again
//! after a restart until the run is forgotten, so the server journals before it forgets.
use crate::cpus::Cpus;
use crate::environ::Surroundings;
use crate::keeper::Keeper;
use crate::nursery::RUNS;
use crate::order::{Engine, EngineReport, Order};
use crate::reader;
use crate::record::{EndRecord, Files, Sealed};
use crate::spares::Spares;
use crate::wire::{self, Command, Hello, Lines};
use madang_model::{RunId, Span, StopCause, Time};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{User, getgid, getuid};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// How the engine is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// The program that, called with `nursery`, runs [`crate::nursery_main`].
    pub helper: PathBuf,
    /// Set in every job's environment, last: the server's address, where its token is.
    pub extra_env: Vec<(String, String)>,
    /// Folder put first on every job's `PATH`: the Slurm commands' shims.
    pub path_prefix: Option<PathBuf>,
    /// A cgroup v2 folder in which to make one group per run; see [`crate::cgroup::find`].
    pub cgroup: Option<PathBuf>,
    /// How long to wait for a former server that is ending.
    pub patience: Span,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            helper: PathBuf::new(),
            extra_env: Vec::new(),
            path_prefix: None,
            cgroup: None,
            patience: Span::from_secs(10),
        }
    }
}

/// Why the engine could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its folder cannot be used.
    #[error("failed to use the engine's folder {path}")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another engine holds the folder.
    #[error("failed to lock the engine's folder {path}: another server is using it")]
    Busy {
        /// Which.
        path: PathBuf,
    },
    /// No nursery could be started.
    #[error("failed to start {helper} as the nursery")]
    Nursery {
        /// The program.
        helper: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The operating system refused what the engine needs to watch its shepherds.
    #[error("failed to set up the reader of reports")]
    Reader(#[source] io::Error),
}

/// Real processes on this machine. Dropping it leaves jobs running; the next one takes them up.
#[derive(Debug)]
pub struct LocalEngine {
    inner: Arc<Inner>,
    reader: Option<JoinHandle<()>>,
    wake: UnixStream,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub epoll: Epoll,
    pub runs_dir: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
pub(crate) struct State {
    pub runs: BTreeMap<RunId, Run>,
    pub by_token: BTreeMap<u64, RunId>,
    pub cpus: Cpus,
    pub spares: Spares,
    next_token: u64,
    keeper: Keeper,
    cgroup: Option<PathBuf>,
    reports: Sender<EngineReport>,
}

/// A run that is known here.
#[derive(Debug, Default)]
pub(crate) struct Run {
    pub link: Option<Link>,
    pub started: Option<Time>,
    pub ended: Option<EndRecord>,
    pub tries: u32,
    /// What was ordered, until it has begun.
    order: Option<File>,
    /// The number of its spare files.
    pub spare: Option<u64>,
    /// What it was told to stay true: told again to whoever shepherds it next.
    pub stop: Option<StopCause>,
    pub limit: Option<Span>,
    pub release: Option<i32>,
}

/// The stream to a shepherd.
#[derive(Debug)]
pub(crate) struct Link {
    pub token: u64,
    pub stream: UnixStream,
    pub lines: Lines,
}

/// The token of the stream that ends the reader.
pub(crate) const WAKE: u64 = 0;

impl LocalEngine {
    /// Opens the engine in its folder and takes up the runs of a former server: those that still run are watched
    /// again, those that ended meanwhile are reported.
    pub fn open(dir: &Path, options: Options, reports: Sender<EngineReport>) -> Result<LocalEngine, Error> {
        let runs_dir = dir.join(RUNS);
        let folder = |source| Error::Folder { path: dir.to_owned(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&runs_dir).map_err(folder)?;
        let dir = dir.canonicalize().map_err(folder)?;
        let files = raise_file_limit();
        let hello = Hello { dir: dir.clone(), surroundings: surroundings(&options), files };
        let mut keeper = Keeper::new(options.helper, hello, options.patience);
        keeper.ensure().map_err(|source| match source.kind() {
            io::ErrorKind::WouldBlock => Error::Busy { path: dir.clone() },
            _ => Error::Nursery { helper: keeper.helper.clone(), source },
        })?;
        let state = State {
            runs: BTreeMap::new(),
            by_token: BTreeMap::new(),
            cpus: Cpus::of_this_process(),
            spares: Spares::default(),
            next_token: WAKE + 1,
            keeper,
            cgroup: options.cgroup,
            reports,
        };
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(|error| Error::Reader(error.into()))?;
        let inner = Arc::new(Inner { epoll, runs_dir: dir.join(RUNS), state: Mutex::new(state) });
        reader::adopt(&inner).map_err(folder)?;
        let (wake, theirs) = UnixStream::pair().map_err(Error::Reader)?;
        let event = EpollEvent::new(EpollFlags::EPOLLIN, WAKE);
        inner.epoll.add(&theirs, event).map_err(|error| Error::Reader(error.into()))?;
        let shared = Arc::clone(&inner);
        let work = move || reader::read(&shared, theirs);
        let reader = std::thread::Builder::new().name("engine-reader".to_owned()).spawn(work);
        Ok(LocalEngine { inner, reader: Some(reader.map_err(Error::Reader)?), wake })
    }

    /// Process id of the nursery, for tests and diagnosis.
    pub fn nursery_pid(&self) -> Option<u32> {
        self.inner.state().keeper.pid()
    }

    fn command(&self, run: RunId, command: &Command) {
        let mut state = self.inner.state();
        let Some(known) = state.runs.get_mut(&run) else {
            return state.report(EngineReport::Unknown { run });
        };
        match command {
            Command::Stop(cause) => known.stop = known.stop.or(Some(*cause)),
            Command::Limit(limit) => known.limit = Some(*limit),
            Command::Release(exit) => known.release = Some(*exit),
            Command::Signal { .. } => {}
        }
        if let Some(link) = &known.link {
            // A stream that is broken or full is a shepherd that is dead or dying; the reader finds out.
            wire::say(&link.stream, command).ok();
        }
    }
}

impl Engine for LocalEngine {
    fn known(&self) -> Vec<RunId> {
        self.inner.state().runs.keys().copied().collect()
    }

    fn start(&mut self, order: Order) {
        let mut state = self.inner.state();
        let run = order.run;
        if state.runs.contains_key(&run) {
            return;
        }
        if let Err(error) = self.inner.launch(&mut state, order) {
            state.settle(run, EndRecord::never_began(format!("this machine could not start it: {error}")));
        }
    }

    fn stop(&mut self, run: RunId, cause: StopCause) {
        self.command(run, &Command::Stop(cause));
    }

    fn signal(&mut self, run: RunId, signal: i32, shell_only: bool) {
        self.command(run, &Command::Signal { signal, shell: shell_only });
    }

    fn set_limit(&mut self, run: RunId, limit: Span) {
        self.command(run, &Command::Limit(limit));
    }

    fn release(&mut self, run: RunId, exit: i32) {
        self.command(run, &Command::Release(exit));
    }

    fn confirm(&mut self, run: RunId) {
        let state = self.inner.state();
        match state.runs.get(&run) {
            None => state.report(EngineReport::Unknown { run }),
            Some(Run { ended: Some(record), .. }) => state.report_end(run, record),
            Some(Run { started: Some(at), .. }) => state.report(EngineReport::Started { run, at: *at }),
            Some(_) => {}
        }
    }

    fn forget(&mut self, run: RunId) {
        let mut state = self.inner.state();
        if state.runs.get(&run).is_some_and(|known| known.ended.is_some()) {
            let spare = state.runs.remove(&run).and_then(|known| known.spare);
            let spare = state.spares.put_back(spare);
            self.inner.files(run).clear(spare);
        }
    }
}

impl Drop for LocalEngine {
    fn drop(&mut self) {
        self.wake.shutdown(std::net::Shutdown::Both).ok();
        if let Some(reader) = self.reader.take() {
            reader.join().ok();
        }
    }
}

impl Inner {
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn files(&self, run: RunId) -> Files {
        Files::new(&self.runs_dir, run)
    }

    fn launch(&self, state: &mut State, order: Order) -> io::Result<()> {
        let run = order.run;
        let count = order.nodes.iter().map(|node| node.cpus as usize).sum();
        let cpus = state.cpus.give(run, count);
        let cgroup = state.cgroup.as_ref().map(|root| root.join(format!("madang.{run}")));
        let spare = state.spares.take();
        let known = state.runs.entry(run).or_default();
        known.spare = Some(spare);
        let (mark, outside_grace) = (self.mark(run), Span::ZERO);
        let sealed = serde_json::to_vec(&Sealed { mark, order, cpus, cgroup, spare, outside_grace })?;
        // In memory, so that neither the script nor what the environment may hold lies on a disk twice.
        let file = File::from(memfd_create(c"madang-order", MFdFlags::MFD_CLOEXEC)?);
        file.write_all_at(&sealed, 0)?;
        known.order = Some(file);
        self.hand_over(state, run)
    }

    /// Hands a run to the nursery, with the order kept until it has begun.
    pub fn hand_over(&self, state: &mut State, run: RunId) -> io::Result<()> {
        let (stream, theirs) = UnixStream::pair()?;
        self.watch(state, run, stream)?;
        let known = state.runs.get_mut(&run).expect("watched above");
        known.tries += 1;
        let order = known.order.as_ref().ok_or_else(|| io::Error::other("its order is gone"))?;
        state.keeper.hand_over(&run.to_string(), &theirs, order)
    }

    /// Watches a shepherd's stream for a run that is known.
    pub fn watch(&self, state: &mut State, run: RunId, stream: UnixStream) -> io::Result<()> {
        stream.set_nonblocking(true)?;
        let token = state.next_token;
        state.next_token += 1;
        self.epoll.add(&stream, EpollEvent::new(EpollFlags::EPOLLIN, token))?;
        state.unlink(run);
        state.by_token.insert(token, run);
        let known = state.runs.entry(run).or_default();
        let lasting =
            [known.limit.map(Command::Limit), known.release.map(Command::Release), known.stop.map(Command::Stop)];
        for command in lasting.into_iter().flatten() {
            wire::say(&stream, &command).ok();
        }
        known.link = Some(Link { token, stream, lines: Lines::default() });
        Ok(())
    }

    /// A value that marks this run's processes and no others: folders differ between engines.
    pub fn mark(&self, run: RunId) -> String {
        format!("{run}@{}", self.runs_dir.display())
    }
}

impl State {
    /// Lets go of a run's stream; closing it also takes it off the watch list.
    pub fn unlink(&mut self, run: RunId) {
        if let Some(link) = self.runs.get_mut(&run).and_then(|known| known.link.take()) {
            self.by_token.remove(&link.token);
        }
    }

    /// Notes that a run began and reports it.
    pub fn begin(&mut self, run: RunId, at: Time) {
        let known = self.runs.entry(run).or_default();
        known.order = None;
        if known.started.replace(at).is_none() {
            self.report(EngineReport::Started { run, at });
        }
    }

    /// Notes that a run is over and reports it.
    pub fn settle(&mut self, run: RunId, record: EndRecord) {
        self.unlink(run);
        self.cpus.take_back(run);
        if let Some(at) = record.started {
            self.begin(run, at);
        }
        self.report_end(run, &record);
        let known = self.runs.entry(run).or_default();
        known.ended = Some(record);
        known.order = None;
    }

    pub fn report_end(&self, run: RunId, record: &EndRecord) {
        self.report(EngineReport::Ended {
            run,
            at: record.at,
            outcome: record.outcome,
            peak_mib: record.peak_bytes.div_ceil(1 << 20),
            cpu: record.cpu,
            note: record.note.clone(),
        });
    }

    /// A server that no longer listens is ending; the report is made again when the next one opens.
    pub fn report(&self, report: EngineReport) {
        self.reports.send(report).ok();
    }
}

/// What is the same for every job of this server.
pub(crate) fn surroundings(options: &Options) -> Surroundings {
    let login = User::from_uid(getuid()).ok().flatten();
    let login = login.map(|user| (user.name, user.dir.display().to_string(), user.shell.display().to_string()));
    Surroundings {
        uid: getuid().as_raw(),
        gid: getgid().as_raw(),
        login,
        extra: options.extra_env.clone(),
        path_prefix: options.path_prefix.as_ref().map(|path| path.display().to_string()),
    }
}

/// One descriptor per run is held here: takes what the system grants. Gives back the limit that was.
fn raise_file_limit() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return u64::MAX };
    setrlimit(Resource::RLIMIT_NOFILE, hard.min(65_536).max(soft), hard).ok();
    soft
}
