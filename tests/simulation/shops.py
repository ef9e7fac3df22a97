"""Who writes: shops whose APIs record state and outbox row together, and a foreign service that writes to the log."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from event_store.codec import Codec, Draft
from event_store.envelope import format_time
from event_store.errors import EventStoreError, TransientError
from event_store.events import (
    LikeChanged,
    Line,
    Payload,
    PaymentCompleted,
    PaymentFailed,
    PaymentRefunded,
    ProductListed,
    ProductView,
)
from event_store.memory_outbox import MemoryOutbox
from event_store.record import Record, TopicPartition

PRODUCTS = tuple(f"product-{number}" for number in range(1, 7))
MAX_RECORD_BYTES = 3000
"""What the simulated log takes until an operator raises it: a long order is refused."""


@dataclass(slots=True)
class Commerce:
    """A shop's database: its own state, and the outbox beside it."""

    outbox: MemoryOutbox
    state: dict[str, Draft] = field(default_factory=dict)
    """Idempotency key → what was recorded under it."""

    async def accept(self, key: str, drafts: list[Draft]) -> None:
        """One transaction: state and outbox rows. The same key again changes nothing."""
        if key not in self.state:
            self.outbox.write(drafts)
            self.state |= {draft.event_id: draft for draft in drafts} | {key: drafts[0]}


@dataclass(slots=True)
class Shopper:
    """Makes events by the seed. Names are unique, times lie a little in the past, products are few."""

    name: str
    random: Random
    now: datetime
    codec: Codec
    made: int = 0

    def drafts(self, at_s: float) -> list[Draft]:
        """The events of one request: one, or several that belong together."""
        return [self._draft(at_s) for _ in range(self.random.choice((1, 1, 1, 2, 5)))]

    def _draft(self, at_s: float) -> Draft:
        self.made += 1
        happened = self.now + timedelta(seconds=at_s - self.random.choice((0.0, 1.0, 900.0, 86_400.0)))
        return self.codec.draft(self._payload(happened), happened, event_id=f"{self.name}-{self.made}")

    def _payload(self, happened: datetime) -> Payload:
        chance = self.random.random()
        (product, currency) = (self.random.choice(PRODUCTS), self.random.choice(("GBP", "GBP", "EUR")))
        number = f"{self.name}-{self.made}"
        if chance < 0.45:
            return ProductView(product, f"visitor-{number}", currency)
        if chance < 0.6:
            return LikeChanged(product, f"user-{number}", currency, self.random.choice((1, 1, -1)))
        if chance < 0.7:
            return ProductListed(product, self.random.randint(1, 50), f"Lantern {number}", 255, currency)
        if chance < 0.9:
            return PaymentCompleted(f"order-{number}", f"payment-{number}", currency, self._lines())
        if chance < 0.95:
            sold_at = format_time(happened - timedelta(seconds=self.random.choice((0, 900, 86_400))))
            known = {"order_id": f"order-{number}", "sold_at": sold_at} if self.random.random() < 0.7 else {}
            return PaymentRefunded(f"refund-{number}", currency, self._lines(), **known)
        return PaymentFailed(f"order-{number}", f"payment-{number}")

    def _lines(self) -> list[Line]:
        count = 60 if self.random.random() < 0.05 else self.random.randint(1, 4)
        return [Line(self.random.choice(PRODUCTS), self.random.randint(1, 9), 100) for _ in range(count)]


async def serve_requests(commerce: Any, shopper: Shopper, mean_pause_s: float) -> None:
    """A client and its API: a request that got no answer is sent again under its key, until it is answered."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(shopper.random.expovariate(1 / mean_pause_s))
        drafts = shopper.drafts(loop.time())
        while True:
            try:
                await commerce.accept(f"key of {drafts[0].event_id}", drafts)
                break
            except TransientError:
                await asyncio.sleep(shopper.random.uniform(0.1, 3.0))


@dataclass(slots=True)
class Partner:
    """A foreign service: its records carry no sequence, come twice now and then, and some are no events at all."""

    random: Random
    now: datetime
    tally: Counter[str]
    sent: list[bytes] = field(default_factory=list)

    async def run(self, log: Any, tps: list[TopicPartition], mean_pause_s: float) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self.random.expovariate(1 / mean_pause_s))
            tp = self.random.choice(tps)
            try:
                await log.append(tp, [Record(b"partner", self._value(loop.time(), tp))])
            except EventStoreError:
                continue  # It may send the same again, or never.

    def _value(self, at_s: float, tp: TopicPartition) -> bytes | None:
        if self.random.random() < 0.3:
            self.tally["poison"] += 1
            return self.random.choice((None, b"", b"not JSON", b"{}", self._event(at_s, "ProductWished"), b"\xff\xfe"))
        if self.sent and self.random.random() < 0.3:
            self.tally["foreign duplicate"] += 1
            return self.random.choice(self.sent)
        self.sent.append(self._event(at_s, "ProductView"))
        return self.sent[-1]

    def _event(self, at_s: float, name: str) -> bytes:
        at = format_time((self.now + timedelta(seconds=at_s)).astimezone(UTC))
        event = {
            "specversion": "1.0",
            "type": f"com.countinghouse.catalog.{name}.v1",
            "source": "/partner",
            "id": f"partner-{len(self.sent)}",
            "time": self.random.choice((at, at[:-8] + "Z", at.replace("Z", "+00:00"))),
            "data": {"product_id": self.random.choice(PRODUCTS), "visitor_id": "v", "currency": "GBP"},
        }
        return json.dumps(event).encode()
