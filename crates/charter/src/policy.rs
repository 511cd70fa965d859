//! A centre's policy: `[policy]` of its file, and the same settings by their names wherever else they are given.
//!
//! One table names every setting, so that a centre file, `madang check` and the simulator speak of the same things in
//! the same words.
use crate::centre_file::{CentreFile, LendingEntry};
use crate::reader::{Fields, Sheet, Wrong, nearest};
use crate::resolve::Names;
use crate::values::quoted;
use madang_model::policy::{Lending, Order, Refund, VictimOrder};
use madang_model::{PartyId, Policy, Qos, Site, Span};
use std::ops::RangeInclusive;
use toml::de::DeValue;

/// A setting of a policy, the centre's or another's, by its name.
pub struct Setting<P = Policy> {
    /// Its name.
    pub name: &'static str,
    /// What it may be, for people.
    pub takes: &'static str,
    /// Gives nothing, and changes nothing, where the text is none of that.
    pub set: fn(&mut P, &str) -> Option<()>,
    /// What it is, as text.
    pub get: fn(&P) -> String,
}

const ORDERS: [(&str, Order); 2] = [("shortest-first", Order::ShortestFirst), ("oldest-first", Order::OldestFirst)];
const VICTIMS: [(&str, VictimOrder); 3] =
    [("least-lost", VictimOrder::LeastLost), ("youngest", VictimOrder::Youngest), ("largest", VictimOrder::Largest)];
const REFUNDS: [(&str, Refund); 2] = [("lost", Refund::Lost), ("whole", Refund::Whole)];
const URGENCIES: [(&str, Qos); 3] = [("low", Qos::Low), ("normal", Qos::Normal), ("high", Qos::High)];

/// Seconds of a day.
const DAY: u64 = 86_400;

/// A length of time within bounds in seconds.
macro_rules! span {
    ($name:literal, $takes:literal, $range:expr, $($field:ident).+) => {
        Setting {
            name: $name,
            takes: $takes,
            set: |policy, text| put(&mut policy.$($field).+, length(text, $range)),
            get: |policy| policy.$($field).+.to_string(),
        }
    };
}

/// A whole number within bounds.
macro_rules! count {
    ($name:literal, $takes:literal, $range:expr, $($field:ident).+) => {
        Setting {
            name: $name,
            takes: $takes,
            set: |policy, text| put(&mut policy.$($field).+, number(text, $range)),
            get: |policy| policy.$($field).+.to_string(),
        }
    };
}

/// One of several words.
macro_rules! word {
    ($name:literal, $takes:literal, $words:expr, $($field:ident).+) => {
        Setting {
            name: $name,
            takes: $takes,
            set: |policy, text| put(&mut policy.$($field).+, meant(&$words, text)),
            get: |policy| word_for(&$words, policy.$($field).+).into(),
        }
    };
}

