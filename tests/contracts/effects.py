"""Batches as a projector commits them, for the read model suites."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from event_store.dead_letters import DeadLetter
from event_store.handled import HandledRanges
from event_store.inbox import InboxEntry, Position
from event_store.record import TopicPartition
from projections.interest import INTEREST
from projections.listings import LISTINGS
from projections.projection import Projection
from projections.read_model import Effect, Increments, ReadModel
from projections.sales import SALES

TP = TopicPartition("order-events", 0)
OTHER = TopicPartition("catalog-events", 3)
SOURCE = "/countinghouse/commerce/1"
APPENDED_AT_US = 1_700_000_000_000_000
NOON = 1_299_240_000
"""2011-03-04 12:00 UTC, in seconds since 1970: the start of a bucket."""
BUCKET = 900


@dataclass(frozen=True, slots=True)
class Batch:
    """What a test says of one batch; the rest is filled in by `commit`."""

    records: int = 1
    increments: Increments = field(default_factory=dict)
    handled: Mapping[str, HandledRanges] | None = None
    foreign_ids: Sequence[tuple[str, str]] = ()
    dead: Sequence[tuple[int, bytes | None]] = ()
    """(offset, raw)"""
    duplicates: int = 0
    tp: TopicPartition = TP


async def commit(read_model: ReadModel, generation: int, batch: Batch, *, serving: bool = True) -> None:
    """Commits `batch` where the partition stands, as a projector that has read the position would."""
    before = await read_model.position(generation, batch.tp)
    await read_model.commit(effect(generation, before, batch), serving=serving)


def effect(generation: int, before: Position, batch: Batch) -> Effect:
    next_offset = before.next_offset + batch.records
    handled = {SOURCE: HandledRanges(((1, next_offset),))} if batch.handled is None else batch.handled
    entry = InboxEntry(
        generation=generation,
        tp=batch.tp,
        before=before,
        after=Position(next_offset, next_offset * 7, handled),
        foreign_ids=batch.foreign_ids,
        dead_letters=[letter(offset, raw, batch.tp) for offset, raw in batch.dead],
        last_appended_at_us=APPENDED_AT_US + next_offset,
        duplicates=batch.duplicates,
    )
    return Effect([entry], batch.increments)


def letter(offset: int, raw: bytes | None, tp: TopicPartition = TP) -> DeadLetter:
    return DeadLetter(tp, offset, raw, "NOT_JSON", f"JSON is malformed at {offset}", APPENDED_AT_US + offset)


def rows(projection: Projection, *cells: Mapping[str, object]) -> Increments:
    """Increments with these rows; what a row doesn't say is GBP, noon and zero."""
    texts = {"product_id", "currency", "name"}
    schema = {column: pl.String if column in texts else pl.Int64 for column in projection.columns}
    silent = {"currency": "GBP", "bucket": NOON}
    values = [[cell.get(column, silent.get(column, 0)) for column in projection.columns] for cell in cells]
    return {projection.name: pl.DataFrame(values, schema=schema, orient="row").sort(projection.key)}


def sold(product_id: str, gross_minor: int, *, currency: str = "GBP", bucket: int = NOON) -> Increments:
    """One order of one unit."""
    cell = {"product_id": product_id, "currency": currency, "bucket": bucket}
    return rows(SALES, {**cell, "orders": 1, "units_sold": 1, "gross_minor": gross_minor})


def viewed(product_id: str, views: int, likes: int = 0, *, bucket: int = NOON) -> Increments:
    return rows(INTEREST, {"product_id": product_id, "bucket": bucket, "views": views, "likes": likes})


def listing(product_id: str, version: int, name: str, price_minor: int = 100) -> Increments:
    cell = {"product_id": product_id, "version": version, "name": name, "price_minor": price_minor}
    return rows(LISTINGS, cell)


async def gross(read_model: ReadModel, generation: int) -> dict[str, int]:
    """Product → gross of all its rows."""
    frame = await read_model.rows(generation, "sales")
    return dict(frame.group_by("product_id").agg(pl.col("gross_minor").sum()).iter_rows())
