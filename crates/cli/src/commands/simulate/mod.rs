//! `madang simulate`: a workload under policies, in virtual time. No server is asked and nothing runs.
//!
//! A log in the Standard Workload Format alone meets textbook policies on interchangeable processors ([`processors`]);
//! with a machine of nodes, and for every other input, gangs of GPUs meet the centre and the field's policies
//! ([`estate`]).
mod estate;
mod machine;
mod output;
mod processors;
mod settings;
mod variant;

use super::Context;
use crate::fail::{Fail, USAGE};
use clap::ValueEnum;
use madang_sim::trial::philly::Limits;
use madang_sim::trial::reader::{self, Column, Kind};
use std::path::{Path, PathBuf};
use variant::Names;

/// What an input begins with that is generated.
const GENERATE: &str = "generate:";

const EXAMPLES: &str = "Examples:
  madang simulate LOG.swf.gz --policy fcfs,easy --compare       a log on interchangeable processors
  madang simulate LOG.swf.gz --nodes 64 --report out.html       the same as GPU jobs on 64 nodes of 8 GPUs
  madang simulate openb_pods.csv.gz --machine openb_nodes.csv.gz --compare    parts of GPUs, CPUs, memory
  madang simulate philly.csv.gz --load 90 --compare madang easy --report out.html
  madang simulate generate:national --centre centre.toml --seeds 5 --days 14 --report out.html
  madang simulate DATA --compare madang madang:promises=1       a centre's own past, from its data folder
  madang simulate generate:helios --compare madang madang:promises=1 madang:backfill=oldest-first:reclaim=no
  madang simulate generate:helios --compare multifactor:age=0:fairshare=100000 kueue:reclaim=no:borrow=16 easy:depth=100

Policies on interchangeable processors: fcfs, easy, easy-clairvoyant, easy-sjbf, easy-sjbf-clairvoyant, conservative.
Policies on nodes with GPUs: madang (the very scheduler that serves), fifo, easy, multifactor, kueue.
madang takes settings, as in a centre file's [policy], each after a colon: half_life, promises, backfill,
prediction, patience, reclaim, preempts, preemptible, victims, cap, grace, settle, times, window, gain, jobs, growth,
tries, starts. What is not set is as in the centre file of --centre, else as by default.
easy takes depth, window; multifactor age, fairshare, size, qos, max_age, half_life, calc, depth, window, interval,
resolution; kueue timeout, backoff, backoff_max, reclaim, borrow, queueing, scoring; all of them by Slurm's and
Kueue's own names too (PriorityWeightAge, bf_max_job_test, borrowingLimit).";

/// Options of `simulate`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Simulate {
    /// Job log or GPU trace, plain or gzip, known by its content; the data folder of a centre; or generate:NAME for a
    /// recipe's workload
    #[arg(value_name = "INPUT")]
    input: String,
    /// Policies, commas between [default: easy on interchangeable processors, madang on nodes]
    #[arg(long, value_name = "POLICY", value_delimiter = ',', value_parser = Names)]
    policy: Vec<String>,
    /// Put policies side by side, those named here or by --policy [default: all, on nodes]
    #[arg(long, value_name = "POLICY", num_args = 0.., value_delimiter = ',', value_parser = Names)]
    compare: Option<Vec<String>>,
    /// Processors of a log [default: MaxProcs of its header, else MaxNodes]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    procs: Option<u32>,
    /// When the queue of processors is looked at: after each event, or once after all of an instant
    #[arg(long, value_enum, default_value_t = Pass::Event)]
    pass: Pass,
    /// The machine: the modelled sites of a centre file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["nodes", "procs"])]
    centre: Option<PathBuf>,
    /// The machine: a public list of nodes (openb 2023, spot 2026), plain or gzip
    #[arg(long, value_name = "FILE", conflicts_with_all = ["centre", "nodes", "procs"])]
    machine: Option<PathBuf>,
    /// The machine: so many equal nodes in one island
    #[arg(long, value_name = "N", conflicts_with = "procs", value_parser = clap::value_parser!(u32).range(1..=200_000))]
    nodes: Option<u32>,
    /// GPUs of each node
    #[arg(long, value_name = "G", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=32))]
    gpus_per_node: u32,
    /// GPU time asked for, of all there is: sizes the machine of a trace, and what is generated [default: 85]
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(1..=1000))]
    load: Option<u32>,
    /// Days to generate
    #[arg(long, value_name = "N", default_value_t = 14, value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: u32,
    /// The first seed: of what is generated, and of limits that a trace lacks
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// How many seeds, counted from the first
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: u64,
    /// Beside madang, the same with so many of a hundred gangs elastic: half to twice their nodes; modelled
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(1..=100))]
    elastic: Option<u32>,
    /// Weights of owners: a table `vc,node num`, plain or gzip
    #[arg(long, value_name = "FILE")]
    owners: Option<PathBuf>,
    /// Whose a log's job is [default: the first of group, queue, partition, user that names few enough]
    #[arg(long, value_enum)]
    owner_column: Option<OwnerColumn>,
    /// Limits where a trace has none: the run time, or as people over-ask
    #[arg(long, value_enum, default_value_t = Asked::OverAsked)]
    limits: Asked,
    /// Write one page for people with drawings, self-contained
    #[arg(long, value_name = "OUT.html")]
    report: Option<PathBuf>,
    /// Write the outcome of each job as CSV; with several policies and seeds, all in one file
    #[arg(long, value_name = "OUT")]
    csv: Option<PathBuf>,
    /// Write the outcome as a log; with several policies or seeds, they go before the file's ending
    #[arg(long, value_name = "OUT")]
    swf: Option<PathBuf>,
}

