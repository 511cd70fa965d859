//! What happens in a trial, written down as it happens. GPUs are counted in thousandths.
use super::floor::Floor;
use super::machine::Machine;
use super::room::Taken;
use super::workload::Workload;
use fixedbitset::FixedBitSet;
use madang_model::{Span, Time};

/// Frames that a trial is looked at in, over the time in which jobs are submitted.
const FRAMES: u64 = 480;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// By itself, well or badly.
    Ended,
    /// Its limit ended it.
    TimedOut,
    /// Taken back for somebody else.
    TakenBack,
    /// Left at a checkpoint, to go on with more nodes.
    Resized,
    /// A node was lost.
    NodeLost,
}

/// One run of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Index of the job in the workload.
    pub job: u32,
    /// When it began.
    pub start: Time,
    /// When it was gone.
    pub end: Time,
    /// GPUs that it held, in thousandths.
    pub milli: u64,
    /// How it ended.
    pub how: How,
    /// How much of it counted: all of it, or what was saved before it was taken back or broke.
    pub kept: Span,
}

/// The estate at a moment; GPUs in thousandths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// When.
    pub at: Time,
    /// Jobs waiting.
    pub waiting: u32,
    /// GPUs that they ask for.
    pub wanted: u64,
    /// GPUs held.
    pub busy: u64,
    /// GPUs of nodes that are down.
    pub lost: u64,
    /// What is free on nodes some GPU of which is held.
    pub stranded: u64,
    /// Of that, what is free of GPUs that jobs hold parts of.
    pub slivers: u64,
    /// GPUs of the largest gang of whole nodes that could start.
    pub largest_gang: u64,
}

/// What came of a trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The policy's name.
    pub policy: String,
    /// Every run, by its end.
    pub runs: Vec<Run>,
    /// The estate over time.
    pub frames: Vec<Frame>,
    /// When the last run was gone.
    pub end: Time,
    /// Promises kept and broken, for policies that make them.
    pub promises: (u64, u64),
    /// GPU-seconds held by parts of gangs that waited for the rest of theirs, for policies that place in parts. They
    /// are in no run.
    pub stalled: u64,
    /// Jobs that were withdrawn as they waited, by time.
    pub withdrawn: Vec<(Time, u32)>,
}

/// Writes a trial down.
pub struct Recorder<'a> {
    workload: &'a Workload,
    /// What is free now; whoever places for a peer looks here.
    pub floor: Floor,
    /// What jobs that run hold, node by node, and since when; the places of others are empty.
    held: Vec<(Time, Vec<(u32, Taken)>)>,
    /// Empty places.
    empty: Vec<u32>,
    /// Each job's place.
    place: Vec<u32>,
    /// The jobs that hold something on each node.
    holders: Vec<Vec<u32>>,
    /// Work of each job that earlier runs have saved, as time on the nodes that the workload says.
    saved: Vec<Span>,
    /// What the present run of each job spends on starting again.
    restart: Vec<Span>,
    runs: Vec<Run>,
    frames: Vec<Frame>,
    step: Span,
    next_frame: Time,
    waiting: u32,
    wanted: u64,
    finished: usize,
    withdrawn: Vec<(Time, u32)>,
    /// By job: whether it has come to its end.
    over: FixedBitSet,
    /// Thousandths of a GPU times milliseconds.
    stalled: u128,
}

