//! Nodes that kill jobs, and what stops of the fleet mean for one.
use super::*;

/// A centre of so many nodes of 8 GPUs with three users in one project.
fn with_users(nodes: u32) -> Story {
    let mut story = Story::new(nodes, 8);
    for name in ["bob", "cho"] {
        story.ok(Input::User { name: name.into(), role: Role::Researcher });
        story.ok(Input::Member { project: "p".into(), user: name.into() });
    }
    story
}

/// Plays what happens to nodes and says which of them the rule drained. A line is `LOST node user…`, a loss of a node on
/// which these run; `LAUNCH user nodes…`, a gang that cannot be started there; `DONE user nodes…`, one that completes;
/// `RESUME node`; `PASS hours`.
fn drained(story: &mut Story, lines: &str) -> Vec<String> {
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split(' ').collect();
        match words[0] {
            "LOST" => {
                let runs: Vec<JobId> = words[2..].iter().map(|user| on(story, user, &words[1..2])).collect();
                runs.iter().for_each(|job| story.started(*job));
                story.report(Report::NodeDown { node: words[1].into(), why: "power".into() });
                runs.iter().for_each(|job| story.ended(*job, Outcome::Cancelled));
                cancel(story, &runs);
                story.report(Report::NodeUp { node: words[1].into() });
            }
            "LAUNCH" | "DONE" => {
                let job = on(story, words[1], &words[2..]);
                let done = words[0] == "DONE";
                if done {
                    story.started(job);
                }
                story.ended(job, if done { Outcome::Completed } else { Outcome::LaunchFailed });
                cancel(story, &[job]);
            }
            "RESUME" => drop(story.ok(Input::Resume { node: words[1].into() })),
            "PASS" => story.pass(Span::from_hours(words[1].parse().expect("a number"))),
            other => panic!("{other}"),
        }
        story.pass(Span::from_mins(1));
    }
    let base = story.centre.founding().expect("founded").nodes.clone();
    let is_out = |node: &&Node| matches!(story.centre.health(node.id), Health::Drain { .. });
    base.iter().filter(is_out).map(|node| node.name.clone()).collect()
}

/// A job of someone on these nodes and no others.
fn on(story: &mut Story, user: &str, nodes: &[&str]) -> JobId {
    let include = nodes.iter().map(|node| (*node).to_owned()).collect();
    let job = story.submit(Submission { user: user.into(), include, ..gang(nodes.len() as u32, 1) });
    assert_eq!(story.state(job), "starting", "{nodes:?}");
    job
}

/// A job that was queued again is not wanted any more.
fn cancel(story: &mut Story, jobs: &[JobId]) {
    for job in jobs {
        if !story.state(*job).starts_with("ended") {
            story.ok(Input::Cancel { job: Target { job: *job, task: None } });
        }
        if story.state(*job).starts_with("completing") {
            story.ended(*job, Outcome::Cancelled);
        }
    }
}

#[test]
fn a_node_that_kills_jobs_is_drained_by_rule_and_a_mistake_of_a_user_drains_none() {
    let cases: &[(&str, &str, &[&str])] = &[
        ("three times, two users", "LOST n0 ann\nLOST n0 bob\nLOST n0 ann", &["n0"]),
        ("twice", "LOST n0 ann bob\nLOST n0 ann bob", &[]),
        ("one incident takes many jobs", "LOST n0 ann bob cho ann bob", &[]),
        ("one user", "LOST n0 ann\nLOST n0 ann\nLOST n0 ann\nLOST n0 ann", &[]),
        ("long ago", "LOST n0 ann\nLOST n0 bob\nPASS 25\nLOST n0 ann", &[]),
        ("others too, once", "LOST n1 bob\nLOST n0 ann\nLOST n0 bob\nLOST n2 ann\nLOST n0 ann", &["n0"]),
        ("resumed", "LOST n0 ann\nLOST n0 bob\nLOST n0 ann\nRESUME n0\nLOST n0 bob\nLOST n0 ann", &[]),
        ("cannot start there", "LAUNCH ann n0\nLAUNCH bob n0\nLAUNCH cho n0", &["n0"]),
        ("gangs with one node in common", "LAUNCH ann n0 n1\nLAUNCH bob n0 n2\nLAUNCH cho n0 n3", &["n0"]),
        ("gangs with two in common", "LAUNCH ann n0 n1\nLAUNCH bob n0 n1\nLAUNCH cho n0 n1", &[]),
        ("work ends well on one", "LAUNCH ann n0 n1\nDONE ann n1\nLAUNCH bob n0 n1\nLAUNCH cho n0 n1", &["n0"]),
    ];
    for (name, lines, want) in cases {
        let mut story = with_users(8);
        assert_eq!(drained(&mut story, lines), *want, "{name}");
    }
}

