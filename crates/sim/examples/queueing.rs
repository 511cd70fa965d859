//! Writes `docs/queueing.md`: the centre beside the field's policies on the same work, over seeds.
//! `cargo run --release -p madang-sim --example queueing [-- PHILLY.csv.gz] > docs/queueing.md`
use madang_sim::trial::generate::{self, Amount, Order};
use madang_sim::trial::{self, Bands, Figures, Machine, Policy, Workload, philly};
use std::io::Read;

/// Seeds of each row.
const SEEDS: [u64; 3] = [1, 2, 3];
/// Days that a recipe is generated for.
const DAYS: u32 = 14;
/// Nodes of eight GPUs for recipes, and the load that they are given, in percent.
const NODES: u32 = 64;
const LOAD: u32 = 90;
/// Nodes of eight GPUs for Philly's table.
const PHILLY_NODES: u32 = 72;

const OPENING: &str = "\
# Queueing beside the field

This page is written by `cargo run --release -p madang-sim --example queueing -- PHILLY.csv.gz > docs/queueing.md`; without
the table of Philly its section is left out. Everything is modelled: the same jobs, with the same run times, limits and
checkpoints, meet the centre's own scheduler (the code that serves) and policies of the field, written from their
documents (`crates/sim/src/trial/peers`). What each figure means is in [simulate](simulate.md); a figure is the mean over
seeds 1 to 3, with the farthest of them behind ±. Bold is the best of a column.

- **fifo**, **easy**: one queue for all owners; under EASY the head has a reservation and others must not delay it.
- **multifactor**: Slurm's priority/multifactor and sched/backfill, with fair share between owners.
- **kueue**: quota of each owner in one cohort, borrowing, reclaim within the cohort; pods placed one by one.
";

const CLOSING: &str = "\
## Reading it

Mean wait and slowdown say how a job of anybody fares; *unmet* says how far owners were from what is guaranteed to them,
and *lost* what taking back cost for it, which goodput pays. So these three are read together: whoever takes
nothing back loses nothing and leaves owners waiting for their own.

The longest waits are of two kinds. An owner that asks for more than its share waits for its own work, while one queue for
all lets it push others back: a low P99 under EASY stands beside what is unmet there. And a large gang waits for
nodes to empty. With promises smaller gangs wait for what is kept for it; Kueue's pods take whatever is free and nothing is
kept, which is kind to the P99 of all and hard on the largest. `madang simulate generate:national --nodes 64
--gpus-per-node 8 --days 14 --load 90 --seeds 3 --compare madang kueue --json` tells waits by size, and fewer promises
(`--policy madang:promises=1`) shift that balance.

Where ± of two policies overlap, the seeds do not tell them apart.
";

/// A row's figures over seeds, and how to say them.
struct Column {
    name: &'static str,
    of: fn(&Figures) -> u64,
    /// Decimal places that the figure is kept with beyond what is shown.
    parts: u64,
    most_is_best: bool,
}

const COLUMNS: [Column; 7] = [
    Column { name: "mean wait, min", of: |f| f.all.mean_wait.secs() / 60, parts: 1, most_is_best: false },
    Column { name: "P99 wait, h", of: |f| f.all.p99_wait.secs() / 360, parts: 10, most_is_best: false },
    Column { name: "bounded slowdown", of: |f| f.all.slowdown / 100_000, parts: 10, most_is_best: false },
    Column { name: "goodput, %", of: |f| f.goodput / 1000, parts: 10, most_is_best: true },
    Column { name: "unmet, GPU-h", of: |f| f.unmet / 3600, parts: 1, most_is_best: false },
    Column { name: "lost, GPU-h", of: |f| (f.lost_back + f.stalled) / 3600, parts: 1, most_is_best: false },
    Column { name: "largest gang, GPUs", of: |f| f.largest_gang, parts: 1, most_is_best: true },
];

fn main() {
    println!("{OPENING}");
    if let Some(file) = std::env::args().nth(1) {
        let text = read(&file);
        let work = |seed| philly::read(&text, philly::Limits::OverAsked(seed)).expect("it is a Philly table");
        section(&format!("Philly on {} GPUs", PHILLY_NODES * 8), &Machine::plain(PHILLY_NODES, 8), &work);
    }
    let machine = Machine::plain(NODES, 8);
    for name in ["helios", "acme", "national"] {
        let recipe = generate::named(name).expect("it is a recipe");
        let work = |seed| {
            let order = Order { seed, amount: Amount::Days(DAYS), machine: &machine, load_percent: LOAD };
            generate::generate(&recipe, &order).expect("it can be generated")
        };
        section(&format!("Recipe `{name}`, {DAYS} days at {LOAD}% of {} GPUs", NODES * 8), &machine, &work);
    }
    print!("{CLOSING}");
}

fn read(file: &str) -> String {
    let bytes = std::fs::read(file).expect("the file can be read");
    let mut text = String::new();
    flate2::read::GzDecoder::new(bytes.as_slice()).read_to_string(&mut text).expect("it is gzip of text");
    text
}

fn section(title: &str, machine: &Machine, work: &dyn Fn(u64) -> Workload) {
    let works: Vec<Workload> = SEEDS.into_iter().map(work).collect();
    println!("## {title}\n");
    let names: Vec<&str> = COLUMNS.iter().map(|column| column.name).collect();
    println!("| policy | {} |\n|---|{}", names.join(" | "), "--:|".repeat(names.len()));
    let rows: Vec<(&str, Vec<Figures>)> =
        Policy::all().map(|policy| (policy.name(), tried(policy, &works, machine))).collect();
    let cells: Vec<Vec<Bands>> = rows.iter().map(|(_, seeds)| bands(seeds)).collect();
    for ((name, _), row) in rows.iter().zip(&cells) {
        let shown = row.iter().zip(&COLUMNS).enumerate().map(|(at, (cell, column))| {
            let others = cells.iter().map(|other| other[at].mean);
            let best = if column.most_is_best { others.max() } else { others.min() };
            show(cell, column, best == Some(cell.mean))
        });
        println!("| {name} | {} |", shown.collect::<Vec<_>>().join(" | "));
    }
    println!();
}

fn tried(policy: Policy, works: &[Workload], machine: &Machine) -> Vec<Figures> {
    let one = |work: &Workload| {
        let outcome = policy.run(work, machine, &mut |_| ()).expect("it can be tried");
        trial::figures(work, machine, &outcome)
    };
    works.iter().map(one).collect()
}

fn bands(seeds: &[Figures]) -> Vec<Bands> {
    COLUMNS.iter().map(|column| Bands::of(seeds.iter().map(column.of))).collect()
}

fn show(cell: &Bands, column: &Column, best: bool) -> String {
    let text = |figure: u64| match column.parts {
        1 => figure.to_string(),
        parts => format!("{}.{}", figure / parts, figure % parts),
    };
    let off = (cell.most - cell.mean).max(cell.mean - cell.least);
    let off = if off > 0 { format!(" ±{}", text(off)) } else { String::new() };
    let mean = text(cell.mean);
    if best { format!("**{mean}**{off}") } else { format!("{mean}{off}") }
}
