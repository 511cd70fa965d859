//! When sessions begin: more in some hours and on some days than in others.
use super::recipe::Recipe;
use madang_model::Span;

/// Milliseconds of an hour.
const HOUR: u64 = 3_600_000;

/// The rhythm of a week, hour by hour.
pub(super) struct Rhythm {
    weights: Vec<u64>,
}

impl Rhythm {
    /// A recipe's.
    pub fn of(recipe: &Recipe) -> Rhythm {
        let hours = |day: &u32| recipe.hours.map(|hour| u64::from(*day) * u64::from(hour));
        Rhythm { weights: recipe.days.iter().flat_map(hours).collect() }
    }

    /// The rhythm over a span that begins with a Monday.
    pub fn clock(&self, span: Span) -> Clock {
        let hours = span.millis().div_ceil(HOUR).max(1);
        let mut sums = vec![0];
        for hour in 0..hours {
            let length = span.millis().saturating_sub(hour * HOUR).clamp(1, HOUR);
            let weight = self.weights[(hour % self.weights.len() as u64) as usize];
            sums.push(sums[hour as usize] + u128::from(weight) * u128::from(length));
        }
        Clock { sums, span: span.millis() }
    }
}

/// Turns an even place into a moment by the rhythm.
pub(super) struct Clock {
    sums: Vec<u128>,
    span: u64,
}

impl Clock {
    /// The moment, in milliseconds, of a place in parts of 2^40.
    pub fn at(&self, place: u64) -> u64 {
        let all = self.sums.last().copied().unwrap_or(0);
        let sum = (all * u128::from(place)) >> 40;
        let hour = self.sums.partition_point(|other| *other <= sum).saturating_sub(1);
        let next = self.sums.get(hour + 1).copied().unwrap_or(all);
        let width = (next - self.sums[hour]).max(1);
        let begin = hour as u64 * HOUR;
        let length = self.span.saturating_sub(begin).clamp(1, HOUR);
        begin + ((sum - self.sums[hour]) * u128::from(length) / width) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_follow_the_weights_to_the_last_part_of_an_hour() {
        let rhythm = Rhythm { weights: vec![1, 3] };
        let clock = rhythm.clock(Span::from_millis(HOUR * 2 + HOUR / 2));
        // 1 + 3 + half of 1: place 1/9 is half way through the first hour, 2/9 its end, 8/9 that of the second.
        let at = |ninths: u64| clock.at(((ninths << 40) / 9) + 1) / 60_000;
        assert_eq!([at(0), at(1), at(2), at(5), at(8)], [0, 30, 60, 90, 120]);
        assert!(clock.at((1 << 40) - 1) < HOUR * 2 + HOUR / 2);
    }
}
