//! Queues that somebody makes on purpose: places for promises that are hoarded, and floods of unlike requests.
use crate::common::*;
use crate::starving::*;
use madang_model::{JobId, ProjectId, RunId, UserId};
use madang_sched::{Ask, BrokenBy, Config, Event, Scheduler};
use std::collections::{BTreeSet, VecDeque};

/// What somebody of the owner does every hour to keep its places; who has asked for what stands in `held`.
type Trick = fn(&mut World, held: &mut VecDeque<JobId>, tick: u64) -> Vec<Event>;

/// Users of a project that has used nothing, with whom nobody else of the owner would come to a place by use.
const AGREE: u64 = 3;

/// Seconds between two acts.
const TICK: u64 = HOUR;

/// True of a job that has a promise and is about to start.
fn is_due(world: &World, job: JobId) -> bool {
    world.sched.promise(job).is_some_and(|promise| promise.start <= at(world.now + 2 * TICK))
}

/// A gang of the whole estate of a user of project 4.
fn gang_of(world: &mut World, user: u64, limit: u64) -> Ask {
    let ask = world.ask(4, gangs()[2].clone(), limit);
    Ask { user: UserId::new(100 + user as u32), ..ask }
}

/// Withdraws what is due and asks again, as the user whom `who` names.
fn ask_again(world: &mut World, held: &mut VecDeque<JobId>, who: impl Fn(u64) -> u64) -> Vec<Event> {
    let due: Vec<JobId> = held.iter().copied().filter(|job| is_due(world, *job)).collect();
    held.retain(|job| !due.contains(job));
    let mut events: Vec<Event> = due.into_iter().map(Event::Withdrawn).collect();
    for place in held.len() as u64..4 * AGREE {
        let ask = gang_of(world, who(place), LONGEST);
        held.push_back(ask.run.job);
        events.push(Event::Queued(ask));
    }
    events
}

/// Users who agree: while one pauses, the others take the places.
fn agreeing(world: &mut World, held: &mut VecDeque<JobId>, tick: u64) -> Vec<Event> {
    ask_again(world, held, |place| (tick + place) % AGREE)
}

/// Each time users that were never there before.
fn ever_new(world: &mut World, held: &mut VecDeque<JobId>, tick: u64) -> Vec<Event> {
    ask_again(world, held, |place| 10 * tick + place)
}

/// Nobody withdraws, but what starts is over in a minute, so that hardly anything is used.
fn brief(world: &mut World, held: &mut VecDeque<JobId>, _: u64) -> Vec<Event> {
    held.retain(|job| world.sched.explain(at(world.now), *job).is_some());
    let mut events = Vec::new();
    while held.len() < 8 {
        let ask = gang_of(world, 1, MINUTE);
        held.push_back(ask.run.job);
        events.push(Event::Queued(ask));
    }
    events
}

/// Each that is due hands its place on to one that is a little more urgent.
fn handing_on(world: &mut World, held: &mut VecDeque<JobId>, tick: u64) -> Vec<Event> {
    let mut events = Vec::new();
    for job in core::mem::take(held) {
        if is_due(world, job) || tick == 0 {
            let ask = Ask { nice: -(world.now as i32) - held.len() as i32, ..gang_of(world, 1, LONGEST) };
            held.push_back(ask.run.job);
            events.push(Event::Queued(ask));
        } else {
            held.push_back(job);
        }
    }
    while held.len() < 4 {
        let ask = gang_of(world, 1, LONGEST);
        held.push_back(ask.run.job);
        events.push(Event::Queued(ask));
    }
    events
}

/// When a gang of the whole estate starts whose user and project have used much, beside such a trick; seconds after it
/// came, and the bound.
fn beside(trick: Trick, promises: u32) -> (u64, u64) {
    let mut world = World::new(Config { promises, ..Config::default() }, &centre(), 3);
    let mut held = VecDeque::new();
    for tick in 0.. {
        let now = tick * TICK;
        let flood = Crowd { own: 0, by_turns: 14, high: false, gangs: false, array: 0, flaps: false, seed: 3 };
        let mut events = world.crowd(flood, false);
        events.extend(trick(&mut world, &mut held, tick));
        if now == COMES {
            let ask = ask(GANG, gangs()[2].clone(), LONGEST);
            events.push(Event::Queued(Ask { project: ProjectId::new(1), user: UserId::new(9), since: at(now), ..ask }));
        }
        world.until(now, events);
        // Those of its owner who stood in line when it came: the users who agree and one of project 1.
        let line = AGREE + 2;
        let again = world.broken.iter().filter(|cause| matches!(cause, BrokenBy::Reclaimed(_))).count() as u64;
        let turns = line * 4_u64.div_ceil(u64::from(promises));
        let bound = 7 * 24 * HOUR + (1 + again + 2 * turns) * ahead(world.most, LONGEST);
        if let Some(started) = world.started {
            assert!(world.sched.audit().is_empty(), "{:?}", world.sched.audit());
            return (started - COMES, bound);
        }
        assert!(now <= COMES + bound, "waits at {now} s, bound {bound} s, {:?}", world.broken);
    }
    unreachable!("the loop ends by a return")
}

