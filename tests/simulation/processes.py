"""The processes as the simulation starts, kills, pauses and stops them: the real relay, consumer and rebuild."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from backoffice.consumer import Consumer, ConsumerSettings
from backoffice.topic_migration import TopicMigration
from event_store.archive import Archive
from event_store.backoff import Backoff
from event_store.codec import Codec
from event_store.embedded_topics import EmbeddedTopics
from event_store.errors import EventStoreError, Stop, TransientError, UnknownTopic
from event_store.history import History
from event_store.log import Log
from event_store.pause_watch import PauseWatch
from event_store.pauses import Pause
from event_store.record import TopicPartition
from event_store.relay import Relay, RelaySettings
from event_store.topics import partitions_of
from projections.catalogue import PROJECTIONS
from projections.locks import ProductLocks
from projections.projector import Applied, Projector
from projections.rebuild import NothingToRollBackTo, Rebuild
from projections.rebuild_lease import RebuildRunning

from .faults import Life
from .signs import ClaimsUnpaused
from .virtual_time import LIFE, SimulatedTask

TOPICS = {"catalog-events": 2, "order-events": 2}
TPS = partitions_of(TOPICS)
SECOND = 3
"""How many partitions the second version of a topic gets."""
EVERY_TP = [*TPS, *partitions_of({f"{topic}.v2": SECOND for topic in TOPICS})]
"""Those of second versions may never come to be."""

Reach = Callable[[str, Life], Any]
"""The back end of a place, as a process in one of its lives reaches it."""


@dataclass(slots=True)
class Process:
    """Something that runs, dies and runs again under the same name. `main` is one life of it."""

    name: str
    main: Callable[[Life, asyncio.Event], Coroutine[Any, Any, None]]
    tally: Counter[str]
    retired: bool = False
    """It isn't wanted any more."""
    life: Life = field(init=False)
    stop: asyncio.Event = field(init=False)
    task: asyncio.Task[None] = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        if self.retired:
            return
        self.life = Life(self.name)
        self.stop = asyncio.Event()
        token = LIFE.set(self.life)
        self.task = asyncio.create_task(self.main(self.life, self.stop), name=self.name)
        LIFE.reset(token)

    def kill(self) -> None:
        """As SIGKILL: nothing of it acts any more, whatever its code would still like to do."""
        self.tally[f"{self.name.split()[0]} killed"] += 1
        self.life.dead = True
        self.life.running.set()
        for task in sorted(asyncio.all_tasks(), key=hash):
            if isinstance(task, SimulatedTask) and task.life is self.life:
                task.cancel()

    def pause(self) -> None:
        self.life.running.clear()

    def resume(self) -> None:
        self.life.running.set()

    def raised(self) -> BaseException | None:
        """What ended it before its time; a process that ends must have been told to."""
        if not self.task.done() or self.life.dead or self.stop.is_set():
            return None
        return self.task.exception() or AssertionError(f"{self.name} ended by itself")


@dataclass(slots=True)
class Observed:
    """What relays, consumers and rebuilds report. A stop is none of the things that may happen here."""

    tally: Counter[str]
    stops: list[Stop] = field(default_factory=list)

    def published(self, tp: TopicPartition, rows: Any, seconds: float) -> None: ...

    def failed(self, tp: TopicPartition, error: Exception, retry_in_s: float) -> None:
        if not isinstance(error, EventStoreError):
            raise AssertionError(f"{tp}: {error!r}") from error
        self.tally["topic was not there yet"] += isinstance(error, UnknownTopic)

    def buried(self, tp: TopicPartition, row: Any, reason: str) -> None:
        self.tally["row buried"] += 1

    def refused(self, tp: TopicPartition, stop: Stop) -> None:
        self.stops.append(stop)

    def cleaned(self, rows: int) -> None:
        self.tally["sent row cleaned up"] += rows

    def counted(self, applied: Applied, seconds: float) -> None:
        self.tally["batch"] += 1
        self.tally["dead letter"] += applied.dead
        self.tally["duplicate dropped"] += applied.duplicates

    def took(self, phase: str, seconds: float) -> None: ...

    def stopped(self, tp: TopicPartition, stop: Stop) -> None:
        self.stops.append(stop)

    def narrowed(self, tp: TopicPartition, first_offset: int, records: int, error: Exception) -> None:
        raise AssertionError(f"{tp}/{first_offset}: {error!r}") from error

    def paused(self, pause: Pause) -> None:
        self.tally[f"{pause.part.split()[0]} held by an operator"] += 1

    def resumed(self) -> None:
        self.tally["let go on by an operator"] += 1

    def resynced(self, tp: TopicPartition, next_offset: int) -> None:
        self.tally["batch refused, position read again"] += 1

    def begun(self, generation: int) -> None: ...

    def progressed(self, counted: int, total: int) -> None: ...

    def compared(self, comparison: Any) -> None:
        self.tally["comparison"] += 1
        assert comparison.equal, f"I19: {[str(one) for one in comparison.differences]}"

    def switched(self, generation: int) -> None: ...


