//! Operations on one job, array or task.

use super::answer::{Ask, SMALL, body, json};
use super::guard::{Caller, JobRef, Object};
use super::{App, blocking};
use crate::convert;
use crate::fault::Fault;
use crate::trouble::Trouble;
use crate::view::job::{Detail, moment};
use crate::view::{self, when, words};
use axum::Extension;
use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use madang_agent::output::{self, Piece};
use madang_api::{Alter, Changed, FinishSpec, JobView, LogPiece, SignalSpec, When, Why};
use madang_centre::{Alteration, ArrayRecord, Centre, Input, Reply, Target};
use madang_model::{EngineKind, Job, JobId, JobState, Span};
use serde::Deserialize;
use std::sync::Arc;

/// Bytes of a log's piece that names no number, and the most.
const PIECE: u64 = 256 << 10;
const MOST_PIECE: u64 = 1 << 20;

fn job_of(object: Object) -> Result<JobRef, Fault> {
    match object {
        Object::Job(job) => Ok(job),
        Object::Project(_) => Err(Fault::internal()),
    }
}

/// What a reference turns out to be.
enum Found<'a> {
    Job(&'a Job),
    /// All of an array's tasks that are not jobs yet.
    Rest(&'a ArrayRecord),
    /// One of them, by its order.
    Task(&'a ArrayRecord, u32),
}

/// An array's id means its tasks that wait, then its first live task, then the last.
fn find<'a>(centre: &'a Centre, job: &'a JobRef) -> Option<Found<'a>> {
    if let Some(past) = &job.past {
        return Some(Found::Job(past));
    }
    let target = job.target;
    let Some(record) = centre.array(target.job) else { return centre.job(target.job).map(Found::Job) };
    match target.task {
        Some(task) => {
            let order = record.order_of(task)?;
            let live = centre.job(record.job_at(order)).map(Found::Job);
            live.or_else(|| (order >= record.first_waiting).then_some(Found::Task(record, order)))
        }
        None if record.waiting() > 0 => Some(Found::Rest(record)),
        None => {
            let tasks = || centre.jobs_from(record.id).take_while(|job| job.id <= record.job_at(record.count));
            let live = tasks().find(|job| !words::state(&job.state).is_over());
            live.or_else(|| tasks().last()).map(Found::Job)
        }
    }
}

fn view(app: &App, job: &JobRef) -> Result<Option<JobView>, Trouble> {
    let (view, id) = {
        let centre = app.centre();
        let look = app.look(&centre);
        match find(&centre, job) {
            Some(Found::Job(job)) => (look.job(job, app.brief(&job.spec).as_deref(), "", Detail::Full), job.id),
            Some(Found::Rest(record)) => return Ok(look.array(record, app.brief(&record.spec).as_deref())),
            Some(Found::Task(record, order)) => {
                return Ok(Some(look.task(record, order, app.brief(&record.spec).as_deref())));
            }
            None => return Ok(None),
        }
    };
    with_note(app, view, id).map(Some)
}

fn with_note(app: &App, mut view: JobView, id: JobId) -> Result<JobView, Trouble> {
    if view.state.is_over()
        && let Some(note) = app.readers.note(id)?.filter(|note| !note.is_empty())
    {
        view.reason_text = format!("{}: {note}", view.reason_text);
    }
    Ok(view)
}

async fn shown(app: &Arc<App>, job: JobRef) -> Result<JobView, Fault> {
    let (app, target) = (Arc::clone(app), job.target);
    let found = blocking(move || view(&app, &job)).await?;
    found.ok_or_else(|| Fault::not_found(format!("job {}", target.job)))
}

pub(super) async fn show(State(app): State<Arc<App>>, Extension(object): Extension<Object>) -> Result<Response, Fault> {
    shown(&app, job_of(object)?).await.map(|view| json(&view))
}

/// Hands a change of a job to the core, made of the target.
async fn change(
    app: &App,
    caller: &Caller,
    job: JobRef,
    input: impl FnOnce(Target) -> Input,
) -> Result<Response, Fault> {
    if job.past.is_some() {
        let fact = format!("job {} is over", job.target.job.number());
        return Err(Fault::new(409, "wrong_state", fact));
    }
    let input = input(job.target);
    let jobs = match app.ask(&caller.name, None, input, None).await? {
        Reply::Jobs(jobs) => jobs,
        _ => 1,
    };
    Ok(json(&Changed { jobs }))
}

pub(super) async fn cancel(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Extension(object): Extension<Object>,
) -> Result<Response, Fault> {
    change(&app, &caller, job_of(object)?, |job| Input::Cancel { job }).await
}

pub(super) async fn hold(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Extension(object): Extension<Object>,
) -> Result<Response, Fault> {
    change(&app, &caller, job_of(object)?, |job| Input::Hold { job }).await
}

pub(super) async fn release(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Extension(object): Extension<Object>,
) -> Result<Response, Fault> {
    change(&app, &caller, job_of(object)?, |job| Input::Release { job }).await
}

pub(super) async fn requeue(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Extension(object): Extension<Object>,
) -> Result<Response, Fault> {
    change(&app, &caller, job_of(object)?, |job| Input::Requeue { job }).await
}

pub(super) async fn signal(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Extension(object): Extension<Object>,
    request: Request,
) -> Result<Response, Fault> {
    let SignalSpec { signal, shell } = body(request, SMALL).await?;
    let signal = convert::signal_number("signal", signal)?;
    change(&app, &caller, job_of(object)?, |job| Input::Signal { job, signal, shell }).await
}

pub(super) async fn checkpoint(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Extension(object): Extension<Object>,
    Ask(saved): Ask<Saved>,
) -> Result<Response, Fault> {
    let job = job_of(object)?;
    let took = saved.took_secs.map(took).transpose()?;
    if !caller.is_operator() && !is_own(&app.centre(), &job, &caller.name) {
        let fact = format!("job {} is not yours: a checkpoint decides what it is charged", job.target.job.number());
        return Err(Fault::forbidden(fact));
    }
    change(&app, &caller, job, |job| Input::Checkpoint { job, took }).await
}

/// What a checkpoint is said to have cost.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Saved {
    took_secs: Option<u64>,
}

fn took(secs: u64) -> Result<Span, Fault> {
    const MOST: u64 = 86_400;
    match secs {
        1..=MOST => Ok(Span::from_secs(secs)),
        _ => Err(Fault::invalid("took_secs", format!("is {secs}, from 1 to {MOST}"))),
    }
}

/// True if the user submitted the job, or the array that it is of.
fn is_own(centre: &Centre, job: &JobRef, user: &str) -> bool {
    let spec = match find(centre, job) {
        Some(Found::Job(job)) => &job.spec,
        Some(Found::Rest(record) | Found::Task(record, _)) => &record.spec,
        None => return false,
    };
    centre.user_by_id(spec.user).name == user
}

pub(super) async fn finish(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Extension(object): Extension<Object>,
    request: Request,
) -> Result<Response, Fault> {
    let FinishSpec { exit } = body(request, SMALL).await?;
    change(&app, &caller, job_of(object)?, |job| Input::Finish { job, exit }).await
}

pub(super) async fn alter(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Extension(object): Extension<Object>,
    request: Request,
) -> Result<Response, Fault> {
    let alter: Alter = body(request, SMALL).await?;
    let job = job_of(object)?;
    let limit = alter.limit_secs.map(convert::limit).transpose()?;
    if let Some(limit) = limit.filter(|limit| !caller.is_operator() && lengthens(&app.centre(), &job, *limit)) {
        return Err(Fault::forbidden(format!("a running job gets the longer limit {limit} only from an operator")));
    }
    convert::text("name", alter.name.as_deref().unwrap_or_default(), 1_024)?;
    convert::text("comment", alter.comment.as_deref().unwrap_or_default(), 4_096)?;
    let change_to = Alteration {
        limit,
        qos: alter.qos.map(convert::qos),
        nice: alter.nice.map(|nice| convert::nice(nice, caller.is_operator())).transpose()?,
        name: alter.name,
        comment: alter.comment,
    };
    change(&app, &caller, job, |job| Input::Alter { job, change: change_to }).await
}

/// True when a run that has left would get more time than it was given.
fn lengthens(centre: &Centre, job: &JobRef, limit: Span) -> bool {
    let jobs = centre.resolve(job.target);
    let live = jobs.iter().filter_map(|id| centre.job(*id));
    live.filter(|job| !matches!(job.state, JobState::Pending { .. })).any(|job| limit > job.limit())
}

pub(super) async fn why(State(app): State<Arc<App>>, Extension(object): Extension<Object>) -> Result<Response, Fault> {
    let job = job_of(object)?;
    let target = job.target;
    let why = blocking(move || Ok(explain(&app, &job))).await?;
    why.map(|why| json(&why)).ok_or_else(|| Fault::not_found(format!("job {}", target.job)))
}

fn explain(app: &App, job: &JobRef) -> Option<Why> {
    let centre = app.centre();
    let id = match find(&centre, job)? {
        Found::Job(job) => job.id,
        Found::Rest(record) | Found::Task(record, _) => record.id,
    };
    let mut why = Why {
        job: id.number(),
        blocks: Vec::new(),
        ahead: 0,
        promised_ms: None,
        promised_nodes: String::new(),
        warning: None,
        warning_ko: None,
        expected_secs: None,
        sites: Vec::new(),
        change: None,
        change_ko: None,
    };
    if let Some(job) = centre.job(id) {
        why.sites = view::sites::standings(&centre, &app.estate, job);
    }
    match centre.explain(app.now(), id) {
        Some(found) => {
            let job = centre.job(id)?;
            let spec = &job.spec;
            let block = |block| words::block(block, &centre, spec.request.reservation, &moment);
            let told = |why| words::silence(words::naming(block(why), why, spec), why, &centre, spec);
            why.blocks = found.why.iter().map(told).collect();
            let start = found.promise.as_ref().map(|promise| promise.start);
            (why.warning, why.warning_ko) = start.and_then(|start| words::will_be_late(job, start)).unzip();
            why.ahead = found.ahead;
            why.expected_secs = centre.expected_in_order(id).map(Span::secs);
            why.promised_ms = found.promise.as_ref().map(|promise| promise.start.millis());
            let nodes = found.promise.as_ref().map(|promise| app.look(&centre).node_list(&promise.on));
            why.promised_nodes = nodes.unwrap_or_default();
            (why.change, why.change_ko) = found.change.map(words::change).unzip();
        }
        None if centre.array(id).is_some() => why.blocks = vec![words::block(&centre.why(id), &centre, None, &moment)],
        None => {}
    }
    Some(why)
}

pub(super) async fn when(State(app): State<Arc<App>>, Extension(object): Extension<Object>) -> Result<Response, Fault> {
    let job = job_of(object)?;
    let target = job.target;
    // A forecast may take seconds of a core; one at a time leaves the others to the rest.
    let _turn = app.forecasts.acquire().await.map_err(|_| Fault::internal())?;
    let app = Arc::clone(&app);
    let when = blocking(move || Ok(forecast(&app, &job))).await?;
    when.map(|when| json(&when)).ok_or_else(|| Fault::not_found(format!("job {}", target.job)))
}

fn forecast(app: &App, job: &JobRef) -> Option<When> {
    let (id, sched) = {
        let centre = app.centre();
        let (id, is_pending) = match find(&centre, job)? {
            Found::Job(job) => (job.id, matches!(job.state, JobState::Pending { .. })),
            Found::Rest(record) | Found::Task(record, _) => (record.id, true),
        };
        (id, centre.scheduler().filter(|_| is_pending).cloned())
    };
    Some(sched.map_or_else(|| when::of_other(id), |sched| when::of_waiting(&sched, app.now(), id)))
}

pub(super) async fn script(
    State(app): State<Arc<App>>,
    Extension(object): Extension<Object>,
) -> Result<Response, Fault> {
    let job = job_of(object)?;
    let work = move || {
        let spec = {
            let centre = app.centre();
            match find(&centre, &job) {
                Some(Found::Job(job)) => Some(job.spec.clone()),
                Some(Found::Rest(record) | Found::Task(record, _)) => Some(record.spec.clone()),
                None => None,
            }
        };
        spec.map(|spec| app.launched(&spec)).transpose().map(Option::flatten)
    };
    let launched = blocking(work).await?.ok_or_else(|| Fault::new(404, "not_found", "this job has no script"))?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], launched.spec.script).into_response())
}