#[test]
fn nobody_keeps_the_places_of_its_owner_from_others() {
    let tricks: [(&str, Trick); 4] =
        [("agreeing", agreeing), ("ever new", ever_new), ("brief", brief), ("handing on", handing_on)];
    for promises in [1, 4] {
        for (name, trick) in tricks {
            let (waited, bound) = beside(trick, promises);
            // The bound is for promises in a row; they lie beside each other.
            assert!(waited <= bound, "{name} with {promises}: {waited} s of {bound} s");
        }
    }
}

/// A job that asks for what no other asks for.
fn unlike(number: u64) -> Ask {
    let mut ask = ask(number, request(1, 1), HOUR);
    ask.request.parts[0].memory_mib = 1 + number % 1024;
    ask.request.parts[0].cpus = 1 + (number / 1024) as u32;
    Ask { since: at(number / 100), ..ask }
}

#[test]
fn a_flood_of_unlike_requests_is_looked_at_in_part_and_none_is_forgotten() {
    const FLOOD: u64 = 3000;
    let founding = estate(&[(1, 2, 8)]);
    let mut sched = sched(&founding);
    sched.step(at(0), project(2, 0));
    let (mut running, mut started): (BTreeSet<RunId>, BTreeSet<JobId>) = Default::default();
    let mut now = 1;
    let mut events: Vec<Event> = (1..=FLOOD).map(|number| Event::Queued(unlike(number))).collect();
    loop {
        let step = sched.step(at(now), events);
        assert!(step.report.tries <= 1100, "{} tries in a step", step.report.tries);
        started.extend(step.starts.iter().map(|start| start.run.job));
        running.extend(step.starts.iter().map(|start| start.run));
        events = Vec::new();
        if step.wake != Some(at(now)) {
            now += 60;
            events.extend(core::mem::take(&mut running).into_iter().map(Event::Ended));
        }
        if now % 3600 == 1 {
            assert!(sched.audit().is_empty(), "{:?}", sched.audit());
            let again = Scheduler::restore(Config::default(), &founding, sched.snapshot());
            assert_eq!(again.snapshot(), sched.snapshot());
            let (mut one, mut other) = (sched.clone(), again);
            assert_eq!(one.step(at(now), events.clone()), other.step(at(now), events.clone()));
        }
        if now == 601 {
            // Somebody else comes to its own at once.
            let mine = Ask {
                project: ProjectId::new(2),
                user: UserId::new(2),
                since: at(now),
                ..ask(9000, request(2, 8), HOUR)
            };
            events.push(Event::Queued(mine));
            // What is withdrawn from behind is gone.
            events.push(Event::Withdrawn(JobId::new(FLOOD)));
        } else if now == 1201 {
            assert!(started.contains(&JobId::new(9000)), "a gang that is next starts within minutes");
        }
        if events.is_empty() && running.is_empty() {
            break;
        }
    }
    assert_eq!((started.len() as u64, sched.pending()), (FLOOD, 0));
}

#[test]
fn an_owner_has_its_turn_however_many_are_founded_that_have_used_less() {
    // So many for each that nine owners are more than have their promises at once.
    const EACH: u32 = 64;
    const SHORT: u64 = 10 * MINUTE;
    let mut world = World::new(Config { promises: EACH, ..Config::default() }, &centre(), 3);
    let mut owners = 0;
    for tick in 0.. {
        let now = tick * SHORT;
        let mut events = Vec::new();
        if tick == 0 {
            events.push(Event::Queued(world.ask(1, gangs()[2].clone(), COMES - HOUR)));
        }
        // Ten owners with more than can be promised, and then as much every ten minutes as runs in that time.
        let (founded, gangs) = if tick == 1 { (10, EACH) } else { (u32::from(tick > 1), 12) };
        for _ in 0..founded {
            owners += 1;
            events.extend(project(100 + owners, 100 + owners));
            events.extend((0..gangs).map(|_| Event::Queued(world.ask(100 + owners, request(2, 8), SHORT))));
        }
        if now == COMES {
            let ask = ask(GANG, request(2, 8), SHORT);
            events.push(Event::Queued(Ask { project: ProjectId::new(1), user: UserId::new(9), since: at(now), ..ask }));
        }
        world.until(now, events);
        if world.started.is_some() {
            break;
        }
        // A turn comes once those who stood there before had theirs, a start when what is promised is over.
        let bound = 2 * (world.most + 1) * (SHORT + GRACE);
        assert!(now <= COMES + bound, "waits at {now} s, bound {bound} s");
    }
    assert!(world.sched.audit().is_empty(), "{:?}", world.sched.audit());
}
