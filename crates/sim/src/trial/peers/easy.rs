//! EASY backfill: the head of the queue has a reservation, others overtake if they do not delay it.
//!
//! After Lifka's "The ANL/IBM SP scheduling system" (1995) and Mu'alem and Feitelson (2001), carried from processors to
//! nodes. Kept: one queue in order of submission for all owners; when the head has no place, the *shadow* is the earliest
//! moment at which its whole gang has one in one fabric, if every run lasts to its limit; whoever stands behind may start
//! if it fits now and either its limit ends by the shadow, or as many nodes as the head needs are still free for it then.
//! Where nodes have one GPU each this is the textbook's rule to the letter. Simplified: the policy looks once at each
//! moment after all its news; nodes that are down are taken to stay down, and a head too large for the nodes that are up
//! holds up nobody.
use super::super::record::How;
use super::super::room::{Need, Room};
use super::super::workload::{Job, Workload};
use super::drive::{Ground, Policy};
use super::line::{Line, Lines};
use madang_model::{Span, Time};
use std::collections::BTreeSet;

/// The reservation of the head.
struct Shadow {
    /// Whose it is.
    head: usize,
    /// When the head can start at the latest.
    at: Time,
    /// Where.
    fabric: usize,
    /// What is left on each node then.
    rooms: Vec<Room>,
    /// Nodes that could go to others and leave enough for the head.
    spare: usize,
}

/// The queue and what runs.
pub(super) struct Easy {
    waiting: BTreeSet<usize>,
    lines: Lines,
    /// Runs by (end at their limit, job), and that end by job.
    runs: BTreeSet<(Time, usize)>,
    limits: Vec<Time>,
    shadow: Option<Shadow>,
    /// The head that has no place even when all runs have ended.
    hopeless: Option<usize>,
}

impl Easy {
    /// For a workload; nobody waits.
    pub fn new(workload: &Workload) -> Easy {
        Easy {
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
        self.shadow = find(ground, head, &self.runs);
        self.hopeless = if self.shadow.is_none() { Some(head) } else { None };
    }

    /// Lets others overtake, in order.
    fn overtake(&mut self, ground: &mut Ground, head: usize) {
        let short = self.shadow.as_ref().map_or(Span::MAX, |shadow| shadow.at.since(ground.now));
        // The longest limit that may still start, by line; what does not fit now will not in this look.
        let fits = |line: &Line| (!line.is_empty() && ground.floor().fits(line.nodes, &line.need)).then_some(Span::MAX);
        let mut most: Vec<Option<Span>> = self.lines.lines.iter().map(fits).collect();
        let mut from = head + 1;
        loop {
            let lines = self.lines.lines.iter().zip(&most).enumerate();
            let next = lines.filter_map(|(at, (line, most))| Some((line.next(from, (*most)?)?, at))).min();
            let Some((index, line)) = next else { return };
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
fn find(ground: &Ground, head: usize, runs: &BTreeSet<(Time, usize)>) -> Option<Shadow> {
    let (floor, job) = (ground.floor(), ground.job(head));
    let need = job.need();
    let up = |node: u32| if floor.is_down(node) { Room::default() } else { floor.room(node).clone() };
    let mut rooms: Vec<Room> = (0..floor.nodes()).map(up).collect();
    let mut fitting: Vec<usize> = (0..floor.fabrics()).map(|fabric| floor.ready(fabric, &need).count()).collect();
    let mut runs = runs.iter().peekable();
    while let Some((at, run)) = runs.next() {
        let of = ground.job(*run).need();
        for (node, taken) in ground.held(*run).iter().filter(|(node, _)| !floor.is_down(*node)) {
            let room = &mut rooms[*node as usize];
            let had = room.fits(&need);
            room.give(&of, *taken);
            fitting[floor.fabric(*node)] += usize::from(!had && room.fits(&need));
        }
        // Whatever ends at the same moment is free then too.
        if runs.peek().is_some_and(|(next, _)| next == at) {
            continue;
        }
        if let Some(fabric) = fitting.iter().position(|count| *count >= job.nodes as usize) {
            let spare = fitting[fabric] - job.nodes as usize;
            return Some(Shadow { head, at: *at, fabric, rooms, spare });
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
    let costs = |node: u32| costs(&shadow.rooms[node as usize], floor.room(node), &needs, &need);
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
    on.iter().for_each(|node| shadow.rooms[*node as usize].take(&need, floor.room(*node).seat(&need)));
    Some(on)
}

/// A node costs the head something if it fits there at the shadow, and would not beside a job that is seated now.
fn costs(then: &Room, now: &Room, head: &Need, job: &Need) -> bool {
    if !then.fits(head) {
        return false;
    }
    if head.is_plain() && job.is_plain() {
        return then.gpus - job.gpus.min(then.gpus) < head.gpus;
    }
    let mut beside = then.clone();
    beside.take(job, now.seat(job));
    !beside.fits(head)
}
