//! The shape of a centre file: its tables, their keys, and which of them must be there. The first pass.
//!
//! Every table is read to its end before anything is given up, so that all its problems are found at once.
use crate::levels::{self, Levels};
use crate::names::{self, NodeNames};
use crate::policy;
use crate::reader::{At, Fields, Sheet, Spot, Wrong};
use crate::values::{self, EngineWord, Nodes};
use madang_model::{AgentSite, EngineKind, Policy, SlurmSite, Span, Time, Won};
use toml::de::DeTable;

/// The slowest line that a file may have: an hour for a gigabyte.
const MOST_MS_PER_GB: i64 = 3_600_000;

/// A whole file whose shape is sound.
#[derive(Debug)]
pub(crate) struct CentreFile {
    pub heading: Heading,
    pub parties: Vec<PartyEntry>,
    pub classes: Vec<ClassEntry>,
    pub sites: Vec<SiteEntry>,
    pub prices: Vec<PriceEntry>,
    pub money: Vec<MoneyEntry>,
    pub facts: Vec<FactEntry>,
    pub links: Vec<LinkEntry>,
    pub partitions: Vec<PartitionEntry>,
    pub policy: Option<PolicyEntry>,
}

/// `[centre]`
#[derive(Debug)]
pub(crate) struct Heading {
    pub spot: Spot,
    pub name: String,
    pub titles: Titles,
    /// The day whose dated facts are in force; needed where company shares are given.
    pub founded: Option<At<Time>>,
}

/// A full name in two languages.
#[derive(Debug, Clone)]
pub(crate) struct Titles {
    pub english: String,
    pub korean: String,
}

/// `[[party]]`
#[derive(Debug)]
pub(crate) struct PartyEntry {
    pub name: At<String>,
    pub titles: Titles,
    pub shares: Vec<ShareEntry>,
}

/// `[[party.share]]`: a share in the company from a day on, until the party's next one.
#[derive(Debug)]
pub(crate) struct ShareEntry {
    pub from: At<Time>,
    pub share: u32,
    pub reason: String,
    pub approver: String,
    pub source: String,
}

/// `[[class]]`
#[derive(Debug)]
pub(crate) struct ClassEntry {
    pub name: At<String>,
    pub target: At<u32>,
    pub rate: u32,
}

/// `[[site]]`
#[derive(Debug)]
pub(crate) struct SiteEntry {
    pub spot: Spot,
    pub name: At<String>,
    pub titles: Titles,
    pub operator: At<String>,
    pub engine: At<EngineKind>,
    pub shares: Vec<(At<String>, u32)>,
    pub source: String,
    pub islands: Vec<IslandEntry>,
}

/// `[[site.island]]`
#[derive(Debug)]
pub(crate) struct IslandEntry {
    pub spot: Spot,
    pub name: At<String>,
    pub nodes: NodesEntry,
    pub parts: PartsEntry,
    /// Nodes kept idle for gangs that lose one.
    pub spares: Option<At<u32>>,
}

/// What parts of its GPUs jobs may hold.
#[derive(Debug, Default)]
pub(crate) struct PartsEntry {
    pub shards: u32,
    pub profiles: Vec<At<String>>,
}

/// What stands in an island.
#[derive(Debug)]
pub(crate) enum NodesEntry {
    /// The machine that reads the file, as it is found.
    ThisMachine,
    /// Equal nodes, described.
    Modelled(Box<ModelledNodes>),
}

/// Equal nodes, described.
#[derive(Debug)]
pub(crate) struct ModelledNodes {
    pub count: At<u32>,
    pub names: At<NodeNames>,
    pub levels: Levels,
    pub gpus: At<u32>,
    pub per_numa: Option<At<u32>>,
    pub gpu: Option<At<String>>,
    pub gpu_memory: Option<At<u64>>,
    pub cpus: u32,
    pub memory_mib: u64,
    pub features: Vec<String>,
    pub delivered: Option<Time>,
}

/// `[[price]]`
#[derive(Debug)]
pub(crate) struct PriceEntry {
    pub gpu: At<String>,
    pub from: At<Time>,
    pub won: Won,
    pub source: String,
}

