//! Trials: how fast jobs go through the very centre with its full policy, in virtual time.
use super::figures::Figures;
use super::table::{Row, aim, number};
use super::{Bench, rows_of};
use anyhow::{Context, Result, bail};

/// Philly's jobs, in the folder of the traces, and the nodes of 8 GPUs they are tried on.
const PHILLY: (&str, &str) = ("philly/philly_jobs_2017-09-04_2017-11-07.csv.gz", "72");

/// The group's rows.
pub fn measure(bench: &Bench) -> Vec<Row> {
    let mut rows = rows_of("Philly through the centre", || philly(bench));
    rows.extend(rows_of("a national month through the centre", || national(bench)));
    rows.extend(rows_of("an array and single jobs", || arrays(bench)));
    rows
}

/// An array's tasks against as many single jobs: what they cost when submitted, and from there to their end.
fn arrays(bench: &Bench) -> Result<Vec<Row>> {
    let tasks = bench.amount(100_000).to_string();
    let row = |mode: &str, name: &str| {
        let text = bench.example("arrays", &[mode, &tasks])?;
        let figures = Figures::all(&text, "arrays").next().context("the example printed no figures")?;
        let of = |name: &str| number(figures.number(name));
        let count = figures.number("tasks");
        let measure =
            format!("{name}, 1 GPU each on 18,000 GPUs, submitted until no more can start; then to their end");
        let ours = format!(
            "{:.1} µs, {} B of journal and {} B of memory each, {} steps; then {}/s; {} MiB",
            figures.number("submit_ms") * 1e3 / count,
            number(figures.number("journal_bytes") / count),
            number(figures.number("kib") * 1024.0 / count),
            of("submit_steps"),
            number(count * 1e3 / figures.number("rest_ms").max(0.001)),
            of("peak_mib"),
        );
        anyhow::Ok(Row::new(measure, ours, ""))
    };
    let count = number(bench.amount(100_000) as f64);
    Ok(vec![row("array", &format!("one array of {count} tasks"))?, row("single", &format!("{count} jobs"))?])
}

fn philly(bench: &Bench) -> Result<Vec<Row>> {
    let (file, nodes) = PHILLY;
    let path = bench.traces.join(file);
    if !path.is_file() {
        bail!("no {file} in the folder of the traces, which --traces names");
    }
    let text = bench.example("trial", &[&path.to_string_lossy(), nodes, "madang"])?;
    let figures = Figures::all(&text, "trial").next().context("the example printed no figures")?;
    let (jobs, per_sec) = (figures.number("jobs"), figures.number("per_sec"));
    let measure = format!("Philly, {} jobs on {nodes} nodes of 8 GPUs, jobs a second, one core", number(jobs));
    Ok(vec![Row::new(measure, format!("{}/s", number(per_sec)), aim("> 100,000/s", per_sec > 1e5))])
}

fn national(bench: &Bench) -> Result<Vec<Row>> {
    let days = if bench.quick { "3" } else { "30" };
    let text = bench.example("year", &[days])?;
    let figures = Figures::all(&text, "year").next().context("the example printed no figures")?;
    let (jobs, per_sec, mib) = (figures.number("jobs"), figures.number("per_sec"), figures.number("mib"));
    let ours = format!("{}/s; {:.1} s; {mib} MiB", number(per_sec), figures.number("secs"));
    // A year of 3.9 million jobs in a minute.
    let aim = aim("> 65,000/s, < 1 GiB", per_sec > 65e3 && mib < 1024.0);
    let measure =
        format!("{days} days of the 18,000-GPU centre at 85%, {} jobs, jobs a second, one core", number(jobs));
    Ok(vec![Row::new(measure, ours, aim)])
}
