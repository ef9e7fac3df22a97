"""Dead letters and what was decided about them, a port of the read model's database.

A decision is kept by the record's place in the log and not by generation: a rebuild meets the same dead letters again,
and they stay decided. A decision changes no figure and no dead letter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeAlias

from event_store.dead_letters import DeadLetter
from event_store.errors import Conflict, PermanentError
from event_store.record import TopicPartition


class Act(StrEnum):
    DISCARDED = "discarded"
    REDRIVEN = "redriven"
    """A corrected event was written in its stead."""


class Chosen(StrEnum):
    """Which letters are asked for, by what was decided about them."""

    ALL = "all"
    UNDECIDED = "undecided"
    DECIDED = "decided"
    DISCARDED = "discarded"
    REDRIVEN = "redriven"
    UNSENT = "unsent"
    """Re-driven, and not known to be in the outbox."""


class NoSuchLetter(PermanentError):
    """The serving generation has no dead letter at that place."""


class LetterDecided(Conflict):
    """Somebody decided about the letter before."""


class LettersChanged(Conflict):
    """There are other letters than were counted. `count` is how many there are now."""

    def __init__(self, expected: int, count: int) -> None:
        super().__init__(f"{count} letters wait for a decision there now, and {expected} were confirmed")
        self.count = count


@dataclass(frozen=True, slots=True)
class Decision:
    act: Act
    who: str
    at_us: int
    reason: str
    """In the operator's words."""
    event_id: str | None = None
    """Of the corrected event."""
    payload: bytes | None = None
    """Of its outbox row."""
    sent_at_us: int | None = None
    """When its row was known to be in the outbox; None: perhaps it isn't."""

    @property
    def is_unsent(self) -> bool:
        return self.act is Act.REDRIVEN and self.sent_at_us is None


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter of the serving generation, and what was decided about it."""

    dead: DeadLetter
    decision: Decision | None = None

    @property
    def state(self) -> str:
        if self.decision is None:
            return Chosen.UNDECIDED
        return Chosen.UNSENT if self.decision.is_unsent else self.decision.act

    @property
    def mark(self) -> LetterMark:
        return self.dead.appended_at_us, *self.dead.tp, self.dead.offset


LetterMark: TypeAlias = tuple[int, str, int, int]
"""(when the log took it, topic, partition, offset): letters are listed by it, the greatest first."""
BEYOND_ALL: LetterMark = (2**62, "", 0, 0)


@dataclass(frozen=True, slots=True)
class LettersAsked:
    reason: str = ""
    """"" is any."""
    topic: str = ""
    chosen: Chosen = Chosen.ALL
    below: LetterMark = BEYOND_ALL
    """Where the list goes on."""


@dataclass(frozen=True, slots=True)
class LetterCount:
    """The letters of one reason in one topic."""

    reason: str
    topic: str
    undecided: int
    discarded: int
    redriven: int


class Letters(Protocol):
    """The dead letters of the generation that serves."""

    async def newest(self, asked: LettersAsked, most: int) -> Sequence[Letter]:
        """The newest first. Records and payloads, which may be large, are left out."""
        ...

    async def counts(self) -> Sequence[LetterCount]:
        """By reason, then topic."""
        ...

    async def one(self, tp: TopicPartition, offset: int) -> Letter | None:
        """The letter of that place, whole."""
        ...

    async def decide(self, tp: TopicPartition, offset: int, decision: Decision) -> None:
        """Of several decisions about one place the first is taken. Raises LetterDecided and NoSuchLetter."""
        ...

    async def discard_all(self, reason: str, count: int, decision: Decision) -> None:
        """Takes the decision about all undecided letters of that reason, if they are so many.

        Raises LettersChanged, having decided nothing.
        """
        ...

    async def mark_sent(self, tp: TopicPartition, offset: int, at_us: int) -> None:
        """The corrected event is in the outbox. What was marked before stays as it is."""
        ...


def already_decided(tp: TopicPartition, offset: int, before: Decision) -> LetterDecided:
    return LetterDecided(f"{tp}, offset {offset}: {before.who} decided before; it is {before.act}")


def no_such_letter(tp: TopicPartition, offset: int) -> NoSuchLetter:
    return NoSuchLetter(f"no dead letter at {str(tp)[:80]}, offset {offset}")
