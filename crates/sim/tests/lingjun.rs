//! Gangs on a real tree: Alibaba's Lingjun cluster of 2023, three layers of switches, from the file its authors published
//! (SIGCOMM'24). It lies beside the repository; where it does not, the test says so and passes.
use flate2::read::GzDecoder;
use madang_model::{
    Founding, GpuTime, IslandId, JobId, NodeId, Part, PartyId, ProjectId, Qos, Request, RunId, SiteId, Span, Time,
    Topology, UserId,
};
use madang_sched::{Ask, Budget, Config, Event, Scheduler};
use madang_sim::estate;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;

/// Keys by their place in order.
fn numbers<'a>(keys: BTreeSet<(&'a str, &'a str)>) -> BTreeMap<(&'a str, &'a str), u32> {
    keys.into_iter().zip(0..).collect()
}

/// The hosts as one island of pods and leaves: the file's PSW and ASW. A host has no rack in it.
fn founding(text: &str) -> Founding {
    let rows: Vec<Vec<&str>> = text.lines().skip(1).map(|line| line.split(',').collect()).collect();
    let pods = numbers(rows.iter().map(|row| (row[1], row[2])).collect());
    let leaves = numbers(rows.iter().map(|row| (row[2], row[3])).collect());
    let mut founding = estate::plain(rows.len() as u32, 8);
    founding.islands[0].levels = vec!["pod".into(), "leaf".into()];
    for (node, row) in founding.nodes.iter_mut().zip(&rows) {
        node.path = vec![pods[&(row[1], row[2])], leaves[&(row[2], row[3])]];
    }
    founding
}

struct Centre {
    founding: Founding,
    sched: Scheduler,
    job: u64,
}

impl Centre {
    fn new(founding: Founding) -> Centre {
        let mut sched = Scheduler::new(Config::default(), &founding);
        let id = ProjectId::new(0);
        let budget = Budget::Left(GpuTime::from_hours(1_000_000_000));
        let events = vec![Event::Project { id, owner: PartyId::new(0), weight: 1 }, Event::Budget(id, budget)];
        sched.step(Time::default(), events);
        Centre { founding, sched, job: 0 }
    }

    /// Submits a gang of whole nodes; the pods and leaves of its ranks if it starts at once.
    fn gang(&mut self, nodes: u32, topology: Topology) -> Option<Vec<(u32, u32)>> {
        self.job += 1;
        let part = Part {
            nodes,
            gpus: 8,
            cpus: 1,
            memory_mib: 0,
            model: None,
            exclusive: true,
            features: vec![],
            share: None,
        };
        let request = Request {
            parts: vec![part],
            sites: vec![SiteId::new(0)],
            include: vec![],
            exclude: vec![],
            across_islands: false,
            topology,
            reservation: None,
            elastic: None,
            reach: Vec::new(),
        };
        let ask = Ask {
            run: RunId { job: JobId::new(self.job), attempt: 1 },
            project: ProjectId::new(0),
            user: UserId::new(0),
            request,
            limit: Span::from_hours(1),
            limit_min: None,
            deadline: None,
            qos: Qos::Normal,
            nice: 0,
            since: Time::default(),
            checkpoint: None,
            expected: None,
        };
        let step = self.sched.step(Time::default(), vec![Event::Queued(ask)]);
        let path = |node: NodeId| {
            let path = &self.founding.nodes[node.index()].path;
            (path[0], path[1])
        };
        step.starts.first().map(|start| start.on.slots.iter().map(|slot| path(slot.node)).collect())
    }
}

/// How many ranks are in each domain.
fn counts(domains: impl Iterator<Item = u32>) -> Vec<usize> {
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    domains.for_each(|domain| *counts.entry(domain).or_default() += 1);
    counts.into_values().collect()
}

#[test]
fn gangs_on_the_lingjun_tree() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/traces/lingjun-2023/topo.csv.gz");
    let Ok(bytes) = std::fs::read(&path) else {
        return println!("skipped: no ../shared/traces/lingjun-2023/topo.csv.gz beside the repository");
    };
    let mut text = String::new();
    GzDecoder::new(bytes.as_slice()).read_to_string(&mut text).expect("a table in gzip");
    let founding = founding(&text);
    assert_eq!(founding.nodes.len(), 847);
    let leaf_of = |node: &madang_model::Node| (node.island == IslandId::new(0)).then_some(node.path[1]);
    let sizes = counts(founding.nodes.iter().filter_map(leaf_of));
    let (largest, leaves) = (*sizes.iter().max().expect("leaves"), sizes.len());
    println!("{} hosts, {leaves} leaves of {} to {largest}", founding.nodes.len(), sizes.iter().min().unwrap_or(&0));

    let required = |level: &str| Topology { required: Some(level.into()), ..Topology::default() };
    let mut centre = Centre::new(founding);
    // One leaf holds its largest gang, and no larger one; the level is named.
    let whole = centre.gang(largest as u32, required("leaf")).expect("the largest leaf is empty");
    assert_eq!(counts(whole.iter().map(|rank| rank.1)), [largest]);
    assert_eq!(centre.gang(largest as u32 + 1, required("leaf")), None);
    // Ranks go leaf by leaf; a gang beyond one leaf goes over the fewest, in equal shares.
    let wide = centre.gang(32, Topology { preferred: Some("leaf".into()), ..Topology::default() }).expect("room");
    let shares = counts(wide.iter().map(|rank| rank.1));
    assert_eq!(shares.len(), 32usize.div_ceil(largest));
    assert!(shares.iter().max().unwrap_or(&0) - shares.iter().min().unwrap_or(&0) <= 1, "{shares:?}");
    assert!(wide.is_sorted());
    // Segments of eight stay within leaves while the whole stays in one pod.
    let segments = centre.gang(64, Topology { segment: Some(8), ..required("leaf") }).expect("room");
    assert!(segments.chunks(8).all(|ranks| ranks.iter().all(|rank| *rank == ranks[0])));
    assert_eq!(counts(segments.iter().map(|rank| rank.0)).len(), 1);
}
