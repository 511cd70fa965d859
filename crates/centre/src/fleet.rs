//! How reliable the fleet is: GPU time served and stops seen, by site and GPU model; and what that means for a job.
//!
//! A stop is a loss of a node on which runs were going, or a run that its engine says was lost. Stops of a kind of GPU
//! come at a rate in its GPU time that is as likely large as small before any is seen, about that of the policy's prior:
//! of the estimates that a gamma prior worth one stop gives, (prior stops + seen) / (prior hours + served).
//!
//! A job on n GPUs is stopped n times as often as one GPU. What it loses to stops and to writing checkpoints is least
//! when it writes one every sqrt(2 x cost x mean time to a stop), after Young (1974) and Daly (2006).
//!
//! Invariants: integers only; nothing in here decides anything.
use crate::state::Centre;
use alloc::vec::Vec;
use madang_model::{Allocation, Founding, Health, Job, JobState, Node, NodeId, SiteId, Slot, Span, Time};
use serde::{Deserialize, Serialize};

/// What a kind of GPU at a site has served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Served {
    /// GPU time of runs that are over, in thousandths of a GPU times milliseconds.
    pub time: u64,
    /// Stops.
    pub stops: u64,
}

/// Served time and stops of every kind of GPU at every site.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fleet {
    /// By kind.
    pub served: Vec<Served>,
    /// By kind: thousandths of GPUs in use now, and the sum of these x start. Look-ups, never stored.
    flowing: Vec<(u64, u128)>,
    kinds: Vec<(SiteId, u16)>,
    models: Vec<alloc::string::String>,
    /// By node: its kind.
    kind_of: Vec<Option<u32>>,
}

/// What the fleet's history says to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advice {
    /// GPU time between two stops of the GPUs that it holds or may get, in hours.
    pub gpu_hours: u64,
    /// Stops that were seen of these, and GPU-hours in which.
    pub seen: (u64, u64),
    /// The mean time to a stop of the whole job.
    pub mean: Span,
    /// How likely it is stopped before its limit, in thousandths.
    pub chance: u32,
    /// What a checkpoint costs it.
    pub cost: Span,
    /// Whether the job said so.
    pub is_cost_known: bool,
    /// How often it should write one.
    pub every: Span,
}

impl Fleet {
    /// Nothing served yet.
    pub fn of(founding: &Founding) -> Fleet {
        let mut fleet = Fleet::default();
        for node in &founding.nodes {
            let kind = fleet.kind(node);
            fleet.kind_of.push(kind);
        }
        fleet.served.resize(fleet.kinds.len(), Served::default());
        fleet.flowing.resize(fleet.kinds.len(), (0, 0));
        fleet
    }

    fn kind(&mut self, node: &Node) -> Option<u32> {
        let device = node.device.as_ref().filter(|_| node.gpus > 0)?;
        let model = self.models.iter().position(|model| *model == device.model).unwrap_or_else(|| {
            self.models.push(device.model.clone());
            self.models.len() - 1
        });
        let kind = (node.site, u16::try_from(model).ok()?);
        let place = self.kinds.iter().position(|other| *other == kind).unwrap_or_else(|| {
            self.kinds.push(kind);
            self.kinds.len() - 1
        });
        u32::try_from(place).ok()
    }

    fn kind_at(&self, node: NodeId) -> Option<usize> {
        self.kind_of.get(node.index()).copied().flatten().map(|kind| kind as usize)
    }

    /// A run's GPUs begin or cease to be in use.
    pub fn flow(&mut self, on: &Allocation, since: Time, begins: bool) {
        for slot in &on.slots {
            let Some(kind) = self.kind_at(slot.node) else { continue };
            let (milli, weighted) = &mut self.flowing[kind];
            let part = u128::from(slot.milli()) * u128::from(since.millis());
            if begins {
                *milli += u64::from(slot.milli());
                *weighted += part;
            } else {
                *milli -= u64::from(slot.milli());
                *weighted -= part;
            }
        }
    }

    /// A run is over that lasted so long.
    pub fn serve(&mut self, on: &Allocation, length: Span) {
        for slot in &on.slots {
            let Some(kind) = self.kind_at(slot.node) else { continue };
            let time = u64::from(slot.milli()).saturating_mul(length.millis());
            self.served[kind].time = self.served[kind].time.saturating_add(time);
        }
    }

