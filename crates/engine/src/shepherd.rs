//! The shepherd: one small process per run, which starts the script, watches limits, obeys the engine, ends every
//! process of the run and writes down how it ended. It outlives the server, and then listens for the next one.
//!
//! Invariants: the right to start is claimed before anything else; the end is written before it is told; when it is
//! told nothing of the run is left. Durations come from a clock that nobody sets.
use crate::cgroup::Cgroup;
use crate::environ::{self, Surroundings};
use crate::launch::{self, Launch};
use crate::order::Kind;
use crate::procfs::Identity;
use crate::record::{Claim, EndRecord, Files, Keeping, Line, Sealed, StartRecord, Writer, now};
use crate::slurm::inside;
use crate::slurm::mail::{FROM_SLURM, Mailbox, POKE};
use crate::sys::{self, Reaped, SingleThread, Used};
use crate::tree;
use crate::wire::{Command, Hello, Lines, Look, Notice, say};
use madang_model::{Outcome, RunId, Span, StopCause, Time};
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How often memory is looked at where the kernel does not limit it.
const LOOK: Duration = Duration::from_millis(500);

/// How long a signal from Slurm is waited for after what it has ended already.
const MOMENT: Duration = Duration::from_secs(1);
/// How often killing is repeated after the grace period.
const AGAIN: Duration = Duration::from_secs(1);

/// What a shepherd is given by the nursery.
#[derive(Debug)]
pub(crate) struct Told {
    pub run: RunId,
    pub dir: PathBuf,
    /// The stream to the engine, where that is on the same machine.
    pub engine: Option<UnixStream>,
    /// The order, in a file of memory.
    pub order: File,
    /// The folder's lock, to be let go of once the right to start is taken.
    pub lock: Option<File>,
}

/// The life of a shepherd; entered in a fresh fork of the nursery.
pub(crate) fn main(single: SingleThread, told: Told, hello: &Hello) -> ! {
    let run = told.run;
    match catch_unwind(AssertUnwindSafe(|| live(single, told, hello))) {
        Ok(Ok(())) => std::process::exit(0),
        Ok(Err(error)) => eprintln!("madang shepherd: {run}: {error}"),
        Err(_) => eprintln!("madang shepherd: {run}: a bug ended it"),
    }
    std::process::exit(1)
}

fn live(single: SingleThread, told: Told, hello: &Hello) -> io::Result<()> {
    sys::keep_children();
    SigSet::all().thread_set_mask()?;
    nix::unistd::setsid()?;
    prctl::set_child_subreaper(true)?;
    prctl::set_name(c"madang-shepherd")?;
    // The folder is the current one so that the socket's name is short however long the path is.
    std::env::set_current_dir(&told.dir)?;
    let sealed = read_order(&told.order)?;
    let shepherd = Identity::own().ok_or_else(|| io::Error::other("/proc does not know this process"))?;
    let files = Files::new(&told.dir, told.run);
    let record = match files.claim(Claim {
        shepherd,
        cpus: sealed.cpus.clone(),
        spare: sealed.spare,
        slurm_job: None,
        carrier: None,
    }) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        other => other?,
    };
    drop((told.lock, told.order));
    let mut shepherd = Shepherd::new(files, record, sealed, told.engine, None)?;
    shepherd.begin(single, &hello.surroundings);
    while !shepherd.is_over() {
        shepherd.wait()?;
    }
    shepherd.finish().map(drop)
}

/// The life of a shepherd that Slurm has started, once it has the right to start the run: how the run ended. Its
/// process is the root of what Slurm contains, so it stays in the session that it was given.
pub(crate) fn live_in_slurm(
    single: SingleThread,
    (files, record): (Files, Writer),
    sealed: Sealed,
    (mailbox, surroundings): (Mailbox, &Surroundings),
) -> io::Result<EndRecord> {
    sys::keep_children();
    SigSet::all().thread_set_mask()?;
    prctl::set_child_subreaper(true)?;
    let mut shepherd = Shepherd::new(files, record, sealed, None, Some(mailbox))?;
    shepherd.begin(single, surroundings);
    while !shepherd.is_over() {
        shepherd.wait()?;
    }
    shepherd.hear_out()?;
    shepherd.finish()
}

