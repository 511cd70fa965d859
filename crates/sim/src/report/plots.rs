//! The drawings of a page that are over time or by owner.
use super::layers::Layers;
use super::scale::Axis;
use super::series::{self, Band};
use super::svg::Drawing;
use super::words;
use super::{Case, Report, Tried};
use crate::trial::{Bands, Frame, Share};
use madang_model::share::WHOLE;

/// Width and height of a drawing.
pub const WIDE: (f64, f64) = (1040.0, 300.0);
/// The most owners that are drawn one by one.
const MOST_ROWS: usize = 20;
/// The height of a row, and what is above and below all of them.
pub const ROW: f64 = 24.0;

/// Use of the estate under one policy and the first seed, in layers by owner.
pub fn layers(case: &Case, tried: &Tried) -> String {
    let outcome = &tried.outcomes[0];
    let layers = Layers::of(&case.workload, outcome, case.until());
    let gpus = case.machine.gpus() as f64;
    let secs = case.until().millis() as f64 / 1000.0;
    let mut drawing = Drawing::new(
        WIDE,
        Axis::time(secs),
        Axis::linear(gpus, "GPUs"),
        &format!("GPUs held over time under {}, in layers by owner", tried.name),
    );
    let frames =
        |figure: fn(&Frame) -> u64| series::over_time(std::slice::from_ref(case), &first(tried), figure, WHOLE);
    let (stranded, down) = (frames(|frame| frame.stranded), frames(|frame| frame.lost));
    let mut low = vec![0.0; layers.busy.len()];
    for (at, (name, row)) in layers.owners.iter().enumerate() {
        let held: Vec<f64> = row.iter().map(|sum| *sum as f64 / (layers.step * u64::from(WHOLE)) as f64).collect();
        layer(&mut drawing, &mut low, &held, secs, (name, &format!("c{at}")));
    }
    let room: Vec<f64> = low.iter().map(|held| (gpus - held).max(0.0)).collect();
    let part = |band: &Band, at: usize| band.mean[at + 1].1;
    let of_room = |at: usize, figure: f64| figure.min(room[at]);
    let stranded: Vec<f64> = (0..room.len()).map(|at| of_room(at, part(&stranded, at))).collect();
    let down: Vec<f64> = (0..room.len()).map(|at| (part(&down, at)).min(room[at] - stranded[at])).collect();
    let idle: Vec<f64> = (0..room.len()).map(|at| room[at] - stranded[at] - down[at]).collect();
    for (name, class, row) in [("free, stranded", "stranded", stranded), ("free", "idle", idle), ("down", "down", down)]
    {
        if row.iter().any(|figure| *figure > 0.0) {
            layer(&mut drawing, &mut low, &row, secs, (name, class));
        }
    }
    drawing.svg()
}

fn first(tried: &Tried) -> Tried {
    Tried {
        name: tried.name.clone(),
        about: String::new(),
        outcomes: vec![tried.outcomes[0].clone()],
        figures: Vec::new(),
    }
}

fn layer(drawing: &mut Drawing, low: &mut [f64], row: &[f64], secs: f64, (name, class): (&str, &str)) {
    let count = low.len() as f64;
    // Each stretch stands at its middle, the first and the last at the edges.
    let at = |index: usize| match index as f64 {
        0.0 => 0.0,
        last if last >= count - 1.0 => secs,
        between => secs * (between + 0.5) / count,
    };
    let below: Vec<(f64, f64)> = low.iter().enumerate().map(|(index, held)| (at(index), *held)).collect();
    low.iter_mut().zip(row).for_each(|(held, more)| *held += more);
    let above: Vec<(f64, f64)> = low.iter().enumerate().map(|(index, held)| (at(index), *held)).collect();
    let mean = row.iter().sum::<f64>() / row.len().max(1) as f64;
    drawing.area(&below, &above, class, &format!("{name}: {mean:.0} GPUs in the mean"));
    if let (Some(below), Some(above)) = (below.last(), above.last()) {
        drawing.label((below.1 + above.1) / 2.0, name, class);
    }
}

/// Lines of all policies over one axis, each with its band over seeds and its name at its end.
pub fn lines(report: &Report, bands: &[Band], x: Axis, y: Axis, says: &str) -> String {
    let mut drawing = Drawing::new(WIDE, x, y, says);
    if report.cases.len() > 1 {
        for (at, (band, tried)) in bands.iter().zip(report.tried).enumerate() {
            drawing.area(&band.low, &band.high, &format!("band p{at}"), &format!("{}: over all seeds", tried.name));
        }
    }
    for (at, (band, tried)) in bands.iter().zip(report.tried).enumerate() {
        let class = format!("p{at}");
        drawing.line(&band.mean, &class);
        drawing.label(band.mean.last().map_or(0.0, |(_, figure)| *figure), &tried.name, &format!("line {class}"));
    }
    drawing.svg()
}

/// GPUs of the estate over time, a line for each policy; the figure is in thousandths.
pub fn gpus(report: &Report, says: &str, figure: fn(&Frame) -> u64) -> String {
    over_time(report, "GPUs", says, (figure, WHOLE))
}

