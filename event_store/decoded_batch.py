"""A batch of records as the columns that projections fold: the one shape behind live counting, rebuild and explain.

The fast path takes a batch in which every record is as our relay writes it, which it can tell from a few checks
over the whole batch. As soon as one check fails, every record goes through `Codec.decode`, which alone defines
what is valid; so a poisoned batch is slower, never different.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import compress
from typing import NamedTuple

import msgspec
import polars as pl

from .codec import FUTURE_TOLERANCE, Codec, check_text
from .dead_letters import DeadLetter
from .envelope import Envelope
from .errors import UndecodableRecord
from .facts import FACTS, Facts, rows_of
from .record import RecordBatch, TopicPartition, fingerprint


class Identity(NamedTuple):
    """What tells a record from every other: its place in a lane, or, of a foreign producer, its id."""

    offset: int
    source: str
    sequence: int | None
    event_id: str


@dataclass(frozen=True, slots=True)
class LaneRun:
    """The records of one source in a batch, in offset order: parallel columns."""

    source: str
    offsets: Sequence[int]
    sequences: Sequence[int]


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

    def __len__(self) -> int:
        return self.next_offset - self.first_offset

    def without(self, offsets: Sequence[int]) -> DecodedBatch:
        """The batch less what was counted before; its position still moves past all of it."""
        gone = set(offsets)
        facts = {name: frame.filter(~pl.col("offset").is_in(list(gone))) for name, frame in self.facts.items()}
        return DecodedBatch(
            self.tp,
            self.first_offset,
            self.next_offset,
            self.last_fingerprint,
            self.lanes,
            [one for one in self.foreign if one.offset not in gone],
            facts,
            [letter for letter in self.dead if letter.offset not in gone],
            self.last_appended_at_us,
            self.repeated + len(gone),
        )


def decode_batch(codec: Codec, batch: RecordBatch) -> DecodedBatch:
    """Decodes `batch`, which must not be empty. Never raises for what a record holds."""
    if not codec.has_upcasters:
        try:
            return _decode_canonical(codec, batch)
        except (msgspec.MsgspecError, RecursionError, UnicodeError, TypeError, KeyError, UndecodableRecord):
            pass  # At least one record needs judging on its own.
    return _decode_each(codec, batch)


def _decode_canonical(codec: Codec, batch: RecordBatch) -> DecodedBatch:
    decode = codec.decode_canonical
    values = batch.values
    envelopes = list(map(decode, values))  # type: ignore[arg-type]
    # A control character is always escaped in JSON, so only a value with a backslash can hold one.
    if b"\\" in b"".join(values):  # type: ignore[arg-type]
        for index in [index for index, value in enumerate(values) if b"\\" in value]:  # type: ignore[operator]
            check_text(envelopes[index])
    minutes = _plain_minutes(envelopes, batch)
    sequences = [envelope.sequence or "" for envelope in envelopes]
    digits = "".join(sequences)
    if digits and not (digits.isascii() and digits.isdecimal()):
        raise UndecodableRecord("INVALID_EVENT", "a sequence is no number")
    offsets = range(batch.first_offset, batch.next_offset)
    decoded = _assemble(codec, batch, offsets, envelopes, minutes, [], [])
    if not _is_placed(decoded):
        raise UndecodableRecord("INVALID_EVENT", "a source is missing or a sequence is 0")
    return decoded


def _is_placed(decoded: DecodedBatch) -> bool:
    """Whether every record names its source, and no sequence is 0. Asked of whole runs, so it costs next to nothing."""
    return all(run.source and 0 not in run.sequences for run in decoded.lanes) and all(
        one.source for one in decoded.foreign
    )


_TO_ZERO = bytes.maketrans(b"123456789", b"000000000")
_SECONDS = [(16 + at, b":00.000000Z"[at : at + 1]) for at in range(11)]
"""Column of a canonical time → what stands there once every digit is written as 0; the minute is looked up whole."""


class _Minutes(dict[str, int]):
    """Canonical text up to the minute → minutes since 1970 UTC; KeyError where it is no instant we accept.

    Events of one batch share few minutes, so one look-up replaces the parsing of each time.
    """

    def __missing__(self, text: str) -> int:
        try:
            instant = datetime.fromisoformat(text + ":00.000000+00:00")
        except ValueError:
            raise KeyError(text) from None
        if instant.strftime("%Y-%m-%dT%H:%M") != text or instant.year < 2000:
            raise KeyError(text)
        if len(self) > 200_000:
            self.clear()
        minute = int(instant.timestamp()) // 60
        self[text] = minute
        return minute


_MINUTES = _Minutes()


def bucket_of(time: str) -> int:
    """Start of the 15-minute UTC bucket of a canonical time, in seconds since 1970."""
    return _MINUTES[time[:16]] // 15 * 900


def _plain_minutes(envelopes: Sequence[Envelope], batch: RecordBatch) -> list[int]:
    """Each time's minute since 1970, where all are canonical and none is near the tolerated future; else it raises."""
    times = [envelope.time for envelope in envelopes]
    joined = "".join(times).encode()
    if len(joined) != 27 * len(times) or max(joined[17::27]) > ord("5"):
        raise UndecodableRecord("INVALID_EVENT", "a time is not canonical")
    if any(joined[at::27].translate(_TO_ZERO) != expected * len(times) for at, expected in _SECONDS):
        raise UndecodableRecord("INVALID_EVENT", "a time is not canonical")
    minutes = _minutes_of_one_hour(times, joined) or [_MINUTES[time[:16]] for time in times]
    if (max(minutes) + 1) * 60_000_000 > min(batch.appended_at_us) + FUTURE_TOLERANCE.total_seconds() * 1e6:
        raise UndecodableRecord("FUTURE_TIME", "a time may be ahead of the log's clock")
    return minutes


