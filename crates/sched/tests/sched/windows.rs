//! Windows and caps, in small cases.
use crate::common::*;
use expect_test::expect;
use madang_model::{
    Blocked, Cap, JobId, NodeId, ProjectId, Purpose, Recurrence, Reservation, ReservationId, RunId, SiteId, Span, Time,
    Window,
};
use madang_sched::{BrokenBy, Change, Event, PromiseEnd, Scheduler, Step};

pub fn booking(id: u32, purpose: Purpose, from: u64, until: u64) -> Reservation {
    Reservation {
        id: ReservationId::new(id),
        name: format!("r{id}"),
        purpose,
        first: Window { from: at(from), until: at(until) },
        every: None,
        reason: "test".into(),
        by: String::new(),
    }
}

pub fn maintenance(nodes: &[u32]) -> Purpose {
    Purpose::Maintenance { nodes: nodes.iter().map(|node| NodeId::new(*node)).collect() }
}

fn projects(nodes: &[u32]) -> Purpose {
    let nodes = nodes.iter().map(|node| NodeId::new(*node)).collect();
    Purpose::Projects { nodes, projects: vec![ProjectId::new(1)], owners: vec![] }
}

fn cap(most: Cap) -> Purpose {
    Purpose::Cap { site: SiteId::new(0), most }
}

fn reserved(id: u32, purpose: Purpose, from: u64, until: u64) -> Event {
    Event::Reserved(booking(id, purpose, from, until))
}

/// A job that names a reservation.
fn inside(job: u64, id: u32, nodes: u32, gpus: u32, limit: u64) -> Event {
    let mut ask = ask(job, request(nodes, gpus), limit);
    ask.request.reservation = Some(ReservationId::new(id));
    Event::Queued(ask)
}

fn promised(sched: &Scheduler, job: u64) -> Option<u64> {
    sched.promise(JobId::new(job)).map(|promise| promise.start.secs())
}

/// Goes on until this moment: wakes as asked for, and every run ends at its limit. Says what started when.
fn go_on(sched: &mut Scheduler, mut last: Step, until: u64) -> String {
    let (mut said, mut now, mut runs) = (String::new(), 0, Vec::<(u64, RunId)>::new());
    runs.extend(sched.runs().map(|(run, _, end)| (end.secs(), run)));
    loop {
        let end = runs.iter().map(|(end, _)| *end).min();
        let Some(next) = last.wake.map(Time::secs).into_iter().chain(end).min().filter(|next| *next <= until) else {
            return said;
        };
        now = next.max(now);
        let over: Vec<_> = runs.iter().filter(|(end, _)| *end <= now).map(|(_, run)| Event::Ended(*run)).collect();
        runs.retain(|(end, _)| *end > now);
        last = step(sched, now, over);
        runs.extend(last.starts.iter().map(|start| (start.until.secs(), start.run)));
        said += &starts(&last).lines().map(|line| format!("{now} {line}\n")).collect::<String>();
    }
}

#[test]
fn maintenance_finds_its_nodes_empty() {
    let mut sched = sched(&estate(&[(1, 2, 8)]));
    // Maintenance of one node of two in an hour. What is gone by then starts there, what is not does not.
    let jobs = vec![reserved(1, maintenance(&[0]), 3600, 7200), queued(1, 1, 8, 3540), queued(2, 1, 8, 3541)];
    let first = step(&mut sched, 0, jobs);
    assert_eq!(starts(&first), "job-1: n0[ff]\njob-2: n1[ff]\n");
    // A gang of both nodes is promised the first moment after it, and the small fill the time before.
    let second = step(&mut sched, 1, vec![queued(3, 2, 8, 600), queued(4, 1, 8, 36_000)]);
    assert_eq!((starts(&second).as_str(), promised(&sched, 3)), ("", Some(7200)));
    assert_eq!(go_on(&mut sched, second, 8000), "7200 job-3: n0[ff] n1[ff]\n7800 job-4: n0[ff]\n");
}

