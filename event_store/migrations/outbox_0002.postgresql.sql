CREATE TABLE IF NOT EXISTS outbox_once (
    event_id TEXT COLLATE "C" PRIMARY KEY,
    written_at_us BIGINT NOT NULL
);
