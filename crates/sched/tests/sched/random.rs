//! Random lives of a small centre, against slow obvious models.
use crate::common::*;
use crate::model::{self, Booked};
use madang_model::{
    Allocation, Choice, Founding, GpuTime, Health, IslandId, JobId, Node, NodeId, Part, ProjectId, Qos, Request, RunId,
    Share, Slot, Span, Time, Topology, UserId,
};
use madang_sched::defrag::Bounds;
use madang_sched::{Ask, BrokenBy, Budget, Config, Event, Promise, PromiseEnd, Scheduler, Snapshot, Step};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const GRACE: Span = Span::from_mins(1);

/// What may happen next.
#[derive(Clone, Debug)]
enum Act {
    Submit {
        kind: usize,
        limit: u64,
        user: u32,
        project: u32,
        qos: u8,
    },
    Withdraw(usize),
    End(usize),
    Extend(usize, u64),
    Drain(u32),
    Down(u32),
    Up(u32),
    Budget(u32, i64),
    Wait(u64),
    Restart,
    Reserve(Booked),
    Unreserve(usize),
    /// Carries out a plan of moves.
    Move,
    /// A job that names a reservation.
    Inside {
        kind: usize,
        limit: u64,
        pick: usize,
    },
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        12 => (0..21usize, 1..8u64, 0..3u32, 1..4u32, 0..8u8)
            .prop_map(|(kind, limit, user, project, qos)| Act::Submit { kind, limit, user, project, qos }),
        1 => any::<usize>().prop_map(Act::Withdraw),
        5 => any::<usize>().prop_map(Act::End),
        1 => (any::<usize>(), 1..40u64).prop_map(|(run, mins)| Act::Extend(run, mins)),
        1 => (0..14u32).prop_map(Act::Drain),
        1 => (0..14u32).prop_map(Act::Down),
        2 => (0..14u32).prop_map(Act::Up),
        1 => (1..4u32, 0..40i64).prop_map(|(project, hours)| Act::Budget(project, hours)),
        5 => (0..900u64).prop_map(Act::Wait),
        1 => Just(Act::Restart),
        2 => model::booked().prop_map(Act::Reserve),
        1 => any::<usize>().prop_map(Act::Unreserve),
        2 => Just(Act::Move),
        1 => (0..4usize, 1..8u64, any::<usize>()).prop_map(|(kind, limit, pick)| Act::Inside { kind, limit, pick }),
    ]
}

fn kinds() -> Vec<Request> {
    let mut two = request(1, 8);
    two.parts.push(request(2, 0).parts[0].clone());
    let mut wide = request(5, 4);
    wide.across_islands = true;
    let mut alone = request(1, 2);
    alone.parts[0].exclusive = true;
    let mut named = request(2, 4);
    named.include = vec![NodeId::new(1)];
    let mut elsewhere = request(1, 4);
    elsewhere.exclude = vec![NodeId::new(0), NodeId::new(6)];
    let mut racked = request(2, 8);
    racked.topology.required = Some("rack".into());
    let mut in_segments = request(4, 8);
    in_segments.topology = Topology { segment: Some(2), required: Some("rack".into()), ..Topology::default() };
    let mut near = request(4, 4);
    near.topology = Topology { preferred: Some("rack".into()), spares: 1, ..Topology::default() };
    let first = [request(1, 1), request(1, 3), request(2, 8), request(3, 4)];
    let either = |words: [&str; 2]| Choice::same(words.map(String::from)).unwrap();
    let mut alike = request(4, 4);
    alike.across_islands = true;
    alike.parts[0].model = Some(either(["h100", "h200"]));
    let mut mixed = alike.clone();
    mixed.parts[0].model = Some(either(["h100", "h200"]).mixed());
    let mut single = request(1, 2);
    single.parts[0].features = vec![either(["h200", "h100"])];
    let more = [two, wide, alone, named, elsewhere, racked, in_segments, near, alike, mixed, single];
    let parts = [(1, 250), (1, 600), (1, 999), (3, 500)].map(|(nodes, milli)| share(nodes, Share::Milli(milli)));
    let slices = ["1g.18gb", "3g.71gb"].map(|profile| share(1, Share::Slice(profile.into())));
    first.into_iter().chain(more).chain(parts).chain(slices).collect()
}

