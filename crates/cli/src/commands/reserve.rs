//! `madang reserve`: nodes and capacity booked in time.
use super::Context;
use crate::client::escape;
use crate::fail::{Fail, print};
use crate::table::Table;
use crate::time::{Limit, limit, local, moment, now_ms, short_length};
use clap::Args;
use madang_api::{ReservationKind, ReservationSpec, ReservationView};
use madang_engine::hostlist;
use serde_json::Value;

/// `madang reserve …`.
#[derive(Debug, clap::Subcommand)]
pub enum Reserve {
    /// Book nodes: for maintenance, or for projects whose jobs name it
    Create(Box<Create>),
    /// Allow no more than so much of a site to be in use
    Cap(Box<Cap>),
    /// Reservations that are not over
    List,
    /// One reservation
    Show {
        /// Its name
        name: String,
    },
    /// Cancel a reservation
    Cancel {
        /// Its name
        name: String,
    },
}

/// When.
#[derive(Debug, Args)]
struct Times {
    /// Begin: now, 22:00, now+2hours, 2026-12-01T08:00
    #[arg(long, default_value = "now")]
    from: String,
    /// How long: 90m, 8h, 2d
    #[arg(long = "for", value_name = "LENGTH", conflicts_with = "until", required_unless_present = "until")]
    length: Option<String>,
    /// End, written like the begin
    #[arg(long)]
    until: Option<String>,
    /// Again every day, week, or 12h
    #[arg(long)]
    every: Option<String>,
    /// No window begins after this; with --every [default: a year after the first]
    #[arg(long, requires = "every")]
    last: Option<String>,
    /// Why, for everyone to read
    #[arg(long, short)]
    reason: String,
    /// Make it although running jobs are in its way; they are left alone
    #[arg(long)]
    ignore_running: bool,
}

/// `madang reserve create`.
#[derive(Debug, Args)]
pub struct Create {
    /// Its name
    name: String,
    /// Nodes by name, as in here[1-4]
    #[arg(long, conflicts_with_all = ["count", "site", "island", "gpu_model"])]
    nodes: Option<String>,
    /// How many nodes, chosen now [default: all of the site, island and model]
    #[arg(long)]
    count: Option<u32>,
    /// Nodes of this site
    #[arg(long)]
    site: Option<String>,
    /// Nodes of this island
    #[arg(long)]
    island: Option<String>,
    /// Nodes with this GPU model
    #[arg(long)]
    gpu_model: Option<String>,
    /// Nobody starts on them
    #[arg(long, required_unless_present_any = ["project", "owner"], conflicts_with_all = ["project", "owner"])]
    maintenance: bool,
    /// Jobs of this project may name it; may be given again
    #[arg(long)]
    project: Vec<String>,
    /// Jobs of all projects of this owner may name it; may be given again
    #[arg(long)]
    owner: Vec<String>,
    #[command(flatten)]
    times: Times,
}

/// `madang reserve cap`.
#[derive(Debug, Args)]
pub struct Cap {
    /// Its name
    name: String,
    /// The site
    #[arg(long)]
    site: String,
    /// Most GPUs in use
    #[arg(long, conflicts_with = "nodes", required_unless_present = "nodes")]
    gpus: Option<u32>,
    /// Most nodes in use
    #[arg(long)]
    nodes: Option<u32>,
    #[command(flatten)]
    times: Times,
}

/// Runs it.
pub fn reserve(context: &Context, command: Reserve) -> Result<u8, Fail> {
    let client = context.client()?;
    let spec = match command {
        Reserve::List => {
            let all: Vec<ReservationView> = client.list("/reservations")?;
            return context.show(&all, |all| table(all));
        }
        Reserve::Show { name } => {
            let all: Vec<ReservationView> = client.list("/reservations")?;
            let one = all.into_iter().find(|one| one.name == name);
            let one = one.ok_or_else(|| Fail::new(format!("no reservation is named {name}")))?;
            return context.show(&one, text);
        }
        Reserve::Cancel { name } => {
            let _: Value = client.delete(&format!("/reservations/{}", escape(&name)))?;
            if !context.json {
                print(&format!("reservation {name} is cancelled\n"));
            }
            return Ok(0);
        }
        Reserve::Create(create) => create.spec()?,
        Reserve::Cap(cap) => cap.spec()?,
    };
    let made: ReservationView = client.post("/reservations", &spec)?;
    context.show(&made, text)
}

impl Create {
    fn spec(self) -> Result<ReservationSpec, Fail> {
        let nodes = self.nodes.as_deref().map(hostlist::expand).transpose().map_err(|error| error.to_string())?;
        let kind = if self.maintenance { ReservationKind::Maintenance } else { ReservationKind::Projects };
        let spec = ReservationSpec {
            name: self.name,
            kind,
            nodes: nodes.unwrap_or_default(),
            count: self.count,
            site: self.site,
            island: self.island,
            gpu_model: self.gpu_model,
            projects: self.project,
            owners: self.owner,
            ..ReservationSpec::default()
        };
        self.times.put(spec, now_ms())
    }
}

impl Cap {
    fn spec(self) -> Result<ReservationSpec, Fail> {
        let (most_nodes, most_gpus) = (self.nodes, self.gpus);
        let (kind, site) = (ReservationKind::Cap, Some(self.site));
        let spec = ReservationSpec { name: self.name, kind, site, most_nodes, most_gpus, ..ReservationSpec::default() };
        self.times.put(spec, now_ms())
    }
}

