//! What of the founding the edge looks at again and again: names, and the few kinds of node that each site has.

use madang_model::{Founding, Node, Partition, Party, PartyId, Site, SiteId};
use std::collections::HashMap;

/// Equal nodes of a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// GPU model, lower case; empty for none.
    pub model: String,
    /// GPUs.
    pub gpus: u32,
    /// CPUs.
    pub cpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Shards that each GPU counts as; 0 where they are not shared.
    pub shards: u32,
}

/// The founding with what is derived from it. It never changes: health is the core's.
pub struct Estate {
    /// As founded.
    pub founding: Founding,
    /// Kinds of node, by site.
    pub shapes: Vec<Vec<Shape>>,
    /// Parties that own a share of the company or of a site, in the founding's order.
    pub owners: Vec<PartyId>,
    nodes: HashMap<String, usize>,
}

impl Estate {
    /// Derives what is needed of a founding.
    pub fn new(founding: Founding) -> Estate {
        let mut shapes: Vec<Vec<Shape>> = vec![Vec::new(); founding.sites.len()];
        for node in &founding.nodes {
            let (shape, known) = (shape(node), &mut shapes[node.site.index()]);
            if !known.contains(&shape) {
                known.push(shape);
            }
        }
        let nodes = founding.nodes.iter().enumerate().map(|(at, node)| (node.name.clone(), at)).collect();
        let owns = |party: &&Party| {
            let of_site = |site: &Site| site.shares.iter().any(|(owner, share)| *owner == party.id && *share > 0);
            party.company_share > 0 || founding.sites.iter().any(of_site)
        };
        let owners = founding.parties.iter().filter(owns).map(|party| party.id).collect();
        Estate { founding, shapes, owners, nodes }
    }

    /// The node of this name.
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.get(name).map(|at| &self.founding.nodes[*at])
    }

    /// The partition of this name, or the default for none.
    pub fn partition(&self, name: Option<&str>) -> Option<&Partition> {
        match name {
            Some(name) => self.founding.partitions.iter().find(|partition| partition.name == name),
            None => self.founding.partitions.first(),
        }
    }

    /// The floor's colour of a party's work: its place among the owners plus 1, one more for anybody else.
    pub fn colour(&self, party: PartyId) -> u8 {
        let place = self.owners.iter().position(|owner| *owner == party).unwrap_or(self.owners.len());
        u8::try_from(place + 1).unwrap_or(u8::MAX)
    }

    /// True for a site where nothing is real.
    pub fn is_modelled(&self, site: SiteId) -> bool {
        !self.founding.sites[site.index()].engine.is_real()
    }
}

fn shape(node: &Node) -> Shape {
    let model = node.device.as_ref().map(|device| device.model.clone()).unwrap_or_default();
    let shards = node.device.as_ref().map_or(0, |device| device.parts.shards);
    Shape { model, gpus: node.gpus, cpus: node.cpus, memory_mib: node.memory_mib, shards }
}
