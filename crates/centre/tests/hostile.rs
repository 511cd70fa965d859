//! Whatever is put into the core, it answers: an input is in the journal before the core sees it, so one that made it
//! panic would stop every later start of that centre too. Numbers here lean to the ends of their ranges, names and ids
//! to those that are there; what the server's edge would refuse is sent all the same.
use madang_centre::{
    Alteration, Array, Booking, Centre, Effect, Input, Key, NodesWanted, Report, Signed, Submission, Target, Wait,
    Wanted,
};
use madang_model::*;
use proptest::prelude::*;

/// Throws numbers out of a list, so that a failing case shrinks; zeros when it is used up.
struct Dice(std::vec::IntoIter<u64>);

impl Dice {
    fn raw(&mut self) -> u64 {
        self.0.next().unwrap_or(0)
    }
    fn below(&mut self, most: u64) -> u64 {
        self.raw() % most
    }
    fn one_in(&mut self, odds: u64) -> bool {
        self.below(odds) == odds - 1
    }
    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize].clone()
    }
    /// Mostly small, often at an end of the range.
    fn wild(&mut self) -> u64 {
        let free = self.raw();
        let half = u64::MAX / 2;
        let ends = [0, 1, 2, 31, 32, 33, 1_000, u64::from(u32::MAX), u64::from(u32::MAX) + 1, half, half + 1, u64::MAX];
        match self.below(4) {
            0 => self.pick(&ends),
            1 => free,
            _ => free % 9,
        }
    }
    fn wild_u32(&mut self) -> u32 {
        u32::try_from(self.wild()).unwrap_or(u32::MAX - 1)
    }
    fn wild_i32(&mut self) -> i32 {
        let free = self.raw() as i32;
        self.pick(&[0, 1, -1, 9, 64, 65, i32::MIN, i32::MAX, free])
    }
    fn maybe<T>(&mut self, made: impl FnOnce(&mut Dice) -> T) -> Option<T> {
        if self.one_in(3) { Some(made(self)) } else { None }
    }
    fn text(&mut self) -> String {
        self.pick(&["", "a", "job", "\u{1b}[31mred", "<script>", "nul\0", "line\nbreak", "한국어", "p", "ann"])
            .to_owned()
    }
    fn user(&mut self) -> String {
        self.pick(&["ann", "ann", "ann", "bob", "root", "nobody", ""]).to_owned()
    }
    fn node(&mut self) -> String {
        self.pick(&["n0", "n1", "n2", "n3", "elsewhere", ""]).to_owned()
    }
    fn job(&mut self) -> JobId {
        let near = self.below(40);
        let (far, task) = (self.wild(), self.below(500));
        JobId::new(self.pick(&[near, near, near, near, task, far, (1 << 32) + near]))
    }
    fn target(&mut self) -> Target {
        Target { job: self.job(), task: self.maybe(Dice::wild_u32) }
    }
    /// A run that is likely to be there: first tries of low ids.
    fn run(&mut self) -> RunId {
        RunId { job: self.job(), attempt: self.pick(&[1, 1, 1, 2, 0, u32::MAX]) }
    }
    fn part(&mut self, rogue: bool) -> Part {
        let tame = !rogue || self.one_in(2);
        let [nodes, gpus, cpus] = [(); 3].map(|()| if tame { 1 + self.below(3) as u32 } else { self.wild_u32() });
        Part {
            nodes,
            gpus,
            cpus,
            memory_mib: if tame { self.below(2) * 1024 } else { self.wild() },
            model: if rogue { self.maybe(|dice| dice.pick(&["h200", "b200", ""]).into()) } else { None },
            exclusive: self.one_in(4),
            features: if rogue && self.one_in(8) { vec![self.choice()] } else { vec![] },
            share: None,
        }
    }
    fn choice(&mut self) -> Choice {
        let words: Vec<String> = (0..1 + self.below(40)).map(|_| self.text()).collect();
        let choice = Choice::same(words).expect("there is a word");
        if self.one_in(3) { choice.mixed() } else { choice }
    }
    fn topology(&mut self, rogue: bool) -> Topology {
        let level = |dice: &mut Dice| dice.pick(&["rack", "leaf", "island", ""]).to_owned();
        match self.below(4) {
            0 => Topology {
                required: self.maybe(level),
                preferred: self.maybe(level),
                segment: if rogue { self.maybe(Dice::wild_u32) } else { Some(1) },
                spares: if rogue { self.wild_u32() } else { 0 },
                patience: if self.one_in(3) { Some(Span::from_millis(self.wild())) } else { None },
            },
            _ => Topology::default(),
        }
    }
    fn wait(&mut self) -> Wait {
        let kinds = [
            DependencyKind::Started,
            DependencyKind::Succeeded,
            DependencyKind::Failed,
            DependencyKind::Ended,
            DependencyKind::Corresponding,
        ];
        Wait { on: self.target(), kind: self.pick(&kinds), delay: Span::from_millis(self.wild()) }
    }
    fn array(&mut self) -> Array {
        let range = |dice: &mut Dice| match dice.below(3) {
            0 => (dice.wild_u32(), dice.wild_u32(), dice.wild_u32()),
            _ => (dice.below(2) as u32, 2 + dice.below(400) as u32, 1 + dice.below(2) as u32),
        };
        let count = self.pick(&[1, 1, 1, 0, 2]);
        Array { ranges: (0..count).map(|_| range(self)).collect(), at_once: self.maybe(Dice::wild_u32) }
    }
    fn qos(&mut self) -> Qos {
        self.pick(&[Qos::Low, Qos::Normal, Qos::High])
    }
    /// A limit that a partition may allow, up to the very longest.
    fn limit(&mut self) -> Span {
        let wild = self.wild();
        Span::from_millis(self.pick(&[1_000, 60_000, 3_600_000, 30 * 86_400_000, u64::MAX, u64::MAX - 1, wild]))
    }
    /// One in three has something in every field that may be wrong, the rest are mostly taken.
    fn submission(&mut self) -> Submission {
        let rogue = self.one_in(3);
        let parts = 1 + self.below(2) * self.below(3);
        let waits = self.below(2) * self.below(3);
        let names = ["a", "b", "\u{1b}[31mred", "<script>", "한국어"];
        Submission {
            user: if rogue { self.user() } else { "ann".into() },
            name: if rogue { self.text() } else { self.pick(&names).to_owned() },
            project: if rogue { self.maybe(|dice| dice.pick(&["p", "q", "none"]).to_owned()) } else { None },
            partition: Some(if rogue { self.pick(&["gpu", "endless", "none"]) } else { "endless" }.into()),
            also: (0..self.below(2) * self.below(3)).map(|_| self.pick(&["gpu", "endless", "none"]).into()).collect(),
            sites: if self.one_in(6) { vec![self.pick(&["s", "t"]).to_owned()] } else { vec![] },
            data: Vec::new(),
            parts: (0..parts).map(|_| self.part(rogue)).collect(),
            include: if self.one_in(8) { vec![self.node()] } else { vec![] },
            exclude: if self.one_in(8) { vec![self.node()] } else { vec![] },
            across_islands: self.one_in(2),
            topology: self.topology(rogue),
            elastic: None,
            limit: self.maybe(Dice::limit),
            limit_min: if self.one_in(3) { self.maybe(Dice::limit) } else { None },
            deadline: if self.one_in(3) { Some(Time::from_millis(self.wild())) } else { None },
            qos: self.qos(),
            nice: self.wild_i32(),
            begin: if self.one_in(6) { Some(Time::from_millis(self.wild())) } else { None },
            after: (0..waits).map(|_| self.wait()).collect(),
            after_any: self.one_in(2),
            singleton: self.one_in(4),
            kill_on_invalid: self.one_in(2),
            requeue: self.one_in(2),
            checkpoint: if self.one_in(3) { Some(Span::from_millis(self.wild())) } else { None },
            held: self.one_in(8),
            warning: if rogue { Some(self.warning()) } else { None },
            array: self.maybe(Dice::array),
            launch: None,
            model: None,
            comment: if rogue { self.text() } else { String::new() },
            reservation: self.maybe(|dice| dice.pick(&["r", "s", "none"]).to_owned()).filter(|_| rogue),
        }
    }
    fn booking(&mut self) -> Booking {
        let names = |dice: &mut Dice| if dice.one_in(2) { vec![dice.node()] } else { vec![] };
        let nodes = NodesWanted {
            named: names(self),
            count: self.maybe(|dice| dice.below(4) as u32),
            site: self.maybe(|dice| dice.pick(&["s", "t"]).to_owned()),
            island: None,
            model: None,
        };
        let what = match self.below(3) {
            0 => Wanted::Maintenance { nodes },
            1 => Wanted::Projects { nodes, projects: vec![self.pick(&["p", "q", "none"]).into()], owners: vec![] },
            _ => Wanted::Cap { site: self.pick(&["s", "t"]).into(), most: Cap::Gpus(self.below(9) as u32) },
        };
        const NOW: u64 = 1_800_000_000_000;
        let from = self.pick(&[NOW, NOW, NOW, 0, u64::MAX - 1]);
        let from = Time::from_millis(from.saturating_add(self.below(7_200_000)));
        let until = from.after(Span::from_millis(self.pick(&[0, 60_000, 7_200_000, u64::MAX])));
        let last = Time::from_millis(self.pick(&[0, NOW + 900_000_000, u64::MAX]));
        let every = Span::from_millis(self.pick(&[0, 60_000, 86_400_000, u64::MAX]));
        Booking {
            name: self.pick(&["r", "s", "\u{1b}[31m"]).to_owned(),
            what,
            from,
            until,
            every: self.maybe(|_| Recurrence { every, last }),
            reason: self.pick(&["fans", ""]).to_owned(),
            ignore_running: self.one_in(2),
        }
    }
    fn warning(&mut self) -> Warning {
        Warning { signal: self.wild_i32(), before: Span::from_millis(self.wild()), shell: false }
    }
    fn alteration(&mut self) -> Alteration {
        Alteration {
            limit: self.maybe(Dice::limit),
            qos: self.maybe(Dice::qos),
            nice: self.maybe(Dice::wild_i32),
            name: self.maybe(Dice::text),
            comment: self.maybe(Dice::text),
        }
    }
    fn report(&mut self) -> Report {
        let at = Time::from_millis(self.wild());
        let exit = self.wild_i32();
        let outcomes = [
            Outcome::Completed,
            Outcome::Failed { exit, signal: exit },
            Outcome::LaunchFailed,
            Outcome::NodeFailed,
            Outcome::Requeued,
            Outcome::Cancelled,
            Outcome::TimedOut,
        ];
        match self.below(10) {
            0..=3 => Report::Started { run: self.run(), at },
            4..=6 => Report::Ended { run: self.run(), at, outcome: self.pick(&outcomes) },
            7 => Report::Unknown { run: self.run() },
            8 => Report::NodeUp { node: self.node() },
            _ => Report::NodeDown { node: self.node(), why: self.text() },
        }
    }
    fn input(&mut self) -> Input {
        match self.below(24) {
            0..=7 => Input::Submit(Box::new(self.submission())),
            8..=13 => Input::Report(self.report()),
            14 => Input::Cancel { job: self.target() },
            15 => Input::Hold { job: self.target() },
            16 => Input::Release { job: self.target() },
            17 => Input::Requeue { job: self.target() },
            18 => Input::Finish { job: self.target(), exit: self.wild_i32() },
            19 => Input::Alter { job: self.target(), change: self.alteration() },
            20 => Input::Signal { job: self.target(), signal: self.wild_i32(), shell: self.one_in(2) },
            21 => Input::Drain { node: self.node(), why: self.text() },
            22 => Input::Resume { node: self.node() },
            _ => self.office(),
        }
    }
    fn office(&mut self) -> Input {
        let (name, project) = (self.text(), self.pick(&["p", "q", "none"]).to_owned());
        match self.below(7) {
            4 | 6 => Input::Reserve(self.booking()),
            5 => Input::Unreserve { name: self.pick(&["r", "s", "none"]).to_owned() },
            0 => Input::User { name: self.user(), role: self.pick(&[Role::Researcher, Role::Admin]) },
            1 => Input::Project { name, title: self.text(), owner: "public".into(), class: "industry".into() },
            2 => Input::Member { project, user: self.user() },
            _ => Input::Award {
                project,
                granted: GpuTime::from_micro_secs(self.wild().cast_signed()),
                from: Time::from_millis(self.wild()),
                until: Time::from_millis(self.wild()),
            },
        }
    }
    fn signed(&mut self) -> Signed {
        let key = if self.one_in(8) { Some(Key { name: self.text(), print: self.text() }) } else { None };
        let by = if self.one_in(4) { self.user() } else { String::new() };
        Signed { ticket: self.below(3), by, key, input: self.input() }
    }
    /// Forward, mostly a little, seldom by ages.
    fn later(&mut self, now: Time) -> Time {
        let ages = self.wild();
        let little = self.below(3) * 700_000;
        now.after(Span::from_millis(if self.one_in(40) { ages } else { little }))
    }
}

