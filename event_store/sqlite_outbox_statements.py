"""The SQL of the SQLite outbox, each statement by its name."""

from __future__ import annotations

from .outbox_statements import status_statement
from .sqlite_connection import NOW_US

SCHEMA = """
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
CREATE TRIGGER IF NOT EXISTS outbox_row_waits AFTER INSERT ON outbox
BEGIN INSERT INTO outbox_waiting (lane, id) VALUES (new.lane, new.id); END;
CREATE TABLE IF NOT EXISTS outbox_once (
    event_id TEXT PRIMARY KEY,
    written_at_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
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
"""

INSERT_SOURCE = "INSERT INTO outbox_source (one, base, incarnation) VALUES (1, ?, 1) ON CONFLICT DO NOTHING"
INSERT_LANE = "INSERT INTO outbox_lane (topic, number) VALUES (?, ?) ON CONFLICT DO NOTHING"
INSERT_ROW = "INSERT INTO outbox (lane, event_id, key, payload, recorded_at_us) VALUES (?, ?, ?, ?, ?)"
INSERT_ONCE = f"INSERT INTO outbox_once (event_id, written_at_us) VALUES (?, {NOW_US}) ON CONFLICT DO NOTHING"  # noqa: S608
SELECT_LANE_IDS = "SELECT id, topic FROM outbox_lane ORDER BY topic, number"
SELECT_LAST_LANE = "SELECT max(id) FROM outbox_lane"
SELECT_LANES = f"""
SELECT id, topic, number, next_sequence, acknowledged, acknowledged_offset, retry_at_us - {NOW_US}, failures
FROM outbox_lane
"""  # noqa: S608

SELECT_LANE = "SELECT id, next_sequence, acknowledged FROM outbox_lane WHERE topic = ? AND number = ?"
CLAIM = """
INSERT INTO outbox_claimed (lane, sequence, id)
SELECT lane, :next_sequence - 1 + row_number() OVER (ORDER BY id), id
FROM (SELECT lane, id FROM outbox_waiting WHERE lane = :lane ORDER BY id LIMIT :room)
"""
WAIT_NO_MORE = """
DELETE FROM outbox_waiting WHERE lane = :lane
    AND id <= (SELECT max(id) FROM outbox_claimed WHERE lane = :lane AND sequence >= :next_sequence)
"""
DRAW = "UPDATE outbox_lane SET next_sequence = next_sequence + :drawn WHERE id = :lane"
SELECT_CLAIMED = """
SELECT c.sequence, o.event_id, o.key, o.payload
FROM outbox_claimed AS c JOIN outbox AS o ON o.id = c.id
WHERE c.lane = :lane AND c.sequence > :acknowledged ORDER BY c.sequence LIMIT :most
"""
ACKNOWLEDGE = """
UPDATE outbox_lane
SET acknowledged = :sequence, acknowledged_offset = :offset, failures = 0, retry_at_us = 0, error = NULL
WHERE topic = :topic AND number = :number AND acknowledged < :sequence
    AND EXISTS (SELECT 1 FROM lease WHERE name = :lease AND epoch = :epoch)
    AND :source = (SELECT base || '/' || incarnation FROM outbox_source)
"""
NOTE_FAILURE = f"""
UPDATE outbox_lane SET failures = failures + 1, error = :error, retry_at_us = {NOW_US} + :retry_us
WHERE topic = :topic AND number = :number AND EXISTS (SELECT 1 FROM lease WHERE name = :lease AND epoch = :epoch)
"""  # noqa: S608
RECORD_DEAD = f"""
INSERT INTO outbox_dead (lane, sequence, event_id, key, payload, reason, died_at_us)
SELECT c.lane, c.sequence, o.event_id, o.key, o.payload, :reason, {NOW_US}
FROM outbox_lane AS l JOIN outbox_claimed AS c ON c.lane = l.id AND c.sequence = :sequence
JOIN outbox AS o ON o.id = c.id
WHERE l.topic = :topic AND l.number = :number AND c.sequence > l.acknowledged
"""  # noqa: S608
BURY = """
UPDATE outbox SET event_id = :event_id, payload = :payload
WHERE id = (
    SELECT c.id FROM outbox_lane AS l JOIN outbox_claimed AS c ON c.lane = l.id AND c.sequence = :sequence
    WHERE l.topic = :topic AND l.number = :number AND c.sequence > l.acknowledged)
"""
SELECT_ROWS_BETWEEN = """
SELECT c.sequence, o.event_id
FROM outbox_lane AS l JOIN outbox_claimed AS c ON c.lane = l.id JOIN outbox AS o ON o.id = c.id
WHERE l.topic = ? AND l.number = ? AND c.sequence BETWEEN ? AND ? ORDER BY c.sequence
"""
WRITE_AGAIN = """
INSERT INTO outbox (lane, event_id, key, payload, recorded_at_us)
SELECT lane, event_id, key, payload, :now_us FROM outbox_dead
WHERE redriven_at_us IS NULL AND id IN (SELECT value FROM json_each(:ids)) ORDER BY id
"""
MARK_REDRIVEN = """
UPDATE outbox_dead SET redriven_at_us = :now_us
WHERE redriven_at_us IS NULL AND id IN (SELECT value FROM json_each(:ids))
"""
SELECT_CLEANABLE = f"""
SELECT c.lane, c.sequence, c.id FROM outbox_lane AS l JOIN outbox_claimed AS c ON c.lane = l.id
    AND c.sequence < :most + (SELECT min(sequence) FROM outbox_claimed WHERE lane = l.id)
    AND c.sequence <= l.acknowledged
JOIN outbox AS o ON o.id = c.id
WHERE o.recorded_at_us <= {NOW_US} - :keep_us LIMIT :most
"""  # noqa: S608
DELETE_CLAIMED = "DELETE FROM outbox_claimed WHERE lane = ? AND sequence = ?"
DELETE_ROW = "DELETE FROM outbox WHERE id = ?"
SELECT_STATUS = status_statement(NOW_US)
DELETE_SENT = """
DELETE FROM outbox WHERE event_id IN (SELECT value FROM json_each(?)) OR id IN (
    SELECT c.id FROM outbox_lane AS l JOIN outbox_claimed AS c ON c.lane = l.id AND c.sequence <= l.acknowledged)
"""
WAIT_AGAIN = (
    "DELETE FROM outbox_claimed",
    "DELETE FROM outbox_waiting",
    "INSERT INTO outbox_waiting (lane, id) SELECT lane, id FROM outbox",
)