/// `[[money]]`
#[derive(Debug)]
pub(crate) struct MoneyEntry {
    pub titles: Titles,
    pub won: Won,
    pub from: Time,
    pub source: String,
}

/// `[[fact]]`
#[derive(Debug)]
pub(crate) struct FactEntry {
    pub titles: Titles,
    pub figure: String,
    pub from: Time,
    pub source: String,
}

/// `[[link]]`: a line between two sites.
#[derive(Debug)]
pub(crate) struct LinkEntry {
    pub spot: Spot,
    pub between: Vec<At<String>>,
    pub ms_per_gb: u32,
    pub source: String,
}

/// `[[partition]]`
#[derive(Debug)]
pub(crate) struct PartitionEntry {
    pub name: At<String>,
    pub sites: Vec<At<String>>,
    pub max_limit: Span,
    pub default_limit: At<Span>,
}

/// `[policy]`
#[derive(Debug)]
pub(crate) struct PolicyEntry {
    /// Without what is said of lending, which names owners.
    pub policy: Policy,
    pub reason: String,
    pub approver: String,
    pub lending: Vec<LendingEntry>,
}

/// `[[policy.lending]]`
#[derive(Debug)]
pub(crate) struct LendingEntry {
    pub owner: At<String>,
    pub keep: u32,
    pub borrow: Option<u32>,
}

/// Reads the shape; `None`, or a sheet that is wrong, where it is not sound.
pub(crate) fn read(sheet: &Sheet<'_>) -> Option<CentreFile> {
    let (tree, errors) = DeTable::parse_recoverable(sheet.text());
    if let Some(error) = errors.first() {
        // The parser reads on after an error, but what it finds then is mostly what the first one brought about.
        let offset = error.span().map_or(0, |span| span.start);
        let fact = format!("not TOML: {}", error.message().replace('\n', ", "));
        sheet.wrong(&Spot { path: String::new(), offset }, Wrong::new(fact));
        return None;
    }
    let mut root = Fields::new(sheet, Spot::default(), tree.get_ref());
    let heading = root.need_table("centre").map(heading);
    let parties = each(root.need_tables("party"), party);
    let classes = each(root.need_tables("class"), class);
    let sites = each(root.need_tables("site"), site);
    let prices = each(root.tables("price"), price);
    let money = each(root.tables("money"), money);
    let facts = each(root.tables("fact"), fact);
    let links = each(root.tables("link"), link);
    let partitions = each(root.need_tables("partition"), partition);
    let policy = root.may_table("policy").map(policy_of);
    root.finish();
    let policy = match policy {
        Some(policy) => Some(policy?),
        None => None,
    };
    Some(CentreFile { heading: heading??, parties, classes, sites, prices, money, facts, links, partitions, policy })
}

fn each<'a, T>(tables: Vec<Fields<'a>>, read: impl Fn(Fields<'a>) -> Option<T>) -> Vec<T> {
    tables.into_iter().filter_map(read).collect()
}

fn heading(mut fields: Fields<'_>) -> Option<Heading> {
    let spot = fields.spot().clone();
    let name = fields.need("name", values::name);
    let titles = titles(&mut fields);
    let founded = fields.may("founded", values::day);
    fields.finish();
    Some(Heading { spot, name: name?.value, titles: titles?, founded })
}

fn titles(fields: &mut Fields<'_>) -> Option<Titles> {
    let english = fields.need("title", values::title);
    let korean = fields.may("title_ko", values::title);
    let english = english?.value;
    Some(Titles { korean: korean.map_or_else(|| english.clone(), |korean| korean.value), english })
}

fn party(mut fields: Fields<'_>) -> Option<PartyEntry> {
    let name = fields.need("name", values::name);
    let titles = titles(&mut fields);
    let shares = each(fields.tables("share"), share);
    fields.finish();
    Some(PartyEntry { name: name?, titles: titles?, shares })
}

