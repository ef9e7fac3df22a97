"""The last hour of the pipeline, minute by minute: what moved, what waited, and how late the figures were.

Nothing of it is stored. Whoever shows it takes looks at the pipeline, and what was before the first one nobody knows.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated

from msgspec import Meta, Struct

from event_store.backoff import sleep_unless
from event_store.errors import EventStoreError

from .pipeline_status import PipelineStatus

LASTS = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
EVERY_S = 15.0


class TrendMinute(Struct, frozen=True):
    """Rates are means of the minute, the others its highest. None is for what nobody knows."""

    at: Annotated[datetime, Meta(description="its beginning")]
    sent_per_s: float | None
    arrived_per_s: float | None
    counted_per_s: float | None
    waiting: Annotated[int, Meta(description="rows in the outbox")]
    to_count: Annotated[int, Meta(description="records in the log that were not counted yet")]
    lag_s: Annotated[float, Meta(description="how old the oldest of both was")]


@dataclass(frozen=True, slots=True)
class _Look:
    at: datetime
    generation: int
    sent: int
    arrived: int
    counted: int
    waiting: int
    to_count: int
    lag_s: float

    @property
    def minute(self) -> datetime:
        return self.at.replace(second=0, microsecond=0)


@dataclass(slots=True)
class PipelineTrend:
    """The looks of one process."""

    _looks: deque[_Look] = field(default_factory=deque)

    def note(self, status: PipelineStatus) -> None:
        self._looks.append(_look(status))
        while self._looks[0].at < status.asked_at - LASTS - MINUTE:
            self._looks.popleft()

    def minutes(self, now: datetime) -> list[TrendMinute]:
        """Those of the hour before `now` in which anybody looked, oldest first."""
        since = (now - LASTS).replace(second=0, microsecond=0)
        minutes: list[TrendMinute] = []
        before: _Look | None = None
        for looks in _by_minute(self._looks):
            if looks[0].minute >= since:
                minutes.append(_minute(before or looks[0], looks))
            before = looks[-1]
        return minutes


async def keep_looking(
    status: Callable[[], Awaitable[PipelineStatus]], trend: PipelineTrend, stop: asyncio.Event, every_s: float = EVERY_S
) -> None:
    """Until `stop` is set. Where the pipeline can't be looked at, that is a gap."""
    while not stop.is_set():
        with contextlib.suppress(EventStoreError):
            trend.note(await status())
        await sleep_unless(stop, every_s)


def _by_minute(looks: Sequence[_Look]) -> list[list[_Look]]:
    found: list[list[_Look]] = []
    for look in looks:
        if not found or found[-1][0].minute != look.minute:
            found.append([])
        found[-1].append(look)
    return found


def _minute(before: _Look, looks: Sequence[_Look]) -> TrendMinute:
    """`before` is the look before them, or the first of them."""
    last = looks[-1]
    took_s = (last.at - before.at).total_seconds()
    is_same = before.generation == last.generation
    return TrendMinute(
        at=last.minute,
        sent_per_s=_rate(before.sent, last.sent, took_s),
        arrived_per_s=_rate(before.arrived, last.arrived, took_s),
        counted_per_s=_rate(before.counted, last.counted, took_s) if is_same else None,
        waiting=max(one.waiting for one in looks),
        to_count=max(one.to_count for one in looks),
        lag_s=max(one.lag_s for one in looks),
    )


def _rate(before: int, now: int, took_s: float) -> float | None:
    """A number that fell is of another log or outbox."""
    return round((now - before) / took_s, 2) if took_s > 0 and now >= before else None


def _look(status: PipelineStatus) -> _Look:
    waited_s = [lane.oldest_waiting_s for lane in status.lanes if lane.waiting]
    lags_s = [one.lag_s for one in status.partitions if one.lag_s is not None]
    return _Look(
        status.asked_at,
        status.completeness.generation,
        sum(lane.sent for lane in status.lanes),
        sum(one.log_end for one in status.partitions),
        sum(one.position for one in status.partitions),
        status.waiting_rows,
        status.lag_events,
        max([*waited_s, *lags_s], default=0.0),
    )
