//! Settings of the field's policies by their names: short ones, and those of the products whose rules they are.
//!
//! Values are written as in a centre file's `[policy]`: whole numbers, lengths of time such as `5 min`, words.
use madang_charter::policy::{Setting, length, meant, number, put, set_of, word_for};
use madang_model::Span;
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
    Setting {
        name: "window",
        takes: "a length of time from \"0s\" to \"3650 days\", or any",
        set: |config, text| {
            put(&mut config.window, if text == "any" { Some(Span::MAX) } else { length(text, 0..=3650 * DAY) })
        },
        get: |config| if config.window == Span::MAX { "any".into() } else { config.window.to_string() },
    },
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
        get: |config| config.window.map_or_else(|| "7d, or the longest limit".into(), |window| window.to_string()),
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
    use super::super::variant::Variant;
    use super::*;
    use madang_model::{Qos, Time};
    use madang_sim::report::Case;
    use madang_sim::trial::peers::Peer;
    use madang_sim::trial::{Job, Machine, Owner, Workload};

    /// Lines of a table as the documents have them: the name, the product's, the default.
    fn lines<P>(settings: &[Setting<P>], aliases: &[Alias], config: &P) -> Vec<String> {
        let line = |setting: &Setting<P>| {
            let product =
                aliases.iter().find(|(_, short)| *short == setting.name).map_or("none", |(product, _)| product);
            format!("| `{}` | `{product}` | {} |", setting.name, (setting.get)(config))
        };
        settings.iter().map(line).collect()
    }

    #[test]
    fn names_and_defaults_are_as_documented() {
        let page = include_str!("../../../../../docs/simulate.md");
        let tables = [
            lines(&EASY, &EASY_ALIASES, &easy::Config::default()),
            lines(&MULTIFACTOR, &MULTIFACTOR_ALIASES, &multifactor::Config::default()),
            lines(&KUEUE, &KUEUE_ALIASES, &kueue::Config::default()),
        ];
        let missing: Vec<String> = tables.concat().into_iter().filter(|line| !page.contains(line)).collect();
        assert_eq!(missing, Vec::<String>::new());
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

    /// Rows of: submission, run time, limit in seconds, nodes x GPUs, owner, and perhaps an urgency; on nodes of 8 GPUs.
    fn case(nodes: u32, rows: &str) -> Case {
        let owner = |index| Owner { name: format!("o{index}"), weight: 1 };
        let mut workload = Workload::default();
        for (number, row) in (1..).zip(rows.split(';')) {
            let cells: Vec<&str> = row.split_whitespace().collect();
            let number_at = |at: usize| cells[at].parse::<u64>().expect("a number");
            let (gang, gpus) = cells[3].split_once('x').expect("nodes x GPUs");
            workload.jobs.push(Job {
                number,
                submit: Time::from_millis(number_at(0) * 1000),
                runtime: Span::from_secs(number_at(1)),
                limit: Span::from_secs(number_at(2)),
                nodes: gang.parse().expect("nodes"),
                gpus: gpus.parse().expect("GPUs"),
                cpus: 1,
                owner: number_at(4) as u32,
                qos: match cells.get(5) {
                    Some(&"low") => Qos::Low,
                    Some(&"high") => Qos::High,
                    _ => Qos::Normal,
                },
                ..Job::default()
            });
        }
        let owners = workload.jobs.iter().map(|job| job.owner).max().map_or(0, |most| most + 1);
        workload.owners = (0..owners).map(owner).collect();
        Case { seed: 1, workload, machine: Machine::plain(nodes, 8) }
    }

    /// The last start of each job, in seconds.
    fn starts(case: &Case, policy: &str) -> String {
        let variant = Variant::named(policy).ok().flatten().unwrap_or_else(|| panic!("{policy} is a policy"));
        let outcome = variant.run(case, &mut |_| ()).unwrap_or_else(|refusal| panic!("{policy}: {refusal}"));
        let mut starts = vec![0; case.workload.jobs.len()];
        outcome.runs.iter().for_each(|run| starts[run.job as usize] = run.start.secs());
        starts.iter().map(u64::to_string).collect::<Vec<_>>().join(" ")
    }

    /// A whole machine until 1000; then a small old job and a large new one of others.
    const OLD_OR_LARGE: &str = "0 1000 1000 2x8 0; 10 50 50 1x8 1; 900 50 50 2x8 1";
    const TWO_OWNERS: &str = "0 1000 1000 1x8 0; 10 500 500 2x8 0; 20 500 500 2x8 1; 31 900 900 1x8 0";
    /// By count there is room for the third, node by node there is not.
    const IN_PART: &str = "0 2000 2000 1x5 0; 1 400 400 1x5 0; 5 100 100 2x7 0; 6 350 350 1x3 0";
    const BORROWERS: &str = "0 500 500 1x8 0; 1 500 500 1x8 0; 2 500 500 1x8 0; 3 500 500 1x8 0; 10 100 100 1x8 1";

    #[test]
    fn each_setting_changes_what_happens() {
        let table: [(&str, u32, &str, &str); 20] = [
            ("easy:depth=0", 2, "0 100 100 1x8 0; 1 50 50 2x8 0; 2 60 60 1x8 0", "0 100 2 -> 0 100 150"),
            ("easy:window=50s", 2, "0 100 100 1x8 0; 1 50 50 2x8 0; 3 99 120 1x8 0", "0 100 150 -> 0 102 3"),
            ("multifactor:age=1000000000", 2, OLD_OR_LARGE, "0 1050 1000 -> 0 1000 1050"),
            ("multifactor:size=0", 2, OLD_OR_LARGE, "0 1050 1000 -> 0 1000 1050"),
            ("multifactor:max_age=10 min", 2, OLD_OR_LARGE, "0 1050 1000 -> 0 1000 1050"),
            ("multifactor:fairshare=0", 2, TWO_OWNERS, "0 1500 1000 60 -> 0 1000 1500 60"),
            (
                "multifactor:qos=0",
                1,
                "0 100 100 1x8 0; 1 50 50 1x8 0 low; 2 50 50 1x8 0 high",
                "0 150 100 -> 0 100 150",
            ),
            (
                "multifactor:half_life=1 hour",
                2,
                "0 1000 1000 2x8 0; 20000 400 400 2x8 1; 20400 1600 1600 2x8 2; 20500 50 50 2x8 0; 20600 50 50 2x8 1",
                "0 20000 20400 22050 22000 -> 0 20000 20400 22000 22050",
            ),
            ("multifactor:calc=1 hour", 2, TWO_OWNERS, "0 1500 1000 60 -> 0 1000 1500 60"),
            ("multifactor:depth=0", 2, TWO_OWNERS, "0 1500 1000 60 -> 0 1500 1000 2000"),
            // At 600 the fourth would not end before the third's plan; on a coarse grid plans begin at once.
            ("multifactor:interval=10 min", 2, TWO_OWNERS, "0 1500 1000 60 -> 0 1500 1000 2000"),
            ("multifactor:resolution=1 hour", 2, TWO_OWNERS, "0 1500 1000 60 -> 0 1500 1000 2000"),
            (
                "multifactor:window=1 min",
                2,
                "0 1000 1000 1x8 0; 10 500 500 2x8 0; 32 900 2000 1x8 0",
                "0 1000 1500 -> 0 1000 60",
            ),
            ("kueue:timeout=1 min", 3, IN_PART, "0 1 401 305 -> 0 1 401 65"),
            ("kueue:backoff=10 min", 3, IN_PART, "0 1 401 305 -> 0 1 905 305"),
            // Evicted at 305 and again at 665, the third is back at 785 or, with a bound, at 725.
            ("kueue:backoff_max=1 min", 3, "0 2000 2000 1x5 0; 1 739 739 1x5 0; 5 100 100 2x7 0", "0 1 785 -> 0 1 740"),
            ("kueue:reclaim=no", 4, BORROWERS, "0 1 2 110 10 -> 0 1 2 3 500"),
            ("kueue:borrow=no", 4, BORROWERS, "0 1 2 110 10 -> 0 1 500 501 10"),
            ("kueue:queueing=strict", 2, "0 100 100 1x8 0; 1 50 50 2x8 0; 2 60 60 1x8 0", "0 100 2 -> 0 100 150"),
            ("kueue:scoring=least-allocated", 2, "0 100 100 1x4 0; 0 100 100 1x4 0; 1 50 50 1x8 0", "0 0 1 -> 0 0 100"),
        ];
        for (policy, nodes, rows, expected) in table {
            let (case, plain) = (case(nodes, rows), policy.split(':').next().unwrap_or_default());
            assert_eq!(format!("{} -> {}", starts(&case, plain), starts(&case, policy)), expected, "{policy}");
        }
        let known = EASY.len() + MULTIFACTOR.len() + KUEUE.len();
        assert_eq!(table.len(), known, "each setting is here once");
    }

    #[test]
    fn kueue_takes_back_from_lower_priority_and_refuses_what_no_queue_may_hold() {
        let rows = "0 500 500 1x8 0 low; 1 500 500 1x8 0; 2 500 500 1x8 0; 3 500 500 1x8 0; 10 100 100 1x8 1";
        let (case, wide) = (case(4, rows), case(4, "0 100 100 3x8 0; 1 100 100 1x8 1"));
        // The first is the only one of a lower priority, though not the newest.
        assert_eq!(starts(&case, "kueue:reclaim=lower-priority"), "110 1 2 3 10");
        let variant = Variant::named("kueue:borrow=4").ok().flatten().expect("it is a policy");
        let refusal = variant.run(&wide, &mut |_| ()).expect_err("16 and 4 are less than 24");
        assert_eq!(refusal.to_string(), "job 1 asks for 24 GPUs, o0 has a quota of 16 and may borrow 4");
        assert_eq!(starts(&wide, "kueue:borrow=8"), "0 1");
    }
}
