//! How well a start is foretold to whoever has just submitted: what was told, beside what came.
use crate::order::settings;
use crate::work::{self, tenths};
use madang_model::{Span, Time};
use madang_sim::trial;
use madang_sim::trial::madang::Told;
use std::path::Path;

/// One in so many jobs asks.
const EVERY: usize = 10;
/// A start is met when it comes within this of what was told, or within a tenth of the wait.
const NEAR: Span = Span::from_mins(10);

/// On recipes alone: a forecast runs the whole queue forward, and Philly's is long.
pub fn print(_: Option<&Path>) {
    println!("## Foretold starts\n");
    println!("| work | asked | by | told | median error, min | within 10 min or a tenth | started by then |");
    println!("|---|--:|---|--:|--:|--:|--:|");
    for case in work::cases(None, &[1]) {
        let work = &case.works[0];
        let default = madang_model::Policy::default();
        let settings = settings("madang", default.prediction, default.patience);
        let (outcome, told) = trial::madang::told(work, &case.machine, &settings, EVERY).expect("it can be tried");
        let mut starts = vec![Time::MAX; work.jobs.len()];
        for run in &outcome.runs {
            starts[run.job as usize] = starts[run.job as usize].min(run.start);
        }
        let name = case.title.split([',', ';']).next().unwrap_or_default();
        type By = (&'static str, fn(&Told) -> Option<Time>);
        let ways: [By; 3] = [
            ("promise", |told| told.promise),
            ("limits", |told| told.limits.start()),
            ("predicted times", |told| told.predicted.start()),
        ];
        for (by, of) in ways {
            let pairs: Vec<(Time, Time, Time)> =
                told.iter().filter_map(|one| Some((one.asked, of(one)?, starts[one.job as usize]))).collect();
            println!("| {name} | {} | {by} | {} |", told.len(), figures(&pairs));
        }
    }
    println!();
}

fn figures(pairs: &[(Time, Time, Time)]) -> String {
    let count = pairs.len().max(1);
    let off = |told: Time, start: Time| Span::from_millis(told.millis().abs_diff(start.millis()));
    let mut errors: Vec<Span> = pairs.iter().map(|(_, told, start)| off(*told, *start)).collect();
    errors.sort_unstable();
    let near = pairs.iter().filter(|(asked, told, start)| {
        let bound = NEAR.max(Span::from_millis(start.since(*asked).millis() / 10));
        off(*told, *start) <= bound
    });
    let by_then = pairs.iter().filter(|(_, told, start)| start <= told).count();
    let median = errors.get(errors.len() / 2).copied().unwrap_or(Span::ZERO);
    let percent = |part: usize| format!("{}%", part * 100 / count);
    format!(
        "{} | {} | {} | {}",
        pairs.len(),
        tenths(median, Span::from_mins(1)),
        percent(near.count()),
        percent(by_then)
    )
}
