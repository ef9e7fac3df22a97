"""The outbox in the commerce database's SQLite file.

`write` is for writers, inside the transaction that changes their state. Everything else is the relay's. The state
of a row is never written back: it follows from its sequence and its lane's `acknowledged`.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from . import sqlite_leases
from .codec import Draft
from .crash_points import NO_CRASH, CrashPoints
from .envelope import new_event_id
from .outbox import (
    MAX_PASS_ROWS,
    Acknowledgement,
    ClaimedRow,
    ClaimedRows,
    DeadRow,
    Lane,
    LaneStatus,
    lease_of,
    newest_for,
)
from .outbox_statements import (
    COUNT_LANES,
    NEXT_INCARNATION,
    RESTART_LANES,
    SELECT_DEAD,
    SELECT_SOURCE,
    SELECT_UNSENT,
    SELECT_WITH_WORK,
)
from .record import TopicPartition
from .revisions import LEASES, OUTBOX
from .sqlite_claims import next_rows, source_of
from .sqlite_connection import Connection
from .sqlite_file import SqliteFile
from .sqlite_outbox_statements import (
    ACKNOWLEDGE,
    BURY,
    DELETE_CLAIMED,
    DELETE_ROW,
    DELETE_SENT,
    INSERT_LANE,
    INSERT_ONCE,
    INSERT_ROW,
    INSERT_SOURCE,
    MARK_REDRIVEN,
    NOTE_FAILURE,
    RECORD_DEAD,
    SCHEMA,
    SELECT_CLEANABLE,
    SELECT_LANE_IDS,
    SELECT_LANES,
    SELECT_LAST_LANE,
    SELECT_ROWS_BETWEEN,
    SELECT_STATUS,
    WAIT_AGAIN,
    WRITE_AGAIN,
)
from .sqlite_schema import open_tables
from .topics import newest_versions, partitions_of, remembered_partition_for

__all__ = ["SCHEMA", "SqliteOutbox", "prepare", "write"]


def prepare(connection: sqlite3.Connection, topics: Mapping[str, int]) -> None:
    """Makes the source and the lanes of `topics` (name → partitions) where they are missing."""
    connection.execute(INSERT_SOURCE, (f"/countinghouse/commerce/{new_event_id()}",))
    add_lanes(connection, topics)


def add_lanes(connection: sqlite3.Connection, topics: Mapping[str, int]) -> None:
    connection.executemany(INSERT_LANE, partitions_of(topics))


def _is_prepared(connection: sqlite3.Connection, topics: Mapping[str, int]) -> bool:
    lanes = dict(connection.execute(COUNT_LANES).fetchall())
    has_source = connection.execute(SELECT_SOURCE).fetchone() is not None
    return has_source and all(lanes.get(topic, 0) >= partitions for topic, partitions in topics.items())


def write(connection: sqlite3.Connection, drafts: Sequence[Draft]) -> None:
    """Writes one waiting row per draft. Call it in the transaction that changes the state the drafts speak of."""
    lanes = _lane_ids(connection)
    now_us = time.time_ns() // 1000
    rows = [(_lane_of(lanes, draft), draft.event_id, draft.key, draft.payload, now_us) for draft in drafts]
    if len(rows) == 1:
        connection.execute(INSERT_ROW, rows[0])
    else:
        connection.executemany(INSERT_ROW, rows)


def _lane_ids(connection: sqlite3.Connection) -> Mapping[str, Sequence[int]]:
    """Topic → lane ids of its newest version by partition. Lanes are only ever added, so a connection of ours

    remembers them until there are more.
    """
    memo = connection.memo if isinstance(connection, Connection) else {}
    (last,) = connection.execute(SELECT_LAST_LANE).fetchone()
    if memo.get("last lane") != last:
        lanes: dict[str, list[int]] = {}
        for lane_id, topic in connection.execute(SELECT_LANE_IDS):
            lanes.setdefault(topic, []).append(lane_id)
        memo["lanes"] = {topic: lanes[name] for topic, name in newest_versions(lanes).items()}
        memo["last lane"] = last
    known: Mapping[str, Sequence[int]] = memo["lanes"]
    return known


def _lane_of(lanes: Mapping[str, Sequence[int]], draft: Draft) -> int:
    ids = newest_for(draft, lanes)
    return ids[remembered_partition_for(draft.key, len(ids))]


class SqliteOutbox:
    """The outbox in the file at `path`; `topics` are its lanes to make where they are missing."""

    def __init__(self, path: Path, topics: Mapping[str, int], crash_points: CrashPoints = NO_CRASH) -> None:
        open_tables(
            path,
            {LEASES: sqlite_leases.SCHEMA, OUTBOX: SCHEMA},
            partial(prepare, topics=topics),
            is_done=partial(_is_prepared, topics=topics),
        )
        self._file = SqliteFile(
            path,
            before_commit=lambda: crash_points.passing("outbox.before_commit"),
            after_commit=lambda: crash_points.passing("outbox.after_commit"),
        )

    async def write(self, drafts: Sequence[Draft]) -> None:
        """`write` in a transaction of its own, for writers without other state."""
        await self._file.write(lambda connection: write(connection, drafts), grouped=True)

    async def write_once(self, draft: Draft) -> bool:
        def once(connection: sqlite3.Connection) -> bool:
            is_new = connection.execute(INSERT_ONCE, (draft.event_id,)).rowcount == 1
            if is_new:
                write(connection, [draft])
            return is_new

        return await self._file.write(once)

    async def source(self) -> str:
        return await self._file.read(source_of)

    async def hold_lanes(self, owner: str, ttl_s: float) -> Sequence[Lane]:
        def hold(connection: sqlite3.Connection) -> list[Lane]:
            rows = connection.execute(SELECT_LANES).fetchall()
            lanes = {lease_of(TopicPartition(row[1], row[2])): row for row in rows}
            held = sqlite_leases.take(connection, list(lanes), owner, ttl_s)
            source = source_of(connection)
            return [_lane(source, lease.epoch, lanes[lease.name]) for lease in held]

        return await self._file.write(hold)

    async def take_over(self, owner: str) -> None:
        await self._file.write(lambda c: c.execute(sqlite_leases.TAKE_OVER, (owner,)).rowcount)

    async def release(self, owner: str) -> None:
        await self._file.write(lambda c: c.execute(sqlite_leases.RELEASE, (owner,)).rowcount)

    async def claim(self, lanes: Sequence[Lane], most: int = MAX_PASS_ROWS) -> Sequence[ClaimedRows]:
        rows = await self._file.read(lambda connection: connection.execute(SELECT_WITH_WORK).fetchall())
        with_work = {TopicPartition(*row) for row in rows}
        wanted = [lane for lane in lanes if lane.tp in with_work]
        if not wanted:
            return []

        def draw(connection: sqlite3.Connection) -> list[ClaimedRows]:
            return [ClaimedRows(lane, next_rows(connection, lane, most)) for lane in wanted]

        return [one for one in await self._file.write(draw) if one.rows]

    async def acknowledge(self, acknowledgements: Sequence[Acknowledgement]) -> None:
        rows = [_values(one) for one in acknowledgements]
        await self._file.write(lambda connection: connection.executemany(ACKNOWLEDGE, rows).rowcount)

    async def advance(self, done: Acknowledgement, most: int = MAX_PASS_ROWS) -> Sequence[ClaimedRow]:
        def move(connection: sqlite3.Connection) -> Sequence[ClaimedRow]:
            connection.execute(ACKNOWLEDGE, _values(done))
            return next_rows(connection, done.lane, most)

        return await self._file.write(move)

    async def note_failure(self, lane: Lane, error: str, retry_in_s: float) -> None:
        values = {"topic": lane.tp.topic, "number": lane.tp.partition, "lease": lease_of(lane.tp)}
        values |= {"epoch": lane.epoch, "error": error[:1000], "retry_us": int(retry_in_s * 1e6)}
        await self._file.write(lambda connection: connection.execute(NOTE_FAILURE, values).rowcount)

    async def bury(self, lane: Lane, sequence: int, reason: str, withheld: Draft) -> None:
        values = {"topic": lane.tp.topic, "number": lane.tp.partition, "sequence": sequence, "reason": reason[:1000]}
        values |= {"event_id": withheld.event_id, "payload": withheld.payload}

        def move(connection: sqlite3.Connection) -> None:
            if sqlite_leases.is_current(connection, lease_of(lane.tp), lane.epoch):
                connection.execute(RECORD_DEAD, values)
                connection.execute(BURY, values)

        await self._file.write(move)

    async def add_topic(self, topic: str, partitions: int) -> None:
        await self._file.write(lambda connection: add_lanes(connection, {topic: partitions}))

    async def rows_between(self, lane: Lane, first: int, last: int) -> Sequence[tuple[int, str]]:
        values = (*lane.tp, first, last)
        return await self._file.read(lambda connection: connection.execute(SELECT_ROWS_BETWEEN, values).fetchall())

    async def dead(self) -> Sequence[DeadRow]:
        rows = await self._file.read(lambda connection: connection.execute(SELECT_DEAD).fetchall())
        return [DeadRow(row[0], TopicPartition(row[1], row[2]), *row[3:]) for row in rows]

    async def redrive(self, ids: Sequence[int]) -> int:
        def again(connection: sqlite3.Connection) -> int:
            wanted = {"ids": json.dumps(list(ids)), "now_us": time.time_ns() // 1000}
            written = connection.execute(WRITE_AGAIN, wanted).rowcount
            connection.execute(MARK_REDRIVEN, wanted)
            return written

        return await self._file.write(again)

    async def clean(self, keep_s: float, most: int = 1000) -> int:
        values = {"keep_us": int(keep_s * 1e6), "most": most}

        def delete(connection: sqlite3.Connection) -> int:
            rows = connection.execute(SELECT_CLEANABLE, values).fetchall()
            connection.executemany(DELETE_CLAIMED, [(lane, sequence) for lane, sequence, _ in rows])
            connection.executemany(DELETE_ROW, [(row_id,) for *_, row_id in rows])
            return len(rows)

        return await self._file.write(delete)

    async def lanes(self) -> Sequence[LaneStatus]:
        rows = await self._file.read(lambda connection: connection.execute(SELECT_STATUS).fetchall())
        return [LaneStatus(TopicPartition(row[0], row[1]), *row[2:]) for row in rows]

    async def unsent_ids(self) -> Sequence[tuple[TopicPartition, str]]:
        rows = await self._file.read(lambda connection: connection.execute(SELECT_UNSENT).fetchall())
        return [(TopicPartition(topic, number), event_id) for topic, number, event_id in rows]

    async def reincarnate(self, already_sent: Sequence[str]) -> str:
        def restart(connection: sqlite3.Connection) -> str:
            connection.execute(DELETE_SENT, (json.dumps(list(already_sent)),))
            for statement in WAIT_AGAIN:
                connection.execute(statement)
            connection.execute(RESTART_LANES)
            connection.execute(NEXT_INCARNATION)
            return source_of(connection)

        return await self._file.write(restart)

    async def wait_for_news(self, timeout_s: float) -> bool:
        return await self._file.wait_for_news(timeout_s)

    async def close(self) -> None:
        await self._file.close()


def _lane(source: str, epoch: int, row: tuple[int, str, int, int, int, int, int, int]) -> Lane:
    (_, topic, number, next_sequence, acknowledged, acknowledged_offset, retry_us, failures) = row
    tp = TopicPartition(topic, number)
    return Lane(tp, source, epoch, next_sequence, acknowledged, acknowledged_offset, max(0.0, retry_us / 1e6), failures)


def _values(done: Acknowledgement) -> dict[str, object]:
    lane = done.lane
    values = {"topic": lane.tp.topic, "number": lane.tp.partition, "lease": lease_of(lane.tp), "epoch": lane.epoch}
    return values | {"source": lane.source, "sequence": done.sequence, "offset": done.offset}
