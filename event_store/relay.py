"""The relay: outbox to log, lane by lane, in sequence order, past nothing that isn't acknowledged.

It claims the next rows of every lane that is not being sent, appends each lane's rows in one call, and moves the lanes
whose rows have arrived forward in one transaction, while the others are on their way. A lane of which more waits than
goes at once does the same by itself. What can go wrong between these steps ends in the same rows going again with the
same sequences, which the reader drops.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from . import interpreter
from .backoff import STOP_TIMEOUT_S, Backoff, dropped, ends_in_time, first_of, sleep_unless
from .codec import Codec
from .crash_points import NO_CRASH, CrashPoints
from .envelope import stamper
from .errors import LogUnavailable, RecordRefused, TransientError, UnknownTopic
from .events import RecordWithheld
from .gather_time import GatherTime
from .held_lanes import HeldLanes
from .log import Log
from .outbox import MAX_PASS_ROWS, Acknowledgement, ClaimedRow, ClaimedRows, Lane, Outbox
from .pause_watch import NeverPaused, PauseWatch
from .record import Record, TopicPartition
from .relay_observer import RelayObserver


@dataclass(frozen=True, slots=True)
class RelaySettings:
    owner: str
    """Names this relay's leases; unique among relays that run at the same time."""
    lease_ttl_s: float = 15.0
    renew_s: float = 5.0
    poll_s: float = 1.0
    """How long at most a waiting row goes unseen when no hint arrives."""
    max_pass_rows: int = MAX_PASS_ROWS
    keep_sent_s: float = 7 * 86_400.0
    clean_every_s: float = 60.0
    stop_timeout_s: float = STOP_TIMEOUT_S
    """How long all that is in flight may take to end, the leases given back included."""


@dataclass(frozen=True, slots=True)
class _Sending:
    """A lane's rows on their way."""

    rows: int
    """That set out first; where they were as many as may, the lane goes on by itself when they have arrived."""
    task: asyncio.Task[Acknowledgement | None]


