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

const LEVELS: [&str; 3] = ["pod", "leaf", "rack"];

/// Islands drawn one on a line; the letters go on through all of them. The lowest level is `rack`, then `leaf`, `pod`.
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
        let levels = LEVELS[LEVELS.len() - deepest..].iter();
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
        patience: None,
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

#[test]
fn what_can_never_stand_together_is_said_by_level() {
    let (founding, _) = draw("[[abcd][efgh]] [[ijkl][mn]]\n[[opq]]");
    let sched = sched(&founding);
    let says = |nodes: u32, topology: Topology| {
        let mut asked = gang(nodes, topology);
        asked.across_islands = nodes > 14;
        sched.fits_ever(&asked).err().unwrap_or_else(|| "fits".into())
    };
    let texts = [
        says(8, wish("rack", "", 0, 0)),
        says(9, wish("rack", "", 0, 0)),
        says(8, wish("rack", "", 0, 1)),
        says(2, wish("pod", "", 0, 0)),
        says(2, wish("", "pod", 0, 0)),
        says(12, wish("rack", "", 4, 0)),
        says(15, wish("rack", "", 5, 0)),
        says(10, wish("rack", "", 4, 0)),
        says(10, wish("", "", 5, 0)),
        says(4, wish("", "", 0, 4)),
        says(4, wish("", "", 0, u32::MAX)),
    ];
    expect![[r#"
        asks for 8 nodes in one rack, the best rack of site0 has 4 that fit
        asks for 9 nodes in one rack, the best rack of site0 has 4 that fit
        asks for 8 nodes in one rack, the best rack of site0 has 4 that fit
        requires one pod, no island of site0 that fits has such a level (known: leaf, rack)
        fits
        fits
        asks for 3 segments of 5 nodes, each in one rack, site0 has room for 0
        asks for 10 nodes in segments of 4, which does not divide them
        fits
        asks for 4 nodes, 4 of them spare: one at least must not be
        asks for 4 nodes, 4294967295 of them spare: one at least must not be"#]]
    .assert_eq(&texts.join("\n"));
}

#[test]
fn a_gang_of_parts_stands_in_one_domain() {
    let mut sched = drawn("[[aBcD][efGH]] [[ijkl][mnop]]");
    let parts = |level: &str| {
        let mut asked = gang(3, wish(level, "", 0, 0));
        asked.parts.push(request(2, 1).parts[0].clone());
        asked
    };
    // Five nodes are free in the second leaf only, in two racks.
    let text = |step: &madang_sched::Step| -> Vec<String> {
        let letters = |on: &madang_model::Allocation| on.slots.iter().map(|slot| letter(slot.node)).collect();
        step.starts.iter().map(|start| letters(&start.on)).collect()
    };
    let first = step(&mut sched, 1, vec![Event::Queued(ask(1, parts("leaf"), 60))]);
    assert_eq!(text(&first), ["ijkmn"], "one part in one rack, the other beside it in the same leaf");
    let second = step(&mut sched, 2, vec![Event::Queued(ask(2, parts("leaf"), 60))]);
    assert_eq!(text(&second), ["lopmn"], "its second part shares nodes of the first job's");
    step(&mut sched, 3, vec![Event::Queued(ask(3, parts("leaf"), 60))]);
    let why = sched.why(JobId::new(3)).unwrap();
    assert!(matches!(why, Blocked::Domain { fitting: 4, wanted: 5, .. }), "{why:?}");
    assert!(sched.promise(JobId::new(3)).is_some());
    assert!(sched.fits_ever(&parts("rack")).is_err());
}

#[test]
fn ranks_follow_the_tree_where_names_do_not() {
    // Nodes were numbered across the racks.
    let (mut founding, _) = draw("[[abcd][efgh]]");
    for (place, node) in founding.nodes.iter_mut().enumerate() {
        node.path = vec![0, place as u32 % 2];
    }
    let mut sched = sched(&founding);
    let on = step(&mut sched, 0, vec![queued(1, 6, 8, 60)]).starts.remove(0).on;
    let letters: String = on.slots.iter().map(|slot| letter(slot.node)).collect();
    assert_eq!(letters, "acebdf");
}

#[test]
fn parts_of_nodes_get_whole_halves() {
    let (mut founding, _) = draw("[[abc]]");
    founding.nodes.iter_mut().for_each(|node| node.numa = vec![0x0f, 0xf0]);
    let mut sched = sched(&founding);
    let events = [2, 3, 4, 4, 2, 1, 5].into_iter().zip(1..).map(|(gpus, job)| queued(job, 1, gpus, 60)).collect();
    let step = step(&mut sched, 0, events);
    expect![[r#"
        job-1: n0[03]
        job-2: n0[70]
        job-3: n1[0f]
        job-4: n1[f0]
        job-5: n0[0c]
        job-6: n0[80]
        job-7: n2[1f]
    "#]]
    .assert_eq(&starts(&step));
}

#[test]
fn a_promise_holds_the_level_too() {
    // The rack of four comes free last; three nodes elsewhere do not make a rack.
    let mut sched = drawn("[[abC][defG]]");
    let fill = step(&mut sched, 1, vec![queued(5, 1, 8, 900)]);
    assert_eq!(starts(&fill), "job-5: n0[ff]\n");
    step(&mut sched, 2, vec![Event::Queued(ask(1, gang(4, wish("rack", "", 0, 0)), 60))]);
    let promise = sched.promise(JobId::new(1)).unwrap();
    assert_eq!((nodes(&promise.on), promise.start), ("n3[ff] n4[ff] n5[ff] n6[ff]".into(), at(660)));
    let why = sched.why(JobId::new(1)).unwrap();
    let level = Some("rack".to_string());
    assert_eq!(why, Blocked::Domain { level, segment: None, fitting: 3, wanted: 4 });
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

/// Journals and snapshots of before levels read, and what asks for nothing of them is written as it was.
#[test]
fn what_has_no_tree_is_written_as_before() {
    let founding = estate(&[(2, 2, 8)]);
    let text = serde_json::to_string(&(&founding, request(2, 8))).unwrap();
    for word in ["levels", "path", "numa", "topology"] {
        assert!(!text.contains(word), "{word} in {text}");
    }
    let (read, asked): (Founding, Request) = serde_json::from_str(&text).unwrap();
    assert_eq!((read, asked), (founding, request(2, 8)));
}
