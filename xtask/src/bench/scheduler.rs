//! The scheduler alone, from its own example: cycles, a gang as large as the estate, and how cost grows with size.
use super::figures::Figures;
use super::plot::{Panel, Point, Series, power};
use super::table::{Row, aim, number};
use super::{Bench, backfill, plot, rows_of};
use anyhow::{Context, Result, bail};

/// What others are known to need; none of it measured here.
const ELSEWHERE: &str = "recorded elsewhere: KAI 250 s to decide (4,000 GPUs), Kueue 40 admissions/s (quota only)";

/// The group's rows.
pub fn measure(bench: &Bench) -> Vec<Row> {
    let mut rows = rows_of("scheduling cycles", || cycles(bench));
    rows.extend(rows_of("growth", || growth(bench)));
    rows
}

fn ms(figures: Figures, name: &str) -> String {
    format!("{:.2} ms", figures.number(name) / 1e3)
}

fn cycles(bench: &Bench) -> Result<Vec<Row>> {
    let slurm = backfill::measure(bench);
    let text = bench.example("cycle", &[])?;
    let mut rows: Vec<Row> = Figures::all(&text, "churn").map(|figures| churn(figures, &slurm)).collect();
    rows.extend(Figures::all(&text, "gang").flat_map(gang));
    rows.extend(Figures::all(&text, "starts").map(|figures| {
        let measure = format!("one-GPU jobs started on {} empty GPUs", number(figures.number("gpus")));
        Row::new(measure, format!("{}/s", number(figures.number("per_sec"))), "")
    }));
    if rows.is_empty() {
        bail!("the scheduler's example said nothing that could be read: {text}");
    }
    Ok(rows)
}

fn churn(figures: Figures, slurm: &str) -> Row {
    let of = |name: &str| number(figures.number(name));
    let measure = format!(
        "scheduling cycle under steady churn, {} GPUs, {} jobs of {} projects waiting",
        of("gpus"),
        of("waiting"),
        of("projects")
    );
    let ours = format!(
        "p50 {}, p99 {}; all looked at anew {}; runs differ ×{}",
        ms(figures, "p50"),
        ms(figures, "p99"),
        ms(figures, "anew"),
        figures.word("spread").unwrap_or("?")
    );
    let small =
        figures.number("gpus") as u64 == backfill::GPUS && figures.number("waiting") as u64 == backfill::WAITING;
    let met = figures.number("p50") < 1e3 && figures.number("p99") < 1e4;
    Row::new(measure, ours, if small { slurm.to_owned() } else { aim("p50 < 1 ms, p99 < 10 ms", met) })
}

fn gang(figures: Figures) -> [Row; 2] {
    let of = |name: &str| number(figures.number(name));
    let size = format!("{} GPUs, {} jobs of {} projects waiting", of("gpus"), of("waiting"), of("projects"));
    let took = format!("p50 {}, longest {}", ms(figures, "p50"), ms(figures, "max"));
    let beside = format!("p50 {}, p99 {}", ms(figures, "beside_p50"), ms(figures, "beside_p99"));
    let aim = aim("< 50 ms", figures.number("max") < 5e4);
    [
        Row::new(
            format!("a gang of the whole estate: proof that it cannot start now, and its promise; {size}"),
            took,
            format!("{aim}; {ELSEWHERE}"),
        ),
        Row::new("scheduling cycle while that promise stands".to_owned(), beside, ""),
    ]
}

/// Series by the word that the example prints, and what they are.
const SERIES: [(&str, &str); 4] = [
    ("cycle", "a cycle under steady churn"),
    ("anew", "all looked at anew"),
    ("gang", "whole-estate gang: proof and promise"),
    ("intake", "submitting the whole queue"),
];

fn growth(bench: &Bench) -> Result<Vec<Row>> {
    if bench.quick {
        return Ok(Vec::new());
    }
    let text = bench.example("cycle", &["scale"])?;
    let panels = [
        ("estate", "GPUs", "estate, 10,000 jobs of 1,000 projects waiting"),
        ("queue", "jobs waiting", "queue, on 18,000 GPUs, of 1,000 projects"),
    ];
    let panels: Vec<(&str, Panel)> = panels.map(|(over, unit, title)| (over, panel(&text, over, unit, title))).into();
    let rows = panels.iter().flat_map(|(over, panel)| panel.series.iter().map(|series| grown(over, panel, series)));
    let rows: Vec<Row> = rows.collect();
    if rows.len() != 6 {
        bail!("the scheduler's example gave {} series: {text}", rows.len());
    }
    let drawing = plot::draw(&panels.into_iter().map(|(_, panel)| panel).collect::<Vec<_>>());
    std::fs::write(bench.root.join("docs/images/growth.svg"), drawing).context("failed to write the plot")?;
    Ok(rows)
}

fn panel(text: &str, over: &str, unit: &str, title: &str) -> Panel {
    let points = |word: &str| {
        let of_series = |line: &Figures| line.word("over") == Some(over) && line.word("series") == Some(word);
        let lines = Figures::all(text, "scale").filter(of_series);
        let point = |line: Figures| Point {
            size: line.number("size"),
            us: line.number("us"),
            low: line.number("low"),
            high: line.number("high"),
        };
        lines.map(point).collect::<Vec<_>>()
    };
    let series = SERIES.map(|(word, name)| Series { name: name.to_owned(), points: points(word) });
    let series = series.into_iter().filter(|series| series.points.len() > 1).collect();
    Panel { title: format!("Growth of the {title}"), unit: unit.to_owned(), series }
}

fn grown(over: &str, panel: &Panel, series: &Series) -> Row {
    let [first, .., last] = series.points.as_slice() else { return Row::new(over, "too few points", "") };
    let spread = series.points.iter().map(|point| point.high / point.low).fold(1.0, f64::max);
    let bound = series.bound();
    Row::new(
        format!("{}, {} → {} {}", series.name, number(first.size), number(last.size), panel.unit),
        format!(
            "{:.2} → {:.2} ms: {}, at the large end {}; runs of one size differ up to ×{spread:.1}",
            first.us / 1e3,
            last.us / 1e3,
            power(series.slope()),
            power(series.slope_at_end())
        ),
        aim(&format!("n log n (here {})", power(bound)), series.slope() <= bound),
    )
}
