//! Public traces as workloads and machines, each by its own columns: what a file is, its header says.
//!
//! What a trace has beyond what a trial places (models, and but for openb CPUs and memory) is left out, and the workload's
//! notes say so. Files may be packed with gzip.
mod alibaba;
mod nodes;
mod swf;

pub use nodes::machine;
pub use swf::Column;

use super::philly::{self, Limits};
use super::table;
use super::workload::{Owner, Workload};
use crate::rng::Rng;
use madang_model::Span;
use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;

/// How to read what a trace leaves open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Where limits come from when the trace has none.
    pub limits: Limits,
    /// GPUs of a node, by which large gangs of traces without nodes are cut; at least 1.
    pub node: u32,
    /// By which column jobs of the Standard Workload Format have owners.
    pub owners: Column,
}

impl Default for Reading {
    fn default() -> Reading {
        Reading { limits: Limits::OverAsked(1), node: 8, owners: Column::Fitting }
    }
}

/// Why a file is no workload or no machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// The file's name.
    pub name: String,
    /// The fact, with the line where there is one.
    pub fact: String,
    /// What to do instead; empty if there is nothing to say.
    pub hint: &'static str,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.fact)
    }
}

impl std::error::Error for Wrong {}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Microsoft's Philly: jobs.
    Philly,
    /// Alibaba's openb of 2023: pods with their times.
    OpenbPods,
    /// Alibaba's recommendation serving of 2025: instances.
    Dlrm,
    /// Alibaba's spot fleet of 2026: single jobs as rows.
    SpotJobs,
    /// Standard Workload Format.
    Swf,
    /// Alibaba's openb of 2023: nodes.
    OpenbNodes,
    /// Alibaba's spot fleet of 2026: nodes.
    SpotNodes,
}

/// Headers by which tables are known.
const HEADERS: [(&str, Kind); 6] = [
    (philly::HEADER, Kind::Philly),
    (alibaba::PODS, Kind::OpenbPods),
    (alibaba::INSTANCES, Kind::Dlrm),
    (alibaba::SPOT, Kind::SpotJobs),
    (nodes::OPENB, Kind::OpenbNodes),
    (nodes::SPOT, Kind::SpotNodes),
];

/// Headers of public tables that are neither, by how they begin, and why.
const OTHERS: [(&str, &str); 4] = [
    ("name,cpu_milli,memory_mib,num_gpu", "pods without times: nothing says when they come and how long they stay"),
    ("time,total_job_num", "a cluster's state minute by minute, not jobs"),
    ("vc,node num", "nodes of Philly's virtual clusters, not jobs"),
    ("ip,DSW", "hosts and their switches, not jobs"),
];

/// Reads a file as a workload.
pub fn read(name: &str, bytes: &[u8], reading: &Reading) -> Result<Workload, Wrong> {
    let text = unpacked(name, bytes)?;
    let kind = kind(name, &text)?;
    let wrong = |wrong: table::Wrong| Wrong { name: name.into(), fact: wrong.to_string(), hint: "" };
    let workload = match kind {
        Kind::Philly => philly::read(&text, reading.limits).map_err(wrong)?,
        Kind::OpenbPods => alibaba::pods(&text, reading).map_err(wrong)?,
        Kind::Dlrm => alibaba::instances(&text, reading).map_err(wrong)?,
        Kind::SpotJobs => alibaba::spot(&text, reading).map_err(wrong)?,
        Kind::Swf => swf::read(name, &text, reading)?,
        Kind::OpenbNodes | Kind::SpotNodes => {
            return Err(Wrong {
                name: name.into(),
                fact: "a list of nodes, not jobs".into(),
                hint: "give it as the machine: --machine FILE",
            });
        }
    };
    if workload.jobs.is_empty() {
        return Err(Wrong { name: name.into(), fact: "no job in it can be tried".into(), hint: "" });
    }
    Ok(workload)
}

/// What a file is.
pub fn kind_of(name: &str, bytes: &[u8]) -> Result<Kind, Wrong> {
    kind(name, &unpacked(name, bytes)?)
}

/// What a text is.
fn kind(name: &str, text: &str) -> Result<Kind, Wrong> {
    let mut lines = text.lines().map(|line| line.trim_start_matches('\u{feff}').trim());
    let first = lines.find(|line| !line.is_empty()).unwrap_or("");
    if let Some((_, kind)) = HEADERS.iter().find(|(header, _)| *header == first) {
        return Ok(*kind);
    }
    let numbers = |line: &str| {
        let cells = line.split_whitespace().take(18);
        cells.clone().count() == 18
            && cells.clone().all(|cell| cell.starts_with(|c: char| c == '-' || c.is_ascii_digit()))
    };
    if first.starts_with(';') || numbers(first) {
        return Ok(Kind::Swf);
    }
    let other = OTHERS.iter().find(|(begins, _)| first.starts_with(begins));
    let shown: String = first.chars().take(60).collect();
    let fact = match other {
        Some((_, what)) => (*what).to_owned(),
        None => format!("line 1: not a trace that is known here, it begins with {shown:?}"),
    };
    let hint = "known are Standard Workload Format and the tables of Philly, openb 2023, dlrm 2025 and spot 2026";
    Err(Wrong { name: name.into(), fact, hint })
}

/// The text of a file, packed with gzip or not.
fn unpacked(name: &str, bytes: &[u8]) -> Result<String, Wrong> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(String::from_utf8_lossy(bytes).into_owned());
    }
    let mut plain = Vec::new();
    let read = flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut plain);
    let fact = |error| format!("the gzip data is damaged: {error}");
    read.map_err(|error| Wrong { name: name.into(), fact: fact(error), hint: "" })?;
    Ok(String::from_utf8_lossy(&plain).into_owned())
}

/// Owners by name in the order in which they are met, weighted by what they ask for.
#[derive(Default)]
struct Owners {
    known: BTreeMap<String, usize>,
    list: Vec<(String, u128)>,
}

impl Owners {
    /// The owner of this name asks for so much GPU time.
    fn asks(&mut self, name: &str, gpus: u64, time: Span) -> u32 {
        let at = *self.known.entry(name.to_owned()).or_insert_with(|| {
            self.list.push((spelt(name, self.list.len()), 0));
            self.list.len() - 1
        });
        self.list[at].1 += u128::from(gpus) * u128::from(time.millis());
        at as u32
    }

    /// The list, weighted by GPU-hours: in parts of a million of all, at least one.
    fn list(self) -> Vec<Owner> {
        let all = self.list.iter().map(|(_, time)| time).sum::<u128>().max(1);
        let weight = |time: u128| ((time * 1_000_000 / all) as u32).max(1);
        self.list.into_iter().map(|(name, time)| Owner { name, weight: weight(time) }).collect()
    }
}

/// An owner's name as a centre takes it; one that has to change gets its number, so that no two become one.
fn spelt(name: &str, number: usize) -> String {
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    let first = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    if first && name.len() <= 40 && name.chars().all(fine) {
        return name.to_owned();
    }
    let change = |c: char| if fine(c.to_ascii_lowercase()) { c.to_ascii_lowercase() } else { '-' };
    format!("owner{number}-{}", name.chars().take(30).map(change).collect::<String>())
}

/// Limits for jobs that have none.
fn dice(limits: Limits) -> Rng {
    Rng::new(if let Limits::OverAsked(seed) = limits { seed } else { 0 })
}

#[cfg(test)]
mod tests;
