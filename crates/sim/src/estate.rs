//! Small centres to simulate: a few nodes of different kinds, two owners, a handful of projects.
use crate::rng::Rng;
use madang_centre::input::Input;
use madang_model::project::{Class, Party, Price};
use madang_model::share::known_profiles;
use madang_model::{
    Device, EngineKind, Founding, GpuTime, Health, Island, IslandId, Node, NodeId, Partition, PartitionId, Parts,
    PartyId, Role, Site, SiteId, Span, Time, Won,
};
use std::collections::BTreeMap;

/// Names of projects, with the owner and class of each.
pub const PROJECTS: [(&str, &str, &str); 4] = [
    ("alpha", "state", "national"),
    ("beta", "state", "academia"),
    ("gamma", "bank", "industry"),
    ("poor", "bank", "national"),
];
/// Names of users; each is a member of every project.
pub const USERS: [&str; 3] = ["ann", "bo", "chul"];

/// A random small centre: 2 to 40 nodes on one or two modelled sites.
pub fn founding(rng: &mut Rng) -> Founding {
    let most = if rng.per_mille(200) { 40 } else { 10 };
    let sites: Vec<u32> = (0..rng.range(1, 2)).map(|_| rng.range(1, most / 2) as u32).collect();
    let mut nodes = Vec::new();
    let mut islands = Vec::new();
    for (site, count) in sites.iter().enumerate() {
        let gpus = *rng.pick(&[1, 2, 4, 4, 8, 8]).unwrap_or(&8);
        let per_island = rng.range(1, u64::from(*count)) as u32;
        for index in 0..*count {
            if index % per_island == 0 {
                let id = IslandId::new(islands.len() as u32);
                islands.push(Island {
                    id,
                    site: SiteId::new(site as u32),
                    name: format!("island{}", islands.len()),
                    levels: vec![],
                });
            }
            let without = rng.per_mille(100);
            nodes.push(node(nodes.len() as u32, site as u32, islands.len() as u32 - 1, if without { 0 } else { gpus }));
        }
    }
    if rng.per_mille(500) {
        mix_models(rng, &mut nodes);
    }
    if rng.per_mille(600) {
        grow_trees(rng, &mut islands, &mut nodes);
    }
    let mut founding = centre(sites.len() as u32, islands, nodes);
    founding.policy.nodes.spares = spares(&founding);
    founding
}

/// Every other island that is large enough has a node to spare.
fn spares(founding: &Founding) -> BTreeMap<IslandId, u32> {
    let large = |island: &&Island| founding.nodes.iter().filter(|node| node.island == island.id).count() >= 4;
    let even = founding.islands.iter().filter(|island| island.id.number().is_multiple_of(2));
    even.filter(large).map(|island| (island.id, 1)).collect()
}

/// Gives some islands, and a node here and there, GPUs of another model.
fn mix_models(rng: &mut Rng, nodes: &mut [Node]) {
    let odd = rng.below(2) as u32;
    for node in nodes {
        let other = node.island.number() % 2 == odd || rng.per_mille(100);
        if let Some(device) = node.device.as_mut().filter(|_| other) {
            device.model = "h100".into();
        }
    }
}

/// Makes trees of leaves and racks of the islands, with few or many nodes in each, and halves of the nodes' GPUs.
fn grow_trees(rng: &mut Rng, islands: &mut [Island], nodes: &mut [Node]) {
    for island in islands {
        island.levels = vec!["leaf".into(), "rack".into()];
    }
    let (in_rack, in_leaf) = (rng.range(1, 3) as u32, rng.range(1, 3) as u32);
    for node in nodes {
        node.rack = node.id.number() / in_rack;
        node.path = vec![node.rack / in_leaf, node.rack];
        if node.gpus > 1 {
            let half = (1 << (node.gpus / 2)) - 1;
            node.numa = vec![half, (u32::MAX >> (32 - node.gpus)) & !half];
        }
    }
}

/// One site with this many nodes of eight GPUs in one island.
pub fn plain(count: u32, gpus: u32) -> Founding {
    let islands = vec![Island { id: IslandId::new(0), site: SiteId::new(0), name: "island0".into(), levels: vec![] }];
    centre(1, islands, (0..count).map(|index| node(index, 0, 0, gpus)).collect())
}