def _minutes_of_one_hour(times: Sequence[str], joined: bytes) -> list[int] | None:
    """The minutes of times that all lie in one hour, as a batch of live events nearly always does; else None.

    Column by column: a batch costs as many steps as a time has characters, not as it has records.
    """
    hour = times[0][:14]
    if any(joined[at::27] != joined[at : at + 1] * len(times) for at in range(14)):
        return None
    begin = _MINUTES[f"{hour}00"]
    (tens, ones) = (joined[14::27], joined[15::27])
    if max(tens) > ord("5") or min(tens) < ord("0") or max(ones) > ord("9") or min(ones) < ord("0"):
        return None
    begin -= 11 * ord("0")
    return [begin + 10 * ten + one for ten, one in zip(tens, ones, strict=True)]


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
    minutes = [_MINUTES[envelope.time[:16]] for envelope in envelopes]
    return _assemble(codec, batch, offsets, envelopes, minutes, dead, placed)


def _assemble(
    codec: Codec,
    batch: RecordBatch,
    offsets: Sequence[int],
    envelopes: Sequence[Envelope],
    minutes: Sequence[int],
    dead: Sequence[DeadLetter],
    placed: Sequence[Identity],
) -> DecodedBatch:
    only = None if placed else _only_run(offsets, envelopes)
    return DecodedBatch(
        batch.tp,
        batch.first_offset,
        batch.next_offset,
        fingerprint(batch.values[-1]),
        _runs(offsets, envelopes, placed) if only is None else [only],
        _foreign(offsets, envelopes) if only is None else [],
        _facts(codec, offsets, envelopes, minutes),
        dead,
        batch.appended_at_us[-1],
    )


def _only_run(offsets: Sequence[int], envelopes: Sequence[Envelope]) -> LaneRun | None:
    """The batch as one unbroken run of one source, which it nearly always is."""
    sources = {envelope.source for envelope in envelopes}
    if len(sources) != 1:
        return None
    sequences = _unbroken([envelope.sequence for envelope in envelopes])
    return None if sequences is None else LaneRun(sources.pop(), offsets, sequences)


def _foreign(offsets: Sequence[int], envelopes: Sequence[Envelope]) -> list[Identity]:
    return [Identity(o, e.source, None, e.id) for o, e in zip(offsets, envelopes, strict=True) if e.sequence is None]


def _runs(offsets: Sequence[int], envelopes: Sequence[Envelope], placed: Sequence[Identity]) -> list[LaneRun]:
    own = [
        (offset, envelope.source, int(envelope.sequence))
        for offset, envelope in zip(offsets, envelopes, strict=True)
        if envelope.sequence is not None
    ]
    own += [(one.offset, one.source, one.sequence) for one in placed if one.sequence is not None]
    by_source: dict[str, list[tuple[int, int]]] = {}
    for offset, source, sequence in sorted(own):
        by_source.setdefault(source, []).append((offset, sequence))
    return [LaneRun(source, *map(list, zip(*run, strict=True))) for source, run in by_source.items()]


def _unbroken(sequences: Sequence[str | None]) -> range | None:
    """The sequences as a range where each is one more than the one before, which is how a relay writes them."""
    if None in sequences:
        return None
    (first, last) = (int(sequences[0] or 0), int(sequences[-1] or 0))
    if last - first + 1 != len(sequences) or len(set(sequences)) != len(sequences):
        return None
    return range(first, last + 1) if sorted(sequences) == sequences else None  # type: ignore[type-var]


def _facts(codec: Codec, offsets: Sequence[int], envelopes: Sequence[Envelope], minutes: Sequence[int]) -> Facts:
    classes = list(map(type, envelopes))
    facts: dict[str, pl.DataFrame] = {}
    for cls in set(classes):
        kind = codec.by_class[cls]
        if kind.payload not in FACTS:
            continue
        chosen = [one is cls for one in classes]
        data = [envelope.data for envelope in compress(envelopes, chosen)]
        buckets = [minute // 15 * 900 for minute in compress(minutes, chosen)]
        facts[kind.name] = rows_of(kind.payload, list(compress(offsets, chosen)), buckets, data)
    return facts
