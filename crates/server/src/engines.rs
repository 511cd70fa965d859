//! The engines of a centre's sites: what carries out starts, stops and signals.
//!
//! Modelled sites share one model engine, which is asked with the core's clock. A site where something really runs has
//! an engine of its own, whose reports come through a thread into the core's queue. None waits, none decides.

use crate::launch::{self, Launched};
use crate::queue::{Queue, Seen};
use crate::store::Journal;
use crate::trouble::Trouble;
use madang_agent::Heard;
use madang_centre::{ArrayRecord, Centre, GRACE, Input, Report};
use madang_engine::{ArrayInfo, Engine, NodeShare, Order};
use madang_model::{
    Allocation, EndedRun, Founding, Health, Job, JobState, NodeId, Outcome, Qos, RunId, SiteId, Slot, Span, StopCause,
    Time,
};
use madang_sim::ModelEngine;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The engines of sites where something really runs.
#[derive(Default)]
pub struct Real {
    /// Those that are reached from this server: its own, and those behind agents.
    pub engines: BTreeMap<SiteId, Box<dyn Engine>>,
    /// Sites of another machine's server, which cannot be reached from this one: nothing is started there, what runs there
    /// is left alone, and what became of it is asked when that server leads again.
    pub away: BTreeSet<SiteId>,
}

impl Real {
    fn at(&mut self, site: SiteId) -> Option<&mut Box<dyn Engine>> {
        self.engines.get_mut(&site)
    }

    fn known(&self) -> Vec<(RunId, SiteId)> {
        let engines = self.engines.iter();
        engines.flat_map(|(site, engine)| engine.known().into_iter().map(|run| (run, *site))).collect()
    }
}

/// All engines of a centre.
pub struct Engines {
    modelled: Vec<bool>,
    model: ModelEngine,
    real: Real,
    nodes: BTreeMap<String, NodeId>,
    queue: Arc<Queue>,
}

/// What a start names: site, run, what it holds, how long it may run.
pub type Start<'a> = (SiteId, RunId, &'a Allocation, Span);

impl Engines {
    /// The engines of a centre, `real` for the sites where something really runs.
    pub fn new(founding: &Founding, real: Real, queue: Arc<Queue>) -> Engines {
        let modelled = founding.sites.iter().map(|site| !site.engine.is_real()).collect();
        let nodes = founding.nodes.iter().map(|node| (node.name.clone(), node.id)).collect();
        Engines { modelled, model: ModelEngine::new(), real, nodes, queue }
    }

    /// After a restart: what the core believes to run is compared with what engines know. A start that may not have
    /// left is sent again, for engines start a run once at most; so is a stop.
    pub fn take_up(&mut self, now: Time, centre: &Centre, journal: &Journal) -> Result<(), Trouble> {
        let here = self.real.known();
        let known: BTreeSet<RunId> = here.iter().map(|(run, _)| *run).collect();
        for job in centre.jobs() {
            let Some((run, on)) = job.state.holding() else { continue };
            let site = site_of(centre, on);
            let is_modelled = self.is_modelled(site);
            match &job.state {
                JobState::Starting { .. } => self.start(now, centre, (site, run, on, job.limit()), journal)?,
                JobState::Running { since, .. } if is_modelled => {
                    self.model.adopt(run, *since, job.limit(), job.model_on(on));
                }
                JobState::Running { .. } if !known.contains(&run) && !self.real.away.contains(&site) => {
                    match self.real.at(site) {
                        // An agent is asked once it is there, an engine here knows at once. A limit that was changed may
                        // not have reached it.
                        Some(engine) => {
                            engine.confirm(run);
                            engine.set_limit(run, job.limit());
                        }
                        None => self.queue.report(Report::Unknown { run }.into()),
                    }
                }
                JobState::Completing { since, cause, .. } => {
                    if let (true, Some(since)) = (is_modelled, since) {
                        self.model.adopt(run, *since, job.limit(), job.model_on(on));
                    }
                    self.stop(now, site, run, *cause);
                }
                _ => {}
            }
        }
        // What was given up keeps its nodes until it is known to be gone; of a site that is lost nothing is known.
        for (run, fenced) in centre.fenced().filter(|(run, _)| !known.contains(run)) {
            if centre.lost(fenced.site).is_some() || self.real.away.contains(&fenced.site) {
                continue;
            }
            match self.real.at(fenced.site) {
                Some(engine) => engine.confirm(run),
                None => self.queue.report(Report::Unknown { run }.into()),
            }
        }
        for (run, site) in here.into_iter().filter(|(run, _)| !is_current(centre, *run)) {
            if let Some(engine) = self.real.at(site) {
                engine.stop(run, StopCause::Stale);
            }
            if !centre.is_fenced(run) {
                self.let_go(run);
            }
        }
        Ok(())
    }

