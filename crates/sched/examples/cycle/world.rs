//! Times the scheduler on the estate of the 2025 plan: 1,250 nodes of eight GPUs and 2,000 nodes of four.
//!
//! Prints one line for each load: p50, p99 and the longest of a step with a few ends and submissions, with 10,000 and
//! 100,000 jobs waiting, and of a step in which nothing happened (times on one processor); then how fast one-GPU jobs start on an empty estate.
use madang_model::{
    Device, EngineKind, Founding, GpuTime, Health, Island, IslandId, JobId, Node, NodeId, Part, PartyId, ProjectId,
    Qos, Request, RunId, Site, SiteId, Span, Time, UserId,
};
use madang_sched::{Ask, Budget, Config, Event, Scheduler, Step};
use nix::time::{ClockId, clock_gettime};
use std::collections::BTreeSet;

/// Waiting jobs come from this many projects with this many users each.
const PROJECTS: u64 = 100;
const USERS: u64 = 3;

fn main() {
    println!(
        "{:<34} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "step, 18,000 GPUs full", "p50 ms", "p99 ms", "max ms", "idle ms", "steps"
    );
    for pending in [10_000, 100_000] {
        busy(pending);
    }
    empty();
}

/// Nanoseconds that this thread has had the processor: other work on the machine does not blur the tail.
fn processor() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("the thread's clock can be read");
    time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
}

/// A full estate with many jobs waiting: each step ends a few runs and submits as many jobs.
fn busy(pending: u64) {
    let mut world = World::new();
    let mut job = 0;
    while u64::from(world.sched.pending()) < pending {
        let events = (0..1000).map(|_| world.submit(&mut job)).collect();
        world.step(events);
    }
    let mut times: Vec<u64> = Vec::new();
    for round in 0..3000u64 {
        world.now += 1000;
        let mut events: Vec<Event> = Vec::new();
        for _ in 0..1 + round % 4 {
            events.extend(world.end_one());
        }
        let missing = pending.saturating_sub(u64::from(world.sched.pending())).max(1 + round % 4);
        events.extend((0..missing).map(|_| world.submit(&mut job)));
        let begin = processor();
        let step = world.sched.step(Time::from_millis(world.now), events);
        times.push(processor() - begin);
        world.note(&step);
    }
    world.now += 1000;
    let begin = processor();
    let step = world.sched.step(Time::from_millis(world.now), Vec::new());
    let idle = (processor() - begin) as f64 / 1e6;
    assert_eq!(step.report.tries, 0);
    times.sort_unstable();
    let ms = |part: usize| times[(times.len() - 1) * part / 100] as f64 / 1e6;
    let label = format!("{} jobs waiting", world.sched.pending());
    println!("{label:<34} {:>9.3} {:>9.3} {:>9.3} {idle:>9.4} {:>9}", ms(50), ms(99), ms(100), times.len());
    assert!(world.sched.audit().is_empty(), "{:?}", world.sched.audit());
}

/// An empty estate: a thousand one-GPU jobs at a time, until nothing is left.
fn empty() {
    let mut world = World::new();
    let (mut job, mut started, mut spent) = (0, 0, 0);
    for _ in 0..17 {
        let events = (0..1000).map(|_| world.ask(&mut job, 1, 1, 3600)).collect();
        let begin = processor();
        let step = world.sched.step(Time::from_millis(world.now), events);
        spent += processor() - begin;
        started += step.starts.len() as u64;
    }
    println!("one-GPU jobs started: {started}, {:.0} a second", started as f64 * 1e9 / spent as f64);
}

struct World {
    sched: Scheduler,
    now: u64,
    dice: u64,
    running: BTreeSet<RunId>,
}

impl World {
    fn new() -> World {
        let mut sched = Scheduler::new(Config::default(), &founding());
        let mut events = Vec::new();
        for project in 0..PROJECTS {
            let id = ProjectId::new(project as u32);
            events.push(Event::Project { id, owner: PartyId::new((project % 2) as u32), weight: 1 });
            events.push(Event::Budget(id, Budget::Left(GpuTime::from_hours(1_000_000_000))));
        }
        sched.step(Time::from_millis(0), events);
        World { sched, now: 1, dice: 88_172_645_463_325_252, running: BTreeSet::new() }
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.dice % sides
    }

