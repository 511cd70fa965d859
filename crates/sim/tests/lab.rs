//! Policies of the laboratory: small schedules worked out by hand, and random ones against slow obvious replays.
use madang_sim::lab::{Input, Job, Passes, Policy, Refusal, replay};
use madang_sim::swf::Log;
use proptest::prelude::*;

/// A log from `submit run procs estimate` a line.
fn log(jobs: &str) -> Log {
    let line = |(at, job): (usize, &str)| {
        let [submit, run, procs, estimate] = *job.split_whitespace().collect::<Vec<_>>() else {
            panic!("four figures a job")
        };
        format!("{} {submit} -1 {run} -1 -1 -1 {procs} {estimate} -1 -1 -1 -1 -1 -1 -1 -1 -1\n", at + 1)
    };
    let text: String = jobs.lines().map(str::trim).filter(|job| !job.is_empty()).enumerate().map(line).collect();
    Log::parse(&text).expect("a well-formed log")
}

fn starts(jobs: &[Job], procs: u32, policy: Policy, passes: Passes) -> Vec<u64> {
    replay(jobs, procs, policy, passes, &mut |_| ()).expect("they fit")
}

fn check(jobs: &str, procs: u32, wanted: &[(Policy, &[u64])]) {
    let input = Input::of(&log(jobs)).expect("a log that can be replayed");
    for (policy, wanted) in wanted {
        for passes in [Passes::EachEvent, Passes::EachMoment] {
            assert_eq!(starts(&input.jobs, procs, *policy, passes), *wanted, "{} {passes:?}", policy.name());
        }
    }
}

#[test]
fn those_who_end_in_time_overtake_the_head() {
    // Four processors. The second job needs all of them: it is the head from 1 on, and its promise is 10.
    let jobs = "0 10 3 10
                1 5 4 5
                2 9 1 9
                2 4 1 4";
    check(
        jobs,
        4,
        &[
            (Policy::Fcfs, &[0, 10, 15, 15]),
            // The third would end at 11, past the promise; the fourth ends at 6.
            (Policy::Easy, &[0, 10, 15, 2]),
            (Policy::EasySjbf, &[0, 10, 15, 2]),
            (Policy::Conservative, &[0, 10, 15, 2]),
        ],
    );
}

#[test]
fn what_the_head_will_not_need_is_given_out_once() {
    // The head needs 3 of 4 at 10: one is extra. Of two long jobs of one processor, one may overtake.
    let jobs = "0 10 2 10
                1 5 3 5
                2 50 1 50
                3 50 1 50";
    check(jobs, 4, &[(Policy::Easy, &[0, 10, 2, 15]), (Policy::Conservative, &[0, 10, 2, 15])]);
}

#[test]
fn the_shortest_overtake_first() {
    let jobs = "0 10 3 10
                1 5 4 5
                2 5 1 5
                2 3 1 3";
    // Whoever is submitted first takes the place at once; the other follows, since it still ends by 10.
    check(jobs, 4, &[(Policy::Easy, &[0, 10, 2, 7])]);
    let input = Input::of(&log(jobs)).expect("a log that can be replayed");
    assert_eq!(starts(&input.jobs, 4, Policy::EasySjbf, Passes::EachEvent), [0, 10, 2, 7]);
    // One look after both are there: the shorter goes first.
    assert_eq!(starts(&input.jobs, 4, Policy::EasySjbf, Passes::EachMoment), [0, 10, 5, 2]);
}

#[test]
fn exact_run_times_change_what_may_overtake() {
    // The first says 100 and runs 10; the third runs 20 and would delay the head, if that were known.
    let jobs = "0 10 3 100
                1 5 4 5
                2 20 1 20";
    check(
        jobs,
        4,
        &[
            (Policy::Easy, &[0, 22, 2]),
            (Policy::EasyClairvoyant, &[0, 10, 15]),
            // Its promise behind the head is at 105; the free processor lets it go at once.
            (Policy::Conservative, &[0, 22, 2]),
        ],
    );
}

#[test]
fn an_early_end_brings_promises_forward() {
    let jobs = "0 10 4 100
                1 10 4 10
                2 10 2 10
                3 10 2 10";
    check(jobs, 4, &[(Policy::Conservative, &[0, 10, 20, 20]), (Policy::Easy, &[0, 10, 20, 20])]);
}