const SETTINGS: [Setting; 30] = [
    span!("half_life", "a length of time from \"1 hour\" to \"3650 days\"", 3600..=3650 * DAY, half_life),
    count!("promises", "from 0 to 1000", 0..=1000, promises),
    word!("backfill", "shortest-first or oldest-first", ORDERS, backfill),
    Setting {
        name: "prediction",
        takes: "true or false",
        set: |policy, text| put(&mut policy.prediction, yes_or_no(text)),
        get: |policy| if policy.prediction { "true" } else { "false" }.into(),
    },
    Setting {
        name: "patience",
        takes: "from 0 to 1000, or never",
        set: |policy, text| {
            let times = if text == "never" { Some(None) } else { number(text, 0..=1000).map(Some) };
            put(&mut policy.patience, times)
        },
        get: |policy| policy.patience.map_or_else(|| "never".into(), |times| times.to_string()),
    },
    Setting {
        name: "reclaim",
        takes: "true or false",
        set: |policy, text| put(&mut policy.taking.reclaim, yes_or_no(text)),
        get: |policy| if policy.taking.reclaim { "true" } else { "false" }.into(),
    },
    Setting {
        name: "preempts",
        takes: "low, normal, high or never",
        set: |policy, text| {
            let least = if text == "never" { Some(None) } else { meant(&URGENCIES, text).map(Some) };
            put(&mut policy.taking.preempts, least)
        },
        get: |policy| policy.taking.preempts.map_or("never", |qos| word_for(&URGENCIES, qos)).into(),
    },
    word!("preemptible", "low, normal or high", URGENCIES, taking.preemptible),
    word!("victims", "least-lost, youngest or largest", VICTIMS, taking.order),
    span!("cap", "a length of time from \"0s\" to \"3650 days\"", 0..=3650 * DAY, taking.cap),
    span!("grace", "a length of time from \"0s\" to \"1 day\"", 0..=DAY, taking.grace),
    span!("settle", "a length of time from \"0s\" to \"7 days\"", 0..=7 * DAY, taking.settle),
    count!("times", "from 0 to 1000", 0..=1000, taking.times),
    span!("window", "a length of time from \"1 min\" to \"365 days\"", 60..=365 * DAY, taking.window),
    span!("gain", "a length of time from \"0s\" to \"7 days\"", 0..=7 * DAY, taking.gain),
    count!("jobs", "from 0 to 10000", 0..=10_000, taking.jobs),
    span!("growth", "a length of time from \"1 min\" to \"3650 days\"", 60..=3650 * DAY, growth),
    Setting {
        name: "failover_after",
        takes: "a length of time from \"0s\" to \"365 days\", or never",
        set: |policy, text| {
            let after = if text == "never" { Some(None) } else { length(text, 0..=365 * DAY).map(Some) };
            put(&mut policy.failover, after)
        },
        get: |policy| policy.failover.map_or_else(|| "never".into(), |after| after.to_string()),
    },
    count!("tries", "from 1 to 1000000", 1..=1_000_000, tries),
    count!("starts", "from 1 to 1000000", 1..=1_000_000, starts),
    count!("drain_times", "from 0 to 1000, 0 for never", 0..=1000, nodes.times),
    count!("drain_users", "from 1 to 1000", 1..=1000, nodes.users),
    span!("drain_window", "a length of time from \"1 min\" to \"365 days\"", 60..=365 * DAY, nodes.window),
    count!("drain_most", "from 0 to 100, in percent of an island's nodes", 0..=100, nodes.most),
    Setting {
        name: "drain_xids",
        takes: "numbers with commas between, or never",
        set: |policy, text| put(&mut policy.nodes.xids, numbers(text)),
        get: |policy| match policy.nodes.xids.as_slice() {
            [] => "never".into(),
            some => some.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
        },
    },
    count!("warn_celsius", "from 1 to 1000", 1..=1000, nodes.warm),
    count!("drain_celsius", "from 1 to 1000", 1..=1000, nodes.hot),
    count!("stop_hours", "from 1 to 1000000000, in GPU-hours", 1..=1_000_000_000, stops.hours),
    word!("refund", "lost or whole", REFUNDS, refund),
    span!("checkpoint_cost", "a length of time from \"1s\" to \"1 day\"", 1..=DAY, stops.cost),
];

/// Puts a value in its place, if there is one.
pub fn put<T>(place: &mut T, value: Option<T>) -> Option<()> {
    *place = value?;
    Some(())
}

/// What a word stands for.
pub fn meant<T: Copy>(words: &[(&str, T)], text: &str) -> Option<T> {
    words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value)
}

