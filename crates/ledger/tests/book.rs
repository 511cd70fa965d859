//! The book by example: what each posting does, and what is refused.
use expect_test::{Expect, expect};
use madang_ledger::{Account, Book, Posting, Refusal, describe};
use madang_model::{AwardId, GpuTime, JobId, PartyId, ProjectId, RunId, Time, Won};
use std::fmt::Write;

const AWARD: AwardId = AwardId::new(1);

fn run(job: u64) -> RunId {
    RunId { job: JobId::new(job), attempt: 1 }
}

fn grant(hours: i64) -> Posting {
    Posting::Grant { award: AWARD, amount: GpuTime::from_hours(hours) }
}

fn hold(job: u64, hours: i64) -> Posting {
    Posting::Hold { run: run(job), award: AWARD, amount: GpuTime::from_hours(hours) }
}

fn charge(job: u64, hours: i64, price: i64, rate: u32) -> Posting {
    let (project, party) = (ProjectId::new(7), PartyId::new(0));
    Posting::Charge { run: run(job), used: GpuTime::from_hours(hours), price: Won::new(price), rate, project, party }
}

/// Posts in order and shows each result with its lines, then the balances.
fn check(postings: &[Posting], expected: Expect) {
    let mut book = Book::new();
    let mut shown = String::new();
    for (second, posting) in postings.iter().enumerate() {
        match book.post(Time::from_millis(second as u64 * 1000), *posting) {
            Ok(entry) => {
                writeln!(shown, "{} {}", entry.id, describe(posting)).expect("text");
                for line in &entry.lines {
                    writeln!(shown, "  {:?} {:?} {:?}", line.account, line.time, line.won).expect("text");
                }
            }
            Err(refusal) => {
                writeln!(shown, "{} refused, {}: {refusal}", describe(posting), refusal.code()).expect("text")
            }
        }
        assert_eq!(book.audit(), Vec::<String>::new());
    }
    for (account, time, won) in book.balances() {
        writeln!(shown, "= {account:?} {time:?} {won:?}").expect("text");
    }
    expected.assert_eq(&shown);
}

