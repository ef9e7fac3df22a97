"""Duplicates, order, lateness, sources and the split into batches change no figure (DESIGN law 6)."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from event_store.codec import Codec
from event_store.decoded_batch import decode_batch
from event_store.envelope import format_time, parse_time, stamp
from event_store.events import LikeChanged, Line, Payload, PaymentCompleted, PaymentRefunded, ProductListed, ProductView
from event_store.record import RecordBatch, TopicPartition
from projections.catalogue import PROJECTIONS
from projections.memory_read_model import MemoryReadModel
from projections.metric import Metric
from projections.projection import Projection
from projections.projector import Projector

CODEC = Codec()
TP = TopicPartition("order-events", 0)
START = datetime(2011, 3, 4, 12, tzinfo=UTC)
NOW_US = 1_699_999_999_000_000

PRODUCTS = st.sampled_from(["85123A", "85123a", "POST"])
CURRENCIES = st.sampled_from(["GBP", "EUR"])
LINES = st.lists(st.builds(Line, PRODUCTS, st.integers(1, 9), st.integers(0, 10_000)), min_size=1, max_size=4)
SALES = st.integers(0, 50).map(lambda back: format_time(START - timedelta(minutes=back)))
"""When the sale was that a refund undoes."""
PAYLOADS: st.SearchStrategy[Payload] = st.one_of(
    st.builds(ProductListed, PRODUCTS, st.integers(1, 3), st.sampled_from("ab"), st.integers(1, 2), CURRENCIES),
    st.builds(ProductView, PRODUCTS, st.just("visitor"), CURRENCIES),
    st.builds(LikeChanged, PRODUCTS, st.just("user"), CURRENCIES, st.sampled_from([1, -1])),
    st.builds(PaymentCompleted, st.just("order"), st.just("payment"), CURRENCIES, LINES),
    st.builds(PaymentRefunded, st.just("refund"), CURRENCIES, LINES, sold_at=st.none() | SALES),
)
FACTS = st.lists(st.tuples(PAYLOADS, st.integers(0, 59).map(lambda at: START + timedelta(minutes=at))), max_size=10)


@dataclass(frozen=True)
class History:
    """Distinct events and one log that shows each of them at least once, cut into batches."""

    events: Sequence[tuple[Payload, datetime]]
    log: Sequence[bytes]
    batches: Sequence[int]
    """How many records each batch has at most; the last goes on to the end."""


@st.composite
def histories(draw: st.DrawFn) -> History:
    events = draw(FACTS.filter(bool))
    values = []
    counters: dict[str, int] = defaultdict(int)
    for payload, at in events:
        row = CODEC.draft(payload, at).payload
        source = draw(st.sampled_from(["/shop/1", "/shop/2", "/till"]))
        counters[source] += 1
        foreign = b'%b,"source":"/till"}' % row[:-1]
        values.append(foreign if source == "/till" else stamp(row, source, counters[source]))
    again = draw(st.lists(st.sampled_from(values), max_size=8))
    log = draw(st.permutations([*values, *again]))
    return History(events, log, draw(st.lists(st.integers(1, 7), max_size=6)))


def cut(log: Sequence[bytes], sizes: Iterable[int]) -> list[RecordBatch]:
    batches = []
    offset = 0
    for size in [*sizes, len(log)]:
        values = log[offset : offset + size]
        if values:
            batches.append(RecordBatch(TP, offset, values, [None] * len(values), [NOW_US] * len(values)))
        offset += len(values)
    return batches


def counted(history: History) -> dict[str, list[dict[str, Any]]]:
    async def count() -> dict[str, list[dict[str, Any]]]:
        read_model = MemoryReadModel(lambda: NOW_US)
        projector = Projector(read_model, await read_model.serving(), True, PROJECTIONS, CODEC)
        for batch in cut(history.log, history.batches):
            await projector.apply(batch)
        snapshot = await read_model.snapshot(await read_model.serving())
        return {name: rows.rows(named=True) for name, rows in snapshot.rows.items()}

    return asyncio.run(count())


def by_hand(events: Sequence[tuple[Payload, datetime]]) -> dict[str, list[dict[str, Any]]]:
    """The figures without polars, projections or a read model: each event looked at once."""
    sales: dict[Any, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    returns: dict[Any, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    interest: dict[Any, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    listings: dict[str, tuple[Any, ...]] = {}
    for payload, at in events:
        bucket = int(at.timestamp()) // 900 * 900
        match payload:
            case ProductListed():
                stands = (payload.version, payload.name, payload.price_minor, payload.currency)
                listings[payload.product_id] = max(listings.get(payload.product_id, stands), stands)
            case ProductView():
                interest[bucket, payload.product_id, payload.currency]["views"] += 1
            case LikeChanged():
                interest[bucket, payload.product_id, payload.currency]["likes"] += payload.delta
            case PaymentCompleted() | PaymentRefunded():
                paid = isinstance(payload, PaymentCompleted)
                (orders, units, minor) = (
                    ("orders", "units_sold", "gross_minor") if paid else ("refunds", "units_refunded", "refunded_minor")
                )
                for line in payload.lines:
                    cell = sales[bucket, line.product_id, payload.currency]
                    cell[units] += line.quantity
                    cell[minor] += line.amount_minor
                for product_id in {line.product_id for line in payload.lines}:
                    sales[bucket, product_id, payload.currency][orders] += 1
                if isinstance(payload, PaymentRefunded) and payload.sold_at is not None:
                    _trace(returns, payload, int(parse_time(payload.sold_at).timestamp()) // 900 * 900, "sale")
                    _trace(returns, payload, bucket, "traced")
    return {
        "sales": cells(PROJECTIONS[0], sales),
        "interest": cells(PROJECTIONS[1], interest),
        "returns": cells(PROJECTIONS[2], returns),
        "listing": [
            {"product_id": key, **dict(zip(("version", "name", "price_minor", "currency"), stands, strict=True))}
            for key, stands in sorted(listings.items())
        ],
    }


def _trace(returns: dict[Any, dict[str, int]], refund: PaymentRefunded, bucket: int, kind: str) -> None:
    for line in refund.lines:
        returns[bucket, line.product_id, refund.currency][f"{kind}_refunded_minor"] += line.amount_minor
    for product_id in {line.product_id for line in refund.lines}:
        returns[bucket, product_id, refund.currency][f"{kind}_refunds"] += 1


def cells(projection: Projection, found: dict[Any, dict[str, int]]) -> list[dict[str, Any]]:
    rows = [
        {"bucket": bucket, "product_id": product_id, "currency": currency}
        | {metric.name: metrics[metric.name] for metric in projection.metrics}
        for (bucket, product_id, currency), metrics in found.items()
    ]
    return sorted(rows, key=lambda row: [row[column] for column in projection.key])


def as_rows(found: dict[str, list[dict[str, Any]]]) -> dict[str, list[list[tuple[str, Any]]]]:
    return {name: [sorted(row.items()) for row in rows] for name, rows in found.items()}


@given(histories())
def test_any_order_split_and_repetition_gives_the_figures_counted_by_hand(history: History) -> None:
    assert as_rows(counted(history)) == as_rows(by_hand(history.events))


@given(FACTS.filter(bool), st.integers(0, 10))
def test_increments_of_parts_merge_into_the_increments_of_the_whole(
    events: list[tuple[Payload, datetime]], at: int
) -> None:
    log = [stamp(CODEC.draft(payload, time).payload, "/shop/1", n) for n, (payload, time) in enumerate(events, 1)]
    whole = decode_batch(CODEC, cut(log, [])[0]).facts
    parts = [decode_batch(CODEC, batch).facts for batch in cut(log, [at] if at else [])]
    for projection in PROJECTIONS:
        frames = [frame for part in parts if (frame := projection.increments(part)) is not None]
        expected = projection.increments(whole)
        if expected is None:
            assert frames == []
        else:
            assert projection.merged(pl.concat(frames)).equals(expected)
            assert projection.merged(pl.concat(frames[::-1])).equals(expected)


@given(FACTS.filter(bool))
def test_contributions_add_up_to_the_increments(events: list[tuple[Payload, datetime]]) -> None:
    log = [stamp(CODEC.draft(payload, time).payload, "/shop/1", n) for n, (payload, time) in enumerate(events, 1)]
    facts = decode_batch(CODEC, cut(log, [])[0]).facts
    for projection in PROJECTIONS:
        rows = {event: facts[event] for event in projection.contributions if event in facts}
        keys = {key for frame in rows.values() for key in _keys(projection, frame)}
        increments = projection.increments(facts)
        assert (increments is None) == (not keys)
        if increments is not None:
            for metric in projection.metrics:
                if metric.merge == "add":
                    assert _added(projection, metric, rows) == increments[metric.name].sum()
            assert keys == set(increments.select(projection.key).rows())


def _keys(projection: Projection, rows: pl.DataFrame) -> list[tuple[Any, ...]]:
    """The cells that these facts add to."""
    if projection.by_sale:
        rows = rows.filter(pl.col("sale_bucket").is_not_null())
    buckets = {projection.bucket_of(metric.name) for metric in projection.metrics}
    return [
        key
        for bucket in buckets
        for key in rows.select(pl.col(bucket if name == "bucket" else name) for name in projection.key).rows()
    ]


@given(histories())
def test_refunds_by_day_of_sale_and_those_of_unknown_sales_are_all_refunds(history: History) -> None:
    figures = counted(history)
    for by_sale, traced, every in (
        ("sale_refunds", "traced_refunds", "refunds"),
        ("sale_refunded_minor", "traced_refunded_minor", "refunded_minor"),
    ):
        untraced: Counter[tuple[str, str]] = Counter()
        for row in figures["sales"]:
            untraced[row["product_id"], row["currency"]] += row[every]
        of_sales: Counter[tuple[str, str]] = Counter()
        for row in figures["returns"]:
            untraced[row["product_id"], row["currency"]] -= row[traced]
            of_sales[row["product_id"], row["currency"]] += row[by_sale] - row[traced]
        assert set(of_sales.values()) <= {0}
        assert +untraced == _untraced(history.events, every)


def _untraced(events: Sequence[tuple[Payload, datetime]], metric: str) -> Counter[tuple[str, str]]:
    """(product, currency) → what the refunds of unknown sales add."""
    found: Counter[tuple[str, str]] = Counter()
    for payload, _ in events:
        if isinstance(payload, PaymentRefunded) and payload.sold_at is None:
            for line in payload.lines:
                found[line.product_id, payload.currency] += line.amount_minor if metric == "refunded_minor" else 0
            for product_id in {line.product_id for line in payload.lines}:
                found[product_id, payload.currency] += metric == "refunds"
    return +found


def _added(projection: Projection, metric: Metric, rows: Mapping[str, pl.DataFrame]) -> int:
    """What an explanation adds up to: each event's own contribution, one after the other, where it has a bucket."""
    placed = pl.col(projection.bucket_of(metric.name)).is_not_null()
    return sum(
        value
        for event, adds in projection.contributions.items()
        if event in rows and metric.name in adds
        for value in rows[event]
        .filter(placed)
        .select(value=adds[metric.name] + pl.lit(0) * pl.col("offset"))["value"]
        .to_list()
    )
