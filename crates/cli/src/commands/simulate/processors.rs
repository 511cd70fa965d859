//! A job log under textbook policies, on a machine of interchangeable processors.
use super::{Pass, Simulate, beside, write};
use crate::commands::Context;
use crate::fail::{Fail, USAGE};
use crate::table::Table;
use madang_sim::lab::{self, Input, Measures, Policy, decimal};
use madang_sim::swf::Log;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};

/// What the summary says the machine is: no nodes, no GPUs, no topology.
const MACHINE: &str = "machine of interchangeable processors";

/// One policy's outcome.
struct Outcome {
    policy: Policy,
    starts: Vec<u64>,
    measures: Measures,
}

/// Replays the log and says how it went.
pub fn simulate(context: &Context, simulate: &Simulate, bytes: &[u8]) -> Result<u8, Fail> {
    let name = &simulate.input;
    let log = Log::read(bytes).map_err(|wrong| Fail::new(format!("{name}: {wrong}")))?;
    let input = Input::of(&log).map_err(|refusal| Fail::new(format!("{name}: {refusal}")))?;
    let procs = procs(simulate, &log)?;
    let mut outcomes: Vec<Outcome> = Vec::new();
    for policy in policies(&simulate.policies("easy"))? {
        if outcomes.iter().all(|other| other.policy != policy) {
            outcomes.push(replay(policy, &input, procs, simulate.pass)?);
        }
    }
    if let Some(path) = &simulate.csv {
        write(path, &csv(&input, &outcomes))?;
    }
    if let Some(path) = &simulate.swf {
        for outcome in &outcomes {
            let path = if outcomes.len() > 1 { beside(path, outcome.policy.name()) } else { path.clone() };
            write(&path, &swf(&log, &input, outcome, procs, simulate.pass))?;
        }
    }
    context.show(&json_of(&input, &outcomes, procs, simulate.pass), |_| {
        let table = if simulate.compares() { side_by_side(&outcomes) } else { summary(&outcomes) };
        format!("{}\n{}", about(&input, procs, simulate.pass), table.text())
    })
}

fn policies(names: &[String]) -> Result<Vec<Policy>, Fail> {
    let one = |name: &String| {
        Policy::named(name).ok_or_else(|| {
            Fail::new(format!("policy {name} places gangs on nodes, this machine has interchangeable processors"))
                .hint("say which machine: --nodes N, or --centre FILE")
                .exit(USAGE)
        })
    };
    names.iter().map(one).collect()
}

fn procs(simulate: &Simulate, log: &Log) -> Result<u32, Fail> {
    let of_header = || log.figure(&["MaxProcs", "MaxNodes"]).and_then(|figure| u32::try_from(figure).ok());
    simulate.procs.or_else(of_header).filter(|procs| *procs > 0).ok_or_else(|| {
        Fail::new(format!("{} does not say how many processors there are", simulate.input))
            .hint("say it: --procs N")
            .exit(USAGE)
    })
}

fn replay(policy: Policy, input: &Input, procs: u32, pass: Pass) -> Result<Outcome, Fail> {
    let passes = match pass {
        Pass::Event => lab::Passes::EachEvent,
        Pass::Instant => lab::Passes::EachMoment,
    };
    let shown = std::io::stderr().is_terminal();
    let all = input.jobs.len();
    let mut seen = |ended: usize| {
        if shown {
            // A terminal that cannot be written to is no reason to stop.
            let _ = write!(std::io::stderr(), "\r{}: {ended} of {all} jobs\x1b[K", policy.name());
        }
    };
    let starts = lab::replay(&input.jobs, procs, policy, passes, &mut seen);
    if shown {
        let _ = write!(std::io::stderr(), "\r\x1b[K");
    }
    let starts = starts.map_err(|refusal| {
        let fail = Fail::new(refusal.to_string());
        if matches!(refusal, lab::Refusal::TooLarge { .. }) { fail.hint("a larger machine: --procs N") } else { fail }
    })?;
    let measures = Measures::of(&input.jobs, &starts, procs);
    Ok(Outcome { policy, starts, measures })
}

fn word(pass: Pass) -> &'static str {
    match pass {
        Pass::Event => "event",
        Pass::Instant => "instant",
    }
}

fn about(input: &Input, procs: u32, pass: Pass) -> String {
    let mut text = format!("{MACHINE}: {procs}; {} jobs; one pass per {}\n", input.jobs.len(), word(pass));
    if input.left_out > 0 {
        let _ = writeln!(text, "{} rows left out: they never ran or say no size", input.left_out);
    }
    if input.cut > 0 {
        let _ = writeln!(text, "{} jobs ran past the time they asked for: cut off there", input.cut);
    }
    text
}

