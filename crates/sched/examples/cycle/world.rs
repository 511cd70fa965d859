//! An estate, projects and made-up jobs to time the scheduler with; the same seed gives the same history.
use madang_model::{
    Device, EngineKind, Founding, GpuTime, Health, Island, IslandId, JobId, Node, NodeId, Part, PartyId, ProjectId,
    Qos, Request, RunId, Site, SiteId, Span, Time, Topology, UserId,
};
use madang_sched::{Ask, Budget, Config, Event, Scheduler, Step};
use nix::time::{ClockId, clock_gettime};
use std::collections::BTreeSet;

/// Users of each project.
const USERS: u64 = 3;
/// Owners of projects; one more owns nothing but the job that is watched.
const OWNERS: u64 = 2;

/// Nanoseconds that this thread has had the processor: other work on the machine does not blur the tail.
pub fn processor() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("the thread's clock can be read");
    time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
}

/// The value below which this part of a hundred lies, of sorted figures.
pub fn part_of(sorted: &[u64], part: usize) -> u64 {
    sorted[(sorted.len() - 1) * part / 100]
}

/// What a world is made of.
#[derive(Clone, Copy)]
pub struct Shape {
    /// Devices of one site of eight-GPU nodes in islands of 250; `None` for the plan's two sites.
    pub gpus: Option<u32>,
    /// Projects that jobs come from.
    pub projects: u64,
    /// Jobs waiting.
    pub waiting: u64,
    /// What the dice start from.
    pub seed: u64,
}

/// A scheduler and what surrounds it.
pub struct World {
    /// What is timed.
    pub sched: Scheduler,
    /// Milliseconds.
    pub now: u64,
    shape: Shape,
    sites: u32,
    /// The first node of each island.
    firsts: Vec<NodeId>,
    job: u64,
    dice: u64,
    running: BTreeSet<RunId>,
}

impl World {
    /// An empty estate; the last project is the watched job's, of an owner of its own.
    pub fn empty(shape: Shape) -> World {
        let founding = match shape.gpus {
            Some(gpus) => founding(&islands_of(gpus)),
            None => founding(&[(0, vec![250; 5], 8, "h200"), (1, vec![500; 4], 4, "gh200")]),
        };
        let mut sched = Scheduler::new(Config::default(), &founding);
        let mut events = Vec::new();
        for project in 0..=shape.projects {
            let id = ProjectId::new(project as u32);
            let owner = if project == shape.projects { OWNERS } else { project % OWNERS };
            events.push(Event::Project { id, owner: PartyId::new(owner as u32), weight: 1 });
            events.push(Event::Budget(id, Budget::Left(GpuTime::from_hours(1_000_000_000))));
        }
        sched.step(Time::from_millis(0), events);
        let (sites, dice) = (founding.sites.len() as u32, 88_172_645_463_325_252 + shape.seed);
        let of = |island: &Island| founding.nodes.iter().find(|node| node.island == island.id).map(|node| node.id);
        let firsts = founding.islands.iter().filter_map(of).collect();
        World { sched, now: 1, shape, sites, firsts, job: 0, dice, running: BTreeSet::new() }
    }

    /// A full estate with all those jobs waiting.
    pub fn full(shape: Shape) -> World {
        let mut world = World::empty(shape);
        while u64::from(world.sched.pending()) < shape.waiting {
            let missing = shape.waiting - u64::from(world.sched.pending());
            let events = (0..missing.min(1000)).map(|_| world.submit()).collect();
            world.step(events);
        }
        world
    }

    /// One to four ends, and as many submissions as keep the queue as long as it was.
    pub fn churn(&mut self, round: u64) -> Vec<Event> {
        let ends = 1 + round % 4;
        let mut events: Vec<Event> = Vec::new();
        for _ in 0..ends {
            events.extend(self.end_one());
        }
        let missing = self.shape.waiting.saturating_sub(u64::from(self.sched.pending())).max(ends);
        events.extend((0..missing).map(|_| self.submit()));
        events
    }

    /// A node of each island is drained and comes back: whatever was found out about any request is forgotten.
    pub fn shake(&self) -> Vec<Event> {
        let drain = || Health::Drain { why: "bench".into() };
        let nodes = self.firsts.iter().copied();
        nodes.flat_map(|node| [Event::Node(node, drain()), Event::Node(node, Health::Up)]).collect()
    }

    /// A step a second later, and the processor's time for it in nanoseconds.
    pub fn timed(&mut self, events: Vec<Event>) -> (Step, u64) {
        self.now += 1000;
        let begin = processor();
        let step = self.sched.step(Time::from_millis(self.now), events);
        let took = processor() - begin;
        self.note(&step);
        (step, took)
    }

