//! The book itself: balances, open holds, and what a refund needs. Its serialised form is its snapshot.
//!
//! Transactions are not kept: they are handed out once by [`Book::take_new`] for the journal's projections, so the
//! book's size goes by awards, projects and open holds, not by history.
//!
//! Invariants: a posting is taken whole or changes nothing; an account whose balance is zero is not kept.
use crate::charges::{Charge, Charges};
use crate::entry::{Account, Line, Posting, Transaction};
use crate::{Refusal, charge_of, pairs};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use madang_model::{AwardId, EntryId, GpuTime, PartyId, ProjectId, RunId, Time, Won};
use serde::{Deserialize, Serialize};

/// Double entry over awards, projects and parties.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Book {
    next: EntryId,
    #[serde(with = "pairs")]
    balances: BTreeMap<Account, (GpuTime, Won)>,
    #[serde(with = "pairs")]
    holds: BTreeMap<RunId, (AwardId, GpuTime)>,
    charges: Charges,
    new: Vec<Transaction>,
}

impl Default for Book {
    fn default() -> Book {
        Book::new()
    }
}

impl Book {
    /// An empty book; its first entry will be `entry-1`.
    pub fn new() -> Book {
        Book {
            next: EntryId::new(1),
            balances: BTreeMap::new(),
            holds: BTreeMap::new(),
            charges: Charges::default(),
            new: Vec::new(),
        }
    }

    /// Posts one transaction, or refuses it and stays as it was.
    pub fn post(&mut self, now: Time, posting: Posting) -> Result<&Transaction, Refusal> {
        let (lines, change) = match posting {
            Posting::Grant { award, amount } => self.grant(award, amount)?,
            Posting::Hold { run, award, amount } => self.hold(run, award, amount)?,
            Posting::Extend { run, amount } => self.extend(run, amount)?,
            Posting::Charge { run, used, price, rate, project, party } => {
                let won = priced(used, price, rate)?;
                self.charge(run, used, won, (project, party))?
            }
            Posting::Void { run } => self.void(run)?,
            Posting::Refund { run } => self.refund(run, None)?,
            Posting::RefundPart { run, back } => self.refund(run, Some(back))?,
        };
        let lines = lines.without_zeros();
        let id = self.next;
        let next = EntryId::new(id.number().checked_add(1).ok_or(Refusal::OutOfRange)?);
        self.apply(lines.as_slice())?;
        self.next = next;
        self.remember(change);
        self.new.push(Transaction { id, at: now, posting, lines: lines.as_slice().to_vec() });
        Ok(self.new.last().expect("pushed on the line above"))
    }

    /// What an account holds.
    pub fn balance(&self, account: Account) -> (GpuTime, Won) {
        self.balances.get(&account).copied().unwrap_or_default()
    }

    /// The open hold of a run: out of which award, how much.
    pub fn hold_of(&self, run: RunId) -> Option<(AwardId, GpuTime)> {
        self.holds.get(&run).copied()
    }

    /// All open holds, by run.
    pub fn holds(&self) -> impl Iterator<Item = (RunId, AwardId, GpuTime)> + '_ {
        self.holds.iter().map(|(&run, &(award, amount))| (run, award, amount))
    }

    /// All accounts with a balance other than zero, in order.
    pub fn balances(&self) -> impl Iterator<Item = (Account, GpuTime, Won)> + '_ {
        self.balances.iter().map(|(&account, &(time, won))| (account, time, won))
    }

    /// The id that the next transaction will have.
    pub fn next_id(&self) -> EntryId {
        self.next
    }

    /// The transactions posted since the last call, by id.
    pub fn take_new(&mut self) -> Vec<Transaction> {
        core::mem::take(&mut self.new)
    }

    /// What is wrong with the book; empty when all is well.
    pub fn audit(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let time: i128 = self.balances.values().map(|(time, _)| i128::from(time.micro_secs())).sum();
        let won: i128 = self.balances.values().map(|(_, won)| i128::from(won.won())).sum();
        if time != 0 {
            wrong.push(format!("GPU time does not balance: all accounts sum to {time} micro-GPU-seconds"));
        }
        if won != 0 {
            wrong.push(format!("money does not balance: all accounts sum to {won} won"));
        }
        self.audit_accounts(&mut wrong);
        self.audit_holds(&mut wrong);
        wrong
    }
}

