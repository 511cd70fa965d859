//! One pass over the queue in rank order: start, or promise, or pass over.
//!
//! Each leaf's lines are merged once per pass, by the rank of their heads. A class that is known to fail leaves the
//! merge at its turn, unless its owner may be given another promise.
use crate::api::{BrokenBy, Step};
use crate::queue::Rank;
use crate::rank::Ranking;
use crate::scheduler::Scheduler;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::cmp::Reverse;
use madang_model::{JobId, Qos, Time};

/// Heads of a leaf's lines, and its promised jobs, by rank; with their class.
type Heads = BTreeSet<(Rank, usize)>;

/// What a leaf may try next.
struct Turn {
    head: (Rank, usize),
    job: JobId,
    shape: usize,
    kind: Kind,
}

#[derive(PartialEq)]
enum Kind {
    /// A job with a promise, tried for itself.
    Promised,
    /// The head of a line.
    Head,
    /// The head of a line that is known to fail, so that all it can get is a promise.
    Blocked,
}

/// What is known while a pass runs.
struct Pass {
    ranking: Ranking,
    heads: BTreeMap<usize, Heads>,
    /// Promises that each owner may still be given. One that ends in this pass leaves its place to the next pass, whose
    /// first blocked job gets it.
    places: Vec<u32>,
    /// Shapes for which no promise could be computed.
    barren: BTreeSet<usize>,
}

/// What a submitter chose of a rank: the rest is age.
fn urgency(rank: &Rank) -> (Reverse<Qos>, i32) {
    (rank.0, rank.1)
}

impl Scheduler {
    /// One pass in rank order; false when a bound was met.
    pub(crate) fn pass(&mut self, now: Time, step: &mut Step) -> bool {
        let ranking = Ranking::new(&mut self.shares, now);
        let places = (0..self.shares.owners.len()).map(|owner| self.places(owner)).collect();
        let mut pass = Pass { ranking, heads: BTreeMap::new(), places, barren: BTreeSet::new() };
        while let Some(leaf) = pass.ranking.next() {
            let Some(turn) = self.turn(leaf, &mut pass) else {
                pass.ranking.drop_next();
                continue;
            };
            if turn.kind == Kind::Blocked {
                self.promise_next(now, leaf, &turn, &mut pass, step);
            } else if step.report.tries >= self.config.tries || step.starts.len() >= self.config.starts as usize {
                return false;
            } else {
                self.try_next(now, leaf, &turn, &mut pass, step);
            }
        }
        true
    }

    /// A leaf's merged lines when its first turn comes. What cannot be served then cannot be served later in the pass.
    fn heads(&self, leaf: usize, promises: bool) -> Heads {
        let open = |rank: &&Rank| !self.promises.by_job.contains_key(&rank.3);
        let project = self.shares.leaves[leaf].project;
        let pledges = self.promises.by_job.values().filter(|pledge| pledge.leaf == leaf);
        let last = pledges.map(|pledge| urgency(&pledge.rank)).max();
        let overtakes = |line: &BTreeSet<Rank>| line.first().map(urgency) < last;
        let mut heads = Heads::new();
        for (class, line) in self.queue.lines.get(leaf).into_iter().flatten() {
            let class_now = &self.queue.classes[*class];
            let (limit, need, shape) = (class_now.limit, class_now.need, &self.queue.shapes[class_now.shape]);
            if shape.possible && self.covers(project, need) && (promises || overtakes(line) || !shape.failed(limit)) {
                heads.extend(line.iter().find(open).map(|rank| (*rank, *class)));
            }
        }
        let promised = self.promises.by_job.iter().filter(|(_, pledge)| pledge.leaf == leaf && !pledge.settled);
        heads.extend(promised.map(|(job, pledge)| (pledge.rank, self.queue.jobs[job].class)));
        heads
    }

