//! EASY backfill: the head of the queue has a reservation, others overtake if they do not delay it.
//!
//! After Lifka's "The ANL/IBM SP scheduling system" (1995) and Mu'alem and Feitelson (2001), carried from processors to
//! nodes. Kept: one queue in order of submission for all owners; when the head has no place, the *shadow* is the earliest
//! moment at which its whole gang has one in one fabric, if every run lasts to its limit; whoever stands behind may start
//! if it fits now and either its limit ends by the shadow, or as many nodes as the head needs are still free for it then.
//! Where nodes have one GPU each this is the textbook's rule to the letter. Simplified: the policy looks once at each
//! moment after all its news; nodes that are down are taken to stay down, and a head too large for the nodes that are up
//! holds up nobody. Settings are those that Slurm's backfill has for the same things.
use super::super::floor::Floor;
use super::super::record::How;
use super::super::room::{Need, Room, Taken};
use super::super::workload::{Job, Workload};
use super::drive::{Ground, Policy};
use super::line::{Line, Lines};
use madang_model::{Span, Time};
use std::collections::BTreeSet;

/// Settings, after those of Slurm's `sched/backfill`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// How many jobs behind the head are looked at, as `bf_max_job_test` bounds it; all by default.
    pub depth: usize,
    /// How far ahead the head's reservation may lie, as `bf_window` bounds it: a head that starts later has none and may be
    /// delayed. No bound by default.
    pub window: Span,
}

impl Default for Config {
    fn default() -> Config {
        Config { depth: usize::MAX, window: Span::MAX }
    }
}

/// The reservation of the head.
struct Shadow {
    /// Whose it is.
    head: usize,
    /// When the head can start at the latest.
    at: Time,
    /// Where.
    fabric: usize,
    /// What is left on each node then.
    then: Then,
    /// Nodes that could go to others and leave enough for the head.
    spare: usize,
}

/// What is left on each node at a moment to come.
struct Then {
    /// Whole GPUs; all that there is to know where jobs ask for nothing else.
    gpus: Vec<u32>,
    /// All that is left, where they do.
    rooms: Vec<Room>,
}

impl Then {
    /// As it is now; nothing on nodes that are down.
    fn new(floor: &Floor, plain: bool) -> Then {
        let up = |node: &u32| !floor.is_down(*node);
        let gpus = |node: u32| if up(&node) { floor.room(node).gpus } else { 0 };
        let room = |node: u32| if up(&node) { floor.room(node).clone() } else { Room::default() };
        match plain {
            true => Then { gpus: (0..floor.nodes()).map(gpus).collect(), rooms: Vec::new() },
            false => Then { gpus: Vec::new(), rooms: (0..floor.nodes()).map(room).collect() },
        }
    }

    /// Whether a node meets a need.
    fn fits(&self, node: u32, need: &Need) -> bool {
        self.rooms.get(node as usize).map_or_else(|| self.gpus[node as usize] >= need.gpus, |room| room.fits(need))
    }

    /// A run has given back what it takes of a node.
    fn give(&mut self, node: u32, need: &Need, taken: Taken) {
        match self.rooms.get_mut(node as usize) {
            Some(room) => room.give(need, taken),
            None => self.gpus[node as usize] += need.gpus,
        }
    }

    /// A job holds what it is seated on now.
    fn take(&mut self, node: u32, need: &Need, now: &Room) {
        match self.rooms.get_mut(node as usize) {
            Some(room) => room.take(need, now.seat(need)),
            None => self.gpus[node as usize] -= need.gpus,
        }
    }

    /// A node costs the head something if it fits there then, and would not beside a job that is seated now.
    fn costs(&self, node: u32, head: &Need, job: &Need, now: &Room) -> bool {
        if !self.fits(node, head) {
            return false;
        }
        let Some(room) = self.rooms.get(node as usize) else {
            return self.gpus[node as usize].saturating_sub(job.gpus) < head.gpus;
        };
        let mut beside = room.clone();
        beside.take(job, now.seat(job));
        !beside.fits(head)
    }
}

/// The queue and what runs.
pub(super) struct Easy {
    config: Config,
    /// Whether jobs ask for whole GPUs alone.
    plain: bool,
    waiting: BTreeSet<usize>,
    lines: Lines,
    /// Runs by (end at their limit, job), and that end by job.
    runs: BTreeSet<(Time, usize)>,
    limits: Vec<Time>,
    shadow: Option<Shadow>,
    /// The head that has no place within the window even when all runs have ended.
    hopeless: Option<usize>,
}

impl Easy {
    /// For a workload; nobody waits.
    pub fn new(workload: &Workload, config: Config) -> Easy {
        Easy {
            config,
            plain: workload.jobs.iter().all(|job| job.need().is_plain()),
            waiting: BTreeSet::new(),
            lines: Lines::new(workload),
            runs: BTreeSet::new(),
            limits: vec![Time::default(); workload.jobs.len()],
            shadow: None,
            hopeless: None,
        }
    }

    fn start(&mut self, ground: &mut Ground, job: usize, on: Vec<u32>) {
        self.waiting.remove(&job);
        self.lines.remove(job);
        self.limits[job] = ground.now.after(ground.job(job).limit);
        self.runs.insert((self.limits[job], job));
        ground.start(job, on);
    }

    fn forget(&mut self) {
        (self.shadow, self.hopeless) = (None, None);
    }

    /// Starts heads while they fit; the first that does not.
    fn heads(&mut self, ground: &mut Ground) -> Option<usize> {
        while let Some(head) = self.waiting.first().copied() {
            let job = ground.job(head);
            let Some(on) = ground.floor().find(job.nodes, &job.need()) else { return Some(head) };
            self.start(ground, head, on);
            self.forget();
        }
        None
    }

