"""Two generations held side by side at the same position: equal, or every difference by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from event_store.record import TopicPartition

from .projection import Projection
from .read_model import Snapshot

MAX_SHOWN = 100
"""Differences kept whole; beyond that they are counted."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing in which the generations differ; None where a side has nothing."""

    where: str
    key: tuple[Any, ...]
    serving: Mapping[str, Any] | None
    rebuilt: Mapping[str, Any] | None

    def __str__(self) -> str:
        return f"{self.where} {self.key}: serving {_shown(self.serving)}, rebuilt {_shown(self.rebuilt)}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was held side by side, and how it came out."""

    positions: Mapping[TopicPartition, int]
    rows_compared: int
    differing: int
    differences: Sequence[Difference]
    """The first `MAX_SHOWN` of them."""

    @property
    def equal(self) -> bool:
        return self.differing == 0


def compare(serving: Snapshot, rebuilt: Snapshot, projections: Sequence[Projection]) -> Comparison:
    """Compares figures row by row, and dead letters and handled sequences partition by partition.

    Both must stand at the same position in every partition; raises ValueError otherwise.
    """
    positions = {tp: position.next_offset for tp, position in serving.positions.items() if position.next_offset}
    if positions != {tp: position.next_offset for tp, position in rebuilt.positions.items() if position.next_offset}:
        raise ValueError("the generations stand at different positions")
    found: list[Difference] = []
    for projection in projections:
        found += _rows_differing(projection, serving.rows[projection.name], rebuilt.rows[projection.name])
    found += _dead_differing(serving, rebuilt)
    found += _handled_differing(serving, rebuilt)
    rows = sum(frame.height for frame in serving.rows.values())
    return Comparison(positions, rows, len(found), found[:MAX_SHOWN])


def _rows_differing(projection: Projection, serving: pl.DataFrame, rebuilt: pl.DataFrame) -> list[Difference]:
    if serving.equals(rebuilt):
        return []
    ours = _by_key(projection, serving)
    theirs = _by_key(projection, rebuilt)
    keys = sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key))
    return [Difference(projection.name, key, ours.get(key), theirs.get(key)) for key in keys]


def _by_key(projection: Projection, rows: pl.DataFrame) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Rows by key. A row whose metrics are all zero says nothing and equals an absent one."""
    found = {}
    for row in rows.iter_rows(named=True):
        figures = {metric.name: row[metric.name] for metric in projection.metrics}
        if any(figures.values()):
            found[tuple(row[name] for name in projection.key)] = figures
    return found


def _dead_differing(serving: Snapshot, rebuilt: Snapshot) -> list[Difference]:
    return [
        Difference(
            "dead letter", (tp.topic, tp.partition, offset), _dead(serving, tp, offset), _dead(rebuilt, tp, offset)
        )
        for tp, offset in sorted(serving.dead ^ rebuilt.dead)
    ]


def _dead(snapshot: Snapshot, tp: TopicPartition, offset: int) -> dict[str, Any] | None:
    return {"dead": True} if (tp, offset) in snapshot.dead else None


def _handled_differing(serving: Snapshot, rebuilt: Snapshot) -> list[Difference]:
    found = []
    for tp in sorted(serving.positions.keys() | rebuilt.positions.keys()):
        (ours, theirs) = (_handled(serving, tp), _handled(rebuilt, tp))
        if ours != theirs:
            found.append(Difference("handled sequences", (tp.topic, tp.partition), ours, theirs))
    return found


def _handled(snapshot: Snapshot, tp: TopicPartition) -> dict[str, Any]:
    position = snapshot.positions.get(tp)
    return {} if position is None else {source: ranges.ranges for source, ranges in position.handled.items()}


def _shown(values: Mapping[str, Any] | None) -> str:
    return "nothing" if values is None else ", ".join(f"{name}={value}" for name, value in values.items()) or "nothing"
