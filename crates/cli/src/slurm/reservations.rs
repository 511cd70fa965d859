//! Reservations in Slurm's words: `scontrol create|show|delete reservation`, `sinfo -T`.
use crate::client::{Client, escape};
use crate::fail::{Fail, print};
use crate::time::{Limit, limit, local, long_length, moment, now_ms};
use madang_api::{ReservationKind, ReservationSpec, ReservationView};
use madang_engine::hostlist;

/// `scontrol create reservation ReservationName=x StartTime=now Duration=60 Nodes=n[1-4] Flags=MAINT,DAILY`.
pub fn create(words: &[&str]) -> Result<u8, Fail> {
    let spec = spec(words, now_ms())?;
    let client = Client::find(&Default::default())?;
    let made: ReservationView = client.post("/reservations", &spec)?;
    print(&format!("Reservation created: {}\n", made.name));
    Ok(0)
}

fn spec(words: &[&str], now: u64) -> Result<ReservationSpec, Fail> {
    let mut spec = ReservationSpec { kind: ReservationKind::Projects, ..ReservationSpec::default() };
    let (mut start, mut end, mut length, mut comment) = (None, None, None, None);
    for word in words {
        let Some((name, value)) = word.split_once('=') else {
            return Err(Fail::new(format!("Error parsing: {word}")));
        };
        let list = || value.split(',').filter(|item| !item.is_empty()).map(str::to_owned).collect::<Vec<_>>();
        let wrong = || Fail::new(format!("Invalid value for {name}: {value}"));
        match name.to_ascii_lowercase().as_str() {
            "reservation" | "reservationname" => value.clone_into(&mut spec.name),
            "starttime" => start = Some(moment(value, now).ok_or_else(wrong)?),
            "endtime" => end = Some(moment(value, now).ok_or_else(wrong)?),
            "duration" => {
                let Some(Limit::Secs(secs)) = limit(value) else { return Err(wrong()) };
                length = Some(secs);
            }
            "nodes" if value.eq_ignore_ascii_case("all") => {
                return Err(Fail::new("Nodes=ALL is not supported: name them, or give NodeCnt and Features"));
            }
            "nodes" => spec.nodes = hostlist::expand(value).map_err(|error| error.to_string())?,
            "nodecnt" => spec.count = Some(value.parse().map_err(|_| wrong())?),
            "accounts" => spec.projects = list(),
            "flags" => flags(&mut spec, value)?,
            "comment" => comment = Some(value.to_owned()),
            other => return Err(Fail::new(format!("{other} of a reservation is not supported here"))),
        }
    }
    let from = start.ok_or_else(|| Fail::new("A start time must be given.  No reservation created."))?;
    let until = end.or(length.map(|secs| from.saturating_add(secs.saturating_mul(1000))));
    spec.until_ms =
        until.ok_or_else(|| Fail::new("An end time or duration must be given.  No reservation created."))?;
    spec.from_ms = Some(from);
    if spec.name.is_empty() {
        return Err(Fail::new("ReservationName must be given.  No reservation created."));
    }
    let maintenance = spec.kind == ReservationKind::Maintenance;
    spec.reason = comment.unwrap_or_else(|| if maintenance { "maintenance" } else { "reserved" }.into());
    Ok(spec)
}

fn flags(spec: &mut ReservationSpec, value: &str) -> Result<(), Fail> {
    for flag in value.split(',') {
        match flag.to_ascii_uppercase().as_str() {
            "MAINT" => spec.kind = ReservationKind::Maintenance,
            "IGNORE_JOBS" => spec.ignore_running = true,
            "DAILY" => spec.every_secs = Some(86_400),
            "WEEKLY" => spec.every_secs = Some(604_800),
            // Nodes are chosen once and never change, so these two say nothing new.
            "SPEC_NODES" | "STATIC_ALLOC" | "" => {}
            other => return Err(Fail::new(format!("Flags={other} of a reservation is not supported here"))),
        }
    }
    Ok(())
}

/// `scontrol delete ReservationName=x`.
pub fn delete(words: &[&str]) -> Result<u8, Fail> {
    let named = |word: &str| {
        let (name, value) = word.split_once('=')?;
        ["reservation", "reservationname"].contains(&name.to_ascii_lowercase().as_str()).then(|| value.to_owned())
    };
    let name = match words {
        [word] => named(word),
        [entity, name] if entity.eq_ignore_ascii_case("reservation") => Some((*name).to_owned()),
        _ => None,
    };
    let name = name.ok_or_else(|| Fail::new("Invalid option for delete command: ReservationName=NAME"))?;
    let client = Client::find(&Default::default())?;
    let _: serde_json::Value = client.delete(&format!("/reservations/{}", escape(&name)))?;
    Ok(0)
}

