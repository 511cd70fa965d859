//! Why a job waits, what would start it and how it ended, in Slurm's names and in sentences, English and Korean.

use madang_api::{Block, StateName};
use madang_model::{Blocked, JobState, Outcome, StopCause};
use madang_sched::Change;

/// Why a gang that must stay together waits: its level is named as the centre file names it.
fn domain(why: &Blocked) -> (&'static str, String, String) {
    let Blocked::Domain { level, segment, fitting, wanted } = why else {
        return ("None", String::new(), String::new());
    };
    let (name, name_ko) = (level.as_deref().unwrap_or("domain"), level.as_deref().unwrap_or("도메인"));
    match segment {
        None => (
            "Resources",
            format!("no {name} has {wanted} free nodes for it; the best has {fitting}"),
            format!("한 {name_ko} 안에 노드 {wanted}개가 필요하지만 가장 나은 곳에 {fitting}개가 있습니다"),
        ),
        Some(nodes) => (
            "Resources",
            format!("there is room for {fitting} of its {wanted} segments of {nodes} nodes, each in one {name}"),
            format!("한 {name_ko} 안에 놓일 노드 {nodes}개짜리 묶음 {wanted}개 가운데 {fitting}개를 놓을 수 있습니다"),
        ),
    }
}

/// A reason in Slurm's name and in two languages.
pub fn block(why: &Blocked, now_text: &dyn Fn(u64) -> String) -> Block {
    let (reason, text, text_ko) = match why {
        Blocked::Fresh => {
            ("None", "the scheduler has not looked at it yet".into(), "아직 스케줄러가 살펴보지 않았습니다".into())
        }
        Blocked::Resources { fitting, wanted } => (
            "Resources",
            format!("{fitting} of the {wanted} nodes it asks for could hold a part of it now"),
            format!("필요한 노드 {wanted}개 중 지금 쓸 수 있는 노드는 {fitting}개입니다"),
        ),
        Blocked::Domain { .. } => domain(why),
        Blocked::Priority { behind: Some(job) } => (
            "Priority",
            format!("it must not delay {job}, which comes first and has a promised start"),
            format!("먼저 시작하기로 약속된 {job}을(를) 늦출 수 없습니다"),
        ),
        Blocked::Priority { behind: None } => (
            "Priority",
            "others of equal or higher rank come first".into(),
            "순위가 같거나 높은 작업이 먼저입니다".into(),
        ),
        Blocked::Budget { needs, left } => (
            "AssocGrpGRESMinutes",
            format!("it would hold {needs}, the project's awards have {left} left"),
            format!("{} GPU시간이 필요하지만 과제에 남은 배정량은 {} GPU시간입니다", hours(*needs), hours(*left)),
        ),
        Blocked::NoAward => (
            "AssocGrpGRESMinutes",
            "no award of the project covers the present".into(),
            "지금 쓸 수 있는 과제 배정이 없습니다".into(),
        ),
        Blocked::Never => (
            "BadConstraints",
            "no set of nodes of the estate could ever hold it".into(),
            "이 요청을 담을 수 있는 노드가 센터에 없습니다".into(),
        ),
        Blocked::NodesUnavailable => (
            "ReqNodeNotAvail",
            "enough nodes exist, but too many of them are drained or down".into(),
            "노드는 충분하지만 점검 중이거나 멈춘 노드가 많습니다".into(),
        ),
        Blocked::Dependency { on } => ("Dependency", format!("it waits for {on}"), format!("{on}을(를) 기다립니다")),
        Blocked::DependencyNever { on } => (
            "DependencyNeverSatisfied",
            format!("it waits for {on}, which ended otherwise"),
            format!("{on}이(가) 다르게 끝나 조건을 채울 수 없습니다"),
        ),
        Blocked::Begin { at } => {
            let moment = now_text(at.millis());
            ("BeginTime", format!("it is not to begin before {moment}"), format!("{moment} 이후에 시작합니다"))
        }
        Blocked::Held => (
            "JobHeldUser",
            "it is held; release it to let it queue".into(),
            "보류 중입니다. 보류를 풀면 대기열에 들어갑니다".into(),
        ),
        Blocked::ArrayLimit => (
            "JobArrayTaskLimit",
            "as many tasks of its array run as its %limit allows".into(),
            "배열의 동시 실행 한도에 이르렀습니다".into(),
        ),
    };
    Block { reason: reason.into(), text, text_ko }
}

