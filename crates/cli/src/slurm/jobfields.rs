//! Fields of a job as `squeue` shows them, by letter and by name.
use super::format::mib;
use super::jobs::{self, TresOrder, display_id, elapsed};
use crate::time::{local, short_length};
use madang_api::{JobView, StateName};

/// A field of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// The record's own id.
    RawId,
    /// `12_3`, `12_[4-11%4]`.
    Id,
    /// The array's id, else the job's.
    ArrayId,
    /// The task's index or indices.
    ArrayTask,
    /// Partition.
    Partition,
    /// Name.
    Name,
    /// User.
    User,
    /// User's number.
    Uid,
    /// Long state.
    State,
    /// Short state.
    StateShort,
    /// Time used.
    Used,
    /// Limit.
    Limit,
    /// Time left.
    Left,
    /// Nodes.
    Nodes,
    /// Node list, or the reason in parentheses.
    NodesOrReason,
    /// Reason.
    Reason,
    /// Node list.
    NodeList,
    /// First node.
    BatchHost,
    /// CPUs.
    Cpus,
    /// CPUs for each task.
    CpusPerTask,
    /// Tasks.
    Tasks,
    /// GPUs for each node.
    TresPerNode,
    /// All resources.
    Tres,
    /// Rank; not a number here.
    Priority,
    /// Start, planned or real.
    Start,
    /// End by limit, or real.
    End,
    /// When it must have ended.
    Deadline,
    /// Submitted.
    Submit,
    /// Eligible since.
    Eligible,
    /// Seconds since it was submitted.
    Pending,
    /// Project.
    Account,
    /// Comment.
    Comment,
    /// QOS.
    Qos,
    /// Working folder.
    WorkDir,
    /// Output file.
    StdOut,
    /// Error file.
    StdErr,
    /// Memory.
    MinMemory,
    /// Features.
    Features,
    /// Waits.
    Dependency,
    /// Nice.
    Nice,
    /// Exit code.
    Exit,
    /// Restarts.
    Restarts,
    /// Requeue.
    Requeue,
    /// May share.
    OverSubscribe,
    /// Nodes promised.
    SchedNodes,
    /// Reservation.
    Reservation,
    /// What there is none of here: licences, key.
    Null,
    /// Always 0.
    Zero,
    /// Sockets, cores, threads.
    Sct,
    /// Not known here.
    Empty,
}

