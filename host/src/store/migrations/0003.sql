-- A platform may edit or delete what was said before; a deleted message keeps its row, so that it is not
-- stored again, and nothing of its text.
ALTER TABLE messages ADD COLUMN edited_at INTEGER;
ALTER TABLE messages ADD COLUMN deleted_at INTEGER;

-- Whether the chat was told that the turn waits for long.
ALTER TABLE turns ADD COLUMN told INTEGER NOT NULL DEFAULT 0;

-- Whether the group's agent was told that what it said could not be delivered.
ALTER TABLE outbox ADD COLUMN told INTEGER NOT NULL DEFAULT 0;

-- A message that asks for the turn to be stopped: what was said up to it is no longer answered.
ALTER TABLE messages ADD COLUMN stops INTEGER NOT NULL DEFAULT 0;
CREATE INDEX messages_stopping ON messages (chat, seq) WHERE stops = 1;
UPDATE outbox SET told = 1 WHERE state = 'dead';
-- The turn that was handed the note of it and has not settled yet.
ALTER TABLE outbox ADD COLUMN told_by TEXT;
CREATE INDEX outbox_untold ON outbox (chat, id) WHERE state = 'dead' AND kind = 'reply' AND told = 0;

-- The first row of the text of which this is a later piece.
ALTER TABLE outbox ADD COLUMN part_of INTEGER;

-- A deletion may come from another person than the message.
CREATE INDEX messages_by_platform_id ON messages (platform_id, chat);
