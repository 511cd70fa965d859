//! What each order of taking back costs on the same work, as a table:
//! `cargo run --release -p madang-sim --example reclaim [-- PHILLY.csv.gz [NODES]]`.
//!
//! Without a file: a week of the recipes `national` and `helios` at 85% of 64 nodes of 8 GPUs. A trace says nothing of
//! checkpoints: a file is tried with one every hour, as it is read, and with none, so that each run taken back has lost
//! all that it did.
use madang_model::{Span, policy::VictimOrder};
use madang_sched::{Config, Taking};
use madang_sim::trial::generate::{self, Amount, Order};
use madang_sim::trial::{self, Machine, Settings, Workload, philly};
use std::io::Read;

fn main() {
    println!("| work | victims | taken back | lost GPU-hours | unmet GPU-hours | mean wait s | P99 wait s |");
    println!("|---|---|--:|--:|--:|--:|--:|");
    let mut args = std::env::args().skip(1);
    if let Some(file) = args.next() {
        let nodes = args.next().map_or(72, |text| text.parse().expect("nodes are a number"));
        let mut workload = read(&file);
        rows("Philly, checkpoints every hour", &workload, &Machine::plain(nodes, 8));
        workload.jobs.iter_mut().for_each(|job| job.checkpoint = Span::ZERO);
        rows("Philly, nothing saved", &workload, &Machine::plain(nodes, 8));
        return;
    }
    let machine = Machine::plain(64, 8);
    for name in ["national", "helios"] {
        let recipe = generate::named(name).expect("it is a recipe");
        let order = Order { seed: 1, amount: Amount::Days(7), machine: &machine, load_percent: 85 };
        rows(name, &generate::generate(&recipe, &order).expect("it can be generated"), &machine);
    }
}

fn read(file: &str) -> Workload {
    let bytes = std::fs::read(file).expect("the file can be read");
    let mut text = String::new();
    flate2::read::GzDecoder::new(bytes.as_slice()).read_to_string(&mut text).expect("it is gzip of text");
    philly::read(&text, philly::Limits::OverAsked(1)).expect("it is a Philly table")
}

fn rows(work: &str, workload: &Workload, machine: &Machine) {
    let order = |order| Taking { order, ..Taking::default() };
    let never = Taking { reclaim: false, preempts: None, ..Taking::default() };
    let ways = [
        ("least-lost", order(VictimOrder::LeastLost)),
        ("least-lost, cap 3650 days", Taking { cap: Span::from_days(3650), ..Taking::default() }),
        ("youngest", order(VictimOrder::Youngest)),
        ("largest", order(VictimOrder::Largest)),
        ("nobody", never),
    ];
    for (name, taking) in ways {
        let settings = Settings { name: name.into(), config: Config { taking, ..Config::default() } };
        let outcome = trial::madang::run(workload, machine, &settings, &mut |_| ()).expect("it can be tried");
        let figures = trial::figures(workload, machine, &outcome);
        println!(
            "| {work} | {name} | {} | {} | {} | {} | {} |",
            figures.taken_back,
            figures.lost_back / 3600,
            figures.unmet / 3600,
            figures.all.mean_wait.secs(),
            figures.all.p99_wait.secs(),
        );
    }
}
