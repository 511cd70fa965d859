//! This machine as a site: nodes as they are found, and its addition to a centre that was loaded from a file.
use madang_model::{
    Device, EngineKind, Founding, Health, Island, IslandId, Node, NodeId, Partition, PartitionId, PartyId, Site,
    SiteId, Span,
};

/// The most GPUs a node can have.
const MOST_GPUS: usize = 32;

/// What was found on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Its host name, as the system gives it.
    pub host: String,
    /// CPUs that jobs may hold; 0 counts as 1.
    pub cpus: u32,
    /// Memory that jobs may hold, in MiB.
    pub memory_mib: u64,
    /// Its GPUs in the order of their numbers; at most 32 are taken.
    pub gpus: Vec<Device>,
    /// Its GPUs in each NUMA domain, as masks of their numbers; empty where that is not known.
    pub numa: Vec<u32>,
    /// True when those GPUs are made up.
    pub pretend: bool,
    /// How many nodes this machine pretends to be; 0 and 1 are one node, as it is.
    pub pretend_nodes: u32,
}

/// Where this machine's partitions go among a centre's; the first is the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Before the others: a job that names no partition runs here.
    First,
    /// After the others: the centre's own default stays.
    Last,
}

/// The centre has something of that name already.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the centre has a {kind} named {name} already")]
pub struct Clash {
    kind: &'static str,
    name: String,
}

/// Adds this machine to a centre as site `here`, with partitions `gpu` and `here`. Its owners are the company's, in
/// the company's shares; where a centre has no company shares, all of it is the first party's, who also operates it.
pub fn add_site(founding: &mut Founding, machine: &Machine, order: Order) -> Result<(), Clash> {
    check_names(founding)?;
    let site = SiteId::new(founding.sites.len() as u32);
    let island = IslandId::new(founding.islands.len() as u32);
    founding.sites.push(Site {
        id: site,
        name: "here".into(),
        title: "This machine".into(),
        title_ko: "이 컴퓨터".into(),
        operator: PartyId::new(0),
        engine: EngineKind::Local,
        shares: company_shares(founding),
        source: "found on this machine; owners' shares as in the company".into(),
    });
    founding.islands.push(Island { id: island, site, name: "here".into(), levels: Vec::new() });
    let nodes = nodes_of(machine, &founding.nodes, site, island);
    founding.nodes.extend(nodes);
    let limits = (Span::from_days(7), Span::from_hours(1));
    let partition = |name: &str| Partition {
        id: PartitionId::new(0),
        name: name.into(),
        sites: vec![site],
        max_limit: limits.0,
        default_limit: limits.1,
    };
    let place = match order {
        Order::First => 0,
        Order::Last => founding.partitions.len(),
    };
    founding.partitions.splice(place..place, [partition("gpu"), partition("here")]);
    for (number, partition) in (0u32..).zip(&mut founding.partitions) {
        partition.id = PartitionId::new(number);
    }
    Ok(())
}

fn check_names(founding: &Founding) -> Result<(), Clash> {
    let clash = |kind, name: &str| Err(Clash { kind, name: name.to_owned() });
    if founding.sites.iter().any(|site| site.name == "here") {
        return clash("site", "here");
    }
    if founding.islands.iter().any(|island| island.name == "here") {
        return clash("island", "here");
    }
    match founding.partitions.iter().find(|partition| partition.name == "here" || partition.name == "gpu") {
        Some(partition) => clash("partition", &partition.name),
        None => Ok(()),
    }
}

fn company_shares(founding: &Founding) -> Vec<(PartyId, u32)> {
    let owners = founding.parties.iter().filter(|party| party.company_share > 0);
    let shares: Vec<_> = owners.map(|party| (party.id, party.company_share)).collect();
    if shares.is_empty() { vec![(PartyId::new(0), crate::governance::WHOLE)] } else { shares }
}

/// This machine's nodes after those that stand already. Several pretend nodes are each the whole machine again, so
/// that a script made for several nodes finds on each what it asks for; real GPUs stay with the first of them, since
/// a device cannot be held twice.
pub(crate) fn nodes_of(machine: &Machine, standing: &[Node], site: SiteId, island: IslandId) -> Vec<Node> {
    let count = machine.pretend_nodes.clamp(1, 1000);
    let (device, gpus) = devices(machine);
    let node = |place: u32| {
        let bare = place > 0 && !machine.pretend;
        Node {
            id: NodeId::new(standing.len() as u32 + place),
            name: if count == 1 { host_name(&machine.host, standing) } else { format!("here{}", place + 1) },
            site,
            island,
            rack: 0,
            path: Vec::new(),
            numa: if bare { Vec::new() } else { machine.numa.clone() },
            device: device.clone().filter(|_| !bare),
            gpus: if bare { 0 } else { gpus },
            cpus: machine.cpus.max(1),
            memory_mib: machine.memory_mib,
            features: Vec::new(),
            pretend: machine.pretend || count > 1,
            health: Health::Up,
        }
    };
    (0..count).map(node).collect()
}

/// The kind and number of GPUs. A node has one kind: where GPUs differ it is called `mixed`, with the memory that
/// each of them has.
fn devices(machine: &Machine) -> (Option<Device>, u32) {
    let gpus = &machine.gpus[..machine.gpus.len().min(MOST_GPUS)];
    let Some(first) = gpus.first() else { return (None, 0) };
    let model = if gpus.iter().all(|gpu| gpu.model == first.model) { first.model.as_str() } else { "mixed" };
    let memory_mib = gpus.iter().map(|gpu| gpu.memory_mib).min().unwrap_or(0);
    (Some(Device { model: model.into(), memory_mib, parts: Default::default() }), gpus.len() as u32)
}

/// The host name's first label, of letters that a node list can carry; `here` when nothing is left or it is taken.
fn host_name(host: &str, standing: &[Node]) -> String {
    let label = host.split('.').next().unwrap_or("");
    let sound = label.chars().filter(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_'));
    let name: String = sound.skip_while(|letter| !letter.is_ascii_alphanumeric()).take(63).collect();
    let taken = |name: &str| standing.iter().any(|node| node.name == name);
    if !name.is_empty() && !taken(&name) {
        return name;
    }
    let numbered = (1..).map(|number| format!("here{number}"));
    std::iter::once("here".to_owned()).chain(numbered).find(|name| !taken(name)).expect("names never run out")
}
