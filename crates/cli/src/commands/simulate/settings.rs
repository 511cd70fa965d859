//! Settings of the field's policies by their names: short ones, and those of the products whose rules they are.
//!
//! Values are written as in a centre file's `[policy]`: whole numbers, lengths of time such as `5 min`, words.
use madang_charter::policy::{Setting, length, meant, number, put, set_of, word_for};
use madang_sim::trial::peers::kueue::{Queueing, Reclaim, Scoring};
use madang_sim::trial::peers::{Tuned, easy, kueue, multifactor};

/// A product's name for a setting, in its own spelling.
type Alias = (&'static str, &'static str);

/// Seconds of a day.
const DAY: u64 = 86_400;
/// The most jobs that a pass may look at; more is all of them.
const MOST: u32 = 1_000_000;

const SCORINGS: [(&str, Scoring); 2] =
    [("most-allocated", Scoring::MostAllocated), ("least-allocated", Scoring::LeastAllocated)];
const RECLAIMS: [(&str, Reclaim); 5] = [
    ("any", Reclaim::Any),
    ("lower-priority", Reclaim::LowerPriority),
    ("never", Reclaim::Never),
    ("yes", Reclaim::Any),
    ("no", Reclaim::Never),
];
const QUEUEINGS: [(&str, Queueing); 2] = [("best-effort", Queueing::BestEffortFifo), ("strict", Queueing::StrictFifo)];

/// A length of time within bounds in seconds.
macro_rules! span {
    ($name:literal, $takes:literal, $range:expr, $field:ident) => {
        Setting {
            name: $name,
            takes: $takes,
            set: |config, text| put(&mut config.$field, length(text, $range)),
            get: |config| config.$field.to_string(),
        }
    };
}

/// A weight of a factor of priority.
macro_rules! weight {
    ($name:literal, $field:ident) => {
        Setting {
            name: $name,
            takes: "a whole number from 0 to 1000000000",
            set: |config, text| put(&mut config.$field, number(text, 0..=1_000_000_000)),
            get: |config| config.$field.to_string(),
        }
    };
}

/// One of several words.
macro_rules! word {
    ($name:literal, $takes:literal, $words:expr, $field:ident) => {
        Setting {
            name: $name,
            takes: $takes,
            set: |config, text| put(&mut config.$field, meant(&$words, text)),
            get: |config| word_for(&$words, config.$field).into(),
        }
    };
}

const EASY: [Setting<easy::Config>; 2] = [
    Setting {
        name: "depth",
        takes: "from 0 to 1000000, or all",
        set: |config, text| {
            let depth =
                if text == "all" { Some(usize::MAX) } else { number(text, 0..=MOST).map(|depth| depth as usize) };
            put(&mut config.depth, depth)
        },
        get: |config| if config.depth == usize::MAX { "all".into() } else { config.depth.to_string() },
    },
    span!("window", "a length of time from \"0s\" to \"3650 days\"", 0..=3650 * DAY, window),
];
const EASY_ALIASES: [Alias; 2] = [("bf_max_job_test", "depth"), ("bf_window", "window")];

const MULTIFACTOR: [Setting<multifactor::Config>; 11] = [
    weight!("age", weight_age),
    weight!("fairshare", weight_fair_share),
    weight!("size", weight_job_size),
    weight!("qos", weight_qos),
    span!("max_age", "a length of time from \"1 min\" to \"3650 days\"", 60..=3650 * DAY, max_age),
    span!("half_life", "a length of time from \"1 hour\" to \"3650 days\"", 3600..=3650 * DAY, half_life),
    span!("calc", "a length of time from \"1s\" to \"1 hour\"", 1..=3600, calc_period),
    Setting {
        name: "depth",
        takes: "from 0 to 1000000",
        set: |config, text| put(&mut config.max_job_test, number(text, 0..=MOST).map(|depth| depth as usize)),
        get: |config| config.max_job_test.to_string(),
    },
    Setting {
        name: "window",
        takes: "a length of time from \"1 min\" to \"3650 days\"",
        set: |config, text| put(&mut config.window, length(text, 60..=3650 * DAY).map(Some)),
        get: |config| config.window.map_or_else(|| "the longest limit".into(), |window| window.to_string()),
    },
    span!("interval", "a length of time from \"1s\" to \"1 day\"", 1..=DAY, interval),
    span!("resolution", "a length of time from \"1s\" to \"1 day\"", 1..=DAY, resolution),
];
const MULTIFACTOR_ALIASES: [Alias; 11] = [
    ("PriorityWeightAge", "age"),
    ("PriorityWeightFairshare", "fairshare"),
    ("PriorityWeightJobSize", "size"),
    ("PriorityWeightQOS", "qos"),
    ("PriorityMaxAge", "max_age"),
    ("PriorityDecayHalfLife", "half_life"),
    ("PriorityCalcPeriod", "calc"),
    ("bf_max_job_test", "depth"),
    ("bf_window", "window"),
    ("bf_interval", "interval"),
    ("bf_resolution", "resolution"),
];

