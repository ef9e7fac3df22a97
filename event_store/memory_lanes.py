"""The lanes of an outbox in memory: their rows, with and without a sequence."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from .codec import Draft
from .outbox import ClaimedRow


@dataclass(frozen=True, slots=True)
class Row:
    event_id: str
    key: str
    payload: bytes
    recorded_at_us: int


@dataclass(slots=True)
class LaneRows:
    """One lane: rows with a sequence and rows that wait for one, oldest first."""

    drawn: list[Row] = field(default_factory=list)
    """The last of them has sequence `next_sequence - 1`; cleaned-up ones are missing in front."""
    waiting: list[Row] = field(default_factory=list)
    next_sequence: int = 1
    acknowledged: int = 0
    acknowledged_offset: int = -1
    retry_at_us: int = 0
    failures: int = 0
    error: str | None = None

    @property
    def unacknowledged(self) -> int:
        return self.next_sequence - 1 - self.acknowledged

    @property
    def unsent(self) -> list[Row]:
        return [*self.drawn[self._index(self.acknowledged + 1) :], *self.waiting]

    def claim(self, most: int) -> list[ClaimedRow]:
        drawing = max(0, most - self.unacknowledged)
        fresh = self.waiting[:drawing]
        del self.waiting[:drawing]
        self.drawn += fresh
        self.next_sequence += len(fresh)
        return self.between(self.acknowledged + 1, self.acknowledged + most)

    def between(self, first: int, last: int) -> list[ClaimedRow]:
        sequences = range(max(first, self.next_sequence - len(self.drawn)), min(last, self.next_sequence - 1) + 1)
        rows = ((sequence, self.drawn[self._index(sequence)]) for sequence in sequences)
        return [ClaimedRow(sequence, row.event_id, row.key, row.payload) for sequence, row in rows]

    def acknowledge(self, sequence: int, offset: int) -> None:
        if not self.acknowledged < sequence < self.next_sequence:
            return
        (self.acknowledged, self.acknowledged_offset) = (sequence, offset)
        (self.failures, self.error, self.retry_at_us) = (0, None, 0)

    def fail(self, error: str, retry_at_us: int) -> None:
        (self.failures, self.error, self.retry_at_us) = (self.failures + 1, error, retry_at_us)

    def withhold(self, sequence: int, withheld: Draft) -> Row | None:
        """Puts `withheld` in the place of an unacknowledged row, under its key, and returns that row."""
        if not self.acknowledged < sequence < self.next_sequence:
            return None
        index = self._index(sequence)
        row = self.drawn[index]
        self.drawn[index] = Row(withheld.event_id, row.key, withheld.payload, row.recorded_at_us)
        return row

    def clean(self, before_us: int, most: int) -> int:
        sent = self.drawn[: self._index(self.acknowledged + 1)]
        young = (index for index, row in enumerate(sent) if row.recorded_at_us >= before_us)
        gone = min(next(young, len(sent)), most)
        del self.drawn[:gone]
        return gone

    def begin_again(self, already_sent: Collection[str]) -> LaneRows:
        return LaneRows(waiting=[row for row in self.unsent if row.event_id not in already_sent])

    def _index(self, sequence: int) -> int:
        return sequence - (self.next_sequence - len(self.drawn))
