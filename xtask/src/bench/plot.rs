//! Growth drawn: panels of log-log lines as SVG, readable on light and on dark pages.
use std::fmt::Write;

/// One size.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    /// How large.
    pub size: f64,
    /// The middle run, in microseconds.
    pub us: f64,
    /// The fastest run.
    pub low: f64,
    /// The slowest run.
    pub high: f64,
}

/// One line.
#[derive(Clone, Debug)]
pub struct Series {
    /// What it is.
    pub name: String,
    /// By size.
    pub points: Vec<Point>,
}

/// One picture beside others.
#[derive(Clone, Debug)]
pub struct Panel {
    /// Above it.
    pub title: String,
    /// Of the sizes.
    pub unit: String,
    /// The lines.
    pub series: Vec<Series>,
}

impl Series {
    /// The power of the size that fits best: the slope of the logarithms, by least squares.
    pub fn slope(&self) -> f64 {
        slope(self.points.iter().map(|point| (point.size, point.us)))
    }

    /// The slope over the three largest sizes: what does not grow hides less there.
    pub fn slope_at_end(&self) -> f64 {
        let last = self.points.len().saturating_sub(3);
        slope(self.points[last..].iter().map(|point| (point.size, point.us)))
    }

    /// The same as [`Series::slope`] of n log n over the same sizes.
    pub fn bound(&self) -> f64 {
        slope(self.points.iter().map(|point| (point.size, point.size * point.size.ln())))
    }
}

fn slope(points: impl Iterator<Item = (f64, f64)>) -> f64 {
    let logs: Vec<(f64, f64)> = points.map(|(x, y)| (x.ln(), y.ln())).collect();
    let count = logs.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| logs.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|log| log.0), mean(|log| log.1));
    let above: f64 = logs.iter().map(|log| (log.0 - x) * (log.1 - y)).sum();
    let below: f64 = logs.iter().map(|log| (log.0 - x).powi(2)).sum();
    above / below
}

/// A slope as a power of the size.
pub fn power(slope: f64) -> String {
    format!("n^{:.2}", (slope * 100.0).round() / 100.0 + 0.0)
}

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 380.0;
/// Space for the words around a picture: left, right, top, bottom.
const LEFT: f64 = 62.0;
const RIGHT: f64 = 36.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 108.0;