/// `scontrol show reservation [NAME]`.
pub fn show(name: Option<&str>, one_line: bool) -> Result<u8, Fail> {
    let mut all = all(&Client::find(&Default::default())?)?;
    all.retain(|one| name.is_none_or(|name| one.name == name));
    match (all.is_empty(), name) {
        (true, Some(name)) => {
            print(&format!("Reservation {name} not found\n"));
            return Ok(1);
        }
        (true, None) => print("No reservations in the system\n"),
        _ => print(&all.iter().map(|one| block(one, one_line)).collect::<String>()),
    }
    Ok(0)
}

fn all(client: &Client) -> Result<Vec<ReservationView>, Fail> {
    client.list("/reservations")
}

fn block(one: &ReservationView, one_line: bool) -> String {
    let mut flags = Vec::new();
    flags.extend((one.kind == ReservationKind::Maintenance).then_some("MAINT"));
    flags.extend(match one.every_secs {
        Some(86_400) => Some("DAILY"),
        Some(604_800) => Some("WEEKLY"),
        _ => None,
    });
    flags.push("SPEC_NODES");
    let null = |text: String| if text.is_empty() { "(null)".to_owned() } else { text };
    let length = long_length(one.until_ms.saturating_sub(one.from_ms) / 1000);
    let cap = match (one.most_nodes, one.most_gpus) {
        (Some(most), _) => format!(" MaxNodes={most} Site={}", one.site.as_deref().unwrap_or_default()),
        (_, Some(most)) => format!(" MaxGPUs={most} Site={}", one.site.as_deref().unwrap_or_default()),
        _ => String::new(),
    };
    let lines = [
        format!(
            "ReservationName={} StartTime={} EndTime={} Duration={length}",
            one.name,
            local(one.from_ms),
            local(one.until_ms)
        ),
        format!(
            "Nodes={} NodeCnt={} Features=(null) PartitionName=(null) Flags={}{cap}",
            null(hostlist::compress(&one.nodes)),
            one.nodes.len(),
            flags.join(",")
        ),
        format!(
            "Users=(null) Accounts={} Licenses=(null) State={}",
            null(one.projects.join(",")),
            if one.active { "ACTIVE" } else { "INACTIVE" }
        ),
        format!("Comment={}", one.reason),
    ];
    if one_line { format!("{}\n", lines.join(" ")) } else { format!("{}\n\n", lines.join("\n   ")) }
}

/// `sinfo -T`.
pub fn table(no_header: bool) -> Result<u8, Fail> {
    let all = all(&Client::find(&Default::default())?)?;
    let wide = all.iter().map(|one| one.name.len()).max().unwrap_or(0).max(9);
    if all.is_empty() {
        print("No reservations in the system\n");
        return Ok(0);
    }
    if !no_header {
        let head = ["RESV_NAME", "STATE", "START_TIME", "END_TIME", "DURATION", "NODELIST"];
        let [name, state, start, end, length, nodes] = head;
        print(&format!("{name:<wide$} {state:>8} {start:>20} {end:>20} {length:>11}  {nodes}\n"));
    }
    for one in &all {
        let state = if one.active { "ACTIVE" } else { "INACTIVE" };
        let length = long_length(one.until_ms.saturating_sub(one.from_ms) / 1000);
        let (start, end, nodes) = (local(one.from_ms), local(one.until_ms), hostlist::compress(&one.nodes));
        print(&format!("{:<wide$} {state:>8} {start:>20} {end:>20} {length:>11}  {nodes}\n", one.name));
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<String, String> {
        let words: Vec<&str> = line.split(' ').collect();
        let spec = spec(&words, 1_000_000).map_err(|fail| fail.fact)?;
        Ok(serde_json::to_string(&spec).expect("JSON").replace('"', ""))
    }

    #[test]
    fn slurms_words_are_read() {
        let daily = "ReservationName=m StartTime=now Duration=60 Nodes=n[1-2] Flags=MAINT,IGNORE_JOBS,DAILY";
        let want = "{name:m,kind:maintenance,reason:maintenance,nodes:[n1,n2],from_ms:1000000,until_ms:4600000,\
                    every_secs:86400,ignore_running:true}";
        assert_eq!(read(daily), Ok(want.into()));
        let course = "reservation=c starttime=now endtime=now+2hours nodecnt=4 accounts=a,b comment=course";
        let want = "{name:c,kind:projects,reason:course,count:4,projects:[a,b],from_ms:1000000,until_ms:8200000}";
        assert_eq!(read(course), Ok(want.into()));
        for (line, want) in [
            ("ReservationName=m Duration=60", "A start time must be given.  No reservation created."),
            ("ReservationName=m StartTime=now", "An end time or duration must be given.  No reservation created."),
            ("StartTime=now Duration=60", "ReservationName must be given.  No reservation created."),
            ("StartTime=now Duration=60 Flags=FLEX", "Flags=FLEX of a reservation is not supported here"),
            ("Duration=x", "Invalid value for Duration: x"),
            ("BurstBuffer=x", "burstbuffer of a reservation is not supported here"),
            ("now", "Error parsing: now"),
        ] {
            assert_eq!(read(line), Err(want.into()), "{line}");
        }
    }
}
