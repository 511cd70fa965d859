//! Submission: names resolved, bounds checked, the job or array made.
use crate::array::ArrayRecord;
use crate::effect::{Notice, Reply};
use crate::gate::Fate;
use crate::input::{Submission, Wait};
use crate::refusal::{Code, Refusal};
use crate::state::{Centre, Todo};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use madang_model::choice::MOST_KINDS;
use madang_model::{
    Blocked, Dependency, Elastic, GpuTime, Job, JobId, JobSpec, JobState, NodeId, Part, Partition, PartitionId,
    Progress, ProjectId, Request, Role, SiteId, Span, Time, UserId,
};

pub(crate) const NAME_MOST: usize = 1024;
pub(crate) const COMMENT_MOST: usize = 4096;
const NICE_MOST: i32 = 10_000;
const PARTS_MOST: usize = 16;
const PARTITIONS_MOST: usize = 64;
const WAITS_MOST: usize = 1024;
const NODES_NAMED_MOST: usize = 4096;

/// What a submission asks for.
pub(crate) enum Fresh {
    Job(Box<Job>),
    Array(Box<ArrayRecord>),
}

impl Centre {
    pub(crate) fn submit(&mut self, by: &str, submission: Submission) -> Result<Reply, Refusal> {
        let fresh = self.fresh(by, submission)?;
        let id = JobId::new(self.next_job);
        match fresh {
            Fresh::Job(job) => {
                self.next_job += 1;
                self.count_project(job.spec.project, 1, 0);
                self.counts.waiting += 1;
                self.jobs.insert(*job);
                self.enter_queue(id);
            }
            Fresh::Array(record) => {
                self.next_job += 1 + u64::from(record.count);
                self.count_project(record.spec.project, i64::from(record.count), 0);
                self.counts.waiting += record.count;
                for wait in &record.spec.after {
                    self.index.waiters.entry(wait.on).or_default().insert(id);
                }
                self.arrays.insert(id, *record);
                self.watch_deadline(id);
                self.todo.push_back(Todo::Fill(id));
            }
        }
        self.notice(Notice::Job(id));
        Ok(Reply::Job(id))
    }

    /// The job or array that a submission asks for, as it would be taken in now; everything is checked here.
    pub(crate) fn fresh(&self, by: &str, mut submission: Submission) -> Result<Fresh, Refusal> {
        let active = u64::from(self.counts.waiting) + u64::from(self.counts.running);
        if active >= crate::MOST_JOBS {
            let fact = format!("{active} jobs wait or run, the most there may be");
            return Err(Refusal::new(Code::TooMany, fact).hint("try again when some have ended"));
        }
        let (array, held) = (submission.array.take(), submission.held);
        let spec = self.spec_of(by, submission)?;
        let id = JobId::new(self.next_job);
        Ok(match array {
            None => Fresh::Job(Box::new(Job { held, ..waiting(id, spec, self.now) })),
            Some(array) => Fresh::Array(Box::new(ArrayRecord::new(id, spec, self.now, array, held)?)),
        })
    }

