//! `sinfo`: partitions and nodes by state.
use super::format::{self, Piece};
use super::json;
use super::options::{Arg, Operands, Opt, Parsed, SBATCH, opt, parse};
use crate::client::Client;
use crate::fail::{Fail, print};
use crate::time::{banner, now_ms, short_length};
use madang_api::{NodeView, PartitionView};
use madang_engine::hostlist;
use std::collections::BTreeMap;

const TABLE: &[Opt] = &[
    opt("all", 'a', Arg::No),
    opt("clusters", 'M', Arg::Needed).refused("this is one centre"),
    opt("dead", 'd', Arg::No),
    opt("exact", 'e', Arg::No),
    opt("federation", '\0', Arg::No),
    opt("format", 'o', Arg::Needed),
    opt("Format", 'O', Arg::Needed),
    opt("help", '\0', Arg::No),
    opt("hide", '\0', Arg::No),
    opt("iterate", 'i', Arg::Needed).refused("call it again, or use watch"),
    opt("json", '\0', Arg::Maybe),
    opt("list-reasons", 'R', Arg::No),
    opt("local", '\0', Arg::No),
    opt("long", 'l', Arg::No),
    opt("noconvert", '\0', Arg::No),
    opt("Node", 'N', Arg::No),
    opt("nodes", 'n', Arg::Needed),
    opt("noheader", 'h', Arg::No),
    opt("partition", 'p', Arg::Needed),
    opt("reservation", 'T', Arg::No),
    opt("responding", 'r', Arg::No),
    opt("sort", 'S', Arg::Needed).refused("pipe it through sort"),
    opt("states", 't', Arg::Needed),
    opt("summarize", 's', Arg::No),
    opt("usage", '\0', Arg::No),
    opt("verbose", 'v', Arg::No),
    opt("version", 'V', Arg::No),
    opt("yaml", '\0', Arg::No).refused("give --json"),
];

const DEFAULT: &str = "%9P %.5a %.10l %.6D %.6t %N";
const LONG: &str = "%9P %.5a %.10l %.10s %.4r %.8h %.10g %.6D %.11T %N";
const SUMMARY: &str = "%9P %.5a %.10l %.16F %N";
const NODES: &str = "%#N %.6D %.#P %6t";
const NODES_LONG: &str = "%#N %.6D %.#P %.11T %4c %.8z %.6m %.8d %.6w %.8f %20E";
const REASONS: &str = "%20E %9u %19H %N";
const REASONS_LONG: &str = "%20E %12U %19H %6t %N";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Partition,
    PartitionName,
    Avail,
    Limit,
    DefaultLimit,
    Nodes,
    State,
    StateLong,
    NodeList,
    Gres,
    GresUsed,
    CpuStates,
    NodeStates,
    NodeCounts,
    Cpus,
    Memory,
    AllocMem,
    FreeMem,
    Features,
    Reason,
    Zero,
    One,
    Sct,
    JobSize,
    No,
    NoShare,
    All,
    Unknown,
}

