//! The centre's own scheduler in the place of a policy: the same nodes, the same arrivals, the same rules.
//!
//! Each pod is a job of one node that is queued and, if it does not start in that very step, withdrawn: dropped. The
//! scheduler knows nothing of the list beforehand; what is typical it learns from the pods as they come. A core of a node
//! here is a thousandth of a CPU, because pods ask thousandths; models that serve are features.
use super::{Arrivals, Estate, GpuAsk, Pod, Pods, WHOLE};
use madang_model::{
    Device, EngineKind, Founding, GpuTime, Health, Island, IslandId, JobId, Node, NodeId, Part, Parts, PartyId,
    ProjectId, Qos, Request, RunId, Share, Site, SiteId, Span, Time, Topology, UserId,
};
use madang_sched::{Ask, Budget, Config, Event, Scheduler, Taking};
use std::collections::BTreeSet;

/// What came of a run under the centre's scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reached {
    /// GPUs handed out in the end, in millionths of the cluster's.
    pub allocated: u64,
    /// Pods that arrived.
    pub arrived: u64,
    /// Pods that were not placed at once.
    pub dropped: u64,
}

/// Places a run with the centre's scheduler. Its invariants are checked now and then; what does not hold is a panic.
pub fn replay(estate: &Estate, pods: &Pods, arrivals: &Arrivals) -> Reached {
    let founding = founding(estate, pods, arrivals);
    let taking = Taking { jobs: 0, ..Taking::default() };
    let mut sched = Scheduler::new(Config { promises: 0, taking, ..Config::default() }, &founding);
    let project = ProjectId::new(1);
    let budget = Budget::Left(GpuTime::from_micro_secs(i64::MAX / 2));
    let opening =
        vec![Event::Project { id: project, owner: PartyId::new(0), weight: 1 }, Event::Budget(project, budget)];
    sched.step(Time::default(), opening);
    let (mut held, mut dropped) = (0_u64, 0);
    for (number, shape) in (1..).zip(&arrivals.shapes) {
        let pod = &pods.shapes[*shape as usize];
        let run = RunId { job: JobId::new(number), attempt: 1 };
        let request = request(estate, pod);
        let (user, limit, since) = (UserId::new(1), Span::from_hours(1), Time::default());
        let (limit_min, deadline, checkpoint, expected) = (None, None, None, None);
        let (qos, nice) = (Qos::Normal, 0);
        let ask =
            Ask { run, project, user, request, limit, limit_min, deadline, checkpoint, expected, qos, nice, since };
        let step = sched.step(Time::default(), vec![Event::Queued(ask)]);
        match step.starts.first() {
            Some(start) => held += u64::from(start.on.gpus().milli()),
            None => {
                dropped += 1;
                sched.step(Time::default(), vec![Event::Withdrawn(run.job)]);
            }
        }
        if number % 4096 == 0 {
            assert_eq!(sched.audit(), Vec::<String>::new());
        }
    }
    let allocated = held * 1_000_000 / estate.gpu_milli().max(1);
    Reached { allocated, arrived: arrivals.shapes.len() as u64, dropped }
}

/// The feature of nodes whose model is among these.
fn serves(models: u64) -> String {
    format!("models-{models:x}")
}

fn request(estate: &Estate, pod: &Pod) -> Request {
    let (gpus, share) = match pod.ask.gpus {
        GpuAsk::None => (0, None),
        GpuAsk::Share(milli) => (1, Some(Share::Milli(u32::from(milli)))),
        GpuAsk::Whole(gpus) => (u32::from(gpus), None),
    };
    let any = gpus == 0 || (0..estate.models.len() as u8).all(|model| pod.ask.models.serve(model));
    let part = Part {
        nodes: 1,
        gpus,
        cpus: pod.ask.cpu_milli.max(1),
        memory_mib: u64::from(pod.memory_mib.max(1)),
        model: None,
        exclusive: false,
        features: if any { Vec::new() } else { vec![serves(pod.ask.models.0).as_str().into()] },
        share,
    };
    Request {
        parts: vec![part],
        sites: vec![SiteId::new(0)],
        include: Vec::new(),
        exclude: Vec::new(),
        across_islands: false,
        topology: Topology::default(),
        reservation: None,
        elastic: None,
        reach: Vec::new(),
    }
}

/// One island of these nodes, in the run's order, whose devices are all shared.
fn founding(estate: &Estate, pods: &Pods, arrivals: &Arrivals) -> Founding {
    let asked: BTreeSet<u64> = pods.shapes.iter().map(|pod| pod.ask.models.0).collect();
    let parts = Parts { shards: u32::from(WHOLE), profiles: Vec::new() };
    let node = |(number, at): (u32, &u32)| {
        let node = &estate.nodes[*at as usize];
        let model = estate.models.get(usize::from(node.model)).cloned().unwrap_or_default();
        let served = |models: &u64| madang_sched::frag::Models(*models).serve(node.model);
        let device = Device { model: model.to_lowercase(), memory_mib: 0, parts: parts.clone() };
        Node {
            id: NodeId::new(number),
            name: node.name.clone(),
            site: SiteId::new(0),
            island: IslandId::new(0),
            rack: 0,
            path: Vec::new(),
            device: (node.gpus > 0).then_some(device),
            gpus: u32::from(node.gpus),
            numa: Vec::new(),
            cpus: node.cpu_milli,
            memory_mib: u64::from(node.memory_mib),
            features: asked.iter().filter(|models| served(models)).map(|models| serves(*models)).collect(),
            pretend: false,
            health: Health::Up,
        }
    };
    let site = Site {
        id: SiteId::new(0),
        name: "site".into(),
        title: "site".into(),
        title_ko: "site".into(),
        operator: PartyId::new(0),
        engine: EngineKind::Model,
        shares: vec![(PartyId::new(0), 10_000)],
        source: "a run's own".into(),
    };
    let island = Island { id: IslandId::new(0), site: SiteId::new(0), name: "island".into(), levels: Vec::new() };
    Founding {
        name: "sharing".into(),
        title: "sharing".into(),
        title_ko: "sharing".into(),
        parties: Vec::new(),
        classes: Vec::new(),
        sites: vec![site],
        islands: vec![island],
        nodes: (0..).zip(&arrivals.nodes).map(node).collect(),
        partitions: Vec::new(),
        prices: Vec::new(),
        money: Vec::new(),
        links: Vec::new(),
        policy: Default::default(),
    }
}
