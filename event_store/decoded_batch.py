"""A batch of records as the columns that projections fold: the one shape behind live counting, rebuild and explain.

The fast ways take a batch in which every record is as our relay writes it: compiled code reads it from end to end, and
where there is none, a few checks over the whole batch tell. As soon as one fails, every record goes through
`Codec.decode`, which alone defines what is valid; so a poisoned batch is slower, never different.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import compress

import msgspec
import polars as pl

from .batch_columns import BatchColumns, Identity, LaneRun
from .buckets import bucket_of, may_be_ahead, plain_buckets
from .codec import Codec, check_text
from .compiled_events import compiled_events
from .dead_letters import DeadLetter
from .envelope import Envelope
from .errors import UndecodableRecord
from .facts import Facts
from .pieces import Pieces
from .record import RecordBatch, TopicPartition, fingerprint
from .traceparent import traceparent_in

STRETCH_RECORDS = 500
"""How many records are decoded before their envelopes are dropped."""


@dataclass(frozen=True, slots=True)
class DecodedBatch:
    tp: TopicPartition
    first_offset: int
    next_offset: int
    last_fingerprint: int
    lanes: Sequence[LaneRun]
    foreign: Sequence[Identity]
    """Records that carry no sequence."""
    facts: Facts
    """Event name → frame, one row per product that the event speaks of (see facts.py)."""
    dead: Sequence[DeadLetter]
    last_appended_at_us: int
    repeated: int = 0
    """How many records were taken out because they were counted before."""
    traceparents: Sequence[str] = ()
    """Of the first of its events that came with one, where the codec notes them."""

    def __len__(self) -> int:
        return self.next_offset - self.first_offset

    def without(self, offsets: Sequence[int]) -> DecodedBatch:
        """The batch less what was counted before; its position still moves past all of it."""
        gone = set(offsets)
        facts = {name: frame.filter(~pl.col("offset").is_in(list(gone))) for name, frame in self.facts.items()}
        return replace(
            self,
            foreign=[one for one in self.foreign if one.offset not in gone],
            facts=facts,
            dead=[letter for letter in self.dead if letter.offset not in gone],
            repeated=self.repeated + len(gone),
        )


def decode_batch(codec: Codec, batch: RecordBatch) -> DecodedBatch:
    """Decodes `batch`, which must not be empty. Never raises for what a record holds."""
    if not codec.has_upcasters:
        decoded = _read_compiled(codec, batch)
        if decoded is not None:
            return decoded
        try:
            return _decode_canonical(codec, batch)
        except (msgspec.MsgspecError, RecursionError, UnicodeError, TypeError, KeyError, UndecodableRecord):
            pass  # At least one record needs judging on its own.
    return _decode_each(codec, batch)


def _read_compiled(codec: Codec, batch: RecordBatch) -> DecodedBatch | None:
    """None where a record needs judging."""
    compiled = compiled_events(tuple(codec.event_types)) if codec.is_compiled else None
    read = None if compiled is None else compiled.read(Pieces.of(batch.values), batch.first_offset)
    if read is None or may_be_ahead(read.latest_minute, min(batch.appended_at_us)):
        return None
    columns = BatchColumns(codec)
    columns.add_placed(batch.first_offset, len(batch), read.places)
    if codec.notes_traces:
        columns.add_traceparents(traceparent_in(value) for value in batch.values if value is not None)
    return _batch_of(batch, columns, read.facts, [])


def _decode_canonical(codec: Codec, batch: RecordBatch) -> DecodedBatch:
    columns = BatchColumns(codec)
    earliest_append_us = min(batch.appended_at_us)
    for start in range(0, len(batch), STRETCH_RECORDS):
        values = batch.values[start : start + STRETCH_RECORDS]
        envelopes = list(map(codec.decode_canonical, values))  # type: ignore[arg-type]
        # A control character is always escaped in JSON, so only a value with a backslash can hold one.
        if b"\\" in b"".join(values):  # type: ignore[arg-type]
            for envelope in compress(envelopes, [b"\\" in value for value in values]):  # type: ignore[operator]
                check_text(envelope)
        buckets = plain_buckets([envelope.time for envelope in envelopes], earliest_append_us)
        first = batch.first_offset + start
        columns.add(range(first, first + len(values)), envelopes, buckets)
    decoded = _batch_of(batch, columns, columns.facts(), [])
    if not _is_placed(decoded):
        raise UndecodableRecord("INVALID_EVENT", "a source is missing or a sequence is 0")
    return decoded


def _is_placed(decoded: DecodedBatch) -> bool:
    """Whether every record names its source, and no sequence is 0. Asked of whole runs, so it costs next to nothing."""
    return all(run.source and 0 not in run.sequences for run in decoded.lanes) and all(
        one.source for one in decoded.foreign
    )


def _decode_each(codec: Codec, batch: RecordBatch) -> DecodedBatch:
    offsets: list[int] = []
    envelopes: list[Envelope] = []
    dead: list[DeadLetter] = []
    placed: list[Identity] = []
    for index, value in enumerate(batch.values):
        offset = batch.first_offset + index
        try:
            envelope = codec.decode(value, batch.appended_at_us[index]).envelope
        except UndecodableRecord as error:
            dead.append(DeadLetter(batch.tp, offset, value, error.reason, error.detail, batch.appended_at_us[index]))
            place = codec.place_in_lane(value)
            if place is not None:
                placed.append(Identity(offset, place[0], place[1], ""))
        else:
            offsets.append(offset)
            envelopes.append(envelope)
    columns = BatchColumns(codec)
    columns.add(offsets, envelopes, [bucket_of(envelope.time) for envelope in envelopes])
    columns.add_unread(placed)
    return _batch_of(batch, columns, columns.facts(), dead)


def _batch_of(batch: RecordBatch, columns: BatchColumns, facts: Facts, dead: Sequence[DeadLetter]) -> DecodedBatch:
    return DecodedBatch(
        batch.tp,
        batch.first_offset,
        batch.next_offset,
        fingerprint(batch.values[-1]),
        columns.lanes(),
        columns.foreign,
        facts,
        dead,
        batch.appended_at_us[-1],
        traceparents=columns.traceparents,
    )