/// Letter, names, header.
const FIELDS: &[(char, &[&str], &str, Field)] = &[
    ('P', &["partition"], "PARTITION", Field::Partition),
    ('R', &["partitionname"], "PARTITION", Field::PartitionName),
    ('a', &["available"], "AVAIL", Field::Avail),
    ('l', &["time"], "TIMELIMIT", Field::Limit),
    ('L', &["defaulttime"], "DEFAULTTIME", Field::DefaultLimit),
    ('D', &["nodes"], "NODES", Field::Nodes),
    ('t', &["statecompact"], "STATE", Field::State),
    ('T', &["statelong", "statecomplete"], "STATE", Field::StateLong),
    ('N', &["nodelist"], "NODELIST", Field::NodeList),
    ('n', &["nodehost"], "HOSTNAMES", Field::NodeList),
    ('o', &["nodeaddr"], "NODE_ADDR", Field::NodeList),
    ('G', &["gres"], "GRES", Field::Gres),
    ('\0', &["gresused"], "GRES_USED", Field::GresUsed),
    ('C', &["cpusstate"], "CPUS(A/I/O/T)", Field::CpuStates),
    ('A', &["nodeai"], "NODES(A/I)", Field::NodeStates),
    ('F', &["nodeaiot"], "NODES(A/I/O/T)", Field::NodeCounts),
    ('c', &["cpus"], "CPUS", Field::Cpus),
    ('m', &["memory"], "MEMORY", Field::Memory),
    ('\0', &["allocmem"], "ALLOCMEM", Field::AllocMem),
    ('e', &["freemem"], "FREE_MEM", Field::FreeMem),
    ('f', &["features"], "AVAIL_FEATURES", Field::Features),
    ('b', &["features_act"], "ACTIVE_FEATURES", Field::Features),
    ('E', &["reason"], "REASON", Field::Reason),
    ('d', &["disk"], "TMP_DISK", Field::Zero),
    ('w', &["weight"], "WEIGHT", Field::One),
    ('I', &["priorityjobfactor"], "PRIO_JOB_FACTOR", Field::One),
    ('X', &["sockets"], "SOCKETS", Field::One),
    ('Y', &["cores"], "CORES", Field::Cpus),
    ('Z', &["threads"], "THREADS", Field::One),
    ('z', &["socketcorethread"], "S:C:T", Field::Sct),
    ('s', &["size"], "JOB_SIZE", Field::JobSize),
    ('r', &["root"], "ROOT", Field::No),
    ('h', &["oversubscribe"], "OVERSUBS", Field::NoShare),
    ('g', &["groups"], "GROUPS", Field::All),
    ('u', &["user"], "USER", Field::Unknown),
    ('U', &["userlong"], "USER", Field::Unknown),
    ('H', &["timestamp"], "TIMESTAMP", Field::Unknown),
    ('O', &["cpusload"], "CPU_LOAD", Field::Unknown),
];

fn by_letter(letter: char) -> Option<(Field, &'static str)> {
    let found = FIELDS.iter().find(|(known, _, _, _)| *known == letter && letter != '\0');
    found.map(|(_, _, header, field)| (*field, *header))
}

fn by_name(name: &str) -> Option<(Field, &'static str)> {
    let found = FIELDS.iter().find(|(_, names, _, _)| names.contains(&name));
    found.map(|(_, _, header, field)| (*field, *header))
}

/// Nodes that share a row.
struct Row<'a> {
    partition: Option<&'a PartitionView>,
    nodes: Vec<&'a NodeView>,
}

/// Runs the command.
pub fn run(args: &[String]) -> Result<u8, Fail> {
    let parsed = parse(TABLE, SBATCH, args, Operands::Mix)?;
    if let Some(exit) = super::about("sinfo", TABLE, SBATCH, &parsed.given) {
        return Ok(exit);
    }
    super::refuse(TABLE, &parsed)?;
    if parsed.has("reservation") {
        return super::reservations::table(parsed.has("noheader"));
    }
    let client = Client::find(&Default::default())?;
    let mut nodes: Vec<NodeView> = client.list("/nodes")?;
    let mut partitions: Vec<PartitionView> = client.list("/partitions")?;
    select(&parsed, &mut nodes, &mut partitions)?;
    if parsed.has("json") {
        print(&json::nodes(&nodes));
        return Ok(0);
    }
    let pieces = pieces(&parsed)?;
    let rows = rows(&parsed, &pieces, &nodes, &partitions);
    let mut text = String::new();
    if parsed.has("long") {
        text = format!("{}\n", banner(now_ms()));
    }
    text.push_str(&format::table(&pieces, !parsed.has("noheader"), &rows, value));
    print(&text);
    Ok(0)
}

fn select(parsed: &Parsed, nodes: &mut Vec<NodeView>, partitions: &mut Vec<PartitionView>) -> Result<(), Fail> {
    let wanted = parsed.list("partition");
    if !wanted.is_empty() {
        partitions.retain(|partition| wanted.contains(&partition.name));
        nodes.retain(|node| node.partitions.iter().any(|name| wanted.contains(name)));
    }
    if let Some(text) = parsed.value("nodes") {
        let names = hostlist::expand(text).map_err(|error| error.to_string())?;
        nodes.retain(|node| names.contains(&node.name));
    }
    let states: Vec<String> = parsed.list("states").iter().map(|name| name.to_lowercase()).collect();
    for name in &states {
        let known =
            ["all", "idle", "alloc", "allocated", "mix", "mixed", "drain", "drained", "drng", "draining", "down"];
        if !known.contains(&name.as_str()) {
            return Err(Fail::new(format!(
                "Bad state string: \"{name}\"\nValid node states include: {}",
                known.join(", ")
            )));
        }
    }
    if !states.is_empty() && !states.iter().any(|name| name == "all") {
        nodes.retain(|node| states.iter().any(|name| matches(node, name)));
    }
    if parsed.has("dead") {
        nodes.retain(|node| node.state == "DOWN");
    }
    if parsed.has("responding") {
        nodes.retain(|node| node.state != "DOWN");
    }
    if parsed.has("list-reasons") {
        nodes.retain(|node| !node.reason.is_empty());
    }
    Ok(())
}

