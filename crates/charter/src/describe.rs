//! A founding in a page of text, for `madang check`.
use crate::calendar::date;
use crate::charter::Charter;
use crate::governance::points;
use crate::policy;
use madang_model::{EngineKind, Founding, Island, Node, Parts, PartyId, Site, SiteId};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};

/// What a founding holds: sites, nodes, GPUs, owners, classes, prices, money, partitions.
pub fn describe(founding: &Founding) -> String {
    let mut page = String::new();
    write(&mut page, founding).expect("writing to text cannot fail");
    page
}

impl Charter {
    /// As [`describe`], with the dated shares and facts of the plan.
    pub fn describe(&self) -> String {
        let mut page = describe(&self.founding);
        self.write_rest(&mut page).expect("writing to text cannot fail");
        page
    }

    fn write_rest(&self, page: &mut String) -> fmt::Result {
        let parties = &self.founding.parties;
        heading(page, "company shares", self.company_shares.len())?;
        for share in &self.company_shares {
            let (name, percent) = (&parties[share.party.index()].name, points(share.share.into()));
            writeln!(page, "  {} {name} {percent}%: {}", date(share.from), share.reason)?;
        }
        heading(page, "deliveries", self.deliveries.len())?;
        for delivery in &self.deliveries {
            writeln!(page, "  {} island {}", date(delivery.from), self.founding.islands[delivery.island.index()].name)?;
        }
        heading(page, "facts", self.facts.len())?;
        for fact in &self.facts {
            writeln!(page, "  {} {}: {}", date(fact.from), fact.title, fact.figure)?;
        }
        if let Some(decision) = &self.policy {
            writeln!(page, "policy\n  {} ({})", decision.reason, decision.approver)?;
        }
        Ok(())
    }
}

fn heading(page: &mut String, title: &str, entries: usize) -> fmt::Result {
    if entries == 0 { Ok(()) } else { writeln!(page, "{title}") }
}

fn write(page: &mut String, founding: &Founding) -> fmt::Result {
    let sizes = sizes(founding);
    let total = sizes.values().fold(Size::default(), |sum, size| sum.and(*size));
    writeln!(page, "{}: {} / {}", founding.name, founding.title, founding.title_ko)?;
    writeln!(page, "  {total} at {}", counted(founding.sites.len() as u64, "site"))?;
    for site in &founding.sites {
        write_site(page, founding, site, &sizes)?;
    }
    heading(page, "parties", founding.parties.len())?;
    for party in &founding.parties {
        let share = match party.company_share {
            0 => String::new(),
            share => format!(", {}% of the company", points(share.into())),
        };
        writeln!(page, "  {}: {} / {}{share}", party.name, party.title, party.title_ko)?;
    }
    heading(page, "classes", founding.classes.len())?;
    for class in &founding.classes {
        let (target, rate) = (points(class.target.into()), points(class.rate.into()));
        writeln!(page, "  {}: target {target}%, pays {rate}% of the price", class.name)?;
    }
    heading(page, "prices", founding.prices.len())?;
    for price in &founding.prices {
        let won = grouped(price.won_per_gpu_hour.won().unsigned_abs());
        writeln!(page, "  {} {}: {won} won per GPU-hour", date(price.from), price.model)?;
    }
    heading(page, "money", founding.money.len())?;
    for money in &founding.money {
        writeln!(page, "  {} {}: {} won", date(money.from), money.title, grouped(money.won.won().unsigned_abs()))?;
    }
    heading(page, "partitions", founding.partitions.len())?;
    for (place, partition) in founding.partitions.iter().enumerate() {
        let sites: Vec<&str> = partition.sites.iter().map(|site| founding.sites[site.index()].name.as_str()).collect();
        let default = if place == 0 { " (default)" } else { "" };
        let (sites, usual, most) = (sites.join(", "), partition.default_limit, partition.max_limit);
        writeln!(page, "  {}{default}: {sites}; {usual} unless asked, {most} at most", partition.name)?;
    }
    write_links(page, founding)?;
    write_policy(page, founding)
}

/// Lines between sites: hints for where jobs start.
fn write_links(page: &mut String, founding: &Founding) -> fmt::Result {
    if founding.links.is_empty() {
        return Ok(());
    }
    heading(page, "links between sites, as hints for where jobs start", founding.links.len())?;
    let name = |site: SiteId| founding.sites[site.index()].name.as_str();
    for link in &founding.links {
        writeln!(page, "  {} - {}: {} ms for a GB", name(link.between.0), name(link.between.1), link.ms_per_gb)?;
    }
    Ok(())
}