#[test]
fn rows_that_never_ran_are_left_out_and_long_runs_are_cut() {
    let input = Input::of(&log("5 10 1 4\n0 -1 1 10\n0 7 2 -1")).expect("a log that can be replayed");
    assert_eq!((input.left_out, input.cut), (1, 1));
    let seen: Vec<_> = input.jobs.iter().map(|job| (job.number, job.run, job.estimate)).collect();
    assert_eq!(seen, [(3, 7, 7), (1, 4, 4)]);
    let large = replay(&input.jobs, 1, Policy::Easy, Passes::EachEvent, &mut |_| ());
    assert_eq!(large, Err(Refusal::TooLarge { job: 3, asks: 2, has: 1 }));
}

/// A machine second by second, with nothing clever in it.
struct Slow<'a> {
    jobs: &'a [Job],
    procs: u32,
    starts: Vec<Option<u64>>,
    waits: Vec<usize>,
    /// Known to have ended.
    ended: Vec<bool>,
}

impl Slow<'_> {
    /// Free at a moment to come, if one more job were started now.
    fn free(&self, now: u64, at: u64, more: Option<usize>) -> u32 {
        let of = |job: usize, start: u64| {
            let over = self.ended[job] || start + u64::from(self.jobs[job].estimate) <= at.max(now);
            if over { 0 } else { self.jobs[job].procs }
        };
        let held: u32 = (0..self.jobs.len()).filter_map(|job| Some(of(job, self.starts[job]?))).sum();
        self.procs.saturating_sub(held + more.map_or(0, |job| of(job, now)))
    }

    fn earliest(&self, now: u64, job: usize, more: Option<usize>) -> u64 {
        (now..).find(|&at| self.free(now, at, more) >= self.jobs[job].procs).expect("no job is too large")
    }

    fn pass(&mut self, now: u64, shortest_first: bool) {
        while let Some(&head) = self.waits.first() {
            if self.free(now, now, None) < self.jobs[head].procs {
                break;
            }
            self.starts[head] = Some(now);
            self.waits.remove(0);
        }
        let Some((&head, rest)) = self.waits.split_first() else { return };
        let mut rest = rest.to_vec();
        if shortest_first {
            rest.sort_by_key(|&job| (self.jobs[job].estimate, job));
        }
        for job in rest {
            let fits = self.free(now, now, None) >= self.jobs[job].procs;
            if fits && self.earliest(now, head, Some(job)) <= self.earliest(now, head, None) {
                self.starts[job] = Some(now);
                self.waits.retain(|&other| other != job);
            }
        }
    }
}

fn slow_easy(jobs: &[Job], procs: u32, passes: Passes, shortest_first: bool) -> Vec<u64> {
    let none = vec![None; jobs.len()];
    let mut slow = Slow { jobs, procs, starts: none, waits: Vec::new(), ended: vec![false; jobs.len()] };
    let mut order: Vec<usize> = Vec::new();
    for now in 0.. {
        let mut happened = false;
        for at in (0..jobs.len()).filter(|&at| jobs[at].submit == now) {
            slow.waits.push(at);
            happened = true;
            if passes == Passes::EachEvent && slow.free(now, now, None) >= jobs[at].procs {
                pass_and_note(&mut slow, now, shortest_first, &mut order);
            }
        }
        let ends = |job: &usize| slow.starts[*job].is_some_and(|start| start + u64::from(jobs[*job].run) == now);
        for at in order.clone().into_iter().filter(ends).collect::<Vec<_>>() {
            slow.ended[at] = true;
            happened = true;
            if passes == Passes::EachEvent {
                pass_and_note(&mut slow, now, shortest_first, &mut order);
            }
        }
        if happened && passes == Passes::EachMoment {
            pass_and_note(&mut slow, now, shortest_first, &mut order);
        }
        if slow.ended.iter().all(|ended| *ended) {
            break;
        }
    }
    slow.starts.into_iter().map(|start| start.expect("all have run")).collect()
}

/// A pass, and who it started, in the order of starts: those in the order of the queue first, then the others.
fn pass_and_note(slow: &mut Slow<'_>, now: u64, shortest_first: bool, order: &mut Vec<usize>) {
    let before: Vec<bool> = slow.starts.iter().map(Option::is_some).collect();
    let queue = slow.waits.clone();
    slow.pass(now, shortest_first);
    // Heads go first; they are the longest beginning of the queue that has been started.
    let started = |job: &usize| slow.starts[*job].is_some() && !before[*job];
    let heads = slow.waits.first().map_or(queue.len(), |head| queue.iter().position(|job| job == head).unwrap_or(0));
    order.extend(queue[..heads].iter().filter(|job| started(job)));
    let mut rest: Vec<usize> = queue[heads..].iter().copied().filter(started).collect();
    if shortest_first {
        rest.sort_by_key(|&job| (slow.jobs[job].estimate, job));
    }
    order.extend(rest);
}