/// `drain` means both that still runs jobs and that does not; the longer names mean one of them.
fn matches(node: &NodeView, name: &str) -> bool {
    match name {
        "drain" => node.state.starts_with("DRAIN"),
        "drng" => node.state == "DRAINING",
        "alloc" => node.state == "ALLOCATED",
        "mix" => node.state == "MIXED",
        name => node.state.to_lowercase() == name,
    }
}

fn pieces(parsed: &Parsed) -> Result<Vec<Piece<Field>>, Fail> {
    let wrong = |what: String| Fail::new(format!("Invalid node format specification: {what}"));
    let last = parsed.given.iter().rev().find(|given| given.name == "format" || given.name == "Format");
    if let Some(given) = last.filter(|given| given.name == "Format") {
        return format::named(given.text(), by_name).map_err(wrong);
    }
    let long = parsed.has("long");
    let variable = std::env::var("SINFO_FORMAT").ok().filter(|text| !text.is_empty());
    let text = match last {
        Some(given) => given.text().to_owned(),
        None if parsed.has("list-reasons") => if long { REASONS_LONG } else { REASONS }.to_owned(),
        None if parsed.has("summarize") => SUMMARY.to_owned(),
        None if parsed.has("Node") => if long { NODES_LONG } else { NODES }.to_owned(),
        None if long => LONG.to_owned(),
        None => variable.unwrap_or_else(|| DEFAULT.to_owned()),
    };
    format::percent(&text, by_letter).map_err(wrong)
}

/// Nodes share a row when they look the same in every field that is not a sum or a list.
fn rows<'a>(
    parsed: &Parsed,
    pieces: &[Piece<Field>],
    nodes: &'a [NodeView],
    partitions: &'a [PartitionView],
) -> Vec<Row<'a>> {
    let fields: Vec<Field> = pieces
        .iter()
        .filter_map(|piece| match piece {
            Piece::Field(column) => Some(column.field),
            Piece::Text(_) => None,
        })
        .collect();
    let by_partition = fields.iter().any(|field| {
        matches!(field, Field::Partition | Field::PartitionName | Field::Avail | Field::Limit | Field::DefaultLimit)
    });
    let mut groups: BTreeMap<(usize, Vec<String>), Row> = BTreeMap::new();
    let homes: Vec<Option<&PartitionView>> =
        if by_partition { partitions.iter().map(Some).collect() } else { vec![None] };
    for (number, home) in homes.into_iter().enumerate() {
        let mut here =
            nodes.iter().filter(|node| home.is_none_or(|home| node.partitions.contains(&home.name))).peekable();
        // A partition without nodes still has its row, as in Slurm.
        if here.peek().is_none()
            && home.is_some()
            && parsed.value("states").is_none()
            && parsed.value("nodes").is_none()
        {
            groups.insert((number, Vec::new()), Row { partition: home, nodes: Vec::new() });
        }
        for node in here {
            let alone = Row { partition: home, nodes: vec![node] };
            let mut key: Vec<String> = vec![rank(node, &fields).to_string()];
            key.extend(fields.iter().filter(|field| is_key(**field)).map(|field| value(*field, &alone)));
            if parsed.has("Node") {
                key.insert(0, padded(&node.name));
            }
            groups.entry((number, key)).or_insert_with(|| Row { partition: home, nodes: Vec::new() }).nodes.push(node);
        }
    }
    let mut rows: Vec<((usize, Vec<String>), Row)> = groups.into_iter().collect();
    if parsed.has("Node") {
        rows.sort_by(|((a, x), _), ((b, y), _)| (&x[..1], a).cmp(&(&y[..1], b)));
    }
    rows.into_iter().map(|(_, row)| row).collect()
}

/// A name whose numbers sort as numbers.
fn padded(name: &str) -> String {
    let at = name.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    format!("{}{:0>12}", &name[..at], &name[at..])
}

