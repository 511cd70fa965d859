//! Jobs' lives told from outside: inputs in, effects out, books checked after every step.
use madang_centre::{Array, Centre, Effect, Input, Reply, Report, Signed, Submission, Target, Wait};
use madang_ledger::Account;
use madang_model::*;
use madang_sched::defrag::Bounds;

#[path = "story/health.rs"]
mod health;

const HOUR: Span = Span::from_hours(1);

struct Story {
    centre: Centre,
    now: Time,
    starts: Vec<RunId>,
    stops: Vec<(RunId, StopCause)>,
}

fn founding(nodes: u32, gpus: u32) -> Founding {
    let party = |id, name: &str, share| Party {
        id: PartyId::new(id),
        name: name.into(),
        title: name.into(),
        title_ko: name.into(),
        company_share: share,
    };
    let site = SiteId::new(0);
    let node = |id| Node {
        id: NodeId::new(id),
        name: format!("n{id}"),
        site,
        island: IslandId::new(0),
        rack: 0,
        path: vec![],
        numa: vec![],
        device: Some(Device { model: "h200".into(), memory_mib: 141_000, parts: Default::default() }),
        gpus,
        cpus: 64,
        memory_mib: 512_000,
        features: vec![],
        pretend: false,
        health: Health::Up,
    };
    Founding {
        name: "tiny".into(),
        title: "Tiny".into(),
        title_ko: "Tiny".into(),
        parties: vec![party(0, "public", 5100), party(1, "private", 4900)],
        classes: vec![Class { name: "industry".into(), target: 10_000, rate: 1_000 }],
        sites: vec![Site {
            id: site,
            name: "s".into(),
            title: "S".into(),
            title_ko: "S".into(),
            operator: PartyId::new(1),
            engine: EngineKind::Model,
            shares: vec![(PartyId::new(0), 5100), (PartyId::new(1), 4900)],
            source: "test".into(),
        }],
        islands: vec![Island { id: IslandId::new(0), site, name: "i".into(), levels: vec![] }],
        nodes: (0..nodes).map(node).collect(),
        partitions: vec![Partition {
            id: PartitionId::new(0),
            name: "gpu".into(),
            sites: vec![site],
            max_limit: Span::from_days(30),
            default_limit: HOUR,
        }],
        prices: vec![Price {
            model: "h200".into(),
            from: Time::from_millis(0),
            won_per_gpu_hour: Won::new(5_000),
            source: "test".into(),
        }],
        money: vec![],
        policy: Default::default(),
        links: Vec::new(),
    }
}

impl Story {
    fn new(nodes: u32, gpus: u32) -> Story {
        Story::of(founding(nodes, gpus))
    }

    fn of(base: Founding) -> Story {
        let mut story =
            Story { centre: Centre::new(), now: Time::from_millis(1_000_000), starts: vec![], stops: vec![] };
        story.ok(Input::Found(base));
        story.ok(Input::User { name: "ann".into(), role: Role::Researcher });
        story.ok(Input::Project {
            name: "p".into(),
            title: "P".into(),
            owner: "public".into(),
            class: "industry".into(),
        });
        story.ok(Input::Member { project: "p".into(), user: "ann".into() });
        let until = story.now + Span::from_days(365);
        story.ok(Input::Award { project: "p".into(), granted: GpuTime::from_hours(1000), from: story.now, until });
        story
    }

    fn step(&mut self, inputs: Vec<Signed>) -> Vec<Effect> {
        let effects = self.centre.step(self.now, inputs);
        assert_eq!(self.centre.audit(), Vec::<String>::new());
        for effect in &effects {
            match effect {
                Effect::Start { run, .. } => self.starts.push(*run),
                Effect::Stop { run, cause, .. } => self.stops.push((*run, *cause)),
                _ => {}
            }
        }
        let stored = serde_json::to_string(&self.centre.snapshot()).expect("snapshots serialise");
        let read = serde_json::from_str(&stored).expect("snapshots parse");
        let restored = Centre::restore(read).expect("this release's snapshot");
        assert_eq!(restored.snapshot(), self.centre.snapshot());
        self.centre = restored;
        effects
    }

    fn answer(&mut self, input: Input) -> Result<Reply, madang_centre::Refusal> {
        let effects = self.step(vec![Signed { ticket: 7, by: String::new(), key: None, input }]);
        let reply = effects.into_iter().find_map(|effect| match effect {
            Effect::Reply { ticket: 7, answer } => Some(answer),
            _ => None,
        });
        reply.expect("every ticket is answered")
    }

    fn ok(&mut self, input: Input) -> Reply {
        self.answer(input).unwrap_or_else(|refusal| panic!("{refusal}"))
    }

    fn submit(&mut self, submission: Submission) -> JobId {
        match self.ok(Input::Submit(Box::new(submission))) {
            Reply::Job(id) => id,
            other => panic!("{other:?}"),
        }
    }

    fn report(&mut self, report: Report) {
        self.step(vec![report.into()]);
    }

    fn started(&mut self, job: JobId) {
        let run = self.run_of(job);
        self.report(Report::Started { run, at: self.now });
    }

    fn ended(&mut self, job: JobId, outcome: Outcome) {
        let run = self.run_of(job);
        self.report(Report::Ended { run, at: self.now, outcome });
    }

    fn run_of(&self, job: JobId) -> RunId {
        RunId { job, attempt: self.centre.job(job).expect("known").attempts }
    }

