//! What a submission asks for: options of a script, of variables and of the command line, folded in that order, so that
//! a later one wins.
//!
//! Invariant: an option is taken, named as ignored, or refused; [`Asked::take`] knows no fourth way.
use super::options::{Does, Given, SBATCH};
use super::values::{self, Gpus, Waits};
use super::{jobtable, options, topology};
use crate::time::{self, Limit};
use madang_api::{DataSpec, QosName, TopologySpec, WarnSpec};
use std::collections::BTreeMap;

/// Where an option came from, the weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A directive of the script.
    Script,
    /// A variable of the environment.
    Variable,
    /// The command line.
    Line,
}

/// Memory, by what it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// MiB on each node; 0 is all.
    Node(u64),
    /// MiB for each CPU.
    Cpu(u64),
    /// MiB for each GPU.
    Gpu(u64),
}

/// What one part asks for.
#[derive(Clone, Debug, Default)]
pub struct PartAsk {
    /// Least and most nodes.
    pub nodes: Option<(u32, u32)>,
    /// Tasks in all.
    pub ntasks: Option<u32>,
    /// Tasks on each node.
    pub ntasks_per_node: Option<u32>,
    /// Tasks for each GPU.
    pub ntasks_per_gpu: Option<u32>,
    /// CPUs for each task.
    pub cpus_per_task: Option<u32>,
    /// Least CPUs on each node.
    pub mincpus: Option<u32>,
    /// `--gres` or `--gpus-per-node`.
    pub gpus_per_node: Option<Gpus>,
    /// `--gpus`.
    pub gpus: Option<Gpus>,
    /// `--gpus-per-task`.
    pub gpus_per_task: Option<Gpus>,
    /// `--cpus-per-gpu`.
    pub cpus_per_gpu: Option<u32>,
    /// Memory, and where that was said.
    pub memory: Option<(Source, Memory)>,
    /// `--model`: GPU models of which one will do, with bars between.
    pub model: Option<String>,
    /// Each node may have another of the models.
    pub mixed: bool,
    /// Whole nodes.
    pub exclusive: bool,
    /// Features.
    pub features: Vec<String>,
    /// Nodes to include.
    pub nodelist: Vec<String>,
    /// Nodes to avoid.
    pub exclude: Vec<String>,
    /// One CPU for all tasks of a node.
    pub overcommit: bool,
}

/// What the whole job asks for.
#[derive(Clone, Debug, Default)]
pub struct JobAsk {
    /// Name.
    pub name: Option<String>,
    /// Project.
    pub account: Option<String>,
    /// Partitions: it goes wherever it can start first.
    pub partitions: Vec<String>,
    /// Sites: names, `any`, `-name`.
    pub sites: Vec<String>,
    /// Where its data are.
    pub data: Vec<DataSpec>,
    /// Urgency.
    pub qos: Option<QosName>,
    /// How close together its nodes are to stand.
    pub topology: TopologySpec,
    /// Free text.
    pub comment: Option<String>,
    /// Reservation.
    pub reservation: Option<String>,
    /// Nice.
    pub nice: Option<i32>,
    /// Held.
    pub hold: bool,
    /// Not before.
    pub begin_ms: Option<u64>,
    /// Waits.
    pub waits: Waits,
    /// Cancel on a wait that can never be met.
    pub kill_on_invalid: bool,
    /// Limit.
    pub limit: Option<Limit>,
    /// The shortest limit that it takes, in seconds.
    pub limit_min: Option<u64>,
    /// When it must have ended.
    pub deadline_ms: Option<u64>,
    /// How often it writes a checkpoint, in seconds.
    pub checkpoint: Option<u64>,
    /// Signal before the limit.
    pub signal: Option<WarnSpec>,
    /// Output pattern.
    pub output: Option<String>,
    /// Error pattern.
    pub error: Option<String>,
    /// Input file.
    pub input: Option<String>,
    /// Append to outputs.
    pub append: Option<bool>,
    /// Working folder.
    pub chdir: Option<String>,
    /// `--export`.
    pub export: Option<String>,
    /// Array.
    pub array: Option<String>,
    /// Grows and shrinks at its checkpoints: what starting again costs, in seconds.
    pub elastic: Option<u64>,
    /// Requeue after a lost node.
    pub requeue: Option<bool>,
    /// `--wrap`.
    pub wrap: Option<String>,
    /// Options that change how the command behaves, by name, with their values.
    pub flags: BTreeMap<&'static str, String>,
}

