//! What others wait beside somebody who means ill, under the centre: the same attacks as in `docs/hostile.md`, small.
use madang_model::Span;
use madang_sim::trial::generate::hostile::{Attack, Hostile};
use madang_sim::trial::generate::{Amount, Order};
use madang_sim::trial::{Machine, Outcome, Policy, Workload, waits};

const DAYS: u32 = 2;

fn machine() -> Machine {
    Machine::plain(8, 4)
}

fn attack(attack: Attack) -> Hostile {
    let order = Order { seed: 2, amount: Amount::Days(DAYS), machine: &machine(), load_percent: 85 };
    attack.generate(&order).expect("it can be generated")
}

fn tried(workload: &Workload) -> Outcome {
    Policy::Madang.run(workload, &machine(), &mut |_| ()).expect("it can be tried")
}

/// Mean wait of the innocent without and with the attack, and the longest of a gang of the attack that ran.
fn beside(hostile: &Hostile) -> (Span, Span, Span) {
    let mut calm = hostile.workload.clone();
    calm.jobs.retain(|job| job.number <= hostile.innocent);
    calm.withdrawn.clear();
    let (without, with) = (tried(&calm), tried(&hostile.workload));
    let before = waits(&calm, &without, |_| true).mean_wait;
    let after = waits(&hostile.workload, &with, |job| job.number <= hostile.innocent).mean_wait;
    let gang = waits(&hostile.workload, &with, |job| job.number > hostile.innocent && job.nodes > 1).longest_wait;
    (before, after, gang)
}

#[test]
fn the_innocent_wait_little_longer_beside_an_attack() {
    for kind in Attack::ALL {
        let hostile = attack(kind);
        let (before, after, gang) = beside(&hostile);
        let most = before.millis() * 3 / 2 + Span::from_mins(30).millis();
        assert!(after.millis() <= most, "{}: {before} without, {after} with", kind.name());
        // (2 + R)(Q + 1)(L + G) of docs/design/0008-no-starvation.md, with one promise standing beside: far below it.
        let longest = hostile.workload.jobs.iter().map(|job| job.limit).max().unwrap_or_default();
        let bound = 4 * 2 * (longest + Span::from_mins(1)).millis();
        assert!(gang.millis() <= bound, "{}: a gang waits {gang}", kind.name());
    }
}

#[test]
fn what_is_withdrawn_never_runs_and_the_same_order_is_the_same_attack() {
    let hostile = attack(Attack::Hoard);
    assert_eq!(hostile, attack(Attack::Hoard));
    let outcome = tried(&hostile.workload);
    assert!(!outcome.withdrawn.is_empty());
    for (at, job) in &outcome.withdrawn {
        let job = &hostile.workload.jobs[*job as usize];
        assert_eq!(hostile.workload.withdrawn.get(&job.number), Some(at));
    }
    let given_up: std::collections::BTreeSet<u32> = outcome.withdrawn.iter().map(|(_, job)| *job).collect();
    assert!(outcome.runs.iter().all(|run| !given_up.contains(&run.job)), "who is withdrawn has not run");
    let ended = waits(&hostile.workload, &outcome, |_| true).jobs as usize;
    assert_eq!(ended + given_up.len(), hostile.workload.jobs.len());
}