/// Which piece of a log.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    stream: Option<String>,
    offset: Option<u64>,
    limit: Option<u64>,
}

pub(super) async fn log(
    State(app): State<Arc<App>>,
    Extension(object): Extension<Object>,
    Ask(which): Ask<Which>,
) -> Result<Response, Fault> {
    let limit = which.limit.unwrap_or(PIECE);
    if !(1..=MOST_PIECE).contains(&limit) {
        return Err(Fault::invalid("limit", format!("is {limit}, from 1 to {MOST_PIECE}")));
    }
    let view = shown(&app, job_of(object)?).await?;
    let path = match which.stream.as_deref() {
        None | Some("stdout") => view.stdout.clone(),
        Some("stderr") => view.stderr.clone(),
        Some(other) => return Err(Fault::invalid("stream", format!("is {other:?}, not stdout or stderr"))),
    };
    if view.modelled || path.is_empty() {
        return Err(Fault::new(409, "wrong_state", "this job is modelled: nothing runs, so nothing is written"));
    }
    let offset = which.offset.unwrap_or(0);
    if view.started_ms.is_none() {
        let complete = view.state.is_over();
        return Ok(json(&LogPiece { path, offset, next: offset, text: String::new(), complete }));
    }
    let is_over = view.state.is_over();
    let piece = read(&app, view.site.as_deref(), &path, (offset, limit)).await?;
    Ok(json(&shown_piece(path, piece, is_over)))
}

