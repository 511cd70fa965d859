//! The Slurm engine: runs on the nodes of a Slurm cluster. The core places, Slurm launches, contains and enforces.
//!
//! Three places know of a run, and each can die by itself:
//!
//! - the **server** holds a [`SlurmEngine`]; its thread ([`tend`]) submits with `sbatch` and looks with `squeue`;
//! - **Slurm** has a job whose name is the run's key ([`spool::Spool::key`]): job ids are not ours and not durable;
//! - a **shepherd** ([`inside`]) is what that job runs: it claims the run's record in a folder that server and nodes
//!   share, starts the script, watches its limit and writes down how it ended, as the local engine's shepherds do.
//!
//! The claim is the fence. It is one `link` in the shared folder that only the first can make, so a run starts once
//! however often it is submitted, requeued, or started again by a controller that lost its memory; and the engine
//! itself makes it to be sure that a run will never begin. Looking a run up in Slurm before it is submitted again is
//! a courtesy to the queue, not what safety rests on.
//!
//! Invariants: an order lies in the folder before its job is submitted, and goes first when a run is forgotten; what
//! Slurm says of a job is never the end of a run whose record may still be written.
mod carrier;
mod command;
mod errands;
mod fitness;
pub(crate) mod inside;
mod inventory;
mod listing;
pub(crate) mod mail;
mod nodes;
mod run;
mod spool;
mod submission;
mod tend;

pub use inside::slurm_run_main;
pub use inventory::{Asked, Inventory, NoInventory, inventory};
pub use nodes::{Expected, SAYS};

use crate::environ::Surroundings;
use crate::order::{Engine, EngineReport, Order};
use crate::slurm::command::Slurm;
use crate::slurm::errands::Errands;
use crate::slurm::spool::Spool;
use crate::slurm::tend::{Call, Tender};
use crate::wire::Command;
use madang_model::{RunId, SlurmSite, Span, StopCause};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// How a Slurm site's engine is set up.
#[derive(Clone, Debug)]
pub struct SlurmOptions {
    /// What the centre file says.
    pub site: SlurmSite,
    /// The nodes that the centre file promises.
    pub nodes: Vec<Expected>,
    /// The program that, called with `slurm-run`, runs [`slurm_run_main`]; it is copied to the shared folder.
    pub helper: PathBuf,
    /// Set in every job's environment, last.
    pub extra_env: Vec<(String, String)>,
}

/// Why a Slurm site's engine could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum SlurmError {
    /// Its own folder, or the one shared with the nodes, cannot be used.
    #[error("failed to use {path} for the Slurm engine")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another engine works in the folder.
    #[error("failed to lock {path}: another server is using it")]
    Busy {
        /// Which.
        path: PathBuf,
    },
}

/// Runs on the nodes of a Slurm cluster. Dropping it leaves jobs running; the next one takes them up.
#[derive(Debug)]
pub struct SlurmEngine {
    calls: Sender<Call>,
    known: Known,
    tender: Option<JoinHandle<()>>,
}

/// Runs that are here, for whoever asks while the engine's thread is at work.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known(Arc<Mutex<BTreeSet<RunId>>>);

impl Known {
    pub fn set(&self) -> MutexGuard<'_, BTreeSet<RunId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SlurmEngine {
    /// Opens the engine: `dir` is its own folder, in which it keeps who it is. Takes up the runs of a former server;
    /// that Slurm does not answer is no hindrance, and reported of its nodes.
    pub fn open(dir: &Path, options: SlurmOptions, reports: Sender<EngineReport>) -> Result<SlurmEngine, SlurmError> {
        let spool = Spool::open(dir, Path::new(&options.site.spool), &options.helper)?;
        let slurm = Slurm::new(&options.site);
        let known = Known::default();
        let surroundings = Surroundings {
            path_prefix: None, // Slurm's own commands are what works on its nodes.
            ..crate::local::surroundings(&crate::local::Options {
                extra_env: options.extra_env,
                ..crate::local::Options::default()
            })
        };
        let folder = |source| SlurmError::Folder { path: dir.to_owned(), source };
        let (calls, told) = channel();
        let errands = Errands::start(&slurm, &options.site.partition, &calls).map_err(folder)?;
        let parts = (slurm, errands, spool);
        let mut tender = Tender::new(parts, (options.site, options.nodes), surroundings, known.clone(), reports);
        tender.adopt().map_err(folder)?;
        let work = move || tender.tend(&told);
        let tender = std::thread::Builder::new().name("engine-slurm".to_owned()).spawn(work).map_err(folder)?;
        Ok(SlurmEngine { calls, known, tender: Some(tender) })
    }

    /// A thread that is gone is a server that is ending: the next one compares what was told with what is known.
    fn call(&self, call: Call) {
        self.calls.send(call).ok();
    }
}

impl Engine for SlurmEngine {
    fn known(&self) -> Vec<RunId> {
        self.known.set().iter().copied().collect()
    }

    fn start(&mut self, order: Order) {
        self.known.set().insert(order.run);
        self.call(Call::Start(Box::new(order)));
    }

    fn stop(&mut self, run: RunId, cause: StopCause) {
        self.call(Call::Tell(run, Command::Stop(cause)));
    }

    fn signal(&mut self, run: RunId, signal: i32, shell_only: bool) {
        self.call(Call::Tell(run, Command::Signal { signal, shell: shell_only }));
    }

    fn set_limit(&mut self, run: RunId, limit: Span) {
        self.call(Call::Tell(run, Command::Limit(limit)));
    }

    fn release(&mut self, run: RunId, exit: i32) {
        self.call(Call::Tell(run, Command::Release(exit)));
    }

    fn confirm(&mut self, run: RunId) {
        self.call(Call::Confirm(run));
    }

    fn forget(&mut self, run: RunId) {
        self.call(Call::Forget(run));
    }
}

impl Drop for SlurmEngine {
    fn drop(&mut self) {
        self.call(Call::Close);
        if let Some(tender) = self.tender.take() {
            tender.join().ok();
        }
    }
}
