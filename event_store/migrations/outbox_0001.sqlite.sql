CREATE TABLE IF NOT EXISTS outbox_source (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    base TEXT NOT NULL,
    incarnation INTEGER NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS outbox_lane (
    id INTEGER PRIMARY KEY,
    topic TEXT NOT NULL,
    number INTEGER NOT NULL,
    next_sequence INTEGER NOT NULL DEFAULT 1,
    acknowledged INTEGER NOT NULL DEFAULT 0,
    acknowledged_offset INTEGER NOT NULL DEFAULT -1,
    failures INTEGER NOT NULL DEFAULT 0,
    retry_at_us INTEGER NOT NULL DEFAULT 0,
    error TEXT,
    UNIQUE (topic, number)
) STRICT;

CREATE TABLE IF NOT EXISTS outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    lane INTEGER NOT NULL REFERENCES outbox_lane (id),
    event_id TEXT NOT NULL,
    key TEXT NOT NULL,
    payload BLOB NOT NULL,
    recorded_at_us INTEGER NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS outbox_waiting (
    lane INTEGER NOT NULL,
    id INTEGER NOT NULL,
    PRIMARY KEY (lane, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS outbox_claimed (
    lane INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    id INTEGER NOT NULL,
    PRIMARY KEY (lane, sequence)
) STRICT, WITHOUT ROWID;

-- In files of an earlier version it names no columns, so that none could ever be added.
DROP TRIGGER IF EXISTS outbox_row_waits;

CREATE TRIGGER outbox_row_waits AFTER INSERT ON outbox
BEGIN INSERT INTO outbox_waiting (lane, id) VALUES (new.lane, new.id); END;

CREATE TABLE IF NOT EXISTS outbox_dead (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    lane INTEGER NOT NULL REFERENCES outbox_lane (id),
    sequence INTEGER NOT NULL,
    event_id TEXT NOT NULL,
    key TEXT NOT NULL,
    payload BLOB NOT NULL,
    reason TEXT NOT NULL,
    died_at_us INTEGER NOT NULL,
    redriven_at_us INTEGER
) STRICT;
