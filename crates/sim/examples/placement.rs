//! Writes `docs/placement.md`: placement policies beside published results, on real traces that lie beside the repository.
//! `cargo run --release -p madang-sim --example placement -- ../shared/traces/openb-2023 > docs/placement.md`
//! With `time` after the folder it places one run of each list under two policies instead, and says how long that took.
use madang_sim::lab::decimal;
use madang_sim::sharing::{Arrivals, Curve, Estate, Outcome, Policy, Study, read, worth};
use nix::time::{ClockId, clock_gettime};
use std::collections::BTreeMap;
use std::error::Error;
use std::io::Read;
use std::path::Path;
use std::time::Instant;

const HEAD: &str = include_str!("placement.md");
const SEEDS: std::ops::Range<u64> = 42..52;
const PERCENT: u32 = 130;

const LISTS: [&str; 22] = [
    "default",
    "cpu0",
    "cpu037",
    "cpu050",
    "cpu072",
    "cpu100",
    "cpu200",
    "cpu235",
    "cpu250",
    "cpu300",
    "gpushare20",
    "gpushare40",
    "gpushare60",
    "gpushare80",
    "gpushare100",
    "gpuspec05",
    "gpuspec10",
    "gpuspec20",
    "gpuspec25",
    "multigpu20",
    "multigpu30",
    "multigpu40",
];

/// Published policies by the names of the published files.
const PUBLISHED: [(&str, Policy); 6] = [
    ("01-Random", Policy::Random),
    ("02-DotProd", Policy::DotProduct),
    ("03-GpuClustering", Policy::Clustering),
    ("04-GpuPacking", Policy::Packing),
    ("05-BestFit", Policy::BestFit),
    ("06-FGD", Policy::Fgd),
];

/// Published figures at 130% arrivals, in millionths, one a seed, by list and policy.
type Known = BTreeMap<(String, Policy), Vec<u64>>;

/// What came of a list, and what its shares alone allow.
struct List {
    name: &'static str,
    outcomes: Vec<Outcome>,
    limit: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("which folder are the traces in?")?;
    let folder = Path::new(&folder);
    let estate = read::nodes(&std::fs::read(folder.join("openb_node_list_gpu_node.csv.gz"))?)?;
    if std::env::args().nth(2).as_deref() == Some("time") {
        return LISTS.iter().try_for_each(|name| time(folder, &estate, name));
    }
    let allocated = published(&folder.join("expected_analysis_allo_discrete.csv.gz"))?;
    let fragments = published(&folder.join("expected_analysis_frag_discrete.csv.gz"))?;
    let lists = LISTS.iter().map(|name| list(folder, &estate, name)).collect::<Result<Vec<List>, _>>()?;
    print!("{HEAD}");
    handed_out(&lists, &allocated);
    left_over(&lists, &fragments);
    on_the_way(&lists);
    Ok(())
}

/// One run of a list under each of two policies, by the processor's time of this thread.
fn time(folder: &Path, estate: &Estate, name: &str) -> Result<(), Box<dyn Error>> {
    let pods = read::pods(&std::fs::read(folder.join(format!("openb_pod_list_{name}.csv.gz")))?, estate)?;
    let study = Study::new(estate, &pods);
    let arrivals = Arrivals::new(estate, &pods, PERCENT, SEEDS.start);
    for policy in [Policy::Fgd, Policy::Worth] {
        let begun = cpu_ms()?;
        let (curve, _) = study.replay(&arrivals, policy);
        let (ms, pods, handed) = (cpu_ms()? - begun, arrivals.shapes.len(), percent(end(&curve)));
        println!("openb list={name} policy={} pods={pods} ms={ms:.1} handed={handed}", policy.name());
    }
    Ok(())
}

fn cpu_ms() -> Result<f64, Box<dyn Error>> {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?;
    Ok(time.tv_sec() as f64 * 1e3 + time.tv_nsec() as f64 / 1e6)
}

fn list(folder: &Path, estate: &Estate, name: &'static str) -> Result<List, Box<dyn Error>> {
    let pods = read::pods(&std::fs::read(folder.join(format!("openb_pod_list_{name}.csv.gz")))?, estate)?;
    let study = Study::new(estate, &pods);
    let mut since = Instant::now();
    let mut took: BTreeMap<Policy, u128> = BTreeMap::new();
    let outcomes = study.compare(&Policy::ALL, SEEDS, PERCENT, &mut |policy, _| {
        *took.entry(policy).or_default() += since.elapsed().as_micros();
        since = Instant::now();
    });
    let mean = |(policy, micros): (&Policy, &u128)| format!("{} {}", policy.name(), micros / 10_000);
    eprintln!("{name:<12} ms a run: {}", took.iter().map(mean).collect::<Vec<_>>().join(", "));
    // Worth of the list is at least what it asks; beyond their ratio its pods cannot all be on the cluster.
    let asked = u128::from(pods.gpu_milli()) * u128::from(worth::GPU) * 1000;
    let limit = (asked / u128::from(study.known.worth.of_list().max(1))) as u64;
    Ok(List { name, outcomes, limit })
}

