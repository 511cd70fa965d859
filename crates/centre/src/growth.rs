//! Fragmentation never grows silently: hourly bounds of each site's stranded GPUs over a day, and when they have grown.
//!
//! Intuition: stranded GPUs come and go by the minute, so a figure of now says little. The best hour of the last day is
//! the one whose highest figure was lowest. When the lowest figure of the last full hour is still well above that, the
//! site has been worse for a whole hour than it was at any moment of that one.
//!
//! Invariants: looked at in steps at most every five minutes, so that a step costs nothing by it; hours in which nothing
//! was stepped had what was there before them; a row is of 25 hours at most, the present one last.
use crate::state::Centre;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use madang_model::{SiteId, Span, Time};
use serde::{Deserialize, Serialize};

/// Hours kept: a day and the present one.
const HOURS: usize = 25;
const HOUR: u64 = Span::from_hours(1).millis();
/// How long a look is good for.
const LOOK: u64 = Span::from_mins(5).millis();
/// A growth is told from this part of a site's GPUs on.
const PART: u64 = 20;

/// The bounds of an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bounds {
    low: u64,
    high: u64,
}

/// A site's stranded GPUs over a day, hour by hour.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Growth {
    /// The hour of the last entry, counted since 1970.
    hour: u64,
    hours: VecDeque<Bounds>,
    last: u64,
    /// GPUs of the site that were up at the last look.
    gpus: u64,
}

/// A site whose stranded GPUs have grown past a twentieth of its GPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grown {
    /// Since the end of the best hour of the last day.
    pub since: Time,
    /// The most that were stranded in that hour.
    pub from: u64,
    /// The least that were stranded in the last full hour.
    pub to: u64,
}

impl Growth {
    /// Notes a figure of now.
    fn note(&mut self, now: Time, stranded: u64, gpus: u64) {
        let hour = now.millis() / HOUR;
        if self.hours.is_empty() {
            (self.hour, self.last) = (hour, stranded);
        }
        let missed = hour.saturating_sub(self.hour).min(HOURS as u64);
        for _ in 0..missed {
            self.hours.push_back(Bounds { low: self.last, high: self.last });
        }
        let present = Bounds { low: stranded, high: stranded };
        match self.hours.back_mut() {
            Some(bounds) => *bounds = Bounds { low: bounds.low.min(stranded), high: bounds.high.max(stranded) },
            None => self.hours.push_back(present),
        }
        while self.hours.len() > HOURS {
            self.hours.pop_front();
        }
        (self.hour, self.last, self.gpus) = (hour, stranded, gpus);
    }

    fn grown(&self) -> Option<Grown> {
        let full = self.hours.len().checked_sub(1)?;
        let to = self.hours.get(full.checked_sub(1)?)?.low;
        let hours = self.hours.iter().enumerate().take(full);
        // Of equally good hours the last.
        let (place, best) = hours.min_by_key(|(place, bounds)| (bounds.high, full - place))?;
        let bound = (self.gpus / PART).max(1);
        let ended = self.hour - (full - place) as u64 + 1;
        (to >= best.high + bound).then_some(Grown { since: Time::from_millis(ended * HOUR), from: best.high, to })
    }
}

impl Centre {
    /// Notes what is stranded, if the last look is old enough.
    pub(crate) fn note_growth(&mut self) {
        let due = self.now.millis() / LOOK;
        let Some(sched) = self.sched.as_ref().filter(|_| self.growth_look != due) else { return };
        self.growth_look = due;
        let sites = self.founding.as_ref().map_or(0, |founding| founding.sites.len());
        let mut sums: Vec<(u64, u64)> = alloc::vec![(0, 0); sites];
        for island in sched.fragmentation() {
            let sum = &mut sums[island.site.index()];
            *sum = (sum.0 + island.stranded, sum.1 + island.gpus);
        }
        self.growth.resize_with(sites, Growth::default);
        for (growth, (stranded, gpus)) in self.growth.iter_mut().zip(sums) {
            growth.note(self.now, stranded, gpus);
        }
    }

    /// Since when a site's stranded GPUs have grown, if they have.
    pub fn stranded_growth(&self, site: SiteId) -> Option<Grown> {
        self.growth.get(site.index())?.grown()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Notes (hour, minute, stranded) of a site of 100 GPUs; what is told: hours since, from, to.
    fn of(notes: &[(u64, u64, u64)]) -> Option<(u64, u64, u64)> {
        let mut growth = Growth::default();
        for (hour, minute, stranded) in notes {
            growth.note(Time::from_millis(hour * HOUR + minute * 60_000), *stranded, 100);
            assert!(growth.hours.len() <= HOURS);
        }
        growth.grown().map(|grown| (grown.since.millis() / HOUR, grown.from, grown.to))
    }

    #[test]
    fn what_has_grown_for_a_whole_hour_is_told() {
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[(0, 0, 2), (1, 0, 50)]), None, "the hour is not over");
        let grows = [(0, 0, 2), (0, 59, 4), (1, 5, 50), (1, 30, 40), (2, 0, 41)];
        assert_eq!(of(&grows), None, "it was better when the hour began");
        assert_eq!(of(&[&grows[..], &[(3, 0, 60)]].concat()), Some((1, 4, 40)));
        assert_eq!(of(&[&grows[..], &[(2, 30, 3), (3, 0, 60)]].concat()), None, "it came back down");
        assert_eq!(of(&[(0, 0, 2), (1, 0, 6), (3, 0, 6)]), None, "less than a twentieth");
        assert_eq!(of(&[(0, 0, 2), (1, 0, 7), (3, 0, 7)]), Some((1, 2, 7)));
    }

    #[test]
    fn hours_without_a_step_had_what_was_there_and_a_day_is_kept() {
        assert_eq!(of(&[(0, 0, 2), (1, 0, 40), (9, 0, 3)]), Some((1, 2, 40)));
        assert_eq!(of(&[(0, 0, 2), (1, 0, 40), (24, 0, 40)]), Some((1, 2, 40)));
        assert_eq!(of(&[(0, 0, 2), (1, 0, 40), (26, 0, 40)]), None, "that was another day");
        assert_eq!(of(&[(0, 0, 2), (1, 0, 40), (900, 0, 40)]), None);
    }
}