/// What is said of an outcome: its name, and the figure as text.
fn figures(measures: &Measures) -> [(&'static str, String); 6] {
    [
        (">MEAN WAIT (s)", decimal(measures.mean_wait, 6, 3)),
        (">MEAN BOUNDED SLOWDOWN", decimal(measures.slowdown, 9, 4)),
        (">P99 WAIT (s)", measures.p99_wait.to_string()),
        (">LONGEST WAIT (s)", measures.longest_wait.to_string()),
        (">UTILISATION (%)", decimal(measures.utilisation, 4, 2)),
        (">MAKESPAN (s)", measures.makespan.to_string()),
    ]
}

fn summary(outcomes: &[Outcome]) -> Table {
    let names = figures(&Measures::default()).map(|(name, _)| name);
    let header: Vec<&'static str> = std::iter::once("POLICY").chain(names).collect();
    let mut table = Table::new(&header);
    for outcome in outcomes {
        let cells = figures(&outcome.measures).map(|(_, figure)| figure);
        table.row(std::iter::once(outcome.policy.name().to_owned()).chain(cells).collect());
    }
    table
}

/// One row a measure, one column a policy; behind the first, the difference from it in percent.
fn side_by_side(outcomes: &[Outcome]) -> Table {
    let heading = |policy: Policy| match policy {
        Policy::Fcfs => ">FCFS",
        Policy::Easy => ">EASY",
        Policy::EasyClairvoyant => ">EASY-CLAIRVOYANT",
        Policy::EasySjbf => ">EASY-SJBF",
        Policy::EasySjbfClairvoyant => ">EASY-SJBF-CLAIRVOYANT",
        Policy::Conservative => ">CONSERVATIVE",
    };
    let header: Vec<&'static str> =
        std::iter::once("MEASURE").chain(outcomes.iter().map(|outcome| heading(outcome.policy))).collect();
    let mut table = Table::new(&header);
    let raw = |m: &Measures| [m.mean_wait, m.slowdown, m.p99_wait, m.longest_wait, m.utilisation, m.makespan];
    for (at, (name, _)) in figures(&Measures::default()).iter().enumerate() {
        let name = name.trim_start_matches('>');
        let unit = name.find(" (").unwrap_or(name.len());
        let mut row = vec![format!("{}{}", name[..unit].to_lowercase(), &name[unit..])];
        for (column, outcome) in outcomes.iter().enumerate() {
            let figure = figures(&outcome.measures)[at].1.clone();
            let beside = change(raw(&outcomes[0].measures)[at], raw(&outcome.measures)[at]);
            row.push(if column == 0 { figure } else { format!("{figure} {beside}") });
        }
        table.row(row);
    }
    table
}

/// How far a figure is from another, in percent of that.
fn change(from: u64, to: u64) -> String {
    if from == 0 {
        return "(-)".to_owned();
    }
    let tenths = (u128::from(from.abs_diff(to)) * 1000 + u128::from(from) / 2) / u128::from(from);
    let sign = if to < from { '-' } else { '+' };
    format!("({sign}{}.{}%)", tenths / 10, tenths % 10)
}

fn json_of(input: &Input, outcomes: &[Outcome], procs: u32, pass: Pass) -> Value {
    let of = |outcome: &Outcome| {
        let m = &outcome.measures;
        json!({
            "policy": outcome.policy.name(),
            "jobs": m.jobs,
            "mean_wait_micros": m.mean_wait,
            "mean_bounded_slowdown": decimal(m.slowdown, 9, 9),
            "p99_wait_secs": m.p99_wait,
            "longest_wait_secs": m.longest_wait,
            "utilisation_millionths": m.utilisation,
            "makespan_secs": m.makespan,
        })
    };
    json!({
        "machine": MACHINE,
        "procs": procs,
        "pass": word(pass),
        "jobs": input.jobs.len(),
        "left_out": input.left_out,
        "cut": input.cut,
        "policies": outcomes.iter().map(of).collect::<Vec<_>>(),
    })
}

fn csv(input: &Input, outcomes: &[Outcome]) -> String {
    let mut text = String::from("policy,job,submit,start,end,wait,run,estimate,procs\n");
    for outcome in outcomes {
        for (job, start) in input.jobs.iter().zip(&outcome.starts) {
            let (policy, end, wait) = (outcome.policy.name(), start + u64::from(job.run), start - job.submit);
            let lab::Job { number, submit, run, estimate, procs } = job;
            let _ = writeln!(text, "{policy},{number},{submit},{start},{end},{wait},{run},{estimate},{procs}");
        }
    }
    text
}

fn swf(log: &Log, input: &Input, outcome: &Outcome, procs: u32, pass: Pass) -> String {
    let notes = [
        format!("Simulated by madang: waits of policy {}, one pass per {}", outcome.policy.name(), word(pass)),
        format!("On a {MACHINE}: {procs}"),
    ];
    input.log(log, &outcome.starts, &notes).text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_in_tenths_of_a_percent() {
        assert_eq!(change(2000, 1999), "(-0.1%)");
        assert_eq!(change(100, 250), "(+150.0%)");
        assert_eq!(change(0, 5), "(-)");
    }
}
