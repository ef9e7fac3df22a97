"""Dead letters and decisions as steps, for every database that has the read model's tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from event_store.dead_letters import DeadLetter
from event_store.record import TopicPartition
from event_store.steps import Row, Steps

from .generation_statements import SELECT_SERVING
from .letters import (
    Act,
    Chosen,
    Decision,
    Letter,
    LetterCount,
    LettersAsked,
    LettersChanged,
    already_decided,
    no_such_letter,
)

T = TypeVar("T")

LETTERS = f"""
FROM dead_letter AS d LEFT JOIN dead_letter_decision AS c
    ON c.topic = d.topic AND c.number = d.number AND c.record_offset = d.record_offset
WHERE d.generation = ({SELECT_SERVING})
"""
COLUMNS = """
SELECT d.topic, d.number, d.record_offset, {raw}, d.reason, d.detail, d.appended_at_us,
    c.decision, c.who, c.at_us, c.reason, c.event_id, {payload}, c.sent_at_us
"""
CHOSEN = {
    Chosen.ALL: "",
    Chosen.UNDECIDED: "AND c.decision IS NULL",
    Chosen.DECIDED: "AND c.decision IS NOT NULL",
    Chosen.DISCARDED: "AND c.decision = 'discarded'",
    Chosen.REDRIVEN: "AND c.decision = 'redriven'",
    Chosen.UNSENT: "AND c.decision = 'redriven' AND c.sent_at_us IS NULL",
}
NEWEST = f"""
{COLUMNS.format(raw="NULL", payload="NULL")} {LETTERS} {{chosen}}
    AND (:reason = '' OR d.reason = :reason) AND (:topic = '' OR d.topic = :topic)
    AND (d.appended_at_us, d.topic, d.number, d.record_offset) < (:at_us, :below_topic, :number, :offset)