    fn spec_of(&self, by: &str, mut submission: Submission) -> Result<JobSpec, Refusal> {
        let user = self.submitter(by, &submission.user)?;
        let project = self.payer(user, submission.project.as_deref())?;
        check_text("name", &submission.name, NAME_MOST)?;
        check_text("comment", &submission.comment, COMMENT_MOST)?;
        let named = self.partitions(&submission)?;
        let limit = submission.limit.unwrap_or(named[0].default_limit);
        let partitions = allowing(limit, &named)?;
        let limit_min = submission.limit_min.map(|least| check_least(least, limit)).transpose()?;
        let parts = core::mem::take(&mut submission.parts);
        let mut request = self.request(&partitions, project, parts, &submission)?;
        self.check_own_window(&request, limit_min.unwrap_or(limit))?;
        if GpuTime::checked_of(request.gpus(), self.covered(limit)).is_none() {
            return Err(Refusal::new(Code::Invalid, format!("{} for {limit} cannot be counted", request.gpus())));
        }
        if let Some(warning) = submission.warning
            && !(1..=64).contains(&warning.signal)
        {
            return Err(Refusal::new(Code::Invalid, format!("{} is not a signal number", warning.signal)));
        }
        let sched = self.sched.as_ref().expect("founded: apply refuses everything else before");
        let mut fits = sched.fits_ever(&self.without_spares(&request));
        if fits.is_err() && request.topology.patience.is_some() {
            // Nobody is to wait for a level that no island has.
            request.topology = request.topology.relaxed();
            fits = sched.fits_ever(&self.without_spares(&request));
        }
        fits.map_err(|fact| {
            Refusal::new(Code::Impossible, fact).hint("see what there is with: madang node list, or sinfo")
        })?;
        let after = self.waits_of(&submission.after)?;
        let data = self.data_of(project, &submission)?;
        let spec = JobSpec {
            name: submission.name,
            user,
            project,
            partition: partitions[0].id,
            also: partitions[1..].iter().map(|partition| partition.id).collect(),
            request,
            limit,
            limit_min,
            deadline: submission.deadline,
            qos: submission.qos,
            nice: nice(submission.nice),
            begin: submission.begin,
            after,
            after_any: submission.after_any,
            singleton: submission.singleton,
            kill_on_invalid: submission.kill_on_invalid,
            requeue: submission.requeue,
            checkpoint: submission.checkpoint,
            warning: submission.warning,
            launch: submission.launch,
            model: submission.model,
            comment: submission.comment,
            data,
        };
        self.check_deadline(&spec)?;
        Ok(spec)
    }

    fn submitter(&self, by: &str, user: &str) -> Result<UserId, Refusal> {
        let id = self.user_named(user)?;
        let may = by.is_empty()
            || by == user
            || self.user_named(by).is_ok_and(|by| self.users[by.index()].role >= Role::Operator);
        if may {
            return Ok(id);
        }
        Err(Refusal::new(Code::NotAllowed, format!("{by} may not submit for {user}")))
    }

    fn payer(&self, user: UserId, project: Option<&str>) -> Result<ProjectId, Refusal> {
        let user = &self.users[user.index()];
        let mine = || {
            let names = user.projects.iter().map(|id| self.projects[id.index()].name.as_str());
            names.collect::<Vec<_>>().join(", ")
        };
        let Some(name) = project else {
            let first = user.projects.first().copied();
            return first.ok_or_else(|| {
                Refusal::new(Code::NotAllowed, format!("{} is a member of no project", user.name))
                    .hint("an officer can add you: madang project member PROJECT USER")
            });
        };
        let found = self.index.projects.get(name).copied();
        match found.filter(|id| user.role == Role::Admin || user.projects.contains(id)) {
            Some(id) => Ok(id),
            None => {
                let fact = format!("{} is not a member of a project named {name}", user.name);
                Err(Refusal::new(Code::NotFound, fact).hint(format!("your projects: {}", mine())))
            }
        }
    }

    fn partition(&self, name: Option<&str>) -> Result<&Partition, Refusal> {
        let all = &self.base().partitions;
        let found = match name {
            None => all.first(),
            Some(name) => all.iter().find(|partition| partition.name == name),
        };
        found.ok_or_else(|| {
            let names: Vec<&str> = all.iter().map(|partition| partition.name.as_str()).collect();
            Refusal::new(Code::NotFound, format!("no partition is named {}", name.unwrap_or("(default)")))
                .hint(format!("partitions are {}", names.join(", ")))
        })
    }

    /// The partitions named, each once, in the order named; the default one where none is.
    fn partitions(&self, submission: &Submission) -> Result<Vec<&Partition>, Refusal> {
        if submission.also.len() >= PARTITIONS_MOST {
            let fact = format!("names {} partitions, at most {PARTITIONS_MOST}", submission.also.len() + 1);
            return Err(Refusal::new(Code::Invalid, fact));
        }
        if submission.partition.is_none() && submission.also.is_empty() && !submission.sites.is_empty() {
            return self.partitions_with(submission);
        }
        let mut found = alloc::vec![self.partition(submission.partition.as_deref())?];
        for name in &submission.also {
            let partition = self.partition(Some(name))?;
            if found.iter().all(|known| known.id != partition.id) {
                found.push(partition);
            }
        }
        Ok(found)
    }