    /// The first job of the leaf that may start or be promised a start; what may not is taken out of the merge.
    fn turn(&self, leaf: usize, pass: &mut Pass) -> Option<Turn> {
        let project = self.shares.leaves[leaf].project;
        let promises = pass.places[self.shares.projects[project].owner] > 0;
        let heads = pass.heads.entry(leaf).or_insert_with(|| self.heads(leaf, promises));
        while let Some(head) = heads.first().copied() {
            let (job, class) = (head.0.3, &self.queue.classes[head.1]);
            let shape = &self.queue.shapes[class.shape];
            let kind = if self.promises.by_job.contains_key(&job) {
                Some(Kind::Promised)
            } else if !shape.failed(class.limit) {
                Some(Kind::Head)
            } else {
                let may = promises || self.overtaken_by(leaf, &head.0).is_some();
                (may && !pass.barren.contains(&class.shape)).then_some(Kind::Blocked)
            };
            if let Some(kind) = kind.filter(|_| shape.possible && self.covers(project, class.need)) {
                return Some(Turn { head, job, shape: class.shape, kind });
            }
            heads.remove(&head);
        }
        None
    }

    /// The promise that goes to a job of this rank when its owner may be given no more: the last of its own leaf whose
    /// urgency is less.
    pub(crate) fn overtaken_by(&self, leaf: usize, rank: &Rank) -> Option<JobId> {
        let pledges = self.promises.by_job.iter().filter(|(_, pledge)| pledge.leaf == leaf);
        let less = pledges.filter(|(_, pledge)| urgency(rank) < urgency(&pledge.rank));
        less.max_by_key(|(_, pledge)| pledge.rank).map(|(job, _)| *job)
    }

    fn promise_next(&mut self, now: Time, leaf: usize, turn: &Turn, pass: &mut Pass, step: &mut Step) {
        let owner = self.shares.owner_of(leaf);
        if pass.places[owner] == 0
            && let Some(job) = self.overtaken_by(leaf, &turn.head.0)
        {
            self.break_promise(job, BrokenBy::Overtaken(turn.job), step);
            pass.places[owner] += 1;
        }
        let (memo, rate) = (self.queue.shapes[turn.shape].memo, self.queue.shapes[turn.shape].rate);
        match self.give_promise(now, turn.job, memo.map_or(0, |memo| memo.fitting)) {
            Some(_) => {
                pass.places[owner] -= 1;
                self.move_on(leaf, turn, pass);
                pass.ranking.served(&self.shares, Ranking::charge(rate));
            }
            None => {
                pass.barren.insert(turn.shape);
            }
        }
    }

    fn try_next(&mut self, now: Time, leaf: usize, turn: &Turn, pass: &mut Pass, step: &mut Step) {
        step.report.tries += 1;
        let promised = turn.kind == Kind::Promised;
        let overtakes = self.promises.by_job.len() > usize::from(promised);
        match self.try_start(now, turn.job, step) {
            Ok(()) => {
                step.report.backfilled += u32::from(overtakes && !promised);
                self.move_on(leaf, turn, pass);
                pass.ranking.served(&self.shares, 0);
            }
            Err(_) if promised => {
                pass.heads.get_mut(&leaf).map(|heads| heads.remove(&turn.head));
            }
            Err(short) => self.note(turn.job, turn.shape, short),
        }
    }

    /// Puts the next job of the same line in the place of one that is done with.
    fn move_on(&self, leaf: usize, turn: &Turn, pass: &mut Pass) {
        let Some(heads) = pass.heads.get_mut(&leaf) else { return };
        heads.remove(&turn.head);
        let Some(line) = self.queue.lines[leaf].get(&turn.head.1).filter(|_| turn.kind != Kind::Promised) else {
            return;
        };
        let open = |rank: &&Rank| !self.promises.by_job.contains_key(&rank.3);
        if let Some(rank) = line.range(turn.head.0..).filter(|rank| **rank > turn.head.0).find(open) {
            heads.insert((*rank, turn.head.1));
        }
    }
}
