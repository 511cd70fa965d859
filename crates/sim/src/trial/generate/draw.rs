//! Jobs drawn from a recipe until they are the ordered load, strewn over the ordered time, and faults beside them.
//!
//! Sessions are drawn one by one: a kind of work, an owner, a user, a moment by the week's rhythm, then the session's
//! jobs with short gaps. Moments need no order while drawing, so the load can be met to within half of the last job and
//! the time follows from it when a count of jobs is ordered. A job's number is its place by submission.
//!
//! A machine is never empty when one looks: what a job would still run after the end of the time, another job runs from
//! its beginning, submitted at once, as if it were there already. So the load is met within the time, however long jobs
//! are, and what is asked for at any moment looks like at any other.
use super::super::machine::Machine;
use super::super::workload::{Job, Owner, Workload};
use super::faults::faults;
use super::quantiles::{Quantiles, Table};
use super::recipe::{Choice, End, Ready, Recipe, session_length, sessions};
use super::rhythm::Rhythm;
use super::shape::{Shape, Shapes};
use super::summary::Summary;
use crate::rng::Rng;
use madang_model::{Qos, Span, Time};
use std::fmt;

/// Seconds between two submissions of a session.
const GAPS: Table = [1, 2, 3, 8, 30, 120, 600, 1_800, 3_600, 7_200];
/// Limits that people ask for, in minutes: round ones.
const LIMITS: [u32; 16] =
    [10, 15, 30, 60, 120, 240, 480, 720, 1_440, 2_880, 4_320, 7_200, 10_080, 20_160, 43_200, 86_400];
/// How many times what they expect people ask for, in tenths, before they round up.
const OVER: [u64; 8] = [10, 11, 12, 15, 15, 20, 30, 50];
/// Most of the ordered GPU time that one job may take, as one part of so many.
const MOST_OF_ALL: u128 = 20;
/// The largest number of jobs that a trial can count.
const MOST_JOBS: u64 = 100_000_000;
/// Milliseconds of an hour.
const HOUR: u64 = 3_600_000;

/// How much to generate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// The load of so many days.
    Days(u32),
    /// So many jobs; the time follows from the load.
    Jobs(u64),
}

/// What to generate.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// Chooses everything.
    pub seed: u64,
    /// How much.
    pub amount: Amount,
    /// The machine whose load it is.
    pub machine: &'a Machine,
    /// GPU time asked for, of all that the machine has over the time, in hundredths.
    pub load_percent: u32,
}

/// Why nothing can be generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The machine has no GPUs.
    NoGpus,
    /// The order is for nothing, or for no load.
    Nothing,
    /// More jobs than a trial can count.
    TooMany {
        /// About how many the order comes to.
        jobs: u64,
    },
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::NoGpus => f.write_str("the machine has no GPUs to generate work for"),
            Refused::Nothing => f.write_str("the order is for no days, no jobs or no load"),
            Refused::TooMany { jobs } => {
                write!(f, "the order comes to about {jobs} jobs, at most {MOST_JOBS} fit a trial")
            }
        }
    }
}

impl std::error::Error for Refused {}

/// Generates a workload.
pub fn generate(recipe: &Recipe, order: &Order) -> Result<Workload, Refused> {
    let shapes = Shapes::of(order.machine).ok_or(Refused::NoGpus)?;
    let ready = Ready::all(recipe);
    let mean_millis = u128::from(Summary::expected(recipe).mean_gpu_secs.max(1)) * 1000;
    let capacity = u128::from(order.machine.gpus()) * u128::from(order.load_percent);
    let (wanted, jobs) = match order.amount {
        Amount::Days(days) => {
            let wanted = capacity * u128::from(days) * u128::from(24 * HOUR) / 100;
            (wanted, u64::try_from(wanted / mean_millis).unwrap_or(u64::MAX))
        }
        Amount::Jobs(jobs) => (mean_millis * u128::from(jobs), jobs),
    };
    if wanted == 0 || capacity == 0 {
        return Err(Refused::Nothing);
    }
    if jobs > MOST_JOBS {
        return Err(Refused::TooMany { jobs });
    }
    let mut seeds = Rng::new(order.seed);
    let mut stream = Stream {
        recipe,
        shapes,
        sessions: sessions(recipe),
        users: recipe.askers.iter().map(|asker| Choice::of(people(asker.users))).collect(),
        ready,
        what: seeds.fork(),
        when: seeds.fork(),
        who: seeds.fork(),
        gaps: Quantiles::of(&GAPS),
        most: (wanted / MOST_OF_ALL).max(1),
        rhythm: Rhythm::of(recipe),
        left: 0,
        gpu_millis: 0,
        clipped: 0,
        cut: 0,
    };
    // A little above the mean, so that the list seldom moves while it grows.
    let mut drawn = Vec::with_capacity((jobs + jobs / 16 + 64) as usize);
    stream.draw(order.amount, wanted, &mut drawn);
    let span = match order.amount {
        Amount::Days(days) => Span::from_days(u64::from(days)),
        Amount::Jobs(_) => Span::from_millis((stream.gpu_millis * 100 / capacity).max(1) as u64),
    };
    Ok(stream.workload(order, span, drawn, &mut seeds.fork()))
}

