//! Which devices of a node: out of as few NUMA domains as can be, and out of those that they leave least of.
//!
//! Four GPUs of an eight-GPU node come out of one half where a half has four free. Among the domains that would do, the
//! one with the fewest free is taken, so that whole halves stay whole for whoever asks next.
use alloc::vec::Vec;

/// So many of the free devices; all of them when there are fewer.
pub(crate) fn choose(free: u32, count: u32, numa: &[u32]) -> u32 {
    if numa.len() < 2 {
        return lowest(free, count);
    }
    let mut taken = 0u32;
    for mask in domains(free, count, numa) {
        taken |= lowest(free & mask, count - taken.count_ones());
    }
    taken
}

/// How many NUMA domains so many of the free devices come out of.
pub(crate) fn spread(free: u32, count: u32, numa: &[u32]) -> usize {
    if numa.len() < 2 {
        return usize::from(count > 0);
    }
    domains(free, count, numa).len()
}

/// The fewest domains that together have so many free. All but one give all they have; the last is the one that has
/// the fewest to spare.
fn domains(free: u32, count: u32, numa: &[u32]) -> Vec<u32> {
    let mut rest: Vec<u32> = numa.iter().copied().filter(|mask| mask & free != 0).collect();
    let has = |mask: &u32| (mask & free).count_ones();
    let (mut chosen, mut missing) = (Vec::new(), count);
    while missing > 0 && !rest.is_empty() {
        let enough = rest.iter().enumerate().filter(|(_, mask)| has(mask) >= missing);
        let last = enough.min_by_key(|(index, mask)| (has(mask), *index)).map(|(index, _)| index);
        let largest = || (0..rest.len()).min_by_key(|index| (u32::MAX - has(&rest[*index]), *index)).unwrap_or(0);
        let mask = rest.remove(last.unwrap_or_else(largest));
        missing = missing.saturating_sub(has(&mask));
        chosen.push(mask);
    }
    chosen
}

fn lowest(mut free: u32, count: u32) -> u32 {
    let mut taken = 0;
    for _ in 0..count {
        let bit = free & free.wrapping_neg();
        taken |= bit;
        free ^= bit;
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::{choose, spread};
    use alloc::format;
    use alloc::string::String;

    #[test]
    fn devices_come_out_of_the_fewest_halves_and_leave_whole_ones_whole() {
        let halves = [0x0f, 0xf0];
        let thirds = [0b0000_0111, 0b0001_1000, 0b1110_0000];
        let cases: [(&str, u32, u32, &[u32]); 10] = [
            ("one, all free", 0xff, 1, &halves),
            ("one, beside what is used", 0xfe, 1, &halves),
            ("one, the second half broken", 0x7f, 1, &halves),
            ("four, first half broken", 0xfe, 4, &halves),
            ("four, both broken", 0x7e, 4, &halves),
            ("five of eight", 0xff, 5, &halves),
            ("two where pairs are left", 0b0110_0110, 2, &halves),
            ("five of thirds", 0xff, 5, &thirds),
            ("more than there are", 0x03, 4, &halves),
            ("no domains known", 0xf0, 2, &[0xff]),
        ];
        let line = |(what, free, count, numa): (&str, u32, u32, &[u32])| {
            format!("{what}: {:08b} of {free:08b} from {}\n", choose(free, count, numa), spread(free, count, numa))
        };
        expect_test::expect![[r#"
            one, all free: 00000001 of 11111111 from 1
            one, beside what is used: 00000010 of 11111110 from 1
            one, the second half broken: 00010000 of 01111111 from 1
            four, first half broken: 11110000 of 11111110 from 1
            four, both broken: 00011110 of 01111110 from 2
            five of eight: 00011111 of 11111111 from 2
            two where pairs are left: 00000110 of 01100110 from 1
            five of thirds: 00011111 of 11111111 from 2
            more than there are: 00000011 of 00000011 from 1
            no domains known: 00110000 of 11110000 from 1
        "#]]
        .assert_eq(&cases.into_iter().map(line).collect::<String>());
    }
}