fn party(id: u32, name: &str) -> Party {
    Party { id: PartyId::new(id), name: name.into(), title: name.into(), title_ko: name.into(), company_share: 5_000 }
}

/// Two sites; the second partition has no limit worth the name and the price is beyond all reason.
fn founding() -> Founding {
    let site = |id: u32, name: &str| Site {
        id: SiteId::new(id),
        name: name.into(),
        title: name.into(),
        title_ko: name.into(),
        operator: PartyId::new(1),
        engine: EngineKind::Model,
        shares: vec![(PartyId::new(0), 5_100), (PartyId::new(1), 4_900)],
        source: "test".into(),
    };
    let node = |id: u32| Node {
        id: NodeId::new(id),
        name: format!("n{id}"),
        site: SiteId::new(id / 3),
        island: IslandId::new(id / 2),
        rack: id % 2,
        path: vec![],
        numa: vec![],
        device: Some(Device { model: "h200".into(), memory_mib: 141_000, parts: Default::default() }),
        gpus: if id == 1 { 32 } else { 8 },
        cpus: 64,
        memory_mib: 512_000,
        features: vec![],
        pretend: false,
        health: Health::Up,
    };
    let island = |id: u32, site: u32| Island {
        id: IslandId::new(id),
        site: SiteId::new(site),
        name: format!("i{id}"),
        levels: vec![],
    };
    let partition = |id: u32, name: &str, max_limit| Partition {
        id: PartitionId::new(id),
        name: name.into(),
        sites: vec![SiteId::new(0), SiteId::new(1)],
        max_limit,
        default_limit: Span::from_hours(1),
    };
    Founding {
        name: "hostile".into(),
        title: "Hostile".into(),
        title_ko: "Hostile".into(),
        parties: vec![party(0, "public"), party(1, "private")],
        classes: vec![Class { name: "industry".into(), target: 10_000, rate: u32::MAX }],
        sites: vec![site(0, "s"), site(1, "t")],
        islands: vec![island(0, 0), island(1, 0), island(2, 1)],
        nodes: [0, 1, 2, 4]
            .iter()
            .zip(0..)
            .map(|(like, id)| Node { id: NodeId::new(id), name: format!("n{id}"), ..node(*like) })
            .collect(),
        partitions: vec![partition(0, "gpu", Span::from_days(30)), partition(1, "endless", Span::MAX)],
        prices: vec![Price {
            model: "h200".into(),
            from: Time::from_millis(0),
            won_per_gpu_hour: Won::new(i64::MAX),
            source: "test".into(),
        }],
        money: vec![],
        policy: Default::default(),
        links: Vec::new(),
    }
}

