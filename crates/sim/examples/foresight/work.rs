//! What is tried: public traces where there are any, and recipes.
use madang_model::Span;
use madang_sim::rng::Rng;
use madang_sim::trial::generate::{self, Amount, Order};
use madang_sim::trial::philly::Limits;
use madang_sim::trial::reader::{self, Reading};
use madang_sim::trial::{Machine, Workload};
use std::path::{Path, PathBuf};

/// Logs with estimates of people: file, title, processors. Accuracy is measured on all, and trials run on the first.
pub const LOGS: [(&str, &str, u32); 3] =
    [("KTH-SP2_easy", "KTH-SP2", 100), ("CTC-SP2_easy", "CTC-SP2", 338), ("SDSC-SP2_easy", "SDSC-SP2", 128)];
/// Days that a recipe is generated for, its load in percent and its nodes of eight GPUs.
const DAYS: u32 = 14;
const LOAD: u32 = 90;
const NODES: u32 = 64;
/// Nodes of eight GPUs for Philly.
const PHILLY: u32 = 72;
/// Of so many jobs of a log one is left out, drawn by seed, so that a figure has a spread.
const LEFT_OUT: u64 = 50;

/// One thing to try, over seeds.
pub struct Case {
    pub title: String,
    pub machine: Machine,
    pub works: Vec<Workload>,
}

/// Bytes of a log; says so where it is not there.
pub fn log(folder: Option<&Path>, file: &str) -> Option<Vec<u8>> {
    let path = folder?.join(format!("swf-easy-sc15/{file}.swf.gz"));
    std::fs::read(&path).map_err(|error| eprintln!("skipped: {}: {error}", path.display())).ok()
}

/// Bytes of Philly's table.
pub fn philly(folder: Option<&Path>) -> Option<Vec<u8>> {
    let names = std::fs::read_dir(folder?.join("philly")).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let jobs = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("philly_jobs_"));
    let found = names.into_iter().find(jobs).and_then(|path| std::fs::read(path).ok());
    if found.is_none() {
        eprintln!("skipped: philly/philly_jobs_*.csv.gz is not there");
    }
    found
}

/// All that there is, with these seeds.
pub fn cases(folder: Option<&Path>, seeds: &[u64]) -> Vec<Case> {
    let mut cases = Vec::new();
    if let Some(bytes) = philly(folder) {
        let read = |seed: &u64| {
            let reading = Reading { limits: Limits::OverAsked(*seed), ..Reading::default() };
            reader::read("Philly", &bytes, &reading).expect("it is a Philly table")
        };
        let title = format!("Philly, {} GPUs; limits modelled", PHILLY * 8);
        cases.push(Case { title, machine: Machine::plain(PHILLY, 8), works: seeds.iter().map(read).collect() });
    }
    for (file, name, procs) in &LOGS[..1] {
        let Some(bytes) = log(folder, file) else { continue };
        let whole = reader::read(name, &bytes, &Reading { node: 1, ..Reading::default() }).expect("it is a log");
        let works = seeds.iter().map(|seed| thinned(&whole, *seed)).collect();
        let title = format!("{name}, {procs} processors; limits as people asked");
        cases.push(Case { title, machine: Machine::plain(*procs, 1), works });
    }
    let machine = Machine::plain(NODES, 8);
    for name in ["helios", "acme", "national"] {
        let recipe = generate::named(name).expect("it is a recipe");
        let work = |seed: &u64| {
            let order = Order { seed: *seed, amount: Amount::Days(DAYS), machine: &machine, load_percent: LOAD };
            generate::generate(&recipe, &order).expect("it can be generated")
        };
        let title = format!("Recipe `{name}`, {DAYS} days at {LOAD}% of {} GPUs", NODES * 8);
        cases.push(Case { title, machine: machine.clone(), works: seeds.iter().map(work).collect() });
    }
    cases
}

/// A log without some of its jobs.
fn thinned(whole: &Workload, seed: u64) -> Workload {
    let mut rng = Rng::new(seed);
    let jobs = whole.jobs.iter().filter(|_| rng.below(LEFT_OUT) > 0).copied().collect();
    Workload { jobs, ..whole.clone() }
}

/// Hours or minutes with one decimal place.
pub fn tenths(span: Span, unit: Span) -> String {
    let tenths = span.millis() * 10 / unit.millis();
    format!("{}.{}", tenths / 10, tenths % 10)
}
