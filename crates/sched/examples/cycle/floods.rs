//! Floods: queues that somebody would have to make on purpose, each to press where a cycle might cost by jobs.
//!
//! Each flood fills a queue beside a full estate of 4,000 GPUs, then goes on for a while as a few runs end in each step
//! and as much comes again.
use crate::world::{Shape, World, part_of, processor};
use madang_model::{GpuTime, JobId, PartyId, ProjectId, Qos, Span, UserId};
use madang_sched::{Ask, Budget, Event};

/// Jobs of a flood.
const JOBS: u64 = 200_000;
/// Different ones among them.
const KINDS: u64 = 100_000;
/// Owners of projects that have no share of any site.
const OWNERS: u64 = 1_000;
/// Owners that ask for gangs: each promise costs by the promises that stand on its nodes.
const BUSY: u64 = 50;
/// Steps that are timed, and nanoseconds after which no other is begun.
const STEPS: u64 = 300;
const PATIENCE: u64 = 20_000_000_000;

/// A name and what makes its job of this number out of a job of one GPU for an hour.
type Flood = (&'static str, fn(u64, &mut Ask));

const FLOODS: [Flood; 8] = [
    ("array", |_, ask| mine(ask)),
    ("limits", |at, ask| {
        mine(ask);
        ask.limit = Span::from_secs(600 + at % KINDS);
    }),
    ("nices", |at, ask| {
        mine(ask);
        ask.nice = (at % KINDS) as i32;
        ask.limit = Span::from_secs(600 + at % 1000);
    }),
    ("urgencies", |at, ask| {
        mine(ask);
        ask.qos = [Qos::Low, Qos::Normal, Qos::High][(at % 3) as usize];
        ask.limit = Span::from_secs(600 + at % KINDS);
    }),
    ("shapes", |at, ask| {
        mine(ask);
        ask.request.parts[0].memory_mib = 1000 + at % KINDS;
    }),
    ("users", |at, ask| {
        ask.project = ProjectId::new(1);
        ask.user = UserId::new((at % KINDS) as u32);
    }),
    ("owners", |at, ask| ask.project = ProjectId::new(FIRST + (at % OWNERS) as u32)),
    ("gangs", |at, ask| {
        ask.project = ProjectId::new(FIRST + (at % BUSY) as u32);
        ask.request.parts[0].nodes = 2 + (at % 60) as u32;
        ask.request.parts[0].gpus = 8;
        ask.qos = Qos::High;
    }),
];

/// The first project of the many owners.
const FIRST: u32 = 10;

fn mine(ask: &mut Ask) {
    ask.project = ProjectId::new(1);
    ask.user = UserId::new(7);
}

/// All floods, or the one of this name.
pub fn all(only: Option<&str>) {
    for (name, make) in FLOODS.iter().filter(|(name, _)| only.is_none_or(|only| only == *name)) {
        flood(name, *make);
    }
}

fn flood(name: &str, make: fn(u64, &mut Ask)) {
    let mut world = World::full(Shape { gpus: Some(4000), projects: 4, waiting: 10, seed: 0 });
    if name == "owners" || name == "gangs" {
        world.step(owners());
    }
    let jobs = if name == "gangs" { 4 * OWNERS } else { JOBS };
    let (mut number, begin) = (0, processor());
    while number < jobs {
        let events = (0..1000).map(|_| next(&mut world, &mut number, make)).collect();
        world.step(events);
    }
    let intake = processor() - begin;
    let (mut times, begin) = (Vec::new(), processor());
    for round in 0..STEPS {
        if processor() - begin > PATIENCE {
            break;
        }
        let mut events = world.ends(1 + round % 4);
        events.extend((0..4).map(|_| next(&mut world, &mut number, make)));
        // What was asked for a moment ago is not wanted any more: the queue stays as long as it was.
        events.push(Event::Withdrawn(JobId::new(world.last())));
        times.push(world.timed(events).1);
    }
    assert!(world.sched.audit().is_empty(), "{:?}", world.sched.audit());
    times.sort_unstable();
    let us = |part: usize| part_of(&times, part) as f64 / 1e3;
    println!(
        "flood name={name} waiting={} promises={} p50={:.1} p99={:.1} max={:.1} intake_ms={:.0} steps={}",
        world.sched.pending(),
        world.sched.promises().count(),
        us(50),
        us(99),
        us(100),
        intake as f64 / 1e6,
        times.len()
    );
}

fn next(world: &mut World, number: &mut u64, make: fn(u64, &mut Ask)) -> Event {
    *number += 1;
    let mut event = world.ask(1, 1, 3600);
    if let Event::Queued(ask) = &mut event {
        make(*number, ask);
    }
    event
}

fn owners() -> Vec<Event> {
    let project = |at: u64| {
        let id = ProjectId::new(FIRST + at as u32);
        let budget = Budget::Left(GpuTime::from_hours(1_000_000));
        [Event::Project { id, owner: PartyId::new(100 + at as u32), weight: 1 }, Event::Budget(id, budget)]
    };
    (0..OWNERS).flat_map(project).collect()
}
