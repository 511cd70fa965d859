//! Jobs that leave something open: the GPU model, a feature, how long they run.
use crate::common::*;
use crate::windows::{booking, maintenance};
use expect_test::expect;
use madang_model::{Choice, GpuTime, IslandId, JobId, Part, ProjectId, Request, Span, UserId};
use madang_sched::{Ask, Budget, Config, Event, Scheduler};

/// Four nodes of h200 with eight GPUs, four of h100.
fn two_models() -> Scheduler {
    let mut founding = estate(&[(1, 4, 8), (1, 4, 8)]);
    for node in founding.nodes.iter_mut().filter(|node| node.island == IslandId::new(1)) {
        node.device.as_mut().expect("it has GPUs").model = "h100".into();
    }
    sched(&founding)
}

fn either(words: &[&str]) -> Choice {
    Choice::same(words.iter().map(|word| (*word).to_owned())).expect("there are words")
}

fn of_models(nodes: u32, gpus: u32, words: &[&str]) -> Request {
    let mut request = request(nodes, gpus);
    request.across_islands = true;
    request.parts[0].model = Some(either(words));
    request
}

#[test]
fn the_first_model_that_is_free_is_taken() {
    let mut sched = two_models();
    let mut says = String::new();
    for (job, nodes, words) in [
        (1, 2, ["h100", "h200"]),
        (2, 1, ["h200", "h100"]),
        (3, 3, ["h100", "h200"]), // two of h100 are left, so three of h200
        (4, 2, ["h200", "h100"]), // none of h200 is left
        (5, 1, ["h200", "h100"]),
    ] {
        let found = step(&mut sched, job, vec![Event::Queued(ask(job, of_models(nodes, 8, &words), 3600))]);
        says += &starts(&found);
    }
    expect![[r#"
        job-1: n4[ff] n5[ff]
        job-2: n0[ff]
        job-3: n1[ff] n2[ff] n3[ff]
        job-4: n6[ff] n7[ff]
    "#]]
    .assert_eq(&says);
    // Whichever is free first: that of job 1 at its end.
    let promise = sched.promise(JobId::new(5)).expect("it is promised a start");
    assert_eq!((promise.start.secs(), nodes(&promise.on).as_str()), (1 + 3600 + 60, "n4[ff]"));
}

#[test]
fn a_gang_is_of_one_model_unless_it_may_be_mixed() {
    let mut sched = two_models();
    let mut gang = of_models(6, 8, &["h200", "h100"]);
    assert_eq!(
        sched.fits_ever(&gang),
        Err("asks for 6 nodes together, all of h200 or all of h100, no site of site0 has that many that fit"
            .to_string())
    );
    gang.parts[0].model = Some(either(&["h200", "h100"]).mixed());
    let found = step(&mut sched, 1, vec![Event::Queued(ask(1, gang, 3600))]);
    assert_eq!(starts(&found), "job-1: n0[ff] n1[ff] n2[ff] n4[ff] n5[ff] n6[ff]\n");
}

#[test]
fn parts_choose_by_themselves_and_the_first_chooses_first() {
    let mut sched = two_models();
    let mut pair = of_models(1, 8, &["h100", "h200"]);
    let second = Part { model: Some(either(&["h200", "h100"])), ..pair.parts[0].clone() };
    pair.parts.push(second);
    let found = step(&mut sched, 1, vec![Event::Queued(ask(1, pair, 3600))]);
    assert_eq!(starts(&found), "job-1: n4[ff] n0[ff]\n");
}

#[test]
fn what_is_short_names_every_alternative() {
    let sched = two_models();
    let says = |change: &dyn Fn(&mut Part)| {
        let mut request = request(1, 8);
        change(&mut request.parts[0]);
        sched.fits_ever(&request).expect_err("it never fits")
    };
    expect!["asks for b200 or gb200 GPUs, site0 has none"]
        .assert_eq(&says(&|part| part.model = Some(either(&["b200", "gb200"]))));
    expect!["asks for nodes with tape or nvme, site0 has none"]
        .assert_eq(&says(&|part| part.features = vec![either(&["tape", "nvme"]).mixed()]));
}

/// A job of one node's GPUs that would take less time than it asks for.
fn flexible(job: u64, least: u64, limit: u64) -> Ask {
    Ask { limit_min: Some(Span::from_secs(least)), ..ask(job, request(1, 8), limit) }
}

/// How long the only start may run, in seconds.
fn granted(sched: &mut Scheduler, now: u64, events: Vec<Event>) -> Option<u64> {
    let found = step(sched, now, events);
    found.starts.first().map(|start| start.until.secs() - now)
}

#[test]
fn a_job_starts_with_the_longest_limit_that_fits() {
    // One node holds a run until 1,000; a gang of both is promised 1,060. What fits before has 940 s to be gone in.
    let with = |ask: Ask| {
        let mut sched = sched(&estate(&[(1, 2, 8)]));
        step(&mut sched, 0, vec![queued(1, 1, 8, 1000)]);
        step(&mut sched, 0, vec![queued(2, 2, 8, 5000)]);
        assert_eq!(sched.promise(JobId::new(2)).map(|promise| promise.start.secs()), Some(1060));
        granted(&mut sched, 60, vec![Event::Queued(ask)])
    };
    assert_eq!(with(ask(3, request(1, 8), 5000)), None);
    assert_eq!(with(flexible(3, 100, 5000)), Some(940));
    assert_eq!(with(flexible(3, 940, 5000)), Some(940));
    assert_eq!(with(flexible(3, 941, 5000)), None);
    assert_eq!(with(flexible(3, 100, 500)), Some(500), "what fits in full is not cut");
}

#[test]
fn a_users_own_jobs_with_deadlines_come_first_by_their_last_start() {
    let founding = estate(&[(1, 1, 8)]);
    let mut sched = sched(&founding);
    step(&mut sched, 0, vec![queued(1, 1, 8, 1000)]);
    let due = |job, deadline: Option<u64>| Ask { deadline: deadline.map(at), ..ask(job, request(1, 8), 600) };
    let other = |job, deadline| Ask { user: UserId::new(2), ..due(job, deadline) };
    // Of user 1 the last one must start first; user 2 comes in its turn, whatever the deadlines of others.
    let asks = [due(2, None), other(3, None), due(4, Some(9_000)), due(5, Some(8_000))];
    step(&mut sched, 1, asks.into_iter().map(Event::Queued).collect());
    sched = Scheduler::restore(Config::default(), &founding, sched.snapshot());
    let running = |sched: &Scheduler| sched.runs().next().map(|(run, ..)| run);
    let (mut order, mut now) = (vec![], 1000);
    while let Some(run) = running(&sched) {
        let found = step(&mut sched, now, vec![Event::Ended(run)]);
        order.extend(found.starts.iter().map(|start| start.run.job.number()));
        now += 10;
    }
    assert_eq!(order, [3, 5, 4, 2]);
}

#[test]
fn a_window_a_deadline_and_a_budget_cut_a_limit() {
    let fresh = || sched(&estate(&[(1, 1, 8)]));
    let mut sched = fresh();
    step(&mut sched, 0, vec![Event::Reserved(booking(1, maintenance(&[0]), 2_000, 3_000))]);
    assert_eq!(granted(&mut sched, 10, vec![Event::Queued(flexible(1, 60, 50_000))]), Some(1_930));
    let mut sched = fresh();
    let soon = Ask { deadline: Some(at(700)), ..flexible(1, 60, 50_000) };
    assert_eq!(granted(&mut sched, 10, vec![Event::Queued(soon)]), Some(690));
    let mut sched = fresh();
    let hour = Budget::Left(GpuTime::from_hours(1));
    step(&mut sched, 0, vec![Event::Budget(ProjectId::new(1), hour)]);
    assert_eq!(granted(&mut sched, 10, vec![Event::Queued(flexible(1, 60, 50_000))]), Some(450));
    assert_eq!(sched.left(ProjectId::new(1)), Some(GpuTime::ZERO), "what is granted is what is held");
}
