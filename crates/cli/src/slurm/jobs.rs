//! Finding jobs for Slurm's commands: states by both their names, users by login or number, ids of arrays and tasks.
use super::values;
use crate::client::{Client, escape};
use crate::fail::Fail;
use madang_api::{JobView, Me, SlotView, StateName};

/// Every state that Slurm knows, long and short, with ours where we have it.
const STATES: &[(&str, &str, Option<StateName>)] = &[
    ("PENDING", "PD", Some(StateName::Pending)),
    ("RUNNING", "R", Some(StateName::Running)),
    ("SUSPENDED", "S", None),
    ("COMPLETED", "CD", Some(StateName::Completed)),
    ("CANCELLED", "CA", Some(StateName::Cancelled)),
    ("FAILED", "F", Some(StateName::Failed)),
    ("TIMEOUT", "TO", Some(StateName::Timeout)),
    ("NODE_FAIL", "NF", Some(StateName::NodeFail)),
    ("PREEMPTED", "PR", Some(StateName::Preempted)),
    ("BOOT_FAIL", "BF", Some(StateName::BootFail)),
    ("DEADLINE", "DL", Some(StateName::Deadline)),
    ("OUT_OF_MEMORY", "OOM", Some(StateName::OutOfMemory)),
    ("COMPLETING", "CG", Some(StateName::Completing)),
    ("CONFIGURING", "CF", Some(StateName::Configuring)),
    ("RESIZING", "RS", None),
    ("RESV_DEL_HOLD", "RD", None),
    ("REQUEUED", "RQ", Some(StateName::Requeued)),
    ("REQUEUE_FED", "RF", None),
    ("REQUEUE_HOLD", "RH", None),
    ("REVOKED", "RV", None),
    ("SIGNALING", "SI", None),
    ("SPECIAL_EXIT", "SE", None),
    ("STAGE_OUT", "SO", None),
    ("STOPPED", "ST", None),
];

/// A state's long name.
pub fn long(state: StateName) -> &'static str {
    STATES.iter().find(|(_, _, known)| *known == Some(state)).map_or("UNKNOWN", |(long, _, _)| long)
}

/// A state's letters.
pub fn short(state: StateName) -> &'static str {
    STATES.iter().find(|(_, _, known)| *known == Some(state)).map_or("?", |(_, short, _)| short)
}

/// The states that names mean; all of them for `all`. The error is Slurm's sentence.
pub fn states(names: &[String]) -> Result<Vec<StateName>, String> {
    let all = || STATES.iter().filter_map(|(_, _, state)| *state);
    let mut found = Vec::new();
    for name in names {
        let upper = name.to_ascii_uppercase();
        if upper == "ALL" {
            return Ok(all().collect());
        }
        match STATES.iter().find(|(long, short, _)| *long == upper || *short == upper) {
            Some((_, _, state)) => found.extend(state),
            None => {
                let names: Vec<&str> = STATES.iter().map(|(long, _, _)| *long).collect();
                return Err(format!(
                    "Invalid job state specified: {name}\nValid job states include: {}",
                    names.join(",")
                ));
            }
        }
    }
    Ok(found)
}

/// Which jobs are wanted. An empty list does not limit.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Ids, as the API takes them.
    pub ids: Vec<String>,
    /// Users.
    pub users: Vec<String>,
    /// Projects.
    pub projects: Vec<String>,
    /// Partitions.
    pub partitions: Vec<String>,
    /// Names.
    pub names: Vec<String>,
    /// QOS.
    pub qos: Vec<String>,
    /// Nodes.
    pub nodes: Vec<String>,
    /// States; `None` for what is not over.
    pub states: Option<Vec<StateName>>,
    /// Tasks of arrays one by one.
    pub expand: bool,
    /// With slots, runs and batch.
    pub full: bool,
    /// Ended since.
    pub since_ms: Option<u64>,
    /// Submitted until.
    pub until_ms: Option<u64>,
}

impl Wanted {
    /// Reads ids of a command line: `12`, `5_3`, `5_[1-4]`.
    pub fn take_ids(&mut self, items: &[String]) -> Result<(), String> {
        for item in items {
            let ids = values::job_ids(item).ok_or_else(|| format!("Invalid job id: {item}"))?;
            self.ids.extend(ids);
        }
        Ok(())
    }

