//! The laboratory: how fast published logs are replayed, beside engines that replay them too.
use super::figures::Figures;
use super::table::{Row, aim, number};
use super::{Bench, accasim, rows_of};
use anyhow::{Context, Result, bail};

/// A log, its processors, the aim in jobs a second, and what the published engine did with it on a machine like this.
struct Published {
    name: &'static str,
    processors: &'static str,
    aim: f64,
    pyss: &'static str,
}

const LOGS: [Published; 2] = [
    Published { name: "KTH-SP2", processors: "100", aim: 1e6, pyss: "10,000/s" },
    Published { name: "CEA-Curie", processors: "80640", aim: 1e5, pyss: "993/s" },
];

/// The group's rows.
pub fn measure(bench: &Bench) -> Vec<Row> {
    LOGS.iter().flat_map(|log| rows_of(&format!("EASY on {}", log.name), || easy(bench, log))).collect()
}

fn easy(bench: &Bench, log: &Published) -> Result<Vec<Row>> {
    let file = format!("swf-easy-sc15/{}_easy.swf.gz", log.name);
    let path = bench.traces.join(&file);
    if !path.is_file() {
        bail!("no {file} in the folder of the traces, which --traces names");
    }
    // AccaSim takes one node for each processor; on a machine of 80,640 it would not end today.
    let accasim = match log.processors.parse::<u64>() {
        Ok(processors) if processors <= 1000 && bench.peers => accasim::measure(bench, &path, processors),
        _ => String::new(),
    };
    let text = bench.example("easy", &[&path.to_string_lossy(), log.processors])?;
    let figures = Figures::all(&text, "easy").next().context("the example printed no figures")?;
    let (per_sec, mib) = (figures.number("per_sec"), figures.number("mib"));
    let ours = format!(
        "{}/s ({} to {}); with reading the log {}/s; {mib} MiB",
        number(per_sec),
        number(figures.number("low")),
        number(figures.number("high")),
        number(figures.number("read_per_sec"))
    );
    let met = per_sec > log.aim && mib < 1024.0;
    let beside = [
        accasim,
        format!("pyss {}, recorded elsewhere", log.pyss),
        aim(&format!("> {}/s, < 1 GiB", number(log.aim)), met),
    ];
    let beside: Vec<String> = beside.into_iter().filter(|text| !text.is_empty()).collect();
    let measure =
        format!("EASY on {}, {} jobs, simulated jobs a second, one core", log.name, number(figures.number("jobs")));
    Ok(vec![Row::new(measure, ours, beside.join("; "))])
}