    /// Finds the head's reservation, if the last one does not hold any more.
    fn reserve(&mut self, ground: &Ground, head: usize) {
        let known = self.shadow.as_ref().map(|shadow| shadow.head).or(self.hopeless);
        if known == Some(head) {
            return;
        }
        let last = ground.now.after(self.config.window);
        self.shadow = find(ground, head, &self.runs, self.plain).filter(|shadow| shadow.at <= last);
        self.hopeless = if self.shadow.is_none() { Some(head) } else { None };
    }

    /// Lets others overtake, in order.
    fn overtake(&mut self, ground: &mut Ground, head: usize) {
        let short = self.shadow.as_ref().map_or(Span::MAX, |shadow| shadow.at.since(ground.now));
        // The longest limit that may still start, by line; what does not fit now will not in this look.
        let fits = |line: &Line| (!line.is_empty() && ground.floor().fits(line.nodes, &line.need)).then_some(Span::MAX);
        let mut most: Vec<Option<Span>> = self.lines.lines.iter().map(fits).collect();
        let bounded = self.config.depth < self.waiting.len();
        let last = if bounded { self.waiting.iter().nth(self.config.depth) } else { None }.copied();
        let mut from = head + 1;
        loop {
            let lines = self.lines.lines.iter().zip(&most).enumerate();
            let next = lines.filter_map(|(at, (line, most))| Some((line.next(from, (*most)?)?, at))).min();
            let Some((index, line)) = next.filter(|(index, _)| last.is_none_or(|last| *index <= last)) else { return };
            let job = ground.job(index);
            let on = if job.limit <= short {
                ground.floor().find(job.nodes, &job.need())
            } else {
                let shadow = self.shadow.as_mut().expect("without a shadow every limit is short");
                beside(ground, job, shadow)
            };
            match on {
                Some(on) => {
                    self.start(ground, index, on);
                    from = index + 1;
                }
                None if job.limit <= short => most[line] = None,
                None => most[line] = Some(short),
            }
        }
    }
}

impl Policy for Easy {
    fn waits(&mut self, ground: &mut Ground, job: usize) {
        self.waiting.insert(job);
        self.lines.add(job, ground.job(job).limit);
    }

    fn withdrawn(&mut self, _ground: &mut Ground, job: usize) {
        self.waiting.remove(&job);
        self.lines.remove(job);
        self.forget();
    }

    fn gone(&mut self, _ground: &mut Ground, job: usize, _on: &[u32], _how: How) {
        self.runs.remove(&(self.limits[job], job));
        self.forget();
    }

    fn node(&mut self, _ground: &mut Ground, _node: u32) {
        self.forget();
    }

    fn decide(&mut self, ground: &mut Ground) {
        let Some(head) = self.heads(ground) else { return };
        if self.waiting.len() > 1 {
            self.reserve(ground, head);
            self.overtake(ground, head);
        }
    }
}

/// The earliest moment when a gang has a place, if runs last to their limits.
fn find(ground: &Ground, head: usize, runs: &BTreeSet<(Time, usize)>, plain: bool) -> Option<Shadow> {
    let (floor, job) = (ground.floor(), ground.job(head));
    let need = job.need();
    let mut then = Then::new(floor, plain);
    let mut fitting: Vec<usize> = (0..floor.fabrics()).map(|fabric| floor.ready(fabric, &need).count()).collect();
    let mut runs = runs.iter().peekable();
    while let Some((at, run)) = runs.next() {
        let of = ground.job(*run).need();
        for (node, taken) in ground.held(*run).iter().filter(|(node, _)| !floor.is_down(*node)) {
            let had = then.fits(*node, &need);
            then.give(*node, &of, *taken);
            fitting[floor.fabric(*node)] += usize::from(!had && then.fits(*node, &need));
        }
        // Whatever ends at the same moment is free then too.
        if runs.peek().is_some_and(|(next, _)| next == at) {
            continue;
        }
        if let Some(fabric) = fitting.iter().position(|count| *count >= job.nodes as usize) {
            let spare = fitting[fabric] - job.nodes as usize;
            return Some(Shadow { head, at: *at, fabric, then, spare });
        }
    }
    None
}

/// A place that leaves the head its own at the shadow.
fn beside(ground: &Ground, job: &Job, shadow: &mut Shadow) -> Option<Vec<u32>> {
    let floor = ground.floor();
    let (needs, need) = (ground.job(shadow.head).need(), job.need());
    for fabric in (0..floor.fabrics()).filter(|fabric| *fabric != shadow.fabric) {
        let on: Vec<u32> = floor.ready(fabric, &need).take(job.nodes as usize).collect();
        if on.len() == job.nodes as usize {
            return Some(on);
        }
    }
    let (mut on, mut spare) = (Vec::new(), shadow.spare);
    let ready = || floor.ready(shadow.fabric, &need);
    let costs = |node: u32| shadow.then.costs(node, &needs, &need, floor.room(node));
    on.extend(ready().filter(|node| !costs(*node)).take(job.nodes as usize));
    for node in ready().filter(|node| costs(*node)) {
        if spare == 0 || on.len() == job.nodes as usize {
            break;
        }
        spare -= 1;
        on.push(node);
    }
    if on.len() < job.nodes as usize {
        return None;
    }
    shadow.spare = spare;
    on.iter().for_each(|node| shadow.then.take(*node, &need, floor.room(*node)));
    Some(on)
}
