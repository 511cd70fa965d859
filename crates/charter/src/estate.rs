//! The estate of a centre file: sites with owners, islands, nodes, and the partitions laid over them.
//!
//! Invariants: ids are dense and in the order of the file; node names are unique in the centre; at most one site is
//! local, and it is this machine.
use crate::centre_file::{CentreFile, IslandEntry, ModelledNodes, NodesEntry, SiteEntry};
use crate::charter::Delivery;
use crate::governance::check_whole;
use crate::here::{Machine, nodes_of};
use crate::levels::Tree;
use crate::reader::{Sheet, Wrong};
use crate::resolve::Names;
use madang_model::share::known_profiles;
use madang_model::{
    Device, EngineKind, Health, Island, IslandId, Node, NodeId, Partition, PartitionId, Parts, PartyId, Profile, Site,
    SiteId,
};
use std::collections::{BTreeMap, BTreeSet};

/// The most nodes a centre file may describe in all.
pub const MOST_NODES: usize = 200_000;

/// What stands where.
#[derive(Default)]
pub(crate) struct Estate {
    pub sites: Vec<Site>,
    pub islands: Vec<Island>,
    pub nodes: Vec<Node>,
    pub deliveries: Vec<Delivery>,
    /// Nodes kept idle, where an island says so.
    pub spares: BTreeMap<IslandId, u32>,
}

/// The estate that a file describes.
pub(crate) fn estate(sheet: &Sheet<'_>, file: &CentreFile, parties: &Names<'_>, machine: &Machine) -> Estate {
    Names::of(sheet, "island", file.sites.iter().flat_map(|site| &site.islands).map(|island| &island.name));
    check_local(sheet, file);
    check_slurm(sheet, file);
    if !check_size(sheet, file) {
        return Estate::default();
    }
    let mut estate = Estate::default();
    for (number, entry) in (0u32..).zip(&file.sites) {
        let site = SiteId::new(number);
        estate.sites.extend(resolve_site(sheet, site, entry, parties));
        for island in &entry.islands {
            estate.add_island(sheet, site, island, machine);
        }
    }
    check_node_names(sheet, file, &estate);
    estate
}

/// A local site is this machine, this machine is a local site, and there is one at most.
fn check_local(sheet: &Sheet<'_>, file: &CentreFile) {
    let mut local: Option<&str> = None;
    for site in &file.sites {
        let name = &site.name.value;
        let here = |island: &IslandEntry| matches!(island.nodes, NodesEntry::ThisMachine);
        match &site.engine.value {
            EngineKind::Model | EngineKind::Slurm(_) | EngineKind::Agent(_) => {
                let what = match site.engine.value {
                    EngineKind::Model => "modelled",
                    EngineKind::Slurm(_) => "a Slurm cluster",
                    _ => "an agent's",
                };
                for island in site.islands.iter().filter(|island| here(island)) {
                    let fact = format!("island {} is this machine, but site {name} is {what}", island.name.value);
                    sheet.wrong(&island.spot, Wrong::new(fact).hint("a site of this machine has engine = \"local\""));
                }
            }
            EngineKind::Local => {
                if let Some(first) = local {
                    let fact = format!("site {name} is local, and so is site {first}: there is one machine here");
                    sheet.wrong(&site.engine.spot, Wrong::new(fact));
                }
                if site.islands.len() != 1 || !site.islands.iter().all(here) {
                    let fact = format!("site {name} is local, so it has one island with nodes = \"this machine\"");
                    sheet.wrong(&site.spot, Wrong::new(fact).hint("a site that is described has engine = \"model\""));
                }
                local = Some(name);
            }
        }
    }
}

/// Slurm hands out whole GPUs here: which part of one a job holds cannot be told to it.
fn check_slurm(sheet: &Sheet<'_>, file: &CentreFile) {
    for site in file.sites.iter().filter(|site| matches!(site.engine.value, EngineKind::Slurm(_))) {
        for island in &site.islands {
            if island.parts.shards > 0 || !island.parts.profiles.is_empty() {
                let fact = format!("island {} shares or cuts GPUs, and Slurm hands out whole ones", island.name.value);
                sheet.wrong(&island.spot, Wrong::new(fact).hint("leave out shards_per_gpu and gpu_profiles"));
            }
        }
    }
}

/// Refuses an estate beyond the bound before any of it is built.
fn check_size(sheet: &Sheet<'_>, file: &CentreFile) -> bool {
    let mut total = 0usize;
    for island in file.sites.iter().flat_map(|site| &site.islands) {
        let NodesEntry::Modelled(nodes) = &island.nodes else { continue };
        total += nodes.count.value as usize;
        if total > MOST_NODES {
            let fact = format!("the centre has more than {MOST_NODES} nodes with island {}", island.name.value);
            sheet.wrong(&nodes.count.spot, Wrong::new(fact));
            return false;
        }
    }
    true
}