/// What a posting changes besides balances.
enum Change {
    Nothing,
    Opens(RunId, AwardId, GpuTime),
    Settles(Charge),
    Releases(RunId),
    Refunds(RunId),
}

/// What one kind of posting comes to: its lines (some may be zero) and the change that goes with them.
type Draft = Result<(Lines, Change), Refusal>;

/// Most lines of one posting.
const MOST: usize = 5;

/// The lines of one posting, in place: a charge is drafted for every run that ends.
struct Lines {
    all: [Line; MOST],
    count: usize,
}

impl Lines {
    fn of<const COUNT: usize>(lines: [Line; COUNT]) -> Lines {
        let mut all = [time_line(Account::Centre, GpuTime::ZERO); MOST];
        all[..COUNT].copy_from_slice(&lines);
        Lines { all, count: COUNT }
    }

    fn as_slice(&self) -> &[Line] {
        &self.all[..self.count]
    }

    fn without_zeros(mut self) -> Lines {
        let mut kept = 0;
        for at in 0..self.count {
            let line = self.all[at];
            if line.time != GpuTime::ZERO || line.won != Won::ZERO {
                self.all[kept] = line;
                kept += 1;
            }
        }
        self.count = kept;
        self
    }
}

/// Each checks its rule and drafts; none changes the book.
impl Book {
    fn grant(&self, award: AwardId, amount: GpuTime) -> Draft {
        if amount <= GpuTime::ZERO {
            return Err(Refusal::NotPositive);
        }
        let lines = [time_line(Account::Centre, -amount), time_line(Account::Free(award), amount)];
        Ok((Lines::of(lines), Change::Nothing))
    }

    fn hold(&self, run: RunId, award: AwardId, amount: GpuTime) -> Draft {
        if amount < GpuTime::ZERO {
            return Err(Refusal::NotPositive);
        }
        if self.holds.contains_key(&run) {
            return Err(Refusal::AlreadyHeld { run });
        }
        let (free, _) = self.balance(Account::Free(award));
        if amount > GpuTime::ZERO && free < amount {
            return Err(Refusal::Overdrawn { award, needs: amount, free });
        }
        let lines = [time_line(Account::Free(award), -amount), time_line(Account::Held(award), amount)];
        Ok((Lines::of(lines), Change::Opens(run, award, amount)))
    }

    fn extend(&self, run: RunId, amount: GpuTime) -> Draft {
        let (award, held) = self.hold_of(run).ok_or(Refusal::NoHold { run })?;
        if amount <= GpuTime::ZERO {
            return Err(Refusal::NotPositive);
        }
        let (free, _) = self.balance(Account::Free(award));
        if free < amount {
            return Err(Refusal::Overdrawn { award, needs: amount, free });
        }
        let all = held.checked_add(amount).ok_or(Refusal::OutOfRange)?;
        let lines = [time_line(Account::Free(award), -amount), time_line(Account::Held(award), amount)];
        Ok((Lines::of(lines), Change::Opens(run, award, all)))
    }

    fn charge(&self, run: RunId, used: GpuTime, won: Won, (project, party): (ProjectId, PartyId)) -> Draft {
        let (award, held) = self.hold_of(run).ok_or(Refusal::NoHold { run })?;
        let lines = [
            time_line(Account::Held(award), -held),
            time_line(Account::Spent(award), used),
            time_line(Account::Free(award), held - used), // both are zero or more: the difference is in range
            won_line(Account::Owes(project), won),
            won_line(Account::Earned(party), -won),
        ];
        let charge = Charge { entry: self.next, run, award, used, won, project, party, refunded: false };
        Ok((Lines::of(lines), Change::Settles(charge)))
    }

    fn void(&self, run: RunId) -> Draft {
        let (award, held) = self.hold_of(run).ok_or(Refusal::NoHold { run })?;
        let lines = [time_line(Account::Held(award), -held), time_line(Account::Free(award), held)];
        Ok((Lines::of(lines), Change::Releases(run)))
    }

