//! Microsoft's Philly: 352 nodes in 2017, fitted to the public table of its jobs and to the row published elsewhere.
use super::recipe::{Asker, Kind, Recipe, Source};
use super::summary::Summary;

/// What is submitted. Run times are the table's own quantiles; how a job ended is not in it, so ends are dealt out by
/// run time until the shares of jobs and of GPU time by end are those of the published row.
const PHILLY: [Kind; 4] = [
    Kind {
        name: "one GPU",
        share: 943_812,
        sizes: &[(1, 53_533)],
        ends: [
            (610, [1, 49, 59, 98, 1_123, 2_534, 5_638, 5_638, 25_342, 3_256_045]),
            (86, [1, 67, 146, 1_019, 2_347, 5_589, 23_070, 119_126, 849_087, 3_256_045]),
            (304, [1, 56, 68, 524, 1_620, 3_381, 10_546, 29_863, 183_921, 3_256_045]),
        ],
        session: 8,
        checkpoint_secs: 0,
        qos: [150, 800, 50],
        demand: &[28_039, 7081, 290, 126, 7916, 618, 7722, 115, 28, 866, 727, 2, 3],
    },
    Kind {
        name: "part of a node",
        share: 39_739,
        sizes: &[(2, 1_048), (4, 1_206)],
        ends: [
            (581, [2, 9, 12, 17, 100, 15_718, 104_511, 247_360, 833_064, 2_750_674]),
            (120, [2, 20, 175, 15_592, 82_598, 186_571, 435_455, 876_989, 1_930_434, 2_750_674]),
            (299, [2, 12, 15, 80, 15_063, 96_985, 224_505, 537_167, 1_487_052, 2_750_674]),
        ],
        session: 6,
        checkpoint_secs: 0,
        qos: [150, 800, 50],
        demand: &[97, 56, 233, 242, 329, 235, 828, 55, 9, 0, 170, 0, 0],
    },
    Kind {
        name: "one node",
        share: 14_545,
        sizes: &[(8, 825)],
        ends: [
            (435, [17, 83, 182, 1_224, 27_893, 174_681, 372_770, 607_037, 1_690_126, 4_628_226]),
            (203, [17, 1_352, 5_885, 63_371, 177_326, 369_790, 649_291, 1_216_392, 2_865_516, 4_628_226]),
            (362, [17, 211, 892, 12_141, 118_503, 244_790, 510_787, 898_665, 2_169_011, 4_628_226]),
        ],
        session: 4,
        checkpoint_secs: 3_600,
        qos: [100, 850, 50],
        demand: &[100, 36, 236, 104, 151, 0, 4, 12, 176, 0, 0, 6, 0],
    },
    Kind {
        name: "several nodes",
        share: 1_904,
        sizes: &[(12, 7), (16, 70), (24, 4), (32, 27)],
        ends: [
            (476, [32, 44, 120, 345, 7_921, 59_941, 231_731, 657_550, 1_474_581, 1_710_643]),
            (175, [32, 345, 2_107, 47_358, 71_469, 350_667, 610_860, 1_273_554, 1_590_361, 1_710_643]),
            (349, [32, 120, 288, 2_464, 53_301, 141_622, 504_534, 883_813, 1_311_963, 1_710_643]),
        ],
        session: 2,
        checkpoint_secs: 3_600,
        qos: [50, 900, 50],
        demand: &[0, 22, 35, 1, 3, 0, 5, 18, 24, 0, 0, 0, 0],
    },
];

/// Virtual clusters: (name, nodes, jobs in the table); each kind's demand is its jobs by virtual cluster.
const CLUSTERS: [(&str, u32, u32); 13] = [
    ("6214e9", 64, 28_236),
    ("b436b2", 64, 7195),
    ("ee9e8c", 64, 794),
    ("7f04ca", 32, 473),
    ("6c71a0", 32, 8399),
    ("0e4a51", 32, 853),
    ("11cb48", 16, 8559),
    ("e13805", 16, 200),
    ("2869ce", 16, 237),
    ("ed69ec", 8, 866),
    ("103959", 8, 897),
    ("23dbec", 1, 8),
    ("795a4c", 1, 3),
];

/// Hours of submission in the table.
const HOURS: [u32; 24] = [
    3119, 2774, 3053, 2091, 1162, 2841, 3828, 5481, 2427, 2369, 2247, 1718, 1997, 1430, 1438, 1247, 2258, 1610, 1388,
    1427, 2788, 2334, 2987, 2706,
];
/// Days of submission in the table.
const DAYS: [u32; 7] = [6761, 8838, 8997, 10_005, 11_241, 5552, 5326];

/// The table's own figures; rates and shares by end are of the published row, which counts more jobs.
const PUBLISHED: Summary = Summary {
    mean_run: 14_085_826,
    median_run: 1_433_000,
    mean_gpus: 1220,
    median_gpus: 1,
    max_gpus: 32,
    rates: [604, 90, 305],
    gpu_time: [321, 294, 386],
    mean_gpu_secs: 45_146,
};

/// Philly.
pub(super) fn recipe() -> Recipe {
    let asker = |(name, nodes, jobs): &(&str, u32, u32)| Asker {
        name: (*name).into(),
        weight: *nodes,
        demand: *jobs,
        users: 25,
    };
    Recipe {
        name: "philly",
        title: "Philly",
        fitted: "run times by size, sizes, hours, days and owners to the public table of Philly; ends to its published row",
        assumed: super::recipe::ASSUMED,
        sources: vec![
            Source { what: "56,720 jobs of Microsoft's Philly, September to November 2017", licence: "CC-BY-4.0" },
            Source { what: "Philly's row in the statistics published with Acme, NSDI'24", licence: "CC-BY-4.0" },
        ],
        askers: CLUSTERS.iter().map(asker).collect(),
        kinds: PHILLY.to_vec(),
        hours: HOURS,
        days: DAYS,
        breaks: super::recipe::breaks(),
        published: Some(PUBLISHED),
    }
}
