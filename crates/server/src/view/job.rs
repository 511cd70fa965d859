//! A job as callers see it.

use crate::engines::site_of;
use crate::estate::{Estate, Shape};
use crate::launch::Launched;
use crate::ranges;
use crate::view::words;
use madang_api::{ArrayView, JobView, PartView, QosName, RunView, SlotView, StateName};
use madang_centre::{ArrayRecord, Centre};
use madang_engine::{hostlist, pattern};
use madang_model::share::WHOLE;
use madang_model::{
    Allocation, Blocked, Choice, DependencyKind, EndedRun, Job, JobId, JobSpec, JobState, Outcome, PartitionId,
    Progress, Qos, Share, Slot, Span, Time,
};
use std::collections::BTreeSet;

/// What of a launch a view shows.
#[derive(Clone, Debug, Default)]
pub struct Brief {
    /// Working folder.
    pub cwd: String,
    /// Output pattern.
    pub stdout: Option<String>,
    /// Error pattern.
    pub stderr: Option<String>,
    /// Tasks and CPUs for each, by part, where the user said so.
    pub parts: Vec<(Option<u32>, Option<u32>, Option<u32>)>,
}

impl Brief {
    /// Of a launch.
    pub fn of(launched: &Launched) -> Brief {
        let parts = launched.parts.iter().map(|part| (part.ntasks, part.ntasks_per_node, part.cpus_per_task)).collect();
        let spec = &launched.spec;
        Brief { cwd: spec.cwd.clone(), stdout: spec.stdout.clone(), stderr: spec.stderr.clone(), parts }
    }
}

/// How much of a job is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// As in lists.
    Line,
    /// With nodes, devices and former runs.
    Full,
}

/// What a view leans on.
#[derive(Clone, Copy)]
pub struct Look<'a> {
    /// The centre.
    pub centre: &'a Centre,
    /// The estate.
    pub estate: &'a Estate,
}

