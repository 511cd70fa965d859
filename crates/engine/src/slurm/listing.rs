//! What Slurm says of its jobs and nodes, read from the text of its commands.
//!
//! Formats that Slurm 22.05 and current releases share; what is not understood of a line is left out, never guessed.
use crate::hostlist;
use madang_model::Time;

/// What `squeue` is asked for. The name goes last: it alone may hold any character.
pub(crate) const JOBS: [&str; 5] = ["-h", "-a", "-t", "all", "-o%i|%T|%r|%u|%S|%e|%N|%j"];

/// What `scontrol` is asked for.
pub(crate) const NODES: [&str; 3] = ["-o", "show", "node"];

/// A job by Slurm's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JobLine {
    pub id: String,
    pub state: JobWord,
    pub reason: String,
    pub user: String,
    /// When it ended, where it has.
    pub end: Option<Time>,
    /// The nodes that it is on.
    pub nodes: Vec<String>,
    pub name: String,
}

/// A job's state, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobWord {
    /// Not on any node yet.
    Pending,
    /// On its nodes.
    Active,
    /// Ending, maybe still on its nodes.
    Completing,
    /// Over.
    Over(OverWord),
}

/// How a job was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OverWord {
    Completed,
    Failed,
    Cancelled,
    Timeout,
    NodeFail,
    Preempted,
    OutOfMemory,
}

impl JobLine {
    /// A line of `squeue`; `None` for one that is none.
    pub fn parse(line: &str) -> Option<JobLine> {
        let fields: Vec<&str> = line.splitn(8, '|').collect();
        let [id, state, reason, user, _, end, nodes, name] = fields[..] else { return None };
        Some(JobLine {
            id: id.to_owned(),
            state: job_word(state)?,
            reason: reason.to_owned(),
            user: user.to_owned(),
            end: end.parse().ok().map(|secs: u64| Time::from_millis(secs.saturating_mul(1000))),
            nodes: hostlist::expand(nodes).unwrap_or_default(),
            name: name.to_owned(),
        })
    }

    /// True while it holds something of its nodes.
    pub fn is_on_nodes(&self) -> bool {
        matches!(self.state, JobWord::Active | JobWord::Completing)
    }
}

fn job_word(state: &str) -> Option<JobWord> {
    Some(match state {
        "PENDING" | "REQUEUED" | "REQUEUE_HOLD" | "REQUEUE_FED" | "SPECIAL_EXIT" | "RESV_DEL_HOLD" => JobWord::Pending,
        "RUNNING" | "SUSPENDED" | "CONFIGURING" | "STOPPED" | "SIGNALING" | "STAGE_OUT" | "RESIZING" => JobWord::Active,
        "COMPLETING" => JobWord::Completing,
        "COMPLETED" => JobWord::Over(OverWord::Completed),
        "FAILED" | "LAUNCH_FAILED" | "RECONFIG_FAIL" => JobWord::Over(OverWord::Failed),
        "CANCELLED" | "REVOKED" => JobWord::Over(OverWord::Cancelled),
        "TIMEOUT" | "DEADLINE" => JobWord::Over(OverWord::Timeout),
        "NODE_FAIL" | "BOOT_FAIL" => JobWord::Over(OverWord::NodeFail),
        "PREEMPTED" => JobWord::Over(OverWord::Preempted),
        "OUT_OF_MEMORY" => JobWord::Over(OverWord::OutOfMemory),
        _ => return None,
    })
}

/// A node by Slurm's word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NodeLine {
    pub name: String,
    pub cpus: u32,
    pub memory_mib: u64,
    pub gpus: u32,
    /// Their types, one for each kind; empty for one that has none.
    pub models: Vec<String>,
    /// What jobs may ask of it by name.
    pub features: Vec<String>,
    /// The base state and its flags, in capitals.
    pub state: Vec<String>,
    /// True when it does not answer.
    pub is_silent: bool,
    pub reason: String,
    pub partitions: Vec<String>,
}

impl NodeLine {
    /// A line of `scontrol -o show node`; `None` for one that is none.
    pub fn parse(line: &str) -> Option<NodeLine> {
        let field = |name: &str| field(line, name);
        let state = field("State")?;
        let words = state.split('+').map(|word| word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric()));
        let partitions = field("Partitions").unwrap_or_default();
        // Memory that Slurm keeps for the system.
        let kept = field("MemSpecLimit").and_then(|kept| kept.parse().ok()).unwrap_or(0);
        Some(NodeLine {
            name: line.strip_prefix("NodeName=")?.split(' ').next()?.to_owned(),
            cpus: field("CPUEfctv").or(field("CPUTot"))?.parse().ok()?,
            memory_mib: field("RealMemory")?.parse::<u64>().ok()?.saturating_sub(kept),
            gpus: gpus(field("Gres").unwrap_or_default()),
            models: models(field("Gres").unwrap_or_default()),
            features: list(field("AvailableFeatures").unwrap_or_default()),
            is_silent: state.contains('*') || state.contains("NOT_RESPONDING"),
            state: words.map(str::to_owned).collect(),
            reason: reason(line),
            partitions: list(partitions),
        })
    }

    /// True when this is its state, or one of its flags.
    pub fn is(&self, word: &str) -> bool {
        self.state.iter().any(|own| own == word)
    }
}

