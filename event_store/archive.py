"""The archive: stretches of the log as Parquet, decoded once and kept with the raw records.

A segment is a folder `topic/partition/first-next` with `records.parquet` (every record, raw and with its identity)
and one `<Event>.parquet` of facts per event type. It is written beside and renamed, so a segment is whole or absent.
It may be deleted at any time: what it holds is in the log, and is decoded from there where no segment stands.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TypeVar

import msgspec
import polars as pl

from .batch_columns import Identity, LaneRun
from .codec import Codec
from .crash_points import NO_CRASH, CrashPoints
from .dead_letters import DeadLetter
from .decoded_batch import DecodedBatch
from .errors import StorageUnavailable
from .facts import FACTS, Facts
from .record import RecordBatch, TopicPartition

T = TypeVar("T")

RECORDS = "records.parquet"
FACTS_SUFFIX = ".parquet"
DESCRIPTION = "segment.json"
DECODING_RULES = 1
"""Raise it when the same bytes would decode to other facts: older segments are then read over."""


class _Description(msgspec.Struct, frozen=True):
    """`segment.json`: what must be known before any Parquet is read."""

    decoding: str
    last_fingerprint: int
    last_appended_at_us: int
    source: str | None
    first_sequence: int | None
    """Set where all records are of one source and unbroken, which makes reading their identities needless."""
    checksums: dict[str, int]
    """File → CRC-32 of its bytes: a disk that changed one bit must not change a figure."""

    @property
    def events(self) -> list[str]:
        return sorted(name.removesuffix(FACTS_SUFFIX) for name in self.checksums if name != RECORDS)


class _DamagedError(Exception):
    """A file of the segment is not as it was written."""


@dataclass(frozen=True, slots=True)
class Segment:
    tp: TopicPartition
    first_offset: int
    next_offset: int
    path: Path


class Archive:
    """The segments in a folder, for one codec. Its methods block: call them in a thread."""

    def __init__(self, folder: Path, codec: Codec, crash_points: CrashPoints = NO_CRASH) -> None:
        self._folder = folder
        self._crash_points = crash_points
        self._decoding = _decoding_of(codec)

    def segments(self, tp: TopicPartition) -> list[Segment]:
        """The partition's segments, neighbours from offset zero on, in order; whatever doesn't join on is left out."""
        found: list[Segment] = []
        for path in sorted(self._place(tp).glob("[0-9]*-[0-9]*")):
            (first, _, following) = path.name.partition("-")
            expected = found[-1].next_offset if found else 0
            if int(first) == expected:
                found.append(Segment(tp, expected, int(following), path))
        return found

    def write(self, records: RecordBatch, decoded: DecodedBatch) -> Segment:
        """Seals a segment of these records. One that is already there is kept. Raises StorageUnavailable."""
        name = f"{decoded.first_offset:016d}-{decoded.next_offset:016d}"
        path = self._place(decoded.tp) / name
        segment = Segment(decoded.tp, decoded.first_offset, decoded.next_offset, path)
        if not path.exists():
            beside = self._place(decoded.tp) / f".{name}.{os.getpid()}"
            try:
                self._write_beside(beside, records, decoded)
                beside.rename(path)
                _sync(path.parent)
            except (OSError, pl.exceptions.PolarsError) as error:
                shutil.rmtree(beside, ignore_errors=True)
                raise StorageUnavailable(f"the archive's {path} can't be written: {error}") from error
            self._crash_points.passing("archive.after_seal")
        return segment

    def _write_beside(self, beside: Path, records: RecordBatch, decoded: DecodedBatch) -> None:
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        _write_segment(beside, records, decoded, self._decoding)
        self._crash_points.passing("archive.before_seal")

    def read(self, segment: Segment) -> DecodedBatch | None:
        """The segment's events, None where it was decoded by other rules or is damaged."""
        return self._trusted(segment, lambda described: _read_segment(segment, described))

    def find(self, segment: Segment, events: Iterable[str], asked: pl.Expr) -> Facts | None:
        """The facts of these events for which `asked` holds, by event; None as `read`."""
        return self._trusted(
            segment,
            lambda described: {
                event: pl.scan_parquet(_whole(segment, described, event + FACTS_SUFFIX)).filter(asked).collect()
                for event in events
                if event in described.events
            },
        )

    def _trusted(self, segment: Segment, read: Callable[[_Description], T]) -> T | None:
        try:
            described = _described(segment.path)
            return read(described) if described.decoding == self._decoding else None
        except (OSError, _DamagedError, msgspec.MsgspecError, pl.exceptions.PolarsError):
            return None

    def _place(self, tp: TopicPartition) -> Path:
        return self._folder / tp.topic / f"{tp.partition:04d}"


def _decoding_of(codec: Codec) -> str:
    """Names the rules by which a segment was decoded: event types, upcasters, the columns of facts."""
    types = [kind.type for kind in codec.event_types] + [step.old.type for step in codec.upcasters]
    columns = {payload.__name__: [f"{name} {kind}" for name, kind in facts.items()] for payload, facts in FACTS.items()}
    text = msgspec.json.encode([DECODING_RULES, types, columns])
    return hashlib.sha256(text).hexdigest()[:16]