/// A centre with a member who may spend all that can be counted.
fn centre(now: Time) -> Centre {
    let mut centre = Centre::new();
    let project = |name: &str| Input::Project {
        name: name.into(),
        title: name.into(),
        owner: "public".into(),
        class: "industry".into(),
    };
    let award = |name: &str, micro| Input::Award {
        project: name.into(),
        granted: GpuTime::from_micro_secs(micro),
        from: now,
        until: Time::MAX,
    };
    let first = [
        Input::Found(founding()),
        Input::User { name: "ann".into(), role: Role::Researcher },
        Input::User { name: "bob".into(), role: Role::Operator },
        project("p"),
        project("q"),
        Input::Member { project: "p".into(), user: "ann".into() },
        Input::Member { project: "q".into(), user: "bob".into() },
        award("p", i64::MAX / 2),
        award("q", i64::MAX / 4),
    ];
    centre.step(now, first.into_iter().map(Signed::own).collect());
    centre
}

fn play(numbers: Vec<u64>) {
    let mut now = Time::from_millis(1_800_000_000_000);
    let (mut centre, mut dice) = (centre(now), Dice(numbers.into_iter()));
    while dice.0.len() > 0 {
        now = dice.later(now);
        let mut inputs: Vec<Signed> = (0..dice.below(4)).map(|_| dice.signed()).collect();
        let effects = centre.step(now, std::mem::take(&mut inputs));
        // Engines that answer, so that most runs live.
        for effect in effects {
            if let Effect::Start { run, .. } = effect
                && !dice.one_in(4)
            {
                inputs.push(Signed::own(Input::Report(Report::Started { run, at: now })));
            }
        }
        centre.step(now, inputs);
        assert_eq!(centre.audit(), Vec::<String>::new());
        look(&centre, now);
    }
    let restored = Centre::restore(centre.snapshot()).expect("this release's snapshot");
    assert!(restored.snapshot() == centre.snapshot(), "a restored centre is another");
}

