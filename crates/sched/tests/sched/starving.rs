//! Nobody starves: a gang that is promised a start has it within a bound, whatever crowd there is around it.
//!
//! The bound is that of `promise.rs`: with Q promises standing and L the longest limit, a promise lies at most
//! (Q + 1) x (L + grace) ahead when it is given, with a margin for each where that is far.
use crate::common::*;
use madang_model::{Founding, Health, JobId, NodeId, PartyId, ProjectId, Qos, Request, RunId, UserId};
use madang_sched::{Ask, BrokenBy, Config, Event, PromiseEnd, Scheduler, Step};
use proptest::prelude::*;
use std::collections::BTreeMap;

pub const MINUTE: u64 = 60;
pub const HOUR: u64 = 3600;
pub const GRACE: u64 = MINUTE;
/// Of the jobs of the crowd.
pub const LONGEST: u64 = 4 * HOUR;
/// The gang that is watched.
pub const GANG: u64 = 1_000_000;
/// From here on a promise has a margin, and at most so much of it.
const FAR: u64 = 48 * HOUR;
const MARGIN: u64 = 14 * 24 * HOUR;
/// When it comes, and when nodes begin to stay up.
pub const COMES: u64 = 2 * HOUR;
const CALM: u64 = 6 * HOUR;

/// What a crowd does every ten minutes.
#[derive(Clone, Copy, Debug)]
pub struct Crowd {
    /// Jobs of one GPU of the gang's own user.
    pub own: u64,
    /// Jobs of owners by turns.
    pub by_turns: u64,
    /// The crowd asks for high urgency.
    pub high: bool,
    /// Gangs of half an island.
    pub gangs: bool,
    /// Equal jobs that come together at the beginning.
    pub array: u64,
    /// Nodes go down and come back.
    pub flaps: bool,
    pub seed: u64,
}

/// How far ahead a promise lies at most when it is given, by the longest limit and how many stand.
pub fn ahead(promises: u64, longest: u64) -> u64 {
    let plain = (promises + 1) * (longest + GRACE);
    if plain <= FAR { plain } else { plain + (promises + 1) * MARGIN }
}

pub struct World {
    pub sched: Scheduler,
    pub now: u64,
    wake: Option<u64>,
    ends: BTreeMap<RunId, u64>,
    next: u64,
    dice: u64,
    /// Runs end at their limits.
    punctual: bool,
    /// Promises of the gang that were broken.
    pub broken: Vec<BrokenBy>,
    pub started: Option<u64>,
    /// Most promises that stood.
    pub most: u64,
}

impl World {
    pub fn new(config: Config, founding: &Founding, seed: u64) -> World {
        let mut sched = Scheduler::new(config, founding);
        // Project 4 is of owner 0 and the gang's alone; owner 2 has no share.
        sched.step(at(0), [project(1, 0), project(2, 1), project(3, 2), project(4, 0)].concat());
        let (wake, ends, broken) = (None, BTreeMap::new(), Vec::new());
        World { sched, now: 0, wake, ends, next: 1, dice: seed | 1, punctual: false, broken, started: None, most: 0 }
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.dice % sides
    }

    pub fn ask(&mut self, of: u32, request: Request, limit: u64) -> Ask {
        self.next += 1;
        let ask = ask(self.next, request, limit);
        Ask { project: ProjectId::new(of), user: UserId::new(of), since: at(self.now), ..ask }
    }

    /// What happens until that moment, and then these events.
    pub fn until(&mut self, then: u64, events: Vec<Event>) {
        loop {
            let due = self.ends.values().copied().chain(self.wake).min().filter(|due| *due < then);
            let Some(due) = due else { break };
            self.now = self.now.max(due);
            self.step(Vec::new());
        }
        self.now = then;
        self.step(events);
    }

    fn step(&mut self, mut events: Vec<Event>) -> Step {
        let over: Vec<RunId> = self.ends.iter().filter(|(_, end)| **end <= self.now).map(|(run, _)| *run).collect();
        for run in over {
            self.ends.remove(&run);
            events.push(Event::Ended(run));
        }
        let step = self.sched.step(at(self.now), events);
        for start in &step.starts {
            let limit = start.until.since(at(self.now)).millis() / 1000;
            // One in four is there to the last, the others end early.
            let length = if self.punctual || self.roll(4) == 0 { limit } else { 1 + self.roll(limit) };
            self.ends.insert(start.run, self.now + length);
            if start.run.job == JobId::new(GANG) {
                self.started = Some(self.now);
            }
        }
        for stop in &step.stops {
            let end = self.ends.get_mut(&stop.run).unwrap();
            *end = (*end).min(self.now + stop.grace.millis() / 1000);
        }
        for (job, end) in &step.promises {
            if let PromiseEnd::Broken { cause, .. } = end
                && *job == JobId::new(GANG)
            {
                self.broken.push(*cause);
            }
        }
        self.most = self.most.max(self.sched.promises().count() as u64);
        self.wake = step.wake.map(|wake| (wake.millis() / 1000).max(self.now));
        step
    }

