//! Many sites: of those that have room the one that is reached best, and promises that count on the data's way.
use crate::common::*;
use madang_model::{JobId, Reach, Request, SiteId, Span};
use madang_sched::{Event, Scheduler};
use proptest::prelude::*;

const SITES: u32 = 3;

/// Three sites of islands that differ in size, the first of them with two.
fn three() -> Scheduler {
    let mut founding = empty();
    for id in 0..SITES {
        founding.sites.push(site(id, &[(0, 10_000)]));
    }
    for (island, (site, racks, nodes, gpus)) in (0..).zip([(0, 1, 3, 4), (0, 1, 2, 8), (1, 2, 2, 8), (2, 1, 4, 4)]) {
        add_island(&mut founding, site, island, racks, nodes, gpus);
    }
    sched(&founding)
}

/// A gang that may go to all three, reached as told: (rank, minutes) of each.
fn wanted((nodes, gpus): (u32, u32), across: bool, reach: &[(u32, u64)]) -> Request {
    let alike = reach.iter().all(|one| *one == reach[0]);
    let reach = (0..).zip(reach).map(|(site, (rank, minutes))| Reach {
        site: SiteId::new(site),
        rank: *rank,
        delay: Span::from_mins(*minutes),
    });
    let reach = if alike { Vec::new() } else { reach.collect() };
    let sites = (0..SITES).map(SiteId::new).collect();
    Request { sites, across_islands: across, reach, ..request(nodes, gpus) }
}

/// The same at one site alone.
fn only(request: &Request, site: SiteId) -> Request {
    Request { sites: vec![site], reach: Vec::new(), ..request.clone() }
}

/// Nodes and GPUs of each, whether it may span islands, rank and minutes of each site, limit in seconds.
type Drawn = ((u32, u32), bool, Vec<(u32, u64)>, u64);

fn drawn() -> impl Strategy<Value = Drawn> {
    let size = (1u32..=5, prop::sample::select(vec![1u32, 2, 4, 8]));
    let reach = prop::collection::vec((0u32..3, prop::sample::select(vec![0u64, 3, 45, 500])), SITES as usize);
    (size, any::<bool>(), reach, 600u64..20_000)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Each job beside the same job at one site alone, tried on a copy for every site: it starts where the best of those
    /// starts that start at all; else its promise is the best that any of them gets.
    #[test]
    fn the_best_site_of_those_that_have_room(jobs in prop::collection::vec(drawn(), 1..24)) {
        let mut sched = three();
        for (number, (size, across, reach, limit)) in (1u64..).zip(jobs) {
            let request = wanted(size, across, &reach);
            let alone = |site: u32| {
                let mut copy = sched.clone();
                let asked = Event::Queued(ask(number, only(&request, SiteId::new(site)), limit));
                let starts = !step(&mut copy, number, vec![asked]).starts.is_empty();
                (starts, copy.promise(JobId::new(number)).map(|promise| promise.start))
            };
            let tried: Vec<_> = (0..SITES).map(alone).collect();
            let (rank, delay) = (|site: u32| request.rank_of(SiteId::new(site)), |site: u32| request.delay_to(SiteId::new(site)));
            let best = (0..SITES).filter(|site| tried[*site as usize].0).map(rank).min();
            let asked = Event::Queued(ask(number, request.clone(), limit));
            let found = step(&mut sched, number, vec![asked]);
            let site_of = |on: &madang_model::Allocation| match on.slots[0].node.number() { 0..=4 => 0, 5..=8 => 1, _ => 2 };
            let started = found.starts.iter().find(|start| start.run == run(number)).map(|start| site_of(&start.on));
            prop_assert_eq!(started.map(rank), best, "{:?} of {:?}", started, request);
            if started.is_none() && let Some(promise) = sched.promise(JobId::new(number)) {
                let there = |site: u32| Some((tried[site as usize].1?.after(delay(site)), delay(site)));
                let soonest = (0..SITES).filter_map(there).min();
                let site = site_of(&promise.on);
                prop_assert_eq!(Some((promise.start.after(delay(site)), delay(site))), soonest, "{:?}", request);
            }
        }
    }
}