/// Slurm lists what needs attention first.
fn rank(node: &NodeView, fields: &[Field]) -> u8 {
    if !fields.iter().any(|field| matches!(field, Field::State | Field::StateLong)) {
        return 0;
    }
    match node.state.as_str() {
        "DRAINING" => 0,
        "DRAINED" => 1,
        "MIXED" => 2,
        "ALLOCATED" => 3,
        "IDLE" => 4,
        _ => 5,
    }
}

fn is_key(field: Field) -> bool {
    !matches!(
        field,
        Field::Nodes
            | Field::NodeList
            | Field::CpuStates
            | Field::NodeStates
            | Field::NodeCounts
            | Field::AllocMem
            | Field::FreeMem
            | Field::GresUsed
    )
}

/// A node's state without its drain.
pub fn base_state(node: &NodeView) -> &'static str {
    match node.state.as_str() {
        "DRAINED" | "IDLE" | "RESERVED" => "IDLE",
        "ALLOCATED" => "ALLOCATED",
        "DOWN" => "DOWN",
        _ if node.cpus_busy >= node.cpus && node.cpus > 0 => "ALLOCATED",
        _ => "MIXED",
    }
}

/// `gpu:h200:8`.
pub fn gres(node: &NodeView) -> String {
    if node.gpus == 0 {
        return "(null)".to_owned();
    }
    let model = node.gpu_model.as_ref().map_or(String::new(), |model| format!("{model}:"));
    let shards = match node.gpu_shards {
        0 => String::new(),
        shards => format!(",shard:{model}{}", shards * node.gpus),
    };
    format!("gpu:{model}{}{shards}", node.gpus)
}

/// `gpu:h200:4(IDX:0-3)`.
pub fn gres_used(node: &NodeView) -> String {
    if node.gpus == 0 {
        return "gpu:0".to_owned();
    }
    let model = node.gpu_model.as_ref().map_or(String::new(), |model| format!("{model}:"));
    let held: Vec<u32> = (0..32).filter(|device| node.gpus_busy_mask & (1 << device) != 0).collect();
    let list = if held.is_empty() { "N/A".to_owned() } else { json::ranges(&held) };
    format!("gpu:{model}{}(IDX:{list})", held.len())
}

fn null(text: &str) -> String {
    if text.is_empty() { "(null)".to_owned() } else { text.to_owned() }
}

fn out_of_service(node: &NodeView) -> bool {
    node.state == "DRAINED" || node.state == "DOWN"
}

/// A field's text.
fn value(field: Field, row: &Row) -> String {
    let first = row.nodes.first();
    let sum = |count: &dyn Fn(&NodeView) -> u64| row.nodes.iter().map(|node| count(node)).sum::<u64>();
    let partition = |text: &dyn Fn(&PartitionView) -> String| row.partition.map(text).unwrap_or_default();
    match field {
        Field::Partition => partition(&|one| format!("{}{}", one.name, if one.is_default { "*" } else { "" })),
        Field::PartitionName => partition(&|one| one.name.clone()),
        Field::Avail => "up".to_owned(),
        Field::Limit => partition(&|one| short_length(one.max_limit_secs)),
        Field::DefaultLimit => partition(&|one| short_length(one.default_limit_secs)),
        Field::Nodes => row.nodes.len().to_string(),
        Field::State => first.map_or("n/a", |node| short_state(node)).to_owned(),
        Field::StateLong => first.map_or("n/a".to_owned(), |node| node.state.to_lowercase()),
        Field::NodeList => hostlist::compress(&row.nodes.iter().map(|node| node.name.clone()).collect::<Vec<_>>()),
        Field::Gres => first.map_or("(null)".to_owned(), |node| gres(node)),
        Field::GresUsed => first.map_or("gpu:0".to_owned(), |node| gres_used(node)),
        Field::CpuStates => {
            let busy = sum(&|node| node.cpus_busy.into());
            let total = sum(&|node| node.cpus.into());
            let out = sum(&|node| if out_of_service(node) { (node.cpus - node.cpus_busy).into() } else { 0 });
            format!("{busy}/{}/{out}/{total}", total.saturating_sub(busy + out))
        }
        Field::NodeStates | Field::NodeCounts => {
            let out = sum(&|node| out_of_service(node).into());
            let idle = sum(&|node| (node.state == "IDLE").into());
            let total = u64::try_from(row.nodes.len()).unwrap_or(u64::MAX);
            let busy = total - out - idle;
            if field == Field::NodeStates { format!("{busy}/{idle}") } else { format!("{busy}/{idle}/{out}/{total}") }
        }
        Field::Cpus => first.map_or(0, |node| node.cpus).to_string(),
        Field::Memory => first.map_or(0, |node| node.memory_mib).to_string(),
        Field::AllocMem => first.map_or(0, |node| node.memory_busy_mib).to_string(),
        Field::FreeMem => first.map_or(0, |node| node.memory_mib.saturating_sub(node.memory_busy_mib)).to_string(),
        Field::Features => null(&first.map_or(String::new(), |node| node.features.join(","))),
        Field::Reason => {
            first.filter(|node| !node.reason.is_empty()).map_or("none".to_owned(), |node| node.reason.clone())
        }
        Field::Zero => "0".to_owned(),
        Field::One => "1".to_owned(),
        Field::Sct => format!("1:{}:1", first.map_or(0, |node| node.cpus)),
        Field::JobSize => "1-infinite".to_owned(),
        Field::No => "no".to_owned(),
        Field::NoShare => "NO".to_owned(),
        Field::All => "all".to_owned(),
        Field::Unknown => "Unknown".to_owned(),
    }
}

