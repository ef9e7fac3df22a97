"""The consumer: which partitions this process counts, and for which generation.

Partitions are shared among consumers by leases in the back office's own database: each takes its fair share. When
another generation begins to serve, every partition is opened again at that generation's own position.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from event_store import interpreter
from event_store.backoff import STOP_TIMEOUT_S, Backoff, dropped, ends_in_time, first_of, sleep_unless
from event_store.crash_points import NO_CRASH, CrashPoints
from event_store.errors import GenerationChanged, Stop, TransientError, UnknownTopic
from event_store.gather_time import LEAST_S
from event_store.lease import Leases, owners_of
from event_store.log import Log
from event_store.pause_watch import NeverPaused, PauseWatch
from event_store.record import MAX_BATCH_RECORDS, TopicPartition
from event_store.topics import versions
from projections.gathering import Gathering
from projections.projector import Projector
from projections.read_model import ReadModel

from .consumer_names import GROUP, MEMBERS, PARTITIONS
from .partition import ConsumerObserver, Partition
from .shares import shares

BATCHES_SHARE = 0.8
"""The part of the time for stopping that batches in flight have. What hasn't ended then is left, and counted by whoever
comes next; the rest of the time is for giving the leases back."""


@dataclass(frozen=True, slots=True)
class ConsumerSettings:
    owner: str
    """Names this consumer's leases; unique among consumers that run at the same time."""
    topics: Collection[str]
    """The topics to count, in every version that the log has."""
    lease_ttl_s: float = 15.0
    renew_s: float = 5.0
    poll_s: float = 1.0
    max_records: int = MAX_BATCH_RECORDS
    in_flight: int = 3
    """Transactions of this process that may be on their way into the database at a time."""
    note_every_s: float = 1.0
    """How often positions are published for lag tools."""
    stop_timeout_s: float = STOP_TIMEOUT_S
    """How long all that is in flight may take to end, the leases given back included."""


@dataclass(slots=True)
class _Running:
    partition: Partition
    task: asyncio.Task[None]