impl Look<'_> {
    /// A job. `note` is what its engine had to say about its end; empty for nothing.
    pub fn job(&self, job: &Job, brief: Option<&Brief>, note: &str, detail: Detail) -> JobView {
        let on = holds(job);
        let mut view = match on.filter(|_| job.spec.request.elastic.is_some()) {
            Some(on) => {
                let request = job.spec.request.sized(on.slots.len() as u32);
                self.asked(job.id, &JobSpec { request, ..job.spec.clone() }, brief)
            }
            None => self.asked(job.id, &job.spec, brief),
        };
        view.limit_secs = job.limit().secs();
        view.elastic = elastic(&job.spec, &job.progress);
        view.array = job.task.map(|(array, task)| ArrayView { job: array.number(), task: Some(task), tasks: None });
        view.state = words::state(&job.state);
        view.submitted_ms = job.submitted.millis();
        view.eligible_ms = job.eligible.map(Time::millis);
        view.attempts = job.attempts;
        view.held = job.held;
        view.promised_ms = self.centre.promise(job.id).map(|promise| promise.start.millis());
        if job.eligible.is_none() {
            view.dependency = self.dependency(&job.spec); // fulfilled ones are gone, as in Slurm
        }
        self.stand(&mut view, job, note);
        if let Some(on) = on {
            self.place(&mut view, on, detail);
            self.got(&mut view, job, on);
        }
        if let Some(brief) = brief {
            self.files(&mut view, job, brief, on);
        }
        if detail == Detail::Full {
            view.sites = crate::view::sites::standings(self.centre, self.estate, job);
            view.runs = job.runs.iter().map(|run| self.run(run)).collect();
            view.stops = crate::view::health::stops(self.centre, job);
        }
        view
    }

    /// The one record that stands for an array's tasks that are not jobs yet; `None` when all are.
    pub fn array(&self, record: &ArrayRecord, brief: Option<&Brief>) -> Option<JobView> {
        let rest = waiting_tasks(record);
        if rest.is_empty() {
            return None;
        }
        let tasks = ranges::text(&ranges::compress(&rest), record.at_once);
        let mut view = self.waiting(record, record.id, brief);
        view.array = Some(ArrayView { job: record.id.number(), task: None, tasks: Some(tasks) });
        Some(view)
    }

    /// One task of an array that is not a job yet.
    pub fn task(&self, record: &ArrayRecord, order: u32, brief: Option<&Brief>) -> JobView {
        let mut view = self.waiting(record, record.job_at(order), brief);
        let task = Some(record.task_at(order));
        view.array = Some(ArrayView { job: record.id.number(), task, tasks: None });
        view
    }

    fn waiting(&self, record: &ArrayRecord, id: JobId, brief: Option<&Brief>) -> JobView {
        let mut view = self.asked(id, &record.spec, brief);
        view.submitted_ms = record.submitted.millis();
        view.held = record.held;
        view.dependency = self.dependency(&record.spec);
        if let Some(brief) = brief {
            view.cwd.clone_from(&brief.cwd);
        }
        self.set_reason(&mut view, &record.spec, &self.centre.why(record.id));
        view
    }

    /// What was asked for; the rest is as of a job that waits.
    fn asked(&self, id: JobId, spec: &JobSpec, brief: Option<&Brief>) -> JobView {
        let (centre, founding) = (self.centre, &self.estate.founding);
        let project = &centre.projects()[spec.project.index()];
        let parts: Vec<PartView> = parts(spec, brief, &self.estate.shapes);
        let all_modelled = spec.request.sites.iter().all(|site| self.estate.is_modelled(*site));
        JobView {
            id: id.number(),
            array: None,
            name: spec.name.clone(),
            user: centre.user_by_id(spec.user).name.clone(),
            project: project.name.clone(),
            owner: founding.parties[project.owner.index()].name.clone(),
            partition: self.partitions(spec.partitions()),
            qos: qos(spec.qos),
            nice: spec.nice,
            state: StateName::Pending,
            reason: String::new(),
            reason_text: String::new(),
            modelled: all_modelled,
            reservation: self.reservation(spec),
            nodes: spec.request.nodes(),
            gpus: spec.request.gpus().milli().div_ceil(1000),
            gpu_milli: spec.request.gpus().milli(),
            cpus: parts.iter().fold(0, |sum, part| sum.saturating_add(part.nodes.saturating_mul(part.cpus))),
            memory_mib: parts.first().map_or(0, |part| part.memory_mib),
            parts,
            limit_secs: spec.limit.secs(),
            limit_min_secs: spec.limit_min.map(Span::secs),
            deadline_ms: spec.deadline.map(Time::millis),
            elastic: elastic(spec, &Progress::default()),
            submitted_ms: 0,
            eligible_ms: None,
            begin_ms: spec.begin.map(Time::millis),
            started_ms: None,
            ends_ms: None,
            promised_ms: None,
            exit: 0,
            signal: 0,
            attempts: 0,
            requeue: spec.requeue,
            held: false,
            site: None,
            sites: Vec::new(),
            node_list: String::new(),
            topology: topology(&spec.request.topology),
            comment: spec.comment.clone(),
            dependency: String::new(),
            cwd: String::new(),
            stdout: String::new(),
            stderr: String::new(),
            slots: Vec::new(),
            runs: Vec::new(),
            stops: None,
        }
    }

    fn set_reason(&self, view: &mut JobView, spec: &JobSpec, why: &Blocked) {
        let block = words::block(why, self.centre, spec.request.reservation, &moment);
        let block = words::naming(block, why, spec);
        (view.reason, view.reason_text) = (block.reason, block.text);
    }

    /// The name of the reservation that a job names; its number once it is over.
    fn reservation(&self, spec: &JobSpec) -> String {
        let name = |id| self.centre.reservation(id).map_or_else(|| id.to_string(), |one| one.name.clone());
        spec.request.reservation.map(name).unwrap_or_default()
    }

    /// Times, reason and exit of where it stands.
    fn stand(&self, view: &mut JobView, job: &Job, note: &str) {
        match &job.state {
            JobState::Pending { .. } => self.set_reason(view, &job.spec, &self.centre.why(job.id)),
            JobState::Starting { .. } => {
                (view.reason, view.reason_text) = ("None".into(), "it is being started".into())
            }
            JobState::Running { since, until, .. } => {
                (view.reason, view.reason_text) = ("None".into(), "it runs".into());
                (view.started_ms, view.ends_ms) = (Some(since.millis()), Some(until.millis()));
            }
            JobState::Completing { since, cause, .. } => {
                let (reason, text) = words::stop_reason(*cause, job.id);
                (view.reason, view.reason_text) = (reason, text);
                view.started_ms = since.map(Time::millis);
            }
            JobState::Ended { outcome, at } => {
                let (reason, text) = words::end_reason(*outcome);
                (view.reason, view.reason_text) = (reason.into(), text);
                if !note.is_empty() {
                    view.reason_text = format!("{}: {note}", view.reason_text);
                }
                (view.exit, view.signal) = words::exit(*outcome);
                let last = job.runs.last();
                if *outcome == Outcome::Deadline && last.is_none_or(|run| run.outcome != Outcome::Deadline) {
                    view.reason_text = words::removed_by_deadline();
                }
                view.started_ms = last.and_then(|run| run.started).map(Time::millis);
                view.ends_ms = Some(last.map_or(*at, |run| run.ended).millis());
            }
        }
    }

    fn place(&self, view: &mut JobView, on: &Allocation, detail: Detail) {
        let site = site_of(self.centre, on);
        view.modelled = self.estate.is_modelled(site);
        view.site = Some(self.estate.founding.sites[site.index()].name.clone());
        view.node_list = self.node_list(on);
        if detail == Detail::Full {
            view.slots = on.slots.iter().map(|slot| self.slot(slot)).collect();
        }
    }

    /// What it got of what it left open: a partition, a limit, a GPU model.
    fn got(&self, view: &mut JobView, job: &Job, on: &Allocation) {
        view.partition = self.partitions([self.centre.partition_of(job)].into_iter());
        view.limit_secs = job.limit().secs();
        for (index, part) in view.parts.iter_mut().enumerate().filter(|(_, part)| part.gpu_model.is_some()) {
            let slots = on.slots.iter().filter(|slot| slot.part as usize == index);
            let node = |slot: &Slot| &self.estate.founding.nodes[slot.node.index()];
            let models: BTreeSet<&str> =
                slots.filter_map(|slot| Some(node(slot).device.as_ref()?.model.as_str())).collect();
            part.gpu_model = Some(models.into_iter().collect::<Vec<_>>().join("|"));
        }
    }

    /// Names of partitions with commas between, as Slurm writes them.
    fn partitions(&self, ids: impl Iterator<Item = PartitionId>) -> String {
        ids.map(|id| self.estate.founding.partitions[id.index()].name.as_str()).collect::<Vec<_>>().join(",")
    }

    fn slot(&self, slot: &Slot) -> SlotView {
        SlotView {
            node: self.estate.founding.nodes[slot.node.index()].name.clone(),
            part: slot.part,
            devices: (0..32).filter(|device| slot.devices >> device & 1 == 1).collect(),
            cpus: slot.cpus,
            memory_mib: slot.memory_mib,
            gpu_milli: slot.share.map(|held| u32::from(held.milli)),
            memory_slices: (0..8).filter(|at| slot.share.is_some_and(|held| held.cut >> at & 1 == 1)).collect(),
        }
    }

    fn run(&self, run: &EndedRun) -> RunView {
        let (exit, signal) = words::exit(run.outcome);
        RunView {
            attempt: run.run.attempt,
            state: words::outcome(run.outcome),
            exit,
            signal,
            sent_ms: run.sent.millis(),
            started_ms: run.started.map(Time::millis),
            ended_ms: run.ended.millis(),
            nodes: self.node_list(&run.on),
        }
    }

    /// Node names in Slurm's compressed form, in rank order.
    pub fn node_list(&self, on: &Allocation) -> String {
        let nodes = &self.estate.founding.nodes;
        let names: Vec<String> = on.slots.iter().map(|slot| nodes[slot.node.index()].name.clone()).collect();
        hostlist::in_order(&names)
    }

    fn files(&self, view: &mut JobView, job: &Job, brief: &Brief, on: Option<&Allocation>) {
        let node = on.and_then(|on| on.slots.first());
        let names = pattern::Names {
            job: job.id.number(),
            array: job.task.map(|(array, task)| (array.number(), task)),
            job_name: job.spec.name.clone(),
            user: view.user.clone(),
            node: node.map(|slot| self.estate.founding.nodes[slot.node.index()].name.clone()).unwrap_or_default(),
            task: None,
        };
        let path = |pattern: &str| {
            let name = pattern::expand(pattern, &names);
            std::path::Path::new(&brief.cwd).join(name).display().to_string()
        };
        view.cwd.clone_from(&brief.cwd);
        view.stdout = path(brief.stdout.as_deref().unwrap_or(pattern::default_stdout(job.task.is_some())));
        view.stderr = brief.stderr.as_deref().map_or_else(|| view.stdout.clone(), path);
    }

    fn dependency(&self, spec: &JobSpec) -> String {
        let waits = spec.after.iter().map(|wait| {
            let kind = match wait.kind {
                DependencyKind::Started => "after",
                DependencyKind::Succeeded => "afterok",
                DependencyKind::Failed => "afternotok",
                DependencyKind::Ended => "afterany",
                DependencyKind::Corresponding => "aftercorr",
            };
            let on = match self.centre.job(wait.on).and_then(|job| job.task) {
                Some((array, task)) => format!("{}_{task}", array.number()),
                None => wait.on.number().to_string(),
            };
            let delay = wait.delay.secs() / 60;
            let delay = if delay > 0 { format!("+{delay}") } else { String::new() };
            format!("{kind}:{on}{delay}(unfulfilled)")
        });
        let mut waits: Vec<String> = waits.collect();
        if spec.singleton {
            waits.push("singleton(unfulfilled)".into());
        }
        waits.join(if spec.after_any { "?" } else { "," })
    }
}

