//! What each node will have free, if runs last to their limits, and what is planned on it: the ground of backfill.
//!
//! Runs hold something of a node; a plan holds whole nodes for a stretch of time, as Slurm's backfill reserves them.
//!
//! Invariant: plans are of one pass; `clear` leaves only the runs.
use super::super::floor::Floor;
use super::super::machine::Machine;
use super::super::room::{Need, Taken};
use super::super::workload::Job;
use madang_model::{Span, Time};
use std::collections::BTreeMap;
use std::ops::Range;

/// A run on a node: its end at the limit, the job, what it takes there, and what that met.
type Held = (Time, usize, Taken, Need);

/// Runs and plans by node.
pub(super) struct Timeline {
    /// The nodes of each fabric.
    fabrics: Vec<Range<u32>>,
    runs: Vec<Vec<Held>>,
    /// Planned stretches, by start.
    plans: Vec<Vec<(Time, Time)>>,
    /// Nodes with a plan.
    planned: Vec<u32>,
    /// When each node meets a need.
    soon: BTreeMap<Need, Vec<Time>>,
}

impl Timeline {
    /// An empty machine.
    pub fn new(machine: &Machine) -> Timeline {
        let mut first = 0;
        let mut fabrics = Vec::new();
        for fabric in &machine.fabrics {
            fabrics.push(first..first + fabric.nodes);
            first += fabric.nodes;
        }
        Timeline {
            fabrics,
            runs: vec![Vec::new(); first as usize],
            plans: vec![Vec::new(); first as usize],
            planned: Vec::new(),
            soon: BTreeMap::new(),
        }
    }

    /// A run takes its nodes; the floor has it already.
    pub fn start(&mut self, floor: &Floor, on: &[(u32, Taken)], index: usize, job: &Job, end: Time) {
        let need = job.need();
        for (node, taken) in on {
            let (runs, held) = (&mut self.runs[*node as usize], (end, index, *taken, need));
            let place = runs.partition_point(|other| *other < held);
            runs.insert(place, held);
        }
        for (asked, soon) in &mut self.soon {
            on.iter().for_each(|(node, _)| soon[*node as usize] = meets(floor, &self.runs, *node, asked));
        }
    }

    /// A run has left its nodes.
    pub fn gone(&mut self, on: &[u32], job: usize) {
        on.iter().for_each(|node| self.runs[*node as usize].retain(|(_, other, ..)| *other != job));
    }

    /// Forgets the plans and what was worked out: a new pass begins.
    pub fn clear(&mut self) {
        self.planned.drain(..).for_each(|node| self.plans[node as usize].clear());
        self.soon.clear();
    }

    /// Whether anything is planned.
    pub fn has_plans(&self) -> bool {
        !self.planned.is_empty()
    }

    /// Whether nothing is planned on a node before this.
    pub fn is_open(&self, node: u32, until: Time) -> bool {
        self.plans[node as usize].first().is_none_or(|(start, _)| *start >= until)
    }

    /// Plans whole nodes from one moment to another.
    pub fn plan(&mut self, on: &[u32], from: Time, until: Time) {
        for node in on {
            let plans = &mut self.plans[*node as usize];
            if plans.is_empty() {
                self.planned.push(*node);
            }
            let place = plans.partition_point(|plan| *plan < (from, until));
            plans.insert(place, (from, until));
        }
    }

    /// The earliest moment, and the nodes, for a gang: between `now` and `last`, all of one fabric, beside all plans.
    pub fn earliest(&mut self, floor: &Floor, job: &Job, now: Time, last: Time) -> Option<(Time, Vec<u32>)> {
        let need = job.need();
        let worked_out = || (0..floor.nodes()).map(|node| meets(floor, &self.runs, node, &need)).collect();
        self.soon.entry(need).or_insert_with(worked_out);
        let soon = &self.soon[&need];
        let mut best: Option<(Time, Range<u32>)> = None;
        for fabric in self.fabrics.iter().filter(|fabric| fabric.len() >= job.nodes as usize) {
            let last = best.as_ref().map_or(last, |(at, _)| at.before(Span::from_millis(1)));
            let within = (now, last);
            if let Some(at) = self.earliest_in(soon, fabric.clone(), job, within) {
                best = Some((at, fabric.clone()));
            }
        }
        let (at, fabric) = best?;
        let fits = |node: &u32| self.opens(soon, *node, at, job.limit) == at;
        Some((at, fabric.filter(fits).take(job.nodes as usize).collect()))
    }

    fn earliest_in(&self, soon: &[Time], fabric: Range<u32>, job: &Job, within: (Time, Time)) -> Option<Time> {
        let (mut at, last) = within;
        let nth = job.nodes as usize - 1;
        while at <= last {
            let mut opens: Vec<Time> = fabric.clone().map(|node| self.opens(soon, node, at, job.limit)).collect();
            let next = *opens.select_nth_unstable(nth).1;
            if next == at {
                return Some(at);
            }
            at = next;
        }
        None
    }

    /// When a node is first open for so long, from a moment on.
    fn opens(&self, soon: &[Time], node: u32, from: Time, long: Span) -> Time {
        let mut at = soon[node as usize].max(from);
        for (start, end) in &self.plans[node as usize] {
            if at.after(long) <= *start {
                break;
            }
            at = at.max(*end);
        }
        at
    }
}

/// When a node meets a need, if runs last to their limits; the end of time for never.
fn meets(floor: &Floor, runs: &[Vec<Held>], node: u32, need: &Need) -> Time {
    let (room, runs) = (floor.room(node), &runs[node as usize]);
    if floor.is_down(node) || floor.total(node) < need.gpus {
        return Time::MAX;
    }
    if room.fits(need) {
        return Time::default();
    }
    if need.is_plain() && room.open.is_empty() {
        // Nothing but whole GPUs is held here.
        let mut free = room.gpus;
        for (end, _, taken, _) in runs {
            free += if let Taken::Whole(gpus) = taken { *gpus } else { 0 };
            if free >= need.gpus {
                return *end;
            }
        }
        return Time::MAX;
    }
    let mut room = room.clone();
    for (end, _, taken, held) in runs {
        room.give(held, *taken);
        if room.fits(need) {
            return *end;
        }
    }
    Time::MAX
}
