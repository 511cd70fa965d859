//! Signals as a stream, read on a thread of their own.
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::SignalFd;

/// Signals that a launcher hears.
const HEARD: [Signal; 8] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGTSTP,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
];

/// The stream.
pub struct Signals(SignalFd);

impl Signals {
    /// Blocks the signals in this thread and all that it starts, so that they are only read here. Children of
    /// `std::process` start with none blocked.
    pub fn block() -> nix::Result<Signals> {
        let mut set = SigSet::empty();
        HEARD.iter().for_each(|signal| set.add(*signal));
        set.thread_block()?;
        SignalFd::new(&set).map(Signals)
    }
}

impl Iterator for Signals {
    type Item = Signal;
    fn next(&mut self) -> Option<Signal> {
        loop {
            match self.0.read_signal() {
                Ok(Some(info)) => return i32::try_from(info.ssi_signo).ok()?.try_into().ok(),
                Ok(None) => return None,
                Err(nix::Error::EINTR) => continue,
                Err(_) => return None,
            }
        }
    }
}
