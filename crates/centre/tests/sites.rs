//! Many sites told from outside: where jobs start and why, what becomes of them when a site is lost, and that nothing is
//! charged twice or ended twice. Every step is audited, and done by a centre that was just restored from its snapshot.
use expect_test::{Expect, expect};
use madang_centre::{Centre, DataAt, Effect, Failover, Input, Reply, Report, Signed, Submission};
use madang_ledger::Account;
use madang_model::*;

const HOUR: Span = Span::from_hours(1);

/// A centre and what it told so far, with times in minutes since the founding.
struct Tale {
    centre: Centre,
    begun: Time,
    now: Time,
    told: String,
}

/// Sites a, b and c of so many nodes with eight GPUs each, their models priced 5,000, 5,000 and 4,000 won; a and b are linked
/// well, c by nothing that is told of.
fn founding(nodes: [u32; 3]) -> Founding {
    let party = Party {
        id: PartyId::new(0),
        name: "public".into(),
        title: "Public".into(),
        title_ko: "Public".into(),
        company_share: 10_000,
    };
    let mut base = Founding {
        name: "many".into(),
        title: "Many".into(),
        title_ko: "Many".into(),
        parties: vec![party],
        classes: vec![Class { name: "research".into(), target: 10_000, rate: 10_000 }],
        sites: vec![],
        islands: vec![],
        nodes: vec![],
        partitions: vec![],
        prices: vec![],
        money: vec![],
        policy: Policy::default(),
        links: vec![Link { between: (SiteId::new(0), SiteId::new(1)), ms_per_gb: 800, source: "test".into() }],
    };
    for (number, (name, model, won)) in (0..).zip([("a", "x", 5_000), ("b", "y", 5_000), ("c", "z", 4_000)]) {
        let (site, island) = (SiteId::new(number), IslandId::new(number));
        base.sites.push(Site {
            id: site,
            name: name.into(),
            title: name.into(),
            title_ko: name.into(),
            operator: PartyId::new(0),
            engine: EngineKind::Model,
            shares: vec![(PartyId::new(0), 10_000)],
            source: "test".into(),
        });
        base.islands.push(Island { id: island, site, name: name.into(), levels: vec![] });
        base.prices.push(Price {
            model: model.into(),
            from: Time::default(),
            won_per_gpu_hour: Won::new(won),
            source: "test".into(),
        });
        for place in 0..nodes[number as usize] {
            base.nodes.push(Node {
                id: NodeId::new(base.nodes.len() as u32),
                name: format!("{name}{place}"),
                site,
                island,
                rack: 0,
                path: vec![],
                numa: vec![],
                device: Some(Device { model: model.into(), memory_mib: 141_000, parts: Parts::default() }),
                gpus: 8,
                cpus: 64,
                memory_mib: 512_000,
                features: vec![],
                pretend: false,
                health: Health::Up,
            });
        }
        let limits = (Span::from_days(7), HOUR);
        let partition = |id: u32, name: &str, sites| Partition {
            id: PartitionId::new(id),
            name: name.into(),
            sites,
            max_limit: limits.0,
            default_limit: limits.1,
        };
        if number == 2 {
            base.partitions.push(partition(0, "gpu", vec![SiteId::new(0), SiteId::new(1)]));
            base.partitions.push(partition(1, "cheap", vec![site]));
        }
    }
    base
}

impl Tale {
    fn new(nodes: [u32; 3]) -> Tale {
        let begun = Time::from_millis(1_800_000_000_000);
        let mut tale = Tale { centre: Centre::new(), begun, now: begun, told: String::new() };
        tale.ok(Input::Found(founding(nodes)));
        tale.ok(Input::User { name: "ann".into(), role: Role::Researcher });
        let (name, title, owner, class) = ("p".into(), "P".into(), "public".into(), "research".into());
        tale.ok(Input::Project { name, title, owner, class });
        tale.ok(Input::Member { project: "p".into(), user: "ann".into() });
        let (from, until) = (begun, begun + Span::from_days(300));
        tale.ok(Input::Award { project: "p".into(), granted: GpuTime::from_hours(1_000), from, until });
        tale
    }