/// A figure of the estate over time in parts of its unit, a line for each policy.
pub fn over_time(report: &Report, unit: &str, says: &str, (figure, parts): (fn(&Frame) -> u64, u32)) -> String {
    let of = |tried: &Tried| series::over_time(report.cases, tried, figure, parts);
    let bands: Vec<Band> = report.tried.iter().map(of).collect();
    time_lines(report, &bands, unit, says)
}

/// Runs taken back so far, a line for each policy.
pub fn taken_back(report: &Report) -> String {
    let bands: Vec<Band> = report.tried.iter().map(|tried| series::taken_back(report.cases, tried)).collect();
    time_lines(report, &bands, "runs", "Runs taken back so far, over time")
}

fn time_lines(report: &Report, bands: &[Band], unit: &str, says: &str) -> String {
    let most = bands.iter().map(Band::most).fold(0.0, f64::max);
    lines(report, bands, Axis::time(series::length(report.cases)), Axis::linear(most, unit), says)
}

/// How many jobs do not wait longer, a line for each policy.
pub fn waits(report: &Report) -> String {
    let longest = report.tried.iter().flat_map(|tried| &tried.figures).map(|f| f.all.longest_wait.secs()).max();
    let most = longest.unwrap_or(1).max(60) as f64;
    let bands: Vec<Band> = report.tried.iter().map(|tried| series::waits(report.cases, tried, most)).collect();
    let x = Axis::waits(most, "wait (logarithmic; a second or less is on the left edge)");
    lines(report, &bands, x, Axis::linear(100.0, "% of jobs"), "Per cent of jobs that do not wait longer")
}

/// Share delivered against guaranteed under one policy, by owner, in GPUs over the time of submissions.
pub fn shares(report: &Report, tried: &Tried) -> String {
    let secs = |at: usize| (report.cases[at].until().millis() / 1000).max(1);
    let mut rows: Vec<(&Share, [f64; 3])> = Vec::new();
    for (index, share) in tried.figures[0].shares.iter().enumerate() {
        let mean = |figure: &dyn Fn(&Share) -> u64| {
            let of = tried.figures.iter().enumerate();
            let parts = of.filter_map(|(at, f)| f.shares.get(index).map(|share| figure(share) * 100 / secs(at)));
            Bands::of(parts).mean as f64 / 100.0
        };
        rows.push((share, [mean(&|s| s.delivered), mean(&|s| s.unmet), share.guarantee as f64]));
    }
    rows.sort_by(|a, b| b.1[2].total_cmp(&a.1[2]).then_with(|| a.0.name.cmp(&b.0.name)));
    rows.truncate(MOST_ROWS);
    let most = rows.iter().map(|(_, [held, unmet, due])| (held + unmet).max(*due)).fold(1.0, f64::max);
    let size = (WIDE.0, 60.0 + ROW * rows.len() as f64);
    let x = Axis::linear(most, "GPUs, mean over the time of submissions");
    let says = format!("GPUs delivered to each owner under {} against its guarantee", tried.name);
    let mut drawing = Drawing::rows(size, x, &says);
    for (at, (share, [held, unmet, due])) in rows.iter().enumerate() {
        let top = 14.0 + ROW * at as f64;
        let (left, right) = drawing.edges();
        drawing.text((left - 8.0, top + 13.0), "end", &share.name);
        drawing.bar(0.0, *held, (top + 2.0, 14.0), "held", &format!("{}: {held:.1} GPUs held", share.name));
        drawing.bar(*held, held + unmet, (top + 2.0, 14.0), "unmet", &format!("{unmet:.1} GPUs unmet"));
        drawing.stroke(*due, (top - 1.0, top + 19.0), "due");
        drawing.text((right + 8.0, top + 13.0), "start", &format!("{held:.0} of {due:.0}, {unmet:.1} unmet"));
    }
    drawing.svg()
}

/// Where GPU time went: what counted, what was lost, what was free; a bar for each policy.
pub fn goodput(report: &Report) -> String {
    let size = (WIDE.0, 64.0 + ROW * report.tried.len() as f64);
    let says = "GPU time that counted, was lost and was not held, in per cent of all there was";
    let mut drawing = Drawing::rows(size, Axis::linear(100.0, "% of GPU time in the time of submissions"), says);
    for (at, tried) in report.tried.iter().enumerate() {
        let mean = |figure: fn(&crate::trial::Figures) -> u64| {
            Bands::of(tried.figures.iter().map(figure)).mean as f64 / 10_000.0
        };
        let (good, held) = (mean(|f| f.goodput), mean(|f| f.utilisation));
        let top = 14.0 + ROW * at as f64;
        let (left, right) = drawing.edges();
        drawing.text((left - 8.0, top + 13.0), "end", &tried.name);
        drawing.bar(0.0, good, (top + 2.0, 16.0), "held", &format!("{good:.2}% counted"));
        drawing.bar(good, held, (top + 2.0, 16.0), "unmet", &format!("{:.2}% lost", held - good));
        drawing.bar(held, 100.0, (top + 2.0, 16.0), "idle", &format!("{:.2}% not held", 100.0 - held));
        let lost = format!("{good:.1}% good, {:.1}% lost", held - good);
        drawing.text((right + 6.0, top + 14.0), "start", &lost);
    }
    drawing.svg()
}

/// Waits of one size in words, for a tip.
pub fn said(name: &str, mean: u64, p99: u64) -> String {
    format!("{name}: mean {}, P99 {}", words::time(mean), words::time(p99))
}
