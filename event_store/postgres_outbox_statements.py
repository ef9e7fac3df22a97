"""The SQL of the PostgreSQL outbox, each statement by its name.

Rows become visible in the order of commits, not of ids: a row with a smaller id may appear after a larger one was
claimed. So a claim takes whatever waits, and takes away exactly what it took.
"""

from __future__ import annotations

from .outbox_statements import NEXT_INCARNATION, RESTART_LANES, SELECT_SOURCE, status_statement
from .postgres_database import NOW_US

CHANNEL = "countinghouse_outbox"

SCHEMA = f"""
CREATE TABLE IF NOT EXISTS outbox_source (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    base TEXT NOT NULL,
    incarnation BIGINT NOT NULL
);
CREATE TABLE IF NOT EXISTS outbox_lane (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic TEXT COLLATE "C" NOT NULL,
    number INTEGER NOT NULL,
    next_sequence BIGINT NOT NULL DEFAULT 1,
    acknowledged BIGINT NOT NULL DEFAULT 0,
    acknowledged_offset BIGINT NOT NULL DEFAULT -1,
    failures INTEGER NOT NULL DEFAULT 0,
    retry_at_us BIGINT NOT NULL DEFAULT 0,
    error TEXT,
    UNIQUE (topic, number)
) WITH (fillfactor = 50);
-- No foreign key to the lane: it would lock the lane's row from every insert to its COMMIT, and with it the relay.
CREATE TABLE IF NOT EXISTS outbox (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    lane BIGINT NOT NULL,
    event_id TEXT NOT NULL,
    key TEXT NOT NULL,
    payload BYTEA NOT NULL,
    recorded_at_us BIGINT NOT NULL
);
CREATE TABLE IF NOT EXISTS outbox_waiting (
    lane BIGINT NOT NULL,
    id BIGINT NOT NULL,
    PRIMARY KEY (lane, id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
CREATE TABLE IF NOT EXISTS outbox_claimed (
    lane BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    id BIGINT NOT NULL,
    PRIMARY KEY (lane, sequence)
);
CREATE TABLE IF NOT EXISTS outbox_once (
    event_id TEXT COLLATE "C" PRIMARY KEY,
    written_at_us BIGINT NOT NULL
);
CREATE TABLE IF NOT EXISTS outbox_dead (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    lane BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    event_id TEXT NOT NULL,
    key TEXT NOT NULL,
    payload BYTEA NOT NULL,
    reason TEXT NOT NULL,
    died_at_us BIGINT NOT NULL,
    redriven_at_us BIGINT
);
CREATE OR REPLACE FUNCTION outbox_rows_wait() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    INSERT INTO outbox_waiting (lane, id) SELECT lane, id FROM written;
    IF FOUND THEN
        PERFORM pg_notify('{CHANNEL}', '');
    END IF;
    RETURN NULL;
END $body$;
CREATE OR REPLACE TRIGGER outbox_rows_wait AFTER INSERT ON outbox
REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION outbox_rows_wait();
"""  # noqa: S608

INSERT_SOURCE = "INSERT INTO outbox_source (one, base, incarnation) VALUES (1, $1, 1) ON CONFLICT DO NOTHING"
INSERT_LANES = """
INSERT INTO outbox_lane (topic, number) SELECT topic, number FROM unnest($1::text[], $2::bigint[]) AS w (topic, number)
ORDER BY topic COLLATE "C", number ON CONFLICT DO NOTHING
"""
INSERT_ROWS = f"""
INSERT INTO outbox (lane, event_id, key, payload, recorded_at_us)
SELECT l.id, w.event_id, w.key, w.payload, {NOW_US}
FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::bytea[]) WITH ORDINALITY
    AS w (topic, number, event_id, key, payload, place)
JOIN outbox_lane AS l ON l.topic = w.topic AND l.number = w.number
WHERE (SELECT count(*) FROM outbox_lane) = $6 ORDER BY w.place RETURNING id
"""  # noqa: S608
INSERT_ONCE = f"INSERT INTO outbox_once (event_id, written_at_us) VALUES ($1, {NOW_US}) ON CONFLICT DO NOTHING"  # noqa: S608
SELECT_IS_WRITTEN = "SELECT EXISTS (SELECT 1 FROM outbox WHERE id = $1 AND event_id = ANY($2::text[]))"
SELECT_NAMES = "SELECT topic, number FROM outbox_lane"
SELECT_LANES = f"""
SELECT l.topic, l.number, s.base || '/' || s.incarnation AS source, l.next_sequence, l.acknowledged,
    l.acknowledged_offset, l.retry_at_us - {NOW_US} AS retry_us, l.failures
FROM outbox_lane AS l CROSS JOIN outbox_source AS s ORDER BY l.topic, l.number
"""  # noqa: S608

