//! Placement, order, promises, loss and budget, in small cases.
use crate::common::*;
use expect_test::expect;
use madang_model::{Blocked, GpuTime, Health, JobId, NodeId, Part, ProjectId, Qos, Request, Span, UserId};
use madang_sched::{Anomaly, Ask, BrokenBy, Budget, Change, Config, Event, PromiseEnd, Scheduler};

#[test]
fn a_gang_starts_whole_in_one_island() {
    let founding = estate(&[(1, 2, 8), (1, 4, 8)]);
    let mut sched = sched(&founding);
    let step = step(&mut sched, 1, vec![queued(1, 3, 8, 600), queued(2, 2, 8, 600), queued(3, 1, 1, 600)]);
    expect![[r#"
        job-1: n2[ff] n3[ff] n4[ff]
        job-2: n0[ff] n1[ff]
        job-3: n5[01]
    "#]]
    .assert_eq(&starts(&step));
}

#[test]
fn small_jobs_fill_the_fullest_node_first() {
    let founding = estate(&[(1, 2, 8)]);
    let mut sched = sched(&founding);
    let jobs = [(1, 1), (2, 4), (3, 2), (4, 2), (5, 1)];
    let step = step(&mut sched, 1, jobs.map(|(id, gpus)| queued(id, 1, gpus, 600)).to_vec());
    expect![[r#"
        job-1: n0[01]
        job-2: n0[1e]
        job-3: n0[60]
        job-4: n1[03]
        job-5: n0[80]
    "#]]
    .assert_eq(&starts(&step));
}

#[test]
fn what_asks_for_no_gpu_goes_first_where_there_are_none() {
    let founding = estate(&[(1, 1, 8), (1, 2, 0)]);
    let mut sched = sched(&founding);
    let step = step(&mut sched, 1, vec![queued(1, 1, 8, 600), queued(2, 1, 0, 600), queued(3, 2, 0, 600)]);
    expect![[r#"
        job-1: n0[ff]
        job-2: n1[00]
        job-3: n1[00] n2[00]
    "#]]
    .assert_eq(&starts(&step));
}

#[test]
fn urgency_then_nice_then_age_then_id() {
    let founding = estate(&[(1, 8, 8)]);
    let mut sched = sched(&founding);
    let job = |id: u64, qos: Qos, nice: i32, since: u64| {
        let mut ask = ask(id, request(1, 8), 600);
        (ask.qos, ask.nice, ask.since) = (qos, nice, at(since));
        Event::Queued(ask)
    };
    let events = vec![
        job(1, Qos::Low, 0, 0),
        job(2, Qos::Normal, 5, 0),
        job(3, Qos::Normal, 0, 9),
        job(4, Qos::Normal, 0, 3),
        job(5, Qos::Normal, 0, 3),
        job(6, Qos::High, 9, 9),
    ];
    let step = step(&mut sched, 10, events);
    let order: Vec<u64> = step.starts.iter().map(|start| start.run.job.number()).collect();
    assert_eq!(order, [6, 4, 5, 3, 2, 1]);
}

#[test]
fn backfill_fills_what_a_promise_leaves_and_nothing_else() {
    let founding = estate(&[(1, 4, 8)]);
    let mut sched = sched(&founding);
    // Two nodes are busy for ten minutes; a gang of four nodes waits for them.
    let first = step(&mut sched, 0, vec![queued(1, 2, 8, 600)]);
    let second = step(&mut sched, 1, vec![queued(2, 4, 8, 600)]);
    assert_eq!((first.starts.len(), second.starts.len()), (1, 0));
    let promise = sched.promise(JobId::new(2)).unwrap().clone();
    assert_eq!(promise.start, at(660), "the limit of what runs, and a minute for it to be gone");
    // What is gone by then may start; what is not may not, be it ever so small.
    let third = step(&mut sched, 2, vec![queued(3, 1, 8, 700), queued(4, 1, 1, 3600), queued(5, 1, 8, 590)]);
    assert_eq!(starts(&third), "job-5: n2[ff]\n");
    assert_eq!(third.report.backfilled, 1);
    assert_eq!(sched.why(JobId::new(3)), Some(Blocked::Resources { fitting: 0, wanted: 1 }));
    assert_eq!(sched.promise(JobId::new(2)), Some(&promise));
    // All ends in time: the promise is kept, to the second.
    let at_promise = step(&mut sched, 660, vec![Event::Ended(run(1)), Event::Ended(run(5))]);
    assert_eq!(at_promise.starts[0].run, run(2));
    assert!(at_promise.promises.contains(&(JobId::new(2), PromiseEnd::Kept { promised: at(660) })));
}

#[test]
fn a_promise_leaves_what_it_does_not_need_on_its_nodes() {
    let founding = estate(&[(1, 1, 8)]);
    let mut sched = sched(&founding);
    step(&mut sched, 0, vec![queued(1, 1, 6, 600)]);
    step(&mut sched, 1, vec![queued(2, 1, 4, 600)]);
    assert_eq!(sched.promise(JobId::new(2)).unwrap().start, at(660));
    let later = step(&mut sched, 2, vec![queued(3, 1, 2, 36_000)]);
    assert_eq!(starts(&later), "job-3: n0[c0]\n", "beside four promised GPUs two are free for ever");
}

#[test]
fn jobs_that_are_known_to_be_blocked_get_promises_too() {
    let founding = estate(&[(1, 2, 8)]);
    let mut sched = sched(&founding);
    step(&mut sched, 0, vec![queued(1, 2, 8, 600), queued(2, 2, 8, 600)]);
    let later = step(&mut sched, 1, (3..8).map(|job| queued(job, 2, 8, 600)).collect());
    assert_eq!(later.report.tries, 0, "the same was tried before");
    let promised: Vec<(u64, u64)> =
        sched.promises().map(|promise| (promise.job.number(), promise.start.secs())).collect();
    assert_eq!(promised, [(2, 660), (3, 1320), (4, 1980), (5, 2640)]);
    assert_eq!(sched.when(at(1), JobId::new(7)), Some(at(3600)), "six gangs run before it");
}

#[test]
fn an_early_end_keeps_a_promise_early() {
    let founding = estate(&[(1, 2, 8)]);
    let mut sched = sched(&founding);
    step(&mut sched, 0, vec![queued(1, 2, 8, 3600)]);
    step(&mut sched, 1, vec![queued(2, 2, 8, 600)]);
    let early = step(&mut sched, 5, vec![Event::Ended(run(1))]);
    assert_eq!(starts(&early), "job-2: n0[ff] n1[ff]\n");
    assert_eq!(early.promises, [(JobId::new(2), PromiseEnd::Kept { promised: at(3660) })]);
}

#[test]
fn promises_break_only_with_a_cause() {
    let broken = |events: Vec<Event>, secs: u64| {
        let founding = estate(&[(1, 2, 8)]);
        let mut sched = sched(&founding);
        step(&mut sched, 0, vec![queued(1, 2, 8, 600)]);
        step(&mut sched, 1, vec![queued(2, 2, 8, 600)]);
        let step = step(&mut sched, secs, events);
        let ends: Vec<String> = step.promises.iter().map(|(job, end)| format!("{job} {end:?}")).collect();
        let anew = sched.promise(JobId::new(2)).map(|promise| promise.start.secs());
        format!("{} now {anew:?}", ends.join(" "))
    };
    let node = |health: Health| Event::Node(NodeId::new(0), health);
    let cases = [
        broken(vec![node(Health::Drain { why: "fan".into() })], 2),
        broken(vec![node(Health::Down { why: "power".into() }), Event::Ended(run(1))], 2),
        broken(vec![Event::Extended(run(1), at(900))], 2),
        broken(vec![Event::Extended(run(1), at(500))], 2),
        broken(vec![], 700),
        broken(vec![Event::Withdrawn(JobId::new(2))], 2),
        broken(vec![Event::Budget(ProjectId::new(1), Budget::Left(GpuTime::from_hours(1)))], 2),
    ];
    expect![[r#"
        job-2 Broken { promised: @660000, cause: Node(node-0) } now None
        job-2 Broken { promised: @660000, cause: Node(node-0) } now None
        job-2 Broken { promised: @660000, cause: Extended(job-1.1) } now Some(960)
         now Some(560)
        job-2 Broken { promised: @660000, cause: Overrun(job-1.1) } now Some(760)
        job-2 Broken { promised: @660000, cause: Withdrawn } now None
        job-2 Broken { promised: @660000, cause: Budget } now None"#]]
    .assert_eq(&cases.join("\n"));
}

#[test]
fn a_drained_node_finishes_its_work_and_takes_no_more() {
    let founding = estate(&[(1, 2, 8)]);
    let mut sched = sched(&founding);
    step(&mut sched, 0, vec![queued(1, 1, 4, 600)]);
    let drain = Event::Node(NodeId::new(0), Health::Drain { why: String::new() });
    let small = step(&mut sched, 1, vec![drain, queued(2, 1, 4, 600), queued(3, 2, 1, 600)]);
    assert_eq!(starts(&small), "job-2: n1[0f]\n");
    assert_eq!(sched.why(JobId::new(3)), Some(Blocked::NodesUnavailable));
    assert_eq!(sched.promise(JobId::new(3)), None);
    let back = step(&mut sched, 2, vec![Event::Node(NodeId::new(0), Health::Up)]);
    assert_eq!(starts(&back), "job-3: n0[10] n1[10]\n");
}

#[test]
fn a_budget_is_never_overdrawn_and_blocks_nobody_else() {
    let founding = estate(&[(1, 4, 8)]);
    let mut sched = sched(&founding);
    let id = ProjectId::new(2);
    let mut poor = ask(1, request(1, 8), 3600);
    poor.project = id;
    let events = [project(2, 1), vec![Event::Budget(id, Budget::Left(GpuTime::from_hours(12)))]].concat();
    step(&mut sched, 0, events);
    let again = Ask { run: run(2), ..poor.clone() };
    let both = step(&mut sched, 1, vec![Event::Queued(poor), Event::Queued(again), queued(3, 1, 8, 60)]);
    assert_eq!(both.starts.len(), 2);
    let hours = GpuTime::from_hours;
    assert_eq!(sched.why(JobId::new(2)), Some(Blocked::Budget { needs: hours(8), left: hours(4) }));
    assert_eq!(sched.explain(at(1), JobId::new(2)).unwrap().change, Some(Change::Limit(Span::from_mins(30))));
    assert_eq!(sched.when(at(1), JobId::new(2)), None);
    step(&mut sched, 2, vec![Event::Budget(id, Budget::NoAward)]);
    assert_eq!(sched.why(JobId::new(2)), Some(Blocked::NoAward));
    let paid = step(&mut sched, 3, vec![Event::Budget(id, Budget::Left(hours(8)))]);
    assert_eq!(paid.starts.len(), 1);
    assert_eq!(sched.left(id), Some(GpuTime::ZERO));
}

#[test]
fn owners_get_what_they_are_entitled_to() {
    let founding = estate(&[(10, 10, 8)]);
    let mut sched = sched(&founding);
    step(&mut sched, 0, project(2, 1));
    let job = |id: u64, project: u32| {
        let mut ask = ask(id, request(1, 8), 3600);
        ask.project = ProjectId::new(project);
        Event::Queued(ask)
    };
    // One owner asks for far more than the other, and first.
    let events = (1..=400).map(|id| job(id, if id <= 300 { 1 } else { 2 })).collect();
    step(&mut sched, 1, events);
    let gpus: Vec<(u32, u32)> = sched.standing(at(1)).iter().map(|row| (row.entitled, row.gpus)).collect();
    assert_eq!(gpus, [(5100, 408), (10_000, 408), (4900, 392), (10_000, 392)]);
}

#[test]
fn past_use_fades_by_half_in_a_half_life() {
    let founding = estate(&[(1, 2, 8)]);
    let mut sched = sched(&founding);
    step(&mut sched, 0, project(2, 0));
    let mut other = ask(2, request(1, 8), 7200);
    other.project = ProjectId::new(2);
    let used = |sched: &Scheduler, now: u64| -> Vec<u32> {
        sched.standing(at(now)).iter().filter(|row| row.project.is_some()).map(|row| row.used).collect()
    };
    // The same hour of use, the one a half-life after the other: one part in three against two.
    let fortnight = 14 * 86_400;
    step(&mut sched, 0, vec![queued(1, 1, 8, 7200)]);
    step(&mut sched, 3600, vec![Event::Ended(run(1))]);
    assert_eq!(used(&sched, 3600), [10_000, 0]);
    step(&mut sched, fortnight, vec![Event::Queued(other)]);
    step(&mut sched, fortnight + 3600, vec![Event::Ended(run(2))]);
    assert_eq!(used(&sched, fortnight + 3600), [3333, 6666]);
    assert_eq!(used(&sched, 9 * fortnight), [3333, 6666], "what has faded together keeps its proportion");
}

#[test]
fn reading_a_meter_often_or_seldom_is_the_same() {
    let run_for_a_day = |every: u64| {
        let founding = estate(&[(1, 2, 8)]);
        let mut sched = sched(&founding);
        step(&mut sched, 0, project(2, 1));
        let mut other = ask(2, request(1, 8), 90_000);
        (other.project, other.since) = (ProjectId::new(2), at(0));
        step(&mut sched, 0, vec![queued(1, 1, 4, 90_000), Event::Queued(other)]);
        for time in (0..86_400).step_by(every as usize) {
            step(&mut sched, time, vec![queued(1000 + time, 2, 8, 60)]);
            step(&mut sched, time, vec![Event::Withdrawn(JobId::new(1000 + time))]);
        }
        sched.standing(at(86_400)).iter().map(|row| row.used).collect::<Vec<u32>>()
    };
    assert_eq!(run_for_a_day(86_400), [3333, 10_000, 6666, 10_000]);
    assert_eq!(run_for_a_day(600), [3333, 10_000, 6666, 10_000]);
}

#[test]
fn a_more_urgent_job_of_the_same_leaf_takes_the_last_promise() {
    let founding = estate(&[(1, 2, 8)]);
    let mut sched = Scheduler::new(Config { promises: 1, ..Config::default() }, &founding);
    step(&mut sched, 0, project(1, 0));
    step(&mut sched, 0, vec![queued(1, 2, 8, 600), queued(2, 2, 8, 600)]);
    assert!(sched.promise(JobId::new(2)).is_some());
    let mut nicer = ask(3, request(2, 8), 600);
    nicer.user = UserId::new(9);
    nicer.qos = Qos::High;
    let stranger = step(&mut sched, 1, vec![Event::Queued(nicer.clone())]);
    assert_eq!(stranger.promises, [], "urgency counts within a leaf only");
    (nicer.run, nicer.user) = (run(4), UserId::new(1));
    let own = step(&mut sched, 2, vec![Event::Queued(nicer)]);
    let cause = BrokenBy::Overtaken(JobId::new(4));
    assert_eq!(own.promises, [(JobId::new(2), PromiseEnd::Broken { promised: at(660), cause })]);
    assert_eq!(
        sched.promises().map(|promise| (promise.job, promise.start)).collect::<Vec<_>>(),
        [(JobId::new(4), at(660))]
    );
}

#[test]
fn a_big_gang_starts_under_a_stream_of_small_jobs() {
    let founding = estate(&[(2, 8, 8)]);
    let mut sched = sched(&founding);
    let mut next = 10;
    let mut ends: Vec<(u64, u64)> = Vec::new();
    let mut big = None;
    for minute in 0..240 {
        let mut events: Vec<Event> = Vec::new();
        ends.retain(|(end, job)| {
            let over = *end <= minute;
            if over {
                events.push(Event::Ended(run(*job)));
            }
            !over
        });
        if minute == 20 {
            events.push(queued(1, 12, 8, 3600));
        }
        for _ in 0..30 {
            events.push(queued(next, 1, 1 + (next % 4) as u32, 600 + next % 7 * 300));
            next += 1;
        }
        let step = step(&mut sched, minute * 60, events);
        for start in &step.starts {
            ends.push((start.until.secs() / 60, start.run.job.number()));
            if start.run.job == JobId::new(1) {
                big = Some(minute);
            }
        }
        assert!(step.promises.iter().all(|(_, end)| matches!(end, PromiseEnd::Kept { .. })), "{:?}", step.promises);
    }
    let start = big.expect("it starts");
    assert!(start <= 20 + 45, "not later than the longest limit that ran when it came: {start}");
}

#[test]
fn what_can_never_fit_is_said_in_names_and_numbers() {
    let founding = estate(&[(1, 4, 8), (1, 3, 4)]);
    let sched = sched(&founding);
    let says = |change: &dyn Fn(&mut Request)| {
        let mut asked = request(1, 1);
        change(&mut asked);
        sched.fits_ever(&asked).err().unwrap_or_else(|| "fits".into())
    };
    let texts = [
        says(&|_| ()),
        says(&|r| r.parts[0].gpus = 12),
        says(&|r| r.parts[0].cpus = 65),
        says(&|r| r.parts[0].memory_mib = 1 << 40),
        says(&|r| r.parts[0].nodes = 5),
        says(&|r| (r.parts[0].nodes, r.across_islands) = (7, true)),
        says(&|r| r.parts[0].nodes = 8),
        says(&|r| r.parts[0].model = Some("b200".into())),
        says(&|r| r.parts[0].features = vec!["nvme".into()]),
        says(&|r| r.include = vec![NodeId::new(0), NodeId::new(5)]),
        says(&|r| r.sites = vec![]),
        says(&|r| r.parts = vec![]),
        says(&|r| r.parts[0].nodes = 0),
        says(&|r| (r.parts[0].nodes, r.parts[0].gpus, r.parts[0].cpus) = (u32::MAX, u32::MAX, u32::MAX)),
        says(&|r| r.parts = vec![r.parts[0].clone(), Part { nodes: u32::MAX, ..r.parts[0].clone() }]),
        says(&|r| r.include = vec![NodeId::new(u32::MAX)]),
    ];
    expect![[r#"
        fits
        asks for 12 GPUs on a node, the largest node of site0 has 8
        asks for 65 CPUs on a node, the largest node of site0 has 64
        asks for 1099511627776 MiB of memory on a node, the largest node of site0 has 8192
        asks for 5 nodes together, no island of site0 has that many that fit
        fits
        asks for 8 nodes with 1 GPUs and 8 CPUs, site0 has 7 of them
        asks for b200 GPUs, site0 has none
        asks for nodes with nvme, site0 has none
        must include n0, n5, which cannot be part of one gang of it at site0
        asks for no site
        asks for no nodes
        asks for a part of no nodes
        asks for 4294967295 GPUs on a node, the largest node of site0 has 8
        asks for 4294967295 nodes with 1 GPUs and 8 CPUs, site0 has 7 of them
        must include ?, which cannot be part of one gang of it at site0"#]]
    .assert_eq(&texts.join("\n"));
}

#[test]
fn explanations_name_a_change_that_works() {
    let founding = estate(&[(1, 4, 8), (1, 2, 8)]);
    let mut sched = sched(&founding);
    step(&mut sched, 0, vec![queued(1, 1, 8, 3600), queued(2, 1, 4, 3600)]);
    let mut long = ask(5, request(2, 8), 36_000);
    long.nice = 1;
    step(&mut sched, 1, vec![queued(3, 5, 8, 600), queued(4, 4, 8, 600), Event::Queued(long)]);
    let says = |job: u64| {
        let explanation = sched.explain(at(1), JobId::new(job)).unwrap();
        let promise = explanation.promise.map(|promise| promise.start.secs());
        format!("{:?} promise {promise:?} ahead {} {:?}", explanation.why, explanation.ahead, explanation.change)
    };
    expect![[r#"
        [Never] promise None ahead 0 Some(Nodes(3))
        [Resources { fitting: 3, wanted: 4 }] promise Some(3660) ahead 1 Some(AcrossIslands)"#]]
    .assert_eq(&[says(3), says(4)].join("\n"));
}

#[test]
fn reports_that_do_not_fit_are_counted_and_change_nothing() {
    let founding = estate(&[(1, 1, 8)]);
    let mut sched = sched(&founding);
    let mut stranger = ask(9, request(1, 1), 60);
    stranger.project = ProjectId::new(77);
    let before = sched.snapshot();
    let events = vec![
        Event::Ended(run(5)),
        Event::Extended(run(5), at(9)),
        Event::Withdrawn(JobId::new(5)),
        Event::Queued(stranger),
        Event::Budget(ProjectId::new(77), Budget::NoAward),
        Event::Node(NodeId::new(99), Health::Up),
    ];
    let step = step(&mut sched, 0, events);
    assert_eq!(
        step.anomalies,
        [
            Anomaly::UnknownRun(run(5)),
            Anomaly::UnknownRun(run(5)),
            Anomaly::UnknownJob(JobId::new(5)),
            Anomaly::UnknownProject(ProjectId::new(77)),
            Anomaly::UnknownProject(ProjectId::new(77)),
            Anomaly::UnknownNode(NodeId::new(99)),
        ]
    );
    assert_eq!(sched.snapshot(), before);
}

#[test]
fn a_step_in_which_nothing_happened_tries_nothing() {
    let founding = estate(&[(1, 2, 8)]);
    let mut sched = sched(&founding);
    let events = (1..100).map(|job| queued(job, 1, 1 + (job % 8) as u32, 600)).collect();
    assert!(step(&mut sched, 1, events).report.tries > 0);
    assert_eq!(step(&mut sched, 2, vec![]).report.tries, 0);
}

#[test]
fn a_cycle_stops_at_its_bounds_and_goes_on_at_once() {
    let founding = estate(&[(1, 2, 8)]);
    let mut sched = Scheduler::new(Config { starts: 3, ..Config::default() }, &founding);
    step(&mut sched, 0, project(1, 0));
    let first = step(&mut sched, 1, (1..=5).map(|job| queued(job, 1, 1, 600)).collect());
    assert_eq!((first.starts.len(), first.wake), (3, Some(at(1))));
    let second = step(&mut sched, 1, vec![]);
    assert_eq!((second.starts.len(), second.wake), (2, None));
}

#[test]
fn gangs_stand_close_together() {
    let founding = estate(&[(3, 4, 8)]);
    let mut sched = sched(&founding);
    let step =
        step(&mut sched, 0, vec![queued(1, 2, 8, 60), queued(2, 3, 8, 60), queued(3, 2, 8, 60), queued(4, 1, 8, 60)]);
    expect![[r#"
        job-1: n0[ff] n1[ff]
        job-2: n4[ff] n5[ff] n6[ff]
        job-3: n2[ff] n3[ff]
        job-4: n7[ff]
    "#]]
    .assert_eq(&starts(&step));
}
