//! How cost grows: the estate from 1,000 to 100,000 GPUs, the queue from 1,000 to 1,000,000 jobs.
//!
//! Each size is measured several times, turn by turn over all sizes, so that a slow minute of the machine does not
//! fall on one of them; the middle run counts, and the lowest and highest are printed beside it.
use crate::world::{Shape, World, part_of, processor};
use crate::{Churn, Gang, PLAN, PROJECTS};

const ESTATES: [u32; 7] = [1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000];
const QUEUES: [u64; 7] = [1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000];
const RUNS: u64 = 3;
const STEPS: u64 = 300;
/// Jobs waiting while the estate grows.
const WAITING: u64 = 10_000;

/// Everything, one line for each series and size.
pub fn all() {
    let mut estates: Vec<[Vec<u64>; 3]> = ESTATES.iter().map(|_| Default::default()).collect();
    let mut queues: Vec<[Vec<u64>; 3]> = QUEUES.iter().map(|_| Default::default()).collect();
    for seed in 0..RUNS {
        for (gpus, figures) in ESTATES.iter().zip(&mut estates) {
            estate(Shape { gpus: Some(*gpus), projects: PROJECTS, waiting: WAITING, seed }, figures);
        }
        for (waiting, figures) in QUEUES.iter().zip(&mut queues) {
            queue(Shape { gpus: Some(PLAN), projects: PROJECTS, waiting: *waiting, seed }, figures);
        }
    }
    for (gpus, figures) in ESTATES.iter().zip(estates) {
        for (series, runs) in ["cycle", "anew", "gang"].iter().zip(figures) {
            print("estate", series, u64::from(*gpus), runs);
        }
    }
    for (waiting, figures) in QUEUES.iter().zip(queues) {
        for (series, runs) in ["cycle", "anew", "intake"].iter().zip(figures) {
            print("queue", series, *waiting, runs);
        }
    }
}

fn estate(shape: Shape, figures: &mut [Vec<u64>; 3]) {
    let mut world = World::full(shape);
    let churn = Churn::measure(&mut world, STEPS);
    figures[0].push(part_of(&churn.times, 50));
    figures[1].push(churn.anew);
    let gang = Gang::measure(&mut world, 15);
    figures[2].push(part_of(&gang.promised, 50));
}

fn queue(shape: Shape, figures: &mut [Vec<u64>; 3]) {
    let begin = processor();
    let mut world = World::full(shape);
    let intake = processor() - begin;
    let churn = Churn::measure(&mut world, STEPS);
    figures[0].push(part_of(&churn.times, 50));
    figures[1].push(churn.anew);
    figures[2].push(intake);
}

fn print(over: &str, series: &str, size: u64, mut runs: Vec<u64>) {
    runs.sort_unstable();
    let us = |nanos: u64| nanos as f64 / 1e3;
    let (low, high) = (us(runs[0]), us(runs[runs.len() - 1]));
    println!(
        "scale over={over} series={series} size={size} us={:.1} low={low:.1} high={high:.1}",
        us(part_of(&runs, 50))
    );
}