fn read_order(order: &File) -> io::Result<Sealed> {
    let mut bytes = vec![0; usize::try_from(order.metadata()?.len()).unwrap_or(0)];
    order.read_exact_at(&mut bytes, 0)?;
    Ok(serde_json::from_slice(&bytes)?)
}

struct Shepherd {
    files: Files,
    record: Writer,
    sealed: Sealed,
    signals: SignalFd,
    listener: Option<UnixListener>,
    peers: Vec<Peer>,
    mailbox: Option<Mailbox>,
    cgroup: Option<Cgroup>,
    clock: Instant,
    started: Time,
    limit: Span,
    warned: bool,
    script: Script,
    stopping: Option<Stopping>,
    look_at: Instant,
    peak_bytes: u64,
    /// What its ended processes used.
    used: Used,
    note: String,
}

struct Peer {
    stream: UnixStream,
    lines: Lines,
}

/// Where the script stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Script {
    /// There is none: a held allocation.
    Held,
    /// It runs as this process.
    Runs(i32),
    /// It is over.
    Over { exit: i32, signal: i32 },
}

struct Stopping {
    why: Why,
    kill_at: Instant,
}

/// Why a run is being ended from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    Told(StopCause),
    /// Slurm wants it to end, for a reason of its own.
    Outside,
    Memory,
}

