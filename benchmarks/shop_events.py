"""Events of a busy shop for the benchmarks: 80 % views, 15 % likes, 5 % payments of three lines, 500 products.

They are made by the codec, a few thousand of each kind, and then re-dated and renumbered as text, because making a
million drafts would take longer than counting them. Time goes on evenly through `days` days.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

from event_store.codec import Codec
from event_store.envelope import format_time
from event_store.events import LikeChanged, Line, Payload, PaymentCompleted, ProductView
from event_store.record import TopicPartition
from event_store.topics import CATALOG_EVENTS, PARTITIONS, partition_for, partitions_of

PRODUCTS = 500
START = datetime(2026, 1, 1, tzinfo=UTC)
SOURCE = "/countinghouse/commerce/benchmark/1"
_ANYTIME = format_time(START).encode()
_ANY_ID = re.compile(rb'"id":"[0-9a-f-]{36}"')


def partitions(topics: Mapping[str, int] = PARTITIONS) -> list[TopicPartition]:
    return partitions_of(topics)


Row = tuple[TopicPartition, str, bytes]


def rows(
    count: int, *, first: int = 0, days: float = 1.0, seed: int = 1, topics: Mapping[str, int] = PARTITIONS
) -> Iterator[Row]:
    """(partition, key, envelope without its place in a lane) of `count` events, in order of time."""
    chance = random.Random(seed)
    stock = _stock(chance, topics)
    step = timedelta(days=days) / count
    (text, text_until) = (_ANYTIME, START)
    for number in range(first, first + count):
        at = START + step * number
        if at >= text_until:
            (text, text_until) = (format_time(at).encode(), at + timedelta(seconds=1))
        (tp, key, head, middle, tail) = chance.choice(stock)
        yield tp, key, b'%b"id":"%032x"%b%b%b' % (head, number, middle, text, tail)


def _stock(chance: random.Random, topics: Mapping[str, int]) -> list[tuple[TopicPartition, str, bytes, bytes, bytes]]:
    codec = Codec()
    pieces = []
    for number in range(20_000):
        draft = codec.draft(_payload(chance, number), START)
        topic = draft.event_type.topic or CATALOG_EVENTS
        (head, rest) = _ANY_ID.split(draft.payload)
        (middle, tail) = rest.split(_ANYTIME)
        tp = TopicPartition(topic.name, partition_for(draft.key.encode(), topics[topic.name]))
        pieces.append((tp, draft.key, head, middle, tail))
    return pieces


def _payload(chance: random.Random, number: int) -> Payload:
    kind = number % 20
    product_id = f"product-{chance.randrange(PRODUCTS)}"
    if kind < 16:
        return ProductView(product_id, f"visitor-{chance.randrange(100_000)}", "GBP")
    if kind < 19:
        return LikeChanged(product_id, f"user-{chance.randrange(100_000)}", "GBP", 1)
    lines = [Line(f"product-{chance.randrange(PRODUCTS)}", 1 + line, 995) for line in range(3)]
    return PaymentCompleted(f"order-{number}", f"payment-{number}", "GBP", lines)
