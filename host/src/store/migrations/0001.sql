-- Times are milliseconds since the Unix epoch, UTC.

-- Every chat that a channel introduced, registered or not. No text is kept here.
CREATE TABLE chats (
    chat             TEXT PRIMARY KEY,
    channel          TEXT NOT NULL,
    name             TEXT NOT NULL,
    is_group         INTEGER NOT NULL,
    last_activity_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Messages of registered chats. `seq` is the host's own sequence: platforms' times repeat, this does not.
CREATE TABLE messages (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    chat        TEXT NOT NULL,
    sender      TEXT NOT NULL,
    platform_id TEXT NOT NULL,
    sender_name TEXT NOT NULL,
    text        TEXT NOT NULL,
    reply_to    TEXT,
    sent_at     INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    route       TEXT NOT NULL,
    wakes       INTEGER NOT NULL,
    turn        TEXT,
    UNIQUE (chat, sender, platform_id)
) STRICT;
CREATE INDEX messages_by_chat ON messages (chat, seq);
CREATE INDEX messages_waking ON messages (chat, seq) WHERE wakes = 1;

-- Up to which message a group's turns have ended.
CREATE TABLE cursors (
    group_id    TEXT PRIMARY KEY,
    settled_seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE turns (
    id                  TEXT PRIMARY KEY,
    group_id            TEXT NOT NULL,
    chat                TEXT NOT NULL,
    provider            TEXT NOT NULL,
    first_seq           INTEGER NOT NULL,
    last_seq            INTEGER NOT NULL,
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
    started_at          INTEGER NOT NULL,
    ended_at            INTEGER
) STRICT;
CREATE UNIQUE INDEX turns_running ON turns (group_id) WHERE state = 'running';
CREATE INDEX turns_waiting ON turns (group_id, created_at) WHERE state = 'waiting';

CREATE TABLE outbox (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    message_id TEXT NOT NULL UNIQUE,
    chat       TEXT NOT NULL,
    turn       TEXT,
    kind       TEXT NOT NULL CHECK (kind IN ('reply', 'notice')),
    text       TEXT NOT NULL,
    reply_to   TEXT,
    state      TEXT NOT NULL CHECK (state IN ('pending', 'sent', 'dead')),
    attempts   INTEGER NOT NULL DEFAULT 0,
    not_before INTEGER,
    error      TEXT,
    created_at INTEGER NOT NULL,
    ended_at   INTEGER
) STRICT;
CREATE INDEX outbox_pending ON outbox (chat, id) WHERE state = 'pending';
CREATE INDEX outbox_dead ON outbox (id) WHERE state = 'dead';
CREATE INDEX outbox_by_turn ON outbox (turn) WHERE turn IS NOT NULL;

-- The conversation that a provider keeps for a group.
CREATE TABLE sessions (
    group_id   TEXT NOT NULL,
    provider   TEXT NOT NULL,
    session    TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (group_id, provider)
) STRICT, WITHOUT ROWID;
