//! Numbers of the files that forgotten runs leave for others; see [`crate::record`] for why.

/// The most files kept: as many as are in use at a busy moment.
const MOST: usize = 64;

/// Which numbers are free.
#[derive(Debug, Default)]
pub(crate) struct Spares {
    free: Vec<u64>,
    next: u64,
}

impl Spares {
    /// These files are there already.
    pub fn keep(&mut self, numbers: Vec<u64>) {
        self.next = self.next.max(numbers.iter().max().map_or(0, |number| number.saturating_add(1)));
        self.free.extend(numbers);
    }

    /// A run of a former server has this number.
    pub fn reserve(&mut self, number: u64) {
        self.next = self.next.max(number.saturating_add(1));
        self.free.retain(|free| *free != number);
    }

    /// A number that no other run has.
    pub fn take(&mut self) -> u64 {
        self.free.pop().unwrap_or_else(|| self.fresh())
    }

    /// The number under which a run's files are kept, its own if it has one; `None` when enough are kept.
    pub fn put_back(&mut self, own: Option<u64>) -> Option<u64> {
        if self.free.len() >= MOST {
            return None;
        }
        let number = own.unwrap_or_else(|| self.fresh());
        self.free.push(number);
        Some(number)
    }

    fn fresh(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_is_given_twice() {
        let mut spares = Spares::default();
        spares.keep(vec![1, 4]);
        spares.reserve(4);
        spares.reserve(6);
        assert_eq!([spares.take(), spares.take(), spares.take()], [1, 7, 8]);
        assert_eq!(spares.put_back(Some(4)), Some(4));
        assert_eq!(spares.put_back(None), Some(9));
        assert_eq!([spares.take(), spares.take()], [9, 4]);
        let kept = (0..100).filter(|_| spares.put_back(None).is_some()).count();
        assert_eq!(kept, MOST);
    }
}
