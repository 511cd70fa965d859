//! Days and moments: the proleptic Gregorian calendar in UTC, no clock.
use madang_model::{Span, Time};

/// Days from 1970-01-01 to a date (the algorithm of counting from 1 March, so that the leap day comes last).
fn days_to(year: u16, month: u8, day: u8) -> i64 {
    let (year, month, day) = (i64::from(year), i64::from(month), i64::from(day));
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Midnight UTC at the start of a date; `None` when there is no such date or it lies before 1970.
pub(crate) fn midnight(year: u16, month: u8, day: u8) -> Option<Time> {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let length = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return None,
    };
    let days = u64::try_from(days_to(year, month, day)).ok()?;
    (1..=length).contains(&day).then(|| Time::default().after(Span::from_days(days)))
}

/// The date of a moment, as in `2025-02-20`.
pub(crate) fn date(at: Time) -> String {
    let days = at.millis() / 86_400_000 + 719_468;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + days / 146_097 * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_moments_agree() {
        for (year, month, day, millis) in [
            (1970, 1, 1, 0),
            (2000, 2, 29, 951_782_400_000),
            (2025, 2, 20, 1_740_009_600_000),
            (2100, 3, 1, 4_107_542_400_000),
        ] {
            let at = midnight(year, month, day).expect("a date");
            assert_eq!(at.millis(), millis);
            assert_eq!(date(at), format!("{year:04}-{month:02}-{day:02}"));
        }
        for (year, month, day) in
            [(2025, 2, 29), (2100, 2, 29), (2025, 13, 1), (2025, 0, 1), (2025, 4, 31), (1969, 12, 31)]
        {
            assert_eq!(midnight(year, month, day), None, "{year}-{month}-{day}");
        }
    }

    #[test]
    fn every_day_of_a_cycle_comes_back() {
        for day in 0..146_097 {
            let text = date(Time::default().after(Span::from_days(day)));
            let parts: Vec<u16> = text.split('-').map(|part| part.parse().expect("digits")).collect();
            let back = midnight(parts[0], parts[1] as u8, parts[2] as u8).expect("a date");
            assert_eq!(back.millis(), day * 86_400_000);
        }
    }
}
