//! Who waits, by shape: jobs of one shape stand in a line of their own, so that a look at the queue costs by shapes.
//!
//! Invariant: within a line jobs stand in the order of the workload, which is that of submission.
use super::super::room::Need;
use super::super::workload::Workload;
use madang_model::Span;
use std::collections::BTreeMap;

/// The waiting jobs of one shape.
pub(super) struct Line {
    /// Nodes of each gang.
    pub nodes: u32,
    /// What each takes of a node.
    pub need: Need,
    /// All jobs of this shape, ascending.
    jobs: Vec<usize>,
    /// The least limit among waiting jobs, as a tree in an array: leaves from `width` on.
    least: Vec<Span>,
    width: usize,
}

impl Line {
    fn new((nodes, need): (u32, Need), jobs: Vec<usize>) -> Line {
        let width = jobs.len().next_power_of_two();
        Line { nodes, need, jobs, least: vec![Span::MAX; 2 * width], width }
    }

    fn set(&mut self, job: usize, limit: Span) {
        let place = self.jobs.binary_search(&job).expect("a job stands in the line of its shape");
        let mut at = self.width + place;
        self.least[at] = limit;
        while at > 1 {
            at /= 2;
            self.least[at] = self.least[2 * at].min(self.least[2 * at + 1]);
        }
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.least[1] == Span::MAX
    }

    /// The first waiting job from `from` on with a limit of at most `limit`.
    pub fn next(&self, from: usize, limit: Span) -> Option<usize> {
        let place = self.jobs.partition_point(|job| *job < from);
        if place == self.jobs.len() {
            return None;
        }
        // Up until a right-hand neighbour holds somebody, then down to the first of them.
        let mut at = self.width + place;
        while self.least[at] > limit || self.least[at] == Span::MAX {
            while at % 2 == 1 {
                at /= 2;
            }
            if at == 0 {
                return None;
            }
            at += 1;
        }
        while at < self.width {
            at *= 2;
            at += usize::from(self.least[at] > limit || self.least[at] == Span::MAX);
        }
        Some(self.jobs[at - self.width])
    }
}

/// All who wait.
pub(super) struct Lines {
    /// One line a shape.
    pub lines: Vec<Line>,
    of: Vec<u32>,
}

impl Lines {
    /// Lines for all jobs of a workload; nobody waits.
    pub fn new(workload: &Workload) -> Lines {
        let mut shapes: BTreeMap<(u32, Need), Vec<usize>> = BTreeMap::new();
        for (index, job) in workload.jobs.iter().enumerate() {
            shapes.entry((job.nodes, job.need())).or_default().push(index);
        }
        let mut of = vec![0; workload.jobs.len()];
        for (line, jobs) in (0..).zip(shapes.values()) {
            jobs.iter().for_each(|job| of[*job] = line);
        }
        Lines { lines: shapes.into_iter().map(|(shape, jobs)| Line::new(shape, jobs)).collect(), of }
    }

    /// A job joins its line.
    pub fn add(&mut self, job: usize, limit: Span) {
        self.lines[self.of[job] as usize].set(job, limit);
    }

    /// A job leaves its line.
    pub fn remove(&mut self, job: usize) {
        self.lines[self.of[job] as usize].set(job, Span::MAX);
    }
}
