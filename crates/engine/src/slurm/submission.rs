//! An order as `sbatch` is told it: exactly these nodes, and on each what the core says.
use crate::hostlist;
use crate::order::{Kind, NodeShare, Order};
use crate::slurm::carrier::Likeness;
use crate::tasks::layout;
use madang_model::{SlurmSite, Span};
use std::path::Path;

/// What Slurm's limit is longer than the run's: the shepherd keeps the limit, Slurm stands behind it.
const BEYOND: Span = Span::from_secs(60);

/// The most that it is longer still, so that further runs may follow in the same job.
const CARRIES: Span = Span::from_mins(10);

/// For how many minutes Slurm is asked, where its partition gives `most`.
pub(crate) fn minutes(order: &Order, site: &SlurmSite, most: u64) -> u64 {
    // In proportion, for Slurm lets short jobs in before long ones.
    let more = if site.carry { Span::from_secs(order.limit.secs() / 4).min(CARRIES) } else { Span::ZERO };
    let wanted = (order.limit + order.grace + BEYOND + more).secs().div_ceil(60);
    // What does not fit at all is for Slurm to refuse.
    wanted.min(most.max(order.limit.secs().div_ceil(60)))
}

/// What a run must have in common with this one to follow it in the same Slurm job.
pub(crate) fn likeness(order: &Order, site: &SlurmSite) -> Likeness {
    const OWN: [&str; 4] = ["--job-name=", "--comment=", "--time=", "--output="];
    let mut words = arguments(order, site, 0, ("", Path::new("")));
    words.retain(|word| !OWN.iter().any(|own| word.starts_with(own)));
    words.extend([order.user_name.clone(), order.project.clone()]);
    Likeness { words, nodes: order.nodes.iter().map(|node| node.name.clone()).collect() }
}

/// What is wrong with an order for Slurm, if anything is.
pub(crate) fn cannot(order: &Order) -> Option<String> {
    let first = order.nodes.first()?;
    let unlike = |node: &&NodeShare| {
        (node.devices.len(), node.cpus, node.memory_mib) != (first.devices.len(), first.cpus, first.memory_mib)
    };
    if order.spec.kind == Kind::Hold {
        return Some("a Slurm site runs scripts only: an allocation without one cannot be held there".to_owned());
    }
    if let Some(node) = order.nodes.iter().find(unlike) {
        let fact = format!("a Slurm site runs equal nodes only: {} is to give other than {}", node.name, first.name);
        return Some(fact);
    }
    let shared = order.nodes.iter().find(|node| node.gpu_milli > 0)?;
    Some(format!("a Slurm site gives whole GPUs only, and a part of one on {} was asked", shared.name))
}

/// Arguments of `sbatch` for an order.
pub(crate) fn arguments(order: &Order, site: &SlurmSite, minutes: u64, (key, log): (&str, &Path)) -> Vec<String> {
    let names: Vec<String> = order.nodes.iter().map(|node| node.name.clone()).collect();
    let first = order.nodes.first().cloned().unwrap_or_default();
    let part = order.parts.first().copied().unwrap_or_default();
    let tasks = layout(names.len(), part.ntasks, part.ntasks_per_node);
    let most = tasks.iter().copied().max().unwrap_or(1).clamp(1, first.cpus.max(1));
    let all: u32 = tasks.iter().map(|count| (*count).clamp(1, most)).sum();
    let mut arguments = vec![
        "--parsable".to_owned(),
        format!("--job-name={key}"),
        format!("--comment={}", comment(order)),
        format!("--partition={}", site.partition),
        format!("--nodelist={}", hostlist::compress(&names)),
        format!("--nodes={}", names.len()),
        format!("--ntasks={all}"),
        format!("--ntasks-per-node={most}"),
        format!("--cpus-per-task={}", (first.cpus / most).max(1)),
        format!("--time={minutes}"),
        "--no-requeue".to_owned(),
        "--export=ALL".to_owned(),
        "--chdir=/".to_owned(),
        "--open-mode=append".to_owned(),
        format!("--output={}", log.display()),
    ];
    if first.memory_mib > 0 {
        arguments.push(format!("--mem={}M", first.memory_mib));
    }
    if !first.devices.is_empty() {
        arguments.push(format!("--gres=gpu:{}", first.devices.len()));
    }
    arguments.extend(site.account.iter().map(|account| format!("--account={account}")));
    arguments.extend(site.qos.iter().map(|qos| format!("--qos={qos}")));
    arguments
}

