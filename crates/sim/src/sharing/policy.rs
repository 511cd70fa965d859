//! Policies: how well a pod would sit on a node.
//!
//! All but `random` score every node a pod fits; the highest score wins, ties go to the first node in the run's order.
//! A score is a whole number, as published: the schedulers compared here round theirs down to whole percents, and much
//! of what they do comes from the ties this makes.
use super::{Fragmentation, GpuAsk, Pod, Pods, State, WHOLE, Worth};
use std::cmp::Reverse;

/// CPU of the largest node, by which published scores are scaled, in thousandths of a core.
const MOST_CPU: u64 = 128_000;
/// GPUs of the largest node, by which published scores are scaled, in thousandths.
const MOST_MILLI: u64 = 8_000;

/// Who gets which node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Policy {
    /// Any node, any GPU.
    Random,
    /// The node where free and asked CPU and GPUs have the smallest dot product.
    DotProduct,
    /// Pods of a kind together.
    Clustering,
    /// Used GPUs first, then used nodes.
    Packing,
    /// The node with the least CPU and GPUs left.
    BestFit,
    /// The node whose fragmentation grows least.
    Fgd,
    /// Our own: the node that loses the least worth.
    Worth,
}

impl Policy {
    /// Every policy.
    pub const ALL: [Policy; 7] = [
        Policy::Random,
        Policy::DotProduct,
        Policy::Clustering,
        Policy::Packing,
        Policy::BestFit,
        Policy::Fgd,
        Policy::Worth,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Policy::Random => "random",
            Policy::DotProduct => "dot-product",
            Policy::Clustering => "clustering",
            Policy::Packing => "packing",
            Policy::BestFit => "best-fit",
            Policy::Fgd => "fgd",
            Policy::Worth => "worth",
        }
    }
}

/// How well a pod would sit: the higher the better; and on which GPU, if it asks a share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Score {
    /// Compared between nodes.
    pub score: i64,
    /// The GPU for a share.
    pub gpu: u8,
}

/// What policies know of a list: its typical mix and what that makes things worth.
#[derive(Clone, Debug)]
pub struct Known {
    /// Fragmentation for the mix.
    pub fragmentation: Fragmentation,
    /// Worth for the list.
    pub worth: Worth,
}

impl Known {
    /// What there is to know of a list on nodes of so many models.
    pub fn new(pods: &Pods, models: usize) -> Known {
        Known { fragmentation: Fragmentation::new(&pods.mix(), models as u8), worth: pods.worth() }
    }
}

/// The score of a pod that fits the node.
pub fn score(policy: Policy, known: &Known, state: &State, pod: &Pod) -> Score {
    let tightest = || match pod.ask.gpus {
        GpuAsk::Share(milli) => state.seats(milli).min_by_key(|at| state.left[*at]).unwrap_or(0) as u8,
        GpuAsk::None | GpuAsk::Whole(_) => 0,
    };
    match policy {
        Policy::Random => Score::default(),
        Policy::DotProduct => Score { score: dot_product(state, pod), gpu: tightest() },
        Policy::Clustering => Score { score: clustering(state, pod), gpu: tightest() },
        Policy::Packing => Score { score: packing(state, pod), gpu: tightest() },
        Policy::BestFit => Score { score: best_fit(state, pod), gpu: tightest() },
        Policy::Fgd => fgd(&known.fragmentation, state, pod),
        Policy::Worth => worth(&known.worth, state, pod),
    }
}

/// floor(100 (1 - (cpu left x cpu asked + GPUs left x GPUs asked) / 2)), each scaled by the largest node's.
fn dot_product(state: &State, pod: &Pod) -> i64 {
    let cpu = u64::from(state.cpu_milli) * u64::from(pod.ask.cpu_milli);
    let gpu = u64::from(state.idle()) * u64::from(pod.ask.gpus.milli());
    // Over the common denominator 2 x MOST_CPU^2, of which MOST_MILLI^2 is a 256th.
    let sum = cpu + gpu * (MOST_CPU / MOST_MILLI).pow(2);
    let whole = 2 * MOST_CPU * MOST_CPU;
    (100 * whole.saturating_sub(sum) / whole) as i64
}

/// floor(100 (1 - (cpu left + GPUs left) / 2)) after placing, each scaled by the largest node's.
fn best_fit(state: &State, pod: &Pod) -> i64 {
    let cpu = u64::from(state.cpu_milli - pod.ask.cpu_milli);
    let gpu = u64::from(state.idle() - pod.ask.gpus.milli());
    let sum = cpu + gpu * (MOST_CPU / MOST_MILLI);
    (100 * (2 * MOST_CPU).saturating_sub(sum) / (2 * MOST_CPU)) as i64
}