fn short_state(node: &NodeView) -> &'static str {
    match node.state.as_str() {
        "IDLE" => "idle",
        "MIXED" => "mix",
        "ALLOCATED" => "alloc",
        "DRAINING" => "drng",
        "DRAINED" => "drain",
        "DOWN" => "down",
        "RESERVED" => "resv",
        _ => "unk",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, state: &str, busy: u32) -> NodeView {
        let text = format!(
            r#"{{"name":"{name}","site":"s","island":"i","rack":0,"partitions":["gpu"],"state":"{state}","gpu_model":null,
            "gpus":8,"gpus_busy_mask":{},"cpus":32,"cpus_busy":{busy},"memory_mib":256000,"memory_busy_mib":0,
            "features":[],"pretend":false,"modelled":false,"jobs":[]}}"#,
            if busy > 0 { 5 } else { 0 }
        );
        serde_json::from_str(&text).expect("a node")
    }

    fn check(args: &[&str], want: &str) {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let parsed = parse(TABLE, SBATCH, &args, Operands::Mix).expect("sound");
        let mut nodes =
            vec![node("n1", "MIXED", 6), node("n2", "IDLE", 0), node("n10", "IDLE", 0), node("n4", "DRAINED", 0)];
        let gpu = r#"{"name":"gpu","is_default":true,"sites":[],"max_limit_secs":604800,"default_limit_secs":3600,
            "nodes":4,"gpus":32,"cpus":128}"#;
        let mut partitions: Vec<PartitionView> = vec![serde_json::from_str(gpu).expect("a partition")];
        select(&parsed, &mut nodes, &mut partitions).expect("sound");
        let pieces = pieces(&parsed).expect("sound");
        let rows = rows(&parsed, &pieces, &nodes, &partitions);
        assert_eq!(format::table(&pieces, !parsed.has("noheader"), &rows, value), want, "{args:?}");
    }

    #[test]
    fn tables_are_slurms() {
        check(
            &[],
            "PARTITION AVAIL  TIMELIMIT  NODES  STATE NODELIST\n\
             gpu*         up 7-00:00:00      1  drain n4\n\
             gpu*         up 7-00:00:00      1    mix n1\n\
             gpu*         up 7-00:00:00      2   idle n[2,10]\n",
        );
        check(
            &["-s"],
            "PARTITION AVAIL  TIMELIMIT   NODES(A/I/O/T) NODELIST\n\
             gpu*         up 7-00:00:00          1/2/1/4 n[1-2,4,10]\n",
        );
        check(
            &["-N"],
            "NODELIST   NODES PARTITION STATE \n\
             n1             1      gpu* mix   \n\
             n2             1      gpu* idle  \n\
             n4             1      gpu* drain \n\
             n10            1      gpu* idle  \n",
        );
        check(&["-h", "-o", "%P|%D|%C|%G"], "gpu*|4|6/90/32/128|gpu:8\n");
        check(&["-h", "-t", "idle,drain", "-o", "%t %D"], "drain 1\nidle 2\n");
    }
}