fn hours(time: madang_model::GpuTime) -> String {
    let text = time.to_string();
    text.strip_suffix(" GPU-hours").unwrap_or(&text).to_owned()
}

/// A change that would start a job, English and Korean.
pub fn change(change: Change) -> (String, String) {
    match change {
        Change::Limit(limit) => (
            format!("with a limit of at most {limit} it would start now"),
            format!("제한 시간을 {limit} 이하로 줄이면 지금 시작합니다"),
        ),
        Change::Nodes(nodes) => (
            format!("with {nodes} {} it would start now", if nodes == 1 { "node" } else { "nodes" }),
            format!("노드 {nodes}개로 줄이면 지금 시작합니다"),
        ),
        Change::Gpus(gpus) => (
            format!("with {gpus} {} on each node it would start now", if gpus == 1 { "GPU" } else { "GPUs" }),
            format!("노드당 GPU를 {gpus}개로 줄이면 지금 시작합니다"),
        ),
        Change::AcrossIslands => (
            "if it may span islands it would start now".into(),
            "여러 아일랜드에 걸치는 것을 허용하면 지금 시작합니다".into(),
        ),
    }
}

/// A state's name, as Slurm has it.
pub fn state(state: &JobState) -> StateName {
    match state {
        JobState::Pending { .. } => StateName::Pending,
        JobState::Starting { .. } => StateName::Configuring,
        JobState::Running { .. } => StateName::Running,
        JobState::Completing { .. } => StateName::Completing,
        JobState::Ended { outcome, .. } => self::outcome(*outcome),
    }
}

/// The name of an end.
pub fn outcome(outcome: Outcome) -> StateName {
    match outcome {
        Outcome::Completed => StateName::Completed,
        Outcome::Failed { .. } => StateName::Failed,
        Outcome::TimedOut => StateName::Timeout,
        Outcome::Cancelled => StateName::Cancelled,
        Outcome::NodeFailed => StateName::NodeFail,
        Outcome::OutOfMemory => StateName::OutOfMemory,
        Outcome::LaunchFailed => StateName::BootFail,
        Outcome::Requeued => StateName::Requeued,
    }
}

/// Exit code and signal of an end.
pub fn exit(outcome: Outcome) -> (i32, i32) {
    match outcome {
        Outcome::Failed { exit, signal } => (exit, signal),
        _ => (0, 0),
    }
}

/// Slurm's reason and a sentence for an end.
pub fn end_reason(outcome: Outcome) -> (&'static str, String) {
    match outcome {
        Outcome::Completed => ("None", "it ended with exit code 0".into()),
        Outcome::Failed { exit, signal: 0 } => ("NonZeroExitCode", format!("it ended with exit code {exit}")),
        Outcome::Failed { signal, .. } => ("RaisedSignal", format!("signal {signal} ended it")),
        Outcome::TimedOut => ("TimeLimit", "it reached its limit".into()),
        Outcome::Cancelled => ("None", "it was cancelled".into()),
        Outcome::NodeFailed => ("NodeDown", "a node it ran on was lost; its hours are given back".into()),
        Outcome::OutOfMemory => ("OutOfMemory", "it needed more memory than it held".into()),
        Outcome::LaunchFailed => ("JobLaunchFailure", "its engine could not start it; its hours are given back".into()),
        Outcome::Requeued => ("None", "it was ended to run again".into()),
    }
}

/// Slurm's reason and a sentence for a stop under way.
pub fn stop_reason(cause: StopCause) -> (&'static str, &'static str) {
    match cause {
        StopCause::Cancelled => ("None", "it was cancelled and is leaving its nodes"),
        StopCause::Limit => ("TimeLimit", "it reached its limit and is leaving its nodes"),
        StopCause::Requeue => ("None", "it is leaving its nodes to run again"),
        StopCause::NodeLost => ("NodeDown", "a node it ran on was lost"),
        StopCause::Stale => ("None", "it is being ended"),
    }
}
