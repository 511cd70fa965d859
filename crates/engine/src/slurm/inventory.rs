//! A site's part of a centre file, made from what a Slurm cluster says of itself.
//!
//! Nodes of a partition that are alike and hang below the same topmost switch are an island; its levels are the switches,
//! from the leaves up. What Slurm does not know (a GPU's memory) comes from what is known of its model, and is said to.
use crate::hostlist;
use crate::slurm::command::{Failure, Slurm};
use crate::slurm::fitness::Fitness;
use crate::slurm::listing::{NODES, NodeLine};
use madang_model::SlurmSite;
use std::collections::BTreeMap;
use std::fmt::Write;

/// What only people know of a site.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The site's name in the centre.
    pub name: String,
    /// How Slurm is reached; also written down.
    pub site: SlurmSite,
    /// The model of GPUs that Slurm gives no type.
    pub gpu: Option<String>,
    /// Memory of a GPU, as in `141 GiB`, where the model's is not known or another.
    pub gpu_memory: Option<String>,
}

/// Why there is no inventory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoInventory {
    /// Slurm gave no answer, or none that helps.
    #[error("failed to ask Slurm: {0}")]
    Unasked(String),
    /// The partition has no nodes that could serve.
    #[error("partition {partition} has no nodes to take over")]
    Empty {
        /// Which.
        partition: String,
        /// Why nodes were left out.
        left_out: Vec<String>,
    },
}

/// A site's part of a centre file, and what was left out of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inventory {
    /// In TOML.
    pub text: String,
    /// Nodes.
    pub nodes: usize,
    /// GPUs.
    pub gpus: u64,
    /// Nodes that the file cannot hold, and why.
    pub left_out: Vec<String>,
}

/// Memory of a GPU by what its type's name has in it; the first that fits.
const MEMORY: [(&str, &str); 12] = [
    ("gb300", "288 GiB"),
    ("b300", "288 GiB"),
    ("gb200", "186 GiB"),
    ("b200", "180 GiB"),
    ("h200", "141 GiB"),
    ("gh200", "96 GiB"),
    ("h100", "80 GiB"),
    ("a100", "80 GiB"),
    ("l40s", "48 GiB"),
    ("a40", "48 GiB"),
    ("v100", "32 GiB"),
    ("mi300x", "192 GiB"),
];

/// Nodes that are alike.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Alike {
    top: String,
    gpus: u32,
    model: String,
    cpus: u32,
    memory_mib: u64,
    features: Vec<String>,
}

/// Asks a cluster.
pub fn inventory(asked: &Asked) -> Result<Inventory, NoInventory> {
    let slurm = Slurm::new(&asked.site);
    let ask = |words: &[&str]| {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        slurm.call("scontrol", &words, "")
    };
    let unasked = |failure: Failure| NoInventory::Unasked(failure.text().to_owned());
    let nodes = ask(&NODES).map_err(unasked)?;
    // For a partition that is none it fails, and the nodes below have none either.
    let partition = ask(&["-o", "show", "partition", &asked.site.partition]).unwrap_or_default();
    let config = ask(&["show", "config"]).map_err(unasked)?;
    // A cluster without a topology says so by an error.
    let topology = ask(&["-o", "show", "topology"]).unwrap_or_default();
    if let Some(wrong) = Fitness::read(&config, &partition).unfit {
        return Err(NoInventory::Unasked(wrong));
    }
    made(asked, &nodes, &topology)
}

fn made(asked: &Asked, nodes: &str, topology: &str) -> Result<Inventory, NoInventory> {
    let mut left_out = Vec::new();
    let switches = Switches::read(topology);
    let mut groups: BTreeMap<Alike, Vec<(Vec<String>, String)>> = BTreeMap::new();
    for node in nodes.lines().filter_map(NodeLine::parse) {
        if !node.partitions.contains(&asked.site.partition) {
            continue;
        }
        let path = switches.above(&node.name);
        match alike(asked, &node, path.first()) {
            Ok(alike) => groups.entry(alike).or_default().push((path, node.name)),
            Err(why) => left_out.push(format!("{}: {why}", node.name)),
        }
    }
    let count = groups.values().map(Vec::len).sum();
    if count == 0 {
        return Err(NoInventory::Empty { partition: asked.site.partition.clone(), left_out });
    }
    let gpus = groups.iter().map(|(alike, nodes)| u64::from(alike.gpus) * nodes.len() as u64).sum();
    let mut text = heading(asked);
    let many = groups.len() > 1;
    for (number, (alike, mut nodes)) in (1..).zip(groups) {
        // By switch, and within one as Slurm lists them.
        nodes.sort_by(|one, other| one.0.cmp(&other.0));
        let name = if many { format!("{}-{number}", asked.name) } else { asked.name.clone() };
        text += &island(asked, &name, &alike, &nodes);
    }
    Ok(Inventory { text, nodes: count, gpus, left_out })
}

