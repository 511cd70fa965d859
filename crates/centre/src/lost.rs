//! Lost sites: nothing new goes there, what may go on elsewhere does after a while, and what ran there is fenced off.
//!
//! Intuition: nobody can tell a site that is dead from one that is cut off, on which everything still runs. So a run that
//! is given up there is *fenced*: for the books it ended when the site was lost, by the provider's fault; its job may go
//! on elsewhere; and its nodes take nothing else until the site is back and its engine has said that the run is gone.
//!
//! Invariants: nothing is started or promised on a node of a lost site or of a fenced run; a fenced run is never the
//! present one of its job, so that whatever is reported of it changes neither a job's end nor the books.
use crate::effect::{Effect, Notice, Reply};
use crate::refusal::{Code, Refusal};
use crate::report::stopped_as;
use crate::state::Centre;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use madang_model::{
    Allocation, Health, Job, JobId, JobState, NodeId, Outcome, Request, RunId, SiteId, StopCause, Time,
};
use madang_sched::Event;
use serde::{Deserialize, Serialize};

/// A site that is lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// Since when.
    pub since: Time,
    /// What is known of the cause.
    pub why: String,
    /// True when an operator said so: only an operator takes it back.
    pub by_operator: bool,
    /// When its jobs go on elsewhere; `None` for never.
    pub failover: Option<Time>,
    /// True when they have.
    pub failed_over: bool,
}

/// A run that was given up at a lost site and may still live there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fenced {
    /// The site.
    pub site: SiteId,
    /// What it held when it was given up.
    pub on: Allocation,
    /// When it was given up.
    pub at: Time,
}

/// When a lost site's jobs are to go on elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failover {
    /// After the time that the policy sets.
    AfterPolicy,
    /// At once.
    AtOnce,
}

impl Centre {
    /// An operator says that a site is lost; of one that is silent already it makes the loss certain.
    pub(crate) fn site_lost(&mut self, name: &str, why: String, when: Failover) -> Result<Reply, Refusal> {
        let site = self.site_named(name)?;
        crate::submit::check_text("reason", &why, crate::submit::NAME_MOST)?;
        let known = self.lost.get(&site);
        if known.is_some_and(|lost| lost.by_operator && (when == Failover::AfterPolicy || lost.failed_over)) {
            return Err(Refusal::new(Code::WrongState, format!("site {name} is lost already")));
        }
        let since = known.map_or(self.now, |lost| lost.since);
        self.lose_site(site, since, why, true);
        if let (Failover::AtOnce, Some(lost)) = (when, self.lost.get_mut(&site)) {
            lost.failover = Some(self.now);
            self.fail_over_due();
        }
        Ok(Reply::Done)
    }

    /// A site has not been heard of since that moment.
    pub(crate) fn site_silent(&mut self, name: &str, since: Time, why: String) -> Result<Reply, Refusal> {
        let site = self.site_named(name)?;
        crate::submit::check_text("reason", &why, crate::submit::NAME_MOST)?;
        if !self.lost.contains_key(&site) {
            self.lose_site(site, since.min(self.now), why, false);
        }
        Ok(Reply::Done)
    }

    /// A silent site is heard of again. What an operator called lost stays so; but what is fenced there is told to stop.
    pub(crate) fn site_heard(&mut self, name: &str) -> Result<Reply, Refusal> {
        let site = self.site_named(name)?;
        match self.lost.get(&site) {
            Some(lost) if lost.by_operator => self.stop_again(site),
            Some(_) => self.find_site(site),
            None => {}
        }
        Ok(Reply::Done)
    }

    /// An operator says that a site is back.
    pub(crate) fn site_back(&mut self, name: &str) -> Result<Reply, Refusal> {
        let site = self.site_named(name)?;
        if !self.lost.contains_key(&site) {
            return Err(Refusal::new(Code::WrongState, format!("site {name} is not lost")));
        }
        self.find_site(site);
        Ok(Reply::Done)
    }

    fn lose_site(&mut self, site: SiteId, since: Time, why: String, by_operator: bool) {
        let before = self.lost.get(&site);
        let failed_over = before.is_some_and(|lost| lost.failed_over);
        // Counted from when it is known here: whoever was away itself may say of a site that it was never heard of.
        let known = before.and_then(|lost| lost.failover);
        let failover = known.or(self.base().policy.failover.map(|after| self.now.after(after)));
        self.lost.insert(site, Lost { since, why, by_operator, failover, failed_over });
        self.tell_nodes(site);
        self.fail_over_due();
    }

