"""What the records of a batch say, gathered into columns stretch by stretch.

A stretch is short enough for its envelopes to stay in the processor's cache, and they are gone before the next one
is decoded: holding those of a whole batch costs a third more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import compress, islice
from typing import NamedTuple

from .codec import Codec
from .compiled_events import Place
from .envelope import SEQUENCE_DIGITS, Envelope
from .errors import UndecodableRecord
from .events import EventType
from .facts import FACTS, Columns, Facts, columns_of, frame_of
from .traceparent import MAX_TRACEPARENTS, sampled

_THOUSAND = [f"{number:03}" for number in range(1000)]


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


@dataclass(slots=True)
class BatchColumns:
    """Takes stretches of decoded records in offset order."""

    codec: Codec
    foreign: list[Identity] = field(default_factory=list)
    traceparents: list[str] = field(default_factory=list)
    """The first trace contexts that were sampled, where the codec notes them."""
    _runs: dict[str, LaneRun] = field(default_factory=dict)
    _facts: dict[EventType, Columns] = field(default_factory=dict)

    def add(self, offsets: Sequence[int], envelopes: Sequence[Envelope], buckets: Sequence[int]) -> None:
        """Parallel columns of one stretch. Raises UndecodableRecord where a sequence is no number."""
        if not envelopes:
            return
        run = _unbroken(offsets, envelopes)
        if run is not None:
            self._lengthen(run)
        else:
            _check_digits(envelopes)
            self._add_places([_identity(*one) for one in zip(offsets, envelopes, strict=True)])
        self._add_facts(offsets, envelopes, buckets)
        if self.codec.notes_traces:
            self.add_traceparents(sampled(envelope.traceparent) for envelope in envelopes)

    def add_placed(self, first_offset: int, count: int, places: Sequence[Place]) -> None:
        """Where the batch's `count` records stand in their lanes, where their facts are known."""
        for place, stop in zip(places, [*(place.record for place in places[1:]), count], strict=True):
            offsets = range(first_offset + place.record, first_offset + stop)
            self._lengthen(LaneRun(place.source, offsets, range(place.sequence, place.sequence + len(offsets))))

    def add_traceparents(self, traceparents: Iterable[str | None]) -> None:
        found = (one for one in traceparents if one is not None)
        self.traceparents.extend(islice(found, MAX_TRACEPARENTS - len(self.traceparents)))

    def add_unread(self, placed: Iterable[Identity]) -> None:
        """Places in lanes of records that don't decode, before which all others were added."""
        for one in placed:
            run = self._runs.get(one.source, LaneRun(one.source, [], []))
            rows = sorted([*zip(run.offsets, run.sequences, strict=True), (one.offset, one.sequence or 0)])
            self._runs[one.source] = LaneRun(one.source, [row[0] for row in rows], [row[1] for row in rows])

    def lanes(self) -> list[LaneRun]:
        return list(self._runs.values())

    def facts(self) -> Facts:
        return {kind.name: frame_of(kind.payload, columns) for kind, columns in self._facts.items()}

    def _add_places(self, identities: Iterable[Identity]) -> None:
        for one in identities:
            if one.sequence is None:
                self.foreign.append(one)
            else:
                self._lengthen(LaneRun(one.source, [one.offset], [one.sequence]))

    def _lengthen(self, run: LaneRun) -> None:
        before = self._runs.get(run.source)
        self._runs[run.source] = run if before is None else _joined(before, run)

    def _add_facts(self, offsets: Sequence[int], envelopes: Sequence[Envelope], buckets: Sequence[int]) -> None:
        classes = list(map(type, envelopes))
        for cls in set(classes):
            kind = self.codec.by_class[cls]
            if kind.payload in FACTS:
                chosen = [one is cls for one in classes]
                data = [envelope.data for envelope in compress(envelopes, chosen)]
                places = (list(compress(offsets, chosen)), list(compress(buckets, chosen)))
                self._add_rows(kind, columns_of(kind.payload, *places, data))

    def _add_rows(self, kind: EventType, rows: Columns) -> None:
        if (columns := self._facts.get(kind)) is None:
            self._facts[kind] = rows
            return
        for column, more in zip(columns, rows, strict=True):
            column.extend(more)


def _identity(offset: int, envelope: Envelope) -> Identity:
    sequence = None if envelope.sequence is None else int(envelope.sequence)
    return Identity(offset, envelope.source, sequence, envelope.id)


def _joined(before: LaneRun, run: LaneRun) -> LaneRun:
    """Two runs of one source as one: ranges, which cost nothing, where the second goes on where the first ends."""
    if isinstance(before.sequences, range) and isinstance(run.sequences, range):
        (offsets, more) = (before.offsets, run.offsets)
        if before.sequences.stop == run.sequences.start and isinstance(offsets, range) and isinstance(more, range):
            sequences = range(before.sequences.start, run.sequences.stop)
            if offsets.stop == more.start:
                return LaneRun(run.source, range(offsets.start, more.stop), sequences)
            return LaneRun(run.source, [*offsets, *more], sequences)
    (known, numbers) = (_as_list(before.offsets), _as_list(before.sequences))
    known.extend(run.offsets)
    numbers.extend(run.sequences)
    return LaneRun(run.source, known, numbers)


def _as_list(numbers: Sequence[int]) -> list[int]:
    return numbers if isinstance(numbers, list) else list(numbers)


def _unbroken(offsets: Sequence[int], envelopes: Sequence[Envelope]) -> LaneRun | None:
    """The stretch as one run of one source, each sequence one more than the one before, as a relay writes it."""
    sources = [envelope.source for envelope in envelopes]
    sequences = [envelope.sequence or "" for envelope in envelopes]
    first = int(sequences[0]) if sequences[0].isdecimal() else 0
    run = range(first, first + len(envelopes))
    if sources.count(sources[0]) != len(sources) or "".join(sequences) != _written(run):
        return None
    return LaneRun(sources[0], offsets, run)


def _written(run: range) -> str:
    """The sequences as a relay writes them, all in one."""
    texts: list[str] = []
    for thousand in range(run.start // 1000, (run.stop - 1) // 1000 + 1):
        head = f"{thousand:0{SEQUENCE_DIGITS - 3}}"
        tails = _THOUSAND[max(run.start - 1000 * thousand, 0) : run.stop - 1000 * thousand]
        texts += [head, head.join(tails)]
    return "".join(texts)


def _check_digits(envelopes: Sequence[Envelope]) -> None:
    digits = "".join([envelope.sequence or "" for envelope in envelopes])
    if digits and not (digits.isascii() and digits.isdecimal()):
        raise UndecodableRecord("INVALID_EVENT", "a sequence is no number")
