//! Generated load: submissions that look like those of a real GPU centre.
//!
//! Shapes, not copies: most jobs ask for one to eight GPUs, a tenth for tens, a few for hundreds, and those few hold
//! most of the GPUs; run times spread evenly over their logarithm, from a minute to hours; limits are over-asked. An
//! open stream: what arrives per second is what fills the target share of the estate in the long run. It begins with a
//! burst that stands for the jobs already there, drawn as a passer-by would find them: long ones more often than
//! short ones, and each with only a part of its time left.
//!
//! Invariant: the stream depends on the seed and the specification alone; times never go back.
use crate::rng::Rng;
use madang_centre::input::Submission;
use madang_model::{ModelRun, Part, Qos, Span, Time};

/// (GPUs of the gang, how often in a thousand).
const SIZES: [(u32, u64); 11] =
    [(1, 380), (2, 140), (4, 160), (8, 190), (16, 56), (32, 36), (64, 24), (128, 9), (256, 3), (384, 1), (512, 1)];

/// (shortest run in seconds, how often in a thousand); a step reaches up to the next one's start.
const RUN_TIMES: [(u64, u64); 9] =
    [(45, 120), (90, 150), (180, 170), (360, 180), (720, 160), (1_440, 120), (2_880, 70), (5_760, 30), (11_520, 0)];

/// How many times its run time a job asks for, in tenths.
pub(crate) const OVER_ASKED: [u64; 8] = [11, 13, 15, 20, 20, 30, 40, 80];

/// What people call their jobs, by what fits a gang's size.
const SMALL: [&str; 6] = ["notebook", "eval", "tokenise", "debug", "finetune-lora", "embed"];
const MIDDLE: [&str; 5] = ["finetune", "ablation", "rlhf", "distil", "vision-vit"];
const LARGE: [&str; 4] = ["pretrain", "pretrain-moe", "continue-ko", "longcontext"];

/// Who pays for a part of the load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payer {
    /// The project's name.
    pub project: String,
    /// One of its members.
    pub user: String,
    /// How often it submits, relative to the others; at least one payer has more than 0.
    pub weight: u32,
}

/// What the load is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadSpec {
    /// The partition to submit to; `None` for the default.
    pub partition: Option<String>,
    /// Sites allowed; empty for the partition's.
    pub sites: Vec<String>,
    /// Who submits.
    pub payers: Vec<Payer>,
    /// GPU model to ask for; `None` for any.
    pub model: Option<String>,
    /// GPUs of the whole estate that is to be filled.
    pub gpus: u32,
    /// GPUs of one node.
    pub node_gpus: u32,
    /// GPUs of the largest gang, so that it fits an island.
    pub largest: u32,
    /// CPUs asked for beside each GPU, at least 1.
    pub cpus_per_gpu: u32,
    /// Memory asked for beside each GPU, in MiB.
    pub memory_mib_per_gpu: u64,
    /// The share of the estate to ask for, in basis points; more than 10 000 is more than there is, and makes a queue.
    pub target: u32,
    /// The longest limit that the partition allows.
    pub max_limit: Span,
}

/// A stream of submissions.
#[derive(Clone, Debug)]
pub struct Load {
    rng: Rng,
    spec: LoadSpec,
    next_at: Time,
    /// GPUs still to be filled by the opening burst.
    burst: u32,
    /// Twice the mean time between two submissions, in microseconds: gaps are drawn evenly from nothing to this.
    widest_gap_micros: u64,
    /// Part of a millisecond carried from gap to gap.
    carry_micros: u64,
    count: u64,
}

impl Load {
    /// A stream that opens with a burst at `start` which fills the target share of an empty estate.
    pub fn new(seed: u64, spec: LoadSpec, start: Time) -> Load {
        let mut load = Load::resume(seed, spec, start);
        let fill = u64::from(load.spec.gpus) * u64::from(load.spec.target) / 10_000;
        load.burst = u32::try_from(fill).expect("an estate is asked for a few times over at most");
        load
    }

    /// A stream without the burst, for an estate that is busy already, as after a restart.
    pub fn resume(seed: u64, spec: LoadSpec, start: Time) -> Load {
        assert!(spec.payers.iter().any(|payer| payer.weight > 0), "a load needs somebody who pays");
        assert!(spec.gpus > 0 && spec.node_gpus > 0 && spec.target > 0, "a load needs GPUs to fill");
        let busy = u64::from(spec.gpus) * u64::from(spec.target) / 10_000;
        let widest_gap_micros = 2 * mean_gpu_micros(spec.largest) / busy.max(1);
        Load { rng: Rng::new(seed), spec, next_at: start, burst: 0, widest_gap_micros, carry_micros: 0, count: 0 }
    }

    /// When the next submission comes.
    pub fn next_at(&self) -> Time {
        self.next_at
    }

