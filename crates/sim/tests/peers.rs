//! Policies of the field on small tables that show their character, beside the laboratory, and on a public trace.
use madang_model::{Qos, Span, Time};
use madang_sim::lab::{self, Passes, decimal};
use madang_sim::trial::peers::{self, Peer};
use madang_sim::trial::{Fabric, Fault, How, Job, Machine, Outcome, Owner, Workload, figures, philly};
use proptest::prelude::*;
use std::io::Read;
use std::path::Path;

#[path = "peers/parts.rs"]
mod parts;

const SECOND: u64 = 1000;

/// Rows of: submit, run time, limit in seconds; nodes x GPUs; owner. Owners weigh the same.
fn table(owners: u32, rows: &str) -> Workload {
    let owner = |index| Owner { name: format!("o{index}"), weight: 1 };
    let mut workload = Workload { owners: (0..owners).map(owner).collect(), ..Workload::default() };
    for (number, row) in (1..).zip(rows.lines().map(str::trim).filter(|row| !row.is_empty())) {
        let cells: Vec<u64> = row.split([' ', 'x']).map(|cell| cell.parse().expect("a number")).collect();
        let [submit, runtime, limit, nodes, gpus, owner] = cells[..] else { panic!("six cells in {row}") };
        workload.jobs.push(Job {
            number,
            submit: Time::from_millis(submit * SECOND),
            runtime: Span::from_secs(runtime),
            limit: Span::from_secs(limit),
            nodes: nodes as u32,
            gpus: gpus as u32,
            share: 0,
            cpus: 1,
            beside: None,
            owner: owner as u32,
            user: 0,
            qos: Qos::Normal,
            fails: false,
            checkpoint: Span::ZERO,
        });
    }
    workload.in_order()
}

fn tried(workload: &Workload, machine: &Machine, peer: Peer) -> Outcome {
    let outcome = peers::run(workload, machine, peer, &mut |_| ()).expect("it fits the machine");
    sound(workload, machine, &outcome);
    outcome
}

/// Runs in order of their starts: the job's number, from when to when, and how it ended unless by itself.
fn shown(workload: &Workload, outcome: &Outcome) -> Vec<String> {
    let mut runs = outcome.runs.clone();
    runs.sort_by_key(|run| (run.start, run.job));
    let how = |how| match how {
        How::Ended => "",
        How::TimedOut => " limit",
        How::TakenBack => " back",
        How::Resized => " resized",
        How::NodeLost => " lost",
    };
    let secs = |time: Time| time.millis() / SECOND;
    let number = |job: u32| workload.jobs[job as usize].number;
    runs.iter()
        .map(|run| format!("{} {}-{}{}", number(run.job), secs(run.start), secs(run.end), how(run.how)))
        .collect()
}

/// No more GPUs are held than there are, and each job comes to its end once.
fn sound(workload: &Workload, machine: &Machine, outcome: &Outcome) {
    let mut edges: Vec<(Time, bool, u64)> = Vec::new();
    let mut ends = vec![0; workload.jobs.len()];
    for run in &outcome.runs {
        let job = &workload.jobs[run.job as usize];
        assert!(run.start >= job.submit, "job {} starts before it is submitted", job.number);
        // A run that is taken back in the moment of its start holds nothing for any time.
        if run.end > run.start {
            edges.extend([(run.start, true, job.milli()), (run.end, false, job.milli())]);
        }
        ends[run.job as usize] += usize::from(matches!(run.how, How::Ended | How::TimedOut));
    }
    edges.sort_unstable();
    let mut held = 0;
    for (_, starts, gang) in edges {
        held = if starts { held + gang } else { held - gang };
        assert!(held <= 1000 * machine.gpus(), "{held} thousandths held of {} GPUs", machine.gpus());
    }
    assert!(ends.iter().all(|count| *count == 1), "each job comes to its end once");
}

/// A run on one of two nodes of 8; a gang of both; short and long work behind it.
const HEAD: &str = "0 100 100 1x8 0
                    1 50 50 2x8 0
                    2 60 60 1x8 0
                    3 99 120 1x8 0
                    4 30 30 1x4 0";

#[test]
fn under_fifo_the_head_blocks_all() {
    let workload = table(1, HEAD);
    let outcome = tried(&workload, &Machine::plain(2, 8), Peer::Fifo);
    assert_eq!(shown(&workload, &outcome), ["1 0-100", "2 100-150", "3 150-210", "4 150-249", "5 210-240"]);
}

#[test]
fn under_easy_others_overtake_if_the_head_is_not_delayed() {
    let workload = table(1, HEAD);
    let outcome = tried(&workload, &Machine::plain(2, 8), Peer::Easy);
    assert_eq!(shown(&workload, &outcome), ["1 0-100", "3 2-62", "5 62-92", "2 100-150", "4 150-249"]);
}

