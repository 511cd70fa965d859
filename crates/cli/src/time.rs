//! Times as Slurm writes and reads them: limits (`d-h:m:s`), lengths, local moments, `now+1hour`.
//!
//! Invariant: pure but for [`now_ms`]; whoever asks passes the present moment, so tests need no clock.
use jiff::civil::{DateTime, Time as Clock};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// The present in milliseconds since 1970.
pub fn now_ms() -> u64 {
    u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0)
}

/// What a limit means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Seconds.
    Secs(u64),
    /// As long as the partition lets it.
    Longest,
}

/// `m`, `m:s`, `h:m:s`, `d-h`, `d-h:m`, `d-h:m:s`, `UNLIMITED`; and, beyond Slurm, `90s`, `2h30m`, `7d`, exact to the
/// second. Slurm's own forms round up to minutes.
pub fn limit(text: &str) -> Option<Limit> {
    let text = text.trim();
    if ["infinite", "unlimited", "-1"].contains(&text.to_ascii_lowercase().as_str()) {
        return Some(Limit::Longest);
    }
    if text.ends_with(|c: char| c.is_ascii_alphabetic()) {
        return suffixed(text).filter(|secs| *secs > 0).map(Limit::Secs);
    }
    let secs = match text.split_once('-') {
        Some((days, rest)) => {
            let [hours, minutes, seconds] = numbers(rest, false)?;
            plain(days)?
                .checked_mul(86_400)?
                .checked_add(hours.checked_mul(3600)?)?
                .checked_add(minutes.checked_mul(60)?)?
                .checked_add(seconds)?
        }
        None => {
            let [hours, minutes, seconds] = numbers(text, true)?;
            hours.checked_mul(3600)?.checked_add(minutes.checked_mul(60)?)?.checked_add(seconds)?
        }
    };
    Some(if secs == 0 { Limit::Longest } else { Limit::Secs(secs.div_ceil(60) * 60) })
}