    /// The partition it submits to; `None` for the default.
    pub fn partition(&self) -> Option<&str> {
        self.spec.partition.as_deref()
    }

    /// True while the opening burst lasts.
    pub fn is_opening(&self) -> bool {
        self.burst > 0
    }

    /// Nobody submits before `until`, as people do who see a long queue.
    pub fn hold_back(&mut self, until: Time) {
        self.next_at = self.next_at.max(until);
        self.pass_gap();
    }

    /// The next submission and its time. The stream has no end.
    pub fn submit(&mut self) -> (Time, Submission) {
        let at = self.next_at;
        let gpus = self.draw_size();
        let opening = self.burst > 0;
        let full = if opening { self.draw_standing_run() } else { self.draw_run() };
        let left = if opening { 1 + self.rng.below(full) } else { full };
        self.burst = self.burst.saturating_sub(gpus);
        if self.burst == 0 {
            self.pass_gap();
        }
        self.count += 1;
        (at, self.submission(gpus, full, left))
    }

    fn submission(&mut self, gpus: u32, full: u64, left: u64) -> Submission {
        let payer = self.rng.weighted(self.spec.payers.iter().map(|payer| u64::from(payer.weight)));
        let payer = self.spec.payers[payer].clone();
        let over = *self.rng.pick(&OVER_ASKED).expect("the table is not empty");
        let limit = Span::from_secs((full * over / 10).next_multiple_of(300)).min(self.spec.max_limit);
        let exit = if self.rng.per_mille(50) { *self.rng.pick(&[1, 1, 2, 137]).unwrap_or(&1) } else { 0 };
        let qos = [Qos::Normal, Qos::Low, Qos::High][self.rng.weighted([880, 90, 30].into_iter())];
        let (nodes, each) =
            if gpus > self.spec.node_gpus { (gpus / self.spec.node_gpus, self.spec.node_gpus) } else { (1, gpus) };
        Submission {
            name: self.draw_name(gpus),
            project: Some(payer.project),
            partition: self.spec.partition.clone(),
            sites: self.spec.sites.clone(),
            data: Vec::new(),
            parts: vec![Part {
                nodes,
                gpus: each,
                cpus: each * self.spec.cpus_per_gpu,
                memory_mib: u64::from(each) * self.spec.memory_mib_per_gpu,
                model: self.spec.model.clone().map(Into::into),
                exclusive: false,
                features: Vec::new(),
                share: None,
            }],
            limit: Some(limit),
            qos,
            requeue: true,
            model: Some(ModelRun { runtime: Span::from_secs(left), exit }),
            ..plain(payer.user)
        }
    }

    /// A size that fits: larger ones become the largest that does, a whole number of nodes.
    fn draw_size(&mut self) -> u32 {
        let drawn = SIZES[self.rng.weighted(SIZES.iter().map(|(_, often)| *often))].0;
        fitted(drawn, self.spec.largest)
    }

    fn draw_run(&mut self) -> u64 {
        let step = self.rng.weighted(RUN_TIMES.iter().map(|(_, often)| *often));
        self.rng.range(RUN_TIMES[step].0, RUN_TIMES[step + 1].0 - 1)
    }

    /// A run time as found among the jobs present: drawn in proportion to its length, by rejection.
    fn draw_standing_run(&mut self) -> u64 {
        let longest = RUN_TIMES[RUN_TIMES.len() - 1].0;
        loop {
            let run = self.draw_run();
            if self.rng.below(longest) < run {
                return run;
            }
        }
    }

    fn draw_name(&mut self, gpus: u32) -> String {
        let words: &[&str] = match gpus {
            0..=8 => &SMALL,
            9..=64 => &MIDDLE,
            _ => &LARGE,
        };
        let word = self.rng.pick(words).expect("every table of words has some");
        format!("{word}-{}", self.count)
    }

    fn pass_gap(&mut self) {
        let gap = self.rng.range(0, self.widest_gap_micros) + self.carry_micros;
        self.carry_micros = gap % 1000;
        self.next_at = self.next_at.after(Span::from_millis(gap / 1000));
    }
}

/// A submission of this user that asks for nothing special and has no parts yet.
pub fn plain(user: String) -> Submission {
    Submission {
        user,
        name: String::new(),
        project: None,
        partition: None,
        also: Vec::new(),
        sites: Vec::new(),
        data: Vec::new(),
        parts: Vec::new(),
        include: Vec::new(),
        exclude: Vec::new(),
        across_islands: false,
        topology: madang_model::Topology::default(),
        elastic: None,
        limit: None,
        limit_min: None,
        deadline: None,
        qos: Qos::Normal,
        nice: 0,
        begin: None,
        after: Vec::new(),
        after_any: false,
        singleton: false,
        kill_on_invalid: false,
        requeue: false,
        checkpoint: None,
        held: false,
        warning: None,
        array: None,
        launch: None,
        model: None,
        comment: String::new(),
        reservation: None,
    }
}

