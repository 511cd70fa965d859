//! What long waits are traded for: policies and settings by two figures, drawn as SVG, and the same said in words.
//!
//! The drawing is readable on light and on dark pages. A line joins those that no other beats in both figures.
use madang_sim::report::frontier;
use std::fmt::Write;

/// A policy, or the default with one setting changed.
pub struct Point {
    pub name: String,
    pub kind: Kind,
    pub x: f64,
    pub y: f64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Default,
    Setting,
    Peer,
}

/// One picture: less is better in both directions.
pub struct Panel {
    pub title: String,
    pub x: String,
    pub y: String,
    pub points: Vec<Point>,
}

impl Panel {
    /// Those that no other beats, by their first figure.
    fn best(&self) -> Vec<usize> {
        let points: Vec<(f64, f64)> = self.points.iter().map(|point| (point.x, point.y)).collect();
        let mut best = frontier(&points);
        best.sort_by(|a, b| points[*a].0.total_cmp(&points[*b].0).then(a.cmp(b)));
        best
    }

    /// Who is on the line, and who beats the default if it is not.
    pub fn words(&self) -> String {
        let best = self.best();
        let names = |list: &[usize]| -> String {
            list.iter().map(|at| format!("`{}`", self.points[*at].name)).collect::<Vec<_>>().join(", ")
        };
        let Some(ours) = self.points.iter().position(|point| point.kind == Kind::Default) else { return String::new() };
        let own = &self.points[ours];
        let beats = |point: &Point| point.x <= own.x && point.y <= own.y;
        let better: Vec<usize> = (0..self.points.len()).filter(|at| *at != ours && beats(&self.points[*at])).collect();
        let verdict = if best.contains(&ours) {
            "the default is on the line".to_owned()
        } else {
            format!("the default is not on the line: at least as good in both are {}", names(&better))
        };
        format!("- *{}*, {} against {}: {verdict}. On it are {}.", self.title, self.y, self.x, names(&best))
    }
}

const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 400.0;
/// Room for words around a picture: left, right, top, bottom.
const LEFT: f64 = 62.0;
const RIGHT: f64 = 30.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 54.0;
/// The height of a line of words, and the width of a letter.
const LINE: f64 = 12.0;
const LETTER: f64 = 6.1;

