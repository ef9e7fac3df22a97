"""`countinghouse outbox dead | redrive | reincarnate`: what an operator does about rows that can't be sent."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from backoffice.instants import utc
from backoffice.pages.outbox import redriven
from backoffice.settings import Settings, process_name
from backoffice.sign_in.desk import opened_audit
from backoffice.stores import Stores
from event_store.audit import Entry
from event_store.crash_points import CrashPoints
from event_store.outbox import DeadRow
from event_store.reincarnation import Reincarnation, reincarnate


class NoSuchDeadRowError(Exception):
    """An id names no dead row that could be re-driven. The message names it."""


async def dead_rows(settings: Settings) -> Sequence[DeadRow]:
    async with Stores(settings) as stores:
        return await stores.outbox().dead()


def dead_table(rows: Sequence[DeadRow]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("id", "lane", "sequence", "event", "key", "died at", "re-driven at", "reason"):
        table.add_column(title, overflow="fold")
    for row in rows:
        died_at, redriven_at = utc(row.died_at_us), utc(row.redriven_at_us)
        table.add_row(
            str(row.id), str(row.tp), str(row.sequence), row.event_id, row.key, died_at, redriven_at, row.reason
        )
    return table


async def redrive(settings: Settings, ids: Sequence[int], entry: Entry) -> int:
    """Sends dead rows again as new rows; all that wait for it where `ids` is empty. Raises NoSuchDeadRowError.

    `entry` says who does it.
    """
    async with Stores(settings, CrashPoints.from_environment()) as stores:
        outbox = stores.outbox()
        waiting = {row.id for row in await outbox.dead() if row.redriven_at_us is None}
        unknown = sorted(set(ids) - waiting)
        if unknown:
            raise NoSuchDeadRowError(
                f"No dead row {unknown[0]} waits to be sent again; see `countinghouse outbox dead`. Nothing was done."
            )
        chosen = list(ids) or sorted(waiting)
        if chosen:
            async with opened_audit(settings.commerce_db_url) as audit:
                await audit.record(redriven(entry, chosen))
        return await outbox.redrive(chosen)


async def begin_incarnation(settings: Settings) -> Reincarnation:
    """After the commerce database was put back from an older copy. The relay must be stopped."""
    async with Stores(settings, CrashPoints.from_environment()) as stores:
        owner = process_name("reincarnation")
        return await reincarnate(stores.outbox(), stores.log(), stores.codec, owner, lease_ttl_s=settings.lease_ttl_s)
