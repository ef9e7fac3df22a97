"""The rows that a lane of a SQLite outbox sends next, for who holds its lease."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from . import sqlite_leases
from .outbox import ClaimedRow, Lane, lease_of
from .outbox_statements import SELECT_SOURCE
from .sqlite_outbox_statements import CLAIM, DRAW, SELECT_CLAIMED, SELECT_LANE, WAIT_NO_MORE


def next_rows(connection: sqlite3.Connection, lane: Lane, most: int) -> Sequence[ClaimedRow]:
    """None of them where the lane was lost."""
    if not sqlite_leases.is_current(connection, lease_of(lane.tp), lane.epoch) or lane.source != source_of(connection):
        return []
    (lane_id, next_sequence, acknowledged) = connection.execute(SELECT_LANE, lane.tp).fetchone()
    room = most - (next_sequence - 1 - acknowledged)
    if room > 0:
        _draw(connection, {"lane": lane_id, "next_sequence": next_sequence, "room": room})
    wanted = {"lane": lane_id, "acknowledged": acknowledged, "most": most}
    return list(map(ClaimedRow._make, connection.execute(SELECT_CLAIMED, wanted).fetchall()))


def source_of(connection: sqlite3.Connection) -> str:
    source: str = connection.execute(SELECT_SOURCE).fetchone()[0]
    return source


def _draw(connection: sqlite3.Connection, values: dict[str, int]) -> None:
    """Gives the lane's oldest waiting rows its next sequences."""
    drawn = connection.execute(CLAIM, values).rowcount
    if drawn:
        connection.execute(WAIT_NO_MORE, values)
        connection.execute(DRAW, {**values, "drawn": drawn})