@dataclass(slots=True)
class House:
    """How each process is put together, with sizes by the seed."""

    reach: Reach
    observed: Observed
    register: Callable[[Life, Projector], None]
    clock: Callable[[], float]
    now: Callable[[], datetime]
    max_pass_rows: int
    max_records: int
    codec: Codec
    locks: list[ProductLocks] = field(default_factory=list)

    async def relay(self, shop: str, life: Life, stop: asyncio.Event) -> None:
        settings = RelaySettings(
            life.name, poll_s=3.0, max_pass_rows=self.max_pass_rows, keep_sent_s=20.0, clean_every_s=20.0
        )
        pause = self.pause_watch(f"relay of {shop}", life)
        outbox: Any = ClaimsUnpaused(self.reach(shop, life), pause)
        log = self.reach("log", life)
        backoff = Backoff(first_s=0.5, cap_s=10.0)
        relay = Relay(outbox, log, self.codec, settings, self.observed, backoff, clock=self.clock, now=self.now)
        relay.pause = pause
        await relay.run(stop)

    def pause_watch(self, part: str, life: Life) -> PauseWatch:
        look = self.reach("pauses", life).paused
        return PauseWatch(lambda: look(part), self.observed, every_s=3.0)

    async def consumer(self, life: Life, stop: asyncio.Event) -> None:
        read_model = self.reach("read model", life)
        locks = ProductLocks()
        self.locks.append(locks)

        def open_projector(generation: int) -> Projector:
            projector = Projector(read_model, generation, True, PROJECTIONS, self.codec, locks)
            self.register(life, projector)
            return projector

        consumer = Consumer(
            self.reach("log", life),
            self.reach("leases", life),
            read_model,
            open_projector,
            ConsumerSettings(life.name, TOPICS, poll_s=3.0, max_records=self.max_records, note_every_s=10.0),
            self.observed,
            Backoff(first_s=0.5, cap_s=10.0),
            pause=self.pause_watch("consumer", life),
            clock=self.clock,
        )
        await _make_topics(self.reach("log", life))
        await consumer.run(stop)

    def rebuild(self, life: Life) -> Rebuild:
        read_model = self.reach("read model", life)

        def open_projector(generation: int) -> Projector:
            projector = Projector(read_model, generation, False, PROJECTIONS, self.codec, dead_letter_limit=None)
            self.register(life, projector)
            return projector

        history = History(self.reach("log", life), Archive(Path("/nonexistent"), self.codec), self.codec)
        leases = self.reach("leases", life)
        return Rebuild(read_model, history, leases, PROJECTIONS, open_projector, self.observed, life.name)

    async def migrate(self, topic: str, shops: Sequence[str], life: Life, stop: asyncio.Event) -> None:
        """As an operator, who repeats the command for each shop until it comes through."""
        (log, leases, read_model) = (self.reach(place, life) for place in ("log", "leases", "read model"))
        for shop in shops:
            stores = (EmbeddedTopics(log), self.reach(shop, life), log, leases, read_model)
            while True:
                migration = TopicMigration(topic, SECOND, *stores, lambda _: None, clock=self.clock)
                try:
                    await migration.run()
                    break
                except EventStoreError:
                    await asyncio.sleep(5.0)
            self.observed.tally["topic moved over"] += 1
        await stop.wait()


async def _make_topics(log: Log) -> None:
    """As a process does before it begins; for as long as it takes."""
    while True:
        try:
            return await EmbeddedTopics(log).require(TOPICS)
        except TransientError:
            await asyncio.sleep(0.5)


async def rebuild_or_roll_back(rebuild: Rebuild, *, back: bool, tally: Counter[str]) -> None:
    """Once, as an operator would; what fails for a while is given up and leaves everything as it was."""
    with suppress(RebuildRunning, NothingToRollBackTo):
        try:
            await (rebuild.roll_back("simulated") if back else rebuild.run("simulated"))
        except EventStoreError:
            tally["rebuild given up"] += 1
            raise
        tally["rolled back" if back else "rebuilt"] += 1