@dataclass(slots=True)
class Consumer:
    log: Log
    leases: Leases
    read_model: ReadModel
    open_projector: Callable[[int], Projector]
    """Makes the projector of a serving generation."""
    settings: ConsumerSettings
    observer: ConsumerObserver
    backoff: Backoff = field(default_factory=Backoff)
    crash_points: CrashPoints = NO_CRASH
    pause: PauseWatch = field(default_factory=NeverPaused)
    clock: Callable[[], float] = time.monotonic
    _running: dict[TopicPartition, _Running] = field(default_factory=dict)
    _stopped: set[TopicPartition] = field(default_factory=set)
    """Partitions that must not go on until somebody has looked; a restart and another generation look again."""
    _noted: dict[TopicPartition, int] = field(default_factory=dict)
    _partitions: dict[str, int] = field(default_factory=dict)
    """Every version of the topics → its partitions, as far as the log has shown them. Topics are only ever added."""
    _lost: UnknownTopic | None = None
    """A topic that was there when we began is gone: nothing that this process can wait for."""

    async def run(self, stop: asyncio.Event) -> None:
        """Counts until `stop` is set, ends its batches, and gives its leases back, in `stop_timeout_s` all together."""
        interpreter.made_for_batches()
        async with self.pause.watched():
            await ends_in_time(self._count_until(stop), stop, self.settings.stop_timeout_s)

    async def _count_until(self, stop: asyncio.Event) -> None:
        await self._patiently(stop, self._begin)
        while not stop.is_set():
            projector: list[Projector] = []

            async def open_projector(found: list[Projector] = projector) -> None:
                found.append(self.open_projector(await self.read_model.serving()))

            await self._patiently(stop, open_projector)
            if projector:
                await self._count_generation(projector[0], stop)
        await self._patiently_once(self._end)

    async def _begin(self) -> None:
        await self._look_for_topics()
        await self.leases.take_over(self.settings.owner)

    async def _end(self) -> None:
        await self.leases.release(self.settings.owner)

    async def _count_generation(self, projector: Projector, stop: asyncio.Event) -> None:
        """Counts for one generation until it no longer serves or `stop` is set; raises what ended it otherwise."""
        self._stopped.clear()  # What was no longer in the log may be, in another generation's place of it.
        gathering = Gathering(projector, self.settings.in_flight, self.settings.max_records, clock=self.clock)
        changed = asyncio.Event()
        ended = asyncio.Event()
        tasks = [
            asyncio.create_task(self._keep_leases(gathering, changed, ended)),
            asyncio.create_task(self._watch_log(gathering, ended)),
        ]
        try:
            await first_of(stop.wait(), changed.wait(), asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED))
            ended.set()
            ending = [*tasks, *(self._told_to_leave(running) for running in self._running.values())]
            await asyncio.wait(ending, timeout=BATCHES_SHARE * self.settings.stop_timeout_s)
        finally:
            await dropped(tasks)  # Before the partitions: they would take up new ones.
            await dropped([running.task for running in self._running.values()])
            self._running.clear()
        for task in tasks:
            if not task.cancelled():
                task.result()
        if self._lost is not None:
            raise self._lost

    async def _keep_leases(self, gathering: Gathering, changed: asyncio.Event, ended: asyncio.Event) -> None:
        while not ended.is_set():
            try:
                if await self.read_model.serving() != gathering.projector.generation:
                    changed.set()  # No batch would say so where every partition is stopped or quiet.
                    return
                held = await self._take_leases()
            except TransientError as error:
                self.observer.failed(TopicPartition("leases", -1), error, self.settings.renew_s)
            else:
                await self._enter(held, gathering, changed)
            await sleep_unless(ended, self.settings.renew_s)

    async def _look_for_topics(self) -> None:
        """A new version of a topic is read as soon as it is seen, long before anything is written to it."""
        self._partitions |= versions(self.settings.topics, await self.log.topics())

    async def _take_leases(self) -> set[TopicPartition]:
        owner = self.settings.owner
        await self.leases.take([f"{MEMBERS}{owner}"], owner, self.settings.lease_ttl_s)
        members = {owner, *owners_of(await self.leases.holdings(MEMBERS)).values()}
        own = shares(self._partitions, members)[owner]
        held: set[TopicPartition] = set()
        for topic, count in sorted(self._partitions.items()):
            names = {f"{PARTITIONS}{tp}": tp for tp in (TopicPartition(topic, number) for number in range(count))}
            taken = await self.leases.take(list(names), owner, self.settings.lease_ttl_s, most=own[topic])
            held |= {names[lease.name] for lease in taken}
        return held

    async def _enter(self, held: set[TopicPartition], gathering: Gathering, changed: asyncio.Event) -> None:
        patience_s = self.settings.lease_ttl_s / 3  # The leases that stay have to be renewed meanwhile.
        await asyncio.gather(*(self._leave(tp, patience_s) for tp in list(self._running) if tp not in held))
        for tp in sorted(held - self._running.keys() - self._stopped):
            partition = Partition(
                tp,
                self.log,
                gathering,
                self.observer,
                self.backoff,
                self.settings.max_records,
                self.crash_points,
                self.pause,
            )
            self._running[tp] = _Running(partition, asyncio.create_task(self._run(partition, changed)))

    async def _run(self, partition: Partition, changed: asyncio.Event) -> None:
        """One partition to its end; a stop is kept where an operator sees it."""
        generation = partition.projector.generation
        try:
            await self.read_model.note_stop(generation, partition.tp, None)
            await partition.run()
        except GenerationChanged:
            changed.set()
        except Stop as stop:
            self._stopped.add(partition.tp)
            self.observer.stopped(partition.tp, stop)
            await self._patiently_once(partial(self.read_model.note_stop, generation, partition.tp, str(stop)))
        except TransientError as error:
            self.observer.failed(partition.tp, error, self.settings.renew_s)
        except UnknownTopic as error:
            self._lost = error
            changed.set()
        except Exception as error:
            self.observer.failed(partition.tp, error, self.settings.renew_s)
            raise
        finally:
            self._running.pop(partition.tp, None)

    async def _watch_log(self, gathering: Gathering, ended: asyncio.Event) -> None:
        """Wakes the partitions that have something to read; now and then publishes positions and looks for topics."""
        projector = gathering.projector
        note_at_s = self.clock() + self.settings.note_every_s
        look_at_s = self.clock() + self.settings.renew_s
        wait_s = self.settings.poll_s
        busy: Mapping[TopicPartition, int] = {}
        while not ended.is_set():
            try:
                news = await self.log.wait_for_news(wait_s)
                (before, busy) = (busy, await self._wake(projector))
                wait_s = self._until_next_look_s(wait_s, before, busy)
                if self.clock() >= note_at_s:
                    await self._note_positions(projector)
                    note_at_s = self.clock() + self.settings.note_every_s
                if self.clock() >= look_at_s:
                    await self._look_for_topics()
                    look_at_s = self.clock() + self.settings.renew_s
                if news:
                    await sleep_unless(ended, gathering.gather_time.seconds)
            except TransientError as error:
                self.observer.failed(TopicPartition("log", -1), error, self.settings.poll_s)
                await sleep_unless(ended, self.settings.poll_s)

    async def _wake(self, projector: Projector) -> Mapping[TopicPartition, int]:
        """Reads for those that wait, all in one go, so that they have their batches at the same moment.

        Returns those that were busy, and where they stood: what was news to them has still to be read.
        """
        waiting = {tp: projector.counted(tp) for tp, one in self._running.items() if one.partition.is_waiting}
        busy = {tp: projector.counted(tp) for tp, one in self._running.items() if one.partition.is_busy}
        started_s = time.perf_counter()
        found = await self.log.read_each(waiting, self.settings.max_records)
        self.observer.took("read", time.perf_counter() - started_s)
        for tp, batch in found.items():
            if tp in self._running:
                self._running[tp].partition.notice(batch)
        return busy

    def _until_next_look_s(
        self, waited_s: float, before: Mapping[TopicPartition, int], busy: Mapping[TopicPartition, int]
    ) -> float:
        """How long to wait for news at most. Soon, for the busy ones; ever later, while what they do doesn't end."""
        if not busy:
            return self.settings.poll_s
        return min(2 * waited_s, self.settings.poll_s) if busy == before else LEAST_S

    async def _note_positions(self, projector: Projector) -> None:
        positions = {tp: projector.counted(tp) for tp in self._running}
        moved = {tp: offset for tp, offset in positions.items() if offset > self._noted.get(tp, 0)}
        if moved:
            await self.log.note_positions(GROUP, moved)
            self._noted.update(moved)

    async def _leave(self, tp: TopicPartition, patience_s: float) -> None:
        running = self._running.pop(tp, None)
        if running is not None:
            try:
                await asyncio.wait([self._told_to_leave(running)], timeout=patience_s)
            finally:
                await dropped([running.task])

    def _told_to_leave(self, running: _Running) -> asyncio.Task[None]:
        running.partition.stop()
        return running.task

    async def _patiently(self, stop: asyncio.Event, step: Callable[[], Coroutine[Any, Any, None]]) -> None:
        failures = 0
        while not stop.is_set():
            try:
                return await step()
            except TransientError as error:
                failures += 1
                wait_s = self.backoff.wait_s(failures)
                self.observer.failed(TopicPartition("storage", -1), error, wait_s)
                await sleep_unless(stop, wait_s)

    async def _patiently_once(self, step: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await step()
        except TransientError as error:
            self.observer.failed(TopicPartition("storage", -1), error, 0.0)