    /// Fetches them.
    pub fn fetch(&self, client: &Client) -> Result<Vec<JobView>, Fail> {
        let mut jobs: Vec<JobView> = client.list(&format!("/jobs?{}", self.query()))?;
        jobs.retain(|job| self.keeps(job));
        Ok(jobs)
    }

    /// What the server is asked; lists of more than one value are left to [`Wanted::keeps`].
    fn query(&self) -> String {
        let mut query = match &self.states {
            _ if !self.ids.is_empty() => format!("state=all&ids={}", escape(&self.ids.join(","))),
            None => "state=active".to_owned(),
            Some(states) if states.is_empty() => "state=all".to_owned(),
            Some(states) => {
                let names: Vec<&str> = states.iter().map(|state| long(*state)).collect();
                format!("state={}", names.join(","))
            }
        };
        let single = [
            ("user", &self.users),
            ("project", &self.projects),
            ("partition", &self.partitions),
            ("name", &self.names),
        ];
        for (name, list) in single {
            if let [one] = &list[..] {
                query.push_str(&format!("&{name}={}", escape(one)));
            }
        }
        for (name, moment) in [("since_ms", self.since_ms), ("until_ms", self.until_ms)] {
            query.push_str(&moment.map_or(String::new(), |ms| format!("&{name}={ms}")));
        }
        for (name, on) in [("expand", self.expand), ("full", self.full)] {
            query.push_str(&if on { format!("&{name}=true") } else { String::new() });
        }
        query
    }

    fn keeps(&self, job: &JobView) -> bool {
        let has = |list: &[String], value: &str| list.is_empty() || list.iter().any(|one| one == value);
        let state = match &self.states {
            None => !job.state.is_over(),
            Some(states) => states.is_empty() || states.contains(&job.state),
        };
        let on_node = || {
            let held = madang_engine::hostlist::expand(&job.node_list).unwrap_or_default();
            self.nodes.is_empty() || held.iter().any(|node| self.nodes.contains(node))
        };
        state
            && has(&self.users, &job.user)
            && has(&self.projects, &job.project)
            && (self.partitions.is_empty() || job.partition.split(',').any(|name| has(&self.partitions, name)))
            && has(&self.names, &job.name)
            && has(&self.qos, qos(job))
            && on_node()
    }
}

/// A job's QOS by name.
pub fn qos(job: &JobView) -> &'static str {
    match job.qos {
        madang_api::QosName::Low => "low",
        madang_api::QosName::Normal => "normal",
        madang_api::QosName::High => "high",
    }
}

/// The caller's name at the centre.
pub fn me(client: &Client) -> Result<Me, Fail> {
    client.get("/me")
}

/// Names at the centre for logins and numbers. Whoever names their own login means themselves, whatever the centre
/// calls them.
pub fn users(client: &Client, named: &[String]) -> Result<Vec<String>, Fail> {
    let mut found = Vec::new();
    let own = nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten().map(|user| user.name);
    for name in named {
        let login = match name.parse::<u32>() {
            Ok(uid) => {
                let user = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid)).ok().flatten();
                user.map_or_else(|| name.clone(), |user| user.name)
            }
            Err(_) => name.clone(),
        };
        if own.as_ref() == Some(&login) {
            found.push(me(client)?.name);
        }
        found.push(login);
    }
    found.dedup();
    Ok(found)
}

/// A login's number on this machine; a name that has none here gets the caller's.
pub fn uid(name: &str) -> u32 {
    let user = nix::unistd::User::from_name(name).ok().flatten();
    user.map_or_else(|| nix::unistd::getuid().as_raw(), |user| user.uid.as_raw())
}

/// A job's id as Slurm shows it: `12`, `12_3`, `12_[4-11%4]`.
pub fn display_id(job: &JobView) -> String {
    match &job.array {
        None => job.id.to_string(),
        Some(array) => match (array.task, &array.tasks) {
            (Some(task), _) => format!("{}_{task}", array.job),
            (None, Some(tasks)) => format!("{}_[{tasks}]", array.job),
            (None, None) => array.job.to_string(),
        },
    }
}

