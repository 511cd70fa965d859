//! Alibaba's public traces: pods that share GPUs (2023), recommendation serving (2025), a spot fleet (2026).
use super::super::table::{Row, Table, Wrong};
use super::super::workload::{Beside, Job, Workload};
use super::{Owners, Reading, dice};
use madang_model::{Qos, Span, Time};

/// The header of openb's pods.
pub const PODS: &str = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,\
                        scheduled_time";
/// The header of the recommendation service's instances.
pub const INSTANCES: &str = "instance_sn,role,app_name,cpu_request,cpu_limit,gpu_request,gpu_limit,rdma_request,\
                             rdma_limit,memory_request,memory_limit,disk_request,disk_limit,max_instance_per_node,\
                             creation_time,scheduled_time,deletion_time";
/// The header of the spot fleet's jobs.
pub const SPOT: &str =
    "job_name,organization,job_type,duration,gpu_request,cpu_request,worker_num,gpu_seconds,submit_time";

/// What every one of these leaves out.
const LEFT_OUT: &str = "CPUs, memory and the GPU model that was asked for are left out: each GPU brings one CPU";

/// A job before its limit.
#[derive(Clone, Copy)]
struct Asked {
    /// Its row in the file, from 1.
    number: u64,
    submit: u64,
    runtime: Span,
    nodes: u32,
    gpus: u32,
    /// Thousandths of the one GPU; 0 for whole ones.
    share: u32,
    beside: Option<Beside>,
    owner: u32,
    user: u32,
    qos: Qos,
    fails: bool,
}

/// Jobs with their times from the first submission on.
fn jobs(asked: &[Asked], reading: &Reading) -> Vec<Job> {
    let mut rng = dice(reading.limits);
    let first = asked.iter().map(|asked| asked.submit).min().unwrap_or(0);
    let job = |asked: &Asked| Job {
        number: asked.number,
        submit: Time::from_millis(asked.submit - first),
        runtime: asked.runtime,
        limit: reading.limits.of(&mut rng, asked.runtime),
        nodes: asked.nodes,
        gpus: asked.gpus,
        share: asked.share,
        cpus: asked.beside.map_or(asked.gpus, |beside| beside.cpu_milli.div_ceil(1000)).max(1),
        beside: asked.beside,
        owner: asked.owner,
        user: asked.user,
        qos: asked.qos,
        fails: asked.fails,
        checkpoint: Span::ZERO,
    };
    asked.iter().map(job).collect()
}

/// A whole number in a range.
fn within(row: &Row, column: &str, most: u32) -> Result<u32, Wrong> {
    let expected = format!("a whole number from 0 to {most}");
    let number: u32 = row.number(column).map_err(|_| row.wrong(column, &expected))?;
    if number <= most { Ok(number) } else { Err(row.wrong(column, &expected)) }
}

/// A time in milliseconds, or nothing where the cell is empty.
fn moment(row: &Row, column: &str) -> Result<Option<u64>, Wrong> {
    if row.text(column)?.is_empty() { Ok(None) } else { row.decimal(column, 3).map(Some) }
}

/// Reads openb's pods.
pub(super) fn pods(text: &str, reading: &Reading) -> Result<Workload, Wrong> {
    let (table, mut owners, mut asked) = (Table::read(text, PODS)?, Owners::default(), Vec::new());
    let (mut without, mut shared, mut spec) = (0, 0, 0);
    for (number, row) in (1..).zip(table.rows()) {
        let (gpus, milli) = (within(&row, "num_gpu", 64)?, within(&row, "gpu_milli", 1000)?);
        let share = match (gpus, milli) {
            (0, _) | (_, 1000) => 0,
            (1, 1..) => milli,
            (1, _) => return Err(row.wrong("gpu_milli", "1 to 999 of a shared GPU, or 1000")),
            _ => return Err(row.wrong("gpu_milli", "1000, since several GPUs are asked for whole")),
        };
        let cpu_milli = within(&row, "cpu_milli", 10_000_000)?;
        let beside = Some(Beside { cpu_milli, memory_mib: within(&row, "memory_mib", u32::MAX)? });
        let created = moment(&row, "creation_time")?.ok_or_else(|| row.wrong("creation_time", "a time in seconds"))?;
        let deleted = moment(&row, "deletion_time")?.ok_or_else(|| row.wrong("deletion_time", "a time in seconds"))?;
        let since = moment(&row, "scheduled_time")?.unwrap_or(created);
        if deleted < since || since < created {
            return Err(row.wrong("deletion_time", "creation, scheduling and deletion in this order"));
        }
        let qos = match row.text("qos")? {
            "LS" => Qos::High,
            "BE" => Qos::Low,
            "Burstable" | "Guaranteed" => Qos::Normal,
            _ => return Err(row.wrong("qos", "LS, BE, Burstable or Guaranteed")),
        };
        without += u32::from(gpus == 0);
        shared += u32::from(share > 0);
        spec += u32::from(!row.text("gpu_spec")?.is_empty());
        let runtime = Span::from_millis((deleted - since).max(1000));
        let owner = owners.asks("openb", u64::from(gpus), runtime);
        let (user, fails, nodes) = (qos as u32, row.text("pod_phase")? == "Failed", 1);
        asked.push(Asked { number, submit: created, runtime, nodes, gpus, share, beside, owner, user, qos, fails });
    }
    Ok(Workload {
        name: "openb 2023".into(),
        notes: vec![
            "Alibaba's openb trace, pods of 2023; Apache-2.0".into(),
            "Run times are from scheduling to deletion, of pods never scheduled from creation to deletion; pods that \
             outlived the trace end with it"
                .into(),
            format!(
                "{shared} pods ask for a part of one GPU, {without} for none, each with its CPUs and memory; every GPU \
                 may be shared"
            ),
            format!("{spec} pods demand models of GPUs, which are left out"),
            "Latency-sensitive pods are urgent, best-effort ones are not; all have one owner, users are the classes"
                .into(),
            reading.limits.note(),
        ],
        jobs: jobs(&asked, reading),
        owners: owners.list(),
        faults: Vec::new(),
        withdrawn: Default::default(),
    }
    .in_order())
}

