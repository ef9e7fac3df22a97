"""Records of the log, told for people: what each says, what it adds to which figures, and whether it is counted."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl

from event_store.codec import Codec
from event_store.decoded_batch import DecodedBatch, decode_batch
from event_store.head import Head, read_head
from event_store.history import History
from event_store.record import RecordBatch, TopicPartition
from projections.catalogue import FIGURES
from projections.metric import Unit
from projections.periods import QuestionError
from projections.read_model import ReadModel

from .event_search import EventSearch, Found, Wanted
from .instants import instant
from .money import money
from .places import onward_named


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
    at: datetime
    """The beginning of the quarter of an hour in which it is counted."""

    @property
    def shown(self) -> str:
        return money(self.value, self.currency) if self.is_money else f"{self.value:,}"

    @property
    def quarter(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} UTC"


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
    record = await history.log.read(tp, offset, 1)
    return _told(history.codec, record, await _counted_to(read_model))


async def records_found(
    history: History, read_model: ReadModel, wanted: Wanted, most: int, below: str | None
) -> tuple[list[Recorded], Found]:
    """`below` is where the search before goes on, as text. Raises BadPlace."""
    search = EventSearch(history.log, history.codec)
    found = await search.find(wanted, most, None if below is None else onward_named(below))
    counted_to = await _counted_to(read_model)
    return [_told(history.codec, record, counted_to) for record in found.records], found


async def _counted_to(read_model: ReadModel) -> dict[TopicPartition, int]:
    """Of each partition."""
    return {one.tp: one.next_offset for one in await read_model.progress(await read_model.serving())}


def _told(codec: Codec, record: RecordBatch, counted_to: Mapping[TopicPartition, int]) -> Recorded:
    decoded = decode_batch(codec, record)
    dead = decoded.dead[0] if decoded.dead else None
    head = read_head(record.values[0]) or Head()
    counted = "dead letter" if dead else "counted"
    return Recorded(
        topic=record.tp.topic,
        partition=record.tp.partition,
        offset=record.first_offset,
        appended_at=instant(record.appended_at_us[0]),
        key=text_of(record.keys[0]),
        event_type=None if dead else head.type,
        event_id=_if_text(head.id),
        time=_if_text(head.time),
        source=_if_text(head.source),
        sequence=decoded.lanes[0].sequences[0] if decoded.lanes else None,
        state=counted if record.first_offset < counted_to.get(record.tp, 0) else "on its way",
        reason=dead.reason if dead else None,
        detail=dead.detail if dead else None,
        raw=text_of(record.values[0]),
        size_bytes=len(record.values[0] or b""),
        additions=additions_of(decoded),
    )


def additions_of(decoded: DecodedBatch) -> list[Addition]:
    return [
        Addition(
            row["product_id"],
            metric.name,
            metric.title,
            row["currency"],
            row[metric.name],
            metric.unit is Unit.MONEY,
            datetime.fromtimestamp(row["bucket"], UTC),
        )
        for projection in FIGURES
        if (increments := projection.increments(decoded.facts)) is not None
        for row in increments.sort(pl.col("product_id")).iter_rows(named=True)
        for metric in projection.metrics
        if row[metric.name]
    ]


def _if_text(said: object) -> str | None:
    return said if isinstance(said, str) else None


def text_of(value: bytes | None) -> str:
    """What is no text is written as escapes of its bytes."""
    return (value or b"").decode("utf-8", "backslashreplace")
