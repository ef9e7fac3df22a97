"""Which days' figures each batch changed, noted where it is counted: who keeps figures reads only these again.

A day's row says, for a partition, up to where it was counted when it last changed that day. So what changed since a
version follows from the positions in it. A batch of several partitions is noted with the first of them that it moves:
whoever writes such a row has locked that partition's position, so nobody waits for another's day.

Code of a version from before there was this note takes none. So a stretch says for each partition from which offset on,
up to which, every batch was noted; what began before it, or isn't at its end, can't be told from the days.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypeAlias

import polars as pl

from event_store.inbox import InboxEntry
from event_store.record import TopicPartition

from .periods import DAY_S
from .read_model import Effect, FiguresVersion, Increments

STRETCH_DAYS = 7
"""Days read at once: as text or as arrays of a driver, rows take many times the room they are kept in."""

Stretches: TypeAlias = Mapping[TopicPartition, tuple[int, int]]
"""Partition → first and end offset between which every batch was noted."""


@dataclass(frozen=True, slots=True)
class Touch:
    """What is noted with one batch, or with several of different partitions that are counted together."""

    stretches: Sequence[tuple[str, int, int, int]]
    """(topic, number, offset before, offset after) of each partition, in order."""
    days: Sequence[tuple[str, int, int, int]]
    """(topic, number, day, offset after)."""


def touch_of(effect: Effect) -> Touch:
    entries = sorted(effect.entries, key=lambda entry: entry.tp)
    stretches = [(*one.tp, one.before.next_offset, one.after.next_offset) for one in entries]
    noted = next((one for one in entries if _moves(one)), entries[0])
    days = [(*noted.tp, day, noted.after.next_offset) for day in touched_by(effect.increments)]
    return Touch(stretches, days)


def _moves(entry: InboxEntry) -> bool:
    return entry.after.next_offset > entry.before.next_offset


def touched_by(increments: Increments) -> list[int]:
    """The days since 1970 in which the increments have rows, ascending."""
    days: set[int] = set()
    for rows in increments.values():
        if "bucket" in rows.columns and rows.height:
            days.update(_days(rows.get_column("bucket")))
    return sorted(days)


def _days(buckets: pl.Series) -> Sequence[int]:
    """Of buckets in order: most batches lie in one day, which then takes no more than a look at both ends."""
    (first, last) = (buckets[0] // DAY_S, buckets[-1] // DAY_S)
    return [first] if first == last else (buckets // DAY_S).unique().to_list()


def moved_between(
    since: FiguresVersion, now: FiguresVersion, stretches: Stretches
) -> list[tuple[TopicPartition, int]] | None:
    """(partition, where it stood) of those that were counted on; None where the days don't say all that changed."""
    if (since.generation, since.served_at_us) != (now.generation, now.served_at_us):
        return None
    stood = {tp: (next_offset, fingerprint) for tp, next_offset, fingerprint in since.positions}
    moved = []
    for tp, next_offset, fingerprint in now.positions:
        (before, seen) = stood.pop(tp, (0, None))
        (first, end) = stretches.get(tp, (next_offset, 0))
        if (before, seen) == (next_offset, fingerprint):
            continue
        if not first <= before < next_offset == end:
            return None
        moved.append((tp, before))
    return None if stood else moved


def buckets_of(days: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The days, ascending, as ranges of buckets: [start, end), each of `STRETCH_DAYS` at the most."""
    for _, numbered in groupby(enumerate(days), lambda one: one[1] - one[0]):
        run = [day for _, day in numbered]
        for at in range(0, len(run), STRETCH_DAYS):
            part = run[at : at + STRETCH_DAYS]
            yield part[0] * DAY_S, (part[-1] + 1) * DAY_S


def days_between(first: int | None, last: int | None) -> Sequence[int]:
    """The days of an extent; none where there is none."""
    return () if first is None or last is None else range(first // DAY_S, last // DAY_S + 1)
