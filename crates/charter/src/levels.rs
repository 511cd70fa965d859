//! The tree of an island: its levels from the bottom up, with the nodes in a domain of each.
//!
//! ```toml
//! nodes_per_rack = 4
//! levels = [{ name = "leaf", nodes = 32 }, { name = "pod", nodes = 256 }]
//! ```
//!
//! Nodes are numbered along the tree, so a domain is a run of them. Domains that differ in size are listed one by one
//! (`sizes = [11, 1, 6]`). Without `levels` the racks are the only level.
use crate::reader::{At, Fields, Sheet, Spot, Wrong};
use crate::values;
use madang_model::topology::{ISLAND, RACK};

/// Most levels in one island.
const MOST: usize = 8;

/// One level as written.
#[derive(Debug)]
pub(crate) struct LevelEntry {
    pub name: At<String>,
    pub nodes: Option<At<u32>>,
    pub sizes: Vec<At<u32>>,
}

/// The levels of one island as written, from the bottom up.
#[derive(Debug)]
pub(crate) struct Levels {
    pub per_rack: Option<At<u32>>,
    pub above: Vec<LevelEntry>,
}

/// Reads `nodes_per_rack` and `levels`; one of the two must be there.
pub(crate) fn read(fields: &mut Fields<'_>) -> Option<Levels> {
    let tables = fields.tables("levels");
    let size = values::count(1..=100_000);
    let per_rack =
        if tables.is_empty() { Some(fields.need("nodes_per_rack", size)?) } else { fields.may("nodes_per_rack", size) };
    let above = tables.into_iter().filter_map(level).collect();
    Some(Levels { per_rack, above })
}

fn level(mut fields: Fields<'_>) -> Option<LevelEntry> {
    let name = fields.need("name", values::name);
    let nodes = fields.may("nodes", values::count(1..=100_000));
    let sizes = fields.may_list("sizes", values::count(1..=100_000));
    fields.finish();
    Some(LevelEntry { name: name?, nodes, sizes })
}

/// A level and where each of its domains begins, ascending from node 0.
struct Storey {
    name: String,
    starts: Vec<u32>,
}

/// An island's tree over its nodes.
pub(crate) struct Tree {
    /// From the bottom up.
    storeys: Vec<Storey>,
    plain: bool,
}

impl Tree {
    /// The tree as written, over so many nodes; what does not nest is noted.
    pub fn new(sheet: &Sheet<'_>, levels: &Levels, count: u32) -> Tree {
        let mut tree = Tree { storeys: Vec::new(), plain: levels.above.is_empty() };
        if let Some(size) = &levels.per_rack {
            tree.storeys.push(Storey { name: RACK.into(), starts: even(size.value, count) });
        }
        for entry in &levels.above {
            tree.add(sheet, entry, count);
        }
        if let Some(entry) = levels.above.get(MOST) {
            sheet.wrong(&entry.name.spot, Wrong::new(format!("an island has more than {MOST} levels")));
        }
        tree
    }

    fn add(&mut self, sheet: &Sheet<'_>, entry: &LevelEntry, count: u32) {
        let name = &entry.name.value;
        let wrong = |spot: &Spot, fact: String, hint: &str| sheet.wrong(spot, Wrong::new(fact).hint(hint));
        if name == ISLAND || self.storeys.iter().any(|storey| storey.name == *name) {
            let hint = "each level has a name of its own; `island` is the island, `rack` is what nodes_per_rack makes";
            return wrong(&entry.name.spot, format!("a level cannot be called {name} here"), hint);
        }
        let starts = match (&entry.nodes, entry.sizes.as_slice()) {
            (Some(nodes), []) => even(nodes.value, count),
            (None, [first, ..]) => {
                let sum: u64 = entry.sizes.iter().map(|size| u64::from(size.value)).sum();
                if sum != u64::from(count) {
                    let fact = format!("the sizes of level {name} add up to {sum}, the island has {count} nodes");
                    return wrong(&first.spot, fact, "list every domain of the level, in the order of the nodes");
                }
                let begin = |next: &mut u32, size: &At<u32>| Some(core::mem::replace(next, *next + size.value));
                entry.sizes.iter().scan(0, begin).collect()
            }
            _ => {
                let fact = format!("level {name} must say either nodes or sizes");
                return wrong(
                    &entry.name.spot,
                    fact,
                    "nodes = 32 for equal domains, sizes = [11, 1, 6] for unequal ones",
                );
            }
        };
        let below = self.storeys.last();
        let torn = below.and_then(|below| starts.iter().find(|start| below.starts.binary_search(start).is_err()));
        if let (Some(below), Some(start)) = (below, torn) {
            let below = &below.name;
            let fact = format!("a {name} would begin at node {} of the island, within a {below}", start + 1);
            return wrong(
                &entry.name.spot,
                fact,
                "levels go from the bottom up, and each holds whole domains of the one below",
            );
        }
        self.storeys.push(Storey { name: name.clone(), starts });
    }

    /// The island's level names from the top down; empty where racks say it all.
    pub fn names(&self) -> Vec<String> {
        if self.plain { Vec::new() } else { self.storeys.iter().rev().map(|storey| storey.name.clone()).collect() }
    }

    /// The domains of the node at this place, from the top down; empty where its rack says it all.
    pub fn path(&self, place: u32) -> Vec<u32> {
        if self.plain { Vec::new() } else { self.storeys.iter().rev().map(|storey| storey.at(place)).collect() }
    }

    /// The rack that people see: the level of that name, else the lowest.
    pub fn rack(&self, place: u32) -> u32 {
        let racks = self.storeys.iter().find(|storey| storey.name == RACK).or(self.storeys.first());
        racks.map_or(0, |storey| storey.at(place))
    }
}

impl Storey {
    fn at(&self, place: u32) -> u32 {
        self.starts.partition_point(|start| *start <= place).saturating_sub(1) as u32
    }
}

fn even(size: u32, count: u32) -> Vec<u32> {
    (0..count).step_by(size as usize).collect()
}
