//! With which limit a job starts: the longest that fits, of a job that would take a shorter one to start earlier.
//!
//! Such a job waits, is promised a start and is backfilled by the shortest limit that it takes. When it starts it is given
//! the longest that its deadline and its project's budget cover and that runs into no promise, window or cap. A longer
//! limit is never easier to place than a shorter one, and what stands in its way begins at one of a few moments, so that a
//! search by halves among these finds the longest.
use crate::api::Budget;
use crate::place::{self, Short};
use crate::promise::GRACE;
use crate::queue::Waiting;
use crate::scheduler::Scheduler;
use crate::shape::Shape;
use alloc::vec::Vec;
use madang_model::{Allocation, JobId, Span, Time};

/// Most windows of one reservation that are looked at.
const WINDOWS: usize = 16;
/// Limits are cut down to whole seconds.
const SECOND: u64 = 1000;

impl Scheduler {
    /// Where the job could start now, and with which limit; its own promise is lifted.
    pub(crate) fn longest(&self, now: Time, job: JobId) -> Result<(Allocation, Span), Short> {
        let waiting = &self.queue.jobs[&job];
        let (class, shape) = self.queue.kind(waiting);
        let within = |limit: Span| place::now(shape, &self.begun_now(now, limit));
        let most = self.wished(now, waiting, class.limit);
        if most > class.limit
            && let Ok(on) = within(most)
        {
            return Ok((on, most));
        }
        let least = within(class.limit)?;
        let limits = self.limits(now, shape, (class.limit, most));
        let fitting = limits.partition_point(|limit| within(*limit).is_ok());
        let longest = fitting.checked_sub(1).and_then(|last| Some((within(limits[last]).ok()?, limits[last])));
        Ok(longest.unwrap_or((least, class.limit)))
    }

    /// The longest limit that the job's own wish, its deadline and its project's budget allow, and no less than `least`.
    pub(crate) fn wished(&self, now: Time, waiting: &Waiting, least: Span) -> Span {
        if waiting.limit <= least {
            return least;
        }
        let wished = waiting.deadline.map_or(waiting.limit, |deadline| waiting.limit.min(deadline.since(now)));
        let gpus = self.queue.kind(waiting).1.request.gpus().milli();
        let paid = match self.shares.projects[self.shares.leaves[waiting.leaf].project].budget {
            Budget::Left(left) if gpus > 0 => {
                Span::from_millis(u64::try_from(left.micro_secs()).unwrap_or(0) / u64::from(gpus))
            }
            _ => Span::MAX,
        };
        if wished.min(paid) == waiting.limit { waiting.limit } else { whole(wished.min(paid)).max(least) }
    }

    /// The limits between these with which a run would be gone just when something begins that may be in its way,
    /// ascending. There are none between equal ones.
    fn limits(&self, now: Time, shape: &Shape, (least, most): (Span, Span)) -> Vec<Span> {
        if most <= least {
            return Vec::new();
        }
        let own = shape.request.reservation;
        let mut moments: Vec<Time> = self.promises.iter().map(|(_, pledge)| pledge.promise.start).collect();
        for (id, reservation) in &self.cluster.calendar.all {
            let mut at = now;
            for _ in 0..WINDOWS {
                let Some(window) = reservation.meets(at, now.after(most).after(GRACE)) else { break };
                moments.push(if own == Some(*id) { crate::calendar::leave(window.until) } else { window.from });
                at = window.until;
            }
        }
        let limit = |moment: &Time| whole(moment.before(GRACE).since(now));
        let mut limits: Vec<Span> = moments.iter().filter(|moment| **moment > now).map(limit).collect();
        limits.retain(|limit| least < *limit && *limit < most);
        limits.sort_unstable();
        limits.dedup();
        limits
    }
}

/// The same in whole seconds.
fn whole(limit: Span) -> Span {
    Span::from_millis(limit.millis() - limit.millis() % SECOND)
}
