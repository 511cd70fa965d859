//! Every family of metrics: name, kind, help. The page, the guide and the test of the dashboard go by this table.

/// What a family's samples are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows while the process lives.
    Counter,
    /// Goes up and down.
    Gauge,
    /// `_bucket`, `_sum` and `_count`.
    Histogram,
}

/// One family.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// What its samples are.
    pub kind: Kind,
    /// What it tells, in a sentence.
    pub help: &'static str,
}

const fn counter(name: &'static str, help: &'static str) -> Family {
    Family { name, kind: Kind::Counter, help }
}
const fn gauge(name: &'static str, help: &'static str) -> Family {
    Family { name, kind: Kind::Gauge, help }
}
const fn histogram(name: &'static str, help: &'static str) -> Family {
    Family { name, kind: Kind::Histogram, help }
}

/// All families, in the page's order.
pub const FAMILIES: &[Family] = &[
    gauge("madang_build_info", "Always 1; the release is in the label."),
    gauge("madang_uptime_seconds", "Time since this process began."),
    gauge("process_resident_memory_bytes", "Memory of this process."),
    gauge("process_open_fds", "Files that this process has open."),
    gauge("madang_ready", "1 while the core takes inputs, else 0."),
    gauge(
        "madang_gpus",
        "GPUs by state: busy, idle, stranded (idle, but of no use to a gang), out (on a node that takes no work).",
    ),
    gauge("madang_nodes", "Nodes by health: up, drain, down."),
    gauge("madang_agent_linked", "1 while a site's agent is linked, else 0; for sites that an agent serves."),
    gauge("madang_agent_silent_seconds", "Time since a site's agent was last heard of; none while it never was."),
    gauge("madang_jobs", "Jobs and array tasks that wait or run."),
    gauge("madang_owner_jobs_waiting", "Jobs of an owner's projects that the scheduler looks at."),
    gauge("madang_owner_gpus", "GPUs that an owner's projects hold."),
    gauge("madang_owner_gpus_guaranteed", "GPUs that an owner is guaranteed."),
    counter("madang_owner_jobs_ended_total", "Jobs of an owner's projects that ended, by outcome."),
    counter("madang_jobs_ended_total", "Jobs that ended since the centre was founded."),
    counter("madang_anomalies_total", "Reports that did not fit since the centre was founded."),
    counter("madang_starts_total", "Runs sent to engines."),
    counter("madang_runs_ended_total", "Runs that started and ended, by outcome."),
    counter("madang_stops_total", "Runs told to stop, by cause; preempted are those taken back."),
    counter(
        "madang_lost_gpu_seconds_total",
        "GPU time of runs that counts for nothing, by outcome: what a lost node, a failed launch or a pre-emption lost since the last checkpoint.",
    ),
    histogram("madang_queue_wait_seconds", "Time from when a job could queue to its start."),
    histogram("madang_step_seconds", "Time that one step of the core takes, its scheduling cycles included."),
    counter("madang_cycles_total", "Scheduling cycles."),
    counter("madang_cycle_tries_total", "Placements tried in scheduling cycles."),
    counter("madang_cycle_starts_total", "Runs that scheduling cycles decided to start."),
    counter("madang_cycle_backfilled_total", "Of these, ahead of a blocked job of higher rank."),
    counter("madang_cycle_stops_total", "Runs that scheduling cycles decided to take back."),
    gauge("madang_promises", "Promises that stand."),
    counter("madang_promises_ended_total", "Promises kept and broken since the centre was founded."),
    counter("madang_journal_entries_total", "Entries in the journal, one for each step."),
    counter("madang_journal_inputs_total", "Inputs in the journal."),
    histogram("madang_journal_append_seconds", "Time to put one step's inputs on the disk, the commit included."),
    histogram("madang_journal_commit_seconds", "Time of the commit alone: the wait for the disk."),
    gauge("madang_snapshot_behind_inputs", "Inputs since the newest snapshot, to be replayed at a restart."),
    gauge("madang_snapshot_age_seconds", "Time since this process last wrote a snapshot; absent before that."),
    counter("madang_snapshot_failures_total", "Snapshots that could not be written."),
    counter("madang_http_requests_total", "Requests by route and class of status."),
    histogram("madang_http_request_seconds", "Time from a request's head to its answer's."),
    gauge("madang_event_streams", "Event streams that are open."),
];
