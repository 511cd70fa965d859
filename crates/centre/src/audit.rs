//! The oracle: every invariant checked against the whole state. Empty means sound.
use crate::deadline::too_late_from;
use crate::state::Centre;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use madang_ledger::Account;
use madang_model::share::WHOLE;
use madang_model::{Allocation, Job, JobState, RunId, Share, StopCause};

impl Centre {
    /// What is wrong, in sentences with ids; empty when everything holds.
    pub fn audit(&self) -> Vec<String> {
        let mut wrong = self.book.audit();
        if let Some(sched) = &self.sched {
            wrong.extend(sched.audit());
        }
        let holding = self.holding();
        self.audit_nodes(&holding, &mut wrong);
        self.audit_holds(&holding, &mut wrong);
        self.audit_gangs(&holding, &mut wrong);
        self.audit_counts(&mut wrong);
        self.audit_deadlines(&mut wrong);
        self.audit_awards(&mut wrong);
        self.audit_lost(&mut wrong);
        self.audit_blame(&mut wrong);
        self.audit_spares(&mut wrong);
        self.audit_reservations(&mut wrong);
        wrong
    }

    fn holding(&self) -> BTreeMap<RunId, (&Job, &Allocation)> {
        let mut holding = BTreeMap::new();
        for job in self.jobs.values() {
            if let Some((run, on)) = job.state.holding() {
                holding.insert(run, (job, on));
            }
        }
        holding
    }

    /// No device twice, no node above what it has, and the scheduler sees the same.
    fn audit_nodes(&self, holding: &BTreeMap<RunId, (&Job, &Allocation)>, wrong: &mut Vec<String>) {
        let mut used: BTreeMap<_, (u32, u32, u64)> = BTreeMap::new();
        let mut parts: BTreeMap<_, (u32, u8)> = BTreeMap::new();
        for (run, (_, on)) in holding {
            for slot in &on.slots {
                let node = used.entry(slot.node).or_default();
                let mut beside = 0;
                if let Some(held) = slot.share {
                    let known = parts.get(&(slot.node, slot.devices)).copied();
                    let (milli, cut) = known.unwrap_or_default();
                    let mixed = known.is_some() && (cut != 0) != held.is_slice();
                    let much = !held.is_slice() && milli + u32::from(held.milli) > WHOLE;
                    if mixed || much || cut & held.cut != 0 || slot.devices.count_ones() != 1 {
                        wrong.push(format!("{run} holds a part of a device of {} that is not free", slot.node));
                    }
                    parts.insert((slot.node, slot.devices), (milli + u32::from(held.milli), cut | held.cut));
                    beside = if known.is_some() { slot.devices } else { 0 };
                }
                if node.0 & slot.devices & !beside != 0 {
                    wrong.push(format!("{run} holds devices of {} that another run holds", slot.node));
                }
                node.0 |= slot.devices;
                node.1 += slot.cpus;
                node.2 += slot.memory_mib;
            }
        }
        for (id, used) in &used {
            let node = &self.base().nodes[id.index()];
            let beyond = node.gpus < 32 && used.0 >> node.gpus != 0;
            if beyond || used.1 > node.cpus || used.2 > node.memory_mib {
                wrong.push(format!("{} is held above what it has", node.name));
            }
            if self.node_load(*id) != *used {
                wrong.push(format!(
                    "the scheduler sees {:?} held of {}, jobs hold {used:?}",
                    self.node_load(*id),
                    node.name
                ));
            }
        }
        for (run, (job, _)) in holding {
            let room = self.sched.as_ref().and_then(|sched| sched.makes_room(*run));
            if let JobState::Completing { cause: StopCause::Preempted { by, .. }, .. } = &job.state
                && room != Some(*by)
            {
                wrong.push(format!("{run} makes room for {by}, of which the scheduler knows nothing"));
            }
            let moves = self.sched.as_ref().is_some_and(|sched| sched.is_moving(*run));
            if moves && !matches!(job.state, JobState::Completing { .. }) {
                wrong.push(format!("{run} is to go on elsewhere and was not told"));
            }
            if let (JobState::Starting { .. } | JobState::Running { .. }, Some(by)) = (&job.state, room) {
                wrong.push(format!("{run} was to make room for {by} and was not told"));
            }
        }
        if let Some(sched) = &self.sched {
            let seen: BTreeSet<RunId> = sched.runs().map(|(run, _, _)| run).collect();
            let held: BTreeSet<RunId> = holding.keys().copied().collect();
            for run in seen.symmetric_difference(&held) {
                wrong.push(format!("{run} holds nodes in the scheduler or in its job, but not in both"));
            }
        }
    }

