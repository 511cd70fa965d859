//! The centre's own scheduler beside the placement policies of the lab: GPUs handed out when arrivals have asked 130%.
//! `cargo run --release -p madang-sim --example core_placement -- NODES.csv PODS.csv [FIRST_SEED [SEEDS]]`
use madang_sim::lab::decimal;
use madang_sim::sharing::{Arrivals, Policy, Study, core, read};
use std::error::Error;
use std::time::Instant;

/// Arrivals ask this percent of the cluster's GPUs, as in docs/placement.md.
const PERCENT: u32 = 130;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [nodes, pods, rest @ ..] = words.as_slice() else {
        return Err("give a file of nodes and a file of pods".into());
    };
    let number = |at: usize, other: u64| rest.get(at).map_or(Ok(other), |word| word.parse::<u64>());
    let (first, count) = (number(0, 1)?, number(1, 1)?);
    let estate = read::nodes(&std::fs::read(nodes)?)?;
    let pods = read::pods(&std::fs::read(pods)?, &estate)?;
    let study = Study::new(&estate, &pods);
    println!("seed  best-fit  fgd    worth  core   dropped  seconds");
    for seed in first..first + count {
        let arrivals = Arrivals::new(&estate, &pods, PERCENT, seed);
        let percent = |millionths: u64| decimal(millionths, 4, 2);
        let of = |policy: Policy| percent(study.replay(&arrivals, policy).0.allocated_at(PERCENT as usize));
        let begun = Instant::now();
        let reached = core::replay(&estate, &pods, &arrivals);
        let (best, fgd, worth) = (of(Policy::BestFit), of(Policy::Fgd), of(Policy::Worth));
        let (own, dropped) = (percent(reached.allocated), reached.dropped);
        println!("{seed:<5} {best:<9} {fgd:<6} {worth:<6} {own:<6} {dropped:<8} {}", begun.elapsed().as_secs());
    }
    Ok(())
}
