//! What is expected of jobs goes into the order of backfill and into forecasts, and nowhere else.
use crate::common::{ask, at, estate, request, sched_with, step};
use madang_model::{JobId, ProjectId, RunId, Span, Time, UserId};
use madang_sched::{Ask, Budget, Config, Event, Forecast, Lasting, PromiseEnd, Scheduler};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

fn config(prediction: bool, patience: Option<u32>) -> Config {
    let mut config = Config { prediction, patience, promises: 1, ..Config::default() };
    config.taking.jobs = 0;
    config
}

fn expecting(job: u64, gpus: u32, limit: u64, expected: u64) -> Ask {
    Ask { expected: Some(Span::from_secs(expected)), ..ask(job, request(1, gpus), limit) }
}

/// The order in which jobs start one by one on a single node, when nobody is given a promise.
fn order(prediction: bool, patience: Option<u32>, jobs: &[Ask]) -> Vec<u64> {
    let founding = estate(&[(1, 1, 8)]);
    let mut sched = sched_with(Config { promises: 0, ..config(prediction, patience) }, &founding);
    step(&mut sched, 0, vec![Event::Queued(ask(1, request(1, 8), 36_000))]);
    step(&mut sched, 1, jobs.iter().map(|ask| Event::Queued(ask.clone())).collect());
    let (mut order, mut now, mut last) = (Vec::new(), 2, 1);
    while order.len() < jobs.len() {
        let next = step(&mut sched, now, vec![Event::Ended(RunId { job: JobId::new(last), attempt: 1 })]);
        now += 1;
        last = next.starts[0].run.job.number();
        order.push(last);
    }
    order
}

#[test]
fn the_shortest_by_expectation_goes_first_until_patience_ends() {
    let aged = |since: u64, ask: Ask| Ask { since: at(since), ..ask };
    let jobs = [
        aged(1, expecting(3, 8, 7200, 3000)),
        aged(2, expecting(4, 8, 3600, 3500)),
        aged(3, expecting(5, 8, 36_000, 60)),
        aged(4, ask(6, request(1, 8), 1800)),
    ];
    assert_eq!(order(false, None, &jobs), [6, 4, 3, 5], "by limits");
    // Where nothing is known the limit counts. 3,000 and 3,500 s are one step, so that age decides.
    assert_eq!(order(true, None, &jobs), [5, 6, 3, 4]);
    assert_eq!(order(true, Some(0), &jobs), [3, 4, 5, 6], "without patience it goes by age, whatever is expected");
    let late = [aged(0, expecting(3, 8, 7200, 3000)), aged(2900, expecting(4, 8, 7200, 60))];
    assert_eq!(order(true, None, &late), [4, 3]);
    assert_eq!(order(true, Some(2), &late), [4, 3]);
    assert_eq!(order(true, Some(1), &late), [3, 4], "what asks so much later is behind it");
}

#[test]
fn a_forecast_says_what_it_leans_on() {
    let founding = estate(&[(1, 1, 8)]);
    let mut sched = sched_with(config(true, None), &founding);
    step(&mut sched, 0, vec![Event::Queued(expecting(1, 8, 36_000, 600))]);
    step(&mut sched, 1, vec![Event::Queued(expecting(2, 8, 3600, 1000)), Event::Queued(ask(3, request(1, 8), 3600))]);
    let forecast = |sched: &Scheduler, now, job, lasting| sched.forecast(at(now), JobId::new(job), lasting);
    let starts = |secs| Some(Forecast::Starts(at(secs)));
    assert_eq!(forecast(&sched, 1, 3, Lasting::Limits), starts(36_000 + 3600));
    assert_eq!(forecast(&sched, 1, 3, Lasting::Expected), starts(600 + 1000));
    // What outlives its expectation is taken to last twice as long, again and again, up to its limit.
    assert_eq!(forecast(&sched, 601, 2, Lasting::Expected), starts(1200));
    assert_eq!(forecast(&sched, 20_000, 2, Lasting::Expected), starts(36_000));
    assert_eq!(forecast(&sched, 1, 1, Lasting::Limits), None, "it does not wait");
    step(&mut sched, 2, vec![Event::Budget(ProjectId::new(1), Budget::NoAward)]);
    assert_eq!(forecast(&sched, 2, 3, Lasting::Limits), Some(Forecast::Never));
}

#[test]
fn a_budget_that_an_early_end_leaves_is_there_again() {
    let founding = estate(&[(1, 1, 8)]);
    let mut sched = sched_with(config(true, None), &founding);
    let hours = |hours| Budget::Left(madang_model::GpuTime::from_hours(hours));
    step(&mut sched, 0, vec![Event::Budget(ProjectId::new(1), hours(24)), Event::Queued(expecting(1, 8, 7200, 1800))]);
    step(&mut sched, 1, vec![Event::Queued(expecting(2, 8, 3600, 1800)), Event::Queued(expecting(3, 8, 3600, 1800))]);
    // Sixteen of 24 hours are held and eight are left for the second; the first gives back twelve if it ends early.
    assert_eq!(sched.forecast(at(1), JobId::new(3), Lasting::Limits), Some(Forecast::Never));
    assert_eq!(sched.forecast(at(1), JobId::new(3), Lasting::Expected), Some(Forecast::Starts(at(3600))));
}

