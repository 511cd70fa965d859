//! Taking back under three orders of victims, on the same made-up load: GPU-hours lost since the last checkpoint.
//!
//! Two owners with half each of 128 nodes of eight GPUs in four islands. One always has more than there is; the other
//! comes every few hours with a burst. A quarter of the jobs save every 15 minutes and a quarter every 45 and say so;
//! the rest say nothing, and half of those save every 20 minutes all the same, of which nobody knows. What is lost is
//! counted here by what each job really does, without a cap. A job that is taken back goes on from what it saved.
//! All of it is modelled.
use madang_model::{
    Device, EngineKind, Founding, GpuTime, Health, Island, IslandId, JobId, Node, NodeId, Part, PartyId, ProjectId,
    Qos, Request, RunId, Site, SiteId, Span, Time, Topology, UserId,
};
use madang_sched::{Ask, Budget, Config, Event, Scheduler, Step, Taking, VictimOrder};
use std::collections::{BTreeMap, BTreeSet};

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
/// How long each life is.
const DAYS: u64 = 14;

fn main() {
    println!(
        "{:<12} {:>6} {:>8} {:>16} {:>16} {:>14} {:>10}",
        "order", "stops", "most/job", "lost GPU-hours", "per stop", "wait p50 min", "done"
    );
    for (name, order) in
        [("least lost", VictimOrder::LeastLost), ("youngest", VictimOrder::Youngest), ("largest", VictimOrder::Largest)]
    {
        let mut world = World::new(Config { taking: Taking { order, ..Taking::default() }, ..Config::default() });
        while world.now < DAYS * 24 * HOUR {
            world.minute();
        }
        world.print(name);
    }
    let off = Config { taking: Taking { reclaim: false, preempts: None, ..Taking::default() }, ..Config::default() };
    let mut world = World::new(off);
    while world.now < DAYS * 24 * HOUR {
        world.minute();
    }
    world.print("never");
}

/// A job as it really is.
#[derive(Clone)]
struct Life {
    ask: Ask,
    /// Work still to do, in milliseconds.
    left: u64,
    /// How often it really saves.
    saves: Option<u64>,
    submitted: u64,
    taken: u32,
}

struct World {
    sched: Scheduler,
    now: u64,
    dice: u64,
    lives: BTreeMap<JobId, Life>,
    /// By end: the run, when it began, and whether it was told to stop.
    ends: BTreeSet<(u64, RunId)>,
    began: BTreeMap<RunId, u64>,
    told: BTreeSet<RunId>,
    next: u64,
    stops: u64,
    lost: u64,
    waits: Vec<u64>,
    most: u32,
    done: u64,
}

impl World {
    fn new(config: Config) -> World {
        let mut sched = Scheduler::new(config, &founding());
        let project = |id: u32| {
            let id = (ProjectId::new(id), PartyId::new(id));
            let budget = Budget::Left(GpuTime::from_hours(1_000_000_000));
            [Event::Project { id: id.0, owner: id.1, weight: 1 }, Event::Budget(id.0, budget)]
        };
        sched.step(Time::default(), [project(0), project(1)].concat());
        World {
            sched,
            now: 0,
            dice: 88_172_645_463_325_252,
            lives: BTreeMap::new(),
            ends: BTreeSet::new(),
            began: BTreeMap::new(),
            told: BTreeSet::new(),
            next: 0,
            stops: 0,
            lost: 0,
            waits: Vec::new(),
            most: 0,
            done: 0,
        }
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.dice % sides
    }

    /// What comes in the next minute: ends, jobs, and what the scheduler makes of it.
    fn minute(&mut self) {
        self.now += MINUTE;
        let mut events = Vec::new();
        // The load is the same whatever the order does: jobs come by the clock alone.
        if self.now.is_multiple_of(4 * MINUTE) {
            events.push(self.submit(0));
        }
        if self.now.is_multiple_of(7 * HOUR) {
            events.extend((0..8).map(|_| self.submit(1)).collect::<Vec<_>>());
        }
        while let Some((at, run)) = self.ends.first().copied().filter(|(at, _)| *at <= self.now) {
            self.ends.remove(&(at, run));
            events.extend(self.end(at, run));
        }
        let step = self.sched.step(Time::from_millis(self.now), events);
        self.follow(&step);
    }

    fn follow(&mut self, step: &Step) {
        for start in &step.starts {
            let life = &self.lives[&start.run.job];
            let end = (self.now + life.left).min(start.until.millis());
            if start.run.attempt == 1 && life.ask.project == ProjectId::new(1) {
                self.waits.push((self.now - life.submitted) / MINUTE);
            }
            self.began.insert(start.run, self.now);
            self.ends.insert((end, start.run));
        }
        for stop in &step.stops {
            let last = self.now + stop.grace.millis();
            let end = self.ends.iter().find(|(_, run)| *run == stop.run).copied().expect("it runs");
            if end.0 > last {
                self.ends.remove(&end);
                self.ends.insert((last, stop.run));
                self.told.insert(stop.run);
            }
            self.stops += 1;
        }
    }

