//! What people and operators do in a simulation: submissions of every shape, changes of mind, mistakes.
//!
//! An act is drawn from the seed and from what the world knows of (ids it was told, node names), never from the core's
//! own state, so that a faulty core cannot steer around its own faults.
use crate::estate::{PROJECTS, USERS};
use crate::load;
use crate::rng::Rng;
use madang_centre::input::{Alteration, Array, Booking, Input, NodesWanted, Submission, Target, Wait, Wanted};
use madang_model::{
    Cap, Choice, DependencyKind, Elastic, GpuTime, JobId, ModelRun, Part, Qos, Recurrence, Share, Span, Time, Topology,
};

/// What the world knows of when it draws an act.
pub struct Knowledge<'a> {
    /// Now.
    pub now: Time,
    /// Jobs and arrays it was told of, oldest first.
    pub jobs: &'a [JobId],
    /// Names of all nodes.
    pub nodes: &'a [String],
    /// GPUs of the largest node.
    pub gpus: u32,
}

/// A sensible thing to do.
pub fn act(rng: &mut Rng, known: &Knowledge<'_>) -> Input {
    if known.jobs.is_empty() || rng.per_mille(620) {
        return Input::Submit(Box::new(submission(rng, known)));
    }
    let job = target(rng, known);
    match rng.below(24) {
        0..=4 => Input::Cancel { job },
        5..=6 => Input::Hold { job },
        7..=9 => Input::Release { job },
        10..=11 => Input::Requeue { job },
        12..=14 => Input::Alter { job, change: alteration(rng) },
        15..=16 => Input::Signal { job, signal: *rng.pick(&[10, 12, 15]).unwrap_or(&10), shell: rng.per_mille(500) },
        17 => award(rng, known.now),
        18..=20 => Input::Reserve(booking(rng, known)),
        21 => Input::Unreserve { name: reservation(rng) },
        22 => Input::Checkpoint { job, took: None },
        _ => Input::Tick,
    }
}

/// Something that is to be refused: what it names is not there, or could never be.
pub fn nonsense(rng: &mut Rng, known: &Knowledge<'_>) -> Input {
    let nowhere = Target { job: JobId::new(9_000_000 + rng.below(100)), task: None };
    match rng.below(6) {
        0 => Input::Cancel { job: nowhere },
        1 => Input::Drain { node: "nowhere".into(), why: "no such node".into() },
        2 => Input::Member { project: "nobodys".into(), user: "ann".into() },
        3 => Input::Submit(Box::new(Submission { project: Some("nobodys".into()), ..submission(rng, known) })),
        4 => Input::Submit(Box::new(Submission { parts: Vec::new(), ..submission(rng, known) })),
        _ => Input::Award {
            project: "alpha".into(),
            granted: GpuTime::from_hours(-5),
            from: known.now,
            until: known.now.after(Span::from_days(1)),
        },
    }
}

fn target(rng: &mut Rng, known: &Knowledge<'_>) -> Target {
    let recent = known.jobs.len().saturating_sub(30);
    let job = *rng.pick(&known.jobs[recent..]).unwrap_or(&known.jobs[0]);
    Target { job, task: rng.per_mille(100).then(|| rng.below(12) as u32) }
}

fn submission(rng: &mut Rng, known: &Knowledge<'_>) -> Submission {
    let user = *rng.pick(&USERS).expect("there are users");
    let (project, ..) = *rng.pick(&PROJECTS).expect("there are projects");
    let limit = Span::from_secs(*rng.pick(&[60, 300, 1_800, 3_600, 14_400, 86_400]).unwrap_or(&60));
    let model = rng.per_mille(900).then(|| model_run(rng, limit));
    let mut job = Submission {
        name: format!("job{}", rng.below(8)),
        project: Some(project.into()),
        partition: rng.per_mille(150).then(|| (*rng.pick(&["first", "short"]).unwrap_or(&"first")).into()),
        also: if rng.per_mille(200) { vec!["first".into(), "short".into()] } else { Vec::new() },
        parts: parts(rng, known),
        across_islands: rng.per_mille(300),
        limit: rng.per_mille(950).then_some(limit),
        qos: *rng.pick(&[Qos::Low, Qos::Normal, Qos::Normal, Qos::High]).unwrap_or(&Qos::Normal),
        nice: if rng.per_mille(100) { rng.range(0, 100) as i32 - 50 } else { 0 },
        requeue: rng.per_mille(700),
        checkpoint: rng.per_mille(300).then(|| Span::from_secs(rng.below(3_600))),
        model,
        ..load::plain(user.into())
    };
    decorate(rng, known, &mut job);
    job
}

