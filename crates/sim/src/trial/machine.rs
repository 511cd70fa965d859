//! The estate of a trial: fabrics of equal nodes, and the founding that makes a centre of it.
use super::Refusal;
use super::room::{Need, Room};
use super::workload::{Job, Owner, Workload};
use madang_model::project::{Class, Party};
use madang_model::share::SHARDS;
use madang_model::{
    Device, EngineKind, Founding, Health, Island, IslandId, Node, NodeId, Partition, PartitionId, PartyId, Policy,
    Site, SiteId, Span,
};

/// CPUs beside each GPU of a machine that says nothing else.
const CPUS_PER_GPU: u32 = 12;
/// Memory beside each GPU in MiB, likewise.
const MEMORY_MIB_PER_GPU: u64 = 240 * 1024;
/// Nodes of a rack, likewise.
const NODES_PER_RACK: u32 = 4;
/// All of a whole, in basis points.
const WHOLE: u64 = 10_000;

/// Equal nodes that a gang may span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fabric {
    /// Its name.
    pub name: String,
    /// How many nodes.
    pub nodes: u32,
    /// GPUs of each.
    pub gpus: u32,
    /// CPUs of each.
    pub cpus: u32,
    /// Memory of each in MiB; 0 for as much beside each GPU as is usual.
    pub memory_mib: u64,
}

impl Fabric {
    /// Memory of a node in MiB.
    fn memory(&self) -> u64 {
        if self.memory_mib > 0 { self.memory_mib } else { MEMORY_MIB_PER_GPU * u64::from(self.gpus.max(1)) }
    }
}

/// A fabric that nobody uses.
pub struct Empty {
    gpus: u32,
    cpu_milli: u32,
    /// MiB of its nodes, the most first.
    memories: Vec<u32>,
}

impl Empty {
    /// Whether a gang of so many nodes has a place.
    pub fn holds(&self, nodes: u32, need: &Need) -> bool {
        let Some(memory) = self.memories.get((nodes.max(1) - 1) as usize) else { return false };
        let gpus = need.gpus.max(u32::from(need.share > 0));
        self.gpus >= gpus && self.cpu_milli >= need.cpu_milli && *memory >= need.memory_mib
    }
}

/// The estate of a trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// What it is called.
    pub name: String,
    /// Its fabrics; nodes are counted over all of them in this order.
    pub fabrics: Vec<Fabric>,
    /// The centre it is taken from, if it is from a centre file.
    founding: Option<Box<Founding>>,
}

impl Machine {
    /// One fabric of so many nodes with so many GPUs each.
    pub fn plain(nodes: u32, gpus: u32) -> Machine {
        let cpus = CPUS_PER_GPU * gpus.max(1);
        let name = format!("{nodes} nodes of {gpus} GPUs in one island");
        Machine {
            name,
            fabrics: vec![Fabric { name: "island".into(), nodes, gpus, cpus, memory_mib: 0 }],
            founding: None,
        }
    }

    /// The same, with as many CPUs and as much memory on each node as the largest job of a workload asks for, if that is
    /// more than is usual.
    pub fn plain_for(nodes: u32, gpus: u32, workload: &Workload) -> Machine {
        let mut machine = Machine::plain(nodes, gpus);
        let fabric = &mut machine.fabrics[0];
        for beside in workload.jobs.iter().filter_map(|job| job.beside) {
            fabric.cpus = fabric.cpus.max(beside.cpu_milli.div_ceil(1000));
            if u64::from(beside.memory_mib) > fabric.memory() {
                fabric.memory_mib = u64::from(beside.memory_mib);
            }
        }
        machine
    }

    /// These fabrics.
    pub fn fabrics(name: &str, fabrics: Vec<Fabric>) -> Machine {
        Machine { name: name.into(), fabrics, founding: None }
    }

    /// The modelled sites of a centre: what a trial can fill without touching what is real.
    pub fn of(founding: &Founding) -> Machine {
        let kept = modelled(founding);
        let mut fabrics: Vec<Fabric> = Vec::new();
        let mut last = None;
        for node in &kept.nodes {
            let kind = (node.island, node.gpus, node.cpus);
            if last != Some(kind) {
                let name = kept.islands[node.island.index()].name.clone();
                let (gpus, cpus, memory_mib) = (node.gpus, node.cpus, node.memory_mib);
                fabrics.push(Fabric { name, nodes: 0, gpus, cpus, memory_mib });
                last = Some(kind);
            }
            let fabric = fabrics.last_mut().expect("one was pushed for the first node");
            fabric.nodes += 1;
            fabric.memory_mib = fabric.memory_mib.min(node.memory_mib);
        }
        Machine { name: kept.title.clone(), fabrics, founding: Some(Box::new(kept)) }
    }

    /// Nodes of all fabrics.
    pub fn nodes(&self) -> u32 {
        self.fabrics.iter().map(|fabric| fabric.nodes).sum()
    }

