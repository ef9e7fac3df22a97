"""A small shop on in-memory back ends: what it accepts goes through outbox, log and projector when a test says so."""

from __future__ import annotations

import random
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
from litestar import Litestar

from backoffice.dashboard import create_dashboard
from backoffice.guarded_cache import GuardedCache
from backoffice.live import Live
from backoffice.memory_cache import MemoryCache
from backoffice.pipeline import Pipeline
from backoffice.rebuilds import Rebuilds
from backoffice.sign_in.gate import Gate
from backoffice.sign_in.roles import Role
from backoffice.silence import Silence
from event_store.archive import Archive
from event_store.codec import Codec
from event_store.envelope import format_time, stamp
from event_store.events import LikeChanged, Line, Payload, PaymentCompleted, PaymentRefunded, ProductListed, ProductView
from event_store.history import History
from event_store.memory_leases import MemoryLeases
from event_store.memory_log import MemoryLog
from event_store.memory_outbox import MemoryOutbox
from event_store.outbox import Acknowledgement
from event_store.pauses import Part, Pauses
from event_store.record import Record, TopicPartition
from event_store.topics import TOPICS
from projections.catalogue import PROJECTIONS
from projections.memory_read_model import MemoryReadModel
from projections.projector import Projector
from projections.read_model import ReadModel

from .visitors import Visitors

OPENED = datetime(2011, 12, 1, 12, tzinfo=UTC)
PARTITIONS = {topic.name: 2 for topic in TOPICS}
HOSTILE_ID = "<img src=x onerror=alert(1)>"
HOSTILE_NAME = "</script><script>alert(1)</script>{{7*7}} \u202edrah"


@dataclass(slots=True)
class Clock:
    now: datetime = OPENED

    def __call__(self) -> int:
        return int(self.now.timestamp() * 1e6)

    def passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass(slots=True)
class Shop:
    clock: Clock = field(default_factory=Clock)
    codec: Codec = field(default_factory=Codec)
    log: MemoryLog = field(init=False)
    outbox: MemoryOutbox = field(init=False)
    read_model: ReadModel = field(init=False)
    leases: MemoryLeases = field(init=False)
    cache: GuardedCache = field(default_factory=lambda: GuardedCache(MemoryCache(), Silence()))
    archive: Path = Path("nowhere")
    """The folder of its segments; nowhere until a test says where."""
    visitors: Visitors = field(init=False)
    orders: int = 0

    def __post_init__(self) -> None:
        self.visitors = Visitors(self.clock)
        self.log = MemoryLog(self.clock)
        self.outbox = MemoryOutbox(PARTITIONS, self.clock)
        self.read_model = MemoryReadModel(self.clock)
        self.leases = MemoryLeases(self.clock)

    @property
    def pipeline(self) -> Pipeline:
        return Pipeline(self.outbox, self.log, self.read_model, self.leases, self.cache, self.pauses, now_us=self.clock)

    @property
    def pauses(self) -> dict[Part, Pauses]:
        (here, there) = (self.visitors.transactions, self.visitors.commerce)
        return {part: Pauses(there if part is Part.RELAY else here, self.clock) for part in Part}

    @property
    def history(self) -> History:
        return History(self.log, Archive(self.archive, self.codec), self.codec)

    async def open(self) -> None:
        for topic, partitions in PARTITIONS.items():
            await self.log.create_topic(topic, partitions)

    def accepts(self, payload: Payload, at: datetime) -> None:
        self.outbox.write([self.codec.draft(payload, at)])

    async def sends(self) -> None:
        """Everything waiting goes to the log, as a relay would bring it."""
        lanes = await self.outbox.hold_lanes("relay", 60)
        for claimed in await self.outbox.claim(lanes):
            lane = claimed.lane
            records = [Record(r.key.encode(), stamp(r.payload, lane.source, r.sequence)) for r in claimed.rows]
            offset = await self.log.append(lane.tp, records)
            last = Acknowledgement(lane, claimed.rows[-1].sequence, offset + len(records) - 1)
            await self.outbox.acknowledge([last])

    async def counts(self) -> None:
        projector = Projector(self.read_model, await self.read_model.serving(), True, PROJECTIONS, self.codec)
        for topic, partitions in PARTITIONS.items():
            for number in range(partitions):
                tp = TopicPartition(topic, number)
                position = await projector.position(tp)
                while len(batch := await self.log.read(tp, position.next_offset)):
                    position = type(position)(next_offset=(await projector.apply(batch)).next_offset)

    async def happened(self, *events: tuple[Payload, datetime]) -> None:
        """Accepted, sent and counted."""
        for payload, at in events:
            self.accepts(payload, at)
        await self.sends()
        await self.counts()

    def sold(self, at: datetime, *lines: tuple[str, int, int], currency: str = "GBP") -> tuple[Payload, datetime]:
        self.orders += 1
        order = f"o{self.orders}"
        return PaymentCompleted(order, f"p-{order}", currency, [Line(*line) for line in lines]), at

    def refunded(
        self, at: datetime, *lines: tuple[str, int, int], currency: str = "GBP", sold_at: datetime | None = None
    ) -> tuple[Payload, datetime]:
        self.orders += 1
        sale = None if sold_at is None else format_time(sold_at)
        return PaymentRefunded(f"r{self.orders}", currency, [Line(*line) for line in lines], sold_at=sale), at

    def dashboard(self, live: Live | None = None, gate: Gate | None = None, **options: Any) -> Litestar:
        """With sign-in, where no other gate is given."""
        live = live or Live(self.read_model, self.cache)
        options = {"rebuilds": self.rebuilds(), **options}
        pipeline = options.pop("pipeline", self.pipeline)
        return create_dashboard(pipeline, self.cache, live, self.history, gate or self.visitors.gate, **options)

    def rebuilds(self, program: str = "") -> Rebuilds:
        """Whose processes run a `program` in place of the command, none unless one is given."""
        audit = self.visitors.office.audits["backoffice"]
        return Rebuilds((sys.executable, "-c", program), self.read_model, self.leases, audit, 10, now_us=self.clock)

    @asynccontextmanager
    async def browser(
        self, default_tz: str = "UTC", *, role: Role | None = Role.ADMIN, **options: Any
    ) -> AsyncIterator[httpx.AsyncClient]:
        """Of somebody who is signed in with that role, or not at all."""
        app: Any = self.dashboard(default_tz=default_tz, **options)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost:8100") as client:
            if role is not None:
                await self.visitors.enters(client, role)
            yield client