    fn find_site(&mut self, site: SiteId) {
        self.lost.remove(&site);
        self.stop_again(site);
        self.tell_nodes(site);
    }

    /// Whatever was told to a site that could not hear it is told again; what is fenced there must not go on.
    fn stop_again(&mut self, site: SiteId) {
        for (run, fenced) in self.fenced.iter().filter(|(_, fenced)| fenced.site == site) {
            self.out.push(Effect::Stop { site: fenced.site, run: *run, cause: StopCause::Stale });
        }
        for id in self.jobs_at(site) {
            match &self.jobs[&id].state {
                JobState::Completing { run, cause, .. } => {
                    self.out.push(Effect::Stop { site, run: *run, cause: *cause });
                }
                JobState::Running { run, .. } => {
                    let (run, limit) = (*run, self.jobs[&id].limit());
                    self.out.push(Effect::Limit { site, run, limit });
                }
                _ => {}
            }
        }
    }

    fn jobs_at(&self, site: SiteId) -> BTreeSet<JobId> {
        let nodes = self.base().nodes.iter().filter(|node| node.site == site);
        nodes.flat_map(|node| self.index.jobs_on(node.id)).copied().collect()
    }

    /// When the next lost site's jobs go on elsewhere.
    pub(crate) fn next_failover(&self) -> Option<Time> {
        self.lost.values().filter(|lost| !lost.failed_over).filter_map(|lost| lost.failover).min()
    }

    /// Sites that have been lost long enough are given up.
    pub(crate) fn fail_over_due(&mut self) {
        let now = self.now;
        let due = |lost: &Lost| !lost.failed_over && lost.failover.is_some_and(|at| at <= now);
        let sites: Vec<SiteId> = self.lost.iter().filter(|(_, lost)| due(lost)).map(|(site, _)| *site).collect();
        for site in sites {
            if let Some(lost) = self.lost.get_mut(&site) {
                lost.failed_over = true;
            }
            self.fail_over(site);
        }
    }

    /// What may go on elsewhere is given up here, and so is what was to stop anyway; the rest waits for the site.
    fn fail_over(&mut self, site: SiteId) {
        for id in self.jobs_at(site) {
            let job = &self.jobs[&id];
            match &job.state {
                JobState::Starting { .. } | JobState::Running { .. }
                    if job.spec.requeue && self.goes_elsewhere(job) =>
                {
                    self.fence_off(id, Outcome::NodeFailed);
                }
                JobState::Completing { cause, .. } => {
                    if let Some(outcome) = given_up_as(*cause) {
                        self.fence_off(id, outcome);
                    }
                }
                _ => {}
            }
        }
    }

    /// A run that the core no longer waits for is at a lost site, where nobody can have told it to stop.
    pub(crate) fn fence_if_lost(&mut self, id: JobId) -> bool {
        let fenced = match &self.jobs[&id].state {
            JobState::Completing { on, cause, .. } if self.lost.contains_key(&self.site_of(on)) => given_up_as(*cause),
            _ => None,
        };
        fenced.inspect(|outcome| self.fence_off(id, *outcome)).is_some()
    }

    /// True when a site that is not lost could hold the job.
    fn goes_elsewhere(&self, job: &Job) -> bool {
        let request = &job.spec.request;
        let sites: Vec<SiteId> = request.sites.iter().copied().filter(|site| !self.lost.contains_key(site)).collect();
        let there = Request { sites, ..request.clone() };
        !there.sites.is_empty() && self.sched.as_ref().is_some_and(|sched| sched.fits_ever(&there).is_ok())
    }

    /// The run is over for the books since its site was lost, and stays off its nodes until it is known to be gone. Whoever
    /// still reaches it is to end it.
    fn fence_off(&mut self, id: JobId, outcome: Outcome) {
        let job = &self.jobs[&id];
        let Some((run, on)) = job.state.holding() else { return };
        let (site, on) = (self.site_of(on), on.clone());
        let began = match &job.state {
            JobState::Running { since, .. } | JobState::Completing { since: Some(since), .. } => *since,
            _ => job.sent.unwrap_or(self.now),
        };
        let lost = self.lost.get(&site).map_or(self.now, |lost| lost.since);
        self.close(&on);
        self.fenced.insert(run, Fenced { site, on, at: self.now });
        self.out.push(Effect::Stop { site, run, cause: StopCause::Stale });
        self.end_run(id, outcome, lost.max(began).min(self.now));
    }