/// Where the policy is not the default one.
fn write_policy(page: &mut String, founding: &Founding) -> fmt::Result {
    let (differences, lending) = (policy::differences(&founding.policy), &founding.policy.lending);
    heading(page, "policy, where it is not the default", differences.len() + lending.len())?;
    for (name, value) in differences {
        writeln!(page, "  {name}: {value}")?;
    }
    for (party, lending) in lending {
        let (name, keep) = (&founding.parties[party.index()].name, points(lending.keep.into()));
        let borrow = lending.borrow.map_or("without bound".to_owned(), |most| format!("{}%", points(most.into())));
        writeln!(page, "  {name} keeps {keep}% of its guarantee unlent, borrows {borrow} above it")?;
    }
    Ok(())
}

fn write_site(page: &mut String, founding: &Founding, site: &Site, sizes: &BTreeMap<u32, Size>) -> fmt::Result {
    let engine = match &site.engine {
        EngineKind::Local => "this machine".to_owned(),
        EngineKind::Model => "modelled".to_owned(),
        EngineKind::Slurm(slurm) => format!("Slurm, partition {}", slurm.partition),
        EngineKind::Agent(agent) => format!("by its agent, silent for at most {}", agent.silent_after),
    };
    let name = |party: PartyId| founding.parties[party.index()].name.as_str();
    let islands: Vec<&Island> = founding.islands.iter().filter(|island| island.site == site.id).collect();
    let size_of = |island: &Island| sizes.get(&island.id.number()).copied().unwrap_or_default();
    let total = islands.iter().fold(Size::default(), |sum, island| sum.and(size_of(island)));
    let owners: Vec<String> =
        site.shares.iter().map(|(party, share)| format!("{} {}%", name(*party), points(u64::from(*share)))).collect();
    writeln!(page, "site {} ({engine}): {} / {}", site.name, site.title, site.title_ko)?;
    writeln!(page, "  {total}; owners {}; operator {}", owners.join(", "), name(site.operator))?;
    for island in islands {
        // Nodes stand in the order of their islands.
        let first = founding.nodes.partition_point(|node| node.island < island.id);
        let node = founding.nodes.get(first).filter(|node| node.island == island.id);
        let node = node.map_or(String::new(), |node| format!("; {}", node_kind(node)));
        let levels = levels(founding, island);
        writeln!(page, "  island {}: {}{levels}{node}", island.name, size_of(island))?;
    }
    Ok(())
}

/// How many domains each level of the island's tree has, where it has more than racks.
fn levels(founding: &Founding, island: &Island) -> String {
    let nodes = || founding.nodes.iter().filter(|node| node.island == island.id);
    let count = |depth: usize| nodes().map(|node| &node.path[..=depth]).collect::<BTreeSet<_>>().len() as u64;
    let names = island.levels.iter().enumerate();
    let texts: Vec<String> = names.map(|(depth, name)| format!("{} x {name}", grouped(count(depth)))).collect();
    if texts.is_empty() { String::new() } else { format!(" ({})", texts.join(", ")) }
}

fn node_kind(node: &Node) -> String {
    let gpus = match &node.device {
        Some(device) => {
            let memory = grouped(device.memory_mib.into());
            format!("{} x {} of {memory} MiB{}", node.gpus, device.model, parts(&device.parts))
        }
        None => "no GPUs".to_owned(),
    };
    let pretend = if node.pretend { ", pretend" } else { "" };
    format!("{} with {gpus}, {} CPUs, {} MiB{pretend}", node.name, node.cpus, grouped(node.memory_mib))
}

/// GPUs and nodes counted together.
#[derive(Clone, Copy, Default)]
struct Size {
    gpus: u64,
    nodes: u64,
}

impl Size {
    fn and(self, other: Size) -> Size {
        Size { gpus: self.gpus + other.gpus, nodes: self.nodes + other.nodes }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", counted(self.gpus, "GPU"), counted(self.nodes, "node"))
    }
}

/// The size of each island, by its number.
fn sizes(founding: &Founding) -> BTreeMap<u32, Size> {
    let mut sizes: BTreeMap<u32, Size> = BTreeMap::new();
    for node in &founding.nodes {
        let size = sizes.entry(node.island.number()).or_default();
        *size = size.and(Size { gpus: node.gpus.into(), nodes: 1 });
    }
    sizes
}

fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// A number with commas between its thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// What parts of a device jobs may hold.
fn parts(parts: &Parts) -> String {
    let names: Vec<&str> = parts.profiles.iter().map(|profile| profile.name.as_str()).collect();
    match (parts.shards, names.is_empty()) {
        (0, true) => String::new(),
        (0, false) => format!(", cut into {}", names.join(" ")),
        (shards, true) => format!(", shared by {shards} shards"),
        (shards, false) => format!(", shared by {shards} shards or cut into {}", names.join(" ")),
    }
}
