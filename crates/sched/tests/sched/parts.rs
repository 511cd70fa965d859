//! Jobs that hold a part of a GPU: where they go, what waits for them, what they count for.
use crate::common::*;
use expect_test::expect;
use madang_model::{Founding, GpuTime, JobId, MilliGpus, PartyId, ProjectId, Qos, Request, Share, Span};
use madang_sched::{Ask, Budget, Config, Event, Scheduler, Step};

/// One rack of nodes whose devices may be shared and cut.
fn offering(nodes: u32, gpus: u32) -> Founding {
    let mut founding = estate(&[(1, nodes, gpus)]);
    offer_parts(&mut founding, |_| (true, true));
    founding
}

fn milli(milli: u32) -> Request {
    share(1, Share::Milli(milli))
}

fn slice(profile: &str) -> Request {
    share(1, Share::Slice(profile.into()))
}

/// `job-3: n0[01] 250`, one line for each start; a slice with its memory slices.
fn starts(step: &Step) -> String {
    let part = |slot: &madang_model::Slot| match slot.share {
        None => "whole".to_string(),
        Some(held) if held.cut == 0 => held.milli.to_string(),
        Some(held) => format!("{} {:08b}", held.milli, held.cut),
    };
    let slot = |slot: &madang_model::Slot| format!(" n{}[{:02x}] {}", slot.node.number(), slot.devices, part(slot));
    let line = |on: &madang_model::Allocation| on.slots.iter().map(slot).collect::<String>();
    step.starts.iter().map(|start| format!("{}:{}\n", start.run.job, line(&start.on))).collect()
}

fn queue(requests: impl IntoIterator<Item = Request>, first: u64) -> Vec<Event> {
    (first..).zip(requests).map(|(id, request)| Event::Queued(ask(id, request, 3600))).collect()
}

