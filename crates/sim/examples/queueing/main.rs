//! Writes `docs/queueing.md`: the centre beside the field's policies on the same work, over seeds; and the picture of what
//! is traded for what, `docs/images/trade.svg`, where the working directory has such a folder.
//! `cargo run --release -p madang-sim --example queueing [-- PHILLY.csv.gz] > docs/queueing.md`
mod trade;

use madang_model::Span;
use madang_sched::{Config, Order as Backfill};
use madang_sim::trial::generate::{self, Amount, Order};
use madang_sim::trial::{self, Bands, Figures, Machine, Policy, Settings, Workload, philly};
use std::io::Read;
use trade::{Kind, Panel, Point};

/// Seeds of each row.
const SEEDS: [u64; 6] = [1, 2, 3, 4, 5, 6];
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
seeds 1 to 6, with the farthest of them behind ±. Bold is the best of a column.

- **fifo**, **easy**: one queue for all owners; under EASY the head has a reservation and others must not delay it.
- **multifactor**: Slurm's priority/multifactor and sched/backfill, with fair share between owners.
- **kueue**: quota of each owner in one cohort, borrowing, reclaim within the cohort; pods placed one by one.
";

const TRADES: &str = "\
## What long waits are traded for

![P99 of all waits against what is unmet of guarantees, and against the mean wait of the largest \
gangs](images/trade.svg)

On Philly and on `national`, the default beside itself with one setting changed (as `madang simulate --policy
madang:promises=1` has it) and beside the field, means over the same seeds. FIFO is far outside. Less is better in both;
the dashed line joins those that nobody betters in both.
";

const CLOSING: &str = "\
Points close together are not told apart by six seeds: on Philly a small change moves the mean wait by a tenth.

## Reading it

Mean wait and slowdown say how a job of anybody fares; *unmet* says how far owners were from what is guaranteed to them,
and *lost* what taking back cost for it, which goodput pays. So these three are read together: whoever takes
nothing back loses nothing and leaves owners waiting for their own.

The longest waits are of three kinds. An owner that asks for more than its share waits for its own work, while one queue
for all lets it push others back: a low P99 under EASY stands beside what is unmet there. A large gang waits for
nodes to empty, and with promises smaller gangs wait for what is kept for it; without any (`promises=0`) nothing is taken
back either, and on Philly the largest gangs wait longest. And where one owner holds what it borrowed as one gang, nobody
below its guarantee gets that back while the gang is left alone; Kueue takes it at once, the pods of its gangs take
whatever is free and nothing is kept, which is kind to the P99 of all and is paid for by what is lost.
`madang simulate generate:national --nodes 64 --gpus-per-node 8 --days 14 --load 90 --seeds 3 --compare madang kueue
--json` tells waits by size.

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

/// The picture, from where the page is and from the root of the repository.
const PICTURE: &str = "images/trade.svg";
const FOLDER: &str = "docs";