fn share(mut fields: Fields<'_>) -> Option<ShareEntry> {
    let from = fields.need("from", values::day);
    let share = fields.need("share", values::percent);
    let reason = fields.need("reason", values::title);
    let approver = fields.need("approver", values::title);
    let source = fields.need("source", values::title);
    fields.finish();
    let (share, reason, approver) = (share?.value, reason?.value, approver?.value);
    Some(ShareEntry { from: from?, share, reason, approver, source: source?.value })
}

fn class(mut fields: Fields<'_>) -> Option<ClassEntry> {
    let name = fields.need("name", values::name);
    let target = fields.need("target", values::percent);
    let rate = fields.need("rate", values::percent);
    let source = fields.need("source", values::title);
    fields.finish();
    source?;
    Some(ClassEntry { name: name?, target: target?, rate: rate?.value })
}

fn site(mut fields: Fields<'_>) -> Option<SiteEntry> {
    let spot = fields.spot().clone();
    let name = fields.need("name", values::name);
    let titles = titles(&mut fields);
    let operator = fields.need("operator", values::name);
    let engine = engine(&mut fields);
    let shares = fields.need_map("shares", values::percent);
    let source = fields.need("source", values::title);
    let islands = each(fields.need_tables("island"), island);
    fields.finish();
    let (operator, engine, source) = (operator?, engine?, source?.value);
    Some(SiteEntry { spot, name: name?, titles: titles?, operator, engine, shares, source, islands })
}

/// The engine, and what a Slurm cluster's needs to be reached.
fn engine(fields: &mut Fields<'_>) -> Option<At<EngineKind>> {
    let At { value: word, spot } = fields.need("engine", values::engine)?;
    let value = match word {
        EngineWord::Local => EngineKind::Local,
        EngineWord::Model => EngineKind::Model,
        EngineWord::Slurm => EngineKind::Slurm(slurm(fields.need_table("slurm")?)?),
        EngineWord::Agent => EngineKind::Agent(agent(fields)),
    };
    Some(At { value, spot })
}

/// How long an agent may be silent, unless the file says.
const SILENT_AFTER: Span = Span::from_mins(5);

fn agent(fields: &mut Fields<'_>) -> AgentSite {
    let silent_after = fields.may("silent_after", values::span).map_or(SILENT_AFTER, |span| span.value);
    AgentSite { silent_after }
}

/// `[site.slurm]`
fn slurm(mut fields: Fields<'_>) -> Option<SlurmSite> {
    let partition = fields.need("partition", values::slurm_name);
    let spool = fields.need("spool", values::path);
    let conf = fields.may("conf", values::path).map(|conf| conf.value);
    let commands = fields.may("commands", values::path).map(|commands| commands.value);
    let account = fields.may("account", values::slurm_name).map(|account| account.value);
    let qos = fields.may("qos", values::slurm_name).map(|qos| qos.value);
    let carry = fields.may("carry", values::flag).is_none_or(|carry| carry.value);
    fields.may("mode", values::slurm_mode);
    fields.finish();
    Some(SlurmSite { partition: partition?.value, spool: spool?.value, conf, commands, account, qos, carry })
}

fn island(mut fields: Fields<'_>) -> Option<IslandEntry> {
    let spot = fields.spot().clone();
    let name = fields.need("name", values::name);
    let nodes = fields.need("nodes", values::nodes);
    let nodes = match nodes {
        Some(At { value: Nodes::ThisMachine, .. }) => Some(NodesEntry::ThisMachine),
        Some(At { value: Nodes::Count(count), spot }) => modelled(&mut fields, At { value: count, spot }),
        None => {
            // The rest is read all the same, for what else may be wrong with it.
            modelled(&mut fields, At { value: 1, spot: spot.clone() });
            None
        }
    };
    let shards = fields.may("shards_per_gpu", values::count(1..=1000)).map_or(0, |shards| shards.value);
    let profiles = fields.may_list("gpu_profiles", values::profile);
    let spares = fields.may("spares", values::count(0..=10_000));
    fields.finish();
    Some(IslandEntry { spot, name: name?, nodes: nodes?, parts: PartsEntry { shards, profiles }, spares })
}

