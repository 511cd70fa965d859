//! The demo: the plan of 2025 at full size, modelled, with this machine beside it. Projects and people are named
//! plainly as demo; scripts run for real on this machine, the load of the big sites is generated.

use crate::convert;
use crate::http::App;
use crate::store::Blob;
use crate::up::award;
use madang_api::{After, Batch, PartSpec, Submit, WaitSpec, WarnSpec};
use madang_centre::{Centre, Input, Reply};
use madang_model::{EngineKind, Founding, Launch, PartyId, Role, Site};
use madang_sim::{Load, LoadSpec, Payer};
use std::path::Path;
use std::sync::Arc;

/// The centre that the demo shows.
pub const CENTRE: &str = include_str!("../../../centres/korea-2025.toml");

/// The project whose scripts run on this machine.
const HERE: &str = "demo-here";
/// Who submits the load and owns nothing else.
const RESEARCHER: &str = "demo-researcher";
/// The share of each modelled site that the load asks for, in basis points: somewhat more than there is, so that there
/// is a queue to look at; the core holds the load back before that runs away.
const BUSY: u32 = 10_800;
/// The largest gang of the load.
const LARGEST: u32 = 512;

/// Demo projects of the big sites: name, title, which owner (0 the first, 1 the second), which class, weight. The
/// owners ask for about what they are entitled to.
const PROJECTS: [(&str, &str, usize, &str, u32); 6] = [
    ("demo-foundation", "Demo: a foundation model for Korean", 0, "national", 24),
    ("demo-climate", "Demo: weather and climate", 0, "research", 12),
    ("demo-university", "Demo: university courses and theses", 0, "academia", 15),
    ("demo-startup", "Demo: a young firm's assistant", 1, "industry", 19),
    ("demo-mobility", "Demo: driving and robots", 1, "industry", 16),
    ("demo-medicine", "Demo: images in medicine", 1, "academia", 14),
];

/// Role accounts, so that each view can be looked at.
const PEOPLE: [(&str, Role); 4] = [
    (RESEARCHER, Role::Researcher),
    ("demo-owner", Role::Owner),
    ("demo-officer", Role::Officer),
    ("demo-operator", Role::Operator),
];

/// What a fresh demo does right after its founding.
pub fn first(founding: &Founding, admin: &str) -> Vec<Input> {
    let owners: Vec<&str> = owners(founding);
    let mut inputs = vec![Input::User { name: admin.into(), role: Role::Admin }];
    inputs.extend(PEOPLE.iter().map(|(name, role)| Input::User { name: (*name).into(), role: *role }));
    let gpus = |kind: EngineKind| -> u64 {
        let there = founding.nodes.iter().filter(|node| founding.sites[node.site.index()].engine == kind);
        there.map(|node| u64::from(node.gpus)).sum()
    };
    let weights: u64 = PROJECTS.iter().map(|project| u64::from(project.4)).sum();
    let class = |wanted: &str| {
        let named = founding.classes.iter().find(|class| class.name == wanted).or(founding.classes.first());
        named.map(|class| class.name.clone()).unwrap_or_default()
    };
    let mut project = |name: &str, title: &str, owner: usize, wanted: &str, gpus: u64| {
        let owner = owners.get(owner).or(owners.first()).copied().unwrap_or_default();
        let (name, title) = (name.to_owned(), title.to_owned());
        inputs.push(Input::Project { name: name.clone(), title, owner: owner.into(), class: class(wanted) });
        inputs.push(award(&name, gpus));
        for user in [admin, RESEARCHER] {
            inputs.push(Input::Member { project: name.clone(), user: user.into() });
        }
    };
    project(HERE, "Demo: scripts on this machine", 0, "research", gpus(EngineKind::Local).max(1));
    for (name, title, owner, wanted, weight) in PROJECTS {
        // Limits are over-asked and held whole, so a project's hold is a multiple of what it computes.
        let share = gpus(EngineKind::Model) * u64::from(weight) / weights;
        project(name, title, owner, wanted, share.max(1));
    }
    inputs
}

fn owners(founding: &Founding) -> Vec<&str> {
    let holds = |party: PartyId| founding.sites.iter().any(|site| site.shares.iter().any(|(owner, _)| *owner == party));
    founding.parties.iter().filter(|party| holds(party.id)).map(|party| party.name.as_str()).collect()
}

/// Generated load for each modelled site; a centre just founded gets an opening burst, another goes on.
pub fn loads(centre: &Centre, is_new: bool) -> Vec<Load> {
    let Some(founding) = centre.founding() else { return Vec::new() };
    let sites = founding.sites.iter().filter(|site| site.engine == EngineKind::Model);
    let load = |site: &Site| {
        let spec = spec(centre, founding, site)?;
        let (seed, now) = (centre.now().millis() ^ u64::from(site.id.number()), centre.now());
        Some(if is_new {
            Load::new(seed, spec, now)
        } else {
            Load::resume(seed, spec, crate::clock::system().max(now))
        })
    };
    sites.filter_map(load).collect()
}

