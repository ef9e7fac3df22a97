"""The line from the outbox to the figures in this process, over real engines that a test breaks.

What a test itself looks at, it reaches directly; relays and consumers may have to go through a proxy.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient

from backoffice.consumer import Consumer, ConsumerSettings
from backoffice.pipeline import Pipeline
from backoffice.pipeline_status import PipelineStatus
from event_store.backoff import Backoff, sleep_unless
from event_store.codec import Codec, Draft
from event_store.connect import open_leases, open_outbox
from event_store.errors import TransientError
from event_store.events import Line as OrderLine
from event_store.events import Payload, PaymentCompleted, ProductView
from event_store.kafka_cluster import KafkaCluster
from event_store.kafka_log import KafkaLog
from event_store.lease import Leases
from event_store.log import Log
from event_store.outbox import Outbox
from event_store.pause_watch import NeverPaused, PauseWatch
from event_store.record import TopicPartition
from event_store.relay import Relay, RelaySettings
from projections.catalogue import PROJECTIONS
from projections.connect import open_read_model
from projections.projector import Projector
from projections.read_model import ReadModel
from tests.faults.shop import WAIT_S, until
from tests.laws.line import Observed, assert_figures
from tests.simulation.oracle import oracle_of

TOPICS = {"catalog-events": 3, "order-events": 3}
TPS = [TopicPartition(topic, number) for topic, count in TOPICS.items() for number in range(count)]
PRODUCTS = 20
HASTY = Backoff(0.05, 0.5)
CHUNK_ROWS = 250


@dataclass(frozen=True, slots=True)
class Engines:
    """Where a process finds its stores."""

    cluster: KafkaCluster
    commerce_url: str
    backoffice_url: str


@dataclass(slots=True)
class Member:
    """A relay or a consumer at work."""

    task: asyncio.Task[None]
    stopping: asyncio.Event
    stores: AsyncExitStack

    async def leave(self) -> None:
        """As after SIGTERM. Raises what it ended with."""
        self.stopping.set()
        try:
            await self.task
        finally:
            await self.stores.aclose()

    async def die(self) -> None:
        """Without giving anything back, as a killed process."""
        self.task.cancel()
        self.stopping.set()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.stores.aclose()


@dataclass(slots=True)
class Line:
    outbox: Outbox
    log: Log
    read_model: ReadModel
    leases: Leases
    direct: Engines
    through: Engines
    """How relays and consumers get there."""
    codec: Codec = field(default_factory=Codec)
    observed: Observed = field(default_factory=Observed)
    written: list[Draft] = field(default_factory=list)
    _others_observed: list[Observed] = field(default_factory=list)
    _members: list[Member] = field(default_factory=list)
    _numbers: Iterable[int] = field(default_factory=itertools.count)

    async def write(self, count: int) -> None:
        """Views and payments, in transactions of up to 250 events. Each has a number that grows."""
        for _ in range(0, count, CHUNK_ROWS):
            payloads = [_payload(number) for number in itertools.islice(self._numbers, min(count, CHUNK_ROWS))]
            await self.write_each(payloads)
            count -= len(payloads)

    async def write_each(self, payloads: Sequence[Payload]) -> None:
        drafts = [self.codec.draft(payload, datetime.now(UTC)) for payload in payloads]
        await self.outbox.write(drafts)  # type: ignore[attr-defined]
        self.written += drafts

    @asynccontextmanager
    async def under_load(self, events_per_s: int) -> AsyncIterator[None]:
        """Somebody writes, for as long as the block lasts."""

        enough = asyncio.Event()

        async def go_on() -> None:
            while not enough.is_set():
                await self.write(max(1, events_per_s // 20))
                await sleep_unless(enough, 0.05)

        writing = asyncio.create_task(go_on())
        try:
            yield
        finally:
            enough.set()  # Cancelled, it would not know what it has written.
            await writing

    def relay(self, owner: str = "relay", pause: PauseWatch | None = None, **settings: Any) -> Member:
        stores = AsyncExitStack()
        log = _kept(stores, KafkaLog(self.through.cluster))
        outbox = _kept(stores, open_outbox(self.through.commerce_url, TOPICS))
        chosen = RelaySettings(owner, **{"lease_ttl_s": 3.0, "renew_s": 1.0, "poll_s": 0.2, **settings})
        relay = Relay(outbox, log, self.codec, chosen, self.observed, HASTY, pause=pause or NeverPaused())
        return self._at_work(relay.run, stores)

    def consumer(
        self,
        owner: str = "consumer",
        wrap: Callable[[ReadModel], Any] = lambda figures: figures,
        observed: Observed | None = None,
        through: Engines | None = None,
        pause: PauseWatch | None = None,
        **settings: Any,
    ) -> Member:
        """`wrap` stands between it and its read model."""
        stores = AsyncExitStack()
        engines = through or self.through
        figures = wrap(_kept(stores, open_read_model(engines.backoffice_url)))
        chosen = {"lease_ttl_s": 3.0, "renew_s": 0.5, "poll_s": 0.2, "note_every_s": 0.2, **settings}
        consumer = Consumer(
            _kept(stores, KafkaLog(engines.cluster)),
            _kept(stores, open_leases(engines.backoffice_url)),
            figures,
            lambda generation: Projector(figures, generation, True, PROJECTIONS, self.codec),
            ConsumerSettings(owner, TOPICS, **chosen),
            observed or self.observed,
            HASTY,
            pause=pause or NeverPaused(),
        )
        if observed is not None:
            self._others_observed.append(observed)
        return self._at_work(consumer.run, stores)

    async def status(self) -> PipelineStatus:
        return await Pipeline(self.outbox, self.log, self.read_model, self.leases, topics=tuple(TOPICS)).status()

    async def positions(self) -> Mapping[TopicPartition, int]:
        generation = await self.read_model.serving()
        return {one.tp: one.next_offset for one in await self.read_model.progress(generation)}

    async def sent(self) -> None:
        """Everything written is in the log, as far as the outbox knows."""

        async def nothing_waits() -> bool:
            return not any(one.ready + one.claimed + one.failed for one in await self.outbox.lanes())

        await self._until(nothing_waits)

    async def counted(self, parked: int = 0) -> PipelineStatus:
        """Everything written is counted once, in order, nothing is missing, and nothing else is dead."""
        drained: list[PipelineStatus] = []

        async def is_drained() -> bool:
            with suppress(TransientError):  # We look at the same engines.
                drained[:] = [await self.status()]
            return bool(drained) and drained[0].is_drained

        await self._until(is_drained)
        [status] = drained
        assert (status.completeness.missing, status.completeness.parked) == (0, parked)
        await assert_figures(self.read_model, oracle_of([draft.payload for draft in self.written]))
        await self.assert_in_order()
        return status

    async def assert_in_order(self) -> None:
        """What the log shows first of each lane is 1, 2, 3, …, and of each key in the order in which it was written."""
        written = {draft.event_id: number for number, draft in enumerate(self.written)}
        for tp in TPS:
            newest: dict[bytes | None, int] = {}
            highest = 0
            for key, value in await self.records(tp):
                (place, event_id) = (self.codec.place_in_lane(value), self.codec.id_of(value))
                if place is None or place[1] <= highest:
                    continue
                assert place[1] == highest + 1, f"{tp}: sequence {place[1]} came after {highest}"
                highest = place[1]
                if event_id in written:
                    assert newest.get(key, -1) < written[event_id], f"{tp}: {key!r} is out of order"
                    newest[key] = written[event_id]

    async def records(self, tp: TopicPartition) -> list[tuple[bytes | None, bytes | None]]:
        """(key, value) of everything in the partition."""
        found: list[tuple[bytes | None, bytes | None]] = []
        while len(batch := await self.log.read(tp, len(found))):
            found += zip(batch.keys, batch.values, strict=True)
        return found

    async def close(self) -> None:
        """Whoever is still at work, where a test failed, goes with it."""
        await asyncio.gather(*(one.die() for one in self._members if not one.stopping.is_set()))

    def _at_work(self, run: Callable[[asyncio.Event], Coroutine[Any, Any, None]], stores: AsyncExitStack) -> Member:
        stopping = asyncio.Event()
        self._members.append(Member(asyncio.create_task(run(stopping)), stopping, stores))
        return self._members[-1]

    async def _until(self, condition: Callable[[], Any]) -> None:
        try:
            await until(condition, timeout_s=WAIT_S)
        except AssertionError as error:
            errors = [one.errors[-3:] for one in (self.observed, *self._others_observed)]
            raise AssertionError(f"{await self.status()}\n{errors}") from error


@asynccontextmanager
async def open_line(direct: Engines, through: Engines | None = None) -> AsyncIterator[Line]:
    """With its topics. `through`: how relays and consumers reach the engines."""
    async with AsyncExitStack() as stores:
        log = _kept(stores, KafkaLog(direct.cluster))
        for topic, partitions in TOPICS.items():
            await log.create_topic(topic, partitions)
        outbox = _kept(stores, open_outbox(direct.commerce_url, TOPICS))
        figures = _kept(stores, open_read_model(direct.backoffice_url))
        leases = _kept(stores, open_leases(direct.backoffice_url))
        yield _kept(stores, Line(outbox, log, figures, leases, direct, through or direct))
    with warnings.catch_warnings():  # A connection that aiokafka was making when it was cancelled is left to this.
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@asynccontextmanager
async def admin_of(cluster: KafkaCluster) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.bootstrap)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


@asynccontextmanager
async def at_work(*members: Member) -> AsyncIterator[None]:
    """For as long as the block lasts; then all leave."""
    try:
        yield
    finally:
        ended = await asyncio.gather(*(one.leave() for one in members), return_exceptions=True)
    for one in ended:
        if one is not None:
            raise one


def _payload(number: int) -> Payload:
    """Every third event is a payment of two products."""
    product = f"product-{number % PRODUCTS}"
    if number % 3:
        return ProductView(product, f"visitor-{number}", "GBP")
    lines = [OrderLine(product, 1, 100 + number), OrderLine(f"product-{(number + 7) % PRODUCTS}", 2, 50)]
    return PaymentCompleted(f"order-{number % 50}", f"payment-{number}", "GBP", lines)


def _kept(stores: AsyncExitStack, store: Any) -> Any:
    stores.push_async_callback(store.close)
    return store