    fn refund(&self, run: RunId, part: Option<GpuTime>) -> Draft {
        let charge = self.charges.of(run).ok_or(Refusal::NotCharged { run })?;
        if charge.refunded {
            return Err(Refusal::AlreadyRefunded { run });
        }
        let back = part.unwrap_or(charge.used);
        if back < GpuTime::ZERO || back > charge.used {
            return Err(Refusal::OutOfRange);
        }
        let won = crate::money::part_of(charge.won, back, charge.used);
        let lines = [
            time_line(Account::Spent(charge.award), -back),
            time_line(Account::Free(charge.award), back),
            won_line(Account::Owes(charge.project), -won),
            won_line(Account::Earned(charge.party), won),
        ];
        Ok((Lines::of(lines), Change::Refunds(run)))
    }

    /// Adds the lines to the balances: all of them, or none when one would leave its range. No two are on one account.
    fn apply(&mut self, lines: &[Line]) -> Result<(), Refusal> {
        let mut after = [(GpuTime::ZERO, Won::ZERO); MOST];
        for (line, after) in lines.iter().zip(&mut after) {
            let (time, won) = self.balance(line.account);
            let time = time.checked_add(line.time).ok_or(Refusal::OutOfRange)?;
            let won = won.won().checked_add(line.won.won()).map(Won::new).ok_or(Refusal::OutOfRange)?;
            // A balance of the very least value could not be negated later.
            if time.micro_secs() == i64::MIN || won.won() == i64::MIN {
                return Err(Refusal::OutOfRange);
            }
            *after = (time, won);
        }
        for (line, balance) in lines.iter().zip(after) {
            if balance == (GpuTime::ZERO, Won::ZERO) {
                self.balances.remove(&line.account);
            } else {
                self.balances.insert(line.account, balance);
            }
        }
        Ok(())
    }

    fn remember(&mut self, change: Change) {
        match change {
            Change::Nothing => {}
            Change::Opens(run, award, amount) => {
                self.holds.insert(run, (award, amount));
            }
            Change::Settles(charge) => {
                self.holds.remove(&charge.run);
                self.charges.keep(charge);
            }
            Change::Releases(run) => {
                self.holds.remove(&run);
            }
            Change::Refunds(run) => self.charges.mark_refunded(run),
        }
    }
}

impl Book {
    fn audit_accounts(&self, wrong: &mut Vec<String>) {
        for (account, &(time, won)) in &self.balances {
            let counts_money = matches!(account, Account::Owes(_) | Account::Earned(_));
            if counts_money && time != GpuTime::ZERO {
                wrong.push(format!("{account:?} counts money and has {time}"));
            }
            if !counts_money && won != Won::ZERO {
                wrong.push(format!("{account:?} counts GPU time and has {won}"));
            }
            let never_negative = matches!(account, Account::Held(_) | Account::Spent(_));
            if never_negative && time < GpuTime::ZERO {
                wrong.push(format!("{account:?} is below zero: {time}"));
            }
        }
    }

    fn audit_holds(&self, wrong: &mut Vec<String>) {
        let mut open: BTreeMap<AwardId, i128> = BTreeMap::new();
        for (run, &(award, amount)) in &self.holds {
            if amount < GpuTime::ZERO {
                wrong.push(format!("the hold of {run} is below zero: {amount}"));
            }
            *open.entry(award).or_default() += i128::from(amount.micro_secs());
        }
        for (account, (time, _)) in &self.balances {
            if let Account::Held(award) = account {
                let holds = open.remove(award).unwrap_or_default();
                if holds != i128::from(time.micro_secs()) {
                    wrong.push(format!("{award} has {time} set aside, its holds sum to {holds} micro-GPU-seconds"));
                }
            }
        }
        for (award, holds) in open {
            if holds != 0 {
                wrong.push(format!("{award} has nothing set aside, its holds sum to {holds} micro-GPU-seconds"));
            }
        }
    }
}

/// The money side of a charge.
fn priced(used: GpuTime, price: Won, rate: u32) -> Result<Won, Refusal> {
    if used < GpuTime::ZERO || price < Won::ZERO {
        return Err(Refusal::NotPositive);
    }
    charge_of(used, price, rate).ok_or(Refusal::OutOfRange)
}

fn time_line(account: Account, time: GpuTime) -> Line {
    Line { account, time, won: Won::ZERO }
}

fn won_line(account: Account, won: Won) -> Line {
    Line { account, time: GpuTime::ZERO, won }
}
