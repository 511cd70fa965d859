//! Microsoft's Philly trace as a workload: GPU training jobs of 2017 by virtual cluster.
//!
//! The table (timestamp, duration, num_gpus, gpu_time, cluster) says neither what a job asked for as its limit nor who
//! within a virtual cluster submitted it: limits are modelled (see [`Limits`]), and each virtual cluster is one owner
//! with one user.
use super::table::{Table, Wrong};
use super::workload::{Job, Owner, Workload};
use crate::load::OVER_ASKED;
use crate::rng::Rng;
use madang_model::{Qos, Span, Time};
use std::collections::BTreeMap;

/// The table's header: what a file is known by.
pub const HEADER: &str = "timestamp,duration,num_gpus,gpu_time,cluster";
/// GPUs of a node, as Philly's were.
const NODE: u32 = 8;
/// CPUs beside each GPU.
const CPUS_PER_GPU: u32 = 4;

/// How often jobs that run for longer are taken to save their work, of which the trace says nothing.
const CHECKPOINT: Span = Span::from_hours(1);

/// Where limits come from when a trace has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limits {
    /// The run time itself: everything is known.
    Exact,
    /// Several times the run time, drawn with this seed as people over-ask.
    OverAsked(u64),
}

impl Limits {
    /// A limit for a run time.
    pub(super) fn of(self, rng: &mut Rng, runtime: Span) -> Span {
        match self {
            Limits::Exact => runtime,
            Limits::OverAsked(_) => {
                let over = rng.pick(&OVER_ASKED).copied().unwrap_or(10);
                Span::from_millis((runtime.millis() * over / 10).next_multiple_of(300_000))
            }
        }
    }

    /// What a report must say of it.
    pub(super) fn note(self) -> String {
        match self {
            Limits::Exact => "Modelled: limits are the exact run times, since the trace has none".into(),
            Limits::OverAsked(seed) => format!(
                "Modelled: limits are 1.1 to 8 times the run time, drawn with seed {seed}, since the trace has none"
            ),
        }
    }
}

/// Reads the table.
pub fn read(text: &str, limits: Limits) -> Result<Workload, Wrong> {
    let table = Table::read(text, HEADER)?;
    let mut owners: BTreeMap<String, (u32, u64)> = BTreeMap::new();
    let mut jobs = Vec::new();
    let mut first = u64::MAX;
    for row in table.rows() {
        let submit = row.date_time("timestamp")?;
        let runtime = Span::from_millis(row.decimal("duration", 3)?.max(1000));
        let gpus: u32 = row.number("num_gpus")?;
        let owner = row.text("cluster")?;
        if gpus == 0 || gpus > 100_000 {
            return Err(row.wrong("num_gpus", "a job takes 1 to 100000 GPUs"));
        }
        first = first.min(submit);
        let count = owners.len() as u32;
        let known = owners.entry(owner.to_owned()).or_insert((count, 0));
        known.1 += u64::from(gpus) * runtime.secs();
        jobs.push((submit, runtime, gpus, known.0));
    }
    let mut rng = Rng::new(if let Limits::OverAsked(seed) = limits { seed } else { 0 });
    let job = |(number, (submit, runtime, gpus, owner)): (u64, (u64, Span, u32, u32))| {
        let nodes = gpus.div_ceil(NODE);
        let each = gpus.div_ceil(nodes);
        Job {
            number,
            submit: Time::from_millis((submit - first) * 1000),
            runtime,
            limit: limits.of(&mut rng, runtime),
            nodes,
            gpus: each,
            share: 0,
            cpus: each * CPUS_PER_GPU,
            beside: None,
            owner,
            user: 0,
            qos: Qos::Normal,
            fails: false,
            checkpoint: if runtime > CHECKPOINT { CHECKPOINT } else { Span::ZERO },
        }
    };
    let jobs = (1..).zip(jobs).map(job).collect();
    Ok(Workload {
        name: "Philly".into(),
        notes: vec![
            "Microsoft's Philly trace, jobs submitted in September to November 2017; CC-BY-4.0".into(),
            "Jobs of more than 8 GPUs take whole nodes of 8; each virtual cluster is one owner".into(),
            limits.note(),
            "Modelled: jobs of more than an hour save their work every hour and say so, since the trace says nothing"
                .into(),
        ],
        owners: in_order(owners),
        jobs,
        faults: Vec::new(),
        withdrawn: Default::default(),
    }
    .in_order())
}

/// The owners by index, weighted by the GPU-hours that they ask for in all.
fn in_order(owners: BTreeMap<String, (u32, u64)>) -> Vec<Owner> {
    let mut list: Vec<(u32, Owner)> = owners
        .into_iter()
        .map(|(name, (index, secs))| (index, Owner { name, weight: ((secs / 3600) as u32).max(1) }))
        .collect();
    list.sort_by_key(|(index, _)| *index);
    list.into_iter().map(|(_, owner)| owner).collect()
}

/// Sets owners' weights from a table `vc,node num`; whoever is not in it weighs one node.
pub fn weigh(workload: &mut Workload, text: &str) -> Result<(), Wrong> {
    let table = Table::read(text, "vc,node num")?;
    let mut known = BTreeMap::new();
    for row in table.rows() {
        known.insert(row.text("vc")?.to_owned(), row.number::<u32>("node num")?);
    }
    for owner in &mut workload.owners {
        owner.weight = known.get(&owner.name).copied().unwrap_or(1).max(1);
    }
    workload.notes.push("Owners' guarantees follow the nodes of their virtual clusters".into());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "timestamp,duration,num_gpus,gpu_time,cluster\n\
                         2017-10-09 07:01:55,66.0,1,66.0,a\n\
                         2017-10-09 07:01:50,2951.5,12,35418.0,b\n";

    #[test]
    fn jobs_come_in_order_with_owners_and_nodes() {
        let workload = read(SMALL, Limits::Exact).expect("it is well formed");
        let shown: Vec<_> = workload.jobs.iter().map(|job| (job.number, job.submit, job.nodes, job.gpus)).collect();
        assert_eq!(shown, [(2, Time::from_millis(0), 2, 6), (1, Time::from_millis(5000), 1, 1)]);
        assert_eq!(workload.jobs[0].runtime, Span::from_millis(2_951_500));
        assert_eq!(workload.owners.iter().map(|owner| owner.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            (
                "timestamp,duration\n",
                "line 1: the columns are timestamp,duration, expected timestamp,duration,num_gpus,gpu_time,cluster",
            ),
            (
                "timestamp,duration,num_gpus,gpu_time,cluster\n2017-13-09 07:01:55,1,1,1,a\n",
                "line 2: timestamp is 2017-13-09 07:01:55, expected a moment such as 2017-10-09 07:01:55",
            ),
            (
                "timestamp,duration,num_gpus,gpu_time,cluster\n2017-10-09 07:01:55,1,x,1,a\n",
                "line 2: num_gpus is x, expected a whole number",
            ),
            (
                "timestamp,duration,num_gpus,gpu_time,cluster\n2017-10-09 07:01:55,1,0,1,a\n",
                "line 2: num_gpus is 0, expected a job takes 1 to 100000 GPUs",
            ),
            (
                "timestamp,duration,num_gpus,gpu_time,cluster\n2017-10-09 07:01:55,1\n",
                "line 2: it has 2 columns, expected 5",
            ),
        ];
        for (text, wrong) in cases {
            assert_eq!(read(text, Limits::Exact).map_err(|wrong| wrong.to_string()), Err(wrong.to_owned()));
        }
    }
}