fn plain(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

/// Up to three numbers as hours, minutes, seconds. Alone or in pairs they are minutes and seconds, after days hours
/// and minutes.
fn numbers(text: &str, minutes_first: bool) -> Option<[u64; 3]> {
    let fields: Vec<u64> = text.split(':').map(plain).collect::<Option<_>>()?;
    match (&fields[..], minutes_first) {
        (&[m], true) => Some([0, m, 0]),
        (&[m, s], true) => Some([0, m, s]),
        (&[h], false) => Some([h, 0, 0]),
        (&[h, m], false) => Some([h, m, 0]),
        (&[h, m, s], _) => Some([h, m, s]),
        _ => None,
    }
}

fn suffixed(text: &str) -> Option<u64> {
    let (mut sum, mut rest) = (0u64, text);
    while !rest.is_empty() {
        let at = rest.find(|c: char| !c.is_ascii_digit())?;
        let unit_end = rest[at..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |end| at + end);
        let scale = match &rest[at..unit_end] {
            "s" | "sec" => 1,
            "m" | "min" => 60,
            "h" => 3600,
            "d" => 86_400,
            _ => return None,
        };
        sum = sum.checked_add(plain(&rest[..at])?.checked_mul(scale)?)?;
        rest = &rest[unit_end..];
    }
    Some(sum)
}

/// `5:00`, `1:00:00`, `7-00:00:00`: squeue's and sinfo's lengths.
pub fn short_length(secs: u64) -> String {
    let (days, hours, minutes, seconds) = split(secs);
    match (days, hours) {
        (0, 0) => format!("{minutes}:{seconds:02}"),
        (0, _) => format!("{hours}:{minutes:02}:{seconds:02}"),
        _ => format!("{days}-{hours:02}:{minutes:02}:{seconds:02}"),
    }
}

/// `00:05:00`, `1-00:00:00`: sacct's and scontrol's lengths.
pub fn long_length(secs: u64) -> String {
    let (days, hours, minutes, seconds) = split(secs);
    match days {
        0 => format!("{hours:02}:{minutes:02}:{seconds:02}"),
        _ => format!("{days}-{hours:02}:{minutes:02}:{seconds:02}"),
    }
}

fn split(secs: u64) -> (u64, u64, u64, u64) {
    (secs / 86_400, secs % 86_400 / 3600, secs % 3600 / 60, secs % 60)
}

/// `2026-11-23T20:03:09` in the local zone.
pub fn local(ms: u64) -> String {
    local_in(ms, &TimeZone::system())
}

fn local_in(ms: u64, zone: &TimeZone) -> String {
    let moment = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    match moment {
        Some(moment) => moment.to_zoned_datetime(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S").to_string(),
        None => "Unknown".to_owned(),
    }
}

/// `Mon Nov 23 20:03:14 2026`: the first line of long listings.
pub fn banner(ms: u64) -> String {
    let moment = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or_default();
    moment.to_zoned_datetime(TimeZone::system()).strftime("%a %b %d %H:%M:%S %Y").to_string()
}

/// A moment as Slurm reads one: `now`, `now+1hour`, `16:00`, `4:30pm`, `midnight`, `noon`, `teatime`, `today`,
/// `tomorrow`, `2026-12-01T08:00`, `12/01/26`, `1201`. A time of day that has passed is tomorrow's.
pub fn moment(text: &str, now_ms: u64) -> Option<u64> {
    moment_in(text, now_ms, &TimeZone::system(), Past::NextDay)
}

/// The same for `--starttime` and `--endtime`, where a time of day is today's.
pub fn past_moment(text: &str, now_ms: u64) -> Option<u64> {
    moment_in(text, now_ms, &TimeZone::system(), Past::Today)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Past {
    NextDay,
    Today,
}

fn moment_in(text: &str, now_ms: u64, zone: &TimeZone, past: Past) -> Option<u64> {
    let text = text.trim();
    let lower = text.to_ascii_lowercase();
    if let Some(rest) = lower.strip_prefix("now") {
        return relative(rest.trim(), now_ms);
    }
    let now = Timestamp::from_millisecond(i64::try_from(now_ms).ok()?).ok()?.to_zoned_datetime(zone.clone()).datetime();
    let wanted = match text.split_once(['T', 't', '-']).filter(|_| !lower.starts_with("t") && !lower.contains('m')) {
        Some(_) if text.contains('-') || text.contains('T') => iso(text)?,
        _ => worded(&lower, now, past)?,
    };
    let moment = zone.to_zoned_datetime(wanted).ok()?.timestamp().as_millisecond();
    u64::try_from(moment).ok()
}

/// `+1hour`, `-2days`, `+30` (seconds) after `now`.
fn relative(rest: &str, now_ms: u64) -> Option<u64> {
    if rest.is_empty() {
        return Some(now_ms);
    }
    let (sign, rest) = rest.split_at_checked(1)?;
    let rest = rest.trim_start();
    let at = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let unit = rest[at..].trim();
    let scale = match unit {
        "" | "s" | "sec" | "secs" | "second" | "seconds" => 1,
        "m" | "min" | "mins" | "minute" | "minutes" => 60,
        "h" | "hour" | "hours" => 3600,
        "d" | "day" | "days" => 86_400,
        "w" | "week" | "weeks" => 604_800,
        _ => return None,
    };
    let ms = plain(&rest[..at])?.checked_mul(scale)?.checked_mul(1000)?;
    match sign {
        "+" => now_ms.checked_add(ms),
        "-" => Some(now_ms.saturating_sub(ms)),
        _ => None,
    }
}

/// `2026-12-01`, `2026-12-01T08:00`, `2026-12-01T08:00:30`.
fn iso(text: &str) -> Option<DateTime> {
    let text = text.replace('t', "T");
    let (date, clock) = text.split_once('T').unwrap_or((&text, "00:00"));
    let date: jiff::civil::Date = date.parse().ok()?;
    Some(date.to_datetime(clock_of(clock)?))
}

fn worded(text: &str, now: DateTime, past: Past) -> Option<DateTime> {
    let midnight = Clock::midnight();
    match text {
        "today" => return Some(if past == Past::Today { now.date().to_datetime(midnight) } else { now }),
        "tomorrow" => return now.checked_add(1.day()).ok().map(|day| day.date().to_datetime(midnight)),
        _ => {}
    }
    let (clock, date) = match text.split_once('/') {
        // HH:MM MM/DD[/YY], or a date alone.
        Some(_) => match text.split_once(char::is_whitespace) {
            Some((clock, date)) => (clock_of(clock)?, Some(slashed(date.trim(), now)?)),
            None => (midnight, Some(slashed(text, now)?)),
        },
        None if text.len() == 4 && plain(text).is_some() => (midnight, Some(month_day(&text[..2], &text[2..], now)?)),
        None => (clock_of(text)?, None),
    };
    match date {
        Some(date) => Some(date.to_datetime(clock)),
        None => {
            let today = now.date().to_datetime(clock);
            if today < now && past == Past::NextDay { today.checked_add(1.day()).ok() } else { Some(today) }
        }
    }
}

fn month_day(month: &str, day: &str, now: DateTime) -> Option<jiff::civil::Date> {
    jiff::civil::Date::new(now.year(), month.parse().ok()?, day.parse().ok()?).ok()
}

fn slashed(text: &str, now: DateTime) -> Option<jiff::civil::Date> {
    let mut fields = text.split('/');
    let (month, day) = (fields.next()?, fields.next()?);
    match fields.next() {
        None => month_day(month, day, now),
        Some(year) => {
            let year: i16 = year.parse().ok()?;
            let year = if year < 100 { 2000 + year } else { year };
            jiff::civil::Date::new(year, month.parse().ok()?, day.parse().ok()?).ok()
        }
    }
}

/// `16:00`, `16:00:30`, `4:30pm`, `4pm`, `midnight`, `noon`, `elevenses`, `fika`, `teatime`.
fn clock_of(text: &str) -> Option<Clock> {
    let named = match text {
        "midnight" => Some((0, 0)),
        "noon" => Some((12, 0)),
        "elevenses" => Some((11, 0)),
        "fika" => Some((15, 0)),
        "teatime" => Some((16, 0)),
        _ => None,
    };
    if let Some((hour, minute)) = named {
        return Clock::new(hour, minute, 0, 0).ok();
    }
    let (digits, afternoon) = match (text.strip_suffix("am"), text.strip_suffix("pm")) {
        (Some(digits), _) => (digits.trim(), Some(false)),
        (_, Some(digits)) => (digits.trim(), Some(true)),
        _ => (text, None),
    };
    let fields: Vec<i8> = digits.split(':').map(|field| field.parse().ok()).collect::<Option<_>>()?;
    let (hour, minute, second) = match fields[..] {
        [hour] if afternoon.is_some() => (hour, 0, 0),
        [hour, minute] => (hour, minute, 0),
        [hour, minute, second] => (hour, minute, second),
        _ => return None,
    };
    let hour = match afternoon {
        None => hour,
        Some(_) if !(1..=12).contains(&hour) => return None,
        Some(pm) => hour % 12 + if pm { 12 } else { 0 },
    };
    Clock::new(hour, minute, second, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits() {
        for (text, want) in [
            ("30", 1800),
            ("0:30", 60),
            ("1:30", 120),
            ("02:00:00", 7200),
            ("1-00:00:00", 86_400),
            ("1-12", 129_600),
            ("1-2:30", 95_400),
            ("3-00:00:00", 259_200),
            ("90s", 90),
            ("2h30m", 9000),
            ("7d", 604_800),
        ] {
            assert_eq!(limit(text), Some(Limit::Secs(want)), "{text}");
        }
        for text in ["UNLIMITED", "infinite", "0", "-1"] {
            assert_eq!(limit(text), Some(Limit::Longest), "{text}");
        }
        for text in ["", "abc", "1:2:3:4", "1-", "-5", "1-2-3", "1.5", "h", "3x", "99999999999999999999"] {
            assert_eq!(limit(text), None, "{text}");
        }
    }

    #[test]
    fn lengths() {
        for (secs, short, long) in [
            (0, "0:00", "00:00:00"),
            (5, "0:05", "00:00:05"),
            (300, "5:00", "00:05:00"),
            (3600, "1:00:00", "01:00:00"),
            (90_061, "1-01:01:01", "1-01:01:01"),
        ] {
            assert_eq!(short_length(secs), short);
            assert_eq!(long_length(secs), long);
        }
    }

    /// 2026-11-23T20:03:09 in a zone nine hours ahead.
    const NOW: u64 = 1_795_431_789_000;

    fn seoul() -> TimeZone {
        TimeZone::fixed(jiff::tz::offset(9))
    }

    #[test]
    fn moments() {
        assert_eq!(local_in(NOW, &seoul()), "2026-11-23T20:03:09");
        for (text, want) in [
            ("now", "2026-11-23T20:03:09"),
            ("now+1hour", "2026-11-23T21:03:09"),
            ("now+60", "2026-11-23T20:04:09"),
            ("now + 2 days", "2026-11-25T20:03:09"),
            ("now-1day", "2026-11-22T20:03:09"),
            ("21:00", "2026-11-23T21:00:00"),
            ("16:00", "2026-11-24T16:00:00"),
            ("4:30pm", "2026-11-24T16:30:00"),
            ("11pm", "2026-11-23T23:00:00"),
            ("12am", "2026-11-24T00:00:00"),
            ("midnight", "2026-11-24T00:00:00"),
            ("teatime", "2026-11-24T16:00:00"),
            ("tomorrow", "2026-11-24T00:00:00"),
            ("2026-12-01", "2026-12-01T00:00:00"),
            ("2026-12-01T08:00", "2026-12-01T08:00:00"),
            ("2026-12-01T08:00:30", "2026-12-01T08:00:30"),
            ("12/01/26", "2026-12-01T00:00:00"),
            ("08:00 12/01/26", "2026-12-01T08:00:00"),
            ("1201", "2026-12-01T00:00:00"),
        ] {
            let got = moment_in(text, NOW, &seoul(), Past::NextDay).map(|ms| local_in(ms, &seoul()));
            assert_eq!(got.as_deref(), Some(want), "{text}");
        }
        let today = moment_in("16:00", NOW, &seoul(), Past::Today).map(|ms| local_in(ms, &seoul()));
        assert_eq!(today.as_deref(), Some("2026-11-23T16:00:00"));
        for text in ["", "xx", "25:00", "now+", "now+1fortnight", "2026-13-01", "13/45", "noonish", "0pm"] {
            assert_eq!(moment_in(text, NOW, &seoul(), Past::NextDay), None, "{text}");
        }
    }
}
