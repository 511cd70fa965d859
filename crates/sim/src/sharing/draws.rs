//! The random numbers of the published runs, so that a seed is the same run here as there.
//!
//! The simulator that the published results come from draws from `math/rand` of Go: an additive lagged Fibonacci
//! generator, each word the sum of those 607 and 273 words before it, whose seed is mixed into a state that is 7.8e12
//! words down the sequence of seed 1. Go ships that state as a table; here it is computed: the sequence is linear,
//! so a word so far off is a sum of the first 607 with the coefficients of x^n modulo x^607 - x^334 - 1.
//!
//! Invariant: the draws of a seed are Go's, since published figures are met run by run.
use std::sync::OnceLock;

/// Words of state.
const LENGTH: usize = 607;
/// A word is the sum of the words this far and `LENGTH` before it.
const LAG: usize = 273;
/// How far down its sequence the state is with which seeds are mixed.
const COOKED_AT: u64 = 7_800_000_000_000;

/// A stream of Go's `math/rand`.
#[derive(Clone, Debug)]
pub struct Draws {
    state: Vec<u64>,
    tap: usize,
    feed: usize,
}

impl Draws {
    /// The stream of a seed.
    pub fn new(seed: u64) -> Draws {
        let seed = match seed % 0x7fff_ffff {
            0 => 89_482_311,
            rest => rest as i64,
        };
        let state = mixed(seed, 20).zip(cooked()).map(|(word, cooked)| word ^ cooked).collect();
        Draws { state, tap: 0, feed: LENGTH - LAG }
    }

    /// The next 63 bits.
    pub fn draw(&mut self) -> u64 {
        let back = |at: usize| at.checked_sub(1).unwrap_or(LENGTH - 1);
        (self.tap, self.feed) = (back(self.tap), back(self.feed));
        self.state[self.feed] = self.state[self.feed].wrapping_add(self.state[self.tap]);
        self.state[self.feed] & (u64::MAX >> 1)
    }

    /// A number below `bound`, which is at least 1, by the rest of a division (`Intn`).
    pub fn below(&mut self, bound: u32) -> u32 {
        let beyond = (1 << 31) - (1 << 31) % bound;
        loop {
            let word = (self.draw() >> 32) as u32;
            if word < beyond {
                return word % bound;
            }
        }
    }

    /// Puts these in random order (`Shuffle`).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.share(at as u32 + 1) as usize);
        }
    }

    /// The numbers below `count` in random order (`Perm`).
    pub fn order(&mut self, count: u32) -> Vec<u32> {
        let mut order = Vec::with_capacity(count as usize);
        for next in 0..count {
            let at = self.below(next + 1) as usize;
            order.push(next);
            order.swap(at, next as usize);
        }
        order
    }

    /// A number below `bound`, by the upper half of a product, as `Shuffle` draws it.
    fn share(&mut self, bound: u32) -> u32 {
        loop {
            let product = (self.draw() >> 31 & u64::from(u32::MAX)) * u64::from(bound);
            if product as u32 >= bound.wrapping_neg() % bound {
                return (product >> 32) as u32;
            }
        }
    }
}

/// The words that Lehmer's generator makes of a seed, three numbers each, shifted.
fn mixed(seed: i64, shift: u32) -> impl Iterator<Item = u64> {
    let mut number = seed;
    let mut next = move || {
        number = number * 48_271 % 0x7fff_ffff;
        number as u64
    };
    (0..20).for_each(|_| {
        next();
    });
    (0..LENGTH).map(move |_| next() << (2 * shift) ^ next() << shift ^ next())
}

/// The state with which seeds are mixed.
fn cooked() -> &'static [u64] {
    static COOKED: OnceLock<Vec<u64>> = OnceLock::new();
    COOKED.get_or_init(|| {
        // Word t of the sequence lies at (334 - t) mod 607 when it is among the newest: the state is filled backwards.
        let place = |word: u64| (LENGTH - LAG + LENGTH - (word % LENGTH as u64) as usize) % LENGTH;
        let seeded: Vec<u64> = mixed(1, 10).collect();
        let first: Vec<u64> = (1..=LENGTH as u64).map(|word| seeded[place(word)]).collect();
        let mut power = power(COOKED_AT);
        let mut state = vec![0; LENGTH];
        for word in COOKED_AT + 1..=COOKED_AT + LENGTH as u64 {
            let terms = power.iter().zip(&first).map(|(by, word)| by.wrapping_mul(*word));
            state[place(word)] = terms.fold(0, u64::wrapping_add);
            power.insert(0, 0);
            power = reduced(power);
        }
        state
    })
}

/// The coefficients of x^n modulo x^607 - x^334 - 1 and 2^64.
fn power(n: u64) -> Vec<u64> {
    let mut power = vec![0_u64; LENGTH];
    power[0] = 1;
    for bit in (0..64 - n.leading_zeros()).rev() {
        let mut square = vec![0_u64; 2 * LENGTH];
        for (at, one) in power.iter().enumerate() {
            for (by, other) in power.iter().enumerate() {
                square[at + by] = square[at + by].wrapping_add(one.wrapping_mul(*other));
            }
        }
        if n >> bit & 1 == 1 {
            square.insert(0, 0);
        }
        power = reduced(square);
    }
    power
}

/// The same modulo x^607 - x^334 - 1.
fn reduced(mut powers: Vec<u64>) -> Vec<u64> {
    for high in (LENGTH..powers.len()).rev() {
        for low in [high - LENGTH, high - LAG] {
            powers[low] = powers[low].wrapping_add(powers[high]);
        }
    }
    powers.truncate(LENGTH);
    powers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_gos_sequence() {
        let mut draws = Draws::new(1);
        let drawn: Vec<u32> = (0..10).map(|_| draws.below(100)).collect();
        // What the first program of the Go tour has always printed, and what follows.
        assert_eq!(drawn, [81, 87, 47, 59, 81, 18, 25, 40, 56, 0]);
    }

    #[test]
    fn a_far_word_is_the_one_that_stepping_gives() {
        let mut words: Vec<u64> = (0..LENGTH as u64).map(|word| word * word + 1).collect();
        let first = words.clone();
        for at in LENGTH..5000 {
            words.push(words[at - LENGTH].wrapping_add(words[at - LAG]));
        }
        for far in [0, 1, 606, 607, 608, 4999] {
            let terms = power(far).into_iter().zip(&first).map(|(by, word)| by.wrapping_mul(*word));
            assert_eq!(terms.fold(0, u64::wrapping_add), words[far as usize], "word {far}");
        }
    }

    #[test]
    fn orders_hold_each_number_once() {
        let mut draws = Draws::new(7);
        let mut shuffled: Vec<u32> = (0..100).collect();
        draws.shuffle(&mut shuffled);
        let ordered = draws.order(100);
        assert_ne!(shuffled, ordered);
        for mut order in [shuffled, ordered] {
            order.sort_unstable();
            assert_eq!(order, (0..100).collect::<Vec<u32>>());
        }
    }
}
