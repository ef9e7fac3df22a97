"""The outbox's SQL that is the same in every database, each statement by its name.

The tables are made by each back end's own statements, with the same columns.
"""

from __future__ import annotations

SELECT_SOURCE = "SELECT base || '/' || incarnation FROM outbox_source"
COUNT_LANES = "SELECT topic, count(*) FROM outbox_lane GROUP BY topic"
SELECT_WITH_WORK = """
SELECT topic, number FROM outbox_lane AS l
WHERE next_sequence > acknowledged + 1
    OR (SELECT id FROM outbox_waiting WHERE lane = l.id ORDER BY id LIMIT 1) IS NOT NULL
"""
"""For EXISTS, PostgreSQL may read all that wait into a table of its own."""
SELECT_DEAD = """
SELECT d.id, l.topic, l.number, d.sequence, d.event_id, d.key, d.payload, d.reason, d.died_at_us, d.redriven_at_us
FROM outbox_dead AS d JOIN outbox_lane AS l ON l.id = d.lane ORDER BY d.id
"""
SELECT_UNSENT = """
SELECT l.topic, l.number, o.event_id FROM outbox_lane AS l
JOIN outbox_waiting AS w ON w.lane = l.id JOIN outbox AS o ON o.id = w.id
UNION ALL
SELECT l.topic, l.number, o.event_id FROM outbox_lane AS l
JOIN outbox_claimed AS c ON c.lane = l.id AND c.sequence > l.acknowledged JOIN outbox AS o ON o.id = c.id
"""
RESTART_LANES = """
UPDATE outbox_lane SET next_sequence = 1, acknowledged = 0, acknowledged_offset = -1,
    failures = 0, retry_at_us = 0, error = NULL
"""
NEXT_INCARNATION = "UPDATE outbox_source SET incarnation = incarnation + 1"


def status_statement(now_us: str) -> str:
    """Each lane's `LaneStatus`; `now_us` is SQL for the database's clock."""
    return f"""
        SELECT l.topic, l.number, (SELECT base || '/' || incarnation FROM outbox_source),
            (SELECT count(*) FROM outbox_waiting WHERE lane = l.id),
            CASE WHEN l.failures > 0 THEN 0 ELSE l.next_sequence - 1 - l.acknowledged END,
            CASE WHEN l.failures > 0 THEN l.next_sequence - 1 - l.acknowledged ELSE 0 END,
            l.acknowledged,
            (SELECT count(*) FROM outbox_dead AS d WHERE d.lane = l.id AND d.redriven_at_us IS NULL),
            coalesce(
                (SELECT o.recorded_at_us FROM outbox_claimed AS c JOIN outbox AS o ON o.id = c.id
                 WHERE c.lane = l.id AND c.sequence = l.acknowledged + 1),
                (SELECT o.recorded_at_us FROM outbox_waiting AS w JOIN outbox AS o ON o.id = w.id
                 WHERE w.lane = l.id ORDER BY w.id LIMIT 1)),
            l.failures, l.error,
            (SELECT owner FROM lease WHERE name = 'lane/' || l.topic || '/' || l.number AND expires_at_us > {now_us})
        FROM outbox_lane AS l ORDER BY l.topic, l.number
    """  # noqa: S608
