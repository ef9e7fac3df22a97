"""The inbox: what a consumer commits in the same transaction as the effect of a batch.

A batch is counted once because its effect and its `InboxEntry` become visible together, and because an entry is
taken only where the stored position equals the batch's first offset. Whoever shares these three things is exact
whatever crashes: position, handled ranges, dead letters. Each back end (`sqlite_inbox`, `postgres_inbox`,
`memory_inbox`) applies an entry inside a transaction that its caller opened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .dead_letters import DeadLetter
from .handled import HandledRanges
from .record import TopicPartition


@dataclass(frozen=True, slots=True)
class Position:
    """How far one generation has counted one partition, and what it has seen of each lane in it."""

    next_offset: int = 0
    last_fingerprint: int | None = None
    """Of the record at `next_offset - 1`; None before the first."""
    handled: Mapping[str, HandledRanges] = field(default_factory=dict)
    """Source → its handled sequences."""


@dataclass(frozen=True, slots=True)
class InboxEntry:
    """The book-keeping of one batch. `before` and `after` say the partition's state on either side of it."""

    generation: int
    tp: TopicPartition
    before: Position
    after: Position
    foreign_ids: Sequence[tuple[str, str]]
    """(source, event id) of the batch's new records that carry no sequence."""
    dead_letters: Sequence[DeadLetter]
    last_appended_at_us: int
    duplicates: int
