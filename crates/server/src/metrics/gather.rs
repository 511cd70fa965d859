//! The page: counters kept since the start, and the centre as it is now.

use super::text::Page;
use super::{CAUSES, CLASSES, Metrics, OUTCOMES};
use crate::http::App;
use crate::view::estate::sites;
use madang_api::SiteView;
use madang_api::routes::OPERATIONS;
use madang_centre::Centre;
use std::sync::atomic::Ordering;

/// The page as of now. It reads the whole estate under the centre's lock: beside the event loop, please.
pub fn page(app: &App) -> String {
    let (metrics, mut page) = (&app.shared.metrics, Page::default());
    of_process(app, &mut page);
    {
        let centre = app.centre();
        of_sites(&sites(&centre, &app.estate), &mut page);
        of_agents(app, &mut page);
        of_jobs(app, &centre, &mut page);
        of_runs(app, &mut page);
        of_cycles(metrics, &centre, &mut page);
    }
    of_store(app, &mut page);
    of_http(app, &mut page);
    page.end()
}

fn of_process(app: &App, page: &mut Page) {
    page.family("madang_build_info").count(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    page.family("madang_uptime_seconds").seconds(&[], app.shared.metrics.began.elapsed().as_micros());
    if let Some(bytes) = resident() {
        page.family("process_resident_memory_bytes").count(&[], bytes);
    }
    if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
        page.family("process_open_fds").count(&[], files.count() as u64);
    }
    page.family("madang_ready").count(&[], crate::http::ready(app).is_ok().into());
}

/// Memory of this process in bytes.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

fn of_sites(sites: &[SiteView], page: &mut Page) {
    page.family("madang_gpus");
    for site in sites {
        // What is stranded may lie on a node that takes no work: it is out then, and no GPU counts twice.
        let idle = site.gpus.saturating_sub(site.gpus_busy + site.gpus_out);
        let stranded = site.gpus_stranded.min(idle);
        let states =
            [("busy", site.gpus_busy), ("idle", idle - stranded), ("stranded", stranded), ("out", site.gpus_out)];
        for (state, gpus) in states {
            page.count(&[("site", &site.name), ("state", state)], gpus.into());
        }
    }
    page.family("madang_nodes");
    for site in sites {
        let up = site.nodes.saturating_sub(site.nodes_drained + site.nodes_down);
        for (health, nodes) in [("up", up), ("drain", site.nodes_drained), ("down", site.nodes_down)] {
            page.count(&[("site", &site.name), ("health", health)], nodes.into());
        }
    }
}

/// Nothing where another server leads: it knows.
fn of_agents(app: &App, page: &mut Page) {
    let desks = app.hub.desks();
    let standings: Vec<_> = desks.iter().map(|(site, desk)| (site, desk.standing())).collect();
    page.family("madang_agent_linked");
    for (site, standing) in &standings {
        page.count(&[("site", site)], standing.card.is_some().into());
    }
    page.family("madang_agent_silent_seconds");
    for (site, standing) in standings.iter().filter(|(_, standing)| standing.heard_ms > 0) {
        let silent = app.now().millis().saturating_sub(standing.heard_ms);
        page.seconds(&[("site", site)], u128::from(silent) * 1_000);
    }
}

fn of_jobs(app: &App, centre: &Centre, page: &mut Page) {
    let counts = centre.counts();
    page.family("madang_jobs").count(&[("state", "waiting")], counts.waiting.into());
    page.count(&[("state", "running")], counts.running.into());
    let name = |owner: madang_model::PartyId| app.estate.founding.parties[owner.index()].name.as_str();
    let standing = centre.standing(app.now());
    let standing: Vec<_> = standing.iter().filter(|standing| standing.project.is_none()).collect();
    let mut each = |family, of: &dyn Fn(&madang_sched::Standing) -> u32| {
        page.family(family);
        for standing in &standing {
            page.count(&[("owner", name(standing.owner))], of(standing).into());
        }
    };
    each("madang_owner_jobs_waiting", &|standing| standing.waiting);
    each("madang_owner_gpus", &|standing| standing.gpus);
    each("madang_owner_gpus_guaranteed", &|standing| standing.guaranteed);
    page.family("madang_owner_jobs_ended_total");
    for owner in &app.estate.owners {
        let Some(ended) = app.shared.metrics.owners.get(owner.index()) else { continue };
        for (outcome, ended) in OUTCOMES.iter().zip(ended) {
            page.count(&[("owner", name(*owner)), ("outcome", outcome)], ended.get());
        }
    }
    page.family("madang_jobs_ended_total").count(&[], counts.ended);
    page.family("madang_anomalies_total").count(&[], counts.anomalies);
}