const KUEUE: [Setting<kueue::Config>; 7] = [
    span!("timeout", "a length of time from \"1s\" to \"365 days\"", 1..=365 * DAY, timeout),
    span!("backoff", "a length of time from \"1s\" to \"1 day\"", 1..=DAY, backoff_base),
    span!("backoff_max", "a length of time from \"1s\" to \"365 days\"", 1..=365 * DAY, backoff_max),
    word!("reclaim", "any (yes), lower-priority or never (no)", RECLAIMS, reclaim),
    Setting {
        name: "borrow",
        takes: "yes, no or so many GPUs, from 0 to 1000000",
        set: |config, text| {
            let limit = match text {
                "yes" => Some(None),
                "no" => Some(Some(0)),
                text => number(text, 0..=1_000_000).map(|gpus| Some(u64::from(gpus))),
            };
            put(&mut config.borrowing, limit)
        },
        get: |config| config.borrowing.map_or_else(|| "yes".into(), |gpus| gpus.to_string()),
    },
    word!("queueing", "best-effort or strict", QUEUEINGS, queueing),
    word!("scoring", "most-allocated or least-allocated", SCORINGS, scoring),
];
const KUEUE_ALIASES: [Alias; 7] = [
    ("waitForPodsReady.timeout", "timeout"),
    ("backoffBaseSeconds", "backoff"),
    ("backoffMaxSeconds", "backoff_max"),
    ("reclaimWithinCohort", "reclaim"),
    ("borrowingLimit", "borrow"),
    ("queueingStrategy", "queueing"),
    ("NodeResourcesFit", "scoring"),
];

/// Changes one setting of a policy of the field.
pub fn set(tuned: &mut Tuned, name: &str, text: &str) -> Result<(), String> {
    match tuned {
        Tuned::Fifo => Err("fifo has no settings".into()),
        Tuned::Easy(config) => set_of(&EASY, config, short(&EASY_ALIASES, name), text),
        Tuned::Multifactor(config) => set_of(&MULTIFACTOR, config, short(&MULTIFACTOR_ALIASES, name), text),
        Tuned::Kueue(config) => set_of(&KUEUE, config, short(&KUEUE_ALIASES, name), text),
    }
}

/// The short name where the product's own is given, in any case.
fn short<'a>(aliases: &[Alias], name: &'a str) -> &'a str {
    aliases.iter().find(|(product, _)| product.eq_ignore_ascii_case(name)).map_or(name, |(_, short)| short)
}

#[cfg(test)]
mod tests {
    use super::*;
    use madang_sim::trial::peers::Peer;

    /// Each setting with what it is by default, and with the product's name for it.
    fn listed<P>(settings: &[Setting<P>], aliases: &[Alias], config: &P) -> String {
        let line = |setting: &Setting<P>| {
            let product =
                aliases.iter().find(|(_, short)| *short == setting.name).map_or("none", |(product, _)| product);
            format!("{} = {} ({product})\n", setting.name, (setting.get)(config))
        };
        settings.iter().map(line).collect()
    }

    #[test]
    fn defaults_are_as_documented() {
        let text = [
            listed(&EASY, &EASY_ALIASES, &easy::Config::default()),
            listed(&MULTIFACTOR, &MULTIFACTOR_ALIASES, &multifactor::Config::default()),
            listed(&KUEUE, &KUEUE_ALIASES, &kueue::Config::default()),
        ];
        assert_eq!(text.join("\n"), "");
    }

    #[test]
    fn settings_go_by_both_names_and_wrong_ones_are_said() {
        let mut tuned = Tuned::from(Peer::Multifactor);
        assert_eq!(set(&mut tuned, "priorityweightage", "7"), Ok(()));
        assert_eq!(set(&mut tuned, "half-life", "2 days"), Ok(()));
        let Tuned::Multifactor(config) = &tuned else { panic!("it stays what it is") };
        assert_eq!((config.weight_age, config.half_life.to_string().as_str()), (7, "2d"));
        let wrong = |peer, name, text| set(&mut Tuned::from(peer), name, text).expect_err("it is wrong");
        assert_eq!(
            wrong(Peer::Easy, "dept", "3"),
            "there is no setting \"dept\"; did you mean depth? settings are depth, window"
        );
        assert_eq!(
            wrong(Peer::Kueue, "reclaim", "maybe"),
            "reclaim cannot be \"maybe\"; it is any (yes), lower-priority or never (no)"
        );
        assert_eq!(wrong(Peer::Fifo, "depth", "3"), "fifo has no settings");
    }
}
