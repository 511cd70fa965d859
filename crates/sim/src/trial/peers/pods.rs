//! Pods of admitted gangs that do not all have a place yet, placed one by one without regard to the gang.
//!
//! Invariant: a pod with a place holds what it needs on the floor from then on, whether its gang runs or not.
use super::super::machine::{Empty, Machine};
use super::super::room::{Need, Taken};
use super::drive::Ground;
use super::kueue::Scoring;
use madang_model::{Qos, Time};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// A gang that waits for places: the most urgent first, then the first admitted.
type Turn = (Reverse<Qos>, Time, usize);

/// A pod's place: the node with what it takes there, and since when.
type Place = ((u32, Taken), Time);

/// Gangs in part.
pub(super) struct Pods {
    scoring: Scoring,
    fabrics: Vec<Empty>,
    turns: BTreeSet<Turn>,
    /// Gangs by (when they were admitted, job).
    ages: BTreeSet<(Time, usize)>,
    /// When each was admitted, and the places so far.
    parts: BTreeMap<usize, (Time, Vec<Place>)>,
}

impl Pods {
    /// None, on a machine.
    pub fn new(machine: &Machine, scoring: Scoring) -> Pods {
        Pods {
            scoring,
            fabrics: machine.empty(),
            turns: BTreeSet::new(),
            ages: BTreeSet::new(),
            parts: BTreeMap::new(),
        }
    }

    /// An admitted gang's pods want places.
    pub fn create(&mut self, ground: &Ground, job: usize) {
        self.turns.insert((Reverse(ground.job(job).qos), ground.now, job));
        self.ages.insert((ground.now, job));
        self.parts.insert(job, (ground.now, Vec::new()));
    }

    /// Whether a gang waits for places still.
    pub fn is_waiting(&self, job: usize) -> bool {
        self.parts.contains_key(&job)
    }

    /// A gang's pods are deleted.
    pub fn withdraw(&mut self, ground: &mut Ground, job: usize) {
        for (place, since) in self.forget(ground, job) {
            ground.release(job, place, since);
        }
    }

    fn forget(&mut self, ground: &Ground, job: usize) -> Vec<Place> {
        let (at, parts) = self.parts.remove(&job).expect("a gang that waits for places");
        self.turns.remove(&(Reverse(ground.job(job).qos), at, job));
        self.ages.remove(&(at, job));
        parts
    }

    /// Pods on a lost node are lost, and want places again.
    pub fn lose(&mut self, ground: &mut Ground, lost: u32) {
        for (job, (_, parts)) in &mut self.parts {
            parts.retain(|(place, since)| {
                if place.0 == lost {
                    ground.release(*job, *place, *since);
                }
                place.0 != lost
            });
        }
    }

    /// Gangs admitted by then, the oldest first.
    pub fn older(&self, by: Time) -> Vec<usize> {
        self.ages.range(..=(by, usize::MAX)).map(|(_, job)| *job).collect()
    }

    /// When the oldest gang was admitted.
    pub fn oldest(&self) -> Option<Time> {
        self.ages.first().map(|(at, _)| *at)
    }

    /// Gives pods places in their order and starts the gangs that are complete; which those are.
    pub fn place(&mut self, ground: &mut Ground) -> Vec<usize> {
        let mut whole = Vec::new();
        let turns: Vec<Turn> = self.turns.iter().copied().collect();
        for (_, _, job) in turns {
            if !self.extend(ground, job) {
                continue;
            }
            // What the pods hold goes over to the run within the same moment.
            let parts = self.forget(ground, job);
            parts.iter().for_each(|(place, since)| ground.release(job, *place, *since));
            ground.start(job, parts.into_iter().map(|((node, _), _)| node).collect());
            whole.push(job);
        }
        whole
    }

    /// Gives a gang's pods what places there are; whether all have one.
    fn extend(&mut self, ground: &mut Ground, job: usize) -> bool {
        let spec = ground.job(job);
        let need = spec.need();
        loop {
            let (_, parts) = &self.parts[&job];
            if parts.len() == spec.nodes as usize {
                return true;
            }
            let fabric = parts.first().map(|((node, _), _)| ground.floor().fabric(*node));
            let Some(node) = self.node(ground, fabric, spec.nodes, &need) else { return false };
            let place = ((node, ground.hold(job, node)), ground.now);
            self.parts.get_mut(&job).expect("a gang that has a turn waits for places").1.push(place);
        }
    }

    /// The node for a pod, in its gang's fabric if that has one already.
    fn node(&self, ground: &Ground, fabric: Option<usize>, nodes: u32, need: &Need) -> Option<u32> {
        let floor = ground.floor();
        let here = |at: usize| fabric.map_or_else(|| self.fabrics[at].holds(nodes, need), |fabric| fabric == at);
        let fabrics = (0..self.fabrics.len()).filter(|at| here(*at));
        match self.scoring {
            Scoring::MostAllocated => {
                let best = fabrics.filter_map(|at| floor.ready(at, need).next());
                best.min_by_key(|node| (floor.fullness(*node, need), *node))
            }
            Scoring::LeastAllocated => {
                let best = fabrics.filter_map(|at| floor.ready(at, need).next_back());
                best.max_by_key(|node| (floor.fullness(*node, need), Reverse(*node)))
            }
        }
    }
}
