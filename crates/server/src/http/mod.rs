//! HTTP: exactly the operations of [`madang_api::routes::OPERATIONS`], each behind the gate, and the console's files.
//!
//! Invariants: every failure is a problem document, axum's own included; nothing here changes the centre except
//! through the core's queue; work that touches the disk or takes long runs beside the event loop.

mod agents;
pub mod answer;
mod console;
mod defrag;
mod estate;
mod events;
pub mod guard;
mod job;
mod jobs;
pub mod log;
pub mod openapi;
mod people;
mod projects;
mod reservations;
mod serve;
mod whole;

pub use serve::serve;
pub(crate) use whole::ready;

use crate::auth::Passes;
use crate::core::Shared;
use crate::estate::Estate;
use crate::fault::Fault;
use crate::launch::Launched;
use crate::queue::{Ask, NotTaken};
use crate::store::{Blob, Readers};
use crate::trouble::Trouble;
use crate::view::job::{Brief, Look};
use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodRouter, delete, get, patch, post};
pub use guard::Caller;
use guard::Gate;
use madang_agent::Hub;
use madang_api::routes::{OPERATIONS, Operation};
use madang_centre::{Centre, Input, Key, Reply, Signed};
use madang_model::{JobSpec, Launch, Time};
use parking_lot::{Mutex, RwLockReadGuard};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot, watch};

/// The longest that an operation may take, reading its body included.
const DEADLINE: Duration = Duration::from_secs(30);
/// Most event streams at a time.
const STREAMS: usize = 256;
/// Most forecasts that are made at a time.
const FORECASTS: usize = 1;
/// Most launches whose shown parts are remembered.
const BRIEFS: usize = 20_000;

/// What handlers work with.
pub struct App {
    /// The core's side.
    pub shared: Arc<Shared>,
    /// The founding.
    pub estate: Arc<Estate>,
    /// The past.
    pub readers: Arc<Readers>,
    /// Tokens and sessions.
    pub passes: Arc<Passes>,
    /// Agents' door.
    pub hub: Arc<Hub>,
    /// Where a browser finds this server: `http://127.0.0.1:6817`.
    pub address: String,
    /// Turns true when the server stops, so that streams end.
    pub stopping: watch::Receiver<bool>,
    streams: Arc<Semaphore>,
    forecasts: Semaphore,
    briefs: Mutex<HashMap<String, Arc<Brief>>>,
}

impl App {
    /// The server's side of HTTP.
    pub fn new(
        shared: Arc<Shared>,
        estate: Arc<Estate>,
        (readers, passes, hub): (Arc<Readers>, Arc<Passes>, Arc<Hub>),
        address: String,
        stopping: watch::Receiver<bool>,
    ) -> App {
        let streams = Arc::new(Semaphore::new(STREAMS));
        let forecasts = Semaphore::new(FORECASTS);
        App { shared, estate, readers, passes, hub, address, stopping, streams, forecasts, briefs: Mutex::default() }
    }

    /// Hands an input to the core and waits for its answer, which comes when it is on the disk.
    pub async fn ask(&self, by: &str, key: Option<Key>, input: Input, blob: Option<Blob>) -> Result<Reply, Fault> {
        self.leads()?;
        let (answer, answered) = oneshot::channel();
        let signed = Signed { ticket: 0, by: by.to_owned(), key, input };
        self.shared.queue.ask(Ask { signed, blob, answer }).map_err(|not| match not {
            NotTaken::Full => Fault::busy("too many requests wait already"),
            NotTaken::Closed => Fault::busy("the server is stopping"),
        })?;
        let lost = || {
            Fault::busy("the server stopped before it could say whether this was done")
                .hint("look, or send it again with the same Idempotency-Key once the server is back")
        };
        Ok(answered.await.map_err(|_| lost())??)
    }

    /// Refuses what only the active server does, if this one stands by.
    pub fn leads(&self) -> Result<(), Fault> {
        self.shared.active.lock().as_deref().map_or(Ok(()), |active| Err(Fault::standby(active)))
    }

