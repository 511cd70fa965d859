//! Small estates and short ways to say what happens to them.

use madang_model::share::known_profiles;
use madang_model::{
    Allocation, Device, EngineKind, Founding, Health, Island, IslandId, JobId, Node, NodeId, Part, Parts, PartyId,
    ProjectId, Qos, Request, RunId, Share, Site, SiteId, Slot, Span, Time, Topology, UserId,
};
use madang_sched::{Ask, Budget, Config, Event, Scheduler, Step};

/// One site; each island is (racks, nodes in a rack, GPUs in a node).
pub fn estate(islands: &[(u32, u32, u32)]) -> Founding {
    let mut founding = empty();
    founding.sites.push(site(0, &[(0, 5100), (1, 4900)]));
    for (index, (racks, nodes, gpus)) in (0..).zip(islands) {
        add_island(&mut founding, 0, index, *racks, *nodes, *gpus);
    }
    founding
}

pub fn empty() -> Founding {
    Founding {
        name: "test".into(),
        title: "Test".into(),
        title_ko: "Test".into(),
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
    }
}

pub fn site(id: u32, shares: &[(u32, u32)]) -> Site {
    Site {
        id: SiteId::new(id),
        name: format!("site{id}"),
        title: format!("Site {id}"),
        title_ko: format!("Site {id}"),
        operator: PartyId::new(0),
        engine: EngineKind::Model,
        shares: shares.iter().map(|(party, share)| (PartyId::new(*party), *share)).collect(),
        source: String::new(),
    }
}

pub fn add_island(founding: &mut Founding, site: u32, island: u32, racks: u32, nodes: u32, gpus: u32) {
    founding.islands.push(Island {
        id: IslandId::new(island),
        site: SiteId::new(site),
        name: format!("island{island}"),
        levels: vec![],
    });
    for rack in 0..racks {
        for _ in 0..nodes {
            let id = NodeId::new(founding.nodes.len() as u32);
            founding.nodes.push(Node {
                id,
                name: format!("n{}", id.number()),
                site: SiteId::new(site),
                island: IslandId::new(island),
                rack,
                path: vec![],
                numa: vec![],
                device: (gpus > 0).then(|| Device {
                    model: "h200".into(),
                    memory_mib: 144_384,
                    parts: Default::default(),
                }),
                gpus,
                cpus: gpus.max(2) * 8,
                memory_mib: 1024 * u64::from(gpus.max(2)),
                features: vec![],
                pretend: false,
                health: Health::Up,
            });
        }
    }
}

/// A job of `nodes` nodes with `gpus` GPUs each and a fair part of CPUs and memory.
pub fn request(nodes: u32, gpus: u32) -> Request {
    let part = Part {
        nodes,
        gpus,
        cpus: gpus.max(1) * 8,
        memory_mib: 1024 * u64::from(gpus.max(1)),
        model: None,
        exclusive: false,
        features: vec![],
        share: None,
    };
    Request {
        parts: vec![part],
        sites: vec![SiteId::new(0)],
        include: vec![],
        exclude: vec![],
        across_islands: false,
        topology: Topology::default(),
        reservation: None,
        elastic: None,
        reach: Vec::new(),
    }
}

pub fn at(secs: u64) -> Time {
    Time::from_millis(secs * 1000)
}

pub fn run(job: u64) -> RunId {
    RunId { job: JobId::new(job), attempt: 1 }
}

pub fn ask(job: u64, request: Request, limit_secs: u64) -> Ask {
    Ask {
        run: run(job),
        project: ProjectId::new(1),
        user: UserId::new(1),
        request,
        limit: Span::from_secs(limit_secs),
        limit_min: None,
        deadline: None,
        qos: Qos::Normal,
        nice: 0,
        checkpoint: None,
        expected: None,
        since: at(0),
    }
}

pub fn queued(job: u64, nodes: u32, gpus: u32, limit_secs: u64) -> Event {
    Event::Queued(ask(job, request(nodes, gpus), limit_secs))
}

pub fn project(id: u32, owner: u32) -> Vec<Event> {
    let id = ProjectId::new(id);
    vec![
        Event::Project { id, owner: PartyId::new(owner), weight: 1 },
        Event::Budget(id, Budget::Left(madang_model::GpuTime::from_hours(1_000_000))),
    ]
}

/// A scheduler with project 1 of owner 0.
pub fn sched(founding: &Founding) -> Scheduler {
    sched_with(Config::default(), founding)
}

/// The same, with settings.
pub fn sched_with(config: Config, founding: &Founding) -> Scheduler {
    let mut sched = Scheduler::new(config, founding);
    sched.step(at(0), project(1, 0));
    sched
}

/// Steps, and insists that all invariants hold.
pub fn step(sched: &mut Scheduler, secs: u64, events: Vec<Event>) -> Step {
    let step = sched.step(at(secs), events);
    assert_eq!(sched.audit(), Vec::<String>::new());
    step
}

/// `job-3: n0[ff] n1[0f]`, one line for each start.
pub fn starts(step: &Step) -> String {
    step.starts.iter().map(|start| format!("{}: {}\n", start.run.job, nodes(&start.on))).collect()
}

pub fn nodes(on: &Allocation) -> String {
    let names: Vec<String> =
        on.slots.iter().map(|slot| format!("n{}[{:02x}]", slot.node.number(), slot.devices)).collect();
    names.join(" ")
}

/// Lets devices be cut and shared, as told for each node.
pub fn offer_parts(founding: &mut Founding, offers: impl Fn(&Node) -> (bool, bool)) {
    for node in &mut founding.nodes {
        let (cut, shared) = offers(node);
        if let Some(device) = &mut node.device {
            let profiles = if cut { known_profiles(&device.model, device.memory_mib) } else { vec![] };
            device.parts = Parts { shards: if shared { 4 } else { 0 }, profiles };
        }
    }
}

/// A job of so many nodes with a part of one GPU on each.
pub fn share(nodes: u32, share: Share) -> Request {
    let mut request = request(nodes, 1);
    request.parts[0].cpus = 3;
    request.parts[0].memory_mib = 300;
    request.parts[0].share = Some(share);
    request
}

/// Nobody else holds what the start holds of any device.
pub fn check_devices<'a>(on: &Allocation, others: impl Iterator<Item = &'a Allocation>) {
    let others: Vec<&Slot> = others.flat_map(|other| &other.slots).collect();
    for slot in &on.slots {
        let beside: Vec<&&Slot> =
            others.iter().filter(|other| other.node == slot.node && other.devices & slot.devices != 0).collect();
        let all: u32 = beside.iter().map(|other| other.milli()).sum::<u32>() + slot.milli();
        for other in &beside {
            let (one, other) = (slot.share.expect("it is shared"), other.share.expect("it is shared"));
            assert_eq!(one.is_slice(), other.is_slice(), "{slot:?} beside {other:?}");
            assert_eq!(one.cut & other.cut, 0);
        }
        let counted = slot.share.is_some_and(|held| !held.is_slice());
        assert!(all <= 1000 || !counted, "{slot:?} beside {beside:?}");
    }
}