/// The requests of which one is to be met: one for each model that binds all nodes of the gang.
fn plain(request: &Request) -> Vec<Request> {
    let part = &request.parts[0];
    let choices = part.model.iter().chain(&part.features).filter(|choice| choice.binds());
    let Some(words) = choices.map(Choice::words).next() else { return vec![request.clone()] };
    let with = |word: &String| {
        let mut one = request.clone();
        one.parts[0].model = Some(word.as_str().into());
        one.parts[0].features.clear();
        one
    };
    words.iter().map(with).collect()
}

fn estate_of_three() -> Founding {
    // Two racks of three eight-GPU nodes, one of five four-GPU nodes of another model, three without GPUs. The second
    // rack's devices may be shared and cut, those of the four-GPU nodes shared.
    let mut founding = estate(&[(2, 3, 8), (1, 5, 4), (1, 3, 0)]);
    let other = founding.nodes.iter_mut().filter(|node| node.island == IslandId::new(1));
    other.for_each(|node| node.device.as_mut().expect("it has GPUs").model = "h100".into());
    offer_parts(&mut founding, |node| (node.gpus == 8 && node.rack == 1, node.gpus == 4 || node.rack == 1));
    founding
}

struct Life {
    founding: Founding,
    config: Config,
    sched: Scheduler,
    /// Restored from a snapshot at the last restart; must go on exactly alike.
    twin: Option<Scheduler>,
    now: Time,
    wake: Option<Time>,
    next: u64,
    asks: BTreeMap<JobId, Ask>,
    runs: BTreeMap<RunId, Time>,
    /// What the jobs that run asked for.
    ran: BTreeMap<JobId, Ask>,
    health: Vec<Health>,
    promised: BTreeMap<JobId, Promise>,
    /// True when runs end at their limits.
    punctual: bool,
    book: model::Book,
}