@dataclass(slots=True)
class Relay:
    outbox: Outbox
    log: Log
    codec: Codec
    settings: RelaySettings
    observer: RelayObserver
    backoff: Backoff = field(default_factory=Backoff)
    crash_points: CrashPoints = NO_CRASH
    pause: PauseWatch = field(default_factory=NeverPaused)
    clock: Callable[[], float] = time.monotonic
    """Seconds, for this process's own intervals; leases live by the database's clock."""
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _held: HeldLanes = field(init=False)
    _sending: dict[TopicPartition, _Sending] = field(default_factory=dict)
    _arrived_rows: int = 0
    _clean_at: float = float("-inf")
    _gather: GatherTime = field(default_factory=GatherTime)
    _resumed_at: float = float("-inf")

    def __post_init__(self) -> None:
        (owner, ttl_s, renew_s) = (self.settings.owner, self.settings.lease_ttl_s, self.settings.renew_s)
        self._held = HeldLanes(
            self.outbox, self.log, self.codec, self.observer, owner, ttl_s, renew_s, clock=self.clock
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Relays until `stop` is set, then gives its leases back, in `stop_timeout_s` all together.

        Storage that fails is tried again for ever.
        """
        interpreter.made_for_batches()
        async with self.pause.watched():
            await ends_in_time(self._relay_until(stop), stop, self.settings.stop_timeout_s)

    async def _relay_until(self, stop: asyncio.Event) -> None:
        failures = 0
        await self._patiently(self.outbox.take_over(self.settings.owner))
        try:
            while not stop.is_set():
                try:
                    await self._go_on(stop)
                    failures = 0
                except TransientError as error:
                    failures += 1
                    self._held.look_again()  # A database that was away may have come back as an older copy.
                    wait_s = self.backoff.wait_s(failures)
                    self.observer.failed(TopicPartition("outbox", -1), error, wait_s)
                    await sleep_unless(stop, wait_s)
            await self._patiently(self._settled())
        finally:
            await self._drop()
        await self._patiently(self.outbox.release(self.settings.owner))

    async def pass_once(self) -> int:
        """One pass over all lanes, to the end of each; returns how many rows the log acknowledged."""
        (stop, before) = (asyncio.Event(), self._arrived_rows)
        stop.set()
        try:
            await self._begin(stop)
            await self._settled()
        finally:
            await self._drop()
        return self._arrived_rows - before

    async def _go_on(self, stop: asyncio.Event) -> None:
        """Until a lane's rows have arrived, or something is due."""
        await self._begin(stop)
        together = [one.rows for one in self._sending.values() if one.rows < self.settings.max_pass_rows]
        if together:
            # One that takes long holds up no other.
            await self._some_end(asyncio.FIRST_COMPLETED, self.settings.poll_s)
            self._gather.took(self.clock() - self._resumed_at)
        else:
            await self._wait(stop)
        if self._sending and sum(together) < self.settings.max_pass_rows:
            await sleep_unless(stop, self._gather.seconds)
        self._resumed_at = self.clock()
        await self._acknowledge()

    async def _begin(self, stop: asyncio.Event) -> None:
        """Puts on its way what waits in lanes of which nothing is, unless an operator holds it there."""
        await self._held.renew(self._sending)
        lanes = self._held.to_send(self._sending)
        claimed = [] if self.pause.is_paused else await self.outbox.claim(lanes, self.settings.max_pass_rows)
        if claimed:
            self.crash_points.passing("relay.after_claim")
        elif not self._sending:
            await self._clean()
        for rows in claimed:
            self._sending[rows.lane.tp] = _Sending(len(rows.rows), asyncio.create_task(self._carry(rows, stop)))

    async def _carry(self, rows: ClaimedRows, stop: asyncio.Event) -> Acknowledgement | None:
        """Sends the rows and, while the lane is crowded, the next: so one lane is claimed while another is sent."""
        while True:
            done = await self._send(rows)
            lane = self._held.as_it_stands(rows.lane)
            if done is None or lane is None or len(rows.rows) < self.settings.max_pass_rows:
                return done
            if stop.is_set() or self.pause.is_paused:
                return done
            self.crash_points.passing("relay.after_append")
            rows = ClaimedRows(lane, await self.outbox.advance(done, self.settings.max_pass_rows))
            self.crash_points.passing("relay.after_acknowledge")
            if not rows.rows:
                return None
            self.crash_points.passing("relay.after_claim")

    async def _settled(self) -> None:
        """Returns when nothing is on its way."""
        await self._some_end(asyncio.ALL_COMPLETED)
        await self._acknowledge()

    async def _some_end(self, which: str, timeout_s: float | None = None) -> None:
        if self._sending:
            tasks = [one.task for one in self._sending.values()]
            await asyncio.wait(tasks, timeout=timeout_s, return_when=which)

    async def _acknowledge(self) -> None:
        """Moves the lanes forward whose rows have arrived. Raises what else ended a lane."""
        ended = {tp: one.task for tp, one in self._sending.items() if one.task.done()}
        if not ended:
            return
        self.crash_points.passing("relay.after_append")
        for tp in ended:
            del self._sending[tp]
        results = [task.exception() or task.result() for task in ended.values()]
        done = [one for one in results if isinstance(one, Acknowledgement)]
        if done:
            await self.outbox.acknowledge(done)
        self.crash_points.passing("relay.after_acknowledge")
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _drop(self) -> None:
        await dropped([one.task for one in self._sending.values()])
        self._sending.clear()

    async def _send(self, claimed: ClaimedRows) -> Acknowledgement | None:
        lane = claimed.lane
        stamped = stamper(lane.source)
        records = [Record(row.key.encode(), stamped(row.payload, row.sequence)) for row in claimed.rows]
        started_s = self.clock()
        try:
            offset = await self.log.append(lane.tp, records)
        except RecordRefused as refusal:
            await self._bury(lane, claimed.rows[refusal.index], str(refusal))
            return None
        except (LogUnavailable, UnknownTopic) as error:
            await self._held.failed(lane, error, self.backoff.wait_s(lane.failures + 1))
            return None
        done = self._held.moved(claimed, offset)
        if done is not None:
            self._arrived_rows += len(records)
            self.observer.published(lane.tp, claimed.rows, self.clock() - started_s)
        return done

    async def _bury(self, lane: Lane, row: ClaimedRow, reason: str) -> None:
        """The lane keeps its sequence and says what is missing from it, so that it can go on without a hole."""
        kind = self.codec.type_of_row(row.payload)
        withheld = RecordWithheld(event_id=row.event_id[:64], event_type=kind[:64], reason=reason)
        await self.outbox.bury(lane, row.sequence, reason, self.codec.draft(withheld, self.now()))
        self.observer.buried(lane.tp, row, reason)

    async def _clean(self) -> None:
        if self.clock() < self._clean_at:
            return
        rows = await self.outbox.clean(self.settings.keep_sent_s)
        self.observer.cleaned(rows)
        self._clean_at = self.clock() + (0 if rows else self.settings.clean_every_s)

    async def _wait(self, stop: asyncio.Event) -> None:
        timeout_s = max(0.001, min(self._held.due_in_s(), self.settings.poll_s))
        if self.pause.is_paused:
            await first_of(self.pause.over(stop), self._ending(timeout_s))
        else:
            await first_of(self.outbox.wait_for_news(timeout_s), self._ending(timeout_s), stop.wait())

    async def _ending(self, timeout_s: float) -> None:
        """Until one of those on their way ends, at most so long."""
        if self._sending:
            await self._some_end(asyncio.FIRST_COMPLETED, timeout_s)
        else:
            await asyncio.sleep(timeout_s)

    async def _patiently(self, call: Awaitable[object]) -> None:
        """Once at start and end; where the storage is away, leases expire or are taken by themselves."""
        try:
            await call
        except TransientError as error:
            self.observer.failed(TopicPartition("outbox", -1), error, 0.0)