/// What a reader may ask of any centre.
fn look(centre: &Centre, now: Time) {
    for owner in 0..2 {
        centre.delivered(PartyId::new(owner));
    }
    centre.standing(now);
}

/// A quick look by default; `PROPTEST_CASES=100000` looks long.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(192)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_input_makes_the_core_panic(numbers in proptest::collection::vec(any::<u64>(), 0..4_000)) {
        play(numbers);
    }
}

fn answer(centre: &mut Centre, now: Time, input: Input) -> Result<madang_centre::Reply, madang_centre::Code> {
    let effects = centre.step(now, vec![Signed { ticket: 9, by: String::new(), key: None, input }]);
    let mut replies = effects.into_iter().filter_map(|effect| match effect {
        Effect::Reply { ticket: 9, answer } => Some(answer.map_err(|refusal| refusal.code)),
        _ => None,
    });
    replies.next().expect("every ticket is answered")
}

/// What the dice throw when they have no numbers left: a plain job.
fn tame() -> Submission {
    Dice(Vec::new().into_iter()).submission()
}

#[test]
fn an_id_four_thousand_million_further_is_no_task_of_an_array() {
    let now = Time::from_millis(1_800_000_000_000);
    let mut centre = centre(now);
    let array = Some(Array { ranges: vec![(0, 9_999, 1)], at_once: None });
    let made = answer(&mut centre, now, Input::Submit(Box::new(Submission { array, ..tame() })));
    let Ok(madang_centre::Reply::Job(id)) = made else { panic!("{made:?}") };
    let beyond = Target { job: JobId::new(id.number() + 9_000 + (1 << 32)), task: None };
    assert_eq!(answer(&mut centre, now, Input::Cancel { job: beyond }), Err(madang_centre::Code::NotFound));
}