impl Life {
    fn new(promises: u32, punctual: bool) -> Life {
        let founding = estate_of_three();
        let config = Config { promises, ..Config::default() };
        let mut sched = Scheduler::new(config.clone(), &founding);
        let mut events = project(1, 0);
        events.extend(project(2, 1));
        events.extend(project(3, 1));
        sched.step(Time::default(), events);
        let health = vec![Health::Up; founding.nodes.len()];
        Life {
            founding,
            config,
            sched,
            twin: None,
            now: Time::default(),
            wake: None,
            next: 1,
            asks: BTreeMap::new(),
            runs: BTreeMap::new(),
            ran: BTreeMap::new(),
            health,
            promised: BTreeMap::new(),
            punctual,
            book: model::Book::default(),
        }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Submit { kind, limit, user, project, qos } => {
                let mut ask = expecting(ask(self.next, kinds()[kind].clone(), limit * 600));
                ask.user = UserId::new(user);
                ask.project = ProjectId::new(project);
                ask.qos = [Qos::High, Qos::Low, Qos::Normal][usize::from(qos.min(2))];
                ask.limit_min = (qos >= 6).then_some(Span::from_secs(500));
                ask.since = self.now;
                self.next += 1;
                self.asks.insert(ask.run.job, ask.clone());
                self.step(vec![Event::Queued(ask)]);
            }
            Act::Withdraw(pick) => {
                if let Some(job) = nth(self.asks.keys().copied(), pick) {
                    self.asks.remove(&job);
                    self.step(vec![Event::Withdrawn(job)]);
                }
            }
            Act::End(pick) => {
                if let Some(run) = nth(self.runs.keys().copied(), pick) {
                    self.end(vec![run], vec![]);
                }
            }
            Act::Extend(pick, mins) => {
                if let Some(run) = nth(self.runs.keys().copied(), pick) {
                    let until = self.now.after(Span::from_mins(mins));
                    self.runs.insert(run, until);
                    // Nobody looked whether a window is there: what this run is in the way of does not count.
                    self.book.excused.insert(run);
                    self.step(vec![Event::Extended(run, until)]);
                }
            }
            Act::Drain(node) => self.node(node, Health::Drain { why: String::new() }),
            Act::Down(node) => self.node(node, Health::Down { why: String::new() }),
            Act::Up(node) => self.node(node, Health::Up),
            Act::Budget(project, hours) => {
                let budget = if hours == 0 { Budget::NoAward } else { Budget::Left(GpuTime::from_hours(hours)) };
                self.step(vec![Event::Budget(ProjectId::new(project), budget)]);
            }
            Act::Wait(secs) => self.wait(self.now.after(Span::from_secs(secs))),
            Act::Restart => self.restart(),
            Act::Reserve(booked) => self.reserve(booked),
            Act::Unreserve(pick) => {
                if let Some(id) = nth(self.book.all.keys().copied(), pick) {
                    self.book.all.remove(&id);
                    self.step(vec![Event::Unreserved(id)]);
                }
            }
            Act::Move => self.rearrange(),
            Act::Inside { kind, limit, pick } => {
                let mut ask = expecting(ask(self.next, kinds()[kind].clone(), limit * 600));
                ask.since = self.now;
                ask.request.reservation = nth(self.book.all.keys().copied(), pick);
                self.next += 1;
                self.asks.insert(ask.run.job, ask.clone());
                self.step(vec![Event::Queued(ask)]);
            }
        }
    }

    /// Plans and carries out; runs that are to move end like others, and their jobs come back.
    fn rearrange(&mut self) {
        let asks = |job: JobId| self.ran.get(&job).map(again);
        let bounds = Bounds { site: None, horizon: Span::from_hours(6), most: 8 };
        let plan = self.sched.defrag(self.now, &bounds, &asks);
        let before: Vec<Promise> = self.sched.promises().cloned().collect();
        let moved = self.sched.relocate(&plan.clearings(), &asks).expect("a fresh plan holds");
        if let Some(twin) = &mut self.twin {
            assert_eq!(twin.relocate(&plan.clearings(), &asks).as_ref(), Ok(&moved));
        }
        for promise in before {
            assert!(self.sched.promise(promise.job).is_some_and(|now| now.start <= promise.start));
        }
        for group in &plan.groups {
            assert!(group.gained > group.lost() && !group.moves.is_empty());
        }
        for run in moved {
            let until = self.runs.get_mut(&run).expect("only runs are moved");
            *until = (*until).min(self.now.after(self.config.taking.grace));
        }
        assert_eq!(self.sched.audit(), Vec::<String>::new());
        self.step(vec![]);
    }

    fn reserve(&mut self, booked: Booked) {
        let reservation = self.book.make(booked, self.now);
        let runs = self.sched.runs().map(|(run, on, until)| (run, on.clone(), until));
        let crossing = self.book.crossing(&reservation, self.now, runs.collect());
        assert_eq!(self.sched.crossing(&reservation).map(|(run, _)| run), crossing.first().copied());
        self.book.excused.extend(crossing);
        self.book.all.insert(reservation.id, reservation.clone());
        self.step(vec![Event::Reserved(reservation)]);
    }

    fn node(&mut self, node: u32, health: Health) {
        let id = NodeId::new(node);
        self.health[id.index()] = health.clone();
        let mut events = vec![Event::Node(id, health.clone())];
        if matches!(health, Health::Down { .. }) {
            let held = |run: &RunId| self.sched.held(*run).unwrap().slots.iter().any(|slot| slot.node == id);
            let lost: Vec<RunId> = self.runs.keys().copied().filter(held).collect();
            for run in lost {
                self.runs.remove(&run);
                events.push(Event::Ended(run));
            }
        }
        self.step(events);
    }

    fn end(&mut self, runs: Vec<RunId>, mut events: Vec<Event>) {
        for run in runs {
            self.runs.remove(&run);
            events.push(Event::Ended(run));
            let asked = self.ran.remove(&run.job).expect("what runs was asked for");
            if self.sched.is_moving(run) {
                events.push(Event::Queued(again(&asked)));
                self.asks.insert(run.job, again(&asked));
            }
        }
        self.step(events);
    }

    /// Lets time pass: wakes as asked for, and punctual runs end at their limits.
    fn wait(&mut self, until: Time) {
        let mut again = 0;
        loop {
            let end = self.runs.values().min().copied().filter(|_| self.punctual).map(|end| end.max(self.now));
            let next = self.wake.into_iter().chain(end).min().filter(|next| *next <= until);
            let Some(next) = next else { break };
            // A step that met a bound asks to go on at once, a few times at most.
            again = if next > self.now || end == Some(next) { 0 } else { again + 1 };
            assert!(again < 8, "woken at {next:?} again and again");
            self.now = next;
            let over =
                self.runs.iter().filter(|(_, end)| self.punctual && **end <= next).map(|(run, _)| *run).collect();
            self.end(over, vec![]);
        }
        self.now = until;
        self.step(vec![]);
    }

    fn restart(&mut self) {
        let text = serde_json::to_string(&self.sched.snapshot()).unwrap();
        let snapshot: Snapshot = serde_json::from_str(&text).unwrap();
        let other = Scheduler::restore(self.config.clone(), &self.founding, snapshot);
        assert_eq!(other.audit(), Vec::<String>::new());
        assert_eq!(other.snapshot(), self.sched.snapshot());
        self.twin = Some(other);
        self.step(vec![]);
    }

    fn step(&mut self, events: Vec<Event>) {
        let step = self.sched.step(self.now, events.clone());
        if let Some(twin) = &mut self.twin {
            assert_eq!(twin.step(self.now, events.clone()), step);
            assert_eq!(twin.snapshot(), self.sched.snapshot());
        }
        assert_eq!(self.sched.audit(), Vec::<String>::new());
        assert_eq!(step.anomalies, vec![]);
        self.wake = step.wake;
        self.check_promises(&events, &step);
        for stop in &step.stops {
            let until = self.runs.get_mut(&stop.run).expect("only runs are stopped");
            *until = (*until).min(self.now.after(stop.grace));
        }
        for start in &step.starts {
            let ask = self.asks.remove(&start.run.job).expect("only waiting jobs start");
            check_start(&self.founding, &self.health, &ask.request, &start.on);
            self.check_limit(&ask, start.until);
            let others = self.sched.runs().filter(|(run, ..)| *run != start.run).map(|(_, on, _)| on);
            check_devices(&start.on, others);
            self.ran.insert(start.run.job, ask.clone());
            self.runs.insert(start.run, start.until);
            self.book.check_start(ask.request.reservation, &start.on, self.now, start.until);
            self.book.own.extend(ask.request.reservation.map(|id| (start.run, id)));
        }
        self.book.check_now(&self.sched, self.now);
        assert_eq!(self.sched.pending() as usize, self.asks.len());
        assert!(self.asks.keys().all(|job| self.sched.why(*job).is_some()));
        for project in 1..4 {
            assert!(self.sched.left(ProjectId::new(project)).is_none_or(|left| left >= GpuTime::ZERO));
        }
        if self.config.promises == 0 {
            self.check_nothing_left();
        }
    }

    /// A limit is shorter than asked for only where that was allowed, and for a reason.
    fn check_limit(&self, ask: &Ask, until: Time) {
        let (least, most) = (self.now.after(least(ask)), self.now.after(ask.limit));
        assert!(least <= until && until <= most);
        let second = GpuTime::checked_of(ask.request.gpus(), Span::from_secs(1)).unwrap();
        let poor = self.sched.left(ask.project).is_none_or(|left| left < second);
        let free = self.config.promises == 0 && self.book.all.is_empty() && !poor;
        assert!(until == most || !free, "{:?} was cut for nothing", ask.run);
    }

    /// Promises only come earlier, and end kept in time or broken with a cause that is true.
    fn check_promises(&mut self, events: &[Event], step: &Step) {
        let mut before = std::mem::take(&mut self.promised);
        for (job, end) in &step.promises {
            // A job may be promised a start and start in one step.
            let Some(old) = before.remove(job) else { continue };
            match *end {
                PromiseEnd::Kept { promised } => {
                    assert!(promised <= old.start && self.now <= promised, "{job} started after {promised:?}");
                    assert!(step.starts.iter().any(|start| start.run.job == *job));
                }
                PromiseEnd::Broken { promised, cause } => {
                    assert!(promised <= old.start);
                    self.check_cause(*job, cause, events);
                }
            }
        }
        self.promised = self.sched.promises().map(|promise| (promise.job, promise.clone())).collect();
        for (job, old) in before {
            let new = self.promised.get(&job).unwrap_or_else(|| panic!("{job}'s promise is gone without a word"));
            assert!(new.start <= old.start && new.given == old.given, "{job} was put off without a word");
        }
    }

    fn check_cause(&self, job: JobId, cause: BrokenBy, events: &[Event]) {
        let happened = |event: &Event| events.contains(event);
        match cause {
            BrokenBy::Node(node) => assert_ne!(self.health[node.index()], Health::Up),
            BrokenBy::Withdrawn => assert!(happened(&Event::Withdrawn(job))),
            BrokenBy::Extended(run) => assert!(happened(&Event::Extended(run, self.runs[&run]))),
            BrokenBy::Overrun(run) => assert!(!self.punctual && self.runs[&run].after(GRACE) <= self.now),
            BrokenBy::Reserved(id) => {
                let made = events.iter().any(|event| matches!(event, Event::Reserved(made) if made.id == id));
                assert!(!self.punctual || made || happened(&Event::Unreserved(id)));
            }
            BrokenBy::Budget => assert!(!self.covered(&self.asks[&job])),
            BrokenBy::Reclaimed(_) => {}
            BrokenBy::OwnerLimit => panic!("nobody has a limit here"),
            BrokenBy::Overtaken(other) => {
                let (one, other) = (&self.asks[&job], &self.asks[&other]);
                assert_eq!((one.user, one.project), (other.user, other.project));
                assert!(other.qos > one.qos);
            }
        }
    }

    fn covered(&self, ask: &Ask) -> bool {
        let need = GpuTime::checked_of(ask.request.gpus(), least(ask)).unwrap();
        self.sched.left(ask.project).is_some_and(|left| need <= left)
    }

    /// Without promises, whatever still waits and is paid for does not fit: tried on every island by counting.
    fn check_nothing_left(&self) {
        for ask in self.asks.values().filter(|ask| self.covered(ask)) {
            let fits = plain(&ask.request).iter().any(|request| self.fits(request, least(ask)));
            assert!(!fits, "{:?} waits and would fit", ask.run.job);
        }
    }

    fn fits(&self, request: &Request, limit: Span) -> bool {
        let gone = self.now.after(limit).after(GRACE);
        if !self.book.caps_allow(&self.sched, request, self.now, gone) {
            return false;
        }
        let racks: BTreeSet<_> = self.founding.nodes.iter().map(|node| (node.island, node.rack)).collect();
        let islands: BTreeSet<_> = racks.iter().map(|(island, _)| *island).collect();
        let of = |island: IslandId| racks.iter().copied().filter(|rack| rack.0 == island).collect::<BTreeSet<_>>();
        let in_rack = |request: &Request, rack: &(IslandId, u32)| self.within(request, gone, &BTreeSet::from([*rack]));
        match (&request.topology.required, request.topology.segment) {
            (Some(_), None) => racks.iter().any(|rack| in_rack(request, rack)),
            (Some(_), Some(segment)) => {
                // These racks hold less than two segments, so that each segment needs a rack of its own.
                let mut one = request.clone();
                one.parts[0].nodes = segment;
                let rooms = |island| of(island).iter().filter(|rack| in_rack(&one, rack)).count();
                islands.iter().any(|island| rooms(*island) >= (request.nodes() / segment) as usize)
            }
            _ => {
                let one = islands.iter().any(|island| self.within(request, gone, &of(*island)));
                one || (request.across_islands && self.within(request, gone, &racks))
            }
        }
    }

    /// What is kept on a node for runs to come, of which each part of a device may need one of its own: GPUs, CPUs, memory.
    fn kept_on(&self, node: NodeId) -> (u32, u32, u64) {
        let slots = self.sched.kept_places().flat_map(|(_, on, _)| &on.slots).filter(|slot| slot.node == node);
        slots.fold((0, 0, 0), |sum, slot| {
            (sum.0 + slot.devices.count_ones(), sum.1 + slot.cpus, sum.2 + slot.memory_mib)
        })
    }

    /// Tried on every device, against all that its runs hold.
    fn has_room(&self, node: &Node, share: &Share) -> bool {
        let parts = node.device.as_ref().map(|device| device.parts.clone()).unwrap_or_default();
        let held = |device: u32| {
            let slots = self.sched.runs().flat_map(|(_, on, _)| &on.slots);
            slots.filter(move |slot| slot.node == node.id && slot.devices >> device & 1 == 1)
        };
        (0..node.gpus).any(|device| match share {
            Share::Milli(milli) => {
                let shared = held(device).all(|slot| slot.share.is_some_and(|held| !held.is_slice()));
                parts.shards > 0 && shared && held(device).map(|slot| slot.milli()).sum::<u32>() + milli <= 1000
            }
            Share::Slice(name) => {
                let cut = held(device).all(|slot| slot.share.is_some_and(|held| held.is_slice()));
                let taken = held(device).filter_map(|slot| slot.share).fold(0, |cut, held| cut | held.cut);
                let mut starts = (0..8).filter(|at| parts.profile(name).is_some_and(|one| one.starts >> at & 1 == 1));
                cut && starts.any(|at| parts.profile(name).is_some_and(|one| one.at(at).cut & taken == 0))
            }
        })
    }

    fn within(&self, request: &Request, gone: Time, racks: &BTreeSet<(IslandId, u32)>) -> bool {
        let nodes = self.founding.nodes.iter().filter(|node| {
            racks.contains(&(node.island, node.rack))
                && self.health[node.id.index()] == Health::Up
                && !request.exclude.contains(&node.id)
                && self.book.allows(request.reservation, node.id, self.now, gone)
        });
        let serves = |node: &madang_model::Node, part: &madang_model::Part| {
            let (load, kept) = (self.sched.node_load(node.id), self.kept_on(node.id));
            let (gpus, cpus, memory) = (load.0.count_ones() + kept.0, load.1 + kept.1, load.2 + kept.2);
            let asked = if part.memory_mib == 0 { node.memory_mib } else { part.memory_mib };
            let gpus = match &part.share {
                Some(share) => self.has_room(node, share) && (kept.0 == 0 || gpus < node.gpus),
                None => part.gpus + gpus <= node.gpus,
            };
            let model = node.device.as_ref().map_or("", |device| &device.model);
            part.model.as_ref().is_none_or(|choice| choice.allows(model))
                && gpus
                && part.cpus + cpus <= node.cpus
                && asked + memory <= node.memory_mib
                && (!part.exclusive || cpus == 0)
        };
        let nodes: Vec<_> = nodes.collect();
        // Needs are nested, so the most demanding part (the first in these kinds) may choose first.
        let mut taken = 0;
        let counts = request.parts.iter().all(|part| {
            let count = nodes.iter().filter(|node| serves(node, part)).count();
            taken += part.nodes as usize;
            count >= taken
        });
        counts && request.include.iter().all(|id| nodes.iter().any(|n| n.id == *id && serves(n, &request.parts[0])))
    }
}