    /// Waits until what was answered so far is in the projections.
    pub async fn flush(&self) -> Result<(), Fault> {
        let (done, told) = oneshot::channel();
        self.shared.queue.flush(done);
        told.await.map_err(|_| Fault::busy("the server is stopping"))
    }

    /// Event streams that are open.
    pub fn open_streams(&self) -> u64 {
        (STREAMS - self.streams.available_permits().min(STREAMS)) as u64
    }

    /// The centre, for reading.
    pub fn centre(&self) -> RwLockReadGuard<'_, Centre> {
        self.shared.centre.read()
    }

    /// What views lean on.
    pub fn look<'a>(&'a self, centre: &'a Centre) -> Look<'a> {
        Look { centre, estate: &self.estate }
    }

    /// The centre's clock.
    pub fn now(&self) -> Time {
        self.shared.now()
    }

    /// A job's launch, for showing.
    pub fn launched(&self, spec: &JobSpec) -> Result<Option<Launched>, Trouble> {
        let Some(Launch(name)) = &spec.launch else { return Ok(None) };
        let blob = self.readers.blob(name)?;
        Ok(blob.and_then(|blob| serde_json::from_slice(&blob).ok()))
    }

    /// The shown parts of a job's launch; `None` for one without, or whose launch cannot be read.
    pub fn brief(&self, spec: &JobSpec) -> Option<Arc<Brief>> {
        let Launch(name) = spec.launch.as_ref()?;
        if let Some(brief) = self.briefs.lock().get(name) {
            return Some(Arc::clone(brief));
        }
        let launched = self.launched(spec).unwrap_or_else(|error| {
            tracing::error!("{error}");
            None
        })?;
        let brief = Arc::new(Brief::of(&launched));
        let mut briefs = self.briefs.lock();
        if briefs.len() >= BRIEFS {
            briefs.clear();
        }
        briefs.insert(name.clone(), Arc::clone(&brief));
        Some(brief)
    }
}

/// Runs work that touches the disk or takes long beside the event loop.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Trouble> + Send + 'static,
) -> Result<T, Fault> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(Fault::from),
        Err(error) => {
            tracing::error!("a request's work failed: {error}");
            Err(Fault::internal())
        }
    }
}

/// All of it: operations behind their gates, the console, and problem documents for the rest.
pub fn router(app: &Arc<App>) -> Router {
    let mut router = Router::new();
    for operation in OPERATIONS {
        let gate = Gate { app: Arc::clone(app), operation: *operation };
        let served = handler(operation).unwrap_or_else(|| {
            unreachable!("{} {} has a handler: a test serves every operation", operation.method, operation.path)
        });
        let mut served = served.route_layer(from_fn_with_state(gate, guard::guard));
        if operation.path != "/api/v1/events" {
            served = served.route_layer(from_fn(deadline));
        }
        router = router.route(operation.path, served);
    }
    router
        .fallback(console::file)
        .method_not_allowed_fallback(|| async {
            Fault::new(405, "method_not_allowed", "this method is not for this path")
        })
        .layer(from_fn_with_state(log::Log::new(app), log::log))
        .with_state(Arc::clone(app))
}

/// What the address of `--metrics` answers, to whoever reaches it: nothing that names a job, a project or a person.
pub fn scraped(app: &Arc<App>) -> Router {
    Router::new()
        .route("/metrics", get(whole::metrics))
        .route("/healthz", get(whole::healthz))
        .route("/readyz", get(whole::readyz))
        .fallback(|| async { Fault::new(404, "not_found", "there are /metrics, /healthz and /readyz here") })
        .layer(from_fn(deadline))
        .with_state(Arc::clone(app))
}

async fn deadline(request: axum::extract::Request, next: axum::middleware::Next) -> axum::response::Response {
    use axum::response::IntoResponse;
    match tokio::time::timeout(DEADLINE, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Fault::new(408, "timeout", format!("this took longer than {} s", DEADLINE.as_secs())).into_response(),
    }
}