    fn close(&mut self, on: &Allocation) {
        for slot in &on.slots {
            *self.index.closed.entry(slot.node).or_insert(0) += 1;
        }
    }

    /// A fenced run is known to be gone, if it is one: its nodes take work again.
    pub(crate) fn unfence(&mut self, run: RunId) {
        let Some(fenced) = self.fenced.remove(&run) else { return };
        for slot in &fenced.on.slots {
            if let Some(count) = self.index.closed.get_mut(&slot.node) {
                *count -= 1;
                if *count == 0 {
                    self.index.closed.remove(&slot.node);
                    self.tell_node(slot.node);
                }
            }
        }
    }

    /// An operator answers for it that nothing of what was given up still runs on the node. True if there was any.
    pub(crate) fn unfence_node(&mut self, node: NodeId) -> bool {
        let there = |fenced: &Fenced| fenced.on.slots.iter().any(|slot| slot.node == node);
        let runs: Vec<RunId> = self.fenced.iter().filter(|(_, fenced)| there(fenced)).map(|(run, _)| *run).collect();
        runs.iter().for_each(|run| self.unfence(*run));
        !runs.is_empty()
    }

    fn tell_nodes(&mut self, site: SiteId) {
        let nodes: Vec<NodeId> =
            self.base().nodes.iter().filter(|node| node.site == site).map(|node| node.id).collect();
        nodes.into_iter().for_each(|node| self.tell_node(node));
    }

    /// Tells the scheduler whether the node takes work.
    pub(crate) fn tell_node(&mut self, id: NodeId) {
        let fares = self.fares(id);
        self.events.push(Event::Node(id, fares));
        self.notice(Notice::Node(id));
    }

    /// A node's health, and whether its site or what was given up there keeps work from it.
    pub fn fares(&self, id: NodeId) -> Health {
        let own = &self.health[id.index()];
        let site = self.base().nodes[id.index()].site;
        match (own, self.lost.get(&site)) {
            (Health::Down { .. }, _) => own.clone(),
            (_, Some(lost)) => {
                Health::Drain { why: format!("site {} is lost: {}", self.base().sites[site.index()].name, lost.why) }
            }
            (Health::Up, None) if self.index.closed.contains_key(&id) => {
                Health::Drain { why: "a run that was given up may still be there".to_string() }
            }
            (Health::Up, None) if self.spares.contains(&id) => Health::Drain { why: String::new() },
            _ => own.clone(),
        }
    }

    /// A site that is lost, if it is.
    pub fn lost(&self, site: SiteId) -> Option<&Lost> {
        self.lost.get(&site)
    }

    /// Runs that were given up at lost sites and may still live there.
    pub fn fenced(&self) -> impl Iterator<Item = (RunId, &Fenced)> {
        self.fenced.iter().map(|(run, fenced)| (*run, fenced))
    }

    /// True of a run that was given up at a lost site and may still live there.
    pub fn is_fenced(&self, run: RunId) -> bool {
        self.fenced.contains_key(&run)
    }

    /// What the invariants above say.
    pub(crate) fn audit_lost(&self, wrong: &mut Vec<String>) {
        for (run, _) in self.fenced() {
            let current = self.jobs.get(&run.job).and_then(|job| job.state.holding());
            if current.is_some_and(|(now, _)| now == run) {
                wrong.push(format!("{run} is fenced and goes on"));
            }
        }
        let promises = self.sched.iter().flat_map(|sched| sched.promises());
        for promise in promises {
            if promise.on.slots.iter().any(|slot| self.fares(slot.node) != Health::Up) {
                wrong.push(format!("{} is promised a node that takes no work", promise.job));
            }
        }
    }
}

/// How a run ends that was told to stop where nobody answers. What ran to its limit may have come to its own end before:
/// that is for its site to say.
fn given_up_as(cause: StopCause) -> Option<Outcome> {
    (cause != StopCause::Limit).then(|| stopped_as(cause, Outcome::NodeFailed))
}