    fn pass(&mut self, span: Span) {
        self.now = self.now + span;
        self.step(vec![]);
    }

    fn state(&self, job: JobId) -> String {
        match &self.centre.job(job).expect("known").state {
            JobState::Pending { .. } => format!("pending {:?}", self.centre.why(job)),
            JobState::Starting { .. } => "starting".into(),
            JobState::Running { .. } => "running".into(),
            JobState::Completing { cause, .. } => format!("completing {cause:?}"),
            JobState::Ended { outcome, .. } => format!("ended {outcome:?}"),
        }
    }

    fn free(&self) -> GpuTime {
        self.centre.book().balance(Account::Free(AwardId::new(1))).0
    }
}

fn gang(nodes: u32, gpus: u32) -> Submission {
    Submission {
        user: "ann".into(),
        name: "job".into(),
        project: None,
        partition: None,
        also: vec![],
        sites: vec![],
        data: Vec::new(),
        parts: vec![Part {
            nodes,
            gpus,
            cpus: 4,
            memory_mib: 1000,
            model: None,
            exclusive: false,
            features: vec![],
            share: None,
        }],
        include: vec![],
        exclude: vec![],
        across_islands: false,
        topology: madang_model::Topology::default(),
        elastic: None,
        limit: Some(HOUR),
        limit_min: None,
        deadline: None,
        qos: Qos::Normal,
        nice: 0,
        begin: None,
        after: vec![],
        after_any: false,
        singleton: false,
        kill_on_invalid: false,
        requeue: true,
        checkpoint: None,
        held: false,
        warning: None,
        array: None,
        launch: None,
        model: None,
        comment: String::new(),
        reservation: None,
    }
}

fn after(job: JobId, kind: DependencyKind) -> Submission {
    let mut submission = gang(1, 1);
    submission.after = vec![Wait { on: Target { job, task: None }, kind, delay: Span::ZERO }];
    submission
}

#[test]
fn a_job_is_held_for_charged_and_settled() {
    let mut story = Story::new(2, 8);
    let job = story.submit(gang(2, 8));
    assert_eq!(story.state(job), "starting");
    assert!(story.free() < GpuTime::from_hours(1000 - 16));
    story.started(job);
    story.pass(Span::from_mins(30));
    story.ended(job, Outcome::Completed);
    assert_eq!(story.state(job), "ended Completed");
    assert_eq!(story.free(), GpuTime::from_hours(1000 - 8));
    // 8 GPU-hours at 5,000 won, of which the class pays a tenth.
    let owed = story.centre.book().balance(Account::Owes(ProjectId::new(0))).1;
    assert_eq!(owed, Won::new(4_000));
    assert_eq!(story.centre.delivered(PartyId::new(0)), GpuTime::from_hours(8));
}

#[test]
fn a_lost_node_requeues_the_gang_and_gives_the_hours_back() {
    let mut story = Story::new(3, 8);
    let job = story.submit(gang(2, 8));
    story.started(job);
    story.pass(Span::from_mins(10));
    story.report(Report::NodeDown { node: "n0".into(), why: "power".into() });
    assert_eq!(story.state(job), "completing NodeLost");
    assert_eq!(story.stops.len(), 1);
    story.ended(job, Outcome::Cancelled);
    assert_eq!(story.state(job), "starting", "on the two nodes left");
    story.started(job);
    story.ended(job, Outcome::Completed);
    assert_eq!(story.free(), GpuTime::from_hours(1000));
    assert_eq!(story.centre.book().balance(Account::Owes(ProjectId::new(0))).1, Won::ZERO);
    assert_eq!(story.starts.len(), 2);
}

#[test]
fn a_lost_node_that_never_answers_is_given_up_on() {
    let mut story = Story::new(1, 8);
    let job = story.submit(gang(1, 8));
    story.started(job);
    story.report(Report::NodeDown { node: "n0".into(), why: "power".into() });
    story.pass(Span::from_mins(2));
    assert!(story.state(job).starts_with("pending"), "{}", story.state(job));
    story.report(Report::NodeUp { node: "n0".into() });
    assert_eq!(story.state(job), "starting");
}

#[test]
fn dependencies_open_and_shut_gates() {
    let mut story = Story::new(1, 8);
    let first = story.submit(gang(1, 1));
    let good = story.submit(after(first, DependencyKind::Succeeded));
    let bad = story.submit(after(first, DependencyKind::Failed));
    let any = story.submit(after(first, DependencyKind::Ended));
    let mut killed = after(first, DependencyKind::Succeeded);
    killed.kill_on_invalid = true;
    let killed = story.submit(killed);
    assert!(story.state(good).contains("Dependency"));
    story.started(first);
    story.ended(first, Outcome::Failed { exit: 3, signal: 0 });
    assert!(story.state(good).contains("DependencyNever"));
    assert_eq!(story.state(bad), "starting");
    assert_eq!(story.state(any), "starting");
    assert_eq!(story.state(killed), "ended Cancelled");
}

#[test]
fn a_long_chain_of_dependents_falls_without_recursion() {
    let mut story = Story::new(1, 8);
    let first = story.submit(gang(1, 1));
    let mut last = first;
    let mut inputs = Vec::new();
    for _ in 0..20_000 {
        let mut next = after(last, DependencyKind::Succeeded);
        next.kill_on_invalid = true;
        inputs.push(Signed::own(Input::Submit(Box::new(next))));
        last = JobId::new(last.number() + 1);
    }
    story.centre.step(story.now, inputs);
    story.ok(Input::Cancel { job: Target { job: first, task: None } });
    story.ended(first, Outcome::Cancelled);
    assert_eq!(story.centre.counts().waiting, 0);
    assert_eq!(story.centre.counts().ended, 20_001);
}

