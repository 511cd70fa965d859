//! A national centre as planned: much small work of universities and firms, and gangs that train national models.
//!
//! Nobody has such a log, so this is made up of what is known: small work as on Helios within limits of a week, gangs
//! as a centre of this size would be given to, classes with the targets of the centre file. About four million jobs a
//! year fill 18,000 GPUs to 85%.
use super::helios::{CLOCK, DAYS, HELIOS, HOURS, ROW};
use super::quantiles::Table;
use super::recipe::{Asker, Kind, Recipe, Source};

/// The longest run in seconds: a week, the limit of the centre file.
const WEEK: u32 = 604_800;
/// Who asks for small work: national projects, industry, academia, research institutes.
const SMALL: &[u32] = &[15, 25, 48, 12];
/// Who asks for large gangs.
const LARGE: &[u32] = &[60, 30, 8, 2];
/// Of a million jobs those that are small work.
const SMALL_SHARE: u64 = 998_050;

/// The large gangs.
const GANGS: [Kind; 2] = [
    Kind {
        name: "pretraining",
        share: 1450,
        sizes: &[(256, 450), (512, 300), (1024, 160), (2048, 60), (4096, 30)],
        ends: [
            (450, [600, 1800, 3600, 14_400, 43_200, 129_600, 345_600, 518_400, WEEK, WEEK]),
            (300, [300, 900, 1800, 7200, 36_000, 115_200, 302_400, 518_400, WEEK, WEEK]),
            (250, [120, 300, 600, 1800, 9000, 36_000, 108_000, 259_200, 518_400, WEEK]),
        ],
        session: 1,
        checkpoint_secs: 1800,
        qos: [0, 700, 300],
        demand: LARGE,
    },
    Kind {
        name: "trial of a large gang",
        share: 500,
        sizes: &[(256, 500), (512, 300), (1024, 200)],
        ends: [
            (350, [60, 120, 300, 600, 1800, 3600, 7200, 14_400, 28_800, 43_200]),
            (300, [60, 120, 240, 600, 1200, 3600, 7200, 14_400, 28_800, 43_200]),
            (350, [30, 60, 90, 180, 420, 1200, 3600, 7200, 14_400, 43_200]),
        ],
        session: 3,
        checkpoint_secs: 0,
        qos: [0, 500, 500],
        demand: LARGE,
    },
];

fn small(kind: &Kind) -> Kind {
    let within = |table: Table| table.map(|secs| secs.min(WEEK));
    Kind {
        share: (u64::from(kind.share) * SMALL_SHARE / 1_000_000) as u32,
        ends: kind.ends.map(|(often, table)| (often, within(table))),
        demand: SMALL,
        ..kind.clone()
    }
}

/// The national centre.
pub(super) fn recipe() -> Recipe {
    let asker = |(name, weight, users): (&str, u32, u32)| Asker { name: name.into(), weight, demand: weight, users };
    let mut kinds: Vec<Kind> = HELIOS.iter().map(small).collect();
    kinds.extend(GANGS);
    Recipe {
        name: "national",
        title: "National centre",
        fitted: "small work to the published row of Helios, cut at a week; hours of the day to Alibaba's spot fleet; owners \
                 are the four classes with the targets of the centre file",
        assumed: "the share, sizes and run times of large gangs; which class asks for what; days of the week, sessions, \
                  users, limits, urgency, checkpoints and repair times",
        sources: vec![
            ROW,
            CLOCK,
            Source {
                what: "one stop in 50,700 GPU-hours: 419 in 54 days on 16,384 GPUs, reported by Meta of training Llama 3",
                licence: "a figure",
            },
        ],
        askers: [("national", 40, 150), ("industry", 20, 300), ("academia", 30, 900), ("research", 10, 150)]
            .into_iter()
            .map(asker)
            .collect(),
        kinds,
        hours: HOURS,
        days: DAYS,
        breaks: super::recipe::breaks(),
        published: None,
    }
}
