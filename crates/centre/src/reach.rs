//! Many sites: which of them a submission allows, where its data are, and in which order its sites are tried.
//!
//! The order is: what the data take to be there, by the submission's hints or its project's; then the price of an hour of
//! the gang, of the cheapest of its models that the site has; then, among equals, what else the scheduler weighs, which
//! leaves the least stranded. It is worked out when the job queues, from the prices that rule then.
use crate::input::Submission;
use crate::refusal::{Code, Refusal};
use crate::state::Centre;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use madang_model::reach::{SiteList, moving, ranked};
use madang_model::{DataHint, Job, Part, Partition, ProjectId, Reach, Request, Site, SiteId, Span, Time};

/// Most places that a submission may say its data are at.
const DATA_MOST: usize = 16;
/// Most gigabytes in one place.
pub(crate) const GB_MOST: u32 = 100_000_000;

/// One of a job's sites, and how it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteStanding {
    /// The site.
    pub site: SiteId,
    /// Its place in the order, 0 for the best.
    pub rank: u32,
    /// How long its data take to be there, by the hints.
    pub delay: Span,
    /// Won for an hour of the gang there, at the prices that rule now; `None` where it has no such GPUs.
    pub won: Option<i64>,
    /// What became of it.
    pub verdict: Verdict,
}

/// What became of one of a job's sites.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It runs, or ran last, there.
    Chosen,
    /// It is promised a start there.
    Promised(Time),
    /// Its data are nearer to the chosen one.
    Farther,
    /// It costs more than the chosen one.
    Dearer,
    /// As good by data and price; the chosen one left less stranded or had room first.
    Even,
    /// Better, but it had no room, or was lost, when the job started.
    WasFull,
    /// It has no room for it now.
    Full,
    /// No set of its nodes could ever hold it.
    Never,
    /// It is lost.
    Lost,
}

/// A site, how long the data take there, and won for an hour of the gang there, if it has such GPUs.
type Cost = (SiteId, Span, Option<i64>);

/// Those that have such GPUs.
fn priced(costs: &[Cost]) -> Vec<(SiteId, Span, i64)> {
    costs.iter().filter_map(|(site, delay, won)| Some((*site, *delay, (*won)?))).collect()
}

impl Centre {
    /// The partitions of a submission that names sites and no partition.
    pub(crate) fn partitions_with(&self, submission: &Submission) -> Result<Vec<&Partition>, Refusal> {
        let list = SiteList::read(&submission.sites);
        self.check_sites(&list)?;
        let found = list.partitions(self.base(), submission.limit);
        if found.is_empty() {
            let fact = format!("no partition has a site of {}", submission.sites.join(","));
            return Err(Refusal::new(Code::NotFound, fact));
        }
        Ok(found)
    }

    /// The sites of its partitions that a submission allows, ascending.
    pub(crate) fn sites(&self, partitions: &[&Partition], submission: &Submission) -> Result<Vec<SiteId>, Refusal> {
        let list = SiteList::read(&submission.sites);
        self.check_sites(&list)?;
        let in_partition = |site: &Site| partitions.iter().any(|partition| partition.sites.contains(&site.id));
        let named = |site: &&Site| list.named.contains(&site.name.as_str());
        if let Some(site) = self.base().sites.iter().filter(named).find(|site| !in_partition(site)) {
            let names: Vec<&str> = partitions.iter().map(|partition| partition.name.as_str()).collect();
            let fact = format!("partition {} has no site named {}", names.join(", "), site.name);
            return Err(Refusal::new(Code::NotFound, fact).hint("without a partition the sites choose it"));
        }
        let all = self.base().sites.iter().filter(|site| in_partition(site));
        let taken = |site: &&Site| submission.sites.is_empty() || list.takes(&site.name);
        let mut sites: Vec<&Site> = all.filter(taken).collect();
        if list.any {
            carrying(&mut sites, submission);
        }
        if sites.is_empty() {
            let fact = format!("sites {} leave none that can carry it", submission.sites.join(","));
            return Err(Refusal::new(Code::Invalid, fact).hint("see what there is with: madang site list"));
        }
        Ok(sites.iter().map(|site| site.id).collect())
    }

    fn check_sites(&self, list: &SiteList<'_>) -> Result<(), Refusal> {
        list.unknown(&self.base().sites).map_or(Ok(()), |name| self.site_named(name).map(|_| ()))
    }

    /// Where a submission's data are: as it says, else as its project does.
    pub(crate) fn data_of(&self, project: ProjectId, submission: &Submission) -> Result<Vec<DataHint>, Refusal> {
        let said = &submission.data;
        if said.len() > DATA_MOST {
            let fact = format!("says that its data are at {} places, at most {DATA_MOST}", said.len());
            return Err(Refusal::new(Code::Invalid, fact));
        }
        let mut hints: Vec<DataHint> = Vec::new();
        for data in said {
            let hint = self.data_hint(&data.site, data.gb)?;
            match hints.iter_mut().find(|known| known.site == hint.site) {
                Some(known) => known.gb = known.gb.saturating_add(hint.gb).min(GB_MOST),
                None => hints.push(hint),
            }
        }
        if hints.is_empty() {
            hints.extend(self.projects[project.index()].data);
        }
        hints.sort_unstable();
        Ok(hints)
    }

