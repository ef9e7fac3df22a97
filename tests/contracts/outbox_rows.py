"""What the outbox suites write, and how they look at it as a relay does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import count

from event_store.codec import Codec, Draft
from event_store.events import Line, PaymentCompleted, ProductListed, RecordWithheld
from event_store.outbox import ClaimedRow, Lane, LaneStatus, Outbox
from event_store.record import TopicPartition

AT = datetime(2011, 3, 4, 12, 30, tzinfo=UTC)
LONG_S = 30.0
SHORT_S = 0.05
ORDERS = TopicPartition("order-events", 0)
"""The one lane of its topic, so that every paid order comes to it."""

_codec = Codec()
_numbers = count(1)


def paid() -> Draft:
    number = next(_numbers)
    payload = PaymentCompleted(f"order {number}", f"payment {number}", "GBP", [Line("85123A", 2, 510)])
    return _codec.draft(payload, AT)


def listed(product_id: str) -> Draft:
    return _codec.draft(ProductListed(product_id, next(_numbers), "Lantern", 255, "GBP"), AT)


def withheld(event_id: str) -> Draft:
    return _codec.draft(RecordWithheld(event_id, "PaymentCompleted", "too large"), AT)


async def lane_of(outbox: Outbox, owner: str = "relay", tp: TopicPartition = ORDERS) -> Lane:
    held = {lane.tp: lane for lane in await outbox.hold_lanes(owner, LONG_S)}
    return held[tp]


async def status_of(outbox: Outbox, tp: TopicPartition = ORDERS) -> LaneStatus:
    return next(status for status in await outbox.lanes() if status.tp == tp)


async def claimed(outbox: Outbox, lane: Lane, most: int = 1000) -> list[ClaimedRow]:
    return [row for rows in await outbox.claim([lane], most) for row in rows.rows]


def places(rows: Sequence[ClaimedRow]) -> list[tuple[int, str]]:
    return [(row.sequence, row.event_id) for row in rows]


def numbered(drafts: Sequence[Draft], first: int = 1) -> list[tuple[int, str]]:
    return [(first + index, draft.event_id) for index, draft in enumerate(drafts)]