#[test]
fn what_the_rule_found_is_shown_and_the_operator_has_the_last_word() {
    let mut story = with_users(8);
    drained(&mut story, "LOST n0 ann\nLOST n0 bob\nLOST n0 ann");
    let node = NodeId::new(0);
    let runs: Vec<String> =
        story.centre.drained_by_rule(node).expect("drained").iter().map(|fault| fault.run.to_string()).collect();
    assert_eq!(runs, ["job-1.1", "job-2.1", "job-3.1"]);
    let Health::Drain { why } = story.centre.health(node).clone() else { panic!("it is drained") };
    assert_eq!(why, "by rule: killed runs of 2 users 3 times within 1d, last job-3.1");
    // It is lost and comes back: still drained.
    story.report(Report::NodeDown { node: "n0".into(), why: "reboot".into() });
    story.report(Report::NodeUp { node: "n0".into() });
    assert_eq!(*story.centre.health(node), Health::Drain { why });
    story.ok(Input::Resume { node: "n0".into() });
    assert_eq!((story.centre.drained_by_rule(node), story.centre.faults_of(node)), (None, vec![]));
}

#[test]
fn a_job_that_fails_wherever_it_goes_is_no_evidence() {
    let mut story = with_users(8);
    let job = on(&mut story, "cho", &["n0"]);
    // A job that fails on one node after the other, though others of the first fail there as well.
    story.ended(job, Outcome::LaunchFailed);
    assert_eq!(story.centre.faults_of(NodeId::new(0)).len(), 1);
    cancel(&mut story, &[job]);
    let mut story = with_users(8);
    let wanders = story.submit(Submission { user: "cho".into(), ..gang(1, 8) });
    let stood: Vec<NodeId> = (0..2)
        .map(|_| {
            let (_, on) = story.centre.job(wanders).and_then(|job| job.state.holding()).expect("it starts");
            let node = on.slots[0].node;
            let name = format!("n{}", node.number());
            story.started(wanders);
            story.report(Report::NodeDown { node: name.clone(), why: "power".into() });
            story.ended(wanders, Outcome::Cancelled);
            node
        })
        .collect();
    assert_ne!(stood[0], stood[1]);
    assert!(stood.iter().all(|node| story.centre.faults_of(*node).is_empty()), "it fails elsewhere too");
}

#[test]
fn the_rule_never_drains_more_of_an_island_than_it_may() {
    let kills = |node: u32| format!("LOST n{node} ann\nLOST n{node} bob\nLOST n{node} cho\n");
    let all: String = (0..4).map(kills).collect();
    assert_eq!(drained(&mut with_users(40), &all), ["n0", "n1"], "a twentieth of 40 nodes");
    let mut alone = with_users(1);
    assert_eq!(drained(&mut alone, &kills(0)), Vec::<String>::new(), "never all of an island");
    assert_eq!(alone.centre.faults_of(NodeId::new(0)).len(), 3, "what is held against it is still shown");
    let mut base = founding(8, 8);
    base.policy.nodes.times = 0;
    let mut never = Story::of(base);
    assert_eq!(drained(&mut never, "LOST n0 ann\nLOST n0 ann\nLOST n0 ann"), Vec::<String>::new());
}

#[test]
fn a_node_drained_by_its_operator_comes_back_from_a_reboot_drained() {
    let mut story = Story::new(2, 8);
    story.ok(Input::Drain { node: "n0".into(), why: "fan".into() });
    story.report(Report::NodeDown { node: "n0".into(), why: "reboot".into() });
    story.report(Report::NodeUp { node: "n0".into() });
    assert_eq!(*story.centre.health(NodeId::new(0)), Health::Drain { why: "fan".into() });
    // A centre founded before this was so keeps to what it did.
    let policy = serde_json::json!({ "half_life": 86_400_000 });
    let read: madang_model::Policy = serde_json::from_value(policy).expect("old policies parse");
    assert_eq!((read.nodes.times, read.nodes.lasting), (0, false));
}