/// Plain rules first, for readers without variables or media queries.
const STYLE: &str = "\
text{font:12px system-ui,sans-serif;fill:#1f2328}
.paper{fill:#ffffff}
.quiet{fill:#59636e}
.grid{stroke:#d1d9e0;stroke-width:1}
.nlogn{stroke:#59636e;stroke-dasharray:5 4;fill:none}
.line{fill:none;stroke-width:2}
.a{stroke:#0757ba}.b{stroke:#b04600}.c{stroke:#0f7a52}
.mark.a{fill:#0757ba}.mark.b{fill:#b04600}.mark.c{fill:#0f7a52}
@media(prefers-color-scheme:dark){
text{fill:#f0f6fc}
.paper{fill:#0d1117}
.quiet{fill:#9198a1}
.grid{stroke:#3d444d}
.nlogn{stroke:#9198a1}
.a{stroke:#6cb0ff}.b{stroke:#ffa657}.c{stroke:#56d39b}
.mark.a{fill:#6cb0ff}.mark.b{fill:#ffa657}.mark.c{fill:#56d39b}
}
";

/// Decades that hold all of these.
fn decades(values: impl Iterator<Item = f64> + Clone) -> (i32, i32) {
    let low = values.clone().fold(f64::INFINITY, f64::min).log10().floor() as i32;
    let high = values.fold(0.0, f64::max).log10().ceil() as i32;
    (low, high.max(low + 1))
}

/// Where sizes and times are on the paper.
struct Scale {
    x: (i32, i32),
    y: (i32, i32),
}

impl Scale {
    fn x(&self, size: f64) -> f64 {
        let part = (size.log10() - f64::from(self.x.0)) / f64::from(self.x.1 - self.x.0);
        LEFT + part * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, us: f64) -> f64 {
        let part = (us.log10() - f64::from(self.y.0)) / f64::from(self.y.1 - self.y.0);
        HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM)
    }
}

/// All panels side by side.
pub fn draw(panels: &[Panel]) -> String {
    let width = WIDTH * panels.len() as f64;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {HEIGHT}\" role=\"img\">\n\
         <title>How the scheduler's cost grows with the estate and with the queue</title>\n<style>\n{STYLE}</style>\n\
         <rect width=\"{width}\" height=\"{HEIGHT}\" class=\"paper\"/>\n"
    );
    for (index, panel) in panels.iter().enumerate() {
        writeln!(text, "<g transform=\"translate({} 0)\">", WIDTH * index as f64).expect("text can be written");
        picture(panel, &mut text);
        text += "</g>\n";
    }
    text + "</svg>\n"
}

fn picture(panel: &Panel, text: &mut String) {
    let points = || panel.series.iter().flat_map(|series| &series.points);
    let times = points().flat_map(|point| [point.low, point.high]);
    let scale = Scale { x: decades(points().map(|point| point.size)), y: decades(times) };
    let mut put = |line: String| {
        *text += &line;
        *text += "\n";
    };
    put(format!("<text x=\"{LEFT}\" y=\"22\" font-weight=\"600\">{}</text>", panel.title));
    axes(&scale, &panel.unit, &mut put);
    // What n log n would be, from the first line's first point on.
    if let [first, .., last] = panel.series.first().map_or(&[][..], |series| &series.points) {
        let bound = |size: f64| first.us * (size * size.ln()) / (first.size * first.size.ln());
        let highest = 10f64.powi(scale.y.1);
        let sizes = (0..=40).map(|step| first.size * (last.size / first.size).powf(f64::from(step) / 40.0));
        let inside = sizes.filter(|size| bound(*size) <= highest);
        put(format!(
            "<path class=\"nlogn\" d=\"{}\"/>",
            path(inside.map(|size| (scale.x(size), scale.y(bound(size)))))
        ));
    }
    for ((index, series), colour) in panel.series.iter().enumerate().zip(["a", "b", "c"]) {
        let points = series.points.iter().map(|point| (scale.x(point.size), scale.y(point.us)));
        put(format!("<path class=\"line {colour}\" d=\"{}\"/>", path(points)));
        for point in &series.points {
            let (x, y, low, high) = (scale.x(point.size), scale.y(point.us), scale.y(point.low), scale.y(point.high));
            put(format!("<path class=\"{colour}\" d=\"M{x:.1} {low:.1}V{high:.1}\"/>"));
            put(mark(index, x, y, colour));
        }
        let y = HEIGHT - 58.0 + 17.0 * index as f64;
        put(mark(index, LEFT + 4.0, y - 4.0, colour));
        put(format!("<text x=\"{}\" y=\"{y}\">{}: {}</text>", LEFT + 16.0, series.name, power(series.slope())));
    }
    let y = HEIGHT - 58.0 + 17.0 * panel.series.len() as f64;
    put(format!("<path class=\"nlogn\" d=\"M{} {:.0}h20\"/>", LEFT - 8.0, y - 4.0));
    put(format!("<text class=\"quiet\" x=\"{}\" y=\"{y}\">n log n</text>", LEFT + 16.0));
}

/// A mark of its own form for each line, so that colour alone means nothing.
fn mark(index: usize, x: f64, y: f64, colour: &str) -> String {
    let shape = match index {
        0 => format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.6\""),
        1 => format!("<rect x=\"{:.1}\" y=\"{:.1}\" width=\"7\" height=\"7\"", x - 3.5, y - 3.5),
        _ => format!("<path d=\"M{x:.1} {:.1}l4.5 8h-9z\"", y - 5.0),
    };
    format!("{shape} class=\"mark {colour}\"/>")
}

fn path(points: impl Iterator<Item = (f64, f64)>) -> String {
    let words: Vec<String> = points.map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
    format!("M{}", words.join("L"))
}

fn axes(scale: &Scale, unit: &str, put: &mut impl FnMut(String)) {
    let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
    for power in scale.x.0..=scale.x.1 {
        let x = scale.x(10f64.powi(power));
        put(format!("<path class=\"grid\" d=\"M{x:.1} {TOP}V{bottom}\"/>"));
        let label = super::table::number(10f64.powi(power));
        put(format!(
            "<text class=\"quiet\" x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{label}</text>",
            bottom + 17.0
        ));
    }
    for power in scale.y.0..=scale.y.1 {
        let y = scale.y(10f64.powi(power));
        put(format!("<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/>"));
        let label = match power {
            6.. => format!("{} s", 10f64.powi(power - 6)),
            3.. => format!("{} ms", 10f64.powi(power - 3)),
            _ => format!("{} µs", 10f64.powi(power)),
        };
        let x = LEFT - 6.0;
        put(format!("<text class=\"quiet\" x=\"{x}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>", y + 4.0));
    }
    let middle = f64::midpoint(LEFT, right);
    put(format!("<text class=\"quiet\" x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{unit}</text>", bottom + 33.0));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(time: impl Fn(f64) -> f64) -> Series {
        let sizes = [1e3, 1e4, 1e5, 1e6];
        let points = sizes.map(|size| Point { size, us: time(size), low: time(size), high: time(size) });
        Series { name: "work".into(), points: points.into() }
    }

    #[test]
    fn slopes_are_powers_and_n_log_n_is_its_own_bound() {
        assert!((series(|n| 3.0 * n * n).slope() - 2.0).abs() < 1e-9);
        assert!((series(|_| 7.0).slope()).abs() < 1e-9);
        let late = series(|n| if n > 5e3 { n } else { 1e4 });
        assert!((late.slope_at_end() - 1.0).abs() < 1e-9 && late.slope() < 0.9);
        let bound = series(|n| n * n.ln());
        assert!((bound.slope() - bound.bound()).abs() < 1e-9);
        assert!((1.09..1.11).contains(&bound.bound()));
    }

    #[test]
    fn a_picture_has_every_point_within_its_frame() {
        let panel = Panel { title: "t".into(), unit: "jobs".into(), series: vec![series(f64::sqrt), series(|n| n)] };
        let drawing = draw(&[panel]);
        assert_eq!(drawing.matches("<circle").count(), 5, "four points and one in the legend");
        let places = drawing.split("cx=\"").skip(1).filter_map(|rest| rest.split('"').next()?.parse::<f64>().ok());
        assert!(places.clone().count() == 5 && places.clone().all(|x| (LEFT..=WIDTH - RIGHT).contains(&x)));
    }
}