fn fitted(gpus: u32, largest: u32) -> u32 {
    gpus.min(largest.max(1))
}

/// Mean of (GPUs x run time) over the tables, in GPU-microseconds; sizes and run times are drawn independently.
fn mean_gpu_micros(largest: u32) -> u64 {
    let sizes: u64 = SIZES.iter().map(|(gpus, often)| u64::from(fitted(*gpus, largest)) * often).sum();
    let times: u64 = RUN_TIMES.windows(2).map(|step| (step[0].0 + step[1].0) * step[0].1).sum();
    // Thousandths twice, and twice the mean of each step: 2 * 10^6 in all, against 10^6 microseconds in a second.
    sizes * times / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(gpus: u32) -> LoadSpec {
        LoadSpec {
            partition: Some("gpu".into()),
            sites: Vec::new(),
            payers: vec![
                Payer { project: "a".into(), user: "ann".into(), weight: 3 },
                Payer { project: "b".into(), user: "bo".into(), weight: 1 },
            ],
            model: None,
            gpus,
            node_gpus: 8,
            largest: 512,
            cpus_per_gpu: 8,
            memory_mib_per_gpu: 65_536,
            target: 8_000,
            max_limit: Span::from_days(2),
        }
    }

    fn gpus(job: &Submission) -> u64 {
        job.parts.iter().map(|part| u64::from(part.nodes * part.gpus)).sum()
    }

    #[test]
    fn the_tables_are_whole() {
        assert_eq!(SIZES.iter().map(|(_, often)| often).sum::<u64>(), 1000);
        assert_eq!(RUN_TIMES.iter().map(|(_, often)| often).sum::<u64>(), 1000);
        assert!(RUN_TIMES.windows(2).all(|step| step[0].0 < step[1].0));
    }

    #[test]
    fn a_seed_gives_one_stream_and_another_seed_another() {
        let stream = |seed| {
            let mut load = Load::new(seed, spec(1000), Time::from_millis(5));
            (0..200).map(|_| load.submit()).collect::<Vec<_>>()
        };
        assert_eq!(stream(1), stream(1));
        assert_ne!(stream(1), stream(2));
        assert!(stream(1).windows(2).all(|pair| pair[0].0 <= pair[1].0));
    }

    #[test]
    fn the_burst_fills_and_the_stream_keeps_it_filled() {
        // An estate that starts everything at once: the busy share must stay around the target throughout.
        let mut load = Load::new(7, spec(18_000), Time::default());
        let mut running: Vec<(Time, u64)> = Vec::new();
        let mut shares = Vec::new();
        for minute in 0..300 {
            let now = Time::from_millis(minute * 60_000);
            while load.next_at() <= now {
                let (at, job) = load.submit();
                let end =
                    at.after(job.model.expect("generated jobs are modelled").runtime.min(job.limit.expect("asked")));
                running.push((end, gpus(&job)));
            }
            running.retain(|(end, _)| *end > now);
            shares.push(running.iter().map(|(_, gpus)| gpus).sum::<u64>() * 100 / 18_000);
        }
        assert!(shares.iter().all(|share| (60..=105).contains(share)), "{shares:?}");
        let mean = shares.iter().sum::<u64>() / 300;
        assert!((74..=86).contains(&mean), "mean {mean}");
    }

    #[test]
    fn a_load_that_is_held_back_goes_on_later() {
        let mut load = Load::resume(3, spec(1000), Time::default());
        let until = Time::from_millis(60_000);
        load.hold_back(until);
        assert!(load.next_at() >= until && load.submit().0 >= until);
    }

    #[test]
    fn arrivals_on_the_full_estate_come_every_second_or_two() {
        let mut load = Load::resume(3, spec(18_000), Time::default());
        (0..1000).for_each(|_| drop(load.submit()));
        let secs = load.next_at().secs();
        assert!((500..2500).contains(&secs), "1000 jobs took {secs} s");
    }

    #[test]
    fn jobs_are_sound_and_skewed() {
        let mut load = Load::new(11, spec(10_000), Time::default());
        let jobs: Vec<Submission> = (0..20_000).map(|_| load.submit().1).collect();
        let small = jobs.iter().filter(|job| gpus(job) <= 8).count();
        let large: u64 = jobs.iter().map(gpus).filter(|gpus| *gpus >= 64).sum();
        assert!((16_500..18_500).contains(&small), "{small} small jobs");
        assert!(large * 10 > jobs.iter().map(gpus).sum::<u64>() * 3, "large gangs hold much of the estate");
        for job in &jobs {
            let part = &job.parts[0];
            assert!(part.gpus <= 8 && (part.nodes == 1 || part.gpus == 8) && part.cpus > 0);
            assert!(job.limit.is_some_and(|limit| limit >= Span::from_mins(5)));
            assert!(job.model.is_some_and(|model| model.runtime >= Span::from_secs(1)));
        }
    }
}