/// All that is asked for.
#[derive(Clone, Debug)]
pub struct Asked {
    /// For the job.
    pub job: JobAsk,
    /// For each part.
    pub parts: Vec<PartAsk>,
    /// Hints that are ignored, in order, each once.
    pub ignored: Vec<&'static str>,
    /// What a person should know: `using 2 of 2-4 nodes`.
    pub notes: Vec<String>,
    /// The present, for `now+1hour`.
    now_ms: u64,
    /// What the first part said of the whole job, as text.
    said: BTreeMap<&'static str, String>,
}

impl Asked {
    /// Nothing yet.
    pub fn new(now_ms: u64) -> Asked {
        Asked {
            job: JobAsk::default(),
            parts: vec![PartAsk::default()],
            ignored: Vec::new(),
            notes: Vec::new(),
            now_ms,
            said: BTreeMap::new(),
        }
    }

    /// Takes options of part `part`, all from one source.
    pub fn take_all(&mut self, part: usize, source: Source, on: u8, given: &[Given]) -> Result<(), String> {
        while self.parts.len() <= part {
            self.parts.push(PartAsk::default());
        }
        given.iter().try_for_each(|given| self.take(part, source, on, given))
    }

    /// Takes one option.
    fn take(&mut self, part: usize, source: Source, on: u8, given: &Given) -> Result<(), String> {
        let opt = jobtable::TABLE.iter().find(|opt| opt.name == given.name && opt.on & on != 0);
        match opt.map(|opt| opt.does) {
            Some(Does::Refused(why)) => {
                let value = given.value.as_deref().map_or(String::new(), |value| format!("={value}"));
                return Err(format!("--{}{value} is not supported: {why}", given.name));
            }
            Some(Does::Hint) => {
                if !self.ignored.contains(&given.name) {
                    self.ignored.push(given.name);
                }
                return Ok(());
            }
            _ => {}
        }
        if self.take_part(part, source, given)? {
            return Ok(());
        }
        if part > 0 && self.said.get(given.name).map(String::as_str) != Some(given.text()) {
            return Err(format!("--{} must be the same for all parts of a heterogeneous job", given.name));
        }
        self.said.insert(given.name, given.text().to_owned());
        if !self.take_job(given)? {
            self.job.flags.insert(given.name, given.text().to_owned());
        }
        Ok(())
    }

