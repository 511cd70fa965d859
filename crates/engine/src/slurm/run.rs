//! A run as the engine's thread watches it: where it stands, and what its record and Slurm's word make of it together.
use crate::order::Order;
use crate::record::{EndRecord, Record, now};
use crate::slurm::carrier::Likeness;
use crate::slurm::listing::{JobLine, JobWord, OverWord};
use crate::wire::Command;
use madang_model::{Outcome, RunId, Span, StopCause, Time};
use std::time::{Duration, Instant};

/// How long a record may take to show what Slurm already knows: a shared folder is not the same everywhere at once.
const SETTLES: Duration = Duration::from_secs(5);
/// How long a run may go on that Slurm has given up, until it has read that it is to end.
const FENCED: Duration = Duration::from_secs(20);
/// How long a started run may wait in Slurm for what the core believes free.
const WAITS: Duration = Duration::from_secs(120);

/// A run that is known here.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    /// What to start, until it has begun.
    pub order: Option<Box<Order>>,
    pub phase: Phase,
    /// How often it was submitted.
    pub tries: u32,
    /// All that its shepherd was told.
    pub mail: Vec<Command>,
    pub stop: Option<Stop>,
    pub started: Option<Time>,
    pub ended: Option<EndRecord>,
    /// What another run must be like to follow it in the same Slurm job; `None` where none may.
    pub likeness: Option<Likeness>,
    /// When Slurm ends its job at the earliest.
    pub ends: Option<Instant>,
    /// The run by whose name its Slurm job goes, where it is not its own.
    pub carrier: Option<RunId>,
    /// Since when Slurm says that it is over, or knows nothing of it.
    pub over: Option<Instant>,
    /// Since when it waits in Slurm.
    pub waits: Option<Instant>,
}

/// How far a start has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    /// A former server's; whether it was submitted is not known, and nobody has asked for it yet.
    #[default]
    Adopted,
    /// To be submitted.
    Send,
    /// With those who submit it.
    Sending,
    /// Handed to a job that had stayed for another run.
    Handed(Instant),
    /// Submitted or not: what Slurm is asked after this moment tells.
    LookUp(Instant),
    /// Slurm has acknowledged it.
    Sent(Instant),
}

/// A run that is to end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stop {
    pub cause: StopCause,
    /// When Slurm is asked to end it, should its shepherd not have.
    pub cancel_at: Instant,
}

/// What is to be done about a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It goes its way.
    Wait,
    /// It is over, and its record says how.
    Settle(EndRecord),
    /// Nothing writes its record any more: this is its end.
    Bury(EndRecord),
    /// Slurm has given it up, but it may live: it is to be told to end.
    Fence,
    /// It is not in Slurm and has not begun.
    Submit,
    /// It is not to begin, for this reason, and the core may try again.
    TakeBack(String),
    /// It cannot begin.
    Fail(String),
}

impl Watched {
    /// What to do, by the record (as read after `jobs` was asked for at `asked`) and Slurm's word.
    pub fn judge(&mut self, record: Option<&Record>, job: Option<&JobLine>, asked: Instant) -> Verdict {
        let is_gone = job.is_none_or(|job| matches!(job.state, JobWord::Over(_)));
        if !is_gone {
            self.over = None;
        }
        let Some(record) = record else { return self.judge_unbegun(job, asked) };
        self.waits = None;
        if let Some(ended) = &record.ended {
            return self.judge_ended(ended, job);
        }
        if !is_gone || (job.is_none() && !self.was_sent_before(asked)) {
            return Verdict::Wait;
        }
        let since = self.over.get_or_insert_with(Instant::now).elapsed();
        let may_live = matches!(job.map(|job| job.state), None | Some(JobWord::Over(OverWord::NodeFail)));
        match (may_live, since) {
            (true, since) if since < FENCED => Verdict::Fence,
            (false, since) if since < SETTLES => Verdict::Wait,
            _ => Verdict::Bury(self.lost(record, job)),
        }
    }

    fn was_sent_before(&self, asked: Instant) -> bool {
        match self.phase {
            Phase::Sent(at) | Phase::LookUp(at) => at < asked,
            Phase::Adopted => true,
            Phase::Send | Phase::Sending | Phase::Handed(_) => false,
        }
    }

