-- A task: a prompt of a group and the times at which it is run.
CREATE TABLE tasks (
    id             TEXT PRIMARY KEY,
    group_id       TEXT NOT NULL,
    prompt         TEXT NOT NULL,
    schedule_type  TEXT NOT NULL,
    schedule_value TEXT NOT NULL,
    timezone       TEXT,                -- the task's own
    zone           TEXT NOT NULL,       -- the one in which next_run was reckoned
    context_mode   TEXT NOT NULL,
    misfire        TEXT NOT NULL,
    overlap        TEXT NOT NULL,
    jitter_seconds INTEGER NOT NULL,
    status         TEXT NOT NULL CHECK (status IN ('active', 'paused', 'completed', 'cancelled')),
    paused_because TEXT,
    anchor         INTEGER NOT NULL,    -- from where intervals count
    next_run       INTEGER,
    due_at         INTEGER,             -- next_run and its jitter
    failures       INTEGER NOT NULL,    -- in a row
    created_by     TEXT NOT NULL,
    created_at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX tasks_due ON tasks (due_at) WHERE status = 'active';
CREATE INDEX tasks_by_group ON tasks (group_id, status, paused_because, zone, timezone);

-- Each time for which a task was run, or was not and why. That no time runs twice is this table's key.
CREATE TABLE runs (
    task          TEXT NOT NULL,
    scheduled_for INTEGER NOT NULL,
    turn          TEXT,
    fired_at      INTEGER NOT NULL,
    started_at    INTEGER,
    ended_at      INTEGER,
    outcome       TEXT NOT NULL CHECK (outcome IN ('waiting', 'running', 'ok', 'failed', 'cancelled', 'skipped')),
    error         TEXT,
    result        TEXT,                 -- how what it said begins
    PRIMARY KEY (task, scheduled_for)
) STRICT, WITHOUT ROWID;
CREATE INDEX runs_open ON runs (task) WHERE outcome IN ('waiting', 'running');
CREATE UNIQUE INDEX runs_by_turn ON runs (turn) WHERE turn IS NOT NULL;

-- Files that agents dropped and what they were answered: one that is met again is not done again.
CREATE TABLE petitions (
    group_id    TEXT NOT NULL,
    folder      TEXT NOT NULL,
    file        TEXT NOT NULL,
    identity    TEXT NOT NULL,
    answer      TEXT NOT NULL,
    answered_at INTEGER NOT NULL,
    PRIMARY KEY (group_id, folder, file)
) STRICT, WITHOUT ROWID;
CREATE INDEX petitions_by_age ON petitions (answered_at);

-- A turn is for a range of messages or for one run of a task, which waits without having begun.
CREATE TABLE turns_of_either_kind (
    id                  TEXT PRIMARY KEY,
    group_id            TEXT NOT NULL,
    chat                TEXT NOT NULL,
    provider            TEXT,           -- of its last attempt
    first_seq           INTEGER,
    last_seq            INTEGER,
    task                TEXT,
    scheduled_for       INTEGER,
    state               TEXT NOT NULL CHECK (state IN ('waiting', 'running', 'settled', 'gave_up')),
    attempt             INTEGER NOT NULL,
    said                INTEGER NOT NULL DEFAULT 0,
    not_before          INTEGER,
    failure_code        TEXT,
    failure_message     TEXT,
    input_tokens        INTEGER NOT NULL DEFAULT 0,
    cached_input_tokens INTEGER NOT NULL DEFAULT 0,
    output_tokens       INTEGER NOT NULL DEFAULT 0,
    created_at          INTEGER NOT NULL,
    started_at          INTEGER,
    ended_at            INTEGER,
    CHECK ((task IS NULL) = (first_seq IS NOT NULL) AND (task IS NULL) = (scheduled_for IS NULL))
) STRICT;
INSERT INTO turns_of_either_kind
    SELECT id, group_id, chat, provider, first_seq, last_seq, NULL, NULL, state, attempt, said, not_before,
        failure_code, failure_message, input_tokens, cached_input_tokens, output_tokens, created_at, started_at, ended_at
    FROM turns;
DROP TABLE turns;
ALTER TABLE turns_of_either_kind RENAME TO turns;
CREATE UNIQUE INDEX turns_running ON turns (group_id) WHERE state = 'running';
CREATE INDEX turns_waiting ON turns (group_id, created_at) WHERE state = 'waiting';
CREATE INDEX turns_by_start ON turns (group_id, started_at);
