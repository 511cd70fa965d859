//! Jobs that ask for parts of GPUs, for CPUs and for memory, under every policy.
use super::{SECOND, sound};
use madang_model::{Qos, Span, Time};
use madang_sim::trial::peers::Peer;
use madang_sim::trial::{Beside, Fabric, Fault, Job, Machine, Outcome, Owner, Policy, Workload, figures};
use proptest::prelude::*;

/// Rows of: submit, run time in seconds; nodes x GPUs, or the part of one; and where the table tells them CPUs and GiB.
fn table(rows: &str) -> Workload {
    let mut workload = Workload { owners: vec![Owner { name: "o0".into(), weight: 1 }], ..Workload::default() };
    for (number, row) in (1..).zip(rows.lines().map(str::trim).filter(|row| !row.is_empty())) {
        let cells: Vec<&str> = row.split([' ', 'x']).collect();
        let whole = |at: usize| -> u32 { cells[at].parse().expect("a whole number") };
        let milli = |at: usize| (cells[at].parse::<f64>().expect("a number") * 1000.0).round() as u32;
        let share = if milli(3) % 1000 > 0 { milli(3) } else { 0 };
        let beside = (cells.len() > 4).then(|| Beside { cpu_milli: milli(4), memory_mib: whole(5) * 1024 });
        workload.jobs.push(Job {
            number,
            submit: Time::from_millis(u64::from(whole(0)) * SECOND),
            runtime: Span::from_secs(u64::from(whole(1))),
            limit: Span::from_secs(u64::from(whole(1))),
            nodes: whole(2),
            gpus: milli(3).div_ceil(1000),
            share,
            beside,
            cpus: 1,
            qos: Qos::Normal,
            ..Job::default()
        });
    }
    workload.in_order()
}

fn tried(workload: &Workload, machine: &Machine, policy: Policy) -> Outcome {
    let outcome = policy.run(workload, machine, &mut |_| ()).unwrap_or_else(|refusal| panic!("{refusal}"));
    sound(workload, machine, &outcome);
    outcome
}

/// When each job starts, in seconds.
fn starts(workload: &Workload, machine: &Machine, policy: Policy) -> Vec<u64> {
    let mut starts = vec![u64::MAX; workload.jobs.len()];
    for run in &tried(workload, machine, policy).runs {
        let start = &mut starts[run.job as usize];
        *start = (*start).min(run.start.millis() / SECOND);
    }
    starts
}

fn every(rows: &str, machine: &Machine, expected: &[u64]) {
    let workload = table(rows);
    for policy in Policy::all().filter(|policy| *policy != Policy::Peer(Peer::Multifactor)) {
        assert_eq!(starts(&workload, machine, policy), expected, "{}", policy.name());
    }
    // Backfill of Slurm looks every half minute; here all are jobs that its main scheduler starts.
    assert_eq!(starts(&workload, machine, Policy::Peer(Peer::Multifactor)), expected);
}

#[test]
fn parts_pack_gpus_and_a_whole_one_waits_until_the_last_part_is_back() {
    // Two GPUs hold 0.6 + 0.4 and 0.5 + 0.5; the job of a whole one starts when both parts of one are back, at 200.
    every(
        "0 100 1x0.6
         0 300 1x0.5
         0 200 1x0.4
         0 300 1x0.5
         1 50 1x1",
        &Machine::plain(1, 2),
        &[0, 0, 0, 0, 200],
    );
}

#[test]
fn a_gang_of_parts_takes_one_gpu_on_each_node() {
    every("0 100 1x0.7\n0 100 2x0.5\n1 10 2x0.6", &Machine::plain(3, 1), &[0, 0, 100]);
}

#[test]
fn cpus_and_memory_are_short_where_the_workload_tells_them() {
    let fabric =
        |gpus, cpus, gib: u64| Fabric { name: format!("f{cpus}"), nodes: 1, gpus, cpus, memory_mib: gib * 1024 };
    let machine = Machine::fabrics("told", vec![fabric(8, 16, 64), fabric(0, 4, 8)]);
    // GPUs are there for both, CPUs for one after the other.
    every("0 100 1x1 9.5 8\n1 100 1x0.1 8.5 8", &machine, &[0, 100]);
    // Memory likewise: 60 of 64 GiB are held.
    every("0 100 1x1 1 60\n1 100 1x0.5 1 5", &machine, &[0, 100]);
    // Under peers work without GPUs goes where none are, and leaves the CPUs beside them.
    let workload = table("0 50 1x0 4 8\n1 100 1x1 8.5 8\n2 100 1x0.1 7 8\n3 10 1x1 1 8");
    for peer in Peer::ALL {
        assert_eq!(starts(&workload, &machine, Policy::Peer(peer)), [0, 1, 2, 101], "{}", peer.name());
    }
}

