"""Finding records of the log: by any id they name, by type, by place and by time, the newest first.

A search looks through the log itself, backwards, so what it finds is complete: it ends after a page of findings or
after so many records, and says where it goes on.
"""

from __future__ import annotations

import asyncio
import heapq
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from event_store.codec import Codec
from event_store.envelope import format_time, parse_time
from event_store.events import EVENT_TYPES
from event_store.log import Log
from event_store.record import MAX_BATCH_RECORDS, RecordBatch, TopicPartition
from projections.periods import QuestionError

MOST_SEARCHED = 120_000
"""Records that one answer looks at, at most: about half a second's."""
ID_FIELDS = frozenset({"product_id", "order_id", "user_id", "visitor_id", "buyer_id", "payment_id", "refund_id"})
"""Fields of an event's data that name something."""
UNREADABLE = "unreadable"
EVENTS = (*dict.fromkeys(kind.name for kind in EVENT_TYPES), UNREADABLE)
MOST_TEXT = 200


class UnknownEvent(QuestionError):
    """No event bears that name."""


class TooLongText(QuestionError):
    """No id is so long."""


class BadTime(QuestionError):
    """A time is an instant with its zone."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a record must have to be found; what is None doesn't matter."""

    text: str | None = None
    """An id: of the event, its key, or anything that its data names by an id."""
    event: str | None = None
    """`ProductView`, or `unreadable` for records that are no event of ours."""
    topic: str | None = None
    partition: int | None = None
    times: tuple[str, str] | None = None
    """Canonical times, the first included and the second not."""

    def of_partition(self, tp: TopicPartition) -> bool:
        return self.topic in (None, tp.topic) and self.partition in (None, tp.partition)


def wanted_record(
    text: str | None, event: str | None, topic: str | None, partition: int | None, times: tuple[str, str] | None
) -> Wanted:
    """Raises UnknownEvent, TooLongText."""
    if text is not None and len(text) > MOST_TEXT:
        raise TooLongText(f"an id has at most {MOST_TEXT} characters, and that text has {len(text)}")
    if event is not None and event not in EVENTS:
        raise UnknownEvent(f"no event {event[:32]!r}; there are {', '.join(EVENTS)}")
    return Wanted(text or None, event, topic, partition, times)


def canonical_time(text: str) -> str:
    """Raises BadTime."""
    try:
        return format_time(parse_time(text))
    except ValueError as error:
        raise BadTime(f"{text[:48]!r} is no time; write it as 2011-03-04T12:30:00Z") from error


@dataclass(frozen=True, slots=True)
class Found:
    records: Sequence[RecordBatch]
    """Of one record each, the newest first, by the log's time and then by place."""
    searched: int
    """How many records were looked at."""
    back_to_us: int | None
    """The log's time of the oldest of them."""
    onward: Mapping[TopicPartition, int] | None
    """Below which offsets the search goes on; None where everything was looked at."""


