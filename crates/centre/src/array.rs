//! Arrays: a hundred thousand tasks cost one record and a window of jobs.
//!
//! A task becomes a [`Job`] only when it may soon start: at most [`WINDOW`] tasks of an array wait as jobs at a time,
//! and never more than its `%limit` wait or run. Tasks have the ids that follow the array's own, in order.
use crate::effect::{Effect, Keep, Notice};
use crate::input::Array;
use crate::refusal::{Code, Refusal};
use crate::state::{Centre, Todo};
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use madang_model::{Dependency, DependencyKind, Job, JobId, JobSpec, JobState, Outcome, Time};
use serde::{Deserialize, Serialize};

/// Most tasks of one array that wait as jobs.
pub(crate) const WINDOW: u32 = 256;
/// Most tasks of one array.
const MOST_TASKS: u64 = 100_000;
/// Most ranges of one array; each look for a task passes over them.
const MOST_RANGES: usize = 10_000;

/// An array: what its tasks share and how far they have come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArrayRecord {
    /// The array's own id; its tasks have the ids that follow.
    pub id: JobId,
    /// What every task runs.
    pub spec: JobSpec,
    /// When it was submitted.
    pub submitted: Time,
    /// Ascending ranges of task indices: (first, last, step).
    pub ranges: Vec<(u32, u32, u32)>,
    /// Number of tasks.
    pub count: u32,
    /// Most tasks that wait as jobs or run at once.
    pub at_once: Option<u32>,
    /// Order of the first task that is not a job yet.
    pub first_waiting: u32,
    /// Tasks that are jobs and not ended.
    pub live: u32,
    /// Of these, tasks that wait.
    pub queued: u32,
    /// Tasks ended well.
    pub succeeded: u32,
    /// Tasks ended otherwise.
    pub failed: u32,
    /// Ended tasks whose records are still in the core.
    pub in_sight: u32,
    /// Orders of tasks cancelled before they became jobs.
    pub skipped: BTreeSet<u32>,
    /// True while held: no further task becomes a job.
    pub held: bool,
    /// True once cancelled: no further task ever becomes a job.
    pub cancelled: bool,
}

impl ArrayRecord {
    pub(crate) fn new(id: JobId, spec: JobSpec, submitted: Time, array: Array, held: bool) -> Result<Self, Refusal> {
        let count = check_ranges(&array)?;
        Ok(ArrayRecord {
            id,
            spec,
            submitted,
            ranges: array.ranges,
            count,
            at_once: array.at_once,
            first_waiting: 0,
            live: 0,
            queued: 0,
            succeeded: 0,
            failed: 0,
            in_sight: 0,
            skipped: BTreeSet::new(),
            held,
            cancelled: false,
        })
    }

    /// The index of the task with this order, from 0.
    pub fn task_at(&self, order: u32) -> u32 {
        let mut left = order;
        for &(first, last, step) in &self.ranges {
            let size = (last - first) / step + 1;
            if left < size {
                return first + left * step;
            }
            left -= size;
        }
        u32::MAX
    }

    /// The order of a task index, from 0.
    pub fn order_of(&self, task: u32) -> Option<u32> {
        let mut before = 0;
        for &(first, last, step) in &self.ranges {
            if first <= task && task <= last && (task - first).is_multiple_of(step) {
                return Some(before + (task - first) / step);
            }
            before += (last - first) / step + 1;
        }
        None
    }

    /// The id of the task with this order.
    pub fn job_at(&self, order: u32) -> JobId {
        JobId::new(self.id.number() + 1 + u64::from(order))
    }

    /// Tasks that are not jobs yet.
    pub fn waiting(&self) -> u32 {
        if self.cancelled { 0 } else { self.count - self.first_waiting - self.skipped.len() as u32 }
    }

    /// True once every task has ended.
    pub fn is_over(&self) -> bool {
        self.waiting() == 0 && self.live == 0
    }

