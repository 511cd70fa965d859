//! A centre's own past as a workload: what ended jobs asked for, when they could have started, and how long they ran.
use super::machine::Machine;
use super::workload::{Beside, Job, Owner, Workload};
use madang_model::share::WHOLE;
use madang_model::{EngineKind, Founding, Outcome, Part, Span, Time};
use std::collections::BTreeMap;

/// All sites of a centre, as if each were modelled: a trial touches none of them.
pub fn machine(founding: &Founding) -> Machine {
    let mut founding = founding.clone();
    founding.sites.iter_mut().for_each(|site| site.engine = EngineKind::Model);
    Machine::of(&founding)
}

/// The workload of ended jobs, given with the names of user and project; `owners` has the owner of each project.
///
/// A job counts from when it could have started, so that dependencies, holds and begin times are as they were. It runs as
/// long as its last run did. A job that never ran says no run time and is left out, and so is one that asks for parts of
/// different kinds.
pub fn workload(
    name: &str,
    founding: &Founding,
    owners: &BTreeMap<String, String>,
    jobs: &[(String, String, madang_model::Job)],
) -> Workload {
    let mut workload = Workload { name: name.into(), owners: weights(founding), ..Workload::default() };
    let mut users: BTreeMap<&str, u32> = BTreeMap::new();
    let (mut unrun, mut mixed) = (0, 0);
    let seat = |project: &str| {
        let owner = owners.get(project)?;
        workload.owners.iter().position(|other| other.name == *owner)
    };
    let mut found = Vec::new();
    for (user, project, job) in jobs {
        let count = users.len() as u32;
        let user = *users.entry(user).or_insert(count);
        let Some(owner) = seat(project) else { continue };
        match (observed(job), job.spec.request.parts.as_slice()) {
            (None, _) => unrun += 1,
            (Some((runtime, fails)), [part]) => found.push(Job {
                number: job.id.number(),
                submit: job.eligible.unwrap_or(job.submitted),
                runtime: runtime.min(job.spec.limit),
                limit: job.spec.limit,
                nodes: part.nodes,
                gpus: part.gpus,
                share: share(part),
                cpus: part.cpus.max(1),
                beside: Some(beside(part)),
                owner: owner as u32,
                user,
                qos: job.spec.qos,
                fails,
                checkpoint: job.spec.checkpoint.unwrap_or(Span::ZERO),
            }),
            _ => mixed += 1,
        }
    }
    let first = found.iter().map(|job| job.submit).min().unwrap_or_default();
    found.iter_mut().for_each(|job| job.submit = Time::default().after(job.submit.since(first)));
    workload.notes = vec![
        format!("The past of {name}: ended jobs with the run times of their last runs, from when they could start."),
        format!(
            "Left out: of ended jobs {unrun} that never ran and {mixed} of unlike parts; jobs that are not over; trees, \
             models and features asked for. Slices of GPUs count as shares of their compute."
        ),
    ];
    workload.jobs = found;
    workload.in_order()
}

/// Thousandths of a GPU that are asked for; 0 for whole ones, of which a slice that is all of a GPU is one.
fn share(part: &Part) -> u32 {
    part.share.as_ref().map_or(0, |share| share.milli() % WHOLE)
}

fn beside(part: &Part) -> Beside {
    let memory_mib = u32::try_from(part.memory_mib).unwrap_or(u32::MAX);
    Beside { cpu_milli: part.cpus.saturating_mul(1000), memory_mib }
}

/// How long a job's last run was, and whether it failed by itself; `None` if none began.
fn observed(job: &madang_model::Job) -> Option<(Span, bool)> {
    let run = job.runs.last()?;
    let length = run.ended.since(run.started?).max(Span::from_millis(1));
    Some((length, matches!(run.outcome, Outcome::Failed { .. } | Outcome::OutOfMemory)))
}

/// Every owner with what it is guaranteed, in GPUs times basis points.
fn weights(founding: &Founding) -> Vec<Owner> {
    let mut weights = vec![0u64; founding.parties.len()];
    for site in &founding.sites {
        let gpus: u64 =
            founding.nodes.iter().filter(|node| node.site == site.id).map(|node| u64::from(node.gpus)).sum();
        // On a site without GPUs shares count all the same.
        site.shares.iter().for_each(|(party, share)| weights[party.index()] += gpus.max(1) * u64::from(*share));
    }
    let owner = |(party, weight): (&madang_model::Party, u64)| Owner {
        name: party.name.clone(),
        weight: u32::try_from(weight).unwrap_or(u32::MAX),
    };
    founding.parties.iter().zip(weights).filter(|(_, weight)| *weight > 0).map(owner).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use madang_model::Share;

    #[test]
    fn what_was_asked_of_a_gpu_is_kept() {
        let part = |share: Option<Share>| Part {
            nodes: 1,
            gpus: 1,
            cpus: 3,
            memory_mib: 2048,
            model: None,
            exclusive: false,
            features: Vec::new(),
            share,
        };
        let slice = |name: &str| Some(Share::Slice(name.into()));
        let asked = [None, Some(Share::Milli(250)), slice("1g.18gb"), slice("7g.141gb")];
        assert_eq!(asked.map(|share| self::share(&part(share))), [0, 250, 143, 0]);
        assert_eq!(beside(&part(None)), Beside { cpu_milli: 3000, memory_mib: 2048 });
    }
}
