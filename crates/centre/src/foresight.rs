//! How long a job will run, from how its owner's like jobs ran: for the order of backfill and for forecasts, and for
//! nothing else.
//!
//! People ask for more time than they need, and do so by habit. So what is remembered of a run is the part of its limit
//! that it took, and a prediction is the median of the last [`KEPT`] parts, times the limit. Runs are looked for that
//! are like the job in ever less: those of the same user and project with the same form of name, GPUs and limit; else
//! with the same limit; else any. Where nothing is known there is no prediction.
//!
//! The base is Tsafrir, Etsion and Feitelson, *Backfilling using system-generated predictions rather than user runtime
//! estimates* (IEEE TPDS 18(6), 2007): the mean of the user's last two run times, at most the limit. The accuracy of both
//! on public logs is in `docs/foresight.md`.
//!
//! Invariants: a prediction is more than nothing and at most the limit; there are at most [`MOST`] memories, and the one that
//! was not needed for longest goes first.
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use madang_model::{EndedRun, Job, JobSpec, Outcome, ProjectId, Span, UserId};
use serde::{Deserialize, Serialize};

/// Runs that are remembered of each kind.
pub const KEPT: usize = 5;
/// Most kinds that are remembered.
pub const MOST: usize = 65_536;
/// A whole, in parts.
const WHOLE: u128 = 1 << 24;

/// What makes jobs alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Like {
    /// Whose.
    pub user: UserId,
    /// Out of which project.
    pub project: ProjectId,
    /// The form of the name: see [`form`].
    pub form: u64,
    /// Milli-GPUs of the whole gang.
    pub gpus: u32,
    /// How long it may run.
    pub limit: Span,
}

impl Like {
    /// What a job is like.
    pub fn of(spec: &JobSpec) -> Like {
        let (form, gpus) = (form(&spec.name), spec.request.gpus().milli());
        Like { user: spec.user, project: spec.project, form, gpus, limit: spec.limit }
    }

    /// Where runs like it are remembered, the most alike first.
    fn kinds(&self) -> [Kind; 3] {
        let Like { user, project, form, gpus, limit } = *self;
        [
            (user, project, Some((limit, Some((form, gpus))))),
            (user, project, Some((limit, None))),
            (user, project, None),
        ]
    }
}

/// A user, a project, and what else runs have in common: the limit, and the form and GPUs.
type Kind = (UserId, ProjectId, Option<(Span, Option<(u64, u32)>)>);

/// A name with every number in it taken as the same, so that `train-7` is like `train-8`; as a hash (FNV-1a).
pub fn form(name: &str) -> u64 {
    let mut before = 0;
    let bytes = name.bytes().map(|byte| if byte.is_ascii_digit() { b'0' } else { byte }).filter(|byte| {
        let again = *byte == b'0' && before == b'0';
        before = *byte;
        !again
    });
    bytes.fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// What is remembered of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Memory {
    /// When it was last added to, in runs.
    turn: u64,
    /// Parts of their limits that the last runs took, the latest last; at most [`KEPT`].
    parts: Vec<u32>,
}

/// What is remembered of runs.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Vec<(Kind, Memory)>", into = "Vec<(Kind, Memory)>")]
pub struct Foresight {
    kinds: BTreeMap<Kind, Memory>,
    /// Kinds with their turns when this list was made, the oldest at the end. It is made when one has to go: those whose
    /// turn came since are passed over, and what is not in it has had its turn later than all that is.
    oldest: Vec<(u64, Kind)>,
    turn: u64,
}

/// The list of who goes next can be made again at any time.
impl PartialEq for Foresight {
    fn eq(&self, other: &Foresight) -> bool {
        (&self.kinds, self.turn) == (&other.kinds, other.turn)
    }
}

impl Eq for Foresight {}

impl From<Vec<(Kind, Memory)>> for Foresight {
    fn from(list: Vec<(Kind, Memory)>) -> Foresight {
        let turn = list.iter().map(|(_, memory)| memory.turn).max().unwrap_or(0);
        Foresight { kinds: list.into_iter().collect(), oldest: Vec::new(), turn }
    }
}

impl From<Foresight> for Vec<(Kind, Memory)> {
    fn from(from: Foresight) -> Self {
        from.kinds.into_iter().collect()
    }
}

impl Foresight {
    /// How long a job like this will run, if anything is known of its user in its project.
    pub fn predict(&self, like: &Like) -> Option<Span> {
        let memory = like.kinds().iter().find_map(|kind| self.kinds.get(kind))?;
        let mut sorted = [0; KEPT];
        let parts = sorted.get_mut(..memory.parts.len())?;
        parts.copy_from_slice(&memory.parts);
        parts.sort_unstable();
        let part = u128::from(*parts.get(parts.len() / 2)?);
        let millis = (u128::from(like.limit.millis()) * part).div_ceil(WHOLE);
        Some(Span::from_millis(u64::try_from(millis).unwrap_or(u64::MAX)).min(like.limit).max(Span::from_millis(1)))
    }