    fn step(&mut self, inputs: Vec<Signed>) -> Option<Result<Reply, madang_centre::Refusal>> {
        let stored = serde_json::to_string(&self.centre.snapshot()).expect("snapshots serialise");
        self.centre = Centre::restore(serde_json::from_str(&stored).expect("it parses")).expect("this release's");
        let effects = self.centre.step(self.now, inputs);
        assert_eq!(self.centre.audit(), Vec::<String>::new());
        let mut answered = None;
        let minutes = self.now.since(self.begun).millis() / 60_000;
        for effect in effects {
            let line = match effect {
                Effect::Start { run, on, .. } => format!("{run} starts on {}", self.nodes(&on)),
                Effect::Stop { site, run, cause } => {
                    format!("site {} is told to stop {run}: {cause:?}", self.site(site))
                }
                Effect::Reply { answer, .. } => {
                    answered = Some(answer);
                    continue;
                }
                Effect::Keep(madang_centre::Keep::Anomaly(_, text)) => format!("anomaly: {text}"),
                Effect::Keep(madang_centre::Keep::Job(job)) => format!("{} ends: {:?}", job.id, job.state),
                _ => continue,
            };
            let line = line.split(", at: ").next().expect("a line").to_owned();
            self.told += &format!("{minutes}m {line}\n");
        }
        answered
    }

    fn answer(&mut self, input: Input) -> Result<Reply, madang_centre::Refusal> {
        let signed = Signed { ticket: 7, by: String::new(), key: None, input };
        self.step(vec![signed]).expect("every ticket is answered")
    }

    fn ok(&mut self, input: Input) -> Reply {
        self.answer(input).unwrap_or_else(|refusal| panic!("{refusal}"))
    }

    fn submit(&mut self, submission: Submission) -> JobId {
        let Reply::Job(id) = self.ok(Input::Submit(Box::new(submission))) else { panic!("no job") };
        id
    }

    fn report(&mut self, report: Report) {
        self.step(vec![report.into()]);
    }

    /// The present try of the job began now.
    fn began(&mut self, job: JobId) -> RunId {
        let run = RunId { job, attempt: self.centre.job(job).expect("known").attempts };
        self.report(Report::Started { run, at: self.now });
        run
    }

    fn ended(&mut self, run: RunId, at: Time) {
        self.report(Report::Ended { run, at, outcome: Outcome::Completed });
    }

    fn pass(&mut self, minutes: u64) {
        let until = self.now + Span::from_mins(minutes);
        while let Some(at) = self.centre.wake().filter(|at| *at < until) {
            self.now = self.now.max(at);
            self.step(vec![]);
        }
        self.now = until;
        self.step(vec![]);
    }

    fn site(&self, site: SiteId) -> &str {
        &self.centre.founding().expect("founded").sites[site.index()].name
    }

    fn nodes(&self, on: &Allocation) -> String {
        let nodes = &self.centre.founding().expect("founded").nodes;
        on.slots.iter().map(|slot| nodes[slot.node.index()].name.clone()).collect::<Vec<_>>().join(" ")
    }

    fn standing(&mut self, job: JobId) {
        for one in self.centre.site_standings(self.centre.job(job).expect("known")) {
            let (site, delay) = (self.site(one.site), one.delay);
            let won = one.won.map_or("no".to_owned(), |won| won.to_string());
            let line = format!("  {job} at {site}: rank {}, data {delay}, {won} won: {:?}\n", one.rank, one.verdict);
            self.told += line.split("(Time").next().expect("a line").trim_end();
            self.told += "\n";
        }
    }

    fn money(&mut self) {
        let balance = |account| self.centre.book().balance(account);
        let award = AwardId::new(1);
        let (free, held) = (balance(Account::Free(award)).0, balance(Account::Held(award)).0);
        let owed = balance(Account::Owes(ProjectId::new(0))).1;
        self.told += &format!("  free {free}, held {held}, owed {owed}\n");
    }

    fn lost(&mut self, site: &str, failover: Failover) {
        self.ok(Input::SiteLost { site: site.into(), why: "no power".into(), failover });
    }

    fn check(&self, expect: Expect) {
        expect.assert_eq(&self.told);
    }
}

