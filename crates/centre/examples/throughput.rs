//! How many one-GPU jobs a second the core alone takes from submission to end, on the plan's estate.
//! `cargo run --release -p madang-centre --example throughput [JOBS]`
use madang_centre::{Centre, Effect, Input, Report, Signed, Submission};
use madang_model::*;
use std::time::Instant;

fn main() {
    let jobs: usize = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(100_000);
    let mut centre = Centre::new();
    let mut now = Time::from_millis(1_700_000_000_000);
    let until = now + Span::from_days(365);
    let own = |inputs: Vec<Input>| inputs.into_iter().map(Signed::own).collect::<Vec<_>>();
    centre.step(
        now,
        own(vec![
            Input::Found(founding()),
            Input::User { name: "u".into(), role: Role::Researcher },
            Input::Project { name: "p".into(), title: "P".into(), owner: "public".into(), class: "c".into() },
            Input::Member { project: "p".into(), user: "u".into() },
            Input::Award { project: "p".into(), granted: GpuTime::from_hours(100_000_000), from: now, until },
        ]),
    );
    let (mut sent, mut ended, mut steps, mut slowest) = (0, 0, 0u32, 0u128);
    let mut reports: Vec<Signed> = Vec::new();
    let begun = Instant::now();
    while ended < jobs {
        now = now + Span::from_millis(20);
        let mut inputs = core::mem::take(&mut reports);
        let more = (jobs - sent).min(100);
        inputs.extend((0..more).map(|_| Signed::own(Input::Submit(Box::new(job())))));
        sent += more;
        let one = Instant::now();
        let effects = centre.step(now, inputs);
        slowest = slowest.max(one.elapsed().as_micros());
        steps += 1;
        for effect in effects {
            if let Effect::Start { run, .. } = effect {
                reports.push(Report::Started { run, at: now }.into());
                reports.push(Report::Ended { run, at: now, outcome: Outcome::Completed }.into());
                ended += 1;
            }
        }
    }
    let secs = begun.elapsed().as_secs_f64();
    println!("{jobs} jobs in {secs:.2} s: {:.0} jobs/s, {steps} steps, slowest {slowest} us", jobs as f64 / secs);
}

fn job() -> Submission {
    let part = Part {
        nodes: 1,
        gpus: 1,
        cpus: 4,
        memory_mib: 16_000,
        model: None,
        exclusive: false,
        features: vec![],
        share: None,
    };
    Submission {
        user: "u".into(),
        name: "job".into(),
        project: None,
        partition: None,
        also: vec![],
        sites: vec![],
        data: Vec::new(),
        parts: vec![part],
        include: vec![],
        exclude: vec![],
        across_islands: false,
        topology: madang_model::Topology::default(),
        elastic: None,
        limit: Some(Span::from_hours(1)),
        limit_min: None,
        deadline: None,
        qos: Qos::Normal,
        nice: 0,
        begin: None,
        after: vec![],
        after_any: false,
        singleton: false,
        kill_on_invalid: false,
        requeue: true,
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

fn founding() -> Founding {
    let party = Party {
        id: PartyId::new(0),
        name: "public".into(),
        title: "Public".into(),
        title_ko: "Public".into(),
        company_share: 10_000,
    };
    let site = SiteId::new(0);
    let node = |id| Node {
        id: NodeId::new(id),
        name: format!("n{id}"),
        site,
        island: IslandId::new(0),
        rack: id / 4,
        path: vec![],
        numa: vec![],
        device: Some(Device { model: "h200".into(), memory_mib: 141_000, parts: Default::default() }),
        gpus: 8,
        cpus: 112,
        memory_mib: 2_000_000,
        features: vec![],
        pretend: false,
        health: Health::Up,
    };
    Founding {
        name: "bench".into(),
        title: "Bench".into(),
        title_ko: "Bench".into(),
        parties: vec![party],
        classes: vec![Class { name: "c".into(), target: 10_000, rate: 0 }],
        sites: vec![Site {
            id: site,
            name: "s".into(),
            title: "S".into(),
            title_ko: "S".into(),
            operator: PartyId::new(0),
            engine: EngineKind::Model,
            shares: vec![(PartyId::new(0), 10_000)],
            source: "bench".into(),
        }],
        islands: vec![Island { id: IslandId::new(0), site, name: "i".into(), levels: vec![] }],
        nodes: (0..2250).map(node).collect(),
        partitions: vec![Partition {
            id: PartitionId::new(0),
            name: "gpu".into(),
            sites: vec![site],
            max_limit: Span::from_days(30),
            default_limit: Span::from_hours(1),
        }],
        prices: vec![],
        money: vec![],
        policy: Default::default(),
        links: Vec::new(),
    }
}