LOCK_LANES = """
SELECT l.id, l.topic, l.number, l.next_sequence, l.acknowledged
FROM outbox_lane AS l JOIN unnest($1::text[], $2::bigint[]) AS w (topic, number) USING (topic, number)
ORDER BY l.id FOR UPDATE OF l
"""
SHARE_EPOCHS = f"""
SELECT name, epoch, ({SELECT_SOURCE}) AS source FROM lease WHERE name = ANY($1::text[]) ORDER BY name FOR SHARE
"""  # noqa: S608
"""Nobody takes any of these leases before the transaction has ended."""
LOCK_EVERY_LANE = "SELECT id FROM outbox_lane ORDER BY id FOR UPDATE"
DRAW = """
WITH chosen AS MATERIALIZED (
    SELECT r.lane, w.id, w.place,
        r.next_sequence - 1 + row_number() OVER (PARTITION BY r.lane ORDER BY w.id) AS sequence
    FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS r (lane, next_sequence, room)
    CROSS JOIN LATERAL (
        SELECT id, ctid AS place FROM outbox_waiting WHERE lane = r.lane ORDER BY id LIMIT r.room) AS w),
taken AS (DELETE FROM outbox_waiting WHERE ctid = ANY (ARRAY(SELECT place FROM chosen))),
placed AS (INSERT INTO outbox_claimed (lane, sequence, id) SELECT lane, sequence, id FROM chosen),
moved AS (
    UPDATE outbox_lane AS l SET next_sequence = l.next_sequence + d.drawn
    FROM (SELECT lane, count(*) AS drawn FROM chosen GROUP BY lane) AS d WHERE l.id = d.lane)
SELECT c.lane, c.sequence, o.event_id, o.key, o.payload
FROM chosen AS c
CROSS JOIN LATERAL (SELECT event_id, key, payload FROM outbox WHERE id = c.id LIMIT 1) AS o ORDER BY c.lane, c.id
"""
"""Waiting rows are taken away by their places, which nobody changes who hasn't locked their lanes: found by their

names, as the planner does it, they cost a look at all that wait. For the same reason each row is fetched by its number.
"""
SELECT_CLAIMED = """
SELECT l.lane, c.sequence, o.event_id, o.key, o.payload
FROM unnest($1::bigint[], $2::bigint[]) AS l (lane, acknowledged)
CROSS JOIN LATERAL (
    SELECT sequence, id FROM outbox_claimed WHERE lane = l.lane AND sequence > l.acknowledged
    ORDER BY sequence LIMIT $3) AS c
JOIN outbox AS o ON o.id = c.id ORDER BY l.lane, c.sequence
"""
ACKNOWLEDGE = """
UPDATE outbox_lane AS l
SET acknowledged = a.sequence, acknowledged_offset = a.last_offset, failures = 0, retry_at_us = 0, error = NULL
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS a (lane, sequence, last_offset)
WHERE l.id = a.lane AND l.acknowledged < a.sequence
"""
NOTE_FAILURE = f"""
UPDATE outbox_lane SET failures = failures + 1, error = $2, retry_at_us = {NOW_US} + $3 WHERE id = $1
"""  # noqa: S608
RECORD_DEAD = f"""
INSERT INTO outbox_dead (lane, sequence, event_id, key, payload, reason, died_at_us)
SELECT c.lane, c.sequence, o.event_id, o.key, o.payload, $3, {NOW_US}
FROM outbox_lane AS l JOIN outbox_claimed AS c ON c.lane = l.id AND c.sequence = $2 JOIN outbox AS o ON o.id = c.id
WHERE l.id = $1 AND c.sequence > l.acknowledged
"""  # noqa: S608
BURY = """
UPDATE outbox AS o SET event_id = $3, payload = $4 FROM outbox_lane AS l, outbox_claimed AS c
WHERE l.id = $1 AND c.lane = l.id AND c.sequence = $2 AND c.sequence > l.acknowledged AND o.id = c.id
"""
SELECT_ROWS_BETWEEN = """
SELECT c.sequence, o.event_id
FROM outbox_lane AS l JOIN outbox_claimed AS c ON c.lane = l.id JOIN outbox AS o ON o.id = c.id
WHERE l.topic = $1 AND l.number = $2 AND c.sequence BETWEEN $3 AND $4 ORDER BY c.sequence
"""
WRITE_AGAIN = f"""
WITH again AS (
    UPDATE outbox_dead SET redriven_at_us = {NOW_US} WHERE redriven_at_us IS NULL AND id = ANY($1::bigint[])
    RETURNING id, lane, event_id, key, payload)
INSERT INTO outbox (lane, event_id, key, payload, recorded_at_us)
SELECT lane, event_id, key, payload, {NOW_US} FROM again ORDER BY id
"""  # noqa: S608
CLEAN = f"""
WITH old AS (
    SELECT c.lane, c.sequence, c.id FROM outbox_lane AS l
    CROSS JOIN LATERAL (
        SELECT lane, sequence, id FROM outbox_claimed WHERE lane = l.id AND sequence <= l.acknowledged
        ORDER BY sequence LIMIT $2 FOR UPDATE SKIP LOCKED) AS c
    JOIN outbox AS o ON o.id = c.id
    WHERE o.recorded_at_us <= {NOW_US} - $1::bigint LIMIT $2),
gone AS (
    DELETE FROM outbox_claimed AS c USING old WHERE c.lane = old.lane AND c.sequence = old.sequence RETURNING c.id)
DELETE FROM outbox AS o USING gone WHERE o.id = gone.id
"""  # noqa: S608
SELECT_STATUS = status_statement(NOW_US)
DELETE_SENT = """
DELETE FROM outbox WHERE event_id = ANY($1::text[]) OR id IN (
    SELECT c.id FROM outbox_lane AS l JOIN outbox_claimed AS c ON c.lane = l.id AND c.sequence <= l.acknowledged)
"""
RESTART = f"""
DELETE FROM outbox_claimed;
DELETE FROM outbox_waiting WHERE NOT EXISTS (SELECT 1 FROM outbox AS o WHERE o.id = outbox_waiting.id);
INSERT INTO outbox_waiting (lane, id) SELECT lane, id FROM outbox ON CONFLICT DO NOTHING;
{RESTART_LANES};
{NEXT_INCARNATION};
SELECT pg_notify('{CHANNEL}', '')
"""  # noqa: S608
"""Writers may go on meanwhile: a row that commits between two of these statements waits already, by its trigger."""
