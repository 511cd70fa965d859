//! Sites that are lost: cut off with all that runs on them, or dead; what they do meanwhile is told when they are back.
//!
//! Nothing reaches a lost site, and nothing comes from it. Its runs go on (or died at once), which only the oracle knows.
//! The core hears of the silence a while after it began, from the site's agent or from an operator, and of the return.
//!
//! Draws come from a generator of their own, so that seeds of before live through the same otherwise.
use super::Sim;
use crate::faults::Fault;
use crate::rng::Rng;
use madang_centre::input::{DataAt, Input, Report, Signed, Submission};
use madang_centre::{Centre, Failover};
use madang_model::{Allocation, Founding, JobState, NodeId, RunId, SiteId, Span, StopCause, Time};
use std::collections::BTreeMap;

/// The sites of a world, and which of them are lost until when.
pub(super) struct Sites {
    rng: Rng,
    names: Vec<String>,
    of_node: Vec<SiteId>,
    lost: BTreeMap<SiteId, Time>,
}

impl Sites {
    pub fn new(seed: u64, founding: &Founding) -> Sites {
        Sites {
            rng: Rng::new(seed ^ 0x7369_7465),
            names: founding.sites.iter().map(|site| site.name.clone()).collect(),
            of_node: founding.nodes.iter().map(|node| node.site).collect(),
            lost: BTreeMap::new(),
        }
    }

    fn of(&self, on: &Allocation) -> Option<SiteId> {
        on.slots.first().map(|slot| self.of_node[slot.node.index()])
    }

    /// Until when the site of these nodes is lost, if it is.
    fn lost_until(&self, on: &Allocation, now: Time) -> Option<Time> {
        self.lost.get(&self.of(on)?).copied().filter(|until| *until > now)
    }
}

impl Sim {
    /// True of a node that can neither be told anything nor tell of itself.
    pub(super) fn is_cut_off(&self, node: NodeId) -> bool {
        self.sites.lost.get(&self.sites.of_node[node.index()]).is_some_and(|until| *until > self.now)
    }

    /// Until when a run's site is lost, if it is.
    pub(super) fn run_cut_off(&self, run: RunId) -> Option<Time> {
        self.sites.lost_until(&self.oracle.truth(run)?.on, self.now)
    }

    /// Until when what is told to these nodes is lost, if it is.
    pub(super) fn cut_off(&self, on: &Allocation) -> Option<Time> {
        self.sites.lost_until(on, self.now)
    }

    /// Perhaps a site is lost.
    pub(super) fn perhaps_lose_site(&mut self) {
        if self.healing || !self.sites.rng.per_mille(Fault::SiteLost.per_mille()) {
            return;
        }
        let site = SiteId::new(self.sites.rng.below(self.sites.names.len() as u64) as u32);
        if self.sites.lost.get(&site).is_some_and(|until| *until > self.now) {
            return;
        }
        self.strikes.count(Fault::SiteLost);
        let nodes: Vec<NodeId> = (0..)
            .zip(&self.sites.of_node)
            .filter(|(_, of)| **of == site)
            .map(|(number, _)| NodeId::new(number))
            .collect();
        let runs: Vec<RunId> = nodes.iter().flat_map(|node| self.oracle.on(*node)).collect();
        let late = std::mem::take(&mut self.late);
        late.iter().chain(&runs).for_each(|run| self.oracle.muddy(*run));
        let noticed = self.now.after(Span::from_millis(self.sites.rng.below(120_000)));
        let back = noticed.after(Span::from_secs(self.sites.rng.range(1, 14_400)));
        self.sites.lost.insert(site, back);
        if self.sites.rng.per_mille(400) {
            self.engine.lose(self.now, runs);
            self.collect_ends();
        }
        self.tell_of_loss(site, noticed, back);
    }

    /// By its agent, or by an operator who may have its jobs go on elsewhere at once.
    fn tell_of_loss(&mut self, site: SiteId, noticed: Time, back: Time) {
        let name = self.sites.names[site.index()].clone();
        let (lost, found) = if self.sites.rng.per_mille(500) {
            let silent = Input::SiteSilent { site: name.clone(), since: self.now, why: "not heard of".into() };
            (silent, Input::SiteHeard { site: name })
        } else {
            let failover = if self.sites.rng.per_mille(500) { Failover::AtOnce } else { Failover::AfterPolicy };
            let lost = Input::SiteLost { site: name.clone(), why: "no power".into(), failover };
            (lost, Input::SiteBack { site: name })
        };
        self.comes(noticed, Signed::own(lost));
        self.comes(back, Signed::own(found));
    }

    /// Some submissions say where their data are.
    pub(super) fn hint_at_data(&mut self, submission: &mut Submission) {
        if self.sites.rng.per_mille(250) {
            let site = self.sites.rng.pick(&self.sites.names).cloned().unwrap_or_default();
            submission.data = vec![DataAt { site, gb: self.sites.rng.range(1, 2_000) as u32 }];
        }
    }

    /// A stop is always answered, also of a run that is over by now and whose end nobody told.
    pub(super) fn answer_for_ended(&mut self, centre: &Centre, run: RunId) {
        let is_over = self.oracle.truth(run).is_some_and(|truth| truth.over.is_some());
        if is_over && centre.is_fenced(run) {
            self.report(Span::ZERO, Report::Unknown { run });
        }
    }

    /// After a restart: what was given up and still lives is told to stop, of what never was it is said so.
    pub(super) fn reconcile_fenced(&mut self, centre: &Centre) {
        for (run, fenced) in centre.fenced() {
            if self.cut_off(&fenced.on).is_some() {
                continue;
            }
            if self.engine.knows(run) {
                self.engine.stop(self.now, run, StopCause::Stale);
            }
            // Its end may have been told already, and the core's word on it was lost.
            if self.oracle.truth(run).is_none_or(|truth| truth.over.is_some()) {
                self.report(Span::ZERO, Report::Unknown { run });
            }
        }
    }

    /// When a run that the core waits for can be asked about.
    pub(super) fn asked_after(&self, centre: &Centre, run: RunId) -> Span {
        let on = centre.job(run.job).map(|job| &job.state).and_then(JobState::holding).map(|(_, on)| on);
        on.and_then(|on| self.cut_off(on)).map_or(Span::ZERO, |back| back.since(self.now))
    }
}
