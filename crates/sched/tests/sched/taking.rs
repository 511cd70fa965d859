//! Taking back: who is stopped, for whom, and never for nothing.
use crate::common::*;
use expect_test::expect;
use madang_model::{
    Blocked, Founding, Health, JobId, MilliGpus, NodeId, PartyId, ProjectId, Qos, RunId, Share, Span, Time,
};
use madang_sched::{Ask, BrokenBy, Config, Event, Lending, PromiseEnd, Scheduler, Step, Taking, VictimOrder};
use proptest::prelude::*;
use std::collections::BTreeMap;

const MINUTE: u64 = 60;
const HOUR: u64 = 3600;

/// Owners 0, 1 and 2 with half, a quarter and a quarter, and a project of the same number plus one each.
fn centre(islands: &[(u32, u32, u32)]) -> Founding {
    let mut founding = estate(islands);
    founding.sites[0].shares = [(0, 5000), (1, 2500), (2, 2500)].map(|(id, part)| (PartyId::new(id), part)).to_vec();
    founding
}

fn open(config: Config, founding: &Founding) -> Scheduler {
    let mut sched = Scheduler::new(config, founding);
    sched.step(at(0), [project(1, 0), project(2, 1), project(3, 2)].concat());
    sched
}

/// A job of this project.
fn job(id: u64, of: u32, nodes: u32, gpus: u32) -> Ask {
    Ask { project: ProjectId::new(of), ..ask(id, request(nodes, gpus), 10 * HOUR) }
}

fn queue(asks: &[Ask]) -> Vec<Event> {
    asks.iter().cloned().map(Event::Queued).collect()
}

/// `job-3 for job-9`, one line for each stop; then the promises that came of it.
fn told(sched: &Scheduler, step: &Step) -> String {
    let mut text: String = step.stops.iter().map(|stop| format!("{} for {}\n", stop.run.job, stop.by)).collect();
    for job in step.stops.iter().map(|stop| stop.by).collect::<std::collections::BTreeSet<_>>() {
        let promise = sched.promise(job).expect("whoever benefits is promised a start");
        text += &format!("{job} by {} s on {}\n", promise.start.millis() / 1000, nodes(&promise.on));
    }
    text
}