def viewed(at: datetime, product_id: str, currency: str = "GBP") -> tuple[Payload, datetime]:
    return ProductView(product_id, "v", currency), at


def liked(at: datetime, product_id: str) -> tuple[Payload, datetime]:
    return LikeChanged(product_id, "u", "GBP", 1), at


def listed(at: datetime, product_id: str, name: str) -> tuple[Payload, datetime]:
    return ProductListed(product_id, 1, name, 1250, "GBP"), at


def busy_days(shop: Shop, seed: int, first: datetime, days: int, events: int) -> list[tuple[Payload, datetime]]:
    """Random trade, the same for the same seed, at any second of these days."""
    chance = random.Random(seed)
    made: list[tuple[Payload, datetime]] = []
    for _ in range(events):
        at = first + timedelta(seconds=chance.randrange(days * 86_400))
        lines = [(chance.choice("ABC"), chance.randint(1, 5), chance.randint(0, 9_999)) for _ in range(3)]
        currency = chance.choice(("GBP", "GBP", "EUR"))
        sold_at = at - timedelta(hours=chance.randrange(60)) if chance.random() < 0.6 else None
        kind = chance.randrange(4)
        made.append(
            (
                shop.sold(at, *lines, currency=currency),
                shop.refunded(at, *lines[:1], currency=currency, sold_at=sold_at),
                viewed(at, lines[0][0], currency),
                liked(at, lines[0][0]),
            )[kind]
        )
    return made


class Tables(HTMLParser):
    """The tables of a page: rows of texts, as somebody reads them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.scripts = 0
        self._cell: list[str] | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self._cell = []
        elif tag == "script":
            self.scripts += 1

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th") and self._cell is not None:
            self.tables[-1][-1].append("".join(self._cell).strip().removesuffix("*"))
            self._cell = None

    def handle_data(self, data: str) -> None:
        if self._cell is not None:
            self._cell.append(data)


def exact(text: str) -> int:
    """A shown amount or count as the integer it stands for."""
    digits = "".join(character for character in text if character.isdigit())
    return -int(digits) if text.startswith("-") else int(digits)
