//! Random postings against a slow, obvious book: a list of what was taken, summed anew for every question.
use madang_ledger::{Account, Book, Line, Posting, Refusal, charge_of};
use madang_model::{AwardId, GpuTime, JobId, PartyId, ProjectId, RunId, Time, Won};
use proptest::prelude::*;

/// The obvious book.
#[derive(Default)]
struct Slow {
    taken: Vec<(Posting, Vec<Line>)>,
}

impl Slow {
    fn balance(&self, account: Account) -> (i64, i64) {
        let lines = self.taken.iter().flat_map(|(_, lines)| lines).filter(|line| line.account == account);
        lines.fold((0, 0), |(time, won), line| (time + line.time.micro_secs(), won + line.won.won()))
    }

    fn hold_of(&self, wanted: RunId) -> Option<(AwardId, i64)> {
        self.taken.iter().fold(None, |open, (posting, _)| match *posting {
            Posting::Hold { run, award, amount } if run == wanted => Some((award, amount.micro_secs())),
            Posting::Extend { run, amount } if run == wanted => {
                open.map(|(award, held)| (award, held + amount.micro_secs()))
            }
            Posting::Charge { run, .. } | Posting::Void { run } if run == wanted => None,
            _ => open,
        })
    }

    /// The last charge of a run and whether it was given back since.
    fn charge_of(&self, wanted: RunId) -> Option<(usize, bool)> {
        self.taken.iter().enumerate().fold(None, |last, (place, (posting, _))| match *posting {
            Posting::Charge { run, .. } if run == wanted => Some((place, false)),
            Posting::Refund { run } | Posting::RefundPart { run, .. } if run == wanted => {
                last.map(|(place, _)| (place, true))
            }
            _ => last,
        })
    }

    fn post(&mut self, posting: Posting) -> Result<(), Refusal> {
        let lines = self.lines(posting)?;
        self.taken.push((posting, lines));
        Ok(())
    }

    fn lines(&self, posting: Posting) -> Result<Vec<Line>, Refusal> {
        use Account::*;
        let time = |account, micro| Line { account, time: GpuTime::from_micro_secs(micro), won: Won::ZERO };
        let money = |account, won| Line { account, time: GpuTime::ZERO, won: Won::new(won) };
        match posting {
            Posting::Grant { award, amount } => match amount.micro_secs() {
                ..=0 => Err(Refusal::NotPositive),
                micro => Ok(vec![time(Centre, -micro), time(Free(award), micro)]),
            },
            Posting::Hold { run, award, amount } => {
                let (micro, free) = (amount.micro_secs(), self.balance(Free(award)).0);
                match micro {
                    ..0 => Err(Refusal::NotPositive),
                    _ if self.hold_of(run).is_some() => Err(Refusal::AlreadyHeld { run }),
                    _ if micro > 0 && free < micro => {
                        Err(Refusal::Overdrawn { award, needs: amount, free: GpuTime::from_micro_secs(free) })
                    }
                    _ => Ok(vec![time(Free(award), -micro), time(Held(award), micro)]),
                }
            }
            Posting::Extend { run, amount } => {
                let (award, _) = self.hold_of(run).ok_or(Refusal::NoHold { run })?;
                let (micro, free) = (amount.micro_secs(), self.balance(Free(award)).0);
                match micro {
                    ..=0 => Err(Refusal::NotPositive),
                    _ if free < micro => {
                        Err(Refusal::Overdrawn { award, needs: amount, free: GpuTime::from_micro_secs(free) })
                    }
                    _ => Ok(vec![time(Free(award), -micro), time(Held(award), micro)]),
                }
            }
            Posting::Charge { run, used, price, rate, project, party } => {
                if used.micro_secs() < 0 || price.won() < 0 {
                    return Err(Refusal::NotPositive);
                }
                let (award, held) = self.hold_of(run).ok_or(Refusal::NoHold { run })?;
                let won = charge_of(used, price, rate).ok_or(Refusal::OutOfRange)?.won();
                let used = used.micro_secs();
                let back = time(Free(award), held - used);
                let spent = [time(Held(award), -held), time(Spent(award), used), back];
                Ok([&spent[..], &[money(Owes(project), won), money(Earned(party), -won)]].concat())
            }
            Posting::Void { run } => {
                let (award, held) = self.hold_of(run).ok_or(Refusal::NoHold { run })?;
                Ok(vec![time(Held(award), -held), time(Free(award), held)])
            }
            Posting::Refund { run } => match self.charge_of(run) {
                None => Err(Refusal::NotCharged { run }),
                Some((_, true)) => Err(Refusal::AlreadyRefunded { run }),
                Some((place, false)) => Ok(self.give_back(place)),
            },
            Posting::RefundPart { run, back } => match self.charge_of(run) {
                None => Err(Refusal::NotCharged { run }),
                Some((_, true)) => Err(Refusal::AlreadyRefunded { run }),
                Some((place, false)) => self.give_back_part(place, back).ok_or(Refusal::OutOfRange),
            },
        }
    }