    /// A hint by names, checked.
    pub(crate) fn data_hint(&self, site: &str, gb: u32) -> Result<DataHint, Refusal> {
        let site = self.site_named(site)?;
        if !(1..=GB_MOST).contains(&gb) {
            let fact = format!("{gb} GB of data is not between 1 and {GB_MOST}");
            return Err(Refusal::new(Code::Invalid, fact).hint("--data SITE:GB, or --data SITE for no size in mind"));
        }
        Ok(DataHint { site, gb })
    }

    /// How a job's request reaches its sites as things are now.
    pub(crate) fn reach_of(&self, data: &[DataHint], request: &Request) -> Vec<Reach> {
        if request.sites.len() < 2 {
            return Vec::new();
        }
        ranked(&priced(&self.costs(data, request)))
    }

    /// By site: how long the data take there, and won for an hour of the gang.
    fn costs(&self, data: &[DataHint], request: &Request) -> Vec<Cost> {
        let links = &self.base().links;
        let cost = |site: &SiteId| (*site, moving(data, links, *site), self.hour_at(*site, &request.parts));
        request.sites.iter().map(cost).collect()
    }

    /// Won for an hour of all parts at a site, each by the cheapest model there that it takes, rounded down; `None` where
    /// the site has none for one of them.
    fn hour_at(&self, site: SiteId, parts: &[Part]) -> Option<i64> {
        let models = self.index.models.get(site.index()).map_or(&[][..], Vec::as_slice);
        let hour = |part: &Part| {
            if part.milli() == 0 {
                return Some(0);
            }
            let taken = models.iter().filter(|model| part.model.as_ref().is_none_or(|choice| choice.allows(model)));
            let least = taken.map(|model| self.ruling_price(model, self.now).won()).min()?;
            let milli = u64::from(part.nodes).saturating_mul(part.milli());
            Some(least.saturating_mul(i64::try_from(milli).unwrap_or(i64::MAX)) / 1000)
        };
        parts.iter().try_fold(0i64, |sum, part| Some(sum.saturating_add(hour(part)?)))
    }

    /// How each of a job's sites stands: which was chosen or is promised, and why another was not.
    pub fn site_standings(&self, job: &Job) -> Vec<SiteStanding> {
        let request = &job.spec.request;
        let costs = self.costs(&job.spec.data, request);
        let reach = ranked(&priced(&costs));
        let last_of_all = reach.iter().map(|one| one.rank + 1).max().unwrap_or(1);
        let rank = |(site, _, won): &Cost| match reach.iter().find(|one| one.site == *site) {
            Some(one) => one.rank,
            None if won.is_none() => last_of_all,
            None => 0,
        };
        let last = || job.runs.last().filter(|_| matches!(job.state, madang_model::JobState::Ended { .. }));
        let on = job.state.holding().map(|(_, on)| on).or(last().map(|run| &run.on));
        let chosen = on.map(|on| self.site_of(on));
        let standing = |cost @ (site, delay, won): &Cost| SiteStanding {
            site: *site,
            rank: rank(cost),
            delay: *delay,
            won: *won,
            verdict: match chosen {
                Some(chosen) if *site != chosen && self.lost.contains_key(site) => Verdict::Lost,
                Some(chosen) => {
                    let at = costs.iter().find(|(other, ..)| *other == chosen).unwrap_or(&costs[0]);
                    against((*site, *delay, *won), *at)
                }
                None => self.waits_at(job, *site),
            },
        };
        let mut list: Vec<SiteStanding> = costs.iter().map(standing).collect();
        list.sort_by_key(|standing| (standing.rank, standing.site));
        list
    }

    /// Why a waiting job does not start at a site.
    fn waits_at(&self, job: &Job, site: SiteId) -> Verdict {
        if self.lost.contains_key(&site) {
            return Verdict::Lost;
        }
        let promise = self.promise(job.id).filter(|promise| self.site_of(&promise.on) == site);
        if let Some(promise) = promise {
            return Verdict::Promised(promise.start);
        }
        let there = Request { sites: alloc::vec![site], ..job.spec.request.clone() };
        let fits = self.sched.as_ref().is_some_and(|sched| sched.fits_ever(&there).is_ok());
        if fits { Verdict::Full } else { Verdict::Never }
    }
}

/// A site beside the chosen one, each with how long the data take there and what an hour costs.
fn against(site: Cost, chosen: Cost) -> Verdict {
    match (site.1, site.2).cmp(&(chosen.1, chosen.2)) {
        _ if site.0 == chosen.0 => Verdict::Chosen,
        _ if site.2.is_none() => Verdict::Never,
        core::cmp::Ordering::Less => Verdict::WasFull,
        core::cmp::Ordering::Equal => Verdict::Even,
        core::cmp::Ordering::Greater if site.1 > chosen.1 => Verdict::Farther,
        core::cmp::Ordering::Greater => Verdict::Dearer,
    }
}

/// Of the sites that `any` takes in those that can carry it: with something to run the real ones, if there are any;
/// without, the modelled ones.
fn carrying(sites: &mut Vec<&Site>, submission: &Submission) {
    let real = submission.launch.is_some() && submission.model.is_none();
    if !real || sites.iter().any(|site| site.engine.is_real()) {
        sites.retain(|site| site.engine.is_real() == real);
    }
}

/// The models of GPUs at each site, each once.
pub(crate) fn models(base: &madang_model::Founding) -> Vec<Vec<String>> {
    let mut models: Vec<BTreeSet<&str>> = alloc::vec![BTreeSet::new(); base.sites.len()];
    for node in &base.nodes {
        models[node.site.index()].extend(node.device.as_ref().map(|device| device.model.as_str()));
    }
    models.into_iter().map(|names| names.into_iter().map(ToString::to_string).collect()).collect()
}
