//! The estate as placement sees it: what never changes after founding.
//!
//! Nodes that are alike and share an island form a *pool*, in rack order. A request is matched against pools once, when
//! its shape is made; after that a search only looks at free capacity.
//!
//! Invariants: every node is in exactly one pool; within a pool nodes ascend by (rack, id); `place` ascends over the
//! whole estate by (island, rack, id), so that the difference of two places says how far apart two nodes stand.
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use madang_model::{Founding, IslandId, NodeId, PartyId, SiteId};

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
    pub rack: u32,
    pub pool: usize,
    /// Its index within the pool.
    pub slot: usize,
    /// Its index in the order (island, rack, id) of the whole estate.
    pub place: u32,
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
    pub nodes: Vec<NodeId>,
}

/// The fixed estate.
#[derive(Clone, Debug)]
pub(crate) struct Estate {
    pub sites: Vec<String>,
    pub nodes: Vec<NodeFacts>,
    pub pools: Vec<Pool>,
    /// Site of each island.
    pub islands: Vec<SiteId>,
    /// Owners with a share anywhere, ascending, with their weight: basis points times GPUs.
    pub owners: BTreeMap<PartyId, u64>,
}

impl Estate {
    pub fn new(founding: &Founding) -> Estate {
        let mut order: Vec<NodeId> = founding.nodes.iter().map(|node| node.id).collect();
        order.sort_by_key(|id| {
            let node = &founding.nodes[id.index()];
            (node.island, node.rack, node.id)
        });
        let mut places = alloc::vec![0; order.len()];
        for (place, id) in (0..).zip(&order) {
            places[id.index()] = place;
        }
        let (pools, seats) = pools(founding, &order);
        let nodes = founding.nodes.iter().zip(seats).zip(places).map(|((node, (pool, slot)), place)| NodeFacts {
            name: node.name.clone(),
            rack: node.rack,
            pool,
            slot,
            place,
            total: pools[pool].total,
        });
        Estate {
            sites: founding.sites.iter().map(|site| site.name.clone()).collect(),
            nodes: nodes.collect(),
            islands: founding.islands.iter().map(|island| island.site).collect(),
            owners: owners(founding),
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
        let key = (node.island, node.site, model.clone(), features.clone(), total);
        let pool = *known.entry(key).or_insert_with(|| {
            pools.push(Pool { island: node.island, site: node.site, model, features, total, nodes: Vec::new() });
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
