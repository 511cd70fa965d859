//! One simulation from its seed to its end.
use crate::faults::Strikes;
use crate::world::{Pause, Sim};
use madang_centre::input::Submission;
use madang_centre::{Centre, drive};
use madang_model::{JobState, Part};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What to simulate.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Everything random comes from this.
    pub seed: u64,
    /// Batches with faults, before healing.
    pub steps: u64,
    /// Print every input and effect.
    pub verbose: bool,
}

/// How often what is rare was asked for, in submissions that were accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// With a deadline.
    pub deadlines: u64,
    /// With a shortest limit.
    pub shortest: u64,
    /// With several models or features to choose from, or several partitions.
    pub choices: u64,
    /// With a size that may differ.
    pub elastic: u64,
}

impl Wishes {
    /// Counts a submission.
    pub fn count(&mut self, job: &Submission) {
        let several = |part: &Part| part.model.iter().chain(&part.features).any(|choice| choice.words().len() > 1);
        self.deadlines += u64::from(job.deadline.is_some());
        self.shortest += u64::from(job.limit_min.is_some());
        self.choices += u64::from(job.parts.iter().any(several) || !job.also.is_empty());
        self.elastic += u64::from(job.elastic.is_some());
    }

    fn add(&mut self, other: &Wishes) {
        self.deadlines += other.deadlines;
        self.shortest += other.shortest;
        self.choices += other.choices;
        self.elastic += other.elastic;
    }
}

/// What a simulation lived through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Batches.
    pub steps: u64,
    /// Inputs.
    pub inputs: u64,
    /// Submissions accepted.
    pub accepted: u64,
    /// Jobs ended, array tasks counted each.
    pub ended: u64,
    /// Runs begun.
    pub starts: u64,
    /// Runs told to make room for another job.
    pub taken: u64,
    /// Runs told to leave for a larger place of their own; runs begun with more, or with fewer, nodes than the one before.
    pub resized: [u64; 3],
    /// Runs told to go on elsewhere.
    pub moved: u64,
    /// Stops of runs that were given up at lost sites; and jobs begun again while such a one really lived.
    pub fenced: [u64; 2],
    /// How often what is rare was asked for.
    pub wishes: Wishes,
    /// Jobs that their deadline ended: as they waited, and as they ran.
    pub missed: [u64; 2],
    /// Reports that did not fit and were survived.
    pub anomalies: u64,
    /// How often each fault struck.
    pub strikes: Strikes,
}

impl Summary {
    /// Those of another simulation besides.
    pub fn add(&mut self, other: &Summary) {
        self.steps += other.steps;
        self.inputs += other.inputs;
        self.accepted += other.accepted;
        self.ended += other.ended;
        self.starts += other.starts;
        self.taken += other.taken;
        self.resized.iter_mut().zip(other.resized).for_each(|(sum, more)| *sum += more);
        self.moved += other.moved;
        self.fenced.iter_mut().zip(other.fenced).for_each(|(sum, more)| *sum += more);
        self.wishes.add(&other.wishes);
        self.missed.iter_mut().zip(other.missed).for_each(|(sum, more)| *sum += more);
        self.anomalies += other.anomalies;
        self.strikes.add(&other.strikes);
    }
}

/// A broken promise of the core, and how to see it again.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The plan that shows it.
    pub plan: Plan,
    /// The batch after which it showed.
    pub step: u64,
    /// What.
    pub what: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plan { seed, steps, .. } = self.plan;
        writeln!(f, "seed {seed} failed at step {}: {}", self.step, self.what)?;
        write!(f, "repeat: cargo xtask sim --seed {seed} --steps {steps} --verbose")
    }
}

/// Simulates a seed with this many batches of faults.
pub fn run(seed: u64, steps: u64) -> Result<Summary, Failure> {
    run_plan(Plan { seed, steps, verbose: false })
}

/// Simulates a plan.
pub fn run_plan(plan: Plan) -> Result<Summary, Failure> {
    let mut sim = Sim::new(plan.seed, plan.steps, plan.verbose);
    let lived = catch_unwind(AssertUnwindSafe(|| live(&mut sim)));
    let what = match lived {
        Ok(Ok(summary)) => return Ok(summary),
        Ok(Err(what)) => what,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            format!("panicked: {}", text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message"))
        }
    };
    Err(Failure { plan, step: sim.steps, what })
}

/// The first jobs that are not over, for whoever looks for the cause.
fn unfinished(centre: &Centre) -> String {
    let open = |job: &&madang_model::Job| !matches!(job.state, JobState::Ended { .. });
    let jobs = centre.jobs().filter(open).take(5).map(|job| format!("\n  {} {:?}", job.id, job.state));
    let arrays = centre.arrays().filter(|record| !record.is_over()).take(5);
    let arrays = arrays
        .map(|record| format!("\n  {} waits with {} tasks: {:?}", record.id, record.waiting(), centre.why(record.id)));
    jobs.chain(arrays).collect()
}

fn live(sim: &mut Sim) -> Result<Summary, String> {
    let mut centre = Centre::new();
    loop {
        drive(&mut centre, sim);
        if let Some(what) = sim.failure.take() {
            return Err(format!("{what}{}", unfinished(&centre)));
        }
        match sim.pause.take() {
            Some(Pause::Restart) => {
                centre = sim.journal.restart(&centre)?;
                sim.reconcile(&centre)?;
            }
            Some(Pause::Over) | None => break,
        }
    }
    sim.oracle.finish(&centre)?;
    sim.journal.replay_all(&centre)?;
    let counts = centre.counts();
    Ok(Summary {
        steps: sim.steps,
        inputs: sim.journal.inputs() as u64,
        accepted: sim.oracle.accepted() as u64,
        ended: counts.ended,
        starts: sim.oracle.starts,
        taken: sim.taken,
        resized: sim.resized,
        moved: sim.moved,
        fenced: sim.fenced,
        wishes: sim.wishes,
        missed: sim.oracle.missed,
        anomalies: counts.anomalies,
        strikes: sim.strikes,
    })
}
