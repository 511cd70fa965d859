//! Sites, nodes, partitions and the floor as callers see them.

use crate::estate::Estate;
use madang_api::{
    DomainView, Floor, FloorIsland, FloorNode, FloorSite, NodeView, PartitionView, SiteView, StrandedGrowth,
};
use madang_centre::Centre;
use madang_model::{Health, Island, JobState, Node, NodeId, Partition, Site};

/// All sites.
pub fn sites(centre: &Centre, estate: &Estate) -> Vec<SiteView> {
    let mut views: Vec<SiteView> = estate.founding.sites.iter().map(|site| bare_site(estate, site)).collect();
    for island in &estate.founding.islands {
        views[island.site.index()].islands += 1;
    }
    for node in &estate.founding.nodes {
        add_node(&mut views[node.site.index()], centre, node);
    }
    for island in centre.scheduler().into_iter().flat_map(|scheduler| scheduler.fragmentation()) {
        let view = &mut views[island.site.index()];
        let count = |figure: u64| u32::try_from(figure).unwrap_or(u32::MAX);
        view.gpus_stranded += count(island.stranded);
        view.largest_gang = view.largest_gang.max(count(island.gang));
        view.largest_gang_packed = view.largest_gang_packed.max(count(island.packed));
    }
    for (view, site) in views.iter_mut().zip(&estate.founding.sites) {
        let grown = centre.stranded_growth(site.id);
        view.stranded_growth =
            grown.map(|grown| StrandedGrowth { since_ms: grown.since.millis(), from: grown.from, to: grown.to });
        view.lost = crate::view::sites::lost(centre, site);
    }
    for job in centre.jobs() {
        if let JobState::Running { on, .. } = &job.state {
            views[crate::engines::site_of(centre, on).index()].running += 1;
        }
    }
    views
}

fn bare_site(estate: &Estate, site: &Site) -> SiteView {
    SiteView {
        name: site.name.clone(),
        title: site.title.clone(),
        title_ko: site.title_ko.clone(),
        operator: estate.founding.parties[site.operator.index()].name.clone(),
        operator_title: estate.founding.parties[site.operator.index()].title.clone(),
        operator_title_ko: estate.founding.parties[site.operator.index()].title_ko.clone(),
        modelled: estate.is_modelled(site.id),
        pretend: false,
        models: Vec::new(),
        islands: 0,
        nodes: 0,
        nodes_drained: 0,
        nodes_down: 0,
        gpus: 0,
        gpus_busy: 0,
        gpus_out: 0,
        gpus_stranded: 0,
        stranded_growth: None,
        largest_gang: 0,
        largest_gang_packed: 0,
        cpus: 0,
        running: 0,
        source: site.source.clone(),
        lost: None,
    }
}

fn add_node(view: &mut SiteView, centre: &Centre, node: &Node) {
    let busy = centre.node_load(node.id).0.count_ones();
    view.nodes += 1;
    view.gpus += node.gpus;
    view.cpus += node.cpus;
    view.gpus_busy += busy;
    view.pretend |= node.pretend;
    if let Some(device) = &node.device
        && !view.models.contains(&device.model)
    {
        view.models.push(device.model.clone());
    }
    match centre.fares(node.id) {
        Health::Up => return,
        Health::Drain { .. } => view.nodes_drained += 1,
        Health::Down { .. } => view.nodes_down += 1,
    }
    view.gpus_out += node.gpus - busy.min(node.gpus);
}

/// A node; `sees` says of which jobs on it the caller may know.
pub fn node(centre: &Centre, estate: &Estate, node: &Node, sees: &dyn Fn(madang_model::JobId) -> bool) -> NodeView {
    let (mask, cpus, memory) = centre.node_load(node.id);
    let founding = &estate.founding;
    let in_partition = |partition: &&Partition| partition.sites.contains(&node.site);
    let fares = centre.fares(node.id);
    let (state, reason) = match centre.is_spare(node.id) && centre.lost(node.site).is_none() {
        true => ("RESERVED", "a spare of its island, for gangs that lose a node"),
        false => slurm_state(&fares, (mask, cpus), node),
    };
    let jobs = centre.node_jobs(node.id).into_iter().filter(|id| sees(*id));
    let (drained_by_rule, faults) = crate::view::health::faults(centre, node.id, sees);
    NodeView {
        name: node.name.clone(),
        site: founding.sites[node.site.index()].name.clone(),
        island: founding.islands[node.island.index()].name.clone(),
        rack: node.rack,
        domains: domains(&founding.islands[node.island.index()], node),
        partitions: founding.partitions.iter().filter(in_partition).map(|partition| partition.name.clone()).collect(),
        state: state.into(),
        reason: reason.into(),
        gpu_model: node.device.as_ref().map(|device| device.model.clone()),
        gpus: node.gpus,
        gpus_busy_mask: mask,
        gpu_shards: node.device.as_ref().map_or(0, |device| device.parts.shards),
        gpu_profiles: node
            .device
            .iter()
            .flat_map(|device| &device.parts.profiles)
            .map(|one| one.name.clone())
            .collect(),
        cpus: node.cpus,
        cpus_busy: cpus,
        memory_mib: node.memory_mib,
        memory_busy_mib: memory,
        features: node.features.clone(),
        pretend: node.pretend,
        modelled: estate.is_modelled(node.site),
        jobs: jobs.map(|id| id.number()).collect(),
        drained_by_rule,
        faults,
        signs: crate::view::health::signs(centre, node.id),
    }
}