@dataclass(frozen=True, slots=True)
class EventSearch:
    log: Log
    codec: Codec
    most_searched: int = MOST_SEARCHED

    async def find(self, wanted: Wanted, most: int, below: Mapping[TopicPartition, int] | None = None) -> Found:
        """`below` is `onward` of the answer before."""
        ends = await self._ends(wanted, below)
        (cursors, found, searched, back_to_us) = (dict(ends), list[RecordBatch](), 0, None)
        async for record in _newest([_Backwards(self.log, tp, begin, end) for tp, (begin, end) in ends.items()]):
            cursors[record.tp] = (cursors[record.tp][0], record.first_offset)
            searched += 1
            back_to_us = record.appended_at_us[0]
            if self._is_wanted(wanted, record):
                found.append(record)
            if len(found) == most or searched == self.most_searched:
                break
            if not searched % MAX_BATCH_RECORDS:
                await asyncio.sleep(0)  # Others are served, too.
        left = {tp: end for tp, (begin, end) in cursors.items() if end > begin}
        return Found(found, searched, back_to_us, left or None)

    async def _ends(
        self, wanted: Wanted, below: Mapping[TopicPartition, int] | None
    ) -> dict[TopicPartition, tuple[int, int]]:
        """(first, after the last) of each partition that is searched."""
        topics = await self.log.topics()
        every = [TopicPartition(topic, number) for topic, count in topics.items() for number in range(count)]
        asked = sorted(tp for tp in every if wanted.of_partition(tp) and (below is None or tp in below))
        bounds = await self.log.bounds(asked)
        return {tp: (one.begin, one.end if below is None else min(below[tp], one.end)) for tp, one in bounds.items()}

    def _is_wanted(self, wanted: Wanted, record: RecordBatch) -> bool:
        value = record.values[0]
        if wanted.text is not None and not _may_name(wanted.text, value, record.keys[0]):
            return False
        if wanted == Wanted(topic=wanted.topic, partition=wanted.partition):
            return True
        said = _said(value)
        if wanted.event is not None and wanted.event != _event_of(self.codec, said):
            return False
        if wanted.times is not None and not wanted.times[0] <= _time_of(said) < wanted.times[1]:
            return False
        return wanted.text is None or wanted.text in _names(said, record.keys[0])


@dataclass(slots=True)
class _Backwards:
    """A partition's records from the last to the first, read a stretch at a time."""

    log: Log
    tp: TopicPartition
    begin: int
    end: int
    stretch: RecordBatch | None = None

    async def take(self) -> RecordBatch | None:
        """The record before the last one taken; None at the beginning."""
        if self.end <= self.begin:
            return None
        if self.stretch is None or self.stretch.first_offset >= self.end:
            start = max(self.begin, self.end - MAX_BATCH_RECORDS)
            self.stretch = await self.log.read(self.tp, start, self.end - start)
        self.end -= 1
        at = self.end - self.stretch.first_offset
        return self.stretch.slice(at, at + 1)


async def _newest(partitions: Sequence[_Backwards]) -> AsyncIterator[RecordBatch]:
    """The records of many partitions in one order: the newest first."""
    heads: list[tuple[int, TopicPartition, RecordBatch, _Backwards]] = []

    async def push(one: _Backwards) -> None:
        record = await one.take()
        if record is not None:
            heapq.heappush(heads, (-record.appended_at_us[0], record.tp, record, one))

    for one in partitions:
        await push(one)
    while heads:
        (*_, record, one) = heapq.heappop(heads)
        yield record
        await push(one)


def _may_name(text: str, value: bytes | None, key: bytes | None) -> bool:
    """A quick look at the bytes; a value with escapes may spell the text otherwise."""
    held = value or b""
    return text.encode("utf-8", "replace") in held or b"\\" in held or key == text.encode("utf-8", "replace")


def _said(value: bytes | None) -> dict[str, Any]:
    try:
        said = json.loads(value or b"")
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _event_of(codec: Codec, said: Mapping[str, Any]) -> str:
    kind = codec.kind_of(str(said.get("type")))
    return kind.name if kind else UNREADABLE


def _time_of(said: Mapping[str, Any]) -> str:
    """Canonical; "" where there is none."""
    try:
        return canonical_time(str(said.get("time")))
    except BadTime:
        return ""


def _names(said: Mapping[str, Any], key: bytes | None) -> set[str]:
    """Every id that a record names."""
    ids = {str(said.get(name)) for name in ("id", "originid", "source", "originsource") if said.get(name)}
    return {*ids, (key or b"").decode("utf-8", "backslashreplace"), *_ids_in(said.get("data"))}


def _ids_in(data: Any) -> Iterator[str]:
    if isinstance(data, dict):
        for name, value in data.items():
            if name in ID_FIELDS and isinstance(value, str):
                yield value
            elif isinstance(value, list | dict):
                yield from _ids_in(value)
    elif isinstance(data, list):
        for one in data:
            yield from _ids_in(one)
