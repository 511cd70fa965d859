//! The estate as placement sees it: what never changes after founding.
//!
//! Nodes that are alike and share an island form a *pool*. A request is matched against pools once, when its shape is
//! made; after that a search only looks at free capacity. The tree of domains below an island is kept as each node's
//! path through it.
//!
//! Invariants: every node is in exactly one pool; `place` ascends over the whole estate along the tree (island, path,
//! id), so that every domain is a run of places; within a pool nodes ascend by place; a node's `path` has one entry for
//! its island and one for each of the island's levels; its NUMA domains are disjoint and together hold all its devices.
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use madang_model::{Founding, Island, IslandId, Node, NodeId, Parts, PartyId, SiteId};

/// Levels below an island that are looked at.
const MOST_LEVELS: usize = 16;

/// Countable capacity of one node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Amount {
    pub gpus: u32,
    pub cpus: u32,
    pub memory: u64,
}

impl Amount {
    pub fn within(self, total: Amount) -> bool {
        self.gpus <= total.gpus && self.cpus <= total.cpus && self.memory <= total.memory
    }
    pub fn plus(self, other: Amount) -> Amount {
        Amount {
            gpus: self.gpus.saturating_add(other.gpus),
            cpus: self.cpus.saturating_add(other.cpus),
            memory: self.memory.saturating_add(other.memory),
        }
    }
    pub fn minus(self, other: Amount) -> Amount {
        Amount {
            gpus: self.gpus.saturating_sub(other.gpus),
            cpus: self.cpus.saturating_sub(other.cpus),
            memory: self.memory.saturating_sub(other.memory),
        }
    }
}

/// A node's fixed facts.
#[derive(Clone, Debug)]
pub(crate) struct NodeFacts {
    pub name: String,
    pub pool: usize,
    /// Its index within the pool.
    pub slot: usize,
    /// Its index in the order (island, path, id) of the whole estate.
    pub place: u32,
    /// The domains that it is in, numbered over the estate: its island, then one at each level from the top down.
    pub path: Vec<u32>,
    pub total: Amount,
}

/// Equal nodes of one island.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    pub island: IslandId,
    pub site: SiteId,
    pub model: Option<String>,
    pub features: Vec<String>,
    pub total: Amount,
    /// Devices of each NUMA domain of its nodes, as masks; one at least.
    pub numa: Vec<u32>,
    /// What parts of its devices jobs may hold.
    pub parts: Parts,
    pub nodes: Vec<NodeId>,
}

impl Pool {
    /// GPUs of all its nodes.
    pub fn gpus(&self) -> u64 {
        u64::from(self.total.gpus) * self.nodes.len() as u64
    }
}

/// The fixed estate.
#[derive(Clone, Debug)]
pub(crate) struct Estate {
    pub sites: Vec<String>,
    pub nodes: Vec<NodeFacts>,
    pub pools: Vec<Pool>,
    /// Site of each island.
    pub islands: Vec<SiteId>,
    /// Names of each island's levels, from the top down.
    pub levels: Vec<Vec<String>>,
    /// Who owns how much of each site, in basis points.
    pub shares: Vec<Vec<(PartyId, u32)>>,
    /// Owners with a share anywhere, ascending, with their weight: basis points times GPUs.
    pub owners: BTreeMap<PartyId, u64>,
    /// True where any devices are shared.
    pub sharing: bool,
}

impl Estate {
    pub fn new(founding: &Founding) -> Estate {
        let levels: Vec<Vec<String>> = founding.islands.iter().map(levels).collect();
        let numbers = |id: &NodeId| path(&founding.nodes[id.index()], &levels);
        let mut order: Vec<NodeId> = founding.nodes.iter().map(|node| node.id).collect();
        order.sort_by_cached_key(|id| (founding.nodes[id.index()].island, numbers(id), *id));
        let mut places = alloc::vec![0; order.len()];
        for (place, id) in (0..).zip(&order) {
            places[id.index()] = place;
        }
        let mut paths = domains(order.iter().map(|id| (*id, founding.nodes[id.index()].island, numbers(id))));
        let (pools, seats) = pools(founding, &order);
        let nodes = founding.nodes.iter().zip(seats).zip(places).map(|((node, (pool, slot)), place)| NodeFacts {
            name: node.name.clone(),
            pool,
            slot,
            place,
            path: core::mem::take(&mut paths[node.id.index()]),
            total: pools[pool].total,
        });
        Estate {
            sites: founding.sites.iter().map(|site| site.name.clone()).collect(),
            nodes: nodes.collect(),
            islands: founding.islands.iter().map(|island| island.site).collect(),
            shares: founding.sites.iter().map(|site| site.shares.clone()).collect(),
            owners: owners(founding),
            sharing: pools.iter().any(|pool| pool.parts.shards > 0),
            levels,
            pools,
        }
    }