/// Letter, names, header.
const FIELDS: &[(char, &[&str], &str, Field)] = &[
    ('A', &["jobid"], "JOBID", Field::RawId),
    ('i', &["jobarrayid"], "JOBID", Field::Id),
    ('F', &["arrayjobid"], "ARRAY_JOB_ID", Field::ArrayId),
    ('K', &["arraytaskid"], "ARRAY_TASK_ID", Field::ArrayTask),
    ('P', &["partition"], "PARTITION", Field::Partition),
    ('j', &["name"], "NAME", Field::Name),
    ('u', &["username"], "USER", Field::User),
    ('U', &["userid"], "UID", Field::Uid),
    ('T', &["state"], "STATE", Field::State),
    ('t', &["statecompact"], "ST", Field::StateShort),
    ('M', &["timeused"], "TIME", Field::Used),
    ('l', &["timelimit"], "TIME_LIMIT", Field::Limit),
    ('L', &["timeleft"], "TIME_LEFT", Field::Left),
    ('D', &["numnodes"], "NODES", Field::Nodes),
    ('R', &["reasonlist"], "NODELIST(REASON)", Field::NodesOrReason),
    ('r', &["reason"], "REASON", Field::Reason),
    ('N', &["nodelist"], "NODELIST", Field::NodeList),
    ('B', &["batchhost"], "EXEC_HOST", Field::BatchHost),
    ('C', &["numcpus"], "CPUS", Field::Cpus),
    ('\0', &["cpus-per-task", "cpuspertask"], "CPUS_PER_TASK", Field::CpusPerTask),
    ('\0', &["numtasks"], "TASKS", Field::Tasks),
    ('b', &["gres", "tres-per-node"], "TRES_PER_NODE", Field::TresPerNode),
    ('\0', &["tres-alloc", "tres"], "TRES_ALLOC", Field::Tres),
    ('Q', &["prioritylong"], "PRIORITY", Field::Priority),
    ('p', &["priority"], "PRIORITY", Field::Priority),
    ('S', &["starttime"], "START_TIME", Field::Start),
    ('e', &["endtime"], "END_TIME", Field::End),
    ('\0', &["deadline"], "DEADLINE", Field::Deadline),
    ('V', &["submittime"], "SUBMIT_TIME", Field::Submit),
    ('\0', &["eligibletime"], "ELIGIBLE_TIME", Field::Eligible),
    ('\0', &["accruetime"], "ACCRUE_TIME", Field::Eligible),
    ('\0', &["pendingtime"], "PENDING_TIME", Field::Pending),
    ('a', &["account"], "ACCOUNT", Field::Account),
    ('k', &["comment"], "COMMENT", Field::Comment),
    ('q', &["qos"], "QOS", Field::Qos),
    ('Z', &["workdir"], "WORK_DIR", Field::WorkDir),
    ('\0', &["stdout"], "STDOUT", Field::StdOut),
    ('\0', &["stderr"], "STDERR", Field::StdErr),
    ('o', &["command"], "COMMAND", Field::Null),
    ('m', &["minmemory"], "MIN_MEMORY", Field::MinMemory),
    ('f', &["feature"], "FEATURES", Field::Features),
    ('E', &["dependency"], "DEPENDENCY", Field::Dependency),
    ('y', &["nice"], "NICE", Field::Nice),
    ('\0', &["exit_code"], "EXIT_CODE", Field::Exit),
    ('\0', &["restartcnt"], "RESTART_COUNT", Field::Restarts),
    ('\0', &["requeue"], "REQUEUE", Field::Requeue),
    ('h', &["oversubscribe", "shared"], "OVER_SUBSCRIBE", Field::OverSubscribe),
    ('Y', &["schednodes"], "SCHEDNODES", Field::SchedNodes),
    ('v', &["reservation"], "RESERVATION", Field::Reservation),
    ('w', &["wckey"], "WCKEY", Field::Null),
    ('W', &["licenses"], "LICENSES", Field::Null),
    ('n', &["reqnodes"], "REQ_NODES", Field::Empty),
    ('x', &["excnodes", "exc_nodes"], "EXC_NODES", Field::Empty),
    ('c', &["mincpus"], "MIN_CPUS", Field::CpusPerTask),
    ('d', &["mintmpdisk"], "MIN_TMP_DISK", Field::Zero),
    ('O', &["contiguous"], "CONTIGUOUS", Field::Zero),
    ('s', &["selectjobinfo"], "SELECT_JOBINFO", Field::Empty),
    ('z', &["sct"], "S:C:T", Field::Sct),
    ('g', &["groupname"], "GROUP", Field::Null),
    ('G', &["groupid"], "GROUP", Field::Null),
    ('\0', &["cluster"], "CLUSTER", Field::Null),
];

/// A field by its letter.
pub fn by_letter(letter: char) -> Option<(Field, &'static str)> {
    let found = FIELDS.iter().find(|(known, _, _, _)| *known == letter && letter != '\0');
    found.map(|(_, _, header, field)| (*field, if letter == 'U' { "USER" } else { *header }))
}

/// A field by its name, in lower case.
pub fn by_name(name: &str) -> Option<(Field, &'static str)> {
    let found = FIELDS.iter().find(|(_, names, _, _)| names.contains(&name));
    found.map(|(_, _, header, field)| (*field, *header))
}

fn null(text: &str) -> String {
    if text.is_empty() { "(null)".to_owned() } else { text.to_owned() }
}

/// The reason while pending, else `None`.
pub fn reason(job: &JobView) -> String {
    match job.state {
        StateName::Pending if !job.reason.is_empty() => job.reason.clone(),
        StateName::Pending | StateName::Running | StateName::Completed => "None".to_owned(),
        _ if job.reason.is_empty() => "None".to_owned(),
        _ => job.reason.clone(),
    }
}

/// The planned or real start.
pub fn start(job: &JobView) -> Option<u64> {
    if job.state == StateName::Pending { job.promised_ms } else { job.started_ms }
}

