//! Elastic gangs: as many nodes as are free, larger and smaller at checkpoints, and on with the spares after a loss.
use crate::common::*;
use expect_test::expect;
use madang_model::{Elastic, Founding, GpuTime, Health, JobId, NodeId, PartyId, ProjectId, Qos, RunId, Span, Time};
use madang_sched::{Ask, BrokenBy, Budget, Config, Event, Lending, PromiseEnd, Scheduler, Step, Taking};
use proptest::prelude::*;
use std::collections::BTreeMap;

const MINUTE: u64 = 60;
const HOUR: u64 = 3600;

/// A job of so many nodes of eight GPUs, its size chosen when it starts.
fn moldable(id: u64, least: u32, most: u32) -> Ask {
    let mut ask = ask(id, request(least, 8), 10 * HOUR);
    ask.request.elastic = Some(Elastic { most, restart: None });
    ask
}

/// One that may be resized, and writes a checkpoint every half hour.
fn elastic(id: u64, least: u32, most: u32) -> Ask {
    let mut ask = moldable(id, least, most);
    ask.request.elastic = Some(Elastic { most, restart: Some(Span::from_mins(5)) });
    ask.checkpoint = Some(Span::from_mins(30));
    ask
}

/// What was decided, by job: `stop job-1 for job-1`, `job-1: n0[ff]`.
fn told(step: &Step) -> String {
    let stops: String = step.stops.iter().map(|stop| format!("stop {} for {}\n", stop.run.job, stop.by)).collect();
    stops + &starts(step)
}

/// The run is gone and its job queued again, as the centre does in one step.
fn again(old: &Ask) -> (Ask, Vec<Event>) {
    let next = Ask { run: RunId { attempt: old.run.attempt + 1, ..old.run }, ..old.clone() };
    (next.clone(), vec![Event::Ended(old.run), Event::Queued(next)])
}

#[test]
fn a_gang_starts_with_as_many_nodes_as_are_free() {
    // Nodes of the rack that are free; fewest and most asked for; segments -> nodes that it gets.
    let gets = |free: u32, least: u32, most: u32, segment: Option<u32>| {
        let mut sched = sched(&estate(&[(1, 8, 8)]));
        if free < 8 {
            step(&mut sched, 1, vec![queued(1, 8 - free, 8, HOUR)]);
        }
        let mut ask = moldable(2, least, most);
        ask.request.topology.segment = segment;
        step(&mut sched, 2, vec![Event::Queued(ask)]).starts.first().map_or(0, |start| start.on.slots.len())
    };
    assert_eq!(gets(8, 2, 6, None), 6);
    assert_eq!(gets(4, 2, 6, None), 4);
    assert_eq!(gets(2, 2, 6, None), 2);
    assert_eq!(gets(1, 2, 6, None), 0, "never below its fewest");
    assert_eq!(gets(8, 2, 100, None), 8);
    assert_eq!(gets(7, 2, 8, Some(2)), 6, "whole segments");
    assert_eq!(gets(8, 4, 7, Some(4)), 4);
}

#[test]
fn it_takes_nothing_that_is_promised_and_no_more_than_it_may_pay_and_hold() {
    let founding = estate(&[(1, 8, 8)]);
    let mut sched = sched(&founding);
    // Four nodes are busy for an hour; job 2 is promised six nodes then, so that two are left to backfill for longer.
    step(&mut sched, 1, vec![queued(1, 4, 8, HOUR), queued(2, 6, 8, HOUR)]);
    let taken = step(&mut sched, 2, vec![Event::Queued(moldable(3, 1, 8))]);
    assert_eq!(taken.starts[0].on.slots.len(), 2);
    assert!(sched.promise(JobId::new(2)).is_some_and(|promise| promise.start <= at(1 + HOUR + MINUTE)));
    // Ten hours of three nodes of eight GPUs are all that is left.
    let mut sched = crate::common::sched(&founding);
    let left = Budget::Left(GpuTime::from_hours(10 * 8 * 3 + 5));
    let poor = step(&mut sched, 1, vec![Event::Budget(ProjectId::new(1), left), Event::Queued(moldable(1, 2, 8))]);
    assert_eq!(poor.starts[0].on.slots.len(), 3);
    assert_eq!(sched.left(ProjectId::new(1)), Some(GpuTime::from_hours(5)));
    // An owner with 51% of 64 GPUs that borrows nothing: four nodes.
    let lending = [(PartyId::new(0), Lending { keep: 0, borrow: Some(0) })].into();
    let mut sched = Scheduler::new(Config { lending, ..Config::default() }, &founding);
    step(&mut sched, 1, project(1, 0));
    let bound = step(&mut sched, 2, vec![Event::Queued(moldable(1, 2, 8))]);
    assert_eq!(bound.starts[0].on.slots.len(), 4);
}