#[test]
fn an_array_costs_a_window_and_keeps_its_limit() {
    let mut story = Story::new(4, 8);
    let mut submission = gang(1, 1);
    submission.array = Some(Array { ranges: vec![(0, 99_999, 1)], at_once: Some(5) });
    let array = story.submit(submission);
    assert_eq!(story.starts.len(), 5);
    assert_eq!(story.centre.counts().waiting, 99_995);
    assert!(story.centre.jobs().count() <= 300);
    let first = story.centre.resolve(Target { job: array, task: Some(0) })[0];
    story.started(first);
    story.ended(first, Outcome::Completed);
    assert_eq!(story.starts.len(), 6);
    story.ok(Input::Cancel { job: Target { job: array, task: Some(77_777) } });
    assert_eq!(story.centre.counts().waiting, 99_993);
    story.ok(Input::Cancel { job: Target { job: array, task: None } });
    assert_eq!(story.centre.counts().waiting, 0);
    for run in story.starts.clone().into_iter().skip(1) {
        story.report(Report::Ended { run, at: story.now, outcome: Outcome::Cancelled });
    }
    assert_eq!(story.centre.counts().running, 0);
    story.pass(Span::from_hours(1));
    assert!(story.centre.array(array).is_none(), "it leaves with the last of its tasks");
}

#[test]
fn a_singleton_waits_for_its_namesake() {
    let mut story = Story::new(1, 8);
    let mut chained = gang(1, 1);
    chained.singleton = true;
    let first = story.submit(chained.clone());
    let second = story.submit(chained);
    assert_eq!(story.state(first), "starting");
    assert!(story.state(second).contains("Dependency"));
    story.started(first);
    story.ended(first, Outcome::Completed);
    assert_eq!(story.state(second), "starting");
}

#[test]
fn hold_release_requeue_cancel() {
    let mut story = Story::new(1, 8);
    let mut held = gang(1, 8);
    held.held = true;
    let job = story.submit(held);
    let target = Target { job, task: None };
    assert_eq!(story.state(job), "pending Held");
    story.ok(Input::Release { job: target });
    assert_eq!(story.state(job), "starting");
    story.started(job);
    story.ok(Input::Requeue { job: target });
    assert_eq!(story.state(job), "completing Requeue");
    story.ended(job, Outcome::Completed);
    assert_eq!(story.state(job), "starting");
    assert_eq!(story.run_of(job).attempt, 2);
    story.report(Report::Started { run: RunId { job, attempt: 1 }, at: story.now });
    assert_eq!(story.stops.last().map(|stop| stop.1), Some(StopCause::Stale));
    story.ok(Input::Cancel { job: target });
    story.ended(job, Outcome::Cancelled);
    assert_eq!(story.state(job), "ended Cancelled");
    assert!(story.answer(Input::Cancel { job: target }).is_err());
}

#[test]
fn a_budget_blocks_and_an_award_frees() {
    let mut story = Story::new(200, 8);
    let mut big = gang(126, 8);
    big.limit = Some(HOUR);
    let job = story.submit(big);
    assert!(story.state(job).contains("Budget"), "{}", story.state(job));
    let until = story.now + Span::from_days(1);
    story.ok(Input::Award { project: "p".into(), granted: GpuTime::from_hours(5000), from: story.now, until });
    assert_eq!(story.state(job), "starting");
}

#[test]
fn the_same_key_gives_the_same_answer_once() {
    let mut story = Story::new(1, 8);
    let key = |print: &str| Some(madang_centre::Key { name: "k".into(), print: print.into() });
    let ask = |print: &str| Signed {
        ticket: 1,
        by: String::new(),
        key: key(print),
        input: Input::Submit(Box::new(gang(1, 1))),
    };
    let reply = |effects: Vec<Effect>| {
        effects.into_iter().find_map(|effect| match effect {
            Effect::Reply { answer, .. } => Some(answer),
            _ => None,
        })
    };
    let first = reply(story.step(vec![ask("a")]));
    let again = reply(story.step(vec![ask("a")]));
    assert_eq!(first, again);
    assert_eq!(story.centre.jobs().count(), 1);
    let other = reply(story.step(vec![ask("b")])).expect("answered");
    assert_eq!(other.map_err(|refusal| refusal.code), Err(madang_centre::Code::KeyReused));
}

#[test]
fn begin_time_and_late_engines() {
    let mut story = Story::new(1, 8);
    let mut later = gang(1, 1);
    later.begin = Some(story.now + HOUR);
    let job = story.submit(later);
    assert!(story.state(job).contains("Begin"));
    assert_eq!(story.centre.wake(), Some(story.now + HOUR));
    story.pass(HOUR);
    assert_eq!(story.state(job), "starting");
    story.started(job);
    story.pass(HOUR);
    story.pass(Span::from_mins(2));
    assert_eq!(story.state(job), "completing Limit", "the core stops what the engine forgot");
    story.ended(job, Outcome::Failed { exit: 0, signal: 15 });
    assert_eq!(story.state(job), "ended TimedOut");
}