/// What a job asks for when it comes back.
fn again(ask: &Ask) -> Ask {
    let run = RunId { attempt: ask.run.attempt + 1, ..ask.run };
    Ask { run, ..ask.clone() }
}

/// The start is what was asked for, on healthy nodes, whole.
fn check_start(founding: &Founding, health: &[Health], request: &Request, on: &Allocation) {
    let node = |id: NodeId| &founding.nodes[id.index()];
    for (index, part) in (0u32..).zip(&request.parts) {
        let slots: Vec<_> = on.slots.iter().filter(|slot| slot.part == index).collect();
        assert_eq!(slots.len(), part.nodes as usize);
        for slot in slots {
            assert_eq!(health[slot.node.index()], Health::Up);
            assert_eq!(slot.devices.count_ones(), part.gpus);
            check_share(node(slot.node), part, slot);
            assert!(u64::from(slot.devices) < 1 << node(slot.node).gpus);
            assert_eq!(slot.cpus, if part.exclusive { node(slot.node).cpus } else { part.cpus });
            assert!(!request.exclude.contains(&slot.node));
        }
    }
    let model = |slot: &Slot| node(slot.node).device.as_ref().map_or("", |device| &device.model);
    for choice in request.parts[0].model.iter().chain(&request.parts[0].features) {
        assert!(on.slots.iter().all(|slot| choice.allows(model(slot))));
        let models: BTreeSet<&str> = on.slots.iter().map(model).collect();
        assert!(models.len() == 1 || choice.is_mixed(), "a gang of {models:?} for {choice}");
    }
    let spare = |place: usize| place + request.topology.spares as usize >= on.slots.len();
    assert!(on.slots.iter().enumerate().is_sorted_by_key(|(place, slot)| (slot.part, spare(place), slot.node)));
    let nodes: BTreeSet<NodeId> = on.slots.iter().map(|slot| slot.node).collect();
    assert_eq!(nodes.len(), request.nodes() as usize, "distinct nodes, the whole gang");
    assert!(request.include.iter().all(|id| nodes.contains(id)));
    let islands: BTreeSet<_> = nodes.iter().map(|id| node(*id).island).collect();
    assert!(request.across_islands || islands.len() == 1);
    if request.topology.required.is_some() {
        let segment = request.topology.segment.unwrap_or(request.nodes()) as usize;
        for together in on.slots.chunks(segment) {
            let racks: BTreeSet<_> = together.iter().map(|slot| node(slot.node).rack).collect();
            assert_eq!(racks.len(), 1, "{request:?} on {on:?}");
        }
    }
}

