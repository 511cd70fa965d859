//! The one gate: who is asking, and may they. Driven by the `access` column of the table of operations, so that no
//! operation is served without it.
//!
//! Invariants: what a caller may not see is answered exactly as if it were not there; a browser's cookie changes
//! something only when the request comes from our own pages.

use super::App;
use super::answer::Rest;
use crate::auth::Pass;
use crate::fault::Fault;
use axum::extract::{RawPathParams, Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use madang_api::routes::{Access, Operation};
use madang_centre::Target;
use madang_model::{Job, JobId, ProjectId, Role};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The cookie of a browser's session.
pub const COOKIE: &str = "madang_session";

/// Who is asking.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Login name.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// The projects they are a member of, ascending.
    pub projects: Vec<ProjectId>,
    /// Number of the token or session they came with.
    pub pass: u64,
    /// True when a browser's cookie spoke for them.
    pub by_cookie: bool,
}

impl Caller {
    /// True for those who may see everything.
    pub fn sees_all(&self) -> bool {
        self.role >= Role::Owner
    }
    /// True for those who may see what belongs to a project.
    pub fn sees(&self, project: ProjectId) -> bool {
        self.sees_all() || self.is_member(project)
    }
    /// True for those who may change what belongs to a project.
    pub fn may_change(&self, project: ProjectId) -> bool {
        self.is_operator() || self.is_member(project)
    }
    /// True for operators and administrators.
    pub fn is_operator(&self) -> bool {
        matches!(self.role, Role::Operator | Role::Admin)
    }
    /// The projects whose objects they may see; `None` for all.
    pub fn visible(&self) -> Option<BTreeSet<ProjectId>> {
        (!self.sees_all()).then(|| self.projects.iter().copied().collect())
    }
    fn is_member(&self, project: ProjectId) -> bool {
        self.projects.binary_search(&project).is_ok()
    }
}

/// The object that an operation's path names, found and allowed.
#[derive(Clone, Debug)]
pub enum Object {
    /// A job, an array or a task.
    Job(JobRef),
    /// A project.
    Project(ProjectId),
}

/// A job, an array or a task by what the path says.
#[derive(Clone, Debug)]
pub struct JobRef {
    /// What the path says.
    pub target: Target,
    /// Whose it is.
    pub project: ProjectId,
    /// The record of one that is no longer in the core.
    pub past: Option<Arc<Job>>,
}

/// The gate of one operation.
#[derive(Clone)]
pub struct Gate {
    /// The server.
    pub app: Arc<App>,
    /// The operation.
    pub operation: Operation,
}

/// Lets a request through to its handler, or answers it.
pub async fn guard(State(gate): State<Gate>, params: RawPathParams, request: Request, next: Next) -> Response {
    let (mut request, rest) = Rest::of(request);
    let caller = caller(&gate.app, request.headers());
    let pass = caller.as_ref().map(|caller| caller.pass);
    let (method, headers) = (request.method().clone(), request.headers().clone());
    let mut response = match authorize(&gate, caller, &params, (&method, &headers)).await {
        Ok(Entry { caller, object }) => {
            if let Some(caller) = caller {
                request.extensions_mut().insert(caller);
            }
            if let Some(object) = object {
                request.extensions_mut().insert(object);
            }
            next.run(request).await
        }
        Err(fault) => fault.into_response(),
    };
    rest.throw_away().await;
    response.extensions_mut().insert(super::log::Pass(pass));
    response
}

/// What the gate found.
struct Entry {
    caller: Option<Caller>,
    object: Option<Object>,
}

async fn authorize(
    gate: &Gate,
    caller: Option<Caller>,
    params: &RawPathParams,
    (method, headers): (&Method, &HeaderMap),
) -> Result<Entry, Fault> {
    if !method.is_safe() {
        gate.app.leads()?;
    }
    let access = gate.operation.access;
    let by_cookie = caller.as_ref().is_some_and(|caller| caller.by_cookie);
    if by_cookie || access == Access::Public {
        from_own_pages(method, headers)?;
    }
    if access == Access::Public {
        return Ok(Entry { caller, object: None });
    }
    let Some(caller) = caller else {
        return Err(Fault::unauthenticated("nobody is signed in, or the token is not (or no longer) good"));
    };
    let needs = |role: &str, may: bool| {
        let fact = || format!("this needs the role {role}, {} has the role {:?}", caller.name, caller.role);
        if may { Ok(()) } else { Err(Fault::forbidden(fact().to_lowercase())) }
    };
    let object = match access {
        Access::Public | Access::SignedIn => None,
        Access::Officer => needs("officer", matches!(caller.role, Role::Officer | Role::Admin)).map(|()| None)?,
        Access::Operator => needs("operator", caller.is_operator()).map(|()| None)?,
        Access::Admin => needs("admin", caller.role == Role::Admin).map(|()| None)?,
        Access::Member | Access::Reader => {
            let (object, project) = object(&gate.app, &caller, params).await?;
            if access == Access::Member && !caller.may_change(project) {
                return Err(Fault::forbidden("only members of its project and operators may do this"));
            }
            Some(object)
        }
    };
    Ok(Entry { caller: Some(caller), object })
}