/// Adds at most a few of the rarer wishes.
fn decorate(rng: &mut Rng, known: &Knowledge<'_>, job: &mut Submission) {
    if rng.per_mille(60) {
        job.begin = Some(known.now.after(Span::from_secs(rng.below(7_200))));
    }
    if !known.jobs.is_empty() && rng.per_mille(180) {
        job.after = (0..rng.range(1, 3)).map(|_| wait(rng, known)).collect();
        job.after_any = rng.per_mille(300);
        job.kill_on_invalid = rng.per_mille(600);
    }
    if rng.per_mille(120) {
        let last = rng.below(20) as u32;
        let at_once = rng.per_mille(500).then(|| rng.range(1, 4) as u32);
        job.array = Some(Array { ranges: vec![(0, last, rng.range(1, 2) as u32)], at_once });
    }
    if rng.per_mille(40) && !known.nodes.is_empty() {
        job.include = rng.pick(known.nodes).cloned().into_iter().collect();
    }
    if rng.per_mille(40) && !known.nodes.is_empty() {
        job.exclude = rng.pick(known.nodes).cloned().into_iter().collect();
    }
    if rng.per_mille(250) {
        job.topology = topology(rng, job.parts[0].nodes);
    }
    if job.parts.len() == 1 && rng.per_mille(300) {
        stretch(rng, job);
    }
    if rng.per_mille(60) {
        job.reservation = Some(reservation(rng));
    }
    if rng.per_mille(250) {
        hurry(rng, known, job);
    }
    job.singleton = rng.per_mille(40);
    job.held = rng.per_mille(40);
}

/// A size that may differ; of half of them the work is so long that growing pays.
fn stretch(rng: &mut Rng, job: &mut Submission) {
    job.elastic = Some(elastic(rng, job.parts[0].nodes));
    job.requeue |= rng.per_mille(900);
    job.checkpoint = rng.per_mille(800).then(|| Span::from_secs(rng.range(30, 1_800)));
    if rng.per_mille(500) {
        let limit = Span::from_hours(rng.range(4, 24));
        job.limit = Some(limit);
        job.model = Some(ModelRun { runtime: Span::from_millis(limit.millis() * rng.range(60, 95) / 100), exit: 0 });
        job.array = None;
    }
}

/// A deadline, mostly one that can be met, and a shorter limit that it would take.
fn hurry(rng: &mut Rng, known: &Knowledge<'_>, job: &mut Submission) {
    let limit = job.limit.unwrap_or(Span::from_hours(1)).millis();
    job.limit_min = rng.per_mille(600).then(|| Span::from_millis(rng.range(1_000, limit.max(1_001))));
    let ahead = Span::from_millis(limit * rng.range(80, 400) / 100);
    let from = known.now.max(job.begin.unwrap_or_default());
    job.deadline = rng.per_mille(600).then(|| from.after(ahead));
}

/// A wish about the tree; most are such that the first part's nodes divide.
fn topology(rng: &mut Rng, nodes: u32) -> Topology {
    let level = |rng: &mut Rng| {
        let name = *rng.pick(&["rack", "rack", "leaf", "island", "pod"]).unwrap_or(&"rack");
        rng.per_mille(500).then(|| name.to_owned())
    };
    let (required, preferred) = (level(rng), level(rng));
    let spares = if rng.per_mille(150) { rng.below(u64::from(nodes)) as u32 } else { 0 };
    let segments = rng.range(1, 3) as u32;
    let segment = rng.per_mille(300).then(|| ((nodes - spares) / segments).max(1));
    let patience = (required.is_some() && rng.per_mille(300)).then(|| Span::from_secs(rng.below(7_200)));
    Topology { required, preferred, segment, spares, patience }
}

/// A size that may differ; of half of them at checkpoints too.
fn elastic(rng: &mut Rng, nodes: u32) -> Elastic {
    let restart = rng.per_mille(700).then(|| Span::from_secs(rng.below(300)));
    Elastic { most: nodes + rng.below(6) as u32, restart }
}

fn wait(rng: &mut Rng, known: &Knowledge<'_>) -> Wait {
    let kinds = [
        DependencyKind::Started,
        DependencyKind::Succeeded,
        DependencyKind::Failed,
        DependencyKind::Ended,
        DependencyKind::Corresponding,
    ];
    Wait {
        on: target(rng, known),
        kind: *rng.pick(&kinds).unwrap_or(&DependencyKind::Ended),
        delay: Span::from_secs(if rng.per_mille(300) { rng.below(600) } else { 0 }),
    }
}

fn parts(rng: &mut Rng, known: &Knowledge<'_>) -> Vec<Part> {
    let count = if rng.per_mille(60) { 2 } else { 1 };
    (0..count).map(|_| part(rng, known)).collect()
}

