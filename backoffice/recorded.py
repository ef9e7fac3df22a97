"""One record of the log, told for people: what it says, what it adds to which figures, and whether it is counted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl

from event_store.codec import Codec
from event_store.decoded_batch import DecodedBatch, decode_batch
from event_store.history import History
from event_store.record import RecordBatch, TopicPartition
from projections.catalogue import FIGURES
from projections.metric import Unit
from projections.periods import QuestionError
from projections.read_model import ReadModel


class NoSuchRecord(QuestionError):
    """The log has nothing at that place."""


@dataclass(frozen=True, slots=True)
class Addition:
    """What the record adds to one figure of one product."""

    product_id: str
    metric: str
    title: str
    currency: str
    value: int
    is_money: bool


@dataclass(frozen=True, slots=True)
class Recorded:
    topic: str
    partition: int
    offset: int
    appended_at: datetime
    key: str
    """With `\\x..` for what is no text."""
    event_type: str | None
    """None for a record that can't be read."""
    event_id: str | None
    time: str | None
    source: str | None
    sequence: int | None
    state: str
    """`counted`, `on its way`, or `dead letter` in the serving generation."""
    reason: str | None
    """Of a record that can't be counted."""
    detail: str | None
    raw: str
    """The value, with `\\x..` for what is no text; empty for a tombstone."""
    size_bytes: int
    additions: Sequence[Addition]

    @property
    def pretty(self) -> str | None:
        """The value laid out, where it is JSON and saying every name once loses nothing."""
        try:
            return json.dumps(json.loads(self.raw), indent=2, ensure_ascii=False)
        except (ValueError, RecursionError):
            return None


async def recorded_at(history: History, read_model: ReadModel, tp: TopicPartition, offset: int) -> Recorded:
    """Raises NoSuchRecord, and LogUnavailable where the log can't be asked."""
    partitions = await history.log.topics()
    if not 0 <= tp.partition < partitions.get(tp.topic, 0):
        raise NoSuchRecord(f"the log has no partition {tp.topic[:64]}/{tp.partition}")
    bounds = (await history.log.bounds([tp]))[tp]
    if not bounds.begin <= offset < bounds.end:
        raise NoSuchRecord(f"{tp} has offsets {bounds.begin} to {bounds.end - 1}, and none {offset}")
    batch = await history.log.read(tp, offset, 1)
    (told,) = tell(history.codec, batch, await positions(read_model))
    return told


async def positions(read_model: ReadModel) -> dict[TopicPartition, int]:
    """Up to where each partition is counted."""
    return {one.tp: one.next_offset for one in await read_model.progress(await read_model.serving())}


def tell(codec: Codec, batch: RecordBatch, counted_to: dict[TopicPartition, int]) -> list[Recorded]:
    return [_told(codec, batch.slice(at, at + 1), counted_to.get(batch.tp, 0)) for at in range(len(batch))]


def _told(codec: Codec, record: RecordBatch, counted_to: int) -> Recorded:
    decoded = decode_batch(codec, record)
    dead = decoded.dead[0] if decoded.dead else None
    said = _said(record.values[0])
    counted = "dead letter" if dead else "counted"
    return Recorded(
        topic=record.tp.topic,
        partition=record.tp.partition,
        offset=record.first_offset,
        appended_at=datetime.fromtimestamp(record.appended_at_us[0] / 1e6, UTC),
        key=_text(record.keys[0]),
        event_type=None if dead else said.get("type"),
        event_id=said.get("id"),
        time=said.get("time"),
        source=said.get("source"),
        sequence=decoded.lanes[0].sequences[0] if decoded.lanes else None,
        state=counted if record.first_offset < counted_to else "on its way",
        reason=dead.reason if dead else None,
        detail=dead.detail if dead else None,
        raw=_text(record.values[0]),
        size_bytes=len(record.values[0] or b""),
        additions=_additions(decoded),
    )


def _additions(decoded: DecodedBatch) -> list[Addition]:
    return [
        Addition(
            row["product_id"], metric.name, metric.title, row["currency"], row[metric.name], metric.unit is Unit.MONEY
        )
        for projection in FIGURES
        if (increments := projection.increments(decoded.facts)) is not None
        for row in increments.sort(pl.col("product_id")).iter_rows(named=True)
        for metric in projection.metrics
        if row[metric.name]
    ]


def _said(value: bytes | None) -> dict[str, Any]:
    """The texts of the envelope, as far as there are any."""
    try:
        said = json.loads(value or b"")
    except (ValueError, RecursionError):
        return {}
    texts = ("type", "id", "time", "source")
    return {name: said[name] for name in texts if isinstance(said.get(name), str)} if isinstance(said, dict) else {}


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "backslashreplace")