def _write_segment(path: Path, records: RecordBatch, decoded: DecodedBatch, decoding: str) -> None:
    _identity_frame(records, decoded).write_parquet(path / RECORDS, compression="zstd", compression_level=3)
    for event, facts in decoded.facts.items():
        facts.sort("product_id", "bucket").write_parquet(path / (event + FACTS_SUFFIX), row_group_size=20_000)
    (source, first) = _only_lane(decoded)
    checksums = {file.name: zlib.crc32(file.read_bytes()) for file in sorted(path.iterdir())}
    described = _Description(decoding, decoded.last_fingerprint, decoded.last_appended_at_us, source, first, checksums)
    body = msgspec.json.encode(described)
    (path / DESCRIPTION).write_bytes(b"%b\n%08x\n" % (body, zlib.crc32(body)))
    for file in path.iterdir():
        _sync(file)
    _sync(path)


def _only_lane(decoded: DecodedBatch) -> tuple[str | None, int | None]:
    if len(decoded.lanes) == 1 and not decoded.foreign and not decoded.dead:
        run = decoded.lanes[0]
        if len(run.sequences) == len(decoded) and isinstance(run.sequences, range):
            return run.source, run.sequences[0]
    return None, None


def _identity_frame(records: RecordBatch, decoded: DecodedBatch) -> pl.DataFrame:
    """Every record with its identity, its raw bytes and, of a dead one, the reason."""
    places: dict[int, tuple[str, int | None, str | None]] = {}
    for run in decoded.lanes:
        places |= {o: (run.source, s, None) for o, s in zip(run.offsets, run.sequences, strict=True)}
    places |= {one.offset: (one.source, None, one.event_id) for one in decoded.foreign}
    reasons = {letter.offset: (letter.reason, letter.detail) for letter in decoded.dead}
    offsets = range(records.first_offset, records.next_offset)
    heads = [_named(value) for value in records.values]
    nowhere = (None, None, None)
    return pl.DataFrame(
        {
            "offset": list(offsets),
            "appended_at_us": list(records.appended_at_us),
            "source": [places.get(offset, nowhere)[0] for offset in offsets],
            "sequence": [places.get(offset, nowhere)[1] for offset in offsets],
            "event_id": [head.id for head in heads],
            "time": [head.time for head in heads],
            "type": [head.type for head in heads],
            "reason": [reasons.get(offset, nowhere)[0] for offset in offsets],
            "detail": [reasons.get(offset, nowhere)[1] for offset in offsets],
            "key": list(records.keys),
            "value": list(records.values),
        },
        schema=_RECORDS,
    )


_RECORDS = {
    "offset": pl.Int64,
    "appended_at_us": pl.Int64,
    "source": pl.String,
    "sequence": pl.Int64,
    "event_id": pl.String,
    "time": pl.String,
    "type": pl.String,
    "reason": pl.String,
    "detail": pl.String,
    "key": pl.Binary,
    "value": pl.Binary,
}


class _Named(msgspec.Struct, frozen=True):
    id: str | None = None
    time: str | None = None
    type: str | None = None


_NAMED = msgspec.json.Decoder(_Named)


def _named(value: bytes | None) -> _Named:
    try:
        return _NAMED.decode(value or b"")
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return _Named()


def _described(path: Path) -> _Description:
    (body, _, checksum) = (path / DESCRIPTION).read_bytes().partition(b"\n")
    if checksum != b"%08x\n" % zlib.crc32(body):
        raise _DamagedError(path)
    return msgspec.json.decode(body, type=_Description)


def _whole(segment: Segment, described: _Description, name: str) -> BytesIO:
    content = (segment.path / name).read_bytes()
    if zlib.crc32(content) != described.checksums[name]:
        raise _DamagedError(segment.path / name)
    return BytesIO(content)


def _read_segment(segment: Segment, described: _Description) -> DecodedBatch:
    facts: Facts = {
        event: pl.read_parquet(_whole(segment, described, event + FACTS_SUFFIX)) for event in described.events
    }
    (lanes, foreign, dead) = _identities(segment, described)
    return DecodedBatch(
        segment.tp,
        segment.first_offset,
        segment.next_offset,
        described.last_fingerprint,
        lanes,
        foreign,
        facts,
        dead,
        described.last_appended_at_us,
    )


def _identities(
    segment: Segment, described: _Description
) -> tuple[Sequence[LaneRun], Sequence[Identity], Sequence[DeadLetter]]:
    offsets = range(segment.first_offset, segment.next_offset)
    if described.source is not None and described.first_sequence is not None:
        first = described.first_sequence
        return [LaneRun(described.source, offsets, range(first, first + len(offsets)))], [], []
    records = pl.scan_parquet(_whole(segment, described, RECORDS))
    placed = records.filter(pl.col("sequence").is_not_null()).select("source", "offset", "sequence").collect()
    lanes = [
        LaneRun(str(source), rows["offset"].to_list(), rows["sequence"].to_list())
        for (source,), rows in placed.group_by(["source"], maintain_order=True)
    ]
    foreign = records.filter(pl.col("sequence").is_null() & pl.col("source").is_not_null())
    named = foreign.select("offset", "source", "sequence", "event_id").collect()
    dead = records.filter(pl.col("reason").is_not_null())
    letters = dead.select("offset", "value", "reason", "detail", "appended_at_us").collect()
    return (
        lanes,
        [Identity(*row) for row in named.rows()],
        [DeadLetter(segment.tp, *row) for row in letters.rows()],
    )


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
