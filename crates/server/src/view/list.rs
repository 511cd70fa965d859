//! Lists of jobs: live ones, arrays' tasks that are not jobs yet, and those that are over, merged by id.
//!
//! Ids ascend, so a page is "everything above this id", and a list read page by page misses nothing that was there
//! when it began and doubles nothing.

use crate::engines::site_of;
use crate::store::{JobFilter, Readers};
use crate::trouble::Trouble;
use crate::view::job::{Brief, Detail, Look, waiting_orders};
use crate::view::words;
use madang_api::{JobView, StateName};
use madang_centre::{ArrayRecord, Centre};
use madang_model::{Job, JobId, JobSpec, JobState, PartitionId, ProjectId, Time};
use std::collections::{BTreeMap, BTreeSet};

/// Most rows of the past looked at for one page.
const SCAN: usize = 20_000;

/// Which states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum States {
    /// Those that are not over.
    Active,
    /// All.
    All,
    /// These.
    Some(BTreeSet<StateName>),
}

impl States {
    fn has(&self, state: StateName) -> bool {
        match self {
            States::Active => !state.is_over(),
            States::All => true,
            States::Some(states) => states.contains(&state),
        }
    }
    fn reaches_back(&self) -> bool {
        match self {
            States::Active => false,
            States::All => true,
            States::Some(states) => states.iter().any(|state| state.is_over()),
        }
    }
}

/// Which jobs a list holds.
#[derive(Clone, Debug)]
pub struct Filter {
    /// Projects that the caller may see; `None` for all.
    pub sees: Option<BTreeSet<ProjectId>>,
    /// Of these users; empty for all.
    pub users: Vec<String>,
    /// Of these projects; empty for all.
    pub projects: Vec<String>,
    /// In these partitions; empty for all.
    pub partitions: Vec<String>,
    /// In these states.
    pub states: States,
    /// Of this name.
    pub name: Option<String>,
    /// These jobs, arrays or tasks.
    pub ids: Option<Vec<(u64, Option<u32>)>>,
    /// Not over before.
    pub since: Option<Time>,
    /// Submitted by.
    pub until: Option<Time>,
    /// At this site.
    pub site: Option<String>,
    /// Above this id.
    pub after: u64,
    /// At most so many.
    pub limit: usize,
    /// How much of each.
    pub detail: Detail,
    /// Tasks that are not jobs yet one by one.
    pub expand: bool,
}

/// Where a list's launches come from.
pub type Briefs<'a> = &'a dyn Fn(&JobSpec) -> Option<std::sync::Arc<Brief>>;

/// A page: its jobs, and the id after which the next begins.
pub type Found = (Vec<JobView>, Option<u64>);

/// One page of a list.
pub fn page(look: Look<'_>, readers: &Readers, filter: &Filter, briefs: Briefs<'_>) -> Result<Found, Trouble> {
    let mut found: BTreeMap<u64, Entry<'_>> = BTreeMap::new();
    let mut horizon = u64::MAX;
    if filter.states.reaches_back() {
        let (past, end) = past(look, readers, filter)?;
        horizon = end;
        found.extend(past.into_iter().map(|job| (job.id.number(), Entry::Past(Box::new(job)))));
    }
    for job in live(look.centre, filter) {
        found.insert(job.id.number(), Entry::Live(job));
    }
    add_arrays(look, filter, &mut found);
    let more = horizon != u64::MAX || found.len() > filter.limit;
    let entries: Vec<Entry<'_>> = found.into_iter().filter(|(id, _)| *id <= horizon).map(|(_, entry)| entry).collect();
    let views = entries.into_iter().take(filter.limit).filter_map(|entry| view(look, filter, briefs, entry));
    let views: Vec<JobView> = views.collect();
    let last = views.last().map(|view| view.id).filter(|_| views.len() == filter.limit);
    let next = more.then(|| last.unwrap_or(horizon)).filter(|next| *next != u64::MAX);
    Ok((views, next))
}

enum Entry<'a> {
    Live(&'a Job),
    Past(Box<Job>),
    Rest(&'a ArrayRecord),
    Task(&'a ArrayRecord, u32),
}

fn view(look: Look<'_>, filter: &Filter, briefs: Briefs<'_>, entry: Entry<'_>) -> Option<JobView> {
    match entry {
        Entry::Live(job) => Some(look.job(job, briefs(&job.spec).as_deref(), "", filter.detail)),
        Entry::Past(job) => Some(look.job(&job, briefs(&job.spec).as_deref(), "", filter.detail)),
        Entry::Rest(record) => look.array(record, briefs(&record.spec).as_deref()),
        Entry::Task(record, order) => Some(look.task(record, order, briefs(&record.spec).as_deref())),
    }
}

/// Jobs in the core: by their ids where ids are asked for, else in order from where the page begins.
fn live<'a>(centre: &'a Centre, filter: &Filter) -> Vec<&'a Job> {
    let fits = |job: &&Job| fits_job(centre, filter, job);
    let first = JobId::new(filter.after.saturating_add(1));
    match &filter.ids {
        None => centre.jobs_from(first).filter(fits).take(filter.limit + 1).collect(),
        Some(ids) => {
            let jobs: BTreeSet<JobId> = ids.iter().flat_map(|id| named(centre, *id)).collect();
            jobs.range(first..).filter_map(|id| centre.job(*id)).filter(fits).take(filter.limit + 1).collect()
        }
    }
}

