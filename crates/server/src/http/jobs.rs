//! Submitting and listing jobs.

use super::answer::{Ask, LARGE, bytes, is_json, json, json_with, parse};
use super::guard::{Caller, target};
use super::{App, blocking};
use crate::convert::{self, Converted};
use crate::fault::Fault;
use crate::store::Blob;
use crate::store::journal::hex;
use crate::view::job::Detail;
use crate::view::list::{self, Filter, States};
use crate::view::words;
use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use madang_api::{Outlook, Page, StateName, Submit, Submitted};
use madang_centre::{Input, Key, Reply, Submission};
use madang_model::{Launch, Time};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Jobs on a page that names no number, and the most.
const PAGE: usize = 200;
const MOST_PAGE: usize = 1_000;
/// Most ids in `?ids=`.
const MOST_IDS: usize = 1_000;

pub(super) async fn submit(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Fault> {
    let (said, name) = (is_json(request.headers()), key_name(request.headers()));
    let body = bytes(request, LARGE).await?;
    said?;
    let name = name?;
    let submit: Submit = parse(&body)?;
    let dry_run = submit.dry_run;
    let Converted { mut submission, launched, tasks, notes } =
        convert::submission(&app.estate, &caller.name, caller.is_operator(), submit)?;
    let blob = match launched.map(|launched| serde_json::to_vec(&launched)).transpose() {
        Ok(blob) => blob.map(Blob::of),
        Err(error) => return Err(Fault::bad(format!("the batch cannot be kept: {error}"))),
    };
    submission.launch = blob.as_ref().map(|blob| Launch(blob.name.clone()));
    if dry_run {
        let outlook = blocking(move || Ok(outlook(&app, &caller.name, submission))).await??;
        return Ok(json(&Submitted { job: 0, tasks, outlook: Some(outlook), notes }));
    }
    let key = name.map(|name| Key { name, print: hex(&Sha256::digest(&body)) });
    let reply = app.ask(&caller.name, key, Input::Submit(Box::new(submission)), blob).await?;
    let Reply::Job(job) = reply else { return Err(Fault::internal()) };
    let mut notes = notes;
    {
        let centre = app.centre();
        notes.extend(centre.job(job).and_then(|job| crate::view::health::hint(&centre, job)));
    }
    let mut response = json_with(StatusCode::CREATED, &Submitted { job: job.number(), tasks, outlook: None, notes });
    if let Ok(place) = HeaderValue::from_str(&format!("/api/v1/jobs/{}", job.number())) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    Ok(response)
}

fn key_name(headers: &HeaderMap) -> Result<Option<String>, Fault> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let name = value.to_str().ok().filter(|name| !name.is_empty() && name.len() <= 255);
    let wrong = || Fault::bad("the Idempotency-Key is not 1 to 255 visible ASCII characters");
    name.map(|name| Some(name.to_owned())).ok_or_else(wrong)
}

/// The same checks as a submission's, on the centre as it stands, and a forecast.
fn outlook(app: &App, by: &str, submission: Submission) -> Result<Outlook, Fault> {
    let centre = app.centre();
    let (job, found) = centre.outlook(app.now(), by, submission)?;
    let spec = &job.spec;
    let waits = found.why.map(|why| words::block(&why, &centre, spec.request.reservation, &crate::view::job::moment));
    Ok(Outlook {
        job: job.id.number(),
        start_ms: found.start.map(Time::millis),
        cpus: spec.request.parts.iter().map(|part| u64::from(part.nodes) * u64::from(part.cpus)).sum(),
        node_list: found.on.map(|on| app.look(&centre).node_list(&on)).unwrap_or_default(),
        partition: app.estate.founding.partitions[spec.partition.index()].name.clone(),
        waits,
    })
}

/// What of the list is asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    user: Option<String>,
    project: Option<String>,
    partition: Option<String>,
    state: Option<String>,
    name: Option<String>,
    ids: Option<String>,
    since_ms: Option<u64>,
    until_ms: Option<u64>,
    site: Option<String>,
    after: Option<u64>,
    limit: Option<usize>,
    #[serde(default)]
    full: bool,
    #[serde(default)]
    expand: bool,
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Ask(which): Ask<Which>,
) -> Result<Response, Fault> {
    let filter = filter(&caller, which)?;
    if filter.states != States::Active {
        app.flush().await?;
    }
    let work = move || {
        let centre = app.centre();
        list::page(app.look(&centre), &app.readers, &filter, &|spec| app.brief(spec))
    };
    let (items, next) = blocking(work).await?;
    Ok(json(&Page { items, next: next.map(|id| id.to_string()) }))
}

fn filter(caller: &Caller, which: Which) -> Result<Filter, Fault> {
    let names = |list: Option<String>| -> Vec<String> {
        list.map(|list| list.split(',').map(str::to_owned).collect()).unwrap_or_default()
    };
    let limit = which.limit.unwrap_or(PAGE);
    if !(1..=MOST_PAGE).contains(&limit) {
        return Err(Fault::invalid("limit", format!("is {limit}, from 1 to {MOST_PAGE}")));
    }
    Ok(Filter {
        sees: caller.visible(),
        users: names(which.user),
        projects: names(which.project),
        partitions: names(which.partition),
        states: states(which.state.as_deref())?,
        name: which.name,
        ids: which.ids.as_deref().map(ids).transpose()?,
        since: which.since_ms.map(|millis| convert::moment("since_ms", millis)).transpose()?,
        until: which.until_ms.map(|millis| convert::moment("until_ms", millis)).transpose()?,
        site: which.site,
        after: which.after.unwrap_or(0).min(i64::MAX.unsigned_abs()),
        limit,
        detail: if which.full { Detail::Full } else { Detail::Line },
        expand: which.expand,
    })
}

fn states(text: Option<&str>) -> Result<States, Fault> {
    match text {
        None | Some("active") => Ok(States::Active),
        Some("all") => Ok(States::All),
        Some(list) => {
            let state = |name: &str| {
                let name = name.trim().to_ascii_uppercase();
                let found: Result<StateName, _> = serde_json::from_value(serde_json::Value::String(name.clone()));
                let hint = "states are PENDING, CONFIGURING, RUNNING, COMPLETING, COMPLETED, FAILED, TIMEOUT, CANCELLED, \
                            NODE_FAIL, OUT_OF_MEMORY and BOOT_FAIL; or write `active` or `all`";
                found.map_err(|_| Fault::invalid("state", format!("names {name:?}, which is not a state")).hint(hint))
            };
            list.split(',').map(state).collect::<Result<BTreeSet<StateName>, Fault>>().map(States::Some)
        }
    }
}

fn ids(text: &str) -> Result<Vec<(u64, Option<u32>)>, Fault> {
    let one = |piece: &str| {
        let wrong = || Fault::invalid("ids", format!("names {piece:?}, which is not a job like 42 or 42_3"));
        target(piece).map(|target| (target.job.number(), target.task)).ok_or_else(wrong)
    };
    let list: Vec<(u64, Option<u32>)> = text.split(',').take(MOST_IDS + 1).map(one).collect::<Result<_, Fault>>()?;
    if list.len() > MOST_IDS {
        return Err(Fault::invalid("ids", format!("has more than {MOST_IDS} entries")));
    }
    Ok(list)
}