ORDER BY d.appended_at_us DESC, d.topic DESC, d.number DESC, d.record_offset DESC LIMIT :most
"""
AT_PLACE = "AND d.topic = :topic AND d.number = :number AND d.record_offset = :offset"
ONE = f"{COLUMNS.format(raw='d.raw', payload='c.payload')} {LETTERS} {AT_PLACE}"
COUNTS = f"""
SELECT d.reason, d.topic, sum(CASE WHEN c.decision IS NULL THEN 1 ELSE 0 END),
    sum(CASE WHEN c.decision = 'discarded' THEN 1 ELSE 0 END), sum(CASE WHEN c.decision = 'redriven' THEN 1 ELSE 0 END)
{LETTERS} GROUP BY d.reason, d.topic
"""
DECIDE = """
INSERT INTO dead_letter_decision (topic, number, record_offset, decision, who, at_us, reason, event_id, payload)
VALUES (:topic, :number, :offset, :act, :who, :at_us, :reason, :event_id, :payload)
ON CONFLICT DO NOTHING RETURNING record_offset
"""
DISCARD_ALL = f"""
INSERT INTO dead_letter_decision (topic, number, record_offset, decision, who, at_us, reason)
SELECT d.topic, d.number, d.record_offset, 'discarded', CAST(:who AS TEXT), CAST(:at_us AS BIGINT), CAST(:why AS TEXT)
{LETTERS} AND c.decision IS NULL AND d.reason = :reason
ORDER BY d.topic, d.number, d.record_offset ON CONFLICT DO NOTHING RETURNING record_offset
"""
MARK_SENT = """
UPDATE dead_letter_decision SET sent_at_us = :at_us
WHERE topic = :topic AND number = :number AND record_offset = :offset AND decision = 'redriven' AND sent_at_us IS NULL
"""
MOST_PARTITION = 2**31
MOST_OFFSET = 2**62


class TakesSteps(Protocol):
    async def write(self, steps: Steps[T]) -> T: ...

    async def read(self, steps: Steps[T]) -> T: ...


class StepLetters:
    """The letters of the database that `steps` go to."""

    def __init__(self, steps: TakesSteps) -> None:
        self._steps = steps

    async def newest(self, asked: LettersAsked, most: int) -> Sequence[Letter]:
        return await self._steps.read(_newest(asked, most))

    async def counts(self) -> Sequence[LetterCount]:
        return await self._steps.read(_counts())

    async def one(self, tp: TopicPartition, offset: int) -> Letter | None:
        return await self._steps.read(_one(tp, offset))

    async def decide(self, tp: TopicPartition, offset: int, decision: Decision) -> None:
        await self._steps.write(_decide(tp, offset, decision))

    async def discard_all(self, reason: str, count: int, decision: Decision) -> None:
        await self._steps.write(_discard_all(reason, count, decision))

    async def mark_sent(self, tp: TopicPartition, offset: int, at_us: int) -> None:
        await self._steps.write(_mark_sent(tp, offset, at_us))


def _newest(asked: LettersAsked, most: int) -> Steps[Sequence[Letter]]:
    (at_us, topic, number, offset) = asked.below
    below = {"at_us": at_us, "below_topic": _kept(topic), "number": number, "offset": offset}
    wanted = {"reason": _kept(asked.reason), "topic": _kept(asked.topic), "most": most}
    rows = yield NEWEST.format(chosen=CHOSEN[asked.chosen]), {**wanted, **below}
    return [_letter(row) for row in rows]


def _counts() -> Steps[Sequence[LetterCount]]:
    rows = yield COUNTS, {}
    return sorted((LetterCount(*row[:2], *map(int, row[2:])) for row in rows), key=lambda one: (one.reason, one.topic))


def _one(tp: TopicPartition, offset: int) -> Steps[Letter | None]:
    if not (0 <= tp.partition < MOST_PARTITION and 0 <= offset < MOST_OFFSET):
        return None
    rows = yield ONE, _place(tp, offset)
    return _letter(rows[0]) if rows else None


def _decide(tp: TopicPartition, offset: int, decision: Decision) -> Steps[None]:
    if (yield from _one(tp, offset)) is None:
        raise no_such_letter(tp, offset)
    values: dict[str, object] = {"act": decision.act.value, "who": _kept(decision.who), "at_us": decision.at_us}
    values |= {"reason": _kept(decision.reason), "event_id": decision.event_id, "payload": decision.payload}
    if not (yield DECIDE, {**_place(tp, offset), **values}):
        before = yield from _one(tp, offset)
        if before is None or before.decision is None:
            raise no_such_letter(tp, offset)
        raise already_decided(tp, offset, before.decision)


def _discard_all(reason: str, count: int, decision: Decision) -> Steps[None]:
    who = {"who": _kept(decision.who), "at_us": decision.at_us, "why": _kept(decision.reason)}
    decided = yield DISCARD_ALL, {"reason": _kept(reason), **who}
    if len(decided) != count:
        raise LettersChanged(count, len(decided))


def _mark_sent(tp: TopicPartition, offset: int, at_us: int) -> Steps[None]:
    yield MARK_SENT, {**_place(tp, offset), "at_us": at_us}


def _place(tp: TopicPartition, offset: int) -> dict[str, object]:
    return {"topic": _kept(tp.topic), "number": tp.partition, "offset": offset}


def _letter(row: Row) -> Letter:
    (topic, number, offset, raw, reason, detail, appended_at_us, *decided) = row
    dead = DeadLetter(TopicPartition(topic, number), offset, _bytes(raw), reason, detail, appended_at_us)
    if decided[0] is None:
        return Letter(dead)
    (act, who, at_us, why, event_id, payload, sent_at_us) = decided
    return Letter(dead, Decision(Act(act), who, at_us, why, event_id, _bytes(payload), sent_at_us))


def _bytes(value: bytes | None) -> bytes | None:
    return None if value is None else bytes(value)


def _kept(text: str) -> str:
    """As every database can keep it: no NUL, no lone surrogates."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
