//! How nodes and the fleet fare, as callers see it.

use madang_api::{FaultView, SignView, StopsView};
use madang_centre::{Centre, Fault, How, Seen, Weight};
use madang_model::{Job, JobId, NodeId, Span, Time};

/// From this chance of a stop on, in thousandths, a job that declares no checkpoints is told.
const TOLD_FROM: u32 = 100;

/// What the fleet's history says to a job.
pub fn stops(centre: &Centre, job: &Job) -> Option<StopsView> {
    let advice = centre.advice(job)?;
    Some(StopsView {
        gpu_hours_between: advice.gpu_hours,
        seen: advice.seen.0,
        gpu_hours_served: advice.seen.1,
        mean_secs: advice.mean.secs(),
        chance_per_mille: advice.chance,
        checkpoint_cost_secs: advice.cost.secs(),
        checkpoint_cost_known: advice.is_cost_known,
        checkpoint_every_secs: advice.every.secs().max(1),
        declared_every_secs: job.spec.checkpoint.map(Span::secs),
        last_checkpoint_ms: job.saved.map(Time::millis),
    })
}

/// What someone should know who submits a job that will likely be stopped and says nothing of checkpoints.
pub fn hint(centre: &Centre, job: &Job) -> Option<String> {
    let advice = centre.advice(job).filter(|advice| job.spec.checkpoint.is_none() && advice.chance >= TOLD_FROM)?;
    let (percent, mean, every) = ((advice.chance + 5) / 10, coarse(advice.mean), coarse(advice.every));
    Some(format!(
        "a fault stops it before its limit with a chance of {percent}% (on average one in {mean}) and it declares no \
         checkpoints: write one about every {every}, and say so with --checkpoint"
    ))
}

/// A length without what nobody plans by.
fn coarse(length: Span) -> Span {
    Span::from_secs(match length.secs() {
        secs @ 0..600 => secs,
        secs @ 600..86_400 => secs - secs % 60,
        secs => secs - secs % 3_600,
    })
}

/// What is held against a node; `sees` says of which jobs the caller may know.
pub fn faults(centre: &Centre, node: NodeId, sees: &dyn Fn(JobId) -> bool) -> (bool, Vec<FaultView>) {
    let view = |fault: &Fault| FaultView {
        at_ms: fault.at.millis(),
        job: Some(fault.run.job).filter(|job| sees(*job)).map(JobId::number),
        attempt: fault.run.attempt,
        how: match fault.how {
            How::Lost => "lost".into(),
            How::Launch => "launch".into(),
        },
        suspects: u32::try_from(fault.on.len()).unwrap_or(u32::MAX),
    };
    match centre.drained_by_rule(node) {
        Some(faults) => (true, faults.iter().map(view).collect()),
        None => (false, centre.faults_of(node).iter().map(view).collect()),
    }
}

/// The last signs of a node.
pub fn signs(centre: &Centre, node: NodeId) -> Vec<SignView> {
    let Some(rules) = centre.founding().map(|base| &base.policy.nodes) else { return Vec::new() };
    let view = |seen: &Seen| SignView {
        at_ms: seen.at.millis(),
        text: seen.sign.words(),
        weight: match seen.sign.weight(rules) {
            Weight::Note => "note".into(),
            Weight::Warn => "warn".into(),
            Weight::Drain => "drain".into(),
        },
    };
    centre.signs_of(node).map(view).collect()
}
