//! Moving runs together: what a plan says, what comes of carrying it out, and when it no longer holds.
use crate::common::*;
use expect_test::{Expect, expect};
use madang_model::{Founding, Health, JobId, NodeId, Request, RunId, Span};
use madang_sched::defrag::{Bounds, Plan};
use madang_sched::{Ask, Clearing, Event, Move, Scheduler, Stale, Unmovable};
use proptest::prelude::*;
use std::collections::BTreeMap;

const HOUR: u64 = 3600;
const BOUNDS: Bounds = Bounds { site: None, horizon: Span::from_hours(24), most: 32 };

/// A scheduler with what its jobs asked for.
struct Floor {
    sched: Scheduler,
    founding: Founding,
    asks: BTreeMap<JobId, Ask>,
}

impl Floor {
    fn new(islands: &[(u32, u32, u32)]) -> Floor {
        let founding = estate(islands);
        Floor { sched: sched(&founding), founding, asks: BTreeMap::new() }
    }

    /// Queues a job, which starts or not.
    fn queue(&mut self, secs: u64, job: u64, request: Request, limit_secs: u64) {
        let ask = ask(job, request, limit_secs);
        self.asks.insert(ask.run.job, ask.clone());
        step(&mut self.sched, secs, vec![Event::Queued(ask)]);
    }

    /// Fills nodes with `each` jobs of so many GPUs on each, and ends all but the first of each node.
    fn strew(&mut self, nodes: u64, each: u64, gpus: u32, limit_secs: u64) {
        for job in 1..=nodes * each {
            self.queue(0, job, request(1, gpus), limit_secs);
        }
        let over = (1..=nodes * each).filter(|job| job % each != 1).map(|job| Event::Ended(run(job)));
        step(&mut self.sched, 1, over.collect());
    }

    fn next(&self, job: JobId) -> Option<Ask> {
        let (run, _, _) = self.sched.runs().find(|(run, _, _)| run.job == job)?;
        Some(Ask { run: RunId { attempt: run.attempt + 1, ..run }, ..self.asks.get(&job)?.clone() })
    }

    fn plan(&self, bounds: &Bounds) -> Plan {
        self.sched.defrag(at(0), bounds, &|job| self.next(job))
    }

    fn carry_out(&mut self, plan: &[Clearing]) -> Result<Vec<RunId>, Stale> {
        let asks: BTreeMap<JobId, Ask> = self.asks.keys().filter_map(|job| Some((*job, self.next(*job)?))).collect();
        let told = self.sched.relocate(plan, &|job| asks.get(&job).cloned());
        assert_eq!(self.sched.audit(), Vec::<String>::new());
        self.goes_on_alike();
        told
    }

    /// A scheduler that is restored now, between two steps, takes the same next step.
    fn goes_on_alike(&self) {
        let mut live = self.sched.clone();
        let mut again = Scheduler::restore(live.config().clone(), &self.founding, live.snapshot());
        let steps = [&mut live, &mut again].map(|sched| sched.step(at(HOUR + 1), vec![]));
        assert_eq!(steps[0], steps[1]);
        assert_eq!(live.snapshot(), again.snapshot());
    }

    /// The runs are gone, and their jobs come back.
    fn leave(&mut self, secs: u64, runs: &[RunId]) -> String {
        let back = |run: &RunId| [Event::Queued(self.next(run.job).expect("it runs")), Event::Ended(*run)];
        let mut events: Vec<Event> = runs.iter().flat_map(back).collect();
        events.sort_by_key(|event| matches!(event, Event::Queued(_)));
        starts(&step(&mut self.sched, secs, events))
    }
}

