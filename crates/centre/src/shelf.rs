//! Jobs by id. Every input looks its job up many times, so the place is counted out rather than searched for.
//!
//! Intuition: ids are handed out in order and jobs leave roughly in that order, so the live ones lie close together.
//! They stand on pages of consecutive ids; a page without jobs is let go, and so are those before the first.
//!
//! Invariants: `count` of a page is its number of jobs, and no page is kept without one; the first page is there.
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::ops::Index;
use madang_model::{Job, JobId};

/// Ids on a page.
const PAGE: u64 = 64;

struct Page {
    jobs: [Option<Arc<Job>>; PAGE as usize],
    count: u32,
}

/// Jobs by id. What leaves the centre shares a job's record; whoever changes one that is shared gets a copy.
#[derive(Default)]
pub(crate) struct Shelf {
    /// Number of the first page.
    first: u64,
    pages: VecDeque<Option<Box<Page>>>,
}

fn place(id: JobId) -> (u64, usize) {
    (id.number() / PAGE, (id.number() % PAGE) as usize)
}

impl Shelf {
    fn slot(&self, id: JobId) -> Option<&Arc<Job>> {
        let (page, at) = place(id);
        let index = usize::try_from(page.checked_sub(self.first)?).ok()?;
        self.pages.get(index)?.as_ref()?.jobs[at].as_ref()
    }

    /// The job with this id.
    pub fn get(&self, id: &JobId) -> Option<&Job> {
        self.slot(*id).map(AsRef::as_ref)
    }

    /// The record of the job with this id, to be shared.
    pub fn shared(&self, id: JobId) -> Option<Arc<Job>> {
        self.slot(id).cloned()
    }

    /// The job with this id, to be changed.
    pub fn get_mut(&mut self, id: &JobId) -> Option<&mut Job> {
        let (page, at) = place(*id);
        let index = usize::try_from(page.checked_sub(self.first)?).ok()?;
        self.pages.get_mut(index)?.as_mut()?.jobs[at].as_mut().map(Arc::make_mut)
    }

    /// Whether there is a job with this id.
    pub fn contains_key(&self, id: &JobId) -> bool {
        self.slot(*id).is_some()
    }

    /// Puts a job in its place.
    pub fn insert(&mut self, job: Job) {
        let (number, at) = place(job.id);
        if self.pages.is_empty() {
            self.first = number;
        }
        while number < self.first {
            self.pages.push_front(None);
            self.first -= 1;
        }
        let index = (number - self.first) as usize;
        while self.pages.len() <= index {
            self.pages.push_back(None);
        }
        let page = self.pages[index].get_or_insert_with(|| Box::new(Page { jobs: [const { None }; 64], count: 0 }));
        page.count += u32::from(page.jobs[at].replace(Arc::new(job)).is_none());
    }

    /// Takes a job away.
    pub fn remove(&mut self, id: JobId) -> Option<Arc<Job>> {
        let (page, at) = place(id);
        let index = usize::try_from(page.checked_sub(self.first)?).ok()?;
        let page = self.pages.get_mut(index)?.as_mut()?;
        let job = page.jobs[at].take()?;
        page.count -= 1;
        if page.count == 0 {
            self.pages[index] = None;
            while self.pages.front().is_some_and(Option::is_none) {
                self.pages.pop_front();
                self.first += 1;
            }
        }
        Some(job)
    }

    /// All jobs, by id.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &Job> {
        self.from(JobId::new(0))
    }

    /// The jobs from an id on, by id.
    pub fn from(&self, id: JobId) -> impl DoubleEndedIterator<Item = &Job> {
        let ahead = place(id).0.saturating_sub(self.first);
        let ahead = usize::try_from(ahead).unwrap_or(usize::MAX).min(self.pages.len());
        let pages = self.pages.range(ahead..).flatten();
        pages.flat_map(|page| page.jobs.iter().flatten()).map(AsRef::as_ref).filter(move |job: &&Job| job.id >= id)
    }
}

impl Index<&JobId> for Shelf {
    type Output = Job;

    fn index(&self, id: &JobId) -> &Job {
        self.get(id).expect("the job is there")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use alloc::vec::Vec;
    use madang_model::{Blocked, JobSpec, JobState, Qos, Request, Span, Time};
    use proptest::prelude::*;

    fn job(id: u64, attempts: u32) -> Job {
        let request = Request {
            parts: Vec::new(),
            sites: Vec::new(),
            include: Vec::new(),
            exclude: Vec::new(),
            across_islands: false,
            topology: Default::default(),
            reservation: None,
            elastic: None,
            reach: Vec::new(),
        };
        let spec = JobSpec {
            name: Default::default(),
            user: madang_model::UserId::new(0),
            project: madang_model::ProjectId::new(0),
            partition: madang_model::PartitionId::new(0),
            request,
            limit: Span::ZERO,
            qos: Qos::Normal,
            nice: 0,
            begin: None,
            after: Vec::new(),
            after_any: false,
            singleton: false,
            kill_on_invalid: false,
            requeue: false,
            checkpoint: None,
            warning: None,
            launch: None,
            model: None,
            comment: Default::default(),
            data: Vec::new(),
            also: Vec::new(),
            deadline: None,
            limit_min: None,
        };
        let (id, state) = (JobId::new(id), JobState::Pending { why: Blocked::Fresh });
        Job { state, attempts, ..crate::submit::waiting(id, spec, Time::default()) }
    }

    proptest! {
        #[test]
        fn a_shelf_is_a_map(acts in prop::collection::vec((0u64..400, 0u32..4), 0..300)) {
            let (mut shelf, mut map) = (Shelf::default(), BTreeMap::new());
            for (at, (id, act)) in acts.into_iter().enumerate() {
                let mark = at as u32;
                match act {
                    0 => prop_assert_eq!(shelf.remove(JobId::new(id)).map(|job| job.attempts), map.remove(&id)),
                    1 => if let Some(job) = shelf.get_mut(&JobId::new(id)) {
                        job.attempts = mark;
                        map.insert(id, mark);
                    },
                    _ => {
                        shelf.insert(job(id, mark));
                        map.insert(id, mark);
                    }
                }
                prop_assert_eq!(shelf.get(&JobId::new(id)).map(|job| job.attempts), map.get(&id).copied());
                let seen: Vec<(u64, u32)> =
                    shelf.from(JobId::new(id)).rev().map(|job| (job.id.number(), job.attempts)).collect();
                let want: Vec<(u64, u32)> = map.range(id..).rev().map(|(id, mark)| (*id, *mark)).collect();
                prop_assert_eq!(seen, want);
                prop_assert!(shelf.pages.front().is_none_or(Option::is_some));
            }
        }
    }

    #[test]
    fn whoever_shares_a_record_keeps_it_as_it_was() {
        let mut shelf = Shelf::default();
        shelf.insert(job(7, 1));
        let shared = shelf.shared(JobId::new(7)).expect("it was put there");
        shelf.get_mut(&JobId::new(7)).expect("it was put there").attempts = 2;
        assert_eq!((shared.attempts, shelf[&JobId::new(7)].attempts), (1, 2));
    }
}