fn part(rng: &mut Rng, known: &Knowledge<'_>) -> Part {
    let gang = rng.per_mille(300);
    let share = share(rng);
    let gpus = if rng.per_mille(100) { 0 } else { rng.range(1, u64::from(known.gpus)) as u32 };
    let gpus = if share.is_some() { 1 } else { gpus };
    Part {
        nodes: if gang { rng.range(1, 4) as u32 } else { 1 },
        gpus,
        cpus: rng.range(1, u64::from(4 * gpus.max(1))) as u32,
        memory_mib: if rng.per_mille(50) { 0 } else { rng.range(1, 32_768) * u64::from(gpus.max(1)) },
        model: if gpus > 0 && rng.per_mille(350) { choice(rng, &["h200", "h100"]) } else { None },
        exclusive: rng.per_mille(60),
        features: if rng.per_mille(120) { choice(rng, &["nvme", "tape"]).into_iter().collect() } else { Vec::new() },
        share,
    }
}

/// Mostly whole GPUs.
fn share(rng: &mut Rng) -> Option<Share> {
    match rng.below(10) {
        0 | 1 => Some(Share::Milli(*rng.pick(&[100, 250, 500, 700, 999]).unwrap_or(&250))),
        2 => rng.pick(&["1g.18gb", "2g.35gb", "3g.71gb", "7g.141gb"]).map(|name| Share::Slice((*name).into())),
        _ => None,
    }
}

/// The first of two words, or either of them: for all nodes alike, or for each by itself.
fn choice(rng: &mut Rng, words: &[&str; 2]) -> Option<Choice> {
    let either = || Choice::same(words.iter().map(|word| (*word).to_owned()));
    match rng.below(6) {
        0..=2 => Some(words[0].into()),
        3 => Choice::same(words.iter().rev().map(|word| (*word).to_owned())),
        4 => either(),
        _ => either().map(Choice::mixed),
    }
}

fn model_run(rng: &mut Rng, limit: Span) -> ModelRun {
    let runtime = match rng.below(10) {
        0 => Span::from_millis(rng.below(2_000)),
        1 => limit,
        2 => Span::from_millis(limit.millis() * 2),
        _ => Span::from_millis(limit.millis() * rng.range(1, 90) / 100),
    };
    ModelRun { runtime, exit: if rng.per_mille(120) { 1 } else { 0 } }
}

fn alteration(rng: &mut Rng) -> Alteration {
    let mut change = Alteration::default();
    match rng.below(4) {
        0 => change.limit = Some(Span::from_secs(rng.range(30, 20_000))),
        1 => change.qos = Some(Qos::High),
        2 => change.nice = Some(rng.range(0, 20) as i32 - 10),
        _ => change.name = Some(format!("job{}", rng.below(8))),
    }
    change
}

/// Names of reservations, so few that they meet.
pub const RESERVATIONS: [&str; 6] = ["r0", "r1", "r2", "r3", "r4", "r5"];

fn reservation(rng: &mut Rng) -> String {
    (*rng.pick(&RESERVATIONS).expect("there are names")).into()
}

/// Maintenance, a project's nodes or a cap, within the next hours, once or in a row.
fn booking(rng: &mut Rng, known: &Knowledge<'_>) -> Booking {
    let count = rng.range(1, 3) as u32;
    let named = rng.per_mille(500);
    let nodes = NodesWanted {
        named: if named { rng.pick(known.nodes).cloned().into_iter().collect() } else { Vec::new() },
        count: (!named).then_some(count),
        ..NodesWanted::default()
    };
    let (project, owner, _) = *rng.pick(&PROJECTS).expect("there are projects");
    let what = match rng.below(5) {
        0..=1 => Wanted::Maintenance { nodes },
        2 => Wanted::Projects { nodes, projects: vec![project.into()], owners: Vec::new() },
        3 => Wanted::Projects { nodes, projects: Vec::new(), owners: vec![owner.into()] },
        _ => {
            let most = rng.below(u64::from(known.gpus) * 4) as u32;
            let most = if rng.per_mille(500) { Cap::Gpus(most) } else { Cap::Nodes(most / 4) };
            Wanted::Cap { site: "site0".into(), most }
        }
    };
    let from = known.now.after(Span::from_secs(rng.below(14_400)));
    let length = Span::from_secs(rng.range(60, 10_000));
    let every = Span::from_millis(length.millis() + Span::from_secs(rng.below(20_000)).millis());
    let last = from.after(Span::from_secs(rng.below(100_000)));
    Booking {
        name: reservation(rng),
        what,
        from,
        until: from.after(length),
        every: rng.per_mille(400).then_some(Recurrence { every, last }),
        reason: "drawn".into(),
        ignore_running: rng.per_mille(300),
    }
}

fn award(rng: &mut Rng, now: Time) -> Input {
    let (project, ..) = *rng.pick(&PROJECTS).expect("there are projects");
    let from = now.after(Span::from_hours(rng.below(48)));
    Input::Award {
        project: project.into(),
        granted: GpuTime::from_hours(rng.range(1, 400) as i64),
        from,
        until: from.after(Span::from_days(rng.range(1, 30))),
    }
}