    /// Something stopped because of this node.
    pub fn stop(&mut self, node: NodeId) {
        if let Some(kind) = self.kind_at(node) {
            self.served[kind].stops += 1;
        }
    }

    /// Of these kinds: stops, and GPU time with what is in use now, in thousandths of a GPU times milliseconds.
    fn seen(&self, now: Time, kinds: impl Iterator<Item = usize>) -> (u128, u128) {
        kinds.fold((0, 0), |(stops, time), kind| {
            let (milli, weighted) = self.flowing[kind];
            let running = (u128::from(milli) * u128::from(now.millis())).saturating_sub(weighted);
            let served = self.served[kind];
            (stops + u128::from(served.stops), time + u128::from(served.time) + running)
        })
    }

    fn kinds_of<'a>(&'a self, job: &'a Job) -> impl Iterator<Item = usize> + 'a {
        let held = job.state.holding().map(|(_, on)| on);
        let on =
            move |kind: usize| held.is_none_or(|on| on.slots.iter().any(|slot| self.kind_at(slot.node) == Some(kind)));
        let may = move |kind: usize| {
            let (site, model) = self.kinds[kind];
            let model = &self.models[model as usize];
            let parts = || job.spec.request.parts.iter().filter(|part| part.gpus > 0);
            job.spec.request.sites.contains(&site)
                && parts().any(|part| part.model.as_ref().is_none_or(|asked| asked.allows(model)))
        };
        (0..self.kinds.len()).filter(move |kind| if held.is_some() { on(*kind) } else { may(*kind) })
    }
}

const HOUR: u128 = Span::from_hours(1).millis() as u128 * 1000;

impl Centre {
    /// A node goes down: a stop if anything ran there.
    pub(crate) fn fleet_stop(&mut self, node: NodeId) {
        let runs = |id: &madang_model::JobId| matches!(self.jobs[id].state, JobState::Running { .. });
        if !matches!(self.health[node.index()], Health::Down { .. }) && self.index.jobs_on(node).iter().any(runs) {
            self.fleet.stop(node);
        }
    }

    /// What the fleet's history says to a job that uses GPUs and is not over.
    pub fn advice(&self, job: &Job) -> Option<Advice> {
        let stops = &self.founding.as_ref()?.policy.stops;
        let held = job.state.holding().map_or(0, |(_, on)| on.slots.iter().map(Slot::milli).sum());
        let asked = u128::from(job.spec.request.gpus().milli());
        let milli = if held > 0 { u128::from(held) } else { asked };
        if milli == 0 || matches!(job.state, JobState::Ended { .. }) {
            return None;
        }
        let (seen, time) = self.fleet.seen(self.now, self.fleet.kinds_of(job));
        let between = (u128::from(stops.hours) * HOUR + time) / (1 + seen);
        let mean = narrow(between / milli).max(1);
        let cost = job.saving.unwrap_or(stops.cost);
        let every = (2 * u128::from(cost.millis()) * u128::from(mean)).isqrt();
        Some(Advice {
            gpu_hours: narrow(between / HOUR),
            seen: (narrow(seen), narrow(time / HOUR)),
            mean: Span::from_millis(mean),
            chance: chance(job.limit().millis(), mean),
            cost,
            is_cost_known: job.saving.is_some(),
            every: Span::from_millis(narrow(every)).max(cost),
        })
    }
}

fn narrow(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// The chance of a stop within a time whose mean is this, in thousandths, rounded: 1 - exp(-time / mean).
fn chance(time: u64, mean: u64) -> u32 {
    const ONE: u128 = 1 << 40;
    const HALVINGS: u32 = 16;
    // Beyond so many means the answer is 1000 in any case.
    if time / mean >= 20 {
        return 1000;
    }
    let part = (u128::from(time) * ONE / u128::from(mean)) >> HALVINGS;
    let mut stays = ONE - part + part * part / ONE / 2;
    for _ in 0..HALVINGS {
        stays = stays * stays / ONE;
    }
    ((ONE - stays.min(ONE)) * 1000 + ONE / 2).checked_div(ONE).map_or(0, |share| share as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chances_are_those_of_the_exponential() {
        let hour = 3_600_000;
        for (time, mean, says) in
            [(0, hour, 0), (hour, hour, 632), (hour, 10 * hour, 95), (5 * hour, hour, 993), (9 * hour, 1, 1000)]
        {
            assert_eq!(chance(time, mean), says, "{time} of {mean}");
        }
        assert_eq!(chance(1, u64::MAX), 0);
    }
}