    fn step(&mut self, events: Vec<Event>) {
        self.now += 1000;
        let step = self.sched.step(Time::from_millis(self.now), events);
        self.note(&step);
    }

    fn note(&mut self, step: &Step) {
        self.running.extend(step.starts.iter().map(|start| start.run));
    }

    fn end_one(&mut self) -> Option<Event> {
        let skip = self.roll(self.running.len().max(1) as u64);
        let probe = RunId { job: JobId::new(skip), attempt: 0 };
        let run = self.running.range(probe..).next().or_else(|| self.running.first()).copied()?;
        self.running.remove(&run);
        Some(Event::Ended(run))
    }

    /// One of forty kinds of jobs: from one GPU to 64 nodes, for one to 24 hours.
    fn submit(&mut self, job: &mut u64) -> Event {
        let (nodes, gpus) = match self.roll(10) {
            0..4 => (1, 1),
            4 => (1, 2),
            5..7 => (1, 4),
            7 => (1, 8),
            8 => (4, 8),
            _ => [(16, 8), (64, 8), (8, 4), (32, 4)][self.roll(4) as usize],
        };
        let hours = [1, 4, 8, 12, 24][self.roll(5) as usize];
        self.ask(job, nodes, gpus, hours * 3600)
    }

    fn ask(&mut self, job: &mut u64, nodes: u32, gpus: u32, secs: u64) -> Event {
        *job += 1;
        let part = Part {
            nodes,
            gpus,
            cpus: gpus * 8,
            memory_mib: u64::from(gpus) * 131_072,
            model: None,
            exclusive: false,
            features: vec![],
        };
        let request = Request {
            parts: vec![part],
            sites: vec![SiteId::new(0), SiteId::new(1)],
            include: vec![],
            exclude: vec![],
            across_islands: false,
        };
        Event::Queued(Ask {
            run: RunId { job: JobId::new(*job), attempt: 1 },
            project: ProjectId::new(self.roll(PROJECTS) as u32),
            user: UserId::new(self.roll(USERS) as u32),
            request,
            limit: Span::from_secs(secs),
            qos: Qos::Normal,
            nice: 0,
            since: Time::from_millis(self.now),
        })
    }
}

/// Two sites: 5 islands of 250 eight-GPU nodes, 4 islands of 500 four-GPU nodes.
fn founding() -> Founding {
    let shares = vec![(PartyId::new(0), 5100), (PartyId::new(1), 4900)];
    let mut founding = Founding {
        name: "bench".into(),
        title: "Bench".into(),
        title_ko: "Bench".into(),
        parties: vec![],
        classes: vec![],
        sites: vec![],
        islands: vec![],
        nodes: vec![],
        partitions: vec![],
        prices: vec![],
        money: vec![],
    };
    for (site, islands, nodes, gpus, model) in [(0, 5, 250, 8, "h200"), (1, 4, 500, 4, "gh200")] {
        let id = SiteId::new(site);
        founding.sites.push(Site {
            id,
            name: format!("site{site}"),
            title: String::new(),
            title_ko: String::new(),
            operator: PartyId::new(0),
            engine: EngineKind::Model,
            shares: shares.clone(),
            source: String::new(),
        });
        for _ in 0..islands {
            let island = IslandId::new(founding.islands.len() as u32);
            founding.islands.push(Island { id: island, site: id, name: format!("i{}", island.number()) });
            for place in 0..nodes {
                let node = NodeId::new(founding.nodes.len() as u32);
                founding.nodes.push(Node {
                    id: node,
                    name: format!("n{}", node.number()),
                    site: id,
                    island,
                    rack: place / 8,
                    device: Some(Device { model: model.into(), memory_mib: 144_384 }),
                    gpus,
                    cpus: gpus * 16,
                    memory_mib: u64::from(gpus) * 262_144,
                    features: vec![],
                    pretend: false,
                    health: Health::Up,
                });
            }
        }
    }
    founding
}
