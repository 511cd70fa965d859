//! The values of a centre file: names, titles, percentages, dates, sizes, spans. Each says what it wants.
use crate::calendar;
use crate::reader::Wrong;
use madang_model::share::is_profile_name;
use madang_model::{Span, Time, Won};
use std::ops::RangeInclusive;
use toml::de::DeValue;

pub(crate) type Parsed<T> = Result<T, Wrong>;

/// A short name, as typed on a command line.
pub(crate) fn name(value: &DeValue) -> Parsed<String> {
    let text = text(value)?;
    let sound = text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.len() <= 32
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
    if sound {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(format!("cannot be {}", quoted(text)))
        .hint("a name is a lower-case letter, then up to 31 lower-case letters, digits, hyphens or underscores"))
}

/// The name of a profile by which GPUs are cut, or `all` of them.
pub(crate) fn profile(value: &DeValue) -> Parsed<String> {
    let text = text(value)?;
    if text == "all" || is_profile_name(text) {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(format!("is not a profile: {}", quoted(text))).hint("write it as \"1g.18gb\", or \"all\""))
}

/// A line of text for people.
pub(crate) fn title(value: &DeValue) -> Parsed<String> {
    const MOST: usize = 1000;
    let text = text(value)?;
    if text.trim().is_empty() {
        return Err(Wrong::new("is empty"));
    }
    if text.chars().count() > MOST {
        return Err(Wrong::new(format!("is longer than {MOST} characters")));
    }
    if text.chars().any(char::is_control) {
        return Err(Wrong::new("has a line break or another control character"));
    }
    Ok(text.to_owned())
}

/// A percentage with at most two decimals, as `"51%"` or `"15.8%"`, in basis points.
pub(crate) fn percent(value: &DeValue) -> Parsed<u32> {
    let DeValue::String(text) = value else {
        return Err(mistyped("a percentage", value).hint("write it in quotes, as \"51%\""));
    };
    let wrong =
        || Wrong::new(format!("is not a percentage: {}", quoted(text))).hint("write it as \"51%\" or \"15.8%\"");
    let number = text.strip_suffix('%').ok_or_else(wrong)?.trim_end();
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let hundredths = match part.len() {
        1 => digits(part).map(|tenths| tenths * 10),
        2 => digits(part),
        _ => None,
    };
    let points = digits(whole).and_then(|whole| Some(whole * 100 + hundredths?)).ok_or_else(wrong)?;
    u32::try_from(points)
        .ok()
        .filter(|points| *points <= 100_000)
        .ok_or_else(|| Wrong::new(format!("is more than 1000%: {}", quoted(text))))
}

/// A percentage of a whole, so 100% at most.
pub(crate) fn part(value: &DeValue) -> Parsed<u32> {
    let points = percent(value)?;
    if points > crate::governance::WHOLE { Err(Wrong::new("is more than 100%")) } else { Ok(points) }
}

/// A date, or a moment with its offset; a date alone is its midnight in UTC.
pub(crate) fn day(value: &DeValue) -> Parsed<Time> {
    let DeValue::Datetime(moment) = value else {
        return Err(mistyped("a date", value).hint("write it without quotes, as 2025-02-20"));
    };
    let wrong = || Wrong::new(format!("is not a date from 1970 on: {moment}")).hint("write it as 2025-02-20");
    let date = moment.date.ok_or_else(wrong)?;
    let midnight = calendar::midnight(date.year, date.month, date.day).ok_or_else(wrong)?;
    let Some(time) = moment.time else { return Ok(midnight) };
    let east = match moment.offset {
        Some(toml::value::Offset::Z) => 0,
        Some(toml::value::Offset::Custom { minutes }) => i64::from(minutes),
        None => {
            return Err(Wrong::new(format!("has a time of day but no offset: {moment}"))
                .hint("write a date alone, or add Z or +09:00"));
        }
    };
    let minutes = i64::from(time.hour) * 60 + i64::from(time.minute) - east;
    let secs = minutes * 60 + i64::from(time.second.unwrap_or(0));
    let millis = i64::try_from(midnight.millis()).ok().and_then(|millis| millis.checked_add(secs * 1000));
    millis.and_then(|millis| u64::try_from(millis).ok()).map(Time::from_millis).ok_or_else(wrong)
}

/// Yes or no.
pub(crate) fn flag(value: &DeValue) -> Parsed<bool> {
    match value {
        DeValue::Boolean(flag) => Ok(*flag),
        other => Err(mistyped("true or false", other)),
    }
}

/// A whole number within a range.
pub(crate) fn count(range: RangeInclusive<i64>) -> impl Fn(&DeValue) -> Parsed<u32> {
    move |value| {
        let number = integer(value, &range)?;
        u32::try_from(number).map_err(|_| Wrong::new(format!("is out of range: {number}")))
    }
}

/// An amount of money in whole won, at most a thousand trillion.
pub(crate) fn won(value: &DeValue) -> Parsed<Won> {
    integer(value, &(0..=1_000_000_000_000_000)).map(Won::new)
}

