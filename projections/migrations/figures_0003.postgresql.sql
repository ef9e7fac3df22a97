CREATE TABLE IF NOT EXISTS dead_letter_decision (
    topic TEXT COLLATE "C" NOT NULL,
    number INTEGER NOT NULL,
    record_offset BIGINT NOT NULL,
    decision TEXT COLLATE "C" NOT NULL,
    who TEXT COLLATE "C" NOT NULL,
    at_us BIGINT NOT NULL,
    reason TEXT COLLATE "C" NOT NULL,
    event_id TEXT COLLATE "C",
    payload BYTEA,
    sent_at_us BIGINT,
    PRIMARY KEY (topic, number, record_offset)
);
