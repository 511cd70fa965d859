//! Conservative backfill: each job is promised the earliest start that delays nobody before it; when a job ends early,
//! promises are brought forward in the order of submission, never put back.

use super::machine::{Event, Machine};
use super::{Job, Passes};
use std::collections::BTreeMap;
use std::ops::Range;

/// Processors free from each moment on, until the next.
struct Profile {
    /// (moment, free), by moment; the first is the present, the last holds for ever.
    steps: Vec<(u64, u32)>,
}

impl Profile {
    /// Drops what is past.
    fn go_to(&mut self, now: u64) {
        let past = self.steps.partition_point(|(from, _)| *from <= now).saturating_sub(1);
        self.steps.drain(..past);
    }

    /// The earliest moment in `within` when so many are free for so long, or for as long as it is until `before`:
    /// from there on the job holds its own.
    fn earliest(&self, within: Range<u64>, procs: u32, long: u64, before: u64) -> Option<u64> {
        let mut since = None;
        for &(from, free) in &self.steps {
            if from >= before || since.is_some_and(|start| from >= start + long) {
                return since;
            }
            if free < procs {
                since = None;
            } else if since.is_none() {
                since = Some(from.max(within.start));
            }
            if since.is_none_or(|start| start >= within.end) && from >= within.end {
                return None;
            }
        }
        since
    }

    /// A step that begins at a moment.
    fn cut(&mut self, moment: u64) -> usize {
        let at = self.steps.partition_point(|(from, _)| *from < moment);
        if self.steps.get(at).is_none_or(|(from, _)| *from != moment) {
            let free = self.steps[at - 1].1;
            self.steps.insert(at, (moment, free));
        }
        at
    }

    fn change(&mut self, from: u64, until: u64, by: impl Fn(u32) -> u32) {
        let (first, last) = (self.cut(from), self.cut(until));
        self.steps[first..last].iter_mut().for_each(|(_, free)| *free = by(*free));
        // Steps that no longer differ from the one before are dropped: the profile stays as small as it can be.
        for at in [last, first] {
            if at > 0 && self.steps[at].1 == self.steps[at - 1].1 {
                self.steps.remove(at);
            }
        }
    }

    fn take(&mut self, from: u64, until: u64, procs: u32) {
        self.change(from, until, |free| free.checked_sub(procs).expect("taken only where it is free"));
    }

    fn give(&mut self, from: u64, until: u64, procs: u32) {
        self.change(from, until, |free| free + procs);
    }
}

struct Conservative<'a> {
    jobs: &'a [Job],
    machine: Machine<'a>,
    profile: Profile,
    /// The promised start of each who waits, in the order of submission.
    promises: BTreeMap<usize, u64>,
    /// Processors were given back, since the last look at the promises, before this moment only.
    freed_until: u64,
    /// No promise is for an earlier moment.
    next_start: Option<u64>,
}

/// Runs all jobs and gives their starts.
pub(super) fn replay(jobs: &[Job], procs: u32, passes: Passes, seen: &mut dyn FnMut(usize)) -> Vec<u64> {
    let mut all = Conservative {
        jobs,
        machine: Machine::new(jobs, procs),
        profile: Profile { steps: vec![(0, procs)] },
        promises: BTreeMap::new(),
        freed_until: 0,
        next_start: None,
    };
    while let Some(moment) = all.machine.next_moment().into_iter().chain(all.next_start).min() {
        all.machine.go_to(moment);
        all.profile.go_to(moment);
        all.events(passes, seen);
        all.start_due();
    }
    all.machine.starts
}

impl Conservative<'_> {
    fn events(&mut self, passes: Passes, seen: &mut dyn FnMut(usize)) {
        let mut submitted = Vec::new();
        let mut gave_back = false;
        while let Some(event) = self.machine.event() {
            match event {
                Event::Submitted(at) if passes == Passes::EachMoment => submitted.push(at),
                Event::Submitted(at) => self.promise(at),
                Event::Ended { job, early } => {
                    if self.machine.ended().is_multiple_of(8192) {
                        seen(self.machine.ended());
                    }
                    if early {
                        let until = self.machine.starts[job] + u64::from(self.jobs[job].estimate);
                        self.profile.give(self.machine.now, until, self.jobs[job].procs);
                        self.freed_until = self.freed_until.max(until);
                        gave_back = true;
                    }
                    if early && passes == Passes::EachEvent {
                        self.bring_forward();
                    }
                }
            }
        }
        if passes == Passes::EachMoment {
            if gave_back {
                self.bring_forward();
            }
            submitted.into_iter().for_each(|at| self.promise(at));
        }
    }

    fn promise(&mut self, at: usize) {
        let job = self.jobs[at];
        let long = u64::from(job.estimate);
        let start = self.profile.earliest(self.machine.now..u64::MAX, job.procs, long, u64::MAX);
        let start = start.expect("the machine is empty in the end, and no job is larger than it");
        self.profile.take(start, start + long, job.procs);
        self.promises.insert(at, start);
        self.next_start = Some(self.next_start.map_or(start, |next| next.min(start)));
    }

    /// A start that was not possible at the last look needs processors given back since: it is before their end.
    fn bring_forward(&mut self) {
        let now = self.machine.now;
        let mut freed_until = self.freed_until;
        // What moves in this look frees places that those before it have not seen: kept for the next.
        self.freed_until = 0;
        for (&at, promised) in &mut self.promises {
            let job = self.jobs[at];
            let long = u64::from(job.estimate);
            if *promised <= now {
                continue;
            }
            if let Some(start) = self.profile.earliest(now..freed_until, job.procs, long, *promised) {
                self.profile.give(*promised, *promised + long, job.procs);
                self.profile.take(start, start + long, job.procs);
                self.freed_until = self.freed_until.max(*promised + long);
                freed_until = freed_until.max(*promised + long);
                *promised = start;
            }
        }
        self.next_start = self.promises.values().min().copied();
    }

    fn start_due(&mut self) {
        let now = self.machine.now;
        if self.next_start.is_none_or(|start| start > now) {
            return;
        }
        let due: Vec<usize> = self.promises.iter().filter(|(_, start)| **start <= now).map(|(at, _)| *at).collect();
        for at in due {
            self.machine.start(at);
            self.promises.remove(&at);
        }
        self.next_start = self.promises.values().min().copied();
    }
}