#[test]
fn what_the_fleet_has_seen_advises_how_often_to_write_a_checkpoint() {
    let mut story = Story::new(64, 8);
    let until = story.now + Span::from_days(365);
    let granted = GpuTime::from_hours(10_000_000);
    story.ok(Input::Award { project: "p".into(), granted, from: story.now, until });
    let job = story.submit(Submission { limit: Some(Span::from_days(7)), ..gang(64, 8) });
    let advice = |story: &Story| story.centre.advice(story.centre.job(job).expect("known")).expect("it has GPUs");
    // 50,700 / 512 hours to a stop; sqrt(2 x 2 min x 99.02 h) = 154 min; 1 - exp(-168 / 99.02) = 0.817.
    let first = advice(&story);
    assert_eq!((first.gpu_hours, first.seen, first.mean.secs() / 60), (50_700, (0, 0), 5_941));
    assert_eq!((first.every.secs() / 60, first.chance, first.is_cost_known), (154, 817, false));
    story.started(job);
    story.pass(Span::from_hours(100));
    assert_eq!(advice(&story).seen, (0, 51_200), "what runs counts too");
    story.ok(Input::Checkpoint { job: Target { job, task: None }, took: Some(Span::from_secs(30)) });
    story.report(Report::NodeDown { node: "n0".into(), why: "power".into() });
    story.ended(job, Outcome::Cancelled);
    story.report(Report::NodeUp { node: "n0".into() });
    // (50,700 + 51,200) / (1 + 1); half the time to a stop that 101,900 would give.
    let then = advice(&story);
    assert_eq!((then.gpu_hours, then.seen), (50_950, (1, 51_200)));
    assert_eq!((then.cost, then.is_cost_known), (Span::from_secs(30), true));
    assert_eq!(then.every.secs() / 60, 77);
}

#[test]
fn what_a_lost_node_cost_is_given_back_and_what_was_safe_is_paid() {
    let outcome = |refund: Option<policy::Refund>, saved: Option<u64>, every: Option<u64>| {
        let mut base = founding(3, 8);
        base.policy.refund = refund.unwrap_or(base.policy.refund);
        let mut story = Story::of(base);
        let job = story.submit(Submission { checkpoint: every.map(Span::from_mins), ..gang(2, 8) });
        story.started(job);
        for minute in 1..=50 {
            story.pass(Span::from_mins(1));
            if saved == Some(minute) {
                story.ok(Input::Checkpoint { job: Target { job, task: None }, took: None });
            }
        }
        story.report(Report::NodeDown { node: "n0".into(), why: "power".into() });
        story.ended(job, Outcome::Cancelled);
        assert_eq!(story.state(job), "starting", "on the two nodes left");
        let spent = story.centre.book().balance(Account::Spent(AwardId::new(1))).0.micro_secs() / 16 / 60_000_000;
        let owes = story.centre.book().balance(Account::Owes(ProjectId::new(0))).1.won();
        (spent, owes, story.centre.delivered(PartyId::new(0)).micro_secs() / 16 / 60_000_000)
    };
    // 16 GPUs; a GPU-hour costs 5,000 won, of which the class pays a tenth. (reported, declared) -> minutes, won, minutes.
    assert_eq!(outcome(None, None, None), (0, 0, 0), "all was lost");
    assert_eq!(outcome(None, Some(30), None), (30, 4_000, 30));
    assert_eq!(outcome(None, Some(30), Some(1)), (30, 4_000, 30), "a report counts before a declaration");
    assert_eq!(outcome(None, None, Some(20)), (40, 5_334, 40), "both amounts are rounded");
    assert_eq!(outcome(Some(policy::Refund::Whole), Some(30), None), (0, 0, 0));
}

/// A centre of so many nodes in one island, of which one is spare.
fn with_a_spare(nodes: u32) -> Story {
    let mut base = founding(nodes, 8);
    base.policy.nodes.spares = [(IslandId::new(0), 1)].into();
    Story::of(base)
}

