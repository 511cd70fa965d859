//! Placement, order, promises, loss and budget, in small cases.
mod common;
use common::*;
use expect_test::expect;
use madang_model::Qos;
use madang_sched::Event;

#[test]
fn a_gang_starts_whole_in_one_island() {
    let founding = estate(&[(1, 2, 8), (1, 4, 8)]);
    let mut sched = sched(&founding);
    let step = step(&mut sched, 1, vec![queued(1, 3, 8, 600), queued(2, 2, 8, 600), queued(3, 1, 1, 600)]);
    expect![[r#"
        job-1: n2[ff] n3[ff] n4[ff]
        job-2: n0[ff] n1[ff]
        job-3: n5[01]
    "#]]
    .assert_eq(&starts(&step));
}

#[test]
fn small_jobs_fill_the_fullest_node_first() {
    let founding = estate(&[(1, 2, 8)]);
    let mut sched = sched(&founding);
    let jobs = [(1, 1), (2, 4), (3, 2), (4, 2), (5, 1)];
    let step = step(&mut sched, 1, jobs.map(|(id, gpus)| queued(id, 1, gpus, 600)).to_vec());
    expect![[r#"
        job-1: n0[01]
        job-2: n0[1e]
        job-3: n0[60]
        job-4: n1[03]
        job-5: n0[80]
    "#]]
    .assert_eq(&starts(&step));
}

#[test]
fn urgency_then_nice_then_age_then_id() {
    let founding = estate(&[(1, 8, 8)]);
    let mut sched = sched(&founding);
    let job = |id: u64, qos: Qos, nice: i32, since: u64| {
        let mut ask = ask(id, request(1, 8), 600);
        (ask.qos, ask.nice, ask.since) = (qos, nice, at(since));
        Event::Queued(ask)
    };
    let events = vec![
        job(1, Qos::Low, 0, 0),
        job(2, Qos::Normal, 5, 0),
        job(3, Qos::Normal, 0, 9),
        job(4, Qos::Normal, 0, 3),
        job(5, Qos::Normal, 0, 3),
        job(6, Qos::High, 9, 9),
    ];
    let step = step(&mut sched, 10, events);
    let order: Vec<u64> = step.starts.iter().map(|start| start.run.job.number()).collect();
    assert_eq!(order, [6, 4, 5, 3, 2, 1]);
}
