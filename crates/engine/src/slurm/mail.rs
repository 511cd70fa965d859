//! How the engine speaks to a shepherd on another machine: a file of commands in the shared folder, replaced whole,
//! which the shepherd reads when poked by a signal through Slurm, and every few seconds in case no poke comes through.
//!
//! The other way round a shepherd leaves a file of no content where the engine looks for news; what is new is in the
//! run's record.
use crate::wire::Command;
use nix::sys::signal::Signal;
use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The signal that says "there is mail". Its default effect is none, so that it never harms what does not expect it.
pub(crate) const POKE: Signal = Signal::SIGURG;

/// Signals that a shepherd takes from Slurm: the poke, and those that are passed on to the script.
pub(crate) const FROM_SLURM: [Signal; 6] =
    [POKE, Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGUSR1, Signal::SIGUSR2];

/// How often mail is looked for without a poke.
const EVERY: Duration = Duration::from_secs(5);

/// A shepherd's side of the post.
#[derive(Debug)]
pub(crate) struct Mailbox {
    mail: PathBuf,
    news: PathBuf,
    read: usize,
    look_at: Instant,
}

impl Mailbox {
    /// The post of one run: its mail, and the file that announces news.
    pub fn new(mail: PathBuf, news: PathBuf) -> Mailbox {
        Mailbox { mail, news, read: 0, look_at: Instant::now() }
    }

    /// When mail is looked for next.
    pub fn look_at(&self) -> Instant {
        self.look_at
    }

    /// Commands that have come since the last look.
    pub fn read(&mut self) -> Vec<Command> {
        self.look_at = Instant::now() + EVERY;
        let commands = parse(&fs::read(&self.mail).unwrap_or_default());
        let new = commands.get(self.read..).map(<[Command]>::to_vec).unwrap_or_default();
        self.read += new.len();
        new
    }

    /// As [`Mailbox::read`], if it is time for it.
    pub fn read_in_time(&mut self) -> Vec<Command> {
        if Instant::now() < self.look_at { Vec::new() } else { self.read() }
    }

    /// Says that the record has news. Where that fails, the engine finds out by asking Slurm.
    pub fn announce(&self) {
        File::create(&self.news).ok();
    }
}

/// The commands of a file of mail; lines that are none are passed over.
pub(crate) fn parse(bytes: &[u8]) -> Vec<Command> {
    bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
}

/// A file of mail.
pub(crate) fn text(commands: &[Command]) -> Vec<u8> {
    let mut text = Vec::new();
    for command in commands {
        text.extend(serde_json::to_vec(command).expect("plain data has a JSON form"));
        text.push(b'\n');
    }
    text
}
