//! What is kept beside the journal: ended jobs, the ledger's transactions, anomalies, what engines had to say.

use madang_ledger::{Account, Transaction};
use madang_model::{Job, RunId, Span, Time};
use std::sync::Arc;

/// One day in milliseconds.
const DAY: u64 = 86_400_000;

/// One thing to keep, with the names that the tables are asked by.
#[derive(Clone, Debug)]
pub enum Kept {
    /// A job that ended.
    Job {
        /// Its user's name.
        user: String,
        /// Its project's name.
        project: String,
        /// Its whole record.
        job: Arc<Job>,
    },
    /// A transaction of the ledger.
    Ledger {
        /// The project's name.
        project: String,
        /// What was posted.
        transaction: Transaction,
    },
    /// What an engine had to say about the end of a run. Not derived from the journal: it rides in the commit of the
    /// report itself.
    Note {
        /// Which run.
        run: RunId,
        /// Why it failed, where the outcome does not say; else empty.
        note: String,
        /// Peak memory in MiB.
        peak_mib: u64,
        /// CPU time of all its processes.
        cpu: Span,
    },
    /// Something that did not fit.
    Anomaly {
        /// The journal's row that brought it.
        seq: u64,
        /// Its place among that row's.
        nth: u32,
        /// When.
        at: Time,
        /// What.
        text: String,
    },
}

/// The day of a transaction, as its first moment.
pub(super) fn day(transaction: &Transaction) -> u64 {
    transaction.at.millis() / DAY * DAY
}

/// GPU time that a transaction adds to what is spent, in micro-GPU-seconds.
pub(super) fn spent(transaction: &Transaction) -> i64 {
    let lines = transaction.lines.iter().filter(|line| matches!(line.account, Account::Spent(_)));
    lines.map(|line| line.time.micro_secs()).sum()
}
