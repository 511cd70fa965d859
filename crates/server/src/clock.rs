//! The clock: wall time that never goes back.
//!
//! The journal's moments must not decrease, so a wall clock that steps back (a wrong NTP answer, a resumed virtual
//! machine) makes time stand still here until the wall has caught up. Said once for each step back, with how far.

use madang_model::{Span, Time};
use std::time::{SystemTime, UNIX_EPOCH};

/// Where wall time comes from: the system, or a test.
pub type Wall = Box<dyn Fn() -> Time + Send>;

/// Milliseconds since 1970 by the system's clock.
pub fn system() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Wall time that never goes back.
pub struct Clock {
    wall: Wall,
    last: Time,
    behind: bool,
}

/// Steps back smaller than this are the usual slewing and are not worth a line in the log.
const WORTH_SAYING: Span = Span::from_secs(1);

impl Clock {
    /// A clock that starts no earlier than the journal's last moment.
    pub fn new(wall: Wall, last: Time) -> Clock {
        Clock { wall, last, behind: false }
    }

    /// Is never before this moment from now on.
    pub fn not_before(&mut self, moment: Time) {
        self.last = self.last.max(moment);
    }

    /// The present, never before what this gave last.
    pub fn now(&mut self) -> Time {
        let wall = (self.wall)();
        if wall >= self.last {
            self.last = wall;
            self.behind = false;
            return wall;
        }
        let back = self.last.since(wall);
        if !self.behind && back >= WORTH_SAYING {
            self.behind = true;
            tracing::warn!(
                "the wall clock is {back} behind the journal's last moment; the centre's time stands still until it has caught up"
            );
        }
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn time_stands_still_rather_than_going_back() {
        let wall = Arc::new(AtomicU64::new(5_000));
        let hand = Arc::clone(&wall);
        let mut clock =
            Clock::new(Box::new(move || Time::from_millis(hand.load(Ordering::Relaxed))), Time::from_millis(4_000));
        let mut at = |millis| {
            wall.store(millis, Ordering::Relaxed);
            clock.now().millis()
        };
        assert_eq!([at(5_000), at(1_000), at(4_999), at(5_001)], [5_000, 5_000, 5_000, 5_001]);
    }
}