fn resolve_site(sheet: &Sheet<'_>, id: SiteId, entry: &SiteEntry, parties: &Names<'_>) -> Option<Site> {
    let operator = parties.find(sheet, &entry.operator);
    let mut shares = Vec::new();
    for (owner, share) in &entry.shares {
        shares.extend(parties.find(sheet, owner).map(|party| (PartyId::new(party), *share)));
    }
    let spot = entry.shares.first().map_or(&entry.spot, |(owner, _)| &owner.spot);
    let what = format!("owners' shares of site {}", entry.name.value);
    check_whole(sheet, spot, &what, entry.shares.iter().map(|(_, share)| *share));
    shares.sort_unstable();
    Some(Site {
        id,
        name: entry.name.value.clone(),
        title: entry.titles.english.clone(),
        title_ko: entry.titles.korean.clone(),
        operator: PartyId::new(operator?),
        engine: entry.engine.value.clone(),
        shares,
        source: entry.source.clone(),
    })
}

impl Estate {
    fn add_island(&mut self, sheet: &Sheet<'_>, site: SiteId, entry: &IslandEntry, machine: &Machine) {
        let id = IslandId::new(self.islands.len() as u32);
        let mut levels = Vec::new();
        match &entry.nodes {
            NodesEntry::ThisMachine => self.add_this_machine(sheet, entry, machine, (site, id)),
            NodesEntry::Modelled(nodes) => {
                let mut device = device(sheet, nodes);
                if let Some(device) = &mut device {
                    device.parts = parts(sheet, entry, device);
                } else if entry.parts.shards > 0 || !entry.parts.profiles.is_empty() {
                    let fact = format!("island {} has no GPUs that could be shared or cut", entry.name.value);
                    sheet.wrong(&entry.spot, Wrong::new(fact).hint("leave out shards_per_gpu and gpu_profiles"));
                }
                if let Some(listed) = nodes.names.value.listed().filter(|listed| *listed != nodes.count.value) {
                    let fact =
                        format!("names {listed} nodes, and island {} has {}", entry.name.value, nodes.count.value);
                    sheet.wrong(&nodes.names.spot, Wrong::new(fact).hint("list every node once"));
                    return;
                }
                let numa = numa(sheet, nodes);
                let tree = Tree::new(sheet, &nodes.levels, nodes.count.value);
                levels = tree.names();
                self.deliveries.extend(nodes.delivered.map(|from| Delivery { island: id, from }));
                for place in 0..nodes.count.value {
                    let node = NodeId::new(self.nodes.len() as u32);
                    let node = modelled_node(nodes, &device, (site, id, node), place);
                    let (rack, path) = (tree.rack(place), tree.path(place));
                    self.nodes.push(Node { rack, path, numa: numa.clone(), ..node });
                }
            }
        }
        let here = self.nodes.iter().filter(|node| node.island == id).count();
        if let Some(spares) = entry.spares.as_ref().filter(|spares| spares.value > 0) {
            if spares.value as usize >= here {
                let fact =
                    format!("island {} has {here} nodes, of which {} would be spare", entry.name.value, spares.value);
                sheet.wrong(&spares.spot, Wrong::new(fact).hint("one node at least must take work"));
            }
            self.spares.insert(id, spares.value);
        }
        self.islands.push(Island { id, site, name: entry.name.value.clone(), levels });
    }

    /// This machine's GPUs may be shared; slices of them are not looked for.
    fn add_this_machine(
        &mut self,
        sheet: &Sheet<'_>,
        entry: &IslandEntry,
        machine: &Machine,
        (site, island): (SiteId, IslandId),
    ) {
        if let Some(profile) = entry.parts.profiles.first() {
            let fact = "names slices of this machine's GPUs, which are not found and handed out here";
            sheet.wrong(&profile.spot, Wrong::new(fact).hint("shards_per_gpu lets jobs share them"));
        }
        let mut nodes = nodes_of(machine, &self.nodes, site, island);
        for device in nodes.iter_mut().filter_map(|node| node.device.as_mut()) {
            device.parts.shards = entry.parts.shards;
        }
        self.nodes.extend(nodes);
    }
}

/// What parts of a device are offered, of those that there are.
fn parts(sheet: &Sheet<'_>, entry: &IslandEntry, device: &Device) -> Parts {
    let known = known_profiles(&device.model, device.memory_mib);
    let names = || known.iter().map(|profile| profile.name.as_str()).collect::<Vec<_>>().join(", ");
    let (model, memory) = (&device.model, device.memory_mib);
    let mut profiles: Vec<Profile> = Vec::new();
    for asked in &entry.parts.profiles {
        let all = asked.value == "all";
        let found: Vec<&Profile> = known.iter().filter(|profile| all || profile.name == asked.value).collect();
        if found.is_empty() {
            let fact = format!("{:?} is no profile of {model} with {memory} MiB", asked.value);
            let hint = match known.is_empty() {
                true => "profiles are known of a100, h100 and h200".to_owned(),
                false => format!("its profiles are {}", names()),
            };
            sheet.wrong(&asked.spot, Wrong::new(fact).hint(hint));
        }
        for profile in found {
            if !profiles.contains(profile) {
                profiles.push(profile.clone());
            }
        }
    }
    Parts { shards: entry.parts.shards, profiles }
}

