//! Shanghai AI Laboratory's Acme: two clusters that train language models, fitted to the rows that were published.
use super::helios::{CLOCK, DAYS, HOURS};
use super::recipe::{Asker, Kind, Recipe, Source};
use super::summary::Summary;

/// What is submitted to Seren; the tables were made as those of Helios.
const SEREN: [Kind; 5] = [
    Kind {
        name: "one GPU",
        share: 675_648,
        sizes: &[(1, 675_648)],
        ends: [
            (501, [1, 4, 7, 25, 96, 371, 1_256, 4_189, 16_935, 132_701]),
            (58, [1, 5, 11, 38, 148, 576, 1_950, 6_504, 26_295, 206_042]),
            (441, [1, 3, 7, 23, 90, 347, 1_177, 3_926, 15_873, 124_378]),
        ],
        session: 8,
        checkpoint_secs: 0,
        qos: [150, 800, 50],
        demand: &[],
    },
    Kind {
        name: "part of a node",
        share: 120_000,
        sizes: &[(2, 70_000), (4, 50_000)],
        ends: [
            (482, [1, 5, 10, 35, 137, 532, 1_802, 6_010, 24_301, 190_416]),
            (87, [1, 13, 26, 88, 341, 1_324, 4_487, 14_964, 60_502, 474_087]),
            (431, [1, 4, 9, 31, 120, 465, 1_576, 5_255, 21_247, 166_488]),
        ],
        session: 6,
        checkpoint_secs: 0,
        qos: [150, 800, 50],
        demand: &[],
    },
    Kind {
        name: "one node",
        share: 120_000,
        sizes: &[(8, 120_000)],
        ends: [
            (502, [1, 7, 15, 51, 196, 762, 2_583, 8_614, 34_828, 272_906]),
            (77, [1, 29, 60, 202, 783, 3_039, 10_296, 34_337, 138_825, 1_087_819]),
            (421, [1, 6, 12, 41, 160, 622, 2_107, 7_028, 28_413, 222_640]),
        ],
        session: 4,
        checkpoint_secs: 3_600,
        qos: [100, 850, 50],
        demand: &[],
    },
    Kind {
        name: "several nodes",
        share: 67_485,
        sizes: &[(16, 42_179), (32, 25_306)],
        ends: [
            (503, [1, 10, 21, 72, 279, 1_083, 3_668, 12_233, 49_460, 387_566]),
            (145, [2, 56, 116, 393, 1_523, 5_909, 20_022, 66_770, 269_954, 1_209_604]),
            (352, [1, 8, 17, 56, 217, 843, 2_857, 9_529, 38_526, 301_887]),
        ],
        session: 2,
        checkpoint_secs: 3_600,
        qos: [50, 900, 50],
        demand: &[],
    },
    Kind {
        name: "pretraining",
        share: 16_867,
        sizes: &[(64, 8_434), (128, 4_920), (256, 3_092), (512, 337), (1024, 84)],
        ends: [
            (356, [1, 19, 39, 134, 519, 2_013, 6_821, 22_746, 91_964, 720_618]),
            (390, [5, 104, 215, 730, 2_832, 10_987, 37_227, 124_148, 501_935, 1_209_604]),
            (254, [1, 15, 31, 104, 404, 1_568, 5_313, 17_718, 71_633, 561_310]),
        ],
        session: 1,
        checkpoint_secs: 1_800,
        qos: [0, 800, 200],
        demand: &[],
    },
];

