//! A few seeds in every `cargo test`; `cargo xtask sim` takes hundreds.
use madang_sim::Summary;

#[test]
fn seeds_live_through_every_fault() {
    let mut sum = Summary::default();
    for seed in 1..=25 {
        match madang_sim::run(seed, 150) {
            Ok(summary) => sum.add(&summary),
            Err(failure) => panic!("{failure}"),
        }
    }
    assert!(sum.strikes.missing().is_empty(), "never struck: {:?}", sum.strikes.missing());
    assert!(sum.taken > 0, "nothing was taken back");
    assert!(sum.moved > 0, "nothing was moved");
    assert!(sum.fenced[0] > 0 && sum.fenced[1] > 0, "no job went on elsewhere while its lost run lived: {sum:?}");
    assert!(sum.accepted > 500 && sum.ended >= sum.accepted, "{sum:?}");
}

#[test]
fn a_seed_has_one_course() {
    let [once, again] = [madang_sim::run(7, 200), madang_sim::run(7, 200)];
    assert_eq!(once.expect("seed 7 passes"), again.expect("seed 7 passes"));
}

/// A cancelled array of which no task had failed counted as ended well until its record left, and as ended badly then:
/// an array that waited for its failure was never looked at again.
#[test]
fn a_cancelled_array_has_one_end() {
    if let Err(failure) = madang_sim::run(502_874, 400) {
        panic!("{failure}");
    }
}

/// An array with no task left was looked at again when what it had waited for began anew, but not after a restart.
#[test]
fn an_array_with_nothing_left_waits_for_nothing() {
    if let Err(failure) = madang_sim::run(862_847, 400) {
        panic!("{failure}");
    }
}
