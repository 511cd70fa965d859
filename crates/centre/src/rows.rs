//! Whether two rows of windows ever meet.
//!
//! A window of one row meets one of the other when the distance of their begins, counted round the other's period, lies
//! in a stretch as long as both windows. Going from window to window of the first row adds its period to that distance,
//! so the question is for the first multiple of one period that falls into a stretch of the other. That is answered as
//! Euclid's algorithm answers for the common divisor: in as many steps as the periods have digits, however many windows
//! there are. It is exact, and in whole milliseconds.
use madang_model::{Reservation, Time};

/// Equal windows in a row, from one that is not over on: milliseconds.
struct Row {
    from: i128,
    length: i128,
    every: i128,
    /// The begin of its last window.
    last: i128,
}

/// True when two rows of windows have a moment in common that is still to come.
pub(crate) fn overlap(one: &Reservation, other: &Reservation, now: Time) -> bool {
    match (Row::of(one, now), Row::of(other, now)) {
        (Some(one), Some(other)) => one.meets(&other),
        _ => false,
    }
}

impl Row {
    fn of(reservation: &Reservation, now: Time) -> Option<Row> {
        let window = reservation.next(now)?;
        let from = i128::from(window.from.millis());
        let length = i128::from(window.until.since(window.from).millis());
        let Some(row) = reservation.every else { return Some(Row { from, length, every: length, last: from }) };
        let every = i128::from(row.every.millis());
        Some(Row { from, length, every, last: from + i128::from(row.last.since(window.from).millis()) / every * every })
    }

    /// A window that lies between the first and the last of the other row meets one of that row exactly if it meets one
    /// of the same row without beginning and end, since the windows of a row do not overlap.
    fn meets(&self, other: &Row) -> bool {
        let before = other.from - self.from - self.length;
        let begin = self.from + if before < 0 { 0 } else { (before / self.every + 1) * self.every };
        let latest = self.last.min(other.last + other.length - 1);
        if begin > latest {
            return false;
        }
        let reach = self.length + other.length - 2;
        let apart = (begin - other.from + self.length - 1).rem_euclid(other.every);
        if apart <= reach {
            return true;
        }
        let low = other.every - apart;
        let hit = first_multiple(self.every, other.every, low, low + reach);
        hit.is_some_and(|steps| steps <= (latest - begin) / self.every)
    }
}

/// The least count whose product with `step`, taken modulo `modulus`, is from `low` to `high`; 0 < low <= high < modulus.
fn first_multiple(step: i128, modulus: i128, low: i128, high: i128) -> Option<i128> {
    let step = step % modulus;
    if step == 0 {
        return None;
    }
    let count = (low + step - 1) / step;
    if count * step <= high {
        return Some(count);
    }
    // No multiple lies there in the first round. In round r the stretch is r moduli further, so the first round is
    // sought in which a multiple does: the same question with the step for a modulus.
    let round = first_multiple(modulus, step, (-high).rem_euclid(step), (-low).rem_euclid(step))?;
    Some((low + round * modulus + step - 1) / step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use alloc::vec::Vec;
    use madang_model::{Purpose, Recurrence, ReservationId, Span, Window};
    use proptest::prelude::*;

    const HOUR: u64 = 3_600_000;

    /// A window from `from` for `length`, and if `every` is given more of them that begin until `last`.
    fn row(from: u64, length: u64, every: Option<(u64, u64)>) -> Reservation {
        Reservation {
            id: ReservationId::new(1),
            name: String::new(),
            purpose: Purpose::Maintenance { nodes: Vec::new() },
            first: Window { from: Time::from_millis(from), until: Time::from_millis(from + length) },
            every: every
                .map(|(every, last)| Recurrence { every: Span::from_millis(every), last: Time::from_millis(last) }),
            reason: String::new(),
            by: String::new(),
        }
    }

    /// The slow obvious way: window by window.
    fn windows(of: &Reservation, now: Time) -> Vec<Window> {
        core::iter::successors(of.next(now), |window| of.next(window.until)).collect()
    }

    fn any_row() -> impl Strategy<Value = Reservation> {
        let every = prop::option::of((0..40_u64, 0..600_u64));
        (0..200_u64, 1..30_u64, every)
            .prop_map(|(from, length, every)| row(from, length, every.map(|(gap, more)| (length + gap, from + more))))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]
        #[test]
        fn as_window_by_window(one in any_row(), other in any_row(), now in 0..400_u64) {
            let now = Time::from_millis(now);
            let others = windows(&other, now);
            let meet = |a: &Window| others.iter().any(|b| a.from < b.until && b.from < a.until);
            let expected = windows(&one, now).iter().any(meet);
            prop_assert_eq!(overlap(&one, &other, now), expected);
            prop_assert_eq!(overlap(&other, &one, now), expected);
        }
    }

    #[test]
    fn ten_years_of_windows_cost_a_few_steps() {
        let years = 10 * 366 * 24 * HOUR;
        let hourly = row(0, HOUR / 2, Some((HOUR, years)));
        let now = Time::default();
        assert!(!overlap(&hourly, &row(HOUR / 2, HOUR / 2, Some((HOUR, years))), now));
        // A millisecond more an hour: it drifts into the other row after half an hour's milliseconds, 205 years on.
        let drifts = row(HOUR / 2, 1, Some((HOUR + 1, u64::MAX / 2)));
        let until = |last: u64| row(0, HOUR / 2, Some((HOUR, last)));
        assert!(!overlap(&until(years), &drifts, now));
        let met = (HOUR / 2) * (HOUR + 1) + HOUR / 2;
        assert!(!overlap(&until(met - HOUR), &drifts, now));
        assert!(overlap(&until(met), &drifts, now));
    }
}
