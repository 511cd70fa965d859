//! Projects, awards and statements as callers see them.

use crate::estate::Estate;
use crate::store::Readers;
use crate::trouble::Trouble;
use madang_api::{AwardView, ProjectView, Statement, StatementLine};
use madang_centre::Centre;
use madang_ledger::{Account, Posting, Transaction, describe};
use madang_model::{Award, AwardId, GpuTime, Project, Time};
use madang_sched::Standing;

/// A project without its burn, which is in the projections; `standing` is the centre's, for all projects at once.
pub fn project(centre: &Centre, estate: &Estate, project: &Project, now: Time, standing: &[Standing]) -> ProjectView {
    let class = &estate.founding.classes[project.class as usize];
    let awards: Vec<AwardView> = project.awards.iter().map(|award| self::award(centre, award)).collect();
    let in_force = |view: &&AwardView| view.from_ms <= now.millis() && now.millis() < view.until_ms;
    let members = centre.users().iter().filter(|user| user.projects.binary_search(&project.id).is_ok());
    let (waiting, running) = centre.project_load(project.id);
    let own = standing.iter().find(|standing| standing.project == Some(project.id));
    ProjectView {
        name: project.name.clone(),
        title: project.title.clone(),
        owner: estate.founding.parties[project.owner.index()].name.clone(),
        class: class.name.clone(),
        rate_bp: class.rate,
        members: members.map(|user| user.name.clone()).collect(),
        granted_gpu_us: awards.iter().filter(in_force).map(|award| award.granted_gpu_us).sum(),
        held_gpu_us: awards.iter().map(|award| award.held_gpu_us).sum(),
        spent_gpu_us: awards.iter().map(|award| award.spent_gpu_us).sum(),
        free_gpu_us: awards.iter().filter(in_force).map(|award| award.free_gpu_us).sum(),
        awards,
        owed_won: centre.book().balance(Account::Owes(project.id)).1.won(),
        gpus: own.map_or(0, |own| own.gpus),
        running,
        waiting,
        burn: Vec::new(),
    }
}

fn award(centre: &Centre, award: &Award) -> AwardView {
    let balance = |account| centre.book().balance(account).0.micro_secs();
    AwardView {
        id: award.id.number(),
        granted_gpu_us: award.granted.micro_secs(),
        held_gpu_us: balance(Account::Held(award.id)),
        spent_gpu_us: balance(Account::Spent(award.id)),
        free_gpu_us: balance(Account::Free(award.id)),
        from_ms: award.from.millis(),
        until_ms: award.until.millis(),
    }
}

/// A project's statement for a period, line by line from the ledger.
pub fn statement(
    readers: &Readers,
    (name, title): (&str, &str),
    (from, until): (Time, Time),
    books_balance: bool,
) -> Result<Statement, Trouble> {
    let mut statement = Statement {
        project: name.into(),
        title: title.into(),
        from_ms: from.millis(),
        until_ms: until.millis(),
        opening_gpu_us: 0,
        lines: Vec::new(),
        granted_gpu_us: 0,
        spent_gpu_us: 0,
        refunded_gpu_us: 0,
        held_gpu_us: 0,
        closing_gpu_us: 0,
        won: 0,
        balances: false,
    };
    let mut held_before = 0;
    for transaction in readers.transactions(name)? {
        let line = line(&transaction);
        if transaction.at < from {
            statement.opening_gpu_us += line.free_gpu_us;
            held_before += line.held_gpu_us;
        } else if transaction.at <= until {
            take(&mut statement, line);
        }
    }
    statement.held_gpu_us += held_before;
    let held_change = statement.held_gpu_us - held_before;
    let free: i64 = statement.lines.iter().map(|line| line.free_gpu_us).sum();
    statement.closing_gpu_us = statement.opening_gpu_us + free;
    let explained = statement.opening_gpu_us + statement.granted_gpu_us - statement.spent_gpu_us - held_change;
    statement.balances = books_balance && explained == statement.closing_gpu_us;
    Ok(statement)
}

fn take(statement: &mut Statement, line: StatementLine) {
    if line.kind == "grant" {
        statement.granted_gpu_us += line.free_gpu_us;
    }
    if line.kind == "refund" {
        statement.refunded_gpu_us -= line.spent_gpu_us;
    }
    statement.spent_gpu_us += line.spent_gpu_us;
    statement.held_gpu_us += line.held_gpu_us;
    statement.won += line.won;
    statement.lines.push(line);
}

fn line(transaction: &Transaction) -> StatementLine {
    let run = match transaction.posting {
        Posting::Grant { .. } => None,
        Posting::Hold { run, .. }
        | Posting::Extend { run, .. }
        | Posting::Charge { run, .. }
        | Posting::Void { run }
        | Posting::Refund { run }
        | Posting::RefundPart { run, .. } => Some(run),
    };
    let price = match transaction.posting {
        Posting::Charge { price, rate, .. } => Some((price.won(), rate)),
        _ => None,
    };
    let time = |wanted: fn(AwardId) -> Account| {
        let of =
            |line: &&madang_ledger::Line| award_of(line.account).is_some_and(|award| wanted(award) == line.account);
        transaction.lines.iter().filter(of).map(|line| line.time).sum::<GpuTime>().micro_secs()
    };
    let won = transaction.lines.iter().filter(|line| matches!(line.account, Account::Owes(_)));
    StatementLine {
        entry: transaction.id.number(),
        at_ms: transaction.at.millis(),
        kind: describe(&transaction.posting).into(),
        award: transaction.lines.iter().find_map(|line| award_of(line.account)).map(AwardId::number),
        job: run.map(|run| run.job.number()),
        attempt: run.map(|run| run.attempt),
        free_gpu_us: time(Account::Free),
        held_gpu_us: time(Account::Held),
        spent_gpu_us: time(Account::Spent),
        won: won.map(|line| line.won.won()).sum(),
        price_won: price.map(|(price, _)| price),
        rate_bp: price.map(|(_, rate)| rate),
    }
}

fn award_of(account: Account) -> Option<AwardId> {
    match account {
        Account::Free(award) | Account::Held(award) | Account::Spent(award) => Some(award),
        Account::Centre | Account::Owes(_) | Account::Earned(_) => None,
    }
}