    /// What the crowd asks for in ten minutes.
    pub fn crowd(&mut self, crowd: Crowd, gang_is_there: bool) -> Vec<Event> {
        let mut asks = Vec::new();
        for _ in 0..if gang_is_there { crowd.own } else { 0 } {
            let limit = 1 + self.roll(HOUR);
            asks.push(Ask { user: UserId::new(9), ..self.ask(4, request(1, 1), limit) });
        }
        for turn in 0..crowd.by_turns {
            let of = 1 + ((self.now / 600 + turn) % 3) as u32;
            let (gpus, limit) = (1 + self.roll(8) as u32, 1 + self.roll(LONGEST));
            asks.push(self.ask(of, request(1, gpus), limit));
        }
        if crowd.gangs {
            let (of, limit) = (1 + self.roll(3) as u32, 1 + self.roll(LONGEST));
            asks.push(self.ask(of, request(2, 8), limit));
        }
        if crowd.high {
            let not_own = |ask: &&mut Ask| ask.project != ProjectId::new(4);
            asks.iter_mut().filter(not_own).for_each(|ask| ask.qos = Qos::High);
        }
        if self.now == 0 {
            asks.extend((0..crowd.array).map(|_| self.ask(1, request(1, 8), LONGEST)).collect::<Vec<_>>());
        }
        asks.into_iter().map(Event::Queued).collect()
    }

    fn flap(&mut self) -> Event {
        let node = NodeId::new(self.roll(8) as u32);
        let down = self.roll(2) == 0;
        Event::Node(node, if down { Health::Drain { why: "flap".into() } } else { Health::Up })
    }
}

/// Two islands of two racks of two nodes.
pub fn centre() -> Founding {
    estate(&[(2, 2, 8), (2, 2, 8)])
}

/// One that fits a rack, one that fits an island, one as large as the estate.
pub fn gangs() -> [Request; 3] {
    let mut racked = request(2, 8);
    racked.topology.required = Some("rack".into());
    let mut whole = request(8, 8);
    whole.across_islands = true;
    [racked, request(4, 8), whole]
}

