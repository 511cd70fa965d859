//! The drawings of a page that put groups of jobs, and policies, side by side.
use super::Report;
use super::plots::{ROW, WIDE, said};
use super::scale::Axis;
use super::svg::Drawing;
use crate::trial::{Bands, Figures, Group};

/// The most groups that are drawn; the rest stand in no drawing, and the caption says so.
const MOST_GROUPS: usize = 12;

/// Groups of jobs of a trial.
pub type Groups = fn(&Figures) -> &Vec<Group>;

/// A figure of a group over seeds.
fn over(report: &Report, policy: usize, groups: Groups, name: &str, figure: fn(&Group) -> u64) -> Option<Bands> {
    let figures = report.tried[policy].figures.iter();
    let of = |f: &Figures| groups(f).iter().find(|group| group.name == name).filter(|g| g.jobs > 0).map(figure);
    let values: Vec<u64> = figures.filter_map(of).collect();
    (!values.is_empty()).then(|| Bands::of(values))
}

/// Names of the groups, those with most jobs where there are too many, in their own order.
fn names(report: &Report, groups: Groups) -> Vec<String> {
    let all = groups(&report.tried[0].figures[0]);
    let mut sizes: Vec<u64> = all.iter().map(|group| group.jobs).collect();
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    let least = sizes.get(MOST_GROUPS - 1).copied().unwrap_or(1).max(1);
    all.iter().filter(|group| group.jobs >= least).take(MOST_GROUPS).map(|group| group.name.clone()).collect()
}

/// Mean waits with strokes at their P99, a row for each group, a mark for each policy.
pub fn waits(report: &Report, groups: Groups, says: &str) -> String {
    let longest = report.tried.iter().flat_map(|t| &t.figures).flat_map(groups).map(|g| g.p99_wait.secs()).max();
    let x = Axis::waits(longest.unwrap_or(1) as f64, "wait (logarithmic): mark at the mean, stroke at P99");
    let mean = |group: &Group| group.mean_wait.secs();
    rows(report, groups, x, says, (mean, Some(|group| group.p99_wait.secs())))
}

/// Mean bounded slowdowns, a row for each group, a mark for each policy.
pub fn slowdowns(report: &Report, groups: Groups, says: &str) -> String {
    let most = report.tried.iter().flat_map(|t| &t.figures).flat_map(groups).map(|g| g.slowdown).max();
    let x = Axis::ratios(most.unwrap_or(1) as f64 / 1e6, "mean bounded slowdown (logarithmic; 1 is no wait)");
    rows(report, groups, x, says, (|group| group.slowdown, None))
}

/// What is marked, and what has a stroke.
type Marked = (fn(&Group) -> u64, Option<fn(&Group) -> u64>);

fn rows(report: &Report, groups: Groups, x: Axis, says: &str, (marked, stroked): Marked) -> String {
    let names = names(report, groups);
    let lane = 13.0;
    let each = (lane * report.tried.len() as f64 + 8.0).max(ROW);
    let mut drawing = Drawing::rows((WIDE.0, 60.0 + each * names.len() as f64), x, says);
    for (row, name) in names.iter().enumerate() {
        let top = 14.0 + each * row as f64;
        let (left, right) = drawing.edges();
        drawing.text((left - 8.0, top + each / 2.0), "end", name);
        drawing.span(0.0, f64::MAX, top + each - 2.0, "grid");
        for (at, tried) in report.tried.iter().enumerate() {
            let Some(bands) = over(report, at, groups, name, marked) else { continue };
            let y = top + (each - 6.0) / 2.0 + lane * (at as f64 - (report.tried.len() as f64 - 1.0) / 2.0);
            let parts = if stroked.is_some() { 1.0 } else { 1e6 };
            let [least, mean, most] = [bands.least, bands.mean, bands.most].map(|figure| figure as f64 / parts);
            if report.cases.len() > 1 {
                drawing.span(least, most, y, &format!("range p{at}"));
            }
            let p99 = stroked.and_then(|figure| over(report, at, groups, name, figure)).map(|bands| bands.mean);
            if let Some(p99) = p99 {
                drawing.span(mean, p99 as f64, y, &format!("thin p{at}"));
                drawing.stroke(p99 as f64, (y - 5.0, y + 5.0), &format!("end p{at}"));
            }
            let tip = p99.map_or(format!("{}: {mean:.2}", tried.name), |p99| said(&tried.name, bands.mean, p99));
            drawing.mark(mean, y, at, &tip);
        }
        if row == 0 {
            legend(&mut drawing, report.tried.iter().map(|tried| tried.name.clone()), right + 14.0);
        }
    }
    drawing.svg()
}

/// Which mark is whose.
fn legend(drawing: &mut Drawing, names: impl Iterator<Item = String>, x: f64) {
    for (at, name) in names.enumerate() {
        let y = 20.0 + 16.0 * at as f64;
        drawing.mark_on_paper((x, y), at);
        drawing.text((x + 12.0, y + 4.0), "start", &name);
    }
}

/// A figure of a trial that a policy trades another for.
pub struct Trade {
    /// What it is, with its unit.
    pub title: &'static str,
    /// The figure, as it is drawn; less is better.
    pub figure: fn(&Figures) -> f64,
}

/// Policies by two figures, less being better in both; a line joins those that no other beats in both.
pub fn trade(report: &Report, x: &Trade, y: &Trade) -> String {
    let mean = |figures: &[Figures], figure: fn(&Figures) -> f64| {
        figures.iter().map(figure).sum::<f64>() / figures.len().max(1) as f64
    };
    let points: Vec<(f64, f64)> =
        report.tried.iter().map(|t| (mean(&t.figures, x.figure), mean(&t.figures, y.figure))).collect();
    let most = |figure: fn(&(f64, f64)) -> f64| points.iter().map(figure).fold(0.0, f64::max);
    let says = format!("{} against {}, a mark for each policy", y.title, x.title);
    let axes = (Axis::linear(most(|p| p.0), x.title), Axis::linear(most(|p| p.1), y.title));
    let mut drawing = Drawing::new((WIDE.0 / 2.0, 320.0), axes.0, axes.1, &says);
    let mut front: Vec<(f64, f64)> = frontier(&points).into_iter().map(|at| points[at]).collect();
    front.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.total_cmp(&a.1)));
    drawing.line(&front, "front");
    for (at, ((across, up), tried)) in points.iter().zip(report.tried).enumerate() {
        let tip = format!("{}: {across:.2}, {up:.2}", tried.name);
        let on = drawing.at_y(*up);
        drawing.mark(*across, on, at, &tip);
    }
    let names = points.iter().zip(report.tried).map(|(point, tried)| {
        let best = if front.contains(point) { " *" } else { "" };
        format!("{}{best}", tried.name)
    });
    let (_, right) = drawing.edges();
    legend(&mut drawing, names, right + 14.0);
    drawing.svg()
}

/// Those that no other is at least as good as in both and better in one.
pub fn frontier(points: &[(f64, f64)]) -> Vec<usize> {
    let beats = |a: &(f64, f64), b: &(f64, f64)| a.0 <= b.0 && a.1 <= b.1 && a != b;
    (0..points.len()).filter(|at| !points.iter().any(|other| beats(other, &points[*at]))).collect()
}
