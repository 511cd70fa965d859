//! GPU jobs on a machine of nodes, under the centre and the field's policies.
use super::variant::Variant;
use super::{Simulate, beside, machine, output, write};
use crate::commands::Context;
use crate::fail::{Fail, USAGE};
use madang_server::store::past::Past;
use madang_sim::report::{Case, Report, Tried, html};
use madang_sim::trial::{self, Policy};
use std::io::{IsTerminal as _, Write as _};
use std::time::Instant;

/// Where jobs come from.
pub enum Source<'a> {
    /// A file's content.
    File(&'a [u8]),
    /// A recipe by its name.
    Recipe(&'a str),
    /// What a centre's data folder says of its past.
    Past(&'a Past),
}

/// Simulates and says how it went.
pub fn simulate(context: &Context, simulate: &Simulate, source: &Source) -> Result<u8, Fail> {
    let policies = policies(simulate)?;
    let seeds = simulate.seed..simulate.seed.saturating_add(simulate.seeds);
    let cases = seeds.map(|seed| machine::case(simulate, source, seed)).collect::<Result<Vec<Case>, Fail>>()?;
    let tried = policies.iter().map(|policy| tried(policy, &cases)).collect::<Result<Vec<Tried>, Fail>>()?;
    if let Some(path) = &simulate.report {
        let command = command();
        let version = env!("CARGO_PKG_VERSION");
        write(path, &html(&Report { cases: &cases, tried: &tried, command: &command, version }))?;
    }
    if let Some(path) = &simulate.csv {
        write(path, &output::csv(&cases, &tried))?;
    }
    if let Some(path) = &simulate.swf {
        logs(path, &cases, &tried)?;
    }
    context.show(&output::json(&cases, &tried), |_| output::summary(&cases, &tried, simulate.compares()))
}

/// The policies asked for; all where they are to be compared and none is named.
fn policies(simulate: &Simulate) -> Result<Vec<Variant>, Fail> {
    if simulate.compare.as_ref().is_some_and(Vec::is_empty) && simulate.policy.is_empty() && simulate.elastic.is_none()
    {
        return Ok(Policy::all().map(Variant::plain).collect());
    }
    let one = |name: &String| {
        let variant = Variant::named(name).map_err(|fact| Fail::new(fact).exit(USAGE))?;
        variant.ok_or_else(|| {
            let known: Vec<&str> = Policy::all().map(Policy::name).collect();
            Fail::new(format!("policy {name} is for interchangeable processors, this machine has nodes"))
                .hint(format!("on nodes there are {}", known.join(", ")))
                .exit(USAGE)
        })
    };
    simulate.policies("madang").iter().map(one).collect()
}

fn tried(policy: &Variant, cases: &[Case]) -> Result<Tried, Fail> {
    let mut tried =
        Tried { name: policy.name.clone(), about: policy.about(), outcomes: Vec::new(), figures: Vec::new() };
    for case in cases {
        let outcome = one(policy, case)?;
        tried.figures.push(trial::figures(&case.workload, &case.machine, &outcome));
        tried.outcomes.push(outcome);
    }
    Ok(tried)
}

/// One trial, with progress where somebody looks.
fn one(policy: &Variant, case: &Case) -> Result<trial::Outcome, Fail> {
    let shown = std::io::stderr().is_terminal();
    let (all, begun) = (case.workload.jobs.len(), Instant::now());
    let tell = |ended: usize| {
        if shown {
            let left = begun.elapsed().as_secs() * (all.saturating_sub(ended)) as u64 / ended.max(1) as u64;
            let eta = if ended == 0 { String::new() } else { format!(", about {left} s to go") };
            // A terminal that cannot be written to is no reason to stop.
            let _ =
                write!(std::io::stderr(), "\r{}, seed {}: {ended} of {all} jobs{eta}\x1b[K", policy.name, case.seed);
        }
    };
    tell(0);
    let outcome = policy.run(case, &mut |ended| tell(ended));
    if shown {
        let _ = write!(std::io::stderr(), "\r\x1b[K");
    }
    outcome.map_err(|refusal| {
        let fail = Fail::new(refusal.to_string());
        match refusal {
            trial::Refusal::TooLarge { .. } => fail.hint("a larger machine: --nodes N and --gpus-per-node G"),
            trial::Refusal::Never(_) => fail.hint("let owners borrow more: kueue:borrow=GPUS or kueue:borrow=yes"),
            trial::Refusal::Centre(_) => fail,
        }
    })
}

fn logs(path: &std::path::Path, cases: &[Case], tried: &[Tried]) -> Result<(), Fail> {
    for policy in tried {
        for (case, outcome) in cases.iter().zip(&policy.outcomes) {
            let word = match (tried.len(), cases.len()) {
                (1, 1) => None,
                (_, 1) => Some(policy.name.clone()),
                _ => Some(format!("{}-{}", policy.name, case.seed)),
            };
            let path = word.map_or_else(|| path.to_path_buf(), |word| beside(path, &word));
            write(&path, &output::swf(case, &policy.name, outcome))?;
        }
    }
    Ok(())
}

/// The command as it was typed, so that it can be typed again.
fn command() -> String {
    let plain = |word: &str| word.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:=,%+".contains(c));
    let quoted = |word: String| if plain(&word) { word } else { format!("'{}'", word.replace('\'', "'\\''")) };
    let words = std::env::args().skip(1).map(quoted);
    std::iter::once("madang".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}