fn device(sheet: &Sheet<'_>, nodes: &ModelledNodes) -> Option<Device> {
    match (nodes.gpus.value, &nodes.gpu, &nodes.gpu_memory) {
        (0, None, None) => None,
        (1.., Some(gpu), Some(memory)) => {
            let memory_mib = u32::try_from(memory.value).expect("the most memory that is read, 64 TiB, fits");
            Some(Device { model: gpu.value.clone(), memory_mib, parts: Default::default() })
        }
        (0, _, _) => {
            let wrong = Wrong::new("nodes without GPUs have a kind of GPU").hint("leave out gpu and gpu_memory");
            sheet.wrong(&nodes.gpus.spot, wrong);
            None
        }
        (gpus, _, _) => {
            let wrong = Wrong::new(format!("nodes with {gpus} GPUs do not say of which kind"))
                .hint("add gpu = \"h200\" and gpu_memory = \"143771 MiB\", or what they are");
            sheet.wrong(&nodes.gpus.spot, wrong);
            None
        }
    }
}

/// The devices of each NUMA domain; none where the file does not say.
fn numa(sheet: &Sheet<'_>, nodes: &ModelledNodes) -> Vec<u32> {
    let Some(each) = &nodes.per_numa else { return Vec::new() };
    let gpus = nodes.gpus.value;
    if !gpus.is_multiple_of(each.value) || gpus == 0 {
        let fact = format!("gpus_per_numa {} does not divide the {gpus} GPUs of a node", each.value);
        sheet.wrong(&each.spot, Wrong::new(fact).hint("gpus_per_numa = 4 for eight GPUs on two processors"));
        return Vec::new();
    }
    let mask = |first: u32| (first..first + each.value).fold(0, |mask, device| mask | 1 << device);
    (0..gpus).step_by(each.value as usize).map(mask).collect()
}

fn modelled_node(
    nodes: &ModelledNodes,
    device: &Option<Device>,
    (site, island, id): (SiteId, IslandId, NodeId),
    place: u32,
) -> Node {
    Node {
        id,
        name: nodes.names.value.nth(place).unwrap_or_default(),
        site,
        island,
        rack: 0,
        path: Vec::new(),
        device: device.clone(),
        gpus: nodes.gpus.value,
        numa: Vec::new(),
        cpus: nodes.cpus,
        memory_mib: nodes.memory_mib,
        features: nodes.features.clone(),
        pretend: false,
        health: Health::Up,
    }
}

/// Notes each island one of whose nodes has a name that is taken; once per island, not per node.
fn check_node_names(sheet: &Sheet<'_>, file: &CentreFile, estate: &Estate) {
    let entries: Vec<&IslandEntry> = file.sites.iter().flat_map(|site| &site.islands).collect();
    let mut owner: BTreeMap<&str, IslandId> = BTreeMap::new();
    let mut told = BTreeSet::new();
    for node in &estate.nodes {
        let first = *owner.entry(&node.name).or_insert(node.island);
        if first != node.island && told.insert(node.island) {
            let entry = entries[node.island.index()];
            let spot = match &entry.nodes {
                NodesEntry::Modelled(nodes) => &nodes.names.spot,
                NodesEntry::ThisMachine => &entry.spot,
            };
            let fact = format!("island {} has a node named {} too", entries[first.index()].name.value, node.name);
            sheet.wrong(spot, Wrong::new(fact).hint("node names are unique in the centre"));
        }
    }
}

/// The partitions, the first being the default.
pub(crate) fn partitions(sheet: &Sheet<'_>, file: &CentreFile, sites: &Names<'_>) -> Vec<Partition> {
    Names::of(sheet, "partition", file.partitions.iter().map(|partition| &partition.name));
    let mut partitions = Vec::new();
    for (number, entry) in (0u32..).zip(&file.partitions) {
        let mut members = BTreeSet::new();
        for name in &entry.sites {
            if let Some(site) = sites.find(sheet, name)
                && !members.insert(SiteId::new(site))
            {
                let fact = format!("partition {} names site {} twice", entry.name.value, name.value);
                sheet.wrong(&name.spot, Wrong::new(fact));
            }
        }
        if entry.default_limit.value > entry.max_limit {
            let (default, most) = (entry.default_limit.value, entry.max_limit);
            let fact = format!("default_limit {default} is longer than max_limit {most}");
            sheet.wrong(&entry.default_limit.spot, Wrong::new(fact));
        }
        partitions.push(Partition {
            id: PartitionId::new(number),
            name: entry.name.value.clone(),
            sites: members.into_iter().collect(),
            max_limit: entry.max_limit,
            default_limit: entry.default_limit.value,
        });
    }
    partitions
}