/// The k-th of so many people submits a k-th as often as the first.
fn people(users: u32) -> impl Iterator<Item = u64> {
    (1..=u64::from(users.max(1))).map(|rank| 1_000_000 / rank)
}

/// Draws jobs.
struct Stream<'a> {
    recipe: &'a Recipe,
    shapes: Shapes,
    ready: Vec<Ready<'a>>,
    sessions: Choice,
    users: Vec<Choice>,
    what: Rng,
    when: Rng,
    who: Rng,
    gaps: Quantiles,
    rhythm: Rhythm,
    /// Most GPU-milliseconds of one job.
    most: u128,
    /// Jobs left of the session.
    left: u32,
    gpu_millis: u128,
    clipped: u64,
    cut: u64,
}

impl Stream<'_> {
    /// Draws until the amount is reached. Until the span is known, a job's submission is its session's place in time,
    /// in parts of 2^40, and its number the gap in milliseconds from there.
    fn draw(&mut self, amount: Amount, wanted: u128, jobs: &mut Vec<Job>) {
        let mut session = self.session();
        loop {
            while self.left == 0 {
                session = self.session();
            }
            let mut job = self.job(&session);
            let asked = u128::from(job.gang()) * u128::from(job.runtime.millis());
            let enough = match amount {
                Amount::Jobs(count) => jobs.len() as u64 >= count,
                Amount::Days(_) => self.gpu_millis + asked / 2 >= wanted,
            };
            if enough {
                return;
            }
            self.gpu_millis += asked;
            (job.submit, job.number) = (Time::from_millis(session.place), session.gap);
            jobs.push(job);
            self.left -= 1;
            session.gap += self.gaps.draw(&mut self.when);
        }
    }

    fn session(&mut self) -> Session {
        let kind = self.sessions.draw(&mut self.what);
        self.left = session_length(&mut self.what, self.ready[kind].kind.session);
        let asker = self.ready[kind].askers.draw(&mut self.who);
        let user = self.users[asker].draw(&mut self.who) as u32;
        Session { kind, asker: asker as u32, user, place: self.when.below(1 << 40), gap: 0 }
    }

    fn job(&mut self, session: &Session) -> Job {
        let ready = &self.ready[session.kind];
        let (gpus, runtime, end) = ready.draw(&mut self.what);
        let expected = if end == End::Completed { runtime } else { ready.draw_whole(&mut self.what).max(runtime) };
        let shape = self.shapes.fit(&mut self.what, gpus);
        self.cut += u64::from(shape.cut);
        let most = (self.most / u128::from(shape.nodes * shape.gpus)).max(1000);
        let clipped = runtime.min(u64::try_from(most).unwrap_or(u64::MAX));
        self.clipped += u64::from(clipped < runtime);
        let Shape { nodes, gpus, cpus, .. } = shape;
        let qos = [Qos::Low, Qos::Normal, Qos::High][ready.qos.draw(&mut self.who)];
        Job {
            number: 0,
            submit: Time::default(),
            runtime: Span::from_millis(clipped),
            limit: limit(&mut self.what, expected.max(clipped)),
            nodes,
            gpus,
            share: 0,
            cpus,
            beside: None,
            owner: session.asker,
            user: session.user,
            qos,
            fails: end == End::Failed,
            checkpoint: Span::from_secs(u64::from(ready.kind.checkpoint_secs)),
        }
    }

    fn workload(self, order: &Order, span: Span, mut jobs: Vec<Job>, rng: &mut Rng) -> Workload {
        let clock = self.rhythm.clock(span);
        for job in &mut jobs {
            let at = clock.at(job.submit.millis()) + job.number;
            job.submit = Time::from_millis(at % span.millis().max(1));
        }
        let standing = standing(&jobs, span);
        let opening = standing.len();
        jobs.extend(standing);
        jobs.sort_unstable_by_key(|job| (job.submit, job.owner, job.user, job.runtime, job.limit, job.nodes, job.gpus));
        (1..).zip(&mut jobs).for_each(|(number, job)| job.number = number);
        let owner = |asker: &super::recipe::Asker| Owner { name: asker.name.clone(), weight: asker.weight };
        Workload {
            name: format!("{} (generated)", self.recipe.title),
            notes: self.notes(order, span, jobs.len(), opening),
            owners: self.recipe.askers.iter().map(owner).collect(),
            faults: faults(self.recipe, order.machine, span, rng),
            withdrawn: Default::default(),
            jobs,
        }
    }

    fn notes(&self, order: &Order, span: Span, jobs: usize, opening: usize) -> Vec<String> {
        let recipe = self.recipe;
        let mut notes = vec![
            format!("Generated by the recipe {} with seed {}: no job of it ever ran", recipe.name, order.seed),
            format!("Fitted: {}", recipe.fitted),
            format!("Assumed: {}", recipe.assumed),
            format!(
                "{jobs} jobs over {}.{:02} days ask for {}% of the GPU time of {}",
                span.millis() / (24 * HOUR),
                span.millis() * 100 / (24 * HOUR) % 100,
                order.load_percent,
                order.machine.name
            ),
            format!("{opening} of them are there from the beginning, for what had come before it and still ran"),
            "Cancelled jobs end at the moment drawn for them and count as ended well; limits are round and over-asked"
                .into(),
        ];
        for source in &recipe.sources {
            notes.push(format!("Source: {} ({})", source.what, source.licence));
        }
        if self.cut > 0 {
            notes.push(format!("Gangs cut to the {} GPUs of the largest island: {}", self.shapes.largest(), self.cut));
        }
        if self.clipped > 0 {
            notes.push(format!("Run times cut, so that no job is more than 1/20 of the load: {}", self.clipped));
        }
        notes
    }
}