/// GPUs for each node of the first part: `gres:gpu:h200:4`.
pub fn tres_per_node(job: &JobView) -> Option<String> {
    let part = job.parts.first().filter(|part| part.gpus > 0)?;
    let model = part.gpu_model.as_ref().map_or(String::new(), |model| format!("{model}:"));
    Some(match (&part.gpu_profile, part.gpu_shards, part.gpu_milli) {
        (Some(profile), ..) => format!("gres:gpu:{profile}:1"),
        (_, Some(shards), _) => format!("gres:shard:{model}{shards}"),
        (.., Some(milli)) => format!("gres:gpu:{model}{}", madang_model::Share::Milli(milli)),
        _ => format!("gres:gpu:{model}{}", part.gpus),
    })
}

/// A field's text.
pub fn value(field: Field, job: &JobView, now_ms: u64) -> String {
    let moment = |ms: Option<u64>| ms.map_or("N/A".to_owned(), local);
    let used = elapsed(job, now_ms);
    match field {
        Field::RawId => job.id.to_string(),
        Field::Id => display_id(job),
        Field::ArrayId => job.array.as_ref().map_or(job.id, |array| array.job).to_string(),
        Field::ArrayTask => match &job.array {
            None => "N/A".to_owned(),
            Some(array) => array.task.map_or_else(|| array.tasks.clone().unwrap_or_default(), |task| task.to_string()),
        },
        Field::Partition => job.partition.clone(),
        Field::Name => job.name.clone(),
        Field::User => job.user.clone(),
        Field::Uid => jobs::uid(&job.user).to_string(),
        Field::State => jobs::long(job.state).to_owned(),
        Field::StateShort => jobs::short(job.state).to_owned(),
        Field::Used => short_length(used),
        Field::Limit => short_length(job.limit_secs),
        Field::Left => short_length(job.limit_secs.saturating_sub(used)),
        Field::Nodes => job.nodes.to_string(),
        Field::NodesOrReason if job.node_list.is_empty() => format!("({})", reason(job)),
        Field::NodesOrReason | Field::NodeList => job.node_list.clone(),
        Field::Reason => reason(job),
        Field::BatchHost => first_node(job).unwrap_or("n/a".to_owned()),
        Field::Cpus => job.cpus.to_string(),
        Field::CpusPerTask => job.parts.first().map_or(1, |part| part.cpus_per_task).to_string(),
        Field::Tasks => job.parts.iter().map(|part| part.tasks).sum::<u32>().to_string(),
        Field::TresPerNode => tres_per_node(job).unwrap_or("N/A".to_owned()),
        Field::Tres => jobs::tres(job, TresOrder::Fixed),
        Field::Start => moment(start(job)),
        Field::End => moment(job.ends_ms.filter(|_| job.state != StateName::Pending)),
        Field::Deadline => moment(job.deadline_ms),
        Field::Submit => local(job.submitted_ms),
        Field::Eligible => moment(job.eligible_ms),
        Field::Pending => (job.started_ms.unwrap_or(now_ms).saturating_sub(job.submitted_ms) / 1000).to_string(),
        Field::Account => job.project.clone(),
        Field::Comment => null(&job.comment),
        Field::Reservation => null(&job.reservation),
        Field::Qos => jobs::qos(job).to_owned(),
        Field::WorkDir => null(&job.cwd),
        Field::StdOut => null(&job.stdout),
        Field::StdErr => null(&job.stderr),
        Field::MinMemory => mib(job.memory_mib),
        Field::Features => null(&job.parts.first().map_or(String::new(), |part| part.features.join("&"))),
        Field::Dependency => null(&job.dependency),
        Field::Nice => job.nice.to_string(),
        Field::Exit => job.exit.to_string(),
        Field::Restarts => job.attempts.saturating_sub(1).to_string(),
        Field::Requeue => u8::from(job.requeue).to_string(),
        Field::OverSubscribe => if job.parts.iter().any(|part| part.exclusive) { "NO" } else { "OK" }.to_owned(),
        Field::SchedNodes | Field::Null => "(null)".to_owned(),
        Field::Zero | Field::Priority => "0".to_owned(),
        Field::Sct => "*:*:*".to_owned(),
        Field::Empty => String::new(),
    }
}

/// The first node of a job's list.
pub fn first_node(job: &JobView) -> Option<String> {
    let nodes = madang_engine::hostlist::expand(&job.node_list).ok()?;
    nodes.into_iter().next()
}