impl<'a> Recorder<'a> {
    /// A trial that has not begun.
    pub fn new(workload: &'a Workload, machine: &Machine) -> Recorder<'a> {
        let last = workload.jobs.last().map_or(Time::default(), |job| job.submit);
        let step = Span::from_millis((last.millis() / FRAMES).max(1000));
        Recorder {
            workload,
            floor: Floor::new(machine),
            held: Vec::new(),
            empty: Vec::new(),
            place: vec![u32::MAX; workload.jobs.len()],
            holders: vec![Vec::new(); machine.nodes() as usize],
            saved: vec![Span::ZERO; workload.jobs.len()],
            restart: vec![Span::ZERO; workload.jobs.len()],
            runs: Vec::with_capacity(workload.jobs.len()),
            frames: Vec::new(),
            step,
            next_frame: Time::default(),
            waiting: 0,
            wanted: 0,
            finished: 0,
            withdrawn: Vec::new(),
            over: FixedBitSet::with_capacity(workload.jobs.len()),
            stalled: 0,
        }
    }

    /// Time goes on to `now`: frames that were due before are taken of the estate as it stands.
    pub fn pass(&mut self, now: Time) {
        while self.next_frame < now {
            self.frames.push(Frame {
                at: self.next_frame,
                waiting: self.waiting,
                wanted: self.wanted,
                busy: self.floor.busy(),
                lost: self.floor.lost(),
                stranded: self.floor.stranded(),
                slivers: self.floor.slivers(),
                largest_gang: self.floor.largest_gang(),
            });
            self.next_frame = self.next_frame.after(self.step);
        }
    }

    /// A job waits from now on, for the first time or again.
    pub fn waits(&mut self, job: usize) {
        self.waiting += 1;
        self.wanted += self.workload.jobs[job].milli();
    }

    /// True when the job runs.
    pub fn is_running(&self, job: usize) -> bool {
        self.place[job] != u32::MAX
    }

    /// True when the job has come to its end.
    pub fn is_over(&self, job: usize) -> bool {
        self.over[job]
    }

    /// A job that waits is withdrawn.
    pub fn withdraws(&mut self, now: Time, job: usize) {
        self.waiting -= 1;
        self.wanted -= self.workload.jobs[job].milli();
        self.finished += 1;
        self.over.insert(job);
        self.withdrawn.push((now, job as u32));
    }

    /// A job begins to run on these nodes, with what it is given of each.
    pub fn starts(&mut self, now: Time, job: usize, on: impl IntoIterator<Item = (u32, Taken)>) {
        let place = self.begins(now, job);
        let need = self.workload.jobs[job].need();
        for (node, taken) in on {
            self.floor.take(node, &need, taken);
            self.holders[node as usize].push(job as u32);
            self.held[place].1.push((node, taken));
        }
    }

    /// A job begins to run on these nodes and takes of each what fills it most.
    pub fn starts_on(&mut self, now: Time, job: usize, on: &[u32]) {
        let place = self.begins(now, job);
        let need = self.workload.jobs[job].need();
        for node in on {
            let taken = self.floor.room(*node).seat(&need);
            self.floor.take(*node, &need, taken);
            self.holders[*node as usize].push(job as u32);
            self.held[place].1.push((*node, taken));
        }
    }

    /// A job does not wait any more; the place of what it will hold.
    fn begins(&mut self, now: Time, job: usize) -> usize {
        self.waiting -= 1;
        self.wanted -= self.workload.jobs[job].milli();
        self.restart[job] = Span::ZERO;
        let place = self.empty.pop().unwrap_or_else(|| {
            self.held.push((now, Vec::new()));
            self.held.len() as u32 - 1
        });
        self.place[job] = place;
        self.held[place as usize].0 = now;
        place as usize
    }

    /// What a job that runs holds, node by node.
    pub fn held(&self, job: usize) -> &[(u32, Taken)] {
        self.held.get(self.place[job] as usize).map_or(&[], |(_, held)| held.as_slice())
    }

    /// The present run of the job first spends this on starting again.
    pub fn restarts(&mut self, job: usize, restart: Span) {
        self.restart[job] = restart;
    }

    /// A job's run is gone.
    pub fn ends(&mut self, now: Time, job: usize, how: How) {
        let place = std::mem::replace(&mut self.place[job], u32::MAX);
        let (start, held) = &mut self.held[place as usize];
        let start = *start;
        let (mut count, mut sum) = (0, 0);
        let need = self.workload.jobs[job].need();
        for (node, taken) in held.drain(..) {
            (count, sum) = (count + 1, sum + taken.milli());
            self.floor.give(node, &need, taken);
            self.holders[node as usize].retain(|holder| *holder != job as u32);
        }
        self.empty.push(place);
        let whole = match how {
            How::Ended | How::TimedOut => now.since(start),
            How::TakenBack | How::NodeLost | How::Resized => {
                let every = self.workload.jobs[job].checkpoint.millis();
                let ran = now.since(start).millis();
                Span::from_millis(if every == 0 { 0 } else { ran - ran % every })
            }
        };
        let kept = Span::from_millis(whole.millis().saturating_sub(self.restart[job].millis()));
        let nodes = u64::from(self.workload.jobs[job].nodes);
        self.saved[job] += Span::from_millis(kept.millis() * count / nodes.max(1));
        self.runs.push(Run { job: job as u32, start, end: now, milli: sum, how, kept });
        if matches!(how, How::Ended | How::TimedOut) {
            self.finished += 1;
            self.over.insert(job);
        }
    }

    /// This was held for so long by a part of a gang that waited for the rest.
    pub fn stalls(&mut self, taken: Taken, long: Span) {
        self.stalled += u128::from(taken.milli()) * u128::from(long.millis());
    }

    /// How long a job has still to run: its run time less what earlier runs have saved.
    pub fn left(&self, job: usize) -> Span {
        let runtime = self.workload.jobs[job].runtime;
        Span::from_millis(runtime.millis().saturating_sub(self.saved[job].millis()))
    }

    /// Jobs that hold something on a node, ascending.
    pub fn on(&self, node: u32) -> Vec<usize> {
        let mut jobs: Vec<usize> = self.holders[node as usize].iter().map(|job| *job as usize).collect();
        jobs.sort_unstable();
        jobs.dedup();
        jobs
    }

    /// Jobs that came to their end.
    pub fn finished(&self) -> usize {
        self.finished
    }

    /// The trial is over.
    pub fn close(mut self, policy: String, promises: (u64, u64)) -> Outcome {
        let end = self.runs.iter().map(|run| run.end).max().unwrap_or_default();
        self.pass(end.after(Span::from_millis(1)));
        let stalled = u64::try_from(self.stalled / 1_000_000).unwrap_or(u64::MAX);
        let withdrawn = self.withdrawn;
        Outcome { policy, runs: self.runs, frames: self.frames, end, promises, stalled, withdrawn }
    }
}
