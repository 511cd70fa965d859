//! What would become of a job if it was asked for now: tried on a copy, so that nothing changes.
use crate::api::{Ask, Event, Outlook};
use crate::forward::{Forecast, Lasting};
use crate::scheduler::Scheduler;
use madang_model::Time;

impl Scheduler {
    /// When and where a job would start if it was asked for now, or what it would wait for.
    pub fn outlook(&self, now: Time, ask: Ask) -> Outlook {
        let (now, job) = (now.max(self.now), ask.run.job);
        let mut draft = self.clone();
        // As in every forecast, nothing is taken back.
        draft.config.taking.jobs = 0;
        let step = draft.step(now, alloc::vec![Event::Queued(ask)]);
        if let Some(start) = step.starts.into_iter().find(|start| start.run.job == job) {
            return Outlook { start: Some(now), on: Some(start.on), why: None };
        }
        let (why, on) = (draft.why(job), draft.promise(job).map(|promise| promise.on.clone()));
        let hopes = draft.hopes(job) == Some(true);
        let start = hopes.then(|| draft.run_forward(now, job, Lasting::Limits)).and_then(Forecast::start);
        Outlook { start, on, why }
    }
}