    pub fn total(&self, node: NodeId) -> Amount {
        self.nodes[node.index()].total
    }

    pub fn island(&self, node: NodeId) -> IslandId {
        self.pools[self.nodes[node.index()].pool].island
    }
}

/// Names of an island's levels, as many as are looked at.
fn levels(island: &Island) -> Vec<String> {
    island.level_names().into_iter().take(MOST_LEVELS).map(String::from).collect()
}

/// A node's domains by number, one for each level of its island whatever the founding says.
fn path(node: &Node, levels: &[Vec<String>]) -> Vec<u32> {
    let mut path = node.domain_path().to_vec();
    path.resize(levels.get(node.island.index()).map_or(0, Vec::len), 0);
    path
}

/// The path of each node, by id, in domains numbered over the estate; the nodes come in the order of the tree.
fn domains(nodes: impl ExactSizeIterator<Item = (NodeId, IslandId, Vec<u32>)>) -> Vec<Vec<u32>> {
    let mut paths = alloc::vec![Vec::new(); nodes.len()];
    let mut last: Option<(IslandId, Vec<u32>)> = None;
    let (mut current, mut next) = (Vec::new(), 0);
    for (id, island, numbers) in nodes {
        let same = match &last {
            Some((known, path)) if *known == island => {
                1 + path.iter().zip(&numbers).take_while(|(a, b)| a == b).count()
            }
            _ => 0,
        };
        current.truncate(same);
        while current.len() < numbers.len() + 1 {
            current.push(next);
            next += 1;
        }
        paths[id.index()].clone_from(&current);
        last = Some((island, numbers));
    }
    paths
}

/// A node's NUMA domains: disjoint, none empty, together all its devices.
fn numa(node: &Node) -> Vec<u32> {
    let mut rest = u32::MAX.checked_shr(32 - node.gpus.min(32)).unwrap_or(0);
    let mut masks = Vec::new();
    for mask in &node.numa {
        if mask & rest != 0 {
            masks.push(mask & rest);
            rest &= !mask;
        }
    }
    if rest != 0 || masks.is_empty() {
        masks.push(rest);
    }
    masks
}

/// The pools, and each node's pool and index in it.
fn pools(founding: &Founding, order: &[NodeId]) -> (Vec<Pool>, Vec<(usize, usize)>) {
    let mut pools: Vec<Pool> = Vec::new();
    let mut known = BTreeMap::new();
    let mut seats = alloc::vec![(0, 0); order.len()];
    for id in order {
        let node = &founding.nodes[id.index()];
        let mut features = node.features.clone();
        features.sort();
        let model = node.device.as_ref().map(|device| device.model.clone());
        let total = Amount { gpus: node.gpus.min(32), cpus: node.cpus, memory: node.memory_mib };
        let numa = numa(node);
        let parts = node.device.as_ref().map(|device| device.parts.clone()).unwrap_or_default();
        let key = (node.island, node.site, model.clone(), features.clone(), total, numa.clone(), parts.clone());
        let pool = *known.entry(key).or_insert_with(|| {
            let (island, site, nodes) = (node.island, node.site, Vec::new());
            pools.push(Pool { island, site, model, features, total, numa, parts, nodes });
            pools.len() - 1
        });
        seats[id.index()] = (pool, pools[pool].nodes.len());
        pools[pool].nodes.push(*id);
    }
    (pools, seats)
}

/// Each owner's weight: its share of every site, counted in that site's GPUs (in nodes where a site has none).
fn owners(founding: &Founding) -> BTreeMap<PartyId, u64> {
    let mut gpus = alloc::vec![0u64; founding.sites.len()];
    let mut nodes = alloc::vec![0u64; founding.sites.len()];
    for node in &founding.nodes {
        gpus[node.site.index()] += u64::from(node.gpus);
        nodes[node.site.index()] += 1;
    }
    let mut owners = BTreeMap::new();
    for (index, site) in founding.sites.iter().enumerate() {
        let size = if gpus[index] > 0 { gpus[index] } else { nodes[index] };
        for (owner, share) in &site.shares {
            *owners.entry(*owner).or_insert(0) += u64::from(*share) * size;
        }
    }
    owners
}
