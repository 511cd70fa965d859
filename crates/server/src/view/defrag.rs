//! A plan of moves as operators see it.
use crate::estate::Estate;
use madang_api::{BeforeAfter, DefragGroup, DefragMove, DefragPlan, DefragSite};
use madang_centre::Centre;
use madang_model::{Allocation, NodeId, Site};
use madang_sched::Stranded;
use madang_sched::defrag::{Bounds, Group, Left, Moved, Plan};

/// The plan, with names.
pub fn plan(centre: &Centre, estate: &Estate, bounds: &Bounds, plan: &Plan) -> DefragPlan {
    let grace = centre.scheduler().map_or(0, |sched| sched.config().taking.grace.secs());
    let sites = estate.founding.sites.iter().filter(|one| bounds.site.is_none_or(|site| site == one.id));
    DefragPlan {
        horizon_secs: bounds.horizon.secs(),
        grace_secs: grace,
        groups: plan.groups.iter().map(|one| group(centre, estate, one)).collect(),
        sites: sites.map(|one| site(one, plan)).collect(),
        starts: plan.starts.iter().map(|job| job.number()).collect(),
        notes: notes(plan),
    }
}

fn group(centre: &Centre, estate: &Estate, group: &Group) -> DefragGroup {
    DefragGroup {
        room_for: group.room_for.map(|job| job.number()),
        moves: group.moves.iter().map(|one| moved(centre, estate, one)).collect(),
        emptied: group.emptied.iter().map(|node| name(estate, *node)).collect(),
        lost_gpu_us: group.lost().micro_secs(),
        gained_gpu_us: group.gained.micro_secs(),
    }
}

fn moved(centre: &Centre, estate: &Estate, moved: &Moved) -> DefragMove {
    let spec = centre.job(moved.run.job).map(|job| &job.spec);
    DefragMove {
        job: moved.run.job.number(),
        attempt: moved.run.attempt,
        user: spec.map(|spec| centre.user_by_id(spec.user).name.clone()).unwrap_or_default(),
        project: spec.map(|spec| centre.projects()[spec.project.index()].name.clone()).unwrap_or_default(),
        gpus: moved.from.gpus().milli() / 1000,
        from: names(estate, &moved.from),
        to: names(estate, &moved.to),
        lost_gpu_us: moved.lost.micro_secs(),
    }
}

fn names(estate: &Estate, on: &Allocation) -> Vec<String> {
    on.slots.iter().map(|slot| name(estate, slot.node)).collect()
}

fn name(estate: &Estate, node: NodeId) -> String {
    estate.founding.nodes[node.index()].name.clone()
}

fn site(site: &Site, plan: &Plan) -> DefragSite {
    let of = |all: &[Stranded]| all.iter().filter(|island| island.site == site.id).copied().collect::<Vec<Stranded>>();
    let (before, after) = (of(&plan.before), of(&plan.after));
    let sum = |figure: fn(&Stranded) -> u64| BeforeAfter {
        before: before.iter().map(figure).sum(),
        after: after.iter().map(figure).sum(),
    };
    let largest = |all: &[Stranded]| all.iter().map(|island| island.gang).max().unwrap_or(0);
    DefragSite {
        site: site.name.clone(),
        gpus_stranded: sum(|island| island.stranded),
        whole_nodes: sum(|island| island.whole),
        largest_gang: BeforeAfter { before: largest(&before), after: largest(&after) },
    }
}

/// Why there is nothing to gain, or what more there might have been.
fn notes(plan: &Plan) -> Vec<String> {
    let stranded: u64 = plan.before.iter().map(|island| island.stranded).sum();
    let mut notes = Vec::new();
    match (plan.groups.is_empty(), stranded) {
        (true, 0) => notes.push("nothing to gain: no idle GPU is stranded on a partly used node".to_owned()),
        (true, _) => notes.push(format!("nothing to gain: {stranded} idle GPUs are stranded, and no moves pay")),
        (false, _) => {}
    }
    let Left { not_requeued, spared, going, budget, nowhere, dear, beyond } = plan.left;
    let told = [
        (not_requeued, "runs are of jobs that would not start again by themselves, or have not begun"),
        (spared, "runs have just started or were disturbed of late"),
        (going, "runs are leaving or end within minutes"),
        (budget, "runs are of projects that could not pay for a new start"),
        (nowhere, "times some run would find no other place beside what runs and is promised"),
        (dear, "times moving would cost more than it gains"),
        (beyond, "times more moves would be needed than were asked for"),
    ];
    notes.extend(told.into_iter().filter(|(count, _)| *count > 0).map(|(count, text)| format!("{count} {text}")));
    notes
}
