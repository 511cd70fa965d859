//! Processors, the jobs on them, and what comes next in time.
//!
//! A processor counts as free once its job has ended or its *estimated* end has come, even if the end itself, at this
//! very moment, is still to be handled: published results rest on it.

use super::Job;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A job that holds processors, first by its estimated end, then by the order of starts.
type Held = (u64, u32, u32);

/// The machine at one moment.
pub(super) struct Machine<'a> {
    jobs: &'a [Job],
    /// The moment.
    pub now: u64,
    /// Processors free by what is known now.
    pub free: u32,
    /// The start of each job, once started.
    pub starts: Vec<u64>,
    /// Jobs by (estimated end, order of start, processors), sorted.
    held: Vec<Held>,
    /// Ends to come, by (end, order of start, job).
    ends: BinaryHeap<Reverse<(u64, u32, u32)>>,
    started: u32,
    submitted: usize,
    ended: usize,
}

/// One thing that happens.
pub(super) enum Event {
    /// A job is submitted.
    Submitted(usize),
    /// A job ends; `early` if before its estimate.
    Ended {
        /// The job.
        job: usize,
        /// Before its estimate.
        early: bool,
    },
}

impl<'a> Machine<'a> {
    /// An idle machine before the first job.
    pub fn new(jobs: &'a [Job], procs: u32) -> Machine<'a> {
        Machine {
            jobs,
            now: 0,
            free: procs,
            starts: vec![0; jobs.len()],
            held: Vec::new(),
            ends: BinaryHeap::new(),
            started: 0,
            submitted: 0,
            ended: 0,
        }
    }

    /// The moment of the next event.
    pub fn next_moment(&self) -> Option<u64> {
        let submit = self.jobs.get(self.submitted).map(|job| job.submit);
        let end = self.ends.peek().map(|Reverse((end, ..))| *end);
        submit.into_iter().chain(end).min()
    }

    /// Goes to a moment: what is estimated to have ended by then is free.
    pub fn go_to(&mut self, moment: u64) {
        assert!(moment >= self.now, "time never goes back");
        self.now = moment;
        let over = self.held.iter().take_while(|(end, ..)| *end <= moment).count();
        self.free += self.held.drain(..over).map(|(_, _, procs)| procs).sum::<u32>();
    }

    /// The next event of this moment: submissions in order, then ends in the order of starts.
    pub fn event(&mut self) -> Option<Event> {
        if self.jobs.get(self.submitted).is_some_and(|job| job.submit <= self.now) {
            self.submitted += 1;
            return Some(Event::Submitted(self.submitted - 1));
        }
        if self.ends.peek().is_none_or(|Reverse((end, ..))| *end > self.now) {
            return None;
        }
        let Reverse((_, order, job)) = self.ends.pop()?;
        let job = job as usize;
        self.ended += 1;
        let estimated = self.starts[job] + u64::from(self.jobs[job].estimate);
        let early = estimated > self.now;
        if early {
            let at = self.held.partition_point(|held| (held.0, held.1) < (estimated, order));
            self.free += self.held.remove(at).2;
        }
        Some(Event::Ended { job, early })
    }

    /// Starts a job now.
    pub fn start(&mut self, at: usize) {
        let job = self.jobs[at];
        self.free = self.free.checked_sub(job.procs).expect("a job is started only where it fits");
        self.starts[at] = self.now;
        let index = u32::try_from(at).expect("fewer jobs than fit memory's addresses here");
        self.ends.push(Reverse((self.now + u64::from(job.run), self.started, index)));
        let held = (self.now + u64::from(job.estimate), self.started, job.procs);
        let place = self.held.partition_point(|other| *other < held);
        self.held.insert(place, held);
        self.started += 1;
    }

    /// The earliest estimated moment when so many processors are free, and how many are left over then.
    pub fn shadow(&self, procs: u32) -> (u64, u32) {
        let mut free = self.free;
        let mut ends = self.held.iter().peekable();
        while let Some((end, _, back)) = ends.next() {
            free += back;
            // Whatever ends at the same moment is free then too.
            if free >= procs && ends.peek().is_none_or(|(next, ..)| next > end) {
                return (*end, free - procs);
            }
        }
        unreachable!("no job is larger than the machine")
    }

    /// How many jobs have ended.
    pub fn ended(&self) -> usize {
        self.ended
    }
}
