-- The shared store. `journal` is the truth; the tables under it are projections, written again on replay. Whole numbers
-- are BIGINT and all words TEXT, so that one text of SQL asks this store and the embedded one.
CREATE SCHEMA IF NOT EXISTS madang;
CREATE TABLE madang.meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
-- Who writes: one row. Whoever adds one to `epoch` has taken over; whoever wrote under an older one is refused.
CREATE TABLE madang.lease (
    one BIGINT PRIMARY KEY CHECK (one = 1), epoch BIGINT NOT NULL, holder TEXT NOT NULL, address TEXT NOT NULL,
    until TIMESTAMPTZ NOT NULL
);
INSERT INTO madang.lease VALUES (1, 0, '', '', '-infinity');

-- One row for each step of the core: the batch it was given, empty when only time passed.
CREATE TABLE madang.journal (
    seq BIGINT PRIMARY KEY, at_ms BIGINT NOT NULL, inputs BIGINT NOT NULL, body TEXT NOT NULL, hash BYTEA NOT NULL
);
CREATE TABLE madang.blobs (name TEXT PRIMARY KEY, body BYTEA NOT NULL);

CREATE TABLE madang.jobs (
    id BIGINT PRIMARY KEY, "user" TEXT NOT NULL, project TEXT NOT NULL, array_id BIGINT, task BIGINT,
    submitted_ms BIGINT NOT NULL, ended_ms BIGINT NOT NULL, body TEXT NOT NULL
);
CREATE INDEX jobs_by_end ON madang.jobs (ended_ms);
CREATE INDEX jobs_by_project ON madang.jobs (project, id);
CREATE INDEX jobs_by_array ON madang.jobs (array_id, task) WHERE array_id IS NOT NULL;
-- What the engine had to say about the end of a run.
CREATE TABLE madang.notes (job BIGINT NOT NULL, attempt BIGINT NOT NULL, note TEXT NOT NULL, peak_mib BIGINT NOT NULL,
    cpu_ms BIGINT NOT NULL, PRIMARY KEY (job, attempt));
CREATE TABLE madang.ledger (id BIGINT PRIMARY KEY, project TEXT NOT NULL, at_ms BIGINT NOT NULL, body TEXT NOT NULL);
CREATE INDEX ledger_by_project ON madang.ledger (project, id);
-- GPU time spent by day, refunds taken off on the day they were given.
CREATE TABLE madang.burn (
    project TEXT NOT NULL, day_ms BIGINT NOT NULL, spent BIGINT NOT NULL, PRIMARY KEY (project, day_ms)
);
CREATE TABLE madang.anomalies (seq BIGINT NOT NULL, nth BIGINT NOT NULL, at_ms BIGINT NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (seq, nth));

-- A snapshot in pieces, of which the last is written last: one without it is not there.
CREATE TABLE madang.snapshots (seq BIGINT NOT NULL, piece BIGINT NOT NULL, last BIGINT NOT NULL, body BYTEA NOT NULL,
    PRIMARY KEY (seq, piece));
CREATE TABLE madang.passes (id BIGINT PRIMARY KEY, kind BIGINT NOT NULL, hash BYTEA NOT NULL UNIQUE, "user" TEXT NOT NULL,
    note TEXT NOT NULL, made_ms BIGINT NOT NULL, until_ms BIGINT NOT NULL);