    /// GPUs of all fabrics.
    pub fn gpus(&self) -> u64 {
        self.fabrics.iter().map(|fabric| u64::from(fabric.nodes) * u64::from(fabric.gpus)).sum()
    }

    /// An empty node of a fabric, counted over all of them.
    pub fn room(&self, fabric: &Fabric, node: u32) -> Room {
        let known = self.founding.as_ref().map(|founding| founding.nodes[node as usize].memory_mib);
        let memory_mib = u32::try_from(known.unwrap_or_else(|| fabric.memory())).unwrap_or(u32::MAX);
        let cpu_milli = fabric.cpus.saturating_mul(1000);
        Room { gpus: fabric.gpus, open: Vec::new(), cpu_milli, memory_mib }
    }

    /// Its fabrics as they are when they are empty.
    pub fn empty(&self) -> Vec<Empty> {
        let mut first = 0;
        let empty = |fabric: &Fabric| {
            let rooms = (first..first + fabric.nodes).map(|node| self.room(fabric, node).memory_mib);
            first += fabric.nodes;
            let mut memories: Vec<u32> = rooms.collect();
            memories.sort_unstable_by(|a, b| b.cmp(a));
            Empty { gpus: fabric.gpus, cpu_milli: fabric.cpus.saturating_mul(1000), memories }
        };
        self.fabrics.iter().map(empty).collect()
    }

    /// The first job that no fabric could ever hold is a refusal.
    pub fn holds(&self, workload: &Workload) -> Result<(), Refusal> {
        let fabrics: Vec<(&Fabric, Empty)> = self.fabrics.iter().zip(self.empty()).collect();
        let fits = |job: &Job| {
            let (mut can, need) = (fabrics.iter(), job.need());
            can.any(|(fabric, empty)| {
                (job.beside.is_some() || fabric.cpus >= job.cpus) && empty.holds(job.nodes, &need)
            })
        };
        let Some(job) = workload.jobs.iter().find(|job| !fits(job)) else { return Ok(()) };
        let (widest, fullest) = (self.fabrics.iter(), self.fabrics.iter());
        let largest = match job.beside {
            None => {
                widest.max_by_key(|fabric| fabric.nodes).map(|fabric| format!("{} of {}", fabric.nodes, fabric.gpus))
            }
            Some(_) => fullest.max_by_key(|fabric| (fabric.gpus, fabric.cpus)).map(|fabric| {
                let (nodes, memory) = (fabric.nodes, fabric.memory());
                format!("{nodes} of {}, {} CPUs and {memory} MiB", fabric.gpus, fabric.cpus)
            }),
        };
        let largest = largest.unwrap_or_else(|| "none".into());
        Err(Refusal::TooLarge { job: job.number, nodes: job.nodes, gpus: job.gpus, beside: job.beside, largest })
    }

    /// A centre on this machine for a workload: where its jobs ask for parts of GPUs every GPU may be shared, and where
    /// they tell CPUs, a CPU of the centre is a thousandth of one.
    pub fn founding_for(&self, workload: &Workload) -> Founding {
        let mut founding = self.founding(&workload.owners);
        if workload.has_parts() {
            let shared = founding.nodes.iter_mut().filter_map(|node| node.device.as_mut());
            shared.for_each(|device| device.parts.shards = device.parts.shards.max(SHARDS));
        }
        if workload.tells() {
            founding.nodes.iter_mut().for_each(|node| node.cpus = node.cpus.saturating_mul(1000));
        }
        founding
    }

    /// A centre on this machine, owned by these owners by their weights.
    pub fn founding(&self, owners: &[Owner]) -> Founding {
        let mut founding = match &self.founding {
            Some(founding) => founding.as_ref().clone(),
            None => self.bare(),
        };
        founding.policy = self.policy(owners);
        founding.parties = parties(owners);
        let shares = shares(owners);
        for site in &mut founding.sites {
            site.shares = (0..).map(PartyId::new).zip(shares.iter().copied()).collect();
            site.operator = PartyId::new(0);
        }
        founding.classes = vec![Class { name: "all".into(), target: WHOLE as u32, rate: 0 }];
        let all = founding.sites.iter().map(|site| site.id).collect();
        founding.partitions = vec![Partition {
            id: PartitionId::new(0),
            name: "all".into(),
            sites: all,
            max_limit: Span::from_days(3650),
            default_limit: Span::from_hours(1),
        }];
        founding
    }

    /// The policy of the centre that it is taken from, else the default one. What is said there of an owner's lending
    /// holds for the workload's owner of the same name.
    pub fn policy(&self, owners: &[Owner]) -> Policy {
        let Some(founding) = &self.founding else { return Policy::default() };
        let named =
            |name: &str| (0..).zip(owners).find(|(_, owner)| owner.name == name).map(|(id, _)| PartyId::new(id));
        let lending = founding.policy.lending.iter();
        let lending =
            lending.filter_map(|(party, lending)| Some((named(&founding.parties[party.index()].name)?, *lending)));
        Policy { lending: lending.collect(), ..founding.policy.clone() }
    }

