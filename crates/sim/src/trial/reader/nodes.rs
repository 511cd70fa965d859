//! Node lists of public clusters as machines: equal nodes of one GPU model are one fabric.
use super::super::machine::{Fabric, Machine};
use super::super::table::{self, Row, Table};
use super::{Kind, Wrong, kind, unpacked};

/// The header of openb's nodes.
pub const OPENB: &str = "sn,cpu_milli,memory_mib,gpu,model";
/// The header of the spot fleet's nodes.
pub const SPOT: &str = "gpu_model,gpu_capacity_num,cpu_num,node_name";

/// Reads a file as a machine. Nodes without GPUs are fabrics of their own.
pub fn machine(name: &str, bytes: &[u8]) -> Result<Machine, Wrong> {
    let text = unpacked(name, bytes)?;
    let wrong = |fact: String, hint| Wrong { name: name.into(), fact, hint };
    let (title, header, columns) = match kind(name, &text)? {
        Kind::OpenbNodes => ("Alibaba openb 2023", OPENB, ["model", "gpu", "cpu_milli", "memory_mib"]),
        Kind::SpotNodes => ("Alibaba spot fleet 2026", SPOT, ["gpu_model", "gpu_capacity_num", "cpu_num", ""]),
        _ => return Err(wrong("jobs, not a list of nodes".into(), "give it as the workload")),
    };
    let fabrics = fabrics(&text, header, columns).map_err(|error| wrong(error.to_string(), ""))?;
    if fabrics.iter().all(|fabric| fabric.gpus == 0) {
        return Err(wrong("no node in it has a GPU".into(), ""));
    }
    Ok(Machine::fabrics(title, fabrics))
}

/// Fabrics by (model, GPUs, CPUs, memory), the largest first. The column of memory may be none, for what is usual.
fn fabrics(text: &str, header: &str, columns: [&str; 4]) -> Result<Vec<Fabric>, table::Wrong> {
    let [model, gpus, cpus, memory] = columns;
    let mut fabrics: Vec<Fabric> = Vec::new();
    let number = |row: &Row, column: &str, most: u32| -> Result<u32, table::Wrong> {
        let number: u32 = row.number(column)?;
        if number <= most { Ok(number) } else { Err(row.wrong(column, &format!("at most {most}"))) }
    };
    for row in Table::read(text, header)?.rows() {
        let count = number(&row, gpus, 64)?;
        let milli = if cpus == "cpu_milli" { 1000 } else { 1 };
        let cores = (number(&row, cpus, 10_000_000)? / milli).max(count);
        let memory_mib = if memory.is_empty() { 0 } else { u64::from(number(&row, memory, u32::MAX)?) };
        let model = if count == 0 { "no GPU".into() } else { format!("{} {count}x", row.text(model)?) };
        let beside = if memory_mib == 0 { String::new() } else { format!(" {} GiB", memory_mib / 1024) };
        let name = format!("{model} {cores} CPUs{beside}");
        match fabrics.iter_mut().find(|fabric| fabric.name == name && fabric.memory_mib == memory_mib) {
            Some(fabric) => fabric.nodes += 1,
            None => fabrics.push(Fabric { name, nodes: 1, gpus: count, cpus: cores, memory_mib }),
        }
    }
    fabrics.sort_by(|a, b| (b.nodes * b.gpus, &a.name).cmp(&(a.nodes * a.gpus, &b.name)));
    Ok(fabrics)
}
