//! What is said of trials: a summary for people, JSON, each job as CSV or as a log.
use crate::table::Table;
use madang_model::Share;
use madang_sim::report::{Case, Tried, words};
use madang_sim::swf::{Log, Row};
use madang_sim::trial::{Bands, Figures, Group, How, Job, Outcome};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// A column of the summary: its heading, the figure, and how it is said.
type Column = (&'static str, fn(&Figures) -> u64, fn(u64) -> String);

const COLUMNS: [Column; 9] = [
    (">MEAN WAIT", |f| f.all.mean_wait.secs(), words::time),
    (">P99 WAIT", |f| f.all.p99_wait.secs(), words::time),
    (">SLOWDOWN", |f| f.all.slowdown, words::ratio),
    (">HELD", |f| f.utilisation, words::per_cent),
    (">COUNTED", |f| f.goodput, words::per_cent),
    (">UNMET", |f| f.unmet, words::gpu_hours),
    (">TAKEN BACK", |f| f.taken_back, words::whole),
    (">LOST", |f| f.lost_back + f.lost_nodes, words::gpu_hours),
    (">STRANDED", |f| f.stranded, words::per_cent),
];

/// The mean, with the distance to the farther end of the band.
fn cell(tried: &Tried, (_, figure, say): &Column) -> String {
    let bands = Bands::of(tried.figures.iter().map(figure));
    let off = (bands.most - bands.mean).max(bands.mean - bands.least);
    if off == 0 { say(bands.mean) } else { format!("{} ±{}", say(bands.mean), say(off)) }
}

/// For people: one line a policy, or side by side one column a policy.
pub fn summary(cases: &[Case], tried: &[Tried], beside: bool) -> String {
    let (case, seeds) = (&cases[0], cases.len());
    let machine = &case.machine;
    let mut text = format!("{}; {} GPUs; {} jobs", machine.name, machine.gpus(), case.workload.jobs.len());
    let parts = case.workload.jobs.iter().filter(|job| job.share > 0).count();
    if parts > 0 {
        let _ = write!(text, ", {parts} of them of a part of a GPU");
    }
    let _ = if seeds > 1 {
        writeln!(text, "; {seeds} seeds from {}, ± is the farthest of them", case.seed)
    } else {
        writeln!(text, "; seed {}", case.seed)
    };
    text += "everything is modelled: nothing ran\n";
    for note in &case.workload.notes {
        let _ = writeln!(text, "- {note}");
    }
    let table = if beside { columns(tried) } else { lines(tried) };
    format!("{text}\n{}", table.text())
}

fn lines(tried: &[Tried]) -> Table {
    let header: Vec<&'static str> = std::iter::once("POLICY").chain(COLUMNS.map(|(name, ..)| name)).collect();
    let mut table = Table::new(&header);
    for tried in tried {
        let cells = COLUMNS.iter().map(|column| cell(tried, column));
        table.row(std::iter::once(tried.name.clone()).chain(cells).collect());
    }
    table
}

fn columns(tried: &[Tried]) -> Table {
    // A name with settings stands as it was written.
    let heading = |tried: &Tried| match tried.name.contains(':') {
        true => format!(">{}", tried.name),
        false => format!(">{}", tried.name.to_uppercase()),
    };
    let header: Vec<String> = std::iter::once("MEASURE".to_owned()).chain(tried.iter().map(heading)).collect();
    let mut table = Table::new(&header);
    for column in &COLUMNS {
        let cells = tried.iter().map(|tried| cell(tried, column));
        table.row(std::iter::once(column.0.trim_start_matches('>').to_lowercase()).chain(cells).collect());
    }
    table
}

/// Everything that is known of the trials, in whole numbers.
pub fn json(cases: &[Case], tried: &[Tried]) -> Value {
    let case = &cases[0];
    let of = |tried: &Tried| {
        let seeds: Vec<Value> = cases.iter().zip(&tried.figures).map(|(case, f)| figures(case.seed, f)).collect();
        json!({ "policy": tried.name, "seeds": seeds })
    };
    json!({
        "modelled": true,
        "workload": case.workload.name,
        "notes": case.workload.notes,
        "machine": case.machine.name,
        "nodes": case.machine.nodes(),
        "gpus": case.machine.gpus(),
        "jobs": case.workload.jobs.len(),
        "jobs_of_a_part_of_a_gpu": case.workload.jobs.iter().filter(|job| job.share > 0).count(),
        "policies": tried.iter().map(of).collect::<Vec<_>>(),
    })
}

fn figures(seed: u64, f: &Figures) -> Value {
    let groups = |groups: &[Group]| groups.iter().map(group).collect::<Vec<_>>();
    let share = |share: &madang_sim::trial::Share| {
        json!({
            "owner": share.name,
            "guarantee_gpus": share.guarantee,
            "entitled_gpu_secs": share.entitled,
            "delivered_gpu_secs": share.delivered,
            "unmet_gpu_secs": share.unmet,
        })
    };
    json!({
        "seed": seed,
        "all": group(&f.all),
        "by_size": groups(&f.by_size),
        "by_class": groups(&f.by_class),
        "by_owner": groups(&f.by_owner),
        "shares": f.shares.iter().map(share).collect::<Vec<_>>(),
        "utilisation_millionths": f.utilisation,
        "goodput_millionths": f.goodput,
        "taken_back": f.taken_back,
        "resized": f.resized,
        "lost_back_gpu_secs": f.lost_back,
        "lost_nodes_gpu_secs": f.lost_nodes,
        "stalled_gpu_secs": f.stalled,
        "unmet_gpu_secs": f.unmet,
        "largest_gang_gpus": f.largest_gang,
        "stranded_millionths": f.stranded,
        "left_of_shared_gpus_millionths": f.slivers,
        "promises_kept": f.promises.0,
        "promises_broken": f.promises.1,
        "makespan_millis": f.makespan.millis(),
    })
}

fn group(group: &Group) -> Value {
    json!({
        "name": group.name,
        "jobs": group.jobs,
        "mean_wait_millis": group.mean_wait.millis(),
        "median_wait_millis": group.median_wait.millis(),
        "p99_wait_millis": group.p99_wait.millis(),
        "longest_wait_millis": group.longest_wait.millis(),
        "bounded_slowdown_millionths": group.slowdown,
    })
}

/// What came of one job.
#[derive(Clone, Copy, Default)]
struct Fate {
    start: Option<u64>,
    end: u64,
    taken_back: u32,
    timed_out: bool,
}

/// In milliseconds, by job.
fn fates(case: &Case, outcome: &Outcome) -> Vec<Fate> {
    let mut fates = vec![Fate::default(); case.workload.jobs.len()];
    for run in &outcome.runs {
        let fate = &mut fates[run.job as usize];
        let start = run.start.millis();
        fate.start = Some(fate.start.map_or(start, |first| first.min(start)));
        fate.end = fate.end.max(run.end.millis());
        fate.taken_back += u32::from(run.how == How::TakenBack);
        fate.timed_out |= run.how == How::TimedOut;
    }
    for (at, job) in &outcome.withdrawn {
        fates[*job as usize].end = at.millis();
    }
    fates
}

/// Each job of each policy and seed; times in seconds since the first submission.
pub fn csv(cases: &[Case], tried: &[Tried]) -> String {
    let mut text =
        String::from("policy,seed,job,owner,submit,first_start,end,wait,runtime,nodes,gpus,taken_back,slowdown\n");
    for tried in tried {
        for (case, outcome) in cases.iter().zip(&tried.outcomes) {
            for (job, fate) in case.workload.jobs.iter().zip(fates(case, outcome)) {
                let owner = &case.workload.owners[job.owner as usize].name;
                let (submit, runtime) = (job.submit.millis(), job.runtime.millis());
                let turnaround = fate.end.saturating_sub(submit);
                let slowdown = (u128::from(turnaround) * 10_000 / u128::from(runtime.max(10_000))).max(10_000);
                let _ = writeln!(
                    text,
                    "{},{},{},{owner},{},{},{},{},{},{},{},{},{}.{:04}",
                    tried.name,
                    case.seed,
                    job.number,
                    secs(submit),
                    secs(fate.start.unwrap_or(fate.end)),
                    secs(fate.end),
                    secs(turnaround.saturating_sub(runtime)),
                    secs(runtime),
                    job.nodes,
                    gpus(job),
                    fate.taken_back,
                    slowdown / 10_000,
                    slowdown % 10_000
                );
            }
        }
    }
    text
}

/// GPUs on each node: whole ones, or as a decimal the part of one.
fn gpus(job: &Job) -> String {
    if job.share > 0 { Share::Milli(job.share).to_string() } else { job.gpus.to_string() }
}

/// Milliseconds as seconds, with decimals only where they are needed.
fn secs(millis: u64) -> String {
    if millis.is_multiple_of(1000) {
        (millis / 1000).to_string()
    } else {
        format!("{}.{:03}", millis / 1000, millis % 1000)
    }
}

/// The outcome as a log: a GPU is a processor, or where jobs ask for parts of GPUs a thousandth of one; an owner is a
/// group; waits hold time lost to runs taken back.
pub fn swf(case: &Case, policy: &str, outcome: &Outcome) -> String {
    let (each, unit) = if case.workload.has_parts() { (1, "a thousandth of a GPU") } else { (1000, "a GPU") };
    let mut header = vec![
        format!(" Simulated by madang: policy {policy}, seed {}; a processor is {unit}", case.seed),
        format!(" On {}", case.machine.name),
        format!(" MaxProcs: {}", case.machine.gpus() * 1000 / each),
    ];
    header.extend(case.workload.notes.iter().map(|note| format!(" Note: {note}")));
    let row = |(job, fate): (&Job, Fate)| {
        let whole = |millis: u64| (millis / 1000).cast_signed();
        let run = whole(job.runtime.millis());
        let status = if fate.timed_out { 5 } else { i64::from(!job.fails) };
        let wait = fate.end.saturating_sub(job.submit.millis()).saturating_sub(job.runtime.millis());
        let mut fields = [-1; 18];
        fields[0] = job.number.cast_signed();
        (fields[1], fields[2], fields[3]) = (whole(job.submit.millis()), whole(wait), run);
        let gang = (job.milli() / each).cast_signed();
        (fields[4], fields[7]) = (gang, gang);
        (fields[8], fields[10]) = (whole(job.limit.millis()), status);
        (fields[11], fields[12]) = (i64::from(job.user), i64::from(job.owner));
        of_fields(fields)
    };
    let rows = case.workload.jobs.iter().zip(fates(case, outcome)).map(row).collect();
    Log { header, rows }.text()
}

fn of_fields(at: [i64; 18]) -> Row {
    Row {
        job: at[0],
        submit: at[1],
        wait: at[2],
        run: at[3],
        allocated: at[4],
        cpu_time: -1,
        memory: -1,
        requested: at[7],
        time_requested: at[8],
        memory_requested: -1,
        status: at[10],
        user: at[11],
        group: at[12],
        executable: -1,
        queue: -1,
        partition: -1,
        preceding: -1,
        think: -1,
    }
}
