//! What a request asks of the tree, matched against the estate once.
//!
//! Depths count from the top: 0 is the site, 1 the island, 2 the island's highest level. A level goes by its name, so
//! it may lie at another depth in each island; an island without the required level cannot serve.
use crate::estate::Estate;
use crate::shape::{PartPlan, nodes};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use madang_model::topology::ISLAND;
use madang_model::{IslandId, Request, Topology};

/// The depth of an island.
pub(crate) const AT_ISLAND: usize = 1;

/// How deep one island's levels of the wish lie.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub island: IslandId,
    /// Where a domain holds the gang or a segment; 0 where nothing is required.
    pub required: usize,
    pub preferred: Option<usize>,
}

/// A request's wish about topology.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wish {
    /// Nodes that stay together: those of a segment, else 1.
    pub unit: usize,
    /// True when it is each segment and not the gang that stays within the required level.
    pub segmented: bool,
    /// Nodes held beside the gang in the first part.
    pub spares: usize,
    /// True when anything is asked for, so that parts of nodes too stand close together.
    pub close: bool,
    /// Ascending by island; islands that cannot serve are not in it.
    pub bounds: Vec<Bounds>,
}

impl Wish {
    pub fn new(request: &Request, parts: &[PartPlan], islands: &[IslandId], estate: &Estate) -> Wish {
        let asked = &request.topology;
        let unit = asked.segment.unwrap_or(1).max(1) as usize;
        let bounds = islands.iter().filter_map(|island| {
            let required = match (&asked.required, asked.segment) {
                (Some(level), _) => depth(estate, *island, level)?,
                (None, Some(_)) => lowest_with(estate, parts, *island, unit),
                (None, None) => 0,
            };
            let preferred = asked.preferred.as_ref().and_then(|level| depth(estate, *island, level));
            Some(Bounds { island: *island, required, preferred })
        });
        Wish {
            unit,
            segmented: asked.segment.is_some(),
            spares: asked.spares as usize,
            close: asked.required.is_some() || asked.preferred.is_some() || asked.segment.is_some(),
            bounds: bounds.collect(),
        }
    }

    pub fn of(&self, island: IslandId) -> Option<&Bounds> {
        self.bounds.binary_search_by_key(&island, |bounds| bounds.island).ok().map(|index| &self.bounds[index])
    }

    /// Nodes of a part that are no spares; `None` when they do not divide into segments.
    pub fn gang(&self, part: u32, nodes: usize) -> Option<usize> {
        let gang = nodes.checked_sub(if part == 0 { self.spares } else { 0 })?;
        (gang > 0 && gang.is_multiple_of(self.unit)).then_some(gang)
    }
}

/// Where the island has a level of this name.
fn depth(estate: &Estate, island: IslandId, level: &str) -> Option<usize> {
    if level == ISLAND {
        return Some(AT_ISLAND);
    }
    estate.levels[island.index()].iter().position(|name| name == level).map(|index| index + AT_ISLAND + 1)
}

/// The deepest level of the island whose domains could hold all segments of this size, were they empty.
fn lowest_with(estate: &Estate, parts: &[PartPlan], island: IslandId, segment: usize) -> usize {
    let wanted: usize = parts.iter().map(|part| part.nodes as usize / segment).sum();
    let levels = AT_ISLAND..=AT_ISLAND + estate.levels[island.index()].len();
    let room = |depth: usize| -> usize {
        let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
        let pools = parts.iter().flat_map(|part| &part.fitting).map(|fit| fit.pool);
        for pool in pools.filter(|pool| estate.pools[*pool].island == island) {
            for node in &estate.pools[pool].nodes {
                *counts.entry(estate.nodes[node.index()].path[depth - AT_ISLAND]).or_default() += 1;
            }
        }
        counts.values().map(|nodes| nodes / segment).sum()
    };
    levels.rev().find(|depth| room(*depth) >= wanted).unwrap_or(AT_ISLAND)
}

/// What a request asks that no estate could give.
pub(crate) fn absurdity(request: &Request) -> Option<String> {
    let Topology { segment, spares, .. } = &request.topology;
    for (index, part) in request.parts.iter().enumerate() {
        let spares = if index == 0 { *spares } else { 0 };
        if spares >= part.nodes {
            return Some(format!("asks for {} nodes, {spares} of them spare: one at least must not be", part.nodes));
        }
        let gang = part.nodes - spares;
        match segment {
            Some(0) => return Some("asks for segments of no nodes".to_string()),
            Some(nodes) if !gang.is_multiple_of(*nodes) => {
                return Some(format!("asks for {gang} nodes in segments of {nodes}, which does not divide them"));
            }
            _ => {}
        }
    }
    None
}

/// What is short of the wish at this place, given what fits at best on the empty estate.
pub(crate) fn shortage(request: &Request, wish: &Wish, estate: &Estate, place: &str, best: u32) -> Option<String> {
    let asked = &request.topology;
    if let Some(level) = asked.required.as_ref().filter(|_| wish.bounds.is_empty()) {
        let islands = (0..).zip(&estate.islands).filter(|(_, site)| request.sites.contains(site));
        let mut known: Vec<&str> = Vec::new();
        for (index, _) in islands {
            let levels = estate.levels[IslandId::new(index).index()].iter().map(String::as_str);
            levels.for_each(|name| {
                if !known.contains(&name) {
                    known.push(name)
                }
            });
        }
        return Some(format!(
            "requires one {level}, no island of {place} that fits has such a level (known: {})",
            known.join(", ")
        ));
    }
    let level = asked.required.as_deref();
    match (asked.segment, level) {
        (None, None) => None,
        (None, Some(level)) => {
            let wanted = nodes(request);
            Some(format!("asks for {wanted} nodes in one {level}, the best {level} of {place} has {best} that fit"))
        }
        (Some(segment), level) => {
            let wanted = nodes(request).saturating_sub(asked.spares) / segment.max(1);
            let level = level.unwrap_or("domain");
            Some(format!(
                "asks for {wanted} segments of {segment} nodes, each in one {level}, {place} has room for {best}"
            ))
        }
    }
}