/// The word that stands for a value.
pub fn word_for<T: PartialEq>(words: &[(&'static str, T)], value: T) -> &'static str {
    words.iter().find(|(_, other)| *other == value).map_or("", |(word, _)| word)
}

/// Several whole numbers with commas between, or `never` for none.
fn numbers(text: &str) -> Option<Vec<u32>> {
    match text {
        "never" => Some(Vec::new()),
        some => some.split(',').map(|one| number(one.trim(), 0..=u32::MAX)).collect(),
    }
}

/// Whether a text says yes or no.
pub fn yes_or_no(text: &str) -> Option<bool> {
    match text {
        "true" | "yes" => Some(true),
        "false" | "no" => Some(false),
        _ => None,
    }
}

/// A whole number within bounds.
pub fn number(text: &str, range: RangeInclusive<u32>) -> Option<u32> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|number| plain && range.contains(number))
}

/// A length of time within bounds in seconds: `14 days`, `2 min`, `90s`, `12h`.
pub fn length(text: &str, secs: RangeInclusive<u64>) -> Option<Span> {
    let unit = text.trim_start_matches(|letter: char| letter.is_ascii_digit());
    let number: u64 = text[..text.len() - unit.len()].parse().ok()?;
    let each = match unit.trim_start() {
        "s" | "sec" | "second" | "seconds" => 1,
        "m" | "min" | "minute" | "minutes" => 60,
        "h" | "hour" | "hours" => 3600,
        "d" | "day" | "days" => DAY,
        _ => return None,
    };
    number.checked_mul(each).filter(|length| secs.contains(length)).map(Span::from_secs)
}

/// Every setting: its name, what it may be, and what it is by default.
pub fn settings() -> Vec<(&'static str, &'static str, String)> {
    let policy = Policy::default();
    SETTINGS.iter().map(|setting| (setting.name, setting.takes, (setting.get)(&policy))).collect()
}

/// Changes one setting of a policy, by its name and as text; hyphens in a name are as good as underscores.
pub fn set(policy: &mut Policy, name: &str, text: &str) -> Result<(), String> {
    set_of(&SETTINGS, policy, name, text)
}

/// The same of any policy that has these settings.
pub fn set_of<P>(settings: &[Setting<P>], policy: &mut P, name: &str, text: &str) -> Result<(), String> {
    let known = || settings.iter().map(|setting| setting.name);
    let plain = name.replace('-', "_");
    let Some(setting) = settings.iter().find(|setting| setting.name == plain) else {
        let meant = nearest(&plain, known()).map(|meant| format!("did you mean {meant}? ")).unwrap_or_default();
        let known = known().collect::<Vec<_>>().join(", ");
        return Err(format!("there is no setting {}; {meant}settings are {known}", quoted(name)));
    };
    (setting.set)(policy, text)
        .ok_or_else(|| format!("{} cannot be {}; it is {}", setting.name, quoted(text), setting.takes))
}

/// The settings in which a policy is not the default one, each with its value.
pub fn differences(policy: &Policy) -> Vec<(&'static str, String)> {
    let usual = Policy::default();
    let said = SETTINGS.iter().map(|setting| (setting, (setting.get)(policy)));
    let differs = said.filter(|(setting, value)| *value != (setting.get)(&usual));
    differs.map(|(setting, value)| (setting.name, value)).collect()
}

/// The settings in `[policy]`.
pub(crate) fn read(fields: &mut Fields<'_>) -> Policy {
    let mut policy = Policy::default();
    for setting in &SETTINGS {
        let changed = fields.may(setting.name, |value| {
            let text = written(value).map_err(|wrong| wrong.hint(setting.takes))?;
            let mut changed = policy.clone();
            let wrong = || Wrong::new(format!("cannot be {}", quoted(&text))).hint(setting.takes);
            (setting.set)(&mut changed, &text).map(|()| changed).ok_or_else(wrong)
        });
        if let Some(changed) = changed {
            policy = changed.value;
        }
    }
    policy
}

/// A value of a centre file as the text that stands for it.
fn written(value: &DeValue) -> Result<String, Wrong> {
    match value {
        DeValue::Integer(number) if number.radix() == 10 => Ok(number.as_str().replace('_', "")),
        DeValue::Boolean(truth) => Ok(truth.to_string()),
        DeValue::String(text) => Ok(text.clone().into_owned()),
        _ => Err(Wrong::new("is neither text, nor a whole number, nor true or false")),
    }
}

/// The policy with its owners' lending.
pub(crate) fn resolve(sheet: &Sheet<'_>, file: &CentreFile, parties: &Names<'_>, sites: &[Site]) -> Policy {
    let Some(entry) = &file.policy else { return Policy::default() };
    let mut policy = entry.policy.clone();
    for LendingEntry { owner, keep, borrow } in &entry.lending {
        let Some(party) = parties.find(sheet, owner).map(PartyId::new) else { continue };
        let owns = |site: &Site| site.shares.iter().any(|(other, share)| *other == party && *share > 0);
        if !sites.iter().any(owns) {
            let fact = format!("{} owns no part of a site: it has nothing to lend", owner.value);
            sheet.wrong(&owner.spot, Wrong::new(fact).hint("give it a share of a site, or leave this out"));
        }
        if policy.lending.insert(party, Lending { keep: *keep, borrow: *borrow }).is_some() {
            let fact = format!("{} has two entries on lending", owner.value);
            sheet.wrong(&owner.spot, Wrong::new(fact).hint("write keep and borrow in one"));
        }
    }
    policy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_reads_what_it_says() {
        for setting in &SETTINGS {
            let mut policy = Policy::default();
            let usual = (setting.get)(&policy);
            assert_eq!((setting.set)(&mut policy, &usual), Some(()), "{} = {usual}", setting.name);
            assert_eq!(policy, Policy::default(), "{}", setting.name);
            assert_eq!((setting.set)(&mut policy, "nonsense"), None, "{}", setting.name);
        }
    }

    #[test]
    fn settings_by_name() {
        let mut policy = Policy::default();
        for (name, text) in [("half-life", "7 days"), ("victims", "largest"), ("reclaim", "no"), ("grace", "30s")] {
            set(&mut policy, name, text).expect("it is a setting");
        }
        let said: Vec<String> = differences(&policy).iter().map(|(name, value)| format!("{name} {value}")).collect();
        assert_eq!(said, ["half_life 7d", "reclaim false", "victims largest", "grace 30s"]);
        let refused = |name, text| set(&mut Policy::default(), name, text).expect_err("it is refused");
        assert!(refused("victim", "largest").contains("did you mean victims?"));
        assert_eq!(refused("promises", "-1"), "promises cannot be \"-1\"; it is from 0 to 1000");
        assert_eq!(refused("half_life", "0s").split(';').next(), Some("half_life cannot be \"0s\""));
        assert!(refused("grace", "99999999999999999999 days").contains("cannot be"));
    }
}
