//! Placing a run under a policy, and what comes of it.
//!
//! A score depends on the node's state and the pod alone, so it is kept for each shape and node until that node changes:
//! an arrival costs a look at one number per node and a new score for the few nodes that changed since the shape's last.
use super::policy::{Known, Score, score};
use super::{Arrivals, Estate, Fragmentation, GpuAsk, Pod, Pods, Policy, State};
use crate::rng::Rng;

/// What had come of a run when arrivals had asked k percent of the cluster's GPUs, for k from 0 on.
///
/// As published, the figure at k is the mean over the arrivals whose sum rounds to k percent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Curve {
    /// GPUs handed out, in millionths of the cluster's.
    pub allocated: Vec<u64>,
    /// Fragmentation, in millionths of the cluster's GPUs.
    pub fragments: Vec<u64>,
    /// Fragmentation, in millionths of what is idle.
    pub fragment_ratio: Vec<u64>,
    /// Pods that arrived.
    pub arrived: u64,
    /// Pods that fitted nowhere.
    pub dropped: u64,
}

impl Curve {
    /// GPUs handed out when arrivals had asked so many percent; the last figure beyond the end.
    pub fn allocated_at(&self, percent: usize) -> u64 {
        at(&self.allocated, percent)
    }

    /// Fragmentation of the cluster's GPUs then.
    pub fn fragments_at(&self, percent: usize) -> u64 {
        at(&self.fragments, percent)
    }

    /// Fragmentation of what was idle then.
    pub fn fragment_ratio_at(&self, percent: usize) -> u64 {
        at(&self.fragment_ratio, percent)
    }
}

fn at(figures: &[u64], percent: usize) -> u64 {
    figures.get(percent).or(figures.last()).copied().unwrap_or(0)
}

/// One score kept: whether the node has changed since is told by `stamp`.
#[derive(Clone, Copy)]
struct Kept {
    stamp: u32,
    /// `None` if the pod does not fit.
    score: Option<Score>,
}

/// Finds a shape its place: the node's index, and the GPU for a share.
type Choose<'a> = dyn FnMut(&mut Desk, usize) -> Option<(usize, Score)> + 'a;

/// A cluster and the scores known of it.
struct Desk<'a> {
    states: Vec<State>,
    stamps: Vec<u32>,
    kept: Vec<Vec<Kept>>,
    pods: &'a Pods,
    rule: &'a dyn Fn(&State, &Pod) -> Score,
}

impl Desk<'_> {
    fn best(&mut self, shape: usize) -> Option<(usize, Score)> {
        let pod = &self.pods.shapes[shape];
        if self.kept[shape].is_empty() {
            self.kept[shape] = vec![Kept { stamp: u32::MAX, score: None }; self.states.len()];
        }
        let mut best: Option<(usize, Score)> = None;
        for (at, kept) in self.kept[shape].iter_mut().enumerate() {
            if kept.stamp != self.stamps[at] {
                let state = &self.states[at];
                let score = state.fits(pod).then(|| (self.rule)(state, pod));
                *kept = Kept { stamp: self.stamps[at], score };
            }
            if let Some(score) = kept.score
                && best.is_none_or(|(_, best)| score.score > best.score)
            {
                best = Some((at, score));
            }
        }
        best
    }

    fn any(&self, shape: usize, rng: &mut Rng) -> Option<(usize, Score)> {
        let pod = &self.pods.shapes[shape];
        let fitting: Vec<usize> = (0..self.states.len()).filter(|at| self.states[*at].fits(pod)).collect();
        let at = *rng.pick(&fitting)?;
        let gpu = match pod.ask.gpus {
            GpuAsk::None | GpuAsk::Whole(_) => 0,
            GpuAsk::Share(milli) => {
                let left = self.states[at].left();
                let seats: Vec<usize> = (0..left.len()).filter(|gpu| left[*gpu] >= milli).collect();
                rng.pick(&seats).copied().unwrap_or(0)
            }
        };
        Some((at, Score { score: 0, gpu: gpu as u8 }))
    }
}

/// A cluster, a list of pods, and what policies know of it.
#[derive(Debug)]
pub struct Study<'a> {
    /// The cluster.
    pub estate: &'a Estate,
    /// The list.
    pub pods: &'a Pods,
    /// What policies know.
    pub known: Known,
}