/// The plan in words.
fn words(plan: &Plan) -> String {
    let mut text = String::new();
    for group in &plan.groups {
        let room = group.room_for.map_or("whole nodes".into(), |job| format!("room for {job}"));
        text += &format!("{room}: gains {}, costs {}\n", group.gained, group.lost());
        for each in &group.moves {
            text += &format!("  {} from {} to {}\n", each.run, nodes(&each.from), nodes(&each.to));
        }
    }
    let sum = |figure: fn(&madang_sched::Stranded) -> u64| {
        let all = |side: &[madang_sched::Stranded]| side.iter().map(figure).sum::<u64>();
        format!("{} -> {}", all(&plan.before), all(&plan.after))
    };
    let (whole, gang, stranded) = (sum(|one| one.whole), sum(|one| one.gang), sum(|one| one.stranded));
    text += &format!("whole {whole}, largest gang {gang}, stranded {stranded}, starts {:?}\n", plan.starts);
    text
}

#[track_caller]
fn check(plan: &Plan, expected: Expect) {
    expected.assert_eq(&format!("{}{:?}\n", words(plan), plan.left));
}

#[test]
fn a_gang_that_could_not_start_starts() {
    let mut floor = Floor::new(&[(1, 4, 8)]);
    floor.strew(4, 2, 4, 20 * HOUR);
    floor.queue(HOUR, 100, request(2, 8), 4 * HOUR);
    let plan = floor.plan(&BOUNDS);
    check(
        &plan,
        expect![[r#"
            room for job-100: gains 47.200 GPU-hours, costs 8.666 GPU-hours
              job-1.1 from n0[0f] to n2[f0]
              job-3.1 from n1[0f] to n3[f0]
            whole 0 -> 2, largest gang 0 -> 2, stranded 16 -> 0, starts [job-100]
            Left { not_requeued: 0, spared: 0, going: 0, budget: 0, nowhere: 0, dear: 0, beyond: 0 }
        "#]],
    );
    let told = floor.carry_out(&plan.clearings()).unwrap();
    assert_eq!(starts(&step(&mut floor.sched, HOUR + 60, vec![queued(101, 1, 4, HOUR)])), "", "the room is kept");
    expect![[r#"
        job-1: n2[f0]
        job-3: n3[f0]
        job-100: n0[ff] n1[ff]
    "#]]
    .assert_eq(&floor.leave(HOUR + 120, &told));
}

#[test]
fn what_may_not_be_moved_stays() {
    let mut floor = Floor::new(&[(1, 4, 8)]);
    floor.strew(4, 2, 4, 20 * HOUR);
    check(
        &floor.plan(&BOUNDS),
        expect![[r#"
        whole 0 -> 0, largest gang 0 -> 0, stranded 16 -> 16, starts []
        Left { not_requeued: 0, spared: 4, going: 0, budget: 0, nowhere: 0, dear: 0, beyond: 0 }
    "#]],
    );
    step(&mut floor.sched, HOUR, vec![Event::Leaving(run(1))]);
    floor.asks.remove(&JobId::new(3));
    check(
        &floor.plan(&BOUNDS),
        expect![[r#"
        whole nodes: gains 143.333 GPU-hours, costs 4.333 GPU-hours
          job-5.1 from n2[0f] to n0[f0]
        whole nodes: gains 143.333 GPU-hours, costs 4.333 GPU-hours
          job-7.1 from n3[0f] to n1[f0]
        whole 0 -> 2, largest gang 0 -> 2, stranded 16 -> 0, starts []
        Left { not_requeued: 1, spared: 0, going: 1, budget: 0, nowhere: 0, dear: 0, beyond: 0 }
    "#]],
    );
    let plan = |job, to: &[u32]| {
        let to = to.iter().copied().map(NodeId::new).collect();
        vec![Clearing { room_for: None, moves: vec![Move { run: run(job), to }] }]
    };
    let before = floor.sched.snapshot();
    let mut refused = |plan: &[Clearing], why| assert_eq!(floor.carry_out(plan), Err(why));
    refused(&plan(1, &[1]), Stale::Run(run(1), Unmovable::Leaving));
    refused(&plan(3, &[0]), Stale::Run(run(3), Unmovable::NotRequeued));
    refused(&plan(9, &[0]), Stale::Run(run(9), Unmovable::Gone));
    for nowhere in [&[][..], &[0, 1], &[77]] {
        refused(&plan(5, nowhere), Stale::Place(run(5)));
    }
    // The first move is good, the second finds its place taken: neither is made.
    let mut both = plan(5, &[3]);
    both.extend(plan(7, &[2]));
    both.extend(plan(5, &[1]));
    refused(&both, Stale::Run(run(5), Unmovable::Leaving));
    let room = vec![Clearing { room_for: Some(JobId::new(50)), ..plan(5, &[3])[0].clone() }];
    refused(&room, Stale::Room(JobId::new(50)));
    assert_eq!(floor.sched.snapshot(), before);
}

#[test]
fn costs_are_weighed_against_gains() {
    // Twenty hours of work that is saved nowhere are not lost for three hours of a whole node.
    let mut floor = Floor::new(&[(1, 2, 8)]);
    floor.strew(2, 2, 4, 23 * HOUR);
    step(&mut floor.sched, 20 * HOUR, vec![]);
    check(
        &floor.plan(&BOUNDS),
        expect![[r#"
        whole 0 -> 0, largest gang 0 -> 0, stranded 8 -> 8, starts []
        Left { not_requeued: 0, spared: 0, going: 0, budget: 0, nowhere: 0, dear: 2, beyond: 0 }
    "#]],
    );
    step(&mut floor.sched, 20 * HOUR, vec![Event::Saved(run(1), at(20 * HOUR - 60))]);
    check(
        &floor.plan(&BOUNDS),
        expect![[r#"
        whole 0 -> 0, largest gang 0 -> 0, stranded 8 -> 8, starts []
        Left { not_requeued: 0, spared: 0, going: 0, budget: 0, nowhere: 0, dear: 2, beyond: 0 }
    "#]],
    );
    check(
        &floor.plan(&Bounds { most: 0, ..BOUNDS }),
        expect![[r#"
        whole 0 -> 0, largest gang 0 -> 0, stranded 8 -> 8, starts []
        Left { not_requeued: 0, spared: 0, going: 0, budget: 0, nowhere: 0, dear: 1, beyond: 1 }
    "#]],
    );
    // With a short horizon the hours that the other node is whole later do not count.
    check(
        &floor.plan(&Bounds { horizon: Span::from_hours(2), ..BOUNDS }),
        expect![[r#"
        whole nodes: gains 16 GPU-hours, costs 0.400 GPU-hours
          job-1.1 from n0[0f] to n1[f0]
        whole 0 -> 1, largest gang 0 -> 1, stranded 8 -> 0, starts []
        Left { not_requeued: 0, spared: 0, going: 0, budget: 0, nowhere: 0, dear: 0, beyond: 0 }
    "#]],
    );
}

#[test]
fn a_job_goes_on_in_its_new_place_or_waits_like_any_other() {
    let begin = || {
        let mut floor = Floor::new(&[(1, 2, 8)]);
        floor.strew(2, 2, 4, 23 * HOUR);
        let clearing = Clearing { room_for: None, moves: vec![Move { run: run(1), to: vec![NodeId::new(1)] }] };
        let told = floor.carry_out(&[clearing]).unwrap_err();
        assert!(matches!(told, Stale::Run(_, Unmovable::Settling(_))), "{told:?}");
        step(&mut floor.sched, HOUR, vec![]);
        let clearing = Clearing { room_for: None, moves: vec![Move { run: run(1), to: vec![NodeId::new(1)] }] };
        let told = floor.carry_out(&[clearing]).unwrap();
        (floor, told)
    };
    let (mut floor, told) = begin();
    assert_eq!(floor.leave(HOUR + 9, &told), "job-1: n1[f0]\n");
    // Older snapshots say of the place when it ends by the limit, and when it is let go.
    let (mut floor, told) = begin();
    let mut saved = serde_json::to_value(floor.sched.snapshot()).unwrap();
    let kept = saved["kept"][0].as_object_mut().unwrap();
    kept.remove("start");
    let end = kept.remove("end").unwrap();
    kept.extend([("last".to_owned(), end.clone()), ("until".to_owned(), end)]);
    floor.sched =
        Scheduler::restore(floor.sched.config().clone(), &floor.founding, serde_json::from_value(saved).unwrap());
    assert_eq!(starts(&step(&mut floor.sched, HOUR + 5, vec![queued(9, 2, 4, HOUR)])), "", "it is kept all the same");
    assert_eq!(floor.leave(HOUR + 9, &told), "job-1: n1[f0]\n");
    // Its new place was lost: it goes where there is room.
    let (mut floor, told) = begin();
    step(&mut floor.sched, HOUR + 5, vec![Event::Node(NodeId::new(1), Health::Drain { why: "fan".into() })]);
    assert_eq!(floor.leave(HOUR + 9, &told), "job-1: n0[0f]\n");
    // It ended by itself: nothing is kept.
    let (mut floor, _) = begin();
    step(&mut floor.sched, HOUR + 9, vec![Event::Ended(run(1))]);
    assert_eq!(floor.sched.kept_places().count(), 0);
    // Its end is never told: the place is not kept for ever.
    let (mut floor, _) = begin();
    let wake = step(&mut floor.sched, HOUR + 9, vec![]).wake.unwrap();
    step(&mut floor.sched, wake.secs(), vec![]);
    assert_eq!(floor.sched.kept_places().count(), 0);
    assert_eq!(wake, at(HOUR + 180 + 600));
}

/// What is asked for, and for how long, in a random life of one island.
fn asked() -> impl Strategy<Value = Vec<(u32, u32, u64)>> {
    let kind = prop_oneof![Just((1, 1)), Just((1, 2)), Just((1, 4)), Just((2, 4)), Just((2, 8)), Just((3, 8))];
    proptest::collection::vec((kind, 2..30u64).prop_map(|((nodes, gpus), hours)| (nodes, gpus, hours)), 12..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_does_what_it_says(asked in asked(), ends in proptest::collection::vec(any::<prop::sample::Index>(), 8)) {
        let mut floor = Floor::new(&[(2, 4, 8), (1, 3, 4)]);
        for (job, (nodes, gpus, hours)) in (1..).zip(asked) {
            floor.queue(0, job, request(nodes, gpus), hours * HOUR);
        }
        for index in ends {
            let runs: Vec<RunId> = floor.sched.runs().map(|(run, _, _)| run).collect();
            step(&mut floor.sched, 1, vec![Event::Ended(*index.get(&runs))]);
        }
        step(&mut floor.sched, HOUR, vec![]);
        let plan = floor.plan(&BOUNDS);
        prop_assert_eq!(&floor.plan(&BOUNDS), &plan, "the same again");
        recount(&floor, &plan);
        let promised: Vec<_> = floor.sched.promises().map(|promise| (promise.job, promise.start)).collect();
        let held = gpus_held(&floor.sched);
        let told = floor.carry_out(&plan.clearings()).expect("a fresh plan holds");
        for (job, start) in promised {
            prop_assert!(floor.sched.promise(job).is_some_and(|promise| promise.start <= start), "{job} is put off");
        }
        let gone = floor.leave(HOUR + 180, &told);
        let after = gpus_held(&floor.sched);
        for each in plan.groups.iter().flat_map(|group| &group.moves) {
            let on = floor.sched.held(RunId { attempt: each.run.attempt + 1, ..each.run }).expect("it goes on");
            let nodes = |on: &madang_model::Allocation| on.slots.iter().map(|slot| slot.node).collect::<Vec<_>>();
            prop_assert_eq!(nodes(on), nodes(&each.to));
        }
        let fresh: u32 = plan.starts.iter().map(|job| floor.asks[job].request.gpus().milli() / 1000).sum();
        prop_assert!(plan.starts.iter().all(|job| gone.contains(&format!("{job}: "))), "{:?} of {gone}", plan.starts);
        prop_assert!(after >= held + fresh, "{held} GPUs were held, {after} are, {fresh} by jobs that start");
    }
}

fn gpus_held(sched: &Scheduler) -> u32 {
    sched.runs().map(|(_, on, _)| on.gpus().milli() / 1000).sum()
}

/// What the plan says of nodes and gains, counted by hand from runs and limits.
fn recount(floor: &Floor, plan: &Plan) {
    let sched = &floor.sched;
    let start = at(HOUR + 180);
    let horizon = |until: madang_model::Time| until.after(Span::from_mins(1)).since(start).min(BOUNDS.horizon).millis();
    let mut on: BTreeMap<NodeId, BTreeMap<RunId, madang_model::Time>> = BTreeMap::new();
    for (run, held, until) in sched.runs() {
        for slot in &held.slots {
            on.entry(slot.node).or_default().insert(run, until);
        }
    }
    let total = |node: NodeId| if node.number() < 8 { 8_u64 } else { 4 };
    let millis = |runs: Option<&BTreeMap<RunId, madang_model::Time>>| {
        runs.and_then(|runs| runs.values().map(|until| horizon(*until)).max()).unwrap_or(0)
    };
    let mut whole = (0..11).filter(|node| on.get(&NodeId::new(*node)).is_none_or(BTreeMap::is_empty)).count() as u64;
    assert_eq!(plan.before.iter().map(|island| island.whole).sum::<u64>(), whole);
    for group in &plan.groups {
        let before = on.clone();
        for each in &group.moves {
            for slot in &each.from.slots {
                on.get_mut(&slot.node).expect("held").remove(&each.run);
            }
            let until = start.after(floor.asks[&each.run.job].limit);
            let next = RunId { attempt: 2, ..each.run };
            for slot in &each.to.slots {
                on.entry(slot.node).or_default().insert(next, until);
            }
        }
        let mut gained = 0_i128;
        for node in (0..11).map(NodeId::new) {
            let (was, is) = (before.get(&node), on.get(&node));
            let emptied = was.is_some_and(|runs| !runs.is_empty()) && is.is_some_and(BTreeMap::is_empty);
            assert_eq!(emptied, group.emptied.contains(&node), "{node}");
            let filled = millis(is) > millis(was);
            if filled || (emptied && group.room_for.is_none()) {
                gained += i128::from(total(node) * 1000) * (i128::from(millis(was)) - i128::from(millis(is)));
            }
        }
        if let Some(job) = group.room_for {
            let promise = sched.promise(job).expect("a promised job");
            let ask = &floor.asks[&job];
            let sooner = promise.start.since(start).min(ask.limit).min(BOUNDS.horizon).millis();
            gained += i128::from(ask.request.gpus().milli()) * i128::from(sooner);
        }
        assert_eq!(i128::from(group.gained.micro_secs()), gained, "{group:?}");
        // Nothing is ever saved here: all work since the start is lost until the grace is over, and the new place waits.
        let lost = |each: &madang_sched::defrag::Moved| {
            let (_, _, until) = sched.runs().find(|(run, ..)| *run == each.run).expect("it runs");
            let since = until.before(floor.asks[&each.run.job].limit);
            i64::from(each.from.gpus().milli()) * (at(HOUR + 120).since(since).millis() + 180_000) as i64
        };
        assert_eq!(group.lost().micro_secs(), group.moves.iter().map(lost).sum::<i64>());
        assert!(group.gained > group.lost());
    }
    whole = (0..11).filter(|node| on.get(&NodeId::new(*node)).is_none_or(BTreeMap::is_empty)).count() as u64;
    assert_eq!(plan.after.iter().map(|island| island.whole).sum::<u64>(), whole);
}
