"""Pauses: an operator holds a part of the line still, in all of its processes, until somebody lets it go on.

A pause is a row in the database that the part itself works with: the relay's in the commerce database, the consumers'
and the rebuilds' in the back office's. So it needs nothing that the part doesn't need anyway, and outlives every
process. It is written together with its row of the audit. Who is paused finds out by itself (pause_watch.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from . import audit
from .audit import Entry
from .steps import Steps, Transactions

SQLITE = """
CREATE TABLE IF NOT EXISTS pause (
    part TEXT PRIMARY KEY,
    who TEXT NOT NULL,
    why TEXT NOT NULL,
    at_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""
POSTGRES = """
CREATE TABLE IF NOT EXISTS pause (
    part TEXT COLLATE "C" PRIMARY KEY,
    who TEXT COLLATE "C" NOT NULL,
    why TEXT COLLATE "C" NOT NULL,
    at_us BIGINT NOT NULL
);
"""

SELECT = "SELECT part, who, why, at_us FROM pause WHERE part = :part"
INSERT = """
INSERT INTO pause (part, who, why, at_us) VALUES (:part, :who, :why, :at_us)
ON CONFLICT (part) DO NOTHING RETURNING part
"""
DELETE = "DELETE FROM pause WHERE part = :part RETURNING part, who, why, at_us"


class Part(StrEnum):
    """What can be paused."""

    RELAY = "relay"
    CONSUMER = "consumer"
    REBUILD = "rebuild"

    @property
    def work(self) -> str:
        """What stands still while it is paused."""
        return {Part.RELAY: "sending", Part.CONSUMER: "counting", Part.REBUILD: "rebuilding"}[self]


LINE = (Part.RELAY, Part.CONSUMER)
"""Those that every event has to pass before it is in the figures."""


@dataclass(frozen=True, slots=True)
class Pause:
    part: str
    who: str
    why: str
    at_us: int


class PauseRefused(ValueError):
    """What was asked for is so already. The message says it."""


class Pauses:
    """The pauses of one database. Who pauses needs the audit there, too; who only looks doesn't."""

    def __init__(self, transactions: Transactions, clock: Callable[[], int] = audit.now_us) -> None:
        self._transactions = transactions
        self._clock = clock

    async def paused(self, part: Part) -> Pause | None:
        return await self._transactions.read(_paused(part))

    async def pause(self, part: Part, entry: Entry) -> Pause:
        """`entry` says who and why. Raises PauseRefused where it is paused."""
        return await self._transactions.write(_pause(part, entry, self._clock()))

    async def resume(self, part: Part, entry: Entry) -> Pause:
        """What ended by it. `entry` says who. Raises PauseRefused where it isn't paused."""
        return await self._transactions.write(_resume(part, entry, self._clock()))


def _paused(part: Part) -> Steps[Pause | None]:
    rows = yield SELECT, {"part": part.value}
    return Pause(*rows[0]) if rows else None


def _pause(part: Part, entry: Entry, now_us: int) -> Steps[Pause]:
    said = replace(entry, what=f"{part}.paused", before={"paused": False}, after={"paused": True})
    kept = yield from audit.record(said, now_us)
    pause = Pause(part.value, kept.who, kept.reason, now_us)
    if not (yield INSERT, {"part": pause.part, "who": pause.who, "why": pause.why, "at_us": now_us}):
        standing = yield from _paused(part)
        raise PauseRefused(f"the {part} is paused already" + (f", by {standing.who}" if standing else ""))
    return pause


def _resume(part: Part, entry: Entry, now_us: int) -> Steps[Pause]:
    rows = yield DELETE, {"part": part.value}
    if not rows:
        raise PauseRefused(f"the {part} isn't paused")
    ended = Pause(*rows[0])
    before = {"paused": True, "who": ended.who, "why": ended.why, "at_us": ended.at_us}
    yield from audit.record(replace(entry, what=f"{part}.resumed", before=before, after={"paused": False}), now_us)
    return ended
