//! What the simulator knows better than the core: what was really started where, answered and kept.
//!
//! It is written apart from the core's own audit and by other means, so that the two do not share a mistake. It holds
//! physical truth (which device is in use by which run) and the projections (ended jobs, ledger), which may be handed
//! the same thing twice and must then be handed the very same.
use madang_centre::{Centre, Keep};
use madang_ledger::{Account, Transaction};
use madang_model::{
    Allocation, Choice, EndedRun, EntryId, Founding, GpuTime, Health, Job, JobId, JobState, Node, NodeId, Outcome,
    Request, RunId, Share, Slot, Span, Time, Won,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a run may take beyond its deadline: the way to its engine before it begins, and its end after the limit.
const OVERTIME: Span = Span::from_mins(1);

/// A run as it really was.
#[derive(Clone, Debug)]
pub struct Truth {
    /// What it holds.
    pub on: Allocation,
    /// When it began.
    pub began: Time,
    /// When it was over.
    pub over: Option<Time>,
    /// True when the core was not told the truth about its times, so that they cannot be compared.
    pub muddied: bool,
}

/// Everything known from outside.
#[derive(Debug, Default)]
pub struct Oracle {
    runs: BTreeMap<RunId, Truth>,
    live: BTreeSet<RunId>,
    on_node: BTreeMap<NodeId, Vec<RunId>>,
    accepted: BTreeMap<JobId, u32>,
    ended: BTreeMap<JobId, Job>,
    ledger: BTreeMap<EntryId, Transaction>,
    /// Runs begun.
    pub starts: u64,
    /// Jobs that their deadline ended: as they waited, and as they ran.
    pub missed: [u64; 2],
}

impl Oracle {
    /// A run really begins; everything about it must be right.
    pub fn begin(&mut self, centre: &Centre, now: Time, run: RunId, on: &Allocation) -> Result<(), String> {
        if self.runs.contains_key(&run) {
            return Err(format!("{run} was started twice"));
        }
        let job = centre.job(run.job).ok_or_else(|| format!("{run} was started, but its job is not known"))?;
        whole(centre, job, on).map_err(|wrong| format!("{run} was started {wrong}"))?;
        in_time(centre, job).map_err(|wrong| format!("{run} was started {wrong}"))?;
        self.room(centre, on).map_err(|wrong| format!("{run} was started {wrong}"))?;
        self.alone(centre, run).map_err(|wrong| format!("{run} was started {wrong}"))?;
        self.at_once(centre, job).map_err(|wrong| format!("{run} was started {wrong}"))?;
        for slot in &on.slots {
            self.on_node.entry(slot.node).or_default().push(run);
        }
        self.live.insert(run);
        self.runs.insert(run, Truth { on: on.clone(), began: now, over: None, muddied: false });
        self.starts += 1;
        Ok(())
    }

    /// A run is really over.
    pub fn end(&mut self, run: RunId, at: Time) {
        let Some(truth) = self.runs.get_mut(&run) else { return };
        if truth.over.replace(at).is_none() {
            self.live.remove(&run);
            for slot in &truth.on.slots {
                self.on_node.entry(slot.node).or_default().retain(|other| *other != run);
            }
        }
    }

    /// The core was told something untrue about a run's times.
    pub fn muddy(&mut self, run: RunId) {
        if let Some(truth) = self.runs.get_mut(&run) {
            truth.muddied = true;
        }
    }

    /// What is known of a run that began.
    pub fn truth(&self, run: RunId) -> Option<&Truth> {
        self.runs.get(&run)
    }

    /// Runs that go on and hold something on this node.
    pub fn on(&self, node: NodeId) -> Vec<RunId> {
        self.on_node.get(&node).cloned().unwrap_or_default()
    }

    /// A submission was answered with this id; it stands for so many jobs.
    pub fn accept(&mut self, id: JobId, jobs: u32) {
        self.accepted.insert(id, jobs);
    }

    /// How many submissions were accepted.
    pub fn accepted(&self) -> usize {
        self.accepted.len()
    }

    /// Something is to be kept: new, or the very same as before.
    pub fn keep(&mut self, keep: Keep) -> Result<(), String> {
        match keep {
            Keep::Job(job) => {
                let JobState::Ended { .. } = job.state else {
                    return Err(format!("{} was kept before its end", job.id));
                };
                self.compare(&job)?;
                self.by_deadline(&job)?;
                let (id, text) = (job.id, format!("{job:?}"));
                match self.ended.insert(id, Arc::unwrap_or_clone(job)) {
                    Some(before) if format!("{before:?}") != text => Err(format!("{id} changed after its end")),
                    _ => Ok(()),
                }
            }
            Keep::Ledger(transactions) => transactions.into_iter().try_for_each(|new| self.keep_entry(new)),
            Keep::Anomaly(..) => Ok(()),
        }
    }

    fn keep_entry(&mut self, new: Transaction) -> Result<(), String> {
        let sum: i128 = new.lines.iter().map(|line| i128::from(line.time.micro_secs())).sum();
        let won: i128 = new.lines.iter().map(|line| i128::from(line.won.won())).sum();
        if (sum, won) != (0, 0) {
            return Err(format!("{} does not sum to zero", new.id));
        }
        let id = new.id;
        match self.ledger.get(&id) {
            Some(before) if *before != new => Err(format!("{id} changed after it was posted")),
            _ => {
                self.ledger.insert(id, new);
                Ok(())
            }
        }
    }

    /// The core's record of a job's runs against what really was.
    fn compare(&self, job: &Job) -> Result<(), String> {
        for ended in &job.runs {
            let Some(started) = ended.started else { continue };
            let run = ended.run;
            let most = match ended.outcome {
                Outcome::Preempted => Span::from_hours(1),
                fault if fault.is_providers_fault() => Span::MAX,
                _ => Span::ZERO,
            };
            if ended.lost > most.min(ended.ended.since(started)) {
                return Err(format!("{run} is said to have lost {}", ended.lost));
            }
            let truth = self.runs.get(&run).ok_or_else(|| format!("{run} never began, yet has a start"))?;
            if truth.on != ended.on {
                return Err(format!("{run} held other devices than its record says"));
            }
            let told = !truth.muddied && ended.outcome != Outcome::NodeFailed;
            if told && truth.over.is_some_and(|over| (truth.began, over) != (started, ended.ended)) {
                let (began, over) = (truth.began, truth.over);
                let recorded = (started, ended.ended);
                return Err(format!("{run} ran from {began:?} to {over:?}, its record says {recorded:?}"));
            }
        }
        Ok(())
    }

    /// No run outlasts its job's deadline, and a deadline ends only what could no longer end by it.
    fn by_deadline(&mut self, job: &Job) -> Result<(), String> {
        let JobState::Ended { outcome, at } = job.state else { return Ok(()) };
        for run in job.runs.iter().filter(|run| run.started.is_some()) {
            let truth = self.runs.get(&run.run).filter(|truth| !truth.muddied);
            let late = |over: Time| job.spec.deadline.is_some_and(|deadline| over > deadline + OVERTIME);
            if let Some(over) = truth.and_then(|truth| truth.over).filter(|over| late(*over)) {
                return Err(format!("{} ran until {over:?}, its deadline was {:?}", run.run, job.spec.deadline));
            }
        }
        if outcome != Outcome::Deadline {
            return Ok(());
        }
        let Some(deadline) = job.spec.deadline else { return Err(format!("{} had no deadline to miss", job.id)) };
        let ran = job.runs.last().is_some_and(|run| run.outcome == Outcome::Deadline);
        let due = if ran { at >= deadline } else { job.last_start().is_some_and(|last| at > last) };
        if !due {
            return Err(format!("{} was ended at {at:?} for its deadline {deadline:?}", job.id));
        }
        if !self.ended.contains_key(&job.id) {
            self.missed[usize::from(ran)] += 1;
        }
        Ok(())
    }

    /// Nothing may be held twice, and only nodes that take work may be given any.
    fn room(&self, centre: &Centre, on: &Allocation) -> Result<(), String> {
        let founding = centre.founding().ok_or("without a founding")?;
        for slot in &on.slots {
            let node = &founding.nodes[slot.node.index()];
            if centre.fares(slot.node) != Health::Up {
                return Err(format!("on {}, which takes no work", node.name));
            }
            let (mut devices, mut cpus, mut memory) = (slot.devices, slot.cpus, slot.memory_mib);
            let mut beside = slot.milli();
            for run in self.on_node.get(&slot.node).into_iter().flatten() {
                for other in self.runs[run].on.slots.iter().filter(|other| other.node == slot.node) {
                    if slot.devices & other.devices != 0 {
                        beside += other.milli();
                        let (Some(one), Some(other)) = (slot.share, other.share) else {
                            return Err(format!("on a device of {} that {run} holds", node.name));
                        };
                        if one.is_slice() != other.is_slice() || one.cut & other.cut != 0 {
                            return Err(format!("on a part of a device of {} that {run} holds", node.name));
                        }
                        if !one.is_slice() && beside > 1000 {
                            return Err(format!("on a device of {} that is shared out beside {run}", node.name));
                        }
                    }
                    devices |= other.devices;
                    cpus += other.cpus;
                    memory += other.memory_mib;
                }
            }
            let beyond = node.gpus < 32 && devices >> node.gpus != 0;
            if beyond || cpus > node.cpus || memory > node.memory_mib {
                return Err(format!("beyond what {} has", node.name));
            }
        }
        Ok(())
    }

    /// True of a job that a run of still lives.
    pub fn lives(&self, job: JobId) -> bool {
        self.live.range(RunId { job, attempt: 0 }..=RunId { job, attempt: u32::MAX }).next().is_some()
    }

    /// No job has two live runs, but for one that was given up at a lost site.
    fn alone(&self, centre: &Centre, run: RunId) -> Result<(), String> {
        let mut tries = self.live.range(RunId { attempt: 0, ..run }..RunId { attempt: u32::MAX, ..run });
        match tries.find(|other| !centre.is_fenced(**other)) {
            Some(other) => Err(format!("while {other} lives")),
            None => Ok(()),
        }
    }

    /// An array's tasks stay within its `%limit`.
    fn at_once(&self, centre: &Centre, job: &Job) -> Result<(), String> {
        let Some(record) = job.task.and_then(|(array, _)| centre.array(array)) else { return Ok(()) };
        let id = |order| RunId { job: record.job_at(order), attempt: 0 };
        let live = self.live.range(id(0)..id(record.count));
        let running = live.filter(|run| !centre.is_fenced(**run)).count();
        match record.at_once {
            Some(most) if running >= most as usize => Err(format!("while {running} tasks run, at most {most} may")),
            _ => Ok(()),
        }
    }

    /// At the end, with everything healed: every job is over, and the projections are the books.
    pub fn finish(&self, centre: &Centre) -> Result<(), String> {
        let counts = centre.counts();
        let accepted: u64 = self.accepted.values().map(|jobs| u64::from(*jobs)).sum();
        if (counts.running, counts.waiting, counts.ended) != (0, 0, accepted) {
            return Err(format!("{accepted} jobs were accepted, and the centre counts {counts:?}"));
        }
        if let Some((run, _)) = self.runs.iter().find(|(_, truth)| truth.over.is_none()) {
            return Err(format!("{run} still runs when all jobs are over"));
        }
        if let Some((run, ..)) = centre.book().holds().next() {
            return Err(format!("{run} has a hold when all jobs are over"));
        }
        let last = self.ledger.last_key_value().map_or(0, |(id, _)| id.number());
        if last != self.ledger.len() as u64 {
            return Err(format!("{} entries were kept, the last is number {last}", self.ledger.len()));
        }
        let mut balances: BTreeMap<Account, (GpuTime, Won)> = BTreeMap::new();
        for line in self.ledger.values().flat_map(|entry| &entry.lines) {
            let sum = balances.entry(line.account).or_default();
            *sum = (sum.0 + line.time, sum.1 + line.won);
        }
        balances.retain(|_, sum| *sum != (GpuTime::ZERO, Won::ZERO));
        let book: BTreeMap<_, _> =
            centre.book().balances().map(|(account, time, won)| (account, (time, won))).collect();
        if balances != book {
            return Err("the kept entries do not add up to the book's balances".into());
        }
        self.recount(centre)
    }

    /// Each project's spending, from the records of its runs alone.
    fn recount(&self, centre: &Centre) -> Result<(), String> {
        for project in centre.projects() {
            let jobs = self.ended.values().filter(|job| job.spec.project == project.id);
            if jobs.clone().any(|job| job.attempts as usize > job.runs.len()) {
                // Only the last runs are kept with a job; a project with more cannot be recounted.
                continue;
            }
            let runs = jobs.flat_map(|job| &job.runs);
            let used: GpuTime = runs.filter_map(charged).sum();
            let spent: GpuTime =
                project.awards.iter().map(|award| centre.book().balance(Account::Spent(award.id)).0).sum();
            if used != spent {
                return Err(format!("{} used {used} by its runs, and spent {spent} by the book", project.name));
            }
        }
        Ok(())
    }
}

/// What a run is charged for: its time, less what a pre-emption lost of it.
fn charged(run: &EndedRun) -> Option<GpuTime> {
    let ran = run.ended.since(run.started?).millis();
    Some(run.on.gpus() * Span::from_millis(ran - run.lost.millis()))
}

fn model_of(node: &Node) -> Option<&str> {
    node.device.as_ref().map(|device| device.model.as_str())
}

/// A node has its features, and its GPU model is one of them.
fn has(node: &Node, word: &str) -> bool {
    node.features.iter().any(|known| known == word) || model_of(node) == Some(word)
}

/// A run's limit is one that its job takes, ends it by its deadline, and is allowed by the partition it is in.
fn in_time(centre: &Centre, job: &Job) -> Result<(), String> {
    let (limit, spec) = (job.limit(), &job.spec);
    if limit < job.least() || limit > job.left() {
        return Err(format!("with a limit of {limit}, it asks for {} to {}", job.least(), job.left()));
    }
    let sent = job.sent.ok_or("without having been sent")?;
    if spec.deadline.is_some_and(|deadline| sent.after(limit) > deadline) {
        return Err(format!("too late for its deadline {:?}", spec.deadline));
    }
    let partition = centre.partition_of(job);
    let partition = &centre.founding().ok_or("without a founding")?.partitions[partition.index()];
    if spec.limit > partition.max_limit {
        return Err(format!("in partition {}, which does not allow {}", partition.name, spec.limit));
    }
    Ok(())
}

/// A gang is whole: every part has its nodes, each with its devices, in one site and, unless it may span, one island.
fn whole(centre: &Centre, job: &Job, on: &Allocation) -> Result<(), String> {
    let nodes = &centre.founding().ok_or("without a founding")?.nodes;
    let request = &job.spec.request;
    let held = |slot: &madang_model::Slot| &nodes[slot.node.index()];
    for (index, part) in request.parts.iter().enumerate() {
        let slots: Vec<_> = on.slots.iter().filter(|slot| slot.part as usize == index).collect();
        let spares = if index == 0 { request.topology.spares } else { 0 };
        let most = part.nodes.max(request.elastic.filter(|_| index == 0).map_or(0, |elastic| elastic.most));
        let lost_one = job.runs.last().is_some_and(|run| run.outcome == Outcome::NodeFailed);
        let fewest = part.nodes - if lost_one { spares } else { 0 };
        if !(fewest..=most).contains(&(slots.len() as u32)) {
            return Err(format!("with {} nodes for a part that asks for {}", slots.len(), part.nodes));
        }
        for slot in &slots {
            let node = held(slot);
            let exact = slot.devices.count_ones() == part.gpus && shared(node, part, slot);
            let enough = slot.cpus >= part.cpus && slot.memory_mib >= part.memory_mib;
            let all = !part.exclusive || slot.cpus == node.cpus && slot.memory_mib == node.memory_mib;
            let all_memory = part.memory_mib != 0 || slot.memory_mib == node.memory_mib;
            let has = |feature: &Choice| feature.words().iter().any(|word| has(node, word));
            let fitting = part.features.iter().all(has)
                && part.model.as_ref().is_none_or(|model| model_of(node).is_some_and(|word| model.allows(word)));
            if !(exact && enough && all && all_memory && fitting) {
                return Err(format!("on {} with {slot:?} for {part:?}", node.name));
            }
            if slots.iter().filter(|other| other.node == slot.node).count() > 1 {
                return Err(format!("on {} twice for one part", node.name));
            }
        }
    }
    for (index, part) in request.parts.iter().enumerate() {
        let here = || on.slots.iter().filter(|slot| slot.part as usize == index).map(held);
        let bound = |choice: &Choice, has: fn(&Node, &str) -> bool| {
            !choice.binds() || choice.words().iter().any(|word| here().all(|node| has(node, word)))
        };
        let models = part.model.iter().all(|choice| bound(choice, |node, word| model_of(node) == Some(word)));
        if !models || !part.features.iter().all(|choice| bound(choice, has)) {
            return Err(format!("on nodes of several kinds for {part:?}"));
        }
    }
    let places = || on.slots.iter().map(held);
    let first = places().next().ok_or("on no node")?;
    if places().any(|node| node.site != first.site || !request.sites.contains(&node.site)) {
        return Err("at a site it may not use, or at two".into());
    }
    if !request.across_islands && places().any(|node| node.island != first.island) {
        return Err("across islands".into());
    }
    close(centre.founding().ok_or("without a founding")?, request, on)?;
    if request.include.iter().any(|wanted| places().all(|node| node.id != *wanted)) {
        return Err("without a node it must include".into());
    }
    if places().any(|node| request.exclude.contains(&node.id)) {
        return Err("on a node it must avoid".into());
    }
    Ok(())
}

/// A part of a device is what was asked for, where the node offers it.
fn shared(node: &madang_model::Node, part: &madang_model::Part, slot: &Slot) -> bool {
    let Some(asked) = &part.share else { return slot.share.is_none() };
    let (Some(device), Some(held)) = (&node.device, slot.share) else { return false };
    match asked {
        Share::Milli(milli) => device.parts.shards > 0 && held.cut == 0 && u32::from(held.milli) == *milli,
        Share::Slice(name) => device.parts.profile(name).is_some_and(|profile| {
            let start = held.cut.trailing_zeros();
            start < 8 && profile.starts >> start & 1 == 1 && held == profile.at(start)
        }),
    }
}

/// Ranks follow the tree, and the gang or each segment stays within the level it requires.
fn close(founding: &Founding, request: &Request, on: &Allocation) -> Result<(), String> {
    let path = |slot: &Slot| {
        let node = &founding.nodes[slot.node.index()];
        [&[node.island.number()], node.domain_path(), &[node.id.number()]].concat()
    };
    let wish = &request.topology;
    for (index, part) in request.parts.iter().enumerate() {
        let ranks: Vec<Vec<u32>> = on.slots.iter().filter(|slot| slot.part as usize == index).map(path).collect();
        let spares = if index == 0 { request.spares_of(ranks.len() as u32) as usize } else { 0 };
        let (gang, beside) = ranks.split_at(ranks.len().saturating_sub(spares));
        if !gang.is_sorted() || !beside.is_sorted() {
            return Err(format!("with ranks that do not follow the tree: {ranks:?}"));
        }
        let Some(level) = &wish.required else { continue };
        let together = |ranks: &[Vec<u32>]| {
            let island = founding.islands.iter().find(|island| island.id.number() == ranks[0][0]);
            let levels = island.map(|island| island.level_names()).unwrap_or_default();
            let depth = levels.iter().position(|name| name == level).map_or(1, |place| place + 2);
            let known = level == "island" || levels.contains(&level.as_str());
            known && ranks.iter().all(|rank| rank[..depth] == ranks[0][..depth])
        };
        let segment = wish.segment.map_or(gang.len(), |nodes| nodes as usize).max(1);
        let all: Vec<Vec<u32>> = on.slots.iter().map(path).collect();
        if !gang.chunks(segment).all(together) || wish.segment.is_none() && !together(&all) {
            return Err(format!("outside one {level}: {ranks:?} for {part:?}"));
        }
    }
    Ok(())
}