/// Jobs that stand for what was there already: of each job the rest that is left when the time is over, and when it is
/// over once more.
fn standing(jobs: &[Job], span: Span) -> Vec<Job> {
    let mut standing = Vec::new();
    for job in jobs {
        let mut left = job.submit.millis() + job.runtime.millis();
        while left > span.millis() + 1000 {
            left -= span.millis();
            let (rest, ran) =
                (Span::from_millis(left), job.runtime - Span::from_millis(left.min(job.runtime.millis())));
            let limit = (job.limit - ran).max(rest);
            standing.push(Job { submit: Time::default(), runtime: rest, limit, ..*job });
        }
    }
    standing
}

/// A user's session while its jobs are drawn.
struct Session {
    kind: usize,
    asker: u32,
    user: u32,
    place: u64,
    gap: u64,
}

/// A round limit above what is expected.
fn limit(rng: &mut Rng, expected: u64) -> Span {
    let over = rng.pick(&OVER).copied().unwrap_or(10);
    let asked = expected * over / 10;
    let round = LIMITS.iter().map(|minutes| u64::from(*minutes) * 60_000).find(|limit| *limit >= asked);
    Span::from_millis(round.unwrap_or_else(|| expected.next_multiple_of(24 * HOUR)))
}

#[cfg(test)]
mod tests {
    use super::super::super::machine::Fabric;
    use super::super::super::workload::Fault;
    use super::super::recipes;
    use super::*;

    /// FNV-1a over every field of every job and fault.
    fn hash(workload: &Workload) -> u64 {
        let job = |job: &Job| {
            let [submit, runtime] = [job.submit.millis(), job.runtime.millis()];
            let shape = [job.nodes, job.gpus, job.cpus, job.owner, job.user].map(u64::from);
            let rest = [job.number, job.limit.millis(), job.qos as u64, job.fails.into(), job.checkpoint.millis()];
            [submit, runtime].into_iter().chain(shape).chain(rest)
        };
        let fault = |fault: &Fault| [fault.at.millis(), u64::from(fault.node), fault.lasts.millis()];
        let figures = workload.jobs.iter().flat_map(job).chain(workload.faults.iter().flat_map(fault));
        let bytes = figures.flat_map(u64::to_le_bytes);
        bytes.fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }

