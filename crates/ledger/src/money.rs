//! The one place where GPU time becomes money, and where a won is rounded.
use madang_model::{GpuTime, Won};

/// Micro-GPU-seconds in a GPU-hour.
const GPU_HOUR: i128 = 3_600_000_000;
/// Basis points in a whole.
const WHOLE: i128 = 10_000;

/// What `used` costs: GPU-hours x won per GPU-hour x basis points / 10,000, rounded once, half up (half a won is
/// charged as one). `None` when the amount is beyond the range of [`Won`].
///
/// The product is exact in 128 bits before the single division, so splitting the factors differently cannot change a
/// charge. Half up, rather than half to even, because it is the rule people check by hand.
pub fn charge_of(used: GpuTime, price: Won, rate: u32) -> Option<Won> {
    let product = i128::from(used.micro_secs()) * i128::from(price.won());
    let exact = product.checked_mul(i128::from(rate))?;
    let divisor = GPU_HOUR * WHOLE;
    let round_up = exact.rem_euclid(divisor) * 2 >= divisor;
    let won = exact.div_euclid(divisor) + i128::from(round_up);
    i64::try_from(won).ok().map(Won::new)
}

/// The part of a charge that goes by a part of its time, rounded half up; all of it for all of the time. The part must
/// be from zero to the whole.
pub fn part_of(won: Won, part: GpuTime, whole: GpuTime) -> Won {
    let (part, whole) = (i128::from(part.micro_secs()), i128::from(whole.micro_secs()));
    if part == whole {
        return won;
    }
    let exact = i128::from(won.won()) * part;
    let rounded = exact.div_euclid(whole) + i128::from(exact.rem_euclid(whole) * 2 >= whole);
    Won::new(i64::try_from(rounded).expect("a part is no more than the whole"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_charge_is_rounded_once_half_up() {
        const HOUR: i64 = 3_600_000_000;
        for (micro, price, rate, won) in [
            (12 * HOUR, 4_000, 10_000, 48_000),
            (12 * HOUR, 4_000, 750, 3_600),
            (HOUR, 5_000, 0, 0),
            (0, 5_000, 10_000, 0),
            (HOUR / 2, 1, 10_000, 1),
            (HOUR / 2 - 1, 1, 10_000, 0),
            (HOUR, 1, 4_999, 0),
            (HOUR, 1, 5_000, 1),
            (HOUR, 3, 5_000, 2),
            (1, 3_600_000_000, 10_000, 1),
        ] {
            let got = charge_of(GpuTime::from_micro_secs(micro), Won::new(price), rate);
            assert_eq!(got, Some(Won::new(won)), "{micro} x {price} x {rate}");
        }
    }

    #[test]
    fn a_part_of_a_charge_goes_by_its_time() {
        for (won, part, whole, back) in
            [(100, 1, 3, 33), (100, 2, 3, 67), (7, 1, 2, 4), (7, 0, 2, 0), (7, 2, 2, 7), (0, 0, 0, 0)]
        {
            let time = GpuTime::from_micro_secs;
            assert_eq!(part_of(Won::new(won), time(part), time(whole)), Won::new(back), "{won} x {part} / {whole}");
        }
        let most = GpuTime::from_micro_secs(i64::MAX);
        assert_eq!(part_of(Won::new(i64::MAX), GpuTime::ZERO, most), Won::ZERO);
    }

    #[test]
    fn a_charge_beyond_the_range_is_none() {
        let most = GpuTime::from_micro_secs(i64::MAX);
        assert_eq!(charge_of(most, Won::new(i64::MAX), u32::MAX), None);
        assert_eq!(charge_of(most, Won::new(i64::MAX), 1), None);
        assert!(charge_of(most, Won::new(1_000_000), 10_000).is_some());
    }
}