#[test]
fn what_cannot_be_is_refused_with_names_and_numbers() {
    let mut story = Story::new(2, 8);
    let mut cases: Vec<(&str, Submission)> = Vec::new();
    cases.push(("gpus", gang(1, 9)));
    cases.push(("nodes", gang(3, 1)));
    let mut case = gang(1, 1);
    case.partition = Some("none".into());
    cases.push(("partition", case));
    let mut case = gang(1, 1);
    case.project = Some("none".into());
    cases.push(("project", case));
    let mut case = gang(1, 1);
    case.limit = Some(Span::MAX);
    cases.push(("limit", case));
    let mut case = gang(u32::MAX, u32::MAX);
    case.parts.push(case.parts[0].clone());
    cases.push(("overflow", case));
    cases.push(("wait", after(JobId::new(999), DependencyKind::Ended)));
    for (what, case) in cases {
        let refusal = story.answer(Input::Submit(Box::new(case))).expect_err(what);
        assert!(!refusal.fact.is_empty());
    }
    assert_eq!(story.centre.jobs().count(), 0);
}

#[test]
fn a_raised_limit_is_held_for_and_told_to_the_engine() {
    let mut story = Story::new(1, 8);
    let job = story.submit(gang(1, 8));
    story.started(job);
    let target = Target { job, task: None };
    let held = story.centre.book().balance(Account::Held(AwardId::new(1))).0;
    let limit = |hours| madang_centre::Alteration { limit: Some(Span::from_hours(hours)), ..Default::default() };
    let effects = story.step(vec![Signed::own(Input::Alter { job: target, change: limit(3) })]);
    assert!(
        effects.iter().any(|effect| matches!(effect, Effect::Limit { limit, .. } if *limit == Span::from_hours(3)))
    );
    let more = story.centre.book().balance(Account::Held(AwardId::new(1))).0 - held;
    assert_eq!(more, GpuTime::from_hours(16));
    let refusal = story.answer(Input::Alter { job: target, change: limit(200) }).expect_err("beyond the award");
    assert_eq!(refusal.code, madang_centre::Code::WrongState);
    story.pass(Span::from_hours(2));
    story.ended(job, Outcome::Completed);
    assert_eq!(story.free(), GpuTime::from_hours(1000 - 16));
}

#[test]
fn a_held_array_lets_single_tasks_go() {
    let mut story = Story::new(1, 8);
    let mut submission = gang(1, 8);
    submission.array = Some(Array { ranges: vec![(0, 3, 1)], at_once: None });
    let array = story.submit(submission);
    story.ok(Input::Hold { job: Target { job: array, task: None } });
    let second = story.centre.resolve(Target { job: array, task: Some(1) })[0];
    assert_eq!(story.state(second), "pending Held");
    story.ok(Input::Release { job: Target { job: array, task: Some(2) } });
    let first = story.starts[0].job;
    story.started(first);
    story.ended(first, Outcome::Completed);
    let third = story.centre.resolve(Target { job: array, task: Some(2) })[0];
    assert_eq!(story.state(third), "starting");
    assert_eq!(story.state(second), "pending Held");
}

#[test]
fn tasks_cancelled_before_they_were_jobs_leave_records() {
    let mut story = Story::new(1, 8);
    let mut submission = gang(1, 8);
    submission.array = Some(Array { ranges: vec![(2, 4, 2), (7, 7, 1)], at_once: Some(1) });
    let array = story.submit(submission);
    let effects = story.step(vec![Signed::own(Input::Cancel { job: Target { job: array, task: None } })]);
    let kept = effects.iter().filter_map(|effect| match effect {
        Effect::Keep(madang_centre::Keep::Job(job)) => Some((job.id.number() - array.number(), job.task)),
        _ => None,
    });
    assert_eq!(kept.collect::<Vec<_>>(), [(2, Some((array, 4))), (3, Some((array, 7)))]);
}

#[test]
fn whoever_waits_for_a_task_hears_that_it_was_cancelled_before_it_was_a_job() {
    let mut story = Story::new(1, 8);
    let mut submission = gang(1, 8);
    submission.array = Some(Array { ranges: vec![(0, 9, 1)], at_once: Some(1) });
    let array = story.submit(submission);
    let behind = |story: &mut Story, task: u32, kind| {
        let mut submission = after(array, kind);
        submission.after[0].on.task = Some(task);
        submission.kill_on_invalid = true;
        story.submit(submission)
    };
    let (good, any) = (behind(&mut story, 7, DependencyKind::Succeeded), behind(&mut story, 7, DependencyKind::Ended));
    let later = behind(&mut story, 8, DependencyKind::Succeeded);
    story.ok(Input::Cancel { job: Target { job: array, task: Some(7) } });
    assert_eq!(story.state(good), "ended Cancelled");
    assert!(!story.state(any).contains("Dependency"), "{}", story.state(any));
    assert!(story.state(later).contains("Dependency"));
    story.ok(Input::Cancel { job: Target { job: array, task: None } });
    assert_eq!(story.state(later), "ended Cancelled");
}

#[test]
fn a_step_before_anything_is_due_changes_nothing_but_the_time() {
    let mut story = Story::new(1, 2);
    let first = story.submit(gang(1, 2));
    story.submit(gang(1, 2));
    story.started(first);
    let wake = story.centre.wake().expect("a promise is due");
    let told = |centre: &Centre| {
        let mut told = serde_json::to_value(centre.snapshot()).expect("snapshots serialise");
        told["now"] = serde_json::Value::Null;
        told
    };
    let before = told(&story.centre);
    story.now = story.now + Span::from_secs(1);
    assert!(story.now < wake);
    assert_eq!(story.step(vec![]), vec![]);
    assert_eq!((told(&story.centre), story.centre.wake()), (before, Some(wake)));
}

