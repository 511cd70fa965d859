//! Drawings in SVG: a frame with axes, and lines, areas, bars and marks in it.
//!
//! Colours are classes of the page's style sheet, so that dark and printed pages have their own. What a colour says,
//! a label, a line's dashes or a mark's shape says too.
use super::scale::Axis;
use std::fmt::Write as _;

/// Room beside the frame: for the labels of the vertical axis, of lines and layers, above and below.
const LEFT: f64 = 62.0;
const RIGHT: f64 = 128.0;
const ABOVE: f64 = 12.0;
const BELOW: f64 = 44.0;
/// The least distance between two labels on the right.
const APART: f64 = 14.0;

/// Text as it may stand in a page.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Where the horizontal axis is marked and what the drawing is of.
pub struct Drawing {
    width: f64,
    height: f64,
    left: f64,
    /// Horizontal axis.
    pub x: Axis,
    /// Vertical axis; `None` for rows of names.
    pub y: Option<Axis>,
    body: String,
    /// Labels beside the right edge: where they would stand best, and what they say.
    labels: Vec<(f64, String, String)>,
    says: String,
}

/// One outline of a line: the points by their figures.
pub type Points = [(f64, f64)];

impl Drawing {
    /// An empty drawing of this size, with what it says for whoever cannot see it.
    pub fn new(size: (f64, f64), x: Axis, y: Axis, says: &str) -> Drawing {
        let (width, height) = size;
        let (body, labels) = (String::new(), Vec::new());
        Drawing { width, height, left: LEFT, x, y: Some(y), body, labels, says: says.into() }
    }

    /// An empty drawing with rows of names in place of a vertical axis.
    pub fn rows(size: (f64, f64), x: Axis, says: &str) -> Drawing {
        let (width, height) = size;
        let (body, labels) = (String::new(), Vec::new());
        Drawing { width, height, left: 150.0, x, y: None, body, labels, says: says.into() }
    }

    /// Where a figure of the horizontal axis lies.
    pub fn at_x(&self, figure: f64) -> f64 {
        self.left + self.x.place(figure) * (self.width - self.left - RIGHT)
    }

    /// Where a figure of the vertical axis lies; the middle where there is none.
    pub fn at_y(&self, figure: f64) -> f64 {
        let part = self.y.as_ref().map_or(0.5, |axis| axis.place(figure));
        self.height - BELOW - part * (self.height - BELOW - ABOVE)
    }

    fn path(&self, points: impl Iterator<Item = (f64, f64)>) -> String {
        let mut path = String::new();
        for (at, (x, y)) in points.enumerate() {
            let _ = write!(path, "{}{:.1} {:.1}", if at == 0 { "M" } else { "L" }, self.at_x(x), self.at_y(y));
        }
        path
    }