#[test]
fn the_least_work_lost_is_taken_and_not_one_gang_more() {
    let founding = centre(&[(1, 4, 8)]);
    let lost = |order: VictimOrder| {
        let mut sched = open(Config { taking: Taking { order, ..Taking::default() }, ..Config::default() }, &founding);
        // Owner 0 holds all: one gang of two nodes, an old job, and last one that saves every ten minutes.
        step(&mut sched, 1, queue(&[job(1, 1, 2, 8)]));
        step(&mut sched, HOUR, queue(&[job(2, 1, 1, 8)]));
        let saver = Ask { checkpoint: Some(Span::from_mins(10)), ..job(3, 1, 1, 8) };
        step(&mut sched, HOUR + 1, queue(&[saver]));
        let step = step(&mut sched, HOUR + 35 * MINUTE, queue(&[job(9, 2, 1, 8)]));
        told(&sched, &step)
    };
    expect![[r#"
        job-3 for job-9
        job-9 by 5880 s on n3[ff]
    "#]]
    .assert_eq(&lost(VictimOrder::LeastLost));
    expect![[r#"
        job-3 for job-9
        job-9 by 5880 s on n3[ff]
    "#]]
    .assert_eq(&lost(VictimOrder::Youngest));
    expect![[r#"
        job-1 for job-9
        job-9 by 5880 s on n0[ff]
    "#]]
    .assert_eq(&lost(VictimOrder::Largest));
}

#[test]
fn a_reported_checkpoint_counts_and_silence_is_capped() {
    let founding = centre(&[(1, 4, 8)]);
    let mut sched = open(Config::default(), &founding);
    // Silent for ten hours, and silent for an hour and a half: both are worth the cap. The one that did less is taken.
    step(&mut sched, 1, queue(&[job(1, 1, 1, 8), job(2, 1, 1, 8), job(3, 1, 1, 8)]));
    step(&mut sched, 5 * HOUR, queue(&[job(4, 1, 1, 8)]));
    let mut later = sched.clone();
    let step_silent = step(&mut sched, 7 * HOUR, queue(&[job(9, 2, 1, 8)]));
    assert_eq!(step_silent.stops.iter().map(|stop| stop.run.job.number()).collect::<Vec<_>>(), [4]);
    let saved = Event::Saved(run(2), at(7 * HOUR - 60));
    let step_saved = step(&mut later, 7 * HOUR, [vec![saved], queue(&[job(9, 2, 1, 8)])].concat());
    assert_eq!(step_saved.stops.iter().map(|stop| stop.run.job.number()).collect::<Vec<_>>(), [2]);
}

#[test]
fn work_that_saves_nothing_comes_to_its_end() {
    // Four nodes, owner 2 holds its quarter, and owner 0 has half and borrows the rest: half by a gang that it is due,
    // and the silent job; owner 1 comes back for its quarter every two hours. The silent job needs 40 hours in one go:
    // each try lasts at least twice as long as the one before.
    let founding = centre(&[(1, 4, 8)]);
    let mut sched = open(Config::default(), &founding);
    let (mut attempt, mut began, mut tries, mut now) = (1, 1, Vec::new(), 1);
    let silent =
        |attempt| Ask { run: RunId { job: JobId::new(1), attempt }, limit: Span::from_hours(41), ..job(1, 1, 1, 8) };
    let long = |ask: Ask| Ask { limit: Span::from_hours(1000), ..ask };
    step(&mut sched, now, queue(&[long(job(2, 1, 2, 8)), long(job(3, 3, 1, 8))]));
    step(&mut sched, now, queue(&[silent(1)]));
    for visit in 0..200u64 {
        now += 2 * HOUR;
        if now - began >= 40 * HOUR {
            assert!(tries.is_sorted_by(|a, b| *b >= 2 * *a) && (3..=6).contains(&tries.len()), "{tries:?}");
            return;
        }
        let guest = Ask { limit: Span::from_mins(30), ..job(100 + visit, 2, 1, 2) };
        let step_guest = step(&mut sched, now, queue(std::slice::from_ref(&guest)));
        if step_guest.stops.is_empty() {
            step(&mut sched, now, vec![Event::Withdrawn(guest.run.job)]);
            continue;
        }
        tries.push(now + 2 * MINUTE - began);
        attempt += 1;
        let gone = [vec![Event::Ended(RunId { job: JobId::new(1), attempt: attempt - 1 })], queue(&[silent(attempt)])];
        step(&mut sched, now + 2 * MINUTE, gone.concat());
        step(&mut sched, now + 3 * MINUTE, vec![]);
        began = now + 40 * MINUTE;
        let again = step(&mut sched, began, vec![Event::Ended(guest.run)]);
        assert_eq!(again.starts.len(), 1, "the silent job goes on");
    }
    panic!("it never came to its end: {tries:?}");
}

#[test]
fn nobody_is_touched_for_what_cannot_be_placed() {
    // Two islands of two nodes: owner 0 holds a node of each whole, owner 2 within its guarantee another.
    let founding = centre(&[(1, 2, 8), (1, 2, 8)]);
    let mut sched = open(Config::default(), &founding);
    let pinned = |id, of, node: u32| {
        let mut ask = job(id, of, 1, 8);
        ask.request.include = vec![NodeId::new(node)];
        ask
    };
    step(&mut sched, 1, queue(&[pinned(1, 1, 0), pinned(2, 1, 1), pinned(3, 1, 2), pinned(4, 3, 3)]));
    // One more than its guarantee of 16 is borrowed by owner 0; a gang of two nodes of owner 1 is beyond its own.
    let gang = step(&mut sched, HOUR, queue(&[job(9, 2, 2, 8)]));
    assert_eq!((gang.stops.len(), gang.starts.len()), (0, 0));
    // A node that holds what must stay is of no use, however cheap the rest.
    let one = step(&mut sched, 2 * HOUR, queue(&[pinned(10, 2, 3)]));
    assert_eq!(one.stops.len(), 0);
    let other = step(&mut sched, 3 * HOUR, queue(&[job(11, 2, 1, 8)]));
    assert_eq!(other.stops.len(), 1);
    assert_eq!(sched.makes_room(other.stops[0].run), Some(JobId::new(11)));
}

#[test]
fn a_gang_larger_than_its_owners_guarantee_is_taken_once_it_ran_for_as_long_as_it_waited() {
    // Owner 0 is due 16 of 32 and holds all, 24 of them as one gang; each of the others is due 8.
    let founding = centre(&[(1, 4, 8)]);
    let mut sched = open(Config::default(), &founding);
    let gang = |attempt| Ask { run: RunId { job: JobId::new(1), attempt }, since: at(0), ..job(1, 1, 3, 8) };
    step(&mut sched, 3 * HOUR, queue(&[gang(1), job(2, 1, 1, 8)]));
    let small = step(&mut sched, 4 * HOUR, queue(&[job(9, 2, 1, 8)]));
    assert_eq!(told(&sched, &small), "job-2 for job-9\njob-9 by 14580 s on n3[ff]\n", "less will do");
    step(&mut sched, 4 * HOUR + MINUTE, vec![Event::Ended(run(2))]);
    let early = step(&mut sched, 5 * HOUR, queue(&[job(10, 3, 1, 8)]));
    assert_eq!((early.stops.len(), early.wake), (0, Some(at(6 * HOUR))));
    let taken = step(&mut sched, 6 * HOUR, vec![]);
    assert_eq!(told(&sched, &taken), "job-1 for job-10\njob-10 by 21780 s on n0[ff]\n");
    // What is free beside it is not enough for the gang, and it takes nothing back: the others are within their due.
    step(&mut sched, 6 * HOUR + MINUTE, [vec![Event::Ended(run(1))], queue(&[gang(2)])].concat());
    let quiet = step(&mut sched, 9 * HOUR, vec![]);
    assert_eq!((quiet.stops.len(), quiet.starts.len()), (0, 0));
}

#[test]
fn the_room_is_kept_for_whom_it_was_made() {
    let founding = centre(&[(1, 4, 8)]);
    let mut sched = open(Config::default(), &founding);
    step(&mut sched, 1, queue(&[job(1, 1, 4, 4), job(2, 1, 4, 4)]));
    let taken = step(&mut sched, HOUR, queue(&[job(9, 2, 2, 4)]));
    assert_eq!(told(&sched, &taken), "job-1 for job-9\njob-9 by 3780 s on n0[0f] n1[0f]\n");
    // The victim waits again and others come; none of them gets into the room, the rest is anybody's.
    let again = Ask { run: RunId { job: JobId::new(1), attempt: 2 }, ..job(1, 1, 4, 4) };
    let events = [vec![Event::Ended(run(1))], queue(&[again, job(10, 1, 2, 4), job(11, 3, 2, 4)])].concat();
    let gone = step(&mut sched, HOUR + MINUTE, events);
    assert_eq!(starts(&gone), "job-9: n0[0f] n1[0f]\njob-11: n2[0f] n3[0f]\n");
    // What was taken is not taken back: its owner is within its guarantee, and nobody else is below.
    let quiet = step(&mut sched, 9 * HOUR, vec![]);
    assert_eq!((quiet.stops.len(), quiet.wake.is_none()), (0, false));
}

#[test]
fn a_run_settles_first_and_a_job_suffers_only_so_often() {
    let founding = centre(&[(1, 4, 8)]);
    let mut config = Config::default();
    config.taking.times = 2;
    let mut sched = open(config, &founding);
    step(&mut sched, 1, queue(&[job(1, 1, 1, 8), job(2, 1, 1, 8), job(3, 1, 1, 8)]));
    let mut now = 1;
    for attempt in 1..=3u32 {
        // A fourth node is borrowed in the end, again and again by the same job.
        let ask = Ask { run: RunId { job: JobId::new(4), attempt }, ..job(4, 1, 1, 8) };
        step(&mut sched, now, queue(&[Ask { checkpoint: Some(Span::from_mins(1)), ..ask }]));
        let early = step(&mut sched, now + MINUTE, queue(&[job(100 + u64::from(attempt), 2, 1, 8)]));
        if attempt == 3 {
            assert_ne!(early.stops[0].run.job, JobId::new(4), "two times in a day are enough");
            break;
        }
        assert_eq!(early.stops.len(), 0, "it has just started");
        assert!(early.wake.is_some_and(|wake| wake <= at(now + 10 * MINUTE)));
        let late = step(&mut sched, now + 10 * MINUTE, vec![]);
        let beneficiary = JobId::new(100 + u64::from(attempt));
        let stopped = late.stops[0].run;
        assert_eq!(stopped.job, JobId::new(4), "it saves every minute");
        let begun = step(&mut sched, now + 11 * MINUTE, vec![Event::Ended(stopped)]);
        assert_eq!(begun.starts[0].run.job, beneficiary);
        now += 20 * MINUTE;
        step(&mut sched, now - 1, vec![Event::Ended(begun.starts[0].run)]);
    }
}

#[test]
fn urgent_work_takes_the_place_of_low_work_of_its_own_owner() {
    let founding = centre(&[(1, 4, 8)]);
    let mut sched = open(Config::default(), &founding);
    let with = |id, of, qos| Ask { qos, ..job(id, of, 1, 8) };
    let all = [with(1, 1, Qos::Low), with(2, 1, Qos::Normal), with(3, 2, Qos::Low), with(4, 3, Qos::Low)];
    step(&mut sched, 1, queue(&all));
    let normal = step(&mut sched, HOUR, queue(&[with(8, 1, Qos::Normal)]));
    assert_eq!(normal.stops.len(), 0, "normal work takes nobody's place");
    let high = step(&mut sched, 2 * HOUR, queue(&[with(9, 1, Qos::High)]));
    assert_eq!(told(&sched, &high), "job-1 for job-9\njob-9 by 7380 s on n3[ff]\n");
    let more = step(&mut sched, 2 * HOUR + 1, queue(&[with(10, 1, Qos::High)]));
    assert_eq!(more.stops.len(), 0, "other owners' low work is within their guarantees");
}

#[test]
fn a_promise_that_borrows_gives_way() {
    let founding = centre(&[(1, 4, 8)]);
    let mut sched = open(Config::default(), &founding);
    let short = |id, of| Ask { limit: Span::from_hours(1), ..job(id, of, 1, 8) };
    step(&mut sched, 0, queue(&[short(1, 1), short(2, 1), short(3, 1), short(4, 1)]));
    step(&mut sched, 60, queue(&[short(5, 1), short(6, 1), short(7, 1), short(8, 1)]));
    let (rest, end) = (queue(&[short(9, 2)]), HOUR);
    let found = step(&mut sched, 5 * MINUTE, rest);
    assert_eq!(found.stops.len(), 0, "all have just started");
    let taken = step(&mut sched, 10 * MINUTE, vec![]);
    assert_eq!(taken.stops.len(), 1);
    let broken = |end: &(JobId, PromiseEnd)| matches!(end.1, PromiseEnd::Broken { cause: BrokenBy::Reclaimed(job), .. } if job == JobId::new(9));
    assert!(taken.promises.len() == 1 && taken.promises.iter().all(broken), "{:?}", taken.promises);
    let victim = taken.stops[0].run;
    let begun = step(&mut sched, 12 * MINUTE, vec![Event::Ended(victim)]);
    assert_eq!(starts(&begun), "job-9: n0[ff]\n");
    let others = (1..=4).map(run).filter(|run| *run != victim);
    let after = step(&mut sched, end, others.map(Event::Ended).collect());
    assert_eq!(after.starts.len(), 3);
}

#[test]
fn who_keeps_and_who_may_not_borrow() {
    let founding = centre(&[(1, 4, 8)]);
    let lending = |owner, keep, borrow| (PartyId::new(owner), Lending { keep, borrow });
    let limits = BTreeMap::from([lending(0, 0, Some(5000)), lending(1, 10_000, None)]);
    let mut sched = open(Config { lending: limits, ..Config::default() }, &founding);
    // Owner 0 has 16 and may borrow 8; owner 1 keeps its 8 unlent.
    let first = step(&mut sched, 1, queue(&[job(1, 1, 1, 8), job(2, 1, 1, 8), job(3, 1, 1, 8), job(4, 1, 1, 8)]));
    assert_eq!(first.starts.len(), 3);
    let milli = |gpus| MilliGpus::from_gpus(gpus);
    let limit = Blocked::OwnerLimit { holds: milli(24), most: milli(24) };
    assert_eq!(sched.why(JobId::new(4)), Some(limit.clone()));
    assert!(sched.promise(JobId::new(4)).is_none());
    assert_eq!(sched.explain(at(1), JobId::new(4)).unwrap().why[0], limit);
    let second = step(&mut sched, 2, queue(&[job(5, 3, 1, 8), job(6, 2, 1, 8)]));
    // Owner 2 is within its guarantee, but what is free is what owner 1 keeps; owner 1 itself takes it.
    assert!(second.starts.iter().any(|start| start.run.job == JobId::new(6)) || second.starts.len() == 1);
    let gone = step(&mut sched, 3, vec![Event::Ended(run(1))]);
    assert_eq!(gone.starts.len(), 1);
}

/// What may happen next.
#[derive(Clone, Debug)]
enum Act {
    Submit { kind: usize, hours: u64, of: u32, qos: usize, every: u64 },
    End(usize),
    Save(usize),
    Wait(u64),
    Drain(u32),
    Up(u32),
    Restart,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        12 => (0..10usize, 1..12u64, 1..4u32, 0..6usize, 0..90u64)
            .prop_map(|(kind, hours, of, qos, every)| Act::Submit { kind, hours, of, qos, every }),
        4 => any::<usize>().prop_map(Act::End),
        2 => any::<usize>().prop_map(Act::Save),
        8 => (1..90u64).prop_map(|minutes| Act::Wait(minutes * MINUTE)),
        1 => (0..10u32).prop_map(Act::Drain),
        2 => (0..10u32).prop_map(Act::Up),
        1 => Just(Act::Restart),
    ]
}

/// A random life, kept apart from the scheduler's own counts.
struct Life {
    founding: Founding,
    config: Config,
    sched: Scheduler,
    now: u64,
    up: Vec<bool>,
    asks: BTreeMap<JobId, Ask>,
    /// Runs with their start, end and, once told, the stop.
    runs: BTreeMap<RunId, (Ask, u64, u64, Option<JobId>)>,
    taken: BTreeMap<JobId, Vec<u64>>,
    next: u64,
    wake: Option<Time>,
    stops: usize,
}

impl Life {
    fn new(order: VictimOrder, jobs: u32) -> Life {
        let mut founding = centre(&[(1, 6, 8), (1, 4, 4)]);
        offer_parts(&mut founding, |node| (node.gpus == 8 && node.id.number() > 2, true));
        let config = Config { taking: Taking { order, jobs, ..Taking::default() }, ..Config::default() };
        let sched = open(config.clone(), &founding);
        let up = vec![true; founding.nodes.len()];
        Life {
            founding,
            config,
            sched,
            now: 0,
            up,
            asks: BTreeMap::new(),
            runs: BTreeMap::new(),
            taken: BTreeMap::new(),
            next: 1,
            wake: None,
            stops: 0,
        }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Submit { kind, hours, of, qos, every } => {
                let (nodes, gpus) =
                    [(1, 1), (1, 4), (1, 8), (2, 8), (3, 4), (4, 8), (1, 1), (1, 1), (1, 1), (2, 1)][kind];
                let qos = [Qos::Low, Qos::High, Qos::Normal, Qos::Normal, Qos::Normal, Qos::Normal][qos];
                let checkpoint = (every > 30).then(|| Span::from_mins(every - 30));
                let limit = Span::from_hours(hours);
                let mut ask = Ask { qos, checkpoint, limit, since: at(self.now), ..job(self.next, of, nodes, gpus) };
                let slice = Share::Slice("3g.71gb".into());
                let parts = [Share::Milli(250), Share::Milli(700), slice, Share::Milli(500)];
                if let Some(part) = kind.checked_sub(6) {
                    ask.request = share(nodes, parts[part].clone());
                }
                self.next += 1;
                self.asks.insert(ask.run.job, ask.clone());
                self.step(vec![Event::Queued(ask)]);
            }
            Act::End(pick) => {
                let ids: Vec<RunId> = self.runs.keys().copied().collect();
                if let Some(run) = ids.get(pick % ids.len().max(1)) {
                    self.end(vec![*run]);
                }
            }
            Act::Save(pick) => {
                let ids: Vec<RunId> = self.runs.keys().copied().collect();
                if let Some(run) = ids.get(pick % ids.len().max(1)) {
                    self.step(vec![Event::Saved(*run, at(self.now))]);
                }
            }
            Act::Wait(secs) => self.wait(self.now + secs),
            Act::Drain(node) => self.health(node, Health::Drain { why: String::new() }),
            Act::Up(node) => self.health(node, Health::Up),
            Act::Restart => {
                let text = serde_json::to_string(&self.sched.snapshot()).unwrap();
                let again =
                    Scheduler::restore(self.config.clone(), &self.founding, serde_json::from_str(&text).unwrap());
                assert_eq!(again.snapshot(), self.sched.snapshot());
                self.sched = again;
            }
        }
    }

    fn health(&mut self, node: u32, health: Health) {
        self.up[node as usize] = health == Health::Up;
        self.step(vec![Event::Node(NodeId::new(node), health)]);
    }

    fn wait(&mut self, until: u64) {
        loop {
            let end = self.runs.values().map(|run| run.2).min();
            let wake = self.wake.map(|wake| wake.millis().div_ceil(1000));
            let Some(next) = end.into_iter().chain(wake).min().filter(|next| *next <= until) else { break };
            self.now = next.max(self.now);
            let over = self.runs.iter().filter(|(_, run)| run.2 <= self.now).map(|(id, _)| *id).collect();
            self.end(over);
        }
        self.now = until;
        self.step(vec![]);
    }

    /// Runs end; those that were told to stop wait again.
    fn end(&mut self, over: Vec<RunId>) {
        let mut events = Vec::new();
        for id in over {
            let (mut ask, _, _, told) = self.runs.remove(&id).unwrap();
            events.push(Event::Ended(id));
            if told.is_some() {
                ask.run.attempt += 1;
                self.asks.insert(ask.run.job, ask.clone());
                events.push(Event::Queued(ask));
            }
        }
        self.step(events);
    }

    fn gpus(ask: &Ask) -> u64 {
        u64::from(ask.request.gpus().milli())
    }

    fn guarantee(&self, of: ProjectId) -> u64 {
        let gpus: u64 =
            self.founding.nodes.iter().zip(&self.up).filter(|(_, up)| **up).map(|(n, _)| u64::from(n.gpus)).sum();
        gpus * 1000 * [50, 25, 25][of.number() as usize - 1] / 100
    }

    /// What a project's runs hold that are not on their way out.
    fn staying(&self, of: ProjectId) -> u64 {
        self.runs.values().filter(|run| run.0.project == of && run.3.is_none()).map(|run| Life::gpus(&run.0)).sum()
    }

    /// What happens, and as many steps more as are asked for at once: each of them but the last takes something back, so
    /// that they come to an end.
    fn step(&mut self, events: Vec<Event>) {
        self.one_step(events);
        let most = self.asks.len() + self.runs.len();
        let more = (0..=most).find(|_| {
            let again = self.wake == Some(at(self.now));
            if again {
                self.one_step(vec![]);
            }
            !again
        });
        assert!(more.is_some(), "woken at {} again and again", self.now);
    }

    fn one_step(&mut self, events: Vec<Event>) {
        let before: BTreeMap<u32, u64> = (1..4).map(|of| (of, self.staying(ProjectId::new(of)))).collect();
        let step = self.sched.step(at(self.now), events);
        assert_eq!(self.sched.audit(), Vec::<String>::new());
        assert_eq!(step.anomalies, vec![]);
        self.wake = step.wake;
        for start in &step.starts {
            let ask = self.asks.remove(&start.run.job).expect("only waiting jobs start");
            let others = self.sched.runs().filter(|(run, ..)| *run != start.run).map(|(_, on, _)| on);
            check_devices(&start.on, others);
            self.runs.insert(start.run, (ask, self.now, start.until.millis() / 1000, None));
        }
        for stop in &step.stops {
            self.check_stop(stop.run, stop.by, &step);
        }
        self.stops += step.stops.len();
        let taken: Vec<ProjectId> = step.stops.iter().map(|stop| self.runs[&stop.run].0.project).collect();
        for of in taken {
            let (had, has) = (before[&of.number()], self.staying(of));
            let own = step.stops.iter().any(|stop| self.beneficiary(stop.by).project == of);
            let mut told = step.stops.iter().map(|stop| &self.runs[&stop.run].0);
            let larger = told.any(|ask| ask.project == of && Life::gpus(ask) > self.guarantee(of));
            assert!(
                has >= self.guarantee(of) || own || larger,
                "project {of} had {had}, keeps {has}, is due {}",
                self.guarantee(of)
            );
        }
    }

    fn beneficiary(&self, job: JobId) -> &Ask {
        let started = || self.runs.iter().find(|(id, _)| id.job == job).map(|(_, run)| &run.0);
        self.asks.get(&job).or_else(started).expect("the beneficiary waits or has started")
    }

    fn check_stop(&mut self, run: RunId, by: JobId, step: &Step) {
        let taking = &self.config.taking;
        let (victim, since, ..) = self.runs[&run].clone();
        let gainer = self.beneficiary(by).clone();
        if !step.starts.iter().any(|start| start.run.job == by) {
            let promise = self.sched.promise(by).expect("nobody is stopped for a job without a place");
            assert!(promise.start <= at(self.now).after(taking.grace).after(Span::from_mins(1)));
            let held = self.sched.held(run).unwrap();
            let shares = |node: NodeId| promise.on.slots.iter().any(|slot| slot.node == node);
            assert!(held.slots.iter().any(|slot| shares(slot.node)), "{run} stands in nobody's way");
        }
        assert!(at(self.now) >= at(since).after(taking.settle), "{run} has just started");
        let times = self.taken.entry(run.job).or_default();
        times.retain(|time| at(*time).after(taking.window) > at(self.now));
        assert!(times.len() < taking.times as usize, "{run} is taken back again and again");
        times.push(self.now);
        if victim.project == gainer.project {
            assert_eq!((victim.qos, gainer.qos), (Qos::Low, Qos::High));
        } else {
            let due = self.guarantee(gainer.project);
            // What starts in the same step may borrow what is idle after all.
            let fresh = step.starts.iter().map(|start| &self.runs[&start.run].0);
            let fresh: u64 = fresh.filter(|ask| ask.project == gainer.project).map(Life::gpus).sum();
            let held = self.staying(gainer.project) - fresh;
            assert!(held + Life::gpus(&gainer) <= due, "{by} takes beyond its guarantee");
        }
        let grace = self.now + taking.grace.secs();
        let run = self.runs.get_mut(&run).unwrap();
        assert_eq!(run.3.replace(by), None, "stopped twice");
        run.2 = run.2.min(grace);
    }
}

fn live(order: VictimOrder, jobs: u32, acts: Vec<Act>) -> Life {
    let mut life = Life::new(order, jobs);
    acts.into_iter().for_each(|act| life.act(act));
    life
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 2, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nobody_is_stopped_for_nothing(
        acts in proptest::collection::vec(act(), 1..120),
        order in 0..3usize,
        jobs in prop_oneof![Just(1u32), Just(2), Just(16)],
    ) {
        live([VictimOrder::LeastLost, VictimOrder::Youngest, VictimOrder::Largest][order], jobs, acts);
    }
}

#[test]
fn owners_that_come_and_go_do_not_thrash() {
    // Three owners take turns to submit 240 jobs that end in batches: few are taken back.
    let mut life = Life::new(VictimOrder::LeastLost, 16);
    for round in 0..40u64 {
        let of = [1, 2, 3][(round % 3) as usize];
        for kind in 0..6 {
            life.act(Act::Submit { kind: kind % 3, hours: 3, of, qos: 2, every: 0 });
        }
        life.act(Act::Wait(20 * MINUTE));
    }
    let most: usize = life.taken.values().map(Vec::len).max().unwrap_or(0);
    assert!(most <= 2 && life.stops <= 20, "{} stops, {most} of one job", life.stops);
}

#[test]
fn all_who_may_claim_have_their_turn_though_nothing_else_happens() {
    // Owner 0 holds twice its half of 160 nodes; 40 jobs of owner 1 are within its quarter, and 16 are looked at in a step.
    let mut sched = open(Config::default(), &centre(&[(8, 20, 8)]));
    step(&mut sched, 1, queue(&(1..=160).map(|id| job(id, 1, 1, 8)).collect::<Vec<_>>()));
    let claims: Vec<Ask> = (201..=240).map(|id| job(id, 2, 1, 8)).collect();
    let mut steps = vec![step(&mut sched, HOUR, queue(&claims))];
    while steps.last().is_some_and(|last| last.wake == Some(at(HOUR))) {
        steps.push(step(&mut sched, HOUR, vec![]));
    }
    assert_eq!(steps.iter().map(|step| step.stops.len()).collect::<Vec<_>>(), [16, 16, 8]);
    let gone = steps.iter().flat_map(|step| &step.stops).map(|stop| Event::Ended(stop.run));
    let begun = step(&mut sched, HOUR + 2 * MINUTE, gone.collect());
    assert_eq!(begun.starts.len(), 40);
    // Where nothing may be taken back, there is nothing to wake for.
    let config = Config { taking: Taking { jobs: 0, ..Taking::default() }, ..Config::default() };
    let mut sched = open(config, &centre(&[(8, 20, 8)]));
    step(&mut sched, 1, queue(&(1..=160).map(|id| job(id, 1, 1, 8)).collect::<Vec<_>>()));
    let waits = step(&mut sched, HOUR, queue(&claims));
    assert!(waits.stops.is_empty() && waits.wake.is_none_or(|wake| wake > at(HOUR)));
}