#[test]
fn a_restored_centre_keeps_its_policy() {
    let mut centre = Centre::new();
    let mut base = founding(1, 8);
    base.policy.promises = 0;
    base.policy.taking.reclaim = false;
    base.policy.lending.insert(PartyId::new(0), policy::Lending { keep: 1000, borrow: None });
    centre.step(Time::default(), vec![Signed::own(Input::Found(base.clone()))]);
    let stored = serde_json::to_string(&centre.snapshot()).expect("snapshots serialise");
    let restored = Centre::restore(serde_json::from_str(&stored).expect("snapshots parse")).expect("this release's");
    for centre in [&centre, &restored] {
        assert_eq!(centre.scheduler().expect("it is founded").config(), &base.policy);
    }
    // A founding of an earlier release says nothing of a policy.
    let mut old = serde_json::to_value(&base).expect("foundings serialise");
    forget(&mut old, &["policy"]);
    let read: Founding = serde_json::from_value(old).expect("old foundings parse");
    assert_eq!(read.policy, Policy::default());
}

#[test]
fn a_snapshot_from_before_there_were_reservations_is_read() {
    let mut story = Story::new(2, 8);
    story.submit(gang(2, 8));
    story.submit(gang(2, 8));
    story.pass(Span::from_secs(1));
    let mut old = serde_json::to_value(story.centre.snapshot()).expect("snapshots serialise");
    forget(&mut old, &["reservations", "next_reservation", "excused", "barren", "own", "window", "reservation"]);
    let read = serde_json::from_value(old).expect("old snapshots parse");
    let restored = Centre::restore(read).expect("this release's version");
    assert_eq!(restored.snapshot(), story.centre.snapshot());
}

/// A centre with a second site of one node, in a partition of its own that allows two hours.
fn with_a_short_partition() -> Story {
    let mut base = founding(2, 8);
    base.sites.push(Site { id: SiteId::new(1), name: "t".into(), ..base.sites[0].clone() });
    base.islands.push(Island { id: IslandId::new(1), site: SiteId::new(1), name: "j".into(), levels: vec![] });
    (base.nodes[1].site, base.nodes[1].island) = (SiteId::new(1), IslandId::new(1));
    let (sites, max_limit) = (vec![SiteId::new(1)], Span::from_hours(2));
    base.partitions.push(Partition {
        id: PartitionId::new(1),
        name: "short".into(),
        sites,
        max_limit,
        default_limit: HOUR,
    });
    Story::of(base)
}

fn with_limit(job: JobId, limit: Span) -> Input {
    let change = madang_centre::Alteration { limit: Some(limit), ..Default::default() };
    Input::Alter { job: Target { job, task: None }, change }
}

#[test]
fn a_job_goes_to_whichever_of_its_partitions_is_free_first() {
    let mut story = with_a_short_partition();
    let to_both = |limit: Span| {
        let both = Submission { partition: Some("gpu".into()), also: vec!["short".into(), "gpu".into()], ..gang(1, 8) };
        Submission { limit: Some(limit), ..both }
    };
    let jobs = [(); 3].map(|()| story.submit(to_both(HOUR)));
    let at = |story: &Story, job| story.centre.partition_of(story.centre.job(job).expect("known")).number();
    assert_eq!((jobs.map(|job| at(&story, job)), story.starts.len()), ([0, 1, 0], 2), "the third waits");
    story.started(jobs[1]);
    story.ended(jobs[1], Outcome::Completed);
    assert_eq!((at(&story, jobs[2]), story.starts.len()), (1, 3));
    // What allows too little is left out while another allows it.
    let long = story.submit(to_both(Span::from_hours(3)));
    let spec = &story.centre.job(long).expect("known").spec;
    assert_eq!((spec.partitions().count(), spec.request.sites.as_slice()), (1, &[SiteId::new(0)][..]));
    let refusal = story.answer(Input::Submit(Box::new(to_both(Span::from_days(40))))).expect_err("both allow less");
    assert_eq!(refusal.fact, "asks for 40d, partition gpu allows 30d");
    let waiting = story.submit(to_both(HOUR));
    let refusal = story.answer(with_limit(waiting, Span::from_hours(3))).expect_err("it may go to both");
    assert_eq!(refusal.fact, "asks for 3h, partition short allows 2h");
}

#[test]
fn a_run_is_cut_at_its_deadline_and_ends_by_it() {
    let mut story = Story::new(1, 8);
    let deadline = story.now + HOUR;
    let job = story.submit(Submission { deadline: Some(deadline), ..gang(1, 8) });
    story.now = story.now + Span::from_secs(10);
    let run = story.run_of(job);
    let effects = story.step(vec![Report::Started { run, at: story.now }.into()]);
    let cut = Span::from_secs(3590);
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Limit { limit, .. } if *limit == cut)));
    let known = story.centre.job(job).expect("known");
    assert_eq!((known.limit(), known.spec.limit), (cut, HOUR));
    assert!(story.answer(with_limit(job, HOUR)).is_err_and(|refusal| refusal.fact.contains("deadline")));
    story.now = deadline;
    story.ended(job, Outcome::TimedOut);
    assert_eq!(story.state(job), "ended Deadline");
    assert_eq!(GpuTime::from_hours(1000) - story.free(), MilliGpus::from_gpus(8) * cut, "what it ran is charged");
}