#[test]
fn the_limit_that_fits_before_a_window_is_the_change_to_make() {
    let mut sched = sched(&estate(&[(1, 2, 8)]));
    step(&mut sched, 0, vec![reserved(7, maintenance(&[0, 1]), 7200, 10_800), queued(1, 2, 8, 36_000)]);
    assert_eq!(promised(&sched, 1), Some(10_800));
    let why = sched.explain(at(0), JobId::new(1)).unwrap();
    assert_eq!(why.why, [Blocked::Reserved { by: ReservationId::new(7), from: at(7200) }]);
    assert_eq!(why.change, Some(Change::Limit(Span::from_mins(119))), "and a minute to be gone");
    // It is the window alone that blocks: without it the job starts.
    let step = step(&mut sched, 1, vec![Event::Unreserved(ReservationId::new(7))]);
    assert_eq!(starts(&step), "job-1: n0[ff] n1[ff]\n");
}

#[test]
fn a_weekly_window_is_worked_around_every_week() {
    const DAY: u64 = 86_400;
    let mut sched = sched(&estate(&[(1, 1, 8)]));
    let mut weekly = booking(1, maintenance(&[0]), DAY, DAY + 3600);
    weekly.every = Some(Recurrence { every: Span::from_days(7), last: at(20 * DAY) });
    // Jobs of six days fit between two windows once; three of two days fit between them.
    let jobs = [(1, 6), (2, 6), (3, 2), (4, 2), (5, 2), (6, 8)];
    let mut events = vec![Event::Reserved(weekly)];
    events.extend(jobs.map(|(job, days)| queued(job, 1, 8, days * DAY)));
    let first = step(&mut sched, 0, events);
    assert_eq!(starts(&first), "");
    expect![[r#"
        90000 job-1: n0[ff]
        694800 job-2: n0[ff]
        1299600 job-3: n0[ff]
        1472400 job-4: n0[ff]
        1645200 job-5: n0[ff]
        1818000 job-6: n0[ff]
    "#]]
    .assert_eq(&go_on(&mut sched, first, 60 * DAY));
}

#[test]
fn a_reservation_is_for_those_that_name_it() {
    let mut sched = sched(&estate(&[(1, 3, 8)]));
    let jobs = vec![
        reserved(1, projects(&[0, 1]), 600, 4200),
        inside(1, 1, 1, 8, 3600),
        inside(2, 1, 2, 8, 600),
        queued(3, 1, 8, 7200),
        queued(4, 1, 8, 300),
        queued(5, 1, 8, 7200),
    ];
    let first = step(&mut sched, 0, jobs);
    // Before it begins others may use the nodes, if they are gone in time.
    assert_eq!(starts(&first), "job-3: n2[ff]\njob-4: n0[ff]\n");
    assert_eq!(sched.why(JobId::new(1)), Some(Blocked::Reserved { by: ReservationId::new(1), from: at(600) }));
    expect![[r#"
        600 job-1: n0[ff]
        4200 job-5: n0[ff]
    "#]]
    .assert_eq(&go_on(&mut sched, first, 5000));
    // The gang could not be placed beside the long job, nor would it fit behind it; when the reservation goes it can
    // never be.
    let gone = step(&mut sched, 5000, vec![Event::Unreserved(ReservationId::new(1))]);
    assert_eq!(starts(&gone), "");
    assert_eq!(sched.why(JobId::new(2)), Some(Blocked::ReservationOver { by: ReservationId::new(1) }));
}

#[test]
fn a_cap_counts_what_would_still_be_in_use() {
    let mut sched = sched(&estate(&[(1, 4, 8)]));
    // At most 16 GPUs of 32 from ten minutes on for an hour.
    let jobs = vec![
        reserved(1, cap(Cap::Gpus(16)), 600, 4200),
        queued(1, 1, 8, 7200),
        queued(2, 1, 4, 7200),
        queued(3, 1, 8, 7200),
        queued(4, 1, 4, 7200),
        queued(5, 2, 8, 500),
    ];
    let first = step(&mut sched, 0, jobs);
    assert_eq!(starts(&first), "job-1: n0[ff]\njob-2: n1[0f]\njob-4: n1[f0]\njob-5: n2[ff] n3[ff]\n");
    assert_eq!(sched.why(JobId::new(3)), Some(Blocked::Reserved { by: ReservationId::new(1), from: at(600) }));
    assert_eq!(promised(&sched, 3), Some(4200));
    assert_eq!(go_on(&mut sched, first, 4200), "4200 job-3: n2[ff]\n");
}

#[test]
fn a_cap_of_nodes_lets_nodes_in_use_be_filled() {
    let mut sched = sched(&estate(&[(1, 4, 8)]));
    let first = vec![reserved(1, cap(Cap::Nodes(1)), 0, 4200), queued(1, 1, 1, 7200)];
    assert_eq!(starts(&step(&mut sched, 0, first)), "job-1: n0[01]\n");
    let second = step(&mut sched, 1, vec![queued(2, 1, 7, 4000), queued(3, 1, 8, 600)]);
    assert_eq!(starts(&second), "job-2: n0[fe]\n");
    assert_eq!(promised(&sched, 3), Some(4200));
}

#[test]
fn a_new_window_names_who_is_in_its_way_and_breaks_what_it_must() {
    let mut sched = sched(&estate(&[(1, 2, 8)]));
    step(&mut sched, 0, vec![queued(1, 1, 8, 3600), queued(2, 1, 8, 600), queued(3, 2, 8, 600)]);
    assert_eq!(promised(&sched, 3), Some(3660));
    let crossing = |purpose: Purpose, from: u64| {
        let found = sched.crossing(&booking(1, purpose, from, from + 600));
        found.map(|(run, until)| (run.job.number(), until.secs()))
    };
    assert_eq!(crossing(maintenance(&[0]), 3660), None);
    assert_eq!(crossing(maintenance(&[0, 1]), 3659), Some((1, 3600)));
    assert_eq!(crossing(maintenance(&[1]), 600), Some((2, 600)));
    assert_eq!(crossing(cap(Cap::Gpus(8)), 600), Some((1, 3600)));
    assert_eq!(crossing(cap(Cap::Gpus(8)), 660), None);
    // Laid over a running job all the same: it stays, the promise does not.
    let laid = step(&mut sched, 1, vec![reserved(1, maintenance(&[0]), 1800, 5400)]);
    let cause = BrokenBy::Reserved(ReservationId::new(1));
    assert_eq!(laid.promises, [(JobId::new(3), PromiseEnd::Broken { promised: at(3660), cause })]);
    assert_eq!(promised(&sched, 3), Some(5400));
    // A later end would run into a window, of this or of the next run.
    let into = |run: RunId, until: u64| sched.runs_into(run, at(until)).map(|(_, from)| from.secs());
    assert_eq!((into(run(2), 3000), into(run(1), 1740), into(run(1), 1741)), (None, None, Some(1800)));
}

#[test]
fn what_outlasts_the_pause_between_windows_waits_for_the_last_of_many() {
    let mut sched = sched(&estate(&[(1, 1, 8)]));
    // Nothing may run for nine of every ten minutes, a hundred times.
    let every = Some(Recurrence { every: Span::from_mins(10), last: at(600 * 99) });
    let often = Reservation { every, ..booking(1, cap(Cap::Nodes(0)), 0, 540) };
    step(&mut sched, 0, vec![Event::Reserved(often), queued(1, 1, 8, 3600)]);
    assert_eq!(promised(&sched, 1), None, "more are to come than are looked at");
    for round in 1..50 {
        step(&mut sched, 600 * round, vec![]);
    }
    assert_eq!(promised(&sched, 1), Some(600 * 99 + 540));
}