impl<'a> Study<'a> {
    /// A study of a list on a cluster.
    pub fn new(estate: &'a Estate, pods: &'a Pods) -> Study<'a> {
        Study { estate, pods, known: Known::new(pods, estate.models.len()) }
    }

    /// Places a run under a policy; what comes of it, and how the nodes stand in the end, in the run's order.
    pub fn replay(&self, arrivals: &Arrivals, policy: Policy) -> (Curve, Vec<State>) {
        if policy == Policy::Random {
            let mut rng = Rng::new(arrivals.seed);
            return self.run(arrivals, &|_, _| Score::default(), &mut |desk, shape| desk.any(shape, &mut rng));
        }
        self.replay_by(arrivals, &|state, pod| score(policy, &self.known, state, pod))
    }

    /// The same under any rule: the score of a pod that fits a node.
    pub fn replay_by(&self, arrivals: &Arrivals, rule: &dyn Fn(&State, &Pod) -> Score) -> (Curve, Vec<State>) {
        self.run(arrivals, rule, &mut |desk, shape| desk.best(shape))
    }

    fn run(
        &self,
        arrivals: &Arrivals,
        rule: &dyn Fn(&State, &Pod) -> Score,
        choose: &mut Choose,
    ) -> (Curve, Vec<State>) {
        let states: Vec<State> =
            arrivals.nodes.iter().map(|at| State::empty(&self.estate.nodes[*at as usize])).collect();
        let stamps = vec![0; states.len()];
        let mut desk = Desk { states, stamps, kept: vec![Vec::new(); self.pods.shapes.len()], pods: self.pods, rule };
        let mut meter = Meter::new(self.estate, &self.known.fragmentation, &desk.states);
        let mut curve = Curve::default();
        for shape in &arrivals.shapes {
            let pod = &self.pods.shapes[*shape as usize];
            let found = choose(&mut desk, *shape as usize);
            curve.arrived += 1;
            curve.dropped += u64::from(found.is_none());
            if let Some((at, score)) = found {
                let after = desk.states[at].with(pod, usize::from(score.gpu));
                meter.replace(&desk.states[at], &after);
                desk.states[at] = after;
                desk.stamps[at] += 1;
            }
            meter.arrived(pod.ask.gpus.milli());
        }
        (meter.into(curve), desk.states)
    }

    /// Replays the runs of these seeds, arrivals asking `percent` of the GPUs, under each policy.
    pub fn compare(
        &self,
        policies: &[Policy],
        seeds: std::ops::Range<u64>,
        percent: u32,
        done: &mut dyn FnMut(Policy, u64),
    ) -> Vec<Outcome> {
        let mut outcomes: Vec<Outcome> =
            policies.iter().map(|policy| Outcome { policy: *policy, curves: Vec::new() }).collect();
        for seed in seeds {
            let arrivals = Arrivals::new(self.estate, self.pods, percent, seed);
            for outcome in &mut outcomes {
                outcome.curves.push(self.replay(&arrivals, outcome.policy).0);
                done(outcome.policy, seed);
            }
        }
        outcomes
    }
}

/// What came of a policy, one curve a seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The policy.
    pub policy: Policy,
    /// A curve for each seed.
    pub curves: Vec<Curve>,
}

impl Outcome {
    /// The mean of a figure over the seeds, rounded.
    pub fn mean(&self, figure: impl Fn(&Curve) -> u64) -> u64 {
        let seeds = self.curves.len().max(1) as u64;
        (self.curves.iter().map(figure).sum::<u64>() + seeds / 2) / seeds
    }

    /// The standard deviation of a figure over the seeds, as of a sample, cut to a whole number.
    pub fn deviation(&self, figure: impl Fn(&Curve) -> u64) -> u64 {
        let seeds = self.curves.len() as i128;
        if seeds < 2 {
            return 0;
        }
        let figures: Vec<i128> = self.curves.iter().map(|curve| i128::from(figure(curve))).collect();
        let sum: i128 = figures.iter().sum();
        let squares: i128 = figures.iter().map(|figure| (figure * seeds - sum).pow(2)).sum();
        (squares / (seeds * seeds * (seeds - 1))).isqrt() as u64
    }
}

/// Sums kept while a run goes on.
struct Meter<'a> {
    measure: &'a Fragmentation,
    all: u64,
    idle: u64,
    fragments: u64,
    asked: u64,
    /// For each percent: arrivals, and the sums of the three figures over them.
    sums: Vec<[u128; 4]>,
}

impl<'a> Meter<'a> {
    fn new(estate: &Estate, measure: &'a Fragmentation, states: &[State]) -> Meter<'a> {
        let all = estate.gpu_milli();
        let fragments = states.iter().map(|state| of(measure, state)).sum();
        Meter { measure, all, idle: all, fragments, asked: 0, sums: Vec::new() }
    }

    fn replace(&mut self, before: &State, after: &State) {
        self.idle -= u64::from(before.idle() - after.idle());
        self.fragments = self.fragments + of(self.measure, after) - of(self.measure, before);
    }

    fn arrived(&mut self, milli: u32) {
        self.asked += u64::from(milli);
        let percent = ((self.asked * 200 + self.all) / (2 * self.all.max(1))) as usize;
        if self.sums.len() <= percent {
            self.sums.resize(percent + 1, [0; 4]);
        }
        let millionths = |part: u128, whole: u128| (part * 1_000_000).checked_div(whole).unwrap_or(0);
        let weight = u128::from(self.measure.weight());
        let (all, idle, fragments) = (u128::from(self.all), u128::from(self.idle), u128::from(self.fragments));
        let sums = &mut self.sums[percent];
        sums[0] += 1;
        sums[1] += millionths(all - idle, all);
        sums[2] += millionths(fragments, all * weight);
        sums[3] += millionths(fragments, idle * weight);
    }

    fn into(self, mut curve: Curve) -> Curve {
        let mut last = [0; 4];
        for sums in self.sums {
            // A percent that no arrival rounds to keeps the figure before it.
            last = if sums[0] == 0 { last } else { sums };
            let mean = |at: usize| (last[at] / last[0].max(1)) as u64;
            curve.allocated.push(mean(1));
            curve.fragments.push(mean(2));
            curve.fragment_ratio.push(mean(3));
        }
        curve
    }
}

fn of(measure: &Fragmentation, state: &State) -> u64 {
    measure.of(state.model, state.cpu_milli, state.left())
}