    /// Every run has one hold, every hold a run.
    fn audit_holds(&self, holding: &BTreeMap<RunId, (&Job, &Allocation)>, wrong: &mut Vec<String>) {
        let held: BTreeSet<RunId> = self.book.holds().map(|(run, _, _)| run).collect();
        for run in holding.keys().filter(|run| !held.contains(run)) {
            wrong.push(format!("{run} holds nodes without a hold in the ledger"));
        }
        for run in held.iter().filter(|run| !holding.contains_key(run)) {
            wrong.push(format!("{run} has a hold in the ledger and holds no nodes"));
        }
    }

    /// A gang is whole: each part has its nodes, each node its devices.
    fn audit_gangs(&self, holding: &BTreeMap<RunId, (&Job, &Allocation)>, wrong: &mut Vec<String>) {
        for (run, (job, on)) in holding {
            for (index, part) in job.spec.request.parts.iter().enumerate() {
                let slots: Vec<_> = on.slots.iter().filter(|slot| slot.part as usize == index).collect();
                let nodes: BTreeSet<_> = slots.iter().map(|slot| slot.node).collect();
                // After a loss a gang goes on with fewer spares, an elastic one has more nodes than its fewest.
                let request = &job.spec.request;
                let spares = if index == 0 { request.topology.spares } else { 0 };
                let most = if index == 0 && request.elastic.is_some() { request.most_nodes() } else { part.nodes };
                let whole = (part.nodes - spares..=most).contains(&(nodes.len() as u32))
                    && slots.len() == nodes.len()
                    && slots.iter().all(|slot| {
                        let share = part.share.as_ref().map(Share::milli);
                        slot.devices.count_ones() == part.gpus && slot.share.map(|held| u32::from(held.milli)) == share
                    });
                if !whole {
                    wrong.push(format!(
                        "{run} is not whole: part {index} holds {} of {} nodes",
                        nodes.len(),
                        part.nodes
                    ));
                }
            }
            let sites: BTreeSet<_> = on.slots.iter().map(|slot| self.base().nodes[slot.node.index()].site).collect();
            if sites.len() != 1 {
                wrong.push(format!("{run} spans {} sites", sites.len()));
            }
        }
    }

    fn audit_counts(&self, wrong: &mut Vec<String>) {
        let (mut waiting, mut running) = (0u32, 0u32);
        for job in self.jobs.values() {
            match job.state {
                JobState::Pending { .. } => waiting += 1,
                JobState::Ended { .. } => {}
                _ => running += 1,
            }
        }
        waiting += self.arrays.values().map(|record| record.waiting()).sum::<u32>();
        if (waiting, running) != (self.counts.waiting, self.counts.running) {
            wrong.push(format!(
                "{waiting} jobs wait and {running} run, but {} and {} are counted",
                self.counts.waiting, self.counts.running
            ));
        }
        for record in self.arrays.values() {
            let known = record.waiting() + record.live + record.succeeded + record.failed;
            if known != record.count {
                wrong.push(format!("{} has {} tasks, {known} are accounted for", record.id, record.count));
            }
        }
    }

    /// Nobody waits who can no longer end by the deadline, and whoever waits with one is woken for it.
    fn audit_deadlines(&self, wrong: &mut Vec<String>) {
        let waits = |job: &&Job| matches!(job.state, JobState::Pending { .. });
        let jobs = self.jobs.values().filter(waits);
        let late = jobs.filter_map(|job| Some((too_late_from(job.last_start())?, job.id)));
        let mut watched: BTreeSet<_> = late.collect();
        for (at, id) in watched.iter().filter(|(at, _)| *at <= self.now) {
            wrong.push(format!("{id} waits at {:?}, from {at:?} on it cannot end by its deadline", self.now));
        }
        let arrays =
            self.arrays.values().filter_map(|record| Some((too_late_from(record.spec.last_start())?, record.id)));
        watched.extend(arrays.filter(|(at, _)| *at > self.now));
        if watched != self.index.deadlines {
            wrong.push(format!("deadlines wait: {watched:?}, watched are {:?}", self.index.deadlines));
        }
    }

    /// Free + held + spent of every award is what was granted.
    fn audit_awards(&self, wrong: &mut Vec<String>) {
        for award in self.projects.iter().flat_map(|project| &project.awards) {
            let accounts = [Account::Free(award.id), Account::Held(award.id), Account::Spent(award.id)];
            let sum = accounts.into_iter().map(|account| self.book.balance(account).0).sum::<madang_model::GpuTime>();
            if sum != award.granted {
                wrong.push(format!("{} was granted {} and accounts for {sum}", award.id, award.granted));
            }
        }
    }
}