impl Shepherd {
    fn new(
        files: Files,
        record: Writer,
        sealed: Sealed,
        engine: Option<UnixStream>,
        mailbox: Option<Mailbox>,
    ) -> io::Result<Shepherd> {
        let mut watched: SigSet = [Signal::SIGCHLD, Signal::SIGTERM].into_iter().collect();
        watched.extend(mailbox.iter().flat_map(|_| FROM_SLURM));
        let signals = SignalFd::with_flags(&watched, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        engine.iter().try_for_each(|engine| engine.set_nonblocking(true))?;
        let clock = Instant::now();
        Ok(Shepherd {
            files,
            record,
            limit: sealed.order.limit,
            sealed,
            signals,
            listener: None,
            peers: engine.into_iter().map(|stream| Peer { stream, lines: Lines::default() }).collect(),
            mailbox,
            cgroup: None,
            clock,
            started: now(),
            warned: false,
            script: Script::Held,
            stopping: None,
            look_at: clock + LOOK,
            peak_bytes: 0,
            used: Used::default(),
            note: String::new(),
        })
    }

    /// Starts the script. A job that cannot start has started and failed, as in Slurm.
    fn begin(&mut self, single: SingleThread, surroundings: &Surroundings) {
        if self.sealed.order.spec.kind == Kind::Batch {
            self.script = match self.start(single, surroundings) {
                Ok(pid) => Script::Runs(pid),
                Err(note) => {
                    self.note = note;
                    Script::Over { exit: 1, signal: 0 }
                }
            };
        }
        let process = if let Script::Runs(pid) = self.script { Identity::of(pid) } else { None };
        let line = Line::Started(StartRecord { at: self.started, process });
        // On a full disk the end will carry the start too.
        self.record.append(&line, Keeping::Cached).ok();
        self.tell(&Notice::Started(self.started));
    }

    fn start(&mut self, single: SingleThread, surroundings: &Surroundings) -> Result<i32, String> {
        let order = &self.sealed.order;
        let cwd = launch::working_folder(order);
        let (stdin, stdout, stderr) = launch::open_files(order, &cwd)?;
        self.files
            .write_script(self.sealed.spare, &order.spec.script)
            .map_err(|error| format!("could not write the script: {error}"))?;
        let argv = launch::argv(&order.spec.script, &self.files.script(), &order.spec.args);
        let env = match &self.mailbox {
            None => environ::environment(order, surroundings, &self.sealed.mark, self.started),
            Some(_) => environ::within_slurm(order, surroundings, &self.sealed.mark, std::env::vars().collect()),
        };
        let memory = order.nodes.iter().map(|node| node.memory_mib).sum();
        let cpus = order.nodes.iter().map(|node| node.cpus).sum();
        self.cgroup = self.sealed.cgroup.as_deref().and_then(|path| Cgroup::create(path, memory, cpus).ok());
        let launch = Launch {
            argv: argv.into_iter().map(text).collect::<Result<_, _>>()?,
            env: env.into_iter().map(|(name, value)| text(format!("{name}={value}"))).collect::<Result<_, _>>()?,
            cwd,
            stdin,
            stdout,
            stderr,
            umask: order.spec.umask.unwrap_or(0o022),
            cpus: self.sealed.cpus.clone(),
            joining: self.cgroup.as_ref().map(Cgroup::joining),
        };
        launch::spawn(single, &launch).map_err(|error| format!("could not make a process: {}", error.desc()))
    }

    fn is_over(&self) -> bool {
        match self.script {
            Script::Held => self.stopping.is_some(),
            Script::Runs(_) => false,
            Script::Over { .. } => true,
        }
    }

    /// Waits for whatever comes next and deals with it. Ended children first: a script that ended by itself ended so,
    /// even if an order to stop it came in the same moment.
    fn wait(&mut self) -> io::Result<()> {
        if self.wants_listener() {
            self.listener = self.listen().ok();
        }
        let timeout = self.deadline().map_or(PollTimeout::NONE, |at| {
            let left = at.saturating_duration_since(Instant::now()).as_micros().div_ceil(1000);
            PollTimeout::from(u16::try_from(left).unwrap_or(u16::MAX))
        });
        let mut ready = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        ready.extend(self.listener.iter().map(|listener| PollFd::new(listener.as_fd(), PollFlags::POLLIN)));
        ready.extend(self.peers.iter().map(|peer| PollFd::new(peer.stream.as_fd(), PollFlags::POLLIN)));
        match poll(&mut ready, timeout) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        drop(ready);
        self.take_signals();
        if !self.is_over() {
            self.take_peers();
            self.take_commands();
            self.take_mail(Mailbox::read_in_time);
            self.take_time();
        }
        Ok(())
    }

    /// Slurm signals a job's processes one after another, so that a script which SIGTERM has ended may be a moment ahead of
    /// what tells the shepherd that Slurm wants it.
    fn hear_out(&mut self) -> io::Result<()> {
        let ended = matches!(self.script, Script::Over { signal: libc::SIGTERM, .. });
        let until = Instant::now() + MOMENT;
        while ended && self.stopping.is_none() && Instant::now() < until {
            let mut ready = [PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
            poll(&mut ready, PollTimeout::from(50u8)).or_else(|error| match error {
                nix::errno::Errno::EINTR => Ok(0),
                error => Err(error),
            })?;
            self.take_signals();
        }
        Ok(())
    }

    /// The next moment at which something is due.
    fn deadline(&self) -> Option<Instant> {
        let due = match &self.stopping {
            Some(stopping) => Some(stopping.kill_at),
            None if self.warned => self.limit_at(),
            None => self.warning_at().or(self.limit_at()),
        };
        let look = self.watches_memory().then_some(self.look_at);
        let listen = self.wants_listener().then(|| Instant::now() + AGAIN);
        let mail = self.mailbox.as_ref().map(Mailbox::look_at);
        due.into_iter().chain(look).chain(listen).chain(mail).min()
    }

    /// Without a stream to the engine the next one must find a way in; by mail it has one.
    fn wants_listener(&self) -> bool {
        self.peers.is_empty() && self.listener.is_none() && self.mailbox.is_none()
    }

    fn listen(&self) -> io::Result<UnixListener> {
        let listener = UnixListener::bind(self.files.socket_name())?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    }

    /// `None` when no clock goes that far.
    fn limit_at(&self) -> Option<Instant> {
        self.clock.checked_add(Duration::from_millis(self.limit.millis()))
    }

    fn warning_at(&self) -> Option<Instant> {
        let warning = self.sealed.order.warning?;
        let after = self.limit.millis().saturating_sub(warning.before.millis());
        self.clock.checked_add(Duration::from_millis(after))
    }

    fn watches_memory(&self) -> bool {
        matches!(self.script, Script::Runs(_)) && !self.cgroup.as_ref().is_some_and(Cgroup::limits_memory)
    }

    fn take_signals(&mut self) {
        while let Ok(Some(info)) = self.signals.read_signal() {
            match (Signal::try_from(info.ssi_signo as i32), &self.mailbox) {
                // The machine is going down, or an operator wants it so.
                (Ok(Signal::SIGTERM), None) => self.stop(Why::Told(StopCause::NodeLost)),
                (Ok(Signal::SIGTERM), Some(_)) => {
                    // What the engine wants comes first: it may be why Slurm says so.
                    self.take_mail(Mailbox::read);
                    self.stop(Why::Outside);
                }
                (Ok(POKE), Some(_)) => self.take_mail(Mailbox::read),
                (Ok(Signal::SIGCHLD), _) | (Err(_), _) => {}
                (Ok(other), _) => self.signal(other as i32, true),
            }
        }
        let script = &mut self.script;
        let all = &mut self.used;
        tree::reap(|Reaped { pid, exit, signal, used }| {
            *all = all.and(used);
            if *script == Script::Runs(pid) {
                *script = Script::Over { exit, signal };
            }
        });
    }

    fn take_peers(&mut self) {
        while let Some((stream, _)) = self.listener.as_ref().and_then(|listener| listener.accept().ok()) {
            if stream.set_nonblocking(true).is_ok() && say(&stream, &Notice::Started(self.started)).is_ok() {
                self.peers.push(Peer { stream, lines: Lines::default() });
            }
        }
    }

    fn take_commands(&mut self) {
        let mut commands = Vec::new();
        self.peers.retain_mut(|peer| {
            loop {
                match peer.lines.next(&peer.stream) {
                    Look::Message(command) => commands.push(command),
                    Look::Nothing => return true,
                    Look::Closed => return false,
                }
            }
        });
        for command in commands {
            self.obey(command);
        }
    }

    fn take_mail(&mut self, read: impl Fn(&mut Mailbox) -> Vec<Command>) {
        for command in self.mailbox.as_mut().map(read).unwrap_or_default() {
            self.obey(command);
        }
    }

    fn obey(&mut self, command: Command) {
        match (command, self.script) {
            (Command::Stop(cause), _) => self.stop(Why::Told(cause)),
            (Command::Signal { signal: libc::SIGKILL, shell: false }, _) => tree::signal_all(libc::SIGKILL),
            (Command::Signal { signal, shell }, _) => self.signal(signal, shell),
            (Command::Limit(limit), _) => {
                self.limit = limit;
                self.warned = self.warned && self.warning_at().is_some_and(|at| at <= Instant::now());
            }
            (Command::Release(exit), Script::Held) => self.script = Script::Over { exit, signal: 0 },
            (Command::Release(_), _) => {}
        }
    }

    fn signal(&self, signal: i32, shell: bool) {
        match self.script {
            Script::Runs(pid) if shell => drop(sys::kill(pid, signal)),
            _ if shell => {}
            _ if self.mailbox.is_some() => inside::signal_steps(signal),
            _ => tree::signal_steps(signal),
        }
    }

    /// The first reason counts.
    fn stop(&mut self, why: Why) {
        if self.stopping.is_some() {
            return;
        }
        let grace = match why {
            Why::Memory => Span::ZERO,
            Why::Told(StopCause::Preempted { grace, .. } | StopCause::Moved { grace }) => grace,
            Why::Told(_) => self.sealed.order.grace,
            // Slurm does not wait longer than that before it kills; the end must be written by then.
            Why::Outside => self.sealed.order.grace.min(self.sealed.outside_grace),
        };
        let now = Instant::now();
        let kill_at = now.checked_add(Duration::from_millis(grace.millis())).unwrap_or(now);
        self.stopping = Some(Stopping { why, kill_at });
        if why != Why::Memory {
            tree::signal_all(libc::SIGTERM);
            tree::signal_all(libc::SIGCONT);
        }
    }

    /// What is due by the clock.
    fn take_time(&mut self) {
        let now = Instant::now();
        if self.watches_memory() && now >= self.look_at {
            self.look_at = now + LOOK;
            self.look_at_memory();
        }
        if let Some(stopping) = &mut self.stopping {
            if now >= stopping.kill_at {
                stopping.kill_at = now + AGAIN;
                tree::signal_all(libc::SIGKILL);
            }
            return;
        }
        if let (false, Some(warning)) = (self.warned, self.sealed.order.warning)
            && self.warning_at().is_some_and(|at| now >= at)
        {
            self.warned = true;
            self.signal(warning.signal, warning.shell);
        }
        if self.limit_at().is_some_and(|at| now >= at) {
            self.stop(Why::Told(StopCause::Limit));
        }
    }

    fn look_at_memory(&mut self) {
        // Under Slurm the other nodes' processes are not below this one.
        let seen = if self.mailbox.is_some() { 1 } else { usize::MAX };
        let limit = self.sealed.order.nodes.iter().take(seen).map(|node| node.memory_mib).sum::<u64>();
        let limit = limit.saturating_mul(1 << 20);
        let memory = tree::memory(limit);
        self.peak_bytes = self.peak_bytes.max(memory);
        if limit > 0 && memory > limit {
            self.note = format!("used {} MiB of memory, its limit is {} MiB", memory >> 20, limit >> 20);
            self.stop(Why::Memory);
        }
    }

    fn tell(&self, notice: &Notice) {
        for peer in &self.peers {
            // A peer that is gone asks again, or reads the record.
            say(&peer.stream, notice).ok();
        }
        self.mailbox.iter().for_each(Mailbox::announce);
    }

    /// Ends what is left, writes down the end, tells it.
    fn finish(mut self) -> io::Result<EndRecord> {
        let all = &mut self.used;
        tree::end_all(&self.signals, self.cgroup.as_ref(), |reaped| *all = all.and(reaped.used));
        let record = self.end_record();
        if let Some(cgroup) = &self.cgroup {
            cgroup.remove();
        }
        self.take_peers();
        // Commands come too late now; what matters is which peers are gone.
        self.take_commands();
        let keeping = if self.peers.is_empty() { Keeping::Synced } else { Keeping::Cached };
        let line = Line::Ended(record.clone());
        let mut written = self.record.append(&line, keeping);
        self.tell(&Notice::Ended(record.clone()));
        // A full disk: the end was told to whoever listens, and the record waits for room until it is cleared away.
        while written.is_err() {
            std::thread::sleep(AGAIN);
            if !self.files.record().exists() {
                break;
            }
            written = self.record.append(&line, keeping);
        }
        if self.listener.is_some() {
            std::fs::remove_file(self.files.socket_name()).ok();
        }
        written.map(|()| record)
    }

    fn end_record(&self) -> EndRecord {
        let cpu = self.used.cpu_us / 1000;
        let cpu = self.cgroup.as_ref().and_then(Cgroup::cpu).map_or(cpu, |cpu| cpu.as_millis() as u64);
        let resident = self.used.peak_bytes;
        let peak = self.cgroup.as_ref().and_then(Cgroup::peak_bytes).unwrap_or(self.peak_bytes.max(resident));
        let (exit, signal) = if let Script::Over { exit, signal } = self.script { (exit, signal) } else { (0, 0) };
        EndRecord {
            started: Some(self.started),
            at: self.started.after(Span::from_millis(self.clock.elapsed().as_millis() as u64)),
            outcome: self.outcome(exit, signal),
            exit,
            signal,
            peak_bytes: peak,
            cpu: Span::from_millis(cpu),
            note: self.note.clone(),
            outside: matches!(self.stopping, Some(Stopping { why: Why::Outside, .. })),
        }
    }

    fn outcome(&self, exit: i32, signal: i32) -> Outcome {
        match self.stopping.as_ref().map(|stopping| stopping.why) {
            Some(Why::Memory) => Outcome::OutOfMemory,
            Some(Why::Told(StopCause::Cancelled | StopCause::Stale) | Why::Outside) => Outcome::Cancelled,
            Some(Why::Told(StopCause::Limit)) => Outcome::TimedOut,
            Some(Why::Told(StopCause::Requeue)) => Outcome::Requeued,
            Some(Why::Told(StopCause::Preempted { .. } | StopCause::Moved { .. })) => Outcome::Preempted,
            Some(Why::Told(StopCause::NodeLost)) => Outcome::NodeFailed,
            None if self.cgroup.as_ref().is_some_and(Cgroup::out_of_memory) => Outcome::OutOfMemory,
            None if (exit, signal) == (0, 0) => Outcome::Completed,
            None => Outcome::Failed { exit, signal },
        }
    }
}

fn text(text: String) -> Result<CString, String> {
    CString::new(text).map_err(|_| "an argument holds a zero byte".to_owned())
}
