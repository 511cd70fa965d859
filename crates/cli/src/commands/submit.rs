//! `madang submit` and `madang run`: sbatch's options, by the same parser.
use super::Context;
use super::jobs::follow;
use crate::client::Client;
use crate::fail::{Fail, print};
use crate::slurm::ask::line_parts_of;
use crate::slurm::options::{Arg, Opt, SBATCH, opt};
use crate::slurm::srun::signals::Signals;
use crate::slurm::{jobtable, sbatch};
use madang_api::{Changed, JobView, Submitted};

/// Arguments as they stand: their options are sbatch's.
#[derive(Debug, clap::Args)]
pub struct Submit {
    /// [OPTIONS] SCRIPT [ARGS], or [OPTIONS] -- COMMAND [ARGS]
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    args: Vec<String>,
}

/// `--` as clap must not see it: it would take it away.
pub const DASHES: &str = "\u{1}--";

/// Submits; the context with what `--json` and `--data` among the options changed.
fn send(context: &Context, submit: &Submit) -> Result<Option<(Client, bool, Submitted)>, Fail> {
    let extra = [opt("json", '\0', Arg::No), opt("server", '\0', Arg::Needed), opt("data", '\0', Arg::Needed)];
    let table: Vec<Opt> = jobtable::TABLE.iter().copied().chain(extra).collect();
    let at = submit.args.iter().position(|arg| arg == DASHES);
    let (options, command) = match at {
        Some(at) => (&submit.args[..at], Some(&submit.args[at + 1..])),
        None => (&submit.args[..], None),
    };
    let (parts, operands) = line_parts_of(&table, SBATCH, options).map_err(|wrong| Fail::new(wrong.0))?;
    if crate::slurm::about("madang submit", jobtable::TABLE, SBATCH, &parts[0]).is_some() {
        return Ok(None);
    }
    let value =
        |name: &str| parts[0].iter().rev().find(|given| given.name == name).map(|given| given.text().to_owned());
    let wrap = value("wrap");
    let script = match command {
        Some([]) => return Err(Fail::new("no command after --").exit(crate::fail::USAGE)),
        Some(_) if !operands.is_empty() => return Err(Fail::new("a script and a command after -- are too many")),
        Some(words) => sbatch::Script {
            name: words[0].rsplit('/').next().unwrap_or("command").to_owned(),
            text: format!("#!/bin/sh\nexec {}\n", words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")),
            args: Vec::new(),
        },
        None => sbatch::read_script(wrap.as_deref(), operands)?,
    };
    let mut asked = sbatch::gather(&script, &parts, wrap.is_some())?;
    let mut place = context.place.clone();
    place.server = value("server").or(place.server);
    place.data = value("data").map(Into::into).or(place.data);
    let client = Client::find(&place)?;
    let mut submit = sbatch::complete(&client, &mut asked, script)?;
    submit.dry_run = asked.has("test-only");
    sbatch::say(&asked, "madang");
    let done = sbatch::send(&client, &asked, "madang", &submit)?;
    if let Some(outlook) = &done.outlook {
        eprintln!("{}", sbatch::foretold(outlook));
        return Ok(None);
    }
    Ok(Some((client, context.json || asked.has("json"), done)))
}

/// A word that the shell takes as it stands.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Submits and prints the id.
pub fn submit(context: &Context, submit: &Submit) -> Result<u8, Fail> {
    let Some((_, json, done)) = send(context, submit)? else { return Ok(0) };
    if json {
        return Context { place: context.place.clone(), json }.show(&done, |_| String::new());
    }
    print(&format!("{}\n", done.job));
    if done.tasks > 1 {
        eprintln!("{} tasks; see madang why {}", done.tasks, done.job);
    }
    Ok(0)
}

/// Submits, follows, exits as the job does. An interrupt cancels the job and waits for its end.
pub fn run(context: &Context, submit: &Submit) -> Result<u8, Fail> {
    let Some((client, _, done)) = send(context, submit)? else { return Ok(0) };
    let id = done.job.to_string();
    if done.tasks > 1 {
        eprintln!("job {id}: {} tasks, their output goes to files", done.tasks);
        return sbatch::wait(&client, done.job);
    }
    eprintln!("job {id}");
    let signals = Signals::block().map_err(|error| Fail::new(format!("failed to listen for signals: {error}")))?;
    let (canceller, target) = (Client::find(&context.place)?, id.clone());
    std::thread::spawn(move || {
        for _ in signals {
            eprintln!("cancelling job {target}");
            if let Err(fail) = canceller.delete::<Changed>(&format!("/jobs/{target}")) {
                eprintln!("error: {fail}");
            }
        }
    });
    follow(&client, &id, "stdout", true)?;
    let job: JobView = client.get(&format!("/jobs/{id}"))?;
    let exit = sbatch::exit_code(&job);
    if exit != 0 {
        eprintln!("job {id}: {} (exit code {}, signal {})", crate::slurm::jobs::long(job.state), job.exit, job.signal);
    }
    Ok(exit)
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn words_for_the_shell() {
        for (word, want) in [("ls", "ls"), ("a b", "'a b'"), ("it's", r"'it'\''s'"), ("", "''"), ("$x", "'$x'")] {
            assert_eq!(quoted(word), want);
        }
    }
}