fn modelled(fields: &mut Fields<'_>, count: At<u32>) -> Option<NodesEntry> {
    let names = fields.need("names", names::names);
    let levels = levels::read(fields);
    let gpus = fields.need("gpus_per_node", values::count(0..=32));
    let per_numa = fields.may("gpus_per_numa", values::count(1..=32));
    let gpu = fields.may("gpu", values::name);
    let gpu_memory = fields.may("gpu_memory", values::memory);
    let cpus = fields.need("cpus_per_node", values::count(1..=4096));
    let memory = fields.need("memory_per_node", values::memory);
    let features = fields.may_list("features", values::name).into_iter().map(|feature| feature.value).collect();
    let delivered = fields.may("delivered", values::day).map(|day| day.value);
    fields.may("source", values::title);
    let (levels, cpus, memory_mib) = (levels?, cpus?.value, memory?.value);
    let (names, gpus) = (names?, gpus?);
    let nodes =
        ModelledNodes { count, names, levels, gpus, per_numa, gpu, gpu_memory, cpus, memory_mib, features, delivered };
    Some(NodesEntry::Modelled(Box::new(nodes)))
}

fn price(mut fields: Fields<'_>) -> Option<PriceEntry> {
    let gpu = fields.need("gpu", values::name);
    let from = fields.need("from", values::day);
    let won = fields.need("won_per_gpu_hour", values::won);
    let source = fields.need("source", values::title);
    fields.finish();
    Some(PriceEntry { gpu: gpu?, from: from?, won: won?.value, source: source?.value })
}

fn money(mut fields: Fields<'_>) -> Option<MoneyEntry> {
    let titles = titles(&mut fields);
    let won = fields.need("won", values::won);
    let from = fields.need("from", values::day);
    let source = fields.need("source", values::title);
    fields.finish();
    Some(MoneyEntry { titles: titles?, won: won?.value, from: from?.value, source: source?.value })
}

fn fact(mut fields: Fields<'_>) -> Option<FactEntry> {
    let titles = titles(&mut fields);
    let figure = fields.need("figure", values::title);
    let from = fields.need("from", values::day);
    let source = fields.need("source", values::title);
    fields.finish();
    Some(FactEntry { titles: titles?, figure: figure?.value, from: from?.value, source: source?.value })
}

fn link(mut fields: Fields<'_>) -> Option<LinkEntry> {
    let spot = fields.spot().clone();
    let between = fields.need_list("between", values::name);
    let ms_per_gb = fields.need("ms_per_gb", values::count(1..=MOST_MS_PER_GB));
    let source = fields.need("source", values::title);
    fields.finish();
    Some(LinkEntry { spot, between, ms_per_gb: ms_per_gb?.value, source: source?.value })
}

fn partition(mut fields: Fields<'_>) -> Option<PartitionEntry> {
    let name = fields.need("name", values::name);
    let sites = fields.need_list("sites", values::name);
    let max_limit = fields.need("max_limit", values::span);
    let default_limit = fields.need("default_limit", values::span);
    fields.finish();
    let (max_limit, default_limit) = (max_limit?.value, default_limit?);
    Some(PartitionEntry { name: name?, sites, max_limit, default_limit })
}

fn policy_of(mut fields: Fields<'_>) -> Option<PolicyEntry> {
    let policy = policy::read(&mut fields);
    let reason = fields.need("reason", values::title);
    let approver = fields.need("approver", values::title);
    let lending = each(fields.tables("lending"), lending);
    fields.finish();
    Some(PolicyEntry { policy, reason: reason?.value, approver: approver?.value, lending })
}

fn lending(mut fields: Fields<'_>) -> Option<LendingEntry> {
    let owner = fields.need("owner", values::name);
    let keep = fields.may("keep", values::part);
    let borrow = fields.may("borrow", values::percent);
    fields.finish();
    let keep = keep.map_or(0, |keep| keep.value);
    Some(LendingEntry { owner: owner?, keep, borrow: borrow.map(|borrow| borrow.value) })
}