    /// Remembers that a job like this ran for so long.
    pub fn learn(&mut self, like: &Like, ran: Span) {
        let limit = u128::from(like.limit.millis().max(1));
        let part = (u128::from(ran.millis()) * WHOLE / limit).clamp(1, WHOLE) as u32;
        for kind in like.kinds() {
            self.turn += 1;
            let memory = self.kinds.entry(kind).or_insert(Memory { turn: 0, parts: Vec::new() });
            memory.turn = self.turn;
            if memory.parts.len() == KEPT {
                memory.parts.remove(0);
            }
            memory.parts.push(part);
        }
        while self.kinds.len() > MOST {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if self.oldest.is_empty() {
            self.oldest.extend(self.kinds.iter().map(|(kind, memory)| (memory.turn, *kind)));
            self.oldest.sort_unstable_by(|one, other| other.cmp(one));
        }
        let Some((turn, kind)) = self.oldest.pop() else { return };
        if self.kinds.get(&kind).is_some_and(|memory| memory.turn == turn) {
            self.kinds.remove(&kind);
        }
    }

    /// Remembers a run if it says how long such jobs run: one that came to an end of its own, was ended by its limit or
    /// by whoever submitted it. One that was taken back, requeued or lost with its node says nothing; nor does a job's
    /// second run, which may go on from a checkpoint.
    pub(crate) fn note(&mut self, job: &Job, ended: &EndedRun) {
        use Outcome::{Cancelled, Completed, Failed, TimedOut};
        let says = matches!(ended.outcome, Completed | Failed { .. } | TimedOut | Cancelled);
        let again = job.runs.iter().any(|run| run.started.is_some() && run.run != ended.run);
        if let Some(started) = ended.started.filter(|_| says && !again) {
            self.learn(&Like::of(&job.spec), ended.ended.since(started));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn like(name: &str, gpus: u32, hours: u64) -> Like {
        let (user, project) = (UserId::new(1), ProjectId::new(2));
        Like { user, project, form: form(name), gpus: gpus * 1000, limit: Span::from_hours(hours) }
    }

    #[test]
    fn the_most_alike_is_asked_first() {
        let mut known = Foresight::default();
        assert_eq!(known.predict(&like("train-1", 8, 10)), None, "nothing is known of anybody");
        known.learn(&like("train-1", 8, 10), Span::from_hours(1));
        known.learn(&like("eval", 1, 10), Span::from_hours(5));
        known.learn(&like("eval", 1, 10), Span::from_hours(5));
        let shown: Vec<_> = [("train-22", 8, 10), ("other", 8, 10), ("train-1", 8, 100)]
            .map(|(name, gpus, hours)| known.predict(&like(name, gpus, hours)).map(|span| span.secs().div_ceil(360)))
            .into();
        // The same form; then the same limit, whose median is half of it; then any, half of a longer limit.
        assert_eq!(shown, [Some(10), Some(50), Some(500)]);
        assert_eq!(known.predict(&Like { user: UserId::new(9), ..like("train-1", 8, 10) }), None);
    }

    #[test]
    fn a_median_of_the_last_five_that_never_leaves_the_limit() {
        let mut known = Foresight::default();
        let hours = [9, 9, 9, 1, 2, 30, 4, 3];
        for ran in hours {
            known.learn(&like("a", 1, 10), Span::from_hours(ran));
        }
        // 1, 2, 3, 4 and all ten of thirty: three, up to what a part is rounded by.
        let three = known.predict(&like("a", 1, 10)).map(|span| span.millis().div_ceil(10_000) * 10);
        assert_eq!(three, Some(3 * 3600));
        known.learn(&like("b", 1, 1), Span::from_hours(1000));
        assert_eq!(known.predict(&like("b", 1, 1)), Some(Span::from_hours(1)));
        known.learn(&like("c", 1, 1), Span::ZERO);
        assert_eq!(known.predict(&like("c", 1, 1)), Some(Span::from_millis(1)), "more than nothing");
    }

    #[test]
    fn names_that_differ_in_their_numbers_have_one_form() {
        for (one, other, same) in [
            ("train-7", "train-8", true),
            ("train-7", "train-123", true),
            ("7b-train", "13b-train", true),
            ("train", "train-1", false),
            ("", "0", false),
        ] {
            assert_eq!(form(one) == form(other), same, "{one} {other}");
        }
    }

    #[test]
    fn memories_are_bounded_and_the_oldest_go() {
        let mut known = Foresight::default();
        let of = |user| Like { user: UserId::new(user), ..like("a", 1, 1) };
        for user in 0..MOST as u32 {
            known.learn(&of(user), Span::from_mins(30));
        }
        assert_eq!(known.kinds.len(), MOST);
        assert_eq!(known.predict(&of(0)), None);
        assert!(known.predict(&of(MOST as u32 - 1)).is_some());
        let paper = Vec::from(known.clone());
        assert_eq!(Foresight::from(paper), known);
    }
}
