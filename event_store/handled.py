"""Which sequences of a lane were handled: exact, and one range as long as nothing is missing."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

Range = tuple[int, int]
"""First and last sequence, both handled, and everything between them."""


@dataclass(frozen=True, slots=True)
class HandledRanges:
    """Sorted ranges that neither touch nor overlap. A value: `admit` returns what would be, and changes nothing,

    so that what is in memory can change after COMMIT and not before.
    """

    ranges: tuple[Range, ...] = ()

    def __contains__(self, sequence: int) -> bool:
        at = bisect_right(self.ranges, (sequence, 1 << 62)) - 1
        return at >= 0 and sequence <= self.ranges[at][1]

    @property
    def top(self) -> int:
        """The highest handled sequence, 0 before the first."""
        return self.ranges[-1][1] if self.ranges else 0

    def holes(self) -> tuple[Range, ...]:
        """What the log has not shown below the top; sequences begin at 1."""
        ends = [0, *(last for _, last in self.ranges[:-1])] if self.ranges else []
        return tuple((end + 1, first - 1) for end, (first, _) in zip(ends, self.ranges, strict=True) if first > end + 1)

    def admit(self, sequences: Sequence[int]) -> tuple[HandledRanges, list[int]]:
        """The ranges with `sequences` handled, and the indexes of those that were handled before.

        Of a sequence that comes twice in one call the first is new and the rest are duplicates.
        """
        if isinstance(sequences, range) and sequences.step == 1 and sequences and sequences[0] > self.top:
            return HandledRanges(_appended(self.ranges, sequences[0], sequences[-1])), []
        seen: set[int] = set()
        repeated: list[int] = []
        for index, sequence in enumerate(sequences):
            if sequence in seen or sequence in self:
                repeated.append(index)
            else:
                seen.add(sequence)
        return HandledRanges(_merged([*self.ranges, *_runs(seen)])), repeated


def holes(handled: Mapping[str, HandledRanges]) -> dict[str, tuple[Range, ...]]:
    """Source → its holes, of the sources that have any."""
    return {source: missing for source, ranges in handled.items() if (missing := ranges.holes())}


def difference(before: HandledRanges, after: HandledRanges) -> tuple[list[int], list[Range]]:
    """What a table that holds `before` has to change to hold `after`: normally one range that grew.

    The first sequences of the ranges to delete, and the ranges to write, by their first sequence.
    """
    (was, now) = (set(before.ranges), set(after.ranges))
    starts = {first for first, _ in now}
    return [first for first, _ in sorted(was - now) if first not in starts], sorted(now - was)


def _appended(ranges: tuple[Range, ...], first: int, last: int) -> tuple[Range, ...]:
    if ranges and ranges[-1][1] == first - 1:
        return (*ranges[:-1], (ranges[-1][0], last))
    return (*ranges, (first, last))


def _runs(sequences: Iterable[int]) -> list[Range]:
    return list(_merged([(sequence, sequence) for sequence in sequences]))


def _merged(ranges: list[Range]) -> tuple[Range, ...]:
    merged: list[Range] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return tuple(merged)
