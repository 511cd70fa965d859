//! Writes `docs/hostile.md`: what others wait beside somebody who means ill, under the centre and the field's policies.
//! `cargo run --release -p madang-sim --example hostile [-- NODES DAYS [ATTACK]] > docs/hostile.md`
use madang_model::Span;
use madang_sim::trial::generate::hostile::{Attack, Hostile, OWNER};
use madang_sim::trial::generate::{Amount, Order};
use madang_sim::trial::madang::{Edge, watched};
use madang_sim::trial::peers::Peer;
use madang_sim::trial::{Group, Job, Machine, Outcome, Policy, Settings, Workload, waits};
use nix::time::{ClockId, clock_gettime};

const OPENING: &str = "\
# Beside somebody who means ill

This page is written by `cargo run --release -p madang-sim --example hostile > docs/hostile.md`. Everything is modelled:
the recipe `national` for a week at 90% of 64 nodes of eight GPUs, and beside it work that somebody would have to make on
purpose (`crates/sim/src/trial/generate/hostile.rs`). Anybody can run one: `madang simulate generate:hostile-flood --nodes
64 --days 7 --load 90 --compare madang easy multifactor kueue`.

The jobs of `national` are the same with the attack and without it. *Others* are those of the owners who have no part in it,
*its own owner* those of innocent users of the owner whose users attack; where all owners take part there are no others.
Each cell is the mean wait without the attack, with it, and how many times as long that is, counting a wait below a minute as
a minute. *Steps* are those of the whole centre (not the scheduler alone) with the attack, by the processor's time. `hostile-owners` is on a quarter of the estate.
";

const CLOSING: &str = "\
## Reading it

What is asked of the estate beside the others' work has to run somewhere, so a ratio of one is not to be had where the
attack is real work that its owner has a right to. What counts is that the others' wait does not grow with the attack.

Peers see GPUs and nodes only: for them requests that differ in CPUs are alike. EASY and FIFO know no owners, so that a
flood is as good as anybody's work; their own limits on jobs a user may have (`MaxJobs`) are not modelled.
";

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: u32| args.get(at).and_then(|text| text.parse().ok()).unwrap_or(default);
    let (machine, days) = (Machine::plain(number(0, 64), 8), number(1, 7));
    println!("{OPENING}");
    let policies =
        [Policy::Madang, Policy::Peer(Peer::Easy), Policy::Peer(Peer::Multifactor), Policy::Peer(Peer::Kueue)];
    let (whole, part) = (machine, Machine::plain(number(0, 64).div_ceil(4), 8));
    let only = args.get(2).map(String::as_str);
    for attack in Attack::ALL.into_iter().filter(|attack| only.is_none_or(|only| attack.name() == only)) {
        // A step costs by owners: on all of the estate this one alone would take an hour.
        let machine = if attack == Attack::Owners { &part } else { &whole };
        let order = Order { seed: 1, amount: Amount::Days(days), machine, load_percent: 90 };
        let hostile = attack.generate(&order).expect("it can be generated");
        let calm: Vec<_> = policies.iter().map(|policy| alone(&hostile, *policy, machine)).collect();
        println!(
            "## {}\n\n{} jobs: {}.\n",
            attack.name(),
            hostile.workload.jobs.len() as u64 - hostile.innocent,
            attack.about()
        );
        println!("| policy | others | its own owner | longest wait of others | longest wait of a gang of the attack |");
        println!("|---|--:|--:|--:|--:|");
        let mut steps = None;
        for (policy, (peace, quiet)) in policies.iter().zip(calm.iter()) {
            let (outcome, timed) = tried(&hostile.workload, *policy, machine);
            row(attack, *policy, (&peace.workload, quiet), (&hostile, &outcome));
            steps = steps.or(timed);
        }
        let steps = steps.expect("the centre is the first of the policies");
        println!("\n{steps}. A gang is bound to start within {} days.\n", bound(&hostile.workload).secs() / 86_400);
    }
    print!("{CLOSING}");
}