impl Times {
    fn put(self, spec: ReservationSpec, now: u64) -> Result<ReservationSpec, Fail> {
        let from = at(&self.from, now)?;
        let until_ms = match (&self.length, &self.until) {
            (Some(length), _) => from.saturating_add(secs(length)?.saturating_mul(1000)),
            (None, Some(until)) => at(until, from)?,
            (None, None) => from,
        };
        Ok(ReservationSpec {
            from_ms: Some(from),
            until_ms,
            every_secs: self.every.as_deref().map(every).transpose()?,
            last_ms: self.last.as_deref().map(|last| at(last, now)).transpose()?,
            reason: self.reason,
            ignore_running: self.ignore_running,
            ..spec
        })
    }
}

fn at(text: &str, now: u64) -> Result<u64, Fail> {
    let wrong =
        || Fail::new(format!("{text} is not a moment")).hint("write it as now+2hours, 22:00 or 2026-12-01T08:00");
    moment(text, now).ok_or_else(|| wrong().exit(2))
}

fn secs(text: &str) -> Result<u64, Fail> {
    match limit(text) {
        Some(Limit::Secs(secs)) => Ok(secs),
        _ => Err(Fail::new(format!("{text} is not a length")).hint("write it as 90m, 8h or 2d").exit(2)),
    }
}

fn every(text: &str) -> Result<u64, Fail> {
    match text {
        "day" => Ok(86_400),
        "week" => Ok(7 * 86_400),
        other => secs(other),
    }
}

/// What it is of, in few words.
fn what(one: &ReservationView) -> String {
    match (one.most_nodes, one.most_gpus) {
        (Some(most), _) => format!("at most {most} nodes of {}", one.site.as_deref().unwrap_or_default()),
        (_, Some(most)) => format!("at most {most} GPUs of {}", one.site.as_deref().unwrap_or_default()),
        _ => hostlist::compress(&one.nodes),
    }
}

fn kind(one: &ReservationView) -> &'static str {
    match one.kind {
        ReservationKind::Maintenance => "maintenance",
        ReservationKind::Projects => "projects",
        ReservationKind::Cap => "cap",
    }
}

fn repeats(one: &ReservationView) -> String {
    match one.every_secs {
        None => "once".into(),
        Some(86_400) => "daily".into(),
        Some(604_800) => "weekly".into(),
        Some(secs) => format!("every {}", short_length(secs)),
    }
}

fn table(all: &[ReservationView]) -> String {
    let mut table = Table::new(&["RESERVATION", "KIND", "NOW", "FROM", "UNTIL", "REPEATS", "OF", "REASON"]);
    for one in all {
        table.row(vec![
            one.name.clone(),
            kind(one).into(),
            if one.active { "open" } else { "ahead" }.into(),
            local(one.from_ms),
            local(one.until_ms),
            repeats(one),
            what(one),
            one.reason.clone(),
        ]);
    }
    table.text()
}

fn text(one: &ReservationView) -> String {
    let mut lines = vec![
        format!("reservation {} ({})", one.name, kind(one)),
        format!("{}: {} to {}", if one.active { "open" } else { "next" }, local(one.from_ms), local(one.until_ms)),
    ];
    if one.every_secs.is_some() {
        lines.push(format!("repeats: {}, until {}", repeats(one), local(one.ends_ms)));
    }
    lines.push(format!("of: {}", what(one)));
    let whom: Vec<&str> = one.projects.iter().chain(&one.owners).map(String::as_str).collect();
    if !whom.is_empty() {
        lines.push(format!("for: {}", whom.join(", ")));
    }
    if !one.jobs.is_empty() {
        let jobs: Vec<String> = one.jobs.iter().map(u64::to_string).collect();
        lines.push(format!("jobs: {}", jobs.join(" ")));
    }
    lines.push(format!("reason: {}", one.reason));
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(from: &str, length: Option<&str>, every: Option<&str>) -> Result<(u64, u64, Option<u64>), String> {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let times = Times {
            from: from.into(),
            length: owned(length),
            until: None,
            every: owned(every),
            last: None,
            reason: "test".into(),
            ignore_running: false,
        };
        let spec = times.put(ReservationSpec::default(), 1_000_000).map_err(|fail| fail.fact)?;
        Ok((spec.from_ms.unwrap_or(0), spec.until_ms, spec.every_secs))
    }

    #[test]
    fn moments_and_lengths_are_read_as_elsewhere() {
        assert_eq!(times("now", Some("90m"), None), Ok((1_000_000, 6_400_000, None)));
        assert_eq!(times("now+1hour", Some("2h"), Some("day")), Ok((4_600_000, 11_800_000, Some(86_400))));
        assert_eq!(times("now", Some("1d"), Some("week")), Ok((1_000_000, 87_400_000, Some(604_800))));
        assert_eq!(times("now", Some("1h"), Some("12h")), Ok((1_000_000, 4_600_000, Some(43_200))));
        assert_eq!(times("whenever", Some("1h"), None), Err("whenever is not a moment".into()));
        assert_eq!(times("now", Some("long"), None), Err("long is not a length".into()));
    }
}