/// The shortest limit that a job takes.
fn least(ask: &Ask) -> Span {
    ask.limit_min.map_or(ask.limit, |least| least.min(ask.limit))
}

fn check_share(node: &Node, part: &Part, slot: &Slot) {
    let parts = node.device.as_ref().map(|device| device.parts.clone()).unwrap_or_default();
    match (&part.share, slot.share) {
        (None, None) => {}
        (Some(Share::Milli(milli)), Some(held)) => {
            assert!(parts.shards > 0 && u32::from(held.milli) == *milli && held.cut == 0);
        }
        (Some(Share::Slice(name)), Some(held)) => {
            let profile = parts.profile(name).expect("it is offered here");
            let start = held.cut.trailing_zeros();
            assert!(profile.starts >> start & 1 == 1 && held == profile.at(start), "{held:?} for {name}");
        }
        other => panic!("{other:?}"),
    }
}

/// What is expected of a job: nothing, or anything from far too little to far too much.
fn expecting(ask: Ask) -> Ask {
    let tenths = ask.run.job.number() * 7 % 13;
    let expected = (tenths > 0).then(|| Span::from_millis(ask.limit.millis() * tenths * tenths / 100));
    Ask { expected, ..ask }
}

fn nth<T>(items: impl ExactSizeIterator<Item = T>, pick: usize) -> Option<T> {
    let count = items.len();
    items.into_iter().nth(pick.checked_rem(count)?)
}

