//! Operations on sites' agents.

use super::answer::{SMALL, body, json, json_with, nothing};
use super::guard::Caller;
use super::{App, blocking};
use crate::fault::Fault;
use crate::trouble::Trouble;
use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use madang_agent::desk::Standing;
use madang_agent::{Card, CardState};
use madang_api::{AgentSample, AgentState, AgentView, InvitationMade, NewInvitation, Page};
use madang_model::EngineKind;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long an invitation is good that names no time.
const HOURS: u32 = 24;
/// The longest.
const MOST_HOURS: u32 = 24 * 30;

/// Invitations that are open and all certificates.
pub(super) async fn list(State(app): State<Arc<App>>) -> Response {
    let desks = app.hub.desks();
    let standings: BTreeMap<String, Standing> =
        desks.iter().map(|(site, desk)| (site.clone(), desk.standing())).collect();
    let now = app.now().millis();
    let items = app.hub.register.cards().into_iter().map(|card| view(now, standings.get(&card.site), card));
    json(&Page { items: items.collect(), next: None })
}

fn view(now: u64, standing: Option<&Standing>, card: Card) -> AgentView {
    let linked = standing.filter(|standing| standing.card == Some(card.number));
    let state = match card.state {
        CardState::Invited => AgentState::Invited,
        CardState::Revoked => AgentState::Revoked,
        CardState::Enrolled if card.until_ms <= now => AgentState::Ended,
        CardState::Enrolled if linked.is_some() => AgentState::Linked,
        CardState::Enrolled => AgentState::Away,
    };
    let is_live = matches!(state, AgentState::Linked | AgentState::Away);
    let sample = linked.and_then(|standing| standing.sample).map(|sample| AgentSample {
        runs: sample.runs,
        load_centi: sample.load_centi,
        free_mib: sample.free_mib,
        memory_mib: sample.memory_mib,
    });
    AgentView {
        id: card.number,
        site: card.site,
        state,
        by: card.by,
        host: card.host,
        made_ms: card.made_ms,
        until_ms: card.until_ms,
        seen_ms: linked.map(|standing| standing.heard_ms).or(Some(card.seen_ms)).filter(|seen| *seen > 0),
        linked_ms: linked.map(|standing| standing.since_ms),
        version: linked.map(|standing| standing.version.clone()),
        sample,
        silent: standing.filter(|_| is_live).and_then(|standing| standing.silent.clone()),
    }
}

/// Lets one agent enrol for a site.
pub(super) async fn invite(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Fault> {
    let NewInvitation { site, hours } = body(request, SMALL).await?;
    app.leads()?;
    let hours = hours.unwrap_or(HOURS);
    if hours == 0 || hours > MOST_HOURS {
        return Err(Fault::invalid("hours", format!("is {hours}, from 1 to {MOST_HOURS}")));
    }
    let founding = &app.estate.founding;
    let found = founding.sites.iter().find(|found| found.name == site);
    let found = found.ok_or_else(|| Fault::not_found(format!("site {site}")))?;
    if !matches!(found.engine, EngineKind::Agent(_)) {
        return Err(Fault::invalid("site", format!("is {site}, which is served by no agent"))
            .hint("a site whose agent dials in has engine = \"agent\" in the centre file"));
    }
    if !app.hub.is_open.load(Ordering::Relaxed) {
        return Err(Fault::new(409, "wrong_state", "this server takes no links of agents")
            .hint("start it with --agents ADDRESS"));
    }
    let register = Arc::clone(&app.hub.register);
    let lasts = Duration::from_secs(u64::from(hours) * 3_600);
    let made = blocking(move || register.invite(&site, &caller.name, lasts).map_err(trouble));
    let (card, invitation) = made.await?;
    let made = InvitationMade { id: card.number, site: card.site, invitation, until_ms: card.until_ms };
    Ok(json_with(StatusCode::CREATED, &made))
}

/// Ends a certificate, and the link of its agent, or takes an invitation back.
pub(super) async fn revoke(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Response, Fault> {
    app.leads()?;
    let missing = || Fault::not_found(format!("agent {id}"));
    let number: u64 = id.parse().map_err(|_| missing())?;
    let hub = Arc::clone(&app.hub);
    match blocking(move || hub.revoke(number).map_err(trouble)).await? {
        true => Ok(nothing()),
        false => Err(missing()),
    }
}

fn trouble(fault: madang_agent::Fault) -> Trouble {
    crate::store::trouble(fault)
}
