//! Which machine a workload meets, and where the workload comes from.
use super::estate::Source;
use super::{Simulate, read};
use crate::fail::{Fail, USAGE};
use madang_sim::report::Case;
use madang_sim::trial::generate::hostile::Attack;
use madang_sim::trial::generate::{self, Amount, Order};
use madang_sim::trial::{Beside, Job, Machine, Workload, past, philly, reader};
use std::io::Read as _;
use std::path::Path;

/// Load where none is asked for, in per cent.
const LOAD: u32 = 85;
/// Nodes of a machine that generated work meets where none is named.
const NODES: u32 = 64;

/// A reader's complaint.
pub fn wrong(wrong: reader::Wrong) -> Fail {
    let fail = Fail::new(wrong.to_string());
    if wrong.hint.is_empty() { fail } else { fail.hint(wrong.hint) }
}

/// The workload of a seed and the machine that it meets.
pub fn case(simulate: &Simulate, source: &Source, seed: u64) -> Result<Case, Fail> {
    let named = match (&simulate.centre, &simulate.machine, simulate.nodes) {
        (Some(path), ..) => Some(of_centre(path)?),
        (None, Some(path), _) => Some(listed(path)?),
        (None, None, Some(nodes)) => Some(Machine::plain(nodes, simulate.gpus_per_node)),
        (None, None, None) => None,
    };
    let (mut workload, machine) = match source {
        Source::File(bytes) => {
            let workload = reader::read(&simulate.input, bytes, &simulate.reading(seed)).map_err(wrong)?;
            let machine = match (named, simulate.nodes) {
                (_, Some(nodes)) => Machine::plain_for(nodes, simulate.gpus_per_node, &workload),
                (Some(machine), None) => machine,
                (None, None) => sized(simulate, &workload),
            };
            (workload, machine)
        }
        Source::Past(past) => {
            let workload = past::workload(&simulate.input, &past.founding, &past.owners, &past.jobs);
            if workload.jobs.is_empty() {
                return Err(Fail::new(format!("{}: no job of it has run and ended", simulate.input)));
            }
            let machine = match (named, simulate.nodes) {
                (_, Some(nodes)) => Machine::plain_for(nodes, simulate.gpus_per_node, &workload),
                (Some(machine), None) => machine,
                (None, None) => past::machine(&past.founding),
            };
            (workload, machine)
        }
        Source::Recipe(name) => {
            let machine = named.unwrap_or_else(|| Machine::plain(NODES, simulate.gpus_per_node));
            (generated(simulate, name, &machine, seed)?, machine)
        }
    };
    if let Some(path) = &simulate.owners {
        let name = path.display();
        let text = unpacked(path)?;
        philly::weigh(&mut workload, &text).map_err(|wrong| Fail::new(format!("{name}: {wrong}")))?;
    }
    Ok(Case { seed, workload, machine })
}

fn generated(simulate: &Simulate, name: &str, machine: &Machine, seed: u64) -> Result<Workload, Fail> {
    let load_percent = simulate.load.unwrap_or(LOAD);
    let order = Order { seed, amount: Amount::Days(simulate.days), machine, load_percent };
    let refused = |refused: generate::Refused| Fail::new(refused.to_string());
    if let Some(attack) = Attack::named(name) {
        return attack.generate(&order).map(|hostile| hostile.workload).map_err(refused);
    }
    let Some(recipe) = generate::named(name) else {
        let recipes = generate::recipes();
        let attacks = Attack::ALL.iter().map(|attack| attack.name().to_string());
        let known: Vec<String> = recipes.iter().map(|recipe| recipe.name.to_string()).chain(attacks).collect();
        return Err(Fail::new(format!("no recipe is called {name}"))
            .hint(format!("known are {}", known.join(", ")))
            .exit(USAGE));
    };
    generate::generate(&recipe, &order).map_err(refused)
}

/// The machine on which a trace asks for so much of the GPU time that there is while jobs are submitted, and for no more
/// of the CPUs and memory where it tells them; it holds the largest gang.
fn sized(simulate: &Simulate, workload: &Workload) -> Machine {
    let each = workload.jobs.iter().map(|job| job.gpus).max().unwrap_or(1).max(simulate.gpus_per_node);
    let one = Machine::plain_for(1, each, workload);
    let room = one.room(&one.fabrics[0], 0);
    let first = workload.jobs.first().map_or(0, |job| job.submit.millis());
    let last = workload.jobs.last().map_or(0, |job| job.submit.millis());
    let load = u128::from(simulate.load.unwrap_or(LOAD));
    let time = u128::from((last - first).max(1)) * load;
    let nodes = |ask: &dyn Fn(&Job) -> u128, has: u128, parts: u128| {
        let asked: u128 = workload.jobs.iter().map(|job| ask(job) * u128::from(job.runtime.millis())).sum();
        // What is asked is rounded down to whole units first: a trace without parts gets the machine it always got.
        (asked * 100 / (time * parts)).div_ceil(has.max(1))
    };
    let beside = |job: &Job, of: fn(Beside) -> u32| u128::from(job.nodes) * u128::from(job.beside.map_or(0, of));
    let wanted = [
        nodes(&|job| u128::from(job.milli()), u128::from(each), 1000),
        nodes(&|job| beside(job, |beside| beside.cpu_milli), u128::from(room.cpu_milli), 1),
        nodes(&|job| beside(job, |beside| beside.memory_mib), u128::from(room.memory_mib), 1),
    ];
    let widest = workload.jobs.iter().map(|job| job.nodes).max().unwrap_or(1);
    let nodes = u32::try_from(wanted.into_iter().max().unwrap_or(1)).unwrap_or(200_000).clamp(1, 200_000);
    Machine::plain_for(nodes.max(widest), each, workload)
}

/// The machine of a public list of nodes.
fn listed(path: &Path) -> Result<Machine, Fail> {
    reader::machine(&path.display().to_string(), &read(path)?).map_err(wrong)
}

fn of_centre(path: &Path) -> Result<Machine, Fail> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| Fail::new(format!("failed to read {name}: {error}")))?;
    // A site of this machine has real processes and takes no part in a trial, so what stands here does not matter.
    let here = madang_charter::Machine {
        host: "here".into(),
        cpus: 1,
        memory_mib: 1024,
        gpus: Vec::new(),
        numa: Vec::new(),
        pretend: false,
        pretend_nodes: 1,
    };
    let founding = madang_charter::load(&text, &name, &here).map_err(|problems| {
        Fail::new(problems.to_string().trim_end().to_owned())
            .hint(format!("mend the file; madang check {name} says more"))
    })?;
    let machine = Machine::of(&founding);
    if machine.gpus() == 0 {
        return Err(Fail::new(format!("{name}: no modelled site has GPUs")).hint("a site with engine = \"model\""));
    }
    Ok(machine)
}

/// The text of a file, packed with gzip or not.
fn unpacked(path: &Path) -> Result<String, Fail> {
    let bytes = read(path)?;
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(String::from_utf8_lossy(&bytes).into_owned());
    }
    let mut text = String::new();
    let damaged = |error| Fail::new(format!("{}: the gzip data is damaged: {error}", path.display()));
    flate2::read::MultiGzDecoder::new(bytes.as_slice()).read_to_string(&mut text).map_err(damaged)?;
    Ok(text)
}
