//! What would be lost, were a run ended now: the time since its last checkpoint.
//!
//! A report of a checkpoint counts before what the job declared. A job that says nothing is taken never to have
//! written one; the cap bounds what that is worth, so that silence protects nobody.
use crate::units::{Span, Time};

/// What is known of a run's checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoints {
    /// When the run began.
    pub since: Time,
    /// The last one that was reported.
    pub saved: Option<Time>,
    /// How often the job said that it writes one.
    pub every: Option<Span>,
}

impl Checkpoints {
    /// When the last one is taken to have been written; the run's beginning if none was.
    pub fn last(self, now: Time) -> Time {
        if let Some(saved) = self.saved {
            return saved.clamp(self.since, now.max(self.since));
        }
        let ran = now.since(self.since).millis();
        match self.every.map(Span::millis).filter(|every| *every > 0) {
            Some(every) => self.since.after(Span::from_millis(ran - ran % every)),
            None => self.since,
        }
    }

    /// The time that is lost if the run ends now, at most `cap`.
    pub fn lost(self, now: Time, cap: Span) -> Span {
        now.since(self.last(now)).min(cap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_counts_before_a_declaration_and_a_declaration_before_silence() {
        let at = |minutes| Time::default().after(Span::from_mins(minutes));
        let hour = Span::from_hours(1);
        let lost = |saved: Option<u64>, every: Option<u64>, now| {
            let run = Checkpoints { since: at(100), saved: saved.map(at), every: every.map(Span::from_mins) };
            run.lost(at(now), hour).millis() / 60_000
        };
        // (reported, declared, now) -> minutes lost
        assert_eq!(lost(None, None, 130), 30);
        assert_eq!(lost(None, None, 1000), 60, "silence is capped");
        assert_eq!(lost(None, Some(20), 130), 10);
        assert_eq!(lost(None, Some(20), 140), 0);
        assert_eq!(lost(None, Some(0), 130), 30);
        assert_eq!(lost(None, Some(900), 900), 60, "so is a long interval");
        assert_eq!(lost(Some(125), Some(20), 130), 5);
        assert_eq!(lost(Some(110), Some(1), 130), 20, "what is reported is the truth");
        assert_eq!(lost(Some(50), None, 130), 30, "a checkpoint of an earlier run does not save this one");
        assert_eq!(lost(Some(500), None, 130), 0);
        assert_eq!(lost(None, None, 90), 0);
    }
}