/// A setting's words and what they change.
type Setting = (&'static str, fn(&mut Config));

/// The default with one setting changed, by the words of `madang simulate`.
const SETTINGS: [Setting; 6] = [
    ("promises=0", |config| config.promises = 0),
    ("promises=1", |config| config.promises = 1),
    ("promises=2", |config| config.promises = 2),
    ("promises=8", |config| config.promises = 8),
    ("reclaim=no", |config| config.taking.reclaim = false),
    ("backfill=oldest-first", |config| config.backfill = Backfill::OldestFirst),
];

/// A policy's name and its figures over seeds.
type Row = (String, Vec<Figures>);

fn main() {
    println!("{OPENING}");
    let mut panels = Vec::new();
    if let Some(file) = std::env::args().nth(1) {
        let text = read(&file);
        let work = |seed| philly::read(&text, philly::Limits::OverAsked(seed)).expect("it is a Philly table");
        let machine = Machine::plain(PHILLY_NODES, 8);
        let works: Vec<Workload> = SEEDS.into_iter().map(work).collect();
        let rows = section(&format!("Philly on {} GPUs", PHILLY_NODES * 8), &machine, &works);
        panels.extend(trades("Philly", &machine, &works, rows));
    }
    let machine = Machine::plain(NODES, 8);
    for name in ["helios", "acme", "national"] {
        let recipe = generate::named(name).expect("it is a recipe");
        let work = |seed| {
            let order = Order { seed, amount: Amount::Days(DAYS), machine: &machine, load_percent: LOAD };
            generate::generate(&recipe, &order).expect("it can be generated")
        };
        let works: Vec<Workload> = SEEDS.into_iter().map(work).collect();
        let title = format!("Recipe `{name}`, {DAYS} days at {LOAD}% of {} GPUs", NODES * 8);
        let rows = section(&title, &machine, &works);
        if name == "national" {
            panels.extend(trades("Recipe national", &machine, &works, rows));
        }
    }
    println!("{TRADES}");
    panels.iter().for_each(|panel| println!("{}", panel.words()));
    if std::path::Path::new(FOLDER).is_dir() {
        std::fs::write(format!("{FOLDER}/{PICTURE}"), trade::draw(&panels)).expect("the picture can be written");
    }
    print!("\n{CLOSING}");
}

fn read(file: &str) -> String {
    let bytes = std::fs::read(file).expect("the file can be read");
    let mut text = String::new();
    flate2::read::GzDecoder::new(bytes.as_slice()).read_to_string(&mut text).expect("it is gzip of text");
    text
}

/// The table of one workload; gives its rows back.
fn section(title: &str, machine: &Machine, works: &[Workload]) -> Vec<Row> {
    println!("## {title}\n");
    let names: Vec<&str> = COLUMNS.iter().map(|column| column.name).collect();
    println!("| policy | {} |\n|---|{}", names.join(" | "), "--:|".repeat(names.len()));
    let tried = |policy: Policy| -> Row {
        let run = |work: &Workload| policy.run(work, machine, &mut |_| ()).expect("it can be tried");
        (policy.name().into(), works.iter().map(|work| trial::figures(work, machine, &run(work))).collect())
    };
    let rows: Vec<Row> = Policy::all().map(tried).collect();
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
    rows
}

/// The default with each of the settings.
fn settings(machine: &Machine, works: &[Workload]) -> Vec<Row> {
    let tried = |(name, set): &Setting| -> Row {
        let run = |work: &Workload| {
            let mut config = machine.policy(&work.owners);
            set(&mut config);
            let settings = Settings { name: (*name).into(), config };
            trial::madang::run(work, machine, &settings, &mut |_| ()).expect("it can be tried")
        };
        ((*name).into(), works.iter().map(|work| trial::figures(work, machine, &run(work))).collect())
    };
    SETTINGS.iter().map(tried).collect()
}

/// P99 against what is unmet, and against what the largest gangs wait. FIFO is far beyond all others and left out.
fn trades(title: &str, machine: &Machine, works: &[Workload], rows: Vec<Row>) -> [Panel; 2] {
    let ours = Policy::Madang.name();
    let peers = rows.into_iter().filter(|(name, _)| name != "fifo").map(|row| {
        let kind = if row.0 == ours { Kind::Default } else { Kind::Peer };
        (kind, row)
    });
    let changed = settings(machine, works).into_iter().map(|row| (Kind::Setting, row));
    let all: Vec<(Kind, Row)> = peers.chain(changed).collect();
    let hours = |span: Span| span.secs() as f64 / 3600.0;
    let panel = |x: String, figure: &dyn Fn(&Figures) -> f64| {
        let point = |(kind, (name, seeds)): &(Kind, Row)| {
            let mean = |figure: &dyn Fn(&Figures) -> f64| seeds.iter().map(figure).sum::<f64>() / seeds.len() as f64;
            let y = mean(&|figures| hours(figures.all.p99_wait));
            Point { name: name.clone(), kind: *kind, x: mean(figure), y }
        };
        let points = all.iter().map(point).collect();
        Panel { title: title.into(), x, y: "P99 wait of all, h".into(), points }
    };
    let largest = all[0].1.1[0].by_size.last().map_or(String::new(), |group| group.name.clone());
    let of_largest = |figures: &Figures| figures.by_size.last().map_or(0.0, |group| hours(group.mean_wait));
    [
        panel("guarantees unmet, GPU-h".into(), &|figures| figures.unmet as f64 / 3600.0),
        panel(format!("mean wait of gangs of {largest}, h"), &of_largest),
    ]
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
