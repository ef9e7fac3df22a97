"""The lanes of a PostgreSQL outbox, locked for who holds their leases, and the rows that they send next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from .outbox import ClaimedRow, ClaimedRows, Lane, lease_of
from .postgres_database import columns_of
from .postgres_outbox_statements import DRAW, LOCK_LANES, SELECT_CLAIMED, SHARE_EPOCHS
from .record import TopicPartition

if TYPE_CHECKING:
    import asyncpg

    from .postgres_database import Connection


async def lock(connection: Connection, lanes: Sequence[Lane]) -> dict[TopicPartition, asyncpg.Record]:
    """Locks the rows of the lanes and returns those that may be acted for: by their lease's epoch, and their source."""
    rows = await connection.fetch(LOCK_LANES, *columns_of(lane.tp for lane in lanes))
    leases = await connection.fetch(SHARE_EPOCHS, [lease_of(lane.tp) for lane in lanes])
    stand = {(row["name"], row["epoch"], row["source"]) for row in leases}
    mine = {lane.tp for lane in lanes if (lease_of(lane.tp), lane.epoch, lane.source) in stand}
    locked = {TopicPartition(row["topic"], row["number"]): row for row in rows}
    return {tp: row for tp, row in locked.items() if tp in mine}


async def next_rows(connection: Connection, lanes: Sequence[Lane], most: int) -> list[ClaimedRows]:
    locked = await lock(connection, lanes)
    standing = [(row["id"], row["next_sequence"], row["acknowledged"]) for row in locked.values()]
    rows = await drawn(connection, standing, most)
    ids = {tp: row["id"] for tp, row in locked.items()}
    return [ClaimedRows(lane, rows[ids[lane.tp]]) for lane in lanes if ids.get(lane.tp) in rows]


async def drawn(
    connection: Connection, standing: Sequence[tuple[int, int, int]], most: int
) -> Mapping[int, Sequence[ClaimedRow]]:
    """What each lane sends next, of lanes that are locked, by their ids.

    `standing` has their ids, the sequences that they draw next and those acknowledged last.
    """
    rooms = [(lane, next_, most - (next_ - 1 - acknowledged)) for lane, next_, acknowledged in standing]
    drawing = [one for one in rooms if one[2] > 0]
    new = await connection.fetch(DRAW, *columns_of(drawing)) if drawing else []
    # Lanes that stood still with rows on their way: theirs begin with those.
    still = {lane: acknowledged for lane, next_, acknowledged in standing if acknowledged < next_ - 1}
    older = await connection.fetch(SELECT_CLAIMED, *columns_of(still.items()), most) if still else []
    claimed = [*(row for row in new if row["lane"] not in still), *older]
    return {lane: [ClaimedRow(*row[1:]) for row in group] for lane, group in groupby(claimed, lambda row: row["lane"])}
