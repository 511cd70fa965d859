-- The embedded store. `journal` is the truth; the tables under it are projections, written again on replay.
-- Launch blobs are never pruned yet: a job's script stays readable for as long as the folder exists.
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
-- One row for each step of the core: the batch it was given, empty when only time passed.
CREATE TABLE journal (
    seq INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, inputs INTEGER NOT NULL, body TEXT NOT NULL, hash BLOB NOT NULL
) STRICT;
CREATE TABLE blobs (name TEXT PRIMARY KEY, body BLOB NOT NULL) STRICT;

CREATE TABLE jobs (
    id INTEGER PRIMARY KEY, user TEXT NOT NULL, project TEXT NOT NULL, array_id INTEGER, task INTEGER,
    submitted_ms INTEGER NOT NULL, ended_ms INTEGER NOT NULL, body TEXT NOT NULL
) STRICT;
CREATE INDEX jobs_by_end ON jobs (ended_ms);
CREATE INDEX jobs_by_project ON jobs (project, id);
CREATE INDEX jobs_by_array ON jobs (array_id, task) WHERE array_id IS NOT NULL;
-- What the engine had to say about the end of a run.
CREATE TABLE notes (job INTEGER NOT NULL, attempt INTEGER NOT NULL, note TEXT NOT NULL, peak_mib INTEGER NOT NULL,
    cpu_ms INTEGER NOT NULL, PRIMARY KEY (job, attempt)) STRICT, WITHOUT ROWID;
CREATE TABLE ledger (id INTEGER PRIMARY KEY, project TEXT NOT NULL, at_ms INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
CREATE INDEX ledger_by_project ON ledger (project, id);
-- GPU time spent by day, refunds taken off on the day they were given.
CREATE TABLE burn (
    project TEXT NOT NULL, day_ms INTEGER NOT NULL, spent INTEGER NOT NULL, PRIMARY KEY (project, day_ms)
) STRICT, WITHOUT ROWID;
CREATE TABLE anomalies (seq INTEGER NOT NULL, nth INTEGER NOT NULL, at_ms INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (seq, nth)) STRICT, WITHOUT ROWID;