#[test]
fn under_easy_a_part_may_not_delay_the_whole_gpu_that_the_head_waits_for() {
    // At 50 the first GPU is whole again for the head; long parts may go to the second one only, which is open till 500.
    let rows = "0 50 1x0.9
                0 500 1x0.5
                1 100 1x1
                2 400 1x0.3
                3 400 1x0.3
                4 40 1x0.1";
    let workload = table(rows);
    let outcome = starts(&workload, &Machine::plain(1, 2), Policy::Peer(Peer::Easy));
    assert_eq!(
        outcome,
        [0, 0, 50, 2, 150, 4],
        "job 5 has no room beside the parts of the second GPU until the head ends"
    );
}

#[test]
fn figures_count_thousandths() {
    let workload = table("0 100 1x0.25\n0 100 1x0.5\n100 1 1x1");
    let machine = Machine::plain(1, 4);
    let outcome = tried(&workload, &machine, Policy::Peer(Peer::Fifo));
    let figures = figures(&workload, &machine, &outcome);
    // 0.75 of 4 GPUs are held for all of the time of submissions; the rest of that GPU and three more are stranded.
    assert_eq!((figures.utilisation, figures.goodput), (187_500, 187_500));
    assert_eq!(figures.shares[0].delivered, 75);
    let frame = outcome.frames.iter().find(|frame| frame.busy > 0).expect("something is held");
    assert_eq!((frame.busy, frame.stranded, frame.slivers, frame.largest_gang), (750, 3250, 250, 0));
    let names: Vec<&str> = figures.by_size.iter().map(|group| group.name.as_str()).collect();
    assert_eq!(names, ["part of a GPU", "1 GPU"]);
}

#[test]
fn what_ends_at_the_moment_of_a_fault_has_ended_well() {
    let mut workload = table("0 169 1x1");
    workload.faults = vec![Fault { at: Time::from_millis(169 * SECOND), node: 0, lasts: Span::from_secs(1) }];
    for policy in Policy::all() {
        let outcome = tried(&workload, &Machine::plain(1, 1), policy);
        assert_eq!((outcome.runs.len(), outcome.end), (1, Time::from_millis(169 * SECOND)), "{}", policy.name());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// That nothing is held twice, of GPUs, CPUs or memory, is asserted where it is taken.
    #[test]
    fn every_policy_is_sound_with_parts(
        rows in prop::collection::vec((0u64..1500, 1u64..600, 1u32..3, 0u32..2800, 0u32..6, 0u32..9), 1..40),
        faults in prop::collection::vec((0u64..2000, 0u32..5, 1u64..500), 0..3)
    ) {
        let row = |(submit, run, nodes, milli, cpus, gib): &(u64, u64, u32, u32, u32, u32)| {
            let gpus = if *milli < 1000 { f64::from(*milli) / 1000.0 } else { f64::from(milli / 1000) };
            format!("{submit} {run} {nodes}x{gpus} {cpus}.5 {gib}\n")
        };
        let mut workload = table(&rows.iter().map(row).collect::<String>());
        let fault = |(at, node, lasts): &(u64, u32, u64)| {
            Fault { at: Time::from_millis(at * SECOND), node: *node, lasts: Span::from_secs(*lasts) }
        };
        workload.faults = faults.iter().map(fault).collect();
        let workload = workload.in_order();
        let fabric = |nodes| Fabric { name: format!("f{nodes}"), nodes, gpus: 3, cpus: 7, memory_mib: 12 * 1024 };
        let machine = Machine::fabrics("told", vec![fabric(2), fabric(3)]);
        for policy in Policy::all() {
            let outcome = tried(&workload, &machine, policy);
            prop_assert_eq!(&outcome, &tried(&workload, &machine, policy));
        }
    }
}
