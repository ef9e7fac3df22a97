"""The outbox in the commerce database, a PostgreSQL one.

`write` is for writers, inside the transaction that changes their state. Everything else is the relay's. Whoever
claims, acknowledges or begins anew first locks the rows of its lanes, in the order of their ids, and reads epochs and
source in a later statement: so what it then finds stays as it is until it has committed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from . import postgres_leases
from .codec import Draft
from .crash_points import NO_CRASH, CrashPoints
from .envelope import new_event_id
from .errors import StorageUnavailable
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
from .outbox_statements import COUNT_LANES, SELECT_DEAD, SELECT_SOURCE, SELECT_UNSENT, SELECT_WITH_WORK
from .postgres_claims import drawn, lock, next_rows
from .postgres_database import PostgresDatabase, columns_of, rows_changed, storable
from .postgres_outbox_statements import (
    ACKNOWLEDGE,
    BURY,
    CHANNEL,
    CLEAN,
    DELETE_SENT,
    INSERT_LANES,
    INSERT_ONCE,
    INSERT_ROWS,
    INSERT_SOURCE,
    LOCK_EVERY_LANE,
    NOTE_FAILURE,
    RECORD_DEAD,
    RESTART,
    SCHEMA,
    SELECT_IS_WRITTEN,
    SELECT_LANES,
    SELECT_NAMES,
    SELECT_ROWS_BETWEEN,
    SELECT_STATUS,
    WRITE_AGAIN,
)
from .record import TopicPartition
from .topics import newest_versions, partitions_of, remembered_partition_for

if TYPE_CHECKING:
    import asyncpg

    from .postgres_database import Connection

__all__ = ["SCHEMA", "PostgresOutbox", "is_written", "lane_status", "partitions", "prepare", "write"]

MOST_CONNECTIONS = 4
"""Enough to keep a server busy with crowded lanes. With more at once, each row takes longer on both sides."""
MAX_LANE_CHANGES = 10
"""How often lanes may be added while rows are written, before that is given up."""


async def prepare(connection: Connection, topics: Mapping[str, int]) -> None:
    """Makes the source and the lanes of `topics` (name → partitions) where they are missing."""
    present = await partitions(connection)
    if await connection.fetchval(SELECT_SOURCE) is None:
        await connection.execute(INSERT_SOURCE, f"/countinghouse/commerce/{new_event_id()}")
    missing = [tp for tp in partitions_of(topics) if tp.partition >= present.get(tp.topic, 0)]
    if missing:
        await connection.execute(INSERT_LANES, *columns_of(missing))


async def partitions(connection: Connection) -> dict[str, int]:
    """Topic → its number of lanes, as `write` wants it. Lanes are only ever added."""
    return {topic: count for topic, count in await connection.fetch(COUNT_LANES)}  # noqa: C416 - records, not pairs


async def write(connection: Connection, drafts: Sequence[Draft], lanes: dict[str, int]) -> int | None:
    """Writes one waiting row per draft. Call it in the transaction that changes the state the drafts speak of.

    `lanes` is what `partitions` said, and is brought up to date where there are more of them by now. Returns the id of
    one of the rows, for `is_written`. Raises UnknownTopic.
    """
    if not drafts:
        return None
    for _ in range(MAX_LANE_CHANGES):
        rows = [(*tp, draft.event_id, draft.key, draft.payload) for tp, draft in _placed(lanes, drafts)]
        row_id: int | None = await connection.fetchval(INSERT_ROWS, *columns_of(rows), sum(lanes.values()))
        if row_id is not None:
            return row_id
        found = await partitions(connection)
        lanes.clear()
        lanes |= found
    raise StorageUnavailable("the outbox gets new lanes faster than rows can be written to them")


async def is_written(connection: Connection, row_id: int, drafts: Sequence[Draft]) -> bool:
    """Whether a transaction that wrote the drafts, one of them as row `row_id`, was committed."""
    return bool(await connection.fetchval(SELECT_IS_WRITTEN, row_id, [draft.event_id for draft in drafts]))


def _placed(lanes: Mapping[str, int], drafts: Sequence[Draft]) -> Iterator[tuple[TopicPartition, Draft]]:
    """Each draft with its lane, in the newest version of its topic."""
    newest = newest_versions(lanes)
    for draft in drafts:
        topic = newest_for(draft, newest)
        yield TopicPartition(topic, remembered_partition_for(draft.key, lanes[topic])), draft


class PostgresOutbox:
    """The outbox in the database at `url`; `topics` are its lanes to make where they are missing."""

    def __init__(self, url: str, topics: Mapping[str, int], crash_points: CrashPoints = NO_CRASH) -> None:
        self._lanes: dict[str, int] = {}
        self._topics = topics
        self._database = PostgresDatabase(
            url,
            channel=CHANNEL,
            most_connections=MOST_CONNECTIONS,
            prepare=self._prepare,
            before_commit=lambda: crash_points.passing("outbox.before_commit"),
            after_commit=lambda: crash_points.passing("outbox.after_commit"),
        )

    async def _prepare(self, connection: Connection) -> None:
        await prepare(connection, self._topics)
        self._lanes = await partitions(connection)

    async def write(self, drafts: Sequence[Draft]) -> None:
        """`write` in a transaction of its own, for writers without other state."""
        await self._database.transaction(lambda connection: write(connection, drafts, self._lanes))

    async def write_once(self, draft: Draft) -> bool:
        async def once(connection: Connection) -> bool:
            is_new = rows_changed(await connection.execute(INSERT_ONCE, draft.event_id)) == 1
            if is_new:
                await write(connection, [draft], self._lanes)
            return is_new

        return await self._database.transaction(once)

    async def source(self) -> str:
        return await self._database.read(_source)

    async def hold_lanes(self, owner: str, ttl_s: float) -> Sequence[Lane]:
        async def hold(connection: Connection) -> list[Lane]:
            names = [lease_of(TopicPartition(*row)) for row in await connection.fetch(SELECT_NAMES)]
            held = await postgres_leases.take(connection, names, owner, ttl_s)
            epochs = {lease.name: lease.epoch for lease in held}
            lanes = [_lane(epochs, row) for row in await connection.fetch(SELECT_LANES)]
            return [lane for lane in lanes if lane is not None]

        return await self._database.transaction(hold)

    async def take_over(self, owner: str) -> None:
        await self._database.transaction(lambda c: c.execute(postgres_leases.TAKE_OVER, owner))

    async def release(self, owner: str) -> None:
        await self._database.transaction(lambda c: c.execute(postgres_leases.RELEASE, owner))

    async def claim(self, lanes: Sequence[Lane], most: int = MAX_PASS_ROWS) -> Sequence[ClaimedRows]:
        with_work = {TopicPartition(*row) for row in await self._database.rows(SELECT_WITH_WORK)}
        wanted = [lane for lane in lanes if lane.tp in with_work]
        if not wanted:
            return []
        return await self._database.transaction(partial(next_rows, lanes=wanted, most=most))

    async def acknowledge(self, acknowledgements: Sequence[Acknowledgement]) -> None:
        async def move(connection: Connection) -> None:
            last = {one.lane.tp: one for one in sorted(acknowledgements, key=lambda one: one.sequence)}
            locked = await lock(connection, [one.lane for one in last.values()])
            rows = [(locked[tp]["id"], one.sequence, one.offset) for tp, one in last.items() if tp in locked]
            if rows:
                await connection.execute(ACKNOWLEDGE, *columns_of(rows))

        if acknowledgements:
            await self._database.transaction(move)

    async def advance(self, done: Acknowledgement, most: int = MAX_PASS_ROWS) -> Sequence[ClaimedRow]:
        async def move(connection: Connection) -> Sequence[ClaimedRow]:
            for row in (await lock(connection, [done.lane])).values():
                await connection.execute(ACKNOWLEDGE, [row["id"]], [done.sequence], [done.offset])
                standing = (row["id"], row["next_sequence"], max(row["acknowledged"], done.sequence))
                return (await drawn(connection, [standing], most)).get(row["id"], [])
            return []

        return await self._database.transaction(move)

    async def note_failure(self, lane: Lane, error: str, retry_in_s: float) -> None:
        async def note(connection: Connection) -> None:
            for row in (await lock(connection, [lane])).values():
                await connection.execute(NOTE_FAILURE, row["id"], storable(error[:1000]), int(retry_in_s * 1e6))

        await self._database.transaction(note)

    async def bury(self, lane: Lane, sequence: int, reason: str, withheld: Draft) -> None:
        async def move(connection: Connection) -> None:
            for row in (await lock(connection, [lane])).values():
                await connection.execute(RECORD_DEAD, row["id"], sequence, storable(reason[:1000]))
                await connection.execute(BURY, row["id"], sequence, withheld.event_id, withheld.payload)

        await self._database.transaction(move)

    async def add_topic(self, topic: str, partitions: int) -> None:
        await self._database.transaction(lambda connection: prepare(connection, {topic: partitions}))

    async def rows_between(self, lane: Lane, first: int, last: int) -> Sequence[tuple[int, str]]:
        rows = await self._database.rows(SELECT_ROWS_BETWEEN, *lane.tp, first, last)
        return [(sequence, event_id) for sequence, event_id in rows]

    async def dead(self) -> Sequence[DeadRow]:
        rows = await self._database.rows(SELECT_DEAD)
        return [DeadRow(row[0], TopicPartition(row[1], row[2]), *row[3:]) for row in rows]

    async def redrive(self, ids: Sequence[int]) -> int:
        return rows_changed(await self._database.transaction(lambda c: c.execute(WRITE_AGAIN, list(ids))))

    async def clean(self, keep_s: float, most: int = 1000) -> int:
        keep_us = int(keep_s * 1e6)
        return rows_changed(await self._database.transaction(lambda c: c.execute(CLEAN, keep_us, most)))

    async def lanes(self) -> Sequence[LaneStatus]:
        return await self._database.read(lane_status)

    async def unsent_ids(self) -> Sequence[tuple[TopicPartition, str]]:
        rows = await self._database.rows(SELECT_UNSENT)
        return [(TopicPartition(topic, number), event_id) for topic, number, event_id in rows]

    async def reincarnate(self, already_sent: Sequence[str]) -> str:
        async def restart(connection: Connection) -> str:
            await connection.fetch(LOCK_EVERY_LANE)
            await connection.execute(DELETE_SENT, list(already_sent))
            await connection.execute(RESTART)
            return await _source(connection)

        return await self._database.transaction(restart)

    async def wait_for_news(self, timeout_s: float) -> bool:
        return await self._database.wait_for_news(timeout_s)

    async def close(self) -> None:
        await self._database.close()


async def lane_status(connection: Connection) -> Sequence[LaneStatus]:
    rows = await connection.fetch(SELECT_STATUS)
    return [LaneStatus(TopicPartition(row[0], row[1]), *row[2:]) for row in rows]


async def _source(connection: Connection) -> str:
    return str(await connection.fetchval(SELECT_SOURCE))


def _lane(epochs: Mapping[str, int], row: asyncpg.Record) -> Lane | None:
    (topic, number, source, next_sequence, acknowledged, acknowledged_offset, retry_us, failures) = row
    tp = TopicPartition(topic, number)
    epoch = epochs.get(lease_of(tp))
    if epoch is None:
        return None
    return Lane(tp, source, epoch, next_sequence, acknowledged, acknowledged_offset, max(0.0, retry_us / 1e6), failures)