fn live(promises: u32, punctual: bool, acts: Vec<Act>) -> Life {
    let mut life = Life::new(promises, punctual);
    for act in acts {
        life.act(act);
    }
    life
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 2, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_waits_that_would_fit(acts in proptest::collection::vec(act(), 1..120)) {
        live(0, false, acts);
    }

    #[test]
    fn promises_are_kept_or_broken_with_cause(acts in proptest::collection::vec(act(), 1..120)) {
        live(2, true, acts);
    }

    #[test]
    fn promises_survive_overruns(acts in proptest::collection::vec(act(), 1..120)) {
        live(3, false, acts);
    }

    #[test]
    fn explanations_hold(acts in proptest::collection::vec(act(), 1..60)) {
        let life = live(2, true, acts);
        for (job, ask) in &life.asks {
            let explanation = life.sched.explain(life.now, *job).unwrap();
            prop_assert!(!explanation.why.is_empty());
            prop_assert!(explanation.ahead < life.sched.pending());
            let when = life.sched.when(life.now, *job);
            prop_assert!(when.is_none_or(|time| time >= life.now));
            let need = |ask: &Ask| GpuTime::checked_of(ask.request.gpus(), ask.limit).unwrap();
            let all: GpuTime = life.asks.values().filter(|other| other.project == ask.project).map(need).sum();
            let paid = life.sched.left(ask.project).is_some_and(|left| all <= left);
            let free = life.book.all.is_empty() && ask.request.reservation.is_none();
            if paid && free && life.health.iter().all(|health| *health == Health::Up) {
                prop_assert!(when.is_some(), "{job} starts some day");
            }
        }
    }

    #[test]
    fn with_nothing_new_every_promise_is_kept(acts in proptest::collection::vec(act(), 1..80)) {
        let mut life = live(2, true, acts);
        for _ in 0..200 {
            let Some(last) = life.runs.values().max().copied() else { break };
            let before = life.promised.clone();
            life.wait(last.max(life.now));
            for ask in before.keys().filter_map(|job| life.asks.get(job)) {
                prop_assert!(life.promised.contains_key(&ask.run.job) || !life.covered(ask));
            }
        }
    }
}