    /// Starts a run.
    pub fn start(&mut self, now: Time, centre: &Centre, start: Start<'_>, journal: &Journal) -> Result<(), Trouble> {
        let (site, run, on, limit) = start;
        let Some(job) = centre.job(run.job) else { return Ok(()) };
        if self.is_modelled(site) {
            self.model.start(now, run, limit, job.model_on(on));
            return Ok(());
        }
        if self.real.away.contains(&site) {
            tracing::warn!("{run} is not started: its site belongs to a server that does not lead");
            return Ok(());
        }
        let blob = launch::name_of(job).map(|name| journal.blob(name)).transpose()?.flatten();
        let launched = blob.and_then(|blob| serde_json::from_slice::<Launched>(&blob).ok());
        match (self.real.at(site), launched) {
            (Some(engine), Some(launched)) => engine.start(order(centre, job, launched, (run, on, limit))),
            _ => {
                tracing::error!("failed to start {run}: this server has no engine or no launch for it");
                self.queue.report(Report::Ended { run, at: now, outcome: Outcome::LaunchFailed }.into());
            }
        }
        Ok(())
    }

    /// Ends a run.
    pub fn stop(&mut self, now: Time, site: SiteId, run: RunId, cause: StopCause) {
        let (is_modelled, is_away) = (self.is_modelled(site), self.real.away.contains(&site));
        match self.real.at(site) {
            Some(engine) => engine.stop(run, cause),
            None if is_modelled => self.model.stop(now, run, cause),
            None if is_away => {}
            None => self.queue.report(Report::Unknown { run }.into()),
        }
    }

    /// Reports that are news. What an agent says of runs that are not its site's is dropped, what nobody waits for is
    /// ended, and an end that the core has taken before may be forgotten where it is kept.
    pub fn sift(&mut self, centre: &Centre, reports: Vec<Seen>) -> Vec<Seen> {
        let (mut news, mut ended) = (Vec::new(), BTreeSet::new());
        for seen in reports {
            match (&seen.report, seen.by) {
                (report, Some(site)) if !is_its_own(centre, site, report) => {
                    tracing::warn!("a site's agent is not believed, of a run that is not its own: {report:?}");
                }
                (Report::Started { run, .. }, Some(site)) if !is_current(centre, *run) => {
                    if let Some(engine) = self.real.at(site) {
                        engine.stop(*run, StopCause::Stale);
                    }
                }
                (Report::Ended { run, .. }, _) if is_repeated(centre, &seen.report) => self.let_go(*run),
                // Told once on each of two links, it may come twice in one batch.
                (Report::Ended { run, .. }, _) if !ended.insert(*run) => {}
                (report, _) if is_repeated(centre, report) => {}
                _ => news.push(seen),
            }
        }
        news
    }

    /// A run may run this long from its start.
    pub fn limit(&mut self, centre: &Centre, site: SiteId, run: RunId, limit: Span) {
        if !self.is_modelled(site) {
            return self.real.at(site).into_iter().for_each(|engine| engine.set_limit(run, limit));
        }
        if let Some(job) = centre.job(run.job)
            && let JobState::Starting { since, on, .. } | JobState::Running { since, on, .. } = &job.state
        {
            self.model.relimit(run, *since, limit, job.model_on(on));
        }
    }

