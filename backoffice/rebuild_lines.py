"""What `countinghouse rebuild --json` says: lines of JSON on standard output, each named by its `said`.

docs/rebuild.md describes them. Names are stable, fields may be added.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import msgspec
from msgspec import Struct

from projections.catalogue import PROJECTIONS
from projections.comparison import Comparison, Difference
from projections.projection import Projection

MOST_SHOWN = 100
"""Differences that are named; the rest of them is counted."""
LONGEST_TEXT = 500
LONGEST_LINE_BYTES = 1_000_000


class Outcome(StrEnum):
    SWITCHED = "switched"
    REFUSED = "refused"
    """The figures differ."""
    FAILED = "failed"
    CANCELLED = "cancelled"


class Begun(Struct, frozen=True, tag_field="said", tag="begun"):
    generation: int


class Progressed(Struct, frozen=True, tag_field="said", tag="progress"):
    counted: int
    total: int


class DifferenceLine(Struct, frozen=True):
    """One metric of one row, or a place in the log of which the generations say different things."""

    where: str
    metric: str
    product: str
    bucket: str
    currency: str
    serving: str
    """Empty where that side has nothing."""
    rebuilt: str


class Compared(Struct, frozen=True, tag_field="said", tag="compared"):
    rows: int
    records: int
    differing: int
    """Rows, not metrics."""
    named: int
    """The first so many rows of them are in `differences`."""
    differences: list[DifferenceLine]


class Ended(Struct, frozen=True, tag_field="said", tag="ended"):
    outcome: Outcome
    generation: int | None = None
    """What serves, where it switched."""
    replaced: int | None = None
    records: int = 0
    error: str = ""


Line = Begun | Progressed | Compared | Ended
_DECODER: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)


class NoReport(ValueError):
    """A line that is none of these."""


def written(line: Line) -> bytes:
    return msgspec.json.encode(line) + b"\n"


def read(text: bytes) -> Line:
    """Raises NoReport."""
    try:
        return _DECODER.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise NoReport(str(error)) from error


def compared(comparison: Comparison) -> Compared:
    named = 0
    lines: list[DifferenceLine] = []
    for one in comparison.differences:
        of_one = list(_lines(one))
        if len(lines) + len(of_one) > MOST_SHOWN:
            break
        named += 1
        lines += of_one
    records = sum(comparison.positions.values())
    return Compared(comparison.rows_compared, records, comparison.differing, named, lines)


def _lines(one: Difference) -> Iterator[DifferenceLine]:
    projection = next((known for known in PROJECTIONS if known.name == one.where), None)
    if projection is None:
        place = "/".join(map(str, one.key))
        yield DifferenceLine(one.where, place, "", "", "", _whole(one.serving), _whole(one.rebuilt))
    else:
        yield from _metrics(projection, one)


def _metrics(projection: Projection, one: Difference) -> Iterator[DifferenceLine]:
    key = dict(zip(projection.key, one.key, strict=True))
    bucket = f"{datetime.fromtimestamp(key['bucket'], UTC):%Y-%m-%dT%H:%MZ}" if "bucket" in key else ""
    place = (_cut(str(key.get("product_id", ""))), bucket, str(key.get("currency", "")))
    for metric in projection.metrics:
        (serving, rebuilt) = ((one.serving or {}).get(metric.name), (one.rebuilt or {}).get(metric.name))
        if serving != rebuilt:
            yield DifferenceLine(one.where, metric.name, *place, _text(serving), _text(rebuilt))


def _whole(values: Any) -> str:
    return "" if values is None else _cut(", ".join(f"{name}={value}" for name, value in values.items()))


def _text(value: Any) -> str:
    return "" if value is None else _cut(str(value))


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"
