"""The audit: who did what, when and why, as rows that are only ever added, each sealed together with all before it.

A row's hash covers its fields and the hash of the row before. So a row that was altered, taken out or put elsewhere
shows when the chain is walked, and so does an end that was cut off, since a row of its own knows how long the chain is.
Who can write to the database at will can make a whole new chain; who noted a hash elsewhere sees that, too.

    await transactions.write(record(Entry("ada", "user.disabled", on="bob")))

`record` and the other functions are steps (steps.py): whoever acts takes them in the transaction of the act.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .steps import Row, Steps, Transactions

CHUNK_ROWS = 1000
LONGEST_TEXT = 10_000
NO_HASH = b""

NEXT = """
INSERT INTO audit_head (id, rows, hash) VALUES (1, 1, :none)
ON CONFLICT (id) DO UPDATE SET rows = audit_head.rows + 1 RETURNING rows, hash
"""
"""Draws the number of a row. Whoever draws the next one waits for the end of this transaction."""
INSERT = """
INSERT INTO audit (number, at_us, who, what, target, before, after, reason, request_id, hash)
VALUES (:number, :at_us, :who, :what, :target, :before, :after, :reason, :request_id, :hash)
"""
SEAL = "UPDATE audit_head SET hash = :hash WHERE id = 1"
COLUMNS = "number, at_us, who, what, target, before, after, reason, request_id, hash"
SELECT_OLDER = f"SELECT {COLUMNS} FROM audit WHERE number < :number ORDER BY number DESC LIMIT :most"  # noqa: S608
SELECT_NEWER = f"SELECT {COLUMNS} FROM audit WHERE number > :number ORDER BY number LIMIT :most"  # noqa: S608
SELECT_HEAD = "SELECT rows, hash FROM audit_head WHERE id = 1"
BEYOND_ALL = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One act. `before` and `after` say what it changed, and hold no secret."""

    who: str
    """The account, `token …` for a program, or `command line (user)`."""
    what: str
    """`noun.verb`: `user.disabled`."""
    on: str = ""
    """Whose or which."""
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A row as it stands."""

    number: int
    at_us: int
    who: str
    what: str
    on: str
    before: str
    """JSON."""
    after: str
    reason: str
    request_id: str
    hash: bytes

    def sealed_after(self, previous: bytes) -> bytes:
        """The hash that it has to have where the row before it has `previous`."""
        fields = [
            *(self.number, self.at_us, self.who, self.what, self.on),
            *(self.before, self.after, self.reason, self.request_id),
        ]
        text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(previous + text.encode()).digest()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of walking the chain."""

    rows: int
    """Those that are whole, from the first."""
    hash: bytes
    """Of the last of them: it stands for all."""
    fault: str = ""
    """What is wrong with the row that comes then; empty where nothing is."""


def record(entry: Entry, now_us: int) -> Steps[Recorded]:
    ((number, previous),) = yield NEXT, {"none": NO_HASH}
    row = Recorded(
        number=number,
        at_us=now_us,
        who=_kept(entry.who),
        what=_kept(entry.what),
        on=_kept(entry.on),
        before=_json(entry.before),
        after=_json(entry.after),
        reason=_kept(entry.reason),
        request_id=_kept(entry.request_id),
        hash=NO_HASH,
    )
    sealed = row.sealed_after(bytes(previous))
    texts = {"target": row.on, "before": row.before, "after": row.after, "reason": row.reason}
    yield (
        INSERT,
        {"number": number, "at_us": now_us, "who": row.who, "what": row.what, **texts}
        | {"request_id": row.request_id, "hash": sealed},
    )
    yield SEAL, {"hash": sealed}
    return replace(row, hash=sealed)


def older(than: int | None, most: int) -> Steps[Sequence[Recorded]]:
    """The rows before number `than`, or the newest, the newest first."""
    rows = yield SELECT_OLDER, {"number": BEYOND_ALL if than is None else than, "most": most}
    return [_recorded(row) for row in rows]


def newer(than: int, most: int) -> Steps[Sequence[Recorded]]:
    """The rows after number `than`, in their order."""
    rows = yield SELECT_NEWER, {"number": than, "most": most}
    return [_recorded(row) for row in rows]


def verify(until: Mapping[int, bytes] | None = None) -> Steps[Verdict]:
    """Walks the chain from its first row to its end; `until` has hashes that somebody noted elsewhere, by number."""
    noted = until or {}
    (number, previous) = (0, NO_HASH)
    while rows := (yield SELECT_NEWER, {"number": number, "most": CHUNK_ROWS}):
        for row in map(_recorded, rows):
            if fault := _fault(row, number, previous, noted):
                return Verdict(number, previous, fault)
            (number, previous) = (row.number, row.hash)
    heads = yield SELECT_HEAD, {}
    (length, last) = heads[0] if heads else (0, NO_HASH)
    if max([length, *noted]) > number or bytes(last) != previous:
        return Verdict(number, previous, f"row {number + 1} is missing: there were {max([length, *noted])} rows")
    return Verdict(number, previous)


def _fault(row: Recorded, before: int, previous: bytes, noted: Mapping[int, bytes]) -> str:
    if row.number != before + 1:
        return f"row {before + 1} is missing; row {row.number} follows row {before}"
    if row.hash != row.sealed_after(previous):
        return f"row {row.number} was altered, or the row before it: its hash doesn't fit"
    if noted.get(row.number, row.hash) != row.hash:
        return f"row {row.number} has another hash than was noted: the rows up to it were written anew"
    return ""


def _recorded(row: Row) -> Recorded:
    (*fields, sealed) = row
    return Recorded(*[*fields, bytes(sealed)])


def _kept(text: str) -> str:
    """As every database can keep it: no NUL, no lone surrogates, and not without end."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()[:LONGEST_TEXT]


def _json(values: Mapping[str, Any]) -> str:
    return _kept(json.dumps(values, ensure_ascii=False, sort_keys=True, default=str)) if values else ""


def now_us() -> int:
    return time.time_ns() // 1000


class Audit:
    """The audit of one database, for acts whose effect is elsewhere, and for who looks at it."""

    def __init__(self, transactions: Transactions, clock: Callable[[], int] = now_us) -> None:
        self._transactions = transactions
        self._clock = clock

    async def record(self, entry: Entry) -> Recorded:
        """Kept when it returns. Act after it, so that nothing is done which nobody finds here."""
        return await self._transactions.write(record(entry, self._clock()))

    async def older(self, than: int | None = None, most: int = 50) -> Sequence[Recorded]:
        return await self._transactions.read(older(than, most))

    async def newer(self, than: int, most: int = 50) -> Sequence[Recorded]:
        return await self._transactions.read(newer(than, most))

    async def verify(self, until: Mapping[int, bytes] | None = None) -> Verdict:
        return await self._transactions.read(verify(until))