#[test]
fn a_run_is_held_charged_and_refunded() {
    check(
        &[grant(100), hold(1, 16), charge(1, 12, 4_000, 750), Posting::Refund { run: run(1) }],
        expect![[r#"
        entry-1 grant
          Centre -100 GPU-hours 0 won
          Free(award-1) 100 GPU-hours 0 won
        entry-2 hold
          Free(award-1) -16 GPU-hours 0 won
          Held(award-1) 16 GPU-hours 0 won
        entry-3 charge
          Held(award-1) -16 GPU-hours 0 won
          Spent(award-1) 12 GPU-hours 0 won
          Free(award-1) 4 GPU-hours 0 won
          Owes(project-7) 0 GPU-hours 3600 won
          Earned(party-0) 0 GPU-hours -3600 won
        entry-4 refund
          Spent(award-1) -12 GPU-hours 0 won
          Free(award-1) 12 GPU-hours 0 won
          Owes(project-7) 0 GPU-hours -3600 won
          Earned(party-0) 0 GPU-hours 3600 won
        = Centre -100 GPU-hours 0 won
        = Free(award-1) 100 GPU-hours 0 won
    "#]],
    );
}

#[test]
fn a_run_that_outlived_its_limit_overdraws_and_then_nothing_starts() {
    check(
        &[grant(10), hold(1, 8), charge(1, 11, 4_000, 10_000), hold(2, 1), hold(3, 0)],
        expect![[r#"
        entry-1 grant
          Centre -10 GPU-hours 0 won
          Free(award-1) 10 GPU-hours 0 won
        entry-2 hold
          Free(award-1) -8 GPU-hours 0 won
          Held(award-1) 8 GPU-hours 0 won
        entry-3 charge
          Held(award-1) -8 GPU-hours 0 won
          Spent(award-1) 11 GPU-hours 0 won
          Free(award-1) -3 GPU-hours 0 won
          Owes(project-7) 0 GPU-hours 44000 won
          Earned(party-0) 0 GPU-hours -44000 won
        hold refused, overdrawn: award-1 has -1 GPU-hours free, the hold needs 1 GPU-hours
        entry-4 hold
        = Centre -10 GPU-hours 0 won
        = Free(award-1) -1 GPU-hours 0 won
        = Spent(award-1) 11 GPU-hours 0 won
        = Owes(project-7) 0 GPU-hours 44000 won
        = Earned(party-0) 0 GPU-hours -44000 won
    "#]],
    );
}

#[test]
fn a_void_gives_everything_back() {
    check(
        &[grant(10), hold(1, 8), Posting::Void { run: run(1) }, hold(1, 10)],
        expect![[r#"
        entry-1 grant
          Centre -10 GPU-hours 0 won
          Free(award-1) 10 GPU-hours 0 won
        entry-2 hold
          Free(award-1) -8 GPU-hours 0 won
          Held(award-1) 8 GPU-hours 0 won
        entry-3 void
          Held(award-1) -8 GPU-hours 0 won
          Free(award-1) 8 GPU-hours 0 won
        entry-4 hold
          Free(award-1) -10 GPU-hours 0 won
          Held(award-1) 10 GPU-hours 0 won
        = Centre -10 GPU-hours 0 won
        = Held(award-1) 10 GPU-hours 0 won
    "#]],
    );
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    check(
        &[
            grant(0),
            grant(-1),
            hold(1, 1),
            grant(5),
            hold(1, 6),
            hold(1, -1),
            hold(1, 5),
            hold(1, 0),
            charge(1, -1, 4_000, 10_000),
            charge(1, 1, -1, 10_000),
            charge(1, 2_000_000_000, i64::MAX, 10_000),
            charge(2, 1, 4_000, 10_000),
            Posting::Void { run: run(2) },
            Posting::Refund { run: run(1) },
            charge(1, 5, 0, 0),
            Posting::Refund { run: run(1) },
            Posting::Refund { run: run(1) },
        ],
        expect![[r#"
            grant refused, not_positive: a grant must be more than zero; a hold, a use and a price zero or more
            grant refused, not_positive: a grant must be more than zero; a hold, a use and a price zero or more
            hold refused, overdrawn: award-1 has 0 GPU-hours free, the hold needs 1 GPU-hours
            entry-1 grant
              Centre -5 GPU-hours 0 won
              Free(award-1) 5 GPU-hours 0 won
            hold refused, overdrawn: award-1 has 5 GPU-hours free, the hold needs 6 GPU-hours
            hold refused, not_positive: a grant must be more than zero; a hold, a use and a price zero or more
            entry-2 hold
              Free(award-1) -5 GPU-hours 0 won
              Held(award-1) 5 GPU-hours 0 won
            hold refused, already_held: job-1.1 has a hold already
            charge refused, not_positive: a grant must be more than zero; a hold, a use and a price zero or more
            charge refused, not_positive: a grant must be more than zero; a hold, a use and a price zero or more
            charge refused, out_of_range: the amount is beyond what the book can count
            charge refused, no_hold: job-2.1 has no hold
            void refused, no_hold: job-2.1 has no hold
            refund refused, not_charged: job-1.1 has no charge that can be refunded
            entry-3 charge
              Held(award-1) -5 GPU-hours 0 won
              Spent(award-1) 5 GPU-hours 0 won
            entry-4 refund
              Spent(award-1) -5 GPU-hours 0 won
              Free(award-1) 5 GPU-hours 0 won
            refund refused, already_refunded: job-1.1 was refunded before
            = Centre -5 GPU-hours 0 won
            = Free(award-1) 5 GPU-hours 0 won
        "#]],
    );
}

#[test]
fn sums_beyond_the_range_are_refused() {
    let mut book = Book::new();
    let most = GpuTime::from_micro_secs(i64::MAX);
    book.post(Time::default(), Posting::Grant { award: AWARD, amount: most }).expect("the first fits");
    let before = book.clone();
    let again = book.post(Time::default(), Posting::Grant { award: AWARD, amount: GpuTime::from_micro_secs(1) });
    assert_eq!(again, Err(Refusal::OutOfRange));
    assert_eq!(book, before);
}

#[test]
fn new_transactions_are_handed_out_once() {
    let mut book = Book::new();
    book.post(Time::default(), grant(1)).expect("granted");
    book.post(Time::default(), hold(1, 1)).expect("held");
    assert_eq!(book.take_new().iter().map(|entry| entry.id.number()).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(book.take_new(), []);
    assert_eq!(book.next_id().number(), 3);
    assert_eq!(book.holds().collect::<Vec<_>>(), [(run(1), AWARD, GpuTime::from_hours(1))]);
    assert_eq!(book.balance(Account::Held(AWARD)), (GpuTime::from_hours(1), Won::ZERO));
}

#[test]
fn the_audit_sees_a_book_that_was_tampered_with() {
    let mut book = Book::new();
    book.post(Time::default(), grant(1)).expect("granted");
    book.post(Time::default(), hold(1, 1)).expect("held");
    let text = serde_json::to_string(&book).expect("a book is plain data");
    let tampered = |from, to| -> Book { serde_json::from_str(&text.replace(from, to)).expect("still a book") };
    let hold_cut = tampered("[1,3600000000]", "[1,1]");
    expect!["award-1 has 1 GPU-hours set aside, its holds sum to 1 micro-GPU-seconds"]
        .assert_eq(&hold_cut.audit().join("\n"));
    let grant_cut = tampered("\"centre\",[-3600000000", "\"centre\",[-1");
    expect!["GPU time does not balance: all accounts sum to 3599999999 micro-GPU-seconds"]
        .assert_eq(&grant_cut.audit().join("\n"));
}