fn heading(asked: &Asked) -> String {
    let site = &asked.site;
    let mut text = format!(
        "[[site]]\nname = \"{0}\"\ntitle = \"{0}\"\noperator = \"owner\"\nengine = \"slurm\"\nshares = {{ owner = \"100%\" }}\n\
         source = \"what Slurm says of itself\"\n\n[site.slurm]\npartition = \"{1}\"\nspool = \"{2}\"\n",
        asked.name, site.partition, site.spool
    );
    let more = [("conf", &site.conf), ("commands", &site.commands), ("account", &site.account), ("qos", &site.qos)];
    for (key, value) in more {
        value.iter().for_each(|value| text += &format!("{key} = \"{value}\"\n"));
    }
    text
}

fn alike(asked: &Asked, node: &NodeLine, top: Option<&String>) -> Result<Alike, String> {
    let mut models: Vec<&str> = node.models.iter().map(String::as_str).filter(|model| !model.is_empty()).collect();
    models.dedup();
    let model = match (node.gpus, models[..].first(), models.len()) {
        (0, ..) => String::new(),
        (_, _, 2..) => return Err(format!("its GPUs are of several models, {}", models.join(" and "))),
        (_, Some(model), _) => word(model),
        (_, None, _) => asked.gpu.clone().unwrap_or_else(|| "gpu".to_owned()),
    };
    if node.gpus > 32 {
        return Err(format!("it has {} GPUs, and a node may have 32", node.gpus));
    }
    if node.cpus == 0 || node.memory_mib == 0 {
        return Err("Slurm says of it no CPUs, or no memory".to_owned());
    }
    let mut features: Vec<String> = node.features.iter().map(|feature| word(feature)).collect();
    features.sort();
    features.dedup();
    Ok(Alike {
        top: top.cloned().unwrap_or_default(),
        gpus: node.gpus,
        model,
        cpus: node.cpus,
        memory_mib: node.memory_mib,
        features,
    })
}

/// A name of Slurm's as a centre file can have it.
fn word(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c.to_ascii_lowercase() } else { '-' };
    let word: String = name.chars().map(plain).take(32).collect();
    if word.starts_with(|first: char| first.is_ascii_lowercase()) { word } else { format!("x{word:.31}") }
}

fn island(asked: &Asked, name: &str, alike: &Alike, nodes: &[(Vec<String>, String)]) -> String {
    let names: Vec<String> = nodes.iter().map(|(_, name)| name.clone()).collect();
    let mut text = format!(
        "\n[[site.island]]\nname = \"{name}\"\nnodes = {}\nnames = \"{}\"\n{}gpus_per_node = {}\n",
        nodes.len(),
        listed(&names),
        levels(nodes),
        alike.gpus
    );
    if alike.gpus > 0 {
        let known = MEMORY.iter().find(|(model, _)| alike.model.contains(model)).map(|(_, memory)| *memory);
        let (memory, source) = match (&asked.gpu_memory, known) {
            (Some(memory), _) => (memory.as_str(), "as you said"),
            (None, Some(memory)) => (memory, "by its model; Slurm does not know it"),
            (None, None) => ("80 GiB", "a guess: neither Slurm nor the model tells it"),
        };
        writeln!(text, "gpu = \"{}\"\ngpu_memory = \"{memory}\"  # {source}", alike.model).ok();
    }
    writeln!(text, "cpus_per_node = {}\nmemory_per_node = \"{} MiB\"", alike.cpus, alike.memory_mib).ok();
    if !alike.features.is_empty() {
        let features: Vec<String> = alike.features.iter().map(|feature| format!("\"{feature}\"")).collect();
        writeln!(text, "features = [{}]", features.join(", ")).ok();
    }
    text
}

/// A host list with brackets, by which a list is known in a centre file.
fn listed(names: &[String]) -> String {
    let text = hostlist::in_order(names);
    if text.contains(['[', ',']) {
        return text;
    }
    let digits = text.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let (prefix, number) = text.split_at(digits);
    format!("{prefix}[{number}]")
}

