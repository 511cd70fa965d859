//! Figures over time and over seeds, as lines and bands.
use super::{Case, Tried};
use crate::trial::{Bands, Frame, How};
use madang_model::Time;

/// Moments that a line over time is drawn from.
const MOMENTS: u64 = 240;
/// Waits that a curve of waits is drawn from.
const STEPS: u32 = 120;

/// A line over time with what lies below and above it over seeds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Band {
    /// The least.
    pub low: Vec<(f64, f64)>,
    /// The mean.
    pub mean: Vec<(f64, f64)>,
    /// The most.
    pub high: Vec<(f64, f64)>,
}

impl Band {
    fn push(&mut self, at: f64, figures: impl Iterator<Item = u64>, parts: f64) {
        let bands = Bands::of(figures);
        self.low.push((at, bands.least as f64 / parts));
        self.mean.push((at, bands.mean as f64 / parts));
        self.high.push((at, bands.most as f64 / parts));
    }

    /// The highest figure.
    pub fn most(&self) -> f64 {
        self.high.iter().map(|(_, figure)| *figure).fold(0.0, f64::max)
    }
}

/// The longest time in which jobs are submitted, over all seeds, in seconds.
pub fn length(cases: &[Case]) -> f64 {
    cases.iter().map(|case| case.until().millis()).max().unwrap_or(1000) as f64 / 1000.0
}

/// A figure of the frames over time, in parts of a unit; the mean over the stretch up to each moment, so that no peak is
/// left out by luck.
pub fn over_time(cases: &[Case], tried: &Tried, figure: impl Fn(&Frame) -> u64, parts: u32) -> Band {
    let until = cases.iter().map(|case| case.until().millis()).max().unwrap_or(1000);
    let mut band = Band::default();
    for moment in 0..=MOMENTS {
        let (from, to) = (until * moment.saturating_sub(1) / MOMENTS, until * moment / MOMENTS);
        let of = tried.outcomes.iter().filter_map(|outcome| stretch(&outcome.frames, from, to, &figure));
        band.push(to as f64 / 1000.0, of, f64::from(parts));
    }
    band
}

fn stretch(frames: &[Frame], from: u64, to: u64, figure: &impl Fn(&Frame) -> u64) -> Option<u64> {
    let end = frames.partition_point(|frame| frame.at <= Time::from_millis(to));
    let begin = frames.partition_point(|frame| frame.at <= Time::from_millis(from)).min(end.saturating_sub(1));
    let some = &frames[begin..end];
    (!some.is_empty()).then(|| some.iter().map(figure).sum::<u64>() / some.len() as u64)
}

/// Runs taken back up to each moment.
pub fn taken_back(cases: &[Case], tried: &Tried) -> Band {
    let until = cases.iter().map(|case| case.until().millis()).max().unwrap_or(1000);
    let back = |outcome: &crate::trial::Outcome| -> Vec<u64> {
        let runs = outcome.runs.iter().filter(|run| run.how == How::TakenBack);
        let mut ends: Vec<u64> = runs.map(|run| run.end.millis()).collect();
        ends.sort_unstable();
        ends
    };
    let ends: Vec<Vec<u64>> = tried.outcomes.iter().map(back).collect();
    let mut band = Band::default();
    for moment in 0..=MOMENTS {
        let at = until * moment / MOMENTS;
        band.push(at as f64 / 1000.0, ends.iter().map(|ends| ends.partition_point(|end| *end <= at) as u64), 1.0);
    }
    band
}

/// Per cent of jobs that do not wait longer, over waits from a second to `most` seconds.
pub fn waits(cases: &[Case], tried: &Tried, most: f64) -> Band {
    let all: Vec<Vec<u64>> = cases.iter().zip(&tried.outcomes).map(|(case, outcome)| sorted(case, outcome)).collect();
    let mut band = Band::default();
    for step in 0..=STEPS {
        let at = most.powf(f64::from(step) / f64::from(STEPS));
        let millis = (at * 1000.0).round() as u64;
        let part = |waits: &Vec<u64>| {
            waits.partition_point(|wait| *wait <= millis) as u64 * 100_000 / waits.len().max(1) as u64
        };
        band.push(at, all.iter().map(part), 1000.0);
    }
    band
}

/// Waits of all jobs in milliseconds, the shortest first.
fn sorted(case: &Case, outcome: &crate::trial::Outcome) -> Vec<u64> {
    let last = outcome.runs.iter().filter(|run| matches!(run.how, How::Ended | How::TimedOut));
    let wait = |run: &crate::trial::Run| {
        let job = &case.workload.jobs[run.job as usize];
        run.end.since(job.submit).millis().saturating_sub(job.runtime.millis())
    };
    let mut waits: Vec<u64> = last.map(wait).collect();
    waits.sort_unstable();
    waits
}