    /// A step a second later.
    pub fn step(&mut self, events: Vec<Event>) -> Step {
        self.timed(events).0
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.dice % sides
    }

    fn note(&mut self, step: &Step) {
        self.running.extend(step.starts.iter().map(|start| start.run));
    }

    /// So many runs end.
    pub fn ends(&mut self, count: u64) -> Vec<Event> {
        (0..count).filter_map(|_| self.end_one()).collect()
    }

    /// The number of the job that was asked for last.
    pub fn last(&self) -> u64 {
        self.job
    }

    fn end_one(&mut self) -> Option<Event> {
        let skip = self.roll(self.running.len().max(1) as u64);
        let probe = RunId { job: JobId::new(skip), attempt: 0 };
        let run = self.running.range(probe..).next().or_else(|| self.running.first()).copied()?;
        self.running.remove(&run);
        Some(Event::Ended(run))
    }

    /// One of forty kinds of jobs: from one GPU to 64 nodes, for one to 24 hours.
    pub fn submit(&mut self) -> Event {
        let (nodes, gpus) = match self.roll(10) {
            0..4 => (1, 1),
            4 => (1, 2),
            5..7 => (1, 4),
            7 => (1, 8),
            8 => (4, 8),
            _ => [(16, 8), (64, 8), (8, 4), (32, 4)][self.roll(4) as usize],
        };
        let hours = [1, 4, 8, 12, 24][self.roll(5) as usize];
        self.ask(nodes, gpus, hours * 3600)
    }

    /// A job of a project drawn by lot.
    pub fn ask(&mut self, nodes: u32, gpus: u32, secs: u64) -> Event {
        let project = self.roll(self.shape.projects);
        self.ask_of(project, nodes, gpus, secs)
    }

    /// A gang that wants every node, from the watched project.
    pub fn whole_estate(&mut self) -> (JobId, Event) {
        let nodes = self.shape.gpus.expect("a gang is of one site") / 8;
        let mut ask = self.ask_of(self.shape.projects, nodes, 8, 24 * 3600);
        // Each of another user: who gave a promise up waits for the next one.
        if let Event::Queued(ask) = &mut ask {
            ask.user = UserId::new((USERS + self.job) as u32);
        }
        (JobId::new(self.job), ask)
    }

    fn ask_of(&mut self, project: u64, nodes: u32, gpus: u32, secs: u64) -> Event {
        self.job += 1;
        let part = Part {
            nodes,
            gpus,
            cpus: gpus * 8,
            memory_mib: u64::from(gpus) * 131_072,
            model: None,
            exclusive: false,
            features: vec![],
            share: None,
        };
        let request = Request {
            parts: vec![part],
            sites: (0..self.sites).map(SiteId::new).collect(),
            include: vec![],
            exclude: vec![],
            across_islands: project == self.shape.projects,
            topology: Topology::default(),
            reservation: None,
            elastic: None,
            reach: Vec::new(),
        };
        Event::Queued(Ask {
            run: RunId { job: JobId::new(self.job), attempt: 1 },
            project: ProjectId::new(project as u32),
            user: UserId::new(self.roll(USERS) as u32),
            request,
            limit: Span::from_secs(secs),
            limit_min: None,
            deadline: None,
            qos: Qos::Normal,
            nice: 0,
            since: Time::from_millis(self.now),
            checkpoint: None,
            expected: None,
        })
    }
}

/// A site: its number, the nodes of each island, GPUs of a node and their model.
type Layout = (u32, Vec<u32>, u32, &'static str);

/// One site of eight-GPU nodes in islands of 250, the last one smaller.
fn islands_of(gpus: u32) -> [Layout; 1] {
    let nodes = gpus / 8;
    let islands = (0..nodes.div_ceil(250)).map(|island| (nodes - island * 250).min(250)).collect();
    [(0, islands, 8, "h200")]
}

fn founding(sites: &[Layout]) -> Founding {
    let shares = vec![(PartyId::new(0), 4500), (PartyId::new(1), 4500), (PartyId::new(2), 1000)];
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
        links: Vec::new(),
        policy: Default::default(),
    };
    for (site, islands, gpus, model) in sites {
        let (id, gpus) = (SiteId::new(*site), *gpus);
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
        for &nodes in islands {
            let island = IslandId::new(founding.islands.len() as u32);
            founding.islands.push(Island {
                id: island,
                site: id,
                name: format!("i{}", island.number()),
                levels: vec![],
            });
            for place in 0..nodes {
                let node = NodeId::new(founding.nodes.len() as u32);
                founding.nodes.push(Node {
                    id: node,
                    name: format!("n{}", node.number()),
                    site: id,
                    island,
                    rack: place / 8,
                    device: Some(Device { model: (*model).into(), memory_mib: 144_384, parts: Default::default() }),
                    path: vec![],
                    numa: vec![],
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