    /// The holder of an allocation is done with it.
    pub fn release(&mut self, site: SiteId, run: RunId, exit: i32) {
        self.real.at(site).into_iter().for_each(|engine| engine.release(run, exit));
    }

    /// Signals a run: a number, and whether the batch shell alone gets it.
    pub fn signal(&mut self, now: Time, site: SiteId, run: RunId, (signal, shell): (i32, bool)) {
        let is_modelled = self.is_modelled(site);
        match self.real.at(site) {
            Some(engine) => engine.signal(run, signal, shell),
            None if is_modelled => self.model.signal(now, run, signal),
            None => {}
        }
    }

    /// The end of a run is on the disk: its engine need not remember it.
    pub fn let_go(&mut self, run: RunId) {
        self.real.engines.values_mut().for_each(|engine| engine.forget(run));
    }

    /// What the core is to be told for a node to fare as its engine says. An operator's word on a node stands above an
    /// engine's: only what an engine has said does it take back.
    pub fn fares(&self, centre: &Centre, node: String, health: Health) -> Vec<Input> {
        let Some(id) = self.nodes.get(&node) else { return Vec::new() };
        let is_engines = |why: &str| why.starts_with(madang_engine::SAYS);
        let up = |node: String| Input::Report(Report::NodeUp { node });
        match (centre.health(*id), health) {
            (Health::Down { .. }, Health::Down { .. }) | (Health::Up, Health::Up) => Vec::new(),
            (_, Health::Down { why }) => vec![Input::Report(Report::NodeDown { node, why })],
            (Health::Down { .. }, Health::Up) => vec![up(node)],
            (Health::Down { .. }, Health::Drain { why }) => vec![up(node.clone()), Input::Drain { node, why }],
            (Health::Up, Health::Drain { why }) => vec![Input::Drain { node, why }],
            (Health::Drain { why }, Health::Up) if is_engines(why) => vec![Input::Resume { node }],
            (Health::Drain { why: told }, Health::Drain { why }) if is_engines(told) && *told != why => {
                vec![Input::Drain { node, why }]
            }
            (Health::Drain { .. }, _) => Vec::new(),
        }
    }

    /// What the core is to be told of a site's silence, or of its return: a silent site takes nothing new, and what runs
    /// there stays as it is until its jobs are due elsewhere. An operator's word on a site stands above its agent's.
    pub fn hears(&self, now: Time, centre: &Centre, site: SiteId, heard: &Heard) -> Option<Input> {
        let name = centre.founding()?.sites.get(site.index())?.name.clone();
        match (heard, centre.lost(site)) {
            (Heard::Silent { since_ms, why }, None) => {
                let since = if *since_ms == 0 { now } else { Time::from_millis(*since_ms) };
                Some(Input::SiteSilent { site: name, since, why: why.clone() })
            }
            (Heard::Linked, Some(lost)) if !lost.by_operator => Some(Input::SiteHeard { site: name }),
            _ => None,
        }
    }

    /// When the model engine next has something to report.
    pub fn next_due(&self) -> Option<Time> {
        self.model.next_due()
    }

    /// What the model engine has to report by now.
    pub fn due(&mut self, now: Time) -> Vec<Report> {
        self.model.due(now)
    }

    fn is_modelled(&self, site: SiteId) -> bool {
        self.modelled.get(site.index()).copied().unwrap_or(true)
    }
}

/// The site of an allocation.
pub fn site_of(centre: &Centre, on: &Allocation) -> SiteId {
    let node = on.slots.first().and_then(|slot| centre.founding()?.nodes.get(slot.node.index()));
    node.map_or(SiteId::new(0), |node| node.site)
}