/// Whose a log's job is.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum OwnerColumn {
    /// The user's group
    Group,
    /// The user
    User,
    /// The queue
    Queue,
    /// The partition
    Partition,
}

/// Limits where a trace has none.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Asked {
    /// The run time itself
    Exact,
    /// 1.1 to 8 times the run time, drawn with the seed
    OverAsked,
}

/// When the queue is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Pass {
    /// After each submission that would fit and each end, as in SC'15
    Event,
    /// Once after all events of an instant, as real schedulers do
    Instant,
}

impl Simulate {
    /// The names given, each once, or the name that stands in.
    fn policies(&self, default: &str) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for name in self.policy.iter().chain(self.compare.iter().flatten()) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        if names.is_empty() {
            names.push(default.to_owned());
        }
        let elastic = self.elastic.map(|percent| format!(":elastic={percent}")).unwrap_or_default();
        let of_ours = |name: &&String| !elastic.is_empty() && (*name == "madang" || name.starts_with("madang:"));
        let more: Vec<String> = names.iter().filter(of_ours).map(|name| format!("{name}{elastic}")).collect();
        names.extend(more);
        names
    }

    fn compares(&self) -> bool {
        self.compare.is_some()
    }

    /// How to read what a trace leaves open.
    fn reading(&self, seed: u64) -> reader::Reading {
        let limits = match self.limits {
            Asked::Exact => Limits::Exact,
            Asked::OverAsked => Limits::OverAsked(seed),
        };
        let owners = match self.owner_column {
            None => Column::Fitting,
            Some(OwnerColumn::Group) => Column::Group,
            Some(OwnerColumn::User) => Column::User,
            Some(OwnerColumn::Queue) => Column::Queue,
            Some(OwnerColumn::Partition) => Column::Partition,
        };
        reader::Reading { limits, node: self.gpus_per_node, owners }
    }
}

/// Simulates and says how it went.
pub fn simulate(context: &Context, simulate: &Simulate) -> Result<u8, Fail> {
    if let Some(name) = simulate.input.strip_prefix(GENERATE) {
        return estate::simulate(context, simulate, &estate::Source::Recipe(name));
    }
    if Path::new(&simulate.input).is_dir() {
        let past = madang_server::store::past::read(Path::new(&simulate.input));
        let past = past.map_err(|trouble| Fail::new(trouble.fact).hint(trouble.hint))?;
        return estate::simulate(context, simulate, &estate::Source::Past(&past));
    }
    let bytes = read(Path::new(&simulate.input))?;
    let plain = simulate.centre.is_none() && simulate.machine.is_none() && simulate.nodes.is_none();
    let kind = reader::kind_of(&simulate.input, &bytes).map_err(machine::wrong)?;
    if kind == Kind::Swf && plain && simulate.load.is_none() {
        if simulate.report.is_some() || simulate.seeds > 1 {
            let fact = "reports and seeds are of machines of nodes, this log meets interchangeable processors";
            return Err(Fail::new(fact)
                .hint("say which machine: --nodes N, --load PERCENT, --centre FILE or --machine FILE")
                .exit(USAGE));
        }
        return processors::simulate(context, simulate, &bytes);
    }
    if let Some(procs) = simulate.procs {
        let fact = format!("--procs {procs} is for logs on interchangeable processors");
        return Err(Fail::new(fact).hint("say which machine: --nodes N, or --centre FILE").exit(USAGE));
    }
    estate::simulate(context, simulate, &estate::Source::File(&bytes))
}

fn read(path: &Path) -> Result<Vec<u8>, Fail> {
    std::fs::read(path).map_err(|error| Fail::new(format!("failed to read {}: {error}", path.display())))
}

fn write(path: &Path, text: &str) -> Result<(), Fail> {
    std::fs::write(path, text).map_err(|error| Fail::new(format!("failed to write {}: {error}", path.display())))
}

/// `out.swf` becomes `out.easy.swf`.
fn beside(path: &Path, word: &str) -> PathBuf {
    match path.extension() {
        Some(ending) => path.with_extension(format!("{word}.{}", ending.to_string_lossy())),
        None => path.with_extension(word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_logs_lie_side_by_side() {
        assert_eq!(beside(Path::new("a/out.swf"), "easy"), Path::new("a/out.easy.swf"));
        assert_eq!(beside(Path::new("out"), "fcfs"), Path::new("out.fcfs"));
    }
}
