"""An inbox in memory: what one generation has handled, and how a batch's entry is taken or refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .dead_letters import DeadLetter
from .errors import ForeignIdTaken, PositionMoved
from .inbox import InboxEntry, Position
from .record import TopicPartition


@dataclass(slots=True)
class Counted:
    """The last batch of a partition, for status pages. Microseconds since 1970 UTC."""

    last_appended_at_us: int
    counted_at_us: int
    duplicates: int
    """Of all batches so far."""


@dataclass(slots=True)
class MemoryInbox:
    """One generation's. Call `check`, change the figures, then `apply` each entry, without an await between them."""

    positions: dict[TopicPartition, Position] = field(default_factory=dict)
    foreign_ids: set[tuple[str, str]] = field(default_factory=set)
    dead: dict[tuple[TopicPartition, int], DeadLetter] = field(default_factory=dict)
    """By place in the log, so one record is one dead letter."""
    counted: dict[TopicPartition, Counted] = field(default_factory=dict)
    stopped: dict[TopicPartition, str] = field(default_factory=dict)
    """Why a partition is not being counted."""

    def position(self, tp: TopicPartition) -> Position:
        return self.positions.get(tp, Position())

    def check(self, entries: Sequence[InboxEntry]) -> None:
        """Raises PositionMoved or ForeignIdTaken where one of the entries can't be taken, and changes nothing."""
        taken: set[tuple[str, str]] = set()
        for entry in entries:
            stored = self.position(entry.tp).next_offset
            if stored != entry.before.next_offset:
                raise PositionMoved(stored)
            repeated = {one for one in entry.foreign_ids if one in self.foreign_ids or one in taken}
            if repeated:
                raise ForeignIdTaken(f"{entry.tp}: (source, event id) {min(repeated)} was handled meanwhile")
            taken.update(entry.foreign_ids)

    def apply(self, entry: InboxEntry, now_us: int) -> None:
        """Takes an entry that `check` let pass."""
        before = self.counted.get(entry.tp)
        duplicates = entry.duplicates + (before.duplicates if before else 0)
        self.positions[entry.tp] = entry.after
        self.foreign_ids.update(entry.foreign_ids)
        self.dead.update({(letter.tp, letter.offset): letter for letter in entry.dead_letters})
        self.counted[entry.tp] = Counted(entry.last_appended_at_us, now_us, duplicates)

    def note_stop(self, tp: TopicPartition, why: str | None) -> None:
        self.positions.setdefault(tp, Position())
        if why is None:
            self.stopped.pop(tp, None)
        else:
            self.stopped[tp] = why

    def newest_dead(self, most: int) -> Sequence[DeadLetter]:
        newest = sorted(self.dead.values(), key=lambda one: (-one.appended_at_us, one.tp, -one.offset))
        return newest[:most]