/// Four classes of 25 points: only pods of this kind, some of this kind, an idle node, only others; fuller ones first.
fn clustering(state: &State, pod: &Pod) -> i64 {
    let kind = super::cluster::kind(pod.ask.gpus);
    if kind == 0 {
        return 0;
    }
    let class = match (state.kinds & kind != 0, state.kinds.count_ones()) {
        (true, 1) => 75,
        (true, _) => 50,
        (false, 0) => 25,
        (false, _) => 0,
    };
    class + (25 * MOST_MILLI.saturating_sub(u64::from(state.idle())) / MOST_MILLI) as i64
}

/// Used GPUs before free GPUs on a used node before an idle node; within, the fewest spoilt.
fn packing(state: &State, pod: &Pod) -> i64 {
    let (milli, wanted) = match pod.ask.gpus {
        GpuAsk::None => return 0,
        GpuAsk::Share(milli) => (milli, 1),
        GpuAsk::Whole(gpus) => (WHOLE, usize::from(gpus)),
    };
    let free = i64::from(state.free());
    if free == i64::from(state.gpus) {
        return (33 - free).max(free);
    }
    let mut taken: Vec<u16> = state.left().iter().copied().filter(|left| *left >= milli).collect();
    taken.sort_unstable();
    taken.truncate(wanted);
    let spoilt = taken.iter().filter(|left| **left == WHOLE).count() as i64;
    if spoilt > 0 {
        return (50 - spoilt).max(33);
    }
    let ratio: i64 = taken.iter().map(|left| i64::from(*left) / 10).sum();
    (100 - ratio / 10).max(50)
}

/// floor(100 sigmoid((fragmentation before - after) / 1000)), over the GPUs of the node for a share.
fn fgd(measure: &Fragmentation, state: &State, pod: &Pod) -> Score {
    let before = measure.of(state.model, state.cpu_milli, state.left()) as i64;
    let of = |after: &State, _: usize| {
        let after = measure.of(after.model, after.cpu_milli, after.left()) as i64;
        sigmoid_percent(before - after, measure.weight())
    };
    best_gpu(state, pod, of, |score| score)
}

/// How little worth the node loses; of the GPUs for a share, the one with the least left where the loss is the same.
fn worth(worth: &Worth, state: &State, pod: &Pod) -> Score {
    let of = |state: &State| worth.of(state.cpu_milli, state.memory_mib, state.left()) as i64;
    let before = of(state);
    best_gpu(state, pod, |after, gpu| (of(after) - before, Reverse(state.left[gpu])), |(score, _)| score)
}

/// The score of what would be left; for a share, of the GPU that ranks highest, the first of them.
fn best_gpu<R: Ord + Copy>(
    state: &State,
    pod: &Pod,
    rank: impl Fn(&State, usize) -> R,
    score: impl Fn(R) -> i64,
) -> Score {
    let gpu = match pod.ask.gpus {
        GpuAsk::None | GpuAsk::Whole(_) => 0,
        GpuAsk::Share(milli) => {
            state.seats(milli).max_by_key(|gpu| (rank(&state.with(pod, *gpu), *gpu), Reverse(*gpu))).unwrap_or(0)
        }
    };
    Score { score: score(rank(&state.with(pod, gpu), gpu)), gpu: gpu as u8 }
}

/// ln(s / (100 - s)) in millionths for s = 51 to 99: from there on the sigmoid is at least s percent.
const STEPS: [i64; 49] = [
    40_006, 80_043, 120_145, 160_343, 200_671, 241_163, 281_852, 322_774, 363_966, 405_466, 447_313, 489_549, 532_217,
    575_365, 619_040, 663_295, 708_186, 753_772, 800_120, 847_298, 895_385, 944_462, 994_623, 1_045_969, 1_098_613,
    1_152_680, 1_208_312, 1_265_667, 1_324_926, 1_386_295, 1_450_011, 1_516_348, 1_585_628, 1_658_229, 1_734_602,
    1_815_290, 1_900_959, 1_992_431, 2_090_742, 2_197_225, 2_313_635, 2_442_348, 2_586_690, 2_751_536, 2_944_439,
    3_178_054, 3_476_099, 3_891_821, 4_595_120,
];

/// floor(100 / (1 + exp(-x))) for x = `sum` / `weight` / 1000, from a table: the same on every platform.
fn sigmoid_percent(sum: i64, weight: u64) -> i64 {
    let millionths = i128::from(sum) * 1000;
    let at_least = |step: i64| millionths >= i128::from(step) * i128::from(weight);
    if sum >= 0 {
        50 + STEPS.iter().take_while(|step| at_least(**step)).count() as i64
    } else {
        // The steps below 50 are those above it mirrored: 49 from -STEPS[0], 1 from -STEPS[48].
        49 - STEPS.iter().take_while(|step| !at_least(-**step)).count() as i64
    }
}