    /// The opposite of what a charge spent and cost; what it took out of the hold stays with Free.
    fn give_back(&self, place: usize) -> Vec<Line> {
        let lines = self.taken[place].1.iter();
        let spent = lines.clone().find_map(|line| match line.account {
            Account::Spent(award) => Some((award, line.time)),
            _ => None,
        });
        let (award, used) = spent.expect("every charge of the slow book has a line of what was spent");
        let free = Line { account: Account::Free(award), time: used, won: Won::ZERO };
        let opposite = |line: &Line| Line { account: line.account, time: -line.time, won: -line.won };
        let turned = lines.filter(|line| !matches!(line.account, Account::Held(_) | Account::Free(_))).map(opposite);
        turned.chain([free]).collect()
    }
}

impl Slow {
    /// The same for a part of it: won by time, half up.
    fn give_back_part(&self, place: usize, back: GpuTime) -> Option<Vec<Line>> {
        let whole = self.give_back(place);
        let used = whole.iter().find(|line| matches!(line.account, Account::Free(_)))?.time;
        let part = i128::from(back.micro_secs());
        if !(0..=i128::from(used.micro_secs())).contains(&part) {
            return None;
        }
        let of = |won: i64| {
            let twice = (2 * i128::from(won.abs()) * part).checked_div(i128::from(used.micro_secs())).unwrap_or(0);
            i64::try_from((twice + 1) / 2).expect("a part is no more than the whole") * won.signum()
        };
        let cut = |line: &Line| {
            let time = if line.time == GpuTime::ZERO {
                line.time
            } else {
                GpuTime::from_micro_secs(back.micro_secs() * line.time.micro_secs().signum())
            };
            Line { account: line.account, time, won: Won::new(of(line.won.won())) }
        };
        Some(whole.iter().map(cut).collect())
    }
}

/// Few ids and small amounts, so that postings meet; now and then an extreme.
fn amount() -> impl Strategy<Value = GpuTime> {
    prop_oneof![
        20 => (-2i64..40).prop_map(|tens| GpuTime::from_micro_secs(tens * 360_000_000 + tens)),
        1 => prop_oneof![Just(i64::MAX), Just(i64::MIN), Just(1)].prop_map(GpuTime::from_micro_secs),
    ]
}

fn small_amount() -> impl Strategy<Value = GpuTime> {
    (-2i64..40).prop_map(|tens| GpuTime::from_micro_secs(tens * 360_000_000 + tens))
}

fn posting(amount: impl Strategy<Value = GpuTime> + Clone) -> impl Strategy<Value = Posting> {
    let run = (1u64..6).prop_map(|job| RunId { job: JobId::new(job), attempt: 1 });
    let award = (1u32..4).prop_map(AwardId::new);
    let price = prop_oneof![10 => 0i64..9_000, 1 => Just(-1), 1 => Just(i64::MAX)].prop_map(Won::new);
    let rate = prop_oneof![Just(0u32), Just(750), Just(10_000), 0u32..20_000];
    let (project, party) = ((1u32..4).prop_map(ProjectId::new), (0u32..3).prop_map(PartyId::new));
    prop_oneof![
        1 => (award.clone(), amount.clone()).prop_map(|(award, amount)| Posting::Grant { award, amount }),
        3 => (run.clone(), award, amount.clone())
            .prop_map(|(run, award, amount)| Posting::Hold { run, award, amount }),
        2 => (run.clone(), amount, price, rate, project, party).prop_map(
            |(run, used, price, rate, project, party)| Posting::Charge { run, used, price, rate, project, party }
        ),
        1 => run.clone().prop_map(|run| Posting::Void { run }),
        1 => (run.clone(), small_amount()).prop_map(|(run, amount)| Posting::Extend { run, amount }),
        1 => run.clone().prop_map(|run| Posting::Refund { run }),
        2 => (run, small_amount()).prop_map(|(run, back)| Posting::RefundPart { run, back }),
    ]
}

