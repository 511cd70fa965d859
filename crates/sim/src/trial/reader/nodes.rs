//! Node lists of public clusters as machines: equal nodes of one GPU model are one fabric.
use super::super::machine::{Fabric, Machine};
use super::super::table::{self, Row, Table};
use super::{Kind, Wrong, kind, unpacked};

/// The header of openb's nodes.
pub const OPENB: &str = "sn,cpu_milli,memory_mib,gpu,model";
/// The header of the spot fleet's nodes.
pub const SPOT: &str = "gpu_model,gpu_capacity_num,cpu_num,node_name";

/// Reads a file as a machine; nodes without GPUs are left out.
pub fn machine(name: &str, bytes: &[u8]) -> Result<Machine, Wrong> {
    let text = unpacked(name, bytes)?;
    let wrong = |fact: String, hint| Wrong { name: name.into(), fact, hint };
    let (title, header, model, gpus, cpus) = match kind(name, &text)? {
        Kind::OpenbNodes => ("Alibaba openb 2023", OPENB, "model", "gpu", "cpu_milli"),
        Kind::SpotNodes => ("Alibaba spot fleet 2026", SPOT, "gpu_model", "gpu_capacity_num", "cpu_num"),
        _ => return Err(wrong("jobs, not a list of nodes".into(), "give it as the workload")),
    };
    let fabrics = fabrics(&text, header, [model, gpus, cpus]).map_err(|error| wrong(error.to_string(), ""))?;
    if fabrics.is_empty() {
        return Err(wrong("no node in it has a GPU".into(), ""));
    }
    Ok(Machine::fabrics(title, fabrics))
}

/// Fabrics by (model, GPUs, CPUs), the largest first.
fn fabrics(text: &str, header: &str, columns: [&str; 3]) -> Result<Vec<Fabric>, table::Wrong> {
    let [model, gpus, cpus] = columns;
    let mut fabrics: Vec<Fabric> = Vec::new();
    let number = |row: &Row, column: &str, most: u32| -> Result<u32, table::Wrong> {
        let number: u32 = row.number(column)?;
        if number <= most { Ok(number) } else { Err(row.wrong(column, &format!("at most {most}"))) }
    };
    for row in Table::read(text, header)?.rows() {
        let count = number(&row, gpus, 64)?;
        let milli = if cpus == "cpu_milli" { 1000 } else { 1 };
        let cores = (number(&row, cpus, 10_000_000)? / milli).max(count);
        let named = row.text(model)?;
        if count == 0 {
            continue;
        }
        let name = format!("{named} {count}x {cores} CPUs");
        match fabrics.iter_mut().find(|fabric| fabric.name == name) {
            Some(fabric) => fabric.nodes += 1,
            None => fabrics.push(Fabric { name, nodes: 1, gpus: count, cpus: cores, memory_mib: 0 }),
        }
    }
    fabrics.sort_by(|a, b| (b.nodes * b.gpus, &a.name).cmp(&(a.nodes * a.gpus, &b.name)));
    Ok(fabrics)
}
