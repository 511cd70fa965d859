//! Why a job waits, and what would start it.
use crate::api::{Ask, Budget, Change, Event, Explanation};
use crate::place::{self, Now, Short};
use crate::promise::GRACE;
use crate::queue::{Rank, Waiting, need};
use crate::rank::Ranking;
use crate::reserve::match_shape;
use crate::scheduler::Scheduler;
use crate::shape::Shape;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use madang_model::{Allocation, Blocked, JobId, Request, Span, Time};

/// Most turns that are counted to tell how many jobs rank before one.
const TURNS: u32 = 100_000;

impl Scheduler {
    /// The binding limit as of the last cycle.
    pub fn why(&self, job: JobId) -> Option<Blocked> {
        let waiting = self.queue.jobs.get(&job)?;
        Some(self.outside(waiting).or_else(|| self.capacity(job, waiting)).unwrap_or(Blocked::Fresh))
    }

    /// What blocks a job whatever is free: the estate and the budget.
    pub(crate) fn outside(&self, waiting: &Waiting) -> Option<Blocked> {
        let (class, shape) = self.queue.kind(waiting);
        let anew = if shape.matched == self.queue.round { None } else { Some(self.matched(shape)) };
        let shape = anew.as_ref().unwrap_or(shape);
        if let Some(by) = shape.request.reservation.filter(|id| !self.cluster.calendar.all.contains_key(id)) {
            return Some(Blocked::ReservationOver { by });
        }
        if shape.never {
            return Some(Blocked::Never);
        }
        if !shape.possible {
            return Some(Blocked::NodesUnavailable);
        }
        match self.shares.projects[self.shares.leaves[waiting.leaf].project].budget {
            Budget::NoAward => Some(Blocked::NoAward),
            Budget::Left(left) if class.need > left => Some(Blocked::Budget { needs: class.need, left }),
            Budget::Left(_) => self.owner_limit(waiting),
        }
    }

    /// A shape that is not looked at yet, matched against the nodes as they are now.
    fn matched(&self, shape: &Shape) -> Shape {
        let mut shape = shape.clone();
        match_shape(&mut shape, &self.cluster);
        shape
    }

    /// What blocks a job that could start on a freer estate.
    fn capacity(&self, job: JobId, waiting: &Waiting) -> Option<Blocked> {
        let (class, shape) = self.queue.kind(waiting);
        if let Some(pledge) = self.promises.get(job) {
            if let Some(why) = pledge.window.and_then(|by| self.reserved_by(by)) {
                return Some(why);
            }
            return Some(shape.short(pledge.fitting));
        }
        if self.queue.is_behind(waiting) {
            return Some(Blocked::Priority { behind: None });
        }
        let memo = shape.memo.filter(|memo| class.limit >= memo.limit)?;
        if let Some(why) = memo.window.and_then(|by| self.reserved_by(by)) {
            return Some(why);
        }
        if let Some(other) = memo.behind.filter(|other| self.promises.has(*other)) {
            return Some(Blocked::Priority { behind: Some(other) });
        }
        let mut fronts = self.queue.leaves[waiting.leaf].by_front(class.shape);
        match fronts.find(|(_, seat)| seat.3 == waiting.class).map(|(rank, ..)| rank.3) {
            Some(first) if first != job => {
                Some(Blocked::Priority { behind: Some(first).filter(|first| self.promise(*first).is_some()) })
            }
            _ => Some(shape.short(memo.fitting)),
        }
    }

    /// All that blocks a job, what ranks before it, and the smallest change that was found to start it now.
    pub fn explain(&self, now: Time, job: JobId) -> Option<Explanation> {
        let waiting = self.queue.jobs.get(&job)?;
        let mut why = Vec::new();
        why.extend(self.outside(waiting));
        why.extend(self.capacity(job, waiting).map(|blocked| self.counted_anew(now, waiting, blocked)));
        if why.is_empty() {
            why.push(Blocked::Fresh);
        }
        let promise = self.promise(job).cloned();
        Some(Explanation { why, promise, ahead: self.ahead(now, waiting), change: self.change(now, job, waiting) })
    }

    /// The cycle counts the nodes with room when it tries a job, and does not try again what must fail; here they are
    /// counted as of now.
    fn counted_anew(&self, now: Time, waiting: &Waiting, blocked: Blocked) -> Blocked {
        let Blocked::Resources { wanted, .. } = blocked else { return blocked };
        let (class, shape) = self.queue.kind(waiting);
        match self.placed(now, waiting, shape, class.limit) {
            Err(short) => Blocked::Resources { fitting: short.fitting, wanted },
            Ok(_) => blocked,
        }
    }

    /// Where a job of this shape and limit would go now, its own promise aside.
    fn placed(&self, now: Time, waiting: &Waiting, shape: &Shape, limit: Span) -> Result<Allocation, Short> {
        let mut promises = self.promises.clone();
        promises.lift(waiting.run.job);
        let at =
            Now { cluster: &self.cluster, promises: &promises, now, end: now.after(limit).after(GRACE), rides: true };
        place::now(shape, &at)
    }

