//! A share of a workload's gangs made elastic, to see what that is worth: modelled, since no trace says which could be.
//!
//! Such a gang takes from half to twice its nodes, and its work goes by nodes. One that writes checkpoints may be
//! resized at them and pays [`RESTART`] whenever it starts again. Its limit is that of its own nodes, stretched to the
//! fewest, with room for a few restarts.
use super::machine::Machine;
use super::workload::Job;
use madang_model::{Elastic, Span};

/// What starting again costs a gang that is resized.
pub const RESTART: Span = Span::from_mins(5);
/// Restarts that the stretched limit has room for.
const RESTARTS: u64 = 6;

/// How many of a hundred gangs are elastic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stretch(pub u32);

impl Stretch {
    /// The fewest nodes of a job and how many more it may have, if it is one of those.
    pub fn of(self, job: &Job, machine: &Machine) -> Option<(u32, Elastic)> {
        // Every part of a hundred holds those of a smaller part, and neighbours do not go together.
        let drawn = job.number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        if job.nodes < 2 || job.gpus == 0 || drawn % 100 >= u64::from(self.0) {
            return None;
        }
        let fits = machine.fabrics.iter().filter(|fabric| fabric.gpus >= job.gpus).map(|fabric| fabric.nodes);
        let most = fits.max().unwrap_or(job.nodes).min(job.nodes * 2).max(job.nodes);
        let restart = (job.checkpoint > Span::ZERO).then_some(RESTART);
        Some((job.nodes.div_ceil(2), Elastic { most, restart }))
    }

    /// The limit of a job of its own nodes, on its fewest.
    pub fn limit(job: &Job, least: u32) -> Span {
        let long = job.limit.millis() * u64::from(job.nodes) / u64::from(least);
        Span::from_millis(long + RESTARTS * RESTART.millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use madang_model::{Qos, Time};

    fn job(number: u64, nodes: u32) -> Job {
        Job {
            number,
            submit: Time::default(),
            runtime: Span::from_hours(1),
            limit: Span::from_hours(2),
            nodes,
            gpus: 8,
            share: 0,
            cpus: 1,
            beside: None,
            owner: 0,
            user: 0,
            qos: Qos::Normal,
            fails: false,
            checkpoint: Span::ZERO,
        }
    }

    #[test]
    fn a_share_of_the_gangs_is_elastic_and_a_larger_share_holds_it() {
        let machine = Machine::plain(16, 8);
        let drawn = |percent: u32| -> Vec<u64> {
            (0..10_000).filter(|number| Stretch(percent).of(&job(*number, 4), &machine).is_some()).collect()
        };
        let (some, more) = (drawn(20), drawn(60));
        assert!((1_800..2_200).contains(&some.len()) && (5_700..6_300).contains(&more.len()), "{}", some.len());
        assert!(some.iter().all(|number| more.binary_search(number).is_ok()));
        assert_eq!((drawn(0).len(), drawn(100).len()), (0, 10_000));
        let sizes = |nodes| Stretch(100).of(&job(1, nodes), &machine).map(|(least, size)| (least, size.most));
        assert_eq!([1, 2, 5, 12].map(sizes), [None, Some((1, 4)), Some((3, 10)), Some((6, 16))]);
    }
}
