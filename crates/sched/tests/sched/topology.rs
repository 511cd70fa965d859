//! Where gangs stand in trees of domains: drawings with the picks expected, and an exhaustive search to compare with.
//!
//! A drawing is an island: a letter is a node, free when lower case and busy when upper case; each level of brackets is
//! a level of the tree. `[[ab][cd]] [[ef][gh]]` is two leaves of two racks of two nodes.
use crate::common::*;
use expect_test::expect;
use madang_model::{Blocked, Founding, Island, IslandId, JobId, NodeId, Request, SiteId, Topology};
use madang_sched::{Event, Scheduler};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const LEVELS: [&str; 3] = ["leaf", "rack", "nvlink"];

/// Islands drawn one on a line; the letters go on through all of them. The lowest level is always `rack` or `nvlink`.
fn draw(picture: &str) -> (Founding, Vec<NodeId>) {
    let mut founding = estate(&[]);
    let mut busy = Vec::new();
    for (number, line) in (0u32..).zip(picture.lines()) {
        let mut counts: Vec<u32> = Vec::new();
        let (mut depth, mut deepest) = (0, 0);
        let first = founding.nodes.len();
        for letter in line.chars() {
            match letter {
                '[' => {
                    counts.resize(counts.len().max(depth + 1), 0);
                    counts[depth] += 1;
                    depth += 1;
                    deepest = deepest.max(depth);
                }
                ']' => depth -= 1,
                'a'..='z' | 'A'..='Z' => {
                    add_node(&mut founding, number, counts[..depth].iter().map(|count| count - 1).collect());
                    if letter.is_uppercase() {
                        busy.push(founding.nodes.last().unwrap().id);
                    }
                }
                _ => {}
            }
        }
        assert!(founding.nodes[first..].iter().all(|node| node.path.len() == deepest), "an uneven tree: {line}");
        let levels = LEVELS[if deepest == 3 { 0 } else { 2 - deepest.min(2) }..].iter().take(deepest);
        founding.islands.push(Island {
            id: IslandId::new(number),
            site: SiteId::new(0),
            name: format!("island{number}"),
            levels: levels.map(|name| name.to_string()).collect(),
        });
    }
    (founding, busy)
}

fn add_node(founding: &mut Founding, island: u32, path: Vec<u32>) {
    let mut one = estate(&[(1, 1, 8)]).nodes.remove(0);
    one.id = NodeId::new(founding.nodes.len() as u32);
    one.name = letter(one.id).to_string();
    (one.island, one.rack) = (IslandId::new(island), *path.last().unwrap());
    one.path = path;
    founding.nodes.push(one);
}

fn letter(node: NodeId) -> char {
    (b'a' + node.number() as u8) as char
}

/// A scheduler for the drawing, with a job on each busy node.
fn drawn(picture: &str) -> Scheduler {
    let (founding, busy) = draw(picture);
    let mut sched = sched(&founding);
    let fill = (1000..).zip(&busy).map(|(job, node)| {
        let mut one = request(1, 8);
        one.include = vec![*node];
        Event::Queued(ask(job, one, 600))
    });
    let events = fill.collect();
    assert_eq!(step(&mut sched, 0, events).starts.len(), busy.len());
    sched
}

/// Required level, preferred level, segment, spares; empty and 0 for none.
fn wish(required: &str, preferred: &str, segment: u32, spares: u32) -> Topology {
    let level = |name: &str| (!name.is_empty()).then(|| name.to_string());
    Topology {
        required: level(required),
        preferred: level(preferred),
        segment: (segment > 0).then_some(segment),
        spares,
    }
}

/// The letters that a gang gets, in rank order, or why it waits.
fn picks(picture: &str, asked: Request) -> String {
    let mut sched = drawn(picture);
    let step = step(&mut sched, 1, vec![Event::Queued(ask(1, asked, 60))]);
    match step.starts.first() {
        Some(start) => start.on.slots.iter().map(|slot| letter(slot.node)).collect(),
        None => match sched.why(JobId::new(1)).unwrap() {
            Blocked::Domain { level, fitting, wanted, .. } => format!("{wanted} wanted in {level:?}, {fitting} there"),
            other => format!("{other:?}"),
        },
    }
}