/// An amount of memory, as `"2 TiB"`, in MiB.
pub(crate) fn memory(value: &DeValue) -> Parsed<u64> {
    const UNITS: [(&str, u64); 3] = [("MiB", 1), ("GiB", 1 << 10), ("TiB", 1 << 20)];
    const MOST: u64 = 64 << 20;
    let text = text(value)?;
    let wrong = || Wrong::new(format!("is not an amount of memory: {}", quoted(text))).hint("write it as \"512 GiB\"");
    let (number, unit) =
        UNITS.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit))).ok_or_else(wrong)?;
    let mib = digits(number.trim_end()).and_then(|number| number.checked_mul(*unit)).ok_or_else(wrong)?;
    if mib == 0 || mib > MOST {
        return Err(Wrong::new(format!("is out of range: {}", quoted(text))).hint("from 1 MiB to 64 TiB"));
    }
    Ok(mib)
}

/// A length of time, as `"30m"`, `"12h"` or `"7d"`.
pub(crate) fn span(value: &DeValue) -> Parsed<Span> {
    const MOST: Span = Span::from_days(3650);
    let text = text(value)?;
    let wrong = || {
        Wrong::new(format!("is not a length of time: {}", quoted(text))).hint("write it as \"30m\", \"12h\" or \"7d\"")
    };
    let unit = text.chars().last().ok_or_else(wrong)?;
    let number = digits(&text[..text.len() - unit.len_utf8()]).ok_or_else(wrong)?;
    let span = match unit {
        's' => Span::from_secs(number),
        'm' => Span::from_mins(number),
        'h' => Span::from_hours(number),
        'd' => Span::from_days(number),
        _ => return Err(wrong()),
    };
    if span == Span::ZERO || span > MOST {
        return Err(Wrong::new(format!("is out of range: {}", quoted(text))).hint("from 1s to 3650d"));
    }
    Ok(span)
}

/// What a file calls what carries out a site's effects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EngineWord {
    Local,
    Model,
    Slurm,
    Agent,
}

/// What carries out a site's effects.
pub(crate) fn engine(value: &DeValue) -> Parsed<EngineWord> {
    match text(value)? {
        "model" => Ok(EngineWord::Model),
        "local" => Ok(EngineWord::Local),
        "slurm" => Ok(EngineWord::Slurm),
        "agent" => Ok(EngineWord::Agent),
        other => Err(Wrong::new(format!("cannot be {}", quoted(other))).hint(
            "\"model\" for a modelled site, \"local\" for this machine, \"slurm\" for a Slurm cluster, \"agent\" for a site \
             whose agent dials in",
        )),
    }
}

/// Who places a Slurm site's jobs: so far only the core.
pub(crate) fn slurm_mode(value: &DeValue) -> Parsed<()> {
    match text(value)? {
        "placed" => Ok(()),
        "delegated" => {
            Err(Wrong::new("cannot be \"delegated\" yet").hint("mode = \"placed\": the core chooses the nodes"))
        }
        other => Err(Wrong::new(format!("cannot be {}", quoted(other))).hint("\"placed\"")),
    }
}

/// A path from the root, without characters that Slurm or a shell would read as something else.
pub(crate) fn path(value: &DeValue) -> Parsed<String> {
    const MOST: usize = 200;
    let text = text(value)?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-+@=:".contains(&b);
    if text.starts_with('/') && text.len() <= MOST && text.bytes().all(plain) {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(format!("is not a path from the root: {}", quoted(text)))
        .hint("letters, digits and /._-+@=: only, 200 at most"))
}

/// A name of Slurm's: of a partition, an account, a QOS.
pub(crate) fn slurm_name(value: &DeValue) -> Parsed<String> {
    let text = text(value)?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
    let starts = text.starts_with(|first: char| first.is_ascii_alphanumeric());
    if starts && text.len() <= 64 && text.bytes().all(plain) {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(format!("is not a name of Slurm's: {}", quoted(text))))
}

/// How many nodes an island has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nodes {
    Count(u32),
    ThisMachine,
}

/// A number of nodes, or the words "this machine".
pub(crate) fn nodes(value: &DeValue) -> Parsed<Nodes> {
    match value {
        DeValue::String(text) if text == "this machine" => Ok(Nodes::ThisMachine),
        DeValue::Integer(_) => count(1..=crate::MOST_NODES as i64)(value).map(Nodes::Count),
        other => Err(mistyped("a number of nodes or \"this machine\"", other)),
    }
}

/// Text within quotes, shortened so that a message stays readable.
pub(crate) fn quoted(text: &str) -> String {
    let mut short: String = text.chars().take(40).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("{short:?}")
}

/// Any text.
pub(crate) fn text<'v>(value: &'v DeValue) -> Parsed<&'v str> {
    match value {
        DeValue::String(text) => Ok(text),
        other => Err(mistyped("text", other)),
    }
}

fn integer(value: &DeValue, range: &RangeInclusive<i64>) -> Parsed<i64> {
    let DeValue::Integer(number) = value else { return Err(mistyped("a whole number", value)) };
    let parsed = i64::from_str_radix(number.as_str(), number.radix()).ok();
    parsed.filter(|parsed| range.contains(parsed)).ok_or_else(|| {
        Wrong::new(format!("is out of range: {}", shortened(&number.to_string()))).hint(format!(
            "from {} to {}",
            range.start(),
            range.end()
        ))
    })
}

fn shortened(number: &str) -> String {
    if number.len() <= 24 { number.to_owned() } else { format!("{}… ({} digits)", &number[..12], number.len()) }
}

fn digits(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.len() <= 15 && text.bytes().all(|b| b.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

fn mistyped(wanted: &str, value: &DeValue) -> Wrong {
    let found = match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a point",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    Wrong::new(format!("must be {wanted}, not {found}"))
}
