//! `madang placement`: how full a cluster of shared GPUs gets under a placement policy, beside the published ones. No
//! server is asked.
use super::Context;
use crate::fail::{Fail, USAGE};
use crate::table::Table;
use clap::ValueEnum;
use madang_sim::lab::decimal;
use madang_sim::sharing::read::{self, Wrong};
use madang_sim::sharing::{Curve, Estate, Outcome, Pods, Policy, Study};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::path::{Path, PathBuf};

const ABOUT: &str = "\
Pods of a list arrive one by one, shuffled by a seed and drawn again until they have asked the given percent of the \
cluster's GPUs. They never leave; one that fits nowhere is dropped. This is the experiment of FGD (USENIX ATC 2023) on \
the openb traces; random, dot-product, clustering, packing, best-fit and fgd follow its published rules, worth is our \
own. docs/placement.md has what came of it.

Columns of NODES: sn,cpu_milli,memory_mib,gpu,model
Columns of PODS:  cpu_milli,memory_mib,num_gpu,gpu_milli and, where some demand models, gpu_spec (`G2|T4`)
Others are passed over.";

/// Options of `placement`.
#[derive(Debug, clap::Args)]
#[command(after_help = ABOUT)]
pub struct Placement {
    /// Nodes as CSV, plain or gzip
    nodes: PathBuf,
    /// Lists of pods as CSV, plain or gzip
    #[arg(required = true)]
    pods: Vec<PathBuf>,
    /// Policies, commas between
    #[arg(long, value_name = "POLICY", value_enum, value_delimiter = ',', default_value = "best-fit,fgd,worth")]
    policy: Vec<Named>,
    /// How many runs, one seed each
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: u64,
    /// The first of the seeds
    #[arg(long, value_name = "SEED", default_value_t = 42, value_parser = clap::value_parser!(u64).range(..1 << 53))]
    first_seed: u64,
    /// Percent of the cluster's GPUs that arrivals ask in all
    #[arg(long, value_name = "PERCENT", default_value_t = 130, value_parser = clap::value_parser!(u32).range(1..=1000))]
    arrivals: u32,
    /// Put the policies side by side: percent of GPUs handed out, one column each
    #[arg(long)]
    compare: bool,
    /// Write the curves as CSV: a line for each list, policy, seed and percent of arrivals
    #[arg(long, value_name = "OUT")]
    csv: Option<PathBuf>,
}

/// A policy by its name.
#[derive(Clone, Copy, Debug)]
pub struct Named(Policy);

impl ValueEnum for Named {
    fn value_variants<'a>() -> &'a [Named] {
        const ALL: [Named; Policy::ALL.len()] = {
            let mut all = [Named(Policy::Fgd); Policy::ALL.len()];
            let mut at = 0;
            while at < all.len() {
                all[at] = Named(Policy::ALL[at]);
                at += 1;
            }
            all
        };
        &ALL
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.0.name()))
    }
}

/// What came of one list.
struct List {
    name: String,
    pods: usize,
    outcomes: Vec<Outcome>,
}

/// Replays the lists under the policies and says how full the cluster got.
pub fn placement(context: &Context, placement: &Placement) -> Result<u8, Fail> {
    let estate = read::nodes(&bytes(&placement.nodes)?).map_err(|wrong| fail(&placement.nodes, wrong))?;
    let mut policies: Vec<Policy> = Vec::new();
    for Named(policy) in &placement.policy {
        if !policies.contains(policy) {
            policies.push(*policy);
        }
    }
    // All lists are read before the first is replayed: a wrong line in the last is said at once.
    let mut lists = Vec::new();
    for path in &placement.pods {
        let pods = read::pods(&bytes(path)?, &estate).map_err(|wrong| fail(path, wrong))?;
        lists.push((name(path), pods));
    }
    let lists: Vec<List> =
        lists.into_iter().map(|(name, pods)| replay(placement, &estate, &policies, name, &pods)).collect();
    if let Some(path) = &placement.csv {
        let failed = |error| Fail::new(format!("failed to write {}: {error}", path.display()));
        std::fs::write(path, csv(&lists, placement.first_seed)).map_err(failed)?;
    }
    context.show(&json_of(placement, &estate, &lists), |_| {
        let table = if placement.compare { side_by_side(&lists) } else { summary(&lists) };
        format!("{}\n{}", about(placement, &estate), table.text())
    })
}

fn bytes(path: &Path) -> Result<Vec<u8>, Fail> {
    std::fs::read(path).map_err(|error| Fail::new(format!("failed to read {}: {error}", path.display())))
}

fn fail(path: &Path, wrong: Wrong) -> Fail {
    Fail::new(format!("{}: {wrong}", path.display())).hint(wrong.mend).exit(USAGE)
}

/// `a/openb_pod_list_cpu050.csv.gz` is `openb_pod_list_cpu050`.
fn name(path: &Path) -> String {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    file.trim_end_matches(".gz").trim_end_matches(".csv").to_owned()
}

fn replay(placement: &Placement, estate: &Estate, policies: &[Policy], name: String, pods: &Pods) -> List {
    let shown = std::io::stderr().is_terminal();
    let say = |text: String| {
        if shown {
            // A terminal that cannot be written to is no reason to stop.
            let _ = write!(std::io::stderr(), "\r{text}\x1b[K");
        }
    };
    let seeds = placement.first_seed..placement.first_seed + placement.seeds;
    let mut done = |policy: Policy, seed: u64| {
        say(format!("{name}: {}, run {} of {}", policy.name(), seed - placement.first_seed + 1, placement.seeds));
    };
    let outcomes = Study::new(estate, pods).compare(policies, seeds, placement.arrivals, &mut done);
    say(String::new());
    List { name, pods: pods.list.len(), outcomes }
}