/// The caller of a bearer token, else of a session's cookie.
pub fn caller(app: &App, headers: &HeaderMap) -> Option<Caller> {
    let now = app.shared.now();
    let bearer = headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap_or_default());
    let (pass, by_cookie) = match bearer {
        Some(value) => {
            let (scheme, token) = value.split_once(' ')?;
            let pass = app.passes.of_token(now, token.trim()).filter(|_| scheme.eq_ignore_ascii_case("bearer"));
            (pass?, false)
        }
        None => (app.passes.of_session(now, session(headers)?)?, true),
    };
    known(app, &pass, by_cookie)
}

/// The caller of a pass, as the core knows them now.
pub fn known(app: &App, pass: &Pass, by_cookie: bool) -> Option<Caller> {
    let centre = app.shared.centre.read();
    let user = centre.user(&pass.user)?;
    Some(Caller { name: user.name.clone(), role: user.role, projects: user.projects.clone(), pass: pass.id, by_cookie })
}

fn session(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value)
}

/// A change by cookie must come from our own pages: browsers say so in `Sec-Fetch-Site`, older ones in `Origin`.
fn from_own_pages(method: &Method, headers: &HeaderMap) -> Result<(), Fault> {
    if method.is_safe() {
        return Ok(());
    }
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let foreign = match (headers.get("sec-fetch-site").and_then(|site| site.to_str().ok()), text(header::ORIGIN)) {
        (Some(site), _) => site != "same-origin" && site != "none",
        (None, Some(origin)) => {
            let host = text(header::HOST).unwrap_or_default();
            origin.split_once("://").map(|(_, authority)| authority) != Some(host)
        }
        // No browser: nothing there speaks for somebody without their knowing.
        (None, None) => false,
    };
    if foreign {
        return Err(Fault::forbidden("this request comes from another site's page"));
    }
    Ok(())
}

/// Finds what the path names and the caller may see; whatever else is not there for them.
async fn object(app: &Arc<App>, caller: &Caller, params: &RawPathParams) -> Result<(Object, ProjectId), Fault> {
    for (name, value) in params {
        match name {
            "id" => {
                let missing = || Fault::not_found(format!("job {value}"));
                let target = target(value).ok_or_else(|| missing().hint("write it as 42, job-42 or 42_3"))?;
                let found = find_job(app, target).await?.filter(|job| caller.sees(job.project)).ok_or_else(missing)?;
                let project = found.project;
                return Ok((Object::Job(found), project));
            }
            "name" => {
                let project = app.shared.centre.read().project(value).map(|project| project.id);
                let missing = || Fault::not_found(format!("project {value}"));
                let project = project.filter(|project| caller.sees(*project)).ok_or_else(missing)?;
                return Ok((Object::Project(project), project));
            }
            _ => {}
        }
    }
    Err(Fault::internal()) // an operation with such access and no object in its path: the access test finds it
}

/// `42`, `job-42` or `42_3`.
pub fn target(text: &str) -> Option<Target> {
    match text.split_once('_') {
        None => text.parse().ok().map(|job| Target { job, task: None }),
        Some((job, task)) => {
            let plain = !task.is_empty() && task.bytes().all(|byte| byte.is_ascii_digit());
            let task = plain.then(|| task.parse().ok()).flatten()?;
            Some(Target { job: job.parse().ok()?, task: Some(task) })
        }
    }
}

async fn find_job(app: &Arc<App>, target: Target) -> Result<Option<JobRef>, Fault> {
    if let Some(found) = find_live(app, target) {
        return Ok(Some(found));
    }
    let readers = Arc::clone(&app.readers);
    let past = super::blocking(move || match target.task {
        Some(task) => readers.task(target.job, task),
        None => readers.job(target.job).and_then(|job| match job {
            Some(job) => Ok(Some(job)),
            None => readers.any_task(target.job),
        }),
    });
    let past = past.await?;
    Ok(past.map(|job| JobRef { target, project: job.spec.project, past: Some(Arc::new(job)) }))
}

fn find_live(app: &App, target: Target) -> Option<JobRef> {
    let centre = app.shared.centre.read();
    let found = |target, project| Some(JobRef { target, project, past: None });
    match target.task {
        Some(task) => {
            let record = centre.array(target.job)?;
            let order = record.order_of(task)?;
            let is_here = order >= record.first_waiting || centre.job(record.job_at(order)).is_some();
            is_here.then_some(()).and_then(|()| found(target, record.spec.project))
        }
        None => {
            if let Some(job) = centre.job(target.job) {
                return found(target, job.spec.project);
            }
            if let Some(record) = centre.array(target.job) {
                return found(target, record.spec.project);
            }
            let holds =
                |id: JobId, first: JobId, count: u32| id > first && id.number() <= first.number() + u64::from(count);
            let record = centre.arrays().find(|record| holds(target.job, record.id, record.count))?;
            let order = u32::try_from(target.job.number() - record.id.number() - 1).ok()?;
            let is_waiting = order >= record.first_waiting;
            let task = Target { job: record.id, task: Some(record.task_at(order)) };
            is_waiting.then_some(()).and_then(|()| found(task, record.spec.project))
        }
    }
}