fn gang(nodes: u32, topology: Topology) -> Request {
    Request { topology, ..request(nodes, 8) }
}

#[test]
fn gangs_take_the_lowest_domain_and_spread_evenly_over_the_fewest() {
    let leaves = "[[abcd][efgh]] [[ijkl][mnop]]";
    let worn = "[[Abcd][efgH]] [[ijkl][mnOP]]";
    let uneven = "[[abcdef][g]] [[hijk][lmno]] [[pqrs]]";
    let cases: [(&str, &str, Request); 20] = [
        ("one: the smallest rack", worn, gang(1, wish("", "", 0, 0))),
        ("three: a rack of three, not of four", worn, gang(3, wish("", "", 0, 0))),
        ("four: a whole rack", worn, gang(4, wish("", "", 0, 0))),
        ("six: one leaf, and that the smaller", worn, gang(6, wish("", "", 0, 0))),
        ("eight of twelve: both leaves, evenly", worn, gang(8, wish("", "", 0, 0))),
        ("nine of twelve", worn, gang(9, wish("", "", 0, 0))),
        ("within a rack", worn, gang(4, wish("rack", "", 0, 0))),
        ("within a rack that there is not now", worn.replace("ijkl", "ijkL").leak(), gang(4, wish("rack", "", 0, 0))),
        ("within a leaf, too many", worn, gang(7, wish("leaf", "", 0, 0))),
        ("within a rack, ever", worn, gang(5, wish("rack", "", 0, 0))),
        ("within a level that is not", worn, gang(2, wish("pod", "", 0, 0))),
        ("preferring a rack", worn, gang(5, wish("", "rack", 0, 0))),
        ("preferring a leaf", uneven, gang(12, wish("", "leaf", 0, 0))),
        ("preferring a level that is not", worn, gang(5, wish("", "pod", 0, 0))),
        ("segments of two in racks", worn, gang(8, wish("rack", "", 2, 0))),
        ("segments of three in racks", worn, gang(9, wish("rack", "", 3, 0))),
        ("segments of four wherever they go", leaves, gang(8, wish("", "", 4, 0))),
        ("segments of three in racks, too many", worn, gang(12, wish("rack", "", 3, 0))),
        ("a spare in the same leaf", worn, gang(6, wish("leaf", "", 0, 1))),
        ("segments with spares", leaves, gang(8, wish("rack", "", 3, 2))),
    ];
    let lines = cases.into_iter().map(|(what, picture, asked)| format!("{what}: {}\n", picks(picture, asked)));
    expect![[r#"
        one: the smallest rack: m
        three: a rack of three, not of four: bcd
        four: a whole rack: ijkl
        six: one leaf, and that the smaller: bcdefg
        eight of twelve: both leaves, evenly: bcefijkl
        nine of twelve: bcdefijkl
        within a rack: ijkl
        within a rack that there is not now: 4 wanted in Some("rack"), 3 there
        within a leaf, too many: 7 wanted in Some("leaf"), 6 there
        within a rack, ever: Never
        within a level that is not: Never
        preferring a rack: bcdef
        preferring a leaf: abcdefhijlmn
        preferring a level that is not: bcdef
        segments of two in racks: bcefijkl
        segments of three in racks: bcdefgijk
        segments of four wherever they go: abcdefgh
        segments of three in racks, too many: 4 wanted in Some("rack"), 3 there
        a spare in the same leaf: bcdefg
        segments with spares: abcefgdh
    "#]]
    .assert_eq(&lines.collect::<String>());
}

/// What a random gang asks on a random estate.
#[derive(Clone, Debug)]
struct Puzzle {
    /// By island, by leaf, by rack: which nodes are free.
    islands: Vec<Vec<Vec<Vec<bool>>>>,
    asked: Request,
}

fn puzzle() -> impl Strategy<Value = Puzzle> {
    let rack = || prop::collection::vec(prop::bool::weighted(0.7), 1..4);
    let leaf = move || prop::collection::vec(rack(), 1..4);
    let island = move || prop::collection::vec(leaf(), 1..3);
    let level = || prop_oneof![2 => Just(""), 2 => Just("rack"), 2 => Just("nvlink"), 1 => Just("island")];
    let size = (1..9u32, prop_oneof![2 => Just(0u32), 1 => 1..4u32], prop_oneof![3 => Just(0u32), 1 => 1..3u32]);
    let named = prop_oneof![3 => Just(vec![]), 1 => prop::collection::btree_set(0..12u32, 1..3)
        .prop_map(|nodes| nodes.into_iter().map(NodeId::new).collect())];
    (prop::collection::vec(island(), 1..3), level(), level(), size, named, any::<bool>()).prop_map(
        |(islands, required, preferred, (nodes, segment, spares), include, across)| {
            // A node that is named is not taken as a spare; the slow search does not know that.
            let spares = if include.is_empty() { spares } else { 0 };
            let mut asked = gang(nodes * segment.max(1) + spares, wish(required, preferred, segment, spares));
            (asked.include, asked.across_islands) = (include, across);
            Puzzle { islands, asked }
        },
    )
}

/// A way to place a gang: for each domain that holds any of it (by path), how many nodes of the gang are in it.
struct Way {
    paths: Vec<Vec<u32>>,
}

impl Way {
    fn domains(&self, depth: usize) -> BTreeMap<&[u32], usize> {
        let mut counts = BTreeMap::new();
        self.paths.iter().for_each(|path| *counts.entry(&path[..depth]).or_default() += 1);
        counts
    }

    /// The depth of the lowest domain that holds all: 0 is the site, 3 the lowest level.
    fn together(&self) -> usize {
        (0..=3).rev().find(|depth| self.domains(*depth).len() == 1).unwrap()
    }

    /// Whether the required level is held, by counting.
    fn allowed(&self, asked: &Request) -> bool {
        let depth = |level: &str| ["island", "rack", "nvlink"].iter().position(|name| *name == level).unwrap() + 1;
        let wish = &asked.topology;
        let required = wish.required.as_deref().map(depth);
        let island = asked.across_islands || self.domains(1).len() == 1;
        let gang = (asked.nodes() - wish.spares) as usize;
        island
            && match (required, wish.segment) {
                (Some(depth), None) => self.domains(depth).len() == 1,
                (Some(depth), Some(segment)) => {
                    let segment = segment as usize;
                    self.domains(depth).values().map(|nodes| nodes / segment * segment).sum::<usize>() >= gang
                }
                (None, _) => true,
            }
    }

    /// How far apart, as it is to be least: levels up to the domain that holds all, down to the preferred one; then
    /// domains of the level below it (or the preferred one), and how unequal their shares are.
    fn cost(&self, preferred: Option<usize>) -> (usize, usize, usize) {
        let together = self.together();
        let counted = preferred.filter(|depth| together < *depth && together > 0).unwrap_or((together + 1).min(3));
        let shares = self.domains(counted);
        let unequal = shares.values().max().unwrap() - shares.values().min().unwrap();
        (preferred.unwrap_or(3).saturating_sub(together), shares.len(), unequal)
    }
}

fn ways(founding: &Founding, free: &[NodeId], asked: &Request) -> Vec<Way> {
    let count = asked.nodes();
    let subsets = (0u32..1 << free.len()).filter(|mask| mask.count_ones() == count);
    let chosen = subsets.map(|mask| (0..free.len()).filter(move |bit| mask >> bit & 1 == 1).map(|bit| free[bit]));
    let ways = chosen.filter_map(|nodes| {
        let nodes: BTreeSet<NodeId> = nodes.collect();
        let path = |id: &NodeId| {
            let node = &founding.nodes[id.index()];
            let mut path = vec![node.island.number()];
            path.extend(&node.path);
            path
        };
        asked.include.iter().all(|id| nodes.contains(id)).then(|| Way { paths: nodes.iter().map(path).collect() })
    });
    ways.filter(|way| way.allowed(asked)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// A gang is placed if and only if some choice of free nodes would do, and no choice stands closer together.
    #[test]
    fn what_is_found_is_there_and_none_is_closer(puzzle in puzzle()) {
        let mut founding = estate(&[]);
        let (mut free, mut busy) = (Vec::new(), Vec::new());
        for (number, island) in (0u32..).zip(&puzzle.islands) {
            let mut racks = 0;
            for (leaf, drawn) in (0u32..).zip(island) {
                for rack in drawn {
                    for is_free in rack.iter().take(14usize.saturating_sub(founding.nodes.len())) {
                        add_node(&mut founding, number, vec![leaf, racks]);
                        let id = founding.nodes.last().unwrap().id;
                        if *is_free { free.push(id) } else { busy.push(id) }
                    }
                    racks += 1;
                }
            }
            founding.islands.push(Island {
                id: IslandId::new(number),
                site: SiteId::new(0),
                name: format!("island{number}"),
                levels: vec!["rack".into(), "nvlink".into()],
            });
        }
        let asked = &puzzle.asked;
        let mut sched = sched(&founding);
        step(&mut sched, 0, busy.iter().map(|id| Event::Node(*id, madang_model::Health::Drain { why: "".into() })).collect());
        let step = step(&mut sched, 1, vec![Event::Queued(ask(1, asked.clone(), 60))]);
        let ways = ways(&founding, &free, asked);
        let own_level = asked.topology.segment.is_some() && asked.topology.required.is_none();
        // A level that the scheduler chose for the segments may be full where the whole island is not.
        let waits = step.starts.is_empty() && own_level;
        prop_assert!(waits || step.starts.is_empty() == ways.is_empty(), "{} ways", ways.len());
        let Some(start) = step.starts.first() else { return Ok(()) };
        let gang = (asked.nodes() - asked.topology.spares) as usize;
        let path = |node: NodeId| {
            let node = &founding.nodes[node.index()];
            [&[node.island.number()], node.path.as_slice()].concat()
        };
        let found = Way { paths: start.on.slots.iter().map(|slot| path(slot.node)).collect() };
        prop_assert!(found.allowed(asked), "{found:?}", found = found.paths);
        let order: Vec<_> = found.paths[..gang].to_vec();
        prop_assert!(order.is_sorted(), "ranks do not follow the tree: {order:?}");
        let depth = |level: &Option<String>| match level.as_deref() { Some("island") => 1, Some("rack") => 2, _ => 3 };
        if let (Some(segment), Some(_)) = (asked.topology.segment, &asked.topology.required) {
            for ranks in order.chunks(segment as usize) {
                let level = depth(&asked.topology.required);
                prop_assert!(ranks.iter().all(|path| path[..level] == ranks[0][..level]), "{ranks:?} is torn");
            }
        }
        if asked.topology.segment.is_none() {
            let preferred = asked.topology.preferred.as_ref().map(|_| depth(&asked.topology.preferred));
            let cost = found.cost(preferred);
            let same = ways.iter().filter(|way| way.together() == found.together() && way.domains(found.together()).keys().eq(found.domains(found.together()).keys()));
            let height = ways.iter().map(|way| way.cost(preferred).0).min();
            prop_assert_eq!(Some(cost.0), height, "a lower domain would do");
            let least = same.map(|way| way.cost(preferred)).min();
            prop_assert_eq!(Some(cost), least, "fewer domains or more equal shares would do: {:?}", found.paths);
        }
    }
}
