"""The counting line over in-memory back ends: what the laws are tried on, in virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from backoffice.partition import Partition
from event_store.archive import Archive
from event_store.backoff import Backoff
from event_store.codec import Codec, Draft
from event_store.errors import Stop
from event_store.events import Payload, ProductView
from event_store.history import History
from event_store.memory_leases import MemoryLeases
from event_store.memory_log import MemoryLog
from event_store.memory_outbox import MemoryOutbox
from event_store.outbox import ClaimedRow
from event_store.record import Record, TopicPartition
from event_store.relay import Relay, RelaySettings
from event_store.topics import partitions_of
from projections.catalogue import PROJECTIONS
from projections.comparison import Comparison
from projections.gathering import Gathering
from projections.memory_read_model import MemoryReadModel
from projections.projector import Applied, Projector
from projections.read_model import ReadModel
from projections.rebuild import Rebuild
from tests.simulation.oracle import Oracle, oracle_of
from tests.simulation.virtual_time import VirtualTimeLoop, run_virtual

T = TypeVar("T")

TOPICS = {"catalog-events": 2, "order-events": 2}
TPS = partitions_of(TOPICS)
CATALOG = TPS[0]
NOON = datetime(2025, 12, 31, 12, 0, tzinfo=UTC)
NO_ARCHIVE = Path("/nonexistent")


@dataclass(slots=True)
class Observed:
    """What relays, partitions, consumers and rebuilds report."""

    tally: Counter[str] = field(default_factory=Counter)
    stops: list[Stop] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    progress: list[tuple[int, int]] = field(default_factory=list)
    """(counted, total)"""

    def published(self, tp: TopicPartition, rows: Sequence[ClaimedRow], seconds: float) -> None:
        self.tally["published"] += len(rows)

    def failed(self, tp: TopicPartition, error: Exception, retry_in_s: float) -> None:
        self.errors.append(error)

    def buried(self, tp: TopicPartition, row: Any, reason: str) -> None:
        self.tally["buried"] += 1

    def refused(self, tp: TopicPartition, stop: Stop) -> None:
        self.stops.append(stop)

    def cleaned(self, rows: int) -> None:
        self.tally["cleaned"] += rows

    def counted(self, applied: Applied, seconds: float) -> None:
        self.tally["records"] += applied.records

    def took(self, phase: str, seconds: float) -> None:
        self.tally[phase] += 1

    def stopped(self, tp: TopicPartition, stop: Stop) -> None:
        self.stops.append(stop)

    def narrowed(self, tp: TopicPartition, first_offset: int, records: int, error: Exception) -> None:
        self.tally["narrowed"] += 1

    def resynced(self, tp: TopicPartition, next_offset: int) -> None:
        self.tally["resynced"] += 1

    def begun(self, generation: int) -> None:
        self.tally["begun"] += 1

    def progressed(self, counted: int, total: int) -> None:
        self.progress.append((counted, total))

    def compared(self, comparison: Comparison) -> None:
        self.comparisons.append(comparison)

    def switched(self, generation: int) -> None:
        self.tally["switched"] += 1


@dataclass(slots=True)
class Line:
    """Back ends of one house, and its parts put together over them."""

    now_us: Callable[[], int]
    clock: Callable[[], float]
    codec: Codec = field(default_factory=Codec)
    noon: datetime = NOON
    observed: Observed = field(default_factory=Observed)
    log: MemoryLog = field(init=False)
    outbox: MemoryOutbox = field(init=False)
    leases: MemoryLeases = field(init=False)
    read_model: MemoryReadModel = field(init=False)

    def __post_init__(self) -> None:
        self.log = MemoryLog(self.now_us)
        self.outbox = MemoryOutbox(TOPICS, self.now_us)
        self.leases = MemoryLeases(self.now_us)
        self.read_model = MemoryReadModel(self.now_us)

    async def prepare(self) -> None:
        for topic, partitions in TOPICS.items():
            await self.log.create_topic(topic, partitions)

    def relay(self, owner: str = "relay", **replaced: Any) -> Relay:
        """`replaced` are fields of Relay and of its settings that differ from ours."""
        parts: dict[str, Any] = {"outbox": self.outbox, "log": self.log, "backoff": Backoff(0.5, 4.0)}
        parts |= {name: replaced.pop(name) for name in list(replaced) if name in parts}
        settings = RelaySettings(owner, **replaced)
        return Relay(
            parts["outbox"],
            parts["log"],
            self.codec,
            settings,
            self.observed,
            parts["backoff"],
            clock=self.clock,
            now=lambda: datetime.fromtimestamp(self.now_us() / 1e6, UTC),
        )

    def history(self, folder: Path = NO_ARCHIVE, codec: Codec | None = None) -> History:
        codec = codec or self.codec
        return History(self.log, Archive(folder, codec), codec)

    def rebuild(self, history: History | None = None, read_model: ReadModel | None = None, **replaced: Any) -> Rebuild:
        history = history or self.history()
        figures = read_model or self.read_model

        def open_projector(generation: int) -> Projector:
            return Projector(figures, generation, False, PROJECTIONS, history.codec, dead_letter_limit=None)

        return Rebuild(figures, history, self.leases, PROJECTIONS, open_projector, self.observed, "rebuild", **replaced)

    def write(self, payloads: Sequence[Payload], at: datetime = NOON) -> list[Draft]:
        drafts = [self.codec.draft(payload, at) for payload in payloads]
        self.outbox.write(drafts)
        return drafts

    async def relay_all(self, relay: Relay | None = None) -> None:
        """Until nothing is left to send."""
        relay = relay or self.relay()
        while await relay.pass_once():
            pass

    async def count_all(self, read_model: ReadModel | None = None, max_records: int = 3000) -> Projector:
        """Everything in the log into the serving generation, as a consumer without faults does."""
        figures = read_model or self.read_model
        projector = Projector(figures, await figures.serving(), True, PROJECTIONS, self.codec)
        for tp in TPS:
            while len(batch := await self.log.read(tp, (await projector.position(tp)).next_offset, max_records)):
                await projector.apply(batch)
        return projector

    def partition(self, tp: TopicPartition, projector: Projector, max_records: int = 3000) -> Partition:
        backoff = Backoff(0.001, 0.002)
        return Partition(tp, self.log, Gathering(projector), self.observed, backoff, max_records)

    async def count_live(self, tp: TopicPartition, projector: Projector, max_records: int = 3000) -> None:
        """As a consumer does: errors are repeated or narrowed down. Returns at the log's end, raises a Stop."""
        partition = self.partition(tp, projector, max_records)
        running = asyncio.create_task(partition.run())
        end = (await self.log.bounds([tp]))[tp].end
        while not running.done() and projector.counted(tp) < end:
            await asyncio.sleep(0.001)
        partition.stop()
        await running

    async def append(self, tp: TopicPartition, values: Sequence[bytes | None]) -> None:
        await self.log.append(tp, [Record(b"key", value) for value in values])

    def shown(self) -> list[bytes | None]:
        """Every record of the log, partition by partition."""
        return [value for tp in TPS for value in self.log._partitions[tp].values]

    def oracle(self) -> Oracle:
        return oracle_of(self.shown())


async def assert_figures(read_model: ReadModel, oracle: Oracle, generation: int | None = None) -> None:
    """The figures of the generation (the serving one) are the oracle's, to the last row."""
    number = await read_model.serving() if generation is None else generation
    for name, width in {"sales": 3, "returns": 3, "interest": 3, "listing": 1}.items():
        rows = (await read_model.rows(number, name)).rows()
        assert {row[:width]: row[width:] for row in rows} == oracle.rows(name), name


def views(count: int, product: str = "lantern") -> list[Payload]:
    return [ProductView(product, f"visitor-{number}", "GBP") for number in range(count)]


def in_virtual_time(test: Callable[[Line], Coroutine[Any, Any, T]]) -> T:
    """Runs `test` with a prepared line on a loop of its own; fails too for what nobody handled."""

    async def main(loop: VirtualTimeLoop) -> T:
        line = Line(loop.now_us, loop.time)
        await line.prepare()
        result = await test(line)
        await asyncio.sleep(0)
        assert not loop.unhandled, loop.unhandled
        return result

    return run_virtual(main)