    /// True when another task may become a job.
    fn has_room(&self) -> bool {
        let below_limit = self.at_once.is_none_or(|most| self.live < most);
        self.waiting() > 0 && !self.held && self.queued < WINDOW && below_limit
    }
}

fn check_ranges(array: &Array) -> Result<u32, Refusal> {
    if array.ranges.len() > MOST_RANGES {
        let fact = format!("an array has at most {MOST_RANGES} ranges, this one {}", array.ranges.len());
        return Err(Refusal::new(Code::Invalid, fact));
    }
    let mut count = 0u64;
    let mut after = None;
    for &(first, last, step) in &array.ranges {
        if step == 0 || last < first || after.is_some_and(|before| first <= before) {
            return Err(Refusal::new(Code::Invalid, format!("array range {first}-{last}:{step} is not ascending")));
        }
        count += u64::from((last - first) / step) + 1;
        after = Some(last);
    }
    if count == 0 || count > MOST_TASKS {
        let fact = format!("an array has 1 to {MOST_TASKS} tasks, this one {count}");
        return Err(Refusal::new(Code::Invalid, fact));
    }
    if array.at_once == Some(0) {
        return Err(Refusal::new(Code::Invalid, "an array's %limit is at least 1"));
    }
    Ok(count as u32)
}

impl Centre {
    /// Turn tasks into jobs while the array has room and its own wait is over.
    pub(crate) fn fill_array(&mut self, id: JobId) {
        let late = self
            .arrays
            .get(&id)
            .is_some_and(|record| record.waiting() > 0 && self.is_too_late(record.spec.last_start()));
        if late {
            self.array_end_rest(id, Outcome::Deadline);
        }
        if !self.array_gate_is_open(id) {
            return;
        }
        while let Some(record) = self.arrays.get_mut(&id).filter(|record| record.has_room()) {
            while record.skipped.remove(&record.first_waiting) {
                record.first_waiting += 1;
            }
            let order = record.first_waiting;
            record.first_waiting += 1;
            record.live += 1;
            record.queued += 1;
            let job = record.job_at(order);
            let task = record.task_at(order);
            let mut spec = record.spec.clone();
            spec.begin = None;
            spec.after = task_waits(&self.arrays, &spec.after, task);
            let submitted = self.arrays[&id].submitted;
            let record = Job { task: Some((id, task)), ..crate::submit::waiting(job, spec, submitted) };
            self.jobs.insert(record);
            self.notice(Notice::Job(job));
            self.enter_queue(job);
        }
    }

    /// A task left the queue for an engine.
    pub(crate) fn array_started(&mut self, array: JobId) {
        if let Some(record) = self.arrays.get_mut(&array) {
            record.queued -= 1;
        }
        self.array_perhaps_begun(array);
        self.todo.push_back(Todo::Fill(array));
    }

    /// A task went back to the queue.
    pub(crate) fn array_requeued(&mut self, array: JobId) {
        if let Some(record) = self.arrays.get_mut(&array) {
            record.queued += 1;
        }
    }

    /// A task ended.
    pub(crate) fn array_ended(&mut self, array: JobId, outcome: Outcome, was_queued: bool) {
        let Some(record) = self.arrays.get_mut(&array) else { return };
        record.live -= 1;
        record.in_sight += 1;
        record.queued -= u32::from(was_queued);
        if outcome.is_success() {
            record.succeeded += 1;
        } else {
            record.failed += 1;
        }
        if was_queued {
            self.array_perhaps_begun(array);
        }
        self.todo.push_back(Todo::Fill(array));
        self.array_perhaps_over(array);
    }

    /// A task's record left the core; the array's own follows the last.
    pub(crate) fn array_lost_sight(&mut self, array: JobId) {
        let Some(record) = self.arrays.get_mut(&array) else { return };
        record.in_sight -= 1;
        self.array_perhaps_gone(array);
    }