fn spec(centre: &Centre, founding: &Founding, site: &Site) -> Option<LoadSpec> {
    let partition = founding.partitions.iter().find(|partition| partition.sites == [site.id])?;
    let nodes = || founding.nodes.iter().filter(|node| node.site == site.id && node.gpus > 0);
    let node = nodes().next()?;
    let islands = founding.islands.iter().filter(|island| island.site == site.id);
    let largest =
        islands.map(|island| nodes().filter(|node| node.island == island.id).map(|node| node.gpus).sum()).max();
    let payer = |(name, _, _, _, weight): &(&str, &str, usize, &str, u32)| {
        centre.project(name)?;
        Some(Payer { project: (*name).into(), user: RESEARCHER.into(), weight: *weight })
    };
    let payers: Vec<Payer> = PROJECTS.iter().filter_map(payer).collect();
    if payers.is_empty() {
        return None;
    }
    Some(LoadSpec {
        partition: Some(partition.name.clone()),
        sites: vec![site.name.clone()],
        payers,
        model: None,
        gpus: nodes().map(|node| node.gpus).sum(),
        node_gpus: node.gpus,
        largest: largest.unwrap_or(node.gpus).min(LARGEST),
        cpus_per_gpu: (node.cpus / node.gpus).max(1),
        memory_mib_per_gpu: node.memory_mib / u64::from(node.gpus),
        target: BUSY,
        max_limit: partition.max_limit,
    })
}

/// A demo script and the one before it in its chain.
struct Script {
    text: &'static str,
    after: Option<After>,
}

const SCRIPTS: [Script; 6] = [
    Script { text: include_str!("../demo/primes.sbatch"), after: None },
    Script { text: include_str!("../demo/squares.sbatch"), after: None },
    Script { text: include_str!("../demo/devices.sbatch"), after: None },
    Script { text: include_str!("../demo/prepare.sbatch"), after: None },
    Script { text: include_str!("../demo/train.sbatch"), after: Some(After::AfterOk) },
    Script { text: include_str!("../demo/report.sbatch"), after: Some(After::AfterAny) },
];

/// Submits the demo's scripts to this machine as its administrator; what cannot run here (a GPU where there is none)
/// is left out with a line in the log.
pub async fn submit_scripts(app: &Arc<App>, data: &Path, user: &str) {
    let cwd = data.join("demo");
    if let Err(error) = std::fs::create_dir_all(&cwd) {
        tracing::warn!("failed to make the demo's folder {}: {error}", cwd.display());
        return;
    }
    let mut before = None;
    for script in &SCRIPTS {
        let mut submit = directives(script.text);
        submit.batch = Some(Batch {
            script: script.text.into(),
            cwd: cwd.display().to_string(),
            env: vec![("PATH".into(), std::env::var("PATH").unwrap_or_else(|_| "/usr/bin:/bin".into()))],
            ..Batch::default()
        });
        if let (Some(kind), Some(job)) = (script.after, before) {
            submit.after = vec![WaitSpec { kind, job, task: None, delay_secs: 0 }];
        }
        let name = submit.name.clone();
        match submit_one(app, user, submit).await {
            Ok(job) => before = Some(job),
            Err(why) => tracing::info!("the demo's script {name} is left out: {why}"),
        }
    }
}

async fn submit_one(app: &App, user: &str, submit: Submit) -> Result<u64, String> {
    let converted = convert::submission(&app.estate, user, false, submit).map_err(|fault| fault.detail)?;
    let mut submission = converted.submission;
    let bytes = serde_json::to_vec(&converted.launched).map_err(|error| error.to_string())?;
    let blob = Blob::of(bytes);
    submission.launch = Some(Launch(blob.name.clone()));
    match app.ask(user, None, Input::Submit(Box::new(submission)), Some(blob)).await {
        Ok(Reply::Job(job)) => Ok(job.number()),
        Ok(_) => Err("the core answered something else".into()),
        Err(fault) => Err(fault.detail),
    }
}

/// The few options that the demo's own scripts use; `sbatch` reads them all.
fn directives(script: &str) -> Submit {
    let mut part = PartSpec::default();
    let mut submit = Submit { project: Some(HERE.into()), ..Submit::default() };
    for option in script.lines().filter_map(|line| line.strip_prefix("#SBATCH --")) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        match name {
            "job-name" => submit.name = value.into(),
            "array" => submit.array = Some(value.into()),
            "time" => submit.limit_secs = value.parse::<u64>().ok().map(|minutes| minutes * 60),
            "cpus-per-task" => part.cpus_per_task = value.parse().ok(),
            "mem" => part.memory_mib = value.parse().ok(),
            "gpus" => part.gpus_total = value.parse().ok(),
            "signal" => submit.warning = warning(value),
            other => unreachable!("the demo's scripts use no --{other}: a test reads them"),
        }
    }
    submit.parts = vec![part];
    submit
}

/// `B:USR1@60`.
fn warning(value: &str) -> Option<WarnSpec> {
    let (shell, rest) = value.strip_prefix("B:").map_or((false, value), |rest| (true, rest));
    let (name, before) = rest.split_once('@')?;
    let signal = (name == "USR1").then_some(nix::libc::SIGUSR1)?;
    Some(WarnSpec { signal, before_secs: before.parse().ok()?, shell })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_s_scripts_use_only_options_that_it_reads() {
        for script in &SCRIPTS {
            let submit = directives(script.text);
            assert!(!submit.name.is_empty() && submit.limit_secs.is_some(), "{}", script.text);
        }
        assert!(directives(SCRIPTS[4].text).warning.is_some());
    }
}
