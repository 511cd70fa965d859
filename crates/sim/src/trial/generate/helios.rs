//! SenseTime's Helios: 6,220 GPUs of four clusters in 2020, fitted to the row that its authors published.
use super::recipe::{Asker, Kind, Recipe, Source};
use super::summary::Summary;

/// Virtual clusters of Earth in the middle of May 2020 and their GPUs.
const CLUSTERS: [(&str, u32); 16] = [
    ("vc6ye", 208),
    ("vcvly", 96),
    ("vchbv", 64),
    ("vcmod", 64),
    ("vc3sl", 64),
    ("vcljz", 64),
    ("vcpdc", 56),
    ("vctjs", 48),
    ("vc8sj", 48),
    ("vccaa", 32),
    ("vcsol", 32),
    ("vcira", 24),
    ("vcjlv", 16),
    ("vcjkd", 16),
    ("vcdi0", 16),
    ("vcgkz", 8),
];

/// What is submitted; run times are log-normal, moved and widened with size and end until the published row was met.
pub(super) const HELIOS: [Kind; 5] = [
    Kind {
        name: "one GPU",
        share: 655_389,
        sizes: &[(1, 655_389)],
        ends: [
            (689, [1, 3, 7, 30, 161, 871, 3_970, 17_742, 100_728, 1_301_667]),
            (169, [1, 3, 6, 29, 158, 854, 3_894, 17_402, 98_795, 1_276_683]),
            (142, [1, 2, 5, 23, 126, 681, 3_105, 13_877, 78_782, 1_018_069]),
        ],
        session: 8,
        checkpoint_secs: 0,
        qos: [150, 800, 50],
        demand: &[],
    },
    Kind {
        name: "part of a node",
        share: 140_000,
        sizes: &[(2, 70_000), (4, 70_000)],
        ends: [
            (546, [1, 5, 11, 52, 280, 1_511, 6_886, 30_771, 174_697, 2_257_542]),
            (273, [1, 4, 11, 50, 269, 1_450, 6_607, 29_526, 167_626, 2_166_159]),
            (181, [1, 3, 7, 31, 166, 895, 4_078, 18_222, 103_452, 1_336_875]),
        ],
        session: 6,
        checkpoint_secs: 0,
        qos: [150, 800, 50],
        demand: &[],
    },
    Kind {
        name: "one node",
        share: 152_000,
        sizes: &[(8, 152_000)],
        ends: [
            (485, [1, 8, 19, 85, 458, 2_470, 11_258, 50_309, 285_617, 3_690_913]),
            (334, [1, 7, 18, 80, 431, 2_324, 10_593, 47_336, 268_739, 3_472_811]),
            (181, [1, 3, 9, 39, 212, 1_141, 5_200, 23_240, 131_938, 1_704_983]),
        ],
        session: 4,
        checkpoint_secs: 3_600,
        qos: [100, 850, 50],
        demand: &[],
    },
    Kind {
        name: "several nodes",
        share: 47_670,
        sizes: &[(16, 33_676), (32, 13_994)],
        ends: [
            (435, [1, 12, 30, 137, 737, 3_977, 18_129, 81_012, 459_928, 4_320_000]),
            (395, [1, 11, 28, 127, 684, 3_691, 16_823, 75_177, 426_801, 4_320_000]),
            (170, [1, 5, 12, 53, 286, 1_542, 7_026, 31_398, 178_257, 2_303_539]),
        ],
        session: 2,
        checkpoint_secs: 3_600,
        qos: [50, 900, 50],
        demand: &[],
    },
    Kind {
        name: "large",
        share: 4_941,
        sizes: &[(64, 3_787), (128, 946), (256, 157), (512, 39), (1024, 10), (2048, 2)],
        ends: [
            (385, [1, 25, 62, 283, 1_529, 8_246, 37_582, 167_944, 953_463, 4_320_000]),
            (446, [1, 23, 58, 263, 1_419, 7_652, 34_875, 155_848, 884_788, 4_320_000]),
            (169, [1, 10, 24, 110, 592, 3_196, 14_566, 65_091, 369_538, 4_320_000]),
        ],
        session: 1,
        checkpoint_secs: 1_800,
        qos: [0, 850, 150],
        demand: &[],
    },
];

/// The hours in which jobs were submitted to Alibaba's spot fleet, which worked by the same clock.
pub(super) const HOURS: [u32; 24] = [
    22_451, 15_929, 14_089, 13_387, 12_921, 14_128, 14_232, 15_038, 15_945, 16_972, 25_057, 25_735, 19_770, 19_276,
    25_304, 25_039, 27_015, 25_376, 20_016, 21_189, 21_885, 19_162, 18_813, 18_138,
];
/// Days of a working week.
pub(super) const DAYS: [u32; 7] = [100, 105, 105, 105, 100, 60, 55];

/// The published row of the GPU jobs of all four clusters.
const PUBLISHED: Summary = Summary {
    mean_run: 6_651_681,
    median_run: 206_000,
    mean_gpus: 3716,
    median_gpus: 1,
    max_gpus: 2048,
    rates: [624, 221, 155],
    gpu_time: [513, 394, 93],
    mean_gpu_secs: 49_351,
};

/// Where the row comes from.
pub(super) const ROW: Source = Source {
    what: "statistics of Helios' GPU jobs, April to September 2020, as published with the SC'21 paper",
    licence: "MIT (HeliosArtifact), CC-BY-4.0 (Helios)",
};
/// Where the hours come from.
pub(super) const CLOCK: Source =
    Source { what: "hours of submission to Alibaba's spot fleet of 2026, as derived by a third party", licence: "MIT" };

/// Helios.
pub(super) fn recipe() -> Recipe {
    let asker = |(name, gpus): &(&str, u32)| Asker { name: (*name).into(), weight: *gpus, demand: *gpus, users: 30 };
    Recipe {
        name: "helios",
        title: "Helios",
        fitted: "run times, sizes, ends and GPU time by end to the published row of Helios; owners' guarantees to the \
                 quotas of cluster Earth; hours of the day to Alibaba's spot fleet",
        assumed: super::recipe::ASSUMED,
        sources: vec![ROW, CLOCK],
        askers: CLUSTERS.iter().map(asker).collect(),
        kinds: HELIOS.to_vec(),
        hours: HOURS,
        days: DAYS,
        breaks: super::recipe::breaks(),
        published: Some(PUBLISHED),
    }
}