/// Within what a gang that is the next of its owner's starts, by `docs/design/0008-no-starvation.md`.
fn bound(workload: &Workload) -> Span {
    let longest = workload.jobs.iter().map(|job| job.limit).max().unwrap_or_default() + Span::from_mins(1);
    let standing = (4 * workload.owners.len() as u64).min(512);
    let plain = (standing + 1) * longest.millis();
    let margin = if plain <= Span::from_days(2).millis() { 0 } else { (standing + 1) * Span::from_days(14).millis() };
    Span::from_millis(4 * (plain + margin))
}

/// The same work without what is hostile in it.
fn alone(hostile: &Hostile, policy: Policy, machine: &Machine) -> (Hostile, Outcome) {
    let mut calm = hostile.clone();
    calm.workload.jobs.retain(|job| job.number <= hostile.innocent);
    calm.workload.withdrawn.clear();
    let (outcome, _) = tried(&calm.workload, policy, machine);
    (calm, outcome)
}

/// The outcome, and of the centre how long its steps took.
fn tried(workload: &Workload, policy: Policy, machine: &Machine) -> (Outcome, Option<String>) {
    if policy != Policy::Madang {
        return (policy.run(workload, machine, &mut |_| ()).expect("it can be tried"), None);
    }
    let settings = Settings { name: "madang".into(), config: machine.policy(&workload.owners) };
    let (mut begun, mut times) = (None, Vec::new());
    let mut watch = |edge| match edge {
        Edge::Begins => begun = Some(processor()),
        // The founding is not one that was begun.
        Edge::Ends => times.extend(begun.take().map(|begun| processor() - begun)),
    };
    let outcome = watched(workload, machine, &settings, &mut watch).expect("it can be tried");
    times.sort_unstable();
    let ms = |part: usize| times[(times.len() - 1) * part / 1000] as f64 / 1e6;
    let all: u64 = times.iter().sum();
    let steps = format!(
        "{} steps of the centre in {:.1} s: median {:.2} ms, 99 of 100 within {:.1} ms, 999 of 1000 within {:.1} ms, longest {:.0} ms",
        times.len(),
        all as f64 / 1e9,
        ms(500),
        ms(990),
        ms(999),
        ms(1000)
    );
    (outcome, Some(steps))
}

fn processor() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("the thread's clock can be read");
    time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
}

fn row(attack: Attack, policy: Policy, (calm, quiet): (&Workload, &Outcome), (hostile, outcome): (&Hostile, &Outcome)) {
    let takes_part = |job: &Job| match attack {
        Attack::Gangs => true,
        Attack::Turns => job.owner == OWNER || job.owner == OWNER + 1,
        Attack::Owners => false,
        _ => job.owner == OWNER,
    };
    let innocent = |job: &Job| job.number <= hostile.innocent;
    let cell = |keep: &dyn Fn(&Job) -> bool| {
        let without = waits(calm, quiet, |job| innocent(job) && keep(job));
        let with = waits(&hostile.workload, outcome, |job| innocent(job) && keep(job));
        if with.jobs == 0 {
            return "-".to_owned();
        }
        let mins = |group: &Group| group.mean_wait.secs() / 60;
        let times = 10 * mins(&with).max(1) / mins(&without).max(1);
        format!("{} to {} min, x{}.{}", mins(&without), mins(&with), times / 10, times % 10)
    };
    let longest = waits(&hostile.workload, outcome, |job| innocent(job) && !takes_part(job)).longest_wait;
    let gangs = waits(&hostile.workload, outcome, |job| !innocent(job) && job.nodes > 1);
    let hours = |span: Span| format!("{}.{} h", span.secs() / 3600, span.secs() / 360 % 10);
    let gang = if gangs.jobs == 0 { "-".into() } else { hours(gangs.longest_wait) };
    let (others, own) = (cell(&|job| !takes_part(job)), cell(&takes_part));
    println!("| {} | {others} | {own} | {} | {gang} |", policy.name(), hours(longest));
}
