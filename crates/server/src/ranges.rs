//! Array tasks as Slurm writes them: `0-11%4`, `1,3,5`, `0-20:5`.
//!
//! Invariant: what [`parse`] gives is ascending, does not overlap, and stands for at most [`MOST_TASKS`] tasks with
//! indices of at most [`MOST_INDEX`], whatever the text says and without doing more work than that.

use madang_centre::Array;
use std::collections::BTreeSet;

/// The largest task index.
pub const MOST_INDEX: u32 = 1_000_000;
/// Most tasks of one array.
pub const MOST_TASKS: usize = 100_000;
/// The longest text looked at.
const MOST_TEXT: usize = 65_536;

/// Reads array tasks; the error says what is wrong with which piece.
pub fn parse(text: &str) -> Result<Array, String> {
    if text.len() > MOST_TEXT {
        return Err(format!("has {} bytes, at most {MOST_TEXT} are read", text.len()));
    }
    let (tasks, at_once) = match text.split_once('%') {
        Some((tasks, at_once)) => {
            let number = at_once.parse().ok().filter(|number| *number > 0);
            (
                tasks,
                Some(number.ok_or_else(|| format!("has the limit %{at_once}, which is not a number of at least 1"))?),
            )
        }
        None => (text, None),
    };
    let mut indices = BTreeSet::new();
    for piece in tasks.split(',') {
        let (first, last, step) = range(piece)?;
        if indices.len() + ((last - first) / step) as usize + 1 > 2 * MOST_TASKS {
            return Err(too_many());
        }
        indices.extend((first..=last).step_by(step as usize));
    }
    if indices.len() > MOST_TASKS {
        return Err(too_many());
    }
    let indices: Vec<u32> = indices.into_iter().collect();
    Ok(Array { ranges: compress(&indices), at_once })
}

fn too_many() -> String {
    format!("stands for more than {MOST_TASKS} tasks")
}

fn range(piece: &str) -> Result<(u32, u32, u32), String> {
    let wrong =
        || format!("has the piece {piece:?}, which is not an index, a range `0-11` or a range with a step `0-20:5`");
    let number = |text: &str| {
        let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if plain { text.parse::<u32>().map_err(|_| wrong()) } else { Err(wrong()) }
    };
    let (span, step) = match piece.split_once(':') {
        Some((span, step)) => (span, number(step)?),
        None => (piece, 1),
    };
    let (first, last) = match span.split_once('-') {
        Some((first, last)) => (number(first)?, number(last)?),
        None => (number(span)?, number(span)?),
    };
    match (first, last, step) {
        (_, _, 0) => Err(format!("has the step 0 in {piece:?}")),
        (first, last, _) if last < first => Err(format!("has the range {piece:?}, which goes backwards")),
        (_, last, _) if last > MOST_INDEX => Err(format!("has the index {last}, the largest is {MOST_INDEX}")),
        _ => Ok((first, last, step)),
    }
}

/// Ascending indices as few ranges: a step is taken up when at least three indices follow it.
pub fn compress(indices: &[u32]) -> Vec<(u32, u32, u32)> {
    let (mut ranges, mut rest) = (Vec::new(), indices);
    while let [first, tail @ ..] = rest {
        let step = tail.first().map_or(1, |next| next - first);
        let run = 1 + tail.iter().zip(1_u32..).take_while(|(index, nth)| **index == first + nth * step).count();
        let (taken, step) = if run >= 3 || step == 1 { (run, step) } else { (1, 1) };
        ranges.push((*first, rest[taken - 1], step));
        rest = &rest[taken..];
    }
    ranges
}

/// Ranges as Slurm writes them.
pub fn text(ranges: &[(u32, u32, u32)], at_once: Option<u32>) -> String {
    let pieces = ranges.iter().map(|range| match *range {
        (first, last, _) if first == last => first.to_string(),
        (first, last, 1) => format!("{first}-{last}"),
        (first, last, step) => format!("{first}-{last}:{step}"),
    });
    let tasks = pieces.collect::<Vec<_>>().join(",");
    at_once.map_or_else(|| tasks.clone(), |at_once| format!("{tasks}%{at_once}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_read_as_slurm_writes_them() {
        for (given, same) in [
            ("0-11%4", "0-11%4"),
            ("1,3,5", "1-5:2"),
            ("0-20:5", "0-20:5"),
            ("0-22:5", "0-20:5"),
            ("7", "7"),
            ("5,1-3,2", "1-3,5"),
            ("0-10:2,1-11:2", "0-11"),
            ("1,4", "1,4"),
        ] {
            let array = parse(given).expect(given);
            assert_eq!(text(&array.ranges, array.at_once), same, "{given}");
        }
    }

    #[test]
    fn bad_arrays_are_refused_with_the_piece() {
        for (given, told) in [
            ("", "\"\""),
            ("1-", "\"1-\""),
            ("-1", "\"-1\""),
            ("3-1", "backwards"),
            ("0-9:0", "step 0"),
            ("0-9%0", "%0"),
            ("0-1000001", "1000001"),
            ("0-1000000", "more than 100000"),
            ("99999999999", "99999999999"),
            ("1,,2", "\"\""),
        ] {
            let error = parse(given).expect_err(given);
            assert!(error.contains(told), "{given}: {error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn compressing_loses_nothing(indices in proptest::collection::btree_set(0_u32..500, 1..80)) {
            let list: Vec<u32> = indices.iter().copied().collect();
            let ranges = compress(&list);
            let back: Vec<u32> = ranges.iter().flat_map(|(first, last, step)| (*first..=*last).step_by(*step as usize)).collect();
            proptest::prop_assert_eq!(back, list);
            proptest::prop_assert!(ranges.windows(2).all(|pair| pair[0].1 < pair[1].0));
        }
    }
}