    fn bare(&self) -> Founding {
        let site = SiteId::new(0);
        let mut founding = Founding {
            name: "trial".into(),
            title: self.name.clone(),
            title_ko: self.name.clone(),
            parties: Vec::new(),
            classes: Vec::new(),
            sites: vec![Site {
                id: site,
                name: "site".into(),
                title: self.name.clone(),
                title_ko: self.name.clone(),
                operator: PartyId::new(0),
                engine: EngineKind::Model,
                shares: Vec::new(),
                source: "a trial's own".into(),
            }],
            islands: Vec::new(),
            nodes: Vec::new(),
            partitions: Vec::new(),
            prices: Vec::new(),
            money: Vec::new(),
            links: Vec::new(),
            policy: Default::default(),
        };
        for fabric in &self.fabrics {
            let island = IslandId::new(founding.islands.len() as u32);
            founding.islands.push(Island { id: island, site, name: fabric.name.clone(), levels: Vec::new() });
            for index in 0..fabric.nodes {
                let number = founding.nodes.len() as u32;
                founding.nodes.push(node(number, island, index / NODES_PER_RACK, fabric));
            }
        }
        founding
    }
}

fn node(number: u32, island: IslandId, rack: u32, fabric: &Fabric) -> Node {
    Node {
        id: NodeId::new(number),
        name: format!("n{number:05}"),
        site: SiteId::new(0),
        island,
        rack,
        device: (fabric.gpus > 0).then(|| Device {
            model: "gpu".into(),
            memory_mib: 80 * 1024,
            parts: Default::default(),
        }),
        gpus: fabric.gpus,
        cpus: fabric.cpus,
        memory_mib: fabric.memory(),
        features: Vec::new(),
        path: Vec::new(),
        numa: Vec::new(),
        pretend: false,
        health: Health::Up,
    }
}

/// The centre without its real sites, ids made dense again, nodes by island.
fn modelled(founding: &Founding) -> Founding {
    let mut kept = founding.clone();
    kept.sites.retain(|site| site.engine == EngineKind::Model);
    let sites: Vec<SiteId> = kept.sites.iter().map(|site| site.id).collect();
    let seat = |site: SiteId| sites.iter().position(|other| *other == site);
    kept.islands.retain(|island| seat(island.site).is_some());
    let islands: Vec<IslandId> = kept.islands.iter().map(|island| island.id).collect();
    kept.nodes.retain(|node| seat(node.site).is_some());
    kept.nodes.sort_by_key(|node| (node.island, node.gpus, node.cpus, node.id));
    let site_of = |site: SiteId| SiteId::new(seat(site).expect("sites without a seat were left out") as u32);
    for (index, node) in (0..).zip(&mut kept.nodes) {
        let island = islands.iter().position(|other| *other == node.island).expect("a node's island is its site's");
        (node.id, node.site, node.island) = (NodeId::new(index), site_of(node.site), IslandId::new(island as u32));
    }
    for (index, island) in (0..).zip(&mut kept.islands) {
        (island.id, island.site) = (IslandId::new(index), site_of(island.site));
    }
    (0..).zip(&mut kept.sites).for_each(|(index, site)| site.id = SiteId::new(index));
    kept
}

fn parties(owners: &[Owner]) -> Vec<Party> {
    let party = |(index, owner): (u32, &Owner)| Party {
        id: PartyId::new(index),
        name: owner.name.clone(),
        title: owner.name.clone(),
        title_ko: owner.name.clone(),
        company_share: 0,
    };
    (0..).zip(owners).map(party).collect()
}

/// The owners' shares in basis points, which sum to the whole: the largest remainders are rounded up.
fn shares(owners: &[Owner]) -> Vec<u32> {
    let sum: u64 = owners.iter().map(|owner| u64::from(owner.weight)).sum::<u64>().max(1);
    let scaled = |owner: &Owner| u64::from(owner.weight) * WHOLE;
    let mut shares: Vec<u64> = owners.iter().map(|owner| scaled(owner) / sum).collect();
    let mut order: Vec<usize> = (0..owners.len()).collect();
    order.sort_by_key(|index| (core::cmp::Reverse(scaled(&owners[*index]) % sum), *index));
    let short = WHOLE.saturating_sub(shares.iter().sum());
    order.iter().take(short as usize).for_each(|index| shares[*index] += 1);
    shares.into_iter().map(|share| share as u32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_sum_to_the_whole() {
        let owners = |weights: &[u32]| {
            let owner = |(index, weight): (usize, &u32)| Owner { name: format!("o{index}"), weight: *weight };
            weights.iter().enumerate().map(owner).collect::<Vec<_>>()
        };
        assert_eq!(shares(&owners(&[1, 1, 1])), [3334, 3333, 3333]);
        assert_eq!(shares(&owners(&[51, 49])), [5100, 4900]);
        assert_eq!(shares(&owners(&[0, 7])), [0, 10_000]);
    }
}
