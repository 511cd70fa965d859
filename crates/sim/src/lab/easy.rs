//! FCFS and EASY: the head of the queue starts as soon as it fits; under EASY others overtake if that does not delay it.

use super::machine::{Event, Machine};
use super::queue::{Queue, Room};
use super::{Job, Passes};

/// Who may overtake the head of the queue.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Overtaking {
    /// FCFS.
    Nobody,
    /// In the order of submission.
    InOrder,
    /// By estimate, then submission.
    ShortestFirst,
}

struct Easy<'a> {
    jobs: &'a [Job],
    machine: Machine<'a>,
    overtaking: Overtaking,
    /// Those who wait behind the head.
    queue: Queue,
    /// Each job's place among those who overtake, and the job of each place; empty if they are the same.
    places: Vec<usize>,
    of_places: Vec<usize>,
    /// Who waits.
    waits: Vec<bool>,
    /// How many wait.
    waiting: usize,
    /// The first who waits, if any; nobody before it does.
    head: usize,
}

/// Runs all jobs and gives their starts.
pub(super) fn replay(
    jobs: &[Job],
    procs: u32,
    overtaking: Overtaking,
    passes: Passes,
    seen: &mut dyn FnMut(usize),
) -> Vec<u64> {
    let mut easy = Easy::new(jobs, procs, overtaking);
    while let Some(moment) = easy.machine.next_moment() {
        easy.machine.go_to(moment);
        while let Some(event) = easy.machine.event() {
            let worth_a_pass = match event {
                Event::Submitted(at) => {
                    easy.submit(at);
                    jobs[at].procs <= easy.machine.free
                }
                Event::Ended { .. } => {
                    if easy.machine.ended().is_multiple_of(8192) {
                        seen(easy.machine.ended());
                    }
                    true
                }
            };
            if passes == Passes::EachEvent && worth_a_pass {
                easy.pass();
            }
        }
        if passes == Passes::EachMoment {
            easy.pass();
        }
    }
    assert!(easy.waiting == 0, "every job has run");
    easy.machine.starts
}

impl<'a> Easy<'a> {
    fn new(jobs: &'a [Job], procs: u32, overtaking: Overtaking) -> Easy<'a> {
        let (mut places, mut of_places) = (Vec::new(), Vec::new());
        if overtaking == Overtaking::ShortestFirst {
            of_places = (0..jobs.len()).collect();
            of_places.sort_by_key(|&at| (jobs[at].estimate, at));
            places = vec![0; jobs.len()];
            of_places.iter().enumerate().for_each(|(place, &at)| places[at] = place);
        }
        Easy {
            jobs,
            machine: Machine::new(jobs, procs),
            overtaking,
            queue: Queue::new(jobs.len()),
            places,
            of_places,
            waits: vec![false; jobs.len()],
            waiting: 0,
            head: 0,
        }
    }

    fn submit(&mut self, at: usize) {
        self.waits[at] = true;
        self.waiting += 1;
        if self.waiting == 1 {
            self.head = at;
        } else if self.overtaking != Overtaking::Nobody {
            self.queue.add(self.place(at), self.jobs[at].procs, self.jobs[at].estimate);
        }
    }

    /// One look at the queue: start heads while they fit, promise the next head its start, let others overtake.
    fn pass(&mut self) {
        while self.waiting > 0 && self.jobs[self.head].procs <= self.machine.free {
            self.begin(self.head);
            self.next_head();
        }
        if self.waiting == 0 || self.queue.smallest() > self.machine.free {
            return;
        }
        let (shadow, extra) = self.machine.shadow(self.jobs[self.head].procs);
        let mut room = Room { free: self.machine.free, extra, until: shadow - self.machine.now };
        let mut from = 0;
        while let Some(place) = self.queue.next(from, room) {
            let at = if self.of_places.is_empty() { place } else { self.of_places[place] };
            let job = self.jobs[at];
            self.queue.remove(place);
            self.begin(at);
            room.free = self.machine.free;
            if u64::from(job.estimate) > room.until {
                room.extra -= job.procs;
            }
            from = place + 1;
        }
    }

    fn begin(&mut self, at: usize) {
        self.machine.start(at);
        self.waits[at] = false;
        self.waiting -= 1;
    }

    /// The next who waits comes to the head, out of those who overtake.
    fn next_head(&mut self) {
        if self.waiting == 0 {
            return;
        }
        while !self.waits[self.head] {
            self.head += 1;
        }
        if self.overtaking != Overtaking::Nobody {
            self.queue.remove(self.place(self.head));
        }
    }

    fn place(&self, at: usize) -> usize {
        if self.places.is_empty() { at } else { self.places[at] }
    }
}
