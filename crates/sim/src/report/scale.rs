//! Axes: from figures to places on paper, with ticks at round numbers.
//!
//! Floating point is for drawing only; no figure that is printed in a table comes from here.

/// Seconds of a minute, an hour and a day.
const MINUTE: f64 = 60.0;
const HOUR: f64 = 3600.0;
const DAY: f64 = 86_400.0;
/// Round waits, from a second to a year.
const WAITS: [(f64, &str); 13] = [
    (1.0, "1 s"),
    (10.0, "10 s"),
    (MINUTE, "1 min"),
    (10.0 * MINUTE, "10 min"),
    (HOUR, "1 h"),
    (6.0 * HOUR, "6 h"),
    (DAY, "1 d"),
    (4.0 * DAY, "4 d"),
    (10.0 * DAY, "10 d"),
    (30.0 * DAY, "30 d"),
    (100.0 * DAY, "100 d"),
    (365.0 * DAY, "1 y"),
    (3650.0 * DAY, "10 y"),
];

/// How figures are spread over an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spread {
    /// Evenly.
    Linear,
    /// By their logarithm.
    Log,
}

/// One axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    spread: Spread,
    /// The least and the most that is shown.
    range: (f64, f64),
    /// What is marked: the figure and its label.
    pub ticks: Vec<(f64, String)>,
    /// What it shows, with its unit.
    pub title: String,
}

impl Axis {
    /// From 0 to at least `most`, evenly.
    pub fn linear(most: f64, title: &str) -> Axis {
        let most = if most > 0.0 { most } else { 1.0 };
        let step = round_step(most / 5.0);
        let top = (most / step).ceil().max(1.0) * step;
        let count = (top / step).round() as u32;
        let ticks = (0..=count).map(|at| f64::from(at) * step).map(|at| (at, short(at, step))).collect();
        Axis { spread: Spread::Linear, range: (0.0, top), ticks, title: title.into() }
    }

    /// Time since the beginning, in seconds, up to exactly `most`.
    pub fn time(most: f64) -> Axis {
        let (unit, name) = if most >= 3.0 * DAY {
            (DAY, "days")
        } else if most >= 3.0 * HOUR {
            (HOUR, "hours")
        } else if most >= 3.0 * MINUTE {
            (MINUTE, "minutes")
        } else {
            (1.0, "seconds")
        };
        let step = round_step(most.max(1.0) / unit / 8.0).max(1.0);
        let count = (most / unit / step).floor() as u32;
        let ticks = (0..=count).map(|at| f64::from(at) * step).map(|at| (at * unit, short(at, step))).collect();
        let title = format!("time since the first submission ({name})");
        Axis { spread: Spread::Linear, range: (0.0, most.max(1.0)), ticks, title }
    }

    /// Waits in seconds up to at least `most`, by their logarithm; less than a second is shown as one.
    pub fn waits(most: f64, title: &str) -> Axis {
        let last = WAITS.iter().position(|(at, _)| *at >= most).unwrap_or(WAITS.len() - 1).max(2);
        let ticks: Vec<(f64, String)> = WAITS[..=last].iter().map(|(at, name)| (*at, (*name).to_owned())).collect();
        Axis { spread: Spread::Log, range: (1.0, WAITS[last].0), ticks, title: title.into() }
    }

    /// Ratios from 1 up to at least `most`, by their logarithm.
    pub fn ratios(most: f64, title: &str) -> Axis {
        let (mut top, mut ticks) = (1.0, vec![(1.0, "1".to_owned())]);
        'out: for decade in 0..12 {
            for part in [2.0, 5.0, 10.0] {
                if top >= most && ticks.len() > 2 {
                    break 'out;
                }
                top = part * 10f64.powi(decade);
                ticks.push((top, short(top, top)));
            }
        }
        if ticks.len() > 8 {
            let whole = |at: f64| (at.log10() - at.log10().round()).abs() < 1e-9;
            ticks.retain(|(at, _)| whole(*at));
        }
        Axis { spread: Spread::Log, range: (1.0, top), ticks, title: title.into() }
    }

    /// Where a figure lies, from 0 to 1; what is beyond the range lies on its edge.
    pub fn place(&self, figure: f64) -> f64 {
        let (least, most) = self.range;
        let part = match self.spread {
            Spread::Linear => (figure - least) / (most - least),
            Spread::Log => figure.max(least).ln() / most.ln(),
        };
        part.clamp(0.0, 1.0)
    }
}

/// The next of 1, 2, 5 times a power of ten.
fn round_step(least: f64) -> f64 {
    let power = 10f64.powi(least.log10().floor() as i32);
    let steps = [1.0, 2.0, 5.0, 10.0].map(|part| part * power);
    steps.into_iter().find(|step| *step >= least * (1.0 - 1e-9)).unwrap_or(10.0 * power)
}

/// A round figure in few letters: `0.5`, `40`, `12k`.
fn short(figure: f64, step: f64) -> String {
    if figure >= 1e6 && step >= 1e5 {
        return trimmed(figure / 1e6, "M");
    }
    if figure >= 10_000.0 && step >= 100.0 {
        return trimmed(figure / 1e3, "k");
    }
    trimmed(figure, "")
}

fn trimmed(figure: f64, unit: &str) -> String {
    let text = format!("{figure:.2}");
    format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> String {
        axis.ticks.iter().map(|(_, label)| label.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn ticks_are_round_and_hold_the_most() {
        let table = [
            (Axis::linear(0.9, ""), "0 0.2 0.4 0.6 0.8 1"),
            (Axis::linear(2490.0, ""), "0 500 1000 1500 2000 2500"),
            (Axis::linear(48_000.0, ""), "0 10k 20k 30k 40k 50k"),
            (Axis::linear(0.0, ""), "0 0.2 0.4 0.6 0.8 1"),
            (Axis::time(2.0 * HOUR), "0 20 40 60 80 100 120"),
            (Axis::time(9.5 * DAY), "0 2 4 6 8"),
            (Axis::waits(7200.0, ""), "1 s 10 s 1 min 10 min 1 h 6 h"),
            (Axis::ratios(3.0, ""), "1 2 5"),
            (Axis::ratios(30_000.0, ""), "1 10 100 1000 10k"),
        ];
        for (axis, want) in table {
            assert_eq!(labels(&axis), want);
        }
    }

    #[test]
    fn places_run_from_edge_to_edge() {
        let axis = Axis::waits(7200.0, "");
        assert_eq!((axis.place(0.0), axis.place(6.0 * HOUR), axis.place(1e9)), (0.0, 1.0, 1.0));
        let axis = Axis::linear(10.0, "");
        assert_eq!((axis.place(5.0), axis.place(-1.0)), (0.5, 0.0));
    }
}
