//! Placing a run under a policy, and what comes of it.
//!
//! A score depends on the node's state and the pod alone, so it is kept for each shape and node until that node changes:
//! an arrival costs a look at one number per node and a new score for the few nodes that changed since the shape's last.
use super::policy::{Score, score};
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

/// One score kept: whether the node has changed since is told by `stamp`.
#[derive(Clone, Copy)]
struct Kept {
    stamp: u32,
    /// `None` if the pod does not fit.
    score: Option<Score>,
}

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

/// Places a run under a policy.
pub fn replay(estate: &Estate, pods: &Pods, arrivals: &Arrivals, policy: Policy) -> Curve {
    let measure = Fragmentation::new(&pods.mix(), estate.models.len() as u8);
    if policy == Policy::Random {
        let mut rng = Rng::new(arrivals.seed);
        return run(estate, pods, arrivals, &measure, &|_, _| Score { score: 0, gpu: 0 }, Some(&mut rng));
    }
    run(estate, pods, arrivals, &measure, &|state, pod| score(policy, &measure, state, pod), None)
}

/// Places a run under a rule.
pub fn run(
    estate: &Estate,
    pods: &Pods,
    arrivals: &Arrivals,
    measure: &Fragmentation,
    rule: &dyn Fn(&State, &Pod) -> Score,
    mut random: Option<&mut Rng>,
) -> Curve {
    let states: Vec<State> = arrivals.nodes.iter().map(|at| State::empty(&estate.nodes[*at as usize])).collect();
    let stamps = vec![0; states.len()];
    let mut desk = Desk { states, stamps, kept: vec![Vec::new(); pods.shapes.len()], pods, rule };
    let mut meter = Meter::new(estate, measure, &desk.states);
    let mut curve = Curve::default();
    for shape in &arrivals.shapes {
        let shape = *shape as usize;
        let pod = &pods.shapes[shape];
        curve.arrived += 1;
        let found = match random.as_mut() {
            Some(rng) => desk.any(shape, rng),
            None => desk.best(shape),
        };
        match found {
            Some((at, score)) => {
                let after = desk.states[at].with(pod, usize::from(score.gpu));
                meter.replace(&desk.states[at], &after);
                desk.states[at] = after;
                desk.stamps[at] += 1;
            }
            None => curve.dropped += 1,
        }
        meter.arrived(pod.ask.gpus.milli());
    }
    meter.into(curve)
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
        let millionths = |part: u128, whole: u128| if whole == 0 { 0 } else { part * 1_000_000 / whole };
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
