//! Published results, job by job: the SC'15 replays of KTH-SP2, CTC-SP2, SDSC-SP2 and CEA-Curie, from traces that lie
//! beside the repository. Where they do not, the test says so and passes.
use madang_sim::lab::{Input, Measures, Passes, Policy, decimal, replay};
use madang_sim::swf::Log;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/traces/swf-easy-sc15")
}

/// Jobs whose start is not the published one, and the measures of the replay; nothing where the log is not there.
fn against(file: &str, procs: u32, policy: Policy) -> Option<(usize, Measures)> {
    let path = folder().join(file);
    let Ok(bytes) = std::fs::read(&path) else {
        println!("skipped: no ../shared/traces/swf-easy-sc15/{file} beside the repository");
        return None;
    };
    let log = Log::read(&bytes).expect("a published log is well formed");
    let input = Input::of(&log).expect("a published log can be replayed");
    assert_eq!(input.jobs.len(), log.rows.len());
    let starts = replay(&input.jobs, procs, policy, Passes::EachEvent, &mut |_| ()).expect("they fit the machine");
    let ours = input.log(&log, &starts, &[]);
    let differ = ours.rows.iter().zip(&input.rows).filter(|(row, at)| row.wait != log.rows[**at].wait).count();
    Some((differ, Measures::of(&input.jobs, &starts, procs)))
}

#[test]
fn kth_starts_as_published() {
    let cases = [
        ("KTH-SP2_easy.swf.gz", Policy::Easy, "6836.872", "92.5765"),
        ("KTH-SP2_easy-clairvoyant.swf.gz", Policy::EasyClairvoyant, "6327.682", "71.7224"),
        ("KTH-SP2_easypp-clairvoyant.swf.gz", Policy::EasySjbfClairvoyant, "5436.021", "49.8477"),
    ];
    for (file, policy, wait, slowdown) in cases {
        if let Some((differ, measures)) = against(file, 100, policy) {
            assert_eq!(differ, 0, "{file}");
            assert_eq!(decimal(measures.mean_wait, 6, 3), wait, "{file}");
            assert_eq!(decimal(measures.slowdown, 9, 4), slowdown, "{file}");
        }
    }
}