/// Conservative backfill on a table of free processors, second by second.
fn slow_conservative(jobs: &[Job], procs: u32) -> Vec<u64> {
    let horizon = jobs.iter().map(|job| job.submit + u64::from(job.estimate)).sum::<u64>() as usize + 2;
    let mut free = vec![procs; horizon];
    let mut promises: Vec<Option<u64>> = vec![None; jobs.len()];
    let add = |free: &mut Vec<u32>, from: u64, until: u64, procs: i64| {
        free[from as usize..until as usize].iter_mut().for_each(|at| *at = (i64::from(*at) + procs) as u32);
    };
    let earliest = |free: &Vec<u32>, now: u64, job: &Job| {
        let fits = |at: &u64| (*at..*at + u64::from(job.estimate)).all(|at| free[at as usize] >= job.procs);
        (now..).find(fits).expect("the end is empty")
    };
    for now in 0..horizon as u64 {
        for (at, job) in jobs.iter().enumerate().filter(|(_, job)| job.submit == now) {
            let start = earliest(&free, now, job);
            add(&mut free, start, start + u64::from(job.estimate), -i64::from(job.procs));
            promises[at] = Some(start);
        }
        let ends = |(at, job): &(usize, &Job)| promises[*at].is_some_and(|start| start + u64::from(job.run) == now);
        let mut ended: Vec<(usize, &Job)> = jobs.iter().enumerate().filter(ends).collect();
        ended.sort_by_key(|(at, _)| (promises[*at], *at));
        for (of, job) in ended.into_iter().filter(|(_, job)| job.run < job.estimate) {
            let start = promises[of].expect("it has run");
            add(&mut free, now, start + u64::from(job.estimate), i64::from(job.procs));
            for (at, job) in jobs.iter().enumerate() {
                let Some(promised) = promises[at].filter(|promised| *promised > now) else { continue };
                add(&mut free, promised, promised + u64::from(job.estimate), i64::from(job.procs));
                let start = earliest(&free, now, job);
                add(&mut free, start, start + u64::from(job.estimate), -i64::from(job.procs));
                promises[at] = Some(start);
            }
        }
    }
    promises.into_iter().map(|start| start.expect("all have run")).collect()
}

fn jobs() -> impl Strategy<Value = Vec<Job>> {
    let one = (0u64..40, 1u32..12, 0u32..10, 1u32..9);
    proptest::collection::vec(one, 1..28).prop_map(|mut all| {
        all.sort_by_key(|(submit, ..)| *submit);
        let job = |(at, (submit, run, more, procs)): (usize, (u64, u32, u32, u32))| {
            // A third of the estimates are exact: ends and estimated ends then fall on one moment.
            let estimate = run + more.saturating_sub(3);
            Job { number: at as i64 + 1, submit, run, estimate, procs }
        };
        all.into_iter().enumerate().map(job).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn easy_is_as_slow_and_obvious_easy(jobs in jobs(), procs in 8u32..14) {
        for passes in [Passes::EachEvent, Passes::EachMoment] {
            for (policy, shortest_first) in [(Policy::Easy, false), (Policy::EasySjbf, true)] {
                let slow = slow_easy(&jobs, procs, passes, shortest_first);
                prop_assert_eq!(starts(&jobs, procs, policy, passes), slow, "{} {:?}", policy.name(), passes);
            }
        }
    }

    #[test]
    fn conservative_is_as_slow_and_obvious_conservative(jobs in jobs(), procs in 8u32..14) {
        prop_assert_eq!(starts(&jobs, procs, Policy::Conservative, Passes::EachEvent), slow_conservative(&jobs, procs));
    }

    #[test]
    fn no_processor_serves_two(jobs in jobs(), procs in 8u32..14) {
        for policy in Policy::ALL {
            let starts = starts(&jobs, procs, policy, Passes::EachMoment);
            for (job, start) in jobs.iter().zip(&starts) {
                prop_assert!(*start >= job.submit);
                let runs = |other: &(&Job, &u64)| *other.1 <= *start && *start < *other.1 + u64::from(other.0.run);
                let busy: u32 = jobs.iter().zip(&starts).filter(runs).map(|(job, _)| job.procs).sum();
                prop_assert!(busy <= procs, "{} at {}", policy.name(), start);
            }
        }
    }
}