    fn order(machine: &Machine, seed: u64, amount: Amount) -> Order<'_> {
        Order { seed, amount, machine, load_percent: 80 }
    }

    /// GPU time that is held within the time if nobody waits, of all there is, in ten-thousandths.
    fn load(workload: &Workload, machine: &Machine, span: Span) -> u64 {
        let within = |job: &Job| job.runtime.millis().min(span.millis() - job.submit.millis());
        let time = |job: &Job| u128::from(job.gang()) * u128::from(within(job));
        let asked: u128 = workload.jobs.iter().map(time).sum();
        (asked * 10_000 / (u128::from(machine.gpus()) * u128::from(span.millis()))) as u64
    }

    /// A tenth of the plan's estate: islands of nodes with eight GPUs, and one of nodes with four.
    fn mixed() -> Machine {
        let fabric = |name: &str, nodes, gpus, cpus| Fabric { name: name.into(), nodes, gpus, cpus, memory_mib: 0 };
        let islands = vec![fabric("a", 51, 8, 112), fabric("b", 25, 8, 112), fabric("e", 3, 8, 112)];
        let all = islands.into_iter().chain([fabric("k", 200, 4, 288)]).collect();
        Machine::fabrics("mixed", all)
    }

    #[test]
    fn every_recipe_meets_the_load_and_fits_the_machine() {
        for recipe in recipes() {
            for machine in [Machine::plain(40, 8), Machine::plain(7, 4), mixed()] {
                let workload = generate(&recipe, &order(&machine, 3, Amount::Days(9))).expect("it can be generated");
                let load = load(&workload, &machine, Span::from_days(9));
                assert!((7760..=8240).contains(&load), "{} offers {load}", recipe.name);
                machine.holds(&workload).expect("every gang was fitted");
                let end = Time::default().after(Span::from_days(9));
                let sound =
                    |job: &Job| job.runtime <= job.limit && job.submit < end && job.runtime >= Span::from_secs(1);
                assert!(workload.jobs.iter().all(sound), "{}", recipe.name);
                assert!(
                    workload
                        .jobs
                        .windows(2)
                        .all(|pair| (pair[0].submit, pair[0].number) < (pair[1].submit, pair[1].number))
                );
            }
        }
    }

    #[test]
    fn a_seed_gives_the_same_bytes_and_another_gives_others() {
        let machine = Machine::plain(128, 8);
        let of = |name: &str, seed| {
            let recipe = super::super::named(name).expect("it is a recipe");
            hash(&generate(&recipe, &order(&machine, seed, Amount::Jobs(20_000))).expect("it can be generated"))
        };
        assert_eq!(of("helios", 1), of("helios", 1));
        assert_ne!(of("helios", 1), of("helios", 2));
        // Holds on every platform: a change of it changes what every seed in an issue or a report stands for.
        let hashes: Vec<(&str, u64)> = recipes().iter().map(|recipe| (recipe.name, of(recipe.name, 7))).collect();
        let expected = [
            ("acme", 0x5a55edfdc2907cef),
            ("helios", 0xf3517939cd9e55dd),
            ("kalos", 0x366e84d939b11420),
            ("national", 0xe116fbfa9413d281),
            ("philly", 0xa804e34043eff01d),
            ("seren", 0x4912978f9275c723),
        ];
        assert_eq!(hashes, expected);
    }

    #[test]
    fn a_count_of_jobs_gives_the_time_that_makes_the_load() {
        let (machine, recipe) = (Machine::plain(64, 8), super::super::philly::recipe());
        let workload = generate(&recipe, &order(&machine, 1, Amount::Jobs(5000))).expect("it can be generated");
        assert!((5000..5400).contains(&workload.jobs.len()), "{}", workload.jobs.len());
        let last = workload.jobs.last().expect("there are some").submit;
        let load = load(&workload, &machine, last.since(Time::default()) + Span::from_millis(1));
        assert!((7900..8300).contains(&load), "{load}");
    }

    #[test]
    fn arrivals_follow_the_week_and_users_are_skewed() {
        let (machine, recipe) = (Machine::plain(256, 8), super::super::philly::recipe());
        let workload = generate(&recipe, &order(&machine, 5, Amount::Days(28))).expect("it can be generated");
        let day = |job: &Job| (job.submit.millis() / (24 * HOUR) % 7) as usize;
        let mut days = [0u64; 7];
        workload.jobs.iter().for_each(|job| days[day(job)] += 1);
        let (friday, sunday) = (days[4], days[6]);
        assert!(friday * 10 > sunday * 18 && friday * 10 < sunday * 25, "{days:?}");
        let of = |user| workload.jobs.iter().filter(|job| (job.owner, job.user) == (0, user)).count();
        assert!(of(0) > 5 * of(9) && of(9) > 0, "{} and {}", of(0), of(9));
    }

    #[test]
    fn orders_that_cannot_be_met_are_refused() {
        let recipe = super::super::helios::recipe();
        let (machine, bare) = (Machine::plain(4, 8), Machine::plain(4, 0));
        let said = |order| generate(&recipe, &order).map_err(|refused| refused.to_string()).err();
        let facts = [
            (order(&bare, 1, Amount::Days(1)), "the machine has no GPUs to generate work for"),
            (order(&machine, 1, Amount::Days(0)), "the order is for no days, no jobs or no load"),
            (
                Order { load_percent: 0, ..order(&machine, 1, Amount::Jobs(9)) },
                "the order is for no days, no jobs or no load",
            ),
            (
                order(&machine, 1, Amount::Jobs(1_000_000_000)),
                "the order comes to about 1000000000 jobs, at most 100000000 fit a trial",
            ),
        ];
        for (order, fact) in facts {
            assert_eq!(said(order).as_deref(), Some(fact));
        }
    }
}