fn crowds() -> impl Strategy<Value = Crowd> {
    (0..12u64, 0..12u64, any::<bool>(), any::<bool>(), 0..40u64, any::<bool>(), any::<u64>()).prop_map(
        |(own, by_turns, high, gangs, array, flaps, seed)| Crowd { own, by_turns, high, gangs, array, flaps, seed },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn a_gang_starts_within_the_bound_in_any_crowd(crowd in crowds(), gang in 0..3usize, promises in 1..5u32) {
        let config = Config { promises, ..Config::default() };
        let mut world = World::new(config, &centre(), crowd.seed);
        let mut bound = None;
        for tick in 0.. {
            let now = tick * 600;
            let mut events = world.crowd(crowd, now > COMES);
            if now == COMES {
                let mut ask = ask(GANG, gangs()[gang].clone(), LONGEST);
                (ask.project, ask.user, ask.since) = (ProjectId::new(4), UserId::new(9), at(now));
                events.push(Event::Queued(ask));
            }
            if crowd.flaps && now < CALM {
                events.push(world.flap());
            } else if now == CALM {
                events.extend((0..8).map(|node| Event::Node(NodeId::new(node), Health::Up)));
            }
            world.until(now, events);
            if world.started.is_some() {
                break;
            }
            let promise = world.sched.promise(JobId::new(GANG)).map(|promise| promise.start.millis() / 1000);
            if let Some(start) = promise.filter(|_| now == COMES) {
                prop_assert!(start <= now + ahead(world.most, LONGEST), "{start} s");
            }
            // A first wait for a place among its owner's promises, one until the promise is due, and again as long for
            // each time that it was put off.
            let again = world.broken.iter().filter(|cause| matches!(cause, BrokenBy::Reclaimed(_))).count() as u64;
            let since = if crowd.flaps { CALM.max(COMES) } else { COMES };
            prop_assert!(again <= 2, "{:?}", world.broken);
            let latest = since + (2 + again) * ahead(world.most, LONGEST);
            bound = Some(latest);
            prop_assert!(now <= latest, "waits at {now} s, bound {latest} s, {:?}", world.broken);
        }
        prop_assert!(world.sched.audit().is_empty(), "{:?}", world.sched.audit());
        let flapped = |cause: &BrokenBy| crowd.flaps && matches!(cause, BrokenBy::Node(_));
        let excused = |cause: &BrokenBy| flapped(cause) || matches!(cause, BrokenBy::Reclaimed(_));
        prop_assert!(world.broken.iter().all(excused), "{:?} {bound:?}", world.broken);
    }
}

#[test]
fn a_promise_gives_way_twice_and_then_no_more_however_far_off_it_is() {
    // Runs take longer than the window within which a job is put off at most twice.
    let length = 30 * HOUR;
    let mut founding = centre();
    founding.sites[0].shares = vec![(PartyId::new(0), 5000), (PartyId::new(1), 5000)];
    let mut world = World::new(Config::default(), &founding, 1);
    world.punctual = true;
    let mut whole = ask(GANG, gangs()[2].clone(), HOUR);
    (whole.project, whole.since) = (ProjectId::new(4), at(HOUR));
    for tick in 0..400 {
        let mut events = Vec::new();
        // The gang's owner has work that ends before any promise is due, so that it is always the better served.
        events.extend((0..2).map(|_| Event::Queued(world.ask(1, request(1, 8), 5 * HOUR))));
        // The other owner comes back for something of its own twice a day.
        if tick % 13 == 0 {
            events.push(Event::Queued(world.ask(2, request(1, 8), length)));
        }
        if tick == 1 {
            events.push(Event::Queued(whole.clone()));
        }
        world.until(tick * HOUR, events);
        if world.started.is_some() {
            break;
        }
    }
    let put_off = world.broken.iter().filter(|cause| matches!(cause, BrokenBy::Reclaimed(_))).count();
    assert_eq!(put_off, 2, "{:?}", world.broken);
    let started = world.started.expect("the gang starts");
    assert!(started <= 4 * (length + GRACE), "{started} s");
}

/// Who has something to promise beside a user that withdraws its promised jobs just before they start and asks again.
fn beside_a_hoarder(of: u32, user: u32) {
    let mut world = World::new(Config::default(), &centre(), 3);
    let mut hoarded: Vec<JobId> = Vec::new();
    for tick in 0.. {
        let now = tick * 600;
        // Both owners have more than fits, and the first always has four gangs that never come to run.
        let flood = Crowd { own: 0, by_turns: 6, high: false, gangs: false, array: 0, flaps: false, seed: 3 };
        let mut events = world.crowd(flood, false);
        let soon = |job: &JobId| world.sched.promise(*job).is_some_and(|promise| promise.start <= at(now + 1200));
        let (dropped, kept) = hoarded.iter().partition::<Vec<JobId>, _>(|job| soon(job));
        events.extend(dropped.into_iter().map(Event::Withdrawn));
        hoarded = kept;
        while hoarded.len() < 4 {
            let ask = world.ask(4, gangs()[2].clone(), LONGEST);
            hoarded.push(ask.run.job);
            events.push(Event::Queued(ask));
        }
        if now == COMES {
            let ask = ask(GANG, gangs()[2].clone(), LONGEST);
            let (project, user) = (ProjectId::new(of), UserId::new(user));
            events.push(Event::Queued(Ask { project, user, since: at(now), ..ask }));
        }
        world.until(now, events);
        if world.started.is_some() {
            break;
        }
        let again = world.broken.iter().filter(|cause| matches!(cause, BrokenBy::Reclaimed(_))).count() as u64;
        let latest = COMES + (2 + again) * ahead(world.most, LONGEST);
        assert!(now <= latest, "waits at {now} s, bound {latest} s, {:?}", world.broken);
    }
}

#[test]
fn who_withdraws_before_the_start_and_asks_again_holds_up_no_other_owner() {
    beside_a_hoarder(2, 9);
}

#[test]
fn who_withdraws_before_the_start_and_asks_again_leaves_its_place_to_others_of_its_owner() {
    // In the same project, and in one that has long been served.
    beside_a_hoarder(4, 9);
    beside_a_hoarder(1, 9);
}
