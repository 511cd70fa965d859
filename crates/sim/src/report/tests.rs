//! Pages of small, made trials.
use super::*;
use crate::trial::{How, Job, Owner, Run, figures};
use madang_model::{Qos, Span};

/// Ten owners with a job each, of growing size.
pub fn workload() -> Workload {
    let owner = |index: u32| Owner { name: format!("o{index}<&>"), weight: 1 + index };
    let job = |index: u32| Job {
        number: u64::from(index) + 1,
        submit: Time::from_millis(u64::from(index) * 60_000),
        runtime: Span::from_secs(3000),
        limit: Span::from_secs(7200),
        nodes: 1,
        gpus: 1 + index % 8,
        share: 0,
        cpus: 1,
        beside: None,
        owner: index,
        user: 0,
        qos: Qos::Normal,
        fails: false,
        checkpoint: Span::ZERO,
    };
    Workload {
        name: "made & small".into(),
        notes: vec!["Modelled: <all> of it".into()],
        owners: (0..10).map(owner).collect(),
        jobs: (0..10).map(job).collect(),
        faults: Vec::new(),
        withdrawn: Default::default(),
    }
}

/// Each job starts at once; the second is taken back once.
pub fn outcome() -> Outcome {
    let run = |job: u32, start: u64, secs: u64, how: How, kept: u64| Run {
        job,
        start: Time::from_millis(start * 1000),
        end: Time::from_millis((start + secs) * 1000),
        milli: workload().jobs[job as usize].milli(),
        how,
        kept: Span::from_secs(kept),
    };
    let mut runs = vec![run(1, 60, 100, How::TakenBack, 0), run(1, 777, 3000, How::Ended, 3000)];
    runs.extend((0..10).filter(|job| *job != 1).map(|job| run(job, u64::from(job) * 60, 3000, How::Ended, 3000)));
    runs.sort_by_key(|run| (run.end, run.job));
    let end = Time::from_millis(3_777_000);
    Outcome { policy: "a".into(), runs, frames: Vec::new(), end, promises: (0, 0), stalled: 0, withdrawn: Vec::new() }
}

fn page(names: &[&str], seeds: u64) -> String {
    let machine = Machine::plain(8, 8);
    let case = |seed: u64| Case { seed, workload: workload(), machine: machine.clone() };
    let cases: Vec<Case> = (1..=seeds).map(case).collect();
    let tried = |name: &&str| Tried {
        name: (*name).into(),
        about: "as made".into(),
        outcomes: cases.iter().map(|_| outcome()).collect(),
        figures: cases.iter().map(|case| figures(&case.workload, &machine, &outcome())).collect(),
    };
    let tried: Vec<Tried> = names.iter().map(tried).collect();
    html(&Report { cases: &cases, tried: &tried, command: "madang simulate x", version: "0" })
}

/// Every element that is opened is closed, in order.
fn balanced(page: &str) -> Result<(), String> {
    let mut open: Vec<&str> = Vec::new();
    let body = page.split_once('\n').map_or("", |(_, rest)| rest);
    for part in body.split('<').skip(1) {
        let (tag, _) = part.split_once('>').ok_or(format!("{part} is not closed"))?;
        if let Some(name) = tag.strip_prefix('/') {
            let last = open.pop();
            if last != Some(name) {
                return Err(format!("{name} closes {last:?}"));
            }
        } else if !tag.ends_with('/') {
            open.push(tag.split(' ').next().unwrap_or(tag));
        }
    }
    if open.is_empty() { Ok(()) } else { Err(format!("{open:?} stay open")) }
}

#[test]
fn pages_are_whole_and_refer_to_nothing() {
    for (names, seeds) in [(&["a"][..], 1), (&["a", "b", "c"][..], 2)] {
        let page = page(names, seeds);
        assert_eq!(balanced(&page), Ok(()));
        for word in ["http:", "https:", "src=", "href=", "@import", "NaN", "inf "] {
            assert!(!page.contains(word), "{word} is in the page");
        }
        assert!(page.contains("made &amp; small") && page.contains("o0&lt;&amp;&gt;"));
        assert_eq!(page, self::page(names, seeds), "the same trials give the same bytes");
    }
}

#[test]
fn the_frontier_is_what_nobody_beats() {
    let points = [(1.0, 9.0), (2.0, 2.0), (3.0, 3.0), (9.0, 1.0), (2.0, 2.0)];
    assert_eq!(compared::frontier(&points), [0, 1, 3, 4]);
}