/// A piece as it is shown.
fn shown_piece(path: String, read: Piece, is_over: bool) -> LogPiece {
    let Piece { start, mut bytes, length } = read;
    if !(is_over && start + bytes.len() as u64 >= length) {
        bytes.truncate(whole_characters(&bytes));
    }
    let next = start + bytes.len() as u64;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    LogPiece { path, offset: start, next, text, complete: is_over && next >= length }
}

/// Reads where the job wrote: on this machine, or at a site that an agent serves.
async fn read(app: &App, site: Option<&str>, path: &str, (offset, limit): (u64, u64)) -> Result<Piece, Fault> {
    let sites = &app.estate.founding.sites;
    let far = sites.iter().find(|found| site == Some(&found.name) && matches!(found.engine, EngineKind::Agent(_)));
    let Some(far) = far else {
        let path = path.to_owned();
        return blocking(move || Ok(output::read(&path, offset, limit))).await;
    };
    let away = || {
        Fault::new(503, "site_away", format!("site {} does not answer, and what the job wrote is there", far.name))
            .hint("ask again once it is back, at the server that leads")
    };
    let desk = app.hub.desks().remove(&far.name).ok_or_else(away)?;
    desk.read(path, offset, limit).await.ok_or_else(away)
}

/// How many bytes do not end in the middle of a character.
fn whole_characters(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() && error.valid_up_to() > 0 => error.valid_up_to(),
        _ => bytes.len(),
    }
}