fn list(text: &str) -> Vec<String> {
    text.split(',').filter(|name| !name.is_empty() && *name != "(null)").map(str::to_owned).collect()
}

fn field<'l>(line: &'l str, name: &str) -> Option<&'l str> {
    let (_, rest) = line.split_once(&format!(" {name}="))?;
    Some(rest.split(' ').next().unwrap_or_default())
}

/// Why somebody drained it, or Slurm: the one value with blanks. Who and when follow in brackets.
fn reason(line: &str) -> String {
    let Some((_, rest)) = line.split_once(" Reason=") else { return String::new() };
    let rest = rest.split(" [").next().unwrap_or_default();
    let text: String = rest.chars().filter(|c| !c.is_control()).take(120).collect();
    text.trim().to_owned()
}

/// How many GPUs a node's `Gres` has: `gpu:8`, `gpu:h200:8(S:0-1)`, among others.
fn gpus(gres: &str) -> u32 {
    let count = |one: &str| {
        let one = one.split('(').next().unwrap_or_default();
        let mut parts = one.split(':');
        if parts.next() != Some("gpu") { 0 } else { parts.next_back().map_or(1, |last| last.parse().unwrap_or(1)) }
    };
    // A comma within brackets separates sockets, not resources; what follows it then begins with a digit.
    gres.split(',').map(count).sum()
}

/// The types of a node's GPUs.
fn models(gres: &str) -> Vec<String> {
    let model = |one: &str| {
        let one = one.split('(').next().unwrap_or_default();
        let mut parts = one.split(':');
        (parts.next() == Some("gpu")).then(|| {
            let middle = parts.next().filter(|_| parts.next().is_some());
            middle.unwrap_or_default().to_owned()
        })
    };
    gres.split(',').filter_map(model).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn jobs_are_read() {
        let lines = "\
52|RUNNING|None|root|1764100000|1764103600|n[1-2]|madang-0a0b0c0d-job-7.1
7_[1-4%2]|PENDING|Resources|kim|N/A|N/A||a|b
53|COMPLETED|None|root|1764100000|1764100001|n3|x
54|SOMETHING_NEW|None|root|N/A|N/A||x
no line of squeue";
        let read: Vec<String> = lines
            .lines()
            .filter_map(JobLine::parse)
            .map(|job| format!("{} {:?} {} {:?} {:?} {}\n", job.id, job.state, job.user, job.end, job.nodes, job.name))
            .collect();
        expect![[r#"
            52 Active root Some(@1764103600000) ["n1", "n2"] madang-0a0b0c0d-job-7.1
            7_[1-4%2] Pending kim None [] a|b
            53 Over(Completed) root Some(@1764100001000) ["n3"] x
        "#]]
        .assert_eq(&read.concat());
    }

    #[test]
    fn nodes_are_read() {
        let lines = "\
NodeName=n1 Arch=x86_64 CPUAlloc=0 CPUEfctv=30 CPUTot=32 CPULoad=0.00 Gres=gpu:8 OS=Linux 6.1 (Debian) RealMemory=256000 State=IDLE+DRAIN ThreadsPerCore=1 Partitions=gpu,debug BootTime=None Reason=bad fan [root@2026-11-25T18:00:00]
NodeName=n2 CPUTot=32 Gres=gpu:h200:4(S:0,1),gpu:a100:2,tmp:9 RealMemory=1000 State=DOWN* Partitions=gpu Reason=Not responding [slurm@x] Comment=x
NodeName=n3 CPUTot=4 Gres=(null) RealMemory=1 State=MIXED+PLANNED";
        let read: Vec<String> = lines
            .lines()
            .filter_map(NodeLine::parse)
            .map(|node| {
                let NodeLine { name, cpus, memory_mib, gpus, models, state, is_silent, reason, partitions, .. } = node;
                format!(
                    "{name} {cpus} {memory_mib} {gpus} {models:?} {state:?} {is_silent} {reason:?} {partitions:?}\n"
                )
            })
            .collect();
        expect![[r#"
            n1 30 256000 8 [""] ["IDLE", "DRAIN"] false "bad fan" ["gpu", "debug"]
            n2 32 1000 6 ["h200", "a100"] ["DOWN"] true "Not responding" ["gpu"]
            n3 4 1 0 [] ["MIXED", "PLANNED"] false "" []
        "#]]
        .assert_eq(&read.concat());
    }
}
