//! A run: who arrives when, and the order of the nodes.
//!
//! As published, draw by draw: the list is shuffled; then pods drawn from it with replacement follow until the next would
//! take the GPUs asked beyond the given percent of the cluster's, where a pod of several counts as one; then the order
//! of the nodes is drawn. A list that asks more than that loses pods at random instead. So the run of a seed is the
//! published run of that seed, pod for pod and node for node.
use super::draws::Draws;
use super::{Estate, GpuAsk, Pods, WHOLE};

/// Numbers that the published simulator spends between the pods and the nodes: its scheduler watches ten kinds of things
/// of Kubernetes, and each watch draws when it shall be renewed.
const WATCHES: usize = 10;

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
        let mut draws = Draws::new(seed);
        // The published simulator writes one number of the stream to its log.
        draws.draw();
        let asks = |shape: u32| pods.shapes[shape as usize].ask.gpus;
        let wanted = estate.gpu_milli() * u64::from(percent) / 100;
        let mut shapes = pods.list.clone();
        draws.shuffle(&mut shapes);
        let mut sum: u64 = shapes.iter().map(|shape| u64::from(asks(*shape).milli())).sum();
        let full = sum >= wanted;
        while sum > wanted {
            let at = draws.below(shapes.len() as u32) as usize;
            sum -= u64::from(asks(shapes.remove(at)).milli());
        }
        // Where no pod asks GPUs there is nothing to draw towards.
        while !full && pods.shapes.iter().any(|pod| pod.ask.gpus != GpuAsk::None) {
            let shape = pods.list[draws.below(pods.list.len() as u32) as usize];
            let milli = u64::from(asks(shape).milli());
            if sum + milli.min(u64::from(WHOLE)) > wanted {
                break;
            }
            sum += milli;
            shapes.push(shape);
        }
        (0..WATCHES).for_each(|_| {
            draws.draw();
        });
        let mut nodes = vec![0; estate.nodes.len()];
        for (node, place) in (0..).zip(draws.order(estate.nodes.len() as u32)) {
            nodes[place as usize] = node;
        }
        Arrivals { shapes, nodes, seed: draws.draw() }
    }
}