#[test]
fn no_promise_is_given_up_for_one_that_cannot_be_given() {
    let book = |kind, first, count, from, len, every| Act::Reserve(Booked { kind, first, count, from, len, every });
    let ask = |kind, limit, user, project, qos| Act::Submit { kind, limit, user, project, qos };
    let windows = [book(2, 1, 1, 10, 42, None), book(0, 2, 3, 0, 74, None), Act::Wait(0)];
    let inside = Act::Inside { kind: 3, limit: 7, pick: 1 };
    let nodes = [book(0, 0, 1, 19, 7, Some((10, 2))), ask(0, 1, 0, 1, 0), ask(0, 1, 0, 1, 0), inside, Act::Wait(186)];
    let asks = [ask(10, 5, 1, 1, 1), ask(0, 4, 0, 2, 0), ask(2, 5, 2, 1, 4), ask(6, 4, 0, 3, 1), ask(4, 4, 0, 2, 2)];
    let later = [ask(2, 1, 2, 1, 2), ask(5, 3, 2, 1, 3)];
    let mut life =
        live(2, true, windows.into_iter().chain(nodes).chain([Act::End(0)]).chain(asks).chain(later).collect());
    // A job that overtakes finds no start around the windows when one of them begins.
    let before = life.promised.clone();
    life.wait(at(600));
    for ask in before.keys().filter_map(|job| life.asks.get(job)) {
        assert!(life.promised.contains_key(&ask.run.job), "{ask:?}");
    }
}