/// For people who look at the cluster with Slurm's own commands.
fn comment(order: &Order) -> String {
    let text = format!("{} {} of {} ({})", order.run.job, order.job_name, order.user_name, order.project);
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// The script of the Slurm job: it becomes the shepherd.
pub(crate) fn script(helper: &Path, commands: Option<&Path>, dir: &Path, run: madang_model::RunId) -> String {
    let path = commands.map_or(String::new(), |dir| format!("PATH={}:$PATH; export PATH\n", quoted(dir)));
    format!("#!/bin/sh\n{path}exec {} slurm-run {} {run}\n", quoted(helper), quoted(dir))
}

fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::{LaunchSpec, PartInfo};
    use expect_test::expect;
    use madang_model::{JobId, RunId};

    fn order() -> Order {
        let node = |name: &str| NodeShare {
            name: name.into(),
            devices: vec![0, 1],
            cpus: 16,
            memory_mib: 4096,
            ..NodeShare::default()
        };
        Order {
            run: RunId { job: JobId::new(7), attempt: 2 },
            spec: LaunchSpec::default(),
            job_name: "train\nme".into(),
            user_name: "kim".into(),
            project: "vision".into(),
            partition: "gpu".into(),
            qos: "normal".into(),
            comment: String::new(),
            cluster: "madang".into(),
            nodes: vec![node("n4"), node("n3")],
            parts: vec![PartInfo { ntasks: Some(8), ntasks_per_node: Some(4), cpus_per_task: None }],
            limit: Span::from_mins(10),
            warning: None,
            array: None,
            restart_count: 0,
            spares: 0,
            sizes: None,
            resized_from: 0,
            grace: Span::from_secs(30),
        }
    }

    #[test]
    fn an_order_becomes_arguments() {
        let site = SlurmSite {
            partition: "batch".into(),
            spool: "/s".into(),
            conf: None,
            commands: None,
            account: Some("lab".into()),
            qos: None,
            carry: false,
        };
        expect![[r#"
            --parsable
            --job-name=madang-x-job-7.2
            --comment=job-7 trainme of kim (vision)
            --partition=batch
            --nodelist=n[3-4]
            --nodes=2
            --ntasks=8
            --ntasks-per-node=4
            --cpus-per-task=4
            --time=12
            --no-requeue
            --export=ALL
            --chdir=/
            --open-mode=append
            --output=/s/log
            --mem=4096M
            --gres=gpu:2
            --account=lab
        "#]]
        .assert_eq(&(arguments(&order(), &site, 12, ("madang-x-job-7.2", Path::new("/s/log"))).join("\n") + "\n"));
        let carries = SlurmSite { carry: true, ..site.clone() };
        let asked = [(&site, 999), (&carries, 999), (&carries, 11), (&carries, 5)];
        assert_eq!(asked.map(|(site, most)| minutes(&order(), site, most)), [12, 14, 11, 10]);
        expect![[r#"
            #!/bin/sh
            PATH='/opt/slurm/bin':$PATH; export PATH
            exec '/s/it'\''s' slurm-run '/s/x' job-7.2
        "#]]
        .assert_eq(&script(Path::new("/s/it's"), Some(Path::new("/opt/slurm/bin")), Path::new("/s/x"), order().run));
    }

    #[test]
    fn what_slurm_cannot_do_is_said() {
        assert_eq!(cannot(&order()), None);
        let with = |change: &dyn Fn(&mut Order)| {
            let mut order = order();
            change(&mut order);
            cannot(&order).unwrap_or_default()
        };
        assert!(with(&|order| order.spec.kind = Kind::Hold).contains("scripts only"));
        assert!(with(&|order| order.nodes[1].cpus = 1).contains("equal nodes only: n3"));
        assert!(with(&|order| order.nodes[0].gpu_milli = 500).contains("whole GPUs only"));
    }
}