/// Jobs in the core that an id means: itself, an array's tasks, or one of them.
fn named(centre: &Centre, (id, task): (u64, Option<u32>)) -> Vec<JobId> {
    let id = JobId::new(id);
    match (task, centre.array(id)) {
        (Some(task), Some(record)) => record.order_of(task).map(|order| record.job_at(order)).into_iter().collect(),
        (Some(_), None) => Vec::new(),
        (None, None) => vec![id],
        (None, Some(record)) => {
            let last = record.job_at(record.count);
            centre.jobs_from(id).map(|job| job.id).take_while(|job| *job < last).collect()
        }
    }
}

fn add_arrays<'a>(look: Look<'a>, filter: &Filter, found: &mut BTreeMap<u64, Entry<'a>>) {
    if !filter.states.has(StateName::Pending) {
        return;
    }
    for record in look.centre.arrays().filter(|record| fits_record(look.centre, filter, record)) {
        let wanted = |task: u32| filter.ids.as_ref().is_none_or(|ids| is_meant(ids, record.id.number(), task));
        if !filter.expand {
            let id = record.id.number();
            let any = waiting_orders(record).any(|order| wanted(record.task_at(order)));
            if id > filter.after && any {
                found.entry(id).or_insert(Entry::Rest(record));
            }
            continue;
        }
        let orders = waiting_orders(record).filter(|order| record.job_at(*order).number() > filter.after);
        for order in orders.filter(|order| wanted(record.task_at(*order))).take(filter.limit + 1) {
            found.entry(record.job_at(order).number()).or_insert(Entry::Task(record, order));
        }
    }
}

fn is_meant(ids: &[(u64, Option<u32>)], array: u64, task: u32) -> bool {
    ids.iter().any(|(id, wanted)| *id == array && wanted.is_none_or(|wanted| wanted == task))
}

/// Jobs that are over, and the id up to which they are complete.
fn past(look: Look<'_>, readers: &Readers, filter: &Filter) -> Result<(Vec<Job>, u64), Trouble> {
    let (mut jobs, mut after, mut looked) = (Vec::new(), filter.after, 0);
    let names = |id: &ProjectId| look.centre.projects()[id.index()].name.clone();
    let visible: Option<Vec<String>> = filter.sees.as_ref().map(|sees| sees.iter().map(names).collect());
    let projects = match (visible, filter.projects.is_empty()) {
        (visible, true) => visible,
        (None, false) => Some(filter.projects.clone()),
        (Some(visible), false) => Some(visible.into_iter().filter(|name| filter.projects.contains(name)).collect()),
    };
    loop {
        let query = JobFilter {
            projects: projects.clone(),
            user: filter.users.first().filter(|_| filter.users.len() == 1).cloned(),
            since: filter.since,
            until: filter.until,
            ids: filter.ids.clone(),
            after,
            limit: filter.limit + 1,
        };
        let rows = readers.jobs(&query)?;
        let complete = rows.len() <= filter.limit;
        looked += rows.len();
        after = rows.last().map_or(after, |job| job.id.number());
        jobs.extend(rows.into_iter().filter(|job| fits_job(look.centre, filter, job)));
        if complete {
            return Ok((jobs, u64::MAX));
        }
        if jobs.len() > filter.limit || looked >= SCAN {
            return Ok((jobs, after));
        }
    }
}

fn fits_job(centre: &Centre, filter: &Filter, job: &Job) -> bool {
    let ended = match &job.state {
        JobState::Ended { at, .. } => Some(*at),
        _ => None,
    };
    filter.states.has(words::state(&job.state))
        && filter.since.is_none_or(|since| ended.is_none_or(|at| at >= since))
        && filter.until.is_none_or(|until| job.submitted <= until)
        && fits_spec(centre, filter, &job.spec)
        && fits_partition(centre, filter, job)
        && filter.site.as_ref().is_none_or(|site| is_at(centre, job, site))
}

fn fits_record(centre: &Centre, filter: &Filter, record: &ArrayRecord) -> bool {
    filter.until.is_none_or(|until| record.submitted <= until)
        && filter.ids.as_ref().is_none_or(|ids| ids.iter().any(|(id, _)| *id == record.id.number()))
        && fits_spec(centre, filter, &record.spec)
        && filter.site.as_ref().is_none_or(|site| may_go_to(centre, &record.spec, site))
}

fn fits_spec(centre: &Centre, filter: &Filter, spec: &JobSpec) -> bool {
    let project = &centre.projects()[spec.project.index()];
    let among = |names: &[String], name: &str| names.is_empty() || names.iter().any(|known| known == name);
    filter.sees.as_ref().is_none_or(|sees| sees.contains(&spec.project))
        && among(&filter.users, &centre.user_by_id(spec.user).name)
        && among(&filter.projects, &project.name)
        && (filter.partitions.is_empty() || spec.partitions().any(|id| is_asked_for(centre, filter, id)))
        && filter.name.as_ref().is_none_or(|name| *name == spec.name)
}

/// One that has started is in one partition only.
fn fits_partition(centre: &Centre, filter: &Filter, job: &Job) -> bool {
    let open = filter.partitions.is_empty() || super::job::holds(job).is_none();
    open || is_asked_for(centre, filter, centre.partition_of(job))
}

fn is_asked_for(centre: &Centre, filter: &Filter, id: PartitionId) -> bool {
    let Some(founding) = centre.founding() else { return false };
    filter.partitions.contains(&founding.partitions[id.index()].name)
}

fn is_at(centre: &Centre, job: &Job, site: &str) -> bool {
    let Some(on) = super::job::holds(job) else { return may_go_to(centre, &job.spec, site) };
    centre.founding().is_some_and(|founding| founding.sites[site_of(centre, on).index()].name == site)
}

fn may_go_to(centre: &Centre, spec: &JobSpec, site: &str) -> bool {
    let Some(founding) = centre.founding() else { return false };
    spec.request.sites.iter().any(|id| founding.sites[id.index()].name == site)
}