/// Everything between the founding and the first job.
pub fn setting_up(rng: &mut Rng, from: Time) -> Vec<Input> {
    let mut inputs = Vec::new();
    inputs.extend(USERS.map(|name| Input::User { name: name.into(), role: Role::Researcher }));
    for (name, owner, class) in PROJECTS {
        inputs.push(Input::Project { name: name.into(), title: name.into(), owner: owner.into(), class: class.into() });
        inputs.extend(USERS.map(|user| Input::Member { project: name.into(), user: user.into() }));
        let granted = if name == "poor" { GpuTime::from_hours(20) } else { GpuTime::from_hours(50_000) };
        let until = from.after(Span::from_days(rng.range(10, 60)));
        inputs.push(Input::Award { project: name.into(), granted, from, until });
    }
    inputs
}

fn node(number: u32, site: u32, island: u32, gpus: u32) -> Node {
    Node {
        id: NodeId::new(number),
        name: format!("n{number:02}"),
        site: SiteId::new(site),
        island: IslandId::new(island),
        rack: number / 4,
        path: vec![],
        numa: vec![],
        device: (gpus > 0).then(|| Device { model: "h200".into(), memory_mib: 143_360, parts: offers(number) }),
        gpus,
        cpus: 8 * gpus.max(2),
        memory_mib: 65_536 * u64::from(gpus.max(2)),
        features: if number.is_multiple_of(3) { vec!["nvme".into()] } else { Vec::new() },
        pretend: false,
        health: Health::Up,
    }
}

/// Some devices are shared, some cut, some either, most of them neither.
fn offers(number: u32) -> Parts {
    let profiles = if number % 5 >= 3 { known_profiles("h200", 143_360) } else { Vec::new() };
    Parts { shards: if number.is_multiple_of(3) { 4 } else { 0 }, profiles }
}

fn centre(sites: u32, islands: Vec<Island>, nodes: Vec<Node>) -> Founding {
    let party = |id, name: &str, company_share| Party {
        id: PartyId::new(id),
        name: name.into(),
        title: name.into(),
        title_ko: name.into(),
        company_share,
    };
    let class = |name: &str, target, rate| Class { name: name.into(), target, rate };
    let site = |id: u32| Site {
        id: SiteId::new(id),
        name: format!("site{id}"),
        title: format!("Site {id}"),
        title_ko: format!("Site {id}"),
        operator: PartyId::new(2),
        engine: EngineKind::Model,
        shares: vec![(PartyId::new(0), 5_100), (PartyId::new(1), 4_900)],
        source: "made up".into(),
    };
    let all: Vec<SiteId> = (0..sites).map(SiteId::new).collect();
    let partition = |id, name: &str, sites: Vec<SiteId>, most| Partition {
        id: PartitionId::new(id),
        name: name.into(),
        sites,
        max_limit: most,
        default_limit: Span::from_hours(1),
    };
    let long = Span::from_days(4);
    Founding {
        name: "tiny".into(),
        title: "Tiny centre".into(),
        title_ko: "Tiny centre".into(),
        parties: vec![party(0, "state", 5_100), party(1, "bank", 4_900), party(2, "operator", 0)],
        classes: vec![class("national", 5_000, 0), class("industry", 3_000, 10_000), class("academia", 2_000, 2_500)],
        sites: (0..sites).map(site).collect(),
        islands,
        nodes,
        partitions: vec![
            partition(0, "gpu", all, long),
            partition(1, "first", vec![SiteId::new(0)], long),
            partition(2, "short", vec![SiteId::new(sites - 1)], Span::from_hours(2)),
        ],
        prices: vec![Price {
            model: "h200".into(),
            from: Time::default(),
            won_per_gpu_hour: Won::new(3_500),
            source: "made up".into(),
        }],
        money: Vec::new(),
        links: Vec::new(),
        // Disasters last hours, not weeks.
        policy: madang_model::Policy { growth: madang_model::Span::from_mins(10), ..Default::default() },
    }
}