#[test]
fn a_run_grows_at_a_checkpoint_into_what_nobody_can_use() {
    let mut sched = sched(&estate(&[(1, 8, 8)]));
    let first = elastic(1, 2, 6);
    step(&mut sched, 0, vec![queued(9, 5, 8, HOUR)]);
    let begun = step(&mut sched, 0, vec![Event::Queued(first.clone())]);
    assert_eq!(begun.starts[0].on.slots.len(), 3);
    // The others leave early. Nothing happens before an hour and a checkpoint; then it is told to leave.
    let quiet = step(&mut sched, 20 * MINUTE, vec![Event::Ended(run(9))]);
    assert_eq!((told(&quiet), quiet.wake), (String::new(), Some(at(HOUR))));
    let grows = step(&mut sched, HOUR, vec![]);
    assert_eq!(told(&grows), "stop job-1 for job-1\n");
    // Its place is kept free, also from what would fit there.
    let other = step(&mut sched, HOUR + 10, vec![queued(2, 3, 8, HOUR)]);
    assert_eq!(told(&other), "");
    let left = Ask { limit: Span::from_secs(9 * HOUR), ..first };
    let (second, events) = again(&left);
    let back = step(&mut sched, HOUR + 30, events);
    expect!["job-1: n0[ff] n1[ff] n2[ff] n3[ff] n4[ff] n5[ff]\n"].assert_eq(&told(&back));
    // As large as it may be, it stays.
    let end = step(&mut sched, 4 * HOUR, vec![]);
    assert_eq!(told(&end), "");
    step(&mut sched, 4 * HOUR + 1, vec![Event::Ended(second.run)]);
}

#[test]
fn it_does_not_grow_for_little_nor_before_others() {
    let founding = estate(&[(1, 8, 8)]);
    let grows = |limit: u64, saved: Option<u64>, waits: bool| {
        let mut sched = sched(&founding);
        let mut ask = elastic(1, 2, 6);
        ask.limit = Span::from_secs(limit);
        step(&mut sched, 0, vec![queued(9, 5, 8, HOUR)]);
        step(&mut sched, 0, vec![Event::Queued(ask)]);
        step(&mut sched, 30 * MINUTE, vec![Event::Ended(run(9))]);
        let mut events: Vec<Event> = saved.map(|secs| Event::Saved(run(1), at(secs))).into_iter().collect();
        events.extend(waits.then(|| queued(2, 5, 8, 30 * MINUTE)));
        !step(&mut sched, 65 * MINUTE, events).stops.is_empty()
    };
    assert!(grows(10 * HOUR, Some(65 * MINUTE), false));
    assert!(!grows(10 * HOUR, None, false), "five minutes after the declared checkpoint");
    assert!(!grows(10 * HOUR, Some(60 * MINUTE), false), "five minutes after the reported one");
    assert!(!grows(80 * MINUTE, Some(65 * MINUTE), false), "what is left does not pay for the restart");
    assert!(!grows(10 * HOUR, Some(65 * MINUTE), true), "who waits comes first");
}