    /// Where a job is: of the partitions that it may go to the first that has the site it runs or ran at; while it waits
    /// the first of all.
    pub fn partition_of(&self, job: &Job) -> PartitionId {
        let on = match &job.state {
            JobState::Ended { .. } => job.runs.last().map(|run| &run.on),
            state => state.holding().map(|(_, on)| on),
        };
        let Some(site) = on.map(|on| self.site_of(on)) else { return job.spec.partition };
        let has = |id: &PartitionId| self.base().partitions[id.index()].sites.contains(&site);
        job.spec.partitions().find(has).unwrap_or(job.spec.partition)
    }

    fn request(
        &self,
        partitions: &[&Partition],
        project: ProjectId,
        parts: Vec<Part>,
        submission: &Submission,
    ) -> Result<Request, Refusal> {
        if parts.is_empty() || parts.len() > PARTS_MOST {
            let fact = format!("a gang has 1 to {PARTS_MOST} parts, this one {}", parts.len());
            return Err(Refusal::new(Code::Invalid, fact));
        }
        let estate = self.base().nodes.len() as u64;
        let nodes: u64 = parts.iter().map(|part| u64::from(part.nodes)).sum();
        if parts.iter().any(|part| part.nodes == 0 || part.cpus == 0) {
            return Err(Refusal::new(Code::Invalid, "every part needs at least one node and one CPU on each"));
        }
        if nodes > estate || parts.iter().any(|part| part.gpus > 32) {
            let fact = format!("asks for {nodes} nodes, the estate has {estate}; a node has at most 32 GPUs");
            return Err(Refusal::new(Code::Impossible, fact));
        }
        check_choices(&parts)?;
        let sites = self.sites(partitions, submission)?;
        self.check_engines(&sites, submission)?;
        let include = self.nodes_named(&submission.include)?;
        let exclude = self.nodes_named(&submission.exclude)?;
        let reservation =
            submission.reservation.as_deref().map(|name| self.own_reservation(name, project)).transpose()?;
        let (across_islands, topology) = (submission.across_islands, submission.topology.clone());
        let elastic = elastic(&parts, submission)?;
        let reach = Vec::new();
        Ok(Request { parts, sites, include, exclude, across_islands, topology, reservation, elastic, reach })
    }

    /// A site that runs real processes needs something to run.
    fn check_engines(&self, sites: &[SiteId], submission: &Submission) -> Result<(), Refusal> {
        let real = |id: &&SiteId| self.base().sites[id.index()].engine.is_real();
        let Some(site) = sites.iter().find(real) else { return Ok(()) };
        let name = &self.base().sites[site.index()].name;
        if submission.launch.is_none() {
            return Err(Refusal::new(Code::Invalid, format!("site {name} runs real processes and there is no script"))
                .hint("give a script, or name a partition that is modelled"));
        }
        if submission.model.is_some() {
            let fact = format!("site {name} runs real processes, so a modelled run time means nothing there");
            return Err(Refusal::new(Code::Invalid, fact));
        }
        Ok(())
    }

    fn nodes_named(&self, names: &[String]) -> Result<Vec<NodeId>, Refusal> {
        if names.len() > NODES_NAMED_MOST {
            let fact = format!("names {} nodes, at most {NODES_NAMED_MOST} may be named", names.len());
            return Err(Refusal::new(Code::Invalid, fact));
        }
        let mut nodes = names.iter().map(|name| self.node_named(name)).collect::<Result<Vec<_>, _>>()?;
        nodes.sort_unstable();
        nodes.dedup();
        Ok(nodes)
    }

    fn waits_of(&self, waits: &[Wait]) -> Result<Vec<Dependency>, Refusal> {
        if waits.len() > WAITS_MOST {
            let fact = format!("waits for {} jobs, at most {WAITS_MOST} are allowed", waits.len());
            return Err(Refusal::new(Code::Invalid, fact));
        }
        let resolve = |wait: &Wait| {
            let on = match wait.on.task {
                None => Some(wait.on.job),
                Some(task) => self
                    .arrays
                    .get(&wait.on.job)
                    .and_then(|array| array.order_of(task).map(|order| array.job_at(order))),
            };
            let known = on.filter(|on| self.fate(*on) != Fate::Unknown);
            let on = known.ok_or_else(|| {
                Refusal::new(Code::NotFound, format!("waits for {}, which is not known", wait.on.job))
            })?;
            Ok(Dependency { on, kind: wait.kind, delay: wait.delay })
        };
        waits.iter().map(resolve).collect()
    }
}

