//! A run: who arrives when, and the order of the nodes.
//!
//! As published: the list is shuffled; then pods drawn from it with replacement follow until the next would take the
//! GPUs asked beyond the given percent of the cluster's. A list that asks more than that loses pods at random instead.
//! The draws of the published runs come from another generator, so a seed of ours is not the same run, only the same rule.
use super::{Estate, GpuAsk, Pods};
use crate::rng::Rng;

/// One run, the same for every policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrivals {
    /// Shapes of the pods, in order of arrival.
    pub shapes: Vec<u32>,
    /// Nodes by index, in the order that breaks ties.
    pub nodes: Vec<u32>,
    /// The seed of choices a policy makes at random.
    pub seed: u64,
}

impl Arrivals {
    /// The run of a seed: pods that ask `percent` of the cluster's GPUs.
    pub fn new(estate: &Estate, pods: &Pods, percent: u32, seed: u64) -> Arrivals {
        let mut rng = Rng::new(seed);
        let asked = |shape: u32| u64::from(pods.shapes[shape as usize].ask.gpus.milli());
        let wanted = estate.gpu_milli() * u64::from(percent) / 100;
        let mut shapes = pods.list.clone();
        shuffle(&mut shapes, &mut rng);
        let mut sum: u64 = shapes.iter().map(|shape| asked(*shape)).sum();
        while sum > wanted {
            let at = rng.below(shapes.len() as u64) as usize;
            sum -= asked(shapes.remove(at));
        }
        // Where no pod asks GPUs there is nothing to draw towards.
        while pods.shapes.iter().any(|pod| pod.ask.gpus != GpuAsk::None) {
            let shape = pods.list[rng.below(pods.list.len() as u64) as usize];
            sum += asked(shape);
            if sum > wanted {
                break;
            }
            shapes.push(shape);
        }
        let mut nodes: Vec<u32> = (0..estate.nodes.len() as u32).collect();
        shuffle(&mut nodes, &mut rng);
        Arrivals { shapes, nodes, seed: rng.draw() }
    }
}

fn shuffle(items: &mut [u32], rng: &mut Rng) {
    for at in (1..items.len()).rev() {
        items.swap(at, rng.below(at as u64 + 1) as usize);
    }
}
