"""What a process makes sure of before it works with the log.

A log in a file is made by whoever comes first, and waited for. A server must be there, let us in and have the topics,
and what was counted must still stand in them: else the process does not begin, and says what to do.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Protocol

from event_store.backoff import Backoff, sleep_unless
from event_store.errors import HistoryLost, LogUnusable, Stop, TransientError
from event_store.log_identity import check_counted
from event_store.record import TopicPartition
from event_store.topics import PARTITIONS, partitions_of, versions

from .stores import Stores
from .troubles import Troubles

PLACE = TopicPartition("log", -1)


class Report(Protocol):
    @property
    def troubles(self) -> Troubles: ...

    def failed(self, tp: TopicPartition, error: Exception, retry_in_s: float) -> None: ...


async def await_topics(stores: Stores, report: Report, stop: asyncio.Event) -> None:
    """Returns when the log has its topics, or `stop` is set. Raises LogUnusable."""
    await _patiently(partial(stores.topic_admin().require, PARTITIONS), report, stop)


async def await_lanes(stores: Stores, report: Report, stop: asyncio.Event) -> None:
    """The same for every version of a topic that rows of the outbox go to."""

    async def require() -> None:
        lanes = Counter(lane.tp.topic for lane in await stores.outbox().lanes())
        await stores.topic_admin().require(lanes)

    await _patiently(require, report, stop)


async def await_counted_log(stores: Stores, report: Report, stop: asyncio.Event) -> None:
    """Returns when all that was counted stands in the log, from offset zero on. Raises LogUnusable where it doesn't.

    Asks servers only: a log in a file forgets nothing, and of another file each partition says so for itself.
    """

    async def check() -> None:
        lost = await lost_history(stores)
        if lost:
            generation = await stores.read_model().serving()
            for tp, why in lost:
                await stores.read_model().note_stop(generation, tp, str(why))
            more = f" The same holds for {len(lost) - 1} more partitions." if len(lost) > 1 else ""
            raise LogUnusable(f"{lost[0][1]}{more}")

    if stores.log_is_served:
        await _patiently(check, report, stop)


async def lost_history(stores: Stores) -> Sequence[tuple[TopicPartition, Stop]]:
    """Partitions whose beginning is gone, or in which something else stands than was counted, and what to do.

    Raises TransientError.
    """
    (log, read_model) = (stores.log(), stores.read_model())
    generation = await read_model.serving()
    tps = set(partitions_of(versions(PARTITIONS, await log.topics())))
    counted = {one.tp for one in await read_model.progress(generation) if one.next_offset}
    lost: list[tuple[TopicPartition, Stop]] = []
    for tp in sorted(tps | counted):
        position = await read_model.position(generation, tp)
        try:
            if tp not in tps:
                raise HistoryLost(
                    f"{tp}: {position.next_offset} records were counted, and the log has no such partition. "
                    "Nothing was reset. Put the topic back as it was."
                )
            await stores.history().check(tp)
            await check_counted(log, tp, position.next_offset, position.last_fingerprint)
        except Stop as stop:
            lost.append((tp, stop))
    return lost


async def _patiently(step: Callable[[], Awaitable[None]], report: Report, stop: asyncio.Event) -> None:
    """Again and again while storage is away."""
    backoff = Backoff()
    failures = 0
    while not stop.is_set():
        try:
            await step()
        except TransientError as error:
            failures += 1
            wait_s = backoff.wait_s(failures)
            report.failed(PLACE, error, wait_s)
            await sleep_unless(stop, wait_s)
        else:
            report.troubles.over(str(PLACE))
            return
