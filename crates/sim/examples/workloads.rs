//! A year of the national centre, generated and timed: `cargo run --release -p madang-sim --example workloads`.
use madang_sim::trial::{Machine, generate};
fn main() {
    let machine = Machine::plain(2250, 8);
    let begun = std::time::Instant::now();
    let order = generate::Order { seed: 1, amount: generate::Amount::Days(365), machine: &machine, load_percent: 85 };
    let recipe = generate::named("national").expect("it is a recipe");
    let work = generate::generate(&recipe, &order).expect("it can be generated");
    println!("{} jobs, {} faults in {:?}", work.jobs.len(), work.faults.len(), begun.elapsed());
}