#[test]
fn a_victim_goes_on_smaller_on_what_it_keeps() {
    let mut founding = estate(&[(1, 8, 8)]);
    founding.sites[0].shares = [(0, 5000), (1, 5000)].map(|(id, part)| (PartyId::new(id), part)).to_vec();
    let mut sched = sched(&founding);
    step(&mut sched, 0, project(2, 1));
    // Owner 0 borrows all of it; a rigid gang of the same worth goes after the one that can go on smaller.
    let lent = elastic(1, 2, 4);
    let rigid = Ask { checkpoint: Some(Span::from_mins(30)), ..ask(3, request(4, 8), 10 * HOUR) };
    step(&mut sched, 1, vec![Event::Queued(lent.clone()), Event::Queued(rigid)]);
    let owner = Ask { project: ProjectId::new(2), ..ask(2, request(2, 8), HOUR) };
    let taken = step(&mut sched, 32 * MINUTE, vec![Event::Queued(owner)]);
    assert_eq!(told(&taken), "stop job-1 for job-2\n");
    // Somebody else would fit on what it keeps, and does not get it.
    let other = Ask { project: ProjectId::new(2), ..ask(4, request(2, 8), HOUR) };
    let (_, events) = again(&lent);
    let events = [vec![Event::Queued(other)], events].concat();
    let back = step(&mut sched, 34 * MINUTE, events);
    expect![[r#"
        job-1: n2[ff] n3[ff]
        job-2: n0[ff] n1[ff]
    "#]]
    .assert_eq(&told(&back));
}

#[test]
fn a_gang_larger_than_what_was_borrowed_gives_what_was() {
    let mut founding = estate(&[(1, 8, 8)]);
    founding.sites[0].shares = [(0, 5000), (1, 5000)].map(|(id, part)| (PartyId::new(id), part)).to_vec();
    let takes = |least: u32, asked: u32, resizes: bool| {
        let mut sched = sched(&founding);
        step(&mut sched, 0, project(2, 1));
        let all = if resizes { elastic(1, least, 8) } else { moldable(1, least, 8) };
        step(&mut sched, 1, vec![Event::Queued(all.clone())]);
        let owner = Ask { project: ProjectId::new(2), ..ask(2, request(asked, 8), HOUR) };
        let taken = step(&mut sched, 32 * MINUTE, vec![Event::Queued(owner)]);
        if taken.stops.is_empty() {
            return "nothing".to_owned();
        }
        let back = step(&mut sched, 34 * MINUTE, again(&all).1);
        let sizes = back.starts.iter().map(|start| format!("{} on {}", start.run.job, start.on.slots.len()));
        sizes.collect::<Vec<_>>().join(", ")
    };
    assert_eq!(takes(2, 3, true), "job-1 on 5, job-2 on 3");
    assert_eq!(takes(4, 4, true), "job-1 on 4, job-2 on 4");
    assert_eq!(takes(6, 2, true), "job-1 on 6, job-2 on 2");
    assert_eq!(takes(6, 3, true), "nothing", "it would be below its fewest");
    assert_eq!(takes(2, 3, false), "job-2 on 3, job-1 on 5", "one that cannot be resized goes whole: it is due four");
}

#[test]
fn after_a_loss_the_gang_goes_on_with_its_spare_at_once() {
    let mut sched = sched(&estate(&[(1, 8, 8)]));
    let mut first = ask(1, request(4, 8), 10 * HOUR);
    first.request.topology.spares = 1;
    first.checkpoint = Some(Span::from_mins(30));
    step(&mut sched, 0, vec![Event::Queued(first.clone()), queued(2, 4, 8, HOUR)]);
    // A job that would take whatever becomes free has waited for long, and its rank is better.
    step(&mut sched, 1, vec![Event::Queued(Ask { qos: Qos::High, ..ask(3, request(2, 8), HOUR) })]);
    let lost = NodeId::new(1);
    let down = Event::Node(lost, Health::Down { why: "fan".into() });
    step(&mut sched, 40 * MINUTE, vec![down, Event::Leaving(first.run)]);
    // The centre asks for what is left of it, for what is left of its limit.
    let mut fewer = first.clone();
    (fewer.request.parts[0].nodes, fewer.request.topology.spares) = (3, 0);
    fewer.limit = Span::from_secs(10 * HOUR - 30 * MINUTE);
    let (_, events) = again(&fewer);
    let back = step(&mut sched, 40 * MINUTE + 20, events);
    expect!["job-1: n0[ff] n2[ff] n3[ff]\n"].assert_eq(&told(&back));
}

/// What may happen next.
#[derive(Clone, Copy, Debug)]
enum Act {
    Submit { least: u32, more: u32, gpus: u32, hours: u64, resizes: bool, owner: u32 },
    End(usize),
    Save(usize),
    Down(u32),
    Up(u32),
    Wait(u64),
    Restart,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        5 => (1..4u32, 0..7u32, prop_oneof![Just(8u32), Just(4u32)], 2..24u64, any::<bool>(), 1..3u32).prop_map(
            |(least, more, gpus, hours, resizes, owner)| Act::Submit { least, more, gpus, hours, resizes, owner }
        ),
        4 => any::<usize>().prop_map(Act::End),
        3 => any::<usize>().prop_map(Act::Save),
        1 => (0..8u32).prop_map(Act::Down),
        2 => (0..8u32).prop_map(Act::Up),
        5 => (0..100u64).prop_map(Act::Wait),
        1 => Just(Act::Restart),
    ]
}

/// A small centre whose stopped runs leave within their grace and are queued again.
struct Life {
    founding: Founding,
    config: Config,
    sched: Scheduler,
    now: Time,
    asks: BTreeMap<JobId, Ask>,
    /// Runs, and when they are gone.
    runs: BTreeMap<RunId, Time>,
    leaving: BTreeMap<RunId, Time>,
    /// When each job was told to leave for a larger place.
    grown: BTreeMap<JobId, Vec<Time>>,
    next: u64,
    wake: Option<Time>,
}

impl Life {
    fn new() -> Life {
        let founding = estate(&[(2, 4, 8)]);
        let config = Config { taking: Taking { settle: Span::from_mins(1), ..Taking::default() }, ..Config::default() };
        let mut sched = Scheduler::new(config.clone(), &founding);
        sched.step(at(0), [project(1, 0), project(2, 1)].concat());
        let (asks, runs, leaving, grown) = Default::default();
        Life { founding, config, sched, now: at(0), asks, runs, leaving, grown, next: 1, wake: None }
    }

    fn act(&mut self, act: Act) {
        let nth = |runs: &BTreeMap<RunId, Time>, pick: usize| runs.keys().nth(pick % runs.len().max(1)).copied();
        match act {
            Act::Submit { least, more, gpus, hours, resizes, owner } => {
                let mut ask = ask(self.next, request(least, gpus), hours * HOUR);
                self.next += 1;
                (ask.project, ask.since) = (ProjectId::new(owner), self.now);
                let restart = resizes.then(|| Span::from_mins(5));
                ask.request.elastic = (more > 0).then_some(Elastic { most: least + more, restart });
                ask.checkpoint = resizes.then(|| Span::from_mins(20));
                self.asks.insert(ask.run.job, ask.clone());
                self.step(vec![Event::Queued(ask)]);
            }
            Act::End(pick) => {
                let Some(run) = nth(&self.runs, pick) else { return };
                self.runs.remove(&run);
                self.leaving.remove(&run);
                self.asks.remove(&run.job);
                self.step(vec![Event::Ended(run)]);
            }
            Act::Save(pick) => {
                let saved = nth(&self.runs, pick).map(|run| Event::Saved(run, self.now));
                self.step(saved.into_iter().collect());
            }
            Act::Down(node) => self.lose(NodeId::new(node)),
            Act::Up(node) => self.step(vec![Event::Node(NodeId::new(node), Health::Up)]),
            Act::Wait(mins) => self.wait(self.now.after(Span::from_mins(mins))),
            Act::Restart => {
                let saved = self.sched.snapshot();
                self.sched = Scheduler::restore(self.config.clone(), &self.founding, saved.clone());
                assert_eq!(self.sched.snapshot(), saved);
            }
        }
    }

    fn lose(&mut self, node: NodeId) {
        let on = |run: &RunId| self.sched.held(*run).is_some_and(|on| on.slots.iter().any(|slot| slot.node == node));
        let lost: Vec<RunId> = self.runs.keys().copied().filter(on).collect();
        let leaving = lost.iter().map(|run| Event::Leaving(*run));
        let down = Event::Node(node, Health::Down { why: String::new() });
        self.leaving.extend(lost.iter().map(|run| (*run, self.now.after(Span::from_secs(30)))));
        let events = [down].into_iter().chain(leaving).collect();
        self.step(events);
    }

    /// Time passes: whoever was told to leave does, and runs end at their limits.
    fn wait(&mut self, until: Time) {
        loop {
            let due = self.leaving.values().chain(self.runs.values()).chain(&self.wake).min().copied();
            let Some(at) = due.filter(|at| *at <= until) else { break };
            self.now = self.now.max(at);
            let gone: Vec<RunId> =
                self.runs.keys().copied().filter(|run| self.runs[run].min(self.left_by(*run)) <= at).collect();
            let mut events = Vec::new();
            for run in gone {
                let over = self.runs.remove(&run).is_some_and(|end| end <= at);
                self.leaving.remove(&run);
                events.push(Event::Ended(run));
                if over {
                    self.asks.remove(&run.job);
                } else if let Some(ask) = self.asks.get_mut(&run.job) {
                    ask.run.attempt += 1;
                    events.push(Event::Queued(ask.clone()));
                }
            }
            self.step(events);
        }
        self.now = until;
        self.step(vec![]);
    }

    fn left_by(&self, run: RunId) -> Time {
        self.leaving.get(&run).copied().unwrap_or(Time::MAX)
    }

    fn step(&mut self, events: Vec<Event>) {
        let before: BTreeMap<JobId, Time> = self.sched.promises().map(|one| (one.job, one.start)).collect();
        let step = self.sched.step(self.now, events);
        assert_eq!(self.sched.audit(), Vec::<String>::new());
        self.wake = step.wake;
        for start in &step.starts {
            let request = &self.asks[&start.run.job].request;
            let held = start.on.slots.len() as u32;
            assert!((request.nodes()..=request.most_nodes()).contains(&held), "{} holds {held}", start.run);
            self.runs.insert(start.run, start.until);
        }
        for stop in &step.stops {
            self.leaving.insert(stop.run, self.now.after(Span::from_secs(100)));
            if stop.by == stop.run.job {
                self.grown.entry(stop.by).or_default().push(self.now);
            }
        }
        // A promise that was there is as it was or better, kept, or broken by something that happened.
        let broken: Vec<JobId> = step.promises.iter().map(|(job, _)| *job).collect();
        let caused = |end: &PromiseEnd| !matches!(end, PromiseEnd::Broken { cause: BrokenBy::Extended(_), .. });
        assert!(step.promises.iter().all(|(_, end)| caused(end)), "{:?}", step.promises);
        for (job, start) in before {
            let later = self.sched.promise(job).is_some_and(|now| now.start > start);
            assert!(!later || broken.contains(&job), "{job} was put off without a word");
        }
        for times in self.grown.values() {
            let close = times.windows(2).any(|pair| pair[1].since(pair[0]) < Span::from_hours(1));
            assert!(!close, "grown twice within an hour");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn sizes_stay_within_bounds_and_nobody_is_put_off(acts in prop::collection::vec(act(), 20..100)) {
        let mut life = Life::new();
        acts.into_iter().for_each(|act| life.act(act));
    }
}