/// True of a report that the core has taken before: engines repeat themselves after a restart until they are told to
/// forget, and a repetition is neither news nor an anomaly.
fn is_repeated(centre: &Centre, report: &Report) -> bool {
    match report {
        // What was given up at a lost site keeps its nodes until its end is told.
        Report::Started { run, .. } | Report::Ended { run, .. } if centre.is_fenced(*run) => false,
        Report::Ended { run, .. } => !is_current(centre, *run),
        // A run that was given up as lost may still live: its start is news, and stops it.
        Report::Started { run, .. } => centre.job(run.job).is_some_and(|job| {
            let told = |ended: &EndedRun| ended.run == *run && ended.outcome != Outcome::NodeFailed;
            job.runs.iter().any(told) || matches!(&job.state, JobState::Running { run: now, .. } if now == run)
        }),
        _ => false,
    }
}

/// True of what an agent may say of a run. No agent is believed about another site's: what it says of a run that the core
/// waits for at another site is dropped, and so is what it does not know of a run that nobody waits for.
fn is_its_own(centre: &Centre, site: SiteId, report: &Report) -> bool {
    let (Report::Started { run, .. } | Report::Ended { run, .. } | Report::Unknown { run }) = report else {
        return true;
    };
    let holding = centre.job(run.job).and_then(|job| job.state.holding());
    if let Some((_, fenced)) = centre.fenced().find(|(fenced, _)| fenced == run) {
        return fenced.site == site;
    }
    match holding.filter(|(current, _)| current == run) {
        Some((_, on)) => site_of(centre, on) == site,
        None => matches!(report, Report::Ended { .. } | Report::Started { .. }),
    }
}

/// True of a run that the core waits for the end of.
fn is_current(centre: &Centre, run: RunId) -> bool {
    let holding = centre.job(run.job).and_then(|job| job.state.holding());
    holding.is_some_and(|(current, _)| current == run)
}

/// Everything an engine needs to know of a run.
fn order(centre: &Centre, job: &Job, launched: Launched, start: (RunId, &Allocation, Span)) -> Order {
    let (run, on, limit) = start;
    let founding = centre.founding().expect("a job is there, so the centre is founded");
    let spec = &job.spec;
    Order {
        run,
        spec: launched.spec,
        job_name: spec.name.clone(),
        user_name: centre.user_by_id(spec.user).name.clone(),
        project: centre.projects()[spec.project.index()].name.clone(),
        partition: founding.partitions[centre.partition_of(job).index()].name.clone(),
        qos: qos_name(spec.qos).to_owned(),
        comment: spec.comment.clone(),
        cluster: founding.name.clone(),
        nodes: on.slots.iter().map(|slot| share(founding, slot)).collect(),
        parts: launched.parts,
        limit,
        warning: spec.warning,
        array: job.task.and_then(|(array, task)| centre.array(array).map(|record| array_info(record, task))),
        restart_count: run.attempt.saturating_sub(1),
        spares: spec.request.spares_of(on.slots.len() as u32),
        sizes: spec.request.elastic.map(|elastic| (spec.request.nodes(), elastic.most)),
        resized_from: if job.progress.from == on.slots.len() as u32 { 0 } else { job.progress.from },
        grace: GRACE,
    }
}

fn share(founding: &Founding, slot: &Slot) -> NodeShare {
    let node = &founding.nodes[slot.node.index()];
    NodeShare {
        name: node.name.clone(),
        part: slot.part,
        devices: (0..32).filter(|device| slot.devices >> device & 1 == 1).collect(),
        gpu_milli: slot.share.map_or(0, |held| u32::from(held.milli)),
        cpus: slot.cpus,
        memory_mib: slot.memory_mib,
        model: node.device.as_ref().map(|device| device.model.clone()),
        pretend: node.pretend,
    }
}

fn array_info(record: &ArrayRecord, task: u32) -> ArrayInfo {
    let (min, _, step) = record.ranges.first().copied().unwrap_or((task, task, 1));
    let max = record.ranges.last().map_or(task, |(_, last, _)| *last);
    ArrayInfo { job: record.id.number(), task, count: record.count, min, max, step }
}

/// An urgency by name.
pub fn qos_name(qos: Qos) -> &'static str {
    match qos {
        Qos::Low => "low",
        Qos::Normal => "normal",
        Qos::High => "high",
    }
}
