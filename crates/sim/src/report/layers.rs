//! Who holds how much of the estate over time, integrated exactly from the runs of an outcome.
use crate::trial::{How, Outcome, Workload};
use madang_model::Time;
use std::cmp::Reverse;

/// Stretches that the time is cut into.
pub const BUCKETS: usize = 240;
/// Owners that have a layer of their own; the others share one.
const NAMED: usize = 7;

/// Thousandths of a GPU times milliseconds, over equal stretches of time.
pub type Row = Vec<u128>;

/// The estate over time, in layers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layers {
    /// Milliseconds of a stretch; the last may reach beyond the window.
    pub step: u64,
    /// Layers from the ground up: the name and what it holds.
    pub owners: Vec<(String, Row)>,
    /// What all owners hold together.
    pub busy: Row,
    /// Of that, what was lost to runs that were taken back and to broken nodes.
    pub lost: Row,
    /// Runs taken back.
    pub taken_back: Vec<u64>,
}

impl Layers {
    /// Of an outcome, up to a moment.
    pub fn of(workload: &Workload, outcome: &Outcome, until: Time) -> Layers {
        let step = (until.millis().div_ceil(BUCKETS as u64)).max(1);
        let (names, layer) = layers(workload);
        let mut layers = Layers {
            step,
            owners: names.into_iter().map(|name| (name, vec![0; BUCKETS])).collect(),
            busy: vec![0; BUCKETS],
            lost: vec![0; BUCKETS],
            taken_back: vec![0; BUCKETS],
        };
        for run in &outcome.runs {
            let job = &workload.jobs[run.job as usize];
            let gang = u128::from(run.milli);
            let (start, end) = (run.start.millis(), run.end.millis());
            add(&mut layers.owners[layer[job.owner as usize]].1, step, (start, end), gang);
            add(&mut layers.busy, step, (start, end), gang);
            if matches!(run.how, How::TakenBack | How::NodeLost | How::Resized) {
                add(&mut layers.lost, step, (start + run.kept.millis(), end), gang);
            }
            if run.how == How::TakenBack
                && let Some(count) = layers.taken_back.get_mut((end / step) as usize)
            {
                *count += 1;
            }
        }
        layers
    }
}

/// Names of the layers, and the layer of each owner: the largest by weight stand alone, so that layers mean the same
/// under every policy and seed.
fn layers(workload: &Workload) -> (Vec<String>, Vec<usize>) {
    let mut order: Vec<usize> = (0..workload.owners.len()).collect();
    let mut asked = vec![0u128; workload.owners.len()];
    for job in &workload.jobs {
        asked[job.owner as usize] += u128::from(job.milli()) * u128::from(job.runtime.millis());
    }
    order.sort_by_key(|owner| (Reverse(asked[*owner]), *owner));
    let alone = if order.len() > NAMED + 1 { NAMED } else { order.len() };
    let mut layer = vec![alone; order.len()];
    order[..alone].iter().enumerate().for_each(|(at, owner)| layer[*owner] = at);
    let mut names: Vec<String> = order[..alone].iter().map(|owner| workload.owners[*owner].name.clone()).collect();
    if alone < order.len() {
        names.push(format!("{} others", order.len() - alone));
    }
    (names, layer)
}

/// So many thousandths of a GPU are held over a stretch of time.
fn add(row: &mut Row, step: u64, (start, end): (u64, u64), milli: u128) {
    let mut at = start;
    while at < end {
        let bucket = at / step;
        let Some(sum) = row.get_mut(bucket as usize) else { return };
        let next = ((bucket + 1) * step).min(end);
        *sum += milli * u128::from(next - at);
        at = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{outcome, workload};

    #[test]
    fn layers_sum_to_what_is_busy_and_to_all_runs() {
        let (workload, outcome) = (workload(), outcome());
        let layers = Layers::of(&workload, &outcome, outcome.end);
        assert_eq!(layers.owners.len(), NAMED + 1);
        for at in 0..BUCKETS {
            assert_eq!(layers.owners.iter().map(|(_, row)| row[at]).sum::<u128>(), layers.busy[at], "stretch {at}");
        }
        let all = outcome.runs.iter().map(|run| u128::from(run.milli) * u128::from(run.end.since(run.start).millis()));
        assert_eq!(layers.busy.iter().sum::<u128>(), all.sum::<u128>());
        assert_eq!(layers.taken_back.iter().sum::<u64>(), 1);
    }
}