/// Plain rules first, for readers without variables or media queries.
const STYLE: &str = "\
text{font:12px system-ui,sans-serif;fill:#1f2328}
text.name{font-size:11px}
text.own{font-weight:700}
.paper{fill:#ffffff}
.quiet{fill:#59636e}
.grid{stroke:#d1d9e0;stroke-width:1}
.front{stroke:#59636e;stroke-width:1.5;stroke-dasharray:5 4;fill:none}
.lead{stroke:#59636e;stroke-width:.7}
.setting{fill:#0757ba}.own{fill:#0757ba}.peer{fill:#b04600}
.ring{fill:none;stroke:#0757ba;stroke-width:2}
@media(prefers-color-scheme:dark){
text{fill:#f0f6fc}
.paper{fill:#0d1117}
.quiet{fill:#9198a1}
.grid{stroke:#3d444d}
.front,.lead{stroke:#9198a1}
.setting,.own{fill:#6cb0ff}.peer{fill:#ffa657}
.ring{stroke:#6cb0ff}
}
";

/// All panels, two in a row.
pub fn draw(panels: &[Panel]) -> String {
    let (width, height) = (WIDTH * 2.0, HEIGHT * panels.len().div_ceil(2) as f64 + 30.0);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\">\n\
         <title>What long waits are traded for: policies of the field, and Madang with its settings</title>\n\
         <style>\n{STYLE}</style>\n<rect width=\"{width}\" height=\"{height}\" class=\"paper\"/>\n"
    );
    for (at, panel) in panels.iter().enumerate() {
        let (x, y) = (WIDTH * (at % 2) as f64, HEIGHT * (at / 2) as f64);
        put(&mut text, format!("<g transform=\"translate({x} {y})\">"));
        picture(panel, &mut text);
        put(&mut text, "</g>".into());
    }
    legend(height - 16.0, &mut text);
    text + "</svg>\n"
}

fn put(text: &mut String, line: String) {
    writeln!(text, "{line}").expect("text can be written");
}

fn legend(y: f64, text: &mut String) {
    let words = [
        (Kind::Default, "Madang by default"),
        (Kind::Setting, "Madang with one setting changed"),
        (Kind::Peer, "policies of the field"),
    ];
    for (at, (kind, word)) in words.into_iter().enumerate() {
        let x = LEFT + 235.0 * at as f64;
        put(text, mark(kind, (x, y)));
        put(text, format!("<text x=\"{}\" y=\"{}\">{word}</text>", x + 14.0, y + 4.0));
    }
    let x = LEFT + 700.0;
    put(text, format!("<path class=\"front\" d=\"M{x} {y}h24\"/>"));
    put(text, format!("<text x=\"{}\" y=\"{}\">nobody is better in both</text>", x + 32.0, y + 4.0));
}

/// A logarithmic axis whose ends are 1, 2 or 5 times a power of ten.
struct Axis {
    low: f64,
    high: f64,
}

impl Axis {
    fn of(values: impl Iterator<Item = f64> + Clone) -> Axis {
        let (low, high) = (values.clone().fold(f64::INFINITY, f64::min), values.fold(0.0, f64::max));
        let steps = steps();
        let below = steps.iter().rev().find(|step| **step < low * 0.97).copied();
        let above = steps.iter().find(|step| **step > high * 1.03).copied();
        Axis { low: below.unwrap_or(low), high: above.unwrap_or(high) }
    }

    fn ticks(&self) -> Vec<f64> {
        steps().into_iter().filter(|step| (self.low..=self.high).contains(step)).collect()
    }

    fn part(&self, value: f64) -> f64 {
        (value / self.low).ln() / (self.high / self.low).ln()
    }
}

fn steps() -> Vec<f64> {
    (-2..7).flat_map(|power| [1.0, 2.0, 5.0].map(|part| part * 10f64.powi(power))).collect()
}

fn picture(panel: &Panel, text: &mut String) {
    let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
    let (across, up) =
        (Axis::of(panel.points.iter().map(|point| point.x)), Axis::of(panel.points.iter().map(|point| point.y)));
    let at = |x: f64, y: f64| (LEFT + across.part(x) * (right - LEFT), bottom - up.part(y) * (bottom - TOP));
    put(text, format!("<text x=\"{LEFT}\" y=\"22\" font-weight=\"600\">{}</text>", panel.title));
    for tick in across.ticks() {
        let x = at(tick, up.low).0;
        put(text, format!("<path class=\"grid\" d=\"M{x:.1} {TOP}V{bottom}\"/>"));
        let y = bottom + 16.0;
        put(text, format!("<text class=\"quiet\" x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{tick}</text>"));
    }
    for tick in up.ticks() {
        let y = at(across.low, tick).1;
        put(text, format!("<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/>"));
        let (x, y) = (LEFT - 6.0, y + 4.0);
        put(text, format!("<text class=\"quiet\" x=\"{x}\" y=\"{y:.1}\" text-anchor=\"end\">{tick}</text>"));
    }
    let (middle, centre) = (f64::midpoint(LEFT, right), f64::midpoint(TOP, bottom));
    let (x, y) = (&panel.x, &panel.y);
    put(
        text,
        format!("<text class=\"quiet\" x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{x}</text>", bottom + 36.0),
    );
    let turned = format!("transform=\"translate(16 {centre}) rotate(-90)\" text-anchor=\"middle\"");
    put(text, format!("<text class=\"quiet\" {turned}>{y}</text>"));
    let front = panel.best().into_iter().map(|best| at(panel.points[best].x, panel.points[best].y));
    let front: Vec<String> = front.map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
    put(text, format!("<path class=\"front\" d=\"M{}\"/>", front.join("L")));
    let marks: Vec<(f64, f64)> = panel.points.iter().map(|point| at(point.x, point.y)).collect();
    names(panel, &marks, text);
    for (point, place) in panel.points.iter().zip(&marks) {
        put(text, mark(point.kind, *place));
    }
}

/// A mark of its own form for each kind, so that colour alone means nothing.
fn mark(kind: Kind, (x, y): (f64, f64)) -> String {
    match kind {
        Kind::Default => format!(
            "<circle class=\"own\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/><circle class=\"ring\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"8\"/>"
        ),
        Kind::Setting => format!("<circle class=\"setting\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>"),
        Kind::Peer => format!("<path class=\"peer\" d=\"M{x:.1} {:.1}l6 10h-12z\"/>", y - 6.0),
    }
}

/// A box on paper: left, top, right, bottom.
type Area = (f64, f64, f64, f64);

/// Each name where nothing stands yet, as near to its mark as may be.
fn names(panel: &Panel, marks: &[(f64, f64)], text: &mut String) {
    let mut taken: Vec<Area> = marks.iter().map(|(x, y)| (x - 7.0, y - 7.0, x + 7.0, y + 7.0)).collect();
    let mut order: Vec<usize> = (0..marks.len()).collect();
    order.sort_by_key(|at| (panel.points[*at].kind != Kind::Default, *at));
    for at in order {
        let (point, (x, y)) = (&panel.points[at], marks[at]);
        let area = place(&taken, (x, y), LETTER * point.name.len() as f64);
        taken.push(area);
        let (left, low) = (area.0, area.3 - 3.0);
        let near = x.clamp(area.0, area.2);
        let far = (near - x).hypot(f64::midpoint(area.1, area.3) - y);
        if far > 20.0 {
            let edge = if area.1 > y { area.1 + 1.0 } else { area.3 };
            put(text, format!("<path class=\"lead\" d=\"M{x:.1} {y:.1}L{near:.1} {edge:.1}\"/>"));
        }
        let class = if point.kind == Kind::Default { "name own" } else { "name" };
        put(text, format!("<text class=\"{class}\" x=\"{left:.1}\" y=\"{low:.1}\">{}</text>", point.name));
    }
}

/// The nearest free place for words of this width, on rings around a mark.
fn place(taken: &[Area], (x, y): (f64, f64), width: f64) -> Area {
    let inside =
        |area: &Area| area.0 >= LEFT && area.2 <= WIDTH - 2.0 && area.1 >= TOP - 16.0 && area.3 <= HEIGHT - BOTTOM;
    let meets = |a: &Area, b: &Area| a.0 < b.2 && b.0 < a.2 && a.1 < b.3 && b.1 < a.3;
    let area = |left: f64, top: f64| (left, top, left + width, top + LINE);
    let rings = (0..14).flat_map(|ring| {
        let away = 11.0 + 8.0 * f64::from(ring);
        let (level, middle) = (y - LINE / 2.0, x - width / 2.0);
        let (above, below) = (y - away - LINE, y + away);
        [
            (x + away, level),
            (x - away - width, level),
            (middle, above),
            (middle, below),
            (x + away / 2.0, above),
            (x + away / 2.0, below),
            (x - away / 2.0 - width, above),
            (x - away / 2.0 - width, below),
        ]
    });
    let free = rings
        .map(|(left, top)| area(left, top))
        .find(|place| inside(place) && !taken.iter().any(|other| meets(place, other)));
    free.unwrap_or_else(|| area(x + 11.0, y - LINE / 2.0))
}
