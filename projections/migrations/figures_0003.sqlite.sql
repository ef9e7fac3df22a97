CREATE TABLE IF NOT EXISTS dead_letter_decision (
    topic TEXT NOT NULL,
    number INTEGER NOT NULL,
    record_offset INTEGER NOT NULL,
    decision TEXT NOT NULL,
    who TEXT NOT NULL,
    at_us INTEGER NOT NULL,
    reason TEXT NOT NULL,
    event_id TEXT,
    payload BLOB,
    sent_at_us INTEGER,
    PRIMARY KEY (topic, number, record_offset)
) STRICT;
