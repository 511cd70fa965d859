//! What does not hold of the scheduler's invariants.
use crate::cluster::amount_of;
use crate::estate::Amount;
use crate::parts::Room;
use crate::scheduler::Scheduler;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use madang_model::{NodeId, Time};

impl Scheduler {
    /// Every invariant that does not hold, in words; empty when all is well.
    pub fn audit(&self) -> Vec<String> {
        let mut wrong = self.cluster.audit();
        self.audit_runs(&mut wrong);
        self.audit_promises(&mut wrong);
        self.audit_counts(&mut wrong);
        self.audit_windows(&mut wrong);
        self.audit_taking(&mut wrong);
        self.audit_kept(&mut wrong);
        wrong
    }

    /// No device is held twice, and nodes hold what their runs hold.
    fn audit_runs(&self, wrong: &mut Vec<String>) {
        let mut nodes: BTreeMap<NodeId, (u32, Amount)> = BTreeMap::new();
        let mut rooms: BTreeMap<(NodeId, u32), Room> = BTreeMap::new();
        for (id, on) in self.runs.iter().map(|(id, run)| (*id, &run.on)) {
            for slot in &on.slots {
                let (devices, used) = nodes.entry(slot.node).or_default();
                let beside = match slot.share {
                    Some(held) => {
                        let open = rooms.contains_key(&(slot.node, slot.devices));
                        let room = rooms.entry((slot.node, slot.devices)).or_default();
                        if slot.devices.count_ones() != 1 || !room.takes(held) {
                            wrong.push(format!("{id} holds a part of a device of {} that has no room", slot.node));
                        }
                        room.add(held);
                        if open { slot.devices } else { 0 }
                    }
                    None => 0,
                };
                if *devices & !beside & slot.devices != 0 {
                    wrong.push(format!("{id} holds a device of {} that another run holds", slot.node));
                }
                *devices |= slot.devices;
                *used = Amount { gpus: devices.count_ones(), ..used.plus(amount_of(slot)) };
            }
        }
        for (index, state) in (0..).zip(&self.cluster.nodes) {
            let (devices, used) = nodes.get(&NodeId::new(index)).copied().unwrap_or_default();
            if (devices, used) != (state.busy, state.used) {
                wrong.push(format!("{} does not hold what its runs hold", NodeId::new(index)));
            }
        }
    }

    /// Every promise is a waiting job's, whole, and its nodes can hold it when it starts.
    fn audit_promises(&self, wrong: &mut Vec<String>) {
        for (job, pledge) in self.promises.iter() {
            let Some(waiting) = self.queue.jobs.get(&job) else {
                wrong.push(format!("{job} has a promise and does not wait"));
                continue;
            };
            let nodes = self.queue.kind(waiting).1.nodes() as usize;
            if pledge.promise.on.slots.len() != nodes {
                wrong.push(format!("{job} was promised {} nodes of {nodes}", pledge.promise.on.slots.len()));
            }
            if pledge.promise.start > self.now && !self.promises.holds(&self.cluster, job, self.now) {
                wrong.push(format!("{job} cannot start as promised at {:?}", pledge.promise.start));
            }
        }
    }

    /// What owners hold is what their runs hold, and no job is taken back too often.
    fn audit_taking(&self, wrong: &mut Vec<String>) {
        for (index, owner) in self.shares.owners.iter().enumerate() {
            let runs = self.runs.values().filter(|run| self.shares.owner_of(run.leaf) == index);
            let (mut held, mut leaving) = (0, 0);
            for run in runs {
                let gpus = u64::from(run.on.gpus().milli());
                held += gpus;
                leaving += if run.life.leaving.is_some() { gpus } else { 0 };
            }
            if (held, leaving) != (owner.held, owner.leaving) {
                let counted = (owner.held, owner.leaving);
                wrong.push(format!(
                    "{} holds {:?} milli-GPUs (leaving), counts {counted:?}",
                    owner.id,
                    (held, leaving)
                ));
            }
        }
        let (most, window) = (self.config.taking.times as usize, self.config.taking.window);
        for (job, times) in &self.taken {
            let recent =
                |last: &Time| times.iter().filter(|time| **time <= *last && time.after(window) > *last).count();
            if times.iter().any(|time| recent(time) > most) {
                wrong.push(format!("{job} was taken back more than {most} times within the window"));
            }
        }
    }

    /// Counts along the share tree agree with the lines and the runs.
    fn audit_counts(&self, wrong: &mut Vec<String>) {
        let waiting: u32 = self.shares.owners.iter().map(|owner| owner.waiting).sum();
        let in_lines: usize =
            self.queue.leaves.iter().flat_map(|leaf| leaf.by_seat.values()).map(|line| line.len()).sum();
        let in_lines = in_lines + self.queue.leaves.iter().map(|leaf| leaf.behind().count()).sum::<usize>();
        if waiting != self.pending() || in_lines != self.queue.jobs.len() {
            wrong.push(format!("{} jobs wait, shares count {waiting}, lines hold {in_lines}", self.pending()));
        }
        if !self.queue.leaves.iter().all(|lines| lines.is_sound(|class, rank| self.queue.turn(class, rank))) {
            wrong.push("the heads of lines are not where they are looked for".into());
        }
        let noted =
            |(index, shape): (usize, &crate::shape::Shape)| shape.memo.is_none() || self.queue.noted.contains(&index);
        if !self.queue.shapes.iter().all(noted) {
            wrong.push("a shape that is known to fail is not looked at when something grows".into());
        }
        let matched = |index: &usize| self.queue.shapes[*index].matched == self.queue.round;
        if !self.queue.seated.keys().all(matched) {
            wrong.push("a shape that is looked at is not matched against the nodes as they are".into());
        }
        let held: u64 = self.runs.values().map(|run| run.rate).sum();
        let counted: u64 = self.shares.owners.iter().map(|owner| owner.meter.rate).sum();
        if held != counted {
            wrong.push(format!("runs hold {held} milli-GPUs, shares count {counted}"));
        }
    }
}
