//! How the core is told that a node fares: what Slurm says of it, what the centre file promises, who else is on it.
use crate::slurm::listing::NodeLine;
use madang_model::Health;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What the centre file says of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// Its name, in the centre and in Slurm.
    pub name: String,
    /// GPUs.
    pub gpus: u32,
    /// CPUs that jobs may hold.
    pub cpus: u32,
    /// Memory that jobs may hold, in MiB.
    pub memory_mib: u64,
}

/// What a reason begins with that comes from a site's Slurm: what Slurm has said, Slurm takes back.
pub const SAYS: &str = "slurm: ";

/// Flags of a node's state that keep it from new work.
const KEEPS_OUT: [(&str, &str); 7] = [
    ("DRAIN", "drained"),
    ("DRAINING", "drained"),
    ("DRAINED", "drained"),
    ("FAIL", "failing"),
    ("MAINT", "in maintenance"),
    ("RESERVED", "reserved for others"),
    ("REBOOT", "about to be booted"),
];

/// States in which nothing runs on it.
const LOST: [&str; 5] = ["DOWN", "UNKNOWN", "FUTURE", "ERROR", "REBOOT_ISSUED"];

/// The most foreign jobs named one by one.
const NAMED: usize = 3;

/// How a node fares, with jobs of others on it by node.
pub(crate) fn health(
    expected: &Expected,
    partition: &str,
    node: Option<&NodeLine>,
    foreign: &BTreeMap<String, Vec<String>>,
) -> Health {
    let Some(node) = node else { return down("the cluster has no node of this name") };
    if LOST.iter().any(|word| node.is(word)) {
        return down(&because("down", &node.reason));
    }
    if let Some((_, what)) = KEEPS_OUT.iter().find(|(word, _)| node.is(word)) {
        return drain(&because(what, &node.reason));
    }
    if node.is_silent {
        return drain("it does not answer");
    }
    if !node.partitions.iter().any(|own| own == partition) {
        return drain(&format!("it is not in partition {partition}"));
    }
    if let Some(lacks) = lacks(expected, node) {
        return drain(&lacks);
    }
    match foreign.get(&expected.name) {
        Some(jobs) => drain(&others(jobs)),
        None => Health::Up,
    }
}

/// How all nodes fare while nobody can be asked.
pub(crate) fn unheard(what: &str) -> Health {
    drain(&format!("the controller does not answer: {what}"))
}

/// How a node fares whose whole cluster cannot serve.
pub(crate) fn unfit(why: &str) -> Health {
    drain(why)
}

fn lacks(expected: &Expected, node: &NodeLine) -> Option<String> {
    let less = |what: &str, has: u64, promised: u64| {
        (has < promised).then(|| format!("it has {has} {what}, the centre file says {promised}"))
    };
    less("GPUs", node.gpus.into(), expected.gpus.into())
        .or_else(|| less("CPUs", node.cpus.into(), expected.cpus.into()))
        .or_else(|| less("MiB of memory", node.memory_mib, expected.memory_mib))
}

fn others(jobs: &[String]) -> String {
    let named = jobs.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    let more = jobs.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let word = if jobs.len() == 1 { "job" } else { "jobs" };
    format!("{word} {named}{more} not of this centre on it")
}

fn because(what: &str, reason: &str) -> String {
    if reason.is_empty() { what.to_owned() } else { format!("{what}, {reason}") }
}

fn down(why: &str) -> Health {
    Health::Down { why: format!("{SAYS}{why}") }
}

fn drain(why: &str) -> Health {
    let why: String = why.chars().filter(|c| !c.is_control()).take(200).collect();
    Health::Drain { why: format!("{SAYS}{why}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn what_slurm_says_is_told() {
        let expected = Expected { name: "n1".into(), gpus: 8, cpus: 32, memory_mib: 1000 };
        let base = "NodeName=n1 CPUTot=32 Gres=gpu:8 RealMemory=1000 Partitions=gpu";
        let mut told = String::new();
        for rest in [
            "State=IDLE",
            "State=MIXED+PLANNED",
            "State=IDLE+DRAIN Reason=bad fan [root@now]",
            "State=ALLOCATED*",
            "State=DOWN* Reason=Not responding [slurm@now]",
            "State=IDLE+MAINT",
        ] {
            let node = NodeLine::parse(&format!("{base} {rest}"));
            told += &format!("{:?}\n", health(&expected, "gpu", node.as_ref(), &BTreeMap::new()));
        }
        let node = NodeLine::parse(&format!("{base} State=IDLE"));
        let jobs = (1..6).map(|id| format!("{id} (kim)")).collect();
        let foreign = BTreeMap::from([("n1".to_owned(), jobs)]);
        told += &format!("{:?}\n", health(&expected, "gpu", node.as_ref(), &foreign));
        told += &format!("{:?}\n", health(&expected, "other", node.as_ref(), &BTreeMap::new()));
        let more = Expected { gpus: 9, ..expected.clone() };
        told += &format!("{:?}\n", health(&more, "gpu", node.as_ref(), &BTreeMap::new()));
        told += &format!("{:?}\n", health(&expected, "gpu", None, &BTreeMap::new()));
        expect![[r#"
            Up
            Up
            Drain { why: "slurm: drained, bad fan" }
            Drain { why: "slurm: it does not answer" }
            Down { why: "slurm: down, Not responding" }
            Drain { why: "slurm: in maintenance" }
            Drain { why: "slurm: jobs 1 (kim), 2 (kim), 3 (kim) and 2 more not of this centre on it" }
            Drain { why: "slurm: it is not in partition other" }
            Drain { why: "slurm: it has 8 GPUs, the centre file says 9" }
            Down { why: "slurm: the cluster has no node of this name" }
        "#]]
        .assert_eq(&told);
    }
}