/// What serves an operation.
fn handler(operation: &Operation) -> Option<MethodRouter<Arc<App>>> {
    let path = operation.path.strip_prefix("/api/v1").unwrap_or(operation.path);
    Some(match (operation.method, path) {
        ("GET", "/healthz") => get(whole::healthz),
        ("GET", "/readyz") => get(whole::readyz),
        ("GET", "/metrics") => get(whole::metrics),
        ("GET", "/openapi.json") => get(whole::openapi),
        ("GET", "/overview") => get(whole::overview),
        ("GET", "/audit") => get(whole::audit),
        ("GET", "/events") => get(events::events),
        ("GET", "/sites") => get(estate::sites),
        ("POST", "/sites/{name}/lost") => post(estate::lost),
        ("POST", "/sites/{name}/back") => post(estate::back),
        ("GET", "/partitions") => get(estate::partitions),
        ("GET", "/floor") => get(estate::floor),
        ("GET", "/nodes") => get(estate::nodes),
        ("POST", "/nodes/{name}/drain") => post(estate::drain),
        ("POST", "/nodes/{name}/signs") => post(estate::sign),
        ("POST", "/nodes/{name}/resume") => post(estate::resume),
        ("POST", "/nodes/{name}/clear") => post(estate::clear),
        ("GET", "/reservations") => get(reservations::list),
        ("POST", "/reservations") => post(reservations::make),
        ("DELETE", "/reservations/{name}") => delete(reservations::cancel),
        ("GET", "/defrag") => get(defrag::plan),
        ("POST", "/defrag") => post(defrag::run),
        _ => return handler_of_jobs(operation.method, path).or_else(|| handler_of_people(operation.method, path)),
    })
}

fn handler_of_jobs(method: &str, path: &str) -> Option<MethodRouter<Arc<App>>> {
    Some(match (method, path) {
        ("GET", "/jobs") => get(jobs::list),
        ("POST", "/jobs") => post(jobs::submit),
        ("GET", "/jobs/{id}") => get(job::show),
        ("PATCH", "/jobs/{id}") => patch(job::alter),
        ("DELETE", "/jobs/{id}") => delete(job::cancel),
        ("POST", "/jobs/{id}/hold") => post(job::hold),
        ("POST", "/jobs/{id}/release") => post(job::release),
        ("POST", "/jobs/{id}/requeue") => post(job::requeue),
        ("POST", "/jobs/{id}/signal") => post(job::signal),
        ("POST", "/jobs/{id}/checkpoint") => post(job::checkpoint),
        ("POST", "/jobs/{id}/finish") => post(job::finish),
        ("GET", "/jobs/{id}/why") => get(job::why),
        ("GET", "/jobs/{id}/when") => get(job::when),
        ("GET", "/jobs/{id}/log") => get(job::log),
        ("GET", "/jobs/{id}/script") => get(job::script),
        _ => return None,
    })
}

fn handler_of_people(method: &str, path: &str) -> Option<MethodRouter<Arc<App>>> {
    Some(match (method, path) {
        ("GET", "/projects") => get(projects::list),
        ("POST", "/projects") => post(projects::make),
        ("GET", "/projects/{name}") => get(projects::show),
        ("POST", "/projects/{name}/awards") => post(projects::award),
        ("POST", "/projects/{name}/members") => post(projects::add_member),
        ("POST", "/projects/{name}/data") => post(projects::set_data),
        ("GET", "/projects/{name}/statement") => get(projects::statement),
        ("GET", "/owners") => get(projects::owners),
        ("POST", "/session") => post(people::sign_in),
        ("DELETE", "/session") => delete(people::sign_out),
        ("GET", "/me") => get(people::me),
        ("GET", "/users") => get(people::users),
        ("POST", "/users") => post(people::set_user),
        ("GET", "/tokens") => get(people::tokens),
        ("POST", "/tokens") => post(people::make_token),
        ("DELETE", "/tokens/{id}") => delete(people::revoke_token),
        ("POST", "/signin-links") => post(people::signin_link),
        ("GET", "/agents") => get(agents::list),
        ("POST", "/agents/invitations") => post(agents::invite),
        ("DELETE", "/agents/{id}") => delete(agents::revoke),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_operation_has_a_handler() {
        for operation in super::OPERATIONS {
            assert!(super::handler(operation).is_some(), "{} {}", operation.method, operation.path);
        }
    }
}
