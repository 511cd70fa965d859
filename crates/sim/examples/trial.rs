//! One trial of the centre on a Philly table, timed: `cargo run --release -p madang-sim --example trial FILE NODES`.
use madang_sim::trial::{self, Machine, Settings, philly};
use std::io::Read;
use std::time::Instant;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let (file, nodes) = (&args[1], args.get(2).map_or(72, |text| text.parse().expect("nodes are a number")));
    let bytes = std::fs::read(file).expect("the file can be read");
    let mut text = String::new();
    flate2::read::GzDecoder::new(bytes.as_slice()).read_to_string(&mut text).expect("it is gzip of text");
    let workload = philly::read(&text, philly::Limits::OverAsked(1)).expect("it is a Philly table");
    let machine = Machine::plain(nodes, 8);
    let settings = Settings { name: "madang".into(), config: madang_sched::Config::default() };
    let begun = Instant::now();
    let outcome = trial::madang::run(&workload, &machine, &settings, &mut |_| ()).expect("it can be tried");
    let secs = begun.elapsed().as_secs_f64();
    let figures = trial::figures(&workload, &machine, &outcome);
    println!("{figures:#?}");
    println!("{} jobs in {secs:.2} s: {:.0} jobs/s", workload.jobs.len(), workload.jobs.len() as f64 / secs);
}