#[test]
fn who_waits_for_an_array_to_start_goes_when_its_last_task_has_left_the_queue() {
    let mut story = Story::new(3, 8);
    let tasks = Some(Array { ranges: vec![(0, 1, 1)], at_once: Some(1) });
    let array = story.submit(Submission { array: tasks, ..gang(1, 8) });
    let on = Target { job: array, task: None };
    let wait = Wait { on, kind: DependencyKind::Started, delay: Span::ZERO };
    let behind = story.submit(Submission { after: vec![wait], ..gang(1, 8) });
    assert!(story.state(behind).starts_with("pending Dependency"), "one task of two has begun");
    let first = JobId::new(array.number() + 1);
    story.started(first);
    story.ended(first, Outcome::Completed);
    assert_eq!(story.state(behind), "starting");
}

#[test]
fn who_can_no_longer_end_in_time_is_removed_at_that_moment_and_pays_nothing() {
    let mut story = Story::new(1, 8);
    let first = story.submit(gang(1, 8));
    story.started(first);
    let due = |story: &Story, hours| Some(story.now + Span::from_hours(hours));
    let late = story.submit(Submission { deadline: due(&story, 2), ..gang(1, 8) });
    let held = story.submit(Submission { deadline: due(&story, 2), held: true, ..gang(1, 8) });
    let least = Some(Span::from_mins(15));
    let flexible = story.submit(Submission { deadline: due(&story, 2), limit_min: least, ..gang(1, 8) });
    let tasks = Some(Array { ranges: vec![(0, 3, 1)], at_once: Some(1) });
    let array = story.submit(Submission { deadline: due(&story, 2), array: tasks, ..gang(1, 8) });
    let before = story.free();
    story.pass(HOUR);
    assert!(story.state(late).starts_with("pending"), "it could start just now");
    assert_eq!(story.centre.wake(), Some(story.now + Span::from_millis(1)));
    story.pass(Span::from_millis(1));
    for job in [late, held, JobId::new(array.number() + 1)] {
        assert_eq!(story.state(job), "ended Deadline");
    }
    assert!(story.centre.array(array).expect("in sight").is_over());
    assert!(story.state(flexible).starts_with("pending"));
    assert_eq!(story.free(), before);
    // It starts with what is left until its deadline, and is taken back too late to start again.
    story.pass(Span::from_mins(30));
    story.ended(first, Outcome::Completed);
    story.started(flexible);
    assert_eq!(story.centre.job(flexible).map(Job::limit), Some(Span::from_secs(1799)));
    assert_eq!(
        story.centre.book().holds().map(|(_, _, held)| held).collect::<Vec<_>>(),
        [MilliGpus::from_gpus(8) * Span::from_secs(1829)]
    );
    story.pass(Span::from_mins(20));
    story.ok(Input::Requeue { job: Target { job: flexible, task: None } });
    story.ended(flexible, Outcome::Requeued);
    assert_eq!(story.state(flexible), "ended Deadline");
    let hopeless = Submission { deadline: Some(story.now + Span::from_mins(59)), ..gang(1, 8) };
    let refusal = story.answer(Input::Submit(Box::new(hopeless))).expect_err("it takes an hour");
    assert_eq!(refusal.fact, "its limit is 1h, its deadline is 59m after now");
}

#[test]
fn a_level_is_waited_for_only_so_long() {
    let mut base = founding(4, 8);
    base.nodes.iter_mut().for_each(|node| node.rack = node.id.number() / 2);
    let mut story = Story::of(base);
    let stays = [story.submit(gang(1, 8)), story.submit(gang(1, 8)), story.submit(gang(1, 8))];
    story.ok(Input::Cancel { job: Target { job: stays[1], task: None } });
    story.ended(stays[1], Outcome::Cancelled);
    let topology = |level: &str| Topology {
        required: Some(level.into()),
        patience: Some(Span::from_mins(5)),
        ..Topology::default()
    };
    // One node of each rack is free.
    let pair = story.submit(Submission { topology: topology("rack"), ..gang(2, 8) });
    assert!(story.state(pair).starts_with("pending Domain"), "{}", story.state(pair));
    assert_eq!(story.centre.wake().map(|at| at.since(story.now)), Some(Span::from_mins(5)));
    story.pass(Span::from_mins(5));
    assert_eq!(story.state(pair), "starting");
    // Where no island has the level there is nothing to wait for.
    let odd = story.submit(Submission { topology: topology("leaf"), ..gang(1, 8) });
    assert_eq!(story.centre.job(odd).expect("known").spec.request.topology.required, None);
}

#[test]
fn a_run_reports_its_own_checkpoint() {
    let mut story = Story::new(1, 8);
    let job = story.submit(gang(1, 8));
    let saved = || Input::Checkpoint { job: Target { job, task: None }, took: None };
    assert!(story.answer(saved()).is_err_and(|refusal| refusal.fact == "job-1 does not run"));
    story.started(job);
    story.pass(HOUR - Span::from_mins(30));
    assert_eq!(story.ok(saved()), Reply::Jobs(1));
    assert_eq!(story.centre.job(job).and_then(|job| job.saved), Some(story.now));
}

