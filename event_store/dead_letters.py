"""Dead letters: records that can't be counted, kept whole with the reason, and the breaker over them."""

from __future__ import annotations

from dataclasses import dataclass, field

from .errors import TooManyDeadLetters
from .record import TopicPartition


@dataclass(frozen=True, slots=True)
class DeadLetter:
    tp: TopicPartition
    offset: int
    raw: bytes | None
    """The record's value as it stands in the log; None is a tombstone."""
    reason: str
    """A stable upper-case word."""
    detail: str
    appended_at_us: int


@dataclass(slots=True)
class Breaker:
    """Stops a partition once more than `limit` of its last `window` records are dead.

    That many at once are a fault of ours (a writer's or a reader's release), not poison. The records seen are kept
    as (next offset, dead) steps, so a batch costs one step.
    """

    limit: int = 100
    window: int = 10_000
    _steps: list[tuple[int, int]] = field(default_factory=list)

    def admit(self, tp: TopicPartition, next_offset: int, dead: int) -> None:
        """Raises TooManyDeadLetters before the batch is committed, so that nothing of it is skipped."""
        recent = [step for step in self._steps if step[0] > next_offset - self.window]
        total = sum(step[1] for step in recent) + dead
        if dead and total > self.limit:
            raise TooManyDeadLetters(
                f"{tp}: {total} of the last {self.window} records before offset {next_offset} can't be counted "
                f"(the limit is {self.limit}). See `countinghouse status`; mend the writer or upgrade this reader, "
                "or raise COUNTINGHOUSE_DEAD_LETTER_LIMIT to let them pass as dead letters."
            )
        self._steps = recent

    def passed(self, next_offset: int, dead: int) -> None:
        """The batch is committed."""
        if dead:
            self._steps.append((next_offset, dead))