fn accounts() -> Vec<Account> {
    let awards = (1..4).map(AwardId::new);
    let times = awards.flat_map(|award| [Account::Free(award), Account::Held(award), Account::Spent(award)]);
    let projects = (1..4).map(|project| Account::Owes(ProjectId::new(project)));
    let parties = (0..3).map(|party| Account::Earned(PartyId::new(party)));
    times.chain(projects).chain(parties).chain([Account::Centre]).collect()
}

proptest! {
    #[test]
    fn the_book_agrees_with_the_slow_one(postings in prop::collection::vec(posting(small_amount().boxed()), 1..80)) {
        let (mut book, mut slow) = (Book::new(), Slow::default());
        for posting in postings {
            // Sums of money beyond the range need an extreme price, which only the other property gives weight.
            if matches!(posting, Posting::Charge { price, .. } if price == Won::new(i64::MAX)) {
                continue;
            }
            let fast = book.post(Time::default(), posting).map(|_| ());
            prop_assert_eq!(fast, slow.post(posting));
            for account in accounts() {
                let (time, won) = book.balance(account);
                prop_assert_eq!((time.micro_secs(), won.won()), slow.balance(account), "{:?}", account);
            }
            for job in 1..6 {
                let run = RunId { job: JobId::new(job), attempt: 1 };
                let hold = book.hold_of(run).map(|(award, amount)| (award, amount.micro_secs()));
                prop_assert_eq!(hold, slow.hold_of(run));
            }
        }
    }

    #[test]
    fn the_book_balances_whatever_is_posted(postings in prop::collection::vec(posting(amount().boxed()), 1..80)) {
        let mut book = Book::new();
        for posting in postings {
            let before = book.clone();
            match book.post(Time::default(), posting).cloned() {
                Err(_) => prop_assert_eq!(&book, &before, "a refusal changes nothing"),
                Ok(entry) => {
                    let time: i128 = entry.lines.iter().map(|line| i128::from(line.time.micro_secs())).sum();
                    let won: i128 = entry.lines.iter().map(|line| i128::from(line.won.won())).sum();
                    prop_assert_eq!((time, won), (0, 0));
                    prop_assert_eq!(entry.id, before.next_id());
                    if let Posting::Hold { award, amount, .. } = posting {
                        let (free, _) = book.balance(Account::Free(award));
                        prop_assert!(free >= GpuTime::ZERO || amount == GpuTime::ZERO, "overdrawn by a hold");
                    }
                }
            }
            prop_assert_eq!(book.audit(), Vec::<String>::new());
        }
        let text = serde_json::to_string(&book).expect("a book is plain data");
        prop_assert_eq!(serde_json::from_str::<Book>(&text).expect("what was written reads"), book);
    }

    #[test]
    fn a_refund_restores_what_a_charge_took(
        postings in prop::collection::vec(posting(small_amount().boxed()), 0..30),
        held in 0i64..1000, used in 0i64..2000, price in 0i64..1_000_000, rate in 0u32..20_000,
    ) {
        let mut book = Book::new();
        for posting in postings {
            let _either = book.post(Time::default(), posting);
        }
        let (run, award) = (RunId { job: JobId::new(99), attempt: 3 }, AwardId::new(9));
        let (held, used) = (GpuTime::from_micro_secs(held * 7_777_777), GpuTime::from_micro_secs(used * 7_777_777));
        book.post(Time::default(), Posting::Grant { award, amount: GpuTime::from_hours(10) }).expect("a grant");
        let before: Vec<_> = book.balances().collect();
        let price = Won::new(price);
        let charge = Posting::Charge { run, used, price, rate, project: ProjectId::new(1), party: PartyId::new(0) };
        for posting in [Posting::Hold { run, award, amount: held }, charge, Posting::Refund { run }] {
            prop_assert!(book.post(Time::default(), posting).is_ok(), "{posting:?}");
        }
        prop_assert_eq!(book.balances().collect::<Vec<_>>(), before);
    }
}