fn about(placement: &Placement, estate: &Estate) -> String {
    format!(
        "modelled: {} nodes, {} GPUs; arrivals ask {}% of the GPUs; means of {} from seed {}\n",
        estate.nodes.len(),
        estate.gpu_milli() / 1000,
        placement.arrivals,
        if placement.seeds == 1 { "1 run".to_owned() } else { format!("{} runs", placement.seeds) },
        placement.first_seed
    )
}

/// Percent with two decimals, of millionths.
fn percent(millionths: u64) -> String {
    decimal(millionths, 4, 2)
}

fn last(curve: &Curve) -> u64 {
    curve.allocated.last().copied().unwrap_or(0)
}

fn summary(lists: &[List]) -> Table {
    let mut table = Table::new(&[
        "LIST",
        "POLICY",
        ">ALLOCATED (%)",
        ">DEVIATION",
        ">FRAGMENTED (%)",
        ">OF IDLE (%)",
        ">ARRIVED",
        ">DROPPED",
    ]);
    for list in lists {
        for outcome in &list.outcomes {
            table.row(vec![
                list.name.clone(),
                outcome.policy.name().to_owned(),
                percent(outcome.mean(last)),
                percent(outcome.deviation(last)),
                percent(outcome.mean(|curve| curve.fragments.last().copied().unwrap_or(0))),
                percent(outcome.mean(|curve| curve.fragment_ratio.last().copied().unwrap_or(0))),
                outcome.mean(|curve| curve.arrived).to_string(),
                outcome.mean(|curve| curve.dropped).to_string(),
            ]);
        }
    }
    table
}

/// One row a list, one column a policy; behind the first, how many points it hands out more.
fn side_by_side(lists: &[List]) -> Table {
    let heading = |policy: Policy| match policy {
        Policy::Random => ">RANDOM",
        Policy::DotProduct => ">DOT-PRODUCT",
        Policy::Clustering => ">CLUSTERING",
        Policy::Packing => ">PACKING",
        Policy::BestFit => ">BEST-FIT",
        Policy::Fgd => ">FGD",
        Policy::Worth => ">WORTH",
    };
    let policies = lists.first().map_or(&[][..], |list| &list.outcomes);
    let header: Vec<&'static str> =
        std::iter::once("LIST").chain(policies.iter().map(|outcome| heading(outcome.policy))).collect();
    let mut table = Table::new(&header);
    for list in lists {
        let first = list.outcomes.first().map_or(0, |outcome| outcome.mean(last));
        let mut row = vec![list.name.clone()];
        for (at, outcome) in list.outcomes.iter().enumerate() {
            let mean = outcome.mean(last);
            let sign = if mean < first { '-' } else { '+' };
            let beside = format!(" ({sign}{})", percent(mean.abs_diff(first)));
            row.push(format!("{}{}", percent(mean), if at == 0 { "" } else { &beside }));
        }
        table.row(row);
    }
    table
}

fn json_of(placement: &Placement, estate: &Estate, lists: &[List]) -> Value {
    let of = |outcome: &Outcome| {
        json!({
            "policy": outcome.policy.name(),
            "allocated_millionths": outcome.mean(last),
            "deviation_millionths": outcome.deviation(last),
            "fragmented_millionths": outcome.mean(|curve| curve.fragments.last().copied().unwrap_or(0)),
            "fragmented_of_idle_millionths": outcome.mean(|curve| curve.fragment_ratio.last().copied().unwrap_or(0)),
            "arrived": outcome.mean(|curve| curve.arrived),
            "dropped": outcome.mean(|curve| curve.dropped),
            "allocated_millionths_by_seed": outcome.curves.iter().map(last).collect::<Vec<_>>(),
        })
    };
    let list = |list: &List| {
        json!({
            "list": list.name,
            "pods": list.pods,
            "policies": list.outcomes.iter().map(of).collect::<Vec<_>>(),
        })
    };
    json!({
        "modelled": true,
        "nodes": estate.nodes.len(),
        "gpus": estate.gpu_milli() / 1000,
        "arrivals_percent": placement.arrivals,
        "first_seed": placement.first_seed,
        "seeds": placement.seeds,
        "lists": lists.iter().map(list).collect::<Vec<_>>(),
    })
}

fn csv(lists: &[List], first_seed: u64) -> String {
    let mut text = String::from("list,policy,seed,arrived_percent,allocated,fragmented,fragmented_of_idle\n");
    for list in lists {
        for outcome in &list.outcomes {
            for (seed, curve) in (first_seed..).zip(&outcome.curves) {
                for k in 0..curve.allocated.len() {
                    let figures = [curve.allocated[k], curve.fragments[k], curve.fragment_ratio[k]];
                    let [allocated, fragments, ratio] = figures.map(percent);
                    let (name, policy) = (&list.name, outcome.policy.name());
                    let _ = writeln!(text, "{name},{policy},{seed},{k},{allocated},{fragments},{ratio}");
                }
            }
        }
    }
    text
}