/// Reads the recommendation service's instances that have GPUs.
pub(super) fn instances(text: &str, reading: &Reading) -> Result<Workload, Wrong> {
    let (table, mut owners, mut asked) = (Table::read(text, INSTANCES)?, Owners::default(), Vec::new());
    let mut last = 0;
    for row in table.rows() {
        for column in ["creation_time", "scheduled_time", "deletion_time"] {
            last = last.max(moment(&row, column)?.unwrap_or(0));
        }
    }
    let (mut without, mut early, mut late) = (0, 0, 0);
    for (number, row) in (1..).zip(table.rows()) {
        let gpus = within(&row, "gpu_request", 64)?;
        if gpus == 0 {
            without += 1;
            continue;
        }
        let created = moment(&row, "creation_time")?;
        let deleted = moment(&row, "deletion_time")?;
        (early, late) = (early + u32::from(created.is_none()), late + u32::from(deleted.is_none()));
        let submit = created.unwrap_or(0);
        let since = moment(&row, "scheduled_time")?.unwrap_or(submit);
        let until = deleted.unwrap_or(last);
        if until < since || since < submit {
            return Err(row.wrong("deletion_time", "creation, scheduling and deletion in this order"));
        }
        let runtime = Span::from_millis((until - since).max(1000));
        let owner = owners.asks(row.text("app_name")?, u64::from(gpus), runtime);
        let (nodes, share, beside, user, qos, fails) = (1, 0, None, 0, Qos::Normal, false);
        asked.push(Asked { number, submit, runtime, nodes, gpus, share, beside, owner, user, qos, fails });
    }
    Ok(Workload {
        name: "dlrm 2025".into(),
        notes: vec![
            "Alibaba's disaggregated recommendation serving, GPU instances over 31 days of 2025; for study or research"
                .into(),
            format!(
                "Modelled: {early} instances older than the trace come at its start, {late} that outlive it end with it"
            ),
            format!("{without} instances without GPU, shares of network cards and limits per node are left out"),
            LEFT_OUT.into(),
            "Each application is an owner, weighted by the GPU-hours that it asks for".into(),
            reading.limits.note(),
        ],
        jobs: jobs(&asked, reading),
        owners: owners.list(),
        faults: Vec::new(),
        withdrawn: Default::default(),
    }
    .in_order())
}

/// Reads single jobs of the spot fleet.
pub(super) fn spot(text: &str, reading: &Reading) -> Result<Workload, Wrong> {
    let (table, mut owners, mut asked) = (Table::read(text, SPOT)?, Owners::default(), Vec::new());
    let (mut shared, mut rounded) = (0, 0);
    for (number, row) in (1..).zip(table.rows()) {
        let milli = row.decimal("gpu_request", 3)?;
        if milli == 0 || milli > 64_000 {
            return Err(row.wrong("gpu_request", "more than 0 GPUs, at most 64"));
        }
        let share = if milli < 1000 { milli as u32 } else { 0 };
        (shared, rounded) = (shared + u32::from(share > 0), rounded + u32::from(milli > 1000 && milli % 1000 > 0));
        let (gpus, nodes) = (milli.div_ceil(1000) as u32, within(&row, "worker_num", 100_000)?.max(1));
        let runtime = Span::from_millis(row.decimal("duration", 3)?.max(1000));
        let submit = row.decimal("submit_time", 3)?;
        let qos = match row.text("job_type")? {
            "HP" => Qos::Normal,
            "Spot" => Qos::Low,
            _ => return Err(row.wrong("job_type", "HP or Spot")),
        };
        let name = format!("org-{}", row.text("organization")?);
        let each = if share > 0 { share } else { gpus * 1000 };
        let owner = owners.asks(&name, u64::from(each) * u64::from(nodes), runtime);
        let (beside, user, fails) = (None, 0, false);
        asked.push(Asked { number, submit, runtime, nodes, gpus, share, beside, owner, user, qos, fails });
    }
    Ok(Workload {
        name: "spot 2026, single jobs".into(),
        notes: vec![
            "Jobs of Alibaba's spot fleet of 2026, picked by a third party for their weight or length; MIT".into(),
            format!("Not the load of the fleet: {} jobs of 466,867; each worker is a node of its gang", asked.len()),
            format!("{shared} jobs ask for a part of a GPU; modelled: {rounded} that ask for several and a part hold it whole"),
            LEFT_OUT.into(),
            reading.limits.note(),
        ],
        jobs: jobs(&asked, reading),
        owners: owners.list(),
        faults: Vec::new(),
        withdrawn: Default::default(),
    }
    .in_order())
}