fn gang(nodes: u32, sites: &[&str], data: &[(&str, u32)]) -> Submission {
    let part = Part {
        nodes,
        gpus: 8,
        cpus: 4,
        memory_mib: 1_000,
        model: None,
        exclusive: false,
        features: vec![],
        share: None,
    };
    Submission {
        user: "ann".into(),
        name: "job".into(),
        project: None,
        partition: None,
        also: vec![],
        sites: sites.iter().map(ToString::to_string).collect(),
        data: data.iter().map(|(site, gb)| DataAt { site: site.to_string(), gb: *gb }).collect(),
        parts: vec![part],
        include: vec![],
        exclude: vec![],
        across_islands: false,
        topology: Topology::default(),
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

#[test]
fn data_then_price_then_room_choose_the_site() {
    let mut tale = Tale::new([2, 2, 2]);
    let cheap = tale.submit(gang(1, &["any"], &[]));
    tale.standing(cheap);
    let near = tale.submit(gang(2, &["any"], &[("b", 300)]));
    tale.standing(near);
    let full = tale.submit(gang(1, &["any"], &[("b", 300)]));
    tale.standing(full);
    tale.ok(Input::ProjectData { project: "p".into(), data: Some(DataAt { site: "c".into(), gb: 1 }) });
    let by_project = tale.submit(gang(1, &["a", "b", "c"], &[]));
    tale.standing(by_project);
    let without = tale.submit(gang(1, &["-a"], &[]));
    tale.standing(without);
    tale.check(expect![[r#"
        0m job-1.1 starts on c0
          job-1 at c: rank 0, data 0s, 32000 won: Chosen
          job-1 at a: rank 1, data 0s, 40000 won: Dearer
          job-1 at b: rank 1, data 0s, 40000 won: Dearer
        0m job-2.1 starts on b0 b1
          job-2 at b: rank 0, data 0s, 80000 won: Chosen
          job-2 at a: rank 1, data 4m, 80000 won: Farther
          job-2 at c: rank 2, data 40m, 64000 won: Farther
        0m job-3.1 starts on a0
          job-3 at b: rank 0, data 0s, 40000 won: WasFull
          job-3 at a: rank 1, data 4m, 40000 won: Chosen
          job-3 at c: rank 2, data 40m, 32000 won: Farther
        0m job-4.1 starts on c1
          job-4 at c: rank 0, data 0s, 32000 won: Chosen
          job-4 at a: rank 1, data 8s, 40000 won: Farther
          job-4 at b: rank 1, data 8s, 40000 won: Farther
          job-5 at c: rank 0, data 0s, 32000 won: Promised(@1800003690000)
          job-5 at b: rank 1, data 8s, 40000 won: Full
    "#]]);
}

#[test]
fn lists_of_sites_that_mean_nothing_are_refused() {
    let mut tale = Tale::new([1, 1, 1]);
    for (sites, data, partition) in [
        (&["d"][..], &[][..], None),
        (&["-d"], &[], None),
        (&["a", "-a"], &[], None),
        (&["c"], &[], Some("gpu")),
        (&["a"], &[("d", 5)], None),
        (&["a"], &[("b", 0)], None),
    ] {
        let partition = partition.map(String::from);
        let submission = Submission { partition, ..gang(1, sites, data) };
        let refusal = tale.answer(Input::Submit(Box::new(submission))).expect_err("it is refused");
        tale.told += &format!("{sites:?} {data:?}: {refusal}\n");
    }
    tale.check(expect![[r#"
        ["d"] []: no site is named d
        ["-d"] []: no site is named d
        ["a", "-a"] []: no partition has a site of a,-a
        ["c"] []: partition gpu has no site named c
        ["a"] [("d", 5)]: no site is named d
        ["a"] [("b", 0)]: 0 GB of data is not between 1 and 100000000
    "#]]);
}

#[test]
fn a_lost_sites_jobs_go_on_elsewhere_and_come_to_one_end() {
    let mut tale = Tale::new([2, 2, 0]);
    let job = tale.submit(gang(2, &["any"], &[("a", 10)]));
    let pinned = tale.submit(Submission { requeue: false, ..gang(1, &["b"], &[]) });
    let first = tale.began(job);
    tale.began(pinned);
    tale.pass(10);
    tale.lost("a", Failover::AfterPolicy);
    tale.money();
    tale.pass(29);
    tale.money();
    // Thirty minutes after the loss the job is queued again; a node is free at b, it needs two.
    tale.pass(2);
    tale.money();
    tale.standing(job);
    let run = RunId { job: pinned, attempt: 1 };
    tale.ended(run, tale.now);
    tale.began(job);
    tale.standing(job);
    // The site is back while the old run still lives there: its nodes wait for its end, and that end is nobody's.
    tale.pass(5);
    tale.ok(Input::SiteBack { site: "a".into() });
    let other = tale.submit(gang(2, &["a"], &[]));
    tale.standing(other);
    tale.report(Report::Started { run: first, at: tale.now });
    tale.ended(first, tale.now);
    tale.pass(20);
    let second = RunId { job, attempt: 2 };
    tale.ended(second, tale.now);
    tale.ended(second, tale.now);
    tale.began(other);
    tale.money();
    tale.check(expect![[r#"
        0m job-1.1 starts on a0 a1
        0m job-2.1 starts on b0
          free 975.800 GPU-hours, held 24.200 GPU-hours, owed 0 won
          free 975.800 GPU-hours, held 24.200 GPU-hours, owed 0 won
        40m site a is told to stop job-1.1: Stale
          free 991.933 GPU-hours, held 8.066 GPU-hours, owed 0 won
          job-1 at a: rank 0, data 0s, 80000 won: Lost
          job-1 at b: rank 1, data 8s, 80000 won: Promised(@1800003690000)
          job-1 at c: rank 2, data 1m20s, no won: Never
        41m job-2 ends: Ended { outcome: Completed
        41m job-1.2 starts on b0 b1
          job-1 at a: rank 0, data 0s, 80000 won: Lost
          job-1 at b: rank 1, data 8s, 80000 won: Chosen
          job-1 at c: rank 2, data 1m20s, no won: Never
        46m site a is told to stop job-1.1: Stale
          job-3 at a: rank 0, data 0s, 80000 won: Full
        46m anomaly: job-1.1 reported a start, but is not the present try of its job
        46m site a is told to stop job-1.1: Stale
        46m anomaly: job-1.1 reported an end, but is not the present try of its job
        46m job-3.1 starts on a0 a1
        66m job-1 ends: Ended { outcome: Completed
        66m anomaly: job-1.2 reported an end, but is not the present try of its job
          free 971.733 GPU-hours, held 16.133 GPU-hours, owed 60666 won
    "#]]);
}

#[test]
fn what_cannot_go_on_elsewhere_waits_for_its_site() {
    let mut tale = Tale::new([2, 1, 0]);
    let stays = tale.submit(Submission { requeue: false, ..gang(1, &["any"], &[("a", 10)]) });
    let only = tale.submit(gang(1, &["a"], &[]));
    let runs = [tale.began(stays), tale.began(only)];
    let waits = tale.submit(gang(2, &["any"], &[]));
    tale.standing(waits);
    tale.ok(Input::SiteSilent { site: "a".into(), since: tale.now, why: "not heard of".into() });
    tale.standing(waits);
    tale.pass(45);
    // An operator gives up on one of them; nobody waits for the site's answer.
    tale.ok(Input::Cancel { job: madang_centre::Target { job: only, task: None } });
    tale.pass(1);
    let before = tale.begun + Span::from_mins(40);
    tale.ok(Input::SiteHeard { site: "a".into() });
    runs.into_iter().for_each(|run| tale.ended(run, before));
    tale.began(waits);
    tale.money();
    tale.check(expect![[r#"
        0m job-1.1 starts on a0
        0m job-2.1 starts on a1
          job-3 at a: rank 0, data 0s, 80000 won: Promised(@1800003690000)
          job-3 at b: rank 0, data 0s, 80000 won: Never
          job-3 at c: rank 1, data 0s, no won: Never
          job-3 at a: rank 0, data 0s, 80000 won: Lost
          job-3 at b: rank 0, data 0s, 80000 won: Never
          job-3 at c: rank 1, data 0s, no won: Never
        45m site a is told to stop job-2.1: Cancelled
        45m site a is told to stop job-2.1: Stale
        45m job-2 ends: Ended { outcome: Cancelled
        46m site a is told to stop job-2.1: Stale
        46m job-1 ends: Ended { outcome: Completed
        46m anomaly: job-2.1 reported an end, but is not the present try of its job
        46m job-3.1 starts on a0 a1
          free 978.533 GPU-hours, held 16.133 GPU-hours, owed 26667 won
    "#]]);
}

#[test]
fn an_operator_gives_a_site_up_at_once_and_alone_takes_it_back() {
    let mut tale = Tale::new([1, 1, 0]);
    let job = tale.submit(gang(1, &["any"], &[("a", 10)]));
    let first = tale.began(job);
    tale.ok(Input::SiteSilent { site: "a".into(), since: tale.now, why: "not heard of".into() });
    tale.lost("a", Failover::AtOnce);
    let again = tale.answer(Input::SiteLost { site: "a".into(), why: "x".into(), failover: Failover::AtOnce });
    tale.told += &format!("  {}\n", again.expect_err("it is lost"));
    tale.ok(Input::SiteHeard { site: "a".into() });
    let node = tale.answer(Input::Resume { node: "a0".into() });
    tale.told += &format!("  {}\n", node.expect_err("its site is lost"));
    tale.ok(Input::SiteBack { site: "a".into() });
    // The engine has lost all memory of the run; an operator has looked and answers for the node.
    let node = tale.answer(Input::Resume { node: "a0".into() });
    tale.told += &format!("  {}\n", node.expect_err("a run may be there"));
    tale.ok(Input::Clear { node: "a0".into() });
    assert!(!tale.centre.is_fenced(first));
    tale.submit(gang(1, &["a"], &[]));
    tale.check(expect![[r#"
        0m job-1.1 starts on a0
        0m site a is told to stop job-1.1: Stale
        0m job-1.2 starts on b0
          site a is lost already
        0m site a is told to stop job-1.1: Stale
          a0 is of site a, which is lost
        0m site a is told to stop job-1.1: Stale
          a0 waits for the end of a run that was given up there
        0m job-2.1 starts on a0
    "#]]);
}
