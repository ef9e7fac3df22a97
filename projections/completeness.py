"""Completeness: how far the figures speak for what happened, said beside every number that is shown.

What is read first decides what may be claimed: the outbox, then the ends of the log, then the positions. Whatever
was accepted before the outbox was read then lies either in a lane, or before an end, or before a position.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

LATE_AFTER_S = 10.0
"""How long the oldest uncounted event may be on its way before the figures are called late."""


class Level(StrEnum):
    OK = "ok"
    LATE = "late"
    """Events wait longer than `LATE_AFTER_S`, a lane fails to send, or somebody paused the way. Nothing is lost."""
    BROKEN = "broken"
    """Events are missing from the log, or it is not the one that was counted, or counting stopped at something."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Events accepted and not yet counted, in one lane or one partition."""

    events: int
    since: datetime | None
    """When the oldest of them was accepted (in a lane) or came into the log (in a partition)."""
    failing: bool = False


@dataclass(frozen=True, slots=True)
class Completeness:
    level: Level
    complete_up_to: datetime
    """Every event that came in before this instant is in the figures, or is parked, or is named missing."""
    offset: int
    """Records counted, over all partitions: the sum of their positions."""
    on_their_way: int
    """Events accepted and not yet counted."""
    parked: int
    """Events that can't be counted as they are: undecided dead letters and dead outbox rows, kept whole."""
    missing: int
    """Events the log should have shown and has not (holes in the handled ranges)."""
    generation: int


@dataclass(frozen=True, slots=True)
class Counted:
    """What one generation has of the log."""

    generation: int
    offset: int
    parked: int
    missing: int
    log_changed: bool
    """A position lies outside of what the log holds."""
    stopped: bool = False
    """A partition is not counted on until somebody has looked."""


def completeness(
    asked_at: datetime, counted: Counted, waiting: Sequence[Waiting], *, is_paused: bool = False
) -> Completeness:
    """`asked_at` is when the outbox was read; nothing later is claimed."""
    present = [one for one in waiting if one.events]
    oldest = min((one.since for one in present if one.since is not None), default=asked_at)
    return Completeness(
        level=_level(asked_at, counted, present, is_paused=is_paused),
        complete_up_to=min(oldest, asked_at),
        offset=counted.offset,
        on_their_way=sum(one.events for one in present),
        parked=counted.parked,
        missing=counted.missing,
        generation=counted.generation,
    )


def _level(asked_at: datetime, counted: Counted, waiting: Sequence[Waiting], *, is_paused: bool) -> Level:
    if counted.missing or counted.log_changed or counted.stopped:
        return Level.BROKEN
    if is_paused:
        return Level.LATE
    for one in waiting:
        if one.failing or (one.since is not None and (asked_at - one.since).total_seconds() > LATE_AFTER_S):
            return Level.LATE
    return Level.OK