/// What is submitted to Kalos.
const KALOS: [Kind; 5] = [
    Kind {
        name: "one GPU",
        share: 668_573,
        sizes: &[(1, 668_573)],
        ends: [
            (553, [1, 7, 12, 31, 90, 264, 695, 1_809, 5_482, 28_098]),
            (39, [1, 9, 16, 42, 124, 365, 961, 2_500, 7_579, 38_845]),
            (408, [1, 5, 9, 24, 70, 204, 537, 1_398, 4_236, 21_712]),
        ],
        session: 8,
        checkpoint_secs: 0,
        qos: [150, 800, 50],
        demand: &[],
    },
    Kind {
        name: "part of a node",
        share: 50_000,
        sizes: &[(2, 30_000), (4, 20_000)],
        ends: [
            (512, [1, 11, 20, 53, 155, 456, 1_201, 3_124, 9_468, 48_527]),
            (72, [2, 22, 39, 103, 303, 889, 2_341, 6_089, 18_457, 94_597]),
            (416, [1, 7, 12, 31, 91, 268, 706, 1_836, 5_565, 28_523]),
        ],
        session: 6,
        checkpoint_secs: 0,
        qos: [150, 800, 50],
        demand: &[],
    },
    Kind {
        name: "one node",
        share: 140_000,
        sizes: &[(8, 140_000)],
        ends: [
            (554, [2, 20, 35, 92, 271, 796, 2_096, 5_453, 16_528, 84_712]),
            (47, [5, 54, 97, 256, 751, 2_202, 5_801, 15_090, 45_740, 234_429]),
            (399, [1, 9, 16, 41, 121, 354, 932, 2_425, 7_350, 37_671]),
        ],
        session: 4,
        checkpoint_secs: 3_600,
        qos: [100, 850, 50],
        demand: &[],
    },
    Kind {
        name: "several nodes",
        share: 84_857,
        sizes: &[(16, 31_429), (32, 31_429), (64, 21_999)],
        ends: [
            (515, [4, 43, 76, 200, 588, 1_725, 4_544, 11_820, 35_827, 183_622]),
            (120, [12, 149, 265, 699, 2_051, 6_015, 15_847, 41_224, 124_954, 625_740]),
            (365, [1, 16, 28, 74, 217, 638, 1_681, 4_372, 13_252, 67_921]),
        ],
        session: 2,
        checkpoint_secs: 3_600,
        qos: [50, 900, 50],
        demand: &[],
    },
    Kind {
        name: "pretraining",
        share: 56_570,
        sizes: &[(128, 18_856), (256, 16_499), (512, 12_571), (1024, 8_644)],
        ends: [
            (431, [13, 154, 275, 725, 2_127, 6_239, 16_436, 42_757, 129_599, 625_740]),
            (275, [45, 537, 960, 2_529, 7_417, 21_759, 57_323, 149_123, 452_001, 625_740]),
            (294, [5, 57, 102, 268, 787, 2_308, 6_080, 15_816, 47_938, 245_694]),
        ],
        session: 1,
        checkpoint_secs: 1_800,
        qos: [0, 800, 200],
        demand: &[],
    },
];

/// GPU jobs of the two, which is how often one or the other submits where both are one centre.
const JOBS: [u64; 2] = [663_813, 19_907];

const SEREN_ROW: Summary = Summary {
    mean_run: 1_414_335,
    median_run: 122_000,
    mean_gpus: 5680,
    median_gpus: 1,
    max_gpus: 1024,
    rates: [497, 75, 429],
    gpu_time: [212, 664, 124],
    mean_gpu_secs: 32_405,
};
const KALOS_ROW: Summary = Summary {
    mean_run: 1_259_689,
    median_run: 124_000,
    mean_gpus: 26_770,
    median_gpus: 1,
    max_gpus: 1024,
    rates: [541, 62, 397],
    gpu_time: [313, 607, 80],
    mean_gpu_secs: 267_904,
};
const ROWS: Source = Source {
    what: "statistics of the GPU jobs of Acme's Seren and Kalos, as published with the NSDI'24 paper",
    licence: "CC-BY-4.0",
};

fn one(name: &'static str, title: &'static str, kinds: Vec<Kind>, published: Summary) -> Recipe {
    let asker = |rank: u32| Asker { name: format!("team-{rank}"), weight: 24 / rank, demand: 1000 / rank, users: 20 };
    Recipe {
        name,
        title,
        fitted: "run times, sizes, ends and GPU time by end to the published row; hours of the day to Alibaba's spot fleet",
        assumed: super::recipe::ASSUMED,
        sources: vec![ROWS, CLOCK],
        askers: (1..=8).map(asker).collect(),
        kinds,
        hours: HOURS,
        days: DAYS,
        breaks: super::recipe::breaks(),
        published: Some(published),
    }
}

/// Seren.
pub(super) fn seren() -> Recipe {
    one("seren", "Acme's Seren", SEREN.to_vec(), SEREN_ROW)
}

/// Kalos.
pub(super) fn kalos() -> Recipe {
    one("kalos", "Acme's Kalos", KALOS.to_vec(), KALOS_ROW)
}

/// Both as one centre: two owners with the clusters' own jobs, in proportion to how many each had.
pub(super) fn both() -> Recipe {
    let of = |kinds: &[Kind], jobs: u64, demand: &'static [u32]| -> Vec<Kind> {
        let share = |kind: &Kind| (u64::from(kind.share) * jobs / JOBS.iter().sum::<u64>()) as u32;
        kinds.iter().map(|kind| Kind { share: share(kind), demand, ..kind.clone() }).collect()
    };
    let mut kinds = of(&SEREN, JOBS[0], &[1, 0]);
    kinds.extend(of(&KALOS, JOBS[1], &[0, 1]));
    // Guarantees are the clusters' GPUs.
    let asker = |name: &str, weight| Asker { name: name.into(), weight, demand: 1, users: 60 };
    Recipe {
        name: "acme",
        title: "Acme",
        fitted: "the recipes seren and kalos, mixed by their numbers of GPU jobs",
        askers: vec![asker("seren", 2288), asker("kalos", 2416)],
        kinds,
        published: None,
        ..seren()
    }
}