fn domains(island: &Island, node: &Node) -> Vec<DomainView> {
    let domain = |(level, number): (&str, &u32)| DomainView {
        level: level.to_owned(),
        name: madang_model::topology::domain_name(&island.name, level, *number),
    };
    island.level_names().into_iter().zip(node.domain_path()).map(domain).collect()
}

fn slurm_state<'a>(health: &'a Health, (mask, cpus): (u32, u32), node: &Node) -> (&'static str, &'a str) {
    let (idle, full) = (mask == 0 && cpus == 0, cpus >= node.cpus || (node.gpus > 0 && mask.count_ones() >= node.gpus));
    match health {
        Health::Up if idle => ("IDLE", ""),
        Health::Up if full => ("ALLOCATED", ""),
        Health::Up => ("MIXED", ""),
        Health::Drain { why } if idle => ("DRAINED", why),
        Health::Drain { why } => ("DRAINING", why),
        Health::Down { why } => ("DOWN", why),
    }
}

/// All partitions.
pub fn partitions(estate: &Estate) -> Vec<PartitionView> {
    let founding = &estate.founding;
    let view = |partition: &Partition| {
        let nodes = || founding.nodes.iter().filter(|node| partition.sites.contains(&node.site));
        PartitionView {
            name: partition.name.clone(),
            is_default: partition.id.index() == 0,
            sites: partition.sites.iter().map(|site| founding.sites[site.index()].name.clone()).collect(),
            max_limit_secs: partition.max_limit.secs(),
            default_limit_secs: partition.default_limit.secs(),
            nodes: u32::try_from(nodes().count()).unwrap_or(u32::MAX),
            gpus: nodes().map(|node| node.gpus).sum(),
            cpus: nodes().map(|node| node.cpus).sum(),
        }
    };
    founding.partitions.iter().map(view).collect()
}

/// The order in which the floor lists nodes: by site, island, then as founded.
pub fn floor_order(estate: &Estate) -> Vec<NodeId> {
    let mut order: Vec<&Node> = estate.founding.nodes.iter().collect();
    order.sort_by_key(|node| (node.site, node.island, node.id));
    order.into_iter().map(|node| node.id).collect()
}

/// Every node and GPU.
pub fn floor(centre: &Centre, estate: &Estate) -> Floor {
    let order = floor_order(estate);
    let nodes: Vec<FloorNode> = order.iter().map(|id| floor_node(centre, estate, *id)).collect();
    let mut first = 0;
    let mut sites: Vec<FloorSite> = Vec::new();
    for site in &estate.founding.sites {
        let islands = estate.founding.islands.iter().filter(|island| island.site == site.id);
        let islands = islands.map(|island| floor_island(estate, island, &mut first)).collect();
        sites.push(FloorSite {
            name: site.name.clone(),
            title: site.title.clone(),
            title_ko: site.title_ko.clone(),
            modelled: estate.is_modelled(site.id),
            pretend: estate.founding.nodes.iter().any(|node| node.site == site.id && node.pretend),
            islands,
        });
    }
    Floor { sites, nodes }
}

fn floor_island(estate: &Estate, island: &Island, first: &mut u32) -> FloorIsland {
    let nodes = || estate.founding.nodes.iter().filter(|node| node.island == island.id);
    let count = u32::try_from(nodes().count()).unwrap_or(u32::MAX);
    let view = FloorIsland {
        name: island.name.clone(),
        first: *first,
        nodes: count,
        gpus: nodes().map(|node| node.gpus).max().unwrap_or(0),
        gpu_model: nodes().find_map(|node| node.device.as_ref()).map(|device| device.model.clone()),
    };
    *first += count;
    view
}

/// One node of the floor.
pub fn floor_node(centre: &Centre, estate: &Estate, id: NodeId) -> FloorNode {
    let node = &estate.founding.nodes[id.index()];
    let mask = centre.node_load(id).0;
    let state = match centre.fares(id) {
        Health::Up => "u",
        Health::Drain { .. } => "d",
        Health::Down { .. } => "x",
    };
    let mut owners = vec![0_u8; node.gpus as usize];
    for job in centre.node_jobs(id).into_iter().filter_map(|id| centre.job(id)) {
        let colour = estate.colour(centre.projects()[job.spec.project.index()].owner);
        let Some((_, on)) = job.state.holding() else { continue };
        for slot in on.slots.iter().filter(|slot| slot.node == id) {
            for (device, held) in owners.iter_mut().enumerate() {
                if slot.devices >> device & 1 == 1 {
                    *held = colour;
                }
            }
        }
    }
    FloorNode { n: node.name.clone(), g: node.gpus, b: mask, s: state.into(), o: owners, r: node.rack }
}
