"""Histories that Hypothesis draws: events of every kind, as lanes, foreign services and vandals leave them in a log."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from event_store.codec import Codec
from event_store.envelope import format_time, stamp
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
from event_store.record import RecordBatch, TopicPartition
from tests.simulation.virtual_time import EPOCH_US

from .line import NOON, TPS

Values = Sequence[bytes | None]


@cache
def codec() -> Codec:
    return Codec()


_products = st.sampled_from(["lantern", "teapot", "Teapot", "clock"])
_currencies = st.sampled_from(["GBP", "EUR"])
_ids = st.integers(0, 9).map("id-{}".format)
_lines = st.lists(st.builds(Line, _products, st.integers(1, 5), st.integers(0, 10**6)), min_size=1, max_size=4)

_sales = st.none() | st.sampled_from([86_400, 87_301, 864_000]).map(
    lambda age_s: format_time(NOON - timedelta(seconds=age_s))
)
"""When the sale was that a refund undoes: never after the oldest event."""

payloads: st.SearchStrategy[Payload] = st.one_of(
    st.builds(ProductView, _products, _ids, _currencies),
    st.builds(LikeChanged, _products, _ids, _currencies, st.sampled_from([1, -1])),
    st.builds(ProductListed, _products, st.integers(1, 4), _ids, st.integers(0, 999), _currencies),
    st.builds(PaymentCompleted, _ids, _ids, _currencies, _lines),
    st.builds(PaymentRefunded, _ids, _currencies, _lines, sold_at=_sales),
    st.builds(PaymentFailed, _ids, _ids),
)
_ages_s = st.sampled_from([0, 1, 899, 900, 86_400])


@dataclass(frozen=True, slots=True)
class Event:
    payload: Payload
    age_s: int

    def placed(self, source: str, sequence: int) -> bytes:
        """The record as a relay of `source` writes it."""
        draft = codec().draft(self.payload, NOON - timedelta(seconds=self.age_s), event_id=f"{source}-{sequence}")
        return stamp(draft.payload, source, sequence)

    def foreign(self, number: int) -> bytes:
        """The record as another service writes it: without a sequence, in its own spelling."""
        draft = codec().draft(self.payload, NOON, event_id=f"foreign-{number}")
        event: dict[str, Any] = {**json.loads(draft.payload), "source": "/partner"}
        event["time"] = format_time(NOON - timedelta(seconds=self.age_s)).replace("Z", "+00:00")
        return json.dumps(event, ensure_ascii=self.age_s > 0).encode()


events = st.builds(Event, payloads, _ages_s)
poison: st.SearchStrategy[bytes | None] = st.sampled_from(
    [None, b"", b"{", b"[]", b"\xff", b'{"type":"com.countinghouse.catalog.ProductView.v9","specversion":"1.0"}']
)


@st.composite
def lane(draw: st.DrawFn, tp: TopicPartition, source: str, most: int = 8) -> list[bytes]:
    """The records of one lane of `tp` in the order of their sequences, each once."""
    made = draw(st.lists(events, max_size=most))
    return [event.placed(f"{source} {tp}", number) for number, event in enumerate(made, start=1)]


@st.composite
def partitions(draw: st.DrawFn, most: int = 5) -> dict[TopicPartition, Values]:
    """A whole log: two lanes a partition, records of another service (some of them twice), and poison."""
    foreign = [event.foreign(number) for number, event in enumerate(draw(st.lists(events, max_size=4)))]
    log: dict[TopicPartition, Values] = {}
    for tp in TPS:
        parts: list[bytes | None] = [*draw(lane(tp, "/a", most)), *draw(lane(tp, "/b", most // 2))]
        if foreign:
            parts += draw(st.lists(st.sampled_from(foreign), max_size=4))
        log[tp] = parts + draw(st.lists(poison, max_size=2))
    return log


@st.composite
def arranged(draw: st.DrawFn, values: Values) -> Values:
    """The same records in any order, some of them several times."""
    again = draw(st.lists(st.sampled_from(values), max_size=6)) if values else []
    readable = [value for value in again if value is not None and value.endswith(b"}")]
    return draw(st.permutations([*values, *readable]))


@st.composite
def split(draw: st.DrawFn, tp: TopicPartition, values: Values) -> list[RecordBatch]:
    """The records as neighbouring batches of any sizes."""
    cuts = draw(st.sets(st.integers(1, max(1, len(values) - 1)), max_size=5)) if len(values) > 1 else set()
    edges = [0, *sorted(cuts), len(values)]
    whole = batch_of(tp, 0, values)
    return [whole.slice(start, stop) for start, stop in pairwise(edges) if stop > start]


def batch_of(tp: TopicPartition, first_offset: int, values: Values) -> RecordBatch:
    return RecordBatch(tp, first_offset, list(values), [b"key"] * len(values), [EPOCH_US] * len(values))


def events_of_every_kind() -> list[Event]:
    """The same ones each time."""
    line = Line("lantern", 2, 500)
    return [
        Event(ProductListed("lantern", 1, "Lantern", 250, "GBP"), 86_400),
        Event(ProductView("lantern", "visitor", "GBP"), 1),
        Event(ProductView("lantern", "visitor", "EUR"), 900),
        Event(LikeChanged("lantern", "user", "GBP", 1), 0),
        Event(LikeChanged("teapot", "user", "GBP", -1), 0),
        Event(PaymentCompleted("o1", "p1", "GBP", [line, line, Line("teapot", 1, 99)]), 0),
        Event(PaymentRefunded("r1", "GBP", [line], "o1", format_time(NOON - timedelta(days=2))), 0),
        Event(PaymentFailed("o2", "p2"), 0),
    ]
