//! What each node will have free, if runs last to their limits, and what is planned on it: the ground of backfill.
//!
//! Runs hold GPUs of a node; a plan holds whole nodes for a stretch of time, as Slurm's backfill reserves them.
//!
//! Invariant: plans are of one pass; `clear` leaves only the runs.
use super::super::floor::Floor;
use super::super::machine::Machine;
use super::super::workload::Job;
use madang_model::{Span, Time};
use std::ops::Range;

/// A run on a node: its end at the limit, the job, the GPUs.
type Held = (Time, usize, u32);

/// Runs and plans by node.
pub(super) struct Timeline {
    /// The nodes of each fabric.
    fabrics: Vec<Range<u32>>,
    runs: Vec<Vec<Held>>,
    /// Planned stretches, by start.
    plans: Vec<Vec<(Time, Time)>>,
    /// Nodes with a plan.
    planned: Vec<u32>,
    /// By GPUs asked for: when each node has so many free.
    soon: Vec<Option<Vec<Time>>>,
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
        let most = machine.fabrics.iter().map(|fabric| fabric.gpus).max().unwrap_or(0);
        Timeline {
            fabrics,
            runs: vec![Vec::new(); first as usize],
            plans: vec![Vec::new(); first as usize],
            planned: Vec::new(),
            soon: vec![None; most as usize + 1],
        }
    }

    /// A run takes its nodes; the floor has it already.
    pub fn start(&mut self, floor: &Floor, on: &[u32], job: usize, gpus: u32, end: Time) {
        for node in on {
            let runs = &mut self.runs[*node as usize];
            let place = runs.partition_point(|held| *held < (end, job, gpus));
            runs.insert(place, (end, job, gpus));
        }
        for (asked, soon) in (0..).zip(&mut self.soon) {
            let Some(soon) = soon else { continue };
            on.iter().for_each(|node| soon[*node as usize] = frees(floor, &self.runs, *node, asked));
        }
    }

    /// A run has left its nodes.
    pub fn gone(&mut self, on: &[u32], job: usize) {
        on.iter().for_each(|node| self.runs[*node as usize].retain(|(_, other, _)| *other != job));
    }

    /// Forgets the plans and what was worked out: a new pass begins.
    pub fn clear(&mut self) {
        self.planned.drain(..).for_each(|node| self.plans[node as usize].clear());
        self.soon.iter_mut().for_each(|soon| *soon = None);
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
        let asked = job.gpus as usize;
        if self.soon[asked].is_none() {
            let soon = (0..floor.nodes()).map(|node| frees(floor, &self.runs, node, job.gpus));
            self.soon[asked] = Some(soon.collect());
        }
        let soon = self.soon[asked].as_deref().expect("it was worked out just now");
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

/// When a node has so many GPUs free, if runs last to their limits; the end of time for never.
fn frees(floor: &Floor, runs: &[Vec<Held>], node: u32, asked: u32) -> Time {
    if floor.is_down(node) || floor.total(node) < asked {
        return Time::MAX;
    }
    let mut free = floor.free(node);
    if free >= asked {
        return Time::default();
    }
    for (end, _, gpus) in &runs[node as usize] {
        free += gpus;
        if free >= asked {
            return *end;
        }
    }
    Time::MAX
}