/// Seconds that it ran, or has run.
pub fn elapsed(job: &JobView, now_ms: u64) -> u64 {
    let Some(started) = job.started_ms.filter(|_| job.state > StateName::Configuring) else { return 0 };
    let until = if job.state.is_over() { job.ends_ms.unwrap_or(started) } else { now_ms };
    until.saturating_sub(started) / 1000
}

/// Resources as Slurm writes them, in scontrol's order: `cpu=4,mem=4G,node=1,billing=4,gres/gpu=2`.
pub fn tres(job: &JobView, order: TresOrder) -> String {
    let memory: u64 = match job.slots.is_empty() {
        true => job.parts.iter().map(|part| part.memory_mib * u64::from(part.nodes)).sum(),
        false => job.slots.iter().map(|slot| slot.memory_mib).sum(),
    };
    let cpus = if job.slots.is_empty() { job.cpus } else { job.slots.iter().map(|slot| slot.cpus).sum() };
    let mut items = vec![format!("cpu={cpus}"), format!("node={}", job.nodes), format!("billing={cpus}")];
    if memory > 0 {
        items.insert(1, format!("mem={}", super::format::mib(memory)));
    }
    if let Some(gpus) = gres(job) {
        items.push(gpus);
    }
    if order == TresOrder::ByName {
        items.sort();
    }
    items.join(",")
}

/// GPUs of the job as Slurm counts them: `gres/gpu=2`, `gres/gpu:1g.10gb=1`, `gres/shard=1`; a share that is no number of
/// shards as what it is, `gres/gpu=0.25`.
pub fn gres(job: &JobView) -> Option<String> {
    let [part] = job.parts.as_slice() else { return (job.gpus > 0).then(|| format!("gres/gpu={}", job.gpus)) };
    match (&part.gpu_profile, part.gpu_shards, part.gpu_milli) {
        (Some(profile), ..) => Some(format!("gres/gpu:{profile}={}", part.nodes)),
        (_, Some(shards), _) => Some(format!("gres/shard={}", shards * part.nodes)),
        (.., Some(_)) => {
            let text = format!("{}.{:03}", job.gpu_milli / 1000, job.gpu_milli % 1000);
            Some(format!("gres/gpu={}", text.trim_end_matches('0').trim_end_matches('.')))
        }
        _ => (job.gpus > 0).then(|| format!("gres/gpu={}", job.gpus)),
    }
}

/// What a node's slot holds of its GPUs, by the part it serves: `gpu:2`, `gpu:1g.10gb:1`, `shard:1`, `gpu:0.25`.
pub fn slot_gres(job: &JobView, slot: &SlotView) -> Option<String> {
    if slot.devices.is_empty() {
        return None;
    }
    let part = job.parts.get(slot.part as usize);
    let held = match part.map(|part| (&part.gpu_profile, part.gpu_shards, part.gpu_milli)) {
        Some((Some(profile), ..)) => format!("gpu:{profile}:1"),
        Some((_, Some(shards), _)) => format!("shard:{shards}"),
        Some((.., Some(milli))) => format!("gpu:{}", madang_model::Share::Milli(milli)),
        _ => format!("gpu:{}", slot.devices.len()),
    };
    Some(format!("{held}(IDX:{})", super::json::ranges(&slot.devices)))
}

/// In which order resources are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TresOrder {
    /// As scontrol does.
    Fixed,
    /// As sacct does.
    ByName,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_by_both_names() {
        let names = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(states(&names("pd,RUNNING")), Ok(vec![StateName::Pending, StateName::Running]));
        assert_eq!(states(&names("S")), Ok(vec![]));
        assert!(states(&names("all")).is_ok_and(|all| all.len() == 14));
        assert!(states(&names("FOO")).is_err_and(|error| error.starts_with("Invalid job state specified: FOO\nValid")));
        assert_eq!((long(StateName::OutOfMemory), short(StateName::OutOfMemory)), ("OUT_OF_MEMORY", "OOM"));
    }
}