/// Reads column 130 of a published file.
fn published(path: &Path) -> Result<Known, Box<dyn Error>> {
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(&*std::fs::read(path)?).read_to_string(&mut text)?;
    let mut lines = text.lines();
    let header = lines.next().unwrap_or_default().split(',');
    let column = header.clone().position(|name| name == "130").ok_or("no column 130")?;
    let mut all = Known::new();
    for line in lines {
        let cells: Vec<&str> = line.split(',').collect();
        let known = PUBLISHED.iter().find(|(name, _)| cells.get(1) == Some(name));
        let (Some((_, policy)), Some(figure)) = (known, cells.get(column)) else { continue };
        let (whole, part) = figure.split_once('.').unwrap_or((figure, "0"));
        let millionths = whole.parse::<u64>()? * 10_000 + format!("{part:0<4}")[..4].parse::<u64>()?;
        let list = cells[0].trim_start_matches("openb_pod_list_").to_owned();
        all.entry((list, *policy)).or_default().push(millionths);
    }
    Ok(all)
}

/// The mean of published figures, rounded.
fn mean(figures: &[u64]) -> u64 {
    let count = figures.len().max(1) as u64;
    (figures.iter().sum::<u64>() + count / 2) / count
}

/// Runs whose figure is the published one of their seed, which is printed to a hundredth of a point.
fn same_runs(outcome: &Outcome, known: &[u64], figure: impl Fn(&Curve) -> u64) -> usize {
    outcome.curves.iter().zip(known).filter(|(curve, known)| figure(curve).abs_diff(**known) <= 100).count()
}

fn percent(millionths: u64) -> String {
    decimal(millionths, 4, 2)
}

fn signed(of: u64, from: u64) -> String {
    format!("{}{}", if of < from { '-' } else { '+' }, percent(of.abs_diff(from)))
}

fn outcome(list: &List, policy: Policy) -> &Outcome {
    list.outcomes.iter().find(|outcome| outcome.policy == policy).unwrap_or(&list.outcomes[0])
}

fn end(curve: &Curve) -> u64 {
    curve.allocated_at(PERCENT as usize)
}

fn handed_out(lists: &[List], known: &Known) {
    println!("## GPUs handed out\n");
    println!(
        "Percent of 6,212 GPUs; in brackets, how far that is from the published mean. `gain` is worth less fgd: the mean of"
    );
    println!("ten runs, and the least of them.\n");
    println!(
        "| list | random | dot-product | clustering | packing | best-fit | fgd | **worth** | gain | least | limit |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    let mut met: BTreeMap<Policy, (usize, usize, u64)> = BTreeMap::new();
    for list in lists {
        print!("| {} |", list.name);
        for (_, policy) in PUBLISHED {
            let ours = outcome(list, policy).mean(end);
            match known.get(&(list.name.to_owned(), policy)) {
                Some(known) => {
                    let (runs, same, farthest) = met.entry(policy).or_default();
                    *runs += known.len();
                    *same += same_runs(outcome(list, policy), known, end);
                    *farthest = (*farthest).max(ours.abs_diff(mean(known)));
                    print!(" {} ({}) |", percent(ours), signed(ours, mean(known)));
                }
                None => print!(" {} |", percent(ours)),
            }
        }
        let (fgd, worth) = (outcome(list, Policy::Fgd), outcome(list, Policy::Worth));
        let runs = || worth.curves.iter().zip(&fgd.curves).map(|(ours, theirs)| (end(ours), end(theirs)));
        let least = runs().min_by_key(|(ours, theirs)| *ours as i64 - *theirs as i64).unwrap_or_default();
        let (ours, theirs) = (worth.mean(end), fgd.mean(end));
        println!(
            " **{}** | {} | {} | {} |",
            percent(ours),
            signed(ours, theirs),
            signed(least.0, least.1),
            percent(list.limit)
        );
    }
    println!("\nPublished runs of the same seed that are met within a hundredth of a point:\n");
    for (policy, (runs, same, farthest)) in met {
        println!("- {}: {same} of {runs}; means differ by {} at most.", policy.name(), percent(farthest));
    }
    println!();
}

fn left_over(lists: &[List], known: &Known) {
    println!("## Fragmentation at the end\n");
    println!("Percent of 6,212 GPUs (published difference in brackets), and of what is idle.\n");
    println!("| list | best-fit | fgd | worth | best-fit, of idle | fgd, of idle | worth, of idle |");
    println!("|---|--:|--:|--:|--:|--:|--:|");
    for list in lists {
        print!("| {} |", list.name);
        for policy in [Policy::BestFit, Policy::Fgd, Policy::Worth] {
            let ours = outcome(list, policy).mean(|curve| curve.fragments_at(PERCENT as usize));
            let beside =
                known.get(&(list.name.to_owned(), policy)).map(|known| format!(" ({})", signed(ours, mean(known))));
            print!(" {}{} |", percent(ours), beside.unwrap_or_default());
        }
        for policy in [Policy::BestFit, Policy::Fgd, Policy::Worth] {
            print!(" {} |", percent(outcome(list, policy).mean(|curve| curve.fragment_ratio_at(PERCENT as usize))));
        }
        println!();
    }
    println!();
}

fn on_the_way(lists: &[List]) {
    println!("## On the way there\n");
    println!("GPUs handed out, in percent, when arrivals had asked k percent of the cluster's.\n");
    println!("| list | policy | k = 80 | 90 | 95 | 100 | 110 | 120 | 130 |");
    println!("|---|---|--:|--:|--:|--:|--:|--:|--:|");
    for list in lists {
        for policy in [Policy::Fgd, Policy::Worth] {
            print!("| {} | {} |", list.name, policy.name());
            for k in [80, 90, 95, 100, 110, 120, 130] {
                print!(" {} |", percent(outcome(list, policy).mean(|curve| curve.allocated_at(k))));
            }
            println!();
        }
    }
}