/// A queue on a small estate: (nodes, GPUs, limit, expected, part of the limit that it really takes, user).
#[derive(Clone, Debug)]
struct Wanted {
    nodes: u32,
    gpus: u32,
    limit: u64,
    expected: u64,
    part: u64,
    user: u32,
}

fn wanted() -> impl Strategy<Value = Wanted> {
    (1..4u32, prop_oneof![Just(1u32), Just(4), Just(8)], 1..40u64, 1..4000u64, 1..=10u64, 1..4u32).prop_map(
        |(nodes, gpus, limit, expected, part, user)| Wanted { nodes, gpus, limit: limit * 60, expected, part, user },
    )
}

/// A life to the end: who starts when, and every promise as it was first given. Jobs come in threes, one minute apart;
/// `part` says what part of ten of their limits runs take.
struct Lived {
    starts: BTreeMap<JobId, Time>,
    first: BTreeMap<JobId, Time>,
    broken: usize,
}

fn live(
    config: Config,
    all: &[Wanted],
    part: impl Fn(&Wanted) -> u64,
    mut look: impl FnMut(Time, &Scheduler),
) -> Lived {
    let founding = estate(&[(1, 3, 8)]);
    let mut sched = sched_with(config, &founding);
    let mut ends: BTreeSet<(Time, RunId)> = BTreeSet::new();
    let mut lived = Lived { starts: BTreeMap::new(), first: BTreeMap::new(), broken: 0 };
    let (mut now, mut next) = (at(0), 0);
    loop {
        let mut events = Vec::new();
        while let Some(&(time, run)) = ends.first().filter(|(time, _)| *time <= now) {
            ends.remove(&(time, run));
            events.push(Event::Ended(run));
        }
        while next < all.len() && at((next / 3) as u64 * 60) <= now {
            let want = &all[next];
            let expected = Some(Span::from_secs(want.expected.min(want.limit)));
            let ask = ask(next as u64 + 1, request(want.nodes, want.gpus), want.limit);
            events.push(Event::Queued(Ask { user: UserId::new(want.user), expected, since: now, ..ask }));
            next += 1;
        }
        let step = sched.step(now, events);
        assert_eq!(sched.audit(), Vec::<String>::new());
        for start in &step.starts {
            let want = &all[start.run.job.index() - 1];
            lived.starts.insert(start.run.job, now);
            ends.insert((now.after(Span::from_secs(want.limit * part(want) / 10)), start.run));
        }
        lived.broken += step.promises.iter().filter(|(_, end)| matches!(end, PromiseEnd::Broken { .. })).count();
        for promise in sched.promises() {
            lived.first.entry(promise.job).or_insert(promise.start);
        }
        if next == all.len() {
            look(now, &sched);
        }
        let coming = (next < all.len()).then(|| at((next / 3) as u64 * 60));
        let Some(soonest) = ends.first().map(|(time, _)| *time).into_iter().chain(step.wake).chain(coming).min() else {
            return lived;
        };
        now = now.max(soonest);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 8, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is expected, however wrongly, and however early runs end: who was given a promise starts by then.
    #[test]
    fn no_expectation_delays_a_promise(all in proptest::collection::vec(wanted(), 1..40), patience in prop_oneof![Just(None), Just(Some(0)), Just(Some(3))]) {
        for prediction in [false, true] {
            let lived = live(config(prediction, patience), &all, |want| want.part, |_, _| ());
            prop_assert_eq!(lived.starts.len(), all.len());
            prop_assert_eq!(lived.broken, 0);
            for (job, promised) in &lived.first {
                prop_assert!(lived.starts[job] <= *promised, "{} with prediction {}", job, prediction);
            }
        }
    }

    /// Where nothing new comes and every run lasts to its limit, the forecast on limits is what happens.
    #[test]
    fn a_forecast_on_limits_comes_true(all in proptest::collection::vec(wanted(), 1..30)) {
        let mut told: Vec<(Time, JobId, Option<Forecast>)> = Vec::new();
        let lived = live(config(true, Some(2)), &all, |_| 10, |now, sched| {
            if told.len() < 60 {
                let jobs = (1..=all.len() as u64).map(JobId::new);
                let waits = jobs.filter_map(|job| Some((now, job, Some(sched.forecast(now, job, Lasting::Limits)?))));
                told.extend(waits);
            }
        });
        for (at, job, forecast) in told {
            prop_assert_eq!(forecast, Some(Forecast::Starts(lived.starts[&job])), "{} asked at {:?}", job, at);
        }
    }
}