    /// Takes an option of one part; false if it is none.
    fn take_part(&mut self, part: usize, source: Source, given: &Given) -> Result<bool, String> {
        let (name, text) = (given.name, given.text());
        let ask = &mut self.parts[part];
        match name {
            "nodes" => ask.nodes = Some(values::nodes(text)?),
            "ntasks" => ask.ntasks = Some(values::count(name, text)?),
            "ntasks-per-node" => ask.ntasks_per_node = Some(values::count(name, text)?),
            "ntasks-per-gpu" => ask.ntasks_per_gpu = Some(values::count(name, text)?),
            "cpus-per-task" => ask.cpus_per_task = Some(values::count(name, text)?),
            "mincpus" => ask.mincpus = Some(values::count(name, text)?),
            "gres" => ask.gpus_per_node = values::gres(text)?,
            "gpus-per-node" => ask.gpus_per_node = Some(values::gpus(name, text)?),
            "gpus" => ask.gpus = Some(values::gpus(name, text)?),
            "gpus-per-task" => ask.gpus_per_task = Some(values::gpus(name, text)?),
            "cpus-per-gpu" => ask.cpus_per_gpu = Some(values::count(name, text)?),
            "model" => ask.model = Some(values::models(text)?),
            "mixed" => ask.mixed = true,
            "mem" => ask.memory(source, Memory::Node(values::memory(name, text)?))?,
            "mem-per-cpu" => ask.memory(source, Memory::Cpu(values::memory(name, text)?))?,
            "mem-per-gpu" => ask.memory(source, Memory::Gpu(values::memory(name, text)?))?,
            "constraint" => ask.features = values::features(text)?,
            "nodelist" => ask.nodelist = hosts(name, text)?,
            "nodefile" => ask.nodelist = node_file(text)?,
            "exclude" => ask.exclude = hosts(name, text)?,
            "overcommit" => ask.overcommit = true,
            "exclusive" => {
                match text {
                    "" => {}
                    "user" | "mcs" => {
                        self.notes.push(format!("--exclusive={text} holds whole nodes, for this job alone"))
                    }
                    _ => return Err(values::invalid(name, text)),
                }
                ask.exclusive = true;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Takes an option of the whole job; false if it says how the command behaves.
    fn take_job(&mut self, given: &Given) -> Result<bool, String> {
        let (name, text) = (given.name, given.text());
        let (job, own) = (&mut self.job, || Some(text.to_owned()));
        match name {
            "job-name" => job.name = own(),
            "account" => job.account = own(),
            "partition" => job.partitions = text.split(',').map(str::to_owned).collect(),
            "sites" => job.sites = values::sites(name, text)?,
            "clusters" if text == "all" => job.sites = vec!["any".to_owned()],
            "clusters" => job.sites = values::sites(name, text)?,
            "data-at" => job.data = values::data_at(text)?,
            "qos" => job.qos = Some(qos(text)?),
            "topology" | "segment" | "spares" | "switches" => {
                self.notes.extend(topology::take(&mut job.topology, name, text)?);
            }
            "comment" => job.comment = own(),
            "reservation" => job.reservation = own(),
            "nice" => job.nice = Some(nice(text)?),
            "hold" => job.hold = true,
            "begin" | "deadline" => {
                let moment = Some(time::moment(text, self.now_ms).ok_or_else(|| values::invalid(name, text))?);
                if name == "begin" { job.begin_ms = moment } else { job.deadline_ms = moment }
            }
            "time-min" => job.limit_min = Some(secs(name, text)?),
            "checkpoint" => job.checkpoint = Some(secs(name, text)?),
            "dependency" => job.waits = values::waits(text)?,
            "kill-on-invalid-dep" => job.kill_on_invalid = yes(name, text)?,
            "time" => job.limit = Some(time::limit(text).ok_or_else(|| values::invalid(name, text))?),
            "signal" => job.signal = Some(values::warning(text)?),
            "output" => job.output = own(),
            "error" => job.error = own(),
            "input" => job.input = own(),
            "open-mode" => job.append = Some(open_mode(text)?),
            "chdir" | "workdir" => job.chdir = own(),
            "export" => job.export = own(),
            "array" => job.array = Some(values::array(text)?),
            "elastic" if text.is_empty() => job.elastic = Some(RESTART_SECS),
            "elastic" => job.elastic = Some(secs(name, text)?),
            "requeue" => job.requeue = Some(true),
            "no-requeue" => job.requeue = Some(false),
            "wrap" => job.wrap = own(),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// True if a flag was given.
    pub fn has(&self, flag: &str) -> bool {
        self.job.flags.contains_key(flag)
    }
}

impl PartAsk {
    /// Two kinds of memory from one source contradict each other; a stronger source replaces a weaker one's.
    fn memory(&mut self, source: Source, memory: Memory) -> Result<(), String> {
        if let Some((before, other)) = self.memory
            && before == source
            && std::mem::discriminant(&other) != std::mem::discriminant(&memory)
        {
            return Err("--mem, --mem-per-cpu, and --mem-per-gpu are mutually exclusive.".to_owned());
        }
        self.memory = Some((source, memory));
        Ok(())
    }
}

/// The options that stand in the environment for a command: `SBATCH_…` and so on.
pub fn variables(on: u8, prefix: &str, get: impl Fn(&str) -> Option<String>) -> Vec<Given> {
    let mine = jobtable::VARIABLES.iter().filter(|(_, _, commands)| commands & on != 0);
    let found = mine.filter_map(|(ending, name, _)| {
        let value = get(&format!("{prefix}{ending}"))?;
        let opt = jobtable::TABLE.iter().find(|opt| opt.name == *name && opt.on & on != 0)?;
        match opt.arg {
            // A switch in a variable is on unless it says no.
            options::Arg::No if ["0", "no", "false"].contains(&value.as_str()) => None,
            options::Arg::No => Some(Given { name, value: None }),
            options::Arg::Maybe if value.is_empty() => Some(Given { name, value: None }),
            _ if value.is_empty() => None,
            _ => Some(Given { name, value: Some(value) }),
        }
    });
    let own = OWN_VARIABLES.iter().filter_map(|(variable, name)| {
        let value = get(variable).filter(|value| !value.is_empty())?;
        Some(Given { name, value: Some(value) })
    });
    found.chain(own).collect()
}

/// Variables that stand for options that Slurm does not have, for every command.
const OWN_VARIABLES: [(&str, &str); 2] = [("MADANG_SITES", "sites"), ("MADANG_DATA_AT", "data-at")];

/// What starting again costs a job that does not say.
const RESTART_SECS: u64 = 300;

fn hosts(name: &str, text: &str) -> Result<Vec<String>, String> {
    madang_engine::hostlist::expand(text).map_err(|error| format!("{}: {error}", values::invalid(name, text)))
}

fn node_file(path: &str) -> Result<Vec<String>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("failed to read {path}: {error}"))?;
    let mut nodes = Vec::new();
    for word in text.split([',', '\n', ' ', '\t']).filter(|word| !word.is_empty()) {
        nodes.extend(hosts("nodefile", word)?);
    }
    Ok(nodes)
}

fn qos(text: &str) -> Result<QosName, String> {
    match text.to_ascii_lowercase().as_str() {
        "low" => Ok(QosName::Low),
        "normal" => Ok(QosName::Normal),
        "high" => Ok(QosName::High),
        _ => Err(format!("Batch job submission failed: Invalid qos specification: {text} (low, normal or high)")),
    }
}

fn nice(text: &str) -> Result<i32, String> {
    if text.is_empty() {
        return Ok(100);
    }
    let nice = text.parse::<i64>().map_err(|_| values::invalid("nice", text))?;
    // Slurm's range is wider; beyond ours the order no longer changes.
    Ok(i32::try_from(nice.clamp(-10_000, 10_000)).unwrap_or(0))
}

/// A length of time with an end.
fn secs(name: &str, text: &str) -> Result<u64, String> {
    match time::limit(text) {
        Some(Limit::Secs(secs)) => Ok(secs),
        _ => Err(values::invalid(name, text)),
    }
}

fn yes(name: &str, text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "y" => Ok(true),
        "no" | "n" => Ok(false),
        _ => Err(values::invalid(name, text)),
    }
}

fn open_mode(text: &str) -> Result<bool, String> {
    match text.as_bytes().first() {
        Some(b'a' | b'A') => Ok(true),
        Some(b't' | b'T') => Ok(false),
        _ => Err(values::invalid("open-mode", text)),
    }
}

/// Parses a command line's parts, divided by lone colons, up to the first operand.
pub fn line_parts(on: u8, args: &[String]) -> Result<(Vec<Vec<Given>>, Vec<String>), options::Misuse> {
    line_parts_of(jobtable::TABLE, on, args)
}

/// The same with another table.
pub fn line_parts_of(
    table: &[options::Opt],
    on: u8,
    args: &[String],
) -> Result<(Vec<Vec<Given>>, Vec<String>), options::Misuse> {
    let mut parts = Vec::new();
    let mut rest = args.to_vec();
    loop {
        let parsed = options::parse(table, on, &rest, options::Operands::End)?;
        parts.push(parsed.given);
        if parsed.operands.first().is_some_and(|word| word == ":") && on == SBATCH {
            rest = parsed.operands[1..].to_vec();
        } else {
            return Ok((parts, parsed.operands));
        }
    }
}