#[test]
fn easy_reserves_nodes_not_counts() {
    // The gang of two whole nodes waits for both; 6 GPUs are to spare by count at 100, but only on nodes it needs.
    let rows = "0 100 100 1x8 0
                0 400 400 1x2 0
                1 50 50 2x8 0
                2 300 300 1x6 0";
    let workload = table(1, rows);
    let outcome = tried(&workload, &Machine::plain(3, 8), Peer::Easy);
    assert_eq!(shown(&workload, &outcome), ["1 0-100", "2 0-400", "4 2-302", "3 100-150"]);
    let workload = table(1, &rows.replace("1x6", "1x7"));
    let outcome = tried(&workload, &Machine::plain(3, 8), Peer::Easy);
    assert_eq!(shown(&workload, &outcome), ["1 0-100", "2 0-400", "3 100-150", "4 150-450"]);
}

#[test]
fn under_multifactor_who_used_least_goes_first_and_others_backfill() {
    // Owner 0 has used the machine; when it falls free at 1000, owner 1's job goes first though it came later. Backfill
    // looks every 30 s, at the whole node that is free: job 4 ends before the plans that stand, job 5 does not.
    let workload = table(
        2,
        "0 1000 1000 1x8 0
         10 500 500 2x8 0
         20 500 500 2x8 1
         31 900 900 1x8 0
         32 900 2000 1x8 0",
    );
    let outcome = tried(&workload, &Machine::plain(2, 8), Peer::Multifactor);
    assert_eq!(shown(&workload, &outcome), ["1 0-1000", "4 60-960", "3 1000-1500", "2 1500-2000", "5 2000-2900"]);
}

#[test]
fn under_kueue_owners_borrow_and_are_taken_back_from_newest_first() {
    // Each of two owners has a quota of 16. Owner 0 borrows all; owner 1 takes back what is newest and no more.
    let workload = table(
        2,
        "0 500 500 1x8 0
         1 500 500 1x8 0
         2 500 500 1x8 0
         3 500 500 1x8 0
         10 100 100 1x8 1",
    );
    let outcome = tried(&workload, &Machine::plain(4, 8), Peer::Kueue);
    assert_eq!(shown(&workload, &outcome), ["1 0-500", "2 1-501", "3 2-502", "4 3-10 back", "5 10-110", "4 110-610"]);
    let figures = figures(&workload, &Machine::plain(4, 8), &outcome);
    assert_eq!((figures.taken_back, figures.lost_back), (1, 7 * 8));
}

#[test]
fn under_kueue_a_gang_in_part_holds_its_quota_until_the_timeout() {
    // By count 14 GPUs are free for the gang, by node 8, 3 and 3: one pod has a place, the other has none. Job 4 would
    // fit beside it, but there is no quota left until the gang is evicted at 305. Back at 365 it has to wait for job 2.
    let workload = table(
        1,
        "0 2000 2000 1x5 0
         1 400 400 1x5 0
         5 100 100 2x7 0
         6 350 350 1x3 0",
    );
    let machine = Machine::plain(3, 8);
    let outcome = tried(&workload, &machine, Peer::Kueue);
    assert_eq!(shown(&workload, &outcome), ["1 0-2000", "2 1-401", "4 305-655", "3 401-501"]);
    assert_eq!(figures(&workload, &machine, &outcome).stalled, 7 * 300);
}

#[test]
fn a_lost_node_ends_its_runs_and_they_wait_again() {
    for peer in Peer::ALL {
        let mut workload = table(1, "0 100 100 2x8 0");
        let job = &mut workload.jobs[0];
        job.checkpoint = Span::from_secs(20);
        let fault =
            |at: u64, lasts| Fault { at: Time::from_millis(at * SECOND), node: 1, lasts: Span::from_secs(lasts) };
        workload.faults = vec![fault(50, 30), fault(60, 60)];
        let outcome = tried(&workload, &Machine::plain(2, 8), peer);
        assert_eq!(shown(&workload, &outcome)[0], "1 0-50 lost", "{}", peer.name());
        assert_eq!(outcome.runs[0].kept, Span::from_secs(40), "{}", peer.name());
        let last = outcome.runs.last().expect("it ran");
        assert_eq!(last.end.since(last.start), Span::from_secs(60), "{}", peer.name());
        assert!(last.start >= Time::from_millis(120 * SECOND), "{}: the node is down until then", peer.name());
    }
}

#[test]
fn peers_go_by_their_names() {
    assert!(Peer::ALL.into_iter().all(|peer| Peer::named(peer.name()) == Some(peer)));
    assert_eq!(Peer::named("slurm"), None);
}

