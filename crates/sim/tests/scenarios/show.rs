//! What a story shows of a centre: queue, reasons, ledger, shares, as small tables.
use crate::teller::Teller;
use madang_centre::Centre;
use madang_ledger::Account;
use madang_model::{Allocation, Blocked, Job, JobId, JobState, Time};

/// Node names and how many devices on each.
pub fn nodes(centre: &Centre, on: &Allocation) -> String {
    let Some(founding) = centre.founding() else { return String::new() };
    let slot =
        |slot: &madang_model::Slot| format!("{}:{}", founding.nodes[slot.node.index()].name, slot.devices.count_ones());
    on.slots.iter().map(slot).collect::<Vec<_>>().join(" ")
}

/// Jobs that are not over, and what is left of arrays.
pub fn queue(teller: &Teller) -> Vec<String> {
    let centre = &teller.centre;
    let row = |job: &Job| {
        let name = match job.task {
            Some((array, task)) => format!("{array}_{task}"),
            None => job.id.to_string(),
        };
        let state = match &job.state {
            JobState::Pending { .. } => format!("waits: {}", reason(teller, &centre.why(job.id))),
            JobState::Starting { on, .. } => format!("starts on {}", nodes(centre, on)),
            JobState::Running { on, until, .. } => {
                format!("runs on {} until {}", nodes(centre, on), at(teller, *until))
            }
            JobState::Completing { cause, .. } => format!("leaves: {cause:?}"),
            JobState::Ended { .. } => return None,
        };
        Some(format!("{name:<10} {:<8} {state}", job.spec.name))
    };
    let mut rows: Vec<String> = centre.jobs().filter_map(row).collect();
    for record in centre.arrays().filter(|record| record.waiting() > 0) {
        let why = reason(teller, &centre.why(record.id));
        rows.push(format!(
            "{:<10} {:<8} {} more tasks wait: {why}",
            record.id.to_string(),
            record.spec.name,
            record.waiting()
        ));
    }
    if rows.is_empty() {
        rows.push("nothing waits or runs".into());
    }
    rows
}

/// All that blocks a job, its promise, and the smallest change that starts it.
pub fn why(teller: &Teller, id: JobId) -> Vec<String> {
    let Some(explanation) = teller.centre.explain(teller.now, id) else {
        return vec![format!("{id} waits: {}", reason(teller, &teller.centre.why(id)))];
    };
    let mut lines: Vec<String> = explanation.why.iter().map(|why| format!("waits: {}", reason(teller, why))).collect();
    lines.push(format!("{} rank before it", explanation.ahead));
    if let Some(promise) = &explanation.promise {
        lines.push(format!("promised: by {} on {}", at(teller, promise.start), nodes(&teller.centre, &promise.on)));
    }
    if let Some(change) = explanation.change {
        lines.push(format!("would start now with {change:?}"));
    }
    lines
}

/// Each project's awards and debts.
pub fn ledger(centre: &Centre) -> Vec<String> {
    let book = centre.book();
    let mut lines = Vec::new();
    for project in centre.projects() {
        for award in &project.awards {
            let [free, held, spent] = [Account::Free(award.id), Account::Held(award.id), Account::Spent(award.id)]
                .map(|account| book.balance(account).0);
            lines.push(format!(
                "{} {}: granted {}, spent {spent}, held {held}, free {free}",
                project.name, award.id, award.granted
            ));
        }
        let owes = book.balance(Account::Owes(project.id)).1;
        lines.push(format!("{} owes {owes}", project.name));
    }
    lines
}

/// What each owner and project is entitled to and has.
pub fn shares(teller: &Teller) -> Vec<String> {
    let centre = &teller.centre;
    let percent = |points: u32| format!("{}.{:02}%", points / 100, points % 100);
    let line = |standing: madang_sched::Standing| {
        let party = |id: madang_model::PartyId| {
            centre.founding().map_or(String::new(), |founding| founding.parties[id.index()].name.clone())
        };
        let name = match standing.project {
            Some(project) => format!("  {}", centre.projects()[project.index()].name),
            None => party(standing.owner),
        };
        let (entitled, used) = (percent(standing.entitled), percent(standing.used));
        format!(
            "{name:<10} entitled {entitled:>7} used {used:>7} holds {:>3} GPUs, {:>3} wait",
            standing.gpus, standing.waiting
        )
    };
    centre.standing(teller.now).into_iter().map(line).collect()
}

fn at(teller: &Teller, time: Time) -> String {
    format!("+{}", time.since(teller.founded))
}

fn reason(teller: &Teller, why: &Blocked) -> String {
    match why {
        Blocked::Fresh => "not looked at yet".into(),
        Blocked::Resources { fitting, wanted } => format!("{fitting} of {wanted} nodes have room"),
        Blocked::Domain { level, fitting, wanted, .. } => {
            format!("{fitting} of {wanted} have room in one {}", level.as_deref().unwrap_or("domain"))
        }
        Blocked::Priority { behind: Some(job) } => format!("behind {job}"),
        Blocked::Priority { behind: None } => "others come first".into(),
        Blocked::Budget { needs, left } => format!("needs {needs}, {left} left"),
        Blocked::NoAward => "no award covers the present".into(),
        Blocked::Never => "no nodes could ever hold it".into(),
        Blocked::NodesUnavailable => "too many nodes are drained or down".into(),
        Blocked::Reserved { by, from } => format!("for {by}, whose window begins at {}", at(teller, *from)),
        Blocked::ReservationOver { by } => format!("for {by}, which is over"),
        Blocked::Dependency { on } => format!("for {on}"),
        Blocked::DependencyNever { on } => format!("for {on}, which never comes"),
        Blocked::Begin { at: begin } => format!("until {}", at(teller, *begin)),
        Blocked::Held => "held".into(),
        Blocked::ArrayLimit => "the array's limit is reached".into(),
        Blocked::OwnerLimit { holds, most } => format!("its owner holds {holds} and may hold {most}"),
    }
}
