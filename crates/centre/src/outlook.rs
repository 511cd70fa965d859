//! What would become of a submission: refused where it would be refused, else when and where it would start.
use crate::input::Submission;
use crate::refusal::Refusal;
use crate::state::Centre;
use crate::submit::{Fresh, waiting};
use alloc::boxed::Box;
use madang_model::{Job, Time};
use madang_sched::Outlook;

impl Centre {
    /// Checks a submission as [`crate::Input::Submit`] does and changes nothing: the job as it would wait, of an array its
    /// first task under the array's id, and what would become of it.
    pub fn outlook(&self, now: Time, by: &str, submission: Submission) -> Result<(Box<Job>, Outlook), Refusal> {
        self.check_founded()?;
        let job = match self.fresh(by, submission)? {
            Fresh::Job(job) => job,
            Fresh::Array(array) => Box::new(Job { held: array.held, ..waiting(array.id, array.spec, array.submitted) }),
        };
        let outlook = match self.shut(&job) {
            Some(why) => Outlook { why: Some(why), ..Outlook::default() },
            None => self.sched.as_ref().map(|sched| sched.outlook(now, self.ask_of(&job, now))).unwrap_or_default(),
        };
        Ok((job, outlook))
    }
}