fn names(story: &Story, job: JobId) -> String {
    let (_, on) = story.centre.job(job).and_then(|job| job.state.holding()).expect("it holds nodes");
    let node = |slot: &Slot| format!("n{}", slot.node.number());
    on.slots.iter().map(node).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_spare_of_the_island_steps_in_for_a_gangs_lost_node_at_once_and_what_comes_back_is_the_next() {
    let mut story = with_a_spare(4);
    assert!(story.answer(Input::Submit(Box::new(gang(4, 8)))).is_err_and(|no| no.fact.contains("no island")));
    let job = story.submit(gang(3, 8));
    assert_eq!(names(&story, job), "n0 n1 n2", "not on the spare");
    story.started(job);
    // Others wait for the first node that is free, and are more urgent.
    let urgent = story.submit(Submission { qos: Qos::High, limit: Some(Span::from_mins(5)), ..gang(1, 8) });
    assert!(story.state(urgent).starts_with("pending"), "{}", story.state(urgent));
    story.pass(Span::from_mins(10));
    story.report(Report::NodeDown { node: "n1".into(), why: "power".into() });
    assert!(!story.centre.is_spare(NodeId::new(3)));
    story.ended(job, Outcome::Cancelled);
    assert_eq!((story.state(job).as_str(), names(&story, job).as_str()), ("starting", "n0 n2 n3"));
    assert!(story.state(urgent).starts_with("pending"), "{}", story.state(urgent));
    // The next loss finds no spare; what came back meanwhile is one.
    story.started(job);
    story.report(Report::NodeUp { node: "n1".into() });
    assert!(story.centre.is_spare(NodeId::new(1)));
    story.pass(Span::from_mins(1));
    story.report(Report::NodeDown { node: "n0".into(), why: "power".into() });
    story.ended(job, Outcome::Cancelled);
    assert_eq!(names(&story, job), "n1 n2 n3");
    // An operator may give a spare to work.
    story.report(Report::NodeUp { node: "n0".into() });
    story.ok(Input::Resume { node: "n0".into() });
    assert_eq!(names(&story, urgent), "n0");
}

#[test]
fn a_spare_that_is_lost_or_drained_is_none() {
    let mut story = with_a_spare(3);
    let spare = NodeId::new(2);
    story.ok(Input::Drain { node: "n2".into(), why: "fan".into() });
    assert!(!story.centre.is_spare(spare));
    story.ok(Input::Resume { node: "n2".into() });
    assert!(story.centre.is_spare(spare));
    story.report(Report::NodeDown { node: "n2".into(), why: "power".into() });
    let job = story.submit(gang(2, 8));
    story.started(job);
    story.report(Report::NodeDown { node: "n1".into(), why: "power".into() });
    story.ended(job, Outcome::Cancelled);
    assert!(story.state(job).starts_with("pending"), "{}", story.state(job));
    // The first that comes back is the spare again, the second lets the gang start.
    story.report(Report::NodeUp { node: "n2".into() });
    assert!(story.centre.is_spare(spare) && story.state(job).starts_with("pending"));
    story.report(Report::NodeUp { node: "n1".into() });
    assert_eq!(names(&story, job), "n0 n1");
}

#[test]
fn what_is_seen_on_a_node_is_weighed() {
    use madang_centre::{Sign, Weight};
    let mut story = Story::new(40, 8);
    let xid = |code| Sign::Xid { code, gpu: Some(3) };
    let celsius = |degrees| Sign::Celsius { degrees, gpu: Some(3) };
    let rules = story.centre.founding().expect("founded").policy.nodes.clone();
    let weights = [xid(31), xid(79), celsius(70), celsius(85), celsius(95), Sign::Note { text: "hums".into() }];
    let weights = weights.map(|sign| sign.weight(&rules));
    assert_eq!(weights, [Weight::Warn, Weight::Drain, Weight::Note, Weight::Warn, Weight::Drain, Weight::Note]);
    let tell = |story: &mut Story, node: u32, sign: Sign| {
        let is_news = story.centre.is_news(NodeId::new(node), &sign);
        story.ok(Input::Sign { node: format!("n{node}"), sign });
        (is_news, story.centre.health(NodeId::new(node)).clone())
    };
    assert_eq!(tell(&mut story, 0, celsius(86)), (true, Health::Up));
    assert_eq!(tell(&mut story, 0, celsius(88)), (false, Health::Up), "as warm as before");
    assert_eq!(tell(&mut story, 0, celsius(60)), (true, Health::Up), "it has cooled down");
    assert_eq!(tell(&mut story, 0, xid(31)), (true, Health::Up), "a program's own error");
    let why = |why: &str| Health::Drain { why: why.into() };
    assert_eq!(tell(&mut story, 0, xid(79)).1, why("by rule: Xid 79 on GPU 3"));
    assert_eq!(tell(&mut story, 1, celsius(99)).1, why("by rule: 99 degrees Celsius on GPU 3"));
    assert_eq!(tell(&mut story, 2, xid(48)).1, Health::Up, "a twentieth of the island is drained by rule already");
    assert_eq!(story.centre.signs_of(NodeId::new(0)).count(), 5);
    story.ok(Input::Resume { node: "n0".into() });
    assert_eq!(story.centre.signs_of(NodeId::new(0)).count(), 0);
    assert_eq!(tell(&mut story, 2, xid(48)).1, why("by rule: Xid 48 on GPU 3"));
}