/// Task indices of an array that are not jobs yet, ascending.
pub fn waiting_tasks(record: &ArrayRecord) -> Vec<u32> {
    if record.cancelled {
        return Vec::new();
    }
    waiting_orders(record).map(|order| record.task_at(order)).collect()
}

/// Orders of an array's tasks that are not jobs yet, ascending.
pub fn waiting_orders(record: &ArrayRecord) -> impl Iterator<Item = u32> {
    let end = if record.cancelled { record.first_waiting } else { record.count };
    (record.first_waiting..end).filter(|order| !record.skipped.contains(order))
}

/// What a job holds, or held last.
pub(super) fn holds(job: &Job) -> Option<&Allocation> {
    match &job.state {
        JobState::Ended { .. } => job.runs.last().map(|run| &run.on),
        state => state.holding().map(|(_, on)| on),
    }
}

/// A moment for people, in the server's time zone.
pub fn moment(millis: u64) -> String {
    let stamp = i64::try_from(millis).ok().and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
    stamp.map_or_else(
        || format!("{millis} ms"),
        |stamp| stamp.to_zoned_datetime(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string(),
    )
}

fn parts(spec: &JobSpec, brief: Option<&Brief>, shapes: &[Vec<Shape>]) -> Vec<PartView> {
    let layouts = brief.map(|brief| brief.parts.as_slice()).unwrap_or_default();
    let part = |(at, part): (usize, &madang_model::Part)| {
        let (tasks, per_node, cpus_per_task) = layouts.get(at).copied().unwrap_or_default();
        let tasks = tasks.or(per_node.map(|each| each.saturating_mul(part.nodes))).unwrap_or(part.nodes);
        PartView {
            nodes: part.nodes,
            gpus: part.gpus,
            gpu_model: part.model.as_ref().map(Choice::bars),
            gpu_milli: milli(part),
            gpu_shards: shards(spec, part, shapes),
            gpu_profile: match &part.share {
                Some(Share::Slice(name)) => Some(name.clone()),
                _ => None,
            },
            cpus: part.cpus,
            memory_mib: part.memory_mib,
            tasks,
            cpus_per_task: cpus_per_task.unwrap_or(1),
            exclusive: part.exclusive,
            features: part.features.iter().map(feature).collect(),
        }
    };
    spec.request.parts.iter().enumerate().map(part).collect()
}

/// The share asked of a GPU that others use too.
fn milli(part: &madang_model::Part) -> Option<u32> {
    match part.share {
        Some(Share::Milli(milli)) => Some(milli),
        _ => None,
    }
}

/// The same in shards, where it is a number of them at one of the job's sites.
fn shards(spec: &JobSpec, part: &madang_model::Part, shapes: &[Vec<Shape>]) -> Option<u32> {
    let milli = milli(part)?;
    let of = spec.request.sites.iter().filter_map(|site| shapes.get(site.index())).flatten();
    let of = of.filter(|shape| part.model.as_ref().is_none_or(|model| model.allows(&shape.model)));
    let count = |of: u32| (milli * of).div_ceil(WHOLE);
    of.map(|shape| shape.shards).find(|of| *of > 0 && count(*of) * WHOLE / of == milli).map(count)
}

fn qos(qos: Qos) -> QosName {
    match qos {
        Qos::Low => QosName::Low,
        Qos::Normal => QosName::Normal,
        Qos::High => QosName::High,
    }
}

/// How the size of a gang may differ, and did; `None` for one that is as it is.
fn elastic(spec: &JobSpec, progress: &Progress) -> Option<madang_api::ElasticView> {
    let request = &spec.request;
    (request.elastic.is_some() || *progress != Progress::default()).then(|| madang_api::ElasticView {
        least_nodes: request.nodes(),
        most_nodes: request.most_nodes(),
        restart_secs: request.elastic.and_then(|elastic| elastic.restart).map(|span| span.secs()),
        resized: progress.resized,
        from_nodes: progress.from,
        kept_secs: progress.kept.secs(),
    })
}

/// What a job asks of the tree of domains; `None` for nothing.
fn topology(asked: &madang_model::Topology) -> Option<madang_api::TopologySpec> {
    let madang_model::Topology { required, preferred, segment, spares, patience } = asked.clone();
    let patience_secs = patience.map(Span::secs);
    (!asked.is_default()).then_some(madang_api::TopologySpec { required, preferred, segment, spares, patience_secs })
}

/// A feature, or a choice of several as Slurm writes it.
fn feature(choice: &Choice) -> String {
    if choice.binds() { format!("[{}]", choice.bars()) } else { choice.bars() }
}