#[test]
fn a_mixed_gang_pays_the_mean_price_of_what_it_holds() {
    let mut base = founding(2, 8);
    base.nodes[1].device.as_mut().expect("it has GPUs").model = "h100".into();
    base.prices.push(Price { model: "h100".into(), won_per_gpu_hour: Won::new(2_000), ..base.prices[0].clone() });
    let mut story = Story::of(base);
    let either = Choice::same(["h200".to_owned(), "h100".to_owned()]).expect("there are words");
    let mut pair = gang(2, 8);
    pair.parts[0].model = Some(either.clone());
    assert!(story.answer(Input::Submit(Box::new(pair.clone()))).is_err(), "no two nodes are of one model");
    pair.parts[0].model = Some(either.mixed());
    let job = story.submit(pair);
    story.started(job);
    story.pass(HOUR - Span::from_mins(30));
    story.ended(job, Outcome::Completed);
    // 8 GPU-hours at a mean of 3,500 won, of which the class pays a tenth.
    assert_eq!(story.centre.book().balance(Account::Owes(ProjectId::new(0))).1, Won::new(2_800));
}

#[test]
fn what_was_written_before_there_were_choices_is_read() {
    let mut story = Story::new(2, 8);
    let mut submission = gang(1, 8);
    submission.parts[0].model = Some("h200".into());
    let written = serde_json::to_value(Input::Submit(Box::new(submission.clone()))).expect("inputs serialise");
    let parts = &written["submit"]["parts"][0];
    assert_eq!((&parts["model"], &parts["features"]), (&"h200".into(), &serde_json::json!([])));
    for key in ["also", "limit_min", "deadline"] {
        assert!(written["submit"].get(key).is_none(), "{key} is written only where it is used");
    }
    let read: Input = serde_json::from_value(written).expect("old inputs parse");
    assert_eq!(read, Input::Submit(Box::new(submission.clone())));
    story.submit(submission.clone());
    story.submit(submission);
    let mut old = serde_json::to_value(story.centre.snapshot()).expect("snapshots serialise");
    forget(&mut old, &["limit_min", "deadline", "also"]);
    let restored = Centre::restore(serde_json::from_value(old).expect("old snapshots parse")).expect("this version");
    assert_eq!(restored.snapshot(), story.centre.snapshot());
}

#[test]
fn how_long_jobs_ran_tells_how_long_the_next_will() {
    let mut story = Story::new(1, 8);
    let ran = |story: &mut Story, minutes: u64, outcome: Outcome| {
        let job = story.submit(gang(1, 8));
        let expected = story.centre.scheduler().and_then(|sched| sched.expected(job));
        story.started(job);
        story.pass(Span::from_mins(minutes));
        story.ended(job, outcome);
        expected.map(|span| span.secs().div_ceil(60))
    };
    assert_eq!(ran(&mut story, 15, Outcome::Completed), None, "nothing is known of ann");
    assert_eq!(ran(&mut story, 45, Outcome::Failed { exit: 1, signal: 0 }), Some(15));
    // The upper of two; what was lost with its node counts neither now nor when its job has run again.
    assert_eq!(ran(&mut story, 5, Outcome::NodeFailed), Some(45));
    let again = JobId::new(3);
    story.started(again);
    story.pass(Span::from_mins(1));
    story.ended(again, Outcome::Completed);
    assert_eq!(ran(&mut story, 20, Outcome::Cancelled), Some(45));
    assert_eq!(ran(&mut story, 1, Outcome::Completed), Some(20), "the median of 15, 20 and 45");
    story.submit(gang(1, 8));
    let mut old = serde_json::to_value(story.centre.snapshot()).expect("snapshots serialise");
    forget(&mut old, &["foresight", "expected", "prediction", "patience"]);
    let old = Centre::restore(serde_json::from_value(old).expect("old snapshots parse")).expect("this version");
    let sched = old.scheduler().expect("it is founded");
    assert_eq!((sched.config().prediction, sched.config().patience), (false, None), "as it was founded");
    assert_eq!(sched.expected(JobId::new(6)), None);
}

/// Takes keys out, however deep.
fn forget(value: &mut serde_json::Value, keys: &[&str]) {
    match value {
        serde_json::Value::Object(map) => {
            map.retain(|key, _| !keys.contains(&key.as_str()));
            map.values_mut().for_each(|value| forget(value, keys));
        }
        serde_json::Value::Array(list) => list.iter_mut().for_each(|value| forget(value, keys)),
        _ => {}
    }
}

#[test]
fn an_elastic_gang_is_held_for_and_charged_for_what_it_gets() {
    let mut story = Story::new(3, 8);
    let mut asked = gang(1, 8);
    asked.elastic = Some(Elastic { most: 5, restart: None });
    let job = story.submit(asked);
    story.started(job);
    let held = story.centre.book().balance(Account::Held(AwardId::new(1))).0;
    assert!(held >= GpuTime::from_hours(24) && held < GpuTime::from_hours(25), "{held}");
    story.pass(Span::from_mins(30));
    story.ended(job, Outcome::Completed);
    assert_eq!(story.free(), GpuTime::from_hours(1000 - 12));
}

