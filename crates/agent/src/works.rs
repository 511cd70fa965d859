//! The engine at the site, and a book of what it said: what is told again whenever a link begins.
//!
//! Invariant: an end stays in the book until its run is forgotten, and with it the start that it belongs to.
use crate::agent::{Options, WorksKind};
use crate::register::Fault;
use madang_engine::{Engine, EngineReport, Expected, LocalEngine, SlurmEngine, SlurmOptions};
use madang_model::{Health, RunId};
use std::collections::BTreeMap;
use std::sync::mpsc::channel;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// What was said of a run.
#[derive(Default)]
struct Said {
    started: Option<EngineReport>,
    ended: Option<EngineReport>,
    /// True of what was told on the present link.
    told: (bool, bool),
}

/// The engine, and what it said.
pub struct Works {
    /// The engine.
    pub engine: Box<dyn Engine>,
    /// What it says.
    pub reports: UnboundedReceiver<EngineReport>,
    said: BTreeMap<RunId, Said>,
    words: BTreeMap<String, Health>,
}

impl Works {
    /// Opens the engine.
    pub fn open(options: &Options, nodes: &[Expected]) -> Result<Works, Fault> {
        let (sender, seen) = channel();
        let unopened = |error: &dyn std::error::Error| {
            let cause = error.source().map(|source| format!(": {source}")).unwrap_or_default();
            Fault::new("engine", format!("{error}{cause}"))
        };
        let engine: Box<dyn Engine> = match &options.works {
            WorksKind::Local(local) => {
                let opened = LocalEngine::open(&options.dir.join("engine"), local.clone(), sender);
                Box::new(opened.map_err(|error| unopened(&error))?)
            }
            WorksKind::Slurm { site, helper, extra_env } => {
                let slurm = SlurmOptions {
                    site: site.clone(),
                    nodes: nodes.to_vec(),
                    helper: helper.clone(),
                    extra_env: extra_env.clone(),
                };
                let opened = SlurmEngine::open(&options.dir.join("slurm"), slurm, sender);
                Box::new(opened.map_err(|error| unopened(&error))?)
            }
        };
        let (out, reports) = unbounded_channel();
        let pass_on = move || {
            while let Ok(report) = seen.recv()
                && out.send(report).is_ok()
            {}
        };
        let thread = std::thread::Builder::new().name("reports".to_owned()).spawn(pass_on);
        thread.map_err(|error| Fault::new("engine", format!("failed to start the thread of reports: {error}")))?;
        Ok(Works { engine, reports, said: BTreeMap::new(), words: BTreeMap::new() })
    }

    /// Notes what the engine says; true when the server has to hear it on this link.
    pub fn note(&mut self, report: &EngineReport) -> bool {
        match report {
            EngineReport::Started { run, .. } => {
                let said = self.said.entry(*run).or_default();
                said.started = Some(report.clone());
                !std::mem::replace(&mut said.told.0, true)
            }
            EngineReport::Ended { run, .. } => {
                let said = self.said.entry(*run).or_default();
                said.ended = Some(report.clone());
                !std::mem::replace(&mut said.told.1, true)
            }
            EngineReport::Unknown { .. } => true,
            EngineReport::Node { node, health } => {
                let is_news = self.words.get(node).is_none_or(|known| known != health);
                self.words.insert(node.clone(), health.clone());
                is_news
            }
        }
    }

    /// A link begins: all that was said of runs is told again, starts before ends.
    pub fn again(&mut self) -> Vec<EngineReport> {
        let mut again = Vec::new();
        for said in self.said.values_mut() {
            said.told = (said.started.is_some(), said.ended.is_some());
            again.extend(said.started.clone());
            again.extend(said.ended.clone());
        }
        again
    }

    /// The server asks where a run stands, or wants it stopped: an end that was told is told again.
    pub fn answer(&mut self, run: RunId) -> Option<EngineReport> {
        let said = self.said.get_mut(&run)?;
        said.told = (false, said.ended.is_some());
        said.ended.clone()
    }

    /// The end of a run is in the journal.
    pub fn forget(&mut self, run: RunId) {
        self.engine.forget(run);
        if self.said.get(&run).is_some_and(|said| said.ended.is_some()) {
            self.said.remove(&run);
        }
    }

    /// The last word on each node.
    pub fn words(&self) -> Vec<(String, Health)> {
        self.words.iter().map(|(node, health)| (node.clone(), health.clone())).collect()
    }
}
