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
    let mut rows: Vec<Row> =
        LOGS.iter().flat_map(|log| rows_of(&format!("EASY on {}", log.name), || easy(bench, log))).collect();
    rows.extend(rows_of("openb's lists on shared GPUs", || openb(bench)));
    rows
}

/// A run of each pod list under a policy: the middle list's time, and the longest.
fn openb(bench: &Bench) -> Result<Vec<Row>> {
    const FOLDER: &str = "openb-2023";
    let folder = bench.traces.join(FOLDER);
    if !folder.is_dir() {
        bail!("no {FOLDER} in the folder of the traces, which --traces names");
    }
    let text = bench.example("placement", &[&folder.to_string_lossy(), "time"])?;
    let row = |policy: &str| {
        let lists = Figures::all(&text, "openb").filter(|figures| figures.word("policy") == Some(policy));
        let mut lists: Vec<(f64, &str)> =
            lists.map(|figures| (figures.number("ms") / 1e3, figures.word("list").unwrap_or("?"))).collect();
        lists.sort_by(|one, other| one.0.total_cmp(&other.0));
        let (Some((longest, name)), count) = (lists.last(), lists.len()) else {
            bail!("the example printed no figures")
        };
        let measure = format!("openb, {count} pod lists on 6,212 shared GPUs at 130%, one run under {policy}");
        let ours = format!("{:.2} s; longest {longest:.2} s ({name})", lists[count / 2].0);
        Ok(Row::new(measure, ours, aim("< 0.3 s", *longest < 0.3)))
    };
    ["fgd", "worth"].into_iter().map(row).collect()
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