    /// A line with this class.
    pub fn line(&mut self, points: &Points, class: &str) {
        let path = self.path(points.iter().copied());
        let _ = write!(self.body, r#"<path class="line {class}" d="{path}"/>"#);
    }

    /// An area between two outlines, with a tip for who points at it.
    pub fn area(&mut self, low: &Points, high: &Points, class: &str, tip: &str) {
        let path = self.path(high.iter().copied().chain(low.iter().rev().copied()));
        let tip = escaped(tip);
        let _ = write!(self.body, r#"<path class="area {class}" d="{path}Z"><title>{tip}</title></path>"#);
    }

    /// A label beside the right edge, at the height of a figure.
    pub fn label(&mut self, figure: f64, text: &str, class: &str) {
        let y = self.at_y(figure);
        self.labels.push((y, text.into(), class.into()));
    }

    /// A bar from one figure to another at a height on paper.
    pub fn bar(&mut self, from: f64, to: f64, (top, thick): (f64, f64), class: &str, tip: &str) {
        let (x, end, tip) = (self.at_x(from), self.at_x(to), escaped(tip));
        let _ = write!(
            self.body,
            r#"<rect class="area {class}" x="{x:.1}" y="{top:.1}" width="{:.1}" height="{thick:.1}"><title>{tip}</title></rect>"#,
            (end - x).max(0.0)
        );
    }

    /// An upright stroke at a figure, at a height on paper.
    pub fn stroke(&mut self, at: f64, (top, bottom): (f64, f64), class: &str) {
        let x = self.at_x(at);
        let _ = write!(self.body, r#"<path class="{class}" d="M{x:.1} {top:.1}L{x:.1} {bottom:.1}"/>"#);
    }

    /// A level stroke from one figure to another, at a height on paper.
    pub fn span(&mut self, from: f64, to: f64, y: f64, class: &str) {
        let (from, to) = (self.at_x(from), self.at_x(to));
        let _ = write!(self.body, r#"<path class="{class}" d="M{from:.1} {y:.1}L{to:.1} {y:.1}"/>"#);
    }

    /// A mark whose shape goes with its number, at a figure and a height on paper.
    pub fn mark(&mut self, at: f64, y: f64, number: usize, tip: &str) {
        let (x, tip) = (self.at_x(at), escaped(tip));
        let _ = write!(
            self.body,
            r#"<path class="mark p{}" d="{}"><title>{tip}</title></path>"#,
            number % 8,
            shape(number, x, y)
        );
    }

    /// A mark at a place on paper.
    pub fn mark_on_paper(&mut self, (x, y): (f64, f64), number: usize) {
        let _ = write!(self.body, r#"<path class="mark p{}" d="{}"/>"#, number % 8, shape(number, x, y));
    }

    /// Text at a place on paper; `anchor` is `start`, `middle` or `end`.
    pub fn text(&mut self, (x, y): (f64, f64), anchor: &str, text: &str) {
        let text = escaped(text);
        let _ = write!(self.body, r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{text}</text>"#);
    }

    /// The left and the right edge of the frame on paper.
    pub fn edges(&self) -> (f64, f64) {
        (self.left, self.width - RIGHT)
    }

    /// The finished drawing.
    pub fn svg(mut self) -> String {
        let axes = self.axes();
        self.write_labels();
        let (width, height, says) = (self.width, self.height, escaped(&self.says));
        format!("<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{says}\">{axes}{}</svg>\n", self.body)
    }

    fn axes(&self) -> String {
        let (left, right) = self.edges();
        let (top, bottom) = (ABOVE, self.height - BELOW);
        let mut out = String::new();
        for (figure, label) in &self.x.ticks {
            let x = self.at_x(*figure);
            let _ = write!(out, r#"<path class="grid" d="M{x:.1} {top}L{x:.1} {bottom}"/>"#);
            let _ = write!(out, r#"<text x="{x:.1}" y="{:.1}" text-anchor="middle">{label}</text>"#, bottom + 15.0);
        }
        let middle = (left + right) / 2.0;
        let (title, y) = (escaped(&self.x.title), self.height - 8.0);
        let _ = write!(out, r#"<text class="title" x="{middle:.1}" y="{y}" text-anchor="middle">{title}</text>"#);
        let _ = write!(out, r#"<path class="axis" d="M{left} {top}L{left} {bottom}L{right} {bottom}"/>"#);
        let Some(axis) = &self.y else { return out };
        for (figure, label) in &axis.ticks {
            let y = self.at_y(*figure);
            let _ = write!(out, r#"<path class="grid" d="M{left} {y:.1}L{right} {y:.1}"/>"#);
            let _ = write!(out, r#"<text x="{:.1}" y="{:.1}" text-anchor="end">{label}</text>"#, left - 6.0, y + 4.0);
        }
        let (title, y) = (escaped(&axis.title), (top + bottom) / 2.0);
        let _ = write!(
            out,
            r#"<text class="title" transform="translate(14 {y:.1}) rotate(-90)" text-anchor="middle">{title}</text>"#
        );
        out
    }

    /// Labels from the lowest up, each at least a line above the one below it; those pushed out of the frame move
    /// all below them down again.
    fn write_labels(&mut self) {
        self.labels.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut places: Vec<f64> = Vec::with_capacity(self.labels.len());
        for (best, ..) in &self.labels {
            let above = places.last().map_or(f64::INFINITY, |last| last - APART);
            places.push(best.min(above).min(self.height - BELOW + 4.0));
        }
        let mut least = ABOVE;
        for place in places.iter_mut().rev() {
            *place = place.max(least);
            least = *place + APART;
        }
        let (_, right) = self.edges();
        for ((best, text, class), y) in std::mem::take(&mut self.labels).into_iter().zip(places) {
            let (near, far, text) = (right + 2.0, right + 12.0, escaped(&text));
            // A line's label has a piece of the line before it, long enough to show its dashes.
            let sample = if class.starts_with("line") { 26.0 } else { 0.0 };
            let _ =
                write!(self.body, r#"<path class="lead {class}" d="M{near:.1} {best:.1}L{far:.1} {y:.1}h{sample}"/>"#);
            let _ = write!(self.body, r#"<text x="{:.1}" y="{:.1}">{text}</text>"#, far + sample + 3.0, y + 4.0);
        }
    }
}

/// Outlines of marks: round, square, triangle, diamond, upside-down triangle, then the same again.
fn shape(number: usize, x: f64, y: f64) -> String {
    let closed = |points: &[(f64, f64)]| {
        let mut path = String::new();
        for (at, (dx, dy)) in points.iter().enumerate() {
            let _ = write!(path, "{}{:.1} {:.1}", if at == 0 { "M" } else { "L" }, x + dx, y + dy);
        }
        path + "Z"
    };
    match number % 5 {
        0 => format!("M{:.1} {y:.1}a5 5 0 1 0 10 0a5 5 0 1 0 -10 0Z", x - 5.0),
        1 => closed(&[(-4.5, -4.5), (4.5, -4.5), (4.5, 4.5), (-4.5, 4.5)]),
        2 => closed(&[(0.0, -6.0), (5.5, 4.5), (-5.5, 4.5)]),
        3 => closed(&[(0.0, -6.5), (6.5, 0.0), (0.0, 6.5), (-6.5, 0.0)]),
        _ => closed(&[(0.0, 6.0), (5.5, -4.5), (-5.5, -4.5)]),
    }
}