/// A job as it begins to wait.
pub(crate) fn waiting(id: JobId, spec: JobSpec, submitted: Time) -> Job {
    Job {
        id,
        spec,
        submitted,
        eligible: None,
        task: None,
        held: false,
        state: JobState::Pending { why: Blocked::Fresh },
        runs: Vec::new(),
        attempts: 0,
        sent: None,
        saved: None,
        saving: None,
        granted: None,
        progress: Progress::default(),
    }
}

/// What an elastic gang asks for, if it makes sense: it has one part, may be larger, and can start again.
fn elastic(parts: &[Part], submission: &Submission) -> Result<Option<Elastic>, Refusal> {
    let Some(asked) = submission.elastic else { return Ok(None) };
    let invalid = |fact: String| Err(Refusal::new(Code::Invalid, fact));
    let [part] = parts else {
        return invalid(format!("an elastic gang has one part, this one {}", parts.len()));
    };
    if asked.most < part.nodes {
        return invalid(format!("asks for at least {} nodes and at most {}", part.nodes, asked.most));
    }
    if asked.restart.is_some() && !submission.requeue {
        let fact = "it may not start again, so that it cannot be resized while it runs";
        return Err(Refusal::new(Code::Invalid, fact).hint("let it requeue, or leave its size as it starts"));
    }
    let fixed = asked.most == part.nodes && asked.restart.is_none();
    Ok((!fixed).then_some(asked))
}

/// A nice within its range.
pub(crate) fn nice(asked: i32) -> i32 {
    asked.clamp(-NICE_MOST, NICE_MOST)
}

/// The partitions that allow the limit; those that do not are left out while one does.
fn allowing<'a>(limit: Span, partitions: &[&'a Partition]) -> Result<Vec<&'a Partition>, Refusal> {
    let allowed: Vec<&Partition> =
        partitions.iter().copied().filter(|partition| check_limit(limit, partition).is_ok()).collect();
    if allowed.is_empty() {
        // The one that allows most says best what is wrong.
        let longest = partitions.iter().max_by_key(|partition| partition.max_limit);
        longest.map_or(Ok(()), |partition| check_limit(limit, partition))?;
    }
    Ok(allowed)
}

/// A shortest limit within its bounds.
fn check_least(least: Span, limit: Span) -> Result<Span, Refusal> {
    if least < Span::from_secs(1) {
        return Err(Refusal::new(Code::Invalid, "the shortest limit is below one second"));
    }
    if least > limit {
        let fact = format!("asks for a limit of {limit}, and of {least} at least");
        return Err(Refusal::new(Code::Invalid, fact));
    }
    Ok(least)
}

/// Choices between models and features multiply, and each way to choose is looked at by itself.
fn check_choices(parts: &[Part]) -> Result<(), Refusal> {
    let choices = parts.iter().flat_map(|part| part.model.iter().chain(&part.features));
    let mut kinds = 1u32;
    for choice in choices {
        let words = choice.words().len() as u32;
        if words > MOST_KINDS {
            return Err(Refusal::new(Code::Invalid, format!("names {words} alternatives, at most {MOST_KINDS}")));
        }
        kinds = if choice.binds() { kinds.saturating_mul(words) } else { kinds };
    }
    if kinds > MOST_KINDS {
        let fact = format!("its alternatives come to {kinds} kinds of gang, at most {MOST_KINDS}");
        return Err(Refusal::new(Code::Invalid, fact));
    }
    Ok(())
}

pub(crate) fn check_limit(limit: Span, partition: &Partition) -> Result<(), Refusal> {
    if limit < Span::from_secs(1) {
        return Err(Refusal::new(Code::Invalid, "the limit is below one second"));
    }
    if limit > partition.max_limit {
        let fact = format!("asks for {limit}, partition {} allows {}", partition.name, partition.max_limit);
        return Err(Refusal::new(Code::Invalid, fact));
    }
    Ok(())
}

pub(crate) fn check_text(what: &str, text: &str, most: usize) -> Result<(), Refusal> {
    if text.len() > most {
        return Err(Refusal::new(Code::Invalid, format!("the {what} has {} bytes, at most {most}", text.len())));
    }
    if text.contains(['\0', '\n', '\r']) {
        return Err(Refusal::new(Code::Invalid, format!("the {what} holds a line break or a NUL")));
    }
    Ok(())
}