    fn end(&mut self, at: u64, run: RunId) -> Vec<Event> {
        let ran = at - self.began.remove(&run).expect("it began");
        let life = self.lives.get_mut(&run.job).expect("its job is known");
        if !self.told.remove(&run) {
            self.done += 1;
            self.lives.remove(&run.job);
            return vec![Event::Ended(run)];
        }
        let lost = life.saves.map_or(ran, |every| ran % every);
        self.lost += lost * u64::from(life.ask.request.gpus().milli() / 1000);
        life.left -= ran - lost;
        life.taken += 1;
        self.most = self.most.max(life.taken);
        life.ask.run.attempt += 1;
        vec![Event::Ended(run), Event::Queued(life.ask.clone())]
    }

    fn submit(&mut self, owner: u32) -> Event {
        self.next += 1;
        let (nodes, gpus) = [(1, 1), (1, 4), (1, 8), (1, 8), (2, 8), (4, 8), (8, 8), (16, 8)][self.roll(8) as usize];
        let left = [40 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 20 * HOUR][self.roll(5) as usize] + self.roll(HOUR);
        let (saves, said) =
            [(Some(15 * MINUTE), true), (Some(45 * MINUTE), true), (Some(20 * MINUTE), false), (None, false)]
                [self.roll(4) as usize];
        let part = Part {
            nodes,
            gpus,
            cpus: gpus * 8,
            memory_mib: 1024,
            model: None,
            exclusive: false,
            features: Vec::new(),
            share: None,
        };
        let ask = Ask {
            run: RunId { job: JobId::new(self.next), attempt: 1 },
            project: ProjectId::new(owner),
            user: UserId::new(0),
            request: Request {
                parts: vec![part],
                sites: vec![SiteId::new(0)],
                include: Vec::new(),
                exclude: Vec::new(),
                across_islands: false,
                topology: Topology::default(),
                reservation: None,
                elastic: None,
                reach: Vec::new(),
            },
            limit: Span::from_millis(left * 3 / 2),
            limit_min: None,
            deadline: None,
            qos: Qos::Normal,
            nice: 0,
            expected: None,
            checkpoint: saves.filter(|_| said).map(Span::from_millis),
            since: Time::from_millis(self.now),
        };
        let life = Life { ask: ask.clone(), left, saves, submitted: self.now, taken: 0 };
        self.lives.insert(ask.run.job, life);
        Event::Queued(ask)
    }

    fn print(&mut self, name: &str) {
        assert!(self.sched.audit().is_empty(), "{:?}", self.sched.audit());
        self.waits.sort_unstable();
        let hours = self.lost as f64 / HOUR as f64;
        let each = hours / self.stops.max(1) as f64;
        let wait = self.waits.get(self.waits.len() / 2).copied().unwrap_or(0);
        println!(
            "{name:<12} {:>6} {:>8} {hours:>16.1} {each:>16.2} {wait:>14} {:>10}",
            self.stops, self.most, self.done
        );
    }
}

fn founding() -> Founding {
    let site = SiteId::new(0);
    let island = |id: u32| Island { id: IslandId::new(id), site, name: format!("i{id}"), levels: Vec::new() };
    let node = |id: u32| Node {
        id: NodeId::new(id),
        name: format!("n{id}"),
        site,
        island: IslandId::new(id / 32),
        rack: id / 4,
        device: Some(Device { model: "h200".into(), memory_mib: 144_384, parts: Default::default() }),
        gpus: 8,
        cpus: 128,
        memory_mib: 1 << 20,
        features: Vec::new(),
        path: Vec::new(),
        numa: Vec::new(),
        pretend: false,
        health: Health::Up,
    };
    Founding {
        name: "two".into(),
        title: String::new(),
        title_ko: String::new(),
        parties: Vec::new(),
        classes: Vec::new(),
        sites: vec![Site {
            id: site,
            name: "site".into(),
            title: String::new(),
            title_ko: String::new(),
            operator: PartyId::new(0),
            engine: EngineKind::Model,
            shares: vec![(PartyId::new(0), 5_000), (PartyId::new(1), 5_000)],
            source: String::new(),
        }],
        islands: (0..4).map(island).collect(),
        nodes: (0..128).map(node).collect(),
        partitions: Vec::new(),
        prices: Vec::new(),
        money: Vec::new(),
        links: Vec::new(),
        policy: Default::default(),
    }
}