    /// How many jobs would be looked at before this one, if each was served in its turn and capacity were no bound.
    fn ahead(&self, now: Time, waiting: &Waiting) -> u32 {
        let mut shares = self.shares.clone();
        let waiting_ones = (0..shares.leaves.len()).filter(|leaf| shares.leaves[*leaf].waiting > 0).collect();
        let mut ranking = Ranking::new(&mut shares, now, &waiting_ones);
        let mut lines: BTreeMap<usize, alloc::vec::IntoIter<(Rank, u64)>> = BTreeMap::new();
        let mut ahead = 0;
        while let Some(leaf) = ranking.next() {
            let line = lines.entry(leaf).or_insert_with(|| self.in_order(leaf).into_iter());
            match line.next() {
                Some((rank, _)) if rank == waiting.rank => return ahead,
                Some((_, rate)) => ranking.served(&shares, Ranking::charge(rate)),
                None => {
                    ranking.drop_next();
                    continue;
                }
            }
            ahead += 1;
            if ahead >= TURNS {
                return ahead;
            }
        }
        ahead
    }

    /// A leaf's jobs in rank order, with the milli-GPUs that each would hold.
    fn in_order(&self, leaf: usize) -> Vec<(Rank, u64)> {
        let lines = self.queue.leaves.get(leaf).into_iter().flat_map(|leaf| &leaf.by_seat);
        let mut all: Vec<(Rank, u64)> = lines
            .flat_map(|((shape, ..), line)| line.iter().map(|rank| (*rank, self.queue.shapes[*shape].rate)))
            .collect();
        all.sort_unstable();
        // Whoever is not looked at yet comes after all that are.
        let behind = self.queue.leaves.get(leaf).into_iter().flat_map(|leaf| leaf.behind());
        let mut last: Vec<(Rank, u64)> = behind.map(|(rank, shape)| (*rank, self.queue.shapes[shape].rate)).collect();
        last.sort_unstable();
        all.extend(last);
        all
    }

    /// The smallest change that would start the job now: looked for by trial placements, verified on a draft.
    fn change(&self, now: Time, job: JobId, waiting: &Waiting) -> Option<Change> {
        let (class, shape) = self.queue.kind(waiting);
        let ask = self.ask(waiting);
        let starts = |request: &Request, limit: Span| self.would_place(now, waiting, request, limit);
        let verified = |change: Change| Some(change).filter(|change| self.verify(now, job, &changed(&ask, *change)));
        if !shape.request.across_islands {
            let change = Change::AcrossIslands;
            if starts(&changed(&ask, change).request, class.limit)
                && let Some(change) = verified(change)
            {
                return Some(change);
            }
        }
        let minutes = class.limit.millis().saturating_sub(1) / Span::from_mins(1).millis();
        let limit = |minutes: u64| Span::from_mins(minutes);
        if let Some(most) = largest(minutes, |minutes| starts(&ask.request, limit(minutes)))
            && let Some(change) = verified(Change::Limit(limit(most)))
        {
            return Some(change);
        }
        let [part] = ask.request.parts.as_slice() else { return None };
        let nodes = |count: u64| Change::Nodes(count as u32);
        let gpus = |count: u64| Change::Gpus(count as u32);
        let fewer = |most: u32, change: &dyn Fn(u64) -> Change| {
            let most = u64::from(most.saturating_sub(1));
            largest(most, |count| starts(&changed(&ask, change(count)).request, class.limit)).map(change)
        };
        fewer(part.nodes, &nodes).and_then(verified).or_else(|| fewer(part.gpus, &gpus).and_then(verified))
    }

    /// True if a job like this one with another request or limit could be placed and paid for now.
    fn would_place(&self, now: Time, waiting: &Waiting, request: &Request, limit: Span) -> bool {
        let shape = Shape::new(request.clone(), &self.estate);
        let project = self.shares.leaves[waiting.leaf].project;
        let may = self.covers(project, need(request, limit)) && self.may_hold(project, request);
        may && self.placed(now, waiting, &shape, limit).is_ok()
    }

    /// True if the scheduler, told of the change, starts the job at once.
    fn verify(&self, now: Time, job: JobId, ask: &Ask) -> bool {
        let mut draft = self.clone();
        draft.config.tries = u32::MAX;
        draft.config.starts = u32::MAX;
        draft.config.taking.jobs = 0;
        let step = draft.step(now.max(self.now), alloc::vec![Event::Queued(ask.clone())]);
        step.starts.iter().any(|start| start.run.job == job)
    }

    /// The question that a waiting job came with.
    fn ask(&self, waiting: &Waiting) -> Ask {
        let shape = self.queue.kind(waiting).1;
        let leaf = &self.shares.leaves[waiting.leaf];
        Ask {
            run: waiting.run,
            project: self.shares.projects[leaf.project].id,
            user: leaf.user,
            request: shape.request.clone(),
            limit: waiting.limit,
            limit_min: self.queue.least(waiting),
            deadline: waiting.deadline,
            qos: waiting.rank.0.0,
            nice: waiting.rank.1,
            checkpoint: waiting.every,
            expected: waiting.expected,
            since: waiting.rank.2.since,
        }
    }
}

/// The question with the change made.
fn changed(ask: &Ask, change: Change) -> Ask {
    let mut ask = ask.clone();
    match change {
        Change::Limit(limit) => ask.limit = limit,
        Change::Nodes(nodes) => ask.request.parts[0].nodes = nodes,
        Change::Gpus(gpus) => ask.request.parts[0].gpus = gpus,
        Change::AcrossIslands => ask.request.across_islands = true,
    }
    ask
}

/// The largest count from 1 to `most` that works, given that less works where more does.
fn largest(most: u64, works: impl Fn(u64) -> bool) -> Option<u64> {
    let (mut low, mut high) = (0, most);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if works(middle) { low = middle } else { high = middle - 1 }
    }
    (low > 0).then_some(low)
}