/// Domains from the leaves up, as sizes in the order of the nodes. A level that has one domain says nothing.
fn levels(nodes: &[(Vec<String>, String)]) -> String {
    let depth = nodes.iter().map(|(path, _)| path.len()).min().unwrap_or(0);
    let uneven = nodes.iter().any(|(path, _)| path.len() != depth);
    let mut texts = Vec::new();
    for level in (0..depth).rev().filter(|_| !uneven) {
        let mut sizes: Vec<(&[String], u32)> = Vec::new();
        for (path, _) in nodes {
            let domain = &path[..=level];
            match sizes.last_mut() {
                Some((last, size)) if *last == domain => *size += 1,
                _ => sizes.push((domain, 1)),
            }
        }
        if sizes.len() > 1 {
            let sizes: Vec<String> = sizes.iter().map(|(_, size)| size.to_string()).collect();
            let name = match depth - 1 - level {
                0 => "leaf".to_owned(),
                1 => "spine".to_owned(),
                above => format!("switch-{above}"),
            };
            texts.push(format!("{{ name = \"{name}\", sizes = [{}] }}", sizes.join(", ")));
        }
    }
    if texts.is_empty() {
        return format!("nodes_per_rack = {}  # Slurm tells of no switches between them\n", nodes.len());
    }
    format!("levels = [{}]\n", texts.join(", "))
}

/// The switches above each node, from the top down.
struct Switches(BTreeMap<String, Vec<String>>);

impl Switches {
    fn read(topology: &str) -> Switches {
        let mut lines: Vec<(u32, String, Vec<String>)> = Vec::new();
        for line in topology.lines() {
            let word = |key: &str| line.split(' ').find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
            let (Some(name), Some(level), Some(nodes)) = (word("SwitchName"), word("Level"), word("Nodes")) else {
                continue;
            };
            let (Ok(level), Ok(nodes)) = (level.parse(), hostlist::expand(nodes)) else { continue };
            lines.push((level, name.to_owned(), nodes));
        }
        lines.sort_by(|one, other| (other.0, &one.1).cmp(&(one.0, &other.1)));
        let mut above: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (_, name, nodes) in lines {
            nodes.into_iter().for_each(|node| above.entry(node).or_default().push(name.clone()));
        }
        Switches(above)
    }

    fn above(&self, node: &str) -> Vec<String> {
        self.0.get(node).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn asked() -> Asked {
        let site = SlurmSite {
            partition: "gpu".into(),
            spool: "/s".into(),
            conf: Some("/etc/slurm.conf".into()),
            commands: None,
            account: None,
            qos: None,
            carry: true,
        };
        Asked { name: "cluster".into(), site, gpu: None, gpu_memory: None }
    }

    const NODES: &str = "\
NodeName=a01 CPUTot=64 AvailableFeatures=fast,ib Gres=gpu:h200:8(S:0-1) RealMemory=1000 State=IDLE Partitions=gpu
NodeName=a03 CPUTot=64 AvailableFeatures=ib,fast Gres=gpu:h200:8 RealMemory=1000 MemSpecLimit=0 State=IDLE Partitions=gpu,x
NodeName=a02 CPUTot=64 AvailableFeatures=fast,ib Gres=gpu:h200:8 RealMemory=1000 State=DOWN Partitions=gpu
NodeName=b7 CPUEfctv=30 CPUTot=32 AvailableFeatures=(null) Gres=(null) RealMemory=1000 MemSpecLimit=200 State=IDLE Partitions=gpu
NodeName=c1 CPUTot=32 AvailableFeatures=(null) Gres=gpu:a100:2,gpu:v100:2 RealMemory=1000 State=IDLE Partitions=gpu
NodeName=d1 CPUTot=32 AvailableFeatures=(null) Gres=(null) RealMemory=1000 State=IDLE Partitions=x";

    #[test]
    fn a_cluster_becomes_a_site() {
        let topology = "\
SwitchName=s0 Level=0 LinkSpeed=1 Nodes=a[01-02]
SwitchName=s1 Level=0 LinkSpeed=1 Nodes=a03
SwitchName=top Level=1 LinkSpeed=1 Nodes=a[01-03] Switches=s[0-1]";
        let made = made(&asked(), NODES, topology).expect("it has nodes");
        let head = heading(&asked()).len();
        assert_eq!(
            (made.nodes, made.gpus, made.left_out.join("; ").as_str()),
            (4, 24, "c1: its GPUs are of several models, a100 and v100")
        );
        expect![[r#"

            [[site.island]]
            name = "cluster-1"
            nodes = 1
            names = "b[7]"
            nodes_per_rack = 1  # Slurm tells of no switches between them
            gpus_per_node = 0
            cpus_per_node = 30
            memory_per_node = "800 MiB"

            [[site.island]]
            name = "cluster-2"
            nodes = 3
            names = "a[01-03]"
            levels = [{ name = "leaf", sizes = [2, 1] }]
            gpus_per_node = 8
            gpu = "h200"
            gpu_memory = "141 GiB"  # by its model; Slurm does not know it
            cpus_per_node = 64
            memory_per_node = "1000 MiB"
            features = ["fast", "ib"]
        "#]]
        .assert_eq(&made.text[head..]);
        let other = Asked { site: SlurmSite { partition: "none".into(), ..asked().site }, ..asked() };
        assert!(matches!(super::made(&other, NODES, ""), Err(NoInventory::Empty { .. })));
    }
}
