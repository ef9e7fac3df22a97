"""The relay: outbox to log, lane by lane, in sequence order, past nothing that isn't acknowledged.

It claims the next rows of every lane that is not being sent, appends each lane's rows in one call, and moves the lanes
whose rows have arrived forward in one transaction, while the others are on their way. What can go wrong between these
steps ends in the same rows going again with the same sequences, which the reader drops.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Protocol

from . import interpreter
from .backoff import STOP_TIMEOUT_S, Backoff, dropped, ends_in_time, first_of, sleep_unless
from .codec import Codec
from .crash_points import NO_CRASH, CrashPoints
from .envelope import stamper
from .errors import LogUnavailable, RecordRefused, Stop, TransientError, UnknownTopic
from .events import RecordWithheld
from .gather_time import GatherTime
from .lane_tail import check_tail
from .log import Log
from .outbox import MAX_PASS_ROWS, Acknowledgement, ClaimedRow, ClaimedRows, Lane, Outbox
from .pause_watch import NeverPaused, PauseWatch
from .record import Record, TopicPartition


class RelayObserver(Protocol):
    """Hears what the relay does: for metrics and logs."""

    def published(self, tp: TopicPartition, rows: Sequence[ClaimedRow], seconds: float) -> None: ...

    def failed(self, tp: TopicPartition, error: Exception, retry_in_s: float) -> None: ...

    def buried(self, tp: TopicPartition, row: ClaimedRow, reason: str) -> None: ...

    def refused(self, tp: TopicPartition, stop: Stop) -> None: ...

    def cleaned(self, rows: int) -> None: ...


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

    rows: ClaimedRows
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
    _lanes: dict[TopicPartition, Lane] = field(default_factory=dict)
    _sending: dict[TopicPartition, _Sending] = field(default_factory=dict)
    _checked: set[tuple[TopicPartition, int, str]] = field(default_factory=set)
    _retry_at: dict[TopicPartition, float] = field(default_factory=dict)
    _renew_at: float = float("-inf")
    _clean_at: float = float("-inf")
    _gather: GatherTime = field(default_factory=GatherTime)
    _resumed_at: float = float("-inf")

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
                    self._look_again()  # A database that was away may have come back as an older copy.
                    wait_s = self.backoff.wait_s(failures)
                    self.observer.failed(TopicPartition("outbox", -1), error, wait_s)
                    await sleep_unless(stop, wait_s)
            await self._patiently(self._settled())
        finally:
            await self._drop()
        await self._patiently(self.outbox.release(self.settings.owner))

    async def pass_once(self) -> int:
        """One pass over all lanes, to the end of each; returns how many rows the log acknowledged."""
        try:
            await self._begin()
            return await self._settled()
        finally:
            await self._drop()

    async def _go_on(self, stop: asyncio.Event) -> None:
        """Until a lane's rows have arrived, or something is due."""
        await self._begin()
        if not self._sending:
            await self._wait(stop)
            self._resumed_at = self.clock()
            return
        are_few = sum(len(one.rows.rows) for one in self._sending.values()) < self.settings.max_pass_rows
        await self._some_end(asyncio.FIRST_COMPLETED, self.settings.poll_s)  # One that takes long holds up no other.
        self._gather.took(self.clock() - self._resumed_at)
        if are_few:
            await sleep_unless(stop, self._gather.seconds)
        self._resumed_at = self.clock()
        await self._acknowledge()

    async def _begin(self) -> None:
        """Puts on its way what waits in lanes of which nothing is, unless an operator holds it there."""
        if self.clock() >= self._renew_at:
            await self._renew()
        now_s = self.clock()
        self._retry_at = {tp: at_s for tp, at_s in self._retry_at.items() if at_s > now_s and tp in self._lanes}
        lanes = [lane for tp, lane in self._lanes.items() if tp not in self._retry_at and tp not in self._sending]
        claimed = [] if self.pause.is_paused else await self.outbox.claim(lanes, self.settings.max_pass_rows)
        if claimed:
            self.crash_points.passing("relay.after_claim")
        elif not self._sending:
            await self._clean()
        for rows in claimed:
            self._sending[rows.lane.tp] = _Sending(rows, asyncio.create_task(self._send(rows)))

    async def _settled(self) -> int:
        """Returns when nothing is on its way, and how many rows have arrived."""
        await self._some_end(asyncio.ALL_COMPLETED)
        return await self._acknowledge()

    async def _some_end(self, which: str, timeout_s: float | None = None) -> None:
        if self._sending:
            tasks = [one.task for one in self._sending.values()]
            await asyncio.wait(tasks, timeout=timeout_s, return_when=which)

    async def _acknowledge(self) -> int:
        """Moves the lanes forward whose rows have arrived; returns how many rows. Raises what else ended a lane."""
        ended = [one for one in self._sending.values() if one.task.done()]
        if not ended:
            return 0
        self.crash_points.passing("relay.after_append")
        for one in ended:
            del self._sending[one.rows.lane.tp]
        results = [one.task.exception() or one.task.result() for one in ended]
        done = [one for one in results if isinstance(one, Acknowledgement)]
        if done:
            await self.outbox.acknowledge(done)
        self.crash_points.passing("relay.after_acknowledge")
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return sum(len(one.rows.rows) for one, arrived in zip(ended, results, strict=True) if arrived is not None)

    async def _drop(self) -> None:
        await dropped([one.task for one in self._sending.values()])
        self._sending.clear()

    def _look_again(self) -> None:
        """Every lane's tail is checked before more of it is sent."""
        self._renew_at = float("-inf")
        self._checked.clear()

    async def _renew(self) -> None:
        held = await self.outbox.hold_lanes(self.settings.owner, self.settings.lease_ttl_s)
        # What is on its way would look like a tail that the database knows nothing of: such a lane is checked later.
        later = [lane for lane in held if lane.tp in self._sending and _mark(lane) not in self._checked]
        self._lanes = {lane.tp: lane for lane in held if lane not in later and await self._is_sound(lane)}
        self._renew_at = self.clock() + (0.0 if later else self.settings.renew_s)

    async def _is_sound(self, lane: Lane) -> bool:
        """Whether the lane may be sent: checked against the log's tail once for each epoch in which we hold it."""
        if _mark(lane) in self._checked:
            return True
        try:
            acknowledgement = await check_tail(self.outbox, self.log, self.codec, lane)
        except Stop as stop:
            if await self._stands(lane):
                await self.outbox.note_failure(lane, str(stop), self.settings.renew_s)
                self.observer.refused(lane.tp, stop)
            return False
        except UnknownTopic as error:
            await self.outbox.note_failure(lane, str(error), self.settings.renew_s)
            self.observer.failed(lane.tp, error, self.settings.renew_s)
            return False
        if acknowledgement is not None:
            await self.outbox.acknowledge([acknowledgement])
        if lane.retry_in_s > 0:
            self._retry_at[lane.tp] = self.clock() + lane.retry_in_s
        self._checked.add(_mark(lane))
        return True

    async def _stands(self, lane: Lane) -> bool:
        """Whether nobody moved the lane since we began to look: another relay, or a late acknowledgement of our own."""
        held = await self.outbox.hold_lanes(self.settings.owner, self.settings.lease_ttl_s)
        states = [(one.epoch, one.next_sequence, one.acknowledged) for one in held if one.tp == lane.tp]
        return states == [(lane.epoch, lane.next_sequence, lane.acknowledged)]

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
            await self._note_failure(lane, error)
            return None
        if offset <= lane.acknowledged_offset:
            self._look_again()  # Offsets only grow: this is not the log that took the rows before these.
            return None
        self._retry_at.pop(lane.tp, None)
        if lane.failures:
            self._retry_at.clear()  # The log answers again, most likely for the other lanes, too.
        done = Acknowledgement(lane, claimed.rows[-1].sequence, offset + len(records) - 1)
        self._keep(replace(lane, failures=0, acknowledged=done.sequence, acknowledged_offset=done.offset))
        self.observer.published(lane.tp, claimed.rows, self.clock() - started_s)
        return done

    def _keep(self, lane: Lane) -> None:
        """What became of a lane, if it is still held as it was when its rows were claimed."""
        held = self._lanes.get(lane.tp)
        if held is not None and _mark(held) == _mark(lane):
            self._lanes[lane.tp] = lane

    async def _note_failure(self, lane: Lane, error: Exception) -> None:
        failures = lane.failures + 1
        wait_s = self.backoff.wait_s(failures)
        self._keep(replace(lane, failures=failures))
        self._retry_at[lane.tp] = self.clock() + wait_s
        self.observer.failed(lane.tp, error, wait_s)
        await self.outbox.note_failure(lane, str(error), wait_s)

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
        due_s = min([self._renew_at, *self._retry_at.values()], default=self._renew_at) - self.clock()
        timeout_s = max(0.001, min(due_s, self.settings.poll_s))
        if self.pause.is_paused:
            await first_of(self.pause.over(stop), asyncio.sleep(timeout_s))
        else:
            await first_of(self.outbox.wait_for_news(timeout_s), stop.wait())

    async def _patiently(self, call: Awaitable[object]) -> None:
        """Once at start and end; where the storage is away, leases expire or are taken by themselves."""
        try:
            await call
        except TransientError as error:
            self.observer.failed(TopicPartition("outbox", -1), error, 0.0)


def _mark(lane: Lane) -> tuple[TopicPartition, int, str]:
    """What a check of its tail is good for: a lane in one epoch, of one source."""
    return (lane.tp, lane.epoch, lane.source)
