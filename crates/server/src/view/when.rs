//! When a job starts, in words: its promise, and the present state run forward on limits and on expected lengths.
use madang_api::{Estimate, EstimateOn, When};
use madang_model::{JobId, Time};
use madang_sched::{Forecast, Lasting, Scheduler};

/// What each estimate leans on, English and Korean.
const PROMISE: (&str, &str) = (
    "a start time was promised; other work may fill the gap before it but not delay it",
    "시작 시각이 약속되었습니다. 다른 작업이 이를 늦출 수 없습니다",
);
const LIMITS: (&str, &str) = (
    "if every run lasts to its limit, nothing else is submitted and nothing is taken back",
    "모든 작업이 제한 시간까지 실행되고, 새 작업이나 회수가 없을 때의 예상입니다",
);
const PREDICTED: (&str, &str) = (
    "if runs last as long as their owners' like jobs did, nothing else is submitted and nothing is taken back",
    "작업들이 같은 사용자의 비슷한 작업만큼 실행되고, 새 작업이나 회수가 없을 때의 예상입니다",
);
const NOT_BY: (&str, &str) = (
    "it has not started by then, which is as far as it is looked ahead",
    "이 시각까지는 시작하지 않으며, 그 뒤는 예측하지 않습니다",
);
const NEVER: (&str, &str) = (
    "it waits for something that no end of a run brings",
    "다른 작업이 끝나도 시작할 수 없는 이유로 기다리고 있습니다",
);
const ELSEWHERE: (&str, &str) = (
    "nothing can be forecast: it does not compete for capacity yet",
    "예상할 수 없습니다. 아직 자원을 기다리는 단계가 아닙니다",
);

/// What can be said of a job that waits in this scheduler: a copy, so that nobody waits for the answer.
pub fn of_waiting(sched: &Scheduler, now: Time, id: JobId) -> When {
    let promised = sched.promise(id).map(|promise| promise.start);
    let forecast = |lasting| sched.forecast(now, id, lasting);
    let (limits, predicted) = (forecast(Lasting::Limits), forecast(Lasting::Expected));
    let promise = promised.map(|start| estimate(EstimateOn::Promise, Some(Forecast::Starts(start)), PROMISE));
    let (on_limits, on_predicted) =
        (estimate(EstimateOn::Limits, limits, LIMITS), estimate(EstimateOn::Predicted, predicted, PREDICTED));
    let (basis, basis_ko) = (on_limits.text.clone(), on_limits.text_ko.clone());
    When {
        job: id.number(),
        promised_ms: promised.map(Time::millis),
        forecast_ms: on_limits.start_ms,
        basis,
        basis_ko,
        expected_secs: sched.expected(id).map(madang_model::Span::secs),
        estimates: promise.into_iter().chain([on_limits, on_predicted]).collect(),
    }
}

/// What is said of a job that does not wait.
pub fn of_other(id: JobId) -> When {
    When {
        job: id.number(),
        promised_ms: None,
        forecast_ms: None,
        basis: "it does not wait".into(),
        basis_ko: "기다리는 작업이 아닙니다".into(),
        expected_secs: None,
        estimates: Vec::new(),
    }
}

fn estimate(on: EstimateOn, forecast: Option<Forecast>, leans_on: (&str, &str)) -> Estimate {
    let (start, not_by, (text, text_ko)) = match forecast {
        Some(Forecast::Starts(at)) => (Some(at), None, leans_on),
        Some(Forecast::NotBy(at)) => (None, Some(at), NOT_BY),
        Some(Forecast::Never) => (None, None, NEVER),
        None => (None, None, ELSEWHERE),
    };
    let (start_ms, not_by_ms) = (start.map(Time::millis), not_by.map(Time::millis));
    Estimate { on, start_ms, not_by_ms, text: text.into(), text_ko: text_ko.into() }
}