#[test]
fn a_gang_goes_on_with_its_spare_and_with_what_is_left_of_its_limit() {
    let mut story = Story::new(3, 8);
    let mut asked = gang(3, 8);
    asked.topology.spares = 1;
    asked.checkpoint = Some(Span::from_mins(20));
    asked.model = Some(ModelRun { runtime: Span::from_mins(50), exit: 0 });
    let job = story.submit(asked);
    story.started(job);
    story.pass(Span::from_mins(30));
    story.report(Report::NodeDown { node: "n1".into(), why: "power".into() });
    story.ended(job, Outcome::NodeFailed);
    assert_eq!(story.state(job), "starting", "on the two nodes left");
    story.started(job);
    let now = story.now;
    let known = story.centre.job(job).expect("known");
    let JobState::Running { on, until, .. } = &known.state else { panic!("{}", story.state(job)) };
    assert_eq!((on.slots.len(), *until), (2, now + Span::from_mins(40)));
    assert_eq!(known.model_on(on).map(|model| model.runtime), Some(Span::from_mins(30)), "from the last checkpoint");
    assert_eq!((known.progress.resized, known.progress.from), (1, 3));
    // A requeue by hand begins anew; the node is back, and so is the spare.
    story.report(Report::NodeUp { node: "n1".into() });
    story.ok(Input::Requeue { job: Target { job, task: None } });
    story.ended(job, Outcome::Requeued);
    story.started(job);
    let known = story.centre.job(job).expect("known");
    assert_eq!((known.limit(), known.state.holding().map(|(_, on)| on.slots.len())), (HOUR, Some(3)));
}

#[test]
fn an_elastic_gang_that_makes_no_sense_is_refused() {
    let mut story = Story::new(4, 8);
    let mut refused = |most: u32, change: fn(&mut Submission)| {
        let mut asked = gang(2, 8);
        asked.elastic = Some(Elastic { most, restart: Some(Span::from_mins(5)) });
        change(&mut asked);
        story.answer(Input::Submit(Box::new(asked))).err().map(|refusal| refusal.fact).unwrap_or_default()
    };
    assert_eq!(refused(1, |_| {}), "asks for at least 2 nodes and at most 1");
    let two = |asked: &mut Submission| asked.parts.push(asked.parts[0].clone());
    assert_eq!(refused(4, two), "an elastic gang has one part, this one 2");
    let once = |asked: &mut Submission| asked.requeue = false;
    assert_eq!(refused(4, once), "it may not start again, so that it cannot be resized while it runs");
    assert_eq!(refused(4, |_| {}), "");
}

/// Submissions of a project that another owner pays for, so that it may claim what is lent.
fn of_private(story: &mut Story, count: u32) -> Vec<Signed> {
    let project =
        Input::Project { name: "q".into(), title: "Q".into(), owner: "private".into(), class: "industry".into() };
    story.ok(project);
    story.ok(Input::Member { project: "q".into(), user: "ann".into() });
    let (from, until) = (story.now, story.now + Span::from_days(365));
    story.ok(Input::Award { project: "q".into(), granted: GpuTime::from_hours(1000), from, until });
    let asked = Submission { project: Some("q".into()), ..gang(1, 8) };
    (0..count).map(|_| Signed::own(Input::Submit(Box::new(asked.clone())))).collect()
}

#[test]
fn a_quiet_centre_goes_on_taking_back_until_all_have_had_their_turn() {
    let mut base = founding(10, 8);
    base.policy.taking.jobs = 1;
    let mut story = Story::of(base);
    for _ in 0..10 {
        let job =
            story.submit(Submission { limit: Some(Span::from_hours(10)), project: Some("p".into()), ..gang(1, 8) });
        story.started(job);
    }
    story.pass(HOUR);
    let claims = of_private(&mut story, 4);
    story.step(claims);
    let mut steps = 0;
    while story.centre.wake() == Some(story.now) {
        story.step(vec![]);
        steps += 1;
    }
    assert_eq!((story.stops.len(), steps), (4, 4), "one in each step, none for nothing");
}

#[test]
fn a_plan_of_moves_is_carried_out_before_anything_of_its_batch_starts() {
    let mut story = Story::new(3, 8);
    let asked = Submission { limit: Some(Span::from_hours(10)), ..gang(1, 4) };
    let jobs: Vec<JobId> = (0..4).map(|_| story.submit(asked.clone())).collect();
    jobs.iter().for_each(|job| story.started(*job));
    // One job is left on each of two nodes, and the third is empty.
    [jobs[1], jobs[3]].into_iter().for_each(|job| story.ended(job, Outcome::Completed));
    story.pass(HOUR);
    let bounds = Bounds { site: None, horizon: Span::from_hours(24), most: 8 };
    let plan = story.centre.defrag(story.now, &bounds).expect("it is founded");
    let groups = story.centre.move_groups(&plan);
    let signed = |ticket, input| Signed { ticket, by: String::new(), key: None, input };
    let batch = vec![
        signed(1, Input::Submit(Box::new(gang(1, 8)))),
        signed(2, Input::Submit(Box::new(gang(1, 4)))),
        signed(3, Input::Defrag { groups }),
        signed(4, Input::Drain { node: "n2".into(), why: "fan".into() }),
    ];
    let effects = story.step(batch);
    let answered = |effect: &Effect| matches!(effect, Effect::Reply { ticket: 3, answer: Ok(Reply::Jobs(1)) });
    assert!(effects.iter().any(answered), "nothing that came before has taken the place");
    let started: Vec<&Allocation> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Start { on, .. } => Some(on),
            _ => None,
        })
        .collect();
    assert!(started.iter().all(|on| on.slots[0].node != NodeId::new(2)), "the drain of the same batch is heeded");
    let moved = story.stops[0].0.job;
    story.ended(moved, Outcome::Preempted);
    assert_eq!(story.state(moved), "starting", "in the place that was kept");
}
