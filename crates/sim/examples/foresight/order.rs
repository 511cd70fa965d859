//! What the order of backfill makes of it: the same work under several settings.
use crate::work::{self, Case};
use madang_model::{Policy, Span};
use madang_sim::trial::{self, Bands, Figures, Settings};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

/// Seeds of each row.
const SEEDS: [u64; 4] = [1, 2, 3, 4];

/// Settings by what they are called.
const VARIANTS: [(&str, bool, Option<u32>); 4] = [
    ("prediction=false", false, None),
    ("prediction=true", true, None),
    ("prediction=true:patience=100", true, Some(100)),
    ("prediction=true:patience=10", true, Some(10)),
];

/// The settings of a variant.
pub fn settings(name: &str, prediction: bool, patience: Option<u32>) -> Settings {
    Settings { name: name.into(), config: Policy { prediction, patience, ..Policy::default() } }
}

pub fn print(folder: Option<&Path>) {
    println!("## The order of backfill\n");
    println!("{}", include_str!("order.md"));
    for case in work::cases(folder, &SEEDS) {
        println!("{}:\n", case.title);
        println!(
            "| settings | mean wait, min | P99 wait, h | bounded slowdown | goodput, % | unmet, GPU-h |\n|---|{}",
            "--:|".repeat(5)
        );
        let figures = tried(&case);
        for (variant, (name, ..)) in VARIANTS.iter().enumerate() {
            let seeds: Vec<&Figures> =
                figures.iter().filter(|((of, _), _)| *of == variant).map(|(_, figures)| figures).collect();
            println!("| `{name}` | {} |", cells(&seeds).join(" | "));
        }
        println!();
    }
}

/// Every variant on every seed, on as many threads as there are cores.
fn tried(case: &Case) -> Vec<((usize, usize), Figures)> {
    let next = AtomicUsize::new(0);
    let (send, receive) = mpsc::channel();
    let worker = |send: mpsc::Sender<_>| {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let (variant, seed) = (at / case.works.len(), at % case.works.len());
            let Some((name, prediction, patience)) = VARIANTS.get(variant) else { return };
            let settings = settings(name, *prediction, *patience);
            let outcome = trial::madang::run(&case.works[seed], &case.machine, &settings, &mut |_| ());
            let figures = trial::figures(&case.works[seed], &case.machine, &outcome.expect("it can be tried"));
            send.send(((variant, seed), figures)).expect("somebody listens");
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            let send = send.clone();
            scope.spawn(|| worker(send));
        }
    });
    drop(send);
    let mut all: Vec<_> = receive.iter().collect();
    all.sort_by_key(|(place, _)| *place);
    all
}

fn cells(seeds: &[&Figures]) -> Vec<String> {
    let of = |figure: fn(&Figures) -> u64, parts: u64| {
        let bands = Bands::of(seeds.iter().map(|seed| figure(seed)));
        let off = (bands.most - bands.mean).max(bands.mean - bands.least);
        let text = |figure: u64| match parts {
            1 => figure.to_string(),
            parts => format!("{}.{}", figure / parts, figure % parts),
        };
        format!("{} ±{}", text(bands.mean), text(off))
    };
    vec![
        of(|f| f.all.mean_wait.millis() / Span::from_mins(1).millis(), 1),
        of(|f| f.all.p99_wait.secs() / 360, 10),
        of(|f| f.all.slowdown / 100_000, 10),
        of(|f| f.goodput / 1000, 10),
        of(|f| f.unmet / 3600, 1),
    ]
}