    fn judge_unbegun(&mut self, job: Option<&JobLine>, asked: Instant) -> Verdict {
        let Some(job) = job else {
            let is_wanted = self.order.is_some() && self.was_sent_before(asked);
            return if is_wanted { Verdict::Submit } else { Verdict::Wait };
        };
        match job.state {
            JobWord::Pending => {
                let since = self.waits.get_or_insert_with(Instant::now).elapsed();
                // A node that was drained meanwhile, as by a prolog that failed: the core knows of others.
                let patience = if job.reason.starts_with("ReqNodeNotAvail") { SETTLES } else { WAITS };
                match hopeless(&job.reason) {
                    true => Verdict::Fail(format!("Slurm will not start it: {}", job.reason)),
                    false if since > patience => Verdict::TakeBack(format!("Slurm does not start it: {}", job.reason)),
                    false => Verdict::Wait,
                }
            }
            JobWord::Active | JobWord::Completing => Verdict::Wait,
            JobWord::Over(word) => {
                let since = self.over.get_or_insert_with(Instant::now).elapsed();
                match (since < SETTLES, word) {
                    (true, _) => Verdict::Wait,
                    (false, OverWord::NodeFail | OverWord::Preempted) => {
                        Verdict::TakeBack("Slurm lost it before it began".to_owned())
                    }
                    // Slurm itself cancels what a node refuses, as after a controller that gave a job id out twice.
                    (false, OverWord::Cancelled) if self.tries < 3 && self.order.is_some() => Verdict::Submit,
                    (false, OverWord::Cancelled) => Verdict::Bury(EndRecord {
                        outcome: Outcome::Cancelled,
                        ..EndRecord::never_began(format!("job {} was cancelled in Slurm", job.id))
                    }),
                    (false, _) => Verdict::Fail(format!(
                        "its Slurm job {} ended before the script began: is the shared folder on the node?",
                        job.id
                    )),
                }
            }
        }
    }

    /// A run that Slurm ended knows that, but not why; Slurm does, a moment later.
    fn judge_ended(&mut self, ended: &EndRecord, job: Option<&JobLine>) -> Verdict {
        if !ended.outside {
            return Verdict::Settle(ended.clone());
        }
        let since = self.over.get_or_insert_with(Instant::now).elapsed();
        match job.map(|job| job.state) {
            Some(JobWord::Over(word)) => {
                let (outcome, note) = by_slurm(word);
                Verdict::Settle(EndRecord { outcome, note: note.to_owned(), ..ended.clone() })
            }
            _ if since < SETTLES => Verdict::Wait,
            _ => Verdict::Settle(ended.clone()),
        }
    }

    /// The end of a run whose shepherd could not write it.
    fn lost(&self, record: &Record, job: Option<&JobLine>) -> EndRecord {
        let began = record.started.as_ref().map(|started| started.at);
        let (outcome, note) = match (job.map(|job| job.state), began) {
            (_, None) => (Outcome::LaunchFailed, "it was killed before its script began"),
            (Some(JobWord::Over(word)), Some(_)) => by_slurm(word),
            _ => (Outcome::NodeFailed, "Slurm no longer knows it"),
        };
        let at = job.and_then(|job| job.end).unwrap_or_else(now).max(began.unwrap_or_default());
        let outcome = self.stop.map_or(outcome, |stop| stopped(stop.cause));
        EndRecord { started: began, at, outcome, signal: 9, ..EndRecord::never_began(note.to_owned()) }
    }

    /// The end of a run that is stopped before it began.
    pub fn never(cause: StopCause) -> EndRecord {
        EndRecord { outcome: stopped(cause), ..EndRecord::never_began("stopped before it began".to_owned()) }
    }

    /// Notes that it is to end; the first cause counts.
    pub fn note_stop(&mut self, cause: StopCause, grace: Span) {
        let grace = match cause {
            StopCause::Preempted { grace, .. } | StopCause::Moved { grace } => grace,
            _ => grace,
        };
        let wait = Duration::from_millis(grace.millis()) + FENCED;
        let now = Instant::now();
        let cancel_at = now.checked_add(wait).unwrap_or(now);
        self.stop.get_or_insert(Stop { cause, cancel_at });
    }
}

/// Reasons for which a job waits in Slurm and would wait for ever.
fn hopeless(reason: &str) -> bool {
    const FOR_EVER: [&str; 12] = [
        "PartitionTimeLimit",
        "PartitionNodeLimit",
        "PartitionDown",
        "PartitionInactive",
        "BadConstraints",
        "InvalidAccount",
        "InvalidQOS",
        "AccountNotAllowed",
        "QOSNotAllowed",
        "JobHeldAdmin",
        "JobHeldUser",
        "DependencyNeverSatisfied",
    ];
    FOR_EVER.contains(&reason) || reason.contains("Max") && reason.contains("PerJob")
}

/// An outcome by Slurm's word, of a run that did not end by itself.
fn by_slurm(word: OverWord) -> (Outcome, &'static str) {
    match word {
        OverWord::Cancelled => (Outcome::Cancelled, "cancelled in Slurm, not here"),
        OverWord::Timeout => (Outcome::TimedOut, "out of time in Slurm"),
        OverWord::Preempted => (Outcome::Preempted, "taken back by Slurm for another job"),
        OverWord::OutOfMemory => (Outcome::OutOfMemory, "over its memory limit, by Slurm's word"),
        OverWord::NodeFail => (Outcome::NodeFailed, "Slurm lost a node of it"),
        OverWord::Completed | OverWord::Failed => (Outcome::NodeFailed, "its shepherd was killed on its node"),
    }
}

/// An outcome by the reason why it was stopped.
fn stopped(cause: StopCause) -> Outcome {
    match cause {
        StopCause::Cancelled | StopCause::Stale => Outcome::Cancelled,
        StopCause::Limit => Outcome::TimedOut,
        StopCause::Requeue => Outcome::Requeued,
        StopCause::NodeLost => Outcome::NodeFailed,
        StopCause::Preempted { .. } | StopCause::Moved { .. } => Outcome::Preempted,
    }
}
