//! Live updates: server-sent events of what the caller may see.
//!
//! Changes are gathered and sent a few times a second at most, so a thousand starts are one message and a slow reader
//! costs the core nothing: whoever falls behind is told the present, not the past.

use super::App;
use super::guard::{Caller, known};
use crate::chart::busy;
use crate::fault::Fault;
use crate::view;
use crate::view::words;
use axum::Extension;
use axum::extract::State;
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use madang_api::Event;
use madang_model::{JobId, NodeId};
use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, broadcast, mpsc};
use tokio_stream::wrappers::ReceiverStream;

/// Between two messages of the same kind, at least; pulses come every fifth time.
const PACE: Duration = Duration::from_millis(200);
const PULSE_EVERY: u32 = 5;
/// Most jobs in one round; the rest follow in the next.
const JOBS: usize = 500;
/// Messages that wait for a slow reader.
const WAITING: usize = 1_024;

pub(super) async fn events(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, Fault> {
    let permit = Arc::clone(&app.streams).try_acquire_owned();
    let permit = permit.map_err(|_| Fault::busy("too many event streams are open"))?;
    let (out, stream) = mpsc::channel::<Result<sse::Event, Infallible>>(WAITING);
    let places = view::estate::floor_order(&app.estate);
    let places = places.into_iter().zip(0_u32..).collect();
    tokio::spawn(Stream { app, caller, places, out, _permit: permit, beat: 0, stirred: true }.run());
    Ok(Sse::new(ReceiverStream::new(stream)).keep_alive(KeepAlive::default()).into_response())
}

/// One caller's stream.
struct Stream {
    app: Arc<App>,
    caller: Caller,
    places: HashMap<NodeId, u32>,
    out: mpsc::Sender<Result<sse::Event, Infallible>>,
    _permit: OwnedSemaphorePermit,
    beat: u32,
    stirred: bool,
}

#[derive(Default)]
struct Gathered {
    jobs: BTreeSet<JobId>,
    nodes: BTreeSet<NodeId>,
}

impl Stream {
    async fn run(mut self) {
        let mut changes = self.app.shared.changes.subscribe();
        let mut stopping = self.app.stopping.clone();
        let mut pace = tokio::time::interval(PACE);
        let mut gathered = Gathered::default();
        loop {
            tokio::select! {
                change = changes.recv() => match change {
                    Ok(change) => {
                        gathered.jobs.extend(change.jobs.iter().copied());
                        gathered.nodes.extend(change.nodes.iter().copied());
                    }
                    Err(broadcast::error::RecvError::Lagged(_)) => self.stirred = true,
                    Err(broadcast::error::RecvError::Closed) => return,
                },
                _ = pace.tick() => {
                    if self.send(&mut gathered).is_none() {
                        return;
                    }
                }
                _ = stopping.changed() => return,
                () = self.out.closed() => return,
            }
        }
    }

    /// One round; `None` when the stream is over: the reader is gone or no longer signed in, or does not read.
    fn send(&mut self, gathered: &mut Gathered) -> Option<()> {
        self.beat = self.beat.wrapping_add(1);
        let is_pulse = self.beat % PULSE_EVERY == 1;
        if is_pulse {
            self.caller = self.caller_now()?;
        }
        if gathered.jobs.is_empty() && gathered.nodes.is_empty() && !(is_pulse && self.stirred) {
            return Some(());
        }
        self.stirred |= !(gathered.jobs.is_empty() && gathered.nodes.is_empty());
        let events = self.events(gathered, is_pulse);
        for event in events {
            let name = match event {
                Event::Job { .. } => "job",
                Event::Nodes { .. } => "nodes",
                Event::Pulse { .. } => "pulse",
            };
            let data = serde_json::to_string(&event).ok()?;
            self.out.try_send(Ok(sse::Event::default().event(name).data(data))).ok()?;
        }
        Some(())
    }

    fn events(&mut self, gathered: &mut Gathered, is_pulse: bool) -> Vec<Event> {
        let centre = self.app.centre();
        let mut events = Vec::new();
        for _ in 0..JOBS {
            let Some(id) = gathered.jobs.pop_first() else { break };
            let found = centre.job(id).map(|job| (job.spec.project, words::state(&job.state)));
            let found =
                found.or_else(|| centre.array(id).map(|record| (record.spec.project, madang_api::StateName::Pending)));
            if let Some((_, state)) = found.filter(|(project, _)| self.caller.sees(*project)) {
                events.push(Event::Job { id: id.number(), state });
            }
        }
        let nodes = std::mem::take(&mut gathered.nodes);
        let node =
            |id: &NodeId| Some((*self.places.get(id)?, view::estate::floor_node(&centre, &self.app.estate, *id)));
        let nodes: Vec<_> = nodes.iter().filter_map(node).collect();
        if !nodes.is_empty() {
            events.push(Event::Nodes { nodes });
        }
        if is_pulse && self.stirred {
            self.stirred = false;
            let counts = centre.counts();
            events.push(Event::Pulse {
                now_ms: self.app.now().millis(),
                running: counts.running,
                waiting: counts.waiting,
                gpus_busy: busy(&centre),
            });
        }
        events
    }

    /// The caller as of now: revoked tokens and lost memberships end or narrow the stream within a second.
    fn caller_now(&self) -> Option<Caller> {
        let pass = self.app.passes.find(self.app.now(), self.caller.pass)?;
        known(&self.app, &pass, self.caller.by_cookie)
    }
}