#[test]
fn shares_fill_a_device_before_they_take_another_and_whole_ones_wait_for_the_last() {
    let mut sched = sched(&offering(1, 2));
    let started = step(&mut sched, 0, queue([500, 300, 250, 200, 700].map(milli), 1));
    expect![[r#"
        job-1: n0[01] 500
        job-2: n0[01] 300
        job-3: n0[02] 250
        job-4: n0[01] 200
        job-5: n0[02] 700
    "#]]
    .assert_eq(&starts(&started));
    assert_eq!(sched.held(run(1)).unwrap().gpus(), MilliGpus::new(500));
    // Two whole devices: the last share of each must be gone.
    let asked = step(&mut sched, 10, vec![queued(9, 1, 2, 3600)]);
    assert_eq!(starts(&asked), "");
    for id in 1..5 {
        assert_eq!(starts(&step(&mut sched, 10 + id, vec![Event::Ended(run(id))])), "", "job {id} was not the last");
    }
    expect![[r#"
        job-9: n0[03] whole
    "#]]
    .assert_eq(&starts(&step(&mut sched, 20, vec![Event::Ended(run(5))])));
}

#[test]
fn slices_lie_where_their_profiles_allow_and_never_beside_shares() {
    let mut sched = sched(&offering(1, 3));
    let asks = ["1g.18gb", "3g.71gb", "4g.71gb", "2g.35gb", "7g.141gb"].map(slice);
    expect![[r#"
        job-1: n0[01] 143 01000000
        job-2: n0[01] 429 00001111
        job-3: n0[02] 572 00001111
        job-4: n0[01] 286 00110000
        job-5: n0[04] 1000 11111111
    "#]]
    .assert_eq(&starts(&step(&mut sched, 0, queue(asks, 1))));
    // All three devices are cut by now.
    assert_eq!(starts(&step(&mut sched, 1, queue([milli(1)], 9))), "");
    expect![[r#"
        job-9: n0[04] 1
    "#]]
    .assert_eq(&starts(&step(&mut sched, 2, vec![Event::Ended(run(5))])));
}

#[test]
fn gangs_hold_a_part_of_one_device_on_each_node() {
    let mut sched = sched(&offering(3, 2));
    let asks = [share(3, Share::Milli(600)), share(2, Share::Milli(400)), share(3, Share::Slice("3g.71gb".into()))];
    expect![[r#"
        job-1: n0[01] 600 n1[01] 600 n2[01] 600
        job-2: n0[01] 400 n1[01] 400
        job-3: n0[02] 429 11110000 n1[02] 429 11110000 n2[02] 429 11110000
    "#]]
    .assert_eq(&starts(&step(&mut sched, 0, queue(asks, 1))));
}

#[test]
fn a_large_share_is_not_starved_by_small_ones() {
    // One device; quarters of an hour each keep coming, so that no moment has 900 thousandths free but by a promise.
    let mut sched = sched(&offering(1, 1));
    step(&mut sched, 0, queue([250, 250, 250].map(milli), 1));
    step(&mut sched, 60, queue([milli(900)], 10));
    assert_eq!(sched.promise(JobId::new(10)).unwrap().start, at(3660));
    for id in 0..50 {
        let late = step(&mut sched, 120 + id, queue([milli(250)], 20 + id));
        assert_eq!(starts(&late), "", "it would be there when the promise is due");
    }
    let ends = (1..4).map(|id| Event::Ended(run(id))).collect();
    expect!["job-10: n0[01] 900"].assert_eq(starts(&step(&mut sched, 3600, ends)).lines().next().unwrap_or_default());
}

#[test]
fn what_no_site_offers_is_said_with_what_is_offered() {
    let mut plain = estate(&[(1, 2, 8)]);
    let says = |founding: &Founding, request: Request| match sched(founding).fits_ever(&request) {
        Ok(()) => "fits\n".to_string(),
        Err(text) => text + "\n",
    };
    let mut two = milli(250);
    two.parts[0].gpus = 2;
    let shared = offering(1, 1);
    let texts = [
        says(&plain, milli(250)),
        says(&plain, slice("1g.18gb")),
        says(&shared, slice("1g.10gb")),
        says(&shared, slice("1g.18gb")),
        says(&shared, milli(0)),
        says(&shared, milli(1000)),
        says(&shared, two),
        says(&shared, share(2, Share::Milli(500))),
    ];
    expect![[r#"
        asks for a share of a GPU, site0 has none that are shared
        asks for a slice 1g.18gb, site0 has no GPUs that are cut into slices
        asks for a slice 1g.10gb, site0 offers 1g.18gb, 1g.35gb, 2g.35gb, 3g.71gb, 4g.71gb, 7g.141gb
        fits
        asks for 0 thousandths of a GPU, a share is of 1 to 999
        asks for 1000 thousandths of a GPU, a share is of 1 to 999
        asks for 0.25 of each of 2 GPUs on a node, a share is of one
        asks for 2 nodes with 1 GPUs and 3 CPUs, site0 has 1 of them
    "#]]
    .assert_eq(&texts.concat());
    offer_parts(&mut plain, |node| (false, node.id.number() == 1));
    assert_eq!(says(&plain, milli(250)), "fits\n");
}

#[test]
fn parts_count_for_what_they_are_in_budgets_and_shares() {
    let mut sched = sched(&offering(1, 1));
    let hour = |milli: i64| Budget::Left(GpuTime::from_micro_secs(milli * 3_600_000));
    step(&mut sched, 0, vec![Event::Budget(ProjectId::new(1), hour(600))]);
    // A quarter for an hour is held; a second one too; a third is more than is left.
    assert_eq!(step(&mut sched, 1, queue([250, 250, 250].map(milli), 1)).starts.len(), 2);
    assert_eq!(sched.left(ProjectId::new(1)), Some(GpuTime::from_micro_secs(100 * 3_600_000)));
    step(&mut sched, 2, vec![Event::Budget(ProjectId::new(1), hour(1000)), Event::Withdrawn(JobId::new(3))]);
    let gpus = |sched: &Scheduler| sched.standing(at(2)).into_iter().map(|row| row.gpus).max();
    assert_eq!(gpus(&sched), Some(0), "half a GPU");
    step(&mut sched, 3, queue([500].map(milli), 5));
    assert_eq!(gpus(&sched), Some(1), "two quarters and a half");
}

#[test]
fn what_is_taken_back_of_a_device_is_no_more_than_is_needed() {
    // Owner 0 holds four quarters of each of two devices, owner 1 is due half of all and asks for a quarter.
    let mut founding = offering(1, 2);
    founding.sites[0].shares = vec![(PartyId::new(0), 5000), (PartyId::new(1), 5000)];
    let mut sched = Scheduler::new(Config::default(), &founding);
    step(&mut sched, 0, [project(1, 0), project(2, 1)].concat());
    let day = |id, of, request| {
        Event::Queued(Ask { project: ProjectId::new(of), ..ask(id, request, Span::from_days(1).secs()) })
    };
    step(&mut sched, 0, (1..9).map(|id| day(id, 1, milli(250))).collect());
    let taken = step(&mut sched, 7200, vec![day(20, 2, milli(250))]);
    let stops = |step: &Step| step.stops.iter().map(|stop| stop.run.job.number()).collect::<Vec<_>>();
    assert_eq!(stops(&taken).len(), 1, "one quarter makes room for one");
    let on = sched.promise(JobId::new(20)).unwrap().on.slots[0];
    let held = sched.held(taken.stops[0].run).unwrap().slots[0];
    assert_eq!((on.devices, on.share), (held.devices, held.share), "where the victim was");
    // A whole device costs all that hold parts of one, beside which nothing is promised.
    let whole = step(&mut sched, 7201, vec![day(21, 2, request(1, 1))]);
    assert_eq!(stops(&whole), Vec::<u64>::new(), "with it the owner would hold more than its half");
    let done = step(&mut sched, 7300, taken.stops.iter().map(|stop| Event::Ended(stop.run)).collect());
    assert_eq!(done.starts.iter().map(|start| start.run.job).collect::<Vec<_>>(), [JobId::new(20)]);
}

#[test]
fn a_part_that_others_yield_to_is_a_promise_until_it_starts() {
    // Each owner holds the node that it is guaranteed, and owner 0 is promised more.
    let mut founding = offering(2, 2);
    founding.sites[0].shares = vec![(PartyId::new(0), 5000), (PartyId::new(1), 5000)];
    let mut sched = Scheduler::new(Config::default(), &founding);
    step(&mut sched, 0, [project(1, 0), project(2, 1)].concat());
    let asked = |id, of, request, limit| Ask { project: ProjectId::new(of), ..ask(id, request, limit) };
    let hour = 3600;
    let early = [(1, 2, request(1, 2), hour), (2, 1, request(1, 2), 240 * hour)];
    step(&mut sched, 0, early.map(|(id, of, request, limit)| Event::Queued(asked(id, of, request, limit))).to_vec());
    let promised = [
        (3, 2, milli(100), 4 * hour),
        (4, 2, request(1, 1), 4 * hour),
        (5, 2, milli(500), hour),
        (6, 1, request(1, 1), hour),
    ];
    for (id, of, request, limit) in promised {
        step(&mut sched, id, vec![Event::Queued(asked(id, of, request, limit))]);
    }
    let start = |sched: &Scheduler, id| sched.promise(JobId::new(id)).map(|promise| promise.start);
    assert_eq!([3, 4, 5].map(|id| start(&sched, id)), [at(3660), at(3660), at(3720 + 4 * hour)].map(Some));
    // Running, job 5 would carry job 3 on its device. Promised it does not, and job 7 is there before it can start.
    let urgent = Ask { qos: Qos::High, ..asked(7, 2, request(1, 1), 30) };
    let ended = step(&mut sched, 3500, vec![Event::Ended(run(1)), Event::Queued(urgent)]);
    expect![[r#"
        job-7: n1[01] whole
        job-3: n1[02] 100
        job-5: n1[02] 500
    "#]]
    .assert_eq(&starts(&ended));
}