/// On nodes of one GPU in one fabric a gang is a number of processors, and the laboratory knows the starts.
fn flat(mut workload: Workload) -> Workload {
    for job in &mut workload.jobs {
        (job.nodes, job.gpus, job.cpus) = (job.nodes * job.gpus, 1, 1);
    }
    workload
}

fn in_laboratory(workload: &Workload, procs: u32, policy: lab::Policy) -> Vec<u64> {
    let job = |job: &Job| lab::Job {
        number: job.number as i64,
        submit: job.submit.secs(),
        run: job.runtime.secs() as u32,
        estimate: job.limit.secs() as u32,
        procs: job.nodes,
    };
    let jobs: Vec<lab::Job> = workload.jobs.iter().map(job).collect();
    lab::replay(&jobs, procs, policy, Passes::EachMoment, &mut |_| ()).expect("they fit")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn fifo_and_easy_start_as_in_the_laboratory(
        rows in prop::collection::vec((0u64..300, 1u64..60, 0u64..40, 1u64..9), 1..60)
    ) {
        let row = |(submit, run, more, procs): &(u64, u64, u64, u64)| format!("{submit} {run} {} {procs}x1 0\n", run + more);
        let workload = table(1, &rows.iter().map(row).collect::<String>());
        for (peer, policy) in [(Peer::Fifo, lab::Policy::Fcfs), (Peer::Easy, lab::Policy::Easy)] {
            let outcome = tried(&workload, &Machine::plain(8, 1), peer);
            let mut starts = vec![0; workload.jobs.len()];
            outcome.runs.iter().for_each(|run| starts[run.job as usize] = run.start.secs());
            prop_assert_eq!(starts, in_laboratory(&workload, 8, policy));
        }
    }

    #[test]
    fn every_policy_is_sound_and_repeatable(
        rows in prop::collection::vec((0u64..2000, 1u64..900, 0u64..400, 1u64..4, 1u64..9, 0u64..3), 1..50),
        faults in prop::collection::vec((0u64..2000, 0u32..6, 1u64..500), 0..4)
    ) {
        let row = |(submit, run, more, nodes, gpus, owner): &(u64, u64, u64, u64, u64, u64)| {
            format!("{submit} {run} {} {nodes}x{gpus} {owner}\n", run + more)
        };
        let mut workload = table(3, &rows.iter().map(row).collect::<String>());
        let fault = |(at, node, lasts): &(u64, u32, u64)| {
            Fault { at: Time::from_millis(at * SECOND), node: *node, lasts: Span::from_secs(*lasts) }
        };
        workload.faults = faults.iter().map(fault).collect();
        let workload = workload.in_order();
        let fabric = |nodes| Fabric { name: format!("f{nodes}"), nodes, gpus: 8, cpus: 96, memory_mib: 0 };
        let mut machine = Machine::plain(6, 8);
        machine.fabrics = vec![fabric(2), fabric(4)];
        for peer in Peer::ALL {
            let outcome = tried(&workload, &machine, peer);
            prop_assert_eq!(&outcome, &tried(&workload, &machine, peer));
        }
    }
}

/// The Philly trace with exact limits; nothing where it is not beside the repository.
fn traced() -> Option<Workload> {
    let file = "shared/traces/philly/philly_jobs_2017-09-04_2017-11-07.csv.gz";
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let Ok(bytes) = std::fs::read(root.join(file)).or_else(|_| std::fs::read(root.join("..").join(file))) else {
        println!("skipped: no ../{file} beside the repository");
        return None;
    };
    let mut text = String::new();
    flate2::read::GzDecoder::new(bytes.as_slice()).read_to_string(&mut text).expect("it is gzip of text");
    Some(flat(philly::read(&text, philly::Limits::Exact).expect("it is well formed")))
}

#[test]
fn philly_waits_as_two_other_simulators_have_it() {
    let Some(workload) = traced() else { return };
    let cases = [
        (768, Peer::Fifo, "1925.514", "14.5497"),
        (768, Peer::Easy, "1648.766", "10.1280"),
        (512, Peer::Fifo, "498016.131", "2655.0606"),
        (512, Peer::Easy, "445196.986", "1574.2697"),
    ];
    for (gpus, peer, wait, slowdown) in cases {
        let machine = Machine::plain(gpus, 1);
        let outcome = tried(&workload, &machine, peer);
        let waits = outcome.runs.iter().map(|run| run.start.since(workload.jobs[run.job as usize].submit).millis());
        let (sum, count) = (waits.sum::<u64>(), workload.jobs.len() as u64);
        let stretch = figures(&workload, &machine, &outcome).all.slowdown;
        let ours = (decimal((sum + count / 2) / count, 3, 3), decimal(stretch, 6, 4));
        assert_eq!(ours, (wait.to_owned(), slowdown.to_owned()), "{} on {gpus} GPUs", peer.name());
    }
}