    fn array_perhaps_gone(&mut self, array: JobId) {
        let gone = self.arrays.get(&array).is_some_and(|record| record.is_over() && record.in_sight == 0);
        if gone {
            self.unwatch_deadline(array);
        }
        if gone && let Some(record) = self.arrays.remove(&array) {
            let all_well = record.failed == 0 && !record.cancelled;
            let outcome = if all_well { Outcome::Completed } else { Outcome::Failed { exit: 1, signal: 0 } };
            self.outcomes.insert(array, outcome);
        }
    }

    /// Of an array all of whose tasks have left the queue it is said that it has started.
    fn array_perhaps_begun(&mut self, array: JobId) {
        if self.arrays.get(&array).is_some_and(|record| record.waiting() == 0 && record.queued == 0) {
            self.wake_waiters(array);
        }
    }

    pub(crate) fn array_perhaps_over(&mut self, array: JobId) {
        if self.arrays.get(&array).is_some_and(ArrayRecord::is_over) {
            self.wake_waiters(array);
            self.array_perhaps_gone(array);
        }
    }

    /// End what is not a job yet: each of those tasks gets its record, as if it had become a job and ended.
    pub(crate) fn array_end_rest(&mut self, array: JobId, outcome: Outcome) -> u32 {
        let Some(record) = self.arrays.get_mut(&array) else { return 0 };
        let rest = record.waiting();
        let all = record.ranges.iter().flat_map(|&(first, last, step)| (first..=last).step_by(step as usize));
        let left = (0..).zip(all).skip(record.first_waiting as usize);
        let tasks: Vec<(u32, u32)> = left.filter(|(order, _)| !record.skipped.contains(order)).collect();
        let cancelled_before = record.cancelled;
        record.cancelled = true;
        record.failed += rest;
        if !cancelled_before {
            self.keep_never_run(array, &tasks, outcome);
        }
        self.array_perhaps_over(array);
        rest
    }

    /// Records of tasks, by (order, index), that ended before they became jobs.
    fn keep_never_run(&mut self, array: JobId, tasks: &[(u32, u32)], outcome: Outcome) {
        let record = &self.arrays[&array];
        let task = |(order, index): &(u32, u32)| Job {
            task: Some((array, *index)),
            state: JobState::Ended { outcome, at: self.now },
            ..crate::submit::waiting(record.job_at(*order), record.spec.clone(), record.submitted)
        };
        let kept: Vec<Effect> = tasks.iter().map(|one| Effect::Keep(Keep::Job(Arc::new(task(one))))).collect();
        let (project, count) = (record.spec.project, tasks.len() as u32);
        // Others may wait for one of these tasks by its own id, as `aftercorr` does.
        let ended: Vec<JobId> = tasks.iter().map(|(order, _)| record.job_at(*order)).collect();
        ended.into_iter().for_each(|job| self.wake_waiters(job));
        self.array_perhaps_begun(array);
        self.out.extend(kept);
        self.counts.waiting -= count;
        self.counts.ended += u64::from(count);
        self.count_project(project, -i64::from(count), 0);
    }

    /// Cancel one task that is not a job yet.
    pub(crate) fn array_skip(&mut self, array: JobId, order: u32) {
        let Some(record) = self.arrays.get_mut(&array) else { return };
        if record.cancelled || order < record.first_waiting || !record.skipped.insert(order) {
            return;
        }
        record.failed += 1;
        let index = record.task_at(order);
        self.keep_never_run(array, &[(order, index)], Outcome::Cancelled);
        self.array_perhaps_over(array);
    }
}

/// A task's own waits: `aftercorr` on an array becomes a wait for the task of the same index.
fn task_waits(
    arrays: &alloc::collections::BTreeMap<JobId, ArrayRecord>,
    waits: &[Dependency],
    task: u32,
) -> Vec<Dependency> {
    let own = |wait: &Dependency| {
        let other = arrays.get(&wait.on)?;
        let on = other.job_at(other.order_of(task)?);
        Some(Dependency { on, kind: DependencyKind::Succeeded, delay: wait.delay })
    };
    let corresponding = waits.iter().filter(|wait| wait.kind == DependencyKind::Corresponding);
    corresponding.map(|wait| own(wait).unwrap_or_else(|| wait.clone())).collect()
}