#[test]
fn a_nice_is_bounded_however_it_comes() {
    let now = Time::from_millis(1_800_000_000_000);
    let mut centre = centre(now);
    let made = answer(&mut centre, now, Input::Submit(Box::new(Submission { held: true, nice: i32::MAX, ..tame() })));
    let Ok(madang_centre::Reply::Job(id)) = made else { panic!("{made:?}") };
    let change = Alteration { nice: Some(i32::MIN), ..Alteration::default() };
    assert!(answer(&mut centre, now, Input::Alter { job: Target { job: id, task: None }, change }).is_ok());
    assert_eq!(centre.job(id).map(|job| job.spec.nice), Some(-10_000));
}

#[test]
fn a_charge_that_cannot_be_counted_leaves_no_hold() {
    let now = Time::from_millis(1_800_000_000_000);
    let mut centre = centre(now);
    let mut submission = tame();
    submission.parts[0].gpus = 8;
    let effects = centre.step(now, vec![Signed::own(Input::Submit(Box::new(submission)))]);
    let starts = effects.into_iter().find_map(|effect| match effect {
        Effect::Start { run, .. } => Some(run),
        _ => None,
    });
    let run = starts.expect("an empty centre starts it");
    centre.step(now, vec![Report::Started { run, at: now }.into()]);
    let later = now.after(Span::from_mins(30));
    centre.step(later, vec![Report::Ended { run, at: later, outcome: Outcome::Completed }.into()]);
    assert_eq!(centre.book().hold_of(run), None);
    assert_eq!(centre.audit(), Vec::<String>::new());
}