fn of_runs(app: &App, page: &mut Page) {
    let founded = app.estate.founding.sites.iter().map(|site| site.name.as_str());
    let sites: Vec<_> = founded.zip(&app.shared.metrics.sites).collect();
    page.family("madang_starts_total");
    for (site, of) in &sites {
        page.count(&[("site", site)], of.starts.get());
    }
    page.family("madang_runs_ended_total");
    for (site, of) in &sites {
        for (outcome, ended) in OUTCOMES.iter().zip(&of.ended) {
            page.count(&[("site", site), ("outcome", outcome)], ended.get());
        }
    }
    page.family("madang_stops_total");
    for (site, of) in &sites {
        for (cause, stops) in CAUSES.iter().zip(&of.stops) {
            page.count(&[("site", site), ("cause", cause)], stops.get());
        }
    }
    page.family("madang_lost_gpu_seconds_total");
    for (site, of) in &sites {
        let loses = |name: &str| matches!(name, "node_failed" | "launch_failed" | "preempted");
        for (outcome, lost) in OUTCOMES.iter().zip(&of.lost_micros).filter(|(name, _)| loses(name)) {
            page.seconds(&[("site", site), ("outcome", outcome)], lost.get().into());
        }
    }
    page.family("madang_queue_wait_seconds");
    for (site, of) in &sites {
        page.histogram(&[("site", site)], &of.wait);
    }
}

fn of_cycles(metrics: &Metrics, centre: &Centre, page: &mut Page) {
    page.family("madang_step_seconds").histogram(&[], &metrics.step);
    let work = centre.work();
    page.family("madang_cycles_total").count(&[], work.cycles);
    page.family("madang_cycle_tries_total").count(&[], work.tries);
    page.family("madang_cycle_starts_total").count(&[], work.starts);
    page.family("madang_cycle_backfilled_total").count(&[], work.backfilled);
    page.family("madang_cycle_stops_total").count(&[], work.stops);
    let promises = centre.scheduler().map_or(0, |sched| sched.promises().count());
    page.family("madang_promises").count(&[], promises as u64);
    let (kept, broken) = centre.promises_kept();
    page.family("madang_promises_ended_total").count(&[("how", "kept")], kept).count(&[("how", "broken")], broken);
}

fn of_store(app: &App, page: &mut Page) {
    let (metrics, head) = (&app.shared.metrics, *app.shared.head.lock());
    page.family("madang_journal_entries_total").count(&[], head.seq);
    page.family("madang_journal_inputs_total").count(&[], head.inputs);
    page.family("madang_journal_append_seconds").histogram(&[], &metrics.append);
    page.family("madang_journal_commit_seconds").histogram(&[], &metrics.commit);
    let behind = head.inputs.saturating_sub(metrics.snapshot_inputs.load(Ordering::Relaxed));
    page.family("madang_snapshot_behind_inputs").count(&[], behind);
    page.family("madang_snapshot_age_seconds");
    if let Some(age) = metrics.since(metrics.snapshot_at.load(Ordering::Relaxed)) {
        page.seconds(&[], age.as_micros());
    }
    page.family("madang_snapshot_failures_total").count(&[], metrics.snapshot_failures.get());
}

/// Routes appear when they are first asked for.
fn of_http(app: &App, page: &mut Page) {
    let named = OPERATIONS.iter().map(|operation| (operation.method, operation.path)).chain([("any", "other")]);
    let routes: Vec<_> = named.zip(&app.shared.metrics.routes).filter(|(_, of)| of.took.micros() > 0).collect();
    page.family("madang_http_requests_total");
    for ((method, route), of) in &routes {
        for (class, count) in CLASSES.iter().zip(&of.classes).filter(|(_, count)| count.get() > 0) {
            page.count(&[("method", method), ("route", route), ("status", class)], count.get());
        }
    }
    page.family("madang_http_request_seconds");
    for ((method, route), of) in &routes {
        page.histogram(&[("method", method), ("route", route)], &of.took);
    }
    page.family("madang_event_streams").count(&[], app.open_streams());
}
