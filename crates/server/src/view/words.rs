//! Why a job waits, what would start it and how it ended, in Slurm's names and in sentences, English and Korean.

use madang_api::{Block, StateName};
use madang_centre::Centre;
use madang_model::{
    Blocked, Choice, Job, JobId, JobSpec, JobState, Outcome, Purpose, Request, ReservationId, Share, StopCause, Time,
};
use madang_sched::Change;
use std::collections::BTreeSet;

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

/// What the books and the shares have to say.
fn rights(why: &Blocked) -> (&'static str, String, String) {
    match why {
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
        Blocked::OwnerLimit { holds, most } => (
            "AssocGrpGRES",
            format!("its owner holds {holds} and may hold {most} now, by what it may borrow and what others lend"),
            format!(
                "소유 기관이 {holds}를 쓰고 있으며, 빌릴 수 있는 한도와 다른 기관의 대여 한도에 따라 지금은 {most}까지 쓸 수 있습니다"
            ),
        ),
        _ => ("None", String::new(), String::new()),
    }
}

/// Says of a job that waits for room which part of a GPU it needs room for.
fn with_part(block: Block, why: &Blocked, request: &Request) -> Block {
    let Some(share) = request.parts.iter().find_map(|part| part.share.as_ref()) else { return block };
    if !matches!(why, Blocked::Resources { .. } | Blocked::Domain { .. }) {
        return block;
    }
    let (kind, kind_ko) = match share {
        Share::Milli(_) => {
            ("a share of one GPU beside others, not isolated", "다른 작업과 함께 쓰는 GPU 일부, 격리 없음")
        }
        Share::Slice(_) => ("a slice of one GPU, isolated by the hardware", "하드웨어로 격리된 GPU 조각"),
    };
    let text = format!("{}; it asks for {share}, {kind}", block.text);
    let text_ko = format!("{} ({share}: {kind_ko})", block.text_ko);
    Block { text, text_ko, ..block }
}

/// A reason in Slurm's name and in two languages.
///
/// `own` is the reservation that the job names, if it does.
pub fn block(why: &Blocked, centre: &Centre, own: Option<ReservationId>, now_text: &dyn Fn(u64) -> String) -> Block {
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
        Blocked::Budget { .. } | Blocked::NoAward | Blocked::OwnerLimit { .. } => rights(why),
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
        Blocked::Reserved { by, from } => return reserved(centre, own, *by, *from, now_text),
        Blocked::ReservationOver { .. } => (
            "ReservationDeleted",
            "the reservation that it names is over or was cancelled".into(),
            "지정한 예약이 끝났거나 취소되었습니다".into(),
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

/// The same, saying since when which of the job's sites have been silent, where that is why nodes are missing.
pub fn silence(block: Block, why: &Blocked, centre: &Centre, spec: &JobSpec) -> Block {
    let Blocked::NodesUnavailable = why else { return block };
    let lost = spec.request.sites.iter().filter_map(|site| centre.lost(*site));
    let said: BTreeSet<&str> = lost.filter(|lost| !lost.by_operator).map(|lost| lost.why.as_str()).collect();
    said.into_iter().fold(block, |block, said| Block {
        text: format!("{}; {said}", block.text),
        text_ko: format!("{} ({said})", block.text_ko),
        ..block
    })
}

/// The same, naming what the job would take where it is short of nodes and leaves a choice, or asks for a part of a GPU.
pub fn naming(block: Block, why: &Blocked, spec: &JobSpec) -> Block {
    let block = with_part(block, why, &spec.request);
    let choices = spec.request.parts.iter().flat_map(|part| part.model.iter().chain(&part.features));
    let named: Vec<&Choice> = choices.filter(|choice| choice.words().len() > 1).collect();
    if block.reason != "Resources" || named.is_empty() {
        return block;
    }
    let english: Vec<String> = named.iter().map(|choice| choice.to_string()).collect();
    let korean: Vec<String> = named.iter().map(|choice| choice.words().join(" 또는 ")).collect();
    Block {
        text: format!("{}; it would take {}", block.text, english.join(", and ")),
        text_ko: format!("{} ({}이면 됩니다)", block.text_ko, korean.join(", ")),
        ..block
    }
}

/// By how much a job that starts only then misses its deadline, English and Korean; `None` for in time.
pub fn will_be_late(job: &Job, start: Time) -> Option<(String, String)> {
    let last = job.last_start().filter(|last| start > *last)?;
    let late = start.since(last);
    let english = format!(
        "it will miss its deadline by {late} if nothing changes; it is removed when it no longer can end in time"
    );
    Some((english, format!("이대로면 마감을 {late} 넘깁니다. 제때 끝날 수 없게 되는 순간 대기열에서 제거됩니다")))
}

/// A window in the way: of maintenance, of others, of a cap, or of its own reservation that has to be waited for.
fn reserved(
    centre: &Centre,
    own: Option<ReservationId>,
    by: ReservationId,
    from: Time,
    now_text: &dyn Fn(u64) -> String,
) -> Block {
    let known = centre.reservation(by);
    let name = known.map_or_else(|| by.to_string(), |known| known.name.clone());
    let begun = from <= centre.now();
    let until = known.and_then(|known| known.next(centre.now())).map_or(from, |window| window.until);
    let moment = now_text(if begun { until.millis() } else { from.millis() });
    let (reason, text, text_ko) = match known.map(|known| &known.purpose) {
        _ if own == Some(by) && begun => (
            "Reservation",
            format!("its limit does not fit into what is left of its reservation {name}, which ends at {moment}"),
            format!("예약 {name}의 남은 시간({moment}까지)에 제한 시간이 들어가지 않습니다"),
        ),
        _ if own == Some(by) => (
            "Reservation",
            format!("it waits for its reservation {name}, which begins at {moment}"),
            format!("{moment}에 시작하는 예약 {name}을(를) 기다립니다"),
        ),
        Some(Purpose::Cap { .. }) if begun => (
            "PowerNotAvail",
            format!("with what is in use it would exceed cap {name}, which lasts until {moment}"),
            format!("지금 사용량에 더하면 {moment}까지 적용되는 상한 {name}을(를) 넘습니다"),
        ),
        Some(Purpose::Cap { .. }) => (
            "PowerReserved",
            format!("its limit would last into cap {name}, which begins at {moment}, and exceed it"),
            format!("{moment}에 시작하는 상한 {name}을(를) 넘게 됩니다"),
        ),
        Some(Purpose::Projects { .. }) if begun => (
            "ReqNodeNotAvail, May be reserved for other job",
            format!("nodes that it could use are kept for reservation {name} until {moment}"),
            format!("쓸 수 있는 노드가 {moment}까지 예약 {name}에 쓰입니다"),
        ),
        Some(Purpose::Projects { .. }) => (
            "ReqNodeNotAvail, May be reserved for other job",
            format!("its limit would cross the begin of reservation {name} at {moment}"),
            format!("제한 시간이 {moment}에 시작하는 예약 {name}과(와) 겹칩니다"),
        ),
        _ if begun => (
            "ReqNodeNotAvail, Reserved for maintenance",
            format!("nodes that it could use are in maintenance {name} until {moment}"),
            format!("쓸 수 있는 노드가 {moment}까지 점검 {name} 중입니다"),
        ),
        _ => (
            "ReqNodeNotAvail, Reserved for maintenance",
            format!("its limit would cross maintenance {name} at {moment}"),
            format!("제한 시간이 {moment}에 시작하는 점검 {name}과(와) 겹칩니다"),
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
        Outcome::Preempted => StateName::Preempted,
        Outcome::Deadline => StateName::Deadline,
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
        Outcome::Deadline => ("DeadLine", "its deadline ended it".into()),
        Outcome::Preempted => (
            "None",
            "its nodes were taken back for another job; what it lost since its last checkpoint is not charged".into(),
        ),
    }
}

/// The sentence for a job that its deadline took out of the queue.
pub fn removed_by_deadline() -> String {
    "it was removed because it could no longer end by its deadline; what never ran is not charged".into()
}

/// Slurm's reason and a sentence for a stop under way.
pub fn stop_reason(cause: StopCause, of: JobId) -> (String, String) {
    if let StopCause::Preempted { by, .. } = cause {
        if by == of {
            return ("None".into(), "it is leaving its nodes at a checkpoint, to go on with more of them".into());
        }
        let text = format!("it is leaving its nodes, which are taken back for {by}");
        return (format!("Preempted for job {}", by.number()), text);
    }
    let (reason, text) = match cause {
        StopCause::Cancelled => ("None", "it was cancelled and is leaving its nodes"),
        StopCause::Limit => ("TimeLimit", "it reached its limit and is leaving its nodes"),
        StopCause::Requeue => ("None", "it is leaving its nodes to run again"),
        StopCause::Moved { .. } => ("None", "it is leaving its nodes to go on in a place that is kept for it"),
        StopCause::NodeLost => ("NodeDown", "a node it ran on was lost"),
        StopCause::Preempted { .. } | StopCause::Stale => ("None", "it is being ended"),
    };
    (reason.into(), text.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use madang_model::{JobId, Span};

    #[test]
    fn a_run_that_makes_room_says_for_whom() {
        let (reason, text) =
            stop_reason(StopCause::Preempted { by: JobId::new(42), grace: Span::from_mins(2) }, JobId::new(7));
        assert_eq!(reason, "Preempted for job 42");
        assert!(text.ends_with("taken back for job-42"), "{text}");
        assert_eq!(stop_reason(StopCause::Limit, JobId::new(7)).0, "TimeLimit");
    }
}
